"""A member of a consumer group by confluent-kafka. See ../README.md."""

import sys
import threading

from confluent_kafka import Consumer

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
    owned.difference_update(place.partition for place in places)
    tell()


consumer.subscribe([topic], on_assign=assigned, on_revoke=revoked, on_lost=revoked)
while not closing.is_set():
    message = consumer.poll(0.1)
    if message is None:
        continue
    if message.error():
        member.say("error", message.error())
        continue
    member.say("got", message.partition(), message.offset())
    try:
        consumer.commit(message=message, asynchronous=False)
        member.say("done", message.partition(), message.offset() + 1)
    except Exception as error:
        member.say("not-done", error)
consumer.close()
member.say("closed")
