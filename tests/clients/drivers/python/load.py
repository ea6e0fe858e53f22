"""A steady load of numbered records through librdkafka, acks=all and idempotent, that writes down what was acked.

`load.py BOOTSTRAP TOPIC PARTITIONS RATE SECONDS FILE`: partition p gets the records 0, 1, 2 …, RATE records a second
over all partitions. A line of the file is a run of acks that came together: `acked partition number offset count
time_us`, numbers and offsets growing by one; a record that was given up is `failed partition number error`. The last
line says how many were handed over: `sent count`."""

import sys
import time

from confluent_kafka import Producer

VALUE_BYTES = 100
# Records are made in steps this far apart, and acks of one run came within one.
STEP_S = 0.005
RUN_US = 10_000
# Longer than any outage: a record is given up only when something is wrong.
DELIVERY_S = 60


class Acks:
    def __init__(self, partitions, out):
        self.runs, self.out = [None] * partitions, out

    def done(self, error, message):
        partition, number = message.partition(), int(message.value())
        if error:
            self.out.write(f"failed\t{partition}\t{number}\t{error}\n")
            return
        now, offset, run = time.time_ns() // 1000, message.offset(), self.runs[partition]
        if run and number == run[0] + run[2] and offset == run[1] + run[2] and now < run[3] + RUN_US:
            run[2] += 1
        else:
            self.write(partition)
            self.runs[partition] = [number, offset, 1, now]

    def write(self, partition):
        if self.runs[partition]:
            number, offset, count, when = self.runs[partition]
            self.out.write(f"acked\t{partition}\t{number}\t{offset}\t{count}\t{when}\n")


def load(bootstrap, topic, partitions, rate, seconds, out):
    acks = Acks(partitions, out)
    producer = Producer({
        "bootstrap.servers": bootstrap,
        "acks": "all",
        "enable.idempotence": True,
        "delivery.timeout.ms": DELIVERY_S * 1000,
        "on_delivery": acks.done,
    })
    sent, began = 0, time.monotonic()
    while (passed := time.monotonic() - began) < seconds:
        while sent < passed * rate:
            value = str(sent // partitions).ljust(VALUE_BYTES)
            try:
                producer.produce(topic, value, partition=sent % partitions)
                sent += 1
                # Acks are seen when they come, also while this loop catches up.
                producer.poll(0)
            except BufferError:
                producer.poll(STEP_S)
        producer.poll(STEP_S)
    producer.flush(DELIVERY_S + 5)
    for partition in range(partitions):
        acks.write(partition)
    out.write(f"sent\t{sent}\n")


if __name__ == "__main__":
    bootstrap, topic, partitions, rate, seconds, path = sys.argv[1:]
    with open(path, "w") as out:
        load(bootstrap, topic, int(partitions), int(rate), float(seconds), out)
