//! The first produce that is acknowledged after a failure: when writers felt that a partition is led again.
//!
//! A partition is awaited from the moment this broker takes over from a leader that is gone until it acknowledges a
//! produce there. While none is awaited a produce costs one look at an empty map, whatever it carries. What is
//! decided, written or answered does not depend on it.

use super::Broker;
use super::partition::{PartitionKey, Role};
use crate::ids::{BrokerId, LeaderEpoch, PartitionIndex};
use crate::inspect::EventKind;
use crate::metadata::PartitionImage;
use crate::wire::messages::produce::ProduceResponse;

/// Partitions awaited at most; beyond that another one is awaited no longer.
const AWAITED: usize = 256;

/// A leader epoch in which nothing was acknowledged yet.
#[derive(Debug, Clone, Copy)]
pub(super) struct Awaited {
    epoch: LeaderEpoch,
    /// Who led before and is gone; `None` where nobody led.
    after: Option<BrokerId>,
}

impl Broker {
    /// Awaits the first acknowledged produce if this broker takes over from a leader that is gone. Call it before
    /// the partition takes its new leader epoch in.
    pub(super) fn await_first_ack(&mut self, key: PartitionKey, image: &PartitionImage) {
        let Some(partition) = self.partition(key) else {
            return;
        };
        let is_news = partition.leader_epoch < image.leader_epoch;
        let after = match &partition.role {
            Role::Follower(follower) => Some(follower.leader()),
            Role::Idle => None,
            // It leads on, or never followed anybody in this run.
            Role::Alone | Role::Leader(_) | Role::Elsewhere => return,
        };
        let gone = after.is_none_or(|id| !self.image.is_live(id));
        let leads = image.leader == Some(self.config.id);
        let Some(member) = self.member.as_mut().filter(|_| leads && is_news && gone) else {
            return;
        };
        if member.first_acks.len() >= AWAITED {
            member.first_acks.pop_first();
        }
        let epoch = image.leader_epoch;
        member.first_acks.insert(key, Awaited { epoch, after });
    }

    /// Tells of the partitions in this answer that were awaited. Call it with every answer to a produce.
    pub(super) fn tell_first_acks(&mut self, by_id: bool, response: &ProduceResponse) {
        let member = self.member.as_ref();
        if member.is_none_or(|member| member.first_acks.is_empty()) {
            return;
        }
        for topic in &response.responses {
            let image = match by_id {
                true => self.image.topic(topic.topic_id),
                false => self.image.topic_named(&topic.name),
            };
            let Some((id, name)) = image.map(|image| (image.id, image.name.clone())) else {
                continue;
            };
            let partitions = topic.partition_responses.iter();
            for acked in partitions.filter(|partition| partition.error_code == 0) {
                self.tell_first_ack((id, acked.index), &name);
            }
        }
    }

    fn tell_first_ack(&mut self, key: PartitionKey, topic: &str) {
        let member = self.member.as_mut();
        let awaited = member.and_then(|member| member.first_acks.remove(&key));
        let leads = self.partition(key).map(|partition| partition.leader_epoch);
        let Some(Awaited { epoch, after }) = awaited.filter(|one| leads == Some(one.epoch)) else {
            return;
        };
        self.note(EventKind::FirstProduceAcked {
            topic: topic.to_owned(),
            partition: PartitionIndex(key.1),
            epoch,
            after,
        });
    }
}
