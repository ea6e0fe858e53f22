//! What can go wrong in a log, one enum per question asked of it.

use std::io;
use std::path::{Path, PathBuf};

use thiserror::Error;

use crate::ids::{Offset, ProducerEpoch, ProducerId};
use crate::wire::records::BatchError;

/// A log or a file around it could not be opened, written or synced.
#[derive(Debug, Error)]
pub enum StorageError {
    #[error("cannot {doing} {}: {source}", path.display())]
    Io {
        doing: &'static str,
        path: PathBuf,
        source: io::Error,
    },
    /// Left untouched: a newer program may still read it.
    #[error(
        "{} has format version {found}, and this klar knows versions up to {known}; the file is left as it is",
        path.display()
    )]
    UnknownVersion {
        path: PathBuf,
        found: u32,
        known: u32,
    },
    #[error("{} is in use by another klar", path.display())]
    Locked { path: PathBuf },
    #[error("{} is not what klar wrote: {cause}", path.display())]
    Damaged { path: PathBuf, cause: String },
    /// A sync failed: what was written since the one before may be lost although reads still show it.
    #[error(
        "{} could not be synced ({cause}); it takes no more writes until it is opened again",
        path.display()
    )]
    SyncFailed { path: PathBuf, cause: String },
    #[error("{} is being synced, and nobody waits for how that ends", path.display())]
    SyncUnanswered { path: PathBuf },
}

impl StorageError {
    /// Wraps an I/O error with what was being done to which file.
    pub(super) fn io(doing: &'static str, path: &Path) -> impl FnOnce(io::Error) -> StorageError {
        let path = path.to_owned();
        move |source| StorageError::Io {
            doing,
            path,
            source,
        }
    }
}

/// A batch was not appended; the log is as it was.
#[derive(Debug, Error)]
pub enum AppendError {
    /// CORRUPT_MESSAGE or INVALID_RECORD: not one whole batch of format 2.
    #[error(transparent)]
    Malformed(#[from] BatchError),
    /// INVALID_RECORD: the batch claims offsets no log can give.
    #[error("the batch does not count its records")]
    Miscounted,
    /// MESSAGE_TOO_LARGE.
    #[error("the batch has {bytes} bytes, more than max.message.bytes = {limit}")]
    TooLarge { bytes: usize, limit: usize },
    /// OUT_OF_ORDER_SEQUENCE_NUMBER.
    #[error(
        "producer {producer} sent sequence {found} where {} was due",
        due.map_or_else(|| "0".to_owned(), |due| due.to_string())
    )]
    OutOfOrderSequence {
        producer: ProducerId,
        due: Option<i32>,
        found: i32,
    },
    /// INVALID_PRODUCER_EPOCH.
    #[error("producer {producer} has epoch {newest} by now; {found} is fenced")]
    FencedProducer {
        producer: ProducerId,
        newest: ProducerEpoch,
        found: ProducerEpoch,
    },
    /// Only as a follower: the batch does not continue the log.
    #[error("the log ends at {expected}, but the batch begins at {found}")]
    NotNext { expected: Offset, found: Offset },
    /// KAFKA_STORAGE_ERROR.
    #[error(transparent)]
    Storage(#[from] StorageError),
}

/// Records could not be read.
#[derive(Debug, Error)]
pub enum ReadError {
    /// OFFSET_OUT_OF_RANGE.
    #[error("offset {offset} is not between log start {start} and log end {end}")]
    OutOfRange {
        offset: Offset,
        start: Offset,
        end: Offset,
    },
    /// CORRUPT_MESSAGE; reading goes on at `below`.
    #[error("offsets {from} to {} are damaged: {cause}", *below + -1)]
    Corrupt {
        from: Offset,
        below: Offset,
        cause: String,
    },
    /// KAFKA_STORAGE_ERROR.
    #[error(transparent)]
    Storage(#[from] StorageError),
}
