//! Every API in every version: a good request gets an answer its client can read to the end.

use klar::wire::ApiKey;
use klar::wire::Writer;
use klar::wire::messages as m;

use crate::rig::{Outcome, Rig, batch, fetch_request, produce_request};

/// Sends `body` in every version of an API and has `read` decode each answer.
fn every_version(
    rig: &mut Rig,
    api: ApiKey,
    body: impl Fn(&Rig, i16, &mut Writer),
    read: impl Fn(&mut klar::wire::Reader, i16),
) {
    let row = klar::wire::apis::api(api);
    for version in row.min..=row.max {
        let connection = rig.connect();
        let frame = rig.frame(api, version, |writer| body(rig, version, writer));
        rig.send_frame(connection, frame);
        match rig.outcome(connection) {
            Some(Outcome::Reply(frame)) => {
                let mut reader = klar::wire::Reader::new(frame);
                klar::wire::response::decode_header(&mut reader, api, version).unwrap();
                read(&mut reader, version);
                assert_eq!(reader.remaining(), 0, "{api:?} v{version}");
            }
            other => panic!("{api:?} v{version}: {other:?}"),
        }
    }
}

/// One line per API: the request, changed to fit the version, and the type of the answer.
macro_rules! walk {
    ($rig:expr, $api:ident, $response:ty, |$r:ident, $version:ident| $request:expr) => {
        every_version(
            $rig,
            ApiKey::$api,
            |$r, $version, writer| {
                let request = $request;
                request
                    .encode(writer, $version)
                    .unwrap_or_else(|error| panic!("{} v{}: {error}", stringify!($api), $version))
            },
            |reader, version| {
                <$response>::decode(reader, version).unwrap();
            },
        );
    };
}

#[test]
fn records_are_written_and_read_in_every_version() {
    let mut rig = Rig::new();
    let id = rig.create("t", 2, &[]);
    let rig = &mut rig;
    // A partition that works and one that does not: errors carry other fields.
    walk!(rig, Produce, m::produce::ProduceResponse, |rig, version| {
        let mut request = produce_request("t", 0, Some(batch(rig.now, &["a"])), -1);
        let wrong = produce_request("t", 9, None, -1)
            .topic_data
            .remove(0)
            .partition_data
            .remove(0);
        request.topic_data[0].partition_data.push(wrong);
        request.topic_data[0].topic_id = id;
        if version >= 13 {
            request.topic_data[0].name.clear();
        }
        request
    });
    walk!(rig, Fetch, m::fetch::FetchResponse, |_rig, version| {
        let mut request = fetch_request("t", 0, 0);
        let mut wrong = request.topics[0].partitions[0].clone();
        wrong.partition = 9;
        wrong.last_fetched_epoch = -1;
        request.topics[0].partitions.push(wrong);
        request.topics[0].topic_id = id;
        if version >= 7 {
            request.session_epoch = 0;
        }
        request
    });
}

#[test]
fn offsets_are_listed_in_every_version() {
    let mut rig = Rig::new();
    rig.create("t", 2, &[]);
    let rig = &mut rig;
    walk!(
        rig,
        ListOffsets,
        m::list_offsets::ListOffsetsResponse,
        |_rig, version| {
            let wanted = |partition_index, timestamp| m::list_offsets::ListOffsetsPartition {
                partition_index,
                timestamp,
                ..Default::default()
            };
            let _ = version;
            m::list_offsets::ListOffsetsRequest {
                replica_id: -1,
                topics: vec![m::list_offsets::ListOffsetsTopic {
                    name: "t".to_owned(),
                    partitions: vec![wanted(0, -1), wanted(1, -2), wanted(7, 0)],
                }],
                ..Default::default()
            }
        }
    );
    walk!(
        rig,
        ListOffsets,
        m::list_offsets::ListOffsetsResponse,
        |rig, _version| {
            m::list_offsets::ListOffsetsRequest {
                topics: vec![m::list_offsets::ListOffsetsTopic {
                    name: "t".to_owned(),
                    partitions: vec![m::list_offsets::ListOffsetsPartition {
                        timestamp: rig.now.as_ms(),
                        ..Default::default()
                    }],
                }],
                ..Default::default()
            }
        }
    );
}

#[test]
fn epochs_and_deletions_are_answered_in_every_version() {
    let mut rig = Rig::new();
    rig.create("t", 2, &[]);
    let rig = &mut rig;
    walk!(
        rig,
        OffsetForLeaderEpoch,
        m::offset_for_leader_epoch::OffsetForLeaderEpochResponse,
        |_rig, _version| m::offset_for_leader_epoch::OffsetForLeaderEpochRequest {
            topics: vec![m::offset_for_leader_epoch::OffsetForLeaderTopic {
                topic: "t".to_owned(),
                partitions: vec![Default::default()],
            }],
            ..Default::default()
        }
    );
    walk!(
        rig,
        DeleteRecords,
        m::delete_records::DeleteRecordsResponse,
        |_rig, _version| {
            m::delete_records::DeleteRecordsRequest {
                topics: vec![m::delete_records::DeleteRecordsTopic {
                    name: "t".to_owned(),
                    partitions: vec![Default::default()],
                }],
                ..Default::default()
            }
        }
    );
}

#[test]
fn the_cluster_is_told_in_every_version() {
    let mut rig = Rig::new();
    rig.create("t", 2, &[("retention.ms", "5000")]);
    let rig = &mut rig;
    walk!(
        rig,
        ApiVersions,
        m::api_versions::ApiVersionsResponse,
        |_rig, _version| {
            m::api_versions::ApiVersionsRequest {
                client_software_name: "a".to_owned(),
                client_software_version: "1".to_owned(),
            }
        }
    );
    for name in ["t", "made-now", "not legal"] {
        walk!(
            rig,
            Metadata,
            m::metadata::MetadataResponse,
            |_rig, version| {
                m::metadata::MetadataRequest {
                    topics: Some(vec![m::metadata::MetadataRequestTopic {
                        name: Some(name.to_owned()),
                        ..Default::default()
                    }]),
                    include_cluster_authorized_operations: (8..=10).contains(&version),
                    include_topic_authorized_operations: version >= 8,
                    ..Default::default()
                }
            }
        );
    }
    walk!(
        rig,
        Metadata,
        m::metadata::MetadataResponse,
        |_rig, version| {
            m::metadata::MetadataRequest {
                topics: (version == 0).then(Vec::new),
                ..Default::default()
            }
        }
    );
}

#[test]
fn coordinators_and_producer_ids_are_answered_in_every_version() {
    let mut rig = Rig::new();
    rig.create("t", 2, &[]);
    let rig = &mut rig;
    walk!(
        rig,
        FindCoordinator,
        m::find_coordinator::FindCoordinatorResponse,
        |_rig, version| {
            m::find_coordinator::FindCoordinatorRequest {
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
                ..Default::default()
            }
        }
    );
    for transactional_id in [None, Some("tx".to_owned())] {
        walk!(
            rig,
            InitProducerId,
            m::init_producer_id::InitProducerIdResponse,
            |_rig, _version| {
                m::init_producer_id::InitProducerIdRequest {
                    transactional_id: transactional_id.clone(),
                    ..Default::default()
                }
            }
        );
    }
}

#[test]
fn descriptions_are_answered_in_every_version() {
    let mut rig = Rig::new();
    rig.create("t", 2, &[]);
    let rig = &mut rig;
    walk!(
        rig,
        DescribeCluster,
        m::describe_cluster::DescribeClusterResponse,
        |_rig, _version| { m::describe_cluster::DescribeClusterRequest::default() }
    );
    walk!(
        rig,
        DescribeTopicPartitions,
        m::describe_topic_partitions::DescribeTopicPartitionsResponse,
        |_rig, _version| m::describe_topic_partitions::DescribeTopicPartitionsRequest {
            response_partition_limit: 1,
            cursor: None,
            ..Default::default()
        }
    );
    for (resource_type, name) in [(2, "t"), (4, "1"), (4, ""), (2, "unknown"), (9, "x")] {
        walk!(
            rig,
            DescribeConfigs,
            m::describe_configs::DescribeConfigsResponse,
            |_rig, version| {
                m::describe_configs::DescribeConfigsRequest {
                    resources: vec![m::describe_configs::DescribeConfigsResource {
                        resource_type,
                        resource_name: name.to_owned(),
                        configuration_keys: None,
                    }],
                    include_synonyms: true,
                    include_documentation: version >= 3,
                }
            }
        );
    }
}

#[test]
fn topics_are_changed_in_every_version() {
    let mut rig = Rig::new();
    let rig = &mut rig;
    for bad in ["", " bad"] {
        walk!(
            rig,
            CreateTopics,
            m::create_topics::CreateTopicsResponse,
            |_rig, version| {
                m::create_topics::CreateTopicsRequest {
                    topics: vec![m::create_topics::CreatableTopic {
                        name: format!("t{version}{bad}"),
                        num_partitions: 1,
                        replication_factor: 1,
                        ..Default::default()
                    }],
                    ..Default::default()
                }
            }
        );
    }
    for count in [2, 1] {
        walk!(
            rig,
            CreatePartitions,
            m::create_partitions::CreatePartitionsResponse,
            |_rig, version| {
                m::create_partitions::CreatePartitionsRequest {
                    topics: vec![m::create_partitions::CreatePartitionsTopic {
                        name: format!("t{}", version + 2),
                        count,
                        assignments: None,
                    }],
                    ..Default::default()
                }
            }
        );
    }
    for _ in 0..2 {
        walk!(
            rig,
            DeleteTopics,
            m::delete_topics::DeleteTopicsResponse,
            |_rig, version| {
                let name = format!("t{version}");
                m::delete_topics::DeleteTopicsRequest {
                    topic_names: if version < 6 {
                        vec![name.clone()]
                    } else {
                        vec![]
                    },
                    topics: if version < 6 {
                        vec![]
                    } else {
                        vec![m::delete_topics::DeleteTopicState {
                            name: Some(name),
                            ..Default::default()
                        }]
                    },
                    ..Default::default()
                }
            }
        );
    }
}

#[test]
fn configurations_are_altered_in_every_version() {
    let mut rig = Rig::new();
    rig.create("t2", 1, &[]);
    let rig = &mut rig;
    for value in ["5000", "soon"] {
        walk!(
            rig,
            AlterConfigs,
            m::alter_configs::AlterConfigsResponse,
            |_rig, _version| {
                m::alter_configs::AlterConfigsRequest {
                    resources: vec![m::alter_configs::AlterConfigsResource {
                        resource_type: 2,
                        resource_name: "t2".to_owned(),
                        configs: vec![m::alter_configs::AlterableConfig {
                            name: "retention.ms".to_owned(),
                            value: Some(value.to_owned()),
                        }],
                    }],
                    ..Default::default()
                }
            }
        );
        walk!(
            rig,
            IncrementalAlterConfigs,
            m::incremental_alter_configs::IncrementalAlterConfigsResponse,
            |_rig, _version| m::incremental_alter_configs::IncrementalAlterConfigsRequest {
                resources: vec![m::incremental_alter_configs::AlterConfigsResource {
                    resource_type: 2,
                    resource_name: "t2".to_owned(),
                    configs: vec![m::incremental_alter_configs::AlterableConfig {
                        name: "retention.ms".to_owned(),
                        config_operation: 0,
                        value: Some(value.to_owned()),
                    }],
                }],
                ..Default::default()
            }
        );
    }
}
