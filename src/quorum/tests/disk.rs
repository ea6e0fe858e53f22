//! A metadata log whose records are numbers, and a disk that forgets what was not synced.
//!
//! What a snapshot holds is modelled by the records themselves: `log` keeps them from 0 on, so that what a broker applied
//! can be compared, but nothing in front of `start` is served as a record any more.

use bytes::{Buf, Bytes, BytesMut};

use crate::ids::{LeaderEpoch, Offset};
use crate::quorum::{LogView, SnapshotId};

/// One record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Entry {
    pub epoch: LeaderEpoch,
    pub value: u64,
}

/// What a broker keeps across crashes.
#[derive(Debug, Clone, Default)]
pub struct Disk {
    pub log: Vec<Entry>,
    pub synced: usize,
    /// The log begins here: all in front of it is in every snapshot.
    pub start: usize,
    /// Oldest first.
    pub snapshots: Vec<SnapshotId>,
    /// The `quorum-state` file.
    pub state: Option<Vec<u8>>,
}

pub fn offset(index: usize) -> Offset {
    Offset(i64::try_from(index).unwrap())
}

pub fn index(offset: Offset) -> usize {
    usize::try_from(offset.0).unwrap()
}

impl Disk {
    pub fn of(epochs: &[i32]) -> Disk {
        let entry = |(value, epoch): (usize, &i32)| Entry {
            epoch: LeaderEpoch(*epoch),
            value: value as u64,
        };
        let log: Vec<Entry> = epochs.iter().enumerate().map(entry).collect();
        Disk {
            synced: log.len(),
            log,
            ..Disk::default()
        }
    }

    pub fn truncate(&mut self, end: Offset) {
        assert!(index(end) >= self.start, "K3: committed records are cut");
        self.log.truncate(index(end));
        self.synced = self.synced.min(self.log.len());
    }

    /// At most `most` records from `from` on, as bytes.
    pub fn read(&self, from: Offset, most: usize) -> Bytes {
        assert!(
            index(from) >= self.start,
            "nothing is in front of the start"
        );
        encoded(self.log[index(from)..].iter().take(most))
    }

    /// Makes a snapshot of everything below `end` and lets the log begin at the one before.
    pub fn take_snapshot(&mut self, end: Offset) {
        let epoch = self.log[index(end) - 1].epoch;
        let before = self.snapshots.last().copied();
        self.snapshots = before.into_iter().collect();
        self.snapshots.push(SnapshotId { end, epoch });
        self.start = before.map_or(self.start, |before| index(before.end));
    }

    /// A snapshot's bytes.
    pub fn read_snapshot(&self, id: SnapshotId) -> Option<Bytes> {
        let known = self.snapshots.contains(&id);
        known.then(|| encoded(self.log[..index(id.end)].iter()))
    }

    /// Puts a snapshot in the place of the log.
    pub fn restore(&mut self, id: SnapshotId, bytes: Bytes) {
        self.log.clear();
        self.append_bytes(bytes);
        assert_eq!((self.end(), self.last_epoch()), (id.end, id.epoch));
        self.synced = self.log.len();
        self.start = self.log.len();
        self.snapshots = vec![id];
    }

    pub fn append_bytes(&mut self, mut bytes: Bytes) {
        while bytes.has_remaining() {
            let epoch = LeaderEpoch(bytes.get_i32());
            let value = bytes.get_u64();
            self.append(Entry { epoch, value });
        }
    }

    pub fn append(&mut self, entry: Entry) {
        assert!(
            entry.epoch >= self.last_epoch(),
            "D5: epochs never decrease"
        );
        self.log.push(entry);
    }
}

fn encoded<'a>(entries: impl Iterator<Item = &'a Entry>) -> Bytes {
    let mut bytes = BytesMut::new();
    for entry in entries {
        bytes.extend_from_slice(&entry.epoch.0.to_be_bytes());
        bytes.extend_from_slice(&entry.value.to_be_bytes());
    }
    bytes.freeze()
}

impl LogView for Disk {
    fn start(&self) -> Offset {
        offset(self.start)
    }

    fn end(&self) -> Offset {
        offset(self.log.len())
    }

    fn last_epoch(&self) -> LeaderEpoch {
        self.log.last().map_or(LeaderEpoch::NONE, |last| last.epoch)
    }

    fn end_of_epoch(&self, epoch: LeaderEpoch) -> Option<(LeaderEpoch, Offset)> {
        if epoch > self.last_epoch() {
            return None;
        }
        if epoch < self.epoch_before_start() {
            // As a log that has forgotten what was in front of its start.
            return Some((epoch, offset(self.start)));
        }
        let end = self.log.partition_point(|entry| entry.epoch <= epoch);
        let found = end.checked_sub(1).map_or(epoch, |at| self.log[at].epoch);
        Some((found, offset(end)))
    }

    fn durable_end(&self) -> Offset {
        offset(self.synced)
    }
    fn snapshot(&self) -> Option<SnapshotId> {
        self.snapshots.last().copied()
    }

    fn epoch_before_start(&self) -> LeaderEpoch {
        let before = self.start.checked_sub(1);
        before.map_or(LeaderEpoch::NONE, |before| self.log[before].epoch)
    }
}
