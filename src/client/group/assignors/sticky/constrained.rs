//! All members read the same topics: everybody keeps what it has up to its share, the rest goes round.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use super::super::{Plan, partitions};
use super::Claims;
use crate::client::consumer::Place;

pub(super) fn assign(
    topics: &BTreeMap<String, i32>,
    claims: Claims,
) -> (Plan, BTreeMap<Place, String>) {
    let total: usize = topics
        .values()
        .map(|n| usize::try_from(*n).unwrap_or(0))
        .sum();
    let members = claims.owned.len();
    let mut sharing = Sharing {
        least: total / members,
        most: total.div_ceil(members),
        larger_left: total % members,
        plan: Plan::new(),
        below: Vec::new(),
        at_least: VecDeque::new(),
        given_up: BTreeMap::new(),
        disputed: claims.disputed,
        transferring: BTreeMap::new(),
    };
    for (id, owned) in claims.owned {
        sharing.keep(id, owned);
    }
    let kept: BTreeSet<Place> = sharing.plan.values().flatten().cloned().collect();
    let all = topics
        .iter()
        .flat_map(|(topic, count)| partitions(topic, *count));
    let rest: Vec<Place> = all.filter(|place| !kept.contains(place)).collect();
    sharing.share_out(rest);
    (sharing.plan, sharing.transferring)
}

struct Sharing {
    /// Everybody gets at least so many …
    least: usize,
    /// … and at most so many.
    most: usize,
    /// How many members may still get more than the least.
    larger_left: usize,
    plan: Plan,
    /// Members that have less than the least, in order.
    below: Vec<String>,
    /// Members that have the least and may get one more.
    at_least: VecDeque<String>,
    given_up: BTreeMap<Place, String>,
    disputed: BTreeSet<Place>,
    transferring: BTreeMap<Place, String>,
}

impl Sharing {
    /// A member keeps what it owns, up to its share.
    fn keep(&mut self, id: String, mut owned: Vec<Place>) {
        owned.sort_by(|a, b| (a.1, &a.0).cmp(&(b.1, &b.0)));
        owned.retain(|place| !self.disputed.contains(place));
        if owned.len() < self.least {
            self.below.push(id.clone());
        } else {
            let larger = owned.len() >= self.most && self.larger_left > 0;
            let share = if larger { self.most } else { self.least };
            for place in owned.split_off(share) {
                self.given_up.insert(place, id.clone());
            }
            if larger {
                self.larger_left -= 1;
                if self.larger_left == 0 {
                    self.at_least.clear();
                }
            } else if self.larger_left > 0 {
                self.at_least.push_back(id.clone());
            }
        }
        self.plan.insert(id, owned);
    }

    /// What nobody keeps goes round those below the least, then one each to those that may have more.
    fn share_out(&mut self, rest: Vec<Place>) {
        let mut turn = 0;
        for place in rest {
            if turn >= self.below.len() {
                turn = 0;
            }
            let id = match self.below.get(turn) {
                Some(id) => id.clone(),
                None => match self.at_least.pop_front() {
                    Some(id) => id,
                    None => return,
                },
            };
            let count = self.give(place, &id);
            if self.below.get(turn) == Some(&id) {
                if count == self.least {
                    self.below.remove(turn);
                    self.at_least.push_back(id);
                } else {
                    turn += 1;
                }
            }
        }
    }

    /// How many the member has now.
    fn give(&mut self, place: Place, id: &str) -> usize {
        let others = self.given_up.get(&place).is_some_and(|from| from != id);
        if others || self.disputed.contains(&place) {
            self.transferring.insert(place.clone(), id.to_owned());
        }
        let places = self.plan.entry(id.to_owned()).or_default();
        places.push(place);
        places.len()
    }
}
