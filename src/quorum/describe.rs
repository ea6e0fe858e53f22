//! What the quorum shows of itself: for DescribeQuorum and for pictures.

use super::{LogView, Quorum, Role, RoleName};
use crate::ids::{BrokerId, LeaderEpoch, Offset, Time};

/// One broker's view of the quorum.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QuorumView {
    pub role: RoleName,
    pub leader: Option<BrokerId>,
    pub epoch: LeaderEpoch,
    /// Who has this broker's vote in the epoch.
    pub voted: Option<BrokerId>,
    pub high_watermark: Option<Offset>,
    /// By number. Only a leader knows how far the others are.
    pub voters: Vec<ReplicaView>,
    /// By number. Only a leader knows of them.
    pub observers: Vec<ReplicaView>,
}

/// How far a replica of the metadata log is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ReplicaView {
    pub id: BrokerId,
    /// Everything below is durable there and agrees with the leader's log.
    pub log_end: Option<Offset>,
    pub last_fetch: Option<Time>,
    /// When it last had everything the leader had.
    pub last_caught_up: Option<Time>,
}

impl Quorum {
    /// What there is to show.
    pub fn describe(&self, now: Time, log: &dyn LogView) -> QuorumView {
        let view = |id: BrokerId| self.replica(now, log, id);
        let voters = self.config.voters.iter().map(|id| view(*id)).collect();
        let observers = match &self.role {
            Role::Leader(leading) => {
                let known = leading.progress.keys();
                let observers = known.filter(|id| !self.config.voters.contains(id));
                observers.map(|id| view(*id)).collect()
            }
            _ => Vec::new(),
        };
        QuorumView {
            role: self.role.name(),
            leader: self.leader(),
            epoch: self.epoch,
            voted: self.voted,
            high_watermark: self.high_watermark,
            voters,
            observers,
        }
    }

    /// Whether a member has everything below `end` and knows it to be committed, as far as a leader was told.
    pub fn knows(&self, member: BrokerId, end: Offset) -> bool {
        if member == self.config.me {
            return self.high_watermark.is_some_and(|known| known >= end);
        }
        let Role::Leader(leading) = &self.role else {
            return false;
        };
        let progress = leading.progress.get(&member);
        progress.is_some_and(|progress| {
            progress.end.is_some_and(|has| has >= end)
                && progress.high_watermark.is_some_and(|known| known >= end)
        })
    }

    fn replica(&self, now: Time, log: &dyn LogView, id: BrokerId) -> ReplicaView {
        let leads = self.is_leader();
        if id == self.config.me {
            return ReplicaView {
                id,
                log_end: Some(log.end()),
                last_fetch: leads.then_some(now),
                last_caught_up: leads.then_some(now),
            };
        }
        let progress = match &self.role {
            Role::Leader(leading) => leading.progress.get(&id),
            _ => None,
        };
        ReplicaView {
            id,
            log_end: progress.and_then(|progress| progress.end),
            last_fetch: progress.map(|progress| progress.last_fetch),
            last_caught_up: progress.and_then(|progress| progress.caught_up),
        }
    }
}
