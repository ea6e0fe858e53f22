//! How far one follower is, as its leader sees it, and what that makes of it.
//!
//! A follower counts only with a fetch of this leader epoch and of its present incarnation: a position from
//! before may be one it has lost. "Caught up" is Kafka's: a fetch that asks from where the leader's log ended
//! at the fetch before was caught up then (KIP-16), so a follower under steady load is not behind.

use crate::ids::{BrokerEpoch, BrokerId, Offset, Time};
use crate::plants::{Plant, planted};

/// How long the high watermark waits for a follower that has caught up and is about to join. A fraction of the
/// time between the fetches of an idle follower: it matters only under load, where fetches follow at once.
const JOIN_PATIENCE_MS: i64 = 250;

/// What committed metadata says of a broker.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Registration {
    pub broker_epoch: BrokerEpoch,
    pub fenced: bool,
    pub in_controlled_shutdown: bool,
}

/// A follower as pictures show it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FollowerFacts {
    pub id: BrokerId,
    /// Its log end; `None` before its first fetch in this leader epoch.
    pub log_end: Option<Offset>,
    pub log_start: Option<Offset>,
    pub last_fetch: Option<Time>,
    /// When it last had everything; `None` if never in this leader epoch.
    pub caught_up: Option<Time>,
    pub in_isr: bool,
    /// The high watermark waits for it: in sync, or in a proposal that may have been accepted.
    pub in_maximal_isr: bool,
    /// When it falls out of the in-sync replicas unless it catches up; `None` if it is not in them or has
    /// everything.
    pub leaves_at: Option<Time>,
}

/// One follower of a partition this broker leads.
#[derive(Debug, Clone)]
pub(super) struct Progress {
    pub id: BrokerId,
    /// In the last in-sync replicas the controller told.
    pub in_isr: bool,
    /// In the proposal now under way.
    pub proposed: bool,
    /// In a proposal whose outcome is not known: it may be in sync for all the controller knows (E7).
    pub suspect: bool,
    /// Of the incarnation that fetched; −1 if none did in this leader epoch.
    pub broker_epoch: BrokerEpoch,
    pub log_end: Option<Offset>,
    log_start: Offset,
    last_fetch: Time,
    /// The leader's log end at the last fetch.
    leader_end_then: Offset,
    caught_up: Option<Time>,
    pub registration: Option<Registration>,
}

impl Progress {
    pub fn new(id: BrokerId, in_isr: bool, now: Time) -> Progress {
        Progress {
            id,
            in_isr,
            proposed: false,
            suspect: false,
            broker_epoch: BrokerEpoch::NONE,
            log_end: None,
            log_start: Offset::NONE,
            last_fetch: now,
            leader_end_then: Offset(i64::MAX),
            // A member has the time of a whole lag to show itself.
            caught_up: in_isr.then_some(now),
            registration: None,
        }
    }

    /// Takes a fetch in: the follower has everything below `fetch_offset`.
    pub fn on_fetch(
        &mut self,
        now: Time,
        broker_epoch: BrokerEpoch,
        fetch_offset: Offset,
        log_start: Offset,
        leader_end: Offset,
    ) {
        if broker_epoch != self.broker_epoch {
            self.forget_position();
            self.broker_epoch = broker_epoch;
        }
        if fetch_offset >= leader_end {
            self.caught_up = Some(now);
        } else if self.log_end.is_some() && fetch_offset >= self.leader_end_then {
            self.caught_up = self.caught_up.max(Some(self.last_fetch));
        }
        self.log_end = Some(fetch_offset);
        self.log_start = log_start;
        self.last_fetch = now;
        self.leader_end_then = leader_end;
    }

    /// What metadata says of its broker. A newer incarnation must show anew what it has.
    pub fn set_registration(&mut self, registration: Option<Registration>) {
        let newest = registration.map_or(BrokerEpoch::NONE, |r| r.broker_epoch);
        let newer = self.broker_epoch > BrokerEpoch::NONE && newest > self.broker_epoch;
        if newer && !planted(Plant::NoIncarnationFence) {
            self.forget_position();
            self.broker_epoch = BrokerEpoch::NONE;
        }
        self.registration = registration;
    }

    fn forget_position(&mut self) {
        self.log_end = None;
        self.leader_end_then = Offset(i64::MAX);
    }

    /// The controller told whether it is in sync; any proposal before that is void.
    pub fn settle(&mut self, in_isr: bool, now: Time) {
        if in_isr && !self.in_isr {
            self.caught_up = Some(now);
        }
        self.in_isr = in_isr;
        self.proposed = false;
        self.suspect = false;
    }

    /// The high watermark waits for it.
    pub fn in_maximal_isr(&self) -> bool {
        self.in_isr || self.proposed || self.suspect
    }

    /// It has everything, or had within the lag.
    pub fn is_caught_up(&self, now: Time, leader_end: Offset, lag_ms: i64) -> bool {
        self.log_end == Some(leader_end)
            || self
                .caught_up
                .is_some_and(|since| now <= since.plus_ms(lag_ms))
    }

    /// The controller would let it in: registered, with the incarnation that fetched.
    pub fn is_eligible(&self) -> bool {
        self.registration.is_some_and(|r| {
            !r.fenced && !r.in_controlled_shutdown && r.broker_epoch == self.broker_epoch
        })
    }

    /// The incarnation is not the newest known.
    pub fn is_stale(&self, broker_epoch: BrokerEpoch) -> bool {
        broker_epoch < self.registered_epoch().max(self.broker_epoch)
    }

    /// Its position is that of an incarnation older than the one metadata knows (KIP-903).
    pub fn counts_stale(&self) -> bool {
        let told = self.log_end.is_some() && self.broker_epoch > BrokerEpoch::NONE;
        told && self.broker_epoch < self.registered_epoch()
    }

    /// Of the incarnation metadata knows.
    pub fn registered_epoch(&self) -> BrokerEpoch {
        let registration = self.registration;
        registration.map_or(BrokerEpoch::NONE, |r| r.broker_epoch)
    }

    /// The high watermark waits for it although it is not in sync yet: it has caught up, so it is about to join
    /// and under load would never reach a high watermark that runs ahead of it.
    pub fn is_joining(&self, now: Time, leader_end: Offset, lag_ms: i64) -> bool {
        !self.in_maximal_isr()
            && self.log_end.is_some()
            && now < self.patience_ends()
            && self.is_eligible()
            && self.is_caught_up(now, leader_end, lag_ms)
    }

    /// When the high watermark no longer waits for it to join.
    pub fn patience_ends(&self) -> Time {
        self.last_fetch.plus_ms(JOIN_PATIENCE_MS)
    }

    /// When it falls out of the in-sync replicas if nothing comes from it.
    pub fn leaves_at(&self, leader_end: Offset, lag_ms: i64) -> Option<Time> {
        if !self.in_isr || self.log_end == Some(leader_end) {
            return None;
        }
        let lag_ends = self
            .caught_up
            .map_or(Time(0), |since| since.plus_ms(lag_ms));
        Some(Time(lag_ends.0.saturating_add(1)))
    }

    pub fn caught_up_since(&self) -> Option<Time> {
        self.caught_up
    }

    pub fn facts(&self, leader_end: Offset, lag_ms: i64) -> FollowerFacts {
        let fetched = self.log_end.is_some();
        FollowerFacts {
            id: self.id,
            log_end: self.log_end,
            log_start: fetched.then_some(self.log_start),
            last_fetch: fetched.then_some(self.last_fetch),
            caught_up: self.caught_up,
            in_isr: self.in_isr,
            in_maximal_isr: self.in_maximal_isr(),
            leaves_at: self.leaves_at(leader_end, lag_ms),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LAG_MS: i64 = 100;

    fn ms(ms: i64) -> Time {
        Time::from_ms(ms)
    }

    fn fetch(progress: &mut Progress, at: i64, offset: i64, leader_end: i64) {
        progress.on_fetch(
            ms(at),
            BrokerEpoch(7),
            Offset(offset),
            Offset(0),
            Offset(leader_end),
        );
    }

    #[test]
    fn kip_16_a_follower_under_load_is_caught_up_as_of_the_fetch_before() {
        let mut follower = Progress::new(BrokerId(2), false, ms(0));
        fetch(&mut follower, 10, 0, 50);
        assert_eq!(follower.caught_up_since(), None);
        fetch(&mut follower, 20, 50, 90);
        assert_eq!(follower.caught_up_since(), Some(ms(10)));
        fetch(&mut follower, 30, 80, 120);
        assert_eq!(follower.caught_up_since(), Some(ms(10)));
        fetch(&mut follower, 40, 120, 120);
        assert_eq!(follower.caught_up_since(), Some(ms(40)));
        assert!(follower.is_caught_up(ms(500), Offset(120), LAG_MS));
        assert!(follower.is_caught_up(ms(140), Offset(121), LAG_MS));
        assert!(!follower.is_caught_up(ms(141), Offset(121), LAG_MS));
    }

    #[test]
    fn a_new_incarnation_shows_anew_what_it_has() {
        let mut follower = Progress::new(BrokerId(2), true, ms(0));
        fetch(&mut follower, 10, 50, 50);
        let registration = |epoch| Registration {
            broker_epoch: BrokerEpoch(epoch),
            fenced: false,
            in_controlled_shutdown: false,
        };
        follower.set_registration(Some(registration(7)));
        assert!(follower.is_eligible() && follower.log_end.is_some());
        follower.set_registration(Some(registration(9)));
        assert!(!follower.is_eligible() && follower.log_end.is_none());
        assert!(follower.is_stale(BrokerEpoch(7)) && !follower.is_stale(BrokerEpoch(9)));
    }

    #[test]
    fn a_member_leaves_a_lag_after_it_last_had_everything() {
        let mut follower = Progress::new(BrokerId(2), true, ms(5));
        assert_eq!(follower.leaves_at(Offset(0), LAG_MS), Some(Time(105_001)));
        fetch(&mut follower, 10, 50, 50);
        assert_eq!(follower.leaves_at(Offset(50), LAG_MS), None);
        assert_eq!(follower.leaves_at(Offset(51), LAG_MS), Some(Time(110_001)));
        let facts = follower.facts(Offset(51), LAG_MS);
        assert!(facts.in_isr && facts.in_maximal_isr);
    }
}
