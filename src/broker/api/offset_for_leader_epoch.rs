//! OffsetForLeaderEpoch (23): where a leader epoch ended, so that clients notice truncation (KIP-320).
//!
//! Differs from Apache Kafka: nothing known; the replica id is ignored, one broker has no followers.

use super::super::Broker;
use super::super::dispatch::{Answer, Answered, Asked, check_lists};
use super::{check_epoch, check_leads};
use crate::ids::{LeaderEpoch, Offset};
use crate::wire::messages::offset_for_leader_epoch::{
    EpochEndOffset, OffsetForLeaderEpochRequest, OffsetForLeaderEpochResponse,
    OffsetForLeaderPartition, OffsetForLeaderTopicResult,
};
use crate::wire::{ErrorCode, Reader};

pub(super) fn answer(broker: &mut Broker, asked: &Asked, reader: &mut Reader) -> Answered {
    let request = OffsetForLeaderEpochRequest::decode(reader, asked.version)?;
    check_lists(request.topics.iter().map(|topic| topic.partitions.len()))?;
    let mut response = OffsetForLeaderEpochResponse::default();
    for topic in request.topics {
        let partitions = topic.partitions.iter().map(|wanted| {
            let end = broker.end_of_epoch(&topic.topic, wanted);
            let error_code = asked.code(end.err().unwrap_or(ErrorCode::None));
            let (epoch, offset) = end.unwrap_or((LeaderEpoch::NONE, Offset::NONE));
            EpochEndOffset {
                error_code,
                partition: wanted.partition,
                leader_epoch: epoch.0,
                end_offset: offset.0,
            }
        });
        response.topics.push(OffsetForLeaderTopicResult {
            partitions: partitions.collect(),
            topic: topic.topic,
        });
    }
    let parts = asked.reply(|writer| response.encode(writer, asked.version))?;
    Ok(Answer::Reply(parts))
}

impl Broker {
    fn end_of_epoch(
        &self,
        topic: &str,
        wanted: &OffsetForLeaderPartition,
    ) -> Result<(LeaderEpoch, Offset), ErrorCode> {
        let id = self.image.topic_named(topic).map(|topic| topic.id);
        let partition = id.and_then(|id| self.partition((id, wanted.partition)));
        let partition = partition.ok_or(ErrorCode::UnknownTopicOrPartition)?;
        check_leads(partition)?;
        check_epoch(partition, wanted.current_leader_epoch)?;
        let log = partition.log.as_ref().ok_or(ErrorCode::KafkaStorageError)?;
        let wanted = LeaderEpoch(wanted.leader_epoch);
        if wanted < LeaderEpoch(0) {
            return Ok((LeaderEpoch::NONE, Offset::NONE));
        }
        // The current epoch ends at the log end even before its first record.
        if wanted == partition.leader_epoch {
            return Ok((wanted, log.log_end()));
        }
        let end = log.end_of_epoch(wanted);
        Ok(end.unwrap_or((LeaderEpoch::NONE, Offset::NONE)))
    }
}
