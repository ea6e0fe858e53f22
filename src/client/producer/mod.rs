//! The producer: batches, retries, idempotence, compression, acks.
//!
//! Records of one partition reach the log in the order they were handed over: one batch per partition is
//! on its way at a time, and a batch sent again keeps its place. With idempotence (KIP-98) sending again
//! never doubles a record, unless the broker forgot the producer id; without it a lost answer may.
//! Every record ends in exactly one [`Delivery`]. No transactions.

mod batch;
mod queue;
mod requests;

use std::collections::{BTreeMap, VecDeque};

use thiserror::Error;

use self::batch::{Batch, header_slices};
use self::queue::Queue;
use super::links::{Answer, Links, Ticket};
use super::machine::OverLinks;
use super::{CallError, LinksConfig, Partitioner};
use crate::ids::{Offset, PartitionIndex, ProducerEpoch, ProducerId, Time};
use crate::inspect::{Acks, Compression, ProducerSettings};
use crate::wire::ErrorCode;
use crate::wire::records::{BatchBuilder, Codec};

/// How a producer sends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProducerConfig {
    pub links: LinksConfig,
    pub acks: Acks,
    pub idempotence: bool,
    pub codec: Codec,
    /// How long a batch waits for more records, milliseconds.
    pub linger_ms: i64,
    /// A batch this large is sent without waiting, bytes before compression.
    pub batch_bytes: usize,
    /// No request carries more than this, bytes.
    pub max_request_bytes: usize,
    /// Records handed over and not yet delivered take at most this, bytes.
    pub buffer_bytes: usize,
    /// A record not delivered after this time has failed, milliseconds.
    pub delivery_timeout_ms: i64,
    /// Seed of the partitioner.
    pub seed: u64,
}

impl ProducerConfig {
    /// Kafka's defaults with these settings.
    ///
    /// # Errors
    /// Idempotence without acks=all, which the protocol does not have.
    pub fn new(links: LinksConfig, settings: &ProducerSettings) -> Result<Self, CallError> {
        if settings.idempotence && settings.acks != Acks::All {
            return Err(CallError::Settings("idempotence needs acks=all"));
        }
        Ok(ProducerConfig {
            links,
            acks: settings.acks,
            idempotence: settings.idempotence,
            codec: match settings.compression {
                Compression::None => Codec::None,
                Compression::Gzip => Codec::Gzip,
                Compression::Snappy => Codec::Snappy,
                Compression::Lz4 => Codec::Lz4,
                Compression::Zstd => Codec::Zstd,
            },
            linger_ms: 5,
            batch_bytes: 64 * 1024,
            max_request_bytes: 1024 * 1024,
            buffer_bytes: 32 * 1024 * 1024,
            delivery_timeout_ms: 120_000,
            seed: 0,
        })
    }
}

/// A topic that does not exist is waited for this long, milliseconds: it may just be being created.
const UNKNOWN_TOPIC_PATIENCE_MS: i64 = 2_000;

/// One record to send.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ProducerRecord {
    pub topic: String,
    /// `None` lets the partitioner choose.
    pub partition: Option<PartitionIndex>,
    pub key: Option<Vec<u8>>,
    /// `None` is a tombstone.
    pub value: Option<Vec<u8>>,
    pub headers: Vec<(Vec<u8>, Option<Vec<u8>>)>,
    /// Milliseconds since the Unix epoch; `None` is the moment it is handed over.
    pub timestamp_ms: Option<i64>,
}

/// Identifies a record handed over.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct SendId(pub u64);

/// Why a record is not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum SendError {
    #[error("the producer's buffer is full")]
    BufferFull,
    #[error("a record of {bytes} bytes is larger than one request of {limit} bytes")]
    TooLarge { bytes: usize, limit: usize },
}

/// What became of records of one batch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Delivery {
    pub topic: String,
    /// `None` if they failed before they had one.
    pub partition: Option<PartitionIndex>,
    /// In the order of their offsets.
    pub records: Vec<SendId>,
    /// The offset of the first one; [`Offset::NONE`] if the broker did not say (acks=0).
    pub outcome: Result<Offset, CallError>,
    /// From the first record handed over to the answer, microseconds.
    pub latency_us: u64,
}

/// A producer as a state machine.
pub struct Producer {
    config: ProducerConfig,
    links: Links,
    partitioner: Partitioner,
    /// Records whose topic's partitions are not known yet.
    homeless: VecDeque<Homeless>,
    topics: BTreeMap<String, BTreeMap<PartitionIndex, Queue>>,
    identity: Identity,
    sent: BTreeMap<Ticket, Vec<SentBatch>>,
    deliveries: VecDeque<Delivery>,
    buffered_bytes: usize,
    next_id: u64,
    next_ticket: u64,
    turn: usize,
    last_step: Time,
}

struct Homeless {
    id: SendId,
    since: Time,
    record: ProducerRecord,
}

struct SentBatch {
    topic: String,
    partition: PartitionIndex,
    batch: Batch,
}

/// The producer id of an idempotent producer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Identity {
    NotNeeded,
    Missing { not_before: Time },
    Asked(Ticket),
    Known(ProducerId, ProducerEpoch),
}

impl Producer {
    pub fn new(config: ProducerConfig) -> Producer {
        let identity = if config.idempotence {
            Identity::Missing {
                not_before: Time(i64::MIN),
            }
        } else {
            Identity::NotNeeded
        };
        Producer {
            links: Links::new(config.links.clone()),
            partitioner: Partitioner::new(config.seed),
            config,
            homeless: VecDeque::new(),
            topics: BTreeMap::new(),
            identity,
            sent: BTreeMap::new(),
            deliveries: VecDeque::new(),
            buffered_bytes: 0,
            next_id: 0,
            next_ticket: 0,
            turn: 0,
            last_step: Time(i64::MIN),
        }
    }

    /// Hands a record over. Its outcome comes with [`poll_delivery`](Self::poll_delivery).
    ///
    /// # Errors
    /// A record larger than a request, or a full buffer: try again after a delivery.
    pub fn send(&mut self, now: Time, record: ProducerRecord) -> Result<SendId, SendError> {
        let bytes = record_bytes(&record);
        let limit = self.config.max_request_bytes;
        if bytes > limit {
            return Err(SendError::TooLarge { bytes, limit });
        }
        if self.buffered_bytes + bytes > self.config.buffer_bytes {
            return Err(SendError::BufferFull);
        }
        self.buffered_bytes += bytes;
        let id = SendId(self.next_id);
        self.next_id += 1;
        self.links.want_topic(now, &record.topic);
        let ordered = !self.homeless.iter().any(|h| h.record.topic == record.topic);
        let placed = if ordered {
            self.place(now, id, now, record)
        } else {
            Err(record)
        };
        if let Err(record) = placed {
            self.homeless.push_back(Homeless {
                id,
                since: now,
                record,
            });
        }
        Ok(id)
    }

    /// The next outcome of records handed over.
    pub fn poll_delivery(&mut self) -> Option<Delivery> {
        self.deliveries.pop_front()
    }

    /// Sends what waits for more records now.
    pub fn flush(&mut self) {
        for queue in self.topics.values_mut().flat_map(BTreeMap::values_mut) {
            queue.close_open();
        }
    }

    /// Whether every record handed over has had its outcome.
    pub fn is_idle(&self) -> bool {
        self.buffered_bytes == 0
    }

    /// The producer id, if idempotent and already known.
    pub fn producer_id(&self) -> ProducerId {
        match self.identity {
            Identity::Known(id, _) => id,
            _ => ProducerId::NONE,
        }
    }

    /// Puts a record into its partition's open batch; gives it back while its partition is not known.
    fn place(
        &mut self,
        now: Time,
        id: SendId,
        since: Time,
        record: ProducerRecord,
    ) -> Result<(), ProducerRecord> {
        let count = match self.links.cluster.topics.get(&record.topic) {
            Some(topic) if !topic.partitions.is_empty() => topic.partitions.len() as i32,
            _ => return Err(record),
        };
        let key = record.key.as_deref();
        let partition = record
            .partition
            .unwrap_or_else(|| self.partitioner.choose(&record.topic, key, count));
        if !(0..count).contains(&partition.0) {
            if (now.since_us(since) / 1000) < UNKNOWN_TOPIC_PATIENCE_MS as u64 {
                // The topic may have grown, and who was asked for metadata may not have heard of it.
                self.links.refresh_soon(now);
                return Err(record);
            }
            let topic = &record.topic;
            let why = format!("topic {topic} has no partition {partition}, only {count}");
            let code = ErrorCode::UnknownTopicOrPartition.code();
            let error = CallError::broker(code, Some(why));
            self.fail_record(now, id, since, record, error);
            return Ok(());
        }
        let queues = self.topics.entry(record.topic.clone()).or_default();
        let queue = queues.entry(partition).or_default();
        let bytes = record_bytes(&record);
        let full = |open: &Batch| open.bytes() + bytes > self.config.batch_bytes;
        if queue.open.as_ref().is_some_and(full) && queue.close_open() {
            self.partitioner
                .on_batch_closed(&record.topic, partition, count);
        }
        let codec = self.config.codec;
        let open = queue.open.get_or_insert_with(|| Batch::new(now, codec));
        open.push(id, now, &record);
        open.buffered += bytes;
        Ok(())
    }

    fn fail_record(
        &mut self,
        now: Time,
        id: SendId,
        since: Time,
        record: ProducerRecord,
        error: CallError,
    ) {
        self.buffered_bytes -= record_bytes(&record);
        self.deliveries.push_back(Delivery {
            topic: record.topic,
            partition: record.partition,
            records: vec![id],
            outcome: Err(error),
            latency_us: now.since_us(since),
        });
    }

    fn finish(
        &mut self,
        now: Time,
        topic: &str,
        partition: PartitionIndex,
        batch: Batch,
        outcome: Result<Offset, CallError>,
    ) {
        self.buffered_bytes -= batch.buffered;
        self.deliveries.push_back(Delivery {
            topic: topic.to_owned(),
            partition: Some(partition),
            records: batch.ids,
            outcome,
            latency_us: now.since_us(batch.created),
        });
    }

    /// Places records whose partitions became known, and gives up on topics that do not exist.
    fn house(&mut self, now: Time) {
        for homeless in std::mem::take(&mut self.homeless) {
            let Homeless { id, since, record } = homeless;
            if let Some(error) = self.hopeless(now, &record.topic, since, "") {
                self.fail_record(now, id, since, record, error);
            } else if let Err(record) = self.place(now, id, since, record) {
                self.homeless.push_back(Homeless { id, since, record });
            }
        }
    }

    /// Stops asking about topics that are not there once no record waits for them: the next record asks again.
    fn forget_missing(&mut self) {
        let missing = self.links.cluster.topics.iter();
        let missing: Vec<String> = missing
            .filter(|(_, topic)| topic.error != 0)
            .map(|(name, _)| name.clone())
            .collect();
        for name in missing {
            let mut queues = self
                .topics
                .get(&name)
                .into_iter()
                .flat_map(BTreeMap::values);
            let queued = queues.any(|queue| queue.oldest().is_some());
            if !queued && !self.homeless.iter().any(|h| h.record.topic == name) {
                self.links.forget_topic(&name);
            }
        }
    }

    /// Fails batches that waited too long.
    fn expire(&mut self, now: Time) {
        let mut failed = Vec::new();
        let mut topics = std::mem::take(&mut self.topics);
        for (topic, queues) in &mut topics {
            for (partition, queue) in queues {
                while let Some(batch) = queue.oldest() {
                    let error = self.hopeless(now, topic, batch.created, &batch.last_error);
                    let Some(error) = error else {
                        break;
                    };
                    let batch = queue.take_oldest().expect("it was just looked at");
                    if batch.stamp.is_some() {
                        // It may be in the log or not: the sequence after it is anyone's guess.
                        self.identity = self.identity.forgotten(now);
                    }
                    failed.push((topic.clone(), *partition, batch, error));
                }
            }
        }
        self.topics = topics;
        for (topic, partition, batch, error) in failed {
            self.finish(now, &topic, partition, batch, Err(error));
        }
    }

    /// Why what waits for this topic since then will not be sent any more, if so.
    fn hopeless(&self, now: Time, topic: &str, since: Time, last: &str) -> Option<CallError> {
        let waited_ms = (now.since_us(since) / 1000) as i64;
        if waited_ms >= self.config.delivery_timeout_ms {
            let last = match last {
                "" => "the broker was not reached",
                error => error,
            };
            return Some(CallError::TimedOut {
                waited_ms,
                last: last.to_owned(),
            });
        }
        let code = self.links.cluster.topics.get(topic)?.error;
        let error = ErrorCode::from_code(code);
        let patience_over = waited_ms >= UNKNOWN_TOPIC_PATIENCE_MS;
        match error {
            Some(ErrorCode::None) => None,
            Some(ErrorCode::UnknownTopicOrPartition) if patience_over => {
                Some(CallError::broker(code, None))
            }
            Some(error) if error.retriable() => None,
            _ => Some(CallError::broker(code, None)),
        }
    }

    fn ticket(&mut self) -> Ticket {
        self.next_ticket += 1;
        Ticket(self.next_ticket)
    }
}

impl Identity {
    /// The id is of no use any more; a new one is asked for when nothing is on its way.
    fn forgotten(self, now: Time) -> Identity {
        match self {
            Identity::Known(..) => Identity::Missing { not_before: now },
            other => other,
        }
    }
}

/// Bytes a record may take in a batch.
fn record_bytes(record: &ProducerRecord) -> usize {
    BatchBuilder::record_bytes(
        record.key.as_deref(),
        record.value.as_deref(),
        &header_slices(&record.headers),
    )
}

impl OverLinks for Producer {
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
        self.house(now);
        self.expire(now);
        self.forget_missing();
        self.ask_identity(now);
        self.send_batches(now);
    }

    fn next_step(&self) -> Option<Time> {
        let queues = self.topics.values().flat_map(BTreeMap::values);
        let due = queues
            .clone()
            .filter_map(|queue| queue.due(self.config.linger_ms));
        let timeout_ms = self.config.delivery_timeout_ms;
        let waiting = queues
            .filter_map(Queue::oldest)
            .map(|batch| batch.created)
            .chain(self.homeless.iter().map(|homeless| homeless.since));
        let limits = waiting.flat_map(|since| {
            [
                since.plus_ms(UNKNOWN_TOPIC_PATIENCE_MS),
                since.plus_ms(timeout_ms),
            ]
        });
        let identity = match self.identity {
            Identity::Missing { not_before } => Some(not_before),
            _ => None,
        };
        // What was due at the last step was done then, or waits for something else in this list.
        due.chain(limits)
            .chain(identity)
            .filter(|at| *at > self.last_step)
            .chain(self.links.next_wakeup())
            .min()
    }
}
