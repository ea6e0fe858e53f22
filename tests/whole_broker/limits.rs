//! What one request may cost: names that repeat, topics made by the thousand, batches that lie.

use bytes::Bytes;

use klar::ids::TopicId;
use klar::inspect::EventKind;
use klar::wire::messages::metadata::{
    MetadataRequest, MetadataRequestTopic, MetadataResponse, MetadataResponseTopic,
};
use klar::wire::messages::produce::{PartitionProduceData, ProduceResponse};
use klar::wire::records::{BatchBuilder, BatchHeader, Codec};

use crate::rig::{Rig, ask, batch, produce_request};

fn metadata(rig: &mut Rig, topics: Vec<MetadataRequestTopic>) -> Vec<MetadataResponseTopic> {
    let connection = rig.connect();
    let request = MetadataRequest {
        topics: Some(topics),
        allow_auto_topic_creation: true,
        ..MetadataRequest::default()
    };
    ask!(rig, connection, Metadata, 12, request, MetadataResponse).topics
}

fn named(name: impl Into<String>) -> MetadataRequestTopic {
    MetadataRequestTopic {
        name: Some(name.into()),
        ..MetadataRequestTopic::default()
    }
}

fn by_id(id: TopicId, name: Option<String>) -> MetadataRequestTopic {
    MetadataRequestTopic { topic_id: id, name }
}

#[test]
fn a_topic_is_told_once_whatever_names_stand_beside_its_id() {
    let mut rig = Rig::new();
    let id = rig.create("t", 50, &[]);
    let mut topics: Vec<_> = (0..400).map(|n| by_id(id, Some(format!("n{n}")))).collect();
    topics.extend([by_id(id, None), named("t"), by_id(TopicId([9; 16]), None)]);
    let told = metadata(&mut rig, topics);
    assert_eq!(told.len(), 2);
    assert_eq!((told[0].topic_id, told[0].partitions.len()), (id, 50));
    assert_eq!(told[1].error_code, 100);
}

#[test]
fn one_request_makes_few_topics_and_is_told_to_ask_again_for_the_others() {
    let mut rig = Rig::new();
    let names: Vec<String> = (0..300).map(|n| format!("a_{n}")).collect();
    let mut rounds = 0;
    loop {
        let told = metadata(&mut rig, names.iter().map(named).collect());
        rounds += 1;
        let later = told.iter().filter(|topic| topic.error_code == 5).count();
        assert!(told.iter().all(|topic| [0, 5].contains(&topic.error_code)));
        if later == 0 {
            break;
        }
    }
    assert_eq!(rounds, 3, "128 topics a request");
}

#[test]
fn topics_are_no_longer_made_by_themselves_in_a_full_cluster_and_it_says_so_once() {
    let mut rig = Rig::new();
    for n in 0..10_000 / 100 {
        let topics: Vec<_> = (0..100).map(|m| named(format!("t-{n}-{m}"))).collect();
        assert!(metadata(&mut rig, topics).iter().all(|t| t.error_code == 0));
    }
    rig.events.clear();
    for _ in 0..2 {
        assert_eq!(metadata(&mut rig, vec![named("more")])[0].error_code, 3);
    }
    let told = rig.events.iter();
    let told = told.filter(|event| matches!(event, EventKind::LimitReached { .. }));
    assert_eq!(told.count(), 1);
    // Made on purpose, it is there.
    rig.create("wanted", 1, &[]);
}

#[test]
fn a_client_of_an_ipv6_socket_that_came_over_ipv4_is_sent_back_over_ipv4() {
    let mut rig = Rig::new();
    for (local, host) in [
        ("[::ffff:127.0.0.1]:9092", "127.0.0.1"),
        ("[::1]:9092", "::1"),
    ] {
        let connection = rig.connect_to(local);
        let request = MetadataRequest::default();
        let response = ask!(rig, connection, Metadata, 12, request, MetadataResponse);
        assert_eq!(response.brokers[0].host, host);
    }
}

#[test]
fn a_partition_named_in_two_topic_entries_is_produced_to_once() {
    let mut rig = Rig::new();
    rig.create("t", 1, &[]);
    let connection = rig.connect();
    let mut request = produce_request("t", 0, Some(batch(rig.now, &["first"])), -1);
    let last = produce_request("t", 0, Some(batch(rig.now, &["last"])), -1);
    request.topic_data.extend(last.topic_data);
    let response = ask!(rig, connection, Produce, 9, request, ProduceResponse);
    assert_eq!(response.responses.len(), 1);
    assert_eq!(rig.fetch("t", 0, 0).1, [(0, "last".to_owned())]);
}

#[test]
fn a_request_unpacks_only_so_much_for_compacted_topics() {
    let mut rig = Rig::new();
    rig.create("t", 5, &[("cleanup.policy", "compact")]);
    let zeros = vec![0; 60_000];
    let mut bomb = BatchBuilder::new().codec(Codec::Gzip);
    for _ in 0..200 {
        bomb.push(rig.now.as_ms(), Some(b"k"), Some(&zeros), &[]);
    }
    let bomb = Bytes::from(bomb.build().unwrap());
    let mut request = produce_request("t", 0, None, -1);
    request.topic_data[0].partition_data = (0..5)
        .map(|index| PartitionProduceData {
            index,
            records: Some(bomb.clone()),
        })
        .collect();
    let connection = rig.connect();
    let response = ask!(rig, connection, Produce, 9, request, ProduceResponse);
    let codes = response.responses[0].partition_responses.iter();
    let codes: Vec<i16> = codes.map(|partition| partition.error_code).collect();
    assert_eq!(codes, [0, 0, 10, 10, 10], "12 MB each, 32 MiB in all");
}

#[test]
fn refusals_name_a_hundred_records_per_request_and_repeat_no_sentence() {
    let mut rig = Rig::new();
    rig.create("t", 3, &[("cleanup.policy", "compact")]);
    let keyless = batch(rig.now, &["v"; 80]);
    let mut request = produce_request("t", 0, None, -1);
    request.topic_data[0].partition_data = (0..3)
        .map(|index| PartitionProduceData {
            index,
            records: Some(keyless.clone()),
        })
        .collect();
    let connection = rig.connect();
    let response = ask!(rig, connection, Produce, 9, request, ProduceResponse);
    let refused = &response.responses[0].partition_responses;
    let named = refused
        .iter()
        .map(|partition| partition.record_errors.len());
    assert_eq!(named.collect::<Vec<_>>(), [80, 20, 0]);
    for partition in refused {
        assert_eq!(partition.error_code, 87);
        assert!(partition.error_message.is_some());
        let messages = partition.record_errors.iter();
        assert!(
            messages
                .map(|e| &e.batch_index_error_message)
                .all(Option::is_none)
        );
    }
}

/// Anything the broker appends must let later readers decide by the header what the records are.
#[test]
fn compressed_batches_that_cannot_hold_what_they_claim_are_refused() {
    let mut rig = Rig::new();
    rig.create("t", 1, &[]);
    let connection = rig.connect();
    let mut honest = BatchBuilder::new().codec(Codec::Gzip);
    honest.push(rig.now.as_ms(), None, Some(b"v"), &[]);
    let honest = honest.build().unwrap();
    let forge = |count: i32, body: &[u8]| {
        let mut header = BatchHeader::parse(&honest).unwrap();
        (header.record_count, header.last_offset_delta) = (count, count - 1);
        header.length = i32::try_from(BatchHeader::BYTES - 12 + body.len()).unwrap();
        let head = header.to_bytes();
        let covered = crc32c::crc32c(&head[BatchHeader::CRC_COVERS_FROM..]);
        header.crc = crc32c::crc32c_append(covered, body);
        Bytes::from([&header.to_bytes()[..], body].concat())
    };
    let body = &honest[BatchHeader::BYTES..];
    assert_eq!(
        rig.produce_bytes(connection, "t", 0, forge(1, body)),
        (0, 0)
    );
    for (count, body, code) in [
        (3, &b"notgzip"[..], 2),
        (i32::MAX, b"g", 2),
        (i32::MAX, body, 87),
    ] {
        assert_eq!(
            rig.produce_bytes(connection, "t", 0, forge(count, body)).0,
            code
        );
    }
    assert_eq!(rig.produce("t", 0, &["next"]), (0, 1));
}
