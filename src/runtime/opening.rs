//! Names the protocol of a client that came to the wrong port, from the first four bytes it sent.
//!
//! Only a connection's very first bytes are looked at: later ones are lengths and nothing else.

/// What speaks first in other protocols: the first bytes and how to name it in a sentence.
const FOREIGN: &[(&[u8], &str)] = &[
    (b"GET ", "HTTP"),
    (b"POST", "HTTP"),
    (b"HEAD", "HTTP"),
    (b"PUT ", "HTTP"),
    (b"DELE", "HTTP"),
    (b"OPTI", "HTTP"),
    (b"PATC", "HTTP"),
    (b"CONN", "HTTP"),
    (b"TRAC", "HTTP"),
    (b"PRI ", "HTTP/2"),
    (b"SSH-", "SSH"),
    (&[0x16, 0x03, 0x00], "TLS"),
    (&[0x16, 0x03, 0x01], "TLS"),
    (&[0x16, 0x03, 0x02], "TLS"),
    (&[0x16, 0x03, 0x03], "TLS"),
    (&[0x16, 0x03, 0x04], "TLS"),
];

/// The protocol these first four bytes open, unless they may be the length of a Kafka request.
pub fn foreign_protocol(first: [u8; 4]) -> Option<&'static str> {
    FOREIGN
        .iter()
        .find(|(opening, _)| first.starts_with(opening))
        .map(|(_, name)| *name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn foreign_openings_are_named_and_lengths_are_not() {
        assert_eq!(foreign_protocol(*b"GET "), Some("HTTP"));
        assert_eq!(foreign_protocol(*b"PRI "), Some("HTTP/2"));
        assert_eq!(foreign_protocol([0x16, 0x03, 0x01, 0x02]), Some("TLS"));
        assert_eq!(foreign_protocol([0, 0, 0, 35]), None);
        assert_eq!(foreign_protocol([0x06, 0x40, 0, 0]), None);
    }
}
