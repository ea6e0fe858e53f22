//! How a broker comes up: settings, metadata log, then every partition's log.
//!
//! The metadata log decides what there is. A directory of a deleted topic goes; a directory nobody knows is
//! set aside under another name and told of, never deleted. A log that cannot be opened makes its partition
//! answer KAFKA_STORAGE_ERROR and nothing else.

use rand::rngs::SmallRng;
use rand::{Rng as _, SeedableRng};

use super::connections::Connections;
use super::fetch_sessions::FetchSessions;
use super::flush::Flushes;
use super::member::{Member, Registration, Wakeups};
use super::metadata_log::{self, MetadataLog};
use super::metadata_snapshots::{Found, MayBeLost};
use super::parked::Parked;
use super::peers::Peers;
use super::picture::Shown;
use super::quorum_log::QUORUM_STATE_FILE;
use super::snapshots::Pace;
use super::ticks::Timers;
use super::{Broker, BrokerConfig, OpenError};
use crate::ids::{BrokerEpoch, IncarnationId, Offset, PartitionIndex, Time, TopicId};
use crate::inspect::{Durability, EventKind, Totals};
use crate::metadata::{BrokerImage, BrokerSettings, Image, Record};
use crate::quorum::{ElectionState, Quorum, QuorumConfig, SnapshotId};
use crate::replica::FetchLimits;
use crate::storage::{BrokerDir, Disk, LastRun, LogConfig, Recovered, delete_dir, set_aside};

/// What opening all logs took.
#[derive(Debug, Default)]
struct Tally {
    logs: u32,
    checked_bytes: u64,
    cut_bytes: u64,
}

impl Broker {
    /// Brings a broker up on a disk, with the randomness of `seed`. Nothing listens before it returns.
    ///
    /// # Errors
    /// Settings that are not allowed, a directory that cannot be used, a metadata log that cannot be read.
    pub fn open(
        config: BrokerConfig,
        mut disk: Box<dyn Disk>,
        seed: u64,
        now: Time,
    ) -> Result<Broker, OpenError> {
        let set = config
            .settings
            .iter()
            .map(|(n, v)| (n.as_str(), v.as_str()));
        let settings = BrokerSettings::new(config.id, set)?;
        let (mut dir, mut last_run) = BrokerDir::open(&mut *disk, &config.data_dir, config.id)?;
        let mut tally = Tally::default();
        let snapshot_pace = Pace::new(&settings);
        let (mut metadata_log, recovered) = MetadataLog::open(
            &mut *disk,
            &dir.log_dir(metadata_log::DIR),
            MetadataLog::config(LogConfig::default(), snapshot_pace.bytes),
            now,
            last_run.opening(metadata_log::DIR),
        )?;
        tally.add(&recovered);
        let lost = match config.alone || config.voters.contains(&config.id) {
            true => MayBeLost::No,
            false => MayBeLost::Yes,
        };
        let found = metadata_log.load_snapshot(&mut *disk, &mut dir, lost)?;
        if config.durability == Durability::Batch {
            metadata_log.log_mut().sync_now(&mut *disk)?;
        }
        let number = |name| settings.number(&Image::default(), name);
        let slots = number("max.incremental.fetch.session.cache.slots");
        let checkpoint_ms = number("log.flush.offset.checkpoint.interval.ms");
        let mut broker = Broker {
            config,
            settings,
            disk,
            dir,
            random: SmallRng::seed_from_u64(seed),
            image: Image::default(),
            metadata_log,
            snapshot_pace,
            member: None,
            topics: Default::default(),
            connections: Connections::default(),
            parked: Parked::default(),
            woken: Default::default(),
            acks_due: Default::default(),
            sessions: FetchSessions::new(usize::try_from(slots).unwrap_or(0)),
            groups: super::groups::Groups::at_start(),
            flushes: Flushes::default(),
            timers: Timers::new(now, checkpoint_ms),
            producer_ids: 0..0,
            told_no_room: false,
            committed: false,
            totals: Totals::default(),
            started: now,
            recovery: String::new(),
            effects: Vec::new(),
            changed: 1,
            shown: Shown::default(),
        };
        broker.note_unsound(&mut last_run, &found);
        let saved = broker.saved_vote()?;
        if !broker.config.alone || saved.is_some() {
            let clean = last_run.clean;
            broker.join(now, last_run, saved, found.snapshot)?;
            broker.tell_of_start(clean, &tally);
            return Ok(broker);
        }
        broker.replay(now, found.snapshot)?;
        broker.know_itself();
        broker.set_strays_aside()?;
        broker.open_partitions(now, &mut last_run, &mut tally);
        broker.tell_of_start(last_run.clean, &tally);
        Ok(broker)
    }

    fn replay(
        &mut self,
        now: Time,
        snapshot: Option<(SnapshotId, Image)>,
    ) -> Result<(), OpenError> {
        let (start, image) = match snapshot {
            Some((id, image)) => (id.end, image),
            None => (Offset::ZERO, Image::default()),
        };
        self.image = image;
        let image = &mut self.image;
        let end = self.metadata_log.log().log_end();
        let replayed = self
            .metadata_log
            .replay(&mut *self.disk, start, end, |_, record| image.apply(record));
        match replayed {
            Ok(bytes) => {
                self.metadata_log.snapshots.note_applied(now, bytes);
                Ok(())
            }
            Err((offset, error)) => Err(self.unreadable(offset, error.to_string())),
        }
    }

    /// Tells of what opening the directory found and could not mend.
    fn note_unsound(&mut self, last_run: &mut LastRun, found: &Found) {
        for error in std::mem::take(&mut last_run.unfinished) {
            let path = self.config.data_dir.display().to_string();
            let cause = format!("a deletion stays unfinished: {error}");
            self.note(EventKind::StorageFailed { path, cause });
        }
        for (id, why) in &found.broken {
            self.note_snapshot_damaged(*id, why.clone());
        }
    }

    fn unreadable(&self, offset: Offset, why: String) -> OpenError {
        OpenError::Metadata {
            path: self.metadata_log.log().dir().to_owned(),
            offset: offset.0,
            why,
        }
    }

    /// Becomes a member of its cluster's quorum. Nothing is applied and no partition is opened before the quorum says
    /// what is committed.
    fn join(
        &mut self,
        now: Time,
        last_run: LastRun,
        saved: Option<ElectionState>,
        snapshot: Option<(SnapshotId, Image)>,
    ) -> Result<(), OpenError> {
        self.metadata_log.log_mut().sync_now(&mut *self.disk)?;
        let registered = self.last_registration(snapshot.as_ref())?;
        // Its logs hold all it ever acknowledged after a clean stop, or when each ack waited for a sync.
        let whole = last_run.clean || self.config.durability == Durability::Batch;
        let quorum = Quorum::new(self.quorum_config(), saved, self.random.random(), now);
        self.member = Some(Box::new(Member {
            quorum,
            peers: Peers::default(),
            controller: None,
            applied: Offset::ZERO,
            snapshot,
            pieces: None,
            committing: Default::default(),
            spreading: Default::default(),
            causes: Default::default(),
            controllers: (None, None),
            leaving: Default::default(),
            polls: Default::default(),
            polls_due: false,
            registration: Registration {
                incarnation: IncarnationId(self.random.random()),
                epoch: None,
                previous: registered.filter(|_| whole).unwrap_or(BrokerEpoch::NONE),
                due: now,
                stopping: false,
                may_stop: false,
                has_joined: false,
            },
            last_run,
            swept: false,
            fetchers: Default::default(),
            fetch_limits: self.fetch_limits(),
            proposals: Vec::new(),
            local_alters: Vec::new(),
            lost: Default::default(),
            first_acks: Default::default(),
            renewed: Default::default(),
            touched: Default::default(),
            wakeups: Wakeups::default(),
            forwards: Default::default(),
            wants_producer_ids: false,
            producer_ids_at: now,
        }));
        self.with_quorum(now, |quorum, log| quorum.on_tick(now, log));
        Ok(())
    }

    /// What this broker has promised in elections; `None` if it never was in a quorum.
    fn saved_vote(&mut self) -> Result<Option<ElectionState>, OpenError> {
        let saved = self.dir.read_file(&mut *self.disk, QUORUM_STATE_FILE)?;
        let saved = saved.map(|file| ElectionState::decode(&file)).transpose();
        saved.map_err(|error| OpenError::Metadata {
            path: self.dir.log_dir(QUORUM_STATE_FILE),
            offset: 0,
            why: error.to_string(),
        })
    }

    fn fetch_limits(&self) -> FetchLimits {
        let number = |name| {
            let value = self.settings.number(&Image::default(), name);
            i32::try_from(value).unwrap_or(i32::MAX)
        };
        FetchLimits {
            max_wait_ms: number("replica.fetch.wait.max.ms"),
            min_bytes: number("replica.fetch.min.bytes"),
            max_bytes: number("replica.fetch.response.max.bytes"),
            partition_max_bytes: number("replica.fetch.max.bytes"),
        }
    }

    fn quorum_config(&self) -> QuorumConfig {
        let number = |name| self.settings.number(&Image::default(), name);
        let voters = self.config.voters.iter().copied().collect();
        QuorumConfig {
            election_timeout_ms: number("controller.quorum.election.timeout.ms"),
            election_backoff_max_ms: number("controller.quorum.election.backoff.max.ms"),
            fetch_timeout_ms: number("controller.quorum.fetch.timeout.ms"),
            request_timeout_ms: number("controller.quorum.request.timeout.ms"),
            ..QuorumConfig::new(self.config.id, &self.config.cluster_id, voters)
        }
    }

    /// The broker epoch this broker had last, as far as its own metadata log says.
    fn last_registration(
        &mut self,
        snapshot: Option<&(SnapshotId, Image)>,
    ) -> Result<Option<BrokerEpoch>, OpenError> {
        let me = self.config.id;
        let start = snapshot.map_or(Offset::ZERO, |(id, _)| id.end);
        let known = snapshot.and_then(|(_, image)| image.broker(me));
        let mut last = known.map(|broker| broker.epoch);
        let end = self.metadata_log.log().log_end();
        let replayed = self
            .metadata_log
            .replay(&mut *self.disk, start, end, |_, record| {
                if let Record::RegisterBroker(broker) = record
                    && broker.id == me
                {
                    last = Some(broker.epoch);
                }
            });
        match replayed {
            Ok(_) => Ok(last),
            Err((offset, error)) => Err(self.unreadable(offset, error.to_string())),
        }
    }

    /// A broker alone is registered with nobody: it is in its own image without a record of it.
    fn know_itself(&mut self) {
        if self.image.is_live(self.config.id) {
            return;
        }
        self.image.apply(&Record::RegisterBroker(BrokerImage {
            id: self.config.id,
            incarnation: IncarnationId::default(),
            epoch: BrokerEpoch::NONE,
            endpoints: Vec::new(),
            rack: None,
            fenced: false,
            in_controlled_shutdown: false,
        }));
    }

    fn open_partitions(&mut self, now: Time, last_run: &mut LastRun, tally: &mut Tally) {
        let topics: Vec<(TopicId, String, i32)> = self
            .image
            .topics_by_name()
            .map(|topic| {
                let count = i32::try_from(topic.partitions.len()).unwrap_or(i32::MAX);
                (topic.id, topic.name.clone(), count)
            })
            .collect();
        for (id, name, partitions) in topics {
            self.add_topic(id);
            for index in 0..partitions {
                let opening = last_run.opening(&super::ticks::log_key(&name, index, id));
                let recovered = self.open_partition(now, id, PartitionIndex(index), Some(opening));
                if let Some(recovered) = recovered {
                    tally.add(&recovered);
                    self.note_recovery(&name, (id, index), recovered);
                }
                self.take_quiet_log_notes(now, (id, index));
            }
        }
    }

    pub(super) fn note_recovery(&mut self, name: &str, key: (TopicId, i32), recovered: Recovered) {
        let log_end = self
            .partition(key)
            .and_then(|p| p.log.as_ref())
            .map(|log| log.log_end());
        if recovered.cut_bytes > 0 {
            self.note(EventKind::LogRecovered {
                topic: name.to_owned(),
                partition: PartitionIndex(key.1),
                log_end: log_end.unwrap_or_default(),
                cut_bytes: recovered.cut_bytes,
                cause: recovered.cut_cause,
            });
        }
    }

    /// Directories the metadata log does not know: those of deleted topics go, others are set aside.
    pub(super) fn set_strays_aside(&mut self) -> Result<(), OpenError> {
        for (n, name) in (0..).zip(self.dir.log_names(&mut *self.disk)?) {
            let Some((topic, index)) = name.rsplit_once('-') else {
                continue;
            };
            let Ok(index) = index.parse().map(PartitionIndex) else {
                continue;
            };
            let known = self.image.topic_named(topic);
            let partition = known.and_then(|topic| topic.partition(index));
            let known = partition.is_some_and(|partition| {
                self.member.is_none() || partition.replicas.contains(&self.config.id)
            });
            if known || name == metadata_log::DIR {
                continue;
            }
            let dir = self.dir.log_dir(&name);
            let cause = if self.image.removed().any(|removed| removed == topic) {
                let deleted = delete_dir(&mut *self.disk, &dir, &format!("stray-{n}"));
                let error = deleted.err();
                error.map(|error| format!("the topic was deleted, but it stays: {error}"))
            } else {
                match set_aside(&mut *self.disk, &dir) {
                    Ok(aside) => aside.map(|aside| {
                        let aside = aside.display();
                        format!("no topic owns this directory; set aside as {aside}")
                    }),
                    Err(error) => Some(format!(
                        "no topic owns this directory, and it stays: {error}"
                    )),
                }
            };
            // What cannot be moved stops no other partition.
            let Some(cause) = cause else {
                continue;
            };
            let path = dir.display().to_string();
            self.note(EventKind::StorageFailed { path, cause });
        }
        Ok(())
    }

    fn tell_of_start(&mut self, clean: bool, tally: &Tally) {
        let fresh = self.metadata_log.log().log_end() == Offset::ZERO && tally.cut_bytes == 0;
        let clean = clean || fresh;
        let how = match clean {
            true => "Clean stop",
            false => "No clean stop",
        };
        self.recovery = match fresh {
            true => "A new directory: nothing to check.".to_owned(),
            false => format!(
                "{how}: {} logs opened, {} bytes checked, {} bytes cut.",
                tally.logs, tally.checked_bytes, tally.cut_bytes
            ),
        };
        self.note(EventKind::BrokerStarted {
            port: self.config.listen.port(),
            clean,
            logs: tally.logs,
            recovered_bytes: tally.checked_bytes,
        });
    }
}

impl Tally {
    fn add(&mut self, recovered: &Recovered) {
        self.logs += 1;
        self.checked_bytes += recovered.checked_bytes;
        self.cut_bytes += recovered.cut_bytes;
    }
}
