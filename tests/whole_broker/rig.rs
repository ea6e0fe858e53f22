//! One broker on a memory disk, driven by hand: frames in, effects out, time as the test says.

use std::cell::Cell;
use std::path::PathBuf;

use bytes::Bytes;

use klar::broker::effect::Effect;
use klar::broker::{Broker, BrokerConfig, ConnectionFacts};
use klar::ids::{
    BrokerId, ConnectionId, LeaderEpoch, Offset, ProducerEpoch, ProducerId, Time, TopicId,
};
use klar::inspect::{Durability, EventKind};
use klar::storage::{Disk, FailingDisk, FaultPlan, MemoryDisk};
use klar::wire::messages::create_topics::{
    CreatableTopic, CreatableTopicConfig, CreateTopicsRequest, CreateTopicsResponse,
};
use klar::wire::messages::fetch::{FetchPartition, FetchRequest, FetchTopic};
use klar::wire::messages::produce::{PartitionProduceData, ProduceRequest, TopicProduceData};
use klar::wire::records::{BatchBuilder, batches};
use klar::wire::request::RequestHeader;
use klar::wire::{ApiKey, Reader, Writer, response};

/// When every test begins: a day in 2026, so that default timestamps are not too old or too new.
pub const START: Time = Time(1_770_000_000_000_000);

pub struct Rig {
    pub broker: Broker,
    pub now: Time,
    pub disk: MemoryDisk,
    pub faults: FaultPlan,
    pub events: Vec<EventKind>,
    pub flushes: Vec<(u64, Vec<PathBuf>)>,
    /// Answer syncs as soon as they are asked for.
    pub auto_flush: bool,
    config: BrokerConfig,
    replies: Vec<(ConnectionId, Outcome)>,
    next_connection: u64,
    correlation: Cell<i32>,
}

/// What a request came to.
#[derive(Debug, Clone)]
pub enum Outcome {
    Reply(Bytes),
    Silent,
    Closed(String),
}

impl Rig {
    pub fn new() -> Rig {
        Rig::with(Durability::Os, &[])
    }

    pub fn with(durability: Durability, settings: &[(&str, &str)]) -> Rig {
        let config = BrokerConfig {
            id: BrokerId(1),
            voters: vec![BrokerId(1)],
            alone: true,
            cluster_id: "a-cluster".to_owned(),
            listen: "127.0.0.1:9092".parse().unwrap(),
            data_dir: PathBuf::from("/d"),
            durability,
            settings: settings
                .iter()
                .map(|(n, v)| ((*n).to_owned(), (*v).to_owned()))
                .collect(),
        };
        Rig::start(
            config,
            MemoryDisk::with_power(),
            START,
            FaultPlan::default(),
        )
    }

    fn start(config: BrokerConfig, disk: MemoryDisk, now: Time, faults: FaultPlan) -> Rig {
        let failing: Box<dyn Disk> =
            Box::new(FailingDisk::new(Box::new(disk.clone()), faults.clone()));
        let broker = Broker::open(config.clone(), failing, 7, now).unwrap();
        let mut rig = Rig {
            broker,
            now,
            disk,
            faults,
            events: Vec::new(),
            flushes: Vec::new(),
            auto_flush: true,
            config,
            replies: Vec::new(),
            next_connection: 1,
            correlation: Cell::new(1),
        };
        rig.settle();
        rig
    }

    /// The same disk under a new broker: after a clean stop, or as if the process had been killed.
    pub fn restart(self, clean: bool) -> Rig {
        self.restart_on(FaultPlan::default(), clean)
    }

    /// As [`Rig::restart`], on a disk that fails as planned from the first moment.
    pub fn restart_on(mut self, faults: FaultPlan, clean: bool) -> Rig {
        if clean {
            self.broker.end_syncs();
            self.answer_flushes(Ok(()));
            self.broker.stop_clean(self.now);
            self.settle();
        }
        Rig::start(self.config, self.disk, self.now, faults)
    }

    /// A broker as this one was started, on another disk.
    pub fn on(&self, disk: MemoryDisk) -> Rig {
        Rig::start(self.config.clone(), disk, self.now, FaultPlan::default())
    }

    pub fn connect(&mut self) -> ConnectionId {
        self.connect_to("127.0.0.1:9092")
    }

    pub fn connect_to(&mut self, local: &str) -> ConnectionId {
        let id = ConnectionId(self.next_connection);
        self.next_connection += 1;
        let facts = ConnectionFacts {
            peer: "127.0.0.1:50000".parse().unwrap(),
            local: local.parse().unwrap(),
            own: false,
        };
        self.broker.on_connected(self.now, id, facts);
        self.settle();
        id
    }

    /// Carries effects out until there are none.
    pub fn settle(&mut self) {
        loop {
            let effects = self.broker.effects();
            if effects.is_empty() {
                break;
            }
            for effect in effects {
                match effect {
                    Effect::Reply { to, parts } => {
                        let frame = Bytes::from(parts.concat());
                        let length = u32::from_be_bytes(frame[..4].try_into().unwrap());
                        assert_eq!(length as usize, frame.len() - 4);
                        self.replies.push((to, Outcome::Reply(frame.slice(4..))));
                    }
                    Effect::NoReply { to } => self.replies.push((to, Outcome::Silent)),
                    Effect::Close { to, why } => self.replies.push((to, Outcome::Closed(why))),
                    Effect::Flush { token, files } => self.flushes.push((token, files)),
                    Effect::Note(kind) => self.events.push(kind),
                    Effect::Send { .. } | Effect::Hangup { .. } => {
                        panic!("a broker alone asks nobody")
                    }
                }
            }
            if self.auto_flush {
                self.answer_flushes(Ok(()));
            }
        }
        self.broker.check();
    }

    pub fn flush(&mut self, result: Result<(), String>) {
        self.answer_flushes(result);
        self.settle();
    }

    fn answer_flushes(&mut self, result: Result<(), String>) {
        for (token, files) in std::mem::take(&mut self.flushes) {
            // Some may be deleted by now.
            let files = files.iter().filter(|_| result.is_ok());
            let _: Vec<_> = files.map(|file| self.disk.sync(file)).collect();
            self.broker.on_flushed(self.now, token, result.clone());
        }
    }

    /// Lets time pass, waking the broker whenever it wants to be.
    pub fn pass_ms(&mut self, ms: i64) {
        let until = self.now.plus_ms(ms);
        while let Some(wakeup) = self.broker.next_wakeup().filter(|at| *at <= until) {
            self.now = self.now.max(wakeup);
            self.broker.on_tick(self.now);
            self.settle();
        }
        self.now = until;
    }

    pub fn send_frame(&mut self, to: ConnectionId, frame: Bytes) {
        self.broker.on_frame(self.now, to, frame);
        self.settle();
    }

    /// Sends a request without waiting for what it comes to.
    pub fn send(
        &mut self,
        from: ConnectionId,
        api: ApiKey,
        version: i16,
        body: impl FnOnce(&mut Writer),
    ) {
        let frame = self.frame(api, version, body);
        self.send_frame(from, frame);
    }

    pub fn frame(&self, api: ApiKey, version: i16, body: impl FnOnce(&mut Writer)) -> Bytes {
        let mut writer = Writer::new();
        let header = RequestHeader {
            api_key: api,
            api_version: version,
            correlation_id: self.correlation.replace(self.correlation.get() + 1),
            client_id: Some("test".to_owned()),
        };
        header.encode(&mut writer).unwrap();
        body(&mut writer);
        Bytes::from(writer.finish_frame().concat()).slice(4..)
    }

    /// What a connection's request came to, if it is answered yet.
    pub fn outcome(&mut self, of: ConnectionId) -> Option<Outcome> {
        let at = self.replies.iter().position(|(to, _)| *to == of)?;
        Some(self.replies.remove(at).1)
    }

    pub fn closed(&mut self, of: ConnectionId) -> String {
        match self.outcome(of) {
            Some(Outcome::Closed(why)) => why,
            other => panic!("not closed: {other:?}"),
        }
    }

    /// The body of a reply that is there, behind its header.
    pub fn body(&mut self, of: ConnectionId, api: ApiKey, version: i16) -> Reader {
        match self.outcome(of) {
            Some(Outcome::Reply(frame)) => {
                let mut reader = Reader::new(frame);
                response::decode_header(&mut reader, api, version).unwrap();
                reader
            }
            other => panic!("no reply: {other:?}"),
        }
    }

    pub fn create(&mut self, name: &str, partitions: i32, configs: &[(&str, &str)]) -> TopicId {
        let connection = self.connect();
        let request = CreateTopicsRequest {
            topics: vec![CreatableTopic {
                name: name.to_owned(),
                num_partitions: partitions,
                replication_factor: 1,
                configs: configs
                    .iter()
                    .map(|(n, v)| CreatableTopicConfig {
                        name: (*n).to_owned(),
                        value: Some((*v).to_owned()),
                    })
                    .collect(),
                ..CreatableTopic::default()
            }],
            ..CreateTopicsRequest::default()
        };
        let response: CreateTopicsResponse = ask!(
            self,
            connection,
            CreateTopics,
            7,
            request,
            CreateTopicsResponse
        );
        assert_eq!(response.topics[0].error_code, 0, "{response:?}");
        response.topics[0].topic_id
    }

    pub fn delete(&mut self, name: &str) {
        use klar::wire::messages::delete_topics::{
            DeleteTopicState, DeleteTopicsRequest, DeleteTopicsResponse,
        };
        let connection = self.connect();
        let request = DeleteTopicsRequest {
            topics: vec![DeleteTopicState {
                name: Some(name.to_owned()),
                ..DeleteTopicState::default()
            }],
            ..DeleteTopicsRequest::default()
        };
        let response: DeleteTopicsResponse = ask!(
            self,
            connection,
            DeleteTopics,
            6,
            request,
            DeleteTopicsResponse
        );
        assert_eq!(response.responses[0].error_code, 0, "{response:?}");
    }

    /// Produces values without keys to one partition; error code and base offset.
    pub fn produce(&mut self, topic: &str, partition: i32, values: &[&str]) -> (i16, i64) {
        let connection = self.connect();
        let batch = batch(self.now, values);
        self.produce_bytes(connection, topic, partition, batch)
    }

    pub fn produce_bytes(
        &mut self,
        connection: ConnectionId,
        topic: &str,
        partition: i32,
        records: Bytes,
    ) -> (i16, i64) {
        use klar::wire::messages::produce::ProduceResponse;
        let request = produce_request(topic, partition, Some(records), -1);
        let response = ask!(self, connection, Produce, 9, request, ProduceResponse);
        let partition = &response.responses[0].partition_responses[0];
        (partition.error_code, partition.base_offset)
    }

    /// Fetches values from one partition without a session and without waiting.
    pub fn fetch(&mut self, topic: &str, partition: i32, from: i64) -> (i16, Vec<(i64, String)>) {
        use klar::wire::messages::fetch::FetchResponse;
        let connection = self.connect();
        let request = fetch_request(topic, partition, from);
        let response = ask!(self, connection, Fetch, 12, request, FetchResponse);
        let partition = &response.responses[0].partitions[0];
        let records = partition.records.clone().unwrap_or_default().joined();
        (partition.error_code, values(&records))
    }
}

pub fn batch(now: Time, values: &[&str]) -> Bytes {
    let mut builder = BatchBuilder::new();
    for value in values {
        builder.push(now.as_ms(), None, Some(value.as_bytes()), &[]);
    }
    builder.build().unwrap().into()
}

pub fn idempotent(now: Time, producer: i64, epoch: i16, sequence: i32, values: &[&str]) -> Bytes {
    let producer = (ProducerId(producer), ProducerEpoch(epoch));
    let mut builder = BatchBuilder::new().producer(producer.0, producer.1, sequence);
    for value in values {
        builder.push(now.as_ms(), None, Some(value.as_bytes()), &[]);
    }
    builder.build().unwrap().into()
}

pub fn values(records: &[u8]) -> Vec<(i64, String)> {
    let mut found = Vec::new();
    for batch in batches(records) {
        let batch = batch.unwrap();
        assert!(batch.crc_ok());
        assert_eq!(batch.header().leader_epoch, LeaderEpoch(0));
        let mut records = batch.records(1 << 20).unwrap();
        while let Some(record) = records.next_record().unwrap() {
            let Offset(offset) = record.offset;
            let value = String::from_utf8_lossy(record.value.unwrap_or_default());
            found.push((offset, value.into_owned()));
        }
    }
    found
}

pub fn produce_request(
    topic: &str,
    partition: i32,
    records: Option<Bytes>,
    acks: i16,
) -> ProduceRequest {
    ProduceRequest {
        acks,
        timeout_ms: 30_000,
        topic_data: vec![TopicProduceData {
            name: topic.to_owned(),
            partition_data: vec![PartitionProduceData {
                index: partition,
                records,
            }],
            ..TopicProduceData::default()
        }],
        ..ProduceRequest::default()
    }
}

pub fn fetch_request(topic: &str, partition: i32, from: i64) -> FetchRequest {
    FetchRequest {
        max_wait_ms: 0,
        min_bytes: 1,
        max_bytes: 1 << 20,
        session_epoch: -1,
        topics: vec![FetchTopic {
            topic: topic.to_owned(),
            partitions: vec![FetchPartition {
                partition,
                fetch_offset: from,
                partition_max_bytes: 1 << 20,
                ..FetchPartition::default()
            }],
            ..FetchTopic::default()
        }],
        ..FetchRequest::default()
    }
}

/// Sends a request and reads its answer, which must be there at once and read to its end.
#[macro_export]
macro_rules! ask {
    ($rig:expr, $connection:expr, $api:ident, $version:expr, $request:expr, $response:ty) => {{
        let request = &$request;
        let api = klar::wire::ApiKey::$api;
        $rig.send($connection, api, $version, |writer| {
            request.encode(writer, $version).unwrap();
        });
        let mut reader = $rig.body($connection, api, $version);
        let response = <$response>::decode(&mut reader, $version).unwrap();
        assert_eq!(reader.remaining(), 0, "bytes behind the answer");
        response
    }};
}
pub use ask;
