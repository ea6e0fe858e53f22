//! An image as records: what a snapshot of it holds.
//!
//! Applied in order to an empty image they build the same image again, up to the count of records that made no
//! sense, which speaks of a log and not of the cluster. What is remembered of things gone (names of deleted topics,
//! retired incarnations) is written as their coming and going.

use super::broker_image::BrokerImage;
use super::image::{Image, TopicImage};
use super::record::{Record, Resource};
use crate::ids::{BrokerEpoch, BrokerId, IncarnationId, PartitionIndex, ProducerId, TopicId};

/// Whom producer ids were given to is not in the image: Kafka's snapshots say −1, too.
const NOBODY: BrokerId = BrokerId(-1);

impl Image {
    /// Records that build this image, one after another so that never all are in memory.
    pub fn records(&self) -> impl Iterator<Item = Record> {
        let features = self.features().map(|(name, level)| Record::FeatureLevel {
            name: name.to_owned(),
            level,
        });
        // A broker alone is in its image without having registered with anybody.
        let registered = |broker: &&BrokerImage| broker.epoch != BrokerEpoch::NONE;
        let brokers = self.brokers().filter(registered).cloned();
        let brokers = brokers.map(Record::RegisterBroker);
        let next = self.next_producer_id();
        let given = (next != ProducerId::default()).then_some(Record::ProducerIds {
            broker: NOBODY,
            epoch: BrokerEpoch::NONE,
            next,
        });
        let configs = self.all_broker_configs();
        let configs = configs.flat_map(|(broker, configs)| {
            let resource = Resource::Broker(broker);
            configs
                .iter()
                .map(move |(name, value)| config(&resource, name, value))
        });
        features
            .chain(self.retired_incarnations().flat_map(come_and_gone))
            .chain(brokers)
            .chain(self.removed().flat_map(made_and_deleted))
            .chain(self.topics_by_name().flat_map(topic_records))
            .chain(configs)
            .chain(given)
    }
}

fn config(resource: &Resource, name: &str, value: &str) -> Record {
    Record::Config {
        resource: resource.clone(),
        name: name.to_owned(),
        value: Some(value.to_owned()),
    }
}

fn topic_records(topic: &TopicImage) -> impl Iterator<Item = Record> {
    let made = Record::Topic {
        name: topic.name.clone(),
        id: topic.id,
    };
    let partitions = (0..).map(PartitionIndex).zip(&topic.partitions);
    let partitions = partitions.map(|(index, partition)| Record::Partition {
        topic: topic.id,
        index,
        partition: partition.clone(),
    });
    let resource = Resource::Topic(topic.name.clone());
    let configs = topic.configs.iter();
    let configs = configs.map(move |(name, value)| config(&resource, name, value));
    std::iter::once(made).chain(partitions).chain(configs)
}

/// A topic of which nothing but its name is known. No topic has the id 0, so these follow each other.
fn made_and_deleted(name: &str) -> [Record; 2] {
    let (name, id) = (name.to_owned(), TopicId::ZERO);
    [Record::Topic { name, id }, Record::RemoveTopic { id }]
}

/// An incarnation that is over.
fn come_and_gone((id, incarnation): (BrokerId, IncarnationId)) -> [Record; 2] {
    let epoch = BrokerEpoch::NONE;
    let came = BrokerImage {
        id,
        incarnation,
        epoch,
        endpoints: Vec::new(),
        rack: None,
        fenced: true,
        in_controlled_shutdown: false,
    };
    [
        Record::RegisterBroker(came),
        Record::UnregisterBroker { id, epoch },
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metadata::{PartitionChange, PartitionImage};
    use rand::rngs::SmallRng;
    use rand::{Rng, SeedableRng};

    /// Any record, sensible or not.
    fn record(random: &mut SmallRng) -> Record {
        let id = TopicId([random.random_range(1..5); 16]);
        let broker = BrokerId(random.random_range(1..4));
        let epoch = BrokerEpoch(random.random_range(0..3));
        let index = PartitionIndex(random.random_range(0..3));
        let name = ["a.b", "a_c", "d", "e.f.g"][random.random_range(0..4)].to_owned();
        let brokers = vec![BrokerId(1), BrokerId(2), BrokerId(3)];
        match random.random_range(0..10) {
            0 => Record::Topic { name, id },
            1 => Record::RemoveTopic { id },
            2 => Record::Partition {
                topic: id,
                index,
                partition: PartitionImage::new(brokers, vec![broker]),
            },
            3 => Record::PartitionChange {
                topic: id,
                index,
                change: PartitionChange {
                    leader: Some(Some(broker)),
                    isr: Some(vec![broker]),
                    elr: Some(brokers.into_iter().filter(|b| *b != broker).collect()),
                    ..PartitionChange::default()
                },
            },
            4 => Record::RegisterBroker(BrokerImage {
                id: broker,
                incarnation: IncarnationId([random.random_range(0..9); 16]),
                epoch,
                endpoints: Vec::new(),
                rack: random.random::<bool>().then_some(name),
                fenced: random.random(),
                in_controlled_shutdown: random.random(),
            }),
            5 => Record::UnregisterBroker { id: broker, epoch },
            6 => Record::BrokerChange {
                id: broker,
                epoch,
                fenced: Some(random.random()),
                in_controlled_shutdown: random.random(),
            },
            7 => Record::Config {
                resource: match random.random_range(0..3) {
                    0 => Resource::Topic(name),
                    1 => Resource::Broker(None),
                    _ => Resource::Broker(Some(broker)),
                },
                name: ["retention.ms", "log.retention.ms"][random.random_range(0..2)].to_owned(),
                value: random.random::<bool>().then_some("5".to_owned()),
            },
            8 => Record::ProducerIds {
                broker,
                epoch,
                next: ProducerId(random.random_range(0..9_000)),
            },
            _ => Record::FeatureLevel {
                name,
                level: random.random_range(0..3),
            },
        }
    }

    /// The records as they would be read back from a file.
    fn rebuilt(image: &Image) -> Image {
        let mut again = Image::default();
        for record in image.records() {
            let bytes = record.encode().expect("it fits");
            again.apply(&Record::decode(&bytes).expect("it is whole"));
        }
        assert_eq!(again.ignored(), 0, "a snapshot makes sense");
        again
    }

    #[test]
    fn an_images_records_build_the_same_image() {
        for seed in 0..300 {
            let random = &mut SmallRng::seed_from_u64(seed);
            let mut image = Image::default();
            for _ in 0..random.random_range(0..120) {
                image.apply(&record(random));
            }
            image.forget_ignored();
            assert_eq!(rebuilt(&image), image, "seed {seed}");
        }
    }

    #[test]
    fn what_is_applied_after_a_snapshot_comes_out_the_same() {
        let random = &mut SmallRng::seed_from_u64(1);
        let mut image = Image::default();
        for _ in 0..500 {
            image.apply(&record(random));
        }
        image.forget_ignored();
        let mut again = rebuilt(&image);
        for _ in 0..500 {
            let record = record(random);
            image.apply(&record);
            again.apply(&record);
        }
        assert_eq!(image, again);
    }
}
