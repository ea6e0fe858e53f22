//! What a coordinator writes, and how it lies in `__consumer_offsets`.
//!
//! Bytes are Kafka's own: a key begins with its kind (also its version) as an int16, a value with its version. A
//! record without a value says that what its key names is gone. Kinds this klar does not know are passed over when
//! they are read, as Kafka does: another coordinator may have written them.

use bytes::Bytes;

use super::consumer_record::{self, ConsumerPart};
use super::offsets::Committed;
use crate::ids::{LeaderEpoch, Offset, TopicId};
use crate::wire::messages::group_metadata_key::GroupMetadataKey;
use crate::wire::messages::group_metadata_value::{GroupMetadataValue, MemberMetadata};
use crate::wire::messages::offset_commit_key::OffsetCommitKey;
use crate::wire::messages::offset_commit_value::OffsetCommitValue;
use crate::wire::{DecodeError, EncodeError, Reader, Writer};

/// One thing written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Record {
    /// A group's offset for one partition; without one it is forgotten.
    Offset {
        group: String,
        topic: String,
        partition: i32,
        committed: Option<Committed>,
    },
    /// A classic group as its last rebalance left it; without that it is gone.
    Classic {
        group: String,
        state: Option<ClassicRecord>,
    },
    /// A part of a group of the new protocol.
    Consumer { group: String, part: ConsumerPart },
}

/// A classic group as its last rebalance left it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClassicRecord {
    pub protocol_type: String,
    pub generation: i32,
    pub protocol: Option<String>,
    pub leader: Option<String>,
    /// Since when it is in this state, milliseconds since the Unix epoch.
    pub since_ms: i64,
    pub members: Vec<MemberRecord>,
}

/// One member of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MemberRecord {
    pub id: String,
    pub instance: Option<String>,
    pub client_id: String,
    pub client_host: String,
    pub rebalance_timeout_ms: i32,
    pub session_timeout_ms: i32,
    /// What it subscribes to, in the bytes of the chosen protocol.
    pub subscription: Bytes,
    pub assignment: Bytes,
}

/// Why bytes are not a coordinator's record.
#[derive(Debug, thiserror::Error)]
pub enum RecordError {
    #[error("the record is cut")]
    Cut,
    #[error("a value of kind {kind} has version {version}, which is not known to this klar")]
    Version { kind: i16, version: i16 },
    #[error(transparent)]
    Decode(#[from] DecodeError),
}

/// Kinds of keys. Both of an offset's are read alike.
const OFFSET_KINDS: std::ops::RangeInclusive<i16> = 0..=1;
const OFFSET_KIND: i16 = 1;
const CLASSIC_KIND: i16 = 2;
/// The versions values are written in.
const OFFSET_VERSION: i16 = 3;
/// With the topic's id.
const OFFSET_VERSION_ID: i16 = 4;
const CLASSIC_VERSION: i16 = 3;
/// The newest versions that can be read.
const NEWEST_OFFSET: i16 = 4;
const NEWEST_CLASSIC: i16 = 4;

/// Bytes of a record: its key, and its value unless it says that something is gone.
pub type KeyValue = (Bytes, Option<Bytes>);

impl Record {
    /// The record as key and value.
    ///
    /// # Errors
    /// A text longer than the wire can carry.
    pub fn encode(&self) -> Result<KeyValue, EncodeError> {
        match self {
            Record::Offset {
                group,
                topic,
                partition,
                committed,
            } => {
                let key = OffsetCommitKey {
                    group: group.clone(),
                    topic: topic.clone(),
                    partition: *partition,
                };
                let key = versioned(OFFSET_KIND, |w| key.encode(w, OFFSET_KIND))?;
                let value = committed.as_ref().map(offset_value).transpose()?;
                Ok((key, value))
            }
            Record::Classic { group, state } => {
                let key = GroupMetadataKey {
                    group: group.clone(),
                };
                let key = versioned(CLASSIC_KIND, |w| key.encode(w, CLASSIC_KIND))?;
                let value = state.as_ref().map(|state| {
                    let value = state.to_message();
                    versioned(CLASSIC_VERSION, |w| value.encode(w, CLASSIC_VERSION))
                });
                Ok((key, value.transpose()?))
            }
            Record::Consumer { group, part } => part.encode(group),
        }
    }

    /// The group it is about.
    pub fn group(&self) -> &str {
        let (Record::Offset { group, .. }
        | Record::Classic { group, .. }
        | Record::Consumer { group, .. }) = self;
        group
    }

    /// Reads a record; `None` if it is of a kind this klar does not know.
    ///
    /// # Errors
    /// Bytes that are not what their kind says.
    pub fn decode(key: &[u8], value: Option<&[u8]>) -> Result<Option<Record>, RecordError> {
        let (kind, mut key) = opened(key)?;
        if OFFSET_KINDS.contains(&kind) {
            let key = OffsetCommitKey::decode(&mut key, kind)?;
            let committed = value.map(|value| committed_in(value, kind)).transpose()?;
            return Ok(Some(Record::Offset {
                group: key.group,
                topic: key.topic,
                partition: key.partition,
                committed,
            }));
        }
        if kind == CLASSIC_KIND {
            let key = GroupMetadataKey::decode(&mut key, kind)?;
            let state = value.map(classic_in).transpose()?;
            let group = key.group;
            return Ok(Some(Record::Classic { group, state }));
        }
        consumer_record::decode(kind, &mut key, value)
    }
}

pub(super) fn versioned(
    version: i16,
    body: impl FnOnce(&mut Writer) -> Result<(), EncodeError>,
) -> Result<Bytes, EncodeError> {
    let mut writer = Writer::new();
    body(&mut writer)?;
    let mut bytes = version.to_be_bytes().to_vec();
    bytes.extend_from_slice(&writer.finish_value());
    Ok(bytes.into())
}

/// The version bytes begin with, and what follows.
fn opened(bytes: &[u8]) -> Result<(i16, Reader), RecordError> {
    let (version, rest) = bytes.split_first_chunk::<2>().ok_or(RecordError::Cut)?;
    let reader = Reader::new(Bytes::copy_from_slice(rest));
    Ok((i16::from_be_bytes(*version), reader))
}

pub(super) fn opened_value(
    value: &[u8],
    kind: i16,
    newest: i16,
) -> Result<(i16, Reader), RecordError> {
    let (version, reader) = opened(value)?;
    match (0..=newest).contains(&version) {
        true => Ok((version, reader)),
        false => Err(RecordError::Version { kind, version }),
    }
}

fn offset_value(committed: &Committed) -> Result<Bytes, EncodeError> {
    let value = OffsetCommitValue {
        offset: committed.offset.0,
        leader_epoch: committed.leader_epoch.0,
        metadata: committed.metadata.clone(),
        commit_timestamp: committed.at_ms,
        topic_id: committed.topic_id,
        ..OffsetCommitValue::default()
    };
    let version = match committed.topic_id == TopicId::ZERO {
        true => OFFSET_VERSION,
        false => OFFSET_VERSION_ID,
    };
    versioned(version, |writer| value.encode(writer, version))
}

fn committed_in(value: &[u8], kind: i16) -> Result<Committed, RecordError> {
    let (version, mut reader) = opened_value(value, kind, NEWEST_OFFSET)?;
    let value = OffsetCommitValue::decode(&mut reader, version)?;
    Ok(Committed {
        offset: Offset(value.offset),
        leader_epoch: LeaderEpoch(value.leader_epoch),
        metadata: value.metadata,
        at_ms: value.commit_timestamp,
        topic_id: value.topic_id,
    })
}

fn classic_in(value: &[u8]) -> Result<ClassicRecord, RecordError> {
    let (version, mut reader) = opened_value(value, CLASSIC_KIND, NEWEST_CLASSIC)?;
    let value = GroupMetadataValue::decode(&mut reader, version)?;
    Ok(ClassicRecord {
        protocol_type: value.protocol_type,
        generation: value.generation,
        protocol: value.protocol,
        leader: value.leader,
        since_ms: value.current_state_timestamp,
        members: value.members.into_iter().map(member_in).collect(),
    })
}

fn member_in(member: MemberMetadata) -> MemberRecord {
    MemberRecord {
        id: member.member_id,
        instance: member.group_instance_id,
        client_id: member.client_id,
        client_host: member.client_host,
        rebalance_timeout_ms: member.rebalance_timeout,
        session_timeout_ms: member.session_timeout,
        subscription: member.subscription,
        assignment: member.assignment,
    }
}

impl ClassicRecord {
    fn to_message(&self) -> GroupMetadataValue {
        let member = |member: &MemberRecord| MemberMetadata {
            member_id: member.id.clone(),
            group_instance_id: member.instance.clone(),
            client_id: member.client_id.clone(),
            client_host: member.client_host.clone(),
            rebalance_timeout: member.rebalance_timeout_ms,
            session_timeout: member.session_timeout_ms,
            subscription: member.subscription.clone(),
            assignment: member.assignment.clone(),
        };
        GroupMetadataValue {
            protocol_type: self.protocol_type.clone(),
            generation: self.generation,
            protocol: self.protocol.clone(),
            leader: self.leader.clone(),
            current_state_timestamp: self.since_ms,
            members: self.members.iter().map(member).collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hex(bytes: &[u8]) -> String {
        bytes.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    #[test]
    fn offsets_lie_as_kafka_writes_them() {
        let record = Record::Offset {
            group: "g".to_owned(),
            topic: "t".to_owned(),
            partition: 3,
            committed: Some(Committed {
                offset: Offset(7),
                leader_epoch: LeaderEpoch(2),
                metadata: "m".to_owned(),
                at_ms: 5,
                topic_id: TopicId::ZERO,
            }),
        };
        let (key, value) = record.encode().expect("it is short");
        assert_eq!(hex(&key), "0001000167000174 00000003".replace(' ', ""));
        let wanted = "0003 0000000000000007 00000002 00016d 0000000000000005";
        let value = value.expect("it has one");
        assert_eq!(hex(&value), wanted.replace(' ', ""));
        let read = Record::decode(&key, Some(&value)).expect("it is ours");
        assert_eq!(read, Some(record));
    }

    #[test]
    fn kinds_nobody_knows_are_passed_over_and_cut_ones_are_not() {
        let unknown = Record::decode(&[0, 99, 1, 2], Some(&[0, 0]));
        assert!(matches!(unknown, Ok(None)));
        assert!(matches!(Record::decode(&[0], None), Err(RecordError::Cut)));
        let cut = Record::decode(&[0, 2, 0, 9, b'g'], None);
        assert!(matches!(cut, Err(RecordError::Decode(_))));
    }

    #[test]
    fn a_group_lies_as_it_was_and_a_missing_value_says_it_is_gone() {
        let member = MemberRecord {
            id: "c-1".to_owned(),
            instance: Some("i".to_owned()),
            client_id: "c".to_owned(),
            client_host: "/127.0.0.1".to_owned(),
            rebalance_timeout_ms: 9,
            session_timeout_ms: 8,
            subscription: Bytes::from_static(b"s"),
            assignment: Bytes::from_static(b"a"),
        };
        let state = ClassicRecord {
            protocol_type: "consumer".to_owned(),
            generation: 4,
            protocol: Some("range".to_owned()),
            leader: Some("c-1".to_owned()),
            since_ms: 11,
            members: vec![member],
        };
        for state in [Some(state), None] {
            let group = "g".to_owned();
            let record = Record::Classic { group, state };
            let (key, value) = record.encode().expect("it is short");
            let read = Record::decode(&key, value.as_deref()).expect("it is ours");
            assert_eq!(read, Some(record));
        }
    }
}
