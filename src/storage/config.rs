//! What a log is asked to do, under Kafka's names and with Kafka's defaults.

use super::tail::TailBudget;

/// Whose clock stamps records: `message.timestamp.type`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum TimestampType {
    #[default]
    CreateTime,
    LogAppendTime,
}

/// Effective settings of one log. Share one `Arc` between partitions that agree.
#[derive(Debug, Clone)]
pub struct LogConfig {
    /// `segment.bytes`: a segment that would grow beyond this is followed by a new one.
    pub segment_bytes: u32,
    /// `segment.index.bytes`: a segment whose index has no room for another entry is followed by a new one.
    pub segment_index_bytes: u32,
    /// `segment.ms`: a segment whose records span more time is followed by a new one.
    pub segment_ms: i64,
    /// `index.interval.bytes`: log bytes between two index entries.
    pub index_interval_bytes: u32,
    /// `max.message.bytes`: the largest batch, header included.
    pub max_message_bytes: u32,
    /// `message.timestamp.type`.
    pub timestamp_type: TimestampType,
    /// `retention.ms`: older segments are deleted; −1 keeps them.
    pub retention_ms: i64,
    /// `retention.bytes`: the oldest segments are deleted while the rest holds this much; −1 keeps them.
    pub retention_bytes: i64,
    /// `producer.id.expiration.ms`: producers silent for longer are forgotten.
    pub producer_expiration_ms: i64,
    /// Newest bytes this log may keep in memory.
    pub tail_bytes: usize,
    /// Newest bytes all logs of the program may keep in memory.
    pub tail_budget: TailBudget,
}

/// Newest bytes one log keeps in memory unless told otherwise.
const DEFAULT_TAIL_BYTES: usize = 4 * 1024 * 1024;

impl Default for LogConfig {
    fn default() -> Self {
        LogConfig {
            segment_bytes: 1024 * 1024 * 1024,
            segment_index_bytes: 10 * 1024 * 1024,
            segment_ms: 7 * 24 * 60 * 60 * 1000,
            index_interval_bytes: 4096,
            max_message_bytes: 1024 * 1024 + 12,
            timestamp_type: TimestampType::CreateTime,
            retention_ms: 7 * 24 * 60 * 60 * 1000,
            retention_bytes: -1,
            producer_expiration_ms: 24 * 60 * 60 * 1000,
            tail_bytes: DEFAULT_TAIL_BYTES,
            tail_budget: TailBudget::default(),
        }
    }
}
