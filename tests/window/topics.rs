//! The Topics views: the list, and a topic's log lanes, records, segments and settings.

use egui::{Key, Vec2};
use egui_kittest::kittest::Queryable;
use klar::app::state::{BodyForm, BrowseStart, Selection, TopicChoices, TopicTab, UiState};
use klar::ids::{Offset, PartitionIndex};
use klar::inspect::{BrowseFrom, BrowseState, Command};

use crate::fixture::{Fixture, made};
use crate::rig::{SIZES, Window, open, save};

/// Frames until what the window asked for is in a picture and drawn.
const FRAMES: usize = 4;

fn settle(window: &mut Window) {
    for _ in 0..FRAMES {
        window.step();
    }
}

/// Opens a topic's tab before the first frame.
fn at(topic: &'static str, tab: TopicTab) -> impl Fn(&mut UiState) {
    move |state| {
        state.open_topic(topic);
        let choices = TopicChoices {
            tab,
            ..TopicChoices::default()
        };
        state.set_choices(topic, choices);
    }
}

/// Writes pictures of `view` in every theme and size.
fn pictures(
    view: &str,
    fixture: &Fixture,
    setup: impl Fn(&mut UiState),
    act: impl Fn(&mut Window),
) {
    for dark in [true, false] {
        for size in SIZES {
            let mut window = open(fixture, size, dark, &setup);
            settle(&mut window);
            act(&mut window);
            settle(&mut window);
            save(&mut window, view, dark, size);
        }
    }
}

fn record(topic: &str, partition: i32, offset: i64) -> Selection {
    Selection::Record(topic.into(), PartitionIndex(partition), Offset(offset))
}

fn select(selection: Selection) -> impl Fn(&mut Window) {
    move |window| window.state_mut().state_mut().select(selection.clone())
}

/// The last records of partition 1 wait for a follower; a leader changed.
fn lagging() -> Fixture {
    let fixture = Fixture::shop();
    fixture.edit(|picture| {
        for topic in &mut picture.topics {
            let topic = std::sync::Arc::make_mut(topic);
            if topic.name == "orders" {
                topic.partitions[1].high_watermark += -3;
                let from = topic.partitions[2].log_end + -8;
                topic.partitions[2]
                    .epochs
                    .push((klar::ids::LeaderEpoch(5), from));
            }
        }
    });
    fixture
}

#[test]
fn the_list_in_every_theme_and_size() {
    pictures("topics", &Fixture::shop(), |_| {}, |_| {});
}

#[test]
fn log_lanes_in_every_theme_and_size() {
    pictures(
        "topic-log",
        &lagging(),
        at("orders", TopicTab::Log),
        select(record("orders", 1, 940)),
    );
}

#[test]
fn twelve_lanes_and_many_bars_and_a_heatmap() {
    pictures(
        "topic-log-12",
        &Fixture::shop(),
        at("clicks", TopicTab::Log),
        |_| {},
    );
    let fixture = Fixture::new(vec![
        made("orders", 50, 9_400, 50.0),
        made("sensors", 400, 90, 900.0),
    ]);
    pictures(
        "topic-log-50",
        &fixture,
        at("orders", TopicTab::Log),
        |_| {},
    );
    pictures(
        "topic-log-400",
        &fixture,
        at("sensors", TopicTab::Log),
        |_| {},
    );
}

#[test]
fn an_empty_log_in_every_theme_and_size() {
    let fixture = Fixture::new(vec![made("orders", 3, 0, 0.0)]);
    pictures(
        "topic-log-empty",
        &fixture,
        at("orders", TopicTab::Log),
        |_| {},
    );
}

#[test]
fn records_in_every_theme_and_size() {
    pictures(
        "topic-records",
        &Fixture::shop(),
        at("orders", TopicTab::Records),
        select(record("orders", 1, 950)),
    );
}

#[test]
fn a_record_in_hex_in_every_theme_and_size() {
    pictures(
        "topic-record-hex",
        &Fixture::shop(),
        |state| {
            at("orders", TopicTab::Records)(state);
            state.remembered.body = BodyForm::Hex;
        },
        select(record("orders", 0, 980)),
    );
}

#[test]
fn segments_in_every_theme_and_size() {
    pictures(
        "topic-segments",
        &Fixture::shop(),
        at("orders", TopicTab::Segments),
        select(record("orders", 1, 700)),
    );
}

#[test]
fn settings_in_every_theme_and_size() {
    pictures(
        "topic-config",
        &Fixture::shop(),
        at("orders", TopicTab::Config),
        |_| {},
    );
}

#[test]
fn a_click_in_the_list_opens_the_topic_and_escape_goes_back() {
    let mut window = open(&Fixture::shop(), SIZES[0], true, |_| {});
    window.key_press(Key::ArrowDown);
    window.run();
    window.key_press(Key::ArrowDown);
    window.run();
    let selected = window.state_mut().state_mut().selection.clone();
    assert_eq!(
        selected,
        Selection::Topic("inventory-changes-from-all-warehouses".into())
    );
    window.key_press(Key::Enter);
    window.run();
    let open = window.state_mut().state_mut().open_topic.clone();
    assert_eq!(
        open.as_deref(),
        Some("inventory-changes-from-all-warehouses")
    );
    window.key_press(Key::Escape);
    window.run();
    assert_eq!(window.state_mut().state_mut().open_topic, None);
}

#[test]
fn lanes_ask_only_for_what_they_draw_and_a_click_selects_a_record() {
    let fixture = Fixture::shop();
    let mut window = open(&fixture, SIZES[0], true, at("orders", TopicTab::Log));
    settle(&mut window);
    let lanes = fixture.focus().lanes.remove(0);
    assert_eq!(lanes.topic, "orders");
    assert_eq!(lanes.ranges.len(), 3);
    let canvas = window
        .get_by_label_contains("Log lanes of orders, 3 partitions")
        .rect();
    let at = canvas.min + Vec2::new(400.0, 90.0);
    window.hover_at(at);
    window.run();
    window.drag_at(at);
    window.drop_at(at);
    window.run();
    let selection = window.state_mut().state_mut().selection.clone();
    assert!(
        matches!(&selection, Selection::Record(topic, PartitionIndex(0), _) if topic == "orders"),
        "{selection:?}"
    );
    settle(&mut window);
    assert!(fixture.focus().record.is_some());
}

#[test]
fn dragging_stops_following_and_f_follows_again() {
    let fixture = Fixture::shop();
    let mut window = open(&fixture, SIZES[0], true, at("orders", TopicTab::Log));
    settle(&mut window);
    let first = |fixture: &Fixture| fixture.focus().lanes[0].ranges[0].1;
    let following = first(&fixture);
    let canvas = window.get_by_label_contains("Log lanes of orders").rect();
    let start = canvas.center();
    window.drag_at(start);
    window.step();
    window.hover_at(start + Vec2::new(600.0, 0.0));
    window.step();
    window.drop_at(start + Vec2::new(600.0, 0.0));
    settle(&mut window);
    assert!(first(&fixture) < following);
    window.key_press(Key::F);
    settle(&mut window);
    assert_eq!(first(&fixture), following);
}

#[test]
fn records_are_asked_for_once_and_again_when_choices_change() {
    let fixture = Fixture::shop();
    let mut window = open(&fixture, SIZES[0], true, at("orders", TopicTab::Records));
    settle(&mut window);
    let browses = |fixture: &Fixture| -> Vec<BrowseFrom> {
        let sent = fixture.commands();
        sent.into_iter()
            .filter_map(|command| match command {
                Command::Browse(query) => Some(query.from),
                _ => None,
            })
            .collect()
    };
    assert_eq!(browses(&fixture), [BrowseFrom::Newest]);
    window.get_by_label("Live tail").click();
    settle(&mut window);
    assert_eq!(
        browses(&fixture),
        [BrowseFrom::Newest, BrowseFrom::LiveTail]
    );
    let kept = window.state_mut().state_mut().choices("orders");
    assert_eq!(kept.records.start, BrowseStart::LiveTail);
    window
        .get_by_role_and_label(egui::Role::Tab, "Segments")
        .click();
    settle(&mut window);
    assert_eq!(fixture.commands().last(), Some(&Command::StopBrowse));
}

#[test]
fn a_search_shows_what_was_scanned_and_can_go_on() {
    let fixture = Fixture::shop();
    let mut window = open(&fixture, SIZES[0], true, at("orders", TopicTab::Records));
    settle(&mut window);
    window.get_by_label_contains("scanned 360 of");
    window.get_by_label("Continue").click();
    settle(&mut window);
    assert_eq!(fixture.commands().last(), Some(&Command::BrowseMore));
    fixture.edit(|picture| {
        if let Some(browse) = &mut picture.browse {
            let browse = std::sync::Arc::make_mut(browse);
            browse.rows.clear();
            browse.scanned = browse.of;
            browse.state = BrowseState::Complete;
        }
    });
    settle(&mut window);
    window.get_by_label_contains("all read");
    window.get_by_label("No records here.");
}

#[test]
fn a_setting_is_changed_in_place() {
    let fixture = Fixture::shop();
    let mut window = open(&fixture, SIZES[0], true, at("orders", TopicTab::Config));
    settle(&mut window);
    window.get_by_label("Reset retention.ms").click();
    settle(&mut window);
    let reset = Command::AlterTopic {
        name: "orders".into(),
        configs: vec![("retention.ms".into(), None)],
    };
    assert_eq!(fixture.commands().last(), Some(&reset));
}

#[test]
fn a_search_ended_from_outside_says_so_and_can_be_asked_again() {
    let fixture = Fixture::shop();
    let mut window = open(&fixture, SIZES[0], true, at("orders", TopicTab::Records));
    settle(&mut window);
    fixture.edit(|picture| {
        if let Some(browse) = &mut picture.browse {
            std::sync::Arc::make_mut(browse).query.topic = "payments".into();
        }
    });
    settle(&mut window);
    window.get_by_label_contains("ended from outside the window");
    fixture.edit(|_| {});
    window.get_by_label("Search again").click();
    settle(&mut window);
    window.get_by_label_contains("scanned 360 of");
}

#[test]
fn a_search_ends_when_another_view_is_shown() {
    let fixture = Fixture::shop();
    let mut window = open(&fixture, SIZES[0], true, at("orders", TopicTab::Records));
    settle(&mut window);
    window.key_press(Key::Num4);
    settle(&mut window);
    assert_eq!(fixture.commands().last(), Some(&Command::StopBrowse));
}
