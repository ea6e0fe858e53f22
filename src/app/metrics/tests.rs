use std::sync::Arc;

use super::*;
use crate::ids::{BrokerId, LeaderEpoch, PartitionIndex};
use crate::inspect::{BrokerSnapshot, PartitionSnapshot, TopicSnapshot, Totals};

fn ids(numbers: &[i32]) -> Vec<BrokerId> {
    numbers.iter().copied().map(BrokerId).collect()
}

fn isr(from: &[i32], to: &[i32]) -> EventKind {
    EventKind::IsrChanged {
        topic: "orders".into(),
        partition: PartitionIndex(0),
        from: ids(from),
        to: ids(to),
        cause: String::new(),
    }
}

fn killed() -> EventKind {
    EventKind::BrokerKilled {
        cause: String::new(),
    }
}

fn elected() -> EventKind {
    EventKind::LeaderElected {
        topic: "orders".into(),
        partition: PartitionIndex(0),
        from: Some(BrokerId(2)),
        to: Some(BrokerId(1)),
        epoch: LeaderEpoch(1),
        unclean: false,
        cause: String::new(),
    }
}

/// At a moment, with so many of three replicas in sync, so many failed produces, and these events of broker 2.
fn picture(
    s: i64,
    in_sync: usize,
    failed_produces: u64,
    events: &[(i64, EventKind)],
) -> Arc<ClusterSnapshot> {
    let replica = |id: &BrokerId| crate::inspect::ReplicaSnapshot::unknown(*id);
    let all = ids(&[1, 2, 3]);
    let partition = PartitionSnapshot {
        leader: (in_sync > 0).then_some(BrokerId(1)),
        replicas: all.iter().map(replica).collect(),
        isr: all[..in_sync].to_vec(),
        ..PartitionSnapshot::default()
    };
    let topic = TopicSnapshot {
        name: "orders".into(),
        partitions: vec![partition],
        ..TopicSnapshot::default()
    };
    let event = |(at, (s, kind)): (usize, &(i64, EventKind))| {
        Arc::new(Event {
            number: at as u64 + 1,
            time: Time::from_ms(s * 1_000),
            broker: Some(BrokerId(2)),
            kind: kind.clone(),
        })
    };
    Arc::new(ClusterSnapshot {
        time: Time::from_ms(s * 1_000),
        brokers: vec![BrokerSnapshot::running(BrokerId(2))],
        topics: vec![Arc::new(topic)],
        totals: Totals {
            failed_produces,
            ..Totals::default()
        },
        events: events.iter().enumerate().map(event).collect(),
        ..ClusterSnapshot::default()
    })
}

/// What is said once these pictures were seen, at the moment of the last one.
fn told(seen: &[Arc<ClusterSnapshot>]) -> (String, Vec<String>) {
    let mut history = History::default();
    for picture in seen {
        history.see(picture.time, picture.time, picture);
    }
    let last = seen.last().expect("there is one");
    let metrics = Metrics::of(last, &history, last.time);
    let words = metrics
        .all
        .iter()
        .filter(|metric| metric.was.is_none_or(|was| was != metric.now));
    let words = words.map(|metric| format!("{} {}", metric.name, metric.words()));
    (metrics.since, words.collect())
}

#[test]
fn without_a_fault_the_last_minute_counts() {
    let events = [
        (5, isr(&[1, 2, 3], &[1, 2])),
        (70, isr(&[1, 2], &[1, 2, 3])),
    ];
    let seen = [
        picture(0, 3, 0, &[]),
        picture(5, 2, 4, &events[..1]),
        picture(80, 3, 5, &events),
    ];
    let (since, words) = told(&seen);
    assert_eq!(since, "in the last minute");
    assert_eq!(
        words,
        [
            "Under-replicated 1 → 0",
            "ISR shrinks 1 → 0",
            "ISR expands 0 → 1",
            "Failed produces 1"
        ]
    );
}

#[test]
fn after_a_fault_numbers_are_compared_with_those_before_it() {
    let events = [
        (100, killed()),
        (101, isr(&[1, 2, 3], &[1, 3])),
        (101, elected()),
    ];
    let seen = [
        picture(10, 3, 7, &[]),
        picture(100, 3, 7, &events[..1]),
        picture(102, 2, 19, &events),
    ];
    let (since, words) = told(&seen);
    assert_eq!(since, "since broker 2 was killed");
    assert_eq!(
        words,
        [
            "Under-replicated 0 → 1",
            "ISR shrinks 0 → 1",
            "Elections 0 → 1 · 1,000 ms",
            "Failed produces 0 → 12"
        ]
    );
    let mut later = (*seen[2]).clone();
    later.time = Time::from_ms(1_000_000);
    let (since, _) = told(&[Arc::clone(&seen[0]), Arc::new(later)]);
    assert_eq!(since, "in the last minute", "that was long ago");
}

#[test]
fn what_nobody_saw_before_is_not_made_up() {
    let (_, words) = told(&[picture(100, 0, 3, &[(100, killed())])]);
    let words = words.join(", ");
    assert_eq!(
        words,
        "Under-replicated 1, Offline 1, Fenced 0, Failed produces 0"
    );
}
