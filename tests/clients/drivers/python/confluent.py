"""confluent-kafka (librdkafka from the wheel)."""

import time

from confluent_kafka import Consumer, ElectionType, KafkaError, Producer, TopicCollection, TopicPartition
from confluent_kafka.admin import AdminClient, AlterConfigOpType, ConfigEntry, ConfigResource, NewTopic, ResourceType

import lines


def create(bootstrap, topic, partitions, replicas):
    admin = AdminClient({"bootstrap.servers": bootstrap})
    for future in admin.create_topics([NewTopic(topic, partitions, replicas)], operation_timeout=10).values():
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


def admin(bootstrap, topic, case):
    create(bootstrap, topic, 1, 3)
    asking = AdminClient({"bootstrap.servers": bootstrap})
    if case == "cluster":
        cluster = asking.describe_cluster().result(20)
        lines.holds(cluster.nodes, {node.id for node in cluster.nodes} == {1, 2, 3})
        lines.holds(cluster.controller, cluster.controller.id in (1, 2, 3))
        described = asking.describe_topics(TopicCollection([topic]))[topic].result(20)
        in_sync = {node.id for node in described.partitions[0].isr}
        lines.holds(in_sync, in_sync == {1, 2, 3})
    elif case == "elect":
        elected = asking.elect_leaders(ElectionType.PREFERRED, [TopicPartition(topic, 0)]).result(20)
        error = list(elected.values())[0]
        lines.holds(error, error.code() == KafkaError.ELECTION_NOT_NEEDED)
    elif case == "configs":
        change = ConfigEntry("retention.ms", "60000", incremental_operation=AlterConfigOpType.SET)
        resource = ConfigResource(ResourceType.TOPIC, topic, incremental_configs=[change])
        asking.incremental_alter_configs([resource])[resource].result(20)
        found = lambda: asking.describe_configs([resource])[resource].result(20)["retention.ms"].value
        lines.until("it is changed", lambda: found() == "60000")
    else:
        raise ValueError(f"unknown case {case}")


lines.serve(create, produce, read, admin)
