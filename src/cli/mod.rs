//! The command line: `klar`, `klar serve`, `klar ctl …`, `klar dump FILE`, `klar sim`.
//!
//! Prints what was asked for on stdout and everything else on stderr. It decides nothing about Kafka.

mod control;
mod options;
mod serve;
mod sim;
#[cfg(feature = "window")]
mod window;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use tracing_subscriber::EnvFilter;

use options::Options;

/// A Kafka cluster you can see through.
#[derive(Debug, Parser)]
#[command(name = "klar", version, about, max_term_width = 100)]
struct Arguments {
    #[command(flatten)]
    options: Options,
    #[command(subcommand)]
    verb: Option<Verb>,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Run without a window; prints one JSON line when clients can connect
    Serve,
    /// Talk to the klar that runs on a data directory
    #[command(subcommand)]
    Ctl(control::Ctl),
    /// Print a segment, index, snapshot or checkpoint file
    Dump {
        /// The file, such as DATA_DIR/broker-1/orders-0/00000000000000000000.log
        file: PathBuf,
    },
    /// Try seeds in the simulator, or run a kept schedule again
    Sim(sim::Sim),
}

/// Runs what the arguments ask for.
pub fn main() -> ExitCode {
    let arguments = Arguments::parse();
    write_logs_to_stderr();
    match arguments.verb {
        Some(Verb::Serve) => serve::run(&arguments.options),
        Some(Verb::Ctl(ctl)) => control::run(&arguments.options, ctl),
        Some(Verb::Dump { file }) => dump(&file),
        Some(Verb::Sim(arguments)) => sim::run(&arguments),
        None => open_window(&arguments.options),
    }
}

#[cfg(feature = "window")]
fn open_window(options: &Options) -> ExitCode {
    window::run(options)
}

#[cfg(not(feature = "window"))]
fn open_window(options: &Options) -> ExitCode {
    eprintln!("klar: this build has no window, so it serves without one.");
    serve::run(options)
}

fn dump(file: &std::path::Path) -> ExitCode {
    let mut stdout = std::io::BufWriter::new(std::io::stdout().lock());
    let dumped = crate::storage::dump(file, &mut stdout)
        .map_err(|error| error.to_string())
        .and_then(|()| std::io::Write::flush(&mut stdout).map_err(|error| error.to_string()));
    match dumped {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("klar: {}: {error}", file.display());
            ExitCode::FAILURE
        }
    }
}

/// Logs go to stderr, filtered by `KLAR_LOG` (such as `debug` or `klar::runtime=trace`).
fn write_logs_to_stderr() {
    let filter = EnvFilter::try_from_env("KLAR_LOG").unwrap_or_else(|_| EnvFilter::new("info"));
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_target(false)
        .with_ansi(std::io::IsTerminal::is_terminal(&std::io::stderr()))
        .init();
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory as _;

    #[test]
    fn the_arguments_are_consistent() {
        Arguments::command().debug_assert();
    }

    #[test]
    fn options_are_taken_before_and_after_the_verb() {
        for line in [
            ["klar", "--port", "0", "serve"],
            ["klar", "serve", "--port", "0"],
        ] {
            let arguments = Arguments::try_parse_from(line).unwrap();
            assert_eq!(arguments.options.port, 0);
        }
    }

    #[test]
    fn too_many_brokers_are_refused_with_their_number() {
        let error = Arguments::try_parse_from(["klar", "--brokers", "11"]).unwrap_err();
        assert!(error.to_string().contains("1..=10"), "{error}");
    }
}
