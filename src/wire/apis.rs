//! The API table, generated from `assets/protocol/`, and the ApiVersions answer made from it.
//!
//! Every API with a definition has a row; which of them a broker answers is the broker's to say.

use std::ops::RangeInclusive;

use super::ErrorCode;
use super::fields::{Kind, Row, Shape};
use super::messages::api_versions::{
    ApiVersion, ApiVersionsResponse, FinalizedFeatureKey, SupportedFeatureKey,
};

include!(concat!(env!("OUT_DIR"), "/apis.rs"));

/// One API: a row of the table.
#[derive(Debug)]
pub struct Api {
    pub key: ApiKey,
    /// Kafka's name for it: `OffsetFetch`.
    pub name: &'static str,
    /// What it does, as one sentence.
    pub doc: &'static str,
    /// Lowest version accepted.
    pub min: i16,
    /// Highest version accepted.
    pub max: i16,
    /// Lowest version advertised. Below `min` for Produce: older librdkafka takes a higher one to mean
    /// that the broker cannot decompress.
    pub advertised_min: i16,
    /// Highest version advertised: `max`, unless that is not stable yet.
    pub advertised_max: i16,
    /// First version with compact lengths and tagged fields; `i16::MAX` if there is none.
    pub flexible_from: i16,
    /// Whether clients may send it to a broker.
    pub on_broker: bool,
    /// Whether it may be sent to a controller.
    pub on_controller: bool,
    /// The request's fields.
    pub request: &'static Shape,
    /// The response's fields.
    pub response: &'static Shape,
}

impl Api {
    /// The versions that can be read.
    pub fn versions(&self) -> RangeInclusive<i16> {
        self.min..=self.max
    }

    /// Whether a version has compact lengths and tagged fields. Versions above ours are taken to be
    /// like the highest of ours, so that their headers can be read.
    pub fn is_flexible(&self, version: i16) -> bool {
        version >= self.flexible_from
    }
}

impl ApiKey {
    /// The API with this key, if there is a definition of it.
    pub fn from_code(key: i16) -> Option<ApiKey> {
        let index = APIS.binary_search_by_key(&key, |api| api.key as i16).ok()?;
        Some(APIS[index].key)
    }

    /// Kafka's name for it: `OffsetFetch`.
    pub fn name(self) -> &'static str {
        api(self).name
    }
}

/// The API's row.
pub fn api(key: ApiKey) -> &'static Api {
    let index = APIS
        .binary_search_by_key(&key, |api| api.key)
        .expect("every key has a row: both are generated from the same definitions");
    &APIS[index]
}

/// One feature of a cluster and its levels (KIP-584).
#[derive(Debug, Clone, Copy)]
pub struct Feature {
    pub name: &'static str,
    /// Lowest level this program speaks.
    pub min: i16,
    /// Highest level this program speaks.
    pub max: i16,
    /// The level clusters of this program run at.
    pub finalized: i16,
}

/// The features advertised, at Kafka 4.3's levels. Clients choose by them: without
/// `transaction.version` 2 the Java producer takes the old transaction path, without `group.version` 1
/// consumers cannot use KIP-848 groups.
pub static FEATURES: &[Feature] = &[
    feature("group.version", 0, 1),
    feature("kraft.version", 0, 1),
    feature("metadata.version", 7, 30),
    feature("share.version", 0, 1),
    feature("transaction.version", 0, 2),
];

const fn feature(name: &'static str, min: i16, max: i16) -> Feature {
    Feature {
        name,
        min,
        max,
        finalized: max,
    }
}

/// The answer to ApiVersions in `version`: the ranges of the APIs in `answered`, and the features with
/// the epoch they were finalized in. A version above ours gets error 35 and the ranges, to be sent in
/// version 0 ([`api_versions_answer_version`]).
pub fn api_versions(
    version: i16,
    answered: impl Fn(&Api) -> bool,
    features_epoch: i64,
) -> ApiVersionsResponse {
    let known = api(ApiKey::ApiVersions).versions().contains(&version);
    let api_keys = APIS
        .iter()
        .filter(|api| answered(api))
        .map(|api| ApiVersion {
            api_key: api.key as i16,
            min_version: api.advertised_min,
            max_version: api.advertised_max,
        });
    let mut answer = ApiVersionsResponse {
        error_code: ErrorCode::None.code(),
        api_keys: api_keys.collect(),
        ..Default::default()
    };
    if !known {
        answer.error_code = ErrorCode::UnsupportedVersion.code();
        return answer;
    }
    answer.finalized_features_epoch = features_epoch;
    // Clients that ask in version 3 cannot read a lowest level of 0 (KAFKA-17492).
    let readable = |feature: &&Feature| version >= 4 || feature.min > 0;
    answer.supported_features = FEATURES
        .iter()
        .filter(readable)
        .map(|feature| SupportedFeatureKey {
            name: feature.name.to_owned(),
            min_version: feature.min,
            max_version: feature.max,
        })
        .collect();
    answer.finalized_features = FEATURES
        .iter()
        .map(|feature| FinalizedFeatureKey {
            name: feature.name.to_owned(),
            max_version_level: feature.finalized,
            min_version_level: feature.finalized,
        })
        .collect();
    answer
}

/// The version to answer an ApiVersions request of `version` in: 0 if we do not have it (KIP-511).
pub fn api_versions_answer_version(version: i16) -> i16 {
    if api(ApiKey::ApiVersions).versions().contains(&version) {
        version
    } else {
        0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_in_order_and_complete() {
        assert!(APIS.windows(2).all(|pair| pair[0].key < pair[1].key));
        assert_eq!(APIS.len(), 74);
        for row in APIS {
            assert_eq!(ApiKey::from_code(row.key as i16), Some(row.key));
            assert!(row.min <= row.max && row.advertised_min <= row.advertised_max);
        }
        assert_eq!(ApiKey::from_code(4), None, "LeaderAndIsr is gone since 4.0");
    }

    /// Each of these ranges, advertised differently, was seen to break a real client.
    #[test]
    fn ranges_clients_infer_features_from() {
        let range = |key| (api(key).advertised_min, api(key).advertised_max);
        assert_eq!(range(ApiKey::Produce), (0, 13));
        assert_eq!(api(ApiKey::Produce).versions(), 3..=13);
        assert_eq!(range(ApiKey::JoinGroup), (0, 9));
        assert_eq!(range(ApiKey::OffsetForLeaderEpoch), (2, 4));
        assert_eq!(range(ApiKey::Fetch), (4, 18));
        assert_eq!(range(ApiKey::InitProducerId), (0, 5), "6 is not stable");
    }

    #[test]
    fn an_unknown_version_of_api_versions_is_answered_in_version_0() {
        let answer = api_versions(99, |api| api.on_broker, 1);
        assert_eq!(answer.error_code, 35);
        assert!(answer.api_keys.iter().any(|api| api.api_key == 18));
        assert!(answer.supported_features.is_empty());
        assert_eq!(api_versions_answer_version(99), 0);
        assert_eq!(api_versions_answer_version(4), 4);
    }

    #[test]
    fn features_with_a_lowest_level_of_0_are_kept_from_version_3() {
        let names = |version| -> Vec<String> {
            let answer = api_versions(version, |_| false, 1);
            assert_eq!(answer.finalized_features.len(), FEATURES.len());
            answer
                .supported_features
                .into_iter()
                .map(|f| f.name)
                .collect()
        };
        assert_eq!(names(3), ["metadata.version"]);
        assert_eq!(names(4).len(), FEATURES.len());
    }
}
