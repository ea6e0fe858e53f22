//! Decides whether a history could have happened to a log that keeps its promises.
//!
//! The anomalies are those Jepsen looks for in Kafka: lost writes, reads of what was never written, two values
//! at one offset, one value at two, polls that skip or go back, sends out of order, and what was read once and
//! vanished. Works on plain values, whoever recorded them. Transactions and groups are not judged here.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use super::history::{Ended, History, Place, Sent};
use crate::ids::Offset;

/// Something that must not happen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Anomaly {
    pub kind: AnomalyKind,
    pub what: String,
}

/// Kinds of anomaly, with the invariant each breaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum AnomalyKind {
    /// D1: acknowledged, and not there at the end.
    LostWrite,
    /// H5: read once, and not there at the end.
    Vanished,
    /// D3: two values at one offset.
    TwoAtOneOffset,
    /// P1: one value of an idempotent producer at two offsets.
    Duplicate,
    /// D3: read, and never sent or refused.
    Ghost,
    /// C1: a poll does not go on where the last one ended.
    Gap,
    /// C1: a poll passes over a record that is there.
    Skipped,
    /// D5: offsets in one poll do not increase, or lie outside of it.
    Disorder,
    /// D6: acknowledged before another one was sent, and behind it.
    Overtaken,
    /// D1: nobody could read the log to its end.
    Unread,
}

/// What the log had promised.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Promise {
    /// What was acknowledged or read in an earlier era may be gone.
    pub earlier_eras_may_go: bool,
    /// An acknowledgement with acks=1 holds like one with acks=all: there is one replica.
    pub one_replica: bool,
}

impl fmt::Display for Anomaly {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}: {}", self.kind, self.what)
    }
}

/// Every anomaly of a history, at most a few of each kind.
pub fn check(history: &History, promise: Promise) -> Vec<Anomaly> {
    let mut check = Check::new(history, promise);
    check.polls();
    for place in 0..history.places.len() {
        let place = Place(u16::try_from(place).expect("places have numbers of 16 bits"));
        check.values(place);
        check.end(place);
        check.order(place);
    }
    check.found
}

/// Records that were acknowledged in an earlier era and are not there at the end.
pub(super) fn taken(history: &History) -> u64 {
    let last = history.polls.iter().filter(|poll| poll.last);
    let there: BTreeSet<u64> = last.flat_map(|p| p.records.iter().map(|r| r.1)).collect();
    let gone = |sent: &&Sent| match sent.ended {
        Some((_, era, Ended::Acked(_))) => era < history.era && !there.contains(&sent.value),
        _ => false,
    };
    history.sent.iter().filter(gone).count() as u64
}

/// Anomalies of one kind that are told.
const TOLD: usize = 3;

struct Check<'a> {
    history: &'a History,
    promise: Promise,
    sent: BTreeMap<u64, &'a Sent>,
    /// The log as it was read at the end: where it started, and what was at which offset.
    finals: BTreeMap<Place, (Offset, BTreeMap<Offset, u64>)>,
    found: Vec<Anomaly>,
}

impl<'a> Check<'a> {
    fn new(history: &'a History, promise: Promise) -> Check<'a> {
        let sent = history.sent.iter().map(|sent| (sent.value, sent));
        let mut finals: BTreeMap<Place, (Offset, BTreeMap<Offset, u64>)> = BTreeMap::new();
        for poll in history.polls.iter().filter(|poll| poll.last) {
            let end = finals.entry(poll.place).or_default();
            end.0 = end.0.max(poll.log_start);
            end.1.extend(poll.records.iter().copied());
        }
        Check {
            history,
            promise,
            sent: sent.collect(),
            finals,
            found: Vec::new(),
        }
    }

    fn find(&mut self, kind: AnomalyKind, place: Place, what: impl fmt::Display) {
        use AnomalyKind::{Disorder, Ghost, Unread};
        if self.history.unclean.contains(&place) && !matches!(kind, Disorder | Ghost | Unread) {
            return;
        }
        let told = self.found.iter().filter(|anomaly| anomaly.kind == kind);
        if told.count() < TOLD {
            let what = format!("{}: {what}", self.history.name(place));
            self.found.push(Anomaly { kind, what });
        }
    }

    /// Whether what was told then binds what is there at the end.
    fn binds(&self, era: u32) -> bool {
        era == self.history.era || !self.promise.earlier_eras_may_go
    }

    /// Whether an acknowledgement of this record is one that lasts.
    fn lasts(&self, sent: &Sent) -> bool {
        sent.all || self.promise.one_replica
    }

    /// C1, D5: each reader goes on where it was, in order.
    fn polls(&mut self) {
        let mut positions: BTreeMap<(u32, Place), Offset> = BTreeMap::new();
        let history = self.history;
        for poll in &history.polls {
            let before = positions.insert((poll.reader, poll.place), poll.next);
            if let Some(before) = before
                && before != poll.from
            {
                let (reader, from) = (poll.reader, poll.from);
                let what = format!("reader {reader} was at {before} and read from {from}");
                self.find(AnomalyKind::Gap, poll.place, what);
            }
            let inside = |offset: &Offset| (poll.from..poll.next).contains(offset);
            let increasing = poll.records.windows(2).all(|pair| pair[0].0 < pair[1].0);
            if !increasing || !poll.records.iter().all(|(offset, _)| inside(offset)) {
                let what = format!(
                    "a poll of {}..{} got {:?}",
                    poll.from, poll.next, poll.records
                );
                self.find(AnomalyKind::Disorder, poll.place, what);
            }
        }
    }

    /// D3, P1: one value per offset, one offset per value, and only values that were sent.
    fn values(&mut self, place: Place) {
        let mut at: BTreeMap<(u32, Offset), u64> = BTreeMap::new();
        let mut of: BTreeMap<(u32, u64), Offset> = BTreeMap::new();
        let one_era = !self.promise.earlier_eras_may_go;
        let era_of = |era: u32| if one_era { 0 } else { era };
        let history = self.history;
        let acked = history.sent.iter().filter(|sent| sent.place == place);
        let acked = acked.filter(|sent| self.lasts(sent));
        let acked = acked.filter_map(|sent| match sent.ended {
            Some((_, era, Ended::Acked(Some(offset)))) => Some((era, offset, sent.value)),
            _ => None,
        });
        let read = history.polls.iter().filter(|poll| poll.place == place);
        let read = read.flat_map(|poll| poll.records.iter().map(|(o, v)| (poll.era, *o, *v)));
        let told: Vec<(u32, Offset, u64)> = acked.chain(read).collect();
        for (era, offset, value) in told {
            let era = era_of(era);
            let there = *at.entry((era, offset)).or_insert(value);
            if there != value {
                let what = format!("offset {offset} holds {there:x} and {value:x}");
                self.find(AnomalyKind::TwoAtOneOffset, place, what);
            }
            let Some(sent) = self.sent.get(&value).copied() else {
                let what = format!("offset {offset} holds {value:x}, which nobody sent");
                self.find(AnomalyKind::Ghost, place, what);
                continue;
            };
            if sent.place != place || matches!(sent.ended, Some((_, _, Ended::Refused))) {
                let what = format!("offset {offset} holds {value:x}, which does not belong there");
                self.find(AnomalyKind::Ghost, place, what);
            }
            let first = *of.entry((era, value)).or_insert(offset);
            if first != offset && sent.idempotent {
                let what = format!("{value:x} is at offset {first} and at {offset}");
                self.find(AnomalyKind::Duplicate, place, what);
            }
        }
        self.skips(place, &at, era_of);
    }

    /// C1: a poll holds every record known to be in its range.
    fn skips(
        &mut self,
        place: Place,
        at: &BTreeMap<(u32, Offset), u64>,
        era_of: impl Fn(u32) -> u32,
    ) {
        let history = self.history;
        for poll in history.polls.iter().filter(|poll| poll.place == place) {
            let era = era_of(poll.era);
            let from = poll.from.max(poll.log_start);
            if from >= poll.next {
                continue;
            }
            let got: BTreeSet<Offset> = poll.records.iter().map(|(offset, _)| *offset).collect();
            let known = at.range((era, from)..(era, poll.next));
            let mut missed = known.filter(|((_, offset), _)| !got.contains(offset));
            if let Some(((_, offset), value)) = missed.next() {
                let (reader, next) = (poll.reader, poll.next);
                let what = format!(
                    "reader {reader} read {from}..{next} without {value:x} at offset {offset}"
                );
                self.find(AnomalyKind::Skipped, place, what);
            }
        }
    }

    /// D1, H5: what was acknowledged or read is there at the end.
    fn end(&mut self, place: Place) {
        if self.history.gone.contains(&place) {
            return;
        }
        let Some((start, log)) = self.finals.get(&place).cloned() else {
            self.find(
                AnomalyKind::Unread,
                place,
                "the log was not read at the end",
            );
            return;
        };
        let values: BTreeSet<u64> = log.values().copied().collect();
        let history = self.history;
        for sent in history.sent.iter().filter(|sent| sent.place == place) {
            let Some((_, era, Ended::Acked(offset))) = sent.ended else {
                continue;
            };
            if !self.binds(era) || !self.lasts(sent) {
                continue;
            }
            let kept = match offset {
                Some(offset) => offset < start || log.get(&offset) == Some(&sent.value),
                None => start > Offset::ZERO || values.contains(&sent.value),
            };
            if !kept {
                let offset = offset.map_or_else(|| "no".to_owned(), |offset| offset.to_string());
                let value = sent.value;
                let what = format!("{value:x}, acknowledged at offset {offset}, is gone");
                self.find(AnomalyKind::LostWrite, place, what);
            }
        }
        for poll in history.polls.iter().filter(|poll| poll.place == place) {
            if !self.binds(poll.era) {
                continue;
            }
            for (offset, value) in &poll.records {
                if *offset >= start && log.get(offset) != Some(value) {
                    let what = format!("{value:x}, read at offset {offset}, is gone");
                    self.find(AnomalyKind::Vanished, place, what);
                }
            }
        }
    }

    /// D6: offsets follow the order in which records were acknowledged and sent.
    fn order(&mut self, place: Place) {
        let history = self.history;
        // (acknowledged, era, offset, value), in the order of acknowledgement.
        let mut acked: Vec<(u64, u32, Offset, u64)> = Vec::new();
        let mut sends: Vec<(u64, u32, Offset, u64)> = Vec::new();
        for sent in history.sent.iter().filter(|sent| sent.place == place) {
            if let Some((ended, era, Ended::Acked(Some(offset)))) = sent.ended
                && self.lasts(sent)
            {
                acked.push((ended, era, offset, sent.value));
                sends.push((sent.asked, era, offset, sent.value));
            }
        }
        acked.sort_unstable();
        sends.sort_unstable();
        let mut highest: BTreeMap<u32, (Offset, u64)> = BTreeMap::new();
        let mut acked = acked.into_iter().peekable();
        for (asked, era, offset, value) in sends {
            while let Some((_, era, offset, value)) = acked.next_if(|(ended, ..)| *ended < asked) {
                let top = highest.entry(era).or_insert((offset, value));
                *top = (*top).max((offset, value));
            }
            let one_era = !self.promise.earlier_eras_may_go;
            let binding = highest.iter().filter(|(e, _)| one_era || **e == era);
            let top = binding.map(|(_, top)| *top).max();
            if let Some((before, earlier)) = top.filter(|(before, _)| *before >= offset) {
                let what = format!(
                    "{value:x} at offset {offset} was sent after {earlier:x} was acknowledged at {before}"
                );
                self.find(AnomalyKind::Overtaken, place, what);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::history::Poll;
    use super::*;
    use crate::ids::PartitionIndex;

    const PLACE: Place = Place(0);

    fn empty() -> History {
        let mut history = History::default();
        history.places.push(("t".to_owned(), PartitionIndex(0)));
        history
    }

    fn send(history: &mut History, value: u64) -> usize {
        history.send(Sent {
            writer: 0,
            place: PLACE,
            value,
            all: true,
            idempotent: true,
            asked: 0,
            ended: None,
        })
    }

    fn acked(history: &mut History, value: u64, offset: i64) {
        let index = send(history, value);
        history.end(index, Ended::Acked(Some(Offset(offset))));
    }

    fn poll(history: &mut History, reader: u32, from: i64, values: &[u64], last: bool) {
        let records: Vec<_> = (from..).map(Offset).zip(values.iter().copied()).collect();
        history.polls.push(Poll {
            reader,
            place: PLACE,
            from: Offset(from),
            next: Offset(from + values.len() as i64),
            log_start: Offset::ZERO,
            records,
            era: history.era,
            last,
        });
    }

    fn kinds(history: &History) -> Vec<AnomalyKind> {
        let promise = Promise {
            earlier_eras_may_go: true,
            one_replica: true,
        };
        let mut kinds: Vec<_> = check(history, promise).iter().map(|a| a.kind).collect();
        kinds.sort();
        kinds.dedup();
        kinds
    }

    #[test]
    fn a_log_that_keeps_its_promises_is_fine() {
        let mut history = empty();
        acked(&mut history, 1, 0);
        acked(&mut history, 2, 1);
        let unknown = send(&mut history, 3);
        history.end(unknown, Ended::Unknown);
        poll(&mut history, 1, 0, &[1], false);
        poll(&mut history, 1, 1, &[2, 3], false);
        poll(&mut history, 2, 0, &[1, 2, 3], true);
        assert_eq!(kinds(&history), []);
    }

    #[test]
    fn each_anomaly_is_found() {
        use AnomalyKind::*;
        let check = |expected: &[AnomalyKind], make: &dyn Fn(&mut History)| {
            let mut history = empty();
            make(&mut history);
            assert_eq!(kinds(&history), expected);
        };
        check(&[Unread], &|_| {});
        check(&[LostWrite], &|h| {
            acked(h, 1, 0);
            poll(h, 1, 0, &[], true);
        });
        check(&[Vanished], &|h| {
            send(h, 1);
            poll(h, 1, 0, &[1], false);
            poll(h, 2, 0, &[], true);
        });
        check(&[LostWrite, TwoAtOneOffset], &|h| {
            acked(h, 1, 0);
            send(h, 2);
            poll(h, 1, 0, &[2], true);
        });
        check(&[Duplicate], &|h| {
            acked(h, 1, 0);
            poll(h, 1, 0, &[1, 1], true);
        });
        check(&[Ghost], &|h| poll(h, 1, 0, &[9], true));
        check(&[Ghost], &|h| {
            let refused = send(h, 1);
            h.end(refused, Ended::Refused);
            poll(h, 1, 0, &[1], true);
        });
        check(&[Gap], &|h| {
            acked(h, 1, 0);
            acked(h, 2, 1);
            poll(h, 1, 0, &[1], false);
            poll(h, 1, 0, &[1], false);
            poll(h, 2, 0, &[1, 2], true);
        });
        check(&[Overtaken], &|h| {
            acked(h, 1, 1);
            acked(h, 2, 0);
            poll(h, 1, 0, &[2, 1], true);
        });
    }

    #[test]
    fn what_a_power_loss_may_take_is_not_missed() {
        let mut history = empty();
        acked(&mut history, 1, 0);
        poll(&mut history, 1, 0, &[1], false);
        history.era += 1;
        acked(&mut history, 2, 0);
        poll(&mut history, 2, 0, &[2], true);
        assert_eq!(kinds(&history), []);
        let strict = Promise {
            earlier_eras_may_go: false,
            one_replica: true,
        };
        assert!(!check(&history, strict).is_empty());
    }
}
