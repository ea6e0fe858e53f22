//! Making and deleting topics.

use std::collections::{BTreeMap, BTreeSet};

use super::configs::check_topic_configs;
use super::placement::Stripes;
use super::{Facts, Refusal};
use crate::ids::{BrokerId, PartitionIndex, TopicId};
use crate::metadata::{PartitionImage, Record, Resource};

/// Partitions one cluster holds; more would outgrow what one machine's memory and files allow.
pub const MAX_PARTITIONS: usize = 100_000;
/// Partitions one topic has at most.
const MAX_PARTITIONS_PER_TOPIC: i32 = 10_000;
/// Bytes of a topic name: with the partition number it must fit into a directory name.
const MAX_NAME_LEN: usize = 249;
/// Name of the log the controller itself keeps.
const METADATA_TOPIC: &str = "__cluster_metadata";
/// Topics the brokers themselves write.
const INTERNAL_TOPICS: &[&str] = &[
    "__consumer_offsets",
    "__share_group_state",
    "__transaction_state",
];

/// A topic somebody asks for.
#[derive(Debug, Clone, Default)]
pub struct NewTopic {
    pub name: String,
    /// −1 is the default.
    pub partitions: i32,
    /// −1 is the default.
    pub replication_factor: i16,
    /// Partition and its replicas; empty lets the controller choose.
    pub assignments: Vec<(i32, Vec<BrokerId>)>,
    pub configs: Vec<(String, Option<String>)>,
}

/// Whether a topic belongs to the brokers rather than to users.
pub fn is_internal(name: &str) -> bool {
    INTERNAL_TOPICS.contains(&name)
}

/// Kafka's rules for topic names.
///
/// # Errors
/// The sentence clients know.
pub fn check_topic_name(name: &str) -> Result<(), Refusal> {
    let refuse = |why: String| Err(Refusal::InvalidTopicName(why));
    if name.is_empty() {
        return refuse("Topic name is invalid: the empty string is not allowed".to_owned());
    }
    if name == "." || name == ".." {
        return refuse(format!("Topic name is invalid: '{name}' is not allowed"));
    }
    if name.len() > MAX_NAME_LEN {
        return refuse(format!(
            "Topic name is invalid: the length of '{}' is longer than the max allowed length {MAX_NAME_LEN}",
            shortened(name)
        ));
    }
    let legal = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
    if !name.chars().all(legal) {
        return refuse(format!(
            "Topic name is invalid: '{name}' contains one or more characters other than ASCII alphanumerics, '.', '_' and '-'"
        ));
    }
    Ok(())
}

fn shortened(name: &str) -> String {
    name.chars().take(MAX_NAME_LEN).chain(['…']).collect()
}

/// Decides whether and how a topic is made. `id` must be fresh.
///
/// # Errors
/// Everything Kafka refuses, and more partitions than [`MAX_PARTITIONS`].
pub fn create_topic(facts: Facts, topic: &NewTopic, id: TopicId) -> Result<Vec<Record>, Refusal> {
    check_topic_name(&topic.name)?;
    if topic.name == METADATA_TOPIC {
        let why = format!("Creation of internal topic {METADATA_TOPIC} is prohibited.");
        return Err(Refusal::InvalidTopicName(why));
    }
    if facts.image.topic_named(&topic.name).is_some() {
        return Err(Refusal::TopicExists(topic.name.clone()));
    }
    check_collision(facts, &topic.name)?;
    let configs = checked_configs(&topic.configs)?;
    let replicas = if topic.assignments.is_empty() {
        chosen_replicas(facts, topic, id)?
    } else {
        assigned_replicas(facts, topic)?
    };
    check_room(facts, replicas.len())?;

    let mut records = vec![Record::Topic {
        name: topic.name.clone(),
        id,
    }];
    records.extend(configs.into_iter().map(|(name, value)| Record::Config {
        resource: Resource::Topic(topic.name.clone()),
        name,
        value: Some(value),
    }));
    records.extend(partition_records(facts, id, 0, replicas)?);
    Ok(records)
}

/// A name that differs from another only in `.` and `_` would share its metric names.
fn check_collision(facts: Facts, name: &str) -> Result<(), Refusal> {
    if !name.contains(['.', '_']) {
        return Ok(());
    }
    match facts.image.topic_like(name) {
        Some(other) => Err(Refusal::InvalidTopicName(format!(
            "Topic '{name}' collides with existing topic: {}",
            other.name
        ))),
        None => Ok(()),
    }
}

fn checked_configs(
    configs: &[(String, Option<String>)],
) -> Result<BTreeMap<String, String>, Refusal> {
    let mut checked = BTreeMap::new();
    for (name, value) in configs {
        let Some(value) = value else {
            let why = format!("Null value not supported for topic configs: {name}");
            return Err(Refusal::InvalidConfig(why));
        };
        checked.insert(name.clone(), value.clone());
    }
    check_topic_configs(&checked)?;
    Ok(checked)
}

fn chosen_replicas(
    facts: Facts,
    topic: &NewTopic,
    id: TopicId,
) -> Result<Vec<Vec<BrokerId>>, Refusal> {
    if topic.replication_factor == 0 || topic.replication_factor < -1 {
        return Err(Refusal::InvalidReplicationFactor(
            "Replication factor must be larger than 0, or -1 to use the default value.".to_owned(),
        ));
    }
    if topic.partitions == 0 || topic.partitions < -1 {
        return Err(Refusal::InvalidPartitions(
            "Number of partitions was set to an invalid non-positive value.".to_owned(),
        ));
    }
    let default = |name| facts.settings.number(facts.image, name);
    let partitions = match topic.partitions {
        -1 => i32::try_from(default("num.partitions")).unwrap_or(i32::MAX),
        given => given,
    };
    let factor = match topic.replication_factor {
        -1 => default("default.replication.factor"),
        given => i64::from(given),
    };
    check_topic_size(partitions)?;
    Stripes::new(facts, id).place(0, partitions, factor)
}

fn assigned_replicas(facts: Facts, topic: &NewTopic) -> Result<Vec<Vec<BrokerId>>, Refusal> {
    if topic.replication_factor != -1 {
        return Err(Refusal::InvalidRequest("A manual partition assignment was specified, but replication factor was not set to -1.".to_owned()));
    }
    if topic.partitions != -1 {
        return Err(Refusal::InvalidRequest(
            "A manual partition assignment was specified, but numPartitions was not set to -1."
                .to_owned(),
        ));
    }
    check_topic_size(i32::try_from(topic.assignments.len()).unwrap_or(i32::MAX))?;
    let mut by_index: BTreeMap<i32, &[BrokerId]> = BTreeMap::new();
    for (index, replicas) in &topic.assignments {
        if by_index.insert(*index, replicas).is_some() {
            let why = format!("Found multiple manual partition assignments for partition {index}");
            return Err(Refusal::InvalidAssignment(why));
        }
        check_assignment(facts, replicas)?;
    }
    let consecutive = by_index.keys().copied().eq((0..).take(by_index.len()));
    if !consecutive {
        return Err(Refusal::InvalidAssignment(
            "partitions should be a consecutive 0-based integer sequence".to_owned(),
        ));
    }
    let factors: BTreeSet<usize> = by_index.values().map(|r| r.len()).collect();
    if factors.len() > 1 {
        return Err(Refusal::InvalidAssignment(
            "The manual partition assignment has partitions with different replication factors."
                .to_owned(),
        ));
    }
    Ok(by_index.into_values().map(<[BrokerId]>::to_vec).collect())
}

/// One partition's replicas as a client gave them: some, known, none twice.
pub(super) fn check_assignment(facts: Facts, replicas: &[BrokerId]) -> Result<(), Refusal> {
    if replicas.is_empty() {
        return Err(Refusal::InvalidAssignment(
            "The manual partition assignment includes an empty replica list.".to_owned(),
        ));
    }
    let mut seen = BTreeSet::new();
    for replica in replicas {
        if facts.image.broker(*replica).is_none() {
            return Err(Refusal::InvalidAssignment(format!(
                "The manual partition assignment includes broker {replica}, but no such broker is registered."
            )));
        }
        if !seen.insert(replica) {
            return Err(Refusal::InvalidAssignment(format!(
                "The manual partition assignment includes the broker {replica} more than once."
            )));
        }
    }
    Ok(())
}

/// Refuses a topic of more than [`MAX_PARTITIONS_PER_TOPIC`].
pub(super) fn check_topic_size(partitions: i32) -> Result<(), Refusal> {
    match partitions > MAX_PARTITIONS_PER_TOPIC {
        true => Err(Refusal::Policy(format!(
            "A topic has at most {MAX_PARTITIONS_PER_TOPIC} partitions."
        ))),
        false => Ok(()),
    }
}

/// Refuses what would go over [`MAX_PARTITIONS`].
pub(super) fn check_room(facts: Facts, more: usize) -> Result<(), Refusal> {
    if facts.image.partition_count().saturating_add(more) > MAX_PARTITIONS {
        return Err(Refusal::Policy(format!(
            "The cluster holds at most {MAX_PARTITIONS} partitions and has {}.",
            facts.image.partition_count()
        )));
    }
    Ok(())
}

/// Records that make partitions `from..` of a topic: in sync is who is live, and the first of them leads.
pub(super) fn partition_records(
    facts: Facts,
    topic: TopicId,
    from: i32,
    replicas: Vec<Vec<BrokerId>>,
) -> Result<Vec<Record>, Refusal> {
    let record = |(index, replicas): (i32, Vec<BrokerId>)| {
        let live = |broker: &BrokerId| facts.image.is_live(*broker);
        let isr: Vec<BrokerId> = replicas.iter().copied().filter(live).collect();
        if isr.is_empty() {
            return Err(Refusal::InvalidAssignment(format!(
                "All brokers specified in the manual partition assignment for partition {index} are fenced or in controlled shutdown."
            )));
        }
        Ok(Record::Partition {
            topic,
            index: PartitionIndex(index),
            partition: PartitionImage::new(replicas, isr),
        })
    };
    (from..).zip(replicas).map(record).collect()
}

/// Decides whether a topic is deleted.
///
/// # Errors
/// The topic is unknown, or `delete.topic.enable` is false.
pub fn delete_topic(facts: Facts, id: TopicId) -> Result<Vec<Record>, Refusal> {
    if !facts.settings.flag(facts.image, "delete.topic.enable") {
        return Err(Refusal::DeletionDisabled);
    }
    if facts.image.topic(id).is_none() {
        return Err(Refusal::UnknownTopicId);
    }
    Ok(vec![Record::RemoveTopic { id }])
}

#[cfg(test)]
mod tests {
    use super::super::rig::Rig;
    use super::*;
    use crate::metadata::{BrokerSettings, Image};

    fn three_brokers() -> Image {
        Rig::with_brokers(3).image().clone()
    }

    fn decide(image: &Image, topic: &NewTopic) -> Result<Vec<Record>, Refusal> {
        let set = [("num.partitions", "3"), ("default.replication.factor", "2")];
        let settings = BrokerSettings::new(BrokerId(1), set).expect("allowed");
        let facts = Facts {
            image,
            settings: &settings,
        };
        create_topic(facts, topic, TopicId([7; 16]))
    }

    fn named(name: &str) -> NewTopic {
        NewTopic {
            name: name.to_owned(),
            partitions: -1,
            replication_factor: -1,
            ..NewTopic::default()
        }
    }

    #[test]
    fn trap_12_topic_names_follow_kafkas_rules() {
        for good in ["a", "A.b_c-9", &"x".repeat(249), "...", "__mine"] {
            check_topic_name(good).expect(good);
        }
        for bad in [
            "",
            ".",
            "..",
            &"x".repeat(250),
            "a b",
            "a/b",
            "ä",
            "a\0",
            "a:b",
        ] {
            check_topic_name(bad).expect_err(bad);
        }
    }

    #[test]
    fn defaults_come_from_the_brokers_settings_and_applying_makes_the_topic() {
        let mut image = three_brokers();
        for record in decide(&image, &named("orders")).expect("it is fine") {
            image.apply(&record);
        }
        image.check();
        let topic = image.topic_named("orders").expect("it was made");
        assert_eq!(topic.partitions.len(), 3);
        assert!(topic.partitions.iter().all(|p| p.replicas.len() == 2));
        let leaders: BTreeSet<_> = topic.partitions.iter().map(|p| p.leader).collect();
        assert_eq!(leaders.len(), 3);
        assert_eq!(
            decide(&image, &named("orders")),
            Err(Refusal::TopicExists("orders".to_owned()))
        );
    }

    #[test]
    fn names_that_differ_in_dots_only_collide() {
        let mut image = three_brokers();
        for record in decide(&image, &named("a.b")).expect("it is fine") {
            image.apply(&record);
        }
        let refused = decide(&image, &named("a_b")).expect_err("it collides");
        assert!(
            refused
                .to_string()
                .contains("collides with existing topic: a.b")
        );
        decide(&image, &named("a-b")).expect("a dash is different");
    }

    #[test]
    fn hostile_numbers_are_refused() {
        use Refusal::*;
        let image = three_brokers();
        let refused = |partitions: i32, replication_factor: i16| {
            let topic = NewTopic {
                partitions,
                replication_factor,
                ..named("t")
            };
            decide(&image, &topic).expect_err("refused")
        };
        assert!(matches!(refused(0, 1), InvalidPartitions(_)));
        assert!(matches!(refused(i32::MIN, 1), InvalidPartitions(_)));
        assert!(matches!(refused(i32::MAX, 1), Policy(_)));
        assert!(matches!(refused(1, 0), InvalidReplicationFactor(_)));
        assert!(matches!(refused(1, 4), InvalidReplicationFactor(_)));
        assert!(matches!(refused(1, i16::MAX), InvalidReplicationFactor(_)));
    }

    #[test]
    fn assignments_must_be_complete_and_name_known_brokers() {
        let image = three_brokers();
        let with = |assignments: Vec<(i32, Vec<i32>)>| {
            let assignments = assignments
                .into_iter()
                .map(|(p, r)| (p, r.into_iter().map(BrokerId).collect()))
                .collect();
            let topic = NewTopic {
                assignments,
                ..named("t")
            };
            decide(&image, &topic)
        };
        with(vec![(1, vec![2, 1]), (0, vec![3, 1])]).expect("it is fine");
        for bad in [
            vec![(1, vec![1])],
            vec![(0, vec![1]), (0, vec![1])],
            vec![(0, vec![9])],
            vec![(0, vec![1, 1])],
            vec![(0, vec![])],
            vec![(0, vec![1]), (1, vec![1, 2])],
        ] {
            let refused = with(bad).expect_err("refused");
            assert!(matches!(refused, Refusal::InvalidAssignment(_)));
        }
    }
}
