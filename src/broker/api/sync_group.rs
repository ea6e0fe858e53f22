//! SyncGroup (14): fetches what a member of the classic protocol is to read; the leader of a classic group brings
//! that for everybody.
//!
//! Answered once the assignment is committed, so that another coordinator knows it, too.
//!
//! Differs from Apache Kafka: the assignments of a group are 8 MiB at most (INVALID_REQUEST).

use super::super::Broker;
use super::super::dispatch::{Answer, Answered, Asked, check_entries};
use super::super::group_answers::answer_to;
use super::super::groups::NotHere;
use crate::group::{Refusal, Reply};
use crate::wire::Reader;
use crate::wire::messages::sync_group::SyncGroupRequest;

pub(super) fn answer(broker: &mut Broker, asked: &Asked, reader: &mut Reader) -> Answered {
    let request = SyncGroupRequest::decode(reader, asked.version)?;
    check_entries(request.assignments.len())?;
    let refuse = |refusal: Refusal| answer_to(asked, Reply::Synced(Err(refusal))).send(asked);
    let index = match broker.coordinated(asked, &request.group_id) {
        Ok(index) => index,
        Err(NotHere::Later) => return Ok(Answer::Later),
        Err(NotHere::Refused(refusal)) => return refuse(refusal),
    };
    let synced = broker.on_shard(asked, index, true, |shard, caller| {
        shard.sync(caller, &request)
    });
    match synced {
        Err(refusal) => refuse(refusal),
        Ok((Some(reply), gate)) => {
            broker.answer_once_committed(asked, answer_to(asked, reply), vec![gate]);
            Ok(Answer::Parked)
        }
        Ok((None, _)) => {
            broker.await_group(asked);
            Ok(Answer::Parked)
        }
    }
}
