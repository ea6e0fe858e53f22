//! Disks that refuse: full ones, unsyncable ones, unreadable ones.

use std::io::ErrorKind;

use super::support::*;
use crate::ids::{LeaderEpoch, Offset};
use crate::storage::{
    AppendError, FailingDisk, Fault, FaultPlan, Log, MemoryDisk, Note, Operation, StorageError,
};

fn failing() -> (FailingDisk, FaultPlan, MemoryDisk) {
    let memory = MemoryDisk::with_power();
    let plan = FaultPlan::default();
    let disk = FailingDisk::new(Box::new(memory.clone()), plan.clone());
    (disk, plan, memory)
}

fn fault(operation: Operation, path_end: &str, short_write: usize) -> Fault {
    Fault {
        operation,
        path_end: path_end.to_owned(),
        error: ErrorKind::StorageFull,
        short_write,
        times: None,
    }
}

#[test]
fn a_full_disk_is_rolled_back_reads_go_on_and_writes_resume() {
    for short in [0, 1, 60, 100] {
        for also_truncate in [false, true] {
            let (mut disk, plan, memory) = failing();
            let mut log = fresh(&mut disk, small());
            for n in 0..3 {
                log.append(&mut disk, NOW, batch(3, &[n; 40], 0), EPOCH)
                    .unwrap();
            }
            let stored = read_all(&mut disk, &mut log, Offset(0));
            plan.add(fault(Operation::Write, ".log", short));
            if also_truncate {
                plan.add(fault(Operation::Truncate, ".log", 0));
            }
            for _ in 0..2 {
                let error = log
                    .append(&mut disk, NOW, batch(3, &[9; 40], 0), EPOCH)
                    .unwrap_err();
                assert!(matches!(
                    error,
                    AppendError::Storage(StorageError::Io { .. })
                ));
                assert_eq!(log.log_end(), Offset(9));
                assert_eq!(read_all(&mut disk, &mut log, Offset(0)), stored);
                assert!(log.trouble().is_some());
            }
            // Killed while the disk is full: what was acked is there, and no more.
            let (mut other, _) = open(&mut memory.fork(), small(), unclean(0));
            assert_eq!(read_all(&mut memory.fork(), &mut other, Offset(0)), stored);
            plan.heal();
            log.append(&mut disk, NOW, batch(1, &[7; 5], 0), EPOCH)
                .unwrap();
            assert_eq!(log.trouble(), None);
            let notes = log.take_notes();
            let failed = notes
                .iter()
                .filter(|n| matches!(n, Note::WriteFailed { .. }));
            let healed = notes
                .iter()
                .filter(|n| matches!(n, Note::WriteHealed { .. }));
            assert_eq!((failed.count(), healed.count()), (1, 1));
            let now = read_all(&mut disk, &mut log, Offset(0));
            let (mut other, recovered) = open(&mut memory.fork(), small(), unclean(0));
            assert_eq!(recovered.cut_bytes, 0);
            assert_eq!(read_all(&mut memory.fork(), &mut other, Offset(0)), now);
        }
    }
}

#[test]
fn a_full_disk_at_any_other_write_of_an_append_changes_nothing() {
    for ending in [
        ".index.tmp",
        ".timeindex.tmp",
        ".snapshot.tmp",
        "checkpoint.tmp",
    ] {
        let (mut disk, plan, memory) = failing();
        let mut log = fresh(&mut disk, small());
        let mut acked = 0;
        for n in 0..30 {
            plan.add(fault(Operation::Write, ending, 3));
            let refused = log
                .append(&mut disk, NOW, batch(3, &[n; 40], 0), EPOCH)
                .is_err();
            plan.heal();
            if refused {
                log.append(&mut disk, NOW, batch(3, &[n; 40], 0), EPOCH)
                    .unwrap();
            }
            acked += 1;
            assert_eq!(log.log_end(), Offset(3 * acked));
            log.check();
        }
        let stored = read_all(&mut disk, &mut log, Offset(0));
        let mut disk = memory.fork();
        let (mut log, _) = open(&mut disk, small(), unclean(0));
        assert_eq!(read_all(&mut disk, &mut log, Offset(0)), stored);
    }
}

fn synced(log: &mut Log, disk: &mut FailingDisk) -> bool {
    log.sync_now(disk).is_ok()
}

#[test]
fn a_failed_sync_is_never_trusted() {
    let (mut disk, plan, _) = failing();
    let mut log = fresh(&mut disk, small());
    log.append(&mut disk, NOW, batch(3, b"synced", 0), EPOCH)
        .unwrap();
    assert!(synced(&mut log, &mut disk));
    assert_eq!(log.recovery_point(), Offset(3));
    log.append(&mut disk, NOW, batch(3, b"not", 0), EPOCH)
        .unwrap();
    plan.add(Fault {
        times: Some(1),
        ..fault(Operation::Sync, ".log", 0)
    });
    assert!(!synced(&mut log, &mut disk));
    // The next sync would succeed, and would prove nothing.
    assert!(!synced(&mut log, &mut disk));
    assert_eq!(log.begin_sync(), None);
    assert_eq!(log.recovery_point(), Offset(3));
    let error = log
        .append(&mut disk, NOW, batch(3, b"x", 0), EPOCH)
        .unwrap_err();
    assert!(matches!(
        error,
        AppendError::Storage(StorageError::SyncFailed { .. })
    ));
    assert!(log.close_clean(&mut disk).is_err());
    assert_eq!(read_all(&mut disk, &mut log, Offset(0)).len(), 2);
    let (mut log, _) = open(&mut disk, small(), unclean(3));
    log.append(&mut disk, NOW, batch(3, b"y", 0), EPOCH)
        .unwrap();
    assert!(synced(&mut log, &mut disk));
}

#[test]
fn a_sync_begun_before_a_truncation_proves_nothing() {
    let (mut disk, _, _) = failing();
    let mut log = fresh(&mut disk, small());
    for _ in 0..3 {
        log.append(&mut disk, NOW, batch(3, b"x", 0), EPOCH)
            .unwrap();
    }
    let ticket = log.begin_sync().unwrap();
    assert_eq!(log.begin_sync(), None);
    log.truncate_to(&mut disk, NOW, Offset(3)).unwrap();
    log.append(&mut disk, NOW, batch(6, b"other", 0), EPOCH)
        .unwrap();
    log.on_synced(&ticket, Ok(()));
    assert_eq!(log.recovery_point(), Offset(0));
    let ticket = log.begin_sync().unwrap();
    log.on_synced(&ticket, Ok(()));
    assert_eq!(log.recovery_point(), Offset(9));
    assert!(!log.needs_sync());
}

/// A follower whose disk refused while it cut its log kept the cut records' sequences: led again, it acknowledged
/// their repetition as a duplicate of what was gone.
#[test]
fn p2_a_cut_that_failed_half_way_is_finished_before_anything_is_appended() {
    let producer = |sequence| produced(2, 7, 0, sequence);
    let steps = [
        (Operation::Write, ".log.tmp"),
        (Operation::Rename, ".log.tmp"),
        (Operation::Write, "leader-epoch-checkpoint.tmp"),
        (Operation::Rename, "leader-epoch-checkpoint.tmp"),
    ];
    for (operation, path_end) in steps {
        let (mut disk, plan, memory) = failing();
        let mut log = fresh(&mut disk, small());
        log.append(&mut disk, NOW, producer(0), EPOCH).unwrap();
        log.append(&mut disk, NOW, producer(2), LeaderEpoch(EPOCH.0 + 1))
            .unwrap();
        plan.add(fault(operation, path_end, 0));
        let failed = log.truncate_to(&mut disk, NOW, Offset(2)).is_err();
        assert!(failed, "{operation:?} {path_end}");
        assert_eq!(log.log_end(), Offset(2), "{operation:?} {path_end}");
        // Of what is gone by its end nothing is told by its epochs either.
        assert_eq!(log.epochs().latest(), EPOCH, "{operation:?} {path_end}");
        let refused = log.append(&mut disk, NOW, producer(2), EPOCH);
        assert!(refused.is_err(), "{operation:?} {path_end}");
        plan.heal();
        let again = log.append(&mut disk, NOW, producer(2), EPOCH);
        let again = again.unwrap_or_else(|error| panic!("{operation:?} {path_end}: {error}"));
        assert_eq!((again.base, again.duplicate), (Offset(2), false));
        let read = read_all(&mut disk, &mut log, Offset(0));
        let (mut reopened, _) = open(&mut memory.fork(), small(), unclean(0));
        assert_eq!(read_all(&mut memory.fork(), &mut reopened, Offset(0)), read);
        assert_eq!(reopened.log_end(), Offset(4));
    }
}

/// A controller's follower died while its log was to go on behind a snapshot. The old epochs stayed, and when it was
/// elected it told others that what they had in front of the snapshot was something else.
#[test]
fn a_log_that_was_to_begin_anew_tells_nothing_of_what_was_in_front() {
    for (operation, path_end) in [
        (Operation::Remove, ".log"),
        (Operation::Write, "leader-epoch-checkpoint.tmp"),
        (Operation::Rename, "leader-epoch-checkpoint.tmp"),
    ] {
        let (mut disk, plan, memory) = failing();
        let mut log = fresh(&mut disk, small());
        log.append(&mut disk, NOW, batch(3, b"x", 0), EPOCH)
            .unwrap();
        plan.add(fault(operation, path_end, 0));
        assert!(log.restart_at(&mut disk, Offset(100)).is_err());
        let (again, _) = open(&mut memory.fork(), small(), unclean(0));
        let (start, end) = (again.log_start(), again.log_end());
        assert_eq!((start, end), (Offset(100), Offset(100)), "{operation:?}");
        assert_eq!(again.epochs().starts(), [], "{operation:?} {path_end}");
    }
}

#[test]
fn an_unreadable_file_is_an_error_and_changes_nothing() {
    let (mut disk, plan, memory) = failing();
    let mut log = fresh(&mut disk, cold());
    for n in 0..20 {
        log.append(&mut disk, NOW, batch(3, &[n; 40], 0), EPOCH)
            .unwrap();
    }
    let stored = read_all(&mut disk, &mut log, Offset(0));
    plan.add(fault(Operation::Read, ".log", 0));
    assert!(
        log.read(&mut disk, Offset(4), Offset(60), 100, true)
            .is_err()
    );
    let config = std::sync::Arc::new(cold());
    assert!(Log::open(&mut disk, &dir(), config, NOW, unclean(0)).is_err());
    plan.heal();
    assert_eq!(read_all(&mut disk, &mut log, Offset(0)), stored);
    let mut disk = memory.fork();
    let (mut log, _) = open(&mut disk, cold(), unclean(0));
    assert_eq!(read_all(&mut disk, &mut log, Offset(0)), stored);
}
