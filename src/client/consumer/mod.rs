//! The consumer: reads assigned partitions from an offset, a time or an end on. No groups.
//!
//! Each partition has at most one piece of records fetched and not yet taken, so a reader that is slow
//! costs bounded memory. Pieces of a partition arrive in order and without gaps but those of the log.
//! Records of open and aborted transactions are given out like any other (read_uncommitted).

mod fetched;
mod requests;

use std::collections::{BTreeMap, VecDeque};

pub use self::fetched::{Fetched, Visited};
use super::links::{Answer, Links, Ticket};
use super::machine::OverLinks;
use super::{CallError, ClusterView, LinksConfig};
use crate::ids::{BrokerId, Offset, PartitionIndex, Time};

/// How a consumer reads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConsumerConfig {
    pub links: LinksConfig,
    /// How long the broker may wait for new records, milliseconds.
    pub max_wait_ms: i32,
    /// What one answer carries at most, bytes; the first batch comes whole whatever its size.
    pub max_bytes: i32,
    /// The same for one partition.
    pub partition_max_bytes: i32,
    /// What is not answered after this time has failed, milliseconds.
    pub patience_ms: i64,
    /// Where to go on when the position is not in the log; `None` fails the partition.
    pub out_of_range: Option<Start>,
}

impl ConsumerConfig {
    /// Sizes fit for a window that shows records as they come.
    pub fn new(links: LinksConfig) -> ConsumerConfig {
        ConsumerConfig {
            links,
            max_wait_ms: 250,
            max_bytes: 8 * 1024 * 1024,
            partition_max_bytes: 1024 * 1024,
            patience_ms: 30_000,
            out_of_range: Some(Start::Earliest),
        }
    }
}

/// A topic that does not exist is waited for this long, milliseconds.
const UNKNOWN_TOPIC_PATIENCE_MS: i64 = 2_000;

/// Where reading begins, or which offset is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Start {
    Offset(Offset),
    /// The log start.
    Earliest,
    /// The high watermark.
    Latest,
    /// The first record with this timestamp or a later one (milliseconds since the Unix epoch); the high
    /// watermark if there is none.
    TimeMs(i64),
}

/// Identifies a question for an offset.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct OffsetQuery(pub u64);

/// What a consumer reports.
#[derive(Debug, Clone, PartialEq)]
pub enum ConsumerEvent {
    Records(Fetched),
    /// Answer to [`Consumer::ask_offset`].
    Offset {
        query: OffsetQuery,
        topic: String,
        partition: PartitionIndex,
        answer: Result<Offset, CallError>,
    },
    /// The position was outside the log (its records were deleted); reading goes on elsewhere.
    Moved {
        topic: String,
        partition: PartitionIndex,
        from: Offset,
        to: Offset,
    },
    /// The partition cannot be read and is not assigned any more.
    Failed {
        topic: String,
        partition: PartitionIndex,
        error: CallError,
    },
}

/// How far reading has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Progress {
    /// The next offset to be fetched.
    pub position: Offset,
    /// As of the newest answer; [`Offset::NONE`] before the first.
    pub high_watermark: Offset,
    pub log_start: Offset,
}

/// A partition by its topic's name.
pub(super) type Place = (String, PartitionIndex);

/// A consumer as a state machine.
pub struct Consumer {
    config: ConsumerConfig,
    links: Links,
    assigned: BTreeMap<Place, Assigned>,
    questions: Vec<Question>,
    sent: BTreeMap<Ticket, Sent>,
    events: VecDeque<ConsumerEvent>,
    next_number: u64,
    last_step: Time,
}

struct Assigned {
    /// `None` until the start is known.
    position: Option<Offset>,
    high_watermark: Offset,
    log_start: Offset,
    paused: bool,
    /// Its newest records wait in the event queue.
    untaken: bool,
    in_flight: bool,
    not_before: Option<Time>,
    /// Tells answers for an earlier position from those for this one.
    seek: u64,
}

/// An offset asked for, by the caller or to find where an assignment starts.
struct Question {
    place: Place,
    at: Start,
    asker: Asker,
    since: Time,
    not_before: Option<Time>,
    last_error: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Asker {
    Caller(OffsetQuery),
    /// The assignment with this seek number; from where it had to move, if it had to.
    Assignment {
        seek: u64,
        moved_from: Option<Offset>,
    },
}

enum Sent {
    Fetch {
        leader: BrokerId,
        places: Vec<(Place, u64)>,
    },
    Offsets(Vec<Question>),
}

impl Consumer {
    pub fn new(config: ConsumerConfig) -> Consumer {
        Consumer {
            links: Links::new(config.links.clone()),
            config,
            assigned: BTreeMap::new(),
            questions: Vec::new(),
            sent: BTreeMap::new(),
            events: VecDeque::new(),
            next_number: 0,
            last_step: Time(i64::MIN),
        }
    }

    /// Starts reading a partition, or moves it. Records fetched before and not yet taken are dropped.
    pub fn assign(&mut self, now: Time, topic: &str, partition: PartitionIndex, start: Start) {
        self.unassign(topic, partition);
        self.links.want_topic(now, topic);
        let place = (topic.to_owned(), partition);
        let seek = self.number();
        let position = match start {
            Start::Offset(offset) => Some(offset),
            at => {
                self.ask(now, place.clone(), at, seek, None);
                None
            }
        };
        self.assigned.insert(
            place,
            Assigned {
                position,
                high_watermark: Offset::NONE,
                log_start: Offset::NONE,
                paused: false,
                untaken: false,
                in_flight: false,
                not_before: None,
                seek,
            },
        );
    }

    /// Stops reading a partition.
    pub fn unassign(&mut self, topic: &str, partition: PartitionIndex) {
        let place = (topic.to_owned(), partition);
        self.assigned.remove(&place);
        self.questions
            .retain(|q| q.place != place || matches!(q.asker, Asker::Caller(_)));
        self.events.retain(|event| match event {
            ConsumerEvent::Records(records) => {
                (records.topic.as_str(), records.partition) != (topic, partition)
            }
            _ => true,
        });
    }

    /// Stops fetching a partition for a while, or goes on.
    pub fn pause(&mut self, topic: &str, partition: PartitionIndex, paused: bool) {
        if let Some(assigned) = self.assigned.get_mut(&(topic.to_owned(), partition)) {
            assigned.paused = paused;
        }
    }

    /// Asks a partition's leader for an offset; the answer comes as an event.
    pub fn ask_offset(
        &mut self,
        now: Time,
        topic: &str,
        partition: PartitionIndex,
        at: Start,
    ) -> OffsetQuery {
        self.links.want_topic(now, topic);
        let query = OffsetQuery(self.number());
        self.questions.push(Question {
            place: (topic.to_owned(), partition),
            at,
            asker: Asker::Caller(query),
            since: now,
            not_before: None,
            last_error: String::new(),
        });
        query
    }

    /// The next thing to report. Taking a partition's records lets more of them be fetched.
    pub fn poll_event(&mut self) -> Option<ConsumerEvent> {
        let event = self.events.pop_front()?;
        if let ConsumerEvent::Records(records) = &event {
            let place = (records.topic.clone(), records.partition);
            if let Some(assigned) = self.assigned.get_mut(&place) {
                assigned.untaken = false;
            }
        }
        Some(event)
    }

    /// How far a partition has been read; `None` if it is not assigned or its start is not known yet.
    pub fn progress(&self, topic: &str, partition: PartitionIndex) -> Option<Progress> {
        let assigned = self.assigned.get(&(topic.to_owned(), partition))?;
        Some(Progress {
            position: assigned.position?,
            high_watermark: assigned.high_watermark,
            log_start: assigned.log_start,
        })
    }

    /// Keeps a topic's partitions known in [`cluster`](Self::cluster) without reading it.
    pub fn watch_topic(&mut self, now: Time, topic: &str) {
        self.links.want_topic(now, topic);
    }

    /// Ends [`watch_topic`](Self::watch_topic).
    pub fn unwatch_topic(&mut self, topic: &str) {
        self.links.forget_topic(topic);
    }

    /// What is known of the cluster.
    pub fn cluster(&self) -> &ClusterView {
        &self.links.cluster
    }

    fn ask(&mut self, now: Time, place: Place, at: Start, seek: u64, moved_from: Option<Offset>) {
        self.questions.push(Question {
            place,
            at,
            asker: Asker::Assignment { seek, moved_from },
            since: now,
            not_before: None,
            last_error: String::new(),
        });
    }

    /// A ticket for a request of somebody who uses the same links.
    pub(super) fn ticket(&mut self) -> Ticket {
        Ticket(self.number())
    }

    fn number(&mut self) -> u64 {
        self.next_number += 1;
        self.next_number
    }

    fn fail(&mut self, place: Place, asker: Option<Asker>, error: CallError) {
        let (topic, partition) = place.clone();
        match asker {
            Some(Asker::Caller(query)) => self.events.push_back(ConsumerEvent::Offset {
                query,
                topic,
                partition,
                answer: Err(error),
            }),
            Some(Asker::Assignment { .. }) | None => {
                self.unassign(&topic, partition);
                self.events.push_back(ConsumerEvent::Failed {
                    topic,
                    partition,
                    error,
                });
            }
        }
    }

    /// Ends questions that waited too long, and everything about topics that cannot be read.
    fn give_up(&mut self, now: Time) {
        let mut failed = Vec::new();
        let (cluster, patience_ms) = (&self.links.cluster, self.config.patience_ms);
        self.questions.retain(|question| {
            let waited_ms = (now.since_us(question.since) / 1000) as i64;
            let error = if waited_ms >= patience_ms {
                let last = question.last_error.clone();
                Some(CallError::TimedOut { waited_ms, last })
            } else {
                let topic = cluster.topics.get(&question.place.0);
                topic.and_then(|topic| requests::unreadable(topic, question.place.1, waited_ms))
            };
            let keep = error.is_none();
            if let Some(error) = error {
                failed.push((question.place.clone(), question.asker, error));
            }
            keep
        });
        for (place, asker, error) in failed {
            self.fail(place, Some(asker), error);
        }
    }
}

impl OverLinks for Consumer {
    fn links(&mut self) -> &mut Links {
        &mut self.links
    }

    fn take_answer(&mut self, now: Time, answer: Answer) {
        self.on_answer(now, answer);
    }

    fn on_lost(&mut self, now: Time, ticket: Ticket, why: &str) {
        self.take_loss(now, ticket, why);
    }

    fn step(&mut self, now: Time) {
        self.last_step = now;
        self.give_up(now);
        self.send_questions(now);
        self.send_fetches(now);
    }

    fn next_step(&self) -> Option<Time> {
        let pauses = self.assigned.values().filter_map(|a| a.not_before);
        let questions = self.questions.iter().flat_map(|question| {
            let limit = question.since.plus_ms(self.config.patience_ms);
            let unknown = question.since.plus_ms(UNKNOWN_TOPIC_PATIENCE_MS);
            [question.not_before, Some(limit), Some(unknown)]
        });
        // What was due at the last step was done then, or waits for something else in this list.
        pauses
            .chain(questions.flatten())
            .filter(|at| *at > self.last_step)
            .chain(self.links.next_wakeup())
            .min()
    }
}
