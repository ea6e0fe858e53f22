//! How a cluster comes up: directory, lock, identity, port, threads.
//!
//! Nothing is left behind by a start that fails, except a directory that was made.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64};
use std::task::Poll;

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
use crate::ids::{BrokerId, TopicId};
use crate::inspect::{BrokerState, Durability};
use crate::runtime::{
    BindError, BrokerStart, BrokerThread, Clock, Ended, Medium, Report, Told, bind, connections_allowed,
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
            voters: vec![BROKER],
            cluster_id: facts.cluster_id.clone(),
            listen,
            data_dir: home.dir.clone(),
            durability: config.durability,
            settings: config.settings,
        },
        run: 0,
        neighbours: watch::channel(Arc::default()).1,
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
        match queued_reports.blocking_recv().map(|told| told.report) {
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
        Clock::new().now(),
        &BrokerState::Starting,
        None,
        &Chronicle::default(),
        Panels::default(),
    );
    let (shown, pictures) = watch::channel(Arc::new(first));
    let looking = Arc::new(AtomicBool::new(false));
    let next_command = Arc::new(AtomicU64::new(1));
    let exit = Arc::new(AtomicBool::new(false));
    let (listening, listened) = std::sync::mpsc::channel();
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
        listening,
    };
    let thread = std::thread::Builder::new()
        .name("cluster".into())
        .stack_size(STACK_BYTES)
        .spawn(move || thread.run())?;
    // Who is told that klar is ready may stop it at once. A thread that ended says so when joined.
    let _ = listened.recv();
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
    reports: mpsc::Receiver<Told>,
    requests: mpsc::Sender<Request>,
    queued_requests: mpsc::Receiver<Request>,
    stay_after_crash: bool,
    exit: Arc<AtomicBool>,
    /// Told when signals are heard.
    listening: std::sync::mpsc::Sender<()>,
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
        match Signals::listen() {
            Ok(signals) => drop(spawn_local(pass_signals(signals, self.requests.clone()))),
            Err(error) => tracing::warn!("signals end klar without a clean stop: {error}"),
        }
        // Nobody waits when the start was given up.
        let _ = self.listening.send(());
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

/// The signals that stop klar, heard from the moment this is made.
#[cfg(unix)]
struct Signals(Vec<(tokio::signal::unix::Signal, &'static str)>);

#[cfg(unix)]
impl Signals {
    fn listen() -> std::io::Result<Signals> {
        use tokio::signal::unix::{SignalKind, signal};
        Ok(Signals(vec![
            (signal(SignalKind::terminate())?, "SIGTERM"),
            (signal(SignalKind::interrupt())?, "Ctrl-C"),
            (signal(SignalKind::hangup())?, "its terminal is gone"),
        ]))
    }

    /// The next one's name.
    async fn next(&mut self) -> &'static str {
        std::future::poll_fn(|cx| {
            let heard = self
                .0
                .iter_mut()
                .find_map(|(signal, name)| signal.poll_recv(cx).is_ready().then_some(*name));
            heard.map_or(Poll::Pending, Poll::Ready)
        })
        .await
    }
}

#[cfg(not(unix))]
struct Signals;

#[cfg(not(unix))]
impl Signals {
    fn listen() -> std::io::Result<Signals> {
        Ok(Signals)
    }

    async fn next(&mut self) -> &'static str {
        // Without a way to hear it, Ctrl-C ends the program as the system does.
        if tokio::signal::ctrl_c().await.is_err() {
            std::future::pending::<()>().await;
        }
        "Ctrl-C"
    }
}

/// Passes the first signal on as a request to stop; the second one ends the program at once.
async fn pass_signals(mut signals: Signals, requests: mpsc::Sender<Request>) {
    let cause = signals.next().await.to_owned();
    if requests.send(Request::Stop { cause }).await.is_ok() {
        signals.next().await;
        std::process::exit(130);
    }
}
