//! How records lie in the metadata log.
//!
//! As bytes they are Kafka's own metadata records: frame version 1, the record's number and its version as
//! unsigned varints, then the generated message. A record this klar does not know is an error, because
//! skipping it would build another image than the one that wrote it had.

use bytes::Bytes;

use super::image::PartitionImage;
use super::record::{Record, Resource};
use crate::ids::{BrokerId, LeaderEpoch, PartitionIndex, ProducerId, TopicId};
use crate::wire::messages::config_record::ConfigRecord;
use crate::wire::messages::feature_level_record::FeatureLevelRecord;
use crate::wire::messages::partition_record::PartitionRecord;
use crate::wire::messages::producer_ids_record::ProducerIdsRecord;
use crate::wire::messages::remove_topic_record::RemoveTopicRecord;
use crate::wire::messages::topic_record::TopicRecord;
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
    #[error(transparent)]
    Decode(#[from] DecodeError),
    #[error(transparent)]
    Encode(#[from] EncodeError),
}

const FRAME: u32 = 1;
const VERSION: u32 = 0;
const TOPIC: u32 = 2;
const PARTITION: u32 = 3;
const CONFIG: u32 = 4;
const REMOVE_TOPIC: u32 = 9;
const FEATURE_LEVEL: u32 = 12;
const PRODUCER_IDS: u32 = 15;

const RESOURCE_TOPIC: i8 = 2;
const RESOURCE_BROKER: i8 = 4;

impl Record {
    /// The record as the value of a log record.
    ///
    /// # Errors
    /// A text longer than the wire can carry.
    pub fn encode(&self) -> Result<Vec<u8>, RecordError> {
        let mut writer = Writer::new();
        let version = 0;
        let number = match self {
            Record::Topic { name, id } => {
                let message = TopicRecord {
                    name: name.clone(),
                    topic_id: *id,
                };
                message.encode(&mut writer, version)?;
                TOPIC
            }
            Record::Partition {
                topic,
                index,
                partition,
            } => {
                partition_message(*topic, *index, partition).encode(&mut writer, version)?;
                PARTITION
            }
            Record::RemoveTopic { id } => {
                RemoveTopicRecord { topic_id: *id }.encode(&mut writer, version)?;
                REMOVE_TOPIC
            }
            Record::Config {
                resource,
                name,
                value,
            } => {
                let (resource_type, resource_name) = resource.to_wire();
                let message = ConfigRecord {
                    resource_type,
                    resource_name,
                    name: name.clone(),
                    value: value.clone(),
                };
                message.encode(&mut writer, version)?;
                CONFIG
            }
            Record::ProducerIds { broker, next } => {
                let message = ProducerIdsRecord {
                    broker_id: broker.0,
                    broker_epoch: 0,
                    next_producer_id: next.0,
                };
                message.encode(&mut writer, version)?;
                PRODUCER_IDS
            }
            Record::FeatureLevel { name, level } => {
                let message = FeatureLevelRecord {
                    name: name.clone(),
                    feature_level: *level,
                };
                message.encode(&mut writer, version)?;
                FEATURE_LEVEL
            }
        };
        // All three numbers are below 128, so each is one byte as a varint.
        let mut bytes = vec![FRAME as u8, number as u8, VERSION as u8];
        bytes.extend_from_slice(&writer.finish_value());
        Ok(bytes)
    }

    /// Reads what [`Record::encode`] wrote.
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
        let version = varint(&mut rest)?;
        if version != VERSION {
            return Err(RecordError::Unknown(number, version));
        }
        let mut reader = Reader::new(Bytes::copy_from_slice(rest));
        Record::decode_body(number, &mut reader)
    }

    fn decode_body(number: u32, reader: &mut Reader) -> Result<Record, RecordError> {
        let version = 0;
        Ok(match number {
            TOPIC => {
                let message = TopicRecord::decode(reader, version)?;
                Record::Topic {
                    name: message.name,
                    id: message.topic_id,
                }
            }
            PARTITION => {
                let message = PartitionRecord::decode(reader, version)?;
                let brokers = |ids: &[i32]| ids.iter().copied().map(BrokerId).collect();
                Record::Partition {
                    topic: message.topic_id,
                    index: PartitionIndex(message.partition_id),
                    partition: PartitionImage {
                        replicas: brokers(&message.replicas),
                        isr: brokers(&message.isr),
                        leader: BrokerId(message.leader),
                        leader_epoch: LeaderEpoch(message.leader_epoch),
                        partition_epoch: message.partition_epoch,
                    },
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
            unknown => return Err(RecordError::Unknown(unknown, VERSION)),
        })
    }
}

fn partition_message(
    topic: TopicId,
    index: PartitionIndex,
    partition: &PartitionImage,
) -> PartitionRecord {
    let numbers = |brokers: &[BrokerId]| brokers.iter().map(|broker| broker.0).collect();
    PartitionRecord {
        partition_id: index.0,
        topic_id: topic,
        replicas: numbers(&partition.replicas),
        isr: numbers(&partition.isr),
        removing_replicas: Vec::new(),
        adding_replicas: Vec::new(),
        leader: partition.leader.0,
        leader_epoch: partition.leader_epoch.0,
        partition_epoch: partition.partition_epoch,
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

    fn one_of_each() -> Vec<Record> {
        let id = TopicId([9; 16]);
        vec![
            Record::Topic {
                name: "orders".into(),
                id,
            },
            Record::Partition {
                topic: id,
                index: PartitionIndex(3),
                partition: PartitionImage {
                    replicas: vec![BrokerId(1), BrokerId(2)],
                    isr: vec![BrokerId(1)],
                    leader: BrokerId(1),
                    leader_epoch: LeaderEpoch(4),
                    partition_epoch: 5,
                },
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
        for record in one_of_each() {
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
