"""kafka-python (the protocol in pure Python)."""

import time

from kafka import KafkaConsumer, KafkaProducer, TopicPartition
from kafka.admin import KafkaAdminClient, NewTopic

import lines


def create(bootstrap, topic, partitions, replicas):
    admin = KafkaAdminClient(bootstrap_servers=bootstrap.split(","))
    try:
        admin.create_topics([NewTopic(topic, partitions, replicas)], timeout_ms=20000)
    finally:
        admin.close()


def produce(bootstrap, topic, codec, idempotent, path):
    producer = KafkaProducer(
        bootstrap_servers=bootstrap.split(","),
        compression_type=None if codec == "none" else codec,
        enable_idempotence=idempotent,
        acks="all" if idempotent else 1,
        linger_ms=20,
        batch_size=64 * 1024,
        max_request_size=4 * 1024 * 1024,
    )
    sent = []
    for when, key, value, headers in lines.records_in(path):
        sent.append(producer.send(topic, value, key, headers, timestamp_ms=when))
    producer.flush(40)
    for future in sent:
        future.get(1)
    producer.close(5)


def read(bootstrap, topic, partitions, start, limit, out):
    consumer = KafkaConsumer(
        bootstrap_servers=bootstrap.split(","),
        group_id=None,
        enable_auto_commit=False,
        fetch_max_wait_ms=10,
        check_crcs=True,
    )
    try:
        places = [TopicPartition(topic, partition) for partition in partitions]
        consumer.assign(places)
        lows, ends = consumer.beginning_offsets(places), consumer.end_offsets(places)
        left = {}
        for place in places:
            offset = lows[place]
            if start.startswith("@"):
                found = consumer.offsets_for_times({place: int(start[1:])})[place]
                offset = found.offset if found else ends[place]
            elif start != "earliest":
                offset = int(start)
            consumer.seek(place, offset)
            if offset < ends[place]:
                left[place] = ends[place]
        count, deadline = 0, time.time() + 40
        while left and not (limit and count >= limit):
            if time.time() > deadline:
                raise RuntimeError(f"read {count} records, still waiting for {left}")
            for place, messages in consumer.poll(200, max_records=2000).items():
                for message in messages:
                    if limit and count >= limit:
                        break
                    lines.write_record(out, message.partition, message.offset, message.timestamp,
                                       message.key, message.value, message.headers)
                    count += 1
                    if message.offset + 1 >= left.get(place, 0):
                        left.pop(place, None)
    finally:
        consumer.close()


def admin(bootstrap, topic, _only_case):
    create(bootstrap, topic, 1, 3)
    asking = KafkaAdminClient(bootstrap_servers=bootstrap.split(","))
    # It asks for log directories in a version that Apache Kafka 4 refuses, too.
    try:
        cluster = asking.describe_cluster()
        lines.holds(cluster, {broker["node_id"] for broker in cluster["brokers"]} == {1, 2, 3})
        lines.holds(cluster, cluster["controller_id"] in (1, 2, 3))
        described = asking.describe_topics([topic])[0]["partitions"][0]
        lines.holds(described, set(described["isr"]) == {1, 2, 3})
    finally:
        asking.close()


lines.serve(create, produce, read, admin)
