//! A controller that never fails: it registers, fences, elects and judges AlterPartition.

use std::collections::BTreeMap;

use super::super::{Outcome, Proposal, Registration};
use crate::ids::{BrokerEpoch, BrokerId, LeaderEpoch};
use crate::wire::ErrorCode;

/// The partition and the brokers after one more record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Image {
    pub leader: Option<BrokerId>,
    pub leader_epoch: LeaderEpoch,
    pub partition_epoch: i32,
    pub replicas: Vec<BrokerId>,
    pub isr: Vec<BrokerId>,
    pub brokers: BTreeMap<BrokerId, Registration>,
}

#[derive(Debug)]
pub struct Controller {
    /// Never empty; the last one is the present.
    pub images: Vec<Image>,
    next_broker_epoch: BrokerEpoch,
}

impl Controller {
    pub fn new(replicas: &[BrokerId]) -> Controller {
        let image = Image {
            leader: None,
            leader_epoch: LeaderEpoch(0),
            partition_epoch: 0,
            replicas: replicas.to_vec(),
            isr: replicas.to_vec(),
            brokers: BTreeMap::new(),
        };
        Controller {
            images: vec![image],
            next_broker_epoch: BrokerEpoch(1),
        }
    }

    pub fn now(&self) -> &Image {
        self.images.last().expect("never empty")
    }

    /// Registers an incarnation; the one before is fenced first (E6).
    pub fn register(&mut self, id: BrokerId) -> BrokerEpoch {
        self.fence(id);
        let broker_epoch = self.next_broker_epoch;
        self.next_broker_epoch.0 += 1;
        let registration = Registration {
            broker_epoch,
            fenced: true,
            in_controlled_shutdown: false,
        };
        let mut image = self.now().clone();
        image.brokers.insert(id, registration);
        self.images.push(image);
        broker_epoch
    }

    /// Fences a broker: it leaves the in-sync replicas unless it is the last (E5, as Kafka reads it).
    pub fn fence(&mut self, id: BrokerId) {
        let mut image = self.now().clone();
        match image.brokers.get_mut(&id) {
            Some(registration) if !registration.fenced => registration.fenced = true,
            _ => return,
        }
        let member = image.isr.contains(&id);
        if member && image.isr.len() > 1 {
            image.isr.retain(|other| *other != id);
            image.partition_epoch += 1;
        }
        if image.leader == Some(id) {
            image.elect();
        }
        self.images.push(image);
    }

    pub fn unfence(&mut self, id: BrokerId) {
        let mut image = self.now().clone();
        match image.brokers.get_mut(&id) {
            Some(registration) if registration.fenced => registration.fenced = false,
            _ => return,
        }
        if image.leader.is_none() {
            image.elect();
        }
        self.images.push(image);
    }

    /// Makes another in-sync replica the leader.
    pub fn move_leader(&mut self, to: BrokerId) {
        let mut image = self.now().clone();
        if image.leader != Some(to) && image.leader.is_some() && image.may_lead(to) {
            image.leader = Some(to);
            image.leader_epoch.0 += 1;
            image.partition_epoch += 1;
            self.images.push(image);
        }
    }

    /// Judges what a broker that takes itself for the leader proposes.
    pub fn alter(
        &mut self,
        from: BrokerId,
        broker_epoch: BrokerEpoch,
        proposal: &Proposal,
    ) -> Outcome {
        let mut image = self.now().clone();
        if image.brokers.get(&from).map(|r| r.broker_epoch) != Some(broker_epoch) {
            return Outcome::Refused(ErrorCode::StaleBrokerEpoch);
        }
        if image.leader != Some(from) || proposal.leader_epoch != image.leader_epoch {
            return Outcome::Refused(ErrorCode::FencedLeaderEpoch);
        }
        if proposal.partition_epoch != image.partition_epoch {
            return Outcome::Refused(ErrorCode::InvalidUpdateVersion);
        }
        for member in &proposal.isr {
            let registration = image.brokers.get(&member.broker);
            let eligible = registration.is_some_and(|r| {
                let named = member.broker_epoch;
                let was_in = named == BrokerEpoch::NONE && image.isr.contains(&member.broker);
                !r.fenced && (was_in || named == r.broker_epoch)
            });
            if !eligible {
                return Outcome::Refused(ErrorCode::IneligibleReplica);
            }
        }
        image.isr = proposal.isr.iter().map(|member| member.broker).collect();
        image.partition_epoch += 1;
        let accepted = Outcome::Accepted {
            isr: image.isr.clone(),
            leader_epoch: image.leader_epoch,
            partition_epoch: image.partition_epoch,
        };
        self.images.push(image);
        accepted
    }
}

impl Image {
    fn may_lead(&self, id: BrokerId) -> bool {
        self.isr.contains(&id) && self.brokers.get(&id).is_some_and(|r| !r.fenced)
    }

    fn elect(&mut self) {
        let mut candidates = self.replicas.iter().copied();
        self.leader = candidates.find(|id| self.may_lead(*id));
        self.leader_epoch.0 += 1;
        self.partition_epoch += 1;
    }
}
