//! Wrong epochs, silence, and what members may not do then.

use super::*;

#[test]
fn epochs_that_are_not_a_members_own_are_fenced_but_a_lost_answer_is_forgiven() {
    let mut world = World::new(4);
    let mut all = ["a", "b"].map(Consumer::new);
    world.settle(&mut all);
    let [a, _] = all;
    let ahead = Consumer {
        epoch: a.epoch + 1,
        ..a.clone()
    };
    assert_eq!(world.ask(&ahead.request()), Err(Refusal::FencedMemberEpoch));
    // It says what it said before it was told of this epoch.
    let late = Consumer {
        epoch: a.epoch - 1,
        whole: true,
        ..a.clone()
    };
    let heard = world.ask(&late.request()).unwrap();
    assert_eq!(
        (heard.epoch, heard.assignment),
        (a.epoch, Some(a.told.clone()))
    );
    // With more than it may own, or without a word of that, it is not believed.
    let greedy = Consumer {
        owned: some("t", &[0, 1, 2, 3]),
        ..late.clone()
    };
    assert_eq!(
        world.ask(&greedy.request()),
        Err(Refusal::FencedMemberEpoch)
    );
    let silent = ConsumerGroupHeartbeatRequest {
        topic_partitions: None,
        ..late.request()
    };
    assert_eq!(world.ask(&silent), Err(Refusal::FencedMemberEpoch));
    let stranger = Consumer {
        id: "x".to_owned(),
        ..a
    };
    assert_eq!(world.ask(&stranger.request()), Err(Refusal::UnknownMember));
}

#[test]
fn who_was_fenced_joins_again_under_its_id_and_goes_on_with_what_is_its_own() {
    let mut world = World::new(4);
    let mut all = ["a", "b"].map(Consumer::new);
    world.settle(&mut all);
    let before = all[0].clone();
    all[0].epoch = 0;
    all[0].owned = Partitions::default();
    world.beat(&mut all[0]).unwrap();
    assert_eq!((all[0].epoch, &all[0].told), (before.epoch, &before.told));
    assert_eq!(world.group().epoch(), before.epoch, "nobody else notices");
}

#[test]
fn who_is_not_heard_for_its_session_is_out() {
    let mut world = World::new(2);
    let mut all = ["a", "b"].map(Consumer::new);
    world.settle(&mut all);
    let [mut a, mut b] = all;
    for _ in 0..8 {
        world.pass(5_000);
        world.beat(&mut a).unwrap();
    }
    assert_eq!(world.state(), "Stable");
    world.pass(5_000);
    assert_eq!(world.state(), "Assigning");
    assert!(world.group().why().contains("b was not heard"));
    assert_eq!(world.beat(&mut b), Err(Refusal::UnknownMember));
    world.beat(&mut a).unwrap();
    assert_eq!(a.told, some("t", &[0, 1]));
    world.pass(SESSION_MS);
    assert!(
        world.shard.groups().is_empty(),
        "nobody and nothing is left"
    );
}

#[test]
fn who_does_not_give_up_its_partitions_in_time_is_out() {
    let mut world = World::new(2);
    let (mut a, mut b) = (Consumer::new("a"), Consumer::new("b"));
    world.beat(&mut a).unwrap();
    a.obey();
    world.beat(&mut b).unwrap();
    for _ in 0..11 {
        // It lives, and holds on to what it has.
        world.beat(&mut a).unwrap();
        world.beat(&mut b).unwrap();
        world.pass(5_000);
    }
    assert_eq!(b.told.len(), 0);
    world.beat(&mut b).unwrap();
    world.pass(5_000);
    assert_eq!(world.beat(&mut a), Err(Refusal::UnknownMember));
    assert!(world.group().why().contains("did not give up"));
    world.beat(&mut b).unwrap();
    assert_eq!(b.told.len(), 2);
}

#[test]
fn a_member_that_gave_up_in_time_is_not_thrown_out_later() {
    let mut world = World::new(2);
    let (mut a, mut b) = (Consumer::new("a"), Consumer::new("b"));
    world.beat(&mut a).unwrap();
    a.obey();
    world.beat(&mut b).unwrap();
    world.beat(&mut a).unwrap();
    a.obey();
    world.beat(&mut a).unwrap();
    for _ in 0..20 {
        world.pass(5_000);
        world.beat(&mut a).unwrap();
        world.beat(&mut b).unwrap();
        b.obey();
    }
    assert_eq!(world.state(), "Stable");
}

#[test]
fn a_coordinator_that_cannot_write_hears_its_members_all_the_same() {
    let mut world = World::new(1);
    let mut a = Consumer::new("a");
    world.beat(&mut a).unwrap();
    for _ in 0..4 {
        world.pass(SESSION_MS - 1_000);
        let caller = Caller {
            now: world.now,
            connection: ConnectionId(0),
            client_id: "",
            client_host: "",
            fresh: 0,
            topics: &world.topics,
        };
        let turn = world.shard.consumer_heard(&caller, "g", "a");
        assert!(turn.records.is_empty() && turn.replies.is_empty());
    }
    world.beat(&mut a).unwrap();
}

#[test]
fn only_members_in_their_epoch_commit_and_fetch() {
    let mut world = World::new(2);
    let mut all = ["a", "b"].map(Consumer::new);
    world.settle(&mut all);
    let [mut a, b] = all;
    assert_eq!(world.commit(&a, a.epoch), Ok(()));
    assert_eq!(world.committed(), Some(5));
    assert_eq!(
        world.commit(&a, a.epoch - 1),
        Err(Refusal::StaleMemberEpoch)
    );
    let stranger = Consumer::new("x");
    assert_eq!(world.commit(&stranger, 1), Err(Refusal::UnknownMember));
    assert_eq!(
        world.commit(&Consumer::new(""), -1),
        Err(Refusal::UnknownMember),
        "nobody commits by hand while there are members"
    );
    let old = CommitAs {
        member_id: &a.id,
        instance: None,
        epoch: a.epoch,
        knows_epochs: false,
    };
    assert_eq!(world.commit_as(old), Err(Refusal::OldVersion));
    let may = |world: &World, member, epoch| world.shard.may_fetch("g", member, epoch);
    assert_eq!(may(&world, None, -1), Ok(()));
    assert_eq!(may(&world, Some("a"), a.epoch), Ok(()));
    assert_eq!(
        may(&world, Some("a"), a.epoch - 1),
        Err(Refusal::StaleMemberEpoch)
    );
    assert_eq!(may(&world, Some("x"), 1), Err(Refusal::UnknownMember));
    world.leave(&mut a, -1).unwrap();
    let mut b = b;
    world.leave(&mut b, -1).unwrap();
    assert_eq!(world.commit(&Consumer::new(""), -1), Ok(()));
}
