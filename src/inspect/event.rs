//! Notable things that happened, each with its cause.

use serde::{Deserialize, Serialize};

use super::snapshot::Durability;
use crate::ids::{BrokerEpoch, BrokerId, LeaderEpoch, Offset, PartitionIndex, Time};

/// One notable thing a broker reported, in the order it happened.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Event {
    /// Position in the cluster's sequence of events, from 1, without gaps.
    pub number: u64,
    pub time: Time,
    /// Who reports it; `None` for what happens to the whole cluster.
    pub broker: Option<BrokerId>,
    pub kind: EventKind,
}

impl Event {
    /// The broker it is about.
    pub fn about(&self) -> Option<BrokerId> {
        self.kind.subject().or(self.broker)
    }

    /// Who reports it: `broker 2`.
    pub fn reporter(&self) -> String {
        match self.broker {
            Some(broker) => format!("broker {broker}"),
            None => "the cluster".to_owned(),
        }
    }
}

/// What happened and why. The window turns each into a sentence with [`EventKind::sentence`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum EventKind {
    BrokerStarted {
        port: u16,
        /// How the previous run ended, and what opening its logs took.
        clean: bool,
        logs: u32,
        recovered_bytes: u64,
    },
    BrokerStopped {
        cause: String,
    },
    BrokerCrashed {
        message: String,
    },
    /// Ended from outside: connections reset, nothing flushed.
    BrokerKilled {
        cause: String,
    },
    BrokerPaused {
        cause: String,
    },
    BrokerResumed {
        cause: String,
    },
    /// A broker that was not part of the cluster before.
    BrokerAdded {
        port: u16,
        cause: String,
    },
    /// All brokers ended at once, and their files were cut to what was synced.
    PlugPulled {
        durability: Durability,
        brokers: u32,
        /// Files that lost their ends.
        files: u32,
        bytes: u64,
        cause: String,
    },
    /// The plug was pulled, and the longest copy left of a partition ends before the longest there was.
    RecordsLost {
        topic: String,
        partition: PartitionIndex,
        /// Where the longest copy ends now.
        from: Offset,
        /// Where the longest copy ended.
        below: Offset,
        /// How many of them lay below the high watermark.
        committed: u64,
        cause: String,
    },
    /// Nothing arrives any more from this broker at another.
    LinkCut {
        to: BrokerId,
        cause: String,
    },
    /// Everything from this broker to another takes longer.
    LinkSlowed {
        to: BrokerId,
        delay_ms: u64,
        cause: String,
    },
    /// What goes from this broker to another is as good as new.
    LinkHealed {
        to: BrokerId,
        cause: String,
    },
    /// A second of the cluster takes so many seconds from now on.
    TimeSlowed {
        times: u32,
        cause: String,
    },
    TimePaused {
        cause: String,
    },
    TimeResumed {
        cause: String,
    },
    /// One message was let through, from the reporting broker.
    MessageStepped {
        to: BrokerId,
        api: String,
        answer: bool,
    },
    /// Nothing of what followers ask of leaders arrives any more.
    ReplicationFrozen {
        cause: String,
    },
    ReplicationThawed {
        cause: String,
    },
    /// A broker's incarnation is known to the controller; it is fenced until it has caught up.
    BrokerRegistered {
        subject: BrokerId,
        epoch: BrokerEpoch,
        cause: String,
    },
    BrokerUnregistered {
        subject: BrokerId,
        cause: String,
    },
    /// The controller gives a broker up: it has the voters agree to fence it.
    BrokerUnheard {
        subject: BrokerId,
        /// When its connection was lost, if that is how the silence began: it is then given a third of the time.
        lost: Option<Time>,
        /// Since its last heartbeat, or since its connection was lost.
        waited_ms: u64,
        /// broker.session.timeout.ms.
        timeout_ms: i64,
    },
    /// The controller has it lead nothing and be in no ISR any more.
    BrokerFenced {
        subject: BrokerId,
        cause: String,
    },
    BrokerUnfenced {
        subject: BrokerId,
        cause: String,
    },
    /// A controlled shutdown: others lead what it led.
    ShutdownBegan {
        subject: BrokerId,
        cause: String,
    },
    /// The reporting broker decides from now on.
    ControllerChanged {
        from: Option<BrokerId>,
        epoch: LeaderEpoch,
        cause: String,
    },
    LeaderElected {
        topic: String,
        partition: PartitionIndex,
        from: Option<BrokerId>,
        /// `None`: nobody may lead.
        to: Option<BrokerId>,
        epoch: LeaderEpoch,
        /// Records may be lost by it.
        unclean: bool,
        cause: String,
    },
    /// The first produce was acknowledged in a leader epoch that began because the leader before was gone.
    FirstProduceAcked {
        topic: String,
        partition: PartitionIndex,
        epoch: LeaderEpoch,
        /// Who led before; `None` where nobody did.
        after: Option<BrokerId>,
    },
    IsrChanged {
        topic: String,
        partition: PartitionIndex,
        from: Vec<BrokerId>,
        to: Vec<BrokerId>,
        cause: String,
    },
    ReassignmentBegan {
        topic: String,
        partition: PartitionIndex,
        adding: Vec<BrokerId>,
        removing: Vec<BrokerId>,
        cause: String,
    },
    ReassignmentEnded {
        topic: String,
        partition: PartitionIndex,
        replicas: Vec<BrokerId>,
        cause: String,
    },
    /// Leaders, in-sync replicas and reassignments that were not told one by one.
    MorePartitionsChanged {
        count: u64,
        cause: String,
    },
    /// A follower removed what its leader does not have.
    LogTruncated {
        topic: String,
        partition: PartitionIndex,
        from: Offset,
        to: Offset,
        /// The high watermark, if the cut goes below it: committed records are gone.
        below_high_watermark: Option<Offset>,
        cause: String,
    },
    TopicCreated {
        topic: String,
        partitions: i32,
        cause: String,
    },
    TopicDeleted {
        topic: String,
        cause: String,
    },
    PartitionsAdded {
        topic: String,
        from: i32,
        to: i32,
        cause: String,
    },
    ConfigChanged {
        topic: String,
        key: String,
        from: String,
        to: String,
        cause: String,
    },
    SegmentRolled {
        topic: String,
        partition: PartitionIndex,
        base_offset: Offset,
        cause: String,
    },
    SegmentsDeleted {
        topic: String,
        partition: PartitionIndex,
        log_start: Offset,
        bytes: u64,
        cause: String,
    },
    LogRecovered {
        topic: String,
        partition: PartitionIndex,
        log_end: Offset,
        cut_bytes: u64,
        cause: String,
    },
    LogDamaged {
        topic: String,
        partition: PartitionIndex,
        offset: Offset,
        cause: String,
    },
    /// A consumer group went over to another state.
    GroupChanged {
        group: String,
        from: String,
        to: String,
        generation: i32,
        members: u32,
        cause: String,
    },
    /// A broker gave up its copy of a partition's records and fetches them again.
    ReplicaRenewed {
        topic: String,
        partition: PartitionIndex,
        /// Where the damaged files are now; `None` after a failed sync: what was synced before is kept.
        aside: Option<String>,
        cause: String,
    },
    /// A broker wrote down what all metadata committed in front of an offset comes to.
    SnapshotWritten {
        offset: Offset,
        bytes: u64,
    },
    /// A broker took over the controller's snapshot, because the log it would have read on is gone.
    SnapshotFetched {
        offset: Offset,
        bytes: u64,
        from: BrokerId,
    },
    /// A snapshot is not what was written; another serves, or it is made or fetched again.
    SnapshotDamaged {
        offset: Offset,
        cause: String,
    },
    StorageFailed {
        path: String,
        cause: String,
    },
    StorageHealed {
        path: String,
    },
    ConnectionRefused {
        peer: String,
        cause: String,
    },
    LimitReached {
        /// Of what there are too many, and for what.
        what: String,
        limit: u64,
    },
}

/// How an event is coloured: health and nothing else.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Severity {
    Neutral,
    Good,
    Warning,
    Bad,
}

impl EventKind {
    /// Whether the event is good or bad news.
    pub fn severity(&self) -> Severity {
        use EventKind::*;
        match self {
            LeaderElected { unclean: true, .. }
            | LeaderElected { to: None, .. }
            | LogTruncated {
                below_high_watermark: Some(_),
                ..
            }
            | BrokerCrashed { .. }
            | BrokerKilled { .. }
            | PlugPulled { .. }
            | RecordsLost { .. }
            | LinkCut { .. }
            | StorageFailed { .. }
            | SnapshotDamaged { .. }
            | LogDamaged { .. } => Severity::Bad,
            BrokerStarted { clean: true, .. } | StorageHealed { .. } => Severity::Good,
            BrokerResumed { .. }
            | BrokerAdded { .. }
            | BrokerUnfenced { .. }
            | FirstProduceAcked { .. }
            | LinkHealed { .. } => Severity::Good,
            IsrChanged { from, to, .. } if to.len() > from.len() => Severity::Good,
            IsrChanged { from, to, .. } if to.len() < from.len() => Severity::Warning,
            BrokerUnheard { .. }
            | BrokerFenced { .. }
            | LogTruncated { .. }
            | ReplicaRenewed { .. } => Severity::Warning,
            BrokerStarted { .. }
            | BrokerPaused { .. }
            | LinkSlowed { .. }
            | LimitReached { .. }
            | ConnectionRefused { .. } => Severity::Warning,
            LogRecovered { cut_bytes, .. } if *cut_bytes > 0 => Severity::Warning,
            _ => Severity::Neutral,
        }
    }

    /// The topic (and partition) the event is about, if it is about one.
    pub fn topic(&self) -> Option<(&str, Option<PartitionIndex>)> {
        use EventKind::*;
        match self {
            TopicCreated { topic, .. }
            | TopicDeleted { topic, .. }
            | PartitionsAdded { topic, .. }
            | ConfigChanged { topic, .. } => Some((topic, None)),
            LeaderElected {
                topic, partition, ..
            }
            | FirstProduceAcked {
                topic, partition, ..
            }
            | IsrChanged {
                topic, partition, ..
            }
            | ReassignmentBegan {
                topic, partition, ..
            }
            | ReassignmentEnded {
                topic, partition, ..
            }
            | LogTruncated {
                topic, partition, ..
            }
            | SegmentRolled {
                topic, partition, ..
            }
            | SegmentsDeleted {
                topic, partition, ..
            }
            | LogRecovered {
                topic, partition, ..
            }
            | LogDamaged {
                topic, partition, ..
            }
            | RecordsLost {
                topic, partition, ..
            }
            | ReplicaRenewed {
                topic, partition, ..
            } => Some((topic, Some(*partition))),
            _ => None,
        }
    }

    /// The brokers that lead, led, joined, left, get or give a replica by it.
    pub fn moves(&self) -> Vec<BrokerId> {
        use EventKind::*;
        match self {
            LeaderElected { from, to, .. } => from.iter().chain(to).copied().collect(),
            IsrChanged { from, to, .. } => {
                let changed = |id: &&BrokerId| from.contains(id) != to.contains(id);
                from.iter().chain(to).filter(changed).copied().collect()
            }
            ReassignmentBegan {
                adding, removing, ..
            } => adding.iter().chain(removing).copied().collect(),
            ReassignmentEnded { replicas, .. } => replicas.clone(),
            _ => Vec::new(),
        }
    }

    /// The other end of the link that it happened to.
    pub fn link_to(&self) -> Option<BrokerId> {
        use EventKind::*;
        match self {
            LinkCut { to, .. } | LinkSlowed { to, .. } | LinkHealed { to, .. } => Some(*to),
            _ => None,
        }
    }

    /// The broker the event is about, if that is another than the one that reports it.
    pub fn subject(&self) -> Option<BrokerId> {
        use EventKind::*;
        match self {
            BrokerRegistered { subject, .. }
            | BrokerUnregistered { subject, .. }
            | BrokerUnheard { subject, .. }
            | BrokerFenced { subject, .. }
            | BrokerUnfenced { subject, .. }
            | ShutdownBegan { subject, .. } => Some(*subject),
            _ => None,
        }
    }
}
