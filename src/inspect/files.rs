//! The files a broker that does not run left on disk, as they were read once it had ended.

use serde::{Deserialize, Serialize};

use crate::ids::{BrokerId, Offset};

/// Directories of a broker whose files are listed.
pub const DIRECTORIES_LISTED: usize = 1_000;
/// Files listed of one directory.
pub const DIRECTORY_FILES_LISTED: usize = 500;
/// Files listed of one broker.
pub const FILES_LISTED: usize = 10_000;

/// A broker's directory.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BrokerFiles {
    pub broker: BrokerId,
    pub dir: String,
    /// The files beside the logs first, then each log's by name; at most [`DIRECTORIES_LISTED`].
    pub directories: Vec<DirectoryFiles>,
    /// Directories beyond the limit.
    pub left_out: u64,
    /// Why its directory could not be read, as a sentence.
    pub trouble: Option<String>,
}

/// One directory of a broker.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DirectoryFiles {
    /// `orders-0`; empty for the broker's own directory.
    pub name: String,
    /// Of all its files, listed or not.
    pub bytes: u64,
    /// By name; at most [`DIRECTORY_FILES_LISTED`], and [`FILES_LISTED`] of all directories.
    pub files: Vec<LeftFile>,
    /// Files beyond the limits.
    pub left_out: u64,
    /// Why it could not be read, as a sentence.
    pub trouble: Option<String>,
}

/// One file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LeftFile {
    pub name: String,
    pub kind: FileKind,
    pub bytes: u64,
    /// Of a segment: its base offset, and one past the last offset it holds as far as that was read.
    pub offsets: Option<(Offset, Option<Offset>)>,
    /// Why it could not be read, as a sentence.
    pub trouble: Option<String>,
}

/// What a file is for, by its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FileKind {
    Segment,
    OffsetIndex,
    TimeIndex,
    ProducerSnapshot,
    MetadataSnapshot,
    LeaderEpochs,
    LogStart,
    /// Whose records the directory holds.
    TopicId,
    RecoveryPoints,
    /// How the last run ended.
    CleanStop,
    /// Being replaced when its broker ended; the next start removes it.
    Unfinished,
    Other,
}

impl FileKind {
    /// What a file with this name is for.
    pub fn of(name: &str) -> FileKind {
        match name {
            "leader-epoch-checkpoint" => return FileKind::LeaderEpochs,
            "log-start-offset-checkpoint" => return FileKind::LogStart,
            "partition.metadata" => return FileKind::TopicId,
            "recovery-point-offset-checkpoint" => return FileKind::RecoveryPoints,
            "clean-stop" => return FileKind::CleanStop,
            _ => {}
        }
        match name.rsplit_once('.') {
            Some((_, "tmp")) => FileKind::Unfinished,
            Some((_, "checkpoint")) => FileKind::MetadataSnapshot,
            Some((base, ending)) if base.bytes().all(|byte| byte.is_ascii_digit()) => {
                match ending {
                    "log" => FileKind::Segment,
                    "index" => FileKind::OffsetIndex,
                    "timeindex" => FileKind::TimeIndex,
                    "snapshot" => FileKind::ProducerSnapshot,
                    _ => FileKind::Other,
                }
            }
            _ => FileKind::Other,
        }
    }

    pub fn word(self) -> &'static str {
        match self {
            FileKind::Segment => "segment",
            FileKind::OffsetIndex => "offset index",
            FileKind::TimeIndex => "time index",
            FileKind::ProducerSnapshot => "producer snapshot",
            FileKind::MetadataSnapshot => "metadata snapshot",
            FileKind::LeaderEpochs => "leader epochs",
            FileKind::LogStart => "log start",
            FileKind::TopicId => "topic id",
            FileKind::RecoveryPoints => "recovery points",
            FileKind::CleanStop => "clean stop",
            FileKind::Unfinished => "unfinished",
            FileKind::Other => "other",
        }
    }
}

impl LeftFile {
    /// The offsets of a segment: first and last; only the first where the end was not read.
    pub fn offsets_words(&self, number: impl Fn(i64) -> String) -> String {
        match self.offsets {
            None => String::new(),
            Some((base, Some(end))) if end > base => {
                format!("{} \u{2013} {}", number(base.0), number(end.0 - 1))
            }
            Some((_, Some(_))) => "none".to_owned(),
            Some((base, None)) => format!("from {}", number(base.0)),
        }
    }
}

impl BrokerFiles {
    /// Files listed, and those beyond the limits in directories that are.
    pub fn count(&self) -> u64 {
        let counts = self.directories.iter();
        let counts = counts.map(|one| one.files.len() as u64 + one.left_out);
        counts.sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_known_by_its_name() {
        for (name, kind) in [
            ("00000000000000000000.log", FileKind::Segment),
            ("00000000000000000123.index", FileKind::OffsetIndex),
            ("00000000000000000123.timeindex", FileKind::TimeIndex),
            ("00000000000000000123.snapshot", FileKind::ProducerSnapshot),
            (
                "00000000000000000123-0000000004.checkpoint",
                FileKind::MetadataSnapshot,
            ),
            ("leader-epoch-checkpoint", FileKind::LeaderEpochs),
            ("leader-epoch-checkpoint.tmp", FileKind::Unfinished),
            ("clean-stop", FileKind::CleanStop),
            ("notes.log", FileKind::Other),
            ("notes", FileKind::Other),
        ] {
            assert_eq!(FileKind::of(name), kind, "{name}");
        }
    }

    #[test]
    fn offsets_are_the_first_and_the_last() {
        let file = |offsets| LeftFile {
            name: String::new(),
            kind: FileKind::Segment,
            bytes: 0,
            offsets,
            trouble: None,
        };
        for (offsets, words) in [
            (None, ""),
            (Some((Offset(0), Some(Offset(42)))), "0 \u{2013} 41"),
            (Some((Offset(7), Some(Offset(7)))), "none"),
            (Some((Offset(7), None)), "from 7"),
        ] {
            assert_eq!(file(offsets).offsets_words(|n| n.to_string()), words);
        }
    }
}
