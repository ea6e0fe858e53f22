//! Single steps of a leader and a follower, by hand.

use super::super::*;
use crate::ids::{BrokerEpoch, BrokerId, LeaderEpoch, Offset, Time};
use crate::storage::Epochs;
use crate::wire::ErrorCode;
use crate::wire::records::BatchBuilder;
use bytes::Bytes;

const ME: BrokerId = BrokerId(1);
const ALL: [BrokerId; 3] = [BrokerId(1), BrokerId(2), BrokerId(3)];
const EPOCH: LeaderEpoch = LeaderEpoch(5);

fn ms(ms: i64) -> Time {
    Time::from_ms(ms)
}

fn assignment(partition_epoch: i32, isr: &[BrokerId]) -> Assignment<'_> {
    Assignment {
        leader_epoch: EPOCH,
        partition_epoch,
        replicas: &ALL,
        isr,
        recovering: false,
    }
}

fn registered(id: BrokerId) -> Option<Registration> {
    Some(Registration {
        broker_epoch: BrokerEpoch(i64::from(id.0) * 100),
        fenced: false,
        in_controlled_shutdown: false,
    })
}

fn leader(isr: &[BrokerId], log_end: i64, high_watermark: i64, min_insync: usize) -> Leader {
    let config = LeaderConfig {
        lag_time_max_ms: 1_000,
        min_insync,
        ..LeaderConfig::default()
    };
    let (end, known) = (Offset(log_end), Offset(high_watermark));
    let mut leader = Leader::new(
        ME,
        BrokerEpoch(100),
        config,
        assignment(7, isr),
        end,
        known,
        ms(0),
    );
    leader.on_brokers(ms(0), registered);
    leader
}

/// A fetch of `replica`, whose log is the leader's up to `offset`.
fn fetch(leader: &mut Leader, at: i64, replica: i32, offset: i64, log_end: i64) -> bool {
    let mut epochs = Epochs::default();
    epochs.assign(LeaderEpoch(1), Offset(0));
    let asked = FollowerFetch {
        replica: BrokerId(replica),
        broker_epoch: BrokerEpoch(i64::from(replica) * 100),
        leader_epoch: EPOCH,
        fetch_offset: Offset(offset),
        last_fetched_epoch: LeaderEpoch(1),
        log_start: Offset(0),
    };
    let log = LogFacts {
        start: Offset(0),
        end: Offset(log_end),
        epochs: &epochs,
    };
    let moved = leader.on_fetch(ms(at), &asked, log);
    leader.check();
    moved.expect("the fetch is in order")
}

fn members(proposal: &Proposal) -> Vec<i32> {
    proposal.isr.iter().map(|member| member.broker.0).collect()
}

fn accepted(partition_epoch: i32, isr: &[i32]) -> Outcome {
    Outcome::Accepted {
        isr: isr.iter().map(|id| BrokerId(*id)).collect(),
        leader_epoch: EPOCH,
        partition_epoch,
    }
}

#[test]
fn h3_a_new_leader_commits_once_every_member_fetched_in_its_epoch() {
    let mut leader = leader(&ALL, 10, 4, 2);
    assert!(!leader.may_answer_latest());
    assert!(!fetch(&mut leader, 1, 2, 10, 10));
    assert_eq!(leader.high_watermark(), Offset(4));
    assert!(fetch(&mut leader, 2, 3, 8, 10));
    assert_eq!(leader.high_watermark(), Offset(8));
    assert!(!leader.may_answer_latest());
    assert!(fetch(&mut leader, 3, 3, 10, 10));
    assert!(leader.may_answer_latest());
    assert_eq!(leader.acked(Offset(10)), Acked::Yes);
    assert!(!leader.on_append(ms(4), Offset(12)));
    assert_eq!(leader.acked(Offset(12)), Acked::Waiting);
}

#[test]
fn h3_nothing_is_committed_with_too_few_in_sync() {
    let mut leader = leader(&ALL[..1], 10, 4, 2);
    let needed = NotEnoughReplicas {
        in_sync: 1,
        needed: 2,
    };
    assert_eq!(leader.judge_append(), Err(needed));
    assert!(!leader.on_append(ms(1), Offset(11)));
    assert_eq!(leader.acked(Offset(4)), Acked::TooFew);
    fetch(&mut leader, 2, 2, 11, 11);
    let proposal = leader.wanted_isr(ms(2)).expect("2 has everything");
    assert_eq!((members(&proposal), proposal.joins.len()), (vec![1, 2], 1));
    assert_eq!(proposal.isr[1].broker_epoch, BrokerEpoch(200));
    assert!(leader.on_alter_outcome(ms(3), proposal.attempt, accepted(8, &[1, 2])));
    assert_eq!(leader.high_watermark(), Offset(11));
    assert!(leader.set_min_insync(ms(3), 9) || leader.judge_append().is_err());
}

#[test]
fn h4_a_follower_below_the_epochs_start_does_not_join() {
    let mut leader = leader(&ALL[..2], 10, 4, 1);
    fetch(&mut leader, 1, 3, 9, 10);
    assert_eq!(leader.wanted_isr(ms(1)), None);
    fetch(&mut leader, 2, 3, 10, 10);
    let proposal = leader.wanted_isr(ms(2)).expect("3 is at the epoch's start");
    assert_eq!(proposal.joins, [BrokerId(3)]);
}

#[test]
fn e4_whoever_is_proposed_is_waited_for() {
    let mut leader = leader(&ALL[..1], 10, 10, 1);
    fetch(&mut leader, 1, 2, 10, 10);
    let proposal = leader.wanted_isr(ms(1)).expect("2 has everything");
    assert_eq!(leader.wanted_isr(ms(1)), None);
    assert!(!leader.on_append(ms(2), Offset(20)));
    assert_eq!(leader.maximal_isr().count(), 2);
    assert!(fetch(&mut leader, 3, 2, 15, 20));
    assert_eq!(leader.high_watermark(), Offset(15));
    let isr = [BrokerId(1), BrokerId(2)];
    assert!(!leader.on_metadata(ms(4), assignment(8, &isr)));
    assert!(!leader.is_proposing());
    // Late, and said already by metadata.
    leader.on_alter_outcome(ms(5), proposal.attempt, accepted(8, &[1, 2]));
    assert_eq!(leader.isr().count(), 2);
}

#[test]
fn e7_an_ambiguous_outcome_shrinks_nothing_until_metadata_does() {
    let mut leader = leader(&ALL[..1], 10, 10, 1);
    fetch(&mut leader, 1, 2, 10, 10);
    let first = leader.wanted_isr(ms(1)).expect("2 has everything");
    leader.on_alter_outcome(ms(2), first.attempt, Outcome::Unknown);
    leader.on_append(ms(2), Offset(20));
    assert_eq!(leader.high_watermark(), Offset(10));
    assert_eq!(leader.wanted_isr(ms(3)), None);
    let due = leader.next_wakeup(ms(3)).expect("it asks again");
    let second = leader.wanted_isr(due).expect("it is due");
    assert_eq!(members(&second), [1, 2]);
    // The second was refused for certain, but the first may still be on its way.
    let ineligible = Outcome::Refused(ErrorCode::IneligibleReplica);
    leader.on_alter_outcome(due, second.attempt, ineligible);
    assert_eq!(leader.maximal_isr().count(), 2);
    // No longer wanted, it is asked away for a new partition epoch.
    leader.on_brokers(due, |id| {
        let mut registration = registered(id)?;
        registration.fenced = id == BrokerId(2);
        Some(registration)
    });
    let due = leader.next_wakeup(due).expect("it asks again");
    let third = leader.wanted_isr(due).expect("it is due");
    assert_eq!((members(&third), third.joins.len()), (vec![1], 0));
    assert!(leader.on_alter_outcome(due, third.attempt, accepted(8, &[1])));
    assert_eq!(leader.high_watermark(), Offset(20));
}

#[test]
fn a_leader_elected_uncleanly_says_once_that_it_is_done_with_that() {
    let mut leader = leader(&ALL[..1], 10, 4, 1);
    assert_eq!(leader.wanted_isr(ms(1)), None);
    let uncleanly = Assignment {
        recovering: true,
        ..assignment(8, &ALL[..1])
    };
    leader.on_metadata(ms(2), uncleanly);
    let proposal = leader.wanted_isr(ms(2)).expect("it has something to say");
    assert_eq!((members(&proposal), proposal.partition_epoch), (vec![1], 8));
    leader.on_alter_outcome(ms(3), proposal.attempt, accepted(9, &[1]));
    assert_eq!(leader.wanted_isr(ms(4)), None);
}

#[test]
fn a_refusal_of_the_only_attempt_is_certain() {
    let mut leader = leader(&ALL[..1], 10, 10, 1);
    fetch(&mut leader, 1, 2, 10, 10);
    leader.on_append(ms(1), Offset(20));
    let proposal = leader
        .wanted_isr(ms(1))
        .expect("2 is at the high watermark");
    let ineligible = Outcome::Refused(ErrorCode::IneligibleReplica);
    let later = ms(1_200);
    leader.on_alter_outcome(later, proposal.attempt, ineligible);
    assert_eq!(leader.maximal_isr().count(), 1);
    assert_eq!(leader.high_watermark(), Offset(20));
}

#[test]
fn e8_a_fetch_of_another_leader_epoch_does_not_count() {
    let mut leader = leader(&ALL[..2], 10, 4, 1);
    let epochs = Epochs::default();
    let log = LogFacts {
        start: Offset(2),
        end: Offset(10),
        epochs: &epochs,
    };
    let asked = FollowerFetch {
        replica: BrokerId(2),
        broker_epoch: BrokerEpoch(200),
        leader_epoch: EPOCH,
        fetch_offset: Offset(10),
        last_fetched_epoch: LeaderEpoch::NONE,
        log_start: Offset(0),
    };
    let mut refuses = |asked: FollowerFetch, why: FetchRefusal| {
        assert_eq!(leader.on_fetch(ms(1), &asked, log), Err(why));
    };
    let epoch = |epoch| FollowerFetch {
        leader_epoch: LeaderEpoch(epoch),
        ..asked
    };
    refuses(epoch(4), FetchRefusal::OldEpoch);
    refuses(epoch(-1), FetchRefusal::OldEpoch);
    refuses(epoch(6), FetchRefusal::NewerEpoch);
    let stranger = FollowerFetch {
        replica: BrokerId(9),
        ..asked
    };
    refuses(stranger, FetchRefusal::NotReplica);
    let stale = FollowerFetch {
        broker_epoch: BrokerEpoch(199),
        ..asked
    };
    refuses(stale, FetchRefusal::StaleIncarnation);
    for offset in [1, 11] {
        let outside = FollowerFetch {
            fetch_offset: Offset(offset),
            ..asked
        };
        refuses(outside, FetchRefusal::OutOfRange);
    }
    assert_eq!(leader.high_watermark(), Offset(4));
    assert_eq!(leader.followers().next().and_then(|f| f.log_end), None);
}

#[test]
fn d3_what_cannot_be_compared_any_more_does_not_count() {
    let mut leader = leader(&ALL[..1], 20, 20, 1);
    let mut epochs = Epochs::default();
    epochs.assign(LeaderEpoch(0), Offset(0));
    epochs.assign(LeaderEpoch(2), Offset(14));
    epochs.advance(Offset(14));
    let log = LogFacts {
        start: Offset(14),
        end: Offset(20),
        epochs: &epochs,
    };
    let asked = FollowerFetch {
        replica: BrokerId(2),
        broker_epoch: BrokerEpoch(200),
        leader_epoch: EPOCH,
        fetch_offset: Offset(14),
        last_fetched_epoch: LeaderEpoch(1),
        log_start: Offset(3),
    };
    let refused = leader.on_fetch(ms(1), &asked, log);
    assert_eq!(refused, Err(FetchRefusal::OutOfRange));
    let emptied = FollowerFetch {
        log_start: Offset(14),
        ..asked
    };
    assert_eq!(leader.on_fetch(ms(2), &emptied, log), Ok(false));
}

#[test]
fn a_member_leaves_when_it_lags_and_returns_when_it_has_caught_up() {
    let mut leader = leader(&ALL, 10, 10, 1);
    fetch(&mut leader, 10, 2, 10, 10);
    fetch(&mut leader, 10, 3, 10, 10);
    assert_eq!(leader.next_wakeup(ms(10)), None);
    leader.on_append(ms(20), Offset(11));
    fetch(&mut leader, 21, 2, 11, 11);
    let due = leader.next_wakeup(ms(21)).expect("3 is behind");
    assert_eq!(due, Time(1_010_001));
    assert_eq!(leader.wanted_isr(ms(1_010)), None);
    let proposal = leader.wanted_isr(due).expect("3 lags");
    let behind = Leaving::Behind {
        caught_up: Some(ms(10)),
    };
    assert_eq!(proposal.leaves, [(BrokerId(3), behind)]);
    // Until the controller says so it counts.
    assert_eq!(leader.high_watermark(), Offset(10));
    assert!(leader.on_alter_outcome(due, proposal.attempt, accepted(8, &[1, 2])));
    assert_eq!(leader.high_watermark(), Offset(11));
    fetch(&mut leader, 1_500, 3, 11, 11);
    let proposal = leader.wanted_isr(ms(1_500)).expect("3 is back");
    assert_eq!(members(&proposal), [1, 2, 3]);
}

/// Two that fell silent held each other's place: whoever left was let in again while the other was out, and the
/// high watermark waited for ever.
#[test]
fn members_that_fell_silent_stay_out_until_they_fetch() {
    let mut leader = leader(&ALL, 10, 10, 1);
    fetch(&mut leader, 10, 2, 10, 10);
    fetch(&mut leader, 30, 3, 10, 10);
    leader.on_append(ms(40), Offset(11));
    let first = leader.wanted_isr(ms(1_011)).expect("2 lags");
    assert_eq!(members(&first), [1, 3]);
    leader.on_alter_outcome(ms(1_012), first.attempt, accepted(8, &[1, 3]));
    assert_eq!(leader.high_watermark(), Offset(10), "3 is waited for");
    assert_eq!(leader.wanted_isr(ms(1_013)), None, "2 is not let in again");
    let second = leader.wanted_isr(ms(1_031)).expect("3 lags");
    assert_eq!((members(&second), second.joins.len()), (vec![1], 0));
    leader.on_alter_outcome(ms(1_032), second.attempt, accepted(9, &[1]));
    assert_eq!(leader.high_watermark(), Offset(11));
    fetch(&mut leader, 1_040, 2, 11, 11);
    let third = leader.wanted_isr(ms(1_041)).expect("2 is back");
    assert_eq!(members(&third), [1, 2]);
}

#[test]
fn a_member_that_lost_records_leaves_at_once() {
    let mut leader = leader(&ALL[..2], 10, 10, 1);
    fetch(&mut leader, 1, 2, 10, 10);
    fetch(&mut leader, 2, 2, 6, 10);
    let proposal = leader.wanted_isr(ms(2)).expect("2 lost records");
    let lost = Leaving::LostRecords {
        log_end: Offset(6),
        high_watermark: Offset(10),
    };
    assert_eq!(proposal.leaves, [(BrokerId(2), lost)]);
}

#[test]
fn under_load_the_high_watermark_waits_for_one_about_to_join() {
    let mut leader = leader(&ALL[..1], 10, 10, 1);
    fetch(&mut leader, 1, 2, 4, 10);
    leader.on_append(ms(2), Offset(20));
    fetch(&mut leader, 3, 2, 10, 20);
    // Caught up as of the fetch before, yet behind a high watermark that waits for nobody else.
    assert_eq!(leader.high_watermark(), Offset(20));
    leader.on_append(ms(4), Offset(30));
    assert_eq!(leader.high_watermark(), Offset(20));
    fetch(&mut leader, 5, 2, 20, 30);
    let proposal = leader
        .wanted_isr(ms(5))
        .expect("2 is at the high watermark");
    assert_eq!(proposal.joins, [BrokerId(2)]);
    // One that says nothing more is not waited for.
    let mut leader = self::leader(&ALL[..1], 10, 10, 1);
    fetch(&mut leader, 1, 2, 10, 20);
    leader.on_append(ms(2), Offset(20));
    fetch(&mut leader, 3, 2, 20, 30);
    leader.on_brokers(ms(3), |_| registered(ME));
    assert_eq!(leader.next_wakeup(ms(3)), None);
}

#[test]
fn e7_d1_a_restarted_broker_does_not_lead_on_old_metadata() {
    let config = LeaderConfig::default();
    let alone = assignment(7, &ALL[..1]);
    let mut leader = Leader::new(
        ME,
        BrokerEpoch(101),
        config,
        alone,
        Offset(10),
        Offset(4),
        ms(0),
    );
    leader.on_brokers(ms(0), registered);
    assert!(!leader.leads());
    assert!(!leader.on_tick(ms(1)));
    assert_eq!(leader.high_watermark(), Offset(4));
    assert_eq!(leader.next_wakeup(ms(1)), None);
}

#[test]
fn with_group_commit_the_leaders_copy_counts_once_it_is_synced() {
    let config = LeaderConfig {
        waits_for_sync: true,
        ..LeaderConfig::default()
    };
    let alone = assignment(7, &ALL[..1]);
    let mut leader = Leader::new(
        ME,
        BrokerEpoch(100),
        config,
        alone,
        Offset(10),
        Offset(4),
        ms(0),
    );
    leader.on_brokers(ms(0), registered);
    assert_eq!(leader.high_watermark(), Offset(4));
    assert!(leader.on_synced(ms(0), Offset(10)));
    assert!(!leader.on_append(ms(1), Offset(12)));
    assert!(leader.on_synced(ms(2), Offset(11)));
    assert_eq!(leader.high_watermark(), Offset(11));
}

fn batch(offset: i64, epoch: i32) -> Vec<u8> {
    let mut batch = BatchBuilder::new().base(Offset(offset), LeaderEpoch(epoch));
    batch.push(0, None, Some(b"value"), &[]);
    batch.build().expect("it is small")
}

/// A log of records of epoch 1, and a follower of it in epoch 5.
fn follower(epochs: &mut Epochs, end: i64, high_watermark: i64) -> (Follower, LogFacts<'_>) {
    if end > 0 {
        epochs.assign(LeaderEpoch(1), Offset(0));
    }
    let log = LogFacts {
        start: Offset(0),
        end: Offset(end),
        epochs,
    };
    let follower = Follower::new(BrokerId(2), EPOCH, log, Offset(high_watermark));
    (follower, log)
}

fn told(error: ErrorCode, high_watermark: i64, log_start: i64) -> Told {
    Told {
        error,
        high_watermark: Offset(high_watermark),
        log_start: Offset(log_start),
        diverging: None,
    }
}

#[test]
fn a_follower_appends_what_goes_on_and_knows_no_more_committed_than_it_has() {
    let mut epochs = Epochs::default();
    let (mut follower, log) = follower(&mut epochs, 3, 9);
    assert_eq!(follower.high_watermark(), Offset(3));
    let ask = follower.ask(ms(0), log).expect("nothing failed");
    assert_eq!(
        (ask.fetch_offset, ask.last_fetched_epoch),
        (Offset(3), LeaderEpoch(1))
    );
    let records = Bytes::from([batch(3, 1), batch(4, 5)].concat());
    let ok = told(ErrorCode::None, 10, 2);
    let step = follower.on_answer(ms(1), &ask, &ok, records.clone(), log);
    assert_eq!(step, Step::Append(records));
    let grown = LogFacts {
        end: Offset(5),
        ..log
    };
    assert_eq!(follower.on_step_done(grown), Some(Offset(2)));
    assert_eq!(follower.high_watermark(), Offset(5));
    // The same answer again answers a question it would not ask now.
    let step = follower.on_answer(ms(2), &ask, &ok, Bytes::new(), grown);
    assert_eq!((step, follower.trouble()), (Step::Ignore, None));
}

#[test]
fn records_that_cannot_be_the_leaders_are_refused() {
    let mut epochs = Epochs::default();
    let (_, log) = follower(&mut epochs, 3, 0);
    let mut torn = batch(3, 1);
    let last = torn.len() - 1;
    torn[last] ^= 1;
    let refused = |records: Vec<u8>| check_records(&records, log, EPOCH);
    assert!(matches!(refused(torn), Err(Unsound::Checksum(_))));
    assert!(matches!(refused(batch(4, 1)), Err(Unsound::NotNext { .. })));
    assert!(matches!(refused(batch(3, 0)), Err(Unsound::Epoch { .. })));
    assert!(matches!(refused(batch(3, 6)), Err(Unsound::Epoch { .. })));
    let mut cut = batch(3, 1);
    cut.pop();
    assert!(matches!(refused(cut), Err(Unsound::Malformed(_))));
    assert!(refused(batch(3, 5)).is_ok());
}

#[test]
fn a_follower_says_when_a_cut_loses_what_was_committed() {
    let mut epochs = Epochs::default();
    let (mut follower, log) = follower(&mut epochs, 9, 6);
    let ask = follower.ask(ms(0), log).expect("nothing failed");
    let mut parts = told(ErrorCode::None, 2, 0);
    parts.diverging = Some((LeaderEpoch(1), Offset(4)));
    let step = follower.on_answer(ms(1), &ask, &parts, Bytes::new(), log);
    let cut = Cut {
        to: Offset(4),
        below_high_watermark: Some(Offset(6)),
    };
    assert_eq!(step, Step::Truncate(cut));
    let shorter = LogFacts {
        end: Offset(4),
        ..log
    };
    assert_eq!(follower.on_step_done(shorter), None);
    assert_eq!(follower.high_watermark(), Offset(4));
    follower.check(shorter);
}

#[test]
fn a_log_that_ends_below_the_leaders_start_begins_there() {
    let mut epochs = Epochs::default();
    let (mut follower, log) = follower(&mut epochs, 3, 3);
    let ask = follower.ask(ms(0), log).expect("nothing failed");
    let gone = told(ErrorCode::OffsetOutOfRange, 30, 20);
    let step = follower.on_answer(ms(1), &ask, &gone, Bytes::new(), log);
    let restart = Cut {
        to: Offset(20),
        below_high_watermark: None,
    };
    assert_eq!(step, Step::Restart(restart));
    let none = Epochs::default();
    let emptied = LogFacts {
        start: Offset(20),
        end: Offset(20),
        epochs: &none,
    };
    assert_eq!(follower.on_step_done(emptied), None);
    assert_eq!(follower.high_watermark(), Offset(20));
}

#[test]
fn an_empty_log_begins_with_the_batch_its_leaders_log_begins_within() {
    let epochs = Epochs::default();
    let at = |offset| LogFacts {
        start: Offset(offset),
        end: Offset(offset),
        epochs: &epochs,
    };
    let four_from = |offset| {
        let mut batch = BatchBuilder::new().base(Offset(offset), LeaderEpoch(1));
        for _ in 0..4 {
            batch.push(0, None, Some(b"value"), &[]);
        }
        Bytes::from(batch.build().expect("it is small"))
    };
    let mut follower = Follower::new(BrokerId(2), EPOCH, at(20), Offset(0));
    let ask = follower.ask(ms(0), at(20)).expect("nothing failed");
    let ok = told(ErrorCode::None, 30, 20);
    let within = four_from(18);
    let step = follower.on_answer(ms(1), &ask, &ok, within.clone(), at(20));
    assert_eq!(step, Step::Begin(Offset(18), within));
    let step = follower.on_answer(ms(1), &ask, &ok, four_from(16), at(20));
    assert_eq!(step, Step::Ignore, "it ends where the log begins");
}

#[test]
fn refusals_wait_longer_each_time_and_an_answer_ends_that() {
    let mut epochs = Epochs::default();
    let (mut follower, log) = follower(&mut epochs, 3, 3);
    let mut now = ms(0);
    let mut waits_ms = Vec::new();
    for _ in 0..8 {
        let ask = follower.ask(now, log).expect("it is due");
        let unknown = told(ErrorCode::UnknownLeaderEpoch, -1, -1);
        let step = follower.on_answer(now, &ask, &unknown, Bytes::new(), log);
        assert_eq!(step, Step::Ignore);
        assert_eq!(follower.ask(now, log), None);
        let due = follower.next_wakeup().expect("it tries again");
        waits_ms.push(due.since_us(now) / 1000);
        now = due;
    }
    assert_eq!(waits_ms, [20, 40, 80, 160, 320, 640, 1000, 1000]);
    let ask = follower.ask(now, log).expect("it is due");
    let ok = told(ErrorCode::None, 3, 0);
    let step = follower.on_answer(now, &ask, &ok, Bytes::new(), log);
    assert_eq!((step, follower.trouble()), (Step::Settle, None));
    assert!(follower.ask(now, log).is_some());
    follower.on_step_failed(now, "the disk is full".into(), log);
    let full = FollowerTrouble::Storage("the disk is full".into());
    assert_eq!(follower.trouble(), Some(&full));
}
