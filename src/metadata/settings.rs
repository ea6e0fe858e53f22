//! Which value a configuration has, and where it comes from.
//!
//! From strongest to weakest: the topic's own, this broker's dynamic, the cluster's dynamic, what klar was
//! started with (`--set`), Kafka's default. Within one level a name comes before its weaker synonyms
//! (`log.retention.ms` before `log.retention.hours`).

use std::collections::BTreeMap;

use super::configs::{
    BROKER_ROWS, BadValue, BrokerRow, TOPIC_ROWS, TopicRow, broker_row, check_value, list_elements,
    topic_row,
};
use super::image::{Image, TopicImage};
use crate::ids::BrokerId;

/// Where a value comes from, with the numbers DescribeConfigs uses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ConfigSource {
    Topic = 1,
    DynamicBroker = 2,
    DynamicCluster = 3,
    Static = 4,
    Default = 5,
}

/// One place a value could come from: DescribeConfigs calls it a synonym.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    pub name: &'static str,
    pub value: String,
    pub source: ConfigSource,
}

/// A configuration's value with every place it could have come from, strongest first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EffectiveConfig {
    /// `None` for a broker configuration that is unset (a weaker name decides instead).
    pub value: Option<String>,
    pub source: ConfigSource,
    pub steps: Vec<Step>,
}

/// What a broker was started with, checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BrokerSettings {
    broker: BrokerId,
    statics: BTreeMap<String, String>,
}

/// Why `--set` was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SettingsError {
    #[error("{0} is no configuration klar knows")]
    Unknown(String),
    #[error("{0} is decided by klar's own options ({1}), not by --set")]
    Reserved(String, &'static str),
    #[error(transparent)]
    Bad(#[from] BadValue),
}

/// Kafka's names for what klar's own options decide.
const RESERVED: &[(&str, &str)] = &[
    ("advertised.listeners", "--listen and --port"),
    ("broker.id", "--brokers"),
    ("listeners", "--listen and --port"),
    ("log.dir", "--data-dir"),
    ("log.dirs", "--data-dir"),
    ("node.id", "--brokers"),
    ("port", "--port"),
    ("process.roles", "--brokers"),
];

/// One topic's configurations as the numbers the broker works with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TopicSettings {
    pub compact: bool,
    pub delete: bool,
    pub index_interval_bytes: u32,
    pub max_message_bytes: u32,
    pub timestamp_after_max_ms: i64,
    pub timestamp_before_max_ms: i64,
    pub log_append_time: bool,
    pub min_insync_replicas: u32,
    /// `None` is no limit.
    pub retention_bytes: Option<u64>,
    /// `None` is no limit.
    pub retention_ms: Option<i64>,
    pub segment_bytes: u32,
    pub segment_index_bytes: u32,
    pub segment_ms: i64,
}

impl BrokerSettings {
    /// Takes what `--set` gave, later ones winning.
    ///
    /// # Errors
    /// A name that is unknown or not for `--set`, or a value that is not allowed.
    pub fn new<'a>(
        broker: BrokerId,
        set: impl IntoIterator<Item = (&'a str, &'a str)>,
    ) -> Result<BrokerSettings, SettingsError> {
        let mut statics = BTreeMap::new();
        for (name, value) in set {
            if let Some((_, option)) = RESERVED.iter().find(|(reserved, _)| *reserved == name) {
                return Err(SettingsError::Reserved(name.to_owned(), option));
            }
            let row = broker_row(name).ok_or_else(|| SettingsError::Unknown(name.to_owned()))?;
            check_value(name, row.kind, row.allowed, value)?;
            statics.insert(name.to_owned(), value.trim().to_owned());
        }
        Ok(BrokerSettings { broker, statics })
    }

    /// The value of a broker configuration and where it comes from.
    pub fn broker_config(&self, image: &Image, row: &'static BrokerRow) -> EffectiveConfig {
        EffectiveConfig::from_steps(self.steps(image, &[(row.name, 1)]))
    }

    /// The value of a topic configuration for a topic that overrides `overrides`.
    pub fn topic_config(
        &self,
        image: &Image,
        overrides: &BTreeMap<String, String>,
        row: &'static TopicRow,
    ) -> EffectiveConfig {
        let own = overrides.get(row.name).map(|value| Step {
            name: row.name,
            value: value.clone(),
            source: ConfigSource::Topic,
        });
        let weaker = self.steps(image, row.falls_back_to);
        EffectiveConfig::from_steps(own.into_iter().chain(weaker).collect())
    }

    fn steps(&self, image: &Image, names: &[(&'static str, i64)]) -> Vec<Step> {
        let levels = [
            (
                ConfigSource::DynamicBroker,
                image.broker_configs(Some(self.broker)),
            ),
            (ConfigSource::DynamicCluster, image.broker_configs(None)),
            (ConfigSource::Static, Some(&self.statics)),
        ];
        let mut steps = Vec::new();
        for (source, values) in levels {
            for (name, factor) in names {
                if let Some(value) = values.and_then(|values| values.get(*name)) {
                    let value = scaled(value, *factor);
                    steps.push(Step {
                        name,
                        value,
                        source,
                    });
                }
            }
        }
        for (name, factor) in names {
            if let Some(value) = broker_row(name).and_then(|row| row.default) {
                let (value, source) = (scaled(value, *factor), ConfigSource::Default);
                steps.push(Step {
                    name,
                    value,
                    source,
                });
            }
        }
        steps
    }

    /// A number that a broker configuration has.
    pub fn number(&self, image: &Image, name: &str) -> i64 {
        let row = broker_row(name).expect("callers name rows of the table");
        let value = self.broker_config(image, row).value.unwrap_or_default();
        value.parse().unwrap_or(0)
    }

    /// Whether a broker configuration is true.
    pub fn flag(&self, image: &Image, name: &str) -> bool {
        let row = broker_row(name).expect("callers name rows of the table");
        let value = self.broker_config(image, row).value.unwrap_or_default();
        value.eq_ignore_ascii_case("true")
    }

    /// What a broker configuration is set to; `None` when it is unset.
    pub fn text(&self, image: &Image, name: &str) -> Option<String> {
        let row = broker_row(name).expect("callers name rows of the table");
        self.broker_config(image, row).value
    }

    /// What a topic configuration is for one topic.
    fn topic_value(&self, image: &Image, topic: &TopicImage, name: &str) -> String {
        let row = topic_row(name).expect("callers name rows of the table");
        let config = self.topic_config(image, &topic.configs, row);
        config.value.unwrap_or_default()
    }

    /// min.insync.replicas of a topic: what [`BrokerSettings::topic`] says too, without reading all others.
    pub fn min_insync_replicas(&self, image: &Image, topic: &TopicImage) -> usize {
        let value = self.topic_value(image, topic, "min.insync.replicas");
        value.parse().unwrap_or(1)
    }

    /// Whether a topic's partitions may be led by a replica that lacks committed records.
    pub fn allows_unclean_election(&self, image: &Image, topic: &TopicImage) -> bool {
        let value = self.topic_value(image, topic, "unclean.leader.election.enable");
        value.eq_ignore_ascii_case("true")
    }

    /// Every broker configuration: name, value, whether it is the default.
    pub fn all(&self, image: &Image) -> Vec<(String, String, bool)> {
        BROKER_ROWS
            .iter()
            .map(|row| {
                let config = self.broker_config(image, row);
                let default = config.source == ConfigSource::Default;
                (
                    row.name.to_owned(),
                    config.value.unwrap_or_default(),
                    default,
                )
            })
            .collect()
    }

    /// What a topic with these overrides works with. Values were checked when they were set; one that an
    /// older klar allowed and this one cannot read counts as unset.
    pub fn topic(&self, image: &Image, overrides: &BTreeMap<String, String>) -> TopicSettings {
        let text = |name: &str| {
            let row = topic_row(name).expect("the names below are rows of the table");
            self.topic_config(image, overrides, row)
                .value
                .unwrap_or_default()
        };
        let number = |name: &str| text(name).parse::<i64>().unwrap_or(0);
        let size = |name: &str| u32::try_from(number(name)).unwrap_or(u32::MAX);
        let policy = text("cleanup.policy");
        TopicSettings {
            compact: list_elements(&policy).any(|p| p == "compact"),
            delete: list_elements(&policy).any(|p| p == "delete"),
            index_interval_bytes: size("index.interval.bytes"),
            max_message_bytes: size("max.message.bytes"),
            timestamp_after_max_ms: number("message.timestamp.after.max.ms"),
            timestamp_before_max_ms: number("message.timestamp.before.max.ms"),
            log_append_time: text("message.timestamp.type") == "LogAppendTime",
            min_insync_replicas: size("min.insync.replicas"),
            retention_bytes: u64::try_from(number("retention.bytes")).ok(),
            retention_ms: Some(number("retention.ms")).filter(|ms| *ms >= 0),
            segment_bytes: size("segment.bytes"),
            segment_index_bytes: size("segment.index.bytes"),
            segment_ms: number("segment.ms"),
        }
    }

    /// Every topic configuration for a topic with these overrides.
    pub fn topic_configs(
        &self,
        image: &Image,
        overrides: &BTreeMap<String, String>,
    ) -> Vec<(&'static TopicRow, EffectiveConfig)> {
        TOPIC_ROWS
            .iter()
            .map(|row| (row, self.topic_config(image, overrides, row)))
            .collect()
    }
}

impl EffectiveConfig {
    fn from_steps(steps: Vec<Step>) -> EffectiveConfig {
        EffectiveConfig {
            value: steps.first().map(|step| step.value.clone()),
            source: steps.first().map_or(ConfigSource::Default, |s| s.source),
            steps,
        }
    }
}

/// A value in another unit: `-1` stays what it is (no limit), and what would overflow becomes the largest.
fn scaled(value: &str, factor: i64) -> String {
    match value.parse::<i64>() {
        Ok(number) if factor != 1 && number >= 0 => number.saturating_mul(factor).to_string(),
        Ok(number) if factor != 1 => number.max(-1).to_string(),
        _ => value.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metadata::{Record, Resource};

    fn settings(set: &[(&str, &str)]) -> BrokerSettings {
        BrokerSettings::new(BrokerId(1), set.iter().copied()).expect("allowed")
    }

    fn retention(
        settings: &BrokerSettings,
        image: &Image,
        own: &[(&str, &str)],
    ) -> EffectiveConfig {
        let own = own
            .iter()
            .map(|(n, v)| ((*n).to_owned(), (*v).to_owned()))
            .collect();
        let row = topic_row("retention.ms").expect("it is there");
        settings.topic_config(image, &own, row)
    }

    #[test]
    fn retention_is_seven_days_and_a_stronger_name_wins() {
        let image = Image::default();
        let config = retention(&settings(&[]), &image, &[]);
        assert_eq!(config.value.as_deref(), Some("604800000"));
        assert_eq!(config.source, ConfigSource::Default);
        let set = settings(&[("log.retention.hours", "1"), ("log.retention.minutes", "2")]);
        let config = retention(&set, &image, &[]);
        assert_eq!(config.value.as_deref(), Some("120000"));
        assert_eq!(config.steps.len(), 3);
        let config = retention(&set, &image, &[("retention.ms", "7")]);
        assert_eq!(config.value.as_deref(), Some("7"));
        assert_eq!(config.source, ConfigSource::Topic);
    }

    #[test]
    fn dynamic_settings_of_a_broker_beat_the_clusters_and_the_started_ones() {
        let mut image = Image::default();
        let set = settings(&[("log.retention.ms", "1")]);
        for (broker, value) in [(None, "2"), (Some(BrokerId(1)), "3")] {
            image.apply(&Record::Config {
                resource: Resource::Broker(broker),
                name: "log.retention.ms".into(),
                value: Some(value.into()),
            });
            let config = retention(&set, &image, &[]);
            assert_eq!(config.value.as_deref(), Some(value));
        }
    }

    #[test]
    fn no_limit_in_hours_is_no_limit_in_milliseconds() {
        let set = settings(&[("log.retention.hours", "-1")]);
        assert_eq!(
            set.topic(&Image::default(), &BTreeMap::new()).retention_ms,
            None
        );
    }

    #[test]
    fn unknown_reserved_and_bad_settings_are_refused() {
        let refused = |name: &str, value: &str| {
            BrokerSettings::new(BrokerId(1), [(name, value)]).expect_err(name)
        };
        assert!(matches!(refused("no.such", "1"), SettingsError::Unknown(_)));
        assert!(matches!(
            refused("log.dirs", "/x"),
            SettingsError::Reserved(..)
        ));
        assert!(matches!(
            refused("num.partitions", "0"),
            SettingsError::Bad(_)
        ));
    }
}
