//! When a group's epoch grows, and what its members are to own then (KIP-848).
//!
//! The epoch grows with members, subscriptions and the topics subscribed to: their ids and numbers of partitions are
//! kept as a hash. A topic that comes, grows or goes is noticed with the next heartbeat of any member; one that speaks the
//! classic protocol is then told to join again.

use std::collections::{BTreeMap, BTreeSet};

use super::assignor::{Assignor, Subscriber};
use super::consumer::{ConsumerGroup, ConsumerMember};
use super::consumer_record::{ConsumerPart, GroupEpoch, Resolved};
use super::kind::GroupKind;
use super::partitions::Partitions;
use super::shard::Shard;
use super::topic_pattern::TopicPattern;
use super::turn::{Caller, News, Turn};
use crate::ids::{Time, TopicId};
use crate::metadata::Image;

impl Shard {
    /// Topics were made, changed or deleted: groups look at theirs with their next heartbeat.
    pub fn topics_changed(&mut self) {
        self.topics_version += 1;
    }

    /// Has the epoch grow if there is a reason to: the one given, or other topics.
    pub(super) fn renew_epoch(
        &mut self,
        turn: &mut Turn,
        caller: &Caller,
        name: &str,
        why: Option<String>,
    ) {
        let version = self.topics_version;
        let looked = self
            .consumer(name)
            .is_some_and(|g| g.topics_seen == version);
        if looked && why.is_none() {
            return;
        }
        let matched_others = self.resolve_patterns(turn, caller, name, !looked);
        let Some(group) = self.consumer(name) else {
            return;
        };
        let (epoch, before) = (group.epoch(), group.kept.topics_hash);
        let undecided = epoch > group.target_epoch();
        let topics_hash = hash_of(&group.subscribed(), caller.topics);
        let others = matched_others || topics_hash != before;
        let grows = why.is_some() || (others && !undecided);
        if grows || others {
            let epoch = match grows {
                true => epoch.wrapping_add(1).max(1),
                // It has grown already and nothing was decided for it yet.
                false => epoch,
            };
            let epoch = Some(GroupEpoch { epoch, topics_hash });
            self.write_part(turn, name, ConsumerPart::Group(epoch));
        }
        if let Some(GroupKind::Consumer(group)) = self.groups.get_mut(name).map(|g| &mut g.kind) {
            group.topics_seen = version;
            if grows {
                let topics = || "the topics it reads have changed".to_owned();
                group.why = why.unwrap_or_else(topics);
            }
        }
    }

    /// Resolves regular expressions that are new, or all of them; whether any stands for other topics than before.
    fn resolve_patterns(
        &mut self,
        turn: &mut Turn,
        caller: &Caller,
        name: &str,
        all: bool,
    ) -> bool {
        self.drop_patterns(turn, name);
        let Some(group) = self.consumer(name) else {
            return false;
        };
        let mut changes = Vec::new();
        for pattern in group.patterns_in_use() {
            let before = group.kept.patterns.get(pattern);
            if before.is_some() && !all {
                continue;
            }
            let topics = matched(pattern, caller.topics);
            if before.is_none_or(|before| before.topics != topics) {
                changes.push((pattern.to_owned(), topics));
            }
        }
        let changed = !changes.is_empty();
        for (pattern, topics) in changes {
            let resolved = Some(Resolved {
                topics,
                at_ms: caller.now.as_ms(),
            });
            self.write_part(turn, name, ConsumerPart::Pattern { pattern, resolved });
        }
        changed
    }

    /// Forgets regular expressions nobody subscribes to any more.
    pub(super) fn drop_patterns(&mut self, turn: &mut Turn, name: &str) {
        let Some(group) = self.consumer(name) else {
            return;
        };
        let used = group.patterns_in_use();
        let known = group.kept.patterns.keys();
        let gone: Vec<String> = known
            .filter(|p| !used.contains(p.as_str()))
            .cloned()
            .collect();
        for pattern in gone {
            let resolved = None;
            self.write_part(turn, name, ConsumerPart::Pattern { pattern, resolved });
        }
    }

    /// Decides who is to own what, if that was not decided for this epoch.
    pub(super) fn renew_targets(&mut self, turn: &mut Turn, image: &Image, name: &str) {
        let Some(group) = self.consumer(name) else {
            return;
        };
        let epoch = group.epoch();
        if epoch <= group.target_epoch() {
            return;
        }
        let assignor = group.assignor(&self.config.assignors);
        let targets = group.assign(assignor, image);
        for (id, partitions) in targets {
            let partitions = Some(partitions);
            self.write_part(turn, name, ConsumerPart::Target { id, partitions });
        }
        self.write_part(turn, name, ConsumerPart::TargetEpoch(Some(epoch)));
    }

    /// Says that a group is in another state, if it is.
    pub(super) fn tell_consumer_state(&mut self, turn: &mut Turn, now: Time, name: &str) {
        if turn.records.is_empty() {
            return;
        }
        let Some(GroupKind::Consumer(group)) = self.groups.get_mut(name).map(|g| &mut g.kind)
        else {
            return;
        };
        let (from, to) = (group.told, group.state());
        if from == to {
            return;
        }
        group.told = to;
        group.since_ms = now.as_ms();
        turn.news.push(News::StateChanged {
            group: name.to_owned(),
            from: from.name(),
            to: to.name(),
            generation: group.epoch(),
            members: group.members().len(),
            why: group.why.clone(),
        });
    }
}

impl ConsumerGroup {
    /// Whether the topics its members subscribe to are others than those its epoch is about.
    pub(super) fn reads_others(&self, topics: &Image) -> bool {
        hash_of(&self.subscribed(), topics) != self.kept.topics_hash
    }

    fn patterns_in_use(&self) -> BTreeSet<&str> {
        let members = self.members().values();
        members
            .filter_map(|member| member.about.pattern.as_deref())
            .collect()
    }

    /// The assignor most of its members want; the first of `allowed` if none wants any.
    pub(super) fn assignor(&self, allowed: &[Assignor]) -> Assignor {
        let votes = |assignor: &Assignor| {
            let members = self.members().values();
            members
                .filter(|m| m.about.assignor.as_deref() == Some(assignor.name()))
                .count()
        };
        // The last of equals is the one that counts, so the first comes last.
        let most = allowed.iter().rev().max_by_key(|assignor| votes(assignor));
        most.copied().unwrap_or(Assignor::Uniform)
    }

    /// What members are to own, of those for whom that is something else than before.
    fn assign(&self, assignor: Assignor, image: &Image) -> Vec<(String, Partitions)> {
        let nothing = Partitions::default();
        let mut topics = BTreeMap::new();
        let mut subscribers = Vec::with_capacity(self.members().len());
        for (id, member) in self.members() {
            subscribers.push(Subscriber {
                id,
                instance: member.about.instance.as_deref(),
                topics: self.topics_of(member, image, &mut topics),
                before: self.target(id).unwrap_or(&nothing),
            });
        }
        let assigned = assignor.assign(&subscribers, &topics);
        let ids = self.members().keys().cloned();
        ids.zip(assigned)
            .filter(|(id, partitions)| self.target(id) != Some(partitions))
            .collect()
    }

    /// The topics a member subscribes to that there are; their numbers of partitions are put into `counts`.
    fn topics_of(
        &self,
        member: &ConsumerMember,
        image: &Image,
        counts: &mut BTreeMap<TopicId, i32>,
    ) -> BTreeSet<TopicId> {
        let mut topics = BTreeSet::new();
        for name in self.subscription(member) {
            if let Some(topic) = image.topic_named(name) {
                let count = i32::try_from(topic.partitions.len()).unwrap_or(i32::MAX);
                counts.insert(topic.id, count);
                topics.insert(topic.id);
            }
        }
        topics
    }
}

/// The topics an expression stands for, by name.
fn matched(pattern: &str, image: &Image) -> Vec<String> {
    let Ok(compiled) = TopicPattern::new(pattern) else {
        // Another coordinator took it, of a klar that knows more of it.
        return Vec::new();
    };
    let topics = image.topics_by_name();
    topics
        .filter(|topic| compiled.matches(&topic.name))
        .map(|topic| topic.name.clone())
        .collect()
}

/// A number for topics with their ids and partitions: FNV-1a, 0 if there are none.
fn hash_of(names: &BTreeSet<&str>, image: &Image) -> i64 {
    let mut hash: u64 = 0;
    for topic in names.iter().filter_map(|name| image.topic_named(name)) {
        let mut own: u64 = 0xcbf2_9ce4_8422_2325;
        let count = (topic.partitions.len() as u64).to_be_bytes();
        for byte in topic.id.0.iter().chain(&count) {
            own = (own ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
        }
        hash = hash.wrapping_mul(31).wrapping_add(own);
    }
    i64::from_be_bytes(hash.to_be_bytes())
}
