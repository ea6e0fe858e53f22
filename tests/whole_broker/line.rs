//! The thin line through the broker: connect, create, produce, fetch, list offsets, restart.

use klar::ids::ConnectionId;
use klar::inspect::EventKind;
use klar::wire::messages::api_versions::{ApiVersionsRequest, ApiVersionsResponse};
use klar::wire::messages::init_producer_id::{InitProducerIdRequest, InitProducerIdResponse};
use klar::wire::messages::list_offsets::{
    ListOffsetsPartition, ListOffsetsRequest, ListOffsetsResponse, ListOffsetsTopic,
};
use klar::wire::messages::metadata::{MetadataRequest, MetadataRequestTopic, MetadataResponse};

use crate::rig::{Rig, ask, idempotent};

#[test]
fn a_client_connects_creates_produces_and_reads_back() {
    let mut rig = Rig::new();
    let connection = rig.connect();
    let request = ApiVersionsRequest {
        client_software_name: "librdkafka".to_owned(),
        client_software_version: "2.3.0".to_owned(),
    };
    let versions = ask!(
        rig,
        connection,
        ApiVersions,
        3,
        request,
        ApiVersionsResponse
    );
    assert!(versions.api_keys.iter().any(|api| api.api_key == 0));
    let id = rig.create("orders", 3, &[]);
    let all = MetadataRequest {
        topics: None,
        ..MetadataRequest::default()
    };
    let metadata = ask!(rig, connection, Metadata, 12, all, MetadataResponse);
    assert_eq!(metadata.topics[0].topic_id, id);
    assert_eq!(metadata.topics[0].partitions.len(), 3);
    assert_eq!(metadata.brokers[0].host, "127.0.0.1");
    assert_eq!(rig.produce("orders", 1, &["a", "b"]), (0, 0));
    assert_eq!(rig.produce("orders", 1, &["c"]), (0, 2));
    let all: Vec<(i64, String)> = [(0, "a"), (1, "b"), (2, "c")]
        .map(|(o, v)| (o, v.to_owned()))
        .into();
    assert_eq!(rig.fetch("orders", 1, 0), (0, all.clone()));
    assert_eq!(rig.fetch("orders", 1, 3), (0, vec![]));
    assert_eq!(rig.fetch("orders", 0, 0), (0, vec![]));
}

#[test]
fn everything_is_there_after_a_clean_stop_and_after_a_kill() {
    for clean in [true, false] {
        let mut rig = Rig::new();
        let id = rig.create("orders", 2, &[("retention.ms", "-1")]);
        rig.produce("orders", 0, &["a", "b"]);
        rig.pass_ms(2_000);
        rig.produce("orders", 0, &["c"]);
        let mut rig = rig.restart(clean);
        let (error, records) = rig.fetch("orders", 0, 0);
        assert_eq!((error, records.len()), (0, 3));
        assert_eq!(rig.produce("orders", 0, &["d"]), (0, 3));
        let started = |event: &EventKind| matches!(event, EventKind::BrokerStarted { clean: c, .. } if *c == clean);
        assert!(rig.events.iter().any(started), "{:?}", rig.events);
        let connection = rig.connect();
        let request = MetadataRequest {
            topics: Some(vec![MetadataRequestTopic {
                name: Some("orders".to_owned()),
                ..MetadataRequestTopic::default()
            }]),
            ..MetadataRequest::default()
        };
        let metadata = ask!(rig, connection, Metadata, 12, request, MetadataResponse);
        assert_eq!(metadata.topics[0].topic_id, id);
    }
}

#[test]
fn offsets_are_listed_by_name_and_by_time() {
    let mut rig = Rig::new();
    rig.create("t", 1, &[]);
    let first = rig.now.as_ms();
    rig.produce("t", 0, &["a"]);
    rig.pass_ms(10);
    rig.produce("t", 0, &["b"]);
    let connection = rig.connect();
    let mut list = |timestamp| {
        let request = ListOffsetsRequest {
            replica_id: -1,
            topics: vec![ListOffsetsTopic {
                name: "t".to_owned(),
                partitions: vec![ListOffsetsPartition {
                    timestamp,
                    ..ListOffsetsPartition::default()
                }],
            }],
            ..ListOffsetsRequest::default()
        };
        let response = ask!(
            rig,
            connection,
            ListOffsets,
            8,
            request,
            ListOffsetsResponse
        );
        let found = &response.topics[0].partitions[0];
        (found.error_code, found.offset, found.timestamp)
    };
    assert_eq!(list(-1), (0, 2, -1));
    assert_eq!(list(-2), (0, 0, -1));
    assert_eq!(list(-3), (0, 1, first + 10));
    assert_eq!(list(first), (0, 0, first));
    assert_eq!(list(first + 1), (0, 1, first + 10));
    assert_eq!(list(first + 11), (0, -1, -1));
    assert_eq!(list(-5).0, 35);
    assert_eq!(list(i64::MAX), (0, -1, -1));
    assert_eq!(list(i64::MIN).0, 35);
}

/// kcat asks in version 2, which has no leader epoch: putting one into the answer closed its connection.
#[test]
fn offsets_are_listed_in_every_version() {
    let mut rig = Rig::new();
    rig.create("t", 1, &[]);
    rig.produce("t", 0, &["a"]);
    let connection = rig.connect();
    for version in 1..=11 {
        let request = ListOffsetsRequest {
            replica_id: -1,
            topics: vec![ListOffsetsTopic {
                name: "t".to_owned(),
                partitions: vec![ListOffsetsPartition {
                    timestamp: -2,
                    ..ListOffsetsPartition::default()
                }],
            }],
            ..ListOffsetsRequest::default()
        };
        let response = ask!(
            rig,
            connection,
            ListOffsets,
            version,
            request,
            ListOffsetsResponse
        );
        let found = &response.topics[0].partitions[0];
        assert_eq!(
            (found.error_code, found.offset),
            (0, 0),
            "version {version}"
        );
        assert_eq!(found.leader_epoch, if version < 4 { -1 } else { 0 });
    }
}

/// Asks for a producer id, as an idempotent producer begins.
fn ask_for_id(rig: &mut Rig, connection: ConnectionId) -> InitProducerIdResponse {
    let request = InitProducerIdRequest {
        transactional_id: None,
        ..InitProducerIdRequest::default()
    };
    ask!(
        rig,
        connection,
        InitProducerId,
        4,
        request,
        InitProducerIdResponse
    )
}

#[test]
fn a_retried_batch_is_not_appended_again_even_after_a_restart() {
    let mut rig = Rig::new();
    rig.create("t", 1, &[]);
    let connection = rig.connect();
    let fresh = ask_for_id(&mut rig, connection);
    assert_eq!((fresh.error_code, fresh.producer_epoch), (0, 0));
    let id = fresh.producer_id;
    let batch = idempotent(rig.now, id, 0, 0, &["a", "b"]);
    assert_eq!(rig.produce_bytes(connection, "t", 0, batch.clone()), (0, 0));
    assert_eq!(rig.produce_bytes(connection, "t", 0, batch.clone()), (0, 0));
    let gap = idempotent(rig.now, id, 0, 5, &["x"]);
    assert_eq!(rig.produce_bytes(connection, "t", 0, gap).0, 45);
    let mut rig = rig.restart(false);
    let connection = rig.connect();
    assert_eq!(rig.produce_bytes(connection, "t", 0, batch), (0, 0));
    let next = idempotent(rig.now, id, 0, 2, &["c"]);
    assert_eq!(rig.produce_bytes(connection, "t", 0, next), (0, 2));
    let other = ask_for_id(&mut rig, connection);
    assert!(other.producer_id > id, "ids are never given twice");
}

/// A power loss took the record of the block an id came from, and left what was written with it.
#[test]
fn an_id_that_a_log_knows_is_not_given_again() {
    let mut rig = Rig::new();
    rig.create("t", 1, &[]);
    let connection = rig.connect();
    let made_up = i64::MAX - 1;
    for id in [1_234, made_up] {
        let batch = idempotent(rig.now, id, 0, 0, &["a"]);
        assert_eq!(rig.produce_bytes(connection, "t", 0, batch).0, 0);
    }
    let fresh = ask_for_id(&mut rig, connection);
    // Behind the one that may have been given, not behind the one nobody can have been given.
    assert_eq!((fresh.error_code, fresh.producer_id), (0, 1_235));
}
