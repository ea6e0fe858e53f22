//! OffsetCommit (8): a group says how far it has read.
//!
//! Answered once it is replicated, whatever acks the group's members use elsewhere. Topics are named by id from
//! version 10 on.
//!
//! Differs from Apache Kafka: `retention_time_ms` of old versions is ignored, as Kafka has it since 2.1.

use super::super::Broker;
use super::super::dispatch::{Answer, Answered, Asked, check_lists};
use super::super::group_answers::{GroupAnswer, code_of, refusal_code};
use super::super::groups::NotHere;
use crate::group::{CommitAs, CommitOne, Refusal, Reply};
use crate::ids::{LeaderEpoch, Offset, PartitionIndex};
use crate::metadata::TopicImage;
use crate::wire::messages::offset_commit::{
    OffsetCommitRequest, OffsetCommitRequestPartition, OffsetCommitResponse,
    OffsetCommitResponsePartition, OffsetCommitResponseTopic,
};
use crate::wire::{ErrorCode, Reader};

/// First version in which members of the new protocol commit with their member epoch.
const MEMBER_EPOCHS: i16 = 9;
/// First version that names topics by id.
const BY_ID: i16 = 10;

pub(super) fn answer(broker: &mut Broker, asked: &Asked, reader: &mut Reader) -> Answered {
    let request = OffsetCommitRequest::decode(reader, asked.version)?;
    check_lists(request.topics.iter().map(|topic| topic.partitions.len()))?;
    let here = broker.coordinated(asked, &request.group_id);
    if here == Err(NotHere::Later) {
        return Ok(Answer::Later);
    }
    let refused = match here {
        Err(NotHere::Refused(refusal)) => Some(refusal),
        _ => None,
    };
    let (mut response, commits, places) = broker.sorted_commits(asked, &request, refused);
    let Ok(index) = here else {
        return GroupAnswer::OffsetCommit(response).send(asked);
    };
    let by = CommitAs {
        member_id: &request.member_id,
        instance: request.group_instance_id.as_deref(),
        epoch: request.generation_id_or_member_epoch,
        knows_epochs: asked.version >= MEMBER_EPOCHS,
    };
    let committed = broker.on_shard(asked, index, true, |shard, caller| {
        shard.commit(caller, &request.group_id, by, commits)
    });
    let (results, gates) = match committed {
        Ok((Some(Reply::OffsetsCommitted(results)), gate)) => (results, vec![gate]),
        Ok(_) => (vec![Err(Refusal::NotAvailable); places.len()], Vec::new()),
        Err(refusal) => (vec![Err(refusal); places.len()], Vec::new()),
    };
    for ((topic, partition), result) in places.into_iter().zip(&results) {
        response.topics[topic].partitions[partition].error_code = code_of(result);
    }
    broker.answer_once_committed(asked, GroupAnswer::OffsetCommit(response), gates);
    Ok(Answer::Parked)
}

/// An answer with everything refused that is not for the group to judge, and what is, with its places in the answer.
type Sorted = (OffsetCommitResponse, Vec<CommitOne>, Vec<(usize, usize)>);

impl Broker {
    fn sorted_commits(
        &self,
        asked: &Asked,
        request: &OffsetCommitRequest,
        refused: Option<Refusal>,
    ) -> Sorted {
        let mut response = OffsetCommitResponse::default();
        let (mut commits, mut places) = (Vec::new(), Vec::new());
        for topic in &request.topics {
            let image = match asked.version >= BY_ID {
                true => self.image.topic(topic.topic_id),
                false => self.image.topic_named(&topic.name),
            };
            let mut answers = Vec::with_capacity(topic.partitions.len());
            for one in &topic.partitions {
                let partition_index = one.partition_index;
                let error_code = match (refused, judge(asked.version, image, one)) {
                    (Some(refusal), _) => refusal_code(refusal).code(),
                    (None, Err(error)) => error.code(),
                    (None, Ok(image)) => {
                        places.push((response.topics.len(), answers.len()));
                        commits.push(commit_of(asked.version, image, one));
                        0
                    }
                };
                answers.push(OffsetCommitResponsePartition {
                    partition_index,
                    error_code,
                });
            }
            response.topics.push(OffsetCommitResponseTopic {
                name: topic.name.clone(),
                topic_id: topic.topic_id,
                partitions: answers,
            });
        }
        (response, commits, places)
    }
}

fn judge<'a>(
    version: i16,
    image: Option<&'a TopicImage>,
    one: &OffsetCommitRequestPartition,
) -> Result<&'a TopicImage, ErrorCode> {
    let unknown = match version >= BY_ID {
        true => ErrorCode::UnknownTopicId,
        false => ErrorCode::UnknownTopicOrPartition,
    };
    let image = image.ok_or(unknown)?;
    let known = image.partition(PartitionIndex(one.partition_index));
    known.ok_or(ErrorCode::UnknownTopicOrPartition)?;
    Ok(image)
}

fn commit_of(version: i16, image: &TopicImage, one: &OffsetCommitRequestPartition) -> CommitOne {
    CommitOne {
        topic: image.name.clone(),
        topic_id: match version >= BY_ID {
            true => image.id,
            false => crate::ids::TopicId::ZERO,
        },
        partition: one.partition_index,
        offset: Offset(one.committed_offset),
        leader_epoch: LeaderEpoch(one.committed_leader_epoch),
        metadata: one.committed_metadata.clone().unwrap_or_default(),
    }
}
