//! Brokers, their logs, and the network between them and the controller, in virtual time.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use rand::rngs::SmallRng;
use rand::{Rng as _, SeedableRng as _};

use super::super::*;
use super::controller::{Controller, Image};
use super::oracle::Oracle;
use crate::ids::{BrokerEpoch, BrokerId, LeaderEpoch, Offset, Time};
use crate::storage::Epochs;
use crate::wire::ErrorCode;
use crate::wire::records::{BatchBuilder, batches};

/// Milliseconds with faults, and those without at the end.
const FAULTS_MS: i64 = 1_500;
const CALM_MS: i64 = 2_500;
/// Milliseconds after which a broker gives up on a request.
const REQUEST_TIMEOUT_MS: i64 = 60;
const LAG_MS: i64 = 80;

/// One record: who wrote it in which epoch, and what.
pub type Record = (LeaderEpoch, u64);

/// A log that remembers what was deleted from its front, so that it can be compared.
#[derive(Debug, Default)]
pub struct ModelLog {
    pub start: i64,
    pub records: Vec<Option<Record>>,
    /// How often it was shortened.
    pub cuts: u64,
    epochs: Epochs,
}

impl ModelLog {
    pub fn end(&self) -> i64 {
        self.records.len() as i64
    }

    pub fn facts(&self) -> LogFacts<'_> {
        LogFacts {
            start: Offset(self.start),
            end: Offset(self.end()),
            epochs: &self.epochs,
        }
    }

    pub fn append(&mut self, record: Record) {
        self.epochs.assign(record.0, Offset(self.end()));
        self.records.push(Some(record));
    }

    fn truncate(&mut self, to: Offset) {
        self.cuts += 1;
        self.records.truncate(to.0 as usize);
        self.epochs.truncate(to);
    }

    fn restart(&mut self, at: Offset) {
        self.cuts += 1;
        self.records = vec![None; at.0 as usize];
        self.start = at.0;
        self.epochs = Epochs::default();
    }

    fn set_start(&mut self, start: Offset) {
        self.start = self.start.max(start.0);
        self.epochs.advance(start);
    }

    /// Up to eight records as the batches a fetch returns.
    fn read(&self, from: Offset) -> Bytes {
        let mut bytes = Vec::new();
        for (offset, record) in (0..).zip(&self.records).skip(from.0 as usize).take(8) {
            let (epoch, value) = record.expect("what is read was not deleted");
            let mut batch = BatchBuilder::new().base(Offset(offset), epoch);
            batch.push(0, None, Some(&value.to_be_bytes()), &[]);
            bytes.extend(batch.build().expect("it is small"));
        }
        bytes.into()
    }

    /// Appends what a fetch returned; false if it does not go on here.
    fn append_read(&mut self, bytes: &Bytes) -> bool {
        for batch in batches(bytes) {
            let batch = batch.expect("the network keeps bytes whole");
            let header = *batch.header();
            let falls = header.leader_epoch < self.epochs.latest();
            if header.base_offset.0 != self.end() || falls {
                return false;
            }
            let mut records = batch.records(100).expect("not compressed");
            let record = records.next_record().expect("whole").expect("one");
            let value = record.value.expect("it has one").try_into();
            let value = u64::from_be_bytes(value.expect("eight bytes"));
            self.append((header.leader_epoch, value));
        }
        true
    }
}

#[derive(Debug)]
pub enum Role {
    None,
    Leader(Leader),
    Follower(Follower),
}

#[derive(Debug)]
pub struct Node {
    pub id: BrokerId,
    pub log: ModelLog,
    pub role: Role,
    pub up: bool,
    /// Counts restarts: answers to an earlier one are nobody's.
    pub incarnation: u32,
    broker_epoch: BrokerEpoch,
    /// How many images it has applied.
    applied: usize,
    /// As far as it remembers over a restart.
    checkpoint: Offset,
    known_high_watermark: Offset,
    fetching: Option<Time>,
    altering: Option<(Attempt, Time)>,
    /// acks=all produces that wait: where they end, what they wrote.
    waiting: Vec<(Offset, Record)>,
}

#[derive(Debug)]
enum Event {
    Beat(BrokerId),
    Fault,
    /// Leadership moves back.
    Move(BrokerId),
    Image(BrokerId, usize),
    Fetch {
        from: BrokerId,
        incarnation: u32,
        broker_epoch: BrokerEpoch,
        to: BrokerId,
        ask: Ask,
    },
    Answer {
        to: BrokerId,
        incarnation: u32,
        ask: Ask,
        told: Told,
        records: Bytes,
    },
    Alter {
        from: BrokerId,
        incarnation: u32,
        broker_epoch: BrokerEpoch,
        proposal: Box<Proposal>,
    },
    Altered {
        to: BrokerId,
        incarnation: u32,
        attempt: Attempt,
        outcome: Outcome,
    },
}

/// How often what should happen sometimes did.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Counters {
    pub acked: u64,
    pub truncated: u64,
    pub restarted_log: u64,
    pub joined: u64,
    pub left: u64,
    pub unknown: u64,
    pub late_answers: u64,
    pub ineligible: u64,
    pub no_changes: u64,
    pub fenced_fetches: u64,
    pub stale_incarnations: u64,
    pub too_few: u64,
    pub elections: u64,
    pub wiped: u64,
}

impl Counters {
    pub fn named(&self) -> [(&'static str, u64); 14] {
        [
            ("acked", self.acked),
            ("truncated", self.truncated),
            ("restarted_log", self.restarted_log),
            ("joined", self.joined),
            ("left", self.left),
            ("unknown", self.unknown),
            ("late_answers", self.late_answers),
            ("ineligible", self.ineligible),
            ("no_changes", self.no_changes),
            ("fenced_fetches", self.fenced_fetches),
            ("stale_incarnations", self.stale_incarnations),
            ("too_few", self.too_few),
            ("elections", self.elections),
            ("wiped", self.wiped),
        ]
    }

    pub fn add(&mut self, other: &Counters) {
        self.acked += other.acked;
        self.truncated += other.truncated;
        self.restarted_log += other.restarted_log;
        self.joined += other.joined;
        self.left += other.left;
        self.unknown += other.unknown;
        self.late_answers += other.late_answers;
        self.ineligible += other.ineligible;
        self.no_changes += other.no_changes;
        self.fenced_fetches += other.fenced_fetches;
        self.stale_incarnations += other.stale_incarnations;
        self.too_few += other.too_few;
        self.elections += other.elections;
        self.wiped += other.wiped;
    }
}

pub struct World {
    random: SmallRng,
    now: Time,
    events: BTreeMap<(Time, u64), Event>,
    next_event: u64,
    pub nodes: BTreeMap<BrokerId, Node>,
    pub controller: Controller,
    announced: usize,
    oracle: Oracle,
    cut: BTreeSet<(BrokerId, BrokerId)>,
    min_insync: usize,
    slow_percent: u32,
    drop_percent: u32,
    next_value: u64,
    counters: Counters,
}

/// Where the controller is in the network.
const CONTROLLER: BrokerId = BrokerId(0);

impl World {
    pub fn new(seed: u64) -> World {
        let mut random = SmallRng::seed_from_u64(seed);
        let count = [3, 3, 3, 2, 4][random.random_range(0..5)];
        let ids: Vec<BrokerId> = (1..=count).map(BrokerId).collect();
        let mut controller = Controller::new(&ids);
        let mut nodes = BTreeMap::new();
        for id in &ids {
            let broker_epoch = controller.register(*id);
            controller.unfence(*id);
            nodes.insert(*id, Node::new(*id, broker_epoch));
        }
        let mut world = World {
            now: Time(0),
            events: BTreeMap::new(),
            next_event: 0,
            nodes,
            controller,
            announced: 0,
            oracle: Oracle::default(),
            cut: BTreeSet::new(),
            min_insync: random.random_range(1..=2),
            slow_percent: random.random_range(0..20),
            drop_percent: random.random_range(0..15),
            next_value: 0,
            counters: Counters::default(),
            random,
        };
        for id in ids {
            world.after(1, Event::Beat(id));
        }
        world.after(20, Event::Fault);
        world
    }

    /// Runs to the end; what happened, or the first thing that must not.
    pub fn run(mut self) -> Result<Counters, String> {
        while let Some(((at, _), event)) = self.events.pop_first() {
            self.now = at;
            if at > Time::from_ms(FAULTS_MS + CALM_MS) {
                break;
            }
            self.step(event)?;
            self.announce();
            self.oracle
                .check(&self.nodes, self.controller.now(), self.min_insync)?;
        }
        self.oracle.check_end(&self.nodes, self.controller.now())?;
        self.counters.elections = u64::from(self.controller.now().leader_epoch.0.unsigned_abs());
        Ok(self.counters)
    }

    fn after(&mut self, ms: i64, event: Event) {
        self.next_event += 1;
        let key = (self.now.plus_ms(ms), self.next_event);
        self.events.insert(key, event);
    }

    fn chance(&mut self, percent: u32) -> bool {
        self.random.random_range(0..100) < percent
    }

    fn is_calm(&self) -> bool {
        self.now >= Time::from_ms(FAULTS_MS)
    }

    /// Sends something: late, very late or never.
    fn send(&mut self, from: BrokerId, to: BrokerId, event: Event) {
        let drop_percent = self.drop_percent;
        if self.cut.contains(&(from, to)) || (!self.is_calm() && self.chance(drop_percent)) {
            return;
        }
        let slow_percent = self.slow_percent;
        let slow = !self.is_calm() && self.chance(slow_percent);
        let ms = self.random.random_range(if slow { 20..400 } else { 1..5 });
        self.after(ms, event);
    }

    /// Tells the brokers of new images; like a log, each sees all in order, some later than others.
    fn announce(&mut self) {
        while self.announced < self.controller.images.len() {
            self.announced += 1;
            for id in self.nodes.keys().copied().collect::<Vec<_>>() {
                self.send(CONTROLLER, id, Event::Image(id, self.announced));
            }
        }
    }

    fn step(&mut self, event: Event) -> Result<(), String> {
        match event {
            Event::Beat(id) => self.beat(id),
            Event::Fault => self.fault(),
            Event::Move(to) => self.controller.move_leader(to),
            Event::Image(id, count) => {
                let image = self.controller.images[count - 1].clone();
                let node = self.nodes.get_mut(&id).expect("it is a broker");
                if node.up && node.applied < count {
                    node.applied = count;
                    node.apply(self.now, &image, self.min_insync);
                }
            }
            Event::Fetch {
                from,
                incarnation,
                broker_epoch,
                to,
                ask,
            } => {
                self.serve_fetch(from, incarnation, broker_epoch, to, ask);
            }
            Event::Answer {
                to,
                incarnation,
                ask,
                told,
                records,
            } => {
                self.take_answer(to, incarnation, ask, told, records)?;
            }
            Event::Alter {
                from,
                incarnation,
                broker_epoch,
                proposal,
            } => {
                let outcome = self.controller.alter(from, broker_epoch, &proposal);
                if outcome == Outcome::Refused(ErrorCode::IneligibleReplica) {
                    self.counters.ineligible += 1;
                }
                let accepted = matches!(outcome, Outcome::Accepted { .. });
                if accepted && proposal.joins.is_empty() && proposal.leaves.is_empty() {
                    self.counters.no_changes += 1;
                }
                let attempt = proposal.attempt;
                let altered = Event::Altered {
                    to: from,
                    incarnation,
                    attempt,
                    outcome,
                };
                self.send(CONTROLLER, from, altered);
            }
            Event::Altered {
                to,
                incarnation,
                attempt,
                outcome,
            } => {
                let node = self.nodes.get_mut(&to).expect("it is a broker");
                if !node.up || node.incarnation != incarnation {
                    return Ok(());
                }
                if let Role::Leader(leader) = &mut node.role {
                    // After a hangup nothing comes back, but that must not be relied on.
                    leader.on_alter_outcome(self.now, attempt, outcome);
                    node.altering = node.altering.filter(|(current, _)| *current != attempt);
                }
            }
        }
        Ok(())
    }

    /// What a broker does now and then: follow, lead, write, give up.
    fn beat(&mut self, id: BrokerId) {
        let next = self.random.random_range(2..9);
        self.after(next, Event::Beat(id));
        let writes = self.random.random_range(0..3);
        let now = self.now;
        let calm_end = self.now >= Time::from_ms(FAULTS_MS + CALM_MS - 500);
        let newest = self.controller.images.len();
        let (calm, latest) = (self.is_calm(), self.controller.now().clone());
        let node = self.nodes.get_mut(&id).expect("it is a broker");
        if !node.up {
            return;
        }
        if calm && node.applied < newest {
            node.applied = newest;
            node.apply(now, &latest, self.min_insync);
        }
        let timed_out = |since: Time| now >= since.plus_ms(REQUEST_TIMEOUT_MS);
        if node.fetching.is_some_and(timed_out) {
            node.fetching = None;
        }
        match &node.role {
            Role::None => {}
            Role::Follower(_) => self.ask_leader(id),
            Role::Leader(_) => self.lead(id, if calm_end { 0 } else { writes }),
        }
        self.settle_acks(id);
        let forget = self.chance(2);
        let node = self.nodes.get_mut(&id).expect("it is a broker");
        if let (Role::Leader(leader), true) = (&node.role, forget) {
            let to = leader.high_watermark().0 / 2;
            node.log.set_start(Offset(to));
        }
        if self.random.random_range(0..10) == 0 {
            let node = self.nodes.get_mut(&id).expect("it is a broker");
            node.checkpoint = node.high_watermark();
        }
    }

    /// A follower fetches unless a fetch of its is under way.
    fn ask_leader(&mut self, id: BrokerId) {
        let now = self.now;
        let node = self.nodes.get_mut(&id).expect("it is a broker");
        let (incarnation, broker_epoch) = (node.incarnation, node.broker_epoch);
        let Role::Follower(follower) = &mut node.role else {
            return;
        };
        let ask = follower.ask(now, node.log.facts());
        if let (None, Some(ask)) = (node.fetching, ask) {
            node.fetching = Some(now);
            let to = follower.leader();
            let event = Event::Fetch {
                from: id,
                incarnation,
                broker_epoch,
                to,
                ask,
            };
            self.send(id, to, event);
        }
    }

    /// A leader writes so many records and proposes in-sync replicas.
    fn lead(&mut self, id: BrokerId, writes: u32) {
        let now = self.now;
        let node = self.nodes.get_mut(&id).expect("it is a broker");
        let (incarnation, broker_epoch) = (node.incarnation, node.broker_epoch);
        let Role::Leader(leader) = &mut node.role else {
            return;
        };
        leader.on_tick(now);
        if let Some((attempt, since)) = node.altering
            && now >= since.plus_ms(REQUEST_TIMEOUT_MS)
        {
            self.counters.unknown += 1;
            leader.on_alter_outcome(now, attempt, Outcome::Unknown);
            node.altering = None;
        }
        for _ in 0..writes {
            if !leader.leads() || leader.judge_append().is_err() {
                self.counters.too_few += 1;
                continue;
            }
            self.next_value += 1;
            let record = (leader.leader_epoch(), self.next_value);
            node.log.append(record);
            node.waiting.push((Offset(node.log.end()), record));
            leader.on_append(now, Offset(node.log.end()));
        }
        let wakeup = leader.next_wakeup(now);
        let proposal = leader.wanted_isr(now);
        assert!(proposal.is_none() || wakeup.is_some_and(|at| at <= now));
        if let Some(proposal) = proposal {
            node.altering = Some((proposal.attempt, now));
            self.counters.joined += proposal.joins.len() as u64;
            self.counters.left += proposal.leaves.len() as u64;
            let proposal = Box::new(proposal);
            let event = Event::Alter {
                from: id,
                incarnation,
                broker_epoch,
                proposal,
            };
            self.send(id, CONTROLLER, event);
        }
    }

    fn settle_acks(&mut self, id: BrokerId) {
        let node = self.nodes.get_mut(&id).expect("it is a broker");
        let Role::Leader(leader) = &node.role else {
            node.waiting.clear();
            return;
        };
        let (oracle, counters) = (&mut self.oracle, &mut self.counters);
        node.waiting
            .retain(|(end, record)| match leader.acked(*end) {
                Acked::Waiting => true,
                Acked::TooFew => false,
                Acked::Yes => {
                    counters.acked += 1;
                    oracle.acked.push((*end + -1, *record));
                    false
                }
            });
    }

    fn serve_fetch(
        &mut self,
        from: BrokerId,
        incarnation: u32,
        broker_epoch: BrokerEpoch,
        to: BrokerId,
        ask: Ask,
    ) {
        let node = self.nodes.get_mut(&to).expect("it is a broker");
        if !node.up {
            return;
        }
        let mut told = Told {
            error: ErrorCode::NotLeaderOrFollower,
            high_watermark: Offset::NONE,
            log_start: Offset(node.log.start),
            diverging: None,
        };
        let mut records = Bytes::new();
        if let Role::Leader(leader) = &mut node.role {
            let fetch = FollowerFetch {
                replica: from,
                broker_epoch,
                leader_epoch: ask.leader_epoch,
                fetch_offset: ask.fetch_offset,
                last_fetched_epoch: ask.last_fetched_epoch,
                log_start: ask.log_start,
            };
            told.error = match leader.on_fetch(self.now, &fetch, node.log.facts()) {
                Ok(_) => {
                    records = node.log.read(ask.fetch_offset);
                    ErrorCode::None
                }
                Err(FetchRefusal::Diverging { epoch, end }) => {
                    told.diverging = Some((epoch, end));
                    ErrorCode::None
                }
                Err(FetchRefusal::OldEpoch) => {
                    self.counters.fenced_fetches += 1;
                    ErrorCode::FencedLeaderEpoch
                }
                Err(FetchRefusal::NewerEpoch) => ErrorCode::UnknownLeaderEpoch,
                Err(FetchRefusal::NotYetLeader | FetchRefusal::NotReplica) => {
                    ErrorCode::NotLeaderOrFollower
                }
                Err(FetchRefusal::StaleIncarnation) => {
                    self.counters.stale_incarnations += 1;
                    ErrorCode::NotLeaderOrFollower
                }
                Err(FetchRefusal::OutOfRange) => ErrorCode::OffsetOutOfRange,
            };
            told.high_watermark = leader.high_watermark();
        }
        let answer = Event::Answer {
            to: from,
            incarnation,
            ask,
            told,
            records,
        };
        self.send(to, from, answer);
    }

    fn take_answer(
        &mut self,
        to: BrokerId,
        incarnation: u32,
        ask: Ask,
        told: Told,
        records: Bytes,
    ) -> Result<(), String> {
        let node = self.nodes.get_mut(&to).expect("it is a broker");
        if !node.up || node.incarnation != incarnation {
            return Ok(());
        }
        let Role::Follower(follower) = &mut node.role else {
            return Ok(());
        };
        node.fetching = None;
        let step = follower.on_answer(self.now, &ask, &told, records, node.log.facts());
        match step {
            Step::Ignore => {
                self.counters.late_answers += u64::from(follower.trouble().is_none());
                return Ok(());
            }
            Step::Settle => {}
            Step::Append(bytes) => {
                if !node.log.append_read(&bytes) {
                    return Err("D5: records that do not go on were to be appended".into());
                }
            }
            Step::Truncate(cut) => {
                self.counters.truncated += 1;
                node.log.truncate(cut.to);
            }
            Step::Restart(cut) => {
                self.counters.restarted_log += 1;
                node.log.restart(cut.to);
            }
            Step::Begin(base, bytes) => {
                node.log.restart(base);
                if !node.log.append_read(&bytes) {
                    return Err("D5: records that do not begin there were to be appended".into());
                }
            }
        }
        if let Some(start) = follower.on_step_done(node.log.facts()) {
            node.log.set_start(start);
        }
        follower.check(node.log.facts());
        Ok(())
    }

    fn fault(&mut self) {
        if self.is_calm() {
            self.heal();
            return;
        }
        let next = self.random.random_range(5..60);
        self.after(next, Event::Fault);
        let count = self.nodes.len() as i32;
        let id = BrokerId(self.random.random_range(1..=count));
        let other = BrokerId(self.random.random_range(0..=count));
        match self.random.random_range(0..10) {
            0 | 1 => self.crash_or_restart(id),
            2 => self.controller.fence(id),
            3 | 4 => {
                // What keeps its session is unfenced again; what is down is found out.
                for (id, node) in &self.nodes {
                    match node.up {
                        true => self.controller.unfence(*id),
                        false => self.controller.fence(*id),
                    }
                }
            }
            5 | 8 => {
                let back = self.controller.now().leader;
                self.controller.move_leader(id);
                if let Some(back) = back {
                    let ms = self.random.random_range(5..80);
                    self.after(ms, Event::Move(back));
                }
            }
            6 => {
                self.cut.insert((id, other));
            }
            7 => {
                self.cut.insert((other, id));
            }
            _ => self.cut.clear(),
        }
    }

    fn crash_or_restart(&mut self, id: BrokerId) {
        let wipes = self.chance(30);
        let at_once = self.chance(50);
        let node = self.nodes.get_mut(&id).expect("it is a broker");
        if node.up {
            node.up = false;
            node.role = Role::None;
            node.waiting.clear();
            if !at_once {
                return;
            }
        }
        let only_copy = self.controller.now().isr == [id];
        if wipes && !only_copy {
            node.log = ModelLog::default();
            node.checkpoint = Offset::ZERO;
            self.counters.wiped += 1;
        }
        self.restart(id);
    }

    /// Starts a broker that was down: it registers, and first knows what its metadata log says.
    fn restart(&mut self, id: BrokerId) {
        let broker_epoch = self.controller.register(id);
        let node = self.nodes.get_mut(&id).expect("it is a broker");
        node.restart(broker_epoch);
        if let Some(newest) = node.applied.checked_sub(1) {
            let image = &self.controller.images[newest];
            node.apply(self.now, image, self.min_insync);
        }
    }

    fn heal(&mut self) {
        self.cut.clear();
        let ids: Vec<BrokerId> = self.nodes.keys().copied().collect();
        for id in ids {
            if !self.nodes[&id].up {
                self.restart(id);
            }
            self.controller.unfence(id);
        }
    }
}

impl Node {
    fn new(id: BrokerId, broker_epoch: BrokerEpoch) -> Node {
        Node {
            id,
            log: ModelLog::default(),
            role: Role::None,
            up: true,
            incarnation: 0,
            broker_epoch,
            applied: 0,
            checkpoint: Offset::ZERO,
            known_high_watermark: Offset::ZERO,
            fetching: None,
            altering: None,
            waiting: Vec::new(),
        }
    }

    fn restart(&mut self, broker_epoch: BrokerEpoch) {
        self.up = true;
        self.incarnation += 1;
        self.broker_epoch = broker_epoch;
        self.known_high_watermark = self.checkpoint;
        self.fetching = None;
        self.altering = None;
    }

    pub fn high_watermark(&self) -> Offset {
        match &self.role {
            Role::None => self.known_high_watermark,
            Role::Leader(leader) => leader.high_watermark(),
            Role::Follower(follower) => follower.high_watermark(),
        }
    }

    /// Takes an image in: leads, follows or waits, as it says.
    fn apply(&mut self, now: Time, image: &Image, min_insync: usize) {
        let assignment = Assignment {
            leader_epoch: image.leader_epoch,
            partition_epoch: image.partition_epoch,
            replicas: &image.replicas,
            isr: &image.isr,
            recovering: false,
        };
        let registered = |id: BrokerId| image.brokers.get(&id).copied();
        let known = match &self.role {
            Role::None => LeaderEpoch::NONE,
            Role::Leader(leader) => leader.leader_epoch(),
            Role::Follower(follower) => follower.leader_epoch(),
        };
        if image.leader_epoch > known {
            self.known_high_watermark = self.high_watermark();
            self.role = Role::None;
            self.fetching = None;
            self.altering = None;
            self.waiting.clear();
        }
        match (&mut self.role, image.leader) {
            (Role::Leader(leader), _) => {
                leader.on_metadata(now, assignment);
                leader.on_brokers(now, registered);
            }
            (Role::None, Some(id)) if id == self.id => {
                let config = LeaderConfig {
                    lag_time_max_ms: LAG_MS,
                    min_insync,
                    waits_for_sync: false,
                };
                let end = Offset(self.log.end());
                let known = self.known_high_watermark;
                let me = self.broker_epoch;
                let mut leader = Leader::new(self.id, me, config, assignment, end, known, now);
                leader.on_brokers(now, registered);
                self.role = Role::Leader(leader);
            }
            (Role::None, Some(id)) => {
                let facts = self.log.facts();
                let known = self.known_high_watermark;
                let follower = Follower::new(id, image.leader_epoch, facts, known);
                self.role = Role::Follower(follower);
            }
            (Role::None | Role::Follower(_), _) => {}
        }
    }
}
