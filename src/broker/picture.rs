//! What a broker shows of itself.

use std::sync::Arc;

use crate::ids::Time;
use crate::inspect::{
    BrokerSnapshot, ConnectionSnapshot, Lane, RecordAnswer, SegmentDetail, TopicSnapshot, Totals,
};

/// One broker at one moment. What did not change since the last picture is the same allocation.
#[derive(Debug, Clone)]
pub struct BrokerPicture {
    pub time: Time,
    pub cluster_id: String,
    pub broker: Arc<BrokerSnapshot>,
    /// By name; the whole list is the same `Arc` when no topic changed.
    pub topics: Arc<Vec<Arc<TopicSnapshot>>>,
    pub totals: Totals,
    /// The newest first, at most [`CONNECTIONS_SHOWN`].
    pub connections: Arc<Vec<ConnectionSnapshot>>,
    pub lanes: Vec<Arc<Lane>>,
    pub record: Option<Arc<RecordAnswer>>,
    pub segment: Option<Arc<SegmentDetail>>,
}

/// Connections a picture lists; `broker.connections` counts all.
pub const CONNECTIONS_SHOWN: usize = 256;
