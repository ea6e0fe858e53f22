//! 200 SIGKILLs at random moments under three writing clients, also while the broker starts: nothing
//! acknowledged is lost, nothing is twice, nothing appears that was not sent (D2, D3, P1, P2).
//!
//! Each client writes the numbers 0, 1, 2 … to a partition of its own as an idempotent producer, and after a
//! kill sends again what was not acknowledged. So whatever happened, offset n must hold the number n.

#![allow(clippy::unwrap_used)]

mod client;
mod server;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use client::Client;
use server::Server;

const KILLS: usize = 200;
const PARTITIONS: i32 = 3;
/// Longest a broker lives after it is ready, and one of so many is killed before it is.
const LIFE: Duration = Duration::from_millis(60);
const KILLED_WHILE_STARTING: u64 = 5;
/// Numbers read again after each kill, below the last acknowledged one.
const READ_AGAIN: u64 = 200;
const MAX_RECORDS_PER_BATCH: u64 = 8;

/// A generator small enough to be here (SplitMix64); the seed is printed by a failure.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }
}

/// What one writing client knows.
struct Writer {
    partition: i32,
    producer_id: i64,
    /// Numbers below this were acknowledged; the next batch begins here.
    acked: u64,
    /// How many numbers the batch without an answer holds.
    pending: Option<u64>,
    random: Random,
}

impl Writer {
    /// Writes until the broker is gone; answers how many batches were acknowledged.
    fn run(&mut self, bootstrap: &str) -> u64 {
        let Ok(mut client) = Client::connect(bootstrap) else {
            return 0;
        };
        let mut batches = 0;
        loop {
            let count = match self.pending {
                Some(count) => count,
                None => 1 + self.random.next() % MAX_RECORDS_PER_BATCH,
            };
            self.pending = Some(count);
            let sent = client.produce(self.partition, self.producer_id, self.acked, count);
            let Ok(offset) = sent else { return batches };
            assert_eq!(
                offset, self.acked,
                "partition {}: an offset moved",
                self.partition
            );
            self.acked += count;
            self.pending = None;
            batches += 1;
        }
    }

    /// Everything from `from` on is the number of its offset, and reaches what was acknowledged.
    fn verify(&self, bootstrap: &str, from: u64) {
        let mut client = Client::connect(bootstrap).unwrap();
        let mut next = from;
        while let Some(numbers) = client.fetch(self.partition, next) {
            for (offset, number) in numbers {
                if offset < next {
                    continue; // the batch began before what was asked for
                }
                assert_eq!(offset, next, "partition {}: a gap", self.partition);
                assert_eq!(
                    number, offset,
                    "partition {}: a value nobody sent there",
                    self.partition
                );
                next += 1;
            }
        }
        let sent = self.acked + self.pending.unwrap_or(0);
        assert!(
            next >= self.acked,
            "partition {}: {next} records left of {} acknowledged",
            self.partition,
            self.acked
        );
        assert!(
            next <= sent,
            "partition {}: {next} records but only {sent} sent",
            self.partition
        );
    }
}

#[test]
fn kills_lose_nothing_acknowledged() {
    let seed = std::env::var("KLAR_TEST_SEED")
        .ok()
        .and_then(|s| s.parse().ok())
        .unwrap_or(1);
    println!("KLAR_TEST_SEED={seed}");
    let mut random = Random(seed);
    let dir = tempfile::tempdir().unwrap();
    let mut server = Server::start(dir.path());
    let mut writers = first_writers(&server.ready(), &mut random);
    let mut batches = 0;
    for kill in 0..KILLS {
        let while_starting = kill > 0 && random.next().is_multiple_of(KILLED_WHILE_STARTING);
        let wait = Duration::from_micros(random.next() % LIFE.as_micros() as u64);
        if while_starting {
            std::thread::sleep(wait);
            server.kill();
        } else {
            let bootstrap = server.ready();
            for writer in &writers {
                writer.verify(&bootstrap, writer.acked.saturating_sub(READ_AGAIN));
            }
            batches += write_until_killed(&mut writers, &bootstrap, server, wait);
        }
        server = Server::start(dir.path());
    }
    let bootstrap = server.ready();
    for writer in &writers {
        writer.verify(&bootstrap, 0);
    }
    let records: u64 = writers.iter().map(|writer| writer.acked).sum();
    println!("{KILLS} kills, {batches} batches and {records} records acknowledged");
    assert!(
        batches > KILLS as u64,
        "hardly anything was written: {batches} batches"
    );
    server.kill();
}

fn first_writers(bootstrap: &str, random: &mut Random) -> Vec<Writer> {
    let mut client = Client::connect(bootstrap).unwrap();
    client.create_topic(PARTITIONS);
    let writer = |partition| Writer {
        partition,
        producer_id: client.init_producer_id(),
        acked: 0,
        pending: None,
        random: Random(random.next()),
    };
    (0..PARTITIONS).map(writer).collect()
}

/// All writers at once, and a kill in their midst.
fn write_until_killed(
    writers: &mut [Writer],
    bootstrap: &str,
    server: Server,
    wait: Duration,
) -> u64 {
    let batches = Arc::new(AtomicU64::new(0));
    std::thread::scope(|scope| {
        for writer in writers.iter_mut() {
            let batches = batches.clone();
            scope.spawn(move || batches.fetch_add(writer.run(bootstrap), Ordering::Relaxed));
        }
        std::thread::sleep(wait);
        server.kill();
    });
    batches.load(Ordering::Relaxed)
}
