//! A whole broker under any sequence of requests, sealed batches and waits, on a memory disk.
//!
//! The input is a list of steps: what kind, an API, a version, a length, so many bytes. No step may make
//! it panic or leave it in a state its own checks refuse; at the end it must open again from its disk.
#![no_main]

use std::path::PathBuf;

use bytes::Bytes;
use klar::broker::effect::Effect;
use klar::broker::{Broker, BrokerConfig, ConnectionFacts};
use klar::ids::{BrokerId, ConnectionId, Time};
use klar::inspect::{Durability, Focus};
use klar::storage::MemoryDisk;
use klar::wire::fields::Side;
use klar::wire::messages::create_topics::{CreatableTopic, CreateTopicsRequest};
use klar::wire::messages::produce::{PartitionProduceData, ProduceRequest, TopicProduceData};
use klar::wire::request::RequestHeader;
use klar::wire::{ApiKey, Writer};

/// When the broker starts.
const START: Time = Time(1_770_000_000_000_000);
/// Steps taken of one input.
const MAX_STEPS: usize = 64;
/// The topic there is from the beginning.
const TOPIC: &str = "t";

thread_local! {
    static PREPARED: MemoryDisk = prepared();
}

libfuzzer_sys::fuzz_target!(|input: &[u8]| {
    let disk = PREPARED.with(MemoryDisk::fork);
    let mut drive = Drive::open(disk.clone(), START);
    let mut rest = input;
    for _ in 0..MAX_STEPS {
        let [kind, api, version, length, tail @ ..] = rest else {
            break;
        };
        let (body, tail) = tail.split_at(usize::from(*length).min(tail.len()));
        rest = tail;
        match kind % 4 {
            0 | 1 => drive.request(usize::from(kind % 2), &[&[*api, *version], body].concat()),
            2 => drive.produce(body, i16::from(*version % 3) - 1),
            _ => drive.wait_ms(i64::from(*api) * 100),
        }
    }
    drive.broker.check();
    drive.broker.picture(drive.now, &Focus::default());
    let now = drive.now;
    drop(drive);
    Drive::open(disk, now).broker.check();
});

/// A disk with the topic on it.
fn prepared() -> MemoryDisk {
    let disk = MemoryDisk::new();
    let mut drive = Drive::open(disk.clone(), START);
    let request = CreateTopicsRequest {
        topics: vec![CreatableTopic {
            name: TOPIC.to_owned(),
            num_partitions: 2,
            replication_factor: 1,
            ..Default::default()
        }],
        ..Default::default()
    };
    drive.send(0, ApiKey::CreateTopics, 7, |writer| {
        request
            .encode(writer, 7)
            .expect("the request fits version 7");
    });
    drive.broker.stop_clean(START);
    drive.settle();
    disk
}

struct Drive {
    broker: Broker,
    now: Time,
    connections: [ConnectionId; 2],
    next: u64,
}

impl Drive {
    fn open(disk: MemoryDisk, now: Time) -> Drive {
        let config = BrokerConfig {
            id: BrokerId(1),
            cluster_id: "fuzz".to_owned(),
            listen: ([127, 0, 0, 1], 9092).into(),
            data_dir: PathBuf::from("/d"),
            durability: Durability::Os,
            settings: Vec::new(),
        };
        let broker =
            Broker::open(config, Box::new(disk), 7, now).expect("a broker opens its own disk");
        let mut drive = Drive {
            broker,
            now,
            connections: [ConnectionId(0); 2],
            next: 1,
        };
        drive.connect(0);
        drive.connect(1);
        drive
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
    fn settle(&mut self) {
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

    fn request(&mut self, slot: usize, input: &[u8]) {
        let Some((message, version, body)) = klar_fuzz::pick(Side::Request, input) else {
            return;
        };
        let key = ApiKey::from_code(message.key).expect("a key of the table");
        let body = Bytes::copy_from_slice(body);
        self.send(slot, key, version, |writer| writer.piece(&body));
    }

    fn produce(&mut self, batch: &[u8], acks: i16) {
        let mut batch = batch.to_vec();
        klar_fuzz::seal(&mut batch);
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

    fn send(
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

    fn wait_ms(&mut self, ms: i64) {
        self.now = self.now.plus_ms(ms);
        self.broker.on_tick(self.now);
        self.settle();
    }
}
