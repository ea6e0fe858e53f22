//! The four bytes in front of every frame, and what it means when they are not a length.
//!
//! Decides before anything is allocated. Does not read sockets.

use super::ApiKey;

/// How much of a request is taken in before its first bytes have said which API it is for.
pub const MAX_UNKNOWN_BYTES: usize = 1024 * 1024;

/// How long a request may be if its API carries no records. Assignments of large groups and
/// configurations of many topics are the longest of these.
pub const MAX_PLAIN_REQUEST_BYTES: usize = 16 * 1024 * 1024;

/// How long a request for this API may be, under `socket.request.max.bytes`.
pub fn most_for(key: ApiKey, socket_request_max_bytes: usize) -> usize {
    if key == ApiKey::Produce {
        socket_request_max_bytes
    } else {
        socket_request_max_bytes.min(MAX_PLAIN_REQUEST_BYTES)
    }
}

/// Why the first four bytes are not the length of an acceptable frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BadPrefix {
    #[error("the client speaks HTTP, not Kafka")]
    Http,
    #[error("the client speaks TLS, this listener does not")]
    Tls,
    #[error("a frame of {0} bytes")]
    Negative(i32),
    #[error("a frame of {length} bytes, at most {most} are taken")]
    TooLong { length: usize, most: usize },
}

/// The frame's length from its prefix.
///
/// # Errors
/// An opening of another protocol, a negative length, or one above `most`. The connection is of no more
/// use then.
pub fn length(prefix: [u8; 4], most: usize) -> Result<usize, BadPrefix> {
    match &prefix {
        b"GET " | b"POST" | b"PUT " | b"HEAD" | b"DELE" | b"OPTI" | b"PATC" | b"CONN" | b"PRI " => {
            return Err(BadPrefix::Http);
        }
        // A TLS record: handshake, version 3.0 to 3.4.
        [0x16, 3, 0..=4, _] => return Err(BadPrefix::Tls),
        _ => {}
    }
    let number = i32::from_be_bytes(prefix);
    let length = usize::try_from(number).map_err(|_| BadPrefix::Negative(number))?;
    if length > most {
        return Err(BadPrefix::TooLong { length, most });
    }
    Ok(length)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn other_protocols_are_named() {
        let most = 100 * 1024 * 1024;
        assert_eq!(length(*b"GET ", most), Err(BadPrefix::Http));
        assert_eq!(length([0x16, 3, 1, 2], most), Err(BadPrefix::Tls));
        assert_eq!(length([0xff; 4], most), Err(BadPrefix::Negative(-1)));
        assert_eq!(length([0, 0, 0, 9], 9), Ok(9));
        assert_eq!(
            length([0, 0, 0, 9], 8),
            Err(BadPrefix::TooLong { length: 9, most: 8 })
        );
    }
}
