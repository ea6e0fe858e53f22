//! `klar ctl events`: what happened, as the window's timeline tells it.

use clap::{ArgGroup, Args};
use serde::Deserialize;

use super::control::{CtlError, broker, partition, print_line};
use crate::ids::{BrokerId, PartitionIndex};
use crate::inspect::{Event, EventFilter, EventForm, EventGroup, EventSubject};

#[derive(Debug, Args)]
#[command(group(ArgGroup::new("about").args(["broker", "topic", "partition"])))]
pub struct EventsArguments {
    /// One line each with moment, broker and sentence; this is what is printed without --json
    #[arg(long, conflicts_with = "json")]
    text: bool,
    /// One JSON object a line, with everything there is of each event
    #[arg(long)]
    json: bool,
    /// Only topics, elections, in-sync, moves, brokers, faults, logs, clients or time; may be repeated
    #[arg(long = "kind", value_name = "KIND", value_parser = group)]
    kinds: Vec<EventGroup>,
    /// Only what is about a broker
    #[arg(long, value_parser = broker)]
    broker: Option<BrokerId>,
    /// Only what is about a topic or its partitions
    #[arg(long)]
    topic: Option<String>,
    /// Only what is about a partition, such as orders-0
    #[arg(long, value_name = "TOPIC-P", value_parser = partition)]
    partition: Option<(String, PartitionIndex)>,
    /// Only what has this text in its sentence
    #[arg(long, value_name = "TEXT")]
    find: Option<String>,
}

/// The part of a snapshot that is printed.
#[derive(Debug, Deserialize)]
struct Told {
    events: Vec<Event>,
}

/// Prints the events of a snapshot that were asked for, oldest first.
pub fn print(snapshot: &str, arguments: EventsArguments) -> Result<(), CtlError> {
    let told: Told = serde_json::from_str(snapshot).map_err(CtlError::Strange)?;
    let form = match arguments.json {
        true => EventForm::JsonLines,
        false => EventForm::Text,
    };
    let filter = filter(arguments);
    for event in told.events.iter().filter(|event| filter.takes(event)) {
        print_line(&event.line(form))?;
    }
    Ok(())
}

fn filter(arguments: EventsArguments) -> EventFilter {
    let broker = arguments.broker.map(EventSubject::Broker);
    let topic = arguments.topic.map(EventSubject::Topic);
    let partition = arguments.partition;
    let partition = partition.map(|(topic, index)| EventSubject::Partition(topic, index));
    EventFilter {
        groups: arguments.kinds.into_iter().collect(),
        about: broker.or(topic).or(partition),
        text: arguments.find.unwrap_or_default(),
    }
}

fn group(word: &str) -> Result<EventGroup, String> {
    let found = EventGroup::ALL.iter().find(|group| group.word() == word);
    found.copied().ok_or_else(|| {
        let words: Vec<&str> = EventGroup::ALL.iter().map(|group| group.word()).collect();
        format!("the kinds are {}", words.join(", "))
    })
}
