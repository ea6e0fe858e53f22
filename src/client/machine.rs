//! What a client is to its driver: a [`Machine`]. What all clients of this module share to be one: [`OverLinks`].

use bytes::Bytes;

use super::links::{Action, Answer, LinkId, Links, Ticket};
use crate::ids::Time;

/// A client that a driver with sockets and a clock (or the lab) keeps going.
pub trait Machine {
    /// Call when a connection asked for by [`Action::Connect`] is open.
    fn on_connected(&mut self, now: Time, link: LinkId);

    /// Call with each frame that arrived, without its length prefix.
    fn on_frame(&mut self, now: Time, link: LinkId, frame: Bytes);

    /// Call when a connection failed or ended.
    fn on_disconnected(&mut self, now: Time, link: LinkId, why: &str);

    /// Call after any other verb (taking results included) and at [`next_wakeup`](Self::next_wakeup),
    /// until it returns `None`; then take the results there are, and only then sleep.
    fn poll_action(&mut self, now: Time) -> Option<Action>;

    /// When to call [`poll_action`](Self::poll_action) next if nothing else happens before.
    fn next_wakeup(&self) -> Option<Time>;
}

/// A client that reaches its cluster over [`Links`]. Such clients are all driven alike, so being one is all it
/// takes to be a [`Machine`].
pub(super) trait OverLinks {
    fn links(&mut self) -> &mut Links;

    /// Takes the answer to a request in.
    fn take_answer(&mut self, now: Time, answer: Answer);

    /// Takes in that a request will not be answered.
    fn on_lost(&mut self, now: Time, ticket: Ticket, why: &str);

    /// Does what is due and sends what can be sent, after the links did.
    fn step(&mut self, now: Time);

    /// When [`step`](Self::step) has something to do next if nothing else happens before.
    fn next_step(&self) -> Option<Time>;
}

impl<T: OverLinks> Machine for T {
    fn on_connected(&mut self, now: Time, link: LinkId) {
        self.links().on_connected(now, link);
    }

    fn on_frame(&mut self, now: Time, link: LinkId, frame: Bytes) {
        if let Some(answer) = self.links().on_frame(now, link, frame) {
            self.take_answer(now, answer);
        }
    }

    fn on_disconnected(&mut self, now: Time, link: LinkId, why: &str) {
        self.links().on_disconnected(now, link, why);
    }

    fn poll_action(&mut self, now: Time) -> Option<Action> {
        if let Some(action) = self.links().next_action() {
            return Some(action);
        }
        self.links().tick(now);
        for (ticket, why) in self.links().take_lost() {
            self.on_lost(now, ticket, &why);
        }
        self.step(now);
        self.links().next_action()
    }

    fn next_wakeup(&self) -> Option<Time> {
        self.next_step()
    }
}
