//! Every schedule that once found a mistake, run again. `klar sim` prints how to keep one:
//! copy its file to `tests/sim/kept/` under a name that says what it found, or to `tests/sim/known/` while the
//! mistake is still there.

#![allow(clippy::unwrap_used)]

use std::path::Path;

use klar::lab::{self, Schedule, Watch};

/// Runs every schedule of a directory; the violations.
fn violations(dir: &str) -> Vec<String> {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/sim")
        .join(dir);
    let files = std::fs::read_dir(&dir).unwrap();
    let mut files: Vec<_> = files.map(|entry| entry.unwrap().path()).collect();
    files.sort();
    let mut failed = Vec::new();
    for file in files {
        let text = std::fs::read_to_string(&file).unwrap();
        let report = lab::run(&Schedule::from_json(&text).unwrap(), Watch::default());
        for violation in &report.violations {
            failed.push(format!("{}: {violation}", file.display()));
        }
    }
    failed
}

#[test]
fn kept_schedules_stay_fine() {
    let failed = violations("kept");
    assert!(failed.is_empty(), "{}", failed.join("\n"));
}

/// Found with five brokers and `os`, and not understood yet: an epoch cache out of order after power losses, and two
/// records at one offset after a partition with one replica moved.
#[test]
#[ignore = "known and not mended"]
fn known_schedules_are_fine_now() {
    let failed = violations("known");
    assert!(failed.is_empty(), "{}", failed.join("\n"));
}
