//! What the window asks a picture to contain beside totals, and what it then contains: lanes, one record, one
//! segment, a search.

use std::sync::Arc;

use serde::Serialize;

use super::BrowseQuery;
use crate::ids::{BrokerId, LeaderEpoch, Offset, PartitionIndex, ProducerEpoch, ProducerId};

/// What the window looks at; pictures contain record contents only for this.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Focus {
    /// One entry a topic; together at most [`PICTURE_CELLS`] cells, the first come first.
    pub lanes: Vec<LaneFocus>,
    pub record: Option<RecordFocus>,
    pub segment: Option<SegmentFocus>,
    /// Counters are shown that grow while nothing happens: pictures for them alone are made, once a second.
    pub counters: bool,
    /// The broker whose files are listed, once it does not run.
    pub files: Option<BrokerId>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LaneFocus {
    pub topic: String,
    /// Partition, first offset wanted, number of offsets wanted (at most [`LANE_CELLS`]).
    pub ranges: Vec<(PartitionIndex, Offset, u32)>,
}

/// Cells one lane may ask for.
pub const LANE_CELLS: u32 = 2_048;
/// Cells one picture may contain over all lanes.
pub const PICTURE_CELLS: u32 = 16_384;

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecordFocus {
    pub topic: String,
    pub partition: PartitionIndex,
    pub offset: Offset,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SegmentFocus {
    pub topic: String,
    pub partition: PartitionIndex,
    pub base_offset: Offset,
    /// List batches from the one that holds this offset; at most [`SEGMENT_BATCHES`].
    pub from: Offset,
}

/// Batches one segment detail lists.
pub const SEGMENT_BATCHES: usize = 500;

/// The records of one partition in a range of offsets, as small as cells.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Lane {
    pub topic: String,
    pub partition: PartitionIndex,
    pub from: Offset,
    /// One past the last offset looked at: offsets in between without a cell hold no record.
    pub to: Offset,
    pub cells: Vec<Cell>,
    /// First offset and one past the last offset of each batch in the range.
    pub batches: Vec<(Offset, Offset)>,
}

/// One record as the lanes draw it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Cell {
    pub offset: Offset,
    /// murmur2 of the key, as the default partitioner computes it; `None` for a null key.
    pub key_hash: Option<u32>,
    /// Key plus value, bytes.
    pub bytes: u32,
    pub kind: CellKind,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum CellKind {
    Record,
    Tombstone,
    Commit,
    Abort,
    OtherControl,
}

/// What looking for the focused record found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum RecordAnswer {
    Found(Box<RecordDetail>),
    /// The offset holds no record, and why.
    Absent {
        partition: PartitionIndex,
        offset: Offset,
        why: String,
    },
}

/// One record with everything known about it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct RecordDetail {
    pub topic: String,
    pub partition: PartitionIndex,
    pub offset: Offset,
    pub timestamp_ms: i64,
    pub kind: CellKind,
    /// At most [`DETAIL_BYTES`] of each; `*_len` is the whole length.
    pub key: Option<Vec<u8>>,
    pub key_len: u64,
    pub value: Option<Vec<u8>>,
    pub value_len: u64,
    pub headers: Vec<(Vec<u8>, Option<Vec<u8>>)>,
    pub batch: BatchDetail,
    /// murmur2(key) mod partitions: where the Java client's default partitioner puts it.
    pub partition_by_key: Option<PartitionIndex>,
}

/// Bytes of a key or value a record detail carries.
pub const DETAIL_BYTES: usize = 4 * 1024 * 1024;

/// One record batch's header and where it lies.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct BatchDetail {
    pub base_offset: Offset,
    pub last_offset: Offset,
    pub leader_epoch: LeaderEpoch,
    pub crc: u32,
    /// CRC-32C of the bytes as they lie on disk now equals the stored one.
    pub crc_ok: bool,
    pub compression: String,
    pub log_append_time: bool,
    pub transactional: bool,
    pub control: bool,
    pub producer_id: ProducerId,
    pub producer_epoch: ProducerEpoch,
    pub base_sequence: i32,
    pub base_timestamp_ms: i64,
    pub max_timestamp_ms: i64,
    pub records: i32,
    /// Bytes of the batch on disk, header included.
    pub bytes: u32,
    /// Bytes of its records once decompressed.
    pub uncompressed_bytes: u64,
    pub segment: String,
    /// Byte position of the batch in the segment file.
    pub position: u64,
}

/// One segment opened up.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct SegmentDetail {
    pub topic: String,
    pub partition: PartitionIndex,
    pub base_offset: Offset,
    /// File name and size in bytes of each file of the segment.
    pub files: Vec<(String, u64)>,
    /// Offset index entries: offset and byte position.
    pub index: Vec<(Offset, u64)>,
    /// Time index entries: timestamp in milliseconds and offset.
    pub time_index: Vec<(i64, Offset)>,
    /// Batches from the focused offset on.
    pub batches: Vec<BatchDetail>,
    /// True when the segment holds more batches after these.
    pub more: bool,
}

/// A running or finished search through records.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Browse {
    pub query: BrowseQuery,
    /// Matches in the order of the query: newest first for `Newest` and `LiveTail`, else by time of arrival.
    pub rows: Vec<Arc<BrowseRow>>,
    /// Records looked at so far.
    pub scanned: u64,
    /// Records there are to look at (offsets between the ends; ≈ when gaps are possible).
    pub of: u64,
    pub bytes_scanned: u64,
    pub state: BrowseState,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum BrowseState {
    Running,
    Paused,
    /// Stopped at the row limit; `BrowseMore` continues.
    LimitReached,
    /// Everything there was has been read.
    Complete,
    Failed(super::Failure),
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct BrowseRow {
    pub partition: PartitionIndex,
    pub offset: Offset,
    pub timestamp_ms: i64,
    /// At most [`ROW_BYTES`] of each; `*_len` is the whole length.
    pub key: Option<Vec<u8>>,
    pub key_len: u64,
    pub value: Option<Vec<u8>>,
    pub value_len: u64,
    pub headers: u32,
    pub key_hash: Option<u32>,
}

/// Bytes of a key or value a browse row carries.
pub const ROW_BYTES: usize = 256;
