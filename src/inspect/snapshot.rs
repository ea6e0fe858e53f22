//! One immutable picture of a cluster, and what the window asks it to contain.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::{BrowseQuery, Event, Outcome, ProducerPlan};
use crate::ids::{
    BrokerId, ConnectionId, LeaderEpoch, Offset, PartitionIndex, ProducerEpoch, ProducerId, Time,
    TopicId,
};

/// Everything the window draws and `klar ctl snapshot` prints, at one moment. Counters only grow;
/// rates are differences the reader makes.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ClusterSnapshot {
    /// Number of the last event this picture includes.
    pub event_number: u64,
    pub time: Time,
    pub cluster_id: String,
    /// What a client connects to, such as `127.0.0.1:9092`.
    pub bootstrap: String,
    /// `None` for an ephemeral cluster.
    pub data_dir: Option<String>,
    pub durability: Durability,
    /// True when clients from other machines can connect.
    pub listens_beyond_loopback: bool,
    /// The broker that decides about metadata, as the most advanced of the living ones sees it.
    pub controller: Option<BrokerId>,
    /// `None` until a broker has told of it.
    pub quorum: Option<QuorumSnapshot>,
    /// By number, the dead ones too.
    pub brokers: Vec<BrokerSnapshot>,
    /// Directions between brokers that are not as good as new.
    pub links: Vec<LinkSnapshot>,
    /// By name.
    pub topics: Vec<Arc<TopicSnapshot>>,
    pub totals: Totals,
    pub connections: Vec<ConnectionSnapshot>,
    /// The newest events, oldest first, at most [`EVENTS_KEPT`].
    pub events: Vec<Arc<Event>>,
    /// The newest outcomes of commands, oldest first, at most [`OUTCOMES_KEPT`].
    pub outcomes: Vec<Outcome>,
    /// Contents of the focused lanes.
    pub lanes: Vec<Arc<Lane>>,
    pub record: Option<Arc<RecordAnswer>>,
    pub segment: Option<Arc<SegmentDetail>>,
    pub browse: Option<Arc<Browse>>,
    pub producers: Vec<ProducerSnapshot>,
    /// Topics waiting out their undo time: name and the moment they go.
    pub deleting: Vec<(String, Time)>,
}

/// Events a snapshot carries.
pub const EVENTS_KEPT: usize = 2_000;
/// Outcomes a snapshot carries.
pub const OUTCOMES_KEPT: usize = 64;

/// When an acknowledged record is on the medium.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Durability {
    /// Written before the ack; synced on roll, clean stop and every second.
    #[default]
    Os,
    /// Synced before the ack, many acks to a sync.
    Batch,
    /// Never written to a file.
    Memory,
}

/// Counters over everything, since the program started.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct Totals {
    pub records_in: u64,
    pub bytes_in: u64,
    pub records_out: u64,
    pub bytes_out: u64,
    pub requests: u64,
    pub errors: u64,
}

impl Totals {
    /// Adds what another broker, or the same one before, has counted.
    pub fn add(&mut self, other: Totals) {
        self.records_in += other.records_in;
        self.bytes_in += other.bytes_in;
        self.records_out += other.records_out;
        self.bytes_out += other.bytes_out;
        self.requests += other.requests;
        self.errors += other.errors;
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct BrokerSnapshot {
    pub id: BrokerId,
    pub host: String,
    pub port: u16,
    pub state: BrokerState,
    pub started: Time,
    /// What the last start found and did.
    pub recovery: String,
    pub connections: u32,
    pub log_bytes: u64,
    /// Effective broker settings by Kafka's names: name, value, whether it is the default.
    pub settings: Vec<(String, String, bool)>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum BrokerState {
    Starting,
    Running,
    /// Its thread stands still: it reads nothing, answers nothing, and no timer of it runs.
    Paused,
    /// Stopped cleanly.
    Stopped,
    /// Ended from outside, as `kill -9` ends a process.
    Killed,
    Crashed {
        message: String,
    },
}

/// The metadata quorum, as its leader reports it or else the most advanced broker.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct QuorumSnapshot {
    pub leader: Option<BrokerId>,
    pub epoch: LeaderEpoch,
    /// Below this, metadata records are committed and applied.
    pub high_watermark: Offset,
    pub log_end: Offset,
    /// By number: the voters, then the observers.
    pub replicas: Vec<QuorumReplica>,
}

/// One broker's place in the metadata quorum, as the leader sees it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct QuorumReplica {
    pub broker: BrokerId,
    /// It votes; an observer only reads.
    pub voter: bool,
    /// −1 while the leader does not know.
    pub log_end: Offset,
    /// Milliseconds since its last fetch.
    pub fetched_ms: Option<u64>,
    /// Milliseconds since it had everything the leader had.
    pub caught_up_ms: Option<u64>,
}

/// One direction between two brokers that is cut, slow or lossy.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct LinkSnapshot {
    pub from: BrokerId,
    pub to: BrokerId,
    /// Nothing arrives.
    pub cut: bool,
    /// Everything takes this much longer, milliseconds.
    pub delay_ms: u64,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct TopicSnapshot {
    pub name: String,
    pub id: TopicId,
    pub internal: bool,
    pub replication_factor: i16,
    /// Effective settings by Kafka's names, all of them.
    pub configs: Vec<ConfigValue>,
    pub partitions: Vec<PartitionSnapshot>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ConfigValue {
    pub name: &'static str,
    pub value: String,
    /// True when the topic sets it; false when it is the broker's value.
    pub set: bool,
    pub doc: &'static str,
}

/// One partition as its leader reports it; as the last leader did while there is none.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PartitionSnapshot {
    pub index: PartitionIndex,
    pub leader: Option<BrokerId>,
    pub leader_epoch: LeaderEpoch,
    /// In the order of the assignment: the first is the preferred leader.
    pub replicas: Vec<ReplicaSnapshot>,
    pub isr: Vec<BrokerId>,
    pub log_start: Offset,
    pub high_watermark: Offset,
    pub last_stable: Offset,
    pub log_end: Offset,
    pub bytes: u64,
    pub records_in: u64,
    pub bytes_in: u64,
    pub bytes_out: u64,
    /// Timestamp of the newest record, milliseconds since the Unix epoch; −1 without one.
    pub max_timestamp_ms: i64,
    pub segments: Vec<SegmentSnapshot>,
    /// Leader epochs and the offset each began at.
    pub epochs: Vec<(LeaderEpoch, Offset)>,
    /// Idempotent producers with state in this partition.
    pub producers: u32,
    /// Set while a range of the log is known to be damaged, or its disk refuses writes.
    pub trouble: Option<String>,
}

/// One replica of a partition as the broker that holds it reports it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct ReplicaSnapshot {
    pub broker: BrokerId,
    /// Offsets are −1 while the broker has not told of them. A dead broker's are the last it told.
    pub log_start: Offset,
    pub log_end: Offset,
    /// As this replica knows it; a follower's is behind its leader's.
    pub high_watermark: Offset,
    pub leader_epoch: LeaderEpoch,
    /// It is in the partition's ISR.
    pub in_sync: bool,
    /// Milliseconds since a follower had everything its leader had, as the leader sees it.
    pub caught_up_ms: Option<u64>,
    pub state: ReplicaState,
}

/// What a replica does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ReplicaState {
    Leader,
    Follower,
    /// Its log cannot be used.
    Failed,
    /// Its broker does not run.
    Offline,
    /// Its broker has not told of it.
    Unknown,
}

impl ReplicaSnapshot {
    /// A replica nobody has told of.
    pub fn unknown(broker: BrokerId) -> ReplicaSnapshot {
        ReplicaSnapshot {
            broker,
            log_start: Offset::NONE,
            log_end: Offset::NONE,
            high_watermark: Offset::NONE,
            leader_epoch: LeaderEpoch::NONE,
            in_sync: false,
            caught_up_ms: None,
            state: ReplicaState::Unknown,
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct SegmentSnapshot {
    pub base_offset: Offset,
    /// One past the last offset in it.
    pub end_offset: Offset,
    pub bytes: u64,
    pub index_entries: u32,
    pub index_bytes: u64,
    pub time_index_entries: u32,
    pub time_index_bytes: u64,
    pub max_timestamp_ms: i64,
    pub active: bool,
}

/// A client connection as its broker sees it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ConnectionSnapshot {
    pub id: ConnectionId,
    pub broker: BrokerId,
    pub peer: String,
    pub client_id: String,
    /// Library and version from ApiVersions 3+, or empty.
    pub software: String,
    pub since: Time,
    pub requests: u64,
    pub errors: u64,
    pub last_api: String,
    /// True for klar's own panels.
    pub own: bool,
}

/// What the window looks at; pictures contain record contents only for this.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Focus {
    pub lanes: Option<LaneFocus>,
    pub record: Option<RecordFocus>,
    pub segment: Option<SegmentFocus>,
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

/// One of klar's own producers.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ProducerSnapshot {
    pub id: u64,
    pub plan: ProducerPlan,
    pub running: bool,
    pub sent: u64,
    pub acked: u64,
    pub failed: u64,
    pub last_error: Option<super::Failure>,
    pub producer_id: ProducerId,
    /// Milliseconds from send to ack, of the newest acked batch.
    pub latency_ms: f64,
}
