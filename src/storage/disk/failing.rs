//! A disk that fails on purpose: for tests, and for the window's "fill the disk".
//!
//! Wraps another disk. [`FaultPlan`] is a handle that stays with whoever makes the trouble, while the
//! broker owns the disk. A fault either refuses an operation outright or lets part of a write through
//! first, as a full disk does; a crash refuses everything from one operation on.

use std::cell::RefCell;
use std::io;
use std::path::Path;
use std::rc::Rc;

use bytes::Bytes;

use super::{Disk, Entry};

/// Kinds of operation a fault can be about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Operation {
    Write,
    Read,
    Truncate,
    Sync,
    Rename,
    Remove,
    MakeDir,
    List,
}

/// Operations that go wrong until the fault is lifted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    pub operation: Operation,
    /// Only paths with this ending; empty matches all.
    pub path_end: String,
    pub error: io::ErrorKind,
    /// Bytes of a write that still arrive before it fails.
    pub short_write: usize,
    /// How often it strikes; `None` is until lifted.
    pub times: Option<u32>,
}

#[derive(Default)]
struct Plan {
    faults: Vec<Fault>,
    operations: u64,
    crash_at: Option<u64>,
    /// Bytes of the crashing write that still arrive.
    crash_short_write: usize,
}

/// The faults of one failing disk; clones share them.
#[derive(Clone, Default)]
pub struct FaultPlan {
    plan: Rc<RefCell<Plan>>,
}

impl FaultPlan {
    /// Adds a fault.
    pub fn add(&self, fault: Fault) {
        self.plan.borrow_mut().faults.push(fault);
    }

    /// Lifts every fault.
    pub fn heal(&self) {
        self.plan.borrow_mut().faults.clear();
    }

    /// Refuses everything from the operation with this number (from 0) on; of that operation, if it is
    /// a write, the first `short_write` bytes still arrive.
    pub fn crash_at(&self, operation: u64, short_write: usize) {
        let mut plan = self.plan.borrow_mut();
        plan.crash_at = Some(operation);
        plan.crash_short_write = short_write;
    }

    /// Operations that change something, so far.
    pub fn operations(&self) -> u64 {
        self.plan.borrow().operations
    }

    /// What becomes of the next operation: nothing, or an error after so many bytes.
    fn strike(&self, operation: Operation, path: &Path) -> Result<(), (usize, io::Error)> {
        let mut plan = self.plan.borrow_mut();
        let changes = !matches!(operation, Operation::Read | Operation::List);
        let number = plan.operations;
        plan.operations += u64::from(changes);
        if let Some(crash) = plan.crash_at
            && (number > crash || number == crash && changes)
        {
            let short = if number == crash {
                plan.crash_short_write
            } else {
                0
            };
            return Err((short, io::Error::other("crashed on purpose")));
        }
        let path_text = path.to_string_lossy();
        let strikes = |fault: &&mut Fault| {
            fault.operation == operation
                && fault.times != Some(0)
                && path_text.ends_with(&fault.path_end)
        };
        let Some(fault) = plan.faults.iter_mut().find(strikes) else {
            return Ok(());
        };
        if let Some(times) = &mut fault.times {
            *times -= 1;
        }
        Err((fault.short_write, io::Error::from(fault.error)))
    }

    fn check(&self, operation: Operation, path: &Path) -> io::Result<()> {
        self.strike(operation, path).map_err(|(_, error)| error)
    }
}

/// A disk with a plan of faults before it.
pub struct FailingDisk {
    inner: Box<dyn Disk>,
    plan: FaultPlan,
}

impl FailingDisk {
    /// `inner`, failing as `plan` says.
    pub fn new(inner: Box<dyn Disk>, plan: FaultPlan) -> FailingDisk {
        FailingDisk { inner, plan }
    }
}

impl Disk for FailingDisk {
    fn write_at(&mut self, path: &Path, at: u64, bytes: &[u8]) -> io::Result<()> {
        match self.plan.strike(Operation::Write, path) {
            Ok(()) => self.inner.write_at(path, at, bytes),
            Err((short, error)) => {
                let short = short.min(bytes.len());
                if short > 0 {
                    self.inner.write_at(path, at, &bytes[..short])?;
                }
                Err(error)
            }
        }
    }

    fn read_at(&mut self, path: &Path, at: u64, len: usize) -> io::Result<Bytes> {
        self.plan.check(Operation::Read, path)?;
        self.inner.read_at(path, at, len)
    }

    fn read_shared(&mut self, path: &Path, at: u64, len: usize) -> io::Result<Bytes> {
        self.plan.check(Operation::Read, path)?;
        self.inner.read_shared(path, at, len)
    }

    fn len(&mut self, path: &Path) -> io::Result<u64> {
        self.plan.check(Operation::Read, path)?;
        self.inner.len(path)
    }

    fn truncate(&mut self, path: &Path, len: u64) -> io::Result<()> {
        self.plan.check(Operation::Truncate, path)?;
        self.inner.truncate(path, len)
    }

    fn sync(&mut self, path: &Path) -> io::Result<()> {
        self.plan.check(Operation::Sync, path)?;
        self.inner.sync(path)
    }

    fn rename(&mut self, from: &Path, to: &Path) -> io::Result<()> {
        self.plan.check(Operation::Rename, from)?;
        self.inner.rename(from, to)
    }

    fn remove(&mut self, path: &Path) -> io::Result<()> {
        self.plan.check(Operation::Remove, path)?;
        self.inner.remove(path)
    }

    fn create_dir_all(&mut self, path: &Path) -> io::Result<()> {
        self.plan.check(Operation::MakeDir, path)?;
        self.inner.create_dir_all(path)
    }

    fn remove_dir_all(&mut self, path: &Path) -> io::Result<()> {
        self.plan.check(Operation::Remove, path)?;
        self.inner.remove_dir_all(path)
    }

    fn list(&mut self, path: &Path) -> io::Result<Vec<Entry>> {
        self.plan.check(Operation::List, path)?;
        self.inner.list(path)
    }
}
