//! What is written is all there is; and groups that become of the other kind.

use super::*;
use crate::wire::messages::join_group::{JoinGroupRequest, JoinGroupRequestProtocol};

fn join_classic(world: &mut World, id: &str) -> Reply {
    let request = JoinGroupRequest {
        group_id: "g".to_owned(),
        session_timeout_ms: 10_000,
        rebalance_timeout_ms: 10_000,
        member_id: id.to_owned(),
        protocol_type: "consumer".to_owned(),
        protocols: vec![JoinGroupRequestProtocol {
            name: "range".to_owned(),
            ..JoinGroupRequestProtocol::default()
        }],
        ..JoinGroupRequest::default()
    };
    world.on_shard(|shard, caller| shard.join(caller, &request, 9))
}

fn delete(world: &mut World) -> Result<(), Refusal> {
    match world.on_shard(|shard, caller| shard.delete(caller, "g")) {
        Reply::Deleted(deleted) => deleted,
        other => panic!("{other:?}"),
    }
}

#[test]
fn another_coordinator_goes_on_in_the_middle_of_a_rebalance() {
    let mut world = World::new(4);
    world.grow("orders", 2);
    let mut all = [
        Consumer::new("a"),
        Consumer::matching("b", "t|orders"),
        Consumer::fixed("c", "one"),
    ];
    for consumer in &mut all {
        world.beat(consumer).unwrap();
        consumer.obey();
        world.beat(consumer).unwrap();
    }
    let mut next = world.read_again();
    assert_eq!(next.consumer("g").unwrap().kept, world.group().kept);
    next.begin(world.now);
    next.topics_changed();
    world.shard = next;
    world.settle(&mut all);
    assert_eq!(all.iter().map(Consumer::count).sum::<usize>(), 6);
    world.pass(SESSION_MS);
    assert!(
        world.shard.groups().is_empty(),
        "nobody and nothing is left"
    );
}

#[test]
fn the_time_to_give_up_partitions_goes_on_after_a_coordinator_is_gone() {
    let mut world = World::new(2);
    let (mut a, mut b) = (Consumer::new("a"), Consumer::new("b"));
    world.beat(&mut a).unwrap();
    a.obey();
    world.beat(&mut b).unwrap();
    world.beat(&mut a).unwrap();
    let mut next = world.read_again();
    next.begin(world.now);
    world.shard = next;
    for _ in 0..12 {
        world.beat(&mut a).unwrap();
        world.beat(&mut b).unwrap();
        world.pass(5_000);
    }
    assert_eq!(world.beat(&mut a), Err(Refusal::UnknownMember));
}

#[test]
fn records_lie_as_kafka_writes_them() {
    let hex = |bytes: &[u8]| -> String { bytes.iter().map(|b| format!("{b:02x}")).collect() };
    let current = Current {
        epoch: 3,
        previous_epoch: 2,
        state: MemberState::UnrevokedPartitions,
        assigned: some("t", &[1]),
        revoking: Partitions::default(),
    };
    let record = Record::Consumer {
        group: "g".to_owned(),
        part: ConsumerPart::Current {
            id: "m".to_owned(),
            current: Some(current),
        },
    };
    let (key, value) = record.encode().unwrap();
    assert_eq!(hex(&key), "0008000167 00016d".replace(' ', ""));
    let topic = format!("74{}", "07".repeat(15));
    let wanted = format!("0000 00000003 00000002 01 02 {topic} 02 00000001 00 01 00");
    assert_eq!(hex(&value.unwrap()), wanted.replace(' ', ""));
}

#[test]
fn an_empty_group_becomes_of_the_other_kind_and_keeps_its_offsets() {
    let mut world = World::new(1);
    let by_hand = CommitAs {
        member_id: "",
        instance: None,
        epoch: -1,
        knows_epochs: true,
    };
    world.commit_as(by_hand).unwrap();
    let mut a = Consumer::new("a");
    world.beat(&mut a).unwrap();
    assert_eq!(world.committed(), Some(5));
    // A classic member that does not say what it reads is refused while there are others, and welcome afterwards.
    assert!(matches!(
        join_classic(&mut world, ""),
        Reply::NotJoined(Refusal::InvalidRequest(_), _)
    ));
    world.leave(&mut a, -1).unwrap();
    let Reply::NotJoined(Refusal::MemberIdRequired, id) = join_classic(&mut world, "") else {
        panic!("it is to come back with its id");
    };
    assert!(world.shard.consumer("g").is_none());
    match join_classic(&mut world, &id) {
        // Epoch 1, left in 2: no number means two things.
        Reply::Joined(joined) => assert_eq!(joined.generation, 3),
        other => panic!("{other:?}"),
    }
    assert_eq!(world.committed(), Some(5));
    // The other way round alike.
    assert_eq!(world.beat(&mut a), Err(Refusal::GroupNotFound));
    let leaver = Leaver {
        member_id: id,
        instance: None,
        reason: None,
    };
    world.on_shard(|shard, caller| shard.leave(caller, "g", &[leaver]));
    world.beat(&mut a).unwrap();
    assert_eq!((world.state(), world.committed()), ("Stable", Some(5)));
    assert_eq!(world.group().epoch(), 5);
    assert_eq!(
        world.read_again().consumer("g").unwrap().kept,
        world.group().kept
    );
}

#[test]
fn a_group_is_deleted_with_everything_once_it_is_empty() {
    let mut world = World::new(1);
    let mut a = Consumer::matching("a", "t");
    world.beat(&mut a).unwrap();
    world.commit(&a, a.epoch).unwrap();
    assert_eq!(delete(&mut world), Err(Refusal::NonEmptyGroup));
    world.leave(&mut a, -1).unwrap();
    assert_eq!(delete(&mut world), Ok(()));
    assert_eq!(delete(&mut world), Err(Refusal::GroupNotFound));
    assert!(world.read_again().groups().is_empty());
}

#[test]
fn a_group_that_never_committed_is_gone_some_time_after_its_last_member() {
    let mut world = World::new(1);
    let mut a = Consumer::new("a");
    world.beat(&mut a).unwrap();
    world.leave(&mut a, -1).unwrap();
    assert_eq!(world.state(), "Empty");
    world.pass(1_000);
    assert!(world.shard.groups().is_empty());
    assert!(world.read_again().groups().is_empty());
}
