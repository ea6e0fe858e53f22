//! Pictures of several brokers put together, from made-up ones.

use std::net::SocketAddr;

use super::*;
use crate::broker::BrokerPicture;
use crate::ids::{BrokerId, LeaderEpoch, Offset, PartitionIndex, TopicId};
use crate::inspect::{LogSize, PartitionSnapshot, ReplicaSnapshot, ReplicaState, TopicSnapshot};

const RUNNING: BrokerState = BrokerState::Running;

/// What broker `id` shows of one topic with one partition on three brokers, having applied metadata up to
/// `applied` and written up to `log_end`.
fn picture(id: i32, applied: i64, leader: Option<i32>, log_end: i64) -> BrokerPicture {
    let partition = PartitionSnapshot {
        index: PartitionIndex(0),
        leader: leader.map(BrokerId),
        leader_epoch: LeaderEpoch(4),
        replicas: (1..=3).map(|of| replica(of, id, log_end)).collect(),
        isr: vec![BrokerId(1), BrokerId(2)],
        elr: Vec::new(),
        adding: Vec::new(),
        removing: Vec::new(),
        partition_epoch: 0,
        recovering: false,
        log_start: Offset(0),
        high_watermark: Offset(log_end - 1),
        last_stable: Offset(log_end - 1),
        log_end: Offset(log_end),
        bytes: u64::try_from(log_end).unwrap() * 10,
        records_in: 5,
        bytes_in: 0,
        bytes_out: 0,
        max_timestamp_ms: -1,
        segments: Vec::new(),
        epochs: Vec::new(),
        producers: 0,
        trouble: None,
    };
    let topic = TopicSnapshot {
        name: "t".into(),
        id: TopicId([1; 16]),
        internal: false,
        replication_factor: 3,
        configs: Default::default(),
        partitions: vec![partition],
    };
    BrokerPicture {
        time: Time(1),
        broker_epoch: None,
        cluster_id: "c".into(),
        broker: Arc::new(broker_snapshot(Time(1), &seen(id, &RUNNING, None))),
        topics: Arc::new(vec![Arc::new(topic)]),
        totals: Totals {
            records_in: 5,
            ..Totals::default()
        },
        quorum: QuorumSnapshot {
            leader: Some(BrokerId(2)),
            epoch: LeaderEpoch(1),
            high_watermark: Offset(applied),
            ..QuorumSnapshot::default()
        },
        registrations: Vec::new(),
        in_flight: Vec::new(),
        groups: Arc::new(Vec::new()),
        connections: Arc::new(Vec::new()),
        gone: Arc::default(),
        lanes: Vec::new(),
        record: None,
        segment: None,
    }
}

/// What broker `id` knows of the replica on `broker`: its own, or how long ago another's had caught up.
fn replica(broker: i32, id: i32, log_end: i64) -> ReplicaSnapshot {
    let unknown = ReplicaSnapshot::unknown(BrokerId(broker));
    match broker == id {
        true => ReplicaSnapshot {
            log_start: Offset(0),
            log_end: Offset(log_end),
            high_watermark: Offset(log_end - 1),
            leader_epoch: LeaderEpoch(4),
            state: ReplicaState::Follower,
            ..unknown
        },
        false => ReplicaSnapshot {
            caught_up_ms: Some(u64::try_from(broker * 10).unwrap()),
            ..unknown
        },
    }
}

fn seen<'a>(id: i32, state: &'a BrokerState, picture: Option<&'a BrokerPicture>) -> Seen<'a> {
    Seen {
        id: BrokerId(id),
        listen: SocketAddr::from(([127, 0, 0, 1], 9091 + u16::try_from(id).unwrap())),
        state,
        picture,
        murmur: None,
        remains: None,
        past: Totals::default(),
    }
}

fn fused(seen: &[Seen<'_>]) -> ClusterSnapshot {
    fuse(
        &ClusterFacts::example(),
        Time(1),
        seen,
        &Focus::default(),
        &mut FusedTopics::default(),
        &Chronicle::default(),
        Panels::default(),
    )
}

#[test]
fn events_are_numbered_without_gaps_and_the_oldest_are_forgotten() {
    let mut chronicle = Chronicle::default();
    for _ in 0..EVENTS_KEPT + 3 {
        let cause = String::new();
        chronicle.note(
            Some(BrokerId(1)),
            Time(0),
            EventKind::BrokerStopped { cause },
        );
    }
    let snapshot = fuse(
        &ClusterFacts::example(),
        Time(1),
        &[],
        &Focus::default(),
        &mut FusedTopics::default(),
        &chronicle,
        Panels::default(),
    );
    assert_eq!(snapshot.events.len(), EVENTS_KEPT);
    assert_eq!(snapshot.events[0].number, 4);
    assert_eq!(snapshot.event_number, EVENTS_KEPT as u64 + 3);
}

#[test]
fn a_crashed_broker_is_shown_with_its_message_and_controls_nothing() {
    let state = BrokerState::Crashed {
        message: "boom".into(),
    };
    let picture = picture(1, 9, Some(1), 100);
    let snapshot = fused(&[seen(1, &state, Some(&picture))]);
    assert_eq!(snapshot.brokers[0].state, state);
    assert_eq!(snapshot.controller, None);
    let replica = &snapshot.topics[0].partitions[0].replicas[0];
    assert_eq!(
        (replica.state, replica.log_end),
        (ReplicaState::Offline, Offset(100))
    );
}

#[test]
fn a_partition_is_as_its_leader_shows_it_and_each_replica_as_its_own_broker_does() {
    let pictures = [
        picture(1, 7, Some(3), 90),
        picture(2, 9, Some(1), 80),
        picture(3, 8, Some(3), 70),
    ];
    let killed = BrokerState::Killed;
    let all = [
        seen(1, &RUNNING, Some(&pictures[0])),
        seen(2, &RUNNING, Some(&pictures[1])),
        seen(3, &killed, Some(&pictures[2])),
    ];
    let snapshot = fused(&all);
    assert_eq!(
        snapshot.bootstrap,
        "127.0.0.1:9092,127.0.0.1:9093,127.0.0.1:9094"
    );
    assert_eq!(snapshot.controller, Some(BrokerId(2)));
    assert_eq!(snapshot.totals.records_in, 15);
    let partition = &snapshot.topics[0].partitions[0];
    assert_eq!(
        partition.leader,
        Some(BrokerId(1)),
        "as the newest metadata says"
    );
    assert_eq!(partition.log_end, Offset(90), "as the leader says");
    let ends: Vec<i64> = partition.replicas.iter().map(|r| r.log_end.0).collect();
    assert_eq!(ends, [90, 80, 70]);
    let states: Vec<ReplicaState> = partition.replicas.iter().map(|r| r.state).collect();
    use ReplicaState::{Follower, Leader, Offline};
    assert_eq!(states, [Leader, Follower, Offline]);
    let in_sync: Vec<bool> = partition.replicas.iter().map(|r| r.in_sync).collect();
    assert_eq!(in_sync, [true, true, false]);
    assert_eq!(
        partition.replicas[1].caught_up_ms,
        Some(20),
        "as the leader says"
    );
    let sizes = partition.replicas.iter().map(|r| r.size.unwrap().bytes);
    assert_eq!(sizes.collect::<Vec<_>>(), [900, 800, 700], "its own log's");
}

#[test]
fn a_dead_brokers_replica_is_what_its_files_hold_and_says_so() {
    let pictures = [picture(1, 9, Some(1), 90), picture(3, 8, Some(1), 70)];
    let killed = BrokerState::Killed;
    let dir = tempfile::tempdir().unwrap();
    std::fs::create_dir(dir.path().join("t-0")).unwrap();
    let remains = Arc::new(crate::cluster::remains::Remains::read(
        BrokerId(2),
        dir.path(),
    ));
    let dead = Seen {
        remains: Some(&remains),
        ..seen(3, &killed, Some(&pictures[1]))
    };
    let snapshot = fused(&[seen(1, &RUNNING, Some(&pictures[0])), dead]);
    let partition = &snapshot.topics[0].partitions[0];
    let replica = partition.replicas.last().unwrap();
    assert!(replica.from_files);
    assert_eq!(
        (replica.state, replica.log_end),
        (ReplicaState::Offline, Offset(0))
    );
    let nothing = LogSize {
        bytes: 0,
        segments: 0,
    };
    assert_eq!(replica.size, Some(nothing));
    assert!(!partition.replicas[0].from_files);
    assert_eq!(partition.log_end, Offset(90), "its leader lives");
}

#[test]
fn what_a_dead_leader_knew_of_its_followers_is_not_told_any_more() {
    let pictures = [picture(1, 9, Some(1), 90), picture(2, 8, Some(1), 80)];
    let killed = BrokerState::Killed;
    let all = [
        seen(1, &killed, Some(&pictures[0])),
        seen(2, &RUNNING, Some(&pictures[1])),
    ];
    let snapshot = fused(&all);
    let follower = &snapshot.topics[0].partitions[0].replicas[1];
    assert_eq!(follower.caught_up_ms, None);
}

#[test]
fn brokers_are_registered_as_the_newest_metadata_says() {
    let (old, mut new) = (picture(1, 7, Some(1), 90), picture(2, 9, Some(1), 80));
    new.registrations = vec![crate::inspect::RegistrationSnapshot {
        broker: BrokerId(1),
        epoch: crate::ids::BrokerEpoch(4),
        fenced: true,
        in_controlled_shutdown: false,
    }];
    let all = [seen(1, &RUNNING, Some(&old)), seen(2, &RUNNING, Some(&new))];
    let snapshot = fused(&all);
    assert!(snapshot.brokers[0].registration.unwrap().fenced);
    assert_eq!(snapshot.brokers[1].registration, None);
}

#[test]
fn what_no_broker_changed_is_the_same_allocation() {
    let (one, two) = (picture(1, 7, Some(1), 90), picture(2, 7, Some(1), 80));
    let all = [seen(1, &RUNNING, Some(&one)), seen(2, &RUNNING, Some(&two))];
    let mut topics = FusedTopics::default();
    let first = topics.fuse(&all);
    assert!(Arc::ptr_eq(&first[0], &topics.fuse(&all)[0]));
    let two = picture(2, 7, Some(1), 81);
    let changed = topics.fuse(&[all[0], seen(2, &RUNNING, Some(&two))]);
    assert_eq!(changed[0].partitions[0].replicas[1].log_end, Offset(81));
}

#[test]
fn counters_of_earlier_runs_stay_counted() {
    let picture = picture(1, 7, Some(1), 90);
    let mut again = seen(1, &RUNNING, Some(&picture));
    again.past.records_in = 1_000;
    assert_eq!(fused(&[again]).totals.records_in, 1_005);
}
