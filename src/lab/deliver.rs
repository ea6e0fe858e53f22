//! What reaches a broker or a client, and what clients do about it.

use bytes::Bytes;

use super::clients::{Books, Role, broker_at, port};
use super::connections::{Caller, Piece, Return};
use super::snoop::Snoop;
use super::world::World;
use crate::broker::ConnectionFacts;
use crate::broker::effect::PeerLane;
use crate::client::{Action, LinkId};
use crate::ids::{BrokerId, ConnectionId};

/// Bytes of a frame's length prefix.
const PREFIX_BYTES: usize = 4;

impl World {
    /// Something reaches a broker.
    pub(super) fn arrive(&mut self, id: ConnectionId, piece: Piece) {
        let Some(connection) = self.net.open.get_mut(&id) else {
            return;
        };
        let to = connection.to;
        match piece {
            Piece::Open => {
                let up = self
                    .seats
                    .get(&to)
                    .is_some_and(|seat| seat.broker.is_some());
                self.trace
                    .event(self.now, &[3, id.0, u64::from(up)], None, || {
                        format!(
                            "connection {id} reaches broker {to}, which is {}",
                            if up { "up" } else { "down" }
                        )
                    });
                if !up {
                    self.send_back(id, Return::Gone("connection refused"));
                    return;
                }
                connection.broker_open = true;
                self.send_back(id, Return::Accepted);
                let facts = facts(to, id);
                self.drive(to, |broker, now| broker.on_connected(now, id, facts));
            }
            Piece::Request(frame) if connection.broker_open => {
                if connection.busy {
                    connection.waiting.push_back(frame);
                } else {
                    self.take_request(id, frame);
                }
            }
            Piece::Request(_) => {}
            Piece::Close => {
                if std::mem::take(&mut connection.broker_open) {
                    self.trace.event(self.now, &[4, id.0], None, || {
                        format!("connection {id} ends at broker {to}")
                    });
                    self.drive(to, |broker, now| broker.on_disconnected(now, id));
                }
                self.forget_if_closed(id);
            }
        }
    }

    fn take_request(&mut self, id: ConnectionId, frame: Bytes) {
        let Some(connection) = self.net.open.get_mut(&id) else {
            return;
        };
        connection.busy = true;
        let to = connection.to;
        self.snoop.request(id, &frame, &mut self.tally);
        self.trace.event(self.now, &[5, id.0], Some(&frame), || {
            format!(
                "connection {id}: {} to broker {to}",
                Snoop::describe(&frame)
            )
        });
        self.drive(to, |broker, now| broker.on_frame(now, id, frame));
    }

    /// Lets connections whose request was answered go on with their next one.
    pub(super) fn answer_ready(&mut self) {
        while let Some(id) = self.ready.pop_front() {
            let next = self.net.open.get_mut(&id).and_then(|connection| {
                connection.busy = false;
                connection.waiting.pop_front()
            });
            if let Some(frame) = next {
                self.take_request(id, frame);
            }
        }
    }

    /// Something comes back to a caller.
    pub(super) fn come_back(&mut self, id: ConnectionId, back: Return) {
        let Some(connection) = self.net.open.get_mut(&id) else {
            return;
        };
        if !connection.caller_open {
            return;
        }
        let (caller, from) = (connection.caller, connection.to);
        if matches!(back, Return::Gone(_)) {
            connection.caller_open = false;
            self.tally.count("reset seen by a client");
            self.forget_if_closed(id);
        }
        let bytes = match &back {
            Return::Answer(frame) => Some(frame.clone()),
            _ => None,
        };
        self.trace.event(self.now, &[6, id.0], bytes.as_ref(), || {
            let what = match &back {
                Return::Accepted => "accepted".to_owned(),
                Return::Answer(frame) => format!("an answer of {} bytes", frame.len()),
                Return::Gone(why) => (*why).to_owned(),
            };
            format!("connection {id} from broker {from}: {what}")
        });
        match caller {
            Caller::Client { number, link } => self.client_hears(number, link, back),
            Caller::Peer { broker, lane } => self.peer_hears(broker, id, from, lane, back),
        }
    }

    fn client_hears(&mut self, number: usize, link: LinkId, back: Return) {
        let now = self.now;
        let client = &mut self.clients[number];
        match back {
            Return::Accepted => client.machine().on_connected(now, link),
            Return::Answer(frame) => client.machine().on_frame(now, link, frame),
            Return::Gone(why) => {
                client.links.remove(&link);
                client.machine().on_disconnected(now, link, why);
            }
        }
        self.pump(number);
    }

    fn peer_hears(
        &mut self,
        broker: BrokerId,
        id: ConnectionId,
        from: BrokerId,
        lane: PeerLane,
        back: Return,
    ) {
        match back {
            Return::Accepted => self.accepted(id),
            Return::Answer(frame) => {
                self.drive(broker, |b, now| b.on_peer_frame(now, from, lane, frame));
            }
            Return::Gone(why) => {
                if self.net.lanes.get(&(broker, from, lane)) == Some(&id) {
                    self.net.lanes.remove(&(broker, from, lane));
                }
                self.drive(broker, |b, now| b.on_peer_lost(now, from, lane, why));
            }
        }
    }

    /// Lets a client do all it can do now.
    pub(super) fn pump(&mut self, number: usize) {
        loop {
            let now = self.now;
            while let Some(action) = self.clients[number].machine().poll_action(now) {
                self.act(number, action);
            }
            let mut books = Books {
                now,
                history: &mut self.history,
                tally: &mut self.tally,
            };
            if !self.clients[number].work(&mut books) {
                break;
            }
        }
        let client = &mut self.clients[number];
        client.wake = client.next_wakeup();
        let (mut done, mut failed) = (Vec::new(), Vec::new());
        if let Role::Chores(chores) = &mut client.role {
            done = std::mem::take(&mut chores.done);
            failed = std::mem::take(&mut chores.failed);
        }
        if let Role::Reader(reader) = &mut client.role {
            failed.append(&mut reader.damage);
        }
        let (mut broken, mut over) = (Vec::new(), false);
        if let Role::Member(member) = &mut client.role {
            failed.append(&mut member.damage);
            broken = std::mem::take(&mut member.broken);
            over = member.is_over(self.now);
        }
        for what in broken {
            self.violation("group", what);
        }
        if over {
            self.replace_client(u32::try_from(number - 1).unwrap_or(0));
        }
        for chore in done {
            self.on_done(chore);
        }
        for what in failed {
            self.violation("damage", what);
        }
    }

    fn act(&mut self, number: usize, action: Action) {
        match action {
            Action::Connect { link, to } => {
                let id = self.connect(Caller::Client { number, link }, broker_at(&to));
                self.clients[number].links.insert(link, id);
            }
            Action::Send { link, parts } => {
                if let Some(id) = self.clients[number].links.get(&link).copied() {
                    self.send_there(id, Piece::Request(unframe(parts)));
                }
            }
            Action::Close { link } => {
                if let Some(id) = self.clients[number].links.remove(&link) {
                    self.hang_up(id);
                }
            }
        }
    }
}

/// What a broker is told of a connection.
fn facts(to: BrokerId, id: ConnectionId) -> ConnectionFacts {
    let local = format!("127.0.0.1:{}", port(to));
    let peer = format!("127.0.0.1:{}", 20_000 + id.0 % 40_000);
    ConnectionFacts {
        peer: peer.parse().expect("an address and a port"),
        local: local.parse().expect("an address and a port"),
        own: false,
    }
}

/// A whole frame without its length prefix.
pub(super) fn unframe(parts: Vec<Bytes>) -> Bytes {
    Bytes::from(parts.concat()).split_off(PREFIX_BYTES)
}
