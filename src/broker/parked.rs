//! Requests that are not answered yet: long polls, and writes that wait for the disk.
//!
//! A connection has one request in flight, so it is parked at most once and connections bound what is
//! parked. Knows nothing of what the requests say.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;

use super::api::fetch::FetchWait;
use super::api::produce::ProduceWait;
use super::dispatch::Asked;
use super::group_waits::{GroupWait, Later};
use super::quorum_log::MetadataWait;
use crate::ids::{ConnectionId, Offset, Time};

/// One request that waits.
#[derive(Debug)]
pub(super) enum Waiting {
    /// For records, or for its wait to be over.
    Fetch(Box<FetchWait>),
    /// For the sync that makes its records durable, or for the replicas that have them.
    Produce(Box<ProduceWait>),
    /// For the sync or the voters that make its metadata durable; the answer is ready.
    Committed(Vec<Bytes>),
    /// For every live broker to know what it tells of.
    Spreading(Box<Spreading>),
    /// A replica's fetch of the metadata log, for news or for its wait to be over.
    Metadata(Box<MetadataWait>),
    /// For the controller's answer to what was passed on.
    Forwarded,
    /// For a block of producer ids.
    ProducerId(Box<Asked>),
    /// For a group's rebalance, or for what its coordinator wrote to be committed.
    Group(Box<GroupWait>),
    /// For a group's coordinator, or for this broker to join the cluster.
    Later(Box<Later>),
}

/// An answer that leaves once every live broker knows the metadata it tells of.
#[derive(Debug)]
pub(super) struct Spreading {
    pub parts: Vec<Bytes>,
    /// What leaves instead when that takes too long.
    pub late: Vec<Bytes>,
    /// Where that metadata ends.
    pub end: Offset,
}

/// All of them, by connection.
#[derive(Debug, Default)]
pub(super) struct Parked {
    waiting: BTreeMap<ConnectionId, (Option<Time>, Waiting)>,
    deadlines: BTreeSet<(Time, ConnectionId)>,
}

impl Parked {
    /// Parks a connection's request, until `deadline` if there is one.
    pub fn put(&mut self, connection: ConnectionId, deadline: Option<Time>, waiting: Waiting) {
        let before = self.waiting.insert(connection, (deadline, waiting));
        assert!(before.is_none(), "a connection has one request in flight");
        if let Some(deadline) = deadline {
            self.deadlines.insert((deadline, connection));
        }
    }

    /// Takes a connection's request out, to answer or forget it.
    pub fn take(&mut self, connection: ConnectionId) -> Option<Waiting> {
        let (deadline, waiting) = self.waiting.remove(&connection)?;
        if let Some(deadline) = deadline {
            self.deadlines.remove(&(deadline, connection));
        }
        Some(waiting)
    }

    /// Whether the connection waits for an answer.
    pub fn holds(&self, connection: ConnectionId) -> bool {
        self.waiting.contains_key(&connection)
    }

    /// The connection's long poll, if that is what it waits in.
    pub fn fetch_mut(&mut self, connection: ConnectionId) -> Option<&mut FetchWait> {
        match self.waiting.get_mut(&connection) {
            Some((_, Waiting::Fetch(wait))) => Some(wait),
            _ => None,
        }
    }

    /// The connection's fetch of the metadata log, if that is what it waits in.
    pub fn metadata(&self, connection: ConnectionId) -> Option<&MetadataWait> {
        match self.waiting.get(&connection) {
            Some((_, Waiting::Metadata(wait))) => Some(wait),
            _ => None,
        }
    }

    /// The connection's produce, if that is what it waits in.
    pub fn produce(&self, connection: ConnectionId) -> Option<&ProduceWait> {
        match self.waiting.get(&connection) {
            Some((_, Waiting::Produce(wait))) => Some(wait),
            _ => None,
        }
    }

    /// What the connection waits in.
    pub fn get(&self, connection: ConnectionId) -> Option<&Waiting> {
        self.waiting.get(&connection).map(|(_, waiting)| waiting)
    }

    /// Everything that waits, by connection.
    pub fn iter(&self) -> impl Iterator<Item = (ConnectionId, &Waiting)> {
        self.waiting.iter().map(|(id, (_, waiting))| (*id, waiting))
    }

    /// Connections that wait for a producer id.
    pub fn producer_ids(&self) -> Vec<ConnectionId> {
        let waits = |waiting: &Waiting| matches!(waiting, Waiting::ProducerId(_));
        let all = self.waiting.iter().filter(|(_, (_, w))| waits(w));
        all.map(|(connection, _)| *connection).collect()
    }

    /// Connections whose wait is over.
    pub fn due(&self, now: Time) -> Vec<ConnectionId> {
        let due = self.deadlines.iter().take_while(|(at, _)| *at <= now);
        due.map(|(_, connection)| *connection).collect()
    }

    /// When the next wait is over.
    pub fn next_deadline(&self) -> Option<Time> {
        self.deadlines.first().map(|(at, _)| *at)
    }

    /// What must hold between the two.
    pub fn check(&self) {
        let timed = self.waiting.values().filter(|(at, _)| at.is_some());
        assert_eq!(timed.count(), self.deadlines.len());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_due_is_found_in_order_and_taken_once() {
        let mut parked = Parked::default();
        for (connection, at) in [(1, Some(30)), (2, Some(10)), (3, None)] {
            let waiting = Waiting::Committed(Vec::new());
            parked.put(ConnectionId(connection), at.map(Time), waiting);
        }
        parked.check();
        assert_eq!(parked.next_deadline(), Some(Time(10)));
        assert_eq!(parked.due(Time(30)), [ConnectionId(2), ConnectionId(1)]);
        assert!(parked.take(ConnectionId(2)).is_some());
        assert!(parked.take(ConnectionId(2)).is_none());
        assert!(parked.holds(ConnectionId(3)));
        assert_eq!(parked.due(Time(30)), [ConnectionId(1)]);
        parked.check();
    }
}
