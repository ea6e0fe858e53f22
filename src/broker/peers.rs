//! What this broker asks of others, and what became of it.
//!
//! One request at most is in flight per peer and lane; each has a purpose, which says whose answer it is. An
//! answer that is not the last request's is dropped. A request that takes too long is given up: its connection
//! is hung up and its owner told as if it were lost. Requests of the quorum are timed by the quorum itself.

use std::collections::BTreeMap;

use bytes::Bytes;

use super::Broker;
use super::dispatch::Asked;
use super::effect::{Effect, PeerLane};
use super::partition::PartitionKey;
use crate::ids::{BrokerId, Time};
use crate::quorum::QuorumLane;
use crate::replica::Attempt;
use crate::wire::request::RequestHeader;
use crate::wire::{ApiKey, EncodeError, Reader, Writer, response};

/// Milliseconds a request to the controller may take.
const CONTROL_PATIENCE_MS: i64 = 500;
/// Milliseconds a follower's fetch may take beyond the wait it allows.
const REPLICA_PATIENCE_MS: i64 = 1_500;
/// Milliseconds a client's request may take that was passed on.
const FORWARD_PATIENCE_MS: i64 = 10_000;

/// What a request to another broker is for.
#[derive(Debug)]
pub(super) enum Purpose {
    Vote,
    Begin,
    End,
    Metadata,
    Snapshot,
    Register,
    Heartbeat,
    /// Proposals of in-sync replicas, in the order of the request.
    Alter(Vec<(PartitionKey, Attempt)>),
    /// Replicas that are not to be relied on: what becomes of it the metadata says.
    Lost(Vec<PartitionKey>),
    ProducerIds,
    Replicate,
    /// A request that was passed on, and who asked; nobody where this broker itself makes a topic.
    Forward(ApiKey, Option<Box<Asked>>),
}

impl Purpose {
    fn lane(&self) -> PeerLane {
        match self {
            Purpose::Vote | Purpose::Begin | Purpose::End => PeerLane::Quorum,
            Purpose::Metadata | Purpose::Snapshot => PeerLane::Metadata,
            Purpose::Register
            | Purpose::Heartbeat
            | Purpose::Alter(_)
            | Purpose::Lost(_)
            | Purpose::ProducerIds => PeerLane::Control,
            Purpose::Replicate => PeerLane::Replica,
            Purpose::Forward(..) => PeerLane::Forward,
        }
    }

    fn api(&self) -> ApiKey {
        match self {
            Purpose::Vote => ApiKey::Vote,
            Purpose::Begin => ApiKey::BeginQuorumEpoch,
            Purpose::End => ApiKey::EndQuorumEpoch,
            Purpose::Metadata | Purpose::Replicate => ApiKey::Fetch,
            Purpose::Snapshot => ApiKey::FetchSnapshot,
            Purpose::Register => ApiKey::BrokerRegistration,
            Purpose::Heartbeat => ApiKey::BrokerHeartbeat,
            Purpose::Alter(_) => ApiKey::AlterPartition,
            Purpose::Lost(_) => ApiKey::AssignReplicasToDirs,
            Purpose::ProducerIds => ApiKey::AllocateProducerIds,
            Purpose::Forward(api, _) => *api,
        }
    }

    /// How long it may take; `None` where the quorum keeps the time.
    fn patience_ms(&self) -> Option<i64> {
        match self.lane() {
            PeerLane::Quorum | PeerLane::Metadata => None,
            PeerLane::Control => Some(CONTROL_PATIENCE_MS),
            PeerLane::Replica => Some(REPLICA_PATIENCE_MS),
            PeerLane::Forward => Some(FORWARD_PATIENCE_MS),
        }
    }
}

/// A request on its way.
#[derive(Debug)]
struct InFlight {
    correlation_id: i32,
    version: i16,
    purpose: Purpose,
    since: Time,
    until: Option<Time>,
}

/// A request on its way, as pictures show it.
pub(super) struct OnItsWay {
    pub to: BrokerId,
    pub api: ApiKey,
    pub version: i16,
    pub since: Time,
    /// It is a follower's fetch.
    pub is_replication: bool,
}

/// An answer with the question it belongs to.
pub(super) struct Told {
    pub purpose: Purpose,
    pub version: i16,
    pub body: Reader,
}

/// Everything in flight.
#[derive(Debug, Default)]
pub(super) struct Peers {
    last_correlation_id: i32,
    in_flight: BTreeMap<(BrokerId, PeerLane), InFlight>,
}

impl Peers {
    /// Whether the lane carries nothing now.
    pub fn is_free(&self, to: BrokerId, lane: PeerLane) -> bool {
        !self.in_flight.contains_key(&(to, lane))
    }

    /// Forgets what is in flight on a lane; no answer to it is given back any more.
    pub fn forget(&mut self, to: BrokerId, lane: PeerLane) -> Option<Purpose> {
        Some(self.in_flight.remove(&(to, lane))?.purpose)
    }

    /// Peers that something is in flight to on this lane.
    pub fn asked_on(&self, lane: PeerLane) -> Vec<BrokerId> {
        let keys = self.in_flight.keys().filter(|(_, l)| *l == lane);
        keys.map(|(peer, _)| *peer).collect()
    }

    /// Every request on its way.
    pub fn in_flight(&self) -> impl Iterator<Item = OnItsWay> {
        self.in_flight.iter().map(|((to, lane), one)| OnItsWay {
            to: *to,
            api: one.purpose.api(),
            version: one.version,
            since: one.since,
            is_replication: *lane == PeerLane::Replica,
        })
    }

    /// When the next request takes too long.
    pub fn next_deadline(&self) -> Option<Time> {
        self.in_flight.values().filter_map(|one| one.until).min()
    }

    fn overdue(&self, now: Time) -> Vec<(BrokerId, PeerLane)> {
        let late = |one: &InFlight| one.until.is_some_and(|until| until <= now);
        let late = self.in_flight.iter().filter(|(_, one)| late(one));
        late.map(|(key, _)| *key).collect()
    }

    fn put(&mut self, now: Time, to: BrokerId, version: i16, purpose: Purpose) -> i32 {
        self.last_correlation_id = self.last_correlation_id.wrapping_add(1);
        let correlation_id = self.last_correlation_id;
        let until = purpose.patience_ms().map(|ms| now.plus_ms(ms));
        let one = InFlight {
            correlation_id,
            version,
            since: now,
            until,
            purpose,
        };
        let lane = one.purpose.lane();
        self.in_flight.insert((to, lane), one);
        correlation_id
    }

    /// The question an answer belongs to; `None` if it is nobody's.
    fn answered(&mut self, from: BrokerId, lane: PeerLane, frame: &Bytes) -> Option<Told> {
        let one = self.in_flight.get(&(from, lane))?;
        let mut body = Reader::new(frame.clone());
        let found = response::decode_header(&mut body, one.purpose.api(), one.version).ok()?;
        if found != one.correlation_id {
            return None;
        }
        let one = self.in_flight.remove(&(from, lane))?;
        Some(Told {
            purpose: one.purpose,
            version: one.version,
            body,
        })
    }
}

impl Broker {
    /// Sends a request to another broker. The lane must be free.
    pub(super) fn ask(
        &mut self,
        now: Time,
        to: BrokerId,
        version: i16,
        purpose: Purpose,
        body: impl FnOnce(&mut Writer) -> Result<(), EncodeError>,
    ) {
        let (api, lane) = (purpose.api(), purpose.lane());
        let client_id = Some(format!("broker-{}", self.config.id));
        let Some(member) = self.member.as_mut() else {
            return;
        };
        let header = RequestHeader {
            api_key: api,
            api_version: version,
            correlation_id: member.peers.put(now, to, version, purpose),
            client_id,
        };
        let mut writer = Writer::new();
        let written = header.encode(&mut writer).and_then(|()| body(&mut writer));
        written.expect("what a broker asks fits its own protocol");
        let frame = writer.finish_frame();
        self.effects.push(Effect::Send { to, lane, frame });
    }

    /// Passes a request on as it came but for its header.
    pub(super) fn ask_as_it_came(
        &mut self,
        now: Time,
        to: BrokerId,
        header: RequestHeader,
        body: Bytes,
        origin: Option<Box<Asked>>,
    ) {
        let purpose = Purpose::Forward(header.api_key, origin);
        let (lane, version) = (purpose.lane(), header.api_version);
        let Some(member) = self.member.as_mut() else {
            return;
        };
        let header = RequestHeader {
            correlation_id: member.peers.put(now, to, version, purpose),
            ..header
        };
        let mut writer = Writer::new();
        let written = header.encode(&mut writer);
        written.expect("it was read from such a header");
        let mut head = writer.finish_frame().concat();
        let length = u32::try_from(head.len() - 4 + body.len()).expect("it came in one frame");
        head[..4].copy_from_slice(&length.to_be_bytes());
        let frame = vec![Bytes::from(head), body];
        self.effects.push(Effect::Send { to, lane, frame });
    }

    /// Takes in the answer to what was sent to a peer on a lane: a frame without its length prefix.
    pub fn on_peer_frame(&mut self, now: Time, from: BrokerId, lane: PeerLane, frame: Bytes) {
        let member = self.member.as_mut();
        if let Some(told) = member.and_then(|m| m.peers.answered(from, lane, &frame)) {
            self.take_answer(now, from, told, frame);
            self.changed += 1;
        }
        self.after_verb(now);
    }

    /// The connection to a peer could not be made or is lost, with whatever was in flight on it.
    pub fn on_peer_lost(&mut self, now: Time, peer: BrokerId, lane: PeerLane, _why: &str) {
        let member = self.member.as_mut();
        let lost = member.and_then(|m| m.peers.forget(peer, lane));
        if let Some(controller) = self.controller_mut() {
            controller.sessions.on_lost(now, peer);
        }
        match (lane, lost) {
            // The quorum draws conclusions from the loss of an idle connection, too.
            (PeerLane::Quorum, _) => self.on_quorum_lost(now, peer, QuorumLane::Election),
            (PeerLane::Metadata, _) => self.on_quorum_lost(now, peer, QuorumLane::Fetch),
            (_, Some(purpose)) => self.take_loss(now, peer, purpose),
            (_, None) => {}
        }
        self.changed += 1;
        self.after_verb(now);
    }

    /// Gives up what takes too long.
    pub(super) fn give_up_overdue(&mut self, now: Time) {
        let member = self.member.as_ref();
        let overdue = member.map(|m| m.peers.overdue(now)).unwrap_or_default();
        for (to, lane) in overdue {
            self.effects.push(Effect::Hangup { to, lane });
            self.lose_lane(now, to, lane);
        }
    }

    /// Tells whoever asked on a lane that no answer will come.
    pub(super) fn lose_lane(&mut self, now: Time, peer: BrokerId, lane: PeerLane) {
        let member = self.member.as_mut();
        if let Some(purpose) = member.and_then(|m| m.peers.forget(peer, lane)) {
            self.take_loss(now, peer, purpose);
        }
    }

    fn take_answer(&mut self, now: Time, from: BrokerId, told: Told, frame: Bytes) {
        match told.purpose {
            Purpose::Vote
            | Purpose::Begin
            | Purpose::End
            | Purpose::Metadata
            | Purpose::Snapshot => {
                self.on_quorum_answer(now, from, told);
            }
            Purpose::Register => self.on_register_answer(now, told),
            Purpose::Heartbeat => self.on_heartbeat_answer(now, told),
            Purpose::Alter(proposals) => {
                self.on_alter_answer(now, &proposals, told.version, told.body);
            }
            Purpose::Lost(replicas) => self.on_lost_told(now, &replicas),
            Purpose::ProducerIds => self.on_producer_ids_answer(now, told),
            Purpose::Replicate => self.on_replica_answer(now, from, told),
            Purpose::Forward(_, origin) => self.on_forward_answer(origin, &frame),
        }
    }

    fn take_loss(&mut self, now: Time, peer: BrokerId, purpose: Purpose) {
        match purpose {
            Purpose::Vote | Purpose::Begin | Purpose::End => {
                self.on_quorum_lost(now, peer, QuorumLane::Election);
            }
            Purpose::Metadata | Purpose::Snapshot => {
                self.on_quorum_lost(now, peer, QuorumLane::Fetch)
            }
            Purpose::Register | Purpose::Heartbeat => self.on_control_lost(now),
            Purpose::Alter(proposals) => self.on_alter_lost(now, &proposals),
            Purpose::Lost(replicas) => self.on_lost_told(now, &replicas),
            Purpose::ProducerIds => self.on_producer_ids_lost(now),
            Purpose::Replicate => self.on_replica_lost(now, peer),
            Purpose::Forward(_, origin) => self.on_forward_lost(now, origin),
        }
    }
}
