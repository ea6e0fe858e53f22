//! DescribeQuorum (55): who leads the metadata quorum, and how far its members are.
//!
//! Only the leader knows: other brokers pass the question on to it. One that has just lost control answers
//! NOT_LEADER_OR_FOLLOWER with who it thinks leads.
//!
//! Differs from Apache Kafka: directory ids are zero; endpoints are those of registered brokers.

use super::super::Broker;
use super::super::dispatch::{Answer, Answered, Asked, check_entries};
use crate::ids::{Offset, Time};
use crate::quorum::{METADATA_TOPIC, QuorumView, ReplicaView};
use crate::wire::messages::describe_quorum::{
    DescribeQuorumRequest, DescribeQuorumResponse, Listener, Node, PartitionResult, ReplicaState,
    TopicResult,
};
use crate::wire::{ErrorCode, Reader};

/// First version that tells where voters are.
const WITH_NODES: i16 = 2;

pub(super) fn answer(broker: &mut Broker, asked: &Asked, reader: &mut Reader) -> Answered {
    let request = DescribeQuorumRequest::decode(reader, asked.version)?;
    check_entries(request.topics.iter().map(|t| t.partitions.len() + 1).sum())?;
    let named = |topic: &&crate::wire::messages::describe_quorum::TopicData| {
        topic.topic_name == METADATA_TOPIC
    };
    let mut response = DescribeQuorumResponse::default();
    let now = asked.now;
    let view = broker.see_quorum(|quorum, log| quorum.describe(now, log));
    match (request.topics.iter().find(named), view) {
        (Some(_), Some(view)) => {
            let partition = broker.describe_partition(asked, &view);
            response.topics.push(TopicResult {
                topic_name: METADATA_TOPIC.to_owned(),
                partitions: vec![partition],
            });
            if asked.version >= WITH_NODES {
                response.nodes = broker.quorum_nodes(&view);
            }
        }
        _ => response.error_code = asked.code(ErrorCode::UnknownTopicOrPartition),
    }
    let parts = asked.reply(|writer| response.encode(writer, asked.version))?;
    Ok(Answer::Reply(parts))
}

impl Broker {
    fn describe_partition(&self, asked: &Asked, view: &QuorumView) -> PartitionResult {
        let leads = view.leader == Some(self.config.id);
        let error = match leads {
            true => ErrorCode::None,
            false => ErrorCode::NotLeaderOrFollower,
        };
        let mut result = PartitionResult {
            partition_index: 0,
            error_code: asked.code(error),
            leader_id: view.leader.map_or(-1, |leader| leader.0),
            leader_epoch: view.epoch.0,
            high_watermark: view.high_watermark.unwrap_or(Offset::NONE).0,
            ..PartitionResult::default()
        };
        if leads {
            let state = |replica: &ReplicaView| replica_state(asked.version, replica);
            result.current_voters = view.voters.iter().map(state).collect();
            result.observers = view.observers.iter().map(state).collect();
        }
        result
    }

    fn quorum_nodes(&self, view: &QuorumView) -> Vec<Node> {
        let known = view.voters.iter().chain(&view.observers);
        let known = known.filter_map(|replica| self.image.broker(replica.id));
        let node = |broker: &crate::metadata::BrokerImage| Node {
            node_id: broker.id.0,
            listeners: broker
                .endpoints
                .iter()
                .map(|endpoint| Listener {
                    name: endpoint.name.clone(),
                    host: endpoint.host.clone(),
                    port: endpoint.port,
                })
                .collect(),
        };
        known.map(node).collect()
    }
}

fn replica_state(version: i16, replica: &ReplicaView) -> ReplicaState {
    let ms = |time: Option<Time>| time.map_or(-1, Time::as_ms);
    let mut state = ReplicaState {
        replica_id: replica.id.0,
        log_end_offset: replica.log_end.unwrap_or(Offset::NONE).0,
        ..ReplicaState::default()
    };
    if version >= 1 {
        state.last_fetch_timestamp = ms(replica.last_fetch);
        state.last_caught_up_timestamp = ms(replica.last_caught_up);
    }
    state
}
