//! Deciding and applying metadata in a cluster.
//!
//! The active controller decides on an image of its own that holds everything written, committed or not, and
//! drops it with its leadership. What is committed is applied by every broker alike, all of a step to the image
//! first and only then to logs, so that a topic deleted and made again is never mistaken for its predecessor.
//! Answers to what was decided leave when it is applied here; when leadership is lost before, their connections
//! are closed, because nobody knows the outcome.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;

use super::commit::NotDone;
use super::dispatch::Asked;
use super::effect::{Effect, PeerLane};
use super::member::{Controller, Decision};
use super::parked::{Spreading, Waiting};
use super::partition::{METADATA_LOG, PartitionKey};
use super::telling::Telling;
use super::{Broker, STOPS_ITSELF};
use crate::ids::{BrokerId, ConnectionId, LeaderEpoch, Offset, Time, TopicId};
use crate::inspect::EventKind;
use crate::metadata::decide::{self, Refusal, Sessions};
use crate::metadata::{Record, Resource};

/// Why connections are closed whose request was written and perhaps not committed.
const OUTCOME_UNKNOWN: &str =
    "the controller changed before this was committed: its outcome is unknown";

/// What a step of applied records asks for on this broker.
#[derive(Default)]
pub(super) struct Consequences {
    pub removed: Vec<(TopicId, String, Option<String>)>,
    pub topics: Vec<TopicId>,
    pub partitions: BTreeSet<PartitionKey>,
    /// Partitions this controller had added, by topic, and who wanted them.
    grown: BTreeMap<TopicId, (usize, String)>,
    pub settings: Vec<Resource>,
    pub brokers: bool,
}

impl Broker {
    /// Whether this broker decides: alone, or as the active controller.
    pub(super) fn is_controller(&self) -> bool {
        self.member.as_ref().is_none_or(|m| m.controller.is_some())
    }

    /// Who decides, as far as this broker knows.
    pub(super) fn controller_id(&self) -> Option<BrokerId> {
        match &self.member {
            None => Some(self.config.id),
            Some(member) => member.quorum.leader(),
        }
    }

    /// Writes a decision of this controller; it is applied once it is committed.
    pub(super) fn decide(
        &mut self,
        now: Time,
        records: &[Record],
        cause: &str,
    ) -> Result<(), NotDone> {
        let member = self.member.as_mut();
        let Some(member) = member.filter(|m| m.controller.is_some()) else {
            return Err(Refusal::NotController.into());
        };
        let from = self.metadata_log.log().log_end();
        let written = self.metadata_log.append(&mut *self.disk, now, records);
        if let (Ok(_), Some(controller)) = (&written, member.controller.as_mut()) {
            for record in records {
                controller.decided.apply(record);
            }
            let end = self.metadata_log.log().log_end();
            let cause = cause.to_owned();
            member.causes.push_back(Decision { from, end, cause });
        }
        self.take_log_notes(now, METADATA_LOG);
        if let Err(error) = written {
            self.give_up_control(now);
            self.on_metadata_log_changed(now);
            return Err(NotDone::NotWritten(error.to_string()));
        }
        self.committed = true;
        self.on_metadata_log_changed(now);
        Ok(())
    }

    /// Leads the quorum from now on.
    pub(super) fn take_up_control(&mut self, now: Time) {
        let Some(member) = self.member.as_mut() else {
            return;
        };
        // What the log begins with may not be known to be committed yet, and is decided all the same.
        let (mut decided, from) = match &member.snapshot {
            Some((id, image)) => (image.clone(), id.end),
            None => (self.image.clone(), member.applied),
        };
        let end = self.metadata_log.log().log_end();
        let replayed = self
            .metadata_log
            .replay(&mut *self.disk, from, end, |_, record| {
                decided.apply(record);
            });
        if let Err((offset, error)) = replayed {
            let why = format!("the metadata log cannot be read at offset {offset}: {error}");
            self.note_metadata_trouble(why);
            return self.give_up_control(now);
        }
        let every_s = self
            .settings
            .number(&self.image, "leader.imbalance.check.interval.seconds");
        let timeout_ms = self
            .settings
            .number(&self.image, "broker.session.timeout.ms");
        member.controller = Some(Controller {
            sessions: Sessions::new(now, &decided, timeout_ms),
            decided,
            settled: false,
            balance_at: now.plus_ms(every_s.saturating_mul(1_000)),
        });
        member.registration.due = now;
    }

    /// Who leads the quorum changed, or its epoch did.
    pub(super) fn on_controller_changed(
        &mut self,
        now: Time,
        leader: Option<BrokerId>,
        _epoch: LeaderEpoch,
    ) {
        let me = self.config.id;
        let Some(member) = self.member.as_mut() else {
            return;
        };
        member.polls_due = true;
        member.registration.due = now;
        member.producer_ids_at = now;
        if leader.is_some() && leader != member.controllers.0 {
            member.controllers = (leader, member.controllers.0);
        }
        if leader == Some(me) {
            return;
        }
        if member.controller.take().is_some() {
            // Another controller may give the ids of a block away that was not committed.
            self.producer_ids = 0..0;
        }
        member.causes.clear();
        let committing = std::mem::take(&mut member.committing);
        let altering = std::mem::take(&mut member.local_alters);
        for (_, connection) in committing {
            self.close(now, connection, OUTCOME_UNKNOWN.to_owned());
        }
        self.leave_spreading(now);
        self.on_alter_lost(now, &altering);
        self.leave_old_controllers(now, leader);
    }

    /// Gives up what was asked of earlier controllers.
    fn leave_old_controllers(&mut self, now: Time, leader: Option<BrokerId>) {
        let lane = PeerLane::Control;
        let asked = self.member.as_ref().map(|m| m.peers.asked_on(lane));
        for to in asked.unwrap_or_default() {
            if Some(to) != leader {
                self.effects.push(Effect::Hangup { to, lane });
                self.lose_lane(now, to, lane);
            }
        }
    }

    /// What the controller does when nobody asks. Call at the end of every verb.
    pub(super) fn drive_controller(&mut self, now: Time) {
        self.settle_metadata(now);
        self.fence_silent(now);
        self.balance_leaders(now);
    }

    pub(super) fn controller_mut(&mut self) -> Option<&mut Controller> {
        self.member.as_mut()?.controller.as_mut()
    }

    /// Decides once what earlier controllers left.
    fn settle_metadata(&mut self, now: Time) {
        let Some(controller) = self.controller_mut().filter(|c| !c.settled) else {
            return;
        };
        controller.settled = true;
        let records = decide::settle(self.facts());
        self.decide_by_itself(now, &records, "a new controller took over");
    }

    fn fence_silent(&mut self, now: Time) {
        let Some(controller) = self.controller_mut() else {
            return;
        };
        let due = controller.sessions.next_wakeup(&controller.decided);
        if due.is_none_or(|due| due > now) {
            return;
        }
        for id in controller.sessions.due(now, &controller.decided) {
            let records = decide::fence(self.facts(), id);
            self.tell_unheard(now, id);
            let cause = format!("no heartbeat came from broker {id} in time");
            self.decide_by_itself(now, &records, &cause);
        }
    }

    /// Says what a broker is given up for: when it was heard last, or when its connection was lost.
    fn tell_unheard(&mut self, now: Time, subject: BrokerId) {
        let controller = self.controller_mut();
        let Some(silence) = controller.and_then(|c| c.sessions.silence(subject)) else {
            return;
        };
        self.note(EventKind::BrokerUnheard {
            subject,
            lost: silence.lost,
            waited_ms: now.since_us(silence.since) / 1_000,
            timeout_ms: silence.timeout_ms,
        });
    }

    fn balance_leaders(&mut self, now: Time) {
        if self.controller_mut().is_none_or(|c| c.balance_at > now) {
            return;
        }
        let every_s = self
            .settings
            .number(&self.image, "leader.imbalance.check.interval.seconds");
        let enabled = self
            .settings
            .flag(&self.image, "auto.leader.rebalance.enable");
        let Some(controller) = self.controller_mut() else {
            return;
        };
        controller.balance_at = now.plus_ms(every_s.saturating_mul(1_000));
        if enabled {
            let records = decide::rebalance_leaders(self.facts());
            if records.len() >= decide::MAX_REBALANCED_AT_ONCE
                && let Some(controller) = self.controller_mut()
            {
                controller.balance_at = now.plus_ms(1_000);
            }
            self.decide_by_itself(now, &records, "auto.leader.rebalance.enable");
        }
    }

    /// Writes what the controller decided without being asked; what fails is decided anew when it is due again.
    fn decide_by_itself(&mut self, now: Time, records: &[Record], cause: &str) {
        if records.is_empty() {
            return;
        }
        let asked = self.committed;
        if let Err(NotDone::NotWritten(why)) = self.decide(now, records, cause) {
            self.note_metadata_trouble(why);
        }
        self.committed = asked;
    }

    /// When [`Broker::drive_controller`] has something to do.
    pub(super) fn controller_wakeup(&self) -> Option<Time> {
        let controller = self.member.as_ref()?.controller.as_ref()?;
        let silent = controller.sessions.next_wakeup(&controller.decided);
        silent.into_iter().chain([controller.balance_at]).min()
    }

    /// Applies what is committed and synced here.
    pub(super) fn apply_committed(&mut self, now: Time) {
        let Some(end) = self.committed_end() else {
            return;
        };
        let Some(member) = self.member.as_mut() else {
            return;
        };
        let from = member.applied;
        member.polls_due = true;
        if end >= self.metadata_log.log().log_end() {
            member.local_alters.clear();
        }
        match &member.snapshot {
            Some((id, _)) if id.end > end => return,
            Some(_) => {
                self.apply_snapshot(now, end);
                return self.answer_committed();
            }
            None if from >= end => return,
            None => {}
        }
        let mut records = Vec::new();
        let read = self
            .metadata_log
            .replay(&mut *self.disk, from, end, |offset, record| {
                records.push((offset, record.clone()));
            });
        match read {
            Ok(bytes) => self.metadata_log.snapshots.note_applied(now, bytes),
            Err((offset, error)) => {
                panic!("{STOPS_ITSELF}committed metadata cannot be read at {offset}: {error}")
            }
        }
        member.applied = end;
        self.apply_records(now, records);
        self.answer_committed();
    }

    fn answer_committed(&mut self) {
        loop {
            let Some(member) = self.member.as_mut() else {
                return;
            };
            let applied = member.applied;
            let Some((_, connection)) = member.committing.first().filter(|(at, _)| *at <= applied)
            else {
                return;
            };
            let connection = *connection;
            member.committing.pop_first();
            if let Some(Waiting::Committed(parts)) = self.parked.take(connection) {
                self.send(connection, parts);
            }
        }
    }

    /// Has an answer wait until everything written so far is applied.
    pub(super) fn wait_for_commit(&mut self, connection: ConnectionId, parts: Vec<Bytes>) {
        let end = self.metadata_log.log().log_end();
        let Some(member) = self.member.as_mut() else {
            return;
        };
        if member.applied >= end {
            return self.send(connection, parts);
        }
        member.committing.insert((end, connection));
        let waiting = Waiting::Committed(parts);
        self.parked.put(connection, None, waiting);
    }

    /// Has an answer wait until every live broker has applied everything written so far.
    pub(super) fn wait_for_spread(
        &mut self,
        asked: &Asked,
        parts: Vec<Bytes>,
        late: Vec<Bytes>,
        timeout_ms: i32,
    ) {
        let (connection, end) = (asked.connection, self.metadata_log.log().log_end());
        let Some(member) = self.member.as_mut() else {
            return;
        };
        member.spreading.insert((end, connection));
        let deadline = asked.now.plus_ms(i64::from(timeout_ms));
        let waiting = Waiting::Spreading(Box::new(Spreading { parts, late, end }));
        self.parked.put(connection, Some(deadline), waiting);
    }

    /// Answers what every live broker has applied by now. Call at the end of every verb.
    pub(super) fn answer_spread(&mut self) {
        while let Some(&(end, connection)) = self.member.as_ref().and_then(|m| m.spreading.first())
        {
            if !self.all_know(end) {
                return;
            }
            if let Some(waited) = self.take_spreading(connection) {
                self.send(connection, waited.parts);
            }
        }
    }

    fn all_know(&self, end: Offset) -> bool {
        let Some(member) = self.member.as_ref().filter(|m| m.applied >= end) else {
            return false;
        };
        let mut live = self.image.brokers().filter(|broker| broker.is_live());
        live.all(|broker| member.quorum.knows(broker.id, end))
    }

    /// Not every live broker has applied it in time: the client is told that, whatever became of it.
    pub(super) fn answer_late(&mut self, connection: ConnectionId) {
        if let Some(waited) = self.take_spreading(connection) {
            self.send(connection, waited.late);
        }
    }

    fn take_spreading(&mut self, connection: ConnectionId) -> Option<Spreading> {
        let Some(Waiting::Spreading(waited)) = self.parked.take(connection) else {
            return None;
        };
        self.forget_spreading(connection, &waited);
        Some(*waited)
    }

    pub(super) fn forget_spreading(&mut self, connection: ConnectionId, waited: &Spreading) {
        if let Some(member) = self.member.as_mut() {
            member.spreading.remove(&(waited.end, connection));
        }
    }

    /// This broker decides no longer: what it wrote is told of if it is committed, else nobody knows.
    fn leave_spreading(&mut self, now: Time) {
        let Some(member) = self.member.as_mut() else {
            return;
        };
        let applied = member.applied;
        for (end, connection) in std::mem::take(&mut member.spreading) {
            match self.take_spreading(connection) {
                Some(waited) if end <= applied => self.send(connection, waited.parts),
                _ => self.close(now, connection, OUTCOME_UNKNOWN.to_owned()),
            }
        }
    }

    /// Who wanted the record at this offset, if this controller decided it.
    fn cause_of(&mut self, offset: Offset) -> Option<String> {
        let causes = &mut self.member.as_mut()?.causes;
        while causes.front().is_some_and(|one| one.end <= offset) {
            causes.pop_front();
        }
        let decision = causes.front().filter(|one| one.from <= offset)?;
        Some(decision.cause.clone())
    }

    fn apply_records(&mut self, now: Time, records: Vec<(Offset, Record)>) {
        let mut telling = Telling::default();
        let mut todo = Consequences::default();
        for (offset, record) in records {
            let cause = self.cause_of(offset);
            if let Some(cause) = &cause {
                self.note_config_change(&record, cause);
            }
            self.tell_record(now, offset, &record, cause.as_deref(), &mut telling);
            if let Record::RemoveTopic { id } = &record
                && let Some(topic) = self.image.topic(*id)
            {
                let name = topic.name.clone();
                todo.removed.push((*id, name, cause.clone()));
            }
            self.image.apply(&record);
            todo.note(record, cause);
        }
        self.carry_out(now, todo);
        self.end_telling(telling);
    }

    /// Does on this broker what follows from a step of metadata that is in the image by now.
    pub(super) fn carry_out(&mut self, now: Time, todo: Consequences) {
        for (id, name, cause) in todo.removed {
            self.forget_replicas(id);
            self.remove_topic(id, Some(name), cause.as_deref());
        }
        for id in todo.topics {
            if !self.topics.contains_key(&id) {
                self.add_topic(id);
            }
        }
        for key in todo.partitions {
            self.align_partition(now, key);
        }
        for resource in &todo.settings {
            self.apply_settings(resource);
            self.apply_min_insync(now);
        }
        if todo.brokers {
            self.tell_leaders_of_brokers(now);
            self.after_registrations(now);
        }
        for (id, (added, cause)) in todo.grown {
            self.note_growth(id, added, &cause);
        }
        self.shown.broker = None;
        self.changed += 1;
    }

    /// Sets aside what no topic owns, once the image can say so: what committed last before this run began may be
    /// applied late, but certainly before the registration of this run.
    pub(super) fn sweep_once(&mut self) {
        let own = self.image.broker(self.config.id).map(|own| own.epoch);
        let Some(member) = self.member.as_mut().filter(|m| !m.swept) else {
            return;
        };
        if own.is_none() || own != member.registration.epoch {
            return;
        }
        member.swept = true;
        if let Err(error) = self.set_strays_aside() {
            let path = self.config.data_dir.display().to_string();
            let cause = error.to_string();
            self.note(crate::inspect::EventKind::StorageFailed { path, cause });
        }
    }
}

impl Consequences {
    fn note(&mut self, record: Record, cause: Option<String>) {
        match record {
            Record::Topic { id, .. } => self.topics.push(id),
            Record::Partition { topic, index, .. } => {
                self.partitions.insert((topic, index.0));
                if let Some(cause) = cause {
                    self.grown.entry(topic).or_insert((0, cause)).0 += 1;
                }
            }
            Record::PartitionChange { topic, index, .. } => {
                self.partitions.insert((topic, index.0));
            }
            Record::Config { resource, .. } => self.settings.push(resource),
            Record::RegisterBroker(_)
            | Record::UnregisterBroker { .. }
            | Record::BrokerChange { .. } => self.brokers = true,
            Record::RemoveTopic { .. }
            | Record::ProducerIds { .. }
            | Record::FeatureLevel { .. } => {}
        }
    }
}
