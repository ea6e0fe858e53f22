//! How a cluster comes up: directory, lock, identity, roster, ports, threads.
//!
//! Nothing is left behind by a start that fails, except a directory that was made.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64};
use std::task::Poll;

use tokio::runtime::{Builder, LocalOptions};
use tokio::sync::{mpsc, watch};
use tokio::task::spawn_local;

use super::brokers::{Brokers, News, Recipe};
use super::chance;
use super::control::Control;
use super::core::{Core, Queues};
use super::fuse::{Chronicle, Panels, bootstrap, fuse};
use super::fuse_topics::FusedTopics;
use super::link::{REQUESTS_QUEUED, Request};
use super::remains::{Found, REMAINS_QUEUED};
use super::show::Show;
use super::wires::EVENTS_QUEUED;
use super::{Cluster, ClusterConfig, ClusterEnd, ClusterFacts, ClusterLink, MAX_BROKERS};
use crate::ids::{BrokerId, Time, TopicId};
use crate::inspect::{Durability, EventKind, Focus};
use crate::runtime::{BindError, Clock, Ended, Told, bind_row, connections_allowed, raise_limit};
use crate::storage::{DirLock, Identity, RealDisk, Roster, StorageError};

/// Brokers that vote for the controller; those beyond only follow.
const MAX_VOTERS: u32 = 5;
/// Brokers of a new cluster when nobody says how many.
const DEFAULT_BROKERS: u32 = 3;
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
    let roster = roster(&home.dir, &config)?;
    let count = u16::try_from(roster.brokers.len()).unwrap_or(u16::MAX);
    let ports = bind_row(config.listen, config.port, count)?;
    let keeps = config.durability != Durability::Memory && !home.ephemeral;
    let recipe = Recipe {
        cluster_id: identity.cluster_id.clone(),
        dir: home.dir.clone(),
        durability: config.durability,
        settings: config.settings,
        roster: roster.clone(),
        connections_allowed: (connections / usize::from(count)).max(1),
    };
    let (reports, queued_reports) = mpsc::channel(REPORTS_QUEUED);
    let (finders, found) = mpsc::channel(REMAINS_QUEUED);
    let mut brokers = Brokers::new(recipe, reports, finders);
    let mut listeners = Vec::new();
    for (id, (port, listener)) in roster.brokers.into_iter().zip(ports) {
        brokers.add(id, port);
        listeners.push((id, listener));
    }
    let seen = brokers.seen();
    let facts = ClusterFacts {
        cluster_id: identity.cluster_id,
        bootstrap: bootstrap(&seen),
        listen: seen[0].listen,
        beyond_loopback: !config.listen.is_loopback(),
        kept_dir: keeps.then(|| home.dir.display().to_string()),
        dir: home.dir.clone(),
        durability: config.durability,
    };
    for (id, listener) in listeners {
        brokers.launch(id, listener, usize::from(count))?;
    }
    let (brokers, early, reports) = wait_until_ready(brokers, queued_reports)?;
    let started = Started {
        brokers,
        early,
        reports,
        found,
    };
    launch(facts, home, started, config.stay_after_crash)
}

/// Who belongs to the cluster: who did before, and as many more as are asked for.
fn roster(dir: &Path, config: &ClusterConfig) -> Result<Roster, StartError> {
    let mut disk = RealDisk::default();
    // Without files nothing of earlier runs is left, so neither need their votes be.
    let before = match config.durability {
        Durability::Memory => None,
        Durability::Os | Durability::Batch => Roster::load(&mut disk, dir)?,
    };
    let asked = config.brokers.map(|count| count.clamp(1, MAX_BROKERS));
    let Some(mut roster) = before else {
        let roster = Roster::new(asked.unwrap_or(DEFAULT_BROKERS), MAX_VOTERS);
        if config.durability != Durability::Memory {
            roster.save(&mut disk, dir)?;
        }
        return Ok(roster);
    };
    let asked = usize::try_from(asked.unwrap_or(0)).unwrap_or(0);
    if asked > 0 && asked < roster.brokers.len() {
        let count = roster.brokers.len();
        tracing::warn!("this directory belongs to {count} brokers, and all of them start");
    }
    while roster.brokers.len() < asked {
        roster.brokers.push(roster.next_broker());
    }
    roster.save(&mut disk, dir)?;
    Ok(roster)
}

type Reports = mpsc::Receiver<Told>;

/// Waits until clients can connect to every broker and all brokers count on each other; returns what was told
/// besides. Where no controller is found it does not wait for ever.
fn wait_until_ready(
    mut brokers: Brokers,
    mut reports: Reports,
) -> Result<(Brokers, Vec<Note>, Reports), StartError> {
    let mut notes = Vec::new();
    let mut failed: Option<String> = None;
    while let Some(told) = reports.blocking_recv() {
        match brokers.on_told(told) {
            News::Note(broker, time, kind) => notes.push((broker, time, kind)),
            News::Ended(_, Ended::Failed { message } | Ended::Crashed { message }) => {
                // The others leave their directories as they found them.
                brokers.stop_all("another broker did not start");
                failed.get_or_insert(message);
            }
            _ => {}
        }
        match failed {
            Some(message) if !brokers.any_alive() => return Err(StartError::Broker(message)),
            None if brokers.all_joined() => {
                return Ok((brokers, notes, reports));
            }
            _ => {}
        }
    }
    Err(StartError::Broker("the brokers ended unheard".into()))
}

/// Starts the cluster's own thread.
fn launch(
    facts: ClusterFacts,
    home: Home,
    started: Started,
    stay_after_crash: bool,
) -> Result<Cluster, StartError> {
    let control = Control::open(&facts.dir)?;
    let (requests, queued_requests) = mpsc::channel(REQUESTS_QUEUED);
    let first = fuse(
        &facts,
        Clock::new().now(),
        &started.brokers.seen(),
        &Focus::default(),
        &mut FusedTopics::default(),
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
        started,
        control,
        show: Show::new(shown, looking),
        next_command,
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

/// Brokers that serve, and the ends of their queues.
struct Started {
    brokers: Brokers,
    /// What they noted while they started.
    early: Vec<Note>,
    reports: Reports,
    found: mpsc::Receiver<Found>,
}

/// Something a broker noted: whose it is, when, and what.
type Note = (BrokerId, Time, EventKind);

/// What the cluster's thread is made of.
struct ClusterThread {
    facts: ClusterFacts,
    home: Home,
    started: Started,
    control: Control,
    show: Show,
    next_command: Arc<AtomicU64>,
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
            started,
            control,
            show,
            ..
        } = self;
        let (events, queued_events) = mpsc::channel(EVENTS_QUEUED);
        let mut core = Core::new(facts, started.brokers, show, events, self.next_command);
        core.stay_after_crash(self.stay_after_crash);
        for (broker, time, kind) in started.early {
            core.note(Some(broker), time, kind);
        }
        match Signals::listen() {
            Ok(signals) => drop(spawn_local(pass_signals(signals, self.requests.clone()))),
            Err(error) => tracing::warn!("signals end klar without a clean stop: {error}"),
        }
        // Nobody waits when the start was given up.
        let _ = self.listening.send(());
        let queues = Queues {
            reports: started.reports,
            found: started.found,
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
