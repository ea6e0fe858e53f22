//! What goes into a verb beside its request, and what comes out of it.

use super::classic_join::Joined;
use super::classic_sync::Synced;
use super::consumer_heartbeat::ConsumerHeard;
use super::{Record, Refusal};
use crate::ids::{ConnectionId, Time};
use crate::metadata::Image;

/// Who asks, and when.
#[derive(Debug, Clone, Copy)]
pub struct Caller<'a> {
    pub now: Time,
    /// Where the reply goes. A connection has one request in flight.
    pub connection: ConnectionId,
    pub client_id: &'a str,
    /// The address it came from, as Kafka writes it: `/127.0.0.1`.
    pub client_host: &'a str,
    /// A number nobody had before: new member ids are made of it.
    pub fresh: u128,
    /// The topics there are.
    pub topics: &'a Image,
}

/// What a verb came to.
#[derive(Debug, Default)]
pub struct Turn {
    /// To be appended together, in order. They are applied already: if they cannot be appended, the shard is to
    /// be given up and read anew.
    pub records: Vec<Record>,
    /// Where in `records` one decision ends and the next begins: what belongs to one is appended in one piece.
    pub ends: Vec<usize>,
    /// Each leaves once everything appended so far is committed.
    pub replies: Vec<(ConnectionId, Reply)>,
    pub news: Vec<News>,
}

/// An answer to one request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reply {
    Joined(Box<Joined>),
    /// With the member id to be used or repeated.
    NotJoined(Refusal, String),
    Synced(Result<Synced, Refusal>),
    Heartbeat(Result<(), Refusal>),
    ConsumerHeartbeat(Result<ConsumerHeard, Refusal>),
    /// One result for each that was to leave.
    Left(Vec<Result<(), Refusal>>),
    /// One result for each offset, in the request's order.
    OffsetsCommitted(Vec<Result<(), Refusal>>),
    Deleted(Result<(), Refusal>),
    /// One result for each offset, in the request's order.
    OffsetsDeleted(Result<Vec<Result<(), Refusal>>, Refusal>),
}

/// Something a person would want to know about a group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum News {
    /// Members, their number and their generation are those from now on.
    StateChanged {
        group: String,
        /// Kafka's names of states.
        from: &'static str,
        to: &'static str,
        generation: i32,
        members: usize,
        why: String,
    },
}

impl Turn {
    /// A decision is complete; what follows is another.
    pub fn end_decision(&mut self) {
        self.ends.push(self.records.len());
    }

    /// Says something to the one who asked.
    pub fn reply(&mut self, to: ConnectionId, reply: Reply) {
        self.replies.push((to, reply));
    }
}
