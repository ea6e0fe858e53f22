//! When records are synced, who waits for it, and what a failing disk does.

use std::io::ErrorKind;

use klar::inspect::{Durability, EventKind};
use klar::storage::{Fault, Operation};
use klar::wire::ApiKey;
use klar::wire::messages::produce::ProduceResponse;

use crate::rig::{Rig, batch, idempotent, produce_request};

fn send_produce(rig: &mut Rig) -> klar::ids::ConnectionId {
    let connection = rig.connect();
    let request = produce_request("t", 0, Some(batch(rig.now, &["a"])), -1);
    rig.send(connection, ApiKey::Produce, 9, |w| {
        request.encode(w, 9).unwrap()
    });
    connection
}

fn error_of(rig: &mut Rig, connection: klar::ids::ConnectionId) -> i16 {
    let mut reader = rig.body(connection, ApiKey::Produce, 9);
    let response = ProduceResponse::decode(&mut reader, 9).unwrap();
    response.responses[0].partition_responses[0].error_code
}

#[test]
fn os_acks_at_once_and_syncs_within_a_second() {
    let mut rig = Rig::new();
    rig.create("t", 1, &[]);
    rig.pass_ms(1_500);
    rig.auto_flush = false;
    let connection = send_produce(&mut rig);
    assert_eq!(error_of(&mut rig, connection), 0);
    assert!(rig.flushes.is_empty());
    rig.pass_ms(1_000);
    let files: Vec<String> = rig.flushes[0]
        .1
        .iter()
        .map(|f| f.display().to_string())
        .collect();
    assert!(
        files
            .iter()
            .any(|f| f.contains("/t-0/") && f.ends_with(".log")),
        "{files:?}"
    );
    rig.flush(Ok(()));
    rig.pass_ms(5_000);
    assert!(rig.flushes.is_empty(), "nothing new, nothing to sync");
}

#[test]
fn batch_acks_and_shows_records_after_the_sync_that_covers_them() {
    let mut rig = Rig::with(Durability::Batch, &[]);
    rig.create("t", 1, &[]);
    rig.auto_flush = false;
    let first = send_produce(&mut rig);
    assert_eq!(rig.flushes.len(), 1);
    let second = send_produce(&mut rig);
    assert_eq!(rig.flushes.len(), 1, "one sync at a time");
    assert!(rig.outcome(first).is_none() && rig.outcome(second).is_none());
    assert_eq!(
        rig.fetch("t", 0, 0).1.len(),
        0,
        "not shown before it is safe"
    );
    rig.flush(Ok(()));
    assert_eq!(error_of(&mut rig, first), 0);
    assert!(rig.outcome(second).is_none());
    assert_eq!(rig.fetch("t", 0, 0).1.len(), 1);
    rig.flush(Ok(()));
    assert_eq!(error_of(&mut rig, second), 0);
    assert_eq!(rig.fetch("t", 0, 0).1.len(), 2);
}

#[test]
fn a_failed_sync_refuses_the_records_it_covered_and_all_later_ones() {
    let mut rig = Rig::with(Durability::Batch, &[]);
    rig.create("t", 1, &[]);
    rig.create("other", 1, &[]);
    rig.auto_flush = false;
    let connection = send_produce(&mut rig);
    rig.flush(Err("EIO".to_owned()));
    assert_eq!(error_of(&mut rig, connection), 56);
    rig.auto_flush = true;
    assert_eq!(rig.produce("t", 0, &["b"]).0, 56);
    assert_eq!(rig.produce("other", 0, &["c"]).0, 0);
    let told = |event: &EventKind| matches!(event, EventKind::StorageFailed { .. });
    assert!(rig.events.iter().any(told));
    let mut rig = rig.restart(false);
    assert_eq!(
        rig.produce("t", 0, &["d"]).0,
        0,
        "a new start checks and goes on"
    );
}

/// Found by `klar sim`: the second batch was acknowledged because nothing was left that could be synced.
#[test]
fn records_appended_while_a_sync_fails_are_refused_with_it() {
    let mut rig = Rig::with(Durability::Batch, &[]);
    rig.create("t", 1, &[]);
    rig.auto_flush = false;
    let first = send_produce(&mut rig);
    let second = send_produce(&mut rig);
    rig.flush(Err("EIO".to_owned()));
    assert_eq!(error_of(&mut rig, first), 56);
    assert_eq!(error_of(&mut rig, second), 56);
}

/// Found by `klar sim`: the duplicate waited for a sync that nothing called for.
#[test]
fn a_batch_that_comes_again_is_answered_when_it_is_synced() {
    let mut rig = Rig::with(Durability::Batch, &[]);
    rig.create("t", 1, &[]);
    let records = idempotent(rig.now, 7, 0, 0, &["a"]);
    let connection = rig.connect();
    let first = rig.produce_bytes(connection, "t", 0, records.clone());
    assert_eq!(first, (0, 0));
    assert_eq!(rig.produce_bytes(connection, "t", 0, records), first);
}

/// Found by `klar sim`: they were below the high watermark, and a power loss took them.
#[test]
fn records_recovered_after_a_kill_are_synced_before_anyone_sees_them() {
    let mut rig = Rig::with(Durability::Batch, &[]);
    rig.create("t", 1, &[]);
    rig.auto_flush = false;
    let never_synced = send_produce(&mut rig);
    assert!(rig.outcome(never_synced).is_none());
    let mut rig = rig.restart(false);
    assert_eq!(rig.fetch("t", 0, 0).1.len(), 1);
    rig.disk.lose_power(1);
    let mut rig = rig.restart(false);
    assert_eq!(rig.fetch("t", 0, 0).1.len(), 1);
}

#[test]
fn memory_never_syncs() {
    let mut rig = Rig::with(Durability::Memory, &[]);
    rig.auto_flush = false;
    rig.create("t", 1, &[]);
    let connection = send_produce(&mut rig);
    assert_eq!(error_of(&mut rig, connection), 0);
    rig.pass_ms(60_000);
    assert!(rig.flushes.is_empty());
}

#[test]
fn a_full_disk_is_an_error_and_writing_resumes_by_itself() {
    let mut rig = Rig::new();
    rig.create("t", 1, &[]);
    rig.produce("t", 0, &["a"]);
    for short_write in [0, 20] {
        rig.faults.add(Fault {
            operation: Operation::Write,
            path_end: ".log".to_owned(),
            error: ErrorKind::StorageFull,
            short_write,
            times: None,
        });
        assert_eq!(rig.produce("t", 0, &["lost"]).0, 56);
        assert!(
            rig.fetch("t", 0, 0)
                .1
                .iter()
                .all(|(_, value)| value != "lost")
        );
        rig.faults.heal();
        assert_eq!(rig.produce("t", 0, &["kept"]).0, 0);
    }
    let kept: Vec<String> = rig.fetch("t", 0, 0).1.into_iter().map(|r| r.1).collect();
    assert_eq!(kept, ["a", "kept", "kept"]);
    let count = |what: fn(&EventKind) -> bool| rig.events.iter().filter(|e| what(e)).count();
    assert_eq!(count(|e| matches!(e, EventKind::StorageFailed { .. })), 2);
    assert_eq!(count(|e| matches!(e, EventKind::StorageHealed { .. })), 2);
}

#[test]
fn a_metadata_log_that_takes_nothing_changes_nothing() {
    use klar::wire::messages::create_topics::{
        CreatableTopic, CreateTopicsRequest, CreateTopicsResponse,
    };
    let mut rig = Rig::new();
    rig.faults.add(Fault {
        operation: Operation::Write,
        path_end: ".log".to_owned(),
        error: ErrorKind::StorageFull,
        short_write: 0,
        times: None,
    });
    let connection = rig.connect();
    let request = CreateTopicsRequest {
        topics: vec![CreatableTopic {
            name: "t".to_owned(),
            num_partitions: 1,
            replication_factor: 1,
            ..CreatableTopic::default()
        }],
        ..CreateTopicsRequest::default()
    };
    let response = crate::rig::ask!(
        rig,
        connection,
        CreateTopics,
        7,
        request,
        CreateTopicsResponse
    );
    assert_eq!(response.topics[0].error_code, 56);
    rig.faults.heal();
    assert_eq!(rig.produce("t", 0, &["a"]).0, 3);
    rig.create("t", 1, &[]);
    assert_eq!(rig.produce("t", 0, &["a"]).0, 0);
}

#[test]
fn a_directory_nobody_knows_is_set_aside_and_told_of() {
    use klar::storage::Disk as _;
    let mut rig = Rig::new();
    rig.create("t", 1, &[]);
    rig.produce("t", 0, &["a"]);
    let old = std::path::Path::new("/d/broker-1/t-0");
    rig.disk
        .rename(old, std::path::Path::new("/d/broker-1/u-0"))
        .unwrap();
    let mut rig = rig.restart(false);
    let aside = |path: &std::path::PathBuf| path.starts_with("/d/broker-1/u-0.stray");
    assert!(rig.disk.paths().iter().any(aside));
    rig.create("u", 1, &[]);
    assert_eq!(rig.fetch("u", 0, 0), (0, vec![]));
}
