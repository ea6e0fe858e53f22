//! What a broker shows of itself.
//!
//! A picture costs what changed since the last one, not what there is: topics that nobody touched are the
//! same allocation, and the list of all topics is updated in place. Only the focused lanes, record and
//! segment look into the logs, within budgets.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::Broker;
use super::partition::{Partition, Topic};
use super::picture_lanes::LaneCache;
use super::picture_record::RecordCache;
use super::picture_segment::SegmentCache;
use crate::ids::{BrokerId, LeaderEpoch, Offset, PartitionIndex, Time, TopicId};
use crate::inspect::{
    BrokerSnapshot, BrokerState, ConfigValue, ConnectionSnapshot, Focus, Lane, PartitionSnapshot,
    QuorumReplica, QuorumSnapshot, RecordAnswer, ReplicaSnapshot, ReplicaState, SegmentDetail,
    SegmentSnapshot, TopicSnapshot, Totals,
};
use crate::metadata::ConfigSource;
use crate::metadata::decide::is_internal;
use crate::quorum::{QuorumView, ReplicaView};
use crate::storage::SegmentState;

/// One broker at one moment. What did not change since the last picture is the same allocation.
#[derive(Debug, Clone)]
pub struct BrokerPicture {
    pub time: Time,
    pub cluster_id: String,
    pub broker: Arc<BrokerSnapshot>,
    /// By name; the whole list is the same `Arc` when no topic changed.
    pub topics: Arc<Vec<Arc<TopicSnapshot>>>,
    pub totals: Totals,
    /// The metadata quorum as this broker sees it.
    pub quorum: QuorumSnapshot,
    /// The newest first, at most [`CONNECTIONS_SHOWN`].
    pub connections: Arc<Vec<ConnectionSnapshot>>,
    pub lanes: Vec<Arc<Lane>>,
    pub record: Option<Arc<RecordAnswer>>,
    pub segment: Option<Arc<SegmentDetail>>,
}

/// Connections a picture lists; `broker.connections` counts all.
pub const CONNECTIONS_SHOWN: usize = 256;

/// What the last picture showed.
#[derive(Debug, Default)]
pub(super) struct Shown {
    /// Taken away when topics come, go, grow or are configured.
    pub topics: Option<Arc<Vec<Arc<TopicSnapshot>>>>,
    /// Topics that changed otherwise.
    touched: BTreeSet<TopicId>,
    places: BTreeMap<TopicId, usize>,
    log_bytes: u64,
    /// Taken away when broker configurations change.
    pub broker: Option<Arc<BrokerSnapshot>>,
    pub lanes: LaneCache,
    pub record: RecordCache,
    pub segment: SegmentCache,
}

impl Shown {
    /// Has the next picture look at a topic again.
    pub fn touch(&mut self, id: TopicId) {
        self.touched.insert(id);
    }
}

impl Broker {
    /// What the broker shows of itself now, with contents for what `focus` names.
    pub fn picture(&mut self, now: Time, focus: &Focus) -> BrokerPicture {
        let topics = self.show_topics();
        let lanes = self.show_lanes(focus.lanes.as_ref());
        let record = self.show_record(now, focus.record.as_ref());
        let segment = self.show_segment(now, focus.segment.as_ref());
        BrokerPicture {
            time: now,
            cluster_id: self.config.cluster_id.clone(),
            broker: self.show_broker(),
            topics,
            totals: self.totals,
            quorum: self.show_quorum(now),
            connections: self.connections.shown(self.config.id),
            lanes,
            record,
            segment,
        }
    }

    fn show_quorum(&self, now: Time) -> QuorumSnapshot {
        let log_end = self.metadata_log.log().log_end();
        if let Some(view) = self.see_quorum(|quorum, log| quorum.describe(now, log)) {
            return show_members(now, &view, log_end);
        }
        QuorumSnapshot {
            leader: Some(self.config.id),
            epoch: LeaderEpoch(0),
            high_watermark: log_end,
            log_end,
            replicas: vec![QuorumReplica {
                broker: self.config.id,
                voter: true,
                log_end,
                fetched_ms: None,
                caught_up_ms: None,
            }],
        }
    }

    fn show_topics(&mut self) -> Arc<Vec<Arc<TopicSnapshot>>> {
        let touched = std::mem::take(&mut self.shown.touched);
        let Some(mut list) = self.shown.topics.take() else {
            return self.show_all_topics(&touched);
        };
        for id in touched {
            let place = self.shown.places.get(&id).copied();
            let fresh = self.topics.get(&id).map(|topic| self.show_topic(topic));
            if let (Some(place), Some(fresh)) = (place, fresh) {
                let list = Arc::make_mut(&mut list);
                let before = std::mem::replace(&mut list[place], fresh);
                let after = bytes_of(&list[place]);
                self.shown.log_bytes = (self.shown.log_bytes + after) - bytes_of(&before);
                self.remember(id, Arc::clone(&list[place]));
            }
        }
        self.shown.topics = Some(Arc::clone(&list));
        list
    }

    fn show_all_topics(&mut self, touched: &BTreeSet<TopicId>) -> Arc<Vec<Arc<TopicSnapshot>>> {
        let ids: Vec<TopicId> = self.image.topics_by_name().map(|topic| topic.id).collect();
        let mut list = Vec::with_capacity(ids.len());
        self.shown.places.clear();
        for id in ids {
            let Some(topic) = self.topics.get(&id) else {
                continue;
            };
            let shown = match &topic.shown {
                Some(shown) if !touched.contains(&id) => Arc::clone(shown),
                _ => self.show_topic(topic),
            };
            self.shown.places.insert(id, list.len());
            self.remember(id, Arc::clone(&shown));
            list.push(shown);
        }
        self.shown.log_bytes = list.iter().map(|topic| bytes_of(topic)).sum();
        let list = Arc::new(list);
        self.shown.topics = Some(Arc::clone(&list));
        list
    }

    fn remember(&mut self, id: TopicId, shown: Arc<TopicSnapshot>) {
        if let Some(topic) = self.topics.get_mut(&id) {
            topic.shown = Some(shown);
        }
    }

    fn show_topic(&self, topic: &Topic) -> Arc<TopicSnapshot> {
        let image = self
            .image
            .topic(topic.id)
            .expect("topics are those of the image");
        let configs = self.settings.topic_configs(&self.image, &image.configs);
        let partitions = topic.partitions.iter().zip(&image.partitions).enumerate();
        let factor = image.partitions.first().map_or(0, |p| p.replicas.len());
        Arc::new(TopicSnapshot {
            name: image.name.clone(),
            id: topic.id,
            internal: is_internal(&image.name),
            replication_factor: i16::try_from(factor).unwrap_or(i16::MAX),
            configs: configs
                .into_iter()
                .map(|(row, config)| ConfigValue {
                    name: row.name,
                    value: config.value.unwrap_or_default(),
                    set: config.source == ConfigSource::Topic,
                    doc: row.doc,
                })
                .collect(),
            partitions: partitions
                .map(|(index, (partition, image))| {
                    show_partition(self.config.id, index, partition, image)
                })
                .collect(),
        })
    }

    fn show_broker(&mut self) -> Arc<BrokerSnapshot> {
        let connections = u32::try_from(self.connections.count()).unwrap_or(u32::MAX);
        let log_bytes = self.shown.log_bytes;
        if let Some(shown) = &self.shown.broker
            && shown.connections == connections
            && shown.log_bytes == log_bytes
        {
            return Arc::clone(shown);
        }
        let settings = match &self.shown.broker {
            Some(shown) => shown.settings.clone(),
            None => self.settings.all(&self.image),
        };
        let shown = Arc::new(BrokerSnapshot {
            id: self.config.id,
            host: self.config.listen.ip().to_string(),
            port: self.config.listen.port(),
            state: BrokerState::Running,
            started: self.started,
            recovery: self.recovery.clone(),
            connections,
            log_bytes,
            settings,
        });
        self.shown.broker = Some(Arc::clone(&shown));
        shown
    }
}

fn bytes_of(topic: &TopicSnapshot) -> u64 {
    topic
        .partitions
        .iter()
        .map(|partition| partition.bytes)
        .sum()
}

fn show_partition(
    me: BrokerId,
    index: usize,
    partition: &Partition,
    image: &crate::metadata::PartitionImage,
) -> PartitionSnapshot {
    let log = partition.log.as_ref();
    let trouble = log.and_then(|log| log.trouble());
    PartitionSnapshot {
        index: PartitionIndex(i32::try_from(index).unwrap_or(i32::MAX)),
        leader: image.leader,
        leader_epoch: partition.leader_epoch,
        replicas: show_replicas(me, partition, image),
        isr: image.isr.clone(),
        log_start: log.map(|log| log.log_start()).unwrap_or_default(),
        high_watermark: partition.high_watermark,
        last_stable: partition.high_watermark,
        log_end: log.map(|log| log.log_end()).unwrap_or_default(),
        bytes: log.map_or(0, |log| log.bytes()),
        records_in: partition.counters.records_in,
        bytes_in: partition.counters.bytes_in,
        bytes_out: partition.counters.bytes_out,
        max_timestamp_ms: log.map_or(-1, |log| log.max_timestamp_ms()),
        segments: log
            .map(|log| log.segment_states().map(show_segment_state).collect())
            .unwrap_or_default(),
        epochs: log
            .map(|log| log.epochs().starts().to_vec())
            .unwrap_or_default(),
        producers: log.map_or(0, |log| {
            u32::try_from(log.producer_count()).unwrap_or(u32::MAX)
        }),
        trouble: partition.trouble.clone().or(trouble),
    }
}

/// The quorum as this member sees it.
fn show_members(now: Time, view: &QuorumView, log_end: Offset) -> QuorumSnapshot {
    let ms = |at: Option<Time>| at.map(|at| now.since_us(at) / 1_000);
    let member = |replica: &ReplicaView, voter| QuorumReplica {
        broker: replica.id,
        voter,
        log_end: replica.log_end.unwrap_or(Offset::NONE),
        fetched_ms: ms(replica.last_fetch),
        caught_up_ms: ms(replica.last_caught_up),
    };
    let voters = view.voters.iter().map(|replica| member(replica, true));
    let observers = view.observers.iter().map(|replica| member(replica, false));
    QuorumSnapshot {
        leader: view.leader,
        epoch: view.epoch,
        high_watermark: view.high_watermark.unwrap_or(Offset::ZERO),
        log_end,
        replicas: voters.chain(observers).collect(),
    }
}

/// All replicas in the order of the assignment, with what this broker knows of its own.
fn show_replicas(
    me: BrokerId,
    partition: &Partition,
    image: &crate::metadata::PartitionImage,
) -> Vec<ReplicaSnapshot> {
    let own = |broker| ReplicaSnapshot {
        leader_epoch: partition.leader_epoch,
        state: match (&partition.log, image.leader == Some(me)) {
            (None, _) => ReplicaState::Failed,
            (Some(_), true) => ReplicaState::Leader,
            (Some(_), false) => ReplicaState::Follower,
        },
        ..match &partition.log {
            Some(log) => ReplicaSnapshot {
                log_start: log.log_start(),
                log_end: log.log_end(),
                high_watermark: partition.high_watermark,
                ..ReplicaSnapshot::unknown(broker)
            },
            None => ReplicaSnapshot::unknown(broker),
        }
    };
    let replicas = image.replicas.iter().map(|&broker| ReplicaSnapshot {
        in_sync: image.isr.contains(&broker),
        ..match broker == me {
            true => own(broker),
            false => ReplicaSnapshot::unknown(broker),
        }
    });
    replicas.collect()
}

fn show_segment_state(state: SegmentState) -> SegmentSnapshot {
    SegmentSnapshot {
        base_offset: state.base_offset,
        end_offset: state.end_offset,
        bytes: state.bytes,
        index_entries: state.index_entries,
        index_bytes: state.index_bytes,
        time_index_entries: state.time_index_entries,
        time_index_bytes: state.time_index_bytes,
        max_timestamp_ms: state.max_timestamp_ms,
        active: state.active,
    }
}
