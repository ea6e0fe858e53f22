//! Committed offsets: what a group has read, as its members said, and when that is forgotten.

use std::collections::{BTreeMap, BTreeSet};

use super::classic::{ClassicGroup, ClassicState};
use super::consumer::ConsumerGroup;
use super::kind::{Group, GroupKind};
use super::record::Record;
use super::shard::Shard;
use super::turn::{Caller, Reply, Turn};
use super::{MAX_TEXT_BYTES, Refusal};
use crate::ids::{LeaderEpoch, Offset, Time, TopicId};
use crate::plants::{Plant, planted};

/// The next offset a group wants to read of a partition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Committed {
    pub offset: Offset,
    /// Of the last record read; −1 if the member did not say.
    pub leader_epoch: LeaderEpoch,
    /// Whatever the member wanted to keep with it.
    pub metadata: String,
    /// When it was committed, milliseconds since the Unix epoch.
    pub at_ms: i64,
    /// All zeros if the member named the topic only.
    pub topic_id: TopicId,
}

/// A group's offsets, by topic and partition.
#[derive(Debug, Default)]
pub struct Offsets(BTreeMap<String, BTreeMap<i32, Committed>>);

impl Offsets {
    /// What is committed for one partition.
    pub fn get(&self, topic: &str, partition: i32) -> Option<&Committed> {
        self.0.get(topic)?.get(&partition)
    }

    /// All of them, by topic and partition.
    pub fn iter(&self) -> impl Iterator<Item = (&str, i32, &Committed)> {
        self.0.iter().flat_map(|(topic, partitions)| {
            let partitions = partitions.iter();
            partitions.map(move |(index, committed)| (topic.as_str(), *index, committed))
        })
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.0.values().map(BTreeMap::len).sum()
    }

    pub(super) fn put(&mut self, topic: &str, partition: i32, committed: Option<Committed>) {
        match committed {
            Some(committed) => {
                let partitions = self.0.entry(topic.to_owned()).or_default();
                partitions.insert(partition, committed);
            }
            None => {
                if let Some(partitions) = self.0.get_mut(topic) {
                    partitions.remove(&partition);
                    if partitions.is_empty() {
                        self.0.remove(topic);
                    }
                }
            }
        }
    }
}

/// As whom offsets are committed.
#[derive(Debug, Clone, Copy)]
pub struct CommitAs<'a> {
    pub member_id: &'a str,
    pub instance: Option<&'a str>,
    /// The generation or member epoch; negative for who is no member.
    pub epoch: i32,
    /// Whether the request is of a version that knows member epochs.
    pub knows_epochs: bool,
}

/// One offset to be committed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CommitOne {
    pub topic: String,
    pub topic_id: TopicId,
    pub partition: i32,
    pub offset: Offset,
    pub leader_epoch: LeaderEpoch,
    pub metadata: String,
}

impl Shard {
    /// Commits offsets: all or, where the group refuses its member, none.
    pub fn commit(
        &mut self,
        caller: &Caller,
        group: &str,
        by: CommitAs,
        offsets: Vec<CommitOne>,
    ) -> Turn {
        let mut turn = Turn::default();
        let allowed = self.may_commit(caller.now, group, by);
        let most = self.config.offset_metadata_max_bytes.min(MAX_TEXT_BYTES);
        let mut results = Vec::with_capacity(offsets.len());
        for one in offsets {
            if let Err(refusal) = allowed {
                results.push(Err(refusal));
                continue;
            }
            if one.metadata.len() > most {
                results.push(Err(Refusal::OffsetMetadataTooLarge));
                continue;
            }
            results.push(Ok(()));
            let committed = Committed {
                offset: one.offset,
                leader_epoch: one.leader_epoch,
                metadata: one.metadata,
                at_ms: caller.now.as_ms(),
                topic_id: one.topic_id,
            };
            self.write_offset(&mut turn, group, &one.topic, one.partition, Some(committed));
        }
        turn.reply(caller.connection, Reply::OffsetsCommitted(results));
        turn
    }

    fn write_offset(
        &mut self,
        turn: &mut Turn,
        group: &str,
        topic: &str,
        partition: i32,
        committed: Option<Committed>,
    ) {
        let record = Record::Offset {
            group: group.to_owned(),
            topic: topic.to_owned(),
            partition,
            committed,
        };
        self.apply(&record);
        turn.records.push(record);
    }

    fn may_commit(&mut self, now: Time, group: &str, by: CommitAs) -> Result<(), Refusal> {
        let full = self.groups.len() >= super::shard::MAX_GROUPS;
        let Some(found) = self.groups.get_mut(group) else {
            return match by.epoch {
                _ if full => Err(Refusal::NotAvailable),
                ..0 => Ok(()),
                // Nobody is a member of what is not there.
                _ if by.knows_epochs => Err(Refusal::GroupNotFound),
                _ => Err(Refusal::IllegalGeneration),
            };
        };
        match &mut found.kind {
            GroupKind::Classic(classic) => classic.may_commit(now, by),
            GroupKind::Consumer(consumer) => consumer.may_commit(by),
        }
    }

    /// Whether a member may be told what its group has committed; who is no member may always.
    pub fn may_fetch(&self, group: &str, member: Option<&str>, epoch: i32) -> Result<(), Refusal> {
        let stranger = member.is_none_or(str::is_empty) && epoch < 0;
        match self.consumer(group) {
            Some(consumer) if !stranger => consumer.is_in(member.unwrap_or_default(), epoch),
            _ => Ok(()),
        }
    }

    /// What a group has committed for one partition.
    pub fn committed(&self, group: &str, topic: &str, partition: i32) -> Option<&Committed> {
        self.groups.get(group)?.offsets.get(topic, partition)
    }

    /// The topics offsets are committed for; one may come several times.
    pub fn topics_committed(&self) -> impl Iterator<Item = &str> {
        let groups = self.groups.values();
        groups.flat_map(|group| group.offsets.0.keys().map(String::as_str))
    }

    /// Everything a group has committed, by topic and partition.
    pub fn all_committed(&self, group: &str) -> Vec<(String, i32, Committed)> {
        let offsets = self.groups.get(group).map(|group| group.offsets.iter());
        let one = |(topic, partition, committed): (&str, i32, &Committed)| {
            (topic.to_owned(), partition, committed.clone())
        };
        offsets.into_iter().flatten().map(one).collect()
    }

    /// Forgets single offsets, where no member subscribes to their topic.
    pub fn delete_offsets(
        &mut self,
        caller: &Caller,
        group: &str,
        named: &[(String, i32)],
    ) -> Turn {
        let mut turn = Turn::default();
        let deleted = self.try_delete_offsets(&mut turn, group, named);
        turn.reply(caller.connection, Reply::OffsetsDeleted(deleted));
        turn
    }

    fn try_delete_offsets(
        &mut self,
        turn: &mut Turn,
        group: &str,
        named: &[(String, i32)],
    ) -> Result<Vec<Result<(), Refusal>>, Refusal> {
        let found = self.groups.get(group).ok_or(Refusal::GroupNotFound)?;
        let subscribed = found.subscribed();
        // Members that do not say what they read may read anything.
        let subscribed = subscribed.ok_or(Refusal::NonEmptyGroup)?;
        let mut results = Vec::with_capacity(named.len());
        for (topic, partition) in named {
            if subscribed.contains(topic) {
                results.push(Err(Refusal::SubscribedToTopic));
                continue;
            }
            results.push(Ok(()));
            let there = self.groups.get(group);
            if there.is_some_and(|g| g.offsets.get(topic, *partition).is_some()) {
                self.write_offset(turn, group, topic, *partition, None);
            }
        }
        Ok(results)
    }

    /// Forgets what groups committed for topics that are gone.
    pub fn forget_topics(&mut self, gone: &BTreeSet<String>) -> Turn {
        self.forget_offsets(|_| |topic, _| gone.contains(topic))
    }

    /// Forgets what nobody has committed for `offsets.retention.minutes`.
    pub(super) fn expire_offsets(&mut self, now: Time) -> Turn {
        let retention_ms = self.config.offsets_retention_ms;
        let now_ms = now.as_ms();
        let mut turn = self.forget_offsets(|group| {
            let expiry = group.expiry();
            move |topic, committed| {
                let since_ms = expiry.base(topic, committed);
                since_ms.is_some_and(|since_ms| now_ms.saturating_sub(since_ms) >= retention_ms)
            }
        });
        self.bury_empty(&mut turn);
        turn
    }

    /// Writes that groups are gone that have neither members nor offsets.
    fn bury_empty(&mut self, turn: &mut Turn) {
        let empty = |group: &Group| group.is_empty() && group.offsets.is_empty();
        let groups = self.groups.iter().filter(|(_, group)| empty(group));
        let names: Vec<String> = groups.map(|(name, _)| name.clone()).collect();
        for name in names {
            self.write_gone(turn, &name);
        }
    }

    /// Forgets offsets, by what is worked out once for each group.
    fn forget_offsets<G>(&mut self, of: impl Fn(&Group) -> G) -> Turn
    where
        G: Fn(&str, &Committed) -> bool,
    {
        let mut turn = Turn::default();
        let mut going = Vec::new();
        for (name, group) in &self.groups {
            if group.offsets.is_empty() {
                continue;
            }
            let goes = of(group);
            for (topic, partition, committed) in group.offsets.iter() {
                if goes(topic, committed) {
                    going.push((name.clone(), topic.to_owned(), partition));
                }
            }
        }
        for (group, topic, partition) in going {
            self.write_offset(&mut turn, &group, &topic, partition, None);
            self.bury_if_empty(&mut turn, &group);
        }
        turn
    }

    /// A group without members and offsets is gone.
    fn bury_if_empty(&mut self, turn: &mut Turn, group: &str) {
        let found = self.groups.get(group);
        if found.is_some_and(|group| group.is_empty() && group.offsets.is_empty()) {
            self.write_gone(turn, group);
        }
    }
}

/// When a group's offsets begin to grow old.
enum Expiry {
    /// Not now.
    Never,
    /// When they were committed, or when the last member went if that was later.
    NotBefore(i64),
    /// When they were committed, but for these topics: its members read them.
    Unless(BTreeSet<String>),
}

impl Expiry {
    /// Since when an offset counts as left alone; `None` while its group reads the topic.
    fn base(&self, topic: &str, committed: &Committed) -> Option<i64> {
        match self {
            Expiry::Never => None,
            Expiry::NotBefore(since_ms) => Some(committed.at_ms.max(*since_ms)),
            Expiry::Unless(read) => (!read.contains(topic)).then_some(committed.at_ms),
        }
    }
}

impl Group {
    fn expiry(&self) -> Expiry {
        let subscribed = || self.subscribed().map_or(Expiry::Never, Expiry::Unless);
        let GroupKind::Classic(classic) = &self.kind else {
            return subscribed();
        };
        match (classic.state(), classic.protocol_type()) {
            (ClassicState::Empty, None) => Expiry::NotBefore(i64::MIN),
            (ClassicState::Empty, Some(_)) => Expiry::NotBefore(classic.since_ms()),
            (ClassicState::Stable, _) => subscribed(),
            _ => Expiry::Never,
        }
    }

    /// The topics its members subscribe to, if they say so.
    fn subscribed(&self) -> Option<BTreeSet<String>> {
        match &self.kind {
            GroupKind::Classic(classic) if classic.members.is_empty() => Some(BTreeSet::new()),
            GroupKind::Classic(classic) => classic.subscribed(),
            GroupKind::Consumer(consumer) => {
                let topics = consumer.subscribed().into_iter();
                Some(topics.map(str::to_owned).collect())
            }
        }
    }
}

impl ConsumerGroup {
    fn may_commit(&self, by: CommitAs) -> Result<(), Refusal> {
        if by.epoch < 0 && self.members().is_empty() {
            return Ok(());
        }
        let member = self.members().get(by.member_id);
        let member = member.ok_or(Refusal::UnknownMember)?;
        match by.knows_epochs || member.is_classic() {
            true => self.is_in(by.member_id, by.epoch),
            false => Err(Refusal::OldVersion),
        }
    }

    /// Whether there is such a member, and it is in this epoch.
    fn is_in(&self, id: &str, epoch: i32) -> Result<(), Refusal> {
        let member = self.members().get(id).ok_or(Refusal::UnknownMember)?;
        match member.current.epoch == epoch {
            true => Ok(()),
            // To who speaks the classic protocol its epoch is a generation.
            false if member.is_classic() => Err(Refusal::IllegalGeneration),
            false => Err(Refusal::StaleMemberEpoch),
        }
    }
}

impl ClassicGroup {
    fn may_commit(&mut self, now: Time, by: CommitAs) -> Result<(), Refusal> {
        let stale = by.epoch >= 0 && by.epoch != self.generation;
        if stale && planted(Plant::CommitsStaleGenerations) {
            return Ok(());
        }
        if by.epoch < 0 && self.state == ClassicState::Empty {
            // As in Kafka, whatever it calls itself: nobody's reading is moved.
            return Ok(());
        }
        let stranger = by.epoch < 0 && by.member_id.is_empty() && by.instance.is_none();
        if stranger || self.state == ClassicState::Empty {
            // Whoever commits by hand must not move what members read.
            return Err(Refusal::UnknownMember);
        }
        self.known(by.member_id, by.instance)?;
        if by.epoch != self.generation {
            return Err(Refusal::IllegalGeneration);
        }
        match self.state {
            ClassicState::CompletingRebalance => Err(Refusal::RebalanceInProgress),
            _ => {
                self.heard(now, by.member_id);
                Ok(())
            }
        }
    }
}
