//! DescribeConfigs (32): the configurations of topics and brokers, with where each value comes from.
//!
//! Differs from Apache Kafka: the tables of `metadata::configs` are all there is; loggers, client metrics and
//! groups have no configurations and are INVALID_REQUEST.

use std::collections::BTreeSet;

use super::super::Broker;
use super::super::dispatch::{Answer, Answered, Asked, check_entries};
use super::refusal_code;
use crate::metadata::configs::{BROKER_ROWS, Change, ConfigType, TOPIC_ROWS};
use crate::metadata::decide::{Refusal, check_topic_name};
use crate::metadata::{ConfigSource, EffectiveConfig};
use crate::wire::messages::describe_configs::{
    DescribeConfigsRequest, DescribeConfigsResource, DescribeConfigsResourceResult,
    DescribeConfigsResponse, DescribeConfigsResult, DescribeConfigsSynonym,
};
use crate::wire::{ErrorCode, Reader};

pub(super) const TOPIC: i8 = 2;
pub(super) const BROKER: i8 = 4;

/// An answer about one resource lists its configurations, so it counts for this many entries.
const WEIGHT: usize = 10;

/// What a request wants to know of each configuration.
#[derive(Clone, Copy)]
struct Detail {
    synonyms: bool,
    documentation: bool,
}

pub(super) fn answer(broker: &mut Broker, asked: &Asked, reader: &mut Reader) -> Answered {
    let request = DescribeConfigsRequest::decode(reader, asked.version)?;
    check_entries(request.resources.len().saturating_mul(WEIGHT))?;
    let detail = Detail {
        synonyms: request.include_synonyms,
        documentation: request.include_documentation,
    };
    let mut resources = request.resources;
    let mut seen = BTreeSet::new();
    resources
        .retain(|resource| seen.insert((resource.resource_type, resource.resource_name.clone())));
    let results = resources.into_iter().map(|resource| {
        let configs = broker.describe_resource(&resource, detail);
        let (error, why) = match &configs {
            Ok(_) => (ErrorCode::None, None),
            Err(refusal) => (refusal_code(refusal), Some(refusal.to_string())),
        };
        DescribeConfigsResult {
            error_code: asked.code(error),
            error_message: why,
            resource_type: resource.resource_type,
            resource_name: resource.resource_name,
            configs: configs.unwrap_or_default(),
        }
    });
    let response = DescribeConfigsResponse {
        results: results.collect(),
        ..DescribeConfigsResponse::default()
    };
    let parts = asked.reply(|writer| response.encode(writer, asked.version))?;
    Ok(Answer::Reply(parts))
}

impl Broker {
    fn describe_resource(
        &self,
        resource: &DescribeConfigsResource,
        detail: Detail,
    ) -> Result<Vec<DescribeConfigsResourceResult>, Refusal> {
        let keys = resource.configuration_keys.as_deref().unwrap_or_default();
        let wanted = |name: &str| keys.is_empty() || keys.iter().any(|key| key == name);
        match resource.resource_type {
            TOPIC => self.describe_topic(&resource.resource_name, wanted, detail),
            BROKER => self.describe_broker(&resource.resource_name, wanted, detail),
            other => Err(Refusal::InvalidRequest(format!(
                "Unsupported resource type: {other}"
            ))),
        }
    }

    fn describe_topic(
        &self,
        name: &str,
        wanted: impl Fn(&str) -> bool,
        detail: Detail,
    ) -> Result<Vec<DescribeConfigsResourceResult>, Refusal> {
        check_topic_name(name)?;
        let topic = self.image.topic_named(name).ok_or(Refusal::UnknownTopic)?;
        let rows = TOPIC_ROWS.iter().filter(|row| wanted(row.name));
        Ok(rows
            .map(|row| {
                let config = self.settings.topic_config(&self.image, &topic.configs, row);
                described(row.name, row.kind, row.doc, false, config, detail)
            })
            .collect())
    }

    fn describe_broker(
        &self,
        name: &str,
        wanted: impl Fn(&str) -> bool,
        detail: Detail,
    ) -> Result<Vec<DescribeConfigsResourceResult>, Refusal> {
        let all_brokers = name.is_empty();
        if !all_brokers && name.parse() != Ok(self.config.id.0) {
            return Err(Refusal::InvalidRequest(format!(
                "Unexpected broker id, expected {} or empty string, but received {name}",
                self.config.id
            )));
        }
        let mut results = Vec::new();
        for row in BROKER_ROWS.iter().filter(|row| wanted(row.name)) {
            let mut config = self.settings.broker_config(&self.image, row);
            if all_brokers {
                // Only what was set for all brokers while they ran.
                config
                    .steps
                    .retain(|step| step.source == ConfigSource::DynamicCluster);
                let Some(step) = config.steps.first().cloned() else {
                    continue;
                };
                config.value = Some(step.value);
                config.source = step.source;
            }
            let read_only = row.change == Change::AtStart;
            results.push(described(
                row.name, row.kind, row.doc, read_only, config, detail,
            ));
        }
        Ok(results)
    }
}

fn described(
    name: &str,
    kind: ConfigType,
    doc: &str,
    read_only: bool,
    config: EffectiveConfig,
    detail: Detail,
) -> DescribeConfigsResourceResult {
    let synonyms = config.steps.into_iter().filter(|_| detail.synonyms);
    DescribeConfigsResourceResult {
        name: name.to_owned(),
        value: config.value,
        read_only,
        config_source: config.source as i8,
        is_sensitive: false,
        synonyms: synonyms
            .map(|step| DescribeConfigsSynonym {
                name: step.name.to_owned(),
                value: Some(step.value),
                source: step.source as i8,
            })
            .collect(),
        config_type: kind as i8,
        documentation: detail.documentation.then(|| doc.to_owned()),
    }
}
