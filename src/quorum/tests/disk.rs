//! A metadata log whose records are numbers, and a disk that forgets what was not synced.

use bytes::{Buf, Bytes, BytesMut};

use crate::ids::{LeaderEpoch, Offset};
use crate::quorum::LogView;

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
            state: None,
        }
    }

    pub fn truncate(&mut self, end: Offset) {
        self.log.truncate(index(end));
        self.synced = self.synced.min(self.log.len());
    }

    /// At most `most` records from `from` on, as bytes.
    pub fn read(&self, from: Offset, most: usize) -> Bytes {
        let mut bytes = BytesMut::new();
        for entry in self.log[index(from)..].iter().take(most) {
            bytes.extend_from_slice(&entry.epoch.0.to_be_bytes());
            bytes.extend_from_slice(&entry.value.to_be_bytes());
        }
        bytes.freeze()
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

impl LogView for Disk {
    fn start(&self) -> Offset {
        Offset::ZERO
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
        let end = self.log.partition_point(|entry| entry.epoch <= epoch);
        let found = end.checked_sub(1).map_or(epoch, |at| self.log[at].epoch);
        Some((found, offset(end)))
    }

    fn durable_end(&self) -> Offset {
        offset(self.synced)
    }
}
