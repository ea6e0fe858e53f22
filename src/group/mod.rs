//! Consumer groups: who is in them, what they have committed, and what their coordinator writes down. *Pure.*
//!
//! A group's coordinator is the leader of one partition of `__consumer_offsets`; a [`Shard`] is all groups of one
//! such partition. Requests and the time go in; out of each verb come a [`Turn`]: records to be appended to that
//! partition, and replies, each to leave once everything written so far is committed. Another broker that reads
//! the same records ([`Shard::apply`]) becomes the coordinator where this one left off: offsets, members and
//! assignments are kept, rebalances under way are not.
//!
//! Reading order: `record` (what is written), `shard`, `kind`, `offsets`, `classic*` (JoinGroup, SyncGroup,
//! Heartbeat, LeaveGroup), `consumer*` and `assignor` (ConsumerGroupHeartbeat: the new protocol, KIP-848; in
//! `consumer_classic` and `consumer_migration` both protocols in one group), `listing` (what is told of groups).

mod alarms;
mod assignor;
mod classic;
mod classic_join;
mod classic_leave;
mod classic_rebalance;
mod classic_sync;
mod consumer;
mod consumer_classic;
mod consumer_epoch;
mod consumer_heartbeat;
mod consumer_leave;
mod consumer_migration;
mod consumer_reconcile;
mod consumer_record;
mod kind;
mod listing;
mod offsets;
mod partitions;
mod record;
mod refusal;
mod shard;
mod topic_pattern;
mod turn;

pub use assignor::Assignor;
pub use classic::{ClassicGroup, ClassicState, Member, assigned, subscription as subscribed};
pub use classic_join::{Joined, JoinedMember};
pub use classic_leave::Leaver;
pub use classic_sync::Synced;
pub use consumer::{ConsumerGroup, ConsumerMember, ConsumerState};
pub use consumer_heartbeat::ConsumerHeard;
pub use consumer_record::{About, ClassicSide, ConsumerPart, Current, MemberState};
pub use kind::{Group, GroupKind};
pub use listing::{DescribedGroup, DescribedMember, ListedGroup};
pub use offsets::{CommitAs, CommitOne, Committed};
pub use partitions::Partitions;
pub use record::{MemberRecord, Record, RecordError};
pub use refusal::Refusal;
pub use shard::{GroupConfig, MigrationPolicy, Shard};
pub use turn::{Caller, News, Reply, Turn};

#[cfg(test)]
mod tests;

use crate::ids::Time;

/// Kafka's name for the topic coordinators write.
pub const OFFSETS_TOPIC: &str = "__consumer_offsets";

/// Bytes a text in a coordinator's record may have: its length is an int16.
pub const MAX_TEXT_BYTES: usize = i16::MAX as usize;

/// Bytes the members of one group may say of themselves in all, and be told by their leader: a classic group is one
/// record, and what is written must be readable.
const MAX_GROUP_BYTES: usize = 8 * 1024 * 1024;

/// The partition of `__consumer_offsets` a group belongs to: Java's string hash over `partitions`, as every
/// client and tool expects.
pub fn partition_of(group: &str, partitions: i32) -> i32 {
    let hash = group.encode_utf16().fold(0_i32, |hash, unit| {
        hash.wrapping_mul(31).wrapping_add(unit.into())
    });
    // Java's absolute value of the smallest integer is negative; Kafka takes 0 then.
    hash.checked_abs().unwrap_or(0) % partitions.max(1)
}

/// Milliseconds from `now` on, for what is counted from a request.
fn after(now: Time, ms: i32) -> Time {
    now.plus_ms(i64::from(ms.max(0)))
}
