//! DescribeGroups (15): the members of classic groups and what they read.
//!
//! A group nobody knows is `Dead`, and an error from version 6 on (KIP-1043). So is one of the new protocol:
//! ConsumerGroupDescribe tells of it.
//!
//! Differs from Apache Kafka: a group named more than once is described once, and INVALID_REQUEST from then on.

use super::super::Broker;
use super::super::dispatch::{Answer, Answered, Asked, check_entries};
use super::super::group_answers::refusal_code;
use super::super::groups::{Named, NotHere};
use super::OPERATIONS_NOT_ASKED;
use crate::wire::messages::describe_groups::{
    DescribeGroupsRequest, DescribeGroupsResponse, DescribedGroup, DescribedGroupMember,
};
use crate::wire::{ErrorCode, Reader};

/// First version in which an unknown group is an error.
const UNKNOWN_IS_ERROR: i16 = 6;
/// Read, Delete, Describe, DescribeConfigs and AlterConfigs, as AclOperation bits: without an authorizer all are allowed.
pub(super) const GROUP_OPERATIONS: i32 = 0b1101_0100_1000;

pub(super) fn answer(broker: &mut Broker, asked: &Asked, reader: &mut Reader) -> Answered {
    let request = DescribeGroupsRequest::decode(reader, asked.version)?;
    check_entries(request.groups.len())?;
    let mut response = DescribeGroupsResponse::default();
    let mut named = Named::default();
    for group_id in request.groups {
        let here = named.once(&group_id);
        let here = here.and_then(|()| broker.coordinated(asked, &group_id));
        let mut group = match here {
            Err(NotHere::Later) => return Ok(Answer::Later),
            Err(NotHere::Refused(refusal)) => DescribedGroup {
                error_code: asked.code(refusal_code(refusal)),
                ..DescribedGroup::default()
            },
            Ok(index) => broker.described(asked, index, &group_id),
        };
        group.authorized_operations = match request.include_authorized_operations {
            true => GROUP_OPERATIONS,
            false => OPERATIONS_NOT_ASKED,
        };
        group.group_id = group_id;
        response.groups.push(group);
    }
    let parts = asked.reply(|writer| response.encode(writer, asked.version))?;
    Ok(Answer::Reply(parts))
}

impl Broker {
    fn described(&self, asked: &Asked, index: i32, group: &str) -> DescribedGroup {
        let told = self.read_shard(index, 0, |shard| {
            let known = shard.groups().contains_key(group);
            (shard.describe(group), known)
        });
        let (told, known) = told.map_or((None, false), |(told, _)| told);
        let Some(told) = told else {
            let why = match known {
                true => format!("Group {group} is not a classic group."),
                false => format!("Group {group} not found."),
            };
            let unknown = asked.version >= UNKNOWN_IS_ERROR;
            return DescribedGroup {
                group_state: "Dead".to_owned(),
                error_code: match unknown {
                    true => asked.code(ErrorCode::GroupIdNotFound),
                    false => 0,
                },
                error_message: unknown.then_some(why),
                ..DescribedGroup::default()
            };
        };
        let members = told.members.into_iter();
        DescribedGroup {
            group_state: told.state.to_owned(),
            protocol_type: told.protocol_type,
            protocol_data: told.protocol,
            members: members
                .map(|member| DescribedGroupMember {
                    member_id: member.id,
                    group_instance_id: member.instance,
                    client_id: member.client_id,
                    client_host: member.client_host,
                    member_metadata: member.metadata,
                    member_assignment: member.assignment,
                })
                .collect(),
            ..DescribedGroup::default()
        }
    }
}
