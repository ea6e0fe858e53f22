//! The follower's side: fetching the metadata log from the leader, and what its answers mean.
//!
//! The next fetch is sent only when everything before it is synced, because its offset is this voter's word
//! that it has the records. Where the leader's log parts from this one the log is cut back to the common
//! prefix, never below what is committed; where its log begins behind this one a snapshot takes the log's place.

use super::lanes::Question;
use super::log_view::epoch_end;
use super::role::{Following, Unattached};
use super::snapshots::Download;
use super::{FetchTold, FollowerStep, LogView, Quorum, QuorumLane, Role};
use crate::ids::{BrokerId, LeaderEpoch, Offset, Time};
use crate::plants::{Plant, planted};
use crate::wire::ErrorCode;

/// Milliseconds before a peer that answered without serving is asked again.
pub(super) const REFUSED_BACKOFF_MS: i64 = 20;
/// Connections lost in a row, with no answer between them, after which the leader is taken for dead: the first
/// may be its restart, the second says that nobody listens.
const LOSSES_OF_THE_DEAD: u32 = 2;

impl Following {
    /// Whether the leader's connection says that it is dead.
    pub(super) fn is_suspect(&self) -> bool {
        self.losses >= LOSSES_OF_THE_DEAD
    }

    /// The leader answered.
    pub(super) fn heard(&mut self, now: Time, wait_ms: i64) {
        self.contact = Some(now);
        self.losses = 0;
        self.until = now.plus_ms(wait_ms);
    }
}

impl Quorum {
    /// Takes the answer to a Fetch of the metadata log in; the step is the owner's to do before anything else.
    pub fn on_fetch_response(
        &mut self,
        now: Time,
        log: &dyn LogView,
        from: BrokerId,
        told: &FetchTold,
    ) -> FollowerStep {
        let step = match self.lanes.answered(from, QuorumLane::Fetch) {
            Some(Question::Fetch { epoch, offset }) => {
                let follows = self.leader() == Some(from) && epoch == self.epoch;
                if follows && told.error == ErrorCode::None {
                    self.take_fetched(now, log, offset, told)
                } else {
                    self.take_refusal(now, from, told.error, told.epoch, told.leader);
                    FollowerStep::Nothing
                }
            }
            _ => FollowerStep::Nothing,
        };
        self.turn(now, log);
        step
    }

    /// An answer from the leader to a fetch at `offset`.
    fn take_fetched(
        &mut self,
        now: Time,
        log: &dyn LogView,
        offset: Offset,
        told: &FetchTold,
    ) -> FollowerStep {
        let wait_ms = self.config.fetch_timeout_ms + self.random_ms();
        let committed = self.high_watermark.max(log.snapshot().map(|id| id.end));
        let Role::Follower(following) = &mut self.role else {
            return FollowerStep::Nothing;
        };
        following.heard(now, wait_ms);
        if offset != log.end() {
            return FollowerStep::Nothing;
        }
        let parts = told.diverging;
        let parts = parts.map(|(epoch, end)| common_end(log, epoch, end));
        if let Some(cut_at) = parts.or(told.snapshot.map(|id| id.end)) {
            if let Some(high_watermark) = committed.filter(|committed| cut_at < *committed) {
                let (leader, lane) = (following.leader, QuorumLane::Fetch);
                self.lanes.hold(now, leader, lane, wait_ms);
                return FollowerStep::Contradicted {
                    cut_at,
                    high_watermark,
                };
            }
            following.leader_high_watermark = None;
            if let Some(id) = told.snapshot.filter(|_| parts.is_none()) {
                following.download = Some(Download::new(id));
                return FollowerStep::Nothing;
            }
            following.step = Some(log.end());
            return FollowerStep::Truncate(cut_at);
        }
        following.leader_high_watermark = told.high_watermark;
        if told.got_records {
            following.step = Some(log.end());
            return FollowerStep::Append;
        }
        self.raise_follower_high_watermark(log);
        FollowerStep::Nothing
    }

    /// Not served, or by one that is not followed any more.
    pub(super) fn take_refusal(
        &mut self,
        now: Time,
        from: BrokerId,
        error: ErrorCode,
        epoch: LeaderEpoch,
        leader: Option<BrokerId>,
    ) {
        let lane = QuorumLane::Fetch;
        self.lanes.hold(now, from, lane, REFUSED_BACKOFF_MS);
        let before = self.epoch;
        self.learn(now, epoch, leader);
        let leads_no_more = error == ErrorCode::NotLeaderOrFollower
            && epoch == before
            && self.epoch == before
            && self.leader() == Some(from);
        if leads_no_more {
            let role = self.unattached_within(now, self.config.election_backoff_max_ms);
            self.enter(self.epoch, self.voted, role);
        }
    }

    /// The local log is another one now.
    pub(super) fn after_log_changed(&mut self, now: Time, log: &dyn LogView) {
        let mut restored = None;
        if let Role::Follower(following) = &mut self.role {
            following.waits_for_log = false;
            let unchanged = following.step.take() == Some(log.end());
            let snapshot = following.download.take_if(|download| download.whole);
            restored = snapshot.filter(|snapshot| log.snapshot() == Some(snapshot.id));
            if unchanged && restored.is_none() {
                // The owner could not do the step: the next try is not at once.
                let (leader, lane) = (following.leader, QuorumLane::Fetch);
                self.lanes.hold(now, leader, lane, REFUSED_BACKOFF_MS);
            }
        }
        if let Some(snapshot) = restored {
            self.raise_high_watermark(snapshot.id.end);
        }
        self.raise_follower_high_watermark(log);
        self.raise_leader_high_watermark(log);
    }

    /// The connection to a peer's fetch lane was lost.
    pub(super) fn after_leader_lost(&mut self, now: Time, peer: BrokerId) {
        let soon = now.plus_ms(self.random_ms());
        let Role::Follower(following) = &mut self.role else {
            return;
        };
        if following.leader == peer {
            following.losses = following.losses.saturating_add(1);
            if following.is_suspect() {
                following.until = following.until.min(soon);
            }
        }
    }

    /// The leader was silent for too long.
    pub(super) fn lose_leader(&mut self, now: Time, log: &dyn LogView, leader: BrokerId) {
        if self.is_voter() && !self.stopping {
            self.sound_out(now, log, Some(leader));
        } else {
            let role = Role::Unattached(Unattached::default());
            self.enter(self.epoch, self.voted, role);
        }
    }

    /// What the leader has committed of the local log. Its last good answer agreed with the log to its end.
    fn raise_follower_high_watermark(&mut self, log: &dyn LogView) {
        if let Role::Follower(following) = &self.role
            && following.step.is_none()
            && let Some(committed) = following.leader_high_watermark
        {
            self.raise_high_watermark(committed.min(log.end()));
        }
    }

    /// Whether the log is such that its end may be told to the leader.
    pub(super) fn may_fetch(&self, log: &dyn LogView) -> bool {
        let synced = log.durable_end() >= log.end();
        synced || planted(Plant::FetchesBeforeSync)
    }
}

/// Where the local log and a leader's part, when the leader's part of `epoch` ends at `end`.
pub(super) fn common_end(log: &dyn LogView, epoch: LeaderEpoch, end: Offset) -> Offset {
    let (own_epoch, own_end) = epoch_end(log, epoch);
    match own_epoch == epoch {
        true => own_end.min(end),
        // The log has nothing of that epoch: all newer than the last one before it is not the leader's.
        false => own_end,
    }
}
