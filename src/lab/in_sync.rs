//! What brokers say of in-sync replicas at one moment, held against each other: E4 and H3.
//!
//! What is committed of a partition is what the broker says that has applied the most changes of it.

use std::collections::BTreeMap;

use super::across::{Broken, Partition};
use crate::broker::BrokerPicture;
use crate::ids::{BrokerEpoch, BrokerId, LeaderEpoch, Offset};
use crate::inspect::{PartitionSnapshot, ReplicaState};

/// What all brokers say of one partition.
#[derive(Default)]
struct Sight {
    /// The newest change anybody has applied.
    partition_epoch: Option<i32>,
    leader_epoch: LeaderEpoch,
    isr: Vec<BrokerId>,
    leaders: Vec<Leads>,
    /// Where each replica's log ends that is registered.
    ends: BTreeMap<BrokerId, Offset>,
}

/// A broker that leads in an epoch, and whom its high watermark waits for.
struct Leads {
    broker: BrokerId,
    epoch: LeaderEpoch,
    high_watermark: Offset,
    maximal_isr: Vec<BrokerId>,
}

/// What does not hold.
pub(super) fn judge<'a>(
    pictures: impl Iterator<Item = (BrokerId, &'a BrokerPicture)> + Clone,
) -> Option<Broken> {
    let mut registered: BTreeMap<BrokerId, BrokerEpoch> = BTreeMap::new();
    for shown in pictures
        .clone()
        .flat_map(|(_, picture)| &picture.registrations)
    {
        let newest = registered.entry(shown.broker).or_insert(shown.epoch);
        *newest = shown.epoch.max(*newest);
    }
    let mut sights: BTreeMap<Partition, Sight> = BTreeMap::new();
    for (id, picture) in pictures {
        let known = picture
            .broker_epoch
            .is_some_and(|own| registered.get(&id) == Some(&own));
        for topic in picture.topics.iter() {
            for partition in &topic.partitions {
                let name = (topic.name.clone(), partition.index);
                sights.entry(name).or_default().add(id, known, partition);
            }
        }
    }
    sights.iter().find_map(|(name, sight)| {
        let (invariant, what) = sight.too_small().or_else(|| sight.behind())?;
        Some((invariant, format!("{}-{}: {what}", name.0, name.1)))
    })
}

impl Sight {
    /// What one broker says. Unless metadata has heard of its incarnation, nobody knows what its log may have lost.
    fn add(&mut self, id: BrokerId, known: bool, shown: &PartitionSnapshot) {
        self.learn(shown.partition_epoch, shown.leader_epoch, &shown.isr);
        let own = shown.replicas.iter().find(|replica| replica.broker == id);
        let Some(own) = own.filter(|own| own.state != ReplicaState::Failed) else {
            return;
        };
        if known && shown.trouble.is_none() {
            self.ends.insert(id, own.log_end);
        }
        if own.in_maximal_isr {
            let waited_for = shown.replicas.iter().filter(|r| r.in_maximal_isr);
            self.leaders.push(Leads {
                broker: id,
                epoch: own.leader_epoch,
                high_watermark: own.high_watermark,
                maximal_isr: waited_for.map(|replica| replica.broker).collect(),
            });
        }
    }

    /// Who is in sync, as somebody knows it; nobody may be, while nobody leads.
    fn learn(&mut self, partition_epoch: i32, leader_epoch: LeaderEpoch, isr: &[BrokerId]) {
        if Some(partition_epoch) > self.partition_epoch {
            self.partition_epoch = Some(partition_epoch);
            self.leader_epoch = leader_epoch;
            self.isr = isr.to_vec();
        }
    }

    fn leaders_of_now(&self) -> impl Iterator<Item = &Leads> {
        let of_now = |leads: &&Leads| leads.epoch == self.leader_epoch;
        self.leaders.iter().filter(of_now)
    }

    /// E4, E7: a leader waits for everybody the controller has in sync.
    fn too_small(&self) -> Option<Broken> {
        self.leaders_of_now().find_map(|leads| {
            let mut isr = self.isr.iter();
            let missing = isr.find(|member| !leads.maximal_isr.contains(member))?;
            let (broker, epoch) = (leads.broker, leads.epoch);
            let what = format!(
                "broker {missing} is in sync, and broker {broker} leads epoch {epoch} without waiting for it"
            );
            Some(("E4", what))
        })
    }

    /// H3: whoever the controller has in sync has what is committed.
    fn behind(&self) -> Option<Broken> {
        self.leaders_of_now().find_map(|leads| {
            let ends = self.isr.iter();
            let mut ends = ends.filter_map(|member| Some((member, self.ends.get(member)?)));
            let (member, end) = ends.find(|(_, end)| **end < leads.high_watermark)?;
            let Leads {
                broker,
                epoch,
                high_watermark,
                ..
            } = leads;
            let what = format!(
                "broker {member} is in sync with a log that ends at {end}, and broker {broker} has {high_watermark} as high watermark in epoch {epoch}"
            );
            Some(("H3", what))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sight(isr: &[i32], maximal_isr: &[i32], high_watermark: i64, ends: &[i64]) -> Sight {
        let ids = |ids: &[i32]| ids.iter().copied().map(BrokerId).collect();
        let ends = (1..).map(BrokerId).zip(ends.iter().copied().map(Offset));
        Sight {
            partition_epoch: Some(7),
            leader_epoch: LeaderEpoch(2),
            isr: ids(isr),
            leaders: vec![Leads {
                broker: BrokerId(1),
                epoch: LeaderEpoch(2),
                high_watermark: Offset(high_watermark),
                maximal_isr: ids(maximal_isr),
            }],
            ends: ends.collect(),
        }
    }

    #[test]
    fn e4_a_leader_waits_for_all_that_are_in_sync() {
        assert!(sight(&[1, 2], &[1, 2, 3], 5, &[]).too_small().is_none());
        let mut small = sight(&[1, 2, 3], &[1, 2], 5, &[]);
        assert_eq!(small.too_small().map(|(name, _)| name), Some("E4"));
        // Who led before may not know.
        small.leader_epoch = LeaderEpoch(3);
        assert!(small.too_small().is_none());
    }

    #[test]
    fn what_is_older_is_not_held_against_a_leader_that_lost_everybody() {
        let mut sight = sight(&[1], &[1], 5, &[]);
        sight.learn(8, LeaderEpoch(3), &[]);
        sight.learn(6, LeaderEpoch(2), &[BrokerId(1), BrokerId(2)]);
        assert!(sight.isr.is_empty() && sight.too_small().is_none());
    }

    #[test]
    fn h3_who_is_in_sync_has_what_is_committed() {
        assert!(sight(&[1, 2], &[1, 2], 5, &[9, 5, 0]).behind().is_none());
        let behind = sight(&[1, 2, 3], &[1, 2], 5, &[9, 5, 4]).behind();
        assert_eq!(behind.map(|(name, _)| name), Some("H3"));
        // Nobody knows what a broker has that is down, or whose incarnation is not registered.
        assert!(sight(&[1, 2, 3], &[1, 2], 5, &[9, 5]).behind().is_none());
    }
}
