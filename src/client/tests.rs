//! The machines against a small scripted cluster, on virtual time and without sockets.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use bytes::Bytes;

use super::group::tests::coordinator::{Group, Request};
use super::*;
use crate::ids::{LeaderEpoch, Offset, PartitionIndex, Time, TopicId};
use crate::inspect::{Acks, Compression, ProducerSettings};
use crate::wire::messages::*;
use crate::wire::records::{
    BatchBuilder, BatchHeader, ProducedRules, batches, set_base, validate_produced,
};
use crate::wire::request::decode_header;
use crate::wire::{ApiKey, ErrorCode, Reader, Writer, apis, response};

pub const FIRST_PORT: u16 = 9001;

/// When every test begins, milliseconds since the Unix epoch.
pub const START_MS: i64 = 1_700_000_000_000;

/// A cluster of scripted brokers: partition p is led by broker p mod n.
pub struct Scripted {
    brokers: u16,
    topics: BTreeMap<String, Vec<Vec<Vec<u8>>>>,
    /// Errors given to the next Produce partitions, then none.
    produce_errors: VecDeque<ErrorCode>,
    /// Requests whose link breaks after they were carried out, before they are answered.
    swallow: VecDeque<ApiKey>,
    /// Ports that refuse connections.
    pub dead: BTreeSet<u16>,
    log_start: i64,
    highest_produce: i16,
    producer_ids: i64,
    /// Producer id, epoch and sequence to base offset, as a broker remembers them.
    remembered: BTreeMap<(String, i32, i64, i32), i64>,
    seen: Vec<ApiKey>,
    /// The coordinator of every group there is, on broker 1.
    pub group: Group,
}

impl Scripted {
    pub fn new(brokers: u16, topic: &str, partitions: usize) -> Scripted {
        let mut group = Group::new(1, FIRST_PORT, Self::id_of(topic), topic);
        group.partitions = partitions as i32;
        Scripted {
            brokers,
            topics: BTreeMap::from([(topic.to_owned(), vec![Vec::new(); partitions])]),
            produce_errors: VecDeque::new(),
            swallow: VecDeque::new(),
            dead: BTreeSet::new(),
            log_start: 0,
            highest_produce: 13,
            producer_ids: 0,
            remembered: BTreeMap::new(),
            seen: Vec::new(),
            group,
        }
    }

    fn id_of(name: &str) -> TopicId {
        let mut id = [1; 16];
        id[..name.len().min(16)].copy_from_slice(&name.as_bytes()[..name.len().min(16)]);
        TopicId(id)
    }

    fn name_of(&self, name: String, id: TopicId) -> String {
        let known = self.topics.keys().find(|name| Self::id_of(name) == id);
        known.cloned().unwrap_or(name)
    }

    fn leader(&self, partition: i32) -> i32 {
        partition % i32::from(self.brokers) + 1
    }

    fn knows(&self, topic: &str, partition: i32) -> bool {
        let known = self.topics.get(topic);
        known.is_some_and(|known| (0..known.len() as i32).contains(&partition))
    }

    fn log_end(&self, topic: &str, partition: i32) -> i64 {
        if !self.knows(topic, partition) {
            return -1;
        }
        let batches = &self.topics[topic][partition as usize];
        batches.last().map_or(0, |batch| {
            BatchHeader::parse(batch).unwrap().next_offset().0
        })
    }

    pub fn add_topic(&mut self, topic: &str, partitions: usize) {
        self.topics
            .insert(topic.to_owned(), vec![Vec::new(); partitions]);
        self.group
            .names
            .insert(Self::id_of(topic), topic.to_owned());
    }

    pub fn add_partitions(&mut self, topic: &str, more: usize) {
        let logs = self.topics.get_mut(topic).unwrap();
        logs.extend((0..more).map(|_| Vec::new()));
    }

    /// The answering frame without its length; `None` for no answer, `Err` for a broken link.
    pub fn answer(&mut self, port: u16, frame: Bytes) -> Result<Option<Bytes>, ()> {
        let answer = self.answer_on(0, port, frame)?;
        Ok(answer.or_else(|| self.group.out.pop_back().map(|(_, frame)| frame)))
    }

    /// The same for the request of a connection; a group's answer comes through its queue.
    pub fn answer_on(
        &mut self,
        connection: u64,
        port: u16,
        frame: Bytes,
    ) -> Result<Option<Bytes>, ()> {
        let mut reader = Reader::new(frame.slice(4..));
        let header = decode_header(&mut reader).unwrap();
        let (key, version) = (header.api_key, header.api_version);
        self.seen.push(key);
        let me = i32::from(port - FIRST_PORT) + 1;
        let mut writer = Writer::new();
        response::encode_header(&mut writer, key, version, header.correlation_id);
        let (r, w) = (&mut reader, &mut writer);
        if Group::answers(key) {
            let correlation_id = header.correlation_id;
            let request = Request {
                connection,
                key,
                version,
                correlation_id,
            };
            self.group.take(me, request, r);
            return Ok(None);
        }
        match key {
            ApiKey::ApiVersions => {
                let mut answer = apis::api_versions(version, |_| true, 1);
                for api in &mut answer.api_keys {
                    if api.api_key == ApiKey::Produce as i16 {
                        api.max_version = self.highest_produce;
                    }
                }
                answer.encode(w, version).unwrap();
            }
            ApiKey::Metadata => self.metadata(r, w, version),
            ApiKey::Produce => {
                if !self.produce(me, r, w, version) {
                    return Ok(None);
                }
            }
            ApiKey::Fetch => self.fetch(r, w, version),
            ApiKey::ListOffsets => self.list_offsets(r, w, version),
            ApiKey::InitProducerId => {
                self.producer_ids += 1;
                let answer = init_producer_id::InitProducerIdResponse {
                    producer_id: 1000 + self.producer_ids,
                    ..Default::default()
                };
                answer.encode(w, version).unwrap();
            }
            ApiKey::CreateTopics => self.create_topics(r, w, version),
            ApiKey::DeleteRecords => self.delete_records(me, r, w, version),
            other => panic!("{other:?} is not scripted"),
        }
        if self.swallow.front() == Some(&key) {
            self.swallow.pop_front();
            return Err(());
        }
        let whole = writer.finish_frame().concat();
        Ok(Some(Bytes::from(whole).slice(4..)))
    }

    fn metadata(&self, r: &mut Reader, w: &mut Writer, version: i16) {
        let request = metadata::MetadataRequest::decode(r, version).unwrap();
        let broker = |n: u16| metadata::MetadataResponseBroker {
            node_id: i32::from(n) + 1,
            host: "fake".to_owned(),
            port: i32::from(FIRST_PORT + n),
            ..Default::default()
        };
        let topic = |name: String| {
            let partitions = self.topics.get(&name);
            let partition = |p: i32| metadata::MetadataResponsePartition {
                partition_index: p,
                leader_id: self.leader(p),
                ..Default::default()
            };
            metadata::MetadataResponseTopic {
                error_code: if partitions.is_some() { 0 } else { 3 },
                topic_id: partitions.map_or(TopicId::ZERO, |_| Self::id_of(&name)),
                partitions: (0..partitions.map_or(0, Vec::len) as i32)
                    .map(partition)
                    .collect(),
                name: Some(name),
                ..Default::default()
            }
        };
        let all = || self.topics.keys().cloned().collect();
        let name = |t: metadata::MetadataRequestTopic| {
            t.name
                .or_else(|| Some(self.name_of(String::new(), t.topic_id)))
        };
        let wanted: Vec<String> = match request.topics {
            Some(topics) => topics.into_iter().filter_map(name).collect(),
            None => all(),
        };
        let answer = metadata::MetadataResponse {
            brokers: (0..self.brokers).map(broker).collect(),
            controller_id: 1,
            topics: wanted.into_iter().map(topic).collect(),
            ..Default::default()
        };
        answer.encode(w, version).unwrap();
    }

    fn produce(&mut self, me: i32, r: &mut Reader, w: &mut Writer, version: i16) -> bool {
        let request = produce::ProduceRequest::decode(r, version).unwrap();
        let mut answer = produce::ProduceResponse::default();
        for topic in request.topic_data {
            let name = self.name_of(topic.name.clone(), topic.topic_id);
            let mut responses = Vec::new();
            for partition in topic.partition_data {
                let records = partition.records.unwrap();
                let scripted = self.produce_errors.pop_front();
                let (error, base) = match scripted {
                    Some(error) if error != ErrorCode::None => (error, -1),
                    _ => self.append(me, &name, partition.index, &records),
                };
                responses.push(produce::PartitionProduceResponse {
                    index: partition.index,
                    error_code: error.code(),
                    base_offset: base,
                    ..Default::default()
                });
            }
            answer.responses.push(produce::TopicProduceResponse {
                name: topic.name,
                topic_id: topic.topic_id,
                partition_responses: responses,
            });
        }
        answer.encode(w, version).unwrap();
        request.acks != 0
    }

    fn append(&mut self, me: i32, topic: &str, index: i32, records: &[u8]) -> (ErrorCode, i64) {
        let rules = ProducedRules {
            max_batch_bytes: 100_000,
            keys_required: false,
        };
        if !self.knows(topic, index) {
            return (ErrorCode::UnknownTopicOrPartition, -1);
        }
        if self.leader(index) != me {
            return (ErrorCode::NotLeaderOrFollower, -1);
        }
        let header = match validate_produced(records, &rules) {
            Ok(header) => header,
            Err(crate::wire::records::Refusal::TooLarge { .. }) => {
                return (ErrorCode::MessageTooLarge, -1);
            }
            Err(_) => return (ErrorCode::CorruptMessage, -1),
        };
        let end = self.log_end(topic, index);
        if header.has_producer() {
            let id = header.producer_id.0;
            let key = |sequence| (topic.to_owned(), index, id, sequence);
            if let Some(base) = self.remembered.get(&key(header.base_sequence)) {
                return (ErrorCode::None, *base);
            }
            let last = self
                .remembered
                .range(key(0)..=key(i32::MAX))
                .next_back()
                .map(|((.., sequence), _)| *sequence);
            if last.is_some_and(|last| last >= header.base_sequence)
                || (last.is_none() && header.base_sequence != 0)
            {
                return (ErrorCode::OutOfOrderSequenceNumber, -1);
            }
            self.remembered.insert(key(header.base_sequence), end);
        }
        let mut batch = records.to_vec();
        set_base(&mut batch, Offset(end), LeaderEpoch(0));
        self.topics.get_mut(topic).unwrap()[index as usize].push(batch);
        (ErrorCode::None, end)
    }

    fn fetch(&self, r: &mut Reader, w: &mut Writer, version: i16) {
        let request = fetch::FetchRequest::decode(r, version).unwrap();
        let mut answer = fetch::FetchResponse::default();
        for topic in request.topics {
            let name = self.name_of(topic.topic.clone(), topic.topic_id);
            let mut partitions = Vec::new();
            for asked in topic.partitions {
                let end = self.log_end(&name, asked.partition);
                let in_range = (self.log_start..=end).contains(&asked.fetch_offset);
                let known = self.knows(&name, asked.partition);
                let log = if known {
                    &self.topics[&name][asked.partition as usize][..]
                } else {
                    &[]
                };
                let wanted = |b: &&Vec<u8>| {
                    BatchHeader::parse(b).unwrap().last_offset().0 >= asked.fetch_offset
                };
                let next = log.iter().find(wanted).filter(|_| in_range);
                partitions.push(fetch::PartitionData {
                    partition_index: asked.partition,
                    error_code: match (known, in_range) {
                        (false, _) => 3,
                        (true, false) => 1,
                        (true, true) => 0,
                    },
                    high_watermark: end,
                    log_start_offset: self.log_start,
                    records: Some(Bytes::from(next.cloned().unwrap_or_default()).into()),
                    ..Default::default()
                });
            }
            answer.responses.push(fetch::FetchableTopicResponse {
                topic: topic.topic,
                topic_id: topic.topic_id,
                partitions,
            });
        }
        answer.encode(w, version).unwrap();
    }

    fn list_offsets(&self, r: &mut Reader, w: &mut Writer, version: i16) {
        let request = list_offsets::ListOffsetsRequest::decode(r, version).unwrap();
        let mut answer = list_offsets::ListOffsetsResponse::default();
        for topic in request.topics {
            let partition = |asked: list_offsets::ListOffsetsPartition| {
                let offset = match asked.timestamp {
                    -2 => self.log_start,
                    -1 => self.log_end(&topic.name, asked.partition_index),
                    _ => -1,
                };
                let known = self.knows(&topic.name, asked.partition_index);
                list_offsets::ListOffsetsPartitionResponse {
                    partition_index: asked.partition_index,
                    error_code: if known { 0 } else { 3 },
                    offset,
                    ..Default::default()
                }
            };
            answer.topics.push(list_offsets::ListOffsetsTopicResponse {
                partitions: topic.partitions.into_iter().map(partition).collect(),
                name: topic.name.clone(),
            });
        }
        answer.encode(w, version).unwrap();
    }

    fn create_topics(&mut self, r: &mut Reader, w: &mut Writer, version: i16) {
        let request = create_topics::CreateTopicsRequest::decode(r, version).unwrap();
        let mut answer = create_topics::CreateTopicsResponse::default();
        for topic in request.topics {
            let exists = self.topics.contains_key(&topic.name);
            self.topics
                .entry(topic.name.clone())
                .or_insert_with(|| vec![Vec::new(); topic.num_partitions as usize]);
            answer.topics.push(create_topics::CreatableTopicResult {
                name: topic.name,
                error_code: if exists { 36 } else { 0 },
                ..Default::default()
            });
        }
        answer.encode(w, version).unwrap();
    }

    fn delete_records(&mut self, me: i32, r: &mut Reader, w: &mut Writer, version: i16) {
        let request = delete_records::DeleteRecordsRequest::decode(r, version).unwrap();
        let mut answer = delete_records::DeleteRecordsResponse::default();
        for topic in request.topics {
            let partition = |asked: delete_records::DeleteRecordsPartition| {
                let leads = self.leader(asked.partition_index) == me;
                delete_records::DeleteRecordsPartitionResult {
                    partition_index: asked.partition_index,
                    low_watermark: self.log_end(&topic.name, asked.partition_index),
                    error_code: if leads { 0 } else { 6 },
                }
            };
            answer
                .topics
                .push(delete_records::DeleteRecordsTopicResult {
                    partitions: topic.partitions.into_iter().map(partition).collect(),
                    name: topic.name.clone(),
                });
        }
        answer.encode(w, version).unwrap();
    }
}

/// Adds so many records to each of a topic's first partitions.
pub fn fill(cluster: &mut Scripted, topic: &str, partitions: i32, records: i64) {
    for partition in 0..partitions {
        let end = cluster.log_end(topic, partition);
        let mut batch = BatchBuilder::new().base(Offset(end), LeaderEpoch(0));
        for n in 0..records {
            let value = format!("value {n}").into_bytes();
            batch.push(START_MS, None, Some(&value), &[]);
        }
        let log = &mut cluster.topics.get_mut(topic).unwrap()[partition as usize];
        log.push(batch.build().unwrap());
    }
}

/// Carries a machine's actions out on virtual time.
pub struct Rig {
    pub cluster: Scripted,
    pub now: Time,
    pub links: BTreeMap<LinkId, u16>,
}

impl Rig {
    pub fn new(cluster: Scripted) -> Rig {
        Rig {
            cluster,
            now: Time::from_ms(START_MS),
            links: BTreeMap::new(),
        }
    }

    /// Runs until `done` says so; panics when virtual minutes pass without it.
    fn run<M: Machine, T>(
        &mut self,
        machine: &mut M,
        mut done: impl FnMut(&mut M) -> Option<T>,
    ) -> T {
        let deadline = self.now.plus_ms(300_000);
        for _ in 0..100_000 {
            self.carry_all_out(machine);
            if let Some(found) = done(machine) {
                return found;
            }
            // `done` may have taken something, which lets the machine go on.
            if self.carry_all_out(machine) {
                continue;
            }
            let wakeup = machine.next_wakeup().expect("an unfinished machine waits");
            assert!(wakeup < deadline, "nothing happened for minutes");
            self.now = wakeup.max(self.now.plus_ms(1));
        }
        panic!("the machine spins");
    }

    fn carry_all_out<M: Machine>(&mut self, machine: &mut M) -> bool {
        let mut any = false;
        while let Some(action) = machine.poll_action(self.now) {
            self.carry_out(machine, action);
            any = true;
        }
        any
    }

    pub fn carry_out<M: Machine>(&mut self, machine: &mut M, action: Action) {
        match action {
            Action::Connect { link, to } => {
                let unknown = !(FIRST_PORT..FIRST_PORT + self.cluster.brokers).contains(&to.port);
                if unknown || self.cluster.dead.contains(&to.port) {
                    machine.on_disconnected(self.now, link, "connection refused");
                } else {
                    self.links.insert(link, to.port);
                    machine.on_connected(self.now, link);
                }
            }
            Action::Send { link, parts } => {
                let Some(port) = self.links.get(&link).copied() else {
                    return;
                };
                match self.cluster.answer(port, parts.concat().into()) {
                    Ok(Some(frame)) => machine.on_frame(self.now, link, frame),
                    Ok(None) => {}
                    Err(()) => {
                        self.links.remove(&link);
                        machine.on_disconnected(self.now, link, "connection reset");
                    }
                }
            }
            Action::Close { link } => {
                self.links.remove(&link);
            }
        }
    }
}

pub fn links() -> LinksConfig {
    LinksConfig::new("fake", FIRST_PORT, "test")
}

fn producer(settings: ProducerSettings) -> Producer {
    Producer::new(ProducerConfig::new(links(), &settings).unwrap())
}

pub fn record(topic: &str, n: u64) -> ProducerRecord {
    ProducerRecord {
        topic: topic.to_owned(),
        key: Some(format!("key {n}").into_bytes()),
        value: Some(format!("value {n}").into_bytes()),
        headers: vec![(b"h".to_vec(), None), (b"h".to_vec(), Some(vec![0xff]))],
        ..ProducerRecord::default()
    }
}

/// Sends `count` records and returns every delivery.
fn deliver(rig: &mut Rig, producer: &mut Producer, topic: &str, count: u64) -> Vec<Delivery> {
    for n in 0..count {
        producer.send(rig.now, record(topic, n)).unwrap();
    }
    rig.run(producer, |producer| producer.is_idle().then_some(()));
    std::iter::from_fn(|| producer.poll_delivery()).collect()
}

/// Everything in the scripted logs, in order of partition and offset.
fn stored(cluster: &Scripted, topic: &str) -> Vec<(i32, i64, Vec<u8>)> {
    let mut all = Vec::new();
    for (partition, log) in cluster.topics[topic].iter().enumerate() {
        for batch in log.iter().flat_map(|bytes| batches(bytes)) {
            let mut records = batch.unwrap().records(1 << 20).unwrap();
            while let Some(record) = records.next_record().unwrap() {
                let value = record.value.unwrap().to_vec();
                all.push((partition as i32, record.offset.0, value));
            }
        }
    }
    all
}

fn assert_each_once(cluster: &Scripted, topic: &str, count: u64) {
    let mut values: Vec<_> = stored(cluster, topic).into_iter().map(|r| r.2).collect();
    values.sort();
    let mut wanted: Vec<_> = (0..count)
        .map(|n| format!("value {n}").into_bytes())
        .collect();
    wanted.sort();
    assert!(values == wanted, "{} of {count} records", values.len());
}

#[test]
fn records_reach_the_partition_of_their_key_on_its_leader_in_every_codec_and_acks() {
    for compression in [
        Compression::None,
        Compression::Gzip,
        Compression::Snappy,
        Compression::Lz4,
        Compression::Zstd,
    ] {
        for acks in [Acks::None, Acks::Leader, Acks::All] {
            let mut rig = Rig::new(Scripted::new(3, "t", 5));
            let mut producer = producer(ProducerSettings {
                compression,
                acks,
                idempotence: acks == Acks::All,
                ..ProducerSettings::default()
            });
            let deliveries = deliver(&mut rig, &mut producer, "t", 1000);
            let delivered: usize = deliveries.iter().map(|d| d.records.len()).sum();
            assert_eq!(delivered, 1000);
            assert!(deliveries.iter().all(|d| d.outcome.is_ok()));
            assert_each_once(&rig.cluster, "t", 1000);
            for (partition, _, value) in stored(&rig.cluster, "t") {
                let key = String::from_utf8(value).unwrap().replace("value", "key");
                let wanted = crate::wire::records::partition_for_key(key.as_bytes(), 5);
                assert_eq!(PartitionIndex(partition), wanted);
            }
        }
    }
}

#[test]
fn delivered_offsets_are_where_the_records_are() {
    let mut rig = Rig::new(Scripted::new(2, "t", 3));
    let mut producer = producer(ProducerSettings::default());
    let stored_at: BTreeMap<_, _> = {
        let deliveries = deliver(&mut rig, &mut producer, "t", 50);
        deliveries
            .into_iter()
            .flat_map(|d| {
                let base = d.outcome.unwrap().0;
                let partition = d.partition.unwrap().0;
                d.records
                    .into_iter()
                    .enumerate()
                    .map(move |(at, id)| ((partition, base + at as i64), id.0))
            })
            .collect()
    };
    for (partition, offset, value) in stored(&rig.cluster, "t") {
        let n = stored_at[&(partition, offset)];
        assert_eq!(value, format!("value {n}").into_bytes());
    }
}

/// KIP-98: sending again after a lost answer or a refusal never doubles or reorders a record.
#[test]
fn an_idempotent_producer_survives_lost_answers_and_retriable_errors() {
    let mut cluster = Scripted::new(2, "t", 2);
    cluster.swallow = VecDeque::from([ApiKey::Produce, ApiKey::InitProducerId, ApiKey::Produce]);
    cluster.produce_errors = VecDeque::from([
        ErrorCode::None,
        ErrorCode::NotEnoughReplicas,
        ErrorCode::NotLeaderOrFollower,
    ]);
    let mut rig = Rig::new(cluster);
    let mut producer = producer(ProducerSettings {
        idempotence: true,
        ..ProducerSettings::default()
    });
    for round in 0..5 {
        let deliveries = deliver(&mut rig, &mut producer, "t", 20);
        assert!(
            deliveries.iter().all(|d| d.outcome.is_ok()),
            "round {round}"
        );
        let mut all = rig.cluster.topics.get_mut("t").unwrap().split_off(0);
        let cluster = &mut rig.cluster;
        cluster
            .topics
            .insert("u".to_owned(), std::mem::take(&mut all));
        assert_each_once(cluster, "u", 20);
        // The logs go on at the same offsets' sequence numbers: forget only what was checked.
        let emptied = vec![Vec::new(); 2];
        cluster.topics.insert("t".to_owned(), emptied);
        cluster.topics.remove("u");
    }
}

#[test]
fn a_producer_id_the_broker_forgot_is_replaced() {
    let mut rig = Rig::new(Scripted::new(1, "t", 1));
    let mut producer = producer(ProducerSettings {
        idempotence: true,
        ..ProducerSettings::default()
    });
    deliver(&mut rig, &mut producer, "t", 3);
    let first = producer.producer_id();
    rig.cluster.remembered.clear();
    let deliveries = deliver(&mut rig, &mut producer, "t", 3);
    assert_eq!(deliveries[0].outcome, Ok(Offset(3)));
    assert_ne!(producer.producer_id(), first);
}

/// P1: the first attempt is in the log, its answer is lost, and a leader that is over does not know what came before.
#[test]
fn a_batch_that_may_be_stored_keeps_its_stamp() {
    let mut rig = Rig::new(Scripted::new(1, "t", 1));
    let mut producer = producer(ProducerSettings {
        idempotence: true,
        ..ProducerSettings::default()
    });
    deliver(&mut rig, &mut producer, "t", 1);
    rig.cluster.swallow.push_back(ApiKey::Produce);
    let errors = [ErrorCode::None, ErrorCode::OutOfOrderSequenceNumber];
    rig.cluster.produce_errors = VecDeque::from(errors);
    let deliveries = deliver(&mut rig, &mut producer, "t", 1);
    assert_eq!(deliveries[0].outcome, Ok(Offset(1)));
    assert_eq!(stored(&rig.cluster, "t").len(), 2);
}

#[test]
fn a_batch_the_broker_finds_too_large_is_split() {
    let mut rig = Rig::new(Scripted::new(1, "t", 1));
    let settings = ProducerSettings {
        idempotence: true,
        ..ProducerSettings::default()
    };
    let mut config = ProducerConfig::new(links(), &settings).unwrap();
    config.batch_bytes = 500_000;
    let mut producer = Producer::new(config);
    for n in 0..10 {
        let mut record = record("t", n);
        record.value = Some(vec![n as u8; 40_000]);
        producer.send(rig.now, record).unwrap();
    }
    rig.run(&mut producer, |p| p.is_idle().then_some(()));
    let stored = stored(&rig.cluster, "t");
    assert_eq!(stored.len(), 10);
    assert!(stored.iter().enumerate().all(|(n, r)| r.2[0] == n as u8));
    let too_large = ProducerRecord {
        value: Some(vec![0; 200_000]),
        ..record("t", 0)
    };
    producer.send(rig.now, too_large).unwrap();
    rig.run(&mut producer, |p| p.is_idle().then_some(()));
    let last = std::iter::from_fn(|| producer.poll_delivery())
        .last()
        .unwrap();
    assert!(matches!(
        last.outcome,
        Err(CallError::Broker { code: 10, .. })
    ));
}

#[test]
fn a_producer_says_why_it_cannot_send() {
    let mut rig = Rig::new(Scripted::new(1, "t", 1));
    let mut producer = producer(ProducerSettings::default());
    let missing = deliver(&mut rig, &mut producer, "missing", 1);
    assert!(matches!(
        missing[0].outcome,
        Err(CallError::Broker { code: 3, .. })
    ));

    let beyond = ProducerRecord {
        partition: Some(PartitionIndex(7)),
        ..record("t", 0)
    };
    producer.send(rig.now, beyond).unwrap();
    let failed = rig.run(&mut producer, Producer::poll_delivery);
    assert!(matches!(
        failed.outcome,
        Err(CallError::Broker { code: 3, .. })
    ));

    rig.cluster.produce_errors = VecDeque::from([ErrorCode::InvalidRecord]);
    let refused = deliver(&mut rig, &mut producer, "t", 1);
    assert!(matches!(
        refused[0].outcome,
        Err(CallError::Broker { code: 87, .. })
    ));

    rig.cluster.dead.insert(FIRST_PORT);
    rig.cluster.swallow.push_back(ApiKey::Produce);
    let lost = deliver(&mut rig, &mut producer, "t", 1);
    let Err(CallError::TimedOut { waited_ms, last }) = &lost[0].outcome else {
        panic!("{lost:?}");
    };
    assert_eq!(*waited_ms, 120_000);
    assert!(last.contains("connection reset"), "{last}");

    let refused = ProducerSettings {
        idempotence: true,
        acks: Acks::Leader,
        ..ProducerSettings::default()
    };
    assert!(ProducerConfig::new(links(), &refused).is_err());
}

#[test]
fn an_older_broker_is_spoken_to_in_its_versions() {
    let mut cluster = Scripted::new(1, "t", 1);
    cluster.highest_produce = 7;
    let mut rig = Rig::new(cluster);
    let mut producer = producer(ProducerSettings::default());
    assert!(deliver(&mut rig, &mut producer, "t", 3)[0].outcome.is_ok());
}

#[test]
fn a_full_buffer_takes_no_more_until_something_is_delivered() {
    let mut rig = Rig::new(Scripted::new(1, "t", 1));
    let mut config = ProducerConfig::new(links(), &ProducerSettings::default()).unwrap();
    config.buffer_bytes = 1_000;
    let mut producer = Producer::new(config);
    while producer.send(rig.now, record("t", 0)).is_ok() {}
    assert_eq!(
        producer.send(rig.now, record("t", 0)),
        Err(SendError::BufferFull)
    );
    rig.run(&mut producer, Producer::poll_delivery);
    assert!(producer.send(rig.now, record("t", 0)).is_ok());
}

/// Reads a partition until its high watermark; the values by offset.
fn read(rig: &mut Rig, start: Start, count: usize) -> Vec<(i64, Vec<u8>)> {
    let mut consumer = Consumer::new(ConsumerConfig::new(links()));
    consumer.assign(rig.now, "t", PartitionIndex(0), start);
    let mut read = Vec::new();
    rig.run(&mut consumer, |consumer| {
        while let Some(event) = consumer.poll_event() {
            let ConsumerEvent::Records(fetched) = event else {
                continue;
            };
            let keep = |record: &crate::wire::records::Record<'_>| {
                read.push((record.offset.0, record.value.unwrap().to_vec()));
            };
            fetched.visit(1 << 20, keep).unwrap();
        }
        (read.len() >= count).then_some(())
    });
    read
}

#[test]
fn a_consumer_reads_from_offsets_ends_and_where_the_log_starts_now() {
    let mut rig = Rig::new(Scripted::new(2, "t", 1));
    let mut producer = producer(ProducerSettings::default());
    for _ in 0..4 {
        deliver(&mut rig, &mut producer, "t", 10);
    }
    let all = read(&mut rig, Start::Earliest, 40);
    assert!(all.iter().enumerate().all(|(at, r)| r.0 == at as i64));
    assert_eq!(all[15].1, b"value 5");
    let later = read(&mut rig, Start::Offset(Offset(25)), 15);
    assert_eq!(later[0], (25, b"value 5".to_vec()));
    rig.cluster.log_start = 20;
    let moved = read(&mut rig, Start::Offset(Offset(3)), 20);
    assert_eq!(moved[0].0, 20);
}

#[test]
fn a_consumer_answers_for_offsets_and_reports_what_it_cannot_read() {
    let mut rig = Rig::new(Scripted::new(3, "t", 2));
    let mut producer = producer(ProducerSettings::default());
    deliver(&mut rig, &mut producer, "t", 10);
    let ends: i64 = (0..2).map(|p| rig.cluster.log_end("t", p)).sum();
    let mut consumer = Consumer::new(ConsumerConfig::new(links()));
    let mut asked = BTreeSet::new();
    for partition in 0..2 {
        for at in [Start::Earliest, Start::Latest, Start::TimeMs(5)] {
            asked.insert(consumer.ask_offset(rig.now, "t", PartitionIndex(partition), at));
        }
    }
    let mut sum = 0;
    rig.run(&mut consumer, |consumer| {
        while let Some(event) = consumer.poll_event() {
            let ConsumerEvent::Offset { query, answer, .. } = event else {
                panic!("{event:?}");
            };
            assert!(asked.remove(&query));
            sum += answer.unwrap().0;
        }
        asked.is_empty().then_some(())
    });
    assert_eq!(
        sum,
        2 * ends,
        "latest, and no record is later than the time"
    );

    consumer.assign(rig.now, "nowhere", PartitionIndex(0), Start::Earliest);
    let event = rig.run(&mut consumer, Consumer::poll_event);
    assert!(matches!(
        event,
        ConsumerEvent::Failed {
            error: CallError::Broker { code: 3, .. },
            ..
        }
    ));
}

#[test]
fn a_slow_reader_holds_one_piece_per_partition() {
    let mut rig = Rig::new(Scripted::new(1, "t", 1));
    let mut producer = producer(ProducerSettings::default());
    for _ in 0..20 {
        deliver(&mut rig, &mut producer, "t", 5);
    }
    let mut consumer = Consumer::new(ConsumerConfig::new(links()));
    consumer.assign(rig.now, "t", PartitionIndex(0), Start::Earliest);
    rig.run(&mut consumer, |c| c.progress("t", PartitionIndex(0)));
    let before = rig.cluster.seen.len();
    for _ in 0..100 {
        assert!(consumer.poll_action(rig.now).is_none());
        rig.now = rig.now.plus_ms(100);
    }
    assert_eq!(rig.cluster.seen.len(), before);
}

#[test]
fn the_admin_creates_empties_and_reports() {
    let mut rig = Rig::new(Scripted::new(3, "t", 6));
    let mut producer = producer(ProducerSettings::default());
    deliver(&mut rig, &mut producer, "t", 60);
    let mut admin = Admin::new(links());
    let create = |name: &str| AdminRequest::CreateTopic {
        name: name.to_owned(),
        partitions: 2,
        replication_factor: -1,
        configs: vec![],
    };
    let first = admin.request(rig.now, create("new"));
    assert_eq!(
        rig.run(&mut admin, Admin::poll_answer),
        (first, Ok(AdminAnswer::Done))
    );
    admin.request(rig.now, create("new"));
    let (_, answer) = rig.run(&mut admin, Admin::poll_answer);
    let failure = answer.unwrap_err().to_failure();
    assert_eq!(failure.name, "TOPIC_ALREADY_EXISTS (36)");

    let topic = "t".to_owned();
    admin.request(rig.now, AdminRequest::EmptyTopic { topic });
    let (_, answer) = rig.run(&mut admin, Admin::poll_answer);
    let Ok(AdminAnswer::LogStarts(starts)) = answer else {
        panic!("{answer:?}");
    };
    assert_eq!(starts.len(), 6);
    for (partition, start) in starts {
        assert_eq!(start.0, rig.cluster.log_end("t", partition.0));
    }

    let topic = "nowhere".to_owned();
    admin.request(rig.now, AdminRequest::EmptyTopic { topic });
    let (_, answer) = rig.run(&mut admin, Admin::poll_answer);
    assert_eq!(answer, Err(CallError::broker(3, None)));
}

#[test]
fn an_admin_that_reaches_nobody_says_so_in_time() {
    let mut cluster = Scripted::new(1, "t", 1);
    cluster.dead.insert(FIRST_PORT);
    let mut rig = Rig::new(cluster);
    let mut admin = Admin::new(links());
    let name = "t".to_owned();
    admin.request(rig.now, AdminRequest::DeleteTopic { name });
    let (_, answer) = rig.run(&mut admin, Admin::poll_answer);
    assert!(matches!(
        answer,
        Err(CallError::TimedOut {
            waited_ms: 15_000,
            ..
        })
    ));
}

#[test]
fn a_topic_that_is_not_there_is_not_asked_for_once_nothing_waits_for_it() {
    let mut rig = Rig::new(Scripted::new(1, "t", 1));
    let mut producer = producer(ProducerSettings::default());
    let failed = deliver(&mut rig, &mut producer, "typo", 1);
    assert!(failed[0].outcome.is_err());
    rig.cluster.seen.clear();
    for _ in 0..60 {
        rig.now = rig.now.plus_ms(1_000);
        rig.carry_all_out(&mut producer);
    }
    let asked = rig
        .cluster
        .seen
        .iter()
        .filter(|key| **key == ApiKey::Metadata);
    // One refresh was due already.
    assert!(asked.count() <= 1, "a minute later it still asks");
    // The next record asks again.
    assert!(
        deliver(&mut rig, &mut producer, "typo", 1)[0]
            .outcome
            .is_err()
    );
    assert!(rig.cluster.seen.contains(&ApiKey::Metadata));
}

/// Found by a seed: the broker that was asked for metadata had not heard yet that the topic had grown.
#[test]
fn a_record_waits_for_a_partition_that_was_just_added() {
    let mut rig = Rig::new(Scripted::new(1, "t", 1));
    let mut producer = producer(ProducerSettings::default());
    deliver(&mut rig, &mut producer, "t", 1);
    let added = ProducerRecord {
        partition: Some(PartitionIndex(1)),
        ..record("t", 1)
    };
    producer.send(rig.now, added).unwrap();
    rig.carry_all_out(&mut producer);
    assert!(producer.poll_delivery().is_none());
    let partitions = rig.cluster.topics.get_mut("t").unwrap();
    partitions.push(Vec::new());
    let delivered = rig.run(&mut producer, Producer::poll_delivery);
    assert_eq!(delivered.partition, Some(PartitionIndex(1)));
    assert!(delivered.outcome.is_ok(), "{delivered:?}");
}
