//! The groups this broker coordinates: the partitions of `__consumer_offsets` it leads.
//!
//! A partition it comes to lead is read from its start, a piece a verb, before anything is answered
//! ([`Stage::Loading`]). From then on what a group decides is appended to that partition and in force at once, and
//! every answer that speaks of it waits until the high watermark has passed it: what was told survives the
//! coordinator (C2). Who leads no more forgets everything and tells those who wait.
//!
//! A request that comes while the topic is made, a leader is elected or a partition is read waits a moment
//! ([`PATIENCE_MS`]) instead of being sent away to try again.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;

use super::Broker;
use super::dispatch::Asked;
use super::group_waits::Gate;
use super::partition::{PartitionKey, Role};
use crate::group::{
    Assignor, Caller, GroupConfig, MAX_TEXT_BYTES, MigrationPolicy, News, OFFSETS_TOPIC, Record,
    Refusal, Reply, Shard, Turn, partition_of,
};
use crate::ids::{BrokerId, ConnectionId, LeaderEpoch, Offset, PartitionIndex, Time};
use crate::inspect::EventKind;
use crate::plants::{Plant, planted};
use crate::wire::ApiKey;
use crate::wire::records::BatchBuilder;

/// Milliseconds a request waits for its coordinator to be there.
pub(super) const PATIENCE_MS: i64 = 1_000;
/// Bytes a batch of `__consumer_offsets` may have, whatever max.message.bytes says: what belongs together is one batch,
/// and what the members of a group may say of themselves is limited.
pub(super) const MAX_OFFSETS_BATCH_BYTES: u32 = 64 * 1024 * 1024;
/// Bytes of records put into one batch where it may end.
const BATCH_BYTES: usize = 512 * 1024;
/// Milliseconds after which a coordinator that may not write looks again.
const RETRY_MS: i64 = 200;

/// Everything this broker coordinates, by partition of `__consumer_offsets`.
#[derive(Debug, Default)]
pub(super) struct Groups {
    pub(super) by_partition: BTreeMap<i32, Coordinator>,
    /// Leaderships may have changed: they are to be looked at.
    pub(super) stale: bool,
    /// Requests that wait for their coordinator.
    pub(super) later: BTreeSet<ConnectionId>,
    /// Answers whose records are not committed yet.
    pub(super) gated: BTreeSet<ConnectionId>,
    /// Topics that are gone, with what was committed for them.
    pub(super) topics_gone: BTreeSet<String>,
    /// Partitions that are being read.
    pub(super) loading: BTreeSet<i32>,
    /// After a coordinator might not write, none is looked after before this moment.
    pub(super) not_before: Option<Time>,
    /// When a coordinator wants to be looked after.
    wakeup: Option<Time>,
    /// Something happened that may have moved that.
    pub(super) restless: bool,
}

/// One partition of `__consumer_offsets` that this broker leads.
#[derive(Debug)]
pub(super) struct Coordinator {
    pub(super) key: PartitionKey,
    pub(super) epoch: LeaderEpoch,
    pub(super) stage: Stage,
    pub(super) shard: Shard,
    /// Everything in front of it is applied.
    pub(super) applied: Offset,
    /// After it could not be read or written it is not read before this moment.
    pub(super) not_before: Option<Time>,
    /// Why it cannot be read, as was said.
    pub(super) trouble: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stage {
    /// It is read up to there.
    Loading(Offset),
    Active,
}

/// Why a group's request is not answered here and now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum NotHere {
    /// It may be soon.
    Later,
    Refused(Refusal),
}

/// The groups a request has named so far. Each is answered once: an answer is no larger than what is kept, however
/// short the request.
#[derive(Debug, Default)]
pub(super) struct Named(BTreeSet<String>);

impl Named {
    pub fn once(&mut self, group: &str) -> Result<(), NotHere> {
        match self.0.insert(group.to_owned()) {
            true => Ok(()),
            false => Err(Refusal::InvalidRequest("The group is named more than once.").into()),
        }
    }
}

impl From<Refusal> for NotHere {
    fn from(refusal: Refusal) -> NotHere {
        NotHere::Refused(refusal)
    }
}

impl Groups {
    /// Of a broker that has just opened its logs: what it leads already is read at once, asked for or not.
    pub fn at_start() -> Groups {
        Groups {
            stale: true,
            ..Groups::default()
        }
    }

    /// Has leaderships looked at before the verb is over.
    pub fn look_again(&mut self) {
        self.stale = true;
    }

    /// Has what was committed for a topic forgotten.
    pub fn forget_topic(&mut self, name: &str) {
        if !self.by_partition.is_empty() {
            self.topics_gone.insert(name.to_owned());
        }
    }

    /// The groups of every partition that is read, for pictures.
    pub fn shards(&self) -> impl Iterator<Item = (i32, &Shard)> {
        let active = self
            .by_partition
            .iter()
            .filter(|(_, c)| c.stage == Stage::Active);
        active.map(|(index, coordinator)| (*index, &coordinator.shard))
    }

    fn next_wakeup(&self) -> Option<Time> {
        let coordinators = self.by_partition.values();
        let wakeups = coordinators.filter_map(|coordinator| match coordinator.stage {
            // At once, unless it has just failed: reading goes on.
            Stage::Loading(_) => Some(coordinator.not_before.unwrap_or_default()),
            Stage::Active => coordinator.shard.next_wakeup(),
        });
        wakeups.min()
    }

    /// A connection is gone, and so is whatever waited on it.
    pub fn forget_connection(&mut self, id: ConnectionId) {
        self.later.remove(&id);
        self.gated.remove(&id);
    }
}

impl Broker {
    /// Where a group's coordinator is, as the image says; `None` while nobody leads.
    pub(super) fn coordinator_of(&self, group: &str) -> Option<BrokerId> {
        let topic = self.image.topic_named(OFFSETS_TOPIC)?;
        let partitions = i32::try_from(topic.partitions.len()).ok()?;
        let index = PartitionIndex(partition_of(group, partitions));
        topic.partition(index)?.leader
    }

    /// The partition a group belongs to, if this broker coordinates it.
    pub(super) fn coordinated(&self, asked: &Asked, group: &str) -> Result<i32, NotHere> {
        // Consumers without a group could always commit under the empty name, as in Kafka.
        let nameless = matches!(
            asked.api,
            ApiKey::OffsetCommit
                | ApiKey::OffsetFetch
                | ApiKey::DescribeGroups
                | ApiKey::DeleteGroups
        );
        if (group.is_empty() && !nameless) || group.len() > MAX_TEXT_BYTES {
            return Err(Refusal::InvalidGroupId.into());
        }
        let later = |refusal: Refusal| match asked.patience.get() {
            Some(_) => NotHere::Later,
            None => refusal.into(),
        };
        let Some(topic) = self.image.topic_named(OFFSETS_TOPIC) else {
            return Err(later(Refusal::NotCoordinator));
        };
        let partitions = i32::try_from(topic.partitions.len()).unwrap_or(0);
        let index = partition_of(group, partitions);
        if let Some(coordinator) = self.groups.by_partition.get(&index)
            && self.still_leads(coordinator)
        {
            return match coordinator.stage {
                Stage::Active => Ok(index),
                Stage::Loading(_) => Err(later(Refusal::Loading)),
            };
        }
        let image = topic.partition(PartitionIndex(index));
        match image.and_then(|partition| partition.leader) {
            Some(leader) if leader != self.config.id => Err(Refusal::NotCoordinator.into()),
            _ => Err(later(Refusal::NotCoordinator)),
        }
    }

    pub(super) fn still_leads(&self, coordinator: &Coordinator) -> bool {
        if planted(Plant::CoordinatesOn) {
            return true;
        }
        let partition = self.partition(coordinator.key);
        partition.is_some_and(|partition| {
            partition.role.leads()
                && partition.log.is_some()
                && partition.leader_epoch == coordinator.epoch
        })
    }

    /// Whether what a group decides can be written now.
    fn may_write(&self, index: i32) -> bool {
        let coordinator = self.groups.by_partition.get(&index);
        let partition = coordinator.and_then(|c| self.partition(c.key));
        match partition.map(|partition| &partition.role) {
            Some(Role::Leader(leader)) => leader.judge_append().is_ok(),
            Some(Role::Alone) => true,
            _ => false,
        }
    }

    /// Carries a verb out on the groups of a partition, and what it came to. Returns the reply to the one who asked,
    /// unless that comes later, and what must be committed first.
    pub(super) fn on_shard(
        &mut self,
        asked: &Asked,
        index: i32,
        writes: bool,
        verb: impl FnOnce(&mut Shard, &Caller) -> Turn,
    ) -> Result<(Option<Reply>, Gate), Refusal> {
        use rand::Rng as _;
        if writes && !self.may_write(index) {
            return Err(Refusal::NotAvailable);
        }
        let fresh = self.random.random();
        let connection = self.connections.get(asked.connection);
        let client_id = connection.map(|c| c.client_id().to_owned());
        let host = connection.map(|c| format!("/{}", c.facts.peer.ip().to_canonical()));
        let caller = Caller {
            now: asked.now,
            connection: asked.connection,
            client_id: client_id.as_deref().unwrap_or_default(),
            client_host: host.as_deref().unwrap_or_default(),
            fresh,
            topics: &self.image,
        };
        let coordinator = self.groups.by_partition.get_mut(&index);
        let coordinator = coordinator.ok_or(Refusal::NotCoordinator)?;
        let turn = verb(&mut coordinator.shard, &caller);
        self.carry_turn_out(asked.now, index, turn, Some(asked.connection))
    }

    /// Reads a partition's groups: what it says is committed once the gate is open.
    pub(super) fn read_shard<T>(
        &self,
        index: i32,
        place: usize,
        read: impl FnOnce(&Shard) -> T,
    ) -> Result<(T, Gate), Refusal> {
        let coordinator = self.groups.by_partition.get(&index);
        let coordinator = coordinator.ok_or(Refusal::NotCoordinator)?;
        let gate = Gate {
            partition: index,
            epoch: coordinator.epoch,
            end: coordinator.applied,
            place,
        };
        Ok((read(&coordinator.shard), gate))
    }

    fn carry_turn_out(
        &mut self,
        now: Time,
        index: i32,
        turn: Turn,
        asks: Option<ConnectionId>,
    ) -> Result<(Option<Reply>, Gate), Refusal> {
        let Turn {
            records,
            ends,
            replies,
            news,
        } = turn;
        let written = self.write_records(now, index, &records, &ends);
        if let Err(why) = &written {
            self.on_write_failed(now, index, why);
        }
        for one in news {
            self.tell_group_news(one);
        }
        let Some(coordinator) = self.groups.by_partition.get(&index) else {
            return Err(Refusal::NotCoordinator);
        };
        let gate = Gate {
            partition: index,
            epoch: coordinator.epoch,
            end: coordinator.applied,
            place: 0,
        };
        let mut own = None;
        for (to, reply) in replies {
            match written {
                Ok(()) if asks == Some(to) => own = Some(reply),
                Ok(()) => self.deliver(now, to, reply, gate),
                Err(_) => self.refuse_waiting(to, Refusal::NotAvailable),
            }
        }
        self.groups.restless = true;
        self.shown.groups = None;
        match written {
            Ok(()) => Ok((own, gate)),
            Err(_) => Err(Refusal::NotAvailable),
        }
    }

    /// Appends records to a partition of `__consumer_offsets`.
    fn write_records(
        &mut self,
        now: Time,
        index: i32,
        records: &[Record],
        ends: &[usize],
    ) -> Result<(), String> {
        let mut from = 0;
        while from < records.len() {
            let mut batch = BatchBuilder::new();
            let mut taken = 0;
            for record in &records[from..] {
                let (key, value) = record.encode().map_err(|error| error.to_string())?;
                batch.push(now.as_ms(), Some(&key), value.as_deref(), &[]);
                taken += 1;
                // Half of a rebalance would be none: only offsets stand for themselves.
                let next = from + taken;
                let offset = matches!(records.get(next), Some(Record::Offset { .. }));
                if batch.bytes() >= BATCH_BYTES && (offset || ends.binary_search(&next).is_ok()) {
                    break;
                }
            }
            from += taken;
            let batch = Bytes::from(batch.build().map_err(|error| error.to_string())?);
            self.append_groups(now, index, batch, taken)?;
        }
        Ok(())
    }

    fn append_groups(
        &mut self,
        now: Time,
        index: i32,
        batch: Bytes,
        count: usize,
    ) -> Result<(), String> {
        let coordinator = self.groups.by_partition.get(&index);
        let (key, epoch) = coordinator.map(|c| (c.key, c.epoch)).ok_or("it is gone")?;
        let partition = self
            .topics
            .get_mut(&key.0)
            .and_then(|t| t.partition_mut(key.1));
        let log = partition.and_then(|partition| partition.log.as_mut());
        let log = log.ok_or("its log is gone")?;
        let bytes = batch.len();
        let appended = log.append(&mut *self.disk, now, batch, epoch);
        self.take_log_notes(now, key);
        let appended = appended.map_err(|error| error.to_string())?;
        if let Some(coordinator) = self.groups.by_partition.get_mut(&index) {
            coordinator.applied = appended.last + 1;
        }
        self.on_produced(now, key, count as u64, bytes);
        Ok(())
    }

    /// What was decided is not in the log, so it is not to be believed: the partition is read anew.
    fn on_write_failed(&mut self, now: Time, index: i32, why: &str) {
        let path = format!("{OFFSETS_TOPIC}-{index}");
        let cause = format!("its groups could not be written down and are read again: {why}");
        self.note(EventKind::StorageFailed { path, cause });
        let config = self.group_config();
        let waiting = match self.groups.by_partition.get_mut(&index) {
            Some(coordinator) => {
                let ended = coordinator.shard.end();
                let start = Offset::ZERO;
                coordinator.shard = Shard::new(config);
                coordinator.stage = Stage::Loading(start);
                coordinator.applied = start;
                // Whoever writes next is perhaps refused as well: the partition is not read for each of them.
                coordinator.not_before = Some(now.plus_ms(RETRY_MS));
                self.groups.loading.insert(index);
                ended.replies
            }
            None => Vec::new(),
        };
        for (to, _) in waiting {
            self.refuse_waiting(to, Refusal::NotAvailable);
        }
    }

    /// What every verb does for groups at its end.
    pub(super) fn drive_groups(&mut self, now: Time) {
        if std::mem::take(&mut self.groups.stale) {
            self.align_coordinators(now);
            let later: Vec<ConnectionId> = self.groups.later.iter().copied().collect();
            for connection in later {
                self.answer_later(now, connection, true);
            }
        }
        self.load_groups(now);
        self.forget_gone_topics(now);
        if !self.groups.gated.is_empty() {
            self.answer_gated();
        }
        if std::mem::take(&mut self.groups.restless) {
            self.groups.wakeup = self.groups.next_wakeup();
        }
    }

    /// What time does to groups.
    pub(super) fn tick_groups(&mut self, now: Time) {
        if self.groups.not_before.is_some_and(|at| at <= now) {
            self.groups.not_before = None;
            self.groups.restless = true;
        }
        if self.groups.wakeup.is_none_or(|at| at > now) {
            return;
        }
        self.groups.restless = true;
        let due = self.groups.by_partition.iter().filter(|(_, c)| {
            let wakeup = c.shard.next_wakeup();
            c.stage == Stage::Active && wakeup.is_some_and(|at| at <= now)
        });
        let due: Vec<i32> = due.map(|(index, _)| *index).collect();
        for index in due {
            if !self.may_write(index) {
                // Members are not thrown out while nobody can write that they are.
                self.groups.not_before = Some(now.plus_ms(RETRY_MS));
                continue;
            }
            if let Some(coordinator) = self.groups.by_partition.get_mut(&index) {
                let turn = coordinator.shard.on_tick(now, &self.image);
                // Whoever waited has been told.
                let _told = self.carry_turn_out(now, index, turn, None);
            }
        }
    }

    fn forget_gone_topics(&mut self, now: Time) {
        if self.groups.topics_gone.is_empty() {
            return;
        }
        let gone = std::mem::take(&mut self.groups.topics_gone);
        let indexes: Vec<i32> = self.groups.by_partition.keys().copied().collect();
        for index in indexes {
            if !self.may_write(index) {
                continue;
            }
            if let Some(coordinator) = self.groups.by_partition.get_mut(&index) {
                let turn = coordinator.shard.forget_topics(&gone);
                let _told = self.carry_turn_out(now, index, turn, None);
            }
        }
    }

    /// When a coordinator wants to be looked after.
    pub(super) fn groups_wakeup(&self) -> Option<Time> {
        let Groups {
            wakeup, not_before, ..
        } = self.groups;
        if self.groups.stale {
            // Before its first verb.
            return Some(Time::default());
        }
        match (wakeup, not_before) {
            (Some(wakeup), Some(not_before)) => Some(wakeup.max(not_before)),
            (wakeup, _) => wakeup,
        }
    }

    fn tell_group_news(&mut self, news: News) {
        match news {
            News::StateChanged {
                group,
                from,
                to,
                generation,
                members,
                why,
            } => self.note(EventKind::GroupChanged {
                group,
                from: from.to_owned(),
                to: to.to_owned(),
                generation,
                members: u32::try_from(members).unwrap_or(u32::MAX),
                cause: why,
            }),
        }
    }

    pub(super) fn group_config(&self) -> GroupConfig {
        let number = |name: &str| self.settings.number(&self.image, name);
        let int = |name: &str| i32::try_from(number(name)).unwrap_or(i32::MAX);
        let size = |name: &str| usize::try_from(number(name)).unwrap_or(usize::MAX);
        GroupConfig {
            initial_rebalance_delay_ms: int("group.initial.rebalance.delay.ms"),
            min_session_timeout_ms: int("group.min.session.timeout.ms"),
            max_session_timeout_ms: int("group.max.session.timeout.ms"),
            max_size: size("group.max.size"),
            offset_metadata_max_bytes: size("offset.metadata.max.bytes"),
            offsets_retention_ms: number("offsets.retention.minutes").saturating_mul(60_000),
            offsets_retention_check_ms: number("offsets.retention.check.interval.ms"),
            consumer_session_timeout_ms: int("group.consumer.session.timeout.ms")
                .min(int("group.consumer.max.session.timeout.ms"))
                .max(int("group.consumer.min.session.timeout.ms")),
            consumer_heartbeat_interval_ms: int("group.consumer.heartbeat.interval.ms")
                .min(int("group.consumer.max.heartbeat.interval.ms"))
                .max(int("group.consumer.min.heartbeat.interval.ms")),
            consumer_max_size: size("group.consumer.max.size"),
            assignors: self.group_assignors(),
            migration: self.migration_policy(),
        }
    }

    fn migration_policy(&self) -> MigrationPolicy {
        let name = "group.consumer.migration.policy";
        let text = self.settings.text(&self.image, name);
        text.and_then(|text| MigrationPolicy::named(&text))
            .unwrap_or(MigrationPolicy::Bidirectional)
    }

    fn group_assignors(&self) -> Vec<Assignor> {
        let names = self.settings.text(&self.image, "group.consumer.assignors");
        let names = names.unwrap_or_default();
        let named = |name: &str| Assignor::named(name.trim());
        names.split(',').filter_map(named).collect()
    }
}
