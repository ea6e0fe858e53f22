//! What a member reports.

use std::collections::VecDeque;

use crate::client::CallError;
use crate::client::consumer::Place;
use crate::ids::{BrokerId, Offset, PartitionIndex};

/// Events kept for a caller that does not take them; then the oldest go.
const MAX_EVENTS: usize = 10_000;

/// A partition and an offset in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PartitionOffset {
    pub topic: String,
    pub partition: PartitionIndex,
    pub offset: Offset,
}

/// What happened to a member of a group.
#[derive(Debug, Clone, PartialEq)]
pub enum GroupEvent {
    /// This broker coordinates the group (from now on).
    Coordinator {
        broker: BrokerId,
    },
    /// The coordinator cannot be reached or is none any more; another is looked for.
    CoordinatorLost {
        why: String,
    },
    /// The member has to join (again).
    RebalanceBegan {
        why: String,
    },
    /// The member is in this generation (or at this member epoch).
    Joined {
        generation: i32,
        member_id: String,
        /// It computes the assignment; never so with KIP-848.
        leader: bool,
        /// The assignor all members share; `None` with KIP-848.
        assignor: Option<String>,
    },
    /// Partitions the member reads from now on, beside those it had.
    Assigned {
        partitions: Vec<Place>,
    },
    /// Partitions the member gave up in order.
    Revoked {
        partitions: Vec<Place>,
    },
    /// Partitions that were taken from the member; others may read them already.
    Lost {
        partitions: Vec<Place>,
    },
    Committed {
        offsets: Vec<PartitionOffset>,
    },
    /// These offsets are not committed, and will not be tried again as they are.
    CommitFailed {
        offsets: Vec<PartitionOffset>,
        error: CallError,
    },
    /// A commit was not answered before its connection was lost, and is made again. Until the generation is over the
    /// first may still come into force, even after a later one: requests of two connections have no order.
    CommitLost {
        offsets: Vec<PartitionOffset>,
    },
    /// The position was outside the log; reading goes on elsewhere.
    Moved {
        topic: String,
        partition: PartitionIndex,
        from: Offset,
        to: Offset,
    },
    /// A partition cannot be read at the moment, or (`NoOffset`) without a seek.
    PartitionFailed {
        topic: String,
        partition: PartitionIndex,
        error: CallError,
    },
    /// The member left because its caller was busy too long; the next poll joins again.
    Left {
        why: String,
    },
    /// The member is out of the group for good.
    Failed {
        error: CallError,
    },
    /// The member has left as it was told to.
    Closed,
    /// So many older events were dropped because nobody took them.
    Missed {
        events: u64,
    },
}

/// Events in order, as many as are kept.
#[derive(Default)]
pub(super) struct Events {
    queue: VecDeque<GroupEvent>,
    missed: u64,
}

impl Events {
    pub fn add(&mut self, event: GroupEvent) {
        if self.queue.len() == MAX_EVENTS {
            self.queue.pop_front();
            self.missed += 1;
        }
        self.queue.push_back(event);
    }

    pub fn take(&mut self) -> Option<GroupEvent> {
        if self.missed > 0 {
            let events = std::mem::take(&mut self.missed);
            return Some(GroupEvent::Missed { events });
        }
        self.queue.pop_front()
    }
}

/// Offsets as events name them.
pub(super) fn offsets_of(
    offsets: impl IntoIterator<Item = (Place, Offset)>,
) -> Vec<PartitionOffset> {
    let one = |((topic, partition), offset)| PartitionOffset {
        topic,
        partition,
        offset,
    };
    offsets.into_iter().map(one).collect()
}
