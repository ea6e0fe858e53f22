//! UpdateFeatures (57): which levels the cluster's features run at.
//!
//! Every feature runs at the highest level this program speaks. Asking for that level is granted, because it is so
//! already; asking for another is refused with INVALID_UPDATE_VERSION, and then nothing of the request is done.
//!
//! Differs from Apache Kafka: no feature can be taken to a lower level.

use super::super::Broker;
use super::super::dispatch::{Answer, Answered, Asked, check_entries};
use crate::wire::apis::FEATURES;
use crate::wire::messages::update_features::{
    UpdatableFeatureResult, UpdateFeaturesRequest, UpdateFeaturesResponse,
};
use crate::wire::{ErrorCode, Reader};

/// First version with one error for the whole request instead of one per feature.
const WHOLE: i16 = 2;

pub(super) fn answer(_: &mut Broker, asked: &Asked, reader: &mut Reader) -> Answered {
    let request = UpdateFeaturesRequest::decode(reader, asked.version)?;
    check_entries(request.feature_updates.len())?;
    let mut response = UpdateFeaturesResponse::default();
    for update in &request.feature_updates {
        let refusal = refuse(&update.feature, update.max_version_level);
        let error = match refusal {
            Some(_) => ErrorCode::InvalidUpdateVersion,
            None => ErrorCode::None,
        };
        if asked.version < WHOLE {
            response.results.push(UpdatableFeatureResult {
                feature: update.feature.clone(),
                error_code: asked.code(error),
                error_message: refusal,
            });
        } else if refusal.is_some() {
            response.error_code = asked.code(error);
            response.error_message = refusal;
            break;
        }
    }
    let parts = asked.reply(|writer| response.encode(writer, asked.version))?;
    Ok(Answer::Reply(parts))
}

/// Why a feature cannot run at a level.
fn refuse(name: &str, level: i16) -> Option<String> {
    let why = match FEATURES.iter().find(|feature| feature.name == name) {
        None => "The controller does not support the given feature.".to_owned(),
        Some(feature) if level == feature.finalized => return None,
        Some(feature) => format!("It runs at level {} and stays there.", feature.finalized),
    };
    let asked = format!("Invalid update version {level} for feature {name}.");
    Some(format!("{asked} {why}"))
}
