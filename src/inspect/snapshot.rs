//! One immutable picture of a cluster.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::{
    BrokerFiles, Browse, Event, GroupSnapshot, Lane, Outcome, ProducerPlan, RecordAnswer,
    SegmentDetail,
};
use crate::ids::{
    BrokerEpoch, BrokerId, ConnectionId, LeaderEpoch, Offset, PartitionIndex, ProducerId, Time,
    TopicId,
};

/// Everything the window draws and `klar ctl snapshot` prints, at one moment. Counters only grow;
/// rates are differences the reader makes.
#[derive(Debug, Clone, PartialEq, Default, Serialize)]
pub struct ClusterSnapshot {
    /// Number of the last event this picture includes.
    pub event_number: u64,
    pub time: Time,
    pub cluster_id: String,
    /// What a client connects to, such as `127.0.0.1:9092`.
    pub bootstrap: String,
    /// `None` for an ephemeral cluster.
    pub data_dir: Option<String>,
    pub durability: Durability,
    /// True when clients from other machines can connect.
    pub listens_beyond_loopback: bool,
    /// The broker that decides about metadata, as the most advanced of the living ones sees it.
    pub controller: Option<BrokerId>,
    /// `None` until a broker has told of it.
    pub quorum: Option<QuorumSnapshot>,
    /// By number, the dead ones too.
    pub brokers: Vec<BrokerSnapshot>,
    /// Directions between brokers that are not as good as new.
    pub links: Vec<LinkSnapshot>,
    /// How time passes in it.
    pub pace: PaceSnapshot,
    /// By name.
    pub topics: Vec<Arc<TopicSnapshot>>,
    /// By name.
    pub groups: Vec<Arc<GroupSnapshot>>,
    pub totals: Totals,
    pub connections: Vec<ConnectionSnapshot>,
    /// Clients' connections to running brokers that ended lately, at most [`GONE_KEPT`] of each broker.
    ///
    /// [`GONE_KEPT`]: super::GONE_KEPT
    pub gone: Vec<ConnectionSnapshot>,
    /// Which of their requests came while nothing happened.
    pub polls: Vec<Polls>,
    /// Requests without an answer yet, at most [`IN_FLIGHT_SHOWN`] of each broker.
    pub in_flight: Vec<InFlight>,
    /// The newest events, oldest first, at most [`EVENTS_KEPT`].
    pub events: Vec<Arc<Event>>,
    /// The newest outcomes of commands, oldest first, at most [`OUTCOMES_KEPT`].
    pub outcomes: Vec<Outcome>,
    /// Contents of the focused lanes.
    pub lanes: Vec<Arc<Lane>>,
    pub record: Option<Arc<RecordAnswer>>,
    pub segment: Option<Arc<SegmentDetail>>,
    /// What the focused broker left on disk, once it has ended and that was read.
    pub files: Option<Arc<BrokerFiles>>,
    pub browse: Option<Arc<Browse>>,
    pub producers: Vec<ProducerSnapshot>,
    pub consumers: Vec<super::ConsumerSnapshot>,
    /// Topics waiting out their undo time: name and the moment they go.
    pub deleting: Vec<(String, Time)>,
}

impl ClusterSnapshot {
    /// The directory of a broker's logs; `None` for an ephemeral cluster.
    pub fn log_dir(&self, broker: BrokerId) -> Option<String> {
        let dir = self.data_dir.as_ref()?;
        Some(format!("{dir}/broker-{broker}"))
    }
}

/// Events a snapshot carries.
pub const EVENTS_KEPT: usize = 2_000;
/// Outcomes a snapshot carries.
pub const OUTCOMES_KEPT: usize = 64;

/// Requests without an answer a broker tells of.
pub const IN_FLIGHT_SHOWN: usize = 256;
/// Partitions an unanswered request names; it may be about more.
pub const IN_FLIGHT_PARTITIONS: usize = 8;

/// When an acknowledged record is on the medium.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Durability {
    /// Written before the ack; synced on roll, clean stop and every second.
    #[default]
    Os,
    /// Synced before the ack, many acks to a sync.
    Batch,
    /// Never written to a file.
    Memory,
}

/// Counters over everything, since the program started.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct Totals {
    pub records_in: u64,
    pub bytes_in: u64,
    pub records_out: u64,
    pub bytes_out: u64,
    pub requests: u64,
    /// Those of the requests that brokers made of each other.
    pub between_brokers: u64,
    pub errors: u64,
    /// Partitions of Produce requests that were answered with an error.
    pub failed_produces: u64,
}

impl Totals {
    /// Adds what another broker, or the same one before, has counted.
    pub fn add(&mut self, other: Totals) {
        self.records_in += other.records_in;
        self.bytes_in += other.bytes_in;
        self.records_out += other.records_out;
        self.bytes_out += other.bytes_out;
        self.requests += other.requests;
        self.between_brokers += other.between_brokers;
        self.errors += other.errors;
        self.failed_produces += other.failed_produces;
    }

    /// Requests that clients made.
    pub fn of_clients(&self) -> u64 {
        self.requests.saturating_sub(self.between_brokers)
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct BrokerSnapshot {
    pub id: BrokerId,
    pub host: String,
    pub port: u16,
    pub state: BrokerState,
    pub started: Time,
    /// What the last start found and did.
    pub recovery: String,
    /// What the newest metadata says of it; `None` before it registered for the first time.
    pub registration: Option<RegistrationSnapshot>,
    pub connections: u32,
    pub log_bytes: u64,
    /// Effective broker settings by Kafka's names: name, value, whether it is the default.
    pub settings: Vec<(String, String, bool)>,
}

#[cfg(test)]
impl BrokerSnapshot {
    /// A broker that runs and is in use, for tests about something else.
    pub fn running(id: BrokerId) -> BrokerSnapshot {
        BrokerSnapshot {
            id,
            host: "127.0.0.1".to_owned(),
            port: 9092,
            state: BrokerState::Running,
            started: Time(0),
            recovery: String::new(),
            registration: Some(RegistrationSnapshot {
                broker: id,
                epoch: BrokerEpoch(1),
                fenced: false,
                in_controlled_shutdown: false,
            }),
            connections: 0,
            log_bytes: 0,
            settings: Vec::new(),
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum BrokerState {
    Starting,
    Running,
    /// It hands its leaderships over and closes its logs.
    Stopping,
    /// Its thread stands still: it reads nothing, answers nothing, and no timer of it runs.
    Paused,
    /// Stopped cleanly.
    Stopped,
    /// Ended from outside, as `kill -9` ends a process.
    Killed,
    Crashed {
        message: String,
    },
}

/// A broker as the controller has it registered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct RegistrationSnapshot {
    pub broker: BrokerId,
    /// Of its newest incarnation: each start registers anew.
    pub epoch: BrokerEpoch,
    /// Not to be used: it leads nothing, is in no ISR, and clients are not told of it.
    pub fenced: bool,
    /// It hands its leaderships over to stop.
    pub in_controlled_shutdown: bool,
}

/// A request somebody has sent and nobody has answered yet.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct InFlight {
    pub from: Asker,
    pub to: BrokerId,
    /// Name and version, such as `Fetch v18`.
    pub api: String,
    pub since: Time,
    pub waits_for: WaitsFor,
    /// Topics and partitions it is about, the first [`IN_FLIGHT_PARTITIONS`]; empty where that is not known.
    pub partitions: Vec<(String, PartitionIndex)>,
}

/// Who sent a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Asker {
    Broker(BrokerId),
    /// A client, by its connection to the broker it asked.
    Client(ConnectionId),
}

/// What a request waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum WaitsFor {
    /// Only the asker tells of it: it is on its way, being answered or held back there.
    Answer,
    /// A long poll for records, or for its wait to be over.
    Records,
    /// Replicas that are to have what was written.
    Replicas,
    /// The disk, or the voters, that make a decision or a record durable.
    Durability,
    /// The controller, to whom it was passed on.
    Controller,
    /// The other members of its group.
    Group,
    /// The coordinator of its group, which is elected or reads its groups.
    Coordinator,
    /// The broker, which has started and reads the metadata.
    Joining,
}

/// The metadata quorum, as its leader reports it or else the most advanced broker.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct QuorumSnapshot {
    pub leader: Option<BrokerId>,
    pub epoch: LeaderEpoch,
    /// Below this, metadata records are committed and applied.
    pub high_watermark: Offset,
    pub log_end: Offset,
    /// Metadata in front of it is in the snapshots only.
    pub log_start: Offset,
    /// The newest snapshot of the metadata there.
    pub snapshot: Option<MetadataSnapshot>,
    /// By number: the voters, then the observers.
    pub replicas: Vec<QuorumReplica>,
}

/// What Kafka calls a snapshot id: all that is committed in front of an offset, of which the last record has this epoch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct MetadataSnapshot {
    pub end_offset: Offset,
    pub epoch: LeaderEpoch,
}

/// One broker's place in the metadata quorum, as the leader sees it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct QuorumReplica {
    pub broker: BrokerId,
    /// It votes; an observer only reads.
    pub voter: bool,
    /// −1 while the leader does not know.
    pub log_end: Offset,
    /// Records it lacks of what the leader has.
    pub lag: Option<u64>,
    /// Milliseconds since its last fetch.
    pub fetched_ms: Option<u64>,
    /// Milliseconds since it had everything the leader had.
    pub caught_up_ms: Option<u64>,
}

/// One direction between two brokers that is cut, slow or lossy.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct LinkSnapshot {
    pub from: BrokerId,
    pub to: BrokerId,
    /// Nothing arrives.
    pub cut: bool,
    /// Everything takes this much longer, milliseconds.
    pub delay_ms: u64,
}

/// How fast time passes for the brokers and klar's own clients.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PaceSnapshot {
    /// A second of the cluster takes so many seconds; 1 is real time.
    pub slowdown: u32,
    /// Time stands still.
    pub paused: bool,
    /// It does not, yet: a step found no message, and time goes on until a broker sends one.
    pub searching: bool,
    /// What followers ask of leaders does not arrive.
    pub replication_frozen: bool,
    /// How far the cluster's clock is behind the system's because of all this, milliseconds.
    pub behind_ms: u64,
    /// Messages between brokers that a step would let through, in its order.
    pub held: Vec<HeldMessage>,
}

impl PaceSnapshot {
    /// Everything runs as it does by itself.
    pub fn is_real(&self) -> bool {
        self.slowdown == 1 && !self.paused && !self.replication_frozen
    }
}

impl Default for PaceSnapshot {
    fn default() -> PaceSnapshot {
        PaceSnapshot {
            slowdown: 1,
            paused: false,
            searching: false,
            replication_frozen: false,
            behind_ms: 0,
            held: Vec::new(),
        }
    }
}

/// A request or an answer between two brokers that is held back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct HeldMessage {
    pub from: BrokerId,
    pub to: BrokerId,
    /// Name and version, such as `Fetch v18`.
    pub api: String,
    /// It answers such a request.
    pub answer: bool,
}

impl HeldMessage {
    /// `Fetch v18 from broker 2 to broker 1`.
    pub fn words(&self) -> String {
        let answer = if self.answer { "The answer to " } else { "" };
        format!(
            "{answer}{} from broker {} to broker {}",
            self.api, self.from, self.to
        )
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct TopicSnapshot {
    pub name: String,
    pub id: TopicId,
    pub internal: bool,
    pub replication_factor: i16,
    /// Effective settings by Kafka's names, all of them.
    pub configs: Arc<Vec<ConfigValue>>,
    pub partitions: Vec<PartitionSnapshot>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ConfigValue {
    pub name: &'static str,
    pub value: String,
    /// True when the topic sets it; false when it is the broker's value.
    pub set: bool,
    pub doc: &'static str,
}

/// One partition as its leader reports it; as the last leader did while there is none.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct PartitionSnapshot {
    pub index: PartitionIndex,
    pub leader: Option<BrokerId>,
    pub leader_epoch: LeaderEpoch,
    /// Counts every change of the partition in metadata, those of its leader among them.
    pub partition_epoch: i32,
    /// In the order of the assignment: the first is the preferred leader.
    pub replicas: Vec<ReplicaSnapshot>,
    pub isr: Vec<BrokerId>,
    /// Out of the ISR, yet with every committed record (KIP-966): they may lead.
    pub elr: Vec<BrokerId>,
    /// Replicas a reassignment adds and takes away; empty while nothing moves.
    pub adding: Vec<BrokerId>,
    pub removing: Vec<BrokerId>,
    /// The leader was elected although records may have been lost, and has not said that it is done with that.
    pub recovering: bool,
    pub log_start: Offset,
    pub high_watermark: Offset,
    pub last_stable: Offset,
    pub log_end: Offset,
    pub bytes: u64,
    pub records_in: u64,
    pub bytes_in: u64,
    pub bytes_out: u64,
    /// Timestamp of the newest record, milliseconds since the Unix epoch; −1 without one.
    pub max_timestamp_ms: i64,
    pub segments: Vec<SegmentSnapshot>,
    /// Leader epochs and the offset each began at.
    pub epochs: Vec<(LeaderEpoch, Offset)>,
    /// Idempotent producers with state in this partition.
    pub producers: u32,
    /// Set while a range of the log is known to be damaged, or its disk refuses writes.
    pub trouble: Option<String>,
}

/// One replica of a partition as the broker that holds it reports it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ReplicaSnapshot {
    pub broker: BrokerId,
    /// Log start and log end were read from the files of a broker that does not run. Until they are, and where
    /// there are no files, a dead broker's are the last it told.
    pub from_files: bool,
    /// Offsets are −1 while the broker has not told of them.
    pub log_start: Offset,
    pub log_end: Offset,
    /// As this replica knows it; a follower's is behind its leader's.
    pub high_watermark: Offset,
    pub leader_epoch: LeaderEpoch,
    /// What its own log takes on disk; `None` where it was told of the partition only: the leader's log is that.
    pub size: Option<LogSize>,
    /// Leader epochs and the offset each began at in this replica's log, the newest [`EPOCHS_SHOWN`].
    pub epochs: Vec<(LeaderEpoch, Offset)>,
    /// It is in the partition's ISR.
    pub in_sync: bool,
    /// The high watermark waits for it: in sync, or proposed to the controller, which may have agreed.
    pub in_maximal_isr: bool,
    /// Milliseconds since a follower had everything its leader had, as the leader sees it: 0 while it has,
    /// `None` if it never had in this leader epoch. As of when its topic was shown last: a fresh picture shows
    /// all, any other the focused topic and those that changed.
    pub caught_up_ms: Option<u64>,
    /// Milliseconds until a follower that is behind leaves the ISR, as `caught_up_ms`.
    pub leaves_isr_ms: Option<u64>,
    pub state: ReplicaState,
}

/// What one log takes on disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct LogSize {
    pub bytes: u64,
    pub segments: u32,
}

impl LogSize {
    /// Of the log that tells of a partition.
    pub fn of(partition: &PartitionSnapshot) -> LogSize {
        LogSize {
            bytes: partition.bytes,
            segments: u32::try_from(partition.segments.len()).unwrap_or(u32::MAX),
        }
    }
}

/// Leader epochs a replica tells of.
pub const EPOCHS_SHOWN: usize = 32;

/// What a replica does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ReplicaState {
    Leader,
    Follower,
    /// Its log cannot be used.
    Failed,
    /// Its broker does not run.
    Offline,
    /// Its broker has not told of it.
    Unknown,
}

impl ReplicaSnapshot {
    /// A replica nobody has told of.
    pub fn unknown(broker: BrokerId) -> ReplicaSnapshot {
        ReplicaSnapshot {
            broker,
            from_files: false,
            log_start: Offset::NONE,
            log_end: Offset::NONE,
            high_watermark: Offset::NONE,
            leader_epoch: LeaderEpoch::NONE,
            size: None,
            epochs: Vec::new(),
            in_sync: false,
            in_maximal_isr: false,
            caught_up_ms: None,
            leaves_isr_ms: None,
            state: ReplicaState::Unknown,
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct SegmentSnapshot {
    pub base_offset: Offset,
    /// One past the last offset in it.
    pub end_offset: Offset,
    pub bytes: u64,
    pub index_entries: u32,
    pub index_bytes: u64,
    pub time_index_entries: u32,
    pub time_index_bytes: u64,
    pub max_timestamp_ms: i64,
    pub active: bool,
}

/// A client connection as its broker sees it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConnectionSnapshot {
    pub id: ConnectionId,
    pub broker: BrokerId,
    pub peer: String,
    pub client_id: String,
    /// Library and version from ApiVersions 3+, or empty.
    pub software: String,
    pub since: Time,
    pub requests: u64,
    pub errors: u64,
    pub last_api: String,
    /// True for klar's own panels.
    pub own: bool,
    pub contact: super::Contact,
}

/// Requests of another broker that came while nothing happened: fetches that brought nothing, and heartbeats.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Polls {
    pub broker: BrokerId,
    /// The other broker's.
    pub connection: ConnectionId,
    pub requests: u64,
}

/// One of klar's own producers.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ProducerSnapshot {
    pub id: u64,
    pub plan: ProducerPlan,
    pub running: bool,
    pub sent: u64,
    pub acked: u64,
    pub failed: u64,
    pub last_error: Option<super::Failure>,
    pub producer_id: ProducerId,
    /// Milliseconds from send to ack, of the newest acked batch.
    pub latency_ms: f64,
}
