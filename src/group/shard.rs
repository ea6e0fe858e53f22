//! All groups of one partition of `__consumer_offsets`, and the verbs on them.

use std::collections::BTreeMap;

use super::Refusal;
use super::alarms::{Alarm, Alarms};
use super::assignor::Assignor;
use super::classic::{ClassicGroup, Scope};
use super::classic_join::Offer;
use super::classic_leave::Leaver;
use super::consumer::ConsumerMember;
use super::kind::{Group, GroupKind};
use super::record::Record;
use super::turn::{Caller, Reply, Turn};
use crate::ids::Time;
use crate::metadata::Image;
use crate::wire::messages::heartbeat::HeartbeatRequest;
use crate::wire::messages::join_group::JoinGroupRequest;
use crate::wire::messages::sync_group::SyncGroupRequest;

/// Groups one shard keeps; nobody founds more.
pub(super) const MAX_GROUPS: usize = 20_000;

/// The settings a coordinator works by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GroupConfig {
    pub initial_rebalance_delay_ms: i32,
    pub min_session_timeout_ms: i32,
    pub max_session_timeout_ms: i32,
    /// Members of one group.
    pub max_size: usize,
    pub offset_metadata_max_bytes: usize,
    pub offsets_retention_ms: i64,
    pub offsets_retention_check_ms: i64,
    pub consumer_session_timeout_ms: i32,
    pub consumer_heartbeat_interval_ms: i32,
    /// Members of one group of the new protocol.
    pub consumer_max_size: usize,
    /// Those its members may choose from; the first if none chooses.
    pub assignors: Vec<Assignor>,
    pub migration: MigrationPolicy,
}

/// Whether a group with members in it may go over from one protocol to the other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MigrationPolicy {
    Disabled,
    /// To the new one, when a member of it joins.
    Upgrade,
    /// To the classic one, when the last member of the new one is gone.
    Downgrade,
    Bidirectional,
}

impl MigrationPolicy {
    /// By the value of `group.consumer.migration.policy`.
    pub fn named(name: &str) -> Option<MigrationPolicy> {
        Some(match name {
            "disabled" => MigrationPolicy::Disabled,
            "upgrade" => MigrationPolicy::Upgrade,
            "downgrade" => MigrationPolicy::Downgrade,
            "bidirectional" => MigrationPolicy::Bidirectional,
            _ => return None,
        })
    }

    pub(super) fn upgrades(self) -> bool {
        matches!(
            self,
            MigrationPolicy::Upgrade | MigrationPolicy::Bidirectional
        )
    }

    pub(super) fn downgrades(self) -> bool {
        matches!(
            self,
            MigrationPolicy::Downgrade | MigrationPolicy::Bidirectional
        )
    }
}

impl GroupConfig {
    /// Milliseconds after which a member of a group of the new protocol is out if it is not heard. One that speaks
    /// the classic protocol has said so itself.
    pub(super) fn session_timeout_ms(&self, member: &ConsumerMember) -> i32 {
        match &member.about.classic {
            Some(classic) => classic.session_timeout_ms,
            None => self.consumer_session_timeout_ms,
        }
    }
}

/// All groups of one partition of `__consumer_offsets`.
#[derive(Debug)]
pub struct Shard {
    pub(super) config: GroupConfig,
    pub(super) groups: BTreeMap<String, Group>,
    pub(super) alarms: Alarms,
    /// When offsets are next looked through for old ones; `None` until it coordinates.
    expiry: Option<Time>,
    /// Grows with every change of a group.
    changed: u64,
    /// Grows with every change of topics. Groups that have not looked at them yet have seen 0.
    pub(super) topics_version: u64,
}

impl Shard {
    /// Nobody is known yet: the partition's records are to be applied, in order, then [`Shard::begin`] called.
    pub fn new(config: GroupConfig) -> Shard {
        Shard {
            config,
            groups: BTreeMap::new(),
            alarms: Alarms::default(),
            expiry: None,
            changed: 0,
            topics_version: 1,
        }
    }

    /// Puts settings in force.
    pub fn set_config(&mut self, config: GroupConfig) {
        self.config = config;
    }

    /// Takes over what was written.
    pub fn apply(&mut self, record: &Record) {
        self.changed += 1;
        let name = record.group();
        let group = self.groups.entry(name.to_owned()).or_default();
        group.changed = self.changed;
        match record {
            Record::Offset {
                topic,
                partition,
                committed,
                ..
            } => group.offsets.put(topic, *partition, committed.clone()),
            Record::Classic { state, .. } => group.apply_classic(state.as_ref()),
            Record::Consumer { part, .. } => group.apply_consumer(part),
        }
        if group.is_bare() {
            self.groups.remove(name);
        }
    }

    /// Begins to coordinate: everything written is applied.
    pub fn begin(&mut self, now: Time) {
        self.changed += 1;
        let mut turn = Turn::default();
        let mut consumers = Vec::new();
        for (name, group) in &mut self.groups {
            let classic = match &mut group.kind {
                GroupKind::Classic(classic) => classic,
                GroupKind::Consumer(_) => {
                    consumers.push(name.clone());
                    continue;
                }
            };
            let mut scope = Scope {
                now,
                name,
                config: &self.config,
                alarms: &mut self.alarms,
                turn: &mut turn,
            };
            classic.resume(&mut scope);
        }
        for name in consumers {
            self.resume_consumer(now, &name);
        }
        self.expiry = Some(now.plus_ms(self.config.offsets_retention_check_ms));
    }

    /// Its groups, by name.
    pub fn groups(&self) -> &BTreeMap<String, Group> {
        &self.groups
    }

    /// When to call [`Shard::on_tick`] next.
    pub fn next_wakeup(&self) -> Option<Time> {
        [self.alarms.next(), self.expiry]
            .into_iter()
            .flatten()
            .min()
    }

    /// Does what is due, with the topics there are.
    pub fn on_tick(&mut self, now: Time, topics: &Image) -> Turn {
        let mut turn = Turn::default();
        while let Some((name, alarm)) = self.alarms.take_due(now) {
            turn.end_decision();
            if self.consumer(&name).is_some() {
                self.on_consumer_alarm(&mut turn, now, topics, &name, alarm);
                continue;
            }
            self.on_classic(now, &name, &mut turn, |classic, scope| match alarm {
                Alarm::Session(id) => classic.on_session_alarm(scope, &id),
                Alarm::Pending(id) => classic.on_pending_alarm(scope, &id),
                Alarm::Rebalance => classic.on_rebalance_alarm(scope),
                // Of the group of the new protocol it was.
                Alarm::Step(_) => {}
            });
        }
        if self.expiry.is_some_and(|at| at <= now) {
            self.expiry = Some(now.plus_ms(self.config.offsets_retention_check_ms.max(1)));
            let expired = self.expire_offsets(now);
            turn.end_decision();
            turn.records.extend(expired.records);
        }
        turn
    }

    /// Carries something out on a classic group; `None` if there is none of that name.
    pub(super) fn on_classic<T>(
        &mut self,
        now: Time,
        name: &str,
        turn: &mut Turn,
        verb: impl FnOnce(&mut ClassicGroup, &mut Scope) -> T,
    ) -> Option<T> {
        let group = self.groups.get_mut(name)?;
        let GroupKind::Classic(classic) = &mut group.kind else {
            return None;
        };
        self.changed += 1;
        group.changed = self.changed;
        let mut scope = Scope {
            now,
            name,
            config: &self.config,
            alarms: &mut self.alarms,
            turn,
        };
        let done = verb(classic, &mut scope);
        if group.is_bare() {
            self.groups.remove(name);
        }
        Some(done)
    }

    /// JoinGroup in this version.
    pub fn join(&mut self, caller: &Caller, request: &JoinGroupRequest, version: i16) -> Turn {
        let mut turn = Turn::default();
        let joined = self.try_join(&mut turn, caller, request, version);
        if let Err((refusal, id)) = joined {
            turn.reply(caller.connection, Reply::NotJoined(refusal, id));
        }
        turn
    }

    fn try_join(
        &mut self,
        turn: &mut Turn,
        caller: &Caller,
        request: &JoinGroupRequest,
        version: i16,
    ) -> Result<(), (Refusal, String)> {
        let (name, id) = (&request.group_id, &request.member_id);
        let refuse = |refusal| Err((refusal, id.clone()));
        if name.is_empty() {
            return refuse(Refusal::InvalidGroupId);
        }
        let sessions = self.config.min_session_timeout_ms..=self.config.max_session_timeout_ms;
        if !sessions.contains(&request.session_timeout_ms) {
            return refuse(Refusal::InvalidSessionTimeout);
        }
        let offer = Offer::new(caller, request, version);
        if let Some(consumer) = self.consumer(name) {
            if !consumer.members().is_empty() {
                return self.join_consumer(turn, caller, &offer);
            }
            if !id.is_empty() {
                return refuse(Refusal::UnknownMember);
            }
            self.empty_to_classic(turn, caller.now, name);
        }
        if !self.groups.contains_key(name) {
            if !id.is_empty() {
                return refuse(Refusal::UnknownMember);
            }
            if self.groups.len() >= MAX_GROUPS {
                return refuse(Refusal::NotAvailable);
            }
            self.groups.insert(name.clone(), Group::default());
        }
        let joined = self.on_classic(caller.now, name, turn, |classic, scope| {
            classic.join(scope, &offer)
        });
        joined.expect("the group was put there")
    }

    /// SyncGroup.
    pub fn sync(&mut self, caller: &Caller, request: &SyncGroupRequest) -> Turn {
        let mut turn = Turn::default();
        if self.consumer(&request.group_id).is_some() {
            let synced = self.sync_consumer(caller, request);
            turn.reply(caller.connection, Reply::Synced(synced));
            return turn;
        }
        let synced = self.on_classic(caller.now, &request.group_id, &mut turn, |group, scope| {
            group.sync(scope, caller, request)
        });
        if let Err(refusal) = synced.unwrap_or(Err(Refusal::UnknownMember)) {
            turn.reply(caller.connection, Reply::Synced(Err(refusal)));
        }
        turn
    }

    /// Heartbeat.
    pub fn heartbeat(&mut self, caller: &Caller, request: &HeartbeatRequest) -> Turn {
        let mut turn = Turn::default();
        let group = self.groups.get_mut(&request.group_id);
        let heard = match group.map(|group| &mut group.kind) {
            Some(GroupKind::Classic(classic)) => classic.heartbeat(caller.now, request),
            Some(GroupKind::Consumer(_)) => self.heartbeat_consumer(caller, request),
            None => Err(Refusal::UnknownMember),
        };
        turn.reply(caller.connection, Reply::Heartbeat(heard));
        turn
    }

    /// LeaveGroup.
    pub fn leave(&mut self, caller: &Caller, name: &str, leavers: &[Leaver]) -> Turn {
        let mut turn = Turn::default();
        if self.consumer(name).is_some() {
            let left = self.leave_consumer(&mut turn, caller, name, leavers);
            turn.reply(caller.connection, Reply::Left(left));
            return turn;
        }
        let left = self.on_classic(caller.now, name, &mut turn, |group, scope| {
            group.leave(scope, leavers)
        });
        let nobody = || {
            leavers
                .iter()
                .map(|_| Err(Refusal::UnknownMember))
                .collect()
        };
        let left = left.unwrap_or_else(nobody);
        turn.reply(caller.connection, Reply::Left(left));
        turn
    }

    /// DeleteGroups, for one of them.
    pub fn delete(&mut self, caller: &Caller, name: &str) -> Turn {
        let mut turn = Turn::default();
        let deleted = self.try_delete(&mut turn, name);
        turn.reply(caller.connection, Reply::Deleted(deleted));
        turn
    }

    fn try_delete(&mut self, turn: &mut Turn, name: &str) -> Result<(), Refusal> {
        let group = self.groups.get(name).ok_or(Refusal::GroupNotFound)?;
        // Who was only given a member id has not joined: as in Kafka it does not count here.
        let members = match &group.kind {
            GroupKind::Classic(classic) => classic.members.len(),
            GroupKind::Consumer(consumer) => consumer.members().len(),
        };
        if members > 0 {
            return Err(Refusal::NonEmptyGroup);
        }
        let offsets = group.offsets.iter();
        let gone: Vec<(String, i32)> = offsets.map(|(t, p, _)| (t.to_owned(), p)).collect();
        for (topic, partition) in gone {
            let record = Record::Offset {
                group: name.to_owned(),
                topic,
                partition,
                committed: None,
            };
            self.apply(&record);
            turn.records.push(record);
        }
        self.write_gone(turn, name);
        Ok(())
    }

    /// Writes that there is no such group any more; what it committed stays.
    pub(super) fn write_gone(&mut self, turn: &mut Turn, name: &str) {
        if self.consumer(name).is_some() {
            return self.end_consumer_group(turn, name);
        }
        let group = self.groups.get(name).map(|group| &group.kind);
        if let Some(GroupKind::Classic(classic)) = group {
            for id in classic.pending.keys() {
                self.alarms.forget(name, &Alarm::Pending(id.clone()));
            }
        }
        let record = Record::Classic {
            group: name.to_owned(),
            state: None,
        };
        self.apply(&record);
        turn.records.push(record);
    }

    /// Ends coordinating: everybody who waits is told to look for the coordinator.
    pub fn end(&mut self) -> Turn {
        let mut turn = Turn::default();
        for group in self.groups.values_mut() {
            if let GroupKind::Classic(classic) = &mut group.kind {
                classic.refuse_waiting(Refusal::NotCoordinator, &mut turn);
            }
        }
        turn
    }

    /// What must hold at any moment.
    pub fn check(&self) {
        for group in self.groups.values() {
            group.check();
        }
    }
}
