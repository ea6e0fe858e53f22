//! The produce panel and the dialogs that create and change topics.

use egui::{Key, Role};
use egui_kittest::kittest::Queryable;
use klar::app::panels::produce_form::{Encoding, Field, Mode};
use klar::app::state::{Dialog, Selection};
use klar::ids::{Offset, PartitionIndex, ProducerId};
use klar::inspect::*;
use klar::source::Source as _;

use crate::fixture::{Fixture, made};
use crate::rig::{SIZES, Window, click_at, open, pictures};

/// Milliseconds a value of 860 KiB may take to be drawn, unoptimised: it once took half a second a key
/// when optimised.
const LONG_VALUE_FRAME_MS: u128 = 250;

fn outcome(id: u64, result: Result<&str, Failure>) -> Outcome {
    let result = result.map(|sentence| Done {
        sentence: sentence.into(),
        ..Done::default()
    });
    Outcome {
        id: CommandId(id),
        result,
    }
}

fn refused() -> Failure {
    Failure {
        name: "INVALID_CONFIG (40)".into(),
        what: "segment.bytes must be at least 1048576".into(),
        what_to_do: "Correct the configuration named above.".into(),
    }
}

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
fn pull_the_plug_in_every_theme_and_size() {
    pictures("pull-the-plug", &Fixture::shop(), |window| {
        window.state_mut().state_mut().dialog = Some(Dialog::PullPlug);
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
    type_a_new_topic(&mut window);
    let sent = fixture.commands();
    assert!(
        matches!(&sent[..], [Command::CreateTopic { name, partitions: 3, .. }] if name == "returns"),
        "{sent:?}"
    );
    // The topic may come a picture later than the outcome.
    fixture.edit(|picture| {
        picture.outcomes = vec![outcome(1, Ok("Topic returns created with 3 partitions."))];
    });
    window.run();
    assert_eq!(window.state_mut().state_mut().dialog, None);
    assert_eq!(window.state_mut().state_mut().open_topic, None);
    let returns = Fixture::new(vec![made("returns", 3, 0, 0.0)]).latest();
    fixture.edit(move |picture| picture.topics = returns.topics.clone());
    window.run();
    let opened = window.state_mut().state_mut().open_topic.clone();
    assert_eq!(opened.as_deref(), Some("returns"));
}

fn type_a_new_topic(window: &mut Window) {
    window.key_press(Key::N);
    window.run();
    window.get_by_label("Topic name").type_text("returns");
    window.run();
    window.key_press(Key::Enter);
    window.run();
}

#[test]
fn a_refused_topic_in_every_theme_and_size() {
    let fixture = Fixture::shop();
    fixture
        .edit(|picture| picture.outcomes = (1..=8).map(|id| outcome(id, Err(refused()))).collect());
    pictures("create-topic-refused", &fixture, type_a_new_topic);
}

#[test]
fn a_long_value_in_every_theme_and_size() {
    pictures("produce-long", &Fixture::shop(), |window| {
        let state = window.state_mut().state_mut();
        state.open_topic("orders");
        state.open_produce(ProduceOne {
            topic: "orders".into(),
            key: Some(b"bike-17".to_vec()),
            value: Some(format!("{{\"body\":\"{}\"}}", "long ".repeat(180_000)).into_bytes()),
            ..ProduceOne::default()
        });
    });
}

#[test]
fn a_topic_that_cannot_be_created_keeps_what_was_typed() {
    let fixture = Fixture::shop();
    let mut window = open(&fixture, SIZES[0], true, |_| {});
    type_a_new_topic(&mut window);
    fixture.edit(|picture| picture.outcomes = vec![outcome(1, Err(refused()))]);
    window.run();
    window.get_by_label("INVALID_CONFIG (40)");
    window.get_by_label_contains("at least 1048576. Correct the configuration");
    // A click beside the dialog keeps it; the name is still there to be sent again.
    click_at(&mut window, egui::pos2(20.0, 500.0));
    let dialog = window.state_mut().state_mut().dialog.clone();
    assert_eq!(dialog, Some(Dialog::CreateTopic));
    window.get_by_label("Topic name").focus();
    window.run();
    window.key_press(Key::Enter);
    window.run();
    let sent = fixture.commands();
    assert_eq!(sent.len(), 2);
    assert_eq!(sent[0], sent[1]);
}

#[test]
fn the_create_dialog_takes_the_keyboard_every_time() {
    let mut window = open(&Fixture::shop(), SIZES[0], true, |_| {});
    for _ in 0..2 {
        window.key_press(Key::N);
        window.run();
        assert!(window.get_by_label("Topic name").is_focused());
        window.key_press(Key::Escape);
        window.run();
        assert_eq!(window.state_mut().state_mut().dialog, None);
    }
}

#[test]
fn a_click_beside_the_settings_keeps_what_was_changed() {
    let fixture = Fixture::shop();
    let mut window = open(&fixture, SIZES[0], true, |state| {
        state.dialog = Some(Dialog::TopicSettings("orders".into()));
    });
    let type_into = |window: &Window| {
        let field = window.get_by_role_and_label(Role::TextInput, "segment.bytes");
        field.focus();
        field.type_text("1");
    };
    type_into(&window);
    window.run();
    window.run();
    click_at(&mut window, egui::pos2(20.0, 500.0));
    window.get_by_label("Apply 1 change").click();
    window.run();
    assert!(matches!(
        &fixture.commands()[..],
        [Command::AlterTopic { .. }]
    ));
    fixture.edit(|picture| picture.outcomes = vec![outcome(1, Err(refused()))]);
    window.run();
    window.get_by_label("Apply 1 change");
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

#[test]
fn the_produce_button_keeps_what_is_typed_and_takes_the_topic() {
    let fixture = Fixture::shop();
    let mut window = open(&fixture, SIZES[0], true, |state| {
        state.open_topic("orders");
        state.produce.topic = "payments".into();
        state.produce.value = Field::typed("typed");
    });
    window
        .get_by_role_and_label(Role::Button, "Produce")
        .click();
    window.run();
    window.get_by_label("Send record").click();
    window.run();
    match &fixture.commands()[..] {
        [Command::Produce(record)] => {
            assert_eq!(record.topic, "orders");
            assert_eq!(record.key.as_deref(), Some(&b""[..]));
            assert_eq!(record.value.as_deref(), Some(&b"typed"[..]));
        }
        sent => panic!("{sent:?}"),
    }
}

#[test]
fn a_long_value_is_sent_unchanged_and_costs_no_long_frame() {
    let fixture = Fixture::shop();
    let long = "x".repeat(860 * 1024);
    let value = long.clone().into_bytes();
    let mut window = open(&fixture, SIZES[0], true, |state| {
        state.open_produce(ProduceOne {
            topic: "orders".into(),
            value: Some(value),
            ..ProduceOne::default()
        });
    });
    window.get_by_label("860 KiB, sent unchanged");
    let before = std::time::Instant::now();
    window.step();
    let took_ms = before.elapsed().as_millis();
    assert!(took_ms < LONG_VALUE_FRAME_MS, "{took_ms} ms");
    window.get_by_label("Replace the record value").click();
    window.run();
    window.get_by_label("Record value").focus();
    window.run();
    window.event(egui::Event::Paste(long.clone()));
    window.run();
    window.get_by_label("860 KiB, sent unchanged");
    window.get_by_label("Send record").click();
    window.run();
    match &fixture.commands()[..] {
        [Command::Produce(record)] => assert_eq!(record.value, Some(long.into_bytes())),
        sent => panic!("{} commands", sent.len()),
    }
}

#[test]
fn selecting_something_shows_it_in_place_of_the_produce_panel() {
    let mut window = open(&Fixture::shop(), SIZES[0], true, |state| {
        state.open_topic("orders");
        state.open_produce_panel();
        state.produce.value = Field::typed("typed");
    });
    window.get_by_label("Send record");
    let canvas = window.get_by_label_contains("Log lanes of orders").rect();
    click_at(&mut window, canvas.min + egui::vec2(400.0, 90.0));
    let state = window.state_mut().state_mut();
    assert!(matches!(state.selection, Selection::Record(..)));
    assert!(!state.producing);
    assert_eq!(state.produce.value.text, "typed");
    assert!(window.query_by_label("Send record").is_none());
}

#[test]
fn an_outcome_stays_in_the_panel_when_pictures_forget_it() {
    let fixture = Fixture::shop();
    let mut window = open(&fixture, SIZES[0], true, |state| {
        state.open_topic("orders");
        state.open_produce_panel();
    });
    window.get_by_label("Send record").click();
    window.run();
    window.get_by_label("Sending…");
    let written = "Written to orders-1 at offset 1042.";
    fixture.edit(move |picture| picture.outcomes = vec![outcome(1, Ok(written))]);
    window.run();
    window.get_by_label(written);
    fixture.edit(|picture| {
        picture.outcomes = (2..66).map(|id| outcome(id, Ok("Another."))).collect();
    });
    window.run();
    window.get_by_label(written);
    // What is changed has not been sent.
    window.get_by_label("Value as Hex").click();
    window.run();
    assert!(window.query_by_label(written).is_none());
}

#[test]
fn a_producer_that_fails_says_so_once() {
    let fixture = Fixture::shop();
    fixture.edit(|picture| picture.producers = vec![failing_producer()]);
    let mut window = open(&fixture, SIZES[0], true, |state| {
        state.open_topic("orders");
        state.open_produce_panel();
    });
    let titles = |window: &mut Window| -> Vec<String> {
        let shown = window.state_mut().notices_mut().shown();
        shown.iter().map(|notice| notice.title.clone()).collect()
    };
    assert_eq!(titles(&mut window), ["orders-gen: MESSAGE_TOO_LARGE (10)"]);
    window.get_by_label("1,042 acked, 7 failed");
    window.state_mut().notices_mut().close(0);
    window.run();
    assert!(titles(&mut window).is_empty());
    // The panel still names the cause.
    window.get_by_label("MESSAGE_TOO_LARGE (10)");
}

fn failing_producer() -> ProducerSnapshot {
    ProducerSnapshot {
        id: 1,
        plan: ProducerPlan {
            name: "orders-gen".into(),
            topic: "orders".into(),
            key: None,
            value: Some("{n}".into()),
            headers: Vec::new(),
            settings: ProducerSettings::default(),
            rate: 10.0,
            count: None,
        },
        running: true,
        sent: 1_049,
        acked: 1_042,
        failed: 7,
        last_error: Some(Failure {
            name: "MESSAGE_TOO_LARGE (10)".into(),
            what: "a batch of 1,204 bytes is larger than max.message.bytes".into(),
            what_to_do: "Send less at once, or raise max.message.bytes of the topic.".into(),
        }),
        producer_id: ProducerId(4),
        latency_ms: 0.8,
    }
}

#[test]
fn a_producer_that_has_ended_does_not_send_any_more() {
    let fixture = Fixture::shop();
    let mut window = open(&fixture, SIZES[0], true, |state| {
        state.open_topic("orders");
        state.open_produce_panel();
        state.produce.mode = Mode::AtRate;
    });
    window.get_by_label("Start producing").click();
    window.run();
    let started = |running: bool| {
        move |picture: &mut ClusterSnapshot| {
            let mut started = outcome(1, Ok("Producer 1 sends to orders."));
            if let Ok(done) = &mut started.result {
                done.producer = Some(1);
            }
            picture.outcomes = vec![started];
            picture.producers = vec![ProducerSnapshot {
                running,
                failed: 0,
                last_error: None,
                ..failing_producer()
            }];
        }
    };
    fixture.edit(started(true));
    window.run();
    window.get_by_label("Producer 1 sends to orders.");
    fixture.edit(started(false));
    window.run();
    window.get_by_label("Producer 1 has ended: 1,042 acked.");
}

#[test]
fn a_record_of_which_only_the_beginning_is_at_hand_is_not_produced_again() {
    let fixture = Fixture::shop();
    fixture.edit(|picture| {
        if let Some(answer) = &mut picture.record
            && let RecordAnswer::Found(record) = std::sync::Arc::make_mut(answer)
        {
            record.value_len = 9_000_000;
        }
    });
    let mut window = open(&fixture, SIZES[0], true, |state| {
        state.open_topic("orders");
        state.select(Selection::Record(
            "orders".into(),
            PartitionIndex(1),
            Offset(940),
        ));
    });
    for _ in 0..4 {
        window.step();
    }
    window.get_by_label("Produce again").click();
    window.run();
    assert!(!window.state_mut().state_mut().producing);
}
