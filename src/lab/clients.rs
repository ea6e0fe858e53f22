//! The clients of a run: klar's own machines, with something to do.

use std::collections::BTreeMap;

use super::chores::Chores;
use super::history::History;
use super::member::Member;
use super::reader::Reader;
use super::report::Tally;
use super::writer::Writer;
use crate::client::{Address, LinkId, LinksConfig, Machine};
use crate::ids::{BrokerId, ConnectionId, Time};

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
    Member(Box<Member>),
    Chores(Box<Chores>),
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
            Role::Member(member) => &mut member.consumer,
            Role::Chores(chores) => chores.admin(),
        }
    }

    /// Does what is due and takes the results there are; whether there was anything.
    pub fn work(&mut self, books: &mut Books<'_>) -> bool {
        match &mut self.role {
            Role::Writer(writer) => writer.work(books),
            Role::Reader(reader) => reader.work(books),
            Role::Member(member) => member.work(books),
            Role::Chores(chores) => chores.work(books),
        }
    }

    /// When it wants to do something next.
    pub fn next_wakeup(&mut self) -> Option<Time> {
        let due = match &self.role {
            Role::Writer(writer) => writer.due(),
            Role::Reader(reader) => reader.due(),
            Role::Member(member) => member.due(),
            Role::Chores(chores) => chores.due(),
        };
        due.into_iter().chain(self.machine().next_wakeup()).min()
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
