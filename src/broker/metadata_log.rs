//! The metadata log, `__cluster_metadata-0`: one record batch per decision.
//!
//! A decision's records are one batch, so after a crash it happened as a whole or not at all. Nothing else
//! writes this log. It is never older than its snapshots need (`metadata_snapshots`); no retention touches it.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;

use super::metadata_snapshots::Snapshots;
use crate::ids::{BrokerId, LeaderEpoch, Offset, Time};
use crate::metadata::{Record, RecordError};
use crate::quorum::{LogView, SnapshotId};
use crate::storage::{AppendError, Disk, Log, LogConfig, Opening, ReadError, StorageError};
use crate::wire::EncodeError;
use crate::wire::Writer;
use crate::wire::messages::leader_change_message::{LeaderChangeMessage, Voter};
use crate::wire::records::{BatchBuilder, BatchError, ControlType, batches};

/// The topic's name in Kafka.
pub(super) const NAME: &str = "__cluster_metadata";
/// Its directory beside the partitions'.
pub(super) const DIR: &str = "__cluster_metadata-0";

/// Bytes one decision may take: 100,000 partitions fit.
pub(super) const MAX_DECISION_BYTES: u32 = 64 * 1024 * 1024;
/// Bytes read from it at once when it is replayed.
const REPLAY_BYTES: usize = 4 * 1024 * 1024;
/// Bytes of it kept in memory: it is read at start only.
const TAIL_BYTES: usize = 0;

/// Why metadata was not written or not read.
#[derive(Debug, thiserror::Error)]
pub(super) enum MetadataLogError {
    #[error(transparent)]
    Record(#[from] RecordError),
    #[error(transparent)]
    Batch(#[from] BatchError),
    #[error(transparent)]
    Append(#[from] AppendError),
    #[error(transparent)]
    Read(#[from] ReadError),
    #[error(transparent)]
    Encode(#[from] EncodeError),
    #[error(transparent)]
    Storage(#[from] StorageError),
    #[error("a record at offset {0} has no value")]
    NoValue(Offset),
}

/// What the quorum may know of the log.
pub(super) struct MetadataView<'a> {
    log: &'a Log,
    snapshots: &'a Snapshots,
    /// Records count unsynced, too (durability `memory`).
    all_counts: bool,
}

impl LogView for MetadataView<'_> {
    fn start(&self) -> Offset {
        self.log.log_start()
    }

    fn end(&self) -> Offset {
        self.log.log_end()
    }

    fn last_epoch(&self) -> LeaderEpoch {
        let latest = self.log.epochs().latest();
        latest.max(self.snapshots.epoch_before_start)
    }

    fn end_of_epoch(&self, epoch: LeaderEpoch) -> Option<(LeaderEpoch, Offset)> {
        let before = self.snapshots.epoch_before_start;
        let first = self.log.epochs().starts().first();
        match first.is_none_or(|(first, _)| epoch < *first) {
            // The log begins in front of the first epoch it knows, or it is empty.
            true if before == LeaderEpoch::NONE => self.log.end_of_epoch(epoch),
            true if first.is_none() && epoch > before => None,
            true => Some((epoch.min(before), self.log.log_start())),
            false => self.log.end_of_epoch(epoch),
        }
    }

    fn durable_end(&self) -> Offset {
        match self.all_counts {
            true => self.log.log_end(),
            false => self.log.recovery_point(),
        }
    }

    fn snapshot(&self) -> Option<SnapshotId> {
        self.snapshots.newest()
    }

    fn epoch_before_start(&self) -> LeaderEpoch {
        self.snapshots.epoch_before_start
    }
}

/// The log decisions are written to.
#[derive(Debug)]
pub(super) struct MetadataLog {
    log: Log,
    epoch: LeaderEpoch,
    pub(super) snapshots: Snapshots,
}

impl MetadataLog {
    /// How the log is kept, whatever topics say. A segment is about what lies between two snapshots: in front of
    /// them whole segments go.
    pub fn config(defaults: LogConfig, snapshot_every_bytes: u64) -> Arc<LogConfig> {
        let segment_bytes = u32::try_from(snapshot_every_bytes).unwrap_or(u32::MAX);
        Arc::new(LogConfig {
            segment_bytes: segment_bytes.min(defaults.segment_bytes),
            max_message_bytes: MAX_DECISION_BYTES,
            retention_ms: -1,
            retention_bytes: -1,
            segment_ms: i64::MAX,
            tail_bytes: TAIL_BYTES,
            ..defaults
        })
    }

    /// Opens or makes the log in `dir`.
    pub fn open(
        disk: &mut dyn Disk,
        dir: &Path,
        config: Arc<LogConfig>,
        now: Time,
        opening: Opening,
    ) -> Result<(MetadataLog, crate::storage::Recovered), StorageError> {
        let (log, recovered) = Log::open(disk, dir, config, now, opening)?;
        let metadata_log = MetadataLog {
            log,
            epoch: LeaderEpoch(0),
            snapshots: Snapshots::default(),
        };
        Ok((metadata_log, recovered))
    }

    /// Gives every record from `from` on and below `end` to `apply`, in order, and returns the bytes they took; where
    /// and why it stopped if it could not read on.
    pub fn replay(
        &mut self,
        disk: &mut dyn Disk,
        from: Offset,
        end: Offset,
        mut apply: impl FnMut(Offset, &Record),
    ) -> Result<u64, (Offset, MetadataLogError)> {
        let (mut at, mut bytes) = (from, 0);
        while at < end {
            let pieces = self
                .log
                .read(disk, at, end, REPLAY_BYTES, true)
                .map_err(|error| (at, error.into()))?;
            let before = at;
            for piece in &pieces {
                replay_piece(piece, &mut at, &mut apply).map_err(|error| (at, error))?;
                bytes += piece.len() as u64;
            }
            if at == before {
                let whole = BatchError::Cut { have: 0, need: 1 };
                return Err((at, whole.into()));
            }
        }
        Ok(bytes)
    }

    /// Writes the records of one decision; the bytes they took.
    pub fn append(
        &mut self,
        disk: &mut dyn Disk,
        now: Time,
        records: &[Record],
    ) -> Result<u64, MetadataLogError> {
        let mut batch = BatchBuilder::new();
        for record in records {
            let value = record.encode()?;
            batch.push(now.as_ms(), None, Some(&value), &[]);
        }
        let batch = Bytes::from(batch.build()?);
        let bytes = batch.len() as u64;
        self.log.append(disk, now, batch, self.epoch)?;
        Ok(bytes)
    }

    /// Opens an epoch of this controller: what is written from now on carries it.
    pub fn append_leader_change(
        &mut self,
        disk: &mut dyn Disk,
        now: Time,
        epoch: LeaderEpoch,
        leader: BrokerId,
        voters: &[BrokerId],
        granting: &BTreeSet<BrokerId>,
    ) -> Result<(), MetadataLogError> {
        let voter = |id: &BrokerId| Voter {
            voter_id: id.0,
            ..Voter::default()
        };
        let change = LeaderChangeMessage {
            version: 0,
            leader_id: leader.0,
            voters: voters.iter().map(voter).collect(),
            granting_voters: granting.iter().map(voter).collect(),
        };
        let mut value = Writer::new();
        change.encode(&mut value, 0)?;
        let key = ControlType::LeaderChange.key();
        let mut batch = BatchBuilder::new().control();
        batch.push(now.as_ms(), Some(&key), Some(&value.finish_value()), &[]);
        let batch = Bytes::from(batch.build()?);
        self.epoch = epoch;
        self.log.append(disk, now, batch, epoch)?;
        Ok(())
    }

    /// What the quorum may know. With `all_counts` records count unsynced, too (durability `memory`).
    pub fn view(&self, all_counts: bool) -> MetadataView<'_> {
        MetadataView {
            log: &self.log,
            snapshots: &self.snapshots,
            all_counts,
        }
    }

    pub fn log(&self) -> &Log {
        &self.log
    }

    pub fn log_mut(&mut self) -> &mut Log {
        &mut self.log
    }
}

fn replay_piece(
    piece: &[u8],
    at: &mut Offset,
    apply: &mut impl FnMut(Offset, &Record),
) -> Result<(), MetadataLogError> {
    for batch in batches(piece) {
        let batch = batch?;
        if batch.header().is_control() {
            *at = batch.header().next_offset();
            continue;
        }
        let mut records = batch.records(MAX_DECISION_BYTES as usize)?;
        while let Some(record) = records.next_record()? {
            *at = record.offset;
            let value = record
                .value
                .ok_or(MetadataLogError::NoValue(record.offset))?;
            apply(record.offset, &Record::decode(value)?);
        }
        *at = batch.header().next_offset();
    }
    Ok(())
}
