//! JoinGroup (11): becomes a member of a group in the classic protocol, or says again what one subscribes to.
//!
//! Parked until everybody has joined; answered at once in a group of the new protocol. While the coordinator is elected or reads its groups the request waits a
//! second instead of being refused.
//!
//! Differs from Apache Kafka: of protocols that are liked equally the first by name is chosen; member ids begin with at
//! most 255 bytes of the client's id or instance; what the members of a group say of themselves is 8 MiB at most
//! (GROUP_MAX_SIZE_REACHED). In a group of the new protocol, who was thrown out and comes back under its old id with
//! partitions is UNKNOWN_MEMBER_ID, so that it drops them before another reads them.

use super::super::Broker;
use super::super::dispatch::{Answer, Answered, Asked, check_entries};
use super::super::group_answers::answer_to;
use super::super::groups::NotHere;
use crate::group::{Refusal, Reply};
use crate::wire::Reader;
use crate::wire::messages::join_group::JoinGroupRequest;

pub(super) fn answer(broker: &mut Broker, asked: &Asked, reader: &mut Reader) -> Answered {
    let request = JoinGroupRequest::decode(reader, asked.version)?;
    check_entries(request.protocols.len())?;
    let refuse = |refusal: Refusal| {
        let reply = Reply::NotJoined(refusal, request.member_id.clone());
        answer_to(asked, reply).send(asked)
    };
    let index = match broker.coordinated(asked, &request.group_id) {
        Ok(index) => index,
        Err(NotHere::Later) => return Ok(Answer::Later),
        Err(NotHere::Refused(refusal)) => return refuse(refusal),
    };
    let joined = broker.on_shard(asked, index, true, |shard, caller| {
        shard.join(caller, &request, asked.version)
    });
    match joined {
        Err(refusal) => refuse(refusal),
        Ok((Some(reply @ Reply::Joined(_)), gate)) => {
            // A static member's new id is written down: no other coordinator is to fence it.
            broker.answer_once_committed(asked, answer_to(asked, reply), vec![gate]);
            Ok(Answer::Parked)
        }
        Ok((Some(reply), _)) => answer_to(asked, reply).send(asked),
        Ok((None, _)) => {
            broker.await_group(asked);
            Ok(Answer::Parked)
        }
    }
}
