//! Where a browse stands in one partition, and which offsets it reads next. Pure.
//!
//! Forward scans go from a start to where the log ended when the browse began (a live tail has no end).
//! Backward scans go in windows from the end to the log start; inside a window records come forward.

use crate::ids::Offset;

/// Records of the first window of a backward scan.
const FIRST_WINDOW: i64 = 64;
/// Records of the largest window.
const LARGEST_WINDOW: i64 = 16_384;

/// One partition's scan.
#[derive(Debug, Clone)]
pub struct Scan {
    /// First offset that belongs to the scan.
    pub low: Offset,
    /// One past the last offset that belongs to it; grows for a live tail.
    pub high: Offset,
    /// The next offset to read.
    pub next: Offset,
    /// One past the last offset to read before looking again.
    pub until: Offset,
    backward: bool,
    endless: bool,
    window: i64,
    /// Offsets already passed.
    passed: i64,
    /// Milliseconds since the Unix epoch of the oldest record seen.
    oldest_ms: i64,
}

impl Scan {
    /// From `start` to `end`, forward.
    pub fn forward(start: Offset, end: Offset) -> Scan {
        Scan {
            low: start,
            high: end.max(start),
            next: start,
            until: end.max(start),
            backward: false,
            endless: false,
            window: 0,
            passed: 0,
            oldest_ms: i64::MAX,
        }
    }

    /// Everything from `start` on, for ever.
    pub fn tail(start: Offset) -> Scan {
        Scan {
            until: Offset(i64::MAX),
            endless: true,
            ..Scan::forward(start, start)
        }
    }

    /// From `end` back to `start`, one window at a time; call [`Scan::next_window`] to begin.
    pub fn backward(start: Offset, end: Offset) -> Scan {
        let end = end.max(start);
        Scan {
            next: end,
            until: end,
            backward: true,
            window: FIRST_WINDOW,
            ..Scan::forward(start, end)
        }
    }

    /// True when what was begun (the window, or everything) has been read.
    pub fn is_at_end(&self) -> bool {
        self.next >= self.until
    }

    /// True when nothing is left to read.
    pub fn is_complete(&self) -> bool {
        !self.endless && self.passed >= self.of()
    }

    /// Offsets the scan covers.
    pub fn of(&self) -> i64 {
        self.high - self.low
    }

    /// Takes the window before the last one; false when that one was the first of the log.
    pub fn next_window(&mut self) -> bool {
        if !self.backward || !self.is_at_end() {
            return false;
        }
        let end = Offset(self.high.0 - self.passed);
        if end <= self.low {
            return false;
        }
        self.next = Offset((end.0 - self.window).max(self.low.0));
        self.until = end;
        self.window = (self.window * 2).min(LARGEST_WINDOW);
        true
    }

    /// Everything before `to` has been read.
    pub fn advance(&mut self, to: Offset) {
        let to = Offset(to.0.clamp(self.next.0, self.until.0));
        self.passed += to - self.next;
        self.next = to;
        if self.endless && to > self.high {
            self.high = to;
        }
    }

    /// Takes note of the oldest timestamp among records read.
    pub fn saw(&mut self, oldest_ms: i64) {
        self.oldest_ms = self.oldest_ms.min(oldest_ms);
    }

    /// The oldest timestamp read so far; the end of time before the first.
    pub fn oldest_ms(&self) -> i64 {
        self.oldest_ms
    }

    /// The log was found to end here: offsets beyond it will not come, or they belong to a live tail.
    pub fn log_ends_at(&mut self, high_watermark: Offset) {
        if self.endless && high_watermark > self.high {
            self.high = high_watermark;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_backward_scan_covers_everything_once() {
        let mut scan = Scan::backward(Offset(10), Offset(1_000));
        let mut seen = Vec::new();
        while scan.next_window() {
            seen.push((scan.next.0, scan.until.0));
            scan.advance(scan.until);
        }
        assert!(scan.is_complete());
        assert_eq!(seen.first(), Some(&(936, 1_000)));
        assert_eq!(seen.last().unwrap().0, 10);
        assert!(
            seen.windows(2).all(|pair| pair[1].1 == pair[0].0),
            "{seen:?}"
        );
    }

    #[test]
    fn an_empty_range_is_complete_at_once() {
        assert!(Scan::forward(Offset(5), Offset(5)).is_complete());
        assert!(Scan::forward(Offset(9), Offset(5)).is_complete());
        assert!(!Scan::backward(Offset(5), Offset(5)).next_window());
    }

    #[test]
    fn a_tail_never_completes_and_counts_what_came() {
        let mut scan = Scan::tail(Offset(100));
        scan.advance(Offset(120));
        assert!(!scan.is_complete() && !scan.is_at_end());
        assert_eq!(scan.of(), 20);
    }
}
