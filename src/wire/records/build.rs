//! Writes record batches.
//!
//! Guarantees what `validate` demands of others: contiguous offset deltas from 0, a true count, the true
//! largest timestamp, and a CRC-32C over what is there.

use super::varint::{put_varlong, varlong_bytes};
use super::{BatchError, BatchHeader, Codec, HeaderSlice};
use crate::ids::{LeaderEpoch, Offset, ProducerEpoch, ProducerId};

/// Collects records and makes a batch of them.
#[derive(Debug, Clone)]
pub struct BatchBuilder {
    header: BatchHeader,
    codec: Codec,
    records: Vec<u8>,
}

impl BatchBuilder {
    /// A builder of an uncompressed batch at offset 0 without a producer id.
    pub fn new() -> BatchBuilder {
        BatchBuilder {
            header: BatchHeader {
                base_offset: Offset::ZERO,
                length: 0,
                leader_epoch: LeaderEpoch::NONE,
                crc: 0,
                attributes: 0,
                last_offset_delta: -1,
                base_timestamp_ms: -1,
                max_timestamp_ms: -1,
                producer_id: ProducerId::NONE,
                producer_epoch: ProducerEpoch::NONE,
                base_sequence: -1,
                record_count: 0,
            },
            codec: Codec::None,
            records: Vec::new(),
        }
    }

    /// Compresses the records with `codec`.
    pub fn codec(mut self, codec: Codec) -> BatchBuilder {
        self.codec = codec;
        self
    }

    /// Gives the batch its place in a log.
    pub fn base(mut self, offset: Offset, epoch: LeaderEpoch) -> BatchBuilder {
        self.header.base_offset = offset;
        self.header.leader_epoch = epoch;
        self
    }

    /// Makes the batch an idempotent producer's.
    pub fn producer(
        mut self,
        id: ProducerId,
        epoch: ProducerEpoch,
        base_sequence: i32,
    ) -> BatchBuilder {
        self.set_producer(id, epoch, base_sequence);
        self
    }

    /// As [`producer`](Self::producer), for a builder already filled.
    pub fn set_producer(&mut self, id: ProducerId, epoch: ProducerEpoch, base_sequence: i32) {
        self.header.producer_id = id;
        self.header.producer_epoch = epoch;
        self.header.base_sequence = base_sequence;
    }

    /// Makes the batch part of a transaction.
    pub fn transactional(mut self) -> BatchBuilder {
        self.header.attributes |= BatchHeader::TRANSACTIONAL;
        self
    }

    /// Makes the batch a control batch.
    pub fn control(mut self) -> BatchBuilder {
        self.header.attributes |= BatchHeader::CONTROL;
        self
    }

    /// Stamps all records with the broker's clock: their timestamp becomes the largest pushed.
    pub fn log_append_time(mut self) -> BatchBuilder {
        self.header.attributes |= BatchHeader::LOG_APPEND_TIME;
        self
    }

    /// Appends a record.
    pub fn push(
        &mut self,
        timestamp_ms: i64,
        key: Option<&[u8]>,
        value: Option<&[u8]>,
        headers: &[HeaderSlice<'_>],
    ) {
        let header = &mut self.header;
        if header.record_count == 0 {
            header.base_timestamp_ms = timestamp_ms;
        }
        header.max_timestamp_ms = header.max_timestamp_ms.max(timestamp_ms);
        header.last_offset_delta += 1;
        header.record_count += 1;
        let timestamp_delta = timestamp_ms.wrapping_sub(header.base_timestamp_ms);
        let offset_delta = i64::from(header.last_offset_delta);

        let out = &mut self.records;
        let length = 1
            + varlong_bytes(timestamp_delta)
            + varlong_bytes(offset_delta)
            + nullable_bytes(key)
            + nullable_bytes(value)
            + headers_bytes(headers);
        put_varlong(out, length as i64);
        out.push(0);
        put_varlong(out, timestamp_delta);
        put_varlong(out, offset_delta);
        put_nullable(out, key);
        put_nullable(out, value);
        put_varlong(out, headers.len() as i64);
        for (key, value) in headers {
            put_nullable(out, Some(key));
            put_nullable(out, *value);
        }
    }

    /// Bytes a record of these parts takes at most.
    pub fn record_bytes(
        key: Option<&[u8]>,
        value: Option<&[u8]>,
        headers: &[HeaderSlice<'_>],
    ) -> usize {
        const LENGTH_ATTRIBUTES_AND_DELTAS: usize = 5 + 1 + 10 + 5;
        LENGTH_ATTRIBUTES_AND_DELTAS
            + nullable_bytes(key)
            + nullable_bytes(value)
            + headers_bytes(headers)
    }

    /// Bytes of the batch so far, before compression.
    pub fn bytes(&self) -> usize {
        BatchHeader::BYTES + self.records.len()
    }

    /// Records pushed so far.
    pub fn record_count(&self) -> i32 {
        self.header.record_count
    }

    /// The batch.
    pub fn build(mut self) -> Result<Vec<u8>, BatchError> {
        let mut out = Vec::with_capacity(BatchHeader::BYTES + self.records.len());
        out.extend_from_slice(&[0; BatchHeader::BYTES]);
        self.codec
            .pack(&self.records, &mut out)
            .map_err(|_| BatchError::TooLargeToWrite)?;
        self.header.attributes |= self.codec.bits();
        self.header.length = i32::try_from(out.len() - BatchHeader::LENGTH_COUNTS_FROM)
            .ok()
            .filter(|length| *length <= i32::MAX - BatchHeader::LENGTH_COUNTS_FROM as i32)
            .ok_or(BatchError::TooLargeToWrite)?;
        out[..BatchHeader::BYTES].copy_from_slice(&self.header.to_bytes());
        self.header.crc = crc32c::crc32c(&out[BatchHeader::CRC_COVERS_FROM..]);
        out[..BatchHeader::BYTES].copy_from_slice(&self.header.to_bytes());
        Ok(out)
    }
}

impl Default for BatchBuilder {
    fn default() -> Self {
        BatchBuilder::new()
    }
}

fn nullable_bytes(bytes: Option<&[u8]>) -> usize {
    match bytes {
        None => 1,
        Some(bytes) => varlong_bytes(bytes.len() as i64) + bytes.len(),
    }
}

fn headers_bytes(headers: &[HeaderSlice<'_>]) -> usize {
    let each = |(key, value): &HeaderSlice<'_>| nullable_bytes(Some(key)) + nullable_bytes(*value);
    varlong_bytes(headers.len() as i64) + headers.iter().map(each).sum::<usize>()
}

fn put_nullable(out: &mut Vec<u8>, bytes: Option<&[u8]>) {
    match bytes {
        None => put_varlong(out, -1),
        Some(bytes) => {
            put_varlong(out, bytes.len() as i64);
            out.extend_from_slice(bytes);
        }
    }
}
