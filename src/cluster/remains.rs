//! What a dead broker left on disk, read by a thread of its own while nobody writes there.
//!
//! Read only. A broker that starts again meanwhile makes the result worthless, which the run's number tells.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tokio::sync::{mpsc, oneshot};

use super::files::files_of;
use super::outage::Loss;
use crate::ids::{BrokerId, PartitionIndex};
use crate::inspect::BrokerFiles;
use crate::storage::{Disk as _, RealDisk, Survey, survey};

/// Results not taken yet.
pub const REMAINS_QUEUED: usize = 16;
/// How the name of a segment's file ends.
const SEGMENT: &str = ".log";
/// The thread's stack, bytes.
const STACK_BYTES: usize = 256 * 1024;

/// Every log of a broker that does not run.
#[derive(Debug, PartialEq, Eq)]
pub struct Remains {
    logs: BTreeMap<String, LogLeft>,
    /// Every file, for who looks at it.
    pub files: Arc<BrokerFiles>,
}

/// One log of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogLeft {
    pub survey: Survey,
    pub segments: u32,
}

/// What a thread found on disk while no broker wrote there.
#[derive(Debug)]
pub enum Found {
    /// What the run of a broker left.
    Remains {
        broker: BrokerId,
        run: u64,
        remains: Arc<Remains>,
    },
    /// What went when the plug was pulled.
    Loss(Loss),
}

/// The partition whose log a directory of this name is. Those that were deleted or set aside have an ending behind
/// the number.
pub fn partition_of(dir: &str) -> Option<(&str, PartitionIndex)> {
    let (topic, index) = dir.rsplit_once('-')?;
    let is_number = index.bytes().all(|byte| byte.is_ascii_digit());
    let index = index.parse().ok().filter(|_| is_number)?;
    Some((topic, PartitionIndex(index)))
}

impl Remains {
    /// The log of one partition.
    pub fn log(&self, topic: &str, partition: PartitionIndex) -> Option<&LogLeft> {
        self.logs.get(&format!("{topic}-{partition}"))
    }

    /// Looks into every log of a broker's directory. Where the disk refuses to be read, that is all there is to say.
    pub fn read(broker: BrokerId, dir: &Path) -> Remains {
        let logs = logs(dir).unwrap_or_else(|error| {
            tracing::warn!("cannot look into {}: {error}", dir.display());
            BTreeMap::new()
        });
        Remains {
            logs,
            files: Arc::new(files_of(broker, dir)),
        }
    }
}

fn logs(dir: &Path) -> io::Result<BTreeMap<String, LogLeft>> {
    let mut disk = RealDisk::default();
    let mut logs = BTreeMap::new();
    for entry in disk.list(dir)? {
        if !entry.is_dir || partition_of(&entry.name).is_none() {
            continue;
        }
        let log = log_left(&mut disk, &dir.join(&entry.name))?;
        logs.insert(entry.name, log);
    }
    Ok(logs)
}

fn log_left(disk: &mut RealDisk, dir: &Path) -> io::Result<LogLeft> {
    let entries = disk.list(dir)?;
    let segments = entries.iter().filter(|e| e.name.ends_with(SEGMENT));
    let segments = segments.count();
    Ok(LogLeft {
        survey: survey(disk, dir)?,
        segments: u32::try_from(segments).unwrap_or(u32::MAX),
    })
}

/// Reads the files of a broker that does not run for one who waits.
pub fn list_for(broker: BrokerId, dir: PathBuf, reply: oneshot::Sender<BrokerFiles>) {
    let thread = std::thread::Builder::new()
        .name(format!("files-{broker}"))
        .stack_size(STACK_BYTES);
    // An asker that hung up needs no answer; one whose thread did not start is told that nobody answers.
    let read = move || drop(reply.send(files_of(broker, &dir)));
    if let Err(error) = thread.spawn(read) {
        tracing::warn!("nobody lists the files of broker {broker}: {error}");
    }
}

/// Starts to read what the run of a broker left in `dir`; it goes to `found`.
pub fn look_for(broker: BrokerId, run: u64, dir: PathBuf, found: mpsc::Sender<Found>) {
    let thread = std::thread::Builder::new()
        .name(format!("remains-{broker}"))
        .stack_size(STACK_BYTES);
    let read = move || {
        let remains = Arc::new(Remains::read(broker, &dir));
        // Nobody listens when the program ends.
        let _ = found.blocking_send(Found::Remains {
            broker,
            run,
            remains,
        });
    };
    if let Err(error) = thread.spawn(read) {
        tracing::warn!("nobody looks at what broker {broker} left: {error}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::Offset;

    #[test]
    fn every_log_directory_is_looked_at() {
        let dir = tempfile::tempdir().unwrap();
        for name in ["t-0", "u-3", "t-1.deleted"] {
            std::fs::create_dir(dir.path().join(name)).unwrap();
        }
        std::fs::write(dir.path().join("clean-stop"), b"").unwrap();
        let segment = dir.path().join("u-3/00000000000000000000.log");
        std::fs::write(segment, b"").unwrap();
        let remains = Remains::read(BrokerId(1), dir.path());
        assert_eq!(remains.logs.len(), 2);
        let log = remains.log("u", PartitionIndex(3)).unwrap();
        assert_eq!((log.survey.log_end, log.segments), (Offset(0), 1));
        assert_eq!(remains.log("t", PartitionIndex(1)), None);
    }
}
