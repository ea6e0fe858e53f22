//! The bytes members of a classic group write for each other: `ConsumerProtocolSubscription` and
//! `ConsumerProtocolAssignment`, each behind its version.

use std::collections::BTreeMap;

use bytes::Bytes;

use super::assignors::{Assignor, Subscriber};
use crate::client::consumer::Place;
use crate::ids::PartitionIndex;
use crate::wire::messages::consumer_protocol_assignment::{
    self as assignment, ConsumerProtocolAssignment,
};
use crate::wire::messages::consumer_protocol_subscription::{
    self as subscription, ConsumerProtocolSubscription,
};
use crate::wire::messages::join_group::JoinGroupResponseMember;
use crate::wire::{DecodeError, EncodeError, Reader, Writer};

/// The version written; any is read.
const VERSION: i16 = 3;

/// What a member has, for assignors that let it keep that.
pub(super) struct Holding<'a> {
    pub owned: Vec<Place>,
    pub generation: i32,
    /// What it had last, and in which generation, though it has given that up since.
    pub remembered: Option<&'a (Vec<Place>, i32)>,
}

/// What a member tells the leader for one assignor.
pub(super) fn encode_subscription(
    assignor: Assignor,
    topics: &[String],
    holding: &Holding<'_>,
) -> Result<Bytes, EncodeError> {
    let mut sorted = topics.to_vec();
    sorted.sort();
    let user_data = match (assignor, holding.remembered) {
        (Assignor::Sticky, Some((places, generation))) => {
            Some(encode_remembered(places, *generation)?)
        }
        (Assignor::CooperativeSticky, _) => {
            let mut writer = Writer::new();
            writer.i32(holding.generation);
            Some(writer.finish_value())
        }
        _ => None,
    };
    let owned = |(topic, partitions)| subscription::TopicPartition { topic, partitions };
    let subscription = ConsumerProtocolSubscription {
        topics: sorted,
        user_data,
        owned_partitions: by_topic(&holding.owned).into_iter().map(owned).collect(),
        generation_id: holding.generation,
        rack_id: None,
    };
    let mut writer = Writer::new();
    writer.i16(VERSION);
    subscription.encode(&mut writer, VERSION)?;
    Ok(writer.finish_value())
}

/// What the leader reads of a member. Which part of it says what the member had, the assignor defines.
pub(super) fn decode_subscriber(
    assignor: Assignor,
    member: JoinGroupResponseMember,
) -> Result<Subscriber, DecodeError> {
    let mut reader = Reader::new(member.metadata);
    let version = known_version(&mut reader)?;
    let subscription = ConsumerProtocolSubscription::decode(&mut reader, version)?;
    let user_data = subscription.user_data.unwrap_or_default();
    let (owned, generation) = match assignor {
        // The eager one: members have given up what they had, and tell of it in bytes of its own.
        Assignor::Sticky => decode_remembered(user_data),
        _ => {
            let owned = subscription.owned_partitions.into_iter();
            let owned = owned.flat_map(|t| places(t.topic, t.partitions)).collect();
            let told = Some(subscription.generation_id).filter(|g| *g >= 0);
            (owned, told.or_else(|| Reader::new(user_data).i32().ok()))
        }
    };
    Ok(Subscriber {
        id: member.member_id,
        instance_id: member.group_instance_id,
        topics: subscription.topics,
        owned,
        generation,
    })
}

/// The bytes Kafka's `StickyAssignor` writes: topics with their partitions, then the generation.
fn encode_remembered(places: &[Place], generation: i32) -> Result<Bytes, EncodeError> {
    let topics = by_topic(places);
    let mut writer = Writer::new();
    writer.i32(topics.len() as i32);
    for (topic, partitions) in topics {
        writer.string(&topic)?;
        writer.i32(partitions.len() as i32);
        for partition in partitions {
            writer.i32(partition);
        }
    }
    writer.i32(generation);
    Ok(writer.finish_value())
}

/// Bytes that make no sense tell of nothing, and older ones of no generation, as Kafka has it.
fn decode_remembered(bytes: Bytes) -> (Vec<Place>, Option<i32>) {
    let mut reader = Reader::new(bytes);
    let read = |reader: &mut Reader| {
        let mut all = Vec::new();
        for _ in 0..reader.i32()? {
            let topic = reader.string()?;
            let fits = topic.len() <= MAX_NAME;
            for _ in 0..reader.i32()? {
                let index = PartitionIndex(reader.i32()?);
                if fits {
                    all.push((topic.clone(), index));
                }
            }
        }
        Ok::<_, DecodeError>(all)
    };
    let Ok(places) = read(&mut reader) else {
        return (Vec::new(), None);
    };
    (places, reader.i32().ok())
}

/// Names longer than Kafka's are no topics' (and would be copied once for each partition).
const MAX_NAME: usize = 249;

fn places(topic: String, mut partitions: Vec<i32>) -> impl Iterator<Item = Place> {
    if topic.len() > MAX_NAME {
        partitions.clear();
    }
    let place = move |index| (topic.clone(), PartitionIndex(index));
    partitions.into_iter().map(place)
}

/// What the leader tells a member.
pub(super) fn encode_assignment(places: &[Place]) -> Result<Bytes, EncodeError> {
    let assignment = ConsumerProtocolAssignment {
        assigned_partitions: by_topic(places)
            .into_iter()
            .map(|(topic, partitions)| assignment::TopicPartition { topic, partitions })
            .collect(),
        ..ConsumerProtocolAssignment::default()
    };
    let mut writer = Writer::new();
    writer.i16(VERSION);
    assignment.encode(&mut writer, VERSION)?;
    Ok(writer.finish_value())
}

/// What a member reads of the leader; no bytes at all are no partitions.
pub(super) fn decode_assignment(bytes: Bytes) -> Result<Vec<Place>, DecodeError> {
    if bytes.is_empty() {
        return Ok(Vec::new());
    }
    let mut reader = Reader::new(bytes);
    let version = known_version(&mut reader)?;
    let assignment = ConsumerProtocolAssignment::decode(&mut reader, version)?;
    let assigned = assignment.assigned_partitions.into_iter();
    Ok(assigned
        .flat_map(|t| places(t.topic, t.partitions))
        .collect())
}

/// Versions above ours begin like ours and are read so, as Kafka does.
fn known_version(reader: &mut Reader) -> Result<i16, DecodeError> {
    Ok(reader.i16()?.min(VERSION))
}

/// Partition numbers by topic.
pub(super) fn by_topic<'a>(
    places: impl IntoIterator<Item = &'a Place>,
) -> BTreeMap<String, Vec<i32>> {
    let mut topics: BTreeMap<String, Vec<i32>> = BTreeMap::new();
    for (topic, partition) in places {
        topics.entry(topic.clone()).or_default().push(partition.0);
    }
    topics
}
