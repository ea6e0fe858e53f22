//! Connections between clients, brokers and brokers: pieces in order, over wires that may be bad.
//!
//! A connection has two halves. The caller's opens it, sends requests and closes it; the broker's answers one
//! request at a time and may reset it. What is under way when a half closes is not delivered to it.

use std::collections::{BTreeMap, VecDeque};

use bytes::Bytes;

use super::dice::between;
use super::world::{Happening, World};
use crate::broker::effect::PeerLane;
use crate::client::LinkId;
use crate::ids::{BrokerId, ConnectionId, Time};
use crate::links::{End, Fate, Links};

/// How long a broker waits for a connection to another one, milliseconds.
const CONNECT_TIMEOUT_MS: i64 = 1_000;

/// Who opened a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Caller {
    Client { number: usize, link: LinkId },
    Peer { broker: BrokerId, lane: PeerLane },
}

/// From the caller to the broker.
#[derive(Debug, Clone)]
pub(super) enum Piece {
    Open,
    Request(Bytes),
    Close,
}

/// From the broker to the caller.
#[derive(Debug, Clone)]
pub(super) enum Return {
    Accepted,
    Answer(Bytes),
    /// Refused, closed or reset.
    Gone(&'static str),
}

/// One connection.
pub(super) struct Connection {
    pub caller: Caller,
    pub to: BrokerId,
    pub caller_open: bool,
    pub broker_open: bool,
    /// A request is being answered.
    pub busy: bool,
    /// Requests that arrived and wait for their turn.
    pub waiting: VecDeque<Bytes>,
    /// Requests of a peer that wait for the connection to be made.
    outbox: Vec<Bytes>,
    accepted: bool,
    /// Something was lost on it: nothing arrives any more.
    stalled: bool,
    there: Time,
    back: Time,
    held_there: VecDeque<Piece>,
    held_back: VecDeque<Return>,
}

/// All connections and the wires they run over.
#[derive(Default)]
pub(super) struct Net {
    pub links: Links,
    pub open: BTreeMap<ConnectionId, Connection>,
    pub lanes: BTreeMap<(BrokerId, BrokerId, PeerLane), ConnectionId>,
    last: u64,
}

impl Connection {
    fn ends(&self) -> (End, End) {
        let caller = match self.caller {
            Caller::Client { .. } => End::Clients,
            Caller::Peer { broker, .. } => End::Broker(broker),
        };
        (caller, End::Broker(self.to))
    }
}

impl World {
    /// Begins a connection; its caller hears of it.
    pub(super) fn connect(&mut self, caller: Caller, to: BrokerId) -> ConnectionId {
        self.net.last += 1;
        let id = ConnectionId(self.net.last);
        let connection = Connection {
            caller,
            to,
            caller_open: true,
            broker_open: false,
            busy: false,
            waiting: VecDeque::new(),
            outbox: Vec::new(),
            accepted: false,
            stalled: false,
            there: self.now,
            back: self.now,
            held_there: VecDeque::new(),
            held_back: VecDeque::new(),
        };
        self.net.open.insert(id, connection);
        self.send_there(id, Piece::Open);
        if matches!(caller, Caller::Peer { .. }) {
            self.after_ms(CONNECT_TIMEOUT_MS, Happening::ConnectTimeout(id));
        }
        id
    }

    /// Sends a request of a broker to another one over the lane's connection.
    pub(super) fn send_to_peer(
        &mut self,
        from: BrokerId,
        to: BrokerId,
        lane: PeerLane,
        frame: Bytes,
    ) {
        let key = (from, to, lane);
        let id = match self.net.lanes.get(&key) {
            Some(id) => *id,
            None => {
                let id = self.connect(Caller::Peer { broker: from, lane }, to);
                self.net.lanes.insert(key, id);
                id
            }
        };
        let Some(connection) = self.net.open.get_mut(&id) else {
            return;
        };
        if connection.accepted {
            self.send_there(id, Piece::Request(frame));
        } else {
            connection.outbox.push(frame);
        }
    }

    /// The caller lets go of a connection.
    pub(super) fn hang_up(&mut self, id: ConnectionId) {
        let Some(connection) = self.net.open.get_mut(&id) else {
            return;
        };
        connection.caller_open = false;
        if let Caller::Peer { broker, lane } = connection.caller {
            let key = (broker, connection.to, lane);
            if self.net.lanes.get(&key) == Some(&id) {
                self.net.lanes.remove(&key);
            }
        }
        self.send_there(id, Piece::Close);
    }

    /// A connection's caller hears that the broker took it: what waited is sent.
    pub(super) fn accepted(&mut self, id: ConnectionId) {
        let Some(connection) = self.net.open.get_mut(&id) else {
            return;
        };
        connection.accepted = true;
        for frame in std::mem::take(&mut connection.outbox) {
            self.send_there(id, Piece::Request(frame));
        }
    }

    /// Whether a connection of a peer has come about.
    pub(super) fn is_accepted(&self, id: ConnectionId) -> bool {
        self.net.open.get(&id).is_none_or(|c| c.accepted)
    }

    pub(super) fn send_there(&mut self, id: ConnectionId, piece: Piece) {
        let Some(connection) = self.net.open.get(&id) else {
            return;
        };
        let (from, to) = connection.ends();
        match self.fate(from, to, connection.stalled) {
            Fate::Lost => self.stall(id),
            Fate::Reset => self.reset(id),
            Fate::Held => {
                self.tally.count("piece held on a wire");
                if let Some(connection) = self.net.open.get_mut(&id) {
                    connection.held_there.push_back(piece);
                }
            }
            Fate::Arrives { after_us } => {
                let at = self.arrival(after_us);
                let Some(connection) = self.net.open.get_mut(&id) else {
                    return;
                };
                // Behind what is held back, nothing overtakes.
                if !connection.held_there.is_empty() {
                    connection.held_there.push_back(piece);
                    return;
                }
                connection.there = connection.there.max(at);
                let at = connection.there;
                self.at(at, Happening::There(id, piece));
            }
        }
    }

    pub(super) fn send_back(&mut self, id: ConnectionId, back: Return) {
        let Some(connection) = self.net.open.get(&id) else {
            return;
        };
        let (to, from) = connection.ends();
        match self.fate(from, to, connection.stalled) {
            Fate::Lost => self.stall(id),
            Fate::Reset => self.reset(id),
            Fate::Held => {
                self.tally.count("piece held on a wire");
                if let Some(connection) = self.net.open.get_mut(&id) {
                    connection.held_back.push_back(back);
                }
            }
            Fate::Arrives { after_us } => {
                let at = self.arrival(after_us);
                let Some(connection) = self.net.open.get_mut(&id) else {
                    return;
                };
                if !connection.held_back.is_empty() {
                    connection.held_back.push_back(back);
                    return;
                }
                connection.back = connection.back.max(at);
                let at = connection.back;
                self.at(at, Happening::Back(id, back));
            }
        }
    }

    fn fate(&mut self, from: End, to: End, stalled: bool) -> Fate {
        use rand::Rng as _;
        let throws = (self.dice.net.random(), self.dice.net.random());
        match stalled {
            true => Fate::Lost,
            false => self.net.links.wire(from, to).fate(throws),
        }
    }

    fn arrival(&mut self, after_us: u64) -> Time {
        let latency_us = between(&mut self.dice.net, self.schedule.latency_us);
        Time(self.now.0 + (latency_us + after_us).cast_signed())
    }

    fn stall(&mut self, id: ConnectionId) {
        self.tally.count("piece lost on a wire");
        if let Some(connection) = self.net.open.get_mut(&id) {
            connection.stalled = true;
        }
    }

    /// Both ends see the connection reset, whatever its wires are like.
    pub(super) fn reset(&mut self, id: ConnectionId) {
        let at = self.arrival(0);
        let Some(connection) = self.net.open.get_mut(&id) else {
            return;
        };
        connection.held_there.clear();
        connection.held_back.clear();
        connection.stalled = true;
        let (there, back) = (connection.there.max(at), connection.back.max(at));
        self.at(there, Happening::There(id, Piece::Close));
        self.at(back, Happening::Back(id, Return::Gone("reset")));
    }

    /// A wire may have become better: what was held goes on, what was lost is found out.
    pub(super) fn release_wires(&mut self) {
        let open: Vec<ConnectionId> = self.net.open.keys().copied().collect();
        for id in open {
            let Some(connection) = self.net.open.get_mut(&id) else {
                continue;
            };
            let (from, to) = connection.ends();
            let (there, back) = (self.net.links.wire(from, to), self.net.links.wire(to, from));
            if connection.stalled && !there.cut && !back.cut {
                self.reset(id);
                continue;
            }
            if !there.held && !there.cut {
                for piece in std::mem::take(&mut connection.held_there) {
                    self.send_there(id, piece);
                }
            }
            if !back.held && !back.cut {
                let connection = self.net.open.get_mut(&id);
                let held = connection.map(|c| std::mem::take(&mut c.held_back));
                for piece in held.unwrap_or_default() {
                    self.send_back(id, piece);
                }
            }
        }
    }

    /// A broker's process is gone: so are its halves of all connections.
    pub(super) fn drop_connections_of(&mut self, broker: BrokerId) {
        let open: Vec<ConnectionId> = self.net.open.keys().copied().collect();
        for id in open {
            let Some(connection) = self.net.open.get_mut(&id) else {
                continue;
            };
            if connection.to == broker && connection.broker_open {
                connection.broker_open = false;
                connection.waiting.clear();
                self.send_back(id, Return::Gone("connection reset by peer"));
            }
            let caller = self.net.open.get(&id).map(|c| (c.caller, c.caller_open));
            if let Some((Caller::Peer { broker: from, .. }, true)) = caller
                && from == broker
            {
                self.hang_up(id);
            }
        }
    }

    /// The power is gone: nothing under way arrives anywhere, and clients find their connections reset.
    pub(super) fn drop_everything_under_way(&mut self) {
        self.queue
            .retain(|_, what| !matches!(what, Happening::There(..) | Happening::Back(..)));
        let open: Vec<ConnectionId> = self.net.open.keys().copied().collect();
        for id in open {
            let Some(connection) = self.net.open.get_mut(&id) else {
                continue;
            };
            connection.broker_open = false;
            connection.held_there.clear();
            connection.held_back.clear();
            connection.waiting.clear();
            match (connection.caller, connection.caller_open) {
                (Caller::Client { .. }, true) => {
                    let at = self.arrival(0);
                    self.at(
                        at,
                        Happening::Back(id, Return::Gone("connection reset by peer")),
                    );
                }
                _ => self.forget(id),
            }
        }
    }

    /// Forgets a connection that both halves have let go of.
    pub(super) fn forget_if_closed(&mut self, id: ConnectionId) {
        if let Some(connection) = self.net.open.get(&id)
            && !connection.caller_open
            && !connection.broker_open
        {
            self.forget(id);
        }
    }

    fn forget(&mut self, id: ConnectionId) {
        let Some(connection) = self.net.open.remove(&id) else {
            return;
        };
        if let Caller::Peer { broker, lane } = connection.caller {
            let key = (broker, connection.to, lane);
            if self.net.lanes.get(&key) == Some(&id) {
                self.net.lanes.remove(&key);
            }
        }
    }
}
