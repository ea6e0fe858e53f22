//! What the cluster consists of: brokers, topics, partitions, overridden configurations, producer id blocks.
//!
//! The image is rebuilt by applying the metadata log's records in order. `apply` never fails: a record that
//! makes no sense for the image (a partition of an unknown topic) is a record of a newer klar or a damaged
//! log and is counted, not guessed at.

use std::collections::{BTreeMap, VecDeque};

use super::broker_image::{BrokerImage, Retired};
use super::partition_image::{PartitionChange, PartitionImage};
use super::record::{Record, Resource};
use crate::ids::{BrokerEpoch, BrokerId, IncarnationId, PartitionIndex, ProducerId, TopicId};

/// Deleted topics that are remembered: more than a crash can leave half deleted.
const MAX_REMOVED: usize = 10_000;

/// Everything the metadata log says, up to the last record applied.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Image {
    topics: BTreeMap<TopicId, TopicImage>,
    names: BTreeMap<String, TopicId>,
    /// Topics with a `.` in their name by [`plain_name`]; other names are their own plain name.
    dotted: BTreeMap<String, TopicId>,
    /// Names of deleted topics whose directories may still lie around after a crash.
    removed: VecDeque<String>,
    brokers: BTreeMap<BrokerId, BrokerImage>,
    /// Earlier incarnations of each broker id, of unregistered ones too.
    retired: BTreeMap<BrokerId, Retired>,
    broker_configs: BTreeMap<Option<BrokerId>, BTreeMap<String, String>>,
    features: BTreeMap<String, i16>,
    next_producer_id: ProducerId,
    partitions: usize,
    ignored: u64,
}

/// One topic as the controller knows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TopicImage {
    pub name: String,
    pub id: TopicId,
    /// By index, without gaps.
    pub partitions: Vec<PartitionImage>,
    /// Overridden configurations only.
    pub configs: BTreeMap<String, String>,
}

impl Image {
    /// Takes one committed record in. The only way the image changes.
    pub fn apply(&mut self, record: &Record) {
        match record {
            Record::Topic { name, id } => self.add_topic(name, *id),
            Record::Partition {
                topic,
                index,
                partition,
            } => self.put_partition(*topic, *index, partition),
            Record::PartitionChange {
                topic,
                index,
                change,
            } => self.change_partition(*topic, *index, change),
            Record::RemoveTopic { id } => self.remove_topic(*id),
            Record::RegisterBroker(broker) => self.register_broker(broker),
            Record::UnregisterBroker { id, epoch } => self.unregister_broker(*id, *epoch),
            Record::BrokerChange {
                id,
                epoch,
                fenced,
                in_controlled_shutdown,
            } => self.change_broker(*id, *epoch, *fenced, *in_controlled_shutdown),
            Record::Config {
                resource,
                name,
                value,
            } => self.put_config(resource, name, value.as_deref()),
            Record::ProducerIds { next, .. } => {
                self.next_producer_id = self.next_producer_id.max(*next);
            }
            Record::FeatureLevel { name, level } => {
                self.features.insert(name.clone(), *level);
            }
        }
    }

    fn add_topic(&mut self, name: &str, id: TopicId) {
        if self.names.contains_key(name) || self.topics.contains_key(&id) {
            self.ignored += 1;
            return;
        }
        self.names.insert(name.to_owned(), id);
        if name.contains('.') {
            self.dotted.entry(plain_name(name)).or_insert(id);
        }
        let topic = TopicImage {
            name: name.to_owned(),
            id,
            partitions: Vec::new(),
            configs: BTreeMap::new(),
        };
        self.topics.insert(id, topic);
    }

    fn put_partition(&mut self, id: TopicId, index: PartitionIndex, partition: &PartitionImage) {
        let Some(topic) = self.topics.get_mut(&id) else {
            self.ignored += 1;
            return;
        };
        let at = usize::try_from(index.0).unwrap_or(usize::MAX);
        let in_sync = &mut partition.isr.iter();
        if !in_sync.all(|broker| partition.replicas.contains(broker)) {
            self.ignored += 1;
        } else if at < topic.partitions.len() {
            topic.partitions[at] = partition.clone();
        } else if at == topic.partitions.len() {
            topic.partitions.push(partition.clone());
            self.partitions += 1;
        } else {
            self.ignored += 1;
        }
    }

    fn change_partition(&mut self, id: TopicId, index: PartitionIndex, change: &PartitionChange) {
        let at = usize::try_from(index.0).unwrap_or(usize::MAX);
        let topic = self.topics.get_mut(&id);
        match topic.and_then(|topic| topic.partitions.get_mut(at)) {
            Some(partition) => *partition = partition.changed_by(change),
            None => self.ignored += 1,
        }
    }

    fn register_broker(&mut self, broker: &BrokerImage) {
        let before = self.brokers.insert(broker.id, broker.clone());
        if let Some(before) = before.filter(|b| b.incarnation != broker.incarnation) {
            let retired = self.retired.entry(broker.id).or_default();
            retired.push(before.incarnation);
        }
    }

    fn unregister_broker(&mut self, id: BrokerId, epoch: BrokerEpoch) {
        match self.brokers.remove(&id) {
            Some(broker) if broker.epoch == epoch => {
                self.retired.entry(id).or_default().push(broker.incarnation);
            }
            Some(other) => {
                self.brokers.insert(id, other);
                self.ignored += 1;
            }
            None => self.ignored += 1,
        }
    }

    fn change_broker(
        &mut self,
        id: BrokerId,
        epoch: BrokerEpoch,
        fenced: Option<bool>,
        in_controlled_shutdown: bool,
    ) {
        match self.brokers.get_mut(&id) {
            Some(broker) if broker.epoch == epoch => {
                broker.fenced = fenced.unwrap_or(broker.fenced);
                broker.in_controlled_shutdown |= in_controlled_shutdown;
            }
            _ => self.ignored += 1,
        }
    }

    fn remove_topic(&mut self, id: TopicId) {
        let Some(topic) = self.topics.remove(&id) else {
            self.ignored += 1;
            return;
        };
        self.partitions -= topic.partitions.len();
        self.names.remove(&topic.name);
        let plain = plain_name(&topic.name);
        if self.dotted.get(&plain) == Some(&id) {
            self.dotted.remove(&plain);
        }
        self.removed.push_back(topic.name);
        if self.removed.len() > MAX_REMOVED {
            self.removed.pop_front();
        }
    }

    fn put_config(&mut self, resource: &Resource, name: &str, value: Option<&str>) {
        let configs = match resource {
            Resource::Topic(topic) => {
                let Some(id) = self.names.get(topic) else {
                    self.ignored += 1;
                    return;
                };
                let topic = self.topics.get_mut(id);
                &mut topic.expect("names and topics hold the same ids").configs
            }
            Resource::Broker(broker) => self.broker_configs.entry(*broker).or_default(),
        };
        match value {
            Some(value) => configs.insert(name.to_owned(), value.to_owned()),
            None => configs.remove(name),
        };
        self.broker_configs.retain(|_, configs| !configs.is_empty());
    }

    /// The topic with this id.
    pub fn topic(&self, id: TopicId) -> Option<&TopicImage> {
        self.topics.get(&id)
    }

    /// The topic with this name.
    pub fn topic_named(&self, name: &str) -> Option<&TopicImage> {
        self.topics.get(self.names.get(name)?)
    }

    /// A topic whose name differs from this one in `.` and `_` at most.
    pub fn topic_like(&self, name: &str) -> Option<&TopicImage> {
        let plain = plain_name(name);
        let id = self.names.get(&plain).or_else(|| self.dotted.get(&plain))?;
        self.topics.get(id)
    }

    /// All topics in the order of their names.
    pub fn topics_by_name(&self) -> impl Iterator<Item = &TopicImage> {
        self.names.values().map(|id| &self.topics[id])
    }

    /// Topics in the order of their names, beginning with `name` or the first one after it.
    pub fn topics_from<'a>(&'a self, name: &str) -> impl Iterator<Item = &'a TopicImage> {
        self.names
            .range::<str, _>((std::ops::Bound::Included(name), std::ops::Bound::Unbounded))
            .map(|(_, id)| &self.topics[id])
    }

    /// Every partition with its topic and index, topics in the order of their names.
    pub fn partitions(
        &self,
    ) -> impl Iterator<Item = (&TopicImage, PartitionIndex, &PartitionImage)> {
        self.topics_by_name().flat_map(|topic| {
            let indexes = (0..).map(PartitionIndex);
            indexes
                .zip(&topic.partitions)
                .map(move |(index, partition)| (topic, index, partition))
        })
    }

    /// Every registered broker, fenced ones too, in the order of their ids.
    pub fn brokers(&self) -> impl Iterator<Item = &BrokerImage> {
        self.brokers.values()
    }

    /// The registered broker with this id.
    pub fn broker(&self, id: BrokerId) -> Option<&BrokerImage> {
        self.brokers.get(&id)
    }

    /// Whether a broker is registered, unfenced and not on its way out: then it may lead.
    pub fn is_live(&self, id: BrokerId) -> bool {
        self.brokers.get(&id).is_some_and(BrokerImage::is_live)
    }

    /// Whether an incarnation of a broker id is over: another has registered since, or the id was removed.
    pub fn is_retired(&self, id: BrokerId, incarnation: IncarnationId) -> bool {
        let retired = self.retired.get(&id);
        retired.is_some_and(|retired| retired.contains(incarnation))
    }

    /// How many topics there are.
    pub fn topic_count(&self) -> usize {
        self.topics.len()
    }

    /// How many partitions all topics have together.
    pub fn partition_count(&self) -> usize {
        self.partitions
    }

    /// Names of the topics deleted last.
    pub fn removed(&self) -> impl Iterator<Item = &str> {
        self.removed.iter().map(String::as_str)
    }

    /// Dynamic configurations of one broker, or with `None` the cluster-wide ones.
    pub fn broker_configs(&self, broker: Option<BrokerId>) -> Option<&BTreeMap<String, String>> {
        self.broker_configs.get(&broker)
    }

    /// All dynamic broker configurations, the cluster-wide ones first.
    pub(super) fn all_broker_configs(
        &self,
    ) -> impl Iterator<Item = (Option<BrokerId>, &BTreeMap<String, String>)> {
        let all = self.broker_configs.iter();
        all.map(|(broker, configs)| (*broker, configs))
    }

    /// Incarnations that are over, of each broker the oldest first.
    pub(super) fn retired_incarnations(&self) -> impl Iterator<Item = (BrokerId, IncarnationId)> {
        let of_broker = |(id, retired): (&BrokerId, &Retired)| {
            let id = *id;
            let incarnations: Vec<IncarnationId> = retired.iter().collect();
            incarnations.into_iter().map(move |one| (id, one))
        };
        self.retired.iter().flat_map(of_broker)
    }

    /// Finalized features and their levels.
    pub fn features(&self) -> impl Iterator<Item = (&str, i16)> {
        self.features
            .iter()
            .map(|(name, level)| (name.as_str(), *level))
    }

    /// The first producer id of the next block nobody has.
    pub fn next_producer_id(&self) -> ProducerId {
        self.next_producer_id
    }

    /// Records that made no sense when they were applied.
    pub fn ignored(&self) -> u64 {
        self.ignored
    }

    /// Counts records that made no sense from now on.
    #[cfg(test)]
    pub(super) fn forget_ignored(&mut self) {
        self.ignored = 0;
    }

    /// What must hold between the maps, after each decision's last record.
    pub fn check(&self) {
        assert_eq!(self.names.len(), self.topics.len());
        let mut partitions = 0;
        for (name, id) in &self.names {
            let topic = &self.topics[id];
            assert_eq!(&topic.name, name);
            partitions += topic.partitions.len();
            for partition in &topic.partitions {
                partition.check();
                let fenced = |b: &BrokerId| self.brokers.get(b).is_some_and(|b| b.fenced);
                assert!(
                    !partition.isr.iter().any(fenced),
                    "E5: a fenced broker in the ISR of {name}: {partition:?}"
                );
            }
        }
        assert_eq!(partitions, self.partitions);
        for (plain, id) in &self.dotted {
            assert_eq!(*plain, plain_name(&self.topics[id].name));
        }
    }
}

/// A name as metrics spell it: Kafka writes `.` as `_` there, so two topics may not share it.
fn plain_name(name: &str) -> String {
    name.replace('.', "_")
}

impl TopicImage {
    /// The partition with this index.
    pub fn partition(&self, index: PartitionIndex) -> Option<&PartitionImage> {
        self.partitions.get(usize::try_from(index.0).ok()?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one_replica() -> PartitionImage {
        PartitionImage::new(vec![BrokerId(1)], vec![BrokerId(1)])
    }

    fn partition(topic: TopicId, index: i32) -> Record {
        Record::Partition {
            topic,
            index: PartitionIndex(index),
            partition: one_replica(),
        }
    }

    #[test]
    fn a_topic_made_again_has_another_id_and_no_old_settings() {
        let (first, second) = (TopicId([1; 16]), TopicId([2; 16]));
        let mut image = Image::default();
        for record in [
            Record::Topic {
                name: "orders".into(),
                id: first,
            },
            partition(first, 0),
            Record::Config {
                resource: Resource::Topic("orders".into()),
                name: "retention.ms".into(),
                value: Some("5".into()),
            },
            Record::RemoveTopic { id: first },
            Record::Topic {
                name: "orders".into(),
                id: second,
            },
            partition(second, 0),
        ] {
            image.apply(&record);
            image.check();
        }
        let topic = image.topic_named("orders").expect("it was made again");
        assert_eq!(topic.id, second);
        assert!(topic.configs.is_empty());
        assert!(image.topic(first).is_none());
        assert_eq!(image.partition_count(), 1);
        assert_eq!(image.removed().count(), 1);
        assert_eq!(image.ignored(), 0);
    }

    #[test]
    fn records_that_make_no_sense_are_counted_and_change_nothing() {
        let mut image = Image::default();
        image.apply(&partition(TopicId([1; 16]), 0));
        image.apply(&Record::RemoveTopic {
            id: TopicId([1; 16]),
        });
        image.apply(&Record::Topic {
            name: "a".into(),
            id: TopicId([2; 16]),
        });
        image.apply(&partition(TopicId([2; 16]), 3));
        assert_eq!(image.ignored(), 3);
        assert_eq!(image.partition_count(), 0);
        image.check();
    }

    #[test]
    fn names_that_differ_in_dots_only_are_found_without_a_scan() {
        let mut image = Image::default();
        let id = |n: u8| TopicId([n; 16]);
        for (n, name) in ["a.b_c", "d_e", "plain"].iter().enumerate() {
            image.apply(&Record::Topic {
                name: (*name).into(),
                id: id(n as u8),
            });
            image.check();
        }
        for (name, like) in [
            ("a_b.c", Some("a.b_c")),
            ("a.b.c", Some("a.b_c")),
            ("d.e", Some("d_e")),
            ("d_e", Some("d_e")),
            ("p.ain", None),
        ] {
            let found = image.topic_like(name).map(|topic| topic.name.as_str());
            assert_eq!(found, like, "{name}");
        }
        image.apply(&Record::RemoveTopic { id: id(0) });
        image.check();
        assert!(image.topic_like("a_b.c").is_none());
    }

    /// Found by fuzzing a metadata log whose checksums are right.
    #[test]
    fn a_partition_in_sync_where_it_has_no_replica_is_counted_and_changes_nothing() {
        let id = TopicId([2; 16]);
        let mut image = Image::default();
        image.apply(&Record::Topic {
            name: "a".into(),
            id,
        });
        image.apply(&Record::Partition {
            topic: id,
            index: PartitionIndex(0),
            partition: PartitionImage {
                isr: vec![BrokerId(1), BrokerId(7)],
                ..one_replica()
            },
        });
        image.check();
        assert_eq!((image.ignored(), image.partition_count()), (1, 0));
    }

    #[test]
    fn topics_from_a_name_begin_there() {
        let mut image = Image::default();
        for (i, name) in ["b", "a", "c"].iter().enumerate() {
            image.apply(&Record::Topic {
                name: (*name).into(),
                id: TopicId([i as u8; 16]),
            });
        }
        let names: Vec<&str> = image.topics_from("aa").map(|t| t.name.as_str()).collect();
        assert_eq!(names, ["b", "c"]);
    }

    fn registered(incarnation: u8, epoch: i64) -> Record {
        Record::RegisterBroker(BrokerImage {
            id: BrokerId(1),
            incarnation: IncarnationId([incarnation; 16]),
            epoch: BrokerEpoch(epoch),
            endpoints: Vec::new(),
            rack: None,
            fenced: true,
            in_controlled_shutdown: false,
        })
    }

    #[test]
    fn e6_a_broker_registers_changes_and_leaves_and_its_old_lives_are_remembered() {
        let mut image = Image::default();
        let change = |epoch, fenced, in_controlled_shutdown| Record::BrokerChange {
            id: BrokerId(1),
            epoch: BrokerEpoch(epoch),
            fenced,
            in_controlled_shutdown,
        };
        image.apply(&registered(1, 5));
        assert!(!image.is_live(BrokerId(1)));
        image.apply(&change(5, Some(false), false));
        assert!(image.is_live(BrokerId(1)));
        image.apply(&change(4, Some(true), false));
        assert_eq!(image.ignored(), 1, "that was about an earlier registration");
        image.apply(&change(5, None, true));
        assert!(!image.is_live(BrokerId(1)));
        image.apply(&registered(2, 9));
        assert!(image.is_retired(BrokerId(1), IncarnationId([1; 16])));
        assert!(!image.is_retired(BrokerId(1), IncarnationId([2; 16])));
        let gone = |epoch| Record::UnregisterBroker {
            id: BrokerId(1),
            epoch: BrokerEpoch(epoch),
        };
        image.apply(&gone(5));
        assert_eq!((image.ignored(), image.brokers().count()), (2, 1));
        image.apply(&gone(9));
        assert_eq!(image.brokers().count(), 0);
        assert!(image.is_retired(BrokerId(1), IncarnationId([2; 16])));
    }

    #[test]
    fn e2_a_change_counts_partition_epochs_and_a_named_leader_begins_a_leader_epoch() {
        let before = PartitionImage::new(vec![BrokerId(1), BrokerId(2)], vec![BrokerId(1)]);
        let isr = PartitionChange {
            isr: Some(vec![BrokerId(1), BrokerId(2)]),
            ..PartitionChange::default()
        };
        let grown = before.changed_by(&isr);
        assert_eq!((grown.leader_epoch.0, grown.partition_epoch), (0, 1));
        let nobody = PartitionChange {
            leader: Some(None),
            isr: Some(Vec::new()),
            ..PartitionChange::default()
        };
        let left = grown.changed_by(&nobody);
        assert_eq!((left.leader_epoch.0, left.partition_epoch), (1, 2));
        assert_eq!(left.leader, None);
        left.check();
    }
}
