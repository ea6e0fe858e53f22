//! What a broker wants done that it may not do itself.

use std::path::PathBuf;

use bytes::Bytes;

use crate::ids::{BrokerId, ConnectionId};
use crate::inspect::EventKind;

/// What a connection to another broker is for. Each has its own, so that a long poll on one never holds up
/// a heartbeat on another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum PeerLane {
    /// Vote, BeginQuorumEpoch, EndQuorumEpoch.
    Quorum,
    /// Fetch of the metadata log from the controller.
    Metadata,
    /// Registration, heartbeats, AlterPartition and AllocateProducerIds to the controller.
    Control,
    /// A follower's Fetch from a leader.
    Replica,
    /// A client's request passed on to the controller.
    Forward,
}

/// One thing for the driver to carry out. Effects are carried out in the order they are drained.
#[derive(Debug)]
pub enum Effect {
    /// Write these bytes, in order and in one vectored write: a whole response with its length prefix.
    /// The connection may read its next request afterwards.
    Reply { to: ConnectionId, parts: Vec<Bytes> },
    /// The request is done and has no response (acks=0): the connection may read its next request.
    NoReply { to: ConnectionId },
    /// Close the connection without another byte.
    Close { to: ConnectionId, why: String },
    /// Write a whole request with its length prefix to another broker, over the one connection this lane has to
    /// it, which is made when there is none. The broker has one request in flight per peer and lane; the answer
    /// comes back as `on_peer_frame`, the loss of the connection as `on_peer_lost`.
    Send {
        to: BrokerId,
        lane: PeerLane,
        frame: Vec<Bytes>,
    },
    /// Drop the connection this lane has to a peer: its request took too long. `on_peer_lost` does not follow.
    Hangup { to: BrokerId, lane: PeerLane },
    /// Sync these files, then call `on_flushed` with the token.
    Flush { token: u64, files: Vec<PathBuf> },
    /// Something notable happened.
    Note(EventKind),
}
