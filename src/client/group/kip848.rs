//! KIP-848's protocol: one heartbeat that joins, tells what the member has, and brings what it is to have.
//!
//! An assignment is taken in steps: what went is given up, the new is taken, and the heartbeat says so at once.

use std::collections::{BTreeMap, BTreeSet};

use super::coordinator::{Ask, Sent, pause_ms};
use super::events::GroupEvent;
use super::subscription::by_topic;
use super::{GroupConfig, GroupConsumer, GroupProtocol, MAX_OWNED, MemberState, Subscription};
use crate::client::CallError;
use crate::client::consumer::Place;
use crate::client::links::{Answer, Lane};
use crate::ids::{PartitionIndex, Time, TopicId};
use crate::wire::messages::consumer_group_heartbeat::{
    Assignment, ConsumerGroupHeartbeatRequest, ConsumerGroupHeartbeatResponse, TopicPartitions,
};
use crate::wire::{ApiKey, ErrorCode, Writer};

/// The epoch of a member that joins.
const JOINING: i32 = 0;
/// The epoch of a member that leaves.
const LEAVING: i32 = -1;
/// The epoch of a static member that leaves and may come back.
const LEAVING_STATIC: i32 = -2;
/// What a heartbeat says when nothing changed: no rebalance timeout.
const UNCHANGED_MS: i32 = -1;
/// No coordinator makes members beat faster, milliseconds …
const MIN_INTERVAL_MS: i32 = 50;
/// … or slower.
const MAX_INTERVAL_MS: i32 = 60_000;
/// Between two heartbeats of which the second tells of a change, milliseconds: also a coordinator that always wants
/// something else does not make a member beat at the network's speed.
const MIN_PAUSE_MS: i64 = 10;

/// Partition numbers by topic id.
type ByTopicId = BTreeMap<TopicId, BTreeSet<i32>>;

/// What a member of KIP-848's protocol remembers beside its epoch.
#[derive(Default)]
pub(super) struct Modern {
    in_flight: bool,
    /// What the coordinator was told last that the member has; `None` if it must be told everything.
    told: Option<ByTopicId>,
    /// What the coordinator wants it to have, until it has it.
    target: Option<ByTopicId>,
    interval_ms: i32,
    /// An assignment came that the coordinator has not heard back of.
    unacknowledged: bool,
    /// No heartbeat tells of a change before.
    next_told: Time,
}

impl GroupConfig {
    /// The id a member begins with.
    pub(super) fn first_member_id(&self) -> String {
        match &self.protocol {
            GroupProtocol::Classic { .. } => String::new(),
            GroupProtocol::Consumer { member_id, .. } => member_id.clone(),
        }
    }
}

impl GroupConsumer {
    pub(super) fn step_modern(&mut self, now: Time) {
        let member = matches!(
            self.member.state,
            MemberState::Unjoined | MemberState::Joining | MemberState::Stable
        );
        if self.leaving.is_some() || !member {
            return;
        }
        if self.member.state == MemberState::Stable {
            self.reconcile(now);
        }
        let pausing = self.member.not_before.is_some_and(|at| at > now);
        let joins = self.member.state == MemberState::Unjoined;
        let told = self.modern.told.as_ref();
        let tells = told.is_none_or(|told| *told != self.has());
        let may_tell = self.modern.next_told <= now;
        let due = joins || (tells && may_tell) || self.member.next_heartbeat <= now;
        if due && !pausing && !self.modern.in_flight && self.member.state != MemberState::Joining {
            self.send_modern_heartbeat(now);
        }
    }

    /// When the next heartbeat is due.
    pub(super) fn modern_wakeup(&self) -> Option<Time> {
        let modern = matches!(self.config.protocol, GroupProtocol::Consumer { .. });
        let stable = self.member.state == MemberState::Stable;
        let next = match self.modern.next_told > self.last_step {
            true => self.member.next_heartbeat.min(self.modern.next_told),
            false => self.member.next_heartbeat,
        };
        Some(next).filter(|_| modern && stable)
    }

    /// Whether the member has what it was told to have and has not said so yet: also where it had that already, because
    /// the coordinator may wait to hear that what it never took is given up.
    fn acknowledges(&self) -> bool {
        self.modern.unacknowledged && self.modern.target.is_none()
    }

    /// What the member has, by topic id.
    fn has(&self) -> ByTopicId {
        let topics = by_topic(self.owned.keys()).into_iter();
        let by_id = |(topic, partitions): (String, Vec<i32>)| {
            let id = self.cluster().topic_id(&topic);
            (id, partitions.into_iter().collect())
        };
        topics.map(by_id).collect()
    }

    fn send_modern_heartbeat(&mut self, now: Time) {
        let joining = self.member.state == MemberState::Unjoined;
        if joining && self.coordinator.known.is_none() {
            return;
        }
        let has = self.has();
        let request = self.heartbeat_request(joining, &has);
        let ask = Ask::of(ApiKey::ConsumerGroupHeartbeat, Lane::Group);
        let write = |writer: &mut Writer, version| request.encode(writer, version);
        if !self.ask_coordinator(now, ask, Sent::ModernHeartbeat, write) {
            return;
        }
        self.modern.in_flight = true;
        self.modern.next_told = now.plus_ms(MIN_PAUSE_MS);
        self.modern.told = Some(has);
        if self.modern.target.is_none() {
            self.modern.unacknowledged = false;
        }
        let interval_ms = self.modern.interval_ms.max(MIN_INTERVAL_MS);
        self.member.next_heartbeat = now.plus_ms(interval_ms.into());
        if joining {
            self.member.state = MemberState::Joining;
            let why = "the member is in no epoch".to_owned();
            self.events.add(GroupEvent::RebalanceBegan { why });
        }
    }

    /// What does not change is told when joining, and when the coordinator may have missed it.
    fn heartbeat_request(&self, joining: bool, has: &ByTopicId) -> ConsumerGroupHeartbeatRequest {
        let mut request = ConsumerGroupHeartbeatRequest {
            group_id: self.config.group_id.clone(),
            member_id: self.member.id.clone(),
            member_epoch: if joining {
                JOINING
            } else {
                self.member.generation
            },
            instance_id: self.config.instance_id.clone(),
            rebalance_timeout_ms: UNCHANGED_MS,
            ..ConsumerGroupHeartbeatRequest::default()
        };
        let all = joining || self.modern.told.is_none();
        if all {
            request.rebalance_timeout_ms = self.config.max_poll_interval_ms;
            match &self.config.subscription {
                Subscription::Topics(topics) => {
                    request.subscribed_topic_names = Some(topics.clone());
                }
                Subscription::Pattern(pattern) => {
                    request.subscribed_topic_names = Some(Vec::new());
                    request.subscribed_topic_regex = Some(pattern.clone());
                }
            }
            if let GroupProtocol::Consumer { assignor, .. } = &self.config.protocol {
                request.server_assignor = assignor.clone();
            }
        }
        if all || self.modern.told.as_ref() != Some(has) || self.acknowledges() {
            let one = |(id, partitions): (&TopicId, &BTreeSet<i32>)| TopicPartitions {
                topic_id: *id,
                partitions: partitions.iter().copied().collect(),
            };
            request.topic_partitions = Some(has.iter().map(one).collect());
        }
        request
    }

    pub(super) fn on_modern_heartbeat(&mut self, now: Time, mut answer: Answer) {
        self.modern.in_flight = false;
        let decoded = ConsumerGroupHeartbeatResponse::decode(&mut answer.reader, answer.version);
        let Ok(response) = decoded else {
            self.beat_again(now);
            return;
        };
        let error = ErrorCode::from_code(response.error_code);
        match error {
            Some(ErrorCode::None) => self.on_epoch(now, response),
            Some(error @ (ErrorCode::FencedMemberEpoch | ErrorCode::UnknownMemberId)) => {
                self.fence(now, error);
            }
            _ if self.is_coordinators(now, error) => self.beat_again(now),
            _ => self.fail(CallError::broker(
                response.error_code,
                response.error_message,
            )),
        }
    }

    /// The heartbeat may not have been heard: the next tells everything again.
    pub(super) fn beat_again(&mut self, now: Time) {
        self.modern.in_flight = false;
        self.modern.told = None;
        if self.member.state == MemberState::Joining {
            self.member.state = MemberState::Unjoined;
        }
        self.member.not_before = Some(now.plus_ms(pause_ms(self.member.failures)));
        self.member.failures = self.member.failures.saturating_add(1);
    }

    /// The coordinator goes on without the member: what it had is lost, and it joins as at first.
    fn fence(&mut self, now: Time, error: ErrorCode) {
        self.lose_all();
        self.forget_membership();
        let why = error.name().to_owned();
        self.events.add(GroupEvent::RebalanceBegan { why });
        self.beat_again(now);
    }

    fn on_epoch(&mut self, now: Time, response: ConsumerGroupHeartbeatResponse) {
        // A member that has joined is never in the epoch of one that joins.
        if response.member_epoch <= JOINING {
            self.beat_again(now);
            return;
        }
        self.member.failures = 0;
        self.member.not_before = None;
        self.member.last_heard = now;
        let interval_ms = response.heartbeat_interval_ms;
        self.modern.interval_ms = interval_ms.clamp(MIN_INTERVAL_MS, MAX_INTERVAL_MS);
        let next = now.plus_ms(self.modern.interval_ms.into());
        self.member.next_heartbeat = next;
        // Brokers before version 1 made the id.
        if let Some(id) = response.member_id.filter(|id| !id.is_empty()) {
            self.member.id = id;
        }
        let joined = self.member.state == MemberState::Joining;
        if joined || response.member_epoch != self.member.generation {
            self.member.state = MemberState::Stable;
            self.member.generation = response.member_epoch;
            self.events.add(GroupEvent::Joined {
                generation: response.member_epoch,
                member_id: self.member.id.clone(),
                leader: false,
                assignor: None,
            });
        }
        if let Some(assignment) = response.assignment {
            self.take_target(assignment);
        }
    }

    fn take_target(&mut self, assignment: Assignment) {
        let mut target = ByTopicId::new();
        for topic in assignment.topic_partitions {
            let partitions = target.entry(topic.topic_id).or_default();
            partitions.extend(topic.partitions);
        }
        if target.values().map(BTreeSet::len).sum::<usize>() > MAX_OWNED {
            let why = format!("an assignment of more than {MAX_OWNED} partitions");
            self.fail(CallError::Malformed(why));
            return;
        }
        target.retain(|_, partitions| !partitions.is_empty());
        if target != self.has() {
            let why = "the coordinator wants the member to have other partitions".to_owned();
            self.events.add(GroupEvent::RebalanceBegan { why });
            // A release that is under way was for another assignment.
            self.cancel_release();
        }
        self.modern.target = Some(target);
        self.modern.unacknowledged = true;
    }

    /// Gives up what went; once that is done, takes what is new.
    fn reconcile(&mut self, now: Time) {
        let Some(target) = self.modern.target.take() else {
            return;
        };
        let mut wanted: BTreeSet<Place> = BTreeSet::new();
        let mut unknown = false;
        for (id, partitions) in &target {
            let Some(name) = self.cluster().topic_name(*id).map(str::to_owned) else {
                unknown = true;
                self.links_mut().want_topic_id(now, *id);
                continue;
            };
            let place = |index: &i32| (name.clone(), PartitionIndex(*index));
            wanted.extend(partitions.iter().map(place));
        }
        let owned: BTreeSet<Place> = self.owned.keys().cloned().collect();
        self.begin_release(now, owned.difference(&wanted).cloned().collect());
        if !self.is_released(now) {
            self.modern.target = Some(target);
            return;
        }
        let new: Vec<Place> = wanted.difference(&owned).cloned().collect();
        if !new.is_empty() {
            self.take_over(now, new);
        }
        // What is not known by name yet is taken once it is.
        self.modern.target = Some(target).filter(|_| unknown);
    }

    /// The epoch with which the member says that it goes.
    pub(super) fn leave_request(&self) -> ConsumerGroupHeartbeatRequest {
        let is_static = self.config.instance_id.is_some();
        ConsumerGroupHeartbeatRequest {
            group_id: self.config.group_id.clone(),
            member_id: self.member.id.clone(),
            member_epoch: if is_static { LEAVING_STATIC } else { LEAVING },
            instance_id: self.config.instance_id.clone(),
            rebalance_timeout_ms: UNCHANGED_MS,
            ..ConsumerGroupHeartbeatRequest::default()
        }
    }
}
