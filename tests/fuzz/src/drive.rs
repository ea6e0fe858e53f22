//! A broker on a memory disk, driven by hand: requests in, effects carried out, time as the target says.

use std::path::PathBuf;

use bytes::Bytes;
use klar::broker::effect::Effect;
use klar::broker::{Broker, BrokerConfig, ConnectionFacts, OpenError};
use klar::ids::{BrokerId, ConnectionId, Time};
use klar::inspect::Durability;
use klar::storage::MemoryDisk;
use klar::wire::fields::Side;
use klar::wire::messages::create_topics::{
    CreatableTopic, CreatableTopicConfig, CreateTopicsRequest,
};
use klar::wire::messages::produce::{PartitionProduceData, ProduceRequest, TopicProduceData};
use klar::wire::request::RequestHeader;
use klar::wire::{ApiKey, Writer};

/// When the broker starts.
pub const START: Time = Time(1_770_000_000_000_000);
/// The topic there is from the beginning.
pub const TOPIC: &str = "t";

/// A broker that was opened, with two connections.
pub struct Drive {
    pub broker: Broker,
    pub now: Time,
    connections: [ConnectionId; 2],
    next: u64,
}

impl Drive {
    /// Opens a broker on the disk.
    pub fn open(disk: MemoryDisk, now: Time) -> Result<Drive, OpenError> {
        let config = BrokerConfig {
            id: BrokerId(1),
            voters: vec![BrokerId(1)],
            alone: true,
            cluster_id: "fuzz".to_owned(),
            listen: ([127, 0, 0, 1], 9092).into(),
            data_dir: PathBuf::from("/d"),
            durability: Durability::Os,
            settings: Vec::new(),
        };
        let broker = Broker::open(config, Box::new(disk), 7, now)?;
        let mut drive = Drive {
            broker,
            now,
            connections: [ConnectionId(0); 2],
            next: 1,
        };
        drive.connect(0);
        drive.connect(1);
        Ok(drive)
    }

    fn connect(&mut self, slot: usize) {
        let id = ConnectionId(self.next);
        self.next += 1;
        self.connections[slot] = id;
        let facts = ConnectionFacts {
            peer: ([127, 0, 0, 1], 50_000).into(),
            local: ([127, 0, 0, 1], 9092).into(),
            own: false,
        };
        self.broker.on_connected(self.now, id, facts);
        self.settle();
    }

    /// Carries out effects until there are none; a closed connection is made anew.
    pub fn settle(&mut self) {
        loop {
            let effects = self.broker.effects();
            if effects.is_empty() {
                return;
            }
            for effect in effects {
                match effect {
                    Effect::Flush { token, .. } => self.broker.on_flushed(self.now, token, Ok(())),
                    Effect::Close { to, .. } => {
                        self.broker.on_disconnected(self.now, to);
                        if let Some(slot) = self.connections.iter().position(|id| *id == to) {
                            self.connect(slot);
                        }
                    }
                    Effect::Reply { .. } | Effect::NoReply { .. } | Effect::Note(_) => {}
                }
            }
        }
    }

    /// Sends the request an input stands for, if it is long enough for one.
    pub fn request(&mut self, slot: usize, input: &[u8]) {
        let Some((message, version, body)) = crate::pick(Side::Request, input) else {
            return;
        };
        let key = ApiKey::from_code(message.key).expect("a key of the table");
        let body = Bytes::copy_from_slice(body);
        self.send(slot, key, version, |writer| writer.piece(&body));
    }

    /// Produces a batch, made right where a checksum would give it away.
    pub fn produce(&mut self, batch: &[u8], acks: i16) {
        let mut batch = batch.to_vec();
        crate::seal(&mut batch);
        let request = ProduceRequest {
            acks,
            timeout_ms: 1000,
            topic_data: vec![TopicProduceData {
                name: TOPIC.to_owned(),
                partition_data: vec![PartitionProduceData {
                    index: 0,
                    records: Some(batch.into()),
                }],
                ..Default::default()
            }],
            ..Default::default()
        };
        self.send(0, ApiKey::Produce, 9, |writer| {
            request
                .encode(writer, 9)
                .expect("the request fits version 9");
        });
    }

    /// Sends a request and carries out what follows.
    pub fn send(
        &mut self,
        slot: usize,
        api_key: ApiKey,
        api_version: i16,
        body: impl FnOnce(&mut Writer),
    ) {
        let header = RequestHeader {
            api_key,
            api_version,
            correlation_id: 1,
            client_id: Some("fuzz".to_owned()),
        };
        let mut writer = Writer::new();
        header.encode(&mut writer).expect("a short client id fits");
        body(&mut writer);
        let frame = Bytes::from(writer.finish_frame().concat()).slice(4..);
        self.broker
            .on_frame(self.now, self.connections[slot], frame);
        self.settle();
    }

    /// Lets time pass.
    pub fn wait_ms(&mut self, ms: i64) {
        self.now = self.now.plus_ms(ms);
        self.broker.on_tick(self.now);
        self.settle();
    }
}

/// A disk with the topic on it, as `life` left it; stopped cleanly or killed.
pub fn disk_after(life: impl FnOnce(&mut Drive), clean: bool) -> MemoryDisk {
    let disk = MemoryDisk::new();
    let mut drive = Drive::open(disk.clone(), START).expect("an empty disk can be opened");
    let request = CreateTopicsRequest {
        topics: vec![CreatableTopic {
            name: TOPIC.to_owned(),
            num_partitions: 2,
            replication_factor: 1,
            configs: vec![CreatableTopicConfig {
                name: "segment.bytes".to_owned(),
                value: Some("1048576".to_owned()),
            }],
            ..Default::default()
        }],
        ..Default::default()
    };
    drive.send(0, ApiKey::CreateTopics, 7, |writer| {
        request
            .encode(writer, 7)
            .expect("the request fits version 7");
    });
    life(&mut drive);
    if clean {
        drive.broker.stop_clean(drive.now);
        drive.settle();
    }
    disk
}
