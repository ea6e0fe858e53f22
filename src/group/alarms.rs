//! When something in a group is due.
//!
//! An alarm says only that it is worth a look: what it is about keeps its own deadline, which may have moved on, and
//! is then set again. So a heartbeat moves a number and no alarm. There is at most one alarm about the same thing,
//! and none about a member that is gone: clients choose timeouts of weeks, and come and go as often as they like.

use std::collections::{BTreeMap, BTreeSet};

use crate::ids::Time;

/// What is to be looked at.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Alarm {
    /// Whether this member's session is over.
    Session(String),
    /// Whether this member id was given out and never used.
    Pending(String),
    /// Whether a rebalance has waited long enough, for joins or for syncs.
    Rebalance,
    /// Whether this member has done what is waited for: given up its partitions, joined again, synced.
    Step(String),
}

/// All alarms of a shard.
#[derive(Debug, Default)]
pub(super) struct Alarms {
    by_time: BTreeSet<(Time, String, Alarm)>,
    /// When each is, by group.
    set: BTreeMap<String, BTreeMap<Alarm, Time>>,
}

impl Alarms {
    /// Sets an alarm, in place of the one about the same thing.
    pub fn set(&mut self, at: Time, group: &str, alarm: Alarm) {
        self.forget(group, &alarm);
        let of_group = self.set.entry(group.to_owned()).or_default();
        of_group.insert(alarm.clone(), at);
        self.by_time.insert((at, group.to_owned(), alarm));
    }

    /// Nobody is to look any more.
    pub fn forget(&mut self, group: &str, alarm: &Alarm) {
        let Some(of_group) = self.set.get_mut(group) else {
            return;
        };
        let Some(at) = of_group.remove(alarm) else {
            return;
        };
        if of_group.is_empty() {
            self.set.remove(group);
        }
        self.by_time.remove(&(at, group.to_owned(), alarm.clone()));
    }

    /// The next alarm that is due by now.
    pub fn take_due(&mut self, now: Time) -> Option<(String, Alarm)> {
        let (at, group, alarm) = self.by_time.first()?.clone();
        if at > now {
            return None;
        }
        self.forget(&group, &alarm);
        Some((group, alarm))
    }

    pub fn next(&self) -> Option<Time> {
        self.by_time.first().map(|(at, ..)| *at)
    }

    /// How many are set.
    #[cfg(test)]
    pub fn len(&self) -> usize {
        self.by_time.len()
    }
}
