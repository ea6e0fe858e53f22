//! Time that is slowed or stands still: the top bar's control, its keys, and the line that says so.

use egui_kittest::kittest::Queryable;

use klar::ids::BrokerId;
use klar::inspect::{ClusterSnapshot, Command, HeldMessage, PaceSnapshot};
use klar::source::Source as _;

use crate::cluster::{healthy, orders, palette, show};
use crate::fixture::Fixture;
use crate::rig::{SIZES, open, pictures};

fn held() -> Vec<HeldMessage> {
    let fetch = |from, to, answer| HeldMessage {
        from: BrokerId(from),
        to: BrokerId(to),
        api: "Fetch v18".into(),
        answer,
    };
    vec![fetch(2, 1, false), fetch(1, 3, true)]
}

/// Three brokers whose time passes like this.
fn at_pace(pace: PaceSnapshot) -> Fixture {
    let base = healthy(orders(), 3, 3).latest();
    let fixture = Fixture::new(orders());
    fixture.edit(move |picture| {
        *picture = ClusterSnapshot {
            lanes: std::mem::take(&mut picture.lanes),
            pace: pace.clone(),
            ..(*base).clone()
        };
    });
    fixture
}

#[test]
fn pictures_of_time_that_stands_still() {
    let pace = PaceSnapshot {
        slowdown: 20,
        paused: true,
        behind_ms: 41_300,
        held: held(),
        ..PaceSnapshot::default()
    };
    pictures("cluster-paused", &at_pace(pace), show);
}

#[test]
fn whom_slow_time_leaves_out_is_said_before_there_is_no_room() {
    let pace = PaceSnapshot {
        slowdown: 20,
        paused: true,
        held: held(),
        ..PaceSnapshot::default()
    };
    let picture = at_pace(pace).latest();
    let (_, [full, shorter]) = klar::app::pace::words(&picture).unwrap();
    assert_eq!(
        full,
        "2 messages wait, next: Fetch v18 from broker 2 to broker 1 · 2 foreign clients keep real time and may give up \
         waiting"
    );
    assert_eq!(
        shorter,
        "2 messages wait · 2 foreign clients keep real time"
    );
}

#[test]
fn time_is_paused_slowed_and_replication_frozen_by_mouse_key_and_palette() {
    let fixture = at_pace(PaceSnapshot::default());
    let mut window = open(&fixture, SIZES[0], true, |_| {});
    show(&mut window);
    window.get_by_label("Pause time").click();
    window.run();
    for key in [
        egui::Key::Space,
        egui::Key::OpenBracket,
        // Nothing waits and time passes: there is nothing to step, and nothing faster.
        egui::Key::Period,
        egui::Key::CloseBracket,
    ] {
        window.key_press(key);
        window.run();
    }
    palette(&mut window, "freeze replication");
    let expected = [
        Command::PauseTime,
        Command::PauseTime,
        Command::SlowTime { times: 2 },
        Command::FreezeReplication,
    ];
    assert_eq!(fixture.commands(), expected);
}

#[test]
fn what_holds_is_said_in_every_view_with_its_way_back() {
    let pace = PaceSnapshot {
        slowdown: 100,
        paused: true,
        replication_frozen: true,
        held: held(),
        ..PaceSnapshot::default()
    };
    let fixture = at_pace(pace);
    let mut window = open(&fixture, SIZES[1], true, |_| {});
    window.get_by_label_contains("2 messages wait, next: Fetch v18 from broker 2");
    window
        .get_by_label("Step one message between brokers")
        .click();
    window.run();
    for way in ["Undo: Go on", "Undo: Full speed", "Undo: Thaw replication"] {
        window.get_by_label(way).click();
        window.run();
    }
    window.key_press(egui::Key::Space);
    window.run();
    let expected = [
        Command::Step,
        Command::ResumeTime,
        Command::SlowTime { times: 1 },
        Command::ThawReplication,
        Command::ResumeTime,
    ];
    assert_eq!(fixture.commands(), expected);
}
