//! Several members, a scripted cluster and its coordinator, on virtual time. A broker answers one request of a
//! connection at a time.

use std::collections::{BTreeMap, VecDeque};

use bytes::Bytes;

use super::super::*;
use crate::client::tests::{FIRST_PORT, START_MS, Scripted};
use crate::client::{Action, LinkId, Machine};
use crate::wire::ApiKey;

/// A long poll takes so long when there is nothing.
const FETCH_MS: i64 = 100;

pub struct Stage {
    pub cluster: Scripted,
    pub now: Time,
    pub seats: Vec<Seat>,
    connections: BTreeMap<u64, Connection>,
    later: Vec<(Time, u64, Bytes)>,
    next_connection: u64,
}

/// A member and what became of it.
pub struct Seat {
    pub member: Option<GroupConsumer>,
    pub events: Vec<GroupEvent>,
    /// Topic, partition, offset, in the order they were given out.
    pub records: Vec<(String, i32, i64)>,
    /// Pieces taken and not processed.
    pub held: Vec<Fetched>,
    /// Processes what it takes at once.
    pub prompt: bool,
    /// Takes records at all.
    pub polls: bool,
}

struct Connection {
    seat: usize,
    link: LinkId,
    port: u16,
    requests: VecDeque<Bytes>,
    busy: bool,
}

impl Stage {
    pub fn new(cluster: Scripted) -> Stage {
        Stage {
            cluster,
            now: Time::from_ms(START_MS),
            seats: Vec::new(),
            connections: BTreeMap::new(),
            later: Vec::new(),
            next_connection: 1,
        }
    }

    pub fn add(&mut self, config: GroupConfig) -> usize {
        self.seats.push(Seat {
            member: Some(GroupConsumer::new(config).unwrap()),
            events: Vec::new(),
            records: Vec::new(),
            held: Vec::new(),
            prompt: true,
            polls: true,
        });
        self.seats.len() - 1
    }

    pub fn member(&mut self, seat: usize) -> &mut GroupConsumer {
        self.seats[seat].member.as_mut().unwrap()
    }

    pub fn owned(&self, seat: usize) -> Vec<i32> {
        let member = self.seats[seat].member.as_ref().unwrap();
        member.assignment().iter().map(|o| o.partition.0).collect()
    }

    pub fn state(&self, seat: usize) -> MemberState {
        self.seats[seat].member.as_ref().unwrap().state()
    }

    /// As if its process had died.
    pub fn crash(&mut self, seat: usize) {
        self.seats[seat].member = None;
        self.connections.retain(|_, c| c.seat != seat);
    }

    /// Ends every connection to a broker.
    pub fn reset_broker(&mut self, port: u16) {
        let ended: Vec<u64> = self
            .connections
            .iter()
            .filter(|(_, c)| c.port == port)
            .map(|(id, _)| *id)
            .collect();
        for id in ended {
            let connection = self.connections.remove(&id).unwrap();
            if let Some(member) = &mut self.seats[connection.seat].member {
                member.on_disconnected(self.now, connection.link, "connection reset");
            }
        }
    }

    /// Runs until `done`; panics when virtual minutes pass without it.
    pub fn until(&mut self, what: &str, done: impl Fn(&mut Stage) -> bool) {
        let deadline = self.now.plus_ms(600_000);
        for _ in 0..200_000 {
            self.go();
            if done(self) {
                return;
            }
            let next = self.next_wakeup();
            assert!(
                next < deadline,
                "waited for minutes: {what}\n{}",
                self.describe()
            );
            self.now = next.max(self.now.plus_ms(1));
        }
        panic!("spins: {what}");
    }

    pub fn describe(&self) -> String {
        let mut text = String::new();
        for (n, seat) in self.seats.iter().enumerate() {
            let last = seat.events.iter().rev().take(12).rev();
            let state = seat.member.as_ref().map(GroupConsumer::state);
            text += &format!("{n}: {state:?} {:#?}\n", last.collect::<Vec<_>>());
        }
        text
    }

    pub fn for_ms(&mut self, ms: i64) {
        let end = self.now.plus_ms(ms);
        while self.now < end {
            self.go();
            self.now = self.next_wakeup().max(self.now.plus_ms(1)).min(end);
        }
        self.go();
    }

    fn next_wakeup(&self) -> Time {
        let members = self.seats.iter().filter_map(|s| s.member.as_ref());
        let members = members.filter_map(Machine::next_wakeup);
        let later = self.later.iter().map(|(at, ..)| *at);
        let group = self.cluster.group.next_wakeup();
        members
            .chain(later)
            .chain(group)
            .min()
            .expect("somebody waits")
    }

    /// Everything that can happen now.
    fn go(&mut self) {
        for _ in 0..10_000 {
            self.cluster.group.tick(self.now);
            let mut any = self.deliver();
            for seat in 0..self.seats.len() {
                any |= self.drive(seat);
            }
            if !any {
                return;
            }
        }
        panic!("spins at one moment\n{}", self.describe());
    }

    fn drive(&mut self, n: usize) -> bool {
        let mut any = false;
        while let Some(member) = &mut self.seats[n].member {
            let Some(action) = member.poll_action(self.now) else {
                break;
            };
            any = true;
            self.carry_out(n, action);
        }
        let seat = &mut self.seats[n];
        let Some(member) = &mut seat.member else {
            return any;
        };
        while let Some(event) = member.poll_event() {
            seat.events.push(event);
        }
        if seat.polls && seat.held.is_empty() {
            let pieces = member.poll(self.now);
            any |= !pieces.is_empty();
            for piece in &pieces {
                let place = (piece.topic.clone(), piece.partition.0);
                let add = |r: &crate::wire::records::Record<'_>| {
                    seat.records.push((place.0.clone(), place.1, r.offset.0));
                };
                piece.visit(1 << 20, add).unwrap();
            }
            seat.held = pieces;
        }
        if seat.prompt && !seat.held.is_empty() {
            any = true;
            for piece in std::mem::take(&mut seat.held) {
                member.processed(&piece.topic, piece.partition, piece.next);
            }
        }
        any
    }

    fn carry_out(&mut self, seat: usize, action: Action) {
        match action {
            Action::Connect { link, to } => {
                let dead = self.cluster.dead.contains(&to.port);
                let member = self.seats[seat].member.as_mut().unwrap();
                if dead || !(FIRST_PORT..FIRST_PORT + 10).contains(&to.port) {
                    member.on_disconnected(self.now, link, "connection refused");
                    return;
                }
                member.on_connected(self.now, link);
                self.connections.insert(
                    self.next_connection,
                    Connection {
                        seat,
                        link,
                        port: to.port,
                        requests: VecDeque::new(),
                        busy: false,
                    },
                );
                self.next_connection += 1;
            }
            Action::Send { link, parts } => {
                let frame = Bytes::from(parts.concat());
                if let Some(id) = self.find(seat, link) {
                    self.connections
                        .get_mut(&id)
                        .unwrap()
                        .requests
                        .push_back(frame);
                    self.pump(id);
                }
            }
            Action::Close { link } => {
                if let Some(id) = self.find(seat, link) {
                    self.connections.remove(&id);
                }
            }
        }
    }

    fn find(&self, seat: usize, link: LinkId) -> Option<u64> {
        let mut all = self.connections.iter();
        let (id, _) = all.find(|(_, c)| c.seat == seat && c.link == link)?;
        Some(*id)
    }

    /// Has the broker take the next request of a connection.
    fn pump(&mut self, id: u64) {
        let Some(connection) = self.connections.get_mut(&id).filter(|c| !c.busy) else {
            return;
        };
        let Some(frame) = connection.requests.pop_front() else {
            return;
        };
        connection.busy = true;
        let port = connection.port;
        let polls = frame[4..6] == (ApiKey::Fetch as i16).to_be_bytes();
        self.cluster.group.now = self.now;
        match self.cluster.answer_on(id, port, frame) {
            Ok(Some(answer)) => {
                let wait_ms = if polls { FETCH_MS } else { 1 };
                self.later.push((self.now.plus_ms(wait_ms), id, answer));
            }
            // Parked, or answered through the group's queue.
            Ok(None) => {}
            Err(()) => {
                let connection = self.connections.remove(&id).unwrap();
                if let Some(member) = &mut self.seats[connection.seat].member {
                    member.on_disconnected(self.now, connection.link, "connection reset");
                }
            }
        }
    }

    fn deliver(&mut self) -> bool {
        while let Some((id, frame)) = self.cluster.group.out.pop_front() {
            self.later.push((self.now.plus_ms(1), id, frame));
        }
        let now = self.now;
        let (due, later) = std::mem::take(&mut self.later)
            .into_iter()
            .partition(|l| l.0 <= now);
        self.later = later;
        let due: Vec<(Time, u64, Bytes)> = due;
        let any = !due.is_empty();
        for (_, id, frame) in due {
            let Some(connection) = self.connections.get_mut(&id) else {
                continue;
            };
            connection.busy = false;
            let (seat, link) = (connection.seat, connection.link);
            if let Some(member) = &mut self.seats[seat].member {
                member.on_frame(self.now, link, frame);
            }
            self.pump(id);
        }
        any
    }
}
