//! One broker on one OS thread: opens it, accepts clients, stops, pauses or kills it, survives its panic.
//!
//! Guarantees that the thread ends with exactly one [`Report::Ended`], whatever happened. It shares no
//! memory with other threads: orders come in and reports go out over bounded queues.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::rc::Rc;
use std::sync::Arc;
use std::thread::JoinHandle;

use tokio::runtime::{Builder, LocalOptions};
use tokio::sync::mpsc::{self, Receiver, Sender, UnboundedReceiver};
use tokio::sync::watch;
use tokio::task::spawn_local;
use tokio::time::timeout;

use super::clock::{Clock, Course};
use super::driver::Driver;
use super::flush::{FlushThread, Flushed};
use super::kill::KillSwitch;
use super::limits::{HAND_OVER_WAIT, JOIN_WAIT, STOP_WAIT, SYNC_POLL, SYNC_WAIT};
use super::peers::Neighbours;
use super::{Ended, Report, Reports, Told, crash_message, listener, pictures};
use crate::broker::{Broker, BrokerConfig};
use crate::inspect::Focus;
use crate::storage::{Disk, MemoryDisk, MemoryFiles, SyncMarks, Unsynced, WatchedDisk};

/// Orders a broker's thread has not yet taken.
const ORDERS_QUEUED: usize = 256;
/// The broker's stack, bytes: what its decoders and the panic machinery need, with room.
const STACK_BYTES: usize = 2 * 1024 * 1024;

/// Addresses of klar's own clients announced and not yet seen.
const OWN_ANNOUNCED: usize = 1_024;

/// The receiving ends of what a broker's thread is told, and where it tells.
struct Queues {
    orders: Receiver<Order>,
    own: Receiver<SocketAddr>,
    switch: Arc<KillSwitch>,
    reports: Reports,
}

/// Everything a broker's thread is started with.
#[derive(Debug)]
pub struct BrokerStart {
    pub config: BrokerConfig,
    /// Comes back with every report.
    pub run: u64,
    /// The cluster's other brokers.
    pub neighbours: watch::Receiver<Arc<Neighbours>>,
    /// How time passes in the cluster.
    pub courses: watch::Receiver<Course>,
    pub listener: std::net::TcpListener,
    pub medium: Medium,
    pub seed: u64,
    /// Connections at a time.
    pub connections_allowed: usize,
    /// Brokers, itself included, that the cluster must count on before this one says that it has joined.
    pub awaits: usize,
}

/// What the broker's files are. It outlives the broker and comes back with its last report.
#[derive(Debug)]
pub enum Medium {
    /// The operating system's, and which of their bytes are not synced.
    Files(Unsynced),
    Memory(MemoryFiles),
}

/// The same while the broker runs.
enum Mounted {
    Files(SyncMarks),
    Memory(MemoryDisk),
}

impl Mounted {
    fn new(medium: Medium) -> Mounted {
        match medium {
            Medium::Files(unsynced) => Mounted::Files(Rc::new(RefCell::new(unsynced))),
            Medium::Memory(files) => Mounted::Memory(MemoryDisk::holding(files)),
        }
    }

    fn disk(&self) -> Box<dyn Disk> {
        match self {
            Mounted::Files(marks) => Box::new(WatchedDisk::new(Rc::clone(marks))),
            Mounted::Memory(disk) => Box::new(disk.clone()),
        }
    }

    fn marks(&self) -> SyncMarks {
        match self {
            Mounted::Files(marks) => Rc::clone(marks),
            Mounted::Memory(_) => SyncMarks::default(),
        }
    }

    /// Takes it from under whoever still uses it.
    fn unmount(&self) -> Medium {
        match self {
            Mounted::Files(marks) => Medium::Files(marks.take().abandoned()),
            Mounted::Memory(disk) => Medium::Memory(disk.take_files()),
        }
    }
}

/// What the cluster tells a broker's thread.
#[derive(Debug)]
pub enum Order {
    /// A picture is wanted: of this focus from now on, or a fresh one in any case.
    Look { focus: Option<Focus>, fresh: bool },
    /// Stop cleanly, after handing leaderships over to those that go on, if any do.
    Stop { cause: String, others: bool },
    /// Stand still, as after SIGSTOP, until the other end of this is dropped.
    Pause(std::sync::mpsc::Receiver<()>),
}

/// A broker's running thread.
#[derive(Debug)]
pub struct BrokerThread {
    pub orders: Sender<Order>,
    /// Addresses klar's own clients are about to connect from.
    pub own: Sender<SocketAddr>,
    switch: Arc<KillSwitch>,
    /// Holds the thread still while it is here.
    paused: Option<std::sync::mpsc::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl BrokerThread {
    /// Starts the thread; what it has to say goes to `reports`.
    ///
    /// # Errors
    /// The system refuses another thread.
    pub fn start(start: BrokerStart, reports: Sender<Told>) -> std::io::Result<BrokerThread> {
        let (orders, queued_orders) = mpsc::channel(ORDERS_QUEUED);
        let (own, announced) = mpsc::channel(OWN_ANNOUNCED);
        let switch = Arc::new(KillSwitch::default());
        let reports = Reports {
            broker: start.config.id,
            run: start.run,
            queue: reports,
        };
        let queues = Queues {
            orders: queued_orders,
            own: announced,
            switch: Arc::clone(&switch),
            reports: reports.clone(),
        };
        let thread = std::thread::Builder::new()
            .name(format!("broker-{}", start.config.id))
            .stack_size(STACK_BYTES)
            .spawn(move || {
                let (ended, medium) = run(start, queues);
                let last = reports.tell(Report::Ended(ended, medium));
                // Nobody listens when the whole program ends.
                let _ = reports.queue.blocking_send(last);
            })?;
        Ok(BrokerThread {
            orders,
            own,
            switch,
            paused: None,
            thread: Some(thread),
        })
    }

    /// Ends the broker as `kill -9` ends a process: nothing is flushed, no answer leaves any more, its
    /// connections are reset. Its last report says when it is gone.
    pub fn kill(&mut self) {
        self.switch.throw();
        self.paused = None;
    }

    /// Has the thread stand still: it reads nothing, answers nothing, and no timer of it runs. False when
    /// it cannot be told so now.
    pub fn pause(&mut self) -> bool {
        let (hold, held) = std::sync::mpsc::channel();
        let told = self.orders.try_send(Order::Pause(held)).is_ok();
        if told {
            self.paused = Some(hold);
        }
        told
    }

    /// Lets it go on.
    pub fn resume(&mut self) {
        self.paused = None;
    }

    /// Waits for the thread's end.
    pub fn join(&mut self) {
        if let Some(thread) = self.thread.take() {
            // Its panic went out as a report.
            let _ = thread.join();
        }
    }
}

/// Runs a broker until its end; returns its files, too.
fn run(mut start: BrokerStart, queues: Queues) -> (Ended, Medium) {
    let none = Medium::Files(Unsynced::default());
    let mounted = Mounted::new(std::mem::replace(&mut start.medium, none));
    // Its files outlive even a panic of the thread: with them would go its vote, and it could give it twice.
    let ended = catch_unwind(AssertUnwindSafe(|| run_on(&mounted, start, queues)));
    let ended = ended.unwrap_or_else(|payload| Ended::Crashed {
        message: crash_message(payload.as_ref()),
    });
    // Whoever used the disk went with the event loop.
    (ended, mounted.unmount())
}

fn run_on(mounted: &Mounted, start: BrokerStart, queues: Queues) -> Ended {
    let (disk, marks) = (mounted.disk(), mounted.marks());
    let runtime = Builder::new_current_thread()
        .enable_all()
        .build_local(LocalOptions::default());
    match runtime {
        // As a task: to wake what `block_on` itself polls costs a write to the event loop, even from within.
        Ok(runtime) => runtime.block_on(async {
            let life = spawn_local(live((disk, marks), start, queues)).await;
            life.unwrap_or_else(|error| resume_unwind(error.into_panic()))
        }),
        Err(error) => Ended::Failed {
            message: format!("no event loop: {error}"),
        },
    }
}

/// A broker's whole life.
async fn live(files: (Box<dyn Disk>, SyncMarks), start: BrokerStart, queues: Queues) -> Ended {
    let (driver, flushed) = match open(files, &start, queues.reports, queues.switch) {
        Ok(opened) => opened,
        Err(message) => return Ended::Failed { message },
    };
    let listener = match tokio::net::TcpListener::from_std(start.listener) {
        Ok(listener) => listener,
        Err(error) => {
            return Ended::Failed {
                message: format!("cannot listen: {error}"),
            };
        }
    };
    let own = OwnClients {
        announced: RefCell::new(queues.own),
        expected: RefCell::default(),
    };
    let accepting = spawn_local(listener::accept(
        listener,
        Rc::clone(&driver),
        start.connections_allowed,
        move |peer| own.knows(peer),
    ));
    let mut orders = queues.orders;
    driver.report(Report::Ready);
    driver.expect_to_join(start.awaits);
    let cause = tokio::select! {
        ended = driver.died() => return ended,
        cause = obey(&driver, &mut orders) => cause,
        () = wait_to_join(&driver) => String::new(),
        () = driver.run_timer() => String::new(),
        () = pictures::publish(&driver) => String::new(),
        () = pass_flushed(&driver, flushed) => String::new(),
    };
    accepting.abort();
    stop(&driver, cause).await
}

type Opened = (Rc<Driver>, UnboundedReceiver<Flushed>);

fn open(
    (disk, marks): (Box<dyn Disk>, SyncMarks),
    start: &BrokerStart,
    reports: Reports,
    switch: Arc<KillSwitch>,
) -> Result<Opened, String> {
    let (done, flushed) = mpsc::unbounded_channel();
    let name = format!("flush-{}", start.config.id);
    let flush = FlushThread::start(name, marks, done).map_err(|error| error.to_string())?;
    let clock = Clock::following(start.courses.clone());
    let broker = Broker::open(start.config.clone(), disk, start.seed, clock.now())
        .map_err(|error| error.to_string())?;
    let neighbours = start.neighbours.clone();
    let driver = Driver::new(broker, clock, flush, reports, neighbours, switch);
    // Carries out what opening left to do and arms the timer.
    let _ = driver.drive(|_, _| ());
    Ok((driver, flushed))
}

/// Addresses klar's own clients announced before they connected.
struct OwnClients {
    announced: RefCell<Receiver<SocketAddr>>,
    expected: RefCell<BTreeSet<SocketAddr>>,
}

impl OwnClients {
    /// True once for each announced address.
    fn knows(&self, peer: SocketAddr) -> bool {
        let mut expected = self.expected.borrow_mut();
        let mut announced = self.announced.borrow_mut();
        while let Ok(address) = announced.try_recv() {
            expected.insert(address);
        }
        expected.remove(&peer)
    }
}

/// Says in time that the broker has not become one of its cluster, then waits for ever.
async fn wait_to_join(driver: &Driver) {
    tokio::time::sleep(JOIN_WAIT).await;
    driver.tell_joined(false);
    std::future::pending().await
}

/// Follows orders until the broker is to end; returns the cause.
async fn obey(driver: &Driver, orders: &mut Receiver<Order>) -> String {
    let (cause, others) = follow(driver, orders).await;
    if others && driver.drive(Broker::begin_stop).is_ok() {
        let handed_over = async {
            tokio::select! {
                () = driver.may_stop() => {}
                // The whole program stops meanwhile: there is nobody to hand anything to.
                (_, _) = follow(driver, orders) => {}
            }
        };
        if timeout(HAND_OVER_WAIT, handed_over).await.is_err() {
            tracing::warn!("not everything was handed over in time");
        }
    }
    if timeout(SYNC_WAIT, end_syncs(driver)).await.is_err() {
        tracing::warn!("a sync does not end: the next start checks its logs");
    }
    cause
}

/// Waits until the syncs under way are answered.
async fn end_syncs(driver: &Driver) {
    let mut under_way = driver.drive(|broker, _| {
        broker.end_syncs();
        broker.is_syncing()
    });
    while under_way == Ok(true) {
        tokio::time::sleep(SYNC_POLL).await;
        under_way = driver.drive(|broker, _| broker.is_syncing());
    }
}

/// Follows orders until one to stop; returns its cause, and whether others go on.
async fn follow(driver: &Driver, orders: &mut Receiver<Order>) -> (String, bool) {
    loop {
        match orders.recv().await {
            Some(Order::Look { focus, fresh }) => {
                if !driver.pictures.look(focus, fresh) {
                    driver.report(Report::Same);
                }
            }
            Some(Order::Stop { cause, others }) => return (cause, others),
            Some(Order::Pause(held)) => {
                // An error is how it ends: the other end was dropped. Blocking is the point.
                let _ = held.recv();
            }
            None => return ("the program ends".to_owned(), false),
        }
    }
}

/// Hands results of syncing back to the broker; returns when it crashed.
async fn pass_flushed(driver: &Driver, mut flushed: UnboundedReceiver<Flushed>) {
    while let Some(flushed) = flushed.recv().await {
        driver.flush.ended(&flushed);
        let Flushed { token, result, .. } = flushed;
        let passed = driver.drive(|broker, now| broker.on_flushed(now, token, result));
        if passed.is_err() {
            return;
        }
    }
}

/// Stops a broker whose clients no longer come in.
async fn stop(driver: &Driver, cause: String) -> Ended {
    tracing::info!("stopping: {cause}");
    if driver.finish(Broker::stop_clean).is_err() {
        return driver.died().await;
    }
    let deadline = tokio::time::Instant::now() + STOP_WAIT;
    // Answers given by stopping, and those under way, get their chance to leave.
    tokio::task::yield_now().await;
    while driver.writing.get() > 0 && tokio::time::Instant::now() < deadline {
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    }
    Ended::Clean
}
