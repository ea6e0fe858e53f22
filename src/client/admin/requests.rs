//! What the admin sends and what it makes of the answers.

use std::collections::BTreeMap;

use super::{Admin, AdminAnswer, AdminRequest, ConfigEntry, OperationId, Verdict};
use crate::client::links::{Answer, Ticket};
use crate::client::{CallError, LinkId};
use crate::ids::{BrokerId, Offset, PartitionIndex, Time};
use crate::wire::messages::create_partitions::{
    CreatePartitionsRequest, CreatePartitionsResponse, CreatePartitionsTopic,
};
use crate::wire::messages::create_topics::{
    CreatableTopic, CreatableTopicConfig, CreateTopicsRequest, CreateTopicsResponse,
};
use crate::wire::messages::delete_records::{
    DeleteRecordsPartition, DeleteRecordsRequest, DeleteRecordsResponse, DeleteRecordsTopic,
};
use crate::wire::messages::delete_topics::{
    DeleteTopicState, DeleteTopicsRequest, DeleteTopicsResponse,
};
use crate::wire::messages::describe_configs::{
    DescribeConfigsRequest, DescribeConfigsResource, DescribeConfigsResponse,
};
use crate::wire::messages::incremental_alter_configs::{
    AlterConfigsResource, AlterableConfig, IncrementalAlterConfigsRequest,
    IncrementalAlterConfigsResponse,
};
use crate::wire::{ApiKey, DecodeError, EncodeError, ErrorCode, Writer};

/// Pause before something is asked again, milliseconds.
pub(super) const RETRY_PAUSE_MS: i64 = 100;
/// First version of DeleteTopics that may name topics by id.
const FIRST_VERSION_WITH_IDS: i16 = 6;
/// Kafka's number for the configuration of a topic.
const TOPIC_RESOURCE: i8 = 2;
/// Kafka's number for "set this configuration".
const SET: i8 = 0;
/// Kafka's number for "return this configuration to its default".
const DELETE: i8 = 1;
/// Kafka's number for a configuration set for the topic itself.
const SET_FOR_TOPIC: i8 = 1;

impl Admin {
    /// Sends what an operation needs now, if there is a link for it.
    pub(super) fn send(&mut self, now: Time, id: OperationId) {
        let request = self.operations[&id].request.clone();
        if request.leaders_topic().is_some() {
            self.send_to_leaders(now, id, &request);
        } else if let Some(link) = self.links.any_link(now) {
            let write = |writer: &mut Writer, version| encode(&request, writer, version);
            self.submit(now, id, link, api_of(&request), write);
        }
    }

    fn submit(
        &mut self,
        now: Time,
        id: OperationId,
        link: LinkId,
        key: ApiKey,
        write: impl FnOnce(&mut Writer, i16) -> Result<(), EncodeError>,
    ) {
        let Some(version) = self.links.version(link, key, i16::MAX) else {
            self.finish(id, Err(CallError::Unsupported { api: key.name() }));
            return;
        };
        let ticket = Ticket(self.number());
        match self
            .links
            .send(now, link, (key, version), Some(ticket), write)
        {
            Ok(()) => {
                self.sent.insert(ticket, id);
                if let Some(operation) = self.operations.get_mut(&id) {
                    operation.in_flight += 1;
                }
            }
            Err(error) => self.finish(id, Err(CallError::Malformed(error.to_string()))),
        }
    }

    /// Deleting records is the business of each partition's leader.
    fn send_to_leaders(&mut self, now: Time, id: OperationId, request: &AdminRequest) {
        let Some(name) = request.leaders_topic() else {
            return;
        };
        let Some(topic) = self.links.cluster.topics.get(name) else {
            return;
        };
        if topic.error != 0 {
            return;
        }
        let count = topic.partitions.len() as i32;
        let operation = self.operations.get_mut(&id).expect("the caller has it");
        let all = || (0..count).map(|p| (PartitionIndex(p), Offset::NONE));
        let before = operation.before.get_or_insert_with(|| all().collect());
        let mut by_leader: BTreeMap<BrokerId, Vec<DeleteRecordsPartition>> = BTreeMap::new();
        let mut leaderless = false;
        for (partition, offset) in before {
            match self.links.cluster.leader(name, *partition) {
                Some(leader) => by_leader
                    .entry(leader)
                    .or_default()
                    .push(DeleteRecordsPartition {
                        partition_index: partition.0,
                        offset: offset.0,
                    }),
                None => leaderless = true,
            }
        }
        if leaderless {
            self.try_again(now, id, "a partition has no leader");
        }
        for (leader, partitions) in by_leader {
            let Some(link) = self.links.link_to(now, leader) else {
                continue;
            };
            let request = DeleteRecordsRequest {
                topics: vec![DeleteRecordsTopic {
                    name: name.to_owned(),
                    partitions,
                }],
                timeout_ms: self.links.request_timeout_ms() as i32,
            };
            let write = |writer: &mut Writer, version| request.encode(writer, version);
            self.submit(now, id, link, ApiKey::DeleteRecords, write);
        }
    }

    pub(super) fn on_answer(&mut self, now: Time, id: OperationId, answer: Answer) {
        let Some(operation) = self.operations.get(&id) else {
            return;
        };
        if operation.request.leaders_topic().is_some() {
            self.on_records_deleted(now, id, answer);
            return;
        }
        let (verdict, done) = match decode(&operation.request, answer) {
            Ok(read) => read,
            Err(error) => {
                self.finish(id, Err(CallError::Malformed(error.to_string())));
                return;
            }
        };
        match (ErrorCode::from_code(verdict.0), verdict) {
            (Some(ErrorCode::None), _) => self.finish(id, Ok(done)),
            (Some(error), _) if worth_retrying(error) => self.try_again(now, id, error.name()),
            (_, (code, message)) => self.finish(id, Err(CallError::broker(code, message))),
        }
    }

    fn on_records_deleted(&mut self, now: Time, id: OperationId, answer: Answer) {
        let mut reader = answer.reader;
        let response = match DeleteRecordsResponse::decode(&mut reader, answer.version) {
            Ok(response) => response,
            Err(error) => {
                self.finish(id, Err(CallError::Malformed(error.to_string())));
                return;
            }
        };
        for answer in response.topics.iter().flat_map(|topic| &topic.partitions) {
            let partition = PartitionIndex(answer.partition_index);
            match ErrorCode::from_code(answer.error_code) {
                Some(ErrorCode::None) => {
                    if let Some(operation) = self.operations.get_mut(&id) {
                        let log_start = Offset(answer.low_watermark);
                        operation.log_starts.push((partition, log_start));
                        let before = operation.before.get_or_insert_default();
                        before.retain(|(p, _)| *p != partition);
                    }
                }
                Some(error) if worth_retrying(error) => self.try_again(now, id, error.name()),
                _ => {
                    self.finish(id, Err(CallError::broker(answer.error_code, None)));
                    return;
                }
            }
        }
        let Some(operation) = self.operations.get_mut(&id) else {
            return;
        };
        if operation.before.as_ref().is_some_and(Vec::is_empty) {
            let mut log_starts = std::mem::take(&mut operation.log_starts);
            log_starts.sort_unstable();
            self.finish(id, Ok(AdminAnswer::LogStarts(log_starts)));
        }
    }
}

/// A topic that does not exist does not come into being by asking again, and whoever asks for a leader wants to
/// know why there is no other.
fn worth_retrying(error: ErrorCode) -> bool {
    let final_here = matches!(
        error,
        ErrorCode::UnknownTopicOrPartition
            | ErrorCode::ElectionNotNeeded
            | ErrorCode::PreferredLeaderNotAvailable
            | ErrorCode::EligibleLeadersNotAvailable
    );
    error.retriable() && !final_here
}

fn api_of(request: &AdminRequest) -> ApiKey {
    match request {
        AdminRequest::CreateTopic { .. } => ApiKey::CreateTopics,
        AdminRequest::DeleteTopic { .. } => ApiKey::DeleteTopics,
        AdminRequest::AddPartitions { .. } => ApiKey::CreatePartitions,
        AdminRequest::AlterTopic { .. } => ApiKey::IncrementalAlterConfigs,
        AdminRequest::DeleteRecords { .. } | AdminRequest::EmptyTopic { .. } => {
            ApiKey::DeleteRecords
        }
        AdminRequest::DescribeConfigs { .. } => ApiKey::DescribeConfigs,
        AdminRequest::Placement(placement) => placement.api(),
    }
}

/// Writes a request that any broker takes.
fn encode(request: &AdminRequest, writer: &mut Writer, version: i16) -> Result<(), EncodeError> {
    let timeout_ms = super::PATIENCE_MS as i32;
    match request {
        AdminRequest::CreateTopic {
            name,
            partitions,
            replication_factor,
            configs,
        } => create_topic(name, *partitions, *replication_factor, configs).encode(writer, version),
        AdminRequest::DeleteTopic { name } => {
            let mut request = DeleteTopicsRequest {
                timeout_ms,
                ..DeleteTopicsRequest::default()
            };
            if version >= FIRST_VERSION_WITH_IDS {
                request.topics.push(DeleteTopicState {
                    name: Some(name.clone()),
                    ..DeleteTopicState::default()
                });
            } else {
                request.topic_names.push(name.clone());
            }
            request.encode(writer, version)
        }
        AdminRequest::AddPartitions { topic, total } => CreatePartitionsRequest {
            topics: vec![CreatePartitionsTopic {
                name: topic.clone(),
                count: *total,
                assignments: None,
            }],
            timeout_ms,
            validate_only: false,
        }
        .encode(writer, version),
        AdminRequest::AlterTopic { topic, configs } => {
            alter_topic(topic, configs).encode(writer, version)
        }
        AdminRequest::DescribeConfigs { topic } => DescribeConfigsRequest {
            resources: vec![DescribeConfigsResource {
                resource_type: TOPIC_RESOURCE,
                resource_name: topic.clone(),
                configuration_keys: None,
            }],
            ..DescribeConfigsRequest::default()
        }
        .encode(writer, version),
        AdminRequest::Placement(placement) => placement.encode(writer, version),
        AdminRequest::DeleteRecords { .. } | AdminRequest::EmptyTopic { .. } => {
            unreachable!("records are deleted by leaders")
        }
    }
}

fn create_topic(
    name: &str,
    partitions: i32,
    replication_factor: i16,
    configs: &[(String, String)],
) -> CreateTopicsRequest {
    let config = |(name, value): &(String, String)| CreatableTopicConfig {
        name: name.clone(),
        value: Some(value.clone()),
    };
    CreateTopicsRequest {
        topics: vec![CreatableTopic {
            name: name.to_owned(),
            num_partitions: partitions,
            replication_factor,
            configs: configs.iter().map(config).collect(),
            ..CreatableTopic::default()
        }],
        timeout_ms: super::PATIENCE_MS as i32,
        validate_only: false,
    }
}

fn alter_topic(
    topic: &str,
    configs: &[(String, Option<String>)],
) -> IncrementalAlterConfigsRequest {
    let config = |(name, value): &(String, Option<String>)| AlterableConfig {
        name: name.clone(),
        config_operation: if value.is_some() { SET } else { DELETE },
        value: value.clone(),
    };
    IncrementalAlterConfigsRequest {
        resources: vec![AlterConfigsResource {
            resource_type: TOPIC_RESOURCE,
            resource_name: topic.to_owned(),
            configs: configs.iter().map(config).collect(),
        }],
        validate_only: false,
    }
}

/// Reads the verdict, and what there is to report if it is good.
fn decode(request: &AdminRequest, answer: Answer) -> Result<(Verdict, AdminAnswer), DecodeError> {
    // An answer that names nothing says nothing.
    let silent = (ErrorCode::UnknownServerError.code(), None);
    if let AdminRequest::Placement(placement) = request {
        let (verdict, done) = placement.decode(answer)?;
        return Ok((verdict.unwrap_or(silent), done));
    }
    let version = answer.version;
    let reader = &mut { answer.reader };
    let verdict = match request {
        AdminRequest::CreateTopic { .. } => {
            let mut topics = CreateTopicsResponse::decode(reader, version)?.topics;
            topics.pop().map(|t| (t.error_code, t.error_message))
        }
        AdminRequest::DeleteTopic { .. } => {
            let mut topics = DeleteTopicsResponse::decode(reader, version)?.responses;
            topics.pop().map(|t| (t.error_code, t.error_message))
        }
        AdminRequest::AddPartitions { .. } => {
            let mut topics = CreatePartitionsResponse::decode(reader, version)?.results;
            topics.pop().map(|t| (t.error_code, t.error_message))
        }
        AdminRequest::AlterTopic { .. } => {
            let mut all = IncrementalAlterConfigsResponse::decode(reader, version)?.responses;
            all.pop().map(|t| (t.error_code, t.error_message))
        }
        AdminRequest::DescribeConfigs { .. } => {
            let mut results = DescribeConfigsResponse::decode(reader, version)?.results;
            let Some(result) = results.pop() else {
                return Ok((silent, AdminAnswer::Done));
            };
            let entry =
                |config: crate::wire::messages::describe_configs::DescribeConfigsResourceResult| {
                    ConfigEntry {
                        name: config.name,
                        value: config.value,
                        is_default: config.config_source != SET_FOR_TOPIC,
                    }
                };
            let configs = result.configs.into_iter().map(entry).collect();
            let verdict = (result.error_code, result.error_message);
            return Ok((verdict, AdminAnswer::Configs(configs)));
        }
        AdminRequest::DeleteRecords { .. }
        | AdminRequest::EmptyTopic { .. }
        | AdminRequest::Placement(_) => None,
    };
    Ok((verdict.unwrap_or(silent), AdminAnswer::Done))
}
