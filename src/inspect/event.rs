//! Notable things that happened, each with its cause.

use std::borrow::Cow;

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
    LimitReached {
        /// Of what there are too many, and for what.
        what: String,
        limit: u64,
    },
}

/// Text that came from outside with its control and direction characters escaped, so that it stays one line and
/// looks like what it is.
pub fn one_line(text: &str) -> Cow<'_, str> {
    let hidden = |c: char| {
        c.is_control()
            || matches!(c, '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
    };
    if !text.contains(hidden) {
        return Cow::Borrowed(text);
    }
    let mut shown = String::with_capacity(text.len() + 16);
    for c in text.chars() {
        match hidden(c) {
            true => shown.extend(c.escape_default()),
            false => shown.push(c),
        }
    }
    Cow::Owned(shown)
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
    /// The event as one plain sentence with its cause, on one line whatever names and values are in it.
    pub fn sentence(&self) -> String {
        one_line(&self.words()).into_owned()
    }

    #[expect(clippy::too_many_lines, reason = "a table: one arm per kind of event")]
    fn words(&self) -> String {
        use EventKind::*;
        match self {
            // The metadata log is always opened: alone it holds no topic yet.
            BrokerStarted {
                port,
                clean: true,
                logs: 0..=1,
                recovered_bytes: 0,
            } => format!("Listening on port {port}: there are no topics yet."),
            BrokerStarted {
                port,
                clean,
                logs,
                recovered_bytes,
            } => format!(
                "Listening on port {port} after {} stop: {} opened, {} checked.",
                if *clean { "a clean" } else { "an unclean" },
                counted(i64::from(*logs), "log"),
                bytes(*recovered_bytes),
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
                let partitions = counted(i64::from(*partitions), "partition");
                format!("Topic {topic} created with {partitions}: {cause}.")
            }
            TopicDeleted { topic, cause } => format!("Topic {topic} deleted: {cause}."),
            PartitionsAdded {
                topic,
                from,
                to,
                cause,
            } => {
                let to = counted(i64::from(*to), "partition");
                format!("Topic {topic} grew from {from} to {to}: {cause}.")
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
                bytes: 0,
                cause,
            } => format!("{topic}-{partition} now starts at offset {log_start}: {cause}."),
            SegmentsDeleted {
                topic,
                partition,
                log_start,
                bytes: freed,
                cause,
            } => format!(
                "{topic}-{partition} now starts at offset {log_start}, {} deleted: {cause}.",
                bytes(*freed)
            ),
            LogRecovered {
                topic,
                partition,
                log_end,
                cut_bytes,
                cause,
            } => format!(
                "{topic}-{partition} recovered to log end {log_end}, {} cut: {cause}.",
                bytes(*cut_bytes)
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
            LimitReached { what, limit } => format!("There are {limit} {what}: that is the limit."),
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

/// A number with its noun: `1 log`, `3 logs`.
fn counted(number: i64, one: &str) -> String {
    match number {
        1 => format!("1 {one}"),
        _ => format!("{number} {one}s"),
    }
}

fn bytes(number: u64) -> String {
    match number {
        1 => "1 byte".to_owned(),
        _ => format!("{number} bytes"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn starts_say_what_was_found() {
        let start = |clean, logs, recovered_bytes| {
            EventKind::BrokerStarted {
                port: 9092,
                clean,
                logs,
                recovered_bytes,
            }
            .sentence()
        };
        assert_eq!(
            start(true, 1, 0),
            "Listening on port 9092: there are no topics yet."
        );
        assert_eq!(
            start(true, 4, 0),
            "Listening on port 9092 after a clean stop: 4 logs opened, 0 bytes checked."
        );
        assert_eq!(
            start(false, 1, 1),
            "Listening on port 9092 after an unclean stop: 1 log opened, 1 byte checked."
        );
    }

    #[test]
    fn one_is_not_a_plural_and_nothing_deleted_is_not_said() {
        let created = EventKind::TopicCreated {
            topic: "orders".into(),
            partitions: 1,
            cause: "asked for".into(),
        };
        assert_eq!(
            created.sentence(),
            "Topic orders created with 1 partition: asked for."
        );
        let emptied = EventKind::SegmentsDeleted {
            topic: "orders".into(),
            partition: PartitionIndex(1),
            log_start: Offset(9),
            bytes: 0,
            cause: "DeleteRecords by the window".into(),
        };
        assert_eq!(
            emptied.sentence(),
            "orders-1 now starts at offset 9: DeleteRecords by the window."
        );
    }

    #[test]
    fn what_clients_call_themselves_cannot_forge_a_line() {
        let forged = EventKind::TopicDeleted {
            topic: "t".to_owned(),
            cause: "asked for by \u{1b}[31mme\n2026 INFO all is well".to_owned(),
        };
        assert_eq!(
            forged.sentence(),
            "Topic t deleted: asked for by \\u{1b}[31mme\\n2026 INFO all is well."
        );
        assert_eq!(one_line("naïve name"), "naïve name");
        assert_eq!(one_line("a\u{202e}b"), "a\\u{202e}b");
    }
}
