//! Files of the operating system.
//!
//! Keeps the most recently used files open and the most recently used sealed files mapped, so that
//! 10,000 partitions need neither 10,000 descriptors nor an `open` per append. Does not lock, retry or
//! check anything.

use std::collections::HashMap;
use std::fs::{self, File, OpenOptions};
use std::io;
use std::ops::RangeInclusive;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use memmap2::Mmap;

use super::buffers::Buffers;
use super::{Disk, Entry};

/// Files kept open at most, and at least whatever the process's limit.
const OPEN_FILES: RangeInclusive<usize> = 8..=256;
/// One disk keeps at most this part of the files the process may have open: brokers and connections share it.
const SHARE_OF_LIMIT: usize = 16;
/// Files kept mapped. The kernel allows 65,530 maps per process.
const MAPPED_FILES: usize = 512;

/// The operating system's files.
pub struct RealDisk {
    open_files: usize,
    files: Recent<File>,
    maps: Recent<Bytes>,
    buffers: Buffers,
}

/// At most a fixed number of values by path; the least recently used one goes first.
struct Recent<T> {
    by_path: HashMap<PathBuf, (T, u64)>,
    uses: u64,
}

impl<T> Default for Recent<T> {
    fn default() -> Self {
        Recent {
            by_path: HashMap::new(),
            uses: 0,
        }
    }
}

impl<T> Recent<T> {
    fn get(&mut self, path: &Path) -> Option<&T> {
        self.uses += 1;
        let (value, used) = self.by_path.get_mut(path)?;
        *used = self.uses;
        Some(value)
    }

    fn insert(&mut self, path: &Path, value: T, limit: usize) {
        while self.by_path.len() >= limit {
            let oldest = self.by_path.iter().min_by_key(|(_, (_, used))| *used);
            let oldest = oldest.map(|(path, _)| path.clone());
            oldest.map(|path| self.by_path.remove(&path));
        }
        self.by_path.insert(path.to_owned(), (value, self.uses));
    }

    fn forget(&mut self, path: &Path) {
        self.by_path.remove(path);
    }

    fn forget_under(&mut self, dir: &Path) {
        self.by_path.retain(|path, _| !path.starts_with(dir));
    }
}

impl Default for RealDisk {
    fn default() -> Self {
        let limit = rlimit::Resource::NOFILE.get_soft().unwrap_or(0);
        RealDisk {
            open_files: RealDisk::open_files(limit),
            files: Recent::default(),
            maps: Recent::default(),
            buffers: Buffers::default(),
        }
    }
}

impl RealDisk {
    /// A disk with nothing open.
    pub fn new() -> RealDisk {
        RealDisk::default()
    }

    /// Files to keep open when the process may have `limit` open.
    fn open_files(limit: u64) -> usize {
        let limit = usize::try_from(limit).unwrap_or(usize::MAX);
        (limit / SHARE_OF_LIMIT).clamp(*OPEN_FILES.start(), *OPEN_FILES.end())
    }

    fn file(&mut self, path: &Path, create: bool) -> io::Result<&File> {
        if self.files.get(path).is_none() {
            let file = OpenOptions::new()
                .read(true)
                .write(true)
                .create(create)
                .truncate(false)
                .open(path)?;
            self.files.insert(path, file, self.open_files);
        }
        Ok(self.files.get(path).expect("inserted above"))
    }

    fn forget(&mut self, path: &Path) {
        self.files.forget(path);
        self.maps.forget(path);
    }

    /// A map of the file that reaches to `end`, or as far as the file does. A file that has grown is mapped
    /// anew; the old map lives as long as its readers.
    fn map(&mut self, path: &Path, end: usize) -> io::Result<Bytes> {
        if let Some(map) = self.maps.get(path)
            && map.len() >= end
        {
            return Ok(map.clone());
        }
        let file = File::open(path)?;
        let len = file.metadata()?.len();
        if let Some(map) = self.maps.get(path)
            && map.len() as u64 == len
        {
            return Ok(map.clone());
        }
        if len == 0 {
            return Ok(Bytes::new());
        }
        // SAFETY: nobody cuts off or rewrites bytes that were given out of a map while they are held, and the
        // directory lock keeps a second program away; see `Disk::read_shared`.
        let map = Bytes::from_owner(unsafe { Mmap::map(&file)? });
        self.maps.insert(path, map.clone(), MAPPED_FILES);
        Ok(map)
    }
}

impl Disk for RealDisk {
    fn write_at(&mut self, path: &Path, at: u64, bytes: &[u8]) -> io::Result<()> {
        self.file(path, true)?.write_all_at(bytes, at)
    }

    fn read_at(&mut self, path: &Path, at: u64, len: usize) -> io::Result<Bytes> {
        let mut buffer = self.buffers.take(len);
        let file = self.file(path, false)?;
        let mut filled = 0;
        while filled < len {
            match file.read_at(&mut buffer.room()[filled..len], at + filled as u64) {
                Ok(0) => break,
                Ok(read) => filled += read,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(buffer.share(filled))
    }

    fn read_shared(&mut self, path: &Path, at: u64, len: usize) -> io::Result<Bytes> {
        let start = usize::try_from(at).unwrap_or(usize::MAX);
        let end = start.saturating_add(len);
        let map = self.map(path, end)?;
        let (start, end) = (start.min(map.len()), end.min(map.len()));
        Ok(map.slice(start..end))
    }

    fn len(&mut self, path: &Path) -> io::Result<u64> {
        Ok(fs::metadata(path)?.len())
    }

    fn truncate(&mut self, path: &Path, len: u64) -> io::Result<()> {
        self.maps.forget(path);
        self.file(path, false)?.set_len(len)
    }

    fn sync(&mut self, path: &Path) -> io::Result<()> {
        match self.files.get(path) {
            Some(file) => file.sync_data(),
            None => File::open(path)?.sync_all(),
        }
    }

    fn rename(&mut self, from: &Path, to: &Path) -> io::Result<()> {
        self.files.forget_under(from);
        self.maps.forget_under(from);
        self.forget(to);
        fs::rename(from, to)
    }

    fn remove(&mut self, path: &Path) -> io::Result<()> {
        self.forget(path);
        fs::remove_file(path)
    }

    fn create_dir_all(&mut self, path: &Path) -> io::Result<()> {
        fs::create_dir_all(path)
    }

    fn remove_dir_all(&mut self, path: &Path) -> io::Result<()> {
        self.files.forget_under(path);
        self.maps.forget_under(path);
        fs::remove_dir_all(path)
    }

    fn list(&mut self, path: &Path) -> io::Result<Vec<Entry>> {
        let mut entries = Vec::new();
        for entry in fs::read_dir(path)? {
            let entry = entry?;
            // A name that is not UTF-8 is none of ours.
            let Ok(name) = entry.file_name().into_string() else {
                continue;
            };
            let metadata = entry.metadata()?;
            let is_dir = metadata.is_dir();
            let len = if is_dir { 0 } else { metadata.len() };
            entries.push(Entry { name, is_dir, len });
        }
        entries.sort();
        Ok(entries)
    }
}

/// Syncs one file or directory from any thread: what the flush thread calls for the paths a log names.
/// A path that is gone was deleted in the meantime and needs no sync.
pub fn sync_path(path: &Path) -> io::Result<()> {
    match File::open(path) {
        Ok(file) => file.sync_all(),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn few_files_stay_open_where_few_are_allowed() {
        assert_eq!(RealDisk::open_files(256), 16);
        assert_eq!(RealDisk::open_files(10), 8);
        assert_eq!(RealDisk::open_files(1 << 20), 256);
        let dir = tempfile::tempdir().unwrap();
        let mut disk = RealDisk {
            open_files: 8,
            ..RealDisk::new()
        };
        for n in 0..40 {
            let path = dir.path().join(n.to_string());
            disk.write_at(&path, 0, b"x").unwrap();
            assert_eq!(&disk.read_at(&path, 0, 9).unwrap()[..], b"x");
        }
        assert_eq!(disk.files.by_path.len(), 8);
    }
}
