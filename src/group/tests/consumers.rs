//! Groups of the new protocol (KIP-848): a coordinator with topics, and consumers that behave as real ones do.

mod fencing;
mod joining;
mod migration;
mod random;
mod statics;
mod subscriptions;
mod written;

use super::super::*;
use super::config;
use crate::ids::{BrokerId, ConnectionId, PartitionIndex, TopicId};
use crate::metadata::{self, Image, PartitionImage};
use crate::wire::messages::consumer_group_heartbeat::{
    ConsumerGroupHeartbeatRequest, TopicPartitions,
};

const REBALANCE_MS: i32 = 60_000;
const SESSION_MS: i64 = 45_000;
/// The version in which consumers make their own ids.
const HEARTBEAT: i16 = 1;

/// A shard, the topics, the time, and everything it ever wrote.
struct World {
    shard: Shard,
    topics: Image,
    now: Time,
    written: Vec<Record>,
    news: Vec<News>,
    /// Replies nobody has looked at yet.
    replies: Vec<(ConnectionId, Reply)>,
    connections: u64,
}

/// A consumer: what it wants, what it was told, and what it reads.
#[derive(Debug, Clone, Default)]
struct Consumer {
    id: String,
    instance: Option<String>,
    names: Option<Vec<String>>,
    pattern: Option<String>,
    assignor: Option<String>,
    epoch: i32,
    /// What it was last told to read.
    told: Partitions,
    /// What it reads.
    owned: Partitions,
    /// Whether its next heartbeat says everything.
    whole: bool,
}

impl Consumer {
    fn of(id: &str, topics: &[&str]) -> Consumer {
        Consumer {
            id: id.to_owned(),
            names: Some(topics.iter().map(|topic| (*topic).to_owned()).collect()),
            ..Consumer::default()
        }
    }

    fn new(id: &str) -> Consumer {
        Consumer::of(id, &["t"])
    }

    fn fixed(id: &str, instance: &str) -> Consumer {
        Consumer {
            instance: Some(instance.to_owned()),
            ..Consumer::new(id)
        }
    }

    fn matching(id: &str, pattern: &str) -> Consumer {
        Consumer {
            names: None,
            pattern: Some(pattern.to_owned()),
            ..Consumer::new(id)
        }
    }

    fn owned_topics(&self) -> Vec<TopicPartitions> {
        let topic = |(topic_id, indexes): (_, &std::collections::BTreeSet<i32>)| TopicPartitions {
            topic_id,
            partitions: indexes.iter().copied().collect(),
        };
        self.owned.topics().map(topic).collect()
    }

    fn request(&self) -> ConsumerGroupHeartbeatRequest {
        let whole = self.whole || self.epoch == 0;
        ConsumerGroupHeartbeatRequest {
            group_id: "g".to_owned(),
            member_id: self.id.clone(),
            member_epoch: self.epoch,
            instance_id: self.instance.clone(),
            rebalance_timeout_ms: if whole { REBALANCE_MS } else { -1 },
            subscribed_topic_names: self.names.clone().filter(|_| whole),
            subscribed_topic_regex: self.pattern.clone().filter(|_| whole),
            server_assignor: self.assignor.clone().filter(|_| whole),
            topic_partitions: Some(self.owned_topics()),
            ..ConsumerGroupHeartbeatRequest::default()
        }
    }

    /// Gives up what it is not to read, and reads what it is to.
    fn obey(&mut self) {
        self.owned = self.told.clone();
    }

    fn count(&self) -> usize {
        self.owned.len()
    }
}

fn topic_id(name: &str) -> TopicId {
    let mut id = [7; 16];
    for (at, byte) in name.bytes().take(16).enumerate() {
        id[at] = byte;
    }
    TopicId(id)
}

fn some(topic: &str, indexes: &[i32]) -> Partitions {
    let id = topic_id(topic);
    indexes.iter().map(|index| (id, *index)).collect()
}

impl World {
    /// With a topic `t` of this many partitions.
    fn new(partitions: i32) -> World {
        World::with(config(), partitions)
    }

    fn with(config: GroupConfig, partitions: i32) -> World {
        let mut shard = Shard::new(config);
        let now = Time::from_ms(1_000_000);
        shard.begin(now);
        let mut world = World {
            shard,
            topics: Image::default(),
            now,
            written: Vec::new(),
            news: Vec::new(),
            replies: Vec::new(),
            connections: 0,
        };
        world.grow("t", partitions);
        world
    }

    /// Makes a topic, or gives it this many partitions.
    fn grow(&mut self, name: &str, partitions: i32) {
        let id = topic_id(name);
        if self.topics.topic(id).is_none() {
            let name = name.to_owned();
            self.topics.apply(&metadata::Record::Topic { name, id });
        }
        for index in 0..partitions {
            self.topics.apply(&metadata::Record::Partition {
                topic: id,
                index: PartitionIndex(index),
                partition: PartitionImage::new(vec![BrokerId(1)], vec![BrokerId(1)]),
            });
        }
        self.shard.topics_changed();
    }

    fn remove(&mut self, name: &str) {
        let id = topic_id(name);
        self.topics.apply(&metadata::Record::RemoveTopic { id });
        self.shard.topics_changed();
    }

    fn take(&mut self, turn: Turn) {
        self.written.extend(turn.records);
        self.news.extend(turn.news);
        self.replies.extend(turn.replies);
        self.shard.check();
    }

    /// What somebody was answered, if that has come.
    fn reply(&mut self, to: ConnectionId) -> Option<Reply> {
        let at = self.replies.iter().position(|(of, _)| *of == to)?;
        Some(self.replies.remove(at).1)
    }

    fn on_shard(&mut self, verb: impl FnOnce(&mut Shard, &Caller) -> Turn) -> Reply {
        let connection = self.request(verb);
        self.reply(connection).expect("it is answered at once")
    }

    fn request(&mut self, verb: impl FnOnce(&mut Shard, &Caller) -> Turn) -> ConnectionId {
        self.connections += 1;
        let connection = ConnectionId(self.connections);
        let caller = Caller {
            now: self.now,
            connection,
            client_id: "client",
            client_host: "/127.0.0.1",
            fresh: u128::from(self.connections),
            topics: &self.topics,
        };
        let turn = verb(&mut self.shard, &caller);
        self.take(turn);
        connection
    }

    fn ask(&mut self, request: &ConsumerGroupHeartbeatRequest) -> Result<ConsumerHeard, Refusal> {
        let reply =
            self.on_shard(|shard, caller| shard.consumer_heartbeat(caller, request, HEARTBEAT));
        match reply {
            Reply::ConsumerHeartbeat(heard) => heard,
            other => panic!("{other:?}"),
        }
    }

    /// A heartbeat; the consumer hears what it is told, and does nothing yet.
    fn beat(&mut self, consumer: &mut Consumer) -> Result<(), Refusal> {
        let heard = self.ask(&consumer.request())?;
        assert_eq!(heard.member_id, consumer.id);
        assert!(
            heard.epoch >= consumer.epoch,
            "C4: epochs of a member only grow"
        );
        consumer.epoch = heard.epoch;
        consumer.whole = false;
        if let Some(assignment) = heard.assignment {
            consumer.told = assignment;
        }
        Ok(())
    }

    fn leave(&mut self, consumer: &mut Consumer, epoch: i32) -> Result<(), Refusal> {
        let request = ConsumerGroupHeartbeatRequest {
            member_epoch: epoch,
            ..consumer.request()
        };
        let left = self.ask(&request)?;
        assert_eq!(left.epoch, epoch);
        consumer.epoch = 0;
        consumer.owned = Partitions::default();
        consumer.told = Partitions::default();
        Ok(())
    }

    /// Heartbeats until nobody has anything to do any more.
    fn settle(&mut self, consumers: &mut [Consumer]) {
        for _ in 0..20 {
            for consumer in &mut *consumers {
                self.beat(consumer).expect("it is a member");
                consumer.obey();
            }
            if self.state() == "Stable" {
                return;
            }
        }
        panic!("C4: it does not converge: {:?}", self.group());
    }

    /// Lets time pass, alarm by alarm.
    fn pass(&mut self, ms: i64) {
        let until = self.now.plus_ms(ms);
        while let Some(at) = self.shard.next_wakeup().filter(|at| *at <= until) {
            self.now = self.now.max(at);
            let turn = self.shard.on_tick(self.now, &self.topics);
            self.take(turn);
        }
        self.now = until;
    }

    fn group(&self) -> &ConsumerGroup {
        self.shard.consumer("g").expect("it is of the new protocol")
    }

    fn state(&self) -> &'static str {
        self.group().state().name()
    }

    fn commit(&mut self, consumer: &Consumer, epoch: i32) -> Result<(), Refusal> {
        let by = CommitAs {
            member_id: &consumer.id,
            instance: None,
            epoch,
            knows_epochs: true,
        };
        self.commit_as(by)
    }

    fn commit_as(&mut self, by: CommitAs) -> Result<(), Refusal> {
        let one = CommitOne {
            topic: "t".to_owned(),
            topic_id: TopicId::ZERO,
            partition: 0,
            offset: crate::ids::Offset(5),
            leader_epoch: crate::ids::LeaderEpoch(-1),
            metadata: String::new(),
        };
        match self.on_shard(|shard, caller| shard.commit(caller, "g", by, vec![one])) {
            Reply::OffsetsCommitted(results) => results[0],
            other => panic!("{other:?}"),
        }
    }

    fn committed(&self) -> Option<i64> {
        let committed = self.shard.committed("g", "t", 0);
        committed.map(|committed| committed.offset.0)
    }

    /// Another coordinator reads everything written, from bytes.
    fn read_again(&self) -> Shard {
        let mut shard = Shard::new(config());
        for record in &self.written {
            let (key, value) = record.encode().unwrap();
            let read = Record::decode(&key, value.as_deref()).unwrap().unwrap();
            assert_eq!(&read, record);
            shard.apply(&read);
        }
        shard
    }
}
