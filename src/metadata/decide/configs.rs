//! Changing topic and broker configurations.
//!
//! Two of them decide who may lead: with a changed min.insync.replicas an ELR may no longer be true, and with
//! unclean.leader.election.enable a partition without a leader may get one. What follows is in the same records.

use std::collections::BTreeMap;

use super::elections::settle;
use super::{Facts, Refusal};
use crate::ids::{BrokerId, PartitionIndex, TopicId};
use crate::metadata::configs::{
    Allowed, Change, ConfigType, broker_row, check_value, list_elements, topic_row,
};
use crate::metadata::{PartitionChange, Record, Resource, TopicImage};

/// What to do with one configuration, with the numbers IncrementalAlterConfigs uses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ConfigOp {
    Set = 0,
    Delete = 1,
    Append = 2,
    Subtract = 3,
}

/// One configuration to change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigChange {
    pub name: String,
    pub op: ConfigOp,
    pub value: Option<String>,
}

/// Configurations that decide who may lead: the controller and every leader must see the same.
const ELECTION_RULES: &[&str] = &["min.insync.replicas", "unclean.leader.election.enable"];

/// Name, type and limits of a configuration that may be changed.
type Changeable = (&'static str, ConfigType, Allowed);

/// Decides on single changes to a topic's configurations; the others stay.
///
/// # Errors
/// Unknown topic or name, a value that is not allowed, a name twice.
pub fn alter_topic(
    facts: Facts,
    topic: &str,
    changes: &[ConfigChange],
) -> Result<Vec<Record>, Refusal> {
    let image = facts
        .image
        .topic_named(topic)
        .ok_or(Refusal::UnknownTopic)?;
    let fallback = |name: &str| {
        let row = topic_row(name)?;
        facts
            .settings
            .topic_config(facts.image, &image.configs, row)
            .value
    };
    let wanted = changed(&image.configs, changes, changeable_on_topic, fallback)?;
    let resource = Resource::Topic(topic.to_owned());
    let records = differences(&image.configs, &wanted, &resource);
    Ok(with_elections(facts, records))
}

/// Decides on a whole new set of configurations for a topic; what is not in it goes back to its default.
///
/// # Errors
/// As [`alter_topic`].
pub fn replace_topic(
    facts: Facts,
    topic: &str,
    configs: &[(String, Option<String>)],
) -> Result<Vec<Record>, Refusal> {
    let image = facts
        .image
        .topic_named(topic)
        .ok_or(Refusal::UnknownTopic)?;
    let changes = sets(configs)?;
    let wanted = changed(&BTreeMap::new(), &changes, changeable_on_topic, |_| None)?;
    let resource = Resource::Topic(topic.to_owned());
    let records = differences(&image.configs, &wanted, &resource);
    Ok(with_elections(facts, records))
}

/// Decides on single changes to a broker's dynamic configurations; `None` is every broker's.
///
/// # Errors
/// Unknown broker or name, one that cannot change while the broker runs, a value that is not allowed.
pub fn alter_broker(
    facts: Facts,
    broker: Option<BrokerId>,
    changes: &[ConfigChange],
) -> Result<Vec<Record>, Refusal> {
    check_broker(facts, broker)?;
    check_cluster_wide(broker, changes.iter().map(|change| change.name.as_str()))?;
    let empty = BTreeMap::new();
    let now = facts.image.broker_configs(broker).unwrap_or(&empty);
    let fallback = |name: &str| {
        let row = broker_row(name)?;
        facts.settings.broker_config(facts.image, row).value
    };
    let wanted = changed(now, changes, changeable_on_broker, fallback)?;
    let records = differences(now, &wanted, &Resource::Broker(broker));
    Ok(with_elections(facts, records))
}

/// Decides on a whole new set of dynamic configurations for a broker.
///
/// # Errors
/// As [`alter_broker`].
pub fn replace_broker(
    facts: Facts,
    broker: Option<BrokerId>,
    configs: &[(String, Option<String>)],
) -> Result<Vec<Record>, Refusal> {
    check_broker(facts, broker)?;
    check_cluster_wide(broker, configs.iter().map(|(name, _)| name.as_str()))?;
    let empty = BTreeMap::new();
    let now = facts.image.broker_configs(broker).unwrap_or(&empty);
    let changes = sets(configs)?;
    let wanted = changed(&empty, &changes, changeable_on_broker, |_| None)?;
    let records = differences(now, &wanted, &Resource::Broker(broker));
    Ok(with_elections(facts, records))
}

/// Checks the configurations a new topic overrides.
pub(super) fn check_topic_configs(configs: &BTreeMap<String, String>) -> Result<(), Refusal> {
    for (name, value) in configs {
        let (name, kind, allowed) = changeable_on_topic(name)?;
        check_value(name, kind, allowed, value)
            .map_err(|e| Refusal::InvalidConfig(e.to_string()))?;
    }
    Ok(())
}

fn check_broker(facts: Facts, broker: Option<BrokerId>) -> Result<(), Refusal> {
    match broker {
        Some(broker) if facts.image.broker(broker).is_none() => {
            Err(Refusal::InvalidRequest(format!(
                "Unexpected broker id, expected one of the registered brokers, but received {broker}"
            )))
        }
        _ => Ok(()),
    }
}

/// One broker's own value of what decides elections would let leaders and controller disagree (KIP-966).
fn check_cluster_wide<'a>(
    broker: Option<BrokerId>,
    mut names: impl Iterator<Item = &'a str>,
) -> Result<(), Refusal> {
    match names.find(|name| broker.is_some() && ELECTION_RULES.contains(name)) {
        Some(name) => Err(Refusal::InvalidConfig(format!(
            "Broker-level {name} cannot be altered while ELR is enabled."
        ))),
        None => Ok(()),
    }
}

/// Configuration records, and after them what they make of leaders, ELRs and partition epochs.
fn with_elections(facts: Facts, mut records: Vec<Record>) -> Vec<Record> {
    let decides = |record: &Record| match record {
        Record::Config { name, .. } => ELECTION_RULES.contains(&name.as_str()),
        _ => false,
    };
    if records.iter().any(decides) {
        let mut image = facts.image.clone();
        for record in &records {
            image.apply(record);
        }
        let image = &image;
        let after = Facts { image, ..facts };
        let topic = records.iter().find_map(|record| match record {
            Record::Config {
                resource: Resource::Topic(topic),
                ..
            } => Some(topic.clone()),
            _ => None,
        });
        match topic {
            Some(topic) => records.extend(told_of_raise(facts, after, image.topic_named(&topic))),
            None => records.extend(told_of_raise(facts, after, image.topics_by_name())),
        }
        records.extend(settle(after));
    }
    records
}

/// Gives each partition that needs more in-sync replicas than before a new partition epoch. A leader that has not
/// heard of the raise commits with fewer: until it has, its AlterPartition must not make those it drops eligible.
fn told_of_raise<'a>(
    before: Facts<'a>,
    after: Facts<'a>,
    topics: impl IntoIterator<Item = &'a TopicImage>,
) -> Vec<Record> {
    fn min(facts: Facts, topic: &TopicImage) -> usize {
        facts.settings.min_insync_replicas(facts.image, topic)
    }
    let raised = |topic: &&TopicImage| {
        let was = before.image.topic(topic.id);
        was.is_some_and(|was| min(before, was) < min(after, topic))
    };
    let record = |topic: TopicId, index| Record::PartitionChange {
        topic,
        index: PartitionIndex(index),
        change: PartitionChange::default(),
    };
    let raised = topics.into_iter().filter(raised);
    raised
        .flat_map(|topic| {
            let indexes = (0..).zip(&topic.partitions).map(|(index, _)| index);
            indexes.map(move |index| record(topic.id, index))
        })
        .collect()
}

fn changeable_on_topic(name: &str) -> Result<Changeable, Refusal> {
    match topic_row(name) {
        Some(row) => Ok((row.name, row.kind, row.allowed)),
        None => Err(Refusal::InvalidConfig(format!(
            "Unknown topic config name: {name}"
        ))),
    }
}

fn changeable_on_broker(name: &str) -> Result<Changeable, Refusal> {
    match broker_row(name) {
        Some(row) if row.change == Change::Live => Ok((row.name, row.kind, row.allowed)),
        Some(_) => Err(Refusal::InvalidRequest(format!(
            "Cannot update these configs dynamically: {name}"
        ))),
        None => Err(Refusal::InvalidConfig(format!(
            "Unknown broker config name: {name}"
        ))),
    }
}

/// A name nothing has: taking it away changes nothing, and is no error. Tools clear what they may have set, such as
/// the throttles of kafka-reassign-partitions.
fn is_unknown(name: &str) -> bool {
    topic_row(name).is_none() && broker_row(name).is_none()
}

fn sets(configs: &[(String, Option<String>)]) -> Result<Vec<ConfigChange>, Refusal> {
    let change = |(name, value): &(String, Option<String>)| ConfigChange {
        name: name.clone(),
        op: ConfigOp::Set,
        value: value.clone(),
    };
    Ok(configs.iter().map(change).collect())
}

/// The configurations after the changes, checked.
fn changed(
    now: &BTreeMap<String, String>,
    changes: &[ConfigChange],
    changeable: fn(&str) -> Result<Changeable, Refusal>,
    fallback: impl Fn(&str) -> Option<String>,
) -> Result<BTreeMap<String, String>, Refusal> {
    let mut wanted = now.clone();
    let mut seen = std::collections::BTreeSet::new();
    for change in changes {
        if !seen.insert(change.name.as_str()) {
            return Err(Refusal::InvalidRequest(
                "Error due to duplicate config keys".to_owned(),
            ));
        }
        if change.op == ConfigOp::Delete && is_unknown(&change.name) {
            continue;
        }
        let (name, kind, allowed) = changeable(&change.name)?;
        let value = match (change.op, &change.value) {
            (ConfigOp::Delete, _) => {
                wanted.remove(name);
                continue;
            }
            (_, None) => {
                return Err(Refusal::InvalidRequest(format!(
                    "Null value not supported for : {name}"
                )));
            }
            (ConfigOp::Set, Some(value)) => value.clone(),
            (op, Some(value)) => {
                if kind != ConfigType::List {
                    return Err(Refusal::InvalidConfig(format!(
                        "Can't {} to key {name} because its type is not LIST.",
                        if op == ConfigOp::Append {
                            "APPEND"
                        } else {
                            "SUBTRACT"
                        }
                    )));
                }
                let before = wanted.get(name).cloned().or_else(|| fallback(name));
                edited_list(&before.unwrap_or_default(), op, value)
            }
        };
        check_value(name, kind, allowed, &value)
            .map_err(|e| Refusal::InvalidConfig(e.to_string()))?;
        wanted.insert(name.to_owned(), value.trim().to_owned());
    }
    Ok(wanted)
}

fn edited_list(before: &str, op: ConfigOp, edit: &str) -> String {
    let mut elements: Vec<&str> = list_elements(before).collect();
    for element in list_elements(edit) {
        match op {
            ConfigOp::Subtract => elements.retain(|e| *e != element),
            _ if !elements.contains(&element) => elements.push(element),
            _ => {}
        }
    }
    elements.join(",")
}

fn differences(
    now: &BTreeMap<String, String>,
    wanted: &BTreeMap<String, String>,
    resource: &Resource,
) -> Vec<Record> {
    let gone = now.keys().filter(|name| !wanted.contains_key(*name));
    let gone = gone.map(|name| (name, None));
    let new = wanted
        .iter()
        .filter(|(name, value)| now.get(*name) != Some(*value));
    let new = new.map(|(name, value)| (name, Some(value.clone())));
    gone.chain(new)
        .map(|(name, value)| Record::Config {
            resource: resource.clone(),
            name: name.clone(),
            value,
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::super::alter_partition;
    use super::super::rig::{Rig, ids};
    use super::*;

    fn change(name: &str, op: ConfigOp, value: Option<&str>) -> ConfigChange {
        ConfigChange {
            name: name.to_owned(),
            op,
            value: value.map(str::to_owned),
        }
    }

    fn with_topic(run: impl Fn(Facts)) {
        let mut rig = Rig::with_brokers(3);
        rig.topic("t", &[&[1, 2, 3]], 2);
        rig.set_topic("t", "retention.ms", "5");
        run(rig.facts());
    }

    #[test]
    fn kip_966_an_elr_goes_when_fewer_replicas_are_enough() {
        let mut rig = Rig::with_brokers(3);
        rig.topic("t", &[&[1, 2, 3]], 2);
        rig.fence(3);
        rig.fence(2);
        assert_eq!(rig.partition("t", 0).elr, ids(&[2]));
        let before = rig.new_isr("t", 0, &[1]);
        rig.set_topic("t", "min.insync.replicas", "3");
        assert_eq!(rig.partition("t", 0).elr, ids(&[2]));
        let unaware = alter_partition(rig.facts(), BrokerId(1), &before);
        assert_eq!(unaware, Err(Refusal::InvalidUpdateVersion));
        rig.set_topic("t", "min.insync.replicas", "1");
        assert!(rig.partition("t", 0).elr.is_empty());
        let own = [change("min.insync.replicas", ConfigOp::Set, Some("2"))];
        let refused = alter_broker(rig.facts(), Some(BrokerId(1)), &own);
        assert!(matches!(refused, Err(Refusal::InvalidConfig(_))));
        alter_broker(rig.facts(), None, &own).expect("for all of them");
    }

    #[test]
    fn single_changes_leave_the_others_and_a_whole_set_does_not() {
        with_topic(|facts| {
            let set = [change("segment.ms", ConfigOp::Set, Some("9"))];
            let records = alter_topic(facts, "t", &set).expect("fine");
            assert_eq!(records.len(), 1);
            let whole = [
                ("segment.ms".to_owned(), Some("9".to_owned())),
                ("min.insync.replicas".to_owned(), Some("2".to_owned())),
            ];
            let records = replace_topic(facts, "t", &whole).expect("fine");
            assert_eq!(records.len(), 2);
            let same = [change("retention.ms", ConfigOp::Set, Some("5"))];
            assert!(alter_topic(facts, "t", &same).expect("fine").is_empty());
        });
    }

    #[test]
    fn lists_are_appended_to_and_subtracted_from() {
        with_topic(|facts| {
            for (op, edit, want) in [
                (ConfigOp::Append, "compact", "delete,compact"),
                (ConfigOp::Append, "delete", "delete"),
                (ConfigOp::Subtract, "delete", ""),
            ] {
                let changes = [change("cleanup.policy", op, Some(edit))];
                let records = alter_topic(facts, "t", &changes).expect("fine");
                let Record::Config { value, .. } = &records[0] else {
                    panic!("a config record");
                };
                assert_eq!(value.as_deref(), Some(want));
            }
            let number = [change("retention.ms", ConfigOp::Append, Some("1"))];
            assert!(matches!(
                alter_topic(facts, "t", &number),
                Err(Refusal::InvalidConfig(_))
            ));
        });
    }

    #[test]
    fn bad_changes_are_refused_as_kafka_does() {
        with_topic(|facts| {
            use ConfigOp::Set;
            let refused =
                |changes: &[ConfigChange]| alter_topic(facts, "t", changes).expect_err("refused");
            assert!(matches!(
                refused(&[change("no.such", Set, Some("1"))]),
                Refusal::InvalidConfig(_)
            ));
            assert!(matches!(
                refused(&[change("retention.ms", Set, Some("x"))]),
                Refusal::InvalidConfig(_)
            ));
            assert!(matches!(
                refused(&[change("retention.ms", Set, None)]),
                Refusal::InvalidRequest(_)
            ));
            let twice = [
                change("retention.ms", Set, Some("1")),
                change("retention.ms", Set, Some("2")),
            ];
            assert!(matches!(refused(&twice), Refusal::InvalidRequest(_)));
            assert_eq!(alter_topic(facts, "u", &[]), Err(Refusal::UnknownTopic));
            let gone = [change(
                "follower.replication.throttled.replicas",
                ConfigOp::Delete,
                None,
            )];
            assert_eq!(alter_topic(facts, "t", &gone), Ok(Vec::new()));
            assert_eq!(alter_broker(facts, None, &gone), Ok(Vec::new()));
            let fixed = [change("num.partitions", Set, Some("2"))];
            assert!(matches!(
                alter_broker(facts, None, &fixed),
                Err(Refusal::InvalidRequest(_))
            ));
            let live = [change("log.retention.ms", Set, Some("2"))];
            assert_eq!(alter_broker(facts, None, &live).expect("fine").len(), 1);
            assert!(alter_broker(facts, Some(BrokerId(9)), &live).is_err());
        });
    }
}
