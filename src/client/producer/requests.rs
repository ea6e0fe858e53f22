//! What the producer sends and what it makes of the answers: Produce and InitProducerId.

use std::collections::BTreeMap;

use super::batch::Batch;
use super::{Identity, Producer, SentBatch};
use crate::client::CallError;
use crate::client::links::{Answer, FIRST_PAUSE_MS, Ticket};
use crate::ids::{BrokerId, Offset, PartitionIndex, ProducerEpoch, ProducerId, Time};
use crate::inspect::Acks;
use crate::wire::messages::init_producer_id::{InitProducerIdRequest, InitProducerIdResponse};
use crate::wire::messages::produce::{
    PartitionProduceData, PartitionProduceResponse, ProduceRequest, ProduceResponse,
    TopicProduceData,
};
use crate::wire::{ApiKey, ErrorCode, Writer};

/// Last version of Produce that names topics by name.
const LAST_VERSION_WITH_NAMES: i16 = 12;
/// Last version of InitProducerId this producer needs.
const INIT_PRODUCER_ID_CAP: i16 = 4;
/// Pause before a batch is sent again, milliseconds.
const RETRY_PAUSE_MS: i64 = 100;
/// Times a batch may find its producer id unknown before it fails.
const MAX_RESETS: u32 = 3;

/// Where a batch goes.
type Destination = (String, PartitionIndex);

impl Producer {
    /// Asks for a producer id when one is missing and no batch with the old one is on its way.
    pub(super) fn ask_identity(&mut self, now: Time) {
        let Identity::Missing { not_before } = self.identity else {
            return;
        };
        if not_before > now || !self.sent.is_empty() {
            return;
        }
        let Some(link) = self.links.any_link(now) else {
            return;
        };
        let version = self
            .links
            .version(link, ApiKey::InitProducerId, INIT_PRODUCER_ID_CAP);
        let Some(version) = version else {
            let api = ApiKey::InitProducerId.name();
            self.fail_everything(now, &CallError::Unsupported { api });
            return;
        };
        let request = InitProducerIdRequest {
            transactional_id: None,
            ..InitProducerIdRequest::default()
        };
        let ticket = self.ticket();
        let write = |writer: &mut Writer, version| request.encode(writer, version);
        let api = (ApiKey::InitProducerId, version);
        self.identity = match self.links.send(now, link, api, Some(ticket), write) {
            Ok(()) => Identity::Asked(ticket),
            Err(_) => Identity::Missing {
                not_before: now.plus_ms(RETRY_PAUSE_MS),
            },
        };
    }

    fn fail_everything(&mut self, now: Time, error: &CallError) {
        for (topic, queues) in std::mem::take(&mut self.topics) {
            for (partition, mut queue) in queues {
                while let Some(batch) = queue.take_oldest() {
                    self.finish(now, &topic, partition, batch, Err(error.clone()));
                }
            }
        }
    }

    /// Sends every batch that is complete or has waited long enough, one request per leader.
    pub(super) fn send_batches(&mut self, now: Time) {
        if matches!(self.identity, Identity::Missing { .. } | Identity::Asked(_)) {
            return;
        }
        for (leader, mut destinations) in self.sendable(now) {
            // Begin with another partition each time, so that none starves behind large ones.
            let turn = self.turn % destinations.len();
            destinations.rotate_left(turn);
            self.turn = self.turn.wrapping_add(1);
            self.send_to(now, leader, &destinations);
        }
    }

    fn sendable(&mut self, now: Time) -> BTreeMap<BrokerId, Vec<Destination>> {
        let mut by_leader: BTreeMap<BrokerId, Vec<Destination>> = BTreeMap::new();
        let mut leaderless = false;
        for (topic, queues) in &self.topics {
            for (partition, queue) in queues {
                if queue.due(self.config.linger_ms).is_none_or(|due| due > now) {
                    continue;
                }
                match self.links.cluster.leader(topic, *partition) {
                    Some(leader) => by_leader
                        .entry(leader)
                        .or_default()
                        .push((topic.clone(), *partition)),
                    None => leaderless = true,
                }
            }
        }
        if leaderless {
            self.links.refresh_soon(now);
        }
        by_leader
    }

    fn send_to(&mut self, now: Time, leader: BrokerId, destinations: &[Destination]) {
        let Some(link) = self.links.link_to(now, leader) else {
            return;
        };
        let Some(mut version) = self.links.version(link, ApiKey::Produce, i16::MAX) else {
            let api = ApiKey::Produce.name();
            self.fail_everything(now, &CallError::Unsupported { api });
            return;
        };
        let mut request = ProduceRequest {
            acks: match self.config.acks {
                Acks::None => 0,
                Acks::Leader => 1,
                Acks::All => -1,
            },
            timeout_ms: self.links.request_timeout_ms() as i32,
            ..ProduceRequest::default()
        };
        let batches = self.take_batches(now, destinations, &mut request);
        if batches.is_empty() {
            return;
        }
        let zeros = crate::ids::TopicId::ZERO;
        if request
            .topic_data
            .iter()
            .any(|topic| topic.topic_id == zeros)
        {
            version = version.min(LAST_VERSION_WITH_NAMES);
        }
        let ticket = (self.config.acks != Acks::None).then(|| self.ticket());
        let write = |writer: &mut Writer, version| request.encode(writer, version);
        let api = (ApiKey::Produce, version);
        match (self.links.send(now, link, api, ticket, write), ticket) {
            (Ok(()), Some(ticket)) => {
                self.sent.insert(ticket, batches);
            }
            (Ok(()), None) => {
                for sent in batches {
                    self.settle(now, sent, |_, _| Outcome::Done(Offset::NONE));
                }
            }
            (Err(error), _) => {
                let error = CallError::Malformed(error.to_string());
                for sent in batches {
                    self.settle(now, sent, |_, _| Outcome::Failed(error.clone()));
                }
            }
        }
    }

    /// Takes the oldest batch of each destination out of its queue, until the request is full.
    fn take_batches(
        &mut self,
        now: Time,
        destinations: &[Destination],
        request: &mut ProduceRequest,
    ) -> Vec<SentBatch> {
        let mut taken = Vec::new();
        let mut bytes = 0;
        for (topic, partition) in destinations {
            let queues = self.topics.get_mut(topic);
            // Gone where another leader of the same turn turned out to take no records: that failed everything.
            let Some(queue) = queues.and_then(|queues| queues.get_mut(partition)) else {
                continue;
            };
            let next = queue.oldest().map_or(0, Batch::bytes);
            if bytes > 0 && bytes + next > self.config.max_request_bytes {
                continue;
            }
            let Some(mut batch) = queue.take_oldest() else {
                continue;
            };
            if queue.ready.is_empty() && queue.open.is_none() {
                let count = self.links.cluster.topics.get(topic);
                let count = count.map_or(0, |topic| topic.partitions.len() as i32);
                self.partitioner.on_batch_closed(topic, *partition, count);
            }
            let stamp = match self.identity {
                Identity::Known(id, epoch) => Some(queue.stamp(&batch, id, epoch)),
                _ => None,
            };
            let Some(records) = batch.encode(stamp) else {
                let error = CallError::Malformed("the batch could not be encoded".to_owned());
                self.finish(now, topic, *partition, batch, Err(error));
                continue;
            };
            batch.attempts += 1;
            queue.in_flight = true;
            bytes += records.len();
            let id = self.links.cluster.topic_id(topic);
            add_partition(request, topic, id, *partition, records);
            taken.push(SentBatch {
                topic: topic.clone(),
                partition: *partition,
                batch,
            });
        }
        taken
    }

    pub(super) fn on_answer(&mut self, now: Time, answer: Answer) {
        if self.identity == Identity::Asked(answer.ticket) {
            self.on_identity(now, answer);
            return;
        }
        let Some(batches) = self.sent.remove(&answer.ticket) else {
            return;
        };
        let mut reader = answer.reader;
        let decoded = ProduceResponse::decode(&mut reader, answer.version);
        let Ok(response) = decoded else {
            for sent in batches {
                self.settle(now, sent, |_, _| {
                    Outcome::Unknown("an unreadable answer".to_owned())
                });
            }
            return;
        };
        let mut answers = BTreeMap::new();
        for topic in response.responses {
            let name = if answer.version > LAST_VERSION_WITH_NAMES {
                let name = self.links.cluster.topic_name(topic.topic_id);
                name.map(str::to_owned).unwrap_or_default()
            } else {
                topic.name
            };
            for partition in topic.partition_responses {
                let index = PartitionIndex(partition.index);
                answers.insert((name.clone(), index), partition);
            }
        }
        for sent in batches {
            let answer = answers.remove(&(sent.topic.clone(), sent.partition));
            self.settle(now, sent, |batch, codec| judge(answer, batch, codec));
        }
    }

    fn on_identity(&mut self, now: Time, answer: Answer) {
        let mut reader = answer.reader;
        let missing = Identity::Missing {
            not_before: now.plus_ms(RETRY_PAUSE_MS),
        };
        self.identity = missing;
        let Ok(answer) = InitProducerIdResponse::decode(&mut reader, answer.version) else {
            return;
        };
        let error = ErrorCode::from_code(answer.error_code);
        match error {
            Some(ErrorCode::None) => {
                let id = ProducerId(answer.producer_id);
                let epoch = ProducerEpoch(answer.producer_epoch);
                self.identity = Identity::Known(id, epoch);
                for queue in self.topics.values_mut().flat_map(BTreeMap::values_mut) {
                    queue.restart_sequence();
                }
            }
            Some(error) if error.retriable() => {}
            _ => self.fail_everything(now, &CallError::broker(answer.error_code, None)),
        }
    }

    pub(super) fn take_loss(&mut self, now: Time, ticket: Ticket, why: &str) {
        if self.identity == Identity::Asked(ticket) {
            self.identity = Identity::Missing {
                not_before: now.plus_ms(FIRST_PAUSE_MS),
            };
        }
        for sent in self.sent.remove(&ticket).unwrap_or_default() {
            self.settle(now, sent, |_, _| Outcome::Unknown(why.to_owned()));
        }
    }

    /// Ends a batch's stay on the wire.
    fn settle(
        &mut self,
        now: Time,
        sent: SentBatch,
        judge: impl FnOnce(&Batch, crate::wire::records::Codec) -> Outcome,
    ) {
        let SentBatch {
            topic,
            partition,
            mut batch,
        } = sent;
        let outcome = judge(&batch, self.config.codec);
        let id = self.producer_id();
        let queues = self.topics.entry(topic.clone()).or_default();
        let queue = queues.entry(partition).or_default();
        queue.in_flight = false;
        let later = now.plus_ms(RETRY_PAUSE_MS);
        batch.maybe_stored |= matches!(outcome, Outcome::Unknown(_));
        match outcome {
            Outcome::Done(offset) => self.finish(now, &topic, partition, batch, Ok(offset)),
            Outcome::Failed(error) => {
                queue.take_back_sequence(&batch, id);
                self.finish(now, &topic, partition, batch, Err(error));
            }
            Outcome::Again(why) | Outcome::Unknown(why) => {
                batch.last_error = why;
                queue.put_back(batch, later);
                self.links.refresh_soon(now);
            }
            Outcome::Split(mut halves) => {
                queue.take_back_sequence(&batch, id);
                let first = batch.buffered * halves[0].ids.len() / batch.ids.len();
                halves[0].buffered = first;
                halves[1].buffered = batch.buffered - first;
                let [first, second] = *halves;
                queue.put_back(second, now);
                queue.put_back(first, now);
            }
            Outcome::IdentityLost(why) => {
                batch.stamp = None;
                batch.resets += 1;
                batch.last_error = why;
                queue.put_back(batch, later);
                self.identity = self.identity.forgotten(later);
            }
        }
    }
}

/// What an answer means for a batch.
enum Outcome {
    Done(Offset),
    Failed(CallError),
    /// Send it again after a pause, with fresh metadata.
    Again(String),
    /// The same, and it may have been stored.
    Unknown(String),
    /// Send its halves.
    Split(Box<[Batch; 2]>),
    /// Send it again with a new producer id.
    IdentityLost(String),
}

fn judge(
    answer: Option<PartitionProduceResponse>,
    batch: &Batch,
    codec: crate::wire::records::Codec,
) -> Outcome {
    let Some(answer) = answer else {
        return Outcome::Unknown("the broker did not answer for the partition".to_owned());
    };
    let failed = |message| Outcome::Failed(CallError::broker(answer.error_code, message));
    let error = ErrorCode::from_code(answer.error_code);
    match error {
        Some(ErrorCode::None) => Outcome::Done(Offset(answer.base_offset)),
        // It is in the log already; where, the broker has forgotten.
        Some(ErrorCode::DuplicateSequenceNumber) => Outcome::Done(Offset::NONE),
        Some(ErrorCode::MessageTooLarge) => match batch.split(codec) {
            Some(halves) => Outcome::Split(Box::new(halves)),
            None => failed(answer.error_message),
        },
        Some(
            error @ (ErrorCode::OutOfOrderSequenceNumber
            | ErrorCode::UnknownProducerId
            | ErrorCode::InvalidProducerEpoch),
        ) if batch.resets < MAX_RESETS && batch.stamp.is_some() => {
            let why = error.name().to_owned();
            // A leader that is over and does not know it lacks what came before. Under another stamp what is stored
            // elsewhere would be stored twice (P1).
            match batch.maybe_stored {
                true => Outcome::Again(why),
                false => Outcome::IdentityLost(why),
            }
        }
        Some(
            error @ (ErrorCode::RequestTimedOut
            | ErrorCode::NotEnoughReplicasAfterAppend
            | ErrorCode::KafkaStorageError),
        ) => Outcome::Unknown(error.name().to_owned()),
        Some(error) if error.retriable() => Outcome::Again(error.name().to_owned()),
        _ => failed(
            answer
                .error_message
                .or_else(|| first_record_error(&answer.record_errors)),
        ),
    }
}

fn first_record_error(
    errors: &[crate::wire::messages::produce::BatchIndexAndErrorMessage],
) -> Option<String> {
    errors.first()?.batch_index_error_message.clone()
}

fn add_partition(
    request: &mut ProduceRequest,
    topic: &str,
    topic_id: crate::ids::TopicId,
    partition: PartitionIndex,
    records: bytes::Bytes,
) {
    let at = request.topic_data.iter().position(|t| t.name == topic);
    let at = at.unwrap_or_else(|| {
        request.topic_data.push(TopicProduceData {
            name: topic.to_owned(),
            topic_id,
            ..TopicProduceData::default()
        });
        request.topic_data.len() - 1
    });
    request.topic_data[at]
        .partition_data
        .push(PartitionProduceData {
            index: partition.0,
            records: Some(records),
        });
}
