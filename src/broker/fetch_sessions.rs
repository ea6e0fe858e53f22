//! Fetch sessions (KIP-227): a client names its partitions once and then only what changed; it is answered
//! only about partitions that have something new.
//!
//! Bounded: sessions by `max.incremental.fetch.session.cache.slots`, their partitions together by
//! [`MAX_CACHED_PARTITIONS`]. A client that finds no room is told session 0 and fetches without one. A
//! session makes room when it was not used for [`EVICT_UNUSED_MS`]. Knows nothing of logs.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::ids::{Time, TopicId};

/// Partitions all sessions together remember.
const MAX_CACHED_PARTITIONS: usize = 200_000;
/// Milliseconds after which an unused session may make room for a new one.
const EVICT_UNUSED_MS: i64 = 120_000;

/// How a request names a topic: by id since Fetch 13.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum TopicRef {
    Name(Arc<str>),
    Id(TopicId),
}

/// What a fetch wants of one partition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wanted {
    pub topic: TopicRef,
    pub partition: i32,
    pub fetch_offset: i64,
    pub max_bytes: i32,
    pub leader_epoch: i32,
    pub last_fetched_epoch: i32,
    /// The follower's own; −1 from clients.
    pub log_start: i64,
}

/// A partition's part of an answer, as far as a session looks at it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Told {
    pub high_watermark: i64,
    pub log_start: i64,
    pub has_records: bool,
    /// An error or a diverging epoch: always told.
    pub must_tell: bool,
}

/// Why a request does not fit its session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SessionError {
    /// FETCH_SESSION_ID_NOT_FOUND.
    NotFound,
    /// INVALID_FETCH_SESSION_EPOCH.
    WrongEpoch,
    /// FETCH_SESSION_TOPIC_ID_ERROR.
    NamesAndIdsMixed,
}

/// Which session a request belongs to; 0 is none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Context {
    pub session_id: i32,
    /// Tell every partition, changed or not.
    pub full: bool,
}

/// The session part of a Fetch request.
#[derive(Debug, Clone, Copy)]
pub struct Asked {
    pub session_id: i32,
    pub session_epoch: i32,
    /// Topics are named by id (version 13 on).
    pub by_id: bool,
}

/// All sessions of one broker.
#[derive(Debug)]
pub struct FetchSessions {
    slots: usize,
    sessions: BTreeMap<i32, Session>,
    partitions: usize,
}

#[derive(Debug)]
struct Session {
    /// The epoch the next incremental request must have.
    epoch: i32,
    by_id: bool,
    used: Time,
    next_place: u64,
    places: BTreeMap<(TopicRef, i32), u64>,
    /// In the order they are read: whoever had records last comes last.
    entries: BTreeMap<u64, Entry>,
}

#[derive(Debug)]
struct Entry {
    wanted: Wanted,
    told_high_watermark: i64,
    told_log_start: i64,
}

const NO_SESSION: i32 = 0;
/// Session epoch of a request that creates a session.
const FIRST_EPOCH: i32 = 0;
/// Session epoch of a request without a session.
const NO_EPOCH: i32 = -1;

impl FetchSessions {
    pub fn new(slots: usize) -> FetchSessions {
        FetchSessions {
            slots,
            sessions: BTreeMap::new(),
            partitions: 0,
        }
    }

    /// Takes a request in: the session it belongs to and all partitions it wants, in the order to read them.
    /// `fresh_id` is used should a session be made.
    pub fn begin(
        &mut self,
        now: Time,
        asked: Asked,
        wanted: Vec<Wanted>,
        forgotten: &[(TopicRef, i32)],
        fresh_id: i32,
    ) -> Result<(Context, Vec<Wanted>), SessionError> {
        if matches!(asked.session_epoch, NO_EPOCH | FIRST_EPOCH) {
            self.remove(asked.session_id);
            let wanted = without_repeats(wanted);
            let made = asked.session_epoch == FIRST_EPOCH
                && self.create(now, asked.by_id, &wanted, fresh_id);
            let session_id = if made { fresh_id } else { NO_SESSION };
            return Ok((
                Context {
                    session_id,
                    full: true,
                },
                wanted,
            ));
        }
        let session = self
            .sessions
            .get_mut(&asked.session_id)
            .ok_or(SessionError::NotFound)?;
        if session.epoch != asked.session_epoch {
            return Err(SessionError::WrongEpoch);
        }
        if session.by_id != asked.by_id {
            return Err(SessionError::NamesAndIdsMixed);
        }
        session.epoch = if session.epoch == i32::MAX {
            1
        } else {
            session.epoch + 1
        };
        session.used = now;
        let before = session.entries.len();
        for (topic, partition) in forgotten {
            session.forget(topic, *partition);
        }
        // What is over the limit is not remembered; such a client starts over when it misses it.
        let room = MAX_CACHED_PARTITIONS.saturating_sub(self.partitions);
        let limit = before + room;
        for wanted in wanted {
            if session.entries.len() < limit || session.knows(&wanted) {
                session.put(wanted);
            }
        }
        let after = session.entries.len();
        let wanted = session.entries.values().map(|e| e.wanted.clone()).collect();
        self.partitions = self.partitions - before + after;
        let session_id = asked.session_id;
        if after == 0 {
            self.remove(session_id);
            return Ok((
                Context {
                    session_id: NO_SESSION,
                    full: true,
                },
                wanted,
            ));
        }
        Ok((
            Context {
                session_id,
                full: false,
            },
            wanted,
        ))
    }

    /// Whether the answer must mention a partition, given what the session was told before. Call it once per
    /// partition of the answer, when the answer is certain to be sent.
    pub fn tell(&mut self, context: Context, wanted: &Wanted, told: Told) -> bool {
        let Some(session) = self.sessions.get_mut(&context.session_id) else {
            return true;
        };
        let key = (wanted.topic.clone(), wanted.partition);
        let Some(place) = session.places.get(&key).copied() else {
            return true;
        };
        let entry = session
            .entries
            .get_mut(&place)
            .expect("places name entries");
        let changed = entry.told_high_watermark != told.high_watermark
            || entry.told_log_start != told.log_start;
        entry.told_high_watermark = told.high_watermark;
        entry.told_log_start = told.log_start;
        if told.must_tell {
            // Told again until it is over, and then that it is over.
            entry.told_high_watermark = -1;
        }
        if told.has_records {
            session.move_last(key, place);
        }
        context.full || told.has_records || told.must_tell || changed
    }

    fn create(&mut self, now: Time, by_id: bool, wanted: &[Wanted], id: i32) -> bool {
        let fits = self.partitions.saturating_add(wanted.len()) <= MAX_CACHED_PARTITIONS;
        if wanted.is_empty() || !fits || id <= 0 || self.sessions.contains_key(&id) {
            return false;
        }
        if self.sessions.len() >= self.slots && !self.evict(now) {
            return false;
        }
        let mut session = Session {
            epoch: FIRST_EPOCH + 1,
            by_id,
            used: now,
            next_place: 0,
            places: BTreeMap::new(),
            entries: BTreeMap::new(),
        };
        for wanted in wanted {
            session.put(wanted.clone());
        }
        self.partitions += session.entries.len();
        self.sessions.insert(id, session);
        true
    }

    fn evict(&mut self, now: Time) -> bool {
        let oldest = self.sessions.iter().min_by_key(|(_, session)| session.used);
        let Some((id, session)) = oldest else {
            return false;
        };
        if session.used.plus_ms(EVICT_UNUSED_MS) > now {
            return false;
        }
        let id = *id;
        self.remove(id);
        true
    }

    fn remove(&mut self, id: i32) {
        if let Some(session) = self.sessions.remove(&id) {
            self.partitions -= session.entries.len();
        }
    }

    /// What must hold: every place has its entry and the count is right.
    pub fn check(&self) {
        let counted: usize = self.sessions.values().map(|s| s.entries.len()).sum();
        assert_eq!(counted, self.partitions);
        for session in self.sessions.values() {
            assert_eq!(session.places.len(), session.entries.len());
        }
    }
}

impl Session {
    fn knows(&self, wanted: &Wanted) -> bool {
        self.places
            .contains_key(&(wanted.topic.clone(), wanted.partition))
    }

    fn put(&mut self, wanted: Wanted) {
        let key = (wanted.topic.clone(), wanted.partition);
        match self.places.get(&key) {
            Some(place) => {
                self.entries
                    .get_mut(place)
                    .expect("places name entries")
                    .wanted = wanted;
            }
            None => {
                let place = self.next_place;
                self.next_place += 1;
                self.places.insert(key, place);
                let entry = Entry {
                    wanted,
                    told_high_watermark: -1,
                    told_log_start: -1,
                };
                self.entries.insert(place, entry);
            }
        }
    }

    fn forget(&mut self, topic: &TopicRef, partition: i32) {
        if let Some(place) = self.places.remove(&(topic.clone(), partition)) {
            self.entries.remove(&place);
        }
    }

    fn move_last(&mut self, key: (TopicRef, i32), place: u64) {
        if let Some(entry) = self.entries.remove(&place) {
            self.places.insert(key, self.next_place);
            self.entries.insert(self.next_place, entry);
            self.next_place += 1;
        }
    }
}

/// A partition named twice is fetched once, as the last one said.
fn without_repeats(wanted: Vec<Wanted>) -> Vec<Wanted> {
    let mut places: BTreeMap<(TopicRef, i32), usize> = BTreeMap::new();
    let mut kept: Vec<Wanted> = Vec::with_capacity(wanted.len());
    for one in wanted {
        match places.entry((one.topic.clone(), one.partition)) {
            std::collections::btree_map::Entry::Occupied(place) => kept[*place.get()] = one,
            std::collections::btree_map::Entry::Vacant(place) => {
                place.insert(kept.len());
                kept.push(one);
            }
        }
    }
    kept
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Time = Time(0);

    fn wanted(partition: i32, fetch_offset: i64) -> Wanted {
        Wanted {
            topic: TopicRef::Name("t".into()),
            partition,
            fetch_offset,
            max_bytes: 1024,
            leader_epoch: -1,
            last_fetched_epoch: -1,
            log_start: -1,
        }
    }

    fn asked(session_id: i32, session_epoch: i32) -> Asked {
        Asked {
            session_id,
            session_epoch,
            by_id: false,
        }
    }

    fn told(high_watermark: i64, has_records: bool) -> Told {
        Told {
            high_watermark,
            log_start: 0,
            has_records,
            must_tell: false,
        }
    }

    fn with_session() -> (FetchSessions, Context) {
        let mut sessions = FetchSessions::new(2);
        let both = vec![wanted(0, 0), wanted(1, 0)];
        let (context, _) = sessions
            .begin(NOW, asked(0, 0), both, &[], 7)
            .expect("it is new");
        (sessions, context)
    }

    #[test]
    fn trap_5_epochs_minus_one_zero_and_n() {
        let mut sessions = FetchSessions::new(2);
        let none = sessions.begin(NOW, asked(0, -1), vec![wanted(0, 0)], &[], 7);
        assert_eq!(none.expect("no session needed").0.session_id, 0);
        let unknown = sessions.begin(NOW, asked(9, 1), vec![], &[], 7);
        assert_eq!(unknown, Err(SessionError::NotFound));
        let (mut sessions, context) = with_session();
        assert_eq!((context.session_id, context.full), (7, true));
        let (context, read) = sessions
            .begin(NOW, asked(7, 1), vec![], &[], 8)
            .expect("it is next");
        assert_eq!((context.session_id, context.full), (7, false));
        assert_eq!(read.len(), 2);
        let again = sessions.begin(NOW, asked(7, 1), vec![], &[], 8);
        assert_eq!(again, Err(SessionError::WrongEpoch));
        sessions.check();
    }

    #[test]
    fn an_incremental_answer_tells_only_what_changed() {
        let (mut sessions, full) = with_session();
        assert!(sessions.tell(full, &wanted(0, 0), told(0, false)));
        assert!(sessions.tell(full, &wanted(1, 0), told(0, false)));
        let (context, _) = sessions
            .begin(NOW, asked(7, 1), vec![], &[], 8)
            .expect("it is next");
        assert!(!sessions.tell(context, &wanted(0, 0), told(0, false)));
        assert!(sessions.tell(context, &wanted(1, 0), told(3, false)));
        assert!(!sessions.tell(context, &wanted(1, 0), told(3, false)));
        assert!(sessions.tell(context, &wanted(0, 0), told(0, true)));
        let (_, read) = sessions
            .begin(NOW, asked(7, 2), vec![], &[], 8)
            .expect("it is next");
        let order: Vec<i32> = read.iter().map(|w| w.partition).collect();
        assert_eq!(order, [1, 0], "who had records last is read last");
        sessions.check();
    }

    #[test]
    fn partitions_are_added_moved_and_forgotten() {
        let (mut sessions, _) = with_session();
        let forgotten = [(TopicRef::Name("t".into()), 0)];
        let more = vec![wanted(1, 5), wanted(2, 0)];
        let (_, read) = sessions
            .begin(NOW, asked(7, 1), more, &forgotten, 8)
            .expect("it is next");
        let now: Vec<(i32, i64)> = read.iter().map(|w| (w.partition, w.fetch_offset)).collect();
        assert_eq!(now, [(1, 5), (2, 0)]);
        let rest = [1, 2].map(|p| (TopicRef::Name("t".into()), p));
        let (context, read) = sessions
            .begin(NOW, asked(7, 2), vec![], &rest, 8)
            .expect("it is next");
        assert_eq!((context.session_id, read.len()), (0, 0));
        sessions.check();
    }

    #[test]
    fn names_and_ids_do_not_mix_in_a_session() {
        let (mut sessions, _) = with_session();
        let by_id = Asked {
            by_id: true,
            ..asked(7, 1)
        };
        let mixed = sessions.begin(NOW, by_id, vec![], &[], 8);
        assert_eq!(mixed, Err(SessionError::NamesAndIdsMixed));
    }

    #[test]
    fn a_full_cache_gives_no_session_until_one_is_old() {
        let (mut sessions, _) = with_session();
        let begin = |sessions: &mut FetchSessions, now, id| {
            let one = vec![wanted(0, 0)];
            let begun = sessions.begin(now, asked(0, 0), one, &[], id);
            begun.expect("always possible").0.session_id
        };
        assert_eq!(begin(&mut sessions, NOW, 8), 8);
        assert_eq!(begin(&mut sessions, NOW, 9), 0);
        assert_eq!(begin(&mut sessions, Time::from_ms(EVICT_UNUSED_MS), 9), 9);
        sessions.check();
    }

    #[test]
    fn a_partition_named_twice_is_fetched_once_as_the_last_said() {
        let mut sessions = FetchSessions::new(2);
        let twice = vec![wanted(0, 1), wanted(1, 0), wanted(0, 2)];
        let (_, read) = sessions
            .begin(NOW, asked(0, -1), twice, &[], 7)
            .expect("fine");
        assert_eq!(read, [wanted(0, 2), wanted(1, 0)]);
    }
}
