//! Independent streams of random numbers from one seed.
//!
//! Each has one purpose, so that another throw in one of them leaves the others as they were: a fault taken
//! out of a schedule does not change what clients write.

use rand::rngs::SmallRng;
use rand::{Rng as _, SeedableRng as _};

/// The streams of one run.
#[derive(Debug)]
pub(super) struct Dice {
    pub workload: SmallRng,
    pub net: SmallRng,
    pub disk: SmallRng,
    pub brokers: SmallRng,
}

/// A stream of a seed; `purpose` tells it from the others.
pub(super) fn stream(seed: u64, purpose: u64) -> SmallRng {
    // The golden ratio keeps purposes of neighbouring seeds apart.
    SmallRng::seed_from_u64(seed ^ purpose.wrapping_mul(0x9e37_79b9_7f4a_7c15))
}

impl Dice {
    pub fn new(seed: u64) -> Dice {
        Dice {
            workload: stream(seed, 1),
            net: stream(seed, 2),
            disk: stream(seed, 3),
            brokers: stream(seed, 4),
        }
    }
}

/// A number from `low` to `high`, both included, whichever of the two is larger.
pub(super) fn between(random: &mut SmallRng, (low, high): (u64, u64)) -> u64 {
    random.random_range(low..=high.max(low))
}
