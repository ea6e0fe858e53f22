//! Another coordinator reads what this one wrote, and goes on.

use super::*;

fn read(written: &[Record]) -> World {
    let mut world = World::new();
    world.shard = Shard::new(config());
    for record in written {
        let (key, value) = record.encode().unwrap();
        let read = Record::decode(&key, value.as_deref()).unwrap().unwrap();
        assert_eq!(&read, record);
        world.shard.apply(&read);
    }
    world.shard.begin(world.now);
    world.shard.check();
    world
}

#[test]
fn members_stay_in_their_generation_and_keep_their_assignments() {
    let mut world = World::new();
    let mut clients = [Client::new("a"), Client::new("b")];
    world.stable(&mut clients);
    let mut next = read(&world.written);
    assert_eq!(next.shard.describe("g"), world.shard.describe("g"));
    for client in &clients {
        assert_eq!(next.heartbeat(client), Ok(()));
    }
    next.pass(i64::from(SESSION_MS));
    let [a, b] = clients;
    assert_eq!(next.heartbeat(&a), Err(Refusal::UnknownMember));
    assert_eq!(next.heartbeat(&b), Err(Refusal::UnknownMember));
    assert_eq!(
        next.state(),
        ClassicState::Dead,
        "nobody and nothing is left"
    );
}

#[test]
fn a_rebalance_under_way_is_not_kept_but_the_generation_before_it_is() {
    let mut world = World::new();
    let mut clients = [Client::new("a")];
    world.stable(&mut clients);
    let [a] = clients;
    world.begin_join(&mut Client::new("b"));
    let mut next = read(&world.written);
    assert_eq!(next.heartbeat(&a), Ok(()));
    assert_eq!(next.state(), ClassicState::Stable);
}

#[test]
fn generations_go_on_after_a_group_was_empty() {
    let mut world = World::new();
    let mut clients = [Client::new("a")];
    world.stable(&mut clients);
    let [a] = clients;
    world.leave(&a);
    let mut next = read(&world.written);
    assert_eq!(next.state(), ClassicState::Empty);
    let mut b = Client::new("b");
    let asked = next.begin_join(&mut b);
    assert!(next.joined(&mut b, asked).generation > a.generation);
}
