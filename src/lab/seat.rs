//! One broker's place: its disk, which outlives it, and the broker while it lives.

use std::path::PathBuf;

use super::clients::port;
use super::schedule::{DiskError, DiskVerb, Schedule};
use crate::broker::{Broker, BrokerConfig, OpenError};
use crate::ids::{BrokerId, Time};
use crate::inspect::Focus;
use crate::storage::{Disk, FailingDisk, Fault, FaultPlan, MemoryDisk, Operation};

/// Brokers that vote for the controller, at most.
const VOTERS: u32 = 5;
/// Where every broker keeps its logs on its own disk.
const DATA_DIR: &str = "/d";

/// One broker's place.
pub(super) struct Seat {
    config: BrokerConfig,
    pub disk: MemoryDisk,
    /// The faults of this incarnation's disk.
    pub faults: FaultPlan,
    /// Disk faults in force, by their place in the schedule: a restart does not heal the disk.
    active: Vec<(usize, Fault)>,
    pub broker: Option<Broker>,
    /// Counts starts.
    pub incarnation: u32,
    pub wake: Option<Time>,
    pub paused_until: Option<Time>,
    /// The process dies within the disk operation with this number, and for how long, milliseconds.
    pub dies_at: Option<(u64, i64)>,
    /// The same for the next start: disk operation, bytes that arrive, milliseconds.
    dies_next: Option<(u64, usize, i64)>,
    /// The next start follows a clean stop.
    pub stopped_clean: bool,
    /// A sync failed since the last start: its logs take no more writes.
    pub sync_failed: bool,
    pub slow_sync_us: u64,
}

impl Seat {
    pub fn new(id: BrokerId, schedule: &Schedule) -> Seat {
        let first = schedule.brokers - schedule.late;
        let voters = 1..=first.min(VOTERS).cast_signed();
        let listen = format!("127.0.0.1:{}", port(id));
        Seat {
            config: BrokerConfig {
                id,
                voters: voters.map(BrokerId).collect(),
                alone: schedule.brokers == 1,
                cluster_id: "a-cluster-in-the-lab".to_owned(),
                listen: listen.parse().expect("an address and a port"),
                data_dir: PathBuf::from(DATA_DIR),
                durability: schedule.durability,
                settings: schedule.settings.clone(),
            },
            disk: MemoryDisk::with_power(),
            faults: FaultPlan::default(),
            active: Vec::new(),
            broker: None,
            incarnation: 0,
            wake: None,
            paused_until: None,
            dies_at: None,
            dies_next: None,
            stopped_clean: false,
            sync_failed: false,
            slow_sync_us: 0,
        }
    }

    /// Starts a broker on the disk.
    pub fn open(&mut self, seed: u64, now: Time) -> Result<(), OpenError> {
        assert!(self.broker.is_none(), "one broker per place");
        self.incarnation += 1;
        self.faults = FaultPlan::default();
        for (_, fault) in &self.active {
            self.faults.add(fault.clone());
        }
        self.sync_failed = false;
        self.wake = None;
        self.dies_at = None;
        if let Some((operations, short_write, down_ms)) = self.dies_next.take() {
            self.faults.crash_at(operations, short_write);
            self.dies_at = Some((operations, down_ms));
        }
        let disk = self.failing_disk();
        let broker = Broker::open(self.config.clone(), disk, seed, now)?;
        self.broker = Some(broker);
        Ok(())
    }

    /// The disk as this incarnation sees it.
    pub fn failing_disk(&self) -> Box<dyn Disk> {
        let inner = Box::new(self.disk.clone());
        Box::new(FailingDisk::new(inner, self.faults.clone()))
    }

    /// Has disk operations fail until [`Seat::lift`] with the same number.
    pub fn strike(&mut self, number: usize, fault: Fault) {
        self.faults.add(fault.clone());
        self.active.push((number, fault));
    }

    /// Lifts one fault of the disk, or all of them.
    pub fn lift(&mut self, number: Option<usize>) {
        self.active
            .retain(|(n, _)| number.is_some_and(|number| number != *n));
        self.faults.heal();
        for (_, fault) in &self.active {
            self.faults.add(fault.clone());
        }
    }

    /// Has the process die within a disk operation, this one or, if it is dead, the next.
    pub fn die_after(&mut self, operations: u64, short_write: usize, down_ms: i64) {
        if self.broker.is_none() {
            self.dies_next = Some((operations, short_write, down_ms));
            return;
        }
        let at = self.faults.operations() + operations;
        self.faults.crash_at(at, short_write);
        self.dies_at = Some((at, down_ms));
    }

    /// Whether its disk has faults.
    pub fn is_struck(&self) -> bool {
        !self.active.is_empty()
    }

    /// When the broker wants to be woken and can be.
    pub fn wakes(&self) -> Option<Time> {
        self.wake
            .map(|wake| wake.max(self.paused_until.unwrap_or(wake)))
    }

    /// Whether a log of the broker needs opening again: a sync of it failed, or its opening.
    pub fn must_restart(&mut self, now: Time) -> bool {
        let Some(broker) = self.broker.as_mut() else {
            return false;
        };
        let topics = broker.picture(now, &Focus::default()).topics;
        let mut partitions = topics.iter().flat_map(|topic| &topic.partitions);
        let unopened = partitions.any(|p| p.trouble.is_some() && p.segments.is_empty());
        self.sync_failed || unopened
    }

    /// Everything about this place works again.
    pub fn heal(&mut self) {
        self.lift(None);
        self.slow_sync_us = 0;
        self.paused_until = None;
        (self.dies_at, self.dies_next) = (None, None);
        self.faults.crash_at(u64::MAX, 0);
    }

    /// Whether the process has died within a disk operation.
    pub fn died_in_disk(&self) -> bool {
        self.dies_at
            .is_some_and(|(at, _)| self.faults.operations() > at)
    }
}

/// A schedule's disk fault as the disk knows it.
pub(super) fn disk_fault(
    verb: DiskVerb,
    error: DiskError,
    short_write: usize,
    times: u32,
) -> Fault {
    Fault {
        operation: match verb {
            DiskVerb::Write => Operation::Write,
            DiskVerb::Read => Operation::Read,
            DiskVerb::Truncate => Operation::Truncate,
            DiskVerb::Sync => Operation::Sync,
            DiskVerb::Rename => Operation::Rename,
            DiskVerb::Remove => Operation::Remove,
            DiskVerb::MakeDir => Operation::MakeDir,
            DiskVerb::List => Operation::List,
        },
        path_end: String::new(),
        error: match error {
            DiskError::Broken => std::io::ErrorKind::Other,
            DiskError::Full => std::io::ErrorKind::StorageFull,
        },
        short_write,
        times: Some(times),
    }
}
