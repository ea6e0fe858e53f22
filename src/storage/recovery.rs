//! Opening a log: what is there, what it is worth, and what to do about it.
//!
//! After a clean stop nothing is read but the directory: every segment must have the size it had. After
//! anything else, segments below the recovery point whose index checks out are taken as they are (their
//! batches are checked when they are first read), everything else is scanned. `scan` holds the rules of
//! what is cut and what is damage. Files klar did not write are left alone; a file of a newer version is
//! refused before anything is changed.

use std::path::Path;
use std::sync::Arc;

use super::config::LogConfig;
use super::disk::{Disk, Entry, read_whole};
use super::epochs::Epochs;
use super::error::StorageError;
use super::format::{self, Fields};
use super::log::{EPOCHS_FILE, LOG_START_FILE, Log, LogState, Note, Opening, Recovered, SNAPSHOT};
use super::offset_index::SegmentFacts;
use super::producers::Producers;
use super::retention::{is_unfinished, offset_of, remove_segment};
use super::scan::{Damage, ScanRules, Window, scan};
use super::segment::{self, LOG, OFFSET_INDEX, Segment, TIME_INDEX, file, known_version};
use super::sync::SyncState;
use super::tail::Tail;
use crate::ids::{LeaderEpoch, Offset, Time};

impl Log {
    /// Opens the log in `dir`, or makes it. `opening` is what the data directory knows of the last run.
    pub fn open(
        disk: &mut dyn Disk,
        dir: &Path,
        config: Arc<LogConfig>,
        now: Time,
        opening: Opening,
    ) -> Result<(Log, Recovered), StorageError> {
        disk.create_dir_all(dir)
            .map_err(StorageError::io("make", dir))?;
        let entries = disk.list(dir).map_err(StorageError::io("list", dir))?;
        let mut log = Log::bare(dir, config, now);
        match opening {
            Opening::Clean(state) if state.fits(&entries) => {
                log.open_clean(disk, now, &entries, *state)?;
                let recovered = Recovered {
                    clean: true,
                    ..Recovered::default()
                };
                Ok((log, recovered))
            }
            // Something changed the files since the clean stop: everything was synced then.
            Opening::Clean(state) => {
                let recovered = log.open_unclean(disk, now, &entries, state.recovery_point)?;
                Ok((log, recovered))
            }
            Opening::Unknown => {
                let (last, whole) = log.whole_end(disk, &entries)?;
                let recovered = log.open_unclean(disk, now, &entries, whole)?;
                // What was found whole in the last segment need not have been synced.
                log.sync.recovery_point = log.sync.recovery_point.min(last);
                Ok((log, recovered))
            }
            Opening::Unclean { recovery_point } => {
                let recovered = log.open_unclean(disk, now, &entries, recovery_point)?;
                Ok((log, recovered))
            }
            Opening::SyncFailed { recovery_point } => {
                let mut recovered = log.open_unclean(disk, now, &entries, recovery_point)?;
                let cut_bytes = log.truncate_to(disk, now, recovery_point)?;
                recovered.cut_bytes += cut_bytes;
                if cut_bytes > 0 {
                    recovered.cut_cause = "its sync failed".to_owned();
                }
                Ok((log, recovered))
            }
        }
    }

    fn bare(dir: &Path, config: Arc<LogConfig>, now: Time) -> Log {
        Log {
            dir: dir.to_owned(),
            log_start: Offset::ZERO,
            segments: vec![Segment::new(Offset::ZERO)],
            gaps: Vec::new(),
            epochs: Epochs::default(),
            epochs_ahead: false,
            producers: Producers::default(),
            owner: None,
            tail: Tail::new(config.tail_budget.clone()),
            followed: false,
            sync: SyncState::default(),
            torn: false,
            unfinished_cut: None,
            trouble: None,
            notes: Vec::new(),
            last_append: now,
            snapshot_at: None,
            config,
        }
    }

    fn open_clean(
        &mut self,
        disk: &mut dyn Disk,
        now: Time,
        entries: &[Entry],
        state: LogState,
    ) -> Result<(), StorageError> {
        self.log_start = state.log_start;
        self.epochs = state.epochs;
        self.sync.recovery_point = state.recovery_point;
        let known = |facts| known_segment(facts, entries);
        self.segments = state.segments.into_iter().map(known).collect();
        if state.has_producers {
            self.rebuild_producers(disk, now)?;
        }
        Ok(())
    }

    fn open_unclean(
        &mut self,
        disk: &mut dyn Disk,
        now: Time,
        entries: &[Entry],
        recovery_point: Offset,
    ) -> Result<Recovered, StorageError> {
        let mut recovered = Recovered::default();
        let mut files: Vec<(Offset, u64)> = entries
            .iter()
            .filter_map(|entry| Some((offset_of(&entry.name, LOG)?, entry.len)))
            .collect();
        let epochs = self.read_epochs(disk)?;
        let log_start = self.read_log_start(disk)?;
        self.log_start = log_start.unwrap_or_default();
        refuse_newer(disk, &self.dir, entries)?;
        remove_leftovers(disk, &self.dir, entries)?;
        self.drop_below_start(disk, &mut files)?;
        // Segments are deleted only after the log start was written down, or tried to be.
        if log_start.is_none() || log_start == Some(Offset::ZERO) && self.log_start > Offset::ZERO {
            recovered.rebuilt += 1;
            let log_start = self.log_start;
            self.notes.push(Note::StartLost { log_start });
        }

        let epochs_known = epochs.is_some();
        if !epochs_known && !files.is_empty() {
            recovered.rebuilt += 1;
        }
        let mut opener = Opener {
            log: self,
            entries,
            epochs: epochs.as_ref(),
            recovery_point,
            recovered: &mut recovered,
        };
        opener.open_segments(disk, &files)?;
        // What was in front of the log start is not what the checkpoint tells of: a log that was to go on, empty,
        // from somewhere else (`Log::restart_at`) was on its way there.
        let begins_anew = files.is_empty() || self.log_end() < self.log_start;
        self.settle_end(disk, recovery_point, &mut recovered)?;
        self.settle_epochs(disk, epochs, begins_anew);
        recovered.rebuilt += self.rebuild_producers(disk, now)?;
        self.sync.recovery_point = recovery_point.min(self.log_end());
        recovered.damages = self.damages();
        for damage in &recovered.damages {
            self.notes.push(Note::Damaged {
                from: damage.from,
                below: damage.below,
                cause: damage.cause.clone(),
            });
        }
        Ok(recovered)
    }

    /// Base of the last segment, and the end of the last whole batch in it: in front of that may be damage,
    /// behind it is nothing but a torn tail.
    fn whole_end(
        &self,
        disk: &mut dyn Disk,
        entries: &[Entry],
    ) -> Result<(Offset, Offset), StorageError> {
        let files = entries
            .iter()
            .filter_map(|entry| Some((offset_of(&entry.name, LOG)?, entry.len)));
        let Some((base, len)) = files.max() else {
            return Ok((Offset::ZERO, Offset::ZERO));
        };
        let epochs = self.read_epochs(disk)?;
        let rules = ScanRules {
            base,
            // No segment goes further, so nothing in it is taken for a tail to cut.
            recovery_point: base + i64::from(i32::MAX),
            next_base: None,
            epochs: epochs.as_ref(),
            epoch_before: LeaderEpoch::NONE,
        };
        let path = file(&self.dir, base, LOG);
        let mut whole = base;
        let mut window = Window::new(disk, &path, len);
        scan(&mut window, &rules, |_, header| {
            whole = header.next_offset()
        })
        .map_err(StorageError::io("read", &path))?;
        Ok((base, whole))
    }

    fn read_epochs(&self, disk: &mut dyn Disk) -> Result<Option<Epochs>, StorageError> {
        let path = self.dir.join(EPOCHS_FILE);
        let bytes = read_whole(disk, &path).map_err(StorageError::io("read", &path))?;
        known_version(bytes.map(|bytes| Epochs::from_file(&bytes)), &path)
    }

    /// The log start on disk; 0 if it was never moved, `None` if it is damaged.
    fn read_log_start(&self, disk: &mut dyn Disk) -> Result<Option<Offset>, StorageError> {
        let path = self.dir.join(LOG_START_FILE);
        let bytes = read_whole(disk, &path).map_err(StorageError::io("read", &path))?;
        let Some(bytes) = bytes else {
            return Ok(Some(Offset::ZERO));
        };
        let opened = format::open(format::MAGIC_LOG_START, &bytes)
            .and_then(|body| Fields::new(body).i64())
            .map(Offset);
        known_version(Some(opened), &path)
    }

    /// Deletes segments that end at or below the log start: a deletion was interrupted.
    fn drop_below_start(
        &mut self,
        disk: &mut dyn Disk,
        files: &mut Vec<(Offset, u64)>,
    ) -> Result<(), StorageError> {
        while files.len() > 1 && files[1].0 <= self.log_start {
            let (base, _) = files.remove(0);
            remove_segment(disk, &self.dir, base)?;
        }
        if let Some((base, _)) = files.first() {
            self.log_start = self.log_start.max(*base);
        }
        Ok(())
    }

    /// Makes sure the log ends at or behind everything that was promised, in a file that can grow.
    fn settle_end(
        &mut self,
        disk: &mut dyn Disk,
        recovery_point: Offset,
        recovered: &mut Recovered,
    ) -> Result<(), StorageError> {
        let end = self.log_end();
        if end < self.log_start {
            // Unsynced records were lost that had been deleted already.
            for segment in &self.segments {
                recovered.cut_bytes += segment.facts.bytes;
                remove_segment(disk, &self.dir, segment.facts.base)?;
            }
            self.segments = vec![Segment::new(self.log_start)];
            return Ok(());
        }
        if end < recovery_point {
            self.gaps.push(Damage {
                from: end,
                below: recovery_point,
                position: 0,
                until: 0,
                cause: "the file is missing".to_owned(),
            });
            self.segments.push(Segment::new(recovery_point));
        } else if self.active().closed {
            self.segments.push(Segment::new(end));
        }
        Ok(())
    }

    /// The epochs of the log: those of the checkpoint, and those of batches behind it.
    fn settle_epochs(&mut self, disk: &mut dyn Disk, known: Option<Epochs>, begins_anew: bool) {
        let end = match begins_anew {
            true => Offset::ZERO,
            false => self.log_end(),
        };
        let mut epochs = known.clone().unwrap_or_default();
        self.epochs_ahead = epochs.truncate(end);
        self.epochs.truncate(end);
        for (epoch, offset) in self.epochs.starts() {
            epochs.assign(*epoch, *offset);
        }
        epochs.advance(self.log_start);
        self.epochs = epochs;
        let changed = known.as_ref() != Some(&self.epochs) && !self.epochs.starts().is_empty();
        if changed || self.epochs_ahead {
            // On a full disk they stay in memory, and are found in the batches again at the next start; the first
            // batch waits for those that must go.
            let written = self.write_epochs(disk);
            self.note_outcome(&written);
        }
    }
}

impl LogState {
    /// Whether the directory holds exactly the segments this state knows, each with its size.
    fn fits(&self, entries: &[Entry]) -> bool {
        let there = entries
            .iter()
            .filter_map(|entry| Some((offset_of(&entry.name, LOG)?, entry.len)));
        let known = self.segments.iter().map(|facts| (facts.base, facts.bytes));
        let not_empty = |file: &(Offset, u64)| file.1 > 0;
        !self.segments.is_empty()
            && there.filter(not_empty).eq(known.filter(not_empty))
            && !entries.iter().any(|entry| is_unfinished(&entry.name))
    }
}

/// Opens the segments of a log that was not closed cleanly, oldest first.
struct Opener<'a> {
    log: &'a mut Log,
    entries: &'a [Entry],
    epochs: Option<&'a Epochs>,
    recovery_point: Offset,
    recovered: &'a mut Recovered,
}

impl Opener<'_> {
    fn open_segments(
        &mut self,
        disk: &mut dyn Disk,
        files: &[(Offset, u64)],
    ) -> Result<(), StorageError> {
        let Some((first, _)) = files.first() else {
            self.log.segments = vec![Segment::new(self.log.log_start)];
            return Ok(());
        };
        self.log.segments.clear();
        let mut end = *first;
        for (n, (base, len)) in files.iter().enumerate() {
            if *base != end && !self.bridge_gap(end, *base) {
                return self.drop_rest(disk, &files[n..]);
            }
            let next = files.get(n + 1).map(|(base, _)| *base);
            let segment = match self.trusted(disk, *base, *len, next)? {
                Some(facts) => known_segment(facts, self.entries),
                None => self.scanned(disk, *base, *len, next)?,
            };
            end = segment.facts.end;
            self.log.segments.push(segment);
        }
        Ok(())
    }

    /// Segments are missing in front of `base`: below the recovery point that is damage.
    fn bridge_gap(&mut self, end: Offset, base: Offset) -> bool {
        if end >= self.recovery_point || base < end || base > self.recovery_point {
            return false;
        }
        self.log.gaps.push(Damage {
            from: end,
            below: base,
            position: 0,
            until: 0,
            cause: "the file is missing".to_owned(),
        });
        true
    }

    /// What follows does not continue the log, and lies above the recovery point.
    fn drop_rest(
        &mut self,
        disk: &mut dyn Disk,
        files: &[(Offset, u64)],
    ) -> Result<(), StorageError> {
        for (base, len) in files {
            self.recovered.cut_bytes += len;
            if self.recovered.cut_cause.is_empty() {
                self.recovered.cut_cause =
                    format!("a segment at offset {base} does not continue the log");
            }
            remove_segment(disk, &self.log.dir, *base)?;
        }
        Ok(())
    }

    /// The facts of a segment that needs no scan: synced, complete, and its index checks out.
    fn trusted(
        &mut self,
        disk: &mut dyn Disk,
        base: Offset,
        len: u64,
        next: Option<Offset>,
    ) -> Result<Option<SegmentFacts>, StorageError> {
        if self.epochs.is_none() {
            return Ok(None);
        }
        let Some((facts, _)) = segment::read_facts(disk, &self.log.dir, base)? else {
            return Ok(None);
        };
        let complete = facts.base == base
            && facts.bytes == len
            && facts.end <= self.recovery_point
            && next.map_or(facts.end == self.recovery_point, |next| facts.end == next);
        Ok(complete.then_some(facts))
    }

    fn scanned(
        &mut self,
        disk: &mut dyn Disk,
        base: Offset,
        len: u64,
        next: Option<Offset>,
    ) -> Result<Segment, StorageError> {
        let path = file(&self.log.dir, base, LOG);
        let starts = &self.log.epochs;
        let epoch_before = match self.epochs {
            Some(known) => known.at(base + -1).max(starts.latest()),
            None => starts.latest(),
        };
        let rules = ScanRules {
            base,
            recovery_point: self.recovery_point,
            next_base: next,
            epochs: self.epochs,
            epoch_before,
        };
        let every = self.log.config.index_interval_bytes;
        let (mut segment, found) = Segment::scanned(disk, &path, len, &rules, every)?;
        self.recovered.checked_bytes += len;
        for (epoch, offset) in &found.epoch_starts {
            self.log.epochs.assign(*epoch, *offset);
        }
        if let Some(fault) = found.cut {
            self.recovered.cut_bytes += len - found.bytes;
            self.recovered.cut_cause = format!("at offset {}: {fault}", found.end);
            disk.truncate(&path, found.bytes)
                .map_err(StorageError::io("shorten", &path))?;
            // Old batches behind the cut must not come back behind new ones after a power loss.
            disk.sync(&path).map_err(StorageError::io("sync", &path))?;
        }
        if next.is_some() {
            // On a full disk they stay in memory until there is room.
            let written = segment.write_indexes(disk, &self.log.dir, true);
            self.log.note_outcome(&written);
            self.recovered.rebuilt += 1;
        }
        if segment.facts.end > self.recovery_point {
            super::sync::note_unsynced(&mut self.log.sync.paths, &self.log.dir, base);
        }
        Ok(segment)
    }
}

fn known_segment(facts: SegmentFacts, entries: &[Entry]) -> Segment {
    Segment::known(facts, |ending| {
        let name = format!("{:020}.{ending}", facts.base.0);
        // The directory was listed in order.
        let place = entries.binary_search_by(|entry| entry.name.cmp(&name));
        place.map_or(0, |n| entries[n].len)
    })
}

/// Refuses a directory in which any file of a segment is of a version this program does not know.
fn refuse_newer(disk: &mut dyn Disk, dir: &Path, entries: &[Entry]) -> Result<(), StorageError> {
    for entry in entries {
        let path = dir.join(&entry.name);
        let is = |ending| offset_of(&entry.name, ending).is_some();
        if !is(SNAPSHOT) && !is(OFFSET_INDEX) && !is(TIME_INDEX) {
            continue;
        }
        let bytes = read_whole(disk, &path).map_err(StorageError::io("read", &path))?;
        let Some(bytes) = bytes else { continue };
        let opened = if is(SNAPSHOT) {
            Producers::from_file(&bytes).map(|_| ())
        } else if is(OFFSET_INDEX) {
            super::offset_index::open(&bytes).map(|_| ())
        } else {
            super::time_index::open(&bytes).map(|_| ())
        };
        known_version(Some(opened), &path)?;
    }
    Ok(())
}

/// Removes files that were being written, and indexes without a segment.
fn remove_leftovers(
    disk: &mut dyn Disk,
    dir: &Path,
    entries: &[Entry],
) -> Result<(), StorageError> {
    let has_log = |base: Offset| {
        let name = format!("{:020}.{LOG}", base.0);
        entries.iter().any(|entry| entry.name == name)
    };
    for entry in entries {
        let index = [OFFSET_INDEX, TIME_INDEX];
        let mut bases = index
            .iter()
            .filter_map(|ending| offset_of(&entry.name, ending));
        let orphan = bases.any(|base| !has_log(base));
        if orphan || is_unfinished(&entry.name) {
            let path = dir.join(&entry.name);
            disk.remove(&path)
                .map_err(StorageError::io("remove", &path))?;
        }
    }
    Ok(())
}
