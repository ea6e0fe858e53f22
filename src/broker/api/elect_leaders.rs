//! ElectLeaders (43): gives leadership back to preferred replicas, or to any where records may be lost.
//!
//! Without partitions all are meant; then those that need no election are left out of the answer.
//!
//! Differs from Apache Kafka: the timeout is ignored, the answer leaves once the elections are committed.

use super::super::Broker;
use super::super::commit::NotDone;
use super::super::dispatch::{Answer, Answered, Asked, check_lists};
use super::code_of;
use crate::ids::PartitionIndex;
use crate::metadata::decide::{ElectionType, elect_leader};
use crate::wire::messages::elect_leaders::{
    ElectLeadersRequest, ElectLeadersResponse, PartitionResult, ReplicaElectionResult,
};
use crate::wire::{ErrorCode, Reader};

/// First version with an error for the whole request.
const WHOLE_ERROR: i16 = 1;

pub(super) fn answer(broker: &mut Broker, asked: &Asked, reader: &mut Reader) -> Answered {
    let request = ElectLeadersRequest::decode(reader, asked.version)?;
    let named = request.topic_partitions.as_ref();
    check_lists(named.into_iter().flatten().map(|t| t.partitions.len()))?;
    let mut response = ElectLeadersResponse::default();
    let kind = match request.election_type {
        0 => Some(ElectionType::Preferred),
        1 => Some(ElectionType::Unclean),
        _ => None,
    };
    match kind {
        Some(kind) => {
            let all = request.topic_partitions.is_none();
            let wanted = match request.topic_partitions {
                Some(topics) => topics
                    .into_iter()
                    .map(|t| (t.topic, t.partitions))
                    .collect(),
                None => broker.all_partitions(),
            };
            for (topic, partitions) in wanted {
                let results = broker.elect_asked(asked, &topic, &partitions, kind, all);
                if !results.is_empty() || !all {
                    response
                        .replica_election_results
                        .push(ReplicaElectionResult {
                            topic,
                            partition_result: results,
                        });
                }
            }
        }
        None if asked.version >= WHOLE_ERROR => {
            response.error_code = asked.code(ErrorCode::InvalidRequest);
        }
        None => {}
    }
    let parts = asked.reply(|writer| response.encode(writer, asked.version))?;
    Ok(Answer::Reply(parts))
}

impl Broker {
    fn all_partitions(&self) -> Vec<(String, Vec<i32>)> {
        let topics = self.facts().image.topics_by_name();
        let indexes = |count: usize| (0..).take(count).collect();
        topics
            .map(|topic| (topic.name.clone(), indexes(topic.partitions.len())))
            .collect()
    }

    fn elect_asked(
        &mut self,
        asked: &Asked,
        topic: &str,
        partitions: &[i32],
        kind: ElectionType,
        all: bool,
    ) -> Vec<PartitionResult> {
        let mut results = Vec::new();
        for index in partitions {
            let decided = elect_leader(self.facts(), topic, PartitionIndex(*index), kind);
            let cause = self.connections.who(asked.connection);
            let done = decided
                .map_err(NotDone::from)
                .and_then(|records| self.commit(asked.now, &records, &cause));
            let (error, why) = match done {
                Ok(()) => (ErrorCode::None, None),
                Err(not_done) => {
                    let (error, why) = code_of(&not_done);
                    (error, Some(why))
                }
            };
            if all && error == ErrorCode::ElectionNotNeeded {
                continue;
            }
            results.push(PartitionResult {
                partition_id: *index,
                error_code: asked.code(error),
                error_message: why,
            });
        }
        results
    }
}
