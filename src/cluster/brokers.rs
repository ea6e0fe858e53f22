//! All brokers of this cluster: starts them, takes what they report, stops them.
//!
//! Tells each where the others are and how the wires between them are. It knows nothing of what brokers
//! decide; whatever they say of themselves arrives as reports. `commands` does what somebody asks for.

mod commands;
mod plug;

use std::collections::BTreeMap;
use std::net::{SocketAddr, TcpListener};
use std::path::PathBuf;
use std::sync::Arc;

use tokio::sync::{mpsc, oneshot, watch};

use super::chance;
use super::commands::{Concluded, reachable};
use super::member::{Member, Seen};
use super::pace::{Changed, Pace, PaceCommand};
use super::remains::{Found, list_for, look_for};
use crate::broker::BrokerConfig;
use crate::ids::{BrokerId, Time};
use crate::inspect::{
    BrokerFiles, BrokerState, CommandId, Durability, EventKind, Failure, Focus, LinkSnapshot,
    PaceSnapshot,
};
use crate::links::{End, Links};
use crate::runtime::{
    BrokerStart, BrokerThread, Course, Ended, Medium, Neighbours, Order, Port, Report, Told,
};
use crate::storage::{MemoryFiles, RealDisk, Roster, StorageError, Unsynced};
pub use commands::BrokerCommand;
use commands::{ASKED, Until, Wait, did_not_start, killed};
use plug::Plug;

/// What every broker of the cluster is started with.
#[derive(Debug, Clone)]
pub struct Recipe {
    pub cluster_id: String,
    pub dir: PathBuf,
    pub durability: Durability,
    pub settings: Vec<(String, String)>,
    /// Who belongs to the cluster and who votes.
    pub roster: Roster,
    /// Connections each broker may have at a time.
    pub connections_allowed: usize,
}

impl Recipe {
    /// The files of a broker of which nothing is known yet.
    fn blank(&self) -> Medium {
        match self.durability {
            Durability::Memory => Medium::Memory(MemoryFiles::default()),
            Durability::Os | Durability::Batch => Medium::Files(Unsynced::default()),
        }
    }
}

/// The cluster's brokers, running or not.
pub struct Brokers {
    recipe: Recipe,
    members: BTreeMap<BrokerId, Member>,
    neighbours: watch::Sender<Arc<Neighbours>>,
    /// The wires between them.
    links: Links,
    pace: Pace,
    reports: mpsc::Sender<Told>,
    runs: u64,
    waits: Vec<Wait>,
    concluded: Vec<Concluded>,
    /// Where it is told what dead brokers left on disk.
    found: mpsc::Sender<Found>,
    notes: Vec<(Option<BrokerId>, EventKind)>,
    /// While the plug is out.
    plug: Option<Plug>,
}

/// What a report came to.
#[derive(Debug)]
pub enum News {
    /// A broker of an earlier run said it.
    Nothing,
    Ready(BrokerId),
    Joined,
    Note(BrokerId, Time, EventKind),
    Picture(BrokerId),
    /// A picture that shows nothing but what brokers ask each other all the time.
    Murmur(BrokerId),
    /// Its last picture shows what there is.
    Same(BrokerId),
    /// Other messages between brokers wait than did.
    Held,
    Ended(BrokerId, Ended),
}

impl Brokers {
    /// No broker yet; what they will report goes to `reports`.
    pub fn new(recipe: Recipe, reports: mpsc::Sender<Told>, found: mpsc::Sender<Found>) -> Brokers {
        Brokers {
            recipe,
            members: BTreeMap::new(),
            neighbours: watch::channel(Arc::default()).0,
            links: Links::default(),
            pace: Pace::new(),
            reports,
            runs: 0,
            waits: Vec::new(),
            concluded: Vec::new(),
            found,
            notes: Vec::new(),
            plug: None,
        }
    }

    /// Makes a broker known to the others and keeps its port; it does not run yet.
    pub fn add(&mut self, id: BrokerId, port: Port) {
        let medium = self.recipe.blank();
        self.members.insert(id, Member::new(port, medium));
        self.tell_neighbours();
    }

    /// Tells every broker where the others are and how the wires between them are.
    fn tell_neighbours(&self) {
        let addresses = self.members.iter();
        let addresses = addresses.map(|(id, member)| (*id, reachable(member.port.address())));
        self.neighbours.send_replace(Arc::new(Neighbours {
            addresses: addresses.collect(),
            links: self.links.clone(),
            gate: self.pace.gate(),
        }));
    }

    /// Starts a broker that does not run; it has joined once the cluster counts on `awaits` brokers, itself too.
    ///
    /// # Errors
    /// The system refuses another thread.
    pub fn launch(
        &mut self,
        id: BrokerId,
        listener: TcpListener,
        awaits: usize,
    ) -> std::io::Result<()> {
        let Some(member) = self.members.get_mut(&id) else {
            return Ok(());
        };
        self.runs += 1;
        self.pace.forget(id);
        let recipe = &self.recipe;
        let start = BrokerStart {
            config: BrokerConfig {
                id,
                voters: recipe.roster.voters.clone(),
                alone: recipe.roster.brokers.len() == 1,
                cluster_id: recipe.cluster_id.clone(),
                listen: member.port.address(),
                data_dir: recipe.dir.clone(),
                durability: recipe.durability,
                settings: recipe.settings.clone(),
            },
            run: self.runs,
            neighbours: self.neighbours.subscribe(),
            courses: self.pace.courses(),
            listener,
            medium: std::mem::replace(&mut member.medium, recipe.blank()),
            seed: chance::number(),
            connections_allowed: recipe.connections_allowed,
            awaits,
        };
        let thread = BrokerThread::start(start, self.reports.clone())?;
        member.started(self.runs, thread);
        Ok(())
    }

    /// Takes what a broker says.
    pub fn on_told(&mut self, told: Told) -> News {
        let Told {
            broker,
            run,
            report,
        } = told;
        let Some(member) = self.members.get_mut(&broker).filter(|m| m.run == run) else {
            return News::Nothing;
        };
        match report {
            Report::Ready => {
                member.state = BrokerState::Running;
                News::Ready(broker)
            }
            Report::Joined { known } => {
                member.joined = true;
                self.settle(broker, Until::Joined { known });
                News::Joined
            }
            Report::Note { time, kind } => News::Note(broker, time, kind),
            Report::Picture(picture) => {
                let (links, real) = (&self.links, self.pace.is_real());
                let wire = |from, to| links.wire(End::Broker(from), End::Broker(to));
                let is_good = |a, b| wire(a, b).is_perfect() && wire(b, a).is_perfect();
                match member.show(picture, |a, b| !real || !is_good(a, b)) {
                    true => News::Picture(broker),
                    false => News::Murmur(broker),
                }
            }
            Report::Same => News::Same(broker),
            Report::Held { ticket, message } => {
                let let_through = self.pace.on_held(broker, ticket, message);
                if let Some(changed) = let_through {
                    self.changed_pace(changed);
                }
                News::Held
            }
            Report::LetGo { ticket } => {
                self.pace.on_let_go(broker, ticket);
                News::Held
            }
            Report::Ended(ended, medium) => {
                member.ended(&ended, medium);
                self.on_ended(broker, &ended);
                News::Ended(broker, ended)
            }
        }
    }

    /// Takes what was found on disk; false when the broker it is of runs again or has run meanwhile.
    pub fn on_found(&mut self, found: Found) -> bool {
        let (broker, run, remains) = match found {
            Found::Remains {
                broker,
                run,
                remains,
            } => (broker, run, remains),
            Found::Loss(loss) => {
                self.put_plug_in(&loss);
                return true;
            }
        };
        let member = self.members.get_mut(&broker);
        let dead = |m: &&mut Member| m.run == run && !m.is_alive();
        let Some(member) = member.filter(dead) else {
            return false;
        };
        member.remains = Some(remains);
        true
    }

    /// Has the files of a broker that does not run listed.
    ///
    /// # Errors
    /// It runs, there is no such broker, or nothing of it is in files.
    pub fn files(&mut self, id: BrokerId) -> Result<oneshot::Receiver<BrokerFiles>, Failure> {
        let durability = self.recipe.durability;
        let dir = self.recipe.dir.join(format!("broker-{id}"));
        if self.member(id)?.is_alive() {
            return Err(files_change(id));
        }
        if durability == Durability::Memory {
            return Err(no_files(id));
        }
        let (reply, files) = oneshot::channel();
        list_for(id, dir, reply);
        Ok(files)
    }

    /// Orders pictures of all brokers that run.
    pub fn look(&self, focus: Option<&Focus>, fresh: bool) {
        for id in self.running() {
            self.look_at(id, focus, fresh);
        }
    }

    /// Orders a picture of one broker.
    pub fn look_at(&self, id: BrokerId, focus: Option<&Focus>, fresh: bool) {
        let thread = self.members.get(&id).and_then(|m| m.thread.as_ref());
        let Some(thread) = thread else {
            return;
        };
        let focus = focus.cloned();
        if let Err(error) = thread.orders.try_send(Order::Look { focus, fresh }) {
            tracing::debug!("broker {id} was not looked at: {error}");
        }
    }

    /// Orders every broker to stop cleanly; false when none runs.
    pub fn stop_all(&mut self, cause: &str) -> bool {
        let mut any = false;
        self.leave_plug_out();
        for (id, member) in &mut self.members {
            member.again = false;
            if !member.is_alive() {
                continue;
            }
            any = true;
            if !member.stop(cause, false) {
                tracing::warn!("broker {id} does not listen, so it is ended");
                if member.kill() {
                    self.notes.push((Some(*id), killed(ASKED)));
                }
            }
        }
        any
    }

    /// Commands that ended since the last call.
    pub fn take_concluded(&mut self) -> Vec<Concluded> {
        std::mem::take(&mut self.concluded)
    }

    /// What happened to brokers since the last call, besides what they say themselves, and to all of them together.
    pub fn take_notes(&mut self) -> Vec<(Option<BrokerId>, EventKind)> {
        std::mem::take(&mut self.notes)
    }

    /// What every clock of the cluster follows.
    pub fn courses(&self) -> watch::Receiver<Course> {
        self.pace.courses()
    }

    /// How time passes.
    pub fn pace(&self) -> PaceSnapshot {
        self.pace.snapshot()
    }

    /// Runs a command about time.
    pub fn run_pace(&mut self, id: CommandId, command: PaceCommand) {
        let is_still = |broker: BrokerId| {
            let member = self.members.get(&broker);
            member.is_some_and(|member| member.state == BrokerState::Paused)
        };
        let talk = self.running().nth(1).is_some();
        let run = match command {
            PaceCommand::Step if !talk => Err(alone()),
            _ => self.pace.run(command, is_still, ASKED),
        };
        let concluded = match run {
            Ok(changed) => Concluded::done(id, self.changed_pace(changed)),
            Err(failure) => Concluded::failed(id, failure),
        };
        self.concluded.push(concluded);
    }

    fn changed_pace(&mut self, changed: Changed) -> String {
        self.notes.extend(changed.noted);
        self.tell_neighbours();
        changed.sentence
    }

    /// Brokers that run and follow what happens.
    pub fn running(&self) -> impl Iterator<Item = BrokerId> {
        let running = |(_, m): &(&BrokerId, &Member)| {
            matches!(m.state, BrokerState::Running | BrokerState::Stopping)
        };
        self.members.iter().filter(running).map(|(id, _)| *id)
    }

    /// Whether every broker runs and is known to the cluster, or has waited long enough for that.
    pub fn all_joined(&self) -> bool {
        let ready = |m: &Member| m.joined && m.state == BrokerState::Running;
        self.members.values().all(ready)
    }

    /// Whether any broker has a thread.
    pub fn any_alive(&self) -> bool {
        self.members.values().any(Member::is_alive)
    }

    /// What pictures show of each, by number.
    pub fn seen(&self) -> Vec<Seen<'_>> {
        self.members.iter().map(|(id, m)| m.seen(*id)).collect()
    }

    /// The directions between brokers that are not as good as new.
    pub fn links(&self) -> Vec<LinkSnapshot> {
        let faulty = self.links.faulty();
        let shown = faulty.filter_map(|(from, to, wire)| match (from, to) {
            (End::Broker(from), End::Broker(to)) => Some(LinkSnapshot {
                from,
                to,
                cut: wire.cut,
                delay_ms: wire.delay_us / 1_000,
            }),
            // Live clients have no wires of ours.
            _ => None,
        });
        shown.collect()
    }

    /// Where clients on this machine reach each broker.
    pub fn addresses(&self) -> Vec<SocketAddr> {
        let members = self.members.values();
        members.map(|m| reachable(m.port.address())).collect()
    }

    /// Where a broker is told which connections are klar's own, by its port.
    pub fn own(&self, id: BrokerId) -> Option<(u16, mpsc::Sender<SocketAddr>)> {
        let member = self.members.get(&id)?;
        let thread = member.thread.as_ref()?;
        Some((member.port.address().port(), thread.own.clone()))
    }

    fn on_ended(&mut self, id: BrokerId, ended: &Ended) {
        let Some(member) = self.members.get_mut(&id) else {
            return;
        };
        let crashed = match ended {
            // It says so itself, and who was killed was told then.
            Ended::Clean | Ended::Killed => None,
            Ended::Crashed { message } | Ended::Failed { message } => Some(message.clone()),
        };
        let kind = crashed.clone();
        let kind = kind.map(|message| EventKind::BrokerCrashed { message });
        self.notes.extend(kind.map(|kind| (Some(id), kind)));
        let again = member.again && *ended == Ended::Clean;
        if !again && self.plug.is_none() {
            self.look_for_remains(id);
        }
        self.settle(id, Until::Ended);
        if again {
            if let Err(failure) = self.start_again(id) {
                self.fail(id, &failure);
            }
        } else {
            let why = crashed.as_deref().unwrap_or("it ended before it was up");
            self.fail(id, &did_not_start(id, why));
        }
        self.count_out(id);
    }

    /// Has somebody look into the files of a broker that does not run, if it has any.
    fn look_for_remains(&self, id: BrokerId) {
        let member = self.members.get(&id);
        if let Some(member) = member.filter(|_| self.recipe.durability != Durability::Memory) {
            look_for(id, member.run, self.dir_of(id), self.found.clone());
        }
    }

    /// Where a broker's files are.
    fn dir_of(&self, id: BrokerId) -> PathBuf {
        self.recipe.dir.join(format!("broker-{id}"))
    }

    /// Starts a broker that has ended, on the directory and port it had.
    fn start_again(&mut self, id: BrokerId) -> Result<(), Failure> {
        let listener = self.member(id)?.port.listen();
        let launched = listener.and_then(|listener| self.launch(id, listener, 1));
        launched.map_err(|error| did_not_start(id, &error.to_string()))
    }

    /// Remembers who belongs to the cluster. Without files there is nothing to remember it for.
    fn save_roster(&self) -> Result<(), StorageError> {
        match self.recipe.durability {
            Durability::Memory => Ok(()),
            Durability::Os | Durability::Batch => {
                let roster = &self.recipe.roster;
                roster.save(&mut RealDisk::default(), &self.recipe.dir)
            }
        }
    }
}

/// Why the files of a broker are not listed while it runs.
fn files_change(id: BrokerId) -> Failure {
    Failure {
        name: "BROKER_RUNS".into(),
        what: format!("broker {id} runs, so its files change while they are read"),
        what_to_do: format!("Stop or kill it first: `klar ctl kill {id}`."),
    }
}

/// Why there are no files to list.
fn no_files(id: BrokerId) -> Failure {
    Failure {
        name: "NO_FILES".into(),
        what: format!("this cluster keeps its records in memory, so broker {id} left no files"),
        what_to_do: "Start klar with --durability os to keep them in files.".into(),
    }
}

/// Why there is no message to wait for.
fn alone() -> Failure {
    Failure {
        name: "NOTHING_WAITS".into(),
        what: "no two brokers run, so none sends another a message".into(),
        what_to_do: "Start another broker, or let time go on: `klar ctl time resume`.".into(),
    }
}
