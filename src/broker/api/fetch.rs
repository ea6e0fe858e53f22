//! Fetch (1): whole batches from offsets on, waiting for them if there are none yet.
//!
//! Answers carry whole batches beginning with the one that holds the offset, the first even when it is larger
//! than the limits. Sessions are KIP-227's. A fetch with less than `min_bytes` to read waits until there is
//! more or `max_wait_ms` is over. Divergence is told by epoch (KIP-595) from version 12 on.
//!
//! A fetch that says which replica asks reads up to the log end and tells the leader how far the follower is; one
//! of the metadata topic goes to the quorum (`quorum_log`).
//!
//! Differs from Apache Kafka: only leaders serve clients; a negative partition_max_bytes counts as 0 instead of an
//! internal error; read_committed equals read_uncommitted while there are no transactions, with an empty list of
//! aborted ones instead of none.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::super::Broker;
use super::super::dispatch::{Answer, Answered, Asked, check_lists};
use super::super::fetch_sessions::{self, Context, SessionError, Told, TopicRef, Wanted};
use super::super::parked::Waiting;
use super::super::partition::PartitionKey;
use super::metadata::Reached;
use super::replica_fetch::Replica;
use super::{check_epoch, check_leads, read_code};
use crate::ids::{BrokerId, ConnectionId, LeaderEpoch, Offset, PartitionIndex, Time, TopicId};
use crate::plants::{Plant, planted};
use crate::quorum::FetchAsked;
use crate::wire::messages::fetch::{
    EpochEndOffset, FetchRequest, FetchResponse, FetchableTopicResponse, LeaderIdAndEpoch,
    NodeEndpoint, PartitionData,
};
use crate::wire::{ErrorCode, Reader, RecordRanges};

/// First version that names topics by id.
const BY_ID: i16 = 13;
/// First version with sessions.
const SESSIONS: i16 = 7;
/// First version whose clients understand epochs as the reason for a truncation.
const DIVERGENCE: i16 = 12;
/// First version that tells where the leader is whom a client should have asked (KIP-951).
const SAYS_NODES: i16 = 16;

/// A fetch that waits for records.
#[derive(Debug)]
pub(in crate::broker) struct FetchWait {
    asked: Asked,
    context: Context,
    wanted: Vec<Wanted>,
    limits: Limits,
    replica: Option<Replica>,
    /// Bytes that became readable since it began to wait.
    more_bytes: usize,
    /// Partitions whose appends wake it.
    pub watched: Vec<PartitionKey>,
}

impl FetchWait {
    /// Whether a follower waits, not a client.
    pub fn is_replicas(&self) -> bool {
        self.replica.is_some()
    }
}

#[derive(Debug, Clone, Copy)]
struct Limits {
    min_bytes: usize,
    max_bytes: usize,
}

/// What one partition has for a fetch.
#[derive(Debug, Default)]
pub(super) struct Part {
    pub error: Option<ErrorCode>,
    pub high_watermark: i64,
    pub log_start: i64,
    pub diverging: Option<(LeaderEpoch, Offset)>,
    pub records: RecordRanges,
    /// Who leads instead.
    pub leader: Option<(BrokerId, LeaderEpoch)>,
}

pub(super) fn answer(broker: &mut Broker, asked: &Asked, reader: &mut Reader) -> Answered {
    let request = FetchRequest::decode(reader, asked.version)?;
    check_lists(request.topics.iter().map(|topic| topic.partitions.len()))?;
    if broker.member.is_some()
        && let Some(fetch) = FetchAsked::from_request(&request)
    {
        let cluster_id = request.cluster_id.as_deref();
        return broker.answer_metadata_fetch(asked, cluster_id, request.max_wait_ms, fetch);
    }
    let replica = broker.asking_replica(asked.version, &request);
    let by_id = asked.version >= BY_ID;
    let (wanted, forgotten) = broker.named_partitions(&request, by_id);
    let session = fetch_sessions::Asked {
        session_id: request.session_id,
        session_epoch: if asked.version < SESSIONS {
            -1
        } else {
            request.session_epoch
        },
        by_id,
    };
    let fresh_id = broker.fresh_session_id();
    let begun = broker
        .sessions
        .begin(asked.now, session, wanted, &forgotten, fresh_id);
    let (context, wanted) = match begun {
        Ok(begun) => begun,
        Err(error) => return refuse_session(asked, error),
    };
    let most = broker.settings.number(&broker.image, "fetch.max.bytes");
    let limits = Limits {
        min_bytes: usize::try_from(request.min_bytes).unwrap_or(0),
        max_bytes: usize::try_from(i64::from(request.max_bytes).min(most)).unwrap_or(0),
    };
    let (parts, bytes) = broker.read_all(asked.now, &wanted, limits.max_bytes, replica);
    let nothing_to_wait_for = wanted.is_empty() || request.max_wait_ms <= 0;
    if nothing_to_wait_for || bytes >= limits.min_bytes || must_answer(&parts) {
        return broker.fetched(asked, context, &wanted, parts);
    }
    let deadline = asked.now.plus_ms(i64::from(request.max_wait_ms));
    let watched = broker.watch(asked.connection, &wanted);
    let wait = FetchWait {
        asked: asked.clone(),
        context,
        wanted,
        limits,
        replica,
        more_bytes: bytes,
        watched,
    };
    let waiting = Waiting::Fetch(Box::new(wait));
    broker.parked.put(asked.connection, Some(deadline), waiting);
    Ok(Answer::Parked)
}

fn refuse_session(asked: &Asked, error: SessionError) -> Answered {
    let error = match error {
        SessionError::NotFound => ErrorCode::FetchSessionIdNotFound,
        SessionError::WrongEpoch => ErrorCode::InvalidFetchSessionEpoch,
        SessionError::NamesAndIdsMixed => ErrorCode::FetchSessionTopicIdError,
    };
    let response = FetchResponse {
        error_code: asked.code(error),
        ..FetchResponse::default()
    };
    let parts = asked.reply(|writer| response.encode(writer, asked.version))?;
    Ok(Answer::Reply(parts))
}

fn must_answer(parts: &[Part]) -> bool {
    let told = |part: &Part| part.error.is_some() || part.diverging.is_some();
    parts.iter().any(told)
}

impl Broker {
    /// The partitions a request names, and those it forgets. Names are shared, not copied per partition.
    fn named_partitions(
        &self,
        request: &FetchRequest,
        by_id: bool,
    ) -> (Vec<Wanted>, Vec<(TopicRef, i32)>) {
        let named = |name: &str, id: TopicId| match by_id {
            true => TopicRef::Id(id),
            false => {
                let known = self
                    .image
                    .topic_named(name)
                    .and_then(|t| self.topics.get(&t.id));
                TopicRef::Name(known.map_or_else(|| Arc::from(name), |t| Arc::clone(&t.name)))
            }
        };
        let mut wanted = Vec::new();
        for topic in &request.topics {
            let name = named(&topic.topic, topic.topic_id);
            wanted.extend(topic.partitions.iter().map(|partition| Wanted {
                topic: name.clone(),
                partition: partition.partition,
                fetch_offset: partition.fetch_offset,
                max_bytes: partition.partition_max_bytes,
                leader_epoch: partition.current_leader_epoch,
                last_fetched_epoch: partition.last_fetched_epoch,
                log_start: partition.log_start_offset,
            }));
        }
        let mut forgotten = Vec::new();
        for topic in &request.forgotten_topics_data {
            let name = named(&topic.topic, topic.topic_id);
            forgotten.extend(topic.partitions.iter().map(|index| (name.clone(), *index)));
        }
        (wanted, forgotten)
    }

    fn fresh_session_id(&mut self) -> i32 {
        use rand::Rng as _;
        self.random.random_range(1..=i32::MAX)
    }

    fn fetched_topic(&self, topic: &TopicRef) -> Result<TopicId, ErrorCode> {
        match topic {
            TopicRef::Id(id) if self.topics.contains_key(id) => Ok(*id),
            TopicRef::Id(_) => Err(ErrorCode::UnknownTopicId),
            TopicRef::Name(name) => {
                let image = self.image.topic_named(name);
                image
                    .map(|topic| topic.id)
                    .ok_or(ErrorCode::UnknownTopicOrPartition)
            }
        }
    }

    /// Reads every partition in order until `max_bytes` are together; what was read, and its bytes.
    fn read_all(
        &mut self,
        now: Time,
        wanted: &[Wanted],
        max_bytes: usize,
        replica: Option<Replica>,
    ) -> (Vec<Part>, usize) {
        let mut bytes = 0;
        let mut parts = Vec::with_capacity(wanted.len());
        let mut last: Option<(&TopicRef, Result<TopicId, ErrorCode>)> = None;
        for one in wanted {
            let id = match &last {
                Some((topic, id)) if *topic == &one.topic => *id,
                _ => self.fetched_topic(&one.topic),
            };
            last = Some((&one.topic, id));
            let room = max_bytes.saturating_sub(bytes);
            let part = match id {
                Ok(id) => {
                    let key = (id, one.partition);
                    let judged = match replica {
                        Some(replica) => self.judge_replica(now, key, one, replica),
                        None => Ok(None),
                    };
                    match judged {
                        Ok(below) => self.read_part(key, one, room, bytes == 0, below),
                        Err(part) => *part,
                    }
                }
                Err(error) => Part::failed(error),
            };
            if let (Ok(id), Some(ErrorCode::CorruptMessage)) = (id, part.error) {
                self.take_quiet_log_notes(now, (id, one.partition));
            }
            bytes += part.records.len();
            parts.push(part);
        }
        (parts, bytes)
    }

    /// Reads one partition below the high watermark, or below `below` for a follower.
    fn read_part(
        &mut self,
        key: PartitionKey,
        one: &Wanted,
        room: usize,
        first: bool,
        below: Option<Offset>,
    ) -> Part {
        let Some(topic) = self.topics.get_mut(&key.0) else {
            return Part::failed(ErrorCode::UnknownTopicOrPartition);
        };
        let index = usize::try_from(key.1).ok();
        let Some(partition) = index.and_then(|index| topic.partitions.get_mut(index)) else {
            return Part::failed(ErrorCode::UnknownTopicOrPartition);
        };
        let checked =
            check_leads(partition).and_then(|()| check_epoch(partition, one.leader_epoch));
        if let Err(error) = checked {
            let known = self.image.topic(key.0);
            let known = known.and_then(|topic| topic.partition(PartitionIndex(key.1)));
            return Part {
                leader: known.and_then(|p| Some((p.leader?, p.leader_epoch))),
                ..Part::failed(error)
            };
        }
        let high_watermark = partition.high_watermark;
        let follows = below.is_some();
        let Some(log) = partition.log.as_mut() else {
            return Part::failed(ErrorCode::KafkaStorageError);
        };
        let below = below.unwrap_or(match planted(Plant::ReadsUncommitted) {
            true => log.log_end(),
            false => high_watermark,
        });
        let mut part = Part {
            high_watermark: high_watermark.0,
            log_start: log.log_start().0,
            ..Part::default()
        };
        // A follower's log was compared when its fetch was judged.
        if one.last_fetched_epoch >= 0 && !follows {
            match log.end_of_epoch(LeaderEpoch(one.last_fetched_epoch)) {
                None => return Part::failed(ErrorCode::OffsetOutOfRange),
                Some((epoch, end))
                    if epoch.0 < one.last_fetched_epoch || end.0 < one.fetch_offset =>
                {
                    part.diverging = Some((epoch, end));
                    return part;
                }
                Some(_) => {}
            }
        }
        let most = usize::try_from(one.max_bytes).unwrap_or(0).min(room);
        let from = Offset(one.fetch_offset);
        match log.read(&mut *self.disk, from, below, most, first) {
            Ok(pieces) => {
                part.records = RecordRanges::from(pieces);
                let bytes = part.records.len() as u64;
                if bytes > 0 {
                    partition.counters.bytes_out += bytes;
                    self.shown.touch(key.0);
                }
                part
            }
            Err(error) => Part {
                error: Some(read_code(&error)),
                ..part
            },
        }
    }

    /// Builds the answer from what was read.
    fn fetched(
        &mut self,
        asked: &Asked,
        context: Context,
        wanted: &[Wanted],
        parts: Vec<Part>,
    ) -> Answered {
        let mut response = FetchResponse {
            session_id: context.session_id,
            ..FetchResponse::default()
        };
        let mut places: BTreeMap<TopicRef, usize> = BTreeMap::new();
        let misdirected = parts.iter().any(|part| part.leader.is_some());
        if misdirected && asked.version >= SAYS_NODES {
            let brokers = self.brokers_for(asked.connection).into_iter();
            let live = brokers.filter(|broker| !broker.fenced);
            response.node_endpoints = live.map(node_endpoint).collect();
        }
        for (one, part) in wanted.iter().zip(parts) {
            let told = Told {
                high_watermark: part.high_watermark,
                log_start: part.log_start,
                has_records: !part.records.is_empty(),
                must_tell: part.error.is_some() || part.diverging.is_some(),
            };
            if !self.sessions.tell(context, one, told) {
                continue;
            }
            self.totals.bytes_out += part.records.len() as u64;
            self.totals.records_out += records_in(&part.records);
            // Sessions reorder partitions, so a topic may come up again.
            let place = *places.entry(one.topic.clone()).or_insert_with(|| {
                response.responses.push(topic_response(&one.topic));
                response.responses.len() - 1
            });
            let data = part.into_data(asked, one.partition);
            response.responses[place].partitions.push(data);
        }
        let parts = asked.reply(|writer| response.encode(writer, asked.version))?;
        Ok(Answer::Reply(parts))
    }

    /// Has appends to these partitions wake a connection; those that exist.
    fn watch(&mut self, connection: ConnectionId, wanted: &[Wanted]) -> Vec<PartitionKey> {
        let mut watched = Vec::with_capacity(wanted.len());
        for one in wanted {
            let Ok(id) = self.fetched_topic(&one.topic) else {
                continue;
            };
            let partitions = self.topics.get_mut(&id).map(|topic| &mut topic.partitions);
            let index = usize::try_from(one.partition).ok();
            let partition = partitions
                .zip(index)
                .and_then(|(all, index)| all.get_mut(index));
            if let Some(partition) = partition {
                partition.watchers.insert(connection);
                watched.push((id, one.partition));
            }
        }
        watched
    }

    /// Undoes [`Broker::watch`].
    pub(in crate::broker) fn stop_watching(
        &mut self,
        connection: ConnectionId,
        watched: &[PartitionKey],
    ) {
        for (id, index) in watched {
            let partitions = self.topics.get_mut(id).map(|topic| &mut topic.partitions);
            let index = usize::try_from(*index).ok();
            let partition = partitions
                .zip(index)
                .and_then(|(all, index)| all.get_mut(index));
            if let Some(partition) = partition {
                partition.watchers.remove(&connection);
            }
        }
    }

    /// Tells those who wait for a partition that `bytes` more can be read.
    pub(in crate::broker) fn note_readable(&mut self, key: PartitionKey, bytes: usize) {
        self.wake_watchers(key, bytes, false);
    }

    /// Tells followers that wait for a partition that `bytes` were appended.
    pub(in crate::broker) fn note_appended(&mut self, key: PartitionKey, bytes: usize) {
        self.wake_watchers(key, bytes, true);
    }

    fn wake_watchers(&mut self, key: PartitionKey, bytes: usize, followers: bool) {
        let Some(topic) = self.topics.get(&key.0) else {
            return;
        };
        let Some(partition) = topic.partition(key.1) else {
            return;
        };
        for connection in &partition.watchers {
            let wait = self.parked.fetch_mut(*connection);
            if let Some(wait) = wait.filter(|wait| wait.replica.is_some() == followers) {
                wait.more_bytes = wait.more_bytes.saturating_add(bytes);
                if wait.more_bytes >= wait.limits.min_bytes {
                    self.woken.insert(*connection);
                }
            }
        }
    }

    /// Reads again for a long poll that was woken, and answers it.
    pub(in crate::broker) fn retry_fetch(&mut self, now: Time, id: ConnectionId) {
        if self.parked.fetch_mut(id).is_none() {
            return;
        }
        let Some(Waiting::Fetch(mut wait)) = self.parked.take(id) else {
            return;
        };
        self.stop_watching(id, &wait.watched);
        wait.asked.now = now;
        let replica = wait.replica.map(|replica| Replica {
            counts: false,
            ..replica
        });
        let (parts, _) = self.read_all(now, &wait.wanted, wait.limits.max_bytes, replica);
        let answered = self.fetched(&wait.asked, wait.context, &wait.wanted, parts);
        self.conclude(&wait.asked, answered);
    }
}

impl Part {
    fn failed(error: ErrorCode) -> Part {
        Part {
            error: Some(error),
            high_watermark: -1,
            log_start: -1,
            ..Part::default()
        }
    }

    fn into_data(self, asked: &Asked, partition_index: i32) -> PartitionData {
        let mut data = PartitionData {
            partition_index,
            error_code: asked.code(self.error.unwrap_or(ErrorCode::None)),
            high_watermark: self.high_watermark,
            last_stable_offset: self.high_watermark,
            log_start_offset: self.log_start,
            aborted_transactions: Some(Vec::new()),
            records: Some(self.records),
            ..PartitionData::default()
        };
        if let Some((leader, epoch)) = self.leader
            && asked.version >= DIVERGENCE
        {
            data.current_leader = LeaderIdAndEpoch {
                leader_id: leader.0,
                leader_epoch: epoch.0,
            };
        }
        if let Some((epoch, end)) = self.diverging
            && asked.version >= DIVERGENCE
        {
            data.diverging_epoch = EpochEndOffset {
                epoch: epoch.0,
                end_offset: end.0,
            };
        }
        data
    }
}

fn node_endpoint(broker: Reached) -> NodeEndpoint {
    NodeEndpoint {
        node_id: broker.id.0,
        host: broker.host,
        port: broker.port,
        rack: broker.rack,
    }
}

fn topic_response(topic: &TopicRef) -> FetchableTopicResponse {
    let (topic, topic_id) = match topic {
        TopicRef::Name(name) => (name.to_string(), TopicId::ZERO),
        TopicRef::Id(id) => (String::new(), *id),
    };
    FetchableTopicResponse {
        topic,
        topic_id,
        partitions: Vec::new(),
    }
}

/// Records in the batches, by their headers.
fn records_in(records: &RecordRanges) -> u64 {
    let headers = records
        .pieces()
        .iter()
        .flat_map(|piece| crate::wire::records::batches(piece));
    let counts = headers.flatten().map(|batch| batch.header().record_count);
    counts.map(|count| u64::try_from(count).unwrap_or(0)).sum()
}
