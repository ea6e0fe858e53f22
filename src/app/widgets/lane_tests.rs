//! What the lanes draw for given partitions, zoom and detail.

use egui::{Rect, pos2};

use super::*;
use crate::ids::{BrokerId, LeaderEpoch};
use crate::inspect::{Cell, CellKind, ReplicaSnapshot, SegmentSnapshot};

fn metrics() -> Metrics {
    Metrics {
        label_width: 80.0,
        axis_height: 20.0,
        tick_apart: 80.0,
        end_margin: 100.0,
        row_least: 48.0,
        row_most: 140.0,
        cell: 9.0,
        cell_most: 40.0,
        cell_height: 28.0,
        cell_least: 2.0,
        cell_round: 5.0,
        cell_glyph: 7.0,
        bracket: 5.0,
        strip: 7.0,
        strip_pitch: 13.0,
        text_height: 14.0,
        mono_char: 6.6,
        bar_row: 16.0,
        bar_height: 8.0,
        heat: 14.0,
        heat_most: 18.0,
        gap: 4.0,
        line: 1.0,
        pixel: 1.0,
    }
}

fn partition(index: i32, start: i64, hw: i64, end: i64) -> PartitionSnapshot {
    PartitionSnapshot {
        index: PartitionIndex(index),
        leader: Some(BrokerId(1)),
        leader_epoch: LeaderEpoch(0),
        replicas: vec![ReplicaSnapshot::unknown(BrokerId(1))],
        isr: vec![BrokerId(1)],
        elr: Vec::new(),
        adding: Vec::new(),
        removing: Vec::new(),
        partition_epoch: 0,
        recovering: false,
        log_start: Offset(start),
        high_watermark: Offset(hw),
        last_stable: Offset(hw),
        log_end: Offset(end),
        bytes: 0,
        records_in: 0,
        bytes_in: 0,
        bytes_out: 0,
        max_timestamp_ms: -1,
        segments: vec![SegmentSnapshot {
            base_offset: Offset(start),
            end_offset: Offset(end),
            bytes: 0,
            index_entries: 0,
            index_bytes: 0,
            time_index_entries: 0,
            time_index_bytes: 0,
            max_timestamp_ms: -1,
            active: true,
        }],
        epochs: vec![(LeaderEpoch(0), Offset(start))],
        producers: 0,
        trouble: None,
    }
}

fn lane(index: i32, from: i64, to: i64) -> Lane {
    let cell = |offset: i64| Cell {
        offset: Offset(offset),
        key_hash: (offset % 5 != 0).then_some(offset as u32 % 7),
        bytes: 100,
        kind: match offset % 50 {
            7 => CellKind::Tombstone,
            8 => CellKind::Commit,
            9 => CellKind::Abort,
            _ => CellKind::Record,
        },
    };
    Lane {
        topic: "orders".into(),
        partition: PartitionIndex(index),
        from: Offset(from),
        to: Offset(to),
        cells: (from..to).map(cell).collect(),
        batches: (from..to)
            .step_by(10)
            .map(|first| (Offset(first), Offset((first + 10).min(to))))
            .collect(),
    }
}

fn screen() -> Rect {
    Rect::from_min_max(pos2(10.0, 50.0), pos2(990.0, 650.0))
}

fn plan_of(
    partitions: &[PartitionSnapshot],
    lanes: &[Lane],
    change: impl Fn(&mut Viewport, Bounds),
) -> (Plan, Viewport) {
    let m = metrics();
    let rows: Vec<Row<'_>> = partitions
        .iter()
        .map(|partition| Row {
            partition,
            lane: lanes.iter().find(|lane| lane.partition == partition.index),
            flags: &[],
            heat: 0.5,
        })
        .collect();
    let mut view = Viewport::following(m.cell);
    let bounds = bounds(partitions.iter(), view.align, screen().width(), &m);
    view.settle(bounds);
    change(&mut view, bounds);
    let canvas = Canvas {
        rect: screen(),
        rows: &rows,
        view: &view,
        scrolled: 0.0,
        selected: Some((PartitionIndex(0), Offset(990))),
        metrics: &m,
    };
    (plan(&canvas), view)
}

fn count(plan: &Plan, wanted: impl Fn(&Quad) -> bool) -> usize {
    plan.quads.iter().filter(|quad| wanted(quad)).count()
}

fn texts(plan: &Plan) -> Vec<&str> {
    plan.texts.iter().map(|text| text.text.as_str()).collect()
}

#[test]
fn detail_follows_the_number_of_rows() {
    for (rows, expected) in [
        (0, Detail::Cells),
        (12, Detail::Cells),
        (13, Detail::Bars),
        (200, Detail::Bars),
        (201, Detail::Heatmap),
    ] {
        assert_eq!(detail(rows), expected, "{rows}");
    }
}

#[test]
fn every_record_in_sight_is_one_cell_faded_above_the_watermark() {
    let (plan, view) = plan_of(
        &[partition(0, 0, 997, 1_000)],
        &[lane(0, 800, 1_000)],
        |_, _| {},
    );
    let (first, _) = view.visible(plan.lanes.width());
    let cells = count(&plan, |quad| {
        matches!(quad.ink, Ink::Key { .. } | Ink::Control { .. })
    });
    assert_eq!(cells as i64, 1_000 - first);
    let faded = |quad: &Quad| {
        matches!(
            quad.ink,
            Ink::Key {
                committed: false,
                ..
            }
        )
    };
    assert_eq!(count(&plan, faded), 3);
    assert_eq!(count(&plan, |quad| quad.ink == Ink::Watermark), 1);
    assert!(texts(&plan).contains(&"3 not committed yet"));
    assert!(plan.quads.iter().all(|quad| {
        plan.lanes
            .x_range()
            .expand(0.01)
            .contains(quad.rect.right())
    }));
}

#[test]
fn tombstones_and_control_records_have_their_own_signs() {
    let (plan, _) = plan_of(
        &[partition(0, 0, 1_000, 1_000)],
        &[lane(0, 950, 1_000)],
        |_, _| {},
    );
    assert_eq!(count(&plan, |quad| quad.form == Form::Struck), 1);
    assert_eq!(
        count(&plan, |quad| matches!(quad.ink, Ink::Control { .. })),
        2
    );
    assert!(texts(&plan).contains(&"C") && texts(&plan).contains(&"A"));
}

#[test]
fn what_the_picture_does_not_hold_is_a_band_and_never_a_cell() {
    let (plan, _) = plan_of(&[partition(0, 0, 1_000, 1_000)], &[], |_, _| {});
    assert_eq!(count(&plan, |quad| matches!(quad.ink, Ink::Key { .. })), 0);
    assert_eq!(count(&plan, |quad| quad.ink == Ink::Band), 1);
}

#[test]
fn zoomed_out_the_log_is_a_band_hatched_beyond_the_watermark() {
    let (plan, _) = plan_of(
        &[partition(0, 0, 90_000, 100_000)],
        &[lane(0, 99_000, 100_000)],
        |view, bounds| view.fit(bounds),
    );
    assert_eq!(count(&plan, |quad| matches!(quad.ink, Ink::Key { .. })), 0);
    assert_eq!(count(&plan, |quad| quad.form == Form::Hatched), 1);
}

#[test]
fn a_missing_offset_leaves_a_gap() {
    let mut compacted = lane(0, 950, 1_000);
    compacted.cells.retain(|cell| cell.offset.0 % 2 == 0);
    let (plan, _) = plan_of(&[partition(0, 0, 1_000, 1_000)], &[compacted], |_, _| {});
    let cells = count(&plan, |quad| {
        matches!(quad.ink, Ink::Key { .. } | Ink::Control { .. })
    });
    assert_eq!(cells, 25);
}

#[test]
fn segments_are_named_and_shortened_before_they_vanish() {
    let mut p = partition(0, 0, 1_000, 1_000);
    let mut sealed = p.segments[0].clone();
    sealed.end_offset = Offset(940);
    sealed.active = false;
    p.segments[0].base_offset = Offset(940);
    p.segments.insert(0, sealed);
    let (plan, _) = plan_of(&[p.clone()], &[], |_, _| {});
    assert!(texts(&plan).contains(&"00000000000000000000.log"));
    assert!(texts(&plan).contains(&"00000000000000000940.log active"));
    let (plan, _) = plan_of(&[p], &[], |view, bounds| {
        view.zoom(0.1, 900.0, bounds);
        view.settle(bounds);
    });
    assert!(
        texts(&plan).contains(&"940.log active"),
        "{:?}",
        texts(&plan)
    );
}

#[test]
fn thousands_of_segments_do_not_draw_thousands_of_brackets() {
    let mut p = partition(0, 0, 1_000_000, 1_000_000);
    let one = p.segments[0].clone();
    p.segments = (0..10_000)
        .map(|n| SegmentSnapshot {
            base_offset: Offset(n * 100),
            end_offset: Offset(n * 100 + 100),
            active: n == 9_999,
            ..one.clone()
        })
        .collect();
    let (plan, _) = plan_of(&[p], &[], |view, bounds| view.fit(bounds));
    assert!(count(&plan, |quad| quad.ink == Ink::Bracket) < 1_000);
}

#[test]
fn a_new_leader_epoch_is_an_edge_with_its_number() {
    let mut p = partition(0, 0, 1_000, 1_000);
    p.epochs.push((LeaderEpoch(4), Offset(960)));
    let (plan, _) = plan_of(&[p], &[], |_, _| {});
    assert_eq!(count(&plan, |quad| quad.ink == Ink::Epoch), 1);
    assert!(texts(&plan).contains(&"epoch 4"));
}

#[test]
fn a_log_out_of_sight_says_where_it_is() {
    let both = [partition(0, 0, 10, 10), partition(1, 0, 9_000, 9_000)];
    let (plan, _) = plan_of(&both, &[], |_, _| {});
    assert!(texts(&plan).contains(&"← log ends at 10"));
    let late = [
        partition(0, 5_000, 9_000, 9_000),
        partition(1, 0, 9_000, 9_000),
    ];
    let (plan, _) = plan_of(&late, &[], |view, bounds| view.show(100, bounds));
    assert!(texts(&plan).contains(&"log starts at 5,000 →"));
    let (plan, _) = plan_of(&[partition(0, 0, 0, 0)], &[], |_, _| {});
    assert!(texts(&plan).contains(&"no records yet"));
}

#[test]
fn fifty_partitions_are_bars_and_only_those_in_sight() {
    let many: Vec<_> = (0..50).map(|n| partition(n, 0, 900, 1_000)).collect();
    let (plan, _) = plan_of(&many, &[], |_, _| {});
    let bars = count(&plan, |quad| quad.form == Form::Hatched);
    assert!((35..=37).contains(&bars), "{bars}");
    assert_eq!(plan.content_height, 50.0 * 16.0);
}

#[test]
fn a_thousand_partitions_are_squares() {
    let many: Vec<_> = (0..1_000).map(|n| partition(n, 0, 900, 1_000)).collect();
    let (plan, view) = plan_of(&many, &[], |_, _| {});
    assert_eq!(count(&plan, |quad| matches!(quad.ink, Ink::Heat(_))), 1_000);
    let hit = plan.hit(&view, pos2(10.0 + 22.0 + 3.0, 53.0)).unwrap();
    assert!(plan.content_height <= screen().height());
    assert_eq!((hit.partition, hit.offset), (PartitionIndex(1), None));
}

#[test]
fn a_point_names_its_partition_and_offset() {
    let both = [partition(0, 0, 1_000, 1_000), partition(1, 0, 1_000, 1_000)];
    let (plan, view) = plan_of(&both, &[], |_, _| {});
    let x = plan.lanes.left() + view.x_of(971) + 4.0;
    let hit = plan.hit(&view, pos2(x, plan.lanes.top() + 150.0)).unwrap();
    assert_eq!(
        (hit.partition, hit.offset),
        (PartitionIndex(1), Some(Offset(971)))
    );
    assert!(
        !plan
            .hit(&view, pos2(x, plan.lanes.top() + 30.0))
            .unwrap()
            .segment
    );
    assert!(
        plan.hit(&view, pos2(x, plan.lanes.top() + 120.0))
            .unwrap()
            .segment
    );
    assert_eq!(plan.hit(&view, pos2(x, 5_000.0)), None);
    let label = plan
        .hit(&view, pos2(12.0, plan.lanes.top() + 30.0))
        .unwrap();
    assert_eq!(label.offset, None);
}

#[test]
fn aligned_at_their_ends_rows_of_unequal_length_end_in_one_column() {
    let both = [partition(0, 0, 10, 10), partition(1, 0, 9_000, 9_000)];
    let m = metrics();
    let mut view = Viewport::following(m.cell);
    view.align = Align::Ends;
    let b = bounds(both.iter(), view.align, screen().width(), &m);
    assert_eq!((b.first, b.end), (-9_000, 0));
    view.settle(b);
    assert_eq!(axis_label(Align::Ends, 0), "end");
    assert_eq!(axis_label(Align::Ends, -1_000), "−1,000");
    let focus = wanted("orders", both.iter(), &view, 900.0, &m).unwrap();
    assert_eq!(focus.ranges[0].1, Offset(0));
    assert!(focus.ranges[1].1 > Offset(8_800));
}

#[test]
fn logs_of_very_unequal_length_line_up_at_their_ends() {
    for (ends, expected) in [
        (&[1_000, 1_042][..], Align::Offsets),
        (&[1_000, 2_000], Align::Ends),
        (&[7], Align::Offsets),
        (&[], Align::Offsets),
    ] {
        let all: Vec<_> = ends.iter().map(|end| partition(0, 0, *end, *end)).collect();
        assert_eq!(natural_align(&all), expected, "{ends:?}");
    }
}

#[test]
fn requests_cover_what_is_seen_and_stay_within_the_limits() {
    for rows in [1, 3, 12] {
        let all: Vec<_> = (0..rows).map(|n| partition(n, 0, 90_000, 90_000)).collect();
        let m = metrics();
        let mut view = Viewport::following(m.cell_least);
        let b = bounds(all.iter(), view.align, screen().width(), &m);
        view.settle(b);
        for follow in [true, false] {
            view.follow = follow;
            let (first, _) = view.visible(b.width);
            let focus = wanted("orders", all.iter(), &view, b.width, &m).unwrap();
            let cells: u32 = focus.ranges.iter().map(|range| range.2).sum();
            assert!(cells <= PICTURE_CELLS, "{rows} rows: {cells}");
            for (_, from, count) in focus.ranges {
                assert!(count <= LANE_CELLS);
                assert!(from.0 <= first && from.0 + i64::from(count) >= 90_000);
            }
        }
    }
    assert_eq!(
        wanted(
            "orders",
            [partition(0, 0, 9, 9)].iter(),
            &Viewport::following(1.0),
            900.0,
            &metrics()
        ),
        None
    );
}

#[test]
fn the_text_alternative_names_every_fact_of_a_lane() {
    let text = describe("orders", &[partition(0, 5, 997, 1_000)]);
    assert!(text.contains("1 partition. Partition 0: offsets 5 to 1,000"));
    assert!(text.contains("high watermark 997, 1 segment."));
}
