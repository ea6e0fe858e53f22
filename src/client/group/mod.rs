//! The group consumer: a member of a consumer group that reads what the group gives it.
//!
//! Its membership runs by itself; the caller takes records with [`poll`](GroupConsumer::poll), says with
//! [`processed`](GroupConsumer::processed) which are done, and reads events. A caller that holds records longer
//! than `max.poll.interval.ms` is taken out of the group, and a rebalance waits for records that are being
//! processed, both as in Kafka's own consumer. [`close`](GroupConsumer::close) leaves the group; a dropped member
//! is a crashed one, found out by the coordinator when its session ends.
//!
//! Reading itself is the [`Consumer`]'s. Membership has a link of its own, because a JoinGroup waits for all members.

mod assignors;
mod classic;
mod commits;
mod config;
mod coordinator;
mod events;
mod kip848;
mod leaving;
mod offsets;
mod owned;
mod subscription;
mod topics;
mod view;

use std::collections::BTreeMap;

pub use self::assignors::Assignor;
pub use self::config::{CommitPolicy, GroupConfig, GroupProtocol, OffsetReset, Subscription};
pub use self::events::{GroupEvent, PartitionOffset};
pub use self::view::{MemberState, OwnedView};

use self::classic::Classic;
use self::commits::{Commits, Staged};
use self::coordinator::{Coordinator, Sent};
use self::events::Events;
use self::kip848::Modern;
use self::leaving::Leaving;
use self::owned::{Owned, Release};
use self::topics::Subscribed;
use super::consumer::{Fetched, Place, Start};
use super::links::{Answer, Links, Ticket};
use super::machine::OverLinks;
use super::{CallError, ClusterView, Consumer, ConsumerConfig};
use crate::ids::{Offset, PartitionIndex, Time};

/// Partitions one member may be given; an assignment of more is refused.
pub const MAX_OWNED: usize = 10_000;

/// A member of a consumer group as a state machine.
pub struct GroupConsumer {
    config: GroupConfig,
    reader: Consumer,
    coordinator: Coordinator,
    member: Member,
    classic: Classic,
    modern: Modern,
    subscribed: Subscribed,
    owned: BTreeMap<Place, Owned>,
    release: Option<Release>,
    commits: Commits,
    /// Records that wait for their offsets to be committed (`CommitPolicy::BeforeProcessing`).
    staged: Option<Staged>,
    /// Whom [`poll`](Self::poll) serves first.
    turn: Option<Place>,
    /// Since when the caller has had something to do: records to take, or to process.
    busy_since: Option<Time>,
    leaving: Option<Leaving>,
    sent: BTreeMap<Ticket, Sent>,
    events: Events,
    last_step: Time,
}

/// What the coordinator knows the member by.
struct Member {
    state: MemberState,
    /// Empty until it has one.
    id: String,
    /// The group's generation, or the member's epoch; [`NO_GENERATION`] outside of the group.
    generation: i32,
    /// What it was given last, and in which generation, for the sticky assignor.
    remembered: Option<(Vec<Place>, i32)>,
    not_before: Option<Time>,
    failures: u32,
    next_heartbeat: Time,
    last_heard: Time,
}

/// The generation of a member that is in none.
const NO_GENERATION: i32 = -1;

impl GroupConsumer {
    /// A member that joins as soon as it is driven.
    ///
    /// # Errors
    /// [`CallError::Settings`]: a configuration that contradicts itself.
    pub fn new(config: GroupConfig) -> Result<GroupConsumer, CallError> {
        config.check()?;
        let subscribed = Subscribed::new(&config)?;
        let mut reading = ConsumerConfig::new(config.links.clone());
        reading.out_of_range = match config.reset {
            OffsetReset::Earliest => Some(Start::Earliest),
            OffsetReset::Latest => Some(Start::Latest),
            OffsetReset::None => None,
        };
        let mut reader = Consumer::new(reading);
        let links = OverLinks::links(&mut reader);
        links.refresh_every(config.metadata_max_age_ms);
        if subscribed.needs_all_topics() {
            links.want_all_topics();
        }
        Ok(GroupConsumer {
            reader,
            coordinator: Coordinator::default(),
            member: Member {
                state: MemberState::Unjoined,
                id: config.first_member_id(),
                generation: NO_GENERATION,
                remembered: None,
                not_before: None,
                failures: 0,
                next_heartbeat: Time(i64::MIN),
                last_heard: Time(i64::MIN),
            },
            classic: Classic::default(),
            modern: Modern::default(),
            subscribed,
            owned: BTreeMap::new(),
            release: None,
            commits: Commits::default(),
            staged: None,
            turn: None,
            busy_since: None,
            leaving: None,
            sent: BTreeMap::new(),
            events: Events::default(),
            last_step: Time(i64::MIN),
            config,
        })
    }

    /// Takes the next records, at most `max.poll.records`; empty if there are none now. A member that left because
    /// its caller was busy too long joins again.
    pub fn poll(&mut self, now: Time) -> Vec<Fetched> {
        if self.member.state == MemberState::Away {
            self.member.state = MemberState::Unjoined;
        }
        if !self.may_give_out() {
            return Vec::new();
        }
        let taken = if self.config.commit == CommitPolicy::BeforeProcessing {
            self.take_staged()
        } else {
            self.take_records()
        };
        self.busy_since = self.is_busy().then_some(now);
        taken
    }

    /// Says that the records of a partition before `next` are processed. False if the partition is not the
    /// member's (any more): then whoever has it now may process them again.
    pub fn processed(&mut self, topic: &str, partition: PartitionIndex, next: Offset) -> bool {
        let Some(owned) = self.owned.get_mut(&(topic.to_owned(), partition)) else {
            return false;
        };
        if let Some(position) = owned.position {
            owned.processed = owned.processed.max(Some(next.min(position)));
        }
        if !self.is_busy() {
            self.busy_since = None;
        }
        true
    }

    /// Commits what is processed, whatever the policy; the outcome comes as an event. Nothing to commit is no event.
    pub fn commit(&mut self) {
        self.commits.asked = true;
    }

    /// Goes on elsewhere in a partition. False if the partition is not the member's.
    pub fn seek(&mut self, now: Time, topic: &str, partition: PartitionIndex, to: Start) -> bool {
        let place = (topic.to_owned(), partition);
        let known = self.owned.contains_key(&place);
        if known {
            self.unstage(&place);
            self.read_from(now, &place, to);
        }
        known
    }

    /// Stops giving out a partition's records for a while. False if the partition is not the member's.
    pub fn pause(&mut self, topic: &str, partition: PartitionIndex) -> bool {
        self.set_paused(topic, partition, true)
    }

    /// Ends [`pause`](Self::pause).
    pub fn resume(&mut self, topic: &str, partition: PartitionIndex) -> bool {
        self.set_paused(topic, partition, false)
    }

    fn set_paused(&mut self, topic: &str, partition: PartitionIndex, paused: bool) -> bool {
        let place = (topic.to_owned(), partition);
        let Some(owned) = self.owned.get_mut(&place) else {
            return false;
        };
        owned.paused = paused;
        self.hold_or_read(&place);
        if !self.is_busy() {
            self.busy_since = None;
        }
        true
    }

    /// Leaves the group, committing first what is processed unless the policy is never to. A static member is not
    /// taken out of a classic group (KIP-345). Ends in [`MemberState::Closed`].
    pub fn close(&mut self, now: Time) {
        self.begin_leaving(now);
    }

    /// The next thing to report.
    pub fn poll_event(&mut self) -> Option<GroupEvent> {
        self.events.take()
    }

    /// What is known of the cluster.
    pub fn cluster(&self) -> &ClusterView {
        self.reader.cluster()
    }

    fn links_mut(&mut self) -> &mut Links {
        OverLinks::links(&mut self.reader)
    }

    /// Whether records may be given out at all.
    fn may_give_out(&self) -> bool {
        self.leaving.is_none()
            && !matches!(self.member.state, MemberState::Closed | MemberState::Failed)
    }

    /// The end of a member whose coordinator will not have it.
    fn fail(&mut self, error: CallError) {
        self.lose_all();
        self.forget_membership();
        self.member.state = MemberState::Failed;
        self.events.add(GroupEvent::Failed { error });
    }
}

impl OverLinks for GroupConsumer {
    fn links(&mut self) -> &mut Links {
        self.links_mut()
    }

    fn take_answer(&mut self, now: Time, answer: Answer) {
        match self.sent.remove(&answer.ticket) {
            Some(sent) => self.on_answer(now, answer, sent),
            None => OverLinks::take_answer(&mut self.reader, now, answer),
        }
    }

    fn on_lost(&mut self, now: Time, ticket: Ticket, why: &str) {
        match self.sent.remove(&ticket) {
            Some(sent) => self.on_loss(now, sent, why),
            None => OverLinks::on_lost(&mut self.reader, now, ticket, why),
        }
    }

    fn step(&mut self, now: Time) {
        self.last_step = now;
        self.take_fetched(now);
        self.mind_poll_interval(now);
        self.find_coordinator(now);
        self.match_pattern(now);
        match self.config.protocol {
            GroupProtocol::Classic { .. } => self.step_classic(now),
            GroupProtocol::Consumer { .. } => self.step_modern(now),
        }
        self.fetch_offsets(now);
        self.send_commit(now);
        self.step_leaving(now);
        OverLinks::step(&mut self.reader, now);
    }

    fn next_step(&self) -> Option<Time> {
        if matches!(self.member.state, MemberState::Closed | MemberState::Failed) {
            return None;
        }
        // What was due at the last step was done then, or waits for something else in this list.
        self.wakeups()
            .filter(|at| *at > self.last_step)
            .chain(OverLinks::next_step(&self.reader))
            .min()
    }
}

#[cfg(test)]
pub(super) mod tests;
