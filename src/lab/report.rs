//! What came of a run: what broke, what was counted, the hash of its trace.

use std::collections::BTreeMap;
use std::fmt;

use super::checker::Anomaly;

/// What came of a run.
#[derive(Debug, Clone, PartialEq)]
pub struct Report {
    pub seed: u64,
    /// Empty when all went well; the first one is the cause, the others may follow from it.
    pub violations: Vec<Violation>,
    /// Events that happened.
    pub events: u64,
    /// The same schedule gives the same hash.
    pub hash: u64,
    pub tally: Tally,
}

/// Something that must not happen, and when it was noticed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Violation {
    /// Number of the event after which it was noticed.
    pub event: u64,
    /// Short and the same for the same mistake, so that shrinking stays with it.
    pub kind: String,
    pub what: String,
}

/// Counters by name.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Tally {
    counts: BTreeMap<String, u64>,
}

/// What must happen sometimes in many runs: a counter at zero is a blind generator.
pub const SOMETIMES: &[&str] = &[
    "start after a clean stop",
    "start after a kill",
    "torn tail recovered",
    "segment rolled",
    "duplicate answered",
    "produce sent again",
    "died in a disk operation",
    "acks taken by a power loss",
    "write failed",
    "write healed",
    "sync failed",
    "reset seen by a client",
    "piece lost on a wire",
    "piece held on a wire",
    "records deleted",
    "reader moved to the log start",
    "client replaced",
    "broker joined",
    "topics made",
    "topics grown",
    "topics deleted",
    "configurations changed",
    "preferred leader elected",
    "moves begun",
    "snapshot written",
    "moves ended",
    "broker fenced",
    "controller elected",
    "leader elected",
    "leader elected uncleanly",
    "partition without a leader",
    "ISR shrank",
    "ISR grew",
    "divergent log truncated",
    "group joined",
    "group stable",
    "group empty",
    "commits accepted",
    "commits refused",
    "coordinator lost",
    "partitions lost",
    "partitions revoked",
    "member died",
    "member told to leave",
    "bit flipped",
    "damage found",
    "replica fetched again",
    "replica cut to what was synced",
];

impl Report {
    /// Whether nothing broke.
    pub fn is_fine(&self) -> bool {
        self.violations.is_empty()
    }

    /// The kind of the first violation.
    pub fn kind(&self) -> Option<&str> {
        self.violations.first().map(|v| v.kind.as_str())
    }
}

impl Tally {
    /// Counts one.
    pub fn count(&mut self, name: &str) {
        self.add(name, 1);
    }

    /// Counts so many.
    pub fn add(&mut self, name: &str, number: u64) {
        match self.counts.get_mut(name) {
            Some(count) => *count += number,
            None => {
                self.counts.insert(name.to_owned(), number);
            }
        }
    }

    /// Adds another tally's counts.
    pub fn merge(&mut self, other: &Tally) {
        for (name, count) in &other.counts {
            self.add(name, *count);
        }
    }

    /// How often.
    pub fn get(&self, name: &str) -> u64 {
        self.counts.get(name).copied().unwrap_or(0)
    }

    /// All of them, by name.
    pub fn iter(&self) -> impl Iterator<Item = (&str, u64)> {
        self.counts
            .iter()
            .map(|(name, count)| (name.as_str(), *count))
    }
}

impl Violation {
    /// A history's anomaly.
    pub(super) fn of(event: u64, anomaly: &Anomaly) -> Violation {
        Violation {
            event,
            kind: format!("{:?}", anomaly.kind),
            what: anomaly.to_string(),
        }
    }
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "event {}: {}", self.event, self.what)
    }
}
