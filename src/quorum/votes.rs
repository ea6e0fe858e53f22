//! Elections: asking for votes, giving them, and counting them.
//!
//! A voter first asks everybody whether it would win (pre-vote, KIP-996), which changes nothing anywhere; with a
//! majority it enters a new epoch, votes for itself and asks in earnest. A vote is given once per epoch, and only
//! to a candidate whose log is not behind. A voter that hears its leader refuses pre-votes, so that one
//! which alone cannot hear it does not unseat it.

use std::collections::BTreeSet;

use super::requests::{self, Ballot, LeaderWord, Told};
use super::{
    Action, Leading, LogView, Quorum, QuorumLane, Role, Round, Unattached, lanes::Question,
};
use crate::ids::{BrokerId, LeaderEpoch, Time};
use crate::plants::{Plant, planted};
use crate::wire::ErrorCode;
use crate::wire::messages::begin_quorum_epoch::{
    BeginQuorumEpochRequest, BeginQuorumEpochResponse,
};
use crate::wire::messages::end_quorum_epoch::{EndQuorumEpochRequest, EndQuorumEpochResponse};
use crate::wire::messages::vote::{VoteRequest, VoteResponse};

impl Quorum {
    /// Answers a Vote.
    pub fn on_vote(&mut self, now: Time, log: &dyn LogView, request: &VoteRequest) -> VoteResponse {
        let meant = self.is_meant(request.cluster_id.as_deref(), request.voter_id);
        let ballot = meant.and_then(|()| requests::ballot(request));
        let granted = ballot.and_then(|ballot| self.consider(now, log, ballot));
        let told = match granted {
            Ok(granted) => self.answer(ErrorCode::None, granted),
            Err(error) => self.answer(error, false),
        };
        self.turn(now, log);
        requests::vote_answer(&told)
    }

    /// Takes the answer to a Vote in.
    pub fn on_vote_response(
        &mut self,
        now: Time,
        log: &dyn LogView,
        from: BrokerId,
        response: &VoteResponse,
    ) {
        let question = self.lanes.answered(from, QuorumLane::Election);
        let told = requests::vote_told(response);
        self.learn(now, told.epoch, told.leader);
        if let Some(Question::Vote { round }) = question {
            self.count(now, log, from, round, &told);
        }
        self.turn(now, log);
    }

    /// Answers a BeginQuorumEpoch.
    pub fn on_begin_quorum_epoch(
        &mut self,
        now: Time,
        log: &dyn LogView,
        request: &BeginQuorumEpochRequest,
    ) -> BeginQuorumEpochResponse {
        let meant = self.is_meant(request.cluster_id.as_deref(), request.voter_id);
        let word = meant.and_then(|()| requests::begin_word(request));
        let taken = word.and_then(|word| self.begin(now, &word));
        let told = self.answer(taken.err().unwrap_or(ErrorCode::None), false);
        self.turn(now, log);
        requests::begin_answer(&told)
    }

    /// Takes the answer to a BeginQuorumEpoch in.
    pub fn on_begin_response(
        &mut self,
        now: Time,
        log: &dyn LogView,
        from: BrokerId,
        response: &BeginQuorumEpochResponse,
    ) {
        self.lanes.answered(from, QuorumLane::Election);
        let told = requests::begin_told(response);
        self.learn(now, told.epoch, told.leader);
        self.turn(now, log);
    }

    /// Answers an EndQuorumEpoch.
    pub fn on_end_quorum_epoch(
        &mut self,
        now: Time,
        log: &dyn LogView,
        request: &EndQuorumEpochRequest,
    ) -> EndQuorumEpochResponse {
        let meant = self.is_meant(request.cluster_id.as_deref(), -1);
        let word = meant.and_then(|()| requests::end_word(request));
        let taken = word.and_then(|word| self.end(now, &word));
        let told = self.answer(taken.err().unwrap_or(ErrorCode::None), false);
        self.turn(now, log);
        requests::end_answer(&told)
    }

    /// Takes the answer to an EndQuorumEpoch in.
    pub fn on_end_response(
        &mut self,
        now: Time,
        log: &dyn LogView,
        from: BrokerId,
        response: &EndQuorumEpochResponse,
    ) {
        let question = self.lanes.answered(from, QuorumLane::Election);
        let told = requests::end_told(response);
        if let (Role::Resigned(leaving), Some(Question::End { epoch })) = (&mut self.role, question)
            && epoch == self.epoch
        {
            // Whatever it answers, it has heard.
            leaving.untold.remove(&from);
        }
        self.learn(now, told.epoch, told.leader);
        self.turn(now, log);
    }

    /// Whether to grant a vote or a pre-vote.
    fn consider(
        &mut self,
        now: Time,
        log: &dyn LogView,
        ballot: Ballot,
    ) -> Result<bool, ErrorCode> {
        if !self.may_lead(ballot.candidate) || !self.is_voter() {
            return Err(ErrorCode::InconsistentVoterSet);
        }
        if ballot.epoch < self.epoch {
            return Err(ErrorCode::FencedLeaderEpoch);
        }
        if ballot.epoch > self.epoch {
            self.enter_epoch(now, ballot.epoch, None);
        }
        let behind = (ballot.last_epoch, ballot.end) < (log.last_epoch(), log.end());
        if behind && !planted(Plant::VotesForShorterLog) {
            return Ok(false);
        }
        if ballot.pre_vote {
            return Ok(self.would_vote());
        }
        let may = self.may_vote_for(ballot.candidate);
        if may {
            self.enter_epoch(now, self.epoch, Some(ballot.candidate));
        }
        Ok(may)
    }

    /// Whether an election would find this voter willing: it does not hear a leader.
    fn would_vote(&self) -> bool {
        match &self.role {
            Role::Leader(_) => false,
            Role::Follower(following) => {
                let hears = following.contact.is_some() && !following.is_suspect();
                !hears || planted(Plant::IgnoresLeader)
            }
            _ => true,
        }
    }

    /// Whether this epoch's vote is still to be had, or already the candidate's.
    fn may_vote_for(&self, candidate: BrokerId) -> bool {
        if planted(Plant::VotesTwice) && !self.is_leader() {
            return true;
        }
        let free = self.voted.is_none() || self.voted == Some(candidate);
        match &self.role {
            Role::Unattached(_) => free,
            Role::Prospective(round) => free && round.lost.is_none(),
            Role::Candidate(_) | Role::Follower(_) | Role::Leader(_) | Role::Resigned(_) => false,
        }
    }

    /// Counts an answer and draws the consequence.
    fn count(&mut self, now: Time, log: &dyn LogView, from: BrokerId, number: u64, told: &Told) {
        let (Role::Prospective(round) | Role::Candidate(round)) = &mut self.role else {
            return;
        };
        // An answer from an older epoch was overtaken by a vote in this one: it promises nothing.
        if round.number != number || (told.granted && told.epoch != self.epoch) {
            return;
        }
        match told.granted {
            true => round.granted.insert(from),
            false => round.refused.insert(from),
        };
        let lost = round.lost;
        let (granted, refused) = (round.granted.len(), round.refused.len());
        let (majority, voters) = (self.config.majority(), self.config.voters.len());
        let stands = matches!(self.role, Role::Candidate(_));
        if granted >= majority {
            match stands {
                true => self.lead(now, log),
                false => self.stand(now, log),
            }
        } else if voters - refused < majority {
            match lost {
                Some(leader) => self.follow(now, self.epoch, leader),
                None => self.rest(now),
            }
        }
    }

    /// A lost round: another one after a random wait.
    pub(super) fn rest(&mut self, now: Time) {
        let role = self.unattached_within(now, self.config.election_backoff_max_ms);
        self.enter(self.epoch, self.voted, role);
    }

    /// Asks everybody whether it would win.
    pub(super) fn sound_out(&mut self, now: Time, log: &dyn LogView, lost: Option<BrokerId>) {
        let round = self.round(now, lost);
        self.enter(self.epoch, self.voted, Role::Prospective(round));
        if self.config.majority() == 1 {
            self.stand(now, log);
        }
    }

    /// Enters a new epoch, votes for itself and asks for votes.
    fn stand(&mut self, now: Time, log: &dyn LogView) {
        let epoch = LeaderEpoch(self.epoch.0.saturating_add(1));
        if epoch.0 == i32::MAX {
            // Epochs are used up: no honest cluster comes here, and none can go on.
            return self.enter(
                self.epoch,
                self.voted,
                Role::Unattached(Unattached::default()),
            );
        }
        let round = self.round(now, None);
        self.enter(epoch, Some(self.config.me), Role::Candidate(round));
        if self.config.majority() == 1 {
            self.lead(now, log);
        }
    }

    fn round(&mut self, now: Time, lost: Option<BrokerId>) -> Round {
        self.rounds += 1;
        let wait_ms = self.config.election_timeout_ms + self.random_ms();
        Round {
            number: self.rounds,
            granted: BTreeSet::from([self.config.me]),
            refused: BTreeSet::new(),
            until: now.plus_ms(wait_ms),
            lost,
        }
    }

    /// Won.
    fn lead(&mut self, now: Time, log: &dyn LogView) {
        let Role::Candidate(round) = &mut self.role else {
            unreachable!("only a candidate is elected: {:?}", self.role.name());
        };
        let granting = std::mem::take(&mut round.granted);
        let leading = Leading::new(now, log.end());
        self.enter(self.epoch, self.voted, Role::Leader(leading));
        let epoch = self.epoch;
        self.actions.push(Action::BecameLeader { epoch, granting });
    }

    /// A leader says that its epoch began.
    fn begin(&mut self, now: Time, word: &LeaderWord) -> Result<(), ErrorCode> {
        if !self.config.voters.contains(&word.leader) {
            return Err(ErrorCode::InconsistentVoterSet);
        }
        if word.epoch < self.epoch {
            return Err(ErrorCode::FencedLeaderEpoch);
        }
        if word.leader == self.config.me {
            return Err(ErrorCode::InvalidRequest);
        }
        if word.epoch > self.epoch {
            self.follow(now, word.epoch, word.leader);
            return Ok(());
        }
        match &self.role {
            Role::Follower(following) if following.leader == word.leader => {
                // It can be reached again: no reason to wait with the next fetch.
                self.lanes.retry_now(word.leader, QuorumLane::Fetch);
                Ok(())
            }
            Role::Unattached(_) | Role::Prospective(_) | Role::Candidate(_) => {
                self.follow(now, word.epoch, word.leader);
                Ok(())
            }
            // A second leader of one epoch: not in a quorum that keeps its votes.
            Role::Follower(_) | Role::Leader(_) | Role::Resigned(_) => {
                Err(ErrorCode::InvalidRequest)
            }
        }
    }

    /// A leader says that its epoch is over.
    fn end(&mut self, now: Time, word: &LeaderWord) -> Result<(), ErrorCode> {
        if !self.config.voters.contains(&word.leader) {
            return Err(ErrorCode::InconsistentVoterSet);
        }
        if word.epoch < self.epoch {
            return Err(ErrorCode::FencedLeaderEpoch);
        }
        if word.epoch > self.epoch {
            self.enter_epoch(now, word.epoch, None);
            return Ok(());
        }
        let concerned = match &self.role {
            Role::Follower(following) => following.leader == word.leader,
            Role::Unattached(_) | Role::Prospective(_) => true,
            Role::Candidate(_) | Role::Leader(_) | Role::Resigned(_) => false,
        };
        if !concerned {
            return Err(ErrorCode::InvalidRequest);
        }
        let place = word.successors.iter().position(|id| *id == self.config.me);
        let wait_ms = match place {
            Some(0) => 0,
            // The farther behind, the longer it lets the others try.
            Some(_) => self.config.election_backoff_max_ms / 2 + self.random_ms(),
            None => self.config.election_timeout_ms + self.random_ms(),
        };
        let role = self.unattached_for(now, wait_ms);
        self.enter(self.epoch, self.voted, role);
        Ok(())
    }
}
