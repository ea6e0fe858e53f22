//! The protocol's error codes, generated from `assets/protocol/errors.txt`.

include!(concat!(env!("OUT_DIR"), "/errors.rs"));

/// One error: its number is `error as i16`.
#[derive(Debug, Clone, Copy)]
pub struct ErrorRow {
    pub error: ErrorCode,
    /// Kafka's name for it, as documentation and tools print it.
    pub name: &'static str,
    /// Whether trying again can help.
    pub retriable: bool,
    /// What it means, as one sentence.
    pub message: &'static str,
}

/// The lowest number there is.
const FIRST_CODE: i16 = -1;

impl ErrorCode {
    /// The error with this number, if the protocol knows one.
    pub fn from_code(code: i16) -> Option<ErrorCode> {
        let index = usize::try_from(i32::from(code) - i32::from(FIRST_CODE)).ok()?;
        Some(ERRORS.get(index)?.error)
    }

    /// Its number on the wire.
    pub fn code(self) -> i16 {
        self as i16
    }

    /// Kafka's name for it: `NOT_LEADER_OR_FOLLOWER`.
    pub fn name(self) -> &'static str {
        self.row().name
    }

    /// What it means, as one sentence.
    pub fn message(self) -> &'static str {
        self.row().message
    }

    /// Whether trying again can help.
    pub fn retriable(self) -> bool {
        self.row().retriable
    }

    fn row(self) -> &'static ErrorRow {
        let index = i32::from(self.code()) - i32::from(FIRST_CODE);
        &ERRORS[usize::try_from(index).expect("no code is below the first")]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_error_stands_at_its_number() {
        for row in ERRORS {
            assert_eq!(ErrorCode::from_code(row.error.code()), Some(row.error));
            assert_eq!(row.error.name(), row.name);
        }
        assert_eq!(ErrorCode::from_code(-2), None);
        assert_eq!(ErrorCode::from_code(1000), None);
        assert_eq!(ErrorCode::NotLeaderOrFollower.code(), 6);
        assert!(ErrorCode::NotLeaderOrFollower.retriable());
        assert!(!ErrorCode::MessageTooLarge.retriable());
    }
}
