//! Bytes that lie: an error or a success, never a panic, never more memory than the budget.

use bytes::Bytes;
use klar::wire::fields::{Side, describe};
use klar::wire::{ApiKey, Reader};

use crate::golden::{Content, Lie, body};
use crate::{EVERY, Message, heap};

/// What the test itself and the reference count of the frame may add to the budget.
const SLACK_BYTES: usize = 512;

/// Decodes and holds the decoder to its budget.
fn decode(message: &Message, version: i16, bytes: &[u8]) -> bool {
    let frame = Bytes::copy_from_slice(bytes);
    let most = bytes.len() * Reader::BUDGET_PER_BYTE + Reader::BUDGET_BASE_BYTES + SLACK_BYTES;
    let (result, peak) = heap::peak(|| (message.decode)(frame, version));
    assert!(peak <= most, "{} v{version}: {peak} > {most}", message.name);
    result.is_ok()
}

/// Every message of one half of the APIs, in every version: two halves run on two cores.
fn each(half: usize, check: impl Fn(&Message, i16, Vec<u8>)) {
    for message in EVERY.iter().skip(half).step_by(2) {
        for version in message.versions() {
            let golden = body(message.shape(), version, Content::Full, None);
            check(message, version, golden.bytes);
        }
    }
}

fn cut(message: &Message, version: i16, golden: Vec<u8>) {
    for end in 0..golden.len() {
        let whole = decode(message, version, &golden[..end]);
        assert!(!whole, "{} v{version} cut to {end}", message.name);
    }
}

fn flip(message: &Message, version: i16, mut golden: Vec<u8>) {
    for at in 0..golden.len() {
        for bit in 0..8 {
            golden[at] ^= 1 << bit;
            decode(message, version, &golden);
            golden[at] ^= 1 << bit;
        }
    }
}

#[test]
fn requests_cut_at_each_byte_are_refused() {
    each(0, cut);
}

#[test]
fn responses_cut_at_each_byte_are_refused() {
    each(1, cut);
}

#[test]
fn requests_with_any_bit_flipped_do_no_harm() {
    each(0, flip);
}

#[test]
fn responses_with_any_bit_flipped_do_no_harm() {
    each(1, flip);
}

/// Every length of every message replaced by one that promises more than there is, or by nonsense.
#[test]
fn lengths_that_lie_do_no_harm() {
    let lies = [i64::from(i32::MAX), 0x7fff, 0x7ffe, 1 << 24, 300, -2, -3];
    for message in EVERY {
        for version in message.versions() {
            let honest = body(message.shape(), version, Content::Full, None);
            for at in 0..honest.lengths {
                for length in lies {
                    let lie = Some(Lie { at, length });
                    let bytes = body(message.shape(), version, Content::Full, lie).bytes;
                    decode(message, version, &bytes);
                }
            }
        }
    }
}

/// As many elements as the bytes after the count can hold, all zero: the cheapest bytes that build the
/// most. Only the budget stops them.
#[test]
fn the_cheapest_elements_stay_within_the_budget() {
    const TAIL_BYTES: usize = 256 * 1024;
    for message in EVERY {
        for version in [*message.versions().start(), *message.versions().end()] {
            let honest = body(message.shape(), version, Content::Empty, None);
            for at in 0..honest.lengths {
                for per_element in [1, 2, 3, 5, 9, 17, 40] {
                    let length = (TAIL_BYTES / per_element) as i64;
                    let lie = Some(Lie { at, length });
                    let mut bytes = body(message.shape(), version, Content::Empty, lie).bytes;
                    bytes.resize(bytes.len() + TAIL_BYTES, 0);
                    decode(message, version, &bytes);
                }
            }
        }
    }
}

/// The tree behind the window's frame view survives the same treatment.
#[test]
fn frames_with_any_bit_flipped_are_described() {
    for message in EVERY {
        let version = *message.versions().end();
        let key = ApiKey::from_code(message.key).unwrap();
        let mut frame = vec![
            0,
            message.key as u8,
            0,
            version as u8,
            0,
            0,
            0,
            7,
            0xff,
            0xff,
            0,
        ];
        if message.side == Side::Response {
            frame = vec![0, 0, 0, 7, 0];
        }
        frame.extend(body(message.shape(), version, Content::Full, None).bytes);
        for at in 0..frame.len() {
            for bit in 0..8 {
                frame[at] ^= 1 << bit;
                describe(key, version, message.side, &Bytes::copy_from_slice(&frame));
                frame[at] ^= 1 << bit;
            }
        }
    }
}
