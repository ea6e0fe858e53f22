//! Three brokers in one thread, their wires carried by hand: elections, replication, failover.

use std::collections::BTreeMap;
use std::path::PathBuf;

use bytes::Bytes;

use klar::broker::effect::{Effect, PeerLane};
use klar::broker::{Broker, BrokerConfig, BrokerPicture, ConnectionFacts};
use klar::ids::{BrokerId, ConnectionId, Time};
use klar::inspect::{Durability, EventKind, Focus, TopicSnapshot};
use klar::storage::{Disk, MemoryDisk};
use klar::wire::messages::create_topics::{
    CreatableTopic, CreateTopicsRequest, CreateTopicsResponse,
};
use klar::wire::messages::delete_topics::{
    DeleteTopicState, DeleteTopicsRequest, DeleteTopicsResponse,
};
use klar::wire::messages::fetch::FetchResponse;
use klar::wire::messages::init_producer_id::{InitProducerIdRequest, InitProducerIdResponse};
use klar::wire::messages::metadata::{
    MetadataRequest, MetadataRequestTopic, MetadataResponse, MetadataResponsePartition,
};
use klar::wire::messages::produce::ProduceResponse;
use klar::wire::request::RequestHeader;
use klar::wire::{ApiKey, Reader, Writer, response};

use crate::rig::{Outcome, START, ask, batch, fetch_request, produce_request};
use crate::snapshots::damage;

/// Milliseconds a frame is on its way.
const WIRE_MS: i64 = 1;
/// Milliseconds of virtual time after which a wait has failed.
const PATIENCE_MS: i64 = 20_000;

pub type Client = (BrokerId, ConnectionId);

struct Node {
    broker: Option<Broker>,
    config: BrokerConfig,
    disk: MemoryDisk,
    seed: u64,
}

enum Event {
    Request(BrokerId, BrokerId, PeerLane, Bytes),
    Answer(BrokerId, BrokerId, PeerLane, Bytes),
    Lost(BrokerId, BrokerId, PeerLane),
    Flushed(BrokerId, u64, u64, Result<(), String>),
}

pub struct Cluster {
    pub now: Time,
    /// What every broker noted.
    pub notes: Vec<(BrokerId, EventKind)>,
    /// A broker whose syncs of files under a path with this in it fail.
    pub unsynced: Option<(BrokerId, &'static str)>,
    nodes: BTreeMap<BrokerId, Node>,
    events: BTreeMap<(Time, u64), Event>,
    /// Who asks whom over which connection of the one that is asked.
    lines: BTreeMap<(BrokerId, BrokerId, PeerLane), ConnectionId>,
    replies: Vec<(Client, Outcome)>,
    last: u64,
}

impl Cluster {
    pub fn new(count: i32, durability: Durability) -> Cluster {
        let mut cluster = Cluster::planned(count, durability, false);
        for id in 1..=count {
            cluster.start(BrokerId(id));
        }
        cluster
    }

    /// Brokers that do not run yet.
    fn planned(count: i32, durability: Durability, alone: bool) -> Cluster {
        let mut cluster = Cluster {
            now: START,
            notes: Vec::new(),
            unsynced: None,
            nodes: BTreeMap::new(),
            events: BTreeMap::new(),
            lines: BTreeMap::new(),
            replies: Vec::new(),
            last: 0,
        };
        for id in 1..=count {
            let port = 9091 + u16::try_from(id).unwrap();
            let config = BrokerConfig {
                id: BrokerId(id),
                voters: (1..=count).map(BrokerId).collect(),
                alone,
                cluster_id: "a-cluster".to_owned(),
                listen: ([127, 0, 0, 1], port).into(),
                data_dir: PathBuf::from("/d"),
                durability,
                settings: Vec::new(),
            };
            let node = Node {
                broker: None,
                config,
                disk: MemoryDisk::new(),
                seed: 100 * u64::try_from(id).unwrap(),
            };
            cluster.nodes.insert(BrokerId(id), node);
        }
        cluster
    }

    pub fn start(&mut self, id: BrokerId) {
        let node = self.nodes.get_mut(&id).unwrap();
        node.seed += 1;
        let disk: Box<dyn Disk> = Box::new(node.disk.clone());
        let broker = Broker::open(node.config.clone(), disk, node.seed, self.now).unwrap();
        node.broker = Some(broker);
        self.settle(id);
    }

    /// Three brokers with broker configurations.
    pub fn set(settings: &[(&str, &str)]) -> Cluster {
        let mut cluster = Cluster::planned(3, Durability::Os, false);
        for node in cluster.nodes.values_mut() {
            let set = settings.iter();
            node.config.settings = set
                .map(|(n, v)| ((*n).to_owned(), (*v).to_owned()))
                .collect();
        }
        for id in 1..=3 {
            cluster.start(BrokerId(id));
        }
        cluster
    }

    /// One broker that asks nobody.
    pub fn alone() -> Cluster {
        let mut cluster = Cluster::planned(1, Durability::Os, true);
        cluster.start(BrokerId(1));
        cluster
    }

    /// From now on there are so many brokers; those that are new have no vote.
    pub fn grow(&mut self, count: i32) {
        let more = Cluster::planned(count, Durability::Os, false);
        let voters: Vec<BrokerId> = self.nodes.keys().copied().collect();
        for (id, node) in more.nodes {
            let node = self.nodes.entry(id).or_insert(node);
            node.config.alone = false;
            node.config.voters.clone_from(&voters);
        }
    }

    pub fn make_alone(&mut self, id: BrokerId) {
        self.nodes.get_mut(&id).unwrap().config.alone = true;
    }

    pub fn may_stop(&self, id: BrokerId) -> bool {
        self.nodes[&id].broker.as_ref().unwrap().may_stop()
    }

    pub fn now(&self) -> Time {
        self.now
    }

    /// Ends a broker cleanly.
    pub fn stop(&mut self, id: BrokerId) {
        self.with(id, |broker, _| broker.end_syncs());
        self.pass_ms(2);
        self.with(id, |broker, now| broker.stop_clean(now));
        self.pass_ms(2 * WIRE_MS);
        self.kill(id);
    }

    /// The broker's thread is gone at once; its sockets are reset.
    pub fn kill(&mut self, id: BrokerId) {
        self.nodes.get_mut(&id).unwrap().broker = None;
        let lines: Vec<_> = self.lines.keys().copied().collect();
        for (from, to, lane) in lines {
            if from == id {
                let connection = self.lines.remove(&(from, to, lane)).unwrap();
                self.with(to, |broker, now| broker.on_disconnected(now, connection));
            } else if to == id {
                self.lines.remove(&(from, to, lane));
                self.put(WIRE_MS, Event::Lost(from, to, lane));
            }
        }
    }

    fn put(&mut self, in_ms: i64, event: Event) {
        self.last += 1;
        self.events
            .insert((self.now.plus_ms(in_ms), self.last), event);
    }

    pub fn with(&mut self, id: BrokerId, act: impl FnOnce(&mut Broker, Time)) {
        let now = self.now;
        if let Some(broker) = self.nodes.get_mut(&id).unwrap().broker.as_mut() {
            act(broker, now);
            broker.check();
            self.settle(id);
        }
    }

    fn settle(&mut self, id: BrokerId) {
        let node = self.nodes.get_mut(&id).unwrap();
        let effects = node.broker.as_mut().unwrap().effects();
        let seed = node.seed;
        for effect in effects {
            match effect {
                Effect::Reply { to, parts } => {
                    let frame = Bytes::from(parts.concat()).slice(4..);
                    match self.line_of(id, to) {
                        Some((from, lane)) => {
                            self.put(WIRE_MS, Event::Answer(from, id, lane, frame));
                        }
                        None => self.replies.push(((id, to), Outcome::Reply(frame))),
                    }
                }
                Effect::NoReply { to } => self.replies.push(((id, to), Outcome::Silent)),
                Effect::Close { to, why } => match self.line_of(id, to) {
                    Some((from, lane)) => {
                        self.lines.remove(&(from, id, lane));
                        self.put(WIRE_MS, Event::Lost(from, id, lane));
                    }
                    None => self.replies.push(((id, to), Outcome::Closed(why))),
                },
                Effect::Send { to, lane, frame } => {
                    let frame = Bytes::from(frame.concat()).slice(4..);
                    self.put(WIRE_MS, Event::Request(id, to, lane, frame));
                }
                Effect::Hangup { to, lane } => {
                    if let Some(connection) = self.lines.remove(&(id, to, lane)) {
                        self.with(to, |broker, now| broker.on_disconnected(now, connection));
                    }
                }
                Effect::Flush { token, files } => {
                    let struck = self.unsynced.filter(|(of, part)| {
                        let holds = |file: &PathBuf| file.to_string_lossy().contains(part);
                        *of == id && files.iter().any(holds)
                    });
                    let result = struck.map_or(Ok(()), |_| Err("on purpose".to_owned()));
                    self.put(1, Event::Flushed(id, seed, token, result));
                }
                Effect::Note(kind) => self.notes.push((id, kind)),
            }
        }
    }

    fn line_of(&self, at: BrokerId, connection: ConnectionId) -> Option<(BrokerId, PeerLane)> {
        let mut lines = self.lines.iter();
        let found = lines.find(|((_, to, _), c)| *to == at && **c == connection);
        found.map(|((from, _, lane), _)| (*from, *lane))
    }

    pub fn connect(&mut self, to: BrokerId) -> Client {
        self.last += 1;
        let id = ConnectionId(self.last);
        let facts = ConnectionFacts {
            peer: "127.0.0.1:50000".parse().unwrap(),
            local: self.nodes[&to].config.listen,
            own: false,
        };
        self.with(to, |broker, now| broker.on_connected(now, id, facts));
        (to, id)
    }

    fn carry(&mut self, event: Event) {
        match event {
            Event::Request(from, to, lane, frame) => {
                if self.nodes[&to].broker.is_none() {
                    self.with(from, |b, now| b.on_peer_lost(now, to, lane, "refused"));
                    return;
                }
                let connection = match self.lines.get(&(from, to, lane)) {
                    Some(connection) => *connection,
                    None => {
                        let (_, connection) = self.connect(to);
                        self.lines.insert((from, to, lane), connection);
                        connection
                    }
                };
                self.with(to, |broker, now| broker.on_frame(now, connection, frame));
            }
            Event::Answer(at, from, lane, frame) => {
                if self.lines.contains_key(&(at, from, lane)) {
                    self.with(at, |b, now| b.on_peer_frame(now, from, lane, frame));
                }
            }
            Event::Lost(at, peer, lane) => {
                self.with(at, |b, now| b.on_peer_lost(now, peer, lane, "reset"));
            }
            Event::Flushed(at, seed, token, result) => {
                if self.nodes[&at].seed == seed {
                    self.with(at, |b, now| b.on_flushed(now, token, result));
                }
            }
        }
    }

    /// Goes on to whatever comes next, at most until `until`.
    fn step(&mut self, until: Time) {
        let event = self.events.first_key_value().map(|((at, _), _)| *at);
        let running = self.nodes.iter().filter_map(|(id, node)| {
            let at = node.broker.as_ref()?.next_wakeup()?;
            Some((at, *id))
        });
        let wakeup = running.min();
        let next = event.into_iter().chain(wakeup.map(|(at, _)| at)).min();
        let Some(next) = next.filter(|at| *at <= until) else {
            self.now = until;
            return;
        };
        self.now = self.now.max(next);
        match (event, wakeup) {
            (Some(at), _) if at <= next => {
                let (_, event) = self.events.pop_first().unwrap();
                self.carry(event);
            }
            (_, Some((_, id))) => self.with(id, |broker, now| broker.on_tick(now)),
            _ => unreachable!("one of them came first"),
        }
    }

    pub fn pass_ms(&mut self, ms: i64) {
        let until = self.now.plus_ms(ms);
        while self.now < until {
            self.step(until);
        }
    }

    /// Lets time pass until something holds.
    pub fn wait_for(&mut self, what: &str, mut holds: impl FnMut(&mut Cluster) -> bool) {
        let until = self.now.plus_ms(PATIENCE_MS);
        while !holds(self) {
            assert!(self.now < until, "waited in vain: {what}");
            self.pass_ms(20);
        }
    }

    /// Sends a request and does not wait for the answer.
    pub fn post(
        &mut self,
        from: Client,
        api: ApiKey,
        version: i16,
        body: impl FnOnce(&mut Writer),
    ) {
        let mut writer = Writer::new();
        let header = RequestHeader {
            api_key: api,
            api_version: version,
            correlation_id: 77,
            client_id: Some("test".to_owned()),
        };
        header.encode(&mut writer).unwrap();
        body(&mut writer);
        let frame = Bytes::from(writer.finish_frame().concat()).slice(4..);
        self.with(from.0, |broker, now| broker.on_frame(now, from.1, frame));
    }

    pub fn send(
        &mut self,
        from: Client,
        api: ApiKey,
        version: i16,
        body: impl FnOnce(&mut Writer),
    ) {
        self.post(from, api, version, body);
        let until = self.now.plus_ms(PATIENCE_MS);
        while !self.replies.iter().any(|(to, _)| *to == from) {
            assert!(self.now < until, "{} is not answered", api.name());
            self.step(until);
        }
    }

    pub fn body(&mut self, of: Client, api: ApiKey, version: i16) -> Reader {
        let at = self.replies.iter().position(|(to, _)| *to == of).unwrap();
        match self.replies.remove(at).1 {
            Outcome::Reply(frame) => {
                let mut reader = Reader::new(frame);
                let correlation = response::decode_header(&mut reader, api, version).unwrap();
                assert_eq!(correlation, 77);
                reader
            }
            other => panic!("no reply: {other:?}"),
        }
    }

    pub fn metadata(&mut self, at: BrokerId, topic: &str) -> MetadataResponse {
        let client = self.connect(at);
        let request = MetadataRequest {
            topics: Some(vec![MetadataRequestTopic {
                name: Some(topic.to_owned()),
                ..MetadataRequestTopic::default()
            }]),
            allow_auto_topic_creation: false,
            ..MetadataRequest::default()
        };
        ask!(self, client, Metadata, 12, request, MetadataResponse)
    }

    pub fn partition(&mut self, at: BrokerId, topic: &str) -> Option<MetadataResponsePartition> {
        let mut answer = self.metadata(at, topic);
        answer.topics.pop()?.partitions.into_iter().next()
    }

    pub fn wait_until_whole(&mut self) {
        let ids: Vec<BrokerId> = self.nodes.keys().copied().collect();
        let count = ids.len();
        for id in ids {
            self.wait_for("all brokers are live", |cluster| {
                cluster.metadata(id, "none").brokers.len() == count
            });
        }
    }

    pub fn create(&mut self, at: BrokerId, name: &str, factor: i16) {
        let client = self.connect(at);
        let request = CreateTopicsRequest {
            topics: vec![CreatableTopic {
                name: name.to_owned(),
                num_partitions: 1,
                replication_factor: factor,
                ..CreatableTopic::default()
            }],
            ..CreateTopicsRequest::default()
        };
        let answer: CreateTopicsResponse =
            ask!(self, client, CreateTopics, 7, request, CreateTopicsResponse);
        assert_eq!(answer.topics[0].error_code, 0, "{answer:?}");
    }

    pub fn delete(&mut self, at: BrokerId, name: &str) {
        let client = self.connect(at);
        let request = DeleteTopicsRequest {
            topics: vec![DeleteTopicState {
                name: Some(name.to_owned()),
                ..DeleteTopicState::default()
            }],
            ..DeleteTopicsRequest::default()
        };
        let answer: DeleteTopicsResponse =
            ask!(self, client, DeleteTopics, 6, request, DeleteTopicsResponse);
        assert_eq!(answer.responses[0].error_code, 0, "{answer:?}");
    }

    /// A broker's disk.
    pub fn disk(&self, of: BrokerId) -> MemoryDisk {
        self.nodes[&of].disk.clone()
    }

    /// The snapshots of its metadata a broker has, oldest first.
    fn snapshot_files(&self, of: BrokerId) -> Vec<PathBuf> {
        let paths = self.nodes[&of].disk.paths().into_iter();
        paths
            .filter(|path| path.extension().is_some_and(|e| e == "checkpoint"))
            .collect()
    }

    pub fn produce(&mut self, at: BrokerId, topic: &str, values: &[&str]) -> (i16, i64) {
        let client = self.connect(at);
        let request = produce_request(topic, 0, Some(batch(self.now, values)), -1);
        let answer: ProduceResponse = ask!(self, client, Produce, 9, request, ProduceResponse);
        let partition = &answer.responses[0].partition_responses[0];
        (partition.error_code, partition.base_offset)
    }

    /// Sends records for acks=all and does not wait for the answer.
    pub fn write_unacked(&mut self, client: Client, topic: &str, values: &[&str]) {
        let request = produce_request(topic, 0, Some(batch(self.now, values)), -1);
        let mut writer = Writer::new();
        let header = RequestHeader {
            api_key: ApiKey::Produce,
            api_version: 9,
            correlation_id: 77,
            client_id: Some("test".to_owned()),
        };
        header.encode(&mut writer).unwrap();
        request.encode(&mut writer, 9).unwrap();
        let frame = Bytes::from(writer.finish_frame().concat()).slice(4..);
        self.with(client.0, |broker, now| {
            broker.on_frame(now, client.1, frame)
        });
    }

    /// Error, high watermark and how many bytes there are.
    pub fn fetch(&mut self, at: BrokerId, topic: &str) -> (i16, i64, usize) {
        let client = self.connect(at);
        let request = fetch_request(topic, 0, 0);
        let answer: FetchResponse = ask!(self, client, Fetch, 12, request, FetchResponse);
        let partition = &answer.responses[0].partitions[0];
        let bytes = partition.records.as_ref().map_or(0, |r| r.len());
        (partition.error_code, partition.high_watermark, bytes)
    }

    /// What a broker shows of itself, everything looked at anew.
    pub fn picture(&mut self, of: BrokerId) -> BrokerPicture {
        let now = self.now;
        let broker = self.nodes.get_mut(&of).unwrap().broker.as_mut().unwrap();
        broker.show_anew();
        broker.picture(now, &Focus::default())
    }

    /// What a broker shows of the only topic.
    pub fn topic(&mut self, of: BrokerId) -> TopicSnapshot {
        TopicSnapshot::clone(&self.picture(of).topics[0])
    }

    pub fn leader(&mut self, at: BrokerId, topic: &str) -> Option<BrokerId> {
        let partition = self.partition(at, topic)?;
        (partition.leader_id >= 0).then_some(BrokerId(partition.leader_id))
    }
}

#[test]
fn three_brokers_elect_a_controller_and_know_each_other() {
    let mut cluster = Cluster::new(3, Durability::Os);
    cluster.wait_until_whole();
    let controllers: Vec<i32> = (1..=3)
        .map(|id| cluster.metadata(BrokerId(id), "none").controller_id)
        .collect();
    assert!(controllers[0] > 0 && controllers.iter().all(|c| *c == controllers[0]));
    let before = cluster.now;
    cluster.kill(BrokerId(controllers[0]));
    let survivor = BrokerId(1 + controllers[0] % 3);
    cluster.wait_for("another controller", |cluster| {
        let id = cluster.metadata(survivor, "none").controller_id;
        id > 0 && id != controllers[0]
    });
    assert!(cluster.now.since_us(before) < 2_000_000, "too slow");
}

#[test]
fn what_all_replicas_have_outlives_its_leader() {
    for durability in [Durability::Os, Durability::Memory, Durability::Batch] {
        let mut cluster = Cluster::new(3, durability);
        cluster.wait_until_whole();
        cluster.create(BrokerId(1), "orders", 3);
        cluster.wait_for("the topic is known", |c| {
            (1..=3).all(|id| c.leader(BrokerId(id), "orders").is_some())
        });
        let leader = cluster.leader(BrokerId(1), "orders").unwrap();
        assert_eq!(cluster.produce(leader, "orders", &["a", "b"]), (0, 0));
        let other = BrokerId(1 + leader.0 % 3);
        assert_eq!(cluster.produce(other, "orders", &["x"]).0, 6);
        cluster.kill(leader);
        cluster.wait_for("another leader", |c| {
            let now = c.leader(other, "orders");
            now.is_some_and(|now| now != leader)
        });
        let next = cluster.leader(other, "orders").unwrap();
        cluster.wait_for("the new leader serves", |c| {
            let (error, high_watermark, bytes) = c.fetch(next, "orders");
            error == 0 && high_watermark == 2 && bytes > 0
        });
        assert_eq!(cluster.produce(next, "orders", &["c"]), (0, 2));
        cluster.start(leader);
        cluster.wait_for("all are in sync again", |c| {
            let partition = c.partition(next, "orders");
            partition.is_some_and(|p| p.isr_nodes.len() == 3)
        });
        assert_eq!(cluster.produce(next, "orders", &["d"]), (0, 3));
    }
}

/// KIP-630: what happened to a broker's topics while it was dead takes effect when it comes back, although the log
/// that says so is gone.
#[test]
fn a_broker_that_was_dead_for_long_catches_up_by_a_snapshot() {
    let often = "metadata.log.max.record.bytes.between.snapshots";
    let often = vec![(often.to_owned(), "1000".to_owned())];
    for (durability, killed) in [(Durability::Os, 3), (Durability::Batch, 2)] {
        let mut cluster = Cluster::planned(4, durability, false);
        for node in cluster.nodes.values_mut() {
            node.config.settings = often.clone();
        }
        for id in 1..=4 {
            cluster.start(BrokerId(id));
        }
        cluster.wait_until_whole();
        cluster.create(BrokerId(1), "kept", 4);
        cluster.create(BrokerId(1), "deleted", 4);
        let dead = BrokerId(killed);
        let alive = BrokerId(1 + killed % 4);
        cluster.wait_for("the topics are known", |c| {
            c.leader(dead, "kept").is_some() && c.leader(dead, "deleted").is_some()
        });
        cluster.kill(dead);
        cluster.wait_for("another leader", |c| {
            c.leader(alive, "kept").is_some_and(|now| now != dead)
        });
        cluster.wait_for("it is fenced, and somebody else decides", |c| {
            let known = c.metadata(alive, "kept");
            known.brokers.len() == 3 && known.controller_id > 0 && known.controller_id != dead.0
        });
        cluster.delete(alive, "deleted");
        for n in 0..40 {
            cluster.create(alive, &format!("topic-{n}"), 3);
        }
        cluster.notes.clear();
        cluster.start(dead);
        cluster.wait_for("it is in sync again", |c| {
            let partition = c.partition(dead, "kept");
            partition.is_some_and(|p| p.isr_nodes.len() == 4)
        });
        let fetched = |(id, kind): &(BrokerId, EventKind)| {
            *id == dead && matches!(kind, EventKind::SnapshotFetched { .. })
        };
        assert!(cluster.notes.iter().any(fetched));
        assert_eq!(cluster.leader(dead, "deleted"), None);
        assert!(cluster.leader(dead, "topic-39").is_some());
        let quorum = cluster.picture(dead).quorum;
        let newest = quorum.snapshot.map(|snapshot| snapshot.end_offset);
        assert!(newest.is_some_and(|newest| newest >= quorum.log_start));
        let leader = cluster.leader(dead, "kept").unwrap();
        assert_eq!(cluster.produce(leader, "kept", &["a"]), (0, 0));
        // Everybody at once: what a snapshot begins with is applied and decided on by whoever leads then.
        for id in 1..=4 {
            cluster.kill(BrokerId(id));
        }
        for id in 1..=4 {
            cluster.start(BrokerId(id));
        }
        // What the images begin with says so, but that was before: registered anew, all are fenced at first.
        cluster.pass_ms(1_000);
        cluster.wait_until_whole();
        cluster.wait_for("all are in sync again", |c| {
            let partition = c.partition(dead, "kept");
            partition.is_some_and(|p| p.isr_nodes.len() == 4 && p.leader_id > 0)
        });
        assert!(cluster.leader(alive, "topic-7").is_some());
        cluster.create(alive, "last", 4);
    }
}

/// Without a vote nothing rests on its log: it begins anew.
#[test]
fn an_observer_without_a_sound_snapshot_fetches_one() {
    let often = ("metadata.log.max.record.bytes.between.snapshots", "1000");
    let mut cluster = Cluster::set(&[often]);
    cluster.wait_until_whole();
    cluster.grow(4);
    let observer = BrokerId(4);
    let config = &mut cluster.nodes.get_mut(&observer).unwrap().config;
    config.settings = vec![(often.0.to_owned(), often.1.to_owned())];
    cluster.start(observer);
    cluster.wait_until_whole();
    for n in 0..40 {
        cluster.create(BrokerId(1), &format!("topic-{n}"), 2);
    }
    cluster.pass_ms(3_000);
    cluster.kill(observer);
    let files = cluster.snapshot_files(observer);
    assert_eq!(files.len(), 2);
    for file in &files {
        damage(&mut cluster.nodes.get_mut(&observer).unwrap().disk, file);
    }
    cluster.notes.clear();
    cluster.start(observer);
    cluster.wait_for("it knows the last topic", |c| {
        c.leader(observer, "topic-39").is_some()
    });
    cluster.wait_until_whole();
    let told: Vec<_> = cluster
        .notes
        .iter()
        .filter(|(id, kind)| *id == observer && matches!(kind, EventKind::SnapshotDamaged { .. }))
        .collect();
    assert_eq!(told.len(), 2, "{told:?}");
    let fetched = |(id, kind): &(BrokerId, EventKind)| {
        *id == observer && matches!(kind, EventKind::SnapshotFetched { .. })
    };
    assert!(cluster.notes.iter().any(fetched));
}

/// What the controller's disk lost is neither passed on nor believed where it arrives: another is made and fetched.
#[test]
fn a_damaged_snapshot_is_not_passed_on() {
    let mut cluster = Cluster::set(&[("metadata.log.max.record.bytes.between.snapshots", "1000")]);
    cluster.wait_until_whole();
    let dead = BrokerId(3);
    cluster.kill(dead);
    cluster.wait_for("somebody else decides", |c| {
        let known = c.metadata(BrokerId(1), "none");
        known.brokers.len() == 2 && known.controller_id != dead.0
    });
    for n in 0..40 {
        cluster.create(BrokerId(1), &format!("topic-{n}"), 2);
    }
    cluster.pass_ms(3_000);
    for id in [1, 2] {
        let newest = cluster.snapshot_files(BrokerId(id)).pop().unwrap();
        damage(
            &mut cluster.nodes.get_mut(&BrokerId(id)).unwrap().disk,
            &newest,
        );
    }
    cluster.notes.clear();
    cluster.start(dead);
    cluster.wait_for("it knows the last topic", |c| {
        c.leader(dead, "topic-39").is_some()
    });
    let told = |by: &dyn Fn(&EventKind) -> bool| {
        let notes = cluster.notes.iter().filter(|(_, kind)| by(kind));
        notes.map(|(id, _)| *id).collect::<Vec<_>>()
    };
    let damaged = told(&|kind| matches!(kind, EventKind::SnapshotDamaged { .. }));
    assert!(damaged.len() == 1 && damaged[0] != dead, "{damaged:?}");
    let fetched = told(&|kind| matches!(kind, EventKind::SnapshotFetched { .. }));
    assert_eq!(fetched, [dead]);
}

#[test]
fn producer_ids_are_never_given_twice() {
    let mut cluster = Cluster::new(3, Durability::Os);
    cluster.wait_until_whole();
    let mut ids = std::collections::BTreeSet::new();
    for id in [1, 2, 3, 1, 2, 3] {
        let client = cluster.connect(BrokerId(id));
        let request = InitProducerIdRequest {
            transactional_id: None,
            transaction_timeout_ms: 1,
            ..InitProducerIdRequest::default()
        };
        let answer: InitProducerIdResponse = ask!(
            cluster,
            client,
            InitProducerId,
            4,
            request,
            InitProducerIdResponse
        );
        assert_eq!(answer.error_code, 0);
        assert!(ids.insert(answer.producer_id));
    }
}
