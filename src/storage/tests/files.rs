//! The files around the records: damaged ones are rebuilt, newer ones refused, locks kept.

use std::collections::BTreeMap;

use super::support::*;
use crate::ids::{BrokerId, Offset};
use crate::storage::{
    BrokerDir, DirLock, Disk, Identity, Log, LogState, MemoryDisk, Opening, StorageError, dump,
};

/// Endings of the small files of a log.
const SMALL_FILES: [&str; 5] = [
    "index",
    "timeindex",
    "snapshot",
    "leader-epoch",
    "log-start",
];

fn is_small(path: &std::path::Path) -> bool {
    let path = path.to_string_lossy();
    SMALL_FILES.iter().any(|part| path.contains(part))
}

#[test]
fn every_flipped_byte_in_an_index_snapshot_or_checkpoint_is_made_good() {
    let (mut disk, mut log, stored) = filled(cold(), 12);
    log.append(&mut disk, NOW, produced(1, 4, 0, 0), EPOCH)
        .unwrap();
    log.set_log_start(&mut disk, Offset(4)).unwrap();
    let state = log.close_clean(&mut disk).unwrap();
    for path in disk.paths().into_iter().filter(|path| is_small(path)) {
        let len = disk.len(&path).unwrap() as usize;
        for byte in 0..len {
            let mut disk = disk.fork();
            let mut file = get_file(&mut disk, &path);
            file[byte] ^= 0x40;
            put_file(&mut disk, &path, &file);
            for opening in [Opening::Clean(Box::new(state.clone())), unclean(37)] {
                let mut disk = disk.fork();
                let (mut log, recovered) = open(&mut disk, cold(), opening);
                let what = format!("byte {byte} of {}", path.display());
                assert_eq!(recovered.cut_bytes, 0, "{what}");
                assert_eq!(recovered.damages.len(), 0, "{what}");
                let found = read_all(&mut disk, &mut log, Offset(4));
                assert_eq!(found[..11], stored[1..], "{what}");
                let found = log
                    .offset_for_time(&mut disk, 5001, Offset(37), &mut Default::default())
                    .unwrap();
                assert_eq!(found.unwrap().offset, Offset(16), "{what}");
                let again = log
                    .append(&mut disk, NOW, produced(1, 4, 0, 0), EPOCH)
                    .unwrap();
                assert!(again.duplicate, "{what}");
            }
        }
    }
}

#[test]
fn a_file_of_a_newer_version_is_refused_and_left_untouched() {
    let (mut disk, mut log, _) = filled(cold(), 12);
    log.append(&mut disk, NOW, produced(1, 4, 0, 0), EPOCH)
        .unwrap();
    log.set_log_start(&mut disk, Offset(4)).unwrap();
    log.close_clean(&mut disk).unwrap();
    let mut seen = 0;
    for path in disk.paths().into_iter().filter(|path| is_small(path)) {
        let mut disk = disk.fork();
        let mut file = get_file(&mut disk, &path);
        let ending = path.extension().and_then(|e| e.to_str());
        let at = match ending {
            Some("index" | "timeindex") => file.len() - 8,
            _ => 8,
        };
        file[at..at + 4].copy_from_slice(&2u32.to_be_bytes());
        let end = file.len() - 4;
        let checksum = crc32fast::hash(&file[..end]);
        file[end..].copy_from_slice(&checksum.to_be_bytes());
        put_file(&mut disk, &path, &file);
        let before: Vec<_> = disk.paths();
        let config = std::sync::Arc::new(cold());
        let error = Log::open(&mut disk, &dir(), config, NOW, unclean(0)).unwrap_err();
        assert!(
            matches!(error, StorageError::UnknownVersion { found: 2, .. }),
            "{error}"
        );
        assert_eq!(get_file(&mut disk, &path), file);
        assert_eq!(disk.paths(), before);
        seen += 1;
    }
    assert!(seen > 6);
}

#[test]
fn a_clean_stop_is_believed_once() {
    let root = std::path::Path::new("/klar");
    let mut disk = MemoryDisk::new();
    let (mut home, mut last) = BrokerDir::open(&mut disk, root, BrokerId(1)).unwrap();
    assert!(!last.clean);
    assert_eq!(last.opening("t-0"), unclean(0));
    let (mut log, _) = open(&mut disk, cold(), last.opening("t-0"));
    assert_eq!(home.log_dir("t-0"), dir());
    log.append(&mut disk, NOW, batch(3, b"x", 0), EPOCH)
        .unwrap();
    let state = log.close_clean(&mut disk).unwrap();
    let states = BTreeMap::from([("t-0".to_owned(), state.clone())]);
    home.write_clean_stop(&mut disk, &states).unwrap();

    let (home, mut last) = BrokerDir::open(&mut disk, root, BrokerId(1)).unwrap();
    assert!(last.clean);
    assert_eq!(last.opening("t-0"), Opening::Clean(Box::new(state)));
    assert_eq!(home.log_names(&mut disk).unwrap(), ["t-0"]);

    let (_, mut last) = BrokerDir::open(&mut disk, root, BrokerId(1)).unwrap();
    assert!(!last.clean);
    assert_eq!(last.opening("t-0"), unclean(3));

    let path = root.join("broker-1/recovery-point-offset-checkpoint");
    put_file(&mut disk, &path, b"damaged");
    let (_, mut last) = BrokerDir::open(&mut disk, root, BrokerId(1)).unwrap();
    assert_eq!(last.opening("t-0"), Opening::Unknown);
}

#[test]
fn a_directory_is_one_programs_and_keeps_its_cluster_id() {
    let temp = tempfile::tempdir().unwrap();
    let lock = DirLock::take(temp.path()).unwrap();
    let error = DirLock::take(temp.path()).unwrap_err();
    assert!(matches!(error, StorageError::Locked { .. }));
    assert!(error.to_string().ends_with("is in use by another klar"));
    drop(lock);
    DirLock::take(temp.path()).unwrap();

    let mut disk = crate::storage::RealDisk::new();
    for _ in 0..2 {
        let identity =
            Identity::load_or_create(&mut disk, temp.path(), || "first".to_owned()).unwrap();
        assert_eq!(identity.cluster_id, "first");
    }
    put_file(
        &mut disk,
        &temp.path().join("meta"),
        b"KLARMETA but damaged",
    );
    let error = Identity::load_or_create(&mut disk, temp.path(), || "x".to_owned()).unwrap_err();
    assert!(matches!(error, StorageError::Damaged { .. }));
}

#[test]
fn everything_klar_writes_can_be_dumped() {
    let temp = tempfile::tempdir().unwrap();
    let mut disk = crate::storage::RealDisk::new();
    Identity::load_or_create(&mut disk, temp.path(), || "the-id".to_owned()).unwrap();
    let (mut home, _) = BrokerDir::open(&mut disk, temp.path(), BrokerId(1)).unwrap();
    let config = std::sync::Arc::new(cold());
    let log_dir = home.log_dir("t-0");
    let (mut log, _) = Log::open(&mut disk, &log_dir, config, NOW, unclean(0)).unwrap();
    for n in 0..20 {
        log.append(&mut disk, NOW, produced(2, 7, 0, 2 * n), EPOCH)
            .unwrap();
    }
    log.set_log_start(&mut disk, Offset(1)).unwrap();
    let state = log.close_clean(&mut disk).unwrap();
    let states = BTreeMap::from([("t-0".to_owned(), state)]);
    home.write_clean_stop(&mut disk, &states).unwrap();

    let mut text = Vec::new();
    for dir in [temp.path(), &temp.path().join("broker-1"), &log_dir] {
        for entry in disk.list(dir).unwrap().iter().filter(|e| !e.is_dir) {
            dump(&dir.join(&entry.name), &mut text).unwrap();
        }
    }
    let text = String::from_utf8(text).unwrap();
    for part in [
        "cluster the-id",
        "clean stop, 1 logs",
        "t-0: synced in front of offset 40",
        "segment from offset 0,",
        "producer 7 epoch 0 sequence 0",
        "offset index,",
        "time index,",
        "epoch 3 from offset 0",
        "log start offset 1",
        "producer snapshot, 1 producers",
        "crc",
    ] {
        assert!(text.contains(part), "{part} in\n{text}");
    }
    std::fs::write(temp.path().join("other"), "x").unwrap();
    assert!(dump(&temp.path().join("other"), &mut Vec::new()).is_err());
}

#[test]
fn storage_md_names_every_file_and_magic() {
    let text = include_str!("../../../STORAGE.md");
    for part in [
        "KLAREPOC",
        "KLARLOGS",
        "KLARPART",
        "KLARPROD",
        "KLARRECO",
        "KLARSTOP",
        "KLARMETA",
        "KLARINDX",
        "KLARTIME",
        "leader-epoch-checkpoint",
        "log-start-offset-checkpoint",
        "partition.metadata",
        "recovery-point-offset-checkpoint",
        "clean-stop",
        "meta",
        ".lock",
        ".snapshot",
        ".timeindex",
        ".deleted/",
        ".tmp",
    ] {
        assert!(text.contains(part), "{part}");
    }
}

/// Found by fuzzing: a right checksum over a log end that cannot be.
#[test]
fn a_clean_stop_that_cannot_be_is_taken_for_none() {
    let (mut disk, mut log, _) = filled(cold(), 12);
    let state = log.close_clean(&mut disk).unwrap();
    let possible = |change: fn(&mut LogState)| {
        let mut state = state.clone();
        change(&mut state);
        let mut disk = MemoryDisk::new();
        let open =
            |disk: &mut MemoryDisk| BrokerDir::open(disk, "/k".as_ref(), BrokerId(1)).unwrap();
        let (mut dir, _) = open(&mut disk);
        dir.write_clean_stop(&mut disk, &[("t-0".to_owned(), state)].into())
            .unwrap();
        let mut opening = open(&mut disk).1;
        matches!(opening.opening("t-0"), Opening::Clean(_))
    };
    assert!(possible(|_| {}));
    assert!(!possible(|state| state.recovery_point = Offset(1 << 40)));
    assert!(!possible(|state| state.log_start = Offset(-1)));
    assert!(!possible(|state| state.segments.clear()));
    assert!(!possible(|state| state.segments.reverse()));
}

#[test]
fn a_log_the_checkpoint_does_not_name_is_newer_than_it() {
    let mut disk = MemoryDisk::new();
    let open = |disk: &mut MemoryDisk| BrokerDir::open(disk, "/k".as_ref(), BrokerId(1)).unwrap();
    let (mut dir, mut last) = open(&mut disk);
    assert_eq!(last.opening("t-0"), unclean(0), "a new broker");
    let points = [("u-0", Offset(7)), ("v-0", Offset::NONE)].map(|(n, p)| (n.to_owned(), p));
    dir.write_recovery_points(&mut disk, &points.into())
        .unwrap();
    let (mut dir, mut last) = open(&mut disk);
    assert_eq!(last.unopened().count(), 2);
    assert_eq!(last.opening("u-0"), unclean(7));
    assert_eq!(last.opening("v-0"), Opening::Unknown, "it was not known");
    assert_eq!(last.opening("t-0"), unclean(0), "it is new");
    assert_eq!(last.unopened().count(), 0);

    dir.lower_recovery_point(&mut disk, "u-0", Offset(3))
        .unwrap();
    dir.lower_recovery_point(&mut disk, "u-0", Offset(5))
        .unwrap();
    let (_, mut last) = open(&mut disk);
    assert_eq!(last.opening("u-0"), unclean(3), "it was cut");
    assert_eq!(last.opening("v-0"), Opening::Unknown);
}

#[test]
fn a_checkpoint_counts_once_it_is_synced_and_in_place() {
    let mut disk = MemoryDisk::new();
    let open = |disk: &mut MemoryDisk| BrokerDir::open(disk, "/k".as_ref(), BrokerId(1)).unwrap();
    let point_of = |disk: &mut MemoryDisk| open(&mut disk.fork()).1.opening("t-0");
    let points = |point| BTreeMap::from([("t-0".to_owned(), Offset(point))]);
    let (mut dir, _) = open(&mut disk);
    dir.write_recovery_points(&mut disk, &points(4)).unwrap();
    dir.begin_recovery_points(&mut disk, points(9)).unwrap();
    assert_eq!(point_of(&mut disk), unclean(4), "under way");
    dir.finish_recovery_points(&mut disk).unwrap();
    assert_eq!(point_of(&mut disk), unclean(9));
    // A cut meanwhile: what was begun is never put in place, whether the one before says too much or not.
    dir.begin_recovery_points(&mut disk, points(20)).unwrap();
    dir.lower_recovery_point(&mut disk, "t-0", Offset(15))
        .unwrap();
    dir.finish_recovery_points(&mut disk).unwrap();
    assert_eq!(point_of(&mut disk), unclean(9));
    dir.begin_recovery_points(&mut disk, points(20)).unwrap();
    dir.lower_recovery_point(&mut disk, "t-0", Offset(2))
        .unwrap();
    dir.finish_recovery_points(&mut disk).unwrap();
    assert_eq!(point_of(&mut disk), unclean(2));
}
