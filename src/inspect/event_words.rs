//! Events as sentences: what happened and why, on one line.

use std::borrow::Cow;
use std::cmp::Ordering;

use super::{Durability, EventKind};
use crate::ids::{BrokerId, Offset};

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
            PlugPulled {
                durability,
                brokers,
                files,
                bytes: lost,
                cause,
            } => plug_pulled(*durability, *brokers, *files, *lost, cause),
            RecordsLost {
                topic,
                partition,
                from,
                below,
                committed,
                cause,
            } => format!(
                "Every copy of {topic}-{partition} lost what lay at {}: {cause}.",
                lost(*from, *below, *committed)
            ),
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
            TimeSlowed { times: 1, cause } => format!("Time passes as it does outside: {cause}."),
            TimeSlowed { times, cause } => {
                format!("A second of the cluster takes {times} s: {cause}.")
            }
            TimePaused { cause } => format!("Time stands still: {cause}."),
            TimeResumed { cause } => format!("Time goes on: {cause}."),
            MessageStepped {
                to,
                api,
                answer: false,
            } => format!("Let through: {api} to broker {to}."),
            MessageStepped { to, api, .. } => {
                format!("Let through: the answer to {api}, to broker {to}.")
            }
            ReplicationFrozen { cause } => format!("Replication is frozen: {cause}."),
            ReplicationThawed { cause } => format!("Replication goes on: {cause}."),
            BrokerRegistered {
                subject,
                epoch,
                cause,
            } => format!("Broker {subject} is registered with broker epoch {epoch}: {cause}."),
            BrokerUnregistered { subject, cause } => {
                format!("Broker {subject} is no part of the cluster any more: {cause}.")
            }
            BrokerUnheard {
                subject,
                lost: Some(_),
                waited_ms,
                timeout_ms,
            } => format!(
                "Broker {subject} is given up: its connection was lost and nothing came for {waited_ms} ms, a third of broker.session.timeout.ms = {timeout_ms}."
            ),
            BrokerUnheard {
                subject,
                lost: None,
                waited_ms,
                timeout_ms,
            } => format!(
                "Broker {subject} is given up: no heartbeat came for {waited_ms} ms, broker.session.timeout.ms = {timeout_ms}."
            ),
            BrokerFenced { subject, cause } => format!(
                "Broker {subject} is fenced, so it leads nothing and is in no ISR: {cause}."
            ),
            BrokerUnfenced { subject, cause } => {
                format!("Broker {subject} is unfenced and may lead again: {cause}.")
            }
            ShutdownBegan { subject, cause } => {
                format!("Broker {subject} hands its leaderships over to stop: {cause}.")
            }
            ControllerChanged { from, epoch, cause } => match from {
                Some(from) => {
                    format!("Controller with epoch {epoch}, after broker {from}: {cause}.")
                }
                None => format!("Controller with epoch {epoch}: {cause}."),
            },
            LeaderElected {
                topic,
                partition,
                from,
                to,
                epoch,
                unclean,
                cause,
            } => {
                let after = match from {
                    Some(from) if Some(from) != to.as_ref() => format!(" after broker {from}"),
                    _ => String::new(),
                };
                match to {
                    Some(to) if *unclean => format!(
                        "Unclean election: broker {to} leads {topic}-{partition} with epoch {epoch}{after}, records may be lost: {cause}."
                    ),
                    Some(to) => format!(
                        "Broker {to} leads {topic}-{partition} with epoch {epoch}{after}: {cause}."
                    ),
                    None => format!("Nobody leads {topic}-{partition}{after}: {cause}."),
                }
            }
            FirstProduceAcked {
                topic,
                partition,
                epoch,
                after,
            } => {
                let after = match after {
                    Some(before) => format!("after broker {before}"),
                    None => "after nobody led".to_owned(),
                };
                format!(
                    "{topic}-{partition} takes writes again: the first produce with leader epoch {epoch} is acknowledged, {after}."
                )
            }
            IsrChanged {
                topic,
                partition,
                from,
                to,
                cause,
            } => {
                let how = match to.len().cmp(&from.len()) {
                    Ordering::Less => "shrank",
                    Ordering::Equal => "changed",
                    Ordering::Greater => "grew",
                };
                let (from, to) = (list(from), list(to));
                format!("{topic}-{partition}: the ISR {how} from {from} to {to}: {cause}.")
            }
            ReassignmentBegan {
                topic,
                partition,
                adding,
                removing,
                cause,
            } => format!(
                "{topic}-{partition} moves, adding {} and removing {}: {cause}.",
                list(adding),
                list(removing)
            ),
            ReassignmentEnded {
                topic,
                partition,
                replicas,
                cause,
            } => format!(
                "{topic}-{partition} has moved, its replicas are {}: {cause}.",
                list(replicas)
            ),
            MorePartitionsChanged { count, cause } => format!(
                "And {} more changed leader, ISR or replicas: {cause}.",
                counted(i64::try_from(*count).unwrap_or(i64::MAX), "partition")
            ),
            LogTruncated {
                topic,
                partition,
                from,
                to,
                cause,
                ..
            } if to >= from => {
                format!("{topic}-{partition} was emptied and goes on at offset {to}: {cause}.")
            }
            LogTruncated {
                topic,
                partition,
                from,
                to,
                below_high_watermark,
                cause,
            } => {
                let lost = match below_high_watermark {
                    Some(hw) => format!(", below its high watermark {hw}"),
                    None => String::new(),
                };
                format!("{topic}-{partition} was cut from log end {from} to {to}{lost}: {cause}.")
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
            GroupChanged {
                group,
                to,
                generation,
                members,
                cause,
                ..
            } => {
                let members = counted(i64::from(*members), "member");
                format!("Group {group} is {to} in generation {generation} with {members}: {cause}.")
            }
            ReplicaRenewed {
                topic,
                partition,
                aside,
                cause,
            } => {
                let done = match aside {
                    Some(path) => format!("is set aside as {path} and fetched again as a whole"),
                    None => "is cut to what was synced, and the rest fetched again".to_owned(),
                };
                format!("This replica of {topic}-{partition} {done}: {cause}")
            }
            SnapshotWritten {
                offset,
                bytes: size,
            } => format!(
                "Metadata snapshot at offset {offset} written, {}.",
                bytes(*size)
            ),
            SnapshotFetched {
                offset,
                bytes: size,
                from,
            } => format!(
                "Metadata snapshot at offset {offset} fetched from broker {from}, {}: its log begins later than this one ended.",
                bytes(*size)
            ),
            SnapshotDamaged { offset, cause } => {
                format!("Metadata snapshot at offset {offset} is damaged and not used: {cause}.")
            }
            StorageFailed { path, cause } => format!("Writing {path} failed: {cause}."),
            StorageHealed { path } => format!("Writing {path} works again."),
            ConnectionRefused { peer, cause } => {
                format!("Closed a connection from {peer}: {cause}.")
            }
            LimitReached { what, limit } => format!("There are {limit} {what}: that is the limit."),
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

/// Brokers by number: `2, 3`; `nobody`.
fn list(brokers: &[BrokerId]) -> String {
    if brokers.is_empty() {
        return "nobody".to_owned();
    }
    let numbers: Vec<String> = brokers.iter().map(BrokerId::to_string).collect();
    numbers.join(", ")
}

/// The offsets that are gone, and how much of it was promised.
fn lost(from: Offset, below: Offset, committed: u64) -> String {
    let last = below + -1;
    if last == from {
        let was = if committed == 0 { "was not" } else { "was" };
        return format!("offset {from}, which {was} committed");
    }
    let records = u64::try_from(below.0 - from.0).unwrap_or(0);
    let share = share(committed, records);
    format!("offsets {from} to {last}, {share} of them committed")
}

/// How many of several: `none`, `all`, or their number.
pub fn share(part: u64, whole: u64) -> String {
    match part {
        0 => "none".to_owned(),
        _ if part == whole => "all".to_owned(),
        _ => part.to_string(),
    }
}

/// What a power loss took, and what the durability promises of it.
fn plug_pulled(durability: Durability, brokers: u32, files: u32, lost: u64, cause: &str) -> String {
    let ended = counted(i64::from(brokers), "broker");
    let took = match files {
        0 => "every file was synced to its end".to_owned(),
        files => format!(
            "{} that were not synced went from {}",
            bytes(lost),
            counted(i64::from(files), "file")
        ),
    };
    match durability {
        Durability::Os => format!(
            "The plug was pulled on {ended}: {took}. With durability os an ack does not wait for the disk: {cause}."
        ),
        Durability::Batch => format!(
            "The plug was pulled on {ended}: {took}. With durability batch an ack waits for the disk: {cause}."
        ),
        Durability::Memory => format!(
            "The plug was pulled on {ended}: with durability memory nothing is on a disk, so everything is gone: {cause}."
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::{LeaderEpoch, PartitionIndex};

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
    fn a_loss_says_how_much_of_it_was_promised() {
        let lost = |from, below, committed| super::lost(Offset(from), Offset(below), committed);
        assert_eq!(lost(2, 3, 1), "offset 2, which was committed");
        assert_eq!(lost(2, 3, 0), "offset 2, which was not committed");
        assert_eq!(lost(2, 9, 7), "offsets 2 to 8, all of them committed");
        assert_eq!(lost(2, 9, 4), "offsets 2 to 8, 4 of them committed");
        assert_eq!(lost(2, 9, 0), "offsets 2 to 8, none of them committed");
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

    #[test]
    fn elections_say_from_whom_to_whom_and_why() {
        let elected = |from: Option<i32>, to: Option<i32>, unclean| {
            EventKind::LeaderElected {
                topic: "orders".into(),
                partition: PartitionIndex(1),
                from: from.map(BrokerId),
                to: to.map(BrokerId),
                epoch: LeaderEpoch(5),
                unclean,
                cause: "broker 2 is fenced".into(),
            }
            .sentence()
        };
        assert_eq!(
            elected(Some(2), Some(3), false),
            "Broker 3 leads orders-1 with epoch 5 after broker 2: broker 2 is fenced."
        );
        assert_eq!(
            elected(Some(2), None, false),
            "Nobody leads orders-1 after broker 2: broker 2 is fenced."
        );
        let unclean = elected(None, Some(3), true);
        assert!(unclean.contains("records may be lost"), "{unclean}");
    }
}
