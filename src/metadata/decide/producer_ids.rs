//! Handing out producer ids, a block at a time so that not each one is written to the metadata log.

use std::ops::Range;

use super::Facts;
use crate::ids::{BrokerEpoch, BrokerId, ProducerId};
use crate::metadata::Record;

/// Ids a broker gets at once; what it has not used when it stops is never used.
pub const PRODUCER_IDS_PER_BLOCK: i64 = 1_000;

/// Ids beyond those that were given which are believed when a log names them: more blocks than are given
/// between two syncs, and few enough that a client that makes ids up does not use them all up.
const BELIEVED_BEYOND: i64 = 1_000 * PRODUCER_IDS_PER_BLOCK;

/// The next block for a broker, or `None` when all 2⁶³ ids are gone. `in_logs` are the ids logs know: a power
/// loss may take the record of a block and leave what its producers wrote, so a block begins behind those.
pub fn next_producer_ids(
    facts: Facts,
    broker: BrokerId,
    in_logs: impl Iterator<Item = ProducerId>,
) -> Option<(Range<i64>, Record)> {
    let given = facts.image.next_producer_id().0;
    let believed = given..given.saturating_add(BELIEVED_BEYOND);
    let highest = in_logs
        .map(|id| id.0)
        .filter(|id| believed.contains(id))
        .max();
    let first = highest.map_or(given, |id| id + 1);
    let next = first.checked_add(PRODUCER_IDS_PER_BLOCK)?;
    let registered = facts.image.broker(broker);
    let record = Record::ProducerIds {
        broker,
        epoch: registered.map_or(BrokerEpoch::NONE, |registered| registered.epoch),
        next: ProducerId(next),
    };
    Some((first..next, record))
}
