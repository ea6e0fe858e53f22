//! What a leader goes by.

/// `replica.lag.time.max.ms`, as in Kafka: nothing about one machine makes a follower's disk faster.
pub const REPLICA_LAG_TIME_MAX_MS: i64 = 30_000;

/// How a leader judges its followers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LeaderConfig {
    /// How long a member may go without having caught up before it leaves the in-sync replicas.
    pub lag_time_max_ms: i64,
    /// `min.insync.replicas`; counts as the number of replicas where there are fewer.
    pub min_insync: usize,
    /// The leader's own copy counts only once it is synced (durability `batch`).
    pub waits_for_sync: bool,
}

impl Default for LeaderConfig {
    fn default() -> LeaderConfig {
        LeaderConfig {
            lag_time_max_ms: REPLICA_LAG_TIME_MAX_MS,
            min_insync: 1,
            waits_for_sync: false,
        }
    }
}
