//! What a leader goes by, and the bugs tests plant in this module.

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
    /// A bug on purpose, for tests that test the tests. [`Plant::None`] wherever klar is not tested.
    pub plant: Plant,
}

impl Default for LeaderConfig {
    fn default() -> LeaderConfig {
        LeaderConfig {
            lag_time_max_ms: REPLICA_LAG_TIME_MAX_MS,
            min_insync: 1,
            waits_for_sync: false,
            plant: Plant::None,
        }
    }
}

/// A planted bug: each must be caught by the simulations in its budget. Nothing but a test sets one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Plant {
    #[default]
    None,
    /// The high watermark is the leader's log end, whoever has it (H3).
    HighWatermarkIsMax,
    /// The high watermark waits for the in-sync replicas and not for those proposed (E4).
    NoMaximalIsr,
    /// The high watermark moves with too few replicas in sync (H3).
    IgnoresMinInsync,
    /// Fetches of other leader epochs count (E8).
    NoEpochFence,
    /// Members are taken to have everything before they fetched in this leader epoch (H3).
    AssumesPositions,
    /// A follower below the high watermark or the epoch's start may join (H4).
    JoinsBelow,
    /// An unanswered proposal is taken for refused (E7).
    RollsBackUnknown,
    /// Fetches of an incarnation that is over count for the one that is registered (E6, KIP-903).
    NoIncarnationFence,
    /// A broker acts as the leader old metadata names before metadata knows its incarnation (E7, D1).
    LeadsUnregistered,
    /// A leader never finds that a follower's log diverges from its own (D4).
    OverlooksDivergence,
    /// A follower cuts a diverging log at its own high watermark, as before KIP-101 (H2).
    TruncatesToHighWatermark,
    /// A follower takes an answer to a question of an earlier leader epoch (D4).
    TakesLateAnswers,
}
