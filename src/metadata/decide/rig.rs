//! A cluster for the tests here: an image and what is decided on it, applied at once.

use super::configs::{ConfigChange, ConfigOp, alter_topic};
use super::{
    Altered, Facts, Heartbeat, NewBroker, NewIsr, Refusal, Sessions, alter_partition, fence,
    heartbeat, register,
};
use crate::ids::{BrokerEpoch, BrokerId, IncarnationId, Offset, PartitionIndex, Time, TopicId};
use crate::metadata::{BrokerSettings, Endpoint, Image, LeaderRecovery, PartitionImage, Record};

/// The image, and where the metadata log would end.
pub(super) struct Rig {
    image: Image,
    settings: BrokerSettings,
    pub end: Offset,
    incarnations: u8,
}

pub(super) fn id(broker: i32) -> BrokerId {
    BrokerId(broker)
}

pub(super) fn ids(brokers: &[i32]) -> Vec<BrokerId> {
    brokers.iter().copied().map(BrokerId).collect()
}

impl Default for Rig {
    fn default() -> Rig {
        Rig {
            image: Image::default(),
            settings: BrokerSettings::new(BrokerId(1), []).expect("nothing is set"),
            end: Offset(10),
            incarnations: 0,
        }
    }
}

impl Rig {
    pub fn with_brokers(count: i32) -> Rig {
        let mut rig = Rig::default();
        for broker in 1..=count {
            rig.register_live(broker, None);
        }
        rig
    }

    pub fn facts(&self) -> Facts<'_> {
        Facts {
            image: &self.image,
            settings: &self.settings,
        }
    }

    pub fn image(&self) -> &Image {
        &self.image
    }

    pub fn set(&mut self, name: &str, value: &str) {
        self.settings = BrokerSettings::new(BrokerId(1), [(name, value)]).expect("allowed");
    }

    /// Applies one decision, and checks what must hold after it.
    pub fn apply(&mut self, records: &[Record]) {
        let ignored = self.image.ignored();
        for record in records {
            let bytes = record.encode().expect("it fits");
            assert_eq!(&Record::decode(&bytes).expect("it is whole"), record);
            self.image.apply(record);
            self.end += 1;
        }
        self.image.check();
        assert_eq!(self.image.ignored(), ignored, "{records:?}");
    }

    /// A broker in a life nobody has seen before.
    pub fn newcomer(&mut self, broker: i32, rack: Option<&str>) -> NewBroker {
        self.incarnations += 1;
        NewBroker {
            id: id(broker),
            incarnation: IncarnationId([self.incarnations; 16]),
            endpoints: vec![Endpoint {
                name: "PLAINTEXT".to_owned(),
                host: "127.0.0.1".to_owned(),
                port: 40_092,
            }],
            rack: rack.map(str::to_owned),
            previous_epoch: BrokerEpoch::NONE,
        }
    }

    /// Registers at a controller that has heard nobody.
    pub fn register(&mut self, broker: &NewBroker) -> Result<BrokerEpoch, Refusal> {
        let sessions = Sessions::new(Time(0), &self.image, 1);
        let registered = register(self.facts(), Time(0), &sessions, broker, self.end)?;
        self.apply(&registered.records);
        Ok(registered.epoch)
    }

    pub fn register_live(&mut self, broker: i32, rack: Option<&str>) {
        let newcomer = self.newcomer(broker, rack);
        self.register(&newcomer).expect("nobody is in its way");
        self.unfence(broker);
    }

    pub fn fence(&mut self, broker: i32) {
        let records = fence(self.facts(), id(broker));
        self.apply(&records);
    }

    pub fn beat(&self, broker: i32) -> Heartbeat {
        Heartbeat {
            broker: id(broker),
            epoch: self.epoch(broker),
            metadata_offset: self.end + -1,
            want_fence: false,
            want_shut_down: false,
        }
    }

    pub fn unfence(&mut self, broker: i32) {
        let sessions = Sessions::new(Time(0), &self.image, 1);
        let beat = self.beat(broker);
        let decided = heartbeat(self.facts(), &sessions, &beat, self.end).expect("registered");
        self.apply(&decided.records);
        assert!(self.image.is_live(id(broker)));
    }

    pub fn epoch(&self, broker: i32) -> BrokerEpoch {
        let broker = self.image.broker(id(broker));
        broker.expect("registered").epoch
    }

    /// A topic whose partitions have these replicas, all live ones in sync.
    pub fn topic(&mut self, name: &str, partitions: &[&[i32]], min_insync: u32) {
        let topic = super::NewTopic {
            name: name.to_owned(),
            partitions: -1,
            replication_factor: -1,
            assignments: (0..).zip(partitions.iter().map(|r| ids(r))).collect(),
            configs: vec![(
                "min.insync.replicas".to_owned(),
                Some(min_insync.to_string()),
            )],
        };
        let number = u8::try_from(self.image.topic_count() + 1).expect("few topics");
        let records = super::create_topic(self.facts(), &topic, TopicId([number; 16]));
        self.apply(&records.expect("it is fine"));
    }

    pub fn set_topic(&mut self, topic: &str, name: &str, value: &str) {
        let change = ConfigChange {
            name: name.to_owned(),
            op: ConfigOp::Set,
            value: Some(value.to_owned()),
        };
        let records = alter_topic(self.facts(), topic, &[change]).expect("allowed");
        self.apply(&records);
    }

    pub fn partition(&self, topic: &str, index: i32) -> PartitionImage {
        let topic = self.image.topic_named(topic).expect("it was made");
        let partition = topic.partition(PartitionIndex(index));
        partition.expect("it was made").clone()
    }

    /// What a leader that knows everything would ask for.
    pub fn new_isr(&self, topic: &str, index: i32, isr: &[i32]) -> NewIsr {
        let now = self.partition(topic, index);
        let known = |broker: &i32| {
            let registered = self.image.broker(id(*broker));
            registered.map_or(BrokerEpoch::NONE, |broker| broker.epoch)
        };
        NewIsr {
            topic: self.image.topic_named(topic).expect("it was made").id,
            index: PartitionIndex(index),
            leader_epoch: now.leader_epoch,
            partition_epoch: now.partition_epoch,
            isr: isr
                .iter()
                .map(|broker| (id(*broker), known(broker)))
                .collect(),
            recovery: LeaderRecovery::Recovered,
        }
    }

    /// The leader changes its ISR.
    pub fn isr(&mut self, topic: &str, index: i32, isr: &[i32]) -> Result<Altered, Refusal> {
        let leader = self.partition(topic, index).leader.expect("somebody leads");
        let asked = self.new_isr(topic, index, isr);
        let altered = alter_partition(self.facts(), leader, &asked)?;
        self.apply(&altered.records);
        assert_eq!(self.partition(topic, index), altered.partition);
        Ok(altered)
    }
}
