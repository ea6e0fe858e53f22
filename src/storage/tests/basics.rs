//! Appending, reading, rolling, times, retention, and opening again.

use std::sync::Arc;

use super::support::*;
use crate::ids::{LeaderEpoch, Offset, Time};
use crate::storage::{
    AppendError, Disk, Log, LogConfig, LookBudget, MemoryDisk, Note, Opening, ReadError, RealDisk,
    TimestampType,
};
use crate::wire::records::{BatchHeader, BatchView, batches};

#[test]
fn what_was_appended_is_read_back_from_memory_and_from_files() {
    for config in [small(), cold()] {
        let (mut disk, mut log, stored) = filled(config, 30);
        assert_eq!(log.log_end(), Offset(90));
        assert!(log.segment_states().count() > 3);
        for (n, batch) in stored.iter().enumerate() {
            let header = BatchHeader::parse(batch).unwrap();
            assert_eq!(header.base_offset, Offset(3 * n as i64));
            assert_eq!(header.leader_epoch, EPOCH);
        }
        for from in 0..90 {
            let found = log
                .read(&mut disk, Offset(from), Offset(90), 1, true)
                .unwrap();
            assert_eq!(found[0], stored[from as usize / 3], "from {from}");
            let none = log
                .read(&mut disk, Offset(from), Offset(90), 1, false)
                .unwrap();
            assert_eq!(none.len(), 0);
        }
    }
}

#[test]
fn a_read_stops_at_the_limit_and_refuses_what_is_outside() {
    let (mut disk, mut log, stored) = filled(cold(), 4);
    let found = log
        .read(&mut disk, Offset(0), Offset(7), 10_000, true)
        .unwrap();
    assert_eq!(found.concat(), [&stored[0][..], &stored[1]].concat());
    assert_eq!(
        log.read(&mut disk, Offset(12), Offset(12), 9, true)
            .unwrap()
            .len(),
        0
    );
    let error = log
        .read(&mut disk, Offset(13), Offset(13), 9, true)
        .unwrap_err();
    assert!(matches!(error, ReadError::OutOfRange { .. }));
    log.set_log_start(&mut disk, Offset(4)).unwrap();
    let error = log
        .read(&mut disk, Offset(3), Offset(12), 9, true)
        .unwrap_err();
    assert!(matches!(error, ReadError::OutOfRange { .. }));
    assert_eq!(
        log.read(&mut disk, Offset(4), Offset(12), 9, true).unwrap()[0],
        stored[1]
    );
}

#[test]
fn a_log_opens_again_after_a_clean_stop_and_after_a_crash() {
    for config in [small(), cold()] {
        let (mut disk, mut log, stored) = filled(config.clone(), 20);
        let state = log.close_clean(&mut disk).unwrap();
        let shown: Vec<_> = log.segment_states().collect();
        drop(log);
        for opening in [
            Opening::Clean(Box::new(state.clone())),
            unclean(60),
            unclean(30),
            unclean(0),
            Opening::Unknown,
        ] {
            let mut disk = disk.fork();
            let clean = matches!(opening, Opening::Clean(_));
            let (mut log, recovered) = open(&mut disk, config.clone(), opening);
            assert_eq!(recovered.clean, clean);
            assert_eq!((recovered.cut_bytes, recovered.damages.len()), (0, 0));
            assert_eq!(log.log_end(), Offset(60));
            let same = log.segment_states().zip(&shown);
            assert!(same.into_iter().all(|(now, before)| now == *before));
            assert_eq!(read_all(&mut disk, &mut log, Offset(0)), stored);
            assert_eq!(log.epochs().starts(), [(EPOCH, Offset(0))]);
            let more = batch(2, b"more", 99_000);
            let more = log.append(&mut disk, NOW, more, LeaderEpoch(4)).unwrap();
            assert_eq!((more.base, more.last), (Offset(60), Offset(61)));
            assert_eq!(read_all(&mut disk, &mut log, Offset(0)).len(), 21);
            log.check();
        }
    }
}

#[test]
fn real_files_hold_what_memory_holds() {
    let temp = tempfile::tempdir().unwrap();
    let dir = temp.path().join("broker-1/t-0");
    let mut disk = RealDisk::new();
    let config = Arc::new(cold());
    let (mut log, _) = Log::open(&mut disk, &dir, config.clone(), NOW, unclean(0)).unwrap();
    let (mut other, mut memory, stored) = filled(cold(), 25);
    for n in 0..25 {
        let batch = batch(3, &[n as u8; 40], 1000 * i64::from(n));
        log.append(&mut disk, NOW, batch, EPOCH).unwrap();
    }
    assert_eq!(read_all(&mut disk, &mut log, Offset(0)), stored);
    let state = log.close_clean(&mut disk).unwrap();
    memory.close_clean(&mut other).unwrap();
    for entry in disk.list(&dir).unwrap() {
        let name = &entry.name;
        let same = get_file(&mut other, &super::support::dir().join(name));
        assert_eq!(get_file(&mut disk, &dir.join(name)), same, "{name}");
    }
    let mut disk = RealDisk::new();
    let opening = Opening::Clean(Box::new(state));
    let (mut log, recovered) = Log::open(&mut disk, &dir, config, NOW, opening).unwrap();
    assert!(recovered.clean);
    assert_eq!(read_all(&mut disk, &mut log, Offset(0)), stored);
    assert_eq!(
        log.truncate_to(&mut disk, NOW, Offset(10)).unwrap(),
        log_cut(&stored)
    );
    assert_eq!(read_all(&mut disk, &mut log, Offset(0)), stored[..3]);
    drop(log);
    crate::storage::delete_dir(&mut disk, &dir, "gone").unwrap();
    assert!(!dir.exists());
}

fn log_cut(stored: &[bytes::Bytes]) -> u64 {
    stored[3..].iter().map(|batch| batch.len() as u64).sum()
}

#[test]
fn bytes_a_reader_holds_outlive_a_truncation_and_what_comes_after_it() {
    let temp = tempfile::tempdir().unwrap();
    let dir = temp.path().join("broker-1/t-0");
    let mut disk = RealDisk::new();
    let config = Arc::new(LogConfig {
        segment_bytes: 1 << 20,
        ..cold()
    });
    let (mut log, _) = Log::open(&mut disk, &dir, config, NOW, unclean(0)).unwrap();
    // Whole pages go: reading a map behind the end of its file would end the process.
    let value = vec![7; 20_000];
    for n in 0..9 {
        log.append(&mut disk, NOW, batch(1, &value, n), EPOCH)
            .unwrap();
    }
    let held = log
        .read(&mut disk, Offset(0), Offset(9), usize::MAX, true)
        .unwrap();
    let before: Vec<Vec<u8>> = held.iter().map(|piece| piece.to_vec()).collect();
    log.truncate_to(&mut disk, NOW, Offset(1)).unwrap();
    log.truncate_to(&mut disk, NOW, Offset(0)).unwrap();
    let other = batch(1, &[9; 30_000], 5);
    log.append(&mut disk, NOW, other, EPOCH).unwrap();
    assert_eq!(held, before);
    let now = log
        .read(&mut disk, Offset(0), Offset(1), usize::MAX, true)
        .unwrap();
    assert!(batches(&now[0]).all(|batch| batch.unwrap().crc_ok()));
    assert_eq!(log.log_end(), Offset(1));
}

#[test]
fn idempotent_batches_are_appended_once_p1_p2_p3() {
    let mut disk = MemoryDisk::new();
    let mut log = fresh(&mut disk, small());
    let mut first = Vec::new();
    for n in 0..7 {
        let appended = log
            .append(&mut disk, NOW, produced(2, 9, 0, 2 * n), EPOCH)
            .unwrap();
        first.push(appended.base);
    }
    let check = |log: &mut Log, disk: &mut MemoryDisk| {
        for n in 2..7 {
            let again = log
                .append(disk, NOW, produced(2, 9, 0, 2 * n), EPOCH)
                .unwrap();
            assert!(again.duplicate);
            assert_eq!(again.base, first[n as usize]);
        }
        for sequence in [0, 15, 13] {
            let refused = log.append(disk, NOW, produced(2, 9, 0, sequence), EPOCH);
            let error = refused.unwrap_err();
            assert!(
                matches!(error, AppendError::OutOfOrderSequence { .. }),
                "{error}"
            );
        }
        assert_eq!(log.log_end(), Offset(14));
    };
    check(&mut log, &mut disk);
    let state = log.close_clean(&mut disk).unwrap();
    for opening in [Opening::Clean(Box::new(state)), unclean(14), unclean(0)] {
        for lost in [false, true] {
            let mut disk = disk.fork();
            for path in disk.paths() {
                if lost && path.extension().is_some_and(|e| e == "snapshot") {
                    put_file(&mut disk, &path, b"KLARPROD lost");
                }
            }
            let (mut log, _) = open(&mut disk, small(), opening.clone());
            check(&mut log, &mut disk);
            let bumped = log
                .append(&mut disk, NOW, produced(2, 9, 1, 0), EPOCH)
                .unwrap();
            assert_eq!(bumped.base, Offset(14));
            let fenced = log
                .append(&mut disk, NOW, produced(2, 9, 0, 14), EPOCH)
                .unwrap_err();
            assert!(matches!(fenced, AppendError::FencedProducer { .. }));
            let begins = log
                .append(&mut disk, NOW, produced(2, 9, 2, 5), EPOCH)
                .unwrap_err();
            assert!(matches!(
                begins,
                AppendError::OutOfOrderSequence { due: None, .. }
            ));
        }
    }
}

#[test]
fn sequences_wrap_and_silent_producers_are_forgotten() {
    let mut disk = MemoryDisk::new();
    let mut log = fresh(&mut disk, small());
    log.append(&mut disk, NOW, produced(2, 5, 0, i32::MAX - 1), EPOCH)
        .unwrap();
    log.append(&mut disk, NOW, produced(2, 5, 0, 0), EPOCH)
        .unwrap();
    assert_eq!(log.producer_count(), 1);
    let later = NOW.plus_ms(log.config().producer_expiration_ms + 1);
    log.apply_retention(&mut disk, later, Offset(4)).unwrap();
    assert_eq!(log.producer_count(), 0);
}

#[test]
fn the_first_record_at_or_after_a_time_is_found() {
    let (mut disk, mut log, _) = filled(cold(), 30);
    let mut find = |ms| {
        let found = log
            .offset_for_time(&mut disk, ms, Offset(90), &mut LookBudget::default())
            .unwrap();
        found.map(|found| (found.offset.0, found.timestamp_ms))
    };
    assert_eq!(find(-5), Some((0, 0)));
    for n in 0..30 {
        assert_eq!(find(1000 * n), Some((3 * n, 1000 * n)));
        assert_eq!(find(1000 * n + 2), Some((3 * n + 2, 1000 * n + 2)));
        let next = (n < 29).then(|| (3 * n + 3, 1000 * n + 1000));
        assert_eq!(find(1000 * n + 3), next);
    }
    let latest = log
        .offset_of_max_timestamp(&mut disk, Offset(90), &mut LookBudget::default())
        .unwrap()
        .unwrap();
    assert_eq!((latest.offset, latest.timestamp_ms), (Offset(89), 29_002));
}

#[test]
fn log_append_time_stamps_the_batch_and_its_crc() {
    let mut disk = MemoryDisk::new();
    let config = LogConfig {
        timestamp_type: TimestampType::LogAppendTime,
        ..small()
    };
    let mut log = fresh(&mut disk, config);
    let appended = log
        .append(&mut disk, Time::from_ms(777), batch(2, b"x", 5), EPOCH)
        .unwrap();
    assert_eq!(appended.log_append_time_ms, 777);
    let found = log.read(&mut disk, Offset(0), Offset(2), 1, true).unwrap();
    let view = BatchView::first(&found[0]).unwrap();
    assert!(view.crc_ok() && view.header().is_log_append_time());
    assert_eq!(view.header().max_timestamp_ms, 777);
}

#[test]
fn retention_deletes_by_age_by_size_and_below_the_log_start() {
    let (mut disk, mut log, stored) = filled(cold(), 30);
    let age = LogConfig {
        retention_ms: 10_000,
        ..cold()
    };
    log.set_config(Arc::new(age));
    let now = Time::from_ms(25_000);
    let deleted = log.apply_retention(&mut disk, now, Offset(90)).unwrap();
    assert!(deleted > 0);
    let start = log.log_start();
    assert!(start > Offset(30) && start <= Offset(45), "{start}");
    assert!(matches!(
        log.take_notes().last(),
        Some(Note::Deleted { .. })
    ));
    assert_eq!(log.apply_retention(&mut disk, now, Offset(90)).unwrap(), 0);

    let size = LogConfig {
        retention_bytes: 1200,
        ..cold()
    };
    log.set_config(Arc::new(size));
    log.apply_retention(&mut disk, now, Offset(90)).unwrap();
    assert!(log.bytes() >= 1200 && log.bytes() < 2200, "{}", log.bytes());

    log.set_config(Arc::new(cold()));
    log.set_log_start(&mut disk, Offset(89)).unwrap();
    log.apply_retention(&mut disk, now, Offset(90)).unwrap();
    assert_eq!(log.segment_states().count(), 1);
    let (mut log, _) = open(&mut disk, cold(), unclean(90));
    assert_eq!(log.log_start(), Offset(89));
    assert_eq!(read_all(&mut disk, &mut log, Offset(89)), stored[29..]);
}

#[test]
fn a_wholly_expired_log_keeps_its_place() {
    let (mut disk, mut log, _) = filled(cold(), 10);
    let config = LogConfig {
        retention_ms: 1,
        ..cold()
    };
    log.set_config(Arc::new(config.clone()));
    let later = Time::from_ms(1_000_000);
    log.apply_retention(&mut disk, later, Offset(30)).unwrap();
    assert_eq!(
        (log.log_start(), log.log_end(), log.bytes()),
        (Offset(30), Offset(30), 0)
    );
    let (log, _) = open(&mut disk, config.clone(), unclean(0));
    assert_eq!((log.log_start(), log.log_end()), (Offset(30), Offset(30)));
}

#[test]
fn nothing_at_the_high_watermark_is_deleted() {
    let (mut disk, mut log, _) = filled(cold(), 10);
    log.set_config(Arc::new(LogConfig {
        retention_ms: 0,
        ..cold()
    }));
    let later = Time::from_ms(1_000_000);
    log.apply_retention(&mut disk, later, Offset(13)).unwrap();
    assert!(log.log_start() <= Offset(13));
    assert_eq!(log.log_end(), Offset(30));
}

#[test]
fn segment_ms_and_large_batches() {
    let mut disk = MemoryDisk::new();
    let config = LogConfig {
        segment_ms: 500,
        segment_bytes: 100_000,
        max_message_bytes: 2000,
        ..cold()
    };
    let mut log = fresh(&mut disk, config);
    for ms in [0, 400, 501, 900, 1100] {
        log.append(&mut disk, NOW, batch(1, b"x", ms), EPOCH)
            .unwrap();
    }
    assert_eq!(log.segment_states().count(), 3);
    let error = log
        .append(&mut disk, NOW, batch(1, &[0; 2000], 0), EPOCH)
        .unwrap_err();
    assert!(matches!(error, AppendError::TooLarge { limit: 2000, .. }));
    assert_eq!(log.log_end(), Offset(5));
}

#[test]
fn a_follower_takes_what_continues_its_log_and_truncates() {
    let (mut disk, mut log, stored) = filled(cold(), 10);
    let mut disk2 = MemoryDisk::new();
    let mut follower = fresh(&mut disk2, cold());
    let all = bytes::Bytes::from(stored.concat());
    let appended = follower
        .append_as_follower(&mut disk2, NOW, &all)
        .unwrap()
        .unwrap();
    assert_eq!((appended.base, appended.last), (Offset(0), Offset(29)));
    let error = follower
        .append_as_follower(&mut disk2, NOW, &all)
        .unwrap_err();
    assert!(matches!(error, AppendError::NotNext { .. }));
    log.append(&mut disk, NOW, batch(3, b"x", 0), LeaderEpoch(5))
        .unwrap();
    assert_eq!(log.end_of_epoch(LeaderEpoch(4)), Some((EPOCH, Offset(30))));
    for end in [Offset(30), Offset(17), Offset(6), Offset(0)] {
        log.truncate_to(&mut disk, NOW, end).unwrap();
        log.check();
        let whole = end.0 as usize / 3;
        assert_eq!(log.log_end(), Offset(whole as i64 * 3));
        assert_eq!(read_all(&mut disk, &mut log, Offset(0)), stored[..whole]);
        let (mut again, _) = open(&mut disk.fork(), cold(), unclean(0));
        assert_eq!(again.log_end(), log.log_end());
        assert_eq!(read_all(&mut disk, &mut again, Offset(0)), stored[..whole]);
    }
    follower.restart_at(&mut disk2, Offset(100)).unwrap();
    let (again, _) = open(&mut disk2, cold(), unclean(0));
    assert_eq!(
        (again.log_start(), again.log_end()),
        (Offset(100), Offset(100))
    );
}
