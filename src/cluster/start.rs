//! How a cluster comes up: directory, lock, identity, port, threads.
//!
//! Nothing is left behind by a start that fails, except a directory that was made.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64};

use tokio::runtime::{Builder, LocalOptions};
use tokio::sync::{mpsc, watch};
use tokio::task::spawn_local;

use super::chance;
use super::commands::reachable;
use super::control::Control;
use super::core::{Core, Queues};
use super::fuse::{Chronicle, Panels, fuse};
use super::link::{REQUESTS_QUEUED, Request};
use super::show::Show;
use super::wires::EVENTS_QUEUED;
use super::{Cluster, ClusterConfig, ClusterEnd, ClusterFacts, ClusterLink};
use crate::broker::BrokerConfig;
use crate::ids::{BrokerId, Time, TopicId};
use crate::inspect::{BrokerState, Durability};
use crate::runtime::{
    BindError, BrokerStart, BrokerThread, Ended, Medium, Report, bind, connections_allowed,
    raise_limit,
};
use crate::storage::{DirLock, Identity, RealDisk, StorageError};

/// The only broker so far.
const BROKER: BrokerId = BrokerId(1);
/// Reports the cluster has not taken yet.
const REPORTS_QUEUED: usize = 4_096;
/// The cluster thread's stack, bytes.
const STACK_BYTES: usize = 2 * 1024 * 1024;

/// Why a cluster does not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    #[error(
        "another klar already runs on {dir}; stop it with `klar ctl --data-dir {dir} stop`, or choose another directory with --data-dir"
    )]
    InUse { dir: String },
    #[error(transparent)]
    Storage(StorageError),
    #[error(transparent)]
    Bind(#[from] BindError),
    #[error("{0}")]
    Broker(String),
    #[error("the system refuses: {0}")]
    System(#[from] std::io::Error),
}

impl From<StorageError> for StartError {
    fn from(error: StorageError) -> StartError {
        match error {
            StorageError::Locked { path } => StartError::InUse {
                dir: path.display().to_string(),
            },
            other => StartError::Storage(other),
        }
    }
}

/// A directory that is ours while this lives; an ephemeral one goes with it.
struct Home {
    dir: PathBuf,
    ephemeral: bool,
    lock: Option<DirLock>,
}

impl Drop for Home {
    fn drop(&mut self) {
        self.lock = None;
        if self.ephemeral {
            // What cannot be removed is in the system's temporary directory anyway.
            let _ = std::fs::remove_dir_all(&self.dir);
        }
    }
}

pub fn start(config: ClusterConfig) -> Result<Cluster, StartError> {
    let connections = connections_allowed(raise_limit());
    let home = Home::open(config.data_dir.as_deref())?;
    let identity = Identity::load_or_create(&mut RealDisk::default(), &home.dir, new_cluster_id)?;
    let listener = bind(config.listen, config.port)?;
    let listen = listener.local_addr()?;
    let keeps = config.durability != Durability::Memory && !home.ephemeral;
    let facts = ClusterFacts {
        broker: BROKER,
        cluster_id: identity.cluster_id,
        bootstrap: reachable(listen).to_string(),
        listen,
        beyond_loopback: !listen.ip().is_loopback(),
        kept_dir: keeps.then(|| home.dir.display().to_string()),
        dir: home.dir.clone(),
        durability: config.durability,
    };
    let broker = BrokerStart {
        config: BrokerConfig {
            id: BROKER,
            cluster_id: facts.cluster_id.clone(),
            listen,
            data_dir: home.dir.clone(),
            durability: config.durability,
            settings: config.settings,
        },
        listener,
        medium: match config.durability {
            Durability::Memory => Medium::Memory,
            Durability::Os | Durability::Batch => Medium::Files,
        },
        seed: chance::number(),
        connections_allowed: connections,
    };
    launch(facts, home, broker, config.stay_after_crash)
}

/// Starts the threads and waits until clients can connect.
fn launch(
    facts: ClusterFacts,
    home: Home,
    broker: BrokerStart,
    stay_after_crash: bool,
) -> Result<Cluster, StartError> {
    let (reports, mut queued_reports) = mpsc::channel(REPORTS_QUEUED);
    let mut broker = BrokerThread::start(broker, reports)?;
    let mut early = Vec::new();
    loop {
        match queued_reports.blocking_recv() {
            Some(Report::Ready) => break,
            Some(Report::Ended(Ended::Failed { message } | Ended::Crashed { message })) => {
                broker.join();
                return Err(StartError::Broker(message));
            }
            Some(other) => early.push(other),
            None => return Err(StartError::Broker("the broker ended unheard".into())),
        }
    }
    let control = Control::open(&facts.dir)?;
    let (requests, queued_requests) = mpsc::channel(REQUESTS_QUEUED);
    let first = fuse(
        &facts,
        Time(0),
        &BrokerState::Starting,
        None,
        &Chronicle::default(),
        Panels::default(),
    );
    let (shown, pictures) = watch::channel(Arc::new(first));
    let looking = Arc::new(AtomicBool::new(false));
    let next_command = Arc::new(AtomicU64::new(1));
    let exit = Arc::new(AtomicBool::new(false));
    let link = ClusterLink::new(
        requests.clone(),
        pictures,
        Arc::clone(&looking),
        Arc::clone(&next_command),
    );
    let thread = ClusterThread {
        facts: facts.clone(),
        home,
        broker,
        control,
        show: Show::new(shown, looking),
        next_command,
        early,
        reports: queued_reports,
        requests,
        queued_requests,
        stay_after_crash,
        exit: Arc::clone(&exit),
    };
    let thread = std::thread::Builder::new()
        .name("cluster".into())
        .stack_size(STACK_BYTES)
        .spawn(move || thread.run())?;
    Ok(Cluster {
        facts,
        link,
        exit,
        thread,
    })
}

/// What the cluster's thread is made of.
struct ClusterThread {
    facts: ClusterFacts,
    home: Home,
    broker: BrokerThread,
    control: Control,
    show: Show,
    next_command: Arc<AtomicU64>,
    early: Vec<Report>,
    reports: mpsc::Receiver<Report>,
    requests: mpsc::Sender<Request>,
    queued_requests: mpsc::Receiver<Request>,
    stay_after_crash: bool,
    exit: Arc<AtomicBool>,
}

impl ClusterThread {
    fn run(self) -> ClusterEnd {
        let exit = Arc::clone(&self.exit);
        let end = match Builder::new_current_thread()
            .enable_all()
            .build_local(LocalOptions::default())
        {
            Ok(runtime) => runtime.block_on(self.live()),
            Err(error) => ClusterEnd::Crashed {
                message: format!("no event loop: {error}"),
            },
        };
        if exit.load(std::sync::atomic::Ordering::Acquire) {
            std::process::exit(i32::from(end != ClusterEnd::Stopped));
        }
        end
    }

    async fn live(self) -> ClusterEnd {
        let ClusterThread {
            facts,
            home,
            broker,
            control,
            show,
            ..
        } = self;
        let (events, queued_events) = mpsc::channel(EVENTS_QUEUED);
        let mut core = Core::new(facts, broker, show, events, self.next_command);
        core.stay_after_crash(self.stay_after_crash);
        for report in self.early {
            core.on_report(report);
        }
        spawn_local(pass_signals(self.requests.clone()));
        let queues = Queues {
            reports: self.reports,
            requests: self.queued_requests,
            events: queued_events,
        };
        let end = tokio::select! {
            end = core.run(queues) => end,
            () = control.converse(self.requests) => unreachable!("it ends with its task"),
        };
        drop(control);
        drop(home);
        end
    }
}

impl Home {
    fn open(data_dir: Option<&Path>) -> Result<Home, StartError> {
        let (dir, ephemeral) = match data_dir {
            Some(dir) => (dir.to_path_buf(), false),
            None => (ephemeral_dir(), true),
        };
        let mut home = Home {
            ephemeral,
            lock: None,
            dir,
        };
        make_private(&home.dir)?;
        match DirLock::take(&home.dir) {
            Ok(lock) => home.lock = Some(lock),
            Err(error) => {
                home.ephemeral = false;
                return Err(error.into());
            }
        }
        // A path that does not depend on where the program was started.
        home.dir = home.dir.canonicalize()?;
        Ok(home)
    }
}

/// Makes a directory only its owner may enter; one that is there keeps its permissions.
fn make_private(dir: &Path) -> std::io::Result<()> {
    let mut builder = std::fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(dir)
}

fn ephemeral_dir() -> PathBuf {
    let unique = chance::number();
    let name = format!("klar-{}-{unique:016x}", std::process::id());
    std::env::temp_dir().join(name)
}

/// A random cluster id, in the form Kafka's tools print.
fn new_cluster_id() -> String {
    TopicId(chance::bytes()).to_string()
}

/// Passes SIGTERM, SIGHUP and Ctrl-C on as a request to stop; the second one ends the program at once.
async fn pass_signals(requests: mpsc::Sender<Request>) {
    for stopping in [false, true] {
        let cause = wait_for_signal().await;
        if stopping {
            std::process::exit(130);
        }
        let request = Request::Stop {
            cause: cause.to_owned(),
        };
        if requests.send(request).await.is_err() {
            return;
        }
    }
}

#[cfg(unix)]
async fn wait_for_signal() -> &'static str {
    use tokio::signal::unix::{SignalKind, signal};
    let (Ok(mut terminate), Ok(mut interrupt)) = (
        signal(SignalKind::terminate()),
        signal(SignalKind::interrupt()),
    ) else {
        return std::future::pending().await;
    };
    tokio::select! {
        _ = terminate.recv() => "SIGTERM",
        _ = interrupt.recv() => "Ctrl-C",
    }
}

#[cfg(not(unix))]
async fn wait_for_signal() -> &'static str {
    // Without a way to hear it, Ctrl-C ends the program as the system does.
    if tokio::signal::ctrl_c().await.is_err() {
        return std::future::pending().await;
    }
    "Ctrl-C"
}
