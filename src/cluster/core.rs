//! The cluster's one loop: reports of brokers, requests of window and `ctl`, its own clients, time.
//!
//! Everything the cluster knows is owned here. A step never blocks for longer than a thread takes to start or
//! to return after its last word.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::sync::{mpsc, oneshot};
use tokio::time::Instant;

use super::brokers::{BrokerCommand, Brokers, News};
use super::commands::{Commands, Concluded};
use super::fuse::{Chronicle, Panels, fuse};
use super::fuse_topics::FusedTopics;
use super::link::{Reply, Request};
use super::pace::PaceCommand;
use super::remains::Found;
use super::show::Show;
use super::wires::Happened;
use super::{ClusterEnd, ClusterFacts};
use crate::ids::{BrokerId, Time};
use crate::inspect::{ClusterSnapshot, Command, CommandId, EventKind, Failure, Focus, Outcome};
use crate::runtime::{Clock, Ended, Told};

/// Everything the cluster knows.
pub struct Core {
    facts: ClusterFacts,
    clock: Clock,
    /// When the loop took up what it works on.
    turn: Time,
    brokers: Brokers,
    fused: FusedTopics,
    /// What pictures contain.
    focus: Focus,
    chronicle: Chronicle,
    commands: Commands,
    show: Show,
    /// Who waits for a fresh picture.
    askers: Vec<Asker>,
    /// Who waits for a command's end.
    waiting: BTreeMap<CommandId, Reply>,
    /// Why the brokers stop, once deletions that waited are done or this moment has come.
    stopping: Option<(String, Instant)>,
    /// The brokers were told to stop: the last one's end is the cluster's.
    stops: bool,
    /// Show crashed brokers instead of ending.
    stays_after_crash: bool,
    next_command: Arc<AtomicU64>,
    /// Brokers that are forgotten once their command has succeeded.
    removing: BTreeMap<CommandId, BrokerId>,
    end: Option<ClusterEnd>,
}

/// One who waits for a fresh picture.
struct Asker {
    reply: oneshot::Sender<Arc<ClusterSnapshot>>,
    /// Brokers whose pictures are on their way.
    awaits: BTreeSet<BrokerId>,
    /// Not longer than this.
    until: Instant,
}

/// The queues the loop reads.
pub struct Queues {
    pub reports: mpsc::Receiver<Told>,
    pub requests: mpsc::Receiver<Request>,
    pub events: mpsc::Receiver<Happened>,
    pub found: mpsc::Receiver<Found>,
}

/// How long stopping waits for deletions that are carried out early.
const DELETIONS_WAIT: Duration = Duration::from_secs(1);
/// How long a fresh picture waits for a broker that is busy.
const PICTURE_WAIT: Duration = Duration::from_secs(1);

impl Core {
    pub fn new(
        facts: ClusterFacts,
        brokers: Brokers,
        show: Show,
        events: mpsc::Sender<Happened>,
        next_command: Arc<AtomicU64>,
    ) -> Core {
        let clock = Clock::following(brokers.courses());
        let mut core = Core {
            facts,
            turn: clock.now(),
            clock,
            commands: Commands::new(brokers.addresses(), events),
            brokers,
            fused: FusedTopics::default(),
            focus: Focus::default(),
            chronicle: Chronicle::default(),
            show,
            askers: Vec::new(),
            waiting: BTreeMap::new(),
            stopping: None,
            stops: false,
            stays_after_crash: false,
            next_command,
            removing: BTreeMap::new(),
            end: None,
        };
        let running: Vec<BrokerId> = core.brokers.running().collect();
        for broker in running {
            core.on_ready(broker);
        }
        core
    }

    /// With a window, crashes are shown; without one, the last broker's crash ends the program.
    pub fn stay_after_crash(&mut self, stay: bool) {
        self.stays_after_crash = stay;
    }

    /// Runs until the cluster has ended.
    pub async fn run(mut self, mut queues: Queues) -> ClusterEnd {
        loop {
            let due = self.next_due();
            let timer = tokio::time::sleep_until(due.unwrap_or_else(Instant::now));
            tokio::select! {
                Some(told) = queues.reports.recv() => {
                    self.begin_turn();
                    self.on_told(told);
                }
                Some(request) = queues.requests.recv() => {
                    self.begin_turn();
                    self.on_request(request);
                }
                Some(event) = queues.events.recv() => {
                    self.begin_turn();
                    self.commands.on_event(self.turn, event);
                }
                Some(found) = queues.found.recv() => {
                    self.begin_turn();
                    if self.brokers.on_found(found) {
                        self.show.news();
                    }
                }
                () = timer, if due.is_some() => {
                    self.begin_turn();
                    self.commands.on_time(self.turn);
                }
            }
            self.take_notes();
            self.conclude_commands();
            self.stop_if_due();
            self.answer_askers();
            self.publish_if_due();
            if let Some(end) = self.end.take() {
                return end;
            }
        }
    }

    fn next_due(&self) -> Option<Instant> {
        let wakeup = self.commands.next_wakeup();
        let wakeup = wakeup.and_then(|time| self.clock.instant_of(time));
        let wakeup = wakeup.map(Instant::from_std);
        let stop = self.stopping.as_ref().map(|(_, at)| *at);
        let asked = self.askers.iter().map(|asker| asker.until).min();
        let dues = [wakeup, self.show.due(), stop, asked];
        dues.into_iter().flatten().min()
    }

    /// Keeps what a broker noted.
    pub fn note(&mut self, broker: Option<BrokerId>, time: Time, kind: EventKind) {
        self.chronicle.note(broker, time, kind);
        self.show.news();
    }

    fn on_told(&mut self, told: Told) {
        match self.brokers.on_told(told) {
            News::Nothing => return,
            News::Ready(broker) => self.on_ready(broker),
            News::Joined | News::Held => {}
            News::Note(broker, time, kind) => self.note(Some(broker), time, kind),
            News::Picture(broker) => self.has_shown(broker),
            News::Murmur(broker) => {
                self.has_shown(broker);
                self.show.murmur();
                if self.show.is_looked_at() {
                    self.brokers.look_at(broker, None, false);
                }
                return;
            }
            News::Same(broker) => {
                self.show.has_answered(broker);
                return;
            }
            News::Ended(broker, ended) => {
                self.has_shown(broker);
                self.on_ended(&ended);
            }
        }
        self.show.news();
    }

    fn on_ready(&mut self, broker: BrokerId) {
        self.commands.know_brokers(self.brokers.addresses());
        if let Some((port, own)) = self.brokers.own(broker) {
            self.commands.know_own(port, own);
        }
        self.brokers.look_at(broker, Some(&self.focus), false);
    }

    fn on_ended(&mut self, ended: &Ended) {
        if self.brokers.any_alive() {
            return;
        }
        if self.stops {
            self.end = Some(ClusterEnd::Stopped);
            return;
        }
        if let Ended::Crashed { message } | Ended::Failed { message } = ended
            && !self.stays_after_crash
        {
            let message = message.clone();
            self.end = Some(ClusterEnd::Crashed { message });
        }
    }

    fn on_request(&mut self, request: Request) {
        match request {
            Request::Command(id, command) => self.run_command(id, command),
            Request::Run(command, reply) => {
                let id = CommandId(self.next_command.fetch_add(1, Ordering::Relaxed));
                self.waiting.retain(|_, reply| !reply.is_closed());
                self.waiting.insert(id, reply);
                self.run_command(id, command);
            }
            Request::Focus(focus) => {
                self.brokers.look(Some(&focus), false);
                self.show.count(focus.counters);
                self.focus = focus;
                // What dead brokers left is shown by none that lives.
                self.show.news();
            }
            Request::Look => {
                self.show.look(self.brokers.running());
                self.brokers.look(None, false);
            }
            Request::Files(broker, reply) => {
                // An asker that hung up needs no answer.
                let _ = reply.send(self.brokers.files(broker));
            }
            Request::OnNews(wake) => self.show.on_news(wake),
            Request::Snapshot(reply) => {
                self.brokers.look(None, true);
                self.askers.push(Asker {
                    reply,
                    awaits: self.brokers.running().collect(),
                    until: Instant::now() + PICTURE_WAIT,
                });
            }
            Request::Stop { cause } => self.stop(cause),
        }
    }

    fn run_command(&mut self, id: CommandId, command: Command) {
        if command == Command::Stop {
            self.conclude(Concluded::done(id, "klar stops."));
            self.stop("asked to stop".to_owned());
        } else if let Some(command) = PaceCommand::of(&command) {
            self.brokers.run_pace(id, command);
        } else if let Err(failure) = self.check_stays(&command) {
            self.conclude(Concluded::failed(id, failure));
        } else if let Some(command) = BrokerCommand::of(&command) {
            self.brokers.run(id, command);
        } else if let Err(failure) = self.begin_removal(id, &command) {
            self.conclude(Concluded::failed(id, failure));
        } else if self.brokers.any_alive() || is_about_clients(&command) {
            self.commands.run(self.clock.now(), id, command);
        } else {
            self.conclude(Concluded::failed(id, nobody_there()));
        }
    }

    /// A broker that is about to be forgotten is not started: its directory is set aside when the cluster agrees.
    fn check_stays(&self, command: &Command) -> Result<(), Failure> {
        match command {
            Command::RestartBroker { broker }
                if self.removing.values().any(|leaving| leaving == broker) =>
            {
                Err(is_removed(*broker))
            }
            _ => Ok(()),
        }
    }

    fn begin_removal(&mut self, id: CommandId, command: &Command) -> Result<(), Failure> {
        if let Command::RemoveBroker { broker } = command {
            self.brokers.check_removable(*broker)?;
            self.removing.insert(id, *broker);
        }
        Ok(())
    }

    fn begin_turn(&mut self) {
        self.turn = self.clock.now();
    }

    /// Keeps what the cluster itself saw happen to brokers. What it did to them is told with when it began to: others
    /// may notice before it is done.
    fn take_notes(&mut self) {
        let now = self.turn;
        for (broker, kind) in self.brokers.take_notes() {
            match broker {
                Some(broker) => tracing::info!("broker {broker}: {}", kind.sentence()),
                None => tracing::info!("cluster: {}", kind.sentence()),
            }
            self.note(broker, now, kind);
        }
    }

    fn conclude_commands(&mut self) {
        if self.commands.take_news() {
            self.show.news();
        }
        let about_brokers = self.brokers.take_concluded();
        for concluded in about_brokers
            .into_iter()
            .chain(self.commands.take_concluded())
        {
            self.conclude(concluded);
        }
    }

    fn conclude(&mut self, concluded: Concluded) {
        let Concluded { id, result } = concluded;
        if let Some(broker) = self.removing.remove(&id)
            && result.is_ok()
        {
            self.brokers.forget(broker);
            self.commands.know_brokers(self.brokers.addresses());
        }
        if let Some(reply) = self.waiting.remove(&id) {
            // An asker that hung up needs no answer.
            let _ = reply.send(result.clone());
        }
        self.chronicle.conclude(Outcome { id, result });
        self.show.news();
    }

    /// Stops all brokers; the loop ends with the last one's report. Without any it ends here.
    fn stop(&mut self, cause: String) {
        if !self.brokers.any_alive() {
            self.end = Some(ClusterEnd::Stopped);
        } else if self.stopping.is_none() && !self.stops {
            self.commands.finish(self.clock.now());
            self.stopping = Some((cause, Instant::now() + DELETIONS_WAIT));
        }
    }

    fn stop_if_due(&mut self) {
        let due = |at: &Instant| !self.commands.is_finishing() || *at <= Instant::now();
        if self.stopping.as_ref().is_some_and(|(_, at)| due(at))
            && let Some((cause, _)) = self.stopping.take()
        {
            self.stops = true;
            if !self.brokers.stop_all(&cause) {
                self.end = Some(ClusterEnd::Stopped);
            }
        }
    }

    /// This broker's picture need not be waited for any more.
    fn has_shown(&mut self, broker: BrokerId) {
        self.show.has_answered(broker);
        for asker in &mut self.askers {
            asker.awaits.remove(&broker);
        }
    }

    fn answer_askers(&mut self) {
        let now = Instant::now();
        let is_due = |asker: &Asker| asker.awaits.is_empty() || asker.until <= now;
        if !self.askers.iter().any(is_due) {
            return;
        }
        let snapshot = Arc::new(self.fuse());
        for asker in self.askers.extract_if(.., |asker| is_due(asker)) {
            // An asker that hung up needs no answer.
            let _ = asker.reply.send(Arc::clone(&snapshot));
        }
    }

    fn publish_if_due(&mut self) {
        if self.show.due().is_some_and(|due| due <= Instant::now()) {
            let snapshot = Arc::new(self.fuse());
            self.show.publish(snapshot);
        }
    }

    fn fuse(&mut self) -> ClusterSnapshot {
        fuse(
            &self.facts,
            self.clock.now(),
            &self.brokers.seen(),
            &self.focus,
            &mut self.fused,
            &self.chronicle,
            Panels {
                links: self.brokers.links(),
                pace: self.brokers.pace(),
                ..self.commands.panels()
            },
        )
    }
}

/// What happens in klar's own clients alone, whether or not a broker runs.
fn is_about_clients(command: &Command) -> bool {
    matches!(
        command,
        Command::PauseConsumer { .. }
            | Command::ResumeConsumer { .. }
            | Command::CrashConsumer { .. }
            | Command::StopConsumer { .. }
    )
}

fn is_removed(broker: BrokerId) -> Failure {
    Failure {
        name: "BROKER_IS_REMOVED".into(),
        what: format!("broker {broker} is being removed"),
        what_to_do: "Start a new one: `klar ctl add-broker`.".into(),
    }
}

fn nobody_there() -> Failure {
    Failure {
        name: "BROKER_NOT_RUNNING".into(),
        what: "no broker runs, so nobody answers".into(),
        what_to_do: "Their records are on disk: start them again with `klar ctl restart`, or stop klar and start it again."
            .into(),
    }
}
