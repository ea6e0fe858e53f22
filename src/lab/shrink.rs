//! Makes a failing schedule smaller while it fails in the same way.
//!
//! Faults go first, in halves and then one by one, then clients, then time. The result is what a person reads.

use super::schedule::{Planned, Schedule};

/// Makes `schedule` smaller as long as `fails` says it still does, asking at most `tries` times.
pub fn shrink(
    schedule: &Schedule,
    mut tries: u32,
    mut fails: impl FnMut(&Schedule) -> bool,
) -> Schedule {
    let mut best = schedule.clone();
    let mut attempt = |best: &mut Schedule, smaller: Schedule| {
        if tries == 0 || smaller == *best {
            return false;
        }
        tries -= 1;
        let smaller_fails = fails(&smaller);
        if smaller_fails {
            *best = smaller;
        }
        smaller_fails
    };
    loop {
        let before = best.clone();
        fewer_faults(&mut best, &mut attempt);
        for index in (0..best.writers.len()).rev() {
            let mut smaller = best.clone();
            smaller.writers.remove(index);
            attempt(&mut best, smaller);
        }
        for index in (0..best.readers.len()).rev() {
            let mut smaller = best.clone();
            smaller.readers.remove(index);
            attempt(&mut best, smaller);
        }
        // From the last on: faults name them by number.
        while let Some(fewer) = best.without_last_member() {
            if !attempt(&mut best, fewer) {
                break;
            }
        }
        if best.topics.len() > 1 {
            let mut smaller = best.clone();
            smaller.topics.pop();
            attempt(&mut best, smaller);
        }
        for index in 0..best.topics.len() {
            let mut smaller = best.clone();
            smaller.topics[index].partitions = 1;
            attempt(&mut best, smaller);
        }
        shorter(&mut best, &mut attempt);
        if best == before {
            return best;
        }
    }
}

type Attempt<'a> = dyn FnMut(&mut Schedule, Schedule) -> bool + 'a;

/// Takes faults away, many at once and then fewer.
fn fewer_faults(best: &mut Schedule, attempt: &mut Attempt<'_>) {
    let mut chunk = best.faults.len().div_ceil(2);
    while chunk > 0 {
        let mut start = 0;
        while start < best.faults.len() {
            let end = (start + chunk).min(best.faults.len());
            let mut smaller = best.clone();
            smaller.faults.drain(start..end);
            if !attempt(best, smaller) {
                start = end;
            }
        }
        chunk /= 2;
    }
}

/// Ends the run sooner.
fn shorter(best: &mut Schedule, attempt: &mut Attempt<'_>) {
    let last_ms = |faults: &[Planned]| faults.last().map_or(0, |planned| planned.at_ms);
    for length_ms in [
        last_ms(&best.faults) + 200,
        best.length_ms / 2,
        best.length_ms * 3 / 4,
    ] {
        if length_ms < best.length_ms && length_ms > last_ms(&best.faults) {
            let mut smaller = best.clone();
            smaller.length_ms = length_ms;
            attempt(best, smaller);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::schedule::Fault;
    use super::*;
    use crate::ids::BrokerId;

    #[test]
    fn only_what_matters_is_left() {
        let mut schedule = Schedule::new(1, "test");
        let kill = |at_ms| Planned {
            at_ms,
            fault: Fault::Kill {
                broker: BrokerId(1),
                down_ms: at_ms,
            },
        };
        schedule.faults = (1..40).map(kill).collect();
        let needs = |schedule: &Schedule| {
            let has = |at_ms| schedule.faults.contains(&kill(at_ms));
            has(7) && has(31)
        };
        let small = shrink(&schedule, 1_000, needs);
        assert_eq!(small.faults, [kill(7), kill(31)]);
        assert!((32..=231).contains(&small.length_ms), "{small:?}");
    }
}
