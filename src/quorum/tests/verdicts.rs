//! Tables: which requests are refused and how, where logs part, and that no request makes a member panic.

use bytes::Bytes;
use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};

use super::disk::Disk;
use crate::ids::{BrokerId, LeaderEpoch, Offset, Time};
use crate::quorum::following::common_end;
use crate::quorum::requests::{self, Ballot, Told};
use crate::quorum::{
    Action, ElectionState, FetchAsked, FetchTold, FetchVerdict, Quorum, QuorumConfig, QuorumLane,
    SnapshotAsked, SnapshotId, SnapshotTold,
};
use crate::wire::{ErrorCode, RecordRanges};

const ME: BrokerId = BrokerId(1);
const OTHER: BrokerId = BrokerId(2);
const STRANGER: BrokerId = BrokerId(9);

/// A member of three in epoch 5, with a log of epochs 1, 1, 3, 3.
fn member() -> (Quorum, Disk) {
    let voters = [1, 2, 3].map(BrokerId).into();
    let saved = ElectionState {
        epoch: LeaderEpoch(5),
        leader: None,
        voted: None,
    };
    let config = QuorumConfig::new(ME, "klar", voters);
    let quorum = Quorum::new(config, Some(saved), 1, Time(0));
    (quorum, Disk::of(&[1, 1, 3, 3]))
}

/// As [`member`], elected in epoch 6.
fn leader() -> (Quorum, Disk) {
    let (mut quorum, disk) = member();
    let now = Time(1_000_000);
    quorum.on_tick(now, &disk);
    for _ in ["would you", "do"] {
        let told = Told {
            error: ErrorCode::None,
            leader: None,
            epoch: quorum.epoch(),
            granted: true,
        };
        quorum.on_vote_response(now, &disk, OTHER, &requests::vote_answer(&told));
    }
    assert!(quorum.is_leader());
    assert_eq!(quorum.epoch(), LeaderEpoch(6));
    (quorum, disk)
}

fn ballot() -> Ballot {
    Ballot {
        candidate: OTHER,
        epoch: LeaderEpoch(6),
        last_epoch: LeaderEpoch(3),
        end: Offset(4),
        pre_vote: false,
    }
}

#[test]
fn votes_are_granted_to_whom_they_are_due() {
    use ErrorCode::{FencedLeaderEpoch, InconsistentVoterSet, InvalidRequest, None};
    let epoch = |epoch| Ballot {
        epoch: LeaderEpoch(epoch),
        ..ballot()
    };
    let log = |last_epoch, end| Ballot {
        last_epoch: LeaderEpoch(last_epoch),
        end: Offset(end),
        ..ballot()
    };
    let from = |candidate| Ballot {
        candidate,
        ..ballot()
    };
    let cases = [
        (ballot(), None, true),
        (epoch(5), None, true),
        (epoch(4), FencedLeaderEpoch, false),
        (epoch(i32::MAX), InvalidRequest, false),
        (log(3, 3), None, false),
        (log(2, 9), None, false),
        (log(4, 1), None, true),
        (log(3, -1), InvalidRequest, false),
        (log(7, 1), InvalidRequest, false),
        (from(STRANGER), InconsistentVoterSet, false),
        (from(ME), InconsistentVoterSet, false),
    ];
    for (ballot, error, granted) in cases {
        let (mut quorum, disk) = member();
        let request = requests::vote("klar", ME, ballot);
        let response = quorum.on_vote(Time(0), &disk, &request);
        let told = requests::vote_told(&response);
        assert_eq!((told.error, told.granted), (error, granted), "{ballot:?}");
        let promised = quorum.actions().iter().any(|action| {
            matches!(action, Action::Persist(state) if state.voted == Some(ballot.candidate))
        });
        assert_eq!(promised, granted, "a vote is written down: {ballot:?}");
    }
}

#[test]
fn a_vote_is_given_once_per_epoch_and_a_pre_vote_is_none() {
    let (mut quorum, disk) = member();
    let mut ask = |candidate, pre_vote| {
        let ballot = Ballot {
            candidate: BrokerId(candidate),
            pre_vote,
            ..ballot()
        };
        let request = requests::vote("klar", ME, ballot);
        requests::vote_told(&quorum.on_vote(Time(0), &disk, &request)).granted
    };
    assert!(ask(3, true));
    assert!(ask(2, true));
    assert!(ask(2, false));
    assert!(!ask(3, false));
    assert!(ask(2, false), "the answer may have been lost");
}

#[test]
fn requests_for_others_are_refused() {
    let (mut quorum, disk) = member();
    let mut answer = |cluster, voter| {
        let request = requests::vote(cluster, voter, ballot());
        requests::vote_told(&quorum.on_vote(Time(0), &disk, &request)).error
    };
    assert_eq!(answer("other", ME), ErrorCode::InconsistentClusterId);
    assert_eq!(answer("klar", OTHER), ErrorCode::InvalidVoterKey);
    let mut request = requests::begin("klar", ME, OTHER, LeaderEpoch(6));
    request.topics[0].topic_name = "orders".to_owned();
    let response = quorum.on_begin_quorum_epoch(Time(0), &disk, &request);
    let told = requests::begin_told(&response);
    assert_eq!(told.error, ErrorCode::InvalidRequest);
    assert_eq!(quorum.epoch(), LeaderEpoch(5));
}

#[test]
fn an_epoch_has_one_leader_whoever_says_otherwise() {
    let (mut quorum, disk) = member();
    let mut begin = |leader: i32, epoch| {
        let request = requests::begin("klar", ME, BrokerId(leader), LeaderEpoch(epoch));
        let response = quorum.on_begin_quorum_epoch(Time(0), &disk, &request);
        let told = requests::begin_told(&response);
        (told.error, told.leader, told.epoch.0)
    };
    let two = Some(OTHER);
    assert_eq!(begin(2, 6), (ErrorCode::None, two, 6));
    assert_eq!(begin(3, 6), (ErrorCode::InvalidRequest, two, 6));
    assert_eq!(begin(3, 5), (ErrorCode::FencedLeaderEpoch, two, 6));
    assert_eq!(begin(9, 7), (ErrorCode::InconsistentVoterSet, two, 6));
    assert_eq!(begin(1, 7), (ErrorCode::InvalidRequest, two, 6));
    assert_eq!(begin(3, 7), (ErrorCode::None, Some(BrokerId(3)), 7));
}

fn asked(leader_epoch: i32, last_fetched_epoch: i32, fetch_offset: i64) -> FetchAsked {
    FetchAsked {
        replica: OTHER,
        leader_epoch: LeaderEpoch(leader_epoch),
        fetch_offset: Offset(fetch_offset),
        last_fetched_epoch: LeaderEpoch(last_fetched_epoch),
        high_watermark: Some(Offset::NONE),
    }
}

#[test]
fn fetches_are_read_diverge_or_are_refused() {
    let (quorum, _) = leader();
    let disk = Disk::of(&[1, 1, 3, 3, 6]);
    let error = |asked: FetchAsked| match quorum.judge_fetch(&disk, &asked) {
        FetchVerdict::Refused { error, .. } => error,
        other => panic!("{other:?}"),
    };
    assert_eq!(error(asked(5, 3, 4)), ErrorCode::FencedLeaderEpoch);
    assert_eq!(error(asked(7, 3, 4)), ErrorCode::UnknownLeaderEpoch);
    assert_eq!(error(asked(6, -1, -5)), ErrorCode::OffsetOutOfRange);
    // Last epoch and offset asked for; where logs part.
    let cases = [
        (-1, 0, None),
        (1, 2, None),
        (1, 1, None),
        (3, 4, None),
        (6, 5, None),
        (1, 3, Some((1, 2))),
        (2, 3, Some((1, 2))),
        (3, 5, Some((3, 4))),
        (4, 5, Some((3, 4))),
        (6, 6, Some((6, 5))),
        (7, 6, Some((6, 5))),
    ];
    for (epoch, offset, parts) in cases {
        let verdict = quorum.judge_fetch(&disk, &asked(6, epoch, offset));
        let found = match verdict {
            FetchVerdict::Read { from, .. } => {
                assert_eq!(from, Offset(offset));
                None
            }
            FetchVerdict::Diverging { epoch, end, .. } => Some((epoch.0, end.0)),
            FetchVerdict::Refused { .. } | FetchVerdict::Snapshot { .. } => panic!("{verdict:?}"),
        };
        assert_eq!(found, parts, "{epoch} {offset}");
    }
}

/// KIP-630: whose log ends in front of the leader's, or parts from it there, begins with a snapshot.
#[test]
fn a_replica_without_the_logs_beginning_is_sent_a_snapshot() {
    let (quorum, mut disk) = leader();
    disk.take_snapshot(Offset(3));
    disk.take_snapshot(Offset(4));
    assert_eq!(disk.start, 3);
    let newest = SnapshotId {
        end: Offset(4),
        epoch: LeaderEpoch(3),
    };
    // Last epoch and offset asked for; whether a snapshot is to be fetched. The leader's log is 1, 1, 3 | 3.
    let cases = [
        (-1, 0, true),
        (1, 2, true),
        (3, 2, true),
        (1, 3, true),
        (2, 5, true),
        (3, 3, false),
        (3, 4, false),
        (3, 5, false),
        (5, 4, false),
    ];
    for (epoch, offset, lacks) in cases {
        let verdict = quorum.judge_fetch(&disk, &asked(6, epoch, offset));
        let found = match verdict {
            FetchVerdict::Snapshot { id, .. } => Some(id),
            _ => None,
        };
        assert_eq!(
            found,
            lacks.then_some(newest),
            "{epoch} {offset}: {verdict:?}"
        );
    }
}

#[test]
fn a_log_is_cut_to_the_common_prefix() {
    let disk = Disk::of(&[1, 1, 3, 3, 5]);
    let cut = |epoch, end| common_end(&disk, LeaderEpoch(epoch), Offset(end)).0;
    assert_eq!(cut(5, 9), 5);
    assert_eq!(cut(3, 3), 3);
    assert_eq!(cut(3, 9), 4);
    assert_eq!(cut(4, 9), 4);
    assert_eq!(cut(2, 9), 2);
    assert_eq!(cut(1, 1), 1);
    assert_eq!(cut(-1, 0), 0);
}

#[test]
fn the_high_watermark_waits_for_a_record_of_the_epoch() {
    let (mut quorum, mut disk) = leader();
    let now = Time(1_000_000);
    // A majority has all of the older epochs: that commits nothing (Raft §5.4.2).
    quorum.on_fetch(now, &disk, &asked(6, 3, 4));
    assert_eq!(quorum.high_watermark(), None);
    disk.append(super::disk::Entry {
        epoch: LeaderEpoch(6),
        value: 1,
    });
    quorum.on_log_changed(now, &disk);
    quorum.on_fetch(now, &disk, &asked(6, 6, 5));
    assert_eq!(
        quorum.high_watermark(),
        None,
        "the leader has not synced it"
    );
    disk.synced = 5;
    quorum.on_log_changed(now, &disk);
    assert_eq!(quorum.high_watermark(), Some(Offset(5)));
    // A second leader's word cannot take it back, and a voter that lost its disk does not lower it.
    quorum.on_fetch(now, &disk, &asked(6, -1, 0));
    assert_eq!(quorum.high_watermark(), Some(Offset(5)));
}

/// Whatever peers and strangers send, a member answers and holds its own invariants.
#[test]
fn no_request_makes_a_member_panic() {
    for seed in 0..300 {
        let mut random = SmallRng::seed_from_u64(seed);
        let (mut quorum, disk) = match random.random() {
            true => member(),
            false => leader(),
        };
        let mut now = Time(2_000_000);
        for _ in 0..40 {
            now = now.plus_ms(random.random_range(0..200));
            throw(&mut random, &mut quorum, now, &disk);
            quorum.check();
            quorum.actions();
            quorum.next_wakeup();
        }
    }
}

fn throw(random: &mut SmallRng, quorum: &mut Quorum, now: Time, disk: &Disk) {
    let epochs = [-1, 0, 3, 5, 6, 7, 8, i32::MAX - 1, i32::MAX];
    let epoch = LeaderEpoch(epochs[random.random_range(0..epochs.len())]);
    let last_epoch = LeaderEpoch(epochs[random.random_range(0..epochs.len())]);
    let offsets = [i64::MIN, -1, 0, 3, 4, 5, i64::MAX];
    let end = Offset(offsets[random.random_range(0..offsets.len())]);
    let broker = BrokerId(random.random_range(-1..5));
    let peer = [OTHER, BrokerId(3), STRANGER][random.random_range(0..3)];
    let told = Told {
        error: [ErrorCode::None, ErrorCode::NotLeaderOrFollower][random.random_range(0..2)],
        leader: requests::broker(broker.0),
        epoch,
        granted: random.random(),
    };
    let id = SnapshotId {
        end,
        epoch: last_epoch,
    };
    match random.random_range(0..10) {
        0 => {
            let ballot = Ballot {
                candidate: broker,
                epoch,
                last_epoch,
                end,
                pre_vote: random.random(),
            };
            quorum.on_vote(now, disk, &requests::vote("klar", ME, ballot));
        }
        1 => {
            let request = requests::begin("klar", ME, broker, epoch);
            quorum.on_begin_quorum_epoch(now, disk, &request);
        }
        2 => {
            let request = requests::end("klar", broker, epoch, &[ME]);
            quorum.on_end_quorum_epoch(now, disk, &request);
        }
        3 => {
            let asked = FetchAsked {
                replica: broker,
                leader_epoch: epoch,
                fetch_offset: end,
                last_fetched_epoch: last_epoch,
                high_watermark: Some(end),
            };
            quorum.on_fetch(now, disk, &asked);
        }
        4 => quorum.on_vote_response(now, disk, peer, &requests::vote_answer(&told)),
        5 => quorum.on_begin_response(now, disk, peer, &requests::begin_answer(&told)),
        6 => quorum.on_end_response(now, disk, peer, &requests::end_answer(&told)),
        7 => {
            let told = FetchTold {
                error: told.error,
                leader: told.leader,
                epoch,
                diverging: random.random::<bool>().then_some((last_epoch, end)),
                snapshot: random.random_ratio(1, 4).then_some(id),
                high_watermark: Some(end),
                got_records: random.random(),
            };
            quorum.on_fetch_response(now, disk, peer, &told);
            quorum.on_log_changed(now, disk);
        }
        8 => throw_snapshot(random, quorum, now, disk, (broker, peer), id, &told),
        _ => quorum.on_peer_lost(now, disk, peer, QuorumLane::Fetch),
    }
}

fn throw_snapshot(
    random: &mut SmallRng,
    quorum: &mut Quorum,
    now: Time,
    disk: &Disk,
    (replica, peer): (BrokerId, BrokerId),
    id: SnapshotId,
    told: &Told,
) {
    let (leader_epoch, position) = (told.epoch, random.random_range(0..9));
    if random.random() {
        let asked = SnapshotAsked {
            replica,
            leader_epoch,
            id,
            position,
        };
        quorum.on_fetch_snapshot(now, disk, None, &asked);
        return;
    }
    let told = SnapshotTold {
        error: told.error,
        leader: told.leader,
        epoch: leader_epoch,
        id,
        size: random.random_range(0..9),
        position,
        bytes: RecordRanges::from(Bytes::from_static(b"12345")),
    };
    quorum.on_snapshot_response(now, disk, peer, &told);
    quorum.on_log_changed(now, disk);
}
