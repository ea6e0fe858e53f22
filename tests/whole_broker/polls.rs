//! Long polls: a fetch waits for enough bytes, or until its time is over.

use klar::wire::ApiKey;
use klar::wire::messages::fetch::{FetchRequest, FetchResponse};

use crate::rig::{Outcome, Rig, fetch_request, values};

fn poll(rig: &mut Rig, request: &FetchRequest) -> klar::ids::ConnectionId {
    let connection = rig.connect();
    rig.send(connection, ApiKey::Fetch, 12, |w| {
        request.encode(w, 12).unwrap()
    });
    connection
}

fn answer(rig: &mut Rig, connection: klar::ids::ConnectionId) -> FetchResponse {
    let mut reader = rig.body(connection, ApiKey::Fetch, 12);
    FetchResponse::decode(&mut reader, 12).unwrap()
}

fn waiting(from: i64, min_bytes: i32) -> FetchRequest {
    FetchRequest {
        max_wait_ms: 500,
        min_bytes,
        ..fetch_request("t", 0, from)
    }
}

#[test]
fn a_fetch_at_the_end_waits_and_the_next_record_answers_it() {
    let mut rig = Rig::new();
    rig.create("t", 2, &[]);
    let connection = poll(&mut rig, &waiting(0, 1));
    assert!(rig.outcome(connection).is_none());
    rig.produce("t", 1, &["elsewhere"]);
    assert!(rig.outcome(connection).is_none());
    rig.produce("t", 0, &["a"]);
    let response = answer(&mut rig, connection);
    let records = response.responses[0].partitions[0]
        .records
        .clone()
        .unwrap()
        .joined();
    assert_eq!(values(&records), [(0, "a".to_owned())]);
}

#[test]
fn a_fetch_is_answered_empty_when_its_time_is_over() {
    let mut rig = Rig::new();
    rig.create("t", 1, &[]);
    let connection = poll(&mut rig, &waiting(0, 1));
    rig.pass_ms(499);
    assert!(rig.outcome(connection).is_none());
    rig.pass_ms(1);
    let response = answer(&mut rig, connection);
    assert!(
        response.responses[0].partitions[0]
            .records
            .as_ref()
            .unwrap()
            .is_empty()
    );
}

#[test]
fn min_bytes_counts_what_is_there_and_what_comes() {
    let mut rig = Rig::new();
    rig.create("t", 1, &[]);
    rig.produce("t", 0, &["a"]);
    let connection = poll(&mut rig, &waiting(0, 150));
    assert!(
        rig.outcome(connection).is_none(),
        "one batch of about 70 bytes is not enough"
    );
    rig.produce("t", 0, &["b"]);
    assert!(rig.outcome(connection).is_none());
    rig.produce("t", 0, &["c"]);
    let response = answer(&mut rig, connection);
    let records = response.responses[0].partitions[0]
        .records
        .clone()
        .unwrap()
        .joined();
    assert_eq!(values(&records).len(), 3);
}

#[test]
fn hostile_waits_are_answered_at_once() {
    let mut rig = Rig::new();
    rig.create("t", 1, &[]);
    for (max_wait_ms, min_bytes) in [(-1, 1), (i32::MIN, i32::MAX), (500, 0), (500, i32::MIN)] {
        let request = FetchRequest {
            max_wait_ms,
            min_bytes,
            ..fetch_request("t", 0, 0)
        };
        let connection = poll(&mut rig, &request);
        answer(&mut rig, connection);
    }
    for error in [(99, 0), (0, 7), (0, -1)] {
        let request = FetchRequest {
            max_wait_ms: i32::MAX,
            ..fetch_request("t", error.0, error.1)
        };
        let connection = poll(&mut rig, &request);
        let response = answer(&mut rig, connection);
        assert_ne!(response.responses[0].partitions[0].error_code, 0);
    }
}

#[test]
fn a_poll_ends_when_its_client_goes_or_its_topic_is_deleted() {
    use klar::wire::messages::delete_topics::{DeleteTopicsRequest, DeleteTopicsResponse};
    let mut rig = Rig::new();
    rig.create("t", 1, &[]);
    let gone = poll(&mut rig, &waiting(0, 1));
    rig.broker.on_disconnected(rig.now, gone);
    rig.settle();
    let connection = poll(&mut rig, &waiting(0, 1));
    let request = DeleteTopicsRequest {
        topic_names: vec!["t".to_owned()],
        ..DeleteTopicsRequest::default()
    };
    let other = rig.connect();
    crate::rig::ask!(rig, other, DeleteTopics, 5, request, DeleteTopicsResponse);
    let response = answer(&mut rig, connection);
    assert_eq!(response.responses[0].partitions[0].error_code, 3);
    assert!(rig.outcome(gone).is_none());
}

#[test]
fn a_second_request_on_a_parked_connection_closes_it() {
    let mut rig = Rig::new();
    rig.create("t", 1, &[]);
    let connection = poll(&mut rig, &waiting(0, 1));
    let request = waiting(0, 1);
    rig.send(connection, ApiKey::Fetch, 12, |w| {
        request.encode(w, 12).unwrap()
    });
    assert!(matches!(rig.outcome(connection), Some(Outcome::Closed(_))));
}
