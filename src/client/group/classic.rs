//! The classic protocol: JoinGroup, SyncGroup, Heartbeat. Errors are taken as Kafka's own consumer takes them.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;

use super::assignors::{Assignor, Subscriber};
use super::coordinator::{Ask, Sent, pause_ms};
use super::events::GroupEvent;
use super::kip848::Modern;
use super::subscription::{
    Holding, decode_assignment, decode_subscriber, encode_assignment, encode_subscription,
};
use super::{GroupConsumer, GroupProtocol, MemberState, NO_GENERATION};
use crate::client::CallError;
use crate::client::consumer::Place;
use crate::client::links::{Answer, Lane};
use crate::ids::Time;
use crate::wire::messages::heartbeat::{HeartbeatRequest, HeartbeatResponse};
use crate::wire::messages::join_group::{
    JoinGroupRequest, JoinGroupRequestProtocol, JoinGroupResponse,
};
use crate::wire::messages::sync_group::{
    SyncGroupRequest, SyncGroupRequestAssignment, SyncGroupResponse,
};
use crate::wire::{ApiKey, ErrorCode, Writer};

/// The protocol type of groups of consumers.
const PROTOCOL_TYPE: &str = "consumer";
/// A rebalance may take this much longer than members are given, as Kafka's consumer has it, milliseconds.
const JOIN_LAPSE_MS: i64 = 5_000;
/// How long a leader waits to hear of a topic it does not know, milliseconds.
const METADATA_PATIENCE_MS: i64 = 3_000;
/// Members one leader shares partitions out to.
const MAX_MEMBERS: usize = 10_000;
/// Topics one leader shares out.
const MAX_GROUP_TOPICS: usize = 10_000;

/// What a member of a classic group remembers beside its generation.
#[derive(Default)]
pub(super) struct Classic {
    /// Why it has to join again.
    rejoin: Option<String>,
    pub chosen: Option<Assignor>,
    /// A leader's: topics and how many partitions they had when it shared them out.
    pub leads: Option<BTreeMap<String, i32>>,
    planning: Option<Planning>,
    to_sync: Option<Vec<SyncGroupRequestAssignment>>,
    pub heartbeat_in_flight: bool,
}

/// A leader's, while it waits for metadata.
struct Planning {
    members: Vec<Subscriber>,
    /// KIP-814: a static leader that came back is told to leave the assignment as it is. It looks at the topics all the
    /// same, to see later whether they grow.
    keeps: bool,
    until: Time,
}

impl GroupConsumer {
    pub(super) fn step_classic(&mut self, now: Time) {
        if self.leaving.is_some() {
            return;
        }
        if self.member.state == MemberState::Stable {
            self.watch_topics(now);
            self.mind_session(now);
            self.send_heartbeat(now);
            if self.is_released(now) && self.classic.rejoin.is_some() {
                self.member.state = MemberState::Unjoined;
            }
        }
        match self.member.state {
            MemberState::Unjoined => self.join(now),
            MemberState::Assigning => self.assign(now),
            _ => {}
        }
        if self.classic.to_sync.is_some() {
            self.sync(now);
        }
    }

    /// When [`step_classic`](Self::step_classic) has something to do.
    pub(super) fn classic_wakeups(&self) -> [Option<Time>; 3] {
        let classic = !self.assignors().is_empty();
        let stable = classic && self.member.state == MemberState::Stable;
        [
            Some(self.member.next_heartbeat).filter(|_| stable),
            Some(self.session_end()).filter(|_| stable),
            self.classic
                .planning
                .as_ref()
                .map(|planning| planning.until),
        ]
    }

    /// The member must join again, and gives up first what the protocol has it give up.
    pub(super) fn rejoin(&mut self, now: Time, why: &str) {
        if self.classic.rejoin.is_some() {
            return;
        }
        let why = why.to_owned();
        self.classic.rejoin = Some(why.clone());
        self.events.add(GroupEvent::RebalanceBegan { why });
        if !self.is_cooperative() {
            let all: BTreeSet<Place> = self.owned.keys().cloned().collect();
            self.begin_release(now, all);
        }
    }

    fn assignors(&self) -> &[Assignor] {
        match &self.config.protocol {
            GroupProtocol::Classic { assignors } => assignors,
            GroupProtocol::Consumer { .. } => &[],
        }
    }

    /// Whether the member reads on while the group rebalances (KIP-429).
    fn is_cooperative(&self) -> bool {
        self.assignors().iter().all(|a| a.is_cooperative())
    }

    fn join(&mut self, now: Time) {
        let pausing = self.member.not_before.is_some_and(|at| at > now);
        let ready = self.coordinator.known.is_some() && self.subscribed.is_known();
        if pausing || !ready || !self.is_released(now) {
            return;
        }
        if self.classic.rejoin.is_none() {
            let why = "the member is in no generation".to_owned();
            self.classic.rejoin = Some(why.clone());
            self.events.add(GroupEvent::RebalanceBegan { why });
        }
        let request = match self.join_request() {
            Ok(request) => request,
            Err(error) => {
                self.fail(CallError::Malformed(error.to_string()));
                return;
            }
        };
        let ask = self.ask_patiently(ApiKey::JoinGroup);
        let write = |writer: &mut Writer, version| request.encode(writer, version);
        if self.ask_coordinator(now, ask, Sent::Join, write) {
            self.member.state = MemberState::Joining;
        }
    }

    fn ask_patiently(&mut self, key: ApiKey) -> Ask {
        let usual_ms = self.links_mut().request_timeout_ms();
        let all_ms = i64::from(self.config.max_poll_interval_ms) + JOIN_LAPSE_MS;
        Ask {
            more_ms: all_ms - usual_ms,
            ..Ask::of(key, Lane::Group)
        }
    }

    fn join_request(&self) -> Result<JoinGroupRequest, crate::wire::EncodeError> {
        let remembered = self.member.remembered.as_ref();
        let holding = Holding {
            owned: self.owned.keys().cloned().collect(),
            generation: self.member.generation,
            remembered,
        };
        let protocol = |assignor: &Assignor| {
            let topics = &self.subscribed.topics;
            Ok(JoinGroupRequestProtocol {
                name: assignor.name().to_owned(),
                metadata: encode_subscription(*assignor, topics, &holding)?,
            })
        };
        Ok(JoinGroupRequest {
            group_id: self.config.group_id.clone(),
            session_timeout_ms: self.config.session_timeout_ms,
            rebalance_timeout_ms: self.config.max_poll_interval_ms,
            member_id: self.member.id.clone(),
            group_instance_id: self.config.instance_id.clone(),
            protocol_type: PROTOCOL_TYPE.to_owned(),
            protocols: self
                .assignors()
                .iter()
                .map(protocol)
                .collect::<Result<_, _>>()?,
            reason: self.classic.rejoin.clone(),
        })
    }

    /// Joins again after a pause, as what it was.
    pub(super) fn join_again(&mut self, now: Time) {
        if matches!(
            self.member.state,
            MemberState::Joining | MemberState::Syncing | MemberState::Assigning
        ) {
            self.member.state = MemberState::Unjoined;
        }
        self.classic.planning = None;
        self.classic.to_sync = None;
        self.member.not_before = Some(now.plus_ms(pause_ms(self.member.failures)));
        self.member.failures = self.member.failures.saturating_add(1);
    }

    /// The coordinator does not know the member or its generation: what it owned is lost.
    fn reset(&mut self, error: ErrorCode) {
        self.lose_all();
        let id = std::mem::take(&mut self.member.id);
        self.forget_membership();
        if error == ErrorCode::IllegalGeneration {
            self.member.id = id;
        }
        let why = error.name().to_owned();
        self.classic.rejoin = Some(why.clone());
        self.events.add(GroupEvent::RebalanceBegan { why });
    }

    /// The member is in no group any more, and Unjoined.
    pub(super) fn forget_membership(&mut self) {
        self.forget_requests_of_membership();
        self.member.state = MemberState::Unjoined;
        self.member.id = self.config.first_member_id();
        self.member.generation = NO_GENERATION;
        self.classic = Classic::default();
        self.modern = Modern::default();
    }

    pub(super) fn on_joined(&mut self, now: Time, mut answer: Answer) {
        let Ok(response) = JoinGroupResponse::decode(&mut answer.reader, answer.version) else {
            self.join_again(now);
            return;
        };
        let error = ErrorCode::from_code(response.error_code);
        match error {
            Some(ErrorCode::None) => self.enter_generation(now, response),
            Some(ErrorCode::MemberIdRequired) => {
                self.member.id = response.member_id;
                self.member.state = MemberState::Unjoined;
            }
            Some(error @ (ErrorCode::UnknownMemberId | ErrorCode::IllegalGeneration)) => {
                self.reset(error);
                self.join_again(now);
            }
            Some(ErrorCode::RebalanceInProgress) => self.join_again(now),
            _ if self.is_coordinators(now, error) => self.join_again(now),
            _ => self.fail(CallError::broker(response.error_code, None)),
        }
    }

    fn enter_generation(&mut self, now: Time, response: JoinGroupResponse) {
        let name = response.protocol_name.clone().unwrap_or_default();
        let named = |assignor: &Assignor| assignor.name() == name;
        let chosen = self.assignors().iter().copied().find(named);
        let ours = response.protocol_type.as_deref().unwrap_or(PROTOCOL_TYPE) == PROTOCOL_TYPE;
        if chosen.is_none() || !ours {
            let code = ErrorCode::InconsistentGroupProtocol.code();
            self.fail(CallError::broker(code, None));
            return;
        }
        self.member.failures = 0;
        self.member.not_before = None;
        self.member.id = response.member_id;
        self.member.generation = response.generation_id;
        self.classic.rejoin = None;
        self.classic.chosen = chosen;
        self.classic.leads = None;
        let leader = response.leader == self.member.id;
        self.events.add(GroupEvent::Joined {
            generation: self.member.generation,
            member_id: self.member.id.clone(),
            leader,
            assignor: Some(name),
        });
        self.member.state = MemberState::Syncing;
        if !leader {
            self.classic.to_sync = Some(Vec::new());
            return;
        }
        self.classic.leads = Some(BTreeMap::new());
        if response.members.len() > MAX_MEMBERS {
            let why = format!("a group of more than {MAX_MEMBERS} members");
            self.fail(CallError::Malformed(why));
            return;
        }
        let assignor = self.classic.chosen.unwrap_or(Assignor::Range);
        let members = response.members.into_iter();
        let members = members.map(|member| decode_subscriber(assignor, member));
        match members.collect::<Result<Vec<_>, _>>() {
            Ok(members) => self.plan(now, members, response.skip_assignment),
            Err(error) => self.fail(CallError::Malformed(error.to_string())),
        }
    }

    fn plan(&mut self, now: Time, members: Vec<Subscriber>, keeps: bool) {
        let topics = subscribed(&members);
        if topics.len() > MAX_GROUP_TOPICS {
            let why = format!("a group that reads more than {MAX_GROUP_TOPICS} topics");
            self.fail(CallError::Malformed(why));
            return;
        }
        for topic in topics {
            self.links_mut().want_topic(now, &topic);
        }
        self.member.state = MemberState::Assigning;
        let until = now.plus_ms(METADATA_PATIENCE_MS);
        self.classic.planning = Some(Planning {
            members,
            keeps,
            until,
        });
    }

    /// How many partitions each topic of the group has; none if it does not exist.
    fn counts(&self, members: &[Subscriber]) -> BTreeMap<String, i32> {
        let count = |topic: String| {
            let count = self.partition_count(&topic).unwrap_or(0);
            (topic, count)
        };
        subscribed(members).into_iter().map(count).collect()
    }

    /// `None` if Metadata does not say.
    fn partition_count(&self, topic: &str) -> Option<i32> {
        let known = self.cluster().topics.get(topic)?;
        match ErrorCode::from_code(known.error) {
            Some(ErrorCode::None) => i32::try_from(known.partitions.len()).ok(),
            Some(ErrorCode::UnknownTopicOrPartition) => Some(0),
            _ => None,
        }
    }

    /// Shares the partitions out once every topic is known, or known not to be.
    fn assign(&mut self, now: Time) {
        let Some(planning) = &self.classic.planning else {
            return;
        };
        let topics = &self.cluster().topics;
        let known = subscribed(&planning.members)
            .iter()
            .all(|t| topics.contains_key(t));
        if !known && now < planning.until {
            return;
        }
        let Some(Planning { members, keeps, .. }) = self.classic.planning.take() else {
            return;
        };
        let counts = self.counts(&members);
        if keeps {
            self.classic.leads = Some(counts);
            self.classic.to_sync = Some(Vec::new());
            self.member.state = MemberState::Syncing;
            return;
        }
        let assignor = self.classic.chosen.unwrap_or(Assignor::Range);
        let plan = assignor.assign(&counts, &members);
        self.classic.leads = Some(counts);
        let one = |(member_id, places): (String, Vec<Place>)| {
            Ok(SyncGroupRequestAssignment {
                member_id,
                assignment: encode_assignment(&places)?,
            })
        };
        let assignments: Result<Vec<_>, crate::wire::EncodeError> =
            plan.into_iter().map(one).collect();
        self.member.state = MemberState::Syncing;
        match assignments {
            Ok(assignments) => self.classic.to_sync = Some(assignments),
            Err(error) => self.fail(CallError::Malformed(error.to_string())),
        }
    }

    fn sync(&mut self, now: Time) {
        let Some(assignments) = self.classic.to_sync.take() else {
            return;
        };
        let request = SyncGroupRequest {
            group_id: self.config.group_id.clone(),
            generation_id: self.member.generation,
            member_id: self.member.id.clone(),
            group_instance_id: self.config.instance_id.clone(),
            protocol_type: Some(PROTOCOL_TYPE.to_owned()),
            protocol_name: self.classic.chosen.map(|a| a.name().to_owned()),
            assignments,
        };
        let ask = self.ask_patiently(ApiKey::SyncGroup);
        let write = |writer: &mut Writer, version| request.encode(writer, version);
        let asked = self.ask_coordinator(now, ask, Sent::Sync, write);
        if !asked && self.member.state == MemberState::Syncing {
            self.classic.to_sync = Some(request.assignments);
        }
    }

    pub(super) fn on_synced(&mut self, now: Time, mut answer: Answer) {
        let Ok(response) = SyncGroupResponse::decode(&mut answer.reader, answer.version) else {
            self.join_again(now);
            return;
        };
        let error = ErrorCode::from_code(response.error_code);
        match error {
            Some(ErrorCode::None) => self.take_assignment(now, response.assignment),
            Some(error @ (ErrorCode::UnknownMemberId | ErrorCode::IllegalGeneration)) => {
                self.reset(error);
                self.join_again(now);
            }
            Some(ErrorCode::RebalanceInProgress) => {
                self.member.state = MemberState::Unjoined;
            }
            _ if self.is_coordinators(now, error) => self.join_again(now),
            _ => self.fail(CallError::broker(response.error_code, None)),
        }
    }

    fn take_assignment(&mut self, now: Time, assignment: Bytes) {
        let target: BTreeSet<Place> = match decode_assignment(assignment) {
            Ok(places) => places.into_iter().collect(),
            Err(error) => {
                self.fail(CallError::Malformed(error.to_string()));
                return;
            }
        };
        self.member.state = MemberState::Stable;
        self.member.last_heard = now;
        self.member.next_heartbeat = now.plus_ms(self.config.heartbeat_interval_ms.into());
        self.member.remembered = Some((target.iter().cloned().collect(), self.member.generation));
        let owned: BTreeSet<Place> = self.owned.keys().cloned().collect();
        let gone: BTreeSet<Place> = owned.difference(&target).cloned().collect();
        self.take_over(now, target.difference(&owned).cloned().collect());
        if !gone.is_empty() && self.member.state == MemberState::Stable {
            self.begin_release(now, gone);
            self.rejoin(now, "others wait for partitions that were given up");
        }
    }

    fn session_end(&self) -> Time {
        self.member
            .last_heard
            .plus_ms(self.config.session_timeout_ms.into())
    }

    /// A coordinator that answered no heartbeat for a session is as good as gone.
    fn mind_session(&mut self, now: Time) {
        if self.session_end() <= now {
            self.member.last_heard = now;
            self.lose_coordinator(now, "no heartbeat was answered within session.timeout.ms");
        }
    }

    fn send_heartbeat(&mut self, now: Time) {
        if self.classic.heartbeat_in_flight || self.member.next_heartbeat > now {
            return;
        }
        let request = HeartbeatRequest {
            group_id: self.config.group_id.clone(),
            generation_id: self.member.generation,
            member_id: self.member.id.clone(),
            group_instance_id: self.config.instance_id.clone(),
        };
        let ask = Ask::of(ApiKey::Heartbeat, Lane::Group);
        let write = |writer: &mut Writer, version| request.encode(writer, version);
        if self.ask_coordinator(now, ask, Sent::Heartbeat, write) {
            self.classic.heartbeat_in_flight = true;
            let interval_ms = self.config.heartbeat_interval_ms.into();
            self.member.next_heartbeat = now.plus_ms(interval_ms);
        }
    }

    pub(super) fn on_heartbeat(&mut self, now: Time, mut answer: Answer) {
        self.classic.heartbeat_in_flight = false;
        let decoded = HeartbeatResponse::decode(&mut answer.reader, answer.version);
        let Ok(response) = decoded.map(|r| r.error_code) else {
            return;
        };
        let error = ErrorCode::from_code(response);
        if self.member.state != MemberState::Stable {
            return;
        }
        match error {
            Some(ErrorCode::None) => self.member.last_heard = now,
            Some(error @ ErrorCode::RebalanceInProgress) => {
                self.member.last_heard = now;
                self.rejoin(now, error.name());
            }
            Some(error @ (ErrorCode::UnknownMemberId | ErrorCode::IllegalGeneration)) => {
                self.reset(error);
            }
            _ if self.is_coordinators(now, error) => {}
            _ => self.fail(CallError::broker(response, None)),
        }
    }

    /// A commit was refused because the group is elsewhere: it is time to join again.
    pub(super) fn on_refused_generation(&mut self, now: Time, error: ErrorCode) {
        match error {
            _ if self.assignors().is_empty() => {}
            ErrorCode::RebalanceInProgress if self.member.state == MemberState::Stable => {
                self.rejoin(now, error.name());
            }
            ErrorCode::UnknownMemberId
            | ErrorCode::IllegalGeneration
            | ErrorCode::GroupIdNotFound => self.reset(error),
            _ => {}
        }
    }

    /// The leader has the group rebalance when there is more, or less, to share out.
    fn watch_topics(&mut self, now: Time) {
        let Some(shared) = self.classic.leads.as_ref() else {
            return;
        };
        let changed = shared.iter().any(|(topic, count)| {
            let now = self.partition_count(topic);
            now.is_some_and(|now| now != *count)
        });
        if changed {
            self.rejoin(now, "the topics have other partitions");
        }
    }
}

/// Every topic anybody reads.
fn subscribed(members: &[Subscriber]) -> BTreeSet<String> {
    members
        .iter()
        .flat_map(|m| m.topics.iter().cloned())
        .collect()
}
