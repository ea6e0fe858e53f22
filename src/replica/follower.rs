//! A partition's follower in one leader epoch: what to ask its leader, and what to do with the answer.
//!
//! Verbs, and when to call them: [`Follower::new`] when metadata named a leader, once per leader epoch;
//! [`Follower::ask`] to know what to fetch; [`Follower::on_answer`] with the answer and the question it answers;
//! then carry the step out and call [`Follower::on_step_done`] or [`Follower::on_step_failed`].
//!
//! Guarantees: an answer to a question this follower would not ask now changes nothing; the log is cut only
//! where the leader's epochs prove that it parts, and a cut below the high watermark says so; the high watermark
//! is never beyond the log and falls only with it. What is worth retrying waits, twice as long each time.
//! Does not touch the log and does not know connections (`fetcher`).

use bytes::Bytes;

use super::truncation::{Cut, LogFacts, cut};
use crate::ids::{BrokerId, LeaderEpoch, Offset, Time};
use crate::plants::{Plant, planted};
use crate::wire::ErrorCode;
use crate::wire::records::{BatchError, batches};

/// Milliseconds after the first failure before the leader is asked again.
const FIRST_BACKOFF_MS: i64 = 20;
/// Milliseconds after many failures before the leader is asked again (`replica.fetch.backoff.ms` in Kafka).
const MAX_BACKOFF_MS: i64 = 1_000;

/// What a follower asks its leader.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ask {
    pub leader_epoch: LeaderEpoch,
    pub fetch_offset: Offset,
    pub last_fetched_epoch: LeaderEpoch,
    pub log_start: Offset,
    pub high_watermark: Offset,
}

/// What a leader answered about one partition, beside records.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Told {
    pub error: ErrorCode,
    pub high_watermark: Offset,
    pub log_start: Offset,
    pub diverging: Option<(LeaderEpoch, Offset)>,
}

/// What to do with the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// Nothing but [`Follower::on_step_done`]: the high watermark may have moved.
    Settle,
    /// Append as a follower (`Log::append_as_follower`); the bytes are checked.
    Append(Bytes),
    /// Shorten the log (`Log::truncate_to`).
    Truncate(Cut),
    /// Empty the log and go on at this offset (`Log::restart_at`).
    Restart(Cut),
    /// As [`Step::Restart`] in front of the empty log's end, then append: the leader's log begins within a batch.
    Begin(Offset, Bytes),
    /// Nothing at all: the answer is of no use. [`Follower::trouble`] says whether the leader is to be left alone
    /// for a while.
    Ignore,
}

/// Why the leader is not asked for a while.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FollowerTrouble {
    /// The leader refused.
    Refused(ErrorCode),
    /// The leader sent records that cannot be appended.
    Unsound(String),
    /// The log could not be changed.
    Storage(String),
}

/// Records of a leader that must not be appended.
#[derive(Debug, thiserror::Error)]
pub enum Unsound {
    #[error(transparent)]
    Malformed(#[from] BatchError),
    #[error("the batch at offset {0} fails its checksum")]
    Checksum(Offset),
    #[error("the log goes on at {expected}, the batch begins at {found}")]
    NotNext { expected: Offset, found: Offset },
    #[error("the batch at offset {at} has leader epoch {found}, outside {least} to {most}")]
    Epoch {
        at: Offset,
        found: LeaderEpoch,
        least: LeaderEpoch,
        most: LeaderEpoch,
    },
}

/// One partition this broker follows, in one leader epoch.
#[derive(Debug, Clone)]
pub struct Follower {
    leader: BrokerId,
    leader_epoch: LeaderEpoch,
    high_watermark: Offset,
    /// As the leader told last; −1 before its first answer.
    leader_high_watermark: Offset,
    leader_log_start: Offset,
    /// When the leader last answered without an error.
    heard: Option<Time>,
    failures: u32,
    retry_at: Option<Time>,
    trouble: Option<FollowerTrouble>,
}

impl Follower {
    /// Follows `leader` with a log of which everything below `high_watermark` is known to be committed.
    pub fn new(
        leader: BrokerId,
        leader_epoch: LeaderEpoch,
        log: LogFacts<'_>,
        high_watermark: Offset,
    ) -> Follower {
        Follower {
            leader,
            leader_epoch,
            high_watermark: high_watermark.min(log.end),
            leader_high_watermark: Offset::NONE,
            leader_log_start: Offset::NONE,
            heard: None,
            failures: 0,
            retry_at: None,
            trouble: None,
        }
    }

    /// What to fetch; `None` while it waits after a failure, until [`Follower::next_wakeup`].
    pub fn ask(&self, now: Time, log: LogFacts<'_>) -> Option<Ask> {
        if self.retry_at.is_some_and(|at| now < at) {
            return None;
        }
        Some(Ask {
            leader_epoch: self.leader_epoch,
            fetch_offset: log.end,
            last_fetched_epoch: log.epochs.latest(),
            log_start: log.start,
            high_watermark: self.high_watermark,
        })
    }

    /// What an answer to `asked` calls for.
    pub fn on_answer(
        &mut self,
        now: Time,
        asked: &Ask,
        told: &Told,
        records: Bytes,
        log: LogFacts<'_>,
    ) -> Step {
        let current = asked.leader_epoch == self.leader_epoch
            && asked.fetch_offset == log.end
            && asked.last_fetched_epoch == log.epochs.latest();
        let accepts_any = planted(Plant::TakesLateAnswers);
        let takes = current || (accepts_any && asked.fetch_offset == log.end);
        if !takes {
            return Step::Ignore;
        }
        match told.error {
            ErrorCode::None => {}
            ErrorCode::OffsetOutOfRange => return self.out_of_range(now, told, log),
            error => return self.fail(now, FollowerTrouble::Refused(error)),
        }
        if let Some(diverging) = told.diverging {
            return self.diverge(now, diverging, log);
        }
        let begins = begins_before(&records, log);
        let end = begins.unwrap_or(log.end);
        if let Err(unsound) = check_records(&records, LogFacts { end, ..log }, self.leader_epoch)
            && !accepts_any
        {
            return self.fail(now, FollowerTrouble::Unsound(unsound.to_string()));
        }
        self.heard = Some(now);
        self.failures = 0;
        self.retry_at = None;
        self.trouble = None;
        self.leader_high_watermark = told.high_watermark;
        self.leader_log_start = told.log_start;
        match begins {
            Some(base) => Step::Begin(base, records),
            None if records.is_empty() => Step::Settle,
            None => Step::Append(records),
        }
    }

    /// The step was carried out and the log is now this. Returns where the log must begin, if the leader's begins
    /// later by now (`Log::set_log_start`).
    pub fn on_step_done(&mut self, log: LogFacts<'_>) -> Option<Offset> {
        // What lies below a log's start was committed before it was deleted.
        let known = self.high_watermark.max(self.leader_high_watermark);
        self.high_watermark = known.max(log.start).min(log.end);
        let start = self.leader_log_start.min(self.high_watermark);
        (start > log.start).then_some(start)
    }

    /// The step could not be carried out, or not wholly.
    pub fn on_step_failed(&mut self, now: Time, why: String, log: LogFacts<'_>) {
        self.high_watermark = self.high_watermark.min(log.end);
        self.fail(now, FollowerTrouble::Storage(why));
    }

    pub fn leader(&self) -> BrokerId {
        self.leader
    }

    pub fn leader_epoch(&self) -> LeaderEpoch {
        self.leader_epoch
    }

    /// Where committed records of this log end, as far as it has heard.
    pub fn high_watermark(&self) -> Offset {
        self.high_watermark
    }

    /// When the leader last answered without an error.
    pub fn heard(&self) -> Option<Time> {
        self.heard
    }

    /// Why the leader is not being asked, if it is not.
    pub fn trouble(&self) -> Option<&FollowerTrouble> {
        self.trouble.as_ref()
    }

    /// When [`Follower::ask`] has something again after a failure.
    pub fn next_wakeup(&self) -> Option<Time> {
        self.retry_at
    }

    /// What must hold with this log.
    pub fn check(&self, log: LogFacts<'_>) {
        assert!(self.high_watermark <= log.end, "{self:?}");
        assert!(self.retry_at.is_none() || self.trouble.is_some());
    }

    fn diverge(&mut self, now: Time, told: (LeaderEpoch, Offset), log: LogFacts<'_>) -> Step {
        let Some(mut cut) = cut(log, self.high_watermark, told) else {
            let (epoch, end) = told;
            let why = format!("epoch {epoch} ends at {end} there, which parts from nothing here");
            return self.fail(now, FollowerTrouble::Unsound(why));
        };
        if planted(Plant::TruncatesToHighWatermark) {
            cut.to = cut.to.min(self.high_watermark);
        }
        match cut.to < log.start {
            true => Step::Restart(cut),
            false => Step::Truncate(cut),
        }
    }

    /// The log ends where the leader's has not begun or just begins, or it is empty and begins somewhere else.
    fn out_of_range(&mut self, now: Time, told: &Told, log: LogFacts<'_>) -> Step {
        let to = told.log_start;
        let empty = log.start == log.end;
        let all_below = to > log.end || (to == log.end && !empty);
        let begins_elsewhere = empty && to != log.end;
        if to < Offset::ZERO || !(all_below || begins_elsewhere) {
            let refused = FollowerTrouble::Refused(ErrorCode::OffsetOutOfRange);
            return self.fail(now, refused);
        }
        // What lies below the leader's start is gone there as well: nothing committed is lost by it.
        let high_watermark = self.high_watermark;
        let lost = (to < high_watermark).then_some(high_watermark);
        Step::Restart(Cut {
            to,
            below_high_watermark: lost,
        })
    }

    fn fail(&mut self, now: Time, trouble: FollowerTrouble) -> Step {
        let doublings = self.failures.min(10);
        let wait_ms = (FIRST_BACKOFF_MS << doublings).min(MAX_BACKOFF_MS);
        self.failures = self.failures.saturating_add(1);
        self.retry_at = Some(now.plus_ms(wait_ms));
        self.trouble = Some(trouble);
        Step::Ignore
    }
}

/// Where the first batch begins, if an empty log ends within it: records were deleted up to its middle.
fn begins_before(records: &[u8], log: LogFacts<'_>) -> Option<Offset> {
    if log.start < log.end {
        return None;
    }
    let first = batches(records).next()?.ok()?;
    let header = first.header();
    let within = header.base_offset < log.end && log.end < header.next_offset();
    within.then_some(header.base_offset)
}

/// Checks that records go on where the log ends, are what the leader wrote (CRC-32C), and are of epochs that do
/// not fall and that this leader may have.
pub fn check_records(
    records: &[u8],
    log: LogFacts<'_>,
    leader_epoch: LeaderEpoch,
) -> Result<(), Unsound> {
    let mut next = log.end;
    let mut least = log.epochs.latest();
    for batch in batches(records) {
        let batch = batch?;
        let header = batch.header();
        let at = header.base_offset;
        if at != next {
            return Err(Unsound::NotNext {
                expected: next,
                found: at,
            });
        }
        if !batch.crc_ok() {
            return Err(Unsound::Checksum(at));
        }
        let found = header.leader_epoch;
        if found < least || found > leader_epoch {
            return Err(Unsound::Epoch {
                at,
                found,
                least,
                most: leader_epoch,
            });
        }
        next = header.next_offset();
        least = found;
    }
    Ok(())
}
