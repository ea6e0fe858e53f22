//! Changes of in-sync replicas: from a partition's leader to the controller and back (AlterPartition).
//!
//! All proposals there are go in one request. The controller's own partitions need no wire: what it decides about
//! them comes back with the committed metadata. An answer that does not come is told as unknown, never as
//! refused (E7).

use super::Broker;
use super::partition::{PartitionKey, Role};
use super::peers::Purpose;
use super::registration::error_of;
use super::replicas::partition_of;
use crate::ids::{BrokerEpoch, BrokerId, LeaderEpoch, PartitionIndex, Time};
use crate::metadata::LeaderRecovery;
use crate::metadata::decide::{self, NewIsr};
use crate::replica::{Attempt, Outcome, Proposal};
use crate::wire::messages::alter_partition::{
    AlterPartitionRequest, AlterPartitionResponse, BrokerState, PartitionData, TopicData,
};
use crate::wire::{ErrorCode, Reader};

/// The version with broker epochs (KIP-903).
const VERSION: i16 = 3;

impl Broker {
    /// Sends the proposals there are. The lane is free.
    pub(super) fn send_proposals(&mut self, now: Time, controller: BrokerId) {
        let Some(member) = self.member.as_mut() else {
            return;
        };
        let Some(epoch) = member
            .registration
            .epoch
            .filter(|_| !member.proposals.is_empty())
        else {
            return;
        };
        let proposals = std::mem::take(&mut member.proposals);
        if controller == self.config.id {
            for (key, proposal) in proposals {
                self.propose_to_itself(now, key, &proposal);
            }
            return;
        }
        let request = request(self.config.id, epoch, &proposals);
        let attempts = proposals.iter().map(|(key, p)| (*key, p.attempt)).collect();
        let purpose = Purpose::Alter(attempts);
        self.ask(now, controller, VERSION, purpose, |writer| {
            request.encode(writer, VERSION)
        });
    }

    fn propose_to_itself(&mut self, now: Time, key: PartitionKey, proposal: &Proposal) {
        let members = proposal.isr.iter();
        let asked = NewIsr {
            topic: key.0,
            index: PartitionIndex(key.1),
            leader_epoch: proposal.leader_epoch,
            partition_epoch: proposal.partition_epoch,
            isr: members.map(|m| (m.broker, m.broker_epoch)).collect(),
            recovery: LeaderRecovery::Recovered,
        };
        let attempt = proposal.attempt;
        let decided = decide::alter_partition(self.facts(), self.config.id, &asked);
        let outcome = match decided {
            Ok(altered) if altered.records.is_empty() => Outcome::Accepted {
                isr: altered.partition.isr,
                leader_epoch: altered.partition.leader_epoch,
                partition_epoch: altered.partition.partition_epoch,
            },
            Ok(altered) => {
                let written = self.decide(now, &altered.records, "its leader asked for it");
                self.committed = false;
                match written {
                    Ok(()) => {
                        // What becomes of it is in the metadata, or unknown if another controller comes.
                        if let Some(member) = self.member.as_mut() {
                            member.local_alters.push((key, attempt));
                        }
                        return;
                    }
                    Err(_) => Outcome::Unknown,
                }
            }
            Err(refusal) => Outcome::Refused(super::api::refusal_code(&refusal)),
        };
        self.settle_proposal(now, key, attempt, outcome);
    }

    fn settle_proposal(
        &mut self,
        now: Time,
        key: PartitionKey,
        attempt: Attempt,
        outcome: Outcome,
    ) {
        let Some(partition) = partition_of(&mut self.topics, key) else {
            return;
        };
        let Role::Leader(leader) = &mut partition.role else {
            return;
        };
        if leader.on_alter_outcome(now, attempt, outcome) {
            self.take_leaders_high_watermark(key);
        }
        self.touch(key);
        self.shown.touch(key.0);
    }

    /// The controller answered.
    pub(super) fn on_alter_answer(
        &mut self,
        now: Time,
        proposals: &[(PartitionKey, Attempt)],
        version: i16,
        mut body: Reader,
    ) {
        let Ok(answer) = AlterPartitionResponse::decode(&mut body, version) else {
            return self.on_alter_lost(now, proposals);
        };
        for (key, attempt) in proposals {
            let topic = answer.topics.iter().find(|topic| topic.topic_id == key.0);
            let partition =
                topic.and_then(|t| t.partitions.iter().find(|p| p.partition_index == key.1));
            let outcome = match (error_of(answer.error_code), partition) {
                (ErrorCode::None, None) => Outcome::Unknown,
                (ErrorCode::None, Some(partition)) => match error_of(partition.error_code) {
                    ErrorCode::None => Outcome::Accepted {
                        isr: partition.isr.iter().copied().map(BrokerId).collect(),
                        leader_epoch: LeaderEpoch(partition.leader_epoch),
                        partition_epoch: partition.partition_epoch,
                    },
                    error => Outcome::Refused(error),
                },
                (error, _) => Outcome::Refused(error),
            };
            self.settle_proposal(now, *key, *attempt, outcome);
        }
    }

    /// The controller did not answer.
    pub(super) fn on_alter_lost(&mut self, now: Time, proposals: &[(PartitionKey, Attempt)]) {
        for (key, attempt) in proposals {
            self.settle_proposal(now, *key, *attempt, Outcome::Unknown);
        }
    }
}

fn request(
    me: BrokerId,
    epoch: BrokerEpoch,
    proposals: &[(PartitionKey, Proposal)],
) -> AlterPartitionRequest {
    let mut topics: Vec<TopicData> = Vec::new();
    for (key, proposal) in proposals {
        if topics.last().is_none_or(|topic| topic.topic_id != key.0) {
            topics.push(TopicData {
                topic_id: key.0,
                ..TopicData::default()
            });
        }
        let topic = topics.last_mut().expect("there is one by now");
        let member = |m: &crate::replica::IsrMember| BrokerState {
            broker_id: m.broker.0,
            broker_epoch: m.broker_epoch.0,
        };
        topic.partitions.push(PartitionData {
            partition_index: key.1,
            leader_epoch: proposal.leader_epoch.0,
            new_isr_with_epochs: proposal.isr.iter().map(member).collect(),
            partition_epoch: proposal.partition_epoch,
            ..PartitionData::default()
        });
    }
    AlterPartitionRequest {
        broker_id: me.0,
        broker_epoch: epoch.0,
        topics,
    }
}
