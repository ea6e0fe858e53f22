//! The answers of a group's coordinator, which may wait and may change their minds while they do.

use super::dispatch::{Answer, Answered, Asked};
use crate::group::{Joined, Refusal, Reply, Synced};
use crate::wire::ErrorCode;
use crate::wire::messages::consumer_group_describe::ConsumerGroupDescribeResponse;
use crate::wire::messages::consumer_group_heartbeat::ConsumerGroupHeartbeatResponse;
use crate::wire::messages::delete_groups::DeleteGroupsResponse;
use crate::wire::messages::heartbeat::HeartbeatResponse;
use crate::wire::messages::join_group::{JoinGroupResponse, JoinGroupResponseMember};
use crate::wire::messages::leave_group::LeaveGroupResponse;
use crate::wire::messages::offset_commit::OffsetCommitResponse;
use crate::wire::messages::offset_delete::OffsetDeleteResponse;
use crate::wire::messages::offset_fetch::OffsetFetchResponse;
use crate::wire::messages::sync_group::SyncGroupResponse;

/// First version in which a response may leave the protocol's name out.
const NAMELESS: i16 = 7;

/// A response on its way.
#[derive(Debug)]
pub(super) enum GroupAnswer {
    Join(Box<JoinGroupResponse>),
    Sync(SyncGroupResponse),
    Heartbeat(HeartbeatResponse),
    ConsumerHeartbeat(ConsumerGroupHeartbeatResponse),
    ConsumerDescribe(ConsumerGroupDescribeResponse),
    Leave(LeaveGroupResponse),
    OffsetCommit(OffsetCommitResponse),
    OffsetFetch(OffsetFetchResponse),
    DeleteGroups(DeleteGroupsResponse),
    OffsetDelete(OffsetDeleteResponse),
}

/// Kafka's code for a refusal.
pub(super) fn refusal_code(refusal: Refusal) -> ErrorCode {
    match refusal {
        Refusal::InvalidGroupId => ErrorCode::InvalidGroupId,
        Refusal::InvalidSessionTimeout => ErrorCode::InvalidSessionTimeout,
        Refusal::UnknownMember => ErrorCode::UnknownMemberId,
        Refusal::MemberIdRequired => ErrorCode::MemberIdRequired,
        Refusal::InconsistentProtocol => ErrorCode::InconsistentGroupProtocol,
        Refusal::GroupFull => ErrorCode::GroupMaxSizeReached,
        Refusal::IllegalGeneration => ErrorCode::IllegalGeneration,
        Refusal::FencedInstance => ErrorCode::FencedInstanceId,
        Refusal::RebalanceInProgress => ErrorCode::RebalanceInProgress,
        Refusal::NonEmptyGroup => ErrorCode::NonEmptyGroup,
        Refusal::GroupNotFound => ErrorCode::GroupIdNotFound,
        Refusal::SubscribedToTopic => ErrorCode::GroupSubscribedToTopic,
        Refusal::OffsetMetadataTooLarge => ErrorCode::OffsetMetadataTooLarge,
        Refusal::UnknownPartition => ErrorCode::UnknownTopicOrPartition,
        Refusal::NotAvailable => ErrorCode::CoordinatorNotAvailable,
        Refusal::NotCoordinator => ErrorCode::NotCoordinator,
        Refusal::Loading => ErrorCode::CoordinatorLoadInProgress,
        Refusal::InvalidRequest(_) => ErrorCode::InvalidRequest,
        Refusal::FencedMemberEpoch => ErrorCode::FencedMemberEpoch,
        Refusal::StaleMemberEpoch => ErrorCode::StaleMemberEpoch,
        Refusal::UnreleasedInstance => ErrorCode::UnreleasedInstanceId,
        Refusal::UnsupportedAssignor => ErrorCode::UnsupportedAssignor,
        Refusal::InvalidRegularExpression => ErrorCode::InvalidRegularExpression,
        Refusal::OldVersion => ErrorCode::UnsupportedVersion,
    }
}

/// The code for an outcome.
pub(super) fn code_of<T>(outcome: &Result<T, Refusal>) -> i16 {
    match outcome {
        Ok(_) => 0,
        Err(refusal) => refusal_code(*refusal).code(),
    }
}

/// The response to whoever waited for a group's rebalance.
pub(super) fn answer_to(asked: &Asked, reply: Reply) -> GroupAnswer {
    match reply {
        Reply::Joined(joined) => GroupAnswer::Join(Box::new(joined_response(*joined))),
        Reply::NotJoined(refusal, id) => {
            GroupAnswer::Join(Box::new(not_joined(asked, refusal, id)))
        }
        Reply::Synced(synced) => GroupAnswer::Sync(synced_response(synced)),
        other => unreachable!("nobody waits for this: {other:?}"),
    }
}

fn joined_response(joined: Joined) -> JoinGroupResponse {
    let members = joined.members.into_iter();
    JoinGroupResponse {
        generation_id: joined.generation,
        protocol_type: joined.protocol_type,
        protocol_name: joined.protocol,
        leader: joined.leader,
        skip_assignment: joined.skip_assignment,
        member_id: joined.member_id,
        members: members
            .map(|member| JoinGroupResponseMember {
                member_id: member.id,
                group_instance_id: member.instance,
                metadata: member.metadata,
            })
            .collect(),
        ..JoinGroupResponse::default()
    }
}

fn not_joined(asked: &Asked, refusal: Refusal, member_id: String) -> JoinGroupResponse {
    JoinGroupResponse {
        error_code: refusal_code(refusal).code(),
        generation_id: -1,
        // Null only where the version knows null.
        protocol_name: (asked.version < NAMELESS).then(String::new),
        member_id,
        ..JoinGroupResponse::default()
    }
}

fn synced_response(synced: Result<Synced, Refusal>) -> SyncGroupResponse {
    match synced {
        Ok(synced) => SyncGroupResponse {
            protocol_type: synced.protocol_type,
            protocol_name: synced.protocol,
            assignment: synced.assignment,
            ..SyncGroupResponse::default()
        },
        Err(refusal) => SyncGroupResponse {
            error_code: refusal_code(refusal).code(),
            ..SyncGroupResponse::default()
        },
    }
}

impl GroupAnswer {
    /// Says of a part of the answer that it did not come to be, as far as is known here.
    pub fn fail(&mut self, place: usize, refusal: Refusal) {
        let code = refusal_code(refusal).code();
        match self {
            GroupAnswer::Join(response) => {
                **response = JoinGroupResponse {
                    error_code: code,
                    member_id: std::mem::take(&mut response.member_id),
                    protocol_name: Some(String::new()),
                    ..JoinGroupResponse::default()
                };
            }
            GroupAnswer::Sync(response) => {
                *response = SyncGroupResponse {
                    error_code: code,
                    ..SyncGroupResponse::default()
                };
            }
            GroupAnswer::Heartbeat(response) => response.error_code = code,
            GroupAnswer::ConsumerHeartbeat(response) => {
                *response = ConsumerGroupHeartbeatResponse {
                    error_code: code,
                    error_message: Some(refusal.to_string()),
                    ..ConsumerGroupHeartbeatResponse::default()
                };
            }
            GroupAnswer::ConsumerDescribe(response) => {
                if let Some(group) = response.groups.get_mut(place) {
                    group.error_code = code;
                    group.error_message = Some(refusal.to_string());
                    group.members.clear();
                }
            }
            GroupAnswer::Leave(response) => {
                response.error_code = code;
                response.members.clear();
            }
            GroupAnswer::OffsetCommit(response) => {
                let topics = response.topics.iter_mut();
                for partition in topics.flat_map(|topic| &mut topic.partitions) {
                    if partition.error_code == 0 {
                        partition.error_code = code;
                    }
                }
            }
            GroupAnswer::OffsetFetch(response) => match response.groups.get_mut(place) {
                Some(group) => {
                    group.error_code = code;
                    group.topics.clear();
                }
                None => super::api::offset_fetch::fail(response, code),
            },
            GroupAnswer::DeleteGroups(response) => {
                if let Some(result) = response.results.get_mut(place) {
                    result.error_code = code;
                }
            }
            GroupAnswer::OffsetDelete(response) => {
                response.error_code = code;
                response.topics.clear();
            }
        }
    }

    /// The answer as it leaves.
    pub fn send(&self, asked: &Asked) -> Answered {
        let version = asked.version;
        if self.has_failed() {
            asked.note_failed();
        }
        let parts = asked.reply(|writer| match self {
            GroupAnswer::Join(response) => response.encode(writer, version),
            GroupAnswer::Sync(response) => response.encode(writer, version),
            GroupAnswer::Heartbeat(response) => response.encode(writer, version),
            GroupAnswer::ConsumerHeartbeat(response) => response.encode(writer, version),
            GroupAnswer::ConsumerDescribe(response) => response.encode(writer, version),
            GroupAnswer::Leave(response) => response.encode(writer, version),
            GroupAnswer::OffsetCommit(response) => response.encode(writer, version),
            GroupAnswer::OffsetFetch(response) => response.encode(writer, version),
            GroupAnswer::DeleteGroups(response) => response.encode(writer, version),
            GroupAnswer::OffsetDelete(response) => response.encode(writer, version),
        })?;
        Ok(Answer::Reply(parts))
    }

    /// Whether it carries an error a person would want to see counted; being asked to join again is none.
    fn has_failed(&self) -> bool {
        let code = match self {
            GroupAnswer::Join(response) => response.error_code,
            GroupAnswer::Sync(response) => response.error_code,
            GroupAnswer::Heartbeat(response) => response.error_code,
            GroupAnswer::ConsumerHeartbeat(response) => response.error_code,
            GroupAnswer::ConsumerDescribe(response) => {
                let failed = response.groups.iter().find(|g| g.error_code != 0);
                failed.map_or(0, |group| group.error_code)
            }
            GroupAnswer::Leave(response) => response.error_code,
            GroupAnswer::OffsetCommit(response) => {
                let topics = response.topics.iter();
                let mut partitions = topics.flat_map(|topic| &topic.partitions);
                let failed = partitions.find(|partition| partition.error_code != 0);
                failed.map_or(0, |partition| partition.error_code)
            }
            GroupAnswer::OffsetFetch(response) => response.error_code,
            GroupAnswer::DeleteGroups(response) => {
                let failed = response.results.iter().find(|r| r.error_code != 0);
                failed.map_or(0, |result| result.error_code)
            }
            GroupAnswer::OffsetDelete(response) => response.error_code,
        };
        let expected = [
            ErrorCode::None.code(),
            ErrorCode::MemberIdRequired.code(),
            ErrorCode::RebalanceInProgress.code(),
        ];
        !expected.contains(&code)
    }
}
