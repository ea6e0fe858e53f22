//! CreateTopics (19): makes topics; each is there, and every live broker knows it, when the answer leaves.
//!
//! Where that takes longer than the request's timeout, REQUEST_TIMED_OUT is said of topics that are there. Topics of one request are independent: one that is refused does not hold up another. A topic named twice
//! is refused, both times. With validate_only nothing is written.
//!
//! Differs from Apache Kafka: live brokers are waited for, the controller's commit is not all; with a timeout of 0
//! it is. The cluster's limit of partitions is POLICY_VIOLATION.

use std::collections::BTreeMap;

use super::super::Broker;
use super::super::commit::NotDone;
use super::super::dispatch::{Answered, Asked, check_entries};
use super::{code_of, say_late};
use crate::ids::{BrokerId, TopicId};
use crate::metadata::decide::{NewTopic, Refusal, create_topic};
use crate::metadata::{EffectiveConfig, Record, configs::TopicRow};
use crate::wire::messages::create_topics::{
    CreatableTopic, CreatableTopicConfigs, CreatableTopicResult, CreateTopicsRequest,
    CreateTopicsResponse,
};
use crate::wire::{ErrorCode, Reader};

/// An answer about one topic lists its configurations, so it counts for this many entries.
const WEIGHT: usize = 10;

pub(super) fn answer(broker: &mut Broker, asked: &Asked, reader: &mut Reader) -> Answered {
    let request = CreateTopicsRequest::decode(reader, asked.version)?;
    check_entries(request.topics.len().saturating_mul(WEIGHT))?;
    let mut times: BTreeMap<&str, u32> = BTreeMap::new();
    for topic in &request.topics {
        *times.entry(&topic.name).or_default() += 1;
    }
    let mut response = CreateTopicsResponse::default();
    let mut done: std::collections::BTreeSet<&str> = Default::default();
    for topic in &request.topics {
        if !done.insert(&topic.name) {
            continue;
        }
        let result = if times[topic.name.as_str()] > 1 {
            let why = "Duplicate topic name.".to_owned();
            Err(Refusal::InvalidRequest(why).into())
        } else {
            broker.create_asked(asked, topic, request.validate_only)
        };
        response.topics.push(match result {
            Ok(result) => result,
            Err(not_done) => {
                let (error, why) = code_of(&not_done);
                CreatableTopicResult {
                    name: topic.name.clone(),
                    error_code: asked.code(error),
                    error_message: Some(why),
                    topic_config_error_code: ErrorCode::None.code(),
                    configs: Some(Vec::new()),
                    ..CreatableTopicResult::default()
                }
            }
        });
    }
    let encode = |response: &_, writer: &mut _| {
        CreateTopicsResponse::encode(response, writer, asked.version)
    };
    asked.reply_once_spread(request.timeout_ms, response, encode, |response| {
        for topic in &mut response.topics {
            say_late(&mut topic.error_code, &mut topic.error_message);
        }
    })
}

impl Broker {
    fn create_asked(
        &mut self,
        asked: &Asked,
        topic: &CreatableTopic,
        validate_only: bool,
    ) -> Result<CreatableTopicResult, NotDone> {
        let new = NewTopic {
            name: topic.name.clone(),
            partitions: topic.num_partitions,
            replication_factor: topic.replication_factor,
            assignments: topic
                .assignments
                .iter()
                .map(|a| {
                    (
                        a.partition_index,
                        a.broker_ids.iter().copied().map(BrokerId).collect(),
                    )
                })
                .collect(),
            configs: topic
                .configs
                .iter()
                .map(|config| (config.name.clone(), config.value.clone()))
                .collect(),
        };
        let id = self.fresh_topic_id();
        let records = create_topic(self.facts(), &new, id)?;
        let overrides = records.iter().filter_map(|record| match record {
            Record::Config { name, value, .. } => Some((name.clone(), value.clone()?)),
            _ => None,
        });
        let configs = self
            .settings
            .topic_configs(&self.image, &overrides.collect());
        let mut factors = records.iter().filter_map(|record| match record {
            Record::Partition { partition, .. } => Some(partition.replicas.len()),
            _ => None,
        });
        let replication_factor = factors
            .next()
            .map_or(-1, |n| i16::try_from(n).unwrap_or(i16::MAX));
        let more = factors.count();
        let num_partitions = i32::try_from(more + 1).unwrap_or(i32::MAX);
        let mut topic_id = TopicId::ZERO;
        if !validate_only {
            let cause = self.connections.who(asked.connection);
            self.commit(asked.now, &records, &cause)?;
            topic_id = id;
        }
        Ok(CreatableTopicResult {
            name: new.name,
            topic_id,
            num_partitions,
            replication_factor,
            configs: Some(configs.into_iter().map(config).collect()),
            ..CreatableTopicResult::default()
        })
    }
}

fn config((row, effective): (&'static TopicRow, EffectiveConfig)) -> CreatableTopicConfigs {
    CreatableTopicConfigs {
        name: row.name.to_owned(),
        value: effective.value,
        read_only: false,
        config_source: effective.source as i8,
        is_sensitive: false,
    }
}
