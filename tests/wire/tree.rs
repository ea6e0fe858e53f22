//! Frames as trees: every byte belongs to a field.

use bytes::Bytes;
use klar::wire::fields::{MAX_NODES, Node, Side, Value, describe};
use klar::wire::messages::metadata::{MetadataRequest, MetadataRequestTopic};
use klar::wire::request::RequestHeader;
use klar::wire::{ApiKey, Writer};

use crate::golden::{CONTENTS, body};
use crate::{EVERY, joined};

fn request(key: ApiKey, version: i16) -> RequestHeader {
    RequestHeader {
        api_key: key,
        api_version: version,
        correlation_id: 1,
        client_id: Some("c".to_owned()),
    }
}

#[test]
fn every_message_in_every_version_is_described_to_its_last_byte() {
    for message in EVERY {
        let key = ApiKey::from_code(message.key).unwrap();
        for version in message.versions() {
            for content in CONTENTS {
                let mut writer = Writer::new();
                match message.side {
                    Side::Request => request(key, version).encode(&mut writer).unwrap(),
                    Side::Response => {
                        klar::wire::response::encode_header(&mut writer, key, version, 1);
                    }
                }
                writer.piece(&body(message.shape(), version, content, None).bytes.into());
                let frame = writer.finish_value();
                let tree = describe(key, version, message.side, &frame);
                let what = format!("{} v{version} {content:?}", message.name);
                assert_eq!(tree.problem, None, "{what}");
                assert!(!tree.cut_short, "{what}");
                assert_eq!(tree.nodes[0].range.start, 0);
                assert_eq!(tree.nodes[0].range.end, tree.nodes[1].range.start, "{what}");
                assert_eq!(tree.nodes[1].range.end, frame.len(), "{what}");
                tree.nodes.iter().for_each(|node| nested(node, &what));
            }
        }
    }
}

/// Children lie in their parent, in order, without overlap.
fn nested(node: &Node, what: &str) {
    let mut at = node.range.start;
    for child in &node.children {
        assert!(at <= child.range.start, "{what}: {}", child.name);
        assert!(child.range.end <= node.range.end, "{what}: {}", child.name);
        at = child.range.end;
        nested(child, what);
    }
}

#[test]
fn a_request_is_shown_with_kafkas_names_and_its_bytes() {
    let mut writer = Writer::new();
    request(ApiKey::Metadata, 12).encode(&mut writer).unwrap();
    let metadata = MetadataRequest {
        topics: Some(vec![MetadataRequestTopic {
            name: Some("orders".to_owned()),
            ..Default::default()
        }]),
        ..Default::default()
    };
    metadata.encode(&mut writer, 12).unwrap();
    let frame = joined(writer.finish_frame()).slice(4..);
    let tree = describe(ApiKey::Metadata, 12, Side::Request, &frame);
    let topics = &tree.nodes[1].children[0];
    assert_eq!((topics.name, &topics.value), ("topics", &Value::Array(1)));
    assert_eq!(topics.children[0].index, Some(0));
    let name = &topics.children[0].children[1];
    assert_eq!(name.value, Value::Text("orders".to_owned()));
    assert_eq!((name.name, name.entity), ("name", "topicName"));
    assert_eq!(&frame[name.range.clone()], b"\x07orders");
}

#[test]
fn a_broken_frame_is_shown_up_to_where_it_breaks() {
    let mut writer = Writer::new();
    request(ApiKey::Metadata, 1).encode(&mut writer).unwrap();
    writer.i32(1);
    writer.i16(500);
    let tree = describe(ApiKey::Metadata, 1, Side::Request, &writer.finish_value());
    assert!(tree.problem.is_some());
    let topics = &tree.nodes[1].children[0];
    assert_eq!(topics.value, Value::Array(1));
    assert_eq!(
        topics.children.len(),
        1,
        "the element that could not be read"
    );
}

#[test]
fn a_frame_of_many_elements_is_cut_short() {
    let mut writer = Writer::new();
    request(ApiKey::Metadata, 1).encode(&mut writer).unwrap();
    let topics = 2 * MAX_NODES as i32;
    writer.i32(topics);
    writer.piece(&Bytes::from(vec![0; 2 * topics as usize]));
    let tree = describe(ApiKey::Metadata, 1, Side::Request, &writer.finish_value());
    assert_eq!(tree.problem, None);
    assert!(tree.cut_short);
    let shown = &tree.nodes[1].children;
    assert!(shown.iter().map(|node| node.children.len()).sum::<usize>() <= MAX_NODES);
}
