//! InitProducerId (22): a fresh id for an idempotent producer.
//!
//! Ids come from blocks written to the metadata log, which is synced before the first of a block leaves, and a block
//! begins behind every id a log knows, so none is given twice, restarts and power losses included. As in
//! Kafka a producer without a transactional id always gets a new id, whatever id it says it had.
//!
//! Differs from Apache Kafka: a transactional id is COORDINATOR_NOT_AVAILABLE, there are no transactions yet.

use super::super::Broker;
use super::super::dispatch::{Answer, Answered, Asked};
use super::code_of;
use crate::ids::ProducerId;
use crate::inspect::Durability;
use crate::metadata::decide::next_producer_ids;
use crate::wire::messages::init_producer_id::{InitProducerIdRequest, InitProducerIdResponse};
use crate::wire::{ErrorCode, Reader};

const NONE: i64 = -1;

pub(super) fn answer(broker: &mut Broker, asked: &Asked, reader: &mut Reader) -> Answered {
    let request = InitProducerIdRequest::decode(reader, asked.version)?;
    let half_an_id = (request.producer_id == NONE) != (i64::from(request.producer_epoch) == NONE);
    let result = match &request.transactional_id {
        _ if half_an_id => Err(ErrorCode::InvalidRequest),
        Some(id) if id.is_empty() => Err(ErrorCode::InvalidRequest),
        Some(_) => Err(ErrorCode::CoordinatorNotAvailable),
        None if broker.must_ask_for_ids() => return broker.wait_for_producer_id(asked),
        None => return give(broker, asked),
    };
    respond(asked, result)
}

/// Answers with a fresh id.
pub(in crate::broker) fn give(broker: &mut Broker, asked: &Asked) -> Answered {
    let result = broker.fresh_producer_id(asked);
    let given = result.is_ok();
    match respond(asked, result)? {
        Answer::Reply(parts) if given && broker.ids_wait_for_sync() => Ok(Answer::Synced(parts)),
        answer => Ok(answer),
    }
}

fn respond(asked: &Asked, result: Result<i64, ErrorCode>) -> Answered {
    let response = match result {
        Ok(producer_id) => InitProducerIdResponse {
            producer_id,
            producer_epoch: 0,
            ..InitProducerIdResponse::default()
        },
        Err(error) => InitProducerIdResponse {
            error_code: asked.code(error),
            producer_id: NONE,
            producer_epoch: -1,
            ..InitProducerIdResponse::default()
        },
    };
    let parts = asked.reply(|writer| response.encode(writer, asked.version))?;
    Ok(Answer::Reply(parts))
}

impl Broker {
    /// Whether there are no ids left here and another broker gives them out.
    fn must_ask_for_ids(&self) -> bool {
        self.producer_ids.is_empty() && !self.is_controller()
    }

    /// Whether a power loss could have the block that ids are given from given out again. A cluster commits it first.
    fn ids_wait_for_sync(&self) -> bool {
        let log = self.metadata_log.log();
        let unsynced = log.recovery_point() < log.log_end();
        self.member.is_none() && self.config.durability != Durability::Memory && unsynced
    }

    /// The producers this broker's logs know.
    pub(super) fn producers_in_logs(&self) -> impl Iterator<Item = ProducerId> {
        let partitions = self.topics.values().flat_map(|topic| &topic.partitions);
        let logs = partitions.filter_map(|partition| partition.log.as_ref());
        logs.flat_map(|log| log.producers().entries().map(|(id, _)| id))
    }

    fn fresh_producer_id(&mut self, asked: &Asked) -> Result<i64, ErrorCode> {
        if self.producer_ids.is_empty() {
            let known = self.producers_in_logs();
            let (block, record) = next_producer_ids(self.facts(), self.config.id, known)
                .ok_or(ErrorCode::UnknownServerError)?;
            self.commit(asked.now, &[record], "a producer needs an id")
                .map_err(|not_done| code_of(&not_done).0)?;
            self.producer_ids = block;
        }
        // A block that is not committed yet could be given out again by another controller.
        self.committed |= self.member.is_some();
        self.producer_ids
            .next()
            .ok_or(ErrorCode::UnknownServerError)
    }
}
