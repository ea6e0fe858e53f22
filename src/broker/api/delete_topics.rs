//! DeleteTopics (20): deletes topics by name or, since version 6, by id.
//!
//! Records and directories are gone when the answer leaves; who reads from a segment still open keeps it.
//!
//! Differs from Apache Kafka: the timeout is ignored, nothing is waited for.

use std::collections::BTreeSet;

use super::super::Broker;
use super::super::commit::NotDone;
use super::super::dispatch::{Answer, Answered, Asked, check_entries};
use super::code_of;
use crate::ids::TopicId;
use crate::metadata::decide::{Refusal, delete_topic};
use crate::wire::messages::delete_topics::{
    DeletableTopicResult, DeleteTopicState, DeleteTopicsRequest, DeleteTopicsResponse,
};
use crate::wire::{ErrorCode, Reader};

/// First version that names topics in a struct, by name or id.
const STATES: i16 = 6;
/// First version whose clients know TOPIC_DELETION_DISABLED.
const KNOWS_DISABLED: i16 = 3;

pub(super) fn answer(broker: &mut Broker, asked: &Asked, reader: &mut Reader) -> Answered {
    let request = DeleteTopicsRequest::decode(reader, asked.version)?;
    check_entries(request.topics.len() + request.topic_names.len())?;
    let topics = if asked.version >= STATES {
        request.topics
    } else {
        let named = |name| DeleteTopicState {
            name: Some(name),
            ..DeleteTopicState::default()
        };
        request.topic_names.into_iter().map(named).collect()
    };
    let mut response = DeleteTopicsResponse::default();
    let mut seen = BTreeSet::new();
    for topic in topics {
        if seen.insert((topic.name.clone(), topic.topic_id)) {
            let result = broker.delete_asked(asked, topic);
            response.responses.push(result);
        }
    }
    let parts = asked.reply(|writer| response.encode(writer, asked.version))?;
    Ok(Answer::Reply(parts))
}

impl Broker {
    fn delete_asked(&mut self, asked: &Asked, topic: DeleteTopicState) -> DeletableTopicResult {
        let found = match (&topic.name, topic.topic_id) {
            (Some(_), id) if id != TopicId::ZERO => Err(Refusal::InvalidRequest(
                "You may not specify both topic name and topic id.".to_owned(),
            )),
            (None, TopicId::ZERO) => Err(Refusal::InvalidRequest(
                "Neither topic name nor id were specified.".to_owned(),
            )),
            (Some(name), _) => self
                .facts()
                .image
                .topic_named(name)
                .ok_or(Refusal::UnknownTopic),
            (None, id) => self.facts().image.topic(id).ok_or(Refusal::UnknownTopicId),
        };
        let found = found.map(|topic| (topic.id, topic.name.clone()));
        let named = (topic.topic_id, topic.name.clone());
        let (topic_id, name) = match &found {
            Ok((id, name)) => (*id, Some(name.clone())),
            Err(_) => named,
        };
        let done = found.map_err(NotDone::from).and_then(|(id, _)| {
            let records = delete_topic(self.facts(), id)?;
            let cause = self.connections.who(asked.connection);
            self.commit(asked.now, &records, &cause)
        });
        let (error, why) = match done {
            Ok(()) => (ErrorCode::None, None),
            Err(not_done) => {
                let (error, why) = code_of(&not_done);
                (error, Some(why))
            }
        };
        let error = match error {
            ErrorCode::TopicDeletionDisabled if asked.version < KNOWS_DISABLED => {
                ErrorCode::InvalidRequest
            }
            error => error,
        };
        DeletableTopicResult {
            name,
            topic_id,
            error_code: asked.code(error),
            error_message: why,
        }
    }
}
