//! What is read is written back, byte for byte.

use bytes::Bytes;
use klar::wire::apis::RECORD_VALUES;
use klar::wire::fields::{Side, describe_value};
use klar::wire::messages::fetch::{FetchResponse, FetchableTopicResponse, PartitionData};
use klar::wire::messages::metadata::MetadataRequest;
use klar::wire::messages::produce::ProduceRequest;
use klar::wire::{EncodeError, Reader, RecordRanges, Writer};

use crate::golden::{CONTENTS, Content, body};
use crate::{EVERY, VALUES, joined};

#[test]
fn every_message_in_every_version_is_written_back_byte_for_byte() {
    for message in EVERY {
        for version in message.versions() {
            for content in CONTENTS {
                let golden = Bytes::from(body(message.shape(), version, content, None).bytes);
                let what = format!("{} v{version} {content:?}", message.name);
                let left = (message.decode)(golden.clone(), version);
                assert_eq!(left, Ok(0), "{what}");
                assert_eq!((message.recode)(golden.clone(), version), golden, "{what}");
            }
        }
    }
}

#[test]
fn every_record_value_in_every_version_is_written_back_byte_for_byte() {
    assert_eq!(VALUES.len(), RECORD_VALUES.len());
    for (value, shape) in VALUES.iter().zip(RECORD_VALUES) {
        assert_eq!(value.name, shape.name);
        for version in shape.min..=shape.max {
            for content in CONTENTS {
                let golden = Bytes::from(body(shape, version, content, None).bytes);
                let what = format!("{} v{version} {content:?}", value.name);
                assert_eq!((value.recode)(golden.clone(), version), golden, "{what}");
                let tree = describe_value(shape, version, &golden);
                assert_eq!(tree.problem, None, "{what}");
                assert_eq!(tree.nodes[0].range, 0..golden.len(), "{what}");
            }
        }
    }
}

#[test]
fn the_list_of_messages_has_both_sides_of_every_api() {
    assert_eq!(EVERY.len(), 2 * klar::wire::apis::APIS.len());
    for pair in EVERY.chunks(2) {
        assert_eq!(pair[0].key, pair[1].key);
        assert_eq!(
            (pair[0].side, pair[1].side),
            (Side::Request, Side::Response)
        );
        assert_eq!(pair[0].shape().name, pair[0].name);
    }
}

/// KIP-482: whoever does not know a tagged field passes over it.
#[test]
fn unknown_tagged_fields_are_passed_over() {
    for message in EVERY {
        for version in message.versions() {
            let strange = body(message.shape(), version, Content::Strange, None).bytes;
            let plain = body(message.shape(), version, Content::Full, None).bytes;
            let what = format!("{} v{version}", message.name);
            let flexible = version >= message.shape().flexible_from;
            assert_eq!(strange != plain, flexible, "{what}");
            assert_eq!((message.recode)(strange.into(), version), plain, "{what}");
        }
    }
}

#[test]
fn records_leave_as_the_very_bytes_that_were_given() {
    let ranges = [Bytes::from(vec![1; 4096]), Bytes::from(vec![2; 70_000])];
    let response = FetchResponse {
        responses: vec![FetchableTopicResponse {
            partitions: vec![PartitionData {
                records: Some(RecordRanges::from(ranges.to_vec())),
                ..Default::default()
            }],
            ..Default::default()
        }],
        ..Default::default()
    };
    for version in FetchResponse::VERSIONS {
        let mut writer = Writer::new();
        response.encode(&mut writer, version).unwrap();
        let parts = writer.finish_frame();
        assert_eq!(parts[1].as_ptr(), ranges[0].as_ptr());
        assert_eq!(parts[2].as_ptr(), ranges[1].as_ptr());
        let frame = joined(parts);
        assert_eq!(frame[..4], u32::to_be_bytes(frame.len() as u32 - 4));
        let body = frame.slice(4..);
        let again = FetchResponse::decode(&mut Reader::new(body.clone()), version).unwrap();
        let records = again.responses[0].partitions[0].records.as_ref().unwrap();
        assert_eq!(records.len(), 74_096);
        assert!(body.as_ptr_range().contains(&records.pieces()[0].as_ptr()));
        assert_eq!(again, response);
    }
}

#[test]
fn what_a_version_cannot_carry_is_refused_or_dropped_as_defined() {
    let encode = |request: &MetadataRequest, version| {
        let mut writer = Writer::new();
        request.encode(&mut writer, version)
    };
    let request = MetadataRequest {
        allow_auto_topic_creation: false,
        topics: None,
        ..Default::default()
    };
    let absent = EncodeError::Absent {
        field: "allow_auto_topic_creation",
        version: 3,
    };
    assert_eq!(encode(&request, 3), Err(absent));
    assert_eq!(encode(&request, 4), Ok(()));
    assert_eq!(
        encode(&request, 0),
        Err(EncodeError::Null { field: "topics" }),
        "null means all topics only since version 1"
    );
    let unknown = EncodeError::Version {
        version: 14,
        min: 0,
        max: 13,
    };
    assert_eq!(encode(&request, 14), Err(unknown));

    let produce = ProduceRequest {
        transactional_id: Some("x".repeat(40_000)),
        ..Default::default()
    };
    let mut writer = Writer::new();
    assert_eq!(
        produce.encode(&mut writer, 3),
        Err(EncodeError::TooLong { length: 40_000 })
    );
}

#[test]
fn defaults_are_those_of_the_protocol() {
    let request = klar::wire::messages::fetch::FetchRequest::default();
    assert_eq!(request.max_bytes, i32::MAX);
    assert_eq!(request.session_epoch, -1);
    assert_eq!(request.cluster_id, None);
    assert!(MetadataRequest::default().allow_auto_topic_creation);
    assert_eq!(MetadataRequest::default().topics, Some(Vec::new()));
    assert_eq!(
        PartitionData::default().records,
        Some(RecordRanges::default())
    );
}
