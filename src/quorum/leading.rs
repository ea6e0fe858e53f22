//! The leader's side: followers' fetches, the high watermark, and when to give up.
//!
//! A follower's fetch offset says what it has durably; a position counts only when its log agrees with the
//! leader's up to there, in this epoch. The high watermark is what a majority has, and moves only once it passes
//! the epoch's start (Raft §5.4.2). The leader itself counts with what it has synced.

use std::collections::{BTreeMap, BTreeSet};

use super::log_view::epoch_end;
use super::role::{Leading, Leaving, Progress};
use super::{Action, FetchAsked, FetchVerdict, LogView, Quorum, Role};
use crate::ids::{BrokerId, LeaderEpoch, Offset, Time};
use crate::plants::{Plant, planted};
use crate::wire::ErrorCode;

/// Observers a leader keeps count of; those that fetched longest ago are forgotten first.
const MAX_OBSERVERS: usize = 64;
/// Milliseconds of silence after which an observer is no longer shown, as in Kafka.
const OBSERVER_SESSION_MS: i64 = 300_000;

impl Leading {
    pub(super) fn new(now: Time, log_end: Offset) -> Leading {
        Leading {
            epoch_start: log_end,
            since: now,
            begun: BTreeMap::new(),
            progress: BTreeMap::new(),
        }
    }

    /// When the member last fetched; at first, as if it had when the epoch began.
    fn heard(&self, replica: BrokerId) -> Time {
        let progress = self.progress.get(&replica);
        progress.map_or(self.since, |progress| progress.last_fetch)
    }
}

impl Quorum {
    /// Judges a replica's Fetch of the metadata log and notes what it tells. Call it once per request; a
    /// request that was held back is judged again by [`Quorum::judge_fetch`].
    pub fn on_fetch(&mut self, now: Time, log: &dyn LogView, asked: &FetchAsked) -> FetchVerdict {
        let verdict = self.judge_fetch(log, asked);
        let end = match verdict {
            FetchVerdict::Read { from, .. } => Some(from),
            FetchVerdict::Diverging { .. } | FetchVerdict::Snapshot { .. } => None,
            FetchVerdict::Refused { .. } => {
                self.turn(now, log);
                return verdict;
            }
        };
        let told = asked.high_watermark;
        self.note_progress(now, log.end(), asked.replica, told, end);
        self.raise_leader_high_watermark(log);
        self.turn(now, log);
        self.judge_fetch(log, asked)
    }

    /// What a Fetch is to be answered with at this moment.
    pub fn judge_fetch(&self, log: &dyn LogView, asked: &FetchAsked) -> FetchVerdict {
        let refused = |error| FetchVerdict::Refused {
            error,
            leader: self.leader(),
            epoch: self.epoch,
        };
        if let Some(error) = self.refuses_fetch(asked.replica, asked.leader_epoch) {
            return refused(error);
        }
        let (leader, leader_epoch) = (self.config.me, self.epoch);
        if let Some(id) = self.lacking(log, asked) {
            return FetchVerdict::Snapshot {
                id,
                leader,
                leader_epoch,
            };
        }
        let (epoch, end) = epoch_end(log, asked.last_fetched_epoch);
        let agrees = epoch == asked.last_fetched_epoch && asked.fetch_offset <= end;
        let begins = asked.fetch_offset == log.start() && log.start() == Offset::ZERO;
        let overlooks =
            planted(Plant::OverlooksMetadataDivergence) && asked.fetch_offset <= log.end();
        if !agrees && !begins && !overlooks {
            return FetchVerdict::Diverging {
                epoch,
                end,
                leader,
                leader_epoch,
            };
        }
        if asked.fetch_offset < log.start() {
            return refused(ErrorCode::OffsetOutOfRange);
        }
        let told = asked.high_watermark;
        let behind = told.is_some_and(|told| self.high_watermark.is_some_and(|hw| hw > told));
        FetchVerdict::Read {
            from: asked.fetch_offset,
            below: log.end(),
            high_watermark: self.high_watermark,
            news: behind || asked.fetch_offset < log.end(),
            leader,
            leader_epoch,
        }
    }

    /// Why a replica that believes in `epoch` is not served, if it is not.
    pub(super) fn refuses_fetch(&self, replica: BrokerId, epoch: LeaderEpoch) -> Option<ErrorCode> {
        if epoch < self.epoch {
            return Some(ErrorCode::FencedLeaderEpoch);
        }
        if epoch > self.epoch {
            return Some(ErrorCode::UnknownLeaderEpoch);
        }
        if !self.is_leader() {
            return Some(ErrorCode::NotLeaderOrFollower);
        }
        (replica == self.config.me).then_some(ErrorCode::InvalidRequest)
    }

    /// Notes how far a replica is.
    pub(super) fn note_progress(
        &mut self,
        now: Time,
        log_end: Offset,
        replica: BrokerId,
        high_watermark: Option<Offset>,
        end: Option<Offset>,
    ) {
        let Role::Leader(leading) = &mut self.role else {
            return;
        };
        let before = leading.progress.get(&replica).copied();
        let caught_up = match (end, before) {
            (Some(end), _) if end >= log_end => Some(now),
            // It has what there was at its last fetch, so it was caught up then.
            (Some(end), Some(before)) if end >= before.end_then => {
                before.caught_up.max(Some(before.last_fetch))
            }
            (_, before) => before.and_then(|before| before.caught_up),
        };
        let progress = Progress {
            end,
            high_watermark,
            last_fetch: now,
            caught_up,
            end_then: log_end,
        };
        leading.progress.insert(replica, progress);
        if !self.config.voters.contains(&replica) {
            self.forget_observers(now);
        }
    }

    /// Forgets observers that are silent or too many.
    fn forget_observers(&mut self, now: Time) {
        let Role::Leader(leading) = &mut self.role else {
            return;
        };
        let voters = &self.config.voters;
        let silent = |progress: &Progress| progress.last_fetch.plus_ms(OBSERVER_SESSION_MS) <= now;
        leading
            .progress
            .retain(|id, progress| voters.contains(id) || !silent(progress));
        let observers = leading
            .progress
            .iter()
            .filter(|(id, _)| !voters.contains(id));
        let mut by_silence: Vec<(Time, BrokerId)> = observers
            .map(|(id, progress)| (progress.last_fetch, *id))
            .collect();
        by_silence.sort();
        let too_many = by_silence.len().saturating_sub(MAX_OBSERVERS);
        for (_, id) in by_silence.into_iter().take(too_many) {
            leading.progress.remove(&id);
        }
    }

    /// Moves the high watermark to what a majority of voters has durably.
    pub(super) fn raise_leader_high_watermark(&mut self, log: &dyn LogView) {
        let Role::Leader(leading) = &self.role else {
            return;
        };
        let own = match planted(Plant::CountsUnsynced) {
            true => log.end(),
            false => log.durable_end(),
        };
        let position = |voter: &BrokerId| match *voter == self.config.me {
            true => own,
            false => leading
                .progress
                .get(voter)
                .and_then(|progress| progress.end)
                .unwrap_or(Offset::NONE),
        };
        let mut positions: Vec<Offset> = self.config.voters.iter().map(position).collect();
        positions.sort();
        positions.reverse();
        let reached = match planted(Plant::CommitsAlone) {
            true => positions[0],
            false => positions[self.config.majority() - 1],
        };
        let counts = reached > leading.epoch_start || planted(Plant::CountsOldEpochs);
        if counts {
            self.raise_high_watermark(reached.min(log.end()));
        }
    }

    /// Tells of a higher high watermark; it never falls.
    pub(super) fn raise_high_watermark(&mut self, to: Offset) {
        if to >= Offset::ZERO && self.high_watermark.is_none_or(|before| before < to) {
            self.high_watermark = Some(to);
            self.actions.push(Action::HighWatermark(to));
        }
    }

    /// When a leader that hears no majority gives up.
    pub(super) fn patience_ends(&self, leading: &Leading) -> Option<Time> {
        // The leader hears itself.
        let needed = self.config.majority() - 1;
        if needed == 0 || planted(Plant::LeadsAlone) {
            return None;
        }
        let mut heard: Vec<Time> = self
            .peers()
            .iter()
            .map(|voter| leading.heard(*voter))
            .collect();
        heard.sort();
        heard.reverse();
        let patience_ms = self.config.fetch_timeout_ms + self.config.fetch_timeout_ms / 2;
        Some(heard[needed - 1].plus_ms(patience_ms))
    }

    /// When the voter is to be told (again) that the epoch began: while it does not fetch.
    pub(super) fn begin_due(&self, leading: &Leading, voter: BrokerId) -> Time {
        let fetched = leading
            .progress
            .get(&voter)
            .map(|progress| progress.last_fetch);
        let silent = fetched.map(|at| at.plus_ms(self.config.fetch_timeout_ms));
        let again = leading.begun.get(&voter);
        let again = again.map(|at| at.plus_ms(self.config.fetch_timeout_ms / 2));
        silent.max(again).unwrap_or(leading.since)
    }

    /// Gives leadership up and tells everybody, the farthest voters first in line to follow.
    pub(super) fn step_down(&mut self, now: Time) {
        let Role::Leader(leading) = &self.role else {
            return;
        };
        let untold: BTreeSet<BrokerId> = self.peers();
        let mut successors: Vec<BrokerId> = untold.iter().copied().collect();
        let end = |id: &BrokerId| leading.progress.get(id).and_then(|progress| progress.end);
        successors.sort_by_key(|id| std::cmp::Reverse(end(id)));
        let wait_ms = self.config.election_timeout_ms + self.random_ms();
        let until = now.plus_ms(wait_ms);
        let leaving = Leaving {
            until,
            untold,
            successors,
        };
        self.enter(self.epoch, self.voted, Role::Resigned(leaving));
    }
}
