//! How other threads reach the cluster: a watch for pictures, a bounded queue for everything else.
//!
//! No call here blocks.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use tokio::sync::{mpsc, oneshot, watch};

use crate::ids::BrokerId;
use crate::inspect::{BrokerFiles, ClusterSnapshot, Command, CommandId, Done, Failure, Focus};

/// Requests not yet taken by the cluster's thread.
pub const REQUESTS_QUEUED: usize = 1_024;

/// What becomes of a command somebody waits for.
pub type Reply = oneshot::Sender<Result<Done, Failure>>;

/// Where the files of a broker go, or why there are none to list.
pub type FilesReply = oneshot::Sender<Result<oneshot::Receiver<BrokerFiles>, Failure>>;

/// What the cluster's thread is asked.
pub enum Request {
    /// Run a command; its outcome appears in a later picture.
    Command(CommandId, Command),
    /// Run a command for one who waits.
    Run(Command, Reply),
    Focus(Focus),
    /// The newest picture was read: another is wanted when there is news.
    Look,
    /// Call this after each new picture.
    OnNews(Box<dyn Fn() + Send + Sync>),
    /// The files of a broker that does not run.
    Files(BrokerId, FilesReply),
    /// A fresh picture.
    Snapshot(oneshot::Sender<Arc<ClusterSnapshot>>),
    Stop {
        cause: String,
    },
}

/// A cloneable way to the cluster.
#[derive(Debug, Clone)]
pub struct ClusterLink {
    requests: mpsc::Sender<Request>,
    shown: watch::Receiver<Arc<ClusterSnapshot>>,
    looking: Arc<AtomicBool>,
    next_command: Arc<AtomicU64>,
}

impl ClusterLink {
    pub(super) fn new(
        requests: mpsc::Sender<Request>,
        shown: watch::Receiver<Arc<ClusterSnapshot>>,
        looking: Arc<AtomicBool>,
        next_command: Arc<AtomicU64>,
    ) -> ClusterLink {
        ClusterLink {
            requests,
            shown,
            looking,
            next_command,
        }
    }

    /// The newest picture; asks for the next.
    pub fn latest(&self) -> Arc<ClusterSnapshot> {
        if !self.looking.swap(true, Ordering::AcqRel) && !self.try_send(Request::Look) {
            self.looking.store(false, Ordering::Release);
        }
        Arc::clone(&self.shown.borrow())
    }

    /// What pictures contain from now on.
    pub fn set_focus(&self, focus: Focus) {
        self.try_send(Request::Focus(focus));
    }

    /// Queues a command; `None` when the queue is full or the cluster is gone.
    pub fn send(&self, command: Command) -> Option<CommandId> {
        let id = CommandId(self.next_command.fetch_add(1, Ordering::Relaxed));
        self.try_send(Request::Command(id, command)).then_some(id)
    }

    /// Calls `wake` after each new picture, from the cluster's thread.
    pub fn on_news(&self, wake: Box<dyn Fn() + Send + Sync>) {
        self.try_send(Request::OnNews(wake));
    }

    /// Stops the cluster cleanly.
    pub fn stop(&self, cause: &str) {
        self.try_send(Request::Stop {
            cause: cause.to_owned(),
        });
    }

    fn try_send(&self, request: Request) -> bool {
        self.requests.try_send(request).is_ok()
    }
}
