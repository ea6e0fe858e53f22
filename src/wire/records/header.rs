//! The 61 bytes in front of every record batch.
//!
//! ```text
//!  0 base offset i64          16 magic i8 (2)            35 max timestamp i64      57 record count i32
//!  8 length i32 (from 12 on)  17 CRC-32C u32 (from 21)   43 producer id i64
//! 12 leader epoch i32         21 attributes i16          51 producer epoch i16
//!                             23 last offset delta i32   53 base sequence i32
//!                             27 base timestamp i64
//! ```
//! Parsing checks the format version and the length, and nothing else: what a batch may claim is decided
//! in `validate`. All integers are big-endian, as everywhere in Kafka.

use thiserror::Error;

use super::Codec;
use crate::ids::{LeaderEpoch, Offset, ProducerEpoch, ProducerId};

/// Why bytes are not a record batch, or not its records.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum BatchError {
    #[error("{have} bytes are left where a record batch of {need} bytes is")]
    Cut { have: usize, need: usize },
    #[error("record format {0} is not supported; only 2 is")]
    Magic(i8),
    #[error("a record batch cannot have length {0}")]
    Length(i32),
    #[error("compression type {0} does not exist")]
    UnknownCodec(i16),
    #[error("the records do not unpack as {0}")]
    Unpack(Codec),
    #[error("the records expand to more than {limit} bytes")]
    ExpandsTooMuch { limit: u64 },
    #[error("a record of {bytes} bytes is larger than the {limit} this reader opens")]
    RecordTooLarge { bytes: u64, limit: u64 },
    #[error("a number in a record is too long")]
    Varint,
    #[error("a record ends before its fields do")]
    RecordCut,
    #[error("a record declares a negative or impossible length")]
    RecordLength,
    #[error("bytes are left over after the last field of a record")]
    RecordExcess,
    #[error("bytes are left over after the last record of a batch")]
    BatchExcess,
    #[error("the offsets in a batch do not count up by one")]
    OffsetDelta,
    #[error("the batch's CRC-32C does not match its bytes")]
    Crc,
    #[error("the batch is too large to be written")]
    TooLargeToWrite,
}

/// A record batch's header, decoded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BatchHeader {
    pub base_offset: Offset,
    /// Bytes of the batch after the length field itself.
    pub length: i32,
    /// Leader epoch of the leader that appended the batch.
    pub leader_epoch: LeaderEpoch,
    /// CRC-32C of everything from the attributes to the end.
    pub crc: u32,
    /// Compression, timestamp type and the other flags, as they are on the wire.
    pub attributes: i16,
    pub last_offset_delta: i32,
    /// Milliseconds since the Unix epoch; the delete horizon if [`has_delete_horizon`](Self::has_delete_horizon).
    pub base_timestamp_ms: i64,
    pub max_timestamp_ms: i64,
    pub producer_id: ProducerId,
    pub producer_epoch: ProducerEpoch,
    pub base_sequence: i32,
    pub record_count: i32,
}

impl BatchHeader {
    /// Bytes of a header.
    pub const BYTES: usize = 61;
    /// Bytes in front of what the length field counts.
    pub const LENGTH_COUNTS_FROM: usize = 12;
    /// Bytes in front of what the CRC covers.
    pub const CRC_COVERS_FROM: usize = 21;
    /// The only record format there is today.
    pub const MAGIC: i8 = 2;

    pub(super) const LOG_APPEND_TIME: i16 = 1 << 3;
    pub(super) const TRANSACTIONAL: i16 = 1 << 4;
    pub(super) const CONTROL: i16 = 1 << 5;
    const DELETE_HORIZON: i16 = 1 << 6;

    /// Reads the header at the front of `bytes`, which need not hold the whole batch.
    pub fn parse(bytes: &[u8]) -> Result<BatchHeader, BatchError> {
        if let Some(&magic) = bytes.get(16)
            && magic as i8 != Self::MAGIC
        {
            return Err(BatchError::Magic(magic as i8));
        }
        let Some(head) = bytes.first_chunk::<{ Self::BYTES }>() else {
            return Err(BatchError::Cut {
                have: bytes.len(),
                need: Self::BYTES,
            });
        };
        let header = Self::from_bytes(head);
        let smallest = (Self::BYTES - Self::LENGTH_COUNTS_FROM) as i32;
        if header.length < smallest || header.length > i32::MAX - Self::LENGTH_COUNTS_FROM as i32 {
            return Err(BatchError::Length(header.length));
        }
        Ok(header)
    }

    fn from_bytes(head: &[u8; Self::BYTES]) -> BatchHeader {
        fn field<const N: usize>(head: &[u8], at: usize) -> [u8; N] {
            *head[at..].first_chunk().expect("fields lie in the header")
        }
        BatchHeader {
            base_offset: Offset(i64::from_be_bytes(field(head, 0))),
            length: i32::from_be_bytes(field(head, 8)),
            leader_epoch: LeaderEpoch(i32::from_be_bytes(field(head, 12))),
            crc: u32::from_be_bytes(field(head, 17)),
            attributes: i16::from_be_bytes(field(head, 21)),
            last_offset_delta: i32::from_be_bytes(field(head, 23)),
            base_timestamp_ms: i64::from_be_bytes(field(head, 27)),
            max_timestamp_ms: i64::from_be_bytes(field(head, 35)),
            producer_id: ProducerId(i64::from_be_bytes(field(head, 43))),
            producer_epoch: ProducerEpoch(i16::from_be_bytes(field(head, 51))),
            base_sequence: i32::from_be_bytes(field(head, 53)),
            record_count: i32::from_be_bytes(field(head, 57)),
        }
    }

    /// The header as it stands on the wire.
    pub fn to_bytes(&self) -> [u8; Self::BYTES] {
        let mut out = [0; Self::BYTES];
        out[0..8].copy_from_slice(&self.base_offset.0.to_be_bytes());
        out[8..12].copy_from_slice(&self.length.to_be_bytes());
        out[12..16].copy_from_slice(&self.leader_epoch.0.to_be_bytes());
        out[16] = Self::MAGIC as u8;
        out[17..21].copy_from_slice(&self.crc.to_be_bytes());
        out[21..23].copy_from_slice(&self.attributes.to_be_bytes());
        out[23..27].copy_from_slice(&self.last_offset_delta.to_be_bytes());
        out[27..35].copy_from_slice(&self.base_timestamp_ms.to_be_bytes());
        out[35..43].copy_from_slice(&self.max_timestamp_ms.to_be_bytes());
        out[43..51].copy_from_slice(&self.producer_id.0.to_be_bytes());
        out[51..53].copy_from_slice(&self.producer_epoch.0.to_be_bytes());
        out[53..57].copy_from_slice(&self.base_sequence.to_be_bytes());
        out[57..61].copy_from_slice(&self.record_count.to_be_bytes());
        out
    }

    /// Bytes of the whole batch, header included.
    pub fn total_bytes(&self) -> usize {
        // `parse` refuses negative lengths.
        self.length as usize + Self::LENGTH_COUNTS_FROM
    }

    /// Offset of the last record the batch was made with (compaction may have removed it since).
    pub fn last_offset(&self) -> Offset {
        Offset(
            self.base_offset
                .0
                .wrapping_add(i64::from(self.last_offset_delta)),
        )
    }

    /// The offset after the batch's last one.
    pub fn next_offset(&self) -> Offset {
        Offset(self.last_offset().0.wrapping_add(1))
    }

    /// Sequence number of the last record; sequence numbers wrap from 2³¹−1 to 0.
    pub fn last_sequence(&self) -> i32 {
        if self.base_sequence < 0 {
            return self.base_sequence;
        }
        self.base_sequence.wrapping_add(self.last_offset_delta) & i32::MAX
    }

    /// How the records are compressed.
    pub fn codec(&self) -> Result<Codec, BatchError> {
        let bits = self.attributes & 0x7;
        Codec::from_bits(bits).ok_or(BatchError::UnknownCodec(bits))
    }

    /// The broker's clock, not the producer's, stamped these records: all carry the max timestamp.
    pub fn is_log_append_time(&self) -> bool {
        self.attributes & Self::LOG_APPEND_TIME != 0
    }

    pub fn is_transactional(&self) -> bool {
        self.attributes & Self::TRANSACTIONAL != 0
    }

    /// Holds markers or quorum records instead of what clients wrote.
    pub fn is_control(&self) -> bool {
        self.attributes & Self::CONTROL != 0
    }

    /// Compaction has written the time after which tombstones may go in place of the base timestamp.
    pub fn has_delete_horizon(&self) -> bool {
        self.attributes & Self::DELETE_HORIZON != 0
    }

    /// Whether an idempotent or transactional producer wrote the batch.
    pub fn has_producer(&self) -> bool {
        self.producer_id.0 >= 0
    }
}
