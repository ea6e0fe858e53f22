//! One segment of a log: a file of record batches and the two indexes over it.
//!
//! Only the last segment grows; its index entries live in memory until it is sealed. Batches are read through
//! a shared map of the file, and what was given out that way is never cut off in place. Batches read back from the file are checked
//! against their CRC-32C once per start of the program; what was appended since counts as checked.
//! Indexes that do not check out are rebuilt from the batches.

use std::path::{Path, PathBuf};

use bytes::Bytes;

use super::disk::{Disk, Synced, read_whole, replace};
use super::epochs::Epochs;
use super::error::StorageError;
use super::format::{self, FormatError};
use super::offset_index::{self, SegmentFacts};
use super::scan::{Damage, ScanRules, Window, scan};
use super::time_index;
use crate::ids::{LeaderEpoch, Offset};
use crate::wire::records::{BatchHeader, BatchView};

/// File name endings of a segment.
pub const LOG: &str = "log";
pub const OFFSET_INDEX: &str = "index";
pub const TIME_INDEX: &str = "timeindex";

/// Separately checked byte ranges a segment remembers; beyond this the smallest is checked again.
const CHECKED_RANGES: usize = 16;

/// A segment's file: base offset in 20 digits, as Kafka names it.
pub fn file(dir: &Path, base: Offset, ending: &str) -> PathBuf {
    dir.join(format!("{:020}.{ending}", base.0))
}

/// One segment.
#[derive(Debug)]
pub struct Segment {
    pub facts: SegmentFacts,
    pub damages: Vec<Damage>,
    /// The file ends in damage: nothing may be appended to it.
    pub closed: bool,
    indexes: Indexes,
    /// The index entries are not in the files as they are in memory.
    unsaved: bool,
    checked: Vec<(u64, u64)>,
    /// End of the bytes that readers were given; they may still hold them.
    lent: u64,
}

/// Where the index entries are.
#[derive(Debug)]
enum Indexes {
    /// In files not looked at yet; bytes of entries as the file sizes say.
    Unknown {
        offset: usize,
        time: usize,
    },
    /// In files that checked out: bytes of entries in each.
    Files {
        offset: usize,
        time: usize,
    },
    Memory(Box<Entries>),
}

/// Index entries in memory.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Entries {
    pub offset: Vec<u8>,
    pub time: Vec<u8>,
    /// Log bytes since the last entry.
    since: u64,
}

/// What a picture shows of a segment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SegmentState {
    pub base_offset: Offset,
    pub end_offset: Offset,
    pub bytes: u64,
    pub index_entries: u32,
    pub index_bytes: u64,
    pub time_index_entries: u32,
    pub time_index_bytes: u64,
    pub max_timestamp_ms: i64,
    pub active: bool,
}

/// What a segment needs to know of its log.
#[derive(Clone, Copy)]
pub struct Surroundings<'a> {
    pub dir: &'a Path,
    pub epochs: &'a Epochs,
    pub index_interval_bytes: u32,
}

impl Entries {
    /// Enters a batch at `position` of the segment `facts` describes, the batch included.
    fn on_batch(&mut self, position: u64, header: &BatchHeader, facts: &SegmentFacts, every: u32) {
        if self.since >= u64::from(every) {
            let relative = relative(facts.base, header.base_offset);
            offset_index::push(&mut self.offset, relative, position as u32);
            let latest = relative_last(facts);
            time_index::push(&mut self.time, facts.max_timestamp_ms, latest);
            self.since = 0;
        }
        self.since += header.total_bytes() as u64;
    }
}

/// How far an offset lies behind the segment's first. A segment spans less than 2³² offsets; what damaged files
/// say beyond that is held to it, because index entries are hints that are checked against the batches.
fn relative(base: Offset, offset: Offset) -> u32 {
    (offset.0.saturating_sub(base.0)).clamp(0, i64::from(u32::MAX)) as u32
}

fn relative_last(facts: &SegmentFacts) -> u32 {
    relative(facts.base, facts.max_timestamp_at)
}

/// Adds a batch to the facts of its segment.
fn note_batch(facts: &mut SegmentFacts, header: &BatchHeader) {
    if facts.bytes == 0 {
        facts.first_timestamp_ms = header.max_timestamp_ms;
    }
    if header.max_timestamp_ms > facts.max_timestamp_ms {
        facts.max_timestamp_ms = header.max_timestamp_ms;
        facts.max_timestamp_at = header.last_offset();
    }
    facts.end = header.next_offset();
    facts.bytes += header.total_bytes() as u64;
}

impl Segment {
    /// A segment without a record, ready to grow.
    pub fn new(base: Offset) -> Segment {
        let mut segment = Segment::known(SegmentFacts::empty(base), |_| 0);
        segment.indexes = Indexes::Memory(Box::default());
        segment
    }

    /// A segment whose facts are known and whose files were not looked at; `len_of` says how long the
    /// file with an ending is.
    pub fn known(facts: SegmentFacts, len_of: impl Fn(&str) -> u64) -> Segment {
        let entries = |ending, footer| (len_of(ending) as usize).saturating_sub(footer);
        Segment {
            facts,
            damages: Vec::new(),
            closed: false,
            indexes: Indexes::Unknown {
                offset: entries(OFFSET_INDEX, offset_index::FOOTER_BYTES),
                time: entries(TIME_INDEX, time_index::FOOTER_BYTES),
            },
            unsaved: false,
            checked: Vec::new(),
            lent: 0,
        }
    }

    pub fn path(&self, dir: &Path) -> PathBuf {
        file(dir, self.facts.base, LOG)
    }

    /// Scans the file as `rules` say and builds the segment anew. The file is not changed: the second
    /// value says whether it must be cut to `facts.bytes`, and why.
    pub fn scanned(
        disk: &mut dyn Disk,
        path: &Path,
        len: u64,
        rules: &ScanRules<'_>,
        index_interval_bytes: u32,
    ) -> Result<(Segment, super::scan::Scanned), StorageError> {
        let mut facts = SegmentFacts::empty(rules.base);
        let mut entries = Entries::default();
        let mut window = Window::new(disk, path, len);
        let found = scan(&mut window, rules, |position, header| {
            // Behind damage the positions go on where the file does.
            facts.bytes = position;
            note_batch(&mut facts, header);
            entries.on_batch(position, header, &facts, index_interval_bytes);
        })
        .map_err(StorageError::io("read", path))?;
        facts.end = found.end;
        facts.bytes = found.bytes;
        let segment = Segment {
            facts,
            damages: found.damages.clone(),
            closed: found.closed,
            indexes: Indexes::Memory(Box::new(entries)),
            unsaved: true,
            checked: vec![(0, found.bytes)],
            lent: 0,
        };
        Ok((segment, found))
    }

    /// Enters a batch that was written at the end of the file.
    pub fn appended(&mut self, header: &BatchHeader, index_interval_bytes: u32) {
        let position = self.facts.bytes;
        self.unsaved = true;
        note_batch(&mut self.facts, header);
        self.mark_checked(position, self.facts.bytes);
        if let Indexes::Memory(entries) = &mut self.indexes {
            entries.on_batch(position, header, &self.facts, index_interval_bytes);
        }
    }

    /// Brings the index entries into memory so that the segment can grow.
    pub fn prepare_to_grow(
        &mut self,
        disk: &mut dyn Disk,
        around: Surroundings<'_>,
    ) -> Result<(), StorageError> {
        if matches!(self.indexes, Indexes::Memory(_)) {
            return Ok(());
        }
        if self.facts.bytes == 0 {
            self.indexes = Indexes::Memory(Box::default());
            return Ok(());
        }
        self.find_indexes(disk, around)?;
        if let Indexes::Files { .. } = self.indexes {
            let entries = self.entries(disk, around)?;
            self.indexes = Indexes::Memory(Box::new(entries));
        }
        Ok(())
    }

    /// Writes the indexes with their footers. The entries leave memory if `sealed`.
    pub fn write_indexes(
        &mut self,
        disk: &mut dyn Disk,
        dir: &Path,
        sealed: bool,
    ) -> Result<(), StorageError> {
        let Indexes::Memory(entries) = &mut self.indexes else {
            return Ok(());
        };
        if !self.unsaved && !sealed {
            return Ok(());
        }
        let base = self.facts.base;
        if self.facts.max_timestamp_ms >= 0 {
            let latest = relative_last(&self.facts);
            time_index::push(&mut entries.time, self.facts.max_timestamp_ms, latest);
        }
        let time_path = file(dir, base, TIME_INDEX);
        let time = time_index::seal(&entries.time);
        replace(disk, &time_path, &time, Synced::No)
            .map_err(StorageError::io("write", &time_path))?;
        let path = file(dir, base, OFFSET_INDEX);
        let offset = offset_index::seal(&entries.offset, &self.facts);
        replace(disk, &path, &offset, Synced::No).map_err(StorageError::io("write", &path))?;
        self.unsaved = false;
        if sealed {
            self.indexes = Indexes::Files {
                offset: entries.offset.len(),
                time: entries.time.len(),
            };
        }
        Ok(())
    }

    /// Whether the index files do not hold what memory does.
    pub fn owes_indexes(&self) -> bool {
        self.unsaved
    }

    /// Whether either index of the growing segment has no room for another entry in `limit` bytes.
    pub fn indexes_full(&self, limit: u64) -> bool {
        let Indexes::Memory(entries) = &self.indexes else {
            return false;
        };
        let full = |bytes: usize, entry: usize| bytes > 0 && (bytes + entry) as u64 > limit;
        // The time index gets one more entry when it is sealed.
        full(entries.offset.len(), offset_index::ENTRY_BYTES)
            || full(entries.time.len(), 2 * time_index::ENTRY_BYTES)
    }

    /// Looks at the index files and rebuilds the entries from the batches if they do not check out.
    fn find_indexes(
        &mut self,
        disk: &mut dyn Disk,
        around: Surroundings<'_>,
    ) -> Result<(), StorageError> {
        if !matches!(self.indexes, Indexes::Unknown { .. }) {
            return Ok(());
        }
        match checked_indexes(disk, around.dir, &self.facts)? {
            Some((offset, time)) => self.indexes = Indexes::Files { offset, time },
            None => self.examine(disk, around)?,
        }
        Ok(())
    }

    /// Reads the whole file, finds all damage in it and rebuilds the index entries in memory. The
    /// offsets and bytes the segment is known to hold do not change.
    pub fn examine(
        &mut self,
        disk: &mut dyn Disk,
        around: Surroundings<'_>,
    ) -> Result<(), StorageError> {
        let path = self.path(around.dir);
        let rules = ScanRules {
            base: self.facts.base,
            recovery_point: self.facts.end,
            next_base: Some(self.facts.end),
            epochs: Some(around.epochs),
            epoch_before: LeaderEpoch::NONE,
        };
        let every = around.index_interval_bytes;
        let (fresh, _) = Segment::scanned(disk, &path, self.facts.bytes, &rules, every)?;
        self.indexes = fresh.indexes;
        self.unsaved = true;
        self.damages = fresh.damages;
        self.checked = vec![(0, self.facts.bytes)];
        Ok(())
    }

    /// All index entries.
    pub fn entries(
        &mut self,
        disk: &mut dyn Disk,
        around: Surroundings<'_>,
    ) -> Result<Entries, StorageError> {
        self.find_indexes(disk, around)?;
        let (offset, time) = match &self.indexes {
            Indexes::Memory(entries) => return Ok((**entries).clone()),
            Indexes::Files { offset, time } => (*offset, *time),
            Indexes::Unknown { .. } => (0, 0),
        };
        let mut read = |ending, len| {
            let path = file(around.dir, self.facts.base, ending);
            let bytes = disk.read_shared(&path, 0, len);
            bytes.map_err(StorageError::io("read", &path))
        };
        Ok(Entries {
            offset: read(OFFSET_INDEX, offset)?.to_vec(),
            time: read(TIME_INDEX, time)?.to_vec(),
            since: 0,
        })
    }

    /// An indexed batch at or before `offset`: its byte position and its first offset.
    pub fn batch_before(
        &mut self,
        disk: &mut dyn Disk,
        around: Surroundings<'_>,
        offset: Offset,
    ) -> Result<(u64, Offset), StorageError> {
        self.find_indexes(disk, around)?;
        let relative = relative(self.facts.base, offset);
        let (relative, position) = match &self.indexes {
            Indexes::Memory(entries) => offset_index::at_or_before(&entries.offset, relative),
            Indexes::Files { offset, .. } => {
                let path = file(around.dir, self.facts.base, OFFSET_INDEX);
                let entries = disk.read_shared(&path, 0, *offset);
                let entries = entries.map_err(StorageError::io("read", &path))?;
                offset_index::at_or_before(&entries, relative)
            }
            Indexes::Unknown { .. } => (0, 0),
        };
        let first = self.facts.base + i64::from(relative);
        Ok((u64::from(position), first))
    }

    /// An offset with nothing as late as `timestamp_ms` before it in this segment.
    pub fn all_earlier_before(
        &mut self,
        disk: &mut dyn Disk,
        around: Surroundings<'_>,
        timestamp_ms: i64,
    ) -> Result<Offset, StorageError> {
        self.find_indexes(disk, around)?;
        let relative = match &self.indexes {
            Indexes::Memory(entries) => time_index::all_earlier_up_to(&entries.time, timestamp_ms),
            Indexes::Files { time, .. } => {
                let path = file(around.dir, self.facts.base, TIME_INDEX);
                let entries = disk.read_shared(&path, 0, *time);
                let entries = entries.map_err(StorageError::io("read", &path))?;
                time_index::all_earlier_up_to(&entries, timestamp_ms)
            }
            Indexes::Unknown { .. } => 0,
        };
        Ok(self.facts.base + i64::from(relative))
    }

    /// Bytes from `position` on, shared with the file where the disk can.
    pub fn bytes_at(
        &mut self,
        disk: &mut dyn Disk,
        dir: &Path,
        position: u64,
        len: usize,
    ) -> Result<Bytes, StorageError> {
        let left = self.facts.bytes.saturating_sub(position);
        let len = usize::try_from(left).map_or(len, |left| left.min(len));
        if len == 0 {
            return Ok(Bytes::new());
        }
        let path = self.path(dir);
        let bytes = disk.read_shared(&path, position, len);
        let bytes = bytes.map_err(StorageError::io("read", &path))?;
        self.lent = self.lent.max(position + bytes.len() as u64);
        Ok(bytes)
    }

    /// Takes over what readers may hold of this segment's file as it was before it was cut to `bytes`.
    pub fn keep_lent(&mut self, before: &Segment, bytes: u64) {
        self.lent = before.lent.min(bytes);
    }

    /// Whether readers may hold bytes at or behind `position`, so that the file must not end there in place.
    pub fn lent_beyond(&self, position: u64) -> bool {
        self.lent > position
    }

    /// Byte position behind the last batch or damage in front of `end`, which must be a boundary.
    pub fn byte_end_of(
        &mut self,
        disk: &mut dyn Disk,
        around: Surroundings<'_>,
        end: Offset,
    ) -> Result<u64, StorageError> {
        let damage = self.damages.iter().find(|damage| damage.from == end);
        if let Some(damage) = damage {
            return Ok(damage.position);
        }
        let (mut position, _) = self.batch_before(disk, around, end)?;
        let path = self.path(around.dir);
        let mut window = Window::new(disk, &path, self.facts.bytes);
        loop {
            position = self.damage_at(position).map_or(position, |d| d.until);
            let header = window.at(position, BatchHeader::BYTES);
            let header = header.map_err(StorageError::io("read", &path))?;
            match BatchHeader::parse(header) {
                Ok(header) if header.base_offset < end => {
                    position += header.total_bytes() as u64;
                }
                _ => return Ok(position),
            }
        }
    }

    /// Whether the batch at `position` may be given out: its bytes were checked before, or are now.
    pub fn is_sound(&mut self, position: u64, batch: &BatchView<'_>) -> bool {
        let until = position + batch.bytes().len() as u64;
        let known = |range: &(u64, u64)| range.0 <= position && until <= range.1;
        if self.checked.iter().any(known) {
            return true;
        }
        let sound = batch.crc_ok();
        if sound {
            self.mark_checked(position, until);
        }
        sound
    }

    fn mark_checked(&mut self, from: u64, until: u64) {
        let touching = self.checked.iter_mut().find(|range| range.1 == from);
        match touching {
            Some(range) => range.1 = until,
            None => {
                if self.checked.len() >= CHECKED_RANGES {
                    let smallest = (0..self.checked.len())
                        .min_by_key(|n| self.checked[*n].1 - self.checked[*n].0)
                        .expect("there are ranges");
                    self.checked.swap_remove(smallest);
                }
                self.checked.push((from, until));
            }
        }
    }

    /// The damage that begins or lies at a byte position.
    pub fn damage_at(&self, position: u64) -> Option<&Damage> {
        let inside = |damage: &&Damage| (damage.position..damage.until).contains(&position);
        self.damages.iter().find(inside)
    }

    /// What a picture shows. Entries in files not looked at yet count as their file size says.
    pub fn state(&self, active: bool) -> SegmentState {
        let (offset, time) = match &self.indexes {
            Indexes::Memory(entries) => (entries.offset.len(), entries.time.len()),
            Indexes::Files { offset, time } | Indexes::Unknown { offset, time } => (*offset, *time),
        };
        SegmentState {
            base_offset: self.facts.base,
            end_offset: self.facts.end,
            bytes: self.facts.bytes,
            index_entries: (offset / offset_index::ENTRY_BYTES) as u32,
            index_bytes: offset as u64,
            time_index_entries: (time / time_index::ENTRY_BYTES) as u32,
            time_index_bytes: time as u64,
            max_timestamp_ms: self.facts.max_timestamp_ms,
            active,
        }
    }
}

/// Bytes of entries in the two index files of a segment, if both check out and belong to it.
fn checked_indexes(
    disk: &mut dyn Disk,
    dir: &Path,
    facts: &SegmentFacts,
) -> Result<Option<(usize, usize)>, StorageError> {
    match read_facts(disk, dir, facts.base)? {
        Some((found, offset)) if found == *facts => {
            let path = file(dir, facts.base, TIME_INDEX);
            let time = read_whole(disk, &path).map_err(StorageError::io("read", &path))?;
            let time = time.map(|time| time_index::open(&time));
            Ok(known_version(time, &path)?.map(|time| (offset, time)))
        }
        _ => Ok(None),
    }
}

/// What a segment's index file says it holds, if it checks out; and the bytes of its entries.
pub fn read_facts(
    disk: &mut dyn Disk,
    dir: &Path,
    base: Offset,
) -> Result<Option<(SegmentFacts, usize)>, StorageError> {
    let path = file(dir, base, OFFSET_INDEX);
    let bytes = read_whole(disk, &path).map_err(StorageError::io("read", &path))?;
    known_version(bytes.map(|bytes| offset_index::open(&bytes)), &path)
}

/// Damage counts as absence, a newer version is refused.
pub fn known_version<T>(
    opened: Option<Result<T, FormatError>>,
    path: &Path,
) -> Result<Option<T>, StorageError> {
    match opened {
        Some(Ok(value)) => Ok(Some(value)),
        Some(Err(FormatError::UnknownVersion { found })) => Err(StorageError::UnknownVersion {
            path: path.to_owned(),
            found,
            known: format::VERSION,
        }),
        Some(Err(_)) | None => Ok(None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Found by fuzzing: an index whose checksum is right said that the newest record lies outside its segment.
    #[test]
    fn an_offset_outside_the_segment_is_held_to_its_span() {
        assert_eq!(relative(Offset(100), Offset(107)), 7);
        assert_eq!(relative(Offset(100), Offset(-1)), 0);
        assert_eq!(relative(Offset(0), Offset(i64::MAX)), u32::MAX);
    }
}
