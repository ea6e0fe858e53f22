//! What a broker shows of the quorum, of the brokers in its metadata, and of requests without an answer.

use super::Broker;
use super::api::IN_CLUSTERS;
use super::parked::Waiting;
use super::partition::PartitionKey;
use crate::ids::{ConnectionId, LeaderEpoch, Offset, PartitionIndex, Time};
use crate::inspect::{
    Asker, IN_FLIGHT_PARTITIONS, IN_FLIGHT_SHOWN, InFlight, MetadataSnapshot, QuorumReplica,
    QuorumSnapshot, RegistrationSnapshot, WaitsFor,
};
use crate::quorum::{QuorumView, ReplicaView};
use crate::wire::ApiKey;

impl Broker {
    pub(super) fn show_quorum(&self, now: Time) -> QuorumSnapshot {
        let log = self.metadata_log.log();
        let log_end = log.log_end();
        let newest = self.metadata_log.snapshots.newest();
        let shown = QuorumSnapshot {
            log_end,
            log_start: log.log_start(),
            snapshot: newest.map(|id| MetadataSnapshot {
                end_offset: id.end,
                epoch: id.epoch,
            }),
            ..QuorumSnapshot::default()
        };
        if let Some(view) = self.see_quorum(|quorum, log| quorum.describe(now, log)) {
            return show_members(now, &view, shown);
        }
        QuorumSnapshot {
            leader: Some(self.config.id),
            epoch: LeaderEpoch(0),
            high_watermark: log_end,
            replicas: vec![QuorumReplica {
                broker: self.config.id,
                voter: true,
                log_end,
                lag: Some(0),
                fetched_ms: None,
                caught_up_ms: None,
            }],
            ..shown
        }
    }

    /// Every broker as the applied metadata has it.
    pub(super) fn show_registrations(&self) -> Vec<RegistrationSnapshot> {
        let shown = self.image.brokers().map(|broker| RegistrationSnapshot {
            broker: broker.id,
            epoch: broker.epoch,
            fenced: broker.fenced,
            in_controlled_shutdown: broker.in_controlled_shutdown,
        });
        shown.collect()
    }

    /// What this broker asked others, then what clients wait for here. What brokers wait for is theirs to tell.
    pub(super) fn show_in_flight(&self) -> Vec<InFlight> {
        let member = self.member.as_ref();
        let asked = member.into_iter().flat_map(|member| {
            member.peers.in_flight().map(move |one| InFlight {
                from: Asker::Broker(self.config.id),
                to: one.to,
                api: api_name(one.api, one.version),
                since: one.since,
                waits_for: WaitsFor::Answer,
                partitions: match one.is_replication {
                    true => self.partition_names(member.fetched_from(one.to)),
                    false => Vec::new(),
                },
            })
        });
        let waiting = self.parked.iter();
        let waiting = waiting.filter_map(|(id, waiting)| self.show_waiting(id, waiting));
        asked.chain(waiting).take(IN_FLIGHT_SHOWN).collect()
    }

    fn show_waiting(&self, id: ConnectionId, waiting: &Waiting) -> Option<InFlight> {
        let connection = self.connections.get(id)?;
        let (api, version) = connection.last_api?;
        let (waits_for, keys) = match waiting {
            Waiting::Fetch(wait) if wait.is_replicas() => return None,
            Waiting::Metadata(_) => return None,
            _ if IN_CLUSTERS.iter().any(|row| row.api == api) => return None,
            Waiting::Fetch(wait) => (WaitsFor::Records, &wait.watched[..]),
            Waiting::Produce(wait) if wait.waits_at.is_empty() => (WaitsFor::Durability, &[][..]),
            Waiting::Produce(wait) => (WaitsFor::Replicas, &wait.waits_at[..]),
            Waiting::Committed(_) | Waiting::Spreading(_) => (WaitsFor::Durability, &[][..]),
            Waiting::Forwarded | Waiting::ProducerId(_) => (WaitsFor::Controller, &[][..]),
            Waiting::Group(wait) if wait.answer.is_some() => (WaitsFor::Replicas, &[][..]),
            Waiting::Group(_) => (WaitsFor::Group, &[][..]),
            Waiting::Later(_) if !self.has_joined() => (WaitsFor::Joining, &[][..]),
            Waiting::Later(_) => (WaitsFor::Coordinator, &[][..]),
        };
        Some(InFlight {
            from: Asker::Client(id),
            to: self.config.id,
            api: api_name(api, version),
            since: connection.active,
            waits_for,
            partitions: self.partition_names(keys.iter().copied()),
        })
    }

    fn partition_names(
        &self,
        keys: impl Iterator<Item = PartitionKey>,
    ) -> Vec<(String, PartitionIndex)> {
        let named = keys.filter_map(|(id, index)| {
            let topic = self.topics.get(&id)?;
            Some((topic.name.to_string(), PartitionIndex(index)))
        });
        named.take(IN_FLIGHT_PARTITIONS).collect()
    }
}

fn api_name(api: ApiKey, version: i16) -> String {
    format!("{} v{version}", api.name())
}

/// The quorum as this member sees it.
fn show_members(now: Time, view: &QuorumView, shown: QuorumSnapshot) -> QuorumSnapshot {
    let ms = |at: Option<Time>| at.map(|at| now.since_us(at) / 1_000);
    let leader = view.voters.iter().chain(&view.observers);
    let leader = leader.clone().find(|r| Some(r.id) == view.leader);
    let leader_end = leader.and_then(|leader| leader.log_end);
    let lag = |end: Offset| u64::try_from(leader_end?.0 - end.0).ok();
    let member = |replica: &ReplicaView, voter| QuorumReplica {
        broker: replica.id,
        voter,
        log_end: replica.log_end.unwrap_or(Offset::NONE),
        lag: replica.log_end.and_then(lag),
        fetched_ms: ms(replica.last_fetch),
        caught_up_ms: ms(replica.last_caught_up),
    };
    let voters = view.voters.iter().map(|replica| member(replica, true));
    let observers = view.observers.iter().map(|replica| member(replica, false));
    QuorumSnapshot {
        leader: view.leader,
        epoch: view.epoch,
        high_watermark: view.high_watermark.unwrap_or(Offset::ZERO),
        replicas: voters.chain(observers).collect(),
        ..shown
    }
}
