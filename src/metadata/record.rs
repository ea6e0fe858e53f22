//! What changed, once decided: the only thing that changes an image.
//!
//! `record_bytes` says how they lie in the metadata log.

use super::image::PartitionImage;
use crate::ids::{BrokerId, PartitionIndex, ProducerId, TopicId};

/// One change to the cluster's metadata.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Record {
    Topic {
        name: String,
        id: TopicId,
    },
    Partition {
        topic: TopicId,
        index: PartitionIndex,
        partition: PartitionImage,
    },
    RemoveTopic {
        id: TopicId,
    },
    /// `None` goes back to the default.
    Config {
        resource: Resource,
        name: String,
        value: Option<String>,
    },
    ProducerIds {
        broker: BrokerId,
        next: ProducerId,
    },
    FeatureLevel {
        name: String,
        level: i16,
    },
}

/// What a configuration belongs to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Resource {
    Topic(String),
    /// `None` is every broker.
    Broker(Option<BrokerId>),
}
