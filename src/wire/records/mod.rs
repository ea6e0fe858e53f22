//! Record batches, format version 2 (KIP-98): the bytes that Produce carries, segments hold and Fetch returns.
//!
//! Everything reads the bytes where they lie: a header is 61 bytes, a batch is a slice, a record is parsed
//! when asked for, and compressed records are unpacked through a small window, never as a whole. Nothing
//! allocates what was only declared, nothing panics on any bytes.
//! Duplicate record headers and header keys that are not UTF-8 survive. Formats 0 and 1 are refused.

mod build;
mod codec;
mod header;
mod lz4_frame;

mod record;
mod snappy_stream;
mod validate;
mod varint;
mod view;

pub use crate::ids::{murmur2, partition_for_key};
pub use build::BatchBuilder;
pub use codec::Codec;
pub use header::{BatchError, BatchHeader};
pub use record::{ControlType, HeaderSlice, OwnedRecord, Record, RecordHeaders, Records};
pub use validate::{
    CheckBudget, ProducedRules, Refusal, set_base, set_log_append_time, set_producer,
    stamped_header, validate_produced, validate_within,
};
pub use view::{BatchView, Batches, batches};

#[cfg(test)]
mod tests;
