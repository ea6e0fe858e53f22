//! What a frame of the window costs: ui, layout and tessellation, without the raster.
//!
//! Prints a line per scene; `make frames` runs it optimised. The goal is 8 ms at the 99th percentile.

use std::time::Instant;

use egui::{Event, MouseWheelUnit, Pos2, RawInput, Rect, Vec2};
use klar::app::state::{BodyForm, Selection, TopicChoices, TopicTab, UiState, ViewKey};
use klar::app::{App, theme};
use klar::ids::{Offset, PartitionIndex};
use klar::inspect::RecordAnswer;
use klar::source::Source;

use crate::fixture::{Fixture, NOW_MS, made};

/// Frames measured, after those that fill caches.
const FRAMES: usize = 300;
const WARM_UP: usize = 20;
/// Milliseconds between two frames.
const FRAME_MS: i64 = 33;
const SIZE: Vec2 = Vec2::new(1440.0, 900.0);

/// Draws frames of a window whose pictures change every frame and whose wheel turns; prints what they
/// cost.
fn measure(name: &str, fixture: &Fixture, setup: impl FnOnce(&mut UiState)) {
    let mut app = App::new(Box::new(fixture.clone()), None).with_still_clock();
    setup(app.state_mut());
    let ctx = egui::Context::default();
    theme::install(&ctx);
    let mut costs = Vec::with_capacity(FRAMES);
    for frame in 0..WARM_UP + FRAMES {
        fixture.set_now_ms(NOW_MS + frame as i64 * FRAME_MS);
        // Making the picture is the source's work, done here before the clock runs.
        fixture.latest();
        let input = input(frame);
        let started = Instant::now();
        let output = ctx.run_ui(input, |ui| app.draw(ui));
        let mut textures = output.textures_delta;
        textures.clear();
        let primitives = ctx.tessellate(output.shapes, output.pixels_per_point);
        let cost = started.elapsed();
        assert!(!primitives.is_empty());
        if frame >= WARM_UP {
            costs.push(cost);
        }
    }
    costs.sort();
    let at = |share: f64| costs[((costs.len() - 1) as f64 * share) as usize];
    let (p50, p99) = (at(0.5), at(0.99));
    println!(
        "frame cost, {name}: p50 {:.2} ms, p99 {:.2} ms over {FRAMES} frames",
        p50.as_secs_f64() * 1e3,
        p99.as_secs_f64() * 1e3
    );
}

/// The pointer over the middle, its wheel turning now and then.
fn input(frame: usize) -> RawInput {
    let mut events = vec![Event::PointerMoved(Pos2::new(700.0, 400.0))];
    if frame.is_multiple_of(3) {
        let back = if (frame / 30).is_multiple_of(2) {
            -1.0
        } else {
            1.0
        };
        events.push(Event::MouseWheel {
            unit: MouseWheelUnit::Point,
            delta: Vec2::new(0.0, 60.0 * back),
            phase: egui::TouchPhase::Move,
            source: egui::MouseWheelSource::Wheel,
            modifiers: egui::Modifiers::NONE,
        });
    }
    RawInput {
        screen_rect: Some(Rect::from_min_size(Pos2::ZERO, SIZE)),
        time: Some(frame as f64 * FRAME_MS as f64 / 1e3),
        events,
        ..RawInput::default()
    }
}

fn at(topic: &'static str, tab: TopicTab) -> impl FnOnce(&mut UiState) {
    move |state| {
        state.open_topic(topic);
        let choices = TopicChoices {
            tab,
            ..TopicChoices::default()
        };
        state.set_choices(topic, choices);
    }
}

#[test]
#[ignore = "prints figures, which are not tests: make frames runs it optimised"]
fn frame_cost_while_100_000_records_a_second_arrive_on_50_partitions() {
    let busy = || Fixture::new(vec![made("orders", 50, 90_000, 100_000.0)]);
    measure(
        "100,000 records/s on 50 lanes",
        &busy(),
        at("orders", TopicTab::Log),
    );
    measure(
        "100,000 records/s, records",
        &busy(),
        at("orders", TopicTab::Records),
    );
    measure(
        "100,000 records/s, segments",
        &busy(),
        at("orders", TopicTab::Segments),
    );
    let few = Fixture::new(vec![made("orders", 12, 90_000, 100_000.0)]);
    measure(
        "100,000 records/s on 12 lanes of cells",
        &few,
        at("orders", TopicTab::Log),
    );
    let many = Fixture::new(vec![made("orders", 1_000, 900, 100_000.0)]);
    measure(
        "100,000 records/s on 1,000 squares",
        &many,
        at("orders", TopicTab::Log),
    );
}

#[test]
#[ignore = "prints figures, which are not tests: make frames runs it optimised"]
fn frame_cost_of_a_list_of_10_000_topics() {
    let topics = (0..10_000).map(|n| made(&format!("topic-{n:05}"), 3, n, 0.5));
    let fixture = Fixture::new(topics.collect());
    measure("10,000 topics", &fixture, |state| {
        state.go_to(ViewKey::Topics)
    });
    measure("10,000 topics in the cluster", &fixture, |_| {});
}

#[test]
#[ignore = "prints figures, which are not tests: make frames runs it optimised"]
fn frame_cost_of_the_cluster() {
    for (brokers, partitions) in [(3, 9), (3, 40), (10, 300), (10, 3_000)] {
        let load = vec![made("load", partitions, 1_000_000, 50_000.0)];
        let fixture = crate::cluster::healthy(load, brokers, 3);
        let name = format!("{brokers} brokers, {partitions} partitions, 50,000 records/s");
        measure(&name, &fixture, |state| state.go_to(ViewKey::Cluster));
    }
}

#[test]
#[ignore = "prints figures, which are not tests: make frames runs it optimised"]
fn frame_cost_of_a_record_of_one_mebibyte_on_one_line() {
    for (name, form, value) in [
        ("text", BodyForm::Text, "x".repeat(1024 * 1024)),
        ("hex", BodyForm::Hex, "x".repeat(1024 * 1024)),
        (
            "JSON",
            BodyForm::Json,
            format!("[{}1]", "123456789,".repeat(104_857)),
        ),
    ] {
        let fixture = Fixture::shop();
        fixture.edit(move |picture| {
            if let Some(record) = &mut picture.record
                && let RecordAnswer::Found(record) = std::sync::Arc::make_mut(record)
            {
                record.value_len = value.len() as u64;
                record.value = Some(value.clone().into_bytes());
            }
        });
        measure(&format!("1 MiB record as {name}"), &fixture, |state| {
            at("orders", TopicTab::Log)(state);
            state.remembered.body = form;
            state.select(Selection::Record(
                "orders".into(),
                PartitionIndex(1),
                Offset(900),
            ));
        });
    }
}
