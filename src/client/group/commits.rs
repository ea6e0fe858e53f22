//! OffsetCommit: what is processed, or about to be, as the policy has it. One commit is under way at a time.

use std::collections::BTreeMap;

use super::coordinator::{Ask, Sent, pause_ms};
use super::events::{GroupEvent, offsets_of};
use super::owned::Owned;
use super::subscription::by_topic;
use super::{CommitPolicy, GroupConsumer};
use crate::client::CallError;
use crate::client::consumer::{Fetched, Place};
use crate::client::links::Answer;
use crate::ids::{Offset, PartitionIndex, Time, TopicId};
use crate::wire::messages::offset_commit::{
    OffsetCommitRequest, OffsetCommitRequestPartition, OffsetCommitRequestTopic,
    OffsetCommitResponse,
};
use crate::wire::{ApiKey, ErrorCode, Writer};

/// Last version that names topics by name.
const LAST_WITH_NAMES: i16 = 9;

#[derive(Default)]
pub(super) struct Commits {
    pub in_flight: bool,
    /// The caller asked for a commit of what is processed.
    pub asked: bool,
    not_before: Option<Time>,
    failures: u32,
    /// When the interval is over (`CommitPolicy::Interval`).
    next_interval: Option<Time>,
    /// For the offsets asked for in `offsets.rs`.
    pub fetch_not_before: Option<Time>,
    pub fetch_failures: u32,
}

/// Records that are given out once their offsets are committed.
pub(super) struct Staged {
    pieces: Vec<Fetched>,
}

impl Staged {
    pub fn holds(&self, place: &Place) -> bool {
        self.end(place).is_some()
    }

    fn end(&self, (topic, partition): &Place) -> Option<Offset> {
        let same = |piece: &&Fetched| piece.topic == *topic && piece.partition == *partition;
        self.pieces.iter().find(same).map(|piece| piece.next)
    }
}

impl GroupConsumer {
    /// Records whose offsets are committed; stages the next ones otherwise.
    pub(super) fn take_staged(&mut self) -> Vec<Fetched> {
        if self.staged.is_none() {
            let pieces = self.take_records();
            self.staged = (!pieces.is_empty()).then_some(Staged { pieces });
        }
        let committed = |piece: &Fetched| {
            let owned = self.owned.get(&(piece.topic.clone(), piece.partition));
            owned.is_some_and(|owned| owned.committed == Some(piece.next))
        };
        match &self.staged {
            Some(staged) if staged.pieces.iter().all(committed) => {
                self.staged.take().map(|s| s.pieces).unwrap_or_default()
            }
            _ => Vec::new(),
        }
    }

    /// What was staged is not given out any more, so its offsets are not to be committed either.
    pub(super) fn take_back_staged(&mut self) {
        let pieces = self.staged.iter().flat_map(|staged| &staged.pieces);
        let places: Vec<Place> = pieces.map(|p| (p.topic.clone(), p.partition)).collect();
        places.iter().for_each(|place| self.take_back(place));
    }

    /// The same for one partition.
    fn take_back(&mut self, place: &Place) {
        let of_place = |p: &&Fetched| p.topic == place.0 && p.partition == place.1;
        let pieces = self.staged.iter().flat_map(|staged| &staged.pieces);
        let Some(from) = pieces.filter(of_place).map(|piece| piece.from).min() else {
            return;
        };
        if let Some(owned) = self.owned.get_mut(place) {
            owned.position = Some(from);
        }
        self.unstage(place);
    }

    /// Forgets the staged records of a partition.
    pub(super) fn unstage(&mut self, (topic, partition): &Place) {
        if let Some(staged) = &mut self.staged {
            staged
                .pieces
                .retain(|p| p.topic != *topic || p.partition != *partition);
            if staged.pieces.is_empty() {
                self.staged = None;
            }
        }
    }

    /// The offset to commit for a partition: before processing the end of what is staged, else what is processed.
    fn target(&self, place: &Place, owned: &Owned) -> Option<Offset> {
        if self.config.commit == CommitPolicy::BeforeProcessing {
            let staged = self.staged.as_ref().and_then(|staged| staged.end(place));
            return staged.or(owned.position);
        }
        owned.processed
    }

    pub(super) fn is_uncommitted(&self, place: &Place, owned: &Owned) -> bool {
        let target = self.target(place, owned);
        target.is_some() && target != owned.committed && target != owned.refused
    }

    /// What is to be committed.
    pub(super) fn uncommitted(&self) -> impl Iterator<Item = (Place, Offset)> + '_ {
        self.owned
            .iter()
            .filter(|(place, owned)| self.is_uncommitted(place, owned))
            .filter_map(|(place, owned)| Some((place.clone(), self.target(place, owned)?)))
    }

    /// Whether the policy, the caller or an end has it commit now.
    fn is_commit_due(&mut self, now: Time) -> bool {
        let ending = self.release.is_some() || self.leaving.is_some();
        self.commits.asked
            || match self.config.commit {
                CommitPolicy::BeforeProcessing | CommitPolicy::AfterProcessing => true,
                CommitPolicy::Never => false,
                CommitPolicy::Interval { ms } => {
                    let due = *self.commits.next_interval.get_or_insert(now.plus_ms(ms));
                    ending || due <= now
                }
            }
    }

    pub(super) fn send_commit(&mut self, now: Time) {
        let pausing = self.commits.not_before.is_some_and(|at| at > now);
        if self.commits.in_flight || pausing || !self.is_in_group() || !self.is_commit_due(now) {
            return;
        }
        if let CommitPolicy::Interval { ms } = self.config.commit {
            self.commits.next_interval = Some(now.plus_ms(ms));
        }
        let offsets: Vec<(Place, Offset)> = self.uncommitted().collect();
        if offsets.is_empty() {
            self.commits.asked = false;
            return;
        }
        let request = self.commit_request(&offsets);
        let mut ask = Ask::of(ApiKey::OffsetCommit, self.free_lane());
        if request.topics.iter().any(|t| t.topic_id == TopicId::ZERO) {
            ask.cap = LAST_WITH_NAMES;
        }
        let write = |writer: &mut Writer, version| request.encode(writer, version);
        let generation = self.member.generation;
        let sent = Sent::Commit {
            offsets,
            generation,
        };
        self.commits.in_flight = self.ask_coordinator(now, ask, sent, write);
    }

    fn commit_request(&self, offsets: &[(Place, Offset)]) -> OffsetCommitRequest {
        let at: BTreeMap<&Place, Offset> = offsets.iter().map(|(p, o)| (p, *o)).collect();
        let partition = |topic: &String, index: i32| OffsetCommitRequestPartition {
            partition_index: index,
            committed_offset: at[&(topic.clone(), PartitionIndex(index))].0,
            committed_metadata: Some(String::new()),
            ..OffsetCommitRequestPartition::default()
        };
        let topics = by_topic(offsets.iter().map(|(place, _)| place));
        let topic = |(name, indexes): (String, Vec<i32>)| OffsetCommitRequestTopic {
            topic_id: self.cluster().topic_id(&name),
            partitions: indexes.into_iter().map(|i| partition(&name, i)).collect(),
            name,
        };
        OffsetCommitRequest {
            group_id: self.config.group_id.clone(),
            generation_id_or_member_epoch: self.member.generation,
            member_id: self.member.id.clone(),
            group_instance_id: self.config.instance_id.clone(),
            topics: topics.into_iter().map(topic).collect(),
            ..OffsetCommitRequest::default()
        }
    }

    /// Tries the commit again after a pause.
    pub(super) fn commit_again(&mut self, now: Time) {
        self.commits.in_flight = false;
        self.commits.not_before = Some(now.plus_ms(pause_ms(self.commits.failures)));
        self.commits.failures = self.commits.failures.saturating_add(1);
        // An interval that failed is not waited for again.
        self.commits.next_interval = self.commits.next_interval.map(|_| now);
    }

    pub(super) fn on_commit_lost(&mut self, now: Time, offsets: Vec<(Place, Offset)>) {
        let offsets = offsets_of(offsets);
        self.events.add(GroupEvent::CommitLost { offsets });
        self.commit_again(now);
    }

    pub(super) fn on_committed(
        &mut self,
        now: Time,
        mut answer: Answer,
        offsets: Vec<(Place, Offset)>,
        generation: i32,
    ) {
        self.commits.in_flight = false;
        let decoded = OffsetCommitResponse::decode(&mut answer.reader, answer.version);
        let Ok(response) = decoded else {
            self.commit_again(now);
            return;
        };
        let mut codes = BTreeMap::new();
        for topic in response.topics {
            let name = if answer.version > LAST_WITH_NAMES {
                let name = self.cluster().topic_name(topic.topic_id);
                name.map(str::to_owned).unwrap_or_default()
            } else {
                topic.name
            };
            for p in topic.partitions {
                let place = (name.clone(), PartitionIndex(p.partition_index));
                codes.insert(place, p.error_code);
            }
        }
        let mut by_code: BTreeMap<Option<i16>, Vec<(Place, Offset)>> = BTreeMap::new();
        for (place, offset) in offsets {
            let code = codes.get(&place).copied();
            by_code.entry(code).or_default().push((place, offset));
        }
        for (code, offsets) in by_code {
            self.on_commit_code(now, code, offsets, generation);
        }
    }

    /// Partitions of one commit that got the same answer; `None` is none.
    fn on_commit_code(
        &mut self,
        now: Time,
        code: Option<i16>,
        offsets: Vec<(Place, Offset)>,
        generation: i32,
    ) {
        use ErrorCode as E;
        let error = code.and_then(E::from_code);
        match error {
            Some(E::None) => self.on_commit_done(offsets),
            None if code.is_none() => self.commit_again(now),
            Some(E::RequestTimedOut) => {
                self.lose_coordinator(now, E::RequestTimedOut.name());
                self.commit_again(now);
            }
            // KIP-848: the next heartbeat brings the epoch to commit in.
            Some(E::StaleMemberEpoch) => self.commit_again(now),
            _ if self.is_coordinators(now, error) => self.commit_again(now),
            Some(error @ (E::UnknownTopicOrPartition | E::UnknownTopicId)) => {
                // Of a topic that was deleted nobody will know again: what is being given up need not wait for it.
                let is_going = |(place, _): &(Place, Offset)| self.is_releasing(place);
                let (going, staying): (Vec<_>, Vec<_>) = offsets.into_iter().partition(is_going);
                if !going.is_empty() {
                    let places: Vec<Place> = going.iter().map(|(place, _)| place.clone()).collect();
                    self.on_commit_refused(now, error, error.code(), going, generation);
                    places.iter().for_each(|place| self.take_back(place));
                }
                if !staying.is_empty() {
                    self.commit_again(now);
                }
            }
            Some(error) if error.retriable() => self.commit_again(now),
            _ => {
                let error = error.unwrap_or(E::UnknownServerError);
                self.on_commit_refused(now, error, code.unwrap_or_default(), offsets, generation);
            }
        }
    }

    fn on_commit_done(&mut self, offsets: Vec<(Place, Offset)>) {
        self.commits.failures = 0;
        self.commits.not_before = None;
        for (place, offset) in &offsets {
            if let Some(owned) = self.owned.get_mut(place) {
                owned.committed = Some(*offset);
            }
        }
        let offsets = offsets_of(offsets);
        self.events.add(GroupEvent::Committed { offsets });
    }

    fn on_commit_refused(
        &mut self,
        now: Time,
        error: ErrorCode,
        code: i16,
        offsets: Vec<(Place, Offset)>,
        generation: i32,
    ) {
        // Asked in a generation that is over: what the member kept it commits in the one it is in.
        let late = generation != self.member.generation;
        let rebalancing = error == ErrorCode::RebalanceInProgress || late;
        for (place, offset) in &offsets {
            // What stays with the member through a rebalance is committed after it.
            if let Some(owned) = self.owned.get_mut(place).filter(|_| !rebalancing) {
                owned.refused = Some(*offset);
            }
        }
        self.commits.asked = false;
        self.events.add(GroupEvent::CommitFailed {
            offsets: offsets_of(offsets),
            error: CallError::broker(code, None),
        });
        let fatal = [
            ErrorCode::FencedInstanceId,
            ErrorCode::GroupAuthorizationFailed,
        ];
        if rebalancing {
            self.commit_again(now);
        }
        if generation == self.member.generation {
            if fatal.contains(&error) {
                self.fail(CallError::broker(code, None));
            } else {
                self.on_refused_generation(now, error);
            }
        }
    }

    /// When a commit is due.
    pub(super) fn commit_wakeups(&self) -> [Option<Time>; 3] {
        [
            self.commits.not_before,
            self.commits.next_interval,
            self.commits.fetch_not_before,
        ]
    }
}
