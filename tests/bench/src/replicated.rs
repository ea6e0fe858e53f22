//! Three brokers, held against an ideal chain of three sinks: every record is stored three times before it is
//! acknowledged.

use std::time::{Duration, Instant};

use crate::load;
use crate::measures::{
    Bench, Measured, Rates, Records, TOPIC, Wanted, ack_latency, median, print_pair, produce, text,
};
use crate::server::{Kind, Server, Shape};

const KLAR: Shape = Shape {
    kind: Kind::Klar,
    brokers: 3,
};
const CHAIN: Shape = Shape {
    kind: Kind::Ideal,
    brokers: 3,
};

/// Until a cluster that just became ready has nothing left to do.
const SETTLING: Duration = Duration::from_secs(2);
/// How long it is watched doing nothing.
const IDLE_ROUND: Duration = Duration::from_secs(10);

/// Produces with acks=all.
pub fn throughput(bench: &Bench, name: &str, records: Records) -> Measured {
    let (mut klar, mut ideal) = (Rates::default(), Rates::default());
    for round in 0..=bench.rounds {
        // The first round warms the machine up.
        if round == 1 {
            (klar, ideal) = Default::default();
        }
        for (shape, rates) in [(KLAR, &mut klar), (CHAIN, &mut ideal)] {
            let server = bench.fresh(shape)?;
            rates.take(&server, records, |records| produce(&server, records))?;
            server.discard();
        }
    }
    klar.print(&format!("3 replicas: produce {name}"), ideal, 0.7, 1.7);
    Ok(())
}

pub fn latency(bench: &Bench) -> Measured {
    ack_latency(bench, [KLAR, CHAIN], "3 replicas: ack")
}

/// How soon three brokers serve, and what they cost with a topic nobody uses.
pub fn start_and_idle(bench: &Bench) -> Measured {
    let (mut ready, mut acked) = (Vec::new(), Vec::new());
    let (mut resident, mut cpu) = (Vec::new(), Vec::new());
    for _ in 0..bench.rounds {
        let begun = Instant::now();
        let server = Server::start_fresh(KLAR, &bench.dir.join("server")).map_err(text)?;
        ready.push(server.ready_after.as_secs_f64() * 1000.0);
        server.make_topic(TOPIC).map_err(text)?;
        load::produce(&server.target(TOPIC), 1, 1)?;
        acked.push(begun.elapsed().as_secs_f64() * 1000.0);
        std::thread::sleep(SETTLING);
        let before = server.cpu().map_err(text)?;
        std::thread::sleep(IDLE_ROUND);
        let used = server.cpu().map_err(text)? - before;
        cpu.push(used.as_secs_f64() / IDLE_ROUND.as_secs_f64() * 100.0);
        resident.push(server.resident_all().map_err(text)? as f64 / (1 << 20) as f64);
        server.discard();
    }
    let rows = [
        ("start to ready line", "ms", ready, Wanted::AtMost(250.0)),
        ("start to first acks=all", "ms", acked, Wanted::Nothing),
        ("resident, idle", "MiB", resident, Wanted::AtMost(60.0)),
        ("idle", "% of a core", cpu, Wanted::AtMost(1.0)),
    ];
    for (name, unit, taken, wanted) in rows {
        print_pair(
            &format!("3 brokers: {name}"),
            unit,
            median(taken),
            None,
            wanted,
        );
    }
    Ok(())
}
