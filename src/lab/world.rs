//! The loop: what is next happens, at its time, and what follows from it is queued.
//!
//! Everything lies in one queue ordered by time and then by the order in which it was put there; brokers and
//! clients add the moments at which they want to be woken. A run has three parts: clients and faults until the
//! schedule's length is over; then everything is healed, a probe writes to every partition and every call comes
//! to an end; then everything is read and checked.

use std::any::Any;
use std::collections::{BTreeMap, VecDeque};
use std::path::PathBuf;

use rand::Rng as _;

use super::across::Across;
use super::checker::{self, Promise};
use super::chores::Chores;
use super::clients::{Client, Role};
use super::connections::{Caller, Net, Piece, Return};
use super::dice::{Dice, stream};
use super::history::{History, Place};
use super::member::Member;
use super::reader::Reader;
use super::report::{Report, Tally, Violation};
use super::schedule::Schedule;
use super::seat::Seat;
use super::snoop::Snoop;
use super::trace::{Trace, Watch};
use super::writer::Writer;
use crate::ids::{BrokerId, ConnectionId, Time};
use crate::inspect::Durability;

/// When every run begins: a day in 2026, so that timestamps are neither too old nor too new.
const START: Time = Time(1_770_000_000_000_000);
/// Events at one moment: more, and somebody keeps everybody busy without time passing.
const EVENTS_AT_ONE_MOMENT: u32 = 200_000;
/// Brokers are held against each other after this many events.
const LOOK_EVERY: u64 = 16;

/// Something queued.
#[derive(Debug, Clone)]
pub(super) enum Happening {
    There(ConnectionId, Piece),
    Back(ConnectionId, Return),
    ConnectTimeout(ConnectionId),
    /// A file of a sync is synced, or the sync is over; broker and its incarnation.
    Sync(BrokerId, u32, SyncWork),
    MakeTopic(u32),
    Fault(usize),
    FaultEnds(usize),
    /// A broker that was in this incarnation starts again.
    Restart(BrokerId, u32),
    Heal,
    /// The run has taken too long.
    Deadline,
}

/// What is left of a sync.
#[derive(Debug, Clone)]
pub(super) struct SyncWork {
    pub token: u64,
    pub files: VecDeque<PathBuf>,
    pub failed: Option<String>,
}

/// Which part of the run it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Part {
    Faults,
    /// Healed; every call comes to its end.
    Settling,
    /// Everything is read.
    Reading,
    Over,
}

/// One run.
pub(super) struct World {
    pub schedule: Schedule,
    pub now: Time,
    pub queue: BTreeMap<(Time, u64), Happening>,
    pub seats: BTreeMap<BrokerId, Seat>,
    pub clients: Vec<Client>,
    pub net: Net,
    pub dice: Dice,
    pub history: History,
    pub tally: Tally,
    pub trace: Trace,
    pub part: Part,
    pub violations: Vec<Violation>,
    pub snoop: Snoop,
    pub across: Across,
    /// Connections whose next request may be taken.
    pub ready: VecDeque<ConnectionId>,
    /// Topics that exist and are not to be deleted, with the places of their partitions.
    pub topics: BTreeMap<u32, Vec<Place>>,
    /// How many partitions each topic has.
    pub total: BTreeMap<u32, i32>,
    /// Clients named so far.
    pub named: u32,
    next_number: u64,
    at_this_moment: u32,
}

/// A message a panic left.
pub(super) fn panic_message(payload: &(dyn Any + Send)) -> String {
    let text = payload
        .downcast_ref::<&str>()
        .map(|text| (*text).to_owned());
    text.or_else(|| payload.downcast_ref::<String>().cloned())
        .unwrap_or_else(|| "a panic without a message".to_owned())
}

impl World {
    pub fn new(schedule: &Schedule, watch: Watch) -> World {
        let ids = (1..=schedule.brokers.cast_signed()).map(BrokerId);
        World {
            schedule: schedule.clone(),
            now: START,
            queue: BTreeMap::new(),
            seats: ids.map(|id| (id, Seat::new(id, schedule))).collect(),
            clients: Vec::new(),
            net: Net::default(),
            dice: Dice::new(schedule.seed),
            history: History::default(),
            tally: Tally::default(),
            trace: Trace::new(watch),
            part: Part::Faults,
            violations: Vec::new(),
            snoop: Snoop::default(),
            across: Across::new(schedule),
            ready: VecDeque::new(),
            topics: BTreeMap::new(),
            total: BTreeMap::new(),
            named: 0,
            next_number: 0,
            at_this_moment: 0,
        }
    }

    pub fn run(mut self) -> Report {
        self.begin();
        while self.part != Part::Over && self.violations.is_empty() && !self.trace.is_over() {
            self.step();
        }
        if self.part == Part::Over && self.violations.is_empty() {
            self.judge();
        }
        Report {
            seed: self.schedule.seed,
            violations: self.violations,
            events: self.trace.events(),
            hash: self.trace.hash(),
            tally: self.tally,
        }
    }

    fn begin(&mut self) {
        let first = self.schedule.brokers - self.schedule.late;
        for id in (1..=first.cast_signed()).map(BrokerId) {
            self.start(id);
        }
        let chores = Chores::new(self.schedule.brokers);
        self.clients
            .push(Client::new(Role::Chores(Box::new(chores))));
        let schedule = &self.schedule;
        let planned = schedule.writers.len() + schedule.readers.len() + schedule.members.len();
        for number in 0..planned {
            let role = self.new_client(number);
            self.clients.push(Client::new(role));
        }
        for number in 0..self.clients.len() {
            self.pump(number);
        }
        for (number, planned) in self.schedule.faults.iter().enumerate() {
            let at = START.plus_ms(planned.at_ms);
            self.queue
                .insert((at, number as u64), Happening::Fault(number));
        }
        self.next_number = self.queue.len() as u64;
        let topics = self.schedule.topics.iter().map(|topic| topic.at_ms);
        for (number, at_ms) in (0..).zip(topics.collect::<Vec<_>>()) {
            match at_ms {
                0 => self.make_topic(number),
                _ => self.at(START.plus_ms(at_ms), Happening::MakeTopic(number)),
            }
        }
        self.at(START.plus_ms(self.schedule.length_ms), Happening::Heal);
    }

    /// A writer, reader or member of the schedule: writers first, then readers, then members.
    pub(super) fn new_client(&mut self, number: usize) -> Role {
        self.named += 1;
        let (name, brokers) = (self.named, self.schedule.brokers);
        let writers = self.schedule.writers.len();
        let until = START.plus_ms(self.schedule.length_ms);
        let mut role = match self.schedule.writers.get(number) {
            Some(plan) => {
                let dice = stream(self.dice.workload.random(), u64::from(name));
                Role::Writer(Box::new(Writer::new(plan, name, brokers, dice, until)))
            }
            None if number - writers < self.schedule.readers.len() => {
                let plan = &self.schedule.readers[number - writers];
                Role::Reader(Box::new(Reader::new(plan, name, brokers, false)))
            }
            None => {
                let number = number - writers - self.schedule.readers.len();
                Role::Member(Box::new(Member::new(&self.schedule, number, name)))
            }
        };
        self.tell_of_topics(&mut role);
        role
    }

    /// What must hold between brokers; with `files`, what they wrote, too.
    pub(super) fn look_across(&mut self, files: bool) {
        let mut broken = self.across.look(&mut self.seats, self.now);
        if files && broken.is_none() {
            broken = self.across.read_files(&mut self.seats, self.now);
        }
        if let Some((name, what)) = broken {
            self.violation(name, format!("{name}: {what}"));
        }
    }

    /// Queues something for later.
    pub(super) fn at(&mut self, at: Time, what: Happening) {
        self.next_number += 1;
        self.queue.insert((at, self.next_number), what);
    }

    pub(super) fn after_ms(&mut self, ms: i64, what: Happening) {
        self.at(self.now.plus_ms(ms), what);
    }

    /// Notes something that must not happen. The run ends.
    pub(super) fn violation(&mut self, kind: &str, what: String) {
        self.trace.text(self.now, &format!("violation: {what}"));
        self.violations.push(Violation {
            event: self.trace.events(),
            kind: kind.to_owned(),
            what,
        });
    }

    /// Lets the next thing happen.
    fn step(&mut self) {
        let queued = self.queue.first_key_value().map(|((at, _), _)| *at);
        let brokers = self
            .seats
            .iter()
            .filter_map(|(id, seat)| Some((seat.wakes()?, *id)));
        let broker = brokers.min();
        let clients = self.clients.iter().enumerate();
        let client = clients
            .filter_map(|(n, client)| Some((client.wake?, n)))
            .min();
        let times = [queued, broker.map(|b| b.0), client.map(|c| c.0)];
        let Some(next) = times.into_iter().flatten().min() else {
            self.violation("stuck", "nothing is left to happen".to_owned());
            return;
        };
        self.at_this_moment = if next > self.now {
            0
        } else {
            self.at_this_moment + 1
        };
        if self.at_this_moment > EVENTS_AT_ONE_MOMENT {
            self.violation("busy", "time does not pass any more".to_owned());
            return;
        }
        self.now = self.now.max(next);
        if queued == Some(next) {
            if let Some((_, what)) = self.queue.pop_first() {
                self.happen(what);
            }
        } else if let Some((_, id)) = broker.filter(|b| b.0 == next) {
            self.trace.event(self.now, &[1, id.0 as u64], None, || {
                format!("broker {id} wakes")
            });
            self.drive(id, |broker, now| broker.on_tick(now));
        } else if let Some((_, number)) = client {
            self.trace.event(self.now, &[2, number as u64], None, || {
                format!("client {number} wakes")
            });
            self.pump(number);
        }
        self.answer_ready();
        if self.trace.events().is_multiple_of(LOOK_EVERY) {
            self.look_across(false);
        }
        self.look_at_progress();
    }

    fn happen(&mut self, what: Happening) {
        if let Some(until) = self.paused(&what) {
            self.at(until, what);
            return;
        }
        match what {
            Happening::There(id, piece) => self.arrive(id, piece),
            Happening::Back(id, back) => self.come_back(id, back),
            Happening::ConnectTimeout(id) => self.connect_timed_out(id),
            Happening::Sync(id, incarnation, work) => self.sync(id, incarnation, work),
            Happening::MakeTopic(number) => self.make_topic(number),
            Happening::Fault(number) => self.strike(number),
            Happening::FaultEnds(number) => self.lift(number),
            Happening::Restart(id, incarnation) => {
                if self.seats[&id].incarnation == incarnation && self.seats[&id].broker.is_none() {
                    self.start(id);
                }
            }
            Happening::Heal => self.heal(),
            Happening::Deadline => self.overdue(),
        }
    }

    /// Until when a paused broker does not notice this.
    fn paused(&self, what: &Happening) -> Option<Time> {
        let id = match what {
            Happening::There(id, _) => self.net.open.get(id)?.to,
            Happening::Back(id, _) => match self.net.open.get(id)?.caller {
                Caller::Peer { broker, .. } => broker,
                Caller::Client { .. } => return None,
            },
            Happening::Sync(id, ..) => *id,
            _ => return None,
        };
        self.seats
            .get(&id)?
            .paused_until
            .filter(|until| *until > self.now)
    }

    /// What everybody was told against what can be read.
    fn judge(&mut self) {
        self.look_across(true);
        self.tally
            .add("simulated ms", (self.now.since_us(START)) / 1000);
        let os = self.schedule.durability != Durability::Batch;
        let promise = Promise {
            earlier_eras_may_go: os,
            one_replica: self.schedule.brokers == 1,
        };
        if os {
            let taken = checker::taken(&self.history);
            self.tally.add("acks taken by a power loss", taken);
        }
        let event = self.trace.events();
        for anomaly in checker::check(&self.history, promise) {
            self.violations.push(Violation::of(event, &anomaly));
        }
    }
}
