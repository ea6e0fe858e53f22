//! Both protocols in one group: it goes over with its members in it, and back.

use super::*;
use crate::group::classic::read_subscription;
use crate::group::record::ClassicRecord;
use crate::wire::Writer;
use crate::wire::messages::consumer_protocol_assignment::{
    ConsumerProtocolAssignment, TopicPartition,
};
use crate::wire::messages::consumer_protocol_subscription::{
    ConsumerProtocolSubscription, TopicPartition as Owned,
};
use crate::wire::messages::heartbeat::HeartbeatRequest;
use crate::wire::messages::join_group::{JoinGroupRequest, JoinGroupRequestProtocol};
use crate::wire::messages::sync_group::{SyncGroupRequest, SyncGroupRequestAssignment};
use bytes::Bytes;

/// A consumer of the classic protocol as real ones behave: eager, or one that keeps what it is not asked for.
#[derive(Debug, Clone, Default)]
pub(super) struct ClassicConsumer {
    pub name: String,
    pub id: String,
    pub instance: Option<String>,
    pub topics: Vec<String>,
    pub cooperative: bool,
    pub generation: i32,
    /// What it reads.
    pub owned: Partitions,
    /// It is to join (again).
    pub joins: bool,
    /// Where it waits for the others.
    pub waits: Option<ConnectionId>,
}

impl ClassicConsumer {
    pub fn new(name: &str, cooperative: bool) -> ClassicConsumer {
        ClassicConsumer {
            name: name.to_owned(),
            topics: vec!["t".to_owned()],
            cooperative,
            joins: true,
            ..ClassicConsumer::default()
        }
    }

    fn protocol(&self) -> &'static str {
        ["range", "cooperative-sticky"][usize::from(self.cooperative)]
    }

    fn join(&self, names: &Image) -> JoinGroupRequest {
        let owned = |(id, indexes): (_, &std::collections::BTreeSet<i32>)| Owned {
            topic: names.topic(id).map(|t| t.name.clone()).unwrap_or_default(),
            partitions: indexes.iter().copied().collect(),
        };
        let said = ConsumerProtocolSubscription {
            topics: self.topics.clone(),
            owned_partitions: self.owned.topics().map(owned).collect(),
            ..ConsumerProtocolSubscription::default()
        };
        JoinGroupRequest {
            group_id: "g".to_owned(),
            session_timeout_ms: 10_000,
            rebalance_timeout_ms: REBALANCE_MS,
            member_id: self.id.clone(),
            group_instance_id: self.instance.clone(),
            protocol_type: "consumer".to_owned(),
            protocols: vec![JoinGroupRequestProtocol {
                name: self.protocol().to_owned(),
                metadata: versioned(|w| said.encode(w, 1)),
            }],
            reason: None,
        }
    }

    fn sync(&self, assignments: Vec<SyncGroupRequestAssignment>) -> SyncGroupRequest {
        SyncGroupRequest {
            group_id: "g".to_owned(),
            generation_id: self.generation,
            member_id: self.id.clone(),
            group_instance_id: self.instance.clone(),
            assignments,
            ..SyncGroupRequest::default()
        }
    }

    /// It is out: nothing is its own any more.
    fn fall_out(&mut self) {
        (self.owned, self.generation, self.joins) = (Partitions::default(), -1, true);
    }
}

/// A message of the consumer protocol in version 1.
fn versioned<E: std::fmt::Debug>(body: impl FnOnce(&mut Writer) -> Result<(), E>) -> Bytes {
    let mut writer = Writer::new();
    writer.i16(1);
    body(&mut writer).unwrap();
    writer.finish_value()
}

/// As a leader assigns: every member in turn, and to nobody yet what another still has.
fn assign(members: &[JoinedMember], names: &Image) -> Vec<SyncGroupRequestAssignment> {
    let said: Vec<_> = members
        .iter()
        .map(|m| (m.id.clone(), read_subscription(&m.metadata).unwrap()))
        .collect();
    let mut of: std::collections::BTreeMap<&str, Vec<(String, i32)>> = Default::default();
    for topic in names.topics_by_name() {
        let subscribers: Vec<_> = said
            .iter()
            .filter(|(_, said)| said.topics.contains(&topic.name))
            .collect();
        for index in 0..topic.partitions.len() {
            let Some((id, _)) = subscribers.get(index % subscribers.len().max(1)) else {
                continue;
            };
            let index = i32::try_from(index).unwrap();
            let has = |said: &ConsumerProtocolSubscription| {
                let mut owned = said.owned_partitions.iter();
                owned.any(|o| o.topic == topic.name && o.partitions.contains(&index))
            };
            let other = said.iter().any(|(of, said)| of != id && has(said));
            if !other {
                of.entry(id).or_default().push((topic.name.clone(), index));
            }
        }
    }
    let one = |(id, _): &(String, _)| {
        let mut topics: std::collections::BTreeMap<String, Vec<i32>> = Default::default();
        for (topic, index) in of.get(id.as_str()).into_iter().flatten() {
            topics.entry(topic.clone()).or_default().push(*index);
        }
        let message = ConsumerProtocolAssignment {
            assigned_partitions: topics
                .into_iter()
                .map(|(topic, partitions)| TopicPartition { topic, partitions })
                .collect(),
            user_data: None,
        };
        SyncGroupRequestAssignment {
            member_id: id.clone(),
            assignment: versioned(|w| message.encode(w, 1)),
        }
    };
    said.iter().map(one).collect()
}

impl World {
    /// One step of a classic consumer: it heartbeats, joins or syncs. Whether it is where it wants to be.
    pub(super) fn step_classic(&mut self, consumer: &mut ClassicConsumer) -> bool {
        if let Some(connection) = consumer.waits {
            match self.reply(connection) {
                None => return false,
                Some(reply) => {
                    consumer.waits = None;
                    self.take_classic(consumer, reply);
                    return false;
                }
            }
        }
        if consumer.joins {
            if !consumer.cooperative {
                consumer.owned = Partitions::default();
            }
            let request = consumer.join(&self.topics);
            consumer.waits = Some(self.request(|shard, caller| shard.join(caller, &request, 9)));
            return false;
        }
        let request = HeartbeatRequest {
            group_id: "g".to_owned(),
            generation_id: consumer.generation,
            member_id: consumer.id.clone(),
            group_instance_id: consumer.instance.clone(),
        };
        match self.on_shard(|shard, caller| shard.heartbeat(caller, &request)) {
            Reply::Heartbeat(Ok(())) => return true,
            Reply::Heartbeat(Err(Refusal::RebalanceInProgress)) => consumer.joins = true,
            Reply::Heartbeat(Err(_)) => consumer.fall_out(),
            other => panic!("{other:?}"),
        }
        false
    }

    fn take_classic(&mut self, consumer: &mut ClassicConsumer, reply: Reply) {
        match reply {
            Reply::NotJoined(Refusal::MemberIdRequired, id) => consumer.id = id,
            Reply::NotJoined(Refusal::RebalanceInProgress, _) => {}
            Reply::NotJoined(Refusal::UnknownMember, _) => {
                consumer.fall_out();
                consumer.id.clear();
            }
            Reply::Joined(joined) => {
                assert!(
                    joined.generation > consumer.generation || joined.generation >= 1,
                    "{joined:?}"
                );
                consumer.id.clone_from(&joined.member_id);
                consumer.generation = joined.generation;
                consumer.joins = false;
                let leads = joined.leader == consumer.id;
                let brings = match leads {
                    true => assign(&joined.members, &self.topics),
                    false => Vec::new(),
                };
                let request = consumer.sync(brings);
                consumer.waits = Some(self.request(|shard, caller| shard.sync(caller, &request)));
            }
            Reply::Synced(Ok(synced)) => {
                let mut told = Partitions::default();
                for (topic, indexes) in assigned(&synced.assignment) {
                    let id = topic_id(&topic);
                    indexes.iter().for_each(|index| told.insert(id, *index));
                }
                // Who gave something up, joins again: others wait for that.
                consumer.joins = consumer.cooperative && !consumer.owned.is_within(&told);
                consumer.owned = told;
            }
            Reply::Synced(Err(Refusal::RebalanceInProgress)) => consumer.joins = true,
            Reply::Synced(Err(_)) => consumer.fall_out(),
            other => panic!("{}: {other:?}", consumer.name),
        }
    }

    /// Everybody acts until nobody has anything to do any more.
    pub(super) fn settle_both(
        &mut self,
        consumers: &mut [Consumer],
        classics: &mut [ClassicConsumer],
    ) {
        for _ in 0..100 {
            let mut done = true;
            for consumer in &mut *consumers {
                let before = (consumer.epoch, consumer.owned.clone());
                self.beat(consumer).expect("it is a member");
                consumer.obey();
                done &= before == (consumer.epoch, consumer.owned.clone());
            }
            for classic in &mut *classics {
                done &= self.step_classic(classic);
            }
            self.no_two_read_one(consumers, classics);
            if done && self.is_stable() {
                return;
            }
        }
        panic!("C4: it does not converge: {:?}", self.shard.groups());
    }

    pub(super) fn no_two_read_one(&self, consumers: &[Consumer], classics: &[ClassicConsumer]) {
        let mut read = Partitions::default();
        let Some(group) = self.shard.groups().get("g") else {
            return;
        };
        let is_member = |id: &str| match group.kind() {
            GroupKind::Classic(classic) => classic.members().contains_key(id),
            GroupKind::Consumer(consumer) => consumer.members().contains_key(id),
        };
        let all = consumers.iter().map(|c| (&c.id, &c.owned));
        for (id, owned) in all.chain(classics.iter().map(|c| (&c.id, &c.owned))) {
            // Who was thrown out and does not know it yet may read on: nobody can prevent that.
            if is_member(id) {
                assert!(!read.overlaps(owned), "C3: {id} reads what another reads");
                owned
                    .iter()
                    .for_each(|(topic, index)| read.insert(topic, index));
            }
        }
    }

    pub(super) fn is_stable(&self) -> bool {
        match self.shard.groups().get("g").map(Group::kind) {
            Some(GroupKind::Classic(classic)) => classic.state() == ClassicState::Stable,
            Some(GroupKind::Consumer(consumer)) => consumer.state() == ConsumerState::Stable,
            None => false,
        }
    }

    fn leave_classic(&mut self, consumer: &ClassicConsumer) {
        let leaver = Leaver {
            member_id: consumer.id.clone(),
            instance: None,
            reason: None,
        };
        let left = self.on_shard(|shard, caller| shard.leave(caller, "g", &[leaver]));
        assert_eq!(left, Reply::Left(vec![Ok(())]));
    }
}

/// A classic group of these, settled.
fn classic_group(partitions: i32, cooperative: &[bool]) -> (World, Vec<ClassicConsumer>) {
    let mut world = World::new(partitions);
    let mut classics: Vec<_> = cooperative
        .iter()
        .enumerate()
        .map(|(at, cooperative)| ClassicConsumer::new(&format!("old{at}"), *cooperative))
        .collect();
    world.settle_both(&mut [], &mut classics);
    (world, classics)
}

fn read_in_all(consumers: &[Consumer], classics: &[ClassicConsumer]) -> usize {
    let new: usize = consumers.iter().map(Consumer::count).sum();
    new + classics.iter().map(|c| c.owned.len()).sum::<usize>()
}

#[test]
fn a_classic_group_takes_a_member_of_the_new_protocol_and_everybody_reads_on() {
    for cooperative in [false, true] {
        let (mut world, mut classics) = classic_group(6, &[cooperative, cooperative]);
        let before: Vec<Partitions> = classics.iter().map(|c| c.owned.clone()).collect();
        let mut new = [Consumer::new("new")];
        world.beat(&mut new[0]).unwrap();
        // What the others read is theirs until they give it up.
        assert_eq!(new[0].told, Partitions::default());
        assert_eq!(world.group().members().len(), 3);
        for (classic, owned) in classics.iter().zip(&before) {
            assert_eq!(
                &world.group().members()[&classic.id].current.assigned,
                owned
            );
        }
        world.settle_both(&mut new, &mut classics);
        assert_eq!(read_in_all(&new, &classics), 6);
        assert_eq!(new[0].count(), 2, "it has its share");
        let told = world.news.iter().any(|news| {
            let News::StateChanged { why, .. } = news;
            why.contains("speaks it from now on")
        });
        assert!(told, "{:?}", world.news);
    }
}

#[test]
fn a_rolling_restart_takes_a_group_over_and_back() {
    let (mut world, mut classics) = classic_group(6, &[true, true, true]);
    let mut new: Vec<Consumer> = Vec::new();
    for at in 0..3 {
        let gone = classics.remove(0);
        world.leave_classic(&gone);
        new.push(Consumer::new(&format!("new{at}")));
        world.settle_both(&mut new, &mut classics);
        assert_eq!(read_in_all(&new, &classics), 6);
    }
    assert!(world.group().members().values().all(|m| !m.is_classic()));
    for at in 0..3 {
        let mut gone = new.remove(0);
        world.leave(&mut gone, -1).unwrap();
        classics.push(ClassicConsumer::new(&format!("again{at}"), true));
        world.settle_both(&mut new, &mut classics);
        assert_eq!(read_in_all(&new, &classics), 6);
    }
    // The last of the new protocol left when two of the classic one were in it.
    assert!(world.shard.consumer("g").is_none(), "it is classic again");
}

#[test]
fn the_last_member_of_the_new_protocol_that_vanishes_takes_the_group_back() {
    let (mut world, mut classics) = classic_group(4, &[false, false]);
    let mut new = vec![Consumer::new("new")];
    world.settle_both(&mut new, &mut classics);
    new.clear();
    for _ in 0..60 {
        world.pass(1_000);
        classics.iter_mut().for_each(|classic| {
            world.step_classic(classic);
        });
    }
    world.settle_both(&mut [], &mut classics);
    assert!(world.shard.consumer("g").is_none(), "it is classic again");
    assert_eq!(read_in_all(&[], &classics), 4);
}

#[test]
fn another_coordinator_goes_on_with_both() {
    let (mut world, mut classics) = classic_group(6, &[true, true]);
    let _ = classics.pop();
    let mut new = vec![Consumer::new("new")];
    world.beat(&mut new[0]).unwrap();
    let mut next = world.read_again();
    next.begin(world.now);
    assert_eq!(
        next.consumer("g").map(|group| &group.kept),
        world.shard.consumer("g").map(|group| &group.kept)
    );
    world.shard = next;
    world.pass(11_000);
    for classic in &mut classics {
        classic.waits = None;
    }
    world.settle_both(&mut new, &mut classics);
    assert_eq!(read_in_all(&new, &classics), 6);
}

#[test]
fn the_policy_says_which_way_a_group_may_go() {
    let (mut world, mut classics) = classic_group(2, &[false]);
    let policy = |migration| GroupConfig {
        migration,
        ..config()
    };
    world.shard.set_config(policy(MigrationPolicy::Downgrade));
    let mut new = Consumer::new("new");
    assert_eq!(world.beat(&mut new), Err(Refusal::GroupNotFound));
    world.shard.set_config(policy(MigrationPolicy::Upgrade));
    let mut new = vec![new];
    world.settle_both(&mut new, &mut classics);
    world.leave(&mut new[0], -1).unwrap();
    world.settle_both(&mut [], &mut classics);
    assert!(world.shard.consumer("g").is_some(), "it stays as it is");
    assert_eq!(read_in_all(&[], &classics), 2);
}

#[test]
fn a_static_member_takes_its_place_again_in_the_other_protocol() {
    let mut world = World::new(4);
    let mut classics = vec![ClassicConsumer::new("old", true)];
    classics[0].instance = Some("i".to_owned());
    classics.push(ClassicConsumer::new("other", true));
    world.settle_both(&mut [], &mut classics);
    let had = classics.remove(0).owned;
    let mut new = vec![Consumer::fixed("new", "i")];
    world.beat(&mut new[0]).unwrap();
    assert_eq!(new[0].told, had, "what was its own");
    world.settle_both(&mut new, &mut classics);
    assert_eq!(read_in_all(&new, &classics), 4);
    // And back: it did not leave.
    new.clear();
    let mut back = ClassicConsumer::new("back", true);
    back.instance = Some("i".to_owned());
    classics.push(back);
    world.settle_both(&mut [], &mut classics);
    assert_eq!(read_in_all(&[], &classics), 4);
}

#[test]
fn who_of_the_classic_protocol_does_not_join_again_in_time_is_out() {
    let (mut world, mut classics) = classic_group(4, &[true, true]);
    let mut new = vec![Consumer::new("new")];
    world.beat(&mut new[0]).unwrap();
    // It heartbeats on, hears that it is to join, and does not.
    let mut stuck = classics.remove(0);
    for _ in 0..70 {
        world.pass(1_000);
        let mut heard = stuck.clone();
        world.step_classic(&mut heard);
        stuck.generation = heard.generation;
        world.step_classic(&mut classics[0]);
        world.beat(&mut new[0]).unwrap();
        new[0].obey();
    }
    assert!(!world.group().members().contains_key(&stuck.id));
    world.settle_both(&mut new, &mut classics);
    assert_eq!(read_in_all(&new, &classics), 4);
}

#[test]
fn commits_of_the_classic_protocol_are_held_to_the_member_epoch() {
    let (mut world, mut classics) = classic_group(4, &[true]);
    let mut new = vec![Consumer::new("new")];
    world.settle_both(&mut new, &mut classics);
    let by = |epoch| CommitAs {
        member_id: &classics[0].id,
        instance: None,
        epoch,
        knows_epochs: false,
    };
    assert_eq!(world.commit_as(by(classics[0].generation)), Ok(()));
    assert_eq!(
        world.commit_as(by(classics[0].generation - 1)),
        Err(Refusal::IllegalGeneration)
    );
}

/// Seeded lives: members of both protocols come, go and vanish, lose answers, take their time; coordinators are
/// replaced. No partition has two readers (C3), what is written is what is, and at the end everything is read (C4).
#[test]
fn whatever_happens_in_both_protocols_no_partition_has_two_readers() {
    let mut seen = std::collections::BTreeSet::new();
    for seed in 0..60 {
        let cooperative = seed % 2 == 0;
        let mut dice = super::random::Dice(seed);
        let mut world = World::new(i32::try_from(1 + dice.below(8)).unwrap());
        let (mut new, mut old) = (Vec::new(), Vec::new());
        for step in 0..500 {
            one_step(
                &mut world,
                &mut dice,
                (&mut new, &mut old),
                (step, cooperative),
            );
            world.no_two_read_one(&new, &old);
            let kind = world.shard.groups().get("g").map(Group::kind);
            seen.insert(match kind {
                None => "nobody",
                Some(GroupKind::Classic(_)) => "classic",
                Some(GroupKind::Consumer(group)) => {
                    let classics = group.members().values().filter(|m| m.is_classic()).count();
                    match classics {
                        0 => "new",
                        all if all == group.members().len() => "all of them classic",
                        _ => "both",
                    }
                }
            });
        }
        // Who vanished is out after this; the others are heard all the while.
        for _ in 0..400 {
            world.pass(1_000);
            for consumer in &mut new {
                let _refused = world.beat(consumer).inspect_err(|_| fall_out(consumer));
                consumer.obey();
            }
            old.iter_mut().for_each(|classic| {
                world.step_classic(classic);
            });
            world.no_two_read_one(&new, &old);
        }
        if new.is_empty() && old.is_empty() {
            continue;
        }
        world.settle_both(&mut new, &mut old);
        let partitions = world.topics.topic_named("t").unwrap().partitions.len();
        assert_eq!(read_in_all(&new, &old), partitions, "seed {seed}");
    }
    let seen: Vec<_> = seen.into_iter().collect();
    assert_eq!(
        seen,
        ["both", "classic", "new", "nobody"],
        "a life is blind"
    );
}

fn fall_out(consumer: &mut Consumer) {
    consumer.epoch = 0;
    consumer.owned = Partitions::default();
    consumer.told = Partitions::default();
}

fn one_step(
    world: &mut World,
    dice: &mut super::random::Dice,
    (new, old): (&mut Vec<Consumer>, &mut Vec<ClassicConsumer>),
    (step, cooperative): (usize, bool),
) {
    match dice.below(100) {
        0..3 if new.len() < 3 => new.push(Consumer::new(&format!("new{step}"))),
        3..6 if old.len() < 3 => {
            old.push(ClassicConsumer::new(&format!("old{step}"), cooperative));
        }
        6..8 if !new.is_empty() => {
            let mut gone = new.remove(dice.below(new.len()));
            if dice.below(2) == 0 {
                let _refused = world.leave(&mut gone, -1);
            }
        }
        8..10 if !old.is_empty() => {
            let gone = old.remove(dice.below(old.len()));
            if dice.below(2) == 0 {
                let leaver = Leaver {
                    member_id: gone.id,
                    instance: None,
                    reason: None,
                };
                world.on_shard(|shard, caller| shard.leave(caller, "g", &[leaver]));
            }
        }
        10 => {
            let mut next = world.read_again();
            next.begin(world.now);
            if let (Some(read), Some(is)) = (next.consumer("g"), world.shard.consumer("g")) {
                assert_eq!(read.kept, is.kept);
            }
            world.shard = next;
            // Nobody who waits is answered by it: they ask again.
            for classic in old.iter_mut() {
                classic.joins |= classic.waits.take().is_some();
            }
        }
        11..21 => world.pass(i64::try_from(dice.below(3_000)).unwrap()),
        21..35 if !new.is_empty() => {
            let at = dice.below(new.len());
            new[at].obey();
        }
        35..60 if !new.is_empty() => {
            let at = dice.below(new.len());
            let consumer = &mut new[at];
            if world.beat(consumer).is_err() {
                fall_out(consumer);
            }
        }
        _ if !old.is_empty() => {
            let at = dice.below(old.len());
            let classic = &mut old[at];
            world.step_classic(classic);
            if dice.below(8) == 0 {
                // The answer is lost.
                if let Some(connection) = classic.waits.take() {
                    world.replies.retain(|(to, _)| *to != connection);
                    classic.joins = true;
                }
            }
        }
        _ => {}
    }
}

#[test]
fn a_coordinator_that_takes_over_right_after_the_way_back_has_the_group_rebalance() {
    let (mut world, mut classics) = classic_group(6, &[true, true]);
    let mut new = vec![Consumer::new("new")];
    world.settle_both(&mut new, &mut classics);
    world.leave(&mut new[0], -1).unwrap();
    let mut next = world.read_again();
    let turn_taken = world.now;
    next.begin(turn_taken);
    next.check();
    world.shard = next;
    world.settle_both(&mut [], &mut classics);
    assert_eq!(read_in_all(&[], &classics), 6, "what the other had is read");
}

#[test]
fn the_last_of_the_new_protocol_that_starts_again_in_the_classic_one_takes_the_group_back() {
    let (mut world, mut classics) = classic_group(4, &[true]);
    let mut new = vec![Consumer::fixed("new", "i")];
    world.settle_both(&mut new, &mut classics);
    let mut back = ClassicConsumer::new("back", true);
    back.instance = Some("i".to_owned());
    classics.push(back);
    world.settle_both(&mut [], &mut classics);
    assert!(world.shard.consumer("g").is_none(), "it is classic again");
    assert_eq!(read_in_all(&[], &classics), 4);
}

#[test]
fn partitions_that_come_are_read_where_only_the_classic_protocol_is_left() {
    let (mut world, mut classics) = classic_group(2, &[true]);
    world.shard.set_config(GroupConfig {
        migration: MigrationPolicy::Upgrade,
        ..config()
    });
    let mut new = vec![Consumer::new("new")];
    world.settle_both(&mut new, &mut classics);
    world.leave(&mut new[0], -1).unwrap();
    world.settle_both(&mut [], &mut classics);
    world.grow("t", 5);
    world.settle_both(&mut [], &mut classics);
    assert_eq!(read_in_all(&[], &classics), 5);
}

#[test]
fn a_group_whose_assignor_says_more_than_partitions_stays_classic() {
    for (user_data, assignment_bytes, goes_over) in [
        (None, None, true),
        (Some(Bytes::from_static(b"tasks")), None, false),
        (None, Some(Bytes::from_static(b"not to be read")), false),
    ] {
        let mut world = World::new(1);
        let plan = ConsumerProtocolAssignment {
            assigned_partitions: Vec::new(),
            user_data,
        };
        let member = ClassicConsumer::new("streams", false);
        let said = member.join(&world.topics).protocols.remove(0);
        let member = MemberRecord {
            id: "m".to_owned(),
            instance: None,
            client_id: "streams".to_owned(),
            client_host: "/127.0.0.1".to_owned(),
            rebalance_timeout_ms: REBALANCE_MS,
            session_timeout_ms: 10_000,
            subscription: said.metadata,
            assignment: assignment_bytes.unwrap_or_else(|| versioned(|w| plan.encode(w, 1))),
        };
        world.shard.apply(&Record::Classic {
            group: "g".to_owned(),
            state: Some(ClassicRecord {
                protocol_type: "consumer".to_owned(),
                generation: 1,
                protocol: Some(said.name),
                leader: Some("m".to_owned()),
                since_ms: 0,
                members: vec![member],
            }),
        });
        let heard = world.beat(&mut Consumer::new("new"));
        assert_eq!(heard.is_ok(), goes_over, "{heard:?}");
        assert_eq!(world.shard.consumer("g").is_some(), goes_over);
    }
}

#[test]
fn a_member_id_nobody_uses_keeps_nobody_out() {
    let mut world = World::new(1);
    let mut asks = ClassicConsumer::new("asks", false);
    world.step_classic(&mut asks);
    let mut new = Consumer::new("new");
    world.beat(&mut new).unwrap();
    assert_eq!(world.state(), "Stable");
    world.leave(&mut new, -1).unwrap();
    world.pass(1_000_000);
    assert_eq!(world.shard.alarms.len(), 0, "nothing is waited for");
}
