//! What the controller answers to requests that change metadata.
//!
//! Each function reads the image and returns the records that carry the change out, or why it refuses.
//! It changes nothing: the caller writes the records to the metadata log and applies them. An answer about
//! one topic never depends on another topic of the same request except through limits and duplicates,
//! which the caller sees by applying as it goes.

mod configs;
mod partitions;
mod producer_ids;
mod topics;

pub use configs::{
    ConfigChange, ConfigOp, alter_broker, alter_topic, replace_broker, replace_topic,
};
pub use partitions::{MorePartitions, add_partitions};
pub use producer_ids::{PRODUCER_IDS_PER_BLOCK, next_producer_ids};
pub use topics::{
    MAX_PARTITIONS, NewTopic, check_topic_name, create_topic, delete_topic, is_internal,
};

use super::{BrokerSettings, Image};
use crate::ids::BrokerId;

/// What a decision may read.
#[derive(Clone, Copy)]
pub struct Facts<'a> {
    pub image: &'a Image,
    pub settings: &'a BrokerSettings,
    /// Brokers that are registered and not fenced, in order.
    pub brokers: &'a [BrokerId],
}

/// Why a request is refused, with the sentence Kafka's controller gives. `broker::api` finds the code.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    #[error("{0}")]
    InvalidTopicName(String),
    #[error("Topic '{0}' already exists.")]
    TopicExists(String),
    #[error("This server does not host this topic-partition.")]
    UnknownTopic,
    #[error("This server does not host this topic ID.")]
    UnknownTopicId,
    #[error("{0}")]
    InvalidPartitions(String),
    #[error("{0}")]
    InvalidReplicationFactor(String),
    #[error("{0}")]
    InvalidAssignment(String),
    #[error("{0}")]
    InvalidConfig(String),
    #[error("{0}")]
    InvalidRequest(String),
    #[error("{0}")]
    Policy(String),
    #[error("Topic deletion is disabled.")]
    DeletionDisabled,
}
