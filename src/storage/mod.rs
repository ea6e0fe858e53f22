//! One replica's log on disk, and the files a data directory holds around it.
//!
//! In reading order: `disk` (files, memory, failures), `format` (the checksummed envelope of klar's own
//! files), `offset_index` and `time_index`, `scan` (what bytes of a segment are worth), `segment`,
//! `tail` (the newest batches, still in memory), `epochs` and `producers` (what a log knows besides
//! records), `log` with `append`, `read`, `times`, `recovery`, `retention` and `sync`, then `data_dir`
//! (lock, identity, checkpoints) and `dump`. STORAGE.md draws every file.
//!
//! A log belongs to one thread and blocks only in short calls; it never calls `fsync` on the append path.

mod append;
mod beside;
mod broker_dir;
mod config;
mod disk;
mod dump;
mod epochs;
mod error;
mod format;
mod log;
mod offset_index;
mod owner;
mod producers;
mod read;
mod recovery;
mod retention;
mod roster;
mod scan;
mod segment;
mod survey;
mod sync;
mod tail;
mod time_index;
mod times;

#[cfg(test)]
mod tests;

pub use append::{Appended, COPIED_BYTES};
pub use beside::{metadata_snapshot_id, metadata_snapshot_name};
pub use broker_dir::{BrokerDir, DirLock, Identity, LastRun, recovery_points};
pub use config::{LogConfig, TimestampType};
pub use disk::{
    Disk, Entry, FailingDisk, Fault, FaultPlan, LostTail, MemoryDisk, MemoryFiles, Operation,
    RealDisk, SyncMarks, Synced, Unsynced, WatchedDisk, sync_path,
};
pub use dump::{DumpError, dump};
pub use epochs::Epochs;
pub use error::{AppendError, ReadError, StorageError};
pub use log::{Log, LogState, Note, Opening, Recovered, Unsound};
pub use owner::owner_of;
pub use producers::{ProducerEntry, Producers};
pub use read::{BatchPlace, IndexEntries};
pub use retention::{delete_dir, delete_replica, set_aside, set_damaged_aside};
pub use roster::Roster;
pub use scan::Damage;
pub use segment::SegmentState;
pub use survey::{Survey, survey};
pub use sync::SyncTicket;
pub use tail::TailBudget;
pub use times::{LookBudget, TimedOffset};
