//! The frame around the views: top bar, navigation, inspector, timeline, dialogs, shortcuts.

use std::sync::Arc;

use egui::{Key, Modifiers};
use egui_kittest::kittest::Queryable;
use klar::app::state::{Dialog, Selection, ThemeChoice, ViewKey};
use klar::ids::{BrokerId, ConnectionId, PartitionIndex, Time};
use klar::inspect::{Command, Failure};

use crate::fixture::{Fixture, NOW_MS};
use crate::rig::{SIZES, Window, open, pictures};

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

#[test]
fn clients_in_every_theme_and_size() {
    pictures("clients", &Fixture::shop(), |window| {
        let state = window.state_mut().state_mut();
        state.go_to(ViewKey::Clients);
        state.select(Selection::Connection(BrokerId(1), ConnectionId(1)));
    });
}

#[test]
fn storage_in_every_theme_and_size() {
    pictures("storage", &Fixture::shop(), |window| {
        let state = window.state_mut().state_mut();
        state.go_to(ViewKey::Storage);
        state.select(Selection::Partition("clicks".into(), PartitionIndex(3)));
    });
}

#[test]
fn timeline_in_every_theme_and_size() {
    pictures("timeline", &Fixture::shop(), |window| {
        let state = window.state_mut().state_mut();
        state.go_to(ViewKey::Timeline);
        state.select(Selection::Event(5));
    });
}

#[test]
fn notices_and_undo_in_every_theme_and_size() {
    let fixture = Fixture::shop();
    fixture.edit(|picture| {
        let goes = picture.time.plus_ms(7_400);
        picture.deleting = vec![("payments".into(), goes)];
        picture.topics = picture
            .topics
            .iter()
            .map(|topic| {
                let mut topic = (**topic).clone();
                if topic.name == "clicks" {
                    topic.partitions[7].trouble =
                        Some("CRC-32C of the batch at offset 41,007 does not match".into());
                }
                Arc::new(topic)
            })
            .collect();
    });
    pictures("notices", &fixture, |window| {
        let now = Time::from_ms(NOW_MS);
        let notices = window.state_mut().notices_mut();
        notices.confirm(now, "Topic returns created with 6 partitions.");
        notices.fail(
            now,
            &Failure {
                name: "TOPIC_ALREADY_EXISTS (36)".into(),
                what: "There is a topic orders already.".into(),
                what_to_do: "Choose another name, or add partitions to it.".into(),
            },
        );
    });
}

#[test]
fn undo_takes_a_deletion_back() {
    let fixture = Fixture::shop();
    fixture.edit(|picture| {
        picture.deleting = vec![("payments".into(), picture.time.plus_ms(7_400))];
    });
    let mut window = open(&fixture, SIZES[0], true, |_| {});
    window.get_by_label("Undo the deletion of payments").click();
    window.run();
    let undo = Command::UndoDelete {
        name: "payments".into(),
    };
    assert_eq!(fixture.commands(), [undo]);
}

#[test]
fn no_shortcut_fires_while_typing() {
    let mut window = open(&Fixture::shop(), SIZES[0], true, |state| {
        state.go_to(ViewKey::Storage);
    });
    window.key_press(Key::Slash);
    window.run();
    for key in [Key::T, Key::I, Key::Num1, Key::B, Key::Questionmark] {
        window.key_press(key);
        window.run();
    }
    let state = window.state_mut().state_mut();
    assert_eq!(state.remembered.theme, ThemeChoice::Dark);
    assert!(state.remembered.inspector_open);
    assert_eq!(state.view, ViewKey::Storage);
    assert_eq!(state.dialog, None);
}

#[test]
fn keys_switch_views_theme_and_panels() {
    let mut window = open(&Fixture::shop(), SIZES[0], true, |_| {});
    let press = |window: &mut Window, modifiers, key| {
        window.key_press_modifiers(modifiers, key);
        window.run();
    };
    press(&mut window, Modifiers::NONE, Key::Num5);
    assert_eq!(window.state_mut().state_mut().view, ViewKey::Storage);
    press(&mut window, Modifiers::SHIFT, Key::T);
    let remembered = window.state_mut().state_mut().remembered.clone();
    assert!(!remembered.timeline_open);
    assert_eq!(remembered.theme, ThemeChoice::Dark);
    press(&mut window, Modifiers::NONE, Key::T);
    let remembered = window.state_mut().state_mut().remembered.clone();
    assert_eq!(remembered.theme, ThemeChoice::Light);
    press(&mut window, Modifiers::NONE, Key::I);
    assert!(!window.state_mut().state_mut().remembered.inspector_open);
    press(&mut window, Modifiers::SHIFT, Key::Questionmark);
    let dialog = window.state_mut().state_mut().dialog.clone();
    assert_eq!(dialog, Some(Dialog::Shortcuts));
}

#[test]
fn arrows_walk_through_a_list_and_enter_opens() {
    let mut window = open(&Fixture::shop(), SIZES[0], true, |state| {
        state.go_to(ViewKey::Storage);
    });
    for key in [Key::ArrowDown, Key::ArrowDown, Key::ArrowDown, Key::ArrowUp] {
        window.key_press(key);
        window.run();
    }
    let selected = Selection::Partition("clicks".into(), PartitionIndex(1));
    assert_eq!(window.state_mut().state_mut().selection, selected);
    window.key_press(Key::Enter);
    window.run();
    let state = window.state_mut().state_mut();
    assert_eq!(state.open_topic.as_deref(), Some("clicks"));
    assert_eq!(state.selection, selected);
}

#[test]
fn the_palette_finds_a_topic_by_a_few_letters() {
    let mut window = open(&Fixture::shop(), SIZES[0], true, |state| {
        state.dialog = Some(Dialog::Palette);
    });
    window.event(egui::Event::Text("pmts".into()));
    window.run();
    window.key_press(Key::Enter);
    window.run();
    let state = window.state_mut().state_mut();
    assert_eq!(state.open_topic.as_deref(), Some("payments"));
    assert_eq!(state.dialog, None);
}

#[test]
fn the_bootstrap_string_is_copied_by_its_key_and_its_button() {
    let mut window = open(&Fixture::shop(), SIZES[0], true, |_| {});
    window.key_press(Key::B);
    window.run();
    assert_eq!(confirmations(&mut window), ["Bootstrap string copied"]);
    window.get_by_label("Copy the bootstrap string").click();
    window.run();
    assert_eq!(confirmations(&mut window).len(), 2);
}

fn confirmations(window: &mut Window) -> Vec<String> {
    let shown = window.state_mut().notices_mut().shown();
    shown.iter().map(|notice| notice.title.clone()).collect()
}

#[test]
fn an_idle_window_does_not_repaint() {
    let mut window = open(&Fixture::shop(), SIZES[0], true, |_| {});
    let asked = window.output().viewport_output.values().next().unwrap();
    assert!(asked.repaint_delay > std::time::Duration::from_secs(3_600));
    // A frame that nothing asked for asks for none either.
    window.step();
    let asked = window.output().viewport_output.values().next().unwrap();
    assert!(asked.repaint_delay > std::time::Duration::from_secs(3_600));
}

/// The first picture of a cluster that is starting once had no time, and the timeline's axis cut a
/// time of day that was only a dash.
#[test]
fn a_picture_from_before_every_clock_is_drawn() {
    let fixture = Fixture::fresh();
    fixture.set_now_ms(0);
    let mut window = open(&fixture, SIZES[0], true, |_| {});
    window.run();
}

#[test]
fn shift_with_a_letter_is_not_the_letter() {
    let mut window = open(&Fixture::shop(), SIZES[0], true, |state| {
        state.open_topic("orders");
    });
    for key in [Key::I, Key::N, Key::S, Key::ArrowLeft, Key::Escape] {
        window.key_press_modifiers(Modifiers::SHIFT, key);
        window.run();
    }
    let state = window.state_mut().state_mut();
    assert!(state.remembered.inspector_open);
    assert_eq!(state.dialog, None);
    assert_eq!(state.open_topic.as_deref(), Some("orders"));
    // A sign needs Shift on some keyboards.
    window.key_press_modifiers(Modifiers::SHIFT, Key::Questionmark);
    window.run();
    let dialog = window.state_mut().state_mut().dialog.clone();
    assert_eq!(dialog, Some(Dialog::Shortcuts));
}

/// A key that nothing in sight takes once waited, and acted on the next list that was opened.
#[test]
fn a_key_without_a_taker_is_over_with_its_frame() {
    let mut window = open(&Fixture::shop(), SIZES[0], true, |state| {
        state.open_topic("orders");
    });
    // The log lanes have neither rows nor a filter.
    for key in [Key::ArrowDown, Key::Slash] {
        window.key_press(key);
        window.run();
    }
    window.key_press(Key::Escape);
    window.run();
    window.key_press(Key::Escape);
    window.run();
    assert_eq!(window.state_mut().state_mut().open_topic, None);
    assert_eq!(window.state_mut().state_mut().selection, Selection::Nothing);
    // Nothing has the keyboard, so a letter is a shortcut.
    window.key_press(Key::I);
    window.run();
    assert!(!window.state_mut().state_mut().remembered.inspector_open);
}

#[test]
fn listening_beyond_the_machine_is_said_in_every_view() {
    let fixture = Fixture::shop();
    fixture.edit(|picture| {
        picture.listens_beyond_loopback = true;
        picture.bootstrap = "192.168.178.20:9092".into();
    });
    pictures("open-to-network", &fixture, |window| {
        window.get_by_label("Open to the network");
    });
}

#[test]
fn notices_leave_the_inspectors_buttons_free() {
    for size in SIZES {
        let mut window = open(&Fixture::shop(), size, true, |state| {
            state.open_topic("orders");
            state.open_produce_panel();
        });
        let now = Time::from_ms(NOW_MS);
        for _ in 0..3 {
            window.state_mut().notices_mut().confirm(now, "Copied");
        }
        window.run();
        let send = window.get_by_label("Send record").rect();
        let fit = window.get_by_label("Fit").rect();
        for close in window.get_all_by_label("Close this notice") {
            assert!(close.rect().right() < send.left(), "{size:?}");
            assert!(close.rect().bottom() < fit.top(), "{size:?}");
        }
    }
}

#[test]
fn a_deletion_that_can_be_undone_is_said_once() {
    let fixture = Fixture::shop();
    let mut window = open(&fixture, SIZES[0], true, |state| {
        state.open_topic("payments");
    });
    window.key_press_modifiers(Modifiers::SHIFT, Key::Delete);
    window.run();
    fixture.edit(|picture| {
        picture.deleting = vec![("payments".into(), picture.time.plus_ms(7_400))];
        picture.outcomes = vec![klar::inspect::Outcome {
            id: klar::inspect::CommandId(1),
            result: Ok(klar::inspect::Done {
                sentence: "Topic payments goes in 10 s.".into(),
                ..klar::inspect::Done::default()
            }),
        }];
    });
    window.run();
    assert!(confirmations(&mut window).is_empty());
    window.get_by_label("Undo the deletion of payments");
}
