//! Who reads what: Kafka's assignors of the classic protocol, each computing what Kafka's class computes.
//!
//! The group's leader runs the one that the coordinator chose of those all members have. Racks are not looked at
//! (KIP-881).

mod range;
mod round_robin;
mod sticky;

use std::cmp::Ordering;
use std::collections::BTreeMap;

use crate::client::consumer::Place;
use crate::ids::PartitionIndex;

/// One of Kafka's assignors.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Assignor {
    /// Ranges of each topic's partitions.
    Range,
    /// Partitions of all topics in turn.
    RoundRobin,
    /// As even as can be, and with as few moves.
    Sticky,
    /// The same, and members keep reading what stays theirs while the group rebalances (KIP-429).
    CooperativeSticky,
}

/// One member as the leader sees it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Subscriber {
    pub id: String,
    pub instance_id: Option<String>,
    pub topics: Vec<String>,
    /// What it had when it joined; in the eager protocol what it had before it gave that up.
    pub owned: Vec<Place>,
    /// The generation it had that in.
    pub generation: Option<i32>,
}

/// What each member reads, by member id.
pub(super) type Plan = BTreeMap<String, Vec<Place>>;

impl Assignor {
    /// Kafka's name for it in `JoinGroup`.
    pub fn name(self) -> &'static str {
        match self {
            Assignor::Range => "range",
            Assignor::RoundRobin => "roundrobin",
            Assignor::Sticky => "sticky",
            Assignor::CooperativeSticky => "cooperative-sticky",
        }
    }

    /// Whether members keep their partitions while the group rebalances.
    pub(super) fn is_cooperative(self) -> bool {
        self == Assignor::CooperativeSticky
    }

    /// Shares out `topics` (name and number of partitions). Every member has an entry.
    pub(super) fn assign(self, topics: &BTreeMap<String, i32>, members: &[Subscriber]) -> Plan {
        match self {
            Assignor::Range => range::assign(topics, members),
            Assignor::RoundRobin => round_robin::assign(topics, members),
            Assignor::Sticky => sticky::assign(topics, members),
            Assignor::CooperativeSticky => sticky::assign_cooperatively(topics, members),
        }
    }
}

/// Everybody, reading nothing yet.
fn empty_plan(members: &[Subscriber]) -> Plan {
    members.iter().map(|m| (m.id.clone(), Vec::new())).collect()
}

/// Static members come first, in the order of their instance ids, so that a restart moves nothing (KIP-345).
fn by_instance_then_id(a: &Subscriber, b: &Subscriber) -> Ordering {
    match (&a.instance_id, &b.instance_id) {
        (Some(one), Some(other)) => one.cmp(other),
        (Some(_), None) => Ordering::Less,
        (None, Some(_)) => Ordering::Greater,
        (None, None) => a.id.cmp(&b.id),
    }
}

/// The partitions of a topic.
fn partitions(topic: &str, count: i32) -> impl Iterator<Item = Place> + '_ {
    (0..count).map(move |index| (topic.to_owned(), PartitionIndex(index)))
}

#[cfg(test)]
mod tests;
