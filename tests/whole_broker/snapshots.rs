//! A broker alone and its metadata snapshots: made, loaded, broken, and what is left of the log.

use std::path::Path;

use klar::inspect::{Durability, EventKind};
use klar::storage::{Disk, MemoryDisk};
use klar::wire::messages::metadata::{MetadataRequest, MetadataResponse};

use crate::rig::{Rig, ask};

const DIR: &str = "/d/broker-1/__cluster_metadata-0";
/// A few decisions make a snapshot.
const OFTEN: &[(&str, &str)] = &[("metadata.log.max.record.bytes.between.snapshots", "1500")];

fn files(disk: &mut MemoryDisk, ending: &str) -> Vec<String> {
    let entries = disk.list(Path::new(DIR)).unwrap();
    let names = entries.into_iter().map(|entry| entry.name);
    names.filter(|name| name.ends_with(ending)).collect()
}

fn snapshots(disk: &mut MemoryDisk) -> Vec<String> {
    files(disk, ".checkpoint")
}

fn topics(rig: &mut Rig) -> Vec<(String, usize)> {
    let connection = rig.connect();
    let request = MetadataRequest {
        topics: None,
        ..MetadataRequest::default()
    };
    let response = ask!(rig, connection, Metadata, 12, request, MetadataResponse);
    let topics = response.topics.into_iter();
    let mut known: Vec<(String, usize)> = topics
        .map(|topic| (topic.name.unwrap_or_default(), topic.partitions.len()))
        .collect();
    known.sort();
    known
}

/// A broker that made several snapshots, of topics that came and went, with a record in the first topic.
fn worn(durability: Durability) -> Rig {
    let mut rig = Rig::with(durability, OFTEN);
    rig.create("first", 2, &[("retention.ms", "-1")]);
    assert_eq!(rig.produce("first", 1, &["a", "b"]), (0, 0));
    for n in 0..60 {
        rig.create(&format!("topic-{n}"), 1 + n % 3, &[]);
        if n % 2 == 0 {
            rig.delete(&format!("topic-{n}"));
        }
    }
    rig.pass_ms(3_000);
    rig
}

#[test]
fn a_broker_starts_from_its_newest_snapshot_and_the_log_behind_it() {
    for (durability, clean) in [
        (Durability::Os, true),
        (Durability::Os, false),
        (Durability::Batch, false),
        (Durability::Memory, true),
    ] {
        let mut rig = worn(durability);
        let kept = snapshots(&mut rig.disk);
        assert_eq!(kept.len(), 2, "the two newest stay: {kept:?}");
        let logs = files(&mut rig.disk, ".log");
        assert!(logs[0] > format!("{:020}.log", 0), "{logs:?}");
        let deleted = |event: &EventKind| matches!(event, EventKind::SegmentsDeleted { topic, .. } if topic == "__cluster_metadata");
        assert!(rig.events.iter().any(deleted));
        let before = topics(&mut rig);
        assert_eq!(before.len(), 31);
        let mut rig = rig.restart(clean);
        assert_eq!(topics(&mut rig), before);
        assert_eq!(rig.fetch("first", 1, 0).1.len(), 2);
        let failed = |event: &EventKind| matches!(event, EventKind::StorageFailed { .. });
        assert!(!rig.events.iter().any(failed), "{:?}", rig.events);
        rig.create("last", 1, &[]);
        let mut rig = rig.restart(false);
        assert_eq!(topics(&mut rig).len(), 32);
    }
}

fn damage(disk: &mut MemoryDisk, name: &str) {
    let path = Path::new(DIR).join(name);
    let bytes = disk.read_at(&path, 200, 1).unwrap();
    disk.write_at(&path, 200, &[!bytes[0]]).unwrap();
}

#[test]
fn a_broken_snapshot_is_told_of_and_the_one_before_it_serves() {
    let mut rig = worn(Durability::Os);
    let before = topics(&mut rig);
    let kept = snapshots(&mut rig.disk);
    damage(&mut rig.disk, &kept[1]);
    let mut rig = rig.restart(true);
    assert_eq!(topics(&mut rig), before);
    let told = |event: &EventKind| matches!(event, EventKind::StorageFailed { path, .. } if path.ends_with(&kept[1]));
    assert!(rig.events.iter().any(told));
    for n in 0..20 {
        rig.create(&format!("more-{n}"), 3, &[]);
    }
    let mut rig = rig.restart(false);
    assert_eq!(topics(&mut rig).len(), 51);
    let kept_now = snapshots(&mut rig.disk);
    assert!(!kept_now.contains(&kept[1]), "it is gone by and by");
}

#[test]
#[should_panic(expected = "is damaged")]
fn a_broker_without_any_sound_snapshot_does_not_guess() {
    let mut rig = worn(Durability::Os);
    for name in snapshots(&mut rig.disk) {
        damage(&mut rig.disk, &name);
    }
    rig.restart(true);
}

/// The log behind a snapshot was lost with the power; the snapshot was not.
#[test]
fn a_log_that_ends_in_front_of_its_snapshot_goes_on_behind_it() {
    let mut rig = worn(Durability::Os);
    let before = topics(&mut rig);
    let newest = snapshots(&mut rig.disk).pop().unwrap();
    let end: i64 = newest[..20].parse().unwrap();
    for name in files(&mut rig.disk, ".log") {
        let base: i64 = name[..20].parse().unwrap();
        let path = Path::new(DIR).join(name);
        match base >= end {
            true => rig.disk.remove(&path).unwrap(),
            false => rig.disk.truncate(&path, 0).unwrap(),
        }
    }
    let mut rig = rig.restart(false);
    let now = topics(&mut rig);
    assert!(now.iter().all(|topic| before.contains(topic)));
    assert!(now.contains(&("first".to_owned(), 2)));
    rig.create("more", 1, &[]);
    let count = topics(&mut rig).len();
    let mut rig = rig.restart(false);
    assert_eq!(topics(&mut rig).len(), count);
}
