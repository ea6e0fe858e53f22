//! Passing clients' wishes for the controller on to it (KIP-590), and asking it for producer ids.
//!
//! A request for the controller goes to it as it came under another header, and its answer goes back
//! under the client's correlation id. What cannot be passed on in time, or was lost on the way, closes the client's
//! connection: its outcome is unknown and it asks again. A request that was passed on once is not passed on again.

use bytes::Bytes;

use super::Broker;
use super::dispatch::{Answer, Answered, Asked};
use super::effect::PeerLane;
use super::member::Forward;
use super::parked::Waiting;
use super::peers::{Purpose, Told};
use crate::ids::{BrokerId, ConnectionId, Time};
use crate::metadata::decide::NewTopic;
use crate::wire::messages::allocate_producer_ids::{
    AllocateProducerIdsRequest, AllocateProducerIdsResponse,
};
use crate::wire::messages::create_topics::{
    CreatableTopic, CreatableTopicConfig, CreateTopicsRequest,
};
use crate::wire::request::RequestHeader;
use crate::wire::{ApiKey, Writer};

/// Milliseconds a request waits for a controller to pass it on to.
const WAIT_MS: i64 = 5_000;
/// Requests that wait to be passed on; beyond, connections are closed.
const MAX_FORWARDS: usize = 1_000;
/// Milliseconds before producer ids are asked for again.
const PRODUCER_IDS_RETRY_MS: i64 = 50;
/// Milliseconds a producer waits for an id.
const PRODUCER_ID_WAIT_MS: i64 = 5_000;
/// In front of the client id of what was passed on.
pub(super) const FORWARDED: &str = "klar-forwarded:";
/// The version a topic is asked for in that a client only mentioned.
const CREATE_VERSION: i16 = 7;

/// What only the controller can answer.
const FOR_CONTROLLER: &[ApiKey] = &[
    ApiKey::CreateTopics,
    ApiKey::DeleteTopics,
    ApiKey::CreatePartitions,
    ApiKey::AlterConfigs,
    ApiKey::IncrementalAlterConfigs,
    ApiKey::ElectLeaders,
    ApiKey::AlterPartitionReassignments,
    ApiKey::ListPartitionReassignments,
    ApiKey::UnregisterBroker,
    ApiKey::DescribeQuorum,
];

/// What only a group's coordinator can answer, or waits for there to be one.
const FOR_COORDINATOR: &[ApiKey] = &[
    ApiKey::FindCoordinator,
    ApiKey::JoinGroup,
    ApiKey::SyncGroup,
    ApiKey::Heartbeat,
    ApiKey::LeaveGroup,
    ApiKey::OffsetCommit,
    ApiKey::OffsetFetch,
    ApiKey::OffsetDelete,
    ApiKey::DescribeGroups,
    ApiKey::DeleteGroups,
    ApiKey::ConsumerGroupHeartbeat,
    ApiKey::ConsumerGroupDescribe,
];

/// What a broker that has just started answers once it has caught up with the metadata.
const ABOUT_THE_CLUSTER: &[ApiKey] = &[
    ApiKey::Metadata,
    ApiKey::DescribeTopicPartitions,
    ApiKey::FindCoordinator,
];

impl Broker {
    /// Whether a frame is perhaps one to pass on or to answer later: it is worth keeping.
    pub(super) fn may_wait(&self, frame: &Bytes) -> bool {
        let key = frame.first_chunk::<2>().map(|key| i16::from_be_bytes(*key));
        let Some(api) = key.and_then(ApiKey::from_code) else {
            return false;
        };
        let forwarded = !self.is_controller() && FOR_CONTROLLER.contains(&api);
        forwarded || self.joins_first(api) || FOR_COORDINATOR.contains(&api)
    }

    fn joins_first(&self, api: ApiKey) -> bool {
        !self.has_joined() && ABOUT_THE_CLUSTER.contains(&api)
    }

    /// Whether a question about the cluster had better wait: a broker that has not caught up with the metadata since
    /// its start knows nothing of topics that have been there for long. Apache Kafka opens its listener only then;
    /// here the wait ends, so that a cluster without a majority can be looked at.
    pub(super) fn should_wait_to_join(&self, asked: &Asked) -> bool {
        self.joins_first(asked.api) && asked.patience.get().is_some()
    }

    /// Whether this controller judged a request by what is written and perhaps not committed (alone: synced) yet:
    /// also a refusal (the topic is there already) then waits, or it could speak of what never came to be.
    pub(super) fn judged_ahead(&self, api: ApiKey) -> bool {
        let judges = FOR_CONTROLLER.contains(&api) && api != ApiKey::DescribeQuorum;
        judges && self.is_controller()
    }

    /// Passes a request on if another broker must answer it.
    pub(super) fn forward(
        &mut self,
        asked: &Asked,
        header: &RequestHeader,
        body: Bytes,
    ) -> Option<Answered> {
        if self.is_controller() || !FOR_CONTROLLER.contains(&asked.api) {
            return None;
        }
        let client_id = header.client_id.clone().unwrap_or_default();
        if client_id.starts_with(FORWARDED) {
            let why = "passed on to a broker that is not the controller any more";
            return Some(Ok(Answer::Close(why.to_owned())));
        }
        let header = RequestHeader {
            client_id: Some(format!("{FORWARDED}{client_id}")),
            ..header.clone()
        };
        let origin = Some(Box::new(asked.clone()));
        if !self.queue_forward(asked.now, header, body, origin) {
            let why = "too many requests wait for the controller";
            return Some(Ok(Answer::Close(why.to_owned())));
        }
        self.parked.put(asked.connection, None, Waiting::Forwarded);
        Some(Ok(Answer::Parked))
    }

    fn queue_forward(
        &mut self,
        now: Time,
        header: RequestHeader,
        body: Bytes,
        origin: Option<Box<Asked>>,
    ) -> bool {
        let Some(member) = self.member.as_mut() else {
            return false;
        };
        if member.forwards.len() >= MAX_FORWARDS {
            return false;
        }
        member.forwards.push_back(Forward {
            header,
            body,
            origin,
            until: now.plus_ms(WAIT_MS),
        });
        true
    }

    /// Asks the controller for a topic that a client mentioned and that may be made.
    pub(super) fn ask_for_topic(&mut self, now: Time, topic: &NewTopic) {
        let member = self.member.as_ref();
        let asked_already = member.is_some_and(|m| m.forwards.iter().any(|f| f.origin.is_none()));
        if asked_already {
            return;
        }
        let config = |(name, value): &(String, Option<String>)| CreatableTopicConfig {
            name: name.clone(),
            value: value.clone(),
        };
        let request = CreateTopicsRequest {
            topics: vec![CreatableTopic {
                name: topic.name.clone(),
                num_partitions: topic.partitions,
                replication_factor: topic.replication_factor,
                configs: topic.configs.iter().map(config).collect(),
                ..CreatableTopic::default()
            }],
            ..CreateTopicsRequest::default()
        };
        let mut writer = Writer::new();
        let written = request.encode(&mut writer, CREATE_VERSION);
        written.expect("a topic's name was checked before");
        let header = RequestHeader {
            api_key: ApiKey::CreateTopics,
            api_version: CREATE_VERSION,
            correlation_id: 0,
            client_id: Some(format!("{FORWARDED}broker-{}", self.config.id)),
        };
        self.queue_forward(now, header, writer.finish_value(), None);
    }

    /// Passes the next request on. Call at the end of every verb.
    pub(super) fn drive_forwards(&mut self, now: Time) {
        loop {
            let me = self.config.id;
            let Some(member) = self.member.as_mut() else {
                return;
            };
            let Some(next) = member.forwards.front() else {
                return;
            };
            if next.until <= now {
                let late = member.forwards.pop_front();
                self.on_forward_lost(now, late.and_then(|late| late.origin));
                continue;
            }
            let itself = member.controller.is_some();
            let to = member.other_controller(me);
            let to = to.filter(|to| member.peers.is_free(*to, PeerLane::Forward));
            if to.is_none() && !itself {
                return;
            }
            let Some(next) = member.forwards.pop_front() else {
                return;
            };
            match to {
                Some(to) => {
                    self.ask_as_it_came(now, to, next.header, next.body, next.origin);
                }
                None => self.answer_forward_here(now, next),
            }
        }
    }

    /// This broker became the controller while the request waited.
    fn answer_forward_here(&mut self, now: Time, forward: Forward) {
        let Some(origin) = forward.origin else {
            return;
        };
        let connection = origin.connection;
        if !matches!(self.parked.get(connection), Some(Waiting::Forwarded)) {
            return;
        }
        self.parked.take(connection);
        let mut asked = *origin;
        asked.now = now;
        self.answer_here(&asked, forward.body);
    }

    /// When a request has waited too long for its turn.
    pub(super) fn forwards_wakeup(&self) -> Option<Time> {
        let forwards = &self.member.as_ref()?.forwards;
        forwards.front().map(|forward| forward.until)
    }

    /// The controller answered: the client gets it under its own correlation id.
    pub(super) fn on_forward_answer(&mut self, origin: Option<Box<Asked>>, frame: &Bytes) {
        let Some(origin) = origin else {
            return;
        };
        let connection = origin.connection;
        if !matches!(self.parked.get(connection), Some(Waiting::Forwarded)) || frame.len() < 4 {
            return;
        }
        self.parked.take(connection);
        let length = u32::try_from(frame.len()).expect("it came in one frame");
        let mut head = length.to_be_bytes().to_vec();
        head.extend_from_slice(&origin.correlation_id.to_be_bytes());
        self.send(connection, vec![Bytes::from(head), frame.slice(4..)]);
    }

    /// The controller did not answer: nobody knows whether it did what was asked.
    pub(super) fn on_forward_lost(&mut self, now: Time, origin: Option<Box<Asked>>) {
        let Some(origin) = origin else {
            return;
        };
        let connection = origin.connection;
        if matches!(self.parked.get(connection), Some(Waiting::Forwarded)) {
            self.parked.take(connection);
            let why = "the controller did not answer what was passed on to it";
            self.close(now, connection, why.to_owned());
        }
    }

    /// Has a producer wait for an id from the controller.
    pub(super) fn wait_for_producer_id(&mut self, asked: &Asked) -> Answered {
        let deadline = asked.now.plus_ms(PRODUCER_ID_WAIT_MS);
        let waiting = Waiting::ProducerId(Box::new(asked.clone()));
        self.parked.put(asked.connection, Some(deadline), waiting);
        if let Some(member) = self.member.as_mut() {
            member.wants_producer_ids = true;
        }
        Ok(Answer::Parked)
    }

    /// Asks for a block of producer ids. The lane is free.
    pub(super) fn send_for_producer_ids(&mut self, now: Time, controller: BrokerId) {
        let me = self.config.id;
        let Some(member) = self.member.as_mut() else {
            return;
        };
        let wanted = member.wants_producer_ids && member.producer_ids_at <= now;
        let Some(epoch) = member.registration.epoch.filter(|_| wanted) else {
            return;
        };
        if controller == me {
            // It became the controller meanwhile: producers get their ids as from any controller.
            member.wants_producer_ids = false;
            return self.answer_producers(now);
        }
        member.producer_ids_at = now.plus_ms(PRODUCER_IDS_RETRY_MS);
        let request = AllocateProducerIdsRequest {
            broker_id: me.0,
            broker_epoch: epoch.0,
        };
        self.ask(now, controller, 0, Purpose::ProducerIds, |writer| {
            request.encode(writer, 0)
        });
    }

    /// The controller gave a block of producer ids, or did not.
    pub(super) fn on_producer_ids_answer(&mut self, now: Time, mut told: Told) {
        let answer = AllocateProducerIdsResponse::decode(&mut told.body, told.version);
        match answer {
            Ok(answer) if answer.error_code == 0 && answer.producer_id_len > 0 => {
                let first = answer.producer_id_start;
                self.producer_ids = first..first.saturating_add(answer.producer_id_len.into());
                if let Some(member) = self.member.as_mut() {
                    member.wants_producer_ids = false;
                }
                self.answer_producers(now);
            }
            _ => self.on_producer_ids_lost(now),
        }
    }

    pub(super) fn on_producer_ids_lost(&mut self, now: Time) {
        if let Some(member) = self.member.as_mut() {
            member.producer_ids_at = now.plus_ms(PRODUCER_IDS_RETRY_MS);
        }
    }

    /// Gives those who wait their producer ids.
    fn answer_producers(&mut self, now: Time) {
        let waiting: Vec<ConnectionId> = self.parked.producer_ids();
        for connection in waiting {
            if let Some(Waiting::ProducerId(asked)) = self.parked.take(connection) {
                let mut asked = *asked;
                asked.now = now;
                let answered = super::api::init_producer_id::give(self, &asked);
                self.conclude(&asked, answered);
            }
        }
    }
}
