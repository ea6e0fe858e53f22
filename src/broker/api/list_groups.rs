//! ListGroups (16): the groups this broker coordinates, filtered by state (KIP-518) and type (KIP-848).
//!
//! Differs from Apache Kafka: in nothing.

use super::super::Broker;
use super::super::dispatch::{Answer, Answered, Asked, check_entries};
use crate::wire::Reader;
use crate::wire::messages::list_groups::{ListGroupsRequest, ListGroupsResponse, ListedGroup};

pub(super) fn answer(broker: &mut Broker, asked: &Asked, reader: &mut Reader) -> Answered {
    let request = ListGroupsRequest::decode(reader, asked.version)?;
    check_entries(request.states_filter.len() + request.types_filter.len())?;
    let passes = |filter: &[String], value: &str| {
        filter.is_empty()
            || filter
                .iter()
                .any(|wanted| wanted.eq_ignore_ascii_case(value))
    };
    let mut groups = Vec::new();
    for (_, shard) in broker.groups.shards() {
        for group in shard.list() {
            let wanted = passes(&request.states_filter, group.state)
                && passes(&request.types_filter, group.kind);
            if wanted {
                groups.push(ListedGroup {
                    group_id: group.group,
                    protocol_type: group.protocol_type,
                    group_state: group.state.to_owned(),
                    group_type: group.kind.to_owned(),
                });
            }
        }
    }
    let response = ListGroupsResponse {
        groups,
        ..ListGroupsResponse::default()
    };
    let parts = asked.reply(|writer| response.encode(writer, asked.version))?;
    Ok(Answer::Reply(parts))
}
