//! Figures, not promises: run with
//! `cargo test --release --no-default-features --lib storage::tests::measure -- --ignored --nocapture --test-threads 1`.

use std::collections::BTreeMap;
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;

use super::support::*;
use crate::ids::{BrokerId, Offset};
use crate::storage::{BrokerDir, Log, LogConfig, RealDisk, TailBudget};

const TOTAL_BYTES: usize = 1024 * 1024 * 1024;

/// Seconds this thread was on a processor: unlike wall time it does not measure the neighbours.
fn busy_s() -> f64 {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap();
    let ns: f64 = text.split(' ').next().unwrap().parse().unwrap();
    ns / 1e9
}

fn mb_per_s(bytes: usize, since: f64) -> f64 {
    bytes as f64 / (busy_s() - since) / 1e6
}

/// Plain `pwrite` of the same pieces to a file beside the log.
fn raw_writes(dir: &Path, piece: &[u8]) -> f64 {
    let path = dir.join("raw");
    let file = File::create(&path).unwrap();
    let started = busy_s();
    for n in 0..TOTAL_BYTES / piece.len() {
        file.write_all_at(piece, (n * piece.len()) as u64).unwrap();
    }
    let rate = mb_per_s(TOTAL_BYTES, started);
    std::fs::remove_file(path).unwrap();
    rate
}

fn large() -> LogConfig {
    LogConfig {
        segment_bytes: 256 * 1024 * 1024,
        max_message_bytes: 8 * 1024 * 1024,
        ..LogConfig::default()
    }
}

fn append_all(disk: &mut RealDisk, log: &mut Log, piece: &Bytes) -> f64 {
    let started = busy_s();
    let count = TOTAL_BYTES / piece.len();
    for _ in 0..count {
        // Shared with the caller, as records in a frame are: appending copies it once.
        log.append(disk, NOW, piece.clone(), EPOCH).unwrap();
    }
    mb_per_s(count * piece.len(), started)
}

/// Reads everything and copies it once, as a socket would.
fn read_everything(disk: &mut RealDisk, log: &mut Log, sink: &mut [u8]) -> f64 {
    let started = busy_s();
    let (mut at, end) = (Offset(0), log.log_end());
    let mut total = 0;
    while at < end {
        for piece in log.read(disk, at, end, sink.len(), true).unwrap() {
            sink[..piece.len()].copy_from_slice(&piece);
            total += piece.len();
            for batch in crate::wire::records::batches(&piece).flatten() {
                at = batch.header().next_offset();
            }
        }
    }
    mb_per_s(total, started)
}

fn memcpy_rate(sink: &mut [u8]) -> f64 {
    let source = vec![1; sink.len()];
    let started = busy_s();
    for _ in 0..TOTAL_BYTES / sink.len() {
        sink.copy_from_slice(std::hint::black_box(&source));
        std::hint::black_box(&sink);
    }
    mb_per_s(TOTAL_BYTES, started)
}

#[test]
#[ignore = "prints figures"]
fn append_and_read_against_raw_calls() {
    let temp = tempfile::tempdir_in(std::env::current_dir().unwrap()).unwrap();
    let mut sink = vec![0; 1024 * 1024];
    let memcpy = memcpy_rate(&mut sink);
    println!("memcpy of 1 MiB pieces: {memcpy:.0} MB/s");
    for len in [1_000, 16_000, 64_000, 1_000_000] {
        let piece = batch(1, &vec![7; len], 0);
        let raw = raw_writes(temp.path(), &piece);
        let mut disk = RealDisk::new();
        let dir = temp.path().join(format!("t-{len}"));
        let config = Arc::new(large());
        let (mut log, _) = Log::open(&mut disk, &dir, config, NOW, unclean(0)).unwrap();
        let append = append_all(&mut disk, &mut log, &piece);
        let ratio = append / raw;
        println!("append {len} B batches: {append:.0} MB/s, {ratio:.2} of raw pwrite");
        let read = read_everything(&mut disk, &mut log, &mut sink);
        let ratio = read / memcpy;
        println!("read back and copy once: {read:.0} MB/s, {ratio:.2} of memcpy");
        let state = log.close_clean(&mut disk).unwrap();
        drop(log);
        let opening = crate::storage::Opening::Clean(Box::new(state));
        let config = Arc::new(large());
        let (mut log, _) = Log::open(&mut disk, &dir, config, NOW, opening).unwrap();
        let read = read_everything(&mut disk, &mut log, &mut sink);
        let ratio = read / memcpy;
        println!("first read after a restart, CRC checked: {read:.0} MB/s, {ratio:.2} of memcpy");
        let dir = log.dir().to_owned();
        drop(log);
        crate::storage::delete_dir(&mut disk, &dir, "gone").unwrap();
    }
}

fn resident_bytes() -> usize {
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap();
    let pages: usize = statm.split(' ').nth(1).unwrap().parse().unwrap();
    pages * 4096
}

#[test]
#[ignore = "prints figures"]
fn ten_thousand_partitions() {
    const PARTITIONS: usize = 10_000;
    let temp = tempfile::tempdir_in(std::env::current_dir().unwrap()).unwrap();
    let mut disk = RealDisk::new();
    let config = Arc::new(LogConfig {
        tail_budget: TailBudget::new(0),
        ..LogConfig::default()
    });
    let (mut home, _) = BrokerDir::open(&mut disk, temp.path(), BrokerId(1)).unwrap();
    let mut states = BTreeMap::new();
    let mut points = BTreeMap::new();
    let started = Instant::now();
    for n in 0..PARTITIONS {
        let name = format!("topic-{n}");
        let dir = home.log_dir(&name);
        let (mut log, _) = Log::open(&mut disk, &dir, config.clone(), NOW, unclean(0)).unwrap();
        log.append(&mut disk, NOW, batch(1, b"x", 0), EPOCH)
            .unwrap();
        // Not synced: this measures opening, not the medium.
        let ticket = log.begin_sync().unwrap();
        log.on_synced(&ticket, Ok(()));
        points.insert(name.clone(), log.recovery_point());
        states.insert(name, log.close_clean(&mut disk).unwrap());
    }
    println!("made and closed: {:.2} s", started.elapsed().as_secs_f64());
    home.write_clean_stop(&mut disk, &states).unwrap();
    for clean in [true, false] {
        drop(std::mem::take(&mut states));
        let before = resident_bytes();
        let started = Instant::now();
        let (home, mut last) = BrokerDir::open(&mut disk, temp.path(), BrokerId(1)).unwrap();
        assert_eq!(last.clean, clean);
        let mut logs = Vec::new();
        for name in points.keys() {
            let dir = home.log_dir(name);
            let opening = last.opening(name);
            let (log, found) = Log::open(&mut disk, &dir, config.clone(), NOW, opening).unwrap();
            assert_eq!(found.clean, clean);
            logs.push(log);
        }
        drop(last);
        let seconds = started.elapsed().as_secs_f64();
        let each = resident_bytes().saturating_sub(before) / PARTITIONS;
        println!("open after clean={clean}: {seconds:.2} s, {each} bytes resident each");
        assert!(seconds < 3.0 && each <= 4096);
    }
}

#[test]
fn an_idle_log_is_small() {
    let mut disk = crate::storage::MemoryDisk::new();
    let log = fresh(&mut disk, LogConfig::default());
    let fixed = size_of::<Log>() + size_of_val(&*log.segments);
    assert!(fixed < 1024, "{fixed} bytes");
}
