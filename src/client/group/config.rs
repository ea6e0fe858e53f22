//! How a member of a group is set up: Kafka's consumer configurations by other spellings, with Kafka's defaults.

use super::assignors::Assignor;
use crate::client::{CallError, LinksConfig};

/// Topics one member may subscribe to.
pub const MAX_TOPICS: usize = 1_000;

/// What a member of a consumer group does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GroupConfig {
    pub links: LinksConfig,
    /// `group.id`.
    pub group_id: String,
    pub subscription: Subscription,
    pub protocol: GroupProtocol,
    /// `group.instance.id` (KIP-345): makes the member static.
    pub instance_id: Option<String>,
    /// `session.timeout.ms`; the classic protocol only.
    pub session_timeout_ms: i32,
    /// `heartbeat.interval.ms`; the classic protocol only.
    pub heartbeat_interval_ms: i32,
    /// `max.poll.interval.ms`: how long records may be processed before the member leaves. Also how long a
    /// rebalance waits for it, as in Kafka's own consumer.
    pub max_poll_interval_ms: i32,
    /// `max.poll.records`; at least 1.
    pub max_poll_records: usize,
    /// `auto.offset.reset`.
    pub reset: OffsetReset,
    pub commit: CommitPolicy,
    /// `metadata.max.age.ms`: how soon a leader sees that a topic has more partitions.
    pub metadata_max_age_ms: i64,
}

/// How the members of a group agree who reads what: `group.protocol`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum GroupProtocol {
    /// A member computes the assignment. The assignors stand in order of preference. Cooperative is the group only
    /// if all of them are.
    Classic { assignors: Vec<Assignor> },
    /// The coordinator computes it (KIP-848).
    Consumer {
        /// Made by whoever makes the member, never used for another: 16 random bytes as Kafka prints ids.
        member_id: String,
        /// `group.remote.assignor`; `None` leaves it to the coordinator.
        assignor: Option<String>,
    },
}

/// What a member wants to read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Subscription {
    Topics(Vec<String>),
    /// Every topic whose whole name matches, but internal ones. The member matches in the classic protocol, the
    /// coordinator in KIP-848's.
    Pattern(String),
}

/// Where reading starts where nothing is committed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum OffsetReset {
    Earliest,
    #[default]
    Latest,
    /// The partition is not read, and says so.
    None,
}

/// When offsets are committed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CommitPolicy {
    /// Records are given out once their offsets are committed: at most once.
    BeforeProcessing,
    /// As soon as records are processed: at least once. Where reading began counts as processed, as it does for
    /// Kafka's own consumer.
    AfterProcessing,
    /// What is processed, after each interval (`auto.commit.interval.ms`) and before partitions are given up.
    Interval { ms: i64 },
    /// Only when [`commit`](super::GroupConsumer::commit) says so.
    Never,
}

impl GroupConfig {
    /// A dynamic member with Kafka's defaults, but committing after processing.
    pub fn new(links: LinksConfig, group_id: &str, topics: &[&str]) -> GroupConfig {
        GroupConfig {
            links,
            group_id: group_id.to_owned(),
            subscription: Subscription::Topics(
                topics.iter().map(|topic| (*topic).to_owned()).collect(),
            ),
            protocol: GroupProtocol::Classic {
                assignors: vec![Assignor::Range],
            },
            instance_id: None,
            session_timeout_ms: 45_000,
            heartbeat_interval_ms: 3_000,
            max_poll_interval_ms: 300_000,
            max_poll_records: 500,
            reset: OffsetReset::default(),
            commit: CommitPolicy::AfterProcessing,
            metadata_max_age_ms: 300_000,
        }
    }

    pub(super) fn check(&self) -> Result<(), CallError> {
        let topics = match &self.subscription {
            Subscription::Topics(topics) => topics.len(),
            Subscription::Pattern(pattern) => pattern.len().min(1),
        };
        let (no_assignor, no_id) = match &self.protocol {
            GroupProtocol::Classic { assignors } => (assignors.is_empty(), false),
            GroupProtocol::Consumer { member_id, .. } => (false, member_id.is_empty()),
        };
        let wrong = if self.group_id.is_empty() {
            "a consumer group needs a group.id"
        } else if !(1..=MAX_TOPICS).contains(&topics) {
            "subscribe to at least one topic, and to no more than a thousand"
        } else if no_assignor {
            "the classic protocol needs an assignor"
        } else if no_id {
            "a member of KIP-848's protocol brings its id"
        } else if self.heartbeat_interval_ms < 1
            || self.heartbeat_interval_ms >= self.session_timeout_ms
        {
            "heartbeat.interval.ms must be below session.timeout.ms"
        } else if self.max_poll_records == 0 || self.max_poll_interval_ms < 1 {
            "max.poll.records and max.poll.interval.ms must be above 0"
        } else if matches!(self.commit, CommitPolicy::Interval { ms } if ms < 1) {
            "auto.commit.interval.ms must be above 0"
        } else {
            return Ok(());
        };
        Err(CallError::Settings(wrong))
    }
}
