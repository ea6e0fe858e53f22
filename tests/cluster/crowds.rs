//! Many connections and slow senders keep no active client from being served.
//!
//! `KLAR_CROWD` is the number of connections (default 300; the promise is for 10,000). How long the active client waits
//! is printed; the benchmark holds it against an ideal.

use std::io::Write as _;
use std::net::TcpStream;
use std::time::{Duration, Instant};

use crate::client::Client;
use crate::program::{Klar, eventually, fresh_dir};

fn number(name: &str, default: u64) -> u64 {
    std::env::var(name).map_or(default, |text| text.parse().expect("a number"))
}

/// Has an active client write, each record acknowledged at the next offset.
fn serve_an_active_client(klar: &Klar, topic: &str) {
    let mut client = Client::connect(&klar.ready.bootstrap).unwrap();
    client.make_topic(topic);
    let mut times: Vec<Duration> = (0..500)
        .map(|n| {
            let began = Instant::now();
            let acked = client.produce(topic, b"an active client's record");
            assert_eq!(acked.unwrap(), n);
            began.elapsed()
        })
        .collect();
    times.sort();
    println!(
        "{topic}: p50 {:?}, p99 {:?}",
        times[times.len() / 2],
        times[times.len() * 99 / 100]
    );
}

#[test]
fn idle_connections_and_slow_senders_leave_an_active_client_alone() {
    let dir = fresh_dir();
    let klar = Klar::on(dir.path());
    let crowd = number("KLAR_CROWD", 300);
    let before = memory_kib(klar.ready.pid);
    let mut idle = Vec::new();
    for _ in 0..crowd {
        idle.push(TcpStream::connect(&klar.ready.bootstrap).unwrap());
    }
    eventually("all are accepted", || {
        let connections = &klar.snapshot()["brokers"][0]["connections"];
        (connections.as_u64() >= Some(crowd)).then_some(())
    });
    let each = (memory_kib(klar.ready.pid) - before) as f64 / crowd as f64;
    println!("{crowd} idle connections: {each:.2} KiB each");
    serve_an_active_client(&klar, "idle-crowd");

    // Each declares a long Produce, sends its beginning and then a byte now and then.
    for stream in &mut idle {
        stream.write_all(&50_000_000_u32.to_be_bytes()).unwrap();
        stream.write_all(&[0, 0, 0, 9, 0, 0, 0, 1]).unwrap();
    }
    let mut slow = idle;
    let dribbling = std::thread::spawn(move || {
        for _ in 0..5 {
            for stream in &mut slow {
                // One that was sent away is no matter.
                let _ = stream.write_all(&[0; 16]);
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        slow
    });
    serve_an_active_client(&klar, "slow-crowd");
    let slow = dribbling.join().unwrap();
    let each = (memory_kib(klar.ready.pid) - before) as f64 / crowd as f64;
    println!("{crowd} slow senders: {each:.2} KiB each");
    drop(slow);
    eventually("the crowd is forgotten", || {
        let connections = &klar.snapshot()["brokers"][0]["connections"];
        (connections.as_u64() <= Some(3)).then_some(())
    });
}

/// Resident memory of a process, KiB.
fn memory_kib(pid: u32) -> i64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let line = status.lines().find(|line| line.starts_with("VmRSS:"));
    line.and_then(|line| line.split_whitespace().nth(1)?.parse().ok())
        .unwrap_or(0)
}
