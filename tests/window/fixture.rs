//! A source of made-up but believable pictures, for tests of the window only.
//!
//! Everything follows from the moment asked for, so that pictures are the same in every run.

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;

use klar::ids::*;
use klar::inspect::*;
use klar::source::{Abilities, Source};

/// The moment the pictures end at: 2026-11-21 22:17:05.413 UTC.
pub const NOW_MS: i64 = 1_795_299_425_413;

/// One made-up topic.
#[derive(Clone)]
pub struct Made {
    pub name: String,
    pub partitions: i32,
    /// Records in each partition now.
    pub records: i64,
    /// Records a second over the whole topic.
    pub rate: f64,
    pub internal: bool,
}

/// A made-up cluster: shared between the test and the window.
#[derive(Clone)]
pub struct Fixture {
    inner: Rc<Inner>,
}

type Edit = Box<dyn Fn(&mut ClusterSnapshot)>;
type MakeGroups = Option<Rc<dyn Fn(&mut ClusterSnapshot)>>;

struct Inner {
    topics: RefCell<Vec<Made>>,
    /// The moment the next picture shows, milliseconds since the Unix epoch.
    now_ms: std::cell::Cell<i64>,
    focus: RefCell<Focus>,
    commands: RefCell<Vec<Command>>,
    frozen: std::cell::Cell<bool>,
    /// Makes the groups of a picture, and what happened to them.
    groups: RefCell<MakeGroups>,
    kept: RefCell<Option<Arc<ClusterSnapshot>>>,
    /// Changes every picture before it is shown.
    edit: RefCell<Edit>,
}

impl Fixture {
    /// A cluster with these topics.
    pub fn new(mut topics: Vec<Made>) -> Fixture {
        topics.sort_by(|a, b| a.name.cmp(&b.name));
        Fixture {
            inner: Rc::new(Inner {
                topics: RefCell::new(topics),
                now_ms: std::cell::Cell::new(NOW_MS),
                focus: RefCell::default(),
                commands: RefCell::default(),
                frozen: std::cell::Cell::default(),
                groups: RefCell::default(),
                kept: RefCell::default(),
                edit: RefCell::new(Box::new(|_| {})),
            }),
        }
    }

    /// A small shop: what most pictures show.
    pub fn shop() -> Fixture {
        Fixture::new(vec![
            made("orders", 3, 1_042, 50.0),
            made("payments", 2, 311, 12.0),
            made("clicks", 12, 98_400, 0.0),
            made("inventory-changes-from-all-warehouses", 1, 7_201, 3.4),
            Made {
                internal: true,
                ..made("__consumer_offsets", 50, 40, 3.0)
            },
        ])
    }

    /// Nothing yet.
    pub fn fresh() -> Fixture {
        Fixture::new(Vec::new())
    }

    /// Changes every picture from now on.
    pub fn edit(&self, edit: impl Fn(&mut ClusterSnapshot) + 'static) {
        *self.inner.edit.borrow_mut() = Box::new(edit);
        self.inner.kept.take();
    }

    /// Gives every picture groups, those of the past, too.
    pub fn with_groups(self, make: impl Fn(&mut ClusterSnapshot) + 'static) -> Fixture {
        *self.inner.groups.borrow_mut() = Some(Rc::new(make));
        self.inner.kept.take();
        self
    }

    /// The same cluster whose pictures never change again.
    pub fn frozen(&self) -> Fixture {
        let frozen = Fixture::new(self.inner.topics.borrow().clone());
        *frozen.inner.groups.borrow_mut() = self.inner.groups.borrow().clone();
        frozen.latest();
        frozen.inner.frozen.set(true);
        frozen
    }

    /// Moves the moment pictures show.
    pub fn set_now_ms(&self, now_ms: i64) {
        if !self.inner.frozen.get() {
            self.inner.now_ms.set(now_ms);
            self.inner.kept.take();
        }
    }

    /// Commands the window has sent so far.
    pub fn commands(&self) -> Vec<Command> {
        self.inner.commands.borrow().clone()
    }

    /// What the window said it looks at.
    pub fn focus(&self) -> Focus {
        self.inner.focus.borrow().clone()
    }

    /// The picture at a moment, without what the focus asks for.
    pub fn at(&self, now_ms: i64) -> ClusterSnapshot {
        let topics = self.inner.topics.borrow();
        let topics: Vec<_> = topics.iter().map(|made| topic(made, now_ms)).collect();
        let sum = |of: fn(&PartitionSnapshot) -> u64| {
            topics
                .iter()
                .flat_map(|topic| &topic.partitions)
                .map(of)
                .sum::<u64>()
        };
        let records_in = self.records_written(now_ms);
        let events = events(now_ms);
        let mut picture = ClusterSnapshot {
            event_number: events.last().map_or(0, |event| event.number),
            time: Time::from_ms(now_ms),
            cluster_id: "5L6g3nShT-eMCtK--X86sw".into(),
            bootstrap: "127.0.0.1:9092".into(),
            data_dir: Some("/home/ada/.local/share/klar".into()),
            durability: Durability::Os,
            listens_beyond_loopback: false,
            controller: Some(BrokerId(1)),
            quorum: None,
            links: Vec::new(),
            pace: PaceSnapshot::default(),
            brokers: vec![broker(sum(|p| p.bytes))],
            totals: Totals {
                records_in,
                bytes_in: records_in * RECORD_BYTES,
                records_out: records_in * 3 / 4,
                bytes_out: records_in * RECORD_BYTES * 3 / 4,
                requests: records_in / 2,
                between_brokers: 0,
                errors: 3,
                failed_produces: 0,
            },
            topics: topics.into_iter().map(Arc::new).collect(),
            groups: Vec::new(),
            connections: connections(),
            gone: Vec::new(),
            polls: Vec::new(),
            in_flight: Vec::new(),
            events,
            outcomes: Vec::new(),
            lanes: Vec::new(),
            record: None,
            segment: None,
            files: None,
            browse: None,
            producers: Vec::new(),
            consumers: Vec::new(),
            deleting: Vec::new(),
        };
        if let Some(make) = &*self.inner.groups.borrow() {
            make(&mut picture);
        }
        picture
    }

    /// A counter whose slope waves around the topics' rates.
    fn records_written(&self, now_ms: i64) -> u64 {
        let rate: f64 = self
            .inner
            .topics
            .borrow()
            .iter()
            .map(|made| made.rate)
            .sum();
        let seconds = (now_ms - NOW_MS) as f64 / 1_000.0;
        let wave = 9.0 * (seconds / 23.0).sin() - 2.0 * (seconds / 7.0).cos();
        // A pause a minute and a half ago.
        let paused = (seconds + 95.0).clamp(0.0, 12.0);
        (1e6 + rate * (seconds + wave - paused)) as u64
    }

    fn picture(&self) -> ClusterSnapshot {
        let mut picture = self.at(self.inner.now_ms.get());
        answer_focus(&mut picture, &self.inner.focus.borrow());
        let commands = self.inner.commands.borrow();
        let browse = commands.iter().rev().find_map(|command| match command {
            Command::Browse(query) => Some(query.clone()),
            _ => None,
        });
        picture.browse = browse.map(|query| Arc::new(browsed(&picture, query)));
        (self.inner.edit.borrow())(&mut picture);
        picture
    }
}

impl Source for Fixture {
    fn latest(&self) -> Arc<ClusterSnapshot> {
        let mut kept = self.inner.kept.borrow_mut();
        kept.get_or_insert_with(|| Arc::new(self.picture())).clone()
    }

    fn set_focus(&self, focus: Focus) {
        if self.inner.frozen.get() {
            return;
        }
        *self.inner.focus.borrow_mut() = focus;
        self.inner.kept.take();
    }

    fn send(&self, command: Command) -> Option<CommandId> {
        let mut commands = self.inner.commands.borrow_mut();
        commands.push(command);
        self.inner.kept.take();
        Some(CommandId(commands.len() as u64))
    }

    fn abilities(&self) -> Abilities {
        Abilities::ALL
    }

    fn on_news(&self, _wake: Box<dyn Fn() + Send + Sync>) {}
}

/// A topic in few words.
pub fn made(name: &str, partitions: i32, records: i64, rate: f64) -> Made {
    Made {
        name: name.into(),
        partitions,
        records,
        rate,
        internal: false,
    }
}

fn broker(log_bytes: u64) -> BrokerSnapshot {
    BrokerSnapshot {
        id: BrokerId(1),
        host: "127.0.0.1".into(),
        port: 9092,
        state: BrokerState::Running,
        started: Time::from_ms(NOW_MS - 3_600_000),
        recovery: "Stopped cleanly before: 18 logs opened, nothing to recover.".into(),
        registration: None,
        connections: 3,
        log_bytes,
        settings: vec![
            ("auto.create.topics.enable".into(), "true".into(), true),
            ("broker.heartbeat.interval.ms".into(), "200".into(), true),
            ("broker.session.timeout.ms".into(), "700".into(), true),
            ("default.replication.factor".into(), "1".into(), true),
            ("group.initial.rebalance.delay.ms".into(), "0".into(), true),
            ("log.retention.hours".into(), "168".into(), true),
            ("min.insync.replicas".into(), "1".into(), true),
            ("num.partitions".into(), "3".into(), false),
            ("replica.lag.time.max.ms".into(), "10000".into(), true),
        ],
    }
}

fn connections() -> Vec<ConnectionSnapshot> {
    [
        ("python app", "confluent-kafka 2.11.1"),
        ("kcat", "librdkafka 2.0.2"),
    ]
    .iter()
    .zip(1u64..)
    .map(|((client_id, software), id)| ConnectionSnapshot {
        id: ConnectionId(id),
        broker: BrokerId(1),
        peer: format!("127.0.0.1:{}", 51_822 + id),
        client_id: (*client_id).into(),
        software: (*software).into(),
        since: Time::from_ms(NOW_MS - 200_000),
        requests: 812 * id,
        errors: 0,
        last_api: "Produce v11".into(),
        own: false,
        contact: Contact {
            dialed: "127.0.0.1:9092".into(),
            asked: vec![AskedApi {
                api: "Produce".into(),
                version: 11,
                requests: 812 * id,
                errors: 0,
                last_error: None,
            }],
            ..Contact::default()
        },
    })
    .collect()
}

/// What happened by `now_ms`.
#[expect(clippy::too_many_lines, reason = "a table: one row per event")]
fn events(now_ms: i64) -> Vec<Arc<Event>> {
    use EventKind::*;
    let topic = || "orders".to_owned();
    let kinds = [
        (
            3_600_000,
            BrokerStarted {
                port: 9092,
                clean: true,
                logs: 18,
                recovered_bytes: 0,
            },
        ),
        (
            262_000,
            TopicCreated {
                topic: topic(),
                partitions: 3,
                cause: "python app asked for it with CreateTopics".into(),
            },
        ),
        (
            190_000,
            ConfigChanged {
                topic: topic(),
                key: "retention.ms".into(),
                from: "604800000".into(),
                to: "86400000".into(),
                cause: "the window asked for it".into(),
            },
        ),
        (
            121_000,
            ConnectionRefused {
                peer: "127.0.0.1:40112".into(),
                cause: "it spoke HTTP: this port speaks Kafka's protocol".into(),
            },
        ),
        (
            64_000,
            SegmentRolled {
                topic: topic(),
                partition: PartitionIndex(1),
                base_offset: Offset(720),
                cause: "segment.ms of 1 h was over".into(),
            },
        ),
        (
            60_500,
            SegmentsDeleted {
                topic: topic(),
                partition: PartitionIndex(1),
                log_start: Offset(128),
                bytes: 18_420,
                cause: "older than retention.ms".into(),
            },
        ),
        (
            21_000,
            LogDamaged {
                topic: "clicks".into(),
                partition: PartitionIndex(7),
                offset: Offset(41_007),
                cause: "CRC-32C of a batch does not match its bytes".into(),
            },
        ),
    ];
    kinds
        .into_iter()
        .zip(1u64..)
        .map(|((before, kind), number)| {
            Arc::new(Event {
                number,
                time: Time::from_ms(NOW_MS - before),
                broker: Some(BrokerId(1)),
                kind,
            })
        })
        .filter(|event| event.time.as_ms() <= now_ms)
        .collect()
}

/// Bytes a made-up record takes.
const RECORD_BYTES: u64 = 187;
/// Records in a made-up segment.
const SEGMENT_RECORDS: i64 = 265;

fn topic(made: &Made, now_ms: i64) -> TopicSnapshot {
    let mut id = [0u8; 16];
    for (at, byte) in id.iter_mut().zip(made.name.bytes().cycle()) {
        *at = byte;
    }
    TopicSnapshot {
        name: made.name.clone(),
        id: TopicId(id),
        internal: made.internal,
        replication_factor: 1,
        configs: Arc::new(vec![
            config(
                "cleanup.policy",
                "delete",
                false,
                "What happens to old segments: delete, compact or both.",
            ),
            config(
                "retention.ms",
                "86400000",
                true,
                "Milliseconds after which a sealed segment is deleted.",
            ),
            config(
                "segment.bytes",
                "1073741824",
                false,
                "Bytes after which a new segment is begun.",
            ),
            config(
                "min.insync.replicas",
                "1",
                false,
                "In-sync replicas acks=all needs.",
            ),
            config(
                "compression.type",
                "producer",
                false,
                "Compression the broker stores, or producer for what arrived.",
            ),
        ]),
        partitions: (0..made.partitions)
            .map(|index| partition(made, index, now_ms))
            .collect(),
    }
}

fn config(name: &'static str, value: &str, set: bool, doc: &'static str) -> ConfigValue {
    ConfigValue {
        name,
        value: value.into(),
        set,
        doc,
    }
}

fn partition(made: &Made, index: i32, now_ms: i64) -> PartitionSnapshot {
    // A slow wave on top of the rate, so that curves are not straight lines.
    let seconds = (now_ms - NOW_MS) as f64 / 1_000.0;
    let share = made.rate / f64::from(made.partitions.max(1));
    let wave = share * 9.0 * ((seconds / 23.0).sin() - (seconds / 7.0).cos() / 3.0);
    let end =
        made.records - i64::from(index) * (made.records / 30) + (share * seconds + wave) as i64;
    let end = end.max(0);
    let start = if end > 900 { 128 } else { 0 };
    let mut segments = Vec::new();
    let mut base = start;
    while base < end || segments.is_empty() {
        let next = end.min(base + SEGMENT_RECORDS.max((end - start) / 6 + 1));
        let records = (next - base) as u64;
        segments.push(SegmentSnapshot {
            base_offset: Offset(base),
            end_offset: Offset(next),
            bytes: records * RECORD_BYTES,
            index_entries: (records / 22) as u32,
            index_bytes: records / 22 * 8,
            time_index_entries: (records / 22) as u32,
            time_index_bytes: records / 22 * 12,
            max_timestamp_ms: now_ms - (end - next) * 20,
            active: next == end,
        });
        base = next.max(base + 1);
    }
    PartitionSnapshot {
        index: PartitionIndex(index),
        leader: Some(BrokerId(1)),
        leader_epoch: LeaderEpoch(4),
        replicas: vec![ReplicaSnapshot::unknown(BrokerId(1))],
        isr: vec![BrokerId(1)],
        elr: Vec::new(),
        adding: Vec::new(),
        removing: Vec::new(),
        partition_epoch: 0,
        recovering: false,
        log_start: Offset(start),
        high_watermark: Offset(end),
        last_stable: Offset(end),
        log_end: Offset(end),
        bytes: (end - start) as u64 * RECORD_BYTES,
        records_in: end as u64,
        bytes_in: end as u64 * RECORD_BYTES,
        bytes_out: end as u64 * RECORD_BYTES * 3 / 4,
        max_timestamp_ms: if end > start { now_ms - 20 } else { -1 },
        segments,
        epochs: vec![
            (LeaderEpoch(0), Offset(0)),
            (LeaderEpoch(4), Offset(start + 33)),
        ],
        producers: 1,
        trouble: None,
    }
}

const KEYS: [&str; 12] = [
    "bike-17", "bike-20", "helmet-3", "lamp-8", "lock-2", "tube-28", "bell-1", "chain-9",
    "saddle-5", "pump-4", "rack-6", "light-7",
];

/// A scatter of 32 bits, so that neighbours differ.
pub fn scatter(number: i64) -> u32 {
    let mixed = (number as u64 ^ 0x5DEE_CE66).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    (mixed >> 32) as u32
}

/// The key of a made-up record: keys stay in their partition.
pub fn key_at(partition: PartitionIndex, offset: Offset, partitions: i32) -> Option<&'static str> {
    let dice = scatter(offset.0 * 31 + i64::from(partition.0));
    if dice.is_multiple_of(19) {
        return None;
    }
    let own: Vec<&str> = KEYS
        .iter()
        .zip(0..)
        .filter(|(_, n)| n % partitions.min(4) == partition.0 % partitions.min(4))
        .map(|(key, _)| *key)
        .collect();
    Some(own[dice as usize % own.len()])
}

fn key_hash(key: &str) -> u32 {
    key.bytes().fold(0x811c_9dc5, |hash, byte| {
        (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193)
    })
}

fn kind_at(offset: Offset) -> CellKind {
    match scatter(offset.0).is_multiple_of(41) {
        true => CellKind::Tombstone,
        false => CellKind::Record,
    }
}

/// First offset of the batch that holds `offset`: batches of three to eight records.
pub fn batch_at(offset: Offset) -> (Offset, Offset) {
    let mut base = offset.0 - offset.0.rem_euclid(64);
    loop {
        let next = base + 3 + i64::from(scatter(base) % 6);
        if offset.0 < next {
            return (Offset(base), Offset(next));
        }
        base = next;
    }
}

fn find<'a>(picture: &'a ClusterSnapshot, topic: &str) -> Option<&'a Arc<TopicSnapshot>> {
    picture.topics.iter().find(|found| found.name == topic)
}

fn answer_focus(picture: &mut ClusterSnapshot, focus: &Focus) {
    for wanted in &focus.lanes {
        if let Some(topic) = find(picture, &wanted.topic) {
            let lanes = wanted.ranges.iter();
            let lanes: Vec<_> = lanes.filter_map(|range| lane(topic, *range)).collect();
            picture.lanes.extend(lanes);
        }
    }
    if let Some(wanted) = &focus.record
        && let Some(topic) = find(picture, &wanted.topic)
    {
        picture.record = Some(Arc::new(record(topic, wanted)));
    }
    if let Some(wanted) = &focus.segment
        && let Some(topic) = find(picture, &wanted.topic)
    {
        picture.segment = segment(topic, wanted).map(Arc::new);
    }
}

fn lane(
    topic: &TopicSnapshot,
    (index, from, count): (PartitionIndex, Offset, u32),
) -> Option<Arc<Lane>> {
    let partition = topic.partitions.iter().find(|p| p.index == index)?;
    let first = from.max(partition.log_start);
    let to = (from + i64::from(count)).min(partition.log_end).max(first);
    let cells: Vec<Cell> = (first.0..to.0)
        .map(Offset)
        .map(|offset| Cell {
            offset,
            key_hash: key_at(index, offset, topic.partitions.len() as i32).map(key_hash),
            bytes: 40 + scatter(offset.0) % 160,
            kind: kind_at(offset),
        })
        .collect();
    let mut batches: Vec<(Offset, Offset)> = Vec::new();
    for cell in &cells {
        if batches.last().is_none_or(|(_, end)| cell.offset >= *end) {
            batches.push(batch_at(cell.offset));
        }
    }
    Some(Arc::new(Lane {
        topic: topic.name.clone(),
        partition: index,
        from: first,
        to,
        cells,
        batches,
    }))
}

fn value_at(offset: Offset, key: Option<&str>) -> Vec<u8> {
    format!(
        r#"{{"order":{},"sku":"{}","qty":{}}}"#,
        79_146 + offset.0,
        key.unwrap_or("unknown"),
        1 + scatter(offset.0) % 5
    )
    .into_bytes()
}

fn record(topic: &TopicSnapshot, wanted: &RecordFocus) -> RecordAnswer {
    let absent = |why: &str| RecordAnswer::Absent {
        partition: wanted.partition,
        offset: wanted.offset,
        why: why.into(),
    };
    let found = topic
        .partitions
        .iter()
        .find(|p| p.index == wanted.partition);
    let Some(partition) = found else {
        return absent("There is no such partition.");
    };
    if wanted.offset < partition.log_start {
        return absent("Deleted by retention: the log starts later.");
    }
    if wanted.offset >= partition.log_end {
        return absent("Not written yet.");
    }
    let key = key_at(
        wanted.partition,
        wanted.offset,
        topic.partitions.len() as i32,
    );
    let kind = kind_at(wanted.offset);
    let value = (kind == CellKind::Record).then(|| value_at(wanted.offset, key));
    let segment = partition
        .segments
        .iter()
        .rev()
        .find(|segment| segment.base_offset <= wanted.offset);
    let base = segment.map_or(Offset::ZERO, |segment| segment.base_offset);
    RecordAnswer::Found(Box::new(RecordDetail {
        topic: topic.name.clone(),
        partition: wanted.partition,
        offset: wanted.offset,
        timestamp_ms: partition.max_timestamp_ms - (partition.log_end - wanted.offset) * 20,
        kind,
        key: key.map(|key| key.as_bytes().to_vec()),
        key_len: key.map_or(0, |key| key.len() as u64),
        value_len: value.as_ref().map_or(0, |value| value.len() as u64),
        value,
        headers: vec![(b"trace".to_vec(), Some(b"9f2c41d07be55a10".to_vec()))],
        batch: batch(batch_at(wanted.offset).0.max(base), base),
        partition_by_key: key.map(|_| wanted.partition),
    }))
}

fn batch(at: Offset, segment_base: Offset) -> BatchDetail {
    let (base, end) = batch_at(at);
    let base = base.max(segment_base);
    let records = (end - base) as i32;
    BatchDetail {
        base_offset: base,
        last_offset: end + -1,
        leader_epoch: LeaderEpoch(4),
        crc: scatter(base.0),
        crc_ok: true,
        compression: "lz4".into(),
        log_append_time: false,
        transactional: false,
        control: false,
        producer_id: ProducerId(4),
        producer_epoch: ProducerEpoch(0),
        base_sequence: (base.0 % 100_000) as i32,
        base_timestamp_ms: NOW_MS - 30_000,
        max_timestamp_ms: NOW_MS - 29_980,
        records,
        bytes: 61 + records as u32 * 31,
        uncompressed_bytes: records as u64 * 68,
        segment: format!("{:020}.log", segment_base.0),
        position: (base - segment_base) as u64 * RECORD_BYTES,
    }
}

fn segment(topic: &TopicSnapshot, wanted: &SegmentFocus) -> Option<SegmentDetail> {
    let partition = topic
        .partitions
        .iter()
        .find(|p| p.index == wanted.partition)?;
    let found = partition
        .segments
        .iter()
        .find(|segment| segment.base_offset == wanted.base_offset)?;
    let base = wanted.base_offset;
    let mut batches = Vec::new();
    let mut at = wanted.from.max(base);
    while at < found.end_offset && batches.len() < SEGMENT_BATCHES {
        let batch = batch(at, base);
        at = batch.last_offset + 1;
        batches.push(batch);
    }
    let entries = i64::from(found.index_entries);
    Some(SegmentDetail {
        topic: topic.name.clone(),
        partition: wanted.partition,
        base_offset: base,
        files: vec![
            (format!("{:020}.log", base.0), found.bytes),
            (format!("{:020}.index", base.0), found.index_bytes),
            (format!("{:020}.timeindex", base.0), found.time_index_bytes),
        ],
        index: (1..=entries)
            .map(|n| (base + n * 22, n as u64 * 22 * RECORD_BYTES))
            .collect(),
        time_index: (1..=entries)
            .map(|n| (found.max_timestamp_ms - (entries - n) * 440, base + n * 22))
            .collect(),
        batches,
        more: at < found.end_offset,
    })
}

fn browsed(picture: &ClusterSnapshot, query: BrowseQuery) -> Browse {
    let mut rows = Vec::new();
    let mut of = 0;
    if let Some(topic) = find(picture, &query.topic) {
        let wanted = |index| query.partition.is_none_or(|only| only == index);
        for partition in topic.partitions.iter().filter(|p| wanted(p.index)) {
            of += (partition.log_end - partition.log_start) as u64;
            let count = (partition.log_end - partition.log_start).min(120);
            for offset in (partition.log_end.0 - count..partition.log_end.0).map(Offset) {
                rows.push(row(topic, partition, offset));
            }
        }
    }
    rows.sort_by_key(|row| (-row.timestamp_ms, row.partition));
    rows.truncate(query.limit.max(1));
    Browse {
        scanned: rows.len() as u64,
        of,
        bytes_scanned: rows.len() as u64 * RECORD_BYTES,
        rows: rows.into_iter().map(Arc::new).collect(),
        state: BrowseState::LimitReached,
        query,
    }
}

fn row(topic: &TopicSnapshot, partition: &PartitionSnapshot, offset: Offset) -> BrowseRow {
    let key = key_at(partition.index, offset, topic.partitions.len() as i32);
    let value = (kind_at(offset) == CellKind::Record).then(|| value_at(offset, key));
    BrowseRow {
        partition: partition.index,
        offset,
        timestamp_ms: partition.max_timestamp_ms - (partition.log_end - offset) * 20,
        key: key.map(|key| key.as_bytes().to_vec()),
        key_len: key.map_or(0, |key| key.len() as u64),
        value_len: value.as_ref().map_or(0, |value| value.len() as u64),
        value,
        headers: 1,
        key_hash: key.map(key_hash),
    }
}
