//! ListOffsets (2): the first, the last, or the offset at a time.
//!
//! Special timestamps: −1 latest, −2 earliest, −3 the record with the largest timestamp (KIP-734, version 7),
//! −4 earliest local (version 8), −5 latest tiered (version 9), −6 earliest not yet tiered (version 11).
//!
//! Differs from Apache Kafka: there is no tiered storage, so −4 equals −2 and the other two find nothing;
//! read_committed equals read_uncommitted while there are no transactions; a request unpacks at most 8 MiB to
//! find times, beyond that a batch's first offset stands for the record in it.

use std::collections::BTreeSet;

use super::super::Broker;
use super::super::dispatch::{Answer, Answered, Asked, check_lists};
use super::super::partition::{Partition, Role};
use super::{check_epoch, check_leads, read_code};
use crate::ids::{LeaderEpoch, Offset};
use crate::storage::{Disk, LookBudget};
use crate::wire::messages::list_offsets::{
    ListOffsetsPartition, ListOffsetsPartitionResponse, ListOffsetsRequest, ListOffsetsResponse,
    ListOffsetsTopicResponse,
};
use crate::wire::{ErrorCode, Reader};

const LATEST: i64 = -1;
const EARLIEST: i64 = -2;
const MAX_TIMESTAMP: i64 = -3;
const EARLIEST_LOCAL: i64 = -4;
const LATEST_TIERED: i64 = -5;
const EARLIEST_PENDING: i64 = -6;

/// Special timestamps that came later, with the version that has them.
const SINCE: &[(i64, i16)] = &[
    (MAX_TIMESTAMP, 7),
    (EARLIEST_LOCAL, 8),
    (LATEST_TIERED, 9),
    (EARLIEST_PENDING, 11),
];

/// What was found: timestamp, offset, leader epoch.
type Found = (i64, Offset, LeaderEpoch);

const NOTHING: Found = (-1, Offset::NONE, LeaderEpoch::NONE);

pub(super) fn answer(broker: &mut Broker, asked: &Asked, reader: &mut Reader) -> Answered {
    let request = ListOffsetsRequest::decode(reader, asked.version)?;
    check_lists(request.topics.iter().map(|topic| topic.partitions.len()))?;
    let mut response = ListOffsetsResponse::default();
    let mut budget = LookBudget::default();
    let mut seen = BTreeSet::new();
    let mut repeated = BTreeSet::new();
    for topic in &request.topics {
        for partition in &topic.partitions {
            let key = (topic.name.as_str(), partition.partition_index);
            if !seen.insert(key) {
                repeated.insert(key);
            }
        }
    }
    for topic in &request.topics {
        let answered = topic.partitions.iter().map(|wanted| {
            let key = (topic.name.as_str(), wanted.partition_index);
            let found = match repeated.contains(&key) {
                true => Err(ErrorCode::InvalidRequest),
                false => broker.find_offset(asked, &topic.name, wanted, &mut budget),
            };
            partition_response(asked, wanted.partition_index, found)
        });
        response.topics.push(ListOffsetsTopicResponse {
            name: topic.name.clone(),
            partitions: answered.collect(),
        });
    }
    let parts = asked.reply(|writer| response.encode(writer, asked.version))?;
    Ok(Answer::Reply(parts))
}

/// Version from which the answer carries the epoch of the record found.
const LEADER_EPOCH_SINCE: i16 = 4;

fn partition_response(
    asked: &Asked,
    partition_index: i32,
    found: Result<Found, ErrorCode>,
) -> ListOffsetsPartitionResponse {
    let error_code = asked.code(found.err().unwrap_or(ErrorCode::None));
    let (timestamp, offset, leader_epoch) = found.unwrap_or(NOTHING);
    ListOffsetsPartitionResponse {
        partition_index,
        error_code,
        timestamp,
        offset: offset.0,
        leader_epoch: match asked.version {
            ..LEADER_EPOCH_SINCE => LeaderEpoch::NONE.0,
            _ => leader_epoch.0,
        },
    }
}

impl Broker {
    fn find_offset(
        &mut self,
        asked: &Asked,
        topic: &str,
        wanted: &ListOffsetsPartition,
        budget: &mut LookBudget,
    ) -> Result<Found, ErrorCode> {
        let id = self.image.topic_named(topic).map(|topic| topic.id);
        let id = id.ok_or(ErrorCode::UnknownTopicOrPartition)?;
        let index = usize::try_from(wanted.partition_index).ok();
        let topic = self.topics.get_mut(&id);
        let partition = topic
            .zip(index)
            .and_then(|(topic, index)| topic.partitions.get_mut(index))
            .ok_or(ErrorCode::UnknownTopicOrPartition)?;
        check_leads(partition)?;
        check_epoch(partition, wanted.current_leader_epoch)?;
        let since = SINCE
            .iter()
            .find(|(special, _)| *special == wanted.timestamp);
        if since.is_some_and(|(_, since)| asked.version < *since)
            || wanted.timestamp < EARLIEST_PENDING
        {
            return Err(ErrorCode::UnsupportedVersion);
        }
        partition.offset_at(&mut *self.disk, wanted.timestamp, budget)
    }
}

impl Partition {
    fn offset_at(
        &mut self,
        disk: &mut dyn Disk,
        timestamp: i64,
        budget: &mut LookBudget,
    ) -> Result<Found, ErrorCode> {
        // A new leader may not know yet how far its predecessor had come (H4).
        if let Role::Leader(leader) = &self.role
            && timestamp == LATEST
            && !leader.may_answer_latest()
        {
            return Err(ErrorCode::OffsetNotAvailable);
        }
        let below = self.high_watermark;
        let epoch = self.leader_epoch;
        let log = self.log.as_mut().ok_or(ErrorCode::KafkaStorageError)?;
        let found = match timestamp {
            LATEST => return Ok((-1, below, epoch)),
            EARLIEST | EARLIEST_LOCAL => {
                let start = log.log_start();
                return Ok((-1, start, log.epochs().at(start)));
            }
            LATEST_TIERED | EARLIEST_PENDING => return Ok(NOTHING),
            MAX_TIMESTAMP => log.offset_of_max_timestamp(disk, below, budget),
            time => log.offset_for_time(disk, time, below, budget),
        };
        let found = found.map_err(|error| read_code(&error))?;
        Ok(found.map_or(NOTHING, |f| (f.timestamp_ms, f.offset, f.leader_epoch)))
    }
}
