//! OffsetDelete (47): forgets single offsets of a group.
//!
//! Differs from Apache Kafka: in nothing.

use super::super::Broker;
use super::super::dispatch::{Answer, Answered, Asked, check_lists};
use super::super::group_answers::{GroupAnswer, code_of, refusal_code};
use super::super::groups::NotHere;
use crate::group::{Refusal, Reply};
use crate::ids::PartitionIndex;
use crate::wire::messages::offset_delete::{
    OffsetDeleteRequest, OffsetDeleteResponse, OffsetDeleteResponsePartition,
    OffsetDeleteResponseTopic,
};
use crate::wire::{ErrorCode, Reader};

pub(super) fn answer(broker: &mut Broker, asked: &Asked, reader: &mut Reader) -> Answered {
    let request = OffsetDeleteRequest::decode(reader, asked.version)?;
    check_lists(request.topics.iter().map(|topic| topic.partitions.len()))?;
    let refuse = |refusal: Refusal| {
        let response = OffsetDeleteResponse {
            error_code: refusal_code(refusal).code(),
            ..OffsetDeleteResponse::default()
        };
        GroupAnswer::OffsetDelete(response).send(asked)
    };
    let index = match broker.coordinated(asked, &request.group_id) {
        Ok(index) => index,
        Err(NotHere::Later) => return Ok(Answer::Later),
        Err(NotHere::Refused(refusal)) => return refuse(refusal),
    };
    let mut response = OffsetDeleteResponse::default();
    let (mut named, mut places) = (Vec::new(), Vec::new());
    for topic in &request.topics {
        let image = broker.image.topic_named(&topic.name);
        let mut partitions = Vec::with_capacity(topic.partitions.len());
        for one in &topic.partitions {
            let partition_index = one.partition_index;
            let known = image.and_then(|t| t.partition(PartitionIndex(partition_index)));
            let mut error_code = ErrorCode::UnknownTopicOrPartition.code();
            if known.is_some() {
                places.push((response.topics.len(), partitions.len()));
                named.push((topic.name.clone(), partition_index));
                error_code = 0;
            }
            partitions.push(OffsetDeleteResponsePartition {
                partition_index,
                error_code,
            });
        }
        response.topics.push(OffsetDeleteResponseTopic {
            name: topic.name.clone(),
            partitions,
        });
    }
    let deleted = broker.on_shard(asked, index, true, |shard, caller| {
        shard.delete_offsets(caller, &request.group_id, &named)
    });
    let (results, gate) = match deleted {
        Ok((Some(Reply::OffsetsDeleted(Ok(results))), gate)) => (results, gate),
        Ok((Some(Reply::OffsetsDeleted(Err(refusal))), _)) | Err(refusal) => {
            return refuse(refusal);
        }
        Ok(_) => return refuse(Refusal::NotAvailable),
    };
    for ((topic, partition), result) in places.into_iter().zip(&results) {
        response.topics[topic].partitions[partition].error_code = code_of(result);
    }
    broker.answer_once_committed(asked, GroupAnswer::OffsetDelete(response), vec![gate]);
    Ok(Answer::Parked)
}
