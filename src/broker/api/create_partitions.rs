//! CreatePartitions (37): lets topics grow; every live broker knows the new partitions when the answer leaves.
//!
//! Where that takes longer than the request's timeout, REQUEST_TIMED_OUT is said of topics that have grown.
//!
//! Differs from Apache Kafka: live brokers are waited for, the controller's commit is not all; with a timeout of 0
//! it is.

use std::collections::BTreeMap;

use super::super::Broker;
use super::super::commit::NotDone;
use super::super::dispatch::{Answered, Asked, check_entries};
use super::{code_of, say_late};
use crate::ids::BrokerId;
use crate::metadata::decide::{MorePartitions, Refusal, add_partitions};
use crate::wire::messages::create_partitions::{
    CreatePartitionsRequest, CreatePartitionsResponse, CreatePartitionsTopic,
    CreatePartitionsTopicResult,
};
use crate::wire::{ErrorCode, Reader};

pub(super) fn answer(broker: &mut Broker, asked: &Asked, reader: &mut Reader) -> Answered {
    let request = CreatePartitionsRequest::decode(reader, asked.version)?;
    check_entries(request.topics.len())?;
    let mut times: BTreeMap<&str, u32> = BTreeMap::new();
    for topic in &request.topics {
        *times.entry(&topic.name).or_default() += 1;
    }
    let mut response = CreatePartitionsResponse::default();
    for topic in &request.topics {
        let result = match times.remove(topic.name.as_str()) {
            // Said once already.
            None => continue,
            Some(1) => broker.grow_asked(asked, topic, request.validate_only),
            Some(_) => Err(Refusal::InvalidRequest("Duplicate topic name.".to_owned()).into()),
        };
        let (error, why) = match result {
            Ok(()) => (ErrorCode::None, None),
            Err(not_done) => {
                let (error, why) = code_of(&not_done);
                (error, Some(why))
            }
        };
        response.results.push(CreatePartitionsTopicResult {
            name: topic.name.clone(),
            error_code: asked.code(error),
            error_message: why,
        });
    }
    let encode = |response: &_, writer: &mut _| {
        CreatePartitionsResponse::encode(response, writer, asked.version)
    };
    asked.reply_once_spread(request.timeout_ms, response, encode, |response| {
        for topic in &mut response.results {
            say_late(&mut topic.error_code, &mut topic.error_message);
        }
    })
}

impl Broker {
    fn grow_asked(
        &mut self,
        asked: &Asked,
        topic: &CreatePartitionsTopic,
        validate_only: bool,
    ) -> Result<(), NotDone> {
        let replicas = |brokers: &[i32]| brokers.iter().copied().map(BrokerId).collect();
        let more = MorePartitions {
            topic: topic.name.clone(),
            total: topic.count,
            assignments: topic
                .assignments
                .as_ref()
                .map(|all| all.iter().map(|a| replicas(&a.broker_ids)).collect()),
        };
        let records = add_partitions(self.facts(), &more)?;
        if !validate_only {
            let cause = self.connections.who(asked.connection);
            self.commit(asked.now, &records, &cause)?;
        }
        Ok(())
    }
}
