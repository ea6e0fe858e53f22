//! Leading and following partitions: how the rules of `replica` reach logs, peers and clients.
//!
//! Committed metadata makes a partition's role ([`Broker::align_partition`]). Whatever happens to a leader or a
//! follower marks its partition as touched; before the verb is over each touched one is looked after: proposals of
//! in-sync replicas, the next fetch, the next wakeup. A high watermark that moved wakes consumers and answers
//! producers that wait for all in-sync replicas.

use super::Broker;
use super::effect::{Effect, PeerLane};
use super::partition::{Partition, PartitionKey, Role};
use super::peers::Purpose;
use crate::ids::{BrokerEpoch, BrokerId, Offset, PartitionIndex, Time, TopicId};
use crate::inspect::{Durability, EventKind};
use crate::metadata::{Image, LeaderRecovery, PartitionImage};
use crate::plants::{Plant, planted};
use crate::replica::{Assignment, Fetcher, Follower, Leader, LeaderConfig, LogFacts, Registration};
use crate::storage::{Opening, delete_replica};

/// The version followers fetch in: by topic id, with replica state and high watermark.
const FETCH_VERSION: i16 = 18;

impl Broker {
    /// Makes a partition what the image says it is on this broker.
    pub(super) fn align_partition(&mut self, now: Time, key: PartitionKey) {
        let index = PartitionIndex(key.1);
        let image = self.image.topic(key.0).and_then(|t| t.partition(index));
        let Some(image) = image.cloned() else {
            return;
        };
        self.make_room(key, &image);
        match image.replicas.contains(&self.config.id) {
            true => self.host(now, key, &image),
            false => {
                self.forget_last_run(key);
                self.host_no_more(key, &image);
            }
        }
        self.touch(key);
        self.shown.touch(key.0);
        self.shown.topics = None;
        self.groups.look_again();
    }

    /// A log of the last run belongs to a replica that is elsewhere by now.
    fn forget_last_run(&mut self, key: PartitionKey) {
        if let (Some(topic), Some(member)) = (self.topics.get(&key.0), self.member.as_mut()) {
            let name = super::ticks::log_key(&topic.name, key.1, key.0);
            member.last_run.forget(&name);
        }
    }

    /// Every index of a topic has a place, hosted here or not.
    fn make_room(&mut self, key: PartitionKey, image: &PartitionImage) {
        let Some(topic) = self.topics.get_mut(&key.0) else {
            return;
        };
        let needed = usize::try_from(key.1).map_or(0, |index| index + 1);
        while topic.partitions.len() < needed {
            topic
                .partitions
                .push(Partition::elsewhere(image.leader_epoch));
            topic.shown = None;
        }
    }

    /// Has a partition looked after before the verb is over.
    pub(super) fn touch(&mut self, key: PartitionKey) {
        if let Some(member) = self.member.as_mut() {
            member.touched.insert(key);
        }
    }

    fn host(&mut self, now: Time, key: PartitionKey, image: &PartitionImage) {
        self.open_replica(now, key);
        self.await_first_ack(key, image);
        let config = self.leader_config(key.0);
        let me = self.config.id;
        let Some(member) = self.member.as_mut() else {
            return;
        };
        let Some(partition) = partition_of(&mut self.topics, key) else {
            return;
        };
        let before = partition.role.leader_epoch();
        let same_epoch = before == Some(image.leader_epoch);
        partition.leader_epoch = image.leader_epoch;
        let Some(log) = partition.log.as_mut() else {
            partition.role = Role::Idle;
            return;
        };
        let assignment = assignment(image);
        let leads = image.leader == Some(me);
        log.set_followed(leads && image.replicas.len() > 1);
        let mut moved = false;
        match (&mut partition.role, image.leader) {
            (Role::Leader(leader), Some(_)) if leads && same_epoch => {
                moved = leader.on_metadata(now, assignment);
                moved |= leader.on_brokers(now, |id| registration_of(&self.image, id));
            }
            (Role::Follower(_), Some(_)) if !leads && same_epoch => {}
            (_, leader) => {
                self.woken.extend(&partition.watchers);
                self.acks_due.extend(&partition.ack_waiters);
                let known = partition.high_watermark;
                partition.role = match leader {
                    Some(_) if leads => {
                        let epoch = member.registration.epoch.unwrap_or(BrokerEpoch::NONE);
                        let end = log.log_end();
                        let mut leader =
                            Leader::new(me, epoch, config, assignment, end, known, now);
                        moved = leader.on_brokers(now, |id| registration_of(&self.image, id));
                        moved |= leader.on_synced(now, log.recovery_point());
                        Role::Leader(Box::new(leader))
                    }
                    Some(leader) => {
                        let epoch = image.leader_epoch;
                        let follower = Follower::new(leader, epoch, LogFacts::from(&*log), known);
                        Role::Follower(Box::new(follower))
                    }
                    None => Role::Idle,
                };
            }
        }
        if moved {
            self.take_leaders_high_watermark(key);
        }
        self.drop_fetches_but(key);
    }

    /// Opens a replica's log unless it is open.
    fn open_replica(&mut self, now: Time, key: PartitionKey) {
        let Some(topic) = self.topics.get(&key.0) else {
            return;
        };
        let is_open = topic.partition(key.1).is_some_and(|p| p.log.is_some());
        if is_open {
            return;
        }
        let name = super::ticks::log_key(&topic.name, key.1, key.0);
        let member = self.member.as_mut();
        let opening = member.map(|m| m.last_run.opening(&name));
        let opening = opening.unwrap_or(Opening::Unclean {
            recovery_point: Offset::ZERO,
        });
        self.put_replica(now, key, Some(opening));
    }

    /// Opens a replica's log, or makes it where there is no `opening`, and puts the replica in its place.
    pub(super) fn put_replica(&mut self, now: Time, key: PartitionKey, opening: Option<Opening>) {
        let opened = self.opened_partition(now, key.0, PartitionIndex(key.1), opening);
        let Some((mut partition, recovered)) = opened else {
            return;
        };
        partition.stand_by();
        if let Some(place) = partition_of(&mut self.topics, key) {
            partition.watchers = std::mem::take(&mut place.watchers);
            *place = partition;
        }
        if let Some(recovered) = recovered {
            let name = self.topics.get(&key.0).map(|topic| topic.name.to_string());
            self.note_recovery(&name.unwrap_or_default(), key, recovered);
        }
        self.take_quiet_log_notes(now, key);
    }

    /// The replica moved to other brokers: its records go.
    fn host_no_more(&mut self, key: PartitionKey, image: &PartitionImage) {
        let Some(partition) = partition_of(&mut self.topics, key) else {
            return;
        };
        partition.leader_epoch = image.leader_epoch;
        if matches!(partition.role, Role::Elsewhere) {
            return;
        }
        let elsewhere = Partition::elsewhere(image.leader_epoch);
        let before = std::mem::replace(partition, elsewhere);
        partition.watchers.clone_from(&before.watchers);
        self.woken.extend(&before.watchers);
        self.acks_due.extend(&before.ack_waiters);
        let Some(dir) = self.partition_dir(key.0, PartitionIndex(key.1)) else {
            return;
        };
        drop(before.log);
        self.disown_syncs(key);
        let id = key.0;
        if let Err(error) = delete_replica(&mut *self.disk, &dir, &format!("{id}-{}", key.1)) {
            let path = dir.display().to_string();
            let cause = format!("the directory of a replica that moved away stays: {error}");
            self.note(EventKind::StorageFailed { path, cause });
        }
        self.drop_fetches_but(key);
    }

    /// A topic is gone: nobody is asked for its partitions any more.
    pub(super) fn forget_replicas(&mut self, id: TopicId) {
        if let Some(member) = self.member.as_mut() {
            member.last_run.forget(&format!("@{id}"));
        }
        let Some(topic) = self.topics.get(&id) else {
            return;
        };
        let Some(member) = self.member.as_mut() else {
            return;
        };
        for (index, partition) in (0..).zip(&topic.partitions) {
            for fetcher in member.fetchers.values_mut() {
                fetcher.remove((id, PartitionIndex(index)));
            }
            member.wakeups.set((id, index), None);
            member.touched.remove(&(id, index));
            member.lost.remove(&(id, index));
            member.renewed.remove(&(id, index));
            self.acks_due.extend(&partition.ack_waiters);
        }
    }

    /// Only the leader a partition follows is asked for it.
    fn drop_fetches_but(&mut self, key: PartitionKey) {
        let leader = match partition_of(&mut self.topics, key).map(|p| &p.role) {
            Some(Role::Follower(follower)) => Some(follower.leader()),
            _ => None,
        };
        let Some(member) = self.member.as_mut() else {
            return;
        };
        for (id, fetcher) in &mut member.fetchers {
            if Some(*id) != leader {
                fetcher.remove((key.0, PartitionIndex(key.1)));
            }
        }
    }

    fn leader_config(&self, id: TopicId) -> LeaderConfig {
        let topic = self.image.topic(id);
        LeaderConfig {
            lag_time_max_ms: self.settings.number(&self.image, "replica.lag.time.max.ms"),
            min_insync: topic.map_or(1, |topic| {
                self.settings.min_insync_replicas(&self.image, topic)
            }),
            waits_for_sync: self.config.durability == Durability::Batch
                && !planted(Plant::AcksUnsynced),
        }
    }

    /// Registrations changed: leaders judge their followers by them.
    pub(super) fn tell_leaders_of_brokers(&mut self, now: Time) {
        let mut moved = Vec::new();
        for (id, topic) in &mut self.topics {
            for (index, partition) in (0..).zip(&mut topic.partitions) {
                if let Role::Leader(leader) = &mut partition.role {
                    if leader.on_brokers(now, |broker| registration_of(&self.image, broker)) {
                        moved.push((*id, index));
                    }
                    if let Some(member) = self.member.as_mut() {
                        member.touched.insert((*id, index));
                    }
                    self.shown.touch(*id);
                }
            }
        }
        for key in moved {
            self.take_leaders_high_watermark(key);
        }
    }

    /// Puts `min.insync.replicas` in force after configurations changed.
    pub(super) fn apply_min_insync(&mut self, now: Time) {
        let mut moved = Vec::new();
        for (id, topic) in &mut self.topics {
            let Some(image) = self.image.topic(*id) else {
                continue;
            };
            let min_insync = self.settings.min_insync_replicas(&self.image, image);
            for (index, partition) in (0..).zip(&mut topic.partitions) {
                if let Role::Leader(leader) = &mut partition.role
                    && leader.set_min_insync(now, min_insync)
                {
                    moved.push((*id, index));
                }
            }
        }
        for key in moved {
            self.take_leaders_high_watermark(key);
        }
    }

    /// The leader's high watermark moved: consumers read on, producers are answered.
    pub(super) fn take_leaders_high_watermark(&mut self, key: PartitionKey) {
        let Some(partition) = partition_of(&mut self.topics, key) else {
            return;
        };
        if let Role::Leader(leader) = &partition.role {
            partition.high_watermark = leader.high_watermark();
            if let Some(log) = &mut partition.log {
                log.on_replicated(partition.high_watermark);
            }
        }
        self.acks_due.extend(&partition.ack_waiters);
        let bytes = std::mem::take(&mut partition.held_back_bytes);
        self.shown.touch(key.0);
        self.note_readable(key, bytes);
    }

    /// Looks after what was touched and what is due. Call at the end of every verb.
    pub(super) fn drive_replicas(&mut self, now: Time) {
        let Some(member) = self.member.as_mut() else {
            return;
        };
        let mut keys = std::mem::take(&mut member.touched);
        keys.extend(member.wakeups.due(now));
        for key in keys {
            self.look_after(now, key);
        }
        self.drive_fetchers(now);
    }

    fn look_after(&mut self, now: Time, key: PartitionKey) {
        let sound = self.look_after_soundness(now, key);
        let Some(member) = self.member.as_mut() else {
            return;
        };
        let Some(partition) = partition_of(&mut self.topics, key) else {
            return;
        };
        let syncs_first = self.config.durability == Durability::Batch;
        let mut moved = false;
        match (&mut partition.role, &partition.log) {
            (Role::Leader(leader), _) => {
                moved = leader.on_tick(now);
                if let Some(proposal) = leader.wanted_isr(now) {
                    let leaving = proposal.leaves.iter();
                    let leaving = leaving.map(|(id, why)| ((key, *id), *why));
                    member.leaving.extend(leaving);
                    member.proposals.push((key, proposal));
                    self.shown.touch(key.0);
                }
                member.wakeups.set(key, leader.next_wakeup(now));
            }
            (Role::Follower(follower), Some(log)) => {
                let id = follower.leader();
                let fetcher = member
                    .fetchers
                    .entry(id)
                    .or_insert_with(|| Fetcher::new(id));
                let name = (key.0, PartitionIndex(key.1));
                // With group commit a fetch offset is this replica's word that everything below is synced.
                let vouches = !syncs_first || log.recovery_point() >= log.log_end();
                let ask = follower.ask(now, LogFacts::from(log));
                let ask = ask.filter(|_| vouches && sound);
                match ask {
                    Some(ask) => fetcher.put(name, ask),
                    None => fetcher.remove(name),
                }
                let later = ask.is_none().then(|| follower.next_wakeup()).flatten();
                // A moment that is past is a wait for a sync by now: its end is told.
                member.wakeups.set(key, later.filter(|at| *at > now));
            }
            _ => member.wakeups.set(key, None),
        }
        if moved {
            self.take_leaders_high_watermark(key);
        }
    }

    /// Sends each leader the next fetch.
    fn drive_fetchers(&mut self, now: Time) {
        let me = self.config.id;
        let Some(member) = self.member.as_mut() else {
            return;
        };
        let Some(epoch) = member.registration.epoch else {
            return;
        };
        let mut requests = Vec::new();
        for (to, fetcher) in &mut member.fetchers {
            let (to, lane) = (*to, PeerLane::Replica);
            if fetcher.holds_up_news() {
                fetcher.abandon();
                member.peers.forget(to, lane);
                self.effects.push(Effect::Hangup { to, lane });
            }
            if let Some(request) = fetcher.request(now, me, epoch, member.fetch_limits) {
                requests.push((to, request));
            }
        }
        for (to, request) in requests {
            self.ask(now, to, FETCH_VERSION, Purpose::Replicate, |writer| {
                request.encode(writer, FETCH_VERSION)
            });
        }
    }

    /// When a leader, a follower or a fetcher wants to be looked after.
    pub(super) fn replicas_wakeup(&self) -> Option<Time> {
        let member = self.member.as_ref()?;
        let able = member.registration.epoch.is_some();
        let fetchers = member.fetchers.values().filter(|_| able);
        let fetchers = fetchers.filter(|fetcher| fetcher.asked_at().is_none());
        let fetchers = fetchers.filter_map(Fetcher::next_wakeup);
        fetchers.chain(member.wakeups.next()).min()
    }
}

/// A partition, to be changed, while other parts of the broker are in use.
pub(super) fn partition_of(
    topics: &mut std::collections::BTreeMap<TopicId, super::partition::Topic>,
    key: PartitionKey,
) -> Option<&mut Partition> {
    topics.get_mut(&key.0)?.partition_mut(key.1)
}

fn assignment(image: &PartitionImage) -> Assignment<'_> {
    Assignment {
        leader_epoch: image.leader_epoch,
        partition_epoch: image.partition_epoch,
        replicas: &image.replicas,
        isr: &image.isr,
        recovering: image.recovery == LeaderRecovery::Recovering,
    }
}

fn registration_of(image: &Image, id: BrokerId) -> Option<Registration> {
    let broker = image.broker(id)?;
    Some(Registration {
        broker_epoch: broker.epoch,
        fenced: broker.fenced,
        in_controlled_shutdown: broker.in_controlled_shutdown,
    })
}
