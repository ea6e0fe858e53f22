//! Randomness for what must differ from run to run: seeds, ids, names.
//!
//! Taken from the system through the standard library's hasher keys; not for secrets.

use std::hash::{BuildHasher as _, Hasher as _, RandomState};

/// A number nobody can foresee by accident.
pub fn number() -> u64 {
    RandomState::new().build_hasher().finish()
}

/// Sixteen such bytes.
pub fn bytes() -> [u8; 16] {
    let mut bytes = [0; 16];
    bytes[..8].copy_from_slice(&number().to_be_bytes());
    bytes[8..].copy_from_slice(&number().to_be_bytes());
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_draws_differ() {
        assert_ne!(bytes(), bytes());
        assert_ne!(bytes()[..8], bytes()[8..]);
    }
}
