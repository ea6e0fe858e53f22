//! DeleteGroups (42): forgets groups that have no members, with their offsets.
//!
//! Differs from Apache Kafka: in nothing.

use super::super::Broker;
use super::super::dispatch::{Answer, Answered, Asked, check_entries};
use super::super::group_answers::{GroupAnswer, code_of};
use super::super::group_waits::Gate;
use super::super::groups::NotHere;
use crate::group::{Refusal, Reply};
use crate::wire::Reader;
use crate::wire::messages::delete_groups::{
    DeletableGroupResult, DeleteGroupsRequest, DeleteGroupsResponse,
};

pub(super) fn answer(broker: &mut Broker, asked: &Asked, reader: &mut Reader) -> Answered {
    let request = DeleteGroupsRequest::decode(reader, asked.version)?;
    check_entries(request.groups_names.len())?;
    let here = |group: &String| broker.coordinated(asked, group);
    let places: Vec<Result<i32, NotHere>> = request.groups_names.iter().map(here).collect();
    if places.contains(&Err(NotHere::Later)) {
        // Before any of them is deleted: the whole request is answered again.
        return Ok(Answer::Later);
    }
    let mut response = DeleteGroupsResponse::default();
    let mut gates = Vec::new();
    for (group_id, here) in request.groups_names.into_iter().zip(places) {
        let deleted = match here {
            Ok(index) => broker.delete_group(asked, index, &group_id),
            Err(NotHere::Refused(refusal)) => Err(refusal),
            Err(NotHere::Later) => Err(Refusal::NotAvailable),
        };
        if let Ok(gate) = deleted {
            let place = response.results.len();
            gates.push(Gate { place, ..gate });
        }
        response.results.push(DeletableGroupResult {
            group_id,
            error_code: code_of(&deleted),
        });
    }
    broker.answer_once_committed(asked, GroupAnswer::DeleteGroups(response), gates);
    Ok(Answer::Parked)
}

impl Broker {
    fn delete_group(&mut self, asked: &Asked, index: i32, group: &str) -> Result<Gate, Refusal> {
        let deleted = self.on_shard(asked, index, true, |shard, caller| {
            shard.delete(caller, group)
        });
        match deleted? {
            (Some(Reply::Deleted(Ok(()))), gate) => Ok(gate),
            (Some(Reply::Deleted(Err(refusal))), _) => Err(refusal),
            _ => Err(Refusal::NotAvailable),
        }
    }
}
