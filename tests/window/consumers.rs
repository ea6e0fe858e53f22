//! klar's own consumers: the consume panel, their marks in their groups, and who leaves before a reset.

use std::sync::Arc;

use egui::Key;
use egui_kittest::kittest::Queryable;
use klar::app::panels::consume_form::Page;
use klar::app::state::{Selection, ViewKey};
use klar::ids::*;
use klar::inspect::*;

use crate::cluster::palette;
use crate::fixture::{Fixture, NOW_MS, made};
use crate::groups;
use crate::rig::{SIZES, Window, open, pictures};
use crate::story::Stage;

fn plan() -> ConsumerPlan {
    ConsumerPlan {
        reads: ConsumerReads::Group(MemberPlan {
            group: "billing".into(),
            subscription: Subscribed::Topics(vec!["orders".into()]),
            protocol: MemberProtocol::Classic {
                assignor: ClassicAssignor::Range,
                session_timeout_ms: 10_000,
            },
            instance: None,
            reset: AutoOffsetReset::Earliest,
            commit: CommitWhen::After,
            max_poll_records: 10,
        }),
        rate: 10.0,
    }
}

/// What a group knows a consumer by.
fn member_id(id: u64) -> String {
    format!("klar-consumer-{id}-0c1b7c62-2f0e-4f3a-8a51-00000000000{id}")
}

/// One that reads a partition of orders and is so far behind.
fn consumer(picture: &ClusterSnapshot, id: u64, state: ConsumerState) -> ConsumerSnapshot {
    let partition = PartitionIndex(id as i32 - 1);
    let orders = picture.topics.iter().find(|t| t.name == "orders").unwrap();
    let end = orders.partitions[partition.0 as usize].high_watermark;
    let next = Offset(end.0 - 12 * id as i64);
    let newest = (1..=RECORDS_SHOWN as i64).map(|back| ConsumedRecord {
        topic: "orders".into(),
        partition,
        offset: Offset(next.0 - back),
        timestamp_ms: NOW_MS - back * 100,
        key: Some(format!("customer-{}", (next.0 - back) % 7).into_bytes()),
        key_hash: Some(((next.0 - back) % 7) as u32 * 977),
        value: Some(br#"{"amount": 12.80, "city": "Turin"}"#.to_vec()),
    });
    // Ten records a second.
    let since = match state {
        ConsumerState::Running => (picture.time.as_ms() - NOW_MS) / 100,
        _ => 0,
    };
    ConsumerSnapshot {
        id,
        client_id: format!("klar-consumer-{id}"),
        plan: plan(),
        state,
        since: Time::from_ms(NOW_MS - 4_200),
        member: Some(MembershipSnapshot {
            id: member_id(id),
            generation: 4,
            state: "stable",
            leads: id == 1,
            assignor: Some("range".into()),
            coordinator: Some(BrokerId(1)),
        }),
        partitions: vec![ConsumedPartition {
            topic: "orders".into(),
            partition,
            position: Some(next),
            committed: Some(Offset(next.0 - 4)),
            paused: state == ConsumerState::Paused,
        }],
        partition_count: 1,
        in_hand: 6,
        records: (12_000 + since).max(0) as u64,
        bytes: 1_482_113,
        newest: Arc::new(newest.collect()),
        last_error: None,
    }
}

/// A group of three consumers in these states.
fn three(states: [ConsumerState; 3]) -> Fixture {
    let topics = vec![
        made("orders", 3, 41_042, 50.0),
        made("payments", 2, 9_311, 12.0),
    ];
    Fixture::new(topics).with_groups(move |picture| {
        let ids = [1, 2, 3];
        let members = ids.map(|id| {
            let name = format!("klar-consumer-{id}");
            let mine = [id as i32 - 1];
            let mut member = groups::member(&name, &["orders"], &[("orders", &mine)]);
            member.id = member_id(id);
            member.session_timeout_ms = 10_000;
            member
        });
        let mut billing = groups::group("billing", members.into());
        groups::commit(picture, &mut billing, "orders", |p| {
            12 * i64::from(p + 1) + 4
        });
        picture.groups = vec![Arc::new(billing)];
        picture.consumers = ids
            .into_iter()
            .zip(states)
            .map(|(id, state)| consumer(picture, id, state))
            .collect();
    })
}

fn running() -> Fixture {
    three([ConsumerState::Running; 3])
}

fn panel(fixture: &Fixture) -> Window {
    open(fixture, SIZES[0], true, |state| {
        state.consuming = true;
        state.consume.page = Page::Running;
    })
}

fn open_running(window: &mut Window) {
    let state = window.state_mut().state_mut();
    state.open_group("billing");
    state.consuming = true;
    state.consume.page = Page::Running;
}

#[test]
fn the_empty_form_in_every_theme_and_size() {
    pictures("consume-form", &Fixture::shop(), |window| {
        window.state_mut().state_mut().open_topic("orders");
        window.run();
        window.key_press(Key::C);
        window.run();
    });
}

#[test]
fn three_members_in_every_theme_and_size() {
    pictures("consume-running", &running(), open_running);
}

#[test]
fn a_crashed_member_in_every_theme_and_size() {
    use ConsumerState::{Crashed, Paused, Running};
    pictures(
        "consume-crashed",
        &three([Running, Crashed, Paused]),
        open_running,
    );
}

#[test]
fn a_consumer_in_the_inspector_in_every_theme_and_size() {
    pictures("consumer", &running(), |window| {
        let state = window.state_mut().state_mut();
        state.go_to(ViewKey::Clients);
        state.select(Selection::Consumer(2));
    });
}

#[test]
fn a_reset_stops_klars_own_members_in_every_theme_and_size() {
    pictures("group-reset-own", &running(), |window| {
        let state = window.state_mut().state_mut();
        state.open_group("billing");
        state.open_reset("billing");
    });
}

#[test]
fn members_are_started_from_the_keyboard() {
    let fixture = Fixture::shop();
    let mut window = open(&fixture, SIZES[0], true, |state| state.open_topic("orders"));
    window.key_press(Key::C);
    window.run();
    window.get_by_label("Group: type a name, or choose one");
    window.get_by_label("Group id").focus();
    window.run();
    window.get_by_label("Group id").type_text("billing");
    window.run();
    window.get_by_label("Start a member").focus();
    window.run();
    window.key_press(Key::Enter);
    window.run();
    let sent = Command::StartConsumer {
        plan: plan(),
        members: 1,
    };
    assert_eq!(fixture.commands(), [sent]);
    window.get_by_label("Starting…");
    let refused = Failure {
        name: "TOO_MANY_CONSUMERS".into(),
        what: "64 consumers run already".into(),
        what_to_do: "Stop one first.".into(),
    };
    fixture.edit(move |picture| {
        picture.outcomes = vec![Outcome {
            id: CommandId(1),
            result: Err(refused.clone()),
        }];
    });
    window.run();
    window.get_by_label("TOO_MANY_CONSUMERS");
    window.key_press(Key::Escape);
    window.run();
    let state = window.state_mut().state_mut();
    assert!(!state.consuming);
    assert_eq!(state.consume.group, "billing", "what is typed is kept");
}

#[test]
fn a_standalone_consumer_is_started_from_the_form() {
    let fixture = Fixture::shop();
    let mut window = open(&fixture, SIZES[0], true, |state| {
        state.open_topic("payments")
    });
    window.get_by_label("Consume").click();
    window.run();
    window.get_by_label("Standalone").click();
    window.run();
    window.get_by_label("Partition number").focus();
    window.run();
    window.get_by_label("Partition number").type_text("1");
    window.run();
    window.get_by_label("Start reading").click();
    window.run();
    let plan = ConsumerPlan {
        reads: ConsumerReads::Standalone {
            topic: "payments".into(),
            partition: Some(PartitionIndex(1)),
            from: ReadFrom::Earliest,
        },
        rate: 10.0,
    };
    assert_eq!(
        fixture.commands(),
        [Command::StartConsumer { plan, members: 1 }]
    );
}

#[test]
fn buttons_pause_crash_and_remove() {
    let fixture = running();
    let mut window = panel(&fixture);
    for (button, command) in [
        ("Pause consumer 1", Command::PauseConsumer { id: 1 }),
        ("Crash consumer 2", Command::CrashConsumer { id: 2 }),
        ("Remove consumer 1", Command::StopConsumer { id: 1 }),
    ] {
        window.get_by_label(button).click();
        window.run();
        assert_eq!(fixture.commands().last(), Some(&command));
    }
    // Whoever ended can be followed by another one.
    window
        .get_by_label("Undo: Consumer 1 leaves; undo starts another")
        .click();
    window.run();
    let again = Command::StartConsumer {
        plan: plan(),
        members: 1,
    };
    assert_eq!(fixture.commands().last(), Some(&again));
}

#[test]
fn a_card_says_what_its_consumer_says() {
    use ConsumerState::{Crashed, Paused, Running};
    let fixture = three([Running, Crashed, Paused]);
    let mut window = panel(&fixture);
    window.get_by_label("Running 2");
    assert_eq!(
        window
            .query_all_by_label("billing · stable · generation 4")
            .count(),
        2
    );
    window.get_by_label("orders 0");
    window.get_by_label("12,000 records · 10/s · lag 12");
    window.get_by_label("12,000 records · 6 unprocessed");
    window.get_by_label("billing · 4.2 s ago, not missed yet");
    window.get_by_label("Start again consumer 2");
    assert!(window.query_by_label("Crash consumer 2").is_none());
    window.get_by_label("Resume consumer 3").click();
    window.run();
    assert_eq!(fixture.commands(), [Command::ResumeConsumer { id: 3 }]);
    window.get_by_label("Consumer 1").click();
    window.run();
    window.get_by_label("klar-consumer-1");
    window.get_by_label("after processing");
    assert_eq!(
        window.query_all_by_label_contains("customer-").count(),
        RECORDS_SHOWN
    );
}

#[test]
fn a_member_of_klars_own_is_marked_and_can_be_crashed_where_it_is() {
    let fixture = running();
    let mut window = open(&fixture, SIZES[0], true, |state| {
        state.open_group("billing")
    });
    window
        .get_by_label_contains("klar-consumer-2, klar's own · 127.0.0.1: orders-1")
        .click();
    window.run();
    window.get_by_label("Crash consumer 2").click();
    window.run();
    assert_eq!(fixture.commands(), [Command::CrashConsumer { id: 2 }]);
    palette(&mut window, "pause this consumer");
    assert_eq!(
        fixture.commands().last(),
        Some(&Command::PauseConsumer { id: 2 })
    );
    palette(&mut window, "stop klar's own");
    let stops = [1, 2, 3].map(|id| Command::StopConsumer { id });
    assert_eq!(fixture.commands()[2..], stops);
    window.key_press(Key::Escape);
    window.get_by_label("Add a member").click();
    window.run();
    let state = window.state_mut().state_mut();
    assert!(state.consuming);
    assert_eq!(
        (state.consume.group.as_str(), state.consume.topics.as_str()),
        ("billing", "orders")
    );
}

#[test]
fn a_reset_stops_klars_own_members_and_starts_them_again() {
    let fixture = running();
    let mut window = open(&fixture, SIZES[0], true, |state| {
        state.open_group("billing");
        state.open_reset("billing");
    });
    window.get_by_label_contains("The group has 3 live members, all klar's own.");
    window.get_by_label("Stop klar's 3 members").click();
    window.run();
    let stops = [1, 2, 3].map(|id| Command::StopConsumer { id });
    assert_eq!(fixture.commands(), stops);
    fixture.edit(|picture| {
        for one in &mut picture.consumers {
            one.state = ConsumerState::Stopped;
        }
        let group = Arc::make_mut(&mut picture.groups[0]);
        group.members = vec![groups::member("c9", &["orders"], &[("orders", &[0, 1, 2])])];
    });
    window.run();
    window.get_by_label_contains("stop c9 first");
    window.get_by_label("Start klar's 3 members again").click();
    window.run();
    let again = Command::StartConsumer {
        plan: plan(),
        members: 1,
    };
    assert_eq!(
        fixture.commands()[3..],
        [again.clone(), again.clone(), again]
    );
}

/// On a real cluster: two members are started from the form, one crashes, both are gone before the offsets move, and
/// what they had read is read again.
#[test]
fn members_share_crash_and_make_way_for_a_reset() {
    let mut stage = Stage::open(1);
    stage.send(Command::CreateTopic {
        name: "orders".into(),
        partitions: 2,
        replication_factor: 1,
        configs: Vec::new(),
    });
    stage.until("a topic", |p| p.topics.iter().any(|t| t.name == "orders"));
    for partition in [0, 1].map(PartitionIndex) {
        stage.send(Command::Produce(ProduceOne {
            topic: "orders".into(),
            value: Some(b"a bicycle".to_vec()),
            settings: ProducerSettings {
                partition: PartitionBy::Fixed(partition),
                ..ProducerSettings::default()
            },
            ..ProduceOne::default()
        }));
    }
    let state = stage.window.state_mut().state_mut();
    state.open_topic("orders");
    state.consume_from("orders");
    state.consume.group = "billing".into();
    state.consume.members = 2;
    // The shortest that a coordinator takes.
    state.consume.session_timeout = "6000".into();
    stage.click("Start 2 members");
    stage.until("a partition each, and what is in it", |p| {
        p.consumers.len() == 2
            && p.consumers
                .iter()
                .all(|one| one.partitions.len() == 1 && one.records == 1)
    });
    stage.until_said("billing · stable");
    stage.click("Crash consumer 1");
    stage.until("a crash", |p| {
        p.consumers[0].state == ConsumerState::Crashed
    });
    stage.until_said("not missed yet");
    stage.until("the other one has both", |p| {
        p.consumers[1].partitions.len() == 2
    });
    let state = stage.window.state_mut().state_mut();
    state.open_group("billing");
    state.open_reset("billing");
    stage.click("Stop klar's 1 member");
    stage.until("nobody", |p| {
        p.group("billing").is_some_and(|g| g.members.is_empty())
    });
    stage.click("Apply to 2 partitions");
    stage.until_said("Group billing goes on from 2 offsets.");
    stage.click("Start klar's 1 member again");
    stage.until("both again", |p| {
        p.consumers
            .iter()
            .any(|one| one.state.is_alive() && one.records == 2)
    });
    stage.close();
}
