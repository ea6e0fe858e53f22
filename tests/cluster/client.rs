//! A blocking client that speaks a few requests, one at a time.

use std::io::{self, Read as _, Write as _};
use std::net::TcpStream;
use std::time::Duration;

use bytes::Bytes;
use klar::wire::messages::fetch::{FetchPartition, FetchRequest, FetchResponse, FetchTopic};
use klar::wire::messages::metadata::{MetadataRequest, MetadataRequestTopic, MetadataResponse};
use klar::wire::messages::produce::{
    PartitionProduceData, ProduceRequest, ProduceResponse, TopicProduceData,
};
use klar::wire::records::{BatchBuilder, batches};
use klar::wire::request::RequestHeader;
use klar::wire::{ApiKey, Reader, Writer, response};

pub struct Client {
    pub stream: TcpStream,
}

impl Client {
    pub fn connect(bootstrap: &str) -> io::Result<Client> {
        let stream = TcpStream::connect(bootstrap)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(Duration::from_secs(30)))?;
        Ok(Client { stream })
    }

    /// Sends a request and returns its answer's body.
    pub fn ask(
        &mut self,
        api: ApiKey,
        version: i16,
        write: impl FnOnce(&mut Writer),
    ) -> io::Result<Reader> {
        self.stream.write_all(&request(api, version, write))?;
        let mut length = [0; 4];
        self.stream.read_exact(&mut length)?;
        let mut frame = vec![0; u32::from_be_bytes(length) as usize];
        self.stream.read_exact(&mut frame)?;
        let mut reader = Reader::new(Bytes::from(frame));
        assert_eq!(response::decode_header(&mut reader, api, version), Ok(7));
        Ok(reader)
    }

    /// Makes a topic by asking for it.
    pub fn make_topic(&mut self, topic: &str) {
        loop {
            let request = MetadataRequest {
                topics: Some(vec![MetadataRequestTopic {
                    name: Some(topic.to_owned()),
                    ..MetadataRequestTopic::default()
                }]),
                allow_auto_topic_creation: true,
                ..MetadataRequest::default()
            };
            let mut reader = self
                .ask(ApiKey::Metadata, 12, |writer| {
                    request.encode(writer, 12).unwrap();
                })
                .unwrap();
            let answer = MetadataResponse::decode(&mut reader, 12).unwrap();
            if answer.topics[0].error_code == 0 {
                return;
            }
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Where the leader of a topic's partition 0 listens.
    pub fn leader(&mut self, topic: &str) -> String {
        self.try_leader(topic).expect("it has a leader")
    }

    /// As [`Client::leader`]; `None` when this broker knows of none.
    pub fn try_leader(&mut self, topic: &str) -> Option<String> {
        let request = MetadataRequest {
            topics: Some(vec![MetadataRequestTopic {
                name: Some(topic.to_owned()),
                ..MetadataRequestTopic::default()
            }]),
            ..MetadataRequest::default()
        };
        let mut reader = self
            .ask(ApiKey::Metadata, 12, |writer| {
                request.encode(writer, 12).unwrap();
            })
            .unwrap();
        let answer = MetadataResponse::decode(&mut reader, 12).unwrap();
        let leader = answer.topics[0].partitions.first()?.leader_id;
        let broker = answer.brokers.iter().find(|b| b.node_id == leader)?;
        Some(format!("{}:{}", broker.host, broker.port))
    }

    /// Writes one record to partition 0; its offset once acknowledged.
    pub fn produce(&mut self, topic: &str, value: &[u8]) -> io::Result<i64> {
        let request = produce_request(topic, value);
        let mut reader = self.ask(ApiKey::Produce, 9, |writer| {
            request.encode(writer, 9).unwrap();
        })?;
        let answer = ProduceResponse::decode(&mut reader, 9).unwrap();
        let partition = &answer.responses[0].partition_responses[0];
        assert_eq!(partition.error_code, 0, "{partition:?}");
        Ok(partition.base_offset)
    }

    /// Everything in partition 0, with offsets.
    pub fn read_all(&mut self, topic: &str) -> Vec<(i64, Vec<u8>)> {
        self.try_read_all(topic).expect("it leads the partition")
    }

    /// As [`Client::read_all`]; `None` when this broker does not serve it.
    pub fn try_read_all(&mut self, topic: &str) -> Option<Vec<(i64, Vec<u8>)>> {
        let mut found = Vec::new();
        let mut next = 0;
        loop {
            let request = fetch_request(topic, next);
            let mut reader = self
                .ask(ApiKey::Fetch, 12, |writer| {
                    request.encode(writer, 12).unwrap();
                })
                .unwrap();
            let answer = FetchResponse::decode(&mut reader, 12).unwrap();
            let partition = &answer.responses[0].partitions[0];
            if partition.error_code != 0 {
                return None;
            }
            let bytes = partition.records.clone().unwrap_or_default().joined();
            for batch in batches(&bytes) {
                let batch = batch.unwrap();
                assert!(batch.crc_ok());
                let mut records = batch.records(1 << 24).unwrap();
                while let Some(record) = records.next_record().unwrap() {
                    found.push((record.offset.0, record.value.unwrap().to_vec()));
                }
            }
            match found.last() {
                Some((last, _)) if last + 1 > next => next = last + 1,
                _ => return Some(found),
            }
        }
    }
}

/// A whole request with its length, correlation id 7.
pub fn request(api: ApiKey, version: i16, write: impl FnOnce(&mut Writer)) -> Vec<u8> {
    let mut writer = Writer::new();
    RequestHeader {
        api_key: api,
        api_version: version,
        correlation_id: 7,
        client_id: Some("cluster-test".to_owned()),
    }
    .encode(&mut writer)
    .unwrap();
    write(&mut writer);
    writer.finish_frame().concat()
}

pub fn produce_request(topic: &str, value: &[u8]) -> ProduceRequest {
    let mut batch = BatchBuilder::new();
    let now = std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .unwrap();
    batch.push(now.as_millis() as i64, None, Some(value), &[]);
    ProduceRequest {
        transactional_id: None,
        acks: -1,
        timeout_ms: 30_000,
        topic_data: vec![TopicProduceData {
            name: topic.to_owned(),
            partition_data: vec![PartitionProduceData {
                index: 0,
                records: Some(batch.build().unwrap().into()),
            }],
            ..TopicProduceData::default()
        }],
    }
}

fn fetch_request(topic: &str, from: i64) -> FetchRequest {
    FetchRequest {
        replica_id: -1,
        max_wait_ms: 0,
        min_bytes: 0,
        max_bytes: 8 << 20,
        session_epoch: -1,
        topics: vec![FetchTopic {
            topic: topic.to_owned(),
            partitions: vec![FetchPartition {
                partition: 0,
                fetch_offset: from,
                current_leader_epoch: -1,
                last_fetched_epoch: -1,
                partition_max_bytes: 8 << 20,
                ..FetchPartition::default()
            }],
            ..FetchTopic::default()
        }],
        ..FetchRequest::default()
    }
}
