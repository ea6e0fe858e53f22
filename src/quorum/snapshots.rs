//! Snapshots of the metadata log as the quorum sees them: who needs one, and how it is fetched (KIP-630).
//!
//! A snapshot holds everything below its end, all of it committed. A leader whose log begins behind a replica's end
//! names its newest one instead of records; the replica fetches that in pieces, one after another, from the same
//! leader in the same epoch, and goes on with the log from its end. What is in a snapshot is the owner's business.

use super::following::REFUSED_BACKOFF_MS;
use super::lanes::Question;
use super::requests::{METADATA_TOPIC, broker, broker_field, error, missing};
use super::role::Role;
use super::{FetchAsked, FollowerStep, LogView, Quorum, QuorumLane};
use crate::ids::{BrokerId, LeaderEpoch, Offset, Time};
use crate::plants::{Plant, planted};
use crate::wire::messages::fetch_snapshot::{
    self, FetchSnapshotRequest, FetchSnapshotResponse, LeaderIdAndEpoch, PartitionSnapshot,
    PartitionSnapshotResult, TopicSnapshot, TopicSnapshotResult,
};
use crate::wire::{ErrorCode, RecordRanges};

/// Bytes of a snapshot that travel at once.
pub const MAX_SNAPSHOT_PIECE_BYTES: i32 = 1024 * 1024;
/// Bytes a snapshot may have to be fetched: far more than any cluster's metadata take.
const MAX_SNAPSHOT_BYTES: u64 = 1024 * 1024 * 1024;

/// Names a snapshot: what is committed below `end`, of which the last record has `epoch`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct SnapshotId {
    pub end: Offset,
    pub epoch: LeaderEpoch,
}

/// A replica's request for a piece of a snapshot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SnapshotAsked {
    pub replica: BrokerId,
    /// The epoch the replica believes in.
    pub leader_epoch: LeaderEpoch,
    pub id: SnapshotId,
    /// Bytes it has.
    pub position: u64,
}

/// What is to be answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SnapshotVerdict {
    /// A piece of the snapshot, if the owner has it.
    Read { leader_epoch: LeaderEpoch },
    /// Not served. Leader and epoch are what this broker knows.
    Refused {
        error: ErrorCode,
        leader: Option<BrokerId>,
        epoch: LeaderEpoch,
    },
}

/// A piece as a leader answers it.
#[derive(Debug, Clone, PartialEq)]
pub struct SnapshotPiece {
    /// Bytes of the whole snapshot.
    pub size: u64,
    pub bytes: RecordRanges,
}

/// What a leader answered.
#[derive(Debug, Clone, PartialEq)]
pub struct SnapshotTold {
    pub error: ErrorCode,
    pub leader: Option<BrokerId>,
    pub epoch: LeaderEpoch,
    pub id: SnapshotId,
    /// Bytes of the whole snapshot.
    pub size: u64,
    pub position: u64,
    pub bytes: RecordRanges,
}

/// A snapshot on its way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Download {
    pub id: SnapshotId,
    /// Bytes that have come.
    pub position: u64,
    /// All have: the owner puts it in place.
    pub whole: bool,
}

impl Download {
    pub fn new(id: SnapshotId) -> Download {
        Download {
            id,
            position: 0,
            whole: false,
        }
    }
}

impl SnapshotAsked {
    /// Reads a FetchSnapshot of the metadata log.
    ///
    /// # Errors
    /// What to answer to anything else.
    pub fn from_request(request: &FetchSnapshotRequest) -> Result<SnapshotAsked, ErrorCode> {
        let [topic] = request.topics.as_slice() else {
            return Err(ErrorCode::InvalidRequest);
        };
        let [partition] = topic.partitions.as_slice() else {
            return Err(ErrorCode::InvalidRequest);
        };
        if topic.name != METADATA_TOPIC || partition.partition != 0 {
            return Err(ErrorCode::UnknownTopicOrPartition);
        }
        let position = u64::try_from(partition.position);
        Ok(SnapshotAsked {
            replica: broker(request.replica_id).ok_or(ErrorCode::InvalidRequest)?,
            leader_epoch: LeaderEpoch(partition.current_leader_epoch),
            id: SnapshotId::from(&partition.snapshot_id),
            position: position.map_err(|_| ErrorCode::PositionOutOfRange)?,
        })
    }

    pub(super) fn request(&self, cluster_id: &str) -> FetchSnapshotRequest {
        FetchSnapshotRequest {
            cluster_id: Some(cluster_id.to_owned()),
            replica_id: self.replica.0,
            max_bytes: MAX_SNAPSHOT_PIECE_BYTES,
            topics: vec![TopicSnapshot {
                name: METADATA_TOPIC.to_owned(),
                partitions: vec![PartitionSnapshot {
                    partition: 0,
                    current_leader_epoch: self.leader_epoch.0,
                    snapshot_id: self.id.into(),
                    position: signed(self.position),
                    ..PartitionSnapshot::default()
                }],
            }],
        }
    }

    /// The response with a piece, or with why there is none.
    pub fn response(
        &self,
        me: BrokerId,
        verdict: SnapshotVerdict,
        piece: Result<SnapshotPiece, ErrorCode>,
    ) -> FetchSnapshotResponse {
        let (leader, epoch, piece) = match verdict {
            SnapshotVerdict::Read { leader_epoch } => (Some(me), leader_epoch, piece),
            SnapshotVerdict::Refused {
                error,
                leader,
                epoch,
            } => (leader, epoch, Err(error)),
        };
        let mut partition = PartitionSnapshotResult {
            snapshot_id: self.id.into(),
            current_leader: LeaderIdAndEpoch {
                leader_id: broker_field(leader),
                leader_epoch: epoch.0,
            },
            position: signed(self.position),
            ..PartitionSnapshotResult::default()
        };
        match piece {
            Ok(piece) => {
                partition.size = signed(piece.size);
                partition.unaligned_records = piece.bytes;
            }
            Err(error) => partition.error_code = error.code(),
        }
        FetchSnapshotResponse {
            topics: vec![TopicSnapshotResult {
                name: METADATA_TOPIC.to_owned(),
                partitions: vec![partition],
            }],
            ..FetchSnapshotResponse::default()
        }
    }
}

impl SnapshotTold {
    /// Reads a response to a FetchSnapshot of the metadata log.
    pub fn from_response(response: &FetchSnapshotResponse) -> SnapshotTold {
        let topic = response.topics.first();
        let partition = topic.and_then(|topic| topic.partitions.first());
        let Some(partition) = partition.filter(|_| response.error_code == 0) else {
            let error = missing(response.error_code);
            return SnapshotTold {
                error,
                leader: None,
                epoch: LeaderEpoch::NONE,
                id: SnapshotId::from(&fetch_snapshot::SnapshotId::default()),
                size: 0,
                position: 0,
                bytes: RecordRanges::default(),
            };
        };
        SnapshotTold {
            error: error(partition.error_code),
            leader: broker(partition.current_leader.leader_id),
            epoch: LeaderEpoch(partition.current_leader.leader_epoch),
            id: SnapshotId::from(&partition.snapshot_id),
            size: u64::try_from(partition.size).unwrap_or(0),
            position: u64::try_from(partition.position).unwrap_or(u64::MAX),
            bytes: partition.unaligned_records.clone(),
        }
    }
}

impl From<&fetch_snapshot::SnapshotId> for SnapshotId {
    fn from(id: &fetch_snapshot::SnapshotId) -> SnapshotId {
        SnapshotId {
            end: Offset(id.end_offset),
            epoch: LeaderEpoch(id.epoch),
        }
    }
}

impl From<SnapshotId> for fetch_snapshot::SnapshotId {
    fn from(id: SnapshotId) -> fetch_snapshot::SnapshotId {
        fetch_snapshot::SnapshotId {
            end_offset: id.end.0,
            epoch: id.epoch.0,
        }
    }
}

fn signed(bytes: u64) -> i64 {
    i64::try_from(bytes).unwrap_or(i64::MAX)
}

impl Quorum {
    /// Judges a replica's FetchSnapshot; it counts as a sign of life like any fetch.
    pub fn on_fetch_snapshot(
        &mut self,
        now: Time,
        log: &dyn LogView,
        cluster_id: Option<&str>,
        asked: &SnapshotAsked,
    ) -> SnapshotVerdict {
        let other_cluster = cluster_id.is_some_and(|id| id != self.config.cluster_id);
        let refused = match other_cluster {
            true => Some(ErrorCode::InconsistentClusterId),
            false => self.refuses_fetch(asked.replica, asked.leader_epoch),
        };
        let verdict = match refused {
            None => {
                self.note_progress(now, log.end(), asked.replica, None, None);
                let leader_epoch = self.epoch;
                SnapshotVerdict::Read { leader_epoch }
            }
            Some(error) => SnapshotVerdict::Refused {
                error,
                leader: self.leader(),
                epoch: self.epoch,
            },
        };
        self.turn(now, log);
        verdict
    }

    /// The snapshot a replica is to begin with, because the log in front of it is gone.
    pub(super) fn lacking(&self, log: &dyn LogView, asked: &FetchAsked) -> Option<SnapshotId> {
        let (start, before) = (log.start(), log.epoch_before_start());
        let parts_at_start = asked.fetch_offset == start && asked.last_fetched_epoch != before;
        let parts = asked.last_fetched_epoch < before || parts_at_start;
        let parts = parts && !planted(Plant::OverlooksMetadataDivergence);
        let lacks = start > Offset::ZERO && (asked.fetch_offset < start || parts);
        lacks.then(|| log.snapshot()).flatten()
    }

    /// Takes the answer to a FetchSnapshot in; the step is the owner's to do before anything else.
    pub fn on_snapshot_response(
        &mut self,
        now: Time,
        log: &dyn LogView,
        from: BrokerId,
        told: &SnapshotTold,
    ) -> FollowerStep {
        let step = match self.lanes.answered(from, QuorumLane::Fetch) {
            Some(Question::Snapshot { epoch, download }) => {
                let follows = self.leader() == Some(from) && epoch == self.epoch;
                if follows && told.error == ErrorCode::None {
                    self.take_piece(now, log, download, told)
                } else {
                    self.forget_download();
                    self.take_refusal(now, from, told.error, told.epoch, told.leader);
                    FollowerStep::Nothing
                }
            }
            _ => FollowerStep::Nothing,
        };
        self.turn(now, log);
        step
    }

    /// A piece of the snapshot that is being fetched. One that does not fit ends the download: the next fetch
    /// says anew what is missing.
    fn take_piece(
        &mut self,
        now: Time,
        log: &dyn LogView,
        asked: Download,
        told: &SnapshotTold,
    ) -> FollowerStep {
        let wait_ms = self.config.fetch_timeout_ms + self.random_ms();
        let Role::Follower(following) = &mut self.role else {
            return FollowerStep::Nothing;
        };
        following.heard(now, wait_ms);
        if following.download != Some(asked) {
            return FollowerStep::Nothing;
        }
        let reached = asked.position.saturating_add(told.bytes.len() as u64);
        let fits = told.id == asked.id
            && told.position == asked.position
            && !told.bytes.is_empty()
            && reached <= told.size
            && told.size <= MAX_SNAPSHOT_BYTES;
        if !fits {
            following.download = None;
            let (leader, lane) = (following.leader, QuorumLane::Fetch);
            self.lanes.hold(now, leader, lane, REFUSED_BACKOFF_MS);
            return FollowerStep::Nothing;
        }
        let whole = reached == told.size;
        following.download = Some(Download {
            position: reached,
            whole,
            ..asked
        });
        if whole {
            following.step = Some(log.end());
        }
        FollowerStep::Keep {
            id: asked.id,
            position: asked.position,
            whole,
        }
    }

    fn forget_download(&mut self) {
        if let Role::Follower(following) = &mut self.role {
            following.download = None;
        }
    }
}
