//! Which replicas each broker's card lists, and what is said of one.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::app::format::{duration_ms, signed};
use crate::app::moves::Progress;
use crate::app::replicas::{ReplicaRole, behind, factor, is_thin, min_in_sync};
use crate::ids::{BrokerId, Offset};
use crate::inspect::{PartitionSnapshot, ReplicaSnapshot, TopicSnapshot};

/// One replica of one partition, on the card of the broker that holds it.
#[derive(Debug, Clone, Copy)]
pub struct Row<'a> {
    pub topic: &'a str,
    pub partition: &'a PartitionSnapshot,
    pub replica: &'a ReplicaSnapshot,
    pub role: ReplicaRole,
    /// The partition has fewer replicas in sync than acks=all needs.
    pub refuses: bool,
}

/// The replicas of every broker by topic and partition, as far as `filter` (lower case) and `internal` let them.
pub fn rows<'a>(
    topics: &'a [Arc<TopicSnapshot>],
    filter: &str,
    internal: bool,
) -> BTreeMap<BrokerId, Vec<Row<'a>>> {
    let mut rows: BTreeMap<BrokerId, Vec<Row<'a>>> = BTreeMap::new();
    let shown = topics.iter().filter(|topic| {
        (internal || !topic.internal)
            && (filter.is_empty() || topic.name.to_lowercase().contains(filter))
    });
    for topic in shown {
        let least = min_in_sync(topic);
        for partition in &topic.partitions {
            for replica in &partition.replicas {
                rows.entry(replica.broker).or_default().push(Row {
                    topic: &topic.name,
                    partition,
                    replica,
                    role: ReplicaRole::of(partition, replica),
                    refuses: partition.isr.len() < least,
                });
            }
        }
    }
    rows
}

/// How urgent a note is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Urgency {
    Plain,
    Warning,
    Bad,
}

impl Row<'_> {
    /// `orders-1`.
    pub fn name(&self) -> String {
        format!("{}-{}", self.topic, self.partition.index)
    }

    pub fn log_start(&self) -> Offset {
        self.known(self.replica.log_start, self.partition.log_start)
    }

    /// One past its last offset; what a leader says of the partition is what it says of its own log.
    pub fn log_end(&self) -> Offset {
        self.known(self.replica.log_end, self.partition.log_end)
    }

    /// As this replica knows it.
    pub fn high_watermark(&self) -> Offset {
        self.known(self.replica.high_watermark, self.partition.high_watermark)
    }

    fn known(&self, own: Offset, of_partition: Offset) -> Offset {
        match self.role {
            ReplicaRole::Leader if own < Offset::ZERO => of_partition,
            _ => own,
        }
    }

    /// The log end, as far as the broker told.
    pub fn end(&self) -> String {
        match self.log_end() >= Offset::ZERO {
            true => signed(self.log_end().0),
            false => "?".to_owned(),
        }
    }

    /// One past the last offset any replica told of: where the lanes of a partition line up.
    pub fn furthest(&self) -> i64 {
        let replicas = self.partition.replicas.iter();
        let furthest = replicas.map(|replica| replica.log_end.0).max();
        furthest.unwrap_or(0).max(self.partition.log_end.0)
    }

    /// Milliseconds until this follower leaves the ISR, `passed_ms` after the picture was made.
    pub fn leaves_isr_ms(&self, passed_ms: u64) -> Option<u64> {
        let counts = self.role == ReplicaRole::InSync;
        let left = self.replica.leaves_isr_ms.filter(|_| counts)?;
        Some(left.saturating_sub(passed_ms))
    }

    /// How far it has come, if a reassignment adds it.
    pub fn progress(&self) -> Option<Progress> {
        Progress::of(self.partition, self.replica.broker)
    }

    /// A reassignment takes it away once what it adds is in sync.
    pub fn is_going(&self) -> bool {
        self.partition.removing.contains(&self.replica.broker)
    }

    /// What is wrong, or waited for, in the fewest words.
    pub fn note(&self, passed_ms: u64) -> Option<(String, Urgency)> {
        if let Some(ms) = self.leaves_isr_ms(passed_ms) {
            return Some((format!("ISR {}", duration_ms(ms)), Urgency::Warning));
        }
        let lacks = behind(self.partition, self.replica).filter(|lacks| *lacks != 0);
        let going = self
            .is_going()
            .then(|| ("leaves".to_owned(), Urgency::Plain));
        match self.role {
            ReplicaRole::Failed => Some(("failed".to_owned(), Urgency::Bad)),
            _ if self.partition.leader.is_none() => Some(("no leader".to_owned(), Urgency::Bad)),
            ReplicaRole::Leader if is_thin(self.partition) => {
                let urgency = if self.refuses {
                    Urgency::Bad
                } else {
                    Urgency::Warning
                };
                let (in_sync, all) = (self.partition.isr.len(), factor(self.partition));
                Some((format!("ISR {in_sync}/{all}"), urgency))
            }
            ReplicaRole::Leader => {
                let waiting = self.partition.log_end - self.partition.high_watermark;
                let waits = (format!("{} waiting", signed(waiting)), Urgency::Plain);
                going.or((waiting > 0).then_some(waits))
            }
            ReplicaRole::Adding => {
                let percent = self.progress()?.percent();
                Some((format!("{percent} %"), Urgency::Plain))
            }
            ReplicaRole::OutOfSync => {
                let lacks = lacks.map_or("behind".to_owned(), by);
                Some((lacks, Urgency::Warning))
            }
            ReplicaRole::Offline | ReplicaRole::InSync => {
                going.or(lacks.map(|lacks| (by(lacks), Urgency::Plain)))
            }
            ReplicaRole::Unknown => None,
        }
    }

    /// The replica as a sentence: its text alternative, and its tooltip.
    pub fn sentence(&self, passed_ms: u64) -> String {
        let p = self.partition;
        let mut parts = vec![format!(
            "{} on broker {}: {}",
            self.name(),
            self.replica.broker,
            self.role.word()
        )];
        match self.log_end() >= Offset::ZERO {
            true => parts.push(format!("log end {}", self.end())),
            false => parts.push("it has not told of its log".to_owned()),
        }
        if self.high_watermark() >= Offset::ZERO {
            let hw = signed(self.high_watermark().0);
            parts.push(format!("high watermark {hw}"));
        }
        parts.push(format!("leader epoch {}", p.leader_epoch));
        if self.role != ReplicaRole::Leader
            && let Some(lacks) = behind(p, self.replica).filter(|lacks| *lacks != 0)
        {
            parts.push(match lacks > 0 {
                true => format!("{} behind its leader", signed(lacks)),
                false => format!("{} more than its leader", signed(-lacks)),
            });
        }
        if let Some(ms) = self.leaves_isr_ms(passed_ms) {
            parts.push(format!("leaves the ISR in {}", duration_ms(ms)));
        }
        if let Some(progress) = self.progress() {
            parts.push(progress.words());
        }
        if self.is_going() {
            parts.push("leaves once what is added is in sync".to_owned());
        }
        if self.refuses && self.role == ReplicaRole::Leader {
            let (in_sync, all) = (p.isr.len(), factor(p));
            parts.push(format!(
                "acks=all is refused with {in_sync} of {all} in sync"
            ));
        }
        if self.replica.from_files {
            parts.push("read from its files".to_owned());
        }
        if p.leader.is_none() {
            parts.push("nobody leads the partition".to_owned());
        }
        parts.join(", ")
    }

    /// One past the last offset at which this replica provably has its leader's records: as far as their leader
    /// epochs are the same. Further on a log that was not cut yet may hold something else.
    pub fn shared_end(&self) -> i64 {
        let (own, leaders) = (&self.replica.epochs, &self.partition.epochs);
        let end = self.log_end().min(self.partition.log_end).0;
        if own.is_empty() || leaders.is_empty() || self.role == ReplicaRole::Leader {
            return end;
        }
        let ends_at = |epochs: &[_], nth: usize, log_end: Offset| -> i64 {
            let next: Option<&(_, Offset)> = epochs.get(nth + 1);
            next.map_or(log_end.0, |(_, start)| start.0)
        };
        for (nth, (epoch, _)) in own.iter().enumerate().rev() {
            if let Some(same) = leaders.iter().position(|(other, _)| other == epoch) {
                let own_end = ends_at(own, nth, self.log_end());
                return own_end.min(ends_at(leaders, same, self.partition.log_end));
            }
        }
        // No epoch in common: older ones than either tells of.
        let oldest = |epochs: &[(_, Offset)]| epochs[0].1.0;
        end.min(oldest(own)).min(oldest(leaders))
    }
}

/// How far a replica is off: `−47`, or `+3` where it has more.
fn by(lacks: i64) -> String {
    match lacks > 0 {
        true => format!("\u{2212}{}", signed(lacks)),
        false => format!("+{}", signed(-lacks)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::LeaderEpoch;
    use crate::inspect::ReplicaState;

    fn partition(log_end: i64, epochs: &[(i32, i64)]) -> PartitionSnapshot {
        PartitionSnapshot {
            index: crate::ids::PartitionIndex(1),
            leader: Some(BrokerId(1)),
            leader_epoch: LeaderEpoch(5),
            isr: vec![BrokerId(1), BrokerId(2)],
            high_watermark: Offset(log_end),
            log_end: Offset(log_end),
            epochs: list(epochs),
            ..PartitionSnapshot::default()
        }
    }

    fn list(epochs: &[(i32, i64)]) -> Vec<(LeaderEpoch, Offset)> {
        let epochs = epochs.iter();
        epochs.map(|(e, o)| (LeaderEpoch(*e), Offset(*o))).collect()
    }

    fn replica(log_end: i64, epochs: &[(i32, i64)]) -> ReplicaSnapshot {
        ReplicaSnapshot {
            log_end: Offset(log_end),
            epochs: list(epochs),
            state: ReplicaState::Follower,
            in_sync: true,
            ..ReplicaSnapshot::unknown(BrokerId(2))
        }
    }

    fn row<'a>(partition: &'a PartitionSnapshot, replica: &'a ReplicaSnapshot) -> Row<'a> {
        Row {
            topic: "orders",
            partition,
            replica,
            role: ReplicaRole::of(partition, replica),
            refuses: false,
        }
    }

    #[test]
    fn records_are_the_leaders_as_far_as_epochs_agree() {
        let led = partition(120, &[(0, 0), (4, 50), (5, 100)]);
        for (log_end, epochs, expected) in [
            (90, &[(0, 0), (4, 50)][..], 90),
            // It wrote on in epoch 4 while its successor began epoch 5 at 100.
            (110, &[(0, 0), (4, 50)], 100),
            (120, &[(0, 0), (4, 50), (5, 100)], 120),
            // What it has since 60 was led by somebody the leader never heard of.
            (80, &[(0, 0), (3, 60)], 50),
            (80, &[], 80),
        ] {
            let held = replica(log_end, epochs);
            assert_eq!(row(&led, &held).shared_end(), expected, "{log_end}");
        }
    }

    #[test]
    fn a_countdown_runs_on_between_pictures() {
        let led = partition(100, &[]);
        let held = ReplicaSnapshot {
            leaves_isr_ms: Some(6_100),
            ..replica(97, &[])
        };
        let row = row(&led, &held);
        assert_eq!(row.leaves_isr_ms(100), Some(6_000));
        assert_eq!(row.leaves_isr_ms(9_000), Some(0));
        assert!(
            row.sentence(0).contains("leaves the ISR in 6.1 s"),
            "{}",
            row.sentence(0)
        );
        assert!(row.sentence(0).contains("3 behind its leader"));
    }
}
