//! Whose records a directory holds: `partition.metadata`.
//!
//! Directories are named after topics, and a topic that is deleted and made again has its name a second time. A broker
//! that was dead meanwhile finds the old records under the new topic's name, and leader epochs begin at 0 in both: only
//! the topic's id tells them apart.

use std::path::Path;

use super::disk::{Disk, Synced, read_whole, replace};
use super::error::StorageError;
use super::format::{self, FormatError};
use super::log::Log;
use super::segment::known_version;
use crate::ids::TopicId;

/// The file, by Kafka's name.
pub const OWNER_FILE: &str = "partition.metadata";

/// The topic whose records `dir` holds; `None` where nothing says so.
pub fn owner_of(disk: &mut dyn Disk, dir: &Path) -> Result<Option<TopicId>, StorageError> {
    let path = dir.join(OWNER_FILE);
    let bytes = read_whole(disk, &path).map_err(StorageError::io("read", &path))?;
    known_version(bytes.map(|bytes| from_file(&bytes)), &path)
}

pub(super) fn from_file(file: &[u8]) -> Result<TopicId, FormatError> {
    let body = format::open(format::MAGIC_OWNER, file)?;
    body.try_into().map(TopicId).map_err(|_| FormatError::Value)
}

impl Log {
    /// Says whose log this is; `written` if its directory says so already. It is written down in front of the first
    /// batch that is appended.
    pub fn set_owner(&mut self, owner: TopicId, written: bool) {
        self.owner = (!written).then_some(owner);
    }

    /// Writes down whose log this is, unless that is done.
    pub(super) fn write_owner(&mut self, disk: &mut dyn Disk) -> Result<(), StorageError> {
        let Some(owner) = self.owner else {
            return Ok(());
        };
        let path = self.dir.join(OWNER_FILE);
        let file = format::seal(format::MAGIC_OWNER, &owner.0);
        replace(disk, &path, &file, Synced::No).map_err(StorageError::io("write", &path))?;
        self.sync.paths.insert(path);
        self.sync.paths.insert(self.dir.clone());
        self.owner = None;
        Ok(())
    }
}
