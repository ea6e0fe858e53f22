//! What a request or an answer between two brokers goes through: its wire, and the gate that slow motion, pause and
//! a frozen replication hold it back at.
//!
//! Guarantees that what waits at the gate is reported once when it begins to and once when it ends to, whatever
//! ends it, and that it waits in the cluster's time. Of the bytes it knows which request they are and no more.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::Arc;

use bytes::Bytes;
use tokio::sync::watch;

use super::Neighbours;
use crate::broker::effect::PeerLane;
use crate::ids::BrokerId;
use crate::inspect::HeldMessage;
use crate::links::{End, Fate, Links};
use crate::runtime::{Clock, Report, Reports};
use crate::wire::ApiKey;

/// What holds messages between brokers back besides their wires.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Gate {
    /// Each takes this much of the cluster's time on its way, microseconds.
    pub transit_us: u64,
    /// All wait.
    pub shut: bool,
    /// Those of [`PeerLane::Replica`] wait.
    pub replication_shut: bool,
    /// These pass although they wait: of each broker those up to this ticket.
    pub let_through: BTreeMap<BrokerId, u64>,
}

/// What is on its way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cargo {
    /// Opening a connection; no gate holds it.
    Connection,
    Message {
        lane: PeerLane,
        /// API key and version of the request.
        api: (i16, i16),
        answer: bool,
    },
}

/// The wire lost it, and its connection with it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WireFailed;

/// The ways between one broker and its neighbours.
pub struct Passage {
    me: BrokerId,
    neighbours: watch::Receiver<Arc<Neighbours>>,
    clock: Rc<Clock>,
    reports: Reports,
    tickets: Cell<u64>,
}

/// Something that waits at the gate.
struct Holding<'a> {
    reports: &'a Reports,
    ticket: u64,
}

impl Drop for Holding<'_> {
    fn drop(&mut self) {
        let ticket = self.ticket;
        tell(self.reports, Report::LetGo { ticket });
    }
}

impl Gate {
    fn is_open(&self) -> bool {
        !self.shut && !self.replication_shut && self.transit_us == 0
    }

    fn holds(&self, cargo: Cargo) -> bool {
        match cargo {
            Cargo::Connection => false,
            Cargo::Message { lane, .. } => {
                self.shut || self.replication_shut && lane == PeerLane::Replica
            }
        }
    }

    fn lets_through(&self, broker: BrokerId, ticket: u64) -> bool {
        self.let_through
            .get(&broker)
            .is_some_and(|upto| ticket <= *upto)
    }
}

impl Cargo {
    /// A request, as its frame begins: length, API key, version.
    pub fn request(lane: PeerLane, frame: &[Bytes]) -> Cargo {
        let mut start = [0; 8];
        let bytes = frame.iter().flat_map(|part| part.iter());
        start
            .iter_mut()
            .zip(bytes)
            .for_each(|(to, from)| *to = *from);
        let [_, _, _, _, k1, k2, v1, v2] = start;
        Cargo::Message {
            lane,
            api: (i16::from_be_bytes([k1, k2]), i16::from_be_bytes([v1, v2])),
            answer: false,
        }
    }

    /// What answers it.
    pub fn answer(self) -> Cargo {
        match self {
            Cargo::Connection => Cargo::Connection,
            Cargo::Message { lane, api, .. } => Cargo::Message {
                lane,
                api,
                answer: true,
            },
        }
    }

    fn message(self, from: BrokerId, to: BrokerId) -> Option<HeldMessage> {
        let Cargo::Message {
            api: (key, version),
            answer,
            ..
        } = self
        else {
            return None;
        };
        let api = match ApiKey::from_code(key) {
            Some(api) => format!("{} v{version}", api.name()),
            None => format!("API {key} v{version}"),
        };
        Some(HeldMessage {
            from,
            to,
            api,
            answer,
        })
    }
}

impl Passage {
    pub(super) fn new(
        me: BrokerId,
        neighbours: watch::Receiver<Arc<Neighbours>>,
        clock: Rc<Clock>,
        reports: Reports,
    ) -> Passage {
        Passage {
            me,
            neighbours,
            clock,
            reports,
            tickets: Cell::new(0),
        }
    }

    /// Waits as long as one piece takes in this direction. What a cut wire swallowed is gone with its connection,
    /// which is reset once the wire carries again.
    ///
    /// # Errors
    /// It does not arrive.
    pub async fn pass(&self, from: BrokerId, to: BrokerId, cargo: Cargo) -> Result<(), WireFailed> {
        let free = {
            let known = self.neighbours.borrow();
            known.links == Links::default() && known.gate.is_open()
        };
        if free {
            return Ok(());
        }
        // Boxed, so that a line between perfect wires stays small.
        Box::pin(async {
            let mut neighbours = self.neighbours.clone();
            self.cross(&mut neighbours, from, to, cargo).await?;
            match self.wait_at_gate(&mut neighbours, from, to, cargo).await {
                true => Ok(()),
                false => {
                    self.cross(&mut neighbours, from, to, cargo).await?;
                    Err(WireFailed)
                }
            }
        })
        .await
    }

    /// Waits out what the wire does to it.
    async fn cross(
        &self,
        neighbours: &mut watch::Receiver<Arc<Neighbours>>,
        from: BrokerId,
        to: BrokerId,
        cargo: Cargo,
    ) -> Result<(), WireFailed> {
        let mut swallowed = false;
        let wire_us = loop {
            let wire = {
                let known = neighbours.borrow_and_update();
                known.links.wire(End::Broker(from), End::Broker(to))
            };
            // Nothing in live mode makes a wire lossy or jittery, so there is no chance in it.
            match wire.fate((0, 0)) {
                Fate::Lost => swallowed = true,
                _ if swallowed => return Err(WireFailed),
                Fate::Reset => return Err(WireFailed),
                Fate::Held => {}
                Fate::Arrives { after_us } => break after_us,
            }
            changed(neighbours).await;
        };
        let transit_us = match cargo {
            Cargo::Connection => 0,
            Cargo::Message { .. } => neighbours.borrow().gate.transit_us,
        };
        let due = self.clock.now().plus_us(wire_us + transit_us);
        tokio::select! {
            () = self.clock.sleep_until(due) => {}
            // At the gate it is seen to wait, and a step takes it.
            () = shut(neighbours, cargo) => {}
        }
        Ok(())
    }

    /// False when its wire was cut meanwhile: it is lost, as all that is on the wire.
    async fn wait_at_gate(
        &self,
        neighbours: &mut watch::Receiver<Arc<Neighbours>>,
        from: BrokerId,
        to: BrokerId,
        cargo: Cargo,
    ) -> bool {
        let mut holding: Option<Holding<'_>> = None;
        loop {
            {
                let known = neighbours.borrow_and_update();
                let passes = |held: &Holding<'_>| known.gate.lets_through(self.me, held.ticket);
                if !known.gate.holds(cargo) || holding.as_ref().is_some_and(passes) {
                    return true;
                }
                let wire = known.links.wire(End::Broker(from), End::Broker(to));
                if wire.fate((0, 0)) == Fate::Lost {
                    return false;
                }
            }
            if holding.is_none() {
                holding = cargo.message(from, to).map(|message| self.hold(message));
            }
            changed(neighbours).await;
        }
    }

    fn hold(&self, message: HeldMessage) -> Holding<'_> {
        let ticket = self.tickets.get() + 1;
        self.tickets.set(ticket);
        tell(&self.reports, Report::Held { ticket, message });
        Holding {
            reports: &self.reports,
            ticket,
        }
    }
}

/// What is not taken is missing among the messages that wait, or stays among them, until time goes on.
fn tell(reports: &Reports, report: Report) {
    if !reports.send(report) {
        tracing::warn!("a message that waits was not told of: more came than could be taken");
    }
}

/// Waits until a gate holds this.
async fn shut(neighbours: &mut watch::Receiver<Arc<Neighbours>>, cargo: Cargo) {
    while !neighbours.borrow_and_update().gate.holds(cargo) {
        changed(neighbours).await;
    }
}

async fn changed(neighbours: &mut watch::Receiver<Arc<Neighbours>>) {
    if neighbours.changed().await.is_err() {
        // Nobody is left who could change anything.
        std::future::pending::<()>().await;
    }
}
