use std::sync::Arc;

use super::*;
use crate::inspect::{
    BrokerSnapshot, ConfigValue, Failure, Outcome, RegistrationSnapshot, ReplicaSnapshot,
};

const ORDERS_0: (&str, PartitionIndex) = ("orders", PartitionIndex(0));

fn id(number: i32) -> BrokerId {
    BrokerId(number)
}

fn ids(numbers: &[i32]) -> Vec<BrokerId> {
    numbers.iter().copied().map(BrokerId).collect()
}

/// Replicas with their log ends; the first leads.
fn partition(replicas: &[(i32, i64)], isr: &[i32]) -> PartitionSnapshot {
    let replica = |(number, end): &(i32, i64)| ReplicaSnapshot {
        log_end: Offset(*end),
        in_sync: isr.contains(number),
        state: crate::inspect::ReplicaState::Follower,
        ..ReplicaSnapshot::unknown(id(*number))
    };
    PartitionSnapshot {
        leader: isr.first().copied().map(BrokerId),
        log_end: Offset(replicas[0].1),
        bytes: 4_096,
        isr: ids(isr),
        replicas: replicas.iter().map(replica).collect(),
        ..PartitionSnapshot::default()
    }
}

/// Six brokers, of which the fifth is killed and the sixth fenced, with this partition of `orders`.
fn picture(partition: PartitionSnapshot) -> ClusterSnapshot {
    let least = ConfigValue {
        name: "min.insync.replicas",
        value: "2".into(),
        set: true,
        doc: "",
    };
    let topic = TopicSnapshot {
        name: "orders".into(),
        configs: Arc::new(vec![least]),
        partitions: vec![partition],
        ..TopicSnapshot::default()
    };
    let mut brokers: Vec<BrokerSnapshot> = (1..=6).map(id).map(BrokerSnapshot::running).collect();
    brokers[4].state = BrokerState::Killed;
    brokers[5].registration = brokers[5].registration.map(|one| RegistrationSnapshot {
        fenced: true,
        ..one
    });
    ClusterSnapshot {
        brokers,
        topics: vec![Arc::new(topic)],
        ..ClusterSnapshot::default()
    }
}

fn preview(partition: PartitionSnapshot, then: &[i32]) -> Preview {
    let picture = picture(partition);
    let (topic, partition) = find(&picture, "orders", PartitionIndex(0)).expect("it is there");
    Preview::of(topic, partition, &ids(then))
}

#[test]
fn a_drop_elects_moves_or_says_why_not() {
    let picture = picture(partition(&[(1, 100), (2, 100), (3, 40)], &[1, 2]));
    let led = |to| {
        let offer = faults::elect("orders", PartitionIndex(0), id(to), false);
        Ok(Dropped::Lead(offer))
    };
    let moved = |then: &[i32]| Ok(Dropped::Move(ids(then)));
    let not = |why: &str| Err(why.to_owned());
    for (from, to, expected) in [
        (1, 2, led(2)),
        (1, 3, not("broker 3 is out of ISR: records could be lost")),
        (1, 4, moved(&[4, 2, 3])),
        (2, 4, moved(&[1, 4, 3])),
        (2, 3, not("broker 3 holds a replica of orders-0 already")),
        (2, 5, not("broker 5 is killed")),
        (2, 6, not("broker 6 is fenced")),
        (2, 7, not("broker 7 is no part of the cluster")),
    ] {
        let dropped = on_drop(&picture, ORDERS_0, id(from), id(to));
        assert_eq!(dropped, expected, "{from} on {to}");
    }
}

#[test]
fn a_replica_on_its_way_is_moved_elsewhere_and_one_that_goes_is_not() {
    let mut moving = partition(&[(1, 100), (2, 100), (4, 10), (3, 100)], &[1, 2, 3]);
    (moving.adding, moving.removing) = (ids(&[4]), ids(&[3]));
    let mut picture = picture(moving);
    picture.brokers[4].state = BrokerState::Running;
    let dropped = |from, to| on_drop(&picture, ORDERS_0, id(from), id(to));
    assert_eq!(dropped(4, 5), Ok(Dropped::Move(ids(&[1, 2, 5]))));
    let goes = "the replica on broker 3 goes already";
    assert_eq!(dropped(3, 5), Err(goes.to_owned()));
    let waits = "its replicas are on their way: wait, or cancel the move";
    assert_eq!(dropped(1, 2), Err(waits.to_owned()));
}

#[test]
fn a_preview_says_what_is_copied_who_leads_and_what_is_at_risk() {
    let healthy = || partition(&[(1, 1_042), (2, 1_042), (3, 1_042)], &[1, 2, 3]);
    let thin = || partition(&[(1, 1_042), (2, 9)], &[1]);
    for (before, then, copied, leader, risk) in [
        (
            healthy(),
            &[1, 2, 4][..],
            "1,042 records, 4.0 KiB, from broker 1, the leader, to broker 4",
            "broker 1, as now",
            None,
        ),
        (
            healthy(),
            &[4, 2, 5],
            "1,042 records, 4.0 KiB, from broker 1, the leader, each to brokers 4 and 5",
            "broker 1 until then, broker 4 in a new leader epoch",
            None,
        ),
        (
            healthy(),
            &[2, 1, 3],
            "nothing: only the preferred leader changes",
            "broker 1, as now",
            None,
        ),
        (
            healthy(),
            &[3],
            "nothing",
            "broker 1 until then, broker 3 in a new leader epoch",
            Some(
                "min.insync.replicas 2 will not hold with 1 in sync at the end: acks=all will be refused",
            ),
        ),
        (
            thin(),
            &[1, 4],
            "1,042 records, 4.0 KiB, from broker 1, the leader, to broker 4",
            "broker 1, as now",
            Some("min.insync.replicas 2 does not hold: 1 in sync now, so acks=all is refused"),
        ),
    ] {
        let preview = preview(before, then);
        let lines = preview.lines();
        let line = |label| lines.iter().find(|line| line.label == label);
        let text = |label| line(label).map(|line| line.text.as_str());
        assert_eq!(text("Copied"), Some(copied), "{then:?}");
        assert_eq!(text("Leader"), Some(leader), "{then:?}");
        assert_eq!(preview.risk().as_deref(), risk, "{then:?}");
        assert_eq!(line("acks=all").map(|line| line.bad), Some(risk.is_some()));
    }
}

#[test]
fn what_cannot_be_begun_says_why() {
    let healthy = || partition(&[(1, 100), (2, 100)], &[1, 2]);
    let leaderless = || partition(&[(1, 100), (2, 100)], &[]);
    for (before, then, refusal) in [
        (healthy(), &[][..], Some("Choose at least one broker.")),
        (healthy(), &[1, 2], Some("Nothing is different yet.")),
        (healthy(), &[2, 1], None),
        (
            healthy(),
            &[1, 5],
            Some("Nothing can be copied: broker 5 is killed."),
        ),
        (
            leaderless(),
            &[1, 3],
            Some("Nothing can be copied: nobody leads it."),
        ),
    ] {
        let picture = picture(before.clone());
        let found = preview(before.clone(), then).refusal(&picture, &before);
        assert_eq!(found.as_deref(), refusal, "{then:?}");
    }
}

#[test]
fn progress_counts_what_the_leader_still_has_and_is_whole_only_at_its_end() {
    let mut moving = partition(&[(1, 1_100), (4, 419), (2, 1_100)], &[1, 2]);
    (moving.adding, moving.removing) = (ids(&[4]), ids(&[2]));
    moving.log_start = Offset(100);
    for (end, percent, words) in [
        (-1, 0, "0 of 1,000 records (0 %)"),
        (519, 41, "419 of 1,000 records (41 %)"),
        (1_099, 99, "999 of 1,000 records (99 %)"),
        (1_100, 100, "1,000 of 1,000 records (100 %)"),
    ] {
        moving.replicas[1].log_end = Offset(end);
        let progress = Progress::of(&moving, id(4)).expect("it is added");
        assert_eq!(progress.percent(), percent);
        assert_eq!(progress.words(), words);
    }
    let sentence = "from broker 2 to broker 4 · broker 4: 1,000 of 1,000 records (100 %)";
    assert_eq!(super::sentence(&moving), sentence);
    assert_eq!(Progress::of(&moving, id(2)), None);
}

fn watched() -> Vec<Watched> {
    vec![Watched {
        topic: "orders".into(),
        partition: PartitionIndex(0),
        before: ids(&[1, 2]),
        then: ids(&[1, 4]),
        command: CommandId(7),
        begun: false,
    }]
}

fn moving() -> PartitionSnapshot {
    let mut moving = partition(&[(1, 100), (4, 50), (2, 100)], &[1, 2]);
    (moving.adding, moving.removing) = (ids(&[4]), ids(&[2]));
    moving
}

#[test]
fn a_move_that_ended_is_offered_back() {
    let before = picture(partition(&[(1, 100), (2, 100)], &[1, 2]));
    let after = picture(partition(&[(1, 100), (4, 100)], &[1, 4]));
    let mut all = watched();
    for under_way in [&before, &picture(moving())] {
        assert_eq!(see(&mut all, Time(0), under_way), None);
    }
    let undo = see(&mut all, Time::from_ms(5), &after).expect("it has ended");
    let back = Command::MoveReplicas {
        topic: "orders".into(),
        partition: PartitionIndex(0),
        brokers: ids(&[1, 2]),
    };
    assert_eq!((undo.command, undo.until), (back, Time::from_ms(10_005)));
    assert_eq!(undo.what, "orders-0 is on brokers 1 and 4 now");
    assert!(all.is_empty());
}

#[test]
fn a_move_that_was_cancelled_or_refused_is_not() {
    let before = || picture(partition(&[(1, 100), (2, 100)], &[1, 2]));
    let mut all = watched();
    see(&mut all, Time(0), &picture(moving()));
    assert_eq!(see(&mut all, Time(0), &before()), None);
    assert!(all.is_empty(), "cancelled");
    let mut all = watched();
    let mut refused = before();
    refused.outcomes.push(Outcome {
        id: CommandId(7),
        result: Err(Failure {
            name: "INVALID_REPLICA_ASSIGNMENT (39)".into(),
            what: String::new(),
            what_to_do: String::new(),
        }),
    });
    assert_eq!(see(&mut all, Time(0), &refused), None);
    assert!(all.is_empty(), "refused");
}
