//! The codec against every message in every version: made from the tables, cut, flipped, lied to, and
//! compared with another implementation.
//!
//! `golden` writes bodies from the static field tables with an encoder of its own, so a mistake in the
//! generated code cannot hide behind the same mistake here. `heap` counts what decoding allocates.

#![allow(clippy::unwrap_used)]

mod golden;
mod headers;
mod heap;
mod hostile;
mod records;
mod round_trip;
mod second_opinion;
mod seeds;
mod tree;

use bytes::Bytes;
use klar::wire::apis::{self, Api};
use klar::wire::fields::{Shape, Side};
use klar::wire::{ApiKey, DecodeError, Reader, RecordRanges, Writer};

/// One request or response: how to take it apart and put it together again.
pub struct Message {
    pub name: &'static str,
    pub key: i16,
    pub side: Side,
    /// Decodes a body; the bytes left over.
    pub decode: fn(Bytes, i16) -> Result<usize, DecodeError>,
    /// Decodes a body and encodes what came out, twice, checking that both decode to the same.
    pub recode: fn(Bytes, i16) -> Bytes,
}

impl Message {
    pub fn api(&self) -> &'static Api {
        apis::api(ApiKey::from_code(self.key).expect("a key of the table"))
    }

    pub fn shape(&self) -> &'static Shape {
        match self.side {
            Side::Request => self.api().request,
            Side::Response => self.api().response,
        }
    }

    pub fn versions(&self) -> std::ops::RangeInclusive<i16> {
        self.api().versions()
    }
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
                let mut reader = Reader::new(bytes);
                klar::wire::messages::$module::$name::decode(&mut reader, version)?;
                Ok(reader.remaining())
            },
            recode: |bytes, version| {
                use klar::wire::messages::$module::$name;
                let decode = |bytes| $name::decode(&mut Reader::new(bytes), version).unwrap();
                let first = decode(bytes);
                let mut writer = Writer::new();
                first.encode(&mut writer, version).unwrap();
                let again = writer.finish_value();
                assert_eq!(decode(again.clone()), first);
                again
            },
        }),*];
    };
}
klar::every_message!(rows);

/// A value found inside records: decodes and encodes it, checking that nothing is left over.
pub struct RecordValue {
    pub name: &'static str,
    pub recode: fn(Bytes, i16) -> Bytes,
}

macro_rules! values {
    ($(($module:ident, $name:ident))*) => {
        /// Every record value there is.
        pub static VALUES: &[RecordValue] = &[$(RecordValue {
            name: stringify!($name),
            recode: |bytes, version| {
                let mut reader = Reader::new(bytes);
                let value = klar::wire::messages::$module::$name::decode(&mut reader, version);
                assert_eq!(reader.remaining(), 0);
                let mut writer = Writer::new();
                value.unwrap().encode(&mut writer, version).unwrap();
                writer.finish_value()
            },
        }),*];
    };
}
klar::every_value!(values);

/// A frame's parts as one piece.
pub fn joined(parts: Vec<Bytes>) -> Bytes {
    RecordRanges::from(parts).joined()
}
