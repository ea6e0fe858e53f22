//! Quorum members on a network and disks of their own, in virtual time, from one seed.
//!
//! A connection is as the brokers' is: requests of a lane wait for each other, a loss is told once, a hangup makes
//! late answers vanish. Messages of an open connection may also be swallowed, as by a peer that hangs.

use std::collections::{BTreeMap, BTreeSet};

use bytes::{Bytes, BytesMut};
use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};

use super::disk::{Disk, Entry, offset};
use super::watch::Watch;
use crate::ids::{BrokerId, LeaderEpoch, Offset, Time};
use crate::quorum::{
    Action, ElectionState, FetchAsked, FetchTold, FetchVerdict, FollowerStep, LogView, Quorum,
    QuorumConfig, QuorumLane, QuorumRequest, SnapshotAsked, SnapshotId, SnapshotPiece,
    SnapshotTold, SnapshotVerdict,
};
use crate::wire::messages::begin_quorum_epoch::BeginQuorumEpochResponse;
use crate::wire::messages::end_quorum_epoch::EndQuorumEpochResponse;
use crate::wire::messages::fetch::{FetchRequest, FetchResponse};
use crate::wire::messages::fetch_snapshot::{FetchSnapshotRequest, FetchSnapshotResponse};
use crate::wire::messages::vote::VoteResponse;
use crate::wire::{ErrorCode, Reader, RecordRanges, Writer};

/// A cluster's shape and weather.
#[derive(Debug, Clone)]
pub struct Weather {
    pub voters: i32,
    pub observers: i32,
    /// Bounds of a message's way, in microseconds.
    pub delay_us: (i64, i64),
    /// Bounds of a sync, in microseconds.
    pub sync_us: (i64, i64),
    /// Messages of a thousand that vanish.
    pub swallowed: u32,
    /// Lists of actions of a thousand in whose midst the broker loses power.
    pub midway_crashes: u32,
    /// Messages pass through the protocol's bytes.
    pub encoded: bool,
    /// Committed records between two snapshots of a broker.
    pub snapshot_every: Option<i64>,
}

impl Weather {
    pub fn calm(voters: i32) -> Weather {
        Weather {
            voters,
            observers: 0,
            delay_us: (50, 300),
            sync_us: (1_000, 5_000),
            swallowed: 0,
            midway_crashes: 0,
            encoded: true,
            snapshot_every: None,
        }
    }
}

/// How bytes fare from one broker to another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Link {
    Open,
    /// Connections break and none can be made.
    Cut,
    /// Bytes vanish, and nobody is told.
    Silent,
    /// Every message takes this much longer.
    Slow {
        ms: i64,
    },
}

#[derive(Debug, Clone)]
pub enum Answer {
    Vote(VoteResponse),
    Begin(BeginQuorumEpochResponse),
    End(EndQuorumEpochResponse),
    Fetch(FetchResponse),
    Snapshot(FetchSnapshotResponse),
}

type Wire = (BrokerId, BrokerId, QuorumLane);

#[derive(Debug)]
enum Event {
    Wake(BrokerId),
    Asked(Wire, u64, QuorumRequest),
    Answered(Wire, u64, Answer),
    Lost(Wire, u64),
    Synced(BrokerId, u32, usize),
    HeldEnough(BrokerId, u32),
    Planned(usize),
}

struct Held {
    wire: Wire,
    connection: u64,
    asked: FetchAsked,
    until: Time,
}

/// One broker.
pub struct Node {
    pub quorum: Option<Quorum>,
    pub disk: Disk,
    /// Counts starts, so that what was meant for an earlier life is not given to a later one.
    life: u32,
    pub high_watermark: Option<Offset>,
    held: Vec<Held>,
    /// What has come of a snapshot.
    pieces: (Option<SnapshotId>, BytesMut),
    paused: Option<Vec<Event>>,
    wake: Option<Time>,
    syncing: bool,
    /// It began a clean stop.
    stopping: bool,
    /// As leader: when each voter was last heard, for the watch.
    heard: BTreeMap<BrokerId, Time>,
}

/// The world. Steps are planned before the run and looked up by number.
pub struct Network {
    pub now: Time,
    pub nodes: BTreeMap<BrokerId, Node>,
    pub watch: Watch,
    pub random: SmallRng,
    weather: Weather,
    queue: BTreeMap<(Time, u64), Event>,
    number: u64,
    connections: BTreeMap<Wire, u64>,
    /// Losses not told yet: what is sent meanwhile is lost with them, and none is told after a hangup.
    lost: BTreeMap<Wire, u64>,
    links: BTreeMap<(BrokerId, BrokerId), Link>,
    values: u64,
    /// Requests sent so far.
    pub sent: u64,
    trace: bool,
}

/// Puts a message through the bytes it would be on a wire.
macro_rules! through_bytes {
    ($message:expr, $type:ty, $version:expr) => {{
        let mut writer = Writer::new();
        $message.encode(&mut writer, $version).unwrap();
        let mut reader = Reader::new(writer.finish_value());
        <$type>::decode(&mut reader, $version).unwrap()
    }};
}

impl Network {
    pub fn new(seed: u64, weather: Weather) -> Network {
        let mut network = Network {
            now: Time(1_000_000),
            nodes: BTreeMap::new(),
            watch: Watch::default(),
            random: SmallRng::seed_from_u64(seed),
            queue: BTreeMap::new(),
            number: 0,
            connections: BTreeMap::new(),
            lost: BTreeMap::new(),
            links: BTreeMap::new(),
            values: 0,
            sent: 0,
            trace: std::env::var_os("KLAR_QUORUM_TRACE").is_some(),
            weather,
        };
        for id in 1..=network.weather.voters + network.weather.observers {
            network
                .nodes
                .insert(BrokerId(id), Node::new(Disk::default()));
        }
        network
    }

    pub fn start_all(&mut self) {
        for id in self.ids() {
            self.start(id);
        }
    }

    pub fn ids(&self) -> Vec<BrokerId> {
        self.nodes.keys().copied().collect()
    }

    pub fn voters(&self) -> BTreeSet<BrokerId> {
        (1..=self.weather.voters).map(BrokerId).collect()
    }

    pub fn majority(&self) -> usize {
        self.voters().len() / 2 + 1
    }

    pub fn node(&mut self, id: BrokerId) -> &mut Node {
        self.nodes.get_mut(&id).unwrap()
    }

    pub fn alive(&self, id: BrokerId) -> bool {
        self.nodes[&id].quorum.is_some()
    }

    /// Those that believe to lead.
    pub fn leaders(&self) -> Vec<BrokerId> {
        let leads = |node: &Node| node.quorum.as_ref().is_some_and(Quorum::is_leader);
        let nodes = self.nodes.iter();
        nodes
            .filter(|(_, node)| leads(node))
            .map(|(id, _)| *id)
            .collect()
    }

    pub fn start(&mut self, id: BrokerId) {
        if self.alive(id) {
            return;
        }
        let config = QuorumConfig::new(id, "klar", self.voters());
        let (seed, now) = (self.random.random(), self.now);
        let node = self.node(id);
        let saved = node.disk.state.as_deref();
        let saved = saved.map(|file| ElectionState::decode(file).unwrap());
        node.quorum = Some(Quorum::new(config, saved, seed, now));
        node.life += 1;
        node.high_watermark = None;
        node.wake = None;
        node.paused = None;
        node.syncing = false;
        node.stopping = false;
        node.held.clear();
        node.pieces = Default::default();
        node.heard.clear();
        self.say(|| format!("{id} starts with {saved:?}"));
        // What a crash left unsynced is synced before it counts.
        self.sync(id);
        self.verb(id, |quorum, now, disk| quorum.on_tick(now, disk));
    }

    /// The program ends; what was written stays, what was not synced stays only without `power_loss`.
    pub fn kill(&mut self, id: BrokerId, power_loss: bool) {
        if !self.alive(id) {
            return;
        }
        self.say(|| format!("{id} is killed, power loss {power_loss}"));
        let (synced, end) = (self.nodes[&id].disk.synced, self.nodes[&id].disk.log.len());
        let kept = match power_loss {
            true => self.random.random_range(synced..=end),
            false => end,
        };
        let node = self.node(id);
        node.quorum = None;
        node.paused = None;
        node.held.clear();
        node.disk.log.truncate(kept);
        self.lost.retain(|wire, _| wire.0 != id);
        let wires: Vec<Wire> = self.connections.keys().copied().collect();
        for wire in wires {
            if wire.0 == id {
                self.connections.remove(&wire);
            } else if wire.1 == id {
                self.break_connection(wire);
            }
        }
    }

    /// Stops taking input and time.
    pub fn pause(&mut self, id: BrokerId) {
        if self.alive(id) {
            self.say(|| format!("{id} is paused"));
            self.node(id).paused.get_or_insert_with(Vec::new);
        }
    }

    pub fn resume(&mut self, id: BrokerId) {
        let Some(missed) = self.node(id).paused.take() else {
            return;
        };
        self.say(|| format!("{id} goes on"));
        // The time is told with the first input; the watch begins anew.
        self.node(id).heard.clear();
        for event in missed {
            self.happen(event);
        }
        self.verb(id, |quorum, now, disk| quorum.on_tick(now, disk));
    }

    pub fn set_link(&mut self, from: BrokerId, to: BrokerId, link: Link) {
        self.say(|| format!("link {from}>{to}: {link:?}"));
        self.links.insert((from, to), link);
        if link == Link::Cut {
            let wires: Vec<Wire> = self.connections.keys().copied().collect();
            let pair = BTreeSet::from([from, to]);
            for wire in wires {
                if BTreeSet::from([wire.0, wire.1]) == pair {
                    self.break_connection(wire);
                }
            }
        }
    }

    pub fn set_links(&mut self, a: BrokerId, b: BrokerId, link: Link) {
        self.set_link(a, b, link);
        self.set_link(b, a, link);
    }

    /// Brokers that began a clean stop end and start again.
    pub fn restart_the_resigned(&mut self) {
        for id in self.ids() {
            if std::mem::take(&mut self.node(id).stopping) {
                self.kill(id, false);
                self.start(id);
            }
        }
    }

    /// No more faults: links are open, everybody is up.
    pub fn heal(&mut self) {
        self.links.clear();
        self.weather.swallowed = 0;
        self.weather.midway_crashes = 0;
        for id in self.ids() {
            self.resume(id);
            self.start(id);
        }
    }

    /// A client's decision at whoever believes to lead.
    pub fn append(&mut self, id: BrokerId) {
        let Some(quorum) = &self.nodes[&id].quorum else {
            return;
        };
        if quorum.is_leader() && self.nodes[&id].paused.is_none() {
            let epoch = quorum.epoch();
            self.append_entry(id, epoch);
        }
    }

    fn append_entry(&mut self, id: BrokerId, epoch: LeaderEpoch) {
        self.values += 1;
        let value = self.values;
        self.node(id).disk.append(Entry { epoch, value });
        self.sync(id);
        self.verb(id, |quorum, now, disk| quorum.on_log_changed(now, disk));
    }

    /// Leaders begin a clean stop.
    pub fn resign_leaders(&mut self) {
        for id in self.leaders() {
            if self.nodes[&id].paused.is_none() {
                self.verb(id, |quorum, now, disk| quorum.resign(now, disk));
                self.watch.saw("a leader resigned");
                self.node(id).stopping = true;
            }
        }
    }

    pub fn plan(&mut self, at: Time, step: usize) {
        self.push(at, Event::Planned(step));
    }

    /// Runs until `until` or the first violation; planned steps are given to `planned`.
    pub fn run(&mut self, until: Time, planned: &mut dyn FnMut(&mut Network, usize)) {
        while self.watch.violation.is_none() {
            let Some(entry) = self.queue.first_entry() else {
                break;
            };
            let (at, _) = *entry.key();
            if at > until {
                break;
            }
            let event = entry.remove();
            self.now = at;
            match event {
                Event::Planned(step) => planned(self, step),
                event => self.happen(event),
            }
        }
        self.now = self.now.max(until);
    }

    pub fn run_ms(&mut self, ms: i64) {
        self.run(self.now.plus_ms(ms), &mut |_, _| {});
    }

    /// Runs until `done`, for at most `ms`; how long it took.
    pub fn run_until(&mut self, ms: i64, done: impl Fn(&Network) -> bool) -> Option<i64> {
        let began = self.now;
        while self.watch.violation.is_none() && !done(self) {
            let next = self.queue.first_key_value().map(|((at, _), _)| *at);
            let next = next.filter(|at| *at <= began.plus_ms(ms))?;
            self.run(next, &mut |_, _| {});
        }
        done(self).then_some((self.now.0 - began.0) / 1000)
    }

    fn say(&self, what: impl FnOnce() -> String) {
        if self.trace {
            println!("{:>10} {}", self.now.0, what());
        }
    }

    fn push(&mut self, at: Time, event: Event) {
        self.number += 1;
        self.queue.insert((at, self.number), event);
    }

    fn later(&mut self, (from_us, to_us): (i64, i64)) -> Time {
        Time(self.now.0 + self.random.random_range(from_us..=to_us))
    }

    fn happen(&mut self, event: Event) {
        let to = match &event {
            Event::Wake(id) | Event::Synced(id, ..) | Event::HeldEnough(id, _) => *id,
            Event::Asked(wire, ..) => wire.1,
            Event::Answered(wire, ..) | Event::Lost(wire, _) => wire.0,
            Event::Planned(_) => unreachable!(),
        };
        let node = self.nodes.get_mut(&to).unwrap();
        if node.quorum.is_none() {
            return;
        }
        if let Some(missed) = &mut node.paused {
            missed.push(event);
            return;
        }
        match event {
            Event::Wake(id) => {
                if self.node(id).wake.is_some_and(|at| at <= self.now) {
                    self.node(id).wake = None;
                    self.verb(id, |quorum, now, disk| quorum.on_tick(now, disk));
                }
            }
            Event::Asked(wire, connection, request) => {
                if self.connections.get(&wire) == Some(&connection) {
                    self.say(|| format!("{wire:?} {request:?}"));
                    self.take_request(wire, connection, request);
                }
            }
            Event::Answered(wire, connection, answer) => {
                if self.connections.get(&wire) == Some(&connection) {
                    self.say(|| format!("answer to {wire:?} {answer:?}"));
                    self.take_answer(wire, answer);
                }
            }
            Event::Lost(wire, number) => {
                let (at, peer, lane) = wire;
                if self.lost.get(&wire) != Some(&number) {
                    return;
                }
                self.lost.remove(&wire);
                self.say(|| format!("{at} lost {peer} {lane:?}"));
                self.verb(at, |quorum, now, disk| {
                    quorum.on_peer_lost(now, disk, peer, lane)
                });
            }
            Event::Synced(id, life, upto) => {
                if self.nodes[&id].life == life {
                    self.take_synced(id, upto);
                }
            }
            Event::HeldEnough(id, life) => {
                if self.nodes[&id].life == life {
                    self.answer_held(id);
                }
            }
            Event::Planned(_) => unreachable!(),
        }
    }

    /// One verb with everything that follows from it.
    fn verb<T>(
        &mut self,
        id: BrokerId,
        verb: impl FnOnce(&mut Quorum, Time, &Disk) -> T,
    ) -> Option<T> {
        let now = self.now;
        let node = self.nodes.get_mut(&id).unwrap();
        let quorum = node.quorum.as_mut()?;
        let told = verb(quorum, now, &node.disk);
        quorum.check();
        let actions = quorum.actions();
        if !self.carry_out(id, actions) {
            return None;
        }
        self.answer_held(id);
        self.watch_patience(id);
        let node = self.nodes.get_mut(&id).unwrap();
        let next = node.quorum.as_ref().and_then(Quorum::next_wakeup);
        if let Some(at) = next
            && node.wake.is_none_or(|wake| at < wake)
        {
            let at = at.max(now);
            node.wake = Some(at);
            self.push(at, Event::Wake(id));
        }
        Some(told)
    }

    fn watch_patience(&mut self, id: BrokerId) {
        let node = &self.nodes[&id];
        let Some(quorum) = node.quorum.as_ref().filter(|quorum| quorum.is_leader()) else {
            return;
        };
        let patience_ms = quorum.config().fetch_timeout_ms * 3 / 2 + 1;
        let heard = node.heard.iter().map(|(id, at)| (*at, *id)).collect();
        let needed = self.majority() - 1;
        if node.heard.len() >= needed {
            self.watch.heard(id, self.now, &heard, needed, patience_ms);
        }
    }

    /// Carries actions out; false if the broker died meanwhile.
    fn carry_out(&mut self, id: BrokerId, actions: Vec<Action>) -> bool {
        let crashes = self.random.random_ratio(self.weather.midway_crashes, 1000);
        let dies_at = self.random.random_range(0..=actions.len());
        for (at, action) in actions.into_iter().enumerate() {
            if crashes && at == dies_at {
                self.watch.saw("power lost between actions");
                self.kill(id, true);
                return false;
            }
            self.say(|| format!("{id} {action:?}"));
            match action {
                Action::Persist(state) => self.node(id).disk.state = Some(state.encode()),
                Action::Send { to, request } => self.send(id, to, request),
                Action::Hangup { to, lane } => {
                    self.connections.remove(&(id, to, lane));
                    self.lost.remove(&(id, to, lane));
                }
                Action::LeaderChanged { .. } => {}
                Action::BecameLeader { epoch, .. } => self.take_leadership(id, epoch),
                Action::HighWatermark(to) => self.take_high_watermark(id, to),
            }
        }
        self.alive(id)
    }

    fn take_leadership(&mut self, id: BrokerId, epoch: LeaderEpoch) {
        self.watch.saw("elected");
        self.watch.led(id, epoch, &self.nodes[&id].disk);
        let (now, voters) = (self.now, self.voters());
        self.node(id).heard = voters.into_iter().map(|id| (id, now)).collect();
        self.node(id).heard.remove(&id);
        self.append_entry(id, epoch);
    }

    fn take_high_watermark(&mut self, id: BrokerId, to: Offset) {
        let voters = self.voters();
        let majority = self.majority();
        let node = &self.nodes[&id];
        let Some(quorum) = &node.quorum else {
            return;
        };
        let before = node.high_watermark;
        let epoch = quorum.epoch();
        self.watch.committed(id, epoch, before, to, &node.disk);
        if quorum.is_leader() {
            let disks = voters.iter().map(|voter| &self.nodes[voter].disk);
            self.watch
                .leader_committed(epoch, to, &node.disk, disks, majority);
        }
        self.node(id).high_watermark = Some(to);
        self.snapshot_if_due(id);
    }

    /// A broker makes a snapshot of what is committed and synced there.
    fn snapshot_if_due(&mut self, id: BrokerId) {
        let Some(every) = self.weather.snapshot_every else {
            return;
        };
        let node = self.node(id);
        let Some(committed) = node.high_watermark else {
            return;
        };
        let end = committed.min(node.disk.durable_end());
        let last = node.disk.snapshot().map_or(Offset::ZERO, |id| id.end);
        if end.0 - last.0 >= every {
            node.disk.take_snapshot(end);
            self.watch.saw("a snapshot was made");
        }
    }

    fn link(&self, from: BrokerId, to: BrokerId) -> Link {
        self.links.get(&(from, to)).copied().unwrap_or(Link::Open)
    }

    /// When a message arrives; `None` if it never does.
    fn arrival(&mut self, from: BrokerId, to: BrokerId) -> Option<Time> {
        let at = self.later(self.weather.delay_us);
        if self.random.random_ratio(self.weather.swallowed, 1000) {
            return None;
        }
        match self.link(from, to) {
            Link::Open => Some(at),
            Link::Slow { ms } => Some(at.plus_ms(ms)),
            Link::Cut | Link::Silent => None,
        }
    }

    fn send(&mut self, from: BrokerId, to: BrokerId, request: QuorumRequest) {
        self.sent += 1;
        let wire = (from, to, request.lane());
        if self.lost.contains_key(&wire) {
            return;
        }
        let broken =
            !self.alive(to) || self.link(from, to) == Link::Cut || self.link(to, from) == Link::Cut;
        if broken {
            self.connections.remove(&wire);
            return self.lose(wire);
        }
        self.number += 1;
        let fresh = self.number;
        let connection = *self.connections.entry(wire).or_insert(fresh);
        let request = match self.weather.encoded {
            true => encoded(request),
            false => request,
        };
        if let Some(at) = self.arrival(from, to) {
            self.push(at, Event::Asked(wire, connection, request));
        }
    }

    fn break_connection(&mut self, wire: Wire) {
        if self.connections.remove(&wire).is_some() {
            self.lose(wire);
        }
    }

    fn lose(&mut self, wire: Wire) {
        let at = self.later((20, 400));
        self.number += 1;
        self.lost.insert(wire, self.number);
        self.push(at, Event::Lost(wire, self.number));
    }

    fn take_request(&mut self, wire: Wire, connection: u64, request: QuorumRequest) {
        let id = wire.1;
        let answer = match request {
            QuorumRequest::Vote(request) => self
                .verb(id, |quorum, now, disk| quorum.on_vote(now, disk, &request))
                .map(Answer::Vote),
            QuorumRequest::Begin(request) => self
                .verb(id, |quorum, now, disk| {
                    quorum.on_begin_quorum_epoch(now, disk, &request)
                })
                .map(Answer::Begin),
            QuorumRequest::End(request) => self
                .verb(id, |quorum, now, disk| {
                    quorum.on_end_quorum_epoch(now, disk, &request)
                })
                .map(Answer::End),
            QuorumRequest::Fetch(request) => {
                return self.take_fetch(wire, connection, &request);
            }
            QuorumRequest::Snapshot(request) => {
                self.take_fetch_snapshot(id, &request).map(Answer::Snapshot)
            }
        };
        if let Some(answer) = answer {
            self.reply(wire, connection, answer);
        }
    }

    fn take_fetch(&mut self, wire: Wire, connection: u64, request: &FetchRequest) {
        let id = wire.1;
        let asked = FetchAsked::from_request(request).unwrap();
        let verdict = self.verb(id, |quorum, now, disk| quorum.on_fetch(now, disk, &asked));
        let Some(verdict) = verdict else {
            return;
        };
        let now = self.now;
        if !matches!(verdict, FetchVerdict::Refused { .. })
            && let Some(heard) = self.node(id).heard.get_mut(&asked.replica)
        {
            *heard = now;
        }
        if matches!(verdict, FetchVerdict::Read { news: false, .. }) {
            let until = now.plus_ms(i64::from(request.max_wait_ms));
            let life = self.nodes[&id].life;
            self.node(id).held.push(Held {
                wire,
                connection,
                asked,
                until,
            });
            return self.push(until, Event::HeldEnough(id, life));
        }
        self.answer_fetch(wire, connection, verdict);
    }

    fn take_fetch_snapshot(
        &mut self,
        id: BrokerId,
        request: &FetchSnapshotRequest,
    ) -> Option<FetchSnapshotResponse> {
        let asked = SnapshotAsked::from_request(request).unwrap();
        let verdict = self.verb(id, |quorum, now, disk| {
            quorum.on_fetch_snapshot(now, disk, request.cluster_id.as_deref(), &asked)
        })?;
        let now = self.now;
        if matches!(verdict, SnapshotVerdict::Read { .. })
            && let Some(heard) = self.node(id).heard.get_mut(&asked.replica)
        {
            *heard = now;
        }
        let most = self.random.random_range(1..400);
        let whole = self.nodes[&id].disk.read_snapshot(asked.id);
        let piece = whole.ok_or(ErrorCode::SnapshotNotFound).map(|whole| {
            let from = usize::try_from(asked.position).unwrap();
            let below = whole.len().min(from + most);
            SnapshotPiece {
                size: whole.len() as u64,
                bytes: RecordRanges::from(whole.slice(from..below)),
            }
        });
        Some(asked.response(id, verdict, piece))
    }

    fn answer_fetch(&mut self, wire: Wire, connection: u64, verdict: FetchVerdict) {
        let most = self.random.random_range(1..64);
        let disk = &self.nodes[&wire.1].disk;
        let records = match verdict {
            FetchVerdict::Read { from, .. } => disk.read(from, most),
            _ => Bytes::new(),
        };
        let response = verdict.response(disk.start(), RecordRanges::from(records));
        self.reply(wire, connection, Answer::Fetch(response));
    }

    /// Answers held fetches for which there is news, or that waited long enough.
    fn answer_held(&mut self, id: BrokerId) {
        let now = self.now;
        let node = self.nodes.get_mut(&id).unwrap();
        let held = std::mem::take(&mut node.held);
        for fetch in held {
            let node = self.nodes.get_mut(&id).unwrap();
            let Some(quorum) = &node.quorum else {
                return;
            };
            let verdict = quorum.judge_fetch(&node.disk, &fetch.asked);
            let quiet = matches!(verdict, FetchVerdict::Read { news: false, .. });
            if quiet && fetch.until > now {
                node.held.push(fetch);
            } else {
                self.answer_fetch(fetch.wire, fetch.connection, verdict);
            }
        }
    }

    fn reply(&mut self, wire: Wire, connection: u64, answer: Answer) {
        let answer = match self.weather.encoded {
            true => answer_encoded(answer),
            false => answer,
        };
        if let Some(at) = self.arrival(wire.1, wire.0) {
            self.push(at, Event::Answered(wire, connection, answer));
        }
    }

    fn take_answer(&mut self, wire: Wire, answer: Answer) {
        let (id, from, _) = wire;
        match answer {
            Answer::Vote(response) => {
                self.verb(id, |quorum, now, disk| {
                    quorum.on_vote_response(now, disk, from, &response)
                });
            }
            Answer::Begin(response) => {
                self.verb(id, |quorum, now, disk| {
                    quorum.on_begin_response(now, disk, from, &response)
                });
            }
            Answer::End(response) => {
                self.verb(id, |quorum, now, disk| {
                    quorum.on_end_response(now, disk, from, &response)
                });
            }
            Answer::Fetch(response) => {
                let told = FetchTold::from_response(&response);
                let step = self.verb(id, |quorum, now, disk| {
                    quorum.on_fetch_response(now, disk, from, &told)
                });
                let records = response.responses.first();
                let records = records.and_then(|topic| topic.partitions[0].records.as_ref());
                let records = records.map(RecordRanges::joined).unwrap_or_default();
                if let Some(step) = step {
                    self.take_step(id, step, records);
                }
            }
            Answer::Snapshot(response) => {
                let told = SnapshotTold::from_response(&response);
                let step = self.verb(id, |quorum, now, disk| {
                    quorum.on_snapshot_response(now, disk, from, &told)
                });
                if let Some(step) = step {
                    self.take_step(id, step, told.bytes.joined());
                }
            }
        }
    }

    fn take_step(&mut self, id: BrokerId, step: FollowerStep, bytes: Bytes) {
        match step {
            FollowerStep::Nothing => return,
            FollowerStep::Append => self.node(id).disk.append_bytes(bytes),
            FollowerStep::Keep {
                id: snapshot,
                position,
                whole,
            } => {
                self.keep(id, snapshot, position, &bytes);
                if !whole {
                    return;
                }
                self.restore(id, snapshot);
            }
            FollowerStep::Truncate(at) => {
                let node = &self.nodes[&id];
                self.watch.cut(id, at, node.high_watermark, &node.disk);
                self.node(id).disk.truncate(at);
            }
            FollowerStep::Contradicted { .. } => {
                return self
                    .watch
                    .violated(format!("K2: {id} is to cut what is committed"));
            }
        }
        self.sync(id);
        self.verb(id, |quorum, now, disk| quorum.on_log_changed(now, disk));
    }

    /// Keeps a piece of a snapshot.
    fn keep(&mut self, id: BrokerId, snapshot: SnapshotId, position: u64, bytes: &Bytes) {
        let (of, pieces) = &mut self.node(id).pieces;
        if position == 0 {
            *of = Some(snapshot);
            pieces.clear();
        }
        assert_eq!((*of, pieces.len() as u64), (Some(snapshot), position));
        pieces.extend_from_slice(bytes);
    }

    /// Puts a fetched snapshot in place, or fails to, as on a full disk.
    fn restore(&mut self, id: BrokerId, snapshot: SnapshotId) {
        let fails = self.random.random_ratio(1, 8);
        let (_, pieces) = std::mem::take(&mut self.node(id).pieces);
        if fails {
            return self.watch.saw("a snapshot could not be put in place");
        }
        self.watch.saw("a snapshot was fetched");
        self.node(id).disk.restore(snapshot, pieces.freeze());
    }

    fn sync(&mut self, id: BrokerId) {
        let at = self.later(self.weather.sync_us);
        let node = self.node(id);
        if node.syncing || node.disk.synced == node.disk.log.len() {
            return;
        }
        node.syncing = true;
        let (life, upto) = (node.life, node.disk.log.len());
        self.push(at, Event::Synced(id, life, upto));
    }

    fn take_synced(&mut self, id: BrokerId, upto: usize) {
        let node = self.node(id);
        node.syncing = false;
        node.disk.synced = upto.min(node.disk.log.len()).max(node.disk.synced);
        self.sync(id);
        self.verb(id, |quorum, now, disk| quorum.on_log_changed(now, disk));
    }

    /// Whether everybody alive follows one leader and has committed everything it has.
    pub fn is_settled(&self) -> bool {
        let [leader] = self.leaders()[..] else {
            return false;
        };
        let leading = &self.nodes[&leader];
        let epoch = leading.quorum.as_ref().map(Quorum::epoch);
        self.nodes
            .values()
            .filter_map(|node| Some((node, node.quorum.as_ref()?)))
            .all(|(node, quorum)| {
                quorum.leader() == Some(leader)
                    && Some(quorum.epoch()) == epoch
                    && node.disk.log == leading.disk.log
                    && node.high_watermark == Some(offset(node.disk.log.len()))
            })
    }
}

impl Node {
    fn new(disk: Disk) -> Node {
        Node {
            quorum: None,
            disk,
            life: 0,
            high_watermark: None,
            held: Vec::new(),
            pieces: Default::default(),
            paused: None,
            wake: None,
            syncing: false,
            stopping: false,
            heard: BTreeMap::new(),
        }
    }

    pub fn epoch(&self) -> LeaderEpoch {
        self.quorum.as_ref().unwrap().epoch()
    }
}

fn encoded(request: QuorumRequest) -> QuorumRequest {
    use crate::wire::messages as m;
    let version = request.version();
    match request {
        QuorumRequest::Vote(r) => {
            QuorumRequest::Vote(through_bytes!(r, m::vote::VoteRequest, version))
        }
        QuorumRequest::Begin(r) => QuorumRequest::Begin(through_bytes!(
            r,
            m::begin_quorum_epoch::BeginQuorumEpochRequest,
            version
        )),
        QuorumRequest::End(r) => QuorumRequest::End(through_bytes!(
            r,
            m::end_quorum_epoch::EndQuorumEpochRequest,
            version
        )),
        QuorumRequest::Fetch(r) => QuorumRequest::Fetch(through_bytes!(r, FetchRequest, version)),
        QuorumRequest::Snapshot(r) => {
            QuorumRequest::Snapshot(through_bytes!(r, FetchSnapshotRequest, version))
        }
    }
}

fn answer_encoded(answer: Answer) -> Answer {
    match answer {
        Answer::Vote(r) => Answer::Vote(through_bytes!(r, VoteResponse, 2)),
        Answer::Begin(r) => Answer::Begin(through_bytes!(r, BeginQuorumEpochResponse, 1)),
        Answer::End(r) => Answer::End(through_bytes!(r, EndQuorumEpochResponse, 1)),
        Answer::Fetch(r) => Answer::Fetch(through_bytes!(r, FetchResponse, 18)),
        Answer::Snapshot(r) => Answer::Snapshot(through_bytes!(r, FetchSnapshotResponse, 1)),
    }
}
