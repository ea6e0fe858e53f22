//! The cluster's one loop: reports of brokers, requests of window and `ctl`, its own clients, time.
//!
//! Everything the cluster knows is owned here. A step never blocks.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::sync::{mpsc, oneshot};
use tokio::time::Instant;

use super::commands::{Commands, Concluded};
use super::fuse::{Chronicle, fuse};
use super::link::{Reply, Request};
use super::show::Show;
use super::wires::Happened;
use super::{ClusterEnd, ClusterFacts};
use crate::inspect::{
    BrokerState, ClusterSnapshot, Command, CommandId, EventKind, Failure, Outcome,
};
use crate::runtime::{BrokerThread, Clock, Ended, Order, Report, Told};

/// Everything the cluster knows.
pub struct Core {
    facts: ClusterFacts,
    clock: Clock,
    broker: BrokerThread,
    state: BrokerState,
    picture: Option<Box<crate::broker::BrokerPicture>>,
    chronicle: Chronicle,
    commands: Commands,
    show: Show,
    /// Who waits for a fresh picture.
    askers: Vec<oneshot::Sender<Arc<ClusterSnapshot>>>,
    /// Who waits for a command's end.
    waiting: BTreeMap<CommandId, Reply>,
    /// Why the broker stops, once deletions that waited are done or this moment has come.
    stopping: Option<(String, Instant)>,
    /// Show a crashed broker instead of ending.
    stays_after_crash: bool,
    next_command: Arc<AtomicU64>,
    end: Option<ClusterEnd>,
}

/// The queues the loop reads.
pub struct Queues {
    pub reports: mpsc::Receiver<Told>,
    pub requests: mpsc::Receiver<Request>,
    pub events: mpsc::Receiver<Happened>,
}

/// How long stopping waits for deletions that are carried out early.
const DELETIONS_WAIT: Duration = Duration::from_secs(1);

impl Core {
    pub fn new(
        facts: ClusterFacts,
        broker: BrokerThread,
        show: Show,
        events: mpsc::Sender<Happened>,
        next_command: Arc<AtomicU64>,
    ) -> Core {
        let commands = Commands::new(facts.listen, events, broker.own.clone());
        Core {
            facts,
            clock: Clock::new(),
            broker,
            state: BrokerState::Running,
            picture: None,
            chronicle: Chronicle::default(),
            commands,
            show,
            askers: Vec::new(),
            waiting: BTreeMap::new(),
            stopping: None,
            stays_after_crash: false,
            next_command,
            end: None,
        }
    }

    /// With a window, a crash is shown; without one, it ends the program.
    pub fn stay_after_crash(&mut self, stay: bool) {
        self.stays_after_crash = stay;
    }

    /// Runs until no broker is left.
    pub async fn run(mut self, mut queues: Queues) -> ClusterEnd {
        loop {
            let due = self.next_due();
            let timer = tokio::time::sleep_until(due.unwrap_or_else(Instant::now));
            tokio::select! {
                Some(told) = queues.reports.recv() => self.on_report(told.report),
                Some(request) = queues.requests.recv() => self.on_request(request),
                Some(event) = queues.events.recv() => {
                    self.commands.on_event(self.clock.now(), event);
                }
                () = timer, if due.is_some() => self.commands.on_time(self.clock.now()),
            }
            self.conclude_commands();
            self.stop_if_due();
            self.publish_if_due();
            if let Some(end) = self.end.take() {
                self.broker.join();
                return end;
            }
        }
    }

    fn next_due(&self) -> Option<Instant> {
        let wakeup = self.commands.next_wakeup();
        let wakeup = wakeup.map(|time| Instant::from_std(self.clock.instant_of(time)));
        let stop = self.stopping.as_ref().map(|(_, at)| *at);
        [wakeup, self.show.due(), stop].into_iter().flatten().min()
    }

    pub fn on_report(&mut self, report: Report) {
        match report {
            Report::Ready => {}
            Report::Note { time, kind } => {
                self.chronicle.note(self.facts.broker, time, kind);
                self.show.news();
            }
            Report::Picture(picture) => {
                self.picture = Some(picture);
                self.show.news();
                self.answer_askers();
            }
            Report::Ended(ended) => self.on_ended(ended),
        }
    }

    fn on_ended(&mut self, ended: Ended) {
        let now = self.clock.now();
        match ended {
            Ended::Clean | Ended::Killed => {
                self.state = BrokerState::Stopped;
                self.end = Some(ClusterEnd::Stopped);
            }
            Ended::Crashed { message } | Ended::Failed { message } => {
                self.state = BrokerState::Crashed {
                    message: message.clone(),
                };
                let kind = EventKind::BrokerCrashed {
                    message: message.clone(),
                };
                tracing::error!("{}", kind.sentence());
                self.chronicle.note(self.facts.broker, now, kind);
                if !self.stays_after_crash {
                    self.end = Some(ClusterEnd::Crashed { message });
                }
            }
        }
        self.show.news();
        self.answer_askers();
    }

    fn on_request(&mut self, request: Request) {
        match request {
            Request::Command(id, command) => self.run_command(id, command),
            Request::Run(command, reply) => {
                let id = CommandId(self.next_command.fetch_add(1, Ordering::Relaxed));
                self.waiting.insert(id, reply);
                self.run_command(id, command);
            }
            Request::Focus(focus) => self.order(Order::Look {
                focus: Some(focus),
                fresh: false,
            }),
            Request::Look => {
                self.show.look();
                self.order(Order::Look {
                    focus: None,
                    fresh: false,
                });
            }
            Request::OnNews(wake) => self.show.on_news(wake),
            Request::Snapshot(asker) => {
                self.askers.push(asker);
                match self.state {
                    BrokerState::Running => self.order(Order::Look {
                        focus: None,
                        fresh: true,
                    }),
                    _ => self.answer_askers(),
                }
            }
            Request::Stop { cause } => self.stop(cause),
        }
    }

    fn run_command(&mut self, id: CommandId, command: Command) {
        let now = self.clock.now();
        if command == Command::Stop {
            self.conclude(Concluded::done(id, "klar stops."));
            self.stop("asked to stop".to_owned());
            return;
        }
        if self.state != BrokerState::Running {
            self.conclude(Concluded::failed(id, broker_gone()));
            return;
        }
        self.commands.run(now, id, command);
    }

    fn conclude_commands(&mut self) {
        if self.commands.take_news() {
            self.show.news();
        }
        for concluded in self.commands.take_concluded() {
            self.conclude(concluded);
        }
    }

    fn conclude(&mut self, concluded: Concluded) {
        let Concluded { id, result } = concluded;
        if let Some(reply) = self.waiting.remove(&id) {
            // An asker that hung up needs no answer.
            let _ = reply.send(result.clone());
        }
        self.chronicle.conclude(Outcome { id, result });
        self.show.news();
    }

    /// Stops the broker; the loop ends with its report. A broker that is gone already ends it here.
    fn stop(&mut self, cause: String) {
        match self.state {
            BrokerState::Running if self.stopping.is_none() => {
                self.commands.finish(self.clock.now());
                self.stopping = Some((cause, Instant::now() + DELETIONS_WAIT));
            }
            BrokerState::Running => {}
            _ => self.end = Some(ClusterEnd::Stopped),
        }
    }

    fn stop_if_due(&mut self) {
        let due = |at: &Instant| !self.commands.is_finishing() || *at <= Instant::now();
        if self.stopping.as_ref().is_some_and(|(_, at)| due(at))
            && let Some((cause, _)) = self.stopping.take()
        {
            self.order(Order::Stop { cause });
        }
    }

    fn order(&mut self, order: Order) {
        if let Err(error) = self.broker.orders.try_send(order) {
            tracing::debug!("an order found no taker: {error}");
        }
    }

    fn answer_askers(&mut self) {
        if self.askers.is_empty() {
            return;
        }
        let snapshot = Arc::new(self.fuse());
        for asker in self.askers.drain(..) {
            // An asker that hung up needs no answer.
            let _ = asker.send(Arc::clone(&snapshot));
        }
    }

    fn publish_if_due(&mut self) {
        if self.show.due().is_some_and(|due| due <= Instant::now()) {
            let snapshot = Arc::new(self.fuse());
            self.show.publish(snapshot);
        }
    }

    fn fuse(&self) -> ClusterSnapshot {
        fuse(
            &self.facts,
            self.clock.now(),
            &self.state,
            self.picture.as_deref(),
            &self.chronicle,
            self.commands.panels(),
        )
    }
}

fn broker_gone() -> Failure {
    Failure {
        name: "BROKER_NOT_RUNNING".into(),
        what: "the broker crashed and answers nothing".into(),
        what_to_do: "Its records are on disk: stop klar and start it again.".into(),
    }
}
