//! What the fuzz targets share: the list of messages, and the heap they are held to.
//!
//! An input of `requests`, `responses` and `tree` is one byte that picks the API, one that picks the
//! version, and a body. Each target must neither panic nor hold more than the decoder's budget.

pub mod drive;
#[path = "../../wire/heap.rs"]
pub mod heap;

use bytes::Bytes;
use klar::wire::apis;
use klar::wire::fields::Side;
use klar::wire::records::BatchHeader;
use klar::wire::{DecodeError, Reader, Writer};

/// What the harness itself may hold beyond the budget: the input's copy and its reference count.
const SLACK_BYTES: usize = 512;

/// One request or response.
pub struct Message {
    pub name: &'static str,
    pub key: i16,
    pub side: Side,
    /// Decodes a body and drops it.
    pub decode: fn(Bytes, i16) -> Result<(), DecodeError>,
    /// Decodes, encodes, decodes and encodes again: both encodings must be the same bytes.
    pub settle: fn(Bytes, i16),
}

macro_rules! side {
    (request) => {
        Side::Request
    };
    (response) => {
        Side::Response
    };
}

macro_rules! rows {
    ($(($module:ident, $name:ident, $key:literal, $side:ident))*) => {
        /// Every request and response there is.
        pub static EVERY: &[Message] = &[$(Message {
            name: stringify!($name),
            key: $key,
            side: side!($side),
            decode: |bytes, version| {
                klar::wire::messages::$module::$name::decode(&mut Reader::new(bytes), version)?;
                Ok(())
            },
            settle: |bytes, version| {
                let again = |bytes| {
                    let read = klar::wire::messages::$module::$name::decode(
                        &mut Reader::new(bytes),
                        version,
                    );
                    let mut writer = Writer::new();
                    read.expect("what was decoded or written can be read")
                        .encode(&mut writer, version)
                        .expect("what was read can be written");
                    writer.finish_value()
                };
                let first = again(bytes);
                assert_eq!(again(first.clone()), first);
            },
        }),*];
    };
}
klar::every_message!(rows);

/// The message, version and body an input stands for; `None` if it is too short.
pub fn pick(side: Side, input: &[u8]) -> Option<(&'static Message, i16, &[u8])> {
    let [api, version, body @ ..] = input else {
        return None;
    };
    let row = &apis::APIS[usize::from(*api) % apis::APIS.len()];
    let span = row.max - row.min + 1;
    let version = row.min + i16::from(*version) % span;
    let same = |message: &&Message| message.key == row.key as i16 && message.side == side;
    Some((EVERY.iter().find(same)?, version, body))
}

/// Decodes one message within its budget, and settles it if it could be decoded.
pub fn message(side: Side, input: &[u8]) {
    let Some((message, version, body)) = pick(side, input) else {
        return;
    };
    let frame = Bytes::copy_from_slice(body);
    let decoded = within_budget(body.len(), || (message.decode)(frame.clone(), version));
    if decoded.is_ok() {
        (message.settle)(frame, version);
    }
}

/// Runs a decoder over a frame of so many bytes and holds it to its budget.
pub fn within_budget<T>(frame_bytes: usize, decode: impl FnOnce() -> T) -> T {
    let (result, peak) = heap::peak(decode);
    let most = frame_bytes * Reader::BUDGET_PER_BYTE + Reader::BUDGET_BASE_BYTES + SLACK_BYTES;
    assert!(peak <= most, "{peak} bytes for a frame of {frame_bytes}");
    result
}

/// Makes the bytes a batch that passes the first checks: its length, format version and CRC-32C are
/// right, everything else stays as it is. Without this no input would get past the checksum.
pub fn seal(batch: &mut [u8]) {
    const LENGTH: std::ops::Range<usize> = 8..12;
    const MAGIC: usize = 16;
    const CRC: std::ops::Range<usize> = 17..21;
    if batch.len() < BatchHeader::BYTES {
        return;
    }
    let length = (batch.len() - BatchHeader::LENGTH_COUNTS_FROM) as u32;
    batch[LENGTH].copy_from_slice(&length.to_be_bytes());
    batch[MAGIC] = BatchHeader::MAGIC as u8;
    let crc = crc32c::crc32c(&batch[BatchHeader::CRC_COVERS_FROM..]);
    batch[CRC].copy_from_slice(&crc.to_be_bytes());
}
