//! Vote (52), BeginQuorumEpoch (53), EndQuorumEpoch (54): between the voters of the metadata quorum.
//!
//! The quorum answers; a vote is written down and synced before its answer leaves. Only brokers of a cluster
//! answer these.
//!
//! Differs from Apache Kafka: endpoints are never told, voters know each other's addresses.

use super::super::Broker;
use super::super::dispatch::{Answer, Answered, Asked};
use crate::wire::Reader;
use crate::wire::messages::begin_quorum_epoch::BeginQuorumEpochRequest;
use crate::wire::messages::end_quorum_epoch::EndQuorumEpochRequest;
use crate::wire::messages::vote::VoteRequest;

/// What is said where there is no quorum.
const NO_QUORUM: &str = "a broker alone has no quorum";

pub(super) fn answer_vote(broker: &mut Broker, asked: &Asked, reader: &mut Reader) -> Answered {
    let request = VoteRequest::decode(reader, asked.version)?;
    let now = asked.now;
    let response = broker.with_quorum(now, |quorum, log| quorum.on_vote(now, log, &request));
    let Some(response) = response else {
        return Ok(Answer::Close(NO_QUORUM.to_owned()));
    };
    let parts = asked.reply(|writer| response.encode(writer, asked.version))?;
    Ok(Answer::Reply(parts))
}

pub(super) fn answer_begin(broker: &mut Broker, asked: &Asked, reader: &mut Reader) -> Answered {
    let request = BeginQuorumEpochRequest::decode(reader, asked.version)?;
    let now = asked.now;
    let response = broker.with_quorum(now, |quorum, log| {
        quorum.on_begin_quorum_epoch(now, log, &request)
    });
    let Some(response) = response else {
        return Ok(Answer::Close(NO_QUORUM.to_owned()));
    };
    let parts = asked.reply(|writer| response.encode(writer, asked.version))?;
    Ok(Answer::Reply(parts))
}

pub(super) fn answer_end(broker: &mut Broker, asked: &Asked, reader: &mut Reader) -> Answered {
    let request = EndQuorumEpochRequest::decode(reader, asked.version)?;
    let now = asked.now;
    let response = broker.with_quorum(now, |quorum, log| {
        quorum.on_end_quorum_epoch(now, log, &request)
    });
    let Some(response) = response else {
        return Ok(Answer::Close(NO_QUORUM.to_owned()));
    };
    let parts = asked.reply(|writer| response.encode(writer, asked.version))?;
    Ok(Answer::Reply(parts))
}
