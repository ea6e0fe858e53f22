//! The metadata log's Fetch as the quorum sees it: what a follower asks, what a leader answers.
//!
//! On the wire it is the ordinary Fetch, version 17 or newer, of the metadata topic's id with a replica's
//! state; records are the owner's business and only their presence is told here. A replica whose end lies in front of
//! the leader's start is told of a snapshot instead (`snapshots`).

use super::SnapshotId;
use super::requests::{METADATA_TOPIC_ID, broker, broker_field, error, missing};
use crate::ids::{BrokerId, LeaderEpoch, Offset};
use crate::wire::messages::fetch::{
    EpochEndOffset, FetchPartition, FetchRequest, FetchResponse, FetchTopic,
    FetchableTopicResponse, LeaderIdAndEpoch, PartitionData, ReplicaState, SnapshotId as WireId,
};
use crate::wire::{ErrorCode, RecordRanges};

/// Bytes of metadata a follower takes at once.
pub const MAX_FETCH_BYTES: i32 = 8 * 1024 * 1024;

/// A replica's Fetch of the metadata log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FetchAsked {
    pub replica: BrokerId,
    /// The epoch the replica believes in.
    pub leader_epoch: LeaderEpoch,
    /// The end of its log, all of it durable.
    pub fetch_offset: Offset,
    /// The epoch of its last record; [`LeaderEpoch::NONE`] of an empty log.
    pub last_fetched_epoch: LeaderEpoch,
    /// What it knows to be committed: `None` when it does not say.
    pub high_watermark: Option<Offset>,
}

/// What is to be answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FetchVerdict {
    /// Records at `from` and up to `below`, as many as fit.
    Read {
        from: Offset,
        below: Offset,
        high_watermark: Option<Offset>,
        /// There are records, or the high watermark is news to the replica. Without news the answer may be
        /// held back until there are some or the replica's wait is over; then ask [`super::Quorum::judge_fetch`].
        news: bool,
        leader: BrokerId,
        leader_epoch: LeaderEpoch,
    },
    /// The replica's log parts from the leader's: `epoch` ends at `end` here.
    Diverging {
        epoch: LeaderEpoch,
        end: Offset,
        leader: BrokerId,
        leader_epoch: LeaderEpoch,
    },
    /// The log in front of the replica's end is gone: it is to fetch this snapshot.
    Snapshot {
        id: SnapshotId,
        leader: BrokerId,
        leader_epoch: LeaderEpoch,
    },
    /// Not served. Leader and epoch are what this broker knows.
    Refused {
        error: ErrorCode,
        leader: Option<BrokerId>,
        epoch: LeaderEpoch,
    },
}

/// What a leader answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FetchTold {
    pub error: ErrorCode,
    pub leader: Option<BrokerId>,
    pub epoch: LeaderEpoch,
    pub diverging: Option<(LeaderEpoch, Offset)>,
    pub snapshot: Option<SnapshotId>,
    pub high_watermark: Option<Offset>,
    pub got_records: bool,
}

/// What a follower does with an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FollowerStep {
    /// Append the answer's records, then call [`super::Quorum::on_log_changed`], whether it worked or not. The
    /// owner checks that they begin at its log end.
    Append,
    /// Cut the log here, then call [`super::Quorum::on_log_changed`].
    Truncate(Offset),
    /// The leader would have committed records cut: somebody lost what was durable. Nothing is done; the owner
    /// says so and stops this broker.
    Contradicted {
        cut_at: Offset,
        high_watermark: Offset,
    },
    /// Keep the answer's bytes, which stand at `position` in this snapshot. When that makes it `whole`, check it,
    /// put it in the place of the log and of everything applied, and then call
    /// [`super::Quorum::on_log_changed`], whether it worked or not.
    Keep {
        id: SnapshotId,
        position: u64,
        whole: bool,
    },
    /// Nothing to do.
    Nothing,
}

impl FetchAsked {
    /// Reads a Fetch of the metadata log; `None` if it is another kind of Fetch.
    pub fn from_request(request: &FetchRequest) -> Option<FetchAsked> {
        let [topic] = request.topics.as_slice() else {
            return None;
        };
        let [partition] = topic.partitions.as_slice() else {
            return None;
        };
        let replica = broker(request.replica_state.replica_id)?;
        if topic.topic_id != METADATA_TOPIC_ID || partition.partition != 0 {
            return None;
        }
        // The default, the largest number, says that the replica does not tell.
        let told = partition.high_watermark < i64::MAX;
        Some(FetchAsked {
            replica,
            leader_epoch: LeaderEpoch(partition.current_leader_epoch),
            fetch_offset: Offset(partition.fetch_offset),
            last_fetched_epoch: LeaderEpoch(partition.last_fetched_epoch),
            high_watermark: told.then_some(Offset(partition.high_watermark)),
        })
    }

    /// The request, held back by the leader for at most `max_wait_ms` while there is nothing new.
    pub(super) fn request(&self, cluster_id: &str, max_wait_ms: i64) -> FetchRequest {
        FetchRequest {
            cluster_id: Some(cluster_id.to_owned()),
            replica_state: ReplicaState {
                replica_id: self.replica.0,
                replica_epoch: -1,
            },
            max_wait_ms: i32::try_from(max_wait_ms).unwrap_or(i32::MAX),
            min_bytes: 1,
            max_bytes: MAX_FETCH_BYTES,
            topics: vec![FetchTopic {
                topic_id: METADATA_TOPIC_ID,
                partitions: vec![FetchPartition {
                    partition: 0,
                    current_leader_epoch: self.leader_epoch.0,
                    fetch_offset: self.fetch_offset.0,
                    last_fetched_epoch: self.last_fetched_epoch.0,
                    partition_max_bytes: MAX_FETCH_BYTES,
                    // −1 is a follower that knows of no committed record: the first is news to it.
                    high_watermark: self.high_watermark.map_or(-1, |offset| offset.0),
                    ..FetchPartition::default()
                }],
                ..FetchTopic::default()
            }],
            ..FetchRequest::default()
        }
    }
}

impl FetchVerdict {
    /// The response, with the records that were read. `log_start` is the answering log's.
    pub fn response(&self, log_start: Offset, records: RecordRanges) -> FetchResponse {
        let mut partition = PartitionData {
            high_watermark: Offset::NONE.0,
            log_start_offset: log_start.0,
            records: Some(records),
            ..PartitionData::default()
        };
        let current = match *self {
            FetchVerdict::Read {
                high_watermark,
                leader,
                leader_epoch,
                ..
            } => {
                partition.high_watermark = high_watermark.unwrap_or(Offset::NONE).0;
                (Some(leader), leader_epoch)
            }
            FetchVerdict::Diverging {
                epoch,
                end,
                leader,
                leader_epoch,
            } => {
                partition.diverging_epoch = EpochEndOffset {
                    epoch: epoch.0,
                    end_offset: end.0,
                };
                (Some(leader), leader_epoch)
            }
            FetchVerdict::Snapshot {
                id,
                leader,
                leader_epoch,
            } => {
                partition.snapshot_id = WireId {
                    end_offset: id.end.0,
                    epoch: id.epoch.0,
                };
                (Some(leader), leader_epoch)
            }
            FetchVerdict::Refused {
                error,
                leader,
                epoch,
            } => {
                partition.error_code = error.code();
                (leader, epoch)
            }
        };
        partition.current_leader = LeaderIdAndEpoch {
            leader_id: broker_field(current.0),
            leader_epoch: current.1.0,
        };
        FetchResponse {
            responses: vec![FetchableTopicResponse {
                topic_id: METADATA_TOPIC_ID,
                partitions: vec![partition],
                ..FetchableTopicResponse::default()
            }],
            ..FetchResponse::default()
        }
    }
}

impl FetchTold {
    /// Reads a response to a Fetch of the metadata log.
    pub fn from_response(response: &FetchResponse) -> FetchTold {
        let topic = response.responses.first();
        let partition = topic.and_then(|topic| topic.partitions.first());
        let Some(partition) = partition.filter(|_| response.error_code == 0) else {
            let error = missing(response.error_code);
            return FetchTold::refused(error);
        };
        let diverging = &partition.diverging_epoch;
        let diverges = diverging.end_offset >= 0;
        let id = &partition.snapshot_id;
        let id = SnapshotId {
            end: Offset(id.end_offset),
            epoch: LeaderEpoch(id.epoch),
        };
        FetchTold {
            error: error(partition.error_code),
            leader: broker(partition.current_leader.leader_id),
            epoch: LeaderEpoch(partition.current_leader.leader_epoch),
            diverging: diverges
                .then_some((LeaderEpoch(diverging.epoch), Offset(diverging.end_offset))),
            snapshot: (id.end >= Offset::ZERO && id.epoch.0 >= 0).then_some(id),
            high_watermark: (partition.high_watermark >= 0)
                .then_some(Offset(partition.high_watermark)),
            got_records: partition.records.as_ref().is_some_and(|r| !r.is_empty()),
        }
    }

    /// An answer that says nothing but an error: also for a response that could not be decoded.
    pub fn refused(error: ErrorCode) -> FetchTold {
        FetchTold {
            error,
            leader: None,
            epoch: LeaderEpoch::NONE,
            diverging: None,
            snapshot: None,
            high_watermark: None,
            got_records: false,
        }
    }
}
