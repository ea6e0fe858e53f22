//! Handing out producer ids, a block at a time so that not each one is written to the metadata log.

use std::ops::Range;

use super::Facts;
use crate::ids::{BrokerId, ProducerId};
use crate::metadata::Record;

/// Ids a broker gets at once; what it has not used when it stops is never used.
pub const PRODUCER_IDS_PER_BLOCK: i64 = 1_000;

/// The next block for a broker, or `None` when all 2⁶³ ids are gone.
pub fn next_producer_ids(facts: Facts, broker: BrokerId) -> Option<(Range<i64>, Record)> {
    let first = facts.image.next_producer_id().0;
    let next = first.checked_add(PRODUCER_IDS_PER_BLOCK)?;
    let record = Record::ProducerIds {
        broker,
        next: ProducerId(next),
    };
    Some((first..next, record))
}
