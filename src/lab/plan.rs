//! Makes a schedule from a seed: who takes part, what they do, what goes wrong.
//!
//! Every profile but `calm` draws which kinds of fault a run has (swarm testing: a run with few kinds reaches
//! further into them than one with all), then their moments.

use rand::Rng as _;
use rand::rngs::SmallRng;
use rand::seq::IndexedRandom as _;

use super::dice::stream;
use super::plan_chores;
use super::plan_members;
use super::rot;
use super::schedule::{
    DiskError, DiskVerb, Fault, Planned, ReaderPlan, Schedule, TopicPlan, WriterPlan,
};
use crate::ids::{BrokerId, PartitionIndex};
use crate::inspect::{Acks, Compression, Durability};
use crate::links::{End, Wire};

/// What kind of runs a seed makes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Profile {
    pub name: &'static str,
    /// What it is for.
    pub about: &'static str,
    kinds: &'static [Kind],
    /// Brokers: fewest, most.
    brokers: (u32, u32),
    /// How long a run takes until everything is healed: one of these, milliseconds.
    lengths_ms: &'static [i64],
    /// Many faults in quick succession, and brokers that make much of each: see [`plan_chores::unsettle`].
    restless: bool,
    /// How many of eight runs that can have it have a disk whose bits turn over.
    rots: u32,
    /// How many of eight runs have consumer groups.
    groups: u32,
}

/// Kinds of fault a run may have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Kill,
    KillInDisk,
    Stop,
    Power,
    Pause,
    Cut,
    Hold,
    Slow,
    Lossy,
    Reset,
    Disk,
    Sync,
    SlowSync,
    Client,
    Delete,
    Chores,
    /// One broker does not reach the others: there must be some.
    Isolate,
}

/// Every kind of fault.
const ALL: &[Kind] = &[
    Kind::Kill,
    Kind::KillInDisk,
    Kind::Stop,
    Kind::Power,
    Kind::Pause,
    Kind::Cut,
    Kind::Hold,
    Kind::Slow,
    Kind::Lossy,
    Kind::Reset,
    Kind::Disk,
    Kind::Sync,
    Kind::SlowSync,
    Kind::Client,
    Kind::Delete,
    Kind::Chores,
    Kind::Isolate,
];

/// Lengths of runs that try one thing, milliseconds.
const SHORT: &[i64] = &[4_000, 8_000, 20_000];

/// The profiles there are; the first one is the default.
pub const PROFILES: &[Profile] = &[
    Profile {
        name: "cluster",
        about: "one to five brokers, any faults",
        kinds: ALL,
        brokers: (1, 5),
        lengths_ms: &[20_000],
        restless: false,
        rots: 4,
        groups: 4,
    },
    Profile {
        name: "rot",
        about: "three or four brokers, one with a disk whose bits turn over",
        kinds: &[
            Kind::Kill,
            Kind::Stop,
            Kind::Pause,
            Kind::Cut,
            Kind::Reset,
            Kind::Client,
            Kind::Delete,
            Kind::Isolate,
        ],
        brokers: (3, 4),
        lengths_ms: &[20_000],
        restless: false,
        rots: 8,
        groups: 4,
    },
    Profile {
        name: "replicas",
        about: "three or four brokers whose replicas fall out of sync and come back all the time",
        kinds: &[
            Kind::Kill,
            Kind::Stop,
            Kind::Pause,
            Kind::Cut,
            Kind::Hold,
            Kind::Slow,
            Kind::Reset,
            Kind::Isolate,
            Kind::Chores,
        ],
        brokers: (3, 4),
        lengths_ms: &[20_000],
        restless: true,
        rots: 0,
        groups: 4,
    },
    Profile {
        name: "groups",
        about: "three or four brokers and consumer groups whose members and coordinators come and go",
        kinds: &[
            Kind::Kill,
            Kind::Stop,
            Kind::Pause,
            Kind::Cut,
            Kind::Hold,
            Kind::Slow,
            Kind::Reset,
            Kind::Isolate,
        ],
        brokers: (3, 4),
        lengths_ms: &[20_000],
        restless: false,
        rots: 0,
        groups: 8,
    },
    Profile {
        name: "swarm",
        about: "one broker, any faults",
        kinds: ALL,
        brokers: (1, 1),
        lengths_ms: SHORT,
        restless: false,
        rots: 0,
        groups: 4,
    },
    Profile {
        name: "calm",
        about: "one broker, nothing goes wrong",
        kinds: &[],
        brokers: (1, 1),
        lengths_ms: SHORT,
        restless: false,
        rots: 0,
        groups: 0,
    },
    Profile {
        name: "kills",
        about: "one broker that dies in and between disk operations",
        kinds: &[Kind::Kill, Kind::KillInDisk, Kind::Stop, Kind::Client],
        brokers: (1, 1),
        lengths_ms: SHORT,
        restless: false,
        rots: 0,
        groups: 4,
    },
    Profile {
        name: "disk",
        about: "one broker on a failing disk without power",
        kinds: &[
            Kind::KillInDisk,
            Kind::Power,
            Kind::Disk,
            Kind::Sync,
            Kind::SlowSync,
        ],
        brokers: (1, 1),
        lengths_ms: SHORT,
        restless: false,
        rots: 0,
        groups: 2,
    },
    Profile {
        name: "net",
        about: "one broker, bad wires",
        kinds: &[
            Kind::Pause,
            Kind::Cut,
            Kind::Hold,
            Kind::Slow,
            Kind::Lossy,
            Kind::Reset,
            Kind::Client,
        ],
        brokers: (1, 1),
        lengths_ms: SHORT,
        restless: false,
        rots: 0,
        groups: 4,
    },
];

/// Clients and topics come up before the first fault, milliseconds.
const FIRST_FAULT_MS: i64 = 1_500;
/// No fault is planned for the last part of a run, milliseconds.
const QUIET_END_MS: i64 = 500;

/// The schedule of a seed.
pub fn plan(seed: u64, profile: &Profile) -> Schedule {
    let dice = &mut stream(seed, 0);
    let mut schedule = Schedule::new(seed, profile.name);
    schedule.brokers = dice.random_range(profile.brokers.0..=profile.brokers.1);
    schedule.length_ms = *profile.lengths_ms.choose(dice).expect("there is one");
    schedule.late = plan_chores::late(dice, schedule.brokers);
    schedule.durability = plan_chores::durability(dice);
    if dice.random_ratio(1, 4) {
        schedule.latency_us = (500, 20_000);
    }
    if dice.random_ratio(1, 4) {
        schedule.sync_us = (5_000, 200_000);
    }
    schedule.settings = plan_chores::settings(dice);
    schedule.settings.extend(snapshot_settings(seed));
    let topics = dice.random_range(1..=3);
    schedule.topics = (0..topics).map(|n| topic(dice, n, &schedule)).collect();
    let writers = dice.random_range(1..=3);
    schedule.writers = (0..writers).map(|_| writer(dice)).collect();
    let readers = dice.random_range(1..=2);
    schedule.readers = (0..readers).map(|_| reader(dice)).collect();
    if profile.restless {
        plan_chores::unsettle(dice, &mut schedule);
    }
    schedule.faults = faults(dice, profile, &schedule);
    let last_ms = schedule.length_ms - QUIET_END_MS;
    plan_members::plan(&mut schedule, profile.groups, FIRST_FAULT_MS, last_ms);
    // A stream of its own leaves what else a seed means as it was.
    let dice = &mut stream(seed, 6);
    if dice.random_range(0..8) < profile.rots
        && let Some(rot) = rot::plan(dice, &schedule)
    {
        // One disk at a time: two copies that lose different records are more than is promised.
        let spares = |planned: &Planned| {
            planned.at_ms < rot.at_ms || !matches!(planned.fault, Fault::Disk { .. })
        };
        schedule.faults.retain(spares);
        schedule.faults.push(rot);
        schedule.faults.sort_by_key(|planned| planned.at_ms);
    }
    schedule
}

/// Broker configurations: in half of the runs metadata snapshots come often. A stream of its own leaves what else
/// a seed means as it was.
fn snapshot_settings(seed: u64) -> Vec<(String, String)> {
    let dice = &mut stream(seed, 5);
    let often = dice.random::<bool>().then(|| {
        let bytes = dice.random_range(200..4_000);
        let name = "metadata.log.max.record.bytes.between.snapshots";
        (name.to_owned(), bytes.to_string())
    });
    let soon = dice.random_ratio(1, 3).then(|| {
        let ms = dice.random_range(200..5_000);
        let name = "metadata.log.max.snapshot.interval.ms";
        (name.to_owned(), ms.to_string())
    });
    often.into_iter().chain(soon).collect()
}

/// A broker alone that syncs now and then may forget by a power loss what it just decided.
fn forgets_metadata(schedule: &Schedule) -> bool {
    schedule.brokers == 1 && schedule.durability == Durability::Os
}

fn topic(dice: &mut SmallRng, number: u32, schedule: &Schedule) -> TopicPlan {
    let mut configs = Vec::new();
    let mut set = |name: &str, value: &str| configs.push((name.to_owned(), value.to_owned()));
    if dice.random_ratio(1, 2) {
        // A full index ends a segment: the smallest segments there can be.
        set(
            "segment.index.bytes",
            dice.random_range(16..200).to_string().as_str(),
        );
        set(
            "index.interval.bytes",
            dice.random_range(0..2_000).to_string().as_str(),
        );
    } else if dice.random_ratio(1, 2) {
        set(
            "segment.ms",
            dice.random_range(100..3_000).to_string().as_str(),
        );
    }
    if dice.random_ratio(1, 6) {
        set("message.timestamp.type", "LogAppendTime");
    }
    // The first one is there from the beginning.
    let later = number > 0 && dice.random_ratio(1, 3) && !forgets_metadata(schedule);
    let mut topic = TopicPlan {
        name: format!("topic-{number}"),
        partitions: dice.random_range(1..=3),
        replication_factor: 1,
        configs,
        at_ms: match later {
            true => dice.random_range(1..schedule.length_ms),
            false => 0,
        },
    };
    plan_chores::replicate(dice, schedule.brokers - schedule.late, &mut topic);
    topic
}

fn writer(dice: &mut SmallRng) -> WriterPlan {
    let acks = match dice.random_range(0..10) {
        0 => Acks::None,
        1 | 2 => Acks::Leader,
        _ => Acks::All,
    };
    // Brokers look at no more than a few bytes of what is compressed.
    let compressions = [
        Compression::Lz4,
        Compression::Snappy,
        Compression::Gzip,
        Compression::Zstd,
    ];
    let compression = match dice.random_ratio(1, 6) {
        true => *compressions.choose(dice).expect("four of them"),
        false => Compression::None,
    };
    let large = dice.random_ratio(1, 6);
    WriterPlan {
        acks,
        idempotence: acks == Acks::All && dice.random_ratio(4, 5),
        compression,
        records_per_s: dice.random_range(5..50),
        value_bytes: if large { (8, 3_000) } else { (8, 200) },
        linger_ms: *[0, 5, 100].choose(dice).expect("three of them"),
        request_timeout_ms: *[300, 1_000, 5_000].choose(dice).expect("three of them"),
        delivery_timeout_ms: *[1_500, 10_000, 30_000].choose(dice).expect("three of them"),
    }
}

fn reader(dice: &mut SmallRng) -> ReaderPlan {
    ReaderPlan {
        max_wait_ms: *[50, 200, 500].choose(dice).expect("three of them"),
        partition_max_bytes: *[1_000, 50_000, 1 << 20]
            .choose(dice)
            .expect("three of them"),
        request_timeout_ms: *[1_000, 5_000].choose(dice).expect("two of them"),
    }
}

fn faults(dice: &mut SmallRng, profile: &Profile, schedule: &Schedule) -> Vec<Planned> {
    // What is kept in memory only does not outlive the power: there is nothing to check then.
    let in_memory = schedule.durability == Durability::Memory;
    let mut possible: Vec<Kind> = profile.kinds.to_vec();
    possible.retain(|kind| !(in_memory && *kind == Kind::Power));
    possible.retain(|kind| !(forgets_metadata(schedule) && *kind == Kind::Chores));
    possible.retain(|kind| schedule.brokers > 1 || *kind != Kind::Isolate);
    let Some(any) = possible.choose(dice) else {
        return Vec::new();
    };
    let mut kinds = possible.clone();
    kinds.retain(|_| profile.restless || dice.random_ratio(2, 5));
    if kinds.is_empty() {
        kinds.push(*any);
    }
    let last_ms = schedule.length_ms - QUIET_END_MS;
    let mean_ms = match profile.restless {
        true => 200,
        false => *[200, 600, 1_500].choose(dice).expect("three of them"),
    };
    let mut faults = plan_chores::joins(dice, schedule, last_ms);
    let mut at_ms = FIRST_FAULT_MS;
    loop {
        at_ms += dice.random_range(1..=2 * mean_ms);
        if at_ms >= last_ms {
            faults.sort_by_key(|planned| planned.at_ms);
            return faults;
        }
        let kind = *kinds.choose(dice).expect("there is one");
        let strikes = strike(dice, kind, schedule, last_ms - at_ms);
        faults.extend(strikes.into_iter().map(|fault| Planned { at_ms, fault }));
    }
}

/// Faults of a kind that are over, if they pass, within `left_ms`: one, unless the kind needs several at once.
fn strike(dice: &mut SmallRng, kind: Kind, schedule: &Schedule, left_ms: i64) -> Vec<Fault> {
    let broker = BrokerId(dice.random_range(1..=schedule.brokers.cast_signed()));
    let longest_ms = *[100, 600, 2_500].choose(dice).expect("three of them");
    let for_ms = dice.random_range(1..=longest_ms).min(left_ms);
    let down_ms = dice.random_range(0..=longest_ms);
    let fault = match kind {
        Kind::Kill => Fault::Kill { broker, down_ms },
        Kind::KillInDisk => Fault::KillInDisk {
            broker,
            operations: dice.random_range(0..40),
            short_write: dice.random_range(0..3_000),
            down_ms,
        },
        Kind::Stop => Fault::Stop { broker, down_ms },
        Kind::Power => Fault::PowerLoss { down_ms },
        Kind::Pause => Fault::Pause { broker, for_ms },
        Kind::Isolate => return isolate(dice, schedule, broker, for_ms),
        Kind::Cut | Kind::Hold | Kind::Slow | Kind::Lossy => wire(dice, kind, schedule, for_ms),
        Kind::Reset => Fault::Reset { broker },
        Kind::Disk => disk(dice, broker, for_ms),
        Kind::Sync => Fault::Disk {
            broker,
            verb: DiskVerb::Sync,
            error: DiskError::Broken,
            short_write: 0,
            times: 1,
            for_ms,
        },
        Kind::SlowSync => Fault::SlowSync {
            broker,
            by_us: dice.random_range(0..1_000_000),
            for_ms,
        },
        Kind::Client => {
            let clients = schedule.writers.len() + schedule.readers.len();
            let number = dice.random_range(0..clients);
            Fault::Client {
                number: u32::try_from(number).unwrap_or(0),
            }
        }
        Kind::Chores => plan_chores::chore(dice, schedule),
        Kind::Delete => {
            let topic = dice.random_range(0..schedule.topics.len());
            let partition = dice.random_range(0..schedule.topics[topic].partitions);
            Fault::DeleteRecords {
                topic: u32::try_from(topic).unwrap_or(0),
                partition: PartitionIndex(partition),
                percent: dice.random_range(0..=100),
            }
        }
    };
    vec![fault]
}

/// A broker does not reach the others for a while, or only late; half the time it still hears them.
fn isolate(dice: &mut SmallRng, schedule: &Schedule, broker: BrokerId, for_ms: i64) -> Vec<Fault> {
    let late = dice.random_ratio(1, 3);
    let wire = Wire {
        cut: !late,
        held: late,
        ..Wire::default()
    };
    let deaf: bool = dice.random();
    let cut = |from, to| Fault::Wire {
        from: End::Broker(from),
        to: End::Broker(to),
        wire,
        for_ms,
    };
    let others = (1..=schedule.brokers.cast_signed()).map(BrokerId);
    let others = others.filter(|other| *other != broker);
    others
        .flat_map(|other| {
            let back = deaf.then(|| cut(other, broker));
            std::iter::once(cut(broker, other)).chain(back)
        })
        .collect()
}

fn wire(dice: &mut SmallRng, kind: Kind, schedule: &Schedule, for_ms: i64) -> Fault {
    let mut end = || match dice.random_range(0..=schedule.brokers.cast_signed()) {
        0 => End::Clients,
        id => End::Broker(BrokerId(id)),
    };
    let (mut from, mut to) = (end(), end());
    if from == to {
        // A wire has two ends; clients are always one of a lone broker's.
        to = match from {
            End::Clients => End::Broker(BrokerId(1)),
            End::Broker(_) => End::Clients,
        };
    }
    if dice.random() {
        (from, to) = (to, from);
    }
    let mut wire = Wire::default();
    match kind {
        Kind::Cut => wire.cut = true,
        Kind::Hold => wire.held = true,
        Kind::Slow => {
            wire.delay_us = dice.random_range(0..300_000);
            wire.jitter_us = dice.random_range(0..300_000);
        }
        _ => wire.drop_per_mille = dice.random_range(1..200),
    }
    Fault::Wire {
        from,
        to,
        wire,
        for_ms,
    }
}

fn disk(dice: &mut SmallRng, broker: BrokerId, for_ms: i64) -> Fault {
    let verbs = [
        DiskVerb::Write,
        DiskVerb::Write,
        DiskVerb::Write,
        DiskVerb::Read,
        DiskVerb::Truncate,
        DiskVerb::Rename,
        DiskVerb::Remove,
        DiskVerb::MakeDir,
        DiskVerb::List,
    ];
    let verb = *verbs.choose(dice).expect("nine of them");
    let full = verb == DiskVerb::Write && dice.random();
    Fault::Disk {
        broker,
        verb,
        error: if full {
            DiskError::Full
        } else {
            DiskError::Broken
        },
        short_write: dice.random_range(0..2_000),
        times: *[1, 3, 1_000].choose(dice).expect("three of them"),
        for_ms,
    }
}
