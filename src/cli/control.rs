//! `klar ctl`: asks the klar that runs on a data directory, over its local socket.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::ExitCode;

use clap::{Args, Subcommand};
use serde::Deserialize;

use super::options::{Options, setting};
use crate::cluster::control::{Ask, Heard, socket_of};
use crate::ids::BrokerId;
use crate::inspect::{Command, Failure, ProduceOne};

/// What every snapshot line begins with; the rest of the line is the snapshot and one brace.
const SNAPSHOT: &str = "{\"snapshot\":";

#[derive(Debug, Subcommand)]
pub enum Ctl {
    /// Print the picture the window draws, as JSON
    Snapshot,
    /// Make, change and remove topics
    #[command(subcommand)]
    Topics(Topics),
    /// Send one record
    Produce(ProduceArguments),
    /// Run a command given as JSON, as the window sends it
    Run { json: String },
    /// End a broker as `kill -9` does: connections reset, nothing flushed
    Kill { broker: i32 },
    /// Start a broker that does not run; one that runs is stopped cleanly first
    Restart { broker: i32 },
    /// Have a broker stand still, as SIGSTOP does
    Pause { broker: i32 },
    /// Let a broker go on that stands still
    Resume { broker: i32 },
    /// Cut the link between two brokers (`cut 1 2`), or one direction of it (`cut "1>2"`)
    Cut { from: String, to: Option<i32> },
    /// Delay everything between two brokers by so many milliseconds, each way
    Slow { a: i32, b: i32, delay_ms: u32 },
    /// Make all links between brokers as good as new
    Heal,
    /// Start one more broker
    AddBroker,
    /// Stop one broker cleanly, or the whole klar, and wait until it has stopped
    Stop { broker: Option<i32> },
}

#[derive(Debug, Subcommand)]
pub enum Topics {
    /// Print each topic's name, partitions, id and records
    List,
    /// Make a topic
    Create {
        name: String,
        #[arg(long, default_value_t = 1)]
        partitions: i32,
        #[arg(long, default_value_t = 1)]
        replication_factor: i16,
        /// A topic configuration by Kafka's name; may be repeated
        #[arg(long = "config", value_name = "KEY=VALUE", value_parser = setting)]
        configs: Vec<(String, String)>,
    },
    /// Delete a topic
    Delete {
        name: String,
        /// Delete after ten seconds, until when `undo-delete` takes it back
        #[arg(long)]
        undoable: bool,
    },
    /// Take back a deletion that has not happened yet
    UndoDelete { name: String },
    /// Delete all records, keep the topic
    Empty { name: String },
    /// Give a topic more partitions
    AddPartitions { name: String, total: i32 },
    /// Change a topic's configuration
    Alter {
        name: String,
        #[arg(long = "config", value_name = "KEY=VALUE", value_parser = setting)]
        configs: Vec<(String, String)>,
        /// Return a configuration to the broker's value; may be repeated
        #[arg(long = "unset", value_name = "KEY")]
        unset: Vec<String>,
    },
}

#[derive(Debug, Args)]
pub struct ProduceArguments {
    topic: String,
    /// Without it the key is null
    #[arg(long)]
    key: Option<String>,
    /// Without it the record is a tombstone
    #[arg(long)]
    value: Option<String>,
    /// Milliseconds since the Unix epoch
    #[arg(long)]
    timestamp: Option<i64>,
    #[arg(long = "header", value_name = "KEY=VALUE", value_parser = setting)]
    headers: Vec<(String, String)>,
}

/// Why the question got no answer.
#[derive(Debug, thiserror::Error)]
enum CtlError {
    #[error("no klar runs on {dir} ({cause}); start one, or name its directory with --data-dir")]
    NobodyThere { dir: String, cause: std::io::Error },
    #[error("the running klar answered nothing: {0}")]
    Silent(std::io::Error),
    #[error("the answer cannot be printed: {0}")]
    Unprintable(std::io::Error),
    #[error("the running klar answered something else: {0}")]
    Strange(serde_json::Error),
    #[error("{}: {}", .0.name, .0.sentence())]
    Failed(Failure),
    #[error("{0}")]
    Usage(String),
}

/// The part of a snapshot that `topics list` prints.
#[derive(Debug, Deserialize)]
struct Listing {
    topics: Vec<ListedTopic>,
}

#[derive(Debug, Deserialize)]
struct ListedTopic {
    name: String,
    id: String,
    partitions: Vec<ListedPartition>,
}

#[derive(Debug, Deserialize)]
struct ListedPartition {
    log_start: i64,
    log_end: i64,
}

/// Asks and prints the answer.
pub fn run(options: &Options, ctl: Ctl) -> ExitCode {
    let answered = options
        .directory()
        .map_err(CtlError::Usage)
        .and_then(|dir| ask(&dir, ctl));
    match answered {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("klar: {error}");
            ExitCode::FAILURE
        }
    }
}

fn ask(dir: &Path, ctl: Ctl) -> Result<(), CtlError> {
    match ctl {
        Ctl::Snapshot => print_line(&snapshot(dir)?),
        Ctl::Topics(Topics::List) => list(&snapshot(dir)?),
        Ctl::Topics(topics) => order(dir, topics_command(topics)),
        Ctl::Produce(arguments) => order(dir, produce_command(arguments)),
        Ctl::Run { json } => {
            let command = serde_json::from_str(&json)
                .map_err(|error| CtlError::Usage(format!("not a command: {error}")))?;
            order(dir, command)
        }
        Ctl::Kill { broker } => about(dir, broker, |broker| Command::KillBroker { broker }),
        Ctl::Restart { broker } => about(dir, broker, |broker| Command::RestartBroker { broker }),
        Ctl::Pause { broker } => about(dir, broker, |broker| Command::PauseBroker { broker }),
        Ctl::Resume { broker } => about(dir, broker, |broker| Command::ResumeBroker { broker }),
        Ctl::Cut { from, to } => order(dir, cut_command(&from, to)?),
        Ctl::Slow { a, b, delay_ms } => {
            let (a, b) = (BrokerId(a), BrokerId(b));
            order(dir, Command::SlowLink { a, b, delay_ms })
        }
        Ctl::Heal => order(dir, Command::HealLinks),
        Ctl::AddBroker => order(dir, Command::AddBroker),
        Ctl::Stop {
            broker: Some(broker),
        } => about(dir, broker, |broker| Command::StopBroker { broker }),
        Ctl::Stop { broker: None } => stop(dir),
    }
}

/// Prints a line; a reader that has seen enough (`| head`) is no error.
fn print_line(line: &str) -> Result<(), CtlError> {
    match writeln!(std::io::stdout().lock(), "{line}") {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => {
            Err(CtlError::Unprintable(error))
        }
        _ => Ok(()),
    }
}

fn topics_command(topics: Topics) -> Command {
    match topics {
        Topics::List => unreachable!("answered from a snapshot"),
        Topics::Create {
            name,
            partitions,
            replication_factor,
            configs,
        } => Command::CreateTopic {
            name,
            partitions,
            replication_factor,
            configs,
        },
        Topics::Delete { name, undoable } => Command::DeleteTopic {
            name,
            now: !undoable,
        },
        Topics::UndoDelete { name } => Command::UndoDelete { name },
        Topics::Empty { name } => Command::EmptyTopic { name },
        Topics::AddPartitions { name, total } => Command::AddPartitions { name, total },
        Topics::Alter {
            name,
            configs,
            unset,
        } => {
            let set = configs.into_iter().map(|(key, value)| (key, Some(value)));
            let unset = unset.into_iter().map(|key| (key, None));
            Command::AlterTopic {
                name,
                configs: set.chain(unset).collect(),
            }
        }
    }
}

fn produce_command(arguments: ProduceArguments) -> Command {
    Command::Produce(ProduceOne {
        topic: arguments.topic,
        key: arguments.key.map(String::into_bytes),
        value: arguments.value.map(String::into_bytes),
        headers: arguments
            .headers
            .into_iter()
            .map(|(key, value)| (key.into_bytes(), Some(value.into_bytes())))
            .collect(),
        timestamp_ms: arguments.timestamp,
        ..ProduceOne::default()
    })
}

fn snapshot(dir: &Path) -> Result<String, CtlError> {
    let (line, _) = converse(dir, &Ask::Snapshot)?;
    let line = line.trim_end();
    match line
        .strip_prefix(SNAPSHOT)
        .and_then(|rest| rest.strip_suffix('}'))
    {
        Some(snapshot) => Ok(snapshot.to_owned()),
        None => Err(heard(line)
            .err()
            .unwrap_or_else(|| CtlError::Usage("the running klar sent no snapshot".into()))),
    }
}

fn list(snapshot: &str) -> Result<(), CtlError> {
    let listing: Listing = serde_json::from_str(snapshot).map_err(CtlError::Strange)?;
    for topic in listing.topics {
        let offsets: i64 = topic
            .partitions
            .iter()
            .map(|partition| partition.log_end - partition.log_start)
            .sum();
        let partitions = match topic.partitions.len() {
            1 => "1 partition".to_owned(),
            n => format!("{n} partitions"),
        };
        let line = format!(
            "{}\t{partitions}\t{}\t≈{offsets} records",
            topic.name, topic.id
        );
        print_line(&line)?;
    }
    Ok(())
}

fn order(dir: &Path, command: Command) -> Result<(), CtlError> {
    let (line, _) = converse(dir, &Ask::Run { command })?;
    print_line(&heard(&line)?)
}

/// `A B` is both directions, `A>B` one.
fn cut_command(from: &str, to: Option<i32>) -> Result<Command, CtlError> {
    let number = |text: &str| text.trim().parse().ok().map(BrokerId);
    let link = match (to, from.split_once('>')) {
        (Some(to), None) => number(from).map(|from| (from, BrokerId(to), true)),
        (None, Some((from, to))) => number(from).zip(number(to)).map(|(a, b)| (a, b, false)),
        _ => None,
    };
    let (from, to, both_ways) = link.ok_or_else(|| {
        CtlError::Usage("write `cut 1 2` for both directions or `cut \"1>2\"` for one".into())
    })?;
    Ok(Command::CutLink {
        from,
        to,
        both_ways,
    })
}

/// Runs a command about one broker.
fn about(dir: &Path, broker: i32, command: impl Fn(BrokerId) -> Command) -> Result<(), CtlError> {
    order(dir, command(BrokerId(broker)))
}

fn stop(dir: &Path) -> Result<(), CtlError> {
    let ask = Ask::Run {
        command: Command::Stop,
    };
    let (line, mut rest) = converse(dir, &ask)?;
    let sentence = heard(&line)?;
    // The end of the program closes the socket.
    let mut nothing = Vec::new();
    let _ = rest.read_to_end(&mut nothing);
    print_line(&sentence)
}

fn heard(line: &str) -> Result<String, CtlError> {
    match serde_json::from_str(line).map_err(CtlError::Strange)? {
        Heard::Done(done) => Ok(done.sentence),
        Heard::Failed(failure) => Err(CtlError::Failed(failure)),
    }
}

fn converse(dir: &Path, ask: &Ask) -> Result<(String, BufReader<UnixStream>), CtlError> {
    let mut stream =
        UnixStream::connect(socket_of(dir)).map_err(|cause| CtlError::NobodyThere {
            dir: dir.display().to_string(),
            cause,
        })?;
    let mut text = serde_json::to_vec(ask).map_err(CtlError::Strange)?;
    text.push(b'\n');
    stream.write_all(&text).map_err(CtlError::Silent)?;
    let mut reader = BufReader::new(stream);
    let mut line = String::new();
    reader.read_line(&mut line).map_err(CtlError::Silent)?;
    if line.is_empty() {
        return Err(CtlError::Silent(std::io::ErrorKind::UnexpectedEof.into()));
    }
    Ok((line, reader))
}
