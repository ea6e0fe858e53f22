//! What clients did and were told, as plain values: the history that is checked.
//!
//! Moments are numbers that only grow, so that "told before asked" can be decided. Eras count the times
//! something promised less for what came before: a power loss without fsync.

use std::collections::BTreeSet;

use super::group_history::GroupHistory;
use crate::ids::{Offset, PartitionIndex};

/// A partition, as an index into [`History::places`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place(pub u16);

/// Everything clients did with records.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct History {
    /// Topic and partition of each place.
    pub places: Vec<(String, PartitionIndex)>,
    pub sent: Vec<Sent>,
    pub polls: Vec<Poll>,
    /// The era now.
    pub era: u32,
    /// Places whose topic was deleted, or was to be.
    pub gone: BTreeSet<Place>,
    /// Places of which an election may have lost records, because it was allowed to.
    pub unclean: BTreeSet<Place>,
    /// What consumer groups were told.
    pub groups: GroupHistory,
    moment: u64,
}

/// One record handed to a producer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sent {
    /// Who sent it; another number after a restart.
    pub writer: u32,
    pub place: Place,
    /// Names the record; no two are the same.
    pub value: u64,
    /// Asked with acks=all, so that the answer is a promise of the whole cluster.
    pub all: bool,
    pub idempotent: bool,
    pub asked: u64,
    pub ended: Option<(u64, u32, Ended)>,
}

/// What a producer said became of a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ended {
    /// It is in the log, at this offset if that was told.
    Acked(Option<Offset>),
    /// It is not and never will be.
    Refused,
    /// It may be or not.
    Unknown,
}

/// One answer a consumer took.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Poll {
    /// Who read; another number after a restart or a seek.
    pub reader: u32,
    pub place: Place,
    pub from: Offset,
    pub next: Offset,
    pub log_start: Offset,
    /// Offsets and values.
    pub records: Vec<(Offset, u64)>,
    pub era: u32,
    /// Part of reading everything after all was over.
    pub last: bool,
}

impl History {
    /// A new moment, later than all before.
    pub fn tick(&mut self) -> u64 {
        self.moment += 1;
        self.moment
    }

    /// Notes a record handed over; its index in [`History::sent`].
    pub fn send(&mut self, mut sent: Sent) -> usize {
        sent.asked = self.tick();
        self.sent.push(sent);
        self.sent.len() - 1
    }

    /// Notes what became of it.
    pub fn end(&mut self, index: usize, ended: Ended) {
        let moment = self.tick();
        let sent = &mut self.sent[index];
        assert!(sent.ended.is_none(), "a record ends once: {sent:?}");
        sent.ended = Some((moment, self.era, ended));
    }

    /// `orders-3`.
    pub fn name(&self, place: Place) -> String {
        match self.places.get(usize::from(place.0)) {
            Some((topic, partition)) => format!("{topic}-{partition}"),
            None => format!("place {}", place.0),
        }
    }
}
