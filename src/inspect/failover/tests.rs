use super::*;
use crate::ids::{BrokerEpoch, LeaderEpoch};
use crate::inspect::BrokerSnapshot;

const DEAD: BrokerId = BrokerId(2);

fn cause() -> String {
    "somebody asked for it".into()
}

fn killed() -> EventKind {
    EventKind::BrokerKilled { cause: cause() }
}

fn paused() -> EventKind {
    EventKind::BrokerPaused { cause: cause() }
}

fn unheard(lost_ms: Option<i64>, waited_ms: u64) -> EventKind {
    EventKind::BrokerUnheard {
        subject: DEAD,
        lost: lost_ms.map(Time::from_ms),
        waited_ms,
        timeout_ms: 700,
    }
}

fn fenced() -> EventKind {
    EventKind::BrokerFenced {
        subject: DEAD,
        cause: cause(),
    }
}

fn unfenced() -> EventKind {
    EventKind::BrokerUnfenced {
        subject: DEAD,
        cause: cause(),
    }
}

fn elected(partition: i32, to: Option<i32>) -> EventKind {
    EventKind::LeaderElected {
        topic: "orders".into(),
        partition: PartitionIndex(partition),
        from: Some(DEAD),
        to: to.map(BrokerId),
        epoch: LeaderEpoch(5),
        unclean: false,
        cause: cause(),
    }
}

fn acked(partition: i32) -> EventKind {
    EventKind::FirstProduceAcked {
        topic: "orders".into(),
        partition: PartitionIndex(partition),
        epoch: LeaderEpoch(5),
        after: Some(DEAD),
    }
}

/// Events with who told them and when, milliseconds.
fn picture(events: Vec<(i64, i32, EventKind)>) -> ClusterSnapshot {
    let event = |(at, (ms, broker, kind)): (usize, (i64, i32, EventKind))| {
        Arc::new(Event {
            number: at as u64 + 1,
            time: Time::from_ms(ms),
            broker: Some(BrokerId(broker)),
            kind,
        })
    };
    let broker = |id| BrokerSnapshot {
        settings: vec![
            (SESSION.into(), "700".into(), true),
            (
                "controller.quorum.fetch.timeout.ms".into(),
                "400".into(),
                true,
            ),
        ],
        ..BrokerSnapshot::running(BrokerId(id))
    };
    ClusterSnapshot {
        brokers: (1..=3).map(broker).collect(),
        events: events.into_iter().enumerate().map(event).collect(),
        ..ClusterSnapshot::default()
    }
}

/// The steps as `detected +1 +1 [setting]`: milliseconds since the beginning and since the step before.
fn told(failover: &Failover) -> Vec<String> {
    let ms = |us: Option<u64>| us.map_or("–".to_owned(), |us| format!("+{}", us / 1_000));
    let step = |step: &FailoverStep| {
        let governs = step.governs.as_ref().map(|by| format!(" [{}]", by.words()));
        format!(
            "{} {} {}{}",
            step.stage.word(),
            ms(step.since_began_us),
            ms(step.since_last_us),
            governs.unwrap_or_default()
        )
    };
    failover.steps.iter().map(step).collect()
}

fn whole() -> Vec<(i64, i32, EventKind)> {
    vec![
        (1_000, 2, killed()),
        (1_235, 1, unheard(Some(1_001), 234)),
        (1_240, 1, fenced()),
        (1_241, 1, elected(0, Some(3))),
        (1_241, 1, elected(1, Some(1))),
        (1_300, 3, acked(0)),
        (1_500, 1, acked(1)),
    ]
}

#[test]
fn a_kill_is_followed_to_the_first_acknowledged_produce() {
    let failover = Failover::of(&picture(whole()), DEAD).expect("it was killed");
    assert_eq!(failover.cause, Cause::Killed);
    assert!(!failover.is_back);
    assert_eq!(
        told(&failover),
        [
            "began +0 +0",
            "detected +1 +1",
            "fenced +240 +239 [a third of broker.session.timeout.ms = 700]",
            "elected +241 +1",
            "first produce acked +300 +59 [the client's retry.backoff.ms]",
        ]
    );
    let elected = failover.step(Stage::Elected).expect("there is one");
    assert_eq!(
        elected.what,
        "broker 3 leads orders-0 with epoch 5, and 1 more"
    );
    assert_eq!(elected.event, Some(4));
}

#[test]
fn one_partition_has_its_own_times() {
    let picture = picture(whole());
    let of = |index| Failover::of_partition(&picture, "orders", PartitionIndex(index));
    let second = of(1).expect("it was led by the dead one");
    assert_eq!(
        told(&second)[4],
        "first produce acked +500 +259 [the client's retry.backoff.ms]"
    );
    let elected = &second.step(Stage::Elected).expect("there is one").what;
    assert_eq!(elected, "broker 1 leads orders-1 with epoch 5");
    assert_eq!(of(2), None, "it never changed its leader");
}

#[test]
fn a_silent_broker_is_detected_when_its_session_is_over() {
    let events = vec![
        (1_000, 2, paused()),
        (1_700, 1, unheard(None, 700)),
        (1_702, 1, fenced()),
    ];
    let failover = Failover::of(&picture(events), DEAD).expect("it was paused");
    assert_eq!(
        told(&failover),
        [
            "began +0 +0",
            "detected +700 +700 [broker.session.timeout.ms = 700]",
            "fenced +702 +2",
            "elected – –",
        ]
    );
    let elected = failover.step(Stage::Elected).expect("there is one");
    assert_eq!(elected.what, "it led nothing");
}

#[test]
fn what_has_not_happened_yet_is_missing_and_last() {
    let mut events = whole();
    events.truncate(1);
    let failover = Failover::of(&picture(events), DEAD).expect("it was killed");
    let missing = [
        "detected – –",
        "fenced – –",
        "elected – –",
        "first produce acked – –",
    ];
    assert_eq!(told(&failover)[1..], missing);
    let alone = vec![
        (1_000, 2, killed()),
        (1_240, 1, fenced()),
        (1_241, 1, elected(0, None)),
    ];
    let failover = Failover::of(&picture(alone), DEAD).expect("it was killed");
    let elected = failover.step(Stage::Elected).expect("there is one");
    assert_eq!(
        (elected.time, elected.what.as_str()),
        (None, "nobody may lead orders-0")
    );
}

#[test]
fn the_end_of_the_controller_has_a_step_more() {
    let mut events = whole();
    let changed = EventKind::ControllerChanged {
        from: Some(DEAD),
        epoch: LeaderEpoch(9),
        cause: cause(),
    };
    events[0].2 = paused();
    events.insert(1, (1_420, 1, changed));
    events[2].2 = unheard(Some(1_430), 0);
    let failover = Failover::of(&picture(events), DEAD).expect("it was paused");
    let controller = failover
        .step(Stage::ControllerElected)
        .expect("there is one");
    assert_eq!(controller.what, "broker 1 decides instead");
    let governs = controller.governs.as_ref().map(Governs::words);
    assert_eq!(
        governs.as_deref(),
        Some("controller.quorum.fetch.timeout.ms = 400")
    );
}

#[test]
fn the_newest_failure_counts_until_the_broker_is_back_and_after() {
    let cut = |to| EventKind::LinkCut {
        to: BrokerId(to),
        cause: cause(),
    };
    let resumed = || EventKind::BrokerResumed { cause: cause() };
    let registered = || EventKind::BrokerRegistered {
        subject: DEAD,
        epoch: BrokerEpoch(30),
        cause: cause(),
    };
    for (events, expected) in [
        (Vec::new(), None),
        (vec![(1, 2, cut(1))], None),
        (
            vec![(1, 2, cut(1)), (9, 1, fenced())],
            Some((1, Cause::Cut, false)),
        ),
        (vec![(1, 2, paused()), (3, 2, resumed())], None),
        (
            vec![(1, 2, paused()), (3, 2, killed())],
            Some((3, Cause::Killed, false)),
        ),
        (
            vec![(1, 2, paused()), (2, 1, fenced()), (3, 2, killed())],
            Some((1, Cause::Paused, false)),
        ),
        (
            vec![
                (1, 2, killed()),
                (2, 1, fenced()),
                (3, 1, registered()),
                (4, 1, unfenced()),
            ],
            Some((1, Cause::Killed, true)),
        ),
        (
            vec![(1, 2, killed()), (4, 1, unfenced()), (7, 2, killed())],
            Some((7, Cause::Killed, false)),
        ),
        (
            vec![(1, 2, killed()), (4, 1, unfenced()), (7, 2, cut(3))],
            Some((1, Cause::Killed, true)),
        ),
    ] {
        let picture = picture(events);
        let found = Failover::of(&picture, DEAD);
        let found = found.map(|one| (one.began().as_ms(), one.cause, one.is_back));
        assert_eq!(found, expected, "{:?}", picture.events);
    }
}
