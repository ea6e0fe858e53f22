//! A small Kafka client as state machines: a producer, a consumer without groups, an admin. *Pure.*
//!
//! Each is a [`Machine`]: frames and the time go in, [`Action`]s come out, and a driver with sockets and a
//! clock carries them out (or the lab does, on virtual time). They speak Kafka's protocol to any broker,
//! find leaders by Metadata, and work unchanged with several brokers.
//! No threads, sockets, clocks or randomness of their own; no groups, no transactions.

mod admin;
mod cluster_view;
mod consumer;
mod failure;
mod links;
mod partitioner;
mod producer;
mod template;

pub use admin::{Admin, AdminAnswer, AdminRequest, ConfigEntry, OperationId, Placed, Placement};
pub use cluster_view::{ClusterView, PartitionView, TopicView};
pub use consumer::{
    Consumer, ConsumerConfig, ConsumerEvent, Fetched, OffsetQuery, Progress, Start, Visited,
};
pub use failure::CallError;
pub use links::{Action, Address, LinkId, LinksConfig, Machine};
pub use partitioner::Partitioner;
pub use producer::{Delivery, Producer, ProducerConfig, ProducerRecord, SendError, SendId};
pub use template::{Template, TemplateError};

#[cfg(test)]
mod hostile_tests;
#[cfg(test)]
mod tests;
