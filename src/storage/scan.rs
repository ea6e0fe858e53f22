//! What the bytes of a segment file are worth: whole batches, damage, or a tail to cut.
//!
//! The rules (RELIABILITY, "Disk"): at or above the recovery point the log ends after the last whole
//! batch in order. Below it nothing is ever cut: what does not read as the next batch is a damaged range
//! of offsets and of bytes, and reading goes on at the next whole batch behind it.
//! A whole batch is one of format 2 whose CRC-32C holds, whose offsets continue the log without a gap,
//! and whose leader epoch is the one the epoch cache has for it, or not smaller than the one before.

use std::io;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use thiserror::Error;

use super::disk::Disk;
use super::epochs::Epochs;
use crate::ids::{LeaderEpoch, Offset};
use crate::plants::{Plant, planted};
use crate::wire::records::{BatchError, BatchHeader, BatchView};

/// Bytes read from a segment at once while scanning.
const WINDOW_BYTES: usize = 1024 * 1024;

/// Why the bytes at a position are not the next batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum Fault {
    #[error(transparent)]
    Batch(#[from] BatchError),
    #[error("its CRC-32C does not match")]
    Crc,
    #[error("a batch at offset {found} lies where offset {expected} belongs")]
    OutOfOrder { expected: Offset, found: Offset },
    #[error("a batch ends before it begins or beyond its segment")]
    Offsets,
    #[error("leader epoch {found} lies where {expected} belongs")]
    Epoch {
        expected: LeaderEpoch,
        found: LeaderEpoch,
    },
    #[error("the file ends here")]
    Missing,
}

/// A range of a log that cannot be served.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Damage {
    /// First offset that is lost.
    pub from: Offset,
    /// First offset behind the damage.
    pub below: Offset,
    /// Byte position of the damage in its segment.
    pub position: u64,
    /// Byte position behind the damage.
    pub until: u64,
    pub cause: String,
}

/// What a scan holds the bytes against.
pub struct ScanRules<'a> {
    /// Offset the first batch must have.
    pub base: Offset,
    /// Offsets below were once synced: nothing there is cut.
    pub recovery_point: Offset,
    /// First offset of the next segment, if there is one.
    pub next_base: Option<Offset>,
    /// Epochs known from the checkpoint.
    pub epochs: Option<&'a Epochs>,
    /// Epoch of the batch in front of this segment.
    pub epoch_before: LeaderEpoch,
}

/// What a scan found.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Scanned {
    /// One past the last offset that is there or known to be lost.
    pub end: Offset,
    /// Bytes of the file that stay.
    pub bytes: u64,
    pub damages: Vec<Damage>,
    /// The file goes on behind `bytes`, with what is no whole batch: cut it.
    pub cut: Option<Fault>,
    /// The last bytes that stay are damaged: nothing may be appended to this file.
    pub closed: bool,
    pub last_epoch: LeaderEpoch,
    /// Leader epochs and the first offset each was seen at.
    pub epoch_starts: Vec<(LeaderEpoch, Offset)>,
}

/// Reads a file in large pieces, at any position.
pub struct Window<'a> {
    disk: &'a mut dyn Disk,
    path: PathBuf,
    len: u64,
    start: u64,
    bytes: Bytes,
}

impl<'a> Window<'a> {
    /// A window over the first `len` bytes of the file.
    pub fn new(disk: &'a mut dyn Disk, path: &Path, len: u64) -> Window<'a> {
        Window {
            disk,
            path: path.to_owned(),
            len,
            start: 0,
            bytes: Bytes::new(),
        }
    }

    /// Bytes from `position` on: at least `want`, unless the file ends before.
    pub fn at(&mut self, position: u64, want: usize) -> io::Result<&[u8]> {
        let left = usize::try_from(self.len.saturating_sub(position)).unwrap_or(usize::MAX);
        let want = want.min(left);
        let skip = position.checked_sub(self.start);
        let have = skip.map_or(0, |skip| (self.bytes.len() as u64).saturating_sub(skip));
        if skip.is_none() || have < want as u64 {
            self.start = position;
            let read = want.max(WINDOW_BYTES).min(left);
            self.bytes = self.disk.read_at(&self.path, position, read)?;
        }
        let skip = usize::try_from(position - self.start).expect("inside the window");
        Ok(&self.bytes[skip.min(self.bytes.len())..])
    }

    /// The batch at `position`, or why there is none.
    pub fn batch(&mut self, position: u64) -> io::Result<Result<BatchView<'_>, BatchError>> {
        let header = BatchHeader::parse(self.at(position, BatchHeader::BYTES)?);
        Ok(match header {
            Ok(header) => {
                let declared = header.total_bytes();
                if declared as u64 > self.len.saturating_sub(position) {
                    return Ok(Err(BatchError::Cut {
                        have: (self.len - position) as usize,
                        need: declared,
                    }));
                }
                BatchView::first(self.at(position, declared)?)
            }
            Err(error) => Err(error),
        })
    }
}

impl Scanned {
    fn note_epoch(&mut self, header: &BatchHeader) {
        self.last_epoch = header.leader_epoch;
        let newest = self.epoch_starts.last();
        if newest.is_none_or(|(epoch, _)| *epoch < header.leader_epoch) {
            let start = (header.leader_epoch, header.base_offset);
            self.epoch_starts.push(start);
        }
    }
}

/// Scans a whole segment file of `len` bytes; `on_batch` sees each whole batch and its position.
pub fn scan(
    window: &mut Window<'_>,
    rules: &ScanRules<'_>,
    mut on_batch: impl FnMut(u64, &BatchHeader),
) -> io::Result<Scanned> {
    let len = window.len;
    let mut found = Scanned {
        end: rules.base,
        last_epoch: rules.epoch_before,
        ..Scanned::default()
    };
    while found.bytes < len {
        match whole_batch(window, rules, &found)? {
            Ok(header) => {
                on_batch(found.bytes, &header);
                found.bytes += header.total_bytes() as u64;
                found.end = header.next_offset();
                found.note_epoch(&header);
            }
            Err(fault)
                if found.end >= rules.recovery_point && !planted(Plant::TakesTornTailForDamage) =>
            {
                found.cut = Some(fault);
                return Ok(found);
            }
            Err(fault) => skip_damage(window, rules, &mut found, fault)?,
        }
    }
    let due = rules.next_base.unwrap_or(rules.recovery_point);
    if found.end < due.min(rules.recovery_point) {
        lose_rest(rules, &mut found, Fault::Missing, len);
    }
    Ok(found)
}

/// The batch at the end of what was found so far, if it is whole and continues the log.
fn whole_batch(
    window: &mut Window<'_>,
    rules: &ScanRules<'_>,
    found: &Scanned,
) -> io::Result<Result<BatchHeader, Fault>> {
    let expected = found.end;
    let batch = match window.batch(found.bytes)? {
        Ok(batch) => batch,
        Err(error) => return Ok(Err(Fault::Batch(error))),
    };
    Ok(check_batch(&batch, rules, expected, found.last_epoch).map(|()| *batch.header()))
}

fn check_batch(
    batch: &BatchView<'_>,
    rules: &ScanRules<'_>,
    expected: Offset,
    epoch_before: LeaderEpoch,
) -> Result<(), Fault> {
    let header = batch.header();
    if header.base_offset != expected {
        return Err(Fault::OutOfOrder {
            expected,
            found: header.base_offset,
        });
    }
    let ends_in_order = header.last_offset_delta >= 0 && header.next_offset() > expected;
    let fits = rules
        .next_base
        .is_none_or(|next| header.next_offset() <= next);
    if !ends_in_order || !fits {
        return Err(Fault::Offsets);
    }
    if !batch.crc_ok() && !planted(Plant::SkipsCrc) {
        return Err(Fault::Crc);
    }
    check_epoch(header.leader_epoch, expected, epoch_before, rules)
}

/// Below the recovery point a batch has the very epoch the cache knows. Above it the cache may be older
/// than the batches, but never newer. In front of the log start it knows nothing.
fn check_epoch(
    found: LeaderEpoch,
    offset: Offset,
    epoch_before: LeaderEpoch,
    rules: &ScanRules<'_>,
) -> Result<(), Fault> {
    let known = rules.epochs.map(|epochs| epochs.at(offset));
    let known = known.filter(|epoch| *epoch != LeaderEpoch::NONE);
    let expected = known.map_or(epoch_before, |known| known.max(epoch_before));
    let exact = known.is_some() && offset < rules.recovery_point;
    match found < expected || exact && found != expected {
        true => Err(Fault::Epoch { expected, found }),
        false => Ok(()),
    }
}

/// Notes the damage at the end of what was found, and goes on behind it if anything whole is there.
fn skip_damage(
    window: &mut Window<'_>,
    rules: &ScanRules<'_>,
    found: &mut Scanned,
    fault: Fault,
) -> io::Result<()> {
    match next_whole(window, rules, found)? {
        Some((position, base)) => {
            found.damages.push(Damage {
                from: found.end,
                below: base,
                position: found.bytes,
                until: position,
                cause: fault.to_string(),
            });
            found.bytes = position;
            found.end = base;
        }
        None => {
            let len = window.len;
            lose_rest(rules, found, fault, len);
        }
    }
    Ok(())
}

/// Everything from here to the end of the segment is damaged.
fn lose_rest(rules: &ScanRules<'_>, found: &mut Scanned, fault: Fault, len: u64) {
    let due = rules.next_base.unwrap_or(rules.recovery_point);
    let below = due.min(rules.recovery_point).max(found.end);
    if below > found.end {
        found.damages.push(Damage {
            from: found.end,
            below,
            position: found.bytes,
            until: len,
            cause: fault.to_string(),
        });
    }
    found.end = below;
    found.bytes = len;
    found.closed = true;
}

/// The first whole batch behind the damage: where the damaged batch says it ends, or else anywhere.
/// Only a batch that begins at or below the recovery point counts: above it the log has no gaps.
fn next_whole(
    window: &mut Window<'_>,
    rules: &ScanRules<'_>,
    found: &Scanned,
) -> io::Result<Option<(u64, Offset)>> {
    let declared = BatchHeader::parse(window.at(found.bytes, BatchHeader::BYTES)?);
    if let Ok(header) = declared {
        let position = found.bytes + header.total_bytes() as u64;
        if let Some(base) = resumes_at(window, rules, found, position)? {
            return Ok(Some((position, base)));
        }
    }
    let mut position = found.bytes + 1;
    while position + (BatchHeader::BYTES as u64) <= window.len {
        let candidates = likely_starts(window.at(position, BatchHeader::BYTES)?, rules, found);
        let (skip, likely) = candidates;
        position += skip;
        if likely {
            if let Some(base) = resumes_at(window, rules, found, position)? {
                return Ok(Some((position, base)));
            }
            position += 1;
        }
    }
    Ok(None)
}

/// How many bytes to skip to the first place that could begin a batch, and whether there is one.
fn likely_starts(bytes: &[u8], rules: &ScanRules<'_>, found: &Scanned) -> (u64, bool) {
    let places = (bytes.len() + 1).saturating_sub(BatchHeader::BYTES);
    for at in 0..places {
        if bytes[at + 16] != BatchHeader::MAGIC as u8 {
            continue;
        }
        let base = i64::from_be_bytes(bytes[at..at + 8].try_into().expect("eight bytes"));
        if base > found.end.0 && base <= rules.recovery_point.0 {
            return (at as u64, true);
        }
    }
    // A file shorter than it should be has nothing more to offer.
    (places.max(1) as u64, false)
}

fn resumes_at(
    window: &mut Window<'_>,
    rules: &ScanRules<'_>,
    found: &Scanned,
    position: u64,
) -> io::Result<Option<Offset>> {
    if position >= window.len {
        return Ok(None);
    }
    let Ok(batch) = window.batch(position)? else {
        return Ok(None);
    };
    let base = batch.header().base_offset;
    let in_range = base > found.end && base <= rules.recovery_point;
    let whole = in_range && check_batch(&batch, rules, base, found.last_epoch).is_ok();
    Ok(whole.then_some(base))
}
