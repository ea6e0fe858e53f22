//! ConsumerGroupDescribe (69): groups of the new protocol: epochs, members, what they own and are to own (KIP-848).
//!
//! Differs from Apache Kafka: topics that are gone are left out of what members own; a group named more than once is
//! described once, and INVALID_REQUEST from then on.

use super::super::Broker;
use super::super::dispatch::{Answer, Answered, Asked, check_entries};
use super::super::group_answers::{GroupAnswer, refusal_code};
use super::super::group_waits::Gate;
use super::super::groups::{Named, NotHere};
use super::OPERATIONS_NOT_ASKED;
use super::describe_groups::GROUP_OPERATIONS;
use crate::group::{ConsumerGroup, ConsumerMember, GroupKind, Partitions, Refusal, Shard};
use crate::metadata::Image;
use crate::wire::messages::consumer_group_describe::{
    Assignment, ConsumerGroupDescribeRequest, ConsumerGroupDescribeResponse, DescribedGroup,
    Member, TopicPartitions,
};
use crate::wire::{ErrorCode, Reader};

/// What a member speaks.
const CLASSIC_MEMBER: i8 = 0;
const CONSUMER_MEMBER: i8 = 1;

pub(super) fn answer(broker: &mut Broker, asked: &Asked, reader: &mut Reader) -> Answered {
    let request = ConsumerGroupDescribeRequest::decode(reader, asked.version)?;
    check_entries(request.group_ids.len())?;
    let mut response = ConsumerGroupDescribeResponse::default();
    let mut gates = Vec::new();
    let mut named = Named::default();
    for group_id in request.group_ids {
        let place = response.groups.len();
        let here = named.once(&group_id);
        let here = here.and_then(|()| broker.coordinated(asked, &group_id));
        let told = match here {
            Err(NotHere::Later) => return Ok(Answer::Later),
            Err(NotHere::Refused(refusal)) => Err(refusal),
            Ok(index) => broker.consumer_described(index, place, &group_id),
        };
        let mut group = match told {
            Ok((group, gate)) => {
                gates.push(gate);
                group
            }
            Err(refusal) => DescribedGroup {
                error_code: asked.code(refusal_code(refusal)),
                error_message: Some(refusal.to_string()),
                ..DescribedGroup::default()
            },
        };
        group.authorized_operations = match request.include_authorized_operations {
            true => GROUP_OPERATIONS,
            false => OPERATIONS_NOT_ASKED,
        };
        group.group_id = group_id;
        response.groups.push(group);
    }
    broker.answer_once_committed(asked, GroupAnswer::ConsumerDescribe(response), gates);
    Ok(Answer::Parked)
}

impl Broker {
    fn consumer_described(
        &self,
        index: i32,
        place: usize,
        name: &str,
    ) -> Result<(DescribedGroup, Gate), Refusal> {
        self.read_shard(index, place, |shard| {
            let not_found = |why: String| DescribedGroup {
                error_code: ErrorCode::GroupIdNotFound.code(),
                error_message: Some(why),
                ..DescribedGroup::default()
            };
            match shard.groups().get(name).map(|group| group.kind()) {
                Some(GroupKind::Consumer(group)) => described(shard, &self.image, group),
                Some(GroupKind::Classic(_)) => {
                    not_found(format!("Group {name} is not a consumer group."))
                }
                None => not_found(format!("Group {name} not found.")),
            }
        })
    }
}

fn described(shard: &Shard, image: &Image, group: &ConsumerGroup) -> DescribedGroup {
    let nothing = Partitions::default();
    let member = |(id, member): (&String, &ConsumerMember)| Member {
        member_id: id.clone(),
        instance_id: member.about.instance.clone(),
        rack_id: member.about.rack.clone(),
        member_epoch: member.current.epoch,
        client_id: member.about.client_id.clone(),
        client_host: member.about.client_host.clone(),
        subscribed_topic_names: member.about.topics.clone(),
        subscribed_topic_regex: member.about.pattern.clone(),
        assignment: assignment(image, &member.current.assigned),
        target_assignment: assignment(image, group.target(id).unwrap_or(&nothing)),
        member_type: match member.is_classic() {
            true => CLASSIC_MEMBER,
            false => CONSUMER_MEMBER,
        },
    };
    DescribedGroup {
        group_state: group.state().name().to_owned(),
        group_epoch: group.epoch(),
        assignment_epoch: group.target_epoch(),
        assignor_name: shard.assignor_of(group).name().to_owned(),
        members: group.members().iter().map(member).collect(),
        ..DescribedGroup::default()
    }
}

fn assignment(image: &Image, partitions: &Partitions) -> Assignment {
    let topics = partitions.topics().filter_map(|(topic_id, indexes)| {
        Some(TopicPartitions {
            topic_id,
            topic_name: image.topic(topic_id)?.name.clone(),
            partitions: indexes.iter().copied().collect(),
        })
    });
    Assignment {
        topic_partitions: topics.collect(),
    }
}
