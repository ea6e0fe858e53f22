//! Runs commands with klar's own clients: hands each to who does it, keeps the clients going.
//!
//! Every command ends in at least one conclusion. Clients are machines; this gives them time and the
//! bytes of their connections, and carries out what they want.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use tokio::sync::mpsc;

use super::browse::Browser;
use super::consuming::Consuming;
use super::fuse::Panels;
use super::groups::Groups;
use super::producing::Producing;
use super::topics::Topics;
use super::wires::{Client, Happened, WireEvent, Wires};
use crate::client::{Address, LinkId, LinksConfig, Machine};
use crate::ids::Time;
use crate::inspect::{BrowseQuery, Command, CommandId, Done, Failure};

/// How a command ended.
#[derive(Debug, Clone, PartialEq)]
pub struct Concluded {
    pub id: CommandId,
    pub result: Result<Done, Failure>,
}

impl Concluded {
    pub fn done(id: CommandId, sentence: impl Into<String>) -> Concluded {
        let done = Done {
            sentence: sentence.into(),
            ..Done::default()
        };
        Concluded {
            id,
            result: Ok(done),
        }
    }

    pub fn failed(id: CommandId, failure: Failure) -> Concluded {
        Concluded {
            id,
            result: Err(failure),
        }
    }
}

/// Everything that runs commands.
pub struct Commands {
    wires: Wires,
    /// Where the brokers listen.
    bootstrap: Vec<SocketAddr>,
    /// Made by the first topic command.
    topics: Option<Topics>,
    /// Made by the first command about groups.
    groups: Option<Groups>,
    producing: Producing,
    consuming: Consuming,
    browser: Option<Browser>,
    browses: u64,
    concluded: Vec<Concluded>,
    news: bool,
}

impl Commands {
    pub fn new(bootstrap: Vec<SocketAddr>, events: mpsc::Sender<Happened>) -> Commands {
        Commands {
            wires: Wires::new(events),
            topics: None,
            groups: None,
            producing: Producing::new(bootstrap.clone()),
            consuming: Consuming::new(bootstrap.clone()),
            bootstrap,
            browser: None,
            browses: 0,
            concluded: Vec::new(),
            news: false,
        }
    }

    /// Brokers that clients begin with from now on.
    pub fn know_brokers(&mut self, bootstrap: Vec<SocketAddr>) {
        self.producing.know_brokers(bootstrap.clone());
        self.consuming.know_brokers(bootstrap.clone());
        if let Some(groups) = &mut self.groups {
            groups.know_brokers(links(&bootstrap, "klar-groups"));
        }
        self.bootstrap = bootstrap;
    }

    /// From now on the broker on this port is told here which connections are klar's own.
    pub fn know_own(&mut self, port: u16, own: mpsc::Sender<SocketAddr>) {
        self.wires.know_own(port, own);
    }

    /// Starts a command.
    pub fn run(&mut self, now: Time, id: CommandId, command: Command) {
        self.news = true;
        match command {
            Command::CreateTopic { .. }
            | Command::DeleteTopic { .. }
            | Command::UndoDelete { .. }
            | Command::EmptyTopic { .. }
            | Command::AddPartitions { .. }
            | Command::AlterTopic { .. }
            | Command::RemoveBroker { .. }
            | Command::ElectLeader { .. }
            | Command::MoveReplicas { .. }
            | Command::CancelMove { .. }
            | Command::ListMoves => {
                let links = links(&self.bootstrap, "klar-admin");
                let topics = self.topics.get_or_insert_with(|| Topics::new(links));
                self.concluded.extend(topics.run(now, id, command));
                self.pump(now, Client::Admin);
            }
            Command::CommitOffsets { .. }
            | Command::DeleteOffsets { .. }
            | Command::DeleteGroup { .. }
            | Command::FindOffsets { .. } => self.run_on_groups(now, id, command),
            Command::Produce(record) => {
                let started = self.producing.produce(now, id, record);
                self.pump_started(now, started);
            }
            Command::StartProducer(plan) => {
                let started = self.producing.start(now, id, plan);
                self.pump_started(now, started);
            }
            Command::StopProducer { id: producer } => {
                let started = self.producing.stop(id, producer);
                self.pump_started(now, started);
            }
            Command::StartConsumer { .. }
            | Command::PauseConsumer { .. }
            | Command::ResumeConsumer { .. }
            | Command::CrashConsumer { .. }
            | Command::StopConsumer { .. } => self.run_on_consumers(now, id, command),
            Command::Browse(query) => self.browse(now, id, query),
            Command::BrowseMore => self.steer_browser(now, id, "Reading on.", Browser::more),
            Command::PauseBrowse => self.steer_browser(now, id, "Paused.", |browser, _| {
                browser.pause();
            }),
            Command::StopBrowse => {
                self.drop_browser();
                self.browser = None;
                self.concluded.push(Concluded::done(id, "Stopped reading."));
            }
            Command::Stop
            | Command::KillBroker { .. }
            | Command::PullPlug
            | Command::StopBroker { .. }
            | Command::RestartBroker { .. }
            | Command::PauseBroker { .. }
            | Command::ResumeBroker { .. }
            | Command::CutLink { .. }
            | Command::SlowLink { .. }
            | Command::HealLink { .. }
            | Command::HealLinks
            | Command::SlowTime { .. }
            | Command::PauseTime
            | Command::ResumeTime
            | Command::Step
            | Command::FreezeReplication
            | Command::ThawReplication
            | Command::AddBroker => unreachable!("no client's business"),
        }
    }

    fn run_on_groups(&mut self, now: Time, id: CommandId, command: Command) {
        let links = links(&self.bootstrap, "klar-groups");
        let groups = self.groups.get_or_insert_with(|| Groups::new(links));
        let client = groups.run(now, id, command);
        self.pump(now, client);
    }

    fn run_on_consumers(&mut self, now: Time, id: CommandId, command: Command) {
        let consuming = &mut self.consuming;
        let clients: Vec<Client> = match command {
            Command::StartConsumer { plan, members } => consuming.start(now, id, &plan, members),
            Command::PauseConsumer { id: consumer } => {
                consuming.pause(now, id, consumer).into_iter().collect()
            }
            Command::ResumeConsumer { id: consumer } => {
                consuming.resume(now, id, consumer).into_iter().collect()
            }
            Command::CrashConsumer { id: consumer } => {
                consuming.crash(now, id, consumer).into_iter().collect()
            }
            Command::StopConsumer { id: consumer } => {
                consuming.stop(now, id, consumer).into_iter().collect()
            }
            _ => Vec::new(),
        };
        self.concluded.append(&mut self.consuming.concluded);
        for client in clients {
            self.pump(now, client);
        }
    }

    fn browse(&mut self, now: Time, id: CommandId, query: BrowseQuery) {
        self.drop_browser();
        self.browses += 1;
        let sentence = format!("Reading topic {}.", query.topic);
        let links = links(&self.bootstrap, "klar-browse");
        self.browser = Some(Browser::new(now, query, links));
        self.concluded.push(Concluded::done(id, sentence));
        self.pump(now, Client::Browse(self.browses));
    }

    /// Takes what happened on a connection.
    pub fn on_event(&mut self, now: Time, happened: Happened) {
        if !self.wires.is_open(&happened) {
            return;
        }
        let (client, link, event) = happened;
        if let Some(machine) = self.machine(client) {
            tell(machine, now, link, event);
        }
        self.pump(now, client);
    }

    /// Does what is due.
    pub fn on_time(&mut self, now: Time) {
        if let Some(topics) = &mut self.topics {
            self.news |= topics.on_time(now);
        }
        let due = self.consuming.due(now);
        for client in self.clients().into_iter().chain(due) {
            self.pump(now, client);
        }
    }

    /// When to call [`Commands::on_time`] next.
    pub fn next_wakeup(&self) -> Option<Time> {
        let topics = self.topics.as_ref().map(|topics| {
            let machine = topics.admin.next_wakeup();
            machine.into_iter().chain(topics.next_due()).min()
        });
        let browser = self.browser.as_ref().map(Browser::next_wakeup);
        let groups = self.groups.as_ref().map(Groups::next_wakeup);
        let producing = Some(self.producing.next_wakeup());
        let consuming = Some(self.consuming.next_wakeup());
        [topics, groups, browser, producing, consuming]
            .into_iter()
            .flatten()
            .flatten()
            .min()
    }

    /// Sends off the deletions that wait and has members leave their groups, because the program ends.
    pub fn finish(&mut self, now: Time) {
        for client in self.consuming.stop_all(now) {
            self.pump(now, client);
        }
        if let Some(topics) = &mut self.topics {
            topics.delete_all_now(now);
            self.pump(now, Client::Admin);
        }
    }

    /// True while the admin still works, or a member is about to leave.
    pub fn is_finishing(&self) -> bool {
        self.consuming.is_leaving() || self.topics.as_ref().is_some_and(Topics::is_busy)
    }

    /// True once after something changed that pictures show.
    pub fn take_news(&mut self) -> bool {
        std::mem::take(&mut self.news)
    }

    /// Commands that ended since the last call.
    pub fn take_concluded(&mut self) -> Vec<Concluded> {
        std::mem::take(&mut self.concluded)
    }

    /// What pictures show of the clients.
    pub fn panels(&self) -> Panels {
        Panels {
            browse: self.browser.as_ref().map(Browser::picture),
            producers: self.producing.pictures(),
            consumers: self.consuming.pictures(),
            deleting: self.topics.as_ref().map_or_else(Vec::new, Topics::deleting),
            ..Panels::default()
        }
    }

    fn clients(&self) -> Vec<Client> {
        let mut clients = self.producing.clients();
        if self.topics.is_some() {
            clients.push(Client::Admin);
        }
        if self.groups.is_some() {
            clients.extend([Client::Groups, Client::Offsets]);
        }
        if self.browser.is_some() {
            clients.push(Client::Browse(self.browses));
        }
        clients
    }

    fn machine(&mut self, client: Client) -> Option<&mut dyn Machine> {
        match client {
            Client::Admin => self
                .topics
                .as_mut()
                .map(|t| &mut t.admin as &mut dyn Machine),
            Client::Groups => self
                .groups
                .as_mut()
                .map(|g| &mut g.admin as &mut dyn Machine),
            Client::Offsets => self
                .groups
                .as_mut()
                .map(|g| &mut g.finder as &mut dyn Machine),
            Client::Browse(number) if number == self.browses => self
                .browser
                .as_mut()
                .map(|b| &mut b.consumer as &mut dyn Machine),
            Client::Browse(_) => None,
            Client::Single(_) | Client::Producer(_) => self.producing.machine(client),
            Client::Consumer(number) => self.consuming.machine(number),
        }
    }

    /// Lets a client do everything it can do now.
    fn pump(&mut self, now: Time, client: Client) {
        self.step(now, client);
        self.carry_out(now, client);
        self.step(now, client);
        if let Client::Consumer(_) = client {
            // What was taken just now lets more be fetched and committed.
            self.carry_out(now, client);
        }
        let unsent = self.topics.as_mut().is_some_and(Topics::take_unsent);
        if unsent && client == Client::Admin {
            return self.pump(now, client);
        }
        let gone = self.producing.take_gone();
        for gone in gone.into_iter().chain(self.consuming.take_gone()) {
            self.wires.forget(gone);
        }
    }

    /// Does everything a client wants done.
    fn carry_out(&mut self, now: Time, client: Client) {
        loop {
            let Some(machine) = self.machine(client) else {
                return self.wires.forget(client);
            };
            let Some(action) = machine.poll_action(now) else {
                return;
            };
            self.wires.carry_out(client, action);
        }
    }

    /// What a client's machine has come to, taken to whoever asked for it.
    fn step(&mut self, now: Time, client: Client) {
        match client {
            Client::Admin => {
                let Some(topics) = &mut self.topics else {
                    return;
                };
                while let Some(concluded) = topics.poll_concluded(now) {
                    self.concluded.push(concluded);
                    self.news = true;
                }
            }
            Client::Groups | Client::Offsets => {
                let ended = self.groups.as_mut().and_then(Groups::take_concluded);
                if let Some(ended) = ended {
                    self.concluded.extend(ended);
                    self.news = true;
                }
            }
            Client::Browse(_) => {
                if let Some(browser) = &mut self.browser {
                    self.news |= browser.step(now);
                }
            }
            Client::Single(_) | Client::Producer(_) => {
                self.news |= self.producing.step(now, client);
                self.concluded.append(&mut self.producing.concluded);
            }
            Client::Consumer(number) => self.news |= self.consuming.step(now, number),
        }
    }

    fn pump_started(&mut self, now: Time, started: Option<Client>) {
        self.concluded.append(&mut self.producing.concluded);
        if let Some(client) = started {
            self.pump(now, client);
        }
    }

    fn steer_browser(
        &mut self,
        now: Time,
        id: CommandId,
        sentence: &str,
        steer: impl FnOnce(&mut Browser, Time),
    ) {
        match &mut self.browser {
            Some(browser) => {
                steer(browser, now);
                self.concluded.push(Concluded::done(id, sentence));
                self.pump(now, Client::Browse(self.browses));
            }
            None => {
                let failure = Failure {
                    name: "NOT_READING".into(),
                    what: "no topic is being read".into(),
                    what_to_do: "Open a topic's records first.".into(),
                };
                self.concluded.push(Concluded::failed(id, failure));
            }
        }
    }

    fn drop_browser(&mut self) {
        self.wires.forget(Client::Browse(self.browses));
    }
}

fn tell(machine: &mut dyn Machine, now: Time, link: LinkId, event: WireEvent) {
    match event {
        WireEvent::Connected => machine.on_connected(now, link),
        WireEvent::Frame(frame) => machine.on_frame(now, link, frame),
        WireEvent::Disconnected { why } => machine.on_disconnected(now, link, &why),
    }
}

/// Where klar's own clients reach a broker that listens here.
pub fn reachable(listen: SocketAddr) -> SocketAddr {
    let host = match listen.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    SocketAddr::new(host, listen.port())
}

/// A client of the brokers listening there.
pub fn links(bootstrap: &[SocketAddr], client_id: &str) -> LinksConfig {
    let bootstrap = bootstrap.iter().map(|address| Address {
        host: address.ip().to_string(),
        port: address.port(),
    });
    LinksConfig {
        bootstrap: bootstrap.collect(),
        ..LinksConfig::new("", 0, client_id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_broker_on_all_addresses_is_reached_on_loopback() {
        let reach = |text: &str| reachable(text.parse().unwrap()).to_string();
        assert_eq!(reach("0.0.0.0:9092"), "127.0.0.1:9092");
        assert_eq!(reach("[::]:9092"), "[::1]:9092");
        assert_eq!(reach("192.168.1.7:1"), "192.168.1.7:1");
    }
}
