//! What is written of a group of the new protocol (KIP-848): one record for each part of it that changes by itself.

use bytes::Bytes;

use super::classic::bytes_of;
use super::partitions::Partitions;
use super::record::{KeyValue, Record, RecordError, opened_value, versioned};
use crate::wire::messages::consumer_group_current_member_assignment_key as current_key;
use crate::wire::messages::consumer_group_current_member_assignment_value as current_value;
use crate::wire::messages::consumer_group_member_metadata_key::ConsumerGroupMemberMetadataKey;
use crate::wire::messages::consumer_group_member_metadata_value::{
    ClassicMemberMetadata, ClassicProtocol, ConsumerGroupMemberMetadataValue,
};
use crate::wire::messages::consumer_group_metadata_key::ConsumerGroupMetadataKey;
use crate::wire::messages::consumer_group_metadata_value::ConsumerGroupMetadataValue;
use crate::wire::messages::consumer_group_regular_expression_key::ConsumerGroupRegularExpressionKey;
use crate::wire::messages::consumer_group_regular_expression_value::ConsumerGroupRegularExpressionValue;
use crate::wire::messages::consumer_group_target_assignment_member_key::ConsumerGroupTargetAssignmentMemberKey;
use crate::wire::messages::consumer_group_target_assignment_member_value as target_value;
use crate::wire::messages::consumer_group_target_assignment_metadata_key::ConsumerGroupTargetAssignmentMetadataKey;
use crate::wire::messages::consumer_group_target_assignment_metadata_value::ConsumerGroupTargetAssignmentMetadataValue;
use crate::wire::{EncodeError, Reader, Writer};

/// One part of a group; without a value that part is gone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ConsumerPart {
    /// The group itself.
    Group(Option<GroupEpoch>),
    /// Who a member is and what it subscribes to.
    Member { id: String, about: Option<About> },
    /// The group epoch the target assignment was made for.
    TargetEpoch(Option<i32>),
    /// What a member is to own.
    Target {
        id: String,
        partitions: Option<Partitions>,
    },
    /// What a member owns.
    Current {
        id: String,
        current: Option<Current>,
    },
    /// The topics a regular expression stands for.
    Pattern {
        pattern: String,
        resolved: Option<Resolved>,
    },
}

/// How often members, subscriptions or topics have changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct GroupEpoch {
    pub epoch: i32,
    /// Of the topics subscribed to with their partitions; 0 if there are none.
    pub topics_hash: i64,
}

/// Who a member is and what it subscribes to.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct About {
    /// `group.instance.id`: a static member.
    pub instance: Option<String>,
    pub rack: Option<String>,
    pub client_id: String,
    pub client_host: String,
    /// The topics it names, sorted.
    pub topics: Vec<String>,
    /// The regular expression it subscribes to.
    pub pattern: Option<String>,
    /// How long it may take to give up partitions; −1 if it did not say.
    pub rebalance_timeout_ms: i32,
    /// The assignor it wants.
    pub assignor: Option<String>,
    /// What it says in its JoinGroup, if it speaks the classic protocol.
    pub classic: Option<ClassicSide>,
}

impl About {
    /// Bytes a member says of itself.
    pub(super) fn bytes(&self) -> usize {
        let text = |text: &Option<String>| text.as_ref().map_or(0, String::len);
        let texts = [&self.instance, &self.rack, &self.pattern, &self.assignor];
        let texts: usize = texts.into_iter().map(text).sum();
        let topics: usize = self.topics.iter().map(String::len).sum();
        let classic = self.classic.as_ref();
        texts + topics + self.client_id.len() + classic.map_or(0, |side| bytes_of(&side.protocols))
    }
}

/// What a member says that speaks the classic protocol in a group of the new one.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ClassicSide {
    pub session_timeout_ms: i32,
    /// The assignors it knows, the one it likes best first, each with what it says to it.
    pub protocols: Vec<(String, Bytes)>,
}

/// Where a member is on its way to its target assignment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum MemberState {
    /// It has everything it can have in its epoch.
    #[default]
    Stable,
    /// It is to give up partitions and has not said yet that it did.
    UnrevokedPartitions,
    /// Others still have partitions it is to own.
    UnreleasedPartitions,
}

/// What a member owns, as far as the coordinator knows.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Current {
    /// The group epoch it has come to; −2 for a static member that is away.
    pub epoch: i32,
    /// The one before.
    pub previous_epoch: i32,
    pub state: MemberState,
    pub assigned: Partitions,
    /// It owns them, too, until it says that it does not.
    pub revoking: Partitions,
}

/// The topics a regular expression stood for when it was last resolved.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Resolved {
    pub topics: Vec<String>,
    /// When, milliseconds since the Unix epoch.
    pub at_ms: i64,
}

/// Kinds of keys.
const GROUP: i16 = 3;
const MEMBER: i16 = 5;
const TARGET_EPOCH: i16 = 6;
const TARGET: i16 = 7;
const CURRENT: i16 = 8;
const PATTERN: i16 = 16;
/// The version every value is written in, and the newest that can be read.
const VERSION: i16 = 0;

impl MemberState {
    /// Kafka's name for it.
    pub fn name(self) -> &'static str {
        match self {
            MemberState::Stable => "STABLE",
            MemberState::UnrevokedPartitions => "UNREVOKED_PARTITIONS",
            MemberState::UnreleasedPartitions => "UNRELEASED_PARTITIONS",
        }
    }

    fn code(self) -> i8 {
        match self {
            MemberState::Stable => 0,
            MemberState::UnrevokedPartitions => 1,
            MemberState::UnreleasedPartitions => 2,
        }
    }

    /// A state this klar does not know is taken for one in which nothing is awaited of the member.
    fn with_code(code: i8) -> MemberState {
        match code {
            1 => MemberState::UnrevokedPartitions,
            2 => MemberState::UnreleasedPartitions,
            _ => MemberState::Stable,
        }
    }
}

fn value<T>(
    of: Option<&T>,
    body: impl FnOnce(&T, &mut Writer) -> Result<(), EncodeError>,
) -> Result<Option<Bytes>, EncodeError> {
    of.map(|of| versioned(VERSION, |w| body(of, w))).transpose()
}

impl ConsumerPart {
    /// Whether it says that something is gone.
    pub(super) fn is_gone(&self) -> bool {
        match self {
            ConsumerPart::Group(epoch) => epoch.is_none(),
            ConsumerPart::Member { about, .. } => about.is_none(),
            ConsumerPart::TargetEpoch(epoch) => epoch.is_none(),
            ConsumerPart::Target { partitions, .. } => partitions.is_none(),
            ConsumerPart::Current { current, .. } => current.is_none(),
            ConsumerPart::Pattern { resolved, .. } => resolved.is_none(),
        }
    }

    pub(super) fn encode(&self, group: &str) -> Result<KeyValue, EncodeError> {
        let group_id = group.to_owned();
        Ok(match self {
            ConsumerPart::Group(epoch) => {
                let key = ConsumerGroupMetadataKey { group_id };
                let key = versioned(GROUP, |w| key.encode(w, GROUP))?;
                (key, value(epoch.as_ref(), encode_epoch)?)
            }
            ConsumerPart::Member { id, about } => {
                let member_id = id.clone();
                let key = ConsumerGroupMemberMetadataKey {
                    group_id,
                    member_id,
                };
                let key = versioned(MEMBER, |w| key.encode(w, MEMBER))?;
                (key, value(about.as_ref(), encode_about)?)
            }
            ConsumerPart::TargetEpoch(epoch) => {
                let key = ConsumerGroupTargetAssignmentMetadataKey { group_id };
                let key = versioned(TARGET_EPOCH, |w| key.encode(w, TARGET_EPOCH))?;
                (key, value(epoch.as_ref(), encode_target_epoch)?)
            }
            ConsumerPart::Target { id, partitions } => {
                let member_id = id.clone();
                let key = ConsumerGroupTargetAssignmentMemberKey {
                    group_id,
                    member_id,
                };
                let key = versioned(TARGET, |w| key.encode(w, TARGET))?;
                (key, value(partitions.as_ref(), encode_target)?)
            }
            ConsumerPart::Current { id, current } => {
                let member_id = id.clone();
                let key = current_key::ConsumerGroupCurrentMemberAssignmentKey {
                    group_id,
                    member_id,
                };
                let key = versioned(CURRENT, |w| key.encode(w, CURRENT))?;
                (key, value(current.as_ref(), encode_current)?)
            }
            ConsumerPart::Pattern { pattern, resolved } => {
                let regular_expression = pattern.clone();
                let key = ConsumerGroupRegularExpressionKey {
                    group_id,
                    regular_expression,
                };
                let key = versioned(PATTERN, |w| key.encode(w, PATTERN))?;
                (key, value(resolved.as_ref(), encode_resolved)?)
            }
        })
    }
}

fn encode_epoch(epoch: &GroupEpoch, w: &mut Writer) -> Result<(), EncodeError> {
    let message = ConsumerGroupMetadataValue {
        epoch: epoch.epoch,
        metadata_hash: epoch.topics_hash,
    };
    message.encode(w, VERSION)
}

fn encode_about(about: &About, w: &mut Writer) -> Result<(), EncodeError> {
    let about = about.clone();
    let message = ConsumerGroupMemberMetadataValue {
        instance_id: about.instance,
        rack_id: about.rack,
        client_id: about.client_id,
        client_host: about.client_host,
        subscribed_topic_names: about.topics,
        subscribed_topic_regex: about.pattern,
        rebalance_timeout_ms: about.rebalance_timeout_ms,
        server_assignor: about.assignor,
        classic_member_metadata: about.classic.map(|classic| ClassicMemberMetadata {
            session_timeout_ms: classic.session_timeout_ms,
            supported_protocols: classic
                .protocols
                .into_iter()
                .map(|(name, metadata)| ClassicProtocol { name, metadata })
                .collect(),
        }),
    };
    message.encode(w, VERSION)
}

fn encode_target_epoch(epoch: &i32, w: &mut Writer) -> Result<(), EncodeError> {
    let message = ConsumerGroupTargetAssignmentMetadataValue {
        assignment_epoch: *epoch,
    };
    message.encode(w, VERSION)
}

fn encode_target(partitions: &Partitions, w: &mut Writer) -> Result<(), EncodeError> {
    let topic = |(topic_id, indexes): (_, &std::collections::BTreeSet<i32>)| {
        let partitions = indexes.iter().copied().collect();
        target_value::TopicPartition {
            topic_id,
            partitions,
        }
    };
    let message = target_value::ConsumerGroupTargetAssignmentMemberValue {
        topic_partitions: partitions.topics().map(topic).collect(),
    };
    message.encode(w, VERSION)
}

fn encode_current(current: &Current, w: &mut Writer) -> Result<(), EncodeError> {
    let topic = |(topic_id, indexes): (_, &std::collections::BTreeSet<i32>)| {
        let partitions = indexes.iter().copied().collect();
        current_value::TopicPartitions {
            topic_id,
            partitions,
        }
    };
    let message = current_value::ConsumerGroupCurrentMemberAssignmentValue {
        member_epoch: current.epoch,
        previous_member_epoch: current.previous_epoch,
        state: current.state.code(),
        assigned_partitions: current.assigned.topics().map(topic).collect(),
        partitions_pending_revocation: current.revoking.topics().map(topic).collect(),
    };
    message.encode(w, VERSION)
}

fn encode_resolved(resolved: &Resolved, w: &mut Writer) -> Result<(), EncodeError> {
    let message = ConsumerGroupRegularExpressionValue {
        topics: resolved.topics.clone(),
        // Kafka puts the offset of the metadata there; here every change of topics has it resolved anew.
        version: 0,
        timestamp: resolved.at_ms,
    };
    message.encode(w, VERSION)
}

/// Reads a record of one of these kinds; `None` if it is of another.
pub(super) fn decode(
    kind: i16,
    key: &mut Reader,
    value: Option<&[u8]>,
) -> Result<Option<Record>, RecordError> {
    let value = value.map(|value| opened_value(value, kind, VERSION));
    let mut value = value.transpose()?.map(|(_, reader)| reader);
    let (group, part) = match kind {
        GROUP => {
            let key = ConsumerGroupMetadataKey::decode(key, kind)?;
            let epoch = value.as_mut().map(epoch_in).transpose()?;
            (key.group_id, ConsumerPart::Group(epoch))
        }
        MEMBER => {
            let key = ConsumerGroupMemberMetadataKey::decode(key, kind)?;
            let about = value.as_mut().map(about_in).transpose()?;
            let id = key.member_id;
            (key.group_id, ConsumerPart::Member { id, about })
        }
        TARGET_EPOCH => {
            let key = ConsumerGroupTargetAssignmentMetadataKey::decode(key, kind)?;
            let epoch = value.as_mut().map(target_epoch_in).transpose()?;
            (key.group_id, ConsumerPart::TargetEpoch(epoch))
        }
        TARGET => {
            let key = ConsumerGroupTargetAssignmentMemberKey::decode(key, kind)?;
            let partitions = value.as_mut().map(target_in).transpose()?;
            let id = key.member_id;
            (key.group_id, ConsumerPart::Target { id, partitions })
        }
        CURRENT => {
            let key = current_key::ConsumerGroupCurrentMemberAssignmentKey::decode(key, kind)?;
            let current = value.as_mut().map(current_in).transpose()?;
            let id = key.member_id;
            (key.group_id, ConsumerPart::Current { id, current })
        }
        PATTERN => {
            let key = ConsumerGroupRegularExpressionKey::decode(key, kind)?;
            let resolved = value.as_mut().map(resolved_in).transpose()?;
            let pattern = key.regular_expression;
            (key.group_id, ConsumerPart::Pattern { pattern, resolved })
        }
        _ => return Ok(None),
    };
    Ok(Some(Record::Consumer { group, part }))
}

fn epoch_in(value: &mut Reader) -> Result<GroupEpoch, RecordError> {
    let value = ConsumerGroupMetadataValue::decode(value, VERSION)?;
    Ok(GroupEpoch {
        epoch: value.epoch,
        topics_hash: value.metadata_hash,
    })
}

fn about_in(value: &mut Reader) -> Result<About, RecordError> {
    let value = ConsumerGroupMemberMetadataValue::decode(value, VERSION)?;
    Ok(About {
        instance: value.instance_id,
        rack: value.rack_id,
        client_id: value.client_id,
        client_host: value.client_host,
        topics: value.subscribed_topic_names,
        pattern: value.subscribed_topic_regex,
        rebalance_timeout_ms: value.rebalance_timeout_ms,
        assignor: value.server_assignor,
        classic: value.classic_member_metadata.map(classic_in),
    })
}

fn classic_in(value: ClassicMemberMetadata) -> ClassicSide {
    let protocols = value.supported_protocols.into_iter();
    ClassicSide {
        session_timeout_ms: value.session_timeout_ms,
        protocols: protocols.map(|p| (p.name, p.metadata)).collect(),
    }
}

fn target_epoch_in(value: &mut Reader) -> Result<i32, RecordError> {
    let value = ConsumerGroupTargetAssignmentMetadataValue::decode(value, VERSION)?;
    Ok(value.assignment_epoch)
}

fn target_in(value: &mut Reader) -> Result<Partitions, RecordError> {
    let value = target_value::ConsumerGroupTargetAssignmentMemberValue::decode(value, VERSION)?;
    let topics = value.topic_partitions.into_iter();
    Ok(topics
        .flat_map(|t| {
            t.partitions
                .into_iter()
                .map(move |index| (t.topic_id, index))
        })
        .collect())
}

fn current_in(value: &mut Reader) -> Result<Current, RecordError> {
    let value = current_value::ConsumerGroupCurrentMemberAssignmentValue::decode(value, VERSION)?;
    let partitions = |topics: Vec<current_value::TopicPartitions>| -> Partitions {
        let topics = topics.into_iter();
        topics
            .flat_map(|t| {
                t.partitions
                    .into_iter()
                    .map(move |index| (t.topic_id, index))
            })
            .collect()
    };
    Ok(Current {
        epoch: value.member_epoch,
        previous_epoch: value.previous_member_epoch,
        state: MemberState::with_code(value.state),
        assigned: partitions(value.assigned_partitions),
        revoking: partitions(value.partitions_pending_revocation),
    })
}

fn resolved_in(value: &mut Reader) -> Result<Resolved, RecordError> {
    let value = ConsumerGroupRegularExpressionValue::decode(value, VERSION)?;
    Ok(Resolved {
        topics: value.topics,
        at_ms: value.timestamp,
    })
}
