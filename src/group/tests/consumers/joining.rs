//! Joining, sharing, handing over.

use super::*;

#[test]
fn a_lone_member_gets_everything_at_once_and_hears_of_it_once() {
    let mut world = World::new(3);
    let mut a = Consumer::new("a");
    world.beat(&mut a).unwrap();
    assert_eq!((a.epoch, &a.told), (1, &some("t", &[0, 1, 2])));
    assert_eq!(world.state(), "Stable");
    a.obey();
    let heard = world.ask(&a.request()).unwrap();
    assert_eq!((heard.epoch, heard.assignment), (1, None));
    assert_eq!(heard.heartbeat_interval_ms, 5_000);
    a.whole = true;
    let told = world.ask(&a.request()).unwrap().assignment;
    assert_eq!(
        told,
        Some(some("t", &[0, 1, 2])),
        "who says all is told all"
    );
}

#[test]
fn a_partition_is_handed_over_only_after_its_owner_said_that_it_gave_it_up() {
    let mut world = World::new(4);
    let (mut a, mut b) = (Consumer::new("a"), Consumer::new("b"));
    world.beat(&mut a).unwrap();
    a.obey();
    world.beat(&mut b).unwrap();
    assert_eq!(
        (b.epoch, b.told.len()),
        (2, 0),
        "it is in the epoch, and waits"
    );
    assert_eq!(world.state(), "Reconciling");
    let before = a.owned.clone();
    world.beat(&mut a).unwrap();
    assert_eq!(
        (a.epoch, a.told.len()),
        (1, 2),
        "first it is to give up some"
    );
    world.beat(&mut b).unwrap();
    world.beat(&mut a).unwrap();
    world.beat(&mut b).unwrap();
    assert_eq!(b.told.len(), 0, "the first still owns {:?}", a.owned);
    assert_eq!(a.owned, before);
    a.obey();
    world.beat(&mut a).unwrap();
    assert_eq!(a.epoch, 2);
    world.beat(&mut b).unwrap();
    assert_eq!(b.told.len(), 2);
    assert!(!a.owned.overlaps(&b.told));
    assert_eq!(world.state(), "Stable");
}

#[test]
fn who_leaves_frees_what_it_had_and_the_others_share_it() {
    let mut world = World::new(6);
    let mut all = ["a", "b", "c"].map(Consumer::new);
    world.settle(&mut all);
    assert!(all.iter().all(|consumer| consumer.count() == 2));
    let [mut a, b, c] = all;
    world.leave(&mut a, -1).unwrap();
    assert_eq!(world.state(), "Assigning");
    let kept = (b.owned.clone(), c.owned.clone());
    let mut rest = [b, c];
    world.settle(&mut rest);
    assert!(rest.iter().all(|consumer| consumer.count() == 3));
    assert!(kept.0.is_within(&rest[0].owned) && kept.1.is_within(&rest[1].owned));
    assert_eq!(
        world.ask(&a.request()).unwrap().epoch,
        5,
        "it may come back"
    );
}

#[test]
fn states_are_told_as_they_come() {
    let mut world = World::new(2);
    let mut all = ["a", "b"].map(Consumer::new);
    world.settle(&mut all);
    for consumer in &mut all {
        world.leave(consumer, -1).unwrap();
    }
    let news = world.news.iter().map(|news| {
        let News::StateChanged { from, to, .. } = news;
        (*from, *to)
    });
    let wanted = [
        ("Empty", "Stable"),
        ("Stable", "Reconciling"),
        ("Reconciling", "Stable"),
        ("Stable", "Assigning"),
        ("Assigning", "Empty"),
    ];
    assert_eq!(news.collect::<Vec<_>>(), wanted);
    let listed = world.shard.list();
    assert_eq!(
        (listed[0].state, listed[0].kind, &*listed[0].protocol_type),
        ("Empty", "consumer", "consumer")
    );
    assert_eq!(world.shard.describe("g"), None, "it is no classic group");
}

#[test]
fn the_assignor_most_want_is_used_and_unknown_ones_are_refused() {
    let mut world = World::new(4);
    let mut a = Consumer {
        assignor: Some("range".to_owned()),
        ..Consumer::new("a")
    };
    world.beat(&mut a).unwrap();
    let name = |world: &World| world.shard.assignor_of(world.group()).name();
    assert_eq!(name(&world), "range");
    for id in ["b", "c"] {
        let mut other = Consumer {
            assignor: Some("uniform".to_owned()),
            ..Consumer::new(id)
        };
        world.beat(&mut other).unwrap();
    }
    assert_eq!(name(&world), "uniform");
    let other = Consumer {
        assignor: Some("sticky".to_owned()),
        ..Consumer::new("d")
    };
    assert_eq!(
        world.ask(&other.request()),
        Err(Refusal::UnsupportedAssignor)
    );
}

#[test]
fn version_0_members_are_given_an_id() {
    let mut world = World::new(1);
    let request = Consumer::new("").request();
    let mut ask = |version| {
        world.on_shard(|shard, caller| shard.consumer_heartbeat(caller, &request, version))
    };
    match ask(0) {
        Reply::ConsumerHeartbeat(Ok(heard)) => assert_eq!(heard.member_id.len(), 22),
        other => panic!("{other:?}"),
    }
    let refused = Refusal::InvalidRequest("MemberId can't be empty.");
    assert_eq!(ask(1), Reply::ConsumerHeartbeat(Err(refused)));
}

#[test]
fn a_full_group_takes_nobody_more() {
    let config = GroupConfig {
        consumer_max_size: 1,
        ..config()
    };
    let mut world = World::with(config, 1);
    let mut a = Consumer::new("a");
    world.beat(&mut a).unwrap();
    assert_eq!(world.beat(&mut Consumer::new("b")), Err(Refusal::GroupFull));
    world.beat(&mut a).unwrap();
}

#[test]
fn what_makes_no_sense_is_refused_and_leaves_nothing_behind() {
    let mut world = World::new(1);
    let join = Consumer::new("a").request();
    let bad = [
        ConsumerGroupHeartbeatRequest {
            rebalance_timeout_ms: -1,
            ..join.clone()
        },
        ConsumerGroupHeartbeatRequest {
            topic_partitions: None,
            ..join.clone()
        },
        ConsumerGroupHeartbeatRequest {
            subscribed_topic_names: None,
            ..join.clone()
        },
        ConsumerGroupHeartbeatRequest {
            instance_id: Some(String::new()),
            ..join.clone()
        },
        ConsumerGroupHeartbeatRequest {
            rack_id: Some(String::new()),
            ..join.clone()
        },
        ConsumerGroupHeartbeatRequest {
            member_epoch: -2,
            ..join.clone()
        },
        ConsumerGroupHeartbeatRequest {
            member_epoch: -3,
            ..join.clone()
        },
    ];
    for request in bad {
        let refused = world.ask(&request);
        assert!(
            matches!(refused, Err(Refusal::InvalidRequest(_))),
            "{request:?}"
        );
    }
    for epoch in [5, -1] {
        let request = ConsumerGroupHeartbeatRequest {
            member_epoch: epoch,
            ..join.clone()
        };
        assert_eq!(world.ask(&request), Err(Refusal::GroupNotFound));
    }
    assert!(world.shard.groups().is_empty() && world.written.is_empty());
}
