//! Keeps a flood of like events from becoming a flood of notes.

use crate::ids::Time;

/// Events of one kind told per second; of the others only the number is told.
const EVENTS_TOLD_PER_S: u32 = 20;

/// How many events of one kind were told of lately.
#[derive(Debug, Default)]
pub struct EventRate {
    second: i64,
    told: u32,
    untold: u64,
}

impl EventRate {
    /// The cause to tell of an event, with how many before it went untold; `None` if it goes untold, too.
    pub fn admit(&mut self, now: Time, cause: &str) -> Option<String> {
        let second = now.as_ms() / 1000;
        if second != self.second {
            (self.second, self.told) = (second, 0);
        }
        if self.told >= EVENTS_TOLD_PER_S {
            self.untold += 1;
            return None;
        }
        self.told += 1;
        Some(match std::mem::take(&mut self.untold) {
            0 => cause.to_owned(),
            more => format!("{cause} (after {more} others that were not told one by one)"),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flood_of_events_is_told_as_a_number() {
        let mut rate = EventRate::default();
        let told = (0..100).filter(|_| rate.admit(Time(0), "c").is_some());
        assert_eq!(told.count() as u32, EVENTS_TOLD_PER_S);
        let next = rate.admit(Time(1_000_000), "c").unwrap();
        assert_eq!(next, "c (after 80 others that were not told one by one)");
        assert_eq!(rate.admit(Time(1_000_001), "c").unwrap(), "c");
    }
}
