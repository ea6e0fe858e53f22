//! ConsumerGroupHeartbeat: joining, saying what one owns, hearing what to own, leaving (KIP-848).
//!
//! One request does it all. With member epoch 0 a member joins, with −1 it leaves, with −2 a static member is away for
//! a while; otherwise the epoch is the one it was last told. What it does not say stays as it was.

use super::after;
use super::alarms::Alarm;
use super::assignor::Assignor;
use super::consumer::{AWAY, ConsumerGroup, ConsumerMember};
use super::consumer_reconcile::{Target, reconcile};
use super::consumer_record::{About, ConsumerPart, Current, MemberState};
use super::kind::GroupKind;
use super::partitions::Partitions;
use super::record::Record;
use super::shard::{GroupConfig, MAX_GROUPS, Shard};
use super::topic_pattern::TopicPattern;
use super::turn::{Caller, Reply, Turn};
use super::{MAX_GROUP_BYTES, MAX_TEXT_BYTES, Refusal};
use crate::ids::{Time, TopicId};
use crate::wire::messages::consumer_group_heartbeat::{
    ConsumerGroupHeartbeatRequest, TopicPartitions,
};

/// The member epochs that mean something else.
const JOINS: i32 = 0;
const LEAVES: i32 = -1;
/// First version in which members make their ids themselves (KIP-1082).
const OWN_ID: i16 = 1;
/// Different regular expressions the members of a group may subscribe to.
const MAX_PATTERNS: usize = 256;

/// What a member is told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConsumerHeard {
    pub member_id: String,
    pub epoch: i32,
    pub heartbeat_interval_ms: i32,
    /// Everything it is to own now; `None` if that is what it was told before.
    pub assignment: Option<Partitions>,
}

/// Which member a request is from, as it was before.
#[derive(Default)]
pub(super) struct Seat {
    pub id: String,
    /// A static member takes the place of this one.
    pub replaces: Option<String>,
    pub before: ConsumerMember,
}

impl Shard {
    /// ConsumerGroupHeartbeat in this version.
    pub fn consumer_heartbeat(
        &mut self,
        caller: &Caller,
        request: &ConsumerGroupHeartbeatRequest,
        version: i16,
    ) -> Turn {
        let mut turn = Turn::default();
        let heard =
            validate(&self.config, request, version).and_then(|()| match request.member_epoch {
                LEAVES | AWAY => self.consumer_leave(&mut turn, caller, request),
                _ => self.consumer_stay(&mut turn, caller, request),
            });
        self.tell_consumer_state(&mut turn, caller.now, &request.group_id);
        turn.reply(caller.connection, Reply::ConsumerHeartbeat(heard));
        turn
    }

    /// A member was heard although nothing can be decided for it now: it is not to be thrown out for that.
    pub fn consumer_heard(&mut self, caller: &Caller, group: &str, id: &str) -> Turn {
        self.hear(caller.now, group, id);
        Turn::default()
    }

    fn consumer_stay(
        &mut self,
        turn: &mut Turn,
        caller: &Caller,
        request: &ConsumerGroupHeartbeatRequest,
    ) -> Result<ConsumerHeard, Refusal> {
        let name = &request.group_id;
        let owned = request.topic_partitions.as_deref().map(partitions_in);
        if request.member_epoch == JOINS {
            self.check_pattern(name, request.subscribed_topic_regex.as_deref())?;
            let said = Seat::default().about(caller, request);
            let bytes = request.member_id.len() + said.bytes();
            self.upgrade_if_classic(turn, caller, name, bytes)?;
        }
        let seat = self.seat(caller, request, owned.as_ref())?;
        let about = seat.about(caller, request);
        self.check_pattern(name, about.pattern.as_deref())?;
        self.check_bytes(name, &seat, &about)?;
        // Nothing is refused from here on: what is written stands.
        let current = self.sit_and_step(turn, caller, name, &seat, about, owned.as_ref());
        let whole = request.rebalance_timeout_ms != -1
            && (request.subscribed_topic_names.is_some()
                || request.subscribed_topic_regex.is_some())
            && owned.is_some();
        let news = whole
            || request.member_epoch == JOINS
            || current.assigned != seat.before.current.assigned;
        Ok(ConsumerHeard {
            member_id: seat.id,
            epoch: current.epoch,
            heartbeat_interval_ms: self.config.consumer_heartbeat_interval_ms,
            assignment: news.then_some(current.assigned),
        })
    }

    /// Writes down what a member says, and takes it a step towards what it is to own.
    pub(super) fn sit_and_step(
        &mut self,
        turn: &mut Turn,
        caller: &Caller,
        name: &str,
        seat: &Seat,
        about: About,
        owned: Option<&Partitions>,
    ) -> Current {
        let why = self.sit_down(turn, name, seat, about);
        self.renew_epoch(turn, caller, name, why);
        self.renew_targets(turn, caller.topics, name);
        self.step_on(turn, caller, name, &seat.id, owned)
    }

    /// Finds the member a request is from, or a place for it.
    fn seat(
        &self,
        caller: &Caller,
        request: &ConsumerGroupHeartbeatRequest,
        owned: Option<&Partitions>,
    ) -> Result<Seat, Refusal> {
        let joins = request.member_epoch == JOINS;
        let none = ConsumerGroup::default();
        let found = self.groups.get(&request.group_id);
        let group = match found.map(|group| &group.kind) {
            Some(GroupKind::Consumer(group)) => group,
            Some(GroupKind::Classic(classic)) if joins && classic.members.is_empty() => &none,
            None if joins && self.groups.len() < MAX_GROUPS => &none,
            None if joins => return Err(Refusal::NotAvailable),
            _ => return Err(Refusal::GroupNotFound),
        };
        let id = match request.member_id.is_empty() {
            // As Kafka makes them: 16 bytes in the 22 letters of its other ids.
            true => TopicId(caller.fresh.to_be_bytes()).to_string(),
            false => request.member_id.clone(),
        };
        let seat = group.seat(id, request, owned)?;
        let new = !group.members().contains_key(&seat.id) && seat.replaces.is_none();
        if new && group.members().len() >= self.config.consumer_max_size {
            return Err(Refusal::GroupFull);
        }
        Ok(seat)
    }

    /// Refuses what is too much for one group together with what the others say.
    pub(super) fn check_bytes(
        &self,
        name: &str,
        seat: &Seat,
        about: &About,
    ) -> Result<(), Refusal> {
        if *about == seat.before.about {
            return Ok(());
        }
        let members = self.consumer(name).into_iter();
        let members = members.flat_map(|group| group.members());
        let others =
            members.filter(|(id, _)| **id != seat.id && Some(*id) != seat.replaces.as_ref());
        let others: usize = others.map(|(id, m)| id.len() + m.about.bytes()).sum();
        match others + seat.id.len() + about.bytes() > MAX_GROUP_BYTES {
            true => Err(Refusal::GroupFull),
            false => Ok(()),
        }
    }

    /// Refuses an expression nobody subscribes to yet if it is none.
    fn check_pattern(&self, name: &str, pattern: Option<&str>) -> Result<(), Refusal> {
        let group = self.consumer(name);
        let patterns = group.map(|group| &group.kept.patterns);
        let Some(pattern) = pattern else {
            return Ok(());
        };
        if patterns.is_some_and(|patterns| patterns.contains_key(pattern)) {
            return Ok(());
        }
        if patterns.is_some_and(|patterns| patterns.len() >= MAX_PATTERNS) {
            return Err(Refusal::InvalidRegularExpression);
        }
        TopicPattern::new(pattern).map(|_| ())
    }

    /// Writes down who a member is and what it subscribes to, where that is new. Why the group's epoch is to grow for
    /// that, if it is.
    fn sit_down(
        &mut self,
        turn: &mut Turn,
        name: &str,
        seat: &Seat,
        about: About,
    ) -> Option<String> {
        let id = &seat.id;
        self.empty_to_consumer(turn, name);
        if let Some(before) = &seat.replaces {
            self.replace_member(turn, name, before, seat);
        }
        let group = self.consumer(name);
        let known = group.is_some_and(|group| group.members().contains_key(id));
        let first = group.is_none_or(|group| group.epoch() == 0);
        let same = about == seat.before.about;
        let resubscribed =
            about.topics != seat.before.about.topics || about.pattern != seat.before.about.pattern;
        if !known || !same {
            let (id, about) = (id.clone(), Some(about));
            self.write_part(turn, name, ConsumerPart::Member { id, about });
        }
        match known {
            false => Some(format!("{id} joins")),
            true if resubscribed => Some(format!("{id} has another subscription")),
            true => first.then(|| format!("{id} joins")),
        }
    }

    /// A static member is back under another member id (KIP-345): it gets what the one before had.
    fn replace_member(&mut self, turn: &mut Turn, name: &str, before: &str, seat: &Seat) {
        let target = self.consumer(name).and_then(|group| group.target(before));
        let target = target.cloned();
        self.remove_member(turn, name, before);
        let id = || seat.id.clone();
        let member = ConsumerPart::Member {
            id: id(),
            about: Some(seat.before.about.clone()),
        };
        let target = ConsumerPart::Target {
            id: id(),
            partitions: target,
        };
        let current = ConsumerPart::Current {
            id: id(),
            current: Some(seat.before.current.clone()),
        };
        for part in [member, target, current] {
            self.write_part(turn, name, part);
        }
    }

    /// Takes a member a step towards what it is to own.
    fn step_on(
        &mut self,
        turn: &mut Turn,
        caller: &Caller,
        name: &str,
        id: &str,
        owned: Option<&Partitions>,
    ) -> Current {
        let group = self.consumer(name).expect("its member was written");
        let kept = &group.kept;
        let member = kept.members.get(id).expect("it was written");
        let nothing = Partitions::default();
        let target = Target {
            epoch: kept.target_epoch,
            partitions: kept.targets.get(id).unwrap_or(&nothing),
        };
        let is_free = |topic, index| !kept.owners.contains_key(&(topic, index));
        let next = reconcile(&member.current, &target, is_free, owned);
        let changed = next != member.current;
        let timeout_ms = member.about.rebalance_timeout_ms;
        let is_classic = member.is_classic();
        if changed {
            let (id, current) = (id.to_owned(), Some(next.clone()));
            self.write_part(turn, name, ConsumerPart::Current { id, current });
        }
        self.hear(caller.now, name, id);
        // One of the classic protocol has joined: it must sync next. The others must give up what they are asked to.
        let waits = is_classic || next.state == MemberState::UnrevokedPartitions;
        if changed || is_classic {
            let by = waits.then(|| after(caller.now, timeout_ms));
            self.await_step(name, id, by);
        }
        next
    }

    /// A member was heard.
    pub(super) fn hear(&mut self, now: Time, name: &str, id: &str) {
        let Some(GroupKind::Consumer(group)) = self.groups.get_mut(name).map(|g| &mut g.kind)
        else {
            return;
        };
        let Some(member) = group.kept.members.get(id) else {
            return;
        };
        let until = after(now, self.config.session_timeout_ms(member));
        let before = group.clocks.get(id).map(|clock| clock.session_until);
        group.clocks.entry(id.to_owned()).or_default().session_until = until;
        // One that was set for later would be too late.
        if before.is_none_or(|before| until < before) {
            self.alarms.set(until, name, Alarm::Session(id.to_owned()));
        }
    }

    /// By when a member must have done what is waited for, if anything is.
    pub(super) fn await_step(&mut self, name: &str, id: &str, by: Option<Time>) {
        if let Some(clock) = self.clock(name, id) {
            clock.step_by = by;
        }
        if let Some(by) = by {
            self.alarms.set(by, name, Alarm::Step(id.to_owned()));
        }
    }

    /// A group of the new protocol.
    pub(super) fn consumer(&self, name: &str) -> Option<&ConsumerGroup> {
        match self.groups.get(name).map(|group| &group.kind) {
            Some(GroupKind::Consumer(group)) => Some(group),
            _ => None,
        }
    }

    pub(super) fn write_part(&mut self, turn: &mut Turn, name: &str, part: ConsumerPart) {
        let record = Record::Consumer {
            group: name.to_owned(),
            part,
        };
        self.apply(&record);
        turn.records.push(record);
    }
}

impl ConsumerGroup {
    fn seat(
        &self,
        id: String,
        request: &ConsumerGroupHeartbeatRequest,
        owned: Option<&Partitions>,
    ) -> Result<Seat, Refusal> {
        let joins = request.member_epoch == JOINS;
        let mut sits = self.members().get(&id);
        if let Some(instance) = request.instance_id.as_deref() {
            match self.by_instance(instance) {
                None if joins => {}
                None => return Err(Refusal::UnknownMember),
                // One of the classic protocol starts again without leaving.
                Some((other, member))
                    if joins && (member.current.epoch == AWAY || member.is_classic()) =>
                {
                    return Ok(Seat::of_returned(id, other, member));
                }
                Some((other, _)) if joins && *other != id => {
                    return Err(Refusal::UnreleasedInstance);
                }
                Some((other, _)) if *other != id => return Err(Refusal::FencedInstance),
                Some((_, member)) => sits = Some(member),
            }
        }
        match sits {
            Some(member) if !joins => member.check_epoch(request.member_epoch, owned)?,
            // Who joins again owns nothing: it goes on from there with what is its own.
            Some(_) => {}
            None if joins => {}
            None => return Err(Refusal::UnknownMember),
        }
        Ok(Seat {
            id,
            replaces: None,
            before: sits.cloned().unwrap_or_default(),
        })
    }
}

impl ConsumerMember {
    /// Compares the epoch a member says it is in with the one it is in.
    fn check_epoch(&self, said: i32, owned: Option<&Partitions>) -> Result<(), Refusal> {
        let current = &self.current;
        // The answer that took it over to its epoch may have been lost.
        let lost = said == current.previous_epoch
            && said < current.epoch
            && owned.is_some_and(|owned| owned.is_within(&current.assigned));
        match said == current.epoch || lost {
            true => Ok(()),
            false => Err(Refusal::FencedMemberEpoch),
        }
    }
}

impl Seat {
    /// Of a static member that has started again under this member id.
    pub fn of_returned(id: String, other: &str, member: &ConsumerMember) -> Seat {
        let mut before = member.clone();
        before.current.epoch = JOINS;
        before.current.previous_epoch = JOINS;
        before.current.state = MemberState::Stable;
        before.current.revoking = Partitions::default();
        Seat {
            id,
            replaces: Some(other.to_owned()),
            before,
        }
    }

    /// Who the member is and what it subscribes to, now that it has said so.
    fn about(&self, caller: &Caller, request: &ConsumerGroupHeartbeatRequest) -> About {
        let mut about = self.before.about.clone();
        about.classic = None;
        caller.client_id.clone_into(&mut about.client_id);
        caller.client_host.clone_into(&mut about.client_host);
        let change = |field: &mut Option<String>, said: &Option<String>| {
            if said.is_some() {
                field.clone_from(said);
            }
        };
        change(&mut about.instance, &request.instance_id);
        change(&mut about.rack, &request.rack_id);
        change(&mut about.assignor, &request.server_assignor);
        if request.rebalance_timeout_ms != -1 {
            about.rebalance_timeout_ms = request.rebalance_timeout_ms;
        }
        if let Some(topics) = &request.subscribed_topic_names {
            about.topics.clone_from(topics);
            about.topics.sort();
            about.topics.dedup();
        }
        if let Some(pattern) = &request.subscribed_topic_regex {
            // Without a letter it is no subscription any more.
            about.pattern = (!pattern.is_empty()).then(|| pattern.clone());
        }
        about
    }
}

fn partitions_in(topics: &[TopicPartitions]) -> Partitions {
    let all = topics.iter();
    all.flat_map(|t| t.partitions.iter().map(|index| (t.topic_id, *index)))
        .collect()
}

/// Refuses what makes no sense in any group, in Kafka's order and words.
fn validate(
    config: &GroupConfig,
    request: &ConsumerGroupHeartbeatRequest,
    version: i16,
) -> Result<(), Refusal> {
    let is_empty = |text: &Option<String>| text.as_deref().is_some_and(str::is_empty);
    let epoch = request.member_epoch;
    let has_id = version >= OWN_ID || epoch > JOINS || epoch == LEAVES;
    let owns_nothing = request.topic_partitions.as_ref().is_some_and(Vec::is_empty);
    let subscribes =
        request.subscribed_topic_names.is_some() || request.subscribed_topic_regex.is_some();
    let why = match epoch {
        _ if has_id && request.member_id.is_empty() => "MemberId can't be empty.",
        _ if request.group_id.is_empty() => "GroupId can't be empty.",
        _ if request.member_id.len() > MAX_TEXT_BYTES => "MemberId is longer than 32767 bytes.",
        _ if is_empty(&request.instance_id) => "InstanceId can't be empty.",
        _ if is_empty(&request.rack_id) => "RackId can't be empty.",
        JOINS if request.rebalance_timeout_ms == -1 => {
            "RebalanceTimeoutMs must be provided in first request."
        }
        JOINS if !owns_nothing => "TopicPartitions must be empty when (re-)joining.",
        JOINS if !subscribes => {
            "Either SubscribedTopicNames or SubscribedTopicRegex must be non-null when (re-)joining."
        }
        AWAY if request.instance_id.is_none() => "InstanceId can't be null.",
        ..AWAY => "MemberEpoch is invalid.",
        _ => "",
    };
    if !why.is_empty() {
        return Err(Refusal::InvalidRequest(why));
    }
    let wanted = request.server_assignor.as_deref();
    let known = |name: &str| Assignor::named(name).is_some_and(|a| config.assignors.contains(&a));
    match wanted.is_none_or(known) {
        true => Ok(()),
        false => Err(Refusal::UnsupportedAssignor),
    }
}
