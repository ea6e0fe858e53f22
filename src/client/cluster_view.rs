//! What a client knows of a cluster from Metadata answers: brokers, and who leads which partition.

use std::collections::BTreeMap;

use super::Address;
use crate::ids::{BrokerId, LeaderEpoch, PartitionIndex, TopicId};
use crate::wire::messages::metadata::{MetadataResponse, MetadataResponseTopic};

/// The newest Metadata answers, put together.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct ClusterView {
    pub brokers: BTreeMap<BrokerId, Address>,
    pub controller: Option<BrokerId>,
    pub topics: BTreeMap<String, TopicView>,
}

/// One topic as the last Metadata answer described it.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct TopicView {
    pub id: TopicId,
    /// Kafka's error code for the whole topic; 0 is none.
    pub error: i16,
    /// Kafka's own, as `__consumer_offsets` is.
    pub internal: bool,
    /// By index.
    pub partitions: Vec<PartitionView>,
}

/// One partition.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct PartitionView {
    pub leader: Option<BrokerId>,
    pub leader_epoch: LeaderEpoch,
}

impl ClusterView {
    /// Takes in one answer. Topics it does not mention stay as they were, or are gone if it was asked for all.
    pub(super) fn apply(&mut self, answer: &MetadataResponse, all: bool) {
        if all {
            self.topics.clear();
        }
        self.brokers = answer
            .brokers
            .iter()
            .filter_map(|broker| {
                let port = u16::try_from(broker.port).ok()?;
                let host = broker.host.clone();
                Some((BrokerId(broker.node_id), Address { host, port }))
            })
            .collect();
        self.controller = (answer.controller_id >= 0).then_some(BrokerId(answer.controller_id));
        for topic in &answer.topics {
            if let Some(name) = &topic.name {
                self.topics.insert(name.clone(), TopicView::new(topic));
            }
        }
    }

    /// The leader of a partition and its epoch, if one is known.
    pub fn leader(&self, topic: &str, partition: PartitionIndex) -> Option<BrokerId> {
        self.partition(topic, partition)?.leader
    }

    /// What is known of a partition.
    pub fn partition(&self, topic: &str, partition: PartitionIndex) -> Option<PartitionView> {
        let index = usize::try_from(partition.0).ok()?;
        self.topics.get(topic)?.partitions.get(index).copied()
    }

    /// The topic's id; zeros if the broker gave none.
    pub fn topic_id(&self, topic: &str) -> TopicId {
        self.topics
            .get(topic)
            .map_or(TopicId::ZERO, |topic| topic.id)
    }

    /// The name of the topic with this id.
    pub fn topic_name(&self, id: TopicId) -> Option<&str> {
        let (name, _) = self.topics.iter().find(|(_, topic)| topic.id == id)?;
        Some(name)
    }
}

impl TopicView {
    fn new(topic: &MetadataResponseTopic) -> TopicView {
        let mut partitions = Vec::new();
        for partition in &topic.partitions {
            // Brokers number partitions 0..n in some order: an index beyond the count is no partition.
            let index = usize::try_from(partition.partition_index).unwrap_or(usize::MAX);
            if index >= topic.partitions.len() {
                continue;
            }
            if partitions.len() <= index {
                partitions.resize(index + 1, PartitionView::default());
            }
            partitions[index] = PartitionView {
                leader: (partition.leader_id >= 0).then_some(BrokerId(partition.leader_id)),
                leader_epoch: LeaderEpoch(partition.leader_epoch),
            };
        }
        TopicView {
            id: topic.topic_id,
            error: topic.error_code,
            internal: topic.is_internal,
            partitions,
        }
    }
}
