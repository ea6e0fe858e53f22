//! What producer, consumer and admin share: connections, versions, correlation ids, metadata.
//!
//! A connection is a *link* to one address. Each starts with ApiVersions and is used once that is
//! answered. Links are opened when someone needs them, with a growing pause after failures; an answer
//! that is late closes its link, because nothing behind it can be trusted to come.
//! Knows nothing of producing or fetching: requests carry a ticket that comes back with the answer, or
//! among the lost ones.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use bytes::Bytes;

use super::{Address, ClusterView, LinksConfig, TopicView};
use crate::ids::{BrokerId, Time, TopicId};
use crate::wire::messages::api_versions::{ApiVersionsRequest, ApiVersionsResponse};
use crate::wire::messages::metadata::{MetadataRequest, MetadataRequestTopic, MetadataResponse};
use crate::wire::request::RequestHeader;
use crate::wire::{ApiKey, EncodeError, ErrorCode, Reader, Writer, apis, response};

/// One connection of one machine; never used for another one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct LinkId(pub u32);

/// One thing for the driver to do.
#[derive(Debug)]
pub enum Action {
    /// Open a TCP connection, then call `on_connected` or `on_disconnected`.
    Connect { link: LinkId, to: Address },
    /// Write these bytes, in order: one request with its length prefix.
    Send { link: LinkId, parts: Vec<Bytes> },
    /// Close the connection; `on_disconnected` is not expected.
    Close { link: LinkId },
}

/// First pause after a failed connection or refresh, milliseconds; doubles up to [`MAX_PAUSE_MS`].
pub(super) const FIRST_PAUSE_MS: i64 = 50;
/// Longest pause, milliseconds.
const MAX_PAUSE_MS: i64 = 1_000;
/// Metadata older than this is asked for again unless told otherwise, milliseconds.
const METADATA_MAX_AGE_MS: i64 = 300_000;
/// First version of Metadata in which topics can be asked for by their ids (KIP-516).
const FIRST_METADATA_BY_ID: i16 = 12;
/// Topics asked for by id at a time.
const MAX_WANTED_IDS: usize = 1_000;
/// Requests one link may have under way.
const MAX_IN_FLIGHT: usize = 5;
/// The version in which a client that knows nothing yet asks for versions (KIP-511).
const FIRST_API_VERSIONS: i16 = 3;

/// Comes back with the answer to the request it was given to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Ticket(pub u64);

/// An answer to a request of producer, consumer or admin.
pub(super) struct Answer {
    pub ticket: Ticket,
    pub version: i16,
    /// Stands at the first byte of the body.
    pub reader: Reader,
}

/// What a link is for. A broker answers one request of a connection at a time, so what may wait long at the
/// broker has links of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Lane {
    /// Everything that is answered within a long poll.
    Main,
    /// Membership in a group: a JoinGroup waits for all members.
    Group,
}

/// All connections of one machine and what it knows of the cluster.
pub(super) struct Links {
    config: LinksConfig,
    pub cluster: ClusterView,
    links: BTreeMap<LinkId, Link>,
    pauses: BTreeMap<Address, Pause>,
    actions: VecDeque<Action>,
    lost: Vec<(Ticket, String)>,
    wanted: BTreeSet<String>,
    refresh: Refresh,
    metadata_max_age_ms: i64,
    wanted_ids: BTreeSet<TopicId>,
    wants_all: bool,
    metadata_answers: u64,
    next_link: u32,
    next_correlation: i32,
    next_bootstrap: usize,
    last_tick: Time,
}

struct Link {
    to: Address,
    lane: Lane,
    state: LinkState,
    since: Time,
    versions: BTreeMap<i16, (i16, i16)>,
    in_flight: VecDeque<InFlight>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum LinkState {
    Connecting,
    Negotiating,
    Ready,
}

struct InFlight {
    correlation_id: i32,
    key: ApiKey,
    version: i16,
    purpose: Purpose,
    deadline: Time,
}

enum Purpose {
    Versions,
    Metadata,
    Ticket(Ticket),
}

#[derive(Clone, Copy)]
struct Pause {
    failures: u32,
    until: Time,
}

struct Refresh {
    due: Option<Time>,
    under_way: bool,
    failures: u32,
}

impl Links {
    pub fn new(config: LinksConfig) -> Links {
        Links {
            config,
            cluster: ClusterView::default(),
            links: BTreeMap::new(),
            pauses: BTreeMap::new(),
            actions: VecDeque::new(),
            lost: Vec::new(),
            wanted: BTreeSet::new(),
            refresh: Refresh {
                due: Some(Time(i64::MIN)),
                under_way: false,
                failures: 0,
            },
            metadata_max_age_ms: METADATA_MAX_AGE_MS,
            wanted_ids: BTreeSet::new(),
            wants_all: false,
            metadata_answers: 0,
            next_link: 0,
            next_correlation: 0,
            next_bootstrap: 0,
            last_tick: Time(i64::MIN),
        }
    }

    pub fn on_connected(&mut self, now: Time, id: LinkId) {
        let Some(link) = self.links.get_mut(&id) else {
            return;
        };
        link.state = LinkState::Negotiating;
        link.since = now;
        let request = ApiVersionsRequest {
            client_software_name: "klar".to_owned(),
            client_software_version: env!("CARGO_PKG_VERSION").to_owned(),
        };
        let purpose = Purpose::Versions;
        let write = |writer: &mut Writer, version| request.encode(writer, version);
        let sent = self.transmit(
            now,
            id,
            ApiKey::ApiVersions,
            FIRST_API_VERSIONS,
            Some(purpose),
            write,
        );
        if let Err(error) = sent {
            self.close(now, id, &error.to_string());
        }
    }

    /// The answer, if the frame is one to a ticket.
    pub fn on_frame(&mut self, now: Time, id: LinkId, frame: Bytes) -> Option<Answer> {
        let request = self.links.get_mut(&id)?.in_flight.pop_front();
        let Some(request) = request else {
            self.close(now, id, "the broker answered what was not asked");
            return None;
        };
        let mut reader = Reader::new(frame);
        let correlation_id = response::decode_header(&mut reader, request.key, request.version);
        if correlation_id != Ok(request.correlation_id) {
            // It is lost with all others.
            if let Some(link) = self.links.get_mut(&id) {
                link.in_flight.push_front(request);
            }
            self.close(now, id, "the broker answered out of order");
            return None;
        }
        match request.purpose {
            Purpose::Versions => self.take_versions(now, id, reader),
            Purpose::Metadata => self.take_metadata(now, id, reader, request.version),
            Purpose::Ticket(ticket) => {
                return Some(Answer {
                    ticket,
                    version: request.version,
                    reader,
                });
            }
        }
        None
    }

    pub fn on_disconnected(&mut self, now: Time, id: LinkId, why: &str) {
        let Some(link) = self.links.remove(&id) else {
            return;
        };
        let why = format!("{}:{}: {why}", link.to.host, link.to.port);
        for request in link.in_flight {
            match request.purpose {
                Purpose::Ticket(ticket) => self.lost.push((ticket, why.clone())),
                Purpose::Metadata => self.refresh_failed(now),
                Purpose::Versions => {}
            }
        }
        let pause = self.pauses.entry(link.to).or_insert(Pause {
            failures: 0,
            until: now,
        });
        pause.until = now.plus_ms(pause_ms(pause.failures));
        pause.failures += 1;
        // Whoever led from there may not any more.
        self.refresh_soon(now);
    }

    /// Closes what is too late, and asks for metadata when that is due. Call it before reading actions.
    pub fn tick(&mut self, now: Time) {
        self.last_tick = now;
        let late = |link: &Link| link.deadline(self.config.request_timeout_ms) <= Some(now);
        let late: Vec<LinkId> = self
            .links
            .iter()
            .filter(|(_, link)| {
                link.deadline(self.config.request_timeout_ms).is_some() && late(link)
            })
            .map(|(id, _)| *id)
            .collect();
        for id in late {
            self.close(now, id, "no answer in time");
        }
        if !self.refresh.under_way && self.refresh.due.is_some_and(|due| due <= now) {
            self.ask_metadata(now);
        }
    }

    pub fn next_action(&mut self) -> Option<Action> {
        self.actions.pop_front()
    }

    /// Requests whose answers will not come, with the reason.
    pub fn take_lost(&mut self) -> Vec<(Ticket, String)> {
        std::mem::take(&mut self.lost)
    }

    pub fn next_wakeup(&self) -> Option<Time> {
        let timeout_ms = self.config.request_timeout_ms;
        let deadlines = self.links.values().filter_map(|l| l.deadline(timeout_ms));
        let pauses = self.pauses.values().map(|pause| pause.until);
        let refresh = self.refresh.due.filter(|_| !self.refresh.under_way);
        // What was due at the last tick was done then, or waits for something else in this list.
        deadlines
            .chain(pauses)
            .chain(refresh)
            .filter(|at| *at > self.last_tick)
            .min()
    }

    /// How long an answer may take, milliseconds.
    pub fn request_timeout_ms(&self) -> i64 {
        self.config.request_timeout_ms
    }

    /// Keeps metadata of this topic fresh from now on.
    pub fn want_topic(&mut self, now: Time, topic: &str) {
        if !self.wanted.contains(topic) {
            self.wanted.insert(topic.to_owned());
            self.refresh.due = Some(now);
            self.refresh.failures = 0;
        }
    }

    /// Asks for the topic with this id until it is known; there is room for [`MAX_WANTED_IDS`].
    pub fn want_topic_id(&mut self, now: Time, id: TopicId) {
        if self.wanted_ids.len() < MAX_WANTED_IDS && self.wanted_ids.insert(id) {
            self.refresh.due = Some(now);
            self.refresh.failures = 0;
        }
    }

    /// Asks for all topics from now on.
    pub fn want_all_topics(&mut self) {
        self.wants_all = true;
    }

    /// How many Metadata answers have come.
    pub fn metadata_answers(&self) -> u64 {
        self.metadata_answers
    }

    /// Stops asking for this topic.
    pub fn forget_topic(&mut self, topic: &str) {
        self.wanted.remove(topic);
        self.cluster.topics.remove(topic);
    }

    /// Asks for metadata again once it is so old.
    pub fn refresh_every(&mut self, max_age_ms: i64) {
        self.metadata_max_age_ms = max_age_ms.max(FIRST_PAUSE_MS);
    }

    /// Asks for metadata again, after a pause if the last answer did not help.
    pub fn refresh_soon(&mut self, now: Time) {
        let at = now.plus_ms(FIRST_PAUSE_MS);
        self.refresh.due = Some(self.refresh.due.map_or(at, |due| due.min(at)));
    }

    /// A link to this broker that takes a request now; opens one if there is none.
    pub fn link_to(&mut self, now: Time, broker: BrokerId) -> Option<LinkId> {
        let Some(address) = self.cluster.brokers.get(&broker).cloned() else {
            self.refresh_soon(now);
            return None;
        };
        self.link_at(now, &address, Lane::Main)
    }

    /// A link to any broker that takes a request now, the controller's if it is known.
    pub fn any_link(&mut self, now: Time) -> Option<LinkId> {
        if let Some(controller) = self.cluster.controller
            && self.cluster.brokers.contains_key(&controller)
        {
            return self.link_to(now, controller);
        }
        self.bootstrap_link(now)
    }

    /// A link of this lane to this address that takes a request now; opens one if there is none.
    pub fn link_at(&mut self, now: Time, address: &Address, lane: Lane) -> Option<LinkId> {
        let fits = |link: &Link| link.to == *address && link.lane == lane;
        let Some((id, link)) = self.links.iter().find(|(_, link)| fits(link)) else {
            self.open(now, address, lane);
            return None;
        };
        (link.state == LinkState::Ready && link.in_flight.len() < MAX_IN_FLIGHT).then_some(*id)
    }

    /// Any ready link, else one to the next known address in turn.
    pub fn bootstrap_link(&mut self, now: Time) -> Option<LinkId> {
        let mut main = self.links.iter().filter(|(_, l)| l.lane == Lane::Main);
        let ready =
            |link: &Link| link.state == LinkState::Ready && link.in_flight.len() < MAX_IN_FLIGHT;
        if let Some((id, _)) = main.clone().find(|(_, link)| ready(link)) {
            return Some(*id);
        }
        if main.any(|(_, link)| link.state != LinkState::Ready) {
            return None;
        }
        let known = self.cluster.brokers.values().chain(&self.config.bootstrap);
        let known: Vec<Address> = known.cloned().collect();
        for _ in 0..known.len() {
            let address = &known[self.next_bootstrap % known.len()];
            self.next_bootstrap = self.next_bootstrap.wrapping_add(1);
            if self.open(now, address, Lane::Main) {
                break;
            }
        }
        None
    }

    /// Asks for a connection unless the pause after a failure is not over.
    fn open(&mut self, now: Time, address: &Address, lane: Lane) -> bool {
        if self.pauses.get(address).is_some_and(|p| p.until > now) {
            return false;
        }
        let id = LinkId(self.next_link);
        self.next_link = self.next_link.wrapping_add(1);
        self.links.insert(
            id,
            Link {
                to: address.clone(),
                lane,
                state: LinkState::Connecting,
                since: now,
                versions: BTreeMap::new(),
                in_flight: VecDeque::new(),
            },
        );
        self.actions.push_back(Action::Connect {
            link: id,
            to: address.clone(),
        });
        true
    }

    fn close(&mut self, now: Time, id: LinkId, why: &str) {
        self.actions.push_back(Action::Close { link: id });
        self.on_disconnected(now, id, why);
    }

    /// The highest version of an API that both sides speak, not above `cap`.
    pub fn version(&self, id: LinkId, key: ApiKey, cap: i16) -> Option<i16> {
        let (min, max) = *self.links.get(&id)?.versions.get(&(key as i16))?;
        let ours = apis::api(key);
        let version = max.min(ours.advertised_max).min(cap);
        (version >= min.max(ours.min)).then_some(version)
    }

    /// Sends a request whose answer comes back with `ticket`; `None` if none is expected (acks=0).
    pub fn send(
        &mut self,
        now: Time,
        id: LinkId,
        (key, version): (ApiKey, i16),
        ticket: Option<Ticket>,
        write: impl FnOnce(&mut Writer, i16) -> Result<(), EncodeError>,
    ) -> Result<(), EncodeError> {
        self.transmit(now, id, key, version, ticket.map(Purpose::Ticket), write)
    }

    /// Lets the answer to the newest request of a link take longer than others do.
    pub fn allow_more(&mut self, id: LinkId, more_ms: i64) {
        if let Some(request) = self.links.get_mut(&id).and_then(|l| l.in_flight.back_mut()) {
            request.deadline = request.deadline.plus_ms(more_ms.max(0));
        }
    }

    /// Whether there is no such link and none is opened for a while, because the last failed.
    pub fn is_unreachable(&self, now: Time, address: &Address, lane: Lane) -> bool {
        let fits = |link: &Link| link.to == *address && link.lane == lane;
        let pausing = self.pauses.get(address).is_some_and(|p| p.until > now);
        pausing && !self.links.values().any(fits)
    }

    /// Whether a link of this lane has a request under way to this address.
    pub fn is_busy(&self, address: &Address, lane: Lane) -> bool {
        let busy = |l: &Link| l.to == *address && l.lane == lane && !l.in_flight.is_empty();
        self.links.values().any(busy)
    }

    fn transmit(
        &mut self,
        now: Time,
        id: LinkId,
        key: ApiKey,
        version: i16,
        purpose: Option<Purpose>,
        write: impl FnOnce(&mut Writer, i16) -> Result<(), EncodeError>,
    ) -> Result<(), EncodeError> {
        let correlation_id = self.next_correlation;
        self.next_correlation = self.next_correlation.wrapping_add(1) & i32::MAX;
        let mut writer = Writer::new();
        RequestHeader {
            api_key: key,
            api_version: version,
            correlation_id,
            client_id: Some(self.config.client_id.clone()),
        }
        .encode(&mut writer)?;
        write(&mut writer, version)?;
        let deadline = now.plus_ms(self.config.request_timeout_ms);
        if let (Some(purpose), Some(link)) = (purpose, self.links.get_mut(&id)) {
            link.in_flight.push_back(InFlight {
                correlation_id,
                key,
                version,
                purpose,
                deadline,
            });
        }
        let parts = writer.finish_frame();
        self.actions.push_back(Action::Send { link: id, parts });
        Ok(())
    }

    fn take_versions(&mut self, now: Time, id: LinkId, mut reader: Reader) {
        let mut answer = ApiVersionsResponse::decode(&mut reader.clone(), FIRST_API_VERSIONS);
        let unsupported = ErrorCode::UnsupportedVersion.code();
        // A broker older than our version answers in version 0, error first (KIP-511).
        if answer
            .as_ref()
            .map_or(true, |a| a.error_code == unsupported)
        {
            answer = ApiVersionsResponse::decode(&mut reader, 0);
        }
        let acceptable = |a: &ApiVersionsResponse| a.error_code == 0 || a.error_code == unsupported;
        let Some(answer) = answer.ok().filter(acceptable) else {
            self.close(now, id, "what answered does not speak Kafka's protocol");
            return;
        };
        let Some(link) = self.links.get_mut(&id) else {
            return;
        };
        link.state = LinkState::Ready;
        link.since = now;
        let range = |api: &crate::wire::messages::api_versions::ApiVersion| {
            (api.api_key, (api.min_version, api.max_version))
        };
        link.versions = answer.api_keys.iter().map(range).collect();
        self.pauses.remove(&link.to);
    }

    fn ask_metadata(&mut self, now: Time) {
        let Some(id) = self.bootstrap_link(now) else {
            return;
        };
        let Some(version) = self.version(id, ApiKey::Metadata, i16::MAX) else {
            self.close(now, id, "the broker does not answer Metadata");
            return;
        };
        let topic = |name: &String| MetadataRequestTopic {
            name: Some(name.clone()),
            ..MetadataRequestTopic::default()
        };
        let by_id = |id: &TopicId| MetadataRequestTopic {
            topic_id: *id,
            name: None,
        };
        let mut topics: Vec<_> = self.wanted.iter().map(topic).collect();
        if version >= FIRST_METADATA_BY_ID {
            topics.extend(self.wanted_ids.iter().map(by_id));
        }
        let request = MetadataRequest {
            topics: Some(topics).filter(|_| !self.wants_all),
            allow_auto_topic_creation: self.config.create_topics,
            ..MetadataRequest::default()
        };
        let write = |writer: &mut Writer, version| request.encode(writer, version);
        let purpose = Some(Purpose::Metadata);
        match self.transmit(now, id, ApiKey::Metadata, version, purpose, write) {
            Ok(()) => self.refresh.under_way = true,
            Err(_) => self.refresh_failed(now),
        }
    }

    fn take_metadata(&mut self, now: Time, id: LinkId, mut reader: Reader, version: i16) {
        let Ok(answer) = MetadataResponse::decode(&mut reader, version) else {
            self.refresh_failed(now);
            self.close(now, id, "an unreadable Metadata answer");
            return;
        };
        self.cluster.apply(&answer, self.wants_all);
        let known: BTreeSet<TopicId> = self.cluster.topics.values().map(|t| t.id).collect();
        self.wanted_ids.retain(|id| !known.contains(id));
        self.metadata_answers += 1;
        self.refresh.under_way = false;
        if self.is_complete() {
            self.refresh.failures = 0;
            self.refresh.due = Some(now.plus_ms(self.metadata_max_age_ms));
        } else {
            self.refresh_failed(now);
        }
    }

    /// Whether every wanted topic is known with all its leaders.
    fn is_complete(&self) -> bool {
        let topics = &self.cluster.topics;
        let led = |topic: &TopicView| topic.partitions.iter().all(|p| p.leader.is_some());
        // Of all topics, one that is not among them does not exist.
        let known = |name: &String| match topics.get(name) {
            Some(topic) => topic.error == 0 && led(topic),
            None => self.wants_all,
        };
        self.wanted_ids.is_empty() && self.wanted.iter().all(known)
    }

    fn refresh_failed(&mut self, now: Time) {
        self.refresh.under_way = false;
        self.refresh.due = Some(now.plus_ms(pause_ms(self.refresh.failures)));
        self.refresh.failures = self.refresh.failures.saturating_add(1);
    }
}

impl Link {
    /// When the link is given up: its oldest answer, or its opening, is late then.
    fn deadline(&self, timeout_ms: i64) -> Option<Time> {
        if self.state != LinkState::Ready {
            return Some(self.since.plus_ms(timeout_ms));
        }
        self.in_flight.front().map(|request| request.deadline)
    }
}

fn pause_ms(failures: u32) -> i64 {
    (FIRST_PAUSE_MS << failures.min(10)).min(MAX_PAUSE_MS)
}
