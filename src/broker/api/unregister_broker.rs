//! UnregisterBroker (64): forgets a broker that will not come back.
//!
//! Differs from Apache Kafka: nothing known.

use super::super::Broker;
use super::super::commit::NotDone;
use super::super::dispatch::{Answer, Answered, Asked};
use super::code_of;
use crate::ids::BrokerId;
use crate::metadata::decide::unregister;
use crate::wire::Reader;
use crate::wire::messages::unregister_broker::{UnregisterBrokerRequest, UnregisterBrokerResponse};

pub(super) fn answer(broker: &mut Broker, asked: &Asked, reader: &mut Reader) -> Answered {
    let request = UnregisterBrokerRequest::decode(reader, asked.version)?;
    let mut response = UnregisterBrokerResponse::default();
    if let Err(not_done) = broker.unregister_asked(asked, BrokerId(request.broker_id)) {
        let (error, why) = code_of(&not_done);
        response.error_code = asked.code(error);
        response.error_message = Some(why);
    }
    let parts = asked.reply(|writer| response.encode(writer, asked.version))?;
    Ok(Answer::Reply(parts))
}

impl Broker {
    fn unregister_asked(&mut self, asked: &Asked, id: BrokerId) -> Result<(), NotDone> {
        let records = unregister(self.facts(), id)?;
        let cause = self.connections.who(asked.connection);
        self.commit(asked.now, &records, &cause)?;
        let member = self.member.as_mut();
        if let Some(controller) = member.and_then(|m| m.controller.as_mut()) {
            controller.sessions.on_unregistered(id);
        }
        Ok(())
    }
}
