//! One whole broker without threads: requests and time go in, effects come out.
//!
//! The driver (a thread with sockets, or a test) calls the verbs below and carries out what
//! [`Broker::effects`] returns, in order. Nothing here knows sockets, clocks or threads; the disk is the one
//! exception, because an append is a copy into the page cache.
//!
//! Reading order: `config` (what it is started with), `open` (how it comes up), `dispatch` and `api/` (one
//! file per Kafka API), `commit` (metadata: decide, write, apply, carry out), `snapshots`, `partition`, `parked`,
//! `fetch_sessions`, `flush` (durability), `ticks` (what time does), `picture*` (what it shows of itself).

mod api;
mod commit;
mod config;
mod connections;
mod controller;
mod dispatch;
pub mod effect;
mod event_rate;
mod fetch_sessions;
mod first_acks;
mod flush;
mod forwarding;
mod group_answers;
mod group_loading;
mod group_waits;
mod groups;
mod lost;
mod member;
mod metadata_log;
mod metadata_snapshots;
mod open;
mod parked;
mod partition;
mod peers;
mod picture;
mod picture_groups;
mod picture_lanes;
mod picture_quorum;
mod picture_record;
mod picture_replicas;
mod picture_segment;
mod proposals;
mod quorum_log;
mod registration;
mod replicas;
mod replicated;
mod snapshot_file;
mod snapshots;
mod telling;
mod ticks;

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use bytes::Bytes;
use rand::rngs::SmallRng;

pub use api::answered_apis;
pub use config::{BrokerConfig, ConnectionFacts, OpenError};
pub use event_rate::EventRate;
pub use picture::{BrokerPicture, CONNECTIONS_SHOWN};

use crate::ids::{BrokerId, ConnectionId, Offset, Time, TopicId};
use crate::inspect::{EventKind, Totals};
use crate::metadata::decide::Facts;
use crate::metadata::{BrokerSettings, Image};
use crate::storage::{BrokerDir, Disk, Log, Note};
use connections::Connections;
use effect::Effect;
use fetch_sessions::FetchSessions;
use flush::Flushes;
use groups::Groups;
use member::Member;
use metadata_log::MetadataLog;
use parked::{Parked, Waiting};
use partition::{METADATA_LOG, Partition, PartitionKey, Topic};
use ticks::Timers;

/// How the message of a panic begins that is meant: on a disk that cannot keep a promise a broker ends itself.
pub const STOPS_ITSELF: &str = "the broker stops itself: ";

/// Everything one broker knows. See the module for how to drive it.
pub struct Broker {
    config: BrokerConfig,
    settings: BrokerSettings,
    disk: Box<dyn Disk>,
    dir: BrokerDir,
    random: SmallRng,
    image: Image,
    metadata_log: MetadataLog,
    /// A snapshot is made when so many bytes were committed since the last.
    snapshot_pace: snapshots::Pace,
    /// What a broker of a cluster keeps; none for a broker alone.
    member: Option<Box<Member>>,
    topics: BTreeMap<TopicId, Topic>,
    connections: Connections,
    parked: Parked,
    /// Long polls with enough to read, to be answered at the end of the verb.
    woken: BTreeSet<ConnectionId>,
    /// Produces whose replicas are to be looked at again at the end of the verb.
    acks_due: BTreeSet<ConnectionId>,
    sessions: FetchSessions,
    groups: Groups,
    flushes: Flushes,
    timers: Timers,
    /// Producer ids this broker may hand out without asking.
    producer_ids: Range<i64>,
    /// That topics are no longer made by themselves has been noted.
    told_no_room: bool,
    /// The request being answered changed metadata.
    committed: bool,
    totals: Totals,
    started: Time,
    recovery: String,
    effects: Vec<Effect>,
    changed: u64,
    shown: picture::Shown,
}

impl Broker {
    /// Takes a new connection in. Call it before its first frame.
    pub fn on_connected(&mut self, now: Time, id: ConnectionId, facts: ConnectionFacts) {
        let limit = self.settings.number(&self.image, "max.connections");
        if i64::try_from(self.connections.count()).unwrap_or(i64::MAX) >= limit {
            let cause = format!("max.connections = {limit} reached");
            if let Some(cause) = self.connections.tell_closing(now, &cause) {
                let peer = facts.peer.to_string();
                self.note(EventKind::ConnectionRefused { peer, cause });
            }
            let refused = (id, facts);
            let me = self.config.id;
            self.connections.remember_refused(now, me, refused, &cause);
            self.changed += 1;
            self.effects.push(Effect::Close { to: id, why: cause });
            return;
        }
        self.connections.add(now, id, facts);
        self.changed += 1;
        self.after_verb(now);
    }

    /// Takes one request in: a frame without its length prefix. Its answer is an effect of this call or, for a
    /// long poll or a write that waits for a sync, of a later one.
    pub fn on_frame(&mut self, now: Time, id: ConnectionId, frame: Bytes) {
        if self.parked.holds(id) {
            let why = "a second request came before the first was answered";
            self.close(now, id, why.to_owned());
        } else if self.connections.get(id).is_some() {
            self.dispatch(now, id, frame);
        }
        self.changed += 1;
        self.after_verb(now);
    }

    /// Hears what is wrong with what a connection sends. Call it before its [`Broker::on_disconnected`].
    pub fn on_bad_frame(&mut self, id: ConnectionId, why: &str) {
        if let Some(connection) = self.connections.get_mut(id) {
            connection.on_ending(why);
        }
    }

    /// Forgets a connection that is gone, whoever closed it.
    pub fn on_disconnected(&mut self, now: Time, id: ConnectionId) {
        self.forget_connection(now, id, "");
        if let Some(controller) = self.controller_mut() {
            controller.sessions.on_disconnected(now, id);
        }
        self.changed += 1;
        self.after_verb(now);
    }

    /// Takes what the driver must carry out, in order. Call it after every other verb.
    pub fn effects(&mut self) -> Vec<Effect> {
        std::mem::take(&mut self.effects)
    }

    /// A number that grows when a picture would differ from the last one.
    pub fn changed(&self) -> u64 {
        self.changed
    }

    /// This broker's number.
    pub fn id(&self) -> BrokerId {
        self.config.id
    }

    /// Largest request in bytes: what the driver closes a connection for without reading on.
    pub fn request_max_bytes(&self) -> usize {
        let limit = self
            .settings
            .number(&self.image, "socket.request.max.bytes");
        usize::try_from(limit).unwrap_or(0)
    }

    /// What every verb ends with.
    fn after_verb(&mut self, now: Time) {
        if self.member.is_some() {
            self.drive_member(now);
        }
        self.drive_groups(now);
        self.snapshot_if_due(now);
        self.begin_due_syncs(now);
        while let Some(id) = self.acks_due.pop_first() {
            self.retry_produce(id);
        }
        while let Some(id) = self.woken.pop_first() {
            self.retry_fetch(now, id);
        }
        if cfg!(debug_assertions) {
            self.check_cheap();
        }
    }

    /// What a broker of a cluster ends each verb with.
    fn drive_member(&mut self, now: Time) {
        self.drive_controller(now);
        self.drive_replicas(now);
        self.drive_control(now);
        // A proposal that was answered at once is looked after in the same verb.
        self.drive_replicas(now);
        self.drive_forwards(now);
        self.leave_quorum(now);
        self.begin_metadata_sync();
        self.judge_metadata_polls();
        self.answer_spread();
    }

    /// What must hold at any moment. Costs a walk over everything: for tests and simulations.
    pub fn check(&self) {
        self.check_cheap();
        self.image.check();
        self.parked.check();
        self.sessions.check();
        for (_, shard) in self.groups.shards() {
            shard.check();
        }
        for (id, topic) in &self.topics {
            let image = self
                .image
                .topic(*id)
                .expect("topics are those of the image");
            assert_eq!(image.partitions.len(), topic.partitions.len());
            for partition in &topic.partitions {
                partition.check();
                assert!(partition.watchers.iter().all(|id| self.parked.holds(*id)));
            }
        }
        assert_eq!(self.image.topic_count(), self.topics.len());
    }

    fn check_cheap(&self) {
        assert!(self.woken.is_empty());
        assert!(self.acks_due.is_empty());
        assert!(self.producer_ids.start <= self.producer_ids.end);
    }

    fn note(&mut self, kind: EventKind) {
        self.effects.push(Effect::Note(kind));
    }

    /// Sends a whole response.
    fn send(&mut self, to: ConnectionId, parts: Vec<Bytes>) {
        self.effects.push(Effect::Reply { to, parts });
    }

    /// Closes a connection and forgets it.
    fn close(&mut self, now: Time, id: ConnectionId, why: String) {
        if let Some(connection) = self.connections.get(id) {
            let peer = connection.facts.peer.to_string();
            if let Some(cause) = self.connections.tell_closing(now, &why) {
                self.note(EventKind::ConnectionRefused { peer, cause });
            }
        }
        self.forget_connection(now, id, &why);
        self.effects.push(Effect::Close { to: id, why });
    }

    fn forget_connection(&mut self, now: Time, id: ConnectionId, why: &str) {
        self.connections.remove(now, self.config.id, id, why);
        self.woken.remove(&id);
        self.groups.forget_connection(id);
        match self.parked.take(id) {
            Some(Waiting::Fetch(wait)) => self.stop_watching(id, &wait.watched),
            Some(Waiting::Produce(wait)) => self.stop_waiting_for_acks(id, &wait),
            Some(Waiting::Spreading(wait)) => self.forget_spreading(id, &wait),
            Some(Waiting::Metadata(_)) => {
                if let Some(member) = self.member.as_mut() {
                    member.polls.remove(&id);
                }
            }
            _ => {}
        }
    }

    fn partition(&self, key: PartitionKey) -> Option<&Partition> {
        self.topics.get(&key.0)?.partition(key.1)
    }

    /// The partition, to be changed: the next picture looks at its topic again.
    fn partition_mut(&mut self, key: PartitionKey) -> Option<&mut Partition> {
        self.shown.touch(key.0);
        self.topics.get_mut(&key.0)?.partition_mut(key.1)
    }

    fn log_mut(&mut self, key: PartitionKey) -> Option<&mut Log> {
        if key == METADATA_LOG {
            return Some(self.metadata_log.log_mut());
        }
        self.partition_mut(key)?.log.as_mut()
    }

    /// What decisions about metadata may read.
    fn facts(&self) -> Facts<'_> {
        let controller = self.member.as_ref().and_then(|m| m.controller.as_ref());
        Facts {
            // A controller decides on what is written, committed or not.
            image: controller.map_or(&self.image, |c| &c.decided),
            settings: &self.settings,
        }
    }

    /// Turns what a log noticed into events.
    fn take_log_notes(&mut self, now: Time, key: PartitionKey) {
        let notes = self.log_mut(key).map(Log::take_notes).unwrap_or_default();
        self.tell_log_notes(now, key, notes);
    }

    /// As [`Broker::take_log_notes`], for a partition that may not have changed: pictures keep what they had.
    fn take_quiet_log_notes(&mut self, now: Time, key: PartitionKey) {
        let topic = self.topics.get_mut(&key.0);
        let index = usize::try_from(key.1).ok();
        let partition = topic
            .zip(index)
            .and_then(|(t, index)| t.partitions.get_mut(index));
        let log = partition.and_then(|partition| partition.log.as_mut());
        let notes = log.map(Log::take_notes).unwrap_or_default();
        self.tell_log_notes(now, key, notes);
    }

    fn tell_log_notes(&mut self, now: Time, key: PartitionKey, notes: Vec<Note>) {
        if notes.is_empty() {
            return;
        }
        let topic = match self.topics.get(&key.0) {
            Some(topic) => topic.name.to_string(),
            None => metadata_log::NAME.to_owned(),
        };
        for note in notes {
            match note {
                Note::Rolled { .. } => self.hurry_sync(now),
                Note::Damaged { .. } => self.suspect(now, key),
                _ => {}
            }
            self.note(event_of(&topic, key.1, note));
        }
    }
}

/// A log's note as an event.
fn event_of(topic: &str, partition: i32, note: Note) -> EventKind {
    let topic = topic.to_owned();
    let partition = crate::ids::PartitionIndex(partition);
    match note {
        Note::Rolled { base, cause } => EventKind::SegmentRolled {
            topic,
            partition,
            base_offset: base,
            cause,
        },
        Note::Deleted {
            log_start,
            bytes,
            cause,
        } => EventKind::SegmentsDeleted {
            topic,
            partition,
            log_start,
            bytes,
            cause,
        },
        Note::Damaged { from, below, cause } => EventKind::LogDamaged {
            topic,
            partition,
            offset: from,
            cause: format!("{cause} (up to offset {})", Offset(below.0 - 1)),
        },
        Note::StartLost { log_start } => EventKind::LogDamaged {
            topic,
            partition,
            offset: log_start,
            cause: "the log start was not written down whole; deleted records from here on are served again"
                .to_owned(),
        },
        Note::WriteFailed { path, cause } => EventKind::StorageFailed {
            path: path.display().to_string(),
            cause,
        },
        Note::WriteHealed { path } => EventKind::StorageHealed {
            path: path.display().to_string(),
        },
    }
}

impl std::fmt::Debug for Broker {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Broker")
            .field("id", &self.config.id)
            .field("topics", &self.topics.len())
            .field("connections", &self.connections.count())
            .finish_non_exhaustive()
    }
}
