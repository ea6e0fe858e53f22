//! The classic protocol, member by member.

use super::super::*;
use super::stage::Stage;
use crate::client::tests::{FIRST_PORT, Scripted, fill, links};
use crate::wire::{ApiKey, ErrorCode};

fn config() -> GroupConfig {
    GroupConfig {
        reset: OffsetReset::Earliest,
        ..GroupConfig::new(links(), "g", &["t"])
    }
}

/// Two brokers, a topic of four partitions with ten records each.
fn stage() -> Stage {
    let mut cluster = Scripted::new(2, "t", 4);
    fill(&mut cluster, "t", 4, 10);
    Stage::new(cluster)
}

fn is_stable(stage: &Stage, seats: &[usize]) -> bool {
    let generation = stage.seats[seats[0]].member.as_ref().unwrap().generation();
    seats.iter().all(|n| {
        let member = stage.seats[*n].member.as_ref().unwrap();
        member.state() == MemberState::Stable && member.generation() == generation
    })
}

fn all_read_once(stage: &Stage, count: usize) {
    let mut all: Vec<_> = stage.seats.iter().flat_map(|s| s.records.clone()).collect();
    assert_eq!(all.len(), count);
    all.sort();
    all.dedup();
    assert_eq!(all.len(), count, "some were read twice");
}

#[test]
fn a_lone_member_joins_reads_and_commits() {
    let mut stage = stage();
    let a = stage.add(config());
    stage.until("all is read and committed", |s| {
        s.seats[0].records.len() == 40 && s.member(0).is_committed()
    });
    all_read_once(&stage, 40);
    assert_eq!(stage.owned(a), [0, 1, 2, 3]);
    assert!(stage.member(a).is_leader());
    assert_eq!(stage.member(a).assignor(), Some("range"));
    for partition in 0..4 {
        assert_eq!(
            stage.cluster.group.committed[&("t".to_owned(), partition)],
            10
        );
    }
}

#[test]
fn what_is_committed_is_not_read_again() {
    let mut stage = stage();
    stage.add(config());
    stage.until("all is committed", |s| {
        s.seats[0].records.len() == 40 && s.member(0).is_committed()
    });
    let now = stage.now;
    stage.member(0).close(now);
    stage.until("it has left", |s| s.state(0) == MemberState::Closed);
    fill(&mut stage.cluster, "t", 4, 1);
    stage.add(config());
    stage.until("the rest is read", |s| s.seats[1].records.len() == 4);
    all_read_once(&stage, 44);
}

#[test]
fn two_members_split_and_one_that_leaves_gives_its_partitions_back() {
    let mut stage = stage();
    stage.add(config());
    stage.until("one has all", |s| s.owned(0).len() == 4);
    stage.add(config());
    stage.until("both have two", |s| {
        is_stable(s, &[0, 1]) && s.owned(1).len() == 2
    });
    assert_eq!((stage.owned(0), stage.owned(1)), (vec![0, 1], vec![2, 3]));
    let now = stage.now;
    stage.member(1).close(now);
    stage.until("one has all again", |s| s.owned(0).len() == 4);
    assert_eq!(stage.state(1), MemberState::Closed);
    assert!(
        stage
            .cluster
            .group
            .reasons
            .contains(&"the consumer was closed".to_owned())
    );
    all_read_once(&stage, 40);
}

#[test]
fn a_crashed_member_is_missed_when_its_session_ends() {
    let mut stage = stage();
    stage.add(config());
    stage.add(config());
    stage.until("both have two", |s| {
        is_stable(s, &[0, 1]) && s.owned(1).len() == 2
    });
    stage.crash(1);
    let crashed = stage.now;
    stage.until("one has all", |s| s.owned(0).len() == 4);
    let took_ms = stage.now.as_ms() - crashed.as_ms();
    assert!((42_000..60_000).contains(&took_ms), "{took_ms} ms");
}

#[test]
fn the_coordinator_moves_and_nobody_joins_again() {
    let mut stage = stage();
    stage.add(config());
    stage.until("it reads", |s| s.seats[0].records.len() == 40);
    stage.cluster.group.broker = 2;
    let generation = stage.member(0).generation();
    stage.until("it found it", |s| {
        s.member(0).coordinator() == Some(crate::ids::BrokerId(2))
    });
    fill(&mut stage.cluster, "t", 4, 1);
    stage.until("it commits there", |s| {
        s.seats[0].records.len() == 44 && s.member(0).is_committed()
    });
    assert_eq!(stage.member(0).generation(), generation);
    assert_eq!(stage.cluster.group.committed[&("t".to_owned(), 3)], 11);
}

#[test]
fn a_coordinator_that_dies_is_looked_for_until_another_is_there() {
    let mut stage = stage();
    stage.add(config());
    stage.until("it reads", |s| s.seats[0].records.len() == 40);
    stage.cluster.dead.insert(FIRST_PORT);
    stage.reset_broker(FIRST_PORT);
    stage.for_ms(5_000);
    stage.cluster.group.broker = 2;
    stage.until("it found it", |s| {
        s.member(0).coordinator() == Some(crate::ids::BrokerId(2))
    });
    stage.until("it is stable there", |s| s.state(0) == MemberState::Stable);
}

/// C2: the member was thought dead, and another generation has its partitions.
#[test]
fn a_commit_of_a_stale_generation_is_refused() {
    let mut stage = stage();
    stage.add(config());
    stage.seats[0].prompt = false;
    stage.until("it holds records", |s| !s.seats[0].held.is_empty());
    stage.cluster.group.generation += 1;
    let held = stage.seats[0].held.clone();
    for piece in &held {
        assert!(
            stage
                .member(0)
                .processed(&piece.topic, piece.partition, piece.next)
        );
    }
    let refused = |event: &GroupEvent| matches!(event, GroupEvent::CommitFailed { .. });
    stage.until("it is refused", |s| s.seats[0].events.iter().any(refused));
    // Where it began to read is all it had committed before.
    assert!(
        stage
            .cluster
            .group
            .committed
            .values()
            .all(|offset| *offset == 0)
    );
    let lost = |event: &GroupEvent| matches!(event, GroupEvent::Lost { .. });
    assert!(stage.seats[0].events.iter().any(lost));
    let piece = &held[0];
    assert!(
        !stage
            .member(0)
            .processed(&piece.topic, piece.partition, piece.next)
    );
    stage.seats[0].held.clear();
    stage.seats[0].prompt = true;
    stage.until("it reads again", |s| {
        s.member(0).is_committed() && s.owned(0).len() == 4
    });
}

/// A rebalance waits for records that are being processed, and so nothing is read twice.
#[test]
fn a_slow_member_delays_the_rebalance() {
    let mut stage = stage();
    stage.add(config());
    stage.seats[0].prompt = false;
    stage.until("it holds records", |s| !s.seats[0].held.is_empty());
    stage.add(config());
    stage.for_ms(20_000);
    assert_eq!(stage.state(0), MemberState::Revoking);
    assert_eq!(stage.state(1), MemberState::Joining);
    stage.seats[0].prompt = true;
    stage.until("both have two", |s| {
        is_stable(s, &[0, 1]) && s.owned(1).len() == 2
    });
    stage.until("all is read", |s| {
        s.seats[0].records.len() + s.seats[1].records.len() >= 40
    });
    all_read_once(&stage, 40);
}

#[test]
fn a_member_that_is_busy_too_long_leaves_and_joins_again_at_its_next_poll() {
    let mut stage = stage();
    stage.add(GroupConfig {
        max_poll_interval_ms: 10_000,
        ..config()
    });
    stage.seats[0].prompt = false;
    stage.until("it is away", |s| s.state(0) == MemberState::Away);
    assert!(stage.owned(0).is_empty());
    assert_eq!(stage.cluster.group.left.len(), 1);
    stage.seats[0].held.clear();
    stage.seats[0].prompt = true;
    stage.until("it is back", |s| {
        s.owned(0).len() == 4 && s.member(0).is_committed()
    });
}

#[test]
fn records_come_in_portions_and_are_committed_before_they_are_given_out() {
    let mut stage = stage();
    stage.add(GroupConfig {
        max_poll_records: 3,
        commit: CommitPolicy::BeforeProcessing,
        ..config()
    });
    stage.seats[0].prompt = false;
    let mut read = 0;
    while read < 40 {
        stage.until("a portion", |s| !s.seats[0].held.is_empty());
        let now = stage.seats[0].records.len();
        assert!((1..=3).contains(&(now - read)), "{} at once", now - read);
        read = now;
        for piece in std::mem::take(&mut stage.seats[0].held) {
            let committed = stage.cluster.group.committed[&("t".to_owned(), piece.partition.0)];
            assert!(committed >= piece.next.0);
            stage
                .member(0)
                .processed(&piece.topic, piece.partition, piece.next);
        }
    }
    all_read_once(&stage, 40);
}

#[test]
fn what_is_not_given_out_before_it_closes_is_not_committed() {
    let mut stage = stage();
    let errors = [ErrorCode::CoordinatorLoadInProgress; 8];
    stage
        .cluster
        .group
        .errors
        .insert(ApiKey::OffsetCommit, errors.into());
    stage.add(GroupConfig {
        commit: CommitPolicy::BeforeProcessing,
        ..config()
    });
    stage.for_ms(2_000);
    let now = stage.now;
    stage.member(0).close(now);
    stage.until("it left", |s| s.state(0) == MemberState::Closed);
    assert!(stage.seats[0].records.is_empty());
    assert!(
        stage
            .cluster
            .group
            .committed
            .values()
            .all(|offset| *offset == 0)
    );
}

#[test]
fn nothing_is_committed_unless_asked_when_the_policy_is_never() {
    let mut stage = stage();
    stage.add(GroupConfig {
        commit: CommitPolicy::Never,
        ..config()
    });
    stage.until("all is read", |s| s.seats[0].records.len() == 40);
    stage.for_ms(10_000);
    assert!(stage.cluster.group.committed.is_empty());
    stage.member(0).commit();
    stage.until("it is committed", |s| s.member(0).is_committed());
    assert_eq!(stage.cluster.group.committed.len(), 4);
}

#[test]
fn an_interval_commits_what_is_processed_by_then() {
    let mut stage = stage();
    stage.add(GroupConfig {
        commit: CommitPolicy::Interval { ms: 5_000 },
        ..config()
    });
    stage.until("all is read", |s| s.seats[0].records.len() == 40);
    let read = stage.now;
    stage.until("it is committed", |s| s.member(0).is_committed());
    assert!(stage.now.as_ms() - read.as_ms() >= 4_000);
}

#[test]
fn a_paused_partition_gives_nothing_out_and_one_sought_gives_out_again() {
    let mut stage = stage();
    stage.add(config());
    stage.until("all is read", |s| s.seats[0].records.len() == 40);
    assert!(stage.member(0).pause("t", PartitionIndex(2)));
    fill(&mut stage.cluster, "t", 4, 1);
    stage.for_ms(10_000);
    assert_eq!(stage.seats[0].records.len(), 43);
    stage.member(0).resume("t", PartitionIndex(2));
    let now = stage.now;
    stage
        .member(0)
        .seek(now, "t", PartitionIndex(1), Start::Offset(Offset(4)));
    stage.until("seven are read again", |s| s.seats[0].records.len() == 51);
    assert!(
        !stage
            .member(0)
            .seek(now, "t", PartitionIndex(9), Start::Earliest)
    );
}

#[test]
fn a_partition_without_a_committed_offset_waits_for_a_seek_if_told_so() {
    let mut stage = stage();
    stage.cluster.group.committed.insert(("t".to_owned(), 0), 8);
    stage.add(GroupConfig {
        reset: OffsetReset::None,
        ..config()
    });
    stage.until("one is read", |s| s.seats[0].records.len() == 2);
    let failed = |event: &&GroupEvent| matches!(event, GroupEvent::PartitionFailed { .. });
    assert_eq!(stage.seats[0].events.iter().filter(failed).count(), 3);
    let now = stage.now;
    stage
        .member(0)
        .seek(now, "t", PartitionIndex(3), Start::Earliest);
    stage.until("the other is read", |s| s.seats[0].records.len() == 12);
}

#[test]
fn errors_that_pass_are_waited_out_and_others_end_the_member() {
    let soon = [
        (ApiKey::FindCoordinator, ErrorCode::CoordinatorNotAvailable),
        (ApiKey::JoinGroup, ErrorCode::CoordinatorLoadInProgress),
        (ApiKey::JoinGroup, ErrorCode::NotCoordinator),
        (ApiKey::JoinGroup, ErrorCode::UnknownMemberId),
        (ApiKey::SyncGroup, ErrorCode::RebalanceInProgress),
        (ApiKey::SyncGroup, ErrorCode::IllegalGeneration),
        (ApiKey::OffsetFetch, ErrorCode::CoordinatorLoadInProgress),
        (ApiKey::OffsetCommit, ErrorCode::CoordinatorLoadInProgress),
        (ApiKey::OffsetCommit, ErrorCode::NotCoordinator),
        (ApiKey::OffsetCommit, ErrorCode::RequestTimedOut),
        (ApiKey::Heartbeat, ErrorCode::UnknownMemberId),
        (ApiKey::Heartbeat, ErrorCode::IllegalGeneration),
        (ApiKey::Heartbeat, ErrorCode::RebalanceInProgress),
    ];
    for (key, error) in soon {
        let mut stage = stage();
        stage.cluster.group.lone = true;
        stage
            .cluster
            .group
            .errors
            .insert(key, [error, error].into());
        stage.add(config());
        stage.for_ms(30_000);
        assert!(
            stage.cluster.group.errors[&key].is_empty(),
            "{key:?} {error:?}"
        );
        assert_eq!(stage.state(0), MemberState::Stable, "{key:?} {error:?}");
        assert!(stage.member(0).is_committed() && stage.owned(0).len() == 4);
        all_read_once(&stage, 40);
    }
    let fatal = [
        (ApiKey::FindCoordinator, ErrorCode::GroupAuthorizationFailed),
        (ApiKey::JoinGroup, ErrorCode::GroupMaxSizeReached),
        (ApiKey::JoinGroup, ErrorCode::InconsistentGroupProtocol),
        (ApiKey::SyncGroup, ErrorCode::FencedInstanceId),
        (ApiKey::Heartbeat, ErrorCode::FencedInstanceId),
        (ApiKey::OffsetCommit, ErrorCode::FencedInstanceId),
    ];
    for (key, error) in fatal {
        let mut stage = stage();
        stage.cluster.group.errors.insert(key, [error].into());
        stage.add(config());
        stage.until("it failed", |s| s.state(0) == MemberState::Failed);
        let error = CallError::broker(error.code(), None);
        let last = stage.seats[0].events.last();
        assert_eq!(last, Some(&GroupEvent::Failed { error }));
    }
}

#[test]
fn a_leader_that_learns_of_more_partitions_has_the_group_rebalance() {
    let mut stage = stage();
    stage.add(GroupConfig {
        metadata_max_age_ms: 10_000,
        ..config()
    });
    stage.until("one has all", |s| s.owned(0).len() == 4);
    stage.cluster.add_partitions("t", 2);
    stage.until("it has the new ones", |s| s.owned(0).len() == 6);
}

fn cooperative() -> GroupConfig {
    GroupConfig {
        protocol: GroupProtocol::Classic {
            assignors: vec![Assignor::CooperativeSticky],
        },
        ..config()
    }
}

/// KIP-429: what stays with a member is read and committed while the group rebalances, and never given up.
#[test]
fn a_cooperative_member_reads_on_while_the_group_rebalances() {
    let mut stage = stage();
    stage.add(cooperative());
    stage.add(cooperative());
    stage.until("both have two and have read", |s| {
        let read = s.seats[0].records.len() + s.seats[1].records.len() == 40;
        let settled = is_stable(s, &[0, 1]) && s.owned(1).len() == 2;
        read && settled && s.member(0).is_committed() && s.member(1).is_committed()
    });
    let had = stage.owned(0);
    // The rebalance waits for the member that died until its session ends.
    stage.crash(1);
    stage.add(cooperative());
    stage.until("the first joins again", |s| {
        s.state(0) == MemberState::Joining
    });
    fill(&mut stage.cluster, "t", 4, 1);
    let read = stage.seats[0].records.len();
    stage.until("it reads and commits meanwhile", |s| {
        s.seats[0].records.len() == read + 2 && s.member(0).is_committed()
    });
    assert_eq!(stage.state(0), MemberState::Joining);
    stage.until("both have two", |s| {
        is_stable(s, &[0, 2]) && s.owned(2).len() == 2
    });
    assert_eq!(stage.owned(0), had);
    stage.until("all is read", |s| {
        s.seats.iter().map(|seat| seat.records.len()).sum::<usize>() == 44
    });
    all_read_once(&stage, 44);
    let joined = |event: &GroupEvent| matches!(event, GroupEvent::Joined { .. });
    let joined = stage.seats[0].events.iter().rposition(joined).unwrap();
    let gone =
        |event: &GroupEvent| matches!(event, GroupEvent::Revoked { .. } | GroupEvent::Lost { .. });
    let first = stage.seats[0].events.iter().position(gone);
    assert!(first.is_none_or(|at| at < joined), "{}", stage.describe());
}

#[test]
fn a_sticky_member_keeps_what_it_had_when_another_leaves() {
    let mut stage = stage();
    let sticky = || GroupConfig {
        protocol: GroupProtocol::Classic {
            assignors: vec![Assignor::Sticky, Assignor::Range],
        },
        ..config()
    };
    for _ in 0..3 {
        stage.add(sticky());
    }
    stage.until("all have some", |s| {
        is_stable(s, &[0, 1, 2]) && !s.owned(2).is_empty()
    });
    let (a, c) = (stage.owned(0), stage.owned(2));
    let now = stage.now;
    stage.member(1).close(now);
    stage.until("two have all", |s| {
        is_stable(s, &[0, 2]) && s.owned(0).len() + s.owned(2).len() == 4
    });
    assert_eq!(stage.member(0).assignor(), Some("sticky"));
    assert!(a.iter().all(|p| stage.owned(0).contains(p)), "{a:?}");
    assert!(c.iter().all(|p| stage.owned(2).contains(p)), "{c:?}");
}

/// KIP-345: a static member that restarts in time comes back to what it had, and nobody else notices.
#[test]
fn a_static_member_restarts_without_a_rebalance() {
    let mut stage = stage();
    let member = |n: usize| GroupConfig {
        instance_id: Some(format!("i{n}")),
        ..config()
    };
    stage.add(member(0));
    stage.add(member(1));
    stage.until("both have two", |s| {
        is_stable(s, &[0, 1]) && s.owned(1).len() == 2
    });
    let generation = stage.cluster.group.generation;
    for restarted in 0..2 {
        let had = stage.owned(restarted);
        let now = stage.now;
        stage.member(restarted).close(now);
        stage.until("it went", |s| s.state(restarted) == MemberState::Closed);
        let again = stage.add(member(restarted));
        stage.until("it is back", |s| s.owned(again) == had);
    }
    assert_eq!(stage.cluster.group.generation, generation);
    assert!(stage.cluster.group.left.is_empty());
    stage.until("all is read", |s| {
        s.seats.iter().map(|s| s.records.len()).sum::<usize>() >= 40
    });
    all_read_once(&stage, 40);
}

#[test]
fn a_pattern_reads_every_topic_it_matches_as_they_come() {
    let mut stage = stage();
    stage.cluster.add_topic("other", 1);
    stage.add(GroupConfig {
        subscription: Subscription::Pattern("t|u.*".to_owned()),
        metadata_max_age_ms: 5_000,
        ..config()
    });
    stage.until("one topic is read", |s| s.seats[0].records.len() == 40);
    stage.cluster.add_topic("u1", 2);
    fill(&mut stage.cluster, "u1", 2, 3);
    stage.until("the other, too", |s| s.seats[0].records.len() == 46);
    assert_eq!(stage.owned(0).len(), 6);
    let wrong = Subscription::Pattern("(".to_owned());
    let refused = GroupConsumer::new(GroupConfig {
        subscription: wrong,
        ..config()
    });
    assert!(matches!(refused, Err(CallError::Settings(_))));
}
