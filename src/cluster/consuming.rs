//! klar's own consumers: members of groups, and readers of partitions.
//!
//! Each has its own client, so brokers see what a learner set up. One that crashes is dropped with its connections;
//! its group finds out as it would of any other client.

use std::collections::{BTreeMap, VecDeque};
use std::net::SocketAddr;

use super::commands::{Concluded, links};
use super::wires::Client;
use super::worker::Worker;
use crate::client::Machine;
use crate::ids::Time;
use crate::inspect::{
    CONSUMERS_ENDED, CONSUMERS_RUNNING, CommandId, ConsumerPlan, ConsumerReads, ConsumerSnapshot,
    ConsumerState, Done, Failure,
};

/// All of klar's own consumers.
pub struct Consuming {
    bootstrap: Vec<SocketAddr>,
    running: BTreeMap<u64, Worker>,
    ended: VecDeque<ConsumerSnapshot>,
    next: u64,
    pub concluded: Vec<Concluded>,
    gone: Vec<Client>,
}

impl Consuming {
    pub fn new(bootstrap: Vec<SocketAddr>) -> Consuming {
        Consuming {
            bootstrap,
            running: BTreeMap::new(),
            ended: VecDeque::new(),
            next: 0,
            concluded: Vec::new(),
            gone: Vec::new(),
        }
    }

    /// Brokers that consumers begin with from now on.
    pub fn know_brokers(&mut self, bootstrap: Vec<SocketAddr>) {
        self.bootstrap = bootstrap;
    }

    /// Starts so many consumers with one plan, all or none; returns their clients.
    pub fn start(
        &mut self,
        now: Time,
        id: CommandId,
        plan: &ConsumerPlan,
        members: u32,
    ) -> Vec<Client> {
        match self.make(now, plan, members) {
            Ok(workers) => {
                let consumers: Vec<u64> = workers.keys().copied().collect();
                self.running.extend(workers);
                let done = Done {
                    sentence: started(plan, &consumers),
                    consumers: consumers.clone(),
                    ..Done::default()
                };
                let result = Ok(done);
                self.concluded.push(Concluded { id, result });
                consumers.into_iter().map(Client::Consumer).collect()
            }
            Err(failure) => {
                self.concluded.push(Concluded::failed(id, failure));
                Vec::new()
            }
        }
    }

    fn make(
        &mut self,
        now: Time,
        plan: &ConsumerPlan,
        members: u32,
    ) -> Result<BTreeMap<u64, Worker>, Failure> {
        let room = CONSUMERS_RUNNING.saturating_sub(self.running.len());
        if members == 0 || members as usize > room {
            let running = self.running.len();
            return Err(Failure {
                name: "TOO_MANY_CONSUMERS".into(),
                what: format!("{running} consumers run already, and {members} more were asked for"),
                what_to_do: format!(
                    "Start at least one, and no more than {CONSUMERS_RUNNING} in all."
                ),
            });
        }
        let mut made = BTreeMap::new();
        for n in 1..=members {
            let plan = match members {
                1 => plan.clone(),
                _ => numbered(plan, n),
            };
            let number = self.next + u64::from(n);
            let links = links(&self.bootstrap, &format!("klar-consumer-{number}"));
            made.insert(number, Worker::new(now, number, plan, links)?);
        }
        self.next += u64::from(members);
        Ok(made)
    }

    pub fn pause(&mut self, now: Time, id: CommandId, consumer: u64) -> Option<Client> {
        let worker = self.living(id, consumer, ConsumerState::Running)?;
        worker.pause(now);
        self.say(id, format!("Consumer {consumer} takes no records."));
        Some(Client::Consumer(consumer))
    }

    pub fn resume(&mut self, now: Time, id: CommandId, consumer: u64) -> Option<Client> {
        let worker = self.living(id, consumer, ConsumerState::Paused)?;
        worker.resume(now);
        self.say(id, format!("Consumer {consumer} goes on."));
        Some(Client::Consumer(consumer))
    }

    /// Leaves in order.
    pub fn stop(&mut self, now: Time, id: CommandId, consumer: u64) -> Option<Client> {
        let Some(worker) = self.running.get_mut(&consumer) else {
            self.concluded
                .push(Concluded::failed(id, unknown(consumer)));
            return None;
        };
        if worker.state() != ConsumerState::Stopping {
            worker.stop(now);
        }
        self.say(id, format!("Consumer {consumer} stops."));
        Some(Client::Consumer(consumer))
    }

    /// Has all of them leave; returns their clients.
    pub fn stop_all(&mut self, now: Time) -> Vec<Client> {
        let mut clients = Vec::new();
        for (number, worker) in &mut self.running {
            if worker.state() != ConsumerState::Stopping {
                worker.stop(now);
            }
            clients.push(Client::Consumer(*number));
        }
        clients
    }

    /// Whether one is about to end by itself.
    pub fn is_leaving(&self) -> bool {
        let mut running = self.running.values();
        running.any(|worker| worker.state() == ConsumerState::Stopping)
    }

    /// Ends one on the spot.
    pub fn crash(&mut self, now: Time, id: CommandId, consumer: u64) -> Option<Client> {
        let Some(mut worker) = self.running.remove(&consumer) else {
            self.concluded
                .push(Concluded::failed(id, unknown(consumer)));
            return None;
        };
        worker.crashed(now);
        self.end(&worker, consumer);
        self.say(id, format!("Consumer {consumer} crashed."));
        Some(Client::Consumer(consumer))
    }

    pub fn machine(&mut self, consumer: u64) -> Option<&mut dyn Machine> {
        let worker = self.running.get_mut(&consumer)?;
        Some(worker.intake.machine())
    }

    /// Takes what a consumer has and processes what is due; true when a picture would differ.
    pub fn step(&mut self, now: Time, consumer: u64) -> bool {
        let Some(worker) = self.running.get_mut(&consumer) else {
            return false;
        };
        let changed = worker.step(now);
        if worker.is_over()
            && let Some(worker) = self.running.remove(&consumer)
        {
            self.end(&worker, consumer);
            return true;
        }
        changed
    }

    pub fn next_wakeup(&self) -> Option<Time> {
        self.running.values().filter_map(Worker::next_wakeup).min()
    }

    /// Those with something to do by now.
    pub fn due(&self, now: Time) -> Vec<Client> {
        let is_due = |worker: &Worker| worker.next_wakeup().is_some_and(|at| at <= now);
        let due = self.running.iter().filter(|(_, worker)| is_due(worker));
        due.map(|(number, _)| Client::Consumer(*number)).collect()
    }

    /// Clients that are no more since the last call.
    pub fn take_gone(&mut self) -> Vec<Client> {
        std::mem::take(&mut self.gone)
    }

    /// Running consumers and the newest ended ones, by number.
    pub fn pictures(&self) -> Vec<ConsumerSnapshot> {
        let running = self.running.values().map(Worker::picture);
        let mut all: Vec<_> = self.ended.iter().cloned().chain(running).collect();
        all.sort_by_key(|consumer| consumer.id);
        all
    }

    fn end(&mut self, worker: &Worker, consumer: u64) {
        if self.ended.len() == CONSUMERS_ENDED {
            self.ended.pop_front();
        }
        self.ended.push_back(worker.picture());
        self.gone.push(Client::Consumer(consumer));
    }

    fn say(&mut self, id: CommandId, sentence: String) {
        self.concluded.push(Concluded::done(id, sentence));
    }

    /// One that is in this state; a failure says why not.
    fn living(
        &mut self,
        id: CommandId,
        consumer: u64,
        state: ConsumerState,
    ) -> Option<&mut Worker> {
        let failure = match self.running.get(&consumer).map(Worker::state) {
            None => unknown(consumer),
            Some(is) if is == state => return self.running.get_mut(&consumer),
            Some(_) => Failure {
                name: "WRONG_STATE".into(),
                what: match state {
                    ConsumerState::Paused => format!("consumer {consumer} is not paused"),
                    _ => format!("consumer {consumer} does not take records now"),
                },
                what_to_do: "Nothing: it is already as asked, or it is about to end.".into(),
            },
        };
        self.concluded.push(Concluded::failed(id, failure));
        None
    }
}

/// Static members need a name each.
fn numbered(plan: &ConsumerPlan, n: u32) -> ConsumerPlan {
    let mut plan = plan.clone();
    if let ConsumerReads::Group(member) = &mut plan.reads
        && let Some(instance) = &mut member.instance
    {
        *instance = format!("{instance}-{n}");
    }
    plan
}

fn unknown(consumer: u64) -> Failure {
    Failure {
        name: "NO_SUCH_CONSUMER".into(),
        what: format!("consumer {consumer} does not run"),
        what_to_do: "It may have ended by itself.".into(),
    }
}

/// `Consumers 1 to 3 join group billing.`
fn started(plan: &ConsumerPlan, consumers: &[u64]) -> String {
    let (who, s) = match consumers {
        [first, .., last] => (format!("Consumers {first} to {last}"), ""),
        one => (format!("Consumer {}", one.first().unwrap_or(&0)), "s"),
    };
    match plan.group() {
        Some(group) => format!("{who} join{s} group {group}."),
        None => format!("{who} read{s} {}.", plan.subject()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::inspect::{
        AutoOffsetReset, ClassicAssignor, CommitWhen, MemberPlan, MemberProtocol, Subscribed,
    };

    fn consuming() -> Consuming {
        Consuming::new(vec!["127.0.0.1:9092".parse().unwrap()])
    }

    fn plan(instance: Option<&str>) -> ConsumerPlan {
        ConsumerPlan {
            reads: ConsumerReads::Group(MemberPlan {
                group: "g".into(),
                subscription: Subscribed::Topics(vec!["t".into()]),
                protocol: MemberProtocol::Classic {
                    assignor: ClassicAssignor::Range,
                    session_timeout_ms: 10_000,
                },
                instance: instance.map(str::to_owned),
                reset: AutoOffsetReset::Earliest,
                commit: CommitWhen::After,
                max_poll_records: 10,
            }),
            rate: 1.0,
        }
    }

    fn last(consuming: &Consuming) -> &Result<Done, Failure> {
        &consuming.concluded.last().unwrap().result
    }

    #[test]
    fn several_static_members_have_a_name_each() {
        let mut consuming = consuming();
        let clients = consuming.start(Time(0), CommandId(1), &plan(Some("shop")), 2);
        assert_eq!(clients, [Client::Consumer(1), Client::Consumer(2)]);
        let done = last(&consuming).as_ref().unwrap();
        assert_eq!(done.sentence, "Consumers 1 to 2 join group g.");
        let names = consuming
            .pictures()
            .into_iter()
            .map(|one| match one.plan.reads {
                ConsumerReads::Group(member) => member.instance.unwrap(),
                ConsumerReads::Standalone { .. } => unreachable!(),
            });
        assert_eq!(names.collect::<Vec<_>>(), ["shop-1", "shop-2"]);
        // One alone has the name as it is, so that it comes back as the same member.
        consuming.start(Time(0), CommandId(2), &plan(Some("shop-1")), 1);
        let ConsumerReads::Group(member) = &consuming.pictures()[2].plan.reads else {
            panic!("a member");
        };
        assert_eq!(member.instance.as_deref(), Some("shop-1"));
    }

    #[test]
    fn there_is_room_for_so_many_and_the_oldest_ends_are_forgotten() {
        let mut consuming = consuming();
        let all = CONSUMERS_RUNNING as u32;
        assert_eq!(
            consuming
                .start(Time(0), CommandId(1), &plan(None), all)
                .len(),
            64
        );
        assert!(
            consuming
                .start(Time(0), CommandId(2), &plan(None), 1)
                .is_empty()
        );
        let refused = last(&consuming).as_ref().unwrap_err();
        assert_eq!(refused.name, "TOO_MANY_CONSUMERS");
        for id in 1..=20 {
            consuming.crash(Time(5), CommandId(3), id);
        }
        let shown = consuming.pictures();
        assert_eq!(shown.len(), 64 - 20 + CONSUMERS_ENDED);
        assert_eq!((shown[0].id, shown[0].state), (5, ConsumerState::Crashed));
        assert_eq!(consuming.take_gone().len(), 20);
        assert!(consuming.crash(Time(5), CommandId(4), 1).is_none());
        assert_eq!(
            last(&consuming).as_ref().unwrap_err().name,
            "NO_SUCH_CONSUMER"
        );
    }

    #[test]
    fn a_group_that_was_never_reached_is_left_at_once() {
        let mut consuming = consuming();
        consuming.start(Time(0), CommandId(1), &plan(None), 1);
        assert!(consuming.stop(Time(1), CommandId(2), 1).is_some());
        let machine = consuming.machine(1).unwrap();
        while machine.poll_action(Time(1)).is_some() {}
        assert!(consuming.step(Time(1), 1));
        assert_eq!(consuming.pictures()[0].state, ConsumerState::Stopped);
    }
}
