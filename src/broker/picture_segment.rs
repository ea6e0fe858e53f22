//! The focused segment: its files, index entries and batches.
//!
//! Batches are listed from the focused offset on, as many as the budget reads. A growing segment is looked at
//! again at most twice a second.

use std::sync::Arc;

use super::Broker;
use super::picture_record::batch_detail;
use crate::ids::{Offset, Time};
use crate::inspect::{BatchDetail, SEGMENT_BATCHES, SegmentDetail, SegmentFocus};
use crate::storage::{BatchPlace, Disk, Log};
use crate::wire::records::{BatchView, Codec, batches};

/// Log bytes read for one detail.
const BUDGET_BYTES: usize = 8 * 1024 * 1024;
/// Log bytes read at once.
const CHUNK_BYTES: usize = 1024 * 1024;
/// Bytes unpacked for all listed batches together; batches beyond this show 0.
const UNPACKED_BYTES: usize = 4 * 1024 * 1024;
/// Entries of each index that are shown, from the focused offset on.
const ENTRIES_SHOWN: usize = 4_096;
/// Milliseconds between two looks at a segment that grows.
const LOOK_AGAIN_MS: i64 = 500;
/// Name endings of a segment's files.
const ENDINGS: &[&str] = &["log", "index", "timeindex", "snapshot"];

/// The segment of the last picture.
#[derive(Debug, Default)]
pub(super) struct SegmentCache {
    shown: Option<Looked>,
}

#[derive(Debug)]
struct Looked {
    focus: SegmentFocus,
    log_start: Offset,
    log_end: Offset,
    at: Time,
    detail: Arc<SegmentDetail>,
}

impl Broker {
    pub(super) fn show_segment(
        &mut self,
        now: Time,
        focus: Option<&SegmentFocus>,
    ) -> Option<Arc<SegmentDetail>> {
        let Some(focus) = focus else {
            self.shown.segment.shown = None;
            return None;
        };
        let id = self.image.topic_named(&focus.topic)?.id;
        let topic = self.topics.get_mut(&id)?;
        let index = usize::try_from(focus.partition.0).ok()?;
        let log = topic.partitions.get_mut(index)?.log.as_mut()?;
        let (log_start, log_end) = (log.log_start(), log.log_end());
        if let Some(looked) = &self.shown.segment.shown
            && looked.focus == *focus
        {
            let same = looked.log_start == log_start && looked.log_end == log_end;
            if same || now < looked.at.plus_ms(LOOK_AGAIN_MS) {
                // Not yet, but soon: keeps pictures coming until it is up to date.
                self.changed += u64::from(!same);
                return Some(Arc::clone(&looked.detail));
            }
        }
        let detail = Arc::new(look(log, &mut *self.disk, focus)?);
        self.shown.segment.shown = Some(Looked {
            focus: focus.clone(),
            log_start,
            log_end,
            at: now,
            detail: Arc::clone(&detail),
        });
        Some(detail)
    }
}

fn look(log: &mut Log, disk: &mut dyn Disk, focus: &SegmentFocus) -> Option<SegmentDetail> {
    let base = focus.base_offset;
    let state = log
        .segment_states()
        .find(|state| state.base_offset == base)?;
    let mut files = Vec::new();
    for ending in ENDINGS {
        let name = format!("{:020}.{ending}", base.0);
        if let Ok(len) = disk.len(&log.dir().join(&name)) {
            files.push((name, len));
        }
    }
    let (mut index, mut time_index) = log.index_entries(disk, base).unwrap_or_default();
    let first = index
        .partition_point(|(offset, _)| *offset <= focus.from)
        .saturating_sub(1);
    index = index.into_iter().skip(first).take(ENTRIES_SHOWN).collect();
    let first = time_index.partition_point(|(_, offset)| *offset <= focus.from);
    let skipped = first.saturating_sub(1);
    time_index = time_index
        .into_iter()
        .skip(skipped)
        .take(ENTRIES_SHOWN)
        .collect();
    let from = focus.from.max(base).max(log.log_start());
    let (batches, more) = list_batches(log, disk, from, state.end_offset);
    Some(SegmentDetail {
        topic: focus.topic.clone(),
        partition: focus.partition,
        base_offset: base,
        files,
        index,
        time_index,
        batches,
        more,
    })
}

/// The batches from `from` to `end`, as far as the budgets go; whether there are more.
fn list_batches(
    log: &mut Log,
    disk: &mut dyn Disk,
    from: Offset,
    end: Offset,
) -> (Vec<BatchDetail>, bool) {
    let mut listed = Vec::new();
    if from >= end {
        return (listed, false);
    }
    let Ok(Some(first)) = log.batch_at(disk, from) else {
        return (listed, false);
    };
    let mut position = first.position;
    let mut at = from;
    let mut read_bytes = 0;
    let mut unpackable = UNPACKED_BYTES;
    while at < end && listed.len() < SEGMENT_BATCHES && read_bytes < BUDGET_BYTES {
        let before = at;
        let Ok(pieces) = log.read(disk, at, end, CHUNK_BYTES, true) else {
            break;
        };
        for batch in pieces.iter().flat_map(|piece| batches(piece)).flatten() {
            if listed.len() == SEGMENT_BATCHES {
                return (listed, true);
            }
            let place = BatchPlace {
                header: *batch.header(),
                segment: first.segment,
                position,
                bytes: bytes::Bytes::new(),
                crc_ok: batch.crc_ok(),
            };
            let expanded = expanded(&batch, &mut unpackable);
            listed.push(batch_detail(&batch, &place, expanded));
            position += batch.bytes().len() as u64;
            read_bytes += batch.bytes().len();
            at = batch.header().next_offset();
        }
        if at == before {
            break;
        }
    }
    (listed, at < end)
}

/// Bytes of a batch's records once unpacked; 0 if it does not unpack, or to more than is `left`. What it cost is
/// taken off `left` either way.
fn expanded(batch: &BatchView<'_>, left: &mut usize) -> u64 {
    let body = batch.body().len();
    if batch.header().codec() == Ok(Codec::None) {
        return body as u64;
    }
    if *left == 0 {
        return 0;
    }
    let unpack = |limit| {
        let mut records = batch.records(limit).ok()?;
        while records.next_record().ok()?.is_some() {}
        Some(records.uncompressed_bytes(body))
    };
    let found = unpack(*left);
    // One that does not unpack may have cost all that was left. Half of it is taken, so that others still show
    // their size, and all of them together cost twice the budget at most.
    let cost = found.map_or(*left / 2 + 1, |bytes| {
        usize::try_from(bytes).unwrap_or(usize::MAX)
    });
    *left = left.saturating_sub(cost);
    found.unwrap_or(0)
}
