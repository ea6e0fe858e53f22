//! Puts together what several brokers show of the same topics.
//!
//! What there is comes from the broker that has applied the most metadata; what is in a partition from the
//! broker that metadata names as its leader; what a replica has from the broker that holds it, or from its
//! files once it is dead. A topic none of them changed is the same allocation as before.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::member::Seen;
use super::remains::{LogLeft, Remains};
use crate::broker::BrokerPicture;
use crate::ids::{BrokerId, PartitionIndex};
use crate::inspect::{
    Lane, LogSize, PartitionSnapshot, ReplicaSnapshot, ReplicaState, TopicSnapshot,
};

/// The topics of the last picture, and what they were made of.
#[derive(Debug, Default)]
pub struct FusedTopics {
    topics: Vec<FusedTopic>,
}

#[derive(Debug)]
struct FusedTopic {
    /// Each broker that shows it, whether it lives, and its own picture of it.
    sources: Vec<Source>,
    dead: Vec<Dead>,
    topic: Arc<TopicSnapshot>,
}

/// A broker that does not run, and what it left on disk.
#[derive(Debug, Clone)]
struct Dead {
    broker: BrokerId,
    remains: Arc<Remains>,
}

impl PartialEq for Dead {
    fn eq(&self, other: &Dead) -> bool {
        self.broker == other.broker && Arc::ptr_eq(&self.remains, &other.remains)
    }
}

#[derive(Debug, Clone)]
struct Source {
    broker: BrokerId,
    alive: bool,
    topic: Arc<TopicSnapshot>,
}

impl PartialEq for Source {
    fn eq(&self, other: &Source) -> bool {
        (self.broker, self.alive) == (other.broker, other.alive)
            && Arc::ptr_eq(&self.topic, &other.topic)
    }
}

/// The broker whose metadata is the newest: a living one if there is one, the first among equals.
pub fn most_advanced<'a>(seen: &[Seen<'a>]) -> Option<(Seen<'a>, &'a BrokerPicture)> {
    let shown = seen.iter().filter_map(|s| Some((*s, s.picture?)));
    shown.rev().max_by_key(|(seen, picture)| {
        let quorum = &picture.quorum;
        (seen.is_alive(), quorum.epoch, quorum.high_watermark)
    })
}

impl FusedTopics {
    /// All topics, by name.
    pub fn fuse(&mut self, seen: &[Seen<'_>]) -> Vec<Arc<TopicSnapshot>> {
        let Some((base, picture)) = most_advanced(seen) else {
            return Vec::new();
        };
        if seen.len() == 1 && base.is_alive() {
            self.topics.clear();
            return picture.topics.as_ref().clone();
        }
        let dead: Vec<Dead> = seen
            .iter()
            .filter(|s| !s.is_alive())
            .filter_map(|s| {
                Some(Dead {
                    broker: s.id,
                    remains: Arc::clone(s.remains?),
                })
            })
            .collect();
        let mut before = std::mem::take(&mut self.topics).into_iter();
        for (place, topic) in picture.topics.iter().enumerate() {
            let sources = sources(seen, base, topic, place);
            let same = |fused: &FusedTopic| fused.sources == sources && fused.dead == dead;
            let fused = match before.next().filter(same) {
                Some(same) => same,
                None => FusedTopic {
                    topic: fuse_topic(&sources, &dead),
                    sources,
                    dead: dead.clone(),
                },
            };
            self.topics.push(fused);
        }
        self.topics.iter().map(|t| Arc::clone(&t.topic)).collect()
    }
}

/// Every picture there is of a topic, the base's first.
fn sources(
    seen: &[Seen<'_>],
    base: Seen<'_>,
    topic: &Arc<TopicSnapshot>,
    place: usize,
) -> Vec<Source> {
    let mut sources = vec![Source {
        broker: base.id,
        alive: base.is_alive(),
        topic: Arc::clone(topic),
    }];
    for other in seen.iter().filter(|other| other.id != base.id) {
        let found = other
            .picture
            .and_then(|picture| find(picture, topic, place));
        sources.extend(found.map(|topic| Source {
            broker: other.id,
            alive: other.is_alive(),
            topic: Arc::clone(topic),
        }));
    }
    sources
}

/// The same topic in another picture, most likely at the same place.
fn find<'a>(
    picture: &'a BrokerPicture,
    topic: &TopicSnapshot,
    place: usize,
) -> Option<&'a Arc<TopicSnapshot>> {
    let same = |candidate: &&Arc<TopicSnapshot>| candidate.id == topic.id;
    picture.topics.get(place).filter(same).or_else(|| {
        let by_name = picture
            .topics
            .binary_search_by(|candidate| candidate.name.cmp(&topic.name));
        picture.topics.get(by_name.ok()?).filter(same)
    })
}

fn fuse_topic(sources: &[Source], dead: &[Dead]) -> Arc<TopicSnapshot> {
    let base = &sources[0].topic;
    let partitions = base.partitions.iter().map(|partition| {
        let mut partition = fuse_partition(partition, sources);
        for dead in dead {
            if let Some(log) = dead.remains.log(&base.name, partition.index) {
                bury(&mut partition, dead.broker, log);
            }
        }
        partition
    });
    Arc::new(TopicSnapshot {
        partitions: partitions.collect(),
        ..TopicSnapshot::clone(base)
    })
}

fn fuse_partition(base: &PartitionSnapshot, sources: &[Source]) -> PartitionSnapshot {
    let shown_by = |broker: BrokerId| {
        let source = sources.iter().find(|source| source.broker == broker)?;
        partition_of(&source.topic, base.index).map(|partition| (source.alive, partition))
    };
    let leader = base.leader.and_then(shown_by);
    let living_leader = leader.filter(|(alive, _)| *alive);
    let living_leader = living_leader.map(|(_, partition)| partition);
    let leader = leader.map_or(base, |(_, partition)| partition);
    let replicas = base.replicas.iter().map(|known| {
        let broker = known.broker;
        let shown = shown_by(broker);
        let own = shown.and_then(|(alive, p)| Some((alive, replica_of(p, broker)?)));
        let seen_by_leader = living_leader.and_then(|leader| replica_of(leader, broker));
        ReplicaSnapshot {
            in_sync: base.isr.contains(&broker),
            in_maximal_isr: seen_by_leader.is_some_and(|replica| replica.in_maximal_isr),
            caught_up_ms: seen_by_leader.and_then(|replica| replica.caught_up_ms),
            leaves_isr_ms: seen_by_leader.and_then(|replica| replica.leaves_isr_ms),
            // What a broker says of a partition's files it says of its own.
            size: own.and(shown).map(|(_, own)| LogSize::of(own)),
            ..fuse_replica(broker, own, base.leader)
        }
    });
    let counters = sources.iter();
    let counters = counters.filter_map(|source| partition_of(&source.topic, base.index));
    let (mut records_in, mut bytes_in, mut bytes_out) = (0, 0, 0);
    for counted in counters {
        records_in += counted.records_in;
        bytes_in += counted.bytes_in;
        bytes_out += counted.bytes_out;
    }
    PartitionSnapshot {
        leader: base.leader,
        leader_epoch: base.leader_epoch,
        partition_epoch: base.partition_epoch,
        isr: base.isr.clone(),
        elr: base.elr.clone(),
        adding: base.adding.clone(),
        removing: base.removing.clone(),
        recovering: base.recovering,
        replicas: replicas.collect(),
        records_in,
        bytes_in,
        bytes_out,
        ..leader.clone()
    }
}

/// Puts what a dead broker left on disk in the place of what it told last.
fn bury(partition: &mut PartitionSnapshot, broker: BrokerId, left: &LogLeft) {
    let log = left.survey;
    for replica in &mut partition.replicas {
        if replica.broker == broker {
            replica.log_start = log.log_start;
            replica.log_end = log.log_end;
            replica.size = Some(LogSize {
                bytes: log.bytes,
                segments: left.segments,
            });
            replica.from_files = true;
            replica.state = ReplicaState::Offline;
        }
    }
    if partition.leader == Some(broker) {
        partition.log_start = log.log_start;
        partition.log_end = log.log_end;
        partition.bytes = log.bytes;
    }
}

/// A replica as its own broker reports it, with what the cluster knows of that broker.
fn fuse_replica(
    broker: BrokerId,
    own: Option<(bool, &ReplicaSnapshot)>,
    leader: Option<BrokerId>,
) -> ReplicaSnapshot {
    let Some((alive, own)) = own else {
        return ReplicaSnapshot::unknown(broker);
    };
    let state = match own.state {
        _ if !alive => ReplicaState::Offline,
        ReplicaState::Failed => ReplicaState::Failed,
        _ if leader == Some(broker) => ReplicaState::Leader,
        _ => ReplicaState::Follower,
    };
    ReplicaSnapshot {
        state,
        ..own.clone()
    }
}

fn partition_of(topic: &TopicSnapshot, index: PartitionIndex) -> Option<&PartitionSnapshot> {
    topic.partitions.get(usize::try_from(index.0).ok()?)
}

fn replica_of(partition: &PartitionSnapshot, broker: BrokerId) -> Option<&ReplicaSnapshot> {
    let mut replicas = partition.replicas.iter();
    replicas.find(|replica| replica.broker == broker)
}

/// Who leads a partition.
pub fn leader_of(
    topics: &[Arc<TopicSnapshot>],
    topic: &str,
    partition: PartitionIndex,
) -> Option<BrokerId> {
    let place = topics
        .binary_search_by(|candidate| candidate.name.as_str().cmp(topic))
        .ok()?;
    partition_of(&topics[place], partition)?.leader
}

/// The focused lanes, each from its partition's leader where that shows it, in the order they were asked for.
pub fn fuse_lanes(seen: &[Seen<'_>], topics: &[Arc<TopicSnapshot>]) -> Vec<Arc<Lane>> {
    let mut places: BTreeMap<(String, PartitionIndex), usize> = BTreeMap::new();
    let mut lanes: Vec<Arc<Lane>> = Vec::new();
    let any_alive = seen.iter().any(|s| s.is_alive());
    for (broker, picture) in contents(seen, any_alive) {
        for lane in &picture.lanes {
            let key = (lane.topic.clone(), lane.partition);
            let leads = leader_of(topics, &lane.topic, lane.partition) == Some(broker);
            match places.get(&key) {
                Some(place) if leads => lanes[*place] = Arc::clone(lane),
                Some(_) => {}
                None => {
                    places.insert(key, lanes.len());
                    lanes.push(Arc::clone(lane));
                }
            }
        }
    }
    lanes
}

/// What one broker shows of a focused partition: its leader, or whoever else shows something.
pub fn pick<T>(
    seen: &[Seen<'_>],
    leader: Option<BrokerId>,
    shown: impl Fn(&BrokerPicture) -> Option<Arc<T>>,
) -> Option<Arc<T>> {
    let any_alive = seen.iter().any(|s| s.is_alive());
    let mut all = contents(seen, any_alive).collect::<Vec<_>>();
    all.sort_by_key(|(broker, _)| Some(*broker) != leader);
    all.into_iter().find_map(|(_, picture)| shown(picture))
}

/// Pictures whose contents belong to the present focus: those of dead brokers only if nobody lives.
fn contents<'a>(
    seen: &[Seen<'a>],
    any_alive: bool,
) -> impl Iterator<Item = (BrokerId, &'a BrokerPicture)> {
    seen.iter()
        .filter(move |s| s.is_alive() || !any_alive)
        .filter_map(|s| Some((s.id, s.picture?)))
}
