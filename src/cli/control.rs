//! `klar ctl`: asks the klar that runs on a data directory, over its local socket.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::ExitCode;

use clap::{Args, Subcommand, ValueEnum};
use serde::Deserialize;

use super::doctor;
use super::events::{self, EventsArguments};
use super::files::{self, FilesArguments};
use super::groups::{self, Groups};
use super::options::{Options, setting};
use crate::cluster::control::{Ask, Heard, socket_of};
use crate::ids::{BrokerId, PartitionIndex};
use crate::inspect::{Command, Done, Failure, MAX_SLOWDOWN, ProduceOne};

/// What every snapshot line begins with; the rest of the line is the snapshot and one brace.
const SNAPSHOT: &str = "{\"snapshot\":";

#[derive(Debug, Subcommand)]
pub enum Ctl {
    /// Print the picture the window draws, as JSON
    Snapshot,
    /// Print what happened, oldest first, each with its cause
    Events(EventsArguments),
    /// Say where clients dialed, what Metadata told them and whether they arrived there
    Doctor {
        /// Only clients that call themselves so
        client_id: Option<String>,
    },
    /// List the files a broker that does not run left on disk: path, kind, offsets, bytes
    Files(FilesArguments),
    /// Make, change and remove topics
    #[command(subcommand)]
    Topics(Topics),
    /// List and describe consumer groups, move their offsets, delete them
    #[command(subcommand)]
    Groups(Groups),
    /// Send one record
    Produce(ProduceArguments),
    /// Run a command given as JSON, as the window sends it
    Run { json: String },
    /// End a broker as `kill -9` does: connections reset, nothing flushed
    Kill {
        #[arg(value_parser = broker)]
        broker: BrokerId,
    },
    /// Do to the whole cluster what a power loss does: end every broker, cut every file to what was synced, start again
    PullPlug {
        /// Yes, whatever was not synced is to be lost
        #[arg(long)]
        yes: bool,
    },
    /// Start a broker that does not run; one that runs is stopped cleanly first
    Restart {
        #[arg(value_parser = broker)]
        broker: BrokerId,
    },
    /// Have a broker stand still, as SIGSTOP does
    Pause {
        #[arg(value_parser = broker)]
        broker: BrokerId,
    },
    /// Let a broker go on that stands still
    Resume {
        #[arg(value_parser = broker)]
        broker: BrokerId,
    },
    /// Cut the link between two brokers (`cut 1 2`), or one direction of it (`cut "1>2"`)
    Cut { from: String, to: Option<i32> },
    /// Delay everything between two brokers by so many milliseconds, each way
    Slow {
        #[arg(value_parser = broker)]
        a: BrokerId,
        #[arg(value_parser = broker)]
        b: BrokerId,
        delay_ms: u32,
    },
    /// Slow time down for the brokers and klar's own clients: `speed 1/100`, `speed 1` is real time
    Speed {
        #[arg(value_parser = speed)]
        speed: Slowdown,
    },
    /// Have time stand still (`time pause`), go on, or let one message between brokers through (`time step`)
    Time {
        #[arg(value_enum)]
        what: TimeVerb,
    },
    /// Hold back what followers ask of leaders, or let it go on: `replication freeze`, `replication thaw`
    Replication {
        #[arg(value_enum)]
        what: ReplicationVerb,
    },
    /// Make the link between two brokers as good as new (`heal 1 2`), or all links
    Heal {
        #[arg(value_parser = broker, requires = "b")]
        a: Option<BrokerId>,
        #[arg(value_parser = broker)]
        b: Option<BrokerId>,
    },
    /// Start one more broker
    AddBroker,
    /// Forget a broker that was stopped, holds no replicas and was added later; its directory is set aside
    RemoveBroker {
        #[arg(value_parser = broker)]
        broker: BrokerId,
        /// Yes, forget it for good
        #[arg(long)]
        yes: bool,
    },
    /// Have a broker lead a partition, such as `elect orders-0 2`, and prefer it from now on
    Elect {
        #[arg(value_name = "TOPIC-P", value_parser = partition)]
        partition: (String, PartitionIndex),
        #[arg(value_parser = broker)]
        broker: BrokerId,
        /// If nobody can lead: give up records that this broker lacks
        #[arg(long)]
        unclean: bool,
    },
    /// Move a partition's replicas, such as `move orders-0 1,2,4`, the preferred leader first
    Move {
        #[arg(value_name = "TOPIC-P", value_parser = partition)]
        partition: (String, PartitionIndex),
        #[arg(value_name = "BROKERS", value_delimiter = ',', required = true, value_parser = broker)]
        to: Vec<BrokerId>,
    },
    /// Take back a move that is under way
    CancelMove {
        #[arg(value_name = "TOPIC-P", value_parser = partition)]
        partition: (String, PartitionIndex),
    },
    /// Say which replicas are on their way to other brokers
    Moves,
    /// Stop one broker cleanly, or the whole klar, and wait until it has stopped
    Stop {
        #[arg(value_parser = broker)]
        broker: Option<BrokerId>,
    },
}

/// How many seconds a second of the cluster takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Slowdown(u32);

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum TimeVerb {
    Pause,
    Resume,
    Step,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum ReplicationVerb {
    Freeze,
    Thaw,
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
        /// -1 is the brokers' default.replication.factor
        #[arg(long, default_value_t = -1, allow_negative_numbers = true)]
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
pub enum CtlError {
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
        Ctl::Events(arguments) => events::print(&snapshot(dir)?, arguments),
        Ctl::Doctor { client_id } => doctor::print(&snapshot(dir)?, client_id.as_deref()),
        Ctl::Files(arguments) => list_files(dir, &arguments),
        Ctl::Topics(Topics::List) => list(&snapshot(dir)?),
        Ctl::Groups(groups) => groups::run(dir, groups),
        Ctl::Stop { broker: None } => stop(dir),
        other => order(dir, command(other)?),
    }
}

/// What a verb has the cluster do.
fn command(ctl: Ctl) -> Result<Command, CtlError> {
    Ok(match ctl {
        Ctl::Snapshot
        | Ctl::Events(_)
        | Ctl::Doctor { .. }
        | Ctl::Files(_)
        | Ctl::Groups(_)
        | Ctl::Stop { broker: None } => unreachable!("answered otherwise"),
        Ctl::Topics(topics) => topics_command(topics),
        Ctl::Produce(arguments) => produce_command(arguments),
        Ctl::Run { json } => serde_json::from_str(&json)
            .map_err(|error| CtlError::Usage(format!("not a command: {error}")))?,
        Ctl::Kill { broker } => Command::KillBroker { broker },
        Ctl::Restart { broker } => Command::RestartBroker { broker },
        Ctl::Pause { broker } => Command::PauseBroker { broker },
        Ctl::Resume { broker } => Command::ResumeBroker { broker },
        Ctl::Cut { from, to } => cut_command(&from, to)?,
        Ctl::Slow { a, b, delay_ms } => Command::SlowLink { a, b, delay_ms },
        Ctl::Speed {
            speed: Slowdown(times),
        } => Command::SlowTime { times },
        Ctl::Time { what } => match what {
            TimeVerb::Pause => Command::PauseTime,
            TimeVerb::Resume => Command::ResumeTime,
            TimeVerb::Step => Command::Step,
        },
        Ctl::Replication { what } => match what {
            ReplicationVerb::Freeze => Command::FreezeReplication,
            ReplicationVerb::Thaw => Command::ThawReplication,
        },
        Ctl::Heal { a, b } => match a.zip(b) {
            Some((a, b)) => Command::HealLink { a, b },
            None => Command::HealLinks,
        },
        Ctl::PullPlug { yes: true } => Command::PullPlug,
        Ctl::PullPlug { yes: false } => {
            let what = "whatever is not on the disk yet would be lost for good";
            return Err(CtlError::Usage(format!("{what}; say --yes if you mean it")));
        }
        Ctl::AddBroker => Command::AddBroker,
        Ctl::RemoveBroker { yes: false, broker } => {
            let what = format!("broker {broker} would be forgotten for good");
            return Err(CtlError::Usage(format!("{what}; say --yes if you mean it")));
        }
        Ctl::RemoveBroker { broker, .. } => Command::RemoveBroker { broker },
        Ctl::Elect {
            partition: (topic, partition),
            broker,
            unclean,
        } => Command::ElectLeader {
            topic,
            partition,
            broker,
            unclean,
        },
        Ctl::Move {
            partition: (topic, partition),
            to,
        } => Command::MoveReplicas {
            topic,
            partition,
            brokers: to,
        },
        Ctl::CancelMove {
            partition: (topic, partition),
        } => Command::CancelMove { topic, partition },
        Ctl::Moves => Command::ListMoves,
        Ctl::Stop {
            broker: Some(broker),
        } => Command::StopBroker { broker },
    })
}

/// Prints a line; a reader that has seen enough (`| head`) is no error.
pub fn print_line(line: &str) -> Result<(), CtlError> {
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

/// The picture the window draws, as JSON.
pub fn snapshot(dir: &Path) -> Result<String, CtlError> {
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

fn list_files(dir: &Path, arguments: &FilesArguments) -> Result<(), CtlError> {
    let ask = Ask::Files {
        broker: arguments.broker,
    };
    let (line, _) = converse(dir, &ask)?;
    match serde_json::from_str(&line).map_err(CtlError::Strange)? {
        Heard::Files(found) => files::print(&found, arguments.json),
        Heard::Done(done) => print_line(&done.sentence),
        Heard::Failed(failure) => Err(CtlError::Failed(failure)),
    }
}

fn order(dir: &Path, command: Command) -> Result<(), CtlError> {
    let (line, _) = converse(dir, &Ask::Run { command })?;
    print_line(&heard(&line)?)
}

/// Has a command carried out; what came of it.
pub fn carry_out(dir: &Path, command: Command) -> Result<Done, CtlError> {
    let (line, _) = converse(dir, &Ask::Run { command })?;
    match serde_json::from_str(&line).map_err(CtlError::Strange)? {
        Heard::Done(done) => Ok(done),
        Heard::Files(_) => Err(CtlError::Usage("the running klar sent files".into())),
        Heard::Failed(failure) => Err(CtlError::Failed(failure)),
    }
}

pub fn broker(text: &str) -> Result<BrokerId, String> {
    let number = text.trim().parse();
    number
        .map(BrokerId)
        .map_err(|_| "not a broker's number".to_owned())
}

/// A speed as the window names it: `1`, `1/20`.
fn speed(text: &str) -> Result<Slowdown, String> {
    let text = text.trim().trim_end_matches(['x', '×']);
    let times = text.strip_prefix("1/").unwrap_or(text).parse();
    let whole = text.starts_with("1/") || text == "1";
    match times {
        Ok(times) if whole && (1..=MAX_SLOWDOWN).contains(&times) => Ok(Slowdown(times)),
        _ => Err(format!("write 1 for real time, or 1/2 to 1/{MAX_SLOWDOWN}")),
    }
}

/// A partition as logs name it: `orders-0`.
pub fn partition(text: &str) -> Result<(String, PartitionIndex), String> {
    let parts = text.rsplit_once('-').filter(|(topic, _)| !topic.is_empty());
    let named = parts.and_then(|(topic, index)| Some((topic.to_owned(), index.parse().ok()?)));
    let (topic, index) = named.ok_or("write topic and partition as in orders-0")?;
    Ok((topic, PartitionIndex(index)))
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
        Heard::Files(files) => Ok(format!("{} files", files.count())),
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
