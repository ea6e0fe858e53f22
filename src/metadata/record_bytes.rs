//! How records lie in the metadata log.
//!
//! As bytes they are Kafka's own metadata records: frame version 1, the record's number and its version as
//! unsigned varints, then the generated message. A record this klar does not know is an error, because
//! skipping it would build another image than the one that wrote it had.

use bytes::Bytes;

use super::record::{Record, Resource};
use super::record_messages::{
    broker_change_record, broker_of, change_of, change_record, fencing_of, partition_of,
    partition_record, register_record,
};
use crate::ids::{BrokerEpoch, BrokerId, PartitionIndex, ProducerId};
use crate::wire::messages::broker_registration_change_record::BrokerRegistrationChangeRecord;
use crate::wire::messages::config_record::ConfigRecord;
use crate::wire::messages::feature_level_record::FeatureLevelRecord;
use crate::wire::messages::partition_change_record::PartitionChangeRecord;
use crate::wire::messages::partition_record::PartitionRecord;
use crate::wire::messages::producer_ids_record::ProducerIdsRecord;
use crate::wire::messages::register_broker_record::RegisterBrokerRecord;
use crate::wire::messages::remove_topic_record::RemoveTopicRecord;
use crate::wire::messages::topic_record::TopicRecord;
use crate::wire::messages::unregister_broker_record::UnregisterBrokerRecord;
use crate::wire::{DecodeError, EncodeError, Reader, Writer};

/// Why bytes are not a metadata record.
#[derive(Debug, thiserror::Error)]
pub enum RecordError {
    #[error("the record is cut")]
    Cut,
    #[error("frame version {0} is not known, only 1 is")]
    Frame(u32),
    #[error("record type {0} version {1} is not known to this klar")]
    Unknown(u32, u32),
    #[error("config resource type {0} named {1:?} is not known")]
    Resource(i8, String),
    #[error("leader recovery state {0} is not known")]
    Recovery(i8),
    #[error(transparent)]
    Decode(#[from] DecodeError),
    #[error(transparent)]
    Encode(#[from] EncodeError),
}

const FRAME: u32 = 1;
const TOPIC: u32 = 2;
const PARTITION: u32 = 3;
const CONFIG: u32 = 4;
const PARTITION_CHANGE: u32 = 5;
const REMOVE_TOPIC: u32 = 9;
const UNREGISTER_BROKER: u32 = 10;
const FEATURE_LEVEL: u32 = 12;
const PRODUCER_IDS: u32 = 15;
const BROKER_CHANGE: u32 = 17;
const REGISTER_BROKER: u32 = 27;

const RESOURCE_TOPIC: i8 = 2;
const RESOURCE_BROKER: i8 = 4;

/// The version a record type is written in; it and those below can be read.
fn version_of(number: u32) -> i16 {
    match number {
        PARTITION | PARTITION_CHANGE => 2,
        BROKER_CHANGE | REGISTER_BROKER => 1,
        _ => 0,
    }
}

impl Record {
    /// The record as the value of a log record.
    ///
    /// # Errors
    /// A text longer than the wire can carry.
    pub fn encode(&self) -> Result<Vec<u8>, RecordError> {
        let mut writer = Writer::new();
        let number = self.number();
        let version = version_of(number);
        self.encode_body(&mut writer, version)?;
        let version = u8::try_from(version).expect("versions are small");
        // All three numbers are below 128, so each is one byte as a varint.
        let mut bytes = vec![FRAME as u8, number as u8, version];
        bytes.extend_from_slice(&writer.finish_value());
        Ok(bytes)
    }

    fn number(&self) -> u32 {
        match self {
            Record::Topic { .. } => TOPIC,
            Record::Partition { .. } => PARTITION,
            Record::PartitionChange { .. } => PARTITION_CHANGE,
            Record::RemoveTopic { .. } => REMOVE_TOPIC,
            Record::RegisterBroker(_) => REGISTER_BROKER,
            Record::UnregisterBroker { .. } => UNREGISTER_BROKER,
            Record::BrokerChange { .. } => BROKER_CHANGE,
            Record::Config { .. } => CONFIG,
            Record::ProducerIds { .. } => PRODUCER_IDS,
            Record::FeatureLevel { .. } => FEATURE_LEVEL,
        }
    }

    fn encode_body(&self, writer: &mut Writer, version: i16) -> Result<(), EncodeError> {
        match self {
            Record::Topic { name, id } => TopicRecord {
                name: name.clone(),
                topic_id: *id,
            }
            .encode(writer, version),
            Record::Partition {
                topic,
                index,
                partition,
            } => partition_record(*topic, *index, partition).encode(writer, version),
            Record::PartitionChange {
                topic,
                index,
                change,
            } => change_record(*topic, *index, change).encode(writer, version),
            Record::RemoveTopic { id } => {
                RemoveTopicRecord { topic_id: *id }.encode(writer, version)
            }
            Record::RegisterBroker(broker) => register_record(broker).encode(writer, version),
            Record::UnregisterBroker { id, epoch } => UnregisterBrokerRecord {
                broker_id: id.0,
                broker_epoch: epoch.0,
            }
            .encode(writer, version),
            Record::BrokerChange {
                id,
                epoch,
                fenced,
                in_controlled_shutdown,
            } => broker_change_record(*id, *epoch, *fenced, *in_controlled_shutdown)
                .encode(writer, version),
            Record::Config {
                resource,
                name,
                value,
            } => config_record(resource, name, value.as_deref()).encode(writer, version),
            Record::ProducerIds {
                broker,
                epoch,
                next,
            } => ProducerIdsRecord {
                broker_id: broker.0,
                broker_epoch: epoch.0,
                next_producer_id: next.0,
            }
            .encode(writer, version),
            Record::FeatureLevel { name, level } => FeatureLevelRecord {
                name: name.clone(),
                feature_level: *level,
            }
            .encode(writer, version),
        }
    }

    /// Reads what [`Record::encode`] wrote, in this version or an earlier one.
    ///
    /// # Errors
    /// Anything else.
    pub fn decode(bytes: &[u8]) -> Result<Record, RecordError> {
        let mut rest = bytes;
        let frame = varint(&mut rest)?;
        if frame != FRAME {
            return Err(RecordError::Frame(frame));
        }
        let number = varint(&mut rest)?;
        let written = varint(&mut rest)?;
        let version = i16::try_from(written)
            .ok()
            .filter(|version| *version <= version_of(number))
            .ok_or(RecordError::Unknown(number, written))?;
        let mut reader = Reader::new(Bytes::copy_from_slice(rest));
        match number {
            PARTITION | PARTITION_CHANGE => decode_partition(number, &mut reader, version),
            REGISTER_BROKER | UNREGISTER_BROKER | BROKER_CHANGE => {
                decode_broker(number, &mut reader, version)
            }
            _ => decode_other(number, &mut reader, version),
        }
    }
}

fn decode_partition(number: u32, reader: &mut Reader, version: i16) -> Result<Record, RecordError> {
    if number == PARTITION {
        let message = PartitionRecord::decode(reader, version)?;
        return Ok(Record::Partition {
            topic: message.topic_id,
            index: PartitionIndex(message.partition_id),
            partition: partition_of(message)?,
        });
    }
    let message = PartitionChangeRecord::decode(reader, version)?;
    Ok(Record::PartitionChange {
        topic: message.topic_id,
        index: PartitionIndex(message.partition_id),
        change: change_of(message)?,
    })
}

fn decode_broker(number: u32, reader: &mut Reader, version: i16) -> Result<Record, RecordError> {
    Ok(match number {
        REGISTER_BROKER => {
            Record::RegisterBroker(broker_of(RegisterBrokerRecord::decode(reader, version)?))
        }
        UNREGISTER_BROKER => {
            let message = UnregisterBrokerRecord::decode(reader, version)?;
            Record::UnregisterBroker {
                id: BrokerId(message.broker_id),
                epoch: BrokerEpoch(message.broker_epoch),
            }
        }
        _ => {
            let message = BrokerRegistrationChangeRecord::decode(reader, version)?;
            Record::BrokerChange {
                id: BrokerId(message.broker_id),
                epoch: BrokerEpoch(message.broker_epoch),
                fenced: fencing_of(&message),
                in_controlled_shutdown: message.in_controlled_shutdown == 1,
            }
        }
    })
}

fn decode_other(number: u32, reader: &mut Reader, version: i16) -> Result<Record, RecordError> {
    Ok(match number {
        TOPIC => {
            let message = TopicRecord::decode(reader, version)?;
            Record::Topic {
                name: message.name,
                id: message.topic_id,
            }
        }
        REMOVE_TOPIC => Record::RemoveTopic {
            id: RemoveTopicRecord::decode(reader, version)?.topic_id,
        },
        CONFIG => {
            let message = ConfigRecord::decode(reader, version)?;
            Record::Config {
                resource: Resource::from_wire(message.resource_type, message.resource_name)?,
                name: message.name,
                value: message.value,
            }
        }
        PRODUCER_IDS => {
            let message = ProducerIdsRecord::decode(reader, version)?;
            Record::ProducerIds {
                broker: BrokerId(message.broker_id),
                epoch: BrokerEpoch(message.broker_epoch),
                next: ProducerId(message.next_producer_id),
            }
        }
        FEATURE_LEVEL => {
            let message = FeatureLevelRecord::decode(reader, version)?;
            Record::FeatureLevel {
                name: message.name,
                level: message.feature_level,
            }
        }
        unknown => {
            let version = u32::try_from(version).unwrap_or(0);
            return Err(RecordError::Unknown(unknown, version));
        }
    })
}

fn config_record(resource: &Resource, name: &str, value: Option<&str>) -> ConfigRecord {
    let (resource_type, resource_name) = resource.to_wire();
    ConfigRecord {
        resource_type,
        resource_name,
        name: name.to_owned(),
        value: value.map(str::to_owned),
    }
}

impl Resource {
    fn to_wire(&self) -> (i8, String) {
        match self {
            Resource::Topic(name) => (RESOURCE_TOPIC, name.clone()),
            Resource::Broker(Some(broker)) => (RESOURCE_BROKER, broker.to_string()),
            Resource::Broker(None) => (RESOURCE_BROKER, String::new()),
        }
    }

    fn from_wire(kind: i8, name: String) -> Result<Resource, RecordError> {
        match (kind, name.parse()) {
            (RESOURCE_TOPIC, _) => Ok(Resource::Topic(name)),
            (RESOURCE_BROKER, Ok(broker)) => Ok(Resource::Broker(Some(BrokerId(broker)))),
            (RESOURCE_BROKER, Err(_)) if name.is_empty() => Ok(Resource::Broker(None)),
            _ => Err(RecordError::Resource(kind, name)),
        }
    }
}

fn varint(bytes: &mut &[u8]) -> Result<u32, RecordError> {
    let mut value = 0;
    for shift in [0, 7, 14, 21] {
        let (first, rest) = bytes.split_first().ok_or(RecordError::Cut)?;
        *bytes = rest;
        value |= u32::from(first & 0x7f) << shift;
        if first & 0x80 == 0 {
            return Ok(value);
        }
    }
    Err(RecordError::Cut)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::{IncarnationId, LeaderEpoch, TopicId};
    use crate::metadata::{BrokerImage, Endpoint, LeaderRecovery, PartitionChange, PartitionImage};

    fn brokers(ids: &[i32]) -> Vec<BrokerId> {
        ids.iter().copied().map(BrokerId).collect()
    }

    #[test]
    fn partitions_written_before_there_were_eligible_leaders_are_read() {
        let message = PartitionRecord {
            topic_id: TopicId([9; 16]),
            replicas: vec![1],
            isr: vec![1],
            leader: 1,
            leader_epoch: 3,
            partition_epoch: 4,
            ..PartitionRecord::default()
        };
        let mut writer = Writer::new();
        message.encode(&mut writer, 0).expect("it fits");
        let mut bytes = vec![1, 3, 0];
        bytes.extend_from_slice(&writer.finish_value());
        let Ok(Record::Partition { partition, .. }) = Record::decode(&bytes) else {
            panic!("a partition record");
        };
        assert_eq!(partition.leader, Some(BrokerId(1)));
        assert_eq!(partition.leader_epoch, LeaderEpoch(3));
        assert!(partition.elr.is_empty());
    }

    fn of_partitions() -> Vec<Record> {
        let id = TopicId([9; 16]);
        vec![
            Record::Partition {
                topic: id,
                index: PartitionIndex(3),
                partition: PartitionImage {
                    replicas: brokers(&[1, 2, 3, 4]),
                    isr: brokers(&[1]),
                    adding: brokers(&[4]),
                    removing: brokers(&[2]),
                    elr: brokers(&[2, 3]),
                    last_known_elr: brokers(&[1]),
                    leader: Some(BrokerId(1)),
                    leader_epoch: LeaderEpoch(4),
                    recovery: LeaderRecovery::Recovering,
                    partition_epoch: 5,
                },
            },
            Record::PartitionChange {
                topic: id,
                index: PartitionIndex(3),
                change: PartitionChange {
                    isr: Some(Vec::new()),
                    leader: Some(None),
                    replicas: Some(brokers(&[1, 2])),
                    adding: Some(Vec::new()),
                    removing: Some(brokers(&[2])),
                    elr: Some(brokers(&[1])),
                    last_known_elr: Some(brokers(&[1])),
                    recovery: Some(LeaderRecovery::Recovered),
                },
            },
            Record::PartitionChange {
                topic: id,
                index: PartitionIndex(0),
                change: PartitionChange::default(),
            },
        ]
    }

    fn of_brokers() -> Vec<Record> {
        vec![
            Record::RegisterBroker(BrokerImage {
                id: BrokerId(2),
                incarnation: IncarnationId([7; 16]),
                epoch: BrokerEpoch(77),
                endpoints: vec![Endpoint {
                    name: "PLAINTEXT".into(),
                    host: "127.0.0.1".into(),
                    port: 40_092,
                }],
                rack: Some("a".into()),
                fenced: false,
                in_controlled_shutdown: true,
            }),
            Record::BrokerChange {
                id: BrokerId(2),
                epoch: BrokerEpoch(77),
                fenced: Some(false),
                in_controlled_shutdown: true,
            },
            Record::BrokerChange {
                id: BrokerId(2),
                epoch: BrokerEpoch(77),
                fenced: None,
                in_controlled_shutdown: false,
            },
            Record::UnregisterBroker {
                id: BrokerId(2),
                epoch: BrokerEpoch(77),
            },
        ]
    }

    fn one_of_each() -> Vec<Record> {
        let id = TopicId([9; 16]);
        vec![
            Record::Topic {
                name: "orders".into(),
                id,
            },
            Record::Config {
                resource: Resource::Topic("orders".into()),
                name: "retention.ms".into(),
                value: Some("-1".into()),
            },
            Record::Config {
                resource: Resource::Broker(None),
                name: "log.retention.ms".into(),
                value: None,
            },
            Record::Config {
                resource: Resource::Broker(Some(BrokerId(1))),
                name: "log.retention.ms".into(),
                value: None,
            },
            Record::RemoveTopic { id },
            Record::ProducerIds {
                broker: BrokerId(1),
                epoch: BrokerEpoch(9),
                next: ProducerId(2000),
            },
            Record::FeatureLevel {
                name: "group.version".into(),
                level: 1,
            },
        ]
    }

    #[test]
    fn records_are_read_back_as_written() {
        let records = one_of_each().into_iter();
        for record in records.chain(of_partitions()).chain(of_brokers()) {
            let bytes = record.encode().expect("it fits");
            assert_eq!(Record::decode(&bytes).expect("it is whole"), record);
            for cut in 0..bytes.len() {
                assert!(
                    Record::decode(&bytes[..cut]).is_err(),
                    "{record:?} at {cut}"
                );
            }
        }
    }

    #[test]
    fn unknown_frames_types_and_versions_are_refused() {
        assert!(matches!(
            Record::decode(&[2, 2, 0]),
            Err(RecordError::Frame(2))
        ));
        assert!(matches!(
            Record::decode(&[1, 99, 0]),
            Err(RecordError::Unknown(99, 0))
        ));
        assert!(matches!(
            Record::decode(&[1, 2, 7]),
            Err(RecordError::Unknown(2, 7))
        ));
        assert!(matches!(Record::decode(&[0xff; 9]), Err(RecordError::Cut)));
    }
}
