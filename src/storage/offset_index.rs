//! The sparse offset index of a segment: which batch lies at which byte.
//!
//! An entry of 8 bytes, as in Kafka: offset relative to the segment's base (u32) and byte position (u32)
//! of a batch that begins there. While a segment grows its entries live in memory; when it is sealed they
//! are written with a footer that also sums up the segment, so that opening a log reads no records.
//! Position 0 needs no entry.

use super::format::{self, Fields, FormatError};
use crate::ids::Offset;

/// Bytes of an entry.
pub const ENTRY_BYTES: usize = 8;
/// Bytes of the footer behind the entries.
pub const FOOTER_BYTES: usize = 64;

const FOOTER_MAGIC: &[u8; 8] = b"KLARINDX";

/// What a segment holds, in numbers: known without reading it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SegmentFacts {
    pub base: Offset,
    /// One past the last offset.
    pub end: Offset,
    /// Bytes of the log file.
    pub bytes: u64,
    /// Max timestamp of the first batch; −1 without one. `segment.ms` counts from here.
    pub first_timestamp_ms: i64,
    /// −1 without a record.
    pub max_timestamp_ms: i64,
    /// Last offset of the first batch that carries the max timestamp.
    pub max_timestamp_at: Offset,
}

impl SegmentFacts {
    /// Facts of a segment without a record.
    pub fn empty(base: Offset) -> SegmentFacts {
        SegmentFacts {
            base,
            end: base,
            bytes: 0,
            first_timestamp_ms: -1,
            max_timestamp_ms: -1,
            max_timestamp_at: base,
        }
    }

    /// Bytes [`SegmentFacts::put`] writes.
    pub const BYTES: usize = 48;

    pub fn put(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.base.0.to_be_bytes());
        out.extend_from_slice(&self.end.0.to_be_bytes());
        out.extend_from_slice(&self.bytes.to_be_bytes());
        out.extend_from_slice(&self.first_timestamp_ms.to_be_bytes());
        out.extend_from_slice(&self.max_timestamp_ms.to_be_bytes());
        out.extend_from_slice(&self.max_timestamp_at.0.to_be_bytes());
    }

    pub fn take(fields: &mut Fields<'_>) -> Result<SegmentFacts, FormatError> {
        Ok(SegmentFacts {
            base: Offset(fields.i64()?),
            end: Offset(fields.i64()?),
            bytes: fields.u64()?,
            first_timestamp_ms: fields.i64()?,
            max_timestamp_ms: fields.i64()?,
            max_timestamp_at: Offset(fields.i64()?),
        })
    }
}

/// Appends an entry.
pub fn push(entries: &mut Vec<u8>, relative: u32, position: u32) {
    entries.extend_from_slice(&relative.to_be_bytes());
    entries.extend_from_slice(&position.to_be_bytes());
}

/// Number of entries.
pub fn count(entries: &[u8]) -> usize {
    entries.len() / ENTRY_BYTES
}

/// Entry `n`: relative offset and position.
pub fn entry(entries: &[u8], n: usize) -> (u32, u32) {
    let bytes = &entries[n * ENTRY_BYTES..][..ENTRY_BYTES];
    let field = |at: usize| u32::from_be_bytes(bytes[at..at + 4].try_into().expect("four bytes"));
    (field(0), field(4))
}

/// The last entry at or before `relative`: its relative offset and position; both 0 when there is none.
pub fn at_or_before(entries: &[u8], relative: u32) -> (u32, u32) {
    match partition(count(entries), |n| entry(entries, n).0 <= relative) {
        0 => (0, 0),
        after => entry(entries, after - 1),
    }
}

/// How many of the first `len` numbers satisfy `holds`, which is true and then false.
pub fn partition(len: usize, holds: impl Fn(usize) -> bool) -> usize {
    let (mut low, mut high) = (0, len);
    while low < high {
        let middle = low + (high - low) / 2;
        if holds(middle) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    low
}

/// The index file: entries, then the footer.
pub fn seal(entries: &[u8], facts: &SegmentFacts) -> Vec<u8> {
    let mut file = Vec::with_capacity(entries.len() + FOOTER_BYTES);
    file.extend_from_slice(entries);
    facts.put(&mut file);
    file.extend_from_slice(FOOTER_MAGIC);
    file.extend_from_slice(&format::VERSION.to_be_bytes());
    let checksum = crc32fast::hash(&file);
    file.extend_from_slice(&checksum.to_be_bytes());
    file
}

/// Checks an index file: the facts and the number of bytes that are entries.
pub fn open(file: &[u8]) -> Result<(SegmentFacts, usize), FormatError> {
    let Some(entry_bytes) = file.len().checked_sub(FOOTER_BYTES) else {
        return Err(FormatError::Cut {
            have: file.len(),
            need: FOOTER_BYTES,
        });
    };
    let mut fields = Fields::new(&file[entry_bytes..]);
    let facts = SegmentFacts::take(&mut fields)?;
    if fields.bytes(8)? != FOOTER_MAGIC {
        return Err(FormatError::Magic(FOOTER_MAGIC));
    }
    let version = fields.u32()?;
    if !format::crc_matches(file) {
        return Err(FormatError::Checksum);
    }
    if version != format::VERSION {
        return Err(FormatError::UnknownVersion { found: version });
    }
    if entry_bytes % ENTRY_BYTES != 0 || facts.end < facts.base {
        return Err(FormatError::Value);
    }
    Ok((facts, entry_bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_entry_at_or_before_an_offset_is_found() {
        let mut entries = Vec::new();
        assert_eq!(at_or_before(&entries, 7), (0, 0));
        for n in 1..=100 {
            push(&mut entries, n * 10, n * 1000);
        }
        assert_eq!(at_or_before(&entries, 9), (0, 0));
        assert_eq!(at_or_before(&entries, 10), (10, 1000));
        assert_eq!(at_or_before(&entries, 559), (550, 55_000));
        assert_eq!(at_or_before(&entries, u32::MAX), (1000, 100_000));
    }

    #[test]
    fn a_cut_or_flipped_index_file_is_refused() {
        let mut entries = Vec::new();
        push(&mut entries, 10, 4096);
        let facts = SegmentFacts {
            end: Offset(20),
            bytes: 9000,
            ..SegmentFacts::empty(Offset(5))
        };
        let file = seal(&entries, &facts);
        assert_eq!(open(&file), Ok((facts, ENTRY_BYTES)));
        for len in 0..file.len() {
            assert!(open(&file[..len]).is_err(), "cut to {len}");
        }
        for bit in 0..file.len() * 8 {
            let mut flipped = file.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            assert!(open(&flipped).is_err(), "bit {bit}");
        }
    }
}
