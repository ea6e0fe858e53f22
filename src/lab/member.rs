//! A member of a consumer group that reads, processes and commits, and notes what it was given and told.

use std::collections::BTreeMap;

use super::clients::{Books, links_config};
use super::group_history::Group;
use super::history::{Place, Poll};
use super::payload;
use super::schedule::Schedule;
use crate::client::{
    Assignor, CommitPolicy, Fetched, GroupConfig, GroupConsumer, GroupEvent, GroupProtocol,
    MemberState, OffsetReset, PartitionOffset, Subscription,
};
use crate::ids::{Offset, PartitionIndex, Time};

/// A batch may expand to this many bytes: far more than the lab writes.
const EXPANSION_BYTES: usize = 16 * 1024 * 1024;
/// Milliseconds between two commits of one that commits at an interval.
const COMMIT_EVERY_MS: i64 = 500;
/// Milliseconds before topics that are new are seen by a group's leader.
const METADATA_MAX_AGE_MS: i64 = 1_000;
/// Milliseconds before a member that failed for good is begun anew.
const AGAIN_MS: i64 = 500;

type Key = (String, PartitionIndex);

/// A member at work.
pub(super) struct Member {
    pub consumer: GroupConsumer,
    pub group: Group,
    name: String,
    /// `group.instance.id`, if it is static.
    instance: Option<String>,
    /// The era of its generation: a power loss may take a generation, and its number is used again.
    joined_in: u32,
    slow_ms: i64,
    /// It commits before it processes, and takes back what it never gave out, perhaps without hearing that it did: its
    /// commits bind nobody.
    takes_back: bool,
    places: BTreeMap<Key, Place>,
    spans: BTreeMap<Key, Span>,
    /// Records in hand, and when they are processed.
    busy: Option<(Time, Vec<(Key, Offset)>)>,
    /// When another one takes its place.
    again: Option<Time>,
    /// It takes no more records.
    retired: bool,
    /// What no record of the lab looks like.
    pub damage: Vec<String>,
    /// What the group must not do.
    pub broken: Vec<String>,
}

/// One partition while it is this member's.
struct Span {
    /// Tells it from every other reader.
    reader: u32,
    /// What was acknowledged as committed when it was given: reading begins there or behind.
    floor: Option<Offset>,
    /// Records in hand when it moved come first; then it goes on there.
    begins_at: Option<Offset>,
    /// Records in hand may be from before a later power loss, so those of a span that saw one say nothing.
    era: u32,
}

impl Member {
    pub fn new(schedule: &Schedule, number: usize, named: u32) -> Member {
        let plan = &schedule.members[number];
        let name = format!("member-{named}");
        let links = links_config(schedule.brokers, &name, 1_000);
        let group_id = format!("group-{}", plan.group);
        let mut config = GroupConfig::new(links, &group_id, &[]);
        let assignor = match plan.assignor.as_str() {
            "roundrobin" => Assignor::RoundRobin,
            "sticky" => Assignor::Sticky,
            "cooperative-sticky" => Assignor::CooperativeSticky,
            _ => Assignor::Range,
        };
        config.protocol = match plan.assignor.as_str() {
            "consumer" => GroupProtocol::Consumer {
                // No two members have the same name.
                member_id: format!("{named:022}"),
                assignor: None,
            },
            _ => GroupProtocol::Classic {
                assignors: vec![assignor],
            },
        };
        config.instance_id = plan.is_static.then(|| format!("instance-{number}"));
        config.session_timeout_ms = plan.session_timeout_ms;
        // Who hears of a rebalance when its time is over never takes part in one.
        let soonest_ms = plan.session_timeout_ms.min(plan.max_poll_interval_ms);
        config.heartbeat_interval_ms = soonest_ms / 4;
        config.max_poll_interval_ms = plan.max_poll_interval_ms;
        config.max_poll_records = plan.records;
        config.reset = OffsetReset::Earliest;
        config.metadata_max_age_ms = METADATA_MAX_AGE_MS;
        config.commit = match plan.commits.as_str() {
            "before" => CommitPolicy::BeforeProcessing,
            "interval" => CommitPolicy::Interval {
                ms: COMMIT_EVERY_MS,
            },
            _ => CommitPolicy::AfterProcessing,
        };
        let topics = schedule.topics.iter().map(|t| t.name.clone());
        config.subscription = Subscription::Topics(topics.collect());
        let instance = config.instance_id.clone();
        let consumer = GroupConsumer::new(config);
        Member {
            consumer: consumer.expect("the lab's settings do not contradict each other"),
            group: Group(plan.group),
            name,
            instance,
            joined_in: 0,
            slow_ms: plan.slow_ms,
            takes_back: plan.commits == "before",
            places: BTreeMap::new(),
            spans: BTreeMap::new(),
            busy: None,
            again: None,
            retired: false,
            damage: Vec::new(),
            broken: Vec::new(),
        }
    }

    /// The run knows this partition by that place.
    pub fn add_place(&mut self, place: Place, topic: &str, partition: PartitionIndex) {
        self.places.insert((topic.to_owned(), partition), place);
    }

    /// A topic is gone: nothing is promised of it.
    pub fn drop_topic(&mut self, topic: &str) {
        self.places.retain(|(name, _), _| name != topic);
    }

    /// When it wants to do something by itself.
    pub fn due(&self) -> Option<Time> {
        let busy = self.busy.as_ref().map(|(until, _)| *until);
        [busy, self.again].into_iter().flatten().min()
    }

    /// Whether it has left or failed, and another one is to take its place.
    pub fn is_over(&self, now: Time) -> bool {
        self.again.is_some_and(|at| at <= now)
    }

    /// Processes what it takes at once from now on: the run is to come to its end.
    pub fn hurry(&mut self) {
        self.slow_ms = 0;
    }

    /// Takes no more records: everything is being read for the last time.
    pub fn retire(&mut self) {
        self.retired = true;
    }

    /// Whether it is in the group, and has read and committed everything it is given.
    pub fn is_settled(&self) -> bool {
        let read = |view: &crate::client::OwnedView| {
            // A static member that starts again keeps its assignment, even of a topic that is gone: as with any Kafka,
            // that is looked at again with the next rebalance.
            let gone = !self
                .places
                .contains_key(&(view.topic.clone(), view.partition));
            let end = view.fetched.map(|progress| progress.high_watermark);
            gone || (end.is_some() && view.position >= end && view.committed == view.position)
        };
        self.busy.is_none()
            && self.consumer.state() == MemberState::Stable
            && self.consumer.assignment().iter().all(read)
    }

    /// The partitions it has, by the places they are.
    pub fn owned(&self) -> impl Iterator<Item = Place> {
        let owned = self.consumer.assignment().into_iter();
        owned.filter_map(|view| self.places.get(&(view.topic, view.partition)).copied())
    }

    /// How it stands, for whoever wants to know why a run does not end.
    pub fn describe(&self) -> String {
        let state = self.consumer.state();
        let assignment = self.consumer.assignment();
        format!(
            "{} of group {} is {state:?}: {assignment:?}",
            self.name, self.group.0
        )
    }

    pub fn work(&mut self, books: &mut Books<'_>) -> bool {
        let mut any = false;
        while let Some(event) = self.consumer.poll_event() {
            any = true;
            self.take_event(event, books);
        }
        self.note_ownership(books);
        any |= self.finish_processing(books);
        if self.busy.is_none() && !self.retired {
            any |= self.take_records(books);
        }
        any
    }

    fn take_event(&mut self, event: GroupEvent, books: &mut Books<'_>) {
        match event {
            GroupEvent::Assigned { partitions } => {
                for key in partitions {
                    self.open_span(key, books);
                }
                books.tally.count("partitions assigned");
            }
            GroupEvent::Revoked { partitions } => {
                for key in &partitions {
                    self.spans.remove(key);
                }
                books.tally.count("partitions revoked");
            }
            GroupEvent::Lost { partitions } => {
                for key in &partitions {
                    self.spans.remove(key);
                }
                books.tally.count("partitions lost");
            }
            GroupEvent::Moved {
                topic,
                partition,
                to,
                ..
            } => {
                // What was committed is not there (any more): its owner begins elsewhere, and commits from there on.
                let key = (topic, partition);
                if let Some(place) = self.places.get(&key) {
                    books.history.groups.forget(self.group, *place);
                }
                books.tally.count("member moved to the log start");
                self.open_span(key.clone(), books);
                if let Some(span) = self.spans.get_mut(&key) {
                    span.begins_at = Some(to);
                }
            }
            GroupEvent::Committed { offsets } => self.note_commit(&offsets, true, books),
            GroupEvent::CommitLost { offsets } => self.note_commit(&offsets, false, books),
            GroupEvent::CommitFailed { .. } => books.tally.count("commits refused"),
            GroupEvent::Joined { .. } => {
                books.tally.count("group joined");
                self.joined_in = books.history.era;
            }
            GroupEvent::CoordinatorLost { .. } => books.tally.count("coordinator lost"),
            GroupEvent::Failed { .. } => {
                books.tally.count("member failed");
                self.again = Some(books.now.plus_ms(AGAIN_MS));
            }
            GroupEvent::Closed => {
                books.tally.count("member left");
                self.again = Some(books.now.plus_ms(AGAIN_MS));
            }
            _ => {}
        }
    }

    /// A commit was acknowledged, or its answer was lost with its connection.
    fn note_commit(&self, offsets: &[PartitionOffset], accepted: bool, books: &mut Books<'_>) {
        books.tally.count(match accepted {
            true => "commits accepted",
            false => "commits without an answer",
        });
        let generation = self.consumer.generation();
        for one in offsets {
            let key = (one.topic.clone(), one.partition);
            // Of one that takes back commits only what may still land matters.
            let bound = !accepted || !self.takes_back;
            let Some(place) = self.places.get(&key).filter(|_| bound) else {
                continue;
            };
            let at = (self.group, *place, books.history.era);
            let groups = &mut books.history.groups;
            match accepted {
                true => groups.accepted(at, generation, one.offset),
                false => groups.doubt(at, generation, one.offset),
            }
        }
    }

    fn open_span(&mut self, key: Key, books: &mut Books<'_>) {
        let floor = self.places.get(&key).and_then(|place| {
            let history = &books.history;
            history.groups.floor(self.group, *place, history.era)
        });
        let reader = books.history.groups.next_reader();
        let era = books.history.era;
        let span = Span {
            reader,
            floor,
            begins_at: None,
            era,
        };
        self.spans.insert(key, span);
    }

    /// C3: who has which partition in which generation.
    fn note_ownership(&mut self, books: &mut Books<'_>) {
        if self.consumer.state() != MemberState::Stable {
            return;
        }
        let generation = self.consumer.generation();
        // A static member that started again is the same one, whatever its member id.
        let me = self.instance.clone();
        let me = me.unwrap_or_else(|| self.consumer.member_id().to_owned());
        for view in self.consumer.assignment() {
            let key = (view.topic, view.partition);
            let groups = &mut books.history.groups;
            let at = (self.group, generation, self.joined_in);
            if let Some(other) = groups.owns(at, &key, &me) {
                let (topic, partition) = key;
                self.broken.push(format!(
                    "C3: {topic}-{partition} belongs to {other} and to {me} in generation {generation}"
                ));
            }
        }
    }

    fn finish_processing(&mut self, books: &mut Books<'_>) -> bool {
        let due = self.busy.take_if(|(until, _)| *until <= books.now);
        let Some((_, done)) = due else {
            return false;
        };
        for ((topic, partition), next) in done {
            self.consumer.processed(&topic, partition, next);
        }
        true
    }

    fn take_records(&mut self, books: &mut Books<'_>) -> bool {
        let fetched = self.consumer.poll(books.now);
        if fetched.is_empty() {
            return false;
        }
        let mut done = Vec::new();
        for one in &fetched {
            self.take_fetched(one, books);
            done.push(((one.topic.clone(), one.partition), one.next));
        }
        self.busy = Some((books.now.plus_ms(self.slow_ms), done));
        true
    }

    fn take_fetched(&mut self, fetched: &Fetched, books: &mut Books<'_>) {
        let key = (fetched.topic.clone(), fetched.partition);
        let name = format!("{}-{}", key.0, key.1);
        let mut records = Vec::new();
        let visited = fetched.visit(EXPANSION_BYTES, |record| {
            match record.value.and_then(payload::number) {
                Some((number, true)) => records.push((record.offset, number)),
                _ => self
                    .damage
                    .push(format!("{name} at {}: not what was written", record.offset)),
            }
        });
        if let Err(error) = visited {
            self.damage
                .push(format!("{name} from {}: {error}", fetched.from));
        }
        let (Some(place), Some(span)) = (self.places.get(&key), self.spans.get_mut(&key)) else {
            return;
        };
        let begun = span.begins_at.is_none_or(|at| at == fetched.from);
        if span.era != books.history.era || !begun {
            return;
        }
        span.begins_at = None;
        if let Some(floor) = span.floor.take() {
            let kept = fetched.from >= floor || books.history.forgives(*place);
            if !kept {
                let (group, from) = (self.group.0, fetched.from);
                self.broken.push(format!(
                    "C2: group {group} begins at {from} of {name}, though {floor} was committed"
                ));
            }
        }
        books.tally.count("group polls checked");
        books
            .tally
            .add("records read by groups", records.len() as u64);
        books.history.polls.push(Poll {
            reader: span.reader,
            place: *place,
            from: fetched.from,
            next: fetched.next,
            log_start: fetched.log_start,
            records,
            era: books.history.era,
            last: false,
        });
    }
}
