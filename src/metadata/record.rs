//! What changed, once decided: the only thing that changes an image.
//!
//! `record_bytes` says how they lie in the metadata log.

use super::broker_image::BrokerImage;
use super::partition_image::{PartitionChange, PartitionImage};
use crate::ids::{BrokerEpoch, BrokerId, PartitionIndex, ProducerId, TopicId};

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
    PartitionChange {
        topic: TopicId,
        index: PartitionIndex,
        change: PartitionChange,
    },
    RemoveTopic {
        id: TopicId,
    },
    /// A broker registered, or told of itself anew.
    RegisterBroker(BrokerImage),
    UnregisterBroker {
        id: BrokerId,
        epoch: BrokerEpoch,
    },
    BrokerChange {
        id: BrokerId,
        epoch: BrokerEpoch,
        /// `None` stays as it is.
        fenced: Option<bool>,
        /// `true` begins a controlled shutdown, which only a new registration ends.
        in_controlled_shutdown: bool,
    },
    /// `None` goes back to the default.
    Config {
        resource: Resource,
        name: String,
        value: Option<String>,
    },
    ProducerIds {
        broker: BrokerId,
        /// Of the broker that gets the block.
        epoch: BrokerEpoch,
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
