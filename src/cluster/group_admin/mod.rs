//! A client that changes what consumer groups have committed, as a state machine: OffsetCommit as nobody's member,
//! OffsetDelete, DeleteGroups, each at the group's coordinator.
//!
//! One change at a time, each over a connection of its own: FindCoordinator on any broker, then the change where that
//! said. A coordinator that moved or is still loading is looked for again until the patience is over.
//! Knows neither sockets nor clocks. Versions are fixed to what every broker since Kafka 2.4 speaks.

use std::collections::VecDeque;

use bytes::Bytes;

use crate::client::{Action, Address, CallError, LinkId, LinksConfig, Machine};
use crate::ids::{Offset, PartitionIndex, Time};
use crate::inspect::{CommandId, Failure};
use crate::wire::messages::delete_groups::{DeleteGroupsRequest, DeleteGroupsResponse};
use crate::wire::messages::find_coordinator::{FindCoordinatorRequest, FindCoordinatorResponse};
use crate::wire::messages::offset_commit::{
    OffsetCommitRequest, OffsetCommitRequestPartition, OffsetCommitRequestTopic,
    OffsetCommitResponse,
};
use crate::wire::messages::offset_delete::{
    OffsetDeleteRequest, OffsetDeleteRequestPartition, OffsetDeleteRequestTopic,
    OffsetDeleteResponse,
};
use crate::wire::request::RequestHeader;
use crate::wire::{ApiKey, DecodeError, EncodeError, ErrorCode, Reader, Writer, response};

/// How long a change is tried, milliseconds.
const PATIENCE_MS: i64 = 15_000;
/// Pause before it is tried again, milliseconds.
const PAUSE_MS: i64 = 100;
/// Generation and member id of a commit by nobody.
const NO_GENERATION: i32 = -1;
/// Kafka's number for "coordinator of a group".
const GROUP: i8 = 0;

const FIND: (ApiKey, i16) = (ApiKey::FindCoordinator, 3);
const COMMIT: (ApiKey, i16) = (ApiKey::OffsetCommit, 8);
const FORGET: (ApiKey, i16) = (ApiKey::OffsetDelete, 0);
const DELETE: (ApiKey, i16) = (ApiKey::DeleteGroups, 2);

/// What is to be changed of a group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    Commit(Vec<(String, PartitionIndex, Offset)>),
    Forget(Vec<(String, PartitionIndex)>),
    Delete,
}

impl Change {
    fn api(&self) -> (ApiKey, i16) {
        match self {
            Change::Commit(_) => COMMIT,
            Change::Forget(_) => FORGET,
            Change::Delete => DELETE,
        }
    }

    fn sentence(&self, group: &str) -> String {
        let counted = |count: usize| match count {
            1 => "1 offset".to_owned(),
            many => format!("{many} offsets"),
        };
        match self {
            Change::Commit(offsets) => {
                format!("Group {group} goes on from {}.", counted(offsets.len()))
            }
            Change::Forget(partitions) => {
                format!("Group {group} forgot {}.", counted(partitions.len()))
            }
            Change::Delete => format!("Group {group} is deleted."),
        }
    }
}

/// A change under way.
#[derive(Debug)]
struct Task {
    id: CommandId,
    group: String,
    change: Change,
    since: Time,
    last_error: String,
}

/// How far the first task has come.
#[derive(Debug, PartialEq, Eq)]
enum Step {
    /// Nothing is under way until then.
    Pause(Time),
    /// A connection to any broker, or to the coordinator, is wanted.
    Connect { to: Address, finds: bool },
    /// Connected or being connected; what is asked there.
    Ask { finds: bool },
}

/// The client.
pub struct GroupAdmin {
    bootstrap: Vec<Address>,
    client_id: String,
    tasks: VecDeque<Task>,
    step: Step,
    link: Option<LinkId>,
    actions: VecDeque<Action>,
    ended: Vec<(CommandId, Result<String, Failure>)>,
    links: u32,
    correlation_id: i32,
    /// Which broker is asked next for a coordinator.
    next: usize,
}

impl GroupAdmin {
    pub fn new(links: LinksConfig) -> GroupAdmin {
        GroupAdmin {
            bootstrap: links.bootstrap,
            client_id: links.client_id,
            tasks: VecDeque::new(),
            step: Step::Pause(Time(i64::MIN)),
            link: None,
            actions: VecDeque::new(),
            ended: Vec::new(),
            links: 0,
            correlation_id: 0,
            next: 0,
        }
    }

    /// Brokers to begin with from now on.
    pub fn know_brokers(&mut self, links: LinksConfig) {
        self.bootstrap = links.bootstrap;
    }

    /// Has something changed; how it ended comes with [`take_ended`](Self::take_ended).
    pub fn ask(&mut self, now: Time, id: CommandId, (group, change): (String, Change)) {
        self.tasks.push_back(Task {
            id,
            group,
            change,
            since: now,
            last_error: "the broker was not reached".to_owned(),
        });
    }

    /// Changes that ended since the last call.
    pub fn take_ended(&mut self) -> Vec<(CommandId, Result<String, Failure>)> {
        std::mem::take(&mut self.ended)
    }

    fn close(&mut self) {
        if let Some(link) = self.link.take() {
            self.actions.push_back(Action::Close { link });
        }
    }

    fn try_again(&mut self, now: Time, why: &str) {
        self.close();
        if let Some(task) = self.tasks.front_mut() {
            why.clone_into(&mut task.last_error);
        }
        self.step = Step::Pause(now.plus_ms(PAUSE_MS));
    }

    fn finish(&mut self, now: Time, result: Result<(), Failure>) {
        self.close();
        self.step = Step::Pause(now);
        if let Some(task) = self.tasks.pop_front() {
            let result = result.map(|()| task.change.sentence(&task.group));
            self.ended.push((task.id, result));
        }
    }

    fn send(&mut self, now: Time, finds: bool) {
        let (Some(task), Some(link)) = (self.tasks.front(), self.link) else {
            return;
        };
        let (api_key, api_version) = if finds { FIND } else { task.change.api() };
        self.correlation_id = self.correlation_id.wrapping_add(1);
        let header = RequestHeader {
            api_key,
            api_version,
            correlation_id: self.correlation_id,
            client_id: Some(self.client_id.clone()),
        };
        let mut writer = Writer::new();
        let written = header.encode(&mut writer).and_then(|()| match finds {
            true => find(&task.group).encode(&mut writer, api_version),
            false => write(&task.group, &task.change, &mut writer, api_version),
        });
        match written {
            Ok(()) => {
                let parts = writer.finish_frame();
                self.actions.push_back(Action::Send { link, parts });
            }
            Err(error) => self.finish(
                now,
                Err(CallError::Malformed(error.to_string()).to_failure()),
            ),
        }
    }

    fn on_coordinator(&mut self, now: Time, answer: FindCoordinatorResponse) {
        match ErrorCode::from_code(answer.error_code) {
            Some(ErrorCode::None) => {
                self.close();
                let port = u16::try_from(answer.port).unwrap_or(0);
                let to = Address {
                    host: answer.host,
                    port,
                };
                self.step = Step::Connect { to, finds: false };
            }
            Some(error) if error.retriable() => self.try_again(now, error.name()),
            _ => {
                let error = CallError::broker(answer.error_code, answer.error_message);
                self.finish(now, Err(error.to_failure()));
            }
        }
    }

    fn forgets(&self) -> bool {
        let task = self.tasks.front();
        task.is_some_and(|task| matches!(task.change, Change::Forget(_)))
    }

    fn on_changed(&mut self, now: Time, code: i16) {
        match ErrorCode::from_code(code) {
            Some(ErrorCode::None) => self.finish(now, Ok(())),
            // Who forgets a partition knew it; there is none to wait for.
            Some(ErrorCode::UnknownTopicOrPartition) if self.forgets() => {
                self.finish(now, Err(refused(code)));
            }
            Some(error) if error.retriable() => self.try_again(now, error.name()),
            _ => self.finish(now, Err(refused(code))),
        }
    }

    fn read(&mut self, now: Time, frame: Bytes, finds: bool) -> Result<(), DecodeError> {
        let Some(task) = self.tasks.front() else {
            return Ok(());
        };
        let (key, version) = if finds { FIND } else { task.change.api() };
        let mut reader = Reader::new(frame);
        let correlation_id = response::decode_header(&mut reader, key, version)?;
        if correlation_id != self.correlation_id {
            return Ok(());
        }
        if finds {
            let answer = FindCoordinatorResponse::decode(&mut reader, version)?;
            self.on_coordinator(now, answer);
            return Ok(());
        }
        let code = read_code(&task.change, &mut reader, version)?;
        self.on_changed(now, code);
        Ok(())
    }
}

impl Machine for GroupAdmin {
    fn on_connected(&mut self, now: Time, link: LinkId) {
        if self.link == Some(link)
            && let Step::Ask { finds } = self.step
        {
            self.send(now, finds);
        }
    }

    fn on_frame(&mut self, now: Time, link: LinkId, frame: Bytes) {
        let Step::Ask { finds } = self.step else {
            return;
        };
        if self.link != Some(link) {
            return;
        }
        if let Err(error) = self.read(now, frame, finds) {
            let error = CallError::Malformed(error.to_string());
            self.finish(now, Err(error.to_failure()));
        }
    }

    fn on_disconnected(&mut self, now: Time, link: LinkId, why: &str) {
        if self.link == Some(link) {
            self.link = None;
            self.try_again(now, why);
        }
    }

    fn poll_action(&mut self, now: Time) -> Option<Action> {
        if let Some(task) = self.tasks.front() {
            let waited_ms = i64::try_from(now.since_us(task.since) / 1_000).unwrap_or(i64::MAX);
            if waited_ms >= PATIENCE_MS {
                let last = task.last_error.clone();
                let error = CallError::TimedOut { waited_ms, last };
                self.finish(now, Err(error.to_failure()));
            }
        }
        if let Step::Pause(until) = self.step
            && until <= now
            && !self.tasks.is_empty()
            && !self.bootstrap.is_empty()
        {
            let to = self.bootstrap[self.next % self.bootstrap.len()].clone();
            self.next += 1;
            self.step = Step::Connect { to, finds: true };
        }
        if let Step::Connect { to, finds } = &self.step {
            let (to, finds) = (to.clone(), *finds);
            self.links += 1;
            let link = LinkId(self.links);
            self.link = Some(link);
            self.step = Step::Ask { finds };
            self.actions.push_back(Action::Connect { link, to });
        }
        self.actions.pop_front()
    }

    fn next_wakeup(&self) -> Option<Time> {
        let task = self.tasks.front()?;
        let over = task.since.plus_ms(PATIENCE_MS);
        match self.step {
            Step::Pause(until) => Some(until.min(over)),
            _ => Some(over),
        }
    }
}

fn find(group: &str) -> FindCoordinatorRequest {
    FindCoordinatorRequest {
        key: group.to_owned(),
        key_type: GROUP,
        ..FindCoordinatorRequest::default()
    }
}

fn write(
    group: &str,
    change: &Change,
    writer: &mut Writer,
    version: i16,
) -> Result<(), EncodeError> {
    match change {
        Change::Delete => DeleteGroupsRequest {
            groups_names: vec![group.to_owned()],
        }
        .encode(writer, version),
        Change::Forget(partitions) => {
            let mut topics: Vec<OffsetDeleteRequestTopic> = Vec::new();
            for (name, partition) in partitions {
                if topics.last().is_none_or(|last| last.name != *name) {
                    topics.push(OffsetDeleteRequestTopic {
                        name: name.clone(),
                        ..OffsetDeleteRequestTopic::default()
                    });
                }
                let topic = topics.last_mut().expect("one was pushed");
                topic.partitions.push(OffsetDeleteRequestPartition {
                    partition_index: partition.0,
                });
            }
            let group_id = group.to_owned();
            OffsetDeleteRequest { group_id, topics }.encode(writer, version)
        }
        Change::Commit(offsets) => commit(group, offsets).encode(writer, version),
    }
}

fn commit(group: &str, offsets: &[(String, PartitionIndex, Offset)]) -> OffsetCommitRequest {
    let mut topics: Vec<OffsetCommitRequestTopic> = Vec::new();
    for (name, partition, offset) in offsets {
        if topics.last().is_none_or(|last| last.name != *name) {
            topics.push(OffsetCommitRequestTopic {
                name: name.clone(),
                ..OffsetCommitRequestTopic::default()
            });
        }
        let topic = topics.last_mut().expect("one was pushed");
        topic.partitions.push(OffsetCommitRequestPartition {
            partition_index: partition.0,
            committed_offset: offset.0,
            committed_leader_epoch: -1,
            committed_metadata: Some(String::new()),
        });
    }
    OffsetCommitRequest {
        group_id: group.to_owned(),
        generation_id_or_member_epoch: NO_GENERATION,
        topics,
        ..OffsetCommitRequest::default()
    }
}

/// The first error of an answer; 0 if all went well.
fn read_code(change: &Change, reader: &mut Reader, version: i16) -> Result<i16, DecodeError> {
    Ok(match change {
        Change::Delete => {
            let answer = DeleteGroupsResponse::decode(reader, version)?;
            first(answer.results.iter().map(|group| group.error_code))
        }
        Change::Forget(_) => {
            let answer = OffsetDeleteResponse::decode(reader, version)?;
            let partitions = answer.topics.iter().flat_map(|topic| &topic.partitions);
            let own = std::iter::once(answer.error_code);
            first(own.chain(partitions.map(|one| one.error_code)))
        }
        Change::Commit(_) => {
            let answer = OffsetCommitResponse::decode(reader, version)?;
            let partitions = answer.topics.iter().flat_map(|topic| &topic.partitions);
            first(partitions.map(|one| one.error_code))
        }
    })
}

fn first(mut codes: impl Iterator<Item = i16>) -> i16 {
    codes.find(|code| *code != 0).unwrap_or(0)
}

/// Why a coordinator refused, with what helps.
fn refused(code: i16) -> Failure {
    let mut failure = CallError::broker(code, None).to_failure();
    let words = match ErrorCode::from_code(code) {
        Some(
            ErrorCode::UnknownMemberId
            | ErrorCode::IllegalGeneration
            | ErrorCode::StaleMemberEpoch
            | ErrorCode::NonEmptyGroup,
        ) => {
            failure.what = "the group has members, and only they may move its offsets".to_owned();
            "Stop its members, or wait until their session timeouts are over, and try again."
        }
        Some(ErrorCode::GroupSubscribedToTopic) => {
            "Stop the members that subscribe to the topic, and try again."
        }
        Some(ErrorCode::UnknownTopicOrPartition) => {
            failure.what =
                "one of the partitions is not there, its topic is gone or has fewer".to_owned();
            "Leave it out, and try again: what is committed for it goes with its topic."
        }
        Some(ErrorCode::GroupIdNotFound) => "It is gone already.",
        _ => return failure,
    };
    words.clone_into(&mut failure.what_to_do);
    failure
}

#[cfg(test)]
mod tests;
