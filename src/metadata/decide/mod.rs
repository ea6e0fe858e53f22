//! What the controller answers to requests that change metadata.
//!
//! Each function reads the image and returns the records that carry the change out, or why it refuses.
//! It changes nothing: the caller writes the records to the metadata log as one batch and applies them. An answer
//! about one topic never depends on another topic of the same request except through limits and duplicates,
//! which the caller sees by applying as it goes.
//!
//! | what happens | ask | then |
//! |---|---|---|
//! | a controller becomes active | [`Sessions::new`], [`settle`] | look at `next_wakeup` |
//! | BrokerRegistration | [`register`] with the log's end | [`Sessions::on_registered`] |
//! | BrokerHeartbeat | [`heartbeat`] | [`Sessions::on_heartbeat`] |
//! | `Sessions::next_wakeup` | [`Sessions::due`], [`fence`] for each | apply before the next one |
//! | UnregisterBroker | [`unregister`] | [`Sessions::on_unregistered`] |
//! | AlterPartition | [`check_broker_epoch`], [`alter_partition`] for each | answer once committed |
//! | AssignReplicasToDirs | [`check_broker_epoch`], [`lose_replica`] for each | |
//! | AllocateProducerIds | [`check_broker_epoch`], [`next_producer_ids`] | |
//! | ElectLeaders | [`elect_leader`] for each | |
//! | leader.imbalance.check.interval.seconds | [`rebalance_leaders`] | again at once if it was full |
//! | Alter- and ListPartitionReassignments | [`reassign`] for each, [`reassignments`] | |
//!
//! Changes to existing partitions all go through `draft`, where the rules of elections stand.

mod alter_partition;
mod brokers;
mod configs;
mod draft;
mod elections;
mod liveness;
mod lost_replica;
mod partitions;
mod placement;
mod producer_ids;
mod reassign;
#[cfg(test)]
mod rig;
#[cfg(test)]
mod tests;
mod topics;

pub use alter_partition::{Altered, NewIsr, alter_partition};
pub use brokers::{
    Beat, Heartbeat, NewBroker, Registered, check_broker_epoch, fence, heartbeat, register,
    unregister,
};
pub use configs::{
    ConfigChange, ConfigOp, alter_broker, alter_topic, replace_broker, replace_topic,
};
pub use elections::{
    ElectionType, MAX_REBALANCED_AT_ONCE, elect_leader, rebalance_leaders, settle,
};
pub use liveness::Sessions;
pub use lost_replica::lose_replica;
pub use partitions::{MorePartitions, add_partitions};
pub use producer_ids::{PRODUCER_IDS_PER_BLOCK, next_producer_ids};
pub use reassign::{Reassignment, reassign, reassignments};
pub use topics::{
    MAX_PARTITIONS, NewTopic, check_topic_name, create_topic, delete_topic, is_internal,
};

use super::{BrokerSettings, Image};
use crate::ids::BrokerId;

/// What a decision may read. On a controller `image` includes records that are written but not committed yet.
#[derive(Clone, Copy)]
pub struct Facts<'a> {
    pub image: &'a Image,
    pub settings: &'a BrokerSettings,
}

impl<'a> Facts<'a> {
    /// Brokers that are registered, unfenced and not stopping, in the order of their ids.
    pub fn brokers(self) -> impl Iterator<Item = BrokerId> + 'a {
        let live = self.image.brokers().filter(|broker| broker.is_live());
        live.map(|broker| broker.id)
    }
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
    #[error("Broker ID {0} is not currently registered")]
    BrokerIdNotRegistered(BrokerId),
    #[error("{0}")]
    StaleBrokerEpoch(String),
    #[error("Another broker is registered with that broker id: {0}")]
    DuplicateBrokerRegistration(BrokerId),
    #[error("{0}")]
    InvalidRegistration(String),
    #[error("The leader knows a later state of the partition than this controller.")]
    NotController,
    #[error("The leader epoch is over.")]
    FencedLeaderEpoch,
    #[error("The partition has changed since.")]
    InvalidUpdateVersion,
    #[error("{0}")]
    IneligibleReplica(String),
    #[error("Leader election not needed for topic partition.")]
    ElectionNotNeeded,
    #[error("The preferred leader was not available.")]
    PreferredLeaderNotAvailable,
    #[error("Eligible topic partition leaders are not available.")]
    EligibleLeadersNotAvailable,
    #[error("No partition reassignment is in progress.")]
    NoReassignmentInProgress,
}
