//! ApiVersions (18): which APIs and versions this broker answers, and the cluster's features.
//!
//! The response header is always version 0, because a client reads it before it knows anything (KIP-511).
//! An unknown version is answered in version 0 with UNSUPPORTED_VERSION and our ranges.
//!
//! Differs from Apache Kafka: features are advertised at the levels clients choose by, although groups and
//! transactions are not answered yet.

use super::super::Broker;
use super::super::dispatch::{Answer, Answered, Asked};
use super::{ANSWERED, IN_CLUSTERS, Row};
use crate::wire::apis::{self, Api};
use crate::wire::messages::api_versions::{ApiVersionsRequest, ApiVersionsResponse};
use crate::wire::{ErrorCode, Reader};

/// First version that names the client's library.
const NAMES_SOFTWARE: i16 = 3;

pub(in crate::broker) fn answer(
    broker: &mut Broker,
    asked: &Asked,
    reader: &mut Reader,
) -> Answered {
    let request = ApiVersionsRequest::decode(reader, asked.version)?;
    let mut response = body(broker, asked.version);
    if asked.version >= NAMES_SOFTWARE {
        let (name, version) = (
            &request.client_software_name,
            &request.client_software_version,
        );
        if !is_software_name(name) || !is_software_name(version) {
            response = ApiVersionsResponse {
                error_code: asked.code(ErrorCode::InvalidRequest),
                ..ApiVersionsResponse::default()
            };
        } else if let Some(connection) = broker.connections.get_mut(asked.connection) {
            connection.set_software(name, version);
        }
    }
    let parts = asked.reply(|writer| response.encode(writer, asked.version))?;
    Ok(Answer::Reply(parts))
}

/// Answers a version this broker does not know.
pub(in crate::broker) fn answer_unknown_version(broker: &mut Broker, asked: &Asked) -> Answered {
    let response = body(broker, asked.version);
    let version = apis::api_versions_answer_version(asked.version);
    let parts = asked.reply(|writer| response.encode(writer, version))?;
    Ok(Answer::Reply(parts))
}

fn body(broker: &Broker, version: i16) -> ApiVersionsResponse {
    let in_cluster = broker.member.is_some();
    let answered = |api: &Api| {
        let is_it = |row: &Row| row.api == api.key;
        // What brokers ask each other is not for clients.
        let more = in_cluster && api.on_broker;
        ANSWERED.iter().any(is_it) || (more && IN_CLUSTERS.iter().any(is_it))
    };
    let epoch = broker.metadata_log.log().log_end().0;
    apis::api_versions(version, answered, epoch)
}

/// Kafka's rule: letters, digits, dots and dashes, not at either end.
fn is_software_name(name: &str) -> bool {
    let inner = |c: char| c.is_ascii_alphanumeric() || c == '.' || c == '-';
    let edge = |c: Option<char>| c.is_some_and(|c| c.is_ascii_alphanumeric());
    name.chars().all(inner) && edge(name.chars().next()) && edge(name.chars().next_back())
}

#[cfg(test)]
mod tests {
    use super::is_software_name;

    #[test]
    fn software_names_follow_kafkas_rule() {
        for good in ["librdkafka", "2.3.0", "apache-kafka-java", "a"] {
            assert!(is_software_name(good), "{good}");
        }
        for bad in ["", "-a", "a.", "a b", "a_b", "ä"] {
            assert!(!is_software_name(bad), "{bad}");
        }
    }
}
