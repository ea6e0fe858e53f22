//! Deleting: old segments, forgotten producers, truncated ends, whole logs.
//!
//! Deleting from the front goes from the oldest segment on, so that a crash in between leaves no hole: the
//! first file's name says where the log starts, whether the log start could be written down or not. On a
//! full disk this is what makes room. Nothing at or above the high watermark is deleted by retention.

use std::path::{Path, PathBuf};

use super::disk::{Disk, Synced, UNFINISHED, replace_by_prefix};
use super::error::{ReadError, StorageError};
use super::log::{Log, Note, SNAPSHOT, write_log_start};
use super::producers::Producers;
use super::segment::{self, LOG, OFFSET_INDEX, Segment, TIME_INDEX, file};
use crate::ids::{Offset, Time};
use crate::plants::{Plant, planted};

/// Name ending of a directory that is being deleted.
pub const DELETED: &str = ".deleted";

/// Name ending of a directory that was set aside.
const STRAY: &str = ".stray";
/// Name ending of a copy that was damaged and is fetched again.
const DAMAGED: &str = ".damaged";
/// Directories of one name that are set aside at most.
const STRAYS_OF_A_NAME: usize = 100;
/// Bytes file systems allow in a name.
const MAX_NAME_BYTES: usize = 255;

/// Milliseconds without an append after which a log's newest batches leave memory.
const TAIL_IDLE_MS: i64 = 30_000;

impl Log {
    /// Applies retention.ms, retention.bytes and the log start; forgets idle producers, lets idle memory go
    /// and writes indexes that are still owed. Returns the bytes deleted. Call every few seconds, for a few
    /// logs at a time.
    pub fn apply_retention(
        &mut self,
        disk: &mut dyn Disk,
        now: Time,
        high_watermark: Offset,
    ) -> Result<u64, StorageError> {
        let silent_since = now.plus_ms(-self.config.producer_expiration_ms);
        self.producers.expire(silent_since);
        if self.tail.bytes() > 0 && self.last_append.plus_ms(TAIL_IDLE_MS) < now {
            self.tail.clear();
        }
        if self.sync.failed.is_some() {
            return Ok(0);
        }
        let Some((count, cause)) = self.deletable(now, high_watermark) else {
            self.save_indexes(disk);
            return Ok(0);
        };
        self.attempt(disk, |log, disk| log.delete_first(disk, count, cause))
    }

    /// How many of the oldest segments may go, and why.
    fn deletable(&self, now: Time, high_watermark: Offset) -> Option<(usize, String)> {
        let mut size = self.bytes();
        let oldest_kept = now.as_ms() - self.config.retention_ms.max(0);
        let (by_age, by_size) = (self.config.retention_ms >= 0, self.config.retention_bytes);
        let mut cause = None;
        let mut count = 0;
        for segment in &self.segments {
            let facts = &segment.facts;
            if facts.end > high_watermark || facts.bytes == 0 {
                break;
            }
            let last = count + 1 == self.segments.len();
            size -= facts.bytes;
            let because = if facts.end <= self.log_start && !last {
                "below the log start".to_owned()
            } else if by_age && facts.max_timestamp_ms >= 0 && facts.max_timestamp_ms < oldest_kept
            {
                format!("retention.ms = {} passed", self.config.retention_ms)
            } else if by_size >= 0 && size >= by_size as u64 && !last {
                format!("retention.bytes = {by_size} reached")
            } else {
                break;
            };
            cause.get_or_insert(because);
            count += 1;
        }
        cause.map(|cause| (count, cause))
    }

    fn delete_first(
        &mut self,
        disk: &mut dyn Disk,
        count: usize,
        cause: String,
    ) -> Result<u64, StorageError> {
        let mut owed = false;
        if count == self.segments.len() {
            // Sequences outlive their records (P2); on a full disk there is room for them afterwards.
            owed = self.write_producers(disk).is_err();
            self.begin_empty(disk, cause.clone())?;
        }
        let start = self.segments[count].facts.base.max(self.log_start);
        let moves = start > self.log_start;
        let noted = !moves || self.put_log_start(disk, start).is_ok();
        self.raise_log_start(start);
        let mut bytes = 0;
        for _ in 0..count {
            let base = self.segments[0].facts.base;
            remove_segment(disk, &self.dir, base)?;
            let gone = self.segments.remove(0);
            bytes += gone.facts.bytes;
            self.sync.paths.remove(&gone.path(&self.dir));
        }
        self.sync.paths.insert(self.dir.clone());
        // What still does not fit is known from the first file's name, or comes with the next snapshot.
        if !noted {
            let _ = self.put_log_start(disk, start);
        }
        if owed {
            let _ = self.write_producers(disk);
        }
        self.notes.push(Note::Deleted {
            log_start: start,
            bytes,
            cause,
        });
        Ok(bytes)
    }

    /// Puts an empty segment behind the last one, which is about to go: the file's name keeps the log end, and
    /// that takes no room.
    fn begin_empty(&mut self, disk: &mut dyn Disk, cause: String) -> Result<(), StorageError> {
        let base = self.log_end();
        let segment = Segment::new(base);
        let path = segment.path(&self.dir);
        disk.write_at(&path, 0, &[])
            .map_err(StorageError::io("make", &path))?;
        // Torn bytes behind the last batch go with their segment.
        self.torn = false;
        self.sync.paths.insert(self.dir.clone());
        self.segments.push(segment);
        self.notes.push(Note::Rolled { base, cause });
        Ok(())
    }

    /// Moves the log start up, as DeleteRecords does, and writes it down before it counts; it is safe with the
    /// log's next sync. Never beyond the log end. Segments wholly below go with the next
    /// [`Log::apply_retention`].
    pub fn set_log_start(
        &mut self,
        disk: &mut dyn Disk,
        start: Offset,
    ) -> Result<(), StorageError> {
        let start = start.min(self.log_end());
        if start <= self.log_start {
            return Ok(());
        }
        if self.producers.count() > 0 && self.snapshot_at.is_none_or(|at| at < start) {
            // Sequences outlive their records (P2), and what rebuilds them begins at the log start. On a full disk
            // they are lost by a crash before the next roll.
            let _ = self.write_producers(disk);
            self.drop_old_snapshots(disk);
        }
        if let Err(error) = self.put_log_start(disk, start) {
            // On a full disk the segments wholly below make the room.
            let sealed = &self.segments[..self.segments.len() - 1];
            let below = sealed.iter().take_while(|s| s.facts.end <= start).count();
            if below == 0 {
                return Err(error);
            }
            self.delete_first(disk, below, "below the log start".to_owned())?;
            self.put_log_start(disk, start)?;
        }
        self.raise_log_start(start);
        Ok(())
    }

    fn raise_log_start(&mut self, start: Offset) {
        self.log_start = start;
        self.epochs.advance(start);
        self.gaps.retain(|gap| gap.below > start);
    }

    /// Writes the log start down; it is synced with the log's next sync.
    fn put_log_start(&mut self, disk: &mut dyn Disk, start: Offset) -> Result<(), StorageError> {
        let path = write_log_start(disk, &self.dir, start, Synced::No)?;
        self.sync.paths.insert(path);
        self.sync.paths.insert(self.dir.clone());
        Ok(())
    }

    /// Writes the indexes of sealed segments that are in memory only: they were rebuilt, or could not be
    /// written when they were.
    fn save_indexes(&mut self, disk: &mut dyn Disk) {
        let sealed = self.segments.len() - 1;
        for segment in &mut self.segments[..sealed] {
            // One that fails is tried again next time: until then it serves from memory.
            if segment.owes_indexes() && segment.write_indexes(disk, &self.dir, true).is_err() {
                return;
            }
        }
    }

    /// Cuts the log so that it ends at `end`, or where the batch or damage that holds `end` begins: what
    /// a follower does when its leader's log diverges. Returns the bytes cut. For `replica`, which is being
    /// built; a broker alone never truncates. Syncs on its own: what is cut must not come back.
    pub fn truncate_to(
        &mut self,
        disk: &mut dyn Disk,
        now: Time,
        end: Offset,
    ) -> Result<u64, StorageError> {
        if end >= self.log_end() {
            self.finish_cut(disk, now)?;
            return Ok(0);
        }
        self.check_writable()?;
        self.attempt(disk, |log, disk| {
            if log.unfinished_cut.is_none() {
                log.roll_back_torn(disk)?;
            }
            let end = log.boundary_before(disk, end)?;
            log.cut(disk, now, end)
        })
    }

    /// Does the rest of a cut that failed half way.
    pub(super) fn finish_cut(
        &mut self,
        disk: &mut dyn Disk,
        now: Time,
    ) -> Result<(), StorageError> {
        let Some(end) = self.unfinished_cut else {
            return Ok(());
        };
        self.check_writable()?;
        self.attempt(disk, |log, disk| log.cut(disk, now, end).map(drop))
    }

    /// The end of the segments that lie wholly below an offset: whatever cutting there leaves, it leaves these.
    pub fn whole_segments_end(&self, offset: Offset) -> Offset {
        let bases = self.segments.iter().map(|segment| segment.facts.base);
        bases
            .filter(|base| *base <= offset)
            .max()
            .unwrap_or_default()
    }

    fn cut(&mut self, disk: &mut dyn Disk, now: Time, end: Offset) -> Result<u64, StorageError> {
        let before = self.bytes();
        self.unfinished_cut = Some(end);
        // At once, as the end is told at once: a follower that asked behind a record that is going would be told to
        // cut where its log already ends, for ever.
        self.epochs_ahead |= self.epochs.truncate(end);
        // Also where an earlier try got no further than this.
        let empties = self.log_start >= end;
        self.log_start = self.log_start.min(end);
        self.tail.clear();
        self.sync.generation += 1;
        self.sync.recovery_point = self.sync.recovery_point.min(end);
        while self.segments.len() > 1 && self.active().facts.base >= end {
            remove_segment(disk, &self.dir, self.active().facts.base)?;
            self.segments.pop();
        }
        if self.active().facts.end > end {
            self.shorten_active(disk, end)?;
        }
        self.write_epochs(disk)?;
        self.gaps.retain(|gap| gap.from < end);
        if empties {
            write_log_start(disk, &self.dir, end, Synced::Yes)?;
        }
        self.rebuild_producers(disk, now)?;
        self.unfinished_cut = None;
        Ok(before.saturating_sub(self.bytes()))
    }

    /// Shortens the last segment. If readers may hold what goes, its file is replaced, so that maps of it
    /// stay whole.
    fn shorten_active(&mut self, disk: &mut dyn Disk, end: Offset) -> Result<(), StorageError> {
        let base = self.active().facts.base;
        let path = self.active().path(&self.dir);
        if end <= base {
            remove_segment(disk, &self.dir, base)?;
            *self.active_mut() = Segment::new(end);
            return Ok(());
        }
        let last = self.segments.len() - 1;
        let keep = self.with_segment(last, |segment, around| {
            segment.byte_end_of(disk, around, end)
        })?;
        let cut = if self.active().lent_beyond(keep) {
            replace_by_prefix(disk, &path, keep)
        } else {
            let cut = disk.truncate(&path, keep);
            cut.and_then(|()| disk.sync(&path))
        };
        cut.map_err(StorageError::io("shorten", &path))?;
        let rules = super::scan::ScanRules {
            base,
            recovery_point: end,
            next_base: Some(end),
            epochs: Some(&self.epochs),
            epoch_before: self.epoch_before(base),
        };
        let every = self.config.index_interval_bytes;
        let (mut segment, _) = Segment::scanned(disk, &path, keep, &rules, every)?;
        segment.keep_lent(self.active(), keep);
        *self.active_mut() = segment;
        Ok(())
    }

    /// `end`, or where the batch or damage that holds it begins.
    fn boundary_before(
        &mut self,
        disk: &mut dyn Disk,
        end: Offset,
    ) -> Result<Offset, StorageError> {
        match self.batch_at(disk, end) {
            Ok(Some(place)) => Ok(place.header.base_offset),
            Ok(None) => Ok(end),
            Err(ReadError::Corrupt { from, .. }) => Ok(from),
            Err(ReadError::OutOfRange { .. }) => Ok(end),
            Err(ReadError::Storage(error)) => Err(error),
        }
    }

    /// Empties the log and lets it go on at `start`: what a follower does when its leader's log begins
    /// later than its own ends. For `replica`, which is being built.
    pub fn restart_at(&mut self, disk: &mut dyn Disk, start: Offset) -> Result<(), StorageError> {
        self.check_writable()?;
        self.attempt(disk, |log, disk| {
            write_log_start(disk, &log.dir, start, Synced::Yes)?;
            log.tail.clear();
            log.sync.generation += 1;
            for segment in &log.segments {
                remove_segment(disk, &log.dir, segment.facts.base)?;
            }
            log.segments = vec![Segment::new(start)];
            log.gaps.clear();
            log.log_start = start;
            log.sync.recovery_point = start;
            log.torn = false;
            log.unfinished_cut = None;
            log.epochs_ahead |= log.epochs.truncate(Offset::ZERO);
            log.producers = Producers::default();
            log.write_epochs(disk)
        })
    }

    /// Rebuilds producer state: from the newest sound snapshot not beyond the log end, and the batches
    /// behind it. Snapshots beyond the log end are removed.
    pub(super) fn rebuild_producers(
        &mut self,
        disk: &mut dyn Disk,
        now: Time,
    ) -> Result<u32, StorageError> {
        let mut unsound = 0;
        let mut start = self.log_start;
        let mut producers = Producers::default();
        self.snapshot_at = None;
        for at in self.snapshots(disk)?.into_iter().rev() {
            let path = file(&self.dir, at, SNAPSHOT);
            if at > self.log_end() && !planted(Plant::TakesFutureSnapshot) {
                disk.remove(&path)
                    .map_err(StorageError::io("remove", &path))?;
                continue;
            }
            let bytes = super::disk::read_whole(disk, &path);
            let bytes = bytes.map_err(StorageError::io("read", &path))?;
            let found = bytes.map(|bytes| Producers::from_file(&bytes));
            if let Some(found) = segment::known_version(found, &path)? {
                producers = found;
                start = start.max(at);
                self.snapshot_at = Some(at);
                break;
            }
            unsound += 1;
        }
        self.walk(disk, start, |header| producers.note(header, now))?;
        self.producers = match planted(Plant::ForgetsProducers) {
            true => Producers::default(),
            false => producers,
        };
        Ok(unsound)
    }

    /// Offsets at which there are producer snapshots, in order.
    pub(super) fn snapshots(&self, disk: &mut dyn Disk) -> Result<Vec<Offset>, StorageError> {
        let entries = disk
            .list(&self.dir)
            .map_err(StorageError::io("list", &self.dir))?;
        let offsets = entries.iter().filter_map(|e| offset_of(&e.name, SNAPSHOT));
        Ok(offsets.collect())
    }
}

/// Deletes a log directory that no [`Log`] has open. It is renamed first, to `name` and an ending, so that a
/// crash in between leaves no half of a log. Give a short name nobody else has: the directory's own may
/// leave no room for an ending.
pub fn delete_dir(disk: &mut dyn Disk, dir: &Path, name: &str) -> Result<(), StorageError> {
    let gone = &dir.with_file_name(format!("{name}{DELETED}"));
    match disk.remove_dir_all(gone) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            return Err(StorageError::io("remove", gone)(error));
        }
        _ => {}
    }
    match disk.rename(dir, gone) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
        renamed => renamed.map_err(StorageError::io("rename", dir))?,
    }
    disk.remove_dir_all(gone)
        .map_err(StorageError::io("remove", gone))
}

/// Moves a directory that holds what is not ours out of the way, and says where to. One that is empty or
/// missing is in nobody's way.
pub fn set_aside(disk: &mut dyn Disk, dir: &Path) -> Result<Option<PathBuf>, StorageError> {
    if !holds_anything(disk, dir)? {
        return Ok(None);
    }
    for n in 0..STRAYS_OF_A_NAME {
        let ending = match n {
            0 => STRAY.to_owned(),
            n => format!(".{n}{STRAY}"),
        };
        let aside = aside_path(dir, &ending);
        if !holds_anything(disk, &aside)? {
            disk.rename(dir, &aside)
                .map_err(StorageError::io("rename", dir))?;
            return Ok(Some(aside));
        }
    }
    let taken = std::io::ErrorKind::AlreadyExists.into();
    Err(StorageError::io("set aside", dir)(taken))
}

/// Moves a log that is not to be relied on out of the way, for somebody to look at, and says where to. The one moved
/// there before goes: another replica had its records. `name` as for [`delete_dir`].
pub fn set_damaged_aside(
    disk: &mut dyn Disk,
    dir: &Path,
    name: &str,
) -> Result<Option<PathBuf>, StorageError> {
    if !holds_anything(disk, dir)? {
        return Ok(None);
    }
    let aside = aside_path(dir, DAMAGED);
    delete_dir(disk, &aside, name)?;
    disk.rename(dir, &aside)
        .map_err(StorageError::io("rename", dir))?;
    // What is fetched again must not be vouched for while a power loss could bring this one back.
    let parent = dir.parent().unwrap_or(Path::new(""));
    disk.sync(parent)
        .map_err(StorageError::io("sync", parent))?;
    Ok(Some(aside))
}

/// Deletes a log directory as [`delete_dir`] does, and the damaged copy that was set aside for it.
pub fn delete_replica(disk: &mut dyn Disk, dir: &Path, name: &str) -> Result<(), StorageError> {
    delete_dir(disk, dir, name)?;
    delete_dir(disk, &aside_path(dir, DAMAGED), name)
}

/// The directory beside this one with an ending to its name, cut to what fits.
fn aside_path(dir: &Path, ending: &str) -> PathBuf {
    let name = dir.file_name().unwrap_or_default().to_string_lossy();
    let fits = |at: &usize| name.is_char_boundary(*at);
    let longest = name.len().min(MAX_NAME_BYTES - ending.len());
    let kept = (0..=longest).rev().find(fits).unwrap_or(0);
    dir.with_file_name(format!("{}{ending}", &name[..kept]))
}

fn holds_anything(disk: &mut dyn Disk, dir: &Path) -> Result<bool, StorageError> {
    match disk.list(dir) {
        Ok(entries) => Ok(!entries.is_empty()),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(StorageError::io("list", dir)(error)),
    }
}

/// The offset a file is named after, if it has this ending.
pub(super) fn offset_of(name: &str, ending: &str) -> Option<Offset> {
    let digits = name.strip_suffix(ending)?.strip_suffix('.')?;
    let named = digits.len() == 20 && digits.bytes().all(|byte| byte.is_ascii_digit());
    named.then(|| digits.parse().ok()).flatten().map(Offset)
}

/// Removes the files of a segment; those that are missing are no error.
pub(super) fn remove_segment(
    disk: &mut dyn Disk,
    dir: &Path,
    base: Offset,
) -> Result<(), StorageError> {
    for ending in [LOG, OFFSET_INDEX, TIME_INDEX] {
        let path = file(dir, base, ending);
        match disk.remove(&path) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                return Err(StorageError::io("remove", &path)(error));
            }
            _ => {}
        }
    }
    Ok(())
}

/// Whether a file was being written when the program ended.
pub(super) fn is_unfinished(name: &str) -> bool {
    name.ends_with(UNFINISHED)
}
