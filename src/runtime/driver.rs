//! One broker between its connections: every call into it goes through [`Driver::drive`].
//!
//! Guarantees that effects are carried out in the order the broker gave them, that its timer is armed
//! after each call, and that a panic inside it ends the broker and nothing else. Lives on one thread.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::net::SocketAddr;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::{Rc, Weak};
use std::sync::Arc;

use tokio::sync::Notify;
use tokio::sync::watch;

use super::clock::{self, Clock};
use super::flush::{FlushOrder, FlushThread};
use super::frame_reader::Shared;
use super::kill::KillSwitch;
use super::peers::{Neighbours, PeerEvent, Peers};
use super::pictures::Pictures;
use super::slot::{Answer, Slot};
use super::{Ended, Report, Reports, crash_message};
use crate::broker::effect::Effect;
use crate::broker::{Broker, ConnectionFacts, EventRate};
use crate::ids::{ConnectionId, Time};
use crate::inspect::EventKind;

/// A broker and what its thread gives it.
pub struct Driver {
    broker: RefCell<Broker>,
    clock: Rc<Clock>,
    slots: RefCell<HashMap<ConnectionId, Rc<Slot>>>,
    pub(super) flush: FlushThread,
    reports: Reports,
    peers: Rc<Peers>,
    pub(super) switch: Arc<KillSwitch>,
    pub(super) pictures: Pictures,
    pub(super) frames: Shared,
    timer: Timer,
    crash: Crash,
    /// Of clients turned away.
    refusals: RefCell<EventRate>,
    next_connection: Cell<u64>,
    finished: Cell<bool>,
    /// Brokers the cluster must count on before this one says that it has joined; 0 when nobody waits for that.
    awaits: Cell<usize>,
    /// The broker may end as far as others are concerned; looked at after each call once a stop has begun.
    may_stop: Notify,
    /// Responses being written.
    pub(super) writing: Cell<u32>,
}

/// The broker panicked, was killed or was stopped: nothing may be asked of it any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Gone;

#[derive(Default)]
struct Timer {
    armed: Cell<Option<Time>>,
    moved: Notify,
}

#[derive(Default)]
struct Crash {
    message: RefCell<Option<String>>,
    happened: Notify,
}

impl Driver {
    pub fn new(
        broker: Broker,
        clock: Clock,
        flush: FlushThread,
        reports: Reports,
        neighbours: watch::Receiver<Arc<Neighbours>>,
        switch: Arc<KillSwitch>,
    ) -> Rc<Driver> {
        let frames = Shared::new(broker.request_max_bytes());
        let clock = Rc::new(clock);
        Rc::new_cyclic(|me: &Weak<Driver>| {
            let me = Weak::clone(me);
            let tell = move |event| me.upgrade().ok_or(Gone)?.on_peer(event);
            Driver {
                peers: Peers::new(
                    broker.id(),
                    neighbours,
                    Rc::clone(&clock),
                    reports.clone(),
                    Arc::clone(&switch),
                    tell,
                ),
                broker: RefCell::new(broker),
                clock,
                slots: RefCell::default(),
                flush,
                reports,
                switch,
                pictures: Pictures::default(),
                frames,
                timer: Timer::default(),
                crash: Crash::default(),
                refusals: RefCell::default(),
                next_connection: Cell::new(1),
                finished: Cell::new(false),
                awaits: Cell::new(0),
                may_stop: Notify::new(),
                writing: Cell::new(0),
            }
        })
    }

    /// Calls into the broker, then carries out what it wants done.
    pub fn drive<R>(&self, call: impl FnOnce(&mut Broker, Time) -> R) -> Result<R, Gone> {
        if self.finished.get() || self.is_dead() {
            return Err(Gone);
        }
        let called = catch_unwind(AssertUnwindSafe(|| {
            let mut broker = self.broker.borrow_mut();
            let now = self.clock.now();
            let result = call(&mut broker, now);
            let effects = broker.effects();
            self.pictures.broker_changed(broker.changed());
            let awaits = self.awaits.get();
            let joined = awaits > 0 && broker.is_joined(awaits);
            if broker.may_stop() {
                self.may_stop.notify_one();
            }
            (result, effects, broker.next_wakeup(), now, joined)
        }));
        match called {
            Ok((result, effects, wakeup, now, joined)) => {
                self.timer.set(wakeup);
                for effect in effects {
                    if self.switch.is_thrown() {
                        return Err(Gone);
                    }
                    self.carry_out(effect, now);
                }
                if joined {
                    self.tell_joined(true);
                }
                Ok(result)
            }
            Err(payload) => {
                *self.crash.message.borrow_mut() = Some(crash_message(payload.as_ref()));
                self.crash.happened.notify_one();
                Err(Gone)
            }
        }
    }

    /// Has it say when the cluster counts on this broker and on so many in all.
    pub fn expect_to_join(&self, awaits: usize) {
        self.awaits.set(awaits);
        // After a crash there is nothing to say.
        let _ = self.drive(|_, _| ());
    }

    /// Says once that the broker is one of its cluster, or that this has taken too long.
    pub fn tell_joined(&self, known: bool) {
        if self.awaits.get() > 0 && self.report(Report::Joined { known }) {
            self.awaits.set(0);
        }
    }

    /// Waits until the broker may end as far as others are concerned.
    pub async fn may_stop(&self) {
        self.may_stop.notified().await;
    }

    /// The broker's last call: nobody reaches it afterwards.
    pub fn finish(&self, call: impl FnOnce(&mut Broker, Time)) -> Result<(), Gone> {
        let result = self.drive(call);
        self.finished.set(true);
        result
    }

    /// Tells the broker of a new connection and makes the slot its task waits at.
    pub fn connect(
        &self,
        peer: SocketAddr,
        local: SocketAddr,
        own: bool,
    ) -> Result<(ConnectionId, Rc<Slot>), Gone> {
        let id = ConnectionId(self.next_connection.get());
        self.next_connection.set(id.0 + 1);
        let slot = Rc::new(Slot::default());
        self.slots.borrow_mut().insert(id, Rc::clone(&slot));
        self.drive(|broker, now| {
            broker.on_connected(now, id, ConnectionFacts { peer, local, own });
        })?;
        Ok((id, slot))
    }

    /// Tells the broker what was wrong with what a connection sent, before it is gone.
    pub fn tell_bad_frame(&self, id: ConnectionId, why: &str) {
        // After a crash there is nobody left to tell.
        let _ = self.drive(|broker, _| broker.on_bad_frame(id, why));
    }

    /// Tells the broker that a connection is gone.
    pub fn disconnect(&self, id: ConnectionId) {
        self.slots.borrow_mut().remove(&id);
        // After a crash there is nobody left to tell.
        let _ = self.drive(|broker, now| broker.on_disconnected(now, id));
    }

    pub fn connections(&self) -> usize {
        self.slots.borrow().len()
    }

    /// Notes that a client was turned away; beyond a few per second only their number is told.
    pub fn note_refusal(&self, peer: SocketAddr, cause: String) {
        self.tell_refusal(self.clock.now(), peer.to_string(), &cause);
    }

    /// Calls `on_tick` whenever the broker wants to be woken; returns when it crashed.
    pub async fn run_timer(&self) {
        let mut courses = self.clock.courses();
        loop {
            let moved = self.timer.moved.notified();
            let Some(due) = self.timer.armed.get() else {
                moved.await;
                continue;
            };
            courses.mark_unchanged();
            let sleep = clock::at(self.clock.instant_of(due));
            tokio::select! {
                () = moved => {}
                () = clock::turned(&mut courses) => {}
                () = sleep => {
                    if self.clock.now() >= due && self.drive(Broker::on_tick).is_err() {
                        return;
                    }
                }
            }
        }
    }

    /// Waits for the broker to panic or to be killed.
    pub async fn died(&self) -> Ended {
        loop {
            if let Some(message) = self.crash.message.borrow().clone() {
                return Ended::Crashed { message };
            }
            tokio::select! {
                () = self.crash.happened.notified() => {}
                () = self.switch.wait() => {
                    self.flush.abandon();
                    self.show_last();
                    return Ended::Killed;
                }
            }
        }
    }

    /// Shows what the broker was when it was killed, however long ago somebody looked at it. It does nothing more.
    fn show_last(&self) {
        let Ok(mut broker) = self.broker.try_borrow_mut() else {
            return;
        };
        let focus = self.pictures.focus();
        let built = catch_unwind(AssertUnwindSafe(|| {
            broker.picture(self.clock.now(), &focus)
        }));
        if let Ok(picture) = built {
            self.report(Report::Picture(Box::new(picture)));
        }
    }

    fn is_dead(&self) -> bool {
        self.switch.is_thrown() || self.crash.message.borrow().is_some()
    }

    fn on_peer(&self, event: PeerEvent) -> Result<(), Gone> {
        self.drive(|broker, now| match event {
            PeerEvent::Frame(from, lane, frame) => broker.on_peer_frame(now, from, lane, frame),
            PeerEvent::Lost(peer, lane, why) => broker.on_peer_lost(now, peer, lane, &why),
        })
    }

    pub(super) fn report(&self, report: Report) -> bool {
        self.reports.send(report)
    }

    fn carry_out(&self, effect: Effect, now: Time) {
        match effect {
            Effect::Reply { to, parts } => {
                self.with_slot(to, |slot| slot.put(Answer::Reply(parts)))
            }
            Effect::NoReply { to } => self.with_slot(to, |slot| slot.put(Answer::NoReply)),
            Effect::Close { to, why } => self.with_slot(to, |slot| slot.close(&why)),
            Effect::Send { to, lane, frame } => self.peers.send(to, lane, frame),
            Effect::Hangup { to, lane } => self.peers.hang_up(to, lane),
            Effect::Flush { token, files } => self.flush.send(FlushOrder { token, files }),
            Effect::Note(EventKind::ConnectionRefused { peer, cause }) => {
                self.tell_refusal(now, peer, &cause);
            }
            Effect::Note(kind) => self.note(now, kind),
        }
    }

    fn tell_refusal(&self, now: Time, peer: String, cause: &str) {
        let admitted = self.refusals.borrow_mut().admit(now, cause);
        if let Some(cause) = admitted {
            self.note(now, EventKind::ConnectionRefused { peer, cause });
        }
    }

    /// A connection may be gone before its answer is there: then the answer is for nobody.
    fn with_slot(&self, id: ConnectionId, act: impl FnOnce(&Slot)) {
        if let Some(slot) = self.slots.borrow().get(&id) {
            act(slot);
        }
    }

    fn note(&self, time: Time, kind: EventKind) {
        tracing::info!("broker {}: {}", self.reports.broker, kind.sentence());
        if !self.report(Report::Note { time, kind }) {
            tracing::warn!("an event was not kept: more came than could be taken");
        }
    }
}

impl Timer {
    fn set(&self, wakeup: Option<Time>) {
        let armed = self.armed.get();
        self.armed.set(wakeup);
        // A later wakeup is found when the earlier one fires.
        let earlier = match (armed, wakeup) {
            (None, Some(_)) => true,
            (Some(old), Some(new)) => new < old,
            (_, None) => false,
        };
        if earlier {
            self.moved.notify_one();
        }
    }
}
