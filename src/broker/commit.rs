//! Carrying decisions out where a broker is alone: write the records, apply them, and do what follows from them
//! on this broker. In a cluster `controller` decides and applies, with the steps here.
//!
//! Nothing is applied that was not written. What follows (directories, settings) may fail on its own: a
//! partition whose directory cannot be made is there and says so, because the decision stands.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::Broker;
use super::groups::MAX_OFFSETS_BATCH_BYTES;
use super::metadata_log::MetadataLogError;
use super::partition::{METADATA_LOG, Partition, PartitionKey, Role, Topic};
use super::ticks::log_key;
use crate::group::OFFSETS_TOPIC;
use crate::ids::{Offset, PartitionIndex, Time, TopicId};
use crate::inspect::{Durability, EventKind};
use crate::metadata::decide::Refusal;
use crate::metadata::{Record, Resource, TopicSettings};
use crate::storage::{
    Log, LogConfig, Opening, Recovered, StorageError, TimestampType, delete_replica, owner_of,
    set_aside,
};

/// Why a request for a change was not carried out.
#[derive(Debug)]
pub(super) enum NotDone {
    Refused(Refusal),
    /// KAFKA_STORAGE_ERROR: the metadata log took nothing.
    NotWritten(String),
}

impl From<Refusal> for NotDone {
    fn from(refusal: Refusal) -> NotDone {
        NotDone::Refused(refusal)
    }
}

impl Broker {
    /// Writes one decision and carries it out. `cause` says who wanted it, for the events.
    pub(super) fn commit(
        &mut self,
        now: Time,
        records: &[Record],
        cause: &str,
    ) -> Result<(), NotDone> {
        if records.is_empty() {
            return Ok(());
        }
        if self.member.is_some() {
            return self.decide(now, records, cause);
        }
        let written = self.metadata_log.append(&mut *self.disk, now, records);
        self.take_log_notes(now, METADATA_LOG);
        let bytes =
            written.map_err(|error: MetadataLogError| NotDone::NotWritten(error.to_string()))?;
        self.metadata_log.snapshots.note_applied(now, bytes);
        self.committed = true;
        self.note_dirty(now, METADATA_LOG);
        self.hurry_sync(now);
        let mut grown = BTreeSet::new();
        for record in records {
            self.note_config_change(record, cause);
            let removed = match record {
                Record::RemoveTopic { id } => self.image.topic(*id).map(|t| t.name.clone()),
                _ => None,
            };
            self.image.apply(record);
            match record {
                Record::Topic { id, .. } => self.add_topic(*id),
                Record::Partition { topic, index, .. } => {
                    self.add_partition(now, *topic, *index);
                    grown.insert(*topic);
                }
                Record::RemoveTopic { id } => self.remove_topic(*id, removed, Some(cause)),
                Record::Config { resource, .. } => self.apply_settings(resource),
                Record::PartitionChange { .. }
                | Record::RegisterBroker(_)
                | Record::UnregisterBroker { .. }
                | Record::BrokerChange { .. }
                | Record::ProducerIds { .. }
                | Record::FeatureLevel { .. } => {}
            }
        }
        let added = |record: &Record| matches!(record, Record::Partition { .. });
        let added = records.iter().filter(|record| added(record)).count();
        for id in grown {
            self.note_growth(id, added, cause);
        }
        Ok(())
    }

    /// Tells of a new topic, or of one that got more partitions.
    pub(super) fn note_growth(&mut self, id: TopicId, added: usize, cause: &str) {
        let Some(topic) = self.topics.get(&id) else {
            return;
        };
        let count = |n: usize| i32::try_from(n).unwrap_or(i32::MAX);
        let (topic, to) = (topic.name.to_string(), count(topic.partitions.len()));
        let (from, cause) = (to - count(added), cause.to_owned());
        self.note(if from <= 0 {
            EventKind::TopicCreated {
                topic,
                partitions: to,
                cause,
            }
        } else {
            EventKind::PartitionsAdded {
                topic,
                from,
                to,
                cause,
            }
        });
    }

    /// Tells of a change to an existing topic's configuration, before it is applied.
    pub(super) fn note_config_change(&mut self, record: &Record, cause: &str) {
        let Record::Config {
            resource: Resource::Topic(topic),
            name,
            value,
        } = record
        else {
            return;
        };
        let Some(image) = self.image.topic_named(topic) else {
            return;
        };
        // Part of making the topic: said by TopicCreated.
        if image.partitions.is_empty() {
            return;
        }
        let effective = |overrides: &std::collections::BTreeMap<String, String>| {
            let row = crate::metadata::configs::topic_row(name)?;
            self.settings
                .topic_config(&self.image, overrides, row)
                .value
        };
        let from = effective(&image.configs).unwrap_or_default();
        let to = match value {
            Some(value) => value.clone(),
            None => effective(&Default::default()).unwrap_or_default(),
        };
        self.note(EventKind::ConfigChanged {
            topic: topic.clone(),
            key: name.clone(),
            from,
            to,
            cause: cause.to_owned(),
        });
    }

    /// Makes this broker's side of a topic, without partitions.
    pub(super) fn add_topic(&mut self, id: TopicId) {
        let Some(image) = self.image.topic(id) else {
            return;
        };
        let settings = self.settings.topic(&self.image, &image.configs);
        let topic = Topic {
            name: Arc::from(image.name.as_str()),
            id,
            log_config: self.shared_config(&image.name, &settings),
            settings,
            partitions: Vec::new(),
            shown: None,
        };
        self.topics.insert(id, topic);
        self.shown.topics = None;
    }

    fn add_partition(&mut self, now: Time, id: TopicId, index: PartitionIndex) {
        self.open_partition(now, id, index, None);
        self.take_log_notes(now, (id, index.0));
    }

    /// Opens a partition's log, or makes it where there is no `opening`, and puts the partition in its place.
    pub(super) fn open_partition(
        &mut self,
        now: Time,
        id: TopicId,
        index: PartitionIndex,
        opening: Option<Opening>,
    ) -> Option<Recovered> {
        let (partition, recovered) = self.opened_partition(now, id, index, opening)?;
        let topic = self.topics.get_mut(&id)?;
        // Partition records come in order, so this one is the next.
        topic.partitions.push(partition);
        topic.shown = None;
        self.shown.topics = None;
        self.groups.look_again();
        recovered
    }

    /// Opens or makes a partition's log.
    pub(super) fn opened_partition(
        &mut self,
        now: Time,
        id: TopicId,
        index: PartitionIndex,
        opening: Option<Opening>,
    ) -> Option<(Partition, Option<Recovered>)> {
        let image = self.image.topic(id)?.partition(index)?;
        let leader_epoch = image.leader_epoch;
        let dir = self.partition_dir(id, index)?;
        let topic = self.topics.get(&id)?;
        let name = log_key(&topic.name, index, id);
        let config = Arc::clone(&topic.log_config);
        let again = opening.as_ref().map(Opening::again);
        let (partition, recovered) = match self.open_log(now, &dir, id, &name, config, opening) {
            Ok((log, recovered)) => (Partition::new(log, leader_epoch), Some(recovered)),
            Err(error) => {
                let (path, cause) = (dir.display().to_string(), error.to_string());
                self.note(EventKind::StorageFailed {
                    path,
                    cause: cause.clone(),
                });
                (Partition::broken(cause, again, leader_epoch), None)
            }
        };
        Some((partition, recovered))
    }

    /// Tries again to open the log of a partition that has none.
    pub(super) fn reopen_partition(&mut self, now: Time, key: PartitionKey) {
        let index = PartitionIndex(key.1);
        let (Some(dir), Some(topic)) = (self.partition_dir(key.0, index), self.topics.get(&key.0))
        else {
            return;
        };
        let elsewhere = |partition: &Partition| matches!(partition.role, Role::Elsewhere);
        if topic.partition(key.1).is_none_or(elsewhere) {
            return;
        }
        let (name, config) = (topic.name.to_string(), Arc::clone(&topic.log_config));
        let opening = topic.partition(key.1).and_then(|p| p.reopening.clone());
        let key_name = log_key(&name, index, key.0);
        let opened = self.open_log(now, &dir, key.0, &key_name, config, opening);
        let clustered = self.member.is_some();
        let Some(partition) = self.partition_mut(key) else {
            return;
        };
        match opened {
            Ok((log, recovered)) => {
                *partition = Partition {
                    counters: partition.counters,
                    watchers: std::mem::take(&mut partition.watchers),
                    ..Partition::new(log, partition.leader_epoch)
                };
                if clustered {
                    partition.stand_by();
                    self.align_partition(now, key);
                }
                let path = dir.display().to_string();
                self.note(EventKind::StorageHealed { path });
                self.note_recovery(&name, key, recovered);
                self.take_log_notes(now, key);
                self.note_dirty(now, key);
                self.groups.look_again();
            }
            Err(error) => partition.trouble = Some(error.to_string()),
        }
    }

    /// Opens the log that checkpoints name so; without an `opening` it is a new one, and what else is in its directory
    /// is not its own. Nor are the records of a topic of the same name that was deleted while this broker was not there.
    fn open_log(
        &mut self,
        now: Time,
        dir: &Path,
        topic: TopicId,
        name: &str,
        config: Arc<LogConfig>,
        opening: Option<Opening>,
    ) -> Result<(Log, Recovered), StorageError> {
        let owner = owner_of(&mut *self.disk, dir)?;
        let others = owner.filter(|owner| *owner != topic);
        if opening.is_none() || others.is_some() {
            let why = match others {
                Some(id) => format!("it held another topic of that name, {id}"),
                None => "it held files although its partition is new".to_owned(),
            };
            self.set_dir_aside(dir, &why)?;
        }
        let opening = opening.filter(|_| others.is_none());
        let new = Opening::Unclean {
            recovery_point: Offset::ZERO,
        };
        let crashed = !matches!(opening, None | Some(Opening::Clean(_)));
        let opening = opening.unwrap_or(new);
        let (mut log, recovered) = Log::open(&mut *self.disk, dir, config, now, opening)?;
        log.set_owner(topic, owner == Some(topic));
        // A replica that came back begins anew, and a log may have lost what was synced.
        let end = log.recovery_point();
        self.dir.lower_recovery_point(&mut *self.disk, name, end)?;
        if crashed && self.config.durability == Durability::Batch {
            // A crash leaves bytes that were written and never synced: they are below the high watermark now.
            log.sync_now(&mut *self.disk)?;
        }
        Ok((log, recovered))
    }

    fn set_dir_aside(&mut self, dir: &Path, why: &str) -> Result<(), StorageError> {
        if let Some(aside) = set_aside(&mut *self.disk, dir)? {
            let cause = format!("{why}; set aside as {}", aside.display());
            let path = dir.display().to_string();
            self.note(EventKind::StorageFailed { path, cause });
        }
        Ok(())
    }

    /// The directory of a partition: `orders-3`.
    pub(super) fn partition_dir(&self, id: TopicId, index: PartitionIndex) -> Option<PathBuf> {
        let name = &self.image.topic(id)?.name;
        Some(self.dir.log_dir(&format!("{name}-{index}")))
    }

    /// Takes a topic away, and tells of it if there is a `cause` to tell.
    pub(super) fn remove_topic(&mut self, id: TopicId, name: Option<String>, cause: Option<&str>) {
        let (Some(topic), Some(name)) = (self.topics.remove(&id), name) else {
            return;
        };
        self.shown.topics = None;
        self.groups.look_again();
        self.groups.forget_topic(&name);
        for (index, partition) in (0..).zip(topic.partitions) {
            self.woken.extend(&partition.watchers);
            if matches!(partition.role, Role::Elsewhere) {
                continue;
            }
            drop(partition.log);
            let dir = self.dir.log_dir(&format!("{name}-{index}"));
            let removed = delete_replica(&mut *self.disk, &dir, &format!("{id}-{index}"));
            // What cannot go now goes at the next start: the metadata log says that it is deleted.
            if let Err(error) = removed {
                self.note(EventKind::StorageFailed {
                    path: format!("{name}-{index}"),
                    cause: format!("the directory of a deleted partition stays: {error}"),
                });
            }
        }
        if let Some(cause) = cause {
            self.note(EventKind::TopicDeleted {
                topic: name,
                cause: cause.to_owned(),
            });
        }
    }

    /// Puts changed configurations in force.
    pub(super) fn apply_settings(&mut self, resource: &Resource) {
        let ids: Vec<TopicId> = match resource {
            Resource::Topic(name) => self
                .image
                .topic_named(name)
                .map(|t| t.id)
                .into_iter()
                .collect(),
            Resource::Broker(_) => self.topics.keys().copied().collect(),
        };
        for id in ids {
            let Some(image) = self.image.topic(id) else {
                continue;
            };
            let settings = self.settings.topic(&self.image, &image.configs);
            let config = self.shared_config(&image.name, &settings);
            let Some(topic) = self.topics.get_mut(&id) else {
                continue;
            };
            for log in topic.partitions.iter_mut().filter_map(|p| p.log.as_mut()) {
                log.set_config(Arc::clone(&config));
            }
            topic.settings = settings;
            topic.log_config = config;
            topic.shown = None;
        }
        self.shown.topics = None;
        self.shown.broker = None;
        self.groups.look_again();
    }

    /// A log configuration for these settings, the same allocation for topics that agree.
    fn shared_config(&self, name: &str, settings: &TopicSettings) -> Arc<LogConfig> {
        if name == OFFSETS_TOPIC {
            return Arc::new(LogConfig {
                max_message_bytes: MAX_OFFSETS_BATCH_BYTES,
                ..self.log_config(settings)
            });
        }
        let agrees = |topic: &&Topic| topic.settings == *settings && *topic.name != *OFFSETS_TOPIC;
        // Most topics use the defaults, so one of the first usually agrees.
        match self.topics.values().take(16).find(agrees) {
            Some(topic) => Arc::clone(&topic.log_config),
            None => Arc::new(self.log_config(settings)),
        }
    }

    fn log_config(&self, settings: &TopicSettings) -> LogConfig {
        let expiration = self
            .settings
            .number(&self.image, "producer.id.expiration.ms");
        let unlimited = (-1, -1);
        let (retention_ms, retention_bytes) = match settings.delete {
            true => (
                settings.retention_ms.unwrap_or(-1),
                settings
                    .retention_bytes
                    .map_or(-1, |bytes| i64::try_from(bytes).unwrap_or(i64::MAX)),
            ),
            false => unlimited,
        };
        LogConfig {
            segment_bytes: settings.segment_bytes,
            segment_index_bytes: settings.segment_index_bytes,
            segment_ms: settings.segment_ms,
            index_interval_bytes: settings.index_interval_bytes,
            max_message_bytes: settings.max_message_bytes,
            timestamp_type: match settings.log_append_time {
                true => TimestampType::LogAppendTime,
                false => TimestampType::CreateTime,
            },
            retention_ms,
            retention_bytes,
            producer_expiration_ms: expiration,
            tail_budget: self.metadata_log.log().config().tail_budget.clone(),
            ..LogConfig::default()
        }
    }
}
