//! The traps of the protocol notes, each seen to break a real client, by their numbers.

use bytes::Bytes;

use klar::ids::TopicId;
use klar::wire::messages::api_versions::{ApiVersionsRequest, ApiVersionsResponse};
use klar::wire::messages::fetch::{FetchResponse, ForgottenTopic};
use klar::wire::messages::metadata::{MetadataRequest, MetadataRequestTopic, MetadataResponse};
use klar::wire::messages::produce::ProduceResponse;
use klar::wire::records::{BatchBuilder, BatchView};
use klar::wire::{ApiKey, Reader, Writer};

use crate::rig::{Outcome, Rig, ask, batch, fetch_request, produce_request};

/// A request with any key and version, with a header as old clients write it.
fn raw_frame(key: i16, version: i16, body: &[u8]) -> Bytes {
    let mut frame = Vec::new();
    frame.extend_from_slice(&key.to_be_bytes());
    frame.extend_from_slice(&version.to_be_bytes());
    frame.extend_from_slice(&77i32.to_be_bytes());
    frame.extend_from_slice(&(-1i16).to_be_bytes());
    frame.extend_from_slice(body);
    frame.into()
}

#[test]
fn trap_01_an_unknown_version_of_api_versions_is_answered_in_version_0() {
    let mut rig = Rig::new();
    let connection = rig.connect();
    rig.send_frame(connection, raw_frame(18, 99, &[0, 2, b'a', 2, b'1', 0]));
    let Some(Outcome::Reply(frame)) = rig.outcome(connection) else {
        panic!("it is answered");
    };
    let mut reader = Reader::new(frame);
    assert_eq!(
        reader.i32().unwrap(),
        77,
        "a header of version 0: correlation id, no tags"
    );
    let response = ApiVersionsResponse::decode(&mut reader, 0).unwrap();
    assert_eq!(response.error_code, 35);
    assert!(!response.api_keys.is_empty());
    assert_eq!(reader.remaining(), 0);
}

#[test]
fn trap_01_other_unknown_keys_and_versions_close_the_connection() {
    let mut rig = Rig::new();
    for (key, version) in [
        (999, 0),
        (-1, 0),
        (1, 3),
        (1, 19),
        (0, 2),
        (3, -1),
        (24, 5),
        (4, 0),
    ] {
        let connection = rig.connect();
        rig.send_frame(connection, raw_frame(key, version, &[0; 64]));
        rig.closed(connection);
    }
}

#[test]
fn trap_02_ranges_are_advertised_as_old_clients_need_them() {
    let mut rig = Rig::new();
    let connection = rig.connect();
    for version in 0..=4 {
        let request = ApiVersionsRequest {
            client_software_name: "kcat".to_owned(),
            client_software_version: "1.7.1".to_owned(),
        };
        let request = if version < 3 {
            ApiVersionsRequest::default()
        } else {
            request
        };
        let response = ask!(
            rig,
            connection,
            ApiVersions,
            version,
            request,
            ApiVersionsResponse
        );
        let range = |key: i16| {
            let found = response.api_keys.iter().find(|api| api.api_key == key);
            found.map(|api| (api.min_version, api.max_version))
        };
        assert_eq!(range(0), Some((0, 13)), "Produce");
        assert_eq!(range(1), Some((4, 18)), "Fetch");
        assert_eq!(range(22), Some((0, 5)), "InitProducerId: 6 is not stable");
        assert_eq!(range(23), Some((2, 4)), "OffsetForLeaderEpoch");
        assert_eq!(range(11), Some((0, 9)), "JoinGroup");
        assert_eq!(
            range(24),
            None,
            "AddPartitionsToTxn is not answered, so not advertised"
        );
        let advertised: Vec<i16> = response.api_keys.iter().map(|api| api.api_key).collect();
        assert_eq!(
            advertised,
            [
                0, 1, 2, 3, 8, 9, 10, 11, 12, 13, 14, 15, 16, 18, 19, 20, 21, 22, 23, 32, 33, 37,
                42, 44, 47, 60, 68, 69, 75
            ]
        );
    }
}

#[test]
fn trap_03_acks_0_gets_no_bytes_and_loses_its_connection_on_an_error() {
    let mut rig = Rig::new();
    rig.create("t", 1, &[]);
    let connection = rig.connect();
    let records = batch(rig.now, &["a"]);
    let send = |rig: &mut Rig, topic: &str, acks: i16| {
        let request = produce_request(topic, 0, Some(records.clone()), acks);
        rig.send(connection, ApiKey::Produce, 9, |w| {
            request.encode(w, 9).unwrap()
        });
        rig.outcome(connection)
    };
    assert!(matches!(send(&mut rig, "t", 0), Some(Outcome::Silent)));
    assert!(matches!(send(&mut rig, "t", 1), Some(Outcome::Reply(_))));
    assert!(matches!(
        send(&mut rig, "unknown", 0),
        Some(Outcome::Closed(_))
    ));
    assert_eq!(rig.fetch("t", 0, 0).1.len(), 2);
}

#[test]
fn trap_03_other_acks_are_invalid_required_acks() {
    let mut rig = Rig::new();
    rig.create("t", 1, &[]);
    let connection = rig.connect();
    for acks in [7, 2, -2, i16::MIN] {
        let request = produce_request("t", 0, Some(batch(rig.now, &["a"])), acks);
        let response = ask!(rig, connection, Produce, 9, request, ProduceResponse);
        assert_eq!(response.responses[0].partition_responses[0].error_code, 21);
    }
    assert_eq!(rig.fetch("t", 0, 0).1.len(), 0);
}

fn metadata(rig: &mut Rig, name: &str, auto: bool) -> (i16, TopicId) {
    let connection = rig.connect();
    let request = MetadataRequest {
        topics: Some(vec![MetadataRequestTopic {
            name: Some(name.to_owned()),
            ..MetadataRequestTopic::default()
        }]),
        allow_auto_topic_creation: auto,
        ..MetadataRequest::default()
    };
    let response = ask!(rig, connection, Metadata, 12, request, MetadataResponse);
    (response.topics[0].error_code, response.topics[0].topic_id)
}

#[test]
fn trap_04_metadata_makes_topics_and_produce_does_not() {
    let mut rig = Rig::with(klar::inspect::Durability::Os, &[("num.partitions", "4")]);
    assert_eq!(rig.produce("t", 0, &["a"]).0, 3);
    assert_eq!(metadata(&mut rig, "t", false).0, 3);
    assert_eq!(metadata(&mut rig, "not/legal", true).0, 17);
    let (error, id) = metadata(&mut rig, "t", true);
    assert_eq!(error, 0);
    assert_ne!(id, TopicId::ZERO);
    assert_eq!(rig.produce("t", 3, &["a"]), (0, 0));
    assert_eq!(rig.produce("t", 4, &["a"]).0, 3);
    let mut rig = Rig::with(
        klar::inspect::Durability::Os,
        &[("auto.create.topics.enable", "false")],
    );
    assert_eq!(metadata(&mut rig, "t", true).0, 3);
}

#[test]
fn trap_04_a_topic_made_again_has_a_new_id_and_the_old_one_fails() {
    use klar::wire::messages::delete_topics::{
        DeleteTopicState, DeleteTopicsRequest, DeleteTopicsResponse,
    };
    let mut rig = Rig::new();
    let old = rig.create("t", 1, &[]);
    rig.produce("t", 0, &["old"]);
    let connection = rig.connect();
    let by_id = |topic_id| {
        let mut request = fetch_request("", 0, 0);
        request.topics[0].topic_id = topic_id;
        request
    };
    let mut begin = by_id(old);
    begin.session_epoch = 0;
    let session = ask!(rig, connection, Fetch, 15, begin, FetchResponse).session_id;
    assert!(session > 0);
    let request = DeleteTopicsRequest {
        topics: vec![DeleteTopicState {
            topic_id: old,
            ..DeleteTopicState::default()
        }],
        ..DeleteTopicsRequest::default()
    };
    let response = ask!(
        rig,
        connection,
        DeleteTopics,
        6,
        request,
        DeleteTopicsResponse
    );
    assert_eq!(response.responses[0].error_code, 0);
    assert_eq!(response.responses[0].name.as_deref(), Some("t"));
    let new = rig.create("t", 1, &[]);
    assert_ne!(old, new);
    let response = ask!(rig, connection, Fetch, 15, by_id(old), FetchResponse);
    assert_eq!(response.responses[0].partitions[0].error_code, 100);
    let response = ask!(rig, connection, Fetch, 15, by_id(new), FetchResponse);
    assert_eq!(response.responses[0].partitions[0].error_code, 0);
    assert!(
        response.responses[0].partitions[0]
            .records
            .as_ref()
            .unwrap()
            .is_empty()
    );
    let mut next = fetch_request("", 0, 0);
    next.topics.clear();
    (next.session_id, next.session_epoch) = (session, 1);
    let response = ask!(rig, connection, Fetch, 15, next, FetchResponse);
    assert_eq!(response.responses[0].partitions[0].error_code, 100);
    next.session_epoch = 2;
    let response = ask!(rig, connection, Fetch, 12, next, FetchResponse);
    assert_eq!(response.error_code, 106, "names in a session of ids");
    let mut request = produce_request("", 0, Some(batch(rig.now, &["x"])), -1);
    request.topic_data[0].topic_id = old;
    let response = ask!(rig, connection, Produce, 13, request, ProduceResponse);
    assert_eq!(response.responses[0].partition_responses[0].error_code, 100);
    request.topic_data[0].topic_id = new;
    let response = ask!(rig, connection, Produce, 13, request, ProduceResponse);
    assert_eq!(response.responses[0].partition_responses[0].error_code, 0);
}

#[test]
fn trap_05_whole_batches_from_the_one_that_holds_the_offset() {
    let mut rig = Rig::new();
    rig.create("t", 2, &[]);
    rig.produce("t", 0, &["a", "b", "c"]);
    rig.produce("t", 0, &["d", "e"]);
    rig.produce("t", 1, &["f"]);
    let offsets =
        |found: (i16, Vec<(i64, String)>)| found.1.iter().map(|r| r.0).collect::<Vec<_>>();
    assert_eq!(offsets(rig.fetch("t", 0, 1)), [0, 1, 2, 3, 4]);
    assert_eq!(offsets(rig.fetch("t", 0, 4)), [3, 4]);
    let connection = rig.connect();
    for tiny in [0, 1, -1, i32::MIN] {
        let mut request = fetch_request("t", 0, 0);
        let mut other = request.topics[0].partitions[0].clone();
        (other.partition, other.partition_max_bytes) = (1, tiny);
        request.topics[0].partitions[0].partition_max_bytes = tiny;
        request.topics[0].partitions.push(other);
        request.max_bytes = tiny;
        let response = ask!(rig, connection, Fetch, 12, request, FetchResponse);
        let of = |n: usize| {
            response.responses[0].partitions[n]
                .records
                .clone()
                .unwrap()
                .joined()
        };
        let first: Vec<i64> = crate::rig::values(&of(0)).iter().map(|r| r.0).collect();
        assert_eq!(
            first,
            [0, 1, 2],
            "the first batch even when larger than the limits"
        );
        assert!(of(1).is_empty(), "and then no other");
    }
}

#[test]
fn trap_05_fetch_sessions_by_epoch() {
    let mut rig = Rig::new();
    rig.create("t", 2, &[]);
    let connection = rig.connect();
    let mut request = fetch_request("t", 0, 0);
    request.session_epoch = 0;
    let mut other = request.topics[0].partitions[0].clone();
    other.partition = 1;
    request.topics[0].partitions.push(other);
    let full = ask!(rig, connection, Fetch, 11, request, FetchResponse);
    assert_eq!(
        full.responses[0].partitions.len(),
        2,
        "a full answer names everything"
    );
    let mut next = fetch_request("t", 0, 0);
    next.topics.clear();
    next.session_id = full.session_id;
    next.session_epoch = 1;
    let response = ask!(rig, connection, Fetch, 11, next, FetchResponse);
    assert_eq!(
        (response.error_code, response.session_id),
        (0, full.session_id)
    );
    assert!(response.responses.is_empty(), "nothing changed");
    rig.produce("t", 1, &["a"]);
    next.session_epoch = 2;
    let response = ask!(rig, connection, Fetch, 11, next, FetchResponse);
    assert_eq!(response.responses[0].partitions.len(), 1);
    assert_eq!(response.responses[0].partitions[0].partition_index, 1);
    let again = ask!(rig, connection, Fetch, 11, next, FetchResponse);
    assert_eq!(again.error_code, 71);
    next.session_id += 1;
    next.session_epoch = 3;
    let unknown = ask!(rig, connection, Fetch, 11, next, FetchResponse);
    assert_eq!(unknown.error_code, 70);
    next.session_id = full.session_id;
    next.forgotten_topics_data = vec![ForgottenTopic {
        topic: "t".to_owned(),
        partitions: vec![1],
        ..ForgottenTopic::default()
    }];
    let response = ask!(rig, connection, Fetch, 11, next, FetchResponse);
    assert!(
        response.responses.is_empty(),
        "the partition with records was forgotten"
    );
}

#[test]
fn trap_11_offset_and_epoch_are_written_in_and_the_crc_still_holds() {
    let mut rig = Rig::new();
    rig.create("t", 1, &[]);
    rig.produce("t", 0, &["a"]);
    rig.produce("t", 0, &["b", "c"]);
    // The rig's reader checks CRC-32C and leader epoch of every batch.
    assert_eq!(
        rig.fetch("t", 0, 1).1,
        [(1, "b".to_owned()), (2, "c".to_owned())]
    );
}

#[test]
fn trap_11_log_append_time_rewrites_timestamps_and_crc() {
    let mut rig = Rig::new();
    rig.create("t", 1, &[("message.timestamp.type", "LogAppendTime")]);
    let connection = rig.connect();
    let records = batch(rig.now.plus_ms(-99_000), &["a"]);
    let request = produce_request("t", 0, Some(records), 1);
    let response = ask!(rig, connection, Produce, 9, request, ProduceResponse);
    let partition = &response.responses[0].partition_responses[0];
    assert_eq!(partition.log_append_time_ms, rig.now.as_ms());
    let response = ask!(
        rig,
        connection,
        Fetch,
        12,
        fetch_request("t", 0, 0),
        FetchResponse
    );
    let records = response.responses[0].partitions[0]
        .records
        .clone()
        .unwrap()
        .joined();
    let batch = BatchView::first(&records).unwrap();
    assert!(batch.crc_ok() && batch.header().is_log_append_time());
    assert_eq!(batch.header().max_timestamp_ms, rig.now.as_ms());
}

#[test]
fn trap_11_magic_0_and_1_and_broken_batches_are_refused() {
    let mut rig = Rig::new();
    rig.create("t", 1, &[]);
    let connection = rig.connect();
    let good = batch(rig.now, &["a"]);
    let broken = |at: usize, byte: u8| {
        let mut bytes = good.to_vec();
        bytes[at] = byte;
        Bytes::from(bytes)
    };
    let last = good.len() - 1;
    for (records, code) in [
        (broken(16, 0), 87),
        (broken(16, 1), 87),
        (broken(last, good[last] ^ 1), 2),
        (broken(11, good[11] - 1), 87),
        (good.slice(..last), 2),
        (good.slice(..10), 2),
        (Bytes::new(), 87),
        ([good.clone(), good.clone()].concat().into(), 87),
    ] {
        let (error, _) = rig.produce_bytes(connection, "t", 0, records);
        assert_eq!(error, code);
    }
    let request = produce_request("t", 0, None, -1);
    let response = ask!(rig, connection, Produce, 9, request, ProduceResponse);
    assert_eq!(response.responses[0].partition_responses[0].error_code, 87);
    assert_eq!(rig.fetch("t", 0, 0).1.len(), 0);
}

#[test]
fn trap_12_a_keyless_record_on_a_compacted_topic_refuses_the_whole_batch() {
    let mut rig = Rig::new();
    rig.create("t", 1, &[("cleanup.policy", "compact")]);
    let connection = rig.connect();
    let mut builder = BatchBuilder::new();
    let time = rig.now.as_ms();
    builder.push(time, Some(b"k"), Some(b"v"), &[]);
    builder.push(time, None, Some(b"v"), &[]);
    let records = builder.build().unwrap().into();
    let request = produce_request("t", 0, Some(records), -1);
    let response = ask!(rig, connection, Produce, 9, request, ProduceResponse);
    let partition = &response.responses[0].partition_responses[0];
    assert_eq!(partition.error_code, 87);
    let named: Vec<i32> = partition
        .record_errors
        .iter()
        .map(|e| e.batch_index)
        .collect();
    assert_eq!(named, [1]);
    assert_eq!(rig.fetch("t", 0, 0).1.len(), 0);
}

#[test]
fn trap_13_the_address_told_is_the_one_the_client_connected_to() {
    let mut rig = Rig::new();
    for (local, host, port) in [
        ("127.0.0.1:9092", "127.0.0.1", 9092),
        ("[::1]:9093", "::1", 9093),
        ("192.0.2.7:1234", "192.0.2.7", 1234),
    ] {
        let connection = rig.connect_to(local);
        let request = MetadataRequest::default();
        let response = ask!(rig, connection, Metadata, 1, request, MetadataResponse);
        assert_eq!(
            (response.brokers[0].host.as_str(), response.brokers[0].port),
            (host, port)
        );
    }
}

#[test]
fn trap_13_a_batch_over_max_message_bytes_is_error_10() {
    let mut rig = Rig::new();
    rig.create("t", 1, &[("max.message.bytes", "200")]);
    assert_eq!(rig.produce("t", 0, &["small"]).0, 0);
    assert_eq!(rig.produce("t", 0, &[&"x".repeat(200)]).0, 10);
    assert_eq!(rig.broker.request_max_bytes(), 104_857_600);
}

#[test]
fn trap_14_nothing_is_throttled_and_telemetry_is_not_advertised() {
    let mut rig = Rig::new();
    rig.create("t", 1, &[]);
    let connection = rig.connect();
    let request = produce_request("t", 0, Some(batch(rig.now, &["a"])), 1);
    let response = ask!(rig, connection, Produce, 9, request, ProduceResponse);
    assert_eq!(response.throttle_time_ms, 0);
    let mut writer = Writer::new();
    writer.i16(71);
    for telemetry in [71, 72] {
        let connection = rig.connect();
        rig.send_frame(connection, raw_frame(telemetry, 0, &[0; 40]));
        rig.closed(connection);
    }
}
