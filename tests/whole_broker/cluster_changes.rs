//! What a cluster promises when topics are made, brokers stop in an orderly way, and records are given up.

use klar::ids::BrokerId;
use klar::inspect::Durability;
use klar::wire::ApiKey;
use klar::wire::apis::api;
use klar::wire::messages as m;
use m::create_partitions as grow;
use m::create_topics::{CreatableTopic, CreateTopicsRequest, CreateTopicsResponse};
use m::describe_topic_partitions as pages;
use m::elect_leaders as elect;
use m::fetch::FetchResponse;
use m::produce::ProduceResponse;

use crate::cluster::Cluster;
use crate::cluster_apis::bystander;
use crate::rig::{ask, batch, fetch_request, produce_request};

const ALL: [BrokerId; 3] = [BrokerId(1), BrokerId(2), BrokerId(3)];

fn three() -> Cluster {
    let mut cluster = Cluster::new(3, Durability::Os);
    cluster.wait_until_whole();
    cluster
}

fn create(cluster: &mut Cluster, at: BrokerId, name: &str, timeout_ms: i32) -> i16 {
    let client = cluster.connect(at);
    let request = CreateTopicsRequest {
        topics: vec![CreatableTopic {
            name: name.to_owned(),
            num_partitions: 1,
            replication_factor: 3,
            ..CreatableTopic::default()
        }],
        timeout_ms,
        ..CreateTopicsRequest::default()
    };
    let answer: CreateTopicsResponse = ask!(
        cluster,
        client,
        CreateTopics,
        7,
        request,
        CreateTopicsResponse
    );
    answer.topics[0].error_code
}

#[test]
fn a_topic_is_known_to_every_live_broker_once_it_is_made() {
    let mut cluster = three();
    for (n, asked) in (0..9).zip(ALL.into_iter().cycle()) {
        let name = format!("t{n}");
        assert_eq!(create(&mut cluster, asked, &name, 5_000), 0);
        let leader = cluster.leader(asked, &name).unwrap();
        for id in ALL {
            assert_eq!(cluster.leader(id, &name), Some(leader), "{name} at {id}");
        }
        assert_eq!(cluster.produce(leader, &name, &["a"]), (0, 0));
    }
    let client = cluster.connect(ALL[1]);
    let request = grow::CreatePartitionsRequest {
        topics: vec![grow::CreatePartitionsTopic {
            name: "t0".to_owned(),
            count: 4,
            assignments: None,
        }],
        timeout_ms: 5_000,
        validate_only: false,
    };
    let answer: grow::CreatePartitionsResponse = ask!(
        cluster,
        client,
        CreatePartitions,
        3,
        request,
        grow::CreatePartitionsResponse
    );
    assert_eq!(answer.results[0].error_code, 0);
    for id in ALL {
        assert_eq!(cluster.metadata(id, "t0").topics[0].partitions.len(), 4);
    }
}

#[test]
fn a_topic_that_a_silent_broker_does_not_know_in_time_is_there_all_the_same() {
    let mut cluster = three();
    let controller = BrokerId(cluster.metadata(ALL[0], "none").controller_id);
    let silent = BrokerId(1 + controller.0 % 3);
    // Fresh from a heartbeat, so that it counts as live for longer than the request waits.
    cluster.kill(silent);
    assert_eq!(
        create(&mut cluster, controller, "late", 100),
        7,
        "REQUEST_TIMED_OUT"
    );
    assert!(cluster.leader(controller, "late").is_some());
    assert_eq!(create(&mut cluster, controller, "late", 100), 36);
    // Once it is fenced nobody waits for it.
    assert_eq!(create(&mut cluster, controller, "next", 5_000), 0);
}

#[test]
fn a_broker_that_stops_hands_everything_over_first() {
    let mut cluster = three();
    let mut names = Vec::new();
    for n in 0..6 {
        names.push(format!("t{n}"));
        assert_eq!(create(&mut cluster, ALL[0], &names[n], 5_000), 0);
    }
    // Once the controller, too.
    let controller = BrokerId(cluster.metadata(ALL[0], "none").controller_id);
    for stopping in [BrokerId(1 + controller.0 % 3), controller] {
        let other = BrokerId(1 + (controller.0 + 1) % 3);
        cluster.with(stopping, |broker, now| broker.begin_stop(now));
        cluster.wait_for("it may stop", |c| c.may_stop(stopping));
        for name in &names {
            let leader = cluster.leader(other, name);
            assert!(
                leader.is_some_and(|leader| leader != stopping),
                "{name}: {leader:?}"
            );
            let partition = cluster.partition(other, name).unwrap();
            assert!(!partition.isr_nodes.contains(&stopping.0));
        }
        cluster.stop(stopping);
        cluster.pass_ms(100);
        assert_ne!(cluster.metadata(other, "none").controller_id, stopping.0);
        cluster.start(stopping);
        cluster.wait_for("it is back in sync", |c| {
            names.iter().all(|name| {
                c.partition(other, name)
                    .is_some_and(|p| p.isr_nodes.len() == 3)
            })
        });
    }
}

#[test]
fn leadership_goes_back_to_the_preferred_leader_by_itself() {
    let every = ("leader.imbalance.check.interval.seconds", "5");
    for (enabled, returns) in [("true", true), ("false", false)] {
        let mut cluster = Cluster::set(&[every, ("auto.leader.rebalance.enable", enabled)]);
        cluster.wait_until_whole();
        cluster.create(ALL[0], "t", 3);
        let preferred = cluster.leader(ALL[0], "t").unwrap();
        let other = BrokerId(1 + preferred.0 % 3);
        cluster.kill(preferred);
        cluster.wait_for("another leads", |c| {
            c.leader(other, "t")
                .is_some_and(|leader| leader != preferred)
        });
        cluster.start(preferred);
        cluster.wait_for("all are in sync", |c| {
            c.partition(other, "t")
                .is_some_and(|p| p.isr_nodes.len() == 3)
        });
        cluster.pass_ms(6_000);
        assert_eq!(cluster.leader(other, "t") == Some(preferred), returns);
    }
}

#[test]
fn a_topic_that_does_not_say_gets_the_default_replication_factor() {
    let mut cluster = Cluster::set(&[("default.replication.factor", "2")]);
    cluster.wait_until_whole();
    cluster.create(ALL[1], "t", -1);
    assert_eq!(
        cluster.partition(ALL[2], "t").unwrap().replica_nodes.len(),
        2
    );
}

fn described(
    cluster: &mut Cluster,
    at: BrokerId,
) -> pages::DescribeTopicPartitionsResponsePartition {
    let client = cluster.connect(at);
    let request = pages::DescribeTopicPartitionsRequest {
        response_partition_limit: 10,
        ..pages::DescribeTopicPartitionsRequest::default()
    };
    let mut answer: pages::DescribeTopicPartitionsResponse = ask!(
        cluster,
        client,
        DescribeTopicPartitions,
        0,
        request,
        pages::DescribeTopicPartitionsResponse
    );
    answer.topics.remove(0).partitions.remove(0)
}

#[test]
fn an_unclean_election_is_asked_for_and_recovered_from() {
    let mut cluster = Cluster::new(3, Durability::Os);
    cluster.wait_until_whole();
    cluster.create(ALL[0], "t", 2);
    let leader = cluster.leader(ALL[0], "t").unwrap();
    let replicas = cluster.partition(ALL[0], "t").unwrap().replica_nodes;
    let follower = BrokerId(*replicas.iter().find(|id| **id != leader.0).unwrap());
    let third = BrokerId(6 - leader.0 - follower.0);
    // The follower falls out of sync, then the leader goes: nobody may lead.
    cluster.kill(follower);
    cluster.wait_for("it is out of sync", |c| {
        c.partition(third, "t")
            .is_some_and(|p| p.isr_nodes == [leader.0])
    });
    assert_eq!(cluster.produce(leader, "t", &["lost"]), (0, 0));
    cluster.start(follower);
    cluster.kill(leader);
    cluster.wait_for("two of three are there and nobody leads", |c| {
        let metadata = c.metadata(third, "t");
        metadata.brokers.len() == 2 && metadata.topics[0].partitions[0].leader_id == -1
    });
    let eligible = described(&mut cluster, third);
    assert_eq!(
        eligible.eligible_leader_replicas,
        Some(vec![leader.0]),
        "the ELR has it all"
    );
    assert_eq!(eligible.last_known_elr, Some(vec![leader.0]));
    let client = cluster.connect(third);
    let elections = [(0, 80), (1, 0)];
    for (kind, expected) in elections {
        let request = elect::ElectLeadersRequest {
            election_type: kind,
            topic_partitions: Some(vec![elect::TopicPartitions {
                topic: "t".to_owned(),
                partitions: vec![0],
            }]),
            timeout_ms: 1_000,
        };
        let answer: elect::ElectLeadersResponse = ask!(
            cluster,
            client,
            ElectLeaders,
            2,
            request,
            elect::ElectLeadersResponse
        );
        let result = &answer.replica_election_results[0].partition_result[0];
        assert_eq!(result.error_code, expected, "{result:?}");
    }
    cluster.wait_for("the follower leads", |c| {
        c.leader(third, "t") == Some(follower)
    });
    let after = described(&mut cluster, third);
    assert_eq!(
        (after.isr_nodes, after.eligible_leader_replicas),
        (vec![follower.0], Some(vec![]))
    );
    cluster.wait_for("it serves", |c| c.produce(follower, "t", &["new"]).0 == 0);
    cluster.start(leader);
    cluster.wait_for("the old leader follows", |c| {
        c.partition(third, "t")
            .is_some_and(|p| p.isr_nodes.len() == 2)
    });
    let (error, high_watermark, _) = cluster.fetch(follower, "t");
    assert_eq!(
        (error, high_watermark),
        (0, 1),
        "its record took the lost one's place"
    );
}

/// A lone broker that got company starts anew as a quorum of one voter.
#[test]
fn a_broker_that_was_alone_leads_what_it_had_as_one_of_several() {
    let mut cluster = Cluster::alone();
    let one = ALL[0];
    cluster.create(one, "old", 1);
    assert_eq!(cluster.produce(one, "old", &["a", "b"]), (0, 0));
    cluster.stop(one);
    cluster.grow(2);
    cluster.start(one);
    cluster.start(ALL[1]);
    cluster.wait_until_whole();
    cluster.wait_for("it leads again", |c| c.leader(ALL[1], "old") == Some(one));
    assert_eq!(cluster.produce(one, "old", &["c"]), (0, 2));
    cluster.create(ALL[1], "new", 2);
    let leader = cluster.leader(one, "new").unwrap();
    assert_eq!(cluster.produce(leader, "new", &["x"]), (0, 0));
    // It stays a quorum, whatever it is started as.
    cluster.kill(ALL[1]);
    cluster.stop(one);
    cluster.make_alone(one);
    cluster.start(one);
    cluster.wait_for("it leads once more", |c| {
        c.leader(one, "old") == Some(one) && c.produce(one, "old", &["d"]) == (0, 3)
    });
}

#[test]
fn who_asks_the_wrong_broker_is_told_the_right_one_and_where_it_is() {
    let mut cluster = three();
    cluster.create(ALL[0], "orders", 3);
    let leader = cluster.leader(ALL[0], "orders").unwrap();
    let other = BrokerId(1 + leader.0 % 3);
    let topic_id = cluster.metadata(ALL[0], "orders").topics[0].topic_id;
    for version in api(ApiKey::Produce).versions() {
        let client = cluster.connect(other);
        let mut request = produce_request("orders", 0, Some(batch(cluster.now(), &["x"])), -1);
        if version >= 13 {
            request.topic_data[0].name.clear();
            request.topic_data[0].topic_id = topic_id;
        }
        let answer: ProduceResponse =
            ask!(cluster, client, Produce, version, request, ProduceResponse);
        let partition = &answer.responses[0].partition_responses[0];
        assert_eq!(partition.error_code, 6);
        if version >= 10 {
            assert_eq!(partition.current_leader.leader_id, leader.0);
            let nodes = answer.node_endpoints.iter();
            let at = nodes.clone().find(|node| node.node_id == leader.0).unwrap();
            assert_eq!(at.port, 9091 + leader.0);
        }
    }
    for version in api(ApiKey::Fetch).versions() {
        let client = cluster.connect(other);
        let mut request = fetch_request("orders", 0, 0);
        if version >= 13 {
            request.topics[0].topic.clear();
            request.topics[0].topic_id = topic_id;
        }
        if version < 7 {
            request.session_epoch = -1;
        }
        let answer: FetchResponse = ask!(cluster, client, Fetch, version, request, FetchResponse);
        let partition = &answer.responses[0].partitions[0];
        assert_eq!(partition.error_code, 6, "v{version}");
        if version >= 12 {
            assert_eq!(partition.current_leader.leader_id, leader.0);
        }
        if version >= 16 {
            let mut nodes = answer.node_endpoints.iter();
            let at = nodes.find(|node| node.node_id == leader.0).unwrap();
            assert_eq!(at.port, 9091 + leader.0);
        }
    }
}

/// broker.session.timeout.ms, in microseconds.
const SESSION_US: u64 = 700_000;

#[test]
fn a_killed_broker_is_missed_before_its_session_is_over() {
    for controller_dies in [true, false] {
        let mut cluster = three();
        let controller = BrokerId(cluster.metadata(ALL[0], "none").controller_id);
        let other = BrokerId(1 + controller.0 % 3);
        let (victim, left) = match controller_dies {
            true => (controller, other),
            false => (other, controller),
        };
        let killed = cluster.now();
        cluster.kill(victim);
        cluster.wait_for("the others fence it", |cluster| {
            cluster.metadata(left, "none").brokers.len() == 2
        });
        assert!(cluster.now().since_us(killed) < SESSION_US, "{victim}");
    }
}

#[test]
fn a_topic_made_again_while_a_broker_is_dead_has_none_of_the_old_records() {
    let mut cluster = three();
    let first = BrokerId(1);
    cluster.create(first, "orders", 3);
    let leader = cluster.leader(first, "orders").unwrap();
    for n in 0..3 {
        assert_eq!(
            cluster.produce(leader, "orders", &["an old record"]),
            (0, n)
        );
    }
    cluster.pass_ms(200);
    let dead = bystander(&mut cluster);
    let alive = ALL.into_iter().find(|id| *id != dead).unwrap();
    cluster.kill(dead);
    cluster.delete(alive, "orders");
    // While the dead one is not fenced yet, it is given a replica.
    cluster.create(alive, "orders", 3);
    cluster.wait_for("a leader that is alive", |cluster| {
        let leader = cluster.leader(alive, "orders");
        leader.is_some_and(|leader| leader != dead)
    });
    let leader = cluster.leader(alive, "orders").unwrap();
    assert_eq!(cluster.produce(leader, "orders", &["new"]), (0, 0));
    cluster.start(dead);
    cluster.wait_for("the dead one is in sync again", |cluster| {
        let partition = cluster.partition(alive, "orders");
        partition.is_some_and(|p| p.isr_nodes.len() == 3)
    });
    let held = |cluster: &mut Cluster, id| {
        let topic = cluster.topic(id);
        (topic.partitions[0].log_end, topic.partitions[0].bytes)
    };
    assert_eq!(held(&mut cluster, dead), held(&mut cluster, leader));
}

#[test]
fn a_restarted_broker_tells_clients_of_the_cluster_once_it_has_caught_up() {
    let mut cluster = three();
    cluster.create(ALL[0], "made-before", 3);
    cluster.kill(ALL[2]);
    cluster.create(ALL[0], "made-meanwhile", 2);
    cluster.start(ALL[2]);
    // Asked before it has heard of anybody.
    for name in ["made-before", "made-meanwhile"] {
        assert!(cluster.partition(ALL[2], name).is_some(), "{name}");
    }
}

#[test]
fn a_cluster_without_a_majority_still_says_what_a_broker_knows() {
    let mut cluster = three();
    cluster.create(ALL[0], "made-before", 3);
    for id in ALL {
        cluster.kill(id);
    }
    cluster.start(ALL[2]);
    let asked_at = cluster.now();
    let metadata = cluster.metadata(ALL[2], "made-before");
    assert_eq!(metadata.topics.len(), 1);
    assert!(cluster.now() > asked_at, "it hoped for the others");
}

#[test]
fn offsets_get_their_replicas_also_when_a_client_asks_while_the_cluster_starts() {
    use m::find_coordinator::{FindCoordinatorRequest, FindCoordinatorResponse};
    let mut cluster = Cluster::new(3, Durability::Os);
    let mut found = -1;
    for _ in 0..50 {
        let client = cluster.connect(ALL[0]);
        let request = FindCoordinatorRequest {
            coordinator_keys: vec!["billing".to_owned()],
            ..FindCoordinatorRequest::default()
        };
        let answer: FindCoordinatorResponse = ask!(
            cluster,
            client,
            FindCoordinator,
            4,
            request,
            FindCoordinatorResponse
        );
        found = answer.coordinators[0].node_id;
        if found >= 0 {
            break;
        }
        cluster.pass_ms(20);
    }
    assert!(found >= 0, "somebody coordinates");
    let offsets = cluster.partition(ALL[0], "__consumer_offsets").unwrap();
    assert_eq!(offsets.replica_nodes.len(), 3);
}
