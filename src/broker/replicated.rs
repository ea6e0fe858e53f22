//! What followers are answered, and what becomes of their logs.
//!
//! A cut is announced before it is made: no checkpoint may say that what is behind it was synced.

use bytes::Bytes;

use super::Broker;
use super::effect::{Effect, PeerLane};
use super::partition::{PartitionKey, Role};
use super::peers::Told;
use super::replicas::partition_of;
use super::ticks::log_key;
use crate::ids::{BrokerId, LeaderEpoch, Offset, PartitionIndex, Time};
use crate::inspect::EventKind;
use crate::replica::{Cut, Fetched, LogFacts, Step};
use crate::storage::{Disk, Log, StorageError};
use crate::wire::messages::fetch::FetchResponse;

impl Broker {
    /// A leader answered a follower's fetch.
    pub(super) fn on_replica_answer(&mut self, now: Time, from: BrokerId, mut told: Told) {
        let response = FetchResponse::decode(&mut told.body, told.version);
        let Ok(response) = response else {
            let (to, lane) = (from, PeerLane::Replica);
            self.effects.push(Effect::Hangup { to, lane });
            return self.on_replica_lost(now, from);
        };
        let member = self.member.as_mut();
        let Some(fetcher) = member.and_then(|m| m.fetchers.get_mut(&from)) else {
            return;
        };
        // An error of the whole request is the fetcher's to try again after.
        let fetched = fetcher.on_response(now, response).unwrap_or_default();
        for one in fetched {
            self.take_replicated(now, from, one);
        }
    }

    /// The connection to a leader is gone.
    pub(super) fn on_replica_lost(&mut self, now: Time, leader: BrokerId) {
        let member = self.member.as_mut();
        if let Some(fetcher) = member.and_then(|m| m.fetchers.get_mut(&leader)) {
            fetcher.on_lost(now);
        }
    }

    /// Has the checkpoint on disk say no more than what a step leaves of a log.
    fn announce_cut(&mut self, key: PartitionKey, step: &Step) -> Result<(), StorageError> {
        let to = match step {
            Step::Truncate(cut) | Step::Restart(cut) => cut.to,
            Step::Begin(base, _) => *base,
            Step::Append(_) | Step::Settle | Step::Ignore => return Ok(()),
        };
        let Some(topic) = self.topics.get(&key.0) else {
            return Ok(());
        };
        let name = log_key(&topic.name, key.1, key.0);
        let log = topic.partition(key.1).and_then(|p| p.log.as_ref());
        let end = log.map_or(Offset::ZERO, |log| log.whole_segments_end(to));
        self.dir.lower_recovery_point(&mut *self.disk, &name, end)
    }

    /// Does what a leader's answer about one partition calls for.
    fn take_replicated(&mut self, now: Time, from: BrokerId, one: Fetched) {
        let key: PartitionKey = (one.key.0, one.key.1.0);
        let Some(partition) = partition_of(&mut self.topics, key) else {
            return;
        };
        let (Role::Follower(follower), Some(log)) = (&mut partition.role, &mut partition.log)
        else {
            return;
        };
        if follower.leader() != from {
            return;
        }
        let bytes = one.records.len() as u64;
        let log_end = log.log_end();
        let facts = LogFacts::from(&*log);
        let step = follower.on_answer(now, &one.asked, &one.told, one.records, facts);
        if step == Step::Ignore {
            return self.touch(key);
        }
        let changed = step != Step::Settle;
        let cut = match &step {
            Step::Truncate(cut) | Step::Restart(cut) => Some(*cut),
            _ => None,
        };
        let lowered = self.announce_cut(key, &step);
        let Some(partition) = partition_of(&mut self.topics, key) else {
            return;
        };
        let (Role::Follower(follower), Some(log)) = (&mut partition.role, &mut partition.log)
        else {
            return;
        };
        let disk = &mut *self.disk;
        let done = lowered.map_err(|error| error.to_string());
        let done = done.and_then(|()| carry_out(step, log, disk, now));
        let done = done.and_then(|()| match follower.on_step_done(LogFacts::from(&*log)) {
            Some(start) => log
                .set_log_start(disk, start)
                .map_err(|error| error.to_string()),
            None => Ok(()),
        });
        let cut = cut.filter(|_| done.is_ok());
        if let Err(why) = done {
            follower.on_step_failed(now, why, LogFacts::from(&*log));
        }
        let epoch = follower.leader_epoch();
        let least = log.log_start();
        partition.high_watermark = follower.high_watermark().max(least).min(log.log_end());
        if changed {
            partition.counters.bytes_in += bytes;
            self.note_dirty(now, key);
            self.take_log_notes(now, key);
        }
        if let Some(cut) = cut {
            self.tell_cut(key, log_end, cut, (from, epoch));
        }
        self.shown.touch(key.0);
        self.touch(key);
    }

    fn tell_cut(
        &mut self,
        key: PartitionKey,
        log_end: Offset,
        cut: Cut,
        (leader, epoch): (BrokerId, LeaderEpoch),
    ) {
        let cause = match cut.to < log_end {
            true => format!("broker {leader}, its leader in epoch {epoch}, has other records"),
            false => format!("the log of its leader, broker {leader}, begins there"),
        };
        let Some(topic) = self.topics.get(&key.0) else {
            return;
        };
        self.note(EventKind::LogTruncated {
            topic: topic.name.to_string(),
            partition: PartitionIndex(key.1),
            from: log_end,
            to: cut.to,
            below_high_watermark: cut.below_high_watermark,
            cause,
        });
    }
}

/// Does to a follower's log what its leader's answer called for.
fn carry_out(step: Step, log: &mut Log, disk: &mut dyn Disk, now: Time) -> Result<(), String> {
    match step {
        Step::Ignore | Step::Settle => Ok(()),
        Step::Append(records) => append(log, disk, now, &records),
        Step::Begin(base, records) => {
            let begun = log.restart_at(disk, base);
            begun.map_err(|error| error.to_string())?;
            append(log, disk, now, &records)
        }
        Step::Truncate(cut) => log
            .truncate_to(disk, now, cut.to)
            .map(|_| ())
            .map_err(|error| error.to_string()),
        Step::Restart(cut) => log
            .restart_at(disk, cut.to)
            .map_err(|error| error.to_string()),
    }
}

fn append(log: &mut Log, disk: &mut dyn Disk, now: Time, records: &Bytes) -> Result<(), String> {
    log.append_as_follower(disk, now, records)
        .map(|_| ())
        .map_err(|error| error.to_string())
}
