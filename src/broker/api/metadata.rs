//! Metadata (3): brokers, topics, partitions, leaders; makes unknown topics when allowed to.
//!
//! The broker's address is the one the client connected to, so a client that came over 127.0.0.1 is not sent
//! to `localhost` or a host name. Topics are made here, as `auto.create.topics.enable` and the request allow,
//! and nowhere else implicitly. Topic ids since version 10; asking by id since version 12 (KIP-516).
//!
//! A broker that has just started answers once it has caught up with the metadata, or after a second.
//!
//! Differs from Apache Kafka: a topic made here is there at once, without LEADER_NOT_AVAILABLE first, unless
//! one request asks for more than [`MAX_CREATED_PER_REQUEST`] of them; none are made here while the cluster has
//! [`MAX_TOPICS`]; internal topics are never made here. A topic is told once however often it is named.

use std::collections::BTreeSet;

use super::super::Broker;
use super::super::dispatch::{Answer, Answered, Asked, check_entries};
use super::{CLUSTER_OPERATIONS, OPERATIONS_NOT_ASKED, TOPIC_OPERATIONS, code_of};
use crate::ids::{BrokerId, ConnectionId, TopicId};
use crate::inspect::EventKind;
use crate::metadata::decide::{NewTopic, check_topic_name, create_topic, is_internal};
use crate::metadata::{BrokerImage, PartitionImage, TopicImage};
use crate::wire::messages::metadata::{
    MetadataRequest, MetadataRequestTopic, MetadataResponse, MetadataResponseBroker,
    MetadataResponsePartition, MetadataResponseTopic,
};
use crate::wire::{ErrorCode, Reader};

/// Topics a cluster may have for more to be made because somebody asked for their metadata.
const MAX_TOPICS: usize = 10_000;
/// Topics one request makes; for the others it is told to ask again, so that others get their turn.
const MAX_CREATED_PER_REQUEST: usize = 128;
/// First version that may ask by id.
const BY_ID: i16 = 12;
/// First version that says whether topics may be made; before, they always may.
const SAYS_AUTO_CREATE: i16 = 4;

/// One broker, and where a client reaches it.
pub(in crate::broker) struct Reached {
    pub id: BrokerId,
    pub host: String,
    pub port: i32,
    pub rack: Option<String>,
    pub fenced: bool,
}

pub(super) fn answer(broker: &mut Broker, asked: &Asked, reader: &mut Reader) -> Answered {
    let request = MetadataRequest::decode(reader, asked.version)?;
    check_entries(request.topics.as_ref().map_or(0, Vec::len))?;
    let brokers = broker.brokers_for(asked.connection);
    broker.note_told(asked, &brokers);
    let brokers = brokers.into_iter();
    let mut response = MetadataResponse {
        brokers: brokers
            .filter(|broker| !broker.fenced)
            .map(|broker| MetadataResponseBroker {
                node_id: broker.id.0,
                host: broker.host,
                port: broker.port,
                rack: broker.rack,
            })
            .collect(),
        cluster_id: Some(broker.config.cluster_id.clone()),
        controller_id: broker.controller_id().map_or(-1, |id| id.0),
        cluster_authorized_operations: match request.include_cluster_authorized_operations {
            true => CLUSTER_OPERATIONS,
            false => OPERATIONS_NOT_ASKED,
        },
        ..MetadataResponse::default()
    };
    // Version 0 asks for all topics with an empty list, later ones with null.
    let named = request
        .topics
        .filter(|topics| asked.version > 0 || !topics.is_empty());
    let may_create = request.allow_auto_topic_creation || asked.version < SAYS_AUTO_CREATE;
    response.topics = match named {
        None => {
            let topics = broker.image.topics_by_name();
            topics.map(|topic| broker.topic_metadata(topic)).collect()
        }
        Some(topics) => broker.named_topics(asked, topics, may_create),
    };
    if request.include_topic_authorized_operations {
        for topic in &mut response.topics {
            topic.topic_authorized_operations = TOPIC_OPERATIONS;
        }
    }
    let parts = asked.reply(|writer| response.encode(writer, asked.version))?;
    Ok(Answer::Reply(parts))
}

impl Broker {
    /// The host and port a client is told to connect to: where it connected.
    pub(in crate::broker) fn advertised(&self, connection: ConnectionId) -> (String, i32) {
        let local = self
            .connections
            .local(connection)
            .unwrap_or(self.config.listen);
        // A client of an IPv6 socket may have come over IPv4, and would not find ::ffff:127.0.0.1 again.
        let host = local.ip().to_canonical().to_string();
        (host, i32::from(local.port()))
    }

    /// The registered brokers, with where this client reaches them. All run in one machine, so the others are where
    /// the client found this one, at their own ports.
    pub(in crate::broker) fn brokers_for(&self, connection: ConnectionId) -> Vec<Reached> {
        let (host, port) = self.advertised(connection);
        let me = self.config.id;
        let place = |broker: &BrokerImage| {
            let own = broker.id == me;
            let registered = broker.endpoints.first().map(|e| i32::from(e.port));
            Reached {
                id: broker.id,
                host: host.clone(),
                port: registered.filter(|_| !own).unwrap_or(port),
                rack: broker.rack.clone(),
                fenced: broker.fenced,
            }
        };
        self.image.brokers().map(place).collect()
    }

    /// Remembers where a client was told that the brokers are.
    fn note_told(&mut self, asked: &Asked, brokers: &[Reached]) {
        let told = brokers.iter().filter(|broker| !broker.fenced);
        let told = told.map(|broker| match broker.host.contains(':') {
            true => (broker.id, format!("[{}]:{}", broker.host, broker.port)),
            false => (broker.id, format!("{}:{}", broker.host, broker.port)),
        });
        let told = told.collect();
        if let Some(connection) = self.connections.get_mut(asked.connection) {
            connection.on_told(asked.now, told);
        }
    }

    /// Replicas on brokers that are fenced or not registered any more.
    pub(super) fn offline_replicas(&self, partition: &PartitionImage) -> Vec<i32> {
        let offline = |id: &&BrokerId| self.image.broker(**id).is_none_or(|b| b.fenced);
        partition
            .replicas
            .iter()
            .filter(offline)
            .map(|id| id.0)
            .collect()
    }

    fn topic_metadata(&self, topic: &TopicImage) -> MetadataResponseTopic {
        let partition = |(index, partition): (i32, &PartitionImage)| MetadataResponsePartition {
            error_code: match partition.leader {
                Some(_) => 0,
                None => ErrorCode::LeaderNotAvailable.code(),
            },
            partition_index: index,
            leader_id: partition.leader.map_or(-1, |leader| leader.0),
            leader_epoch: partition.leader_epoch.0,
            replica_nodes: partition.replicas.iter().map(|b| b.0).collect(),
            isr_nodes: partition.isr.iter().map(|b| b.0).collect(),
            offline_replicas: self.offline_replicas(partition),
        };
        MetadataResponseTopic {
            name: Some(topic.name.clone()),
            topic_id: topic.id,
            is_internal: is_internal(&topic.name),
            partitions: (0..).zip(&topic.partitions).map(partition).collect(),
            topic_authorized_operations: OPERATIONS_NOT_ASKED,
            ..MetadataResponseTopic::default()
        }
    }

    fn named_topics(
        &mut self,
        asked: &Asked,
        topics: Vec<MetadataRequestTopic>,
        may_create: bool,
    ) -> Vec<MetadataResponseTopic> {
        let by_id =
            |topic: &MetadataRequestTopic| topic.name.is_none() || topic.topic_id != TopicId::ZERO;
        if asked.version < BY_ID && topics.iter().any(by_id) {
            let refuse = |topic: MetadataRequestTopic| {
                failed(asked, topic.name, topic.topic_id, ErrorCode::InvalidRequest)
            };
            return topics.into_iter().map(refuse).collect();
        }
        let mut seen = BTreeSet::new();
        let mut told = BTreeSet::new();
        let mut may_create = may_create.then_some(MAX_CREATED_PER_REQUEST);
        let mut found = Vec::with_capacity(topics.len());
        for topic in topics {
            // What is asked for by id is answered by id: the name beside it says nothing.
            let id = topic.topic_id;
            let name = topic.name.filter(|_| id == TopicId::ZERO);
            if !seen.insert((name.clone(), id)) {
                continue;
            }
            let answer = match (name, self.image.topic(id)) {
                (Some(name), _) => self.topic_or_create(asked, name, &mut may_create),
                (None, Some(image)) => self.topic_metadata(image),
                (None, None) => failed(asked, None, id, ErrorCode::UnknownTopicId),
            };
            // By name and by id it is still one topic, and its partitions are many.
            if answer.error_code != 0 || told.insert(answer.topic_id) {
                found.push(answer);
            }
        }
        found
    }

    fn topic_or_create(
        &mut self,
        asked: &Asked,
        name: String,
        may_create: &mut Option<usize>,
    ) -> MetadataResponseTopic {
        if let Some(image) = self.image.topic_named(&name) {
            return self.topic_metadata(image);
        }
        let error = self.auto_create(asked, &name, may_create).err();
        match (error, self.image.topic_named(&name)) {
            (None, Some(image)) => self.topic_metadata(image),
            (error, _) => {
                let error = error.unwrap_or(ErrorCode::UnknownTopicOrPartition);
                failed(asked, Some(name), TopicId::ZERO, error)
            }
        }
    }

    fn auto_create(
        &mut self,
        asked: &Asked,
        name: &str,
        may_create: &mut Option<usize>,
    ) -> Result<(), ErrorCode> {
        check_topic_name(name).map_err(|refusal| super::refusal_code(&refusal))?;
        let enabled = self.settings.flag(&self.image, "auto.create.topics.enable");
        let left = match may_create {
            Some(left) if enabled && !is_internal(name) && self.room_for_topics() => left,
            _ => return Err(ErrorCode::UnknownTopicOrPartition),
        };
        *left = left.checked_sub(1).ok_or(ErrorCode::LeaderNotAvailable)?;
        let topic = NewTopic {
            name: name.to_owned(),
            partitions: -1,
            replication_factor: -1,
            ..NewTopic::default()
        };
        if !self.is_controller() {
            // It comes with the metadata, and the client asks again.
            self.ask_for_topic(asked.now, &topic);
            return Err(ErrorCode::LeaderNotAvailable);
        }
        let id = self.fresh_topic_id();
        let records = create_topic(self.facts(), &topic, id)
            .map_err(|refusal| super::refusal_code(&refusal))?;
        let who = self.connections.who(asked.connection);
        let cause = format!("auto.create.topics.enable, metadata {who}");
        self.commit(asked.now, &records, &cause)
            .map_err(|not_done| code_of(&not_done).0)?;
        match self.member.is_some() {
            true => Err(ErrorCode::LeaderNotAvailable),
            false => Ok(()),
        }
    }

    /// Whether the cluster has room for topics nobody made on purpose. Says so once when it has not.
    fn room_for_topics(&mut self) -> bool {
        let room = self.image.topic_count() < MAX_TOPICS;
        if !room && !self.told_no_room {
            self.note(EventKind::LimitReached {
                what: "topics for more to be made by auto.create.topics.enable".to_owned(),
                limit: MAX_TOPICS as u64,
            });
        }
        self.told_no_room = !room;
        room
    }

    /// An id no topic has: neither all zeros nor one of Kafka's reserved first hundred.
    pub(in crate::broker) fn fresh_topic_id(&mut self) -> TopicId {
        use rand::Rng as _;
        loop {
            let mut bytes: [u8; 16] = self.random.random();
            // The form of a random UUID, as Kafka's are.
            bytes[6] = bytes[6] & 0x0f | 0x40;
            bytes[8] = bytes[8] & 0x3f | 0x80;
            let id = TopicId(bytes);
            // Kafka avoids ids that print with a leading dash: tools take them for options.
            if self.image.topic(id).is_none() && !id.to_string().starts_with('-') {
                return id;
            }
        }
    }
}

fn failed(
    asked: &Asked,
    name: Option<String>,
    topic_id: TopicId,
    error: ErrorCode,
) -> MetadataResponseTopic {
    // Names may be null since version 12 only.
    let name = match asked.version >= BY_ID {
        true => name,
        false => Some(name.unwrap_or_default()),
    };
    MetadataResponseTopic {
        error_code: asked.code(error),
        name,
        topic_id,
        topic_authorized_operations: OPERATIONS_NOT_ASKED,
        ..MetadataResponseTopic::default()
    }
}
