//! What brokers ask each other whether anything happens or not, told apart from what does happen.
//!
//! Followers fetch and brokers send heartbeats all the time. Each such request changes the picture of the broker
//! that is asked, and none of them changes what anybody watches: it is no news. Pure.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::broker::BrokerPicture;
use crate::ids::{BrokerId, ConnectionId};
use crate::inspect::{
    Asker, ConnectionSnapshot, InFlight, PartitionSnapshot, Polls, QuorumSnapshot, ReplicaSnapshot,
    TopicSnapshot, Totals,
};

/// Requests of other brokers that came while nothing happened, of one broker, by connection.
#[derive(Debug, Default)]
pub struct Murmur {
    polls: BTreeMap<ConnectionId, u64>,
}

impl Murmur {
    /// Counts what came between two pictures of a broker.
    pub fn count(&mut self, before: &BrokerPicture, after: &BrokerPicture, news: bool) {
        let open: BTreeMap<ConnectionId, u64> = asked(before, after).collect();
        self.polls.retain(|id, _| open.contains_key(id));
        if !news {
            for (id, requests) in open {
                *self.polls.entry(id).or_default() += requests;
            }
        }
    }

    /// As the pictures of the cluster have it.
    pub fn polls(&self, broker: BrokerId) -> impl Iterator<Item = Polls> {
        let polls = self.polls.iter().filter(|(_, requests)| **requests > 0);
        polls.map(move |(connection, requests)| Polls {
            broker,
            connection: *connection,
            requests: *requests,
        })
    }
}

/// Requests other brokers made between two pictures of one.
pub fn asked_between(before: Option<&BrokerPicture>, after: &BrokerPicture) -> u64 {
    let nothing = Arc::default();
    let earlier = before.map_or(&nothing, |before| &before.connections);
    let since = asked_since(earlier, &after.connections);
    since.map(|(_, requests)| requests).sum()
}

fn asked(
    before: &BrokerPicture,
    after: &BrokerPicture,
) -> impl Iterator<Item = (ConnectionId, u64)> {
    asked_since(&before.connections, &after.connections)
}

/// What every connection of another broker asked since.
fn asked_since(
    before: &[ConnectionSnapshot],
    after: &[ConnectionSnapshot],
) -> impl Iterator<Item = (ConnectionId, u64)> {
    let peers = after.iter().filter(|connection| is_brokers(connection));
    peers.map(|now| {
        // An earlier run of the broker numbered its connections, too.
        let mut same = before
            .iter()
            .filter(|c| (c.id, c.since) == (now.id, now.since));
        let had = same.next().map_or(0, |before| before.requests);
        (now.id, now.requests.saturating_sub(had))
    })
}

/// Whether `after` shows anything that is news to one who has seen `before`. Requests that wait between brokers are,
/// where `is_watched` says so of their two.
pub fn is_news(
    before: &BrokerPicture,
    after: &BrokerPicture,
    is_watched: impl Fn(BrokerId, BrokerId) -> bool,
) -> bool {
    let same = (&before.cluster_id, before.broker_epoch, &before.broker)
        == (&after.cluster_id, after.broker_epoch, &after.broker)
        && counted(before.totals) == counted(after.totals)
        && before.gone == after.gone
        && same_connections(&before.connections, &after.connections)
        && waiting(before, &is_watched).eq(waiting(after, &is_watched))
        && same_quorum(&before.quorum, &after.quorum)
        && before.registrations == after.registrations
        && same_topics(&before.topics, &after.topics)
        && same_contents(before, after);
    !same
}

/// Counters without what counts every request.
fn counted(totals: Totals) -> Totals {
    Totals {
        requests: 0,
        between_brokers: 0,
        ..totals
    }
}

/// What the window looks into: unchanged contents are mostly the same allocation.
fn same_contents(before: &BrokerPicture, after: &BrokerPicture) -> bool {
    let mut lanes = before.lanes.iter().zip(&after.lanes);
    before.lanes.len() == after.lanes.len()
        && lanes.all(|(a, b)| Arc::ptr_eq(a, b) || a == b)
        && before.record == after.record
        && before.segment == after.segment
}

/// A connection of another broker. They call themselves so, and no client library has their lack of a name.
fn is_brokers(connection: &ConnectionSnapshot) -> bool {
    let named = connection.client_id.strip_prefix("broker-");
    let numbered = named.is_some_and(|number| number.parse::<i32>().is_ok());
    numbered && connection.software.is_empty() && !connection.own
}

/// A connection of which no single request is news: another broker's, or one of klar's own that only looks on.
fn is_murmur(connection: &ConnectionSnapshot) -> bool {
    is_brokers(connection) || connection.own && !connection.last_api.starts_with("Produce")
}

fn same_connections(before: &[ConnectionSnapshot], after: &[ConnectionSnapshot]) -> bool {
    let same = |(a, b): (&ConnectionSnapshot, &ConnectionSnapshot)| {
        let murmur = is_murmur(a) && is_murmur(b);
        let facts = |c: &ConnectionSnapshot| (c.id, c.since, c.errors);
        let names =
            facts(a) == facts(b) && (&a.client_id, &a.software) == (&b.client_id, &b.software);
        a == b || murmur && names && a.own == b.own
    };
    before.len() == after.len() && before.iter().zip(after).all(same)
}

/// Requests without an answer that are worth a look.
fn waiting<'a>(
    picture: &'a BrokerPicture,
    is_watched: &'a impl Fn(BrokerId, BrokerId) -> bool,
) -> impl Iterator<Item = &'a InFlight> {
    let looks_on = |id: ConnectionId| {
        let mut connections = picture.connections.iter();
        connections.any(|connection| connection.id == id && is_murmur(connection))
    };
    picture
        .in_flight
        .iter()
        .filter(move |asked| match asked.from {
            Asker::Broker(from) => is_watched(from, asked.to),
            Asker::Client(id) => !looks_on(id),
        })
}

/// The quorum without how long ago its replicas fetched.
fn same_quorum(before: &QuorumSnapshot, after: &QuorumSnapshot) -> bool {
    let timeless = |quorum: &QuorumSnapshot| {
        let mut quorum = quorum.clone();
        for replica in &mut quorum.replicas {
            (replica.fetched_ms, replica.caught_up_ms) = (None, None);
        }
        quorum
    };
    before == after || timeless(before) == timeless(after)
}

/// Topics that nobody touched are the same allocation; of the others only what is not a passing of time counts.
fn same_topics(before: &[Arc<TopicSnapshot>], after: &[Arc<TopicSnapshot>]) -> bool {
    let same = |(a, b): (&Arc<TopicSnapshot>, &Arc<TopicSnapshot>)| {
        let facts = |t: &TopicSnapshot| (t.id, t.internal, t.replication_factor);
        Arc::ptr_eq(a, b)
            || facts(a) == facts(b)
                && (&a.name, &a.configs) == (&b.name, &b.configs)
                && a.partitions.len() == b.partitions.len()
                && a.partitions.iter().zip(&b.partitions).all(same_partition)
    };
    before.len() == after.len() && before.iter().zip(after).all(same)
}

fn same_partition((a, b): (&PartitionSnapshot, &PartitionSnapshot)) -> bool {
    let timeless = |partition: &PartitionSnapshot| {
        let mut partition = partition.clone();
        partition.replicas.iter_mut().for_each(forget_time);
        partition
    };
    a == b || timeless(a) == timeless(b)
}

/// Keeps only whether a follower is behind and whether that ends: a countdown runs on in the window by itself.
fn forget_time(replica: &mut ReplicaSnapshot) {
    replica.caught_up_ms = replica.caught_up_ms.map(|ms| ms.min(1));
    replica.leaves_isr_ms = replica.leaves_isr_ms.map(|_| 0);
}

#[cfg(test)]
mod tests;
