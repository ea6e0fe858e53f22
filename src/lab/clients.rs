//! The clients of a run: klar's own machines, with something to do.

use std::collections::BTreeMap;

use super::history::History;
use super::reader::Reader;
use super::report::Tally;
use super::writer::Writer;
use crate::client::{
    Address, Admin, AdminRequest, CallError, LinkId, LinksConfig, Machine, OperationId,
};
use crate::ids::{BrokerId, ConnectionId, Time};
use crate::wire::ErrorCode;

/// The port of the broker with this number.
const FIRST_PORT: i32 = 9091;
/// Where all brokers listen.
const HOST: &str = "127.0.0.1";

/// One client: a machine and what it is there for.
pub(super) struct Client {
    pub role: Role,
    /// Its open connections.
    pub links: BTreeMap<LinkId, ConnectionId>,
    pub wake: Option<Time>,
}

/// What a client is there for.
pub(super) enum Role {
    Writer(Box<Writer>),
    Reader(Box<Reader>),
    Chores(Box<Chores>),
}

/// Milliseconds before a topic is asked for again.
const AGAIN_MS: i64 = 100;

/// Makes topics and deletes records.
pub(super) struct Chores {
    admin: Admin,
    /// Requests under way, and the topic made by them.
    made: BTreeMap<OperationId, (AdminRequest, Option<u32>)>,
    /// Topics that brokers were missing for, and when they are asked for again.
    again: Vec<(Time, AdminRequest, u32)>,
    /// Topics that exist, since the last look.
    pub ready: Vec<u32>,
    /// Why a topic could not be made.
    pub failed: Vec<String>,
}

/// What a client may touch while it takes its results.
pub(super) struct Books<'a> {
    pub now: Time,
    pub history: &'a mut History,
    pub tally: &'a mut Tally,
}

impl Client {
    pub fn new(role: Role) -> Client {
        Client {
            role,
            links: BTreeMap::new(),
            wake: None,
        }
    }

    pub fn machine(&mut self) -> &mut dyn Machine {
        match &mut self.role {
            Role::Writer(writer) => &mut writer.producer,
            Role::Reader(reader) => &mut reader.consumer,
            Role::Chores(chores) => &mut chores.admin,
        }
    }

    /// Does what is due and takes the results there are; whether there was anything.
    pub fn work(&mut self, books: &mut Books<'_>) -> bool {
        match &mut self.role {
            Role::Writer(writer) => writer.work(books),
            Role::Reader(reader) => reader.work(books),
            Role::Chores(chores) => chores.work(books),
        }
    }

    /// When it wants to do something next.
    pub fn next_wakeup(&mut self) -> Option<Time> {
        let due = match &self.role {
            Role::Writer(writer) => writer.due(),
            Role::Reader(reader) => reader.due(),
            Role::Chores(chores) => chores.due(),
        };
        due.into_iter().chain(self.machine().next_wakeup()).min()
    }
}

impl Chores {
    pub fn new(brokers: u32) -> Chores {
        Chores {
            admin: Admin::new(links_config(brokers, "chores", 2_000)),
            made: BTreeMap::new(),
            again: Vec::new(),
            ready: Vec::new(),
            failed: Vec::new(),
        }
    }

    /// Has something done; `topic` is what is made by it.
    pub fn ask(&mut self, now: Time, request: AdminRequest, topic: Option<u32>) {
        let id = self.admin.request(now, request.clone());
        self.made.insert(id, (request, topic));
    }

    fn due(&self) -> Option<Time> {
        self.again.iter().map(|(at, ..)| *at).min()
    }

    fn work(&mut self, books: &mut Books<'_>) -> bool {
        let exists = ErrorCode::TopicAlreadyExists.code();
        // As long as the brokers have not found each other.
        let too_few = ErrorCode::InvalidReplicationFactor.code();
        let mut any = false;
        let (due, later) = std::mem::take(&mut self.again)
            .into_iter()
            .partition(|(at, ..)| *at <= books.now);
        self.again = later;
        let due: Vec<(Time, AdminRequest, u32)> = due;
        for (_, request, topic) in due {
            any = true;
            self.ask(books.now, request, Some(topic));
        }
        while let Some((id, answer)) = self.admin.poll_answer() {
            any = true;
            let Some((request, topic)) = self.made.remove(&id) else {
                continue;
            };
            match (topic, answer) {
                (Some(topic), Err(CallError::Broker { code, .. })) if code == too_few => {
                    let at = books.now.plus_ms(AGAIN_MS);
                    self.again.push((at, request, topic));
                }
                (Some(topic), Ok(_)) => self.ready.push(topic),
                // Made by a request whose answer was lost.
                (Some(topic), Err(CallError::Broker { code, .. })) if code == exists => {
                    self.ready.push(topic);
                }
                (Some(topic), Err(error)) => self.failed.push(format!("topic {topic}: {error}")),
                (None, Ok(_)) => books.tally.count("records deleted"),
                (None, Err(_)) => books.tally.count("chores failed"),
            }
        }
        any
    }
}

/// How a client of this cluster finds it.
pub(super) fn links_config(brokers: u32, client_id: &str, request_timeout_ms: i64) -> LinksConfig {
    LinksConfig {
        bootstrap: (1..=brokers.cast_signed())
            .map(|id| address(BrokerId(id)))
            .collect(),
        client_id: client_id.to_owned(),
        request_timeout_ms,
        create_topics: false,
    }
}

/// The port a broker listens on.
pub(super) fn port(broker: BrokerId) -> u16 {
    u16::try_from(FIRST_PORT + broker.0).expect("brokers are few")
}

/// The broker that listens on a port.
pub(super) fn broker_at(to: &Address) -> BrokerId {
    BrokerId(i32::from(to.port) - FIRST_PORT)
}

fn address(broker: BrokerId) -> Address {
    Address {
        host: HOST.to_owned(),
        port: port(broker),
    }
}
