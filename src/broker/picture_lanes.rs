//! The focused lanes: a cell per record, read from the log as it grows.
//!
//! A lane that moved on keeps the cells it had and reads only what is new, so watching the end of a busy
//! partition costs what arrived since the last picture. Budgets bound a picture; a lane that ran into one is
//! shown as far as it got and goes on with the next picture.

use std::collections::{BTreeMap, VecDeque};
use std::ops::Range;
use std::sync::Arc;

use super::Broker;
use super::partition::PartitionKey;
use crate::ids::{Offset, PartitionIndex};
use crate::inspect::{Cell, CellKind, LANE_CELLS, Lane, LaneFocus, PICTURE_CELLS};
use crate::storage::{Disk, Log, ReadError};
use crate::wire::records::{BatchView, Codec, ControlType, Record, batches, murmur2};

/// Log bytes read for the lanes of one picture.
const BUDGET_BYTES: usize = 4 * 1024 * 1024;
/// Log bytes read at once.
const CHUNK_BYTES: usize = 256 * 1024;
/// Bytes one batch may expand to for its cells.
const EXPANDED_BYTES: usize = 4 * 1024 * 1024;
/// Bytes unpacked for the lanes of one picture, after which no further batch is begun.
const UNPACKED_BYTES: usize = 8 * 1024 * 1024;

/// The lanes of the last picture.
#[derive(Debug, Default)]
pub(super) struct LaneCache {
    lanes: BTreeMap<PartitionKey, Window>,
}

/// What is known of one lane.
#[derive(Debug, Default)]
struct Window {
    from: Offset,
    /// One past the last offset looked at.
    to: Offset,
    cells: VecDeque<Cell>,
    batches: VecDeque<(Offset, Offset)>,
    shown: Option<Arc<Lane>>,
}

/// What a picture may still read.
struct Budget {
    bytes: usize,
    unpack_bytes: usize,
    cells: u32,
    /// Some lane stopped early.
    exhausted: bool,
}

impl Broker {
    pub(super) fn show_lanes(&mut self, focus: &[LaneFocus]) -> Vec<Arc<Lane>> {
        let mut budget = Budget {
            bytes: BUDGET_BYTES,
            unpack_bytes: UNPACKED_BYTES,
            cells: PICTURE_CELLS,
            exhausted: false,
        };
        let mut before = std::mem::take(&mut self.shown.lanes.lanes);
        let mut lanes = Vec::new();
        let ranges = focus.iter().flat_map(|one| {
            let ranges = one.ranges.iter();
            ranges.map(move |range| (one.topic.as_str(), range))
        });
        for (name, (partition, from, count)) in ranges {
            let Some(id) = self.image.topic_named(name).map(|topic| topic.id) else {
                continue;
            };
            let key = (id, partition.0);
            let mut window = before.remove(&key).unwrap_or_default();
            let topic = self.topics.get_mut(&id);
            let index = usize::try_from(partition.0).ok();
            let state = topic
                .zip(index)
                .and_then(|(t, index)| t.partitions.get_mut(index));
            let Some(log) = state.and_then(|state| state.log.as_mut()) else {
                continue;
            };
            let count = (*count).min(LANE_CELLS).min(budget.cells);
            window.move_to(log, *from, count);
            window.read_on(log, &mut *self.disk, count, &mut budget);
            lanes.push(window.show(name, *partition));
            self.shown.lanes.lanes.insert(key, window);
        }
        if budget.exhausted {
            self.changed += 1;
        }
        lanes
    }
}

impl Window {
    /// Forgets what is not wanted any more, or everything if the windows do not touch.
    fn move_to(&mut self, log: &Log, from: Offset, count: u32) {
        let from = from.max(log.log_start());
        let below = from + i64::from(count);
        if from < self.from || from > self.to || self.to > log.log_end() {
            *self = Window {
                from,
                to: from,
                ..Window::default()
            };
            return;
        }
        let (old_from, old_to) = (self.from, self.to);
        self.from = from;
        while self.cells.front().is_some_and(|cell| cell.offset < from) {
            self.cells.pop_front();
        }
        while self.batches.front().is_some_and(|(_, end)| *end <= from) {
            self.batches.pop_front();
        }
        while self.cells.back().is_some_and(|cell| cell.offset >= below) {
            self.cells.pop_back();
        }
        while self
            .batches
            .back()
            .is_some_and(|(first, _)| *first >= below)
        {
            self.batches.pop_back();
        }
        self.to = self.to.min(below);
        if (old_from, old_to) != (self.from, self.to) {
            self.shown = None;
        }
    }

    /// Reads from where it stopped, up to `count` offsets from its start.
    fn read_on(&mut self, log: &mut Log, disk: &mut dyn Disk, count: u32, budget: &mut Budget) {
        let below = (self.from + i64::from(count)).min(log.log_end());
        while self.to < below {
            if budget.bytes == 0 || budget.cells == 0 || budget.unpack_bytes == 0 {
                budget.exhausted = true;
                break;
            }
            let end = log.log_end();
            match log.read(disk, self.to, end, CHUNK_BYTES.min(budget.bytes), true) {
                Ok(pieces) if pieces.is_empty() => break,
                Ok(pieces) => {
                    self.shown = None;
                    let bytes: usize = pieces.iter().map(|piece| piece.len()).sum();
                    budget.bytes = budget.bytes.saturating_sub(bytes);
                    for batch in pieces.iter().flat_map(|piece| batches(piece)).flatten() {
                        if self.to >= below || budget.unpack_bytes == 0 {
                            break;
                        }
                        self.take_batch(&batch, below, budget);
                    }
                }
                // Damage shows as a range without cells.
                Err(ReadError::Corrupt { below: next, .. }) => {
                    self.shown = None;
                    self.to = next.min(below).max(self.to + 1);
                }
                Err(_) => break,
            }
        }
        let cells = u32::try_from(self.cells.len()).unwrap_or(u32::MAX);
        budget.cells = budget.cells.saturating_sub(cells);
    }

    fn take_batch(&mut self, batch: &BatchView<'_>, below: Offset, budget: &mut Budget) {
        let header = batch.header();
        let range = (header.base_offset, header.next_offset());
        if self.batches.back() != Some(&range) {
            self.batches.push_back(range);
        }
        let from = self.to;
        let unpacked = self.take_cells(batch, from..below);
        if header.codec() != Ok(Codec::None) {
            budget.unpack_bytes = budget.unpack_bytes.saturating_sub(unpacked);
        }
        // A batch whose records do not unpack has no cells, and is looked at once.
        self.to = range.1.min(below).max(self.to);
        let body = batch.bytes().len();
        budget.bytes = budget.bytes.saturating_sub(body / 8);
    }

    /// Makes cells of a batch's records; the bytes that took.
    fn take_cells(&mut self, batch: &BatchView<'_>, wanted: Range<Offset>) -> usize {
        let Ok(mut records) = batch.records(EXPANDED_BYTES) else {
            return EXPANDED_BYTES;
        };
        loop {
            match records.next_record() {
                Ok(Some(record)) if record.offset < wanted.end => {
                    if record.offset >= wanted.start {
                        let control = batch.header().is_control();
                        self.cells.push_back(cell(&record, control));
                    }
                }
                Ok(_) => break,
                Err(_) => return EXPANDED_BYTES,
            }
        }
        let bytes = records.uncompressed_bytes(batch.body().len());
        usize::try_from(bytes).unwrap_or(usize::MAX)
    }

    fn show(&mut self, topic: &str, partition: PartitionIndex) -> Arc<Lane> {
        let build = || {
            Arc::new(Lane {
                topic: topic.to_owned(),
                partition,
                from: self.from,
                to: self.to,
                cells: self.cells.iter().copied().collect(),
                batches: self.batches.iter().copied().collect(),
            })
        };
        Arc::clone(self.shown.get_or_insert_with(build))
    }
}

fn cell(record: &Record<'_>, control: bool) -> Cell {
    let len = |part: Option<&[u8]>| part.map_or(0, <[u8]>::len);
    let bytes = len(record.key) + len(record.value);
    Cell {
        offset: record.offset,
        key_hash: record.key.filter(|_| !control).map(murmur2),
        bytes: u32::try_from(bytes).unwrap_or(u32::MAX),
        kind: kind(record, control),
    }
}

/// What a record is, for its colour.
pub(super) fn kind(record: &Record<'_>, control: bool) -> CellKind {
    match (control, record.control_type()) {
        (true, Some(ControlType::Commit)) => CellKind::Commit,
        (true, Some(ControlType::Abort)) => CellKind::Abort,
        (true, _) => CellKind::OtherControl,
        (false, _) if record.value.is_none() => CellKind::Tombstone,
        (false, _) => CellKind::Record,
    }
}
