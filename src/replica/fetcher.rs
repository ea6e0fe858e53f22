//! One Fetch request for all partitions that follow the same broker, with an incremental session (KIP-227).
//!
//! Verbs: [`Fetcher::put`] what a partition's follower asks, whenever that changed; [`Fetcher::remove`] a
//! partition that has nothing to ask or follows somebody else; [`Fetcher::request`] when nothing is in flight;
//! [`Fetcher::on_response`] or [`Fetcher::on_lost`] exactly once for each request, or [`Fetcher::abandon`].
//!
//! Guarantees: one request in flight; an answer is given back with the question it answers, and not at all
//! when the partition was removed or its question put anew by then; after any doubt about the session the next
//! request begins a new one and names everything. Costs grow with what changed, not with the partitions.
//! Knows topics by id only (Fetch 13 and up; KIP-903's replica state needs 15).

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;

use super::follower::{Ask, Told};
use crate::ids::{BrokerEpoch, BrokerId, LeaderEpoch, Offset, PartitionIndex, Time, TopicId};
use crate::wire::ErrorCode;
use crate::wire::messages::fetch::{
    FetchPartition, FetchRequest, FetchResponse, FetchTopic, ForgottenTopic, PartitionData,
    ReplicaState,
};

/// A partition's name.
pub type PartitionKey = (TopicId, PartitionIndex);

/// Milliseconds after a first loss before the leader is asked again.
const FIRST_BACKOFF_MS: i64 = 20;
/// Milliseconds after many losses before the leader is asked again (`replica.fetch.backoff.ms` in Kafka).
const MAX_BACKOFF_MS: i64 = 1_000;
/// Session id of no session.
const NO_SESSION: i32 = 0;
/// Session epoch of a request that begins a session.
const FIRST_EPOCH: i32 = 0;

/// How much a request may bring and how long it may wait; Kafka's `replica.fetch.*`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FetchLimits {
    pub max_wait_ms: i32,
    pub min_bytes: i32,
    /// `replica.fetch.response.max.bytes`.
    pub max_bytes: i32,
    /// `replica.fetch.max.bytes`.
    pub partition_max_bytes: i32,
}

impl Default for FetchLimits {
    /// Kafka's defaults.
    fn default() -> FetchLimits {
        FetchLimits {
            max_wait_ms: 500,
            min_bytes: 1,
            max_bytes: 10 * 1024 * 1024,
            partition_max_bytes: 1024 * 1024,
        }
    }
}

/// What a leader answered about one partition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fetched {
    pub key: PartitionKey,
    /// What was asked.
    pub asked: Ask,
    pub told: Told,
    pub records: Bytes,
}

/// Fetches from one leader for all partitions that follow it.
#[derive(Debug, Clone)]
pub struct Fetcher {
    leader: BrokerId,
    entries: BTreeMap<PartitionKey, Entry>,
    /// Entries the leader's session does not know as they are.
    changed: BTreeSet<PartitionKey>,
    /// Partitions the leader's session knows and should not.
    forgotten: BTreeSet<PartitionKey>,
    session_id: i32,
    /// Of the next request.
    session_epoch: i32,
    asked_at: Option<Time>,
    losses: u32,
    retry_at: Option<Time>,
}

#[derive(Debug, Clone, Copy)]
struct Entry {
    ask: Ask,
    /// As the leader was told in this session.
    sent: Option<Ask>,
}

impl Fetcher {
    pub fn new(leader: BrokerId) -> Fetcher {
        Fetcher {
            leader,
            entries: BTreeMap::new(),
            changed: BTreeSet::new(),
            forgotten: BTreeSet::new(),
            session_id: NO_SESSION,
            session_epoch: FIRST_EPOCH,
            asked_at: None,
            losses: 0,
            retry_at: None,
        }
    }

    pub fn leader(&self) -> BrokerId {
        self.leader
    }

    /// Has a partition asked for from the next request on.
    pub fn put(&mut self, key: PartitionKey, ask: Ask) {
        let new = Entry { ask, sent: None };
        let entry = self.entries.entry(key).or_insert(new);
        entry.ask = ask;
        match entry.sent == Some(ask) {
            true => self.changed.remove(&key),
            false => self.changed.insert(key),
        };
        // Named again, it is replaced in the session instead of forgotten.
        self.forgotten.remove(&key);
    }

    /// Has a partition no longer asked for; an answer about it that is under way is not given back.
    pub fn remove(&mut self, key: PartitionKey) {
        self.changed.remove(&key);
        if self.entries.remove(&key).is_some_and(|e| e.sent.is_some()) {
            self.forgotten.insert(key);
        }
    }

    /// The next request, if there is something to ask, nothing is in flight and no failure is being waited out.
    pub fn request(
        &mut self,
        now: Time,
        me: BrokerId,
        broker_epoch: BrokerEpoch,
        limits: FetchLimits,
    ) -> Option<FetchRequest> {
        let waits = self.asked_at.is_some() || self.retry_at.is_some_and(|at| now < at);
        if waits || self.entries.is_empty() {
            return None;
        }
        let full = self.session_epoch == FIRST_EPOCH;
        let mut topics = Vec::new();
        if full {
            self.forgotten.clear();
            for (key, entry) in &mut self.entries {
                entry.sent = Some(entry.ask);
                name(&mut topics, *key, entry.ask, limits);
            }
        }
        for key in std::mem::take(&mut self.changed) {
            let entry = self.entries.get_mut(&key).expect("what changed is asked");
            if !full {
                entry.sent = Some(entry.ask);
                name(&mut topics, key, entry.ask, limits);
            }
        }
        self.asked_at = Some(now);
        self.retry_at = None;
        Some(FetchRequest {
            replica_state: ReplicaState {
                replica_id: me.0,
                replica_epoch: broker_epoch.0,
            },
            max_wait_ms: limits.max_wait_ms,
            min_bytes: limits.min_bytes,
            max_bytes: limits.max_bytes,
            session_id: self.session_id,
            session_epoch: self.session_epoch,
            topics,
            forgotten_topics_data: forget(std::mem::take(&mut self.forgotten)),
            ..FetchRequest::default()
        })
    }

    /// Takes the answer in: what it says of each partition, or the error of the whole request. After that error
    /// [`Fetcher::request`] has the next request, at once if only the session was lost.
    pub fn on_response(
        &mut self,
        now: Time,
        response: FetchResponse,
    ) -> Result<Vec<Fetched>, ErrorCode> {
        self.asked_at = None;
        match error_of(response.error_code) {
            ErrorCode::None => {}
            error => {
                self.forget_session();
                match error {
                    ErrorCode::FetchSessionIdNotFound | ErrorCode::InvalidFetchSessionEpoch => {}
                    _ => self.back_off(now),
                }
                return Err(error);
            }
        }
        self.losses = 0;
        self.note_session(response.session_id);
        let mut fetched = Vec::new();
        for topic in response.responses {
            for partition in topic.partitions {
                let key = (topic.topic_id, PartitionIndex(partition.partition_index));
                if let Some(asked) = self.entries.get(&key).and_then(|entry| entry.sent) {
                    fetched.push(digest(key, asked, partition));
                }
            }
        }
        Ok(fetched)
    }

    /// The connection is gone, or the answer could not be read.
    pub fn on_lost(&mut self, now: Time) {
        self.abandon();
        self.back_off(now);
    }

    /// Gives up what is in flight; whoever calls it drops the connection. The next request may go at once.
    pub fn abandon(&mut self) {
        self.asked_at = None;
        self.forget_session();
    }

    /// Whether what is in flight, perhaps a long wait for records, holds up a partition's first fetch in its
    /// leader epoch. Until that fetch a new leader commits nothing, so it is worth to [`Fetcher::abandon`].
    pub fn holds_up_news(&self) -> bool {
        let epoch_of = |ask: Ask| ask.leader_epoch;
        let mut changed = self.changed.iter().filter_map(|key| self.entries.get(key));
        self.asked_at.is_some()
            && changed.any(|entry| entry.sent.map(epoch_of) != Some(entry.ask.leader_epoch))
    }

    /// When the request in flight was made; `None` without one.
    pub fn asked_at(&self) -> Option<Time> {
        self.asked_at
    }

    /// When to call [`Fetcher::request`] again after a failure.
    pub fn next_wakeup(&self) -> Option<Time> {
        self.retry_at.filter(|_| !self.entries.is_empty())
    }

    /// How many partitions are asked for.
    pub fn partitions(&self) -> impl Iterator<Item = PartitionKey> {
        self.entries.keys().copied()
    }

    pub fn partition_count(&self) -> usize {
        self.entries.len()
    }

    /// What must hold at any moment.
    pub fn check(&self) {
        assert!(
            self.changed
                .iter()
                .all(|key| self.entries.contains_key(key))
        );
        let mut forgotten = self.forgotten.iter();
        assert!(forgotten.all(|key| !self.entries.contains_key(key)));
        assert!(self.session_id != NO_SESSION || self.session_epoch == FIRST_EPOCH);
    }

    fn note_session(&mut self, session_id: i32) {
        if session_id == NO_SESSION {
            // The leader has no room for a session, or forgot the last partition of it.
            self.session_id = NO_SESSION;
            self.session_epoch = FIRST_EPOCH;
        } else if self.session_epoch == FIRST_EPOCH || session_id == self.session_id {
            self.session_id = session_id;
            self.session_epoch = match self.session_epoch {
                i32::MAX => FIRST_EPOCH + 1,
                epoch => epoch + 1,
            };
        } else {
            self.forget_session();
        }
    }

    /// The next request names everything. It names the session, too, so that the leader ends it.
    fn forget_session(&mut self) {
        self.session_epoch = FIRST_EPOCH;
    }

    fn back_off(&mut self, now: Time) {
        let wait_ms = (FIRST_BACKOFF_MS << self.losses.min(10)).min(MAX_BACKOFF_MS);
        self.losses = self.losses.saturating_add(1);
        self.retry_at = Some(now.plus_ms(wait_ms));
    }
}

/// Adds a partition to the topics of a request; keys come in order.
fn name(topics: &mut Vec<FetchTopic>, key: PartitionKey, ask: Ask, limits: FetchLimits) {
    if topics.last().is_none_or(|topic| topic.topic_id != key.0) {
        topics.push(FetchTopic {
            topic_id: key.0,
            ..FetchTopic::default()
        });
    }
    let topic = topics.last_mut().expect("there is one by now");
    topic.partitions.push(FetchPartition {
        partition: key.1.0,
        current_leader_epoch: ask.leader_epoch.0,
        fetch_offset: ask.fetch_offset.0,
        last_fetched_epoch: ask.last_fetched_epoch.0,
        log_start_offset: ask.log_start.0,
        partition_max_bytes: limits.partition_max_bytes,
        high_watermark: ask.high_watermark.0,
        ..FetchPartition::default()
    });
}

fn forget(keys: BTreeSet<PartitionKey>) -> Vec<ForgottenTopic> {
    let mut topics: Vec<ForgottenTopic> = Vec::new();
    for (topic_id, index) in keys {
        if topics.last().is_none_or(|topic| topic.topic_id != topic_id) {
            topics.push(ForgottenTopic {
                topic_id,
                ..ForgottenTopic::default()
            });
        }
        let topic = topics.last_mut().expect("there is one by now");
        topic.partitions.push(index.0);
    }
    topics
}

fn error_of(code: i16) -> ErrorCode {
    ErrorCode::from_code(code).unwrap_or(ErrorCode::UnknownServerError)
}

fn digest(key: PartitionKey, asked: Ask, partition: PartitionData) -> Fetched {
    let diverging = &partition.diverging_epoch;
    let told = Told {
        error: error_of(partition.error_code),
        high_watermark: Offset(partition.high_watermark),
        log_start: Offset(partition.log_start_offset),
        diverging: (diverging.end_offset >= 0)
            .then_some((LeaderEpoch(diverging.epoch), Offset(diverging.end_offset))),
    };
    let records = partition.records.map(|records| records.joined());
    Fetched {
        key,
        asked,
        told,
        records: records.unwrap_or_default(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::messages::fetch::FetchableTopicResponse;

    const ME: BrokerId = BrokerId(2);

    fn key(topic: u8, index: i32) -> PartitionKey {
        (TopicId([topic; 16]), PartitionIndex(index))
    }

    fn ask(epoch: i32, offset: i64) -> Ask {
        Ask {
            leader_epoch: LeaderEpoch(epoch),
            fetch_offset: Offset(offset),
            last_fetched_epoch: LeaderEpoch(epoch - 1),
            log_start: Offset(0),
            high_watermark: Offset(0),
        }
    }

    fn request(fetcher: &mut Fetcher, now: Time) -> Option<FetchRequest> {
        fetcher.check();
        fetcher.request(now, ME, BrokerEpoch(77), FetchLimits::default())
    }

    fn named(request: &FetchRequest) -> Vec<(u8, i32, i64)> {
        let topics = request.topics.iter();
        let partitions = topics.flat_map(|t| t.partitions.iter().map(move |p| (t, p)));
        partitions
            .map(|(t, p)| (t.topic_id.0[0], p.partition, p.fetch_offset))
            .collect()
    }

    fn answer(session_id: i32, of: &[(u8, i32)]) -> FetchResponse {
        let topic = |(topic, index): &(u8, i32)| FetchableTopicResponse {
            topic_id: TopicId([*topic; 16]),
            partitions: vec![PartitionData {
                partition_index: *index,
                high_watermark: 3,
                ..PartitionData::default()
            }],
            ..FetchableTopicResponse::default()
        };
        FetchResponse {
            session_id,
            responses: of.iter().map(topic).collect(),
            ..FetchResponse::default()
        }
    }

    #[test]
    fn kip_227_a_session_is_told_everything_once_and_then_what_changed() {
        let mut fetcher = Fetcher::new(BrokerId(1));
        assert!(request(&mut fetcher, Time(0)).is_none());
        for (topic, index) in [(1, 0), (1, 1), (2, 0)] {
            fetcher.put(key(topic, index), ask(5, 10));
        }
        let first = request(&mut fetcher, Time(0)).expect("there is something to ask");
        assert_eq!((first.session_id, first.session_epoch), (0, 0));
        assert_eq!(named(&first), [(1, 0, 10), (1, 1, 10), (2, 0, 10)]);
        assert_eq!(first.replica_state.replica_id, 2);
        assert_eq!(first.replica_state.replica_epoch, 77);
        assert!(request(&mut fetcher, Time(0)).is_none());
        let fetched = fetcher.on_response(Time(1), answer(9, &[(1, 1)]));
        let fetched = fetched.expect("no error");
        assert_eq!(fetched[0].key, key(1, 1));
        assert_eq!(fetched[0].asked, ask(5, 10));
        fetcher.put(key(1, 1), ask(5, 20));
        fetcher.put(key(1, 0), ask(5, 10));
        fetcher.remove(key(2, 0));
        let second = request(&mut fetcher, Time(1)).expect("a session goes on");
        assert_eq!((second.session_id, second.session_epoch), (9, 1));
        assert_eq!(named(&second), [(1, 1, 20)]);
        assert_eq!(second.forgotten_topics_data[0].partitions, [0]);
        // Removed by then: the answer is nobody's.
        let late = fetcher.on_response(Time(2), answer(9, &[(2, 0)]));
        assert_eq!(late.expect("no error"), []);
        let third = request(&mut fetcher, Time(2)).expect("a session goes on");
        assert_eq!((third.session_epoch, named(&third).len()), (2, 0));
        assert!(third.forgotten_topics_data.is_empty());
    }

    #[test]
    fn after_any_doubt_everything_is_named_again() {
        let mut fetcher = Fetcher::new(BrokerId(1));
        fetcher.put(key(1, 0), ask(5, 10));
        let _ = request(&mut fetcher, Time(0));
        let _ = fetcher.on_response(Time(0), answer(9, &[]));
        let _ = request(&mut fetcher, Time(0));
        let lost = FetchResponse {
            error_code: ErrorCode::FetchSessionIdNotFound.code(),
            ..FetchResponse::default()
        };
        let lost = fetcher.on_response(Time(0), lost);
        assert_eq!(lost, Err(ErrorCode::FetchSessionIdNotFound));
        let anew = request(&mut fetcher, Time(0)).expect("at once");
        assert_eq!((anew.session_id, anew.session_epoch), (9, 0));
        assert_eq!(named(&anew), [(1, 0, 10)]);
        fetcher.on_lost(Time(0));
        let due = fetcher.next_wakeup().expect("it tries again");
        assert!(request(&mut fetcher, Time(0)).is_none());
        let anew = request(&mut fetcher, due).expect("it is due");
        assert_eq!((anew.session_epoch, named(&anew).len()), (0, 1));
        // No room for a session: full requests for ever.
        let _ = fetcher.on_response(due, answer(0, &[]));
        let again = request(&mut fetcher, due).expect("it goes on");
        assert_eq!((again.session_id, again.session_epoch), (0, 0));
        assert_eq!(named(&again).len(), 1);
    }

    #[test]
    fn a_new_leader_epoch_is_worth_dropping_a_long_wait() {
        let mut fetcher = Fetcher::new(BrokerId(1));
        fetcher.put(key(1, 0), ask(5, 10));
        assert!(!fetcher.holds_up_news());
        let _ = request(&mut fetcher, Time(0));
        fetcher.put(key(1, 0), ask(5, 11));
        assert!(!fetcher.holds_up_news());
        fetcher.put(key(1, 1), ask(1, 0));
        assert!(fetcher.holds_up_news());
        fetcher.abandon();
        let anew = request(&mut fetcher, Time(0)).expect("at once");
        assert_eq!(named(&anew), [(1, 0, 11), (1, 1, 0)]);
        fetcher.put(key(1, 1), ask(2, 0));
        assert!(fetcher.holds_up_news());
    }

    #[test]
    fn losses_wait_longer_each_time_up_to_a_second() {
        let mut fetcher = Fetcher::new(BrokerId(1));
        fetcher.put(key(1, 0), ask(5, 10));
        let mut now = Time(0);
        let mut waits_ms = Vec::new();
        for _ in 0..8 {
            assert!(request(&mut fetcher, now).is_some());
            fetcher.on_lost(now);
            let due = fetcher.next_wakeup().expect("it tries again");
            waits_ms.push(due.since_us(now) / 1000);
            now = due;
        }
        assert_eq!(waits_ms, [20, 40, 80, 160, 320, 640, 1000, 1000]);
    }
}
