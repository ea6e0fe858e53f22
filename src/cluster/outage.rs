//! What a power loss takes from the files of all brokers, done by a thread of its own while none of them runs.
//!
//! Every file is cut to what was synced. What every copy of a partition lost is told by where its longest copy ended
//! before and ends now: what one replica lost and another kept is copied back when they start.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::PathBuf;

use tokio::sync::mpsc;

use super::remains::{Found, partition_of};
use crate::ids::{Offset, PartitionIndex};
use crate::storage::{RealDisk, Unsynced, survey};

/// What brokers agree on.
const METADATA_TOPIC: &str = "__cluster_metadata";
/// The thread's stack, bytes.
const STACK_BYTES: usize = 256 * 1024;

/// A partition.
pub type Partition = (String, PartitionIndex);

/// The files of all brokers at the moment of a power loss.
#[derive(Debug)]
pub struct Outage {
    pub brokers: Vec<Files>,
    /// Up to where each partition was committed.
    pub committed: BTreeMap<Partition, Offset>,
}

/// One broker's.
#[derive(Debug)]
pub struct Files {
    pub dir: PathBuf,
    pub unsynced: Unsynced,
}

/// What went.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Loss {
    /// Files that lost their ends.
    pub files: u32,
    pub bytes: u64,
    /// Partitions of which every copy lost records, by name.
    pub partitions: Vec<LostRecords>,
    /// Why a file kept what it should have lost.
    pub trouble: Option<String>,
}

/// What every copy of a partition lost.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LostRecords {
    pub partition: Partition,
    /// Where the longest copy ends now.
    pub from: Offset,
    /// Where the longest copy ended.
    pub below: Offset,
    /// How many of them were committed.
    pub committed: u64,
}

impl LostRecords {
    /// Unless nothing is lost.
    pub fn between(
        partition: Partition,
        from: Offset,
        below: Offset,
        committed: Option<Offset>,
    ) -> Option<LostRecords> {
        let committed = committed.map_or(0, |end| end.min(below).0 - from.0);
        (from < below).then(|| LostRecords {
            partition,
            from,
            below,
            committed: u64::try_from(committed).unwrap_or(0),
        })
    }

    pub fn records(&self) -> u64 {
        u64::try_from(self.below.0 - self.from.0).unwrap_or(0)
    }
}

impl Outage {
    /// Cuts the files.
    pub fn happen(&mut self) -> Loss {
        let mut loss = Loss::default();
        let touched = self.touched();
        let before = self.ends(&touched, &mut loss);
        for files in &mut self.brokers {
            match files.unsynced.lose() {
                Ok(tails) => {
                    loss.files += u32::try_from(tails.len()).unwrap_or(u32::MAX);
                    loss.bytes += tails.iter().map(|tail| tail.bytes).sum::<u64>();
                }
                Err(error) => loss.note(&error),
            }
        }
        let after = self.ends(&touched, &mut loss);
        for (partition, below) in before {
            let from = after.get(&partition).copied().unwrap_or_default();
            let committed = self.committed.get(&partition).copied();
            let lost = LostRecords::between(partition, from, below, committed);
            loss.partitions.extend(lost);
        }
        loss
    }

    /// Partitions of which some broker has not synced everything.
    fn touched(&self) -> BTreeSet<Partition> {
        let mut touched = BTreeSet::new();
        for files in &self.brokers {
            for path in files.unsynced.paths() {
                let inside = path.strip_prefix(&files.dir).ok();
                let dir = inside.and_then(|inside| inside.components().next());
                let dir = dir.map(|dir| dir.as_os_str().to_string_lossy());
                let partition = dir.as_deref().and_then(partition_of);
                // Of the metadata nothing counts that is not synced.
                let partition = partition.filter(|(topic, _)| *topic != METADATA_TOPIC);
                touched.extend(partition.map(|(topic, index)| (topic.to_owned(), index)));
            }
        }
        touched
    }

    /// Where the longest copy of each partition ends.
    fn ends(
        &self,
        partitions: &BTreeSet<Partition>,
        loss: &mut Loss,
    ) -> BTreeMap<Partition, Offset> {
        let mut disk = RealDisk::default();
        let mut ends = BTreeMap::new();
        for partition in partitions {
            for files in &self.brokers {
                let dir = files.dir.join(format!("{}-{}", partition.0, partition.1));
                match survey(&mut disk, &dir) {
                    Ok(found) => {
                        let end: &mut Offset = ends.entry(partition.clone()).or_default();
                        *end = found.log_end.max(*end);
                    }
                    Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                    Err(error) => loss.note(&error),
                }
            }
        }
        ends
    }
}

impl Loss {
    fn note(&mut self, error: &io::Error) {
        self.trouble.get_or_insert_with(|| error.to_string());
    }
}

/// Starts the thread; what went goes to `found`.
///
/// # Errors
/// The system refuses another thread.
pub fn begin(mut outage: Outage, found: mpsc::Sender<Found>) -> io::Result<()> {
    let thread = std::thread::Builder::new()
        .name("outage".to_owned())
        .stack_size(STACK_BYTES);
    let thread = thread.spawn(move || {
        // Nobody listens when the program ends.
        let _ = found.blocking_send(Found::Loss(outage.happen()));
    });
    thread.map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_lost_where_a_copy_is_as_long_as_any_was() {
        let lost = |from, below, committed: Option<i64>| {
            let partition = ("t".to_owned(), PartitionIndex(0));
            let (from, below) = (Offset(from), Offset(below));
            LostRecords::between(partition, from, below, committed.map(Offset))
        };
        assert_eq!(lost(5, 5, Some(5)), None);
        let told = |lost: Option<LostRecords>| lost.map(|lost| (lost.records(), lost.committed));
        assert_eq!(told(lost(5, 9, Some(7))), Some((4, 2)));
        assert_eq!(told(lost(5, 9, Some(3))), Some((4, 0)));
        assert_eq!(
            told(lost(5, 9, Some(90))),
            Some((4, 4)),
            "a picture of another log"
        );
        assert_eq!(told(lost(5, 9, None)), Some((4, 0)));
    }
}
