//! klar's own clients against a whole broker in one thread, exchanging frames on virtual time.

use std::collections::{BTreeMap, VecDeque};

use bytes::Bytes;
use klar::client::{
    Action, Admin, AdminAnswer, AdminRequest, Consumer, ConsumerConfig, ConsumerEvent, LinkId,
    LinksConfig, Machine, Producer, ProducerConfig, ProducerRecord, Start,
};
use klar::ids::{ConnectionId, Offset, PartitionIndex, partition_for_key};
use klar::inspect::{Acks, Compression, ProducerSettings};

use crate::rig::{Outcome, Rig};

/// The broker and the connections of the clients that talk to it.
struct Pair {
    rig: Rig,
    wires: BTreeMap<LinkId, Wire>,
}

struct Wire {
    connection: ConnectionId,
    /// Requests a broker has not read yet: it reads the next when the last one is answered.
    waiting: VecDeque<Bytes>,
    busy: bool,
}

impl Pair {
    fn new(rig: Rig) -> Pair {
        Pair {
            rig,
            wires: BTreeMap::new(),
        }
    }

    /// Steps client and broker until `done` says so. Each client gets connections of its own.
    fn run<M: Machine, T>(
        &mut self,
        machine: &mut M,
        mut done: impl FnMut(&mut M) -> Option<T>,
    ) -> T {
        for _ in 0..200_000 {
            let mut moved = self.carry_out(machine);
            moved |= self.deliver(machine);
            if moved {
                continue;
            }
            if let Some(found) = done(machine) {
                return found;
            }
            if self.carry_out(machine) {
                continue;
            }
            let now = self.rig.now;
            let wakeups = [machine.next_wakeup(), self.rig.broker.next_wakeup()];
            let next = wakeups.into_iter().flatten().min().expect("someone waits");
            let ms = (next.since_us(now) as i64 / 1000).max(1);
            self.rig.pass_ms(ms);
        }
        panic!("client and broker go in circles");
    }

    fn carry_out<M: Machine>(&mut self, machine: &mut M) -> bool {
        let mut any = false;
        while let Some(action) = machine.poll_action(self.rig.now) {
            any = true;
            match action {
                Action::Connect { link, to } => {
                    assert_eq!((to.host.as_str(), to.port), ("127.0.0.1", 9092));
                    let wire = Wire {
                        connection: self.rig.connect(),
                        waiting: VecDeque::new(),
                        busy: false,
                    };
                    self.wires.insert(link, wire);
                    machine.on_connected(self.rig.now, link);
                }
                Action::Send { link, parts } => {
                    let frame = Bytes::from(parts.concat()).slice(4..);
                    if let Some(wire) = self.wires.get_mut(&link) {
                        wire.waiting.push_back(frame);
                    }
                }
                Action::Close { link } => {
                    self.wires.remove(&link);
                }
            }
        }
        any
    }

    fn deliver<M: Machine>(&mut self, machine: &mut M) -> bool {
        let mut any = false;
        let mut closed = Vec::new();
        for (link, wire) in &mut self.wires {
            if !wire.busy
                && let Some(frame) = wire.waiting.pop_front()
            {
                wire.busy = true;
                any = true;
                self.rig.send_frame(wire.connection, frame);
            }
            let Some(outcome) = self.rig.outcome(wire.connection) else {
                continue;
            };
            any = true;
            wire.busy = false;
            match outcome {
                Outcome::Reply(frame) => machine.on_frame(self.rig.now, *link, frame),
                Outcome::Silent => {}
                Outcome::Closed(why) => {
                    machine.on_disconnected(self.rig.now, *link, &why);
                    closed.push(*link);
                }
            }
        }
        for link in closed {
            self.wires.remove(&link);
        }
        any
    }

    /// The next client begins without connections.
    fn hang_up(&mut self) {
        self.wires.clear();
    }
}

fn links() -> LinksConfig {
    LinksConfig::new("127.0.0.1", 9092, "klar-test")
}

fn record(n: u64) -> ProducerRecord {
    ProducerRecord {
        topic: "t".to_owned(),
        key: Some(format!("key {n}").into_bytes()),
        value: Some(format!("value {n}").into_bytes()),
        headers: vec![
            (b"h".to_vec(), None),
            (b"h".to_vec(), Some(vec![0xff, 0x00])),
            (vec![0xc3], Some(vec![])),
        ],
        ..ProducerRecord::default()
    }
}

fn produce(pair: &mut Pair, settings: ProducerSettings, count: u64) -> Vec<Offset> {
    let mut producer = Producer::new(ProducerConfig::new(links(), &settings).unwrap());
    for n in 0..count {
        producer.send(pair.rig.now, record(n)).unwrap();
    }
    pair.run(&mut producer, |producer| producer.is_idle().then_some(()));
    pair.hang_up();
    std::iter::from_fn(|| producer.poll_delivery())
        .map(|delivery| delivery.outcome.unwrap())
        .collect()
}

/// Reads all partitions from `start` until `count` records came: partition, offset, key.
fn consume(
    pair: &mut Pair,
    start: Start,
    partitions: i32,
    count: usize,
) -> Vec<(i32, i64, Vec<u8>)> {
    let mut consumer = Consumer::new(ConsumerConfig::new(links()));
    for partition in 0..partitions {
        consumer.assign(pair.rig.now, "t", PartitionIndex(partition), start);
    }
    let mut read = Vec::new();
    pair.run(&mut consumer, |consumer| {
        while let Some(event) = consumer.poll_event() {
            let ConsumerEvent::Records(fetched) = event else {
                panic!("{event:?}");
            };
            let partition = fetched.partition.0;
            let visited = fetched.visit(1 << 24, |record| {
                let owned = record.to_owned();
                assert_eq!(owned.headers, self::record(0).headers);
                read.push((partition, owned.offset.0, owned.key.unwrap()));
            });
            visited.unwrap();
        }
        (read.len() >= count).then_some(())
    });
    pair.hang_up();
    read.sort();
    read
}

#[test]
fn what_klars_producer_sends_klars_consumer_reads_in_every_codec() {
    for compression in [
        Compression::None,
        Compression::Gzip,
        Compression::Snappy,
        Compression::Lz4,
        Compression::Zstd,
    ] {
        for (acks, idempotence) in [
            (Acks::None, false),
            (Acks::Leader, false),
            (Acks::All, false),
            (Acks::All, true),
        ] {
            let mut rig = Rig::new();
            rig.create("t", 3, &[]);
            let mut pair = Pair::new(rig);
            let settings = ProducerSettings {
                compression,
                acks,
                idempotence,
                ..ProducerSettings::default()
            };
            produce(&mut pair, settings, 500);
            let read = consume(&mut pair, Start::Earliest, 3, 500);
            assert_eq!(read.len(), 500);
            for (partition, _, key) in &read {
                assert_eq!(partition_for_key(key, 3).0, *partition);
            }
            for pair in read.windows(2) {
                assert!(pair[0].0 < pair[1].0 || pair[0].1 + 1 == pair[1].1);
            }
        }
    }
}

#[test]
fn a_consumer_starts_at_offsets_and_times() {
    let mut rig = Rig::new();
    rig.create("t", 1, &[]);
    let mut pair = Pair::new(rig);
    produce(&mut pair, ProducerSettings::default(), 10);
    pair.rig.pass_ms(60_000);
    let later = pair.rig.now.as_ms();
    produce(&mut pair, ProducerSettings::default(), 10);
    let by_offset = consume(&mut pair, Start::Offset(Offset(7)), 1, 13);
    assert_eq!(by_offset[0].1, 7);
    let by_time = consume(&mut pair, Start::TimeMs(later), 1, 10);
    assert_eq!(by_time[0].1, 10);
}

#[test]
fn the_admin_makes_fills_empties_and_deletes_a_topic() {
    let mut pair = Pair::new(Rig::new());
    let mut admin = Admin::new(links());
    let mut ask = |pair: &mut Pair, request| {
        admin.request(pair.rig.now, request);
        pair.run(&mut admin, Admin::poll_answer).1
    };
    let topic = || "t".to_owned();
    let create = || AdminRequest::CreateTopic {
        name: topic(),
        partitions: 2,
        replication_factor: 1,
        configs: vec![("retention.ms".to_owned(), "-1".to_owned())],
    };
    assert_eq!(ask(&mut pair, create()), Ok(AdminAnswer::Done));
    let again = ask(&mut pair, create()).unwrap_err();
    assert_eq!(again.name(), "TOPIC_ALREADY_EXISTS (36)");
    let grow = |total| AdminRequest::AddPartitions {
        topic: topic(),
        total,
    };
    assert_eq!(ask(&mut pair, grow(4)), Ok(AdminAnswer::Done));
    assert_eq!(
        ask(&mut pair, grow(1)).unwrap_err().name(),
        "INVALID_PARTITIONS (37)"
    );
    let alter = |value: Option<&str>| AdminRequest::AlterTopic {
        topic: topic(),
        configs: vec![("retention.ms".to_owned(), value.map(str::to_owned))],
    };
    assert_eq!(ask(&mut pair, alter(Some("5000"))), Ok(AdminAnswer::Done));
    let configs = ask(&mut pair, AdminRequest::DescribeConfigs { topic: topic() });
    let Ok(AdminAnswer::Configs(configs)) = configs else {
        panic!("{configs:?}");
    };
    let retention = configs.iter().find(|c| c.name == "retention.ms").unwrap();
    assert_eq!(retention.value.as_deref(), Some("5000"));
    assert!(!retention.is_default);
    assert_eq!(ask(&mut pair, alter(None)), Ok(AdminAnswer::Done));
    assert!(ask(&mut pair, alter(Some("soon"))).is_err());

    let admin_wires = std::mem::take(&mut pair.wires);
    produce(&mut pair, ProducerSettings::default(), 100);
    pair.wires = admin_wires;
    let emptied = ask(&mut pair, AdminRequest::EmptyTopic { topic: topic() });
    let Ok(AdminAnswer::LogStarts(starts)) = emptied else {
        panic!("{emptied:?}");
    };
    assert_eq!(starts.len(), 4);
    assert_eq!(starts.iter().map(|(_, start)| start.0).sum::<i64>(), 100);

    let delete = || AdminRequest::DeleteTopic { name: topic() };
    assert_eq!(ask(&mut pair, delete()), Ok(AdminAnswer::Done));
    assert_eq!(
        ask(&mut pair, delete()).unwrap_err().name(),
        "UNKNOWN_TOPIC_OR_PARTITION (3)"
    );
}

#[test]
fn a_producer_goes_on_after_the_broker_was_killed() {
    let mut rig = Rig::new();
    rig.create("t", 2, &[]);
    let mut pair = Pair::new(rig);
    let settings = ProducerSettings {
        idempotence: true,
        ..ProducerSettings::default()
    };
    let mut producer = Producer::new(ProducerConfig::new(links(), &settings).unwrap());
    let mut delivered = 0;
    for round in 0..3 {
        for n in 0..50 {
            producer.send(pair.rig.now, record(n)).unwrap();
        }
        pair.run(&mut producer, |producer| producer.is_idle().then_some(()));
        while let Some(delivery) = producer.poll_delivery() {
            assert!(delivery.outcome.is_ok(), "round {round}: {delivery:?}");
            delivered += delivery.records.len();
        }
        pair.rig = pair.rig.restart(false);
        for (link, _) in std::mem::take(&mut pair.wires) {
            producer.on_disconnected(pair.rig.now, link, "connection reset");
        }
    }
    assert_eq!(delivered, 150);
    pair.hang_up();
    let read = consume(&mut pair, Start::Earliest, 2, 150);
    assert_eq!(read.len(), 150, "each record once");
}
