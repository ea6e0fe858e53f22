//! What goes wrong in a run: made up front from the seed, then carried out.

use rand::Rng;
use rand::rngs::SmallRng;

use super::network::{Link, Network, Weather};
use crate::ids::{BrokerId, Time};

/// Milliseconds of trouble in one run.
pub const TROUBLE_MS: i64 = 4_000;
/// Milliseconds after the last fault within which a leader must be there and everybody caught up.
pub const SETTLE_MS: i64 = 3_000;

#[derive(Debug, Clone, Copy)]
pub enum Step {
    Append,
    Kill { who: BrokerId, power_loss: bool },
    KillLeader { power_loss: bool },
    PowerLossOfAll,
    Start(BrokerId),
    Pause(BrokerId),
    PauseLeader,
    Resume,
    Links(BrokerId, BrokerId, Link),
    OneWay(BrokerId, BrokerId, Link),
    CutOff(BrokerId, Link),
    Mend,
    Resign,
}

/// The weather of a seed: swarm testing, every seed has its own mix.
pub fn weather(random: &mut SmallRng) -> Weather {
    let voters = [1, 2, 3, 3, 3, 4, 5, 5][random.random_range(0..8)];
    let delays = [(50, 300), (50, 5_000), (1_000, 40_000)];
    let syncs = [(0, 0), (500, 8_000), (5_000, 60_000)];
    Weather {
        voters,
        observers: random.random_range(0..3),
        delay_us: delays[random.random_range(0..3)],
        sync_us: syncs[random.random_range(0..3)],
        swallowed: [0, 0, 5, 50][random.random_range(0..4)],
        midway_crashes: [0, 0, 1, 5][random.random_range(0..4)],
        encoded: random.random_ratio(1, 8),
        snapshot_every: [None, Some(3), Some(30)][random.random_range(0..3)],
    }
}

/// What happens when.
pub fn schedule(random: &mut SmallRng, brokers: i32, from: Time) -> Vec<(Time, Step)> {
    let mut steps = Vec::new();
    let kinds: Vec<u32> = (0..FAULTS).filter(|_| random.random_ratio(1, 3)).collect();
    let pace_ms = random.random_range(20..500);
    let mut at_ms = 0;
    while at_ms < TROUBLE_MS && !kinds.is_empty() {
        let kind = kinds[random.random_range(0..kinds.len())];
        steps.push((from.plus_ms(at_ms), fault(random, kind, brokers)));
        // Trouble comes with its end, or there would soon be nobody to trouble.
        let mends = [
            Step::Mend,
            Step::Resume,
            Step::Start(broker(random, brokers)),
            Step::Start(broker(random, brokers)),
        ];
        let mend = mends[random.random_range(0..4)];
        let later_ms = at_ms + random.random_range(0..800);
        steps.push((from.plus_ms(later_ms), mend));
        at_ms += random.random_range(1..=pace_ms);
    }
    let append_ms = random.random_range(5..200);
    let mut at_ms = 0;
    while at_ms < TROUBLE_MS {
        steps.push((from.plus_ms(at_ms), Step::Append));
        at_ms += random.random_range(1..=append_ms);
    }
    steps.sort_by_key(|(at, _)| *at);
    steps
}

const FAULTS: u32 = 11;

fn broker(random: &mut SmallRng, brokers: i32) -> BrokerId {
    BrokerId(random.random_range(1..=brokers))
}

fn fault(random: &mut SmallRng, kind: u32, brokers: i32) -> Step {
    let (who, other) = (broker(random, brokers), broker(random, brokers));
    let power_loss = random.random();
    let link = [
        Link::Cut,
        Link::Silent,
        Link::Slow {
            ms: random.random_range(1..300),
        },
    ][random.random_range(0..3)];
    match kind {
        0 => Step::Kill { who, power_loss },
        1 => Step::KillLeader { power_loss },
        2 => Step::PowerLossOfAll,
        3 => Step::Pause(who),
        4 => Step::PauseLeader,
        5 => Step::Links(who, other, link),
        6 => Step::OneWay(who, other, link),
        7 | 8 => Step::CutOff(who, link),
        9 => Step::Resign,
        _ => Step::Start(who),
    }
}

/// Carries one step out.
pub fn carry_out(network: &mut Network, step: Step) {
    let ids = network.ids();
    match step {
        Step::Append => ids.into_iter().for_each(|id| network.append(id)),
        Step::Kill { who, power_loss } => network.kill(who, power_loss),
        Step::KillLeader { power_loss } => {
            for leader in network.leaders() {
                network.kill(leader, power_loss);
            }
        }
        Step::PowerLossOfAll => ids.into_iter().for_each(|id| network.kill(id, true)),
        Step::Start(who) => network.start(who),
        Step::Pause(who) => network.pause(who),
        Step::PauseLeader => {
            for leader in network.leaders() {
                network.pause(leader);
            }
        }
        Step::Resume => ids.into_iter().for_each(|id| network.resume(id)),
        Step::Links(a, b, link) if a != b => network.set_links(a, b, link),
        Step::OneWay(a, b, link) if a != b => network.set_link(a, b, link),
        Step::Links(..) | Step::OneWay(..) => {}
        Step::CutOff(who, link) => {
            for id in ids.into_iter().filter(|id| *id != who) {
                network.set_links(who, id, link);
            }
        }
        Step::Mend => {
            for a in &ids {
                for b in ids.iter().filter(|b| *b != a) {
                    network.set_link(*a, *b, Link::Open);
                }
            }
        }
        Step::Resign => network.resign_leaders(),
    }
}
