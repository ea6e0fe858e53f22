//! DescribeLogDirs (35): how large the partitions hosted here are, and how far followers are behind.
//!
//! Differs from Apache Kafka: there is one directory; a follower's lag is counted from the high watermark it
//! knows; the size of the disk is not told.

use super::super::Broker;
use super::super::dispatch::{Answer, Answered, Asked, check_lists};
use super::named_partitions;
use crate::wire::Reader;
use crate::wire::messages::describe_log_dirs::{
    DescribeLogDirsPartition, DescribeLogDirsRequest, DescribeLogDirsResponse,
    DescribeLogDirsResult, DescribeLogDirsTopic,
};

pub(super) fn answer(broker: &mut Broker, asked: &Asked, reader: &mut Reader) -> Answered {
    let request = DescribeLogDirsRequest::decode(reader, asked.version)?;
    let named = request.topics.as_ref();
    check_lists(named.into_iter().flatten().map(|t| t.partitions.len()))?;
    let named = named.map(|topics| named_partitions(topics, |t| (&t.topic, &t.partitions)));
    let is_wanted = |name: &str, index| {
        let wanted = named.as_ref();
        wanted.is_none_or(|wanted| wanted.contains(&(name, index)))
    };
    let mut topics = Vec::new();
    for topic in broker.topics.values() {
        let hosted = (0..).zip(&topic.partitions);
        let hosted = hosted.filter(|(index, _)| is_wanted(&topic.name, *index));
        let partitions: Vec<DescribeLogDirsPartition> = hosted
            .filter_map(|(index, partition)| {
                let log = partition.log.as_ref()?;
                Some(DescribeLogDirsPartition {
                    partition_index: index,
                    partition_size: i64::try_from(log.bytes()).unwrap_or(i64::MAX),
                    offset_lag: (partition.high_watermark - log.log_end()).max(0),
                    is_future_key: false,
                })
            })
            .collect();
        if !partitions.is_empty() {
            topics.push(DescribeLogDirsTopic {
                name: topic.name.to_string(),
                partitions,
            });
        }
    }
    let response = DescribeLogDirsResponse {
        results: vec![DescribeLogDirsResult {
            log_dir: broker.dir.path().display().to_string(),
            topics,
            ..DescribeLogDirsResult::default()
        }],
        ..DescribeLogDirsResponse::default()
    };
    let parts = asked.reply(|writer| response.encode(writer, asked.version))?;
    Ok(Answer::Reply(parts))
}
