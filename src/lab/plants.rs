//! Which planted bug the simulator must catch, with which runs, how soon. Only with the feature `plants`.
//!
//! Caught means: a run with the bug breaks something that the very same run without it does not.

use super::plan::{PROFILES, Profile, plan};
use super::report::Violation;
use super::trace::Watch;
use super::{Schedule, run};
use crate::plants::{Plant, plant};

/// A bug, and what must catch it.
#[derive(Debug, Clone, Copy)]
pub struct Row {
    pub plant: Plant,
    /// As `klar plant` takes it.
    pub name: &'static str,
    /// The invariant it breaks, as RELIABILITY names it.
    pub invariant: &'static str,
    pub profile: &'static str,
    /// Seeds, from 1 on, within which it must be caught.
    pub budget: u64,
}

/// A bug that was caught.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Caught {
    pub seed: u64,
    /// What broke first.
    pub violation: Violation,
}

const fn row(
    plant: Plant,
    name: &'static str,
    invariant: &'static str,
    profile: &'static str,
    budget: u64,
) -> Row {
    Row {
        plant,
        name,
        invariant,
        profile,
        budget,
    }
}

/// Every bug the simulator must catch.
#[rustfmt::skip]
pub const PLANTS: &[Row] = &[
    row(Plant::AcksUnreplicated, "ack-before-replication", "D1", "cluster", 20),
    row(Plant::HighWatermarkIsMax, "high-watermark-is-max", "H3", "cluster", 20),
    row(Plant::NoMaximalIsr, "no-maximal-isr", "H3", "replicas", 20),
    row(Plant::IgnoresMinInsync, "ignores-min-insync", "H3", "replicas", 100),
    row(Plant::NoEpochFence, "no-epoch-fence", "E4", "replicas", 60),
    row(Plant::AssumesPositions, "assumes-positions", "H3", "replicas", 20),
    row(Plant::JoinsBelow, "isr-growth-below-epoch-start", "H4", "replicas", 20),
    row(Plant::RollsBackUnknown, "ambiguous-alter-rolled-back", "E7", "replicas", 20),
    row(Plant::KeepsDamaged, "damaged-copy-kept", "D1", "rot", 100),
    row(Plant::NoIncarnationFence, "stale-incarnation-accepted", "E6", "replicas", 20),
    row(Plant::LeadsUnregistered, "leads-unregistered", "E7", "replicas", 150),
    row(Plant::OverlooksDivergence, "overlooks-divergence", "D4", "cluster", 20),
    row(Plant::TruncatesToHighWatermark, "truncation-to-high-watermark", "H2", "replicas", 400),
    row(Plant::ReadsUncommitted, "reads-uncommitted", "H5", "cluster", 20),
    row(Plant::ElectsUnclean, "unclean-election", "E3", "cluster", 60),
    row(Plant::KeepsFenced, "fenced-stays-in-isr", "E5", "cluster", 20),
    row(Plant::VotesTwice, "votes-twice", "K1", "cluster", 300),
    row(Plant::ForgetsVotes, "forgets-votes", "K1", "cluster", 40),
    row(Plant::VotesForShorterLog, "votes-for-shorter-log", "K2", "cluster", 200),
    row(Plant::CommitsAlone, "commits-alone", "K4", "cluster", 100),
    row(Plant::OverlooksMetadataDivergence, "overlooks-metadata-divergence", "K2", "cluster", 20),
    row(Plant::CommitsStaleGenerations, "stale-generation-commits", "C2", "groups", 200),
    row(Plant::TellsUncommitted, "group-answers-uncommitted", "C2", "groups", 200),
    row(Plant::ForgetsOffsets, "offsets-lost-on-move", "C2", "groups", 20),
    row(Plant::CoordinatesOn, "coordinates-on", "C2", "groups", 200),
    row(Plant::SharesAssignments, "two-owners", "C3", "groups", 20),
    row(Plant::ReusesGenerations, "generation-reused", "C3", "groups", 100),
    row(Plant::SkipsCrc, "crc-skipped-on-recovery", "D5", "disk", 50),
    row(Plant::CheckpointsAhead, "checkpoint-ahead-of-log", "D1", "disk", 500),
    row(Plant::TakesTornTailForDamage, "torn-tail-is-corruption", "D1", "disk", 20),
    row(Plant::TrustsFailedSync, "failed-sync-trusted", "D1", "disk", 300),
    row(Plant::AcksUnsynced, "ack-before-sync", "D1", "disk", 20),
    row(Plant::AcceptsDuplicates, "duplicate-appended", "P1", "net", 20),
    row(Plant::ForgetsProducers, "producers-forgotten", "P2", "kills", 20),
    row(Plant::KeepsTornWrite, "torn-write-kept", "D5", "disk", 300),
];

impl Row {
    /// The runs that must catch it.
    pub fn profile(&self) -> &'static Profile {
        let named = PROFILES.iter().find(|p| p.name == self.profile);
        named.expect("the table names profiles there are")
    }

    /// Whether this seed catches the bug, and how.
    pub fn try_seed(&self, seed: u64) -> Option<Caught> {
        let schedule = plan(seed, self.profile());
        let violation = self.violation(&schedule)?;
        let innocent = run(&schedule, Watch::default()).is_fine();
        innocent.then_some(Caught { seed, violation })
    }

    /// What breaks first in a run with the bug.
    pub fn violation(&self, schedule: &Schedule) -> Option<Violation> {
        let _planted = plant(self.plant);
        run(schedule, Watch::default())
            .violations
            .into_iter()
            .next()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_row_is_about_a_bug_of_its_own_and_a_profile_there_is() {
        for (n, row) in PLANTS.iter().enumerate() {
            assert!(row.budget > 0 && !row.profile().about.is_empty());
            let others = &PLANTS[n + 1..];
            let alike = |other: &Row| other.name == row.name || other.plant == row.plant;
            assert!(!others.iter().any(alike), "{}", row.name);
        }
    }

    #[test]
    fn a_planted_bug_is_caught_and_is_gone_afterwards() {
        let row = PLANTS.iter().find(|row| row.plant == Plant::KeepsFenced);
        let row = row.expect("it is in the table");
        let caught = (1..=row.budget).find_map(|seed| row.try_seed(seed));
        let caught = caught.expect("caught within its budget");
        let again = run(&plan(caught.seed, row.profile()), Watch::default());
        assert!(again.is_fine());
    }
}
