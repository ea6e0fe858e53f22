//! What must hold across brokers and over time, seen on their pictures and in their files.
//!
//! Pictures of all brokers are taken at one moment, so what one says can be held against another. Files are
//! read as the disks hold them: everything a broker appended is there, written or not yet synced.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use bytes::Bytes;

use super::in_sync;
use super::schedule::Schedule;
use super::seat::Seat;
use crate::broker::BrokerPicture;
use crate::ids::{BrokerId, LeaderEpoch, Offset, PartitionIndex, Time};
use crate::inspect::Focus;
use crate::storage::{Disk, MemoryDisk};
use crate::wire::records::batches;

/// A partition of a topic that is never made again under the same name.
pub(super) type Partition = (String, PartitionIndex);

/// What was seen so far.
#[derive(Default)]
pub(super) struct Across {
    /// E1: who led a partition in an epoch.
    leaders: BTreeMap<(Partition, LeaderEpoch), BrokerId>,
    /// H2: the highest high watermark any leader had, in which epoch.
    highest: BTreeMap<Partition, (Offset, LeaderEpoch)>,
    /// H1: the high watermark of a leader, by incarnation and epoch.
    held: BTreeMap<(BrokerId, u32, Partition, LeaderEpoch), Offset>,
    /// Topics of which an election may lose records.
    may_lose: BTreeSet<String>,
    /// Replicas in whose files a bit turned over: until it is found they are not what was written.
    pub rotten: BTreeSet<(BrokerId, Partition)>,
}

/// The name of an invariant that does not hold, and how.
pub(super) type Broken = (&'static str, String);

/// What one broker says of one partition it leads.
struct Claim {
    broker: BrokerId,
    incarnation: u32,
    epoch: LeaderEpoch,
    high_watermark: Offset,
    log_end: Offset,
}

/// A batch in a file: the offset after it, its leader epoch, a checksum of all its bytes.
type Batch = (Offset, LeaderEpoch, u32);

/// One broker's replica: whose it is, its high watermark, its batches by base offset.
type Replica = (BrokerId, Offset, BTreeMap<Offset, Batch>);

impl Across {
    pub fn new(schedule: &Schedule) -> Across {
        let topics = (0..).zip(&schedule.topics);
        let may_lose = topics.filter(|(number, _)| schedule.may_lose_by_election(*number));
        Across {
            may_lose: may_lose.map(|(_, topic)| topic.name.clone()).collect(),
            ..Across::default()
        }
    }

    /// An election that may have lost records of a topic was told of.
    pub fn may_lose(&mut self, topic: &str) {
        self.may_lose.insert(topic.to_owned());
    }

    /// What was promised before may be gone: a power loss took what was not synced.
    pub fn forget(&mut self) {
        self.highest.clear();
        self.held.clear();
    }

    /// Looks at every broker that is up; what does not hold.
    pub fn look(&mut self, seats: &mut BTreeMap<BrokerId, Seat>, now: Time) -> Option<Broken> {
        let mut claims: BTreeMap<Partition, Vec<Claim>> = BTreeMap::new();
        let alone = seats.len() == 1;
        let pictures = seats.iter_mut().filter_map(|(id, seat)| {
            let picture = picture(seat, now)?;
            Some((*id, seat.incarnation, picture))
        });
        let pictures: Vec<(BrokerId, u32, BrokerPicture)> = pictures.collect();
        for (id, incarnation, picture) in &pictures {
            let quorum = &picture.quorum;
            if quorum.leader == Some(*id) && !alone {
                claims.entry(metadata()).or_default().push(Claim {
                    broker: *id,
                    incarnation: *incarnation,
                    epoch: quorum.epoch,
                    high_watermark: quorum.high_watermark,
                    log_end: quorum.log_end,
                });
            }
            if !alone && !may_lead(*id, picture) {
                continue;
            }
            for topic in picture.topics.iter() {
                for partition in &topic.partitions {
                    if partition.leader != Some(*id) || partition.trouble.is_some() {
                        continue;
                    }
                    let name = (topic.name.clone(), partition.index);
                    claims.entry(name).or_default().push(Claim {
                        broker: *id,
                        incarnation: *incarnation,
                        epoch: partition.leader_epoch,
                        high_watermark: partition.high_watermark,
                        log_end: partition.log_end,
                    });
                }
            }
        }
        let mut claims = claims.into_iter();
        let broken = claims.find_map(|(partition, claims)| self.judge(&partition, &claims));
        broken.or_else(|| {
            let pictures = pictures.iter().map(|(id, _, picture)| (*id, picture));
            in_sync::judge(pictures)
        })
    }

    /// The metadata log's E1, H1 and H2 are the quorum's K1, K3 and K2.
    fn judge(&mut self, partition: &Partition, claims: &[Claim]) -> Option<Broken> {
        let name = format!("{}-{}", partition.0, partition.1);
        for claim in claims {
            let Claim {
                broker,
                epoch,
                high_watermark,
                ..
            } = claim;
            let key = (partition.clone(), *epoch);
            let leader = *self.leaders.entry(key).or_insert(*broker);
            if leader != *broker {
                let what =
                    format!("{name} is led by brokers {leader} and {broker} in epoch {epoch}");
                return Some(("E1", what));
            }
            let key = (*broker, claim.incarnation, partition.clone(), *epoch);
            let before = self.held.insert(key, *high_watermark);
            if let Some(before) = before.filter(|before| before > high_watermark) {
                let what = format!(
                    "{name}: the high watermark of broker {broker} went from {before} to {high_watermark} in epoch {epoch}"
                );
                return Some(("H1", what));
            }
            let highest = self
                .highest
                .entry(partition.clone())
                .or_insert((*high_watermark, *epoch));
            if *high_watermark > highest.0 {
                *highest = (*high_watermark, *epoch);
            }
        }
        if self.may_lose.contains(&partition.0) {
            return None;
        }
        let (highest, since) = *self.highest.get(partition)?;
        let newest = claims.iter().max_by_key(|claim| claim.epoch)?;
        if newest.epoch >= since && newest.log_end < highest {
            let Claim {
                broker,
                epoch,
                log_end,
                ..
            } = newest;
            let what = format!(
                "{name}: broker {broker} leads in epoch {epoch} with a log that ends at {log_end}, and the high watermark was {highest} in epoch {since}"
            );
            return Some(("H2", what));
        }
        None
    }

    /// Reads the files of every broker that is up: D5 in each, D4 between them.
    pub fn read_files(&self, seats: &mut BTreeMap<BrokerId, Seat>, now: Time) -> Option<Broken> {
        let mut replicas: BTreeMap<Partition, Vec<Replica>> = BTreeMap::new();
        // Who is in sync, as the newest leader that is up says.
        let mut in_sync: BTreeMap<Partition, (LeaderEpoch, Vec<BrokerId>)> = BTreeMap::new();
        for (id, seat) in seats.iter_mut() {
            let Some(picture) = picture(seat, now) else {
                continue;
            };
            let (topic, index) = metadata();
            let dir = format!("/d/broker-{id}/{topic}-{index}");
            match read_log(&seat.disk, Path::new(&dir)) {
                Ok(log) => {
                    let replica = (*id, picture.quorum.high_watermark, log);
                    replicas.entry(metadata()).or_default().push(replica);
                }
                Err(what) => return Some(("D5", format!("{dir}: {what}"))),
            }
            for topic in picture.topics.iter() {
                for partition in &topic.partitions {
                    let name = (*id, (topic.name.clone(), partition.index));
                    if partition.leader == Some(*id) {
                        let known = in_sync.entry(name.1.clone()).or_default();
                        if partition.leader_epoch >= known.0 {
                            *known = (partition.leader_epoch, partition.isr.clone());
                        }
                    }
                    if partition.trouble.is_some() || self.rotten.contains(&name) {
                        continue;
                    }
                    let dir = format!("/d/broker-{id}/{}-{}", topic.name, partition.index);
                    match read_log(&seat.disk, Path::new(&dir)) {
                        Ok(log) => {
                            let name = (topic.name.clone(), partition.index);
                            let replica = (*id, partition.high_watermark, log);
                            replicas.entry(name).or_default().push(replica);
                        }
                        Err(what) => return Some(("D5", format!("{dir}: {what}"))),
                    }
                }
            }
        }
        for (name, replicas) in &mut replicas {
            let (topic, index) = name;
            if self.may_lose.contains(topic) {
                // Until it has heard from the leader, a replica has what the election gave up.
                let in_sync = in_sync.get(name);
                replicas.retain(|replica| in_sync.is_some_and(|(_, isr)| isr.contains(&replica.0)));
            }
            for pair in replicas.windows(2) {
                let (a, b) = (&pair[0], &pair[1]);
                if let Some(what) = differ((a.1, &a.2), (b.1, &b.2)) {
                    let what = format!("{topic}-{index} on brokers {} and {}: {what}", a.0, b.0);
                    return Some(("D4", what));
                }
            }
        }
        None
    }
}

fn picture(seat: &mut Seat, now: Time) -> Option<BrokerPicture> {
    let broker = seat.broker.as_mut()?;
    Some(broker.picture(now, &Focus::default()))
}

/// The metadata log is held against itself like any partition: its leaders are controllers.
fn metadata() -> Partition {
    ("__cluster_metadata".to_owned(), PartitionIndex(0))
}

/// Every batch in the segment files of a log, by base offset; or what is wrong with them.
fn read_log(disk: &MemoryDisk, dir: &Path) -> Result<BTreeMap<Offset, Batch>, String> {
    let mut found = BTreeMap::new();
    let mut end = (Offset::ZERO, LeaderEpoch::NONE);
    for path in disk.paths() {
        let is_segment = path.extension().is_some_and(|ending| ending == "log");
        if path.parent() != Some(dir) || !is_segment {
            continue;
        }
        let file = read_file(disk, &path).map_err(|error| error.to_string())?;
        for batch in batches(&file) {
            let batch = batch.map_err(|error| format!("{}: {error}", path.display()))?;
            let header = *batch.header();
            let base = header.base_offset;
            if !batch.crc_ok() {
                return Err(format!("the batch at offset {base} has a wrong CRC"));
            }
            if base < end.0 || header.leader_epoch < end.1 {
                return Err(format!("the batch at offset {base} goes back"));
            }
            end = (header.next_offset(), header.leader_epoch);
            let checksum = crc32c::crc32c(batch.bytes());
            found.insert(base, (end.0, end.1, checksum));
        }
    }
    Ok(found)
}

fn read_file(disk: &MemoryDisk, path: &Path) -> std::io::Result<Bytes> {
    let mut disk = disk.clone();
    let len = disk.len(path)?;
    disk.read_at(path, 0, usize::try_from(len).unwrap_or(usize::MAX))
}

/// How two replicas differ below both high watermarks.
fn differ(
    a: (Offset, &BTreeMap<Offset, Batch>),
    b: (Offset, &BTreeMap<Offset, Batch>),
) -> Option<String> {
    let below = a.0.min(b.0);
    // One may start later than the other: its older segments are gone.
    let start = |log: &BTreeMap<Offset, Batch>| log.first_key_value().map(|(base, _)| *base);
    let from = start(a.1)?.max(start(b.1)?);
    if from >= below {
        return None;
    }
    let in_a = a.1.range(from..below);
    let in_b = b.1.range(from..below);
    let (mut in_a, mut in_b) = (in_a, in_b);
    loop {
        match (in_a.next(), in_b.next()) {
            (None, None) => return None,
            (x, y) if x == y => {}
            (x, y) => return Some(format!("{x:?} and {y:?}, below {below}")),
        }
    }
}

/// Whether what metadata says a broker leads is its to lead: metadata knows this incarnation of it. Until then it
/// answers nothing about it, and a power loss may have taken what it had; registering ends the epochs it led in.
fn may_lead(id: BrokerId, picture: &BrokerPicture) -> bool {
    let mut known = picture.registrations.iter();
    let own = picture.broker_epoch;
    own.is_some() && known.any(|known| known.broker == id && Some(known.epoch) == own)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn claim(broker: i32, epoch: i32, high_watermark: i64, log_end: i64) -> Claim {
        Claim {
            broker: BrokerId(broker),
            incarnation: 1,
            epoch: LeaderEpoch(epoch),
            high_watermark: Offset(high_watermark),
            log_end: Offset(log_end),
        }
    }

    /// The invariant that breaks when these claims are made at these moments.
    fn broken(moments: &[&[Claim]]) -> Option<&'static str> {
        let mut across = Across::default();
        let partition = ("t".to_owned(), PartitionIndex(0));
        let mut broken = moments
            .iter()
            .filter_map(|claims| across.judge(&partition, claims));
        broken.next().map(|(name, _)| name)
    }

    #[test]
    fn leaders_are_held_against_each_other() {
        let check = |expected: Option<&str>, moments: &[&[Claim]]| {
            assert_eq!(broken(moments), expected);
        };
        check(
            None,
            &[
                &[claim(1, 0, 5, 9)],
                &[claim(1, 0, 5, 9), claim(2, 1, 4, 5)],
            ],
        );
        check(Some("E1"), &[&[claim(1, 3, 5, 9)], &[claim(2, 3, 5, 9)]]);
        check(Some("H1"), &[&[claim(1, 3, 5, 9)], &[claim(1, 3, 4, 9)]]);
        check(Some("H2"), &[&[claim(1, 3, 5, 9)], &[claim(2, 4, 0, 4)]]);
        // A leader of old that goes on is as bad.
        check(
            Some("H2"),
            &[
                &[claim(2, 4, 3, 4)],
                &[claim(1, 3, 5, 9), claim(2, 4, 3, 4)],
            ],
        );
    }

    #[test]
    fn replicas_may_start_and_end_elsewhere() {
        let batch = |checksum| (Offset(0), LeaderEpoch(0), checksum);
        let log = |bases: &[i64]| -> BTreeMap<Offset, Batch> {
            bases
                .iter()
                .map(|base| (Offset(*base), batch(*base as u32)))
                .collect()
        };
        let (a, mut b) = (log(&[0, 2, 4, 6]), log(&[2, 4]));
        assert_eq!(differ((Offset(6), &a), (Offset(8), &b)), None);
        b.insert(Offset(4), batch(99));
        assert!(differ((Offset(6), &a), (Offset(8), &b)).is_some());
        assert_eq!(differ((Offset(4), &a), (Offset(8), &b)), None);
    }
}
