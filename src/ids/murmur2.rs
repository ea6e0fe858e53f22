//! The hash that decides which partition a key belongs to, as every Kafka client computes it. It stands here
//! because brokers, clients and the window name the same hash.

use super::PartitionIndex;

const SEED: u32 = 0x9747_b28c;
const MULTIPLIER: u32 = 0x5bd1_e995;

/// MurmurHash2, 32 bits, with the Java client's seed.
pub fn murmur2(key: &[u8]) -> u32 {
    let mut hash = SEED ^ key.len() as u32;
    let (words, tail) = key.as_chunks::<4>();
    for word in words {
        let mut k = u32::from_le_bytes(*word).wrapping_mul(MULTIPLIER);
        k ^= k >> 24;
        hash = hash.wrapping_mul(MULTIPLIER) ^ k.wrapping_mul(MULTIPLIER);
    }
    if !tail.is_empty() {
        for (at, byte) in tail.iter().enumerate() {
            hash ^= u32::from(*byte) << (8 * at);
        }
        hash = hash.wrapping_mul(MULTIPLIER);
    }
    hash ^= hash >> 13;
    hash = hash.wrapping_mul(MULTIPLIER);
    hash ^ (hash >> 15)
}

/// The partition of `key` among `partitions`, as the Java client's default partitioner chooses it:
/// the hash without its sign bit, modulo the count. Partition 0 when there are none.
pub fn partition_for_key(key: &[u8], partitions: i32) -> PartitionIndex {
    let positive = (murmur2(key) & 0x7fff_ffff) as i32;
    PartitionIndex(positive.checked_rem(partitions).unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Values of Apache Kafka's own test (UtilsTest.testMurmur2).
    #[test]
    fn hashes_as_the_java_client_does() {
        for (key, hash) in [
            ("21", -973932308i32),
            ("foobar", -790332482),
            ("a-little-bit-long-string", -985981536),
            ("a-little-bit-longer-string", -1486304829),
            (
                "lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8",
                -58897971,
            ),
            ("abc", 479470107),
        ] {
            assert_eq!(murmur2(key.as_bytes()) as i32, hash, "{key}");
        }
    }

    #[test]
    fn a_partition_is_always_there() {
        assert_eq!(partition_for_key(b"abc", 10), PartitionIndex(7));
        assert_eq!(partition_for_key(b"foobar", 1), PartitionIndex(0));
        assert_eq!(partition_for_key(b"foobar", 0), PartitionIndex(0));
    }
}
