//! Calls into brokers, and carries out what they want done.

use std::panic::{AssertUnwindSafe, catch_unwind};

use super::connections::Return;
use super::deliver::unframe;
use super::dice::between;
use super::history::Place;
use super::snoop::Snoop;
use super::world::{Happening, SyncWork, World, panic_message};
use crate::broker::effect::Effect;
use crate::broker::{Broker, STOPS_ITSELF};
use crate::ids::{BrokerId, Time};
use crate::inspect::EventKind;

/// What coordinators write.
const OFFSETS_TOPIC: &str = "__consumer_offsets";
/// Milliseconds before a broker that ended itself starts again.
const STOPPED_MS: i64 = 500;

impl World {
    /// Calls into a broker and carries out what it wants done. A panic is a violation, unless the disk left it no
    /// choice.
    pub(super) fn drive(&mut self, id: BrokerId, call: impl FnOnce(&mut Broker, Time)) {
        let now = self.now;
        let Some(seat) = self.seats.get_mut(&id) else {
            return;
        };
        let Some(broker) = seat.broker.as_mut() else {
            return;
        };
        let called = catch_unwind(AssertUnwindSafe(|| {
            call(broker, now);
            broker.check();
            (broker.effects(), broker.next_wakeup())
        }));
        if seat.died_in_disk() {
            // Whatever it did after that operation, nobody saw.
            self.die_in_disk(id);
            return;
        }
        match called {
            Ok((effects, wake)) => {
                seat.wake = wake;
                for effect in effects {
                    self.carry_out(id, effect);
                }
            }
            Err(payload) => {
                let what = panic_message(payload.as_ref());
                if what.starts_with(STOPS_ITSELF) {
                    self.tally.count("stopped itself");
                    self.trace.text(self.now, &format!("broker {id}: {what}"));
                    return self.kill(id, STOPPED_MS);
                }
                self.violation("panic", format!("broker {id} panicked: {what}"));
            }
        }
    }

    fn carry_out(&mut self, from: BrokerId, effect: Effect) {
        match effect {
            Effect::Reply { to, parts } => {
                let frame = unframe(parts);
                if let Some(answer) = self.snoop.answer(to, &frame, &mut self.tally) {
                    self.trace.event(self.now, &[15, to.0], None, || {
                        format!("connection {to} {}", Snoop::outcomes(&answer))
                    });
                }
                self.send_back(to, Return::Answer(frame));
                self.ready.push_back(to);
            }
            Effect::NoReply { to } => self.ready.push_back(to),
            Effect::Close { to, why } => {
                self.trace.text(
                    self.now,
                    &format!("broker {from} closes connection {to}: {why}"),
                );
                if let Some(connection) = self.net.open.get_mut(&to) {
                    connection.broker_open = false;
                    connection.waiting.clear();
                    self.send_back(to, Return::Gone("closed by the broker"));
                }
            }
            Effect::Send { to, lane, frame } => {
                let frame = unframe(frame);
                self.trace.event(
                    self.now,
                    &[7, from.0 as u64, to.0 as u64],
                    Some(&frame),
                    || {
                        format!(
                            "broker {from} asks broker {to} ({lane:?}): {}",
                            Snoop::describe(&frame)
                        )
                    },
                );
                self.send_to_peer(from, to, lane, frame);
            }
            Effect::Hangup { to, lane } => {
                if let Some(id) = self.net.lanes.get(&(from, to, lane)).copied() {
                    self.hang_up(id);
                }
            }
            Effect::Flush { token, files } => {
                let work = SyncWork {
                    token,
                    files: files.into(),
                    failed: None,
                };
                self.queue_sync(from, work);
            }
            Effect::Note(kind) => self.note(from, &kind),
        }
    }

    fn note(&mut self, from: BrokerId, kind: &EventKind) {
        if let Some(name) = counted(kind) {
            self.tally.count(name);
        }
        match kind {
            EventKind::ReplicaRenewed {
                topic,
                partition,
                aside: Some(_),
                ..
            } => {
                self.across
                    .rotten
                    .remove(&(from, (topic.clone(), *partition)));
            }
            EventKind::LeaderElected {
                topic,
                unclean: true,
                ..
            } => self.on_unclean_election(topic),
            _ => {}
        }
        self.trace
            .text(self.now, &format!("broker {from}: {}", kind.sentence()));
    }

    /// Where bits turned over the last copy may have lost some: elected uncleanly it keeps no promise.
    fn on_unclean_election(&mut self, topic: &str) {
        let mut rotten = self.across.rotten.iter();
        if !rotten.any(|(_, (name, _))| name == topic) {
            return;
        }
        self.history.groups.unclean |= topic == OFFSETS_TOPIC;
        self.across.may_lose(topic);
        for (number, (name, _)) in (0..).zip(&self.history.places) {
            if name == topic {
                self.history.unclean.insert(Place(number));
            }
        }
    }

    /// Queues the next step of a sync.
    pub(super) fn queue_sync(&mut self, id: BrokerId, work: SyncWork) {
        let took_us = between(&mut self.dice.disk, self.schedule.sync_us);
        let seat = &self.seats[&id];
        let at = Time(self.now.0 + (took_us + seat.slow_sync_us).cast_signed());
        self.at(at, Happening::Sync(id, seat.incarnation, work));
    }
}

/// Under which name an event is counted.
fn counted(kind: &EventKind) -> Option<&'static str> {
    match kind {
        EventKind::SegmentRolled { .. } => Some("segment rolled"),
        EventKind::LogRecovered { cut_bytes, .. } if *cut_bytes > 0 => Some("torn tail recovered"),
        EventKind::StorageFailed { .. } => Some("write failed"),
        EventKind::StorageHealed { .. } => Some("write healed"),
        EventKind::LogDamaged { .. } => Some("damage found"),
        EventKind::ReplicaRenewed { aside: Some(_), .. } => Some("replica fetched again"),
        EventKind::ReplicaRenewed { .. } => Some("replica cut to what was synced"),
        EventKind::SegmentsDeleted { .. } => Some("segments deleted"),
        EventKind::BrokerFenced { .. } => Some("broker fenced"),
        EventKind::ControllerChanged { .. } => Some("controller elected"),
        EventKind::LeaderElected { to: None, .. } => Some("partition without a leader"),
        EventKind::LeaderElected { unclean: true, .. } => Some("leader elected uncleanly"),
        EventKind::LeaderElected { .. } => Some("leader elected"),
        EventKind::IsrChanged { from, to, .. } if to.len() < from.len() => Some("ISR shrank"),
        EventKind::IsrChanged { from, to, .. } if to.len() > from.len() => Some("ISR grew"),
        EventKind::LogTruncated { .. } => Some("divergent log truncated"),
        EventKind::ReassignmentEnded { .. } => Some("moves ended"),
        EventKind::GroupChanged { to, .. } if to == "Stable" => Some("group stable"),
        EventKind::GroupChanged { to, .. } if to == "Empty" => Some("group empty"),
        EventKind::SnapshotWritten { .. } => Some("snapshot written"),
        EventKind::SnapshotDamaged { .. } => Some("snapshot damaged"),
        EventKind::SnapshotFetched { .. } => Some("snapshot fetched"),
        _ => None,
    }
}
