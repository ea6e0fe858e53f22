//! Where the replicas of new partitions go.
//!
//! As Kafka's placer does: leaders go round the live brokers in stripes, the replicas of one partition stand in
//! different racks where there are enough, follower sets shift so that a dead broker's load spreads over all
//! others, and fenced brokers get replicas only when live ones do not suffice. Where a topic begins is decided
//! by its id instead of by chance, so partitions added later go on where the first ones ended.
//!
//! Differs from Apache Kafka: a fenced broker is taken last even if its rack has no other.

use super::{Facts, Refusal};
use crate::ids::{BrokerId, TopicId};

/// The brokers new replicas may go to, in the order they are taken.
pub(super) struct Stripes {
    /// Live brokers, neighbours in different racks where possible.
    ring: Vec<Place>,
    fenced: Vec<Place>,
    /// Where the topic's first partition begins.
    start: usize,
}

#[derive(Clone, Copy)]
struct Place {
    broker: BrokerId,
    /// Number of its rack; brokers that name none stand in one rack together.
    rack: usize,
}

impl Stripes {
    /// The stripes of one topic.
    pub fn new(facts: Facts, topic: TopicId) -> Stripes {
        let mut racks: Vec<Option<&str>> = Vec::new();
        let (mut live, mut fenced) = (Vec::new(), Vec::new());
        let usable = facts.image.brokers().filter(|b| !b.in_controlled_shutdown);
        for broker in usable {
            let name = broker.rack.as_deref();
            let known = racks.iter().position(|rack| *rack == name);
            let rack = known.unwrap_or_else(|| {
                racks.push(name);
                racks.len() - 1
            });
            let place = Place {
                broker: broker.id,
                rack,
            };
            match broker.fenced {
                true => fenced.push(place),
                false => live.push(place),
            }
        }
        // The last bytes of an id are random in every form of it.
        let [.., a, b, c, d] = topic.0;
        let start = u32::from_be_bytes([a, b, c, d]);
        Stripes {
            ring: alternating(live),
            fenced,
            start: usize::try_from(start).expect("32 bits fit"),
        }
    }

    /// Replicas for partitions `from..to`, the leader first.
    ///
    /// # Errors
    /// Fewer brokers than replicas, or none that is live.
    pub fn place(&self, from: i32, to: i32, factor: i64) -> Result<Vec<Vec<BrokerId>>, Refusal> {
        let all = self.ring.len() + self.fenced.len();
        let factor = match usize::try_from(factor) {
            Ok(factor) if (1..=all).contains(&factor) => factor,
            _ => {
                return Err(Refusal::InvalidReplicationFactor(format!(
                    "Unable to replicate the partition {factor} time(s): The target replication factor of {factor} cannot be reached because only {all} broker(s) are registered."
                )));
            }
        };
        if self.ring.is_empty() {
            return Err(Refusal::InvalidReplicationFactor(format!(
                "Unable to replicate the partition {factor} time(s): All brokers are currently fenced."
            )));
        }
        Ok((from..to)
            .map(|partition| self.replicas(usize::try_from(partition).unwrap_or(0), factor))
            .collect())
    }

    fn replicas(&self, partition: usize, factor: usize) -> Vec<BrokerId> {
        let live = self.ring.len();
        let at = self.start + partition;
        let leader = self.ring[at % live];
        // One lap further on, the same leader has other followers.
        let shift = match live {
            1 => 0,
            _ => (at / live) % (live - 1),
        };
        let followers = (0..live - 1).map(|i| 1 + (i + shift) % (live - 1));
        let mut candidates: Vec<Place> = followers.map(|i| self.ring[(at + i) % live]).collect();
        let mut chosen = vec![leader];
        let mut last = self.fenced.clone();
        while chosen.len() < factor {
            if candidates.is_empty() {
                candidates = std::mem::take(&mut last);
            }
            let used = |rack: usize| chosen.iter().filter(|place| place.rack == rack).count();
            let best = (0..candidates.len()).min_by_key(|at| used(candidates[*at].rack));
            let best = best.expect("there are as many brokers as replicas");
            let next = candidates.remove(best);
            chosen.push(next);
        }
        chosen.into_iter().map(|place| place.broker).collect()
    }
}

/// The brokers so that racks take turns.
fn alternating(places: Vec<Place>) -> Vec<Place> {
    let mut turns: Vec<(usize, usize, Place)> = Vec::with_capacity(places.len());
    for place in places {
        let turn = turns.iter().filter(|(_, rack, _)| *rack == place.rack);
        turns.push((turn.count(), place.rack, place));
    }
    turns.sort_by_key(|(turn, rack, _)| (*turn, *rack));
    turns.into_iter().map(|(_, _, place)| place).collect()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::super::rig::{self, Rig};
    use super::*;
    use crate::metadata::Record;

    fn placed(rig: &Rig, topic: u8, partitions: i32, factor: i64) -> Vec<Vec<BrokerId>> {
        let stripes = Stripes::new(rig.facts(), TopicId([topic; 16]));
        stripes
            .place(0, partitions, factor)
            .expect("enough brokers")
    }

    #[test]
    fn leaders_and_replicas_spread_evenly() {
        for brokers in 1..=5 {
            let rig = Rig::with_brokers(brokers);
            let factor = i64::from(brokers.min(3));
            let partitions = brokers * 12;
            let all = placed(&rig, 9, partitions, factor);
            let mut leads: BTreeMap<BrokerId, i32> = BTreeMap::new();
            let mut holds: BTreeMap<BrokerId, i64> = BTreeMap::new();
            for replicas in &all {
                *leads.entry(replicas[0]).or_default() += 1;
                for replica in replicas {
                    *holds.entry(*replica).or_default() += 1;
                }
            }
            assert!(leads.values().all(|n| *n == 12), "{leads:?}");
            let most = holds.values().max().expect("some");
            let least = holds.values().min().expect("some");
            assert!(most - least <= 12, "{holds:?}");
        }
    }

    #[test]
    fn replicas_stand_in_different_racks_while_there_are_enough() {
        let mut rig = Rig::default();
        for (id, rack) in [(1, "a"), (2, "a"), (3, "b"), (4, "b"), (5, "c"), (6, "c")] {
            rig.register_live(id, Some(rack));
        }
        let rack = |id: &BrokerId| (id.0 - 1) / 2;
        for topic in 0..20 {
            for replicas in placed(&rig, topic, 30, 3) {
                let mut racks: Vec<i32> = replicas.iter().map(rack).collect();
                racks.sort_unstable();
                assert_eq!(racks, [0, 1, 2], "{replicas:?}");
            }
            for replicas in placed(&rig, topic, 30, 5) {
                let in_rack = |n| replicas.iter().filter(|r| rack(r) == n).count();
                assert!((0..3).all(|n| in_rack(n) >= 1 && in_rack(n) <= 2));
            }
        }
    }

    #[test]
    fn fenced_brokers_come_last_and_never_lead() {
        let mut rig = Rig::with_brokers(3);
        rig.fence(2);
        for replicas in placed(&rig, 3, 12, 2) {
            assert!(!replicas.contains(&BrokerId(2)));
        }
        for replicas in placed(&rig, 3, 12, 3) {
            assert_eq!(replicas[2], BrokerId(2));
        }
        rig.fence(1);
        rig.fence(3);
        let refused = Stripes::new(rig.facts(), TopicId([1; 16])).place(0, 1, 1);
        let refused = refused.expect_err("nobody could lead");
        assert!(refused.to_string().contains("currently fenced"));
        let too_many = Stripes::new(rig.facts(), TopicId([1; 16])).place(0, 1, 4);
        assert!(
            too_many
                .expect_err("three only")
                .to_string()
                .contains("only 3")
        );
    }

    #[test]
    fn partitions_added_later_go_on_where_the_first_ended() {
        let rig = Rig::with_brokers(4);
        let stripes = Stripes::new(rig.facts(), TopicId([5; 16]));
        let whole = stripes.place(0, 9, 2).expect("enough");
        let mut parts = stripes.place(0, 4, 2).expect("enough");
        parts.extend(stripes.place(4, 9, 2).expect("enough"));
        assert_eq!(whole, parts);
    }

    #[test]
    fn topics_of_one_partition_begin_at_different_brokers() {
        let rig = Rig::with_brokers(3);
        let leaders: std::collections::BTreeSet<BrokerId> = (0..20)
            .map(|topic| placed(&rig, topic, 1, 1)[0][0])
            .collect();
        assert_eq!(leaders.len(), 3);
        let gone = Record::BrokerChange {
            id: BrokerId(1),
            epoch: rig.epoch(1),
            fenced: None,
            in_controlled_shutdown: true,
        };
        let mut rig = rig;
        rig.apply(&[gone]);
        let none = placed(&rig, 4, 6, 2);
        assert!(none.iter().all(|replicas| !replicas.contains(&rig::id(1))));
    }
}
