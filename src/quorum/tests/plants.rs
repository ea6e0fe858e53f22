//! Planted bugs: each must be found by the seeds within its budget. They test the tests.

use super::seeds::run;
use crate::plants::{Plant, plant};

/// A bug and the number of seeds it must be found in.
const PLANTS: &[(Plant, u64)] = &[
    (Plant::VotesTwice, 100),
    (Plant::ForgetsVotes, 400),
    (Plant::VotesForShorterLog, 200),
    (Plant::CommitsAlone, 20),
    (Plant::CountsOldEpochs, 200),
    (Plant::CountsUnsynced, 100),
    (Plant::FetchesBeforeSync, 100),
    (Plant::OverlooksMetadataDivergence, 100),
    (Plant::LeadsAlone, 100),
];

#[test]
fn every_planted_bug_is_found() {
    let mut missed = Vec::new();
    for (bug, budget) in PLANTS {
        let _planted = plant(*bug);
        let found = (0..*budget).find_map(|seed| Some((seed, run(seed).err()?)));
        match found {
            Some((seed, violation)) => println!("{bug:?}: seed {seed}: {violation}"),
            None => missed.push(bug),
        }
    }
    assert!(missed.is_empty(), "not found: {missed:?}");
}
