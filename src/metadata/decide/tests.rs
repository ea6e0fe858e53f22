//! Brokers coming and going, and a model: what is elected has everything that was committed (D1, E3).

use rand::rngs::SmallRng;
use rand::{Rng as _, SeedableRng as _};

use super::rig::{Rig, id, ids};
use super::*;
use crate::ids::{BrokerEpoch, BrokerId, Offset, PartitionIndex, Time};
use crate::metadata::{LeaderRecovery, PartitionImage, Record};

fn at(ms: i64) -> Time {
    Time::from_ms(ms)
}

/// A heartbeat at a controller with these sessions, decided, applied and remembered.
fn beat(rig: &mut Rig, sessions: &mut Sessions, now: Time, beat: &Heartbeat) -> Beat {
    let decided = heartbeat(rig.facts(), sessions, beat, rig.end).expect("registered");
    rig.apply(&decided.records);
    sessions.on_heartbeat(now, beat, &decided, rig.end);
    decided
}

#[test]
fn a_broker_registers_fenced_and_is_unfenced_once_it_knows_of_its_registration() {
    let mut rig = Rig::default();
    let newcomer = rig.newcomer(1, Some("a"));
    let epoch = rig.register(&newcomer).expect("nobody is there");
    assert_eq!(epoch, BrokerEpoch(10));
    let mut sessions = Sessions::new(at(0), rig.image(), 700);
    let mut behind = rig.beat(1);
    behind.metadata_offset = Offset(9);
    let decided = beat(&mut rig, &mut sessions, at(0), &behind);
    assert!(decided.is_fenced && !decided.is_caught_up && decided.records.is_empty());
    let wanted = Heartbeat {
        want_fence: true,
        ..rig.beat(1)
    };
    assert!(beat(&mut rig, &mut sessions, at(0), &wanted).is_fenced);
    let caught_up = rig.beat(1);
    let decided = beat(&mut rig, &mut sessions, at(0), &caught_up);
    assert!(!decided.is_fenced && decided.is_caught_up);
    assert!(rig.image().is_live(id(1)));
    assert_eq!(rig.facts().brokers().collect::<Vec<_>>(), ids(&[1]));
}

#[test]
fn registering_twice_is_one_registration() {
    let mut rig = Rig::with_brokers(1);
    let mut newcomer = rig.newcomer(2, None);
    let first = rig.register(&newcomer).expect("nobody is there");
    let end = rig.end;
    assert_eq!(rig.register(&newcomer), Ok(first));
    assert_eq!(rig.end, end);
    newcomer.rack = Some("b".to_owned());
    assert_eq!(rig.register(&newcomer), Ok(first));
    let registered = rig.image().broker(id(2)).expect("it is there");
    assert_eq!(registered.rack.as_deref(), Some("b"));
}

#[test]
fn e6_a_second_broker_with_the_same_id_waits_and_a_stale_incarnation_never_returns() {
    let mut rig = Rig::default();
    let old = rig.newcomer(1, None);
    rig.register(&old).expect("nobody is there");
    rig.unfence(1);
    let mut sessions = Sessions::new(at(0), rig.image(), 700);
    let heard = rig.beat(1);
    beat(&mut rig, &mut sessions, at(0), &heard);
    let new = rig.newcomer(1, None);
    let early = register(rig.facts(), at(600), &sessions, &new, rig.end);
    assert_eq!(early, Err(Refusal::DuplicateBrokerRegistration(id(1))));
    let late =
        register(rig.facts(), at(700), &sessions, &new, rig.end).expect("its session is over");
    rig.apply(&late.records);
    assert_eq!(rig.epoch(1), late.epoch);
    let stale = register(rig.facts(), at(9_000), &sessions, &old, rig.end);
    assert!(matches!(stale, Err(Refusal::StaleBrokerEpoch(_))));
    let stale = heartbeat(rig.facts(), &sessions, &heard, rig.end);
    assert!(matches!(stale, Err(Refusal::StaleBrokerEpoch(_))));
    let stranger = check_broker_epoch(rig.facts(), id(7), BrokerEpoch(1));
    assert_eq!(stranger, Err(Refusal::BrokerIdNotRegistered(id(7))));
}

#[test]
fn e5_a_broker_that_registers_anew_leaves_every_isr_and_its_leaderships() {
    let mut rig = Rig::with_brokers(3);
    rig.topic("t", &[&[1, 2, 3], &[2, 1, 3]], 1);
    let again = rig.newcomer(1, None);
    rig.register(&again)
        .expect("its controller has not heard it");
    for index in 0..2 {
        let partition = rig.partition("t", index);
        assert_eq!(partition.leader, Some(id(2)));
        assert!(!partition.isr.contains(&id(1)));
    }
    assert_eq!(rig.partition("t", 0).leader_epoch.0, 1);
    assert_eq!(rig.partition("t", 1).leader_epoch.0, 0);
}

#[test]
fn kip_966_a_broker_with_whole_logs_stays_eligible_and_another_does_not() {
    for whole in [true, false] {
        let mut rig = Rig::with_brokers(3);
        rig.topic("t", &[&[1, 2, 3]], 2);
        rig.fence(3);
        rig.fence(2);
        rig.fence(1);
        let partition = rig.partition("t", 0);
        assert_eq!((partition.leader, partition.isr.len()), (None, 0));
        assert_eq!(partition.elr, ids(&[1, 2]));
        let mut again = rig.newcomer(2, None);
        if whole {
            again.previous_epoch = rig.epoch(2);
        }
        rig.register(&again).expect("it is fenced");
        rig.unfence(2);
        let partition = rig.partition("t", 0);
        assert_eq!(partition.leader, whole.then_some(id(2)));
        assert_eq!(partition.elr, ids(&[1]));
        assert_eq!(partition.recovery, LeaderRecovery::Recovered);
    }
}

#[test]
fn the_last_leader_leads_again_when_nobody_has_whole_logs_and_says_so() {
    let mut rig = Rig::with_brokers(2);
    rig.topic("t", &[&[1, 2]], 1);
    for broker in [2, 1] {
        let again = rig.newcomer(broker, None);
        rig.register(&again).expect("nobody was heard");
    }
    let partition = rig.partition("t", 0);
    assert_eq!((partition.leader, &partition.elr), (None, &Vec::new()));
    assert_eq!(partition.last_known_elr, ids(&[1]));
    rig.unfence(2);
    assert_eq!(rig.partition("t", 0).leader, None);
    rig.unfence(1);
    let partition = rig.partition("t", 0);
    assert_eq!(partition.leader, Some(id(1)));
    assert_eq!(partition.recovery, LeaderRecovery::Recovering);
    assert!(partition.last_known_elr.is_empty());
    rig.isr("t", 0, &[1])
        .expect("the leader says that it has recovered");
    assert_eq!(rig.partition("t", 0).recovery, LeaderRecovery::Recovered);
}

#[test]
fn a_controlled_shutdown_hands_over_first_and_ends_when_everybody_knows() {
    let mut rig = Rig::with_brokers(3);
    rig.topic("t", &[&[1, 2, 3]], 1);
    let mut sessions = Sessions::new(at(0), rig.image(), 700);
    for broker in 1..=3 {
        let heard = rig.beat(broker);
        beat(&mut rig, &mut sessions, at(0), &heard);
    }
    let stopping = |rig: &Rig| Heartbeat {
        want_shut_down: true,
        ..rig.beat(1)
    };
    let asked = stopping(&rig);
    let decided = beat(&mut rig, &mut sessions, at(1), &asked);
    assert!(decided.in_controlled_shutdown && !decided.is_fenced && !decided.should_shut_down);
    let partition = rig.partition("t", 0);
    assert_eq!(
        (partition.leader, partition.isr),
        (Some(id(2)), ids(&[2, 3]))
    );
    let asked = stopping(&rig);
    assert!(!beat(&mut rig, &mut sessions, at(2), &asked).should_shut_down);
    let known = rig.beat(2);
    beat(&mut rig, &mut sessions, at(3), &known);
    let asked = stopping(&rig);
    assert!(!beat(&mut rig, &mut sessions, at(4), &asked).should_shut_down);
    let known = rig.beat(3);
    beat(&mut rig, &mut sessions, at(5), &known);
    let asked = stopping(&rig);
    let decided = beat(&mut rig, &mut sessions, at(6), &asked);
    assert!(decided.should_shut_down && decided.is_fenced);
    assert!(rig.image().broker(id(1)).expect("still registered").fenced);
    let again = beat(&mut rig, &mut sessions, at(7), &asked);
    assert!(again.should_shut_down && again.records.is_empty());
}

#[test]
fn an_unregistered_broker_is_in_no_isr_and_no_elr() {
    let mut rig = Rig::with_brokers(3);
    rig.topic("t", &[&[1, 2, 3]], 2);
    rig.fence(3);
    rig.fence(2);
    for broker in [1, 2] {
        let records = unregister(rig.facts(), id(broker)).expect("registered");
        rig.apply(&records);
    }
    let partition = rig.partition("t", 0);
    assert!(partition.isr.is_empty() && partition.elr.is_empty());
    assert_eq!(partition.replicas.len(), 3);
    let twice = unregister(rig.facts(), id(1));
    assert_eq!(twice, Err(Refusal::BrokerIdNotRegistered(id(1))));
}

#[test]
fn registrations_have_limits() {
    let mut rig = Rig::with_brokers(100);
    let one_more = rig.newcomer(101, None);
    let refused = rig.register(&one_more);
    assert!(matches!(refused, Err(Refusal::InvalidRegistration(_))));
    let mut nameless = rig.newcomer(1, None);
    nameless.endpoints.clear();
    let refused = rig.register(&nameless);
    assert!(matches!(refused, Err(Refusal::InvalidRegistration(_))));
}

#[test]
fn new_partitions_are_led_by_who_lives() {
    let mut rig = Rig::with_brokers(3);
    rig.fence(1);
    rig.topic("t", &[&[1, 2, 3]], 1);
    let partition = rig.partition("t", 0);
    assert_eq!(
        (partition.leader, partition.isr),
        (Some(id(2)), ids(&[2, 3]))
    );
    let topic = NewTopic {
        name: "u".to_owned(),
        partitions: -1,
        replication_factor: -1,
        assignments: vec![(0, ids(&[1]))],
        ..NewTopic::default()
    };
    let refused = create_topic(rig.facts(), &topic, crate::ids::TopicId([8; 16]));
    assert!(matches!(refused, Err(Refusal::InvalidAssignment(_))));
}

/// Brokers of the model.
const BROKERS: i32 = 5;

/// Logs of one partition as far as it matters here: how many committed records each broker has.
struct Model {
    rig: Rig,
    random: SmallRng,
    /// By broker id − 1.
    has: Vec<u64>,
    committed: u64,
    leader: Option<Leader>,
    unclean: u32,
    clean_elections: u32,
    eligible_elections: u32,
}

/// What the leader knows, which may be long over.
struct Leader {
    id: BrokerId,
    partition: PartitionImage,
    min_insync: usize,
}

impl Model {
    fn new(seed: u64) -> Model {
        let mut random = SmallRng::seed_from_u64(seed);
        let mut rig = Rig::with_brokers(BROKERS);
        rig.topic("t", &[&[1, 2, 3]], random.random_range(1..=3));
        if random.random_bool(0.2) {
            rig.set_topic("t", "unclean.leader.election.enable", "true");
        }
        Model {
            rig,
            random,
            has: vec![0; 5],
            committed: 0,
            leader: None,
            unclean: 0,
            clean_elections: 0,
            eligible_elections: 0,
        }
    }

    fn log(&mut self, broker: BrokerId) -> &mut u64 {
        &mut self.has[usize::try_from(broker.0 - 1).expect("ids from 1")]
    }

    /// Applies a decision and looks at the election in it, if there is one.
    fn decide(&mut self, records: &[Record]) {
        let before = self.rig.partition("t", 0);
        self.rig.apply(records);
        let after = self.rig.partition("t", 0);
        assert!(after.leader_epoch >= before.leader_epoch, "E2");
        if after.leader != before.leader {
            assert!(after.leader_epoch > before.leader_epoch, "E1, E2");
        }
        let live = |broker: &BrokerId| self.rig.image().is_live(*broker);
        assert!(after.leader.iter().all(live), "E5: {after:?}");
        assert!(after.isr.iter().all(live), "E5: {after:?}");
        let Some(leader) = after.leader.filter(|_| after.leader != before.leader) else {
            return;
        };
        let says_unclean = |record: &Record| match record {
            Record::PartitionChange { change, .. } => {
                change.recovery == Some(LeaderRecovery::Recovering)
            }
            _ => false,
        };
        if records.iter().any(says_unclean) {
            self.unclean += 1;
            self.leader = None;
            self.committed = self.committed.min(*self.log(leader));
            let history = self.committed;
            for log in &mut self.has {
                *log = (*log).min(history);
            }
            return;
        }
        let has = *self.log(leader);
        assert_eq!(has, self.committed, "D1, E3: {before:?} became {after:?}");
        self.clean_elections += 1;
        self.eligible_elections += u32::from(before.elr.contains(&leader));
    }

    /// The leader learns what the controller has decided by now.
    fn learn(&mut self) {
        let partition = self.rig.partition("t", 0);
        let topic = self.rig.image().topic_named("t").expect("it was made");
        let facts = self.rig.facts();
        let min_insync = facts.settings.min_insync_replicas(facts.image, topic);
        self.leader = partition.leader.map(|id| Leader {
            id,
            partition,
            min_insync,
        });
    }

    /// Whether a broker can fetch from the leader: it lives and knows no later leader epoch.
    fn fetches(&self, broker: BrokerId, leader: &Leader) -> bool {
        let now = self.rig.partition("t", 0).leader_epoch;
        broker == leader.id
            || self.rig.image().is_live(broker) && now == leader.partition.leader_epoch
    }

    /// The leader commits a record, if as far as it knows it may: with enough in sync, once all have it.
    fn commit(&mut self) {
        let Some(leader) = &self.leader else {
            return;
        };
        let isr = leader.partition.isr.clone();
        let enough = leader.min_insync.min(leader.partition.replicas.len());
        if isr.len() < enough || !isr.iter().all(|broker| self.fetches(*broker, leader)) {
            return;
        }
        self.committed += 1;
        for broker in isr {
            *self.log(broker) = self.committed;
        }
    }

    fn change_isr(&mut self) {
        let Some(leader) = &self.leader else {
            return;
        };
        let (id, known) = (leader.id, leader.partition.clone());
        let mut isr = vec![id];
        for broker in &known.replicas {
            let joins = self.fetches(*broker, leader) && self.random.random_bool(0.7);
            let stays = self.random.random_bool(0.7);
            if *broker != id && (joins || known.isr.contains(broker)) && stays {
                isr.push(*broker);
            }
        }
        let numbers: Vec<i32> = isr.iter().map(|broker| broker.0).collect();
        let mut asked = self.rig.new_isr("t", 0, &numbers);
        asked.leader_epoch = known.leader_epoch;
        asked.partition_epoch = known.partition_epoch;
        let Ok(altered) = alter_partition(self.rig.facts(), id, &asked) else {
            return;
        };
        // Whoever joins has caught up with the leader.
        let has = *self.log(id);
        for broker in isr {
            *self.log(broker) = has;
        }
        match &mut self.leader {
            Some(leader) if !altered.new_leader => leader.partition = altered.partition.clone(),
            leader => *leader = None,
        }
        self.decide(&altered.records);
    }

    fn restart(&mut self, broker: i32) {
        let mut again = self.rig.newcomer(broker, None);
        let whole = self.random.random_bool(0.5);
        match whole {
            true => again.previous_epoch = self.rig.epoch(broker),
            false => {
                let log = self.log(id(broker));
                *log = log.saturating_sub(1);
            }
        }
        if self
            .leader
            .as_ref()
            .is_some_and(|leader| leader.id == id(broker))
        {
            self.leader = None;
        }
        let sessions = Sessions::new(Time(0), self.rig.image(), 1);
        let facts = self.rig.facts();
        let registered = register(facts, Time(0), &sessions, &again, self.rig.end);
        self.decide(&registered.expect("nobody was heard").records);
    }

    fn reassign(&mut self) {
        let count = self.random.random_range(1..=3);
        let first = self.random.random_range(0..BROKERS);
        let target: Vec<BrokerId> = (0..count).map(|i| id((first + i) % BROKERS + 1)).collect();
        let target = self.random.random_bool(0.8).then_some(target);
        let zero = PartitionIndex(0);
        if let Ok(records) = reassign(self.rig.facts(), "t", zero, target.as_deref(), true) {
            self.decide(&records);
        }
    }

    fn beat(&mut self, broker: i32) {
        let sessions = Sessions::new(Time(0), self.rig.image(), 1);
        let mut asked = self.rig.beat(broker);
        asked.want_shut_down = self.random.random_bool(0.1);
        let decided = heartbeat(self.rig.facts(), &sessions, &asked, self.rig.end);
        self.decide(&decided.expect("registered").records);
    }

    fn elect(&mut self) {
        let kind = match self.random.random_bool(0.05) {
            true => ElectionType::Unclean,
            false => ElectionType::Preferred,
        };
        if let Ok(records) = elect_leader(self.rig.facts(), "t", PartitionIndex(0), kind) {
            self.decide(&records);
        }
    }

    fn configure(&mut self) {
        let change = ConfigChange {
            name: "min.insync.replicas".to_owned(),
            op: ConfigOp::Set,
            value: Some(self.random.random_range(1..=3).to_string()),
        };
        let records = alter_topic(self.rig.facts(), "t", &[change]);
        self.decide(&records.expect("allowed"));
    }

    fn step(&mut self) {
        let broker = self.random.random_range(1..=BROKERS);
        match self.random.random_range(0..16) {
            0..=3 => self.commit(),
            4..=5 => self.change_isr(),
            6..=8 => self.learn(),
            9 => {
                let records = fence(self.rig.facts(), id(broker));
                self.decide(&records);
            }
            10..=11 => self.beat(broker),
            12 => self.restart(broker),
            13 => self.reassign(),
            14 => self.elect(),
            _ => self.configure(),
        }
    }
}

#[test]
fn d1_e1_e2_e3_e5_whoever_is_elected_cleanly_has_everything_committed() {
    let (mut clean, mut eligible, mut unclean, mut committed) = (0, 0, 0, 0);
    for seed in 0..400 {
        let mut model = Model::new(seed);
        for _ in 0..400 {
            model.step();
        }
        clean += model.clean_elections;
        eligible += model.eligible_elections;
        unclean += model.unclean;
        committed += model.committed;
    }
    assert!(
        clean > 1_000 && eligible > 100 && unclean > 50 && committed > 5_000,
        "{clean} {eligible} {unclean} {committed}"
    );
}
