//! AlterPartitionReassignments (45) and ListPartitionReassignments (46): replicas on their way to other brokers.
//!
//! Differs from Apache Kafka: the timeout is ignored, the answer leaves once the first step is committed.

use super::super::Broker;
use super::super::commit::NotDone;
use super::super::dispatch::{Answer, Answered, Asked, check_lists};
use super::{code_of, named_partitions};
use crate::ids::{BrokerId, PartitionIndex};
use crate::metadata::decide::{reassign, reassignments};
use crate::wire::messages::alter_partition_reassignments::{
    AlterPartitionReassignmentsRequest, AlterPartitionReassignmentsResponse, ReassignablePartition,
    ReassignablePartitionResponse, ReassignableTopicResponse,
};
use crate::wire::messages::list_partition_reassignments::{
    ListPartitionReassignmentsRequest, ListPartitionReassignmentsResponse,
    OngoingPartitionReassignment, OngoingTopicReassignment,
};
use crate::wire::{ErrorCode, Reader};

/// First version that says whether the number of replicas may change; before, it always may.
const SAYS_FACTOR: i16 = 1;

pub(super) fn answer_alter(broker: &mut Broker, asked: &Asked, reader: &mut Reader) -> Answered {
    let request = AlterPartitionReassignmentsRequest::decode(reader, asked.version)?;
    check_lists(request.topics.iter().map(|t| t.partitions.len()))?;
    let may_change_factor = match asked.version >= SAYS_FACTOR {
        true => request.allow_replication_factor_change,
        false => true,
    };
    let mut response = AlterPartitionReassignmentsResponse::default();
    if asked.version >= SAYS_FACTOR {
        response.allow_replication_factor_change = may_change_factor;
    }
    for topic in request.topics {
        let partitions = topic.partitions.iter();
        let results = partitions.map(|partition| {
            let done = broker.reassign_asked(asked, &topic.name, partition, may_change_factor);
            let (error, why) = match done {
                Ok(()) => (ErrorCode::None, None),
                Err(not_done) => {
                    let (error, why) = code_of(&not_done);
                    (error, Some(why))
                }
            };
            ReassignablePartitionResponse {
                partition_index: partition.partition_index,
                error_code: asked.code(error),
                error_message: why,
            }
        });
        response.responses.push(ReassignableTopicResponse {
            partitions: results.collect(),
            name: topic.name.clone(),
        });
    }
    let parts = asked.reply(|writer| response.encode(writer, asked.version))?;
    Ok(Answer::Reply(parts))
}

pub(super) fn answer_list(broker: &mut Broker, asked: &Asked, reader: &mut Reader) -> Answered {
    let request = ListPartitionReassignmentsRequest::decode(reader, asked.version)?;
    let named = request.topics.as_ref();
    check_lists(
        named
            .into_iter()
            .flatten()
            .map(|t| t.partition_indexes.len()),
    )?;
    let named = named.map(|topics| named_partitions(topics, |t| (&t.name, &t.partition_indexes)));
    let is_wanted = |topic: &str, index: PartitionIndex| {
        let wanted = named.as_ref();
        wanted.is_none_or(|wanted| wanted.contains(&(topic, index.0)))
    };
    let mut response = ListPartitionReassignmentsResponse::default();
    for moving in reassignments(broker.facts().image) {
        if !is_wanted(moving.topic, moving.index) {
            continue;
        }
        let topics = &mut response.topics;
        if topics.last().is_none_or(|topic| topic.name != moving.topic) {
            topics.push(OngoingTopicReassignment {
                name: moving.topic.to_owned(),
                ..OngoingTopicReassignment::default()
            });
        }
        let numbers = |brokers: &[BrokerId]| brokers.iter().map(|id| id.0).collect();
        if let Some(topic) = topics.last_mut() {
            topic.partitions.push(OngoingPartitionReassignment {
                partition_index: moving.index.0,
                replicas: numbers(&moving.partition.replicas),
                adding_replicas: numbers(&moving.partition.adding),
                removing_replicas: numbers(&moving.partition.removing),
            });
        }
    }
    let parts = asked.reply(|writer| response.encode(writer, asked.version))?;
    Ok(Answer::Reply(parts))
}

impl Broker {
    fn reassign_asked(
        &mut self,
        asked: &Asked,
        topic: &str,
        partition: &ReassignablePartition,
        may_change_factor: bool,
    ) -> Result<(), NotDone> {
        let target = partition.replicas.as_ref();
        let target: Option<Vec<BrokerId>> =
            target.map(|ids| ids.iter().copied().map(BrokerId).collect());
        let index = PartitionIndex(partition.partition_index);
        let facts = self.facts();
        let records = reassign(facts, topic, index, target.as_deref(), may_change_factor)?;
        let cause = self.connections.who(asked.connection);
        self.commit(asked.now, &records, &cause)
    }
}
