//! What a log's directory holds, read without changing anything: for the logs of a broker that does not run.
//!
//! Guarantees no write and no repair. What the broker will make of a damaged end when it starts again is
//! `recovery`'s business; here a log ends with the last whole batch.

use std::io;
use std::path::Path;

use super::disk::{Disk, read_whole};
use super::format::{self, Fields};
use super::log::LOG_START_FILE;
use super::retention::offset_of;
use super::scan::Window;
use super::segment::{LOG, file};
use crate::ids::Offset;

/// Where a log begins and ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Survey {
    pub log_start: Offset,
    pub log_end: Offset,
    /// Of all its segments.
    pub bytes: u64,
}

/// Looks at the log in `dir`.
///
/// # Errors
/// The directory or its newest segment cannot be read.
pub fn survey(disk: &mut dyn Disk, dir: &Path) -> io::Result<Survey> {
    let entries = disk.list(dir)?;
    let mut bases: Vec<Offset> = entries
        .iter()
        .filter_map(|entry| offset_of(&entry.name, LOG))
        .collect();
    bases.sort_unstable();
    let mut found = Survey {
        log_start: bases.first().copied().unwrap_or(Offset::ZERO),
        log_end: Offset::ZERO,
        bytes: 0,
    };
    for base in &bases {
        found.bytes += disk.len(&file(dir, *base, LOG))?;
    }
    if let Some(newest) = bases.last() {
        found.log_end = end_of(disk, dir, *newest)?;
    }
    if let Some(moved) = moved_start(disk, dir)? {
        found.log_start = found.log_start.max(moved);
        found.log_end = found.log_end.max(moved);
    }
    Ok(found)
}

/// One past the last offset of a segment's whole batches.
fn end_of(disk: &mut dyn Disk, dir: &Path, base: Offset) -> io::Result<Offset> {
    let path = file(dir, base, LOG);
    let len = disk.len(&path)?;
    let mut window = Window::new(disk, &path, len);
    let (mut position, mut end) = (0, base);
    while position < len {
        let Ok(batch) = window.batch(position)? else {
            break;
        };
        let header = batch.header();
        if !batch.crc_ok() || header.base_offset < end {
            break;
        }
        position += header.total_bytes() as u64;
        end = header.next_offset();
    }
    Ok(end)
}

/// Where the log begins if its start was moved.
fn moved_start(disk: &mut dyn Disk, dir: &Path) -> io::Result<Option<Offset>> {
    let bytes = read_whole(disk, &dir.join(LOG_START_FILE))?;
    let start = bytes.and_then(|bytes| {
        let body = format::open(format::MAGIC_LOG_START, &bytes).ok()?;
        Fields::new(body).i64().ok()
    });
    Ok(start.map(Offset))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::storage::disk::{Synced, replace};
    use crate::storage::{MemoryDisk, format};
    use crate::wire::records::BatchBuilder;

    #[test]
    fn a_log_ends_with_its_last_whole_batch_and_nothing_is_touched() {
        let mut disk = MemoryDisk::default();
        let dir = Path::new("/t-0");
        disk.create_dir_all(dir).unwrap();
        let none = survey(&mut disk, dir).unwrap();
        assert_eq!((none.log_start, none.log_end), (Offset(0), Offset(0)));
        let mut batch = BatchBuilder::new();
        batch.push(1, None, Some(b"v"), &[]);
        batch.push(2, None, Some(b"w"), &[]);
        let batch = batch.build().unwrap();
        let path = file(dir, Offset(0), LOG);
        disk.write_at(&path, 0, &batch).unwrap();
        disk.write_at(&path, batch.len() as u64, &batch[..30])
            .unwrap();
        let torn = survey(&mut disk, dir).unwrap();
        assert_eq!((torn.log_start, torn.log_end), (Offset(0), Offset(2)));
        assert_eq!(torn.bytes, batch.len() as u64 + 30);
        let start = format::seal(format::MAGIC_LOG_START, &1i64.to_be_bytes());
        replace(&mut disk, &dir.join(LOG_START_FILE), &start, Synced::Yes).unwrap();
        assert_eq!(survey(&mut disk, dir).unwrap().log_start, Offset(1));
    }
}
