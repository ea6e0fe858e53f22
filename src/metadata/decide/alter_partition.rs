//! A leader changes its ISR.
//!
//! Only the leader of the current epoch may, knowing the partition's last change, and only with replicas that
//! are live under the registration it fetched with (E5, E6). A request that was carried out and asked again,
//! because its answer was lost, is refused with INVALID_UPDATE_VERSION: the leader learns the outcome from the
//! metadata log (E7).

use super::draft::{Draft, Live, TopicRules};
use super::{Facts, Refusal};
use crate::ids::{BrokerEpoch, BrokerId, LeaderEpoch, PartitionIndex, TopicId};
use crate::metadata::{LeaderRecovery, PartitionImage, Record};
use crate::plants::{Plant, planted};

/// What a leader wants its partition's ISR to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewIsr {
    pub topic: TopicId,
    pub index: PartitionIndex,
    pub leader_epoch: LeaderEpoch,
    /// The partition epoch of the last change the leader knows.
    pub partition_epoch: i32,
    /// Each member with the broker epoch it fetched under. [`BrokerEpoch::NONE`] does for who is in the ISR
    /// already: since it entered, it has not registered anew.
    pub isr: Vec<(BrokerId, BrokerEpoch)>,
    pub recovery: LeaderRecovery,
}

/// A change of the ISR that goes through.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Altered {
    /// Answer once they are committed.
    pub records: Vec<Record>,
    /// The partition afterwards: what to answer, unless `new_leader`.
    pub partition: PartitionImage,
    /// The change completed a reassignment that takes the asking leader away: it is carried out, and the answer
    /// is NEW_LEADER_ELECTED.
    pub new_leader: bool,
}

/// Decides on one partition of AlterPartition, asked by `from`, whose broker epoch
/// [`super::check_broker_epoch`] has compared for the whole request.
///
/// # Errors
/// UNKNOWN_TOPIC_ID, UNKNOWN_TOPIC_OR_PARTITION, NOT_CONTROLLER when the leader knows a later state than this
/// controller, FENCED_LEADER_EPOCH, INVALID_UPDATE_VERSION, INVALID_REQUEST, INELIGIBLE_REPLICA.
pub fn alter_partition(facts: Facts, from: BrokerId, asked: &NewIsr) -> Result<Altered, Refusal> {
    let topic = facts.image.topic(asked.topic);
    let topic = topic.ok_or(Refusal::UnknownTopicId)?;
    let partition = topic.partition(asked.index).ok_or(Refusal::UnknownTopic)?;
    check_epochs(partition, from, asked)?;
    check_members(partition, from, asked)?;
    check_eligible(facts, partition, asked)?;
    let mut draft = Draft::new(Live::of(facts), TopicRules::of(facts, topic), partition);
    draft.isr = asked.isr.iter().map(|(broker, _)| *broker).collect();
    draft.recovery = asked.recovery;
    // Also when nothing changes: the new partition epoch proves to a leader that lost an answer that none of its
    // earlier requests will be carried out any more (E7).
    let change = draft.finish().unwrap_or_default();
    let after = partition.changed_by(&change);
    Ok(Altered {
        new_leader: after.leader != Some(from),
        partition: after,
        records: vec![Record::PartitionChange {
            topic: asked.topic,
            index: asked.index,
            change,
        }],
    })
}

fn check_epochs(partition: &PartitionImage, from: BrokerId, asked: &NewIsr) -> Result<(), Refusal> {
    if asked.leader_epoch > partition.leader_epoch
        || asked.partition_epoch > partition.partition_epoch
    {
        return Err(Refusal::NotController);
    }
    if planted(Plant::NoEpochFence) {
        return Ok(());
    }
    if asked.leader_epoch < partition.leader_epoch {
        return Err(Refusal::FencedLeaderEpoch);
    }
    if partition.leader != Some(from) {
        return Err(Refusal::InvalidRequest(format!(
            "Broker {from} is not the partition's leader."
        )));
    }
    if asked.partition_epoch < partition.partition_epoch {
        return Err(Refusal::InvalidUpdateVersion);
    }
    Ok(())
}

fn check_members(
    partition: &PartitionImage,
    from: BrokerId,
    asked: &NewIsr,
) -> Result<(), Refusal> {
    let refuse = |why: String| Err(Refusal::InvalidRequest(why));
    let mut members: Vec<BrokerId> = asked.isr.iter().map(|(broker, _)| *broker).collect();
    if !members.contains(&from) {
        return refuse("The leader is not in the ISR it asks for.".to_owned());
    }
    if let Some(other) = members.iter().find(|b| !partition.replicas.contains(b)) {
        return refuse(format!("Broker {other} has no replica of the partition."));
    }
    members.sort_unstable();
    if members.windows(2).any(|two| two[0] == two[1]) {
        return refuse("A broker is in the ISR twice.".to_owned());
    }
    if asked.recovery == LeaderRecovery::Recovering {
        if partition.recovery == LeaderRecovery::Recovered {
            return refuse("A leader that has recovered stays so.".to_owned());
        }
        if members.len() > 1 {
            return refuse(
                "While its leader recovers, a partition has no other in sync.".to_owned(),
            );
        }
    }
    Ok(())
}

fn check_eligible(facts: Facts, partition: &PartitionImage, asked: &NewIsr) -> Result<(), Refusal> {
    for (broker, epoch) in &asked.isr {
        let why = match facts.image.broker(*broker) {
            None => "is not registered".to_owned(),
            Some(registered) if registered.fenced => "is fenced".to_owned(),
            Some(registered) if registered.in_controlled_shutdown => "is shutting down".to_owned(),
            Some(_) if *epoch == BrokerEpoch::NONE && partition.isr.contains(broker) => continue,
            Some(registered) if registered.epoch == *epoch => continue,
            Some(registered) => format!("is at broker epoch {}, not {epoch}", registered.epoch),
        };
        return Err(Refusal::IneligibleReplica(format!(
            "Broker {broker} {why}."
        )));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::rig::{Rig, id, ids};
    use super::*;

    fn asked(rig: &Rig, isr: &[i32]) -> NewIsr {
        rig.new_isr("t", 0, isr)
    }

    fn refused(rig: &Rig, asked: &NewIsr) -> Refusal {
        alter_partition(rig.facts(), id(1), asked).expect_err("refused")
    }

    fn rig() -> Rig {
        let mut rig = Rig::with_brokers(4);
        rig.topic("t", &[&[1, 2, 3]], 2);
        rig
    }

    #[test]
    fn the_isr_shrinks_and_grows_without_a_new_leader_epoch() {
        let mut rig = rig();
        rig.isr("t", 0, &[1, 2]).expect("fine");
        rig.isr("t", 0, &[1]).expect("fine");
        let partition = rig.partition("t", 0);
        assert_eq!(partition.elr, ids(&[2]), "3 left while enough were in sync");
        assert_eq!(
            (partition.leader_epoch.0, partition.partition_epoch),
            (0, 2)
        );
        rig.isr("t", 0, &[1, 3]).expect("fine");
        assert!(rig.partition("t", 0).elr.is_empty());
        let before = rig.partition("t", 0).partition_epoch;
        rig.isr("t", 0, &[1, 3]).expect("fine");
        let partition = rig.partition("t", 0);
        assert_eq!(
            partition.partition_epoch,
            before + 1,
            "also without a change"
        );
    }

    #[test]
    fn e7_an_old_or_unknown_state_is_refused() {
        let mut rig = rig();
        let first = asked(&rig, &[1, 2]);
        rig.isr("t", 0, &[1, 2]).expect("fine");
        assert_eq!(refused(&rig, &first), Refusal::InvalidUpdateVersion);
        let mut later = asked(&rig, &[1, 2, 3]);
        later.partition_epoch += 1;
        assert_eq!(refused(&rig, &later), Refusal::NotController);
        let mut later = asked(&rig, &[1, 2, 3]);
        later.leader_epoch.0 += 1;
        assert_eq!(refused(&rig, &later), Refusal::NotController);
        rig.fence(1);
        assert_eq!(
            refused(&rig, &asked_before(&rig)),
            Refusal::FencedLeaderEpoch
        );
        let mut gone = asked(&rig, &[2]);
        gone.topic = TopicId([99; 16]);
        assert_eq!(refused(&rig, &gone), Refusal::UnknownTopicId);
        gone = asked(&rig, &[2]);
        gone.index = PartitionIndex(7);
        assert_eq!(refused(&rig, &gone), Refusal::UnknownTopic);
    }

    fn asked_before(rig: &Rig) -> NewIsr {
        let mut asked = rig.new_isr("t", 0, &[2]);
        asked.leader_epoch.0 -= 1;
        asked
    }

    #[test]
    fn e5_e6_only_live_replicas_under_their_present_registration_join() {
        let mut rig = rig();
        rig.fence(3);
        let refusal = refused(&rig, &asked(&rig, &[1, 2, 3]));
        assert!(
            matches!(refusal, Refusal::IneligibleReplica(_)),
            "{refusal}"
        );
        rig.unfence(3);
        let mut stale = asked(&rig, &[1, 2, 3]);
        stale.isr[2].1.0 -= 1;
        let refusal = refused(&rig, &stale);
        assert!(
            matches!(refusal, Refusal::IneligibleReplica(_)),
            "{refusal}"
        );
        stale.isr[2].1 = BrokerEpoch::NONE;
        let refusal = refused(&rig, &stale);
        assert!(
            matches!(refusal, Refusal::IneligibleReplica(_)),
            "{refusal}"
        );
        stale.isr[2].1 = rig.epoch(3);
        stale.isr[1].1 = BrokerEpoch::NONE;
        alter_partition(rig.facts(), id(1), &stale).expect("2 is in already, 3 may join");
    }

    #[test]
    fn nonsense_is_refused() {
        let rig = rig();
        for isr in [&[2, 3][..], &[1, 4], &[1, 2, 2], &[]] {
            let refusal = refused(&rig, &asked(&rig, isr));
            assert!(matches!(refusal, Refusal::InvalidRequest(_)), "{refusal}");
        }
        let follower = alter_partition(rig.facts(), id(2), &asked(&rig, &[1, 2]));
        assert!(matches!(follower, Err(Refusal::InvalidRequest(_))));
        let mut recovering = asked(&rig, &[1]);
        recovering.recovery = LeaderRecovery::Recovering;
        assert!(matches!(
            refused(&rig, &recovering),
            Refusal::InvalidRequest(_)
        ));
    }
}
