//! What a broker shows of itself, and what that costs.

use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;

use klar::ids::{Offset, PartitionIndex};
use klar::inspect::{CellKind, Focus, LaneFocus, RecordAnswer, RecordFocus, SegmentFocus};
use klar::wire::records::{BatchBuilder, BatchHeader, Codec, murmur2};

use crate::rig::{Rig, batch};

fn lanes(topic: &str, ranges: &[(i32, i64, u32)]) -> Focus {
    let range = |(p, from, count): &(i32, i64, u32)| (PartitionIndex(*p), Offset(*from), *count);
    Focus {
        lanes: vec![LaneFocus {
            topic: topic.to_owned(),
            ranges: ranges.iter().map(range).collect(),
        }],
        ..Focus::default()
    }
}

#[test]
fn what_did_not_change_is_the_same_allocation() {
    let mut rig = Rig::new();
    rig.create("a", 1, &[]);
    rig.create("b", 1, &[]);
    let first = rig.broker.picture(rig.now, &Focus::default());
    let second = rig.broker.picture(rig.now, &Focus::default());
    assert!(Arc::ptr_eq(&first.topics, &second.topics));
    assert!(Arc::ptr_eq(&first.broker, &second.broker));
    let changed = rig.broker.changed();
    rig.pass_ms(3_000);
    assert_eq!(rig.broker.changed(), changed, "nothing happened");
    rig.produce("b", 0, &["x"]);
    assert!(rig.broker.changed() > changed);
    let third = rig.broker.picture(rig.now, &Focus::default());
    assert!(Arc::ptr_eq(&second.topics[0], &third.topics[0]));
    assert!(!Arc::ptr_eq(&second.topics[1], &third.topics[1]));
    let partition = &third.topics[1].partitions[0];
    assert_eq!(
        (partition.records_in, partition.high_watermark),
        (1, Offset(1))
    );
    assert_eq!(third.totals.records_in, 1);
    assert_eq!(third.broker.log_bytes, partition.bytes);
    assert_eq!(partition.segments.len(), 1);
    assert!(third.connections.iter().any(|c| c.last_api == "Produce v9"));
}

#[test]
fn a_lane_has_a_cell_per_record_and_grows() {
    let mut rig = Rig::new();
    rig.create("t", 2, &[]);
    let mut builder = BatchBuilder::new();
    let time = rig.now.as_ms();
    builder.push(time, Some(b"k"), Some(b"value"), &[]);
    builder.push(time, Some(b"k"), None, &[]);
    builder.push(time, None, Some(b"v"), &[]);
    let connection = rig.connect();
    rig.produce_bytes(connection, "t", 1, builder.build().unwrap().into());
    let focus = lanes("t", &[(0, 0, 100), (1, 0, 100)]);
    let picture = rig.broker.picture(rig.now, &focus);
    assert!(picture.lanes[0].cells.is_empty());
    let lane = &picture.lanes[1];
    let kinds: Vec<CellKind> = lane.cells.iter().map(|c| c.kind).collect();
    assert_eq!(
        kinds,
        [CellKind::Record, CellKind::Tombstone, CellKind::Record]
    );
    assert_eq!(lane.cells[0].key_hash, Some(murmur2(b"k")));
    assert_eq!(lane.cells[2].key_hash, None);
    assert_eq!(lane.batches, [(Offset(0), Offset(3))]);
    assert_eq!((lane.from, lane.to), (Offset(0), Offset(3)));
    let again = rig.broker.picture(rig.now, &focus);
    assert!(Arc::ptr_eq(lane, &again.lanes[1]));
    rig.produce("t", 1, &["d", "e"]);
    let more = rig.broker.picture(rig.now, &focus);
    assert_eq!(more.lanes[1].cells.len(), 5);
    for (from, count, want) in [
        (1, 2, vec![1, 2]),
        (4, 10, vec![4]),
        (2, 2, vec![2, 3]),
        (9, 3, vec![]),
    ] {
        let picture = rig
            .broker
            .picture(rig.now, &lanes("t", &[(1, from, count)]));
        let offsets: Vec<i64> = picture.lanes[0].cells.iter().map(|c| c.offset.0).collect();
        assert_eq!(offsets, want, "from {from}, {count}");
    }
}

#[test]
fn a_record_is_shown_with_its_batch_and_an_absent_one_says_why() {
    let mut rig = Rig::new();
    rig.create("t", 4, &[]);
    rig.produce("t", 2, &["a", "b"]);
    rig.produce("t", 2, &["c"]);
    let mut look = |offset| {
        let focus = Focus {
            record: Some(RecordFocus {
                topic: "t".to_owned(),
                partition: PartitionIndex(2),
                offset: Offset(offset),
            }),
            ..Focus::default()
        };
        rig.broker.picture(rig.now, &focus).record.unwrap()
    };
    let RecordAnswer::Found(found) = &*look(2) else {
        panic!("it is there");
    };
    assert_eq!(found.value.as_deref(), Some(&b"c"[..]));
    assert!(found.batch.crc_ok && found.batch.position > 0);
    assert_eq!(found.batch.segment, "00000000000000000000.log");
    assert_eq!(
        (found.batch.base_offset, found.batch.records),
        (Offset(2), 1)
    );
    assert!(
        matches!(&*look(1), RecordAnswer::Found(found) if found.batch.base_offset == Offset(0))
    );
    for absent in [3, -1, i64::MAX, i64::MIN] {
        assert!(
            matches!(&*look(absent), RecordAnswer::Absent { .. }),
            "{absent}"
        );
    }
}

#[test]
fn a_segment_is_opened_up() {
    let mut rig = Rig::new();
    rig.create("t", 1, &[]);
    for _ in 0..20 {
        rig.produce("t", 0, &[&"x".repeat(1_000)]);
    }
    let mut look = |from| {
        let focus = Focus {
            segment: Some(SegmentFocus {
                topic: "t".to_owned(),
                partition: PartitionIndex(0),
                base_offset: Offset(0),
                from: Offset(from),
            }),
            ..Focus::default()
        };
        rig.broker.picture(rig.now, &focus).segment.unwrap()
    };
    let all = look(0);
    assert_eq!((all.batches.len(), all.more), (20, false));
    assert!(all.index.len() >= 3 && !all.time_index.is_empty());
    let (name, bytes) = &all.files[0];
    assert_eq!(name, "00000000000000000000.log");
    let last = all.batches.last().unwrap();
    assert_eq!(last.position + u64::from(last.bytes), *bytes);
    assert_eq!(look(15).batches.len(), 5);
    assert_eq!(look(i64::MAX).batches.len(), 0);
}

/// At 100,000 records/s over 50 partitions, a picture every 33 ms. The figure of an optimised build is
/// printed by `cargo test --release -- --nocapture pictures_are_cheap`; here only gross mistakes fail.
#[test]
fn pictures_are_cheap() {
    let mut rig = Rig::new();
    rig.create("t", 50, &[]);
    for other in 0..50 {
        rig.create(&format!("idle-{other}"), 20, &[]);
    }
    let values: Vec<String> = (0..66)
        .map(|n| format!("value {n} {}", "x".repeat(90)))
        .collect();
    let values: Vec<&str> = values.iter().map(String::as_str).collect();
    let records = batch(rig.now, &values);
    let connections: Vec<_> = (0..50).map(|_| rig.connect()).collect();
    let (mut spent, mut slowest) = (0, 0);
    const PICTURES: u128 = 60;
    for round in 0..PICTURES as i64 {
        for (partition, connection) in connections.iter().enumerate() {
            rig.produce_bytes(*connection, "t", partition as i32, records.clone());
        }
        let end = (round + 1) * 66;
        let ranges: Vec<(i32, i64, u32)> = (0..12).map(|p| (p, end - 1_000, 1_000)).collect();
        let focus = lanes("t", &ranges);
        let before = Instant::now();
        let picture = rig.broker.picture(rig.now, &focus);
        let took = before.elapsed().as_micros();
        assert_eq!(picture.lanes.len(), 12);
        spent += took;
        slowest = slowest.max(took);
    }
    let average = spent / PICTURES;
    println!("a picture costs {average} µs, the slowest {slowest} µs");
    assert!(average < 50_000, "{average} µs");
}

/// One record of `bytes` zeros, packed to almost nothing.
fn bomb(rig: &Rig, bytes: usize) -> Bytes {
    let mut builder = BatchBuilder::new().codec(Codec::Zstd);
    builder.push(rig.now.as_ms(), None, Some(&vec![0; bytes]), &[]);
    builder.build().unwrap().into()
}

#[test]
fn lanes_of_bombs_are_unpacked_a_few_per_picture_until_they_are_whole() {
    let mut rig = Rig::new();
    rig.create("t", 1, &[]);
    let connection = rig.connect();
    let bomb = bomb(&rig, 3 << 20);
    for _ in 0..10 {
        rig.produce_bytes(connection, "t", 0, bomb.clone());
    }
    let focus = lanes("t", &[(0, 0, 100)]);
    let mut seen = vec![0];
    while *seen.last().unwrap() < 10 {
        let changed = rig.broker.changed();
        let cells = rig.broker.picture(rig.now, &focus).lanes[0].cells.len();
        assert!(cells > *seen.last().unwrap(), "it goes on: {seen:?}");
        assert!(cells == 10 || rig.broker.changed() > changed);
        seen.push(cells);
    }
    assert_eq!(seen, [0, 3, 6, 9, 10]);
}

#[test]
fn a_segment_of_bombs_is_listed_without_unpacking_them_all() {
    let mut rig = Rig::new();
    rig.create("t", 1, &[]);
    let connection = rig.connect();
    let bomb = bomb(&rig, 3 << 20);
    for _ in 0..10 {
        rig.produce_bytes(connection, "t", 0, bomb.clone());
    }
    let focus = Focus {
        segment: Some(SegmentFocus {
            topic: "t".to_owned(),
            partition: PartitionIndex(0),
            base_offset: Offset(0),
            from: Offset(0),
        }),
        ..Focus::default()
    };
    let detail = rig.broker.picture(rig.now, &focus).segment.unwrap();
    let sizes: Vec<u64> = detail
        .batches
        .iter()
        .map(|b| b.uncompressed_bytes)
        .collect();
    assert_eq!(sizes.len(), 10);
    assert!(sizes[0] > 3 << 20);
    assert_eq!(sizes[1..].iter().sum::<u64>(), 0, "the budget is spent");
}

#[test]
fn a_record_that_does_not_unpack_is_tried_once_however_the_log_grows() {
    let mut rig = Rig::new();
    rig.create("t", 1, &[]);
    let connection = rig.connect();
    // The end of the packed records is missing.
    let mut wrong = bomb(&rig, 100_000).to_vec();
    wrong.truncate(wrong.len() - 4);
    let mut header = BatchHeader::parse(&bomb(&rig, 100_000)).unwrap();
    header.length = i32::try_from(wrong.len() - 12).unwrap();
    let head = header.to_bytes();
    let covered = crc32c::crc32c(&head[BatchHeader::CRC_COVERS_FROM..]);
    header.crc = crc32c::crc32c_append(covered, &wrong[BatchHeader::BYTES..]);
    wrong[..BatchHeader::BYTES].copy_from_slice(&header.to_bytes());
    assert_eq!(rig.produce_bytes(connection, "t", 0, wrong.into()), (0, 0));
    let look = |rig: &mut Rig, offset| {
        let focus = Focus {
            record: Some(RecordFocus {
                topic: "t".to_owned(),
                partition: PartitionIndex(0),
                offset: Offset(offset),
            }),
            ..Focus::default()
        };
        rig.broker.picture(rig.now, &focus).record.unwrap()
    };
    let first = look(&mut rig, 0);
    assert!(matches!(&*first, RecordAnswer::Absent { .. }));
    rig.produce("t", 0, &["more"]);
    assert!(Arc::ptr_eq(&first, &look(&mut rig, 0)));
    // What is not there yet is looked for as soon as the log grows.
    assert!(matches!(&*look(&mut rig, 2), RecordAnswer::Absent { .. }));
    rig.produce("t", 0, &["and more"]);
    assert!(matches!(&*look(&mut rig, 2), RecordAnswer::Found(_)));
}
