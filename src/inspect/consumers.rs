//! klar's own consumers: what one is asked to do, and how pictures show it.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::Failure;
use crate::ids::{BrokerId, Offset, PartitionIndex, Time};

/// What one consumer does.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ConsumerPlan {
    pub reads: ConsumerReads,
    /// Records processed a second at most, up to [`MAX_CONSUMER_RATE`]; 0 is as fast as possible.
    pub rate: f64,
}

/// What a consumer reads, and how it knows where to begin.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ConsumerReads {
    /// What its group gives it.
    Group(MemberPlan),
    /// What it is told to. It commits nothing.
    Standalone {
        topic: String,
        /// `None` is all partitions, those that are added later, too.
        partition: Option<PartitionIndex>,
        from: ReadFrom,
    },
}

/// A member of a consumer group.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MemberPlan {
    pub group: String,
    pub subscription: Subscribed,
    pub protocol: MemberProtocol,
    /// `group.instance.id`: makes the member static.
    pub instance: Option<String>,
    pub reset: AutoOffsetReset,
    pub commit: CommitWhen,
    /// `max.poll.records`, 1 to [`MAX_POLL_RECORDS`]: records taken at once. They are processed one after another,
    /// and count as processed together.
    pub max_poll_records: u32,
}

/// The topics a member subscribes to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Subscribed {
    Topics(Vec<String>),
    /// Every topic whose whole name matches this regular expression.
    Pattern(String),
}

/// `group.protocol` with what belongs to it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MemberProtocol {
    /// A member computes the assignment.
    Classic {
        assignor: ClassicAssignor,
        /// `session.timeout.ms`.
        session_timeout_ms: i32,
    },
    /// KIP-848: the coordinator computes it.
    Consumer {
        /// `group.remote.assignor`; `None` leaves it to the coordinator.
        assignor: Option<String>,
    },
}

/// `partition.assignment.strategy`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ClassicAssignor {
    #[default]
    Range,
    #[serde(rename = "roundrobin")]
    RoundRobin,
    Sticky,
    CooperativeSticky,
}

impl ClassicAssignor {
    pub const ALL: [ClassicAssignor; 4] = [
        ClassicAssignor::Range,
        ClassicAssignor::RoundRobin,
        ClassicAssignor::Sticky,
        ClassicAssignor::CooperativeSticky,
    ];

    /// Kafka's name.
    pub const fn name(self) -> &'static str {
        match self {
            ClassicAssignor::Range => "range",
            ClassicAssignor::RoundRobin => "roundrobin",
            ClassicAssignor::Sticky => "sticky",
            ClassicAssignor::CooperativeSticky => "cooperative-sticky",
        }
    }
}

/// `auto.offset.reset`: where reading begins where nothing is committed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AutoOffsetReset {
    Earliest,
    #[default]
    Latest,
}

/// When a member commits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CommitWhen {
    /// What a poll brought, and only then processes it: at most once.
    Before,
    /// What a poll brought, once it is processed: at least once.
    #[default]
    After,
    /// What is processed, every so often (`auto.commit.interval.ms`).
    Interval {
        ms: u32,
    },
    Never,
}

/// Where a standalone consumer begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ReadFrom {
    #[default]
    Earliest,
    Latest,
    Offset(Offset),
    /// Milliseconds since the Unix epoch.
    TimeMs(i64),
}

/// Records per second a consumer may be limited to.
pub const MAX_CONSUMER_RATE: f64 = 200_000.0;

/// The most that `max.poll.records` may be.
pub const MAX_POLL_RECORDS: u32 = 10_000;

/// Consumers that may run at a time.
pub const CONSUMERS_RUNNING: usize = 64;

/// Ended consumers that are still shown.
pub const CONSUMERS_ENDED: usize = 16;

/// Partitions of a consumer that pictures show.
pub const CONSUMED_SHOWN: usize = 200;

/// Records of a consumer that pictures show, the newest it processed.
pub const RECORDS_SHOWN: usize = 8;

/// Bytes of a key and of a value they show.
pub const CONSUMED_BYTES: usize = 96;

/// One of klar's own consumers.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ConsumerSnapshot {
    pub id: u64,
    pub client_id: String,
    pub plan: ConsumerPlan,
    pub state: ConsumerState,
    /// Since when it is in this state.
    pub since: Time,
    /// What its group knows it by; `None` of a standalone consumer.
    pub member: Option<MembershipSnapshot>,
    /// What it has to read, by topic and partition, the first [`CONSUMED_SHOWN`].
    pub partitions: Vec<ConsumedPartition>,
    /// How many that are.
    pub partition_count: u32,
    /// Records taken and not processed yet.
    pub in_hand: u64,
    /// Records processed, and what their keys and values come to.
    pub records: u64,
    pub bytes: u64,
    /// The newest that were processed, the newest first.
    pub newest: Arc<Vec<ConsumedRecord>>,
    pub last_error: Option<Failure>,
}

/// What a consumer does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ConsumerState {
    Running,
    /// Takes no records; a member stays in its group.
    Paused,
    /// Leaves its group.
    Stopping,
    /// Has left as it was told to.
    Stopped,
    /// Ended on the spot: its connections closed, and nobody was told.
    Crashed,
    /// Its coordinator will not have it, or what it read is damaged.
    Failed,
}

/// A consumer's place in its group, as the consumer itself knows it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct MembershipSnapshot {
    /// Empty until it has one.
    pub id: String,
    /// The group's generation, or the member's epoch; −1 outside of the group.
    pub generation: i32,
    /// Where it stands: `stable`, `joining`, …
    pub state: &'static str,
    /// It computes the assignment.
    pub leads: bool,
    pub assignor: Option<String>,
    pub coordinator: Option<BrokerId>,
}

/// One partition of a consumer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ConsumedPartition {
    pub topic: String,
    pub partition: PartitionIndex,
    /// The first offset that is not processed; `None` until it is known where to begin.
    pub position: Option<Offset>,
    /// As far as this consumer knows.
    pub committed: Option<Offset>,
    pub paused: bool,
}

/// A record a consumer has processed, shortened.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ConsumedRecord {
    pub topic: String,
    pub partition: PartitionIndex,
    pub offset: Offset,
    /// Milliseconds since the Unix epoch.
    pub timestamp_ms: i64,
    /// The first [`CONSUMED_BYTES`]; `None` is a null key.
    pub key: Option<Vec<u8>>,
    /// murmur2 of the whole key.
    pub key_hash: Option<u32>,
    /// The first [`CONSUMED_BYTES`]; `None` is a tombstone.
    pub value: Option<Vec<u8>>,
}

impl ConsumerPlan {
    /// The group it belongs to, if it does.
    pub fn group(&self) -> Option<&str> {
        match &self.reads {
            ConsumerReads::Group(member) => Some(&member.group),
            ConsumerReads::Standalone { .. } => None,
        }
    }

    /// What it reads, in words: `orders, clicks`, `topics like shop\..*`, `orders-2`.
    pub fn subject(&self) -> String {
        match &self.reads {
            ConsumerReads::Group(member) => match &member.subscription {
                Subscribed::Topics(topics) => topics.join(", "),
                Subscribed::Pattern(pattern) => format!("topics like {pattern}"),
            },
            ConsumerReads::Standalone {
                topic,
                partition: Some(partition),
                ..
            } => format!("{topic}-{partition}"),
            ConsumerReads::Standalone { topic, .. } => topic.clone(),
        }
    }
}

impl ConsumerState {
    /// It still exists.
    pub fn is_alive(self) -> bool {
        matches!(
            self,
            ConsumerState::Running | ConsumerState::Paused | ConsumerState::Stopping
        )
    }
}

impl super::ClusterSnapshot {
    /// klar's own consumer that is this member of a group; a crashed one is until the coordinator has found out.
    pub fn own_member(&self, group: &str, member: &str) -> Option<&ConsumerSnapshot> {
        let is_it = |consumer: &&ConsumerSnapshot| {
            let known = consumer.member.as_ref().map(|known| known.id.as_str());
            consumer.plan.group() == Some(group) && known == Some(member)
        };
        self.consumers.iter().rev().find(is_it)
    }
}
