//! Reading: whole batches from an offset on.
//!
//! From memory while the offset is among the newest, else from one segment's file. Bytes are handed out
//! as they lie; each batch is checked against its CRC-32C the first time it is read back from a file.

use bytes::Bytes;

use super::disk::Disk;
use super::error::{ReadError, StorageError};
use super::log::{Log, Note};
use super::scan::Damage;
use super::segment::{Segment, Surroundings};
use crate::ids::{LeaderEpoch, Offset};
use crate::wire::records::{BatchHeader, BatchView};

/// Bytes read at once to find a batch.
const READ_AHEAD_BYTES: usize = 16 * 1024;

/// Where one batch lies.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BatchPlace {
    pub header: BatchHeader,
    /// First offset of its segment: names the file.
    pub segment: Offset,
    /// Byte position in the file.
    pub position: u64,
    /// The whole batch, as it lies in the file now.
    pub bytes: Bytes,
    pub crc_ok: bool,
}

/// What a reader wants of one segment.
#[derive(Clone, Copy)]
struct Want {
    from: Offset,
    below: Offset,
    max_bytes: usize,
    at_least_one: bool,
}

/// What one segment gave.
enum Piece {
    Bytes(Bytes),
    /// Nothing below the limit, or the first batch is too large.
    Nothing,
    /// Something did not read as it should.
    Unsound,
}

impl Log {
    /// Whole batches from the one that holds `from` on, while they end at or below `below` and fit
    /// `max_bytes` (the first may be larger if `at_least_one`). Empty at the end of the log. Stops in
    /// front of damage; at damage it is an error that says where reading goes on.
    pub fn read(
        &mut self,
        disk: &mut dyn Disk,
        from: Offset,
        below: Offset,
        max_bytes: usize,
        at_least_one: bool,
    ) -> Result<Vec<Bytes>, ReadError> {
        self.check_in_range(from)?;
        if from >= below.min(self.log_end()) {
            return Ok(Vec::new());
        }
        self.check_damage(from)?;
        let want = Want {
            from,
            below,
            max_bytes,
            at_least_one,
        };
        if let Some(found) = self.read_tail(want) {
            return Ok(found);
        }
        // A segment may end in front of the next one's first offset only where damage was found.
        let holds = |n: &usize| self.segments[*n].facts.end > from;
        let Some(n) = (self.segment_of(from)..self.segments.len()).find(holds) else {
            return Ok(Vec::new());
        };
        match self.read_segment(disk, n, want)? {
            Piece::Bytes(bytes) => Ok(vec![bytes]),
            Piece::Nothing | Piece::Unsound => Ok(Vec::new()),
        }
    }

    fn check_in_range(&self, from: Offset) -> Result<(), ReadError> {
        let (start, end) = (self.log_start, self.log_end());
        match (start..=end).contains(&from) {
            true => Ok(()),
            false => Err(ReadError::OutOfRange {
                offset: from,
                start,
                end,
            }),
        }
    }

    fn check_damage(&self, offset: Offset) -> Result<(), ReadError> {
        let segment = &self.segments[self.segment_of(offset)];
        let inside = |damage: &&Damage| (damage.from..damage.below).contains(&offset);
        match segment.damages.iter().chain(&self.gaps).find(inside) {
            None => Ok(()),
            Some(damage) => Err(ReadError::Corrupt {
                from: damage.from,
                below: damage.below,
                cause: damage.cause.clone(),
            }),
        }
    }

    fn read_tail(&self, want: Want) -> Option<Vec<Bytes>> {
        let held = self.tail.from(want.from)?;
        let mut found = Vec::new();
        let mut bytes = 0;
        let mut held = held.peekable();
        while let Some((_, batch)) = held.next() {
            let end = held.peek().map_or(self.log_end(), |(base, _)| *base);
            let first = found.is_empty() && want.at_least_one;
            if end > want.below || bytes + batch.len() > want.max_bytes && !first {
                break;
            }
            bytes += batch.len();
            found.push(batch.clone());
        }
        Some(found)
    }

    /// Reads from one segment; if its bytes are not sound, finds all damage in it and tries again.
    fn read_segment(
        &mut self,
        disk: &mut dyn Disk,
        n: usize,
        want: Want,
    ) -> Result<Piece, ReadError> {
        let piece =
            self.with_segment(n, |segment, around| piece_of(segment, disk, around, want))?;
        if !matches!(piece, Piece::Unsound) {
            return Ok(piece);
        }
        self.examine_segment(disk, n)?;
        self.check_damage(want.from)?;
        let again =
            self.with_segment(n, |segment, around| piece_of(segment, disk, around, want))?;
        match again {
            Piece::Unsound => Err(ReadError::Corrupt {
                from: want.from,
                below: want.from + 1,
                cause: "the file changes while it is read".to_owned(),
            }),
            piece => Ok(piece),
        }
    }

    /// Looks for damage in a whole segment and notes what is new.
    fn examine_segment(&mut self, disk: &mut dyn Disk, n: usize) -> Result<(), StorageError> {
        let known = self.segments[n].damages.clone();
        self.with_segment(n, |segment, around| segment.examine(disk, around))?;
        let found = self.segments[n].damages.iter();
        let fresh = found.filter(|damage| !known.contains(damage));
        let notes: Vec<Note> = fresh
            .map(|damage| Note::Damaged {
                from: damage.from,
                below: damage.below,
                cause: damage.cause.clone(),
            })
            .collect();
        self.notes.extend(notes);
        Ok(())
    }

    /// The batch that holds `offset`, and where it lies; `None` outside the log. Read from the file,
    /// whatever memory holds, because that is what the caller wants to see.
    pub fn batch_at(
        &mut self,
        disk: &mut dyn Disk,
        offset: Offset,
    ) -> Result<Option<BatchPlace>, ReadError> {
        if offset < self.log_start || offset >= self.log_end() {
            return Ok(None);
        }
        self.check_damage(offset)?;
        let n = self.segment_of(offset);
        let end = self.log_end();
        let want = Want {
            from: offset,
            below: end,
            max_bytes: 0,
            at_least_one: true,
        };
        let Piece::Bytes(bytes) = self.read_segment(disk, n, want)? else {
            return Ok(None);
        };
        let base = self.segments[n].facts.base;
        let position =
            self.with_segment(n, |segment, around| place_of(segment, disk, around, offset))?;
        let (Some((position, _)), Ok(batch)) = (position, BatchView::first(&bytes)) else {
            return Ok(None);
        };
        Ok(Some(BatchPlace {
            header: *batch.header(),
            segment: base,
            position,
            crc_ok: batch.crc_ok(),
            bytes: bytes.clone(),
        }))
    }

    /// Index entries of the segment that begins at `base`: (offset, position) and (timestamp, offset).
    pub fn index_entries(
        &mut self,
        disk: &mut dyn Disk,
        base: Offset,
    ) -> Result<IndexEntries, StorageError> {
        let Some(n) = self.segments.iter().position(|s| s.facts.base == base) else {
            return Ok(IndexEntries::default());
        };
        let entries = self.with_segment(n, |segment, around| segment.entries(disk, around))?;
        let offsets = 0..super::offset_index::count(&entries.offset);
        let times = 0..super::time_index::count(&entries.time);
        Ok((
            offsets
                .map(|n| super::offset_index::entry(&entries.offset, n))
                .map(|(relative, at)| (base + i64::from(relative), u64::from(at)))
                .collect(),
            times
                .map(|n| super::time_index::entry(&entries.time, n))
                .map(|(timestamp, relative)| (timestamp, base + i64::from(relative)))
                .collect(),
        ))
    }

    /// Calls `see` with each batch header from the batch that holds `from` on, in order, skipping damage.
    pub(super) fn walk(
        &mut self,
        disk: &mut dyn Disk,
        from: Offset,
        mut see: impl FnMut(&BatchHeader),
    ) -> Result<(), StorageError> {
        let mut at = from;
        while at < self.log_end() {
            let end = self.log_end();
            match self.read(disk, at, end, WALK_BYTES, true) {
                Ok(found) if found.is_empty() => return Ok(()),
                Ok(found) => {
                    for piece in &found {
                        for batch in crate::wire::records::batches(piece).flatten() {
                            see(batch.header());
                            at = batch.header().next_offset();
                        }
                    }
                }
                Err(ReadError::Corrupt { below, .. }) => at = below,
                Err(ReadError::OutOfRange { .. }) => return Ok(()),
                Err(ReadError::Storage(error)) => return Err(error),
            }
        }
        Ok(())
    }

    /// The epoch of the last batch in front of `offset`, by the epoch cache.
    pub(super) fn epoch_before(&self, offset: Offset) -> LeaderEpoch {
        self.epochs.at(offset + -1)
    }
}

/// Offset index entries (offset, position) and time index entries (timestamp in milliseconds, offset).
pub type IndexEntries = (Vec<(Offset, u64)>, Vec<(i64, Offset)>);

/// Bytes walked over at once.
const WALK_BYTES: usize = 1024 * 1024;

/// Batches of one segment in one piece.
fn piece_of(
    segment: &mut Segment,
    disk: &mut dyn Disk,
    around: Surroundings<'_>,
    want: Want,
) -> Result<Piece, StorageError> {
    let Some((start, first)) = place_of(segment, disk, around, want.from)? else {
        return Ok(Piece::Unsound);
    };
    let len = want.max_bytes.max(first.total_bytes());
    let bytes = segment.bytes_at(disk, around.dir, start, len)?;
    let mut taken = 0;
    let mut due = first.base_offset;
    while taken < bytes.len() {
        let position = start + taken as u64;
        if segment.damage_at(position).is_some() {
            break;
        }
        let batch = match BatchView::first(&bytes[taken..]) {
            Ok(batch) => batch,
            Err(_) if taken > 0 => break,
            Err(_) => return Ok(Piece::Unsound),
        };
        let header = batch.header();
        let known = around.epochs.at(due);
        let of_epoch = known == LeaderEpoch::NONE || known == header.leader_epoch;
        let ordered = header.base_offset == due && header.next_offset() > due;
        // A header is believed only once its batch checked out.
        if !ordered || !of_epoch || !segment.is_sound(position, &batch) {
            if taken == 0 {
                return Ok(Piece::Unsound);
            }
            break;
        }
        let fits = taken + batch.bytes().len() <= want.max_bytes;
        if header.next_offset() > want.below || !(fits || taken == 0 && want.at_least_one) {
            break;
        }
        due = header.next_offset();
        taken += batch.bytes().len();
    }
    match taken {
        0 => Ok(Piece::Nothing),
        taken => Ok(Piece::Bytes(bytes.slice(..taken))),
    }
}

/// Position and header of the batch that holds `offset`; `None` if the way there is damaged.
fn place_of(
    segment: &mut Segment,
    disk: &mut dyn Disk,
    around: Surroundings<'_>,
    offset: Offset,
) -> Result<Option<(u64, BatchHeader)>, StorageError> {
    let (mut position, mut due) = segment.batch_before(disk, around, offset)?;
    let mut chunk = Bytes::new();
    let mut chunk_at = position;
    loop {
        if let Some(damage) = segment.damage_at(position) {
            (position, due) = (damage.until, damage.below);
        }
        let skip = usize::try_from(position - chunk_at).unwrap_or(usize::MAX);
        if chunk.len() < skip.saturating_add(BatchHeader::BYTES) {
            let ahead = READ_AHEAD_BYTES;
            chunk = segment.bytes_at(disk, around.dir, position, ahead)?;
            chunk_at = position;
        }
        let header = &chunk[usize::try_from(position - chunk_at).unwrap_or(0)..];
        let Ok(header) = BatchHeader::parse(header) else {
            return Ok(None);
        };
        if header.base_offset != due || due > offset || header.next_offset() <= due {
            return Ok(None);
        }
        if header.next_offset() > offset {
            return Ok(Some((position, header)));
        }
        position += header.total_bytes() as u64;
        due = header.next_offset();
    }
}
