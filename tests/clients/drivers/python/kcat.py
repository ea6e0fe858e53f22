"""kcat: what a person would type, one process per command. It has no way to create a topic, so it does what
kcat does: it asks for the topic's metadata and lets the broker make it with `num.partitions` and
`default.replication.factor`. One set of
headers holds for all records of one run."""

import subprocess
import time

import lines


def kcat(arguments, given=b""):
    run = subprocess.run(["kcat", *arguments], input=given, capture_output=True, timeout=60)
    errors = run.stderr.decode(errors="replace")
    if run.returncode != 0 or "Delivery failed" in errors:
        raise RuntimeError(f"kcat ended with {run.returncode}: {errors[-400:]}")
    return run.stdout


def create(bootstrap, topic, partitions, _replicas):
    deadline = time.time() + 20
    wanted = f"topic \"{topic}\" with {partitions} partitions"
    while wanted not in (seen := kcat(["-b", bootstrap, "-L", "-t", topic]).decode()):
        if time.time() > deadline:
            raise RuntimeError(f"not made: {seen}")
        time.sleep(0.05)


def produce(bootstrap, topic, codec, idempotent, path):
    arguments = ["-b", bootstrap, "-P", "-t", topic, "-K", "\t", "-X", "linger.ms=20"]
    arguments += ["-X", f"compression.codec={codec}"]
    arguments += ["-X", f"enable.idempotence={'true' if idempotent else 'false'}"]
    arguments += ["-X", f"acks={'all' if idempotent else '1'}"]
    given, shared = [], None
    for _, key, value, headers in lines.records_in(path):
        given.append(key + b"\t" + value + b"\n")
        shared = headers
    for name, value in shared:
        arguments += ["-H", f"{name}={value.decode()}"]
    kcat(arguments, b"".join(given))


def parse(printed, out, limit):
    at, count = 0, 0
    while at < len(printed) and not (limit and count >= limit):
        end = printed.index(b"\n", at)
        partition, offset, when, key_size, value_size, headers = printed[at:end].split(b" ", 5)
        at = end + 1
        parts = []
        for size in (int(key_size), int(value_size)):
            parts.append(None if size < 0 else printed[at:at + size])
            at += max(size, 0)
        at += 1
        pairs = [pair.split(b"=", 1) for pair in headers.split(b",") if b"=" in pair]
        lines.write_record(out, int(partition), int(offset), int(when), *parts, pairs)
        count += 1


def read(bootstrap, topic, partitions, start, limit, out):
    place = {"earliest": "beginning"}.get(start, start)
    place = "s" + place if place.startswith("@") else place
    for partition in partitions:
        arguments = ["-b", bootstrap, "-C", "-q", "-e", "-t", topic, "-p", str(partition), "-o", place]
        arguments += ["-X", "fetch.wait.max.ms=10", "-X", "check.crcs=true"]
        arguments += ["-f", "%p %o %T %K %S %h\n%k%s\n"]
        arguments += ["-c", str(limit)] if limit else []
        parse(kcat(arguments), out, limit)


lines.serve(create, produce, read)
