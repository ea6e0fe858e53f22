//! A follower's Fetch: who asks, and what its leader makes of it before anything is read.
//!
//! The rules are `replica`'s; here they meet the partition's log and the answer's fields. What is read and how it is
//! answered is in `fetch`.
//!
//! Differs from Apache Kafka: nothing known.

use super::super::Broker;
use super::super::fetch_sessions::Wanted;
use super::super::partition::{PartitionKey, Role};
use super::super::replicas::partition_of;
use super::fetch::Part;
use crate::ids::{BrokerEpoch, BrokerId, LeaderEpoch, Offset, Time};
use crate::replica::{FetchRefusal, FollowerFetch, LogFacts};
use crate::wire::ErrorCode;
use crate::wire::messages::fetch::FetchRequest;

/// First version whose followers say their broker epoch (KIP-903).
const REPLICA_STATE: i16 = 15;

/// The follower that asks.
#[derive(Debug, Clone, Copy)]
pub(super) struct Replica {
    pub id: BrokerId,
    pub epoch: BrokerEpoch,
    /// It asks now; not so when a fetch that waited is read again.
    pub counts: bool,
}

impl Broker {
    /// The follower a request comes from, if it comes from one.
    pub(super) fn asking_replica(&self, version: i16, request: &FetchRequest) -> Option<Replica> {
        let id = match version >= REPLICA_STATE {
            true => request.replica_state.replica_id,
            false => request.replica_id,
        };
        (self.member.is_some() && id >= 0).then_some(Replica {
            id: BrokerId(id),
            epoch: BrokerEpoch(request.replica_state.replica_epoch),
            counts: true,
        })
    }

    /// Counts a follower's fetch of one partition; up to where it may read, or what it is told instead.
    pub(super) fn judge_replica(
        &mut self,
        now: Time,
        key: PartitionKey,
        one: &Wanted,
        replica: Replica,
    ) -> Result<Option<Offset>, Box<Part>> {
        let Some(partition) = partition_of(&mut self.topics, key) else {
            return Ok(None);
        };
        let high_watermark = partition.high_watermark.0;
        let (Role::Leader(leader), Some(log)) = (&mut partition.role, &partition.log) else {
            return Ok(None);
        };
        let below = log.log_end();
        if !replica.counts {
            return Ok(Some(below));
        }
        let asked = FollowerFetch {
            replica: replica.id,
            broker_epoch: replica.epoch,
            leader_epoch: LeaderEpoch(one.leader_epoch),
            fetch_offset: Offset(one.fetch_offset),
            last_fetched_epoch: LeaderEpoch(one.last_fetched_epoch),
            log_start: Offset(one.log_start),
        };
        let log_start = log.log_start().0;
        let judged = leader.on_fetch(now, &asked, LogFacts::from(log));
        if judged == Ok(true) {
            self.take_leaders_high_watermark(key);
        }
        self.touch(key);
        let part = Part {
            high_watermark,
            log_start,
            ..Part::default()
        };
        let error = match judged {
            Ok(_) => return Ok(Some(below)),
            Err(FetchRefusal::Diverging { epoch, end }) => {
                let diverging = Some((epoch, end));
                return Err(Box::new(Part { diverging, ..part }));
            }
            Err(FetchRefusal::OldEpoch) => ErrorCode::FencedLeaderEpoch,
            Err(FetchRefusal::NewerEpoch) => ErrorCode::UnknownLeaderEpoch,
            Err(
                FetchRefusal::NotReplica
                | FetchRefusal::StaleIncarnation
                | FetchRefusal::NotYetLeader,
            ) => ErrorCode::NotLeaderOrFollower,
            Err(FetchRefusal::OutOfRange) => ErrorCode::OffsetOutOfRange,
        };
        let error = Some(error);
        Err(Box::new(Part { error, ..part }))
    }
}
