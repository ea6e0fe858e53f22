//! Where to go on reading: OffsetFetch for partitions that are new to the member.

use std::collections::BTreeMap;

use super::coordinator::{Ask, Sent, pause_ms};
use super::owned::Phase;
use super::subscription::by_topic;
use super::{GroupConsumer, MemberState, OffsetReset};
use crate::client::CallError;
use crate::client::consumer::{Place, Start};
use crate::client::links::Answer;
use crate::ids::{Offset, PartitionIndex, Time, TopicId};
use crate::wire::messages::offset_fetch::{
    OffsetFetchRequest, OffsetFetchRequestGroup, OffsetFetchRequestTopic, OffsetFetchRequestTopics,
    OffsetFetchResponse, OffsetFetchResponsePartitions,
};
use crate::wire::{ApiKey, ErrorCode, Writer};

/// First version that asks for several groups.
const FIRST_OF_GROUPS: i16 = 8;
/// First version that names topics by id.
const FIRST_WITH_IDS: i16 = 10;
/// First version that can wait for open transactions to end (KIP-447).
const FIRST_STABLE: i16 = 7;

/// Committed offsets and errors by partition, or the error of the whole answer.
type Found = Result<BTreeMap<Place, (i16, i64)>, i16>;

impl GroupConsumer {
    /// Asks for the committed offsets of partitions that are not read yet.
    pub(super) fn fetch_offsets(&mut self, now: Time) {
        let pausing = self.commits.fetch_not_before.is_some_and(|at| at > now);
        if pausing || self.coordinator.known.is_none() || self.leaving.is_some() {
            return;
        }
        let places: Vec<(Place, u64)> = self
            .owned
            .iter()
            .filter(|(_, owned)| owned.phase == Phase::Unknown)
            .map(|(place, owned)| (place.clone(), owned.stamp))
            .collect();
        if places.is_empty() {
            return;
        }
        let topics = by_topic(places.iter().map(|(place, _)| place));
        let ids: BTreeMap<String, TopicId> = topics
            .keys()
            .map(|topic| (topic.clone(), self.cluster().topic_id(topic)))
            .collect();
        let lane = self.free_lane();
        let mut ask = Ask::of(ApiKey::OffsetFetch, lane);
        if ids.values().any(|id| *id == TopicId::ZERO) {
            ask.cap = FIRST_WITH_IDS - 1;
        }
        let group_id = self.config.group_id.clone();
        let write = |writer: &mut Writer, version| {
            request(version, group_id, topics, &ids).encode(writer, version)
        };
        let sent = Sent::OffsetFetch(places.clone());
        if self.ask_coordinator(now, ask, sent, write) {
            for (place, _) in places {
                if let Some(owned) = self.owned.get_mut(&place) {
                    owned.phase = Phase::Asked;
                }
            }
        }
    }

    pub(super) fn ask_offsets_again(&mut self, now: Time, places: &[(Place, u64)]) {
        for (place, stamp) in places {
            if let Some(owned) = self.owned.get_mut(place).filter(|o| o.stamp == *stamp) {
                owned.phase = Phase::Unknown;
            }
        }
        self.commits.fetch_not_before = Some(now.plus_ms(pause_ms(self.commits.fetch_failures)));
        self.commits.fetch_failures = self.commits.fetch_failures.saturating_add(1);
    }

    pub(super) fn on_offsets(&mut self, now: Time, mut answer: Answer, places: Vec<(Place, u64)>) {
        let decoded = OffsetFetchResponse::decode(&mut answer.reader, answer.version);
        let Ok(response) = decoded else {
            self.ask_offsets_again(now, &places);
            return;
        };
        match self.found(answer.version, response) {
            Ok(mut found) => {
                self.commits.fetch_failures = 0;
                let mut again = Vec::new();
                for (place, stamp) in places {
                    let current = self.owned.get(&place).is_some_and(|o| o.stamp == stamp);
                    match found.remove(&place).filter(|_| current) {
                        Some((error, offset)) => {
                            if !self.on_offset(now, &place, error, offset) {
                                again.push((place, stamp));
                            }
                        }
                        None => again.push((place, stamp)),
                    }
                }
                if !again.is_empty() {
                    self.ask_offsets_again(now, &again);
                }
            }
            Err(code) => {
                let error = ErrorCode::from_code(code);
                let known = self.is_coordinators(now, error);
                let soon = error.is_some_and(|e| e.retriable() || is_of_membership(e));
                if known || soon {
                    self.ask_offsets_again(now, &places);
                } else {
                    self.fail(CallError::broker(code, None));
                }
            }
        }
    }

    fn found(&self, version: i16, response: OffsetFetchResponse) -> Found {
        let mut found = BTreeMap::new();
        let mut error = response.error_code;
        let groups = response.groups;
        let ours = groups
            .into_iter()
            .find(|g| g.group_id == self.config.group_id);
        for topic in response.topics {
            for p in topic.partitions {
                let place = (topic.name.clone(), PartitionIndex(p.partition_index));
                found.insert(place, (p.error_code, p.committed_offset));
            }
        }
        if let Some(group) = ours {
            error = group.error_code;
            for topic in group.topics {
                let name = if version >= FIRST_WITH_IDS {
                    let name = self.cluster().topic_name(topic.topic_id);
                    name.map(str::to_owned).unwrap_or_default()
                } else {
                    topic.name
                };
                let one = |p: OffsetFetchResponsePartitions| {
                    let place = (name.clone(), PartitionIndex(p.partition_index));
                    (place, (p.error_code, p.committed_offset))
                };
                found.extend(topic.partitions.into_iter().map(one));
            }
        }
        if error == ErrorCode::None.code() {
            Ok(found)
        } else {
            Err(error)
        }
    }

    /// False if the partition must be asked for again.
    fn on_offset(&mut self, now: Time, place: &Place, code: i16, offset: i64) -> bool {
        match ErrorCode::from_code(code) {
            Some(ErrorCode::None) => {}
            Some(error) if error.retriable() => return false,
            _ => {
                self.fail_partition(place, CallError::broker(code, None), None);
                return true;
            }
        }
        let start = if offset >= 0 {
            if let Some(owned) = self.owned.get_mut(place) {
                owned.committed = Some(Offset(offset));
            }
            Start::Offset(Offset(offset))
        } else {
            match self.config.reset {
                OffsetReset::Earliest => Start::Earliest,
                OffsetReset::Latest => Start::Latest,
                OffsetReset::None => {
                    self.fail_partition(place, CallError::NoOffset, None);
                    return true;
                }
            }
        };
        self.read_from(now, place, start);
        true
    }

    /// Whether the member may commit: it is, or was until the rebalance under way, in a generation.
    pub(super) fn is_in_group(&self) -> bool {
        let out = matches!(
            self.member.state,
            MemberState::Away | MemberState::Closed | MemberState::Failed
        );
        !out && self.member.generation >= 0
    }
}

fn is_of_membership(error: ErrorCode) -> bool {
    matches!(
        error,
        ErrorCode::UnknownMemberId | ErrorCode::StaleMemberEpoch
    )
}

fn request(
    version: i16,
    group_id: String,
    topics: BTreeMap<String, Vec<i32>>,
    ids: &BTreeMap<String, TopicId>,
) -> OffsetFetchRequest {
    let require_stable = version >= FIRST_STABLE;
    if version < FIRST_OF_GROUPS {
        let topic = |(name, partition_indexes)| OffsetFetchRequestTopic {
            name,
            partition_indexes,
        };
        return OffsetFetchRequest {
            group_id,
            topics: Some(topics.into_iter().map(topic).collect()),
            require_stable,
            ..OffsetFetchRequest::default()
        };
    }
    let topic = |(name, partition_indexes): (String, Vec<i32>)| OffsetFetchRequestTopics {
        topic_id: ids.get(&name).copied().unwrap_or_default(),
        name,
        partition_indexes,
    };
    OffsetFetchRequest {
        groups: vec![OffsetFetchRequestGroup {
            group_id,
            topics: Some(topics.into_iter().map(topic).collect()),
            ..OffsetFetchRequestGroup::default()
        }],
        require_stable,
        ..OffsetFetchRequest::default()
    }
}
