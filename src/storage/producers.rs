//! What a log remembers of idempotent producers (KIP-98), so that each batch is appended once.
//!
//! Per producer id: its newest epoch and its last five batches there, as in Kafka, so that each of the
//! five requests a client may have in flight can be repeated and gets its first offset (P1). Kept across
//! restarts in snapshots, and otherwise rebuilt from batch headers (P2). An epoch once seen fences older
//! ones (P3). Transactions are not tracked yet.

use std::collections::{BTreeMap, VecDeque};

use super::error::AppendError;
use super::format::{self, Fields, FormatError};
use crate::ids::{Offset, ProducerEpoch, ProducerId, Time};
use crate::wire::records::BatchHeader;

/// Batches remembered per producer: clients have at most five requests in flight.
pub const BATCHES_KEPT: usize = 5;

/// One appended batch of a producer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ProducedBatch {
    pub first_sequence: i32,
    pub last_sequence: i32,
    pub base_offset: Offset,
    pub last_offset: Offset,
    pub max_timestamp_ms: i64,
}

/// What is known of one producer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProducerEntry {
    pub epoch: ProducerEpoch,
    /// Oldest first, at most [`BATCHES_KEPT`], all of `epoch`.
    pub batches: VecDeque<ProducedBatch>,
    /// When the producer was last heard of.
    pub last_seen: Time,
}

/// What is known of all producers of a log.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Producers {
    entries: BTreeMap<ProducerId, ProducerEntry>,
}

/// What to do with a produced batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    Append,
    /// It was appended before.
    Duplicate(ProducedBatch),
}

impl Producers {
    /// Decides about a batch before it gets an offset.
    pub fn judge(&self, header: &BatchHeader) -> Result<Verdict, AppendError> {
        if !header.has_producer() {
            return Ok(Verdict::Append);
        }
        let Some(entry) = self.entries.get(&header.producer_id) else {
            // Nothing is known: expired, or its records are gone. Any sequence may begin (KIP-360).
            return Ok(Verdict::Append);
        };
        if header.producer_epoch < entry.epoch {
            return Err(AppendError::FencedProducer {
                producer: header.producer_id,
                newest: entry.epoch,
                found: header.producer_epoch,
            });
        }
        if header.is_control() {
            return Ok(Verdict::Append);
        }
        if header.producer_epoch > entry.epoch {
            return in_order(header, None);
        }
        let repeats = |batch: &&ProducedBatch| {
            batch.first_sequence == header.base_sequence
                && batch.last_sequence == header.last_sequence()
        };
        if let Some(batch) = entry.batches.iter().find(repeats) {
            return Ok(Verdict::Duplicate(*batch));
        }
        match entry.batches.back() {
            Some(last) => in_order(header, Some(next_sequence(last.last_sequence))),
            None => Ok(Verdict::Append),
        }
    }

    /// Notes a batch that is in the log, with its final offsets.
    pub fn note(&mut self, header: &BatchHeader, now: Time) {
        if !header.has_producer() {
            return;
        }
        let fresh = || ProducerEntry {
            epoch: header.producer_epoch,
            batches: VecDeque::new(),
            last_seen: now,
        };
        let entry = self.entries.entry(header.producer_id).or_insert_with(fresh);
        entry.last_seen = now;
        if header.producer_epoch != entry.epoch {
            entry.epoch = header.producer_epoch;
            entry.batches.clear();
        }
        if header.is_control() {
            // A marker ends a transaction; sequences go on behind it.
            return;
        }
        if entry.batches.len() == BATCHES_KEPT {
            entry.batches.pop_front();
        }
        entry.batches.push_back(ProducedBatch {
            first_sequence: header.base_sequence,
            last_sequence: header.last_sequence(),
            base_offset: header.base_offset,
            last_offset: header.last_offset(),
            max_timestamp_ms: header.max_timestamp_ms,
        });
    }

    /// Forgets producers not heard of since `since`; how many.
    pub fn expire(&mut self, since: Time) -> usize {
        let before = self.entries.len();
        self.entries.retain(|_, entry| entry.last_seen >= since);
        before - self.entries.len()
    }

    /// Number of producers known.
    pub fn count(&self) -> usize {
        self.entries.len()
    }

    /// All producers, by id.
    pub fn entries(&self) -> impl Iterator<Item = (ProducerId, &ProducerEntry)> {
        self.entries.iter().map(|(id, entry)| (*id, entry))
    }

    /// The snapshot file.
    pub(super) fn to_file(&self) -> Vec<u8> {
        let mut body = Vec::new();
        body.extend_from_slice(&(self.entries.len() as u32).to_be_bytes());
        for (id, entry) in &self.entries {
            body.extend_from_slice(&id.0.to_be_bytes());
            body.extend_from_slice(&entry.epoch.0.to_be_bytes());
            body.extend_from_slice(&entry.last_seen.0.to_be_bytes());
            body.extend_from_slice(&(entry.batches.len() as u32).to_be_bytes());
            for batch in &entry.batches {
                body.extend_from_slice(&batch.first_sequence.to_be_bytes());
                body.extend_from_slice(&batch.last_sequence.to_be_bytes());
                body.extend_from_slice(&batch.base_offset.0.to_be_bytes());
                body.extend_from_slice(&batch.last_offset.0.to_be_bytes());
                body.extend_from_slice(&batch.max_timestamp_ms.to_be_bytes());
            }
        }
        format::seal(format::MAGIC_PRODUCERS, &body)
    }

    /// Reads a snapshot file.
    pub(super) fn from_file(file: &[u8]) -> Result<Producers, FormatError> {
        let mut fields = Fields::new(format::open(format::MAGIC_PRODUCERS, file)?);
        let mut producers = Producers::default();
        for _ in 0..fields.u32()? {
            let id = ProducerId(fields.i64()?);
            let epoch = ProducerEpoch(fields.i16()?);
            let last_seen = Time(fields.i64()?);
            let mut batches = VecDeque::new();
            for _ in 0..fields.u32()? {
                batches.push_back(ProducedBatch {
                    first_sequence: fields.i32()?,
                    last_sequence: fields.i32()?,
                    base_offset: Offset(fields.i64()?),
                    last_offset: Offset(fields.i64()?),
                    max_timestamp_ms: fields.i64()?,
                });
            }
            let entry = ProducerEntry {
                epoch,
                batches,
                last_seen,
            };
            producers.entries.insert(id, entry);
        }
        Ok(producers)
    }
}

/// Sequence numbers run from 0 to 2³¹−1 and begin again.
fn next_sequence(last: i32) -> i32 {
    last.checked_add(1).unwrap_or(0)
}

fn in_order(header: &BatchHeader, due: Option<i32>) -> Result<Verdict, AppendError> {
    match header.base_sequence == due.unwrap_or(0) {
        true => Ok(Verdict::Append),
        false => Err(AppendError::OutOfOrderSequence {
            producer: header.producer_id,
            due,
            found: header.base_sequence,
        }),
    }
}
