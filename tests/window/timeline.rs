//! The Timeline view: what it can be narrowed to, and its way into a file.

use std::sync::Arc;
use std::time::{Duration, Instant};

use egui::{Key, Modifiers};
use egui_kittest::kittest::{NodeT as _, Queryable};
use klar::app::state::{Dialog, Selection, ViewKey};
use klar::ids::{BrokerId, PartitionIndex};
use klar::inspect::{ClusterSnapshot, Event, EventGroup, EventKind, EventSubject};
use klar::source::Source as _;

use crate::fixture::Fixture;
use crate::rig::{SIZES, Window, double_click, open, pictures};
use crate::three_brokers::{self, DEAD};

/// How long a small file may take to be written on a busy machine.
const WRITTEN_WITHIN: Duration = Duration::from_secs(20);

fn timeline(fixture: &Fixture) -> Window {
    open(fixture, SIZES[0], true, |state| {
        state.go_to(ViewKey::Timeline);
    })
}

/// Rows of the list whose sentence has this in it.
fn told(window: &Window, text: &str) -> usize {
    let rows = window.query_all_by_label_contains(text);
    let named =
        rows.filter(|row| row.accesskit_node().role() == egui::accesskit::Role::ListBoxOption);
    named.count()
}

#[test]
fn a_narrowed_timeline_in_every_theme_and_size() {
    pictures("timeline-narrowed", &three_brokers::shop(), |window| {
        let state = window.state_mut().state_mut();
        state.go_to(ViewKey::Timeline);
        state.timeline.groups = [
            EventGroup::Elections,
            EventGroup::Brokers,
            EventGroup::Faults,
        ]
        .into();
        state.timeline.about = Some(EventSubject::Broker(DEAD));
    });
}

#[test]
fn exporting_in_every_theme_and_size() {
    pictures("timeline-export", &three_brokers::shop(), |window| {
        let state = window.state_mut().state_mut();
        state.go_to(ViewKey::Timeline);
        state.timeline.groups = [EventGroup::Elections].into();
        state.dialog = Some(Dialog::ExportEvents);
        window.run();
        name_file(window, "/home/ada/klar-events-2026-11-21-221705.txt");
    });
}

/// Types over the proposed path.
fn name_file(window: &mut Window, path: &str) {
    window.get_by_label("File to write").focus();
    window.run();
    window.key_press_modifiers(Modifiers::COMMAND, Key::A);
    window.run();
    window.get_by_label("File to write").type_text(path);
    window.run();
}

#[test]
fn chips_narrow_to_kinds_and_all_is_shown_again() {
    let mut window = timeline(&three_brokers::shop());
    assert_eq!(told(&window, "is fenced, so it leads nothing"), 1);
    window.get_by_label("Elections, 2").click();
    window.run();
    assert_eq!(told(&window, "leads orders-1"), 1);
    assert_eq!(told(&window, "is fenced, so it leads nothing"), 0);
    // Counts stay those of all kinds, so that one sees what is left out.
    window.get_by_label("In-sync sets, 1").click();
    window.run();
    assert_eq!(told(&window, "the ISR shrank"), 1);
    assert_eq!(told(&window, "leads orders-1"), 1);
    window.get_by_label("show all").click();
    window.run();
    assert_eq!(told(&window, "is fenced, so it leads nothing"), 1);
}

#[test]
fn what_is_selected_is_told_of_with_a_key() {
    let mut window = open(&three_brokers::shop(), SIZES[0], true, |state| {
        state.select(Selection::Broker(BrokerId(3)));
    });
    window.key_press(Key::W);
    window.run();
    assert_eq!(window.state_mut().state_mut().view, ViewKey::Timeline);
    window.get_by_label("About broker 3");
    assert_eq!(told(&window, "leads orders-1"), 1);
    assert_eq!(told(&window, "Killed"), 0);
}

#[test]
fn what_is_shown_is_exported_to_a_file() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("events.jsonl");
    let mut window = timeline(&three_brokers::shop());
    window.get_by_label("Elections, 2").click();
    window.run();
    window.key_press_modifiers(Modifiers::COMMAND, Key::S);
    window.run();
    window.get_by_label("JSON lines").click();
    window.run();
    name_file(&mut window, path.to_str().unwrap());
    window.get_by_label("Export").click();
    wait_for(
        &mut window,
        &format!("2 events written to {}.", path.display()),
    );
    assert_eq!(window.state_mut().state_mut().dialog, None);
    let text = std::fs::read_to_string(&path).unwrap();
    for line in text.lines() {
        let event: Event = serde_json::from_str(line).unwrap();
        assert_eq!(event.kind.group(), EventGroup::Elections);
    }
}

#[test]
fn a_file_that_cannot_be_written_is_named_with_the_cause() {
    let mut window = timeline(&three_brokers::shop());
    window.get_by_label("Export…").click();
    window.run();
    name_file(&mut window, "/no/such/place/events.txt");
    window.get_by_label("Export").click();
    wait_for(
        &mut window,
        "/no/such/place/events.txt: No such file or directory",
    );
    assert_eq!(
        window.state_mut().state_mut().dialog,
        Some(Dialog::ExportEvents)
    );
}

fn wait_for(window: &mut Window, text: &str) {
    let began = Instant::now();
    loop {
        window.run();
        if window.query_by_label_contains(text).is_some() {
            return;
        }
        assert!(began.elapsed() < WRITTEN_WITHIN, "never said: {text}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn a_double_click_selects_what_an_event_is_about() {
    let fixture = three_brokers::shop();
    for (said, selected) in [
        ("Killed, its connections reset", Selection::Broker(DEAD)),
        (
            "Nothing reaches broker 3 from here",
            Selection::Link(BrokerId(1), BrokerId(3)),
        ),
        (
            "Broker 3 leads orders-1 with epoch 5",
            Selection::Partition("orders".into(), PartitionIndex(1)),
        ),
    ] {
        let mut window = timeline(&with_a_cut(&fixture));
        let name = format!(": {said}");
        let row = window.get_by_label_contains(&name).rect();
        double_click(&mut window, row.center());
        assert_eq!(window.state_mut().state_mut().selection, selected);
    }
}

/// The same, and the link from broker 1 to broker 3 was cut.
fn with_a_cut(fixture: &Fixture) -> Fixture {
    let base = fixture.latest();
    let with = Fixture::fresh();
    with.edit(move |picture| {
        *picture = ClusterSnapshot::clone(&base);
        picture.event_number += 1;
        picture.events.push(Arc::new(Event {
            number: picture.event_number,
            time: picture.time,
            broker: Some(BrokerId(1)),
            kind: EventKind::LinkCut {
                to: BrokerId(3),
                cause: "somebody asked for it".into(),
            },
        }));
    });
    with
}
