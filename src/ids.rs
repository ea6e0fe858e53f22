//! Names and numbers everything else speaks in.
//!
//! Newtypes, so that an offset is never mistaken for a leader epoch. Nothing here knows bytes or disks.

mod iso;
mod murmur2;

use std::fmt;
use std::ops::{Add, AddAssign, Sub};

use base64::Engine as _;
use serde::{Deserialize, Serialize};

pub use iso::civil_date;
pub use murmur2::{murmur2, partition_for_key};

/// Number of a broker in its cluster, from 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct BrokerId(pub i32);

/// A topic's 128-bit id (KIP-516): a topic deleted and made again has another one.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct TopicId(pub [u8; 16]);

/// Number of a partition in its topic, from 0.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct PartitionIndex(pub i32);

/// Position of a record in its partition's log, from 0. Negative values are protocol sentinels.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct Offset(pub i64);

/// How many times a partition has had a new leader; −1 is "none known".
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct LeaderEpoch(pub i32);

/// Identity of an idempotent or transactional producer; −1 is "none".
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct ProducerId(pub i64);

/// Generation of a producer id: an older one is fenced.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct ProducerEpoch(pub i16);

/// How many times a broker has registered, in a way: the offset of its registration in the metadata log, so a
/// later registration of any broker has a larger one. −1 is "none known".
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct BrokerEpoch(pub i64);

/// One life of a broker: made anew each time it starts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct IncarnationId(pub [u8; 16]);

/// One TCP connection to one broker, never reused while the broker lives.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ConnectionId(pub u64);

/// A moment as microseconds since the Unix epoch. It never runs backwards within one broker; in the
/// lab it is virtual.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct Time(pub i64);

impl Offset {
    /// No offset: what the protocol writes as −1.
    pub const NONE: Offset = Offset(-1);
    /// The first offset of every log.
    pub const ZERO: Offset = Offset(0);
}

impl Add<i64> for Offset {
    type Output = Offset;
    fn add(self, records: i64) -> Offset {
        Offset(self.0 + records)
    }
}

impl AddAssign<i64> for Offset {
    fn add_assign(&mut self, records: i64) {
        self.0 += records;
    }
}

impl Sub for Offset {
    type Output = i64;
    fn sub(self, earlier: Offset) -> i64 {
        self.0 - earlier.0
    }
}

impl LeaderEpoch {
    /// No epoch: what the protocol writes as −1.
    pub const NONE: LeaderEpoch = LeaderEpoch(-1);
}

impl BrokerEpoch {
    /// No epoch: what the protocol writes as −1.
    pub const NONE: BrokerEpoch = BrokerEpoch(-1);
}

impl ProducerId {
    /// Not an idempotent producer: what the protocol writes as −1.
    pub const NONE: ProducerId = ProducerId(-1);
}

impl ProducerEpoch {
    /// Not an idempotent producer: what the protocol writes as −1.
    pub const NONE: ProducerEpoch = ProducerEpoch(-1);
}

impl Time {
    /// This moment as Kafka writes timestamps: milliseconds since the Unix epoch.
    pub fn as_ms(self) -> i64 {
        self.0.div_euclid(1000)
    }

    /// The moment a Kafka timestamp (milliseconds since the Unix epoch) stands for.
    pub fn from_ms(ms: i64) -> Time {
        Time(ms.saturating_mul(1000))
    }

    /// The moment this many microseconds later, saturating.
    pub fn plus_us(self, us: u64) -> Time {
        Time(self.0.saturating_add_unsigned(us))
    }

    /// This moment moved by `ms` milliseconds, saturating.
    pub fn plus_ms(self, ms: i64) -> Time {
        Time(self.0.saturating_add(ms.saturating_mul(1000)))
    }

    /// Microseconds from `earlier` to here; 0 if `earlier` is later.
    pub fn since_us(self, earlier: Time) -> u64 {
        u64::try_from(self.0.saturating_sub(earlier.0)).unwrap_or(0)
    }
}

impl TopicId {
    /// All zeros: what the protocol writes for "no id".
    pub const ZERO: TopicId = TopicId([0; 16]);

    /// Reads the 22-character form Kafka's tools print. `None` if it is not one.
    pub fn parse(text: &str) -> Option<TopicId> {
        let bytes = base64::engine::general_purpose::URL_SAFE_NO_PAD
            .decode(text)
            .ok()?;
        Some(TopicId(bytes.try_into().ok()?))
    }
}

impl fmt::Display for TopicId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(self.0))
    }
}

impl fmt::Debug for TopicId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TopicId({self})")
    }
}

impl Serialize for TopicId {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

macro_rules! display_as_number {
    ($($name:ident),*) => {$(
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }
    )*};
}
display_as_number!(
    BrokerId,
    PartitionIndex,
    Offset,
    LeaderEpoch,
    BrokerEpoch,
    ProducerId,
    ProducerEpoch,
    ConnectionId
);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_topic_id_is_printed_as_kafka_prints_it_and_read_back() {
        let id = TopicId([0xfb; 16]);
        assert_eq!(id.to_string().len(), 22);
        assert_eq!(TopicId::parse(&id.to_string()), Some(id));
        assert_eq!(TopicId::parse("short"), None);
    }

    #[test]
    fn times_before_the_epoch_round_down() {
        assert_eq!(Time(-1).as_ms(), -1);
        assert_eq!(Time::from_ms(5).plus_ms(-2).as_ms(), 3);
        assert_eq!(Time(5).since_us(Time(9)), 0);
    }
}
