//! The tables of topic and broker configurations: Kafka's names, types, defaults, limits, in one row each.
//!
//! Defaults are Kafka's unless the row says why not. A row whose effect belongs to something klar does not
//! do (compaction) says so in its text; a name that is in no table is refused.

use std::fmt;

/// A configuration's type, with the numbers DescribeConfigs uses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ConfigType {
    Boolean = 1,
    String = 2,
    Int = 3,
    Long = 5,
    Double = 6,
    List = 7,
}

/// Which values of the type are allowed.
#[derive(Debug, Clone, Copy)]
pub enum Allowed {
    Any,
    AtLeast(i64),
    Between(i64, i64),
    /// A share between 0 and 1.
    Share,
    OneOf(&'static [&'static str]),
    /// Each element of the list is one of these.
    Subset(&'static [&'static str]),
}

/// One topic configuration.
#[derive(Debug)]
pub struct TopicRow {
    pub name: &'static str,
    pub kind: ConfigType,
    pub allowed: Allowed,
    /// Broker configurations it falls back to, strongest first, each with the factor to this row's unit.
    pub falls_back_to: &'static [(&'static str, i64)],
    pub doc: &'static str,
}

/// Who may change a broker configuration while the broker runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Change {
    /// Only by starting again with `--set`.
    AtStart,
    /// By AlterConfigs, for one broker or for all.
    Live,
}

/// One broker configuration.
#[derive(Debug)]
pub struct BrokerRow {
    pub name: &'static str,
    pub kind: ConfigType,
    pub allowed: Allowed,
    /// `None` when unset by default: then a weaker name decides.
    pub default: Option<&'static str>,
    pub change: Change,
    pub doc: &'static str,
}

/// Why a value is refused, in Kafka's words.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("Invalid value {value} for configuration {name}: {why}")]
pub struct BadValue {
    pub name: String,
    pub value: String,
    pub why: String,
}

const TOPIC_POLICIES: &[&str] = &["compact", "delete"];
const ASSIGNORS: &[&str] = &["range", "uniform"];
const MIGRATION_POLICIES: &[&str] = &["bidirectional", "upgrade", "downgrade", "disabled"];
const COMPRESSION_TYPES: &[&str] = &["uncompressed", "zstd", "lz4", "snappy", "gzip", "producer"];
const TIMESTAMP_TYPES: &[&str] = &["CreateTime", "LogAppendTime"];
const INT_MAX: i64 = i32::MAX as i64;

const fn topic(
    name: &'static str,
    kind: ConfigType,
    allowed: Allowed,
    falls_back_to: &'static [(&'static str, i64)],
    doc: &'static str,
) -> TopicRow {
    TopicRow {
        name,
        kind,
        allowed,
        falls_back_to,
        doc,
    }
}

const fn live(
    name: &'static str,
    kind: ConfigType,
    allowed: Allowed,
    default: Option<&'static str>,
    doc: &'static str,
) -> BrokerRow {
    BrokerRow {
        name,
        kind,
        allowed,
        default,
        change: Change::Live,
        doc,
    }
}

const fn fixed(
    name: &'static str,
    kind: ConfigType,
    allowed: Allowed,
    default: Option<&'static str>,
    doc: &'static str,
) -> BrokerRow {
    BrokerRow {
        name,
        kind,
        allowed,
        default,
        change: Change::AtStart,
        doc,
    }
}

use Allowed::{Any, AtLeast, Between, OneOf, Share, Subset};
use ConfigType::{Boolean, Double, Int, List, Long, String as Text};

/// Every topic configuration, by name.
#[rustfmt::skip]
pub const TOPIC_ROWS: &[TopicRow] = &[
    topic("cleanup.policy", List, Subset(TOPIC_POLICIES), &[("log.cleanup.policy", 1)],
        "What happens to old records: `delete` removes whole segments by age and size; `compact` keeps the newest record of each key and so refuses records without a key. Compaction itself does not run yet."),
    topic("compression.gzip.level", Int, Between(-1, 9), &[("compression.gzip.level", 1)],
        "Level used when the broker compresses with gzip. Batches are kept as their producer compressed them."),
    topic("compression.lz4.level", Int, Between(1, 17), &[("compression.lz4.level", 1)],
        "Level used when the broker compresses with lz4. Batches are kept as their producer compressed them."),
    topic("compression.type", Text, OneOf(COMPRESSION_TYPES), &[("compression.type", 1)],
        "Codec a topic's batches are stored with. Batches are kept as their producer compressed them, whatever is set."),
    topic("compression.zstd.level", Int, Between(-131_072, 22), &[("compression.zstd.level", 1)],
        "Level used when the broker compresses with zstd. Batches are kept as their producer compressed them."),
    topic("delete.retention.ms", Long, AtLeast(0), &[("log.cleaner.delete.retention.ms", 1)],
        "Milliseconds a tombstone survives compaction. Compaction does not run yet."),
    topic("file.delete.delay.ms", Long, AtLeast(0), &[("log.segment.delete.delay.ms", 1)],
        "Milliseconds between a segment leaving the log and its files going. klar removes them at once; readers keep what they have open."),
    topic("flush.messages", Long, AtLeast(1), &[("log.flush.interval.messages", 1)],
        "Records after which the log is synced. klar syncs as its durability setting says."),
    topic("flush.ms", Long, AtLeast(0), &[("log.flush.interval.ms", 1), ("log.flush.scheduler.interval.ms", 1)],
        "Milliseconds after which the log is synced. klar syncs as its durability setting says."),
    topic("index.interval.bytes", Int, AtLeast(0), &[("log.index.interval.bytes", 1)],
        "Bytes of log between two entries of the offset index: fewer make a lookup shorter and the index larger."),
    topic("max.compaction.lag.ms", Long, AtLeast(1), &[("log.cleaner.max.compaction.lag.ms", 1)],
        "Longest time in milliseconds a record stays uncompacted. Compaction does not run yet."),
    topic("max.message.bytes", Int, AtLeast(0), &[("message.max.bytes", 1)],
        "Largest record batch in bytes, compressed, that is accepted."),
    topic("message.timestamp.after.max.ms", Long, AtLeast(0), &[("log.message.timestamp.after.max.ms", 1)],
        "How many milliseconds a record's timestamp may lie ahead of the broker's clock. Used with CreateTime only."),
    topic("message.timestamp.before.max.ms", Long, AtLeast(0), &[("log.message.timestamp.before.max.ms", 1)],
        "How many milliseconds a record's timestamp may lie behind the broker's clock. Used with CreateTime only."),
    topic("message.timestamp.type", Text, OneOf(TIMESTAMP_TYPES), &[("log.message.timestamp.type", 1)],
        "Whether a record carries the time its producer gave it or the time it was appended."),
    topic("min.cleanable.dirty.ratio", Double, Share, &[("log.cleaner.min.cleanable.ratio", 1)],
        "Share of a log that must be uncompacted before it is compacted. Compaction does not run yet."),
    topic("min.compaction.lag.ms", Long, AtLeast(0), &[("log.cleaner.min.compaction.lag.ms", 1)],
        "Shortest time in milliseconds a record stays uncompacted. Compaction does not run yet."),
    topic("min.insync.replicas", Int, AtLeast(1), &[("min.insync.replicas", 1)],
        "Replicas that must have a record before acks=all is answered; fewer in sync refuse it."),
    topic("preallocate", Boolean, Any, &[("log.preallocate", 1)],
        "Reserve a segment's bytes when it is made. klar never does: appending into a reserved file is slower."),
    topic("retention.bytes", Long, Any, &[("log.retention.bytes", 1)],
        "Bytes per partition above which the oldest segments are deleted; -1 is no limit."),
    topic("retention.ms", Long, AtLeast(-1), &[("log.retention.ms", 1), ("log.retention.minutes", 60_000), ("log.retention.hours", 3_600_000)],
        "Milliseconds after which a segment is deleted, counted from its newest record; -1 is no limit."),
    topic("segment.bytes", Int, AtLeast(1_048_576), &[("log.segment.bytes", 1)],
        "Bytes after which a new segment begins. Retention deletes whole segments."),
    topic("segment.index.bytes", Int, AtLeast(4), &[("log.index.size.max.bytes", 1)],
        "Largest offset index in bytes; a full index begins a new segment."),
    topic("segment.jitter.ms", Long, AtLeast(0), &[("log.roll.jitter.ms", 1), ("log.roll.jitter.hours", 3_600_000)],
        "Random milliseconds taken off segment.ms so that segments do not all begin at once. klar takes none."),
    topic("segment.ms", Long, AtLeast(1), &[("log.roll.ms", 1), ("log.roll.hours", 3_600_000)],
        "Milliseconds after which a new segment begins even when the old one is not full."),
    topic("unclean.leader.election.enable", Boolean, Any, &[("unclean.leader.election.enable", 1)],
        "Whether a replica that is neither in sync nor eligible may lead when no other is left: committed records may be lost."),
];

/// Every broker configuration, by name.
#[rustfmt::skip]
pub const BROKER_ROWS: &[BrokerRow] = &[
    fixed("auto.create.topics.enable", Boolean, Any, Some("true"),
        "Whether a client asking for the metadata of an unknown topic makes it."),
    fixed("auto.leader.rebalance.enable", Boolean, Any, Some("true"),
        "Whether the controller gives leadership back to preferred leaders by itself, every leader.imbalance.check.interval.seconds."),
    // Kafka's default is 2000; brokers in one process can say more often that they live, and failover is the sooner for it.
    fixed("broker.heartbeat.interval.ms", Int, AtLeast(1), Some("200"), "Milliseconds between two heartbeats of a broker to the controller."),
    fixed("broker.rack", Text, Any, None, "The rack a broker stands in: a partition's replicas go to different racks where they can."),
    // Kafka's default is 9000: a network's pauses. Within one process 700 ms of silence is a broker that is gone.
    fixed("broker.session.timeout.ms", Int, AtLeast(1), Some("700"), "Milliseconds without a heartbeat after which the controller fences a broker and elects other leaders; a third of it once its connection is lost."),
    live("compression.gzip.level", Int, Between(-1, 9), Some("-1"), "Default of the topic configuration of the same name."),
    live("compression.lz4.level", Int, Between(1, 17), Some("9"), "Default of the topic configuration of the same name."),
    live("compression.type", Text, OneOf(COMPRESSION_TYPES), Some("producer"), "Default of the topic configuration of the same name."),
    live("compression.zstd.level", Int, Between(-131_072, 22), Some("3"), "Default of the topic configuration of the same name."),
    fixed("connections.max.idle.ms", Long, Any, Some("600000"),
        "Milliseconds after which a connection that asks nothing is closed; negative is never."),
    // The three below are 1000, 1000 and 2000 in Kafka; on one machine an election takes a millisecond, not a round trip across racks.
    fixed("controller.quorum.election.backoff.max.ms", Int, AtLeast(0), Some("100"), "Longest random pause in milliseconds before a candidate that lost tries again."),
    fixed("controller.quorum.election.timeout.ms", Int, AtLeast(1), Some("300"), "Milliseconds a candidate waits for votes before it begins another election."),
    fixed("controller.quorum.fetch.timeout.ms", Int, AtLeast(1), Some("400"), "Milliseconds a voter goes without a successful fetch from the controller before it stands for election."),
    // Kafka's default is 2000: longer than a voter may wait for its fetch here.
    fixed("controller.quorum.request.timeout.ms", Int, AtLeast(1), Some("400"), "Milliseconds a request between voters may take before its connection is given up."),
    fixed("default.replication.factor", Int, Between(1, 32_767), Some("1"), "Replicas of a topic that does not say."),
    fixed("delete.topic.enable", Boolean, Any, Some("true"), "Whether topics can be deleted."),
    fixed("fetch.max.bytes", Int, AtLeast(1024), Some("57671680"), "Most bytes one Fetch answer carries."),
    live("group.consumer.assignors", List, Subset(ASSIGNORS), Some("uniform,range"), "Assignors members of a group of the new protocol may choose from; the first is used if none chooses."),
    live("group.consumer.heartbeat.interval.ms", Int, AtLeast(1), Some("5000"), "Milliseconds between two heartbeats of a member of the new protocol, held between its minimum and maximum."),
    live("group.consumer.max.heartbeat.interval.ms", Int, AtLeast(1), Some("15000"), "Longest group.consumer.heartbeat.interval.ms."),
    live("group.consumer.max.session.timeout.ms", Int, AtLeast(1), Some("60000"), "Longest group.consumer.session.timeout.ms."),
    live("group.consumer.max.size", Int, AtLeast(1), Some("2147483647"), "Members a group of the new protocol may have."),
    live("group.consumer.migration.policy", Text, OneOf(MIGRATION_POLICIES), Some("bidirectional"), "Whether a group with members in it may go over from the classic protocol to the new one (upgrade), back (downgrade), both or neither (disabled)."),
    live("group.consumer.min.heartbeat.interval.ms", Int, AtLeast(1), Some("5000"), "Shortest group.consumer.heartbeat.interval.ms."),
    live("group.consumer.min.session.timeout.ms", Int, AtLeast(1), Some("45000"), "Shortest group.consumer.session.timeout.ms."),
    live("group.consumer.session.timeout.ms", Int, AtLeast(1), Some("45000"), "Milliseconds after which a member of the new protocol that is not heard is out, held between its minimum and maximum."),
    // Kafka's default is 3000, for many members that start together; who learns waits for nothing.
    live("group.initial.rebalance.delay.ms", Int, AtLeast(0), Some("0"),
        "Milliseconds the first rebalance of an empty classic group waits for more members. Kafka's default is 3000."),
    live("group.max.session.timeout.ms", Int, AtLeast(0), Some("1800000"), "Longest session timeout in milliseconds a member of a classic group may ask for."),
    live("group.max.size", Int, AtLeast(1), Some("2147483647"), "Members a classic group may have."),
    live("group.min.session.timeout.ms", Int, AtLeast(0), Some("6000"), "Shortest session timeout in milliseconds a member of a classic group may ask for."),
    fixed("leader.imbalance.check.interval.seconds", Long, AtLeast(1), Some("300"), "Seconds between two looks for partitions not led by their preferred leader."),
    fixed("leader.imbalance.per.broker.percentage", Int, Between(0, 100), Some("10"), "Share in percent of the partitions a broker is preferred for that others may lead before leadership is given back."),
    live("log.cleaner.delete.retention.ms", Long, AtLeast(0), Some("86400000"), "Default of delete.retention.ms."),
    live("log.cleaner.max.compaction.lag.ms", Long, AtLeast(1), Some("9223372036854775807"), "Default of max.compaction.lag.ms."),
    live("log.cleaner.min.cleanable.ratio", Double, Share, Some("0.5"), "Default of min.cleanable.dirty.ratio."),
    live("log.cleaner.min.compaction.lag.ms", Long, AtLeast(0), Some("0"), "Default of min.compaction.lag.ms."),
    live("log.cleanup.policy", List, Subset(TOPIC_POLICIES), Some("delete"), "Default of cleanup.policy."),
    live("log.flush.interval.messages", Long, AtLeast(1), Some("9223372036854775807"), "Default of flush.messages."),
    live("log.flush.interval.ms", Long, AtLeast(0), None, "Default of flush.ms; unset, log.flush.scheduler.interval.ms decides."),
    fixed("log.flush.offset.checkpoint.interval.ms", Int, AtLeast(1), Some("60000"), "Milliseconds between two checkpoints of what is synced: after a crash the rest is checked again."),
    fixed("log.flush.scheduler.interval.ms", Long, AtLeast(0), Some("9223372036854775807"), "Default of flush.ms where log.flush.interval.ms is unset."),
    live("log.index.interval.bytes", Int, AtLeast(0), Some("4096"), "Default of index.interval.bytes."),
    live("log.index.size.max.bytes", Int, AtLeast(4), Some("10485760"), "Default of segment.index.bytes."),
    live("log.message.timestamp.after.max.ms", Long, AtLeast(0), Some("3600000"), "Default of message.timestamp.after.max.ms."),
    live("log.message.timestamp.before.max.ms", Long, AtLeast(0), Some("9223372036854775807"), "Default of message.timestamp.before.max.ms."),
    live("log.message.timestamp.type", Text, OneOf(TIMESTAMP_TYPES), Some("CreateTime"), "Default of message.timestamp.type."),
    live("log.preallocate", Boolean, Any, Some("false"), "Default of preallocate."),
    live("log.retention.bytes", Long, Any, Some("-1"), "Default of retention.bytes."),
    // Kafka's default is 300000; who shortens retention.ms wants to see it act.
    fixed("log.retention.check.interval.ms", Long, AtLeast(1), Some("10000"), "Milliseconds between two looks for segments that retention deletes."),
    fixed("log.retention.hours", Int, Any, Some("168"), "Default of retention.ms in hours, where the minutes are unset."),
    fixed("log.retention.minutes", Int, Any, None, "Default of retention.ms in minutes, where log.retention.ms is unset."),
    live("log.retention.ms", Long, AtLeast(-1), None, "Default of retention.ms; unset, log.retention.minutes decides, then log.retention.hours."),
    fixed("log.roll.hours", Int, AtLeast(1), Some("168"), "Default of segment.ms in hours, where log.roll.ms is unset."),
    fixed("log.roll.jitter.hours", Int, AtLeast(0), Some("0"), "Default of segment.jitter.ms in hours, where log.roll.jitter.ms is unset."),
    live("log.roll.jitter.ms", Long, AtLeast(0), None, "Default of segment.jitter.ms; unset, log.roll.jitter.hours decides."),
    live("log.roll.ms", Long, AtLeast(1), None, "Default of segment.ms; unset, log.roll.hours decides."),
    live("log.segment.bytes", Int, AtLeast(1_048_576), Some("1073741824"), "Default of segment.bytes."),
    live("log.segment.delete.delay.ms", Long, AtLeast(0), Some("60000"), "Default of file.delete.delay.ms."),
    // Kafka's default is 2147483647; every connection costs memory, so klar has a limit that holds.
    fixed("max.connections", Int, Between(0, 100_000), Some("16384"), "Connections beyond this are closed at once."),
    fixed("max.incremental.fetch.session.cache.slots", Int, AtLeast(0), Some("1000"), "Fetch sessions kept; beyond this clients fetch without one."),
    fixed("max.request.partition.size.limit", Int, AtLeast(1), Some("2000"), "Partitions one DescribeTopicPartitions answer lists."),
    live("message.max.bytes", Int, AtLeast(0), Some("1048588"), "Default of max.message.bytes."),
    fixed("metadata.log.max.record.bytes.between.snapshots", Long, AtLeast(1), Some("20971520"),
        "Bytes of committed metadata after which a broker makes the next snapshot of it. The two newest are kept, and the metadata log in front of the older one is deleted."),
    fixed("metadata.log.max.snapshot.interval.ms", Long, AtLeast(0), Some("3600000"),
        "Milliseconds after which committed metadata that is in no snapshot is put into the next one, however little it is; 0: never because of time."),
    live("min.insync.replicas", Int, AtLeast(1), Some("1"), "Default of the topic configuration of the same name."),
    fixed("num.partitions", Int, AtLeast(1), Some("1"), "Partitions of a topic that does not say."),
    live("offset.metadata.max.bytes", Int, AtLeast(0), Some("4096"), "Bytes of text a member may keep beside a committed offset."),
    live("offsets.commit.timeout.ms", Int, AtLeast(1), Some("5000"), "Milliseconds an answer of a group's coordinator waits for what it wrote to be replicated."),
    live("offsets.retention.check.interval.ms", Long, AtLeast(1), Some("600000"), "Milliseconds between two looks for committed offsets that have expired."),
    live("offsets.retention.minutes", Int, AtLeast(1), Some("10080"), "Minutes a committed offset is kept after its group is empty, or after its members stopped to subscribe to its topic."),
    fixed("offsets.topic.num.partitions", Int, Between(1, 1_000), Some("50"), "Partitions of __consumer_offsets, when it is made: each is the work of one coordinator."),
    fixed("offsets.topic.replication.factor", Int, Between(1, 32_767), Some("3"), "Replicas of __consumer_offsets, when it is made; fewer where the cluster has fewer brokers."),
    fixed("offsets.topic.segment.bytes", Int, AtLeast(1_048_576), Some("104857600"), "Bytes of a segment of __consumer_offsets, when it is made."),
    fixed("producer.id.expiration.ms", Int, AtLeast(1), Some("86400000"), "Milliseconds after which an idempotent producer that sends nothing is forgotten."),
    fixed("replica.fetch.max.bytes", Int, AtLeast(0), Some("1048576"), "Bytes of one partition a follower asks for at once; a larger first batch is sent whole."),
    fixed("replica.fetch.min.bytes", Int, AtLeast(1), Some("1"), "Bytes a leader gathers before it answers a follower, within replica.fetch.wait.max.ms."),
    fixed("replica.fetch.response.max.bytes", Int, AtLeast(0), Some("10485760"), "Bytes one answer to a follower carries."),
    // Kafka has no upper bound; here a leader that has not answered for 1.5 s is taken for lost.
    fixed("replica.fetch.wait.max.ms", Int, Between(0, 1_000), Some("500"), "Milliseconds a leader lets a follower's fetch wait for new records."),
    fixed("replica.lag.time.max.ms", Long, AtLeast(1), Some("30000"), "Milliseconds a follower may go without having caught up before the leader takes it out of the ISR."),
    fixed("socket.request.max.bytes", Int, Between(1024, INT_MAX), Some("104857600"), "Largest request in bytes; a larger one closes its connection."),
    live("unclean.leader.election.enable", Boolean, Any, Some("false"), "Default of the topic configuration of the same name."),
];

/// The topic configuration with this name.
pub fn topic_row(name: &str) -> Option<&'static TopicRow> {
    let at = TOPIC_ROWS.binary_search_by(|row| row.name.cmp(name)).ok()?;
    Some(&TOPIC_ROWS[at])
}

/// The broker configuration with this name.
pub fn broker_row(name: &str) -> Option<&'static BrokerRow> {
    let at = BROKER_ROWS
        .binary_search_by(|row| row.name.cmp(name))
        .ok()?;
    Some(&BROKER_ROWS[at])
}

/// Checks a value's type and limits.
///
/// # Errors
/// The sentence Kafka's clients know for it.
pub fn check_value(
    name: &str,
    kind: ConfigType,
    allowed: Allowed,
    value: &str,
) -> Result<(), BadValue> {
    let refuse = |why: String| BadValue {
        name: name.to_owned(),
        value: value.to_owned(),
        why,
    };
    let text = value.trim();
    match kind {
        Boolean if !text.eq_ignore_ascii_case("true") && !text.eq_ignore_ascii_case("false") => {
            Err(refuse(
                "Expected value to be either true or false".to_owned(),
            ))
        }
        Boolean => Ok(()),
        Int => {
            let number: i32 = text
                .parse()
                .map_err(|_| refuse("Not a number of type INT".to_owned()))?;
            allowed.number(i64::from(number)).map_err(refuse)
        }
        Long => {
            let number: i64 = text
                .parse()
                .map_err(|_| refuse("Not a number of type LONG".to_owned()))?;
            allowed.number(number).map_err(refuse)
        }
        Double => match text.parse::<f64>() {
            Ok(share) if (0.0..=1.0).contains(&share) => Ok(()),
            Ok(share) if share > 1.0 => Err(refuse("Value must be no more than 1".to_owned())),
            Ok(_) => Err(refuse("Value must be at least 0".to_owned())),
            Err(_) => Err(refuse("Not a number of type DOUBLE".to_owned())),
        },
        Text => allowed.text(text).map_err(refuse),
        List => list_elements(text).try_for_each(|element| allowed.text(element).map_err(refuse)),
    }
}

/// The elements of a list value: `compact, delete` has two, an empty text none.
pub fn list_elements(value: &str) -> impl Iterator<Item = &str> {
    value.split(',').map(str::trim).filter(|e| !e.is_empty())
}

impl Allowed {
    fn number(self, number: i64) -> Result<(), String> {
        match self {
            AtLeast(low) | Between(low, _) if number < low => {
                Err(format!("Value must be at least {low}"))
            }
            Between(_, high) if number > high => Err(format!("Value must be no more than {high}")),
            _ => Ok(()),
        }
    }

    fn text(self, text: &str) -> Result<(), String> {
        match self {
            OneOf(choices) | Subset(choices) if !choices.contains(&text) => {
                Err(format!("String must be one of: {}", choices.join(", ")))
            }
            _ => Ok(()),
        }
    }
}

impl fmt::Display for ConfigType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Boolean => "BOOLEAN",
            Text => "STRING",
            Int => "INT",
            Long => "LONG",
            Double => "DOUBLE",
            List => "LIST",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables_are_sorted_and_their_defaults_are_allowed() {
        assert!(TOPIC_ROWS.is_sorted_by(|a, b| a.name < b.name));
        assert!(BROKER_ROWS.is_sorted_by(|a, b| a.name < b.name));
        for row in BROKER_ROWS {
            if let Some(default) = row.default {
                check_value(row.name, row.kind, row.allowed, default).expect(row.name);
            }
        }
    }

    #[test]
    fn every_topic_configuration_falls_back_to_a_broker_configuration_with_a_default() {
        for row in TOPIC_ROWS {
            let last = row.falls_back_to.last().expect(row.name);
            assert!(
                broker_row(last.0).expect(last.0).default.is_some(),
                "{}",
                row.name
            );
            for (name, _) in row.falls_back_to {
                assert!(broker_row(name).is_some(), "{name}");
            }
        }
    }

    #[test]
    fn values_are_refused_in_kafkas_words() {
        let refused = |name: &str, value: &str| {
            let row = topic_row(name).expect(name);
            check_value(name, row.kind, row.allowed, value)
                .expect_err(value)
                .to_string()
        };
        assert_eq!(
            refused("retention.ms", "soon"),
            "Invalid value soon for configuration retention.ms: Not a number of type LONG"
        );
        assert_eq!(
            refused("retention.ms", "-2"),
            "Invalid value -2 for configuration retention.ms: Value must be at least -1"
        );
        assert_eq!(
            refused("segment.bytes", "3000000000"),
            "Invalid value 3000000000 for configuration segment.bytes: Not a number of type INT"
        );
        assert!(refused("cleanup.policy", "delete,burn").contains("one of: compact, delete"));
        assert!(refused("preallocate", "yes").contains("true or false"));
        assert!(refused("min.cleanable.dirty.ratio", "NaN").contains("at least 0"));
    }

    #[test]
    fn lists_may_have_spaces_and_be_empty() {
        let row = topic_row("cleanup.policy").expect("it is there");
        for value in ["compact, delete", "", "delete"] {
            check_value(row.name, row.kind, row.allowed, value).expect(value);
        }
    }
}
