//! `make bench`: what klar costs, as ratios against an ideal sink measured in the same run on the same
//! machine with the same load. Rounds alternate klar, ideal, klar, ideal; medians are printed.
//!
//!     make bench                         everything
//!     make bench ARGS="--rounds 3"       fewer rounds
//!     make bench ARGS="produce latency"  only measures whose name contains one of these words
//!
//! It fails when something does not work, never because something is slow.

mod apache;
mod groups;
mod load;
mod measures;
mod raw;
mod replicated;
mod server;
mod sink;

use std::path::PathBuf;

/// Rounds of each measure unless `--rounds` says otherwise.
const ROUNDS: usize = 5;

fn main() {
    let mut arguments = std::env::args().skip(1);
    let mut rounds = ROUNDS;
    let mut only = Vec::new();
    while let Some(argument) = arguments.next() {
        match argument.as_str() {
            "sink" => {
                let dir = PathBuf::from(arguments.next().expect("sink DIR COUNT"));
                let count = arguments.next().and_then(|word| word.parse().ok());
                sink::run(&dir, count.expect("sink DIR COUNT")).expect("the sink serves");
                return;
            }
            "--rounds" => {
                let word = arguments.next().unwrap_or_default();
                rounds = word.parse().expect("--rounds NUMBER");
            }
            word => only.push(word.to_string()),
        }
    }
    raise_file_limit();
    let dir = std::env::var_os("KLAR_BENCH_DIR").map_or_else(std::env::temp_dir, PathBuf::from);
    let bench = measures::Bench {
        rounds,
        dir: dir.join(format!("klar-bench-{}", std::process::id())),
    };
    println!(
        "librdkafka {}, {} rounds, files in {}",
        load::version(),
        rounds,
        bench.dir.display()
    );
    println!(
        "{:<34}{:>12}{:>12}{:>9}   wanted",
        "", "klar", "ideal", "ratio"
    );
    let failed = measures::run(&bench, &only);
    let _ = std::fs::remove_dir_all(&bench.dir);
    if failed > 0 {
        eprintln!("{failed} measures could not be taken");
        std::process::exit(1);
    }
}

/// Ten thousand connections need as many descriptors; the servers inherit the limit.
fn raise_file_limit() {
    let mut limit = libc::rlimit {
        rlim_cur: 0,
        rlim_max: 0,
    };
    unsafe {
        libc::getrlimit(libc::RLIMIT_NOFILE, &mut limit);
        limit.rlim_cur = limit.rlim_max;
        libc::setrlimit(libc::RLIMIT_NOFILE, &limit);
    }
}
