//! Request and response headers.

use bytes::Bytes;
use klar::wire::apis::{api_versions, api_versions_answer_version};
use klar::wire::messages::api_versions::ApiVersionsResponse;
use klar::wire::request::{RequestHeader, decode_header};
use klar::wire::{ApiKey, DecodeError, Reader, Writer, apis, response};

use crate::joined;

fn encoded(header: &RequestHeader) -> Bytes {
    let mut writer = Writer::new();
    header.encode(&mut writer).expect("a short client id fits");
    writer.finish_value()
}

#[test]
fn a_request_header_of_every_version_is_read_back_and_nothing_more() {
    for api in apis::APIS {
        for api_version in api.versions() {
            for client_id in [None, Some("kcat".to_owned())] {
                let header = RequestHeader {
                    api_key: api.key,
                    api_version,
                    correlation_id: 7,
                    client_id,
                };
                let mut reader = Reader::new(encoded(&header));
                assert_eq!(decode_header(&mut reader).unwrap(), header);
                assert_eq!(reader.remaining(), 0);
                assert!(header.version_known());
            }
        }
    }
}

/// The bytes of KIP-511: an ApiVersions v3 request by a client called `a`, with a tagged field.
#[test]
fn a_header_as_it_is_on_the_wire() {
    let bytes = [0, 18, 0, 3, 0, 0, 0, 9, 0, 1, b'a', 1, 5, 2, 1, 1];
    let mut reader = Reader::new(Bytes::copy_from_slice(&bytes));
    let header = decode_header(&mut reader).unwrap();
    assert_eq!(header.api_key, ApiKey::ApiVersions);
    assert_eq!(header.client_id.as_deref(), Some("a"));
    assert_eq!(reader.remaining(), 0);
}

#[test]
fn a_version_above_ours_is_read_and_an_unknown_key_is_not() {
    let header = RequestHeader {
        api_key: ApiKey::ApiVersions,
        api_version: 99,
        correlation_id: 1,
        client_id: None,
    };
    let read = decode_header(&mut Reader::new(encoded(&header))).unwrap();
    assert_eq!(read, header);
    assert!(!read.version_known());
    let unknown = Bytes::from_static(&[0, 4, 0, 0, 0, 0, 0, 1, 0xff, 0xff]);
    assert_eq!(
        decode_header(&mut Reader::new(unknown)),
        Err(DecodeError::UnknownApi(4))
    );
}

#[test]
fn a_header_cut_or_flipped_does_no_harm() {
    let whole = encoded(&RequestHeader {
        api_key: ApiKey::Fetch,
        api_version: 18,
        correlation_id: 1,
        client_id: Some("client".to_owned()),
    });
    for end in 0..whole.len() {
        assert!(decode_header(&mut Reader::new(whole.slice(..end))).is_err());
    }
    let mut bytes = whole.to_vec();
    for at in 0..bytes.len() {
        for bit in 0..8 {
            bytes[at] ^= 1 << bit;
            let _ = decode_header(&mut Reader::new(Bytes::copy_from_slice(&bytes)));
            bytes[at] ^= 1 << bit;
        }
    }
}

/// Trap 1: the answer to ApiVersions always has the old header, whatever its version.
#[test]
fn only_api_versions_has_a_response_header_without_tags() {
    for api in apis::APIS {
        for version in api.versions() {
            let tags = response::has_tags(api.key, version);
            let expected = api.key != ApiKey::ApiVersions && version >= api.flexible_from;
            assert_eq!(tags, expected, "{} v{version}", api.name);
            let mut writer = Writer::new();
            response::encode_header(&mut writer, api.key, version, -5);
            let bytes = writer.finish_value();
            assert_eq!(bytes.len(), if tags { 5 } else { 4 });
            let mut reader = Reader::new(bytes);
            let read = response::decode_header(&mut reader, api.key, version);
            assert_eq!((read, reader.remaining()), (Ok(-5), 0));
        }
    }
}

/// Trap 1 again: a version above ours gets error 35 and our ranges in a body of version 0.
#[test]
fn a_client_newer_than_us_can_read_the_answer() {
    let answer = api_versions(99, |api| api.on_broker, 1);
    let version = api_versions_answer_version(99);
    let mut writer = Writer::new();
    response::encode_header(&mut writer, ApiKey::ApiVersions, 99, 3);
    answer.encode(&mut writer, version).unwrap();
    let frame = joined(writer.finish_frame());
    let mut reader = Reader::new(frame.slice(8..));
    let read = ApiVersionsResponse::decode(&mut reader, 0).unwrap();
    assert_eq!((read.error_code, reader.remaining()), (35, 0));
    let fetch = read.api_keys.iter().find(|api| api.api_key == 1).unwrap();
    assert_eq!((fetch.min_version, fetch.max_version), (4, 18));
}
