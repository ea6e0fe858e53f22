//! The APIs only a cluster has, in every version, as admin clients use them.

use klar::ids::BrokerId;
use klar::inspect::Durability;
use klar::wire::ApiKey;
use klar::wire::apis::api;
use klar::wire::messages as m;
use m::alter_partition_reassignments as alter;
use m::describe_cluster::{DescribeClusterRequest, DescribeClusterResponse};
use m::describe_log_dirs::{
    DescribableLogDirTopic, DescribeLogDirsRequest, DescribeLogDirsResponse,
};
use m::describe_quorum as quorum;
use m::describe_topic_partitions as pages;
use m::elect_leaders as elect;
use m::list_partition_reassignments as list;
use m::unregister_broker::{UnregisterBrokerRequest, UnregisterBrokerResponse};

use crate::cluster::Cluster;
use crate::rig::ask;

const ONE: BrokerId = BrokerId(1);

/// Three brokers that know the topic `orders`, one partition on all of them.
fn with_orders() -> Cluster {
    let mut cluster = Cluster::new(3, Durability::Os);
    cluster.wait_until_whole();
    cluster.create(ONE, "orders", 3);
    cluster
}

fn versions(key: ApiKey) -> std::ops::RangeInclusive<i16> {
    api(key).versions()
}

/// Brokers that neither lead `orders` nor decide.
pub fn bystander(cluster: &mut Cluster) -> BrokerId {
    let leader = cluster.leader(ONE, "orders").unwrap();
    let controller = BrokerId(cluster.metadata(ONE, "orders").controller_id);
    let mut others = (1..=3).map(BrokerId);
    others
        .find(|id| ![leader, controller].contains(id))
        .unwrap()
}

#[test]
fn log_dirs_tell_of_each_replica_and_how_far_it_is() {
    let mut cluster = with_orders();
    let leader = cluster.leader(ONE, "orders").unwrap();
    cluster.produce(leader, "orders", &["a", "b"]);
    cluster.pass_ms(50);
    for id in (1..=3).map(BrokerId) {
        for version in versions(ApiKey::DescribeLogDirs) {
            let client = cluster.connect(id);
            let topic = |name: &str| DescribableLogDirTopic {
                topic: name.to_owned(),
                partitions: vec![0, 7],
            };
            for topics in [None, Some(vec![topic("orders"), topic("unknown")])] {
                let request = DescribeLogDirsRequest { topics };
                let answer: DescribeLogDirsResponse = ask!(
                    cluster,
                    client,
                    DescribeLogDirs,
                    version,
                    request,
                    DescribeLogDirsResponse
                );
                let [dir] = answer.results.as_slice() else {
                    panic!("one directory: {answer:?}");
                };
                assert_eq!((answer.error_code, dir.error_code), (0, 0));
                assert!(dir.log_dir.ends_with(&format!("broker-{id}")), "{dir:?}");
                let [topic] = dir.topics.as_slice() else {
                    panic!("one topic: {dir:?}");
                };
                let partition = &topic.partitions[0];
                assert_eq!((topic.name.as_str(), topic.partitions.len()), ("orders", 1));
                assert!(partition.partition_size > 0 && partition.offset_lag == 0);
            }
        }
    }
}

#[test]
fn the_preferred_leader_is_elected_and_what_cannot_be_is_said() {
    let mut cluster = with_orders();
    let preferred = cluster.leader(ONE, "orders").unwrap();
    let other = BrokerId(1 + preferred.0 % 3);
    let elect = |cluster: &mut Cluster, version, kind, topic: &str, index| {
        let client = cluster.connect(other);
        let request = elect::ElectLeadersRequest {
            election_type: kind,
            topic_partitions: Some(vec![elect::TopicPartitions {
                topic: topic.to_owned(),
                partitions: vec![index],
            }]),
            timeout_ms: 1_000,
        };
        let answer: elect::ElectLeadersResponse = ask!(
            cluster,
            client,
            ElectLeaders,
            version,
            request,
            elect::ElectLeadersResponse
        );
        let result = answer.replica_election_results.first();
        let partition = result.map(|topic| topic.partition_result[0].error_code);
        (answer.error_code, partition)
    };
    for version in versions(ApiKey::ElectLeaders) {
        assert_eq!(
            elect(&mut cluster, version, 0, "orders", 0),
            (0, Some(84)),
            "not needed"
        );
        assert_eq!(elect(&mut cluster, version, 0, "orders", 9), (0, Some(3)));
        assert_eq!(elect(&mut cluster, version, 0, "none", 0), (0, Some(3)));
        if version > 0 {
            assert_eq!(elect(&mut cluster, version, 1, "orders", 0), (0, Some(84)));
            assert_eq!(
                elect(&mut cluster, version, 7, "orders", 0).0,
                42,
                "no such election"
            );
        }
        cluster.kill(preferred);
        cluster.wait_for("another leader", |c| {
            c.leader(other, "orders")
                .is_some_and(|now| now != preferred)
        });
        assert_eq!(
            elect(&mut cluster, version, 0, "orders", 0),
            (0, Some(80)),
            "it is dead"
        );
        cluster.start(preferred);
        cluster.wait_for("all are in sync", |c| {
            c.partition(other, "orders")
                .is_some_and(|p| p.isr_nodes.len() == 3)
        });
        assert_eq!(elect(&mut cluster, version, 0, "orders", 0), (0, Some(0)));
        cluster.wait_for("it leads again", |c| {
            c.leader(other, "orders") == Some(preferred)
        });
    }
}

#[test]
fn partitions_that_need_no_election_are_left_out_when_all_are_meant() {
    let mut cluster = with_orders();
    let client = cluster.connect(ONE);
    let request = elect::ElectLeadersRequest {
        topic_partitions: None,
        ..elect::ElectLeadersRequest::default()
    };
    let answer: elect::ElectLeadersResponse = ask!(
        cluster,
        client,
        ElectLeaders,
        2,
        request,
        elect::ElectLeadersResponse
    );
    assert_eq!(
        (answer.error_code, answer.replica_election_results.len()),
        (0, 0)
    );
}

fn reassign(
    cluster: &mut Cluster,
    version: i16,
    topic: &str,
    to: Option<&[i32]>,
    may_change_factor: bool,
) -> i16 {
    let client = cluster.connect(BrokerId(2));
    let request = alter::AlterPartitionReassignmentsRequest {
        timeout_ms: 1_000,
        allow_replication_factor_change: may_change_factor,
        topics: vec![alter::ReassignableTopic {
            name: topic.to_owned(),
            partitions: vec![alter::ReassignablePartition {
                partition_index: 0,
                replicas: to.map(<[i32]>::to_vec),
            }],
        }],
    };
    let answer: alter::AlterPartitionReassignmentsResponse = ask!(
        cluster,
        client,
        AlterPartitionReassignments,
        version,
        request,
        alter::AlterPartitionReassignmentsResponse
    );
    assert_eq!(answer.error_code, 0);
    answer.responses[0].partitions[0].error_code
}

fn moving(cluster: &mut Cluster) -> Vec<(Vec<i32>, Vec<i32>, Vec<i32>)> {
    let client = cluster.connect(BrokerId(3));
    let named = list::ListPartitionReassignmentsTopics {
        name: "moved".to_owned(),
        partition_indexes: vec![0, 5],
    };
    let mut found = Vec::new();
    for topics in [None, Some(vec![named])] {
        let request = list::ListPartitionReassignmentsRequest {
            timeout_ms: 1_000,
            topics,
        };
        let answer: list::ListPartitionReassignmentsResponse = ask!(
            cluster,
            client,
            ListPartitionReassignments,
            0,
            request,
            list::ListPartitionReassignmentsResponse
        );
        assert_eq!(answer.error_code, 0);
        let partitions = answer.topics.into_iter().flat_map(|topic| topic.partitions);
        let lists = partitions.map(|p| (p.replicas, p.adding_replicas, p.removing_replicas));
        found.push(lists.collect::<Vec<_>>());
    }
    assert_eq!(found[0], found[1], "all, and by name");
    found.remove(0)
}

#[test]
fn replicas_move_are_listed_meanwhile_and_stay_when_it_is_cancelled() {
    let mut cluster = Cluster::new(3, Durability::Os);
    cluster.wait_until_whole();
    cluster.create(ONE, "moved", 1);
    let from = cluster.leader(ONE, "moved").unwrap();
    assert_eq!(cluster.produce(from, "moved", &["a"]), (0, 0));
    let to = 1 + from.0 % 3;
    for version in versions(ApiKey::AlterPartitionReassignments) {
        assert_eq!(reassign(&mut cluster, version, "none", Some(&[1]), true), 3);
        assert_eq!(
            reassign(&mut cluster, version, "moved", Some(&[9]), true),
            39
        );
        assert_eq!(
            reassign(&mut cluster, version, "moved", Some(&[1, 1]), true),
            39
        );
        assert_eq!(
            reassign(&mut cluster, version, "moved", None, true),
            85,
            "nothing moves"
        );
    }
    assert_eq!(reassign(&mut cluster, 1, "moved", Some(&[1, 2]), false), 38);
    assert_eq!(moving(&mut cluster), []);
    // To a broker that is dead: it does not get done, and is taken back.
    let dead = 6 - from.0 - to;
    cluster.kill(BrokerId(dead));
    cluster.wait_for("it is fenced", |c| {
        c.metadata(from, "moved").brokers.len() == 2
    });
    let client = if dead == 2 || dead == 3 {
        from
    } else {
        BrokerId(2)
    };
    if client == BrokerId(2) {
        assert_eq!(reassign(&mut cluster, 1, "moved", Some(&[dead]), true), 0);
        assert_eq!(
            moving(&mut cluster),
            [(vec![dead, from.0], vec![dead], vec![from.0])]
        );
        assert_eq!(reassign(&mut cluster, 1, "moved", None, true), 0);
        assert_eq!(moving(&mut cluster), []);
    }
    cluster.start(BrokerId(dead));
    cluster.wait_for("it is back", |c| {
        c.metadata(from, "moved").brokers.len() == 3
    });
    assert_eq!(reassign(&mut cluster, 1, "moved", Some(&[to]), true), 0);
    cluster.wait_for("the replica moved", |c| {
        c.partition(BrokerId(to), "moved")
            .is_some_and(|p| p.replica_nodes == [to] && p.leader_id == to)
    });
    cluster.wait_for("its record is there", |c| {
        let (error, high_watermark, bytes) = c.fetch(BrokerId(to), "moved");
        error == 0 && high_watermark == 1 && bytes > 0
    });
    assert_eq!(
        cluster.fetch(from, "moved").0,
        6,
        "the old one leads no longer"
    );
}

#[test]
fn the_quorum_is_described_through_any_broker() {
    let mut cluster = with_orders();
    let controller = cluster.metadata(ONE, "orders").controller_id;
    for id in (1..=3).map(BrokerId) {
        for version in versions(ApiKey::DescribeQuorum) {
            let client = cluster.connect(id);
            let request = |topic: &str| quorum::DescribeQuorumRequest {
                topics: vec![quorum::TopicData {
                    topic_name: topic.to_owned(),
                    partitions: vec![quorum::PartitionData { partition_index: 0 }],
                }],
            };
            let answer: quorum::DescribeQuorumResponse = ask!(
                cluster,
                client,
                DescribeQuorum,
                version,
                request("__cluster_metadata"),
                quorum::DescribeQuorumResponse
            );
            assert_eq!(answer.error_code, 0);
            let partition = &answer.topics[0].partitions[0];
            assert_eq!((partition.error_code, partition.leader_id), (0, controller));
            assert!(partition.leader_epoch > 0 && partition.high_watermark > 0);
            let voters: Vec<i32> = partition
                .current_voters
                .iter()
                .map(|v| v.replica_id)
                .collect();
            assert_eq!(voters, [1, 2, 3]);
            assert!(
                partition
                    .current_voters
                    .iter()
                    .all(|v| v.log_end_offset > 0)
            );
            assert!(partition.observers.is_empty());
            if version >= 2 {
                let ports: Vec<u16> = answer.nodes.iter().map(|n| n.listeners[0].port).collect();
                assert_eq!(ports, [9092, 9093, 9094]);
            }
            let answer: quorum::DescribeQuorumResponse = ask!(
                cluster,
                client,
                DescribeQuorum,
                version,
                request("orders"),
                quorum::DescribeQuorumResponse
            );
            assert_eq!(answer.error_code, 3, "not the metadata log");
        }
    }
}

#[test]
fn features_stay_at_their_levels() {
    let mut cluster = with_orders();
    for version in versions(ApiKey::UpdateFeatures) {
        for (name, level, expected) in [
            ("group.version", 1, 0),
            ("group.version", 0, 95),
            ("no.such", 1, 95),
        ] {
            let client = cluster.connect(ONE);
            let request = m::update_features::UpdateFeaturesRequest {
                feature_updates: vec![m::update_features::FeatureUpdateKey {
                    feature: name.to_owned(),
                    max_version_level: level,
                    ..m::update_features::FeatureUpdateKey::default()
                }],
                ..m::update_features::UpdateFeaturesRequest::default()
            };
            let answer: m::update_features::UpdateFeaturesResponse = ask!(
                cluster,
                client,
                UpdateFeatures,
                version,
                request,
                m::update_features::UpdateFeaturesResponse
            );
            let one = answer.results.first().map(|result| result.error_code);
            assert_eq!(
                one.unwrap_or(answer.error_code),
                expected,
                "{name} v{version}"
            );
        }
    }
}

#[test]
fn a_broker_that_will_not_come_back_is_unregistered() {
    let mut cluster = with_orders();
    let gone = bystander(&mut cluster);
    cluster.kill(gone);
    let other = BrokerId(1 + gone.0 % 3);
    cluster.wait_for("it is fenced", |c| {
        c.metadata(other, "orders").brokers.len() == 2
    });
    let client = cluster.connect(other);
    let describe = |cluster: &mut Cluster, with_fenced| {
        let request = DescribeClusterRequest {
            endpoint_type: 1,
            include_fenced_brokers: with_fenced,
            ..DescribeClusterRequest::default()
        };
        let answer: DescribeClusterResponse = ask!(
            cluster,
            client,
            DescribeCluster,
            2,
            request,
            DescribeClusterResponse
        );
        assert_eq!(answer.error_code, 0);
        let brokers = answer.brokers.into_iter();
        brokers
            .map(|b| (b.broker_id, b.is_fenced))
            .collect::<Vec<_>>()
    };
    assert_eq!(describe(&mut cluster, false).len(), 2);
    assert!(describe(&mut cluster, true).contains(&(gone.0, true)));
    for expected in [0, 102] {
        let request = UnregisterBrokerRequest { broker_id: gone.0 };
        let answer: UnregisterBrokerResponse = ask!(
            cluster,
            client,
            UnregisterBroker,
            0,
            request,
            UnregisterBrokerResponse
        );
        assert_eq!(answer.error_code, expected, "{:?}", answer.error_message);
    }
    cluster.wait_for("everybody knows", |c| describe(c, true).len() == 2);
    // What it held stays assigned to it until it is moved, and is offline.
    let partition = cluster.partition(other, "orders").unwrap();
    assert_eq!(
        (partition.replica_nodes.len(), partition.offline_replicas),
        (3, vec![gone.0])
    );
}

#[test]
fn a_dead_broker_is_told_of_as_offline() {
    let mut cluster = with_orders();
    let dead = bystander(&mut cluster);
    cluster.kill(dead);
    let other = BrokerId(1 + dead.0 % 3);
    cluster.wait_for("it is fenced", |c| {
        c.metadata(other, "orders").brokers.len() == 2
    });
    let partition = cluster.partition(other, "orders").unwrap();
    assert!(!partition.isr_nodes.contains(&dead.0));
    assert_eq!(partition.offline_replicas, [dead.0]);
    let client = cluster.connect(other);
    let request = pages::DescribeTopicPartitionsRequest {
        response_partition_limit: 10,
        ..pages::DescribeTopicPartitionsRequest::default()
    };
    let answer: pages::DescribeTopicPartitionsResponse = ask!(
        cluster,
        client,
        DescribeTopicPartitions,
        0,
        request,
        pages::DescribeTopicPartitionsResponse
    );
    let partition = &answer.topics[0].partitions[0];
    assert_eq!(partition.offline_replicas, [dead.0]);
    assert_eq!(
        partition.eligible_leader_replicas,
        Some(vec![]),
        "enough are in sync"
    );
}
