//! The metadata log in a cluster: what the quorum wants done with it, and what it is told.
//!
//! Every call into the quorum goes through [`Broker::with_quorum`], which carries its actions out in order. What is
//! committed and synced here is applied (`controller`); what is not is never in the image. A quorum state that
//! cannot be written, or a leader that contradicts what was committed, ends this broker: it panics, which
//! its driver takes for a crash, because going on could break a promise.

use std::collections::{BTreeSet, VecDeque};

use super::dispatch::{Answer, Answered, Asked};
use super::effect::{Effect, PeerLane};
use super::parked::Waiting;
use super::partition::METADATA_LOG;
use super::peers::{Purpose, Told};
use super::{Broker, STOPS_ITSELF};
use crate::ids::{BrokerId, ConnectionId, LeaderEpoch, Offset, Time};
use crate::inspect::{Durability, EventKind};
use crate::quorum::{
    Action, ElectionState, FetchAsked, FetchTold, FetchVerdict, FollowerStep, LogView,
    MAX_FETCH_BYTES, Quorum, QuorumLane, QuorumRequest,
};
use crate::replica::check_records;
use crate::wire::messages::begin_quorum_epoch::BeginQuorumEpochResponse;
use crate::wire::messages::end_quorum_epoch::EndQuorumEpochResponse;
use crate::wire::messages::fetch::FetchResponse;
use crate::wire::messages::fetch_snapshot::FetchSnapshotResponse;
use crate::wire::messages::vote::VoteResponse;
use crate::wire::{ErrorCode, RecordRanges};

/// The file that remembers epoch and vote.
pub(super) const QUORUM_STATE_FILE: &str = "quorum-state";

/// A replica's fetch of the metadata log that waits for news.
#[derive(Debug)]
pub(super) struct MetadataWait {
    asked: Asked,
    pub fetch: FetchAsked,
}

impl Broker {
    /// Calls into the quorum, then does what it wants done. `None` in a broker alone.
    pub(super) fn with_quorum<T>(
        &mut self,
        now: Time,
        verb: impl FnOnce(&mut Quorum, &dyn LogView) -> T,
    ) -> Option<T> {
        let member = self.member.as_mut()?;
        let view = self
            .metadata_log
            .view(self.config.durability == Durability::Memory);
        let told = verb(&mut member.quorum, &view);
        self.carry_out_quorum(now);
        Some(told)
    }

    /// What the quorum says without being changed.
    pub(super) fn see_quorum<T>(&self, look: impl FnOnce(&Quorum, &dyn LogView) -> T) -> Option<T> {
        let view = self
            .metadata_log
            .view(self.config.durability == Durability::Memory);
        Some(look(&self.member.as_ref()?.quorum, &view))
    }

    fn quorum_actions(&mut self) -> Vec<Action> {
        let member = self.member.as_mut();
        member.map(|m| m.quorum.actions()).unwrap_or_default()
    }

    fn carry_out_quorum(&mut self, now: Time) {
        let mut actions = VecDeque::from(self.quorum_actions());
        while let Some(action) = actions.pop_front() {
            match action {
                Action::Persist(state) => self.persist_quorum(state),
                Action::Send { to, request } => self.send_quorum(now, to, &request),
                Action::Hangup { to, lane } => {
                    let lane = peer_lane(lane);
                    if let Some(member) = self.member.as_mut() {
                        member.peers.forget(to, lane);
                    }
                    self.effects.push(Effect::Hangup { to, lane });
                }
                Action::LeaderChanged { leader, epoch } => {
                    self.on_controller_changed(now, leader, epoch);
                }
                Action::BecameLeader { epoch, granting } => {
                    self.begin_controller_epoch(now, epoch, &granting);
                    self.log_changed(now);
                    actions.extend(self.quorum_actions());
                }
                Action::HighWatermark(_) => self.apply_committed(now),
            }
        }
    }

    /// Tells the quorum of the log without carrying its actions out: whoever calls does.
    fn log_changed(&mut self, now: Time) {
        let view = self
            .metadata_log
            .view(self.config.durability == Durability::Memory);
        if let Some(member) = self.member.as_mut() {
            member.quorum.on_log_changed(now, &view);
            member.polls_due = true;
        }
    }

    /// The metadata log grew, was cut or was synced.
    pub(super) fn on_metadata_log_changed(&mut self, now: Time) {
        self.log_changed(now);
        self.carry_out_quorum(now);
    }

    fn persist_quorum(&mut self, state: ElectionState) {
        let bytes = state.encode();
        let written = self
            .dir
            .write_file(&mut *self.disk, QUORUM_STATE_FILE, &bytes);
        if let Err(error) = written {
            panic!("{STOPS_ITSELF}its vote cannot be written, so it could not be kept: {error}");
        }
    }

    fn send_quorum(&mut self, now: Time, to: BrokerId, request: &QuorumRequest) {
        let version = request.version();
        let purpose = match request {
            QuorumRequest::Vote(_) => Purpose::Vote,
            QuorumRequest::Begin(_) => Purpose::Begin,
            QuorumRequest::End(_) => Purpose::End,
            QuorumRequest::Fetch(_) => Purpose::Metadata,
            QuorumRequest::Snapshot(_) => Purpose::Snapshot,
        };
        self.ask(now, to, version, purpose, |writer| match request {
            QuorumRequest::Vote(body) => body.encode(writer, version),
            QuorumRequest::Begin(body) => body.encode(writer, version),
            QuorumRequest::End(body) => body.encode(writer, version),
            QuorumRequest::Fetch(body) => body.encode(writer, version),
            QuorumRequest::Snapshot(body) => body.encode(writer, version),
        });
    }

    /// Appends the record that opens this broker's epoch as controller.
    fn begin_controller_epoch(
        &mut self,
        now: Time,
        epoch: LeaderEpoch,
        granting: &BTreeSet<BrokerId>,
    ) {
        let (me, voters) = (self.config.id, self.config.voters.clone());
        let appended = self.metadata_log.append_leader_change(
            &mut *self.disk,
            now,
            epoch,
            me,
            &voters,
            granting,
        );
        self.take_log_notes(now, METADATA_LOG);
        match appended {
            Ok(()) => {
                self.take_up_control(now);
                self.tell_control(epoch, granting);
            }
            // Nothing can be decided on this disk: somebody else must.
            Err(_) => self.give_up_control(now),
        }
    }

    fn tell_control(&mut self, epoch: LeaderEpoch, granting: &BTreeSet<BrokerId>) {
        let member = self.member.as_ref().filter(|m| m.controller.is_some());
        let Some(member) = member else {
            return;
        };
        let (_, before) = member.controllers;
        let votes: Vec<String> = granting.iter().map(BrokerId::to_string).collect();
        self.note(EventKind::ControllerChanged {
            from: before,
            epoch,
            cause: format!("it has the votes of brokers {}", votes.join(", ")),
        });
    }

    /// Lets somebody else decide: nothing can be written here.
    pub(super) fn give_up_control(&mut self, now: Time) {
        let view = self
            .metadata_log
            .view(self.config.durability == Durability::Memory);
        if let Some(member) = self.member.as_mut() {
            member.quorum.step_aside(now, &view);
        }
    }

    /// The connection of a quorum lane was lost, or its answer made no sense.
    pub(super) fn on_quorum_lost(&mut self, now: Time, peer: BrokerId, lane: QuorumLane) {
        self.with_quorum(now, |quorum, log| quorum.on_peer_lost(now, log, peer, lane));
    }

    /// The answer to a request of the quorum.
    pub(super) fn on_quorum_answer(&mut self, now: Time, from: BrokerId, told: Told) {
        let Told {
            purpose,
            version,
            mut body,
        } = told;
        let read = match purpose {
            Purpose::Vote => VoteResponse::decode(&mut body, version).map(|told| {
                self.with_quorum(now, |quorum, log| {
                    quorum.on_vote_response(now, log, from, &told);
                });
            }),
            Purpose::Begin => BeginQuorumEpochResponse::decode(&mut body, version).map(|told| {
                self.with_quorum(now, |quorum, log| {
                    quorum.on_begin_response(now, log, from, &told);
                });
            }),
            Purpose::End => EndQuorumEpochResponse::decode(&mut body, version).map(|told| {
                self.with_quorum(now, |quorum, log| {
                    quorum.on_end_response(now, log, from, &told);
                });
            }),
            Purpose::Snapshot => FetchSnapshotResponse::decode(&mut body, version)
                .map(|told| self.take_snapshot_piece(now, from, &told)),
            _ => FetchResponse::decode(&mut body, version)
                .map(|told| self.take_fetched_metadata(now, from, &told)),
        };
        if read.is_err() {
            let lane = match purpose {
                Purpose::Metadata | Purpose::Snapshot => QuorumLane::Fetch,
                _ => QuorumLane::Election,
            };
            let to = from;
            self.effects.push(Effect::Hangup {
                to,
                lane: peer_lane(lane),
            });
            self.on_quorum_lost(now, from, lane);
        }
    }

    /// Does what the controller's answer calls for.
    fn take_fetched_metadata(&mut self, now: Time, from: BrokerId, response: &FetchResponse) {
        let told = FetchTold::from_response(response);
        let step = self.with_quorum(now, |quorum, log| {
            quorum.on_fetch_response(now, log, from, &told)
        });
        match step {
            None | Some(FollowerStep::Nothing | FollowerStep::Keep { .. }) => return,
            Some(FollowerStep::Append) => self.append_fetched_metadata(now, response),
            Some(FollowerStep::Truncate(at)) => {
                let log_end = self.metadata_log.log().log_end();
                let name = super::metadata_log::DIR;
                let log = self.metadata_log.log_mut();
                let end = log.whole_segments_end(at);
                let lowered = self.dir.lower_recovery_point(&mut *self.disk, name, end);
                let cut = lowered.and_then(|()| log.truncate_to(&mut *self.disk, now, at));
                // The log's end tells the quorum that it was not done.
                match cut {
                    Ok(_) => self.note(EventKind::LogTruncated {
                        topic: super::metadata_log::NAME.to_owned(),
                        partition: crate::ids::PartitionIndex(0),
                        from: log_end,
                        to: at,
                        below_high_watermark: None,
                        cause: format!("controller {from} has other records from there on"),
                    }),
                    Err(error) => self.note_metadata_trouble(error.to_string()),
                }
            }
            Some(FollowerStep::Contradicted {
                cut_at,
                high_watermark,
            }) => panic!(
                "controller {from} has no metadata beyond offset {cut_at}, but everything below {high_watermark} is committed: somebody lost what was durable"
            ),
        }
        self.take_log_notes(now, METADATA_LOG);
        self.on_metadata_log_changed(now);
        // A cut may leave the log as durable as it was, and then no sync ends.
        self.apply_committed(now);
    }

    fn append_fetched_metadata(&mut self, now: Time, response: &FetchResponse) {
        let topic = response.responses.first();
        let partition = topic.and_then(|topic| topic.partitions.first());
        let records = partition.and_then(|partition| partition.records.as_ref());
        let Some(records) = records.map(RecordRanges::joined) else {
            return;
        };
        let epoch = self.see_quorum(|quorum, _| quorum.epoch());
        let log = self.metadata_log.log_mut();
        let sound = check_records(&records, (&*log).into(), epoch.unwrap_or(LeaderEpoch::NONE));
        let appended = sound.map_err(|error| error.to_string()).and_then(|()| {
            log.append_as_follower(&mut *self.disk, now, &records)
                .map_err(|error| error.to_string())
        });
        if let Err(cause) = appended {
            self.note_metadata_trouble(cause);
        }
    }

    pub(super) fn note_metadata_trouble(&mut self, cause: String) {
        let path = super::metadata_log::DIR.to_owned();
        self.note(EventKind::StorageFailed { path, cause });
    }

    /// Answers a replica's Fetch of the metadata log, or has it wait for news.
    pub(super) fn answer_metadata_fetch(
        &mut self,
        asked: &Asked,
        cluster_id: Option<&str>,
        max_wait_ms: i32,
        fetch: FetchAsked,
    ) -> Answered {
        if cluster_id.is_some_and(|id| id != self.config.cluster_id) {
            let response = FetchResponse {
                error_code: asked.code(ErrorCode::InconsistentClusterId),
                ..FetchResponse::default()
            };
            let parts = asked.reply(|writer| response.encode(writer, asked.version))?;
            return Ok(Answer::Reply(parts));
        }
        let now = asked.now;
        let verdict = self.with_quorum(now, |quorum, log| quorum.on_fetch(now, log, &fetch));
        let Some(verdict) = verdict else {
            return Ok(Answer::Close("there is no quorum here".to_owned()));
        };
        if max_wait_ms <= 0 || !may_wait(&verdict) {
            return self.metadata_answer(asked, &verdict);
        }
        let wait = MetadataWait {
            asked: asked.clone(),
            fetch,
        };
        let deadline = now.plus_ms(i64::from(max_wait_ms));
        let waiting = Waiting::Metadata(Box::new(wait));
        self.parked.put(asked.connection, Some(deadline), waiting);
        if let Some(member) = self.member.as_mut() {
            member.polls.insert(asked.connection);
        }
        Ok(Answer::Parked)
    }

    fn metadata_answer(&mut self, asked: &Asked, verdict: &FetchVerdict) -> Answered {
        let mut records = RecordRanges::default();
        let log = self.metadata_log.log_mut();
        let log_start = log.log_start();
        if let FetchVerdict::Read { from, below, .. } = *verdict
            && from < below
        {
            let most = usize::try_from(MAX_FETCH_BYTES).unwrap_or(0);
            match log.read(&mut *self.disk, from, below, most, true) {
                Ok(pieces) => records = RecordRanges::from(pieces),
                Err(error) => {
                    let why = format!("the metadata log cannot be read: {error}");
                    return Ok(Answer::Close(why));
                }
            }
        }
        let response = verdict.response(log_start, records);
        let parts = asked.reply(|writer| response.encode(writer, asked.version))?;
        Ok(Answer::Reply(parts))
    }

    /// Looks again at the fetches that wait for news. Call at the end of every verb.
    pub(super) fn judge_metadata_polls(&mut self) {
        let Some(member) = self.member.as_mut() else {
            return;
        };
        if !std::mem::take(&mut member.polls_due) {
            return;
        }
        let polls: Vec<ConnectionId> = member.polls.iter().copied().collect();
        for connection in polls {
            let wait = self.parked.metadata(connection);
            let Some(fetch) = wait.map(|wait| wait.fetch) else {
                continue;
            };
            let verdict = self.see_quorum(|quorum, log| quorum.judge_fetch(log, &fetch));
            if verdict.is_some_and(|verdict| !may_wait(&verdict)) {
                self.end_metadata_poll(connection);
            }
        }
    }

    /// Answers a fetch that waited, as things are now.
    pub(super) fn end_metadata_poll(&mut self, connection: ConnectionId) {
        let Some(Waiting::Metadata(wait)) = self.parked.take(connection) else {
            return;
        };
        if let Some(member) = self.member.as_mut() {
            member.polls.remove(&connection);
        }
        let verdict = self.see_quorum(|quorum, log| quorum.judge_fetch(log, &wait.fetch));
        let answered = match verdict {
            Some(verdict) => self.metadata_answer(&wait.asked, &verdict),
            None => Ok(Answer::Close("there is no quorum here".to_owned())),
        };
        self.conclude(&wait.asked, answered);
    }

    /// The end of what is committed and durable here.
    pub(super) fn committed_end(&self) -> Option<Offset> {
        self.see_quorum(|quorum, log| {
            let committed = quorum.high_watermark()?;
            Some(committed.min(log.durable_end()))
        })?
    }
}

fn peer_lane(lane: QuorumLane) -> PeerLane {
    match lane {
        QuorumLane::Election => PeerLane::Quorum,
        QuorumLane::Fetch => PeerLane::Metadata,
    }
}

/// Whether a fetch may be held back with this verdict.
fn may_wait(verdict: &FetchVerdict) -> bool {
    matches!(verdict, FetchVerdict::Read { news: false, .. })
}
