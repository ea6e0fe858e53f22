//! Replicas whose copy of the records is not to be relied on: damaged below what was synced, or a sync failed.
//!
//! The broker asks the controller to be counted out (AssignReplicasToDirs with the lost directory), and fetches
//! nothing for the partition meanwhile. Once the metadata shows it out of ISR and ELR in a leader epoch that began
//! since, with another leader, no leader counts what it fetched before. Then a damaged copy is set aside and fetched
//! again as a whole; after a failed sync the log is cut to what was synced before, because a system may show pages as
//! written that it has dropped, and the rest is fetched again. Where nobody else is in sync the controller lets it be:
//! the copy leads on, answers CORRUPT_MESSAGE where it is damaged and serves the rest.

use super::Broker;
use super::commit::NotDone;
use super::partition::{PartitionKey, Role};
use super::peers::Purpose;
use super::replicas::partition_of;
use super::ticks::log_key;
use crate::ids::{BrokerId, LeaderEpoch, PartitionIndex, Time, TopicId};
use crate::inspect::EventKind;
use crate::metadata::decide;
use crate::plants::{Plant, planted};
use crate::storage::{Log, Opening, Unsound, set_damaged_aside};
use crate::wire::messages::assign_replicas_to_dirs::{
    AssignReplicasToDirsRequest, DirectoryData, PartitionData, TopicData,
};

/// The id that stands for a log directory that is lost, by Kafka's convention.
pub(super) const LOST_DIRECTORY: TopicId =
    TopicId([0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1]);
const VERSION: i16 = 0;
/// Milliseconds before the controller is asked again: at first, and at most.
const RETRY_MS: (i64, i64) = (500, 10_000);
/// Milliseconds between giving up the same replica twice: a disk that stays broken must not cost the others a leader
/// epoch a second.
const PAUSE_MS: i64 = 10_000;
/// Replicas told of in one request.
const MOST_AT_ONCE: usize = 1_000;

/// A replica that is not to be relied on.
#[derive(Debug)]
pub(super) struct Lost {
    /// The leader epoch it was found in, once metadata knows this incarnation: in later epochs nothing was fetched for
    /// it, by this incarnation or the one before.
    found_in: Option<LeaderEpoch>,
    /// The controller is to count it out from this moment on.
    due: Time,
    /// Somebody else could take over.
    others: bool,
    /// The controller was asked and has not answered.
    asked: bool,
    /// The pause before it is asked once more, milliseconds.
    wait_ms: i64,
}

impl Broker {
    /// A log turned out not to be sound, or might.
    pub(super) fn suspect(&mut self, now: Time, key: PartitionKey) {
        let partition = partition_of(&mut self.topics, key);
        let log = partition.and_then(|partition| partition.log.as_ref());
        let Some(member) = self.member.as_mut() else {
            return;
        };
        if log.and_then(|log| log.unsound()).is_none() || planted(Plant::KeepsDamaged) {
            return;
        }
        let before = member.renewed.get(&key);
        let due = before.map_or(now, |at| now.max(at.plus_ms(PAUSE_MS)));
        member.lost.entry(key).or_insert(Lost {
            found_in: None,
            due,
            others: false,
            asked: false,
            wait_ms: RETRY_MS.0,
        });
        member.touched.insert(key);
    }

    /// Metadata may know this incarnation by now.
    pub(super) fn touch_lost(&mut self) {
        if let Some(member) = self.member.as_mut() {
            member.touched.extend(member.lost.keys());
        }
    }

    /// Goes on with a replica that is not sound, if this one is not. Whether it may be fetched for.
    pub(super) fn look_after_soundness(&mut self, now: Time, key: PartitionKey) -> bool {
        let me = self.config.id;
        let Some(member) = self.member.as_mut() else {
            return true;
        };
        let Some(lost) = member.lost.get_mut(&key) else {
            return true;
        };
        let log = partition_of(&mut self.topics, key).and_then(|p| p.log.as_ref());
        if log.and_then(|log| log.unsound()).is_none() {
            // Its records moved away, or what was damaged is deleted by now.
            member.lost.remove(&key);
            return true;
        }
        let image = self.image.topic(key.0);
        let Some(image) = image.and_then(|t| t.partition(PartitionIndex(key.1))) else {
            return false;
        };
        let known = self.image.broker(me).map(|broker| broker.epoch);
        if known.is_none() || known != member.registration.epoch {
            return false;
        }
        let found_in = *lost.found_in.get_or_insert(image.leader_epoch);
        lost.others = image.isr.iter().any(|member| *member != me);
        let counted = image.isr.contains(&me) || image.elr.contains(&me);
        let given_up = !counted && image.leader_epoch > found_in;
        let led = image.leader.is_some_and(|leader| leader != me);
        if led && given_up {
            self.renew(now, key);
            return true;
        }
        false
    }

    /// Gives a replica up that nobody counts, and begins it anew.
    fn renew(&mut self, now: Time, key: PartitionKey) {
        let index = PartitionIndex(key.1);
        let Some(dir) = self.partition_dir(key.0, index) else {
            return;
        };
        let Some(partition) = partition_of(&mut self.topics, key) else {
            return;
        };
        let Some(log) = partition.log.take() else {
            return;
        };
        partition.role = Role::Idle;
        if let Some(member) = self.member.as_mut() {
            member.lost.remove(&key);
            member.renewed.insert(key, now);
        }
        self.disown_syncs(key);
        let cause = log.trouble().unwrap_or_default();
        let kept = match log.unsound() {
            Some(Unsound::SyncFailed) => self.keep_synced(key, &log),
            _ => None,
        };
        drop(log);
        let name = format!("{}-{index}", key.0);
        let aside = match kept {
            Some(_) => Ok(None),
            None => set_damaged_aside(&mut *self.disk, &dir, &name),
        };
        match aside {
            Ok(aside) => {
                let topic = self.topics.get(&key.0).map(|topic| topic.name.to_string());
                self.note(EventKind::ReplicaRenewed {
                    topic: topic.unwrap_or_default(),
                    partition: index,
                    aside: aside.map(|path| path.display().to_string()),
                    cause,
                });
            }
            Err(error) => {
                let (path, cause) = (dir.display().to_string(), error.to_string());
                self.note(EventKind::StorageFailed { path, cause });
            }
        }
        // What could not be moved is set aside here, or tried again later.
        self.put_replica(now, key, kept);
        self.align_partition(now, key);
    }

    /// How to open a log again of which a sync failed; `None` where no checkpoint can be kept from promising more.
    fn keep_synced(&mut self, key: PartitionKey, log: &Log) -> Option<Opening> {
        let recovery_point = log.recovery_point();
        let name = log_key(&self.topics.get(&key.0)?.name, key.1, key.0);
        let end = log.whole_segments_end(recovery_point);
        let lowered = self.dir.lower_recovery_point(&mut *self.disk, &name, end);
        lowered.ok()?;
        Some(Opening::SyncFailed { recovery_point })
    }

    /// Tells the controller of lost replicas. The lane is free.
    pub(super) fn send_lost_replicas(&mut self, now: Time, controller: BrokerId) {
        let Some(member) = self.member.as_mut() else {
            return;
        };
        let Some(epoch) = member.registration.epoch else {
            return;
        };
        let due = member.lost.iter_mut();
        let due = due.filter(|(_, lost)| lost.wants_out() && lost.due <= now);
        let keys: Vec<PartitionKey> = due
            .take(MOST_AT_ONCE)
            .map(|(key, lost)| {
                lost.asked = true;
                *key
            })
            .collect();
        if keys.is_empty() {
            return;
        }
        let me = self.config.id;
        if controller == me {
            for (topic, index) in keys.iter().copied() {
                // What becomes of it the metadata will say; what does not is asked again.
                let _ = self.decide_lost(now, me, (topic, PartitionIndex(index)));
                self.committed = false;
            }
            return self.on_lost_told(now, &keys);
        }
        let request = AssignReplicasToDirsRequest {
            broker_id: me.0,
            broker_epoch: epoch.0,
            directories: vec![DirectoryData {
                id: LOST_DIRECTORY,
                topics: by_topic(&keys),
            }],
        };
        self.ask(now, controller, VERSION, Purpose::Lost(keys), |writer| {
            request.encode(writer, VERSION)
        });
    }

    /// The controller has answered, or never will: what becomes of it the metadata says.
    pub(super) fn on_lost_told(&mut self, now: Time, keys: &[PartitionKey]) {
        let Some(member) = self.member.as_mut() else {
            return;
        };
        for key in keys {
            if let Some(lost) = member.lost.get_mut(key) {
                lost.asked = false;
                lost.due = now.plus_ms(lost.wait_ms);
                lost.wait_ms = RETRY_MS.1.min(2 * lost.wait_ms);
            }
        }
    }

    /// When the controller is to be told of lost replicas.
    pub(super) fn lost_replicas_due(&self) -> Option<Time> {
        let member = self.member.as_ref()?;
        member.registration.epoch?;
        let lost = member.lost.values().filter(|lost| lost.wants_out());
        lost.map(|lost| lost.due).min()
    }

    /// Decides as the controller what follows from a replica that its broker has lost.
    pub(super) fn decide_lost(
        &mut self,
        now: Time,
        broker: BrokerId,
        (topic, index): (TopicId, PartitionIndex),
    ) -> Result<(), NotDone> {
        let records = decide::lose_replica(self.facts(), broker, topic, index)?;
        if records.is_empty() {
            return Ok(());
        }
        let cause = format!("the copy on broker {broker} is damaged");
        self.decide(now, &records, &cause)
    }
}

impl Lost {
    /// Whether the controller is to be asked once it is due.
    fn wants_out(&self) -> bool {
        self.others && !self.asked && self.found_in.is_some()
    }
}

fn by_topic(keys: &[PartitionKey]) -> Vec<TopicData> {
    let mut topics: Vec<TopicData> = Vec::new();
    for (topic_id, partition_index) in keys.iter().copied() {
        if topics.last().is_none_or(|topic| topic.topic_id != topic_id) {
            let partitions = Vec::new();
            topics.push(TopicData {
                topic_id,
                partitions,
            });
        }
        let topic = topics.last_mut().expect("there is one by now");
        topic.partitions.push(PartitionData { partition_index });
    }
    topics
}
