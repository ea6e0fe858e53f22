//! What a broker makes of disks that fail, fill up, or come back with something else on them.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use klar::ids::ConnectionId;
use klar::inspect::{Durability, EventKind};
use klar::storage::{Disk as _, Fault, FaultPlan, Operation};
use klar::wire::ApiKey;
use klar::wire::messages::delete_records::{
    DeleteRecordsPartition, DeleteRecordsRequest, DeleteRecordsResponse, DeleteRecordsTopic,
};
use klar::wire::messages::produce::ProduceResponse;

use crate::rig::{Rig, ask, idempotent, produce_request};

const STORAGE_ERROR: i16 = 56;
const CORRUPT: i16 = 2;

fn fault(operation: Operation, path_end: &str) -> Fault {
    Fault {
        operation,
        path_end: path_end.to_owned(),
        error: ErrorKind::StorageFull,
        short_write: 0,
        times: None,
    }
}

fn path(name: &str) -> PathBuf {
    Path::new("/d/broker-1").join(name)
}

fn get(rig: &mut Rig, name: &str) -> Vec<u8> {
    let len = rig.disk.len(&path(name)).unwrap();
    rig.disk
        .read_at(&path(name), 0, len as usize)
        .unwrap()
        .to_vec()
}

fn put(rig: &mut Rig, name: &str, bytes: &[u8]) {
    rig.disk.truncate(&path(name), 0).unwrap();
    rig.disk.write_at(&path(name), 0, bytes).unwrap();
}

/// The file as a newer klar could have written it.
fn of_version_2(file: &[u8]) -> Vec<u8> {
    let mut file = file[..file.len() - 4].to_vec();
    file[8..12].copy_from_slice(&2_u32.to_be_bytes());
    let checksum = crc32fast::hash(&file);
    file.extend_from_slice(&checksum.to_be_bytes());
    file
}

fn failures(rig: &Rig) -> Vec<String> {
    let cause = |event: &EventKind| match event {
        EventKind::StorageFailed { cause, .. } => Some(cause.clone()),
        _ => None,
    };
    rig.events.iter().filter_map(cause).collect()
}

const LOG: &str = "t-0/00000000000000000000.log";
const EPOCHS: &str = "t-0/leader-epoch-checkpoint";

/// A broker whose topic `t` has three synced batches and cannot be opened; the file that is in the way.
fn with_a_broken_partition() -> (Rig, Vec<u8>) {
    let mut rig = Rig::new();
    rig.create("t", 1, &[]);
    rig.create("u", 1, &[]);
    for value in ["a", "b", "c"] {
        assert_eq!(rig.produce("t", 0, &[value]).0, 0);
    }
    rig.pass_ms(70_000);
    let epochs = get(&mut rig, EPOCHS);
    put(&mut rig, EPOCHS, &of_version_2(&epochs));
    let mut rig = rig.restart(false);
    assert_eq!(rig.fetch("t", 0, 0).0, STORAGE_ERROR);
    (rig, epochs)
}

#[test]
fn a_partition_that_did_not_open_keeps_its_recovery_point() {
    for clean in [false, true] {
        let (mut rig, epochs) = with_a_broken_partition();
        rig.produce("u", 0, &["x"]);
        rig.pass_ms(70_000);
        rig.produce("u", 0, &["y"]);
        put(&mut rig, EPOCHS, &epochs);
        let mut log = get(&mut rig, LOG);
        log[66] ^= 1;
        put(&mut rig, LOG, &log);
        // Before the broker tries it again.
        let mut rig = rig.restart(clean);
        assert_eq!(rig.fetch("t", 0, 0).0, CORRUPT);
        let rest: Vec<String> = rig.fetch("t", 0, 1).1.into_iter().map(|r| r.1).collect();
        assert_eq!(rest, ["b", "c"], "what was synced is not cut");
        assert_eq!(rig.produce("t", 0, &["d"]), (0, 3));
    }
}

#[test]
fn a_partition_that_could_not_be_opened_is_opened_once_it_can_be() {
    let (mut rig, epochs) = with_a_broken_partition();
    rig.pass_ms(10_000);
    assert_eq!(rig.produce("t", 0, &["d"]).0, STORAGE_ERROR);
    assert_eq!(failures(&rig).len(), 1, "told once: {:?}", failures(&rig));
    put(&mut rig, EPOCHS, &epochs);
    rig.pass_ms(10_000);
    assert_eq!(rig.fetch("t", 0, 0).1.len(), 3);
    assert_eq!(rig.produce("t", 0, &["d"]), (0, 3));
    let healed = |event: &EventKind| matches!(event, EventKind::StorageHealed { .. });
    assert!(rig.events.iter().any(healed));
}

#[test]
fn a_topic_with_the_longest_name_is_deleted_for_good() {
    let mut rig = Rig::new();
    for length in [244, 245, 246, 249] {
        let name = "n".repeat(length);
        rig.create(&name, 1, &[]);
        rig.produce(&name, 0, &["old"]);
        rig.delete(&name);
        rig.create(&name, 1, &[]);
        assert_eq!(rig.fetch(&name, 0, 0), (0, vec![]));
        rig.delete(&name);
        let left = |path: &PathBuf| path.to_string_lossy().contains("nnn");
        assert!(!rig.disk.paths().iter().any(left), "{length}");
    }
    let rig = rig.restart(false);
    assert_eq!(failures(&rig), Vec::<String>::new());
}

#[test]
fn what_a_failed_deletion_left_is_not_taken_over_by_a_new_topic() {
    let mut rig = Rig::new();
    rig.create("t", 1, &[]);
    rig.produce("t", 0, &["old"]);
    rig.faults.add(fault(Operation::Rename, "t-0"));
    rig.delete("t");
    rig.create("t", 1, &[]);
    assert_eq!(
        rig.fetch("t", 0, 0).0,
        STORAGE_ERROR,
        "nor while it is stuck"
    );
    rig.faults.heal();
    rig.pass_ms(10_000);
    assert_eq!(rig.fetch("t", 0, 0), (0, vec![]));
    assert_eq!(rig.produce("t", 0, &["new"]), (0, 0));
    let aside = path("t-0.stray");
    assert!(rig.disk.paths().iter().any(|p| p.starts_with(&aside)));
}

#[test]
fn a_directory_that_cannot_be_moved_or_deleted_stops_no_start() {
    let mut rig = Rig::new();
    rig.create("kept", 1, &[]);
    rig.create("t", 1, &[]);
    rig.produce("kept", 0, &["a"]);
    rig.faults.add(fault(Operation::Rename, "t-0"));
    rig.delete("t");
    rig.disk.create_dir_all(&path("half-0.deleted")).unwrap();
    rig.disk.create_dir_all(&path("stray-0")).unwrap();
    rig.disk.write_at(&path("stray-0/x"), 0, b"x").unwrap();
    let faults = FaultPlan::default();
    faults.add(fault(Operation::Rename, "-0"));
    faults.add(fault(Operation::Remove, ".deleted"));
    let mut rig = rig.restart_on(faults, false);
    assert_eq!(rig.fetch("kept", 0, 0).1.len(), 1);
    assert_eq!(failures(&rig).len(), 3, "{:?}", failures(&rig));
    let mut rig = rig.restart(false);
    let left = |path: &PathBuf| path.to_string_lossy().contains("deleted");
    assert!(!rig.disk.paths().iter().any(left));
    rig.create("t", 1, &[]);
    assert_eq!(rig.fetch("t", 0, 0), (0, vec![]));
}

/// Sends the same idempotent batch again, as a client whose answer was lost.
fn send_again(rig: &mut Rig, sequence: i32) -> ConnectionId {
    let connection = rig.connect();
    let batch = idempotent(rig.now, 5, 0, sequence, &["v"]);
    let request = produce_request("t", 0, Some(batch), -1);
    rig.send(connection, ApiKey::Produce, 9, |w| {
        request.encode(w, 9).unwrap()
    });
    connection
}

fn produced(rig: &mut Rig, connection: ConnectionId) -> (i16, i64) {
    let mut reader = rig.body(connection, ApiKey::Produce, 9);
    let response = ProduceResponse::decode(&mut reader, 9).unwrap();
    let partition = &response.responses[0].partition_responses[0];
    (partition.error_code, partition.base_offset)
}

#[test]
fn a_repeated_batch_is_answered_in_durability_batch() {
    let mut rig = Rig::with(Durability::Batch, &[]);
    rig.create("t", 1, &[]);
    rig.auto_flush = false;
    let first = send_again(&mut rig, 0);
    let early = send_again(&mut rig, 0);
    assert!(rig.outcome(first).is_none() && rig.outcome(early).is_none());
    rig.flush(Ok(()));
    assert_eq!(produced(&mut rig, first), (0, 0));
    assert_eq!(produced(&mut rig, early), (0, 0), "it was safe by then");
    let late = send_again(&mut rig, 0);
    assert_eq!(produced(&mut rig, late), (0, 0), "answered at once");
    assert!(rig.flushes.is_empty());
}

#[test]
fn a_batch_whose_sync_failed_is_not_acked_when_it_is_repeated() {
    for durability in [Durability::Batch, Durability::Os] {
        let mut rig = Rig::with(durability, &[]);
        rig.create("t", 1, &[]);
        rig.pass_ms(2_000);
        let safe = send_again(&mut rig, 0);
        assert_eq!(produced(&mut rig, safe), (0, 0));
        rig.pass_ms(2_000);
        rig.auto_flush = false;
        let lost = send_again(&mut rig, 1);
        // Comes while the sync that fails is under way.
        rig.pass_ms(if durability == Durability::Os {
            1_000
        } else {
            0
        });
        let early = send_again(&mut rig, 1);
        rig.flush(Err("EIO".to_owned()));
        if durability == Durability::Batch {
            assert_eq!(produced(&mut rig, lost).0, STORAGE_ERROR);
            assert_eq!(produced(&mut rig, early).0, STORAGE_ERROR);
        }
        let late = send_again(&mut rig, 1);
        assert_eq!(produced(&mut rig, late).0, STORAGE_ERROR, "{durability:?}");
        let safe = send_again(&mut rig, 0);
        assert_eq!(produced(&mut rig, safe), (0, 0), "that one is synced");
    }
}

#[test]
fn a_broker_starts_on_a_full_disk_serves_what_is_there_and_goes_on_when_there_is_room() {
    let mut rig = Rig::new();
    rig.create("t", 1, &[("segment.bytes", "1048576")]);
    let big = "x".repeat(300_000);
    for _ in 0..9 {
        assert_eq!(rig.produce("t", 0, &[&big]).0, 0);
    }
    for path in rig.disk.paths() {
        if path.to_string_lossy().ends_with("index") {
            rig.disk.remove(&path).unwrap();
        }
    }
    let faults = FaultPlan::default();
    faults.add(fault(Operation::Write, ""));
    let mut rig = rig.restart_on(faults.clone(), false);
    for offset in 0..9 {
        let (error, found) = rig.fetch("t", 0, offset);
        assert_eq!((error, found[0].0), (0, offset));
    }
    assert_eq!(rig.produce("t", 0, &["a"]).0, STORAGE_ERROR);
    assert!(!failures(&rig).is_empty());
    faults.heal();
    assert_eq!(rig.produce("t", 0, &["a"]), (0, 9));
}

fn delete_records(rig: &mut Rig, offsets: &[i64]) -> Vec<(i16, i64)> {
    let connection = rig.connect();
    let partitions = offsets.iter().map(|offset| DeleteRecordsPartition {
        partition_index: 0,
        offset: *offset,
    });
    let request = DeleteRecordsRequest {
        topics: vec![DeleteRecordsTopic {
            name: "t".to_owned(),
            partitions: partitions.collect(),
        }],
        ..DeleteRecordsRequest::default()
    };
    let response = ask!(
        rig,
        connection,
        DeleteRecords,
        2,
        request,
        DeleteRecordsResponse
    );
    let partitions = response.topics[0].partitions.iter();
    partitions
        .map(|p| (p.error_code, p.low_watermark))
        .collect()
}

#[test]
fn deleting_records_and_checkpoints_sync_nothing_on_the_brokers_thread() {
    let mut rig = Rig::new();
    rig.create("t", 1, &[]);
    for value in ["a", "b", "c"] {
        rig.produce("t", 0, &[value]);
    }
    rig.pass_ms(2_000);
    rig.auto_flush = false;
    rig.faults.add(fault(Operation::Sync, ""));
    let deleted = delete_records(&mut rig, &[3, 1, 2]);
    assert_eq!(deleted, [(0, 2); 3], "the last one said counts");
    rig.pass_ms(1_000);
    let synced = |rig: &Rig, name: &str| {
        let files = rig.flushes.iter().flat_map(|(_, files)| files);
        files.into_iter().any(|file| file.ends_with(name))
    };
    assert!(synced(&rig, "t-0/log-start-offset-checkpoint"));
    rig.flush(Ok(()));
    rig.pass_ms(60_000);
    assert!(synced(&rig, "recovery-point-offset-checkpoint.tmp"));
    assert_eq!(failures(&rig), Vec::<String>::new());
    rig.flush(Err("EIO".to_owned()));
    assert_eq!(failures(&rig).len(), 1);
    let mut rig = rig.restart(false);
    assert_eq!(rig.fetch("t", 0, 1).0, 1);
    assert_eq!(rig.fetch("t", 0, 2).1.len(), 1);
}
