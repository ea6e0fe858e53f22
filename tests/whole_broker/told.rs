//! What three brokers tell of their replicas, and which events they tell with which causes.

use klar::ids::{BrokerId, LeaderEpoch, Offset};
use klar::inspect::{Asker, Durability, EventKind, ReplicaState, WaitsFor};

use crate::cluster::Cluster;

const ALL: [BrokerId; 3] = [BrokerId(1), BrokerId(2), BrokerId(3)];

/// Three brokers with the topic `orders` on all of them and two records in it; and its leader.
fn with_orders() -> (Cluster, BrokerId) {
    let mut cluster = Cluster::new(3, Durability::Os);
    let leader = make_orders(&mut cluster);
    (cluster, leader)
}

fn make_orders(cluster: &mut Cluster) -> BrokerId {
    cluster.wait_until_whole();
    cluster.create(BrokerId(1), "orders", 3);
    cluster.wait_for("the topic is known", |c| {
        ALL.iter().all(|id| c.leader(*id, "orders").is_some())
    });
    let leader = cluster.leader(BrokerId(1), "orders").unwrap();
    assert_eq!(cluster.produce(leader, "orders", &["a", "b"]), (0, 0));
    leader
}

fn others(than: BrokerId) -> Vec<BrokerId> {
    ALL.into_iter().filter(|id| *id != than).collect()
}

/// Sentences of the notes so far that say `words`, with who told them.
fn told(cluster: &Cluster, words: &str) -> Vec<(BrokerId, String)> {
    let notes = cluster.notes.iter();
    let told = notes.map(|(by, kind)| (*by, kind.sentence()));
    told.filter(|(_, said)| said.contains(words)).collect()
}

#[test]
fn a_leader_tells_how_far_its_followers_are() {
    let (mut cluster, leader) = with_orders();
    cluster.pass_ms(600);
    let partition = &cluster.topic(leader).partitions[0];
    assert_eq!(partition.elr, []);
    for replica in &partition.replicas {
        assert!(replica.in_sync && replica.in_maximal_isr, "{replica:?}");
        if replica.broker == leader {
            assert_eq!(replica.state, ReplicaState::Leader);
            assert_eq!(replica.log_end, Offset(2));
            assert_eq!(replica.caught_up_ms, None);
            assert_eq!(replica.epochs, [(LeaderEpoch(0), Offset(0))]);
        } else {
            assert_eq!(replica.caught_up_ms, Some(0), "it has everything");
            assert_eq!(replica.leaves_isr_ms, None);
        }
    }
    let follower = others(leader)[0];
    let own = cluster.topic(follower).partitions[0].replicas.clone();
    let own = own.iter().find(|one| one.broker == follower).unwrap();
    assert_eq!(
        (own.state, own.log_end),
        (ReplicaState::Follower, Offset(2))
    );
    assert_eq!(own.epochs, [(LeaderEpoch(0), Offset(0))]);
}

#[test]
fn a_silent_follower_is_behind_for_longer_and_longer_until_it_leaves() {
    let (mut cluster, leader) = with_orders();
    let silent = others(leader)[0];
    cluster.pass_ms(600);
    cluster.kill(silent);
    let client = cluster.connect(leader);
    cluster.write_unacked(client, "orders", &["c"]);
    cluster.pass_ms(300);
    let of = |cluster: &mut Cluster| {
        let replicas = cluster.topic(leader).partitions[0].replicas.clone();
        replicas.into_iter().find(|r| r.broker == silent).unwrap()
    };
    let early = of(&mut cluster);
    cluster.pass_ms(400);
    let later = of(&mut cluster);
    if later.in_sync {
        assert!(
            early.caught_up_ms < later.caught_up_ms,
            "{early:?} {later:?}"
        );
        assert!(early.leaves_isr_ms > later.leaves_isr_ms);
        assert!(later.leaves_isr_ms.is_some());
    }
    cluster.wait_for("it leaves the ISR", |c| !of(c).in_sync);
    let shrank = told(&cluster, "orders-0: the ISR shrank from 1, 2, 3");
    let [(by, said)] = &shrank[..] else {
        panic!("told once: {shrank:?}");
    };
    assert_eq!(*by, leader, "the leader tells");
    assert!(said.contains(&format!("broker {silent} ")), "{said}");
}

#[test]
fn refused_produces_are_counted_by_whoever_refuses_them() {
    let (mut cluster, leader) = with_orders();
    let other = others(leader)[0];
    for _ in 0..2 {
        assert_ne!(
            cluster.produce(other, "orders", &["c"]).0,
            0,
            "it does not lead"
        );
    }
    let failed = |cluster: &mut Cluster, id| cluster.picture(id).totals.failed_produces;
    assert_eq!(
        (failed(&mut cluster, leader), failed(&mut cluster, other)),
        (0, 2)
    );
}

/// The notes of one kind, in the order they were told.
fn places(cluster: &Cluster, of: fn(&EventKind) -> bool) -> Vec<usize> {
    let notes = cluster.notes.iter().enumerate();
    let found = notes.filter(|(_, (_, kind))| of(kind));
    found.map(|(place, _)| place).collect()
}

#[test]
fn a_failover_is_told_from_the_lost_connection_to_the_first_acknowledged_produce() {
    let (mut cluster, leader) = with_orders();
    let other = others(leader)[0];
    cluster.notes.clear();
    let killed = cluster.now();
    cluster.kill(leader);
    cluster.wait_for("another leads", |c| {
        c.leader(other, "orders").is_some_and(|now| now != leader)
    });
    let next = cluster.leader(other, "orders").unwrap();
    let acked = |kind: &EventKind| matches!(kind, EventKind::FirstProduceAcked { .. });
    assert!(places(&cluster, acked).is_empty(), "nobody wrote yet");
    for _ in 0..3 {
        assert_eq!(cluster.produce(next, "orders", &["c"]).0, 0);
    }
    let unheard = places(&cluster, |kind| {
        matches!(kind, EventKind::BrokerUnheard { .. })
    });
    let fenced = places(&cluster, |kind| {
        matches!(kind, EventKind::BrokerFenced { .. })
    });
    let elected = places(&cluster, |kind| {
        matches!(kind, EventKind::LeaderElected { .. })
    });
    let order = [&unheard[..], &fenced, &elected, &places(&cluster, acked)].concat();
    assert!(
        order.is_sorted() && order.len() == 4,
        "each once: {:?}",
        cluster.notes
    );
    let EventKind::BrokerUnheard {
        subject,
        lost,
        waited_ms,
        timeout_ms,
    } = cluster.notes[order[0]].1
    else {
        unreachable!("it was looked for");
    };
    assert_eq!(subject, leader);
    assert!(
        lost.is_some_and(|lost| lost >= killed),
        "its sockets were reset"
    );
    assert!(waited_ms >= timeout_ms.unsigned_abs() / 3 && waited_ms < timeout_ms.unsigned_abs());
    let first = EventKind::FirstProduceAcked {
        topic: "orders".into(),
        partition: klar::ids::PartitionIndex(0),
        epoch: LeaderEpoch(1),
        after: Some(leader),
    };
    assert_eq!(cluster.notes[order[3]], (next, first));
}

#[test]
fn an_election_nobody_failed_for_awaits_no_produce() {
    let mut cluster = Cluster::set(&[("leader.imbalance.check.interval.seconds", "1")]);
    let leader = make_orders(&mut cluster);
    cluster.notes.clear();
    assert_eq!(cluster.produce(leader, "orders", &["c"]).0, 0);
    cluster.kill(leader);
    let other = others(leader)[0];
    cluster.wait_for("another leads", |c| {
        c.leader(other, "orders").is_some_and(|now| now != leader)
    });
    cluster.start(leader);
    cluster.wait_for("it leads again, as is preferred", |c| {
        c.leader(leader, "orders") == Some(leader)
    });
    cluster.notes.clear();
    assert_eq!(cluster.produce(leader, "orders", &["d"]).0, 0);
    let acked = places(&cluster, |kind| {
        matches!(kind, EventKind::FirstProduceAcked { .. })
    });
    assert!(
        acked.is_empty(),
        "the leader before lives: {:?}",
        cluster.notes
    );
}

#[test]
fn a_killed_leader_brings_events_with_causes_and_each_is_told_once() {
    let (mut cluster, leader) = with_orders();
    let other = others(leader)[0];
    cluster.notes.clear();
    cluster.kill(leader);
    cluster.wait_for("another leads", |c| {
        c.leader(other, "orders").is_some_and(|now| now != leader)
    });
    let next = cluster.leader(other, "orders").unwrap();
    let silence = format!("no heartbeat came from broker {leader} in time");
    let fenced = told(&cluster, &format!("Broker {leader} is fenced"));
    assert_eq!(fenced.len(), 1, "{:?}", cluster.notes);
    assert!(fenced[0].1.contains(&silence), "{fenced:?}");
    let elected = format!("Broker {next} leads orders-0 with epoch 1 after broker {leader}");
    let elected = told(&cluster, &elected);
    assert_eq!(elected.len(), 1, "{:?}", cluster.notes);
    assert!(elected[0].1.contains(&silence), "{elected:?}");
    cluster.wait_for("the ISR's change is told", |c| {
        !told(c, "orders-0: the ISR shrank").is_empty()
    });
    let shrank = told(&cluster, "orders-0: the ISR shrank");
    assert_eq!(shrank.len(), 1, "{shrank:?}");
    assert_eq!(shrank[0].0, next);
    let cause = format!("broker {leader} is fenced");
    assert!(shrank[0].1.contains(&cause), "{shrank:?}");

    cluster.notes.clear();
    cluster.start(leader);
    cluster.wait_for("it is in sync again", |c| {
        c.partition(next, "orders")
            .is_some_and(|p| p.isr_nodes.len() == 3)
    });
    cluster.pass_ms(1_000);
    let registered = format!("Broker {leader} is registered");
    assert!(
        told(&cluster, &registered)[0]
            .1
            .contains("it has started again")
    );
    assert_eq!(
        told(&cluster, &format!("Broker {leader} is unfenced")).len(),
        1
    );
    let grew = told(&cluster, "orders-0: the ISR grew");
    assert_eq!(grew.len(), 1, "{grew:?}");
    assert!(
        grew[0]
            .1
            .contains(&format!("broker {leader} has caught up"))
    );
    assert_eq!(
        told(&cluster, "leads orders-0").len(),
        0,
        "history is not told again"
    );
}

#[test]
fn a_new_controller_says_so_and_tells_no_history() {
    let (mut cluster, _) = with_orders();
    let controllers = told(&cluster, "Controller with epoch");
    assert_eq!(controllers.len(), 1, "{controllers:?}");
    assert!(controllers[0].1.contains("it has the votes of brokers"));
    let first = controllers[0].0;
    assert_eq!(told(&cluster, "Topic orders created").len(), 1);
    cluster.notes.clear();
    cluster.kill(first);
    cluster.wait_for("another controller", |c| {
        !told(c, "Controller with epoch").is_empty()
    });
    cluster.pass_ms(5_000);
    let after = format!("after broker {first}");
    assert!(
        told(&cluster, "Controller with epoch")[0]
            .1
            .contains(&after)
    );
    assert_eq!(told(&cluster, "Topic orders created").len(), 0);

    // All of them again: what they read is history.
    for id in ALL {
        cluster.kill(id);
    }
    cluster.notes.clear();
    for id in ALL {
        cluster.start(id);
    }
    cluster.wait_until_whole();
    cluster.pass_ms(1_000);
    assert_eq!(told(&cluster, "Topic orders created").len(), 0);
    assert_eq!(told(&cluster, "Controller with epoch").len(), 1);
}

#[test]
fn requests_on_their_way_are_told_by_whoever_sent_them() {
    let (mut cluster, leader) = with_orders();
    cluster.pass_ms(300);
    let follower = others(leader)[0];
    let picture = cluster.picture(follower);
    let fetch = picture.in_flight.iter().find(|one| {
        one.to == leader && one.from == Asker::Broker(follower) && !one.partitions.is_empty()
    });
    let fetch = fetch.unwrap_or_else(|| panic!("{:?}", picture.in_flight));
    assert!(fetch.api.starts_with("Fetch v"), "{fetch:?}");
    assert_eq!(fetch.partitions[0].0, "orders");
    let told_here = |one: &&klar::inspect::InFlight| matches!(one.from, Asker::Client(_));
    let waiting: Vec<_> = cluster.picture(leader).in_flight;
    assert_eq!(waiting.iter().filter(told_here).count(), 0, "{waiting:?}");

    // Without its followers a produce waits for them.
    for id in others(leader) {
        cluster.kill(id);
    }
    let client = cluster.connect(leader);
    cluster.write_unacked(client, "orders", &["c"]);
    let waiting = cluster.picture(leader).in_flight;
    let produce = waiting.iter().find(told_here).expect("it waits");
    assert_eq!(produce.from, Asker::Client(client.1));
    assert_eq!(produce.waits_for, WaitsFor::Replicas);
    assert!(produce.api.starts_with("Produce v"), "{produce:?}");
    assert_eq!(produce.partitions[0].0, "orders");
}

#[test]
fn every_broker_is_shown_as_the_metadata_has_it() {
    let (mut cluster, leader) = with_orders();
    let silent = others(leader)[0];
    let asked = others(leader)[1];
    cluster.kill(silent);
    cluster.wait_for("it is fenced", |c| {
        let registrations = c.picture(asked).registrations;
        let one = registrations.iter().find(|one| one.broker == silent);
        one.is_some_and(|one| one.fenced)
    });
    let registrations = cluster.picture(asked).registrations;
    assert_eq!(registrations.len(), 3);
    assert!(registrations.iter().all(|one| one.epoch.0 >= 0));
    let quorum = cluster.picture(asked).quorum;
    let controller = quorum.leader.unwrap();
    let seen = cluster.picture(controller).quorum;
    let own = seen.replicas.iter().find(|r| r.broker == controller);
    assert_eq!(own.unwrap().lag, Some(0));
}

#[test]
fn a_cut_log_is_told_with_what_was_lost() {
    let (mut cluster, leader) = with_orders();
    let survivors = others(leader);
    // It dies before anyone else has the record.
    let client = cluster.connect(leader);
    cluster.write_unacked(client, "orders", &["lost"]);
    cluster.kill(leader);
    cluster.wait_for("a survivor leads", |c| {
        c.leader(survivors[0], "orders")
            .is_some_and(|id| id != leader)
    });
    let next = cluster.leader(survivors[0], "orders").unwrap();
    cluster.wait_for("it takes records", |c| {
        c.produce(next, "orders", &["kept"]).0 == 0
    });
    cluster.notes.clear();
    cluster.start(leader);
    cluster.wait_for("it follows", |c| {
        c.partition(next, "orders")
            .is_some_and(|p| p.isr_nodes.len() == 3)
    });
    let cut = cluster.notes.iter().find_map(|(by, kind)| match kind {
        EventKind::LogTruncated {
            from, to, cause, ..
        } if *by == leader => Some((*from, *to, cause.clone())),
        _ => None,
    });
    let (from, to, cause) = cut.expect("it is told");
    assert_eq!((from, to), (Offset(3), Offset(2)));
    assert!(
        cause.contains(&format!("broker {next}, its leader")),
        "{cause}"
    );
}
