//! `sticky`: as even as it can be, and moving as little as it can (Kafka's `AbstractStickyAssignor`).
//!
//! Where all members read the same topics the answer is computed in one pass ([`constrained`]); else partitions are
//! moved one by one while that evens things out ([`general`]).

mod constrained;
mod general;
mod movements;

use std::collections::{BTreeMap, BTreeSet};

use super::{Plan, Subscriber};
use crate::client::consumer::Place;

/// The generation of a member that names none.
const NO_GENERATION: i32 = -1;

pub(super) fn assign(topics: &BTreeMap<String, i32>, members: &[Subscriber]) -> Plan {
    assign_and_transfer(topics, members).0
}

/// `cooperative-sticky` (KIP-429): what must be given up by one member first is given to nobody yet.
pub(super) fn assign_cooperatively(topics: &BTreeMap<String, i32>, members: &[Subscriber]) -> Plan {
    let (mut plan, transferring) = assign_and_transfer(topics, members);
    for (place, to) in transferring {
        if let Some(places) = plan.get_mut(&to) {
            places.retain(|other| *other != place);
        }
    }
    plan
}

/// The plan, and which partitions go from one member to another in it.
fn assign_and_transfer(
    topics: &BTreeMap<String, i32>,
    members: &[Subscriber],
) -> (Plan, BTreeMap<Place, String>) {
    let Some(first) = members.first() else {
        return (Plan::new(), BTreeMap::new());
    };
    let of = |member: &Subscriber| member.topics.iter().cloned().collect::<BTreeSet<_>>();
    let reads = of(first);
    let claims = Claims::of(topics, members);
    if members.iter().all(|member| of(member) == reads) {
        return constrained::assign(topics, claims);
    }
    let plan = general::assign(topics, members, claims);
    let transferring = transferring(&plan, members);
    (plan, transferring)
}

/// Partitions that are new to one member and not any more another's.
fn transferring(plan: &Plan, members: &[Subscriber]) -> BTreeMap<Place, String> {
    let mut added = BTreeMap::new();
    let mut revoked = BTreeSet::new();
    for member in members {
        let owned: BTreeSet<&Place> = member.owned.iter().collect();
        let given: BTreeSet<&Place> = plan.get(&member.id).into_iter().flatten().collect();
        let new = given.difference(&owned);
        added.extend(new.map(|place| ((*place).clone(), member.id.clone())));
        revoked.extend(owned.difference(&given).map(|place| (*place).clone()));
    }
    added.retain(|place, _| revoked.contains(place));
    added
}

/// What members say they own.
struct Claims {
    owned: BTreeMap<String, Vec<Place>>,
    /// Claimed by two members of one generation, so by neither.
    disputed: BTreeSet<Place>,
}

impl Claims {
    /// Of two members that claim a partition the one in the later generation has it.
    fn of(topics: &BTreeMap<String, i32>, members: &[Subscriber]) -> Claims {
        let mut owned: BTreeMap<String, Vec<Place>> = BTreeMap::new();
        let mut disputed = BTreeSet::new();
        let mut owners: BTreeMap<Place, (String, i32)> = BTreeMap::new();
        let mut sorted: Vec<&Subscriber> = members.iter().collect();
        sorted.sort_by(|a, b| a.id.cmp(&b.id));
        for member in sorted {
            let generation = member.generation.unwrap_or(NO_GENERATION);
            owned.entry(member.id.clone()).or_default();
            for place in &member.owned {
                let known = topics
                    .get(&place.0)
                    .is_some_and(|n| (0..*n).contains(&place.1.0));
                let former = owners.get(place).cloned();
                if !known || former.as_ref().is_some_and(|(id, _)| *id == member.id) {
                    continue;
                }
                if let Some((id, theirs)) = former {
                    if generation < theirs {
                        continue;
                    }
                    owned.entry(id).or_default().retain(|other| other != place);
                    if generation == theirs {
                        disputed.insert(place.clone());
                    }
                }
                if !disputed.contains(place) {
                    owned
                        .entry(member.id.clone())
                        .or_default()
                        .push(place.clone());
                }
                owners.insert(place.clone(), (member.id.clone(), generation));
            }
        }
        Claims { owned, disputed }
    }
}
