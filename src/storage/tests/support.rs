//! What storage tests share: batches to append, and a log on a disk of their own.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;

use crate::ids::{LeaderEpoch, Offset, ProducerEpoch, ProducerId, Time};
use crate::storage::{Disk, Log, LogConfig, MemoryDisk, Opening, Recovered};
use crate::wire::records::{BatchBuilder, batches};

pub const EPOCH: LeaderEpoch = LeaderEpoch(3);
pub const NOW: Time = Time(1_000_000_000);

pub fn dir() -> PathBuf {
    PathBuf::from("/klar/broker-1/t-0")
}

/// A batch of `records` records, each with `value`, timestamps counting up from `first_ms`.
pub fn batch(records: usize, value: &[u8], first_ms: i64) -> Bytes {
    builder(records, value, first_ms).build().unwrap().into()
}

fn builder(records: usize, value: &[u8], first_ms: i64) -> BatchBuilder {
    let mut builder = BatchBuilder::new();
    for n in 0..records {
        builder.push(first_ms + n as i64, None, Some(value), &[]);
    }
    builder
}

/// A batch of an idempotent producer.
pub fn produced(records: usize, id: i64, epoch: i16, sequence: i32) -> Bytes {
    let mut builder = builder(records, b"idempotent", 1000);
    builder.set_producer(ProducerId(id), ProducerEpoch(epoch), sequence);
    builder.build().unwrap().into()
}

/// Small segments and a dense index, so that a few batches show everything.
pub fn small() -> LogConfig {
    LogConfig {
        segment_bytes: 1000,
        index_interval_bytes: 100,
        retention_ms: -1,
        ..LogConfig::default()
    }
}

/// As [`small`], without the newest batches in memory: every read goes to the file.
pub fn cold() -> LogConfig {
    LogConfig {
        tail_bytes: 0,
        ..small()
    }
}

pub fn open(disk: &mut dyn Disk, config: LogConfig, opening: Opening) -> (Log, Recovered) {
    Log::open(disk, &dir(), Arc::new(config), NOW, opening).unwrap()
}

pub fn fresh(disk: &mut dyn Disk, config: LogConfig) -> Log {
    open(disk, config, unclean(0)).0
}

pub fn unclean(recovery_point: i64) -> Opening {
    Opening::Unclean {
        recovery_point: Offset(recovery_point),
    }
}

/// The batches of everything that can be read from `from` on, jumping over damage.
pub fn read_all(disk: &mut dyn Disk, log: &mut Log, from: Offset) -> Vec<Bytes> {
    let mut found = Vec::new();
    let mut at = from;
    while at < log.log_end() {
        let end = log.log_end();
        match log.read(disk, at, end, 300, true) {
            Ok(pieces) => {
                assert!(!pieces.is_empty(), "nothing at {at} of {end}");
                for piece in &pieces {
                    for batch in batches(piece) {
                        let batch = batch.unwrap();
                        assert!(batch.crc_ok());
                        found.push(piece.slice_ref(batch.bytes()));
                        at = batch.header().next_offset();
                    }
                }
            }
            Err(crate::storage::ReadError::Corrupt { below, from, .. }) => {
                assert!(from <= at && at < below);
                at = below;
            }
            Err(error) => panic!("reading at {at}: {error}"),
        }
    }
    found
}

/// A memory disk with a log of `count` batches of three records each, and the batches as stored.
pub fn filled(config: LogConfig, count: usize) -> (MemoryDisk, Log, Vec<Bytes>) {
    filled_with(config, count, 40)
}

/// As [`filled`], with values of `len` bytes.
pub fn filled_with(config: LogConfig, count: usize, len: usize) -> (MemoryDisk, Log, Vec<Bytes>) {
    let mut disk = MemoryDisk::new();
    let mut log = fresh(&mut disk, config);
    for n in 0..count {
        let batch = batch(3, &vec![n as u8; len], 1000 * n as i64);
        log.append(&mut disk, NOW, batch, EPOCH).unwrap();
        log.check();
    }
    let stored = read_all(&mut disk, &mut log, Offset::ZERO);
    assert_eq!(stored.len(), count);
    (disk, log, stored)
}

/// Overwrites a file.
pub fn put_file(disk: &mut dyn Disk, path: &Path, bytes: &[u8]) {
    disk.truncate(path, 0).unwrap();
    disk.write_at(path, 0, bytes).unwrap();
}

/// Reads a file.
pub fn get_file(disk: &mut dyn Disk, path: &Path) -> Vec<u8> {
    let len = disk.len(path).unwrap() as usize;
    disk.read_at(path, 0, len).unwrap().to_vec()
}
