//! A full disk: what is there is read, deleting makes room, and nothing waits for a sync.

use std::io::ErrorKind;

use super::support::*;
use crate::ids::{Offset, Time};
use crate::storage::{
    Disk, FailingDisk, Fault, FaultPlan, LogConfig, MemoryDisk, Note, Opening, Operation,
};

fn on(memory: &MemoryDisk) -> (FailingDisk, FaultPlan) {
    let plan = FaultPlan::default();
    let disk = FailingDisk::new(Box::new(memory.clone()), plan.clone());
    (disk, plan)
}

fn refuse(plan: &FaultPlan, operation: Operation, path_end: &str, times: Option<u32>) {
    plan.add(Fault {
        operation,
        path_end: path_end.to_owned(),
        error: ErrorKind::StorageFull,
        short_write: 0,
        times,
    });
}

fn count(memory: &MemoryDisk, ending: &str) -> usize {
    let paths = memory.paths();
    let ends = |path: &&std::path::PathBuf| path.to_string_lossy().ends_with(ending);
    paths.iter().filter(ends).count()
}

fn expiring() -> LogConfig {
    LogConfig {
        retention_ms: 1,
        ..cold()
    }
}

const LATER: Time = Time(1_000_000_000);

#[test]
fn retention_makes_room_on_a_full_disk() {
    let (memory, mut log, _) = filled(expiring(), 10);
    let (mut disk, plan) = on(&memory);
    // Nothing can be written down, only files be made and removed.
    refuse(&plan, Operation::Write, ".tmp", None);
    let bytes = log.bytes();
    let freed = log.apply_retention(&mut disk, LATER, Offset(30)).unwrap();
    assert_eq!((freed, log.bytes()), (bytes, 0));
    assert_eq!((log.log_start(), log.log_end()), (Offset(30), Offset(30)));
    assert!(matches!(
        log.take_notes().last(),
        Some(Note::Deleted { .. })
    ));
    // Killed while it is still full: no offset is given out twice.
    let (mut log, _) = open(&mut disk, expiring(), unclean(0));
    assert_eq!((log.log_start(), log.log_end()), (Offset(30), Offset(30)));
    plan.heal();
    let appended = log
        .append(&mut disk, NOW, batch(1, b"x", 0), EPOCH)
        .unwrap();
    assert_eq!(appended.base, Offset(30));
}

#[test]
fn deleting_records_makes_room_on_a_full_disk() {
    let (memory, mut log, _) = filled(cold(), 30);
    let (mut disk, plan) = on(&memory);
    refuse(
        &plan,
        Operation::Write,
        "log-start-offset-checkpoint.tmp",
        Some(1),
    );
    refuse(
        &plan,
        Operation::Write,
        "log-start-offset-checkpoint.tmp",
        Some(1),
    );
    let bytes = log.bytes();
    log.set_log_start(&mut disk, Offset(50)).unwrap();
    assert_eq!(log.log_start(), Offset(50));
    assert!(log.bytes() < bytes);
    let (log, _) = open(&mut disk, cold(), unclean(90));
    assert_eq!((log.log_start(), log.log_end()), (Offset(50), Offset(90)));
}

#[test]
fn deleting_never_syncs_on_its_own() {
    let (memory, mut log, _) = filled(expiring(), 10);
    let (mut disk, plan) = on(&memory);
    refuse(&plan, Operation::Sync, "", None);
    log.set_log_start(&mut disk, Offset(4)).unwrap();
    let start = dir().join("log-start-offset-checkpoint");
    let ticket = log.begin_sync().unwrap();
    assert!(ticket.files.contains(&start));
    log.on_synced(&ticket, Ok(()));
    log.apply_retention(&mut disk, LATER, Offset(30)).unwrap();
    let ticket = log.begin_sync().unwrap();
    assert!(ticket.files.contains(&start) && ticket.files.contains(&dir()));
}

#[test]
fn a_log_opens_on_a_full_disk_and_writes_its_indexes_once_there_is_room() {
    let (memory, log, stored) = filled(cold(), 30);
    let sealed = log.segment_states().count() - 1;
    for path in memory.paths() {
        if !path.to_string_lossy().ends_with(".log") {
            memory.clone().remove(&path).unwrap();
        }
    }
    let (mut disk, plan) = on(&memory);
    refuse(&plan, Operation::Write, "", None);
    let (mut log, _) = open(&mut disk, cold(), unclean(0));
    assert_eq!(read_all(&mut disk, &mut log, Offset(0)), stored);
    assert!(log.trouble().is_some());
    assert_eq!(log.apply_retention(&mut disk, NOW, Offset(90)).unwrap(), 0);
    assert_eq!(count(&memory, ".index"), 0);
    plan.heal();
    log.apply_retention(&mut disk, NOW, Offset(90)).unwrap();
    assert_eq!(count(&memory, ".index"), sealed);
    assert_eq!(count(&memory, ".timeindex"), sealed);
    log.append(&mut disk, NOW, batch(1, b"x", 0), EPOCH)
        .unwrap();
    assert_eq!(log.trouble(), None);
}

#[test]
fn an_index_rebuilt_after_a_clean_stop_is_written_back() {
    let (mut disk, mut log, stored) = filled(cold(), 30);
    let state = log.close_clean(&mut disk).unwrap();
    let index = dir().join("00000000000000000000.index");
    let before = get_file(&mut disk, &index);
    put_file(&mut disk, &index, b"torn");
    let (mut log, _) = open(&mut disk, cold(), Opening::Clean(Box::new(state)));
    assert_eq!(read_all(&mut disk, &mut log, Offset(0)), stored);
    log.apply_retention(&mut disk, NOW, Offset(90)).unwrap();
    assert_eq!(get_file(&mut disk, &index), before);
}

#[test]
fn producer_snapshots_do_not_pile_up() {
    let mut disk = MemoryDisk::new();
    let mut log = fresh(&mut disk, small());
    for n in 0..8 {
        log.append(&mut disk, NOW, produced(1, 7, 0, n), EPOCH)
            .unwrap();
        let state = log.close_clean(&mut disk).unwrap();
        let opening = Opening::Clean(Box::new(state));
        log = open(&mut disk, small(), opening).0;
        assert!(count(&disk, ".snapshot") <= 3);
    }
    let again = log
        .append(&mut disk, NOW, produced(1, 7, 0, 7), EPOCH)
        .unwrap();
    assert!(again.duplicate);
}

#[test]
fn a_full_index_begins_a_new_segment() {
    let mut disk = MemoryDisk::new();
    let config = LogConfig {
        segment_bytes: 1_000_000,
        segment_index_bytes: 40,
        ..small()
    };
    let mut log = fresh(&mut disk, config);
    for n in 0..40 {
        log.append(&mut disk, NOW, batch(1, &[7; 60], n), EPOCH)
            .unwrap();
    }
    let rolled = |note: &Note| matches!(note, Note::Rolled { cause, .. } if cause == "segment.index.bytes = 40 reached");
    assert!(log.take_notes().iter().any(rolled));
    for state in log.segment_states() {
        assert!(
            state.index_bytes <= 40 && state.time_index_bytes <= 40,
            "{state:?}"
        );
    }
}

#[test]
fn a_damaged_log_start_is_told_of() {
    let (mut disk, mut log, _) = filled(cold(), 4);
    log.set_log_start(&mut disk, Offset(4)).unwrap();
    let path = dir().join("log-start-offset-checkpoint");
    put_file(&mut disk, &path, b"torn");
    let (mut log, recovered) = open(&mut disk, cold(), unclean(0));
    assert_eq!(log.log_start(), Offset(0));
    assert_eq!(recovered.rebuilt, 1);
    let lost = |note: &Note| {
        matches!(
            note,
            Note::StartLost {
                log_start: Offset(0)
            }
        )
    };
    assert!(log.take_notes().iter().any(lost));
}
