//! The batches of one partition that wait to be sent, oldest first.
//!
//! One of them is on its way at a time, so a batch that must be sent again never overtakes, and sequence
//! numbers are given out when a batch is first sent.

use std::collections::VecDeque;

use super::batch::{Batch, Stamp};
use crate::ids::{ProducerEpoch, ProducerId, Time};

/// What waits for one partition.
#[derive(Debug, Default)]
pub struct Queue {
    /// The batch that takes new records.
    pub open: Option<Batch>,
    /// Complete batches.
    pub ready: VecDeque<Batch>,
    pub in_flight: bool,
    /// Sending pauses until then.
    pub not_before: Option<Time>,
    next_sequence: i32,
}

impl Queue {
    /// Takes no more records into the open batch.
    pub fn close_open(&mut self) -> bool {
        let Some(open) = self.open.take() else {
            return false;
        };
        self.ready.push_back(open);
        true
    }

    /// When the next batch may be sent; `None` if nothing waits or one is on its way.
    pub fn due(&self, linger_ms: i64) -> Option<Time> {
        if self.in_flight {
            return None;
        }
        let complete = match (self.ready.front(), &self.open) {
            (Some(batch), _) => batch.created,
            (None, Some(open)) => open.created.plus_ms(linger_ms),
            (None, None) => return None,
        };
        Some(complete.max(self.not_before.unwrap_or(complete)))
    }

    /// The oldest batch that waits.
    pub fn oldest(&self) -> Option<&Batch> {
        self.ready.front().or(self.open.as_ref())
    }

    /// Takes the oldest batch out; a later one takes new records.
    pub fn take_oldest(&mut self) -> Option<Batch> {
        self.ready.pop_front().or_else(|| self.open.take())
    }

    /// Puts a batch back in front of all others, to be sent again after a pause.
    pub fn put_back(&mut self, batch: Batch, not_before: Time) {
        self.ready.push_front(batch);
        self.not_before = Some(not_before);
    }

    /// The stamp for a batch about to be sent: its own if it has one, else the next sequence numbers.
    pub fn stamp(&mut self, batch: &Batch, id: ProducerId, epoch: ProducerEpoch) -> Stamp {
        if let Some(stamp) = batch.stamp {
            return stamp;
        }
        let sequence = self.next_sequence;
        let records = batch.ids.len() as i32;
        self.next_sequence = sequence.wrapping_add(records) & i32::MAX;
        Stamp {
            id,
            epoch,
            sequence,
        }
    }

    /// The broker refused the batch: its sequence numbers are still to be used, unless they were another
    /// producer id's.
    pub fn take_back_sequence(&mut self, batch: &Batch, id: ProducerId) {
        if let Some(stamp) = batch.stamp.filter(|stamp| stamp.id == id) {
            self.next_sequence = stamp.sequence;
        }
    }

    /// A new producer id: sequences begin at 0. A batch that was sent before keeps its stamp: it may be in the
    /// log, and only its old producer id and sequence tell the broker so.
    pub fn restart_sequence(&mut self) {
        self.next_sequence = 0;
    }
}
