//! The table of measures, and how each is taken and printed.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use crate::groups;
use crate::load;
use crate::raw::Connection;
use crate::replicated;
use crate::server::{Kind, Server, Shape};

pub const TOPIC: &str = "bench";
const GB: f64 = 1e9;

/// A broker alone, and what it is held against.
const KLAR: Shape = Shape {
    kind: Kind::Klar,
    brokers: 1,
};
const IDEAL: Shape = Shape {
    kind: Kind::Ideal,
    brokers: 1,
};

/// Records of a throughput round: enough for about two seconds at full speed.
const LARGE: Records = Records {
    size: 1024,
    count: 1_500_000,
};
const SMALL: Records = Records {
    size: 100,
    count: 4_000_000,
};

/// Records per second and length of a latency round.
pub const LATENCY_RATE: u64 = 1_000;
pub const LATENCY_ROUND: Duration = Duration::from_secs(5);

/// Connections held open to weigh one.
const WEIGHED_CONNECTIONS: usize = 2_000;
const MANY_CONNECTIONS: usize = 10_000;
/// Of those, one in this many has sent the beginning of a frame and no more.
const SLOW_SENDER_EVERY: usize = 10;

const MANY_TOPICS: i32 = 10;
const PARTITIONS_EACH: i32 = 1_000;

pub struct Bench {
    pub rounds: usize,
    pub dir: PathBuf,
}

impl Bench {
    /// A server on an empty directory, with the topic of every load.
    pub fn fresh(&self, shape: Shape) -> Result<Server, String> {
        let server = Server::start_fresh(shape, &self.dir.join("server")).map_err(text)?;
        server.make_topic(TOPIC).map_err(text)?;
        Ok(server)
    }
}

#[derive(Clone, Copy)]
pub struct Records {
    size: usize,
    count: u64,
}

pub type Measured = Result<(), String>;

/// Name for choosing on the command line, and what measures and prints it.
const MEASURES: &[(&str, fn(&Bench) -> Measured)] = &[
    ("produce and consume 1 KiB", |bench| {
        throughput(bench, "1 KiB", LARGE)
    }),
    ("produce and consume 100 B", |bench| {
        throughput(bench, "100 B", SMALL)
    }),
    ("replicated produce 1 KiB", |bench| {
        replicated::throughput(bench, "1 KiB", LARGE)
    }),
    ("replicated produce 100 B", |bench| {
        replicated::throughput(bench, "100 B", SMALL)
    }),
    ("ack latency", latency),
    ("replicated ack latency", replicated::latency),
    ("start and idle", start_and_idle),
    ("three brokers start and idle", replicated::start_and_idle),
    ("memory per connection", connection_memory),
    ("10,000 partitions", many_partitions),
    ("10,000 connections", many_connections),
    ("group join", groups::join),
    ("idle group members", groups::idle),
    ("group rebalance", groups::rebalance),
];

/// Takes each measure whose name contains one of `only` (all when empty); answers how many failed.
pub fn run(bench: &Bench, only: &[String]) -> usize {
    let mut failed = 0;
    for (name, measure) in MEASURES {
        if !only.is_empty() && !only.iter().any(|word| name.contains(word.as_str())) {
            continue;
        }
        if let Err(why) = measure(bench) {
            println!("{name}: FAILED: {why}");
            failed += 1;
        }
    }
    failed
}

/// What klar's figure is held against.
pub enum Wanted {
    RatioAtLeast(f64),
    RatioAtMost(f64),
    AtMost(f64),
    Nothing,
}

pub fn print_pair(name: &str, unit: &str, klar: f64, ideal: Option<f64>, wanted: Wanted) {
    let ratio = ideal.map(|ideal| klar / ideal);
    let (text, met) = match wanted {
        Wanted::RatioAtLeast(limit) => (format!("≥ {limit} ×"), ratio.is_some_and(|r| r >= limit)),
        Wanted::RatioAtMost(limit) => (format!("≤ {limit} ×"), ratio.is_some_and(|r| r <= limit)),
        Wanted::AtMost(limit) => (format!("≤ {} {unit}", figure(limit)), klar <= limit),
        Wanted::Nothing => (String::new(), true),
    };
    let ideal = ideal.map_or_else(|| "–".to_string(), figure);
    let ratio = ratio.map_or_else(|| "–".to_string(), |ratio| format!("{ratio:.2} ×"));
    let verdict = if met { "" } else { "  MISSED" };
    println!(
        "{:<34}{:>12}{ideal:>12}{ratio:>9}   {text}{verdict}",
        format!("{name}, {unit}"),
        figure(klar)
    );
}

fn figure(value: f64) -> String {
    match value {
        v if v >= 100.0 => format!("{v:.0}"),
        v if v >= 10.0 => format!("{v:.1}"),
        v => format!("{v:.2}"),
    }
}

pub fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

pub fn text(error: std::io::Error) -> String {
    error.to_string()
}

/// What the rounds of a throughput give.
#[derive(Default)]
pub struct Rates {
    megabytes_per_second: Vec<f64>,
    cpu_seconds_per_gigabyte: Vec<f64>,
}

impl Rates {
    /// Takes in one round: a load that moves `records` within the time it answers.
    pub fn take(
        &mut self,
        server: &Server,
        records: Records,
        load: impl FnOnce(Records) -> Result<Duration, String>,
    ) -> Measured {
        let gigabytes = (records.size as u64 * records.count) as f64 / GB;
        let before = server.cpu().map_err(text)?;
        let taken = load(records)?;
        let cpu = server.cpu().map_err(text)? - before;
        let (rate, cpu) = (gigabytes * 1000.0 / taken.as_secs_f64(), cpu.as_secs_f64());
        self.megabytes_per_second.push(rate);
        self.cpu_seconds_per_gigabyte.push(cpu / gigabytes);
        Ok(())
    }

    pub fn print(self, name: &str, ideal: Rates, least_rate: f64, most_cpu: f64) {
        let (klar, ideal_rate) = (
            median(self.megabytes_per_second),
            median(ideal.megabytes_per_second),
        );
        let wanted = Wanted::RatioAtLeast(least_rate);
        print_pair(name, "MB/s", klar, Some(ideal_rate), wanted);
        let (klar, ideal_cpu) = (
            median(self.cpu_seconds_per_gigabyte),
            median(ideal.cpu_seconds_per_gigabyte),
        );
        let wanted = Wanted::RatioAtMost(most_cpu);
        print_pair(name, "CPU s/GB", klar, Some(ideal_cpu), wanted);
    }
}

/// Produces as many records as the round wants.
pub fn produce(server: &Server, records: Records) -> Result<Duration, String> {
    load::produce(&server.target(TOPIC), records.count, records.size)
}

fn throughput(bench: &Bench, name: &str, records: Records) -> Measured {
    let mut taken = [(); 2].map(|()| [Rates::default(), Rates::default()]);
    for round in 0..=bench.rounds {
        for (shape, rates) in [KLAR, IDEAL].into_iter().zip(&mut taken) {
            // The first round warms the machine up.
            if round == 1 {
                *rates = Default::default();
            }
            let server = bench.fresh(shape)?;
            let [produced, consumed] = rates;
            produced.take(&server, records, |records| produce(&server, records))?;
            consumed.take(&server, records, |records| {
                load::consume(&server.target(TOPIC), records.count)
            })?;
            server.discard();
        }
    }
    let [[produced, consumed], [ideal_produced, ideal_consumed]] = taken;
    produced.print(&format!("produce {name}"), ideal_produced, 0.85, 1.5);
    consumed.print(&format!("consume {name}"), ideal_consumed, 0.85, 1.5);
    Ok(())
}

fn latency(bench: &Bench) -> Measured {
    ack_latency(bench, [KLAR, IDEAL], "ack")
}

/// Percentiles of acknowledgements while records come slowly.
pub fn ack_latency(bench: &Bench, shapes: [Shape; 2], name: &str) -> Measured {
    let mut taken = [(); 2].map(|()| [vec![], vec![]]);
    for _ in 0..bench.rounds {
        for (shape, [p50, p99]) in shapes.into_iter().zip(&mut taken) {
            let server = bench.fresh(shape)?;
            let micros = load::ack_latencies(&server.target(TOPIC), LATENCY_RATE, LATENCY_ROUND)?;
            p50.push(percentile(&micros, 50));
            p99.push(percentile(&micros, 99));
            server.discard();
        }
    }
    let [[p50, p99], [ideal50, ideal99]] = taken;
    let rows = [
        ("p50", p50, ideal50, Wanted::Nothing),
        ("p99", p99, ideal99, Wanted::RatioAtMost(1.5)),
    ];
    for (percent, klar, ideal, wanted) in rows {
        let name = format!("{name} {percent} at 1,000/s");
        print_pair(&name, "µs", median(klar), Some(median(ideal)), wanted);
    }
    Ok(())
}

pub fn percentile(sorted: &[u64], percent: usize) -> f64 {
    sorted[(sorted.len() * percent / 100).min(sorted.len() - 1)] as f64
}

fn start_and_idle(bench: &Bench) -> Measured {
    let mut taken = [vec![], vec![]];
    let mut idle = Vec::new();
    for _ in 0..bench.rounds {
        let begun = Instant::now();
        let server = Server::start_fresh(KLAR, &bench.dir.join("server")).map_err(text)?;
        taken[0].push(server.ready_after.as_secs_f64() * 1000.0);
        first_ack(&server).map_err(text)?;
        taken[1].push(begun.elapsed().as_secs_f64() * 1000.0);
        std::thread::sleep(Duration::from_millis(500));
        idle.push(server.resident_all().map_err(text)? as f64 / (1 << 20) as f64);
        server.discard();
    }
    let [ready, acked] = taken;
    print_pair(
        "start to ready line",
        "ms",
        median(ready),
        None,
        Wanted::Nothing,
    );
    print_pair(
        "start to first acked produce",
        "ms",
        median(acked),
        None,
        Wanted::AtMost(150.0),
    );
    print_pair(
        "resident memory, idle",
        "MiB",
        median(idle),
        None,
        Wanted::AtMost(40.0),
    );
    Ok(())
}

/// Makes a topic the way a producer does, by asking for its metadata, and produces one record.
fn first_ack(server: &Server) -> std::io::Result<()> {
    let mut connection = Connection::open(&server.bootstrap)?;
    connection.api_versions()?;
    let begun = Instant::now();
    while connection.metadata("first")? != 0 {
        if begun.elapsed() > Duration::from_secs(10) {
            return Err(std::io::Error::other("the topic is not made"));
        }
    }
    connection.produce_one("first")
}

fn connection_memory(bench: &Bench) -> Measured {
    let server = Server::start_fresh(KLAR, &bench.dir.join("server")).map_err(text)?;
    // What the first connections allocate for all is not a connection's.
    drop(open_many(&server, 10).map_err(text)?);
    let before = server.resident().map_err(text)?;
    let held = open_many(&server, WEIGHED_CONNECTIONS).map_err(text)?;
    let after = server.resident().map_err(text)?;
    drop(held);
    server.discard();
    let each = after.saturating_sub(before) as f64 / WEIGHED_CONNECTIONS as f64 / 1024.0;
    print_pair("memory per connection", "KiB", each, None, Wanted::Nothing);
    Ok(())
}

/// Connections that each asked for the API versions once and are idle since.
fn open_many(server: &Server, count: usize) -> std::io::Result<Vec<Connection>> {
    let mut connections = Vec::with_capacity(count);
    for _ in 0..count {
        let mut connection = Connection::open(&server.bootstrap)?;
        connection.api_versions()?;
        connections.push(connection);
    }
    Ok(connections)
}

fn many_partitions(bench: &Bench) -> Measured {
    let partitions = f64::from(MANY_TOPICS * PARTITIONS_EACH);
    let dir = bench.dir.join("server");
    let server = Server::start_fresh(KLAR, &dir).map_err(text)?;
    let mut connection = Connection::open(&server.bootstrap).map_err(text)?;
    connection.create_topic("warm-up", 1, 1).map_err(text)?;
    let before = server.resident().map_err(text)?;
    let begun = Instant::now();
    for topic in 0..MANY_TOPICS {
        connection
            .create_topic(&format!("many-{topic}"), PARTITIONS_EACH, 1)
            .map_err(text)?;
    }
    let made = begun.elapsed();
    std::thread::sleep(Duration::from_secs(2));
    let per_partition = |after: u64| after.saturating_sub(before) as f64 / partitions / 1024.0;
    let idle = per_partition(server.resident().map_err(text)?);
    drop(connection);
    server.stop().map_err(text)?;

    let server = Server::start(KLAR, &dir).map_err(text)?;
    let restarted = server.ready_after.as_secs_f64();
    std::thread::sleep(Duration::from_secs(2));
    let idle_again = per_partition(server.resident().map_err(text)?);
    let cpu = server.cpu().map_err(text)?;
    std::thread::sleep(Duration::from_secs(5));
    let idle_cpu = (server.cpu().map_err(text)? - cpu).as_secs_f64() / 5.0 * 100.0;
    server.discard();

    print_pair(
        "10,000 partitions made in",
        "s",
        made.as_secs_f64(),
        None,
        Wanted::Nothing,
    );
    print_pair(
        "idle partition, made",
        "KiB",
        idle,
        None,
        Wanted::AtMost(4.0),
    );
    print_pair(
        "idle partition, restarted",
        "KiB",
        idle_again,
        None,
        Wanted::AtMost(4.0),
    );
    print_pair(
        "start with 10,000 partitions",
        "s",
        restarted,
        None,
        Wanted::AtMost(3.0),
    );
    print_pair(
        "10,000 idle partitions",
        "% CPU",
        idle_cpu,
        None,
        Wanted::Nothing,
    );
    Ok(())
}

/// One client works among ten thousand connections, one in ten of which never finishes its frame.
fn many_connections(bench: &Bench) -> Measured {
    let mut taken = Vec::new();
    let mut opened = Vec::new();
    for shape in [KLAR, IDEAL] {
        let server = bench.fresh(shape)?;
        let begun = Instant::now();
        let mut held = open_many(&server, MANY_CONNECTIONS).map_err(text)?;
        opened.push(begun.elapsed().as_secs_f64());
        for connection in held.iter_mut().step_by(SLOW_SENDER_EVERY) {
            connection.begin_frame().map_err(text)?;
        }
        let micros = load::ack_latencies(&server.target(TOPIC), LATENCY_RATE, LATENCY_ROUND)?;
        taken.push(percentile(&micros, 99) / 1000.0);
        for connection in held.iter_mut().skip(1).step_by(SLOW_SENDER_EVERY) {
            connection
                .api_versions()
                .map_err(|error| format!("a quiet connection: {error}"))?;
        }
        server.discard();
    }
    print_pair(
        "10,000 connections opened in",
        "s",
        opened[0],
        Some(opened[1]),
        Wanted::Nothing,
    );
    let wanted = Wanted::AtMost(5.0);
    print_pair(
        "ack p99 among 10,000 connections",
        "ms",
        taken[0],
        Some(taken[1]),
        wanted,
    );
    Ok(())
}
