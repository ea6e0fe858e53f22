//! Heartbeat (12): a member of the classic protocol says that it lives, and hears whether to join again.
//!
//! Differs from Apache Kafka: a classic member of a group of the new protocol is told to join again when topics it reads
//! have changed, even if no member of the new protocol is there to notice.

use super::super::Broker;
use super::super::dispatch::{Answer, Answered, Asked};
use super::super::group_answers::{GroupAnswer, code_of};
use super::super::groups::NotHere;
use crate::group::{Refusal, Reply};
use crate::wire::Reader;
use crate::wire::messages::heartbeat::{HeartbeatRequest, HeartbeatResponse};

pub(super) fn answer(broker: &mut Broker, asked: &Asked, reader: &mut Reader) -> Answered {
    let request = HeartbeatRequest::decode(reader, asked.version)?;
    let heard = match broker.coordinated(asked, &request.group_id) {
        Err(NotHere::Later) => return Ok(Answer::Later),
        Err(NotHere::Refused(refusal)) => Err(refusal),
        Ok(index) => {
            let heard = broker.on_shard(asked, index, false, |shard, caller| {
                shard.heartbeat(caller, &request)
            });
            match heard {
                Ok((Some(Reply::Heartbeat(heard)), _)) => heard,
                Ok(_) => Err(Refusal::NotAvailable),
                Err(refusal) => Err(refusal),
            }
        }
    };
    let response = HeartbeatResponse {
        error_code: code_of(&heard),
        ..HeartbeatResponse::default()
    };
    GroupAnswer::Heartbeat(response).send(asked)
}
