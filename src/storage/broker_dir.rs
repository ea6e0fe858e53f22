//! The data directory: who may use it, whose it is, and how the last run left its logs.
//!
//! One checkpoint holds the recovery points of all logs, and a clean stop leaves one file with the state
//! of all logs, so that opening thousands of logs touches few files. The clean-stop file is taken away
//! before anything is written: whoever crashes later was not stopped cleanly.

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions, TryLockError};
use std::path::{Path, PathBuf};

use super::disk::{Disk, Synced, read_whole, replace, unfinished, write_new};
use super::epochs::Epochs;
use super::error::StorageError;
use super::format::{self, Fields, FormatError, put_text};
use super::log::{LogState, Opening};
use super::offset_index::SegmentFacts;
use super::retention::DELETED;
use super::segment::known_version;
use crate::ids::{BrokerId, Offset};

const LOCK_FILE: &str = ".lock";
const IDENTITY_FILE: &str = "meta";
const RECOVERY_POINTS_FILE: &str = "recovery-point-offset-checkpoint";
const CLEAN_STOP_FILE: &str = "clean-stop";

/// Held while a program uses a data directory of the operating system; let go when dropped, and by the
/// kernel when the program dies.
#[derive(Debug)]
pub struct DirLock {
    _file: File,
}

impl DirLock {
    /// Locks the directory, making it if it is missing.
    pub fn take(root: &Path) -> Result<DirLock, StorageError> {
        std::fs::create_dir_all(root).map_err(StorageError::io("make", root))?;
        let path = root.join(LOCK_FILE);
        let file = OpenOptions::new()
            .create(true)
            .write(true)
            .truncate(false)
            .open(&path)
            .map_err(StorageError::io("open", &path))?;
        match file.try_lock() {
            Ok(()) => Ok(DirLock { _file: file }),
            Err(TryLockError::WouldBlock) => Err(StorageError::Locked {
                path: root.to_owned(),
            }),
            Err(TryLockError::Error(error)) => Err(StorageError::io("lock", &path)(error)),
        }
    }
}

/// Whose data these are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    pub cluster_id: String,
}

impl Identity {
    /// Reads the directory's identity, or writes a new one.
    pub fn load_or_create(
        disk: &mut dyn Disk,
        root: &Path,
        new_cluster_id: impl FnOnce() -> String,
    ) -> Result<Identity, StorageError> {
        disk.create_dir_all(root)
            .map_err(StorageError::io("make", root))?;
        let path = root.join(IDENTITY_FILE);
        let bytes = read_whole(disk, &path).map_err(StorageError::io("read", &path))?;
        if let Some(bytes) = bytes {
            let opened = format::open(format::MAGIC_IDENTITY, &bytes)
                .and_then(|body| Fields::new(body).text().map(str::to_owned));
            let cause = opened.as_ref().err().map(FormatError::to_string);
            // Nothing else knows the cluster id, so a damaged one cannot be rebuilt.
            return match known_version(Some(opened), &path)? {
                Some(cluster_id) => Ok(Identity { cluster_id }),
                None => Err(StorageError::Damaged {
                    path,
                    cause: cause.unwrap_or_default(),
                }),
            };
        }
        let identity = Identity {
            cluster_id: new_cluster_id(),
        };
        let mut body = Vec::new();
        put_text(&mut body, &identity.cluster_id);
        let file = format::seal(format::MAGIC_IDENTITY, &body);
        replace(disk, &path, &file, Synced::Yes).map_err(StorageError::io("write", &path))?;
        Ok(identity)
    }
}

/// One broker's part of a data directory.
#[derive(Debug)]
pub struct BrokerDir {
    dir: PathBuf,
    /// What a crash may find in the checkpoint of recovery points: of each log the highest.
    said: BTreeMap<String, Offset>,
    /// What the checkpoint says if the last rename is not lost.
    newest: BTreeMap<String, Offset>,
    /// What a checkpoint under another name says that is being synced.
    begun: Option<BTreeMap<String, Offset>>,
}

/// How the last run left the logs. The caller names them: a log made again after its deletion needs
/// another name here, or it is held against the old one.
#[derive(Debug, Default)]
pub struct LastRun {
    /// The broker was stopped, and every log with it.
    pub clean: bool,
    states: BTreeMap<String, LogState>,
    /// [`Offset::NONE`] where it was not known.
    recovery_points: BTreeMap<String, Offset>,
    /// There was a checkpoint of recovery points that could not be read.
    checkpoint_lost: bool,
    /// Deletions that could not be finished, and why; they are tried again at the next start.
    pub unfinished: Vec<StorageError>,
}

impl LastRun {
    /// How to open the log with this name.
    pub fn opening(&mut self, name: &str) -> Opening {
        let point = self.recovery_points.remove(name);
        if let Some(state) = self.states.remove(name) {
            return Opening::Clean(Box::new(state));
        }
        match point {
            // What was synced of it is not known, so nothing of it is cut that could have been.
            Some(Offset::NONE) => Opening::Unknown,
            None if self.checkpoint_lost => Opening::Unknown,
            Some(recovery_point) => Opening::Unclean { recovery_point },
            // It was made after the checkpoint.
            None => Opening::Unclean {
                recovery_point: Offset::ZERO,
            },
        }
    }

    /// Logs that were not asked for: as they were closed, and how many were not closed.
    pub fn take_unopened(&mut self) -> (BTreeMap<String, LogState>, usize) {
        let closed = std::mem::take(&mut self.states);
        let points = self.recovery_points.keys();
        let open = points.filter(|name| !closed.contains_key(*name)).count();
        (closed, open)
    }

    /// Logs whose name ends so are gone.
    pub fn forget(&mut self, ending: &str) {
        self.states.retain(|name, _| !name.ends_with(ending));
        self.recovery_points
            .retain(|name, _| !name.ends_with(ending));
    }

    /// Recovery points of logs that were not asked for yet: the next checkpoint must keep them.
    pub fn unopened(&self) -> impl Iterator<Item = (&String, Offset)> {
        self.recovery_points
            .iter()
            .map(|(name, point)| (name, *point))
    }
}

impl BrokerDir {
    /// Opens a broker's directory under `root`, finds out how the last run ended, and finishes deletions
    /// it began.
    pub fn open(
        disk: &mut dyn Disk,
        root: &Path,
        broker: BrokerId,
    ) -> Result<(BrokerDir, LastRun), StorageError> {
        let dir = root.join(format!("broker-{broker}"));
        disk.create_dir_all(&dir)
            .map_err(StorageError::io("make", &dir))?;
        let mut broker_dir = BrokerDir {
            dir,
            said: BTreeMap::new(),
            newest: BTreeMap::new(),
            begun: None,
        };
        let mut last_run = broker_dir.take_last_run(disk)?;
        last_run.unfinished = broker_dir.sweep(disk)?;
        Ok((broker_dir, last_run))
    }

    /// The directory all of the broker's logs are in.
    pub fn path(&self) -> &Path {
        &self.dir
    }

    /// The directory of a log.
    pub fn log_dir(&self, name: &str) -> PathBuf {
        self.dir.join(name)
    }

    /// Names of all log directories there are.
    pub fn log_names(&self, disk: &mut dyn Disk) -> Result<Vec<String>, StorageError> {
        let entries = disk
            .list(&self.dir)
            .map_err(StorageError::io("list", &self.dir))?;
        let dirs = entries.into_iter().filter(|entry| entry.is_dir);
        Ok(dirs.map(|entry| entry.name).collect())
    }

    /// A small file beside the logs; `None` if there is none.
    pub fn read_file(
        &self,
        disk: &mut dyn Disk,
        name: &str,
    ) -> Result<Option<bytes::Bytes>, StorageError> {
        let path = self.dir.join(name);
        read_whole(disk, &path).map_err(StorageError::io("read", &path))
    }

    /// Replaces a small file beside the logs as a whole; it is synced when this returns.
    pub fn write_file(
        &self,
        disk: &mut dyn Disk,
        name: &str,
        bytes: &[u8],
    ) -> Result<(), StorageError> {
        let path = self.dir.join(name);
        replace(disk, &path, bytes, Synced::Yes).map_err(StorageError::io("write", &path))
    }

    /// Remembers what is synced of each log, and syncs that itself. Call with every log, [`Offset::NONE`] where it is
    /// not known: one that is missing here is taken for new after a crash.
    pub fn write_recovery_points(
        &mut self,
        disk: &mut dyn Disk,
        points: &BTreeMap<String, Offset>,
    ) -> Result<(), StorageError> {
        self.begun = None;
        let path = self.dir.join(RECOVERY_POINTS_FILE);
        replace(disk, &path, &points_file(points), Synced::Yes)
            .map_err(StorageError::io("write", &path))?;
        self.newest.clone_from(points);
        self.said.clone_from(points);
        Ok(())
    }

    /// As [`BrokerDir::write_recovery_points`] for a caller that syncs elsewhere: the files to sync, after which
    /// [`BrokerDir::finish_recovery_points`] puts the new checkpoint in place. Until then a crash finds the last one.
    pub fn begin_recovery_points(
        &mut self,
        disk: &mut dyn Disk,
        points: BTreeMap<String, Offset>,
    ) -> Result<Vec<PathBuf>, StorageError> {
        self.begun = None;
        let path = unfinished(&self.dir.join(RECOVERY_POINTS_FILE));
        write_new(disk, &path, &points_file(&points), Synced::No)
            .map_err(StorageError::io("write", &path))?;
        self.begun = Some(points);
        // With the directory the last rename is safe.
        Ok(vec![path, self.dir.clone()])
    }

    /// Puts the checkpoint that was begun, and is synced by now, in place of the last one.
    pub fn finish_recovery_points(&mut self, disk: &mut dyn Disk) -> Result<(), StorageError> {
        let Some(points) = self.begun.take() else {
            return Ok(());
        };
        let path = self.dir.join(RECOVERY_POINTS_FILE);
        disk.rename(&unfinished(&path), &path)
            .map_err(StorageError::io("write", &path))?;
        // A power loss may take the rename back.
        self.said = std::mem::replace(&mut self.newest, points);
        for (name, point) in &self.newest {
            let said = self.said.entry(name.clone()).or_insert(*point);
            *said = (*said).max(*point);
        }
        Ok(())
    }

    /// Has no crash find a log's recovery point beyond `end`. Must come before the log is cut there: what is written
    /// behind the cut is not synced.
    pub fn lower_recovery_point(
        &mut self,
        disk: &mut dyn Disk,
        name: &str,
        end: Offset,
    ) -> Result<(), StorageError> {
        let begun = self.begun.as_ref().and_then(|points| points.get(name));
        if begun.is_some_and(|point| *point > end) {
            // It is not put in place: the next says less.
            self.begun = None;
        }
        if self.said.get(name).is_none_or(|said| *said <= end) {
            return Ok(());
        }
        let mut points = self.newest.clone();
        points.insert(name.to_owned(), end);
        self.write_recovery_points(disk, &points)
    }

    /// Marks the stop as clean. Call last, when every log was closed without an error.
    pub fn write_clean_stop(
        &mut self,
        disk: &mut dyn Disk,
        states: &BTreeMap<String, LogState>,
    ) -> Result<(), StorageError> {
        let points = states.iter().map(|(n, s)| (n.clone(), s.recovery_point));
        self.write_recovery_points(disk, &points.collect())?;
        let mut body = Vec::new();
        for (name, state) in states {
            put_text(&mut body, name);
            put_state(&mut body, state);
        }
        let file = format::seal(format::MAGIC_CLEAN_STOP, &body);
        let path = self.dir.join(CLEAN_STOP_FILE);
        replace(disk, &path, &file, Synced::Yes).map_err(StorageError::io("write", &path))
    }

    fn take_last_run(&mut self, disk: &mut dyn Disk) -> Result<LastRun, StorageError> {
        let mut last_run = LastRun::default();
        let path = self.dir.join(RECOVERY_POINTS_FILE);
        let bytes = read_whole(disk, &path).map_err(StorageError::io("read", &path))?;
        let checkpointed = bytes.is_some();
        let points = bytes.map(|bytes| read_recovery_points(&bytes));
        let points = known_version(points, &path)?;
        last_run.checkpoint_lost = checkpointed && points.is_none();
        last_run.recovery_points = points.unwrap_or_default();
        self.newest.clone_from(&last_run.recovery_points);
        self.said.clone_from(&last_run.recovery_points);
        let path = self.dir.join(CLEAN_STOP_FILE);
        let bytes = read_whole(disk, &path).map_err(StorageError::io("read", &path))?;
        let Some(bytes) = bytes else {
            return Ok(last_run);
        };
        if let Some(states) = known_version(Some(read_clean_stop(&bytes)), &path)? {
            last_run.clean = true;
            last_run.states = states;
        }
        disk.remove(&path)
            .map_err(StorageError::io("remove", &path))?;
        disk.sync(&self.dir)
            .map_err(StorageError::io("sync", &self.dir))?;
        Ok(last_run)
    }

    /// Finishes deletions that were begun; those it could not finish.
    fn sweep(&self, disk: &mut dyn Disk) -> Result<Vec<StorageError>, StorageError> {
        let mut unfinished = Vec::new();
        for name in self.log_names(disk)? {
            if name.ends_with(DELETED) {
                let path = self.dir.join(name);
                let removed = disk.remove_dir_all(&path);
                unfinished.extend(removed.map_err(StorageError::io("remove", &path)).err());
            }
        }
        Ok(unfinished)
    }
}

fn points_file(points: &BTreeMap<String, Offset>) -> Vec<u8> {
    let mut body = Vec::new();
    for (name, point) in points {
        put_text(&mut body, name);
        body.extend_from_slice(&point.0.to_be_bytes());
    }
    format::seal(format::MAGIC_RECOVERY_POINTS, &body)
}

fn put_state(out: &mut Vec<u8>, state: &LogState) {
    out.extend_from_slice(&state.log_start.0.to_be_bytes());
    out.extend_from_slice(&state.recovery_point.0.to_be_bytes());
    out.push(u8::from(state.has_producers));
    state.epochs.put(out);
    let count = u32::try_from(state.segments.len()).expect("segments fit memory");
    out.extend_from_slice(&count.to_be_bytes());
    for facts in &state.segments {
        facts.put(out);
    }
}

fn take_state(fields: &mut Fields<'_>) -> Result<LogState, FormatError> {
    let log_start = Offset(fields.i64()?);
    let recovery_point = Offset(fields.i64()?);
    let has_producers = fields.bytes(1)? != [0];
    let epochs = Epochs::take(fields)?;
    let mut segments = Vec::new();
    for _ in 0..fields.u32()? {
        segments.push(SegmentFacts::take(fields)?);
    }
    let state = LogState {
        log_start,
        recovery_point,
        segments,
        epochs,
        has_producers,
    };
    if is_possible(&state) {
        Ok(state)
    } else {
        Err(FormatError::Value)
    }
}

/// Whether a log can have been closed like this. A checksum vouches for the bytes, not for who wrote them.
fn is_possible(state: &LogState) -> bool {
    let Some(last) = state.segments.last() else {
        return false;
    };
    let within = |offset: Offset| Offset::ZERO <= offset && offset <= last.end;
    within(state.log_start)
        && within(state.recovery_point)
        && state
            .segments
            .iter()
            .all(|s| s.base <= s.end && within(s.base))
        && state.segments.windows(2).all(|s| s[0].end <= s[1].base)
}

/// Reads the clean-stop file.
pub(super) fn read_clean_stop(file: &[u8]) -> Result<BTreeMap<String, LogState>, FormatError> {
    let mut fields = Fields::new(format::open(format::MAGIC_CLEAN_STOP, file)?);
    let mut states = BTreeMap::new();
    while !fields.is_empty() {
        let name = fields.text()?.to_owned();
        states.insert(name, take_state(&mut fields)?);
    }
    Ok(states)
}

/// The recovery points a broker would find that started on this directory now: none where it would read every log.
///
/// # Errors
/// The checkpoint is there and cannot be read at all.
pub fn recovery_points(
    disk: &mut dyn Disk,
    dir: &Path,
) -> Result<BTreeMap<String, Offset>, StorageError> {
    let path = dir.join(RECOVERY_POINTS_FILE);
    let bytes = read_whole(disk, &path).map_err(StorageError::io("read", &path))?;
    let points = bytes.and_then(|bytes| read_recovery_points(&bytes).ok());
    Ok(points.unwrap_or_default())
}

/// Reads the recovery point checkpoint.
pub(super) fn read_recovery_points(file: &[u8]) -> Result<BTreeMap<String, Offset>, FormatError> {
    let mut fields = Fields::new(format::open(format::MAGIC_RECOVERY_POINTS, file)?);
    let mut points = BTreeMap::new();
    while !fields.is_empty() {
        let name = fields.text()?.to_owned();
        points.insert(name, Offset(fields.i64()?));
    }
    Ok(points)
}
