//! A group with members in it goes over to the new protocol, or back (KIP-848).
//!
//! It goes over when a first member of the new protocol joins: those it has are members of the classic protocol in
//! it from then on, with their generation as their epoch and what they read as their own. It goes back when the last
//! member of the new protocol is gone, and rebalances. `group.consumer.migration.policy` says which is allowed.

use std::cmp::Ordering;
use std::collections::BTreeSet;

use super::alarms::Alarm;
use super::classic::{
    CONSUMER, ClassicGroup, ClassicState, Member, read_assignment, read_subscription,
};
use super::consumer::ConsumerMember;
use super::consumer_classic::assignment;
use super::consumer_record::{About, ClassicSide, ConsumerPart, Current, GroupEpoch, MemberState};
use super::kind::GroupKind;
use super::partitions::Partitions;
use super::record::{ClassicRecord, Record};
use super::shard::Shard;
use super::turn::{Caller, News, Turn};
use super::{MAX_GROUP_BYTES, Refusal};
use crate::ids::{Time, TopicId};
use crate::metadata::Image;
use crate::wire::messages::consumer_protocol_subscription::ConsumerProtocolSubscription;

impl Shard {
    /// A member of the new protocol is about to join: a classic group that has members goes over to it, if it can.
    pub(super) fn upgrade_if_classic(
        &mut self,
        turn: &mut Turn,
        caller: &Caller,
        name: &str,
        joiner_bytes: usize,
    ) -> Result<(), Refusal> {
        let Some(GroupKind::Classic(classic)) = self.groups.get_mut(name).map(|g| &mut g.kind)
        else {
            return Ok(());
        };
        if classic.members.is_empty() {
            return Ok(());
        }
        if !self.config.migration.upgrades() || classic.protocol_type() != Some(CONSUMER) {
            return Err(Refusal::GroupNotFound);
        }
        match classic.members.len().cmp(&self.config.consumer_max_size) {
            Ordering::Greater => return Err(Refusal::GroupNotFound),
            Ordering::Equal => return Err(Refusal::GroupFull),
            Ordering::Less => {}
        }
        let parts = classic.as_consumer(caller.topics);
        let parts = parts.ok_or(Refusal::GroupNotFound)?;
        let said = parts.iter().map(|part| match part {
            ConsumerPart::Member { id, about } => id.len() + about.as_ref().map_or(0, About::bytes),
            _ => 0,
        });
        // Nothing is refused from here on: the group is not left halfway.
        if said.sum::<usize>() + joiner_bytes > MAX_GROUP_BYTES {
            return Err(Refusal::GroupFull);
        }
        // Whoever waits joins again, and finds the other protocol.
        classic.refuse_waiting(Refusal::RebalanceInProgress, turn);
        let from = classic.state().name();
        let pending: Vec<String> = classic.pending.keys().cloned().collect();
        self.alarms.forget(name, &Alarm::Rebalance);
        for id in pending {
            self.alarms.forget(name, &Alarm::Pending(id));
        }
        self.write_gone(turn, name);
        let mut ids = Vec::new();
        for part in parts {
            if let ConsumerPart::Member { id, .. } = &part {
                ids.push(id.clone());
            }
            self.write_part(turn, name, part);
        }
        for id in &ids {
            self.alarms.forget(name, &Alarm::Session(id.clone()));
            self.hear(caller.now, name, id);
        }
        let Some(GroupKind::Consumer(group)) = self.groups.get_mut(name).map(|g| &mut g.kind)
        else {
            return Ok(());
        };
        group.told = group.state();
        group.since_ms = caller.now.as_ms();
        turn.news.push(News::StateChanged {
            group: name.to_owned(),
            from,
            to: group.told.name(),
            generation: group.epoch(),
            members: ids.len(),
            why: "a member of the consumer protocol joins: the group speaks it from now on"
                .to_owned(),
        });
        Ok(())
    }

    /// A classic group without members is one of the new protocol from now on. Its epochs go on where its generations
    /// ended, so that no number means two things.
    pub(super) fn empty_to_consumer(&mut self, turn: &mut Turn, name: &str) {
        let Some(GroupKind::Classic(classic)) = self.groups.get(name).map(|g| &g.kind) else {
            return;
        };
        if classic.is_bare() {
            return;
        }
        let epoch = classic.generation();
        self.write_gone(turn, name);
        let topics_hash = 0;
        let group = Some(GroupEpoch { epoch, topics_hash });
        self.write_part(turn, name, ConsumerPart::Group(group));
        self.write_part(turn, name, ConsumerPart::TargetEpoch(Some(epoch)));
    }

    /// The other way round.
    pub(super) fn empty_to_classic(&mut self, turn: &mut Turn, now: Time, name: &str) {
        let generation = self.consumer(name).map_or(0, |group| group.epoch());
        self.end_consumer_group(turn, name);
        let state = Some(ClassicRecord {
            protocol_type: CONSUMER.to_owned(),
            generation,
            protocol: None,
            leader: None,
            since_ms: now.as_ms(),
            members: Vec::new(),
        });
        let group = name.to_owned();
        let record = Record::Classic { group, state };
        self.apply(&record);
        turn.records.push(record);
    }

    /// Whether all members a group has left speak the classic protocol and it may go back to that.
    pub(super) fn may_downgrade(&self, name: &str) -> bool {
        let Some(group) = self.consumer(name) else {
            return false;
        };
        let members = group.members();
        self.config.migration.downgrades()
            && !members.is_empty()
            && members.len() <= self.config.max_size
            && members.values().all(ConsumerMember::is_classic)
    }

    /// A group of the new protocol whose members all speak the classic one goes back to that, and rebalances.
    pub(super) fn downgrade(
        &mut self,
        turn: &mut Turn,
        now: Time,
        topics: &Image,
        name: &str,
        why: String,
    ) {
        let Some(group) = self.consumer(name) else {
            return;
        };
        let from = group.state().name();
        let generation = group.epoch();
        let mut classic = ClassicGroup {
            state: ClassicState::Stable,
            since_ms: now.as_ms(),
            generation,
            protocol_type: Some(CONSUMER.to_owned()),
            ..ClassicGroup::default()
        };
        let ids: Vec<String> = group.members().keys().cloned().collect();
        for (id, member) in group.members() {
            if let Some(side) = &member.about.classic {
                classic.seat_again(id, member, side, topics);
            }
        }
        classic.protocol = classic.best_protocol();
        for id in &ids {
            self.remove_member(turn, name, id);
        }
        self.end_consumer_group(turn, name);
        // Without a leader: whoever reads this has it rebalance, too.
        turn.records.push(classic.record(name));
        let group = self.groups.entry(name.to_owned()).or_default();
        group.kind = GroupKind::Classic(classic);
        let why = format!("{why}; all that are left speak the classic protocol");
        self.on_classic(now, name, turn, |classic, scope| {
            scope.turn.news.push(News::StateChanged {
                group: scope.name.to_owned(),
                from,
                to: classic.state().name(),
                generation,
                members: classic.members.len(),
                why: why.clone(),
            });
            classic.resume(scope);
        });
    }
}

impl ClassicGroup {
    /// What is to be written of it as a group of the new protocol; `None` if what a member says cannot be read.
    fn as_consumer(&self, topics: &Image) -> Option<Vec<ConsumerPart>> {
        let epoch = self.generation();
        let mut parts = vec![ConsumerPart::Group(Some(GroupEpoch {
            epoch,
            topics_hash: 0,
        }))];
        let mut taken = BTreeSet::new();
        let mut owned = Vec::new();
        let mut claims = Vec::new();
        for (id, member) in &self.members {
            let said = self.said(member)?;
            // What an assignor of its own says beside partitions, the coordinator could not say.
            let assigned = read_assignment(&member.assignment)?;
            if assigned.user_data.is_some_and(|data| !data.is_empty()) {
                return None;
            }
            let assigned = assigned.assigned_partitions.into_iter();
            let assigned = assigned.map(|one| (one.topic, one.partitions));
            owned.push((id.clone(), existing(topics, assigned, &mut taken)));
            claims.push(said.owned_partitions.clone());
            let about = Some(about(member, said));
            parts.push(ConsumerPart::Member {
                id: id.clone(),
                about,
            });
        }
        // Who never heard what its generation gives it still reads what it said it owned when it joined.
        for ((_, partitions), claimed) in owned.iter_mut().zip(claims) {
            let claimed = claimed.into_iter().map(|one| (one.topic, one.partitions));
            for (topic, index) in existing(topics, claimed, &mut taken).iter() {
                partitions.insert(topic, index);
            }
        }
        parts.push(ConsumerPart::TargetEpoch(Some(epoch)));
        for (id, partitions) in owned {
            parts.push(ConsumerPart::Target {
                id: id.clone(),
                partitions: Some(partitions.clone()),
            });
            let current = Some(Current {
                epoch,
                previous_epoch: epoch,
                state: MemberState::Stable,
                assigned: partitions,
                revoking: Partitions::default(),
            });
            parts.push(ConsumerPart::Current { id, current });
        }
        Some(parts)
    }

    fn said(&self, member: &Member) -> Option<ConsumerProtocolSubscription> {
        let chosen = self.protocol().and_then(|name| member.metadata(name));
        let first = || member.protocols.first().map(|(_, metadata)| metadata);
        read_subscription(chosen.or_else(first)?)
    }

    /// Takes over a member of a group of the new protocol with what it owns.
    fn seat_again(
        &mut self,
        id: &str,
        member: &ConsumerMember,
        side: &ClassicSide,
        topics: &Image,
    ) {
        self.seniority += 1;
        let seated = Member {
            instance: member.about.instance.clone(),
            client_id: member.about.client_id.clone(),
            client_host: member.about.client_host.clone(),
            session_timeout_ms: side.session_timeout_ms,
            rebalance_timeout_ms: member.about.rebalance_timeout_ms,
            protocols: side.protocols.clone(),
            assignment: assignment(&member.current.assigned, topics, side),
            seniority: self.seniority,
            awaits_join: None,
            awaits_sync: None,
            synced: true,
            session_until: Time::default(),
            new_until: None,
        };
        self.members.insert(id.to_owned(), seated);
    }
}

/// Those of the partitions that there are and that nobody has taken yet: a leader may have given one to two members,
/// the coordinator does not.
fn existing(
    topics: &Image,
    named: impl Iterator<Item = (String, Vec<i32>)>,
    taken: &mut BTreeSet<(TopicId, i32)>,
) -> Partitions {
    let mut partitions = Partitions::default();
    for (topic, indexes) in named {
        let Some(topic) = topics.topic_named(&topic) else {
            continue;
        };
        for index in indexes {
            let exists = usize::try_from(index).is_ok_and(|i| i < topic.partitions.len());
            if exists && taken.insert((topic.id, index)) {
                partitions.insert(topic.id, index);
            }
        }
    }
    partitions
}

fn about(member: &Member, said: ConsumerProtocolSubscription) -> About {
    let mut topics = said.topics;
    topics.sort();
    topics.dedup();
    About {
        instance: member.instance.clone(),
        rack: said.rack_id,
        client_id: member.client_id.clone(),
        client_host: member.client_host.clone(),
        topics,
        pattern: None,
        rebalance_timeout_ms: member.rebalance_timeout_ms,
        assignor: None,
        classic: Some(ClassicSide {
            session_timeout_ms: member.session_timeout_ms,
            protocols: member.protocols.clone(),
        }),
    }
}
