//! BrokerRegistration (62), BrokerHeartbeat (63), AllocateProducerIds (67): from brokers to the controller.
//!
//! Each answer leaves once what it tells of is committed.
//!
//! Differs from Apache Kafka: features and log directories are not looked at; a broker whose connection is lost
//! has only a third of its session timeout left to be heard.

use super::super::Broker;
use super::super::commit::NotDone;
use super::super::dispatch::{Answer, Answered, Asked, check_entries};
use super::code_of;
use crate::ids::{BrokerEpoch, BrokerId, IncarnationId, Offset};
use crate::metadata::Endpoint;
use crate::metadata::decide::{
    Heartbeat, NewBroker, Refusal, check_broker_epoch, next_producer_ids,
};
use crate::wire::messages::allocate_producer_ids::{
    AllocateProducerIdsRequest, AllocateProducerIdsResponse,
};
use crate::wire::messages::broker_heartbeat::{BrokerHeartbeatRequest, BrokerHeartbeatResponse};
use crate::wire::messages::broker_registration::{
    BrokerRegistrationRequest, BrokerRegistrationResponse,
};
use crate::wire::{ErrorCode, Reader};

pub(super) fn answer_registration(
    broker: &mut Broker,
    asked: &Asked,
    reader: &mut Reader,
) -> Answered {
    let request = BrokerRegistrationRequest::decode(reader, asked.version)?;
    check_entries(request.listeners.len() + request.features.len())?;
    let mut response = BrokerRegistrationResponse::default();
    if request.cluster_id != broker.config.cluster_id {
        response.error_code = asked.code(ErrorCode::InconsistentClusterId);
    } else {
        let listeners = request.listeners.into_iter();
        let endpoint = |listener: crate::wire::messages::broker_registration::Listener| Endpoint {
            name: listener.name,
            host: listener.host,
            port: listener.port,
        };
        let new = NewBroker {
            id: BrokerId(request.broker_id),
            incarnation: IncarnationId(request.incarnation_id.0),
            endpoints: listeners.map(endpoint).collect(),
            rack: request.rack,
            previous_epoch: BrokerEpoch(request.previous_broker_epoch),
        };
        match broker.decide_registration(asked.now, &new) {
            Ok(epoch) => response.broker_epoch = epoch.0,
            Err(not_done) => response.error_code = asked.code(code_of(&not_done).0),
        }
    }
    let parts = asked.reply(|writer| response.encode(writer, asked.version))?;
    Ok(Answer::Reply(parts))
}

pub(super) fn answer_heartbeat(
    broker: &mut Broker,
    asked: &Asked,
    reader: &mut Reader,
) -> Answered {
    let request = BrokerHeartbeatRequest::decode(reader, asked.version)?;
    let beat = Heartbeat {
        broker: BrokerId(request.broker_id),
        epoch: BrokerEpoch(request.broker_epoch),
        metadata_offset: Offset(request.current_metadata_offset),
        want_fence: request.want_fence,
        want_shut_down: request.want_shut_down,
    };
    let response = match broker.decide_heartbeat(asked.now, &beat) {
        Ok(decided) => {
            if let Some(controller) = broker.controller_mut() {
                controller.sessions.on_heard(beat.broker, asked.connection);
            }
            BrokerHeartbeatResponse {
                is_caught_up: decided.is_caught_up,
                is_fenced: decided.is_fenced,
                should_shut_down: decided.should_shut_down,
                ..BrokerHeartbeatResponse::default()
            }
        }
        Err(not_done) => BrokerHeartbeatResponse {
            error_code: asked.code(code_of(&not_done).0),
            ..BrokerHeartbeatResponse::default()
        },
    };
    let parts = asked.reply(|writer| response.encode(writer, asked.version))?;
    Ok(Answer::Reply(parts))
}

pub(super) fn answer_producer_ids(
    broker: &mut Broker,
    asked: &Asked,
    reader: &mut Reader,
) -> Answered {
    let request = AllocateProducerIdsRequest::decode(reader, asked.version)?;
    let response = match broker.allocate_producer_ids(asked, &request) {
        Ok(block) => AllocateProducerIdsResponse {
            producer_id_start: block.start,
            producer_id_len: i32::try_from(block.end - block.start).unwrap_or(0),
            ..AllocateProducerIdsResponse::default()
        },
        Err(not_done) => AllocateProducerIdsResponse {
            error_code: asked.code(code_of(&not_done).0),
            ..AllocateProducerIdsResponse::default()
        },
    };
    let parts = asked.reply(|writer| response.encode(writer, asked.version))?;
    Ok(Answer::Reply(parts))
}

impl Broker {
    /// Refuses what a broker asks of its controller, unless this is it and knows the broker by this epoch.
    pub(super) fn check_asked_as_controller(
        &self,
        from: BrokerId,
        epoch: BrokerEpoch,
    ) -> Result<(), Refusal> {
        match self.is_controller() && self.member.is_some() {
            true => check_broker_epoch(self.facts(), from, epoch),
            false => Err(Refusal::NotController),
        }
    }

    fn allocate_producer_ids(
        &mut self,
        asked: &Asked,
        request: &AllocateProducerIdsRequest,
    ) -> Result<std::ops::Range<i64>, NotDone> {
        let id = BrokerId(request.broker_id);
        check_broker_epoch(self.facts(), id, BrokerEpoch(request.broker_epoch))?;
        let block = next_producer_ids(self.facts(), id, self.producers_in_logs());
        let Some((block, record)) = block else {
            return Err(NotDone::NotWritten("all producer ids are gone".to_owned()));
        };
        self.decide(asked.now, &[record], "a broker needs producer ids")?;
        Ok(block)
    }
}
