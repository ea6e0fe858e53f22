//! Members with a `group.instance.id` (KIP-345).

use super::*;

fn fixed(name: &'static str, instance: &'static str) -> Client {
    Client {
        instance: Some(instance),
        ..Client::new(name)
    }
}

#[test]
fn a_static_member_that_starts_again_takes_its_place_without_a_rebalance() {
    let mut world = World::new();
    let mut clients = [fixed("a", "one"), fixed("b", "two")];
    world.stable(&mut clients);
    let [a, b] = clients;
    let before = b.clone();
    let mut again = fixed("b", "two");
    let asked = world.ask_to_join(&again);
    let joined = world.joined(&mut again, asked);
    assert_eq!(joined.generation, a.generation, "nobody else notices");
    assert_ne!(again.member_id, before.member_id);
    let sync = world.ask_to_sync(&again, &[]);
    match world.reply(sync) {
        Some(Reply::Synced(Ok(synced))) => assert_eq!(&synced.assignment[..], b"b"),
        other => panic!("{other:?}"),
    }
    assert_eq!(world.heartbeat(&a), Ok(()));
    assert_eq!(world.heartbeat(&before), Err(Refusal::FencedInstance));
}

#[test]
fn a_static_leader_that_starts_again_is_told_not_to_assign() {
    let mut world = World::new();
    let mut clients = [fixed("a", "one"), fixed("b", "two")];
    world.stable(&mut clients);
    let mut again = fixed("a", "one");
    let asked = world.ask_to_join(&again);
    let joined = world.joined(&mut again, asked);
    assert_eq!(joined.leader, again.member_id);
    assert!(joined.skip_assignment && joined.members.len() == 2);
}

#[test]
fn another_subscription_after_a_restart_is_a_rebalance() {
    let mut world = World::new();
    let mut clients = [fixed("a", "one"), fixed("b", "two")];
    world.stable(&mut clients);
    let [a, _] = clients;
    let again = Client {
        topics: &["t", "u"],
        ..fixed("b", "two")
    };
    let asked = world.ask_to_join(&again);
    assert_eq!(world.reply(asked), None);
    assert_eq!(world.heartbeat(&a), Err(Refusal::RebalanceInProgress));
}

#[test]
fn a_tool_removes_a_static_member_by_its_instance() {
    let mut world = World::new();
    let mut clients = [fixed("a", "one"), fixed("b", "two")];
    world.stable(&mut clients);
    let connection = world.connection();
    let tool = Client::new("tool");
    let leaver = |id: &str, instance: &str| Leaver {
        member_id: id.to_owned(),
        instance: Some(instance.to_owned()),
        reason: None,
    };
    let leavers = [
        leaver("", "two"),
        leaver("", "three"),
        leaver("other", "one"),
    ];
    let caller = world.caller(connection, &tool);
    let turn = world.shard.leave(&caller, "g", &leavers);
    world.take(turn);
    let results = vec![
        Ok(()),
        Err(Refusal::UnknownMember),
        Err(Refusal::FencedInstance),
    ];
    assert_eq!(world.reply(connection), Some(Reply::Left(results)));
}
