//! What a quorum member wants done that it may not do itself.

use std::collections::BTreeSet;

use super::ElectionState;
use crate::ids::{BrokerId, LeaderEpoch, Offset};
use crate::wire::messages::begin_quorum_epoch::BeginQuorumEpochRequest;
use crate::wire::messages::end_quorum_epoch::EndQuorumEpochRequest;
use crate::wire::messages::fetch::FetchRequest;
use crate::wire::messages::fetch_snapshot::FetchSnapshotRequest;
use crate::wire::messages::vote::VoteRequest;

/// One thing for the owner to carry out. They are carried out in the order they are drained.
#[derive(Debug, Clone, PartialEq)]
pub enum Action {
    /// Write this and sync it before anything that comes after it in the list is carried out, and before the
    /// response of the verb that gave it leaves. If that fails the broker must stop: it would vote twice.
    Persist(ElectionState),
    /// Send a request to another broker. There is never more than one in flight per broker and lane; the owner
    /// gives the quorum only the answer with the correlation id of the last one sent there, because a pre-vote's
    /// answer taken for a vote's would break K1.
    Send {
        to: BrokerId,
        request: QuorumRequest,
    },
    /// Drop the connection of this lane: its request took too long or its answer is of no use any more. No
    /// answer to it may be given to the quorum, and `on_peer_lost` does not follow.
    Hangup { to: BrokerId, lane: QuorumLane },
    /// Who leads changed, or the epoch did. Fetches held back for followers are to be judged again.
    LeaderChanged {
        leader: Option<BrokerId>,
        epoch: LeaderEpoch,
    },
    /// This broker leads `epoch`. Before the next verb the owner appends the epoch's first batch (a
    /// LeaderChange control record naming who granted its vote); nothing older commits without it.
    BecameLeader {
        epoch: LeaderEpoch,
        granting: BTreeSet<BrokerId>,
    },
    /// Everything below is committed: apply it, answer who waited for it. Grows only.
    HighWatermark(Offset),
}

/// A request to a peer, whole but for its encoding.
#[derive(Debug, Clone, PartialEq)]
pub enum QuorumRequest {
    Vote(VoteRequest),
    Begin(BeginQuorumEpochRequest),
    End(EndQuorumEpochRequest),
    Fetch(FetchRequest),
    Snapshot(FetchSnapshotRequest),
}

impl QuorumRequest {
    /// The version it is written in.
    pub fn version(&self) -> i16 {
        match self {
            // The first with pre-votes.
            QuorumRequest::Vote(_) => 2,
            QuorumRequest::Begin(_) | QuorumRequest::End(_) | QuorumRequest::Snapshot(_) => 1,
            // By topic id, and with the follower's high watermark.
            QuorumRequest::Fetch(_) => 18,
        }
    }

    /// The connection it travels on.
    pub fn lane(&self) -> QuorumLane {
        match self {
            QuorumRequest::Fetch(_) | QuorumRequest::Snapshot(_) => QuorumLane::Fetch,
            _ => QuorumLane::Election,
        }
    }
}

/// Requests of one lane wait for each other, those of two do not: a fetch may be held by the leader for long.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum QuorumLane {
    /// Vote, BeginQuorumEpoch, EndQuorumEpoch.
    Election,
    /// Fetch and FetchSnapshot of the metadata log.
    Fetch,
}
