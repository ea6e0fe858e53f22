//! What a broker checks before it appends a client's batch, and what it writes into one.
//!
//! Every batch costs its header and a CRC-32C; uncompressed records are walked over as well, which finds
//! wrong lengths, counts and offset deltas without reading a key or value. Compressed records stay closed
//! unless the topic needs keys: what a producer compressed wrongly is found by its readers, who check too.

use thiserror::Error;

use super::varint::{take_varint, take_varlong};
use super::{BatchError, BatchHeader, BatchView, Codec};
use crate::ids::{LeaderEpoch, Offset, ProducerEpoch, ProducerId};
use crate::wire::ErrorCode;

/// What a topic demands of batches.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ProducedRules {
    /// `max.message.bytes`, header included.
    pub max_batch_bytes: usize,
    /// The topic is compacted: each record needs a key.
    pub keys_required: bool,
}

/// Records without a key that a refusal names.
const MAX_NAMED_RECORDS: usize = 100;

/// Bytes a compressed batch may expand to while its keys are looked for: what can be unpacked without
/// other clients noticing.
const MAX_EXPANDED_BYTES: usize = 32 * 1024 * 1024;

/// Why a produced batch is refused.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum Refusal {
    #[error("{0}")]
    Invalid(&'static str),
    #[error("{0}")]
    Corrupt(BatchError),
    #[error("the batch has {bytes} bytes, more than max.message.bytes = {limit}")]
    TooLarge { bytes: usize, limit: usize },
    #[error("compression type {0} does not exist")]
    UnknownCodec(i16),
    /// With the positions in the batch, for `record_errors`.
    #[error("a compacted topic cannot accept records without a key")]
    KeysMissing(Vec<i32>),
}

impl Refusal {
    /// What the client is told.
    pub fn code(&self) -> ErrorCode {
        match self {
            Refusal::Invalid(_) | Refusal::KeysMissing(_) => ErrorCode::InvalidRecord,
            Refusal::Corrupt(_) => ErrorCode::CorruptMessage,
            Refusal::TooLarge { .. } => ErrorCode::MessageTooLarge,
            Refusal::UnknownCodec(_) => ErrorCode::UnsupportedCompressionType,
        }
    }
}

/// Checks the records of one partition of a Produce request: exactly one batch that may be appended.
pub fn validate_produced(records: &[u8], rules: &ProducedRules) -> Result<BatchHeader, Refusal> {
    if records.is_empty() {
        return Err(Refusal::Invalid("a partition without a record batch"));
    }
    let batch = BatchView::first(records).map_err(|error| match error {
        BatchError::Magic(_) => Refusal::Invalid("only record format 2 is accepted"),
        error => Refusal::Corrupt(error),
    })?;
    if batch.bytes().len() < records.len() {
        return Err(Refusal::Invalid(
            "more than one record batch for a partition",
        ));
    }
    if records.len() > rules.max_batch_bytes {
        return Err(Refusal::TooLarge {
            bytes: records.len(),
            limit: rules.max_batch_bytes,
        });
    }
    if !batch.crc_ok() {
        return Err(Refusal::Corrupt(BatchError::Crc));
    }
    let header = *batch.header();
    check_header(&header)?;
    match header.codec() {
        Ok(Codec::None) => check_plain(&header, batch.body(), rules.keys_required)?,
        Ok(_) if rules.keys_required => check_packed_keys(&batch)?,
        Ok(_) => {}
        Err(_) => return Err(Refusal::UnknownCodec(header.attributes & 0x7)),
    }
    Ok(header)
}

fn check_header(header: &BatchHeader) -> Result<(), Refusal> {
    let wrong = if header.base_offset != Offset::ZERO {
        "a produced batch begins at offset 0"
    } else if header.record_count <= 0 {
        "a batch without records"
    } else if header.last_offset_delta != header.record_count - 1 {
        "the last offset delta does not match the count of records"
    } else if header.is_control() {
        "clients may not write control records"
    } else if header.has_delete_horizon() {
        "clients may not write a delete horizon"
    } else if header.has_producer() && (header.base_sequence < 0 || header.producer_epoch.0 < 0) {
        "a producer id without a sequence or an epoch"
    } else if header.is_transactional() && !header.has_producer() {
        "a transactional batch without a producer id"
    } else {
        return Ok(());
    };
    Err(Refusal::Invalid(wrong))
}

/// Walks over uncompressed records: from length to length, looking only at the offset delta and, if
/// keys are required, at the length of the key.
fn check_plain(header: &BatchHeader, body: &[u8], keys_required: bool) -> Result<(), Refusal> {
    let mut rest = body;
    let mut missing = Vec::new();
    for index in 0..header.record_count {
        let keyed = step_over(&mut rest, index).map_err(Refusal::Corrupt)?;
        if keys_required && !keyed && missing.len() < MAX_NAMED_RECORDS {
            missing.push(index);
        }
    }
    if !rest.is_empty() {
        return Err(Refusal::Corrupt(BatchError::BatchExcess));
    }
    if missing.is_empty() {
        Ok(())
    } else {
        Err(Refusal::KeysMissing(missing))
    }
}

/// Moves past one record whose offset delta must be `index`; returns whether it has a key.
#[inline]
fn step_over(rest: &mut &[u8], index: i32) -> Result<bool, BatchError> {
    let length = usize::try_from(take_varint(rest)?).map_err(|_| BatchError::RecordLength)?;
    let (body, left) = rest.split_at_checked(length).ok_or(BatchError::RecordCut)?;
    *rest = left;
    let (_attributes, mut body) = body.split_first().ok_or(BatchError::RecordCut)?;
    take_varlong(&mut body)?;
    if take_varint(&mut body)? != index {
        return Err(BatchError::OffsetDelta);
    }
    Ok(take_varint(&mut body)? >= 0)
}

fn check_packed_keys(batch: &BatchView<'_>) -> Result<(), Refusal> {
    let mut records = batch
        .records(MAX_EXPANDED_BYTES)
        .map_err(Refusal::Corrupt)?;
    let mut missing = Vec::new();
    let mut index = 0;
    while let Some(record) = records.next_record().map_err(Refusal::Corrupt)? {
        if record.offset.0 != i64::from(index) {
            return Err(Refusal::Corrupt(BatchError::OffsetDelta));
        }
        if record.key.is_none() && missing.len() < MAX_NAMED_RECORDS {
            missing.push(index);
        }
        index += 1;
    }
    if missing.is_empty() {
        Ok(())
    } else {
        Err(Refusal::KeysMissing(missing))
    }
}

/// Gives the batch at the front of `batch` its place in the log. The CRC does not cover these fields.
///
/// Panics if `batch` is shorter than a header.
pub fn set_base(batch: &mut [u8], offset: Offset, epoch: LeaderEpoch) {
    batch[0..8].copy_from_slice(&offset.0.to_be_bytes());
    batch[12..16].copy_from_slice(&epoch.0.to_be_bytes());
}

/// Stamps all records of the batch with the broker's clock and computes the CRC anew.
///
/// Panics if `batch` is not a whole batch.
pub fn set_log_append_time(batch: &mut [u8], now_ms: i64) {
    let header = BatchHeader::parse(batch).expect("the caller checked the batch");
    let stamped = stamped_header(
        &header,
        &batch[BatchHeader::BYTES..header.total_bytes()],
        header.base_offset,
        header.leader_epoch,
        Some(now_ms),
    );
    batch[..BatchHeader::BYTES].copy_from_slice(&stamped);
}

/// Gives the batch another producer, for a producer that had to ask for a new id, and computes the CRC anew.
///
/// Panics if `batch` is not a whole batch.
pub fn set_producer(batch: &mut [u8], id: ProducerId, epoch: ProducerEpoch, base_sequence: i32) {
    let mut header = BatchHeader::parse(batch).expect("the caller made the batch");
    header.producer_id = id;
    header.producer_epoch = epoch;
    header.base_sequence = base_sequence;
    batch[..BatchHeader::BYTES].copy_from_slice(&header.to_bytes());
    header.crc = crc32c::crc32c(&batch[BatchHeader::CRC_COVERS_FROM..header.total_bytes()]);
    batch[..BatchHeader::BYTES].copy_from_slice(&header.to_bytes());
}

/// The header to write in front of `body` for a batch whose bytes are shared and cannot be changed in
/// place: with its place in the log and, for LogAppendTime, the broker's clock and a new CRC.
pub fn stamped_header(
    header: &BatchHeader,
    body: &[u8],
    offset: Offset,
    epoch: LeaderEpoch,
    log_append_time_ms: Option<i64>,
) -> [u8; BatchHeader::BYTES] {
    let mut stamped = BatchHeader {
        base_offset: offset,
        leader_epoch: epoch,
        ..*header
    };
    if let Some(now_ms) = log_append_time_ms {
        stamped.attributes |= BatchHeader::LOG_APPEND_TIME;
        stamped.max_timestamp_ms = now_ms;
        let head = stamped.to_bytes();
        let covered = crc32c::crc32c(&head[BatchHeader::CRC_COVERS_FROM..]);
        stamped.crc = crc32c::crc32c_append(covered, body);
    }
    stamped.to_bytes()
}
