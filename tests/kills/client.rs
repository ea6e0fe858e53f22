//! A blocking client that knows when an answer did not come: that is the point here.

use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use klar::ids::{ProducerEpoch, ProducerId};
use klar::wire::messages::create_topics::{
    CreatableTopic, CreateTopicsRequest, CreateTopicsResponse,
};
use klar::wire::messages::fetch::{FetchPartition, FetchRequest, FetchResponse, FetchTopic};
use klar::wire::messages::init_producer_id::{InitProducerIdRequest, InitProducerIdResponse};
use klar::wire::messages::produce::{
    PartitionProduceData, ProduceRequest, ProduceResponse, TopicProduceData,
};
use klar::wire::records::{BatchBuilder, batches};
use klar::wire::request::RequestHeader;
use klar::wire::{ApiKey, Reader, Writer, response};

const TOPIC: &str = "numbers";
const TIMEOUT: Duration = Duration::from_secs(30);
/// Versions that name topics, not ids: a restart must not need fresh metadata here.
const PRODUCE: i16 = 8;
const FETCH: i16 = 11;
const CREATE_TOPICS: i16 = 5;
const INIT_PRODUCER_ID: i16 = 2;

const FETCH_BYTES: i32 = 4 << 20;
const RECORD_LIMIT: usize = 1 << 20;
/// Kafka's DUPLICATE_SEQUENCE_NUMBER: it is there already, under an offset the broker no longer knows.
const DUPLICATE: i16 = 46;

fn now_ms() -> i64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    i64::try_from(now.as_millis()).unwrap()
}

pub struct Client {
    stream: TcpStream,
}

impl Client {
    pub fn connect(bootstrap: &str) -> io::Result<Client> {
        let stream = TcpStream::connect(bootstrap)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(TIMEOUT))?;
        Ok(Client { stream })
    }

    /// Sends a request and reads the frame of its response.
    fn ask(
        &mut self,
        key: ApiKey,
        version: i16,
        encode: impl FnOnce(&mut Writer),
    ) -> io::Result<Reader> {
        let mut writer = Writer::new();
        let header = RequestHeader {
            api_key: key,
            api_version: version,
            correlation_id: 1,
            client_id: Some("kills".to_string()),
        };
        header.encode(&mut writer).unwrap();
        encode(&mut writer);
        for part in writer.finish_frame() {
            self.stream.write_all(&part)?;
        }
        let mut size = [0; 4];
        self.stream.read_exact(&mut size)?;
        let mut frame = vec![0; u32::from_be_bytes(size) as usize];
        self.stream.read_exact(&mut frame)?;
        let mut reader = Reader::new(Bytes::from(frame));
        response::decode_header(&mut reader, key, version).unwrap();
        Ok(reader)
    }

    pub fn create_topic(&mut self, partitions: i32) {
        let topic = CreatableTopic {
            name: TOPIC.to_string(),
            num_partitions: partitions,
            replication_factor: 1,
            ..CreatableTopic::default()
        };
        let request = CreateTopicsRequest {
            topics: vec![topic],
            timeout_ms: 30_000,
            ..Default::default()
        };
        let encode = |writer: &mut Writer| request.encode(writer, CREATE_TOPICS).unwrap();
        let mut reader = self
            .ask(ApiKey::CreateTopics, CREATE_TOPICS, encode)
            .unwrap();
        let answer = CreateTopicsResponse::decode(&mut reader, CREATE_TOPICS).unwrap();
        assert_eq!(answer.topics[0].error_code, 0, "CreateTopics");
    }

    pub fn init_producer_id(&mut self) -> i64 {
        let request = InitProducerIdRequest {
            transactional_id: None,
            transaction_timeout_ms: 60_000,
            ..Default::default()
        };
        let encode = |writer: &mut Writer| request.encode(writer, INIT_PRODUCER_ID).unwrap();
        let mut reader = self
            .ask(ApiKey::InitProducerId, INIT_PRODUCER_ID, encode)
            .unwrap();
        let answer = InitProducerIdResponse::decode(&mut reader, INIT_PRODUCER_ID).unwrap();
        assert_eq!(answer.error_code, 0, "InitProducerId");
        answer.producer_id
    }

    /// Sends the numbers from `first` on as one batch; the offset the broker says they have. An error when no
    /// answer came.
    pub fn produce(
        &mut self,
        partition: i32,
        producer_id: i64,
        first: u64,
        count: u64,
    ) -> io::Result<u64> {
        let sequence = i32::try_from(first).unwrap();
        let mut batch =
            BatchBuilder::new().producer(ProducerId(producer_id), ProducerEpoch(0), sequence);
        for number in first..first + count {
            batch.push(now_ms(), None, Some(number.to_string().as_bytes()), &[]);
        }
        let partition_data = PartitionProduceData {
            index: partition,
            records: Some(Bytes::from(batch.build().unwrap())),
        };
        let topic = TopicProduceData {
            name: TOPIC.to_string(),
            partition_data: vec![partition_data],
            ..TopicProduceData::default()
        };
        let request = ProduceRequest {
            transactional_id: None,
            acks: if first.is_multiple_of(2) { -1 } else { 1 },
            timeout_ms: 30_000,
            topic_data: vec![topic],
        };
        let encode = |writer: &mut Writer| request.encode(writer, PRODUCE).unwrap();
        let mut reader = self.ask(ApiKey::Produce, PRODUCE, encode)?;
        let answer = ProduceResponse::decode(&mut reader, PRODUCE).unwrap();
        let answer = &answer.responses[0].partition_responses[0];
        if answer.error_code == DUPLICATE {
            return Ok(first);
        }
        assert_eq!(
            answer.error_code, 0,
            "Produce of {first} to {partition}: {:?}",
            answer.error_message
        );
        Ok(u64::try_from(answer.base_offset).unwrap())
    }

    /// Offsets and numbers from the batch that holds `from` on; `None` at the end.
    pub fn fetch(&mut self, partition: i32, from: u64) -> Option<Vec<(u64, u64)>> {
        let partition = FetchPartition {
            partition,
            fetch_offset: i64::try_from(from).unwrap(),
            partition_max_bytes: FETCH_BYTES,
            ..FetchPartition::default()
        };
        let topic = FetchTopic {
            topic: TOPIC.to_string(),
            partitions: vec![partition],
            ..FetchTopic::default()
        };
        let request = FetchRequest {
            replica_id: -1,
            max_wait_ms: 0,
            min_bytes: 0,
            max_bytes: FETCH_BYTES,
            session_epoch: -1,
            topics: vec![topic],
            ..FetchRequest::default()
        };
        let encode = |writer: &mut Writer| request.encode(writer, FETCH).unwrap();
        let mut reader = self.ask(ApiKey::Fetch, FETCH, encode).unwrap();
        let answer = FetchResponse::decode(&mut reader, FETCH).unwrap();
        let partition = &answer.responses[0].partitions[0];
        assert_eq!(partition.error_code, 0, "Fetch from {from}");
        let bytes = partition.records.clone().unwrap_or_default().joined();
        let mut numbers = Vec::new();
        for batch in batches(&bytes) {
            let batch = batch.unwrap();
            assert!(batch.crc_ok(), "Fetch from {from}: a batch's checksum");
            let mut records = batch.records(RECORD_LIMIT).unwrap();
            while let Some(record) = records.next_record().unwrap() {
                let text = std::str::from_utf8(record.value.unwrap()).unwrap();
                numbers.push((
                    u64::try_from(record.offset.0).unwrap(),
                    text.parse().unwrap(),
                ));
            }
        }
        (!numbers.is_empty()).then_some(numbers)
    }
}
