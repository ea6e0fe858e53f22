//! `klar`: the cluster with its window, or without one where no window can open.

use std::process::ExitCode;

use super::options::Options;
use super::serve;
use crate::app::{self, RunError, WindowOptions};
use crate::source::live::LiveSource;

/// Opens the window; where none can open, says why and serves.
pub fn run(options: &Options) -> ExitCode {
    if !app::run::has_display() {
        eprintln!("klar: {}. Serving without a window.", RunError::NoDisplay);
        return serve::run(options);
    }
    let cluster = match serve::start(options, true) {
        Ok(cluster) => cluster,
        Err(error) => {
            eprintln!("klar: {error}");
            return ExitCode::FAILURE;
        }
    };
    // A signal or `ctl stop` ends the program while this thread is inside the window's loop.
    cluster.exit_when_stopped();
    let source = LiveSource::new(cluster.link.clone());
    match app::run(Box::new(source), WindowOptions::for_this_user()) {
        Ok(()) => cluster.link.stop("the window was closed"),
        Err(error) => {
            eprintln!(
                "klar: {error}. Serving on {} without a window.",
                cluster.facts.bootstrap
            );
            serve::print_ready(&cluster);
        }
    }
    serve::finish(cluster)
}
