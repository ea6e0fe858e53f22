//! One partition's log: segments of record batches, and what is known about them.
//!
//! Verbs, and when to call them: [`Log::open`] at start; [`Log::append`] when a produce request was
//! validated; [`Log::read`] for a fetch; [`Log::begin_sync`] and [`Log::on_synced`] around an `fsync`
//! elsewhere; [`Log::apply_retention`] now and then; [`Log::close_clean`] before the program ends.
//! An acked batch reached the operating system before `append` returned: there is no buffer of our own.
//! The high watermark is the caller's; a log knows only where it starts and ends.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::config::LogConfig;
use super::disk::{Disk, Synced, replace};
use super::epochs::Epochs;
use super::error::StorageError;
use super::format;
use super::offset_index::SegmentFacts;
use super::producers::Producers;
use super::scan::Damage;
use super::segment::{Segment, SegmentState, Surroundings};
use super::sync::SyncState;
use super::tail::Tail;
use crate::ids::{LeaderEpoch, Offset, Time, TopicId};

/// The log start, once it is not where the first segment begins.
pub const LOG_START_FILE: &str = "log-start-offset-checkpoint";
/// Leader epochs, by Kafka's name.
pub const EPOCHS_FILE: &str = "leader-epoch-checkpoint";
/// File name ending of a producer snapshot; its name is the offset it was taken at.
pub const SNAPSHOT: &str = "snapshot";

/// One replica's log.
#[derive(Debug)]
pub struct Log {
    pub(super) dir: PathBuf,
    pub(super) config: Arc<LogConfig>,
    pub(super) log_start: Offset,
    /// Never empty; the last one grows.
    pub(super) segments: Vec<Segment>,
    /// Damage that lies in no segment: files that are missing.
    pub(super) gaps: Vec<Damage>,
    pub(super) epochs: Epochs,
    /// The checkpoint on disk may name epochs that were cut off the end: nothing may be appended before that is mended.
    pub(super) epochs_ahead: bool,
    pub(super) producers: Producers,
    /// Whose log this is, until it is written down.
    pub(super) owner: Option<TopicId>,
    pub(super) tail: Tail,
    /// Followers read what is appended here.
    pub(super) followed: bool,
    pub(super) sync: SyncState,
    /// The file holds bytes behind the last batch that a failed write left.
    pub(super) torn: bool,
    /// Where a cut failed half way: what lies behind counts as gone, and nothing is appended or closed before the rest
    /// of it is done.
    pub(super) unfinished_cut: Option<Offset>,
    /// Why the last write failed, until one succeeds.
    pub(super) trouble: Option<String>,
    pub(super) notes: Vec<Note>,
    pub(super) last_append: Time,
    /// Offset of the newest producer snapshot on disk.
    pub(super) snapshot_at: Option<Offset>,
}

/// How the previous run left a log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Opening {
    /// It was closed cleanly, and this is what it held: no record needs reading.
    Clean(Box<LogState>),
    /// It was not: everything from the recovery point on is checked.
    Unclean { recovery_point: Offset },
    /// It was not, and its recovery point is not known: only what is behind its last whole batch is cut.
    Unknown,
    /// A sync failed, in this very run: what can be read from the recovery point on may not be on the medium, and goes.
    SyncFailed { recovery_point: Offset },
}

impl Opening {
    /// How to try again when the log could not be opened like this.
    pub fn again(&self) -> Opening {
        match self {
            Opening::Clean(state) => Opening::Unclean {
                recovery_point: state.recovery_point,
            },
            unclean => unclean.clone(),
        }
    }

    /// Everything below was synced, if that is known.
    pub fn recovery_point(&self) -> Option<Offset> {
        match self {
            Opening::Clean(state) => Some(state.recovery_point),
            Opening::Unclean { recovery_point } | Opening::SyncFailed { recovery_point } => {
                Some(*recovery_point)
            }
            Opening::Unknown => None,
        }
    }
}

/// What a log held when it was closed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogState {
    pub log_start: Offset,
    pub recovery_point: Offset,
    pub segments: Vec<SegmentFacts>,
    pub epochs: Epochs,
    /// There is a producer snapshot at the log end; otherwise there were no producers.
    pub has_producers: bool,
}

/// What opening a log found and did.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Recovered {
    /// The log was opened without reading records.
    pub clean: bool,
    /// Bytes of records that were read and checked.
    pub checked_bytes: u64,
    /// Bytes behind the last whole batch that were cut away.
    pub cut_bytes: u64,
    /// Why bytes were cut; empty if none were.
    pub cut_cause: String,
    /// Indexes, snapshots and checkpoints that had to be rebuilt.
    pub rebuilt: u32,
    pub damages: Vec<Damage>,
}

/// Why a log is not to be relied on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unsound {
    /// Records below the recovery point are damaged or missing.
    Damaged,
    /// A sync failed: what was written since the one before may be lost although reads still show it.
    SyncFailed,
}

/// Something notable a log did, for an event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Note {
    Rolled {
        base: Offset,
        cause: String,
    },
    Deleted {
        log_start: Offset,
        bytes: u64,
        cause: String,
    },
    Damaged {
        from: Offset,
        below: Offset,
        cause: String,
    },
    /// The log start is not known any more: the log begins here, and deleted records may be served again.
    StartLost {
        log_start: Offset,
    },
    WriteFailed {
        path: PathBuf,
        cause: String,
    },
    WriteHealed {
        path: PathBuf,
    },
}

impl Log {
    /// First offset that may be read.
    pub fn log_start(&self) -> Offset {
        self.log_start
    }

    /// Offset the next record gets.
    pub fn log_end(&self) -> Offset {
        let end = self.active().facts.end;
        self.unfinished_cut.map_or(end, |cut| cut.min(end))
    }

    /// Everything below is synced.
    pub fn recovery_point(&self) -> Offset {
        self.sync.recovery_point
    }

    /// Bytes of all segments.
    pub fn bytes(&self) -> u64 {
        self.segments.iter().map(|s| s.facts.bytes).sum()
    }

    /// Largest timestamp in the log, milliseconds; −1 without records.
    pub fn max_timestamp_ms(&self) -> i64 {
        let timestamps = self.segments.iter().map(|s| s.facts.max_timestamp_ms);
        timestamps.max().unwrap_or(-1)
    }

    /// Where the log lives.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// Settings in force.
    pub fn config(&self) -> &Arc<LogConfig> {
        &self.config
    }

    /// Puts other settings in force; call when the topic's configuration changed.
    pub fn set_config(&mut self, config: Arc<LogConfig>) {
        self.config = config;
    }

    /// Leader epochs and where they began.
    pub fn epochs(&self) -> &Epochs {
        &self.epochs
    }

    /// The largest known epoch not after `epoch` and where it ended (KIP-101); `None` if `epoch` is
    /// newer than any in the log.
    pub fn end_of_epoch(&self, epoch: LeaderEpoch) -> Option<(LeaderEpoch, Offset)> {
        let (found, end) = self.epochs.end_of(epoch, self.log_end())?;
        Some((found, end.max(self.log_start)))
    }

    /// Idempotent producers known.
    pub fn producer_count(&self) -> usize {
        self.producers.count()
    }

    /// What is known of idempotent producers.
    pub fn producers(&self) -> &Producers {
        &self.producers
    }

    /// Every segment as a picture shows it, oldest first.
    pub fn segment_states(&self) -> impl Iterator<Item = SegmentState> {
        let last = self.segments.len() - 1;
        let segments = self.segments.iter().enumerate();
        segments.map(move |(n, segment)| segment.state(n == last))
    }

    /// Every damaged range known so far, by offset.
    pub fn damages(&self) -> Vec<Damage> {
        let in_segments = self.segments.iter().flat_map(|s| &s.damages);
        let mut damages: Vec<Damage> = in_segments.chain(&self.gaps).cloned().collect();
        damages.sort_by_key(|damage| damage.from);
        damages
    }

    /// Why this copy of the records is not to be relied on while another replica has them; `None` if it is sound.
    pub fn unsound(&self) -> Option<Unsound> {
        let start = self.log_start;
        let damages = self.segments.iter().flat_map(|s| &s.damages);
        let mut damages = damages.chain(&self.gaps);
        if damages.any(|damage| damage.below > start) {
            return Some(Unsound::Damaged);
        }
        let failed = self.sync.failed.is_some();
        failed.then_some(Unsound::SyncFailed)
    }

    /// A sentence about what is wrong now: damage, or a disk that refuses writes.
    pub fn trouble(&self) -> Option<String> {
        if let Some(cause) = &self.sync.failed {
            return Some(format!(
                "A sync failed ({cause}): no writes until it is opened again."
            ));
        }
        if let Some(cause) = &self.trouble {
            return Some(format!("Writes fail: {cause}."));
        }
        let damages = self.damages();
        let first = damages.first()?;
        let more = match damages.len() {
            1 => String::new(),
            count => format!(" ({} more)", count - 1),
        };
        Some(format!(
            "Offsets {} to {} are damaged: {}{more}.",
            first.from,
            first.below + -1,
            first.cause
        ))
    }

    /// Takes what was notable since the last call.
    pub fn take_notes(&mut self) -> Vec<Note> {
        std::mem::take(&mut self.notes)
    }

    pub(super) fn active(&self) -> &Segment {
        self.segments.last().expect("a log has a segment")
    }

    pub(super) fn active_mut(&mut self) -> &mut Segment {
        self.segments.last_mut().expect("a log has a segment")
    }

    /// Number of the segment whose range holds `offset`.
    pub(super) fn segment_of(&self, offset: Offset) -> usize {
        let after = self.segments.partition_point(|s| s.facts.base <= offset);
        after.saturating_sub(1)
    }

    /// Runs `ask` on one segment with what it needs to know of the log.
    pub(super) fn with_segment<T>(
        &mut self,
        n: usize,
        ask: impl FnOnce(&mut Segment, Surroundings<'_>) -> T,
    ) -> T {
        let around = Surroundings {
            dir: &self.dir,
            epochs: &self.epochs,
            index_interval_bytes: self.config.index_interval_bytes,
        };
        ask(&mut self.segments[n], around)
    }

    /// Panics if the log broke one of its own rules (D5); run after every step in tests.
    pub fn check(&self) {
        assert!(self.log_start <= self.log_end());
        assert!(self.sync.recovery_point <= self.log_end());
        for pair in self.segments.windows(2) {
            let joined = pair[0].facts.end <= pair[1].facts.base;
            assert!(joined, "segments overlap: {pair:?}");
        }
        for pair in self.epochs.starts().windows(2) {
            let grows = pair[0].0 < pair[1].0 && pair[0].1 <= pair[1].1;
            assert!(grows, "epochs do not grow: {:?}", self.epochs);
        }
    }
}

/// Writes the log start down; which file that is.
pub(super) fn write_log_start(
    disk: &mut dyn Disk,
    dir: &Path,
    start: Offset,
    synced: Synced,
) -> Result<PathBuf, StorageError> {
    let path = dir.join(LOG_START_FILE);
    let file = format::seal(format::MAGIC_LOG_START, &start.0.to_be_bytes());
    replace(disk, &path, &file, synced).map_err(StorageError::io("write", &path))?;
    Ok(path)
}
