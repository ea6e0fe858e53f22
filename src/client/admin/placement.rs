//! What the admin asks about where replicas are and who leads them, and how it reads the answers.

use super::{AdminAnswer, Verdict};
use crate::client::links::Answer;
use crate::ids::{BrokerId, PartitionIndex};
use crate::wire::messages::alter_partition_reassignments::{
    AlterPartitionReassignmentsRequest, AlterPartitionReassignmentsResponse, ReassignablePartition,
    ReassignableTopic,
};
use crate::wire::messages::elect_leaders::{
    ElectLeadersRequest, ElectLeadersResponse, TopicPartitions,
};
use crate::wire::messages::list_partition_reassignments::{
    ListPartitionReassignmentsRequest, ListPartitionReassignmentsResponse,
};
use crate::wire::messages::metadata::{MetadataRequest, MetadataRequestTopic, MetadataResponse};
use crate::wire::messages::unregister_broker::{UnregisterBrokerRequest, UnregisterBrokerResponse};
use crate::wire::{ApiKey, DecodeError, EncodeError, ErrorCode, Writer};

/// Milliseconds the controller may take to answer.
const TIMEOUT_MS: i32 = super::PATIENCE_MS as i32;
/// Kafka's number for a preferred election.
const PREFERRED: i8 = 0;
/// Kafka's number for an unclean election.
const UNCLEAN: i8 = 1;

/// One thing to ask about where replicas are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Placement {
    /// Where the partitions of one topic, or of all, are.
    Describe { topic: Option<String> },
    /// Moves a partition's replicas, the preferred leader first; `None` takes a move back.
    Reassign {
        topic: String,
        partition: PartitionIndex,
        to: Option<Vec<BrokerId>>,
    },
    /// Partitions whose replicas are on their way.
    Moves,
    /// Has the preferred replica lead, or any live one where records may be lost.
    Elect {
        topic: String,
        partition: PartitionIndex,
        unclean: bool,
    },
    /// Forgets a broker for good.
    Unregister { broker: BrokerId },
}

/// Where a partition is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Placed {
    pub topic: String,
    pub partition: PartitionIndex,
    pub leader: Option<BrokerId>,
    pub replicas: Vec<BrokerId>,
    pub isr: Vec<BrokerId>,
    /// Known of moves only.
    pub adding: Vec<BrokerId>,
    /// Known of moves only.
    pub removing: Vec<BrokerId>,
}

impl Placement {
    pub(super) fn api(&self) -> ApiKey {
        match self {
            Placement::Describe { .. } => ApiKey::Metadata,
            Placement::Reassign { .. } => ApiKey::AlterPartitionReassignments,
            Placement::Moves => ApiKey::ListPartitionReassignments,
            Placement::Elect { .. } => ApiKey::ElectLeaders,
            Placement::Unregister { .. } => ApiKey::UnregisterBroker,
        }
    }

    pub(super) fn encode(&self, writer: &mut Writer, version: i16) -> Result<(), EncodeError> {
        match self {
            Placement::Describe { topic } => {
                let named = |name: &String| MetadataRequestTopic {
                    name: Some(name.clone()),
                    ..MetadataRequestTopic::default()
                };
                MetadataRequest {
                    topics: topic.as_ref().map(|name| vec![named(name)]),
                    allow_auto_topic_creation: false,
                    ..MetadataRequest::default()
                }
                .encode(writer, version)
            }
            Placement::Reassign {
                topic,
                partition,
                to,
            } => AlterPartitionReassignmentsRequest {
                timeout_ms: TIMEOUT_MS,
                topics: vec![ReassignableTopic {
                    name: topic.clone(),
                    partitions: vec![ReassignablePartition {
                        partition_index: partition.0,
                        replicas: to.as_ref().map(|to| to.iter().map(|id| id.0).collect()),
                    }],
                }],
                ..AlterPartitionReassignmentsRequest::default()
            }
            .encode(writer, version),
            Placement::Moves => ListPartitionReassignmentsRequest {
                timeout_ms: TIMEOUT_MS,
                topics: None,
            }
            .encode(writer, version),
            Placement::Elect {
                topic,
                partition,
                unclean,
            } => ElectLeadersRequest {
                election_type: if *unclean { UNCLEAN } else { PREFERRED },
                topic_partitions: Some(vec![TopicPartitions {
                    topic: topic.clone(),
                    partitions: vec![partition.0],
                }]),
                timeout_ms: TIMEOUT_MS,
            }
            .encode(writer, version),
            Placement::Unregister { broker } => UnregisterBrokerRequest {
                broker_id: broker.0,
            }
            .encode(writer, version),
        }
    }

    /// Reads the verdict, and what there is to report if it is good. An answer that names nothing gives none.
    pub(super) fn decode(
        &self,
        answer: Answer,
    ) -> Result<(Option<Verdict>, AdminAnswer), DecodeError> {
        let version = answer.version;
        let reader = &mut { answer.reader };
        let good = (ErrorCode::None.code(), None);
        Ok(match self {
            Placement::Describe { .. } => {
                let response = MetadataResponse::decode(reader, version)?;
                let failed = response.topics.iter().find(|topic| topic.error_code != 0);
                let verdict = failed.map_or(good, |topic| (topic.error_code, None));
                (Some(verdict), AdminAnswer::Placed(described(response)))
            }
            Placement::Reassign { .. } => {
                let response = AlterPartitionReassignmentsResponse::decode(reader, version)?;
                let whole = (response.error_code, response.error_message);
                let mut all = response.responses.into_iter().flat_map(|t| t.partitions);
                let one = all.next().map(|p| (p.error_code, p.error_message));
                (worse(whole, one), AdminAnswer::Done)
            }
            Placement::Moves => {
                let response = ListPartitionReassignmentsResponse::decode(reader, version)?;
                let verdict = (response.error_code, response.error_message.clone());
                (Some(verdict), AdminAnswer::Placed(moving(response)))
            }
            Placement::Elect { .. } => {
                let response = ElectLeadersResponse::decode(reader, version)?;
                let results = response.replica_election_results.into_iter();
                let mut all = results.flat_map(|topic| topic.partition_result);
                let one = all.next().map(|p| (p.error_code, p.error_message));
                (worse((response.error_code, None), one), AdminAnswer::Done)
            }
            Placement::Unregister { .. } => {
                let response = UnregisterBrokerResponse::decode(reader, version)?;
                let verdict = (response.error_code, response.error_message);
                (Some(verdict), AdminAnswer::Done)
            }
        })
    }
}

/// The error of the whole request, or else of the one thing it named.
fn worse(whole: Verdict, one: Option<Verdict>) -> Option<Verdict> {
    match whole.0 {
        0 => one,
        _ => Some(whole),
    }
}

fn brokers(ids: Vec<i32>) -> Vec<BrokerId> {
    ids.into_iter().map(BrokerId).collect()
}

fn described(response: MetadataResponse) -> Vec<Placed> {
    let mut all = Vec::new();
    for topic in response.topics {
        let name = topic.name.unwrap_or_default();
        for partition in topic.partitions {
            all.push(Placed {
                topic: name.clone(),
                partition: PartitionIndex(partition.partition_index),
                leader: (partition.leader_id >= 0).then_some(BrokerId(partition.leader_id)),
                replicas: brokers(partition.replica_nodes),
                isr: brokers(partition.isr_nodes),
                ..Placed::default()
            });
        }
    }
    all
}

fn moving(response: ListPartitionReassignmentsResponse) -> Vec<Placed> {
    let mut all = Vec::new();
    for topic in response.topics {
        for partition in topic.partitions {
            all.push(Placed {
                topic: topic.name.clone(),
                partition: PartitionIndex(partition.partition_index),
                replicas: brokers(partition.replicas),
                adding: brokers(partition.adding_replicas),
                removing: brokers(partition.removing_replicas),
                ..Placed::default()
            });
        }
    }
    all
}
