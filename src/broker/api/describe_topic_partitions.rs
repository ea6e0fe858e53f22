//! DescribeTopicPartitions (75): topics page by page, with a cursor to go on (KIP-966).
//!
//! Differs from Apache Kafka: nothing known.

use super::super::Broker;
use super::super::dispatch::{Answer, Answered, Asked, check_entries};
use super::{OPERATIONS_NOT_ASKED, refusal_code};
use crate::ids::BrokerId;
use crate::metadata::TopicImage;
use crate::metadata::decide::{check_topic_name, is_internal};
use crate::wire::messages::describe_topic_partitions as wire;
use crate::wire::{ErrorCode, Reader};
use wire::{
    Cursor, DescribeTopicPartitionsRequest, DescribeTopicPartitionsResponse,
    DescribeTopicPartitionsResponsePartition, DescribeTopicPartitionsResponseTopic,
};

pub(super) fn answer(broker: &mut Broker, asked: &Asked, reader: &mut Reader) -> Answered {
    let request = DescribeTopicPartitionsRequest::decode(reader, asked.version)?;
    check_entries(request.topics.len())?;
    let most = broker
        .settings
        .number(&broker.image, "max.request.partition.size.limit");
    let limit = i64::from(request.response_partition_limit).clamp(1, most.max(1));
    let limit = usize::try_from(limit).unwrap_or(1);
    let (from, first) = match &request.cursor {
        Some(cursor) => (cursor.topic_name.as_str(), cursor.partition_index),
        None => ("", 0),
    };
    let Ok(first) = usize::try_from(first) else {
        let why = "a cursor with a negative partition".to_owned();
        return Ok(Answer::Close(why));
    };
    let mut page = Page {
        broker,
        asked,
        limit,
        response: DescribeTopicPartitionsResponse::default(),
    };
    let skip = |name: &str| if name == from { first } else { 0 };
    if request.topics.is_empty() {
        for topic in broker.image.topics_from(from) {
            if !page.add(&topic.name, Some(topic), skip(&topic.name)) {
                break;
            }
        }
    } else {
        let mut names: Vec<&str> = request.topics.iter().map(|t| t.name.as_str()).collect();
        names.sort_unstable();
        names.dedup();
        for name in names.into_iter().filter(|name| *name >= from) {
            if !page.add(name, broker.image.topic_named(name), skip(name)) {
                break;
            }
        }
    }
    let parts = asked.reply(|writer| page.response.encode(writer, asked.version))?;
    Ok(Answer::Reply(parts))
}

/// An answer that is filling up.
struct Page<'a> {
    broker: &'a Broker,
    asked: &'a Asked,
    /// Partitions it still takes.
    limit: usize,
    response: DescribeTopicPartitionsResponse,
}

impl Page<'_> {
    /// Adds a topic from its partition `first` on; false when the page is full.
    fn add(&mut self, name: &str, topic: Option<&TopicImage>, first: usize) -> bool {
        if self.limit == 0 {
            self.response.next_cursor = Some(Cursor {
                topic_name: name.to_owned(),
                partition_index: i32::try_from(first).unwrap_or(i32::MAX),
            });
            return false;
        }
        let mut answer = DescribeTopicPartitionsResponseTopic {
            name: Some(name.to_owned()),
            topic_authorized_operations: OPERATIONS_NOT_ASKED,
            ..DescribeTopicPartitionsResponseTopic::default()
        };
        let Some(topic) = topic else {
            let refused = check_topic_name(name).err();
            let error = refused.map_or(ErrorCode::UnknownTopicOrPartition, |r| refusal_code(&r));
            answer.error_code = self.asked.code(error);
            self.response.topics.push(answer);
            return true;
        };
        let rest = topic
            .partitions
            .iter()
            .enumerate()
            .skip(first)
            .take(self.limit);
        answer.partitions = rest
            .map(
                |(index, partition)| DescribeTopicPartitionsResponsePartition {
                    partition_index: i32::try_from(index).unwrap_or(i32::MAX),
                    leader_id: partition.leader.map_or(-1, |leader| leader.0),
                    leader_epoch: partition.leader_epoch.0,
                    replica_nodes: numbers(&partition.replicas),
                    isr_nodes: numbers(&partition.isr),
                    eligible_leader_replicas: Some(numbers(&partition.elr)),
                    last_known_elr: Some(numbers(&partition.last_known_elr)),
                    offline_replicas: self.broker.offline_replicas(partition),
                    ..DescribeTopicPartitionsResponsePartition::default()
                },
            )
            .collect();
        answer.topic_id = topic.id;
        answer.is_internal = is_internal(&topic.name);
        self.limit -= answer.partitions.len();
        let next = first.saturating_add(answer.partitions.len());
        let unfinished = next < topic.partitions.len();
        if unfinished {
            self.response.next_cursor = Some(Cursor {
                topic_name: name.to_owned(),
                partition_index: i32::try_from(next).unwrap_or(i32::MAX),
            });
        }
        self.response.topics.push(answer);
        !unfinished
    }
}

fn numbers(brokers: &[BrokerId]) -> Vec<i32> {
    brokers.iter().map(|broker| broker.0).collect()
}
