//! Partitions and brokers as the messages Kafka's metadata records carry, and back.
//!
//! Log directories are left out: each broker has one.

use super::broker_image::{BrokerImage, Endpoint};
use super::partition_image::{LeaderRecovery, PartitionChange, PartitionImage};
use super::record_bytes::RecordError;
use crate::ids::{BrokerEpoch, BrokerId, IncarnationId, LeaderEpoch, PartitionIndex, TopicId};
use crate::wire::messages::broker_registration_change_record::BrokerRegistrationChangeRecord;
use crate::wire::messages::partition_change_record::PartitionChangeRecord;
use crate::wire::messages::partition_record::PartitionRecord;
use crate::wire::messages::register_broker_record::{BrokerEndpoint, RegisterBrokerRecord};

/// How the protocol writes "nobody leads".
const NO_LEADER: i32 = -1;
/// How a change record writes "the leader stays".
const SAME_LEADER: i32 = -2;
/// How a change record writes "the recovery state stays".
const SAME_RECOVERY: i8 = -1;
/// How a change record writes "became fenced" and "is no longer fenced".
const FENCED: i8 = 1;
const UNFENCED: i8 = -1;
/// The security protocol's number: klar's listeners are plain.
const PLAINTEXT: i16 = 0;

fn numbers(brokers: &[BrokerId]) -> Vec<i32> {
    brokers.iter().map(|broker| broker.0).collect()
}

fn brokers(numbers: Vec<i32>) -> Vec<BrokerId> {
    numbers.into_iter().map(BrokerId).collect()
}

fn leader(number: i32) -> Option<BrokerId> {
    (number != NO_LEADER).then_some(BrokerId(number))
}

fn recovery(number: i8) -> Result<LeaderRecovery, RecordError> {
    match number {
        0 => Ok(LeaderRecovery::Recovered),
        1 => Ok(LeaderRecovery::Recovering),
        other => Err(RecordError::Recovery(other)),
    }
}

pub(super) fn partition_record(
    topic: TopicId,
    index: PartitionIndex,
    partition: &PartitionImage,
) -> PartitionRecord {
    let unless_empty = |list: &[BrokerId]| (!list.is_empty()).then(|| numbers(list));
    PartitionRecord {
        partition_id: index.0,
        topic_id: topic,
        replicas: numbers(&partition.replicas),
        isr: numbers(&partition.isr),
        removing_replicas: numbers(&partition.removing),
        adding_replicas: numbers(&partition.adding),
        leader: partition.leader.map_or(NO_LEADER, |leader| leader.0),
        leader_recovery_state: partition.recovery as i8,
        leader_epoch: partition.leader_epoch.0,
        partition_epoch: partition.partition_epoch,
        directories: Vec::new(),
        eligible_leader_replicas: unless_empty(&partition.elr),
        last_known_elr: unless_empty(&partition.last_known_elr),
    }
}

pub(super) fn partition_of(message: PartitionRecord) -> Result<PartitionImage, RecordError> {
    Ok(PartitionImage {
        replicas: brokers(message.replicas),
        isr: brokers(message.isr),
        adding: brokers(message.adding_replicas),
        removing: brokers(message.removing_replicas),
        elr: brokers(message.eligible_leader_replicas.unwrap_or_default()),
        last_known_elr: brokers(message.last_known_elr.unwrap_or_default()),
        leader: leader(message.leader),
        leader_epoch: LeaderEpoch(message.leader_epoch),
        recovery: recovery(message.leader_recovery_state)?,
        partition_epoch: message.partition_epoch,
    })
}

pub(super) fn change_record(
    topic: TopicId,
    index: PartitionIndex,
    change: &PartitionChange,
) -> PartitionChangeRecord {
    let list = |list: &Option<Vec<BrokerId>>| list.as_deref().map(numbers);
    PartitionChangeRecord {
        partition_id: index.0,
        topic_id: topic,
        isr: list(&change.isr),
        leader: match change.leader {
            Some(leader) => leader.map_or(NO_LEADER, |leader| leader.0),
            None => SAME_LEADER,
        },
        replicas: list(&change.replicas),
        removing_replicas: list(&change.removing),
        adding_replicas: list(&change.adding),
        leader_recovery_state: change.recovery.map_or(SAME_RECOVERY, |state| state as i8),
        directories: None,
        eligible_leader_replicas: list(&change.elr),
        last_known_elr: list(&change.last_known_elr),
    }
}

pub(super) fn change_of(message: PartitionChangeRecord) -> Result<PartitionChange, RecordError> {
    Ok(PartitionChange {
        isr: message.isr.map(brokers),
        leader: (message.leader != SAME_LEADER).then(|| leader(message.leader)),
        replicas: message.replicas.map(brokers),
        adding: message.adding_replicas.map(brokers),
        removing: message.removing_replicas.map(brokers),
        elr: message.eligible_leader_replicas.map(brokers),
        last_known_elr: message.last_known_elr.map(brokers),
        recovery: match message.leader_recovery_state {
            SAME_RECOVERY => None,
            state => Some(recovery(state)?),
        },
    })
}

pub(super) fn register_record(broker: &BrokerImage) -> RegisterBrokerRecord {
    let endpoint = |endpoint: &Endpoint| BrokerEndpoint {
        name: endpoint.name.clone(),
        host: endpoint.host.clone(),
        port: endpoint.port,
        security_protocol: PLAINTEXT,
    };
    RegisterBrokerRecord {
        broker_id: broker.id.0,
        incarnation_id: TopicId(broker.incarnation.0),
        broker_epoch: broker.epoch.0,
        end_points: broker.endpoints.iter().map(endpoint).collect(),
        features: Vec::new(),
        rack: broker.rack.clone(),
        fenced: broker.fenced,
        in_controlled_shutdown: broker.in_controlled_shutdown,
    }
}

pub(super) fn broker_of(message: RegisterBrokerRecord) -> BrokerImage {
    let endpoint = |endpoint: BrokerEndpoint| Endpoint {
        name: endpoint.name,
        host: endpoint.host,
        port: endpoint.port,
    };
    BrokerImage {
        id: BrokerId(message.broker_id),
        incarnation: IncarnationId(message.incarnation_id.0),
        epoch: BrokerEpoch(message.broker_epoch),
        endpoints: message.end_points.into_iter().map(endpoint).collect(),
        rack: message.rack,
        fenced: message.fenced,
        in_controlled_shutdown: message.in_controlled_shutdown,
    }
}

pub(super) fn broker_change_record(
    id: BrokerId,
    epoch: BrokerEpoch,
    fenced: Option<bool>,
    in_controlled_shutdown: bool,
) -> BrokerRegistrationChangeRecord {
    BrokerRegistrationChangeRecord {
        broker_id: id.0,
        broker_epoch: epoch.0,
        fenced: match fenced {
            Some(true) => FENCED,
            Some(false) => UNFENCED,
            None => 0,
        },
        in_controlled_shutdown: i8::from(in_controlled_shutdown),
    }
}

/// Whether the broker becomes fenced or unfenced.
pub(super) fn fencing_of(message: &BrokerRegistrationChangeRecord) -> Option<bool> {
    match message.fenced {
        FENCED => Some(true),
        UNFENCED => Some(false),
        _ => None,
    }
}
