//! The produce panel and the dialogs that create and change topics.

use egui::Key;
use egui_kittest::kittest::Queryable;
use klar::app::panels::produce_form::{Encoding, Mode};
use klar::app::state::Dialog;
use klar::inspect::Command;

use crate::fixture::Fixture;
use crate::rig::{SIZES, open, pictures};

#[test]
fn produce_panel_in_every_theme_and_size() {
    pictures("produce", &Fixture::shop(), |window| {
        let state = window.state_mut().state_mut();
        state.open_topic("orders");
        state.open_produce_panel();
        state.produce.key.text = "bike-17".into();
        state.produce.value.text = "{\n  \"order\": 80118,\n  \"sku\": \"bike-17\"\n}".into();
    });
}

#[test]
fn producing_at_a_rate_in_every_theme_and_size() {
    pictures("produce-rate", &Fixture::shop(), |window| {
        let state = window.state_mut().state_mut();
        state.open_topic("orders");
        state.open_produce_panel();
        state.produce.mode = Mode::AtRate;
        window.run();
        window.get_by_label("Orders").click();
    });
}

#[test]
fn create_topic_in_every_theme_and_size() {
    pictures("create-topic", &Fixture::shop(), |window| {
        window.state_mut().state_mut().dialog = Some(Dialog::CreateTopic);
    });
}

#[test]
fn topic_settings_in_every_theme_and_size() {
    pictures("topic-settings", &Fixture::shop(), |window| {
        window.state_mut().state_mut().dialog = Some(Dialog::TopicSettings("orders".into()));
    });
}

#[test]
fn add_partitions_in_every_theme_and_size() {
    pictures("add-partitions", &Fixture::shop(), |window| {
        window.state_mut().state_mut().dialog = Some(Dialog::AddPartitions("orders".into()));
    });
}

#[test]
fn a_topic_is_created_by_typing_its_name_and_pressing_enter() {
    let fixture = Fixture::shop();
    let mut window = open(&fixture, SIZES[0], true, |_| {});
    window.key_press(Key::N);
    window.run();
    window.get_by_label("Topic name").type_text("returns");
    window.run();
    window.key_press(Key::Enter);
    window.run();
    let sent = fixture.commands();
    assert!(
        matches!(&sent[..], [Command::CreateTopic { name, partitions: 3, .. }] if name == "returns"),
        "{sent:?}"
    );
    assert_eq!(window.state_mut().state_mut().dialog, None);
}

#[test]
fn a_name_the_broker_would_refuse_is_explained_and_not_sent() {
    let fixture = Fixture::shop();
    let mut window = open(&fixture, SIZES[0], true, |_| {});
    window.key_press(Key::N);
    window.run();
    window.get_by_label("Topic name").type_text("two words");
    window.run();
    window.key_press(Key::Enter);
    window.run();
    assert_eq!(fixture.commands(), []);
    window.get_by_label_contains("cannot be in a topic's name");
}

#[test]
fn a_tombstone_is_sent_from_the_panel() {
    let fixture = Fixture::shop();
    let mut window = open(&fixture, SIZES[0], true, |state| {
        state.open_topic("orders");
    });
    window.key_press(Key::P);
    window.run();
    window.get_by_label("Record key").focus();
    window.run();
    window.get_by_label("Record key").type_text("bike-17");
    window.get_by_label("Value as Tombstone").click();
    window.run();
    window.get_by_label("Send record").click();
    window.run();
    match &fixture.commands()[..] {
        [Command::Produce(record)] => {
            assert_eq!(record.topic, "orders");
            assert_eq!(record.key.as_deref(), Some(&b"bike-17"[..]));
            assert_eq!(record.value, None);
        }
        sent => panic!("{sent:?}"),
    }
    let state = window.state_mut().state_mut();
    assert_eq!(state.produce.value.encoding, Encoding::Null);
}

#[test]
fn emptying_a_topic_asks_first() {
    let fixture = Fixture::shop();
    let mut window = open(&fixture, SIZES[0], true, |state| {
        state.open_topic("orders");
        state.dialog = Some(Dialog::EmptyTopic("orders".into()));
    });
    assert_eq!(fixture.commands(), []);
    window.get_by_label("Delete all records").click();
    window.run();
    assert_eq!(
        fixture.commands(),
        [Command::EmptyTopic {
            name: "orders".into()
        }]
    );
}
