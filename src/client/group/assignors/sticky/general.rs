//! Members read different topics: partitions are given to whoever has least, then moved while that evens things out.

use std::collections::{BTreeMap, BTreeSet};

use super::super::{Plan, Subscriber, partitions};
use super::movements::Movements;
use super::{Claims, NO_GENERATION};
use crate::client::consumer::Place;

/// Moves after which the plan is taken as it is, so that computing it ends in time whatever the group.
const MAX_MOVES: usize = 10_000;

pub(super) fn assign(
    topics: &BTreeMap<String, i32>,
    members: &[Subscriber],
    claims: Claims,
) -> Plan {
    let mut general = General::new(topics, members, claims);
    let rest = general.unowned();
    general.balance(rest);
    general.plan
}

struct General {
    topics: BTreeMap<String, i32>,
    plan: Plan,
    owners: BTreeMap<Place, String>,
    /// Members by how much they have.
    sorted: BTreeSet<(usize, String)>,
    topics_of: BTreeMap<String, BTreeSet<String>>,
    readers_of: BTreeMap<String, Vec<String>>,
    /// All partitions; those of topics with few readers first.
    all: Vec<Place>,
    /// Owners in the generation before the last.
    former: BTreeMap<Place, (String, i32)>,
    movements: Movements,
    moves: usize,
    /// Somebody owns what it does not subscribe to.
    revocation: bool,
}

impl General {
    fn new(topics: &BTreeMap<String, i32>, members: &[Subscriber], claims: Claims) -> General {
        let mut topics_of = BTreeMap::new();
        let mut readers_of: BTreeMap<String, Vec<String>> = topics
            .keys()
            .map(|topic| (topic.clone(), Vec::new()))
            .collect();
        for member in members {
            let known = member
                .topics
                .iter()
                .filter(|topic| topics.contains_key(*topic));
            let reads: BTreeSet<String> = known.cloned().collect();
            for topic in &reads {
                readers_of
                    .entry(topic.clone())
                    .or_default()
                    .push(member.id.clone());
            }
            topics_of.insert(member.id.clone(), reads);
        }
        let mut order: Vec<&String> = topics.keys().collect();
        order.sort_by_key(|topic| (readers_of[*topic].len(), *topic));
        let all = order
            .iter()
            .flat_map(|topic| partitions(topic, topics[*topic]));
        let mut general = General {
            all: all.collect(),
            topics: topics.clone(),
            plan: claims.owned,
            owners: BTreeMap::new(),
            sorted: BTreeSet::new(),
            topics_of,
            readers_of,
            former: former_owners(members),
            movements: Movements::default(),
            moves: 0,
            revocation: false,
        };
        general.keep();
        general
    }

    /// Members keep what they still subscribe to.
    fn keep(&mut self) {
        for (id, places) in &mut self.plan {
            let reads = &self.topics_of[id];
            let before = places.len();
            places.retain(|place| reads.contains(&place.0));
            self.revocation |= places.len() < before;
            self.owners
                .extend(places.iter().map(|place| (place.clone(), id.clone())));
            self.sorted.insert((places.len(), id.clone()));
        }
    }

    fn unowned(&self) -> Vec<Place> {
        let free = |place: &&Place| !self.owners.contains_key(*place);
        self.all.iter().filter(free).cloned().collect()
    }

    fn size(&self, id: &str) -> usize {
        self.plan.get(id).map_or(0, Vec::len)
    }

    /// Whoever has least among those who read the topic.
    fn least_reader(&self, topic: &str) -> Option<String> {
        let reads = |id: &str| self.topics_of[id].contains(topic);
        let (_, id) = self.sorted.iter().find(|(_, id)| reads(id))?;
        Some(id.clone())
    }

    fn give(&mut self, place: Place, id: String) {
        let places = self.plan.entry(id.clone()).or_default();
        self.sorted.remove(&(places.len(), id.clone()));
        places.push(place.clone());
        self.sorted.insert((places.len(), id.clone()));
        self.owners.insert(place, id);
    }

    fn balance(&mut self, mut rest: Vec<Place>) {
        let fresh = self.sorted.last().is_none_or(|(size, _)| *size == 0);
        for place in &rest {
            if let Some(id) = self.least_reader(&place.0) {
                self.give(place.clone(), id);
            }
        }
        // Only what two members could read can move, and only between members that could read more or less.
        let movable: BTreeSet<String> = self
            .readers_of
            .iter()
            .filter(|(_, readers)| readers.len() >= 2)
            .map(|(topic, _)| topic.clone())
            .collect();
        rest.retain(|place| movable.contains(&place.0));
        let mut all = std::mem::take(&mut self.all);
        all.retain(|place| movable.contains(&place.0));
        let fixed = self.set_fixed_aside(&movable);
        let before = (self.plan.clone(), self.score());
        if !self.revocation {
            self.even_out(&rest);
        }
        let moved = self.even_out(&all);
        if !fresh && moved && self.score() >= before.1 {
            self.plan = before.0;
        }
        self.plan.extend(fixed);
    }

    /// Takes out the members that have all they can have, of which nothing can move.
    fn set_fixed_aside(&mut self, movable: &BTreeSet<String>) -> Plan {
        let is_fixed = |id: &String| {
            let reads = &self.topics_of[id];
            let could: usize = reads
                .iter()
                .map(|t| usize::try_from(self.topics[t]).unwrap_or(0))
                .sum();
            let moves = |place: &Place| movable.contains(&place.0);
            self.size(id) >= could && !self.plan[id].iter().any(moves)
        };
        let ids: Vec<String> = self
            .plan
            .keys()
            .filter(|id| is_fixed(id))
            .cloned()
            .collect();
        let mut fixed = Plan::new();
        for id in ids {
            let places = self.plan.remove(&id).unwrap_or_default();
            self.sorted.remove(&(places.len(), id.clone()));
            fixed.insert(id, places);
        }
        fixed
    }

    /// How uneven the plan is: the sum of all differences between two members.
    fn score(&self) -> usize {
        let sizes = self.sorted.iter().map(|(size, _)| *size);
        let (mut score, mut sum) = (0, 0);
        for (at, size) in sizes.enumerate() {
            score += size * at - sum;
            sum += size;
        }
        score
    }

    /// Moves partitions of the list while that helps; whether any moved.
    fn even_out(&mut self, places: &[Place]) -> bool {
        let (mut any, mut balanced) = (false, self.is_balanced());
        loop {
            let mut moved = false;
            for place in places {
                if balanced || self.moves >= MAX_MOVES {
                    return any;
                }
                let Some(to) = self.better_owner(place) else {
                    continue;
                };
                self.shift(place, &to);
                (any, moved) = (true, true);
                balanced = self.is_balanced();
            }
            if !moved {
                return any;
            }
        }
    }

    /// Who should rather have the partition, if anybody.
    fn better_owner(&self, place: &Place) -> Option<String> {
        let size = self.size(self.owners.get(place)?);
        if let Some((former, _)) = self.former.get(place)
            && self.plan.contains_key(former)
            && self.topics_of[former].contains(&place.0)
            && size > self.size(former) + 1
        {
            return Some(former.clone());
        }
        let poorer = |id: &String| size > self.size(id) + 1;
        let any = self.readers_of[&place.0].iter().any(poorer);
        self.least_reader(&place.0).filter(|_| any)
    }

    fn shift(&mut self, place: &Place, to: &str) {
        let from = self.owners[place].clone();
        let place = self.movements.instead_of(place, &from, to);
        let from = self.owners[&place].clone();
        if from == to {
            self.moves = MAX_MOVES;
            return;
        }
        self.moves += 1;
        self.movements.add(&place, &from, to);
        if let Some(places) = self.plan.get_mut(&from) {
            self.sorted.remove(&(places.len(), from.clone()));
            places.retain(|other| *other != place);
            self.sorted.insert((places.len(), from));
        }
        self.give(place, to.to_owned());
    }

    /// Whether nobody could take a partition of somebody who has two more.
    fn is_balanced(&self) -> bool {
        let (Some(least), Some(most)) = (self.sorted.first(), self.sorted.last()) else {
            return true;
        };
        if least.0 + 1 >= most.0 {
            return true;
        }
        let mut most_of: BTreeMap<&str, usize> = BTreeMap::new();
        for (id, places) in &self.plan {
            for (topic, _) in places {
                let most = most_of.entry(topic.as_str()).or_default();
                *most = (*most).max(self.size(id));
            }
        }
        let could_have = |(size, id): &(usize, String)| {
            let richer = |t: &String| most_of.get(t.as_str()).is_some_and(|most| size + 1 < *most);
            self.topics_of[id].iter().any(richer)
        };
        !self.sorted.iter().any(could_have)
    }
}

/// Who owned what according to members that are not in the last generation.
fn former_owners(members: &[Subscriber]) -> BTreeMap<Place, (String, i32)> {
    let of = |member: &Subscriber| member.generation.unwrap_or(NO_GENERATION);
    let last = members.iter().map(of).max().unwrap_or(NO_GENERATION);
    let mut former: BTreeMap<Place, (String, i32)> = BTreeMap::new();
    for member in members.iter().filter(|member| of(member) < last) {
        for place in &member.owned {
            if former
                .get(place)
                .is_none_or(|(_, generation)| of(member) > *generation)
            {
                former.insert(place.clone(), (member.id.clone(), of(member)));
            }
        }
    }
    former
}
