//! The brokers a data directory belongs to, and who of them votes.
//!
//! Written before a broker starts for the first time, so that the next start of the whole cluster brings back
//! the same brokers with the same voters. Knows directories, not addresses.

use std::path::Path;

use super::disk::{Disk, Synced, read_whole, replace};
use super::error::StorageError;
use super::format::{self, Fields, FormatError};
use super::segment::known_version;
use crate::ids::BrokerId;

const ROSTER_FILE: &str = "brokers";
/// What a broker's directory is called before its number.
const BROKER_DIR: &str = "broker-";

/// Who belongs to a cluster, by number.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Roster {
    pub brokers: Vec<BrokerId>,
    /// Who votes for the controller. They stay the same for as long as the cluster exists.
    pub voters: Vec<BrokerId>,
}

impl Roster {
    /// Brokers 1 to `count`, of whom the first few vote.
    pub fn new(count: u32, voters: u32) -> Roster {
        let first = |count| (1..=count).filter_map(|n| i32::try_from(n).ok().map(BrokerId));
        Roster {
            brokers: first(count).collect(),
            voters: first(count.min(voters)).collect(),
        }
    }

    /// The number after the highest one.
    pub fn next_broker(&self) -> BrokerId {
        let highest = self.brokers.iter().map(|broker| broker.0).max();
        BrokerId(highest.unwrap_or(0) + 1)
    }

    /// Reads the directory's roster. A directory without one was used by as many brokers as have directories
    /// in it, and all of those voted; `None` when there are none.
    pub fn load(disk: &mut dyn Disk, root: &Path) -> Result<Option<Roster>, StorageError> {
        let path = root.join(ROSTER_FILE);
        let bytes = read_whole(disk, &path).map_err(StorageError::io("read", &path))?;
        let Some(bytes) = bytes else {
            return Roster::of_directories(disk, root);
        };
        let opened = format::open(format::MAGIC_ROSTER, &bytes).and_then(Roster::decode);
        let cause = opened.as_ref().err().map(FormatError::to_string);
        match known_version(Some(opened), &path)? {
            Some(roster) => Ok(Some(roster)),
            // Who voted cannot be found out from anything else, and guessing could elect two controllers.
            None => Err(StorageError::Damaged {
                path,
                cause: cause.unwrap_or_default(),
            }),
        }
    }

    pub fn save(&self, disk: &mut dyn Disk, root: &Path) -> Result<(), StorageError> {
        let mut body = Vec::new();
        for list in [&self.brokers, &self.voters] {
            let count = u32::try_from(list.len()).expect("a cluster has few brokers");
            body.extend_from_slice(&count.to_be_bytes());
            for broker in list {
                body.extend_from_slice(&broker.0.to_be_bytes());
            }
        }
        let file = format::seal(format::MAGIC_ROSTER, &body);
        let path = root.join(ROSTER_FILE);
        replace(disk, &path, &file, Synced::Yes).map_err(StorageError::io("write", &path))
    }

    pub(super) fn decode(body: &[u8]) -> Result<Roster, FormatError> {
        let mut fields = Fields::new(body);
        let mut list = || -> Result<Vec<BrokerId>, FormatError> {
            let count = fields.u32()?;
            (0..count).map(|_| Ok(BrokerId(fields.i32()?))).collect()
        };
        let (brokers, voters) = (list()?, list()?);
        if brokers.is_empty() || voters.is_empty() || !fields.is_empty() {
            return Err(FormatError::Value);
        }
        Ok(Roster { brokers, voters })
    }

    fn of_directories(disk: &mut dyn Disk, root: &Path) -> Result<Option<Roster>, StorageError> {
        let entries = disk.list(root).map_err(StorageError::io("list", root))?;
        let mut brokers: Vec<BrokerId> = entries
            .into_iter()
            .filter(|entry| entry.is_dir)
            .filter_map(|entry| entry.name.strip_prefix(BROKER_DIR)?.parse().ok())
            .map(BrokerId)
            .collect();
        brokers.sort_unstable();
        Ok((!brokers.is_empty()).then(|| Roster {
            voters: brokers.clone(),
            brokers,
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::storage::MemoryDisk;

    #[test]
    fn a_roster_is_read_back_as_it_was_written() {
        let mut disk = MemoryDisk::default();
        let root = Path::new("/d");
        disk.create_dir_all(root).unwrap();
        assert_eq!(Roster::load(&mut disk, root).unwrap(), None);
        let mut roster = Roster::new(7, 5);
        assert_eq!(roster.voters.len(), 5);
        roster.brokers.push(roster.next_broker());
        roster.save(&mut disk, root).unwrap();
        let loaded = Roster::load(&mut disk, root).unwrap().unwrap();
        assert_eq!(loaded, roster);
        assert_eq!(loaded.next_broker(), BrokerId(9));
    }

    #[test]
    fn a_directory_without_one_has_the_brokers_it_has_directories_of() {
        let mut disk = MemoryDisk::default();
        let root = Path::new("/d");
        disk.create_dir_all(&root.join("broker-1")).unwrap();
        disk.create_dir_all(&root.join("broker-x")).unwrap();
        let loaded = Roster::load(&mut disk, root).unwrap();
        assert_eq!(loaded, Some(Roster::new(1, 5)));
    }

    #[test]
    fn a_damaged_roster_is_refused_and_left_alone() {
        let mut disk = MemoryDisk::default();
        let root = Path::new("/d");
        disk.create_dir_all(root).unwrap();
        let path = root.join(ROSTER_FILE);
        replace(&mut disk, &path, b"KLARROST not really", Synced::Yes).unwrap();
        assert!(Roster::load(&mut disk, root).is_err());
    }
}
