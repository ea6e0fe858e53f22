//! Every schedule that once found a mistake, run again. `klar sim` prints how to keep one:
//! copy its file to `tests/sim/kept/` under a name that says what it found.

#![allow(clippy::unwrap_used)]

use std::path::Path;

use klar::lab::{self, Schedule, Watch};

#[test]
fn kept_schedules_stay_fine() {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/sim/kept");
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
    assert!(failed.is_empty(), "{}", failed.join("\n"));
}
