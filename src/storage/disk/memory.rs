//! A disk in memory: for `--durability memory`, for tests, and for crashes on demand.
//!
//! A handle: clones see the same files, so a test keeps one, drops whatever used the other, and opens
//! again. With [`MemoryDisk::with_power`] it also remembers what was synced, and
//! [`MemoryDisk::lose_power`] forgets a random part of the rest, by sectors of 512 bytes; directory
//! changes are lost from the newest back, as a journalling file system loses them.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::{Path, PathBuf};
use std::rc::Rc;

use bytes::{Bytes, BytesMut};
use rand::rngs::SmallRng;
use rand::{Rng as _, SeedableRng as _};

use super::{Disk, Entry};

/// Bytes a medium writes at once: a power loss keeps or loses each as a whole.
const SECTOR: usize = 512;
/// Bytes in the longest name, as most file systems have it.
const NAME_BYTES: usize = 255;
/// Bytes of a file kept in one piece, so that growing it never copies more than this.
const PIECE: usize = 256 * 1024;

/// Files in memory, shared by every clone of the handle.
#[derive(Clone, Default)]
pub struct MemoryDisk {
    state: Rc<RefCell<State>>,
}

/// What a [`MemoryDisk`] holds, to be handed to another thread.
#[derive(Default)]
pub struct MemoryFiles(State);

#[derive(Default)]
struct State {
    names: Names,
    files: BTreeMap<u64, Content>,
    next_file: u64,
    /// Present when power losses are asked for.
    synced: Option<Synced>,
}

/// The directory tree: file numbers by path, and the directories.
#[derive(Default, Clone)]
struct Names {
    files: BTreeMap<PathBuf, u64>,
    dirs: BTreeSet<PathBuf>,
}

/// What survives a power loss.
#[derive(Default)]
struct Synced {
    names: Names,
    /// Changes to names that no directory sync has covered yet, oldest first.
    pending: Vec<NameChange>,
    files: BTreeMap<u64, Vec<u8>>,
}

#[derive(Clone)]
enum NameChange {
    Create(PathBuf, u64),
    Rename(PathBuf, PathBuf),
    Remove(PathBuf),
    MakeDir(PathBuf),
    RemoveDir(PathBuf),
}

impl std::fmt::Debug for MemoryFiles {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "MemoryFiles({})", self.0.files.len())
    }
}

#[derive(Default)]
struct Content {
    pieces: Vec<Vec<u8>>,
    len: usize,
    /// Nothing in front of this was changed since the last sync.
    changed_from: usize,
}

impl Content {
    fn from_bytes(bytes: &[u8]) -> Content {
        let mut content = Content::default();
        content.write(0, bytes);
        content
    }

    fn write(&mut self, at: usize, mut bytes: &[u8]) {
        if at > self.len {
            self.resize(at);
        }
        self.changed_from = self.changed_from.min(at);
        let mut at = at;
        while !bytes.is_empty() {
            let (piece, within) = (at / PIECE, at % PIECE);
            if piece == self.pieces.len() {
                self.pieces.push(Vec::new());
            }
            let piece = &mut self.pieces[piece];
            let take = bytes.len().min(PIECE - within);
            let overlap = take.min(piece.len().saturating_sub(within));
            piece[within..within + overlap].copy_from_slice(&bytes[..overlap]);
            piece.extend_from_slice(&bytes[overlap..take]);
            bytes = &bytes[take..];
            at += take;
        }
        self.len = self.len.max(at);
    }

    fn resize(&mut self, len: usize) {
        if len >= self.len {
            let zeros = vec![0; len - self.len];
            self.write(self.len, &zeros);
            return;
        }
        self.changed_from = self.changed_from.min(len);
        self.pieces.truncate(len.div_ceil(PIECE));
        if let Some(last) = self.pieces.last_mut() {
            last.truncate(len - (len - 1) / PIECE * PIECE);
        }
        self.len = len;
    }

    fn read(&self, at: usize, len: usize) -> Bytes {
        let end = self.len.min(at.saturating_add(len));
        let mut at = at.min(end);
        let mut bytes = BytesMut::with_capacity(end - at);
        while at < end {
            let (piece, within) = (at / PIECE, at % PIECE);
            let take = (end - at).min(PIECE - within);
            bytes.extend_from_slice(&self.pieces[piece][within..within + take]);
            at += take;
        }
        bytes.freeze()
    }
}

impl Names {
    fn apply(&mut self, change: &NameChange) {
        match change {
            NameChange::Create(path, file) => {
                self.files.insert(path.clone(), *file);
            }
            NameChange::Rename(from, to) => self.rename(from, to),
            NameChange::Remove(path) => {
                self.files.remove(path);
            }
            NameChange::MakeDir(path) => {
                for dir in path.ancestors() {
                    self.dirs.insert(dir.to_owned());
                }
            }
            NameChange::RemoveDir(path) => {
                self.files.retain(|file, _| !file.starts_with(path));
                self.dirs.retain(|dir| !dir.starts_with(path));
            }
        }
    }

    fn rename(&mut self, from: &Path, to: &Path) {
        if let Some(file) = self.files.remove(from) {
            self.files.insert(to.to_owned(), file);
            return;
        }
        let moved = |path: &Path| match path.strip_prefix(from) {
            Ok(rest) if rest.as_os_str().is_empty() => to.to_owned(),
            Ok(rest) => to.join(rest),
            Err(_) => path.to_owned(),
        };
        let files = std::mem::take(&mut self.files);
        self.files = files.into_iter().map(|(p, f)| (moved(&p), f)).collect();
        let dirs = std::mem::take(&mut self.dirs);
        self.dirs = dirs.into_iter().map(|path| moved(&path)).collect();
    }
}

impl MemoryDisk {
    /// An empty disk that never loses power.
    pub fn new() -> MemoryDisk {
        MemoryDisk::default()
    }

    /// A disk with these files on it.
    pub fn holding(files: MemoryFiles) -> MemoryDisk {
        MemoryDisk {
            state: Rc::new(RefCell::new(files.0)),
        }
    }

    /// Takes everything off the disk, from under whoever still uses it.
    pub fn take_files(&self) -> MemoryFiles {
        MemoryFiles(self.state.take())
    }

    /// An empty disk that remembers what was synced, for [`MemoryDisk::lose_power`].
    pub fn with_power() -> MemoryDisk {
        let disk = MemoryDisk::default();
        disk.state.borrow_mut().synced = Some(Synced::default());
        disk
    }

    /// Forgets a random part of what was not synced. Only on a disk made by [`MemoryDisk::with_power`].
    pub fn lose_power(&self, seed: u64) {
        let mut rng = SmallRng::seed_from_u64(seed);
        let mut state = self.state.borrow_mut();
        let State {
            names,
            files,
            synced,
            ..
        } = &mut *state;
        let synced = synced.as_mut().expect("made by with_power");
        let kept = rng.random_range(0..=synced.pending.len());
        for change in synced.pending.drain(..).take(kept) {
            synced.names.apply(&change);
        }
        *names = synced.names.clone();
        let mut survivors = BTreeMap::new();
        for file in names.files.values() {
            let old = synced.files.get(file).map_or(&[][..], Vec::as_slice);
            let cached = files.get(file).map(|c| c.read(0, c.len));
            let mixed = mix(old, &cached.unwrap_or_default(), &mut rng);
            survivors.insert(*file, mixed);
        }
        *files = survivors
            .iter()
            .map(|(file, bytes)| (*file, Content::from_bytes(bytes)))
            .collect();
        synced.files = survivors;
    }

    /// A sync of a file failed: the system takes a random part of what was not synced for written and forgets it.
    /// Only on a disk made by [`MemoryDisk::with_power`].
    pub fn drop_unsynced(&self, path: &Path, seed: u64) {
        let mut state = self.state.borrow_mut();
        let state = &mut *state;
        let synced = state.synced.as_ref().expect("made by with_power");
        let Some(file) = state.names.files.get(path) else {
            return;
        };
        let Some(content) = state.files.get_mut(file) else {
            return;
        };
        let old = synced.files.get(file).map_or(&[][..], Vec::as_slice);
        let cached = content.read(0, content.len);
        let kept = sectors(
            cached.len(),
            old,
            &cached,
            &mut SmallRng::seed_from_u64(seed),
        );
        let changed_from = content.changed_from;
        *content = Content::from_bytes(&kept);
        content.changed_from = changed_from;
    }

    /// Turns one bit of a file over where nothing was changed since the last sync, as a medium that ages does. Whether
    /// there was such a byte.
    pub fn flip_bit(&self, path: &Path, at: usize, bit: u8) -> bool {
        let mut state = self.state.borrow_mut();
        let state = &mut *state;
        let Some(file) = state.names.files.get(path) else {
            return false;
        };
        let content = state.files.get_mut(file);
        let Some(content) = content.filter(|c| at < c.changed_from.min(c.len)) else {
            return false;
        };
        let mask = 1 << (bit % 8);
        content.pieces[at / PIECE][at % PIECE] ^= mask;
        let synced = state.synced.as_mut();
        if let Some(kept) = synced.and_then(|synced| synced.files.get_mut(file)) {
            kept[at] ^= mask;
        }
        true
    }

    /// Every path of a file, for tests that look at or damage all of them.
    pub fn paths(&self) -> Vec<PathBuf> {
        self.state.borrow().names.files.keys().cloned().collect()
    }

    /// A copy that shares nothing with this disk.
    pub fn fork(&self) -> MemoryDisk {
        let state = self.state.borrow();
        let copy = |content: &Content| Content::from_bytes(&content.read(0, content.len));
        MemoryDisk {
            state: Rc::new(RefCell::new(State {
                names: state.names.clone(),
                files: state.files.iter().map(|(f, c)| (*f, copy(c))).collect(),
                next_file: state.next_file,
                synced: state.synced.as_ref().map(|synced| Synced {
                    names: synced.names.clone(),
                    pending: synced.pending.clone(),
                    files: synced.files.clone(),
                }),
            })),
        }
    }
}

/// What a power loss leaves of a file: each unsynced sector is there or not, and so is the new length.
fn mix(old: &[u8], new: &[u8], rng: &mut SmallRng) -> Vec<u8> {
    let len = if rng.random() { new.len() } else { old.len() };
    sectors(len, old, new, rng)
}

/// `len` bytes, each sector of them as it was or as it is.
fn sectors(len: usize, old: &[u8], new: &[u8], rng: &mut SmallRng) -> Vec<u8> {
    let mut mixed = vec![0; len];
    for start in (0..len).step_by(SECTOR) {
        let end = len.min(start + SECTOR);
        let source = if rng.random() { new } else { old };
        let available = source.len().clamp(start, end);
        if available > start {
            mixed[start..available].copy_from_slice(&source[start..available]);
        }
    }
    mixed
}

impl State {
    fn change(&mut self, change: NameChange) {
        self.names.apply(&change);
        if let Some(synced) = &mut self.synced {
            synced.pending.push(change);
        }
    }

    fn file(&self, path: &Path) -> io::Result<u64> {
        let file = self.names.files.get(path).copied();
        file.ok_or_else(|| not_found(path))
    }

    fn content(&self, path: &Path) -> io::Result<&Content> {
        self.file(path).map(|file| &self.files[&file])
    }
}

fn not_found(path: &Path) -> io::Error {
    io::Error::new(
        io::ErrorKind::NotFound,
        format!("no such file: {}", path.display()),
    )
}

/// Refuses a name that file systems have no room for.
fn check_name(path: &Path) -> io::Result<()> {
    let len = path.file_name().map_or(0, |name| name.len());
    match len > NAME_BYTES {
        true => Err(io::Error::new(
            io::ErrorKind::InvalidInput,
            format!("a name of {len} bytes"),
        )),
        false => Ok(()),
    }
}

fn in_memory(position: u64) -> io::Result<usize> {
    usize::try_from(position).map_err(io::Error::other)
}

impl Disk for MemoryDisk {
    fn write_at(&mut self, path: &Path, at: u64, bytes: &[u8]) -> io::Result<()> {
        let mut state = self.state.borrow_mut();
        let file = match state.names.files.get(path) {
            Some(file) => *file,
            None => {
                check_name(path)?;
                let parent = path.parent().unwrap_or(Path::new(""));
                if !state.names.dirs.contains(parent) {
                    return Err(not_found(path));
                }
                let file = state.next_file;
                state.next_file += 1;
                state.change(NameChange::Create(path.to_owned(), file));
                file
            }
        };
        let content = state.files.entry(file).or_default();
        content.write(in_memory(at)?, bytes);
        Ok(())
    }

    fn read_at(&mut self, path: &Path, at: u64, len: usize) -> io::Result<Bytes> {
        let state = self.state.borrow();
        let content = state.content(path)?;
        Ok(content.read(in_memory(at)?, len))
    }

    fn read_shared(&mut self, path: &Path, at: u64, len: usize) -> io::Result<Bytes> {
        self.read_at(path, at, len)
    }

    fn len(&mut self, path: &Path) -> io::Result<u64> {
        Ok(self.state.borrow().content(path)?.len as u64)
    }

    fn truncate(&mut self, path: &Path, len: u64) -> io::Result<()> {
        let mut state = self.state.borrow_mut();
        let file = state.file(path)?;
        let content = state.files.entry(file).or_default();
        content.resize(in_memory(len)?);
        Ok(())
    }

    fn sync(&mut self, path: &Path) -> io::Result<()> {
        let mut state = self.state.borrow_mut();
        let state = &mut *state;
        let file = state.names.files.get(path).copied();
        if file.is_none() && !state.names.dirs.contains(path) {
            return Err(not_found(path));
        }
        let Some(synced) = &mut state.synced else {
            return Ok(());
        };
        match file {
            Some(file) => {
                let content = state.files.entry(file).or_default();
                let kept = synced.files.entry(file).or_default();
                kept.truncate(content.changed_from);
                let changed = content.read(kept.len(), content.len - kept.len());
                kept.extend_from_slice(&changed);
                content.changed_from = content.len;
            }
            None => {
                // A journal commits in order: one directory's sync covers every change before it.
                for change in synced.pending.drain(..) {
                    synced.names.apply(&change);
                }
            }
        }
        Ok(())
    }

    fn rename(&mut self, from: &Path, to: &Path) -> io::Result<()> {
        check_name(to)?;
        let mut state = self.state.borrow_mut();
        if !state.names.files.contains_key(from) && !state.names.dirs.contains(from) {
            return Err(not_found(from));
        }
        state.change(NameChange::Rename(from.to_owned(), to.to_owned()));
        Ok(())
    }

    fn remove(&mut self, path: &Path) -> io::Result<()> {
        let mut state = self.state.borrow_mut();
        let file = state.file(path)?;
        state.change(NameChange::Remove(path.to_owned()));
        if state.synced.is_none() {
            state.files.remove(&file);
        }
        Ok(())
    }

    fn create_dir_all(&mut self, path: &Path) -> io::Result<()> {
        check_name(path)?;
        let mut state = self.state.borrow_mut();
        if !state.names.dirs.contains(path) {
            state.change(NameChange::MakeDir(path.to_owned()));
        }
        Ok(())
    }

    fn remove_dir_all(&mut self, path: &Path) -> io::Result<()> {
        let mut state = self.state.borrow_mut();
        if !state.names.dirs.contains(path) {
            return Err(not_found(path));
        }
        state.change(NameChange::RemoveDir(path.to_owned()));
        if state.synced.is_none() {
            let State { names, files, .. } = &mut *state;
            let alive: BTreeSet<u64> = names.files.values().copied().collect();
            files.retain(|file, _| alive.contains(file));
        }
        Ok(())
    }

    fn list(&mut self, path: &Path) -> io::Result<Vec<Entry>> {
        let state = self.state.borrow();
        if !state.names.dirs.contains(path) {
            return Err(not_found(path));
        }
        let name_of = |child: &Path| {
            let name = (child.parent() == Some(path)).then(|| child.file_name())??;
            Some(name.to_str()?.to_owned())
        };
        let under = state.names.dirs.range(path.to_owned()..);
        let under = under.take_while(|dir| dir.starts_with(path));
        let dirs = under.filter_map(|dir| {
            let name = name_of(dir)?;
            Some(Entry {
                name,
                is_dir: true,
                len: 0,
            })
        });
        let under = state.names.files.range(path.to_owned()..);
        let under = under.take_while(|(file, _)| file.starts_with(path));
        let files = under.filter_map(|(file, number)| {
            let name = name_of(file)?;
            let len = state.files[number].len as u64;
            Some(Entry {
                name,
                is_dir: false,
                len,
            })
        });
        let mut entries: Vec<Entry> = dirs.chain(files).collect();
        entries.sort();
        Ok(entries)
    }
}
