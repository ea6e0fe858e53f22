//! `klar plant`: whether the simulator catches bugs planted in the code, each within its budget of seeds.
//!
//! Only in a build with the feature `plants`: `make plant` makes one and runs it.

use std::process::ExitCode;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use clap::Args;

use crate::lab::{self, PLANTS, PlantRow, Profile, Watch};
use crate::plants;

/// Plant bugs and look how soon the simulator catches them
#[derive(Debug, Args)]
pub struct Plants {
    /// Which ones [default: all]
    #[arg(value_name = "BUG", value_parser = row)]
    bugs: Vec<PlantRow>,
    /// Runs of another kind than the table says
    #[arg(long, value_name = "NAME", requires = "bugs", value_parser = super::sim::profile)]
    profile: Option<Profile>,
    /// As many seeds, whatever the budget
    #[arg(long, value_name = "N", requires = "bugs")]
    seeds: Option<u64>,
    /// Threads [default: one per core]
    #[arg(long, value_name = "J")]
    jobs: Option<usize>,
    /// Run only this seed of one bug, and print every event
    #[arg(long, value_name = "S", requires = "bugs")]
    trace: Option<u64>,
}

fn row(name: &str) -> Result<PlantRow, String> {
    let found = PLANTS.iter().find(|row| row.name == name);
    found.copied().ok_or_else(|| {
        let names: Vec<&str> = PLANTS.iter().map(|row| row.name).collect();
        format!("there are these: {}", names.join(", "))
    })
}

/// Plants what the arguments ask for.
pub fn run(arguments: &Plants) -> ExitCode {
    // Panics are findings, told with their seed.
    std::panic::set_hook(Box::new(|_| {}));
    let rows = match arguments.bugs.is_empty() {
        true => PLANTS.to_vec(),
        false => arguments.bugs.clone(),
    };
    let asked = rows.into_iter().map(|row| PlantRow {
        profile: arguments
            .profile
            .map_or(row.profile, |profile| profile.name),
        budget: arguments.seeds.unwrap_or(row.budget),
        ..row
    });
    let rows: Vec<PlantRow> = asked.collect();
    let fine = match arguments.trace {
        Some(seed) => trace(&rows[0], seed),
        None => catch_all(&rows, arguments.jobs),
    };
    match fine {
        true => ExitCode::SUCCESS,
        false => ExitCode::FAILURE,
    }
}

fn trace(row: &PlantRow, seed: u64) -> bool {
    let watch = Watch {
        until: None,
        tell: Some(Box::new(|number, time, line| {
            let ms = time.as_ms() % 1_000_000;
            println!("{number:>8} {ms:>6} ms  {line}");
        })),
    };
    let _planted = plants::plant(row.plant);
    let report = lab::run(&lab::plan(seed, row.profile()), watch);
    for violation in &report.violations {
        println!("{violation}");
    }
    !report.is_fine()
}

/// Plants one bug after the other and prints how each was caught. Whether all were.
fn catch_all(rows: &[PlantRow], jobs: Option<usize>) -> bool {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let jobs = jobs.unwrap_or(cores).max(1);
    let mut missed = 0;
    for row in rows {
        let began = Instant::now();
        let how = match catch(row, jobs) {
            Some(caught) => format!(
                "seed {} of {} {}: {}",
                caught.seed, row.budget, row.profile, caught.violation
            ),
            None => {
                missed += 1;
                format!("NOT CAUGHT by {} seeds of {}", row.budget, row.profile)
            }
        };
        let (name, invariant) = (row.name, row.invariant);
        let seconds = began.elapsed().as_secs_f64();
        println!("{name:<30} {invariant} {seconds:>6.1} s  {how}");
    }
    println!(
        "{} of {} planted bugs caught",
        rows.len() - missed,
        rows.len()
    );
    missed == 0
}

/// Tries seeds on several threads; the first one that catches the bug.
fn catch(row: &PlantRow, jobs: usize) -> Option<lab::Caught> {
    let next = AtomicU64::new(1);
    // Seeds behind one that caught it need not be tried.
    let last = AtomicU64::new(row.budget);
    let work = || {
        loop {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            if seed > last.load(Ordering::Relaxed) {
                return None;
            }
            if let Some(caught) = row.try_seed(seed) {
                last.fetch_min(seed, Ordering::Relaxed);
                return Some(caught);
            }
        }
    };
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..jobs).map(|_| scope.spawn(work)).collect();
        let ended = threads.into_iter().map(|thread| thread.join());
        let caught = ended.filter_map(|caught| caught.expect("a run catches its own panics"));
        caught.min_by_key(|caught| caught.seed)
    })
}
