//! A broker alone and its metadata snapshots: made, loaded, broken, and what is left of the log.

use std::path::Path;

use klar::inspect::{Durability, EventKind, Focus};
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

pub fn damage(disk: &mut MemoryDisk, path: &Path) {
    let bytes = disk.read_at(path, 200, 1).unwrap();
    disk.write_at(path, 200, &[!bytes[0]]).unwrap();
}

fn says_damaged(rig: &Rig, name: &str) -> bool {
    let end: i64 = name[..20].parse().unwrap();
    let mut events = rig.events.iter();
    events
        .any(|event| matches!(event, EventKind::SnapshotDamaged { offset, .. } if offset.0 == end))
}

#[test]
fn a_broken_snapshot_is_told_of_and_the_one_before_it_serves() {
    type Break = fn(&mut MemoryDisk, &Path);
    let breaks: [(Break, bool); 4] = [
        (damage, true),
        (|disk, path| disk.truncate(path, 700).unwrap(), true),
        (|disk, path| disk.truncate(path, 0).unwrap(), true),
        (|disk, path| disk.remove(path).unwrap(), false),
    ];
    for (spoil, told) in breaks {
        let mut rig = worn(Durability::Os);
        let before = topics(&mut rig);
        let kept = snapshots(&mut rig.disk);
        spoil(&mut rig.disk, &Path::new(DIR).join(&kept[1]));
        let mut rig = rig.restart(true);
        assert_eq!(topics(&mut rig), before);
        assert_eq!(says_damaged(&rig, &kept[1]), told);
        for n in 0..20 {
            rig.create(&format!("more-{n}"), 3, &[]);
        }
        let mut rig = rig.restart(false);
        assert_eq!(topics(&mut rig).len(), 51);
        let kept_now = snapshots(&mut rig.disk);
        assert!(!kept_now.contains(&kept[1]), "it is gone by and by");
    }
}

/// A crash in the middle of writing one: the file has not its name yet.
#[test]
fn an_unfinished_snapshot_is_removed_and_never_read() {
    let mut rig = worn(Durability::Os);
    let before = topics(&mut rig);
    let newest = snapshots(&mut rig.disk).pop().unwrap();
    let path = Path::new(DIR).join(&newest);
    let unfinished = Path::new(DIR).join("00000000000000009999-0000000000.checkpoint.tmp");
    let half = rig.disk.read_at(&path, 0, 600).unwrap();
    rig.disk.write_at(&unfinished, 0, &half).unwrap();
    let mut rig = rig.restart(false);
    assert_eq!(topics(&mut rig), before);
    assert!(rig.disk.len(&unfinished).is_err());
    assert_eq!(snapshots(&mut rig.disk).pop(), Some(newest));
}

/// Until then the snapshots before it and the log behind them are all there is after a power loss.
#[test]
fn the_log_is_cut_only_when_the_snapshot_is_synced() {
    let mut rig = worn(Durability::Os);
    let before = topics(&mut rig);
    let kept = snapshots(&mut rig.disk);
    let logs = files(&mut rig.disk, ".log");
    rig.auto_flush = false;
    let due = |rig: &Rig| {
        let mut syncs = rig.flushes.iter();
        let of = |files: &[std::path::PathBuf]| {
            let mut names = files.iter().map(|path| path.display().to_string());
            names.any(|name| name.ends_with(".checkpoint"))
        };
        syncs.find(|(_, files)| of(files)).map(|(token, _)| *token)
    };
    for n in 0.. {
        rig.create(&format!("more-{n}"), 3, &[]);
        if due(&rig).is_some() {
            break;
        }
        rig.flush(Ok(()));
    }
    assert_eq!(snapshots(&mut rig.disk).len(), 3);
    for seed in 0..40 {
        let disk = rig.disk.fork();
        disk.lose_power(seed);
        let mut after = rig.on(disk);
        let now = topics(&mut after);
        let lost = before.iter().find(|topic| !now.contains(topic));
        assert_eq!(lost, None, "seed {seed}");
    }
    // A sync that fails leaves nothing that reads well until the cache forgets it.
    let token = due(&rig).unwrap();
    let failed = Err("the disk is gone".to_owned());
    rig.broker.on_flushed(rig.now, token, failed);
    rig.settle();
    assert_eq!(snapshots(&mut rig.disk), kept);
    let logs_now = files(&mut rig.disk, ".log");
    assert!(logs.iter().all(|log| logs_now.contains(log)));
    // The next is one again.
    rig.flushes.retain(|(of, _)| *of != token);
    rig.auto_flush = true;
    rig.flush(Ok(()));
    for n in 0..40 {
        rig.create(&format!("again-{n}"), 3, &[]);
    }
    rig.pass_ms(3_000);
    assert!(snapshots(&mut rig.disk)[0] > kept[0]);
    let count = topics(&mut rig).len();
    assert_eq!(topics(&mut rig.restart(false)).len(), count);
}

#[test]
fn time_makes_a_snapshot_of_the_little_there_is() {
    let interval = "metadata.log.max.snapshot.interval.ms";
    let mut rig = Rig::with(Durability::Os, &[(interval, "60000")]);
    rig.create("a", 1, &[]);
    rig.pass_ms(59_000);
    assert_eq!(snapshots(&mut rig.disk).len(), 0);
    rig.pass_ms(2_000);
    let first = snapshots(&mut rig.disk);
    assert_eq!(first.len(), 1);
    rig.pass_ms(600_000);
    assert_eq!(snapshots(&mut rig.disk), first, "there is nothing new");
    rig.create("b", 1, &[]);
    rig.pass_ms(61_000);
    assert_eq!(snapshots(&mut rig.disk).len(), 2);
    let mut rig = rig.restart(false);
    assert_eq!(topics(&mut rig).len(), 2);

    let mut never = Rig::with(Durability::Os, &[(interval, "0")]);
    never.create("a", 1, &[]);
    never.pass_ms(10_000_000);
    assert_eq!(snapshots(&mut never.disk).len(), 0);
}

#[test]
fn a_picture_names_the_newest_snapshot_and_dump_says_whether_it_is_whole() {
    let mut rig = worn(Durability::Os);
    let newest = snapshots(&mut rig.disk).pop().unwrap();
    let quorum = rig.broker.picture(rig.now, &Focus::default()).quorum;
    let shown = quorum.snapshot.unwrap();
    assert_eq!(
        newest,
        format!(
            "{:020}-{:010}.checkpoint",
            shown.end_offset.0, shown.epoch.0
        )
    );
    assert!(quorum.log_start.0 > 0 && quorum.log_start <= shown.end_offset);

    let path = Path::new(DIR).join(&newest);
    let len = usize::try_from(rig.disk.len(&path).unwrap()).unwrap();
    let bytes = rig.disk.read_at(&path, 0, len).unwrap();
    let mut flipped = bytes.to_vec();
    flipped[200] ^= 1;
    let said = |bytes: &[u8]| {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join(&newest);
        std::fs::write(&file, bytes).unwrap();
        let mut text = Vec::new();
        klar::storage::dump(&file, &mut text).unwrap();
        String::from_utf8(text).unwrap()
    };
    let whole = said(&bytes);
    let title = format!(
        "metadata snapshot of all in front of offset {}, epoch {}, {len} bytes",
        shown.end_offset, shown.epoch
    );
    assert!(whole.starts_with(&title), "{whole}");
    assert!(whole.ends_with("whole, from header to footer\n"), "{whole}");
    let twice = [&bytes[..], &bytes[..]].concat();
    for spoilt in [&bytes[..len - 30], &bytes[..100], &[], &flipped, &twice] {
        let text = said(spoilt);
        assert!(text.ends_with("NOT WHOLE: it is never used\n"), "{text}");
    }
}

#[test]
#[should_panic(expected = "is damaged")]
fn a_broker_without_any_sound_snapshot_does_not_guess() {
    let mut rig = worn(Durability::Os);
    for name in snapshots(&mut rig.disk) {
        damage(&mut rig.disk, &Path::new(DIR).join(name));
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
