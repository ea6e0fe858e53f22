//! Members with a `group.instance.id` (KIP-345).

use super::*;

#[test]
fn a_static_member_that_comes_back_gets_what_it_had_and_nobody_else_notices() {
    let mut world = World::new(4);
    let mut all = [Consumer::fixed("a", "one"), Consumer::fixed("b", "two")];
    world.settle(&mut all);
    let [mut a, b] = all;
    let (epoch, had) = (world.group().epoch(), a.owned.clone());
    world.leave(&mut a, -2).unwrap();
    assert_eq!(world.group().members()["a"].current.epoch, -2);
    let mut again = Consumer::fixed("c", "one");
    world.beat(&mut again).unwrap();
    assert_eq!((again.epoch, &again.told), (epoch, &had));
    assert_eq!(world.group().epoch(), epoch);
    assert_eq!(world.group().members().len(), 2);
    let mut rest = [again, b];
    world.settle(&mut rest);
    let old = Consumer {
        epoch,
        ..Consumer::fixed("a", "one")
    };
    assert_eq!(world.ask(&old.request()), Err(Refusal::FencedInstance));
}

#[test]
fn a_static_member_may_come_back_under_the_same_id() {
    let mut world = World::new(4);
    let mut all = [Consumer::fixed("a", "one"), Consumer::fixed("b", "two")];
    world.settle(&mut all);
    let had = all[0].owned.clone();
    world.leave(&mut all[0], -2).unwrap();
    world.beat(&mut all[0]).unwrap();
    assert_eq!(all[0].told, had);
    world.settle(&mut all);
    world.pass(SESSION_MS - 1);
    assert_eq!(world.group().members().len(), 2, "its session began anew");
}

#[test]
fn an_instance_that_is_in_use_is_refused_to_others() {
    let mut world = World::new(2);
    let mut a = Consumer::fixed("a", "one");
    world.beat(&mut a).unwrap();
    let mut other = Consumer::fixed("b", "one");
    assert_eq!(world.beat(&mut other), Err(Refusal::UnreleasedInstance));
    other.epoch = a.epoch;
    assert_eq!(world.beat(&mut other), Err(Refusal::FencedInstance));
    let unknown = Consumer {
        epoch: 1,
        ..Consumer::fixed("a", "two")
    };
    assert_eq!(world.ask(&unknown.request()), Err(Refusal::UnknownMember));
    assert_eq!(world.leave(&mut other, -1), Err(Refusal::FencedInstance));
    assert_eq!(
        world.leave(&mut unknown.clone(), -2),
        Err(Refusal::UnknownMember)
    );
}

#[test]
fn a_static_member_that_stays_away_is_out_when_its_session_is_over() {
    let mut world = World::new(4);
    let mut all = [Consumer::fixed("a", "one"), Consumer::fixed("b", "two")];
    world.settle(&mut all);
    let [mut a, mut b] = all;
    world.leave(&mut a, -2).unwrap();
    for _ in 0..9 {
        world.beat(&mut b).unwrap();
        assert_eq!(b.told.len(), 2, "its place is kept");
        world.pass(5_000);
    }
    world.beat(&mut b).unwrap();
    assert_eq!(b.told.len(), 4);
}

#[test]
fn a_static_member_that_leaves_for_good_is_out_at_once() {
    let mut world = World::new(4);
    let mut all = [Consumer::fixed("a", "one"), Consumer::fixed("b", "two")];
    world.settle(&mut all);
    let [mut a, b] = all;
    world.leave(&mut a, -1).unwrap();
    let mut rest = [b];
    world.settle(&mut rest);
    assert_eq!(rest[0].count(), 4);
}

#[test]
fn a_member_that_goes_away_while_it_gives_up_partitions_has_given_them_up() {
    let mut world = World::new(4);
    let mut a = Consumer::fixed("a", "one");
    world.beat(&mut a).unwrap();
    a.obey();
    let mut b = Consumer::new("b");
    world.beat(&mut b).unwrap();
    world.beat(&mut a).unwrap();
    world.leave(&mut a, -2).unwrap();
    world.beat(&mut b).unwrap();
    assert_eq!(b.told.len(), 2, "it reads nothing any more");
    let mut again = Consumer::fixed("c", "one");
    world.beat(&mut again).unwrap();
    again.obey();
    b.obey();
    assert_eq!(again.count() + b.count(), 4);
    let mut all = [again, b];
    world.settle(&mut all);
}

#[test]
fn nothing_is_looked_at_any_more_once_members_are_gone() {
    let mut world = World::new(3);
    for round in 0..50 {
        let mut consumers = [
            Consumer::new(&format!("a{round}")),
            Consumer::fixed(&format!("b{round}"), "one"),
        ];
        for consumer in &mut consumers {
            world.beat(consumer).unwrap();
            consumer.obey();
        }
        world.settle(&mut consumers);
        for consumer in &mut consumers {
            world.leave(consumer, -1).unwrap();
        }
    }
    assert_eq!(world.shard.alarms.len(), 0);
}
