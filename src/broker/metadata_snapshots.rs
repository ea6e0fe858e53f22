//! Snapshots beside the metadata log: which there are, and where the log begins because of them.
//!
//! The two newest stay, and the log begins at the end of the older one, so that one broken snapshot loses nothing: the
//! one before it and the log rebuild the same image. A log that begins behind 0 is of no use without a sound snapshot
//! at or behind its start; that is refused, not guessed at.

use std::path::PathBuf;

use super::metadata_log::{MetadataLog, MetadataLogError};
use super::{OpenError, snapshot_file};
use crate::ids::{LeaderEpoch, Offset, Time};
use crate::metadata::Image;
use crate::quorum::{SnapshotAsked, SnapshotId, SnapshotPiece};
use crate::storage::{Disk, StorageError, Synced};
use crate::wire::{ErrorCode, RecordRanges};

/// Snapshots kept.
const KEPT: usize = 2;

/// The snapshots of a metadata log.
#[derive(Debug)]
pub(super) struct Snapshots {
    /// Sound and durable ones, the oldest first.
    known: Vec<SnapshotId>,
    /// Epoch of the last record in front of the log's start.
    pub epoch_before_start: LeaderEpoch,
    /// Bytes of the log that were applied since the newest snapshot.
    pub bytes_since: u64,
    /// The sync of the next snapshot.
    pub syncing: Option<(u64, SnapshotId)>,
}

/// What was found when the log was opened.
#[derive(Debug, Default)]
pub(super) struct Found {
    /// The newest sound snapshot.
    pub snapshot: Option<(SnapshotId, Image)>,
    /// Those that are not, and why.
    pub broken: Vec<(SnapshotId, String)>,
}

impl Snapshots {
    pub fn newest(&self) -> Option<SnapshotId> {
        self.known.last().copied()
    }
}

impl Default for Snapshots {
    fn default() -> Snapshots {
        Snapshots {
            known: Vec::new(),
            epoch_before_start: LeaderEpoch::NONE,
            bytes_since: 0,
            syncing: None,
        }
    }
}

impl MetadataLog {
    /// Finds the newest snapshot that can be trusted, and lets the log go on from it where the log ends in front
    /// of it or parts from it.
    pub fn load_snapshot(&mut self, disk: &mut dyn Disk) -> Result<Found, OpenError> {
        let mut ids = self.listed(disk)?;
        let start = self.log().log_start();
        ids.retain(|id| id.end >= start);
        let mut found = Found::default();
        for id in ids.iter().rev() {
            let name = snapshot_file::file_name(*id);
            let file = self.log().read_beside(disk, &name)?;
            match snapshot_file::decode(*id, &file.unwrap_or_default()) {
                Ok(image) => {
                    found.snapshot = Some((*id, image));
                    break;
                }
                Err(error) => found.broken.push((*id, error.to_string())),
            }
        }
        let Some((newest, _)) = &found.snapshot else {
            return match start {
                Offset::ZERO => Ok(found),
                _ => Err(self.without_snapshot(start, &found.broken)),
            };
        };
        let newest = *newest;
        let known = ids.iter().filter(|id| **id <= newest);
        self.snapshots.known = known.copied().collect();
        self.begin_with(disk, newest, &ids)?;
        Ok(found)
    }

    fn without_snapshot(&self, start: Offset, broken: &[(SnapshotId, String)]) -> OpenError {
        let why = match broken.first() {
            Some((id, why)) => {
                let name = snapshot_file::file_name(*id);
                format!("the snapshot {name} is damaged: {why}")
            }
            None => "there is no snapshot of what was in front of it".to_owned(),
        };
        OpenError::Metadata {
            path: self.log().dir().to_owned(),
            offset: start.0,
            why: format!("the log begins here, and {why}"),
        }
    }

    /// Settles where the log begins, given its newest sound snapshot and all there are, sound or not.
    fn begin_with(
        &mut self,
        disk: &mut dyn Disk,
        newest: SnapshotId,
        ids: &[SnapshotId],
    ) -> Result<(), StorageError> {
        let start = self.log().log_start();
        let at_start = ids.iter().find(|id| id.end == start);
        self.snapshots.epoch_before_start = at_start.map_or(LeaderEpoch::NONE, |id| id.epoch);
        let agrees = self.epoch_in_front_of(newest.end) == newest.epoch;
        if self.log().log_end() < newest.end || !agrees {
            // A follower died between writing a snapshot it had fetched and emptying its log.
            return self.restart_at(disk, newest);
        }
        if start > Offset::ZERO && at_start.is_none() {
            // Where the log begins was not written down whole.
            self.log_mut().set_log_start(disk, newest.end)?;
            self.snapshots.epoch_before_start = newest.epoch;
        }
        Ok(())
    }

    /// Epoch of the last record in front of an offset.
    pub fn epoch_in_front_of(&self, end: Offset) -> LeaderEpoch {
        let known = self.log().epochs().at(end + -1);
        known.max(self.snapshots.epoch_before_start)
    }

    /// Lets the log go on, empty, from the end of a snapshot that is in place.
    fn restart_at(&mut self, disk: &mut dyn Disk, id: SnapshotId) -> Result<(), StorageError> {
        self.log_mut().restart_at(disk, id.end)?;
        self.snapshots = Snapshots {
            known: vec![id],
            epoch_before_start: id.epoch,
            ..Snapshots::default()
        };
        Ok(())
    }

    /// Writes a snapshot of an image; the files to sync before it counts, and its bytes.
    pub fn write_snapshot(
        &mut self,
        disk: &mut dyn Disk,
        id: SnapshotId,
        image: &Image,
    ) -> Result<(Vec<PathBuf>, u64), MetadataLogError> {
        let file = snapshot_file::encode(id, image, self.log().max_timestamp_ms())?;
        let name = snapshot_file::file_name(id);
        let to_sync = self.log().write_beside(disk, &name, &file, Synced::No)?;
        Ok((to_sync, file.len() as u64))
    }

    /// A snapshot that was written is durable: it counts, and the log in front of the one before it goes.
    pub fn keep_snapshot(
        &mut self,
        disk: &mut dyn Disk,
        now: Time,
        id: SnapshotId,
    ) -> Result<(), StorageError> {
        if self.snapshots.newest().is_some_and(|newest| newest >= id) {
            return Ok(());
        }
        self.snapshots.known.push(id);
        let Some(oldest) = self.snapshots.known.len().checked_sub(KEPT) else {
            return Ok(());
        };
        let oldest = self.snapshots.known[oldest];
        self.log_mut().set_log_start(disk, oldest.end)?;
        self.snapshots.epoch_before_start = oldest.epoch;
        self.snapshots.known.retain(|id| *id >= oldest);
        self.log_mut().apply_retention(disk, now, oldest.end)?;
        self.remove_older(disk, oldest)
    }

    /// Puts a snapshot that came from the controller in place of the log. When this fails with the snapshot in
    /// place, the broker must be opened again before it goes on.
    pub fn put_in_place(
        &mut self,
        disk: &mut dyn Disk,
        id: SnapshotId,
        file: &[u8],
    ) -> Result<(), StorageError> {
        let name = snapshot_file::file_name(id);
        let written = self.log().write_beside(disk, &name, file, Synced::Yes);
        written.map(|_| ())
    }

    /// What follows [`MetadataLog::put_in_place`].
    pub fn go_on_from(&mut self, disk: &mut dyn Disk, id: SnapshotId) -> Result<(), StorageError> {
        self.restart_at(disk, id)?;
        self.remove_older(disk, id)
    }

    /// A piece of a snapshot.
    pub fn read_piece(
        &self,
        disk: &mut dyn Disk,
        asked: &SnapshotAsked,
        most: usize,
    ) -> Result<SnapshotPiece, ErrorCode> {
        if !self.snapshots.known.contains(&asked.id) {
            return Err(ErrorCode::SnapshotNotFound);
        }
        let name = snapshot_file::file_name(asked.id);
        let (size, bytes) = self
            .log()
            .read_part_beside(disk, &name, asked.position, most)
            .map_err(|_| ErrorCode::KafkaStorageError)?;
        if bytes.is_empty() {
            return Err(ErrorCode::PositionOutOfRange);
        }
        let bytes = RecordRanges::from(bytes);
        Ok(SnapshotPiece { size, bytes })
    }

    /// Every snapshot there is a file of, the oldest first.
    fn listed(&self, disk: &mut dyn Disk) -> Result<Vec<SnapshotId>, StorageError> {
        let names = self.log().names_beside(disk)?;
        let ids = names.iter().filter_map(|name| snapshot_file::id_of(name));
        let mut ids: Vec<SnapshotId> = ids.collect();
        ids.sort();
        Ok(ids)
    }

    fn remove_older(&mut self, disk: &mut dyn Disk, than: SnapshotId) -> Result<(), StorageError> {
        for id in self.listed(disk)? {
            if id < than {
                let name = snapshot_file::file_name(id);
                self.log().remove_beside(disk, &name)?;
            }
        }
        Ok(())
    }
}
