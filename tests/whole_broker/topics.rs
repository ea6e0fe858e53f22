//! Topics and configurations: made, described, altered, grown, emptied, deleted, and all of it again after a
//! restart.

use klar::inspect::EventKind;
use klar::wire::messages::create_partitions::{
    CreatePartitionsRequest, CreatePartitionsResponse, CreatePartitionsTopic,
};
use klar::wire::messages::create_topics::{
    CreatableTopic, CreateTopicsRequest, CreateTopicsResponse,
};
use klar::wire::messages::delete_records::{
    DeleteRecordsPartition, DeleteRecordsRequest, DeleteRecordsResponse, DeleteRecordsTopic,
};
use klar::wire::messages::describe_cluster::{DescribeClusterRequest, DescribeClusterResponse};
use klar::wire::messages::describe_configs::{
    DescribeConfigsRequest, DescribeConfigsResource, DescribeConfigsResponse,
};
use klar::wire::messages::describe_topic_partitions::{
    Cursor, DescribeTopicPartitionsRequest, DescribeTopicPartitionsResponse,
};
use klar::wire::messages::find_coordinator::{FindCoordinatorRequest, FindCoordinatorResponse};
use klar::wire::messages::incremental_alter_configs::{
    AlterConfigsResource, AlterableConfig, IncrementalAlterConfigsRequest,
    IncrementalAlterConfigsResponse,
};
use klar::wire::messages::offset_for_leader_epoch::{
    OffsetForLeaderEpochRequest, OffsetForLeaderEpochResponse, OffsetForLeaderPartition,
    OffsetForLeaderTopic,
};

use crate::rig::{Rig, ask};

const TOPIC: i8 = 2;
const BROKER: i8 = 4;

fn alter(rig: &mut Rig, kind: i8, resource: &str, name: &str, value: Option<&str>) -> i16 {
    let connection = rig.connect();
    let request = IncrementalAlterConfigsRequest {
        resources: vec![AlterConfigsResource {
            resource_type: kind,
            resource_name: resource.to_owned(),
            configs: vec![AlterableConfig {
                name: name.to_owned(),
                config_operation: i8::from(value.is_none()),
                value: value.map(str::to_owned),
            }],
        }],
        ..IncrementalAlterConfigsRequest::default()
    };
    let response = ask!(
        rig,
        connection,
        IncrementalAlterConfigs,
        1,
        request,
        IncrementalAlterConfigsResponse
    );
    response.responses[0].error_code
}

/// Value and source of one configuration.
fn config(rig: &mut Rig, kind: i8, resource: &str, name: &str) -> Option<(String, i8)> {
    let connection = rig.connect();
    let request = DescribeConfigsRequest {
        resources: vec![DescribeConfigsResource {
            resource_type: kind,
            resource_name: resource.to_owned(),
            configuration_keys: Some(vec![name.to_owned()]),
        }],
        include_synonyms: true,
        include_documentation: true,
    };
    let response = ask!(
        rig,
        connection,
        DescribeConfigs,
        4,
        request,
        DescribeConfigsResponse
    );
    let found = response.results[0].configs.first()?;
    assert!(!found.documentation.as_ref().unwrap().is_empty());
    Some((found.value.clone()?, found.config_source))
}

#[test]
fn configurations_are_altered_described_and_survive() {
    let mut rig = Rig::new();
    rig.create("t", 1, &[("segment.ms", "5000")]);
    let seen = |value: &str, source| Some((value.to_owned(), source));
    assert_eq!(config(&mut rig, TOPIC, "t", "segment.ms"), seen("5000", 1));
    assert_eq!(
        config(&mut rig, TOPIC, "t", "retention.ms"),
        seen("604800000", 5)
    );
    assert_eq!(alter(&mut rig, TOPIC, "t", "retention.ms", Some("1000")), 0);
    assert_eq!(
        alter(&mut rig, BROKER, "", "log.retention.ms", Some("2000")),
        0
    );
    assert_eq!(
        alter(&mut rig, BROKER, "1", "num.partitions", Some("3")),
        42
    );
    assert_eq!(
        alter(&mut rig, TOPIC, "t", "retention.ms", Some("soon")),
        40
    );
    assert_eq!(alter(&mut rig, TOPIC, "t", "no.such.config", Some("1")), 40);
    assert_eq!(alter(&mut rig, TOPIC, "u", "retention.ms", Some("1")), 3);
    assert_eq!(
        config(&mut rig, TOPIC, "t", "retention.ms"),
        seen("1000", 1)
    );
    assert_eq!(
        config(&mut rig, BROKER, "1", "log.retention.ms"),
        seen("2000", 3)
    );
    let changed = |event: &EventKind| matches!(event, EventKind::ConfigChanged { from, to, .. } if from == "604800000" && to == "1000");
    assert!(rig.events.iter().any(changed));
    let mut rig = rig.restart(false);
    assert_eq!(
        config(&mut rig, TOPIC, "t", "retention.ms"),
        seen("1000", 1)
    );
    assert_eq!(alter(&mut rig, TOPIC, "t", "retention.ms", None), 0);
    assert_eq!(
        config(&mut rig, TOPIC, "t", "retention.ms"),
        seen("2000", 3)
    );
}

#[test]
fn retention_deletes_what_is_old_and_says_so() {
    let mut rig = Rig::new();
    rig.create("t", 1, &[("retention.ms", "60000"), ("segment.ms", "1000")]);
    rig.produce("t", 0, &["old"]);
    rig.pass_ms(30_000);
    rig.produce("t", 0, &["newer"]);
    rig.pass_ms(45_000);
    let deleted = |event: &EventKind| matches!(event, EventKind::SegmentsDeleted { .. });
    assert!(rig.events.iter().any(deleted), "{:?}", rig.events);
    assert_eq!(rig.fetch("t", 0, 0).0, 1, "OFFSET_OUT_OF_RANGE");
    assert_eq!(rig.fetch("t", 0, 1).1, [(1, "newer".to_owned())]);
}

#[test]
fn a_topic_grows_and_keeps_its_records() {
    let mut rig = Rig::new();
    rig.create("t", 1, &[]);
    rig.produce("t", 0, &["a"]);
    let connection = rig.connect();
    let mut grow = |count| {
        let request = CreatePartitionsRequest {
            topics: vec![CreatePartitionsTopic {
                name: "t".to_owned(),
                count,
                assignments: None,
            }],
            ..CreatePartitionsRequest::default()
        };
        let response = ask!(
            rig,
            connection,
            CreatePartitions,
            3,
            request,
            CreatePartitionsResponse
        );
        response.results[0].error_code
    };
    assert_eq!(grow(3), 0);
    assert_eq!(grow(3), 37);
    assert_eq!(grow(i32::MIN), 37);
    assert_eq!(rig.produce("t", 2, &["b"]), (0, 0));
    let mut rig = rig.restart(true);
    assert_eq!(rig.fetch("t", 0, 0).1.len(), 1);
    assert_eq!(rig.fetch("t", 2, 0).1.len(), 1);
}

#[test]
fn records_are_deleted_up_to_an_offset() {
    let mut rig = Rig::new();
    rig.create("t", 1, &[]);
    for value in ["a", "b", "c"] {
        rig.produce("t", 0, &[value]);
    }
    let connection = rig.connect();
    let delete = |rig: &mut Rig, offset| {
        let request = DeleteRecordsRequest {
            topics: vec![DeleteRecordsTopic {
                name: "t".to_owned(),
                partitions: vec![DeleteRecordsPartition {
                    partition_index: 0,
                    offset,
                }],
            }],
            ..DeleteRecordsRequest::default()
        };
        let response = ask!(
            rig,
            connection,
            DeleteRecords,
            2,
            request,
            DeleteRecordsResponse
        );
        let partition = &response.topics[0].partitions[0];
        (partition.error_code, partition.low_watermark)
    };
    assert_eq!(delete(&mut rig, 1), (0, 1));
    assert_eq!(rig.fetch("t", 0, 0).0, 1);
    assert_eq!(rig.fetch("t", 0, 1).1.len(), 2);
    assert_eq!(delete(&mut rig, 0), (0, 1), "never back");
    assert_eq!(delete(&mut rig, 4).0, 1);
    assert_eq!(delete(&mut rig, i64::MAX).0, 1);
    assert_eq!(delete(&mut rig, -2).0, 1);
    assert_eq!(delete(&mut rig, -1), (0, 3));
    assert_eq!(rig.fetch("t", 0, 3), (0, vec![]));
    assert_eq!(rig.produce("t", 0, &["d"]), (0, 3));
    let mut rig = rig.restart(false);
    assert_eq!(rig.fetch("t", 0, 0).0, 1);
    assert_eq!(rig.fetch("t", 0, 3).1.len(), 1);
}

#[test]
fn topics_of_one_request_stand_alone_and_twice_is_an_error() {
    let mut rig = Rig::new();
    let connection = rig.connect();
    let topic = |name: &str, num_partitions| CreatableTopic {
        name: name.to_owned(),
        num_partitions,
        replication_factor: -1,
        ..CreatableTopic::default()
    };
    let mut request = CreateTopicsRequest {
        topics: vec![
            topic("a", -1),
            topic("b", 0),
            topic("c d", 1),
            topic("twice", 1),
            topic("twice", 1),
            topic("big", i32::MAX),
        ],
        validate_only: true,
        ..CreateTopicsRequest::default()
    };
    for validate_only in [true, false] {
        request.validate_only = validate_only;
        let response = ask!(
            rig,
            connection,
            CreateTopics,
            7,
            request,
            CreateTopicsResponse
        );
        let codes: Vec<(&str, i16)> = response
            .topics
            .iter()
            .map(|t| (t.name.as_str(), t.error_code))
            .collect();
        assert_eq!(
            codes,
            [("a", 0), ("b", 37), ("c d", 17), ("twice", 42), ("big", 44)]
        );
        assert_eq!(response.topics[0].num_partitions, 1);
        assert!(response.topics[0].configs.as_ref().unwrap().len() > 20);
    }
    let response = ask!(
        rig,
        connection,
        CreateTopics,
        7,
        request,
        CreateTopicsResponse
    );
    assert_eq!(response.topics[0].error_code, 36);
}

#[test]
fn topics_are_described_page_by_page() {
    let mut rig = Rig::new();
    for (name, partitions) in [("a", 2), ("b", 3), ("c", 1)] {
        rig.create(name, partitions, &[]);
    }
    let connection = rig.connect();
    let mut cursor: Option<Cursor> = None;
    let mut pages = Vec::new();
    loop {
        let request = DescribeTopicPartitionsRequest {
            response_partition_limit: 2,
            cursor: cursor.take(),
            ..DescribeTopicPartitionsRequest::default()
        };
        let response = ask!(
            rig,
            connection,
            DescribeTopicPartitions,
            0,
            request,
            DescribeTopicPartitionsResponse
        );
        let page: Vec<(String, usize)> = response
            .topics
            .iter()
            .map(|t| (t.name.clone().unwrap(), t.partitions.len()))
            .collect();
        pages.push(page);
        cursor = response.next_cursor;
        if cursor.is_none() {
            break;
        }
    }
    let page = |topics: &[(&str, usize)]| -> Vec<(String, usize)> {
        topics.iter().map(|(n, c)| ((*n).to_owned(), *c)).collect()
    };
    assert_eq!(
        pages,
        [
            page(&[("a", 2)]),
            page(&[("b", 2)]),
            page(&[("b", 1), ("c", 1)])
        ]
    );
}

#[test]
fn epochs_end_where_the_log_does() {
    let mut rig = Rig::new();
    rig.create("t", 1, &[]);
    rig.produce("t", 0, &["a", "b"]);
    let connection = rig.connect();
    for (leader_epoch, current, want) in [
        (0, -1, (0, 0, 2)),
        (0, 0, (0, 0, 2)),
        (5, -1, (0, -1, -1)),
        (-1, -1, (0, -1, -1)),
        (0, 3, (75, -1, -1)),
    ] {
        let request = OffsetForLeaderEpochRequest {
            topics: vec![OffsetForLeaderTopic {
                topic: "t".to_owned(),
                partitions: vec![OffsetForLeaderPartition {
                    partition: 0,
                    current_leader_epoch: current,
                    leader_epoch,
                }],
            }],
            ..OffsetForLeaderEpochRequest::default()
        };
        let response = ask!(
            rig,
            connection,
            OffsetForLeaderEpoch,
            4,
            request,
            OffsetForLeaderEpochResponse
        );
        let end = &response.topics[0].partitions[0];
        assert_eq!((end.error_code, end.leader_epoch, end.end_offset), want);
    }
}

#[test]
fn the_cluster_is_described_with_who_coordinates() {
    let mut rig = Rig::new();
    let connection = rig.connect();
    let request = DescribeClusterRequest::default();
    let response = ask!(
        rig,
        connection,
        DescribeCluster,
        2,
        request,
        DescribeClusterResponse
    );
    assert_eq!(response.cluster_id, "a-cluster");
    assert_eq!((response.controller_id, response.brokers.len()), (1, 1));
    for version in [0, 3, 4, 6] {
        let request = FindCoordinatorRequest {
            key: if version < 4 {
                "g".to_owned()
            } else {
                String::new()
            },
            coordinator_keys: if version < 4 {
                vec![]
            } else {
                vec!["g".to_owned()]
            },
            ..FindCoordinatorRequest::default()
        };
        let response = ask!(
            rig,
            connection,
            FindCoordinator,
            version,
            request,
            FindCoordinatorResponse
        );
        let code = match version < 4 {
            true => response.error_code,
            false => response.coordinators[0].error_code,
        };
        assert_eq!(code, 0);
        let port = match version < 4 {
            true => response.port,
            false => response.coordinators[0].port,
        };
        assert_eq!(port, 9092);
    }
}
