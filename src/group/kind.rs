//! One group: what it is, and what it has committed.

use super::classic::ClassicGroup;
use super::consumer::ConsumerGroup;
use super::consumer_record::ConsumerPart;
use super::offsets::Offsets;
use super::record::ClassicRecord;

/// One group of a shard.
#[derive(Debug, Default)]
pub struct Group {
    pub(super) kind: GroupKind,
    pub(super) offsets: Offsets,
    pub(super) changed: u64,
}

/// How a group's members agree who reads what.
#[derive(Debug)]
pub enum GroupKind {
    /// Among themselves, through JoinGroup and SyncGroup; also what only commits offsets.
    Classic(ClassicGroup),
    /// Not at all: the coordinator tells them, through ConsumerGroupHeartbeat (KIP-848).
    Consumer(ConsumerGroup),
}

impl Default for GroupKind {
    fn default() -> GroupKind {
        GroupKind::Classic(ClassicGroup::default())
    }
}

impl Group {
    /// How its members agree.
    pub fn kind(&self) -> &GroupKind {
        &self.kind
    }

    /// A number that is another after every change of it.
    pub fn changed(&self) -> u64 {
        self.changed
    }

    /// What it has committed.
    pub fn offsets(&self) -> &Offsets {
        &self.offsets
    }

    /// Whether nothing is known of it any more.
    pub(super) fn is_bare(&self) -> bool {
        match &self.kind {
            GroupKind::Classic(classic) => self.offsets.is_empty() && classic.is_bare(),
            GroupKind::Consumer(_) => false,
        }
    }

    /// Whether nobody is in it or about to join.
    pub(super) fn is_empty(&self) -> bool {
        match &self.kind {
            GroupKind::Classic(classic) => classic.members.is_empty() && classic.pending.is_empty(),
            GroupKind::Consumer(consumer) => consumer.members().is_empty(),
        }
    }

    /// Takes over what was written of a classic group, and is one from then on.
    pub(super) fn apply_classic(&mut self, state: Option<&ClassicRecord>) {
        match &mut self.kind {
            GroupKind::Classic(classic) => classic.apply(state),
            // That the classic group it was is gone was known.
            GroupKind::Consumer(_) if state.is_none() => {}
            GroupKind::Consumer(_) => {
                let mut classic = ClassicGroup::default();
                classic.apply(state);
                self.kind = GroupKind::Classic(classic);
            }
        }
    }

    /// Takes over what was written of a group of the new protocol, and is one from then on.
    pub(super) fn apply_consumer(&mut self, part: &ConsumerPart) {
        match &mut self.kind {
            GroupKind::Consumer(_) if *part == ConsumerPart::Group(None) => {
                self.kind = GroupKind::default();
            }
            GroupKind::Consumer(consumer) => consumer.apply(part),
            // What is left of one that is gone. Compaction may put any part of a group in front of the others.
            GroupKind::Classic(_) if part.is_gone() => {}
            GroupKind::Classic(_) => {
                let mut consumer = ConsumerGroup::default();
                consumer.apply(part);
                self.kind = GroupKind::Consumer(consumer);
            }
        }
    }

    pub(super) fn check(&self) {
        match &self.kind {
            GroupKind::Classic(classic) => classic.check(),
            GroupKind::Consumer(consumer) => consumer.check(),
        }
    }
}
