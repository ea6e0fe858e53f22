//! AlterConfigs (33) and IncrementalAlterConfigs (44): change the configurations of topics and brokers.
//!
//! AlterConfigs replaces all of a resource's configurations, IncrementalAlterConfigs changes single ones
//! (KIP-339). A resource named twice is refused, both times. Changes are in force when the answer leaves.
//!
//! Differs from Apache Kafka: only topics and brokers can be changed; log levels, client metrics and groups
//! are INVALID_REQUEST.

use std::collections::BTreeMap;

use super::super::Broker;
use super::super::commit::NotDone;
use super::super::dispatch::{Answer, Answered, Asked, check_entries};
use super::code_of;
use super::describe_configs::{BROKER, TOPIC};
use crate::ids::BrokerId;
use crate::metadata::Record;
use crate::metadata::decide::{
    ConfigChange, ConfigOp, Refusal, alter_broker, alter_topic, replace_broker, replace_topic,
};
use crate::wire::messages::{alter_configs, incremental_alter_configs};
use crate::wire::{ErrorCode, Reader};

/// What a resource's configurations shall become.
enum Wish {
    Replace(Vec<(String, Option<String>)>),
    Change(Vec<ConfigChange>),
}

pub(super) fn answer_alter(broker: &mut Broker, asked: &Asked, reader: &mut Reader) -> Answered {
    use alter_configs::{AlterConfigsRequest, AlterConfigsResourceResponse, AlterConfigsResponse};
    let request = AlterConfigsRequest::decode(reader, asked.version)?;
    check_entries(request.resources.len())?;
    let named =
        |r: &alter_configs::AlterConfigsResource| (r.resource_type, r.resource_name.clone());
    let repeated = repeated(request.resources.iter().map(named));
    let mut response = AlterConfigsResponse::default();
    for resource in request.resources {
        let name = (resource.resource_type, resource.resource_name);
        let configs = resource.configs.into_iter().map(|c| (c.name, c.value));
        let wish = Ok(Wish::Replace(configs.collect()));
        let (error_code, error_message) =
            broker.alter_asked(asked, &name, &repeated, wish, request.validate_only);
        response.responses.push(AlterConfigsResourceResponse {
            error_code,
            error_message,
            resource_type: name.0,
            resource_name: name.1,
        });
    }
    let parts = asked.reply(|writer| response.encode(writer, asked.version))?;
    Ok(Answer::Reply(parts))
}

pub(super) fn answer_incremental(
    broker: &mut Broker,
    asked: &Asked,
    reader: &mut Reader,
) -> Answered {
    use incremental_alter_configs::{
        AlterConfigsResource, AlterConfigsResourceResponse, IncrementalAlterConfigsRequest,
        IncrementalAlterConfigsResponse,
    };
    let request = IncrementalAlterConfigsRequest::decode(reader, asked.version)?;
    check_entries(request.resources.len())?;
    let named = |r: &AlterConfigsResource| (r.resource_type, r.resource_name.clone());
    let repeated = repeated(request.resources.iter().map(named));
    let mut response = IncrementalAlterConfigsResponse::default();
    for resource in request.resources {
        let name = (resource.resource_type, resource.resource_name);
        let changes = resource.configs.into_iter().map(|config| {
            Ok(ConfigChange {
                op: config_op(config.config_operation)?,
                name: config.name,
                value: config.value,
            })
        });
        let wish = changes.collect::<Result<_, Refusal>>().map(Wish::Change);
        let (error_code, error_message) =
            broker.alter_asked(asked, &name, &repeated, wish, request.validate_only);
        response.responses.push(AlterConfigsResourceResponse {
            error_code,
            error_message,
            resource_type: name.0,
            resource_name: name.1,
        });
    }
    let parts = asked.reply(|writer| response.encode(writer, asked.version))?;
    Ok(Answer::Reply(parts))
}

fn config_op(number: i8) -> Result<ConfigOp, Refusal> {
    let all = [
        ConfigOp::Set,
        ConfigOp::Delete,
        ConfigOp::Append,
        ConfigOp::Subtract,
    ];
    let found = all.into_iter().find(|op| *op as i8 == number);
    found.ok_or_else(|| Refusal::InvalidRequest(format!("Unknown config operation {number}")))
}

/// Resources named more than once.
fn repeated(names: impl Iterator<Item = (i8, String)>) -> BTreeMap<(i8, String), u32> {
    let mut times = BTreeMap::new();
    for name in names {
        *times.entry(name).or_default() += 1;
    }
    times.retain(|_, times| *times > 1);
    times
}

impl Broker {
    fn alter_asked(
        &mut self,
        asked: &Asked,
        resource: &(i8, String),
        repeated: &BTreeMap<(i8, String), u32>,
        wish: Result<Wish, Refusal>,
        validate_only: bool,
    ) -> (i16, Option<String>) {
        let done = if repeated.contains_key(resource) {
            let why = "Each resource must appear at most once.".to_owned();
            Err(Refusal::InvalidRequest(why).into())
        } else {
            wish.and_then(|wish| self.decide_configs(resource, &wish))
                .map_err(NotDone::from)
                .and_then(|records| match validate_only {
                    true => Ok(()),
                    false => {
                        let cause = self.connections.who(asked.connection);
                        self.commit(asked.now, &records, &cause)
                    }
                })
        };
        match done {
            Ok(()) => (asked.code(ErrorCode::None), None),
            Err(not_done) => {
                let (error, why) = code_of(&not_done);
                (asked.code(error), Some(why))
            }
        }
    }

    fn decide_configs(
        &self,
        (kind, name): &(i8, String),
        wish: &Wish,
    ) -> Result<Vec<Record>, Refusal> {
        let facts = self.facts();
        match (*kind, wish) {
            (TOPIC, Wish::Replace(configs)) => replace_topic(facts, name, configs),
            (TOPIC, Wish::Change(changes)) => alter_topic(facts, name, changes),
            (BROKER, Wish::Replace(configs)) => replace_broker(facts, broker_named(name)?, configs),
            (BROKER, Wish::Change(changes)) => alter_broker(facts, broker_named(name)?, changes),
            (other, _) => Err(Refusal::InvalidRequest(format!(
                "Unsupported resource type: {other}"
            ))),
        }
    }
}

/// A broker resource's name: a number, or empty for all brokers.
fn broker_named(name: &str) -> Result<Option<BrokerId>, Refusal> {
    if name.is_empty() {
        return Ok(None);
    }
    let id = name.parse().map(BrokerId).map(Some);
    id.map_err(|_| Refusal::InvalidRequest(format!("Invalid broker id {name}")))
}
