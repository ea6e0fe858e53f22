//! The disk as storage sees it: short synchronous calls on paths.
//!
//! Four implementations: [`RealDisk`] (files), [`WatchedDisk`] (files, and which of their bytes a power loss would
//! take), [`MemoryDisk`] (no file at all, and crashes on demand) and [`FailingDisk`] (another disk that fails on purpose). A write that returned reached the operating
//! system, so it survives a crash of the program; only [`Disk::sync`] makes it survive a power loss.
//! No call retries, and none hides a short write: after an error the caller looks at what is there.

mod buffers;
mod failing;
mod memory;
mod real;
mod unsynced;

use std::io;
use std::path::{Path, PathBuf};

use bytes::Bytes;

pub use failing::{FailingDisk, Fault, FaultPlan, Operation};
pub use memory::{MemoryDisk, MemoryFiles};
pub use real::{RealDisk, sync_path};
pub use unsynced::{LostTail, SyncMarks, Unsynced, WatchedDisk};

/// One entry of a directory.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Entry {
    pub name: String,
    pub is_dir: bool,
    /// Bytes in the file; 0 for a directory.
    pub len: u64,
}

/// A disk: files by path, no handles to keep.
pub trait Disk {
    /// Writes `bytes` at `at` in one call, creating the file if it is missing. On an error any prefix
    /// of `bytes` may have been written.
    fn write_at(&mut self, path: &Path, at: u64, bytes: &[u8]) -> io::Result<()>;

    /// Reads up to `len` bytes from `at`; fewer only where the file ends.
    fn read_at(&mut self, path: &Path, at: u64, len: usize) -> io::Result<Bytes>;

    /// As [`Disk::read_at`], but shared instead of copied where that is possible. Only for bytes that are
    /// never cut off or rewritten while they are held: reading a map behind the end of its file kills the
    /// process. The file may grow.
    fn read_shared(&mut self, path: &Path, at: u64, len: usize) -> io::Result<Bytes>;

    /// Bytes in the file.
    fn len(&mut self, path: &Path) -> io::Result<u64>;

    /// Shortens (or lengthens with zeros) the file.
    fn truncate(&mut self, path: &Path, len: u64) -> io::Result<()>;

    /// Returns once the file's bytes, or the directory's entries, survive a power loss. After an error
    /// nothing written since the last success may be trusted, and a second call proves nothing.
    fn sync(&mut self, path: &Path) -> io::Result<()>;

    /// Puts `from` in the place of `to`, atomically.
    fn rename(&mut self, from: &Path, to: &Path) -> io::Result<()>;

    /// Removes a file.
    fn remove(&mut self, path: &Path) -> io::Result<()>;

    /// Makes the directory and its parents; fine when it is there.
    fn create_dir_all(&mut self, path: &Path) -> io::Result<()>;

    /// Removes the directory and all in it.
    fn remove_dir_all(&mut self, path: &Path) -> io::Result<()>;

    /// What is in the directory, by name.
    fn list(&mut self, path: &Path) -> io::Result<Vec<Entry>>;
}

/// Whether a replaced file is on the medium before its old version is let go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Synced {
    Yes,
    /// The old or the new version, or after a power loss a torn one: only for what has a checksum and
    /// can be rebuilt.
    No,
}

/// Name ending of a file being written; one left over is removed when its log is opened.
pub const UNFINISHED: &str = ".tmp";

/// Bytes copied at once.
const COPY_BYTES: usize = 1024 * 1024;

/// Replaces a whole small file: afterwards it is the old one or the new one, never a mixture.
pub fn replace(disk: &mut dyn Disk, path: &Path, bytes: &[u8], synced: Synced) -> io::Result<()> {
    put_in_place(disk, path, synced, |disk, to| {
        write_new(disk, to, bytes, synced)
    })
}

/// Shortens a file by putting a copy of its first `len` bytes in its place: maps of the old one stay whole.
pub fn replace_by_prefix(disk: &mut dyn Disk, path: &Path, len: u64) -> io::Result<()> {
    put_in_place(disk, path, Synced::Yes, |disk, to| {
        copy_prefix(disk, path, to, len)
    })
}

/// Under which name a file is written before it is put in place.
pub fn unfinished(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(UNFINISHED);
    PathBuf::from(name)
}

/// Has a file written under another name, then takes it for `path`.
fn put_in_place(
    disk: &mut dyn Disk,
    path: &Path,
    synced: Synced,
    write: impl FnOnce(&mut dyn Disk, &Path) -> io::Result<()>,
) -> io::Result<()> {
    let unfinished = unfinished(path);
    if let Err(error) = write(disk, &unfinished) {
        // What cannot be removed now is removed when the directory is opened next.
        let _ = disk.remove(&unfinished);
        return Err(error);
    }
    disk.rename(&unfinished, path)?;
    match path.parent() {
        Some(parent) if synced == Synced::Yes => disk.sync(parent),
        _ => Ok(()),
    }
}

fn copy_prefix(disk: &mut dyn Disk, path: &Path, to: &Path, len: u64) -> io::Result<()> {
    write_new(disk, to, &[], Synced::No)?;
    let mut at = 0;
    while at < len {
        let piece = usize::try_from(len - at).map_or(COPY_BYTES, |left| left.min(COPY_BYTES));
        let bytes = disk.read_at(path, at, piece)?;
        if bytes.is_empty() {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        disk.write_at(to, at, &bytes)?;
        at += bytes.len() as u64;
    }
    disk.sync(to)
}

/// Writes a file as if there had been none.
pub fn write_new(disk: &mut dyn Disk, path: &Path, bytes: &[u8], synced: Synced) -> io::Result<()> {
    match disk.remove(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    disk.write_at(path, 0, bytes)?;
    match synced {
        Synced::Yes => disk.sync(path),
        Synced::No => Ok(()),
    }
}

/// The whole file, or `None` if there is none.
pub fn read_whole(disk: &mut dyn Disk, path: &Path) -> io::Result<Option<Bytes>> {
    let len = match disk.len(path) {
        Ok(len) => len,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    let len = usize::try_from(len).map_err(io::Error::other)?;
    disk.read_at(path, 0, len).map(Some)
}
