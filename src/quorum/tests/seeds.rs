//! Many short runs: K1–K4 at every step, and a settled cluster soon after the last fault.

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};

use rand::SeedableRng;
use rand::rngs::SmallRng;

use super::faults::{SETTLE_MS, TROUBLE_MS, carry_out, schedule, weather};
use super::network::Network;

/// Seeds of a plain test run; `KLAR_QUORUM_SEEDS` asks for more, `KLAR_QUORUM_FROM` for others.
const SEEDS: u64 = 400;

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok()?.parse().ok()
}

/// What one seed came to: the counters, or what was violated.
pub type Outcome = Result<BTreeMap<&'static str, u64>, String>;

/// Runs one seed. An assertion that fails is a violation like any other.
pub fn run(seed: u64) -> Outcome {
    let run = catch_unwind(AssertUnwindSafe(|| run_unguarded(seed)));
    run.unwrap_or_else(|panic| {
        let text = panic.downcast_ref::<String>().map(String::as_str);
        let text = text.or(panic.downcast_ref::<&str>().copied());
        Err(format!("panicked: {}", text.unwrap_or("?")))
    })
}

fn run_unguarded(seed: u64) -> Outcome {
    let mut random = SmallRng::seed_from_u64(seed);
    let weather = weather(&mut random);
    let brokers = weather.voters + weather.observers;
    let mut network = Network::new(seed ^ 0x5eed, weather);
    network.start_all();
    let steps = schedule(&mut random, brokers, network.now);
    for (number, (at, _)) in steps.iter().enumerate() {
        network.plan(*at, number);
    }
    let until = network.now.plus_ms(TROUBLE_MS + 1_000);
    network.run(until, &mut |network, number| {
        carry_out(network, steps[number].1)
    });
    network.restart_the_resigned();
    network.heal();
    let settled = network.run_until(SETTLE_MS, Network::is_settled);
    if let Some(violation) = network.watch.violation {
        return Err(violation);
    }
    if settled.is_none() {
        return Err(format!("not settled {SETTLE_MS} ms after the last fault"));
    }
    Ok(network.watch.sometimes)
}

#[test]
fn seeds_keep_one_leader_and_one_committed_prefix() {
    let from = number("KLAR_QUORUM_FROM").unwrap_or(0);
    let seeds = number("KLAR_QUORUM_SEEDS").unwrap_or(SEEDS);
    let mut sometimes: BTreeMap<&'static str, u64> = BTreeMap::new();
    for seed in from..from + seeds {
        let run = run(seed);
        let seen = run.unwrap_or_else(|violation| {
            panic!("KLAR_QUORUM_FROM={seed} KLAR_QUORUM_SEEDS=1 KLAR_QUORUM_TRACE=1: {violation}")
        });
        for (what, times) in seen {
            *sometimes.entry(what).or_default() += times;
        }
    }
    println!("{sometimes:#?}");
    let rare = [
        "a diverging log was cut",
        "a leader resigned",
        "a snapshot could not be put in place",
        "a snapshot was fetched",
        "a snapshot was made",
        "elected",
        "power lost between actions",
    ];
    if seeds >= SEEDS {
        for what in rare {
            assert!(sometimes.contains_key(what), "never seen: {what}");
        }
    }
}

#[test]
fn a_seed_runs_the_same_twice() {
    for seed in 0..10 {
        assert_eq!(run(seed), run(seed));
    }
}
