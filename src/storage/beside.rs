//! Files an owner keeps in a log's directory, beside the segments. The log neither reads nor removes them.

use std::path::PathBuf;

use bytes::Bytes;

use super::disk::{Disk, Synced, read_whole, replace};
use super::error::StorageError;
use super::log::Log;
use crate::ids::{LeaderEpoch, Offset};

/// Name ending of a snapshot of the metadata.
const METADATA_SNAPSHOT: &str = ".checkpoint";

/// The file name of a snapshot of the metadata in front of `end`: `00000000000000000123-0000000004.checkpoint`.
pub fn metadata_snapshot_name(end: Offset, epoch: LeaderEpoch) -> String {
    format!("{:020}-{:010}{METADATA_SNAPSHOT}", end.0, epoch.0)
}

/// End and epoch of the snapshot a file is named after.
pub fn metadata_snapshot_id(name: &str) -> Option<(Offset, LeaderEpoch)> {
    let (end, epoch) = name.strip_suffix(METADATA_SNAPSHOT)?.split_once('-')?;
    let (end, epoch) = (Offset(end.parse().ok()?), LeaderEpoch(epoch.parse().ok()?));
    (metadata_snapshot_name(end, epoch) == name).then_some((end, epoch))
}

impl Log {
    /// Names of everything in the log's directory.
    pub fn names_beside(&self, disk: &mut dyn Disk) -> Result<Vec<String>, StorageError> {
        let entries = disk.list(&self.dir);
        let entries = entries.map_err(StorageError::io("list", &self.dir))?;
        Ok(entries.into_iter().map(|entry| entry.name).collect())
    }

    /// A whole file; `None` if there is none.
    pub fn read_beside(
        &self,
        disk: &mut dyn Disk,
        name: &str,
    ) -> Result<Option<Bytes>, StorageError> {
        let path = self.dir.join(name);
        read_whole(disk, &path).map_err(StorageError::io("read", &path))
    }

    /// Bytes of a file from `at` on, at most `most`, and how many it has in all.
    pub fn read_part_beside(
        &self,
        disk: &mut dyn Disk,
        name: &str,
        at: u64,
        most: usize,
    ) -> Result<(u64, Bytes), StorageError> {
        let path = self.dir.join(name);
        let size = disk.len(&path).map_err(StorageError::io("read", &path))?;
        let bytes = disk.read_at(&path, at, most);
        let bytes = bytes.map_err(StorageError::io("read", &path))?;
        Ok((size, bytes))
    }

    /// Replaces a file as a whole; what to sync for it, unless that is done when this returns.
    pub fn write_beside(
        &self,
        disk: &mut dyn Disk,
        name: &str,
        bytes: &[u8],
        synced: Synced,
    ) -> Result<Vec<PathBuf>, StorageError> {
        let path = self.dir.join(name);
        replace(disk, &path, bytes, synced).map_err(StorageError::io("write", &path))?;
        Ok(vec![path, self.dir.clone()])
    }

    /// Syncs a file that was found, and its name: a run before may have died in front of its sync.
    pub fn sync_beside(&self, disk: &mut dyn Disk, name: &str) -> Result<(), StorageError> {
        let path = self.dir.join(name);
        let synced = disk.sync(&path).and_then(|()| disk.sync(&self.dir));
        synced.map_err(StorageError::io("sync", &path))
    }

    /// Removes a file.
    pub fn remove_beside(&self, disk: &mut dyn Disk, name: &str) -> Result<(), StorageError> {
        let path = self.dir.join(name);
        disk.remove(&path)
            .map_err(StorageError::io("remove", &path))
    }
}
