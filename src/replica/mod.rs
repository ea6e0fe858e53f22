//! One partition on one broker: what a leader and a follower know and decide.
//!
//! In reading order: `truncation` (where two logs part), `in_sync` (how far a follower is, and who counts),
//! `leader` (the high watermark and the in-sync replicas), `follower` (what to do with an answer of the
//! leader), `fetcher` (one request for all partitions that follow the same broker).
//!
//! Nothing here reads a log, sends a frame or looks at a clock: facts of the log, answers and the time come
//! in, positions and steps go out. Guarantees H1 to H4, E4, E7 and E8 of the reliability contract;
//! `tests/` tries them with a controller, messages that get lost, late and doubled, and brokers that die.

mod config;
mod fetcher;
mod follower;
mod in_sync;
mod leader;
mod truncation;

#[cfg(test)]
mod tests;

pub use config::{LeaderConfig, REPLICA_LAG_TIME_MAX_MS};
pub use fetcher::{FetchLimits, Fetched, Fetcher, PartitionKey};
pub use follower::{Ask, Follower, FollowerTrouble, Step, Told, Unsound, check_records};
pub use in_sync::{FollowerFacts, Registration};
pub use leader::{
    Acked, Assignment, Attempt, FetchRefusal, FollowerFetch, IsrMember, Leader, Leaving,
    NotEnoughReplicas, Outcome, Proposal,
};
pub use truncation::{Cut, LogFacts, divergence, epoch_end};
