//! Why something asked of a cluster did not happen.

use thiserror::Error;

use crate::inspect::Failure;
use crate::wire::ErrorCode;

/// Why a request failed for good, after the retries it was worth.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum CallError {
    /// The broker's answer.
    #[error("{}", broker_said(*.code, .message))]
    Broker { code: i16, message: Option<String> },
    /// No final answer came in time.
    #[error("no answer after {waited_ms} ms: {last}")]
    TimedOut { waited_ms: i64, last: String },
    /// The broker does not speak the API, or no version of it that klar does.
    #[error("the broker does not answer {api} in any version klar speaks")]
    Unsupported { api: &'static str },
    /// No offset is committed, and `auto.offset.reset` does not say where to begin.
    #[error("no offset is committed, and auto.offset.reset is none")]
    NoOffset,
    /// Settings that contradict each other.
    #[error("{0}")]
    Settings(&'static str),
    /// The broker's bytes make no sense, or klar's request could not be written.
    #[error("{0}")]
    Malformed(String),
}

fn broker_said(code: i16, message: &Option<String>) -> String {
    match (message, ErrorCode::from_code(code)) {
        (Some(message), _) => message.clone(),
        (None, Some(error)) => error.message().to_owned(),
        (None, None) => format!("error {code}"),
    }
}

impl CallError {
    /// What the broker answered, if it did.
    pub fn broker(code: i16, message: Option<String>) -> CallError {
        CallError::Broker { code, message }
    }

    /// Short name: Kafka's error name with its code, or klar's own.
    pub fn name(&self) -> String {
        match self {
            CallError::Broker { code, .. } => match ErrorCode::from_code(*code) {
                Some(error) => format!("{} ({code})", error.name()),
                None => format!("error {code}"),
            },
            CallError::TimedOut { .. } => "timed out".to_owned(),
            CallError::Unsupported { .. } => "not supported by the broker".to_owned(),
            CallError::NoOffset => "no committed offset".to_owned(),
            CallError::Settings(_) => "contradicting settings".to_owned(),
            CallError::Malformed(_) => "unreadable answer".to_owned(),
        }
    }

    /// What a person can do about it.
    pub fn what_to_do(&self) -> String {
        use ErrorCode as E;
        let code = match self {
            CallError::Broker { code, .. } => ErrorCode::from_code(*code),
            CallError::TimedOut { .. } => {
                return "Check that the broker runs and its advertised address can be reached."
                    .to_owned();
            }
            CallError::NoOffset => {
                return "Seek, or choose earliest or latest for auto.offset.reset.".to_owned();
            }
            CallError::Settings(_) => return "Change one of the settings.".to_owned(),
            _ => None,
        };
        match code {
            Some(E::TopicAlreadyExists) => "Choose another name, or delete the topic first.",
            Some(E::UnknownTopicOrPartition) => "Create the topic first, or check its name.",
            Some(E::InvalidTopicException) => {
                "Use letters, digits, '.', '_' and '-', at most 249 of them."
            }
            Some(E::InvalidPartitions) => "Choose a number of partitions larger than it has now.",
            Some(E::InvalidReplicationFactor) => {
                "Choose a replication factor no larger than the number of brokers."
            }
            Some(E::InvalidConfig) => "Correct the configuration named above.",
            Some(E::MessageTooLarge) => {
                "Send less at once, or raise max.message.bytes of the topic."
            }
            Some(E::InvalidRecord) => "Correct the record; a compacted topic needs a key.",
            Some(E::KafkaStorageError) => "Free space on the disk; the broker resumes by itself.",
            Some(code) if code.retriable() => "Try again in a moment.",
            _ => "See the broker's log for the cause.",
        }
        .to_owned()
    }

    /// As the window and `klar ctl` show it.
    pub fn to_failure(&self) -> Failure {
        Failure {
            name: self.name(),
            what: self.to_string(),
            what_to_do: self.what_to_do(),
        }
    }
}
