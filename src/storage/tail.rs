//! The newest batches of a log, kept in memory as the very bytes that were written.
//!
//! Followers and consumers that keep up are answered from here without touching the file. Bounded per
//! log and over all logs that share a [`TailBudget`]; what does not fit is read from the file.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;

use crate::ids::Offset;

/// Bytes of the largest batch that is held for long. Larger ones are read through a map of the file as cheaply, and
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

    /// Adds the batch that was just appended; `limit` is what this log may hold. A large one is held only for
    /// followers that are about to read it, alone, until [`Tail::let_large_go`] or the next one. What is counted are
    /// the bytes of the batch: whoever appends sees to it that they are at least half of the allocation they lie in.
    pub fn push(&mut self, base: Offset, batch: Bytes, limit: usize, followed: bool) {
        let bytes = batch.len();
        let large = bytes > LARGEST_HELD_BYTES;
        if large || self.holds_large() {
            // A tail with a hole would be worse than none.
            self.clear();
        }
        if bytes > limit || large && !followed {
            return self.clear();
        }
        while !self.batches.is_empty() && self.bytes + bytes > limit {
            self.forget_oldest();
        }
        while !self.budget.take(bytes) {
            if !self.forget_oldest() {
                return;
            }
        }
        self.bytes += bytes;
        self.batches.push_back((base, batch));
    }

    /// Lets go of a large batch: everybody it was held for has read it.
    pub fn let_large_go(&mut self) {
        if self.holds_large() {
            self.clear();
        }
    }

    fn holds_large(&self) -> bool {
        let newest = self.batches.back();
        newest.is_some_and(|(_, batch)| batch.len() > LARGEST_HELD_BYTES)
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
            tail.push(Offset(n * 10), batch(30), 90, false);
        }
        assert_eq!(budget.used_bytes(), 90);
        assert!(tail.from(Offset(19)).is_none());
        assert_eq!(tail.from(Offset(29)).map(Iterator::count), Some(3));
        let mut other = Tail::new(budget.clone());
        other.push(Offset(0), batch(30), 90, false);
        assert_eq!(other.bytes(), 0);
        drop(tail);
        assert_eq!(budget.used_bytes(), 0);
    }

    #[test]
    fn a_large_batch_is_held_alone_and_only_for_followers() {
        const LARGE: usize = LARGEST_HELD_BYTES + 1;
        let budget = TailBudget::new(4 * LARGE);
        let mut tail = Tail::new(budget.clone());
        tail.push(Offset(0), batch(30), LARGE, false);
        tail.push(Offset(1), batch(LARGE), LARGE, false);
        assert_eq!(tail.bytes(), 0);
        tail.push(Offset(2), batch(30), LARGE, true);
        tail.push(Offset(3), batch(LARGE), LARGE, true);
        assert!(tail.from(Offset(2)).is_none());
        assert_eq!(tail.from(Offset(3)).map(Iterator::count), Some(1));
        tail.push(Offset(4), batch(30), LARGE, true);
        assert!(tail.from(Offset(3)).is_none());
        tail.let_large_go();
        assert_eq!(budget.used_bytes(), 30);
        tail.push(Offset(5), batch(LARGE), LARGE, true);
        tail.let_large_go();
        assert_eq!(budget.used_bytes(), 0);
    }
}
