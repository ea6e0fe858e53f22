//! Sets of partitions, by topic id.

use std::collections::{BTreeMap, BTreeSet};

use crate::ids::TopicId;

/// Partitions by topic; no topic without partitions, so equal sets are equal.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Partitions(BTreeMap<TopicId, BTreeSet<i32>>);

impl Partitions {
    /// Each partition, by topic and index.
    pub fn iter(&self) -> impl Iterator<Item = (TopicId, i32)> {
        self.0
            .iter()
            .flat_map(|(topic, indexes)| indexes.iter().map(move |index| (*topic, *index)))
    }

    /// The partitions of each topic.
    pub fn topics(&self) -> impl Iterator<Item = (TopicId, &BTreeSet<i32>)> {
        self.0.iter().map(|(topic, indexes)| (*topic, indexes))
    }

    /// Those of one topic.
    pub fn of(&self, topic: TopicId) -> Option<&BTreeSet<i32>> {
        self.0.get(&topic)
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.0.values().map(BTreeSet::len).sum()
    }

    pub fn contains(&self, topic: TopicId, index: i32) -> bool {
        self.of(topic)
            .is_some_and(|indexes| indexes.contains(&index))
    }

    pub fn insert(&mut self, topic: TopicId, index: i32) {
        self.0.entry(topic).or_default().insert(index);
    }

    pub fn remove(&mut self, topic: TopicId, index: i32) {
        if let Some(indexes) = self.0.get_mut(&topic) {
            indexes.remove(&index);
            if indexes.is_empty() {
                self.0.remove(&topic);
            }
        }
    }

    /// Those that are in the other set, too.
    #[must_use]
    pub fn in_both(&self, other: &Partitions) -> Partitions {
        let both = self
            .iter()
            .filter(|(topic, index)| other.contains(*topic, *index));
        both.collect()
    }

    /// Those that are not in the other set.
    #[must_use]
    pub fn without(&self, other: &Partitions) -> Partitions {
        let rest = self
            .iter()
            .filter(|(topic, index)| !other.contains(*topic, *index));
        rest.collect()
    }

    /// Whether a partition is in both sets.
    pub fn overlaps(&self, other: &Partitions) -> bool {
        self.iter()
            .any(|(topic, index)| other.contains(topic, index))
    }

    /// Whether the other set has all of them.
    pub fn is_within(&self, other: &Partitions) -> bool {
        self.iter()
            .all(|(topic, index)| other.contains(topic, index))
    }
}

impl FromIterator<(TopicId, i32)> for Partitions {
    fn from_iter<I: IntoIterator<Item = (TopicId, i32)>>(partitions: I) -> Partitions {
        let mut all = Partitions::default();
        for (topic, index) in partitions {
            all.insert(topic, index);
        }
        all
    }
}
