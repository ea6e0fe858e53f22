//! A coordinator of one group, in memory and honest: it parks joins until all have joined or the time is up, ends
//! sessions, refuses stale generations, keeps offsets.

use std::collections::{BTreeMap, VecDeque};

use bytes::Bytes;

use super::modern::Modern;
use crate::ids::{Time, TopicId};
use crate::wire::messages::*;
use crate::wire::{ApiKey, EncodeError, ErrorCode, Reader, Writer, response};

/// A request to answer, now or later.
#[derive(Debug, Clone, Copy)]
pub struct Request {
    pub connection: u64,
    pub key: ApiKey,
    pub version: i16,
    pub correlation_id: i32,
}

#[derive(Debug, Default)]
pub struct Group {
    pub now: Time,
    /// Number of the coordinating broker.
    pub broker: i32,
    /// Ports by broker, to answer FindCoordinator.
    pub first_port: u16,
    /// Names by topic id.
    pub names: BTreeMap<TopicId, String>,
    pub generation: i32,
    phase: Phase,
    pub members: BTreeMap<String, Member>,
    /// Handed out and not joined with yet.
    pending: Vec<String>,
    leader: Option<String>,
    protocol: Option<String>,
    pub committed: BTreeMap<(String, i32), i64>,
    /// Frames that are ready, by connection.
    pub out: VecDeque<(u64, Bytes)>,
    /// Errors for the next requests of an API.
    pub errors: BTreeMap<ApiKey, VecDeque<ErrorCode>>,
    /// Whoever joins is alone: others are thrown out.
    pub lone: bool,
    next_id: u32,
    /// Why members said they join or leave.
    pub reasons: Vec<String>,
    pub left: Vec<String>,
    /// How many partitions every topic has.
    pub partitions: i32,
    pub modern: Modern,
}

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum Phase {
    #[default]
    Empty,
    Preparing {
        until: Time,
    },
    Completing,
    Stable,
}

#[derive(Debug)]
pub struct Member {
    pub instance_id: Option<String>,
    protocols: Vec<(String, Bytes)>,
    session_ms: i64,
    rebalance_ms: i64,
    heard: Time,
    join: Option<Request>,
    sync: Option<Request>,
    assignment: Bytes,
}

impl Group {
    pub fn new(broker: i32, first_port: u16, id: TopicId, topic: &str) -> Group {
        Group {
            broker,
            first_port,
            names: BTreeMap::from([(id, topic.to_owned())]),
            ..Group::default()
        }
    }

    /// Whether the API is the group's.
    pub fn answers(key: ApiKey) -> bool {
        matches!(
            key,
            ApiKey::FindCoordinator
                | ApiKey::JoinGroup
                | ApiKey::SyncGroup
                | ApiKey::Heartbeat
                | ApiKey::LeaveGroup
                | ApiKey::OffsetCommit
                | ApiKey::OffsetFetch
                | ApiKey::ConsumerGroupHeartbeat
        )
    }

    pub(super) fn reply(
        &mut self,
        to: Request,
        write: impl FnOnce(&mut Writer, i16) -> Result<(), EncodeError>,
    ) {
        let mut writer = Writer::new();
        response::encode_header(&mut writer, to.key, to.version, to.correlation_id);
        write(&mut writer, to.version).unwrap();
        let whole = Bytes::from(writer.finish_frame().concat());
        self.out.push_back((to.connection, whole.slice(4..)));
    }

    /// Takes a request in; answers appear in `out`.
    pub fn take(&mut self, me: i32, request: Request, reader: &mut Reader) {
        let scripted = self
            .errors
            .get_mut(&request.key)
            .and_then(VecDeque::pop_front);
        let elsewhere = (me != self.broker).then_some(ErrorCode::NotCoordinator);
        let error = scripted.or(elsewhere).unwrap_or(ErrorCode::None);
        match request.key {
            ApiKey::FindCoordinator => self.find(request, reader, scripted),
            ApiKey::JoinGroup => self.join(request, reader, error),
            ApiKey::SyncGroup => self.sync(request, reader, error),
            ApiKey::Heartbeat => self.heartbeat(request, reader, error),
            ApiKey::ConsumerGroupHeartbeat => self.beat(request, reader, error),
            ApiKey::LeaveGroup => self.leave(request, reader, error),
            ApiKey::OffsetCommit => self.commit(request, reader, error),
            ApiKey::OffsetFetch => self.fetch(request, reader, error),
            other => panic!("{other:?} is not the group's"),
        }
    }

    fn find(&mut self, request: Request, reader: &mut Reader, error: Option<ErrorCode>) {
        let asked = find_coordinator::FindCoordinatorRequest::decode(reader, request.version);
        let asked = asked.unwrap();
        let code = error.unwrap_or(ErrorCode::None).code();
        let port = i32::from(self.first_port) + self.broker - 1;
        let (node_id, host) = (self.broker, "fake".to_owned());
        let coordinators = asked.coordinator_keys.into_iter();
        let answer = if request.version >= 4 {
            find_coordinator::FindCoordinatorResponse {
                coordinators: coordinators
                    .map(|key| find_coordinator::Coordinator {
                        key,
                        node_id,
                        host: host.clone(),
                        port,
                        error_code: code,
                        error_message: None,
                    })
                    .collect(),
                ..Default::default()
            }
        } else {
            find_coordinator::FindCoordinatorResponse {
                error_code: code,
                node_id,
                host,
                port,
                ..Default::default()
            }
        };
        self.reply(request, |w, v| answer.encode(w, v));
    }

    /// When [`tick`](Self::tick) has something to do.
    pub fn next_wakeup(&self) -> Option<Time> {
        let sessions = self.members.values().filter(|m| !m.is_waiting());
        let sessions = sessions.map(|m| m.heard.plus_ms(m.session_ms));
        let until = match self.phase {
            Phase::Preparing { until } => Some(until),
            _ => None,
        };
        let ends = self.modern.next_end();
        sessions.chain(until).chain(ends).min()
    }

    /// Ends sessions and rebalances that are over.
    pub fn tick(&mut self, now: Time) {
        self.now = now;
        self.tick_modern();
        let late = |m: &Member| !m.is_waiting() && m.heard.plus_ms(m.session_ms) <= now;
        let late: Vec<String> = self
            .members
            .iter()
            .filter(|(_, m)| late(m))
            .map(|(id, _)| id.clone())
            .collect();
        for id in late {
            self.remove(&id);
        }
        if let Phase::Preparing { until } = self.phase
            && until <= now
        {
            self.members.retain(|_, m| m.join.is_some());
            self.complete_join();
        }
    }

    fn remove(&mut self, id: &str) {
        if self.members.remove(id).is_some() {
            self.left.push(id.to_owned());
            self.prepare();
        }
    }

    fn prepare(&mut self) {
        if self.members.is_empty() {
            self.phase = Phase::Empty;
            self.generation += 1;
            return;
        }
        if !matches!(self.phase, Phase::Preparing { .. }) {
            let waits = self.members.values().map(|m| m.rebalance_ms).max();
            let until = self.now.plus_ms(waits.unwrap_or(0));
            self.phase = Phase::Preparing { until };
            let again = ErrorCode::RebalanceInProgress;
            let waiting: Vec<Request> = self
                .members
                .values_mut()
                .filter_map(|m| m.sync.take())
                .collect();
            for request in waiting {
                self.answer_sync(request, again, Bytes::new());
            }
        }
        if self.members.values().all(|m| m.join.is_some()) && self.pending.is_empty() {
            self.complete_join();
        }
    }

    fn join(&mut self, request: Request, reader: &mut Reader, error: ErrorCode) {
        let asked = join_group::JoinGroupRequest::decode(reader, request.version).unwrap();
        self.reasons.extend(asked.reason.clone());
        let mut id = asked.member_id.clone();
        let refusal = if error != ErrorCode::None {
            Some(error)
        } else if id.is_empty() {
            self.next_id += 1;
            id = format!("member-{:03}", self.next_id);
            if let Some(instance) = &asked.group_instance_id {
                if self.replace_static(instance, &id) && self.phase == Phase::Stable {
                    self.welcome_back(request, id);
                    return;
                }
                None
            } else if request.version >= 4 {
                self.pending.push(id.clone());
                Some(ErrorCode::MemberIdRequired)
            } else {
                None
            }
        } else if self.pending.contains(&id) || self.members.contains_key(&id) {
            None
        } else {
            Some(ErrorCode::UnknownMemberId)
        };
        if let Some(refusal) = refusal {
            let answer = join_group::JoinGroupResponse {
                error_code: refusal.code(),
                member_id: id,
                protocol_name: Some(String::new()),
                ..Default::default()
            };
            self.reply(request, |w, v| answer.encode(w, v));
            return;
        }
        self.pending.retain(|pending| *pending != id);
        if self.lone {
            self.pending.clear();
            self.members.retain(|other, _| *other == id);
        }
        let member = Member {
            instance_id: asked.group_instance_id,
            protocols: asked
                .protocols
                .into_iter()
                .map(|p| (p.name, p.metadata))
                .collect(),
            session_ms: asked.session_timeout_ms.into(),
            rebalance_ms: asked.rebalance_timeout_ms.into(),
            heard: self.now,
            join: Some(request),
            sync: None,
            assignment: Bytes::new(),
        };
        self.members.insert(id, member);
        self.prepare();
    }

    /// A static member that comes back takes the place of its former self; whether there was one.
    fn replace_static(&mut self, instance: &str, id: &str) -> bool {
        let same = |m: &Member| m.instance_id.as_deref() == Some(instance);
        let former = self.members.iter().find(|(_, m)| same(m));
        let Some(former) = former.map(|(id, _)| id.clone()) else {
            return false;
        };
        let member = self.members.remove(&former).unwrap();
        self.members.insert(id.to_owned(), member);
        if self.leader.as_ref() == Some(&former) {
            self.leader = Some(id.to_owned());
        }
        true
    }

    /// KIP-345 and KIP-814: the group is stable, so nobody joins again, and a leader is told not to assign.
    fn welcome_back(&mut self, request: Request, id: String) {
        let leader = self.leader.clone().unwrap_or_default();
        self.members.get_mut(&id).unwrap().heard = self.now;
        let answer = join_group::JoinGroupResponse {
            generation_id: self.generation,
            protocol_type: Some("consumer".to_owned()),
            protocol_name: self.protocol.clone(),
            skip_assignment: leader == id,
            leader,
            member_id: id,
            ..Default::default()
        };
        self.reply(request, |w, v| answer.encode(w, v));
    }

    fn complete_join(&mut self) {
        if self.members.is_empty() {
            self.phase = Phase::Empty;
            return;
        }
        self.generation += 1;
        self.phase = Phase::Completing;
        let (leader, first) = self.members.iter().next().unwrap();
        let common = first
            .protocols
            .iter()
            .map(|(name, _)| name.clone())
            .find(|name| {
                self.members
                    .values()
                    .all(|m| m.protocols.iter().any(|(other, _)| other == name))
            });
        let (leader, protocol) = (leader.clone(), common.unwrap());
        self.leader = Some(leader.clone());
        self.protocol = Some(protocol.clone());
        let everybody: Vec<_> = self
            .members
            .iter()
            .map(|(id, m)| join_group::JoinGroupResponseMember {
                member_id: id.clone(),
                group_instance_id: m.instance_id.clone(),
                metadata: m
                    .protocols
                    .iter()
                    .find(|(n, _)| *n == protocol)
                    .unwrap()
                    .1
                    .clone(),
            })
            .collect();
        let mut replies = Vec::new();
        for (id, member) in &mut self.members {
            member.heard = self.now;
            let Some(request) = member.join.take() else {
                continue;
            };
            let all = if *id == leader {
                everybody.clone()
            } else {
                Vec::new()
            };
            replies.push((
                request,
                join_group::JoinGroupResponse {
                    generation_id: self.generation,
                    protocol_type: (request.version >= 7).then(|| "consumer".to_owned()),
                    protocol_name: Some(protocol.clone()),
                    leader: leader.clone(),
                    member_id: id.clone(),
                    members: all,
                    ..Default::default()
                },
            ));
        }
        for (request, answer) in replies {
            self.reply(request, |w, v| answer.encode(w, v));
        }
    }

    /// What is wrong with a request of this member in this generation.
    fn verdict(&self, id: &str, generation: i32, error: ErrorCode) -> ErrorCode {
        if error != ErrorCode::None {
            error
        } else if let Some(member) = self.modern.members.get(id) {
            match generation == member.epoch {
                true => ErrorCode::None,
                false => ErrorCode::StaleMemberEpoch,
            }
        } else if !self.members.contains_key(id) {
            ErrorCode::UnknownMemberId
        } else if generation != self.generation {
            ErrorCode::IllegalGeneration
        } else {
            ErrorCode::None
        }
    }

    fn sync(&mut self, request: Request, reader: &mut Reader, error: ErrorCode) {
        let asked = sync_group::SyncGroupRequest::decode(reader, request.version).unwrap();
        let verdict = self.verdict(&asked.member_id, asked.generation_id, error);
        if verdict != ErrorCode::None {
            self.answer_sync(request, verdict, Bytes::new());
            return;
        }
        match self.phase {
            Phase::Preparing { .. } | Phase::Empty => {
                self.answer_sync(request, ErrorCode::RebalanceInProgress, Bytes::new());
            }
            Phase::Stable => {
                let assignment = self.members[&asked.member_id].assignment.clone();
                self.answer_sync(request, ErrorCode::None, assignment);
            }
            Phase::Completing => {
                self.members.get_mut(&asked.member_id).unwrap().sync = Some(request);
                if self.leader.as_ref() != Some(&asked.member_id) {
                    return;
                }
                for given in asked.assignments {
                    if let Some(member) = self.members.get_mut(&given.member_id) {
                        member.assignment = given.assignment;
                    }
                }
                self.phase = Phase::Stable;
                let mut ready = Vec::new();
                for member in self.members.values_mut() {
                    member.heard = self.now;
                    ready.extend(member.sync.take().map(|r| (r, member.assignment.clone())));
                }
                for (request, assignment) in ready {
                    self.answer_sync(request, ErrorCode::None, assignment);
                }
            }
        }
    }

    fn answer_sync(&mut self, request: Request, error: ErrorCode, assignment: Bytes) {
        let answer = sync_group::SyncGroupResponse {
            error_code: error.code(),
            assignment,
            ..Default::default()
        };
        self.reply(request, |w, v| answer.encode(w, v));
    }

    fn heartbeat(&mut self, request: Request, reader: &mut Reader, error: ErrorCode) {
        let asked = heartbeat::HeartbeatRequest::decode(reader, request.version).unwrap();
        let mut verdict = self.verdict(&asked.member_id, asked.generation_id, error);
        if verdict == ErrorCode::None {
            self.members.get_mut(&asked.member_id).unwrap().heard = self.now;
            if matches!(self.phase, Phase::Preparing { .. }) {
                verdict = ErrorCode::RebalanceInProgress;
            }
        }
        let answer = heartbeat::HeartbeatResponse {
            error_code: verdict.code(),
            ..Default::default()
        };
        self.reply(request, |w, v| answer.encode(w, v));
    }

    fn leave(&mut self, request: Request, reader: &mut Reader, error: ErrorCode) {
        let asked = leave_group::LeaveGroupRequest::decode(reader, request.version).unwrap();
        let answer = leave_group::LeaveGroupResponse {
            error_code: error.code(),
            ..Default::default()
        };
        if error == ErrorCode::None {
            for member in asked.members {
                self.reasons.extend(member.reason);
                self.remove(&member.member_id);
            }
            self.remove(&asked.member_id);
        }
        self.reply(request, |w, v| answer.encode(w, v));
    }

    fn name(&self, name: &str, id: TopicId) -> String {
        self.names
            .get(&id)
            .cloned()
            .unwrap_or_else(|| name.to_owned())
    }

    fn commit(&mut self, request: Request, reader: &mut Reader, error: ErrorCode) {
        let asked = offset_commit::OffsetCommitRequest::decode(reader, request.version).unwrap();
        let epoch = asked.generation_id_or_member_epoch;
        let mut verdict = self.verdict(&asked.member_id, epoch, error);
        if verdict == ErrorCode::None && self.phase == Phase::Completing {
            verdict = ErrorCode::RebalanceInProgress;
        }
        let mut answer = offset_commit::OffsetCommitResponse::default();
        for topic in asked.topics {
            let name = self.name(&topic.name, topic.topic_id);
            let mut partitions = Vec::new();
            for p in topic.partitions {
                if verdict == ErrorCode::None {
                    let place = (name.clone(), p.partition_index);
                    self.committed.insert(place, p.committed_offset);
                }
                partitions.push(offset_commit::OffsetCommitResponsePartition {
                    partition_index: p.partition_index,
                    error_code: verdict.code(),
                });
            }
            answer
                .topics
                .push(offset_commit::OffsetCommitResponseTopic {
                    name: topic.name,
                    topic_id: topic.topic_id,
                    partitions,
                });
        }
        self.reply(request, |w, v| answer.encode(w, v));
    }

    fn fetch(&mut self, request: Request, reader: &mut Reader, error: ErrorCode) {
        let asked = offset_fetch::OffsetFetchRequest::decode(reader, request.version).unwrap();
        let mut answer = offset_fetch::OffsetFetchResponse::default();
        if request.version < 8 {
            answer.error_code = error.code();
        }
        for topic in asked.topics.unwrap_or_default() {
            let at = |p: i32| {
                self.committed
                    .get(&(topic.name.clone(), p))
                    .copied()
                    .unwrap_or(-1)
            };
            let partition = |p: i32| offset_fetch::OffsetFetchResponsePartition {
                partition_index: p,
                committed_offset: at(p),
                ..Default::default()
            };
            answer.topics.push(offset_fetch::OffsetFetchResponseTopic {
                partitions: topic
                    .partition_indexes
                    .iter()
                    .map(|p| partition(*p))
                    .collect(),
                name: topic.name.clone(),
            });
        }
        for group in asked.groups {
            let mut topics = Vec::new();
            for topic in group.topics.unwrap_or_default() {
                let name = self.name(&topic.name, topic.topic_id);
                let at = |p: i32| {
                    self.committed
                        .get(&(name.clone(), p))
                        .copied()
                        .unwrap_or(-1)
                };
                let partition = |p: i32| offset_fetch::OffsetFetchResponsePartitions {
                    partition_index: p,
                    committed_offset: at(p),
                    ..Default::default()
                };
                topics.push(offset_fetch::OffsetFetchResponseTopics {
                    partitions: topic
                        .partition_indexes
                        .iter()
                        .map(|p| partition(*p))
                        .collect(),
                    name: topic.name.clone(),
                    topic_id: topic.topic_id,
                });
            }
            answer.groups.push(offset_fetch::OffsetFetchResponseGroup {
                group_id: group.group_id,
                topics,
                error_code: error.code(),
            });
        }
        self.reply(request, |w, v| answer.encode(w, v));
    }
}

impl Member {
    /// A parked request counts as a sign of life.
    fn is_waiting(&self) -> bool {
        self.join.is_some() || self.sync.is_some()
    }
}
