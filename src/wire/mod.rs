//! Bytes ⇄ messages. *Pure.*
//!
//! One set of definitions (`assets/protocol/`) becomes, at build time, typed structs that decode and
//! encode themselves ([`messages`]), the API table ([`apis`]), the field tables that show any frame as a
//! tree ([`fields`]) and the error table ([`errors`]).
//!
//! Guarantees: decoding never panics and never builds more than its budget, whatever the bytes; records
//! stay slices of the frame they arrived in and leave without being copied. Knows nothing of sockets.

pub mod apis;
mod codec;
pub mod errors;
pub mod fields;
pub mod messages;
mod reader;
pub mod records;
pub mod request;
pub mod response;
mod writer;

pub use apis::ApiKey;
pub use codec::{DecodeError, EncodeError, Item, RecordRanges};
pub use errors::ErrorCode;
pub use reader::Reader;
pub use writer::Writer;
