//! A crash between any two disk operations loses no acked record (D1), brings back none that was refused
//! (D3), and keeps idempotence (P1, P2). A power loss loses at most what was not synced.

use std::collections::BTreeMap;
use std::path::Path;

use bytes::Bytes;

use super::support::*;
use crate::ids::{BrokerId, LeaderEpoch, Offset, Time};
use crate::storage::{
    AppendError, BrokerDir, Disk, FailingDisk, FaultPlan, Log, LogConfig, MemoryDisk, StorageError,
};
use crate::wire::records::BatchHeader;

const ROOT: &str = "/klar";
const NAME: &str = "t-0";

fn config() -> LogConfig {
    LogConfig {
        segment_bytes: 400,
        retention_bytes: 900,
        ..cold()
    }
}

/// What a client and an operator were told before the crash.
#[derive(Debug, Default, Clone)]
struct Told {
    /// Every batch as stored, by base offset: acked ones, and the one under way.
    acked: BTreeMap<i64, Bytes>,
    under_way: Option<Bytes>,
    /// Everything below was reported as synced.
    synced: i64,
    log_start: i64,
    /// A deletion up to here was begun.
    deleting: i64,
}

/// One run: opens, appends, syncs, deletes, closes. Ends at the first error.
fn run(disk: &mut dyn Disk, told: &mut Told, rounds: i32) -> Result<(), AppendError> {
    let (mut home, mut last) = BrokerDir::open(disk, Path::new(ROOT), BrokerId(1))?;
    let opening = last.opening(NAME);
    let log_dir = home.log_dir(NAME);
    let (mut log, _) = Log::open(disk, &log_dir, config().into(), NOW, opening)?;
    for n in 0..rounds {
        append(disk, &mut log, told, n)?;
        match n % 6 {
            2 => {
                log.sync_now(disk)?;
                told.synced = log.recovery_point().0;
                let points = BTreeMap::from([(NAME.to_owned(), log.recovery_point())]);
                home.write_recovery_points(disk, &points)?;
            }
            4 => {
                told.deleting = log.log_end().0;
                log.apply_retention(disk, NOW, log.log_end())?;
                told.log_start = log.log_start().0;
                told.deleting = told.log_start;
            }
            5 => {
                let start = log.log_start() + 1;
                told.deleting = start.0;
                log.set_log_start(disk, start)?;
                told.log_start = start.0;
            }
            _ => {}
        }
        log.check();
    }
    let state = log.close_clean(disk)?;
    told.synced = log.log_end().0;
    let states = BTreeMap::from([(NAME.to_owned(), state)]);
    home.write_clean_stop(disk, &states)?;
    Ok(())
}

fn append(disk: &mut dyn Disk, log: &mut Log, told: &mut Told, n: i32) -> Result<(), AppendError> {
    let base = log.log_end();
    let epoch = LeaderEpoch(1 + n / 7);
    let sequence = base.0 as i32;
    let batch = produced(2, 77, 0, sequence);
    let mut stored = batch.to_vec();
    crate::wire::records::set_base(&mut stored, base, epoch);
    told.under_way = Some(stored.into());
    log.append(disk, Time(NOW.0 + i64::from(n)), batch, epoch)?;
    let stored = told.under_way.take().expect("set above");
    told.acked.insert(base.0, stored);
    Ok(())
}

/// Opens what the crash left and holds it against what was told.
fn verify(disk: &mut dyn Disk, told: &Told, may_lose_from: i64, what: &str) {
    let (home, mut last) = BrokerDir::open(disk, Path::new(ROOT), BrokerId(1))
        .unwrap_or_else(|error| panic!("{what}: {error}"));
    let opening = last.opening(NAME);
    let (mut log, recovered) = Log::open(disk, &home.log_dir(NAME), config().into(), NOW, opening)
        .unwrap_or_else(|error| panic!("{what}: {error}"));
    log.check();
    assert_eq!(recovered.damages, [], "{what}");
    let (start, end) = (log.log_start().0, log.log_end().0);
    assert!(
        start <= told.log_start.max(told.deleting),
        "{what}: starts at {start}"
    );
    assert!(end >= may_lose_from, "{what}: ends at {end}");
    let found = read_all(disk, &mut log, Offset(start));
    let mut due = None;
    for batch in &found {
        let base = BatchHeader::parse(batch).unwrap().base_offset.0;
        assert!(
            due.is_none_or(|due| due == base),
            "{what}: gap in front of {base}"
        );
        due = Some(base + 2);
        match told.acked.get(&base) {
            Some(acked) => assert_eq!(acked, batch, "{what}"),
            None => assert_eq!(told.under_way.as_ref(), Some(batch), "{what}"),
        }
    }
    for base in told
        .acked
        .keys()
        .filter(|base| **base >= start && **base + 2 <= may_lose_from)
    {
        let there = found
            .iter()
            .any(|b| BatchHeader::parse(b).unwrap().base_offset.0 == *base);
        assert!(there, "{what}: lost {base}");
    }
    let mut log = log;
    idempotence_holds(disk, &mut log, what);
}

/// The newest batches are still known, and only the next sequence is accepted.
fn idempotence_holds(disk: &mut dyn Disk, log: &mut Log, what: &str) {
    let end = log.log_end().0;
    if end - log.log_start().0 < 2 {
        return;
    }
    let epoch = log.epochs().latest();
    let again = log
        .append(disk, NOW, produced(2, 77, 0, end as i32 - 2), epoch)
        .unwrap();
    assert!(again.duplicate && again.base == Offset(end - 2), "{what}");
    let skipped = log.append(disk, NOW, produced(2, 77, 0, end as i32 + 2), epoch);
    let refused = matches!(skipped, Err(AppendError::OutOfOrderSequence { .. }));
    assert!(refused, "{what}: {skipped:?}");
    let next = log
        .append(disk, NOW, produced(2, 77, 0, end as i32), epoch)
        .unwrap();
    assert_eq!(next.base, Offset(end), "{what}");
}

/// Runs until the crash; `None` if the run ended before it.
fn crashed(memory: &MemoryDisk, told: &mut Told, at: u64, short: usize) -> Option<()> {
    let plan = FaultPlan::default();
    plan.crash_at(at, short);
    let mut disk = FailingDisk::new(Box::new(memory.clone()), plan);
    match run(&mut disk, told, 20) {
        Ok(()) => None,
        Err(AppendError::Storage(StorageError::Io { .. } | StorageError::SyncFailed { .. })) => {
            Some(())
        }
        Err(error) => panic!("operation {at}: {error}"),
    }
}

#[test]
fn a_process_crash_between_any_two_operations_loses_nothing_acked() {
    for short in [0, 30, 100_000] {
        for at in 0.. {
            let disk = MemoryDisk::new();
            let mut told = Told::default();
            let ended = crashed(&disk, &mut told, at, short).is_none();
            let what = format!("crash at operation {at}, {short} bytes of it written");
            let end = told.acked.keys().last().map_or(0, |base| base + 2);
            verify(&mut disk.clone(), &told, end, &what);
            if ended {
                assert!(at > 100, "only {at} operations");
                break;
            }
        }
    }
}

#[test]
fn a_power_loss_between_any_two_operations_loses_nothing_synced() {
    for at in 0.. {
        let mut ended = false;
        for seed in 0..6 {
            let disk = MemoryDisk::with_power();
            let mut told = Told::default();
            ended = crashed(&disk, &mut told, at, 200).is_none();
            disk.lose_power(seed * 1_000_003 + at);
            let what = format!("power loss at operation {at}, seed {seed}");
            verify(&mut disk.clone(), &told, told.synced, &what);
        }
        if ended {
            break;
        }
    }
}

#[test]
fn a_second_crash_while_recovering_loses_nothing_either() {
    for first in (40..160).step_by(9) {
        let disk = MemoryDisk::new();
        let mut told = Told::default();
        crashed(&disk, &mut told, first, 50);
        let end = told.acked.keys().last().map_or(0, |base| base + 2);
        for second in 0..40 {
            let disk = disk.fork();
            let plan = FaultPlan::default();
            plan.crash_at(second, 10);
            let mut failing = FailingDisk::new(Box::new(disk.clone()), plan);
            let mut later = told.clone();
            // Opening only: nothing new is told.
            let opened = BrokerDir::open(&mut failing, Path::new(ROOT), BrokerId(1));
            if let Ok((home, mut last)) = opened {
                let opening = last.opening(NAME);
                let _ = Log::open(
                    &mut failing,
                    &home.log_dir(NAME),
                    config().into(),
                    NOW,
                    opening,
                );
            }
            later.deleting = later.deleting.max(later.log_start);
            let what = format!("crash at {first}, then at {second} while opening");
            verify(&mut disk.clone(), &later, end, &what);
        }
    }
}

#[test]
fn epochs_cut_off_the_end_do_not_come_back_behind_other_batches() {
    for seed in 0..32 {
        let disk = MemoryDisk::with_power();
        let mut log = fresh(&mut disk.clone(), cold());
        let append = |log: &mut Log, epoch| {
            let batch = batch(5, b"v", 1_000);
            log.append(&mut disk.clone(), NOW, batch, LeaderEpoch(epoch))
                .unwrap();
        };
        append(&mut log, 5);
        append(&mut log, 5);
        append(&mut log, 6);
        log.sync_now(&mut disk.clone()).unwrap();
        // What another leader says stands where epoch 6 began. Only the batches reach the medium.
        log.truncate_to(&mut disk.clone(), NOW, Offset(7)).unwrap();
        append(&mut log, 9);
        append(&mut log, 9);
        disk.clone()
            .sync(&dir().join("00000000000000000000.log"))
            .unwrap();
        drop(log);
        disk.lose_power(seed);
        let (log, _) = open(&mut disk.clone(), cold(), unclean(0));
        log.check();
        let starts = [(LeaderEpoch(5), Offset(0)), (LeaderEpoch(9), Offset(5))];
        assert_eq!(log.epochs().starts(), starts, "seed {seed}");
        assert_eq!(log.log_end(), Offset(15), "seed {seed}");
    }
}
