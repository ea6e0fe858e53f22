//! What a broker of a cluster keeps beyond what a broker alone does.
//!
//! A broker that is the only one there is and always was has none of it: it decides, writes and applies in one
//! go and asks nobody (`commit`). Only fields and small facts here; what happens with them is in `quorum_log`
//! (the metadata log), `controller` (deciding), `registration` (being alive), `replicas` (leading and following)
//! and `forwarding`.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use bytes::Bytes;

use super::dispatch::Asked;
use super::first_acks::Awaited;
use super::lost::Lost;
use super::partition::PartitionKey;
use super::peers::Peers;
use super::snapshots::Pieces;
use crate::ids::{BrokerEpoch, BrokerId, ConnectionId, IncarnationId, Offset, Time};
use crate::metadata::Image;
use crate::metadata::decide::Sessions;
use crate::quorum::{Quorum, SnapshotId};
use crate::replica::{Attempt, FetchLimits, Fetcher, Leaving, Proposal};
use crate::storage::LastRun;
use crate::wire::request::RequestHeader;

/// What a broker of a cluster keeps.
pub(super) struct Member {
    pub quorum: Quorum,
    pub peers: Peers,
    /// There while this broker leads the quorum.
    pub controller: Option<Controller>,
    /// The first metadata offset that is not in the image.
    pub applied: Offset,
    /// What the log begins with, until it is known to be committed and in the image.
    pub snapshot: Option<(SnapshotId, Image)>,
    /// A snapshot that is being fetched.
    pub pieces: Option<Pieces>,
    /// Answers that leave once everything below an offset is applied.
    pub committing: BTreeSet<(Offset, ConnectionId)>,
    /// Answers that leave once every live broker has applied everything below an offset.
    pub spreading: BTreeSet<(Offset, ConnectionId)>,
    /// Who wanted what was decided here, in the order of the log.
    pub causes: VecDeque<Decision>,
    /// Who decided last as far as this broker knows, and who did before.
    pub controllers: (Option<BrokerId>, Option<BrokerId>),
    /// Why this leader wants followers out of the in-sync replicas.
    pub leaving: BTreeMap<(PartitionKey, BrokerId), Leaving>,
    /// Replicas' fetches of the metadata log that wait for news.
    pub polls: BTreeSet<ConnectionId>,
    /// Those fetches are to be judged again.
    pub polls_due: bool,
    pub registration: Registration,
    /// How logs that are not open yet were left.
    pub last_run: LastRun,
    /// Directories nobody knows were looked for.
    pub swept: bool,
    pub fetchers: BTreeMap<BrokerId, Fetcher>,
    /// What `replica.fetch.*` said at the start.
    pub fetch_limits: FetchLimits,
    /// Proposals of in-sync replicas that are not sent yet.
    pub proposals: Vec<(PartitionKey, Proposal)>,
    /// Proposals this controller decided on itself and that are not applied yet.
    pub local_alters: Vec<(PartitionKey, Attempt)>,
    /// Replicas that are not to be relied on.
    pub lost: BTreeMap<PartitionKey, Lost>,
    /// Partitions taken over from a leader that is gone, in which nothing was acknowledged yet.
    pub first_acks: BTreeMap<PartitionKey, Awaited>,
    /// When replicas were given up last.
    pub renewed: BTreeMap<PartitionKey, Time>,
    /// Leaders and followers to look at before the verb is over.
    pub touched: BTreeSet<PartitionKey>,
    pub wakeups: Wakeups,
    /// Requests to be passed on to the controller.
    pub forwards: VecDeque<Forward>,
    /// Producers wait for ids.
    pub wants_producer_ids: bool,
    /// No producer ids are asked for before this moment.
    pub producer_ids_at: Time,
}

/// What one decision wrote, and why.
#[derive(Debug)]
pub(super) struct Decision {
    pub from: Offset,
    pub end: Offset,
    pub cause: String,
}

/// What the active controller keeps.
pub(super) struct Controller {
    /// The image with everything that is written, committed or not.
    pub decided: Image,
    pub sessions: Sessions,
    /// What earlier controllers left was decided.
    pub settled: bool,
    /// When leaderships are looked at for balance.
    pub balance_at: Time,
}

/// How this broker stands with the controller.
#[derive(Debug)]
pub(super) struct Registration {
    pub incarnation: IncarnationId,
    /// Of this incarnation; `None` until the controller has answered.
    pub epoch: Option<BrokerEpoch>,
    /// What earlier logs vouch for, told with the registration.
    pub previous: BrokerEpoch,
    /// When the next registration or heartbeat is due.
    pub due: Time,
    /// A stop has begun.
    pub stopping: bool,
    /// The controller lets it go.
    pub may_stop: bool,
    /// The cluster has counted on this run of this broker once, so it had caught up with the metadata.
    pub has_joined: bool,
}

/// A request that waits for its turn to be passed on.
#[derive(Debug)]
pub(super) struct Forward {
    pub header: RequestHeader,
    pub body: Bytes,
    pub origin: Option<Box<Asked>>,
    /// Given up at this moment.
    pub until: Time,
}

/// When which partition wants to be looked at.
#[derive(Debug, Default)]
pub(super) struct Wakeups {
    by_key: BTreeMap<PartitionKey, Time>,
    by_time: BTreeSet<(Time, PartitionKey)>,
}

impl Wakeups {
    /// Sets a partition's wakeup, or takes it away.
    pub fn set(&mut self, key: PartitionKey, at: Option<Time>) {
        let before = match at {
            Some(at) => self.by_key.insert(key, at),
            None => self.by_key.remove(&key),
        };
        if let Some(before) = before {
            self.by_time.remove(&(before, key));
        }
        if let Some(at) = at {
            self.by_time.insert((at, key));
        }
    }

    pub fn next(&self) -> Option<Time> {
        self.by_time.first().map(|(at, _)| *at)
    }

    /// Takes those whose moment has come.
    pub fn due(&mut self, now: Time) -> Vec<PartitionKey> {
        let due = self.by_time.iter().take_while(|(at, _)| *at <= now);
        let due: Vec<PartitionKey> = due.map(|(_, key)| *key).collect();
        for key in &due {
            self.set(*key, None);
        }
        due
    }
}

impl Member {
    /// The partitions asked of a leader.
    pub fn fetched_from(&self, leader: BrokerId) -> impl Iterator<Item = PartitionKey> {
        let fetcher = self.fetchers.get(&leader).into_iter();
        let keys = fetcher.flat_map(Fetcher::partitions);
        keys.map(|(topic, index)| (topic, index.0))
    }

    /// The controller, if there is one and it is another broker.
    pub fn other_controller(&self, me: BrokerId) -> Option<BrokerId> {
        self.quorum.leader().filter(|leader| *leader != me)
    }
}

impl std::fmt::Debug for Member {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Member")
            .field("quorum", &self.quorum)
            .field("applied", &self.applied)
            .field("registration", &self.registration)
            .finish_non_exhaustive()
    }
}
