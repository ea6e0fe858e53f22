//! Groups of the new protocol (KIP-848) over the wire: joining, committing, being described, leaving, and another run.

use klar::ids::{ConnectionId, TopicId};
use klar::wire::ErrorCode;
use klar::wire::messages::consumer_group_describe::{
    ConsumerGroupDescribeRequest, ConsumerGroupDescribeResponse, DescribedGroup,
};
use klar::wire::messages::consumer_group_heartbeat::{
    ConsumerGroupHeartbeatRequest, ConsumerGroupHeartbeatResponse, TopicPartitions,
};
use klar::wire::messages::describe_groups::{DescribeGroupsRequest, DescribeGroupsResponse};
use klar::wire::messages::find_coordinator::{FindCoordinatorRequest, FindCoordinatorResponse};
use klar::wire::messages::list_groups::{ListGroupsRequest, ListGroupsResponse};
use klar::wire::messages::offset_commit::{
    OffsetCommitRequest, OffsetCommitRequestPartition, OffsetCommitRequestTopic,
    OffsetCommitResponse,
};
use klar::wire::messages::offset_fetch::{
    OffsetFetchRequest, OffsetFetchRequestGroup, OffsetFetchResponse,
};

use crate::rig::{Rig, ask};

fn with_coordinator() -> (Rig, ConnectionId, TopicId) {
    let mut rig = Rig::new();
    let topic = rig.create("t", 2, &[]);
    let connection = rig.connect();
    let request = FindCoordinatorRequest {
        coordinator_keys: vec!["g".to_owned()],
        ..FindCoordinatorRequest::default()
    };
    ask!(
        rig,
        connection,
        FindCoordinator,
        4,
        request,
        FindCoordinatorResponse
    );
    (rig, connection, topic)
}

fn join(id: &str) -> ConsumerGroupHeartbeatRequest {
    ConsumerGroupHeartbeatRequest {
        group_id: "g".to_owned(),
        member_id: id.to_owned(),
        rebalance_timeout_ms: 60_000,
        subscribed_topic_names: Some(vec!["t".to_owned()]),
        topic_partitions: Some(Vec::new()),
        ..ConsumerGroupHeartbeatRequest::default()
    }
}

fn beat(
    rig: &mut Rig,
    connection: ConnectionId,
    request: &ConsumerGroupHeartbeatRequest,
) -> ConsumerGroupHeartbeatResponse {
    ask!(
        rig,
        connection,
        ConsumerGroupHeartbeat,
        1,
        request,
        ConsumerGroupHeartbeatResponse
    )
}

fn describe(rig: &mut Rig, connection: ConnectionId, group: &str) -> DescribedGroup {
    let request = ConsumerGroupDescribeRequest {
        group_ids: vec![group.to_owned()],
        ..ConsumerGroupDescribeRequest::default()
    };
    let mut response = ask!(
        rig,
        connection,
        ConsumerGroupDescribe,
        1,
        request,
        ConsumerGroupDescribeResponse
    );
    response.groups.remove(0)
}

fn commit(rig: &mut Rig, connection: ConnectionId, version: i16, epoch: i32) -> i16 {
    let request = OffsetCommitRequest {
        group_id: "g".to_owned(),
        member_id: "a".to_owned(),
        generation_id_or_member_epoch: epoch,
        topics: vec![OffsetCommitRequestTopic {
            name: "t".to_owned(),
            partitions: vec![OffsetCommitRequestPartition {
                committed_offset: 7,
                ..OffsetCommitRequestPartition::default()
            }],
            ..OffsetCommitRequestTopic::default()
        }],
        ..OffsetCommitRequest::default()
    };
    let response = ask!(
        rig,
        connection,
        OffsetCommit,
        version,
        request,
        OffsetCommitResponse
    );
    response.topics[0].partitions[0].error_code
}

fn fetch(rig: &mut Rig, connection: ConnectionId, epoch: i32) -> (i16, Option<i64>) {
    let request = OffsetFetchRequest {
        groups: vec![OffsetFetchRequestGroup {
            group_id: "g".to_owned(),
            member_id: Some("a".to_owned()),
            member_epoch: epoch,
            topics: None,
        }],
        ..OffsetFetchRequest::default()
    };
    let response = ask!(
        rig,
        connection,
        OffsetFetch,
        9,
        request,
        OffsetFetchResponse
    );
    let group = &response.groups[0];
    let first = group
        .topics
        .first()
        .map(|t| t.partitions[0].committed_offset);
    (group.error_code, first)
}

#[test]
fn a_member_joins_commits_is_described_and_leaves() {
    let (mut rig, connection, topic) = with_coordinator();
    let joined = beat(&mut rig, connection, &join("a"));
    assert_eq!((joined.error_code, joined.member_epoch), (0, 1));
    assert_eq!(joined.heartbeat_interval_ms, 5_000);
    let everything = vec![TopicPartitions {
        topic_id: topic,
        partitions: vec![0, 1],
    }];
    let told = joined
        .assignment
        .map(|assignment| assignment.topic_partitions);
    assert_eq!(told, Some(everything.clone()));
    let stays = ConsumerGroupHeartbeatRequest {
        group_id: "g".to_owned(),
        member_id: "a".to_owned(),
        member_epoch: 1,
        topic_partitions: Some(everything),
        ..ConsumerGroupHeartbeatRequest::default()
    };
    let heard = beat(&mut rig, connection, &stays);
    assert_eq!((heard.error_code, heard.assignment), (0, None));
    assert_eq!(commit(&mut rig, connection, 9, 1), 0);
    assert_eq!(
        commit(&mut rig, connection, 9, 2),
        ErrorCode::StaleMemberEpoch.code()
    );
    assert_eq!(
        commit(&mut rig, connection, 8, 1),
        ErrorCode::UnsupportedVersion.code()
    );
    assert_eq!(fetch(&mut rig, connection, 1), (0, Some(7)));
    let stale = ErrorCode::StaleMemberEpoch.code();
    assert_eq!(fetch(&mut rig, connection, 5), (stale, None));
    let group = describe(&mut rig, connection, "g");
    assert_eq!((group.error_code, &*group.group_state), (0, "Stable"));
    assert_eq!((group.group_epoch, group.assignment_epoch), (1, 1));
    assert_eq!(group.assignor_name, "uniform");
    let member = &group.members[0];
    assert_eq!((member.member_type, &*member.client_id), (1, "test"));
    assert_eq!(member.assignment.topic_partitions[0].topic_name, "t");
    assert_eq!(member.assignment, member.target_assignment);
    let leaves = ConsumerGroupHeartbeatRequest {
        member_epoch: -1,
        ..stays
    };
    let left = beat(&mut rig, connection, &leaves);
    assert_eq!((left.error_code, left.member_epoch), (0, -1));
    assert_eq!(describe(&mut rig, connection, "g").group_state, "Empty");
}

#[test]
fn it_is_listed_as_a_consumer_group_and_is_no_classic_one() {
    let (mut rig, connection, _) = with_coordinator();
    beat(&mut rig, connection, &join("a"));
    let mut list = |types: &[&str]| -> Vec<(String, String)> {
        let request = ListGroupsRequest {
            types_filter: types.iter().map(|name| (*name).to_owned()).collect(),
            ..ListGroupsRequest::default()
        };
        let response = ask!(rig, connection, ListGroups, 5, request, ListGroupsResponse);
        let groups = response.groups.into_iter();
        groups
            .map(|group| (group.group_state, group.group_type))
            .collect()
    };
    let stable = ("Stable".to_owned(), "consumer".to_owned());
    assert_eq!(list(&["Consumer"]), [stable]);
    assert_eq!(list(&["classic"]), []);
    let request = DescribeGroupsRequest {
        groups: vec!["g".to_owned()],
        ..DescribeGroupsRequest::default()
    };
    let described = ask!(
        rig,
        connection,
        DescribeGroups,
        6,
        request,
        DescribeGroupsResponse
    );
    let unknown = ErrorCode::GroupIdNotFound.code();
    assert_eq!(described.groups[0].error_code, unknown);
    let other = describe(&mut rig, connection, "other");
    assert_eq!(other.error_code, unknown);
}

#[test]
fn refusals_carry_kafkas_codes_and_a_sentence() {
    let (mut rig, connection, _) = with_coordinator();
    let bad = |change: fn(&mut ConsumerGroupHeartbeatRequest)| {
        let mut request = join("a");
        change(&mut request);
        request
    };
    let cases = [
        (
            bad(|r| r.rebalance_timeout_ms = -1),
            ErrorCode::InvalidRequest,
        ),
        (bad(|r| r.group_id.clear()), ErrorCode::InvalidRequest),
        (
            bad(|r| r.server_assignor = Some("sticky".to_owned())),
            ErrorCode::UnsupportedAssignor,
        ),
        (
            bad(|r| r.subscribed_topic_regex = Some("(".to_owned())),
            ErrorCode::InvalidRegularExpression,
        ),
        (bad(|r| r.member_epoch = 3), ErrorCode::GroupIdNotFound),
    ];
    for (request, code) in cases {
        let answer = beat(&mut rig, connection, &request);
        assert_eq!(answer.error_code, code.code(), "{request:?}");
        assert!(answer.error_message.is_some_and(|why| !why.is_empty()));
    }
}

#[test]
fn a_topic_that_grows_is_heard_of_with_the_next_heartbeat_and_a_restart_changes_nothing() {
    let (mut rig, connection, _) = with_coordinator();
    beat(&mut rig, connection, &join("a"));
    let mut later = join("a");
    later.subscribed_topic_names = Some(vec!["t".to_owned(), "later".to_owned()]);
    later.member_epoch = 1;
    assert_eq!(beat(&mut rig, connection, &later).member_epoch, 2);
    rig.create("later", 1, &[]);
    let stays = ConsumerGroupHeartbeatRequest {
        member_epoch: 2,
        subscribed_topic_names: None,
        rebalance_timeout_ms: -1,
        topic_partitions: None,
        ..join("a")
    };
    let heard = beat(&mut rig, connection, &stays);
    assert_eq!((heard.error_code, heard.member_epoch), (0, 3));
    let told = heard.assignment.expect("it is to read more");
    assert_eq!(told.topic_partitions.len(), 2);
    let before = describe(&mut rig, connection, "g");
    let mut rig = rig.restart(false);
    let connection = rig.connect();
    let after = describe(&mut rig, connection, "g");
    assert_eq!(after, before);
    let stays = ConsumerGroupHeartbeatRequest {
        member_epoch: 3,
        ..stays
    };
    let heard = beat(&mut rig, connection, &stays);
    assert_eq!((heard.error_code, heard.member_epoch), (0, 3));
}
