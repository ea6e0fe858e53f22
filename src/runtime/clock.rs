//! The wall clock a broker is given.
//!
//! Guarantees that time never runs backwards within one clock, and that a moment can be waited for.
//! It does not follow a system clock that is set back: it goes on from where it was.

use std::cell::Cell;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use crate::ids::Time;

/// A system clock further ahead than this was set, or the machine slept: follow it.
const FOLLOW_AHEAD_US: i64 = 1_000_000;

/// Microseconds since the Unix epoch, paced by the monotonic clock.
#[derive(Debug)]
pub struct Clock {
    anchor: Cell<(Instant, i64)>,
    last_us: Cell<i64>,
}

impl Clock {
    /// A clock that starts at the system's time.
    pub fn new() -> Clock {
        let wall_us = system_us();
        Clock {
            anchor: Cell::new((Instant::now(), wall_us)),
            last_us: Cell::new(wall_us),
        }
    }

    /// This moment.
    pub fn now(&self) -> Time {
        let (instant, at_us) = self.anchor.get();
        let now = Instant::now();
        let paced_us = at_us + micros(now.duration_since(instant));
        let wall_us = system_us();
        let us = if wall_us - paced_us > FOLLOW_AHEAD_US {
            self.anchor.set((now, wall_us));
            wall_us
        } else {
            paced_us
        };
        let us = us.max(self.last_us.get());
        self.last_us.set(us);
        Time(us)
    }

    /// When `time` will be, for a timer; now if it has passed.
    pub fn instant_of(&self, time: Time) -> Instant {
        let now = self.now();
        Instant::now() + Duration::from_micros(time.since_us(now))
    }
}

impl Default for Clock {
    fn default() -> Clock {
        Clock::new()
    }
}

fn system_us() -> i64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, micros)
}

fn micros(duration: Duration) -> i64 {
    i64::try_from(duration.as_micros()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_never_runs_backwards_even_when_the_system_clock_does() {
        let clock = Clock::new();
        clock.last_us.set(clock.last_us.get() + 5_000_000);
        let first = clock.now();
        assert!(clock.now() >= first);
    }

    #[test]
    fn a_clock_behind_the_systems_follows_it() {
        let clock = Clock::new();
        let (instant, us) = clock.anchor.get();
        clock.anchor.set((instant, us - 60_000_000));
        clock.last_us.set(us - 60_000_000);
        assert!(clock.now().0 >= us);
    }
}
