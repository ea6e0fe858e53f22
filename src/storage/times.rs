//! Finding offsets by time, as ListOffsets asks.
//!
//! Compressed batches are opened record by record, in a small window; one that does not unpack counts as
//! if its first record carried the batch's largest timestamp.

use super::disk::Disk;
use super::error::ReadError;
use super::log::Log;
use crate::ids::{LeaderEpoch, Offset};
use crate::wire::records::{BatchView, batches};

/// Bytes read at once while looking for a time.
const LOOK_BYTES: usize = 1024 * 1024;
/// Bytes of records one request may unpack while it looks for times.
const UNPACK_BYTES: usize = 8 * 1024 * 1024;
/// Bytes of batches one request may walk over because their headers said too much, or to find a largest one.
const WALK_BYTES: usize = 64 * 1024 * 1024;

/// A record found by its time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TimedOffset {
    pub offset: Offset,
    pub timestamp_ms: i64,
    pub leader_epoch: LeaderEpoch,
}

/// What one request may still do to find times. Once it is used up, a batch is taken at its header's word
/// and its first offset is the answer: headers come from clients, and looking may not take long.
#[derive(Debug)]
pub struct LookBudget {
    unpack_bytes: usize,
    walk_bytes: usize,
}

impl Default for LookBudget {
    fn default() -> Self {
        LookBudget {
            unpack_bytes: UNPACK_BYTES,
            walk_bytes: WALK_BYTES,
        }
    }
}

impl Log {
    /// The first record below `below` that is as late as `timestamp_ms` or later.
    pub fn offset_for_time(
        &mut self,
        disk: &mut dyn Disk,
        timestamp_ms: i64,
        below: Offset,
        budget: &mut LookBudget,
    ) -> Result<Option<TimedOffset>, ReadError> {
        for n in 0..self.segments.len() {
            let facts = self.segments[n].facts;
            if facts.max_timestamp_ms < timestamp_ms || facts.end <= self.log_start {
                continue;
            }
            let from = self.with_segment(n, |segment, around| {
                segment.all_earlier_before(disk, around, timestamp_ms)
            })?;
            let late = |timestamp: i64| timestamp >= timestamp_ms;
            let range = (from.max(self.log_start), below.min(facts.end));
            let found = self.first_record(disk, range, late, budget)?;
            if found.is_some() {
                return Ok(found);
            }
        }
        Ok(None)
    }

    /// The first record with the largest timestamp between log start and `below` (KIP-734).
    pub fn offset_of_max_timestamp(
        &mut self,
        disk: &mut dyn Disk,
        below: Offset,
        budget: &mut LookBudget,
    ) -> Result<Option<TimedOffset>, ReadError> {
        // Per segment its largest timestamp and where to look for it; `None` until that is found out.
        let mut candidates = Vec::new();
        for (n, segment) in self.segments.iter().enumerate() {
            let facts = segment.facts;
            if facts.end > self.log_start && facts.base < below && facts.max_timestamp_ms >= 0 {
                let readable = (self.log_start..below).contains(&facts.max_timestamp_at);
                let at = readable.then_some(facts.max_timestamp_at);
                candidates.push((facts.max_timestamp_ms, n, at, false));
            }
        }
        let latest_first = |n: &usize, all: &[(i64, usize, Option<Offset>, bool)]| {
            let (timestamp, segment, ..) = all[*n];
            (timestamp, usize::MAX - segment)
        };
        while let Some(best) = (0..candidates.len()).max_by_key(|n| latest_first(n, &candidates)) {
            let (timestamp_ms, n, at, walked) = candidates.swap_remove(best);
            let end = below.min(self.segments[n].facts.end);
            if let Some(at) = at {
                let is_max = |timestamp: i64| timestamp == timestamp_ms;
                let found = self.first_record(disk, (at, end), is_max, budget)?;
                if found.is_some() {
                    return Ok(found);
                }
            }
            // The segment's largest is deleted or not readable yet: what is left of it has another.
            if !walked && let Some((timestamp, at)) = self.max_of_rest(disk, n, end, budget)? {
                candidates.push((timestamp, n, Some(at), true));
            }
        }
        Ok(None)
    }

    /// The largest timestamp between log start and `end` in a segment, and the batch or record that has it.
    fn max_of_rest(
        &mut self,
        disk: &mut dyn Disk,
        n: usize,
        end: Offset,
        budget: &mut LookBudget,
    ) -> Result<Option<(i64, Offset)>, ReadError> {
        let start = self.log_start;
        let mut best: Option<(i64, Offset)> = None;
        let from = self.segments[n].facts.base.max(start);
        self.each_batch(disk, (from, end), |batch| {
            let header = batch.header();
            let whole = (header.max_timestamp_ms, header.base_offset.max(start));
            let found = match header.base_offset < start {
                true => max_from(batch, start, budget).unwrap_or(whole),
                false => whole,
            };
            if best.is_none_or(|(timestamp, _)| timestamp < found.0) {
                best = Some(found);
            }
            budget.walk_bytes = budget.walk_bytes.saturating_sub(batch.bytes().len());
            budget.walk_bytes == 0
        })?;
        Ok(best)
    }

    /// The first record from the batch that holds the range's start on whose timestamp is `wanted`.
    fn first_record(
        &mut self,
        disk: &mut dyn Disk,
        range: (Offset, Offset),
        wanted: impl Fn(i64) -> bool,
        budget: &mut LookBudget,
    ) -> Result<Option<TimedOffset>, ReadError> {
        let log_start = self.log_start;
        let mut found = None;
        // The first batch whose header promised a record it does not have.
        let mut promised = None;
        self.each_batch(disk, range, |batch| {
            // No record is later than its batch.
            if wanted(batch.header().max_timestamp_ms) {
                found = record_in(batch, log_start, &wanted, budget);
                promised = promised.or(Some(by_header(batch, log_start)));
            }
            if promised.is_some() && found.is_none() {
                budget.walk_bytes = budget.walk_bytes.saturating_sub(batch.bytes().len());
                if budget.walk_bytes == 0 {
                    found = promised;
                }
            }
            found.is_some()
        })?;
        Ok(found)
    }

    /// Shows each whole batch from the one that holds the range's start on, until `enough` says so. Damage is
    /// jumped over.
    fn each_batch(
        &mut self,
        disk: &mut dyn Disk,
        (from, below): (Offset, Offset),
        mut enough: impl FnMut(&BatchView<'_>) -> bool,
    ) -> Result<(), ReadError> {
        let mut at = from;
        while at < below {
            let pieces = match self.read(disk, at, below, LOOK_BYTES, true) {
                Ok(pieces) => pieces,
                Err(ReadError::Corrupt { below, .. }) => {
                    at = below;
                    continue;
                }
                Err(error) => return Err(error),
            };
            let before = at;
            for batch in pieces.iter().flat_map(|piece| batches(piece)).flatten() {
                if enough(&batch) {
                    return Ok(());
                }
                at = batch.header().next_offset();
            }
            if at == before {
                break;
            }
        }
        Ok(())
    }
}

/// What a batch's header says of its latest record.
fn by_header(batch: &BatchView<'_>, log_start: Offset) -> TimedOffset {
    let header = batch.header();
    TimedOffset {
        offset: header.base_offset.max(log_start),
        timestamp_ms: header.max_timestamp_ms,
        leader_epoch: header.leader_epoch,
    }
}

/// The first record whose timestamp is `wanted`, in a batch whose header says that there is one.
fn record_in(
    batch: &BatchView<'_>,
    log_start: Offset,
    wanted: impl Fn(i64) -> bool,
    budget: &mut LookBudget,
) -> Option<TimedOffset> {
    let promised = by_header(batch, log_start);
    if batch.header().is_log_append_time() {
        return Some(promised);
    }
    let mut found = None;
    let read = each_record(batch, log_start, budget, |offset, timestamp_ms| {
        if found.is_none() && wanted(timestamp_ms) {
            found = Some(TimedOffset {
                offset,
                timestamp_ms,
                ..promised
            });
        }
        found.is_some()
    });
    match read {
        true => found,
        false => Some(promised),
    }
}

/// The largest timestamp among the records of a batch from `start` on, and whose it is; `None` if it is not
/// worth reading them.
fn max_from(
    batch: &BatchView<'_>,
    start: Offset,
    budget: &mut LookBudget,
) -> Option<(i64, Offset)> {
    let mut best: Option<(i64, Offset)> = None;
    let read = each_record(batch, start, budget, |offset, timestamp_ms| {
        if best.is_none_or(|(timestamp, _)| timestamp < timestamp_ms) {
            best = Some((timestamp_ms, offset));
        }
        false
    });
    best.filter(|_| read)
}

/// Shows offset and timestamp of each record from `start` on until `enough` says so; false if the batch could
/// not be read within the budget.
fn each_record(
    batch: &BatchView<'_>,
    start: Offset,
    budget: &mut LookBudget,
    mut enough: impl FnMut(Offset, i64) -> bool,
) -> bool {
    // What does not unpack may have cost all that it was allowed to.
    let allowed = std::mem::take(&mut budget.unpack_bytes);
    let body = batch.body().len();
    let Some(mut records) = batch.records(allowed).ok().filter(|_| allowed > 0) else {
        return false;
    };
    loop {
        match records.next_record() {
            Ok(Some(record)) if record.offset < start => {}
            Ok(Some(record)) if enough(record.offset, record.timestamp_ms) => break,
            Ok(Some(_)) => {}
            Ok(None) => break,
            Err(_) => return false,
        }
    }
    let used = usize::try_from(records.uncompressed_bytes(body)).unwrap_or(usize::MAX);
    budget.unpack_bytes = allowed.saturating_sub(used);
    true
}
