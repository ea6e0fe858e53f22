//! What a broker checks before it appends a client's batch, and what it writes into one.
//!
//! Every batch costs its header and a CRC-32C; uncompressed records are walked over as well, which finds
//! wrong lengths, counts and offset deltas without reading a key or value. Compressed records stay closed
//! unless the topic needs keys; only that they begin as their codec begins, and that they can hold as many
//! records as they say, is looked at. What a producer compressed wrongly behind that is found by its readers,
//! who check too.

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

/// Records without a key that the refusals of one request name.
const MAX_NAMED_RECORDS: usize = 100;

/// Bytes the compressed batches of one request may expand to while their keys are looked for: what can be
/// unpacked without other clients noticing.
const MAX_UNPACKED_BYTES: usize = 32 * 1024 * 1024;

/// What a batch that does not unpack is charged beyond the records it gave: its decoder may have made this
/// much before it failed.
const FAILED_BATCH_BYTES: usize = 4 * 1024 * 1024;

/// Bytes of the smallest record: seven fields of one byte, key and value null.
const MIN_RECORD_BYTES: usize = 7;

/// What checking the batches of one request may still cost.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CheckBudget {
    unpack_bytes: usize,
    named_records: usize,
}

impl Default for CheckBudget {
    fn default() -> CheckBudget {
        CheckBudget {
            unpack_bytes: MAX_UNPACKED_BYTES,
            named_records: MAX_NAMED_RECORDS,
        }
    }
}

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
    #[error(
        "looking for its keys would unpack more than the {MAX_UNPACKED_BYTES} bytes that one request may"
    )]
    UnpacksTooMuch,
    /// With the positions in the batch of some of them, for `record_errors`.
    #[error("a compacted topic cannot accept records without a key")]
    KeysMissing(Vec<i32>),
}

impl Refusal {
    /// What the client is told.
    pub fn code(&self) -> ErrorCode {
        match self {
            Refusal::Invalid(_) | Refusal::KeysMissing(_) => ErrorCode::InvalidRecord,
            Refusal::Corrupt(_) => ErrorCode::CorruptMessage,
            Refusal::TooLarge { .. } | Refusal::UnpacksTooMuch => ErrorCode::MessageTooLarge,
            Refusal::UnknownCodec(_) => ErrorCode::UnsupportedCompressionType,
        }
    }
}

/// Checks a batch that comes alone, as [`validate_within`] does.
pub fn validate_produced(records: &[u8], rules: &ProducedRules) -> Result<BatchHeader, Refusal> {
    validate_within(records, rules, &mut CheckBudget::default())
}

/// Checks the records of one partition of a Produce request: exactly one batch that may be appended. All
/// partitions of a request share one budget.
pub fn validate_within(
    records: &[u8],
    rules: &ProducedRules,
    budget: &mut CheckBudget,
) -> Result<BatchHeader, Refusal> {
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
        Ok(Codec::None) => check_plain(&header, batch.body(), rules.keys_required, budget)?,
        Ok(codec) => {
            check_packed(codec, &header, batch.body())?;
            if rules.keys_required {
                check_packed_keys(&batch, budget)?;
            }
        }
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
fn check_plain(
    header: &BatchHeader,
    body: &[u8],
    keys_required: bool,
    budget: &mut CheckBudget,
) -> Result<(), Refusal> {
    let mut rest = body;
    let mut missing = Missing::default();
    for index in 0..header.record_count {
        let keyed = step_over(&mut rest, index).map_err(Refusal::Corrupt)?;
        if keys_required && !keyed {
            missing.add(index, budget);
        }
    }
    if !rest.is_empty() {
        return Err(Refusal::Corrupt(BatchError::BatchExcess));
    }
    missing.refused()
}

/// Records without a key: whether there are any, and where the first ones are.
#[derive(Default)]
struct Missing {
    any: bool,
    named: Vec<i32>,
}

impl Missing {
    fn add(&mut self, index: i32, budget: &mut CheckBudget) {
        self.any = true;
        if budget.named_records > 0 {
            budget.named_records -= 1;
            self.named.push(index);
        }
    }

    fn refused(self) -> Result<(), Refusal> {
        match self.any {
            true => Err(Refusal::KeysMissing(self.named)),
            false => Ok(()),
        }
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

/// What compressed records show while they stay closed: how they begin, and how many there can be at most.
fn check_packed(codec: Codec, header: &BatchHeader, body: &[u8]) -> Result<(), Refusal> {
    let unpacked = codec
        .most_unpacked(body)
        .ok_or(Refusal::Corrupt(BatchError::Unpack(codec)))?;
    let count = usize::try_from(header.record_count).unwrap_or(usize::MAX);
    match count > unpacked / MIN_RECORD_BYTES {
        true => Err(Refusal::Invalid(
            "more records than its compressed bytes can hold",
        )),
        false => Ok(()),
    }
}

fn check_packed_keys(batch: &BatchView<'_>, budget: &mut CheckBudget) -> Result<(), Refusal> {
    let body = batch.body().len();
    let mut records = match batch.records(budget.unpack_bytes) {
        Ok(records) if budget.unpack_bytes > 0 => records,
        Ok(_) => return Err(Refusal::UnpacksTooMuch),
        Err(error) => return Err(budget.failed(error, 0)),
    };
    let mut missing = Missing::default();
    let mut index = 0;
    let error = loop {
        match records.next_record() {
            Ok(Some(record)) if record.offset.0 != i64::from(index) => {
                break BatchError::OffsetDelta;
            }
            Ok(Some(record)) if record.key.is_none() => missing.add(index, budget),
            Ok(Some(_)) => {}
            Ok(None) => {
                budget.charge(records.uncompressed_bytes(body));
                return missing.refused();
            }
            Err(error) => break error,
        }
        index += 1;
    };
    Err(budget.failed(error, records.uncompressed_bytes(body)))
}

impl CheckBudget {
    fn charge(&mut self, bytes: u64) {
        let bytes = usize::try_from(bytes).unwrap_or(usize::MAX);
        self.unpack_bytes = self.unpack_bytes.saturating_sub(bytes);
    }

    /// The refusal of a batch that went wrong after `bytes` of records.
    fn failed(&mut self, error: BatchError, bytes: u64) -> Refusal {
        self.charge(bytes.saturating_add(FAILED_BATCH_BYTES as u64));
        match error {
            BatchError::ExpandsTooMuch { .. } => Refusal::UnpacksTooMuch,
            error => Refusal::Corrupt(error),
        }
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
