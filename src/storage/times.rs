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
/// Bytes a compressed batch may expand to while its timestamps are read.
const MAX_EXPANDED_BYTES: usize = 256 * 1024 * 1024;

/// A record found by its time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TimedOffset {
    pub offset: Offset,
    pub timestamp_ms: i64,
    pub leader_epoch: LeaderEpoch,
}

impl Log {
    /// The first record below `below` that is as late as `timestamp_ms` or later.
    pub fn offset_for_time(
        &mut self,
        disk: &mut dyn Disk,
        timestamp_ms: i64,
        below: Offset,
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
            let found = self.first_record(disk, range, late)?;
            if found.is_some() {
                return Ok(found);
            }
        }
        Ok(None)
    }

    /// The first record with the log's largest timestamp (KIP-734).
    pub fn offset_of_max_timestamp(
        &mut self,
        disk: &mut dyn Disk,
        below: Offset,
    ) -> Result<Option<TimedOffset>, ReadError> {
        let readable = |n: &usize| {
            let facts = self.segments[*n].facts;
            facts.max_timestamp_ms >= 0 && facts.end > self.log_start
        };
        let latest_first = |n: &usize| (self.segments[*n].facts.max_timestamp_ms, usize::MAX - n);
        let latest = (0..self.segments.len())
            .filter(readable)
            .max_by_key(latest_first);
        let Some(n) = latest else {
            return Ok(None);
        };
        let facts = self.segments[n].facts;
        let from = facts.max_timestamp_at.max(self.log_start);
        let is_max = |timestamp: i64| timestamp == facts.max_timestamp_ms;
        self.first_record(disk, (from, below.min(facts.end)), is_max)
    }

    /// The first record from the batch that holds the range's start on whose timestamp is `wanted`.
    fn first_record(
        &mut self,
        disk: &mut dyn Disk,
        (from, below): (Offset, Offset),
        wanted: impl Fn(i64) -> bool,
    ) -> Result<Option<TimedOffset>, ReadError> {
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
                if let Some(found) = record_in(&batch, self.log_start, &wanted) {
                    return Ok(Some(found));
                }
                at = batch.header().next_offset();
            }
            if at == before {
                break;
            }
        }
        Ok(None)
    }
}

fn record_in(
    batch: &BatchView<'_>,
    log_start: Offset,
    wanted: impl Fn(i64) -> bool,
) -> Option<TimedOffset> {
    let header = batch.header();
    let found = |offset, timestamp_ms| TimedOffset {
        offset,
        timestamp_ms,
        leader_epoch: header.leader_epoch,
    };
    let latest = header.max_timestamp_ms;
    let first = header.base_offset.max(log_start);
    if header.is_log_append_time() {
        return wanted(latest).then(|| found(first, latest));
    }
    let Ok(mut records) = batch.records(MAX_EXPANDED_BYTES) else {
        return wanted(latest).then(|| found(first, latest));
    };
    loop {
        match records.next_record() {
            Ok(Some(record)) if record.offset < log_start => {}
            Ok(Some(record)) if wanted(record.timestamp_ms) => {
                return Some(found(record.offset, record.timestamp_ms));
            }
            Ok(Some(_)) => {}
            Ok(None) => return None,
            Err(_) => return wanted(latest).then(|| found(first, latest)),
        }
    }
}
