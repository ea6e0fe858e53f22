//! Who is controller, and which metadata records are committed: KRaft's state machine with pre-vote (KIP-595,
//! KIP-996). *Pure.*
//!
//! [`Quorum`] is one broker's part in it. Requests, answers and time go in, with a [`LogView`] of the local
//! metadata log; answers come back from the verbs and everything else as [`Action`]s. After **every** verb the
//! owner drains [`Quorum::actions`] and carries them out in order, an [`Action::Persist`] before it lets the
//! verb's own answer leave; then it looks at [`Quorum::next_wakeup`].
//!
//! Guarantees, with majorities of voters that keep what they synced: one leader per epoch (K1); what is
//! committed anywhere is a prefix of every later leader's log (K2); a member's high watermark only grows while it
//! lives (K3) and covers only what a majority has synced, including a record of the leader's own epoch (K4,
//! Raft §5.4.2). A leader that a majority has not fetched from steps down by itself.
//!
//! What it does not do: read or write records, encode messages, change the set of voters, make snapshots. A voter
//! that lost its `quorum-state` may vote twice: that file is as precious as the log.
//!
//! Differs from Apache Kafka: a follower whose connection to the leader was lost twice in a row without an
//! answer takes it for dead at once instead of after the fetch timeout, because in one machine a refused connection
//! says so; pre-votes keep a mistake harmless. The first wait for an election is short, for the same reason.
//!
//! Reading order: `config`, `role`, `action`; this file (verbs, transitions), `turn` (what time does and
//! what is sent), `votes`, `leading`, `following`, `snapshots`, `describe`; `requests` and `fetches` (the protocol's messages),
//! `lanes` (what is in flight), `election_state` (the file).

mod action;
mod config;
mod describe;
mod election_state;
mod fetches;
mod following;
mod lanes;
mod leading;
mod log_view;
mod requests;
mod role;
mod snapshots;
mod turn;
mod votes;

#[cfg(test)]
mod tests;

use std::collections::BTreeSet;

use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};

pub use action::{Action, QuorumLane, QuorumRequest};
pub use config::{
    ELECTION_BACKOFF_MAX_MS, ELECTION_TIMEOUT_MS, FETCH_TIMEOUT_MS, QuorumConfig,
    REQUEST_TIMEOUT_MS,
};
pub use describe::{QuorumView, ReplicaView};
pub use election_state::{ElectionState, ElectionStateError};
pub use fetches::{FetchAsked, FetchTold, FetchVerdict, FollowerStep, MAX_FETCH_BYTES};
pub use log_view::LogView;
pub use requests::{METADATA_TOPIC, METADATA_TOPIC_ID};
pub use role::RoleName;
pub use snapshots::{
    MAX_SNAPSHOT_PIECE_BYTES, SnapshotAsked, SnapshotId, SnapshotPiece, SnapshotTold,
    SnapshotVerdict,
};

use crate::ids::{BrokerId, LeaderEpoch, Offset, Time};
use crate::plants::{Plant, planted};
use crate::wire::ErrorCode;
use lanes::Lanes;
use requests::Told;
use role::{Following, Leading, Role, Round, Unattached};

/// One broker's part in the metadata quorum. See the module for how to drive it.
#[derive(Debug)]
pub struct Quorum {
    config: QuorumConfig,
    epoch: LeaderEpoch,
    voted: Option<BrokerId>,
    role: Role,
    high_watermark: Option<Offset>,
    lanes: Lanes,
    random: SmallRng,
    rounds: u64,
    /// A clean stop has begun: this broker stands for no election any more.
    stopping: bool,
    /// What the owner was last told to remember.
    persisted: ElectionState,
    /// Leader and epoch the owner was last told of.
    told: (Option<BrokerId>, LeaderEpoch),
    actions: Vec<Action>,
}

impl Quorum {
    /// A member with what it remembers. Call [`Quorum::on_tick`] right after: a sole voter leads from then on.
    pub fn new(config: QuorumConfig, saved: Option<ElectionState>, seed: u64, now: Time) -> Quorum {
        let saved = saved.unwrap_or(ElectionState::FIRST);
        let mut quorum = Quorum {
            config,
            epoch: saved.epoch,
            voted: saved.voted,
            role: Role::Unattached(Unattached::default()),
            high_watermark: None,
            lanes: Lanes::default(),
            random: SmallRng::seed_from_u64(seed),
            rounds: 0,
            stopping: false,
            persisted: saved,
            told: (None, saved.epoch),
            actions: Vec::new(),
        };
        let hint = saved.leader.filter(|leader| quorum.may_lead(*leader));
        quorum.role = match hint {
            Some(leader) => Role::Follower(quorum.following(now, leader)),
            None => quorum.unattached_within(now, quorum.config.election_backoff_max_ms / 2),
        };
        quorum.tell_leader();
        quorum
    }

    /// Takes what the owner must carry out, in order. Call it after every other verb.
    pub fn actions(&mut self) -> Vec<Action> {
        std::mem::take(&mut self.actions)
    }

    /// The metadata log grew, was cut or was synced. Call it after each of these, and after a step that
    /// [`Quorum::on_fetch_response`] asked for, even when it could not be done.
    pub fn on_log_changed(&mut self, now: Time, log: &dyn LogView) {
        self.after_log_changed(now, log);
        self.turn(now, log);
    }

    /// A connection to a peer was lost or could not be made; what was in flight on it is gone.
    pub fn on_peer_lost(&mut self, now: Time, log: &dyn LogView, peer: BrokerId, lane: QuorumLane) {
        let max_ms = self.config.election_backoff_max_ms;
        let failures = self.lanes.failed(now, peer, lane, max_ms);
        match (&mut self.role, lane) {
            // An old connection to a broker that has started anew fails once.
            (Role::Leader(leading), QuorumLane::Election) if failures == 1 => {
                leading.begun.remove(&peer);
            }
            (_, QuorumLane::Fetch) => self.after_leader_lost(now, peer),
            _ => {}
        }
        self.turn(now, log);
    }

    /// A clean stop begins: gives leadership up, naming who should follow, and stands for no election any more.
    /// The broker may end once [`Quorum::is_leaving`] is over, or when it does not want to wait longer.
    pub fn resign(&mut self, now: Time, log: &dyn LogView) {
        self.stopping = true;
        match &self.role {
            Role::Leader(_) => self.step_down(now),
            Role::Candidate(_) | Role::Prospective(_) => {
                self.enter(
                    self.epoch,
                    self.voted,
                    Role::Unattached(Unattached::default()),
                );
            }
            Role::Unattached(_) | Role::Follower(_) | Role::Resigned(_) => {}
        }
        self.turn(now, log);
    }

    /// Gives leadership up for now, because decisions cannot be written: whoever else can may lead.
    pub fn step_aside(&mut self, now: Time, log: &dyn LogView) {
        if matches!(self.role, Role::Leader(_)) {
            self.step_down(now);
        }
        self.turn(now, log);
    }

    /// Whether there are voters yet to be told that this broker gave leadership up.
    pub fn is_leaving(&self) -> bool {
        matches!(&self.role, Role::Resigned(leaving) if !leaving.untold.is_empty())
    }

    /// The leader of the current epoch, as far as this broker knows.
    pub fn leader(&self) -> Option<BrokerId> {
        match &self.role {
            Role::Leader(_) => Some(self.config.me),
            Role::Follower(following) => Some(following.leader),
            _ => None,
        }
    }

    /// Whether this broker leads the current epoch.
    pub fn is_leader(&self) -> bool {
        matches!(self.role, Role::Leader(_))
    }

    /// Whether this broker is one of those who elect.
    pub fn is_voter(&self) -> bool {
        self.config.voters.contains(&self.config.me)
    }

    pub fn epoch(&self) -> LeaderEpoch {
        self.epoch
    }

    /// Everything below is committed; `None` until the quorum told.
    pub fn high_watermark(&self) -> Option<Offset> {
        self.high_watermark
    }

    pub fn config(&self) -> &QuorumConfig {
        &self.config
    }

    /// What must hold at any moment.
    pub fn check(&self) {
        let state = self.election_state();
        let promised = (self.persisted.epoch, self.persisted.voted);
        let forgets = planted(Plant::ForgetsVotes);
        assert!(
            forgets || promised == (state.epoch, state.voted),
            "a vote is promised only once it is written down"
        );
        assert_eq!(self.told, (self.leader(), self.epoch));
        match &self.role {
            Role::Leader(_) | Role::Candidate(_) | Role::Resigned(_) => {
                assert_eq!(
                    self.voted,
                    Some(self.config.me),
                    "K1: elected by itself, too"
                );
                assert!(self.is_voter());
            }
            Role::Follower(following) => assert_ne!(following.leader, self.config.me),
            Role::Prospective(_) => assert!(self.is_voter() && !self.stopping),
            Role::Unattached(_) => {}
        }
        if let Role::Prospective(round) | Role::Candidate(round) = &self.role {
            assert!(round.granted.contains(&self.config.me));
            assert!(round.granted.is_disjoint(&round.refused));
            assert!(round.granted.is_subset(&self.config.voters));
        }
    }

    fn election_state(&self) -> ElectionState {
        ElectionState {
            epoch: self.epoch,
            leader: self.leader(),
            voted: self.voted,
        }
    }

    /// The one way from role to role: tells the owner what to write down and who leads.
    fn enter(&mut self, epoch: LeaderEpoch, voted: Option<BrokerId>, role: Role) {
        assert!(
            epoch >= self.epoch,
            "an epoch is never left for an older one"
        );
        let kept = epoch > self.epoch || self.voted.is_none() || self.voted == voted;
        assert!(
            kept || planted(Plant::VotesTwice),
            "K1: a vote stands for its whole epoch"
        );
        self.epoch = epoch;
        self.voted = voted;
        self.role = role;
        let state = self.election_state();
        // A leader alone is not worth a sync: it is only a hint.
        let promised = (self.persisted.epoch, self.persisted.voted);
        let forgets = planted(Plant::ForgetsVotes);
        if promised != (epoch, voted) && !forgets {
            self.persisted = state;
            self.actions.push(Action::Persist(state));
        }
        self.tell_leader();
        for to in self.lanes.drop_fetches_but(self.leader()) {
            let lane = QuorumLane::Fetch;
            self.actions.push(Action::Hangup { to, lane });
        }
    }

    fn tell_leader(&mut self) {
        let (leader, epoch) = (self.leader(), self.epoch);
        if self.told != (leader, epoch) {
            self.told = (leader, epoch);
            self.actions.push(Action::LeaderChanged { leader, epoch });
        }
    }

    /// Waits in `epoch` for a leader, for as long as an election may take.
    fn enter_epoch(&mut self, now: Time, epoch: LeaderEpoch, voted: Option<BrokerId>) {
        let wait_ms = self.config.election_timeout_ms + self.random_ms();
        let role = self.unattached_for(now, wait_ms);
        self.enter(epoch, voted, role);
    }

    /// Follows the leader of the current epoch or a newer one.
    fn follow(&mut self, now: Time, epoch: LeaderEpoch, leader: BrokerId) {
        let voted = self.voted.filter(|_| epoch == self.epoch);
        let following = self.following(now, leader);
        self.enter(epoch, voted, Role::Follower(following));
    }

    fn following(&mut self, now: Time, leader: BrokerId) -> Following {
        let wait_ms = self.config.fetch_timeout_ms + self.random_ms();
        self.lanes.retry_now(leader, QuorumLane::Fetch);
        Following {
            leader,
            until: now.plus_ms(wait_ms),
            contact: None,
            losses: 0,
            leader_high_watermark: None,
            step: None,
            download: None,
            waits_for_log: false,
        }
    }

    /// Learns what a peer knows: a newer epoch, or the leader of this one.
    fn learn(&mut self, now: Time, epoch: LeaderEpoch, leader: Option<BrokerId>) {
        if epoch > self.epoch && epoch.0 < i32::MAX {
            match leader.filter(|leader| self.may_lead(*leader)) {
                Some(leader) => self.follow(now, epoch, leader),
                None => {
                    // Whom others know as leader has voted for itself, even if it forgot.
                    let me = self.config.me;
                    let voted = (leader == Some(me) && self.is_voter()).then_some(me);
                    self.enter_epoch(now, epoch, voted);
                }
            }
        } else if epoch == self.epoch
            && let Some(leader) = leader.filter(|leader| self.may_lead(*leader))
        {
            let follows = match &self.role {
                Role::Unattached(_) | Role::Candidate(_) => true,
                Role::Prospective(round) => round.lost != Some(leader),
                Role::Follower(_) | Role::Leader(_) | Role::Resigned(_) => false,
            };
            if follows {
                self.follow(now, epoch, leader);
            }
        }
    }

    /// Whether another broker may be followed.
    fn may_lead(&self, leader: BrokerId) -> bool {
        leader != self.config.me && self.config.voters.contains(&leader)
    }

    /// What every answer says of this broker.
    fn answer(&self, error: ErrorCode, granted: bool) -> Told {
        Told {
            error,
            leader: self.leader(),
            epoch: self.epoch,
            granted,
        }
    }

    /// Whether a request is meant for this broker; version 0 does not say.
    fn is_meant(&self, cluster_id: Option<&str>, voter: i32) -> Result<(), ErrorCode> {
        if cluster_id.is_some_and(|id| id != self.config.cluster_id) {
            return Err(ErrorCode::InconsistentClusterId);
        }
        match requests::broker(voter) {
            Some(voter) if voter != self.config.me => Err(ErrorCode::InvalidVoterKey),
            _ => Ok(()),
        }
    }

    fn unattached_for(&self, now: Time, wait_ms: i64) -> Role {
        let stands = self.is_voter() && !self.stopping;
        let until = stands.then_some(now.plus_ms(wait_ms));
        Role::Unattached(Unattached { until })
    }

    /// Unattached for a random while of at most `most_ms`. Nobody else stands beside a sole voter.
    fn unattached_within(&mut self, now: Time, most_ms: i64) -> Role {
        let wait_ms = match self.config.voters.len() {
            1 => 0,
            _ => self.random.random_range(0..=most_ms.max(0)),
        };
        self.unattached_for(now, wait_ms)
    }

    /// A random part of `controller.quorum.election.backoff.max.ms`.
    fn random_ms(&mut self) -> i64 {
        let most_ms = self.config.election_backoff_max_ms.max(0);
        self.random.random_range(0..=most_ms)
    }

    fn peers(&self) -> BTreeSet<BrokerId> {
        let mut peers = self.config.voters.clone();
        peers.remove(&self.config.me);
        peers
    }
}
