//! What groups were told, as far as it binds what they are told later.
//!
//! C2: whoever is given a partition begins to read it at the last offset that was acknowledged as committed before,
//! or behind it: commits of one owner grow, and the next owner begins where they ended. A commit that lost its
//! connection may come into force after a later one, as with any Kafka: the smaller one counts then. C3: in one generation a
//! partition has one owner.

use std::collections::BTreeMap;

use super::history::{History, Place};
use crate::ids::{Offset, PartitionIndex};

/// A group of the schedule.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Group(pub u32);

/// Readers of groups have numbers from here on, which no other reader has.
const FIRST_READER: u32 = 1_000_000_000;

/// A generation of a group, in an era: after a power loss its number may be used again.
pub type Generation = (Group, i32, u32);

/// What groups were told.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct GroupHistory {
    /// The last offset acknowledged in an era.
    accepted: BTreeMap<(Group, Place, u32), Offset>,
    /// The smallest offset of a generation whose commit was not answered: it may come into force until that is over.
    doubtful: BTreeMap<(Group, Place, u32), (i32, Offset)>,
    owners: BTreeMap<Generation, BTreeMap<(String, PartitionIndex), String>>,
    readers: u32,
    /// `__consumer_offsets` may have lost records to an election that was allowed to.
    pub unclean: bool,
}

impl GroupHistory {
    /// A commit was acknowledged in a generation.
    pub fn accepted(&mut self, at: (Group, Place, u32), generation: i32, offset: Offset) {
        let floor = match self.doubtful.get(&at) {
            Some((of, least)) if *of == generation => offset.min(*least),
            _ => {
                self.doubtful.remove(&at);
                offset
            }
        };
        self.accepted.insert(at, floor);
    }

    /// A commit was not answered and its connection is gone: the broker may take it later than those that follow.
    pub fn doubt(&mut self, at: (Group, Place, u32), generation: i32, offset: Offset) {
        let doubtful = self.doubtful.entry(at).or_insert((generation, offset));
        let least = match doubtful.0 == generation {
            true => offset.min(doubtful.1),
            false => offset,
        };
        *doubtful = (generation, least);
        if let Some(accepted) = self.accepted.get_mut(&at) {
            *accepted = least.min(*accepted);
        }
    }

    /// The owner of a partition found that its log does not hold what was committed.
    pub fn forget(&mut self, group: Group, place: Place) {
        let other = |of: &Group, at: &Place| (*of, *at) != (group, place);
        self.accepted.retain(|(of, at, _), _| other(of, at));
        self.doubtful.retain(|(of, at, _), _| other(of, at));
    }

    /// What the group has certainly committed in this era.
    pub fn floor(&self, group: Group, place: Place, era: u32) -> Option<Offset> {
        if self.unclean {
            return None;
        }
        self.accepted.get(&(group, place, era)).copied()
    }

    /// A member has a partition: who else has it in the same generation, if anybody.
    pub fn owns(
        &mut self,
        generation: Generation,
        key: &(String, PartitionIndex),
        member: &str,
    ) -> Option<String> {
        let owners = self.owners.entry(generation).or_default();
        match owners.get(key) {
            Some(other) if other != member => (!self.unclean).then(|| other.clone()),
            Some(_) => None,
            None => {
                owners.insert(key.clone(), member.to_owned());
                None
            }
        }
    }

    /// A number no reader had.
    pub fn next_reader(&mut self) -> u32 {
        self.readers += 1;
        FIRST_READER + self.readers
    }
}

impl History {
    /// Whether nothing is promised of a partition's offsets any more.
    pub fn forgives(&self, place: Place) -> bool {
        self.gone.contains(&place) || self.unclean.contains(&place) || self.groups.unclean
    }
}
