//! Committing, forgetting and who may.

use std::collections::BTreeSet;

use super::*;
use crate::ids::{LeaderEpoch, Offset, TopicId};

fn one(topic: &str, partition: i32, offset: i64) -> CommitOne {
    CommitOne {
        topic: topic.to_owned(),
        topic_id: TopicId::ZERO,
        partition,
        offset: Offset(offset),
        leader_epoch: LeaderEpoch(-1),
        metadata: String::new(),
    }
}

impl World {
    fn commit_as(&mut self, by: CommitAs, offsets: Vec<CommitOne>) -> Vec<Result<(), Refusal>> {
        let connection = self.connection();
        let client = Client::new("x");
        let caller = self.caller(connection, &client);
        let turn = self.shard.commit(&caller, "g", by, offsets);
        self.take(turn);
        match self.reply(connection) {
            Some(Reply::OffsetsCommitted(results)) => results,
            other => panic!("a commit is answered at once: {other:?}"),
        }
    }

    fn commit(&mut self, client: &Client, offset: i64) -> Result<(), Refusal> {
        let by = CommitAs {
            member_id: &client.member_id,
            instance: None,
            epoch: client.generation,
            knows_epochs: true,
        };
        self.commit_as(by, vec![one("t", 0, offset)])[0]
    }

    fn committed(&self) -> Option<i64> {
        let committed = self.shard.committed("g", "t", 0);
        committed.map(|committed| committed.offset.0)
    }
}

const BY_HAND: CommitAs = CommitAs {
    member_id: "",
    instance: None,
    epoch: -1,
    knows_epochs: true,
};

#[test]
fn only_members_of_this_generation_commit_while_there_are_members() {
    let mut world = World::new();
    let mut clients = [Client::new("a")];
    world.stable(&mut clients);
    let [a] = clients;
    assert_eq!(world.commit(&a, 5), Ok(()));
    let late = Client {
        generation: a.generation - 1,
        ..a.clone()
    };
    assert_eq!(world.commit(&late, 4), Err(Refusal::IllegalGeneration));
    let other = Client {
        member_id: "other".to_owned(),
        ..a.clone()
    };
    assert_eq!(world.commit(&other, 3), Err(Refusal::UnknownMember));
    let by_hand = world.commit_as(BY_HAND, vec![one("t", 0, 2)]);
    assert_eq!(by_hand, [Err(Refusal::UnknownMember)]);
    assert_eq!(world.committed(), Some(5));
    world.leave(&a);
    assert_eq!(world.commit(&a, 6), Err(Refusal::UnknownMember));
    assert_eq!(world.commit_as(BY_HAND, vec![one("t", 0, 2)]), [Ok(())]);
    assert_eq!(world.committed(), Some(2));
}

#[test]
fn no_one_commits_between_joining_and_the_assignment() {
    let mut world = World::new();
    let mut a = Client::new("a");
    let asked = world.begin_join(&mut a);
    world.joined(&mut a, asked);
    assert_eq!(world.commit(&a, 1), Err(Refusal::RebalanceInProgress));
}

#[test]
fn metadata_that_is_too_long_is_refused_alone() {
    let mut world = World::new();
    let long = CommitOne {
        metadata: "01234567890".to_owned(),
        ..one("t", 1, 1)
    };
    let results = world.commit_as(BY_HAND, vec![one("t", 0, 7), long]);
    assert_eq!(results, [Ok(()), Err(Refusal::OffsetMetadataTooLarge)]);
    assert_eq!(world.committed(), Some(7));
}

#[test]
fn offsets_are_forgotten_when_their_group_has_been_empty_for_long_enough() {
    let mut world = World::new();
    let mut clients = [Client::new("a")];
    world.stable(&mut clients);
    let [a] = clients;
    assert_eq!(world.commit(&a, 5), Ok(()));
    for _ in 0..20 {
        world.pass(5_000);
        assert_eq!(world.heartbeat(&a), Ok(()));
    }
    assert_eq!(world.committed(), Some(5), "it is read");
    world.leave(&a);
    world.pass(58_000);
    assert_eq!(world.committed(), Some(5));
    world.pass(4_000);
    assert_eq!(world.committed(), None);
    assert!(
        world.shard.groups().is_empty(),
        "nothing is left of the group"
    );
}

#[test]
fn what_members_read_is_not_deleted_and_what_is_gone_is() {
    let mut world = World::new();
    let mut clients = [Client::new("a")];
    world.stable(&mut clients);
    let [a] = clients;
    let by = CommitAs {
        member_id: &a.member_id,
        instance: None,
        epoch: a.generation,
        knows_epochs: true,
    };
    world.commit_as(by, vec![one("t", 0, 1), one("old", 0, 1)]);
    let connection = world.connection();
    let caller = world.caller(connection, &a);
    let named = [("t".to_owned(), 0), ("old".to_owned(), 0)];
    let turn = world.shard.delete_offsets(&caller, "g", &named);
    world.take(turn);
    let results = Ok(vec![Err(Refusal::SubscribedToTopic), Ok(())]);
    assert_eq!(
        world.reply(connection),
        Some(Reply::OffsetsDeleted(results))
    );
    assert!(world.shard.committed("g", "old", 0).is_none());
    let turn = world.shard.forget_topics(&BTreeSet::from(["t".to_owned()]));
    world.take(turn);
    assert_eq!(world.committed(), None);
}

#[test]
fn a_group_is_deleted_with_everything_it_committed_once_it_is_empty() {
    let mut world = World::new();
    let mut clients = [Client::new("a")];
    world.stable(&mut clients);
    let [a] = clients;
    world.commit(&a, 5).unwrap();
    let delete = |world: &mut World| {
        let connection = world.connection();
        let caller = world.caller(connection, &a);
        let turn = world.shard.delete(&caller, "g");
        world.take(turn);
        world.reply(connection)
    };
    assert_eq!(
        delete(&mut world),
        Some(Reply::Deleted(Err(Refusal::NonEmptyGroup)))
    );
    world.leave(&a);
    assert_eq!(delete(&mut world), Some(Reply::Deleted(Ok(()))));
    assert_eq!(
        delete(&mut world),
        Some(Reply::Deleted(Err(Refusal::GroupNotFound)))
    );
    assert_eq!(world.committed(), None);
}

#[test]
fn a_commit_for_a_group_nobody_knows_says_so_as_the_version_can() {
    for (knows_epochs, refusal) in [
        (false, Refusal::IllegalGeneration),
        (true, Refusal::GroupNotFound),
    ] {
        let mut world = World::new();
        let connection = world.connection();
        let by = CommitAs {
            member_id: "m",
            instance: None,
            epoch: 3,
            knows_epochs,
        };
        let one = CommitOne {
            topic: "t".to_owned(),
            topic_id: TopicId::ZERO,
            partition: 0,
            offset: Offset(1),
            leader_epoch: LeaderEpoch(-1),
            metadata: String::new(),
        };
        let client = Client::new("a");
        let caller = world.caller(connection, &client);
        let turn = world.shard.commit(&caller, "g", by, vec![one]);
        assert!(turn.records.is_empty());
        world.take(turn);
        let told = Some(Reply::OffsetsCommitted(vec![Err(refusal)]));
        assert_eq!(world.reply(connection), told);
    }
}
