//! Whole frames as a broker takes them: header, then the body the header names.
#![no_main]

use bytes::Bytes;
use klar::wire::request::decode_header;
use klar::wire::{ApiKey, Reader, apis, response};
use klar_fuzz::{EVERY, within_budget};

libfuzzer_sys::fuzz_target!(|input: &[u8]| {
    let whole = Bytes::copy_from_slice(input);
    within_budget(input.len(), || {
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
