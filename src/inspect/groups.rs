//! Consumer groups as pictures show them.

use std::sync::Arc;

use serde::Serialize;

use super::ClusterSnapshot;
use crate::ids::{BrokerId, LeaderEpoch, Offset, PartitionIndex, Time};

/// How a group's members agree who reads what.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum GroupType {
    /// JoinGroup and SyncGroup: one of the members decides.
    Classic,
    /// KIP-848: the coordinator decides.
    Consumer,
}

/// One group, as its coordinator has it.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct GroupSnapshot {
    pub group: String,
    pub kind: GroupType,
    /// The broker that coordinates it, or did before it died.
    pub coordinator: BrokerId,
    /// Its coordinator is dead and no other has taken over yet: this is what it last said.
    pub orphaned: bool,
    /// The partition of `__consumer_offsets` it belongs to.
    pub offsets_partition: PartitionIndex,
    /// Kafka's name: `Stable`, `PreparingRebalance`, `Empty`, …
    pub state: String,
    /// Since when it is in this state.
    pub since: Time,
    /// `consumer`, or what else its members coordinate; empty for a group that only commits.
    pub protocol_type: String,
    /// The assignor: `range`, `cooperative-sticky`, `uniform`, …
    pub assignor: String,
    /// How many rebalances it has been through; of the new protocol the group epoch.
    pub generation: i32,
    /// The member that decides, in a classic group.
    pub leader: Option<String>,
    /// Why it rebalances, or last did.
    pub cause: String,
    /// By member id.
    pub members: Vec<GroupMember>,
    /// By topic and partition.
    pub offsets: Vec<GroupOffset>,
}

/// One member of a group.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct GroupMember {
    pub id: String,
    /// `group.instance.id`: a static member.
    pub instance: Option<String>,
    pub client_id: String,
    /// As Kafka writes it: `/127.0.0.1`.
    pub host: String,
    /// The protocol it speaks itself: in a group of the new one there may be members of either.
    pub protocol: GroupType,
    /// The topics it subscribes to.
    pub subscribed: Vec<String>,
    /// What it is to read, by topic.
    pub assigned: Vec<TopicPartitions>,
    pub session_timeout_ms: i32,
    pub rebalance_timeout_ms: i32,
    /// The epoch it is in; of a classic group the generation.
    pub epoch: i32,
    /// Where it is on its way to what it is to own; `None` in a classic group.
    pub reconciliation: Option<Reconciliation>,
}

/// Where a member of the new protocol is on its way to what it is to own (KIP-848).
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Reconciliation {
    /// Kafka's name: `STABLE`, `UNREVOKED_PARTITIONS`, `UNRELEASED_PARTITIONS`.
    pub state: String,
    /// What it owns and is to give up.
    pub revoking: Vec<TopicPartitions>,
    /// What it is to own.
    pub target: Vec<TopicPartitions>,
}

/// Partitions of one topic.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct TopicPartitions {
    pub topic: String,
    pub partitions: Vec<PartitionIndex>,
}

/// What a group has committed for one partition.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct GroupOffset {
    pub topic: String,
    pub partition: PartitionIndex,
    /// The next offset it wants to read.
    pub committed: Offset,
    pub leader_epoch: LeaderEpoch,
    pub metadata: String,
    pub at: Time,
}

/// One partition a group reads or has read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GroupLag<'a> {
    pub topic: &'a str,
    pub partition: PartitionIndex,
    /// The member that reads it.
    pub owner: Option<&'a GroupMember>,
    pub committed: Option<Offset>,
    pub log_start: Offset,
    /// The high watermark: as far as consumers read.
    pub end: Offset,
}

impl GroupLag<'_> {
    /// Offsets between what is committed and the high watermark, as Kafka's tools count them. Without a commit nothing is
    /// known of how far it is.
    pub fn lag(&self) -> Option<i64> {
        Some((self.end - self.committed?).max(0))
    }

    /// How many records the group will be given of these at most: those that are still there.
    pub fn to_receive(&self) -> Option<i64> {
        Some((self.end - self.committed?.max(self.log_start)).max(0))
    }

    /// How many offsets behind what is committed were deleted before the group read them.
    pub fn deleted(&self) -> Option<i64> {
        Some((self.log_start.min(self.end) - self.committed?).max(0))
    }
}

impl GroupSnapshot {
    /// The member a partition is assigned to.
    pub fn owner(&self, topic: &str, partition: PartitionIndex) -> Option<&GroupMember> {
        let owns = |member: &&GroupMember| {
            let mut assigned = member.assigned.iter();
            assigned.any(|a| a.topic == topic && a.partitions.contains(&partition))
        };
        self.members.iter().find(owns)
    }

    /// What is committed for a partition.
    pub fn offset(&self, topic: &str, partition: PartitionIndex) -> Option<&GroupOffset> {
        let key = |offset: &GroupOffset| (offset.topic.as_str() == topic, offset.partition);
        self.offsets.iter().find(|o| key(o) == (true, partition))
    }

    /// Every partition it has committed or is to read, by topic and number. Partitions of topics that are gone are
    /// left out: nothing can be behind there.
    pub fn lags<'a>(&'a self, picture: &'a ClusterSnapshot) -> Vec<GroupLag<'a>> {
        let mut owners = std::collections::BTreeMap::new();
        for member in &self.members {
            for assigned in &member.assigned {
                for partition in &assigned.partitions {
                    owners.insert((assigned.topic.as_str(), *partition), member);
                }
            }
        }
        let committed = self.offsets.iter();
        let committed: std::collections::BTreeMap<_, _> = committed
            .map(|o| ((o.topic.as_str(), o.partition), o.committed))
            .collect();
        let keys = owners.keys().chain(committed.keys()).copied();
        let keys: std::collections::BTreeSet<_> = keys.collect();
        let one = |(topic, partition): (&'a str, PartitionIndex)| {
            let at = picture
                .topics
                .binary_search_by(|t| t.name.as_str().cmp(topic));
            let shown = &picture.topics[at.ok()?];
            let index = usize::try_from(partition.0).ok()?;
            let shown = shown.partitions.get(index)?;
            Some(GroupLag {
                topic,
                partition,
                owner: owners.get(&(topic, partition)).copied(),
                committed: committed.get(&(topic, partition)).copied(),
                log_start: shown.log_start,
                end: shown.high_watermark,
            })
        };
        keys.into_iter().filter_map(one).collect()
    }
}

impl ClusterSnapshot {
    /// The group with this name.
    pub fn group(&self, name: &str) -> Option<&Arc<GroupSnapshot>> {
        let at = self.groups.binary_search_by(|g| g.group.as_str().cmp(name));
        Some(&self.groups[at.ok()?])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lag_counts_offsets_and_what_is_received_begins_at_the_log_start() {
        let reads = |committed| GroupLag {
            topic: "t",
            partition: PartitionIndex(0),
            owner: None,
            committed,
            log_start: Offset(4_000),
            end: Offset(5_000),
        };
        let told = |committed: Option<i64>| {
            let reads = reads(committed.map(Offset));
            (reads.lag(), reads.to_receive(), reads.deleted())
        };
        assert_eq!(told(Some(4_200)), (Some(800), Some(800), Some(0)));
        assert_eq!(told(Some(1_000)), (Some(4_000), Some(1_000), Some(3_000)));
        // Behind the end, after records were lost: nothing is owed.
        assert_eq!(told(Some(6_000)), (Some(0), Some(0), Some(0)));
        assert_eq!(told(None), (None, None, None));
    }
}
