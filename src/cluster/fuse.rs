//! Makes one picture of what the broker reported and what the cluster itself knows.
//!
//! Pure: it adds nothing of its own, and a broker that is gone keeps its last picture with its end on it.

use std::collections::VecDeque;
use std::sync::Arc;

use super::ClusterFacts;
use crate::broker::BrokerPicture;
use crate::ids::Time;
use crate::inspect::{
    BrokerSnapshot, BrokerState, Browse, ClusterSnapshot, EVENTS_KEPT, Event, EventKind,
    OUTCOMES_KEPT, Outcome, ProducerSnapshot, Totals,
};

/// The newest events and outcomes, each bounded.
#[derive(Debug, Default)]
pub struct Chronicle {
    events: VecDeque<Arc<Event>>,
    outcomes: VecDeque<Outcome>,
    newest: u64,
}

/// What the cluster adds to the broker's picture.
#[derive(Debug, Default)]
pub struct Panels {
    pub browse: Option<Arc<Browse>>,
    pub producers: Vec<ProducerSnapshot>,
    pub deleting: Vec<(String, Time)>,
}

impl Chronicle {
    /// Numbers and keeps one event.
    pub fn note(&mut self, broker: crate::ids::BrokerId, time: Time, kind: EventKind) {
        self.newest += 1;
        if self.events.len() == EVENTS_KEPT {
            self.events.pop_front();
        }
        self.events.push_back(Arc::new(Event {
            number: self.newest,
            time,
            broker,
            kind,
        }));
    }

    /// Keeps how a command ended.
    pub fn conclude(&mut self, outcome: Outcome) {
        if self.outcomes.len() == OUTCOMES_KEPT {
            self.outcomes.pop_front();
        }
        self.outcomes.push_back(outcome);
    }
}

/// The picture everybody sees.
pub fn fuse(
    facts: &ClusterFacts,
    now: Time,
    state: &BrokerState,
    picture: Option<&BrokerPicture>,
    chronicle: &Chronicle,
    panels: Panels,
) -> ClusterSnapshot {
    let broker = broker_snapshot(facts, now, state, picture);
    let alive = matches!(state, BrokerState::Running);
    ClusterSnapshot {
        event_number: chronicle.newest,
        time: now,
        cluster_id: facts.cluster_id.clone(),
        bootstrap: facts.bootstrap.clone(),
        data_dir: facts.kept_dir.clone(),
        durability: facts.durability,
        listens_beyond_loopback: facts.beyond_loopback,
        controller: alive.then_some(broker.id),
        brokers: vec![broker],
        topics: picture.map_or_else(Vec::new, |seen| seen.topics.as_ref().clone()),
        totals: picture.map_or_else(Totals::default, |seen| seen.totals),
        connections: match picture {
            Some(seen) if alive => seen.connections.as_ref().clone(),
            _ => Vec::new(),
        },
        events: chronicle.events.iter().cloned().collect(),
        outcomes: chronicle.outcomes.iter().cloned().collect(),
        lanes: picture.map_or_else(Vec::new, |seen| seen.lanes.clone()),
        record: picture.and_then(|seen| seen.record.clone()),
        segment: picture.and_then(|seen| seen.segment.clone()),
        browse: panels.browse,
        producers: panels.producers,
        deleting: panels.deleting,
    }
}

fn broker_snapshot(
    facts: &ClusterFacts,
    now: Time,
    state: &BrokerState,
    picture: Option<&BrokerPicture>,
) -> BrokerSnapshot {
    let mut broker = match picture {
        Some(seen) => BrokerSnapshot::clone(&seen.broker),
        None => BrokerSnapshot {
            id: facts.broker,
            host: facts.listen.ip().to_string(),
            port: facts.listen.port(),
            state: BrokerState::Starting,
            started: now,
            recovery: String::new(),
            connections: 0,
            log_bytes: 0,
            settings: Vec::new(),
        },
    };
    broker.state = state.clone();
    if !matches!(state, BrokerState::Running) {
        broker.connections = 0;
    }
    broker
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::BrokerId;

    #[test]
    fn events_are_numbered_without_gaps_and_the_oldest_are_forgotten() {
        let mut chronicle = Chronicle::default();
        for _ in 0..EVENTS_KEPT + 3 {
            let kind = EventKind::BrokerStopped {
                cause: String::new(),
            };
            chronicle.note(BrokerId(1), Time(0), kind);
        }
        let snapshot = fuse(
            &ClusterFacts::example(),
            Time(1),
            &BrokerState::Starting,
            None,
            &chronicle,
            Panels::default(),
        );
        assert_eq!(snapshot.events.len(), EVENTS_KEPT);
        assert_eq!(snapshot.events[0].number, 4);
        assert_eq!(snapshot.event_number, EVENTS_KEPT as u64 + 3);
    }

    #[test]
    fn a_crashed_broker_is_shown_with_its_message_and_controls_nothing() {
        let state = BrokerState::Crashed {
            message: "boom".into(),
        };
        let snapshot = fuse(
            &ClusterFacts::example(),
            Time(1),
            &state,
            None,
            &Chronicle::default(),
            Panels::default(),
        );
        assert_eq!(snapshot.brokers[0].state, state);
        assert_eq!(snapshot.controller, None);
    }
}
