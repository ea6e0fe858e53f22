//! A group of the new protocol (KIP-848): members that the coordinator tells what to read.
//!
//! All of it that matters is written: whoever reads the records goes on where the last coordinator stood, in the
//! middle of a rebalance, too. [`ConsumerGroup::apply`] is the only way it changes; only when members were last heard
//! is kept beside that and counted anew by the next coordinator.

use std::collections::{BTreeMap, BTreeSet};

use super::consumer_record::{About, ConsumerPart, Current, GroupEpoch, MemberState, Resolved};
use super::partitions::Partitions;
use crate::ids::{Time, TopicId};

/// The member epoch of a static member that is away (KIP-345).
pub(super) const AWAY: i32 = -2;

/// Where a group of the new protocol is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ConsumerState {
    /// Nobody is in it.
    #[default]
    Empty,
    /// Members, subscriptions or topics changed; who is to read what is not decided yet.
    Assigning,
    /// Not every member has come to what it is to read.
    Reconciling,
    Stable,
}

impl ConsumerState {
    /// Kafka's name for it.
    pub fn name(self) -> &'static str {
        match self {
            ConsumerState::Empty => "Empty",
            ConsumerState::Assigning => "Assigning",
            ConsumerState::Reconciling => "Reconciling",
            ConsumerState::Stable => "Stable",
        }
    }
}

/// One member of such a group.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ConsumerMember {
    pub about: About,
    pub current: Current,
}

impl ConsumerMember {
    /// Whether it speaks the classic protocol.
    pub fn is_classic(&self) -> bool {
        self.about.classic.is_some()
    }
}

/// A group of the new protocol.
#[derive(Debug, Default)]
pub struct ConsumerGroup {
    pub(super) kept: Kept,
    pub(super) clocks: BTreeMap<String, Clock>,
    /// The state of topics its epoch was last compared with; a number of [`super::Shard`]'s.
    pub(super) topics_seen: u64,
    /// The state people were last told, since when, and why its epoch last grew.
    pub(super) told: ConsumerState,
    pub(super) since_ms: i64,
    pub(super) why: String,
}

/// What is written of a group, and what follows from that.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Kept {
    pub epoch: i32,
    pub topics_hash: i64,
    /// The group epoch the targets were made for.
    pub target_epoch: i32,
    pub targets: BTreeMap<String, Partitions>,
    pub members: BTreeMap<String, ConsumerMember>,
    pub patterns: BTreeMap<String, Resolved>,
    /// The member that owns a partition, or has not given it up yet.
    pub owners: BTreeMap<(TopicId, i32), String>,
}

/// What is waited for from a member.
#[derive(Debug, Default)]
pub(super) struct Clock {
    /// Its session is over then, unless it is heard before.
    pub session_until: Time,
    /// It must have done what is waited for by then: given up its partitions; one that speaks the classic protocol
    /// must have joined again, or synced.
    pub step_by: Option<Time>,
}

impl ConsumerGroup {
    /// Where it is.
    pub fn state(&self) -> ConsumerState {
        let kept = &self.kept;
        let arrived = |member: &ConsumerMember| {
            member.current.state == MemberState::Stable && member.current.epoch == kept.target_epoch
        };
        match () {
            () if kept.members.is_empty() => ConsumerState::Empty,
            () if kept.epoch > kept.target_epoch => ConsumerState::Assigning,
            () if kept.members.values().all(arrived) => ConsumerState::Stable,
            () => ConsumerState::Reconciling,
        }
    }

    /// How often members, subscriptions or topics have changed.
    pub fn epoch(&self) -> i32 {
        self.kept.epoch
    }

    /// The group epoch who reads what was decided for.
    pub fn target_epoch(&self) -> i32 {
        self.kept.target_epoch
    }

    /// Its members, by member id.
    pub fn members(&self) -> &BTreeMap<String, ConsumerMember> {
        &self.kept.members
    }

    /// What a member is to own.
    pub fn target(&self, id: &str) -> Option<&Partitions> {
        self.kept.targets.get(id)
    }

    /// Since when it is in its state, milliseconds since the Unix epoch.
    pub fn since_ms(&self) -> i64 {
        self.since_ms
    }

    /// Why its epoch last grew.
    pub fn why(&self) -> &str {
        &self.why
    }

    /// The names of the topics a member subscribes to, by name and by regular expression.
    pub fn subscription<'a>(&'a self, member: &'a ConsumerMember) -> BTreeSet<&'a str> {
        let pattern = member.about.pattern.as_ref();
        let resolved = pattern.and_then(|pattern| self.kept.patterns.get(pattern));
        let matched = resolved.into_iter().flat_map(|resolved| &resolved.topics);
        let named = member.about.topics.iter();
        named.chain(matched).map(String::as_str).collect()
    }

    /// The names of all topics its members subscribe to.
    pub(super) fn subscribed(&self) -> BTreeSet<&str> {
        let members = self.kept.members.values();
        members
            .flat_map(|member| self.subscription(member))
            .collect()
    }

    /// The member with this `group.instance.id`.
    pub(super) fn by_instance(&self, instance: &str) -> Option<(&String, &ConsumerMember)> {
        let mut members = self.kept.members.iter();
        members.find(|(_, m)| m.about.instance.as_deref() == Some(instance))
    }

    /// Takes over what was written of it.
    pub(super) fn apply(&mut self, part: &ConsumerPart) {
        let kept = &mut self.kept;
        match part {
            ConsumerPart::Group(Some(GroupEpoch { epoch, topics_hash })) => {
                kept.epoch = *epoch;
                kept.topics_hash = *topics_hash;
            }
            // Whoever keeps the group forgets it.
            ConsumerPart::Group(None) => {}
            ConsumerPart::Member { id, about } => match about {
                Some(about) => kept.member(id).about.clone_from(about),
                None => {
                    kept.put_current(id, Current::default());
                    kept.members.remove(id);
                    self.clocks.remove(id);
                }
            },
            ConsumerPart::TargetEpoch(epoch) => kept.target_epoch = epoch.unwrap_or(0),
            ConsumerPart::Target { id, partitions } => match partitions {
                Some(partitions) => {
                    kept.targets.insert(id.clone(), partitions.clone());
                }
                None => {
                    kept.targets.remove(id);
                }
            },
            ConsumerPart::Current { id, current } => match current {
                Some(current) => kept.put_current(id, current.clone()),
                None if kept.members.contains_key(id) => kept.put_current(id, Current::default()),
                None => {}
            },
            ConsumerPart::Pattern { pattern, resolved } => match resolved {
                Some(resolved) => {
                    kept.patterns.insert(pattern.clone(), resolved.clone());
                }
                None => {
                    kept.patterns.remove(pattern);
                }
            },
        }
    }

    /// What must hold at any moment.
    pub(super) fn check(&self) {
        let kept = &self.kept;
        let mut owners = BTreeMap::new();
        for (id, member) in &kept.members {
            let current = &member.current;
            for partition in current.assigned.iter().chain(current.revoking.iter()) {
                let other = owners.insert(partition, id.clone());
                assert_eq!(other, None, "C4: {partition:?} is {id}'s, too");
            }
            assert!(
                current.epoch <= kept.target_epoch,
                "C4: {id} is in epoch {} of {}",
                current.epoch,
                kept.target_epoch
            );
            let revokes = current.state == MemberState::UnrevokedPartitions;
            assert_eq!(revokes, !current.revoking.is_empty(), "{id}: {current:?}");
        }
        assert_eq!(owners, kept.owners, "owners are those members have");
        assert!(kept.target_epoch <= kept.epoch, "targets are of an epoch");
        let mut targets = BTreeSet::new();
        for (id, target) in &kept.targets {
            assert!(kept.members.contains_key(id), "{id} is a member");
            for partition in target.iter() {
                assert!(
                    targets.insert(partition),
                    "C3: {partition:?} is {id}'s, too"
                );
            }
        }
        let instances = kept
            .members
            .values()
            .filter_map(|m| m.about.instance.as_ref());
        let mut seen = BTreeSet::new();
        assert!(
            instances.into_iter().all(|i| seen.insert(i)),
            "an instance is one member"
        );
    }
}

impl Kept {
    fn member(&mut self, id: &str) -> &mut ConsumerMember {
        self.members.entry(id.to_owned()).or_default()
    }

    fn put_current(&mut self, id: &str, current: Current) {
        let before = std::mem::take(&mut self.member(id).current);
        for partition in before.assigned.iter().chain(before.revoking.iter()) {
            if self.owners.get(&partition).is_some_and(|owner| owner == id) {
                self.owners.remove(&partition);
            }
        }
        for partition in current.assigned.iter().chain(current.revoking.iter()) {
            self.owners.insert(partition, id.to_owned());
        }
        self.member(id).current = current;
    }
}
