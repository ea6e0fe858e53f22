//! ConsumerGroupHeartbeat (68): a member of a group joins, says what it owns, hears what to own and leaves (KIP-848).
//!
//! Answered once everything it tells of is committed, so that another coordinator knows it, too. Regular expressions
//! are resolved with the heartbeat that brings them.
//!
//! Differs from Apache Kafka: racks are kept and told, but assignors ignore them. A member that joins again under its
//! own id goes on with what is its own instead of being fenced until its session is over. A classic group that goes
//! over counts as a member's own what it said it owned when it joined, too, and one that is empty then counts its epochs
//! on from its generations (so does one that goes back). Regular expressions know neither `\C` nor
//! `\Q…\E`, and have limits: 4096 bytes, 256 in a group. What the members of a group say of themselves is 8 MiB at most
//! (GROUP_MAX_SIZE_REACHED).

use super::super::Broker;
use super::super::dispatch::{Answer, Answered, Asked, check_entries, check_lists};
use super::super::group_answers::{GroupAnswer, refusal_code};
use super::super::groups::NotHere;
use crate::group::{ConsumerHeard, Partitions, Refusal, Reply};
use crate::wire::Reader;
use crate::wire::messages::consumer_group_heartbeat::{
    Assignment, ConsumerGroupHeartbeatRequest, ConsumerGroupHeartbeatResponse, TopicPartitions,
};

pub(super) fn answer(broker: &mut Broker, asked: &Asked, reader: &mut Reader) -> Answered {
    let request = ConsumerGroupHeartbeatRequest::decode(reader, asked.version)?;
    check_entries(request.subscribed_topic_names.as_ref().map_or(0, Vec::len))?;
    let owned = request.topic_partitions.iter().flatten();
    check_lists(owned.map(|topic| topic.partitions.len()))?;
    let refuse = |refusal: Refusal| GroupAnswer::ConsumerHeartbeat(refused(refusal)).send(asked);
    if request.group_id.is_empty() {
        return refuse(Refusal::InvalidRequest("GroupId can't be empty."));
    }
    let index = match broker.coordinated(asked, &request.group_id) {
        Ok(index) => index,
        Err(NotHere::Later) => return Ok(Answer::Later),
        Err(NotHere::Refused(refusal)) => return refuse(refusal),
    };
    let heard = broker.on_shard(asked, index, true, |shard, caller| {
        shard.consumer_heartbeat(caller, &request, asked.version)
    });
    let (heard, gate) = match heard {
        Ok((Some(Reply::ConsumerHeartbeat(heard)), gate)) => (heard, gate),
        Ok(_) => return refuse(Refusal::NotAvailable),
        Err(refusal) => {
            // Whether it can be written is not the member's fault.
            let _heard = broker.on_shard(asked, index, false, |shard, caller| {
                shard.consumer_heard(caller, &request.group_id, &request.member_id)
            });
            return refuse(refusal);
        }
    };
    match heard {
        Err(refusal) => refuse(refusal),
        Ok(heard) => {
            let response = GroupAnswer::ConsumerHeartbeat(told(heard));
            broker.answer_once_committed(asked, response, vec![gate]);
            Ok(Answer::Parked)
        }
    }
}

fn refused(refusal: Refusal) -> ConsumerGroupHeartbeatResponse {
    ConsumerGroupHeartbeatResponse {
        error_code: refusal_code(refusal).code(),
        error_message: Some(refusal.to_string()),
        ..ConsumerGroupHeartbeatResponse::default()
    }
}

fn told(heard: ConsumerHeard) -> ConsumerGroupHeartbeatResponse {
    let assignment = |partitions: Partitions| {
        let topic = |(topic_id, indexes): (_, &std::collections::BTreeSet<i32>)| TopicPartitions {
            topic_id,
            partitions: indexes.iter().copied().collect(),
        };
        Assignment {
            topic_partitions: partitions.topics().map(topic).collect(),
        }
    };
    ConsumerGroupHeartbeatResponse {
        member_id: Some(heard.member_id),
        member_epoch: heard.epoch,
        heartbeat_interval_ms: heard.heartbeat_interval_ms,
        assignment: heard.assignment.map(assignment),
        ..ConsumerGroupHeartbeatResponse::default()
    }
}
