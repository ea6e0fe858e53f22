//! What a broker shows of itself.
//!
//! A picture costs what changed since the last one, not what there is: topics that nobody touched are the
//! same allocation, and the list of all topics is updated in place. Only the focused lanes, record and
//! segment look into the logs, within budgets.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::Broker;
use super::partition::Topic;
use super::picture_lanes::LaneCache;
use super::picture_record::RecordCache;
use super::picture_replicas::show_partition;
use super::picture_segment::SegmentCache;
use crate::ids::{BrokerEpoch, PartitionIndex, Time, TopicId};
use crate::inspect::{
    BrokerSnapshot, BrokerState, ConfigValue, ConnectionSnapshot, Focus, GroupSnapshot, InFlight,
    Lane, QuorumSnapshot, RecordAnswer, RegistrationSnapshot, SegmentDetail, TopicSnapshot, Totals,
};
use crate::metadata::decide::is_internal;
use crate::metadata::{ConfigSource, TopicImage};

/// One broker at one moment. What did not change since the last picture is the same allocation.
#[derive(Debug, Clone)]
pub struct BrokerPicture {
    pub time: Time,
    pub cluster_id: String,
    /// Of this incarnation, once the controller has registered it.
    pub broker_epoch: Option<BrokerEpoch>,
    pub broker: Arc<BrokerSnapshot>,
    /// By name; the whole list is the same `Arc` when no topic changed.
    pub topics: Arc<Vec<Arc<TopicSnapshot>>>,
    /// Those it coordinates, by name; the same `Arc` when none changed.
    pub groups: Arc<Vec<Arc<GroupSnapshot>>>,
    pub totals: Totals,
    /// The metadata quorum as this broker sees it.
    pub quorum: QuorumSnapshot,
    /// Every broker as this one's metadata has it, by number.
    pub registrations: Vec<RegistrationSnapshot>,
    /// What this broker asked others, then what clients asked it; at most [`IN_FLIGHT_SHOWN`].
    ///
    /// [`IN_FLIGHT_SHOWN`]: crate::inspect::IN_FLIGHT_SHOWN
    pub in_flight: Vec<InFlight>,
    /// The newest first, at most [`CONNECTIONS_SHOWN`].
    pub connections: Arc<Vec<ConnectionSnapshot>>,
    /// Clients' connections that ended, oldest first, at most [`GONE_KEPT`].
    ///
    /// [`GONE_KEPT`]: crate::inspect::GONE_KEPT
    pub gone: Arc<Vec<ConnectionSnapshot>>,
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
    /// Taken away when groups change.
    pub groups: Option<Arc<Vec<Arc<GroupSnapshot>>>>,
    pub group_cache: super::picture_groups::GroupCache,
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
    /// Has the next picture look at every topic again, also at those of which only time passed.
    pub fn show_anew(&mut self) {
        self.shown.touched.extend(self.topics.keys());
    }

    /// What the broker shows of itself now, with contents for what `focus` names.
    pub fn picture(&mut self, now: Time, focus: &Focus) -> BrokerPicture {
        for lanes in &focus.lanes {
            if let Some(topic) = self.image.topic_named(&lanes.topic) {
                self.shown.touch(topic.id);
            }
        }
        let topics = self.show_topics(now);
        let lanes = self.show_lanes(&focus.lanes);
        let record = self.show_record(now, focus.record.as_ref());
        let segment = self.show_segment(now, focus.segment.as_ref());
        BrokerPicture {
            time: now,
            cluster_id: self.config.cluster_id.clone(),
            broker_epoch: self.member.as_ref().and_then(|m| m.registration.epoch),
            broker: self.show_broker(),
            topics,
            groups: self.show_groups(),
            totals: self.totals,
            quorum: self.show_quorum(now),
            registrations: self.show_registrations(),
            in_flight: self.show_in_flight(),
            connections: self.connections.shown(self.config.id),
            gone: self.connections.gone(),
            lanes,
            record,
            segment,
        }
    }

    fn show_topics(&mut self, now: Time) -> Arc<Vec<Arc<TopicSnapshot>>> {
        let touched = std::mem::take(&mut self.shown.touched);
        let Some(mut list) = self.shown.topics.take() else {
            return self.show_all_topics(now, &touched);
        };
        for id in touched {
            let place = self.shown.places.get(&id).copied();
            let fresh = self
                .topics
                .get(&id)
                .map(|topic| self.show_topic(now, topic));
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

    fn show_all_topics(
        &mut self,
        now: Time,
        touched: &BTreeSet<TopicId>,
    ) -> Arc<Vec<Arc<TopicSnapshot>>> {
        let ids: Vec<TopicId> = self.image.topics_by_name().map(|topic| topic.id).collect();
        let mut list = Vec::with_capacity(ids.len());
        self.shown.places.clear();
        for id in ids {
            let Some(topic) = self.topics.get(&id) else {
                continue;
            };
            let shown = match &topic.shown {
                Some(shown) if !touched.contains(&id) => Arc::clone(shown),
                _ => self.show_topic(now, topic),
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

    fn show_topic(&self, now: Time, topic: &Topic) -> Arc<TopicSnapshot> {
        let image = self
            .image
            .topic(topic.id)
            .expect("topics are those of the image");
        // Whatever changes them forgets what was shown.
        let configs = match &topic.shown {
            Some(shown) => Arc::clone(&shown.configs),
            None => Arc::new(self.show_configs(image)),
        };
        let partitions = topic.partitions.iter().zip(&image.partitions).enumerate();
        let factor = image.partitions.first().map_or(0, |p| p.replicas.len());
        Arc::new(TopicSnapshot {
            name: image.name.clone(),
            id: topic.id,
            internal: is_internal(&image.name),
            replication_factor: i16::try_from(factor).unwrap_or(i16::MAX),
            configs,
            partitions: partitions
                .map(|(index, (partition, image))| {
                    let index = PartitionIndex(i32::try_from(index).unwrap_or(i32::MAX));
                    show_partition(now, self.config.id, index, partition, image)
                })
                .collect(),
        })
    }

    fn show_configs(&self, image: &TopicImage) -> Vec<ConfigValue> {
        let configs = self.settings.topic_configs(&self.image, &image.configs);
        let configs = configs.into_iter().map(|(row, config)| ConfigValue {
            name: row.name,
            value: config.value.unwrap_or_default(),
            set: config.source == ConfigSource::Topic,
            doc: row.doc,
        });
        configs.collect()
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
            registration: None,
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
