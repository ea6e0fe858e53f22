//! Bugs on purpose, one at a time, for tests that test the tests. *Pure.*
//!
//! Where the code keeps a promise it asks [`planted`] whether it shall break it. Without the feature `plants`, and
//! outside of unit tests, the answer is `false` at compile time: no build that serves anybody holds a plant. With
//! it, [`plant`] has everything that runs on this thread misbehave until its result is dropped. Which
//! simulation must catch which bug how soon says `lab::plants`; the models of `quorum` and `replica` have tables of
//! their own.

#[cfg(any(test, feature = "plants"))]
use std::cell::Cell;

/// A bug that can be planted, with the invariant it breaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Plant {
    // Replication.
    /// acks=all is answered once the leader has the records (D1).
    AcksUnreplicated,
    /// The high watermark is the leader's log end, whoever has it (H3).
    HighWatermarkIsMax,
    /// The high watermark waits for the in-sync replicas and not for those proposed (E4).
    NoMaximalIsr,
    /// The high watermark moves with too few replicas in sync (H3).
    IgnoresMinInsync,
    /// Fetches of other leader epochs count, and the controller takes AlterPartitions of other epochs (E8).
    NoEpochFence,
    /// Members are taken to have everything before they fetched in this leader epoch (H3).
    AssumesPositions,
    /// A follower below the high watermark or the epoch's start may join (H4).
    JoinsBelow,
    /// An unanswered AlterPartition is taken for refused (E7).
    RollsBackUnknown,
    /// What an incarnation that is over fetched counts for the one that is registered (E6, KIP-903).
    NoIncarnationFence,
    /// A broker acts as the leader old metadata names before metadata knows its incarnation (E7, D1).
    LeadsUnregistered,
    /// A leader never finds that a follower's log diverges from its own (D4).
    OverlooksDivergence,
    /// A follower cuts a diverging log at its own high watermark, as before KIP-101 (H2).
    TruncatesToHighWatermark,
    /// A follower takes an answer to a question of an earlier leader epoch (D4).
    TakesLateAnswers,
    /// A damaged copy stays in use although another replica has the records (D1).
    KeepsDamaged,
    /// Consumers read beyond the high watermark (H5).
    ReadsUncommitted,

    // What the controller decides.
    /// Any live replica is elected when nobody in sync is left, and nobody asked for it (E3).
    ElectsUnclean,
    /// A fenced broker stays in the in-sync replicas (E5).
    KeepsFenced,

    // The metadata quorum.
    /// Grants every vote of an epoch it is asked for (K1).
    VotesTwice,
    /// Votes without asking that the vote be made durable (K1).
    ForgetsVotes,
    /// Grants votes to candidates whose log is behind its own (K2).
    VotesForShorterLog,
    /// Metadata is committed once any voter has it (K4).
    CommitsAlone,
    /// Metadata of older epochs is committed by counting positions alone (K2, Raft's figure 8).
    CountsOldEpochs,
    /// A leader counts its own metadata records before they are synced (K4).
    CountsUnsynced,
    /// A follower asks for more metadata before what it has is synced (K4).
    FetchesBeforeSync,
    /// A leader never finds that a follower's metadata log diverges from its own (K2).
    OverlooksMetadataDivergence,
    /// A leader of the quorum goes on without its majority.
    LeadsAlone,
    /// Grants pre-votes although its leader is alive.
    IgnoresLeader,

    // Consumer groups.
    /// A member of an earlier generation commits (C2).
    CommitsStaleGenerations,
    /// What coordinators decided is told before it is replicated (C2).
    TellsUncommitted,
    /// A coordinator that begins reads no offsets (C2).
    ForgetsOffsets,
    /// A broker coordinates on after another leads the partition (C2).
    CoordinatesOn,
    /// Every member of a group gets the assignment of its leader (C3).
    SharesAssignments,
    /// A rebalance begins no generation of its own (C3).
    ReusesGenerations,

    // One log on its disk.
    /// Recovery takes a batch whose checksum does not match (D5).
    SkipsCrc,
    /// The checkpoint of what is synced runs ahead of it (D1).
    CheckpointsAhead,
    /// A torn tail is taken for damage and not cut (D1).
    TakesTornTailForDamage,
    /// A failed sync counts like a good one (D1).
    TrustsFailedSync,
    /// With durability `batch` an answer does not wait for its sync (D1).
    AcksUnsynced,
    /// A batch of an idempotent producer is appended as often as it comes (P1).
    AcceptsDuplicates,
    /// Producers are not found again in what a crash left (P2).
    ForgetsProducers,
    /// A producer snapshot of an end the log no longer has is believed (P2).
    TakesFutureSnapshot,
    /// What a failed write left stays in the file (D5).
    KeepsTornWrite,
}

/// Whether this bug is planted in what runs on this thread.
#[cfg(not(any(test, feature = "plants")))]
pub const fn planted(_: Plant) -> bool {
    false
}

#[cfg(any(test, feature = "plants"))]
thread_local! {
    static PLANTED: Cell<Option<Plant>> = const { Cell::new(None) };
}

/// Whether this bug is planted in what runs on this thread.
#[cfg(any(test, feature = "plants"))]
pub fn planted(plant: Plant) -> bool {
    PLANTED.get() == Some(plant)
}

/// Plants a bug, or none, in everything that runs on this thread until the result is dropped.
#[cfg(any(test, feature = "plants"))]
pub fn plant(plant: impl Into<Option<Plant>>) -> Planted {
    Planted {
        before: PLANTED.replace(plant.into()),
    }
}

/// Keeps a bug planted.
#[cfg(any(test, feature = "plants"))]
#[must_use = "the bug is gone once this is dropped"]
#[derive(Debug)]
pub struct Planted {
    before: Option<Plant>,
}

#[cfg(any(test, feature = "plants"))]
impl Drop for Planted {
    fn drop(&mut self) {
        PLANTED.set(self.before);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bug_is_planted_for_as_long_as_it_is_held() {
        assert!(!planted(Plant::SkipsCrc));
        {
            let _outer = plant(Plant::SkipsCrc);
            assert!(planted(Plant::SkipsCrc) && !planted(Plant::AcksUnsynced));
            let inner = plant(Plant::AcksUnsynced);
            assert!(planted(Plant::AcksUnsynced) && !planted(Plant::SkipsCrc));
            drop(inner);
            assert!(planted(Plant::SkipsCrc));
        }
        assert!(!planted(Plant::SkipsCrc));
    }
}
