//! OffsetFetch (9): how far groups have read, as they last said.
//!
//! A group nobody knows has committed nothing, which is no error. What is told is committed: it survives the
//! coordinator. Several groups from version 8 on (KIP-709), topics by id from version 10 on.
//!
//! Differs from Apache Kafka: `require_stable` changes nothing, there are no transactions yet. A group named more than
//! once is answered once, and so is a partition with metadata; they are INVALID_REQUEST from then on.

use std::collections::BTreeSet;

use super::super::Broker;
use super::super::dispatch::{Answer, Answered, Asked, check_lists};
use super::super::group_answers::{GroupAnswer, refusal_code};
use super::super::group_waits::Gate;
use super::super::groups::{Named, NotHere};
use crate::group::{Committed, Refusal};
use crate::ids::{Offset, TopicId};
use crate::wire::messages::offset_fetch::{
    OffsetFetchRequest, OffsetFetchRequestGroup, OffsetFetchRequestTopics, OffsetFetchResponse,
    OffsetFetchResponseGroup, OffsetFetchResponsePartition, OffsetFetchResponsePartitions,
    OffsetFetchResponseTopic, OffsetFetchResponseTopics,
};
use crate::wire::{ErrorCode, Reader};

/// First version that asks for several groups.
const BATCHED: i16 = 8;
/// First version that names topics by id.
const BY_ID: i16 = 10;
/// First version with an error for the whole request.
const WHOLE_ERROR: i16 = 2;

pub(super) fn answer(broker: &mut Broker, asked: &Asked, reader: &mut Reader) -> Answered {
    let request = OffsetFetchRequest::decode(reader, asked.version)?;
    let groups = match asked.version >= BATCHED {
        true => request.groups,
        false => vec![single(request)],
    };
    let named = groups
        .iter()
        .flat_map(|group| group.topics.iter().flatten());
    check_lists(named.map(|topic| topic.partition_indexes.len()))?;
    super::super::dispatch::check_entries(groups.len())?;
    let named_before = match asked.version < WHOLE_ERROR {
        true => groups[0].topics.clone().unwrap_or_default(),
        false => Vec::new(),
    };
    let mut response = OffsetFetchResponse::default();
    let mut gates = Vec::new();
    let mut named = Named::default();
    for group in groups {
        let place = response.groups.len();
        let here = named.once(&group.group_id);
        let here = here.and_then(|()| broker.coordinated(asked, &group.group_id));
        let told = match here {
            Err(NotHere::Later) => return Ok(Answer::Later),
            Err(NotHere::Refused(refusal)) => Err(refusal),
            Ok(index) => broker.committed_by(asked, index, place, &group),
        };
        let (topics, error_code) = match told {
            Ok((topics, gate)) => {
                gates.push(gate);
                (topics, 0)
            }
            Err(refusal) => (Vec::new(), refusal_code(refusal).code()),
        };
        response.groups.push(OffsetFetchResponseGroup {
            group_id: group.group_id,
            topics,
            error_code,
        });
    }
    let response = match asked.version >= BATCHED {
        true => response,
        false => unbatched(response, asked.version, &named_before),
    };
    broker.answer_once_committed(asked, GroupAnswer::OffsetFetch(response), gates);
    Ok(Answer::Parked)
}

/// A request of old as one that asks for one group.
fn single(request: OffsetFetchRequest) -> OffsetFetchRequestGroup {
    let topic = |topic: crate::wire::messages::offset_fetch::OffsetFetchRequestTopic| {
        OffsetFetchRequestTopics {
            name: topic.name,
            partition_indexes: topic.partition_indexes,
            ..OffsetFetchRequestTopics::default()
        }
    };
    let topics = request.topics.map(|topics| topics.into_iter().map(topic));
    OffsetFetchRequestGroup {
        group_id: request.group_id,
        topics: topics.map(Iterator::collect),
        ..OffsetFetchRequestGroup::default()
    }
}

/// An answer of old. Versions without an error for the whole request say it of each partition named in it.
fn unbatched(
    mut response: OffsetFetchResponse,
    version: i16,
    named: &[OffsetFetchRequestTopics],
) -> OffsetFetchResponse {
    let Some(mut group) = response.groups.pop() else {
        return response;
    };
    if version < WHOLE_ERROR && group.error_code != 0 {
        let nothing = |topic: &OffsetFetchRequestTopics| OffsetFetchResponseTopics {
            name: topic.name.clone(),
            partitions: topic
                .partition_indexes
                .iter()
                .map(|p| told(*p, None))
                .collect(),
            ..OffsetFetchResponseTopics::default()
        };
        group.topics = named.iter().map(nothing).collect();
    }
    let partition = |one: OffsetFetchResponsePartitions| OffsetFetchResponsePartition {
        partition_index: one.partition_index,
        committed_offset: one.committed_offset,
        committed_leader_epoch: one.committed_leader_epoch,
        metadata: one.metadata,
        error_code: match version >= WHOLE_ERROR {
            true => one.error_code,
            false => group.error_code,
        },
    };
    let topics = group.topics.into_iter();
    response.error_code = group.error_code;
    response.topics = topics
        .map(|topic| OffsetFetchResponseTopic {
            name: topic.name,
            partitions: topic.partitions.into_iter().map(partition).collect(),
        })
        .collect();
    response
}

/// Says of an answer of old that it did not come to be.
pub(in crate::broker) fn fail(response: &mut OffsetFetchResponse, code: i16) {
    response.error_code = code;
    let topics = response.topics.iter_mut();
    for partition in topics.flat_map(|topic| &mut topic.partitions) {
        partition.error_code = code;
        partition.committed_offset = -1;
    }
}

impl Broker {
    fn committed_by(
        &self,
        asked: &Asked,
        index: i32,
        place: usize,
        group: &OffsetFetchRequestGroup,
    ) -> Result<(Vec<OffsetFetchResponseTopics>, Gate), Refusal> {
        let name = &group.group_id;
        let (member, epoch) = (group.member_id.as_deref(), group.member_epoch);
        let (allowed, _) =
            self.read_shard(index, place, |shard| shard.may_fetch(name, member, epoch))?;
        allowed?;
        let Some(topics) = &group.topics else {
            let all = self.read_shard(index, place, |shard| shard.all_committed(name))?;
            let (all, gate) = all;
            return Ok((self.everything(asked, all), gate));
        };
        let (told, gate) = self.read_shard(index, place, |shard| {
            let mut said = BTreeSet::new();
            let mut one = |topic: &OffsetFetchRequestTopics| {
                let known = match asked.version >= BY_ID {
                    true => self.image.topic(topic.topic_id).map(|t| t.name.clone()),
                    false => Some(topic.name.clone()),
                };
                let partitions = topic.partition_indexes.iter();
                let partition = |index: &i32| match &known {
                    Some(known) => {
                        let committed = shard.committed(name, known, *index);
                        let long = committed.is_some_and(|c| !c.metadata.is_empty());
                        match long && !said.insert((known.clone(), *index)) {
                            true => OffsetFetchResponsePartitions {
                                error_code: ErrorCode::InvalidRequest.code(),
                                ..told(*index, None)
                            },
                            false => told(*index, committed),
                        }
                    }
                    None => OffsetFetchResponsePartitions {
                        error_code: ErrorCode::UnknownTopicId.code(),
                        ..told(*index, None)
                    },
                };
                OffsetFetchResponseTopics {
                    name: topic.name.clone(),
                    topic_id: topic.topic_id,
                    partitions: partitions.map(partition).collect(),
                }
            };
            topics.iter().map(&mut one).collect()
        })?;
        Ok((told, gate))
    }

    /// All of a group's offsets, by topic.
    fn everything(
        &self,
        asked: &Asked,
        all: Vec<(String, i32, Committed)>,
    ) -> Vec<OffsetFetchResponseTopics> {
        let mut topics: Vec<OffsetFetchResponseTopics> = Vec::new();
        for (name, index, committed) in all {
            let id = self.image.topic_named(&name).map(|topic| topic.id);
            if asked.version >= BY_ID && id.is_none() {
                // It is gone, and without an id it cannot be named.
                continue;
            }
            if topics.last().is_none_or(|topic| topic.name != name) {
                topics.push(OffsetFetchResponseTopics {
                    name,
                    topic_id: id.unwrap_or(TopicId::ZERO),
                    ..OffsetFetchResponseTopics::default()
                });
            }
            if let Some(topic) = topics.last_mut() {
                topic.partitions.push(told(index, Some(&committed)));
            }
        }
        topics
    }
}

fn told(partition_index: i32, committed: Option<&Committed>) -> OffsetFetchResponsePartitions {
    match committed {
        Some(committed) => OffsetFetchResponsePartitions {
            partition_index,
            committed_offset: committed.offset.0,
            committed_leader_epoch: committed.leader_epoch.0,
            metadata: Some(committed.metadata.clone()),
            error_code: 0,
        },
        None => OffsetFetchResponsePartitions {
            partition_index,
            committed_offset: Offset::NONE.0,
            committed_leader_epoch: -1,
            metadata: Some(String::new()),
            error_code: 0,
        },
    }
}
