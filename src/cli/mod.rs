//! The command line: `klar`, `klar serve`, `klar ctl …`, `klar dump FILE`, `klar sim`.
//!
//! Prints what was asked for on stdout and everything else on stderr. It decides nothing about Kafka.

mod control;
mod doctor;
mod events;
mod files;
mod groups;
mod options;
#[cfg(feature = "plants")]
mod plant;
mod serve;
mod sim;
#[cfg(feature = "window")]
mod window;

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::error::ErrorKind;
use clap::parser::ValueSource;
use clap::{Command, CommandFactory as _, FromArgMatches as _, Parser, Subcommand};
use tracing_subscriber::EnvFilter;

use crate::storage::DumpError;
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
    #[cfg(feature = "plants")]
    Plant(plant::Plants),
}

/// Options that are about starting klar. The rest, `--data-dir`, says which one is meant.
const START_OPTIONS: &[&str] = &[
    "ephemeral",
    "brokers",
    "port",
    "listen",
    "durability",
    "settings",
];

/// What starts nothing, and whether `--data-dir` says something to it.
const OTHER_VERBS: &[(&str, bool)] = &[
    ("ctl", true),
    ("dump", false),
    ("sim", false),
    ("plant", false),
];

impl Arguments {
    /// The command line with the help of each verb cut to the options that are about it.
    fn told() -> Command {
        let mut command = Arguments::command();
        // Options of the whole program reach the verbs only then.
        command.build();
        for (verb, has_directory) in OTHER_VERBS {
            if command.find_subcommand(verb).is_some() {
                let hidden = (!has_directory).then_some("data_dir");
                let hidden: Vec<&str> = START_OPTIONS.iter().copied().chain(hidden).collect();
                command = command.mut_subcommand(verb, |verb| without(verb, &hidden));
            }
        }
        command
    }

    /// Reads a command line. Options of the start are refused where nothing is started, rather than ignored.
    fn read(
        line: impl IntoIterator<Item = impl Into<OsString> + Clone>,
    ) -> Result<Arguments, clap::Error> {
        let matches = Arguments::told().try_get_matches_from(line)?;
        let arguments = Arguments::from_arg_matches(&matches)?;
        let starts = matches!(arguments.verb, None | Some(Verb::Serve));
        let given = |option: &&&str| matches.value_source(option) == Some(ValueSource::CommandLine);
        match START_OPTIONS.iter().find(given) {
            Some(option) if !starts => {
                let option = option.replace("settings", "set");
                let why = format!("--{option} is for starting klar; this takes only --data-dir");
                Err(Arguments::command().error(ErrorKind::ArgumentConflict, why))
            }
            _ => Ok(arguments),
        }
    }
}

/// A command whose help, and that of what is below it, does not tell of some options.
fn without(command: Command, hidden: &[&str]) -> Command {
    let below: Vec<String> = command
        .get_subcommands()
        .map(|c| c.get_name().to_owned())
        .collect();
    let command = below.iter().fold(command, |command, name| {
        command.mut_subcommand(name, |below| without(below, hidden))
    });
    command.mut_args(|arg| match hidden.contains(&arg.get_id().as_str()) {
        true => arg.hide(true),
        false => arg,
    })
}

/// Runs what the arguments ask for.
pub fn main() -> ExitCode {
    let arguments = Arguments::read(std::env::args_os()).unwrap_or_else(|error| error.exit());
    write_logs_to_stderr();
    match arguments.verb {
        Some(Verb::Serve) => serve::run(&arguments.options),
        Some(Verb::Ctl(ctl)) => control::run(&arguments.options, ctl),
        Some(Verb::Dump { file }) => dump(&file),
        Some(Verb::Sim(arguments)) => sim::run(&arguments),
        #[cfg(feature = "plants")]
        Some(Verb::Plant(arguments)) => plant::run(&arguments),
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
    let dumped = crate::storage::dump(file, &mut stdout);
    let dumped = dumped.and_then(|()| Ok(std::io::Write::flush(&mut stdout)?));
    match dumped {
        Ok(()) => ExitCode::SUCCESS,
        // A reader that has seen enough (`| head`) is no error.
        Err(DumpError::Print(error)) if error.kind() == std::io::ErrorKind::BrokenPipe => {
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("klar: {error}");
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
            let arguments = Arguments::read(line).unwrap();
            assert_eq!(arguments.options.port, 0);
        }
    }

    #[test]
    fn replicas_are_moved_to_brokers_whose_number_is_no_option() {
        let line = ["klar", "ctl", "move", "a-b-0", "1,2,4"];
        let Some(Verb::Ctl(control::Ctl::Move { partition, to })) =
            Arguments::read(line).unwrap().verb
        else {
            panic!("another verb");
        };
        assert_eq!((partition.0.as_str(), partition.1.0), ("a-b", 0));
        assert_eq!(to.iter().map(|id| id.0).collect::<Vec<_>>(), [1, 2, 4]);
    }

    #[test]
    fn options_of_the_start_are_refused_where_nothing_is_started() {
        let error = Arguments::read(["klar", "ctl", "--ephemeral", "stop"]).unwrap_err();
        assert!(error.to_string().contains("--ephemeral"), "{error}");
        Arguments::read(["klar", "ctl", "--data-dir", "/d", "stop"]).unwrap();
    }

    #[test]
    fn help_tells_of_what_is_about_the_verb() {
        let help = |line: &[&str]| Arguments::read(line).unwrap_err().to_string();
        let sim = help(&["klar", "sim", "--help"]);
        assert!(sim.contains("--seeds") && !sim.contains("--port"), "{sim}");
        assert!(!sim.contains("--data-dir"), "{sim}");
        for profile in crate::lab::PROFILES {
            assert!(sim.contains(profile.name), "{}", profile.name);
        }
        let kill = help(&["klar", "ctl", "kill", "--help"]);
        assert!(kill.contains("--data-dir") && !kill.contains("--ephemeral"));
        assert!(help(&["klar", "serve", "--help"]).contains("--port"));
    }

    #[test]
    fn too_many_brokers_are_refused_with_their_number() {
        let error = Arguments::read(["klar", "--brokers", "11"]).unwrap_err();
        assert!(error.to_string().contains("1..=10"), "{error}");
    }
}
