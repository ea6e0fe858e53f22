//! What this broker asks of others, and what became of it.

use bytes::Bytes;

use super::Broker;
use super::effect::PeerLane;
use crate::ids::{BrokerId, Time};

impl Broker {
    /// Takes in the answer to what was sent to a peer on a lane: a frame without its length prefix.
    pub fn on_peer_frame(&mut self, now: Time, _from: BrokerId, _lane: PeerLane, _frame: Bytes) {
        self.after_verb(now);
    }

    /// The connection to a peer could not be made or is lost, with whatever was in flight on it.
    pub fn on_peer_lost(&mut self, now: Time, _peer: BrokerId, _lane: PeerLane, _why: &str) {
        self.after_verb(now);
    }
}
