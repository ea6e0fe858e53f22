//! The messages, generated from `assets/protocol/` by the build script in `wire/codegen`.
//!
//! One module per API with its request and response, one per kind of record value. Fields have the names
//! and types of the definitions; `Default` gives the protocol's defaults, empty where it names none.

#![allow(clippy::all, clippy::pedantic, clippy::too_many_lines)]

mod prelude {
    pub(super) use super::super::codec::message;
    pub use super::super::{DecodeError, EncodeError, Item, Reader, RecordRanges, Writer};
    pub use crate::ids::TopicId;
    pub use bytes::Bytes;
}

include!(concat!(env!("OUT_DIR"), "/messages.rs"));
