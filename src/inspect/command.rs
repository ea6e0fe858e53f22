//! What the window and `klar ctl` may ask for. Every command gets an outcome in a later snapshot.

use serde::{Deserialize, Serialize};

use super::ConsumerPlan;
use crate::ids::{BrokerId, Offset, PartitionIndex};

/// Identifies a command so that its outcome can be found in a later snapshot.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct CommandId(pub u64);

/// One request to whatever the window looks at.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "command", rename_all = "snake_case")]
pub enum Command {
    CreateTopic {
        name: String,
        partitions: i32,
        replication_factor: i16,
        /// Kafka topic configuration names and values.
        configs: Vec<(String, String)>,
    },
    /// Deletes after [`UNDO_DELETE_MS`]; until then [`Command::UndoDelete`] takes it back.
    DeleteTopic {
        name: String,
        /// Do not wait for the undo window.
        now: bool,
    },
    UndoDelete {
        name: String,
    },
    /// Deletes every record below the high watermark (DeleteRecords); the topic, its id and settings stay.
    EmptyTopic {
        name: String,
    },
    AddPartitions {
        name: String,
        total: i32,
    },
    /// `None` returns a configuration to the broker's default.
    AlterTopic {
        name: String,
        configs: Vec<(String, Option<String>)>,
    },
    /// Sends one record through klar's own producer.
    Produce(ProduceOne),
    /// Starts a producer that sends templated records at a rate until stopped.
    StartProducer(ProducerPlan),
    StopProducer {
        id: u64,
    },
    /// Starts so many consumers that all follow this plan. Static members get their number behind their name.
    StartConsumer {
        plan: ConsumerPlan,
        members: u32,
    },
    /// Has a consumer take no records; a member of a group stays in it.
    PauseConsumer {
        id: u64,
    },
    ResumeConsumer {
        id: u64,
    },
    /// Ends a consumer as `kill -9` ends a process: its connections close, nothing is committed, nobody is told.
    CrashConsumer {
        id: u64,
    },
    /// Has a consumer leave its group and end. It commits first what it has processed, unless it never commits.
    StopConsumer {
        id: u64,
    },
    /// Replaces the running browse, if any.
    Browse(BrowseQuery),
    /// Continues a browse that stopped at its limit or was paused.
    BrowseMore,
    PauseBrowse,
    StopBrowse,
    /// Ends a broker as `kill -9` ends a process: its thread is gone, its connections are reset, nothing
    /// is flushed.
    KillBroker {
        broker: BrokerId,
    },
    /// Stops one broker cleanly; the others go on.
    StopBroker {
        broker: BrokerId,
    },
    /// Starts a broker that does not run, on the directory and port it had. One that runs is stopped
    /// cleanly first.
    RestartBroker {
        broker: BrokerId,
    },
    /// Has a broker's thread stand still, as SIGSTOP does to a process.
    PauseBroker {
        broker: BrokerId,
    },
    ResumeBroker {
        broker: BrokerId,
    },
    /// Does to the whole cluster what a power loss does: every broker ends at once, every file is cut to what was
    /// synced, and those that ran start again. With [`super::Durability::Memory`] everything is gone.
    PullPlug,
    /// Lets nothing through from one broker to another any more, nor back if `both_ways`.
    CutLink {
        from: BrokerId,
        to: BrokerId,
        both_ways: bool,
    },
    /// Makes everything between two brokers take longer, each way; 0 makes it as fast as it can be.
    SlowLink {
        a: BrokerId,
        b: BrokerId,
        delay_ms: u32,
    },
    /// Makes the link between two brokers as good as new, each way.
    HealLink {
        a: BrokerId,
        b: BrokerId,
    },
    /// Makes all links between brokers as good as new.
    HealLinks,
    /// Has a second of the cluster take so many seconds, 1 to [`MAX_SLOWDOWN`]: timers of brokers and of klar's own
    /// clients, and what is on its way between brokers. Foreign clients keep their time.
    SlowTime {
        times: u32,
    },
    /// Has time stand still: no timer fires, and nothing arrives between brokers.
    PauseTime,
    /// Has time go on at the speed it had.
    ResumeTime,
    /// Lets one message through while time stands still or replication is frozen. Is there none, time goes on until
    /// a broker sends something.
    Step,
    /// Holds back what followers ask of leaders and are answered; all else goes on.
    FreezeReplication,
    ThawReplication,
    /// Starts one more broker, with the next number, on the next free port.
    AddBroker,
    /// Forgets a broker that was stopped, hosts nothing and has no vote; its directory is set aside.
    RemoveBroker {
        broker: BrokerId,
    },
    /// Has a broker lead a partition and makes it the preferred leader.
    ElectLeader {
        topic: String,
        partition: PartitionIndex,
        broker: BrokerId,
        /// Where nobody can lead: although records may be lost.
        unclean: bool,
    },
    /// Moves a partition's replicas to these brokers, the preferred leader first.
    MoveReplicas {
        topic: String,
        partition: PartitionIndex,
        brokers: Vec<BrokerId>,
    },
    /// Takes back a move that is under way.
    CancelMove {
        topic: String,
        partition: PartitionIndex,
    },
    /// Says which replicas are on their way.
    ListMoves,
    /// Moves what a group has committed. Refused while it has members.
    CommitOffsets {
        group: String,
        offsets: Vec<(String, PartitionIndex, Offset)>,
    },
    /// Forgets what a group has committed for these partitions. Refused for topics its members subscribe to.
    DeleteOffsets {
        group: String,
        partitions: Vec<(String, PartitionIndex)>,
    },
    /// Deletes a group with its offsets. Refused while it has members.
    DeleteGroup {
        group: String,
    },
    /// Asks for the first offset written at a moment or later; the high watermark where there is none. The outcome
    /// has them in [`Done::offsets`].
    FindOffsets {
        time_ms: i64,
        partitions: Vec<(String, PartitionIndex)>,
    },
    /// Stops the whole program cleanly.
    Stop,
}

/// The longest delay a link may be given, milliseconds.
pub const MAX_LINK_DELAY_MS: u32 = 60_000;

/// How many seconds a second of the cluster may take.
pub const MAX_SLOWDOWN: u32 = 1_000;

/// Milliseconds during which deleting an embedded topic can be undone.
pub const UNDO_DELETE_MS: i64 = 10_000;

/// Which compression a producer uses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Compression {
    #[default]
    None,
    Gzip,
    Snappy,
    Lz4,
    Zstd,
}

/// What a producer waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Acks {
    None,
    Leader,
    #[default]
    All,
}

/// How a record's partition is chosen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum PartitionBy {
    /// murmur2 of the key, as the Java client; spread evenly without a key.
    #[default]
    Automatic,
    Fixed(PartitionIndex),
}

/// How klar's own producer sends.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct ProducerSettings {
    pub compression: Compression,
    pub acks: Acks,
    pub idempotence: bool,
    pub partition: PartitionBy,
}

/// One record to send. Bytes, because keys and values need not be text.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct ProduceOne {
    pub topic: String,
    /// `None` is a null key.
    pub key: Option<Vec<u8>>,
    /// `None` is a tombstone.
    pub value: Option<Vec<u8>>,
    pub headers: Vec<(Vec<u8>, Option<Vec<u8>>)>,
    /// Milliseconds since the Unix epoch; `None` is the moment of sending.
    pub timestamp_ms: Option<i64>,
    pub settings: ProducerSettings,
}

/// A stream of templated records.
///
/// Templates are text with placeholders: `{n}` counter, `{uuid}`, `{int LOW HIGH}`, `{float LOW HIGH}`,
/// `{pick A|B|C}`, `{name}`, `{email}`, `{city}`, `{word}`, `{now}` (ISO time), `{now_ms}`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ProducerPlan {
    pub name: String,
    pub topic: String,
    /// `None` is a null key.
    pub key: Option<String>,
    /// `None` sends tombstones.
    pub value: Option<String>,
    pub headers: Vec<(String, String)>,
    pub settings: ProducerSettings,
    /// Records per second, 0.1 to [`MAX_PRODUCER_RATE`].
    pub rate: f64,
    /// Stop by itself after so many records.
    pub count: Option<u64>,
}

/// Records per second one panel producer may be asked for.
pub const MAX_PRODUCER_RATE: f64 = 200_000.0;

/// Where a browse begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum BrowseFrom {
    /// The newest records first, going back.
    #[default]
    Newest,
    Earliest,
    Offset(Offset),
    /// Milliseconds since the Unix epoch.
    TimeMs(i64),
    /// Only what arrives from now on, until paused.
    LiveTail,
}

/// A search through a topic's records, done by klar's own consumer over the wire.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct BrowseQuery {
    pub topic: String,
    /// `None` is all partitions.
    pub partition: Option<PartitionIndex>,
    pub from: BrowseFrom,
    /// Case-insensitive text looked for; empty matches everything.
    pub filter: String,
    pub in_key: bool,
    pub in_value: bool,
    pub in_headers: bool,
    /// Stop after so many matches (at most [`MAX_BROWSE_ROWS`]); `BrowseMore` continues.
    pub limit: usize,
}

/// Rows a browse keeps; a live tail forgets its oldest beyond this.
pub const MAX_BROWSE_ROWS: usize = 5_000;

/// How a command ended.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Outcome {
    pub id: CommandId,
    pub result: Result<Done, Failure>,
}

/// A command's success, as one sentence and what it made.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Done {
    pub sentence: String,
    /// Topic, partition and offset of a produced record.
    pub produced: Option<(String, PartitionIndex, Offset)>,
    /// Id of a started producer.
    pub producer: Option<u64>,
    /// Ids of started consumers.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub consumers: Vec<u64>,
    /// Offsets that were asked for.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub offsets: Vec<(String, PartitionIndex, Offset)>,
}

/// A command's failure: name (code), what happened here, what to do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure {
    /// Kafka's error name with its code, such as `TOPIC_ALREADY_EXISTS (36)`, or klar's own short name.
    pub name: String,
    pub what: String,
    pub what_to_do: String,
}

impl Failure {
    /// What happened and what to do as sentences. Either may end in a full stop or not: brokers and
    /// clients write some of them.
    pub fn sentence(&self) -> String {
        let sentence = |text: &str| {
            let text = text.trim().trim_end_matches('.');
            let stop = if text.ends_with(['?', '!', '…']) {
                ""
            } else {
                "."
            };
            (!text.is_empty()).then(|| format!("{text}{stop}"))
        };
        let both = [sentence(&self.what), sentence(&self.what_to_do)];
        both.into_iter().flatten().collect::<Vec<_>>().join(" ")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_reads_as_sentences_however_it_was_written() {
        for (what, what_to_do, expected) in [
            (
                "at most 1048576",
                "Correct the configuration",
                "at most 1048576. Correct the configuration.",
            ),
            (
                "This server does not host this partition.",
                "Create the topic first.",
                "This server does not host this partition. Create the topic first.",
            ),
            ("It broke.", "", "It broke."),
            ("Which one?", "Ask.", "Which one? Ask."),
        ] {
            let failure = Failure {
                name: String::new(),
                what: what.into(),
                what_to_do: what_to_do.into(),
            };
            assert_eq!(failure.sentence(), expected);
        }
    }
}
