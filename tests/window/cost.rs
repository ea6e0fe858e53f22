//! What a frame costs: ui, layout and tessellation, without the painting.
//!
//! Prints the figures; they are only judged when klar is optimised, as `make bench` does with
//! `cargo test --config profile.dev.package.klar.opt-level=3 --test window cost -- --nocapture`.

use std::time::{Duration, Instant};

use egui::{RawInput, Rect, vec2};
use klar::app::state::{GroupTab, Selection, UiState, ViewKey};
use klar::app::{App, theme};
use klar::ids::PartitionIndex;

use crate::fixture::{Fixture, NOW_MS, made};

/// What a frame may cost at its 99th percentile.
const LIMIT: Duration = Duration::from_millis(8);
/// Frames measured.
const FRAMES: usize = 300;
/// Milliseconds between two pictures while records arrive.
const PICTURE_MS: i64 = 33;

/// Costs of `FRAMES` frames with a new picture each, sorted.
fn measure(fixture: &Fixture, setup: impl FnOnce(&mut UiState)) -> Vec<Duration> {
    let ctx = egui::Context::default();
    theme::install(&ctx);
    let mut app = App::new(Box::new(fixture.clone()), None).with_still_clock();
    setup(app.state_mut());
    let start = NOW_MS - FRAMES as i64 * PICTURE_MS;
    let mut costs = Vec::new();
    for frame in 0..FRAMES as i64 {
        fixture.set_now_ms(start + frame * PICTURE_MS);
        // Making the picture is the source's cost, not the window's.
        klar::source::Source::latest(fixture);
        let input = RawInput {
            screen_rect: Some(Rect::from_min_size(egui::Pos2::ZERO, vec2(1440.0, 900.0))),
            time: Some(frame as f64 / 30.0),
            ..RawInput::default()
        };
        let begun = Instant::now();
        let mut output = ctx.run_ui(input, |ui| app.draw(ui));
        let shapes = std::mem::take(&mut output.shapes);
        let triangles = ctx.tessellate(shapes, output.pixels_per_point);
        costs.push(begun.elapsed());
        assert!(!triangles.is_empty());
        output.drop_without_applying_deltas();
    }
    // The first frames make the fonts.
    costs.drain(..5);
    costs.sort();
    costs
}

fn judge(name: &str, costs: &[Duration]) {
    let at = |share: f64| costs[((costs.len() - 1) as f64 * share) as usize];
    let (p50, p99) = (at(0.5), at(0.99));
    println!("frame cost, {name}: p50 {p50:.2?}, p99 {p99:.2?}");
    if !cfg!(debug_assertions) || std::env::var_os("KLAR_JUDGE_COST").is_some() {
        assert!(p99 <= LIMIT, "{name}: p99 {p99:?} is over {LIMIT:?}");
    }
}

#[test]
fn a_frame_while_100_000_records_a_second_arrive_on_50_partitions() {
    let fixture = Fixture::new(vec![made("load", 50, 20_000_000, 100_000.0)]);
    let costs = measure(&fixture, |state| state.open_topic("load"));
    judge("100,000 records/s on 50 partitions", &costs);
    let costs = measure(&fixture, |state| {
        state.open_topic("load");
        state.select(Selection::Partition("load".into(), PartitionIndex(7)));
    });
    judge("the same with a partition selected", &costs);
}

#[test]
fn a_frame_over_10_000_topics() {
    let topics = (0..10_000).map(|n| made(&format!("topic-{n:05}"), 1, 40, 1.0));
    let fixture = Fixture::new(topics.collect());
    // Building 10,000 topics is slow in the fixture, not in the window: one picture serves all.
    let fixture = fixture.frozen();
    let costs = measure(&fixture, |state| state.go_to(ViewKey::Topics));
    judge("10,000 topics", &costs);
    let costs = measure(&fixture, |state| state.go_to(ViewKey::Cluster));
    judge("10,000 topics in the cluster", &costs);
}

#[test]
fn a_frame_of_ten_brokers_with_hundreds_and_thousands_of_partitions() {
    let topics = || vec![made("load", 300, 1_000_000, 50_000.0)];
    let cluster = |state: &mut UiState| state.go_to(ViewKey::Cluster);
    let costs = measure(&crate::cluster::healthy(topics(), 10, 3), cluster);
    judge("10 brokers with 300 partitions", &costs);
    let many = crate::heatmap::thousands();
    let costs = measure(&many, cluster);
    judge("10 brokers with 3,000 partitions as a heatmap", &costs);
    let costs = measure(&many, |state| {
        cluster(state);
        state.select(Selection::Topic("events".into()));
    });
    judge("the same with a topic selected", &costs);
    let few = vec![made("load", 9, 1_000_000, 50_000.0)];
    let costs = measure(&crate::cluster::healthy(few, 3, 3), cluster);
    judge("3 brokers with 9 partitions as cells", &costs);
}

#[test]
fn a_frame_of_100_groups_that_read_100_partitions_each() {
    let fixture = crate::groups::many(100, 100, 8);
    let costs = measure(&fixture, |state| state.go_to(ViewKey::Groups));
    judge("100 groups of 100 partitions", &costs);
    for tab in [
        GroupTab::Assignment,
        GroupTab::Offsets,
        GroupTab::Rebalances,
    ] {
        let costs = measure(&fixture, |state| {
            state.open_group("group-042");
            state.group_tab = tab;
        });
        judge(&format!("one of them, {tab:?}"), &costs);
    }
}
