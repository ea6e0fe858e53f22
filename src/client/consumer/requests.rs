//! What the consumer sends and what it makes of the answers: ListOffsets and Fetch.

use std::collections::BTreeMap;

use bytes::Bytes;

use super::{
    Asker, Consumer, ConsumerEvent, Fetched, Place, Question, Sent, Start,
    UNKNOWN_TOPIC_PATIENCE_MS,
};
use crate::client::links::{Answer, Ticket};
use crate::client::{CallError, TopicView};
use crate::ids::{BrokerId, Offset, PartitionIndex, Time, TopicId};
use crate::wire::messages::fetch::{
    FetchPartition, FetchRequest, FetchResponse, FetchTopic, PartitionData,
};
use crate::wire::messages::list_offsets::{
    ListOffsetsPartition, ListOffsetsRequest, ListOffsetsResponse, ListOffsetsTopic,
};
use crate::wire::records::{BatchError, batches};
use crate::wire::{ApiKey, ErrorCode, Writer};

/// Last version of Fetch that names topics by name.
const LAST_VERSION_WITH_NAMES: i16 = 12;
/// ListOffsets' timestamp for the log start.
const EARLIEST: i64 = -2;
/// ListOffsets' timestamp for the high watermark.
const LATEST: i64 = -1;
/// Pause before something is asked again, milliseconds.
const RETRY_PAUSE_MS: i64 = 100;

/// Why a partition cannot be read at all, if Metadata says so.
pub(super) fn unreadable(
    topic: &TopicView,
    partition: PartitionIndex,
    waited_ms: i64,
) -> Option<CallError> {
    let unknown = ErrorCode::UnknownTopicOrPartition;
    let patience_over = waited_ms >= UNKNOWN_TOPIC_PATIENCE_MS;
    match ErrorCode::from_code(topic.error) {
        Some(ErrorCode::None) => {
            let exists = (0..topic.partitions.len() as i32).contains(&partition.0);
            let why = || format!("there is no partition {partition}");
            (!exists && patience_over).then(|| CallError::broker(unknown.code(), Some(why())))
        }
        Some(error) if error == unknown && !patience_over => None,
        Some(error) if error != unknown && error.retriable() => None,
        _ => Some(CallError::broker(topic.error, None)),
    }
}

impl Consumer {
    /// Asks each leader the questions that wait for it, one per partition at a time.
    pub(super) fn send_questions(&mut self, now: Time) {
        let mut by_leader: BTreeMap<BrokerId, Vec<Question>> = BTreeMap::new();
        let mut waiting = Vec::new();
        let mut leaderless = false;
        for question in std::mem::take(&mut self.questions) {
            let (topic, partition) = &question.place;
            let leader = self.links.cluster.leader(topic, *partition);
            leaderless |= leader.is_none();
            let ready = question.not_before.is_none_or(|at| at <= now);
            match leader.filter(|_| ready) {
                Some(leader) => {
                    let batch = by_leader.entry(leader).or_default();
                    if batch.iter().any(|other| other.place == question.place) {
                        waiting.push(question);
                    } else {
                        batch.push(question);
                    }
                }
                None => waiting.push(question),
            }
        }
        self.questions = waiting;
        if leaderless {
            self.links.refresh_soon(now);
        }
        for (leader, questions) in by_leader {
            self.ask_leader(now, leader, questions);
        }
    }

    fn ask_leader(&mut self, now: Time, leader: BrokerId, questions: Vec<Question>) {
        let Some(link) = self.links.link_to(now, leader) else {
            self.questions.extend(questions);
            return;
        };
        let version = self.links.version(link, ApiKey::ListOffsets, i16::MAX);
        let Some(version) = version else {
            let api = ApiKey::ListOffsets.name();
            for question in questions {
                let error = CallError::Unsupported { api };
                self.fail(question.place, Some(question.asker), error);
            }
            return;
        };
        let mut request = ListOffsetsRequest {
            replica_id: -1,
            timeout_ms: self.links.request_timeout_ms() as i32,
            ..ListOffsetsRequest::default()
        };
        for question in &questions {
            let (name, partition) = &question.place;
            let asked = ListOffsetsPartition {
                partition_index: partition.0,
                timestamp: match question.at {
                    Start::Earliest => EARLIEST,
                    Start::Latest | Start::Offset(_) => LATEST,
                    Start::TimeMs(ms) => ms.max(0),
                },
                ..ListOffsetsPartition::default()
            };
            match request.topics.iter_mut().find(|t| t.name == *name) {
                Some(topic) => topic.partitions.push(asked),
                None => request.topics.push(ListOffsetsTopic {
                    name: name.clone(),
                    partitions: vec![asked],
                }),
            }
        }
        let ticket = Ticket(self.number());
        let write = |writer: &mut Writer, version| request.encode(writer, version);
        let api = (ApiKey::ListOffsets, version);
        match self.links.send(now, link, api, Some(ticket), write) {
            Ok(()) => {
                self.sent.insert(ticket, Sent::Offsets(questions));
            }
            Err(error) => {
                for question in questions {
                    let error = CallError::Malformed(error.to_string());
                    self.fail(question.place, Some(question.asker), error);
                }
            }
        }
    }

    /// Fetches from each leader what is wanted of it, one request per leader at a time.
    pub(super) fn send_fetches(&mut self, now: Time) {
        let mut by_leader: BTreeMap<BrokerId, Vec<(Place, u64, Offset)>> = BTreeMap::new();
        let mut leaderless = false;
        for (place, assigned) in &self.assigned {
            let pausing = assigned.not_before.is_some_and(|at| at > now);
            if assigned.paused || assigned.untaken || assigned.in_flight || pausing {
                continue;
            }
            let Some(position) = assigned.position else {
                continue;
            };
            match self.links.cluster.leader(&place.0, place.1) {
                Some(leader) => {
                    by_leader.entry(leader).or_default().push((
                        place.clone(),
                        assigned.seek,
                        position,
                    ));
                }
                None => leaderless = true,
            }
        }
        if leaderless {
            self.links.refresh_soon(now);
        }
        for (leader, places) in by_leader {
            let busy = |sent: &Sent| matches!(sent, Sent::Fetch { leader: l, .. } if *l == leader);
            if !self.sent.values().any(busy) {
                self.fetch(now, leader, places);
            }
        }
    }

    fn fetch(&mut self, now: Time, leader: BrokerId, places: Vec<(Place, u64, Offset)>) {
        let Some(link) = self.links.link_to(now, leader) else {
            return;
        };
        let Some(mut version) = self.links.version(link, ApiKey::Fetch, i16::MAX) else {
            let api = ApiKey::Fetch.name();
            for (place, ..) in places {
                self.fail(place, None, CallError::Unsupported { api });
            }
            return;
        };
        let mut request = FetchRequest {
            max_wait_ms: self.config.max_wait_ms,
            min_bytes: 1,
            max_bytes: self.config.max_bytes,
            ..FetchRequest::default()
        };
        for (place, _, position) in &places {
            let topic_id = self.links.cluster.topic_id(&place.0);
            if topic_id == TopicId::ZERO {
                version = version.min(LAST_VERSION_WITH_NAMES);
            }
            let partition = FetchPartition {
                partition: place.1.0,
                fetch_offset: position.0,
                partition_max_bytes: self.config.partition_max_bytes,
                ..FetchPartition::default()
            };
            match request.topics.iter_mut().find(|t| t.topic == place.0) {
                Some(topic) => topic.partitions.push(partition),
                None => request.topics.push(FetchTopic {
                    topic: place.0.clone(),
                    topic_id,
                    partitions: vec![partition],
                }),
            }
        }
        let ticket = Ticket(self.number());
        let write = |writer: &mut Writer, version| request.encode(writer, version);
        let api = (ApiKey::Fetch, version);
        let sent = self.links.send(now, link, api, Some(ticket), write);
        let mut asked = Vec::new();
        for (place, seek, _) in places {
            if let Err(error) = &sent {
                self.fail(place, None, CallError::Malformed(error.to_string()));
            } else if let Some(assigned) = self.assigned.get_mut(&place) {
                assigned.in_flight = true;
                asked.push((place, seek));
            }
        }
        if sent.is_ok() {
            let places = asked;
            self.sent.insert(ticket, Sent::Fetch { leader, places });
        }
    }

    pub(super) fn on_answer(&mut self, now: Time, answer: Answer) {
        match self.sent.remove(&answer.ticket) {
            Some(Sent::Offsets(questions)) => self.on_offsets(now, answer, questions),
            Some(Sent::Fetch { places, .. }) => self.on_fetched(now, answer, places),
            None => {}
        }
    }

    pub(super) fn take_loss(&mut self, now: Time, ticket: Ticket, why: &str) {
        match self.sent.remove(&ticket) {
            Some(Sent::Offsets(questions)) => {
                for question in questions {
                    self.ask_again(now, question, why);
                }
            }
            Some(Sent::Fetch { places, .. }) => {
                for (place, seek) in places {
                    self.fetch_again(now, &place, seek);
                }
            }
            None => {}
        }
    }

    fn ask_again(&mut self, now: Time, mut question: Question, why: &str) {
        why.clone_into(&mut question.last_error);
        question.not_before = Some(now.plus_ms(RETRY_PAUSE_MS));
        self.questions.push(question);
        self.links.refresh_soon(now);
    }

    fn fetch_again(&mut self, now: Time, place: &Place, seek: u64) {
        if let Some(assigned) = self.assigned.get_mut(place)
            && assigned.seek == seek
        {
            assigned.in_flight = false;
            assigned.not_before = Some(now.plus_ms(RETRY_PAUSE_MS));
        }
        self.links.refresh_soon(now);
    }

    fn on_offsets(&mut self, now: Time, answer: Answer, questions: Vec<Question>) {
        let mut reader = answer.reader;
        let Ok(response) = ListOffsetsResponse::decode(&mut reader, answer.version) else {
            for question in questions {
                self.ask_again(now, question, "an unreadable answer");
            }
            return;
        };
        let mut answers = BTreeMap::new();
        for topic in response.topics {
            for partition in topic.partitions {
                let index = PartitionIndex(partition.partition_index);
                answers.insert((topic.name.clone(), index), partition);
            }
        }
        for question in questions {
            let Some(answer) = answers.remove(&question.place) else {
                self.ask_again(now, question, "the broker did not answer for the partition");
                continue;
            };
            match ErrorCode::from_code(answer.error_code) {
                Some(ErrorCode::None) => self.on_offset(now, question, Offset(answer.offset)),
                Some(error) if error.retriable() => self.ask_again(now, question, error.name()),
                _ => {
                    let error = CallError::broker(answer.error_code, None);
                    self.fail(question.place, Some(question.asker), error);
                }
            }
        }
    }

    fn on_offset(&mut self, now: Time, mut question: Question, offset: Offset) {
        if offset.0 < 0 {
            // No record is as late as the time asked for.
            question.at = Start::Latest;
            question.since = now;
            self.questions.push(question);
            return;
        }
        let (topic, partition) = question.place.clone();
        match question.asker {
            Asker::Caller(query) => self.events.push_back(ConsumerEvent::Offset {
                query,
                topic,
                partition,
                answer: Ok(offset),
            }),
            Asker::Assignment { seek, moved_from } => {
                let assigned = self.assigned.get_mut(&question.place);
                let Some(assigned) = assigned.filter(|a| a.seek == seek) else {
                    return;
                };
                assigned.position = Some(offset);
                if let Some(from) = moved_from {
                    self.events.push_back(ConsumerEvent::Moved {
                        topic,
                        partition,
                        from,
                        to: offset,
                    });
                }
            }
        }
    }

    fn on_fetched(&mut self, now: Time, answer: Answer, places: Vec<(Place, u64)>) {
        let mut reader = answer.reader;
        let decoded = FetchResponse::decode(&mut reader, answer.version);
        let Some(response) = decoded.ok().filter(|response| response.error_code == 0) else {
            for (place, seek) in places {
                self.fetch_again(now, &place, seek);
            }
            return;
        };
        let mut answers = BTreeMap::new();
        for topic in response.responses {
            let name = if answer.version > LAST_VERSION_WITH_NAMES {
                let name = self.links.cluster.topic_name(topic.topic_id);
                name.map(str::to_owned).unwrap_or_default()
            } else {
                topic.topic
            };
            for partition in topic.partitions {
                let index = PartitionIndex(partition.partition_index);
                answers.insert((name.clone(), index), partition);
            }
        }
        for (place, seek) in places {
            let current = self.assigned.get(&place).is_some_and(|a| a.seek == seek);
            match answers.remove(&place).filter(|_| current) {
                Some(answer) => self.on_partition(now, place, seek, answer),
                None => self.fetch_again(now, &place, seek),
            }
        }
    }

    fn on_partition(&mut self, now: Time, place: Place, seek: u64, answer: PartitionData) {
        let error = ErrorCode::from_code(answer.error_code);
        match error {
            Some(ErrorCode::None) => self.on_records(place, answer),
            Some(ErrorCode::OffsetOutOfRange) => self.find_position(now, place, seek),
            // A damaged place in the log does not heal by asking again.
            Some(error) if error.retriable() && error != ErrorCode::CorruptMessage => {
                self.fetch_again(now, &place, seek);
            }
            _ => self.fail(place, None, CallError::broker(answer.error_code, None)),
        }
    }

    fn on_records(&mut self, place: Place, answer: PartitionData) {
        let Some(assigned) = self.assigned.get_mut(&place) else {
            return;
        };
        assigned.in_flight = false;
        assigned.not_before = None;
        assigned.high_watermark = Offset(answer.high_watermark);
        assigned.log_start = Offset(answer.log_start_offset);
        let from = assigned.position.expect("only known positions are fetched");
        let records = answer.records.map(|ranges| ranges.joined());
        let records = records.unwrap_or_default();
        if records.is_empty() {
            return;
        }
        match offset_after(&records, from) {
            Ok(next) if next <= from => {
                let why = "the broker answered with records before those asked for";
                self.fail(place, None, CallError::Malformed(why.to_owned()));
            }
            Ok(next) => {
                assigned.position = Some(next);
                assigned.untaken = true;
                let (topic, partition) = place;
                self.events.push_back(ConsumerEvent::Records(Fetched {
                    topic,
                    partition,
                    from,
                    next,
                    high_watermark: assigned.high_watermark,
                    log_start: assigned.log_start,
                    batches: records,
                }));
            }
            Err(error) => self.fail(place, None, CallError::Malformed(error.to_string())),
        }
    }

    /// The position is not in the log: goes on where it is told to.
    fn find_position(&mut self, now: Time, place: Place, seek: u64) {
        let Some(start) = self.config.out_of_range else {
            let code = ErrorCode::OffsetOutOfRange.code();
            self.fail(place, None, CallError::broker(code, None));
            return;
        };
        if let Some(assigned) = self.assigned.get_mut(&place) {
            assigned.in_flight = false;
            let from = assigned.position.take();
            self.ask(now, place, start, seek, from);
        }
    }
}

/// The offset after the last whole batch.
fn offset_after(records: &Bytes, from: Offset) -> Result<Offset, BatchError> {
    let mut next = None;
    for batch in batches(records) {
        match batch {
            Ok(batch) => next = Some(batch.header().next_offset()),
            // Brokers may cut the last batch at the size asked for, but not the first.
            Err(BatchError::Cut { .. }) if next.is_some() => break,
            Err(error) => return Err(error),
        }
    }
    Ok(next.unwrap_or(from))
}
