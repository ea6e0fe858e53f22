//! What the lab's writers write: values that name themselves, so that a reader can tell what it got.

/// Bytes of a value's own number at its front.
const NUMBER_BYTES: usize = 8;

/// The value with this number, `bytes` long (never shorter than its number).
pub(super) fn value(number: u64, bytes: usize) -> Vec<u8> {
    let mut value = Vec::with_capacity(bytes.max(NUMBER_BYTES));
    value.extend_from_slice(&number.to_be_bytes());
    value.extend((NUMBER_BYTES..bytes).map(|at| filler(number, at)));
    value
}

/// The number of a value read, and whether its bytes are the ones written.
pub(super) fn number(value: &[u8]) -> Option<(u64, bool)> {
    let number = u64::from_be_bytes(*value.first_chunk::<NUMBER_BYTES>()?);
    let rest = value.iter().enumerate().skip(NUMBER_BYTES);
    let mut wrong = rest.filter(|(at, byte)| **byte != filler(number, *at));
    Some((number, wrong.next().is_none()))
}

fn filler(number: u64, at: usize) -> u8 {
    (number as u8).wrapping_mul(31).wrapping_add(at as u8)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_names_itself_and_shows_damage() {
        let mut bytes = value(77, 20);
        assert_eq!(number(&bytes), Some((77, true)));
        bytes[15] ^= 1;
        assert_eq!(number(&bytes), Some((77, false)));
        assert_eq!(number(&value(3, 0)), Some((3, true)));
        assert_eq!(number(b"short"), None);
    }
}
