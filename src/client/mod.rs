//! A small Kafka client as state machines: a producer, a consumer, a member of a consumer group, an admin. *Pure.*
//!
//! Each is a [`Machine`]: frames and the time go in, [`Action`]s come out, and a driver with sockets and a
//! clock carries them out (or the lab does, on virtual time). They speak Kafka's protocol to any broker,
//! find leaders by Metadata, and work unchanged with several brokers.
//! No threads, sockets, clocks or randomness of their own; no transactions.

mod admin;
mod cluster_view;
mod consumer;
mod failure;
mod group;
mod links;
mod machine;
mod partitioner;
mod producer;
mod reach;
mod template;

pub use admin::{Admin, AdminAnswer, AdminRequest, ConfigEntry, OperationId, Placed, Placement};
pub use cluster_view::{ClusterView, PartitionView, TopicView};
pub use consumer::{
    Consumer, ConsumerConfig, ConsumerEvent, Fetched, OffsetQuery, Progress, Start, Visited,
};
pub use failure::CallError;
pub use group::{
    Assignor, CommitPolicy, GroupConfig, GroupConsumer, GroupEvent, GroupProtocol, MemberState,
    OffsetReset, OwnedView, PartitionOffset, Subscription,
};
pub use links::{Action, LinkId};
pub use machine::Machine;
pub use partitioner::Partitioner;
pub use producer::{Delivery, Producer, ProducerConfig, ProducerRecord, SendError, SendId};
pub use reach::{Address, LinksConfig};
pub use template::{Template, TemplateError};

#[cfg(test)]
mod hostile_tests;
#[cfg(test)]
mod tests;
