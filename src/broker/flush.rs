//! When what was written is synced, and who waits for it.
//!
//! Durability `os`: once a second, on a roll and at a clean stop; nobody waits. `batch`: as soon as no other
//! sync is under way, and produce answers and the high watermark wait (group commit). `memory`: never.
//! A failed sync is final for the logs it covered: they take no more writes until they are opened again.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use super::Broker;
use super::effect::Effect;
use super::parked::Waiting;
use super::partition::{METADATA_LOG, PartitionKey, Role};
use crate::ids::{ConnectionId, Time};
use crate::inspect::{Durability, EventKind};
use crate::plants::{Plant, planted};
use crate::storage::SyncTicket;

/// Milliseconds between two syncs with durability `os`.
const SYNC_INTERVAL_MS: i64 = 1_000;

/// What is unsynced, being synced, and waited for.
#[derive(Debug, Default)]
pub(super) struct Flushes {
    dirty: BTreeSet<PartitionKey>,
    /// Durability `os`: when the dirty logs are synced.
    due: Option<Time>,
    /// Connections whose answers wait for the next sync to begin.
    waiting: Vec<ConnectionId>,
    under_way: BTreeMap<u64, UnderWay>,
    /// The sync of a checkpoint no log owns.
    checkpoint: Option<u64>,
    last_token: u64,
    /// The broker is about to stop: no sync begins any more.
    closing: bool,
}

#[derive(Debug)]
struct UnderWay {
    tickets: Vec<(PartitionKey, SyncTicket)>,
    waiting: Vec<ConnectionId>,
    /// A log somebody waits for takes no more syncs: whether its bytes are safe will not be known.
    refused: bool,
}

impl Flushes {
    /// A name for a sync no other has had.
    pub fn next_token(&mut self) -> u64 {
        self.last_token += 1;
        self.last_token
    }
}

impl Broker {
    /// Notes that a log has bytes that are not synced.
    pub(super) fn note_dirty(&mut self, now: Time, key: PartitionKey) {
        if self.config.durability == Durability::Memory {
            return;
        }
        self.flushes.dirty.insert(key);
        if self.config.durability == Durability::Os && self.flushes.due.is_none() {
            self.flushes.due = Some(next_sync(now));
        }
    }

    /// When the broker must be woken for the next sync: never while one is under way.
    pub(super) fn sync_due(&self) -> Option<Time> {
        let begins = self.flushes.under_way.is_empty() && !self.flushes.closing;
        self.flushes.due.filter(|_| begins)
    }

    /// Has no sync begin any more, so that those under way come to an end before [`Broker::stop_clean`], which takes no
    /// log for closed whose sync is unanswered.
    pub fn end_syncs(&mut self) {
        self.flushes.closing = true;
    }

    /// Whether an answer to a sync of logs is still to come.
    pub fn is_syncing(&self) -> bool {
        !self.flushes.under_way.is_empty()
    }

    /// Has the dirty logs synced at once rather than at the end of the second.
    pub(super) fn hurry_sync(&mut self, now: Time) {
        if self.config.durability == Durability::Os && self.flushes.due.is_some() {
            self.flushes.due = Some(now);
        }
    }

    /// Whether answers wait for syncs.
    pub(super) fn acks_wait_for_sync(&self) -> bool {
        self.config.durability == Durability::Batch
    }

    /// Lets a parked connection's answer wait for the next sync.
    pub(super) fn wait_for_sync(&mut self, connection: ConnectionId) {
        self.flushes.waiting.push(connection);
    }

    /// Begins a sync if it is time. Call at the end of every verb.
    pub(super) fn begin_due_syncs(&mut self, now: Time) {
        let begin = match self.config.durability {
            Durability::Memory => false,
            Durability::Os => self.flushes.due.is_some_and(|due| due <= now),
            // A batch that came again waits, too, and may find nothing left to sync.
            Durability::Batch => !self.flushes.dirty.is_empty() || !self.flushes.waiting.is_empty(),
        };
        if !begin || self.flushes.closing || !self.flushes.under_way.is_empty() {
            return;
        }
        self.flushes.due = None;
        let dirty = std::mem::take(&mut self.flushes.dirty);
        let mut tickets = Vec::with_capacity(dirty.len());
        let mut refused = false;
        for key in dirty {
            let Some(log) = self.log_mut(key) else {
                continue;
            };
            refused |= log.sync_failed();
            if let Some(ticket) = log.begin_sync() {
                tickets.push((key, ticket));
            }
        }
        let waiting = std::mem::take(&mut self.flushes.waiting);
        let token = self.flushes.next_token();
        let files: BTreeSet<_> = tickets
            .iter()
            .flat_map(|(_, t)| t.files.iter().cloned())
            .collect();
        let files: Vec<_> = files.into_iter().collect();
        let under_way = UnderWay {
            tickets,
            waiting,
            refused,
        };
        self.flushes.under_way.insert(token, under_way);
        if files.is_empty() {
            // Nothing to sync: what somebody waits for is safe already, or never will be.
            self.finish_sync(now, token, &Ok(()));
        } else {
            self.effects.push(Effect::Flush { token, files });
        }
    }

    /// Has the files of a checkpoint synced, which is put in place then; nobody waits for it.
    pub(super) fn sync_checkpoint(&mut self, files: Vec<PathBuf>) {
        let token = self.flushes.next_token();
        self.flushes.checkpoint = Some(token);
        self.effects.push(Effect::Flush { token, files });
    }

    /// Has what is new in a cluster's metadata log synced, beside any other sync: the quorum waits for it.
    pub(super) fn begin_metadata_sync(&mut self) {
        if self.config.durability == Durability::Memory || self.flushes.closing {
            return;
        }
        let Some(ticket) = self.metadata_log.log_mut().begin_sync() else {
            return;
        };
        let token = self.flushes.next_token();
        let files = ticket.files.clone();
        let under_way = UnderWay {
            tickets: vec![(METADATA_LOG, ticket)],
            waiting: Vec::new(),
            refused: false,
        };
        self.flushes.under_way.insert(token, under_way);
        self.effects.push(Effect::Flush { token, files });
    }

    /// A sync the driver was asked for is over. Call it once per [`Effect::Flush`].
    pub fn on_flushed(&mut self, now: Time, token: u64, result: Result<(), String>) {
        let result = result.or_else(|cause| match planted(Plant::TrustsFailedSync) {
            true => Ok(()),
            false => Err(cause),
        });
        self.finish_sync(now, token, &result);
        self.after_verb(now);
    }

    fn finish_sync(&mut self, now: Time, token: u64, result: &Result<(), String>) {
        self.on_snapshot_synced(now, token, result);
        if self.flushes.checkpoint == Some(token) {
            self.flushes.checkpoint = None;
            let synced = result.clone().and_then(|()| {
                let placed = self.dir.finish_recovery_points(&mut *self.disk);
                placed.map_err(|error| error.to_string())
            });
            if let Err(cause) = synced {
                let path = self.config.data_dir.display().to_string();
                let cause = format!("a checkpoint could not be kept: {cause}");
                self.note(EventKind::StorageFailed { path, cause });
            }
        }
        let Some(done) = self.flushes.under_way.remove(&token) else {
            return;
        };
        for (key, ticket) in &done.tickets {
            if let Some(log) = self.log_mut(*key) {
                log.on_synced(ticket, result.clone());
            }
            self.take_log_notes(now, *key);
            if result.is_err() {
                self.suspect(now, *key);
            }
            if *key != METADATA_LOG {
                self.raise_high_watermark(now, *key, ticket, result.is_ok());
            } else if self.member.is_some() {
                self.on_metadata_synced(now, result.is_ok());
            }
        }
        if self.config.durability == Durability::Os && !self.flushes.dirty.is_empty() {
            let next = next_sync(now);
            self.flushes.due = Some(self.flushes.due.map_or(next, |due| due.min(next)));
        }
        for connection in done.waiting {
            self.answer_synced(now, connection, result.is_ok() && !done.refused);
        }
    }

    fn on_metadata_synced(&mut self, now: Time, synced: bool) {
        if !synced {
            self.give_up_control(now);
        }
        self.on_metadata_log_changed(now);
        self.apply_committed(now);
    }

    fn raise_high_watermark(
        &mut self,
        now: Time,
        key: PartitionKey,
        ticket: &SyncTicket,
        synced: bool,
    ) {
        let waits = self.acks_wait_for_sync();
        let Some(partition) = self.partition_mut(key) else {
            return;
        };
        if let Role::Leader(leader) = &mut partition.role {
            if synced && leader.on_synced(now, ticket.upto()) {
                self.take_leaders_high_watermark(key);
            }
            return;
        }
        if matches!(partition.role, Role::Follower(_)) {
            // It may ask for more now.
            return self.touch(key);
        }
        if waits && synced && ticket.upto() > partition.high_watermark {
            partition.high_watermark = ticket.upto();
            // More may have come since the sync began: then those who wait are woken a little early.
            let bytes = std::mem::take(&mut partition.held_back_bytes);
            self.note_readable(key, bytes);
        }
    }

    fn answer_synced(&mut self, now: Time, connection: ConnectionId, synced: bool) {
        match self.parked.take(connection) {
            Some(Waiting::Produce(wait)) => self.answer_produce(connection, *wait, synced),
            Some(Waiting::Committed(parts)) if synced && !self.metadata_log.log().sync_failed() => {
                self.send(connection, parts);
            }
            Some(Waiting::Committed(_)) => {
                let why = "the metadata log could not be synced, so the outcome is unknown";
                self.close(now, connection, why.to_owned());
            }
            Some(other) => {
                // The connection was closed and its id is never reused, so this cannot be.
                unreachable!("this does not wait for a sync: {other:?}");
            }
            None => {}
        }
    }

    /// A partition's log is another one from now on: no sync that is under way says anything of it.
    pub(super) fn disown_syncs(&mut self, key: PartitionKey) {
        self.flushes.dirty.remove(&key);
        for under_way in self.flushes.under_way.values_mut() {
            let before = under_way.tickets.len();
            under_way.tickets.retain(|(of, _)| *of != key);
            under_way.refused |= under_way.tickets.len() < before;
        }
    }

    /// Whether a sync is under way or wanted: a clean stop waits for none of them, it syncs by itself.
    pub(super) fn forget_flushes(&mut self) {
        self.flushes.dirty.clear();
        self.flushes.due = None;
    }
}

/// The moment of the next sync with durability `os`: the same for every broker, because a file system makes one
/// effort of syncs that are asked for together, and holds up those who write meanwhile once.
fn next_sync(now: Time) -> Time {
    let intervals = now.as_ms().div_euclid(SYNC_INTERVAL_MS) + 1;
    Time::from_ms(intervals.saturating_mul(SYNC_INTERVAL_MS))
}
