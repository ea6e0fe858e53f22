//! Copies that are damaged, or whose sync failed: given up where another broker has the records, and fetched again.

use std::path::Path;

use klar::ids::{BrokerId, Offset};
use klar::inspect::{Durability, EventKind};
use klar::storage::Disk as _;

use crate::cluster::Cluster;

const SEGMENT: &str = "orders-0/00000000000000000000.log";
/// CORRUPT_MESSAGE.
const CORRUPT: i16 = 2;

/// Five brokers, so that two may be dead, and a topic on some of them; its leader and its other replicas.
fn with_topic(factor: i16) -> (Cluster, BrokerId, Vec<BrokerId>) {
    let mut cluster = Cluster::new(5, Durability::Os);
    cluster.wait_until_whole();
    cluster.create(BrokerId(1), "orders", factor);
    let partition = cluster.partition(BrokerId(1), "orders").unwrap();
    let leader = BrokerId(partition.leader_id);
    let replicas = partition.replica_nodes.into_iter().map(BrokerId);
    let others = replicas.filter(|id| *id != leader).collect();
    (cluster, leader, others)
}

fn wait_for_isr(cluster: &mut Cluster, at: BrokerId, size: usize) {
    cluster.wait_for("the replicas are in sync", |cluster| {
        let partition = cluster.partition(at, "orders");
        partition.is_some_and(|p| p.isr_nodes.len() == size && p.leader_id >= 0)
    });
}

fn flip_a_byte(cluster: &Cluster, of: BrokerId, at: u64) {
    let mut disk = cluster.disk(of);
    let path = format!("/d/broker-{of}/{SEGMENT}");
    let byte = disk.read_at(Path::new(&path), at, 1).unwrap()[0];
    disk.write_at(Path::new(&path), at, &[byte ^ 4]).unwrap();
}

/// Where the broker's damaged copy went, if it gave one up.
fn renewed(cluster: &Cluster, by: BrokerId) -> Option<Option<String>> {
    let mut notes = cluster.notes.iter().rev();
    notes.find_map(|(of, note)| match note {
        EventKind::ReplicaRenewed { aside, .. } if *of == by => Some(aside.clone()),
        _ => None,
    })
}

fn held(cluster: &mut Cluster, by: BrokerId) -> (Offset, u64) {
    let topic = cluster.topic(by);
    (topic.partitions[0].log_end, topic.partitions[0].bytes)
}

#[test]
fn a_damaged_leader_serves_the_rest_until_another_has_the_records_and_then_fetches_all_again() {
    let (mut cluster, rotten, others) = with_topic(2);
    let whole = others[0];
    let asked = (1..=5)
        .map(BrokerId)
        .find(|id| *id != rotten && *id != whole);
    let asked = asked.unwrap();
    for n in 0..4 {
        assert_eq!(cluster.produce(rotten, "orders", &["a record"]), (0, n));
    }
    wait_for_isr(&mut cluster, asked, 2);
    cluster.stop(rotten);
    flip_a_byte(&cluster, rotten, 70);
    cluster.start(rotten);
    cluster.wait_for("the other one leads", |cluster| {
        cluster.leader(asked, "orders") == Some(whole)
    });
    wait_for_isr(&mut cluster, asked, 2);
    cluster.kill(whole);
    cluster.wait_for("the damaged one leads", |cluster| {
        cluster.leader(asked, "orders") == Some(rotten)
    });
    wait_for_isr(&mut cluster, asked, 1);
    cluster.wait_for("it serves, and not what is damaged", |cluster| {
        cluster.fetch(rotten, "orders").0 == CORRUPT
    });
    assert_eq!(cluster.produce(rotten, "orders", &["another"]), (0, 4));
    cluster.pass_ms(2_000);
    assert_eq!(cluster.leader(asked, "orders"), Some(rotten), "nobody else");
    assert_eq!(renewed(&cluster, rotten), None);

    cluster.start(whole);
    cluster.wait_for("who has the records leads", |cluster| {
        cluster.leader(asked, "orders") == Some(whole)
    });
    wait_for_isr(&mut cluster, asked, 2);
    let aside = renewed(&cluster, rotten).expect("it gave its copy up");
    let aside = aside.expect("its files are kept");
    let mut disk = cluster.disk(rotten);
    assert!(!disk.list(Path::new(&aside)).unwrap().is_empty(), "{aside}");
    let (error, high_watermark, _) = cluster.fetch(whole, "orders");
    assert_eq!((error, high_watermark), (0, 5));
    assert_eq!(held(&mut cluster, rotten), held(&mut cluster, whole));
    cluster.stop(whole);
    cluster.wait_for("what was fetched again serves", |cluster| {
        cluster.fetch(rotten, "orders").0 == 0
    });
    cluster.delete(asked, "orders");
    cluster.wait_for("nothing is left of a topic that is deleted", |_| {
        disk.list(Path::new(&aside)).is_err()
    });
}

#[test]
fn a_directory_that_was_deleted_is_fetched_again() {
    let (mut cluster, leader, others) = with_topic(3);
    assert_eq!(cluster.produce(leader, "orders", &["a", "b"]), (0, 0));
    wait_for_isr(&mut cluster, leader, 3);
    let robbed = others[0];
    cluster.stop(robbed);
    let dir = format!("/d/broker-{robbed}/orders-0");
    let mut disk = cluster.disk(robbed);
    disk.remove_dir_all(Path::new(&dir)).unwrap();
    cluster.start(robbed);
    cluster.wait_for("it begins anew", |cluster| {
        renewed(cluster, robbed).is_some()
    });
    wait_for_isr(&mut cluster, leader, 3);
    assert_eq!(held(&mut cluster, robbed), held(&mut cluster, leader));
}

#[test]
fn a_leader_whose_sync_failed_lets_another_lead_and_fetches_all_again() {
    let (mut cluster, leader, others) = with_topic(3);
    assert_eq!(cluster.produce(leader, "orders", &["a"]), (0, 0));
    wait_for_isr(&mut cluster, leader, 3);
    cluster.unsynced = Some((leader, "orders-0"));
    assert_eq!(cluster.produce(leader, "orders", &["b"]), (0, 1));
    cluster.wait_for("another one leads", |cluster| {
        let now = cluster.leader(others[0], "orders");
        now.is_some_and(|now| now != leader)
    });
    cluster.unsynced = None;
    cluster.wait_for("it begins anew", |cluster| {
        renewed(cluster, leader).is_some()
    });
    wait_for_isr(&mut cluster, others[0], 3);
    let next = cluster.leader(others[0], "orders").unwrap();
    assert_eq!(cluster.produce(next, "orders", &["c"]), (0, 2));
    assert_eq!(held(&mut cluster, leader), held(&mut cluster, next));
}
