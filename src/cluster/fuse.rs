//! Makes one picture of what the brokers reported and what the cluster itself knows.
//!
//! Pure: it adds nothing of its own, and a broker that is gone keeps its last picture with its end on it.
//! Brokers, connections and events stand side by side; `fuse_topics` puts topics together.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use super::ClusterFacts;
use super::commands::reachable;
use super::fuse_topics::{FusedTopics, fuse_lanes, leader_of, most_advanced, pick};
use super::member::Seen;
use crate::ids::{BrokerId, Time};
use crate::inspect::{
    BrokerFiles, BrokerSnapshot, BrokerState, Browse, ClusterSnapshot, ConnectionSnapshot,
    ConsumerSnapshot, EVENTS_KEPT, Event, EventKind, Focus, GroupSnapshot, InFlight, LinkSnapshot,
    OUTCOMES_KEPT, Outcome, PaceSnapshot, Polls, ProducerSnapshot, QuorumSnapshot, TopicSnapshot,
    Totals,
};

/// The newest events and outcomes, each bounded.
#[derive(Debug, Default)]
pub struct Chronicle {
    events: VecDeque<Arc<Event>>,
    outcomes: VecDeque<Outcome>,
    newest: u64,
}

/// What the cluster adds to the brokers' pictures.
#[derive(Debug, Default)]
pub struct Panels {
    pub browse: Option<Arc<Browse>>,
    pub producers: Vec<ProducerSnapshot>,
    pub consumers: Vec<ConsumerSnapshot>,
    pub deleting: Vec<(String, Time)>,
    /// Links between brokers that are not as good as new.
    pub links: Vec<LinkSnapshot>,
    pub pace: PaceSnapshot,
}

impl Chronicle {
    /// Numbers and keeps one event.
    pub fn note(&mut self, broker: Option<BrokerId>, time: Time, kind: EventKind) {
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
    seen: &[Seen<'_>],
    focus: &Focus,
    topics: &mut FusedTopics,
    chronicle: &Chronicle,
    panels: Panels,
) -> ClusterSnapshot {
    let quorum = quorum(seen);
    let alive = seen.iter().any(|s| s.is_alive());
    let topics = topics.fuse(seen);
    let lanes = fuse_lanes(seen, &topics);
    let groups = groups(seen, &topics);
    let record = focus.record.as_ref();
    let record = record.and_then(|at| leader_of(&topics, &at.topic, at.partition));
    let segment = focus.segment.as_ref();
    let segment = segment.and_then(|at| leader_of(&topics, &at.topic, at.partition));
    ClusterSnapshot {
        event_number: chronicle.newest,
        time: now,
        cluster_id: facts.cluster_id.clone(),
        bootstrap: bootstrap(seen),
        data_dir: facts.kept_dir.clone(),
        durability: facts.durability,
        listens_beyond_loopback: facts.beyond_loopback,
        controller: quorum.as_ref().filter(|_| alive).and_then(|q| q.leader),
        quorum,
        brokers: broker_snapshots(now, seen),
        links: panels.links,
        pace: panels.pace,
        groups,
        totals: totals(seen),
        connections: connections(seen),
        gone: gone(seen),
        polls: polls(seen),
        in_flight: in_flight(seen),
        events: chronicle.events.iter().cloned().collect(),
        outcomes: chronicle.outcomes.iter().cloned().collect(),
        lanes,
        record: pick(seen, record, |picture| picture.record.clone()),
        segment: pick(seen, segment, |picture| picture.segment.clone()),
        files: focus.files.and_then(|broker| files(seen, broker)),
        topics,
        browse: panels.browse,
        producers: panels.producers,
        consumers: panels.consumers,
        deleting: panels.deleting,
    }
}

/// What clients on this machine connect to: every broker, since any may be dead.
pub fn bootstrap(seen: &[Seen<'_>]) -> String {
    let addresses = seen.iter().map(|s| reachable(s.listen).to_string());
    addresses.collect::<Vec<_>>().join(",")
}

/// The quorum as the leader of the newest epoch sees it, who is the only one that knows how far the others
/// are; without one, as the most advanced broker does.
fn quorum(seen: &[Seen<'_>]) -> Option<QuorumSnapshot> {
    let living = seen.iter().filter(|s| s.is_alive());
    let leader = living
        .filter_map(|s| Some((s.id, &s.picture?.quorum)))
        .filter(|(id, quorum)| quorum.leader == Some(*id))
        .max_by_key(|(_, quorum)| quorum.epoch);
    let (_, newest) = most_advanced(seen)?;
    match leader {
        Some((_, quorum)) if quorum.epoch >= newest.quorum.epoch => Some(quorum.clone()),
        _ => Some(newest.quorum.clone()),
    }
}

/// What a dead broker left on disk.
fn files(seen: &[Seen<'_>], broker: BrokerId) -> Option<Arc<BrokerFiles>> {
    let of = seen.iter().find(|s| s.id == broker && !s.is_alive())?;
    Some(Arc::clone(&of.remains?.files))
}

/// Counters of all brokers over all their runs.
fn totals(seen: &[Seen<'_>]) -> Totals {
    let mut totals = Totals::default();
    for s in seen {
        totals.add(s.past);
        totals.add(s.picture.map_or_else(Totals::default, |p| p.totals));
    }
    totals
}

/// Every group from its coordinator; from a dead one while no other has taken over.
fn groups(seen: &[Seen<'_>], topics: &[Arc<TopicSnapshot>]) -> Vec<Arc<GroupSnapshot>> {
    let alive = |id: BrokerId| seen.iter().any(|s| s.id == id && s.is_alive());
    let mut found: BTreeMap<&str, Arc<GroupSnapshot>> = BTreeMap::new();
    for s in seen.iter().filter(|s| s.is_alive()) {
        for group in s.picture.iter().flat_map(|picture| picture.groups.iter()) {
            found.insert(&group.group, Arc::clone(group));
        }
    }
    for s in seen.iter().filter(|s| !s.is_alive()) {
        for group in s.picture.iter().flat_map(|picture| picture.groups.iter()) {
            let leader = leader_of(topics, "__consumer_offsets", group.offsets_partition);
            if !leader.is_some_and(alive) && !found.contains_key(group.group.as_str()) {
                let mut last = GroupSnapshot::clone(group);
                last.orphaned = true;
                found.insert(&group.group, Arc::new(last));
            }
        }
    }
    found.into_values().collect()
}

fn connections(seen: &[Seen<'_>]) -> Vec<ConnectionSnapshot> {
    let living = seen.iter().filter(|s| s.is_alive());
    let shown = living.filter_map(|s| Some(s.picture?.connections.as_ref()));
    shown.flatten().cloned().collect()
}

/// What became of connections to the brokers that run.
fn gone(seen: &[Seen<'_>]) -> Vec<ConnectionSnapshot> {
    let living = seen.iter().filter(|s| s.is_alive());
    let shown = living.filter_map(|s| Some(s.picture?.gone.as_ref()));
    shown.flatten().cloned().collect()
}

/// What the brokers that run were asked by others while nothing happened.
fn polls(seen: &[Seen<'_>]) -> Vec<Polls> {
    let living = seen.iter().filter(|s| s.is_alive());
    let shown = living.filter_map(|s| Some(s.murmur?.polls(s.id)));
    shown.flatten().collect()
}

/// What the brokers that run have asked and not answered.
fn in_flight(seen: &[Seen<'_>]) -> Vec<InFlight> {
    let living = seen.iter().filter(|s| s.is_alive());
    let shown = living.filter_map(|s| Some(&s.picture?.in_flight));
    shown.flatten().cloned().collect()
}

/// Every broker, with what the newest metadata says of it.
fn broker_snapshots(now: Time, seen: &[Seen<'_>]) -> Vec<BrokerSnapshot> {
    let newest = most_advanced(seen).map(|(_, picture)| &picture.registrations);
    let registration = |id| newest?.iter().find(|one| one.broker == id).copied();
    let brokers = seen.iter().map(|s| BrokerSnapshot {
        registration: registration(s.id),
        ..broker_snapshot(now, s)
    });
    brokers.collect()
}

fn broker_snapshot(now: Time, seen: &Seen<'_>) -> BrokerSnapshot {
    let mut broker = match seen.picture {
        Some(picture) => BrokerSnapshot::clone(&picture.broker),
        None => BrokerSnapshot {
            id: seen.id,
            host: seen.listen.ip().to_string(),
            port: seen.listen.port(),
            state: BrokerState::Starting,
            started: now,
            registration: None,
            recovery: String::new(),
            connections: 0,
            log_bytes: 0,
            settings: Vec::new(),
        },
    };
    broker.state = seen.state.clone();
    if !seen.is_alive() {
        broker.connections = 0;
    }
    broker
}

#[cfg(test)]
mod tests;
