//! What every verb ends with: waits that are over, requests that are due.
//!
//! What is to be sent follows from the role alone, so that a request lost on the way is simply due again. Nothing is
//! sent twice: a lane with a request in flight is not free.

use super::lanes::Question;
use super::requests::{self, Ballot};
use super::role::{Following, Leaving, Role};
use super::snapshots::Download;
use super::{Action, FetchAsked, LogView, Quorum, QuorumLane, QuorumRequest, SnapshotAsked};
use crate::ids::{BrokerId, Offset, Time};

/// Due at once.
const AT_ONCE: Time = Time(i64::MIN);
/// A fetch with nothing new is held by the leader for this part of the fetch timeout.
const FETCH_WAIT_PARTS: i64 = 2;

/// A request that is to be sent once it is due and its lane is free.
struct Errand {
    to: BrokerId,
    lane: QuorumLane,
    due: Time,
}

/// What happens when a role's wait is over.
enum Over {
    SoundOut { lost: Option<BrokerId> },
    Rest,
    LoseLeader(BrokerId),
    StepDown,
}

impl Quorum {
    /// Does what is due. Call it when [`Quorum::next_wakeup`] has come; earlier does no harm.
    pub fn on_tick(&mut self, now: Time, log: &dyn LogView) {
        self.turn(now, log);
    }

    /// When to call [`Quorum::on_tick`] next; `None` when only input changes anything.
    pub fn next_wakeup(&self) -> Option<Time> {
        let wait = self.wait_ends().map(|(until, _)| until);
        let errands = self.errands();
        let errands = errands
            .iter()
            .filter_map(|errand| self.lanes.free_at(errand.to, errand.lane, errand.due));
        let all = errands.chain(wait).chain(self.lanes.next_deadline());
        all.min()
    }

    pub(super) fn turn(&mut self, now: Time, log: &dyn LogView) {
        self.give_up_overdue(now);
        self.end_wait(now, log);
        for errand in self.errands() {
            let free = self.lanes.free_at(errand.to, errand.lane, errand.due);
            if free.is_some_and(|at| at <= now) {
                self.send(now, log, &errand);
            }
        }
        if cfg!(debug_assertions) {
            self.check();
        }
    }

    fn give_up_overdue(&mut self, now: Time) {
        for (to, lane) in self.lanes.overdue(now) {
            let max_ms = self.config.election_backoff_max_ms;
            self.lanes.failed(now, to, lane, max_ms);
            self.actions.push(Action::Hangup { to, lane });
        }
    }

    /// When the role's wait is over, and what then.
    fn wait_ends(&self) -> Option<(Time, Over)> {
        match &self.role {
            Role::Unattached(_) if self.stopping => None,
            Role::Unattached(unattached) => {
                let until = unattached.until?;
                Some((until, Over::SoundOut { lost: None }))
            }
            Role::Prospective(round) => Some((round.until, Over::SoundOut { lost: round.lost })),
            Role::Candidate(round) => Some((round.until, Over::Rest)),
            Role::Follower(following) => {
                Some((following.until, Over::LoseLeader(following.leader)))
            }
            Role::Leader(leading) => {
                let until = self.patience_ends(leading)?;
                Some((until, Over::StepDown))
            }
            Role::Resigned(_) if self.stopping => None,
            Role::Resigned(leaving) => Some((leaving.until, Over::SoundOut { lost: None })),
        }
    }

    fn end_wait(&mut self, now: Time, log: &dyn LogView) {
        match self.wait_ends() {
            Some((until, over)) if until <= now => match over {
                Over::SoundOut { lost } => self.sound_out(now, log, lost),
                Over::Rest => self.rest(now),
                Over::LoseLeader(leader) => self.lose_leader(now, log, leader),
                Over::StepDown => self.step_down(now),
            },
            _ => {}
        }
    }

    /// What the role has to say, and to whom.
    fn errands(&self) -> Vec<Errand> {
        let election = |to: BrokerId, due: Time| Errand {
            to,
            lane: QuorumLane::Election,
            due,
        };
        match &self.role {
            Role::Prospective(round) | Role::Candidate(round) => {
                let answered =
                    |id: &BrokerId| round.granted.contains(id) || round.refused.contains(id);
                let unasked = self.peers().into_iter().filter(|id| !answered(id));
                unasked.map(|to| election(to, AT_ONCE)).collect()
            }
            Role::Leader(leading) => {
                let due = |to: BrokerId| election(to, self.begin_due(leading, to));
                self.peers().into_iter().map(due).collect()
            }
            Role::Resigned(leaving) => {
                let untold = leaving.untold.iter();
                untold.map(|to| election(*to, AT_ONCE)).collect()
            }
            Role::Follower(following) => {
                let ready = following.step.is_none() && !following.waits_for_log;
                let fetch = ready.then_some(Errand {
                    to: following.leader,
                    lane: QuorumLane::Fetch,
                    due: AT_ONCE,
                });
                fetch.into_iter().collect()
            }
            Role::Unattached(_) => self.search().into_iter().collect(),
        }
    }

    /// An observer without a leader asks one voter after the other.
    fn search(&self) -> Option<Errand> {
        let lane = QuorumLane::Fetch;
        let voters = &self.config.voters;
        if self.is_voter() || voters.iter().any(|id| self.lanes.is_busy(*id, lane)) {
            return None;
        }
        let free = |id: &BrokerId| (self.lanes.free_at(*id, lane, AT_ONCE), *id);
        let (_, to) = voters.iter().map(free).min()?;
        let due = AT_ONCE;
        Some(Errand { to, lane, due })
    }

    fn send(&mut self, now: Time, log: &dyn LogView, errand: &Errand) {
        let to = errand.to;
        let waits = errand.lane == QuorumLane::Fetch && !self.may_fetch(log);
        if waits && let Role::Follower(following) = &mut self.role {
            following.waits_for_log = true;
            return;
        }
        let (question, request) = self.question(log, errand);
        if let Role::Leader(leading) = &mut self.role {
            leading.begun.insert(to, now);
        }
        let patience_ms = match errand.lane {
            QuorumLane::Election => self.config.request_timeout_ms,
            QuorumLane::Fetch => self.config.fetch_timeout_ms + self.fetch_wait_ms(),
        };
        let until = now.plus_ms(patience_ms);
        self.lanes.asked(to, errand.lane, question, until);
        self.actions.push(Action::Send { to, request });
    }

    /// The request the role sends to this peer.
    fn question(&self, log: &dyn LogView, errand: &Errand) -> (Question, QuorumRequest) {
        let (cluster_id, epoch) = (self.config.cluster_id.as_str(), self.epoch);
        let to = errand.to;
        match &self.role {
            Role::Prospective(round) | Role::Candidate(round) => {
                let ballot = Ballot {
                    candidate: self.config.me,
                    epoch,
                    last_epoch: log.last_epoch(),
                    end: log.end(),
                    pre_vote: matches!(self.role, Role::Prospective(_)),
                };
                let round = round.number;
                let request = requests::vote(cluster_id, to, ballot);
                (Question::Vote { round }, QuorumRequest::Vote(request))
            }
            Role::Leader(_) => {
                let request = requests::begin(cluster_id, to, self.config.me, epoch);
                (Question::Begin, QuorumRequest::Begin(request))
            }
            Role::Resigned(Leaving { successors, .. }) => {
                let request = requests::end(cluster_id, self.config.me, epoch, successors);
                (Question::End { epoch }, QuorumRequest::End(request))
            }
            Role::Follower(Following {
                download: Some(download),
                ..
            }) => self.ask_for_piece(*download),
            Role::Follower(_) | Role::Unattached(_) => {
                let offset: Offset = log.end();
                let asked = FetchAsked {
                    replica: self.config.me,
                    leader_epoch: epoch,
                    fetch_offset: offset,
                    last_fetched_epoch: log.last_epoch(),
                    high_watermark: self.high_watermark,
                };
                let request = asked.request(cluster_id, self.fetch_wait_ms());
                (
                    Question::Fetch { epoch, offset },
                    QuorumRequest::Fetch(request),
                )
            }
        }
    }

    fn ask_for_piece(&self, download: Download) -> (Question, QuorumRequest) {
        let epoch = self.epoch;
        let asked = SnapshotAsked {
            replica: self.config.me,
            leader_epoch: epoch,
            id: download.id,
            position: download.position,
        };
        let request = asked.request(&self.config.cluster_id);
        (
            Question::Snapshot { epoch, download },
            QuorumRequest::Snapshot(request),
        )
    }

    fn fetch_wait_ms(&self) -> i64 {
        self.config.fetch_timeout_ms / FETCH_WAIT_PARTS
    }
}
