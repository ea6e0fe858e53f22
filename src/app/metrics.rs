//! Metrics that react: what the cluster's health was before the last fault and is now; without a fault, a minute ago.
//!
//! Partitions and brokers are counted in pictures, everything that happens in events. What happened since the fault
//! stands beside what happened in as long a time before it. Plain values, no egui.

use super::format;
use super::history::{Health, History};
use crate::ids::Time;
use crate::inspect::failover::{Failover, Stage};
use crate::inspect::{ClusterSnapshot, EVENTS_KEPT, Event, EventKind};

/// A fault counts as the last one for this long, microseconds.
const FAULT_COUNTS_US: u64 = 10 * 60 * 1_000_000;
/// Without a fault: the time looked back, microseconds.
const LOOK_BACK_US: i64 = 60 * 1_000_000;

/// What a number says of the cluster's health while it is not 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sign {
    /// It happens in health, too.
    Neutral,
    Warning,
    Bad,
}

/// One number, and what it was.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Metric {
    pub name: &'static str,
    /// What is counted, as a sentence.
    pub about: &'static str,
    /// `None` where nobody looked then.
    pub was: Option<u64>,
    pub now: u64,
    pub sign: Sign,
    /// How long it took, where that was measured.
    pub took_us: Option<u64>,
}

impl Metric {
    /// `0 → 2`; one number where nothing changed.
    pub fn words(&self) -> String {
        let now = format::count(self.now);
        let changed = match self.was {
            Some(was) if was != self.now => format!("{} → {now}", format::count(was)),
            _ => now,
        };
        match self.took_us {
            Some(us) => format!("{changed} · {}", format::milliseconds(us)),
            None => changed,
        }
    }
}

/// All of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Metrics {
    /// `since broker 2 was killed`, `in the last minute`.
    pub since: String,
    pub all: Vec<Metric>,
}

impl Metrics {
    pub fn of(picture: &ClusterSnapshot, history: &History, now: Time) -> Metrics {
        let (start, since) = reference(picture, now);
        let compared = Compared {
            picture,
            history,
            before: Time(start.0 - (now.0 - start.0)),
            start,
            now,
        };
        Metrics {
            since,
            all: compared.all(),
        }
    }
}

/// A moment and what followed, beside as long a time before it.
struct Compared<'a> {
    picture: &'a ClusterSnapshot,
    history: &'a History,
    before: Time,
    start: Time,
    now: Time,
}

impl Compared<'_> {
    fn all(&self) -> Vec<Metric> {
        vec![
            self.gauge(
                "Under-replicated",
                "Partitions with fewer replicas in sync than they are to have",
                Sign::Warning,
                |health| health.under_replicated,
            ),
            self.gauge(
                "Offline",
                "Partitions without a leader: they take and serve nothing",
                Sign::Bad,
                |health| health.offline,
            ),
            self.gauge(
                "Fenced",
                "Brokers the controller lets lead nothing and be in no ISR",
                Sign::Warning,
                |health| health.fenced,
            ),
            self.happened(
                "ISR shrinks",
                "Changes that left fewer replicas in sync",
                shrinks,
            ),
            self.happened(
                "ISR expands",
                "Changes that left more replicas in sync",
                expands,
            ),
            Metric {
                took_us: election_us(self.picture, self.start),
                ..self.happened("Elections", "Changes of a partition's leader", |kind| {
                    matches!(kind, EventKind::LeaderElected { .. })
                })
            },
            self.failed_produces(),
        ]
    }

    /// How well the cluster was just before the moment.
    fn then(&self) -> Option<Health> {
        self.history.health_at(Time(self.start.0 - 1))
    }

    fn gauge(
        &self,
        name: &'static str,
        about: &'static str,
        sign: Sign,
        of: fn(&Health) -> u64,
    ) -> Metric {
        Metric {
            name,
            about,
            was: self.then().as_ref().map(of),
            now: of(&Health::of(self.picture)),
            sign,
            took_us: None,
        }
    }

    fn happened(
        &self,
        name: &'static str,
        about: &'static str,
        test: fn(&EventKind) -> bool,
    ) -> Metric {
        let events = &self.picture.events;
        let reaches_back =
            events.len() < EVENTS_KEPT || events.first().is_some_and(|one| one.time < self.before);
        let count = |from: Time, to: Time| {
            let within = |event: &Event| (from..to).contains(&event.time) && test(&event.kind);
            events.iter().filter(|event| within(event)).count() as u64
        };
        Metric {
            name,
            about,
            was: reaches_back.then(|| count(self.before, self.start)),
            now: count(self.start, Time(self.now.0.saturating_add(1))),
            sign: Sign::Neutral,
            took_us: None,
        }
    }

    fn failed_produces(&self) -> Metric {
        let is = self.picture.totals.failed_produces;
        let failed = |health: Health| health.failed_produces;
        let then = self.then().map(failed);
        let before = self.history.health_at(self.before).map(failed);
        Metric {
            name: "Failed produces",
            about: "Partitions of produce requests that were answered with an error",
            was: then
                .zip(before)
                .map(|(then, before)| then.saturating_sub(before)),
            now: is.saturating_sub(then.unwrap_or(is)),
            sign: Sign::Bad,
            took_us: None,
        }
    }
}

fn shrinks(kind: &EventKind) -> bool {
    matches!(kind, EventKind::IsrChanged { from, to, .. } if to.len() < from.len())
}

fn expands(kind: &EventKind) -> bool {
    matches!(kind, EventKind::IsrChanged { from, to, .. } if to.len() > from.len())
}

/// The moment numbers are compared with, and what it is: the last fault, unless that is long ago.
fn reference(picture: &ClusterSnapshot, now: Time) -> (Time, String) {
    let mut events = picture.events.iter().rev();
    let fault = events.find_map(|event| Some((event.time, fault(event)?)));
    match fault.filter(|(time, _)| now.since_us(*time) < FAULT_COUNTS_US) {
        Some((time, what)) => (time, format!("since {what}")),
        None => (Time(now.0 - LOOK_BACK_US), "in the last minute".to_owned()),
    }
}

/// A fault in words, if the event is one.
fn fault(event: &Event) -> Option<String> {
    let broker = event.broker?;
    Some(match &event.kind {
        EventKind::BrokerKilled { .. } => format!("broker {broker} was killed"),
        EventKind::BrokerCrashed { .. } => format!("broker {broker} crashed"),
        EventKind::BrokerPaused { .. } => format!("broker {broker} was paused"),
        EventKind::ShutdownBegan { subject, .. } => format!("broker {subject} was stopped"),
        EventKind::LinkCut { to, .. } => format!("link {broker}→{to} was cut"),
        EventKind::LinkSlowed { to, .. } => format!("link {broker}→{to} was slowed"),
        _ => return None,
    })
}

/// From the failure to the first election, if the newest failover began at or after `start`.
fn election_us(picture: &ClusterSnapshot, start: Time) -> Option<u64> {
    let failover = Failover::newest(picture).filter(|one| one.began() >= start)?;
    failover.step(Stage::Elected)?.since_began_us
}

#[cfg(test)]
mod tests;
