//! What the quorum must know of the metadata log. It never reads records.

use super::SnapshotId;
use crate::ids::{LeaderEpoch, Offset};

/// Facts of the local copy of the metadata log at this moment.
pub trait LogView {
    /// First offset there is.
    fn start(&self) -> Offset;
    /// Offset of the next record.
    fn end(&self) -> Offset;
    /// Epoch of the last record, which may stand in front of the start; [`LeaderEpoch::NONE`] where there never
    /// was one.
    fn last_epoch(&self) -> LeaderEpoch;
    /// The largest epoch in the log not after this one, and where it ends (KIP-101). `None` when the epoch is
    /// newer than all in the log. The epoch in front of the start counts as one in it.
    fn end_of_epoch(&self, epoch: LeaderEpoch) -> Option<(LeaderEpoch, Offset)>;
    /// Everything below survives a power cut (with durability `memory`: the end).
    fn durable_end(&self) -> Offset;
    /// The newest snapshot there is, durable and of what is committed. Its end is not below the start.
    fn snapshot(&self) -> Option<SnapshotId>;
    /// Epoch of the last record in front of the start; [`LeaderEpoch::NONE`] where the log begins at 0.
    fn epoch_before_start(&self) -> LeaderEpoch;
}

/// Where `epoch` ends as far as this log can tell: of an epoch newer than all in it, all there is.
pub(super) fn epoch_end(log: &dyn LogView, epoch: LeaderEpoch) -> (LeaderEpoch, Offset) {
    log.end_of_epoch(epoch)
        .unwrap_or_else(|| (log.last_epoch(), log.end()))
}
