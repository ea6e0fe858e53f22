//! The frame around the views: top bar, navigation, inspector, timeline, dialogs, shortcuts.

use egui::Key;
use egui_kittest::kittest::Queryable;
use klar::app::state::{Dialog, Selection};
use klar::ids::{BrokerId, PartitionIndex};

use crate::fixture::Fixture;
use crate::rig::{SIZES, open, pictures};

#[test]
fn topics_in_every_theme_and_size() {
    pictures("topics", &Fixture::shop(), |window| {
        let state = window.state_mut().state_mut();
        state.select(Selection::Partition("orders".into(), PartitionIndex(1)));
    });
}

#[test]
fn nothing_yet_in_every_theme_and_size() {
    pictures("empty", &Fixture::fresh(), |_| {});
}

#[test]
fn connect_card_in_every_theme_and_size() {
    pictures("connect", &Fixture::shop(), |window| {
        window.state_mut().state_mut().dialog = Some(Dialog::Connect);
    });
}

#[test]
fn palette_in_every_theme_and_size() {
    pictures("palette", &Fixture::shop(), |window| {
        window.state_mut().state_mut().dialog = Some(Dialog::Palette);
    });
}

#[test]
fn shortcut_sheet_in_every_theme_and_size() {
    pictures("shortcuts", &Fixture::shop(), |window| {
        window.state_mut().state_mut().dialog = Some(Dialog::Shortcuts);
    });
}

#[test]
fn the_selected_broker_is_shown_in_the_inspector() {
    pictures("broker", &Fixture::shop(), |window| {
        window
            .state_mut()
            .state_mut()
            .select(Selection::Broker(BrokerId(1)));
    });
}

#[test]
fn keys_open_and_close_what_they_say() {
    let mut window = open(&Fixture::shop(), SIZES[0], true, |_| {});
    window.key_press_modifiers(egui::Modifiers::COMMAND, Key::K);
    window.run();
    assert_eq!(window.state_mut().state_mut().dialog, Some(Dialog::Palette));
    window.key_press(Key::Escape);
    window.run();
    assert_eq!(window.state_mut().state_mut().dialog, None);
    window.get_by_label("Search").click();
    window.run();
    assert_eq!(window.state_mut().state_mut().dialog, Some(Dialog::Palette));
}
