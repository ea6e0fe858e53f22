//! The admin: makes, changes, empties and deletes topics, reads their configuration, and has replicas moved and
//! leaders elected.
//!
//! Every request ends in exactly one answer. Temporary errors are tried again until the patience is over;
//! a request whose answer was lost is sent again, so creating what was created just before is reported as
//! existing, as Kafka's own admin does.

mod placement;
mod requests;

use std::collections::{BTreeMap, VecDeque};

pub use placement::{Placed, Placement};

use super::links::{Answer, Links, Ticket};
use super::machine::OverLinks;
use super::{CallError, ClusterView, LinksConfig};
use crate::ids::{Offset, PartitionIndex, Time};

/// How long a request is tried, milliseconds.
const PATIENCE_MS: i64 = 15_000;
/// A topic that does not exist is waited for this long, milliseconds.
const UNKNOWN_TOPIC_PATIENCE_MS: i64 = 2_000;

/// One thing to have done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AdminRequest {
    /// −1 partitions or replicas leave the choice to the broker.
    CreateTopic {
        name: String,
        partitions: i32,
        replication_factor: i16,
        configs: Vec<(String, String)>,
    },
    DeleteTopic {
        name: String,
    },
    AddPartitions {
        topic: String,
        total: i32,
    },
    /// `None` returns a configuration to its default.
    AlterTopic {
        topic: String,
        configs: Vec<(String, Option<String>)>,
    },
    /// Deletes the records before these offsets; [`Offset::NONE`] is the high watermark.
    DeleteRecords {
        topic: String,
        before: Vec<(PartitionIndex, Offset)>,
    },
    /// Deletes every record below the high watermark of every partition.
    EmptyTopic {
        topic: String,
    },
    /// Reads a topic's configuration.
    DescribeConfigs {
        topic: String,
    },
    Placement(Placement),
}

/// Error code and message of a broker's answer.
type Verdict = (i16, Option<String>);

/// What was done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AdminAnswer {
    Done,
    /// The log starts after deleting records.
    LogStarts(Vec<(PartitionIndex, Offset)>),
    Configs(Vec<ConfigEntry>),
    Placed(Vec<Placed>),
}

/// One configuration of a topic.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigEntry {
    pub name: String,
    pub value: Option<String>,
    /// Not set for the topic itself.
    pub is_default: bool,
}

/// Identifies a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct OperationId(pub u64);

/// An admin as a state machine.
pub struct Admin {
    links: Links,
    operations: BTreeMap<OperationId, Operation>,
    sent: BTreeMap<Ticket, OperationId>,
    answers: VecDeque<(OperationId, Result<AdminAnswer, CallError>)>,
    next_number: u64,
    last_step: Time,
}

struct Operation {
    request: AdminRequest,
    since: Time,
    not_before: Option<Time>,
    last_error: String,
    /// Answers that must still come.
    in_flight: u32,
    /// Partitions whose records are to be deleted; known once the topic is.
    before: Option<Vec<(PartitionIndex, Offset)>>,
    log_starts: Vec<(PartitionIndex, Offset)>,
}

impl Admin {
    pub fn new(config: LinksConfig) -> Admin {
        Admin {
            links: Links::new(config),
            operations: BTreeMap::new(),
            sent: BTreeMap::new(),
            answers: VecDeque::new(),
            next_number: 0,
            last_step: Time(i64::MIN),
        }
    }

    /// Has something done; the answer comes with [`poll_answer`](Self::poll_answer).
    pub fn request(&mut self, now: Time, request: AdminRequest) -> OperationId {
        let id = OperationId(self.number());
        let before = match &request {
            AdminRequest::DeleteRecords { topic, before } => {
                self.links.want_topic(now, topic);
                Some(before.clone())
            }
            AdminRequest::EmptyTopic { topic } => {
                // What was known of it may be older than its newest partitions.
                self.links.forget_topic(topic);
                self.links.want_topic(now, topic);
                None
            }
            _ => None,
        };
        let operation = Operation {
            request,
            since: now,
            not_before: None,
            last_error: String::new(),
            in_flight: 0,
            before,
            log_starts: Vec::new(),
        };
        self.operations.insert(id, operation);
        id
    }

    /// The next answer.
    pub fn poll_answer(&mut self) -> Option<(OperationId, Result<AdminAnswer, CallError>)> {
        self.answers.pop_front()
    }

    /// What is known of the cluster.
    pub fn cluster(&self) -> &ClusterView {
        &self.links.cluster
    }

    fn number(&mut self) -> u64 {
        self.next_number += 1;
        self.next_number
    }

    fn finish(&mut self, id: OperationId, answer: Result<AdminAnswer, CallError>) {
        let Some(operation) = self.operations.remove(&id) else {
            return;
        };
        if let Some(topic) = operation.request.leaders_topic() {
            let still = |o: &Operation| o.request.leaders_topic() == Some(topic);
            if !self.operations.values().any(still) {
                self.links.forget_topic(topic);
            }
        }
        self.answers.push_back((id, answer));
    }

    fn try_again(&mut self, now: Time, id: OperationId, why: &str) {
        if let Some(operation) = self.operations.get_mut(&id) {
            why.clone_into(&mut operation.last_error);
            operation.not_before = Some(now.plus_ms(requests::RETRY_PAUSE_MS));
        }
        self.links.refresh_soon(now);
    }

    /// One answer of an operation came or was lost.
    fn settle(&mut self, id: OperationId) {
        if let Some(operation) = self.operations.get_mut(&id) {
            operation.in_flight -= 1;
        }
    }

    fn give_up(&mut self, now: Time) {
        let mut over = Vec::new();
        for (id, operation) in &self.operations {
            let waited_ms = (now.since_us(operation.since) / 1000) as i64;
            if waited_ms >= PATIENCE_MS {
                let last = match operation.last_error.as_str() {
                    "" => "the broker was not reached".to_owned(),
                    error => error.to_owned(),
                };
                over.push((*id, CallError::TimedOut { waited_ms, last }));
            } else if let Some(topic) = operation.request.leaders_topic()
                && let Some(topic) = self.links.cluster.topics.get(topic)
                && topic.error != 0
                && waited_ms >= UNKNOWN_TOPIC_PATIENCE_MS
            {
                over.push((*id, CallError::broker(topic.error, None)));
            }
        }
        for (id, error) in over {
            self.finish(id, Err(error));
        }
    }
}

impl AdminRequest {
    /// The topic whose leaders must be known.
    fn leaders_topic(&self) -> Option<&str> {
        match self {
            AdminRequest::DeleteRecords { topic, .. } | AdminRequest::EmptyTopic { topic } => {
                Some(topic)
            }
            _ => None,
        }
    }
}

impl OverLinks for Admin {
    fn links(&mut self) -> &mut Links {
        &mut self.links
    }

    fn take_answer(&mut self, now: Time, answer: Answer) {
        if let Some(id) = self.sent.remove(&answer.ticket) {
            self.settle(id);
            self.on_answer(now, id, answer);
        }
    }

    fn on_lost(&mut self, now: Time, ticket: Ticket, why: &str) {
        if let Some(id) = self.sent.remove(&ticket) {
            self.settle(id);
            self.try_again(now, id, why);
        }
    }

    fn step(&mut self, now: Time) {
        self.last_step = now;
        self.give_up(now);
        let ready = |(id, operation): (&OperationId, &Operation)| {
            let pausing = operation.not_before.is_some_and(|at| at > now);
            (operation.in_flight == 0 && !pausing).then_some(*id)
        };
        let ready: Vec<OperationId> = self.operations.iter().filter_map(ready).collect();
        for id in ready {
            self.send(now, id);
        }
    }

    fn next_step(&self) -> Option<Time> {
        let times = self.operations.values().flat_map(|operation| {
            [
                operation.not_before,
                Some(operation.since.plus_ms(UNKNOWN_TOPIC_PATIENCE_MS)),
                Some(operation.since.plus_ms(PATIENCE_MS)),
            ]
        });
        // What was due at the last step was done then, or waits for something else in this list.
        times
            .flatten()
            .filter(|at| *at > self.last_step)
            .chain(self.links.next_wakeup())
            .min()
    }
}
