//! Which bytes of the operating system's files a power loss would take.
//!
//! [`WatchedDisk`] passes everything on to [`RealDisk`] and notes in an [`Unsynced`] where each file's bytes stop
//! being synced. [`Unsynced::lose`] then does to the files what a power loss does at its worst to files that only grow:
//! everything behind the last sync is gone. Names survive, also those no sync of their directory has covered, and so
//! does what a file was shortened to; the simulator's disk loses those, too.

use std::cell::RefCell;
use std::collections::HashMap;
use std::io;
use std::path::{Path, PathBuf};
use std::rc::Rc;

use bytes::Bytes;

use super::{Disk, Entry, RealDisk};

/// Where the files of one broker stop being synced. It outlives the broker: a program's death syncs nothing.
#[derive(Debug, Default)]
pub struct Unsynced {
    marks: HashMap<PathBuf, Mark>,
}

/// An [`Unsynced`] that a disk and whoever has its files synced share, on one thread.
pub type SyncMarks = Rc<RefCell<Unsynced>>;

/// One file's first byte that is not synced.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
struct Mark {
    /// Written since the last sync was ordered.
    dirty: Option<u64>,
    /// What the syncs under way are to cover.
    syncing: Option<u64>,
    syncs: u32,
}

impl Mark {
    fn from(self) -> Option<u64> {
        self.dirty.into_iter().chain(self.syncing).min()
    }
}

/// A file that lost its end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LostTail {
    pub path: PathBuf,
    pub bytes: u64,
}

impl Unsynced {
    /// A sync of these files is ordered: it covers what was written until now. To be followed by
    /// [`Unsynced::end_sync`] with the same files.
    pub fn begin_sync(&mut self, files: &[PathBuf]) {
        files.iter().for_each(|path| self.begin_one(path));
    }

    /// A sync that was ordered has ended; unless it is `done` it covers nothing.
    pub fn end_sync(&mut self, files: &[PathBuf], done: bool) {
        files.iter().for_each(|path| self.end_one(path, done));
    }

    /// What remains when the broker has ended: nobody hears of the syncs that were under way.
    pub fn abandoned(mut self) -> Unsynced {
        for mark in self.marks.values_mut() {
            *mark = Mark {
                dirty: mark.from(),
                ..Mark::default()
            };
        }
        self
    }

    /// Files with bytes that are not synced.
    pub fn paths(&self) -> impl Iterator<Item = &Path> {
        let dirty = self.marks.iter().filter(|(_, mark)| mark.from().is_some());
        dirty.map(|(path, _)| path.as_path())
    }

    /// Cuts every file to what was synced: what pulling the plug does. Nobody may use the files meanwhile.
    ///
    /// # Errors
    /// A file cannot be shortened; the others are, and it is tried again by the next call.
    pub fn lose(&mut self) -> io::Result<Vec<LostTail>> {
        let mut lost = Vec::new();
        let mut failed = None;
        self.marks.retain(|path, mark| {
            let Some(from) = mark.from() else {
                return false;
            };
            match cut(path, from) {
                Ok(0) => false,
                Ok(bytes) => {
                    let path = path.clone();
                    lost.push(LostTail { path, bytes });
                    false
                }
                Err(error) => {
                    let error = format!("{}: {error}", path.display());
                    failed.get_or_insert(io::Error::other(error));
                    true
                }
            }
        });
        lost.sort_by(|a, b| a.path.cmp(&b.path));
        match failed {
            None => Ok(lost),
            Some(error) => Err(error),
        }
    }

    fn begin_one(&mut self, path: &Path) {
        if let Some(mark) = self.marks.get_mut(path) {
            mark.syncing = mark.from();
            mark.dirty = None;
            mark.syncs += 1;
        }
    }

    fn end_one(&mut self, path: &Path, done: bool) {
        // Without one it was written first after the sync had begun, or removed.
        let Some(mark) = self.marks.get_mut(path).filter(|mark| mark.syncs > 0) else {
            return;
        };
        mark.syncs -= 1;
        if !done {
            mark.dirty = mark.from();
        }
        if mark.syncs == 0 {
            mark.syncing = None;
        }
        if *mark == Mark::default() {
            self.marks.remove(path);
        }
    }

    fn wrote(&mut self, path: &Path, at: u64) {
        match self.marks.get_mut(path) {
            Some(mark) => mark.dirty = Some(mark.dirty.map_or(at, |dirty| dirty.min(at))),
            None => {
                let dirty = Some(at);
                let mark = Mark {
                    dirty,
                    ..Mark::default()
                };
                self.marks.insert(path.to_owned(), mark);
            }
        }
    }

    /// Shortened, or lengthened with zeros that are not synced either.
    fn resized(&mut self, path: &Path, before: u64, len: u64) {
        if len > before {
            return self.wrote(path, before);
        }
        if let Some(mark) = self.marks.get_mut(path) {
            mark.dirty = mark.dirty.map(|dirty| dirty.min(len));
            mark.syncing = mark.syncing.map(|syncing| syncing.min(len));
        }
    }

    fn renamed(&mut self, from: &Path, to: &Path) {
        self.marks.remove(to);
        if let Some(mark) = self.marks.remove(from) {
            self.marks.insert(to.to_owned(), mark);
            return;
        }
        let inside = self.marks.keys().filter(|path| path.starts_with(from));
        let inside: Vec<PathBuf> = inside.cloned().collect();
        for path in inside {
            let rest = path.strip_prefix(from).map(|rest| to.join(rest));
            if let (Ok(path), Some(mark)) = (rest, self.marks.remove(&path)) {
                self.marks.insert(path, mark);
            }
        }
    }

    fn removed(&mut self, path: &Path) {
        self.marks.remove(path);
    }

    fn removed_under(&mut self, dir: &Path) {
        self.marks.retain(|path, _| !path.starts_with(dir));
    }
}

/// Cuts a file; how many bytes went.
fn cut(path: &Path, len: u64) -> io::Result<u64> {
    let file = match std::fs::OpenOptions::new().write(true).open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(0),
        Err(error) => return Err(error),
    };
    let before = file.metadata()?.len();
    if before <= len {
        return Ok(0);
    }
    file.set_len(len)?;
    Ok(before - len)
}

/// The operating system's files, watched for what is not synced.
pub struct WatchedDisk {
    disk: RealDisk,
    marks: SyncMarks,
}

impl WatchedDisk {
    /// A disk with nothing open. What is on it is taken for synced, but for what `marks` know better.
    pub fn new(marks: SyncMarks) -> WatchedDisk {
        WatchedDisk {
            disk: RealDisk::new(),
            marks,
        }
    }
}

impl Disk for WatchedDisk {
    fn write_at(&mut self, path: &Path, at: u64, bytes: &[u8]) -> io::Result<()> {
        // Also where it fails: a prefix may have been written.
        self.marks.borrow_mut().wrote(path, at);
        self.disk.write_at(path, at, bytes)
    }

    fn read_at(&mut self, path: &Path, at: u64, len: usize) -> io::Result<Bytes> {
        self.disk.read_at(path, at, len)
    }

    fn read_shared(&mut self, path: &Path, at: u64, len: usize) -> io::Result<Bytes> {
        self.disk.read_shared(path, at, len)
    }

    fn len(&mut self, path: &Path) -> io::Result<u64> {
        self.disk.len(path)
    }

    fn truncate(&mut self, path: &Path, len: u64) -> io::Result<()> {
        let before = self.disk.len(path)?;
        self.disk.truncate(path, len)?;
        self.marks.borrow_mut().resized(path, before, len);
        Ok(())
    }

    fn sync(&mut self, path: &Path) -> io::Result<()> {
        self.marks.borrow_mut().begin_one(path);
        let synced = self.disk.sync(path);
        self.marks.borrow_mut().end_one(path, synced.is_ok());
        synced
    }

    fn rename(&mut self, from: &Path, to: &Path) -> io::Result<()> {
        self.disk.rename(from, to)?;
        self.marks.borrow_mut().renamed(from, to);
        Ok(())
    }

    fn remove(&mut self, path: &Path) -> io::Result<()> {
        self.disk.remove(path)?;
        self.marks.borrow_mut().removed(path);
        Ok(())
    }

    fn create_dir_all(&mut self, path: &Path) -> io::Result<()> {
        self.disk.create_dir_all(path)
    }

    fn remove_dir_all(&mut self, path: &Path) -> io::Result<()> {
        self.disk.remove_dir_all(path)?;
        self.marks.borrow_mut().removed_under(path);
        Ok(())
    }

    fn list(&mut self, path: &Path) -> io::Result<Vec<Entry>> {
        self.disk.list(path)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Rig {
        dir: tempfile::TempDir,
        marks: SyncMarks,
        disk: WatchedDisk,
    }

    impl Rig {
        fn new() -> Rig {
            let marks = SyncMarks::default();
            Rig {
                dir: tempfile::tempdir().unwrap(),
                disk: WatchedDisk::new(Rc::clone(&marks)),
                marks,
            }
        }

        fn path(&self, name: &str) -> PathBuf {
            self.dir.path().join(name)
        }

        fn write(&mut self, name: &str, at: u64, bytes: &str) {
            let path = self.path(name);
            self.disk.write_at(&path, at, bytes.as_bytes()).unwrap();
        }

        fn begin_sync(&self, name: &str) {
            self.marks.borrow_mut().begin_sync(&[self.path(name)]);
        }

        fn end_sync(&self, name: &str, done: bool) {
            self.marks.borrow_mut().end_sync(&[self.path(name)], done);
        }

        fn lose(&self) -> Vec<(String, u64)> {
            let lost = self.marks.borrow_mut().lose().unwrap();
            let named = lost.into_iter().map(|tail| {
                let name = tail.path.file_name().unwrap().to_string_lossy();
                (name.into_owned(), tail.bytes)
            });
            named.collect()
        }

        fn content(&self, name: &str) -> String {
            std::fs::read_to_string(self.path(name)).unwrap()
        }
    }

    #[test]
    fn what_was_not_synced_is_lost_and_the_rest_stays() {
        let mut rig = Rig::new();
        rig.write("log", 0, "synced");
        rig.disk.sync(&rig.path("log")).unwrap();
        rig.write("log", 6, " lost");
        rig.write("never", 0, "abc");
        assert_eq!(rig.lose(), [("log".into(), 5), ("never".into(), 3)]);
        let left = (rig.content("log"), rig.content("never"));
        assert_eq!(left, ("synced".into(), String::new()));
        assert_eq!(rig.lose(), [], "once");
    }

    #[test]
    fn a_sync_covers_what_was_written_before_it_was_ordered() {
        let mut rig = Rig::new();
        rig.write("log", 0, "ab");
        rig.begin_sync("log");
        rig.write("log", 2, "cd");
        rig.end_sync("log", true);
        assert_eq!(rig.lose(), [("log".into(), 2)]);
        assert_eq!(rig.content("log"), "ab");
    }

    #[test]
    fn a_sync_under_way_failed_or_abandoned_covers_nothing() {
        for end in [None, Some(false)] {
            let mut rig = Rig::new();
            rig.write("log", 0, "ab");
            rig.disk.sync(&rig.path("log")).unwrap();
            rig.write("log", 2, "cd");
            rig.begin_sync("log");
            if let Some(done) = end {
                rig.end_sync("log", done);
            }
            // The broker dies, and the next run syncs.
            let left = rig.marks.take().abandoned();
            rig.marks.replace(left);
            assert_eq!(rig.marks.borrow().paths().count(), 1);
            rig.begin_sync("log");
            rig.end_sync("log", true);
            assert_eq!(rig.marks.borrow().paths().count(), 0);
            rig.write("log", 4, "ef");
            rig.begin_sync("log");
            assert_eq!(rig.lose(), [("log".into(), 2)]);
            assert_eq!(rig.content("log"), "abcd");
        }
    }

    #[test]
    fn of_two_syncs_the_last_one_tells() {
        let mut rig = Rig::new();
        rig.write("log", 0, "ab");
        rig.begin_sync("log");
        rig.write("log", 2, "cd");
        rig.begin_sync("log");
        rig.end_sync("log", true);
        rig.end_sync("log", true);
        assert_eq!(rig.lose(), []);
        assert_eq!(rig.content("log"), "abcd");
    }

    #[test]
    fn files_keep_their_marks_under_other_names_and_none_when_removed() {
        let mut rig = Rig::new();
        rig.disk.create_dir_all(&rig.path("t-0")).unwrap();
        rig.write("t-0/log", 0, "abc");
        rig.write("start.tmp", 0, "new");
        rig.write("gone", 0, "x");
        rig.disk.rename(&rig.path("t-0"), &rig.path("t-1")).unwrap();
        let (new, start) = (rig.path("start.tmp"), rig.path("start"));
        rig.disk.rename(&new, &start).unwrap();
        rig.disk.remove(&rig.path("gone")).unwrap();
        assert_eq!(rig.lose(), [("start".into(), 3), ("log".into(), 3)]);
        rig.write("t-1/log", 0, "abc");
        rig.disk.remove_dir_all(&rig.path("t-1")).unwrap();
        assert_eq!(rig.lose(), []);
    }

    #[test]
    fn a_file_cut_below_its_synced_end_keeps_what_it_was_cut_to() {
        let mut rig = Rig::new();
        rig.write("log", 0, "abcdef");
        rig.disk.sync(&rig.path("log")).unwrap();
        rig.disk.truncate(&rig.path("log"), 2).unwrap();
        rig.write("log", 2, "XY");
        assert_eq!(rig.lose(), [("log".into(), 2)]);
        assert_eq!(rig.content("log"), "ab");
        rig.disk.truncate(&rig.path("log"), 5).unwrap();
        assert_eq!(rig.lose(), [("log".into(), 3)]);
    }
}
