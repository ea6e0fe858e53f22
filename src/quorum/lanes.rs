//! What is in flight to each peer, and when it may be tried again.
//!
//! Guarantees: one request per peer and lane; an answer is matched to the question it answers, because a Vote's
//! response does not say what was asked.

use std::collections::BTreeMap;

use super::action::QuorumLane;
use super::snapshots::Download;
use crate::ids::{BrokerId, LeaderEpoch, Offset, Time};

/// Milliseconds before the first new try after a failure; doubled with every further one.
const RETRY_BACKOFF_MS: i64 = 20;
/// Doublings after which the wait is bounded by the configuration in any case.
const MAX_DOUBLINGS: u32 = 8;

/// What a peer was asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Question {
    Vote {
        round: u64,
    },
    Begin,
    End {
        epoch: LeaderEpoch,
    },
    Fetch {
        epoch: LeaderEpoch,
        offset: Offset,
    },
    Snapshot {
        epoch: LeaderEpoch,
        download: Download,
    },
}

#[derive(Debug, Clone, Default)]
struct Lane {
    in_flight: Option<(Question, Time)>,
    failures: u32,
    retry_at: Option<Time>,
}

/// All lanes to all peers.
#[derive(Debug, Clone, Default)]
pub(super) struct Lanes {
    lanes: BTreeMap<(BrokerId, QuorumLane), Lane>,
}

impl Lanes {
    /// Notes that a question is on its way; unanswered by `until`, it is given up.
    pub fn asked(&mut self, to: BrokerId, lane: QuorumLane, question: Question, until: Time) {
        let lane = self.lanes.entry((to, lane)).or_default();
        assert!(
            lane.in_flight.is_none(),
            "one request in flight per peer and lane"
        );
        lane.in_flight = Some((question, until));
    }

    /// Takes the question an answer belongs to; `None` if nothing was asked.
    pub fn answered(&mut self, from: BrokerId, lane: QuorumLane) -> Option<Question> {
        let lane = self.lanes.get_mut(&(from, lane))?;
        let (question, _) = lane.in_flight.take()?;
        lane.failures = 0;
        lane.retry_at = None;
        Some(question)
    }

    /// Notes a failure: the next try waits, the longer the more of them there were.
    /// Returns how many failures in a row there were.
    pub fn failed(&mut self, now: Time, peer: BrokerId, lane: QuorumLane, max_ms: i64) -> u32 {
        let lane = self.lanes.entry((peer, lane)).or_default();
        lane.in_flight = None;
        let doublings = lane.failures.min(MAX_DOUBLINGS);
        let wait_ms = (RETRY_BACKOFF_MS << doublings).min(max_ms);
        lane.failures = lane.failures.saturating_add(1);
        lane.retry_at = Some(now.plus_ms(wait_ms));
        lane.failures
    }

    /// Lets the next try wait: the peer answered, but not with what was wanted.
    pub fn hold(&mut self, now: Time, peer: BrokerId, lane: QuorumLane, wait_ms: i64) {
        let lane = self.lanes.entry((peer, lane)).or_default();
        lane.retry_at = Some(now.plus_ms(wait_ms));
    }

    /// Lets the next try come at once.
    pub fn retry_now(&mut self, peer: BrokerId, lane: QuorumLane) {
        if let Some(lane) = self.lanes.get_mut(&(peer, lane)) {
            lane.retry_at = None;
        }
    }

    /// When the lane may carry a request that is due at `due`: `None` while one is in flight.
    pub fn free_at(&self, peer: BrokerId, lane: QuorumLane, due: Time) -> Option<Time> {
        let Some(lane) = self.lanes.get(&(peer, lane)) else {
            return Some(due);
        };
        match lane.in_flight {
            Some(_) => None,
            None => Some(lane.retry_at.map_or(due, |retry| retry.max(due))),
        }
    }

    /// Whether a request is in flight.
    pub fn is_busy(&self, peer: BrokerId, lane: QuorumLane) -> bool {
        self.free_at(peer, lane, Time(0)).is_none()
    }

    /// The lanes whose requests took too long.
    pub fn overdue(&self, now: Time) -> Vec<(BrokerId, QuorumLane)> {
        let overdue = |lane: &Lane| lane.in_flight.is_some_and(|(_, until)| until <= now);
        let lanes = self.lanes.iter();
        lanes
            .filter(|(_, lane)| overdue(lane))
            .map(|(key, _)| *key)
            .collect()
    }

    /// Forgets fetches in flight to anybody but `leader`; returns whom they went to.
    pub fn drop_fetches_but(&mut self, leader: Option<BrokerId>) -> Vec<BrokerId> {
        let mut dropped = Vec::new();
        for ((peer, lane), state) in &mut self.lanes {
            let other = *lane == QuorumLane::Fetch && Some(*peer) != leader;
            if other && state.in_flight.take().is_some() {
                dropped.push(*peer);
            }
        }
        dropped
    }

    /// When the next request takes too long.
    pub fn next_deadline(&self) -> Option<Time> {
        let in_flight = self.lanes.values().filter_map(|lane| lane.in_flight);
        in_flight.map(|(_, until)| until).min()
    }
}
