//! What the window remembers of past pictures: rates, the throughput curve, and how well the cluster was.
//!
//! Pictures carry counters that only grow; rates are differences between two of them. The counters of a few
//! pictures of the last seconds are kept, not the pictures: letting go of one with thousands of topics would
//! be felt in the frame that does it. No clock of its own: the time is passed in.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

pub use groups::{GroupHistory, Owned, Rebalance, Sample, Trend};

use super::replicas::Ills;
use crate::ids::{BrokerId, ConnectionId, Time, TopicId};
use crate::inspect::{
    ClusterSnapshot, ConnectionSnapshot, ConsumerSnapshot, TopicSnapshot, Totals,
};

mod groups;

/// Microseconds between two kept pictures.
const PICTURE_EVERY_US: u64 = 250_000;
/// Pictures kept for rates.
const PICTURES_KEPT: usize = 8;
/// Connections whose requests are counted.
const CONNECTIONS_COUNTED: usize = 4_000;
/// Microseconds over which a rate is measured.
const RATE_OVER_US: u64 = 1_000_000;
/// Microseconds between two points of the curve.
const POINT_EVERY_US: u64 = 500_000;
/// Points kept: one hour.
const POINTS_KEPT: usize = 7_200;

/// One point of the throughput curve.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Point {
    pub time: Time,
    pub records_in_per_s: f64,
    pub records_out_per_s: f64,
}

/// How well the cluster is, in numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Health {
    /// Partitions with fewer replicas in sync than they are to have.
    pub under_replicated: u64,
    /// Partitions without a leader.
    pub offline: u64,
    /// Brokers that may not be used.
    pub fenced: u64,
    /// Partitions of produce requests refused since the program started.
    pub failed_produces: u64,
}

impl Health {
    pub fn of(picture: &ClusterSnapshot) -> Health {
        let ills = Ills::of(picture.topics.iter().flat_map(|topic| &topic.partitions));
        let brokers = picture
            .brokers
            .iter()
            .filter_map(|broker| broker.registration);
        Health {
            under_replicated: ills.thin as u64,
            offline: ills.leaderless as u64,
            fenced: brokers.filter(|one| one.fenced).count() as u64,
            failed_produces: picture.totals.failed_produces,
        }
    }
}

/// Rates of everything, a second.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Rates {
    pub records_in: f64,
    pub records_out: f64,
    pub bytes_in: f64,
    pub bytes_out: f64,
    /// Those of clients: brokers ask each other all the time.
    pub requests: f64,
}

/// The counters of one past picture.
#[derive(Debug)]
struct Counters {
    /// In the user's time: a rate is what happens in a second on the wall, however slow the cluster's time passes.
    wall: Time,
    totals: Totals,
    topics: HashMap<TopicId, Written>,
    /// Requests of the first [`CONNECTIONS_COUNTED`].
    connections: HashMap<(BrokerId, ConnectionId), u64>,
    /// Records each of klar's own consumers had processed.
    consumers: HashMap<u64, u64>,
}

/// What was written to a topic, over all its partitions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Written {
    records: u64,
    bytes: u64,
}

impl Written {
    fn to(topic: &TopicSnapshot) -> Written {
        Written {
            records: topic.partitions.iter().map(|p| p.records_in).sum(),
            bytes: topic.partitions.iter().map(|p| p.bytes_in).sum(),
        }
    }
}

/// Past counters and the curve made from them.
#[derive(Debug, Default)]
pub struct History {
    pictures: VecDeque<Counters>,
    points: VecDeque<Point>,
    last_point: Option<LastPoint>,
    /// Whenever it changed, from the moment of the picture that showed it.
    health: VecDeque<(Time, Health)>,
    groups: GroupHistory,
    /// The newest picture whose health was looked at.
    looked: Option<Arc<ClusterSnapshot>>,
}

/// What the curve goes on from.
#[derive(Debug, Clone, Copy)]
struct LastPoint {
    now: Time,
    wall: Time,
    totals: Totals,
}

impl History {
    /// Takes note of the newest picture. Call once a frame, with the same picture as often as you like:
    /// rates fall to zero when nothing new comes.
    pub fn see(&mut self, now: Time, wall: Time, picture: &Arc<ClusterSnapshot>) {
        let due = match self.pictures.back() {
            None => true,
            Some(last) => wall.since_us(last.wall) >= PICTURE_EVERY_US,
        };
        if due {
            let topics = picture.topics.iter();
            self.pictures.push_back(Counters {
                wall,
                totals: picture.totals,
                topics: topics.map(|t| (t.id, Written::to(t))).collect(),
                connections: requests(picture),
                consumers: picture
                    .consumers
                    .iter()
                    .map(|c| (c.id, c.records))
                    .collect(),
            });
            if self.pictures.len() > PICTURES_KEPT {
                self.pictures.pop_front();
            }
        }
        self.extend_curve(now, wall, picture.totals);
        self.groups.see(now, picture);
        let looked = self.looked.as_ref();
        if looked.is_none_or(|looked| !Arc::ptr_eq(looked, picture)) {
            self.looked = Some(Arc::clone(picture));
            self.keep_health(picture.time, Health::of(picture));
        }
    }

    /// What is remembered of consumer groups.
    pub fn groups(&self) -> &GroupHistory {
        &self.groups
    }

    fn keep_health(&mut self, time: Time, health: Health) {
        if self.health.back().is_some_and(|(_, last)| *last == health) {
            return;
        }
        self.health.push_back((time, health));
        if self.health.len() > POINTS_KEPT {
            self.health.pop_front();
        }
    }

    /// How well the cluster was at a moment; `None` before anybody looked.
    pub fn health_at(&self, time: Time) -> Option<Health> {
        let mut earlier = self.health.iter().rev();
        let last = earlier.find(|(since, _)| *since <= time);
        last.map(|(_, health)| *health)
    }

    fn extend_curve(&mut self, now: Time, wall: Time, totals: Totals) {
        let next = LastPoint { now, wall, totals };
        let Some(last) = self.last_point else {
            self.last_point = Some(next);
            return;
        };
        let (before, elapsed) = (last.totals, wall.since_us(last.wall));
        if elapsed < POINT_EVERY_US {
            return;
        }
        self.last_point = Some(next);
        if now <= last.now {
            // Time stands still: the curve has no place for what happens now.
            return;
        }
        let point = |time| Point {
            time,
            records_in_per_s: per_second(before.records_in, totals.records_in, elapsed),
            records_out_per_s: per_second(before.records_out, totals.records_out, elapsed),
        };
        // After a pause in which nothing was published, the curve is flat up to here.
        if elapsed > 4 * POINT_EVERY_US {
            self.push(point(Time(last.now.0 + 1)));
        }
        self.push(point(now));
    }

    fn push(&mut self, point: Point) {
        self.points.push_back(point);
        if self.points.len() > POINTS_KEPT {
            self.points.pop_front();
        }
    }

    /// The throughput curve, oldest first.
    pub fn points(&self) -> impl DoubleEndedIterator<Item = &Point> + ExactSizeIterator {
        self.points.iter()
    }

    /// Rates of everything over about the last second.
    pub fn rates(&self, wall: Time, newest: &ClusterSnapshot) -> Rates {
        let Some(before) = self.reference(wall) else {
            return Rates::default();
        };
        let elapsed = wall.since_us(before.wall);
        let (was, is) = (before.totals, newest.totals);
        Rates {
            records_in: per_second(was.records_in, is.records_in, elapsed),
            records_out: per_second(was.records_out, is.records_out, elapsed),
            bytes_in: per_second(was.bytes_in, is.bytes_in, elapsed),
            bytes_out: per_second(was.bytes_out, is.bytes_out, elapsed),
            requests: per_second(was.of_clients(), is.of_clients(), elapsed),
        }
    }

    /// Records and bytes written to one topic over about the last second, a second.
    pub fn topic_rate(&self, wall: Time, topic: &TopicSnapshot) -> (f64, f64) {
        let before = self.reference(wall);
        let Some((then, was)) = before.and_then(|b| Some((b.wall, b.topics.get(&topic.id)?)))
        else {
            return (0.0, 0.0);
        };
        let (is, elapsed) = (Written::to(topic), wall.since_us(then));
        (
            per_second(was.records, is.records, elapsed),
            per_second(was.bytes, is.bytes, elapsed),
        )
    }

    /// Requests of one connection over about the last second, a second; `None` where they are not counted.
    pub fn connection_rate(&self, wall: Time, connection: &ConnectionSnapshot) -> Option<f64> {
        let before = self.reference(wall)?;
        let key = (connection.broker, connection.id);
        let was = *before.connections.get(&key)?;
        let elapsed = wall.since_us(before.wall);
        Some(per_second(was, connection.requests, elapsed))
    }

    /// Records one of klar's own consumers processed over about the last second, a second.
    pub fn consumer_rate(&self, wall: Time, consumer: &ConsumerSnapshot) -> f64 {
        let Some(before) = self.reference(wall) else {
            return 0.0;
        };
        // One that was not there had processed nothing.
        let was = before.consumers.get(&consumer.id).copied().unwrap_or(0);
        per_second(was, consumer.records, wall.since_us(before.wall))
    }

    /// True while a rate is above zero only because of time passing: the window must look again.
    pub fn is_settling(&self, wall: Time, newest: &ClusterSnapshot) -> bool {
        self.rates(wall, newest) != Rates::default()
    }

    /// The counters rates are measured from: the youngest that are old enough, else the oldest.
    fn reference(&self, wall: Time) -> Option<&Counters> {
        let old_enough = |counters: &&Counters| wall.since_us(counters.wall) >= RATE_OVER_US;
        let youngest = self.pictures.iter().rev().find(old_enough);
        youngest.or_else(|| self.pictures.front())
    }
}

fn requests(picture: &ClusterSnapshot) -> HashMap<(BrokerId, ConnectionId), u64> {
    let counted = picture.connections.iter().take(CONNECTIONS_COUNTED);
    counted.map(|c| ((c.broker, c.id), c.requests)).collect()
}

fn per_second(before: u64, after: u64, elapsed_us: u64) -> f64 {
    if elapsed_us == 0 {
        return 0.0;
    }
    after.saturating_sub(before) as f64 * 1e6 / elapsed_us as f64
}

/// Finds a topic by name among topics sorted by name.
pub fn find_topic<'a>(
    topics: &'a [Arc<TopicSnapshot>],
    name: &str,
) -> Option<&'a Arc<TopicSnapshot>> {
    let index = topics
        .binary_search_by(|topic| topic.name.as_str().cmp(name))
        .ok()?;
    topics.get(index)
}

#[cfg(test)]
mod tests;
