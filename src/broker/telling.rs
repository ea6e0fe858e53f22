//! Which events committed metadata makes, each with its cause.
//!
//! An event is told once in the cluster. What the controller decided, it tells when it applies it, with the cause it
//! decided for; what a controller before it decided is not told, because its cause went with it. A change of the
//! in-sync replicas is told by the partition's leader, who knows how far its followers were. Nobody tells of what
//! was decided before its own registration: that is history being read again.

use std::collections::BTreeSet;

use super::Broker;
use super::partition::PartitionKey;
use crate::ids::{BrokerId, Offset, Time};
use crate::inspect::EventKind;
use crate::metadata::{BrokerImage, LeaderRecovery, PartitionChange, PartitionImage, Record};
use crate::replica::Leaving;

/// Partitions one step of applied metadata tells of one by one.
const PARTITIONS_TOLD: u64 = 256;

/// What one step of applied metadata has told.
#[derive(Debug, Default)]
pub(super) struct Telling {
    told: u64,
    untold: u64,
    /// Of the first that went untold.
    cause: String,
}

impl Telling {
    /// Whether another event about a partition may be told.
    fn admits(&mut self, cause: &str) -> bool {
        if self.told < PARTITIONS_TOLD {
            self.told += 1;
            return true;
        }
        if self.untold == 0 {
            cause.clone_into(&mut self.cause);
        }
        self.untold += 1;
        false
    }
}

impl Broker {
    /// Tells of a record that is about to be applied. `cause` is there if this controller decided it.
    pub(super) fn tell_record(
        &mut self,
        now: Time,
        offset: Offset,
        record: &Record,
        cause: Option<&str>,
        telling: &mut Telling,
    ) {
        if let Record::PartitionChange {
            topic,
            index,
            change,
        } = record
        {
            self.tell_partition_change(now, offset, (*topic, index.0), change, cause, telling);
        } else if let Some(cause) = cause {
            self.tell_broker_record(record, cause);
        }
    }

    /// Says how much went untold.
    pub(super) fn end_telling(&mut self, telling: Telling) {
        let Telling { untold, cause, .. } = telling;
        if untold > 0 {
            let count = untold;
            self.note(EventKind::MorePartitionsChanged { count, cause });
        }
    }

    fn tell_broker_record(&mut self, record: &Record, cause: &str) {
        let cause = cause.to_owned();
        match record {
            Record::RegisterBroker(broker) => self.tell_registration(broker),
            Record::UnregisterBroker { id, .. } => {
                self.note(EventKind::BrokerUnregistered {
                    subject: *id,
                    cause,
                });
            }
            Record::BrokerChange {
                id,
                fenced,
                in_controlled_shutdown,
                ..
            } => {
                let Some(before) = self.image.broker(*id) else {
                    return;
                };
                let (subject, was_fenced, was_stopping) =
                    (*id, before.fenced, before.in_controlled_shutdown);
                if *in_controlled_shutdown && !was_stopping {
                    let cause = cause.clone();
                    self.note(EventKind::ShutdownBegan { subject, cause });
                }
                match fenced {
                    Some(true) if !was_fenced => {
                        self.note(EventKind::BrokerFenced { subject, cause });
                    }
                    Some(false) if was_fenced => {
                        self.note(EventKind::BrokerUnfenced { subject, cause });
                    }
                    _ => {}
                }
            }
            _ => {}
        }
    }

    fn tell_registration(&mut self, broker: &BrokerImage) {
        let before = self.image.broker(broker.id).map(|before| before.epoch);
        let cause = match before {
            Some(epoch) if epoch == broker.epoch => return,
            Some(_) => "it has started again",
            None => "it is new in the cluster",
        };
        self.note(EventKind::BrokerRegistered {
            subject: broker.id,
            epoch: broker.epoch,
            cause: cause.to_owned(),
        });
    }

    fn tell_partition_change(
        &mut self,
        now: Time,
        offset: Offset,
        key: PartitionKey,
        change: &PartitionChange,
        cause: Option<&str>,
        telling: &mut Telling,
    ) {
        let index = crate::ids::PartitionIndex(key.1);
        let Some(topic) = self.image.topic(key.0) else {
            return;
        };
        let Some(before) = topic.partition(index).cloned() else {
            return;
        };
        let after = before.changed_by(change);
        if let Some(cause) = cause {
            let place = (topic.name.clone(), index);
            for kind in decided(place, &before, &after, change, cause) {
                if telling.admits(cause) {
                    self.note(kind);
                }
            }
        }
        if self.tells_isr(offset, &after) {
            self.tell_isr(now, key, &before, &after, telling);
        }
    }

    /// Whether this broker is the one that tells what became of the in-sync replicas.
    fn tells_isr(&self, offset: Offset, after: &PartitionImage) -> bool {
        let registered = self.member.as_ref().and_then(|m| m.registration.epoch);
        // A broker epoch is the offset of the registration.
        let is_news = registered.is_some_and(|epoch| offset.0 > epoch.0);
        is_news && after.leader == Some(self.config.id)
    }

    fn tell_isr(
        &mut self,
        now: Time,
        key: PartitionKey,
        before: &PartitionImage,
        after: &PartitionImage,
        telling: &mut Telling,
    ) {
        let was: BTreeSet<BrokerId> = before.isr.iter().copied().collect();
        let is: BTreeSet<BrokerId> = after.isr.iter().copied().collect();
        if was == is {
            return;
        }
        let left = was.difference(&is);
        let left = left.map(|id| self.why_left(now, key, *id, after));
        let joined = is.difference(&was);
        let joined = joined.map(|id| match Some(*id) == after.leader {
            true => format!("broker {id} leads"),
            false => format!("broker {id} has caught up"),
        });
        let cause = left.chain(joined).collect::<Vec<_>>().join(", ");
        if let Some(member) = self.member.as_mut() {
            member.leaving.retain(|(of, _), _| *of != key);
        }
        let topic = self.image.topic(key.0).map(|topic| topic.name.clone());
        if let Some(topic) = topic
            && telling.admits(&cause)
        {
            self.note(EventKind::IsrChanged {
                topic,
                partition: crate::ids::PartitionIndex(key.1),
                from: was.into_iter().collect(),
                to: is.into_iter().collect(),
                cause,
            });
        }
    }

    /// Why a replica is in sync no longer. The image already has what was decided about its broker.
    fn why_left(
        &self,
        now: Time,
        key: PartitionKey,
        id: BrokerId,
        after: &PartitionImage,
    ) -> String {
        let leaving = self.member.as_ref().and_then(|m| m.leaving.get(&(key, id)));
        match (self.image.broker(id), leaving) {
            (None, _) => format!("broker {id} is not registered any more"),
            (Some(broker), _) if broker.fenced => format!("broker {id} is fenced"),
            (Some(broker), _) if broker.in_controlled_shutdown => format!("broker {id} stops"),
            _ if !after.replicas.contains(&id) => {
                format!("broker {id} is no replica any more")
            }
            (_, Some(Leaving::Behind { caught_up })) => match caught_up {
                Some(at) => {
                    let behind_ms = now.since_us(*at) / 1_000;
                    let limit = self.settings.number(&self.image, "replica.lag.time.max.ms");
                    format!(
                        "broker {id} had not everything for {behind_ms} ms, more than replica.lag.time.max.ms = {limit}"
                    )
                }
                None => format!("broker {id} never had everything"),
            },
            (_, Some(Leaving::LostRecords { log_end, .. })) => {
                format!("broker {id} has lost records and ends at {log_end} now")
            }
            (_, None) => "the controller decided so".to_owned(),
        }
    }
}

/// What the controller tells of a change to one partition.
fn decided(
    (topic, partition): (String, crate::ids::PartitionIndex),
    before: &PartitionImage,
    after: &PartitionImage,
    change: &PartitionChange,
    cause: &str,
) -> Vec<EventKind> {
    let mut told = Vec::new();
    let unclean = change.recovery == Some(LeaderRecovery::Recovering);
    if after.leader != before.leader || unclean {
        told.push(EventKind::LeaderElected {
            topic: topic.clone(),
            partition,
            from: before.leader,
            to: after.leader,
            epoch: after.leader_epoch,
            unclean,
            cause: cause.to_owned(),
        });
    }
    match (before.is_moving(), after.is_moving()) {
        (false, true) => told.push(EventKind::ReassignmentBegan {
            topic,
            partition,
            adding: after.adding.clone(),
            removing: after.removing.clone(),
            cause: cause.to_owned(),
        }),
        (true, false) => told.push(EventKind::ReassignmentEnded {
            topic,
            partition,
            replicas: after.replicas.clone(),
            cause: cause.to_owned(),
        }),
        _ => {}
    }
    told
}
