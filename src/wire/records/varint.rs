//! Zigzag variable-length integers, as records use them (not the unsigned ones of flexible messages).

use super::BatchError;

/// Longest form of a 64-bit varint, bytes.
pub const MAX_VARLONG_BYTES: usize = 10;

/// Reads a 64-bit varint from the front of `bytes` and moves past it.
#[inline]
pub fn take_varlong(bytes: &mut &[u8]) -> Result<i64, BatchError> {
    match take_short(bytes) {
        Some(value) => Ok(unzigzag(u64::from(value))),
        None => take_long(bytes),
    }
}

/// Takes a varint of one to three bytes, which nearly all lengths, offset deltas and times between records
/// are: the walk over a batch's records is made of little else.
#[inline]
fn take_short(bytes: &mut &[u8]) -> Option<u32> {
    let (value, rest) = match *bytes {
        [a @ ..0x80, rest @ ..] => (u32::from(*a), rest),
        [a, b @ ..0x80, rest @ ..] => (low(*a) | u32::from(*b) << 7, rest),
        [a, b, c @ ..0x80, rest @ ..] => (low(*a) | low(*b) << 7 | u32::from(*c) << 14, rest),
        _ => return None,
    };
    *bytes = rest;
    Some(value)
}

#[inline]
fn low(byte: u8) -> u32 {
    u32::from(byte & 0x7f)
}

#[cold]
fn take_long(bytes: &mut &[u8]) -> Result<i64, BatchError> {
    let mut value = 0u64;
    for (at, byte) in bytes.iter().take(MAX_VARLONG_BYTES).enumerate() {
        let part = u64::from(byte & 0x7f);
        if at == MAX_VARLONG_BYTES - 1 && *byte > 1 {
            return Err(BatchError::Varint);
        }
        value |= part << (7 * at);
        if byte & 0x80 == 0 {
            *bytes = &bytes[at + 1..];
            return Ok(unzigzag(value));
        }
    }
    if bytes.len() >= MAX_VARLONG_BYTES {
        Err(BatchError::Varint)
    } else {
        Err(BatchError::RecordCut)
    }
}

/// Reads a 32-bit varint from the front of `bytes` and moves past it.
#[inline]
pub fn take_varint(bytes: &mut &[u8]) -> Result<i32, BatchError> {
    match take_short(bytes) {
        Some(value) => Ok((value >> 1) as i32 ^ -((value & 1) as i32)),
        None => i32::try_from(take_long(bytes)?).map_err(|_| BatchError::Varint),
    }
}

/// Appends a 64-bit varint.
pub fn put_varlong(out: &mut Vec<u8>, value: i64) {
    let mut rest = ((value << 1) ^ (value >> 63)) as u64;
    while rest >= 0x80 {
        out.push(rest as u8 | 0x80);
        rest >>= 7;
    }
    out.push(rest as u8);
}

/// Bytes a varint of `value` takes.
pub fn varlong_bytes(value: i64) -> usize {
    let zigzag = ((value << 1) ^ (value >> 63)) as u64;
    (64 - (zigzag | 1).leading_zeros() as usize).div_ceil(7)
}

fn unzigzag(value: u64) -> i64 {
    (value >> 1) as i64 ^ -((value & 1) as i64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn known_bytes() {
        for (value, bytes) in [
            (0i64, &[0u8][..]),
            (-1, &[1]),
            (1, &[2]),
            (63, &[0x7e]),
            (-64, &[0x7f]),
            (64, &[0x80, 0x01]),
            (i64::from(i32::MAX), &[0xfe, 0xff, 0xff, 0xff, 0x0f]),
        ] {
            let mut out = Vec::new();
            put_varlong(&mut out, value);
            assert_eq!(out, bytes);
            assert_eq!(varlong_bytes(value), bytes.len());
            assert_eq!(take_varlong(&mut &out[..]), Ok(value));
        }
    }

    #[test]
    fn overlong_and_cut_forms_are_refused() {
        assert_eq!(take_varlong(&mut &[0xff; 10][..]), Err(BatchError::Varint));
        assert_eq!(
            take_varlong(&mut &[0xff; 9][..]),
            Err(BatchError::RecordCut)
        );
        assert_eq!(take_varint(&mut &[][..]), Err(BatchError::RecordCut));
        let mut out = Vec::new();
        put_varlong(&mut out, i64::from(i32::MAX) + 1);
        assert_eq!(take_varint(&mut &out[..]), Err(BatchError::Varint));
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_back(value: i64) {
            let mut out = Vec::new();
            put_varlong(&mut out, value);
            prop_assert_eq!(varlong_bytes(value), out.len());
            let mut rest = &out[..];
            prop_assert_eq!(take_varlong(&mut rest), Ok(value));
            prop_assert!(rest.is_empty());
            prop_assert_eq!(
                take_varint(&mut &out[..]),
                i32::try_from(value).map_err(|_| BatchError::Varint)
            );
        }
    }
}
