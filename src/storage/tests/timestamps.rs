//! Offsets by time where headers say too much, and where the latest records are deleted or not readable yet.

use bytes::Bytes;

use super::support::*;
use crate::ids::Offset;
use crate::storage::{Log, LogConfig, LookBudget, MemoryDisk};
use crate::wire::records::{BatchBuilder, Codec};

const LATE: i64 = 1 << 40;

/// A small batch that unpacks to 3 MiB and whose header claims a later record than it has.
fn lying(first_ms: i64) -> Bytes {
    let mut builder = BatchBuilder::new().codec(Codec::Zstd);
    for n in 0..3 {
        builder.push(first_ms + n, None, Some(&[0; 1024 * 1024]), &[]);
    }
    let mut batch = builder.build().unwrap();
    batch[35..43].copy_from_slice(&LATE.to_be_bytes());
    let crc = crc32c::crc32c(&batch[21..]);
    batch[17..21].copy_from_slice(&crc.to_be_bytes());
    batch.into()
}

fn log_of(batches: impl IntoIterator<Item = Bytes>) -> (MemoryDisk, Log) {
    let mut disk = MemoryDisk::new();
    let config = LogConfig {
        segment_bytes: 100_000,
        ..cold()
    };
    let mut log = fresh(&mut disk, config);
    for batch in batches {
        log.append(&mut disk, NOW, batch, EPOCH).unwrap();
    }
    (disk, log)
}

#[test]
fn looking_for_a_time_unpacks_no_more_than_a_few_mebibytes() {
    let (mut disk, mut log) = log_of((0..40).map(lying));
    let end = log.log_end();
    let mut budget = LookBudget::default();
    let mut find = |log: &mut Log| {
        let found = log.offset_for_time(&mut disk, LATE, end, &mut budget);
        found
            .unwrap()
            .map(|found| (found.offset, found.timestamp_ms))
    };
    // Two batches are read in vain; of the third the header is believed.
    assert_eq!(find(&mut log), Some((Offset(6), LATE)));
    // The same request gets no more.
    assert_eq!(find(&mut log), Some((Offset(0), LATE)));
    let found = log.offset_of_max_timestamp(&mut disk, end, &mut LookBudget::default());
    assert_eq!(found.unwrap().unwrap().timestamp_ms, LATE);
}

#[test]
fn one_lie_does_not_hide_what_is_behind_it() {
    let honest = (0..3).map(|n| batch(1, b"x", LATE + n));
    let (mut disk, mut log) = log_of([lying(0)].into_iter().chain(honest));
    let end = log.log_end();
    for (ms, offset) in [(1, 1), (LATE, 3), (LATE + 2, 5)] {
        let found = log.offset_for_time(&mut disk, ms, end, &mut LookBudget::default());
        assert_eq!(found.unwrap().unwrap().offset, Offset(offset));
    }
}

#[test]
fn the_largest_timestamp_is_that_of_the_records_that_can_be_read() {
    let times = [1000, 5000, 2000, 3000];
    let (mut disk, mut log) = log_of(times.map(|ms| batch(1, b"x", ms)));
    let mut latest = |log: &mut Log, below: i64| {
        let below = Offset(below);
        let found = log.offset_of_max_timestamp(&mut disk, below, &mut LookBudget::default());
        found.unwrap().map(|f| (f.offset.0, f.timestamp_ms))
    };
    assert_eq!(latest(&mut log, 4), Some((1, 5000)));
    assert_eq!(latest(&mut log, 1), Some((0, 1000)));
    let mut other = disk.clone();
    log.set_log_start(&mut other, Offset(2)).unwrap();
    let mut latest = |log: &mut Log, below: i64| {
        let below = Offset(below);
        let found = log.offset_of_max_timestamp(&mut disk, below, &mut LookBudget::default());
        found.unwrap().map(|f| (f.offset.0, f.timestamp_ms))
    };
    assert_eq!(latest(&mut log, 4), Some((3, 3000)));
    assert_eq!(latest(&mut log, 3), Some((2, 2000)));
    assert_eq!(latest(&mut log, 2), None);
}

#[test]
fn the_largest_timestamp_is_found_in_a_batch_that_is_half_deleted_and_across_segments() {
    let (mut disk, mut log, _) = filled(cold(), 30);
    for (start, below) in [(1, 90), (2, 3), (1, 3), (40, 60), (41, 42)] {
        log.set_log_start(&mut disk, Offset(start)).unwrap();
        let below = Offset(below);
        let found = log.offset_of_max_timestamp(&mut disk, below, &mut LookBudget::default());
        let found = found.unwrap().unwrap();
        assert_eq!(found.offset, below + -1, "from {start}");
        assert_eq!(
            found.timestamp_ms,
            found.offset.0 / 3 * 1000 + found.offset.0 % 3
        );
    }
}
