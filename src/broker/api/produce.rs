//! Produce (0): appends record batches to partitions.
//!
//! Records are validated and appended as the bytes that arrived; only base offset and leader epoch are
//! written into them. acks=0 gets no answer and on an error loses its connection; acks=all is answered once all
//! in-sync replicas have the records, or `timeout_ms` is over. With durability `batch` the answer waits for the sync.
//! A partition named twice in one request counts once, as the last one said. Topics are named by id from
//! version 13 on (KIP-516) and never made here.
//!
//! Differs from Apache Kafka: exactly one batch per partition, as all its own clients send; timestamps are
//! checked by the batch's first and largest one, not record by record; transactional batches are refused
//! with INVALID_TXN_STATE, there are no transactions yet; batches are kept in their producer's codec and not
//! unpacked, so what was compressed wrongly is refused only if it begins wrongly, claims more records than its
//! bytes can hold, or goes to a compacted topic; the batches a request sends to compacted topics unpack to
//! 32 MiB at most, beyond that it is MESSAGE_TOO_LARGE; 100 records of a request are named in `record_errors`.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;

use super::super::Broker;
use super::super::dispatch::{Answer, Answered, Asked, check_lists};
use super::super::parked::Waiting;
use super::super::partition::{PartitionKey, Role};
use super::super::replicas::partition_of;
use super::append_code;
use crate::ids::{ConnectionId, LeaderEpoch, Offset, PartitionIndex, Time, TopicId};
use crate::inspect::Durability;
use crate::metadata::TopicSettings;
use crate::metadata::decide::is_internal;
use crate::plants::{Plant, planted};
use crate::storage::{COPIED_BYTES, Log};
use crate::wire::messages::produce::{
    BatchIndexAndErrorMessage, LeaderIdAndEpoch, NodeEndpoint, PartitionProduceData,
    PartitionProduceResponse, ProduceRequest, ProduceResponse, TopicProduceData,
    TopicProduceResponse,
};
use crate::wire::records::{BatchHeader, CheckBudget, ProducedRules, Refusal, validate_within};
use crate::wire::{ErrorCode, Reader};

/// First version that names topics by id.
const BY_ID: i16 = 13;
/// acks=all: all in-sync replicas.
const ALL_IN_SYNC: i16 = -1;
/// First version that can say who leads instead (KIP-951).
const SAYS_LEADER: i16 = 10;

/// A produce whose records are in the log and whose answer waits for the sync or for replicas.
#[derive(Debug)]
pub(in crate::broker) struct ProduceWait {
    pub(super) asked: Asked,
    pub(super) acks: i16,
    pub(super) response: ProduceResponse,
    /// What replicas do not have yet.
    pub(super) pending: Vec<Pending>,
    /// When it waits no longer for replicas.
    pub(super) deadline: Option<Time>,
    /// The partitions that wake it.
    pub(in crate::broker) waits_at: Vec<PartitionKey>,
}

/// Records that all in-sync replicas must have.
#[derive(Debug)]
pub(super) struct Pending {
    pub key: PartitionKey,
    pub leader_epoch: LeaderEpoch,
    /// Where they end.
    pub next: Offset,
    /// Their topic and partition in the answer.
    pub place: (usize, usize),
}

/// One partition's batch as it is in the log.
struct Stored {
    base_offset: i64,
    log_append_time_ms: i64,
    log_start_offset: i64,
    leader_epoch: LeaderEpoch,
    /// Where it ends.
    next: Offset,
    /// Its bytes are not synced yet.
    unsynced: bool,
}

/// Why one partition's batch was refused.
struct Refused {
    error: ErrorCode,
    why: Option<String>,
    records: Vec<i32>,
}

impl From<ErrorCode> for Refused {
    fn from(error: ErrorCode) -> Refused {
        Refused {
            error,
            why: None,
            records: Vec::new(),
        }
    }
}

pub(super) fn answer(broker: &mut Broker, asked: &Asked, reader: &mut Reader) -> Answered {
    let frame_bytes = reader.remaining();
    let mut request = ProduceRequest::decode(reader, asked.version)?;
    check_lists(
        request
            .topic_data
            .iter()
            .map(|topic| topic.partition_data.len()),
    )?;
    // Lets go of the frame, so that records nobody else holds are changed in place instead of copied.
    *reader = Reader::new(Bytes::new());
    let acks = request.acks;
    let known_acks = (-1..=1).contains(&acks);
    let mut response = ProduceResponse::default();
    let mut unsynced = false;
    let mut pending = Vec::new();
    let replicated = broker.member.is_some();
    let mut budget = CheckBudget::default();
    drop_repeats(&mut request.topic_data);
    for topic in request.topic_data {
        let id = broker.produced_topic(asked.version, &topic);
        let mut partition_responses = Vec::with_capacity(topic.partition_data.len());
        for partition in topic.partition_data {
            let index = partition.index;
            let done = match (known_acks, id) {
                (false, _) => Err(ErrorCode::InvalidRequiredAcks.into()),
                (true, Err(error)) => Err(error.into()),
                (true, Ok(id)) => {
                    let records = apart(partition.records.unwrap_or_default(), frame_bytes);
                    broker.append_produced(asked, (id, index), records, acks, &mut budget)
                }
            };
            if let (true, Ok(stored), Ok(id), ALL_IN_SYNC) = (replicated, &done, id, acks) {
                pending.push(Pending {
                    key: (id, index),
                    leader_epoch: stored.leader_epoch,
                    next: stored.next,
                    place: (response.responses.len(), partition_responses.len()),
                });
            }
            unsynced |= done.as_ref().is_ok_and(|stored| stored.unsynced);
            partition_responses.push(broker.partition_response(asked, index, done));
        }
        response.responses.push(TopicProduceResponse {
            name: topic.name,
            topic_id: topic.topic_id,
            partition_responses,
        });
    }
    broker.name_the_leader(asked, &mut response);
    if !pending.is_empty() {
        let mut wait = ProduceWait::new(asked, acks, response);
        wait.waits_at = pending.iter().map(|one| one.key).collect();
        wait.pending = pending;
        let timeout_ms = i64::from(request.timeout_ms.max(0));
        wait.deadline = Some(asked.now.plus_ms(timeout_ms));
        return broker.wait_for_replicas(wait);
    }
    let waits = broker.acks_wait_for_sync() && !planted(Plant::AcksUnsynced);
    if unsynced && acks != 0 && waits {
        let wait = ProduceWait::new(asked, acks, response);
        broker
            .parked
            .put(asked.connection, None, Waiting::Produce(Box::new(wait)));
        broker.wait_for_sync(asked.connection);
        return Ok(Answer::Parked);
    }
    broker.finish_produce(asked, acks, &response)
}

/// A partition named more than once counts once, as the last one said, also if its topic is named more than
/// once.
fn drop_repeats(topics: &mut Vec<TopicProduceData>) {
    let mut seen = BTreeSet::new();
    let known = |topic: &TopicProduceData| (topic.name.clone(), topic.topic_id);
    if topics.len() > 1
        && !topics
            .iter()
            .all(|topic| seen.insert((topic.name.as_str(), topic.topic_id)))
    {
        let mut places = BTreeMap::new();
        let mut merged: Vec<TopicProduceData> = Vec::with_capacity(topics.len());
        for topic in std::mem::take(topics) {
            match *places.entry(known(&topic)).or_insert(merged.len()) {
                new if new == merged.len() => merged.push(topic),
                old => merged[old].partition_data.extend(topic.partition_data),
            }
        }
        *topics = merged;
    }
    for topic in topics {
        drop_repeated_partitions(&mut topic.partition_data);
    }
}

fn drop_repeated_partitions(partitions: &mut Vec<PartitionProduceData>) {
    if partitions.len() < 2 {
        return;
    }
    let mut seen = BTreeSet::new();
    if partitions
        .iter()
        .all(|partition| seen.insert(partition.index))
    {
        return;
    }
    seen.clear();
    partitions.reverse();
    partitions.retain(|partition| seen.insert(partition.index));
    partitions.reverse();
}

/// The records on their own, unless they are most of the frame they came in: the log may keep them in memory,
/// and with them the whole frame, of which it knows nothing. What is short it copies itself.
fn apart(records: Bytes, frame_bytes: usize) -> Bytes {
    match records.len() > COPIED_BYTES && records.len() < frame_bytes / 2 {
        true => Bytes::copy_from_slice(&records),
        false => records,
    }
}

impl Broker {
    /// The answer to a produce that is done.
    pub(super) fn finish_produce(
        &mut self,
        asked: &Asked,
        acks: i16,
        response: &ProduceResponse,
    ) -> Answered {
        let topics = response.responses.iter();
        let partitions = topics.flat_map(|topic| &topic.partition_responses);
        let failed = partitions.filter(|partition| partition.error_code != 0);
        self.totals.failed_produces += failed.count() as u64;
        if acks != 0 {
            self.tell_first_acks(asked.version >= BY_ID, response);
            let parts = asked.reply(|writer| response.encode(writer, asked.version))?;
            return Ok(Answer::Reply(parts));
        }
        let partitions = response
            .responses
            .iter()
            .flat_map(|t| &t.partition_responses);
        let mut failed = partitions.filter(|partition| partition.error_code != 0);
        Ok(match failed.next() {
            Some(partition) => Answer::Close(format!(
                "a produce with acks=0 failed with {}, and closing is the only way to say so",
                ErrorCode::from_code(partition.error_code).map_or("an error", ErrorCode::name)
            )),
            None => Answer::Silent,
        })
    }

    fn produced_topic(&self, version: i16, topic: &TopicProduceData) -> Result<TopicId, ErrorCode> {
        if version >= BY_ID {
            let known = self.topics.contains_key(&topic.topic_id);
            return known
                .then_some(topic.topic_id)
                .ok_or(ErrorCode::UnknownTopicId);
        }
        let image = self.image.topic_named(&topic.name);
        image
            .map(|topic| topic.id)
            .ok_or(ErrorCode::UnknownTopicOrPartition)
    }

    /// Validates and appends one partition's batch.
    fn append_produced(
        &mut self,
        asked: &Asked,
        key: PartitionKey,
        records: Bytes,
        acks: i16,
        budget: &mut CheckBudget,
    ) -> Result<Stored, Refused> {
        let topic = self
            .topics
            .get_mut(&key.0)
            .ok_or(ErrorCode::UnknownTopicOrPartition)?;
        if is_internal(&topic.name) {
            return Err(Refused {
                why: Some(format!("Cannot append to internal topic {}", topic.name)),
                ..ErrorCode::InvalidTopicException.into()
            });
        }
        let rules = ProducedRules {
            max_batch_bytes: topic.settings.max_message_bytes as usize,
            keys_required: topic.settings.compact,
        };
        let unknown = ErrorCode::UnknownTopicOrPartition;
        check_role(&topic.partition(key.1).ok_or(unknown)?.role, acks)?;
        let header = validate_within(&records, &rules, budget).map_err(refused)?;
        check_header(&header, &topic.settings, asked.now.as_ms())?;
        let partition = topic.partition_mut(key.1).ok_or(unknown)?;
        let Some(log) = partition.log.as_mut() else {
            return Err(Refused {
                why: partition.trouble.clone(),
                ..ErrorCode::KafkaStorageError.into()
            });
        };
        let bytes = records.len();
        let leader_epoch = partition.leader_epoch;
        let appended = log.append(&mut *self.disk, asked.now, records, partition.leader_epoch);
        let (log_start, synced) = (log.log_start().0, log.recovery_point());
        let appended = match appended {
            Ok(appended) => appended,
            Err(error) => {
                let (error, why) = (append_code(&error), Some(error.to_string()));
                self.take_log_notes(asked.now, key);
                return Err(Refused {
                    why,
                    ..error.into()
                });
            }
        };
        let unsynced = appended.last >= synced;
        if appended.duplicate && unsynced {
            // Its first answer may have been lost with a sync that is still under way.
            self.note_dirty(asked.now, key);
        } else if !appended.duplicate {
            let count = u64::try_from(header.record_count).unwrap_or(0);
            self.on_produced(asked.now, key, count, bytes);
        }
        Ok(Stored {
            base_offset: appended.base.0,
            log_append_time_ms: appended.log_append_time_ms,
            log_start_offset: log_start,
            leader_epoch,
            next: appended.last + 1,
            unsynced,
        })
    }

    /// A partition's log grew by what a producer sent.
    pub(in crate::broker) fn on_produced(
        &mut self,
        now: Time,
        key: PartitionKey,
        records: u64,
        bytes: usize,
    ) {
        let holds_back = self.config.durability == Durability::Batch;
        self.totals.records_in += records;
        self.totals.bytes_in += bytes as u64;
        let Some(partition) = partition_of(&mut self.topics, key) else {
            return;
        };
        partition.counters.records_in += records;
        partition.counters.bytes_in += bytes as u64;
        let log_end = partition.log.as_ref().map(Log::log_end).unwrap_or_default();
        if let Role::Leader(leader) = &mut partition.role {
            partition.held_back_bytes += bytes;
            let moved = leader.on_append(now, log_end);
            let followed = leader.followers().next().is_some();
            self.after_leaders_append(key, bytes, moved, followed);
        } else if holds_back {
            partition.held_back_bytes += bytes;
        } else {
            partition.high_watermark = log_end;
        }
        self.shown.touch(key.0);
        self.note_dirty(now, key);
        self.take_log_notes(now, key);
        if !holds_back && self.member.is_none() {
            self.note_readable(key, bytes);
        }
    }

    fn partition_response(
        &self,
        asked: &Asked,
        index: i32,
        done: Result<Stored, Refused>,
    ) -> PartitionProduceResponse {
        match done {
            Ok(stored) => PartitionProduceResponse {
                index,
                base_offset: stored.base_offset,
                log_append_time_ms: stored.log_append_time_ms,
                log_start_offset: stored.log_start_offset,
                ..PartitionProduceResponse::default()
            },
            Err(refused) => PartitionProduceResponse {
                index,
                error_code: asked.code(refused.error),
                base_offset: -1,
                record_errors: refused.records.into_iter().map(keyless).collect(),
                error_message: refused.why,
                ..PartitionProduceResponse::default()
            },
        }
    }

    /// Says who leads where a client asked the wrong broker (KIP-951).
    fn name_the_leader(&self, asked: &Asked, response: &mut ProduceResponse) {
        if asked.version < SAYS_LEADER {
            return;
        }
        let not_leader = ErrorCode::NotLeaderOrFollower.code();
        let mut misdirected = false;
        for topic in &mut response.responses {
            let image = match asked.version >= BY_ID {
                true => self.image.topic(topic.topic_id),
                false => self.image.topic_named(&topic.name),
            };
            for partition in &mut topic.partition_responses {
                let index = PartitionIndex(partition.index);
                let known = image.and_then(|topic| topic.partition(index));
                if partition.error_code == not_leader
                    && let Some((leader, epoch)) =
                        known.and_then(|p| Some((p.leader?, p.leader_epoch)))
                {
                    misdirected = true;
                    partition.current_leader = LeaderIdAndEpoch {
                        leader_id: leader.0,
                        leader_epoch: epoch.0,
                    };
                }
            }
        }
        if misdirected {
            let brokers = self.brokers_for(asked.connection).into_iter();
            let brokers = brokers.filter(|broker| !broker.fenced);
            response.node_endpoints = brokers
                .map(|broker| NodeEndpoint {
                    node_id: broker.id.0,
                    host: broker.host,
                    port: broker.port,
                    rack: broker.rack,
                })
                .collect();
        }
    }

    /// Answers a produce whose sync is over. If it failed, nothing says whether the records survive.
    pub(in crate::broker) fn answer_produce(
        &mut self,
        connection: ConnectionId,
        mut wait: ProduceWait,
        synced: bool,
    ) {
        debug_assert_eq!(connection, wait.asked.connection);
        for topic in &mut wait.response.responses {
            let id = match wait.asked.version >= BY_ID {
                true => Some(topic.topic_id),
                false => self.image.topic_named(&topic.name).map(|image| image.id),
            };
            for partition in &mut topic.partition_responses {
                // A sync of this log may have failed between the append and the sync that was waited for.
                let log = id.and_then(|id| self.partition((id, partition.index))?.log.as_ref());
                let lost = !synced || log.is_some_and(|log| log.sync_failed());
                if lost && partition.error_code == 0 {
                    partition.error_code = wait.asked.code(ErrorCode::KafkaStorageError);
                    partition.base_offset = -1;
                }
            }
        }
        let answered = self.finish_produce(&wait.asked, wait.acks, &wait.response);
        self.conclude(&wait.asked, answered);
    }
}

/// Whether a batch may be appended by a broker in this role.
fn check_role(role: &Role, acks: i16) -> Result<(), Refused> {
    match role {
        _ if !role.leads() => Err(ErrorCode::NotLeaderOrFollower.into()),
        Role::Leader(leader) if acks == ALL_IN_SYNC => {
            leader.judge_append().map_err(|too_few| Refused {
                why: Some(too_few.to_string()),
                ..ErrorCode::NotEnoughReplicas.into()
            })
        }
        _ => Ok(()),
    }
}

fn keyless(batch_index: i32) -> BatchIndexAndErrorMessage {
    BatchIndexAndErrorMessage {
        batch_index,
        // The partition's message says it for all of them.
        batch_index_error_message: None,
    }
}

fn refused(refusal: Refusal) -> Refused {
    let (error, why) = (refusal.code(), Some(refusal.to_string()));
    let records = match refusal {
        Refusal::KeysMissing(records) => records,
        _ => Vec::new(),
    };
    Refused {
        error,
        why,
        records,
    }
}

/// What a header alone can break: a transaction where there are none, and times too far from now.
fn check_header(header: &BatchHeader, topic: &TopicSettings, now_ms: i64) -> Result<(), Refused> {
    if header.is_transactional() {
        return Err(ErrorCode::InvalidTxnState.into());
    }
    if topic.log_append_time {
        return Ok(());
    }
    let (first, last) = (header.base_timestamp_ms, header.max_timestamp_ms);
    let too_new = last.saturating_sub(now_ms) > topic.timestamp_after_max_ms;
    let too_old = now_ms.saturating_sub(first) > topic.timestamp_before_max_ms;
    // No timestamp is what −1 says.
    if too_new || (too_old && first >= 0) {
        let wrong = if too_new { last } else { first };
        return Err(Refused {
            why: Some(format!(
                "Timestamp {wrong} of message is out of range. The timestamp should be within [{}, {}]",
                now_ms.saturating_sub(topic.timestamp_before_max_ms),
                now_ms.saturating_add(topic.timestamp_after_max_ms)
            )),
            ..ErrorCode::InvalidTimestamp.into()
        });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn topic(name: &str, partitions: &[(i32, &'static [u8])]) -> TopicProduceData {
        let partition = |(index, records): &(i32, &'static [u8])| PartitionProduceData {
            index: *index,
            records: Some(Bytes::from_static(records)),
        };
        TopicProduceData {
            name: name.to_owned(),
            partition_data: partitions.iter().map(partition).collect(),
            ..TopicProduceData::default()
        }
    }

    #[test]
    fn of_a_partition_named_twice_the_last_counts() {
        let mut topics = vec![topic("t", &[(0, b"a"), (1, b"b"), (0, b"c")])];
        drop_repeats(&mut topics);
        assert_eq!(topics, [topic("t", &[(1, b"b"), (0, b"c")])]);
    }

    #[test]
    fn of_a_partition_named_in_two_topic_entries_the_last_counts() {
        let mut topics = vec![
            topic("t", &[(0, b"a"), (1, b"b")]),
            topic("u", &[(0, b"u")]),
            topic("t", &[(0, b"c")]),
        ];
        drop_repeats(&mut topics);
        let left = [
            topic("t", &[(1, b"b"), (0, b"c")]),
            topic("u", &[(0, b"u")]),
        ];
        assert_eq!(topics, left);
    }

    #[test]
    fn small_records_of_a_large_frame_do_not_keep_it() {
        let frame = Bytes::from(vec![0; 100_000]);
        let inside = |records: &Bytes| frame.as_ptr_range().contains(&records.as_ptr());
        assert!(!inside(&apart(frame.slice(50_000..80_000), frame.len())));
        assert!(inside(&apart(frame.slice(100..99_000), frame.len())));
        assert!(inside(&apart(frame.slice(..COPIED_BYTES), frame.len())));
    }
}
