//! Notable things that happened, each with its cause.

use serde::{Deserialize, Serialize};

use crate::ids::{BrokerId, Offset, PartitionIndex, Time};

/// One notable thing a broker reported, in the order it happened.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Event {
    /// Position in the cluster's sequence of events, from 1, without gaps.
    pub number: u64,
    pub time: Time,
    pub broker: BrokerId,
    pub kind: EventKind,
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
    /// The event as one plain sentence with its cause.
    #[expect(clippy::too_many_lines, reason = "a table: one arm per kind of event")]
    pub fn sentence(&self) -> String {
        use EventKind::*;
        match self {
            BrokerStarted {
                port,
                clean,
                logs,
                recovered_bytes,
            } if *clean => format!(
                "Listening on port {port} after a clean stop: {logs} logs opened, {recovered_bytes} bytes checked."
            ),
            BrokerStarted {
                port,
                logs,
                recovered_bytes,
                ..
            } => format!(
                "Listening on port {port} after an unclean stop: {logs} logs opened, {recovered_bytes} bytes checked."
            ),
            BrokerStopped { cause } => format!("Stopped: {cause}."),
            BrokerCrashed { message } => format!("Crashed: {message}"),
            BrokerKilled { cause } => {
                format!("Killed, its connections reset and nothing flushed: {cause}.")
            }
            BrokerPaused { cause } => format!("Stands still: {cause}."),
            BrokerResumed { cause } => format!("Goes on: {cause}."),
            BrokerAdded { port, cause } => format!("New in the cluster, on port {port}: {cause}."),
            LinkCut { to, cause } => format!("Nothing reaches broker {to} from here: {cause}."),
            LinkSlowed {
                to,
                delay_ms,
                cause,
            } => format!("Everything takes {delay_ms} ms longer to broker {to}: {cause}."),
            LinkHealed { to, cause } => {
                format!("The link to broker {to} is as good as new: {cause}.")
            }
            TopicCreated {
                topic,
                partitions,
                cause,
            } => {
                format!("Topic {topic} created with {partitions} partitions: {cause}.")
            }
            TopicDeleted { topic, cause } => format!("Topic {topic} deleted: {cause}."),
            PartitionsAdded {
                topic,
                from,
                to,
                cause,
            } => {
                format!("Topic {topic} grew from {from} to {to} partitions: {cause}.")
            }
            ConfigChanged {
                topic,
                key,
                from,
                to,
                cause,
            } => {
                format!("{topic}: {key} changed from {from} to {to}: {cause}.")
            }
            SegmentRolled {
                topic,
                partition,
                base_offset,
                cause,
            } => {
                format!("{topic}-{partition} began a new segment at offset {base_offset}: {cause}.")
            }
            SegmentsDeleted {
                topic,
                partition,
                log_start,
                bytes,
                cause,
            } => format!(
                "{topic}-{partition} now starts at offset {log_start}, {bytes} bytes deleted: {cause}."
            ),
            LogRecovered {
                topic,
                partition,
                log_end,
                cut_bytes,
                cause,
            } => format!(
                "{topic}-{partition} recovered to log end {log_end}, {cut_bytes} bytes cut: {cause}."
            ),
            LogDamaged {
                topic,
                partition,
                offset,
                cause,
            } => {
                format!("{topic}-{partition} is damaged at offset {offset}: {cause}.")
            }
            StorageFailed { path, cause } => format!("Writing {path} failed: {cause}."),
            StorageHealed { path } => format!("Writing {path} works again."),
            ConnectionRefused { peer, cause } => {
                format!("Closed a connection from {peer}: {cause}.")
            }
        }
    }

    /// Whether the event is good or bad news.
    pub fn severity(&self) -> Severity {
        use EventKind::*;
        match self {
            BrokerCrashed { .. }
            | BrokerKilled { .. }
            | LinkCut { .. }
            | StorageFailed { .. }
            | LogDamaged { .. } => Severity::Bad,
            BrokerStarted { clean: true, .. } | StorageHealed { .. } => Severity::Good,
            BrokerResumed { .. } | BrokerAdded { .. } | LinkHealed { .. } => Severity::Good,
            BrokerStarted { .. }
            | BrokerPaused { .. }
            | LinkSlowed { .. }
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
            SegmentRolled {
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
            } => Some((topic, Some(*partition))),
            _ => None,
        }
    }
}
