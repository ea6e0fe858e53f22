//! What a quorum member is started with.
//!
//! The defaults of the times are shorter than Apache Kafka's: all brokers run in one machine, so silence means
//! death much sooner, and a learner should not wait ten seconds for an election.

use std::collections::BTreeSet;

use crate::ids::BrokerId;

/// `controller.quorum.election.timeout.ms` (Kafka: 1000).
pub const ELECTION_TIMEOUT_MS: i64 = 300;
/// `controller.quorum.election.backoff.max.ms` (Kafka: 1000).
pub const ELECTION_BACKOFF_MAX_MS: i64 = 100;
/// `controller.quorum.fetch.timeout.ms` (Kafka: 2000).
pub const FETCH_TIMEOUT_MS: i64 = 400;
/// `controller.quorum.request.timeout.ms` (Kafka: 2000).
pub const REQUEST_TIMEOUT_MS: i64 = 300;

/// Who takes part, and how long silence is borne. Times are milliseconds, at least 1.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QuorumConfig {
    pub me: BrokerId,
    /// Requests that name another cluster are refused.
    pub cluster_id: String,
    /// Those who elect and are counted for commitment. Who is not among them observes.
    pub voters: BTreeSet<BrokerId>,
    /// How long a voter waits for votes, or for a leader it has not heard of, before it starts anew.
    pub election_timeout_ms: i64,
    /// Bound of the random waits that keep voters from standing at the same moment.
    pub election_backoff_max_ms: i64,
    /// How long a follower bears a leader's silence; a leader bears its majority's half as long again.
    pub fetch_timeout_ms: i64,
    /// How long Vote, BeginQuorumEpoch and EndQuorumEpoch may stay unanswered.
    pub request_timeout_ms: i64,
}

impl QuorumConfig {
    /// The default times.
    pub fn new(me: BrokerId, cluster_id: &str, voters: BTreeSet<BrokerId>) -> QuorumConfig {
        QuorumConfig {
            me,
            cluster_id: cluster_id.to_owned(),
            voters,
            election_timeout_ms: ELECTION_TIMEOUT_MS,
            election_backoff_max_ms: ELECTION_BACKOFF_MAX_MS,
            fetch_timeout_ms: FETCH_TIMEOUT_MS,
            request_timeout_ms: REQUEST_TIMEOUT_MS,
        }
    }

    /// How many voters decide.
    pub fn majority(&self) -> usize {
        self.voters.len() / 2 + 1
    }
}
