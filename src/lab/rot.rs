//! Bits that turn over on a disk.
//!
//! One broker's disk rots at most, only where another broker is in sync, and only where nothing else may take records:
//! no power loss, no durability but the system's cache, nobody moves replicas. So nothing that was acknowledged may
//! be missing in the end, and whoever finds the damage has to fetch the records again.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use rand::Rng as _;
use rand::rngs::SmallRng;
use rand::seq::IndexedRandom as _;

use super::across::Partition;
use super::plan_chores::MOST_REPLICAS;
use super::schedule::{Fault, Planned, Schedule};
use super::world::World;
use crate::ids::{BrokerId, Offset};
use crate::inspect::{Durability, Focus};
use crate::storage::{Disk as _, MemoryDisk, recovery_points};
use crate::wire::records::batches;

/// Where the leader epoch lies in a batch: no checksum covers it.
const EPOCH_BYTES: std::ops::Range<usize> = 12..16;

/// When which disk rots in a run, if one may.
pub(super) fn plan(dice: &mut SmallRng, schedule: &Schedule) -> Option<Planned> {
    let brokers = schedule.brokers - schedule.late;
    let takes = |planned: &Planned| {
        let fault = &planned.fault;
        matches!(fault, Fault::PowerLoss { .. } | Fault::Reassign { .. })
    };
    if brokers < MOST_REPLICAS
        || schedule.durability != Durability::Os
        || schedule.faults.iter().any(takes)
    {
        return None;
    }
    let broker = BrokerId(dice.random_range(1..=brokers.cast_signed()));
    Some(Planned {
        at_ms: dice.random_range(schedule.length_ms / 4..schedule.length_ms * 3 / 4),
        fault: Fault::Rot {
            broker,
            down_ms: dice.random_range(0..1_000),
        },
    })
}

impl World {
    /// A broker dies, and its disk is not what it was when it comes back.
    pub(super) fn rot(&mut self, broker: BrokerId, down_ms: i64) {
        let spare = self.held_elsewhere(broker);
        if self.seats[&broker].broker.is_none() {
            return;
        }
        self.kill(broker, down_ms);
        let disk = self.seats[&broker].disk.clone();
        let dir = PathBuf::from(format!("/d/broker-{broker}"));
        let points = recovery_points(&mut disk.clone(), &dir).unwrap_or_default();
        for (topic, index) in spare {
            let name = format!("{topic}-{index}");
            // A checkpoint tells topics of one name apart by their ids.
            let of_log = |(known, _): &(&String, _)| known.split('@').next() == Some(&name);
            let end = points.iter().filter(of_log).map(|(_, end)| *end).min();
            let end = end.unwrap_or(Offset::ZERO);
            if let Some(place) = flip(&mut self.dice.disk, &disk, &dir.join(name), end) {
                self.tally.count("bit flipped");
                self.trace
                    .text(self.now, &format!("a bit flips in {place}"));
                self.across.rotten.insert((broker, (topic, index)));
            }
        }
    }

    /// Partitions that another live broker than this has in sync, and no live broker knows otherwise: whoever is
    /// behind may still believe in an in-sync set that has shrunk to the one broker whose disk is to rot.
    fn held_elsewhere(&mut self, but: BrokerId) -> Vec<Partition> {
        let up = |(id, seat): (&BrokerId, &super::seat::Seat)| seat.broker.is_some().then_some(*id);
        let alive: BTreeSet<BrokerId> = self.seats.iter().filter_map(up).collect();
        let mut known: BTreeMap<Partition, BTreeSet<(i32, Vec<BrokerId>)>> = BTreeMap::new();
        for broker in self.seats.values_mut().filter_map(|s| s.broker.as_mut()) {
            for topic in broker.picture(self.now, &Focus::default()).topics.iter() {
                for partition in &topic.partitions {
                    let name = (topic.name.clone(), partition.index);
                    let view = (partition.partition_epoch, partition.isr.clone());
                    known.entry(name).or_default().insert(view);
                }
            }
        }
        let held = |views: &BTreeSet<(i32, Vec<BrokerId>)>| {
            let mut isr = views.iter().flat_map(|(_, isr)| isr);
            views.len() == 1 && isr.any(|member| *member != but && alive.contains(member))
        };
        known.retain(|_, views| held(views));
        known.into_keys().collect()
    }
}

/// Turns a bit over in one batch of a log; in which. Only in front of its recovery point: behind it damage is what a
/// power loss leaves, the log is cut there, and with the system's cache nothing is promised of it.
fn flip(dice: &mut SmallRng, disk: &MemoryDisk, dir: &Path, end: Offset) -> Option<String> {
    let paths = disk.paths();
    let mut segments = paths.iter().filter(|path| path.parent() == Some(dir));
    let segments: Vec<&PathBuf> = segments
        .by_ref()
        .filter(|path| path.extension().is_some_and(|ending| ending == "log"))
        .collect();
    let path = segments.choose(dice)?;
    let mut reader = disk.clone();
    let len = reader.len(path).ok()?;
    let file = reader.read_at(path, 0, usize::try_from(len).ok()?).ok()?;
    let mut at = 0;
    let mut found = Vec::new();
    for batch in batches(&file).map_while(Result::ok) {
        if batch.header().last_offset() < end {
            found.push((at, batch.bytes().len(), batch.header().base_offset));
        }
        at += batch.bytes().len();
    }
    let (start, len, offset) = *found.choose(dice)?;
    let byte = dice.random_range(0..len);
    if EPOCH_BYTES.contains(&byte) || !disk.flip_bit(path, start + byte, dice.random()) {
        return None;
    }
    Some(format!("{} at offset {offset}", path.display()))
}
