//! Hostile requests: numbers no client would send, names twice, lengths that lie. Nothing panics, nothing is
//! lost, and an answer or a closed connection is what comes of each.

use bytes::Bytes;

use klar::inspect::{Durability, Focus};
use klar::wire::messages::fetch::FetchResponse;
use klar::wire::messages::list_offsets::{
    ListOffsetsPartition, ListOffsetsRequest, ListOffsetsResponse, ListOffsetsTopic,
};
use klar::wire::messages::produce::{PartitionProduceData, ProduceResponse};
use klar::wire::{ApiKey, apis::APIS};

use crate::rig::{Outcome, Rig, ask, batch, fetch_request, produce_request};

#[test]
fn a_partition_named_twice_is_produced_to_once_and_fetched_once() {
    let mut rig = Rig::new();
    rig.create("t", 1, &[]);
    let connection = rig.connect();
    let mut request = produce_request("t", 0, Some(batch(rig.now, &["first"])), -1);
    request.topic_data[0]
        .partition_data
        .push(PartitionProduceData {
            index: 0,
            records: Some(batch(rig.now, &["last"])),
        });
    let response = ask!(rig, connection, Produce, 9, request, ProduceResponse);
    assert_eq!(response.responses[0].partition_responses.len(), 1);
    assert_eq!(rig.fetch("t", 0, 0).1, [(0, "last".to_owned())]);
    let mut request = fetch_request("t", 0, 0);
    let again = request.topics[0].partitions[0].clone();
    request.topics[0].partitions.push(again);
    let response = ask!(rig, connection, Fetch, 12, request, FetchResponse);
    assert_eq!(response.responses[0].partitions.len(), 1);
    let twice = ListOffsetsPartition {
        timestamp: -1,
        ..ListOffsetsPartition::default()
    };
    let request = ListOffsetsRequest {
        topics: vec![ListOffsetsTopic {
            name: "t".to_owned(),
            partitions: vec![twice.clone(), twice],
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
    assert!(
        response.topics[0]
            .partitions
            .iter()
            .all(|p| p.error_code == 42)
    );
}

#[test]
fn offsets_partitions_and_epochs_at_the_ends_of_their_ranges() {
    let mut rig = Rig::new();
    rig.create("t", 1, &[]);
    rig.produce("t", 0, &["a"]);
    let connection = rig.connect();
    for (partition, offset, epoch, last, code) in [
        (0, i64::MAX, -1, -1, 1),
        (0, i64::MIN, -1, -1, 1),
        (0, -1, -1, -1, 1),
        (0, 2, -1, -1, 1),
        (0, 1, -1, -1, 0),
        (i32::MAX, 0, -1, -1, 3),
        (i32::MIN, 0, -1, -1, 3),
        (0, 0, i32::MAX, -1, 75),
        (0, 0, i32::MIN, -1, 0),
        (0, 0, 0, i32::MAX, 1),
    ] {
        let mut request = fetch_request("t", partition, offset);
        let wanted = &mut request.topics[0].partitions[0];
        (wanted.current_leader_epoch, wanted.last_fetched_epoch) = (epoch, last);
        let response = ask!(rig, connection, Fetch, 12, request, FetchResponse);
        let got = &response.responses[0].partitions[0];
        assert_eq!(got.error_code, code, "{partition} {offset} {epoch} {last}");
    }
}

#[test]
fn timestamps_too_far_from_now_are_refused() {
    let mut rig = Rig::new();
    rig.create("t", 1, &[("message.timestamp.before.max.ms", "1000")]);
    let connection = rig.connect();
    for (shift_ms, code) in [
        (0, 0),
        (-900, 0),
        (-2_000, 32),
        (3_500_000, 0),
        (3_700_000, 32),
    ] {
        let records = batch(rig.now.plus_ms(shift_ms), &["a"]);
        assert_eq!(
            rig.produce_bytes(connection, "t", 0, records).0,
            code,
            "{shift_ms}"
        );
    }
}

/// Every API, every version: garbage of every length, and an empty body.
#[test]
fn garbage_in_every_api_is_answered_or_closed() {
    let mut rig = Rig::new();
    rig.create("t", 1, &[]);
    let mut seed: u32 = 1;
    let mut byte = || {
        seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (seed >> 24) as u8
    };
    for api in APIS {
        for version in api.min..=api.max {
            for len in [0, 1, 7, 40, 300] {
                let body: Vec<u8> = (0..len).map(|_| byte()).collect();
                let connection = rig.connect();
                let mut frame = rig.frame(api.key, version, |_| ()).to_vec();
                frame.extend_from_slice(&body);
                rig.send_frame(connection, Bytes::from(frame));
                rig.broker.on_disconnected(rig.now, connection);
                rig.settle();
            }
        }
    }
    assert_eq!(rig.produce("t", 0, &["still here"]).0, 0);
}

/// A good request of each hot API, cut at every byte and with every bit flipped.
#[test]
fn cut_and_flipped_requests_do_no_harm() {
    let mut rig = Rig::new();
    rig.create("t", 1, &[]);
    let produce = produce_request("t", 0, Some(batch(rig.now, &["a"])), -1);
    let fetch = fetch_request("t", 0, 0);
    let frames = [
        rig.frame(ApiKey::Produce, 9, |w| produce.encode(w, 9).unwrap()),
        rig.frame(ApiKey::Fetch, 12, |w| fetch.encode(w, 12).unwrap()),
    ];
    for frame in frames {
        for cut in 0..frame.len() {
            let connection = rig.connect();
            rig.send_frame(connection, frame.slice(..cut));
            assert!(matches!(
                rig.outcome(connection),
                Some(Outcome::Closed(_) | Outcome::Reply(_))
            ));
        }
        for bit in 0..frame.len() * 8 {
            let mut flipped = frame.to_vec();
            flipped[bit / 8] ^= 1 << (bit % 8);
            let connection = rig.connect();
            rig.send_frame(connection, Bytes::from(flipped));
            rig.broker.on_disconnected(rig.now, connection);
            rig.settle();
        }
    }
    rig.broker.picture(rig.now, &Focus::default());
}

#[test]
fn connections_beyond_the_limit_are_closed_at_once() {
    let mut rig = Rig::with(Durability::Os, &[("max.connections", "2")]);
    let first = rig.connect();
    rig.connect();
    let third = rig.connect();
    assert!(rig.closed(third).contains("max.connections"));
    rig.broker.on_disconnected(rig.now, first);
    rig.settle();
    let fourth = rig.connect();
    assert!(rig.outcome(fourth).is_none());
}

#[test]
fn a_silent_connection_is_closed_after_its_time() {
    let mut rig = Rig::with(Durability::Os, &[("connections.max.idle.ms", "60000")]);
    let connection = rig.connect();
    rig.pass_ms(59_000);
    assert!(rig.outcome(connection).is_none());
    rig.pass_ms(12_000);
    rig.closed(connection);
}
