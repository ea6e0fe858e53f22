//! A search through a topic's records, by klar's own consumer over the wire.
//!
//! Guarantees an honest count (what was looked at, of what there was), bounded rows, and that it can be
//! paused, continued and dropped at any record. It looks at one fetched piece per step, so that the
//! cluster's loop stays quick.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use super::row::{Filter, row_of};
use super::scan::Scan;
use crate::client::{
    CallError, Consumer, ConsumerConfig, ConsumerEvent, Fetched, LinksConfig, Machine as _,
    OffsetQuery, Start,
};
use crate::ids::{Offset, PartitionIndex, Time};
use crate::inspect::{
    Browse, BrowseFrom, BrowseQuery, BrowseRow, BrowseState, Failure, MAX_BROWSE_ROWS,
};

/// What a batch may expand to when it is opened, bytes.
const BATCH_BYTES: usize = 64 * 1024 * 1024;
/// A topic that is not there is waited for this long, milliseconds.
const TOPIC_PATIENCE_MS: i64 = 3_000;

/// A running or finished browse.
pub struct Browser {
    pub consumer: Consumer,
    query: BrowseQuery,
    filter: Filter,
    since: Time,
    phase: Phase,
    /// Offsets still asked for: whose they are and which end.
    asked: BTreeMap<OffsetQuery, (PartitionIndex, End)>,
    ends: BTreeMap<PartitionIndex, Ends>,
    scans: BTreeMap<PartitionIndex, Scan>,
    rows: VecDeque<Arc<BrowseRow>>,
    /// Matches beyond the limit, not shown yet, in order.
    held: VecDeque<Arc<BrowseRow>>,
    limit: usize,
    scanned: u64,
    bytes_scanned: u64,
    /// More events may wait in the consumer.
    again: Option<Time>,
}

#[derive(Debug, Clone, PartialEq)]
enum Phase {
    FindPartitions,
    FindEnds,
    Reading,
    Paused,
    LimitReached,
    Complete,
    Failed(Failure),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    Start,
    Finish,
}

#[derive(Debug, Clone, Copy, Default)]
struct Ends {
    start: Option<Offset>,
    finish: Option<Offset>,
}

impl Browser {
    pub fn new(now: Time, query: BrowseQuery, links: LinksConfig) -> Browser {
        let mut consumer = Consumer::new(ConsumerConfig::new(links));
        consumer.watch_topic(now, &query.topic);
        Browser {
            consumer,
            filter: Filter::new(&query),
            limit: query.limit.clamp(1, MAX_BROWSE_ROWS),
            query,
            since: now,
            phase: Phase::FindPartitions,
            asked: BTreeMap::new(),
            ends: BTreeMap::new(),
            scans: BTreeMap::new(),
            rows: VecDeque::new(),
            held: VecDeque::new(),
            scanned: 0,
            bytes_scanned: 0,
            again: None,
        }
    }

    /// Goes on after a pause or at the limit.
    pub fn more(&mut self, now: Time) {
        match self.phase {
            Phase::LimitReached => {
                let step = self.query.limit.clamp(1, MAX_BROWSE_ROWS);
                if self.limit + step > MAX_BROWSE_ROWS {
                    self.rows.clear();
                    self.limit = 0;
                }
                self.limit += step;
            }
            Phase::Paused => {}
            _ => return,
        }
        self.phase = Phase::Reading;
        self.show_held();
        if self.phase == Phase::Reading {
            self.assign(now);
        }
    }

    /// Stops reading until [`Browser::more`].
    pub fn pause(&mut self) {
        if self.phase == Phase::Reading {
            self.halt(Phase::Paused);
        }
    }

    /// Takes what the consumer has; true when a picture would differ. Call around each pump of the machine.
    pub fn step(&mut self, now: Time) -> bool {
        self.again = None;
        match self.phase {
            Phase::FindPartitions => self.find_partitions(now),
            Phase::FindEnds | Phase::Reading => self.take_event(now),
            _ => false,
        }
    }

    pub fn next_wakeup(&self) -> Option<Time> {
        let patience =
            (self.phase == Phase::FindPartitions).then(|| self.since.plus_ms(TOPIC_PATIENCE_MS));
        let machine = self.consumer.next_wakeup();
        [patience, machine, self.again].into_iter().flatten().min()
    }

    pub fn picture(&self) -> Arc<Browse> {
        let of: i64 = self.scans.values().map(Scan::of).sum();
        Arc::new(Browse {
            query: self.query.clone(),
            rows: self.rows.iter().cloned().collect(),
            scanned: self.scanned,
            of: u64::try_from(of).unwrap_or(0).max(self.scanned),
            bytes_scanned: self.bytes_scanned,
            state: match &self.phase {
                Phase::FindPartitions | Phase::FindEnds | Phase::Reading => BrowseState::Running,
                Phase::Paused => BrowseState::Paused,
                Phase::LimitReached => BrowseState::LimitReached,
                Phase::Complete => BrowseState::Complete,
                Phase::Failed(failure) => BrowseState::Failed(failure.clone()),
            },
        })
    }

    fn find_partitions(&mut self, now: Time) -> bool {
        let Some(topic) = self.consumer.cluster().topics.get(&self.query.topic) else {
            return self.lose_patience(now, None);
        };
        if topic.error != 0 || topic.partitions.is_empty() {
            let error = CallError::broker(topic.error, None);
            return self.lose_patience(now, Some(error));
        }
        let count = i32::try_from(topic.partitions.len()).unwrap_or(i32::MAX);
        let partitions: Vec<PartitionIndex> = match self.query.partition {
            Some(one) => vec![one],
            None => (0..count).map(PartitionIndex).collect(),
        };
        self.phase = Phase::FindEnds;
        for partition in partitions {
            self.ask_ends(now, partition);
        }
        true
    }

    fn lose_patience(&mut self, now: Time, error: Option<CallError>) -> bool {
        if now < self.since.plus_ms(TOPIC_PATIENCE_MS) {
            return false;
        }
        let error = error.unwrap_or_else(|| CallError::TimedOut {
            waited_ms: TOPIC_PATIENCE_MS,
            last: "the broker did not describe the topic".into(),
        });
        self.fail(error.to_failure());
        true
    }

    fn ask_ends(&mut self, now: Time, partition: PartitionIndex) {
        let start = match self.query.from {
            BrowseFrom::Newest | BrowseFrom::Earliest | BrowseFrom::Offset(_) => Start::Earliest,
            BrowseFrom::TimeMs(ms) => Start::TimeMs(ms),
            BrowseFrom::LiveTail => Start::Latest,
        };
        self.ends.insert(partition, Ends::default());
        for (at, end) in [(start, End::Start), (Start::Latest, End::Finish)] {
            let query = self
                .consumer
                .ask_offset(now, &self.query.topic, partition, at);
            self.asked.insert(query, (partition, end));
        }
    }

    /// Takes one piece of records, and everything smaller before it.
    fn take_event(&mut self, now: Time) -> bool {
        let mut changed = false;
        while let Some(event) = self.consumer.poll_event() {
            changed = true;
            match event {
                ConsumerEvent::Offset { query, answer, .. } => self.on_offset(now, query, answer),
                ConsumerEvent::Records(fetched) => {
                    self.on_records(now, &fetched);
                    self.again = Some(now);
                    return true;
                }
                ConsumerEvent::Moved { partition, to, .. } => {
                    if let Some(scan) = self.scans.get_mut(&partition) {
                        scan.advance(to);
                    }
                    self.on_progress(now, partition);
                }
                ConsumerEvent::Failed { error, .. } => self.fail(error.to_failure()),
            }
        }
        changed
    }

    fn on_offset(&mut self, now: Time, query: OffsetQuery, answer: Result<Offset, CallError>) {
        let Some((partition, end)) = self.asked.remove(&query) else {
            return;
        };
        let offset = match answer {
            Ok(offset) => offset,
            Err(error) => return self.fail(error.to_failure()),
        };
        let ends = self.ends.entry(partition).or_default();
        match end {
            End::Start => ends.start = Some(offset),
            End::Finish => ends.finish = Some(offset),
        }
        if self.asked.is_empty() && self.phase == Phase::FindEnds {
            self.begin(now);
        }
    }

    fn begin(&mut self, now: Time) {
        for (partition, ends) in &self.ends {
            let (Some(start), Some(finish)) = (ends.start, ends.finish) else {
                continue;
            };
            let scan = match self.query.from {
                BrowseFrom::Newest => Scan::backward(start, finish),
                BrowseFrom::Offset(offset) => Scan::forward(offset.max(start), finish),
                BrowseFrom::LiveTail => Scan::tail(start),
                BrowseFrom::Earliest | BrowseFrom::TimeMs(_) => Scan::forward(start, finish),
            };
            self.scans.insert(*partition, scan);
        }
        self.phase = Phase::Reading;
        self.next_windows();
        self.assign(now);
        self.complete_if_done();
    }

    /// Reads every partition from where its scan stands.
    fn assign(&mut self, now: Time) {
        for (partition, scan) in &self.scans {
            if !scan.is_at_end() {
                let start = Start::Offset(scan.next);
                self.consumer
                    .assign(now, &self.query.topic, *partition, start);
            }
        }
    }

    fn on_records(&mut self, now: Time, fetched: &Fetched) {
        let partition = fetched.partition;
        let Some(scan) = self.scans.get_mut(&partition) else {
            return;
        };
        self.bytes_scanned += fetched.batches.len() as u64;
        scan.log_ends_at(fetched.high_watermark);
        let (from, until) = (scan.next, scan.until);
        let sorted = self.query.from == BrowseFrom::Newest;
        let tail = self.query.from == BrowseFrom::LiveTail;
        let room = self.limit.saturating_sub(self.rows.len());
        let (mut found, mut scanned, mut stopped) = (Vec::new(), 0, None);
        let mut oldest_ms = i64::MAX;
        let visited = fetched.visit(BATCH_BYTES, |record| {
            if record.offset < from || record.offset >= until || stopped.is_some() {
                return;
            }
            // A forward search stops at its last row and goes on right behind it.
            if !sorted && !tail && found.len() == room {
                stopped = Some(record.offset);
                return;
            }
            scanned += 1;
            oldest_ms = oldest_ms.min(record.timestamp_ms);
            if self.filter.matches(record) {
                found.push(row_of(partition, record));
            }
        });
        self.scanned += scanned;
        scan.saw(oldest_ms);
        scan.advance(stopped.unwrap_or(fetched.next));
        self.keep(found);
        if let Err(error) = visited {
            return self.fail(unreadable(partition, fetched.from, &error.to_string()));
        }
        if stopped.is_some() {
            return self.halt(Phase::LimitReached);
        }
        self.on_progress(now, partition);
    }

    /// A partition was read further: at its end, or at the end of all windows, something new begins.
    fn on_progress(&mut self, now: Time, partition: PartitionIndex) {
        let Some(scan) = self.scans.get(&partition) else {
            return;
        };
        if !scan.is_at_end() {
            return;
        }
        self.consumer.unassign(&self.query.topic, partition);
        if self.scans.values().all(Scan::is_at_end) {
            self.show_held();
            if self.phase == Phase::Reading && self.next_windows() {
                self.assign(now);
            }
        }
        self.complete_if_done();
    }

    /// Begins the next window of the partitions whose older records may come next, all of them at first.
    /// Those that hold back more than a screen of older rows wait, so that what is held stays small.
    fn next_windows(&mut self) -> bool {
        let bound = self.newest_unread_ms();
        let mut begun = false;
        for (partition, scan) in &mut self.scans {
            let of_it = |row: &&Arc<BrowseRow>| row.partition == *partition;
            let enough = self.held.iter().filter(of_it).count() >= self.query.limit;
            if !enough || scan.oldest_ms() >= bound {
                begun |= scan.next_window();
            }
        }
        begun
    }

    /// The latest timestamp an unread record may have, if times only grow within a partition.
    fn newest_unread_ms(&self) -> i64 {
        let unread = self.scans.values().filter(|scan| !scan.is_complete());
        unread.map(Scan::oldest_ms).max().unwrap_or(i64::MIN)
    }

    fn complete_if_done(&mut self) {
        if self.phase == Phase::Reading && self.scans.values().all(Scan::is_complete) {
            self.show_held();
            if self.phase == Phase::Reading {
                self.halt(Phase::Complete);
            }
        }
    }

    fn keep(&mut self, found: Vec<Arc<BrowseRow>>) {
        match self.query.from {
            // Shown when no partition can have newer ones any more.
            BrowseFrom::Newest => self.held.extend(found),
            BrowseFrom::LiveTail => {
                for row in found {
                    self.rows.push_front(row);
                }
                self.rows.truncate(MAX_BROWSE_ROWS);
            }
            _ => self.rows.extend(found),
        }
    }

    /// Shows held rows, newest first, as far as the limit allows and no partition may have newer ones.
    fn show_held(&mut self) {
        let bound = self.newest_unread_ms();
        let newest_first = |row: &Arc<BrowseRow>| {
            let (time, offset) = (row.timestamp_ms, row.offset);
            (std::cmp::Reverse((time, offset)), row.partition)
        };
        self.held.make_contiguous().sort_by_key(newest_first);
        while let Some(row) = self.held.pop_front_if(|row| row.timestamp_ms >= bound) {
            if self.rows.len() == self.limit {
                self.held.push_front(row);
                return self.halt(Phase::LimitReached);
            }
            self.rows.push_back(row);
        }
    }

    fn fail(&mut self, failure: Failure) {
        self.halt(Phase::Failed(failure));
        self.consumer.unwatch_topic(&self.query.topic);
    }

    /// Fetches nothing more in this phase.
    fn halt(&mut self, phase: Phase) {
        self.phase = phase;
        for partition in self.scans.keys() {
            self.consumer.unassign(&self.query.topic, *partition);
        }
    }
}

fn unreadable(partition: PartitionIndex, from: Offset, why: &str) -> Failure {
    Failure {
        name: "CORRUPT_MESSAGE (2)".into(),
        what: format!("what partition {partition} sent from offset {from} on cannot be read: {why}"),
        what_to_do: "Look at the segment in the Segments tab; records behind it can be read from a later offset."
            .into(),
    }
}
