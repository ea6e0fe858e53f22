//! What a member of the quorum is at a moment, and what it must know only while it is that.

use std::collections::{BTreeMap, BTreeSet};

use super::snapshots::Download;
use crate::ids::{BrokerId, Offset, Time};

/// Names of the roles, for pictures.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RoleName {
    /// Knows no leader of its epoch.
    Unattached,
    /// Asks whether it would win an election (KIP-996), without disturbing anybody.
    Prospective,
    /// Asks for votes in a new epoch.
    Candidate,
    Follower,
    Leader,
    /// Gave leadership up and tells the others.
    Resigned,
}

#[derive(Debug, Clone)]
pub(super) enum Role {
    Unattached(Unattached),
    Prospective(Round),
    Candidate(Round),
    Follower(Following),
    Leader(Leading),
    Resigned(Leaving),
}

/// Waiting for a leader to show itself.
#[derive(Debug, Clone, Default)]
pub(super) struct Unattached {
    /// When to stand; never for observers.
    pub until: Option<Time>,
}

/// One round of asking everybody.
#[derive(Debug, Clone)]
pub(super) struct Round {
    /// Unlike every other round of this member, so that late answers are not counted in the wrong one.
    pub number: u64,
    pub granted: BTreeSet<BrokerId>,
    pub refused: BTreeSet<BrokerId>,
    /// When the round has failed for want of answers.
    pub until: Time,
    /// The leader of this epoch that fell silent. It is followed again when the others still hear it.
    pub lost: Option<BrokerId>,
}

/// Following a leader.
#[derive(Debug, Clone)]
pub(super) struct Following {
    pub leader: BrokerId,
    /// When the leader has been silent for too long.
    pub until: Time,
    /// When it last answered a fetch.
    pub contact: Option<Time>,
    /// How often in a row its connection was lost without an answer.
    pub losses: u32,
    /// The leader's high watermark, of which a part may be above the end of the local log.
    pub leader_high_watermark: Option<Offset>,
    /// The log's end when the owner was given a step to do; the next fetch waits until it is done.
    pub step: Option<Offset>,
    /// The snapshot being fetched, because the leader's log begins behind this one.
    pub download: Option<Download>,
    /// The log is not synced: the next fetch waits until it changes.
    pub waits_for_log: bool,
}

/// Leading an epoch.
#[derive(Debug, Clone)]
pub(super) struct Leading {
    /// Where the epoch's first record stands.
    pub epoch_start: Offset,
    pub since: Time,
    /// When each voter was last told that the epoch began.
    pub begun: BTreeMap<BrokerId, Time>,
    /// Voters and observers that fetched in this epoch.
    pub progress: BTreeMap<BrokerId, Progress>,
}

/// How far a replica is, by its fetches in this epoch.
#[derive(Debug, Clone, Copy)]
pub(super) struct Progress {
    /// All below is durable there and the leader's own; `None` while its log diverges.
    pub end: Option<Offset>,
    /// What it knows to be committed, if it says.
    pub high_watermark: Option<Offset>,
    pub last_fetch: Time,
    /// When it last had everything the leader had.
    pub caught_up: Option<Time>,
    /// The leader's log end at its last fetch.
    pub end_then: Offset,
}

/// Telling the others that the epoch is over.
#[derive(Debug, Clone)]
pub(super) struct Leaving {
    /// When to stand again.
    pub until: Time,
    /// Who has not heard yet.
    pub untold: BTreeSet<BrokerId>,
    /// Who should lead next, the best first.
    pub successors: Vec<BrokerId>,
}

impl RoleName {
    /// As Kafka writes it.
    pub fn as_str(self) -> &'static str {
        match self {
            RoleName::Unattached => "unattached",
            RoleName::Prospective => "prospective",
            RoleName::Candidate => "candidate",
            RoleName::Follower => "follower",
            RoleName::Leader => "leader",
            RoleName::Resigned => "resigned",
        }
    }
}

impl Role {
    pub fn name(&self) -> RoleName {
        match self {
            Role::Unattached(_) => RoleName::Unattached,
            Role::Prospective(_) => RoleName::Prospective,
            Role::Candidate(_) => RoleName::Candidate,
            Role::Follower(_) => RoleName::Follower,
            Role::Leader(_) => RoleName::Leader,
            Role::Resigned(_) => RoleName::Resigned,
        }
    }
}
