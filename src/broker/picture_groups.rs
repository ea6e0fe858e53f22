//! What a coordinator shows of its groups. A group nothing happened to is the same allocation as before.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::Broker;
use crate::group::{
    ClassicGroup, Committed, ConsumerGroup, ConsumerMember, Group, GroupKind, Member, Partitions,
    Shard, assigned, subscribed,
};
use crate::ids::{BrokerId, PartitionIndex, Time};
use crate::inspect::{
    GroupMember, GroupOffset, GroupSnapshot, GroupType, Reconciliation, TopicPartitions,
};
use crate::metadata::Image;

/// What the last picture showed of groups, each with the change it showed.
#[derive(Debug, Default)]
pub(super) struct GroupCache {
    shown: BTreeMap<String, (u64, Arc<GroupSnapshot>)>,
}

impl Broker {
    /// Every group this broker coordinates, by name.
    pub(super) fn show_groups(&mut self) -> Arc<Vec<Arc<GroupSnapshot>>> {
        if let Some(shown) = &self.shown.groups {
            return Arc::clone(shown);
        }
        let mut before = std::mem::take(&mut self.shown.group_cache.shown);
        let mut now = BTreeMap::new();
        for (index, shard) in self.groups.shards() {
            for (name, group) in shard.groups() {
                let same = before.remove(name).filter(|(at, _)| *at == group.changed());
                let snapshot = match same {
                    Some((_, snapshot)) => snapshot,
                    None => {
                        let bare = bare(self.config.id, index, name, group);
                        let shown = match group.kind() {
                            GroupKind::Classic(classic) => show_classic(bare, classic),
                            GroupKind::Consumer(consumer) => {
                                show_consumer(bare, shard, &self.image, consumer)
                            }
                        };
                        Arc::new(shown)
                    }
                };
                now.insert(name.clone(), (group.changed(), snapshot));
            }
        }
        let shown: Vec<_> = now.values().map(|(_, group)| Arc::clone(group)).collect();
        self.shown.group_cache.shown = now;
        let shown = Arc::new(shown);
        self.shown.groups = Some(Arc::clone(&shown));
        shown
    }
}

/// What is shown of a group of either kind.
fn bare(coordinator: BrokerId, index: i32, name: &str, group: &Group) -> GroupSnapshot {
    let offset = |(topic, partition, committed): (&str, i32, &Committed)| GroupOffset {
        topic: topic.to_owned(),
        partition: PartitionIndex(partition),
        committed: committed.offset,
        leader_epoch: committed.leader_epoch,
        metadata: committed.metadata.clone(),
        at: Time::from_ms(committed.at_ms),
    };
    GroupSnapshot {
        group: name.to_owned(),
        kind: GroupType::Classic,
        coordinator,
        orphaned: false,
        offsets_partition: PartitionIndex(index),
        state: String::new(),
        since: Time::default(),
        protocol_type: String::new(),
        assignor: String::new(),
        generation: 0,
        leader: None,
        cause: String::new(),
        members: Vec::new(),
        offsets: group.offsets().iter().map(offset).collect(),
    }
}

fn show_classic(bare: GroupSnapshot, classic: &ClassicGroup) -> GroupSnapshot {
    GroupSnapshot {
        kind: GroupType::Classic,
        state: classic.state().name().to_owned(),
        since: Time::from_ms(classic.since_ms()),
        protocol_type: classic.protocol_type().unwrap_or_default().to_owned(),
        assignor: classic.protocol().unwrap_or_default().to_owned(),
        generation: classic.generation(),
        leader: classic.leader().map(str::to_owned),
        cause: classic.why().to_owned(),
        members: members(classic),
        ..bare
    }
}

fn show_consumer(
    bare: GroupSnapshot,
    shard: &Shard,
    image: &Image,
    consumer: &ConsumerGroup,
) -> GroupSnapshot {
    let one = |(id, member): (&String, &ConsumerMember)| {
        let target = consumer.target(id).map(|target| named(image, target));
        let subscribed = consumer.subscription(member).into_iter();
        GroupMember {
            id: id.clone(),
            instance: member.about.instance.clone(),
            client_id: member.about.client_id.clone(),
            host: member.about.client_host.clone(),
            protocol: match member.is_classic() {
                true => GroupType::Classic,
                false => GroupType::Consumer,
            },
            subscribed: subscribed.map(str::to_owned).collect(),
            assigned: named(image, &member.current.assigned),
            session_timeout_ms: shard.session_timeout_ms(member),
            rebalance_timeout_ms: member.about.rebalance_timeout_ms,
            epoch: member.current.epoch,
            reconciliation: Some(Reconciliation {
                state: member.current.state.name().to_owned(),
                revoking: named(image, &member.current.revoking),
                target: target.unwrap_or_default(),
            }),
        }
    };
    GroupSnapshot {
        kind: GroupType::Consumer,
        state: consumer.state().name().to_owned(),
        since: Time::from_ms(consumer.since_ms()),
        protocol_type: "consumer".to_owned(),
        assignor: shard.assignor_of(consumer).name().to_owned(),
        generation: consumer.epoch(),
        cause: consumer.why().to_owned(),
        members: consumer.members().iter().map(one).collect(),
        ..bare
    }
}

/// Partitions by the names of their topics, by name; topics that are gone have none.
fn named(image: &Image, partitions: &Partitions) -> Vec<TopicPartitions> {
    let topics = partitions.topics().filter_map(|(topic, indexes)| {
        Some(TopicPartitions {
            topic: image.topic(topic)?.name.clone(),
            partitions: indexes.iter().copied().map(PartitionIndex).collect(),
        })
    });
    let mut topics: Vec<TopicPartitions> = topics.collect();
    topics.sort_by(|a, b| a.topic.cmp(&b.topic));
    topics
}

fn members(classic: &ClassicGroup) -> Vec<GroupMember> {
    let said = |member: &Member| {
        let protocol = classic.protocol().and_then(|name| member.metadata(name));
        let said = protocol.or_else(|| member.protocols.first().map(|(_, metadata)| metadata));
        said.and_then(subscribed).unwrap_or_default()
    };
    let consumes = classic.protocol_type() == Some("consumer");
    let one = |(id, member): (&String, &Member)| GroupMember {
        id: id.clone(),
        instance: member.instance.clone(),
        client_id: member.client_id.clone(),
        host: member.client_host.clone(),
        protocol: GroupType::Classic,
        subscribed: match consumes {
            true => said(member),
            false => Vec::new(),
        },
        assigned: match consumes {
            true => assigned(&member.assignment)
                .into_iter()
                .map(shown)
                .collect(),
            false => Vec::new(),
        },
        session_timeout_ms: member.session_timeout_ms,
        rebalance_timeout_ms: member.rebalance_timeout_ms,
        epoch: classic.generation(),
        reconciliation: None,
    };
    classic.members().iter().map(one).collect()
}

fn shown((topic, partitions): (String, Vec<i32>)) -> TopicPartitions {
    TopicPartitions {
        topic,
        partitions: partitions.into_iter().map(PartitionIndex).collect(),
    }
}
