//! What can be seen of a member.

use super::GroupConsumer;
use super::owned::Phase;
use crate::client::{CallError, Progress};
use crate::ids::{BrokerId, Offset, PartitionIndex};

/// Where a member stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MemberState {
    /// In no group: it looks for the coordinator, or waits to join.
    Unjoined,
    /// Its JoinGroup waits for the other members.
    Joining,
    /// It leads the group and waits for metadata to compute the assignment.
    Assigning,
    /// It waits for its assignment.
    Syncing,
    Stable,
    /// It gives partitions up, because the group rebalances or its assignment changed.
    Revoking,
    /// It left because its caller was busy longer than `max.poll.interval.ms`.
    Away,
    Leaving,
    Closed,
    Failed,
}

/// One partition of a member.
#[derive(Debug, Clone, PartialEq)]
pub struct OwnedView {
    pub topic: String,
    pub partition: PartitionIndex,
    /// The next offset given out; `None` until it is known.
    pub position: Option<Offset>,
    /// Everything before is processed.
    pub processed: Option<Offset>,
    /// As far as this member knows.
    pub committed: Option<Offset>,
    /// How far it is fetched.
    pub fetched: Option<Progress>,
    pub paused: bool,
    /// It is being given up.
    pub revoking: bool,
    pub error: Option<CallError>,
}

impl GroupConsumer {
    pub fn state(&self) -> MemberState {
        match self.member.state {
            MemberState::Closed | MemberState::Failed => self.member.state,
            _ if self.leaving.is_some() => MemberState::Leaving,
            MemberState::Stable if self.release.is_some() => MemberState::Revoking,
            state => state,
        }
    }

    /// Empty until the member has one.
    pub fn member_id(&self) -> &str {
        &self.member.id
    }

    /// The group's generation or the member's epoch; −1 outside of the group.
    pub fn generation(&self) -> i32 {
        self.member.generation
    }

    /// Whether it computes the assignment.
    pub fn is_leader(&self) -> bool {
        self.classic.leads.is_some()
    }

    /// The assignor in use, by Kafka's name.
    pub fn assignor(&self) -> Option<&'static str> {
        self.classic.chosen.map(|assignor| assignor.name())
    }

    pub fn coordinator(&self) -> Option<BrokerId> {
        self.coordinator.known.as_ref().map(|(broker, _)| *broker)
    }

    pub fn group_id(&self) -> &str {
        &self.config.group_id
    }

    /// Whether everything that can be committed is, and no commit is under way.
    pub fn is_committed(&self) -> bool {
        !self.commits.in_flight && self.uncommitted().next().is_none()
    }

    /// The member's partitions, in order.
    pub fn assignment(&self) -> Vec<OwnedView> {
        let view = |(place, owned): (&super::Place, &super::Owned)| OwnedView {
            topic: place.0.clone(),
            partition: place.1,
            position: owned.position,
            processed: owned.processed,
            committed: owned.committed,
            fetched: self.reader.progress(&place.0, place.1),
            paused: owned.paused,
            revoking: self.is_releasing(place),
            error: match &owned.phase {
                Phase::Failed { error, .. } => Some(error.clone()),
                _ => None,
            },
        };
        self.owned.iter().map(view).collect()
    }
}
