//! A partition's leader in one leader epoch: how far its followers are, the high watermark, the in-sync
//! replicas.
//!
//! Verbs, and when to call them: [`Leader::new`] when metadata made this broker the leader, once per leader
//! epoch; [`Leader::on_brokers`] right after that and whenever a broker's registration changed;
//! [`Leader::on_append`] (and [`Leader::on_synced`]) when the log grew; [`Leader::on_fetch`] for each partition of
//! a follower's fetch, named in it or remembered by its session, before reading;
//! [`Leader::on_metadata`] when a record about the partition was applied; [`Leader::wanted_isr`] after any of
//! these, and [`Leader::on_alter_outcome`] exactly once per proposal; [`Leader::on_tick`] at
//! [`Leader::next_wakeup`]. Those that return a bool say whether the high watermark moved.
//!
//! Guarantees: H1, H3, H4 and E8, given that the controller grows the in-sync replicas only as a leader asks,
//! and answers an AlterPartition only once it is committed. The maximal in-sync replicas (those in metadata and
//! all a proposal named that may have been accepted) contain what the controller has (E4): only newer metadata,
//! or a refusal that proves that no such proposal was or will be accepted, makes them smaller (E7). For the rare
//! case of a lost answer followed by a refusal it asks again for what it already has: the controller must
//! raise the partition epoch on every proposal it accepts, also one that changes nothing.
//! Appending and fetching cost a walk over the followers and allocate nothing. Reads no log, knows no
//! connections.

use super::config::LeaderConfig;
use super::in_sync::{FollowerFacts, Progress, Registration};
use super::truncation::{LogFacts, divergence, proves_common};
use crate::ids::{BrokerEpoch, BrokerId, LeaderEpoch, Offset, Time};
use crate::plants::{Plant, planted};
use crate::wire::ErrorCode;

/// Milliseconds between a proposal that was refused, or whose answer did not come, and the next.
const RETRY_MS: i64 = 100;

/// What metadata says of the partition.
#[derive(Debug, Clone, Copy)]
pub struct Assignment<'a> {
    pub leader_epoch: LeaderEpoch,
    pub partition_epoch: i32,
    pub replicas: &'a [BrokerId],
    pub isr: &'a [BrokerId],
    /// The leader was elected although records may be lost, and has not said yet that it is done with that.
    pub recovering: bool,
}

/// The partition's part of a follower's fetch.
#[derive(Debug, Clone, Copy)]
pub struct FollowerFetch {
    pub replica: BrokerId,
    /// The sender's, from the request's replica state.
    pub broker_epoch: BrokerEpoch,
    /// The one the follower believes in (`current_leader_epoch`).
    pub leader_epoch: LeaderEpoch,
    pub fetch_offset: Offset,
    pub last_fetched_epoch: LeaderEpoch,
    pub log_start: Offset,
}

/// Why a follower's fetch reads nothing. It did not count either.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FetchRefusal {
    /// FENCED_LEADER_EPOCH: the follower has not heard of this leader epoch yet.
    OldEpoch,
    /// UNKNOWN_LEADER_EPOCH: this leader has not heard of the follower's leader epoch yet.
    NewerEpoch,
    /// NOT_LEADER_OR_FOLLOWER: it is no replica of this partition.
    NotReplica,
    /// NOT_LEADER_OR_FOLLOWER: a newer incarnation of the broker is registered.
    StaleIncarnation,
    /// No error: answered as the diverging epoch.
    Diverging { epoch: LeaderEpoch, end: Offset },
    /// NOT_LEADER_OR_FOLLOWER: see [`Leader::leads`].
    NotYetLeader,
    /// OFFSET_OUT_OF_RANGE. The answer must carry the log start: the follower begins there, also when its log
    /// ends just there and what it holds cannot be compared any more.
    OutOfRange,
}

/// A member of in-sync replicas to be, as AlterPartition names it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct IsrMember {
    pub broker: BrokerId,
    /// Of the incarnation the leader knows the position of; none if it has not fetched in this leader epoch.
    pub broker_epoch: BrokerEpoch,
}

/// Why a member leaves the in-sync replicas.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Leaving {
    /// It has not caught up since, for longer than `replica.lag.time.max.ms`.
    Behind { caught_up: Option<Time> },
    /// It asked for records it was known to have.
    LostRecords {
        log_end: Offset,
        high_watermark: Offset,
    },
}

/// Which proposal an outcome belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Attempt {
    pub leader_epoch: LeaderEpoch,
    /// Counts the proposals of one leader epoch.
    pub number: u64,
}

/// In-sync replicas to ask the controller for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Proposal {
    /// To be given back with the outcome.
    pub attempt: Attempt,
    pub leader_epoch: LeaderEpoch,
    pub partition_epoch: i32,
    pub isr: Vec<IsrMember>,
    pub joins: Vec<BrokerId>,
    pub leaves: Vec<(BrokerId, Leaving)>,
}

/// What became of a proposal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// The controller's answer for the partition, with error 0.
    Accepted {
        isr: Vec<BrokerId>,
        leader_epoch: LeaderEpoch,
        partition_epoch: i32,
    },
    /// The controller's answer for the partition, or for the whole request, with an error.
    Refused(ErrorCode),
    /// No answer: the connection was lost, or it took too long.
    Unknown,
}

/// Whether an acks=all produce is done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Acked {
    Waiting,
    Yes,
    /// NOT_ENOUGH_REPLICAS_AFTER_APPEND.
    TooFew,
}

/// NOT_ENOUGH_REPLICAS: an acks=all produce must not be appended now.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{in_sync} replicas are in sync, fewer than min.insync.replicas = {needed}")]
pub struct NotEnoughReplicas {
    pub in_sync: usize,
    pub needed: usize,
}

/// One partition this broker leads, in one leader epoch.
#[derive(Debug, Clone)]
pub struct Leader {
    me: BrokerId,
    config: LeaderConfig,
    leader_epoch: LeaderEpoch,
    partition_epoch: i32,
    /// The log end when this broker became leader.
    epoch_start: Offset,
    high_watermark: Offset,
    log_end: Offset,
    /// Up to where the leader's own copy counts.
    own_end: Offset,
    /// By id; this broker is not among them.
    followers: Vec<Progress>,
    /// Of this incarnation of this broker.
    broker_epoch: BrokerEpoch,
    /// Metadata knows this incarnation.
    registered: bool,
    /// Metadata still has it as elected uncleanly.
    recovering: bool,
    attempts: u64,
    in_flight: bool,
    /// No proposal before this moment.
    retry_at: Option<Time>,
}

impl Leader {
    /// Takes up leadership with a log that ends at `log_end`, of which `high_watermark` is known to be committed.
    ///
    /// `broker_epoch` is this incarnation's: see [`Leader::leads`].
    pub fn new(
        me: BrokerId,
        broker_epoch: BrokerEpoch,
        config: LeaderConfig,
        assignment: Assignment<'_>,
        log_end: Offset,
        high_watermark: Offset,
        now: Time,
    ) -> Leader {
        let high_watermark = high_watermark.min(log_end);
        let mut leader = Leader {
            me,
            config,
            leader_epoch: assignment.leader_epoch,
            partition_epoch: assignment.partition_epoch,
            epoch_start: log_end,
            high_watermark,
            log_end,
            own_end: match config.waits_for_sync {
                true => high_watermark,
                false => log_end,
            },
            followers: Vec::new(),
            broker_epoch,
            registered: false,
            recovering: assignment.recovering,
            attempts: 0,
            in_flight: false,
            retry_at: None,
        };
        leader.set_replicas(now, assignment.replicas, assignment.isr);
        if planted(Plant::AssumesPositions) {
            let members = leader.followers.iter_mut().filter(|f| f.in_isr);
            members.for_each(|f| f.log_end = Some(log_end));
        }
        leader
    }

    /// The log grew to `log_end`.
    pub fn on_append(&mut self, now: Time, log_end: Offset) -> bool {
        self.log_end = self.log_end.max(log_end);
        if !self.config.waits_for_sync {
            self.own_end = self.log_end;
        }
        self.advance(now)
    }

    /// Everything below `synced` is on the disk. Matters only with [`LeaderConfig::waits_for_sync`]; call it right
    /// after [`Leader::new`], too.
    pub fn on_synced(&mut self, now: Time, synced: Offset) -> bool {
        if self.config.waits_for_sync {
            self.own_end = self.own_end.max(synced.min(self.log_end));
        }
        self.advance(now)
    }

    /// Judges and counts a follower's fetch. `Ok` lets it read from `fetch_offset` up to the log end, not just to
    /// the high watermark.
    pub fn on_fetch(
        &mut self,
        now: Time,
        asked: &FollowerFetch,
        log: LogFacts<'_>,
    ) -> Result<bool, FetchRefusal> {
        if !self.leads() {
            return Err(FetchRefusal::NotYetLeader);
        }
        if !planted(Plant::NoEpochFence) {
            self.check_leader_epoch(asked.leader_epoch)?;
        }
        let follower = self.followers.iter_mut().find(|f| f.id == asked.replica);
        let follower = follower.ok_or(FetchRefusal::NotReplica)?;
        if follower.is_stale(asked.broker_epoch) && !planted(Plant::NoIncarnationFence) {
            return Err(FetchRefusal::StaleIncarnation);
        }
        let from = asked.fetch_offset;
        if let Some((epoch, end)) = divergence(log, from, asked.last_fetched_epoch)
            && !planted(Plant::OverlooksDivergence)
        {
            return Err(FetchRefusal::Diverging { epoch, end });
        }
        if from < log.start || from > log.end || keeps_unproven(asked, log) {
            return Err(FetchRefusal::OutOfRange);
        }
        follower.on_fetch(now, asked.broker_epoch, from, asked.log_start, log.end);
        Ok(self.advance(now))
    }

    /// Whether a request that names this leader epoch means this leader. What a client's fetch may leave out
    /// (−1), a follower's may not: its position would count in an epoch it has not heard of.
    fn check_leader_epoch(&self, asked: LeaderEpoch) -> Result<(), FetchRefusal> {
        match asked.cmp(&self.leader_epoch) {
            std::cmp::Ordering::Less => Err(FetchRefusal::OldEpoch),
            std::cmp::Ordering::Equal => Ok(()),
            std::cmp::Ordering::Greater => Err(FetchRefusal::NewerEpoch),
        }
    }

    /// What committed metadata says of the brokers. `registered` is asked about each replica.
    pub fn on_brokers(
        &mut self,
        now: Time,
        registered: impl Fn(BrokerId) -> Option<Registration>,
    ) -> bool {
        self.registered = registered(self.me).map(|r| r.broker_epoch) == Some(self.broker_epoch);
        for follower in &mut self.followers {
            follower.set_registration(registered(follower.id));
        }
        self.advance(now)
    }

    /// Takes in what metadata says of the partition now, in this leader epoch (another needs another
    /// [`Leader`]). Replicas that are new need [`Leader::on_brokers`] before they can join.
    pub fn on_metadata(&mut self, now: Time, assignment: Assignment<'_>) -> bool {
        let ours = assignment.leader_epoch == self.leader_epoch;
        if !ours || assignment.partition_epoch <= self.partition_epoch {
            return false;
        }
        self.set_replicas(now, assignment.replicas, assignment.isr);
        self.recovering = assignment.recovering;
        self.accept(now, assignment.partition_epoch, assignment.isr)
    }

    /// `min.insync.replicas` changed.
    pub fn set_min_insync(&mut self, now: Time, min_insync: usize) -> bool {
        self.config.min_insync = min_insync;
        self.advance(now)
    }

    /// Lets time pass: the high watermark stops waiting for a follower that does not join after all.
    pub fn on_tick(&mut self, now: Time) -> bool {
        self.advance(now)
    }

    /// In-sync replicas to ask the controller for, if they should change and nothing is being asked.
    pub fn wanted_isr(&mut self, now: Time) -> Option<Proposal> {
        let too_early = self.retry_at.is_some_and(|at| now < at);
        if self.in_flight || too_early || !self.leads() || !self.needs_proposal(now) {
            return None;
        }
        self.in_flight = true;
        self.retry_at = None;
        self.attempts += 1;
        let me = IsrMember {
            broker: self.me,
            broker_epoch: self.broker_epoch,
        };
        let mut proposal = Proposal {
            attempt: self.attempt(),
            leader_epoch: self.leader_epoch,
            partition_epoch: self.partition_epoch,
            isr: vec![me],
            joins: Vec::new(),
            leaves: Vec::new(),
        };
        for n in 0..self.followers.len() {
            let follower = &self.followers[n];
            let id = follower.id;
            match self.belongs(follower, now) {
                Ok(true) => {
                    proposal.isr.push(IsrMember {
                        broker: id,
                        broker_epoch: match planted(Plant::NoIncarnationFence) {
                            true => follower.registered_epoch(),
                            false => follower.broker_epoch,
                        },
                    });
                    if !follower.in_isr {
                        proposal.joins.push(id);
                    }
                    self.followers[n].proposed = true;
                }
                Ok(false) => {}
                Err(why) => proposal.leaves.push((id, why)),
            }
        }
        Some(proposal)
    }

    /// Takes in what became of a proposal.
    pub fn on_alter_outcome(&mut self, now: Time, attempt: Attempt, outcome: Outcome) -> bool {
        if let Outcome::Accepted {
            isr,
            leader_epoch,
            partition_epoch,
        } = &outcome
            && *leader_epoch == self.leader_epoch
            && *partition_epoch > self.partition_epoch
        {
            // Each proposal says that the leader is done with an unclean election: there is nothing to recover.
            self.recovering = false;
            // Also after a newer proposal was made: it is what the controller has.
            return self.accept(now, *partition_epoch, isr);
        }
        if !self.in_flight || attempt != self.attempt() {
            return false;
        }
        let unchanged = matches!(
            &outcome,
            Outcome::Accepted { leader_epoch, partition_epoch, .. }
                if *leader_epoch == self.leader_epoch && *partition_epoch == self.partition_epoch
        );
        // Both say that the partition epoch is right and that this request, sent once, was not carried out.
        let untouched = matches!(
            outcome,
            Outcome::Refused(ErrorCode::IneligibleReplica | ErrorCode::OperationNotAttempted)
        );
        let void = unchanged || untouched || planted(Plant::RollsBackUnknown);
        for follower in &mut self.followers {
            follower.suspect |= follower.proposed && !void;
            follower.proposed = false;
        }
        self.in_flight = false;
        self.retry_at = Some(now.plus_ms(RETRY_MS));
        self.advance(now)
    }

    /// When [`Leader::on_tick`] and then [`Leader::wanted_isr`] are to be called next; `None` when only input
    /// changes anything.
    pub fn next_wakeup(&self, now: Time) -> Option<Time> {
        let lag_ms = self.config.lag_time_max_ms;
        let held_back = self.high_watermark < self.own_end;
        let patience = self
            .followers
            .iter()
            .filter(|f| held_back && f.is_joining(now, self.log_end, lag_ms))
            .map(Progress::patience_ends)
            .min();
        if self.in_flight {
            return patience;
        }
        let proposal = match self.leads() && self.needs_proposal(now) {
            true => Some(self.retry_at.unwrap_or(now)),
            false => {
                let followers = self.followers.iter().filter(|_| self.leads());
                let leaves = followers.filter_map(|f| f.leaves_at(self.log_end, lag_ms));
                leaves.min()
            }
        };
        patience.into_iter().chain(proposal).min()
    }

    /// Whether metadata knows this incarnation of this broker. Until then it must answer everything about the
    /// partition NOT_LEADER_OR_FOLLOWER, and append nothing. After a restart old metadata may name it the leader
    /// of an epoch that it led before: what it had proposed in it is forgotten (E7), and if its log is shorter now
    /// it would give an offset to a second record in the same epoch (D3), or have followers cut what is
    /// committed (D1). Registering anew ends that epoch.
    pub fn leads(&self) -> bool {
        self.registered || planted(Plant::LeadsUnregistered)
    }

    /// Where committed records end.
    pub fn high_watermark(&self) -> Offset {
        self.high_watermark
    }

    /// Whether the high watermark covers everything from before this leader epoch. Until then it may be lower
    /// than an earlier leader's, so no latest offset is answered: OFFSET_NOT_AVAILABLE (H4).
    pub fn may_answer_latest(&self) -> bool {
        self.high_watermark >= self.epoch_start
    }

    /// Whether an acks=all produce may be appended now.
    pub fn judge_append(&self) -> Result<(), NotEnoughReplicas> {
        let (in_sync, needed) = (self.isr_size(), self.needed());
        match in_sync >= needed {
            true => Ok(()),
            false => Err(NotEnoughReplicas { in_sync, needed }),
        }
    }

    /// Whether an acks=all produce whose records end before `next_offset` is done.
    pub fn acked(&self, next_offset: Offset) -> Acked {
        if self.high_watermark < next_offset && !planted(Plant::AcksUnreplicated) {
            return Acked::Waiting;
        }
        match self.judge_append() {
            Ok(()) => Acked::Yes,
            Err(_) => Acked::TooFew,
        }
    }

    pub fn leader_epoch(&self) -> LeaderEpoch {
        self.leader_epoch
    }

    pub fn partition_epoch(&self) -> i32 {
        self.partition_epoch
    }

    /// Where the leader's log ends.
    pub fn log_end(&self) -> Offset {
        self.log_end
    }

    /// The log end when this broker became leader.
    pub fn epoch_start(&self) -> Offset {
        self.epoch_start
    }

    /// The in-sync replicas as the controller last told, this broker first.
    pub fn isr(&self) -> impl Iterator<Item = BrokerId> {
        let followers = self.followers.iter().filter(|f| f.in_isr);
        std::iter::once(self.me).chain(followers.map(|f| f.id))
    }

    /// Those the high watermark waits for, this broker first.
    pub fn maximal_isr(&self) -> impl Iterator<Item = BrokerId> {
        let followers = self.followers.iter().filter(|f| f.in_maximal_isr());
        std::iter::once(self.me).chain(followers.map(|f| f.id))
    }

    /// Every follower as pictures show it, by id.
    pub fn followers(&self) -> impl Iterator<Item = FollowerFacts> {
        let lag_ms = self.config.lag_time_max_ms;
        let facts = move |f: &Progress| f.facts(self.log_end, lag_ms);
        self.followers.iter().map(facts)
    }

    /// Whether an AlterPartition is under way.
    pub fn is_proposing(&self) -> bool {
        self.in_flight
    }

    /// What must hold at any moment.
    pub fn check(&self) {
        assert!(self.high_watermark <= self.log_end, "{self:?}");
        assert!(self.own_end <= self.log_end);
        assert!(self.followers.windows(2).all(|f| f[0].id < f[1].id));
        assert!(self.followers.iter().all(|f| f.id != self.me));
        assert!(self.in_flight || self.followers.iter().all(|f| !f.proposed));
        assert!(
            self.followers.iter().all(|f| !f.counts_stale()),
            "E6: what an incarnation had that is over counts for the next: {self:?}"
        );
    }

    /// Moves the high watermark up as far as every member of the maximal in-sync replicas has come (H3).
    fn advance(&mut self, now: Time) -> bool {
        let too_few = self.isr_size() < self.needed() && !planted(Plant::IgnoresMinInsync);
        if too_few || !self.leads() {
            return false;
        }
        let lag_ms = self.config.lag_time_max_ms;
        let mut to = self.own_end;
        for follower in &self.followers {
            let waits_for = match planted(Plant::NoMaximalIsr) {
                true => follower.in_isr,
                false => {
                    follower.in_maximal_isr() || follower.is_joining(now, self.log_end, lag_ms)
                }
            };
            if waits_for && !planted(Plant::HighWatermarkIsMax) {
                match follower.log_end {
                    Some(end) => to = to.min(end),
                    None => return false,
                }
            }
        }
        let moves = to > self.high_watermark;
        self.high_watermark = self.high_watermark.max(to);
        moves
    }

    /// The in-sync replicas are these, and no proposal made for an older partition epoch can be accepted.
    fn accept(&mut self, now: Time, partition_epoch: i32, isr: &[BrokerId]) -> bool {
        self.partition_epoch = partition_epoch;
        for follower in &mut self.followers {
            follower.settle(isr.contains(&follower.id), now);
        }
        self.in_flight = false;
        self.retry_at = None;
        self.advance(now)
    }

    fn set_replicas(&mut self, now: Time, replicas: &[BrokerId], isr: &[BrokerId]) {
        self.followers.retain(|f| replicas.contains(&f.id));
        for id in replicas.iter().filter(|id| **id != self.me) {
            if let Err(place) = self.followers.binary_search_by_key(id, |f| f.id) {
                let follower = Progress::new(*id, isr.contains(id), now);
                self.followers.insert(place, follower);
            }
        }
    }

    fn attempt(&self) -> Attempt {
        Attempt {
            leader_epoch: self.leader_epoch,
            number: self.attempts,
        }
    }

    fn isr_size(&self) -> usize {
        1 + self.followers.iter().filter(|f| f.in_isr).count()
    }

    /// `min.insync.replicas`, at most the number of replicas.
    fn needed(&self) -> usize {
        self.config.min_insync.min(1 + self.followers.len())
    }

    fn needs_proposal(&self, now: Time) -> bool {
        let mut followers = self.followers.iter();
        self.recovering || followers.any(|f| f.suspect || self.belongs(f, now) != Ok(f.in_isr))
    }

    /// Whether a follower belongs to the in-sync replicas; an error is why a member no longer does.
    fn belongs(&self, follower: &Progress, now: Time) -> Result<bool, Leaving> {
        if !follower.in_isr {
            return Ok(self.may_join(follower, now));
        }
        if let Some(log_end) = follower.log_end.filter(|end| *end < self.high_watermark) {
            return Err(Leaving::LostRecords {
                log_end,
                high_watermark: self.high_watermark,
            });
        }
        let lag_ms = self.config.lag_time_max_ms;
        match follower.is_caught_up(now, self.log_end, lag_ms) {
            true => Ok(true),
            false => Err(Leaving::Behind {
                caught_up: follower.caught_up_since(),
            }),
        }
    }

    /// Whether a follower may come in: with every committed record, and as close to the end as a member has to be.
    /// One that fell silent in front of a high watermark that waits for others would be let in again and again, each
    /// time for a whole lag, and with two of them nothing would be committed any more.
    fn may_join(&self, follower: &Progress, now: Time) -> bool {
        let least = match planted(Plant::JoinsBelow) {
            true => Offset::ZERO,
            false => self.high_watermark.max(self.epoch_start),
        };
        let registered = follower.is_eligible() || planted(Plant::NoIncarnationFence);
        let lag_ms = self.config.lag_time_max_ms;
        registered
            && follower.log_end.is_some_and(|end| end >= least)
            && follower.is_caught_up(now, self.log_end, lag_ms)
    }
}

/// Whether all a follower has lies below the log start, and may be something else than what was deleted here. It
/// would count as in sync before it hears of the log start, and might be elected with it.
fn keeps_unproven(asked: &FollowerFetch, log: LogFacts<'_>) -> bool {
    asked.fetch_offset == log.start
        && asked.log_start < asked.fetch_offset
        && asked.last_fetched_epoch >= LeaderEpoch(0)
        && !proves_common(log, asked.fetch_offset, asked.last_fetched_epoch)
}
