//! What a broker remembers of its connections.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;

use super::config::ConnectionFacts;
use super::event_rate::EventRate;
use super::forwarding::FORWARDED;
use super::picture::CONNECTIONS_SHOWN;
use crate::ids::{BrokerId, ConnectionId, Time};
use crate::inspect::{ConnectionSnapshot, one_line};
use crate::wire::ApiKey;

/// Characters of a client id or software name that are kept.
const NAME_CHARS: usize = 128;

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
}

/// All connections of a broker.
#[derive(Debug, Default)]
pub(super) struct Connections {
    open: BTreeMap<ConnectionId, Connection>,
    shown: Option<Arc<Vec<ConnectionSnapshot>>>,
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
        };
        self.open.insert(id, connection);
        self.shown = None;
    }

    pub fn remove(&mut self, id: ConnectionId) -> Option<Connection> {
        self.shown = None;
        self.open.remove(&id)
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
        let client_id = client_id.unwrap_or_default();
        if self.client_id != client_id {
            self.client_id = shown_name(client_id);
        }
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
        }
    }
}

/// A name a client gave itself, as events, logs and the window show it: short, and with control characters
/// escaped, so that it cannot pass for a line of its own.
fn shown_name(name: &str) -> String {
    one_line(name).chars().take(NAME_CHARS).collect()
}
