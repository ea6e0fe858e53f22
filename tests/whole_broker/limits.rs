//! What one request may cost: names that repeat, topics made by the thousand, batches that lie.

use klar::ids::TopicId;
use klar::inspect::EventKind;
use klar::wire::messages::metadata::{
    MetadataRequest, MetadataRequestTopic, MetadataResponse, MetadataResponseTopic,
};

use crate::rig::{Rig, ask};

fn metadata(rig: &mut Rig, topics: Vec<MetadataRequestTopic>) -> Vec<MetadataResponseTopic> {
    let connection = rig.connect();
    let request = MetadataRequest {
        topics: Some(topics),
        allow_auto_topic_creation: true,
        ..MetadataRequest::default()
    };
    ask!(rig, connection, Metadata, 12, request, MetadataResponse).topics
}

fn named(name: impl Into<String>) -> MetadataRequestTopic {
    MetadataRequestTopic {
        name: Some(name.into()),
        ..MetadataRequestTopic::default()
    }
}

fn by_id(id: TopicId, name: Option<String>) -> MetadataRequestTopic {
    MetadataRequestTopic { topic_id: id, name }
}

#[test]
fn a_topic_is_told_once_whatever_names_stand_beside_its_id() {
    let mut rig = Rig::new();
    let id = rig.create("t", 50, &[]);
    let mut topics: Vec<_> = (0..400).map(|n| by_id(id, Some(format!("n{n}")))).collect();
    topics.extend([by_id(id, None), named("t"), by_id(TopicId([9; 16]), None)]);
    let told = metadata(&mut rig, topics);
    assert_eq!(told.len(), 2);
    assert_eq!((told[0].topic_id, told[0].partitions.len()), (id, 50));
    assert_eq!(told[1].error_code, 100);
}

#[test]
fn one_request_makes_few_topics_and_is_told_to_ask_again_for_the_others() {
    let mut rig = Rig::new();
    let names: Vec<String> = (0..300).map(|n| format!("a_{n}")).collect();
    let mut rounds = 0;
    loop {
        let told = metadata(&mut rig, names.iter().map(named).collect());
        rounds += 1;
        let later = told.iter().filter(|topic| topic.error_code == 5).count();
        assert!(told.iter().all(|topic| [0, 5].contains(&topic.error_code)));
        if later == 0 {
            break;
        }
    }
    assert_eq!(rounds, 3, "128 topics a request");
}

#[test]
fn topics_are_no_longer_made_by_themselves_in_a_full_cluster_and_it_says_so_once() {
    let mut rig = Rig::new();
    for n in 0..10_000 / 100 {
        let topics: Vec<_> = (0..100).map(|m| named(format!("t-{n}-{m}"))).collect();
        assert!(metadata(&mut rig, topics).iter().all(|t| t.error_code == 0));
    }
    rig.events.clear();
    for _ in 0..2 {
        assert_eq!(metadata(&mut rig, vec![named("more")])[0].error_code, 3);
    }
    let told = rig.events.iter();
    let told = told.filter(|event| matches!(event, EventKind::LimitReached { .. }));
    assert_eq!(told.count(), 1);
    // Made on purpose, it is there.
    rig.create("wanted", 1, &[]);
}

#[test]
fn a_client_of_an_ipv6_socket_that_came_over_ipv4_is_sent_back_over_ipv4() {
    let mut rig = Rig::new();
    for (local, host) in [
        ("[::ffff:127.0.0.1]:9092", "127.0.0.1"),
        ("[::1]:9092", "::1"),
    ] {
        let connection = rig.connect_to(local);
        let request = MetadataRequest::default();
        let response = ask!(rig, connection, Metadata, 12, request, MetadataResponse);
        assert_eq!(response.brokers[0].host, host);
    }
}
