//! A broker's copy of a partition is damaged, and another has the records.
//!
//! The broker goes out of ISR and ELR, and a leader epoch begins whoever leads: until it has fetched in that epoch
//! its leader does not count it, so it may throw its copy away and fetch everything again.

use super::draft::{Draft, Election, Live, TopicRules};
use super::{Facts, Refusal};
use crate::ids::{BrokerId, PartitionIndex, TopicId};
use crate::metadata::Record;

/// Decides on one replica of AssignReplicasToDirs whose directory is lost, told by its own broker, whose epoch
/// [`super::check_broker_epoch`] has compared. No records where nobody else live is in sync: then the copy there is,
/// damaged or not, is the best one.
///
/// # Errors
/// UNKNOWN_TOPIC_ID, UNKNOWN_TOPIC_OR_PARTITION, INVALID_REQUEST when the broker has no replica of it.
pub fn lose_replica(
    facts: Facts,
    broker: BrokerId,
    topic: TopicId,
    index: PartitionIndex,
) -> Result<Vec<Record>, Refusal> {
    let image = facts.image.topic(topic).ok_or(Refusal::UnknownTopicId)?;
    let partition = image.partition(index).ok_or(Refusal::UnknownTopic)?;
    if !partition.replicas.contains(&broker) {
        let why = format!("Broker {broker} has no replica of the partition.");
        return Err(Refusal::InvalidRequest(why));
    }
    let others = partition.isr.iter().filter(|member| **member != broker);
    let mut others = others.filter(|member| facts.image.is_live(**member));
    if others.next().is_none() {
        return Ok(Vec::new());
    }
    let live = Live {
        going: Some(broker),
        ..Live::of(facts)
    };
    let mut draft = Draft::new(live, TopicRules::of(facts, image), partition);
    draft.isr.retain(|member| *member != broker);
    draft.election = Election::Needed;
    draft.forgetful = Some(broker);
    draft.renewed = true;
    let change = draft.finish().unwrap_or_default();
    Ok(vec![Record::PartitionChange {
        topic,
        index,
        change,
    }])
}

#[cfg(test)]
mod tests {
    use super::super::rig::{Rig, id, ids};
    use super::*;

    fn lose(rig: &mut Rig, broker: i32) -> usize {
        let topic = rig.image().topic_named("t").expect("made").id;
        let records = lose_replica(rig.facts(), id(broker), topic, PartitionIndex(0));
        let records = records.expect("it has a replica");
        rig.apply(&records);
        records.len()
    }

    fn rig() -> Rig {
        let mut rig = Rig::with_brokers(4);
        rig.topic("t", &[&[1, 2, 3]], 2);
        rig
    }

    #[test]
    fn a_follower_that_lost_its_records_counts_no_more_and_neither_does_what_it_fetched() {
        let mut rig = rig();
        lose(&mut rig, 2);
        let partition = rig.partition("t", 0);
        assert_eq!(partition.isr, ids(&[1, 3]));
        assert_eq!(
            (partition.leader, partition.leader_epoch.0),
            (Some(id(1)), 1)
        );
        rig.isr("t", 0, &[1]).expect("3 falls out");
        assert_eq!(rig.partition("t", 0).elr, ids(&[3]));
        lose(&mut rig, 2);
        let partition = rig.partition("t", 0);
        assert_eq!(partition.leader_epoch.0, 2, "also when it is out of sync");
    }

    #[test]
    fn a_leader_that_lost_records_is_followed_by_one_that_has_them() {
        let mut rig = rig();
        lose(&mut rig, 1);
        let partition = rig.partition("t", 0);
        assert_eq!(partition.leader, Some(id(2)));
        assert_eq!(partition.isr, ids(&[2, 3]));
        assert!(partition.elr.is_empty(), "it is not eligible");
    }

    #[test]
    fn the_only_copy_stays_damaged_or_not() {
        let mut rig = rig();
        rig.isr("t", 0, &[1]).expect("2 and 3 fall out");
        assert_eq!(lose(&mut rig, 1), 0);
        rig.isr("t", 0, &[1, 2]).expect("2 is back");
        rig.fence(1);
        rig.fence(2);
        assert_eq!(rig.partition("t", 0).leader, None);
        assert_eq!(lose(&mut rig, 1), 0);
        assert_eq!(lose(&mut rig, 2), 0);
    }

    #[test]
    fn who_has_no_replica_is_refused() {
        let rig = rig();
        let topic = rig.image().topic_named("t").expect("made").id;
        let refused = lose_replica(rig.facts(), id(4), topic, PartitionIndex(0));
        assert!(matches!(refused, Err(Refusal::InvalidRequest(_))));
        let refused = lose_replica(rig.facts(), id(1), topic, PartitionIndex(5));
        assert_eq!(refused, Err(Refusal::UnknownTopic));
    }
}
