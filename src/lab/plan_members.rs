//! Consumer groups of a run: who is in them, how they agree, and when members come, go and die.
//!
//! They have a stream of their own, which leaves what else a seed means as it was.

use rand::Rng as _;
use rand::rngs::SmallRng;
use rand::seq::IndexedRandom as _;

use super::dice::stream;
use super::schedule::{Fault, MemberPlan, Planned, Schedule};

/// How members of a group agree: assignors by Kafka's names.
const ASSIGNORS: &[&str] = &[
    "range",
    "roundrobin",
    "sticky",
    "cooperative-sticky",
    CONSUMER,
    CONSUMER,
];
/// Those with which members assign among themselves.
const CLASSIC: &[&str] = &["range", "roundrobin", "sticky", "cooperative-sticky"];
/// KIP-848: the coordinator assigns.
const CONSUMER: &str = "consumer";
/// When members commit, as schedules say it.
const COMMITS: &[&str] = &["before", "after", "interval"];
/// Members of one group, at most.
const MOST_MEMBERS: u32 = 4;

/// Puts groups into so many of eight schedules.
pub(super) fn plan(schedule: &mut Schedule, of_eight: u32, first_fault_ms: i64, last_ms: i64) {
    let dice = &mut stream(schedule.seed, 7);
    if dice.random_range(0..8) >= of_eight {
        return;
    }
    for group in 0..dice.random_range(1..=2) {
        let assignor = *ASSIGNORS.choose(dice).expect("there is one");
        let session_timeout_ms = *[500, 1_500, 6_000].choose(dice).expect("three of them");
        let max_poll_interval_ms = *[500, 3_000, 300_000].choose(dice).expect("three of them");
        for _ in 0..dice.random_range(1..=MOST_MEMBERS) {
            schedule.members.push(MemberPlan {
                group,
                assignor: assignor.to_owned(),
                session_timeout_ms,
                max_poll_interval_ms,
                commits: COMMITS.choose(dice).expect("three of them").to_string(),
                records: *[1, 10, 500].choose(dice).expect("three of them"),
                slow_ms: *[0, 0, 20, 400].choose(dice).expect("four of them"),
                is_static: dice.random_ratio(1, 4),
            });
        }
    }
    mix(schedule);
    schedule.settings.extend(settings(dice));
    let mut at_ms = first_fault_ms;
    loop {
        at_ms += dice.random_range(1..4_000);
        if at_ms >= last_ms {
            break;
        }
        let member = dice.random_range(0..schedule.members.len());
        let fault = Fault::Member {
            member: u32::try_from(member).unwrap_or(0),
            leaves: dice.random(),
        };
        schedule.faults.push(Planned { at_ms, fault });
    }
    schedule.faults.sort_by_key(|planned| planned.at_ms);
}

/// Has members of either protocol in one group in some of the schedules: it goes over and back as they come and go. A
/// stream of its own leaves what else a seed means as it was.
fn mix(schedule: &mut Schedule) {
    let dice = &mut stream(schedule.seed, 8);
    if !dice.random_ratio(1, 3) {
        return;
    }
    let classic = *CLASSIC.choose(dice).expect("four of them");
    for member in &mut schedule.members {
        let assignor = match dice.random() {
            true => classic,
            false => CONSUMER,
        };
        assignor.clone_into(&mut member.assignor);
    }
}

/// Few partitions of `__consumer_offsets`, so that they have much to do; sessions as short as runs are.
fn settings(dice: &mut SmallRng) -> Vec<(String, String)> {
    let partitions = dice.random_range(1..=3);
    let delay_ms = *[0, 0, 300].choose(dice).expect("three of them");
    [
        ("offsets.topic.num.partitions", partitions),
        ("group.min.session.timeout.ms", 100),
        ("group.initial.rebalance.delay.ms", delay_ms),
        ("group.consumer.min.session.timeout.ms", 100),
        ("group.consumer.min.heartbeat.interval.ms", 50),
        ("group.consumer.session.timeout.ms", 1_500),
        ("group.consumer.heartbeat.interval.ms", 150),
    ]
    .map(|(name, value)| (name.to_owned(), value.to_string()))
    .to_vec()
}
