//! `klar sim`: many seeds of the simulator on several threads, or one kept schedule again.
//!
//! Prints what happened, what was checked, and for every kind of failure the one line that replays it, on a
//! schedule made as small as it gets. Some seeds run twice: they must do the same both times.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use clap::Args;

use crate::lab::{self, PROFILES, Profile, Report, SOMETIMES, Schedule, Tally, Watch};

/// Every so many seeds, one runs twice.
const TWICE_EVERY: u64 = 100;
/// Fewer runs than this prove nothing about what never happened.
const ENOUGH_SEEDS: u64 = 300;
/// Runs spent on making one schedule smaller.
const SHRINK_TRIES: u32 = 400;
/// Pause between two lines of progress.
const PROGRESS: Duration = Duration::from_secs(10);

/// Try seeds in the simulator: brokers and clients on virtual time, with faults
#[derive(Debug, Args)]
pub struct Sim {
    /// How many seeds to try
    #[arg(long, value_name = "N", default_value_t = 100)]
    seeds: u64,
    /// The first seed
    #[arg(long, value_name = "S", default_value_t = 1)]
    from: u64,
    /// What kind of runs: cluster, rot, replicas, groups, swarm, calm, kills, disk, net
    #[arg(long, value_name = "NAME", default_value = PROFILES[0].name, value_parser = profile)]
    profile: Profile,
    /// Threads [default: one per core]
    #[arg(long, value_name = "J")]
    jobs: Option<usize>,
    /// Where schedules of failing seeds are kept
    #[arg(long, value_name = "DIR", default_value = ".")]
    keep: PathBuf,
    /// Print the schedule of the first seed instead of running it
    #[arg(long)]
    plan: bool,
    /// Run this schedule instead
    #[arg(long, value_name = "FILE")]
    replay: Option<PathBuf>,
    /// Stop a replay after this many events
    #[arg(long, value_name = "N", requires = "replay")]
    until: Option<u64>,
    /// Print every event of a replay
    #[arg(long, requires = "replay")]
    trace: bool,
}

pub(super) fn profile(name: &str) -> Result<Profile, String> {
    let found = PROFILES.iter().find(|profile| profile.name == name);
    found.copied().ok_or_else(|| {
        let lines = PROFILES
            .iter()
            .map(|p| format!("\n  {}: {}", p.name, p.about));
        format!("there are these:{}", lines.collect::<String>())
    })
}

/// Runs what the arguments ask for.
pub fn run(arguments: &Sim) -> ExitCode {
    if arguments.plan {
        println!(
            "{}",
            lab::plan(arguments.from, &arguments.profile).to_json()
        );
        return ExitCode::SUCCESS;
    }
    let fine = match &arguments.replay {
        Some(file) => replay(file, arguments),
        None => {
            // Panics are findings, told with their seed; a replay shows where they come from.
            std::panic::set_hook(Box::new(|_| {}));
            Ok(try_seeds(arguments))
        }
    };
    match fine {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("klar: {error}");
            ExitCode::FAILURE
        }
    }
}

fn replay(file: &Path, arguments: &Sim) -> Result<bool, String> {
    let failed = |error: &dyn std::fmt::Display| format!("{}: {error}", file.display());
    let text = std::fs::read_to_string(file).map_err(|e| failed(&e))?;
    let schedule = Schedule::from_json(&text).map_err(|e| failed(&e))?;
    let mut watch = Watch {
        until: arguments.until,
        tell: None,
    };
    if arguments.trace {
        watch.tell = Some(Box::new(|number, time, line| {
            let ms = time.as_ms() % 1_000_000;
            println!("{number:>8} {ms:>6} ms  {line}");
        }));
    }
    let report = lab::run(&schedule, watch);
    for violation in &report.violations {
        println!("{violation}");
    }
    print_counts(&report.tally);
    println!("{} events, hash {:016x}", report.events, report.hash);
    Ok(report.is_fine())
}

/// What all runs so far came to.
#[derive(Default)]
struct Sum {
    seeds: u64,
    twice: u64,
    events: u64,
    tally: Tally,
    /// By kind: how often, and the first seed.
    failures: BTreeMap<String, (u64, Report)>,
}

fn try_seeds(arguments: &Sim) -> bool {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let jobs = arguments.jobs.unwrap_or(cores).max(1);
    let next = AtomicU64::new(arguments.from);
    let end = arguments.from.saturating_add(arguments.seeds);
    let (reports, results) = mpsc::channel();
    let began = Instant::now();
    let mut sum = Sum::default();
    std::thread::scope(|scope| {
        for _ in 0..jobs {
            let (reports, next, profile) = (reports.clone(), &next, arguments.profile);
            scope.spawn(move || {
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= end || reports.send(try_seed(seed, &profile)).is_err() {
                        return;
                    }
                }
            });
        }
        drop(reports);
        let mut told = Instant::now();
        for (report, twice) in results {
            if sum.add(report, twice) {
                let (_, report) = sum
                    .failures
                    .iter()
                    .next_back()
                    .map_or((0, None), |(_, f)| (f.0, Some(&f.1)));
                if let Some(report) = report {
                    eprintln!(
                        "klar: seed {} fails: {}",
                        report.seed, report.violations[0].what
                    );
                }
            }
            if told.elapsed() > PROGRESS {
                told = Instant::now();
                eprintln!("klar: {} of {} seeds", sum.seeds, arguments.seeds);
            }
        }
    });
    sum.print(began.elapsed());
    for (count, report) in sum.failures.values() {
        tell_failure(arguments, *count, report);
    }
    sum.failures.is_empty() && sum.nothing_is_missing(arguments)
}

/// One seed, and whether it ran twice.
fn try_seed(seed: u64, profile: &Profile) -> (Report, bool) {
    let schedule = lab::plan(seed, profile);
    let mut report = lab::run(&schedule, Watch::default());
    let twice = seed.is_multiple_of(TWICE_EVERY);
    if twice {
        let again = lab::run(&schedule, Watch::default());
        if again.hash != report.hash {
            report.violations.push(lab::Violation {
                event: report.events,
                kind: "not the same twice".to_owned(),
                what: format!("hashes {:016x} and {:016x}", report.hash, again.hash),
            });
        }
    }
    (report, twice)
}

impl Sum {
    /// Whether it failed in a way that is new.
    fn add(&mut self, report: Report, twice: bool) -> bool {
        self.seeds += 1;
        self.twice += u64::from(twice);
        self.events += report.events;
        self.tally.merge(&report.tally);
        let Some(kind) = report.kind().map(str::to_owned) else {
            return false;
        };
        match self.failures.get_mut(&kind) {
            Some((count, first)) => {
                *count += 1;
                if report.seed < first.seed {
                    *first = report;
                }
                false
            }
            None => {
                self.failures.insert(kind, (1, report));
                true
            }
        }
    }

    fn print(&self, took: Duration) {
        let seconds = took.as_secs_f64().max(0.001);
        let per_hour = self.seeds as f64 / seconds * 3_600.0;
        print_counts(&self.tally);
        println!(
            "{} seeds ({} of them twice), {} events, {} virtual seconds in {seconds:.1} s: {per_hour:.0} seeds per hour",
            self.seeds,
            self.twice,
            self.events,
            self.tally.get("simulated ms") / 1_000,
        );
        let failing: u64 = self.failures.values().map(|(count, _)| count).sum();
        println!("{failing} seeds with violations");
    }

    /// Counters at zero after many runs mean that the generator is blind.
    fn nothing_is_missing(&self, arguments: &Sim) -> bool {
        if self.seeds < ENOUGH_SEEDS || arguments.profile.name != PROFILES[0].name {
            return true;
        }
        let never: Vec<&str> = SOMETIMES
            .iter()
            .copied()
            .filter(|name| self.tally.get(name) == 0)
            .collect();
        if !never.is_empty() {
            println!("never happened: {}", never.join(", "));
        }
        never.is_empty()
    }
}

fn print_counts(tally: &Tally) {
    for (name, count) in tally.iter() {
        println!("{count:>12}  {name}");
    }
}

/// Makes a failing schedule small, keeps it, and prints the line that replays it.
fn tell_failure(arguments: &Sim, count: u64, report: &Report) {
    let kind = report.kind().unwrap_or_default().to_owned();
    println!("\n{kind} in {count} seeds; seed {}:", report.seed);
    for violation in &report.violations {
        println!("  {violation}");
    }
    let schedule = lab::plan(report.seed, &arguments.profile);
    let fails =
        |smaller: &Schedule| lab::run(smaller, Watch::default()).kind() == Some(kind.as_str());
    let small = lab::shrink(&schedule, SHRINK_TRIES, fails);
    let again = lab::run(&small, Watch::default());
    let name = format!("klar-sim-{}-{}.json", arguments.profile.name, report.seed);
    let path = arguments.keep.join(name);
    if let Err(error) = std::fs::write(&path, small.to_json()) {
        println!(
            "  its schedule could not be kept in {}: {error}",
            path.display()
        );
        return;
    }
    for violation in &again.violations {
        println!("  made smaller: {violation}");
    }
    println!(
        "  klar sim --replay {} --until {} --trace",
        path.display(),
        again.events
    );
}
