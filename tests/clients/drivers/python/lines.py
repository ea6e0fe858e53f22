"""The line protocol every driver speaks (see ../README.md), for the drivers written in Python."""

import sys
import time


def unhex(text):
    return None if text == "-" else bytes.fromhex(text)


def tohex(value):
    return "-" if value is None else bytes(value).hex()


def headers_from(text):
    pairs = [pair.split(":") for pair in text.split(",") if pair]
    return [(bytes.fromhex(name).decode(), unhex(value)) for name, value in pairs]


def headers_to(headers):
    def name_bytes(name):
        return name if isinstance(name, bytes) else name.encode()

    return ",".join(f"{name_bytes(n).hex()}:{tohex(v)}" for n, v in headers or [])


def records_in(path):
    """Yields (timestamp_ms or None, key, value, headers) of each line of a records file."""
    with open(path) as lines:
        for line in lines:
            when, key, value, headers = line.rstrip("\n").split("\t")
            yield (None if when == "-" else int(when)), unhex(key), unhex(value), headers_from(headers)


def write_record(out, partition, offset, when, key, value, headers):
    out.write(f"{partition}\t{offset}\t{when}\t{tohex(key)}\t{tohex(value)}\t{headers_to(headers)}\n")


def holds(what, is_so):
    if not is_so:
        raise AssertionError(f"not so: {what}")


def until(what, probe):
    """What is decided by the controller reaches other brokers a little later."""
    deadline = time.time() + 20
    while not probe():
        holds(what, time.time() < deadline)
        time.sleep(0.02)


def serve(create, produce, read, admin=None):
    """Answers commands from stdin until it closes: `ok`, or `error` and one line of why."""
    for line in sys.stdin:
        verb, *words = line.rstrip("\n").split("\t")
        try:
            if verb == "create":
                bootstrap, topic, partitions, replicas = words
                create(bootstrap, topic, int(partitions), int(replicas))
            elif verb == "produce":
                bootstrap, topic, codec, idempotent, path = words
                produce(bootstrap, topic, codec, idempotent == "1", path)
            elif verb == "read":
                bootstrap, topic, partitions, start, limit, path = words
                with open(path, "w") as out:
                    read(bootstrap, topic, [int(p) for p in partitions.split(",")], start, int(limit), out)
            elif verb == "admin" and admin:
                admin(*words)
            else:
                raise ValueError(f"unknown verb {verb}")
            print("ok", flush=True)
        except Exception as error:  # whatever the client throws is the answer
            print(f"error {type(error).__name__}: {error}".replace("\n", " "), flush=True)
