//! Who is alive: the controller's memory of heartbeats.
//!
//! Soft state of the active controller, made anew when it becomes active and dropped when it no longer is:
//! what must survive a controller is in records. A new controller gives every registered broker one whole
//! session timeout before it fences it, but a session is valid only once its broker has been heard, so a broker
//! that restarts registers with a new controller at once.
//!
//! A broker whose connection is lost is given only a part of the session timeout to make another: a process that
//! ends resets its connections, and then there is nothing to wait for (Apache Kafka waits the whole timeout).
//!
//! When the controller itself did not run for a while, all sessions get that while on top: its own pause must not
//! look like everybody's death.

use std::collections::BTreeMap;

use super::brokers::{Beat, Heartbeat};
use crate::ids::{BrokerEpoch, BrokerId, ConnectionId, Offset, Time};
use crate::metadata::Image;

/// A broker whose connection is lost has this part of the session timeout to be heard again.
const LOST_SHARE: i64 = 3;

/// The heartbeats a controller remembers.
#[derive(Debug, Clone)]
pub struct Sessions {
    timeout_ms: i64,
    brokers: BTreeMap<BrokerId, Session>,
    /// When the controller last did anything with them.
    looked: Time,
}

/// How long nothing has been heard of a broker, and how long that may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Silence {
    pub since: Time,
    /// When its connection was lost, if that is how it began.
    pub lost: Option<Time>,
    /// broker.session.timeout.ms.
    pub timeout_ms: i64,
}

#[derive(Debug, Clone, Copy)]
struct Session {
    epoch: BrokerEpoch,
    /// It is over at this moment if nothing is heard before.
    ends: Time,
    heard: Option<Time>,
    /// Its connection was lost then, and nothing was heard since.
    lost: Option<Time>,
    /// What its last heartbeat came on.
    connection: Option<ConnectionId>,
    metadata_offset: Offset,
    /// End of the metadata log when its controlled shutdown was decided.
    shutdown_at: Option<Offset>,
}

impl Sessions {
    /// What a controller begins with. `timeout_ms` is broker.session.timeout.ms.
    pub fn new(now: Time, image: &Image, timeout_ms: i64) -> Sessions {
        let session = |epoch| Session {
            epoch,
            ends: now.plus_ms(timeout_ms),
            heard: None,
            lost: None,
            connection: None,
            metadata_offset: Offset::NONE,
            shutdown_at: None,
        };
        Sessions {
            timeout_ms,
            brokers: image.brokers().map(|b| (b.id, session(b.epoch))).collect(),
            looked: now,
        }
    }

    /// A registration was accepted: call it when it is answered with this epoch.
    pub fn on_registered(&mut self, now: Time, broker: BrokerId, epoch: BrokerEpoch) {
        self.look(now);
        let known = self.brokers.get(&broker).filter(|s| s.epoch == epoch);
        let session = Session {
            epoch,
            ends: now.plus_ms(self.timeout_ms),
            heard: Some(now),
            lost: None,
            connection: None,
            metadata_offset: known.map_or(Offset::NONE, |s| s.metadata_offset),
            shutdown_at: known.and_then(|s| s.shutdown_at),
        };
        self.brokers.insert(broker, session);
    }

    /// A heartbeat was accepted and decided on. `log_end` is the end of the metadata log after its records.
    pub fn on_heartbeat(&mut self, now: Time, beat: &Heartbeat, decided: &Beat, log_end: Offset) {
        self.look(now);
        let known = self.brokers.get(&beat.broker);
        let known = known.filter(|session| session.epoch == beat.epoch);
        let shutdown_at = known.and_then(|session| session.shutdown_at);
        let session = Session {
            epoch: beat.epoch,
            ends: now.plus_ms(self.timeout_ms),
            heard: Some(now),
            lost: None,
            connection: known.and_then(|session| session.connection),
            metadata_offset: beat.metadata_offset,
            shutdown_at: shutdown_at.or(decided.in_controlled_shutdown.then_some(log_end)),
        };
        self.brokers.insert(beat.broker, session);
    }

    /// The heartbeats of a broker come on this connection.
    pub fn on_heard(&mut self, broker: BrokerId, connection: ConnectionId) {
        if let Some(session) = self.brokers.get_mut(&broker) {
            session.connection = Some(connection);
        }
    }

    /// A connection from somebody is gone. Call it for every one; those of brokers count.
    pub fn on_disconnected(&mut self, now: Time, connection: ConnectionId) {
        let mut brokers = self.brokers.iter();
        let whose = brokers.find(|(_, session)| session.connection == Some(connection));
        if let Some(broker) = whose.map(|(broker, _)| *broker) {
            self.on_lost(now, broker);
        }
    }

    /// A connection to or from a broker is lost or cannot be made: it must be heard again soon.
    pub fn on_lost(&mut self, now: Time, broker: BrokerId) {
        self.look(now);
        let ends = now.plus_ms(self.timeout_ms / LOST_SHARE);
        if let Some(session) = self.brokers.get_mut(&broker) {
            session.connection = None;
            session.lost = session.lost.or(Some(now));
            session.ends = session.ends.min(ends);
        }
    }

    /// A broker was unregistered.
    pub fn on_unregistered(&mut self, broker: BrokerId) {
        self.brokers.remove(&broker);
    }

    /// Whether this registration of a broker has been heard within the timeout.
    pub fn is_valid(&self, now: Time, broker: BrokerId, epoch: BrokerEpoch) -> bool {
        let session = self.brokers.get(&broker);
        session.is_some_and(|s| s.epoch == epoch && s.heard.is_some() && now < s.ends)
    }

    /// Unfenced brokers whose session is over: give each to [`super::fence`].
    pub fn due(&mut self, now: Time, image: &Image) -> Vec<BrokerId> {
        self.look(now);
        let unfenced = image.brokers().filter(|broker| !broker.fenced);
        let over = unfenced.filter(|broker| {
            let session = self.brokers.get(&broker.id);
            session.is_none_or(|session| session.ends <= now)
        });
        over.map(|broker| broker.id).collect()
    }

    /// When [`Sessions::due`] can first have something to say.
    pub fn next_wakeup(&self, image: &Image) -> Option<Time> {
        let unfenced = image.brokers().filter(|broker| !broker.fenced);
        unfenced
            .map(|broker| self.brokers.get(&broker.id).map_or(self.looked, |s| s.ends))
            .min()
    }

    /// What a broker is given up for, if it is.
    pub fn silence(&self, broker: BrokerId) -> Option<Silence> {
        let session = self.brokers.get(&broker)?;
        let began = Time(
            session
                .ends
                .0
                .saturating_sub(self.timeout_ms.saturating_mul(1_000)),
        );
        Some(Silence {
            since: session.lost.or(session.heard).unwrap_or(began),
            lost: session.lost,
            timeout_ms: self.timeout_ms,
        })
    }

    /// When a broker was last heard, for pictures.
    pub fn last_heard(&self, broker: BrokerId) -> Option<Time> {
        self.brokers.get(&broker)?.heard
    }

    /// The last metadata record a broker said to have applied; [`Offset::NONE`] before its first heartbeat.
    pub fn metadata_offset(&self, broker: BrokerId) -> Option<Offset> {
        Some(self.brokers.get(&broker)?.metadata_offset)
    }

    /// Whether every live broker knows that this one is stopping. A controller that took over since asks for
    /// all it knows itself at the broker's next heartbeat.
    pub(super) fn shutdown_is_known(&self, image: &Image, stopping: BrokerId) -> bool {
        let Some(at) = self.brokers.get(&stopping).and_then(|s| s.shutdown_at) else {
            return false;
        };
        let live = image.brokers().filter(|broker| broker.is_live());
        live.map(|broker| self.brokers.get(&broker.id))
            .all(|session| session.is_some_and(|s| s.metadata_offset + 1 >= at))
    }

    /// Gives everybody the time the controller was away itself.
    fn look(&mut self, now: Time) {
        let away_us = now.since_us(self.looked);
        let ordinary_us = u64::try_from(self.timeout_ms).unwrap_or(0) * 1000 / 2;
        if away_us > ordinary_us {
            let away_us = i64::try_from(away_us).unwrap_or(i64::MAX);
            for session in self.brokers.values_mut() {
                session.ends = Time(session.ends.0.saturating_add(away_us));
            }
        }
        self.looked = self.looked.max(now);
    }
}

#[cfg(test)]
mod tests {
    use super::super::rig::{Rig, id};
    use super::*;

    const TIMEOUT_MS: i64 = 700;

    fn at(ms: i64) -> Time {
        Time::from_ms(ms)
    }

    fn beat(rig: &Rig, broker: i32) -> Heartbeat {
        Heartbeat {
            broker: id(broker),
            epoch: rig.epoch(broker),
            metadata_offset: Offset(100),
            want_fence: false,
            want_shut_down: false,
        }
    }

    fn nothing() -> Beat {
        Beat {
            records: Vec::new(),
            is_caught_up: true,
            is_fenced: false,
            should_shut_down: false,
            in_controlled_shutdown: false,
        }
    }

    #[test]
    fn a_silent_broker_is_due_after_its_timeout_and_others_are_not() {
        let rig = Rig::with_brokers(3);
        let mut sessions = Sessions::new(at(0), rig.image(), TIMEOUT_MS);
        assert_eq!(sessions.next_wakeup(rig.image()), Some(at(TIMEOUT_MS)));
        for ms in (0..1000).step_by(100) {
            for broker in [1, 3] {
                sessions.on_heartbeat(at(ms), &beat(&rig, broker), &nothing(), Offset(0));
            }
            let due = sessions.due(at(ms), rig.image());
            assert_eq!(due, if ms < 700 { vec![] } else { vec![id(2)] }, "{ms}");
        }
        assert_eq!(sessions.last_heard(id(3)), Some(at(900)));
        assert_eq!(sessions.last_heard(id(2)), None);
    }

    #[test]
    fn a_session_is_valid_only_once_it_was_heard_under_the_same_epoch() {
        let rig = Rig::with_brokers(1);
        let mut sessions = Sessions::new(at(0), rig.image(), TIMEOUT_MS);
        let epoch = rig.epoch(1);
        assert!(!sessions.is_valid(at(1), id(1), epoch));
        sessions.on_heartbeat(at(10), &beat(&rig, 1), &nothing(), Offset(0));
        assert!(sessions.is_valid(at(11), id(1), epoch));
        assert!(!sessions.is_valid(at(11), id(1), BrokerEpoch(epoch.0 + 1)));
        assert!(!sessions.is_valid(at(10 + TIMEOUT_MS), id(1), epoch));
    }

    #[test]
    fn a_broker_whose_connection_is_lost_is_due_early_unless_it_is_heard_again() {
        let rig = Rig::with_brokers(3);
        let mut sessions = Sessions::new(at(0), rig.image(), 700);
        for broker in 1..=3 {
            sessions.on_heartbeat(at(10), &beat(&rig, broker), &nothing(), Offset(0));
            sessions.on_heard(id(broker), ConnectionId(u64::from(broker.unsigned_abs())));
        }
        sessions.on_disconnected(at(20), ConnectionId(2));
        sessions.on_disconnected(at(20), ConnectionId(9));
        sessions.on_lost(at(20), id(3));
        assert_eq!(sessions.next_wakeup(rig.image()), Some(at(253)));
        sessions.on_heartbeat(at(100), &beat(&rig, 3), &nothing(), Offset(0));
        let silence = |broker| {
            sessions
                .silence(id(broker))
                .map(|one| (one.since, one.lost))
        };
        assert_eq!(silence(2), Some((at(20), Some(at(20)))));
        assert_eq!(silence(3), Some((at(100), None)), "it was heard again");
        assert_eq!(sessions.due(at(252), rig.image()), []);
        assert_eq!(sessions.due(at(253), rig.image()), [id(2)]);
        assert_eq!(sessions.due(at(709), rig.image()), [id(2)]);
    }

    #[test]
    fn a_connection_left_behind_says_nothing() {
        let rig = Rig::with_brokers(1);
        let mut sessions = Sessions::new(at(0), rig.image(), 700);
        sessions.on_heartbeat(at(10), &beat(&rig, 1), &nothing(), Offset(0));
        sessions.on_heard(id(1), ConnectionId(1));
        sessions.on_heard(id(1), ConnectionId(2));
        sessions.on_disconnected(at(20), ConnectionId(1));
        assert_eq!(sessions.next_wakeup(rig.image()), Some(at(710)));
    }

    #[test]
    fn a_controller_that_slept_blames_nobody_for_it() {
        let rig = Rig::with_brokers(2);
        let mut sessions = Sessions::new(at(0), rig.image(), TIMEOUT_MS);
        assert_eq!(sessions.due(at(5_000), rig.image()), []);
        let ends = sessions.next_wakeup(rig.image()).expect("two are unfenced");
        assert_eq!(ends, at(5_700));
        for ms in (5_000..=5_700).step_by(100) {
            sessions.due(at(ms), rig.image());
        }
        assert_eq!(sessions.due(ends, rig.image()), [id(1), id(2)]);
    }
}
