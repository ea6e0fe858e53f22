//! Quorum requests and responses as the protocol's messages, and what the quorum reads from them.
//!
//! Each names exactly one partition, `__cluster_metadata-0`; anything else is INVALID_REQUEST. Directory ids
//! are zero: a broker has one directory and voters are known by number alone.

use crate::ids::{BrokerId, LeaderEpoch, Offset, TopicId};
use crate::wire::messages::begin_quorum_epoch::{self, BeginQuorumEpochRequest};
use crate::wire::messages::end_quorum_epoch::{self, EndQuorumEpochRequest};
use crate::wire::messages::vote::{self, VoteRequest, VoteResponse};
use crate::wire::{ErrorCode, messages};

/// The metadata topic's name.
pub const METADATA_TOPIC: &str = "__cluster_metadata";
/// The metadata topic's id, the same in every cluster.
pub const METADATA_TOPIC_ID: TopicId = TopicId([0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1]);

/// What protocol fields for "no broker" hold.
const NO_BROKER: i32 = -1;

/// A request for a vote.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Ballot {
    pub candidate: BrokerId,
    pub epoch: LeaderEpoch,
    pub last_epoch: LeaderEpoch,
    pub end: Offset,
    pub pre_vote: bool,
}

/// A leader's word about its epoch: that it begins or ends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct LeaderWord {
    pub leader: BrokerId,
    pub epoch: LeaderEpoch,
    /// Who should follow it, the best first. Only where an epoch ends.
    pub successors: Vec<BrokerId>,
}

/// What every answer says of the one who gives it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Told {
    pub error: ErrorCode,
    pub leader: Option<BrokerId>,
    pub epoch: LeaderEpoch,
    pub granted: bool,
}

impl Told {
    /// An answer that names nothing: the request as a whole was refused.
    fn refused(code: i16) -> Told {
        Told {
            error: error(code),
            leader: None,
            epoch: LeaderEpoch::NONE,
            granted: false,
        }
    }
}

/// The error with this number; one nobody knows counts as unexpected.
pub(super) fn error(code: i16) -> ErrorCode {
    ErrorCode::from_code(code).unwrap_or(ErrorCode::UnknownServerError)
}

/// Why an answer tells nothing of the metadata log: what it says as a whole, or that it leaves the log out.
pub(super) fn missing(code: i16) -> ErrorCode {
    match error(code) {
        ErrorCode::None => ErrorCode::UnknownTopicOrPartition,
        other => other,
    }
}

/// A broker field that may hold nobody.
pub(super) fn broker(id: i32) -> Option<BrokerId> {
    (id >= 0).then_some(BrokerId(id))
}

/// Nobody, as a protocol field.
pub(super) fn broker_field(broker: Option<BrokerId>) -> i32 {
    broker.map_or(NO_BROKER, |broker| broker.0)
}

/// Whether an epoch may be one: of the largest possible there could be no next.
fn plausible(epoch: i32) -> bool {
    (0..i32::MAX).contains(&epoch)
}

/// Builds a Vote request.
pub(super) fn vote(cluster_id: &str, to: BrokerId, ballot: Ballot) -> VoteRequest {
    VoteRequest {
        cluster_id: Some(cluster_id.to_owned()),
        voter_id: to.0,
        topics: vec![vote::TopicData {
            topic_name: METADATA_TOPIC.to_owned(),
            partitions: vec![vote::PartitionData {
                partition_index: 0,
                replica_epoch: ballot.epoch.0,
                replica_id: ballot.candidate.0,
                replica_directory_id: TopicId::ZERO,
                voter_directory_id: TopicId::ZERO,
                last_offset_epoch: ballot.last_epoch.0,
                last_offset: ballot.end.0,
                pre_vote: ballot.pre_vote,
            }],
        }],
    }
}

/// Reads a Vote request.
pub(super) fn ballot(request: &VoteRequest) -> Result<Ballot, ErrorCode> {
    let [topic] = request.topics.as_slice() else {
        return Err(ErrorCode::InvalidRequest);
    };
    let [partition] = topic.partitions.as_slice() else {
        return Err(ErrorCode::InvalidRequest);
    };
    let possible = is_metadata(&topic.topic_name, partition.partition_index)
        && plausible(partition.replica_epoch)
        && partition.last_offset >= 0
        && partition.last_offset_epoch >= LeaderEpoch::NONE.0
        && partition.last_offset_epoch <= partition.replica_epoch;
    if !possible {
        return Err(ErrorCode::InvalidRequest);
    }
    Ok(Ballot {
        candidate: BrokerId(partition.replica_id),
        epoch: LeaderEpoch(partition.replica_epoch),
        last_epoch: LeaderEpoch(partition.last_offset_epoch),
        end: Offset(partition.last_offset),
        pre_vote: partition.pre_vote,
    })
}

fn is_metadata(topic: &str, partition: i32) -> bool {
    topic == METADATA_TOPIC && partition == 0
}

/// Builds the answer to a Vote.
pub(super) fn vote_answer(told: &Told) -> VoteResponse {
    VoteResponse {
        error_code: 0,
        topics: vec![vote::TopicResult {
            topic_name: METADATA_TOPIC.to_owned(),
            partitions: vec![vote::PartitionResult {
                partition_index: 0,
                error_code: told.error.code(),
                leader_id: broker_field(told.leader),
                leader_epoch: told.epoch.0,
                vote_granted: told.granted,
            }],
        }],
        node_endpoints: Vec::new(),
    }
}

/// Reads the answer to a Vote.
pub(super) fn vote_told(response: &VoteResponse) -> Told {
    let partition = response.topics.first().and_then(|t| t.partitions.first());
    match partition {
        Some(partition) if response.error_code == 0 => Told {
            error: error(partition.error_code),
            leader: broker(partition.leader_id),
            epoch: LeaderEpoch(partition.leader_epoch),
            granted: partition.vote_granted && partition.error_code == 0,
        },
        _ => Told::refused(response.error_code),
    }
}

/// Builds a BeginQuorumEpoch request.
pub(super) fn begin(
    cluster_id: &str,
    to: BrokerId,
    leader: BrokerId,
    epoch: LeaderEpoch,
) -> BeginQuorumEpochRequest {
    BeginQuorumEpochRequest {
        cluster_id: Some(cluster_id.to_owned()),
        voter_id: to.0,
        topics: vec![begin_quorum_epoch::TopicData {
            topic_name: METADATA_TOPIC.to_owned(),
            partitions: vec![begin_quorum_epoch::PartitionData {
                partition_index: 0,
                voter_directory_id: TopicId::ZERO,
                leader_id: leader.0,
                leader_epoch: epoch.0,
            }],
        }],
        leader_endpoints: Vec::new(),
    }
}

/// Builds an EndQuorumEpoch request.
pub(super) fn end(
    cluster_id: &str,
    leader: BrokerId,
    epoch: LeaderEpoch,
    successors: &[BrokerId],
) -> EndQuorumEpochRequest {
    let candidate = |id: &BrokerId| end_quorum_epoch::ReplicaInfo {
        candidate_id: id.0,
        candidate_directory_id: TopicId::ZERO,
    };
    EndQuorumEpochRequest {
        cluster_id: Some(cluster_id.to_owned()),
        topics: vec![end_quorum_epoch::TopicData {
            topic_name: METADATA_TOPIC.to_owned(),
            partitions: vec![end_quorum_epoch::PartitionData {
                partition_index: 0,
                leader_id: leader.0,
                leader_epoch: epoch.0,
                preferred_successors: Vec::new(),
                preferred_candidates: successors.iter().map(candidate).collect(),
            }],
        }],
        leader_endpoints: Vec::new(),
    }
}

/// Reads a BeginQuorumEpoch request.
pub(super) fn begin_word(request: &BeginQuorumEpochRequest) -> Result<LeaderWord, ErrorCode> {
    let [topic] = request.topics.as_slice() else {
        return Err(ErrorCode::InvalidRequest);
    };
    let [partition] = topic.partitions.as_slice() else {
        return Err(ErrorCode::InvalidRequest);
    };
    let known = is_metadata(&topic.topic_name, partition.partition_index);
    if !known || !plausible(partition.leader_epoch) {
        return Err(ErrorCode::InvalidRequest);
    }
    Ok(LeaderWord {
        leader: BrokerId(partition.leader_id),
        epoch: LeaderEpoch(partition.leader_epoch),
        successors: Vec::new(),
    })
}

/// Reads an EndQuorumEpoch request. Version 0 names successors by number alone.
pub(super) fn end_word(request: &EndQuorumEpochRequest) -> Result<LeaderWord, ErrorCode> {
    let [topic] = request.topics.as_slice() else {
        return Err(ErrorCode::InvalidRequest);
    };
    let [partition] = topic.partitions.as_slice() else {
        return Err(ErrorCode::InvalidRequest);
    };
    let known = is_metadata(&topic.topic_name, partition.partition_index);
    if !known || !plausible(partition.leader_epoch) {
        return Err(ErrorCode::InvalidRequest);
    }
    let candidates = partition.preferred_candidates.iter();
    let successors = match partition.preferred_candidates.is_empty() {
        true => partition.preferred_successors.clone(),
        false => candidates.map(|candidate| candidate.candidate_id).collect(),
    };
    Ok(LeaderWord {
        leader: BrokerId(partition.leader_id),
        epoch: LeaderEpoch(partition.leader_epoch),
        successors: successors.into_iter().map(BrokerId).collect(),
    })
}

/// The answers to BeginQuorumEpoch and EndQuorumEpoch have the same fields but different types.
macro_rules! word_answer {
    ($module:ident, $response:ident, $build:ident, $read:ident) => {
        /// Builds the answer.
        pub(super) fn $build(told: &Told) -> messages::$module::$response {
            use messages::$module::{PartitionResult, TopicResult, $response};
            $response {
                error_code: 0,
                topics: vec![TopicResult {
                    topic_name: METADATA_TOPIC.to_owned(),
                    partitions: vec![PartitionResult {
                        partition_index: 0,
                        error_code: told.error.code(),
                        leader_id: broker_field(told.leader),
                        leader_epoch: told.epoch.0,
                    }],
                }],
                node_endpoints: Vec::new(),
            }
        }

        /// Reads the answer.
        pub(super) fn $read(response: &messages::$module::$response) -> Told {
            let partition = response.topics.first().and_then(|t| t.partitions.first());
            match partition {
                Some(partition) if response.error_code == 0 => Told {
                    error: error(partition.error_code),
                    leader: broker(partition.leader_id),
                    epoch: LeaderEpoch(partition.leader_epoch),
                    granted: false,
                },
                _ => Told::refused(response.error_code),
            }
        }
    };
}
word_answer!(
    begin_quorum_epoch,
    BeginQuorumEpochResponse,
    begin_answer,
    begin_told
);
word_answer!(
    end_quorum_epoch,
    EndQuorumEpochResponse,
    end_answer,
    end_told
);
