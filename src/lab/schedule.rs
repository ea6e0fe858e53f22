//! Everything that decides a run, as plain values that can be kept in a file.
//!
//! A schedule is made up front, by [`plan`](super::plan()), by hand, or by shrinking another one. Nothing in a run
//! depends on anything else.

use serde::{Deserialize, Serialize};

use crate::ids::{BrokerId, PartitionIndex};
use crate::inspect::{Acks, Compression, Durability};
use crate::links::{End, Wire};

/// The format of schedule files; others are refused.
const VERSION: u32 = 1;

/// One run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Schedule {
    pub version: u32,
    pub seed: u64,
    pub profile: String,
    pub brokers: u32,
    /// So many of the last brokers begin only when they are told to join.
    #[serde(default)]
    pub late: u32,
    pub durability: Durability,
    /// When writers stop and everything is healed, milliseconds from the start.
    pub length_ms: i64,
    /// One way between a client and a broker, or between brokers: from, to, microseconds.
    pub latency_us: (u64, u64),
    /// How long the sync of one file takes: from, to, microseconds.
    pub sync_us: (u64, u64),
    /// Broker configurations.
    pub settings: Vec<(String, String)>,
    pub topics: Vec<TopicPlan>,
    pub writers: Vec<WriterPlan>,
    pub readers: Vec<ReaderPlan>,
    #[serde(default)]
    pub members: Vec<MemberPlan>,
    /// In the order of their times.
    pub faults: Vec<Planned>,
}

/// A topic.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TopicPlan {
    pub name: String,
    pub partitions: i32,
    pub replication_factor: i16,
    pub configs: Vec<(String, String)>,
    /// When it is made, milliseconds from the start.
    #[serde(default)]
    pub at_ms: i64,
}

/// A producer and what it writes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct WriterPlan {
    pub acks: Acks,
    pub idempotence: bool,
    pub compression: Compression,
    pub records_per_s: u32,
    /// Bytes of a value: from, to.
    pub value_bytes: (u64, u64),
    pub linger_ms: i64,
    pub request_timeout_ms: i64,
    pub delivery_timeout_ms: i64,
}

/// A consumer of every partition.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReaderPlan {
    pub max_wait_ms: i32,
    pub partition_max_bytes: i32,
    pub request_timeout_ms: i64,
}

/// A member of a consumer group.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MemberPlan {
    pub group: u32,
    /// By Kafka's name; the same for all members of a group.
    pub assignor: String,
    pub session_timeout_ms: i32,
    pub max_poll_interval_ms: i32,
    /// `before` processing, `after` it, or at an `interval`.
    pub commits: String,
    /// Records it takes at once, at most.
    pub records: usize,
    /// How long it processes what it took.
    pub slow_ms: i64,
    /// It has a `group.instance.id`.
    pub is_static: bool,
}

/// A fault and its moment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Planned {
    /// Milliseconds from the start.
    pub at_ms: i64,
    #[serde(flatten)]
    pub fault: Fault,
}

/// Something that goes wrong.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "fault", rename_all = "snake_case")]
pub enum Fault {
    /// A broker's process dies. What it wrote stays in the system's cache.
    Kill { broker: BrokerId, down_ms: i64 },
    /// A broker's process dies within the disk operation that is so many after now; of a write, the first
    /// `short_write` bytes arrive.
    KillInDisk {
        broker: BrokerId,
        operations: u64,
        short_write: usize,
        down_ms: i64,
    },
    /// A broker is stopped cleanly.
    Stop { broker: BrokerId, down_ms: i64 },
    /// Everything dies at once, and a random part of what was not synced is gone.
    PowerLoss { down_ms: i64 },
    /// A broker's process dies, and while it is down a bit turns over in what it has of each partition that another
    /// has in sync.
    Rot { broker: BrokerId, down_ms: i64 },
    /// A broker neither hears nor does anything for a while, and does not know it.
    Pause { broker: BrokerId, for_ms: i64 },
    /// A wire becomes this.
    Wire {
        from: End,
        to: End,
        wire: Wire,
        for_ms: i64,
    },
    /// A member of a group ends, and another one starts in its place: it leaves the group first, or just dies.
    Member { member: u32, leaves: bool },
    /// Every connection to a broker is reset.
    Reset { broker: BrokerId },
    /// Disk operations fail.
    Disk {
        broker: BrokerId,
        verb: DiskVerb,
        error: DiskError,
        /// Bytes of a write that still arrive.
        short_write: usize,
        times: u32,
        for_ms: i64,
    },
    /// Syncs take this much longer.
    SlowSync {
        broker: BrokerId,
        by_us: u64,
        for_ms: i64,
    },
    /// A writer or reader dies and another one takes its place: writers first, then readers, from 0.
    Client { number: u32 },
    /// Records before a part of the log (percent of what is acked) are deleted.
    DeleteRecords {
        topic: u32,
        partition: PartitionIndex,
        percent: u32,
    },
    /// A broker that was to come late begins.
    Join { broker: BrokerId },
    /// A topic is deleted, while clients use it.
    DeleteTopic { topic: u32 },
    /// A topic gets more partitions.
    AddPartitions { topic: u32, more: i32 },
    /// `min.insync.replicas` of a topic changes.
    SetMinInsync { topic: u32, to: u32 },
    /// A leader is elected: the preferred one, or any if records may be lost.
    Elect {
        topic: u32,
        partition: PartitionIndex,
        unclean: bool,
    },
    /// A partition moves to these brokers.
    Reassign {
        topic: u32,
        partition: PartitionIndex,
        replicas: Vec<BrokerId>,
    },
}

/// What a disk is asked to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DiskVerb {
    Write,
    Read,
    Truncate,
    Sync,
    Rename,
    Remove,
    MakeDir,
    List,
}

/// What it answers instead of doing it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DiskError {
    /// EIO.
    Broken,
    /// ENOSPC.
    Full,
}

/// Why a file is no schedule.
#[derive(Debug, thiserror::Error)]
pub enum ScheduleError {
    #[error("not a schedule: {0}")]
    Json(#[from] serde_json::Error),
    #[error("a schedule of format {0}, this klar reads format {VERSION}")]
    Version(u32),
    #[error("a schedule names broker {0}, and it has {1}")]
    NoSuchBroker(BrokerId, u32),
}

impl Schedule {
    /// The same without its last member of a group and what happens to it.
    pub fn without_last_member(&self) -> Option<Schedule> {
        let mut fewer = self.clone();
        fewer.members.pop()?;
        let left = fewer.members.len();
        fewer.faults.retain(|planned| match planned.fault {
            Fault::Member { member, .. } => (member as usize) < left,
            _ => true,
        });
        Some(fewer)
    }

    /// A run in which nothing goes wrong and nobody does anything.
    pub fn new(seed: u64, profile: &str) -> Schedule {
        Schedule {
            version: VERSION,
            seed,
            profile: profile.to_owned(),
            brokers: 1,
            late: 0,
            durability: Durability::Os,
            length_ms: 5_000,
            latency_us: (50, 300),
            sync_us: (500, 5_000),
            settings: Vec::new(),
            topics: Vec::new(),
            writers: Vec::new(),
            readers: Vec::new(),
            members: Vec::new(),
            faults: Vec::new(),
        }
    }

    /// Whether records of a topic may be lost by an election that was allowed to.
    pub fn may_lose_by_election(&self, topic: u32) -> bool {
        let allows = |(name, value): &(String, String)| {
            name == "unclean.leader.election.enable" && value == "true"
        };
        let asked = |planned: &Planned| match planned.fault {
            Fault::Elect {
                topic: of, unclean, ..
            } => unclean && of == topic,
            _ => false,
        };
        let plan = self.topics.get(topic as usize);
        plan.is_some_and(|plan| plan.configs.iter().any(allows)) || self.faults.iter().any(asked)
    }

    /// As it is kept in a file.
    pub fn to_json(&self) -> String {
        serde_json::to_string_pretty(self).expect("plain values have a text")
    }

    /// Reads a file's text.
    ///
    /// # Errors
    /// It is no schedule, or one of another format.
    pub fn from_json(text: &str) -> Result<Schedule, ScheduleError> {
        let schedule: Schedule = serde_json::from_str(text)?;
        if schedule.version != VERSION {
            return Err(ScheduleError::Version(schedule.version));
        }
        let named = schedule.faults.iter().filter_map(|p| p.fault.broker());
        let known = |id: &BrokerId| (1..=schedule.brokers.cast_signed()).contains(&id.0);
        if let Some(unknown) = named.into_iter().find(|id| !known(id)) {
            return Err(ScheduleError::NoSuchBroker(unknown, schedule.brokers));
        }
        Ok(schedule)
    }
}

impl Fault {
    /// The broker it strikes, if it strikes one.
    pub fn broker(&self) -> Option<BrokerId> {
        match self {
            Fault::Kill { broker, .. }
            | Fault::KillInDisk { broker, .. }
            | Fault::Stop { broker, .. }
            | Fault::Rot { broker, .. }
            | Fault::Pause { broker, .. }
            | Fault::Reset { broker }
            | Fault::Join { broker }
            | Fault::Disk { broker, .. }
            | Fault::SlowSync { broker, .. } => Some(*broker),
            Fault::PowerLoss { .. }
            | Fault::Wire { .. }
            | Fault::Client { .. }
            | Fault::Member { .. }
            | Fault::DeleteRecords { .. }
            | Fault::DeleteTopic { .. }
            | Fault::AddPartitions { .. }
            | Fault::SetMinInsync { .. }
            | Fault::Elect { .. }
            | Fault::Reassign { .. } => None,
        }
    }

    /// Its kind, as counted.
    pub fn kind(&self) -> &'static str {
        match self {
            Fault::Kill { .. } => "kill",
            Fault::KillInDisk { .. } => "kill in a disk operation",
            Fault::Stop { .. } => "clean stop",
            Fault::PowerLoss { .. } => "power loss",
            Fault::Rot { .. } => "bits flipped",
            Fault::Pause { .. } => "pause",
            Fault::Wire { wire, .. } if wire.cut => "cut",
            Fault::Wire { wire, .. } if wire.held => "hold",
            Fault::Wire { wire, .. } if wire.drop_per_mille > 0 => "lossy wire",
            Fault::Wire { .. } => "slow wire",
            Fault::Reset { .. } => "connections reset",
            Fault::Disk {
                verb: DiskVerb::Sync,
                ..
            } => "failed sync",
            Fault::Disk {
                error: DiskError::Full,
                ..
            } => "full disk",
            Fault::Disk { .. } => "broken disk",
            Fault::SlowSync { .. } => "slow sync",
            Fault::Client { .. } => "client dies",
            Fault::Member { leaves: true, .. } => "member leaves",
            Fault::Member { .. } => "member dies",
            Fault::DeleteRecords { .. } => "records deleted",
            Fault::Join { .. } => "broker joins",
            Fault::DeleteTopic { .. } => "topic deleted",
            Fault::AddPartitions { .. } => "partitions added",
            Fault::SetMinInsync { .. } => "min.insync.replicas changed",
            Fault::Elect { unclean: true, .. } => "unclean election",
            Fault::Elect { .. } => "preferred election",
            Fault::Reassign { .. } => "partition moved",
        }
    }
}
