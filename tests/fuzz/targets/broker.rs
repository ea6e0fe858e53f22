//! A whole broker under any sequence of requests, sealed batches and waits, on a memory disk.
//!
//! The input is a list of steps: what kind, an API, a version, a length, so many bytes. No step may make
//! it panic or leave it in a state its own checks refuse; at the end it must open again from its disk.
#![no_main]

use klar::inspect::Focus;
use klar::storage::MemoryDisk;
use klar_fuzz::drive::{Drive, START, disk_after};

/// Steps taken of one input.
const MAX_STEPS: usize = 64;

thread_local! {
    static PREPARED: MemoryDisk = disk_after(|_| {}, true);
}

libfuzzer_sys::fuzz_target!(|input: &[u8]| {
    let disk = PREPARED.with(MemoryDisk::fork);
    let mut drive = Drive::open(disk.clone(), START).expect("an intact disk can be opened");
    let mut rest = input;
    for _ in 0..MAX_STEPS {
        let [kind, api, version, length, tail @ ..] = rest else {
            break;
        };
        let (body, tail) = tail.split_at(usize::from(*length).min(tail.len()));
        rest = tail;
        match kind % 4 {
            0 | 1 => drive.request(usize::from(kind % 2), &[&[*api, *version], body].concat()),
            2 => drive.produce(body, i16::from(*version % 3) - 1),
            _ => drive.wait_ms(i64::from(*api) * 100),
        }
    }
    drive.broker.check();
    drive.broker.picture(drive.now, &Focus::default());
    let now = drive.now;
    drop(drive);
    let again = Drive::open(disk, now).expect("a broker opens its own disk");
    again.broker.check();
});
