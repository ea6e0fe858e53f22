//! Named cases of elections, on a calm network.

use super::network::{Link, Network, Weather};
use crate::ids::{BrokerId, Time};
use crate::plants::{Plant, plant};
use crate::quorum::{Quorum, QuorumConfig, RoleName};

fn started(seed: u64, weather: Weather) -> Network {
    let mut network = Network::new(seed, weather);
    network.start_all();
    let took = network.run_until(1_000, Network::is_settled);
    assert!(took.is_some_and(|ms| ms < 400), "settled after {took:?}");
    network
}

#[test]
fn a_sole_voter_leads_at_once() {
    let mut network = Network::new(1, Weather::calm(1));
    network.start_all();
    assert_eq!(network.leaders(), [BrokerId(1)]);
    let took = network.run_until(100, Network::is_settled);
    assert!(took.is_some_and(|ms| ms < 10));
}

#[test]
fn a_leader_killed_is_replaced_in_a_quarter_of_a_second() {
    let mut times = Vec::new();
    for seed in 0..40 {
        let mut network = started(seed, Weather::calm(3));
        network.run_ms(1_000);
        let leader = network.leaders()[0];
        network.kill(leader, false);
        let took = network.run_until(2_000, Network::is_settled);
        times.push(took.expect("a new leader"));
        assert!(network.watch.violation.is_none());
    }
    times.sort();
    println!("failover after a kill, ms: {times:?}");
    assert!(times[20] < 150 && times[39] < 500, "{times:?}");
}

#[test]
fn a_leader_that_falls_silent_is_replaced_within_a_second() {
    let mut times = Vec::new();
    for seed in 0..20 {
        let mut network = started(seed, Weather::calm(3));
        let leader = network.leaders()[0];
        network.pause(leader);
        let new = |network: &Network| network.leaders().iter().any(|id| *id != leader);
        times.push(network.run_until(2_000, new).expect("a new leader"));
        network.resume(leader);
        assert!(network.run_until(1_000, Network::is_settled).is_some());
    }
    times.sort();
    assert!(times[10] < 700 && times[19] < 1_000, "{times:?}");
}

#[test]
fn a_leader_that_resigns_hands_over_at_once() {
    for seed in 0..20 {
        let mut network = started(seed, Weather::calm(3));
        let leader = network.leaders()[0];
        network.resign_leaders();
        let took = network.run_until(500, Network::is_settled);
        assert!(took.is_some_and(|ms| ms < 100), "{took:?}");
        assert_ne!(network.leaders(), [leader]);
    }
}

/// KIP-996: one that alone cannot hear the leader does not unseat it. True if the leader stays.
fn leader_stays_when_one_cannot_hear_it() -> bool {
    let mut network = started(7, Weather::calm(3));
    let leader = network.leaders()[0];
    let epoch = network.nodes[&leader].epoch();
    let deaf = network.ids().into_iter().find(|id| *id != leader).unwrap();
    for link in [Link::Cut, Link::Silent] {
        network.set_links(leader, deaf, link);
        network.run_ms(5_000);
        network.set_links(leader, deaf, Link::Open);
        network.run_ms(2_000);
    }
    network.leaders() == [leader] && network.nodes[&leader].epoch() == epoch
}

#[test]
fn one_that_cannot_hear_the_leader_does_not_unseat_it() {
    assert!(leader_stays_when_one_cannot_hear_it());
    let _planted = plant(Plant::IgnoresLeader);
    assert!(!leader_stays_when_one_cannot_hear_it());
}

#[test]
fn a_leader_without_its_majority_steps_down() {
    let mut network = started(3, Weather::calm(3));
    let leader = network.leaders()[0];
    for id in network.ids().into_iter().filter(|id| *id != leader) {
        network.set_links(leader, id, Link::Silent);
    }
    network.run_ms(700);
    assert!(!network.leaders().contains(&leader));
    assert_eq!(network.leaders().len(), 1);
}

#[test]
fn a_cluster_restarted_as_a_whole_comes_back() {
    let mut network = started(5, Weather::calm(5));
    let leader = network.leaders()[0];
    (0..20).for_each(|_| network.append(leader));
    network.run_ms(100);
    let before = network.nodes[&leader].disk.log.clone();
    for id in network.ids() {
        network.kill(id, true);
    }
    network.start_all();
    assert!(network.run_until(1_000, Network::is_settled).is_some());
    let leader = network.leaders()[0];
    assert!(network.nodes[&leader].disk.log.starts_with(&before));
}

#[test]
fn a_restarted_voter_joins_without_an_election() {
    let mut network = started(9, Weather::calm(3));
    let leader = network.leaders()[0];
    let epoch = network.nodes[&leader].epoch();
    let other = network.ids().into_iter().find(|id| *id != leader).unwrap();
    network.kill(other, true);
    network.run_ms(1_000);
    network.append(leader);
    network.start(other);
    let took = network.run_until(1_000, Network::is_settled);
    assert!(took.is_some_and(|ms| ms < 150), "{took:?}");
    assert_eq!(network.nodes[&leader].epoch(), epoch);
}

#[test]
fn observers_find_the_leader_and_never_vote() {
    let weather = Weather {
        observers: 2,
        ..Weather::calm(3)
    };
    let mut network = started(4, weather);
    network.run_ms(200);
    let voters = network.voters();
    let leader = network.leaders()[0];
    let now = network.now;
    let node = &network.nodes[&leader];
    let view = node.quorum.as_ref().unwrap().describe(now, &node.disk);
    assert_eq!((view.voters.len(), view.observers.len()), (3, 2));
    assert!(view.observers.iter().all(|o| o.last_caught_up.is_some()));
    // Two voters gone: the third and the observers elect nobody.
    for id in voters.iter().take(2) {
        network.kill(*id, false);
    }
    network.run_ms(3_000);
    assert!(network.leaders().is_empty());
}

#[test]
fn a_quorum_at_rest_says_little() {
    let mut network = started(6, Weather::calm(3));
    let before = network.sent;
    network.run_ms(10_000);
    // Two followers, one fetch each tenth of a second.
    assert!(network.sent - before < 250, "{}", network.sent - before);
}

#[test]
fn what_a_broker_knows_is_described() {
    let config = QuorumConfig::new(BrokerId(1), "klar", [BrokerId(1), BrokerId(2)].into());
    let quorum = Quorum::new(config, None, 1, Time(0));
    let view = quorum.describe(Time(0), &super::disk::Disk::of(&[1, 1]));
    assert_eq!(view.role, RoleName::Unattached);
    assert_eq!((view.leader, view.high_watermark), (None, None));
    assert_eq!(view.voters[0].log_end.map(|end| end.0), Some(2));
    assert_eq!(view.voters[1].log_end, None);
}
