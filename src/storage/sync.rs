//! Which files of a log are not on the medium yet, and what is known to be.
//!
//! `fsync` blocks, so it happens elsewhere: [`Log::begin_sync`] names the files and the offset that is
//! safe once they are synced, [`Log::on_synced`] hears how it went. A failed sync is never retried: the
//! kernel may have dropped the very pages and call the next sync a success. From then on the log takes
//! no writes, and its recovery point stays, until it is opened again and checked.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use super::disk::{Disk, Synced, replace};
use super::error::StorageError;
use super::log::{EPOCHS_FILE, Log, LogState, Note, SNAPSHOT};
use super::segment::{LOG, file};
use crate::ids::Offset;

/// Producer snapshots kept, by age and by segment: if the newest is torn, the one before it serves.
const SNAPSHOTS_KEPT: usize = 2;

/// What waits for a sync.
#[derive(Debug, Default)]
pub(super) struct SyncState {
    pub recovery_point: Offset,
    /// Files other than the active segment, and the directory if its entries changed.
    pub paths: BTreeSet<PathBuf>,
    /// Grows with every truncation: a sync begun before proves nothing about what came after.
    pub generation: u32,
    /// Files of the sync that was begun and has not been answered.
    pub under_way: Option<Vec<PathBuf>>,
    pub failed: Option<String>,
}

/// One sync under way: what to sync, and what it will prove.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SyncTicket {
    /// Files and directories, each to be synced.
    pub files: Vec<PathBuf>,
    upto: Offset,
    generation: u32,
}

impl SyncTicket {
    /// First offset that is not covered by this sync.
    pub fn upto(&self) -> Offset {
        self.upto
    }
}

impl Log {
    /// Whether anything waits for a sync that no sync under way covers.
    pub fn needs_sync(&self) -> bool {
        self.sync.failed.is_none()
            && (self.sync.recovery_point < self.log_end() || !self.sync.paths.is_empty())
    }

    /// What must be synced to make everything up to the log end safe; `None` if nothing, or while an
    /// earlier sync is unanswered.
    pub fn begin_sync(&mut self) -> Option<SyncTicket> {
        if self.sync.under_way.is_some() || !self.needs_sync() {
            return None;
        }
        let mut files: Vec<PathBuf> = std::mem::take(&mut self.sync.paths).into_iter().collect();
        let active = self.active();
        if active.facts.bytes > 0 && active.facts.end > self.sync.recovery_point {
            files.push(active.path(&self.dir));
        }
        self.sync.under_way = Some(files.clone());
        Some(SyncTicket {
            files,
            upto: self.log_end(),
            generation: self.sync.generation,
        })
    }

    /// How the sync of a ticket went. Call exactly once per ticket.
    pub fn on_synced(&mut self, ticket: &SyncTicket, result: Result<(), String>) {
        self.sync.under_way = None;
        match result {
            Ok(()) if ticket.generation == self.sync.generation => {
                let upto = ticket.upto.min(self.log_end());
                self.sync.recovery_point = self.sync.recovery_point.max(upto);
            }
            // Truncated meanwhile: the files that are still there are synced again.
            Ok(()) => self.sync.paths.extend(ticket.files.iter().cloned()),
            Err(cause) => self.fail_sync(cause),
        }
    }

    fn fail_sync(&mut self, cause: String) {
        self.notes.push(Note::WriteFailed {
            path: self.dir.clone(),
            cause: format!("a sync failed: {cause}"),
        });
        self.sync.failed = Some(cause);
    }

    /// Whether a sync failed: the log takes no more writes and no more syncs.
    pub fn sync_failed(&self) -> bool {
        self.sync.failed.is_some()
    }

    /// Refuses writes after a failed sync.
    pub(super) fn check_writable(&self) -> Result<(), StorageError> {
        match &self.sync.failed {
            None => Ok(()),
            Some(cause) => Err(StorageError::SyncFailed {
                path: self.dir.clone(),
                cause: cause.clone(),
            }),
        }
    }

    /// Syncs everything now, on this thread: at a clean stop, and in tests.
    pub fn sync_now(&mut self, disk: &mut dyn Disk) -> Result<(), StorageError> {
        self.check_writable()?;
        // An unanswered sync proves nothing yet: its files are synced here once more.
        let unanswered = self.sync.under_way.take().unwrap_or_default();
        self.sync.paths.extend(unanswered);
        let Some(ticket) = self.begin_sync() else {
            return Ok(());
        };
        let mut result = Ok(());
        for path in &ticket.files {
            match disk.sync(path) {
                // Deleted since it was noted.
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
                Err(error) => {
                    result = Err(error.to_string());
                    break;
                }
                Ok(()) => {}
            }
        }
        self.on_synced(&ticket, result);
        self.check_writable()
    }

    /// Writes indexes and producers, syncs everything, and returns what [`Opening::Clean`] needs. Call
    /// last; after an error the log must be opened as unclean.
    pub fn close_clean(&mut self, disk: &mut dyn Disk) -> Result<LogState, StorageError> {
        self.check_writable()?;
        if self.sync.under_way.is_some() {
            // Should it fail, another sync may find nothing left to write and succeed.
            let path = self.dir.clone();
            return Err(StorageError::SyncUnanswered { path });
        }
        self.finish_cut(disk, self.last_append)?;
        self.roll_back_torn(disk)?;
        let has_producers = self.producers.count() > 0;
        let dir = self.dir.clone();
        self.active_mut().write_indexes(disk, &dir, false)?;
        if has_producers && self.snapshot_at != Some(self.log_end()) {
            self.write_producers(disk)?;
            self.drop_old_snapshots(disk);
        }
        if self.epochs_ahead {
            self.write_epochs(disk)?;
        }
        self.sync_now(disk)?;
        Ok(LogState {
            log_start: self.log_start,
            recovery_point: self.sync.recovery_point,
            segments: self.segments.iter().map(|s| s.facts).collect(),
            epochs: self.epochs.clone(),
            has_producers,
        })
    }

    /// Writes the producer snapshot of the log end.
    pub(super) fn write_producers(&mut self, disk: &mut dyn Disk) -> Result<(), StorageError> {
        let path = file(&self.dir, self.log_end(), SNAPSHOT);
        let snapshot = self.producers.to_file();
        replace(disk, &path, &snapshot, Synced::No).map_err(StorageError::io("write", &path))?;
        self.snapshot_at = Some(self.log_end());
        self.sync.paths.insert(path);
        self.sync.paths.insert(self.dir.clone());
        Ok(())
    }

    /// Keeps the two newest producer snapshots and those the two newest segments begin with. One that cannot
    /// be removed does no harm.
    pub(super) fn drop_old_snapshots(&mut self, disk: &mut dyn Disk) {
        let Ok(snapshots) = self.snapshots(disk) else {
            return;
        };
        let newest = self.segments.iter().rev().take(SNAPSHOTS_KEPT);
        let bases: Vec<Offset> = newest.map(|segment| segment.facts.base).collect();
        let old = snapshots.len().saturating_sub(SNAPSHOTS_KEPT);
        for at in snapshots[..old].iter().filter(|at| !bases.contains(at)) {
            let path = file(&self.dir, *at, SNAPSHOT);
            let _ = disk.remove(&path);
            self.sync.paths.remove(&path);
        }
    }

    /// Writes the leader epochs.
    ///
    /// A checkpoint behind the batches does no harm, so it is synced with them. One ahead of them would, once other
    /// batches stand where its epochs were cut off: that is synced at once.
    pub(super) fn write_epochs(&mut self, disk: &mut dyn Disk) -> Result<(), StorageError> {
        let path = self.dir.join(EPOCHS_FILE);
        let checkpoint = self.epochs.to_file();
        let synced = match self.epochs_ahead {
            true => Synced::Yes,
            false => Synced::No,
        };
        replace(disk, &path, &checkpoint, synced).map_err(StorageError::io("write", &path))?;
        self.epochs_ahead = false;
        self.sync.paths.insert(path);
        self.sync.paths.insert(self.dir.clone());
        Ok(())
    }
}

/// Notes that a segment's file must be synced.
pub(super) fn note_unsynced(paths: &mut BTreeSet<PathBuf>, dir: &Path, base: Offset) {
    paths.insert(file(dir, base, LOG));
    paths.insert(dir.to_owned());
}
