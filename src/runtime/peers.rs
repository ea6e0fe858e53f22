//! Connections to other brokers: one per peer and lane, made when something is to be sent.
//!
//! Guarantees that requests leave in order, that each answer is told once, and that a connection that
//! cannot be made or is lost is told exactly once, after it was forgotten: whatever is sent from then on
//! goes over a new one. A line that was hung up says nothing more. Never calls back from inside a call.
//! Whatever is wrong with the wires between two brokers (`links`), and whatever holds messages back, happens in
//! `passage`, to whole requests and answers. It does not try again by itself and knows no timeouts but that of
//! connecting.

mod passage;

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, VecDeque};
use std::io;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;

use bytes::Bytes;
use tokio::net::TcpStream;
use tokio::sync::{Notify, watch};
use tokio::task::{AbortHandle, spawn_local};

use super::Reports;
use super::clock::Clock;
use super::driver::Gone;
use super::frame_reader::{FrameError, FrameReader, Shared};
use super::kill::{KillSwitch, Socket};
use super::limits::{PEER_CONNECT_WAIT_US, TURN_BYTES};
use super::response::Response;
use super::slot::Slot;
use crate::broker::effect::PeerLane;
use crate::ids::BrokerId;
use crate::links::Links;
pub use passage::Gate;
use passage::{Cargo, Passage, WireFailed};

/// What a broker's thread knows of its cluster's other brokers. Kept by whoever starts them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Neighbours {
    /// Where each listens; a change is seen by the next connection.
    pub addresses: BTreeMap<BrokerId, SocketAddr>,
    /// The wires between them; a change is seen by the next request or answer, and by those that wait.
    pub links: Links,
    /// What else holds back what goes between them; seen as soon.
    pub gate: Gate,
}

/// What happened on a line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PeerEvent {
    /// An answer, without its length prefix.
    Frame(BrokerId, PeerLane, Bytes),
    /// The connection could not be made or is lost, with all that was in flight on it, and why.
    Lost(BrokerId, PeerLane, String),
}

/// Who is told of events.
type Tell = Box<dyn Fn(PeerEvent) -> Result<(), Gone>>;

/// All lines of one broker.
pub struct Peers {
    me: BrokerId,
    neighbours: watch::Receiver<Arc<Neighbours>>,
    clock: Rc<Clock>,
    passage: Passage,
    lines: RefCell<BTreeMap<(BrokerId, PeerLane), Rc<Line>>>,
    answers: Shared,
    switch: Arc<KillSwitch>,
    tell: Tell,
}

/// One connection, and what is still to be written to it.
#[derive(Default)]
struct Line {
    queue: RefCell<VecDeque<Vec<Bytes>>>,
    queued: Notify,
    /// What was asked last.
    asked: Cell<Option<Cargo>>,
    task: Cell<Option<AbortHandle>>,
}

/// Why a line ended.
#[derive(Debug, thiserror::Error)]
enum Loss {
    #[error("nobody knows where broker {0} is")]
    Unknown(BrokerId),
    #[error("cannot connect: {0}")]
    Refused(io::Error),
    #[error("no connection within {} ms", PEER_CONNECT_WAIT_US / 1_000)]
    ConnectTimedOut,
    #[error("it closed the connection")]
    Closed,
    #[error("reading its answer failed: {0}")]
    Read(FrameError),
    #[error("writing to it failed: {0}")]
    Write(io::Error),
    #[error("the connection was reset: its wire failed")]
    WireFailed,
    /// Not a loss: nobody wants to hear of this line any more.
    #[error("hung up")]
    HungUp,
}

impl From<WireFailed> for Loss {
    fn from(_: WireFailed) -> Loss {
        Loss::WireFailed
    }
}

impl From<FrameError> for Loss {
    fn from(error: FrameError) -> Loss {
        match error {
            FrameError::Closed | FrameError::ClosedInside { .. } => Loss::Closed,
            other => Loss::Read(other),
        }
    }
}

impl Peers {
    /// No lines yet. `tell` is called from the lines' own tasks.
    pub fn new(
        me: BrokerId,
        neighbours: watch::Receiver<Arc<Neighbours>>,
        clock: Rc<Clock>,
        reports: Reports,
        switch: Arc<KillSwitch>,
        tell: impl Fn(PeerEvent) -> Result<(), Gone> + 'static,
    ) -> Rc<Peers> {
        Rc::new(Peers {
            me,
            passage: Passage::new(me, neighbours.clone(), Rc::clone(&clock), reports),
            neighbours,
            clock,
            lines: RefCell::default(),
            answers: Shared::for_answers(),
            switch,
            tell: Box::new(tell),
        })
    }

    /// Writes a whole request to a peer, over the lane's connection or a new one.
    pub fn send(self: &Rc<Peers>, to: BrokerId, lane: PeerLane, frame: Vec<Bytes>) {
        let mut lines = self.lines.borrow_mut();
        let line = lines.entry((to, lane)).or_insert_with(|| {
            let line = Rc::new(Line::default());
            let task = spawn_local(Rc::clone(self).serve(Rc::clone(&line), to, lane));
            line.task.set(Some(task.abort_handle()));
            line
        });
        line.queue.borrow_mut().push_back(frame);
        line.queued.notify_one();
    }

    /// Drops the lane's connection, if there is one; nothing is told of it any more.
    pub fn hang_up(&self, to: BrokerId, lane: PeerLane) {
        let line = self.lines.borrow_mut().remove(&(to, lane));
        if let Some(task) = line.and_then(|line| line.task.take()) {
            task.abort();
        }
    }

    fn is_current(&self, line: &Rc<Line>, to: BrokerId, lane: PeerLane) -> bool {
        let lines = self.lines.borrow();
        lines.get(&(to, lane)).is_some_and(|l| Rc::ptr_eq(l, line))
    }

    /// A line's whole life.
    async fn serve(self: Rc<Peers>, line: Rc<Line>, to: BrokerId, lane: PeerLane) {
        let loss = match self.connect(to).await {
            Ok(stream) => self.converse(&stream, &line, to, lane).await,
            Err(loss) => loss,
        };
        if !self.is_current(&line, to, lane) {
            return;
        }
        self.lines.borrow_mut().remove(&(to, lane));
        tracing::debug!("the {lane:?} connection to broker {to} ended: {loss}");
        // A broker that is gone need not hear of it.
        let _ = (self.tell)(PeerEvent::Lost(to, lane, loss.to_string()));
    }

    async fn connect(&self, to: BrokerId) -> Result<Socket, Loss> {
        let address = self.neighbours.borrow().addresses.get(&to).copied();
        let address = address.ok_or(Loss::Unknown(to))?;
        let connecting = async {
            let passage = &self.passage;
            passage.pass(self.me, to, Cargo::Connection).await?;
            let stream = TcpStream::connect(address).await.map_err(Loss::Refused)?;
            passage.pass(to, self.me, Cargo::Connection).await?;
            Ok::<TcpStream, Loss>(stream)
        };
        let given_up = self.clock.now().plus_us(PEER_CONNECT_WAIT_US);
        let stream = tokio::select! {
            connected = connecting => connected?,
            () = self.clock.sleep_until(given_up) => return Err(Loss::ConnectTimedOut),
        };
        // A socket that refuses it is slower, not wrong.
        let _ = stream.set_nodelay(true);
        Ok(Socket::new(stream, &self.switch))
    }

    /// Writes what is queued and tells what comes, until something ends it.
    async fn converse(
        &self,
        stream: &TcpStream,
        line: &Rc<Line>,
        to: BrokerId,
        lane: PeerLane,
    ) -> Loss {
        let mut reader = FrameReader::default();
        let slot = Slot::default();
        let mut turn = 0;
        loop {
            match self.write_queued(stream, line, to, lane).await {
                Ok(written) => turn += written,
                Err(loss) => return loss,
            }
            let frame = tokio::select! {
                biased;
                () = line.queued.notified() => continue,
                frame = reader.next(stream, &slot, &self.answers) => frame,
            };
            match frame {
                Ok(frame) => {
                    let answer = line.asked.get().map(Cargo::answer);
                    let answer = answer.unwrap_or(Cargo::Connection);
                    if let Err(failed) = self.passage.pass(to, self.me, answer).await {
                        return failed.into();
                    }
                    turn += frame.len() + TURN_BYTES / 64;
                    let told = (self.tell)(PeerEvent::Frame(to, lane, frame));
                    if told.is_err() || !self.is_current(line, to, lane) {
                        return Loss::HungUp;
                    }
                }
                Err(error) => return error.into(),
            }
            if turn >= TURN_BYTES {
                turn = 0;
                tokio::task::yield_now().await;
            }
        }
    }

    /// Writes everything that waits, in order; returns the bytes written.
    async fn write_queued(
        &self,
        stream: &TcpStream,
        line: &Line,
        to: BrokerId,
        lane: PeerLane,
    ) -> Result<usize, Loss> {
        let mut written = 0;
        loop {
            let next = line.queue.borrow_mut().pop_front();
            let Some(frame) = next else {
                return Ok(written);
            };
            let request = Cargo::request(lane, &frame);
            line.asked.set(Some(request));
            self.passage.pass(self.me, to, request).await?;
            let sent = Response::new(frame).write_to(stream).await;
            written += sent.map_err(Loss::Write)?;
        }
    }
}

#[cfg(test)]
mod tests;
