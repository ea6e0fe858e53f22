//! Memory that frames under way may own, over all connections of one broker.
//!
//! Guarantees that what was received but not yet handed to the broker stays under a limit, whatever
//! clients declare or how slowly they send, and that a few large frames leave room for small ones. Whoever waits
//! puts pressure on the slow ones; it does not choose whom to close.

use std::cell::Cell;
use std::rc::Rc;
use std::time::Duration;

use tokio::sync::Notify;

use super::limits::{LARGE_FRAME_BYTES, SMALL_FRAMES_RESERVE_BYTES};

/// The budget of one broker.
#[derive(Debug)]
pub struct FrameBudget {
    limit: usize,
    used: Cell<usize>,
    waiting: Cell<u32>,
    /// Somebody gave bytes back.
    freed: Notify,
    /// Somebody began to wait.
    pressed: Notify,
}

/// Bytes taken from the budget, given back when dropped.
#[derive(Debug)]
pub struct Lease {
    budget: Rc<FrameBudget>,
    bytes: usize,
}

impl FrameBudget {
    pub fn new(limit: usize) -> Rc<FrameBudget> {
        Rc::new(FrameBudget {
            limit,
            used: Cell::new(0),
            waiting: Cell::new(0),
            freed: Notify::new(),
            pressed: Notify::new(),
        })
    }

    /// True while somebody waits for bytes.
    pub fn under_pressure(&self) -> bool {
        self.waiting.get() > 0
    }

    /// Returns when somebody begins to wait.
    pub async fn pressed(&self) {
        self.pressed.notified().await;
    }
}

impl Lease {
    /// A lease of nothing yet.
    pub fn empty(budget: &Rc<FrameBudget>) -> Lease {
        Lease {
            budget: Rc::clone(budget),
            bytes: 0,
        }
    }

    /// Bytes it holds.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// Makes the lease hold `total` bytes if they are there now.
    pub fn try_grow_to(&mut self, total: usize) -> bool {
        let more = total.saturating_sub(self.bytes);
        let used = self.budget.used.get() + more;
        let reserve = match total > LARGE_FRAME_BYTES {
            true => SMALL_FRAMES_RESERVE_BYTES,
            false => 0,
        };
        if used.saturating_add(reserve) > self.budget.limit {
            return false;
        }
        self.budget.used.set(used);
        self.bytes += more;
        true
    }

    /// Makes the lease hold `total` bytes, waiting for others to finish; false after `patience`.
    pub async fn grow_to(&mut self, total: usize, patience: Duration) -> bool {
        if self.try_grow_to(total) {
            return true;
        }
        let budget = Rc::clone(&self.budget);
        let _waiting = Waiting::begin(&budget);
        let deadline = tokio::time::Instant::now() + patience;
        loop {
            let freed = budget.freed.notified();
            if self.try_grow_to(total) {
                return true;
            }
            if tokio::time::timeout_at(deadline, freed).await.is_err() {
                return false;
            }
        }
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        if self.bytes == 0 {
            return;
        }
        self.budget.used.set(self.budget.used.get() - self.bytes);
        if self.budget.under_pressure() {
            self.budget.freed.notify_waiters();
        }
    }
}

/// Counts one waiter, also when its connection goes away meanwhile.
struct Waiting<'a>(&'a FrameBudget);

impl Waiting<'_> {
    fn begin(budget: &FrameBudget) -> Waiting<'_> {
        budget.waiting.set(budget.waiting.get() + 1);
        budget.pressed.notify_waiters();
        Waiting(budget)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.waiting.set(self.0.waiting.get() - 1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn large_frames_leave_room_for_small_ones() {
        const MIB: usize = 1024 * 1024;
        let budget = FrameBudget::new(256 * MIB);
        let mut large: Vec<Lease> = (0..5).map(|_| Lease::empty(&budget)).collect();
        let granted = large.iter_mut().map(|lease| lease.try_grow_to(68 * MIB));
        assert_eq!(granted.filter(|granted| *granted).count(), 3);
        let mut rest = Lease::empty(&budget);
        assert!(rest.try_grow_to(20 * MIB) && !rest.try_grow_to(21 * MIB));
        let small: Vec<Lease> = (0..32)
            .map(|_| {
                let mut lease = Lease::empty(&budget);
                assert!(lease.try_grow_to(MIB));
                lease
            })
            .collect();
        assert_eq!(budget.used.get(), 256 * MIB);
        drop((large, rest, small));
        assert_eq!(budget.used.get(), 0);
    }

    #[tokio::test]
    async fn a_lease_waits_until_another_is_dropped() {
        let budget = FrameBudget::new(100);
        let mut first = Lease::empty(&budget);
        assert!(first.try_grow_to(80));
        let mut second = Lease::empty(&budget);
        assert!(!second.try_grow_to(30));
        assert!(!second.grow_to(30, Duration::from_millis(5)).await);
        assert!(!budget.under_pressure(), "nobody waits any more");
        let (granted, ()) = tokio::join!(second.grow_to(30, Duration::from_secs(5)), async {
            tokio::task::yield_now().await;
            assert!(budget.under_pressure());
            drop(first);
        });
        assert!(granted);
        assert_eq!(budget.used.get(), 30);
        drop(second);
        assert_eq!(budget.used.get(), 0);
    }
}
