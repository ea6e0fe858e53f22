//! JoinGroup: becoming a member, and saying again what one subscribes to.
//!
//! A member without an id is given one and asked to come back with it (KIP-394), so that a client that never reads
//! its answer leaves no member behind. A member with a `group.instance.id` that starts again takes its old place
//! (KIP-345).

use bytes::Bytes;

use super::alarms::Alarm;
use super::classic::{CONSUMER, ClassicGroup, ClassicState, Member, Scope, bytes_of, subscription};
use super::turn::{Caller, Reply};
use super::{MAX_GROUP_BYTES, MAX_TEXT_BYTES, Refusal, after};
use crate::wire::messages::join_group::JoinGroupRequest;

/// First version in which members come back with the id they were given.
const ID_REQUIRED: i16 = 4;
/// First version in which a leader can be told not to assign (KIP-814).
const SKIPS_ASSIGNMENT: i16 = 9;
/// Milliseconds a new member may wait for its first rebalance to complete.
const NEW_MEMBER_MS: i32 = 300_000;
/// Bytes of a client's name that its member ids begin with.
const MAX_FRONT_BYTES: usize = 255;
/// Bytes kept of the reason a client gives for joining or leaving.
const MAX_REASON_BYTES: usize = 255;
/// Member ids one group gives out that have not joined yet.
const MAX_PENDING: usize = 10_000;

/// A member is in a generation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Joined {
    pub generation: i32,
    pub protocol_type: Option<String>,
    pub protocol: Option<String>,
    pub leader: String,
    pub member_id: String,
    pub skip_assignment: bool,
    /// For the leader: everybody, with what they say to the chosen protocol.
    pub members: Vec<JoinedMember>,
}

/// One of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JoinedMember {
    pub id: String,
    pub instance: Option<String>,
    pub metadata: Bytes,
}

/// A refusal, with the member id it is told to.
pub(super) type NotJoined = (Refusal, String);

/// What a member says in its request.
pub(super) struct Offer<'a> {
    caller: &'a Caller<'a>,
    pub request: &'a JoinGroupRequest,
    version: i16,
    pub protocols: Vec<(String, Bytes)>,
}

impl<'a> Offer<'a> {
    pub fn new(caller: &'a Caller<'a>, request: &'a JoinGroupRequest, version: i16) -> Offer<'a> {
        // The frame is not kept for the few bytes of it.
        let copied = |metadata: &Bytes| Bytes::copy_from_slice(metadata);
        let protocols = request.protocols.iter();
        Offer {
            caller,
            request,
            version,
            protocols: protocols
                .map(|p| (p.name.clone(), copied(&p.metadata)))
                .collect(),
        }
    }

    pub fn instance(&self) -> Option<&'a str> {
        self.request.group_instance_id.as_deref()
    }

    pub fn rebalance_timeout_ms(&self) -> i32 {
        match self.request.rebalance_timeout_ms {
            // Version 0 has none.
            ..0 => self.request.session_timeout_ms,
            timeout_ms => timeout_ms,
        }
    }

    /// Bytes the member says of itself.
    pub fn bytes(&self) -> usize {
        let names = self.instance().map_or(0, str::len) + self.caller.client_id.len();
        names + bytes_of(&self.protocols)
    }

    /// Whether a new member is given an id and comes back with it.
    pub fn needs_id(&self) -> bool {
        self.version >= ID_REQUIRED
    }

    /// Refuses what could not be written down once everybody has joined.
    pub fn check_texts(&self) -> Result<(), Refusal> {
        let names = self.protocols.iter().map(|(name, _)| name.as_str());
        let mut texts = names
            .chain(self.instance())
            .chain([&*self.request.protocol_type]);
        match texts.any(|text| text.len() > MAX_TEXT_BYTES) {
            true => Err(Refusal::InvalidRequest("a name is longer than 32767 bytes")),
            false => Ok(()),
        }
    }

    pub fn fresh_id(&self) -> String {
        let front = self.instance().unwrap_or(self.caller.client_id);
        let front = &front[..front.floor_char_boundary(MAX_FRONT_BYTES)];
        let fresh = self.caller.fresh;
        let (a, b, c) = (fresh >> 96, fresh >> 80 & 0xffff, fresh >> 64 & 0xffff);
        let (d, e) = (fresh >> 48 & 0xffff, fresh & 0xffff_ffff_ffff);
        format!("{front}-{a:08x}-{b:04x}-{c:04x}-{d:04x}-{e:012x}")
    }

    /// Why it comes, in a sentence for people.
    pub fn why(&self, what: &str, id: &str) -> String {
        with_reason(format!("{id} {what}"), self.request.reason.as_deref())
    }
}

impl ClassicGroup {
    /// A member joins, or joins again. Without an error it is answered by and by.
    pub(super) fn join(&mut self, scope: &mut Scope, offer: &Offer) -> Result<(), NotJoined> {
        let id = &offer.request.member_id;
        let refuse = |refusal| Err((refusal, id.clone()));
        if let Err(refusal) = offer.check_texts() {
            return refuse(refusal);
        }
        if !self.supports(&offer.request.protocol_type, &offer.protocols) {
            return refuse(Refusal::InconsistentProtocol);
        }
        if self.is_full(scope, offer) || self.is_too_large_with(offer) {
            return refuse(Refusal::GroupFull);
        }
        if id.is_empty() {
            return self.join_unknown(scope, offer);
        }
        if offer.instance().is_none() && self.pending.remove(id).is_some() {
            scope.forget(&Alarm::Pending(id.clone()));
            self.add(scope, offer, id.clone());
            return Ok(());
        }
        match self.known(id, offer.instance()) {
            Err(refusal) => refuse(refusal),
            Ok(()) => self.join_again(scope, offer, id),
        }
    }

    fn is_full(&self, scope: &Scope, offer: &Offer) -> bool {
        let id = &offer.request.member_id;
        let replaces = offer
            .instance()
            .is_some_and(|i| self.by_instance(i).is_some());
        let counted = self.members.contains_key(id) || self.pending.contains_key(id) || replaces;
        let most = scope.config.max_size;
        !counted && (self.members.len() >= most || self.pending.len() >= MAX_PENDING)
    }

    fn is_too_large_with(&self, offer: &Offer) -> bool {
        let others = self.members.iter();
        let others = others.filter(|(id, _)| **id != offer.request.member_id);
        let bytes: usize = others.map(|(_, member)| member.bytes()).sum();
        bytes + offer.bytes() > MAX_GROUP_BYTES
    }

    fn join_unknown(&mut self, scope: &mut Scope, offer: &Offer) -> Result<(), NotJoined> {
        let id = offer.fresh_id();
        if let Some(instance) = offer.instance() {
            match self.by_instance(instance).map(str::to_owned) {
                Some(before) => self.replace(scope, offer, &before, id),
                None => self.add(scope, offer, id),
            }
            return Ok(());
        }
        if offer.needs_id() {
            let until = after(scope.now, offer.request.session_timeout_ms);
            self.pending.insert(id.clone(), until);
            scope.set(until, Alarm::Pending(id.clone()));
            return Err((Refusal::MemberIdRequired, id));
        }
        self.add(scope, offer, id);
        Ok(())
    }

    fn member(&mut self, scope: &Scope, offer: &Offer) -> Member {
        self.seniority += 1;
        Member {
            instance: offer.instance().map(str::to_owned),
            client_id: offer.caller.client_id.to_owned(),
            client_host: offer.caller.client_host.to_owned(),
            session_timeout_ms: offer.request.session_timeout_ms,
            rebalance_timeout_ms: offer.rebalance_timeout_ms(),
            protocols: offer.protocols.clone(),
            assignment: Bytes::new(),
            seniority: self.seniority,
            awaits_join: Some(offer.caller.connection),
            awaits_sync: None,
            synced: false,
            session_until: after(scope.now, offer.request.session_timeout_ms),
            new_until: Some(after(scope.now, NEW_MEMBER_MS)),
        }
    }

    fn add(&mut self, scope: &mut Scope, offer: &Offer, id: String) {
        let member = self.member(scope, offer);
        self.protocol_type = Some(offer.request.protocol_type.clone());
        scope.set(member.session_until, Alarm::Session(id.clone()));
        if let Some(initial) = &mut self.initial {
            initial.grown = true;
        }
        let why = offer.why("joins", &id);
        self.members.insert(id, member);
        self.rebalance(scope, why);
    }

    /// A static member has started again under a new member id.
    fn replace(&mut self, scope: &mut Scope, offer: &Offer, before: &str, id: String) {
        let mut member = self.member(scope, offer);
        let old = self.members.remove(before).expect("it was found");
        scope.forget(&Alarm::Session(before.to_owned()));
        if let Some(to) = old.awaits_join {
            let fenced = Reply::NotJoined(Refusal::FencedInstance, before.to_owned());
            scope.turn.reply(to, fenced);
        }
        if let Some(to) = old.awaits_sync {
            let fenced = Reply::Synced(Err(Refusal::FencedInstance));
            scope.turn.reply(to, fenced);
        }
        let protocol = self.protocol.clone().unwrap_or_default();
        let topics = |member: &Member| member.metadata(&protocol).and_then(subscription);
        let same_topics = self.protocol_type.as_deref() != Some(CONSUMER)
            || topics(&old).map(sorted) == topics(&member).map(sorted);
        member.assignment = old.assignment;
        member.seniority = old.seniority;
        member.synced = true;
        member.new_until = None;
        scope.set(member.session_until, Alarm::Session(id.clone()));
        self.members.insert(id.clone(), member);
        let leader_before = self.leader.clone().unwrap_or_default();
        if leader_before == before {
            self.leader = Some(id.clone());
        }
        let stays = self.best_protocol() == self.protocol && same_topics;
        match self.state {
            ClassicState::Stable if stays => {
                scope.turn.records.push(self.record(scope.name));
                let skips = offer.version >= SKIPS_ASSIGNMENT;
                self.tell_current(scope, &id, (!skips).then_some(leader_before));
            }
            _ => self.rebalance(scope, offer.why("took its static place again", &id)),
        }
    }

    /// Answers a member that joined with the generation that is.
    fn tell_current(&mut self, scope: &mut Scope, id: &str, leader: Option<String>) {
        let member = self.members.get_mut(id).expect("it joined");
        let Some(to) = member.awaits_join.take() else {
            return;
        };
        let mut joined = self.joined(id);
        joined.skip_assignment = !joined.members.is_empty();
        if let Some(leader) = leader {
            // It cannot be told to skip the assignment, so it is told that another leads.
            joined.leader = leader;
            joined.members.clear();
            joined.skip_assignment = false;
        }
        scope.turn.reply(to, Reply::Joined(Box::new(joined)));
    }

    fn join_again(&mut self, scope: &mut Scope, offer: &Offer, id: &str) -> Result<(), NotJoined> {
        let leads = self.leader.as_deref() == Some(id);
        let member = self.members.get_mut(id).expect("it is known");
        let same = member.protocols == offer.protocols;
        let again = match self.state {
            ClassicState::PreparingRebalance => true,
            ClassicState::CompletingRebalance => !same,
            ClassicState::Stable => leads || !same,
            ClassicState::Empty | ClassicState::Dead => {
                return Err((Refusal::UnknownMember, id.to_owned()));
            }
        };
        if let Some(earlier) = member.awaits_join.replace(offer.caller.connection) {
            // It asked once more before the first was answered: nobody reads that answer any more.
            let stale = Reply::NotJoined(Refusal::RebalanceInProgress, id.to_owned());
            scope.turn.reply(earlier, stale);
        }
        member.session_until = after(scope.now, offer.request.session_timeout_ms);
        if !again {
            let member = self.members.get_mut(id).expect("it is known");
            let to = member.awaits_join.take().expect("it was put there");
            let joined = self.joined(id);
            scope.turn.reply(to, Reply::Joined(Box::new(joined)));
            return Ok(());
        }
        member.protocols.clone_from(&offer.protocols);
        member.session_timeout_ms = offer.request.session_timeout_ms;
        member.rebalance_timeout_ms = offer.rebalance_timeout_ms();
        let what = match same {
            true => "joins again",
            false => "has another subscription",
        };
        self.rebalance(scope, offer.why(what, id));
        Ok(())
    }

    /// What a member is told of the generation that is.
    pub(super) fn joined(&self, id: &str) -> Joined {
        let leads = self.leader.as_deref() == Some(id);
        let protocol = self.protocol.as_deref().unwrap_or_default();
        let member = |(id, member): (&String, &Member)| JoinedMember {
            id: id.clone(),
            instance: member.instance.clone(),
            metadata: member.metadata(protocol).cloned().unwrap_or_default(),
        };
        Joined {
            generation: self.generation,
            protocol_type: self.protocol_type.clone(),
            protocol: self.protocol.clone(),
            leader: self.leader.clone().unwrap_or_default(),
            member_id: id.to_owned(),
            skip_assignment: false,
            members: match leads {
                true => self.members.iter().map(member).collect(),
                false => Vec::new(),
            },
        }
    }
}

/// A sentence with what a client says why, as far as Kafka's own clients say it (KIP-800).
pub(super) fn with_reason(what: String, reason: Option<&str>) -> String {
    match reason {
        Some(reason) if !reason.is_empty() => {
            let end = reason.floor_char_boundary(MAX_REASON_BYTES);
            format!("{what} ({})", &reason[..end])
        }
        _ => what,
    }
}

fn sorted(mut topics: Vec<String>) -> Vec<String> {
    topics.sort();
    topics
}
