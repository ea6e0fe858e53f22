//! Opens the real window on made-up pictures: the one test that needs a display and OpenGL.
//!
//! `xvfb-run -s "-screen 0 1440x900x24" cargo test --test display` passes when the window drew, was
//! idle while nothing changed, and closed. Without a display it must say so instead of failing.

#[allow(dead_code)]
#[path = "../window/fixture.rs"]
mod fixture;

use std::time::Duration;

use klar::app::run::{RunError, WindowOptions, has_display, run};

/// How long the window stays open, milliseconds.
const OPEN_MS: u64 = 6_000;
/// CPU seconds an idle window may use in that time, start included.
const CPU_LIMIT_S: f64 = 3.0;

fn main() {
    let fixture = Box::new(fixture::Fixture::shop());
    if !has_display() {
        let outcome = run(fixture, WindowOptions::default());
        assert!(matches!(outcome, Err(RunError::NoDisplay)), "{outcome:?}");
        println!("no display: refused with a sentence");
        return;
    }
    std::thread::spawn(|| {
        std::thread::sleep(Duration::from_millis(OPEN_MS));
        let used = cpu_seconds();
        println!("the window was open for {OPEN_MS} ms and used {used:.2} s of CPU");
        std::process::exit(if used <= CPU_LIMIT_S { 0 } else { 1 });
    });
    run(fixture, WindowOptions::default()).expect("the window opens");
    panic!("the window closed by itself");
}

/// CPU time of this process, where the system tells it.
fn cpu_seconds() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let after_name = stat.rsplit(')').next().unwrap_or_default();
    let ticks: f64 = after_name
        .split_whitespace()
        .skip(11)
        .take(2)
        .filter_map(|field| field.parse::<f64>().ok())
        .sum();
    ticks / 100.0
}
