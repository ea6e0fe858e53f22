//! The newest batches of a log, kept in memory as the very bytes that were written.
//!
//! Followers and consumers that keep up are answered from here without touching the file. Bounded per
//! log and over all logs that share a [`TailBudget`]; what does not fit is read from the file.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;

use crate::ids::Offset;

/// Bytes of the largest batch that is held. Larger ones are read through a map of the file as cheaply, and
/// their buffers are better used again while they are warm: holding them cost a producer a fifth of its CPU.
const LARGEST_HELD_BYTES: usize = 64 * 1024;
/// Bytes all tails together may hold unless told otherwise.
const DEFAULT_BUDGET_BYTES: usize = 64 * 1024 * 1024;

/// Bytes all tails that share this may hold together.
#[derive(Debug, Clone)]
pub struct TailBudget {
    used: Arc<AtomicUsize>,
    limit: usize,
}

impl Default for TailBudget {
    fn default() -> Self {
        TailBudget::new(DEFAULT_BUDGET_BYTES)
    }
}

impl TailBudget {
    pub fn new(limit_bytes: usize) -> TailBudget {
        TailBudget {
            used: Arc::default(),
            limit: limit_bytes,
        }
    }

    /// Bytes held by all tails now.
    pub fn used_bytes(&self) -> usize {
        self.used.load(Ordering::Relaxed)
    }

    fn take(&self, bytes: usize) -> bool {
        let fits = |used: usize| used.checked_add(bytes).filter(|sum| *sum <= self.limit);
        let relaxed = Ordering::Relaxed;
        self.used.fetch_update(relaxed, relaxed, fits).is_ok()
    }

    fn give_back(&self, bytes: usize) {
        self.used.fetch_sub(bytes, Ordering::Relaxed);
    }
}

/// The newest batches of one log, contiguous and up to its end, or nothing.
#[derive(Debug)]
pub struct Tail {
    batches: VecDeque<(Offset, Bytes)>,
    bytes: usize,
    budget: TailBudget,
}

impl Tail {
    pub fn new(budget: TailBudget) -> Tail {
        Tail {
            batches: VecDeque::new(),
            bytes: 0,
            budget,
        }
    }

    /// Adds the batch that was just appended; `limit` is what this log may hold. What is counted are the bytes
    /// of the batch: whoever appends sees to it that they are at least half of the allocation they lie in.
    pub fn push(&mut self, base: Offset, batch: Bytes, limit: usize) {
        let bytes = batch.len();
        if bytes > LARGEST_HELD_BYTES {
            // A tail with a hole would be worse than none.
            return self.clear();
        }
        while !self.batches.is_empty() && self.bytes + bytes > limit {
            self.forget_oldest();
        }
        let fits = bytes <= limit;
        while fits && !self.budget.take(bytes) {
            if !self.forget_oldest() {
                return;
            }
        }
        if fits {
            self.bytes += bytes;
            self.batches.push_back((base, batch));
            return;
        }
        // A tail with a hole would be worse than none.
        self.clear();
    }

    /// Batches from the one that holds `from` on: first offset and bytes. `None` if it is not here.
    pub fn from(&self, from: Offset) -> Option<impl Iterator<Item = &(Offset, Bytes)>> {
        let after = self.batches.partition_point(|(base, _)| *base <= from);
        let first = after.checked_sub(1)?;
        Some(self.batches.range(first..))
    }

    /// Bytes held.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// Lets go of everything: after a truncation, or when nobody appended for a while.
    pub fn clear(&mut self) {
        self.budget.give_back(self.bytes);
        self.bytes = 0;
        self.batches = VecDeque::new();
    }

    fn forget_oldest(&mut self) -> bool {
        let Some((_, batch)) = self.batches.pop_front() else {
            return false;
        };
        self.bytes -= batch.len();
        self.budget.give_back(batch.len());
        true
    }
}

impl Drop for Tail {
    fn drop(&mut self) {
        self.budget.give_back(self.bytes);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn batch(len: usize) -> Bytes {
        Bytes::from(vec![0; len])
    }

    #[test]
    fn the_oldest_go_first_and_the_budget_is_given_back() {
        let budget = TailBudget::new(100);
        let mut tail = Tail::new(budget.clone());
        for n in 0..5 {
            tail.push(Offset(n * 10), batch(30), 90);
        }
        assert_eq!(budget.used_bytes(), 90);
        assert!(tail.from(Offset(19)).is_none());
        assert_eq!(tail.from(Offset(29)).map(Iterator::count), Some(3));
        let mut other = Tail::new(budget.clone());
        other.push(Offset(0), batch(30), 90);
        assert_eq!(other.bytes(), 0);
        drop(tail);
        assert_eq!(budget.used_bytes(), 0);
    }
}
