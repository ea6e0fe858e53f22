//! KIP-848's protocol, member by member.

use super::super::*;
use super::stage::Stage;
use crate::client::tests::{Scripted, fill, links};
use crate::ids::BrokerId;
use crate::wire::{ApiKey, ErrorCode};

fn config(id: &str) -> GroupConfig {
    GroupConfig {
        reset: OffsetReset::Earliest,
        protocol: GroupProtocol::Consumer {
            member_id: id.to_owned(),
            assignor: None,
        },
        ..GroupConfig::new(links(), "g", &["t"])
    }
}

fn stage() -> Stage {
    let mut cluster = Scripted::new(2, "t", 4);
    fill(&mut cluster, "t", 4, 10);
    Stage::new(cluster)
}

fn all_read(stage: &Stage) -> usize {
    stage.seats.iter().map(|s| s.records.len()).sum()
}

fn assert_each_once(stage: &Stage, count: usize) {
    let mut all: Vec<_> = stage.seats.iter().flat_map(|s| s.records.clone()).collect();
    all.sort();
    all.dedup();
    assert_eq!((all.len(), all_read(stage)), (count, count));
}

/// C4: nobody is given a partition before its former owner has said that it is free.
fn check_nobody_shares(stage: &Stage) {
    let mut owned: Vec<i32> = (0..stage.seats.len())
        .filter(|n| stage.seats[*n].member.is_some())
        .flat_map(|n| stage.owned(n))
        .collect();
    let count = owned.len();
    owned.sort_unstable();
    owned.dedup();
    assert_eq!(owned.len(), count, "a partition with two owners");
}

#[test]
fn a_lone_member_joins_reads_commits_and_leaves() {
    let mut stage = stage();
    stage.add(config("a"));
    stage.until("all is read and committed", |s| {
        all_read(s) == 40 && s.member(0).is_committed()
    });
    assert_eq!(stage.member(0).member_id(), "a");
    assert_eq!(stage.member(0).generation(), 1);
    let subscribed = stage.cluster.group.modern.subscribed.clone();
    assert_eq!(subscribed, Some((vec!["t".to_owned()], None)));
    assert_eq!(stage.cluster.group.committed[&("t".to_owned(), 3)], 10);
    let now = stage.now;
    stage.member(0).close(now);
    stage.until("it left", |s| s.state(0) == MemberState::Closed);
    assert!(stage.cluster.group.modern.members.is_empty());
}

#[test]
fn partitions_change_hands_one_after_the_other() {
    let mut stage = stage();
    stage.add(config("a"));
    stage.until("one has all", |s| s.owned(0).len() == 4);
    stage.add(config("b"));
    stage.until("both have two", |s| {
        check_nobody_shares(s);
        s.owned(0).len() == 2 && s.owned(1).len() == 2
    });
    stage.until("all is read", |s| all_read(s) == 40);
    stage.add(config("c"));
    stage.until("all three have some", |s| {
        check_nobody_shares(s);
        (0..3).all(|n| !s.owned(n).is_empty())
    });
    let now = stage.now;
    stage.member(1).close(now);
    stage.until("two have all", |s| {
        check_nobody_shares(s);
        s.owned(0).len() + s.owned(2).len() == 4
    });
    fill(&mut stage.cluster, "t", 4, 1);
    stage.until("the rest is read", |s| all_read(s) == 44);
    assert_each_once(&stage, 44);
    let revoked = |event: &GroupEvent| matches!(event, GroupEvent::Revoked { .. });
    assert!(stage.seats[0].events.iter().any(revoked));
}

#[test]
fn a_member_gives_up_only_what_it_has_processed() {
    let mut stage = stage();
    stage.add(config("a"));
    stage.seats[0].prompt = false;
    stage.until("it holds records", |s| !s.seats[0].held.is_empty());
    stage.add(config("b"));
    stage.for_ms(20_000);
    assert_eq!(stage.state(0), MemberState::Revoking);
    assert!(stage.owned(1).is_empty());
    stage.seats[0].prompt = true;
    stage.until("both have two", |s| {
        s.owned(0).len() == 2 && s.owned(1).len() == 2
    });
    stage.until("all is read", |s| all_read(s) == 40);
    assert_each_once(&stage, 40);
}

#[test]
fn a_crashed_member_is_missed_when_its_session_ends() {
    let mut stage = stage();
    stage.add(config("a"));
    stage.add(config("b"));
    stage.until("both have two", |s| {
        s.owned(0).len() == 2 && s.owned(1).len() == 2
    });
    stage.crash(1);
    stage.until("one has all", |s| s.owned(0).len() == 4);
    assert_eq!(stage.cluster.group.left, ["b"]);
}

#[test]
fn a_fenced_member_loses_everything_and_joins_again() {
    for error in [ErrorCode::FencedMemberEpoch, ErrorCode::UnknownMemberId] {
        let mut stage = stage();
        stage.add(config("a"));
        stage.until("it has all", |s| {
            all_read(s) == 40 && s.member(0).is_committed()
        });
        let key = ApiKey::ConsumerGroupHeartbeat;
        stage.cluster.group.errors.insert(key, [error].into());
        let lost = |event: &GroupEvent| matches!(event, GroupEvent::Lost { partitions } if partitions.len() == 4);
        stage.until("it lost them", |s| s.seats[0].events.iter().any(lost));
        stage.until("it has them again", |s| s.owned(0).len() == 4);
        stage.for_ms(10_000);
        assert_eq!(stage.member(0).member_id(), "a");
        assert_each_once(&stage, 40);
    }
}

#[test]
fn the_coordinator_moves_and_nobody_joins_again() {
    let mut stage = stage();
    stage.add(config("a"));
    stage.until("it reads", |s| all_read(s) == 40);
    let epoch = stage.member(0).generation();
    stage.cluster.group.broker = 2;
    stage.until("it found it", |s| {
        s.member(0).coordinator() == Some(BrokerId(2))
    });
    stage.for_ms(5_000);
    assert_eq!(stage.member(0).generation(), epoch);
    assert_eq!(stage.owned(0).len(), 4);
}

#[test]
fn a_static_member_comes_back_to_what_it_had() {
    let mut stage = stage();
    for (n, id) in ["a", "b"].into_iter().enumerate() {
        stage.add(GroupConfig {
            instance_id: Some(format!("i{n}")),
            ..config(id)
        });
    }
    stage.until("both have two", |s| {
        s.owned(0).len() == 2 && s.owned(1).len() == 2
    });
    let had = stage.owned(1);
    let now = stage.now;
    stage.member(1).close(now);
    stage.until("it went", |s| s.state(1) == MemberState::Closed);
    stage.add(GroupConfig {
        instance_id: Some("i1".to_owned()),
        ..config("c")
    });
    stage.until("it is back", |s| s.owned(2).len() == 2);
    assert_eq!(stage.owned(2), had);
    assert_eq!(stage.owned(0).len(), 2);
    assert!(stage.cluster.group.left.is_empty());
}

#[test]
fn the_coordinator_matches_the_pattern_and_names_come_by_id() {
    let mut stage = stage();
    stage.add(GroupConfig {
        subscription: Subscription::Pattern("t|u".to_owned()),
        ..config("a")
    });
    stage.until("all is read", |s| all_read(s) == 40);
    let subscribed = stage.cluster.group.modern.subscribed.clone();
    assert_eq!(subscribed, Some((vec![], Some("t|u".to_owned()))));
}

#[test]
fn an_error_that_does_not_pass_ends_the_member() {
    for error in [
        ErrorCode::UnsupportedAssignor,
        ErrorCode::UnreleasedInstanceId,
        ErrorCode::GroupMaxSizeReached,
        ErrorCode::InvalidRequest,
    ] {
        let mut stage = stage();
        let key = ApiKey::ConsumerGroupHeartbeat;
        stage.cluster.group.errors.insert(key, [error].into());
        stage.add(config("a"));
        stage.until("it failed", |s| s.state(0) == MemberState::Failed);
    }
}

#[test]
fn what_the_coordinator_did_not_answer_is_told_again() {
    for error in [
        ErrorCode::CoordinatorLoadInProgress,
        ErrorCode::NotCoordinator,
    ] {
        let mut stage = stage();
        let key = ApiKey::ConsumerGroupHeartbeat;
        stage
            .cluster
            .group
            .errors
            .insert(key, [error, error, ErrorCode::None, error].into());
        stage.add(config("a"));
        stage.until("all is read", |s| all_read(s) == 40);
        stage.until("its coordinator knows what it has", |s| {
            s.cluster.group.modern.members["a"].owned.len() == 4
        });
    }
}
