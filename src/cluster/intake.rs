//! Where one of klar's own consumers gets its records: a group, or partitions it is told to read.
//!
//! Both look alike from here on: records are taken, said to be done or put back, and partitions are paused.

use std::collections::BTreeMap;

use super::chance;
use crate::client::{
    Assignor, CallError, CommitPolicy, Consumer, ConsumerConfig, ConsumerEvent, Fetched,
    GroupConfig, GroupConsumer, GroupEvent, GroupProtocol, LinksConfig, Machine, MemberState,
    OffsetReset, Start, Subscription,
};
use crate::ids::{Offset, PartitionIndex, Time, TopicId};
use crate::inspect::{
    AutoOffsetReset, ClassicAssignor, CommitWhen, ConsumedPartition, ConsumerReads, Failure,
    MemberPlan, MemberProtocol, MembershipSnapshot, Place, ReadFrom, Subscribed,
};

/// Kafka's default of `heartbeat.interval.ms`.
const HEARTBEAT_MS: i32 = 3_000;
/// Heartbeats that fit into a session timeout at least: one may be lost.
const HEARTBEATS: i32 = 3;
/// A partition that could not be read is tried again after this pause, milliseconds.
const READ_AGAIN_MS: i64 = 1_000;

/// Where records come from.
pub enum Intake {
    Member(Box<GroupConsumer>),
    Standalone(Box<Standalone>),
}

/// What became known beside records.
pub enum Note {
    /// Something is different.
    Changed,
    Trouble(Failure),
    /// It has left as it was told to.
    Closed,
    /// It is out of its group for good.
    Failed(Failure),
}

impl Intake {
    /// # Errors
    /// Settings that contradict each other.
    pub fn new(now: Time, reads: &ConsumerReads, links: LinksConfig) -> Result<Intake, Failure> {
        match reads {
            ConsumerReads::Group(plan) => {
                let member = GroupConsumer::new(config(plan, links));
                let member = member.map_err(|error| error.to_failure())?;
                Ok(Intake::Member(Box::new(member)))
            }
            ConsumerReads::Standalone {
                topic,
                partition,
                from,
            } => {
                if topic.is_empty() {
                    let why = CallError::Settings("a standalone consumer reads a topic");
                    return Err(why.to_failure());
                }
                let standalone = Standalone::new(now, topic, *partition, *from, links);
                Ok(Intake::Standalone(Box::new(standalone)))
            }
        }
    }

    pub fn machine(&mut self) -> &mut dyn Machine {
        match self {
            Intake::Member(member) => &mut **member,
            Intake::Standalone(standalone) => &mut standalone.consumer,
        }
    }

    /// The next records; empty if there are none now.
    pub fn take(&mut self, now: Time) -> Vec<Fetched> {
        match self {
            Intake::Member(member) => member.poll(now),
            Intake::Standalone(standalone) => standalone.buffered.take().into_iter().collect(),
        }
    }

    /// Says that the records of a partition before `next` are processed.
    pub fn done(&mut self, (topic, partition): &Place, next: Offset) {
        match self {
            // A partition that is another's by now is not this one's to speak of.
            Intake::Member(member) => _ = member.processed(topic, *partition, next),
            Intake::Standalone(_) => {}
        }
    }

    /// Will not process what it has taken of a partition: it goes on from `first`.
    pub fn put_back(&mut self, now: Time, (topic, partition): &Place, first: Offset) {
        match self {
            Intake::Member(member) => {
                member.seek(now, topic, *partition, Start::Offset(first));
            }
            Intake::Standalone(standalone) => {
                standalone.read_from(now, *partition, Start::Offset(first));
            }
        }
    }

    /// Gives out no records for a while.
    pub fn set_paused(&mut self, now: Time, paused: bool) {
        match self {
            Intake::Member(member) => {
                for view in member.assignment() {
                    match paused {
                        true => member.pause(&view.topic, view.partition),
                        false => member.resume(&view.topic, view.partition),
                    };
                }
            }
            Intake::Standalone(standalone) => standalone.set_paused(now, paused),
        }
    }

    /// Leaves; [`Note::Closed`] says when that is over.
    pub fn close(&mut self, now: Time) {
        match self {
            Intake::Member(member) => member.close(now),
            Intake::Standalone(standalone) => standalone.closed = true,
        }
    }

    /// The next thing to know. Until it is `None`, before records are taken.
    pub fn next_note(&mut self, now: Time) -> Option<Note> {
        match self {
            Intake::Member(member) => member.poll_event().map(note_of),
            Intake::Standalone(standalone) => standalone.next_note(now),
        }
    }

    /// What is to be read, by topic and partition, as far as records were taken.
    pub fn partitions(&self) -> Vec<ConsumedPartition> {
        match self {
            Intake::Member(member) => {
                let shown = member
                    .assignment()
                    .into_iter()
                    .map(|view| ConsumedPartition {
                        topic: view.topic,
                        partition: view.partition,
                        position: view.position,
                        committed: view.committed,
                        paused: view.paused,
                    });
                shown.collect()
            }
            Intake::Standalone(standalone) => standalone.partitions(),
        }
    }

    /// Where a member stands, and its generation.
    pub fn standing(&self) -> Option<(&'static str, i32)> {
        let Intake::Member(member) = self else {
            return None;
        };
        let state = match member.state() {
            MemberState::Unjoined => "unjoined",
            MemberState::Joining => "joining",
            MemberState::Assigning => "assigning",
            MemberState::Syncing => "syncing",
            MemberState::Stable => "stable",
            MemberState::Revoking => "revoking",
            MemberState::Away => "away",
            MemberState::Leaving => "leaving",
            MemberState::Closed => "closed",
            MemberState::Failed => "failed",
        };
        Some((state, member.generation()))
    }

    pub fn membership(&self) -> Option<MembershipSnapshot> {
        let (Intake::Member(member), Some((state, generation))) = (self, self.standing()) else {
            return None;
        };
        Some(MembershipSnapshot {
            id: member.member_id().to_owned(),
            generation,
            state,
            leads: member.is_leader(),
            assignor: member.assignor().map(str::to_owned),
            coordinator: member.coordinator(),
        })
    }

    pub fn next_wakeup(&self) -> Option<Time> {
        match self {
            Intake::Member(member) => member.next_wakeup(),
            Intake::Standalone(standalone) => standalone.next_wakeup(),
        }
    }
}

fn config(plan: &MemberPlan, links: LinksConfig) -> GroupConfig {
    let mut config = GroupConfig::new(links, &plan.group, &[]);
    config.subscription = match &plan.subscription {
        Subscribed::Topics(topics) => Subscription::Topics(topics.clone()),
        Subscribed::Pattern(pattern) => Subscription::Pattern(pattern.clone()),
    };
    config.protocol = match &plan.protocol {
        MemberProtocol::Classic {
            assignor,
            session_timeout_ms,
        } => {
            config.session_timeout_ms = *session_timeout_ms;
            config.heartbeat_interval_ms = HEARTBEAT_MS.min(session_timeout_ms / HEARTBEATS);
            GroupProtocol::Classic {
                assignors: vec![match assignor {
                    ClassicAssignor::Range => Assignor::Range,
                    ClassicAssignor::RoundRobin => Assignor::RoundRobin,
                    ClassicAssignor::Sticky => Assignor::Sticky,
                    ClassicAssignor::CooperativeSticky => Assignor::CooperativeSticky,
                }],
            }
        }
        MemberProtocol::Consumer { assignor } => GroupProtocol::Consumer {
            // Kafka prints all its ids alike.
            member_id: TopicId(chance::bytes()).to_string(),
            assignor: assignor.clone(),
        },
    };
    config.instance_id.clone_from(&plan.instance);
    config.max_poll_records = plan.max_poll_records as usize;
    config.reset = match plan.reset {
        AutoOffsetReset::Earliest => OffsetReset::Earliest,
        AutoOffsetReset::Latest => OffsetReset::Latest,
    };
    config.commit = match plan.commit {
        CommitWhen::Before => CommitPolicy::BeforeProcessing,
        CommitWhen::After => CommitPolicy::AfterProcessing,
        CommitWhen::Interval { ms } => CommitPolicy::Interval { ms: ms.into() },
        CommitWhen::Never => CommitPolicy::Never,
    };
    config
}

fn note_of(event: GroupEvent) -> Note {
    match event {
        GroupEvent::Failed { error } => Note::Failed(error.to_failure()),
        GroupEvent::Closed => Note::Closed,
        GroupEvent::CommitFailed { error, .. } => Note::Trouble(error.to_failure()),
        GroupEvent::PartitionFailed {
            topic,
            partition,
            error,
        } => Note::Trouble(of_partition(&topic, partition, &error)),
        GroupEvent::Moved {
            topic,
            partition,
            from,
            to,
        } => Note::Trouble(moved(&topic, partition, from, to)),
        GroupEvent::Left { why } => Note::Trouble(Failure {
            name: "LEFT_THE_GROUP".into(),
            what: why,
            what_to_do: "It joins again once it has processed what it has taken. Let it take less at once, or \
                         process faster."
                .into(),
        }),
        _ => Note::Changed,
    }
}

fn of_partition(topic: &str, partition: PartitionIndex, error: &CallError) -> Failure {
    let failure = error.to_failure();
    Failure {
        what: format!("{topic}-{partition}: {}", failure.what),
        ..failure
    }
}

fn moved(topic: &str, partition: PartitionIndex, from: Offset, to: Offset) -> Failure {
    Failure {
        name: "OFFSET_OUT_OF_RANGE (1)".into(),
        what: format!("offset {from} of {topic}-{partition} is not in the log"),
        what_to_do: format!("Nothing: it goes on at {to}."),
    }
}

/// A consumer that reads what it is told to.
pub struct Standalone {
    consumer: Consumer,
    topic: String,
    from: Start,
    all: bool,
    /// Partitions it reads, and from where they are tried again once that failed.
    reads: BTreeMap<PartitionIndex, Start>,
    again: BTreeMap<PartitionIndex, Time>,
    buffered: Option<Fetched>,
    paused: bool,
    closed: bool,
    /// The topic's error that was told last.
    told: i16,
}

impl Standalone {
    fn new(
        now: Time,
        topic: &str,
        partition: Option<PartitionIndex>,
        from: ReadFrom,
        links: LinksConfig,
    ) -> Standalone {
        let mut consumer = Consumer::new(ConsumerConfig::new(links));
        consumer.watch_topic(now, topic);
        let from = match from {
            ReadFrom::Earliest => Start::Earliest,
            ReadFrom::Latest => Start::Latest,
            ReadFrom::Offset(offset) => Start::Offset(offset),
            ReadFrom::TimeMs(ms) => Start::TimeMs(ms),
        };
        let mut standalone = Standalone {
            consumer,
            topic: topic.to_owned(),
            from,
            all: partition.is_none(),
            reads: BTreeMap::new(),
            again: BTreeMap::new(),
            buffered: None,
            paused: false,
            closed: false,
            told: 0,
        };
        if let Some(partition) = partition {
            standalone.read_from(now, partition, from);
        }
        standalone
    }

    fn read_from(&mut self, now: Time, partition: PartitionIndex, start: Start) {
        self.reads.insert(partition, start);
        self.again.remove(&partition);
        self.consumer.assign(now, &self.topic, partition, start);
        self.consumer.pause(&self.topic, partition, self.paused);
        if self
            .buffered
            .as_ref()
            .is_some_and(|b| b.partition == partition)
        {
            self.buffered = None;
        }
    }

    fn set_paused(&mut self, now: Time, paused: bool) {
        self.paused = paused;
        if let Some(taken) = self.buffered.take() {
            self.read_from(now, taken.partition, Start::Offset(taken.from));
        }
        for partition in self.reads.keys() {
            self.consumer.pause(&self.topic, *partition, paused);
        }
    }

    /// Reads the partitions that metadata has told of; whether there are new ones.
    fn find_partitions(&mut self, now: Time) -> bool {
        let Some(topic) = self.consumer.cluster().topics.get(&self.topic) else {
            return false;
        };
        let known = i32::try_from(self.reads.len()).unwrap_or(i32::MAX);
        let count = i32::try_from(topic.partitions.len()).unwrap_or(i32::MAX);
        // Everything in a partition that is new is new, too.
        let start = match known {
            0 => self.from,
            _ => Start::Earliest,
        };
        for partition in known..count {
            self.read_from(now, PartitionIndex(partition), start);
        }
        count > known
    }

    fn next_note(&mut self, now: Time) -> Option<Note> {
        if self.closed {
            return Some(Note::Closed);
        }
        if self.all && self.find_partitions(now) {
            return Some(Note::Changed);
        }
        let topic = self.consumer.cluster().topics.get(&self.topic);
        let error = topic.map_or(0, |topic| topic.error);
        if error != self.told {
            self.told = error;
            if error != 0 {
                let error = CallError::broker(error, None);
                return Some(Note::Trouble(error.to_failure()));
            }
        }
        self.note_starts();
        let due = self.again.iter().find(|(_, at)| **at <= now);
        if let Some(partition) = due.map(|(partition, _)| *partition) {
            let start = self.reads[&partition];
            self.read_from(now, partition, start);
        }
        if self.buffered.is_some() {
            return None;
        }
        match self.consumer.poll_event()? {
            ConsumerEvent::Records(fetched) => {
                self.reads
                    .insert(fetched.partition, Start::Offset(fetched.next));
                self.buffered = Some(fetched);
                Some(Note::Changed)
            }
            ConsumerEvent::Moved {
                topic,
                partition,
                from,
                to,
            } => {
                self.reads.insert(partition, Start::Offset(to));
                Some(Note::Trouble(moved(&topic, partition, from, to)))
            }
            ConsumerEvent::Failed {
                topic,
                partition,
                error,
            } => {
                self.again.insert(partition, now.plus_ms(READ_AGAIN_MS));
                Some(Note::Trouble(of_partition(&topic, partition, &error)))
            }
            // Nothing is asked for by hand.
            ConsumerEvent::Offset { .. } => Some(Note::Changed),
        }
    }

    /// Keeps the offset that an end or a time turned out to be, before anything is fetched from there.
    fn note_starts(&mut self) {
        for (partition, start) in &mut self.reads {
            if !matches!(start, Start::Offset(_))
                && let Some(progress) = self.consumer.progress(&self.topic, *partition)
            {
                *start = Start::Offset(progress.position);
            }
        }
    }

    fn partitions(&self) -> Vec<ConsumedPartition> {
        let shown = self.reads.iter().map(|(partition, start)| {
            let buffered = self.buffered.as_ref();
            let buffered = buffered.filter(|b| b.partition == *partition);
            let next = match start {
                Start::Offset(offset) => Some(*offset),
                _ => None,
            };
            ConsumedPartition {
                topic: self.topic.clone(),
                partition: *partition,
                position: buffered.map(|b| b.from).or(next),
                committed: None,
                paused: self.paused,
            }
        });
        shown.collect()
    }

    fn next_wakeup(&self) -> Option<Time> {
        let again = self.again.values().copied();
        again.chain(self.consumer.next_wakeup()).min()
    }
}
