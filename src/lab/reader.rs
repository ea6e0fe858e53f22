//! A consumer that reads partitions and notes what it gets.
//!
//! A follower of the log reads on and on. A last reader asks each partition for its end after all is over,
//! reads that far, and is done.

use std::collections::BTreeMap;

use super::clients::{Books, links_config};
use super::history::{Place, Poll};
use super::payload;
use super::schedule::ReaderPlan;
use crate::client::{Consumer, ConsumerConfig, ConsumerEvent, Fetched, OffsetQuery, Start};
use crate::ids::{Offset, PartitionIndex, Time};

/// A batch may expand to this many bytes: far more than the lab writes.
const EXPANSION_BYTES: usize = 16 * 1024 * 1024;
/// A partition that could not be read is tried again after this pause, milliseconds.
const RETRY_PAUSE_MS: i64 = 200;

/// A consumer at work.
pub(super) struct Reader {
    pub consumer: Consumer,
    /// Tells it from every other reader, those before a seek included.
    number: u32,
    places: BTreeMap<(String, PartitionIndex), Followed>,
    /// Reads everything after all is over.
    last: bool,
    /// What no record of the lab looks like.
    pub damage: Vec<String>,
}

struct Followed {
    place: Place,
    position: Offset,
    /// Where a last reader is done.
    end: Option<Offset>,
    retry: Option<Time>,
}

impl Reader {
    pub fn new(plan: &ReaderPlan, number: u32, brokers: u32, last: bool) -> Reader {
        let client_id = format!("reader-{number}");
        let links = links_config(brokers, &client_id, plan.request_timeout_ms);
        let mut config = ConsumerConfig::new(links);
        config.max_wait_ms = plan.max_wait_ms;
        config.partition_max_bytes = plan.partition_max_bytes;
        Reader {
            consumer: Consumer::new(config),
            number,
            places: BTreeMap::new(),
            last,
            damage: Vec::new(),
        }
    }

    /// Reads this partition, too, from its beginning on.
    pub fn add_place(&mut self, now: Time, place: Place, topic: &str, partition: PartitionIndex) {
        self.consumer.assign(now, topic, partition, Start::Earliest);
        if self.last {
            self.consumer
                .ask_offset(now, topic, partition, Start::Latest);
        }
        let followed = Followed {
            place,
            position: Offset::NONE,
            end: None,
            retry: None,
        };
        self.places.insert((topic.to_owned(), partition), followed);
    }

    /// Reads a topic's partitions no more.
    pub fn drop_topic(&mut self, topic: &str) {
        for (name, partition) in self.places.keys().filter(|(name, _)| name == topic) {
            self.consumer.unassign(name, *partition);
        }
        self.places.retain(|(name, _), _| name != topic);
    }

    /// Reads nothing any more.
    pub fn drop_all(&mut self) {
        for (name, partition) in self.places.keys() {
            self.consumer.unassign(name, *partition);
        }
        self.places.clear();
    }

    /// When it wants to try something again.
    pub fn due(&self) -> Option<Time> {
        self.places.values().filter_map(|f| f.retry).min()
    }

    /// Partitions a last reader has not read to their end.
    pub fn unread(&self) -> Vec<String> {
        let unread = self
            .places
            .iter()
            .filter(|(_, followed)| !followed.is_done());
        unread
            .map(|((topic, partition), followed)| match followed.end {
                Some(end) => format!("{topic}-{partition} at {} of {end}", followed.position),
                None => format!("{topic}-{partition}, whose end is not known"),
            })
            .collect()
    }

    pub fn work(&mut self, books: &mut Books<'_>) -> bool {
        let mut any = false;
        while let Some(event) = self.consumer.poll_event() {
            any = true;
            match event {
                ConsumerEvent::Records(fetched) => self.take(&fetched, books),
                ConsumerEvent::Offset {
                    query,
                    topic,
                    partition,
                    answer,
                } => self.take_end(query, (topic, partition), answer.ok(), books),
                ConsumerEvent::Moved {
                    topic,
                    partition,
                    to,
                    ..
                } => {
                    books.tally.count("reader moved to the log start");
                    self.number += 1_000;
                    if let Some(followed) = self.places.get_mut(&(topic, partition)) {
                        if to > followed.position {
                            // Records that were deleted, though whoever leads next may not have heard of it.
                            books.history.polls.push(Poll {
                                reader: self.number,
                                place: followed.place,
                                from: to,
                                next: to,
                                log_start: to,
                                records: Vec::new(),
                                era: books.history.era,
                                last: self.last,
                            });
                        }
                        followed.position = to;
                    }
                }
                ConsumerEvent::Failed {
                    topic, partition, ..
                } => {
                    books.tally.count("reads failed");
                    if let Some(followed) = self.places.get_mut(&(topic, partition)) {
                        followed.retry = Some(books.now.plus_ms(RETRY_PAUSE_MS));
                    }
                }
            }
        }
        any | self.retry(books.now)
    }

    fn retry(&mut self, now: Time) -> bool {
        let mut any = false;
        for ((topic, partition), followed) in &mut self.places {
            if followed.retry.is_none_or(|at| at > now) {
                continue;
            }
            any = true;
            followed.retry = None;
            let start = match followed.position {
                Offset::NONE => Start::Earliest,
                position => Start::Offset(position),
            };
            if self.consumer.progress(topic, *partition).is_none() {
                self.consumer.assign(now, topic, *partition, start);
            }
            if self.last && followed.end.is_none() {
                self.consumer
                    .ask_offset(now, topic, *partition, Start::Latest);
            }
        }
        any
    }

    fn take_end(
        &mut self,
        _query: OffsetQuery,
        of: (String, PartitionIndex),
        end: Option<Offset>,
        books: &mut Books<'_>,
    ) {
        let Some(followed) = self.places.get_mut(&of) else {
            return;
        };
        followed.end = end;
        match end {
            None => followed.retry = Some(books.now.plus_ms(RETRY_PAUSE_MS)),
            // Nothing else will be told of an empty log.
            Some(Offset::ZERO) => books.history.polls.push(Poll {
                reader: self.number,
                place: followed.place,
                from: Offset::ZERO,
                next: Offset::ZERO,
                log_start: Offset::ZERO,
                records: Vec::new(),
                era: books.history.era,
                last: self.last,
            }),
            Some(_) => {}
        }
    }

    fn take(&mut self, fetched: &Fetched, books: &mut Books<'_>) {
        let of = (fetched.topic.clone(), fetched.partition);
        let Some(followed) = self.places.get_mut(&of) else {
            return;
        };
        followed.position = fetched.next;
        let mut records = Vec::new();
        let mut damaged = Vec::new();
        let visited = fetched.visit(EXPANSION_BYTES, |record| {
            match record.value.and_then(payload::number) {
                Some((number, true)) => records.push((record.offset, number)),
                _ => damaged.push(record.offset),
            }
        });
        let name = format!("{}-{}", of.0, of.1);
        if let Err(error) = visited {
            self.damage
                .push(format!("{name} from {}: {error}", fetched.from));
        }
        for offset in damaged {
            self.damage.push(format!(
                "{name} at {offset}: not the bytes that were written"
            ));
        }
        books.tally.count("polls checked");
        books.tally.add("records read", records.len() as u64);
        books.history.polls.push(Poll {
            reader: self.number,
            place: followed.place,
            from: fetched.from,
            next: fetched.next,
            log_start: fetched.log_start,
            records,
            era: books.history.era,
            last: self.last,
        });
    }
}

impl Followed {
    fn is_done(&self) -> bool {
        // Of an empty log nothing is ever told.
        self.end
            .is_some_and(|end| self.position.max(Offset::ZERO) >= end)
    }
}
