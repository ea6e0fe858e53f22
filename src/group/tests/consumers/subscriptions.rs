//! What members subscribe to, and topics that come, grow and go.

use super::*;

#[test]
fn topics_that_come_grow_and_go_are_noticed_with_the_next_heartbeat() {
    let mut world = World::new(2);
    let mut a = Consumer::of("a", &["t", "later"]);
    world.beat(&mut a).unwrap();
    a.obey();
    assert_eq!(a.count(), 2);
    world.grow("later", 1);
    world.beat(&mut a).unwrap();
    a.obey();
    assert_eq!((a.epoch, a.count()), (2, 3));
    world.grow("t", 3);
    world.beat(&mut a).unwrap();
    a.obey();
    assert_eq!((a.epoch, a.count()), (3, 4));
    world.grow("other", 9);
    world.beat(&mut a).unwrap();
    assert_eq!(a.epoch, 3, "that is not its topic");
    world.remove("t");
    let mut all = [a];
    world.settle(&mut all);
    assert_eq!(all[0].owned, some("later", &[0]));
}

#[test]
fn another_subscription_is_another_epoch_and_the_same_is_not() {
    let mut world = World::new(2);
    world.grow("u", 2);
    let mut all = ["a", "b"].map(Consumer::new);
    world.settle(&mut all);
    let epoch = world.group().epoch();
    all[0].whole = true;
    world.settle(&mut all);
    assert_eq!(world.group().epoch(), epoch);
    all[0].names = Some(vec!["u".to_owned()]);
    all[0].whole = true;
    world.settle(&mut all);
    assert_eq!(world.group().epoch(), epoch + 1);
    assert_eq!(all[0].owned, some("u", &[0, 1]));
    assert_eq!(all[1].owned, some("t", &[0, 1]));
}

#[test]
fn a_regular_expression_stands_for_the_topics_there_are() {
    let mut world = World::new(1);
    world.grow("orders-eu", 2);
    world.grow("my-orders-eu", 2);
    let mut a = Consumer::matching("a", "orders-.*");
    world.beat(&mut a).unwrap();
    a.obey();
    assert_eq!(a.owned, some("orders-eu", &[0, 1]), "the whole name");
    world.grow("orders-us", 1);
    world.beat(&mut a).unwrap();
    a.obey();
    assert_eq!(a.count(), 3);
    world.remove("orders-eu");
    let mut all = [a];
    world.settle(&mut all);
    assert_eq!(all[0].owned, some("orders-us", &[0]));
    // By name and by expression at once, and then by name only.
    all[0].names = Some(vec!["t".to_owned()]);
    all[0].whole = true;
    world.settle(&mut all);
    assert_eq!(all[0].count(), 2);
    all[0].pattern = Some(String::new());
    all[0].whole = true;
    world.settle(&mut all);
    assert_eq!(all[0].owned, some("t", &[0]));
    assert!(world.group().kept.patterns.is_empty(), "nobody uses it");
}

#[test]
fn what_is_no_regular_expression_is_refused_and_nobody_joins_with_it() {
    let mut world = World::new(1);
    let mut a = Consumer::matching("a", "(");
    let refused = world.beat(&mut a);
    assert_eq!(refused, Err(Refusal::InvalidRegularExpression));
    assert!(world.shard.groups().is_empty());
    world.beat(&mut Consumer::new("b")).unwrap();
    assert_eq!(world.beat(&mut a), Err(Refusal::InvalidRegularExpression));
    assert_eq!(world.group().members().len(), 1);
}

#[test]
fn a_member_without_topics_is_in_the_group_and_reads_nothing() {
    let mut world = World::new(2);
    let mut all = [Consumer::of("a", &[]), Consumer::new("b")];
    world.settle(&mut all);
    assert_eq!((all[0].count(), all[1].count()), (0, 2));
}

#[test]
fn when_the_only_one_that_read_a_topic_left_the_epoch_grows_once() {
    let mut world = World::new(2);
    world.grow("u", 1);
    let mut all = [Consumer::new("a"), Consumer::of("b", &["u"])];
    world.settle(&mut all);
    let [a, mut b] = all;
    let epoch = world.group().epoch();
    world.leave(&mut b, -1).unwrap();
    let mut rest = [a];
    world.settle(&mut rest);
    world.settle(&mut rest);
    assert_eq!(world.group().epoch(), epoch + 1);
}

#[test]
fn offsets_of_topics_that_are_read_are_neither_deleted_nor_forgotten() {
    let mut world = World::new(1);
    let mut a = Consumer::new("a");
    world.beat(&mut a).unwrap();
    world.commit(&a, a.epoch).unwrap();
    let named = [("t".to_owned(), 0)];
    let delete = |world: &mut World| {
        world.on_shard(|shard, caller| shard.delete_offsets(caller, "g", &named))
    };
    let refused = Ok(vec![Err(Refusal::SubscribedToTopic)]);
    assert_eq!(delete(&mut world), Reply::OffsetsDeleted(refused));
    for _ in 0..20 {
        world.pass(5_000);
        world.beat(&mut a).unwrap();
    }
    assert_eq!(world.committed(), Some(5), "it is read");
    a.names = Some(Vec::new());
    a.whole = true;
    world.beat(&mut a).unwrap();
    world.pass(1_000);
    assert_eq!(world.committed(), None);
    world.pass(SESSION_MS + 1_000);
    assert!(
        world.shard.groups().is_empty(),
        "nothing is left of the group"
    );
}
