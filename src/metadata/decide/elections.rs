//! Elections somebody or the clock asks for. Those a broker's coming and going brings are in `brokers`.

use std::collections::BTreeMap;

use super::draft::{Draft, Election, Live, TopicRules, draft_all};
use super::{Facts, Refusal};
use crate::ids::{BrokerId, PartitionIndex};
use crate::metadata::{PartitionImage, Record};

/// Leaderships one look for imbalance moves; the rest waits for the next look, which may follow at once.
pub const MAX_REBALANCED_AT_ONCE: usize = 1_000;

/// Which election ElectLeaders asks for, with the protocol's numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ElectionType {
    Preferred = 0,
    /// Any live replica may lead, records may be lost.
    Unclean = 1,
}

/// Decides on one partition of ElectLeaders. For "all partitions" ask for each and leave ELECTION_NOT_NEEDED out.
///
/// An unclean election's record says so: its change has `recovery: Some(Recovering)`.
///
/// # Errors
/// UNKNOWN_TOPIC_OR_PARTITION; ELECTION_NOT_NEEDED when the preferred replica leads, or for an unclean one when
/// any does; PREFERRED_LEADER_NOT_AVAILABLE; ELIGIBLE_LEADERS_NOT_AVAILABLE.
pub fn elect_leader(
    facts: Facts,
    topic: &str,
    index: PartitionIndex,
    kind: ElectionType,
) -> Result<Vec<Record>, Refusal> {
    let topic = facts
        .image
        .topic_named(topic)
        .ok_or(Refusal::UnknownTopic)?;
    let partition = topic.partition(index).ok_or(Refusal::UnknownTopic)?;
    let (election, nobody) = match kind {
        ElectionType::Preferred if is_balanced(partition) => {
            return Err(Refusal::ElectionNotNeeded);
        }
        ElectionType::Unclean if partition.leader.is_some() => {
            return Err(Refusal::ElectionNotNeeded);
        }
        ElectionType::Preferred => (Election::Preferred, Refusal::PreferredLeaderNotAvailable),
        ElectionType::Unclean => (Election::Unclean, Refusal::EligibleLeadersNotAvailable),
    };
    let mut draft = Draft::new(Live::of(facts), TopicRules::of(facts, topic), partition);
    draft.election = election;
    let change = draft.finish().filter(|change| {
        let leader = change.leader.flatten();
        leader.is_some()
            && (election == Election::Unclean || leader == partition.preferred_leader())
    });
    let change = change.ok_or(nobody)?;
    Ok(vec![Record::PartitionChange {
        topic: topic.id,
        index,
        change,
    }])
}

/// Decides what is due when nobody asked: leaders for partitions that have none although somebody may lead them
/// (unclean where the topic allows it), and ELRs that the topic's present min.insync.replicas no longer bears
/// out. Call it when a controller becomes active; changes of configurations and brokers bring it with them.
pub fn settle(facts: Facts) -> Vec<Record> {
    draft_all(
        Live::of(facts),
        |partition| partition.leader.is_none() || !partition.elr.is_empty(),
        |_| {},
    )
}

/// Decides on the automatic preferred election (every leader.imbalance.check.interval.seconds, if
/// auto.leader.rebalance.enable): each broker that others lead more than leader.imbalance.per.broker.percentage
/// of the partitions for gets its leaderships back where it is live and in sync. At most
/// [`MAX_REBALANCED_AT_ONCE`] records: when there are as many, look again soon.
pub fn rebalance_leaders(facts: Facts) -> Vec<Record> {
    let number = |name| facts.settings.number(facts.image, name);
    let allowed = number("leader.imbalance.per.broker.percentage");
    let mut preferred: BTreeMap<BrokerId, (i64, i64)> = BTreeMap::new();
    for (_, _, partition) in facts.image.partitions() {
        if let Some(broker) = partition.preferred_leader() {
            let (all, away) = preferred.entry(broker).or_default();
            *all += 1;
            *away += i64::from(!is_balanced(partition));
        }
    }
    let unbalanced = |broker: BrokerId| {
        let (all, away) = preferred.get(&broker).copied().unwrap_or_default();
        away * 100 > all * allowed
    };
    let mut records = draft_all(
        Live::of(facts),
        |partition| {
            let ready =
                |broker: &BrokerId| facts.image.is_live(*broker) && partition.isr.contains(broker);
            let preferred = partition.preferred_leader().filter(ready);
            !is_balanced(partition) && preferred.is_some_and(unbalanced)
        },
        |draft| draft.election = Election::Preferred,
    );
    records.truncate(MAX_REBALANCED_AT_ONCE);
    records
}

fn is_balanced(partition: &PartitionImage) -> bool {
    partition.leader.is_some() && partition.leader == partition.preferred_leader()
}

#[cfg(test)]
mod tests {
    use super::super::rig::{Rig, id, ids};
    use super::*;
    use crate::metadata::LeaderRecovery;

    fn elect(rig: &mut Rig, kind: ElectionType) -> Result<(), Refusal> {
        let records = elect_leader(rig.facts(), "t", PartitionIndex(0), kind)?;
        rig.apply(&records);
        Ok(())
    }

    #[test]
    fn a_preferred_leader_takes_over_only_when_in_sync() {
        let mut rig = Rig::with_brokers(3);
        rig.topic("t", &[&[1, 2, 3]], 1);
        use ElectionType::Preferred;
        assert_eq!(elect(&mut rig, Preferred), Err(Refusal::ElectionNotNeeded));
        rig.fence(1);
        assert_eq!(rig.partition("t", 0).leader, Some(id(2)));
        let unavailable = Err(Refusal::PreferredLeaderNotAvailable);
        assert_eq!(elect(&mut rig, Preferred), unavailable);
        rig.unfence(1);
        assert_eq!(elect(&mut rig, Preferred), unavailable, "not in sync yet");
        rig.isr("t", 0, &[2, 3, 1]).expect("it caught up");
        let before = rig.partition("t", 0).leader_epoch;
        elect(&mut rig, Preferred).expect("it can lead");
        let partition = rig.partition("t", 0);
        assert_eq!(partition.leader, Some(id(1)));
        assert_eq!(partition.leader_epoch.0, before.0 + 1);
        let unknown = elect_leader(rig.facts(), "u", PartitionIndex(0), Preferred);
        assert_eq!(unknown, Err(Refusal::UnknownTopic));
    }

    #[test]
    fn e3_an_unclean_election_needs_a_click_and_says_so() {
        let mut rig = Rig::with_brokers(2);
        rig.topic("t", &[&[1, 2]], 1);
        let needless = elect(&mut rig, ElectionType::Unclean);
        assert_eq!(needless, Err(Refusal::ElectionNotNeeded));
        rig.fence(2);
        rig.fence(1);
        rig.unfence(2);
        let partition = rig.partition("t", 0);
        assert_eq!((partition.leader, &partition.elr), (None, &ids(&[1])));
        elect(&mut rig, ElectionType::Unclean).expect("2 is live");
        let partition = rig.partition("t", 0);
        assert_eq!(partition.leader, Some(id(2)));
        assert_eq!(partition.recovery, LeaderRecovery::Recovering);
        assert_eq!(partition.isr, ids(&[2]));
        assert!(partition.elr.is_empty(), "1 has another history now");
        assert!(partition.last_known_elr.is_empty());
        rig.fence(2);
        let nobody = elect(&mut rig, ElectionType::Unclean);
        assert_eq!(nobody, Err(Refusal::EligibleLeadersNotAvailable));
    }

    #[test]
    fn a_topic_that_allows_unclean_elections_gets_them_by_itself() {
        let mut rig = Rig::with_brokers(2);
        rig.topic("t", &[&[1, 2]], 1);
        rig.fence(2);
        rig.fence(1);
        rig.unfence(2);
        assert!(settle(rig.facts()).is_empty());
        rig.set_topic("t", "unclean.leader.election.enable", "true");
        assert_eq!(rig.partition("t", 0).leader, Some(id(2)));
        assert_eq!(rig.partition("t", 0).recovery, LeaderRecovery::Recovering);
    }

    #[test]
    fn leadership_goes_back_when_enough_of_it_is_away() {
        let mut rig = Rig::with_brokers(2);
        rig.topic("t", &[&[1, 2], &[1, 2], &[2, 1]], 1);
        assert!(rebalance_leaders(rig.facts()).is_empty());
        rig.fence(1);
        rig.unfence(1);
        assert!(
            rebalance_leaders(rig.facts()).is_empty(),
            "1 is not in sync"
        );
        for index in 0..3 {
            rig.isr("t", index, &[2, 1]).expect("it caught up");
        }
        let records = rebalance_leaders(rig.facts());
        assert_eq!(records.len(), 2);
        rig.apply(&records);
        assert_eq!(rig.partition("t", 1).leader, Some(id(1)));
        assert!(rebalance_leaders(rig.facts()).is_empty());
        rig.set("leader.imbalance.per.broker.percentage", "100");
        rig.fence(1);
        rig.unfence(1);
        rig.isr("t", 0, &[2, 1]).expect("it caught up");
        assert!(rebalance_leaders(rig.facts()).is_empty(), "all may be away");
    }
}
