//! The connection doctor: where a client dialed, which addresses Metadata told it, whether it arrived there.
//!
//! Adds up what the brokers recorded of connections, open and gone. What a client did where no broker sees it, such
//! as a name it could not resolve, is inferred: those sentences say "probably".

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::{ClusterSnapshot, ConnectionSnapshot};
use crate::ids::{BrokerId, Time};

/// Connections that ended which a broker remembers.
pub const GONE_KEPT: usize = 64;

/// How long a client may take for its second dial before it counts as missing, milliseconds. Libraries give up
/// connecting after 10 to 30 s and try again several times until then.
pub const DIAL_PATIENCE_MS: i64 = 5_000;

/// Requests a client makes to find its way; whatever else it asks is what it came for.
const WAYFINDING: &[&str] = &[
    "ApiVersions",
    "Metadata",
    "SaslHandshake",
    "DescribeCluster",
];

/// What a broker recorded of how a client came and what it asked.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Contact {
    /// The broker's address the client reached, as the broker sees it.
    pub dialed: String,
    /// In the order of first requests; APIs beyond the first two dozen are not listed.
    pub asked: Vec<AskedApi>,
    /// What Metadata told it; `None` while it did not ask.
    pub told: Option<Arc<Told>>,
    /// Set once it is gone.
    pub ended: Option<ConnectionEnd>,
}

/// One API in one version on one connection.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AskedApi {
    pub api: Cow<'static, str>,
    pub version: i16,
    pub requests: u64,
    pub errors: u64,
    /// The last error in an answer, by Kafka's name.
    pub last_error: Option<Cow<'static, str>>,
}

/// Where Metadata told a client that the brokers are.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Told {
    /// When these addresses were told first.
    pub at: Time,
    /// By number; brokers that were fenced are not told of.
    pub addresses: Vec<(BrokerId, String)>,
}

/// How a connection ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConnectionEnd {
    pub at: Time,
    /// Why the broker closed it; empty where the client left.
    pub why: String,
}

impl ConnectionSnapshot {
    /// It was closed for a reason, answered with errors, or asked nothing.
    pub fn failed(&self) -> bool {
        let closed = self.contact.ended.as_ref();
        closed.is_some_and(|end| !end.why.is_empty()) || self.errors > 0 || self.requests == 0
    }

    /// The host it came from.
    pub fn host(&self) -> &str {
        let (host, _) = self.peer.rsplit_once(':').unwrap_or((&self.peer, ""));
        host
    }
}

/// Whether brokers call themselves so to each other.
pub fn is_broker_name(client_id: &str) -> bool {
    let number = client_id.strip_prefix("broker-");
    number.is_some_and(|number| number.parse::<i32>().is_ok())
}

/// One client, by client id and host, and how it found the brokers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Checkup {
    pub client_id: String,
    pub host: String,
    pub software: String,
    /// The broker it dialed first of those connections that are remembered, that broker's address, and when.
    pub first_dial: (BrokerId, String, Time),
    /// Connections open now, and ended ones that are remembered.
    pub open: usize,
    pub gone: usize,
    /// By API and version: requests, errors, the last error.
    pub asked: Vec<AskedApi>,
    pub told_at: Option<Time>,
    /// What Metadata told it last, broker by broker.
    pub told: Vec<Arrival>,
    /// Reasons connections were closed for, newest first, each once, with how often.
    pub closed: Vec<(String, usize)>,
    pub finding: Finding,
    /// What that means, in a sentence.
    pub means: String,
    /// What to do; empty where nothing is wrong.
    pub remedy: String,
}

/// One address a client was told.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Arrival {
    pub broker: BrokerId,
    pub address: String,
    /// When it arrived there first after it had been told.
    pub since: Option<Time>,
    /// It came there before it was told, and asked there for more than its way.
    pub by_first_dial: bool,
    pub open: bool,
}

impl Arrival {
    /// It reached the broker at the address it was told.
    pub fn arrived(&self) -> bool {
        self.since.is_some() || self.by_first_dial
    }
}

/// How a client fares, the worst first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Finding {
    /// It was told addresses and arrived at none.
    NeverArrived,
    /// Its connections were closed by the broker.
    Refused,
    /// It connected and asked nothing.
    Silent,
    /// It never asked for Metadata.
    NotTold,
    /// It works, and was answered with errors.
    Errors,
    /// It was told just now, or asked for Metadata only and left.
    Looking,
    Fine,
}

impl Finding {
    /// Something is to be mended.
    pub fn is_trouble(self) -> bool {
        matches!(
            self,
            Finding::NeverArrived | Finding::Refused | Finding::Silent
        )
    }

    /// In two or three words.
    pub fn words(self) -> &'static str {
        match self {
            Finding::NeverArrived => "second dial missing",
            Finding::Refused => "turned away",
            Finding::Silent => "asked nothing",
            Finding::NotTold => "not told yet",
            Finding::Errors => "works, with errors",
            Finding::Looking => "asked its way",
            Finding::Fine => "works",
        }
    }
}

impl ClusterSnapshot {
    /// Every client that is connected or was lately, the worst off first.
    pub fn checkups(&self, now: Time) -> Vec<Checkup> {
        let mut clients: BTreeMap<(&str, &str), Vec<&ConnectionSnapshot>> = BTreeMap::new();
        let passes_on = |c: &ConnectionSnapshot| {
            is_broker_name(&c.client_id) || c.client_id.starts_with("klar-forwarded:")
        };
        for connection in self.gone.iter().chain(&self.connections) {
            let peer = passes_on(connection) && connection.software.is_empty();
            if !(connection.own || peer) {
                let key = (connection.client_id.as_str(), connection.host());
                clients.entry(key).or_default().push(connection);
            }
        }
        let checkups = clients.into_values();
        let mut checkups: Vec<Checkup> = checkups.filter_map(|of| checkup(now, of)).collect();
        checkups.sort_by_key(|checkup| checkup.finding);
        checkups
    }
}

fn checkup(now: Time, mut of: Vec<&ConnectionSnapshot>) -> Option<Checkup> {
    of.sort_by_key(|connection| (connection.since, connection.broker, connection.id));
    let first = of.first()?;
    let told = of.iter().filter_map(|c| c.contact.told.as_ref());
    let told = told.max_by_key(|told| told.at);
    let software = of.iter().rev().find(|c| !c.software.is_empty());
    let open = of.iter().filter(|c| c.contact.ended.is_none()).count();
    let mut checkup = Checkup {
        client_id: first.client_id.clone(),
        host: first.host().to_owned(),
        software: software.map_or_else(String::new, |c| c.software.clone()),
        first_dial: (first.broker, first.contact.dialed.clone(), first.since),
        open,
        gone: of.len() - open,
        asked: asked(&of),
        told_at: told.map(|told| told.at),
        told: told.map_or_else(Vec::new, |told| arrivals(told, &of)),
        closed: closed(&of),
        finding: Finding::Fine,
        means: String::new(),
        remedy: String::new(),
    };
    checkup.finding = finding(now, &checkup, &of);
    (checkup.means, checkup.remedy) = words(&checkup);
    Some(checkup)
}

/// What all its connections asked, in the order of first requests.
fn asked(of: &[&ConnectionSnapshot]) -> Vec<AskedApi> {
    let mut sums: Vec<AskedApi> = Vec::new();
    for one in of.iter().flat_map(|c| &c.contact.asked) {
        let same = |sum: &&mut AskedApi| (&sum.api, sum.version) == (&one.api, one.version);
        match sums.iter_mut().find(same) {
            Some(sum) => {
                sum.requests += one.requests;
                sum.errors += one.errors;
                sum.last_error = one.last_error.clone().or(sum.last_error.take());
            }
            None => sums.push(one.clone()),
        }
    }
    sums
}

/// It asked for more than its way.
fn works(connection: &ConnectionSnapshot) -> bool {
    let mut asked = connection.contact.asked.iter();
    asked.any(|asked| !WAYFINDING.contains(&asked.api.as_ref()))
}

fn arrivals(told: &Told, of: &[&ConnectionSnapshot]) -> Vec<Arrival> {
    let arrival = |(broker, address): &(BrokerId, String)| {
        let there = || of.iter().filter(|c| c.broker == *broker);
        Arrival {
            broker: *broker,
            address: address.clone(),
            since: there().map(|c| c.since).find(|since| *since > told.at),
            by_first_dial: there().any(|c| c.since <= told.at && works(c)),
            open: there().any(|c| c.contact.ended.is_none()),
        }
    };
    told.addresses.iter().map(arrival).collect()
}

fn closed(of: &[&ConnectionSnapshot]) -> Vec<(String, usize)> {
    let mut reasons: Vec<(String, usize)> = Vec::new();
    for end in of.iter().rev().filter_map(|c| c.contact.ended.as_ref()) {
        match reasons.iter_mut().find(|(why, _)| *why == end.why) {
            Some((_, times)) => *times += 1,
            None if end.why.is_empty() => {}
            None => reasons.push((end.why.clone(), 1)),
        }
    }
    reasons
}

fn finding(now: Time, checkup: &Checkup, of: &[&ConnectionSnapshot]) -> Finding {
    let waited = |since: Time| now >= since.plus_ms(DIAL_PATIENCE_MS);
    if of.iter().any(|c| works(c)) {
        let failed = checkup.asked.iter().any(|asked| asked.errors > 0);
        let closed = of.last().and_then(|c| c.contact.ended.as_ref());
        return match closed.is_some_and(|end| !end.why.is_empty()) && checkup.open == 0 {
            true => Finding::Refused,
            false if failed => Finding::Errors,
            false => Finding::Fine,
        };
    }
    if checkup.open == 0 && !checkup.closed.is_empty() {
        return Finding::Refused;
    }
    let Some(told_at) = checkup.told_at else {
        let silent = checkup.asked.is_empty();
        return match silent && (checkup.open == 0 || waited(checkup.first_dial.2)) {
            true => Finding::Silent,
            false => Finding::NotTold,
        };
    };
    // Whoever lists topics asks for Metadata once and leaves; whoever comes again and again wants more.
    let comes_again = of.iter().filter(|c| c.contact.told.is_some()).count() > 2;
    match waited(told_at) && (checkup.open > 0 || comes_again) {
        true => Finding::NeverArrived,
        false => Finding::Looking,
    }
}

/// What it means, and what to do.
fn words(checkup: &Checkup) -> (String, String) {
    let (broker, dialed, _) = &checkup.first_dial;
    let first = format!("It reached broker {broker} at {dialed}");
    match checkup.finding {
        Finding::NeverArrived => (
            format!(
                "{first}, was told {} and has asked nothing anywhere since: probably it cannot reach {} from where it runs.",
                all_told(checkup),
                match checkup.told.len() {
                    1 => "that address",
                    _ => "those addresses",
                }
            ),
            reach(checkup),
        ),
        Finding::Refused => {
            let why = checkup.closed.first().map_or("", |(why, _)| why.as_str());
            (format!("{first}, and was turned away: {why}."), mend(why))
        }
        Finding::Silent => (
            format!(
                "{first} and asked nothing: a port check, or a client that waits for a TLS or SASL greeting."
            ),
            "If it is a Kafka client, set security.protocol=PLAINTEXT.".to_owned(),
        ),
        Finding::NotTold => (
            format!("{first} and has not asked for Metadata, so it knows no other address yet."),
            String::new(),
        ),
        Finding::Looking => (
            format!(
                "{first} and asked where the brokers are, nothing more: enough to list topics."
            ),
            String::new(),
        ),
        Finding::Errors => (errors(&checkup.asked), String::new()),
        Finding::Fine => (fine(checkup), String::new()),
    }
}

fn all_told(checkup: &Checkup) -> String {
    let told: Vec<&str> = checkup.told.iter().map(|t| t.address.as_str()).collect();
    told.join(", ")
}

/// How a client gets to the addresses it is told: a broker tells each client the host that the client reached it at.
fn reach(checkup: &Checkup) -> String {
    let ports = checkup.told.iter();
    let ports = ports.filter_map(|told| told.address.rsplit_once(':'));
    let ports: BTreeSet<&str> = ports.map(|(_, port)| port).collect();
    let ports = ports.into_iter().collect::<Vec<_>>().join(", ");
    let local =
        checkup.first_dial.1.starts_with("127.") || checkup.first_dial.1.starts_with("[::1]");
    match local {
        true => format!(
            "If it runs in a container or behind a tunnel, 127.0.0.1 is another machine there: give it the host's network, or start klar with --listen and an address of this machine that it reaches, and dial that. A port forward must keep the numbers {ports}."
        ),
        false => format!(
            "Let ports {ports} of that address through from where it runs, each under its own number."
        ),
    }
}

/// What helps against a reason a connection was closed for.
fn mend(why: &str) -> String {
    let remedy = if why.contains("TLS") {
        "This port has no TLS: set security.protocol=PLAINTEXT."
    } else if why.contains("HTTP") {
        "A browser or HTTP client knocked: point it elsewhere, or a Kafka client here."
    } else if why.contains("has no version") || why.contains("is not answered") {
        "Use a library that asks ApiVersions first and keeps to what it is told, or do without that request."
    } else if why.contains("max.connections") || why.contains("connections are open") {
        "Close connections, or raise max.connections."
    } else if why.contains("connections.max.idle.ms") {
        "Nothing to mend: clients dial again when they need to."
    } else {
        "See whether it speaks Kafka's protocol, unencrypted, and whether something on the way changes its bytes."
    };
    remedy.to_owned()
}

fn errors(asked: &[AskedApi]) -> String {
    let failed = asked.iter().filter(|asked| asked.errors > 0);
    let failed = failed.map(|asked| {
        let last = asked.last_error.as_ref();
        let last = last.map_or_else(String::new, |e| format!(", last {e}"));
        format!("{} {} times{last}", asked.api, asked.errors)
    });
    let failed: Vec<String> = failed.collect();
    format!(
        "It reaches the brokers; requests were answered with errors: {}.",
        failed.join("; ")
    )
}

fn fine(checkup: &Checkup) -> String {
    let missing = checkup.told.iter().filter(|told| !told.arrived());
    let missing: Vec<String> = missing.map(|told| told.broker.to_string()).collect();
    match missing.len() {
        _ if checkup.told.is_empty() => {
            "It works with the broker it dialed and asked nobody for another.".to_owned()
        }
        0 => "It arrived at every broker it was told of.".to_owned(),
        1 => format!(
            "It never dialed broker {}, and need not while that leads and coordinates nothing it uses.",
            missing[0]
        ),
        _ => format!(
            "It never dialed brokers {}, and need not while they lead and coordinate nothing it uses.",
            missing.join(" and ")
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::ConnectionId;

    const NOW: Time = Time(100_000_000);

    fn asked(api: &'static str) -> AskedApi {
        AskedApi {
            api: api.into(),
            version: 3,
            requests: 1,
            errors: 0,
            last_error: None,
        }
    }

    /// A connection that came `ago_ms` ago and asked for these.
    fn connection(id: u64, broker: i32, ago_ms: i64, apis: &[&'static str]) -> ConnectionSnapshot {
        let since = NOW.plus_ms(-ago_ms);
        let told = apis.contains(&"Metadata").then(|| {
            let address = |n| (BrokerId(n), format!("127.0.0.1:{}", 9091 + n));
            Arc::new(Told {
                at: since.plus_ms(1),
                addresses: (1..=3).map(address).collect(),
            })
        });
        ConnectionSnapshot {
            id: ConnectionId(id),
            broker: BrokerId(broker),
            peer: format!("172.17.0.2:{}", 40_000 + id),
            client_id: "billing".into(),
            software: String::new(),
            since,
            requests: apis.len() as u64,
            errors: 0,
            last_api: String::new(),
            own: false,
            contact: Contact {
                dialed: format!("127.0.0.1:{}", 9091 + broker),
                asked: apis.iter().copied().map(asked).collect(),
                told,
                ended: None,
            },
        }
    }

    fn ended(mut connection: ConnectionSnapshot, why: &str) -> ConnectionSnapshot {
        let (at, why) = (NOW.plus_ms(-1), why.to_owned());
        connection.contact.ended = Some(ConnectionEnd { at, why });
        connection
    }

    fn check(open: Vec<ConnectionSnapshot>, gone: Vec<ConnectionSnapshot>) -> Checkup {
        let picture = ClusterSnapshot {
            time: NOW,
            connections: open,
            gone,
            ..ClusterSnapshot::default()
        };
        let mut checkups = picture.checkups(NOW);
        assert_eq!(checkups.len(), 1);
        checkups.remove(0)
    }

    #[test]
    fn a_client_that_was_told_and_never_came_back_is_told_what_to_mend() {
        let open = vec![connection(1, 1, 9_000, &["ApiVersions", "Metadata"])];
        let checkup = check(open, vec![]);
        assert_eq!(checkup.finding, Finding::NeverArrived);
        assert!(checkup.told.iter().all(|told| !told.arrived()));
        let told = "127.0.0.1:9092, 127.0.0.1:9093, 127.0.0.1:9094";
        assert!(checkup.means.contains(told), "{}", checkup.means);
        assert!(checkup.remedy.contains("--listen"), "{}", checkup.remedy);
        let open = vec![connection(1, 1, 1_000, &["Metadata"])];
        assert_eq!(
            check(open, vec![]).finding,
            Finding::Looking,
            "it may yet dial"
        );
    }

    #[test]
    fn whoever_lists_topics_and_leaves_is_no_trouble_until_it_comes_again_and_again() {
        let gone = |id| ended(connection(id, 1, 9_000, &["ApiVersions", "Metadata"]), "");
        assert_eq!(check(vec![], vec![gone(1)]).finding, Finding::Looking);
        let again = check(vec![], vec![gone(1), gone(2), gone(3)]);
        assert_eq!((again.finding, again.gone), (Finding::NeverArrived, 3));
    }

    #[test]
    fn a_second_dial_is_seen_with_its_moment_and_who_was_never_dialed() {
        let first = connection(1, 1, 9_000, &["ApiVersions", "Metadata"]);
        let second = connection(2, 2, 8_000, &["ApiVersions", "Produce"]);
        let checkup = check(vec![first, second], vec![]);
        assert_eq!(checkup.finding, Finding::Fine);
        let since: Vec<_> = checkup.told.iter().map(|told| told.since).collect();
        assert_eq!(since, [None, Some(NOW.plus_ms(-8_000)), None]);
        assert!(
            checkup.means.contains("brokers 1 and 3"),
            "{}",
            checkup.means
        );
    }

    #[test]
    fn reasons_connections_were_closed_for_lead_to_what_helps() {
        let why = "it spoke TLS, this port speaks Kafka's protocol";
        let checkup = check(vec![], vec![ended(connection(1, 1, 50, &[]), why)]);
        assert_eq!(checkup.finding, Finding::Refused);
        assert_eq!(checkup.closed, [(why.to_owned(), 1)]);
        assert!(checkup.remedy.contains("PLAINTEXT"));
        let silent = check(vec![], vec![ended(connection(1, 1, 50, &[]), "")]);
        assert_eq!(silent.finding, Finding::Silent);
    }

    #[test]
    fn errors_are_named_by_api() {
        let mut one = connection(1, 1, 9_000, &["Metadata", "Produce"]);
        one.contact.asked[1].errors = 4;
        one.contact.asked[1].last_error = Some("NOT_ENOUGH_REPLICAS".into());
        let checkup = check(vec![one], vec![]);
        assert_eq!(checkup.finding, Finding::Errors);
        let named = "Produce 4 times, last NOT_ENOUGH_REPLICAS";
        assert!(checkup.means.contains(named), "{}", checkup.means);
        assert!(
            checkup.told[0].by_first_dial,
            "it works where it dialed first"
        );
    }
}
