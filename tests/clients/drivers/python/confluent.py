"""confluent-kafka (librdkafka from the wheel)."""

import time

from confluent_kafka import Consumer, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic

import lines


def create(bootstrap, topic, partitions):
    admin = AdminClient({"bootstrap.servers": bootstrap})
    for future in admin.create_topics([NewTopic(topic, partitions, 1)], operation_timeout=10).values():
        future.result(20)


def produce(bootstrap, topic, codec, idempotent, path):
    producer = Producer({
        "bootstrap.servers": bootstrap,
        "compression.type": codec,
        "enable.idempotence": idempotent,
        "acks": "all" if idempotent else "1",
        "linger.ms": 20,
        "delivery.timeout.ms": 30000,
    })
    failures = []
    done = lambda error, message: failures.append(str(error)) if error else None
    for when, key, value, headers in lines.records_in(path):
        while True:
            try:
                extra = {} if when is None else {"timestamp": when}
                producer.produce(topic, value, key, headers=headers, on_delivery=done, **extra)
                break
            except BufferError:
                producer.poll(0.1)
    left = producer.flush(40)
    if failures or left:
        raise RuntimeError(f"{len(failures)} failed ({failures[:1]}), {left} not delivered")


def read(bootstrap, topic, partitions, start, limit, out):
    consumer = Consumer({
        "bootstrap.servers": bootstrap,
        "group.id": "not-used",
        "enable.auto.commit": False,
        "fetch.wait.max.ms": 10,
        "check.crcs": True,
    })
    places, ends = [], {}
    for partition in partitions:
        low, high = consumer.get_watermark_offsets(TopicPartition(topic, partition), 20)
        offset = low
        if start.startswith("@"):
            at = TopicPartition(topic, partition, int(start[1:]))
            offset = consumer.offsets_for_times([at], 20)[0].offset
        elif start != "earliest":
            offset = int(start)
        if 0 <= offset < high:
            places.append(TopicPartition(topic, partition, offset))
            ends[partition] = high
    consumer.assign(places)
    count, deadline = 0, time.time() + 40
    while ends and not (limit and count >= limit):
        if time.time() > deadline:
            raise RuntimeError(f"read {count} records, still waiting for {ends}")
        for message in consumer.consume(1000, 0.2):
            if message.error():
                raise RuntimeError(str(message.error()))
            if limit and count >= limit:
                break
            lines.write_record(out, message.partition(), message.offset(), message.timestamp()[1],
                               message.key(), message.value(), message.headers())
            count += 1
            if message.offset() + 1 >= ends.get(message.partition(), 0):
                ends.pop(message.partition(), None)
    consumer.close()


lines.serve(create, produce, read)
