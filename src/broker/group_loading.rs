//! Coming to coordinate groups, and ceasing to: the partitions of `__consumer_offsets` this broker leads are read from
//! their start before anything is answered.

use super::Broker;
use super::groups::{Coordinator, Stage};
use crate::group::{OFFSETS_TOPIC, Record, Refusal, Shard};
use crate::ids::{Offset, Time};
use crate::inspect::EventKind;
use crate::plants::{Plant, planted};
use crate::storage::Log;
use crate::wire::records::{BatchView, batches};

/// Bytes of a partition read in one verb.
const LOAD_BYTES: usize = 4 * 1024 * 1024;
/// Bytes one batch of records unpacks to at most.
const MAX_BATCH_BYTES: usize = 64 * 1024 * 1024;
/// Milliseconds after which a partition that could not be read is tried again.
const RETRY_MS: i64 = 200;

impl Broker {
    /// Begins to coordinate what this broker came to lead, and ends what it leads no more.
    pub(super) fn align_coordinators(&mut self, now: Time) {
        let gone = self.groups.by_partition.iter();
        let gone = gone.filter(|(_, coordinator)| !self.still_leads(coordinator));
        let gone: Vec<i32> = gone.map(|(index, _)| *index).collect();
        for index in gone {
            if let Some(mut coordinator) = self.groups.by_partition.remove(&index) {
                for (to, _) in coordinator.shard.end().replies {
                    self.refuse_waiting(to, Refusal::NotCoordinator);
                }
                self.shown.groups = None;
            }
        }
        let Some(id) = self.image.topic_named(OFFSETS_TOPIC).map(|topic| topic.id) else {
            return;
        };
        let Some(topic) = self.topics.get(&id) else {
            return;
        };
        let config = self.group_config();
        for (index, partition) in (0..).zip(&topic.partitions) {
            let leads = partition.role.leads();
            let log = partition.log.as_ref().filter(|_| leads);
            let Some(start) = log.map(Log::log_start) else {
                continue;
            };
            if self.groups.by_partition.contains_key(&index) {
                continue;
            }
            let coordinator = Coordinator {
                key: (id, index),
                epoch: partition.leader_epoch,
                stage: Stage::Loading(start),
                shard: Shard::new(config.clone()),
                applied: start,
                not_before: None,
                trouble: None,
            };
            self.groups.by_partition.insert(index, coordinator);
            self.groups.loading.insert(index);
        }
        for coordinator in self.groups.by_partition.values_mut() {
            coordinator.shard.set_config(config.clone());
            // What brought this broker here may have been a topic that was made or is gone.
            coordinator.shard.topics_changed();
        }
        self.load_groups(now);
    }

    /// Reads on in the partitions that are being read. One that cannot be read holds no other up.
    pub(super) fn load_groups(&mut self, now: Time) {
        let mut budget = LOAD_BYTES;
        let loading: Vec<i32> = self.groups.loading.iter().copied().collect();
        for index in loading {
            let not_before = |c: &Coordinator| c.not_before.is_some_and(|at| at > now);
            if self.groups.by_partition.get(&index).is_some_and(not_before) {
                continue;
            }
            self.groups.restless = true;
            while let Some(used) = self.load_piece(now, index, budget) {
                budget = budget.saturating_sub(used);
                let coordinator = self.groups.by_partition.get(&index);
                if coordinator.is_none_or(|c| c.stage == Stage::Active) {
                    self.groups.loading.remove(&index);
                    self.groups.stale |= !self.groups.later.is_empty();
                    break;
                }
                if budget == 0 {
                    return;
                }
            }
            match self.groups.by_partition.get_mut(&index) {
                None => {
                    self.groups.loading.remove(&index);
                }
                Some(coordinator) if coordinator.stage != Stage::Active => {
                    coordinator.not_before = Some(now.plus_ms(RETRY_MS));
                }
                Some(_) => {}
            }
        }
    }

    /// Reads the next piece of a partition; the bytes it took, `None` if it could not be read now.
    fn load_piece(&mut self, now: Time, index: i32, budget: usize) -> Option<usize> {
        let coordinator = self.groups.by_partition.get_mut(&index)?;
        let Stage::Loading(at) = coordinator.stage else {
            return Some(0);
        };
        let key = coordinator.key;
        let partition = self.topics.get_mut(&key.0)?.partition_mut(key.1)?;
        let log = partition.log.as_mut()?;
        let at = at.max(log.log_start());
        let end = log.log_end();
        let mut taken = 0;
        let mut next = at;
        let mut unread = None;
        if at < end {
            match log.read(&mut *self.disk, at, end, budget, true) {
                Ok(pieces) => {
                    for piece in &pieces {
                        taken += piece.len();
                        next = apply_piece(piece, next, &mut coordinator.shard, &mut unread);
                    }
                }
                Err(error) => return self.cannot_load(index, &error.to_string()),
            }
            if next <= at {
                return self.cannot_load(index, "a batch does not end behind its start");
            }
        }
        let coordinator = self.groups.by_partition.get_mut(&index)?;
        (coordinator.not_before, coordinator.trouble) = (None, None);
        coordinator.applied = next;
        coordinator.stage = Stage::Loading(next);
        if next >= end {
            coordinator.stage = Stage::Active;
            coordinator.shard.begin(now);
            self.shown.groups = None;
            // A topic may have been deleted while nobody coordinated what was committed for it.
            let committed = coordinator.shard.topics_committed();
            let gone = committed.filter(|topic| self.image.topic_named(topic).is_none());
            self.groups.topics_gone.extend(gone.map(str::to_owned));
        }
        if let Some(why) = unread {
            let path = format!("{OFFSETS_TOPIC}-{index}");
            let cause = format!("what cannot be read of its groups is passed over: {why}");
            self.note(EventKind::StorageFailed { path, cause });
        }
        Some(taken)
    }

    /// A partition cannot be read now: it is tried again, and people are told once why.
    fn cannot_load(&mut self, index: i32, why: &str) -> Option<usize> {
        let coordinator = self.groups.by_partition.get_mut(&index)?;
        let cause = format!("groups cannot be read: {why}");
        if coordinator.trouble.replace(cause.clone()).as_ref() != Some(&cause) {
            let path = format!("{OFFSETS_TOPIC}-{index}");
            self.note(EventKind::StorageFailed { path, cause });
        }
        None
    }
}

/// Applies the records of a piece of log; where it ends. The first that could not be read is told in `unread`.
fn apply_piece(
    piece: &[u8],
    from: Offset,
    shard: &mut Shard,
    unread: &mut Option<String>,
) -> Offset {
    let mut next = from;
    for batch in batches(piece).flatten() {
        if !batch.header().is_control()
            && let Err(why) = apply_batch(&batch, shard)
        {
            unread.get_or_insert_with(|| format!("at offset {next} and later: {why}"));
        }
        next = batch.header().next_offset();
    }
    next
}

/// Applies what can be read of a batch; why the first record that cannot be is not.
fn apply_batch(batch: &BatchView, shard: &mut Shard) -> Result<(), String> {
    let mut outcome = Ok(());
    let records = batch.records(MAX_BATCH_BYTES);
    let mut records = records.map_err(|error| error.to_string())?;
    while let Some(record) = records.next_record().map_err(|error| error.to_string())? {
        match Record::decode(record.key.unwrap_or_default(), record.value) {
            Ok(Some(Record::Offset { .. })) if planted(Plant::ForgetsOffsets) => {}
            Ok(Some(read)) => shard.apply(&read),
            // Of another kind.
            Ok(None) => {}
            Err(error) if outcome.is_ok() => outcome = Err(error.to_string()),
            Err(_) => {}
        }
    }
    outcome
}
