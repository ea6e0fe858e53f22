"""A member of a consumer group by confluent-kafka. See ../README.md."""

import sys

from confluent_kafka import Consumer, TopicPartition

import member

bootstrap, topic, group, name, protocol, instance = sys.argv[1:]
settings = {
    "bootstrap.servers": bootstrap,
    "group.id": group,
    "client.id": name,
    "auto.offset.reset": "earliest",
    "enable.auto.commit": False,
    "fetch.wait.max.ms": 50,
}
if protocol == "consumer":
    settings["group.protocol"] = "consumer"
else:
    settings |= {
        "partition.assignment.strategy": protocol,
        "session.timeout.ms": 6000,
        "heartbeat.interval.ms": 500,
    }
if instance != "-":
    settings["group.instance.id"] = instance

closing = member.closing()
consumer = Consumer(settings)
owned = set()
uncommitted = {}  # where commits stand that were refused: a rebalance may refuse the last one of a partition


def tell():
    member.owns(owned)


def assigned(_, places):
    if protocol in ("cooperative-sticky", "consumer"):
        consumer.incremental_assign(places)
    else:
        consumer.assign(places)
    owned.update(place.partition for place in places)
    tell()


def revoked(_, places):
    for place in places:
        owned.discard(place.partition)
        uncommitted.pop(place.partition, None)
    tell()


def commit():
    for partition, offset in list(uncommitted.items()):
        try:
            consumer.commit(offsets=[TopicPartition(topic, partition, offset)], asynchronous=False)
            member.say("done", partition, offset)
            uncommitted.pop(partition, None)
        except Exception as error:
            member.say("not-done", partition, offset, error)


consumer.subscribe([topic], on_assign=assigned, on_revoke=revoked, on_lost=revoked)
while not closing.is_set():
    message = consumer.poll(0.1)
    if message is None:
        commit()
        continue
    if message.error():
        member.say("error", message.error())
        continue
    member.say("got", message.partition(), message.offset())
    uncommitted[message.partition()] = message.offset() + 1
    commit()
consumer.close()
member.say("closed")
