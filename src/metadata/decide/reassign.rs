//! Replicas move to other brokers.
//!
//! A reassignment first adds: the partition has old and new replicas until every added one is in the ISR. The
//! AlterPartition (or whatever else changes the partition) that brings that about takes the old ones away; see
//! `draft`. Until then it can be cancelled or replaced by another.

use super::draft::{Draft, Election, Live, TopicRules};
use super::topics::check_assignment;
use super::{Facts, Refusal};
use crate::ids::{BrokerId, PartitionIndex};
use crate::metadata::{Image, PartitionImage, Record};

/// One partition whose replicas are on their way, as ListPartitionReassignments tells it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reassignment<'a> {
    pub topic: &'a str,
    pub index: PartitionIndex,
    pub partition: &'a PartitionImage,
}

/// Decides on one partition of AlterPartitionReassignments. `replicas` is where it shall be, the preferred leader
/// first; `None` cancels. `may_change_factor` is the request's `allow_replication_factor_change`.
///
/// # Errors
/// UNKNOWN_TOPIC_OR_PARTITION, INVALID_REPLICA_ASSIGNMENT, INVALID_REPLICATION_FACTOR,
/// NO_REASSIGNMENT_IN_PROGRESS for a cancellation of nothing.
pub fn reassign(
    facts: Facts,
    topic: &str,
    index: PartitionIndex,
    replicas: Option<&[BrokerId]>,
    may_change_factor: bool,
) -> Result<Vec<Record>, Refusal> {
    let topic = facts
        .image
        .topic_named(topic)
        .ok_or(Refusal::UnknownTopic)?;
    let partition = topic.partition(index).ok_or(Refusal::UnknownTopic)?;
    let mut draft = Draft::new(Live::of(facts), TopicRules::of(facts, topic), partition);
    match replicas {
        Some(target) => {
            check_assignment(facts, target)?;
            let have = settled(partition).len();
            if !may_change_factor && target.len() != have {
                return Err(Refusal::InvalidReplicationFactor(format!(
                    "The replication factor is changed from {have} to {}",
                    target.len()
                )));
            }
            begin(&mut draft, partition, target);
        }
        None if !partition.is_moving() => return Err(Refusal::NoReassignmentInProgress),
        None => cancel(&mut draft, partition),
    }
    if loses_candidates(&draft, partition) {
        give_up_isr(facts, &mut draft, topic, index)?;
    }
    let change = draft.finish();
    let record = change.map(|change| Record::PartitionChange {
        topic: topic.id,
        index,
        change,
    });
    Ok(record.into_iter().collect())
}

/// Every reassignment under way, in the order of topics' names.
pub fn reassignments(image: &Image) -> impl Iterator<Item = Reassignment<'_>> {
    let moving = image.partitions().filter(|(_, _, p)| p.is_moving());
    moving.map(|(topic, index, partition)| Reassignment {
        topic: &topic.name,
        index,
        partition,
    })
}

/// The replicas without those a reassignment is adding: where the partition is if it is cancelled.
fn settled(partition: &PartitionImage) -> Vec<BrokerId> {
    let mut replicas = partition.replicas.clone();
    replicas.retain(|replica| !partition.adding.contains(replica));
    replicas
}

fn begin(draft: &mut Draft, partition: &PartitionImage, target: &[BrokerId]) {
    let from = settled(partition);
    let mut leaving = from.clone();
    leaving.retain(|replica| !target.contains(replica));
    let mut coming = target.to_vec();
    coming.retain(|replica| !from.contains(replica));
    draft.replicas = target.to_vec();
    draft.replicas.extend(&leaving);
    draft.adding = coming;
    draft.removing = leaving;
    // Another reassignment may have been adding replicas that this one does not want.
    let replicas = draft.replicas.clone();
    draft.isr.retain(|member| replicas.contains(member));
}

fn cancel(draft: &mut Draft, partition: &PartitionImage) {
    draft.replicas = settled(partition);
    draft
        .isr
        .retain(|member| !partition.adding.contains(member));
    draft.adding.clear();
    draft.removing.clear();
}

/// Whether everybody goes who would be elected first: of those in sync, else of the ELR, else of who led last (KIP-966).
fn loses_candidates(draft: &Draft, partition: &PartitionImage) -> bool {
    let ranks = [&partition.isr, &partition.elr, &partition.last_known_elr];
    let first = ranks.into_iter().find(|rank| !rank.is_empty());
    first.is_some_and(|rank| !rank.iter().any(|broker| draft.replicas.contains(broker)))
}

/// Every replica that would be elected first goes: without them records may be lost, which the topic must allow.
fn give_up_isr(
    facts: Facts,
    draft: &mut Draft,
    topic: &crate::metadata::TopicImage,
    index: PartitionIndex,
) -> Result<(), Refusal> {
    if !facts.settings.allows_unclean_election(facts.image, topic) {
        return Err(Refusal::InvalidAssignment(format!(
            "Unable to revert partition assignment for {}-{index} because it would require an unclean leader election.",
            topic.name
        )));
    }
    draft.election = Election::Unclean;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::rig::{Rig, id, ids};
    use super::*;

    fn moved(rig: &mut Rig, replicas: Option<&[i32]>) -> Result<(), Refusal> {
        let replicas = replicas.map(ids);
        let zero = PartitionIndex(0);
        let records = reassign(rig.facts(), "t", zero, replicas.as_deref(), true)?;
        rig.apply(&records);
        Ok(())
    }

    fn rig() -> Rig {
        let mut rig = Rig::with_brokers(5);
        rig.topic("t", &[&[1, 2, 3]], 2);
        rig
    }

    #[test]
    fn replicas_go_once_all_new_ones_are_in_sync() {
        let mut rig = rig();
        moved(&mut rig, Some(&[4, 2, 5])).expect("fine");
        let partition = rig.partition("t", 0);
        assert_eq!(partition.replicas, ids(&[4, 2, 5, 1, 3]));
        assert_eq!(
            (&partition.adding, &partition.removing),
            (&ids(&[4, 5]), &ids(&[1, 3]))
        );
        assert_eq!(
            (partition.leader, partition.leader_epoch.0),
            (Some(id(1)), 0)
        );
        assert_eq!(reassignments(rig.image()).count(), 1);
        rig.isr("t", 0, &[1, 2, 3, 4]).expect("4 caught up");
        assert!(rig.partition("t", 0).is_moving());
        let last = rig.isr("t", 0, &[1, 2, 3, 4, 5]).expect("5 caught up");
        assert!(last.new_leader, "1 is gone");
        let partition = rig.partition("t", 0);
        assert_eq!(partition.replicas, ids(&[4, 2, 5]));
        assert_eq!(partition.isr, ids(&[2, 4, 5]));
        assert_eq!(
            (partition.leader, partition.leader_epoch.0),
            (Some(id(4)), 1)
        );
        assert_eq!(reassignments(rig.image()).count(), 0);
    }

    #[test]
    fn taking_replicas_away_is_done_at_once_and_begins_a_leader_epoch() {
        let mut rig = rig();
        moved(&mut rig, Some(&[1, 2])).expect("fine");
        let partition = rig.partition("t", 0);
        assert_eq!(partition.replicas, ids(&[1, 2]));
        assert_eq!(
            (partition.leader, partition.leader_epoch.0),
            (Some(id(1)), 1)
        );
        moved(&mut rig, Some(&[2, 1])).expect("fine");
        let partition = rig.partition("t", 0);
        assert_eq!(partition.replicas, ids(&[2, 1]));
        assert_eq!(
            (partition.leader, partition.leader_epoch.0),
            (Some(id(1)), 1)
        );
    }

    #[test]
    fn a_reassignment_is_cancelled_or_replaced() {
        let mut rig = rig();
        assert_eq!(
            moved(&mut rig, None),
            Err(Refusal::NoReassignmentInProgress)
        );
        moved(&mut rig, Some(&[4, 5])).expect("fine");
        rig.isr("t", 0, &[1, 2, 3, 4]).expect("4 caught up");
        moved(&mut rig, Some(&[1, 2, 5])).expect("fine");
        let partition = rig.partition("t", 0);
        assert_eq!(partition.replicas, ids(&[1, 2, 5, 3]));
        assert_eq!(partition.isr, ids(&[1, 2, 3]));
        assert_eq!(
            (&partition.adding, &partition.removing),
            (&ids(&[5]), &ids(&[3]))
        );
        moved(&mut rig, None).expect("fine");
        let partition = rig.partition("t", 0);
        assert_eq!(partition.replicas, ids(&[1, 2, 3]));
        assert!(!partition.is_moving());
    }

    #[test]
    fn cancelling_never_loses_the_last_replica_in_sync() {
        let mut rig = rig();
        moved(&mut rig, Some(&[4, 5, 1])).expect("fine");
        rig.isr("t", 0, &[1, 4])
            .expect("4 caught up, others fell behind");
        rig.fence(1);
        assert_eq!(rig.partition("t", 0).leader, Some(id(4)));
        let refused = moved(&mut rig, None).expect_err("only 4 has everything");
        assert!(matches!(refused, Refusal::InvalidAssignment(_)));
        rig.set_topic("t", "unclean.leader.election.enable", "true");
        moved(&mut rig, None).expect("the topic allows it");
        let partition = rig.partition("t", 0);
        assert_eq!(partition.leader, Some(id(2)));
        assert_eq!(
            partition.recovery,
            crate::metadata::LeaderRecovery::Recovering
        );
    }

    /// Nobody was in sync any more, so nobody seemed to be lost with the only replica that had everything.
    #[test]
    fn kip_966_cancelling_never_loses_the_last_eligible_replica() {
        let mut rig = Rig::with_brokers(5);
        rig.topic("t", &[&[1, 2, 3]], 1);
        moved(&mut rig, Some(&[4, 5, 1])).expect("fine");
        rig.isr("t", 0, &[1, 4])
            .expect("4 caught up, others fell behind");
        rig.fence(1);
        rig.fence(4);
        let partition = rig.partition("t", 0);
        assert_eq!((partition.isr, partition.elr), (ids(&[]), ids(&[4])));
        for replicas in [None, Some(&[1, 2, 3][..])] {
            let refused = moved(&mut rig, replicas).expect_err("only 4 has everything");
            assert!(
                matches!(refused, Refusal::InvalidAssignment(_)),
                "{refused}"
            );
        }
    }

    #[test]
    fn bad_targets_are_refused() {
        let mut rig = rig();
        for bad in [&[][..], &[1, 1], &[9]] {
            let refused = moved(&mut rig, Some(bad)).expect_err("refused");
            assert!(
                matches!(refused, Refusal::InvalidAssignment(_)),
                "{refused}"
            );
        }
        let two = ids(&[1, 2]);
        let refused = reassign(rig.facts(), "t", PartitionIndex(0), Some(&two), false);
        assert!(matches!(refused, Err(Refusal::InvalidReplicationFactor(_))));
        let unknown = reassign(rig.facts(), "t", PartitionIndex(1), Some(&two), true);
        assert_eq!(unknown, Err(Refusal::UnknownTopic));
    }
}
