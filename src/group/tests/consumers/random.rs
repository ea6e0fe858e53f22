//! Seeded lives of a group: consumers come, go, lose answers, take their time and vanish, topics grow, coordinators are
//! replaced. After every step no partition has two readers (C3), epochs of members only grow (C4), and what is written
//! is what is; after the last everybody arrives.

use super::*;

const SEEDS: u64 = 40;
const STEPS: usize = 400;
const MAX_CONSUMERS: usize = 6;

/// A generator of its own, so that a seed is the same life for ever: SplitMix64.
pub(super) struct Dice(pub u64);

impl Dice {
    pub fn below(&mut self, end: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut x = self.0;
        x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        usize::try_from((x ^ (x >> 31)) % (end as u64)).unwrap()
    }
}

struct Life {
    world: World,
    dice: Dice,
    consumers: Vec<Consumer>,
    born: usize,
    /// What happened at least once in some life.
    seen: std::collections::BTreeSet<&'static str>,
}

impl Life {
    fn new(seed: u64) -> Life {
        let mut dice = Dice(seed);
        let partitions = i32::try_from(1 + dice.below(9)).unwrap();
        let mut world = World::new(partitions);
        world.grow("orders", 3);
        Life {
            world,
            dice,
            consumers: Vec::new(),
            born: 0,
            seen: std::collections::BTreeSet::new(),
        }
    }

    fn be_born(&mut self) {
        if self.consumers.len() >= MAX_CONSUMERS {
            return;
        }
        self.born += 1;
        let id = format!("c{}", self.born);
        let mut consumer = match self.dice.below(4) {
            0 => Consumer::of(&id, &["t", "orders"]),
            1 => Consumer::matching(&id, "t|ord.*"),
            _ => Consumer::new(&id),
        };
        if self.dice.below(4) == 0 {
            let instance = format!("i{}", self.dice.below(3));
            let in_use = |c: &Consumer| c.instance.as_ref() == Some(&instance);
            if !self.consumers.iter().any(in_use) {
                consumer.instance = Some(instance);
            }
        }
        self.consumers.push(consumer);
    }

    /// A consumer says where it is; perhaps it never hears the answer.
    fn beat(&mut self, at: usize) {
        let consumer = &mut self.consumers[at];
        let lost = self.dice.below(6) == 0;
        let mut other = consumer.clone();
        let heard = match lost {
            true => self.world.beat(&mut other),
            false => self.world.beat(consumer),
        };
        let refusal = match heard {
            Ok(()) if lost => {
                self.seen.insert("answer lost");
                consumer.whole = true;
                return;
            }
            Ok(()) => return,
            Err(refusal) => refusal,
        };
        match refusal {
            Refusal::FencedMemberEpoch | Refusal::UnknownMember | Refusal::GroupNotFound => {
                self.seen.insert("fenced");
                consumer.epoch = 0;
                consumer.owned = Partitions::default();
                consumer.told = Partitions::default();
            }
            // The one before has vanished and is still believed to live, or this one is the one before.
            Refusal::UnreleasedInstance | Refusal::FencedInstance => {
                self.seen.insert("instance in use");
                self.consumers.remove(at);
            }
            other => panic!("{other:?}"),
        }
    }

    fn step(&mut self) {
        let some = match self.consumers.len() {
            0 => return self.be_born(),
            len => self.dice.below(len),
        };
        match self.dice.below(100) {
            0..4 => self.be_born(),
            4..6 => {
                // It vanishes without a word.
                self.consumers.remove(some);
                self.seen.insert("vanished");
            }
            6..8 => {
                let epoch = match self.consumers[some].instance {
                    Some(_) => -2,
                    None => -1,
                };
                let mut consumer = self.consumers.remove(some);
                if self.world.leave(&mut consumer, epoch).is_ok() {
                    self.seen.insert(["away", "left"][usize::from(epoch == -1)]);
                }
            }
            8 => {
                let partitions = i32::try_from(1 + self.dice.below(12)).unwrap();
                self.world
                    .grow(["t", "orders", "ord2"][self.dice.below(3)], partitions);
            }
            9 => {
                let mut next = self.world.read_again();
                next.begin(self.world.now);
                self.world.shard = next;
                self.seen.insert("another coordinator");
            }
            10..45 => self.consumers[some].obey(),
            45..55 => {
                let ms = self.dice.below(4_000);
                self.world.pass(i64::try_from(ms).unwrap());
            }
            _ => self.beat(some),
        }
        self.check();
    }

    fn check(&mut self) {
        let Some(group) = self.world.shard.consumer("g") else {
            return;
        };
        let mut read = Partitions::default();
        for consumer in &self.consumers {
            // Who was thrown out for its silence and does not know it yet may read on: nobody can prevent that.
            let Some(member) = group.members().get(&consumer.id) else {
                continue;
            };
            assert!(
                !read.overlaps(&consumer.owned),
                "C3: {} reads what another reads",
                consumer.id
            );
            for (topic, index) in consumer.owned.iter() {
                read.insert(topic, index);
            }
            if member.current.state == MemberState::UnrevokedPartitions {
                self.seen.insert("gives up");
            }
            if member.current.state == MemberState::UnreleasedPartitions {
                self.seen.insert("waits");
            }
        }
        assert!(self.dice.below(20) != 0 || self.is_written());
    }

    fn is_written(&self) -> bool {
        let read = self.world.read_again();
        let read = read.consumer("g").map(|group| &group.kept);
        read == self.world.shard.consumer("g").map(|group| &group.kept)
    }

    /// Everybody who is there is heard from now on, and does what it is told.
    fn arrive(&mut self) {
        // Those that are not there are out after this.
        for _ in 0..20 {
            for at in (0..self.consumers.len()).rev() {
                self.beat(at);
                self.check();
            }
            self.consumers.iter_mut().for_each(Consumer::obey);
            self.world.pass(5_000);
        }
        self.consumers.retain(|consumer| consumer.epoch > 0);
        if self.consumers.is_empty() {
            return;
        }
        self.world.settle(&mut self.consumers);
        let group = self.world.group();
        assert_eq!(group.members().len(), self.consumers.len());
        for consumer in &self.consumers {
            assert_eq!(Some(&consumer.owned), group.target(&consumer.id), "C4");
            assert_eq!(consumer.epoch, group.epoch(), "C4");
        }
        let counts = self.consumers.iter().map(Consumer::count);
        let read: usize = counts.sum();
        let subscribed = group.subscribed().into_iter();
        let there = subscribed.filter_map(|name| self.world.topics.topic_named(name));
        let there: usize = there.map(|topic| topic.partitions.len()).sum();
        assert_eq!(read, there, "everything subscribed to is read");
    }
}

#[test]
fn whatever_happens_no_partition_has_two_readers_and_everybody_arrives() {
    let mut seen = std::collections::BTreeSet::new();
    for seed in 0..SEEDS {
        let mut life = Life::new(seed);
        for _ in 0..STEPS {
            life.step();
        }
        life.arrive();
        assert!(life.is_written(), "seed {seed}");
        seen.append(&mut life.seen);
    }
    let wanted = [
        "another coordinator",
        "answer lost",
        "away",
        "fenced",
        "gives up",
        "instance in use",
        "left",
        "vanished",
        "waits",
    ];
    assert_eq!(
        seen.into_iter().collect::<Vec<_>>(),
        wanted,
        "a life is blind"
    );
}
