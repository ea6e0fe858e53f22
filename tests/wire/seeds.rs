//! Writes the starting corpus of the fuzz targets, because the bodies are made here already.
//!
//! Every message once in its highest version, every codec once, and a short life of a broker. Run it after
//! a definition changes: `cargo test --test wire -- --ignored`.

use std::fs;
use std::path::Path;

use bytes::Bytes;
use klar::wire::fields::Side;
use klar::wire::messages::fetch::{FetchPartition, FetchRequest, FetchTopic};
use klar::wire::records::{BatchBuilder, Codec};
use klar::wire::request::RequestHeader;
use klar::wire::{ApiKey, Writer, apis, response};

use crate::golden::{Content, body};

#[test]
#[ignore = "writes tests/fuzz/corpus"]
fn write_fuzz_seeds() {
    for api in apis::APIS {
        let request = body(api.request, api.max, Content::Full, None).bytes;
        let answer = body(api.response, api.max, Content::Full, None).bytes;
        let choice = choice(api, api.max);
        write("requests", api.name, &[&choice[..], &request].concat());
        write("responses", api.name, &[&choice[..], &answer].concat());
        let framed = frame(api, Side::Request, &request);
        write("frames", api.name, &framed[4..]);
        write("tree", api.name, &[&choice[..], &framed[4..]].concat());
        let framed = frame(api, Side::Response, &answer);
        let name = format!("{}-response", api.name);
        write("tree", &name, &[&choice[..], &framed[4..]].concat());
    }
    for codec in Codec::ALL {
        let mut builder = BatchBuilder::new().codec(codec);
        builder.push(
            1,
            Some(b"key"),
            Some(b"value"),
            &[(b"h", Some(b"v")), (b"h", None)],
        );
        builder.push(2, None, Some(&[b'x'; 40]), &[]);
        let batch = builder.build().expect("two small records are a batch");
        write("records", codec.name(), &batch);
        write("broker", codec.name(), &scenario(&batch));
    }
    for api in apis::APIS {
        let request = body(api.request, api.max, Content::Full, None).bytes;
        write("broker", api.name, &step(0, api, api.max, &request));
    }
}

/// One step of the `broker` target: a request, if it is short enough for one.
fn step(kind: u8, api: &apis::Api, version: i16, body: &[u8]) -> Vec<u8> {
    let [index, version] = choice(api, version);
    let length = u8::try_from(body.len()).unwrap_or(u8::MAX);
    let body = &body[..usize::from(length)];
    [&[kind, index, version, length], body].concat()
}

/// Produces a batch twice, waits, and reads it back.
fn scenario(batch: &[u8]) -> Vec<u8> {
    let produce = step(2, apis::api(ApiKey::Produce), 4, batch);
    let request = FetchRequest {
        max_wait_ms: 100,
        min_bytes: 1,
        topics: vec![FetchTopic {
            topic: "t".to_owned(),
            partitions: vec![FetchPartition {
                partition_max_bytes: 1000,
                ..Default::default()
            }],
            ..Default::default()
        }],
        ..Default::default()
    };
    let mut writer = Writer::new();
    request
        .encode(&mut writer, 12)
        .expect("names are sent up to version 12");
    let fetch = step(1, apis::api(ApiKey::Fetch), 12, &writer.finish_value());
    let wait = [3, 5, 0, 0];
    [&produce[..], &produce, &wait, &fetch, &wait].concat()
}

fn frame(api: &apis::Api, side: Side, body: &[u8]) -> Vec<u8> {
    let mut writer = Writer::new();
    match side {
        Side::Request => RequestHeader {
            api_key: api.key,
            api_version: api.max,
            correlation_id: 1,
            client_id: Some("seed".to_owned()),
        }
        .encode(&mut writer)
        .expect("a short client id fits"),
        Side::Response => response::encode_header(&mut writer, api.key, api.max, 1),
    }
    writer.piece(&Bytes::copy_from_slice(body));
    writer.finish_frame().concat()
}

fn write(target: &str, name: &str, bytes: &[u8]) {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fuzz/corpus");
    let folder = corpus.join(target);
    fs::create_dir_all(&folder).expect("the source tree can be written");
    fs::write(folder.join(name), bytes).expect("the source tree can be written");
}

/// The two bytes that make a target choose this API and version.
fn choice(api: &apis::Api, version: i16) -> [u8; 2] {
    let index = apis::APIS.iter().position(|row| row.key == api.key);
    [
        index.expect("a row of the table") as u8,
        (version - api.min) as u8,
    ]
}
