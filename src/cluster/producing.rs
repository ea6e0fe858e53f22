//! klar's own producers: single records, and plans that send templated records at a rate.
//!
//! Each plan has its own client, so the broker sees what a learner set up. A plan that cannot keep its
//! rate falls behind by at most [`DEBT_MS`] and then sends as fast as it is acknowledged.

use std::collections::{BTreeMap, VecDeque};
use std::net::SocketAddr;

use super::commands::{Concluded, links};
use super::plan::Plan;
use super::wires::Client;
use crate::client::{
    Delivery, LinksConfig, Machine, Producer, ProducerConfig, ProducerRecord, SendId,
};
use crate::ids::{Offset, PartitionIndex, Time};
use crate::inspect::{
    CommandId, Done, Failure, PartitionBy, ProduceOne, ProducerPlan, ProducerSettings,
    ProducerSnapshot,
};

/// How far a plan may fall behind its rate, milliseconds of records.
pub const DEBT_MS: i64 = 500;
/// Clients kept for single records, one per combination of settings.
const SINGLES_KEPT: usize = 8;
/// Producers that may run at a time.
const PLANS_RUNNING: usize = 32;
/// Ended producers that are still shown.
const ENDED_SHOWN: usize = 16;

/// All of klar's own producers.
pub struct Producing {
    bootstrap: Vec<SocketAddr>,
    singles: VecDeque<Single>,
    plans: BTreeMap<u64, Plan>,
    ended: VecDeque<ProducerSnapshot>,
    next: u64,
    pub concluded: Vec<Concluded>,
    gone: Vec<Client>,
}

/// A client that sends records one by one.
struct Single {
    number: u64,
    settings: ProducerSettings,
    machine: Producer,
    waiting: BTreeMap<SendId, CommandId>,
}

impl Producing {
    pub fn new(bootstrap: Vec<SocketAddr>) -> Producing {
        Producing {
            bootstrap,
            singles: VecDeque::new(),
            plans: BTreeMap::new(),
            ended: VecDeque::new(),
            next: 0,
            concluded: Vec::new(),
            gone: Vec::new(),
        }
    }

    /// Brokers that producers begin with from now on.
    pub fn know_brokers(&mut self, bootstrap: Vec<SocketAddr>) {
        self.bootstrap = bootstrap;
    }

    /// Sends one record; returns the client that does.
    pub fn produce(&mut self, now: Time, id: CommandId, one: ProduceOne) -> Option<Client> {
        let index = match self.single_for(&one.settings) {
            Ok(index) => index,
            Err(failure) => {
                self.concluded.push(Concluded::failed(id, failure));
                return None;
            }
        };
        let single = &mut self.singles[index];
        let partition = fixed(&one.settings);
        let record = ProducerRecord {
            topic: one.topic,
            partition,
            key: one.key,
            value: one.value,
            headers: one.headers,
            timestamp_ms: one.timestamp_ms,
        };
        match single.machine.send(now, record) {
            Ok(sent) => {
                single.waiting.insert(sent, id);
            }
            Err(error) => {
                let failure = not_taken(&error.to_string());
                self.concluded.push(Concluded::failed(id, failure));
            }
        }
        Some(Client::Single(single.number))
    }

    /// Starts a plan; returns its client.
    pub fn start(&mut self, now: Time, id: CommandId, plan: ProducerPlan) -> Option<Client> {
        if self.plans.len() >= PLANS_RUNNING {
            let failure = Failure {
                name: "TOO_MANY_PRODUCERS".into(),
                what: format!("{PLANS_RUNNING} producers run already"),
                what_to_do: "Stop one first.".into(),
            };
            self.concluded.push(Concluded::failed(id, failure));
            return None;
        }
        let number = self.number();
        let links = links(&self.bootstrap, &format!("klar-producer-{number}"));
        match Plan::new(now, number, plan, links) {
            Ok(plan) => {
                let done = Done {
                    sentence: format!("Producer {number} sends to {}.", plan.topic()),
                    producer: Some(number),
                    ..Done::default()
                };
                self.plans.insert(number, plan);
                let result = Ok(done);
                self.concluded.push(Concluded { id, result });
                Some(Client::Producer(number))
            }
            Err(failure) => {
                self.concluded.push(Concluded::failed(id, failure));
                None
            }
        }
    }

    /// Stops a plan; what it has handed over is still delivered.
    pub fn stop(&mut self, id: CommandId, producer: u64) -> Option<Client> {
        let Some(plan) = self.plans.get_mut(&producer) else {
            let failure = Failure {
                name: "NO_SUCH_PRODUCER".into(),
                what: format!("producer {producer} does not run"),
                what_to_do: "It may have ended by itself.".into(),
            };
            self.concluded.push(Concluded::failed(id, failure));
            return None;
        };
        plan.stop();
        let sentence = format!("Producer {producer} stops.");
        self.concluded.push(Concluded::done(id, sentence));
        Some(Client::Producer(producer))
    }

    pub fn machine(&mut self, client: Client) -> Option<&mut dyn Machine> {
        match client {
            Client::Single(number) => self
                .singles
                .iter_mut()
                .find(|single| single.number == number)
                .map(|single| &mut single.machine as &mut dyn Machine),
            Client::Producer(number) => self
                .plans
                .get_mut(&number)
                .map(|plan| &mut plan.machine as &mut dyn Machine),
            _ => None,
        }
    }

    /// Takes deliveries, sends what is due; true when a picture would differ.
    pub fn step(&mut self, now: Time, client: Client) -> bool {
        match client {
            Client::Single(number) => self.step_single(number),
            Client::Producer(number) => self.step_plan(now, number),
            _ => false,
        }
    }

    pub fn next_wakeup(&self) -> Option<Time> {
        let singles = self
            .singles
            .iter()
            .map(|single| single.machine.next_wakeup());
        let plans = self.plans.values().map(Plan::next_wakeup);
        singles.chain(plans).flatten().min()
    }

    pub fn clients(&self) -> Vec<Client> {
        let singles = self
            .singles
            .iter()
            .map(|single| Client::Single(single.number));
        let plans = self.plans.keys().map(|number| Client::Producer(*number));
        singles.chain(plans).collect()
    }

    /// Clients that are no more since the last call.
    pub fn take_gone(&mut self) -> Vec<Client> {
        std::mem::take(&mut self.gone)
    }

    /// Running producers and the newest ended ones, by number.
    pub fn pictures(&self) -> Vec<ProducerSnapshot> {
        let running = self.plans.values().map(Plan::picture);
        let mut all: Vec<_> = self.ended.iter().cloned().chain(running).collect();
        all.sort_by_key(|producer| producer.id);
        all
    }

    fn number(&mut self) -> u64 {
        self.next += 1;
        self.next
    }

    /// The client for these settings, made if there is none.
    fn single_for(&mut self, settings: &ProducerSettings) -> Result<usize, Failure> {
        // Where a record goes is said with each record.
        let settings = ProducerSettings {
            partition: PartitionBy::Automatic,
            ..settings.clone()
        };
        if let Some(index) = self.singles.iter().position(|s| s.settings == settings) {
            return Ok(index);
        }
        if self.singles.len() >= SINGLES_KEPT
            && let Some(idle) = self.singles.iter().position(|s| s.waiting.is_empty())
            && let Some(single) = self.singles.remove(idle)
        {
            self.gone.push(Client::Single(single.number));
        }
        let number = self.number();
        // As Kafka's console producer: writing to a topic that is not there makes it.
        let links = LinksConfig {
            create_topics: true,
            ..links(&self.bootstrap, "klar-produce")
        };
        let config = ProducerConfig::new(links, &settings).map_err(|error| error.to_failure())?;
        self.singles.push_back(Single {
            number,
            settings,
            machine: Producer::new(ProducerConfig {
                linger_ms: 0,
                seed: number,
                ..config
            }),
            waiting: BTreeMap::new(),
        });
        Ok(self.singles.len() - 1)
    }

    fn step_single(&mut self, number: u64) -> bool {
        let Some(single) = self.singles.iter_mut().find(|s| s.number == number) else {
            return false;
        };
        let mut any = false;
        while let Some(delivery) = single.machine.poll_delivery() {
            any = true;
            for (at, sent) in delivery.records.iter().enumerate() {
                if let Some(id) = single.waiting.remove(sent) {
                    self.concluded.push(conclude_one(id, &delivery, at));
                }
            }
        }
        any
    }

    fn step_plan(&mut self, now: Time, number: u64) -> bool {
        let Some(plan) = self.plans.get_mut(&number) else {
            return false;
        };
        let changed = plan.step(now);
        if plan.is_over() {
            if self.ended.len() == ENDED_SHOWN {
                self.ended.pop_front();
            }
            self.ended.push_back(plan.picture());
            self.plans.remove(&number);
            self.gone.push(Client::Producer(number));
            return true;
        }
        changed
    }
}

/// The partition the settings ask for, if they ask for one.
pub fn fixed(settings: &ProducerSettings) -> Option<PartitionIndex> {
    match settings.partition {
        PartitionBy::Automatic => None,
        PartitionBy::Fixed(partition) => Some(partition),
    }
}

pub fn not_taken(why: &str) -> Failure {
    Failure {
        name: "NOT_SENT".into(),
        what: why.to_owned(),
        what_to_do: "Send a smaller record, or wait until earlier ones are acknowledged.".into(),
    }
}

fn conclude_one(id: CommandId, delivery: &Delivery, at: usize) -> Concluded {
    let first = match &delivery.outcome {
        Ok(first) => *first,
        Err(error) => return Concluded::failed(id, error.to_failure()),
    };
    let (topic, Some(partition)) = (&delivery.topic, delivery.partition) else {
        return Concluded::done(id, "Sent.");
    };
    if first == Offset::NONE {
        let sentence = format!("Sent to {topic}-{partition}; with acks=0 nobody says more.");
        return Concluded::done(id, sentence);
    }
    let offset = first + i64::try_from(at).unwrap_or(0);
    let done = Done {
        sentence: format!("Written to {topic}-{partition} at offset {offset}."),
        produced: Some((topic.clone(), partition, offset)),
        ..Done::default()
    };
    Concluded {
        id,
        result: Ok(done),
    }
}
