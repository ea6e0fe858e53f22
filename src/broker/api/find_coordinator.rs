//! FindCoordinator (10): who coordinates a group or transaction.
//!
//! Differs from Apache Kafka: nobody does yet, so every key is COORDINATOR_NOT_AVAILABLE, which clients
//! retry. Batched from version 4 on (KIP-699).

use super::super::Broker;
use super::super::dispatch::{Answer, Answered, Asked, check_entries};
use crate::wire::messages::find_coordinator::{
    Coordinator, FindCoordinatorRequest, FindCoordinatorResponse,
};
use crate::wire::{ErrorCode, Reader};

/// First version that asks for several keys at once.
const BATCHED: i16 = 4;
/// Group, transaction, share group.
const KEY_TYPES: std::ops::RangeInclusive<i8> = 0..=2;
const WHY: &str = "This broker coordinates no groups and no transactions yet.";

pub(super) fn answer(_: &mut Broker, asked: &Asked, reader: &mut Reader) -> Answered {
    let request = FindCoordinatorRequest::decode(reader, asked.version)?;
    check_entries(request.coordinator_keys.len())?;
    let error = match KEY_TYPES.contains(&request.key_type) {
        true => ErrorCode::CoordinatorNotAvailable,
        false => ErrorCode::InvalidRequest,
    };
    let error_code = asked.code(error);
    let mut response = FindCoordinatorResponse::default();
    if asked.version >= BATCHED {
        let coordinator = |key| Coordinator {
            key,
            node_id: -1,
            port: -1,
            error_code,
            error_message: Some(WHY.to_owned()),
            ..Coordinator::default()
        };
        response.coordinators = request
            .coordinator_keys
            .into_iter()
            .map(coordinator)
            .collect();
    } else {
        response.error_code = error_code;
        response.error_message = (asked.version >= 1).then(|| WHY.to_owned());
        response.node_id = -1;
        response.port = -1;
    }
    let parts = asked.reply(|writer| response.encode(writer, asked.version))?;
    Ok(Answer::Reply(parts))
}
