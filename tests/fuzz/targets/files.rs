//! A broker started on damaged files: segments, indexes, snapshots, checkpoints, the metadata log.
//!
//! The input picks a disk (stopped or killed), a file on it and what becomes of it. Starting may be
//! refused with a sentence; it may not panic, and a broker that starts must hold what it always holds.
#![no_main]

use std::path::Path;

use klar::ids::{ProducerEpoch, ProducerId};
use klar::inspect::Focus;
use klar::storage::{Disk, MemoryDisk};
use klar::wire::records::BatchBuilder;
use klar_fuzz::drive::{Drive, START, disk_after};

thread_local! {
    static STOPPED: MemoryDisk = disk_after(life, true);
    static KILLED: MemoryDisk = disk_after(life, false);
}

libfuzzer_sys::fuzz_target!(|input: &[u8]| {
    let [disk, file, how, at_high, at_low, bytes @ ..] = input else {
        return;
    };
    let mut disk = match disk % 2 {
        0 => STOPPED.with(MemoryDisk::fork),
        _ => KILLED.with(MemoryDisk::fork),
    };
    let paths = disk.paths();
    let path = &paths[usize::from(*file) % paths.len()];
    let at = usize::from(u16::from_be_bytes([*at_high, *at_low]));
    damage(&mut disk, path, *how, at, bytes);
    if let Ok(mut drive) = Drive::open(disk, START.plus_ms(1000)) {
        drive.wait_ms(1000);
        life(&mut drive);
        drive.broker.check();
        drive.broker.picture(drive.now, &Focus::default());
    }
});

/// Two producers write a few batches over some seconds: enough for every kind of file.
fn life(drive: &mut Drive) {
    for step in 0..4 {
        let timestamp_ms = drive.now.as_ms();
        let mut plain = BatchBuilder::new();
        plain.push(timestamp_ms, Some(b"k"), Some(&[b'v'; 100]), &[]);
        drive.produce(&plain.build().expect("a small batch"), -1);
        let id = ProducerId(5);
        let mut idempotent = BatchBuilder::new().producer(id, ProducerEpoch(0), step);
        idempotent.push(timestamp_ms, None, Some(b"v"), &[]);
        drive.produce(&idempotent.build().expect("a small batch"), 1);
        drive.wait_ms(2000);
    }
}

/// Changes the file; the last bits of `how` say whether its checksum is made right afterwards.
fn damage(disk: &mut MemoryDisk, path: &Path, how: u8, at: usize, bytes: &[u8]) {
    let len = disk.len(path).expect("a path of this disk") as usize;
    let mut file = disk
        .read_at(path, 0, len)
        .expect("a path of this disk")
        .to_vec();
    match how & 3 {
        0 => file = bytes.to_vec(),
        1 => file.truncate(at),
        2 => file
            .iter_mut()
            .skip(at)
            .zip(bytes)
            .for_each(|(old, new)| *old ^= new),
        _ => {
            let at = at.min(file.len());
            file.splice(at..at, bytes.iter().copied());
        }
    }
    match how >> 6 {
        0 => {}
        1 => klar_fuzz::seal(&mut file),
        _ => {
            if let Some((covered, checksum)) = file.split_last_chunk_mut::<4>() {
                *checksum = crc32fast::hash(covered).to_be_bytes();
            }
        }
    }
    disk.truncate(path, 0).expect("memory does not fail");
    disk.write_at(path, 0, &file).expect("memory does not fail");
}
