//! DeleteRecords (21): moves a partition's log start up (KIP-107). Offset −1 is the high watermark.
//!
//! The records are unreadable when the answer leaves; the log start is synced with the next sync, and whole
//! segments below go at once. A partition named more than once counts once, as the last one said.
//!
//! Differs from Apache Kafka: the timeout is ignored, there are no followers to wait for.

use std::collections::BTreeMap;

use super::super::Broker;
use super::super::dispatch::{Answer, Answered, Asked, check_lists};
use crate::ids::Offset;
use crate::inspect::EventKind;
use crate::wire::messages::delete_records::{
    DeleteRecordsPartitionResult, DeleteRecordsRequest, DeleteRecordsResponse,
    DeleteRecordsTopicResult,
};
use crate::wire::{ErrorCode, Reader};

/// Everything below the high watermark.
const ALL: i64 = -1;

pub(super) fn answer(broker: &mut Broker, asked: &Asked, reader: &mut Reader) -> Answered {
    let request = DeleteRecordsRequest::decode(reader, asked.version)?;
    check_lists(request.topics.iter().map(|topic| topic.partitions.len()))?;
    // A partition named twice is emptied once, as it is said last.
    let mut wanted = BTreeMap::new();
    for topic in &request.topics {
        for partition in &topic.partitions {
            let key = (topic.name.as_str(), partition.partition_index);
            wanted.insert(key, partition.offset);
        }
    }
    let done = wanted.into_iter().map(|((name, index), offset)| {
        let done = broker.delete_records(asked, name, index, offset);
        ((name, index), done)
    });
    let done: BTreeMap<_, _> = done.collect();
    let mut response = DeleteRecordsResponse::default();
    for topic in &request.topics {
        let partitions = topic.partitions.iter().map(|wanted| {
            let index = wanted.partition_index;
            let done = done[&(topic.name.as_str(), index)];
            DeleteRecordsPartitionResult {
                partition_index: index,
                low_watermark: done.map_or(-1, |low| low.0),
                error_code: asked.code(done.err().unwrap_or(ErrorCode::None)),
            }
        });
        response.topics.push(DeleteRecordsTopicResult {
            partitions: partitions.collect(),
            name: topic.name.clone(),
        });
    }
    let parts = asked.reply(|writer| response.encode(writer, asked.version))?;
    Ok(Answer::Reply(parts))
}

impl Broker {
    fn delete_records(
        &mut self,
        asked: &Asked,
        name: &str,
        index: i32,
        offset: i64,
    ) -> Result<Offset, ErrorCode> {
        let id = self.image.topic_named(name).map(|topic| topic.id);
        let key = (id.ok_or(ErrorCode::UnknownTopicOrPartition)?, index);
        let topic = self
            .topics
            .get_mut(&key.0)
            .ok_or(ErrorCode::UnknownTopicOrPartition)?;
        let deletes = topic.settings.delete || !topic.settings.compact;
        let partition = topic
            .partition_mut(index)
            .ok_or(ErrorCode::UnknownTopicOrPartition)?;
        super::check_leads(partition)?;
        if !deletes {
            return Err(ErrorCode::PolicyViolation);
        }
        let target = match offset {
            ALL => partition.high_watermark,
            offset => Offset(offset),
        };
        if target < Offset::ZERO || target > partition.high_watermark {
            return Err(ErrorCode::OffsetOutOfRange);
        }
        let log = partition.log.as_mut().ok_or(ErrorCode::KafkaStorageError)?;
        let (before, bytes) = (log.log_start(), log.bytes());
        let moved = log.set_log_start(&mut *self.disk, target);
        let start = log.log_start();
        // Whole segments go at once if the disk lets them; else with the next round of retention.
        let gone = moved.is_ok()
            && log
                .apply_retention(&mut *self.disk, asked.now, target)
                .is_ok();
        let freed = if gone {
            bytes.saturating_sub(log.bytes())
        } else {
            0
        };
        self.shown.touch(key.0);
        self.take_log_notes(asked.now, key);
        self.note_dirty(asked.now, key);
        moved.map_err(|_| ErrorCode::KafkaStorageError)?;
        if start > before && freed == 0 {
            self.note(EventKind::SegmentsDeleted {
                topic: name.to_owned(),
                partition: crate::ids::PartitionIndex(index),
                log_start: start,
                bytes: freed,
                cause: format!("DeleteRecords {}", self.connections.who(asked.connection)),
            });
        }
        Ok(start)
    }
}
