//! AssignReplicasToDirs (73): a broker tells the controller that it lost replicas.
//!
//! Partitions of one request are independent. Answered once what follows is committed.
//!
//! Differs from Apache Kafka: a broker has one log directory and gives it no id, so that replicas are only ever
//! assigned to the directory that stands for a lost one.

use super::super::Broker;
use super::super::dispatch::{Answer, Answered, Asked, check_lists};
use super::super::lost::LOST_DIRECTORY;
use super::{code_of, refusal_code};
use crate::ids::{BrokerEpoch, BrokerId, PartitionIndex};
use crate::metadata::decide::Refusal;
use crate::wire::messages::assign_replicas_to_dirs::{
    AssignReplicasToDirsRequest, AssignReplicasToDirsResponse, DirectoryResult, PartitionResult,
    TopicData, TopicResult,
};
use crate::wire::{ErrorCode, Reader};

pub(super) fn answer(broker: &mut Broker, asked: &Asked, reader: &mut Reader) -> Answered {
    let request = AssignReplicasToDirsRequest::decode(reader, asked.version)?;
    let topics = request.directories.iter().flat_map(|d| &d.topics);
    check_lists(topics.map(|topic| topic.partitions.len()))?;
    let mut response = AssignReplicasToDirsResponse::default();
    let from = BrokerId(request.broker_id);
    let epoch = BrokerEpoch(request.broker_epoch);
    match broker.check_asked_as_controller(from, epoch) {
        Err(refusal) => response.error_code = asked.code(refusal_code(&refusal)),
        Ok(()) => {
            for directory in request.directories {
                let lost = directory.id == LOST_DIRECTORY;
                let topics = directory.topics.into_iter();
                let topics = topics.map(|topic| broker.replicas_told(asked, from, lost, topic));
                response.directories.push(DirectoryResult {
                    id: directory.id,
                    topics: topics.collect(),
                });
            }
        }
    }
    let parts = asked.reply(|writer| response.encode(writer, asked.version))?;
    Ok(Answer::Reply(parts))
}

impl Broker {
    fn replicas_told(
        &mut self,
        asked: &Asked,
        from: BrokerId,
        lost: bool,
        topic: TopicData,
    ) -> TopicResult {
        let topic_id = topic.topic_id;
        let results = topic.partitions.into_iter().map(|partition| {
            let index = partition.partition_index;
            let told = match lost {
                true => self.decide_lost(asked.now, from, (topic_id, PartitionIndex(index))),
                false => {
                    let why = "Log directories have no ids here.".to_owned();
                    Err(Refusal::InvalidRequest(why).into())
                }
            };
            let code = told.map_or_else(|not_done| code_of(&not_done).0, |()| ErrorCode::None);
            PartitionResult {
                partition_index: index,
                error_code: asked.code(code),
            }
        });
        TopicResult {
            topic_id,
            partitions: results.collect(),
        }
    }
}
