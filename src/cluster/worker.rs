//! One of klar's own consumers at work: takes records, processes one after another at its rate, says which are done.
//!
//! What one poll brought is done together, once its last record is processed, as in a loop around Kafka's own
//! consumer. So a crash falls between taking, processing and committing, and shows what each order of them costs.

use std::collections::VecDeque;
use std::sync::Arc;

use super::intake::{Intake, Note};
use crate::client::{Fetched, LinksConfig};
use crate::ids::{Offset, Time};
use crate::inspect::{
    CONSUMED_BYTES, CONSUMED_SHOWN, ConsumedRecord, ConsumerPlan, ConsumerReads, ConsumerSnapshot,
    ConsumerState, Failure, MAX_CONSUMER_RATE, MAX_POLL_RECORDS, Place, RECORDS_SHOWN,
};
use crate::wire::records::murmur2;

/// What a batch may expand to when it is opened, bytes.
const BATCH_BYTES: usize = 64 * 1024 * 1024;
/// Records are processed in steps at least this far apart, milliseconds.
const STEP_MS: i64 = 5;
/// Records processed in one step: the cluster's loop has other things to do.
const STEP_RECORDS: u64 = 4_000;
/// Polls in one step: each opens its batch anew, however few records of it are taken.
const STEP_POLLS: u32 = 50;
/// How far one may fall behind its rate, milliseconds of records.
const DEBT_MS: i64 = 500;
/// The lowest rate above 0, records per second.
const MIN_RATE: f64 = 0.1;

/// A consumer at work.
pub struct Worker {
    pub intake: Intake,
    number: u64,
    client_id: String,
    plan: ConsumerPlan,
    state: ConsumerState,
    since: Time,
    /// What it has become once it has left.
    becomes: ConsumerState,
    hand: VecDeque<Taken>,
    /// The partitions of the poll in hand, and where each of its pieces ends.
    polled: Vec<(Place, Offset)>,
    pace: Pace,
    /// More can be done at once.
    again: bool,
    records: u64,
    bytes: u64,
    newest: VecDeque<ConsumedRecord>,
    last_error: Option<Failure>,
    /// Where it stood in its group when that was looked at last.
    stood: Option<(&'static str, i32)>,
}

/// A record that waits to be processed.
struct Taken {
    record: ConsumedRecord,
    bytes: u64,
}

/// When records are done.
struct Pace {
    rate: f64,
    /// The record numbered `base` was begun then.
    began: Time,
    base: u64,
    /// When it is worth looking again.
    next_step: Time,
}

impl Worker {
    /// A consumer that begins now.
    ///
    /// # Errors
    /// A rate or a number of records out of range, settings that contradict each other.
    pub fn new(
        now: Time,
        number: u64,
        plan: ConsumerPlan,
        links: LinksConfig,
    ) -> Result<Worker, Failure> {
        check(&plan)?;
        let client_id = links.client_id.clone();
        Ok(Worker {
            intake: Intake::new(now, &plan.reads, links)?,
            number,
            client_id,
            pace: Pace {
                rate: plan.rate,
                began: now,
                base: 0,
                next_step: now,
            },
            plan,
            state: ConsumerState::Running,
            since: now,
            becomes: ConsumerState::Stopped,
            hand: VecDeque::new(),
            polled: Vec::new(),
            again: false,
            records: 0,
            bytes: 0,
            newest: VecDeque::new(),
            last_error: None,
            stood: None,
        })
    }

    pub fn state(&self) -> ConsumerState {
        self.state
    }

    /// True when nothing is left to do.
    pub fn is_over(&self) -> bool {
        !self.state.is_alive()
    }

    /// Takes no more records; those in hand are put back.
    pub fn pause(&mut self, now: Time) {
        self.put_back(now);
        self.intake.set_paused(now, true);
        self.turn(now, ConsumerState::Paused);
    }

    pub fn resume(&mut self, now: Time) {
        self.intake.set_paused(now, false);
        self.turn(now, ConsumerState::Running);
    }

    /// Leaves in order; those in hand are put back.
    pub fn stop(&mut self, now: Time) {
        self.put_back(now);
        self.intake.close(now);
        self.turn(now, ConsumerState::Stopping);
    }

    /// It is not there any more: what its picture shows from now on.
    pub fn crashed(&mut self, now: Time) {
        self.turn(now, ConsumerState::Crashed);
    }

    /// Takes what is there and processes what is due; true when a picture would differ.
    pub fn step(&mut self, now: Time) -> bool {
        self.again = false;
        let mut changed = self.take_notes(now);
        if self.state == ConsumerState::Running {
            changed |= self.work(now);
        }
        let stands = self.intake.standing();
        changed | (std::mem::replace(&mut self.stood, stands) != stands)
    }

    pub fn next_wakeup(&self) -> Option<Time> {
        let works = self.state == ConsumerState::Running;
        let due = if self.again {
            Some(self.pace.next_step)
        } else if works && !self.hand.is_empty() {
            Some(self.pace.due(self.records).max(self.pace.next_step))
        } else {
            None
        };
        due.into_iter().chain(self.intake.next_wakeup()).min()
    }

    pub fn picture(&self) -> ConsumerSnapshot {
        let mut partitions = self.intake.partitions();
        let partition_count = u32::try_from(partitions.len()).unwrap_or(u32::MAX);
        partitions.truncate(CONSUMED_SHOWN);
        for shown in &mut partitions {
            if let Some(first) = self.first_in_hand(&(shown.topic.clone(), shown.partition)) {
                shown.position = Some(first);
            }
        }
        ConsumerSnapshot {
            id: self.number,
            client_id: self.client_id.clone(),
            plan: self.plan.clone(),
            state: self.state,
            since: self.since,
            member: self.intake.membership(),
            partitions,
            partition_count,
            in_hand: self.hand.len() as u64,
            records: self.records,
            bytes: self.bytes,
            newest: Arc::new(self.newest.iter().rev().cloned().collect()),
            last_error: self.last_error.clone(),
        }
    }

    fn turn(&mut self, now: Time, state: ConsumerState) {
        self.state = state;
        self.since = now;
    }

    fn first_in_hand(&self, (topic, partition): &Place) -> Option<Offset> {
        let same =
            |taken: &&Taken| taken.record.partition == *partition && taken.record.topic == *topic;
        let first = self.hand.iter().find(same);
        first.map(|taken| taken.record.offset)
    }

    /// Goes on after the last record it has processed.
    fn put_back(&mut self, now: Time) {
        for (place, end) in std::mem::take(&mut self.polled) {
            match self.first_in_hand(&place) {
                Some(first) => self.intake.put_back(now, &place, first),
                None => self.intake.done(&place, end),
            }
        }
        self.hand.clear();
    }

    fn take_notes(&mut self, now: Time) -> bool {
        let mut any = false;
        while let Some(note) = self.intake.next_note(now) {
            any = true;
            match note {
                // Partitions given to it while it is paused are as paused as those it had.
                Note::Changed if self.state == ConsumerState::Paused => {
                    self.intake.set_paused(now, true);
                }
                Note::Changed => {}
                Note::Trouble(failure) => self.last_error = Some(failure),
                Note::Closed => {
                    self.turn(now, self.becomes);
                    return true;
                }
                Note::Failed(failure) => {
                    self.last_error = Some(failure);
                    self.hand.clear();
                    self.turn(now, ConsumerState::Failed);
                    return true;
                }
            }
        }
        any
    }

    /// Processes and takes by turns until nothing is due or there.
    fn work(&mut self, now: Time) -> bool {
        let (before, mut left) = (self.records, STEP_RECORDS);
        let mut polls = 0;
        loop {
            let due = self.pace.due_count(now).saturating_sub(self.records);
            let most = due.min(left).min(self.hand.len() as u64);
            for _ in 0..most {
                self.process_one();
            }
            left -= most;
            if !self.hand.is_empty() {
                break;
            }
            for (place, end) in std::mem::take(&mut self.polled) {
                self.intake.done(&place, end);
            }
            self.again = left == 0 || polls == STEP_POLLS;
            if self.again || !self.take(now) {
                break;
            }
            polls += 1;
        }
        self.pace.next_step = match self.plan.rate > 0.0 {
            true => now.plus_ms(STEP_MS),
            false => now,
        };
        self.pace.forgive_debt(now, self.records);
        polls > 0 || self.records > before
    }

    fn process_one(&mut self) {
        let Some(taken) = self.hand.pop_front() else {
            return;
        };
        self.records += 1;
        self.bytes += taken.bytes;
        if self.newest.len() == RECORDS_SHOWN {
            self.newest.pop_front();
        }
        self.newest.push_back(taken.record);
    }

    /// Takes the next records; false if there are none.
    fn take(&mut self, now: Time) -> bool {
        let fetched = self.intake.take(now);
        if fetched.is_empty() {
            // Whoever waits for records gains no time for those that come.
            self.pace.begin(now, self.records);
            return false;
        }
        for piece in fetched {
            self.polled
                .push(((piece.topic.clone(), piece.partition), piece.next));
            let hand = &mut self.hand;
            let visited = piece.visit(BATCH_BYTES, |record| hand.push_back(taken(&piece, record)));
            if let Err(error) = visited {
                self.damaged(now, &piece, &error.to_string());
                return true;
            }
        }
        true
    }

    /// What cannot be read ends a consumer, as it ends a loop around Kafka's own.
    fn damaged(&mut self, now: Time, piece: &Fetched, why: &str) {
        self.last_error = Some(Failure {
            name: "UNREADABLE_RECORDS".into(),
            what: format!(
                "{}-{} from offset {} on: {why}",
                piece.topic, piece.partition, piece.from
            ),
            what_to_do: "Start it behind them, or move its group's offset there.".into(),
        });
        self.polled.clear();
        self.hand.clear();
        self.intake.close(now);
        self.becomes = ConsumerState::Failed;
        self.turn(now, ConsumerState::Stopping);
    }
}

fn taken(piece: &Fetched, record: &crate::wire::records::Record<'_>) -> Taken {
    let begin = |bytes: &[u8]| bytes[..bytes.len().min(CONSUMED_BYTES)].to_vec();
    let length = |bytes: Option<&[u8]>| bytes.map_or(0, <[u8]>::len) as u64;
    Taken {
        record: ConsumedRecord {
            topic: piece.topic.clone(),
            partition: piece.partition,
            offset: record.offset,
            timestamp_ms: record.timestamp_ms,
            key: record.key.map(begin),
            key_hash: record.key.map(murmur2),
            value: record.value.map(begin),
        },
        bytes: length(record.key) + length(record.value),
    }
}

fn check(plan: &ConsumerPlan) -> Result<(), Failure> {
    if plan.rate != 0.0 && !(MIN_RATE..=MAX_CONSUMER_RATE).contains(&plan.rate) {
        return Err(Failure {
            name: "RATE_OUT_OF_RANGE".into(),
            what: format!("{} records per second", plan.rate),
            what_to_do: format!(
                "Choose between {MIN_RATE} and {MAX_CONSUMER_RATE}, or 0 for as fast as possible."
            ),
        });
    }
    match &plan.reads {
        ConsumerReads::Group(member)
            if !(1..=MAX_POLL_RECORDS).contains(&member.max_poll_records) =>
        {
            Err(Failure {
                name: "POLL_OUT_OF_RANGE".into(),
                what: format!("max.poll.records of {}", member.max_poll_records),
                what_to_do: format!("Choose between 1 and {MAX_POLL_RECORDS}."),
            })
        }
        _ => Ok(()),
    }
}

impl Pace {
    fn begin(&mut self, now: Time, done: u64) {
        self.began = now;
        self.base = done;
    }

    /// When the record that comes after so many is done: each takes its time.
    fn due(&self, done: u64) -> Time {
        if self.rate == 0.0 {
            return self.began;
        }
        let seconds = (done.saturating_sub(self.base) + 1) as f64 / self.rate;
        // Rounded up: a wakeup just before the moment would find nothing due.
        Time(self.began.0 + (seconds * 1e6).ceil() as i64)
    }

    /// How many records are done by now.
    fn due_count(&self, now: Time) -> u64 {
        if self.rate == 0.0 {
            return u64::MAX;
        }
        let seconds = now.since_us(self.began) as f64 / 1e6;
        self.base + (seconds * self.rate) as u64
    }

    fn forgive_debt(&mut self, now: Time, done: u64) {
        let allowed = self.rate * DEBT_MS as f64 / 1e3;
        let debt = self.due_count(now).saturating_sub(done);
        if self.rate > 0.0 && debt as f64 > allowed.max(1.0) {
            self.begin(now, done);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pace(rate: f64) -> Pace {
        Pace {
            rate,
            began: Time(0),
            base: 0,
            next_step: Time(0),
        }
    }

    #[test]
    fn a_record_is_done_when_its_time_is_over_and_not_before() {
        let pace = pace(4.0);
        assert_eq!(pace.due_count(Time::from_ms(249)), 0);
        assert_eq!(pace.due(0), Time::from_ms(250));
        assert_eq!(pace.due_count(Time::from_ms(250)), 1);
        assert_eq!(pace.due(1), Time::from_ms(500));
        // At any rate the wakeup finds its record due.
        for rate in [0.1, 0.3, 7.0, 333.3, MAX_CONSUMER_RATE] {
            let pace = self::pace(rate);
            for done in [0, 1, 2, 99] {
                assert!(pace.due_count(pace.due(done)) > done, "{rate}: {done}");
            }
        }
    }

    #[test]
    fn a_stall_is_not_made_up_for_all_at_once() {
        let mut pace = pace(1_000.0);
        let late = Time::from_ms(60_000);
        pace.forgive_debt(late, 0);
        assert_eq!(pace.due_count(late), 0);
        // A little is.
        pace.forgive_debt(Time::from_ms(60_300), 0);
        assert_eq!(pace.due_count(Time::from_ms(60_300)), 300);
    }

    #[test]
    fn without_a_rate_everything_is_due_at_once() {
        let mut pace = pace(0.0);
        assert_eq!(pace.due_count(Time(0)), u64::MAX);
        pace.forgive_debt(Time::from_ms(1), 3);
        assert_eq!(pace.due(3), Time(0));
    }
}
