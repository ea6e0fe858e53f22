//! Snapshots beside the metadata log: which there are, and where the log begins because of them.
//!
//! The two newest stay, and the log begins at the end of the older one, so that one broken snapshot loses nothing: the
//! one before it and the log rebuild the same image. A log that begins behind 0 is of no use without a sound snapshot
//! at or behind its start: a voter's, or a lone broker's, is refused, not guessed at; an observer's is fetched anew.

use std::path::PathBuf;

use super::metadata_log::{DIR, MetadataLog, MetadataLogError};
use super::{OpenError, snapshot_file};
use crate::ids::{LeaderEpoch, Offset, Time};
use crate::metadata::Image;
use crate::quorum::{SnapshotAsked, SnapshotId, SnapshotPiece};
use crate::storage::{BrokerDir, Disk, StorageError, Synced};
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
    /// When the first of them were.
    pub stale_since: Option<Time>,
    /// The newest is damaged: the next is due at once.
    pub spoiled: bool,
    /// The sync of the next snapshot.
    pub syncing: Option<(u64, SnapshotId)>,
}

/// Whether a log that cannot be used may begin anew: a voter's word was given on it, anybody else fetches it again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum MayBeLost {
    No,
    Yes,
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

    /// Bytes of the log were applied that are in no snapshot.
    pub fn note_applied(&mut self, now: Time, bytes: u64) {
        self.bytes_since += bytes;
        if bytes > 0 {
            self.stale_since.get_or_insert(now);
        }
    }

    /// A snapshot is being made: what is applied from now on is for the next.
    pub fn begin(&mut self) {
        self.bytes_since = 0;
        self.stale_since = None;
        self.spoiled = false;
    }
}

impl Default for Snapshots {
    fn default() -> Snapshots {
        Snapshots {
            known: Vec::new(),
            epoch_before_start: LeaderEpoch::NONE,
            bytes_since: 0,
            stale_since: None,
            spoiled: false,
            syncing: None,
        }
    }
}

impl MetadataLog {
    /// Finds the newest snapshot that can be trusted, and lets the log go on from it where the log ends in front
    /// of it or parts from it. A log that begins behind 0 without one is refused, or begins anew if it may be `lost`.
    pub fn load_snapshot(
        &mut self,
        disk: &mut dyn Disk,
        dir: &mut BrokerDir,
        lost: MayBeLost,
    ) -> Result<Found, OpenError> {
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
            return match lost {
                _ if start == Offset::ZERO => Ok(found),
                MayBeLost::No => Err(self.without_snapshot(start, &found.broken)),
                MayBeLost::Yes => {
                    dir.lower_recovery_point(disk, DIR, Offset::ZERO)?;
                    self.log_mut().restart_at(disk, Offset::ZERO)?;
                    Ok(found)
                }
            };
        };
        let newest = *newest;
        let known = ids.iter().filter(|id| **id <= newest);
        self.snapshots.known = known.copied().collect();
        // What is in front of it may go from now on.
        self.log()
            .sync_beside(disk, &snapshot_file::file_name(newest))?;
        self.begin_with(disk, dir, newest, &ids)?;
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
        dir: &mut BrokerDir,
        newest: SnapshotId,
        ids: &[SnapshotId],
    ) -> Result<(), StorageError> {
        let start = self.log().log_start();
        let at_start = ids.iter().find(|id| id.end == start);
        self.snapshots.epoch_before_start = at_start.map_or(LeaderEpoch::NONE, |id| id.epoch);
        let (log_end, latest) = (self.log().log_end(), self.log().epochs().latest());
        let older = log_end > newest.end && latest < newest.epoch;
        let agrees = self.epoch_in_front_of(newest.end) == newest.epoch;
        if log_end < newest.end || older || !agrees {
            // A follower died between writing a snapshot it had fetched and emptying its log, perhaps after the new
            // log start was written.
            dir.lower_recovery_point(disk, DIR, newest.end)?;
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

    /// Lets the log go on, empty, from the end of a snapshot that is in place. No recovery point may be beyond it.
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

    /// Puts a snapshot that came from the controller beside the log whose place it takes. With it in place the log
    /// must go on from it, or be opened again.
    pub fn put_in_place(
        &mut self,
        disk: &mut dyn Disk,
        dir: &mut BrokerDir,
        id: SnapshotId,
        file: &[u8],
    ) -> Result<(), StorageError> {
        dir.lower_recovery_point(disk, DIR, id.end)?;
        let name = snapshot_file::file_name(id);
        let written = self.log().write_beside(disk, &name, file, Synced::Yes);
        written.map(|_| ())
    }

    /// What follows [`MetadataLog::put_in_place`].
    pub fn go_on_from(&mut self, disk: &mut dyn Disk, id: SnapshotId) -> Result<(), StorageError> {
        self.restart_at(disk, id)?;
        self.remove_older(disk, id)
    }

    /// Removes a snapshot that does not count, unless it has the name of one that does.
    pub fn discard(&self, disk: &mut dyn Disk, id: SnapshotId) -> Result<(), StorageError> {
        match self.has_snapshot(id) {
            true => Ok(()),
            false => self
                .log()
                .remove_beside(disk, &snapshot_file::file_name(id)),
        }
    }

    /// Why a snapshot is not to be passed on, if it is damaged.
    pub fn damage(&self, disk: &mut dyn Disk, id: SnapshotId) -> Option<String> {
        let name = snapshot_file::file_name(id);
        let file = match self.log().read_beside(disk, &name) {
            Ok(file) => file.unwrap_or_default(),
            Err(error) => return Some(error.to_string()),
        };
        snapshot_file::verify(id, &file)
            .err()
            .map(|e| e.to_string())
    }

    /// Whether a snapshot counts.
    pub fn has_snapshot(&self, id: SnapshotId) -> bool {
        self.snapshots.known.contains(&id)
    }

    /// A piece of a snapshot.
    pub fn read_piece(
        &self,
        disk: &mut dyn Disk,
        asked: &SnapshotAsked,
        most: usize,
    ) -> Result<SnapshotPiece, ErrorCode> {
        if !self.has_snapshot(asked.id) {
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

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::ids::BrokerId;
    use crate::metadata::{Record, Resource};
    use crate::quorum::LogView as _;
    use crate::storage::{LogConfig, MemoryDisk, Opening};

    const NOW: Time = Time(1_000_000);

    fn open(disk: &mut MemoryDisk) -> (MetadataLog, BrokerDir, Opening) {
        let (dir, mut last) = BrokerDir::open(disk, "/k".as_ref(), BrokerId(1)).unwrap();
        let config = MetadataLog::config(LogConfig::default(), 1_000);
        let opening = last.opening(DIR);
        let (log, _) =
            MetadataLog::open(disk, &dir.log_dir(DIR), config, NOW, opening.clone()).unwrap();
        (log, dir, opening)
    }

    fn record(name: &str) -> Record {
        Record::Config {
            resource: Resource::Broker(None),
            name: name.to_owned(),
            value: Some("1".to_owned()),
        }
    }

    /// What a crash finds behind the snapshot is not synced, however much of the log that was there before was.
    #[test]
    fn a_log_that_gave_way_to_a_snapshot_has_no_recovery_point_beyond_it() {
        let mut disk = MemoryDisk::new();
        let (mut log, mut dir, _) = open(&mut disk);
        for _ in 0..9 {
            log.append(&mut disk, NOW, &[record("a")]).unwrap();
        }
        let points = BTreeMap::from([(DIR.to_owned(), Offset(9))]);
        dir.write_recovery_points(&mut disk, &points).unwrap();
        let id = SnapshotId {
            end: Offset(5),
            epoch: LeaderEpoch(2),
        };
        let mut image = Image::default();
        image.apply(&record("b"));
        let file = snapshot_file::encode(id, &image, 7).unwrap();
        log.put_in_place(&mut disk, &mut dir, id, &file).unwrap();

        // The broker dies here, or when the log start is written, or goes on.
        let (mut early, mut late) = (disk.fork(), disk.fork());
        let (mut dying, _, _) = open(&mut late);
        dying.log_mut().set_log_start(&mut late, id.end).unwrap();
        log.go_on_from(&mut disk, id).unwrap();
        for disk in [&mut early, &mut late, &mut disk] {
            let (mut log, mut dir, opening) = open(disk);
            let recovery_point = Offset(5);
            assert_eq!(opening, Opening::Unclean { recovery_point });
            let found = log.load_snapshot(disk, &mut dir, MayBeLost::No).unwrap();
            assert_eq!(found.snapshot, Some((id, image.clone())));
            let view = log.view(false);
            assert_eq!(
                (log.log().log_start(), log.log().log_end()),
                (id.end, id.end)
            );
            assert_eq!((view.last_epoch(), view.snapshot()), (id.epoch, Some(id)));
        }
    }

    #[test]
    fn a_snapshot_is_passed_on_in_pieces_and_no_other() {
        let mut disk = MemoryDisk::new();
        let (mut log, mut dir, _) = open(&mut disk);
        let (end, epoch) = (Offset(5), LeaderEpoch(2));
        let id = SnapshotId { end, epoch };
        let file = snapshot_file::encode(id, &Image::default(), 7).unwrap();
        log.put_in_place(&mut disk, &mut dir, id, &file).unwrap();
        log.go_on_from(&mut disk, id).unwrap();
        let asked = |id, position| SnapshotAsked {
            replica: BrokerId(2),
            leader_epoch: epoch,
            id,
            position,
        };
        let mut got = Vec::new();
        while got.len() < file.len() {
            let piece = log.read_piece(&mut disk, &asked(id, got.len() as u64), 50);
            let piece = piece.unwrap();
            assert_eq!(piece.size, file.len() as u64);
            got.extend_from_slice(&piece.bytes.joined());
        }
        assert_eq!(got, file);
        let beyond = log.read_piece(&mut disk, &asked(id, file.len() as u64), 50);
        assert_eq!(beyond, Err(ErrorCode::PositionOutOfRange));
        let other = SnapshotId {
            end: Offset(4),
            epoch,
        };
        let other = log.read_piece(&mut disk, &asked(other, 0), 50);
        assert_eq!(other, Err(ErrorCode::SnapshotNotFound));
    }
}
