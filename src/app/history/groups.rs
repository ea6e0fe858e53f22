//! What the window remembers of consumer groups: how far each partition's reader was, who owned it, and when the group
//! rebalanced.
//!
//! Everything is bounded. A look at a group costs as much as it has partitions, so a frame looks at a few groups only
//! and the next frame goes on; the older half of a series that has grown too long loses every second sample.

use std::collections::{BTreeMap, VecDeque};
use std::hash::{DefaultHasher, Hash as _, Hasher as _};

use crate::app::groups::{Reads, each_committed};
use crate::ids::{PartitionIndex, Time};
use crate::inspect::{ClusterSnapshot, EventKind, GroupSnapshot};

/// Microseconds between two samples of a group.
const SAMPLE_EVERY_US: u64 = 1_000_000;
/// Partitions looked at in one frame, unless one group has more.
const LOOKED_AT: usize = 600;
/// Samples kept of all series together.
const SAMPLES_KEPT: usize = 400_000;
/// Samples one series keeps at most and, however many series there are, at least.
const SERIES_RANGE: (usize, usize) = (32, 900);
/// Groups remembered.
const GROUPS_KEPT: usize = 2_000;
/// Rebalances remembered of one group.
const REBALANCES_KEPT: usize = 200;
/// Changes of owner remembered of one partition.
const OWNERS_KEPT: usize = 64;
/// A commit comes every 5 s with most clients: rates are measured over two of them, microseconds.
const RATE_OVER_US: u64 = 10_000_000;
/// What lag is compared with to say where it goes, microseconds.
const TREND_OVER_US: u64 = 30_000_000;
/// Lag that changes by less goes nowhere: records, and one part in so many.
const STEADY: (i64, i64) = (10, 10);

/// How far a partition's reader was at a moment; of a group the sums over its partitions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sample {
    pub time: Time,
    pub committed: i64,
    pub end: i64,
    pub lag: i64,
}

/// Where lag goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Trend {
    Rising,
    Steady,
    Falling,
}

/// From a moment on, until the next one, a partition belonged to this member, or to nobody.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Owned {
    pub since: Time,
    pub member: Option<String>,
}

/// One rebalance, as its coordinator told of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rebalance {
    pub began: Time,
    /// `None` while it goes on.
    pub ended: Option<Time>,
    pub generation: i32,
    pub members: u32,
    /// Why it began.
    pub cause: String,
}

/// Samples by time, oldest first.
#[derive(Debug, Default)]
struct Series(VecDeque<Sample>);

impl Series {
    fn push(&mut self, sample: Sample, most: usize) {
        self.0.push_back(sample);
        if self.0.len() <= most {
            return;
        }
        let (half, mut at) = (self.0.len() / 2, 0);
        self.0.retain(|_| {
            at += 1;
            at > half || at % 2 == 0
        });
    }

    /// The oldest sample no older than so many microseconds before the newest.
    fn since(&self, us: u64) -> Option<(&Sample, &Sample)> {
        let newest = self.0.back()?;
        let near = |sample: &&Sample| newest.time.since_us(sample.time) <= us;
        let oldest = self.0.iter().rev().take_while(near).last()?;
        Some((oldest, newest))
    }

    fn trend(&self) -> Option<Trend> {
        let (was, is) = self.since(TREND_OVER_US)?;
        let moved = is.lag - was.lag;
        let (records, part) = STEADY;
        Some(match moved {
            moved if moved.abs() < records.max(was.lag / part) => Trend::Steady,
            moved if moved > 0 => Trend::Rising,
            _ => Trend::Falling,
        })
    }
}

/// What is remembered of one group.
#[derive(Debug, Default)]
struct Kept {
    looked: Option<Time>,
    total: Series,
    partitions: BTreeMap<String, BTreeMap<PartitionIndex, Series>>,
    owners: BTreeMap<String, BTreeMap<PartitionIndex, VecDeque<Owned>>>,
    /// Of who owned what when owners were looked at last.
    owned: u64,
    rebalances: VecDeque<Rebalance>,
}

/// What is remembered of all groups.
#[derive(Debug, Default)]
pub struct GroupHistory {
    kept: BTreeMap<String, Kept>,
    /// Partitions with a series.
    series: usize,
    /// The group that is looked at next.
    next: usize,
    /// The newest event that was taken in.
    told: u64,
}

impl GroupHistory {
    /// Takes note of a picture. Call once a frame.
    pub fn see(&mut self, now: Time, picture: &ClusterSnapshot) {
        self.take_rebalances(picture);
        let count = picture.groups.len();
        self.next = if self.next < count { self.next } else { 0 };
        let mut looked_at = 0;
        for _ in 0..count {
            let group = &picture.groups[self.next];
            if looked_at > 0 && looked_at + group.offsets.len() > LOOKED_AT {
                return;
            }
            if self.look(now, picture, group) {
                looked_at += group.offsets.len().max(1);
            }
            self.next = (self.next + 1) % count;
        }
        let is_there = |name: &String| picture.group(name).is_some();
        if self.kept.len() > count {
            self.kept.retain(|name, _| is_there(name));
        }
    }

    /// Takes a sample of a group if it is due.
    fn look(&mut self, now: Time, picture: &ClusterSnapshot, group: &GroupSnapshot) -> bool {
        if !self.kept.contains_key(&group.group) && self.kept.len() >= GROUPS_KEPT {
            return false;
        }
        let kept = self.kept.entry(group.group.clone()).or_default();
        if kept
            .looked
            .is_some_and(|last| now.since_us(last) < SAMPLE_EVERY_US)
        {
            return false;
        }
        kept.looked = Some(now);
        let (least, most) = SERIES_RANGE;
        let limit = (SAMPLES_KEPT / self.series.max(1)).clamp(least, most);
        let mut sum = Sample {
            time: now,
            committed: 0,
            end: 0,
            lag: 0,
        };
        each_committed(group, picture, |reads: Reads<'_>| {
            let sample = Sample {
                time: now,
                committed: reads.committed.0,
                end: reads.end.0,
                lag: reads.lag(),
            };
            sum.committed += sample.committed;
            sum.end += sample.end;
            sum.lag += sample.lag;
            if !kept.partitions.contains_key(reads.topic) {
                let topic = reads.topic.to_owned();
                kept.partitions.insert(topic, BTreeMap::new());
            }
            if let Some(topic) = kept.partitions.get_mut(reads.topic) {
                let series = topic.entry(reads.partition).or_insert_with(|| {
                    self.series += 1;
                    Series::default()
                });
                series.push(sample, limit);
            }
        });
        kept.total.push(sum, limit);
        let owned = owned(group);
        if kept.owned != owned {
            kept.owned = owned;
            kept.take_owners(now, group);
        }
        true
    }

    /// Takes in what events tell of groups.
    fn take_rebalances(&mut self, picture: &ClusterSnapshot) {
        let newest = picture.event_number;
        if newest < self.told {
            // Another cluster's numbers.
            self.told = 0;
        }
        let new = picture.events.iter().rev();
        let new: Vec<_> = new.take_while(|event| event.number > self.told).collect();
        self.told = newest;
        for event in new.into_iter().rev() {
            let EventKind::GroupChanged {
                group,
                from,
                to,
                generation,
                members,
                cause,
            } = &event.kind
            else {
                continue;
            };
            if !self.kept.contains_key(group) && self.kept.len() >= GROUPS_KEPT {
                continue;
            }
            let kept = self.kept.entry(group.clone()).or_default();
            let change = Rebalance {
                began: event.time,
                ended: settles(to).then_some(event.time),
                generation: *generation,
                members: *members,
                cause: cause.clone(),
            };
            kept.change(change, settles(from));
        }
    }

    /// Samples of one partition, oldest first.
    pub fn samples(
        &self,
        group: &str,
        topic: &str,
        partition: PartitionIndex,
    ) -> impl DoubleEndedIterator<Item = &Sample> {
        let series = self.series_of(group, topic, partition);
        series.into_iter().flat_map(|series| series.0.iter())
    }

    /// Sums over a group's partitions, oldest first.
    pub fn totals(&self, group: &str) -> impl DoubleEndedIterator<Item = &Sample> {
        let kept = self.kept.get(group).into_iter();
        kept.flat_map(|kept| kept.total.0.iter())
    }

    /// Where a group's lag goes.
    pub fn trend(&self, group: &str) -> Option<Trend> {
        self.kept.get(group)?.total.trend()
    }

    /// Where one partition's lag goes.
    pub fn trend_of(&self, group: &str, topic: &str, partition: PartitionIndex) -> Option<Trend> {
        self.series_of(group, topic, partition)?.trend()
    }

    /// How many offsets a second the committed one moved forward; `None` before two samples.
    pub fn rate(&self, group: &str, topic: &str, partition: PartitionIndex) -> Option<f64> {
        let series = self.series_of(group, topic, partition)?;
        let (was, is) = series.since(RATE_OVER_US)?;
        let us = is.time.since_us(was.time);
        (us > 0).then(|| (is.committed - was.committed).max(0) as f64 * 1e6 / us as f64)
    }

    /// About how long ago what a reader reads next was written, seconds. From when the log end passed that offset, as
    /// far back as there are samples; before that from how fast the log grows.
    pub fn behind_s(
        &self,
        now: Time,
        group: &str,
        topic: &str,
        partition: PartitionIndex,
    ) -> Option<f64> {
        let series = self.series_of(group, topic, partition)?;
        let newest = series.0.back()?;
        if newest.lag == 0 {
            return Some(0.0);
        }
        // What is read next: below the log start nothing is left to read.
        let next = newest.end - newest.lag;
        let older = series.0.iter().rev().find(|sample| sample.end <= next);
        if let Some(older) = older {
            let newer = series.0.iter().find(|sample| sample.end > next)?;
            let part = (next - older.end) as f64 / (newer.end - older.end).max(1) as f64;
            let gap_us = newer.time.since_us(older.time) as f64;
            let ago_us = now.since_us(older.time) as f64 - part * gap_us;
            return Some((ago_us / 1e6).max(0.0));
        }
        let oldest = series.0.front()?;
        let us = newest.time.since_us(oldest.time) as f64;
        let grown = (newest.end - oldest.end) as f64;
        (grown > 0.0).then(|| newest.lag as f64 * us / grown / 1e6)
    }

    /// Who owned each partition of a group when, by topic and partition.
    pub fn owners(
        &self,
        group: &str,
    ) -> impl Iterator<Item = (&str, PartitionIndex, &VecDeque<Owned>)> {
        let kept = self.kept.get(group).into_iter();
        let topics = kept.flat_map(|kept| &kept.owners);
        topics.flat_map(|(topic, partitions)| {
            let each = partitions.iter();
            each.map(move |(index, owned)| (topic.as_str(), *index, owned))
        })
    }

    /// Rebalances of a group, oldest first.
    pub fn rebalances(&self, group: &str) -> impl DoubleEndedIterator<Item = &Rebalance> {
        let kept = self.kept.get(group).into_iter();
        kept.flat_map(|kept| kept.rebalances.iter())
    }

    fn series_of(&self, group: &str, topic: &str, partition: PartitionIndex) -> Option<&Series> {
        let kept = self.kept.get(group)?;
        kept.partitions.get(topic)?.get(&partition)
    }
}

impl Kept {
    fn take_owners(&mut self, now: Time, group: &GroupSnapshot) {
        let mut owners: BTreeMap<&str, BTreeMap<PartitionIndex, &str>> = BTreeMap::new();
        for member in &group.members {
            for assigned in &member.assigned {
                let topic = owners.entry(&assigned.topic).or_default();
                topic.extend(assigned.partitions.iter().map(|p| (*p, member.id.as_str())));
            }
        }
        for (topic, partitions) in &mut self.owners {
            for (index, owned) in partitions {
                let owned_now = owners.get_mut(topic.as_str());
                let owner = owned_now.and_then(|topic| topic.remove(index));
                let was = owned.back().and_then(|last| last.member.as_deref());
                if was == owner {
                    continue;
                }
                owned.push_back(Owned {
                    since: now,
                    member: owner.map(str::to_owned),
                });
                if owned.len() > OWNERS_KEPT {
                    owned.pop_front();
                }
            }
        }
        for (topic, new) in owners {
            let partitions = self.owners.entry(topic.to_owned()).or_default();
            for (index, member) in new {
                let first = Owned {
                    since: now,
                    member: Some(member.to_owned()),
                };
                partitions.insert(index, VecDeque::from([first]));
            }
        }
    }

    /// A change of state: it begins a rebalance, goes on with it or ends it.
    fn change(&mut self, change: Rebalance, was_settled: bool) {
        match self.rebalances.back_mut() {
            Some(last) if last.ended.is_none() => {
                last.ended = change.ended;
                last.generation = change.generation;
                last.members = change.members;
            }
            _ if was_settled || change.ended.is_none() => self.rebalances.push_back(change),
            // It began before the oldest event.
            _ => {}
        }
        if self.rebalances.len() > REBALANCES_KEPT {
            self.rebalances.pop_front();
        }
    }
}

/// A group in this state does not rebalance.
fn settles(state: &str) -> bool {
    matches!(state, "Stable" | "Empty" | "Dead" | "")
}

/// A number that changes with who owns what.
fn owned(group: &GroupSnapshot) -> u64 {
    let mut hasher = DefaultHasher::new();
    for member in &group.members {
        member.id.hash(&mut hasher);
        for assigned in &member.assigned {
            assigned.topic.hash(&mut hasher);
            for partition in &assigned.partitions {
                partition.0.hash(&mut hasher);
            }
        }
    }
    hasher.finish()
}
