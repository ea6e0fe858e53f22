//! What makes a run one of a cluster: replication, brokers that join late, and what an administrator does.

use rand::Rng as _;
use rand::rngs::SmallRng;
use rand::seq::{IndexedRandom as _, SliceRandom as _};

use super::schedule::{Fault, Planned, Schedule, TopicPlan};
use crate::ids::{BrokerId, PartitionIndex};
use crate::inspect::Durability;

/// Replicas of a partition, at most.
pub(super) const MOST_REPLICAS: u32 = 3;

/// A durability: what fewer promise, more runs try.
pub(super) fn durability(dice: &mut SmallRng) -> Durability {
    match dice.random_range(0..10) {
        0 => Durability::Memory,
        1..=4 => Durability::Batch,
        _ => Durability::Os,
    }
}

/// Sometimes one broker joins while the others run.
pub(super) fn late(dice: &mut SmallRng, brokers: u32) -> u32 {
    u32::from(brokers >= 2 && dice.random_ratio(1, 4))
}

/// Broker configurations: how soon a follower falls out, how soon leaders go back, and how often is written down
/// what is synced. By default each takes longer than a run.
pub(super) fn settings(dice: &mut SmallRng) -> Vec<(String, String)> {
    let mut settings = Vec::new();
    let mut set = |name: &str, value: i64| settings.push((name.to_owned(), value.to_string()));
    if dice.random_ratio(2, 3) {
        let lag_ms = *[150, 500, 2_000].choose(dice).expect("three of them");
        set("replica.lag.time.max.ms", lag_ms);
    }
    if dice.random_ratio(1, 3) {
        set("leader.imbalance.check.interval.seconds", 1);
    }
    if dice.random_ratio(2, 3) {
        let every_ms = dice.random_range(200..3_000);
        set("log.flush.offset.checkpoint.interval.ms", every_ms);
    }
    settings
}

/// How a topic is replicated among `brokers`, and whether an election may lose records of it.
pub(super) fn replicate(dice: &mut SmallRng, brokers: u32, topic: &mut TopicPlan) {
    let most = brokers.min(MOST_REPLICAS);
    let replicas = match dice.random_ratio(3, 5) {
        true => most,
        false => dice.random_range(1..=most),
    };
    topic.replication_factor = i16::try_from(replicas).unwrap_or(1);
    let mut set = |name: &str, value: String| topic.configs.push((name.to_owned(), value));
    if replicas > 1 && dice.random_ratio(3, 4) {
        set(
            "min.insync.replicas",
            dice.random_range(1..=replicas).to_string(),
        );
    }
    if replicas > 1 && dice.random_ratio(1, 8) {
        set("unclean.leader.election.enable", "true".to_owned());
    }
}

/// Has replicas fall out of sync after the shortest time, leaders move back at once, and answers take their time:
/// what is asked of the controller is often under way when something else is decided. All writers write to one topic.
pub(super) fn unsettle(dice: &mut SmallRng, schedule: &mut Schedule) {
    if dice.random_ratio(1, 5) {
        schedule.durability = Durability::Memory;
    }
    schedule.latency_us = (500, 20_000);
    let settings = [
        ("replica.lag.time.max.ms", 150),
        ("leader.imbalance.check.interval.seconds", 1),
    ];
    schedule.settings = settings
        .map(|(name, value)| (name.to_owned(), value.to_string()))
        .into();
    schedule.topics.truncate(1);
    for topic in &mut schedule.topics {
        topic.partitions = topic.partitions.min(2);
        topic.replication_factor = topic.replication_factor.max(2);
        topic
            .configs
            .retain(|(name, _)| name != "unclean.leader.election.enable");
    }
}

/// When the brokers that come late join.
pub(super) fn joins(dice: &mut SmallRng, schedule: &Schedule, last_ms: i64) -> Vec<Planned> {
    let first = (schedule.brokers - schedule.late + 1).cast_signed();
    let late = (first..=schedule.brokers.cast_signed()).map(BrokerId);
    late.map(|broker| Planned {
        at_ms: dice.random_range(500..last_ms.max(501)),
        fault: Fault::Join { broker },
    })
    .collect()
}

/// Something an administrator does.
pub(super) fn chore(dice: &mut SmallRng, schedule: &Schedule) -> Fault {
    let number = dice.random_range(0..schedule.topics.len());
    let plan = &schedule.topics[number];
    let topic = u32::try_from(number).unwrap_or(0);
    let partition = PartitionIndex(dice.random_range(0..plan.partitions));
    let replicas = u32::try_from(plan.replication_factor).unwrap_or(1);
    match dice.random_range(0..12) {
        // The first topic stays.
        0 | 1 if topic > 0 => Fault::DeleteTopic { topic },
        0..=2 => Fault::AddPartitions {
            topic,
            more: dice.random_range(1..=2),
        },
        3 | 4 => Fault::SetMinInsync {
            topic,
            to: dice.random_range(1..=replicas),
        },
        5..=7 => Fault::Elect {
            topic,
            partition,
            unclean: schedule.may_lose_by_election(topic) && dice.random(),
        },
        _ => {
            let mut brokers: Vec<BrokerId> =
                (1..=schedule.brokers.cast_signed()).map(BrokerId).collect();
            brokers.shuffle(dice);
            brokers.truncate(replicas as usize);
            Fault::Reassign {
                topic,
                partition,
                replicas: brokers,
            }
        }
    }
}
