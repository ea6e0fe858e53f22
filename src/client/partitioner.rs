//! Which partition a record goes to.
//!
//! Keys go where the Java client's default partitioner puts them. Records without a key stay on one
//! partition until its batch is sent, then move to another (KIP-480): few large batches, evenly spread.

use std::collections::BTreeMap;

use rand::rngs::SmallRng;
use rand::{Rng as _, SeedableRng as _};

use crate::ids::PartitionIndex;
use crate::wire::records::partition_for_key;

/// Chooses partitions for one producer.
#[derive(Debug)]
pub struct Partitioner {
    random: SmallRng,
    sticky: BTreeMap<String, PartitionIndex>,
}

impl Partitioner {
    pub fn new(seed: u64) -> Partitioner {
        Partitioner {
            random: SmallRng::seed_from_u64(seed),
            sticky: BTreeMap::new(),
        }
    }

    /// The partition for a record with this key, of `partitions` ones (at least 1).
    pub fn choose(&mut self, topic: &str, key: Option<&[u8]>, partitions: i32) -> PartitionIndex {
        assert!(partitions > 0, "a topic has partitions");
        if let Some(key) = key {
            return partition_for_key(key, partitions);
        }
        match self.sticky.get(topic) {
            Some(partition) if partition.0 < partitions => *partition,
            _ => {
                let first = PartitionIndex(self.random.random_range(0..partitions));
                self.sticky.insert(topic.to_owned(), first);
                first
            }
        }
    }

    /// Call when a batch for `partition` is complete: records without a key go elsewhere from now on.
    pub fn on_batch_closed(&mut self, topic: &str, partition: PartitionIndex, partitions: i32) {
        if partitions > 1 && self.sticky.get(topic) == Some(&partition) {
            let step = self.random.random_range(1..partitions);
            let next = PartitionIndex((partition.0 + step) % partitions);
            self.sticky.insert(topic.to_owned(), next);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_go_where_the_java_client_puts_them() {
        let mut partitioner = Partitioner::new(1);
        for _ in 0..3 {
            assert_eq!(partitioner.choose("t", Some(b"abc"), 10).0, 7);
        }
    }

    /// KIP-480.
    #[test]
    fn keyless_records_stick_until_the_batch_is_complete_and_reach_every_partition() {
        let mut partitioner = Partitioner::new(1);
        let mut seen = [0; 4];
        for _ in 0..400 {
            let partition = partitioner.choose("t", None, 4);
            assert_eq!(partitioner.choose("t", None, 4), partition);
            seen[partition.0 as usize] += 1;
            partitioner.on_batch_closed("t", partition, 4);
            assert_ne!(partitioner.choose("t", None, 4), partition);
        }
        assert!(seen.iter().all(|count| *count > 50), "{seen:?}");
    }
}
