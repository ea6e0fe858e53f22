//! LeaveGroup (13): members of the classic protocol leave, so that nobody waits for their sessions to end.
//!
//! Batched from version 3 on, for tools that remove static members by their instance (KIP-345).
//!
//! Differs from Apache Kafka: in nothing.

use super::super::Broker;
use super::super::dispatch::{Answer, Answered, Asked, check_entries};
use super::super::group_answers::{GroupAnswer, code_of, refusal_code};
use super::super::groups::NotHere;
use crate::group::{Leaver, Refusal, Reply};
use crate::wire::Reader;
use crate::wire::messages::leave_group::{LeaveGroupRequest, LeaveGroupResponse, MemberResponse};

/// First version that names several members.
const BATCHED: i16 = 3;

pub(super) fn answer(broker: &mut Broker, asked: &Asked, reader: &mut Reader) -> Answered {
    let request = LeaveGroupRequest::decode(reader, asked.version)?;
    check_entries(request.members.len())?;
    let leavers: Vec<Leaver> = match asked.version >= BATCHED {
        true => request.members.into_iter().map(leaver).collect(),
        false => vec![Leaver {
            member_id: request.member_id,
            instance: None,
            reason: None,
        }],
    };
    let refuse = |refusal: Refusal| {
        let response = LeaveGroupResponse {
            error_code: refusal_code(refusal).code(),
            ..LeaveGroupResponse::default()
        };
        GroupAnswer::Leave(response).send(asked)
    };
    let index = match broker.coordinated(asked, &request.group_id) {
        Ok(index) => index,
        Err(NotHere::Later) => return Ok(Answer::Later),
        Err(NotHere::Refused(refusal)) => return refuse(refusal),
    };
    let left = broker.on_shard(asked, index, true, |shard, caller| {
        shard.leave(caller, &request.group_id, &leavers)
    });
    let (results, gate) = match left {
        Ok((Some(Reply::Left(results)), gate)) => (results, gate),
        Ok(_) => return refuse(Refusal::NotAvailable),
        Err(refusal) => return refuse(refusal),
    };
    let mut response = LeaveGroupResponse::default();
    if asked.version >= BATCHED {
        let members = leavers.into_iter().zip(&results);
        response.members = members
            .map(|(leaver, result)| MemberResponse {
                member_id: leaver.member_id,
                group_instance_id: leaver.instance,
                error_code: code_of(result),
            })
            .collect();
    } else {
        response.error_code = results.first().map_or(0, code_of);
    }
    broker.answer_once_committed(asked, GroupAnswer::Leave(response), vec![gate]);
    Ok(Answer::Parked)
}

fn leaver(member: crate::wire::messages::leave_group::MemberIdentity) -> Leaver {
    Leaver {
        member_id: member.member_id,
        instance: member.group_instance_id,
        reason: member.reason,
    }
}
