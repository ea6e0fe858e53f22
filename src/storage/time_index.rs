//! The sparse time index of a segment: how late the records up to an offset are.
//!
//! An entry of 12 bytes, as in Kafka: the largest timestamp so far (i64, milliseconds) and the relative
//! offset (u32) of the last record of the batch that carried it. Timestamps and offsets grow from entry
//! to entry, so everything at or before an entry's offset is no later than its timestamp. A sealed file
//! ends with a footer: number of entries, magic, version, checksum.

use super::format::{self, Fields, FormatError};
use super::offset_index::partition;

/// Bytes of an entry.
pub const ENTRY_BYTES: usize = 12;
/// Bytes of the footer behind the entries.
pub const FOOTER_BYTES: usize = 20;

const FOOTER_MAGIC: &[u8; 8] = b"KLARTIME";

/// Appends an entry unless it is no later than the last one.
pub fn push(entries: &mut Vec<u8>, timestamp_ms: i64, relative: u32) {
    if let Some(last) = count(entries).checked_sub(1)
        && entry(entries, last).0 >= timestamp_ms
    {
        return;
    }
    entries.extend_from_slice(&timestamp_ms.to_be_bytes());
    entries.extend_from_slice(&relative.to_be_bytes());
}

/// Number of entries.
pub fn count(entries: &[u8]) -> usize {
    entries.len() / ENTRY_BYTES
}

/// Entry `n`: timestamp and relative offset.
pub fn entry(entries: &[u8], n: usize) -> (i64, u32) {
    let bytes = &entries[n * ENTRY_BYTES..][..ENTRY_BYTES];
    (
        i64::from_be_bytes(bytes[..8].try_into().expect("eight bytes")),
        u32::from_be_bytes(bytes[8..].try_into().expect("four bytes")),
    )
}

/// Relative offset up to which every record is earlier than `timestamp_ms`; 0 when nothing is known.
pub fn all_earlier_up_to(entries: &[u8], timestamp_ms: i64) -> u32 {
    match partition(count(entries), |n| entry(entries, n).0 < timestamp_ms) {
        0 => 0,
        after => entry(entries, after - 1).1,
    }
}

/// The index file: entries, then the footer.
pub fn seal(entries: &[u8]) -> Vec<u8> {
    let mut file = Vec::with_capacity(entries.len() + FOOTER_BYTES);
    file.extend_from_slice(entries);
    let count = u32::try_from(count(entries)).expect("a segment is below 2 GiB");
    file.extend_from_slice(&count.to_be_bytes());
    file.extend_from_slice(FOOTER_MAGIC);
    file.extend_from_slice(&format::VERSION.to_be_bytes());
    let checksum = crc32fast::hash(&file);
    file.extend_from_slice(&checksum.to_be_bytes());
    file
}

/// Checks an index file and returns the number of bytes that are entries.
pub fn open(file: &[u8]) -> Result<usize, FormatError> {
    let Some(entry_bytes) = file.len().checked_sub(FOOTER_BYTES) else {
        return Err(FormatError::Cut {
            have: file.len(),
            need: FOOTER_BYTES,
        });
    };
    let mut fields = Fields::new(&file[entry_bytes..]);
    let count = fields.u32()? as usize;
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
    match count * ENTRY_BYTES == entry_bytes {
        true => Ok(entry_bytes),
        false => Err(FormatError::Value),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_later_timestamps_are_entered_and_found() {
        let mut entries = Vec::new();
        for (timestamp, relative) in [(100, 9), (90, 19), (100, 29), (200, 39)] {
            push(&mut entries, timestamp, relative);
        }
        assert_eq!(count(&entries), 2);
        assert_eq!(all_earlier_up_to(&entries, 100), 0);
        assert_eq!(all_earlier_up_to(&entries, 101), 9);
        assert_eq!(all_earlier_up_to(&entries, 201), 39);
    }

    #[test]
    fn a_cut_or_flipped_time_index_file_is_refused() {
        let mut entries = Vec::new();
        push(&mut entries, 5, 1);
        let file = seal(&entries);
        assert_eq!(open(&file), Ok(ENTRY_BYTES));
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
