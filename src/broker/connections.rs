//! What a broker remembers of its connections.

use std::collections::{BTreeMap, VecDeque};
use std::net::SocketAddr;
use std::sync::Arc;

use super::config::ConnectionFacts;
use super::event_rate::EventRate;
use super::forwarding::FORWARDED;
use super::picture::CONNECTIONS_SHOWN;
use crate::ids::{BrokerId, ConnectionId, Time};
use crate::inspect::{
    AskedApi, ConnectionEnd, ConnectionSnapshot, Contact, GONE_KEPT, Told, is_broker_name, one_line,
};
use crate::wire::{ApiKey, ErrorCode};

/// Characters of a client id or software name that are kept.
const NAME_CHARS: usize = 128;
/// Characters of the reason a connection ended for that are kept.
const REASON_CHARS: usize = 512;
/// APIs of a connection that are counted one by one; a client asks for a dozen.
const ASKED_KEPT: usize = 24;

/// One client connection.
#[derive(Debug)]
pub(super) struct Connection {
    pub facts: ConnectionFacts,
    pub since: Time,
    /// When it last asked something or was answered.
    pub active: Time,
    pub requests: u64,
    pub errors: u64,
    pub last_api: Option<(ApiKey, i16)>,
    client_id: String,
    software: String,
    /// In the order of their first requests, at most [`ASKED_KEPT`].
    asked: Vec<AskedApi>,
    told: Option<Arc<Told>>,
    /// Why it is about to end, where whoever read from it knows.
    ending: Option<String>,
}

/// All connections of a broker.
#[derive(Debug, Default)]
pub(super) struct Connections {
    open: BTreeMap<ConnectionId, Connection>,
    shown: Option<Arc<Vec<ConnectionSnapshot>>>,
    /// Clients' connections that ended, oldest first, at most [`GONE_KEPT`].
    gone: VecDeque<ConnectionSnapshot>,
    gone_shown: Option<Arc<Vec<ConnectionSnapshot>>>,
    closings: EventRate,
}

impl Connections {
    pub fn add(&mut self, now: Time, id: ConnectionId, facts: ConnectionFacts) {
        let connection = Connection {
            facts,
            since: now,
            active: now,
            requests: 0,
            errors: 0,
            last_api: None,
            client_id: String::new(),
            software: String::new(),
            asked: Vec::new(),
            told: None,
            ending: None,
        };
        self.open.insert(id, connection);
        self.shown = None;
    }

    /// Takes a connection out that ended, and remembers it for whoever asks why. `why` is ours, empty where the client left.
    pub fn remove(&mut self, now: Time, broker: BrokerId, id: ConnectionId, why: &str) {
        self.shown = None;
        let Some(connection) = self.open.remove(&id) else {
            return;
        };
        if !connection.is_foreign() {
            return;
        }
        let why = match &connection.ending {
            Some(ending) => ending.clone(),
            None => shown_reason(why),
        };
        let mut gone = connection.snapshot(id, broker);
        gone.contact.ended = Some(ConnectionEnd { at: now, why });
        self.remember_gone(gone);
    }

    /// Remembers a connection that was refused before it was one.
    pub fn remember_refused(
        &mut self,
        now: Time,
        broker: BrokerId,
        (id, facts): (ConnectionId, ConnectionFacts),
        why: &str,
    ) {
        self.add(now, id, facts);
        self.remove(now, broker, id, why);
    }

    /// What failed stays longer than what left in peace.
    fn remember_gone(&mut self, gone: ConnectionSnapshot) {
        if self.gone.len() == GONE_KEPT {
            let peaceful = self.gone.iter().position(|gone| !gone.failed());
            self.gone.remove(peaceful.unwrap_or(0));
        }
        self.gone.push_back(gone);
        self.gone_shown = None;
    }

    /// Clients' connections that ended, oldest first.
    pub fn gone(&mut self) -> Arc<Vec<ConnectionSnapshot>> {
        let build = || Arc::new(self.gone.iter().cloned().collect());
        Arc::clone(self.gone_shown.get_or_insert_with(build))
    }

    pub fn get(&self, id: ConnectionId) -> Option<&Connection> {
        self.open.get(&id)
    }

    /// The connection, to be changed.
    pub fn get_mut(&mut self, id: ConnectionId) -> Option<&mut Connection> {
        self.shown = None;
        self.open.get_mut(&id)
    }

    /// The cause to tell of a closed connection, unless too many were told of in this second.
    pub fn tell_closing(&mut self, now: Time, cause: &str) -> Option<String> {
        self.closings.admit(now, cause)
    }

    pub fn count(&self) -> usize {
        self.open.len()
    }

    /// The address the client connected to, which is what it is told to connect to again.
    pub fn local(&self, id: ConnectionId) -> Option<SocketAddr> {
        self.open.get(&id).map(|connection| connection.facts.local)
    }

    /// Who is asking, for the cause of an event.
    pub fn who(&self, id: ConnectionId) -> String {
        let Some(connection) = self.open.get(&id) else {
            return "asked for by a client that is gone".to_owned();
        };
        let (client, peer) = (connection.client_id.as_str(), connection.facts.peer);
        match client.strip_prefix(FORWARDED) {
            Some(client) => format!("asked for by {client} through another broker"),
            None if connection.facts.own => "asked for in klar".to_owned(),
            None if client.is_empty() => format!("asked for by {peer}"),
            None => format!("asked for by {client} ({peer})"),
        }
    }

    /// Connections that have been silent since before `limit`.
    pub fn silent_since(&self, limit: Time) -> Vec<ConnectionId> {
        let silent = self.open.iter().filter(|(_, c)| c.active < limit);
        silent.map(|(id, _)| *id).collect()
    }

    /// The newest connections as pictures show them.
    pub fn shown(&mut self, broker: BrokerId) -> Arc<Vec<ConnectionSnapshot>> {
        let open = &self.open;
        let build = || {
            let newest = open.iter().rev().take(CONNECTIONS_SHOWN);
            Arc::new(newest.map(|(id, c)| c.snapshot(*id, broker)).collect())
        };
        Arc::clone(self.shown.get_or_insert_with(build))
    }
}

impl Connection {
    /// Takes in what a request's header says.
    pub fn on_request(&mut self, now: Time, api: ApiKey, version: i16, client_id: Option<&str>) {
        self.active = now;
        self.requests += 1;
        self.last_api = Some((api, version));
        self.count_asked(api, version);
        let client_id = client_id.unwrap_or_default();
        if self.client_id != client_id {
            self.client_id = shown_name(client_id);
        }
    }

    fn count_asked(&mut self, api: ApiKey, version: i16) {
        let (api, full) = (api.name(), self.asked.len() == ASKED_KEPT);
        let same = |asked: &&mut AskedApi| (asked.api.as_ref(), asked.version) == (api, version);
        match self.asked.iter_mut().find(same) {
            Some(asked) => asked.requests += 1,
            None if full => {}
            None => self.asked.push(AskedApi {
                api: api.into(),
                version,
                requests: 1,
                errors: 0,
                last_error: None,
            }),
        }
    }

    /// Takes in that a request was answered with an error.
    pub fn on_error(&mut self, api: ApiKey, version: i16, error: ErrorCode) {
        self.errors += 1;
        let same =
            |asked: &&mut AskedApi| (asked.api.as_ref(), asked.version) == (api.name(), version);
        if let Some(asked) = self.asked.iter_mut().find(same) {
            asked.errors += 1;
            asked.last_error = (error != ErrorCode::None).then(|| error.name().into());
        }
    }

    /// Takes in where Metadata told it the brokers are.
    pub fn on_told(&mut self, now: Time, addresses: Vec<(BrokerId, String)>) {
        let same = |told: &Arc<Told>| told.addresses == addresses;
        if self.is_foreign() && !self.told.as_ref().is_some_and(same) {
            self.told = Some(Arc::new(Told { at: now, addresses }));
        }
    }

    /// Takes in why it is about to end.
    pub fn on_ending(&mut self, why: &str) {
        self.ending = Some(shown_reason(why));
    }

    /// A client's, neither klar's own nor another broker's.
    fn is_foreign(&self) -> bool {
        let named = self.client_id.starts_with(FORWARDED) || is_broker_name(&self.client_id);
        let peer = named && self.software.is_empty();
        !(self.facts.own || peer)
    }

    /// What it calls itself.
    pub fn client_id(&self) -> &str {
        &self.client_id
    }

    /// Takes in what ApiVersions 3+ says of the client's library.
    pub fn set_software(&mut self, name: &str, version: &str) {
        let software = format!("{name} {version}");
        self.software = shown_name(software.trim());
    }

    fn snapshot(&self, id: ConnectionId, broker: BrokerId) -> ConnectionSnapshot {
        ConnectionSnapshot {
            id,
            broker,
            peer: self.facts.peer.to_string(),
            client_id: self.client_id.clone(),
            software: self.software.clone(),
            since: self.since,
            requests: self.requests,
            errors: self.errors,
            last_api: self
                .last_api
                .map_or_else(String::new, |(api, version)| format!("{api:?} v{version}")),
            own: self.facts.own,
            contact: Contact {
                dialed: dialed(self.facts.local),
                asked: self.asked.clone(),
                told: self.told.clone(),
                ended: None,
            },
        }
    }
}

/// The address as the client is told it: one that came over IPv4 to an IPv6 socket is told the IPv4 address.
fn dialed(local: SocketAddr) -> String {
    SocketAddr::new(local.ip().to_canonical(), local.port()).to_string()
}

fn shown_reason(why: &str) -> String {
    one_line(why).chars().take(REASON_CHARS).collect()
}

/// A name a client gave itself, as events, logs and the window show it: short, and with control characters
/// escaped, so that it cannot pass for a line of its own.
fn shown_name(name: &str) -> String {
    one_line(name).chars().take(NAME_CHARS).collect()
}
