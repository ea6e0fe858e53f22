//! Whole frames as a broker takes them: length, header, then the body the header names.
#![no_main]

use bytes::Bytes;
use klar::wire::request::decode_header;
use klar::wire::{ApiKey, Reader, apis, frame, response};
use klar_fuzz::{EVERY, within_budget};

/// `socket.request.max.bytes` as Kafka has it by default.
const MOST_BYTES: usize = 104_857_600;

libfuzzer_sys::fuzz_target!(|input: &[u8]| {
    let Some((prefix, rest)) = input.split_first_chunk::<4>() else {
        return;
    };
    let _ = frame::length(*prefix, MOST_BYTES);
    let whole = Bytes::copy_from_slice(rest);
    within_budget(rest.len(), || {
        let mut reader = Reader::new(whole.clone());
        let Ok(header) = decode_header(&mut reader) else {
            return;
        };
        let body = whole.slice(reader.position()..);
        if header.api_key == ApiKey::ApiVersions && !header.version_known() {
            assert_eq!(apis::api_versions_answer_version(header.api_version), 0);
            return;
        }
        let key = header.api_key as i16;
        let request = EVERY.iter().find(|message| message.key == key);
        let request = request.expect("every key has a request");
        let _ = (request.decode)(body, header.api_version);
        let _ = response::decode_header(
            &mut Reader::new(whole.clone()),
            header.api_key,
            header.api_version,
        );
    });
});
