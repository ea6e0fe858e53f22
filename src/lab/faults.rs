//! What goes wrong, and how it is made good again: starts, deaths, power losses, bad disks and wires.

use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};

use rand::Rng as _;

use super::clients::{Client, Role};
use super::connections::Return;
use super::schedule::{Fault, Schedule, WriterPlan};
use super::seat::disk_fault;
use super::world::{Happening, Part, SyncWork, World, panic_message};
use super::writer::Writer;
use crate::broker::STOPS_ITSELF;
use crate::ids::{BrokerId, ConnectionId};
use crate::inspect::{Acks, Compression, Durability};

/// A broker that could not start on a failing disk tries again after this, milliseconds.
const START_AGAIN_MS: i64 = 300;
/// How long every call may take to end once everything is healed, on top of its own timeout, milliseconds.
const SETTLE_MS: i64 = 30_000;
/// How long the probe's records may take once everything is healed, milliseconds.
pub(super) const PROBE_MS: i64 = 10_000;
/// How long a call may take in the last part, milliseconds.
pub(super) const LAST_CALL_MS: i64 = 2_000;

impl World {
    /// Starts a broker on what its disk holds.
    pub(super) fn start(&mut self, id: BrokerId) {
        let (seed, now) = (self.dice.brokers.random(), self.now);
        let Some(seat) = self.seats.get_mut(&id) else {
            return;
        };
        let opened = catch_unwind(AssertUnwindSafe(|| seat.open(seed, now)));
        if seat.died_in_disk() {
            self.die_in_disk(id);
            return;
        }
        let incarnation = seat.incarnation;
        self.trace
            .event(now, &[8, id.0 as u64, u64::from(incarnation)], None, || {
                format!("broker {id} starts for the {incarnation}. time: {opened:?}")
            });
        match opened {
            Ok(Ok(())) => {
                self.tally.count("starts");
                if incarnation > 1 {
                    self.tally
                        .count(match std::mem::take(&mut seat.stopped_clean) {
                            true => "start after a clean stop",
                            false => "start after a kill",
                        });
                }
                self.drive(id, |_, _| {});
            }
            Ok(Err(error)) if self.part == Part::Faults && seat.is_struck() => {
                self.tally.count("start refused by a bad disk");
                let line = format!("broker {id} does not start: {error}");
                self.trace.text(now, &line);
                self.after_ms(START_AGAIN_MS, Happening::Restart(id, incarnation));
            }
            Ok(Err(error)) => {
                self.violation("no start", format!("broker {id} does not start: {error}"));
            }
            Err(payload) => {
                let what = panic_message(payload.as_ref());
                if what.starts_with(STOPS_ITSELF) {
                    self.tally.count("stopped itself");
                    self.trace.text(now, &format!("broker {id}: {what}"));
                    return self.after_ms(START_AGAIN_MS, Happening::Restart(id, incarnation));
                }
                let what = format!("broker {id} panicked at its start: {what}");
                self.violation("panic", what);
            }
        }
    }

    /// A broker's process ends at once; its disk keeps what was written.
    pub(super) fn kill(&mut self, id: BrokerId, down_ms: i64) {
        let Some(seat) = self.seats.get_mut(&id) else {
            return;
        };
        if seat.broker.take().is_none() {
            return;
        }
        self.gone(id, down_ms);
    }

    pub(super) fn die_in_disk(&mut self, id: BrokerId) {
        self.tally.count("died in a disk operation");
        let Some(seat) = self.seats.get_mut(&id) else {
            return;
        };
        let (_, down_ms) = seat.dies_at.take().unwrap_or_default();
        seat.broker = None;
        self.gone(id, down_ms);
    }

    fn gone(&mut self, id: BrokerId, down_ms: i64) {
        self.trace
            .text(self.now, &format!("broker {id} is gone for {down_ms} ms"));
        let Some(seat) = self.seats.get_mut(&id) else {
            return;
        };
        seat.wake = None;
        seat.paused_until = None;
        let incarnation = seat.incarnation;
        self.drop_connections_of(id);
        self.after_ms(down_ms, Happening::Restart(id, incarnation));
    }

    /// A fault of the schedule strikes.
    pub(super) fn strike(&mut self, number: usize) {
        if self.part != Part::Faults {
            return;
        }
        let fault = self.schedule.faults[number].fault.clone();
        self.tally.count(&format!("fault: {}", fault.kind()));
        let line = || format!("fault {number}: {fault:?}");
        self.trace.event(self.now, &[9, number as u64], None, line);
        match fault {
            Fault::Kill { broker, down_ms } => self.kill(broker, down_ms),
            Fault::KillInDisk {
                broker,
                operations,
                short_write,
                down_ms,
            } => {
                if let Some(seat) = self.seats.get_mut(&broker) {
                    seat.die_after(operations, short_write, down_ms);
                }
            }
            Fault::Stop { broker, down_ms } => self.stop(broker, down_ms),
            Fault::PowerLoss { down_ms } => self.lose_power(down_ms),
            Fault::Rot { broker, down_ms } => self.rot(broker, down_ms),
            Fault::Pause { broker, for_ms } => self.pause(broker, for_ms),
            Fault::Wire {
                from,
                to,
                wire,
                for_ms,
            } => {
                self.net.links.change(from, to, |w| *w = wire);
                self.after_ms(for_ms, Happening::FaultEnds(number));
            }
            Fault::Reset { broker } => self.reset_connections_to(broker),
            Fault::Disk {
                broker,
                verb,
                error,
                short_write,
                times,
                for_ms,
            } => {
                let fault = disk_fault(verb, error, short_write, times);
                if let Some(seat) = self.seats.get_mut(&broker) {
                    seat.strike(number, fault);
                }
                self.after_ms(for_ms, Happening::FaultEnds(number));
            }
            Fault::SlowSync {
                broker,
                by_us,
                for_ms,
            } => {
                if let Some(seat) = self.seats.get_mut(&broker) {
                    seat.slow_sync_us = by_us;
                }
                self.after_ms(for_ms, Happening::FaultEnds(number));
            }
            Fault::Client { number } => self.replace_client(number),
            Fault::Member { member, leaves } => self.end_member(member, leaves),
            Fault::DeleteRecords {
                topic,
                partition,
                percent,
            } => self.delete_records(topic, partition, percent),
            Fault::Join { broker } => self.join(broker),
            administration => self.administer(&administration),
        }
    }

    /// A broker that comes late begins.
    fn join(&mut self, broker: BrokerId) {
        if self.seats[&broker].incarnation == 0 {
            self.tally.count("broker joined");
            self.start(broker);
        }
    }

    fn pause(&mut self, broker: BrokerId, for_ms: i64) {
        let until = self.now.plus_ms(for_ms);
        if let Some(seat) = self.seats.get_mut(&broker) {
            // A shorter pause would let what comes next overtake what waits for the end of the longer one.
            seat.paused_until = seat.paused_until.max(Some(until));
        }
    }

    /// A fault that lasts for a while is over.
    pub(super) fn lift(&mut self, number: usize) {
        let line = || format!("fault {number} is over");
        self.trace.event(self.now, &[10, number as u64], None, line);
        match self.schedule.faults[number].fault.clone() {
            Fault::Wire { from, to, .. } => {
                self.net
                    .links
                    .change(from, to, |wire| *wire = Default::default());
                self.release_wires();
            }
            Fault::Disk { broker, .. } => {
                if let Some(seat) = self.seats.get_mut(&broker) {
                    seat.lift(Some(number));
                }
            }
            Fault::SlowSync { broker, .. } => {
                if let Some(seat) = self.seats.get_mut(&broker) {
                    seat.slow_sync_us = 0;
                }
            }
            _ => {}
        }
    }

    fn stop(&mut self, id: BrokerId, down_ms: i64) {
        self.drive(id, |broker, _| broker.end_syncs());
        let of_broker = |what: &Happening| matches!(what, Happening::Sync(of, ..) if *of == id);
        while let Some(next) = self.queue.iter().find(|(_, what)| of_broker(what)) {
            let at = *next.0;
            if let Some(Happening::Sync(_, incarnation, work)) = self.queue.remove(&at) {
                self.sync(id, incarnation, work);
            }
        }
        self.drive(id, |broker, now| broker.stop_clean(now));
        if let Some(seat) = self.seats.get_mut(&id)
            && seat.broker.is_some()
        {
            seat.stopped_clean = true;
            self.kill(id, down_ms);
        }
    }

    fn lose_power(&mut self, down_ms: i64) {
        self.history.era += 1;
        if self.schedule.durability != Durability::Batch {
            self.across.forget();
        }
        self.drop_everything_under_way();
        for id in self.seats.keys().copied().collect::<Vec<_>>() {
            let seed = self.dice.disk.random();
            if let Some(seat) = self.seats.get_mut(&id) {
                let was_up = seat.broker.take().is_some();
                seat.disk.lose_power(seed);
                seat.stopped_clean = false;
                if was_up {
                    self.gone(id, down_ms);
                }
            }
        }
    }

    fn reset_connections_to(&mut self, broker: BrokerId) {
        let open = self.net.open.iter();
        let of_broker = open.filter(|(_, c)| c.to == broker && c.broker_open);
        let ids: Vec<ConnectionId> = of_broker.map(|(id, _)| *id).collect();
        for id in ids {
            self.reset(id);
        }
    }

    /// A client's process dies and another one starts.
    pub(super) fn replace_client(&mut self, number: u32) {
        let number = number as usize;
        if number + 1 >= self.clients.len() {
            return;
        }
        self.tally.count("client replaced");
        let role = self.new_client(number);
        let client = &mut self.clients[number + 1];
        let links = std::mem::take(&mut client.links);
        *client = Client::new(role);
        for id in links.into_values() {
            self.hang_up(id);
        }
        self.pump(number + 1);
    }

    /// A member of a group leaves it and comes again, or dies, and another one starts.
    fn end_member(&mut self, member: u32, leaves: bool) {
        let before = self.schedule.writers.len() + self.schedule.readers.len();
        let number = before + member as usize;
        if !leaves {
            self.tally.count("member died");
            return self.replace_client(u32::try_from(number).unwrap_or(0));
        }
        let now = self.now;
        if let Some(Role::Member(member)) = self.clients.get_mut(number + 1).map(|c| &mut c.role) {
            self.tally.count("member told to leave");
            member.consumer.close(now);
            self.pump(number + 1);
        }
    }

    /// One step of a sync: a file, or telling the broker.
    pub(super) fn sync(&mut self, id: BrokerId, incarnation: u32, mut work: SyncWork) {
        let Some(seat) = self.seats.get_mut(&id) else {
            return;
        };
        if seat.incarnation != incarnation || seat.broker.is_none() {
            return;
        }
        let Some(path) = work.files.pop_front() else {
            let token = work.token;
            self.trace.event(self.now, &[11, token], None, || {
                format!("broker {id}: sync {token} is over")
            });
            let result = work.failed.map_or(Ok(()), Err);
            self.drive(id, |broker, now| broker.on_flushed(now, token, result));
            return;
        };
        match seat.failing_disk().sync(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                seat.sync_failed = true;
                self.tally.count("sync failed");
                // Who waits for syncs was promised nothing of it.
                if self.schedule.durability == Durability::Batch {
                    seat.disk.drop_unsynced(&path, self.dice.disk.random());
                }
                work.failed = Some(format!("{}: {error}", path.display()));
                work.files.clear();
            }
            _ => {}
        }
        if seat.died_in_disk() {
            self.die_in_disk(id);
            return;
        }
        self.trace.event(self.now, &[12, work.token], None, || {
            format!("broker {id} syncs {}: {:?}", path.display(), work.failed)
        });
        self.queue_sync(id, work);
    }

    /// Everything works again; a probe writes to every partition.
    pub(super) fn heal(&mut self) {
        self.trace
            .event(self.now, &[13], None, || "everything is healed".to_owned());
        self.part = Part::Settling;
        let usual = Schedule::new(0, "");
        (self.schedule.latency_us, self.schedule.sync_us) = (usual.latency_us, usual.sync_us);
        self.net.links.heal();
        self.release_wires();
        for id in self.seats.keys().copied().collect::<Vec<_>>() {
            let Some(seat) = self.seats.get_mut(&id) else {
                continue;
            };
            seat.heal();
            if seat.must_restart(self.now) {
                // A log whose sync or opening failed takes no writes until it is opened again: by design.
                self.kill(id, 0);
            }
            let seat = &self.seats[&id];
            if seat.broker.is_none() && seat.incarnation > 0 {
                self.start(id);
            }
        }
        let plan = WriterPlan {
            acks: Acks::All,
            idempotence: true,
            compression: Compression::None,
            records_per_s: 0,
            value_bytes: (8, 8),
            linger_ms: 0,
            request_timeout_ms: LAST_CALL_MS,
            delivery_timeout_ms: PROBE_MS,
        };
        for client in &mut self.clients {
            if let Role::Member(member) = &mut client.role {
                member.hurry();
            }
        }
        for member in &mut self.schedule.members {
            member.slow_ms = 0;
        }
        self.named += 1;
        let (name, brokers) = (self.named, self.schedule.brokers);
        let dice = super::dice::stream(self.schedule.seed, u64::from(name));
        let probe = Writer::new(&plan, name, brokers, dice, self.now);
        let mut role = Role::Writer(Box::new(probe));
        self.tell_of_topics(&mut role);
        self.clients.push(Client::new(role));
        let probe = self.clients.len() - 1;
        let mut books = super::clients::Books {
            now: self.now,
            history: &mut self.history,
            tally: &mut self.tally,
        };
        if let Role::Writer(writer) = &mut self.clients[probe].role {
            writer.write_everywhere(&mut books);
        }
        self.pump(probe);
        let slowest = self.schedule.writers.iter().map(|w| w.delivery_timeout_ms);
        let slowest = slowest.max().unwrap_or(0).max(PROBE_MS);
        self.after_ms(slowest + SETTLE_MS, Happening::Deadline);
    }

    /// A connection of a peer that took too long to come about.
    pub(super) fn connect_timed_out(&mut self, id: ConnectionId) {
        if !self.is_accepted(id) {
            self.come_back(id, Return::Gone("no connection in time"));
            self.send_there(id, super::connections::Piece::Close);
        }
    }
}
