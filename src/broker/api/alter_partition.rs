//! AlterPartition (56): a leader asks the controller for other in-sync replicas.
//!
//! Answered once committed. Partitions of one request are independent.
//!
//! Differs from Apache Kafka: nothing known.

use super::super::Broker;
use super::super::commit::NotDone;
use super::super::dispatch::{Answer, Answered, Asked, check_lists};
use super::{code_of, refusal_code};
use crate::ids::{BrokerEpoch, BrokerId, LeaderEpoch, PartitionIndex, TopicId};
use crate::metadata::decide::{NewIsr, alter_partition};
use crate::metadata::{LeaderRecovery, PartitionImage};
use crate::wire::messages::alter_partition::{
    AlterPartitionRequest, AlterPartitionResponse, PartitionData, PartitionResult, TopicResult,
};
use crate::wire::{ErrorCode, Reader};

/// First version with the members' broker epochs (KIP-903).
const WITH_EPOCHS: i16 = 3;

pub(super) fn answer(broker: &mut Broker, asked: &Asked, reader: &mut Reader) -> Answered {
    let request = AlterPartitionRequest::decode(reader, asked.version)?;
    check_lists(request.topics.iter().map(|t| t.partitions.len()))?;
    let mut response = AlterPartitionResponse::default();
    let from = BrokerId(request.broker_id);
    let epoch = BrokerEpoch(request.broker_epoch);
    match broker.check_asked_as_controller(from, epoch) {
        Err(refusal) => response.error_code = asked.code(refusal_code(&refusal)),
        Ok(()) => {
            for topic in request.topics {
                let topic_id = topic.topic_id;
                let results = topic.partitions.into_iter();
                let results = results.map(|p| broker.change_isr_asked(asked, from, topic_id, p));
                response.topics.push(TopicResult {
                    topic_id,
                    partitions: results.collect(),
                });
            }
        }
    }
    let parts = asked.reply(|writer| response.encode(writer, asked.version))?;
    Ok(Answer::Reply(parts))
}

impl Broker {
    fn change_isr_asked(
        &mut self,
        asked: &Asked,
        from: BrokerId,
        topic: TopicId,
        partition: PartitionData,
    ) -> PartitionResult {
        let isr = match asked.version {
            ..WITH_EPOCHS => {
                let members = partition.new_isr.iter();
                members
                    .map(|id| (BrokerId(*id), BrokerEpoch::NONE))
                    .collect()
            }
            _ => {
                let members = partition.new_isr_with_epochs.iter();
                members
                    .map(|m| (BrokerId(m.broker_id), BrokerEpoch(m.broker_epoch)))
                    .collect()
            }
        };
        let new = NewIsr {
            topic,
            index: PartitionIndex(partition.partition_index),
            leader_epoch: LeaderEpoch(partition.leader_epoch),
            partition_epoch: partition.partition_epoch,
            isr,
            recovery: match partition.leader_recovery_state {
                1 => LeaderRecovery::Recovering,
                _ => LeaderRecovery::Recovered,
            },
        };
        let failed = |error: ErrorCode| PartitionResult {
            partition_index: partition.partition_index,
            error_code: asked.code(error),
            ..PartitionResult::default()
        };
        match self.carry_out_alter(asked, from, &new) {
            Ok((_, true)) => failed(ErrorCode::NewLeaderElected),
            Ok((after, false)) => PartitionResult {
                partition_index: partition.partition_index,
                error_code: 0,
                leader_id: after.leader.map_or(-1, |leader| leader.0),
                leader_epoch: after.leader_epoch.0,
                isr: after.isr.iter().map(|id| id.0).collect(),
                leader_recovery_state: after.recovery as i8,
                partition_epoch: after.partition_epoch,
            },
            Err(not_done) => failed(code_of(&not_done).0),
        }
    }

    fn carry_out_alter(
        &mut self,
        asked: &Asked,
        from: BrokerId,
        new: &NewIsr,
    ) -> Result<(PartitionImage, bool), NotDone> {
        let altered = alter_partition(self.facts(), from, new)?;
        if !altered.records.is_empty() {
            let cause = format!("its leader, broker {from}, asked for it");
            self.decide(asked.now, &altered.records, &cause)?;
        }
        Ok((altered.partition, altered.new_leader))
    }
}
