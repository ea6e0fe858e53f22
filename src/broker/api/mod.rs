//! Kafka's APIs, one per file: decode, decide, encode.
//!
//! Every file ends its header with what it does differently from Apache Kafka.

mod alter_partition;
pub(super) mod api_versions;
mod assign_replicas_to_dirs;
mod brokers;
pub(super) mod configs;
mod consumer_group_describe;
mod consumer_group_heartbeat;
mod create_partitions;
mod create_topics;
mod delete_groups;
mod delete_records;
mod delete_topics;
mod describe_cluster;
mod describe_configs;
mod describe_groups;
mod describe_log_dirs;
mod describe_quorum;
mod describe_topic_partitions;
mod elect_leaders;
pub(super) mod fetch;
mod find_coordinator;
mod heartbeat;
pub(super) mod init_producer_id;
mod join_group;
mod leave_group;
mod list_groups;
mod list_offsets;
mod metadata;
mod offset_commit;
mod offset_delete;
pub(super) mod offset_fetch;
mod offset_for_leader_epoch;
pub(super) mod produce;
mod produce_acks;
mod quorum;
mod reassignments;
mod replica_fetch;
mod sync_group;
mod unregister_broker;
mod update_features;

use std::collections::BTreeSet;

use super::Broker;
use super::commit::NotDone;
use super::dispatch::{Answered, Asked};
use super::partition::Partition;
use crate::ids::LeaderEpoch;
use crate::metadata::decide::Refusal;
use crate::storage::{AppendError, ReadError};
use crate::wire::{ApiKey, ErrorCode, Reader};

/// One API this broker answers, in all versions the wire has of it.
pub(super) struct Row {
    pub api: ApiKey,
    pub answer: fn(&mut Broker, &Asked, &mut Reader) -> Answered,
}

const fn row(api: ApiKey, answer: fn(&mut Broker, &Asked, &mut Reader) -> Answered) -> Row {
    Row { api, answer }
}

/// Every API this broker answers, the most frequent first.
pub(super) const ANSWERED: &[Row] = &[
    row(ApiKey::Produce, produce::answer),
    row(ApiKey::Fetch, fetch::answer),
    row(ApiKey::ListOffsets, list_offsets::answer),
    row(ApiKey::Metadata, metadata::answer),
    row(ApiKey::ApiVersions, api_versions::answer),
    row(ApiKey::InitProducerId, init_producer_id::answer),
    row(
        ApiKey::OffsetForLeaderEpoch,
        offset_for_leader_epoch::answer,
    ),
    row(ApiKey::FindCoordinator, find_coordinator::answer),
    row(ApiKey::Heartbeat, heartbeat::answer),
    row(
        ApiKey::ConsumerGroupHeartbeat,
        consumer_group_heartbeat::answer,
    ),
    row(ApiKey::OffsetCommit, offset_commit::answer),
    row(ApiKey::OffsetFetch, offset_fetch::answer),
    row(ApiKey::JoinGroup, join_group::answer),
    row(ApiKey::SyncGroup, sync_group::answer),
    row(ApiKey::LeaveGroup, leave_group::answer),
    row(ApiKey::DescribeGroups, describe_groups::answer),
    row(
        ApiKey::ConsumerGroupDescribe,
        consumer_group_describe::answer,
    ),
    row(ApiKey::ListGroups, list_groups::answer),
    row(ApiKey::DeleteGroups, delete_groups::answer),
    row(ApiKey::OffsetDelete, offset_delete::answer),
    row(ApiKey::CreateTopics, create_topics::answer),
    row(ApiKey::DeleteTopics, delete_topics::answer),
    row(ApiKey::CreatePartitions, create_partitions::answer),
    row(ApiKey::DeleteRecords, delete_records::answer),
    row(ApiKey::DescribeConfigs, describe_configs::answer),
    row(ApiKey::AlterConfigs, configs::answer_alter),
    row(ApiKey::IncrementalAlterConfigs, configs::answer_incremental),
    row(ApiKey::DescribeCluster, describe_cluster::answer),
    row(
        ApiKey::DescribeTopicPartitions,
        describe_topic_partitions::answer,
    ),
];

/// What only brokers of a cluster answer.
pub(super) const IN_CLUSTERS: &[Row] = &[
    row(ApiKey::Vote, quorum::answer_vote),
    row(ApiKey::BeginQuorumEpoch, quorum::answer_begin),
    row(ApiKey::EndQuorumEpoch, quorum::answer_end),
    row(ApiKey::FetchSnapshot, quorum::answer_fetch_snapshot),
    row(ApiKey::DescribeQuorum, describe_quorum::answer),
    row(ApiKey::AlterPartition, alter_partition::answer),
    row(
        ApiKey::AssignReplicasToDirs,
        assign_replicas_to_dirs::answer,
    ),
    row(ApiKey::BrokerRegistration, brokers::answer_registration),
    row(ApiKey::BrokerHeartbeat, brokers::answer_heartbeat),
    row(ApiKey::AllocateProducerIds, brokers::answer_producer_ids),
    row(ApiKey::DescribeLogDirs, describe_log_dirs::answer),
    row(ApiKey::ElectLeaders, elect_leaders::answer),
    row(
        ApiKey::AlterPartitionReassignments,
        reassignments::answer_alter,
    ),
    row(
        ApiKey::ListPartitionReassignments,
        reassignments::answer_list,
    ),
    row(ApiKey::UnregisterBroker, unregister_broker::answer),
    row(ApiKey::UpdateFeatures, update_features::answer),
];

/// The APIs a broker answers, for the compatibility page.
pub fn answered_apis() -> impl Iterator<Item = ApiKey> {
    ANSWERED.iter().map(|row| row.api)
}

/// Said of a change that was made but that not every live broker knows in time.
const TOLD_LATE: &str = "The change is made, but not every live broker knew of it in time.";

/// Operations on a topic that a broker without an authorizer allows, as AclOperation bits: Read, Write,
/// Create, Delete, Alter, Describe, DescribeConfigs, AlterConfigs.
const TOPIC_OPERATIONS: i32 = 0b1101_1111_1000;
/// Operations on the cluster: Create, Alter, Describe, ClusterAction, DescribeConfigs, AlterConfigs,
/// IdempotentWrite.
const CLUSTER_OPERATIONS: i32 = 0b1_1111_1010_0000;
/// What is written when nobody asked for the operations.
const OPERATIONS_NOT_ASKED: i32 = i32::MIN;

/// The error code and sentence for a change that was not carried out.
pub(super) fn code_of(not_done: &NotDone) -> (ErrorCode, String) {
    match not_done {
        NotDone::Refused(refusal) => (refusal_code(refusal), refusal.to_string()),
        NotDone::NotWritten(why) => (ErrorCode::KafkaStorageError, why.clone()),
    }
}

pub(super) fn refusal_code(refusal: &Refusal) -> ErrorCode {
    match refusal {
        Refusal::InvalidTopicName(_) => ErrorCode::InvalidTopicException,
        Refusal::TopicExists(_) => ErrorCode::TopicAlreadyExists,
        Refusal::UnknownTopic => ErrorCode::UnknownTopicOrPartition,
        Refusal::UnknownTopicId => ErrorCode::UnknownTopicId,
        Refusal::InvalidPartitions(_) => ErrorCode::InvalidPartitions,
        Refusal::InvalidReplicationFactor(_) => ErrorCode::InvalidReplicationFactor,
        Refusal::InvalidAssignment(_) => ErrorCode::InvalidReplicaAssignment,
        Refusal::InvalidConfig(_) => ErrorCode::InvalidConfig,
        Refusal::InvalidRequest(_) => ErrorCode::InvalidRequest,
        Refusal::Policy(_) => ErrorCode::PolicyViolation,
        Refusal::DeletionDisabled => ErrorCode::TopicDeletionDisabled,
        Refusal::BrokerIdNotRegistered(_) => ErrorCode::BrokerIdNotRegistered,
        Refusal::StaleBrokerEpoch(_) => ErrorCode::StaleBrokerEpoch,
        Refusal::DuplicateBrokerRegistration(_) => ErrorCode::DuplicateBrokerRegistration,
        Refusal::InvalidRegistration(_) => ErrorCode::InvalidRegistration,
        Refusal::NotController => ErrorCode::NotController,
        Refusal::FencedLeaderEpoch => ErrorCode::FencedLeaderEpoch,
        Refusal::InvalidUpdateVersion => ErrorCode::InvalidUpdateVersion,
        Refusal::IneligibleReplica(_) => ErrorCode::IneligibleReplica,
        Refusal::ElectionNotNeeded => ErrorCode::ElectionNotNeeded,
        Refusal::PreferredLeaderNotAvailable => ErrorCode::PreferredLeaderNotAvailable,
        Refusal::EligibleLeadersNotAvailable => ErrorCode::EligibleLeadersNotAvailable,
        Refusal::NoReassignmentInProgress => ErrorCode::NoReassignmentInProgress,
    }
}

fn read_code(error: &ReadError) -> ErrorCode {
    match error {
        ReadError::OutOfRange { .. } => ErrorCode::OffsetOutOfRange,
        ReadError::Corrupt { .. } => ErrorCode::CorruptMessage,
        ReadError::Storage(_) => ErrorCode::KafkaStorageError,
    }
}

fn append_code(error: &AppendError) -> ErrorCode {
    match error {
        AppendError::Malformed(_) => ErrorCode::CorruptMessage,
        AppendError::Miscounted | AppendError::NotNext { .. } => ErrorCode::InvalidRecord,
        AppendError::TooLarge { .. } => ErrorCode::MessageTooLarge,
        AppendError::OutOfOrderSequence { .. } => ErrorCode::OutOfOrderSequenceNumber,
        AppendError::FencedProducer { .. } => ErrorCode::InvalidProducerEpoch,
        AppendError::Storage(_) => ErrorCode::KafkaStorageError,
    }
}

/// Refuses what only a partition's leader may answer.
fn check_leads(partition: &Partition) -> Result<(), ErrorCode> {
    match partition.role.leads() {
        true => Ok(()),
        false => Err(ErrorCode::NotLeaderOrFollower),
    }
}

/// Says of what was changed that not every live broker knew of it in time; what was refused stays refused.
fn say_late(error_code: &mut i16, message: &mut Option<String>) {
    if *error_code == ErrorCode::None.code() {
        *error_code = ErrorCode::RequestTimedOut.code();
        *message = Some(TOLD_LATE.to_owned());
    }
}

/// Every partition a request names, for looking them up.
fn named_partitions<T>(
    topics: &[T],
    parts: impl Fn(&T) -> (&String, &Vec<i32>),
) -> BTreeSet<(&str, i32)> {
    let pairs = topics.iter().map(parts);
    pairs
        .flat_map(|(name, indexes)| indexes.iter().map(|index| (name.as_str(), *index)))
        .collect()
}

/// Compares the leader epoch a client believes in with the partition's (KIP-320); −1 is no belief.
fn check_epoch(partition: &Partition, believed: i32) -> Result<(), ErrorCode> {
    match LeaderEpoch(believed) {
        LeaderEpoch(..0) => Ok(()),
        epoch if epoch < partition.leader_epoch => Err(ErrorCode::FencedLeaderEpoch),
        epoch if epoch > partition.leader_epoch => Err(ErrorCode::UnknownLeaderEpoch),
        _ => Ok(()),
    }
}
