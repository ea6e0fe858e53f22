//! Threads, sockets and the clock that drive a broker.
//!
//! One OS thread per broker with its own event loop; connection tasks share the broker on that thread,
//! so nothing here holds a lock. What a byte means is decided in `broker`; here it is only moved, and
//! moved within limits (`limits`).

mod broker_thread;
mod budget;
mod clock;
mod connection;
mod driver;
mod flush;
mod frame_reader;
mod kill;
mod limits;
mod listener;
mod open_files;
mod opening;
mod peers;
mod pictures;
mod response;
mod slot;

use std::any::Any;

use tokio::sync::mpsc;

pub use broker_thread::{BrokerStart, BrokerThread, Medium, Order};
pub use clock::{Clock, Course, Pace};
pub use limits::PICTURE_INTERVAL;
pub use listener::{BindError, Port, bind_row};
pub use open_files::{connections_allowed, raise_limit};
pub use peers::{Gate, Neighbours};
pub use response::Response;

use crate::broker::BrokerPicture;
use crate::ids::{BrokerId, Time};
use crate::inspect::{EventKind, HeldMessage};

/// What a broker's thread says.
#[derive(Debug)]
pub enum Report {
    /// Clients are served from now on.
    Ready,
    /// The cluster counts on this broker. Not `known`: it has waited long enough for that.
    Joined {
        known: bool,
    },
    Note {
        time: Time,
        kind: EventKind,
    },
    Picture(Box<BrokerPicture>),
    /// Somebody looked, and nothing has changed since the last picture.
    Same,
    /// A message to or from another broker waits until it is let through. Tickets count up.
    Held {
        ticket: u64,
        message: HeldMessage,
    },
    /// It does not wait any more.
    LetGo {
        ticket: u64,
    },
    /// The thread's last word, and the broker's files.
    Ended(Ended, Medium),
}

/// A report and whose it is.
#[derive(Debug)]
pub struct Told {
    pub broker: BrokerId,
    /// Tells a broker from the one that ran before it under the same number.
    pub run: u64,
    pub report: Report,
}

/// Where a broker's thread reports to.
#[derive(Debug, Clone)]
struct Reports {
    broker: BrokerId,
    run: u64,
    queue: mpsc::Sender<Told>,
}

impl Reports {
    /// False when the report was not taken.
    fn send(&self, report: Report) -> bool {
        self.queue.try_send(self.tell(report)).is_ok()
    }

    fn tell(&self, report: Report) -> Told {
        Told {
            broker: self.broker,
            run: self.run,
            report,
        }
    }
}

/// How a broker's thread ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ended {
    Clean,
    /// It never served: its directory or port could not be opened.
    Failed {
        message: String,
    },
    /// It panicked.
    Crashed {
        message: String,
    },
    /// Somebody threw its switch.
    Killed,
}

/// A panic's message.
fn crash_message(payload: &(dyn Any + Send)) -> String {
    payload
        .downcast_ref::<&str>()
        .map(|text| (*text).to_owned())
        .or_else(|| payload.downcast_ref::<String>().cloned())
        .unwrap_or_else(|| "a panic without a message".to_owned())
}
