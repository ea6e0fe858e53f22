//! The partitions a member owns: reading them, giving their records out, giving them up.
//!
//! At most one piece of each partition's records is kept here, and none is fetched meanwhile, so a slow caller costs
//! bounded memory.

use std::collections::BTreeSet;

use super::events::GroupEvent;
use super::{CommitPolicy, GroupConsumer, MAX_OWNED, MemberState};
use crate::client::consumer::{Fetched, Place, Start};
use crate::client::links::Ticket;
use crate::client::{CallError, ConsumerEvent};
use crate::ids::{Offset, Time};
use crate::wire::ErrorCode;

/// A partition that could not be read is tried again after this pause, milliseconds.
const READ_AGAIN_MS: i64 = 1_000;

/// One partition of the member.
pub(super) struct Owned {
    pub phase: Phase,
    /// Tells it from what it was in an earlier assignment.
    pub stamp: u64,
    pub paused: bool,
    /// Fetched and not given out.
    pub buffered: Option<Fetched>,
    /// The next offset to be given out; `None` until reading starts.
    pub position: Option<Offset>,
    /// Everything given out before it is processed.
    pub processed: Option<Offset>,
    /// As far as this member knows.
    pub committed: Option<Offset>,
    /// The offset whose commit was refused for good.
    pub refused: Option<Offset>,
}

#[derive(Debug, Clone, PartialEq)]
pub(super) enum Phase {
    /// Its committed offset must be asked for.
    Unknown,
    /// Its committed offset is asked for.
    Asked,
    Reading,
    /// Not read, and read again at `again` if that can help.
    Failed {
        error: CallError,
        again: Option<Time>,
    },
}

/// Partitions being given up: each once what was given out of it is processed and committed.
pub(super) struct Release {
    pub places: BTreeSet<Place>,
    pub since: Time,
}

impl Owned {
    /// Given out and not processed.
    pub fn is_processing(&self) -> bool {
        self.processed < self.position
    }
}

impl GroupConsumer {
    /// Begins to read these partitions, which the member does not have yet.
    pub(super) fn take_over(&mut self, now: Time, places: Vec<Place>) {
        if self.owned.len() + places.len() > MAX_OWNED {
            let why = format!("an assignment of more than {MAX_OWNED} partitions");
            self.fail(CallError::Malformed(why));
            return;
        }
        for place in &places {
            self.links_mut().want_topic(now, &place.0);
            let Ticket(stamp) = self.reader.ticket();
            let owned = Owned {
                phase: Phase::Unknown,
                stamp,
                paused: false,
                buffered: None,
                position: None,
                processed: None,
                committed: None,
                refused: None,
            };
            self.owned.insert(place.clone(), owned);
        }
        self.events.add(GroupEvent::Assigned { partitions: places });
    }

    /// Reads a partition from there on.
    pub(super) fn read_from(&mut self, now: Time, place: &Place, start: Start) {
        let Some(owned) = self.owned.get_mut(place) else {
            return;
        };
        owned.phase = Phase::Reading;
        owned.buffered = None;
        owned.position = match start {
            Start::Offset(offset) => Some(offset),
            _ => None,
        };
        owned.processed = owned.position;
        self.reader.assign(now, &place.0, place.1, start);
        self.hold_or_read(place);
    }

    /// Has the partition fetched only while its records are wanted.
    pub(super) fn hold_or_read(&mut self, place: &Place) {
        let releasing = self.is_releasing(place);
        if let Some(owned) = self.owned.get(place) {
            let held = owned.paused || owned.buffered.is_some() || releasing;
            self.reader.pause(&place.0, place.1, held);
        }
    }

    /// Takes in what the reader has.
    pub(super) fn take_fetched(&mut self, now: Time) {
        while let Some(event) = self.reader.poll_event() {
            self.on_reader_event(now, event);
        }
        for (place, owned) in &mut self.owned {
            // The reader has found where to start.
            if owned.phase == Phase::Reading && owned.position.is_none() {
                let progress = self.reader.progress(&place.0, place.1);
                owned.position = progress.map(|progress| progress.position);
                owned.processed = owned.position;
            }
        }
        self.read_failed_again(now);
        if self.busy_since.is_none() && self.is_busy() {
            self.busy_since = Some(now);
        }
    }

    fn on_reader_event(&mut self, now: Time, event: ConsumerEvent) {
        match event {
            ConsumerEvent::Records(fetched) => {
                let place = (fetched.topic.clone(), fetched.partition);
                if let Some(owned) = self.owned.get_mut(&place) {
                    if owned.position.is_none() {
                        owned.position = Some(fetched.from);
                        owned.processed = owned.position;
                    }
                    owned.buffered = Some(fetched);
                    self.hold_or_read(&place);
                }
            }
            ConsumerEvent::Moved {
                topic,
                partition,
                from,
                to,
            } => {
                if let Some(owned) = self.owned.get_mut(&(topic.clone(), partition)) {
                    if !owned.is_processing() {
                        owned.processed = Some(to);
                    }
                    owned.position = Some(to);
                    self.events.add(GroupEvent::Moved {
                        topic,
                        partition,
                        from,
                        to,
                    });
                }
            }
            ConsumerEvent::Failed {
                topic,
                partition,
                error,
            } => self.on_read_failure(now, (topic, partition), error),
            // Nothing is asked of the reader but to read.
            ConsumerEvent::Offset { .. } => {}
        }
    }

    fn on_read_failure(&mut self, now: Time, place: Place, error: CallError) {
        // Also of a damaged record: another replica may lead soon, or this one is fetched again.
        let helps = match &error {
            CallError::TimedOut { .. } => true,
            CallError::Broker { code, .. } => {
                ErrorCode::from_code(*code).is_some_and(ErrorCode::retriable)
            }
            _ => false,
        };
        let again = helps.then_some(now.plus_ms(READ_AGAIN_MS));
        self.fail_partition(&place, error, again);
    }

    pub(super) fn fail_partition(&mut self, place: &Place, error: CallError, again: Option<Time>) {
        let Some(owned) = self.owned.get_mut(place) else {
            return;
        };
        owned.phase = Phase::Failed {
            error: error.clone(),
            again,
        };
        self.events.add(GroupEvent::PartitionFailed {
            topic: place.0.clone(),
            partition: place.1,
            error,
        });
    }

    fn read_failed_again(&mut self, now: Time) {
        let due = |owned: &super::Owned| matches!(&owned.phase, Phase::Failed { again: Some(at), .. } if *at <= now);
        let due: Vec<Place> = self
            .owned
            .iter()
            .filter(|(_, owned)| due(owned))
            .map(|(place, _)| place.clone())
            .collect();
        for place in due {
            let Some(owned) = self.owned.get_mut(&place) else {
                continue;
            };
            match owned.position.filter(|_| owned.buffered.is_none()) {
                Some(position) => {
                    owned.phase = Phase::Reading;
                    self.reader
                        .assign(now, &place.0, place.1, Start::Offset(position));
                    self.hold_or_read(&place);
                }
                None if owned.buffered.is_none() => owned.phase = Phase::Unknown,
                // What is fetched is given out first.
                None => {}
            }
        }
    }

    /// Gives out records, each partition in turn.
    pub(super) fn take_records(&mut self) -> Vec<Fetched> {
        let mut left = self.config.max_poll_records;
        let mut taken = Vec::new();
        let (mut after, before): (Vec<Place>, Vec<Place>) = self
            .owned
            .keys()
            .cloned()
            .partition(|place| self.turn.as_ref().is_none_or(|turn| place > turn));
        after.extend(before);
        for place in after {
            if left == 0 {
                break;
            }
            if let Some((piece, records)) = self.take_piece(&place, left) {
                left -= records.min(left);
                taken.push(piece);
                self.turn = Some(place);
            }
        }
        taken
    }

    fn take_piece(&mut self, place: &Place, most: usize) -> Option<(Fetched, usize)> {
        let releasing = self.is_releasing(place);
        let owned = self.owned.get_mut(place)?;
        if owned.paused || releasing {
            return None;
        }
        let mut rest = owned.buffered.take()?;
        let (piece, records) = rest.split_off_first(most);
        owned.position = Some(piece.next);
        if rest.from < rest.next {
            owned.buffered = Some(rest);
        }
        self.hold_or_read(place);
        Some((piece, records))
    }

    /// Whether the caller has records to take or to process.
    pub(super) fn is_busy(&self) -> bool {
        let has_work = |(place, owned): (&Place, &Owned)| {
            let untaken = owned.buffered.is_some() && !owned.paused && !self.is_releasing(place);
            untaken || owned.is_processing()
        };
        self.staged.is_some() || self.owned.iter().any(has_work)
    }

    /// A caller that was busy too long is out of the group, so that others read its partitions (KIP-62).
    pub(super) fn mind_poll_interval(&mut self, now: Time) {
        if self.poll_deadline().is_none_or(|until| until > now) {
            return;
        }
        let interval_ms = self.config.max_poll_interval_ms;
        let why = format!("no poll within max.poll.interval.ms ({interval_ms} ms)");
        self.send_leave(now, &why);
        if self.member.state == MemberState::Failed {
            return;
        }
        self.lose_all();
        self.forget_membership();
        self.busy_since = None;
        self.member.state = MemberState::Away;
        self.events.add(GroupEvent::Left { why });
    }

    pub(super) fn poll_deadline(&self) -> Option<Time> {
        let since = self.busy_since.filter(|_| self.leaving.is_none())?;
        Some(since.plus_ms(self.config.max_poll_interval_ms.into()))
    }

    pub(super) fn is_releasing(&self, place: &Place) -> bool {
        self.release
            .as_ref()
            .is_some_and(|r| r.places.contains(place))
    }

    /// Begins to give up partitions; none at all is over at once.
    pub(super) fn begin_release(&mut self, now: Time, places: BTreeSet<Place>) {
        if places.is_empty() {
            return;
        }
        let release = self.release.get_or_insert_with(|| Release {
            places: BTreeSet::new(),
            since: now,
        });
        release.places.extend(places.iter().cloned());
        for place in &places {
            self.hold_or_read(place);
        }
    }

    /// Keeps after all what was to be given up.
    pub(super) fn cancel_release(&mut self) {
        for place in self.release.take().map(|r| r.places).unwrap_or_default() {
            self.hold_or_read(&place);
        }
    }

    /// Gives up what can be given up; whether nothing is left to.
    pub(super) fn is_released(&mut self, now: Time) -> bool {
        let Some(release) = &self.release else {
            return true;
        };
        let over = now
            >= release
                .since
                .plus_ms(self.config.max_poll_interval_ms.into());
        if !over && !release.places.iter().all(|place| self.is_settled(place)) {
            return false;
        }
        let places = std::mem::take(&mut self.release).map(|release| release.places);
        let partitions: Vec<Place> = places.unwrap_or_default().into_iter().collect();
        self.drop_places(&partitions);
        self.events.add(GroupEvent::Revoked { partitions });
        true
    }

    /// Whether everything given out of a partition is processed and, unless the caller does that, committed.
    fn is_settled(&self, place: &Place) -> bool {
        let Some(owned) = self.owned.get(place) else {
            return true;
        };
        let staged = self.staged.as_ref().is_some_and(|s| s.holds(place));
        let commits = self.config.commit != CommitPolicy::Never;
        let open = commits && (self.commits.in_flight || self.is_uncommitted(place, owned));
        !owned.is_processing() && !staged && !open
    }

    pub(super) fn drop_places(&mut self, places: &[Place]) {
        for place in places {
            self.unstage(place);
            self.owned.remove(place);
            self.reader.unassign(&place.0, place.1);
        }
        if !self.is_busy() {
            self.busy_since = None;
        }
    }

    /// All partitions are somebody else's, or may be.
    pub(super) fn lose_all(&mut self) {
        self.release = None;
        let partitions: Vec<Place> = self.owned.keys().cloned().collect();
        if partitions.is_empty() {
            return;
        }
        self.drop_places(&partitions);
        self.events.add(GroupEvent::Lost { partitions });
    }
}
