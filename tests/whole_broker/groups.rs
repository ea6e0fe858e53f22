//! Groups on whole brokers: who coordinates, what waits for replicas, and what another coordinator knows.

use klar::ids::BrokerId;
use klar::inspect::{Durability, EventKind, Focus};
use klar::storage::Disk as _;
use klar::wire::messages::describe_groups::{DescribeGroupsRequest, DescribeGroupsResponse};
use klar::wire::messages::find_coordinator::{FindCoordinatorRequest, FindCoordinatorResponse};
use klar::wire::messages::heartbeat::{HeartbeatRequest, HeartbeatResponse};
use klar::wire::messages::join_group::{
    JoinGroupRequest, JoinGroupRequestProtocol, JoinGroupResponse,
};
use klar::wire::messages::offset_commit::{
    OffsetCommitRequest, OffsetCommitRequestPartition, OffsetCommitRequestTopic,
    OffsetCommitResponse,
};
use klar::wire::messages::offset_fetch::{
    OffsetFetchRequest, OffsetFetchRequestGroup, OffsetFetchRequestTopic, OffsetFetchRequestTopics,
    OffsetFetchResponse,
};
use klar::wire::messages::sync_group::{
    SyncGroupRequest, SyncGroupRequestAssignment, SyncGroupResponse,
};
use klar::wire::{ApiKey, ErrorCode};

use super::ask;
use super::cluster::{Client, Cluster};
use super::rig::Rig;

/// The error codes of these names.
const INVALID_GROUP_ID: i16 = 24;
const INVALID_REQUEST: i16 = 42;
const NOT_COORDINATOR: i16 = 16;

fn commit_request(offset: i64, member: &str, generation: i32) -> OffsetCommitRequest {
    OffsetCommitRequest {
        group_id: "g".to_owned(),
        generation_id_or_member_epoch: generation,
        member_id: member.to_owned(),
        topics: vec![OffsetCommitRequestTopic {
            name: "orders".to_owned(),
            partitions: vec![OffsetCommitRequestPartition {
                partition_index: 0,
                committed_offset: offset,
                committed_metadata: Some("m".to_owned()),
                ..OffsetCommitRequestPartition::default()
            }],
            ..OffsetCommitRequestTopic::default()
        }],
        ..OffsetCommitRequest::default()
    }
}

fn fetch_offsets() -> OffsetFetchRequest {
    OffsetFetchRequest {
        groups: vec![OffsetFetchRequestGroup {
            group_id: "g".to_owned(),
            topics: Some(vec![OffsetFetchRequestTopics {
                name: "orders".to_owned(),
                partition_indexes: vec![0],
                ..OffsetFetchRequestTopics::default()
            }]),
            ..OffsetFetchRequestGroup::default()
        }],
        ..OffsetFetchRequest::default()
    }
}

fn join_request(member: &str) -> JoinGroupRequest {
    JoinGroupRequest {
        group_id: "g".to_owned(),
        session_timeout_ms: 10_000,
        rebalance_timeout_ms: 30_000,
        member_id: member.to_owned(),
        protocol_type: "consumer".to_owned(),
        protocols: vec![JoinGroupRequestProtocol {
            name: "range".to_owned(),
            ..JoinGroupRequestProtocol::default()
        }],
        ..JoinGroupRequest::default()
    }
}

fn find() -> FindCoordinatorRequest {
    FindCoordinatorRequest {
        coordinator_keys: vec!["g".to_owned()],
        ..FindCoordinatorRequest::default()
    }
}

impl Cluster {
    /// Three brokers with a topic, and the broker that coordinates the group.
    fn with_group() -> (Cluster, BrokerId) {
        let mut cluster = Cluster::new(3, Durability::Os);
        cluster.wait_until_whole();
        cluster.create(BrokerId(1), "orders", 3);
        let coordinator = cluster.coordinator(BrokerId(2));
        (cluster, coordinator)
    }

    fn coordinator(&mut self, at: BrokerId) -> BrokerId {
        let client = self.connect(at);
        let answer: FindCoordinatorResponse = ask!(
            self,
            client,
            FindCoordinator,
            6,
            find(),
            FindCoordinatorResponse
        );
        let found = &answer.coordinators[0];
        assert_eq!(found.error_code, 0, "{found:?}");
        BrokerId(found.node_id)
    }

    fn commit(&mut self, client: Client, request: &OffsetCommitRequest) -> i16 {
        let request = request.clone();
        let answer: OffsetCommitResponse =
            ask!(self, client, OffsetCommit, 9, request, OffsetCommitResponse);
        answer.topics[0].partitions[0].error_code
    }

    /// Error of the group, and what is committed.
    fn committed(&mut self, client: Client) -> (i16, i64) {
        let answer: OffsetFetchResponse = ask!(
            self,
            client,
            OffsetFetch,
            9,
            fetch_offsets(),
            OffsetFetchResponse
        );
        let group = &answer.groups[0];
        let topic = group.topics.first();
        let committed = topic.map_or(-9, |topic| topic.partitions[0].committed_offset);
        (group.error_code, committed)
    }

    /// A member of generation 1 that is assigned everything.
    fn member(&mut self, at: BrokerId) -> String {
        let client = self.connect(at);
        let answer: JoinGroupResponse = ask!(
            self,
            client,
            JoinGroup,
            9,
            join_request(""),
            JoinGroupResponse
        );
        assert_eq!(answer.error_code, ErrorCode::MemberIdRequired.code());
        let id = answer.member_id;
        let answer: JoinGroupResponse = ask!(
            self,
            client,
            JoinGroup,
            9,
            join_request(&id),
            JoinGroupResponse
        );
        assert_eq!((answer.error_code, answer.generation_id), (0, 1));
        let request = SyncGroupRequest {
            group_id: "g".to_owned(),
            generation_id: 1,
            member_id: id.clone(),
            assignments: vec![SyncGroupRequestAssignment {
                member_id: id.clone(),
                assignment: bytes::Bytes::from_static(b"everything"),
            }],
            ..SyncGroupRequest::default()
        };
        let answer: SyncGroupResponse =
            ask!(self, client, SyncGroup, 5, request, SyncGroupResponse);
        assert_eq!(
            (answer.error_code, &answer.assignment[..]),
            (0, &b"everything"[..])
        );
        id
    }

    fn heartbeat(&mut self, client: Client, member: &str) -> i16 {
        let request = HeartbeatRequest {
            group_id: "g".to_owned(),
            generation_id: 1,
            member_id: member.to_owned(),
            ..HeartbeatRequest::default()
        };
        let answer: HeartbeatResponse =
            ask!(self, client, Heartbeat, 4, request, HeartbeatResponse);
        answer.error_code
    }
}

#[test]
fn the_first_one_to_ask_has_the_topic_made_and_is_answered_when_it_is_led() {
    let (mut cluster, coordinator) = Cluster::with_group();
    for at in 1..=3 {
        assert_eq!(cluster.coordinator(BrokerId(at)), coordinator);
    }
    let topic = cluster
        .partition(BrokerId(1), "__consumer_offsets")
        .unwrap();
    assert_eq!(topic.replica_nodes.len(), 3);
}

#[test]
fn only_the_coordinator_answers() {
    let (mut cluster, coordinator) = Cluster::with_group();
    let other = (1..=3).map(BrokerId).find(|id| *id != coordinator).unwrap();
    let client = cluster.connect(other);
    let code = cluster.commit(client, &commit_request(5, "", -1));
    assert_eq!(code, NOT_COORDINATOR);
    assert_eq!(cluster.committed(client).0, NOT_COORDINATOR);
}

#[test]
fn c2_a_commit_and_a_member_survive_the_coordinator() {
    let (mut cluster, coordinator) = Cluster::with_group();
    let member = cluster.member(coordinator);
    let client = cluster.connect(coordinator);
    assert_eq!(cluster.commit(client, &commit_request(5, &member, 1)), 0);
    cluster.kill(coordinator);
    let other = (1..=3).map(BrokerId).find(|id| *id != coordinator).unwrap();
    cluster.wait_for("another coordinates", |cluster| {
        cluster.coordinator(other) != coordinator
    });
    let next = cluster.coordinator(other);
    let client = cluster.connect(next);
    cluster.wait_for("it has read its groups", |cluster| {
        cluster.committed(client).0 == 0
    });
    assert_eq!(cluster.committed(client), (0, 5));
    assert_eq!(
        cluster.heartbeat(client, &member),
        0,
        "it stays in its generation"
    );
    let stale = ErrorCode::IllegalGeneration.code();
    assert_eq!(
        cluster.commit(client, &commit_request(3, &member, 0)),
        stale
    );
    assert_eq!(cluster.commit(client, &commit_request(6, &member, 1)), 0);
    assert_eq!(cluster.committed(client), (0, 6));
}

#[test]
fn c2_nothing_is_told_committed_that_replicas_do_not_have() {
    let (mut cluster, coordinator) = Cluster::with_group();
    let client = cluster.connect(coordinator);
    assert_eq!(cluster.commit(client, &commit_request(5, "", -1)), 0);
    let others: Vec<BrokerId> = (1..=3)
        .map(BrokerId)
        .filter(|id| *id != coordinator)
        .collect();
    for other in &others {
        cluster.kill(*other);
    }
    // Until they are out of the ISR nobody can say what becomes of it: neither the commit nor the offset is told.
    let unknown = ErrorCode::CoordinatorNotAvailable.code();
    let refused = cluster.commit(client, &commit_request(9, "", -1));
    assert!([unknown, NOT_COORDINATOR].contains(&refused), "{refused}");
    let asked = cluster.committed(client);
    assert_ne!(
        asked,
        (0, 9),
        "it was never acknowledged, and is not replicated"
    );
}

#[test]
fn nobody_but_coordinators_writes_their_topic() {
    let (mut cluster, _) = Cluster::with_group();
    let leader = cluster.leader(BrokerId(1), "__consumer_offsets").unwrap();
    let (code, _) = cluster.produce(leader, "__consumer_offsets", &["no"]);
    assert_eq!(code, ErrorCode::InvalidTopicException.code());
}

#[test]
fn a_deleted_topic_takes_its_offsets_with_it() {
    let (mut cluster, coordinator) = Cluster::with_group();
    let client = cluster.connect(coordinator);
    assert_eq!(cluster.commit(client, &commit_request(5, "", -1)), 0);
    cluster.delete(BrokerId(1), "orders");
    cluster.create(BrokerId(1), "orders", 3);
    assert_eq!(cluster.committed(client), (0, -1));
}

#[test]
fn a_broker_alone_keeps_its_groups_over_restarts() {
    let mut rig = Rig::new();
    rig.create("orders", 1, &[]);
    let client = rig.connect();
    let answer: FindCoordinatorResponse = ask!(
        rig,
        client,
        FindCoordinator,
        6,
        find(),
        FindCoordinatorResponse
    );
    assert_eq!(answer.coordinators[0].node_id, 1);
    let request = commit_request(5, "", -1);
    let answer: OffsetCommitResponse =
        ask!(rig, client, OffsetCommit, 9, request, OffsetCommitResponse);
    assert_eq!(answer.topics[0].partitions[0].error_code, 0);
    for clean in [true, false] {
        rig = rig.restart(clean);
        // Whoever looks sees them without anybody asking.
        rig.pass_ms(1_000);
        let picture = rig.broker.picture(rig.now, &Focus::default());
        assert_eq!(picture.groups.len(), 1);
        let client = rig.connect();
        let answer: OffsetFetchResponse = ask!(
            rig,
            client,
            OffsetFetch,
            9,
            fetch_offsets(),
            OffsetFetchResponse
        );
        let told = &answer.groups[0].topics[0].partitions[0];
        assert_eq!(
            (told.committed_offset, told.metadata.as_deref()),
            (5, Some("m"))
        );
    }
}

#[test]
fn groups_are_shown_with_their_members_and_offsets() {
    let (mut cluster, coordinator) = Cluster::with_group();
    let member = cluster.member(coordinator);
    let client = cluster.connect(coordinator);
    assert_eq!(cluster.commit(client, &commit_request(5, &member, 1)), 0);
    let picture = cluster.picture(coordinator);
    let group = &picture.groups[0];
    assert_eq!(
        (group.group.as_str(), group.state.as_str()),
        ("g", "Stable")
    );
    assert_eq!((group.generation, group.coordinator), (1, coordinator));
    assert_eq!(group.members[0].id, member);
    assert_eq!(group.offsets[0].committed.0, 5);
    for other in (1..=3).map(BrokerId).filter(|id| *id != coordinator) {
        assert!(cluster.picture(other).groups.is_empty());
    }
}

#[test]
fn versions_without_an_error_for_the_request_say_it_of_each_partition() {
    let (mut cluster, coordinator) = Cluster::with_group();
    let other = (1..=3).map(BrokerId).find(|id| *id != coordinator).unwrap();
    let client = cluster.connect(other);
    let request = OffsetFetchRequest {
        group_id: "g".to_owned(),
        topics: Some(vec![OffsetFetchRequestTopic {
            name: "orders".to_owned(),
            partition_indexes: vec![0, 2],
        }]),
        ..OffsetFetchRequest::default()
    };
    let answer: OffsetFetchResponse = ask!(
        cluster,
        client,
        OffsetFetch,
        1,
        request,
        OffsetFetchResponse
    );
    let told = answer.topics[0].partitions.iter();
    let told: Vec<_> = told
        .map(|p| (p.partition_index, p.committed_offset, p.error_code))
        .collect();
    assert_eq!(told, [(0, -1, NOT_COORDINATOR), (2, -1, NOT_COORDINATOR)]);
}

#[test]
fn what_a_request_names_twice_is_answered_once() {
    let (mut cluster, coordinator) = Cluster::with_group();
    let client = cluster.connect(coordinator);
    assert_eq!(cluster.commit(client, &commit_request(5, "", -1)), 0);
    let mut request = fetch_offsets();
    let topics = request.groups[0].topics.as_mut().unwrap();
    topics[0].partition_indexes = vec![0, 0];
    request.groups.push(request.groups[0].clone());
    let answer: OffsetFetchResponse = ask!(
        cluster,
        client,
        OffsetFetch,
        9,
        request,
        OffsetFetchResponse
    );
    let codes: Vec<i16> = answer.groups.iter().map(|g| g.error_code).collect();
    assert_eq!(codes, [0, INVALID_REQUEST]);
    let told = answer.groups[0].topics[0].partitions.iter();
    let told: Vec<_> = told.map(|p| (p.committed_offset, p.error_code)).collect();
    assert_eq!(told, [(5, 0), (-1, INVALID_REQUEST)]);
    let request = DescribeGroupsRequest {
        groups: vec!["g".to_owned(), "g".to_owned()],
        ..DescribeGroupsRequest::default()
    };
    let answer: DescribeGroupsResponse = ask!(
        cluster,
        client,
        DescribeGroups,
        5,
        request,
        DescribeGroupsResponse
    );
    let codes: Vec<i16> = answer.groups.iter().map(|g| g.error_code).collect();
    assert_eq!(codes, [0, INVALID_REQUEST]);
}

#[test]
fn a_group_whose_name_no_record_can_hold_is_refused() {
    let (mut cluster, coordinator) = Cluster::with_group();
    let client = cluster.connect(coordinator);
    let request = OffsetCommitRequest {
        group_id: "g".repeat(40_000),
        ..commit_request(5, "", -1)
    };
    for at in (1..=3).map(BrokerId) {
        let client = cluster.connect(at);
        assert_eq!(cluster.commit(client, &request), INVALID_GROUP_ID);
    }
    assert_eq!(cluster.commit(client, &commit_request(6, "", -1)), 0);
    let failed =
        |(_, note): &&(BrokerId, EventKind)| matches!(note, EventKind::StorageFailed { .. });
    assert_eq!(cluster.notes.iter().find(failed), None, "nothing was tried");
}

#[test]
fn a_static_member_is_not_told_its_new_id_before_replicas_know_it() {
    let (mut cluster, coordinator) = Cluster::with_group();
    let client = cluster.connect(coordinator);
    let request = JoinGroupRequest {
        group_instance_id: Some("one".to_owned()),
        ..join_request("")
    };
    let joined: JoinGroupResponse = ask!(
        cluster,
        client,
        JoinGroup,
        9,
        request.clone(),
        JoinGroupResponse
    );
    let sync = SyncGroupRequest {
        group_id: "g".to_owned(),
        generation_id: 1,
        member_id: joined.member_id,
        group_instance_id: Some("one".to_owned()),
        ..SyncGroupRequest::default()
    };
    let synced: SyncGroupResponse = ask!(cluster, client, SyncGroup, 5, sync, SyncGroupResponse);
    assert_eq!((joined.error_code, synced.error_code), (0, 0));
    for other in (1..=3).map(BrokerId).filter(|id| *id != coordinator) {
        cluster.kill(other);
    }
    // Whoever coordinates next knows the old id only, and fences this one for good.
    let joined: JoinGroupResponse = ask!(cluster, client, JoinGroup, 9, request, JoinGroupResponse);
    assert_ne!(joined.error_code, 0);
}

#[test]
fn who_waited_long_for_its_assignment_still_has_time_until_it_is_replicated() {
    let (mut cluster, coordinator) = Cluster::with_group();
    let (leader, follower) = (cluster.connect(coordinator), cluster.connect(coordinator));
    let mut ids = Vec::new();
    for client in [leader, follower] {
        let given: JoinGroupResponse = ask!(
            cluster,
            client,
            JoinGroup,
            9,
            join_request(""),
            JoinGroupResponse
        );
        ids.push(given.member_id);
    }
    for (client, id) in [leader, follower].into_iter().zip(&ids) {
        let request = join_request(id);
        cluster.post(client, ApiKey::JoinGroup, 9, |writer| {
            request.encode(writer, 9).unwrap();
        });
    }
    let mut joined = |client| {
        let mut reader = cluster.body(client, ApiKey::JoinGroup, 9);
        JoinGroupResponse::decode(&mut reader, 9).unwrap()
    };
    let (first, second) = (joined(leader), joined(follower));
    assert_eq!((first.error_code, second.error_code), (0, 0));
    assert_eq!(first.leader, ids[0]);
    let sync = |id: &str| SyncGroupRequest {
        group_id: "g".to_owned(),
        generation_id: first.generation_id,
        member_id: id.to_owned(),
        ..SyncGroupRequest::default()
    };
    cluster.post(follower, ApiKey::SyncGroup, 5, |writer| {
        sync(&ids[1]).encode(writer, 5).unwrap();
    });
    // Longer than offsets.commit.timeout.ms.
    cluster.pass_ms(8_000);
    let synced: SyncGroupResponse = ask!(
        cluster,
        leader,
        SyncGroup,
        5,
        sync(&ids[0]),
        SyncGroupResponse
    );
    assert_eq!(synced.error_code, 0);
    cluster.pass_ms(100);
    let mut reader = cluster.body(follower, ApiKey::SyncGroup, 5);
    let synced = SyncGroupResponse::decode(&mut reader, 5).unwrap();
    assert_eq!(synced.error_code, 0);
}

#[test]
fn a_damaged_partition_holds_up_its_own_groups_only() {
    let mut rig = Rig::new();
    rig.create("orders", 1, &[]);
    // "a" lies in front of "test", and "g" between them.
    let groups = ["a", "g", "test"].map(|name| (name, klar::group::partition_of(name, 50)));
    let commit = |name: &str| OffsetCommitRequest {
        group_id: name.to_owned(),
        ..commit_request(5, "", -1)
    };
    let client = rig.connect();
    let _found: FindCoordinatorResponse = ask!(
        rig,
        client,
        FindCoordinator,
        6,
        find(),
        FindCoordinatorResponse
    );
    for (name, _) in groups {
        let answer: OffsetCommitResponse = ask!(
            rig,
            client,
            OffsetCommit,
            9,
            commit(name),
            OffsetCommitResponse
        );
        assert_eq!(answer.topics[0].partitions[0].error_code, 0);
    }
    let (first, index) = *groups.iter().min_by_key(|(_, index)| *index).unwrap();
    let path = format!("/d/broker-1/__consumer_offsets-{index}/00000000000000000000.log");
    let path = std::path::Path::new(&path);
    let mut disk = rig.disk.clone();
    let mut rig = rig.restart(true);
    let byte = disk.read_at(path, 70, 1).unwrap()[0];
    disk.write_at(path, 70, &[byte ^ 4]).unwrap();
    rig = rig.restart(true);
    let client = rig.connect();
    for (name, _) in groups {
        let mut request = fetch_offsets();
        request.groups[0].group_id = name.to_owned();
        rig.send(client, ApiKey::OffsetFetch, 9, |writer| {
            request.encode(writer, 9).unwrap();
        });
        rig.pass_ms(2_000);
        let mut reader = rig.body(client, ApiKey::OffsetFetch, 9);
        let answer = OffsetFetchResponse::decode(&mut reader, 9).unwrap();
        let loading = ErrorCode::CoordinatorLoadInProgress.code();
        let expected = if name == first { loading } else { 0 };
        assert_eq!(answer.groups[0].error_code, expected, "{name}");
    }
}
