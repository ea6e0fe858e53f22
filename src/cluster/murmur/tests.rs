//! Which pictures are news, from made-up ones.

use super::*;
use crate::ids::{LeaderEpoch, Offset, Time, TopicId};
use crate::inspect::{BrokerSnapshot, QuorumReplica, WaitsFor};

fn connection(id: u64, client_id: &str, requests: u64) -> ConnectionSnapshot {
    ConnectionSnapshot {
        id: ConnectionId(id),
        broker: BrokerId(1),
        peer: String::new(),
        client_id: client_id.to_owned(),
        software: String::new(),
        since: Time(5),
        requests,
        errors: 0,
        last_api: "Fetch v18".into(),
        own: client_id == "klar",
        contact: crate::inspect::Contact::default(),
    }
}

fn asked_by(from: Asker) -> InFlight {
    InFlight {
        from,
        to: BrokerId(1),
        api: "Fetch v18".into(),
        since: Time(7),
        waits_for: WaitsFor::Records,
        partitions: Vec::new(),
    }
}

/// A broker with a topic, asked by another broker, by a client and by klar itself.
fn picture() -> BrokerPicture {
    let replica = ReplicaSnapshot {
        caught_up_ms: Some(40),
        ..ReplicaSnapshot::unknown(BrokerId(2))
    };
    let topic = TopicSnapshot {
        name: "t".into(),
        id: TopicId([1; 16]),
        partitions: vec![PartitionSnapshot {
            replicas: vec![replica],
            ..PartitionSnapshot::default()
        }],
        ..TopicSnapshot::default()
    };
    BrokerPicture {
        time: Time(10),
        cluster_id: "c".into(),
        broker_epoch: None,
        broker: Arc::new(BrokerSnapshot::running(BrokerId(1))),
        topics: Arc::new(vec![Arc::new(topic)]),
        totals: Totals {
            requests: 60,
            ..Totals::default()
        },
        quorum: QuorumSnapshot {
            epoch: LeaderEpoch(3),
            replicas: vec![QuorumReplica {
                broker: BrokerId(2),
                voter: true,
                log_end: Offset(9),
                lag: Some(0),
                fetched_ms: Some(100),
                caught_up_ms: Some(100),
            }],
            ..QuorumSnapshot::default()
        },
        registrations: Vec::new(),
        in_flight: vec![asked_by(Asker::Broker(BrokerId(2)))],
        groups: Arc::default(),
        gone: Arc::default(),
        connections: Arc::new(vec![
            connection(1, "broker-2", 30),
            connection(2, "python app", 20),
            connection(3, "klar", 10),
        ]),
        lanes: Vec::new(),
        record: None,
        segment: None,
    }
}

fn partition(picture: &mut BrokerPicture) -> &mut PartitionSnapshot {
    let topics = Arc::make_mut(&mut picture.topics);
    &mut Arc::make_mut(&mut topics[0]).partitions[0]
}

fn ask(picture: &mut BrokerPicture, connection: usize) {
    picture.totals.requests += 1;
    Arc::make_mut(&mut picture.connections)[connection].requests += 1;
}

type Change = fn(&mut BrokerPicture);

#[test]
fn what_brokers_ask_all_the_time_is_no_news() {
    let quiet: [(&str, Change); 6] = [
        ("time passed", |p| p.time = Time(99)),
        ("a follower or a heartbeat", |p| ask(p, 0)),
        ("klar itself looked", |p| ask(p, 2)),
        ("a long poll ended", |p| p.in_flight.clear()),
        ("the quorum was fetched from", |p| {
            p.quorum.replicas[0].fetched_ms = Some(3);
        }),
        ("a follower was caught up later", |p| {
            partition(p).replicas[0].caught_up_ms = Some(90);
        }),
    ];
    for (what, change) in quiet {
        let mut after = picture();
        change(&mut after);
        assert!(!is_news(&picture(), &after, |_, _| false), "{what}");
    }
}

#[test]
fn what_happens_is_news() {
    let news: [(&str, Change); 9] = [
        ("records came", |p| p.totals.records_in += 1),
        ("a log grew", |p| partition(p).log_end = Offset(1)),
        ("a leader was elected", |p| {
            partition(p).leader = Some(BrokerId(2))
        }),
        ("a follower has everything", |p| {
            partition(p).replicas[0].caught_up_ms = Some(0);
        }),
        ("a follower is about to leave the ISR", |p| {
            partition(p).replicas[0].leaves_isr_ms = Some(9_000);
        }),
        ("a client asked", |p| ask(p, 1)),
        ("a client waits", |p| {
            p.in_flight.push(asked_by(Asker::Client(ConnectionId(2))));
        }),
        ("somebody connected", |p| {
            Arc::make_mut(&mut p.connections).push(connection(4, "broker-3", 0));
        }),
        ("a controller was elected", |p| {
            p.quorum.epoch = LeaderEpoch(4)
        }),
    ];
    for (what, change) in news {
        let mut after = picture();
        change(&mut after);
        assert!(is_news(&picture(), &after, |_, _| false), "{what}");
    }
}

#[test]
fn a_request_on_a_watched_wire_is_news() {
    let mut after = picture();
    after.in_flight.clear();
    let between = |a, b| (a, b) == (BrokerId(2), BrokerId(1));
    assert!(is_news(&picture(), &after, between));
}

#[test]
fn requests_that_were_no_news_are_counted_by_connection() {
    let (mut murmur, before) = (Murmur::default(), picture());
    let mut after = picture();
    ask(&mut after, 0);
    ask(&mut after, 1);
    murmur.count(&before, &after, true);
    assert_eq!(murmur.polls(BrokerId(1)).count(), 0, "something happened");
    murmur.count(&before, &after, false);
    murmur.count(&before, &after, false);
    let polls: Vec<Polls> = murmur.polls(BrokerId(1)).collect();
    let expected = Polls {
        broker: BrokerId(1),
        connection: ConnectionId(1),
        requests: 2,
    };
    assert_eq!(polls, [expected]);
    assert_eq!(asked_between(Some(&before), &after), 1);
    assert_eq!(asked_between(None, &after), 31);
    Arc::make_mut(&mut after.connections).remove(0);
    murmur.count(&before, &after, false);
    assert_eq!(murmur.polls(BrokerId(1)).count(), 0, "it is gone");
}
