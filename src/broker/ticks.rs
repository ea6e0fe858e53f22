//! What time does to a broker: long polls end, syncs fall due, retention deletes, idle connections close.
//!
//! Work that touches every partition is spread over ticks, so that no tick is long however many there are.

use std::collections::BTreeMap;

use super::Broker;
use super::metadata_log;
use super::parked::Waiting;
use super::partition::{PartitionKey, Role};
use crate::ids::{Offset, Time, TopicId};
use crate::inspect::{Durability, EventKind};
use crate::plants::{Plant, planted};
use crate::storage::Log;

/// Milliseconds between two ticks of upkeep.
const UPKEEP_INTERVAL_MS: i64 = 1_000;
/// Milliseconds between two looks for idle connections.
const IDLE_INTERVAL_MS: i64 = 10_000;

/// When the next of each is due.
#[derive(Debug)]
pub(super) struct Timers {
    upkeep: Time,
    idle: Time,
    recovery_points: Time,
    /// Where the walk over all partitions goes on.
    next_partition: PartitionKey,
    /// Bytes had been appended when recovery points were last written.
    points_at_bytes: u64,
}

impl Timers {
    /// `checkpoint_ms`: `log.flush.offset.checkpoint.interval.ms`.
    pub fn new(now: Time, checkpoint_ms: i64) -> Timers {
        Timers {
            upkeep: now.plus_ms(UPKEEP_INTERVAL_MS),
            idle: now.plus_ms(IDLE_INTERVAL_MS),
            recovery_points: now.plus_ms(checkpoint_ms),
            next_partition: (TopicId::ZERO, 0),
            points_at_bytes: 0,
        }
    }
}

/// What checkpoints call a log. With the topic's id, so that a topic made again under an old name is not
/// held against the old one's recovery points.
pub(super) fn log_key(topic: &str, index: impl std::fmt::Display, id: TopicId) -> String {
    format!("{topic}-{index}@{id}")
}

impl Broker {
    /// Does what is due. Call it when [`Broker::next_wakeup`] has come; earlier does no harm.
    pub fn on_tick(&mut self, now: Time) {
        self.end_waits(now);
        if self.member.is_some() {
            self.with_quorum(now, |quorum, log| quorum.on_tick(now, log));
            self.give_up_overdue(now);
        }
        let before = self.effects.len();
        self.tick_groups(now);
        if self.timers.upkeep <= now {
            self.timers.upkeep = now.plus_ms(UPKEEP_INTERVAL_MS);
            self.keep_up(now);
        }
        if self.timers.idle <= now {
            self.timers.idle = now.plus_ms(IDLE_INTERVAL_MS);
            self.close_idle(now);
        }
        if self.timers.recovery_points <= now {
            let interval_ms = self
                .settings
                .number(&self.image, "log.flush.offset.checkpoint.interval.ms");
            self.timers.recovery_points = now.plus_ms(interval_ms);
            self.write_recovery_points();
        }
        self.after_verb(now);
        if self.effects.len() > before {
            self.changed += 1;
        }
    }

    /// Ends the waits whose time is over.
    fn end_waits(&mut self, now: Time) {
        for connection in self.parked.due(now) {
            match self.parked.get(connection) {
                Some(Waiting::Fetch(_)) => {
                    self.woken.insert(connection);
                }
                Some(Waiting::Metadata(_)) => self.end_metadata_poll(connection),
                Some(Waiting::Produce(_)) => self.time_produce_out(connection),
                Some(Waiting::ProducerId(_)) => {
                    let why = "the controller gave no producer ids in time";
                    self.close(now, connection, why.to_owned());
                }
                Some(Waiting::Spreading(_)) => self.answer_late(connection),
                Some(Waiting::Group(_)) => self.time_group_out(now, connection),
                Some(Waiting::Later(_)) => self.answer_later(now, connection, false),
                Some(Waiting::Committed(_) | Waiting::Forwarded) | None => {}
            }
        }
    }

    /// When a broker of a cluster has something to do.
    fn member_wakeup(&self) -> Option<Time> {
        let member = self.member.as_ref()?;
        let wakeups = [
            member.quorum.next_wakeup(),
            member.peers.next_deadline(),
            self.controller_wakeup(),
            self.control_wakeup(),
            self.replicas_wakeup(),
            self.forwards_wakeup(),
        ];
        wakeups.into_iter().flatten().min()
    }

    /// When to call [`Broker::on_tick`] next; `None` when only input changes anything.
    pub fn next_wakeup(&self) -> Option<Time> {
        let upkeep = (!self.topics.is_empty()).then_some(self.timers.upkeep);
        let points = (!self.topics.is_empty()).then_some(self.timers.recovery_points);
        let idle = (self.connections.count() > 0).then_some(self.timers.idle);
        let wakeups = [
            self.parked.next_deadline(),
            self.sync_due(),
            self.snapshot_due(),
            self.groups_wakeup(),
            self.member_wakeup(),
            upkeep,
            idle,
            points,
        ];
        wakeups.into_iter().flatten().min()
    }

    /// Looks after the next few partitions, so that all had their turn within the check interval.
    fn keep_up(&mut self, now: Time) {
        let interval_ms = self
            .settings
            .number(&self.image, "log.retention.check.interval.ms");
        let ticks = usize::try_from(interval_ms / UPKEEP_INTERVAL_MS)
            .unwrap_or(1)
            .max(1);
        let share = self.image.partition_count().div_ceil(ticks);
        let mut key = self.timers.next_partition;
        for _ in 0..share {
            let Some(next) = self.partition_from(key) else {
                key = (TopicId::ZERO, 0);
                break;
            };
            self.retain(now, next);
            key = (next.0, next.1 + 1);
        }
        self.timers.next_partition = key;
    }

    /// The partition with this key, or the next one there is.
    fn partition_from(&self, key: PartitionKey) -> Option<PartitionKey> {
        let mut from = key.1;
        for (id, topic) in self.topics.range(key.0..) {
            let from = if *id == key.0 {
                std::mem::take(&mut from)
            } else {
                0
            };
            if usize::try_from(from).is_ok_and(|from| from < topic.partitions.len()) {
                return Some((*id, from));
            }
        }
        None
    }

    /// Applies retention to one partition.
    fn retain(&mut self, now: Time, key: PartitionKey) {
        let Some(topic) = self.topics.get_mut(&key.0) else {
            return;
        };
        let index = usize::try_from(key.1).ok();
        let Some(partition) = index.and_then(|index| topic.partitions.get_mut(index)) else {
            return;
        };
        let high_watermark = partition.high_watermark;
        let Some(log) = partition.log.as_mut() else {
            // Whatever kept it from opening may be over: a disk that was full, a file that was put back.
            return self.reopen_partition(now, key);
        };
        let result = log.apply_retention(&mut *self.disk, now, high_watermark);
        match result {
            Ok(0) => {}
            Ok(_) => {
                self.shown.touch(key.0);
                self.note_dirty(now, key);
            }
            Err(error) => {
                let path = format!("{}-{}", topic.name, key.1);
                let cause = format!("retention could not delete: {error}");
                self.note(EventKind::StorageFailed { path, cause });
            }
        }
        self.take_quiet_log_notes(now, key);
    }

    fn close_idle(&mut self, now: Time) {
        let idle_ms = self.settings.number(&self.image, "connections.max.idle.ms");
        if idle_ms < 0 {
            return;
        }
        for id in self.connections.silent_since(now.plus_ms(-idle_ms)) {
            if !self.parked.holds(id) {
                let why = format!("connections.max.idle.ms = {idle_ms} passed");
                self.forget_connection(now, id, &why);
                self.effects
                    .push(super::effect::Effect::Close { to: id, why });
            }
        }
    }

    /// Remembers what is synced, so that a crash makes the next start check less.
    fn write_recovery_points(&mut self) {
        let moved = self.totals.bytes_in != self.timers.points_at_bytes;
        if self.config.durability == Durability::Memory || !moved {
            return;
        }
        self.timers.points_at_bytes = self.totals.bytes_in;
        let points = self.recovery_points();
        match self.dir.begin_recovery_points(&mut *self.disk, points) {
            Ok(files) => self.sync_checkpoint(files),
            Err(error) => self.note(EventKind::StorageFailed {
                path: self.config.data_dir.display().to_string(),
                cause: error.to_string(),
            }),
        }
    }

    fn recovery_points(&self) -> BTreeMap<String, Offset> {
        let unopened = self.member.iter().flat_map(|m| m.last_run.unopened());
        let mut points: BTreeMap<String, Offset> = unopened
            .map(|(name, point)| (name.clone(), point))
            .collect();
        let metadata = self.metadata_log.log().recovery_point();
        points.insert(metadata_log::DIR.to_owned(), metadata);
        for (id, topic) in &self.topics {
            for (index, partition) in topic.partitions.iter().enumerate() {
                if !matches!(partition.role, Role::Elsewhere) {
                    let ahead = planted(Plant::CheckpointsAhead);
                    let end = partition.log.as_ref().filter(|_| ahead).map(Log::log_end);
                    let point = end.or_else(|| partition.recovery_point());
                    // Also of one that could not be opened: without it the next start could cut what was synced.
                    let point = point.unwrap_or(Offset::NONE);
                    points.insert(log_key(&topic.name, index, *id), point);
                }
            }
        }
        points
    }

    /// Ends cleanly: closes every log and marks the stop as clean. Call it last, after the listener is gone and, if they
    /// end in time, the syncs under way ([`Broker::end_syncs`]); effects drained afterwards are still to be carried out.
    pub fn stop_clean(&mut self, now: Time) {
        // Whoever votes hears at once that this broker leads no more.
        self.with_quorum(now, |quorum, log| quorum.resign(now, log));
        self.forget_flushes();
        let mut states = BTreeMap::new();
        let mut failed = None;
        match self.metadata_log.log_mut().close_clean(&mut *self.disk) {
            Ok(state) => {
                states.insert(metadata_log::DIR.to_owned(), state);
            }
            Err(error) => failed = Some(error.to_string()),
        }
        for (id, topic) in &mut self.topics {
            for (index, partition) in topic.partitions.iter_mut().enumerate() {
                let closed = partition
                    .log
                    .as_mut()
                    .map(|log| log.close_clean(&mut *self.disk));
                match closed {
                    Some(Ok(state)) => {
                        states.insert(log_key(&topic.name, index, *id), state);
                    }
                    Some(Err(error)) => failed = Some(error.to_string()),
                    None if partition.trouble.is_none() => {}
                    None => failed.clone_from(&partition.trouble),
                }
            }
        }
        if let Some(member) = self.member.as_mut() {
            let (closed, open) = member.last_run.take_unopened();
            states.extend(closed);
            // What a crash did to them is not known yet.
            failed = failed.or((open > 0).then(|| format!("{open} logs were not opened")));
        }
        let marked = match failed {
            None => self
                .dir
                .write_clean_stop(&mut *self.disk, &states)
                .map_err(|error| error.to_string()),
            Some(why) => {
                let points = self.recovery_points();
                let written = self.dir.write_recovery_points(&mut *self.disk, &points);
                Err(written.err().map_or(why, |error| error.to_string()))
            }
        };
        let cause = match marked {
            Ok(()) => format!("cleanly, {} logs closed", states.len()),
            Err(why) => format!("not cleanly, the next start checks its logs ({why})"),
        };
        self.note(EventKind::BrokerStopped { cause });
        self.changed += 1;
    }
}
