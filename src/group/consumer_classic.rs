//! Members that speak the classic protocol in a group of the new one (KIP-848).
//!
//! The coordinator tells them what to own as it tells everybody, in the words of their protocol: JoinGroup is where a
//! member says what it owns and takes a step, its generation is its member epoch, SyncGroup tells what it owns from
//! then on, and a heartbeat is answered with REBALANCE_IN_PROGRESS while there is a further step to take. Nobody of
//! them leads or assigns.

use std::collections::BTreeSet;

use bytes::Bytes;

use super::classic::{CONSUMER, NEWEST_SUBSCRIPTION, read_subscription};
use super::classic_join::{Joined, NotJoined, Offer};
use super::classic_leave::Leaver;
use super::classic_sync::Synced;
use super::consumer::{ConsumerGroup, ConsumerMember};
use super::consumer_heartbeat::Seat;
use super::consumer_record::{About, ClassicSide, MemberState};
use super::partitions::Partitions;
use super::shard::Shard;
use super::turn::{Caller, Reply, Turn};
use super::{MAX_TEXT_BYTES, Refusal, after};
use crate::ids::Time;
use crate::metadata::Image;
use crate::wire::Writer;
use crate::wire::messages::consumer_protocol_assignment::{
    ConsumerProtocolAssignment, TopicPartition,
};
use crate::wire::messages::consumer_protocol_subscription::ConsumerProtocolSubscription;
use crate::wire::messages::heartbeat::HeartbeatRequest;
use crate::wire::messages::sync_group::SyncGroupRequest;

impl Shard {
    /// JoinGroup into a group of the new protocol that has members.
    pub(super) fn join_consumer(
        &mut self,
        turn: &mut Turn,
        caller: &Caller,
        offer: &Offer,
    ) -> Result<(), NotJoined> {
        let request = offer.request;
        let name = &request.group_id;
        let refuse = |refusal| (refusal, request.member_id.clone());
        let said = self.understand(name, offer).map_err(refuse)?;
        if request.member_id.is_empty() && offer.instance().is_none() && offer.needs_id() {
            return Err((Refusal::MemberIdRequired, offer.fresh_id()));
        }
        let group = self.consumer(name).ok_or(Refusal::UnknownMember);
        let seat = group.and_then(|group| group.classic_seat(offer));
        let seat = seat.map_err(refuse)?;
        let group = self.consumer(name);
        let members = group.map(ConsumerGroup::members);
        let new = seat.replaces.is_none() && members.is_some_and(|m| !m.contains_key(&seat.id));
        if new && members.is_some_and(|m| m.len() >= self.config.consumer_max_size) {
            return Err(refuse(Refusal::GroupFull));
        }
        let owned = owned_in(&said, caller.topics);
        if new && !owned.is_empty() && !request.member_id.is_empty() {
            // It was thrown out and does not know it: what it reads may be another's by now.
            return Err(refuse(Refusal::UnknownMember));
        }
        let about = about(&seat.before.about, caller, offer, said);
        self.check_bytes(name, &seat, &about).map_err(refuse)?;
        // Nothing is refused from here on: what is written stands.
        let current = self.sit_and_step(turn, caller, name, &seat, about, Some(&owned));
        self.tell_consumer_state(turn, caller.now, name);
        if self.may_downgrade(name) {
            // It took the place of the last member of the new protocol.
            let why = offer.why("joins", &seat.id);
            self.downgrade(turn, caller.now, caller.topics, name, why);
        }
        let joined = Joined {
            generation: current.epoch,
            protocol_type: Some(CONSUMER.to_owned()),
            protocol: offer.protocols.first().map(|(name, _)| name.clone()),
            leader: String::new(),
            member_id: seat.id,
            skip_assignment: false,
            members: Vec::new(),
        };
        turn.reply(caller.connection, Reply::Joined(Box::new(joined)));
        Ok(())
    }

    /// What a member says of itself, if it can be a member of this group.
    fn understand(
        &self,
        name: &str,
        offer: &Offer,
    ) -> Result<ConsumerProtocolSubscription, Refusal> {
        offer.check_texts()?;
        if offer.request.member_id.len() > MAX_TEXT_BYTES {
            return Err(Refusal::InvalidRequest(
                "MemberId is longer than 32767 bytes.",
            ));
        }
        let group = self.consumer(name).ok_or(Refusal::UnknownMember)?;
        if !group.takes_classic(offer) {
            return Err(Refusal::InconsistentProtocol);
        }
        let first = offer.protocols.first();
        let said = first.and_then(|(_, metadata)| read_subscription(metadata));
        said.ok_or(Refusal::InvalidRequest(
            "The subscription of the member cannot be read.",
        ))
    }

    /// SyncGroup: what the member owns in its epoch.
    pub(super) fn sync_consumer(
        &mut self,
        caller: &Caller,
        request: &SyncGroupRequest,
    ) -> Result<Synced, Refusal> {
        let (name, id) = (&request.group_id, &request.member_id);
        let group = self.consumer(name).ok_or(Refusal::UnknownMember)?;
        let instance = request.group_instance_id.as_deref();
        let (member, side) = group.classic_member(id, instance)?;
        let protocol = side.protocols.first().map(|(name, _)| name);
        let other_type = request
            .protocol_type
            .as_deref()
            .is_some_and(|t| t != CONSUMER);
        if other_type
            || (request.protocol_name.is_some() && request.protocol_name.as_ref() != protocol)
        {
            return Err(Refusal::InconsistentProtocol);
        }
        if request.generation_id != member.current.epoch {
            return Err(Refusal::IllegalGeneration);
        }
        let revokes = member.current.state == MemberState::UnrevokedPartitions;
        if group.epoch() > member.current.epoch && !revokes {
            self.await_rejoin(caller.now, name, id);
            return Err(Refusal::RebalanceInProgress);
        }
        let synced = Synced {
            protocol_type: Some(CONSUMER.to_owned()),
            protocol: protocol.cloned(),
            assignment: assignment(&member.current.assigned, caller.topics, side),
        };
        self.await_step(name, id, None);
        self.hear(caller.now, name, id);
        Ok(synced)
    }

    /// Heartbeat: whether the member is to join again.
    pub(super) fn heartbeat_consumer(
        &mut self,
        caller: &Caller,
        request: &HeartbeatRequest,
    ) -> Result<(), Refusal> {
        let now = caller.now;
        let (name, id) = (&request.group_id, &request.member_id);
        let group = self.consumer(name).ok_or(Refusal::UnknownMember)?;
        let instance = request.group_instance_id.as_deref();
        let (member, _) = group.classic_member(id, instance)?;
        if request.generation_id != member.current.epoch {
            return Err(Refusal::IllegalGeneration);
        }
        // Where nobody speaks the new protocol, nobody else notices that topics have changed.
        let has_a_step = group.has_a_step(id, member)
            || (group.topics_seen != self.topics_version && group.reads_others(caller.topics));
        self.hear(now, name, id);
        if has_a_step {
            self.await_rejoin(now, name, id);
            return Err(Refusal::RebalanceInProgress);
        }
        Ok(())
    }

    /// The member was told to join again: it has its rebalance timeout for that, from the first time on.
    fn await_rejoin(&mut self, now: Time, name: &str, id: &str) {
        if self
            .clock(name, id)
            .is_some_and(|clock| clock.step_by.is_some())
        {
            return;
        }
        let group = self.consumer(name);
        let member = group.and_then(|group| group.members().get(id));
        let timeout_ms = member.map_or(0, |member| member.about.rebalance_timeout_ms);
        self.await_step(name, id, Some(after(now, timeout_ms)));
    }

    /// LeaveGroup: one result for each.
    pub(super) fn leave_consumer(
        &mut self,
        turn: &mut Turn,
        caller: &Caller,
        name: &str,
        leavers: &[Leaver],
    ) -> Vec<Result<(), Refusal>> {
        let mut going: BTreeSet<String> = BTreeSet::new();
        let mut results = Vec::with_capacity(leavers.len());
        for leaver in leavers {
            let found = self.consumer(name).ok_or(Refusal::UnknownMember);
            let found = found.and_then(|group| group.leaver(leaver));
            // Who is named twice has left once.
            let found = match found {
                Ok(id) if going.contains(&id) => Err(Refusal::UnknownMember),
                other => other,
            };
            results.push(found.map(|id| {
                going.insert(id);
            }));
        }
        if let Some(first) = going.first() {
            let why = match going.len() {
                1 => format!("{first} left"),
                more => format!("{first} and {} more left", more - 1),
            };
            let ids: Vec<&String> = going.iter().collect();
            self.end_membership(turn, caller.now, caller.topics, name, &ids, why);
            self.tell_consumer_state(turn, caller.now, name);
        }
        results
    }
}

impl ConsumerGroup {
    /// Whether what a member offers fits what the others of the classic protocol speak.
    fn takes_classic(&self, offer: &Offer) -> bool {
        let others = self.members().iter();
        let others = others.filter(|(id, _)| **id != offer.request.member_id);
        let sides: Vec<&ClassicSide> = others
            .filter_map(|(_, m)| m.about.classic.as_ref())
            .collect();
        let common = |name: &String| {
            let speaks = |side: &&ClassicSide| side.protocols.iter().any(|(n, _)| n == name);
            sides.iter().all(speaks)
        };
        offer.request.protocol_type == CONSUMER
            && offer.protocols.iter().any(|(name, _)| common(name))
    }

    /// Finds the member a JoinGroup is from, or a place for it.
    fn classic_seat(&self, offer: &Offer) -> Result<Seat, Refusal> {
        let said = &offer.request.member_id;
        let id = match said.is_empty() {
            true => offer.fresh_id(),
            false => said.clone(),
        };
        let mut sits = self.members().get(&id);
        if let Some(instance) = offer.instance() {
            match self.by_instance(instance) {
                None if said.is_empty() => {}
                None => return Err(Refusal::UnknownMember),
                Some((other, member)) if said.is_empty() => {
                    return Ok(Seat::of_returned(id, other, member));
                }
                Some((other, _)) if *other != id => return Err(Refusal::FencedInstance),
                Some((_, member)) => sits = Some(member),
            }
        }
        Ok(Seat {
            id,
            replaces: None,
            before: sits.cloned().unwrap_or_default(),
        })
    }

    /// A member that speaks the classic protocol, if it is who it says it is.
    fn classic_member(
        &self,
        id: &str,
        instance: Option<&str>,
    ) -> Result<(&ConsumerMember, &ClassicSide), Refusal> {
        if let Some(instance) = instance {
            let (current, _) = self.by_instance(instance).ok_or(Refusal::UnknownMember)?;
            if current != id {
                return Err(Refusal::FencedInstance);
            }
        }
        let member = self.members().get(id).ok_or(Refusal::UnknownMember)?;
        let side = member.about.classic.as_ref();
        Ok((member, side.ok_or(Refusal::UnknownMember)?))
    }

    /// Who is to leave: by member id, or a static member by its instance. A tool may take out whom it names by
    /// instance, whatever it speaks.
    fn leaver(&self, leaver: &Leaver) -> Result<String, Refusal> {
        let Some(instance) = &leaver.instance else {
            return self
                .classic_member(&leaver.member_id, None)
                .map(|_| leaver.member_id.clone());
        };
        let (current, member) = self.by_instance(instance).ok_or(Refusal::UnknownMember)?;
        match leaver.member_id.is_empty() {
            true => Ok(current.clone()),
            false if leaver.member_id != *current => Err(Refusal::FencedInstance),
            false if !member.is_classic() => Err(Refusal::UnknownMember),
            false => Ok(current.clone()),
        }
    }

    /// Whether a member would come further by joining again: the epoch has grown, it is to give something up, or all
    /// that others still had is free.
    fn has_a_step(&self, id: &str, member: &ConsumerMember) -> bool {
        let current = &member.current;
        if current.epoch < self.epoch() {
            return true;
        }
        match current.state {
            MemberState::Stable => false,
            MemberState::UnrevokedPartitions => true,
            MemberState::UnreleasedPartitions => {
                let target = self.target(id).cloned().unwrap_or_default();
                let missing = target.without(&current.assigned);
                // Joining again may mean to give everything up for a while: it is worth it once nothing is waited for.
                missing.iter().all(|at| !self.kept.owners.contains_key(&at))
            }
        }
    }
}

/// Who the member is and what it subscribes to, now that it has said so.
fn about(
    before: &About,
    caller: &Caller,
    offer: &Offer,
    said: ConsumerProtocolSubscription,
) -> About {
    let mut topics = said.topics;
    topics.sort();
    topics.dedup();
    About {
        instance: (offer.instance().map(str::to_owned)).or_else(|| before.instance.clone()),
        rack: said.rack_id.or_else(|| before.rack.clone()),
        client_id: caller.client_id.to_owned(),
        client_host: caller.client_host.to_owned(),
        topics,
        pattern: None,
        rebalance_timeout_ms: offer.rebalance_timeout_ms(),
        assignor: None,
        classic: Some(ClassicSide {
            session_timeout_ms: offer.request.session_timeout_ms,
            protocols: offer.protocols.clone(),
        }),
    }
}

/// What a member says it owns, as far as its topics are there. One that gives everything up before it joins says
/// nothing, and owns nothing.
fn owned_in(said: &ConsumerProtocolSubscription, topics: &Image) -> Partitions {
    let mut owned = Partitions::default();
    for topic in &said.owned_partitions {
        if let Some(id) = topics.topic_named(&topic.topic).map(|topic| topic.id) {
            topic
                .partitions
                .iter()
                .for_each(|index| owned.insert(id, *index));
        }
    }
    owned
}

/// Partitions in the words of the classic protocol, in the version the member speaks.
pub(super) fn assignment(partitions: &Partitions, topics: &Image, side: &ClassicSide) -> Bytes {
    let of_topic = |(id, indexes): (_, &std::collections::BTreeSet<i32>)| {
        Some(TopicPartition {
            topic: topics.topic(id)?.name.clone(),
            partitions: indexes.iter().copied().collect(),
        })
    };
    let message = ConsumerProtocolAssignment {
        assigned_partitions: partitions.topics().filter_map(of_topic).collect(),
        user_data: None,
    };
    let said = side.protocols.first();
    let version = said.and_then(|(_, metadata)| metadata.first_chunk::<2>());
    let version = version.map_or(0, |bytes| i16::from_be_bytes(*bytes));
    let version = version.clamp(0, NEWEST_SUBSCRIPTION);
    let mut writer = Writer::new();
    writer.i16(version);
    match message.encode(&mut writer, version) {
        Ok(()) => writer.finish_value(),
        // Names of topics are shorter than what the wire can carry.
        Err(_) => Bytes::new(),
    }
}
