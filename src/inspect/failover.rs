//! How long a failure was felt: from a broker's end to the first produce acknowledged without it, step by step.
//!
//! Everything is a recorded event and its time, or a setting a broker told, so whoever has a snapshot has all of it.
//! A step nobody recorded is missing, never guessed.

use std::collections::BTreeSet;
use std::sync::Arc;

use serde::Serialize;

use super::{ClusterSnapshot, Event, EventKind};
use crate::ids::{BrokerId, PartitionIndex, Time};

const SESSION: &str = "broker.session.timeout.ms";

/// What a failover begins with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Cause {
    Killed,
    Crashed,
    Paused,
    /// A clean stop: it tells the controller itself.
    Stopped,
    /// A link to or from it was cut.
    Cut,
}

/// One step of a failover.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Stage {
    Began,
    /// It was the controller, and another one took over.
    ControllerElected,
    /// The controller noticed.
    Detected,
    Fenced,
    /// What it led has another leader.
    Elected,
    /// The first produce was acknowledged by one of them.
    Acked,
}

/// The setting that decides how long a step takes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Governs {
    pub setting: &'static str,
    /// As a broker told it; `None` for a client's.
    pub value: Option<String>,
    /// What part of it, or whose it is: `a third of`.
    pub which: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct FailoverStep {
    pub stage: Stage,
    /// `None` while it was not recorded.
    pub time: Option<Time>,
    /// The event that tells of it, by its number.
    pub event: Option<u64>,
    pub since_began_us: Option<u64>,
    pub since_last_us: Option<u64>,
    pub what: String,
    pub governs: Option<Governs>,
}

/// How the cluster got over the end of one broker.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Failover {
    pub broker: BrokerId,
    pub cause: Cause,
    /// The broker is in use again.
    pub is_back: bool,
    /// In the order of their times; those that are missing last.
    pub steps: Vec<FailoverStep>,
}

/// A partition failed over.
type Place<'a> = (&'a str, PartitionIndex);

impl Cause {
    pub fn word(self) -> &'static str {
        match self {
            Cause::Killed => "killed",
            Cause::Crashed => "crashed",
            Cause::Paused => "paused",
            Cause::Stopped => "stopped",
            Cause::Cut => "cut off",
        }
    }
}

impl Stage {
    pub fn word(self) -> &'static str {
        match self {
            Stage::Began => "began",
            Stage::ControllerElected => "new controller",
            Stage::Detected => "detected",
            Stage::Fenced => "fenced",
            Stage::Elected => "elected",
            Stage::Acked => "first produce acked",
        }
    }
}

impl Governs {
    /// `a third of broker.session.timeout.ms = 700`.
    pub fn words(&self) -> String {
        let which = match self.which {
            "" => String::new(),
            which => format!("{which} "),
        };
        match &self.value {
            Some(value) => format!("{which}{} = {value}", self.setting),
            None => format!("{which}{}", self.setting),
        }
    }
}

impl Failover {
    /// The last time a broker failed, as far as the picture's events go back.
    pub fn of(picture: &ClusterSnapshot, broker: BrokerId) -> Option<Failover> {
        Failover::within(picture, broker, None)
    }

    /// The failover that gave a partition its leader, if that is how it came by it.
    pub fn of_partition(
        picture: &ClusterSnapshot,
        topic: &str,
        index: PartitionIndex,
    ) -> Option<Failover> {
        let mut events = picture.events.iter().rev();
        let (number, from) = events.find_map(|event| match &event.kind {
            EventKind::LeaderElected { from, .. } if is_at(&event.kind, (topic, index)) => {
                Some((event.number, *from))
            }
            _ => None,
        })?;
        let failover = Failover::within(picture, from?, Some((topic, index)))?;
        let elected = failover.step(Stage::Elected)?.event;
        (elected == Some(number)).then_some(failover)
    }

    /// The newest failover of any broker.
    pub fn newest(picture: &ClusterSnapshot) -> Option<Failover> {
        // Once a frame: brokers that never failed cost no walk of their own through the events.
        let begun = picture.events.iter().filter_map(|event| beginning(event));
        let ids = begun.flat_map(|(_, of, other)| std::iter::once(of).chain(other));
        let ids: BTreeSet<BrokerId> = ids.collect();
        let all = ids.into_iter().filter_map(|id| Failover::of(picture, id));
        all.max_by_key(Failover::began)
    }

    fn within(
        picture: &ClusterSnapshot,
        broker: BrokerId,
        place: Option<Place<'_>>,
    ) -> Option<Failover> {
        let span = Span::newest(&picture.events, broker)?;
        let told = Told {
            picture,
            broker,
            span: &span,
            place,
        };
        Some(Failover {
            broker,
            cause: span.cause,
            is_back: span.is_over,
            steps: in_order(told.steps()),
        })
    }

    /// When it began.
    pub fn began(&self) -> Time {
        let first = self.steps.first().and_then(|step| step.time);
        first.unwrap_or_default()
    }

    pub fn step(&self, stage: Stage) -> Option<&FailoverStep> {
        self.steps.iter().find(|step| step.stage == stage)
    }
}

/// The events from a broker's end until it was in use again, or until now.
struct Span<'a> {
    cause: Cause,
    events: &'a [Arc<Event>],
    is_over: bool,
}

/// A span whose end was not found yet.
#[derive(Clone, Copy)]
struct Open {
    cause: Cause,
    from: usize,
    fenced: bool,
}

impl<'a> Span<'a> {
    fn newest(events: &'a [Arc<Event>], broker: BrokerId) -> Option<Span<'a>> {
        let (mut open, mut last): (Option<Open>, _) = (None, None);
        for (at, event) in events.iter().enumerate() {
            if let Some(cause) = begins(event, broker) {
                let before = open.as_ref();
                // What nothing came of gives way, and a cut never hides anything else.
                if before.is_none_or(|one| !one.fenced && cause != Cause::Cut) {
                    open = Some(Open {
                        cause,
                        from: at,
                        fenced: false,
                    });
                }
                continue;
            }
            match &event.kind {
                EventKind::BrokerFenced { subject, .. } if *subject == broker => {
                    if let Some(one) = &mut open {
                        one.fenced = true;
                    }
                }
                EventKind::BrokerUnfenced { subject, .. } if *subject == broker => {
                    last = open.take().map(|one| (one, at)).or(last);
                }
                kind if mends(kind, event.broker, broker) => {
                    open = open.filter(|one| one.fenced || !is_mended(one.cause, kind));
                }
                _ => {}
            }
        }
        // A cut that fenced nobody is no failover.
        let open = open.filter(|one| one.fenced || one.cause != Cause::Cut);
        let (one, end) = match (open, last) {
            (Some(one), _) => (one, events.len()),
            (None, last) => last?,
        };
        Some(Span {
            cause: one.cause,
            events: &events[one.from..end],
            is_over: open.is_none(),
        })
    }

    fn find(&self, is_it: impl Fn(&EventKind) -> bool) -> Option<&'a Event> {
        let mut events = self.events.iter();
        events.find(|event| is_it(&event.kind)).map(AsRef::as_ref)
    }
}

/// What a failover may begin with, and of which brokers: a cut link has two ends.
fn beginning(event: &Event) -> Option<(Cause, BrokerId, Option<BrokerId>)> {
    let own = event.broker?;
    match &event.kind {
        EventKind::BrokerKilled { .. } => Some((Cause::Killed, own, None)),
        EventKind::BrokerCrashed { .. } => Some((Cause::Crashed, own, None)),
        EventKind::BrokerPaused { .. } => Some((Cause::Paused, own, None)),
        EventKind::ShutdownBegan { subject, .. } => Some((Cause::Stopped, *subject, None)),
        EventKind::LinkCut { to, .. } => Some((Cause::Cut, own, Some(*to))),
        _ => None,
    }
}

fn begins(event: &Event, broker: BrokerId) -> Option<Cause> {
    let (cause, of, other) = beginning(event)?;
    (of == broker || other == Some(broker)).then_some(cause)
}

/// Whether an event may take back what a broker's failover began with.
fn mends(kind: &EventKind, by: Option<BrokerId>, broker: BrokerId) -> bool {
    match kind {
        EventKind::BrokerResumed { .. } => by == Some(broker),
        EventKind::LinkHealed { to, .. } => by == Some(broker) || *to == broker,
        _ => false,
    }
}

fn is_mended(cause: Cause, kind: &EventKind) -> bool {
    let healed = matches!(kind, EventKind::LinkHealed { .. });
    match cause {
        Cause::Cut => healed,
        Cause::Paused => !healed,
        _ => false,
    }
}

fn is_at(kind: &EventKind, (topic, index): Place<'_>) -> bool {
    kind.topic() == Some((topic, Some(index)))
}

/// Those that were recorded by their times, each with how long it took.
fn in_order(mut steps: Vec<FailoverStep>) -> Vec<FailoverStep> {
    steps.sort_by_key(|step| (step.time.is_none(), step.time));
    let began = steps.first().and_then(|step| step.time);
    let mut last = began;
    for step in &mut steps {
        let Some(time) = step.time else {
            continue;
        };
        step.since_began_us = began.map(|began| time.since_us(began));
        step.since_last_us = last.map(|last| time.since_us(last));
        last = Some(time);
    }
    steps
}

/// What the events of one failover say of its steps.
struct Told<'a> {
    picture: &'a ClusterSnapshot,
    broker: BrokerId,
    span: &'a Span<'a>,
    /// Only this partition counts.
    place: Option<Place<'a>>,
}

impl Told<'_> {
    fn steps(&self) -> Vec<FailoverStep> {
        let mut steps = vec![self.began()];
        steps.extend(self.controller_elected());
        if self.span.cause != Cause::Stopped {
            steps.push(self.detected());
        }
        steps.push(self.fenced());
        let elected = self.elected();
        let led = elected.time.is_some() || !self.is_fenced();
        steps.push(elected);
        if led {
            steps.push(self.acked());
        }
        steps
    }

    fn is_fenced(&self) -> bool {
        let subject = self.broker;
        let fenced = |kind: &EventKind| matches!(kind, EventKind::BrokerFenced { subject: of, .. } if *of == subject);
        self.span.find(fenced).is_some()
    }

    fn began(&self) -> FailoverStep {
        let what = match self.span.cause {
            Cause::Killed => "its thread ended, its connections were reset",
            Cause::Crashed => "it ended by itself",
            Cause::Paused => "it stands still, its connections stay",
            Cause::Stopped => "it told the controller that it stops",
            Cause::Cut => "a link of it was cut",
        };
        let event = self.span.events.first().map(AsRef::as_ref);
        step(Stage::Began, event, what.to_owned())
    }

    /// Only where the broker was the controller.
    fn controller_elected(&self) -> Option<FailoverStep> {
        let before = self.broker;
        let event = self.span.find(|kind| {
            matches!(kind, EventKind::ControllerChanged { from, .. } if *from == Some(before))
        })?;
        let reset = matches!(self.span.cause, Cause::Killed | Cause::Crashed);
        let what = format!("{} decides instead", event.reporter());
        let mut step = step(Stage::ControllerElected, Some(event), what);
        step.governs = match (self.span.cause, reset) {
            (Cause::Stopped, _) => None,
            (_, true) => self.setting(
                event,
                "controller.quorum.election.backoff.max.ms",
                "at most",
            ),
            (_, false) => self.setting(event, "controller.quorum.fetch.timeout.ms", ""),
        };
        Some(step)
    }

    /// What the controller gave the broker up for.
    fn unheard(&self) -> Option<(&Event, Option<Time>, u64)> {
        let mut events = self.span.events.iter();
        events.find_map(|event| match event.kind {
            EventKind::BrokerUnheard {
                subject,
                lost,
                waited_ms,
                ..
            } if subject == self.broker => Some((event.as_ref(), lost, waited_ms)),
            _ => None,
        })
    }

    fn detected(&self) -> FailoverStep {
        if let Some((event, lost, waited_ms)) = self.unheard() {
            let by = event.broker.map(|id| format!("controller {id}"));
            let by = by.unwrap_or_else(|| "the controller".to_owned());
            let what = match lost {
                Some(_) => format!("{by} lost its connection"),
                None => format!("{by} had no heartbeat for {waited_ms} ms"),
            };
            let mut step = step(Stage::Detected, Some(event), what);
            step.time = lost.or(step.time);
            step.governs = match lost {
                Some(_) => None,
                None => self.setting(event, SESSION, ""),
            };
            return step;
        }
        let back = self.span.find(|kind| {
            matches!(kind, EventKind::BrokerRegistered { subject, .. } if *subject == self.broker)
        });
        let what = match back {
            Some(_) => "it registered anew before it was missed",
            None => "not yet",
        };
        step(Stage::Detected, back, what.to_owned())
    }

    fn fenced(&self) -> FailoverStep {
        let event = self.span.find(|kind| {
            matches!(kind, EventKind::BrokerFenced { subject, .. } if *subject == self.broker)
        });
        let Some(event) = event else {
            return step(Stage::Fenced, None, "not yet".to_owned());
        };
        let what = match self.span.cause {
            Cause::Stopped => "it was let go",
            _ => "it leads nothing and is in no ISR",
        };
        let mut step = step(Stage::Fenced, Some(event), what.to_owned());
        if let Some((unheard, Some(_), _)) = self.unheard() {
            step.governs = self.setting(unheard, SESSION, "a third of");
        }
        step
    }

    fn elected(&self) -> FailoverStep {
        let mut all = self.span.events.iter().filter(|event| match &event.kind {
            EventKind::LeaderElected { from, to, .. } => {
                let counts = self.place.is_none_or(|place| is_at(&event.kind, place));
                *from == Some(self.broker) && to.is_some() && counts
            }
            _ => false,
        });
        let Some(first) = all.next() else {
            let what = match (self.is_fenced(), self.leaderless()) {
                (_, Some(place)) => format!("nobody may lead {place}"),
                (true, None) => "it led nothing".to_owned(),
                (false, None) => "not yet".to_owned(),
            };
            return step(Stage::Elected, None, what);
        };
        let more = all.count();
        let mut what = leads(&first.kind);
        if more > 0 {
            what.push_str(&format!(", and {more} more"));
        }
        step(Stage::Elected, Some(first), what)
    }

    /// A partition the broker led that has no leader.
    fn leaderless(&self) -> Option<String> {
        let mut events = self.span.events.iter();
        events.find_map(|event| match &event.kind {
            EventKind::LeaderElected {
                topic,
                partition,
                from,
                to: None,
                ..
            } if *from == Some(self.broker) => Some(format!("{topic}-{partition}")),
            _ => None,
        })
    }

    fn acked(&self) -> FailoverStep {
        let event = self.span.find(|kind| match kind {
            EventKind::FirstProduceAcked { after, .. } => {
                *after == Some(self.broker) && self.place.is_none_or(|place| is_at(kind, place))
            }
            _ => false,
        });
        let Some(event) = event else {
            return step(Stage::Acked, None, "nobody has written yet".to_owned());
        };
        let at = match event.kind.topic() {
            Some((topic, Some(index))) => format!("{topic}-{index}"),
            _ => String::new(),
        };
        let mut step = step(
            Stage::Acked,
            Some(event),
            format!("{} acknowledged a produce to {at}", event.reporter()),
        );
        step.governs = Some(Governs {
            setting: "retry.backoff.ms",
            value: None,
            which: "the client's",
        });
        step
    }

    /// A setting as the broker that told of an event has it.
    fn setting(&self, event: &Event, name: &'static str, which: &'static str) -> Option<Governs> {
        let mut brokers = self.picture.brokers.iter();
        let settings = &brokers
            .find(|broker| Some(broker.id) == event.broker)?
            .settings;
        let (_, value, _) = settings.iter().find(|(key, _, _)| key == name)?;
        Some(Governs {
            setting: name,
            value: Some(value.clone()),
            which,
        })
    }
}

fn step(stage: Stage, event: Option<&Event>, what: String) -> FailoverStep {
    FailoverStep {
        stage,
        time: event.map(|event| event.time),
        event: event.map(|event| event.number),
        since_began_us: None,
        since_last_us: None,
        what,
        governs: None,
    }
}

/// `broker 3 leads orders-1 with epoch 5`.
fn leads(kind: &EventKind) -> String {
    match kind {
        EventKind::LeaderElected {
            topic,
            partition,
            to: Some(to),
            epoch,
            ..
        } => format!("broker {to} leads {topic}-{partition} with epoch {epoch}"),
        _ => String::new(),
    }
}

#[cfg(test)]
mod tests;
