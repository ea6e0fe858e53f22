"""A member of a consumer group by kafka-python. See ../README.md."""

import sys

from kafka import ConsumerRebalanceListener, KafkaConsumer
from kafka.coordinator.assignors.range import RangePartitionAssignor
from kafka.coordinator.assignors.roundrobin import RoundRobinPartitionAssignor
from kafka.structs import OffsetAndMetadata

import member

bootstrap, topic, group, name, protocol, _ = sys.argv[1:]
assignors = {"range": RangePartitionAssignor, "roundrobin": RoundRobinPartitionAssignor}
closing = member.closing()
consumer = KafkaConsumer(
    bootstrap_servers=bootstrap.split(","),
    group_id=group,
    client_id=name,
    auto_offset_reset="earliest",
    enable_auto_commit=False,
    session_timeout_ms=6000,
    heartbeat_interval_ms=500,
    fetch_max_wait_ms=50,
    partition_assignment_strategy=[assignors[protocol]],
)


uncommitted = {}  # where commits stand that were refused: a rebalance may refuse the last one of a partition


def commit():
    for place, end in list(uncommitted.items()):
        try:
            consumer.commit({place: OffsetAndMetadata(end, "", -1)})
            member.say("done", place.partition, end)
            uncommitted.pop(place, None)
        except Exception as error:
            member.say("not-done", place.partition, end, error)


class Listener(ConsumerRebalanceListener):
    def on_partitions_revoked(self, revoked):
        uncommitted.clear()
        member.owns([])

    def on_partitions_assigned(self, assigned):
        member.owns(place.partition for place in assigned)


consumer.subscribe([topic], listener=Listener())
while not closing.is_set():
    for place, messages in consumer.poll(100).items():
        for message in messages:
            member.say("got", message.partition, message.offset)
        uncommitted[place] = messages[-1].offset + 1
    commit()
consumer.close(autocommit=False)
member.say("closed")
