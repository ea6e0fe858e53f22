//! Adding partitions to a topic.

use super::placement::Stripes;
use super::topics::{check_assignment, check_room, check_topic_size, partition_records};
use super::{Facts, Refusal};
use crate::ids::BrokerId;
use crate::metadata::Record;

/// More partitions somebody asks for.
#[derive(Debug, Clone, Default)]
pub struct MorePartitions {
    pub topic: String,
    /// How many the topic shall have in all.
    pub total: i32,
    /// Replicas of each new partition; `None` lets the controller choose.
    pub assignments: Option<Vec<Vec<BrokerId>>>,
}

/// Decides whether and how a topic grows.
///
/// # Errors
/// The topic is unknown, would not grow, or the assignment does not fit.
pub fn add_partitions(facts: Facts, more: &MorePartitions) -> Result<Vec<Record>, Refusal> {
    let topic = facts
        .image
        .topic_named(&more.topic)
        .ok_or(Refusal::UnknownTopic)?;
    let have = i32::try_from(topic.partitions.len()).expect("partitions are limited");
    if more.total == have {
        let why = format!("Topic already has {have} partition(s).");
        return Err(Refusal::InvalidPartitions(why));
    }
    if more.total < have {
        return Err(Refusal::InvalidPartitions(format!(
            "The topic {} currently has {have} partition(s); {} would not be an increase.",
            topic.name, more.total
        )));
    }
    let added = usize::try_from(more.total - have).expect("checked above");
    check_topic_size(more.total)?;
    check_room(facts, added)?;
    let factor = topic.partitions.first().map_or(1, |p| p.replicas.len());
    let replicas = match &more.assignments {
        None => {
            let factor = i64::try_from(factor).unwrap_or(i64::MAX);
            Stripes::new(facts, topic.id).place(have, more.total, factor)?
        }
        Some(assignments) => {
            if assignments.len() != added {
                return Err(Refusal::InvalidAssignment(format!(
                    "Attempted to add {added} additional partition(s), but {} assignment(s) were specified.",
                    assignments.len()
                )));
            }
            for replicas in assignments {
                check_assignment(facts, replicas)?;
                if replicas.len() != factor {
                    return Err(Refusal::InvalidAssignment(format!(
                        "The manual partition assignment includes a partition with {} replica(s), but this is not consistent with previous partitions, which have {factor} replica(s).",
                        replicas.len()
                    )));
                }
            }
            assignments.clone()
        }
    };
    partition_records(facts, topic.id, have, replicas)
}

#[cfg(test)]
mod tests {
    use super::super::rig::Rig;
    use super::*;

    #[test]
    fn a_topic_grows_and_never_shrinks() {
        let mut rig = Rig::with_brokers(1);
        rig.topic("t", &[&[1], &[1]], 1);
        let facts = rig.facts();
        let grow = |name: &str, total, assignments| {
            let more = MorePartitions {
                topic: name.to_owned(),
                total,
                assignments,
            };
            add_partitions(facts, &more)
        };
        assert_eq!(grow("t", 5, None).expect("fine").len(), 3);
        assert!(matches!(
            grow("t", 2, None),
            Err(Refusal::InvalidPartitions(_))
        ));
        assert!(matches!(
            grow("t", i32::MIN, None),
            Err(Refusal::InvalidPartitions(_))
        ));
        assert!(matches!(grow("t", i32::MAX, None), Err(Refusal::Policy(_))));
        // The limit of one topic holds however it grows, not only when it is made.
        assert!(matches!(grow("t", 10_001, None), Err(Refusal::Policy(_))));
        assert_eq!(grow("t", 10_000, None).expect("fine").len(), 9_998);
        assert_eq!(grow("u", 3, None), Err(Refusal::UnknownTopic));
        let one = Some(vec![vec![BrokerId(1)]]);
        assert!(matches!(
            grow("t", 4, one.clone()),
            Err(Refusal::InvalidAssignment(_))
        ));
        assert_eq!(grow("t", 3, one).expect("fine").len(), 1);
    }
}
