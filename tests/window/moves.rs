//! Replicas and leaders moved from the picture: by dragging, by key, from the palette, with a preview and a way back.

use std::sync::Arc;

use egui::{Key, Pos2};
use egui_kittest::kittest::Queryable;
use klar::app::state::{Dialog, Selection};
use klar::ids::{BrokerId, Offset, PartitionIndex};
use klar::inspect::*;
use klar::source::Source as _;

use crate::cluster::{healthy, palette, show};
use crate::fixture::{Fixture, Made, made};
use crate::rig::{SIZES, Window, open, pictures};
use crate::story::{Stage, TOPIC, in_sync, orders_gen, partition};

const FIRST: PartitionIndex = PartitionIndex(0);

/// Four brokers with three replicas each: of every partition one broker has none.
fn four() -> Fixture {
    healthy(topics(), 4, 3)
}

fn topics() -> Vec<Made> {
    vec![
        made("orders", 3, 1_042, 50.0),
        made("payments", 1, 311, 12.0),
    ]
}

/// The same while `orders-0` moves from broker 1, which leads, to broker 4.
fn moving() -> Fixture {
    let base = four().latest();
    let fixture = Fixture::new(topics());
    fixture.edit(move |picture| {
        let lanes = std::mem::take(&mut picture.lanes);
        *picture = ClusterSnapshot {
            lanes,
            ..(*base).clone()
        };
        let topics = &mut picture.topics;
        let orders = topics.iter_mut().find(|topic| topic.name == "orders");
        let orders = Arc::make_mut(orders.unwrap());
        let p = &mut orders.partitions[0];
        p.adding = vec![BrokerId(4)];
        p.removing = vec![BrokerId(1)];
        p.replicas.push(ReplicaSnapshot {
            log_start: p.log_start,
            log_end: Offset(p.log_start.0 + (p.log_end - p.log_start) * 2 / 5),
            state: ReplicaState::Follower,
            ..ReplicaSnapshot::unknown(BrokerId(4))
        });
    });
    fixture
}

fn orders_0() -> Selection {
    Selection::Partition("orders".into(), FIRST)
}

fn open_cluster(fixture: &Fixture) -> Window {
    let mut window = open(fixture, SIZES[0], true, |_| {});
    show(&mut window);
    window
}

/// Drags what says `what` onto what says `onto`, up to before it is dropped.
fn drag(window: &mut Window, what: &str, onto: &str) -> Pos2 {
    let from = window.get_by_label_contains(what).rect().left_center();
    let to = window.get_by_label_contains(onto).rect().center();
    let from = from + egui::vec2(8.0, 0.0);
    window.hover_at(from);
    window.step();
    window.drag_at(from);
    window.step();
    for share in [0.3, 0.7, 1.0] {
        window.hover_at(from + (to - from) * share);
        window.step();
    }
    to
}

fn drop_on(window: &mut Window, what: &str, onto: &str) {
    let to = drag(window, what, onto);
    window.drop_at(to);
    window.run();
}

fn move_replicas(brokers: &[i32]) -> Command {
    Command::MoveReplicas {
        topic: "orders".into(),
        partition: FIRST,
        brokers: brokers.iter().copied().map(BrokerId).collect(),
    }
}

#[test]
fn a_replica_dropped_on_another_broker_is_moved_once_its_preview_is_confirmed() {
    let fixture = four();
    let mut window = open_cluster(&fixture);
    drop_on(
        &mut window,
        "orders-0 on broker 1",
        "Broker 4 in the cluster",
    );
    assert!(fixture.commands().is_empty(), "nothing moves unasked");
    window.get_by_label("Move the replicas of orders-0");
    let end = fixture_end(&fixture);
    for said in [
        format!("{end} records, "),
        "from broker 1, the leader, to broker 4".into(),
        "the copy on broker 1, once broker 4 is in sync".into(),
        "broker 1 until then, broker 4 in a new leader epoch".into(),
        "holds all the way: 3 in sync now, 3 at the end".into(),
    ] {
        window.get_by_label_contains(&said);
    }
    window.get_by_label("Move").click();
    window.run();
    assert_eq!(fixture.commands(), [move_replicas(&[4, 2, 3])]);
}

fn fixture_end(fixture: &Fixture) -> String {
    let picture = fixture.latest();
    let p = &picture.topics[0].partitions[0];
    klar::app::format::count((p.log_end - p.log_start).unsigned_abs())
}

#[test]
fn a_leader_dropped_on_its_follower_has_that_one_lead() {
    let fixture = four();
    let mut window = open_cluster(&fixture);
    drop_on(
        &mut window,
        "orders-0 on broker 1",
        "Broker 2 in the cluster",
    );
    let elect = |broker| Command::ElectLeader {
        topic: "orders".into(),
        partition: FIRST,
        broker: BrokerId(broker),
        unclean: false,
    };
    assert_eq!(fixture.commands(), [elect(2)]);
    window
        .get_by_label("Undo: orders-0: broker 2 instead of 1")
        .click();
    window.run();
    assert_eq!(fixture.commands(), [elect(2), elect(1)]);
}

#[test]
fn what_cannot_be_dropped_says_why() {
    let fixture = four();
    let mut window = open_cluster(&fixture);
    drop_on(
        &mut window,
        "orders-0 on broker 2",
        "Broker 3 in the cluster",
    );
    window.get_by_label_contains("broker 3 holds a replica of orders-0 already");
    assert!(fixture.commands().is_empty());
    drag(
        &mut window,
        "orders-0 on broker 2",
        "Broker 4 in the cluster",
    );
    window.key_press(Key::Escape);
    window.step();
    window.drop_at(Pos2::ZERO);
    window.run();
    assert_eq!(
        window.state_mut().state_mut().dialog,
        None,
        "Esc takes it back"
    );
}

#[test]
fn a_replica_and_a_leader_are_moved_without_a_pointer() {
    let fixture = four();
    let mut window = open_cluster(&fixture);
    window.state_mut().state_mut().select(orders_0());
    window.run();
    window.key_press(Key::M);
    window.run();
    for label in [
        "Replica on broker 4",
        "Replica on broker 2",
        "Make broker 4 the preferred leader",
        "Move",
    ] {
        window.get_by_label(label).click();
        window.run();
    }
    window.state_mut().state_mut().dialog = None;
    window.run();
    palette(&mut window, "move partition leader");
    window
        .get_by_label("Elect broker 3 as leader of orders-0")
        .click();
    window.run();
    let elected = Command::ElectLeader {
        topic: "orders".into(),
        partition: FIRST,
        broker: BrokerId(3),
        unclean: false,
    };
    assert_eq!(fixture.commands(), [move_replicas(&[4, 1, 3]), elected]);
}

#[test]
fn a_move_under_way_shows_how_far_it_is_and_can_be_cancelled() {
    let fixture = moving();
    let mut window = open_cluster(&fixture);
    window.state_mut().state_mut().select(orders_0());
    window.run();
    window.get_by_label_contains("orders-0 on broker 4: adding");
    window.get_by_label("orders-0 moves");
    let far = format!(
        "from broker 1 to broker 4 · broker 4: 345 of {} records (39 %)",
        fixture_end(&fixture)
    );
    let said = window.query_all_by_label_contains(&far).count();
    assert!(
        said >= 2,
        "in the line above the picture and in the inspector"
    );
    assert!(
        window.query_by_label_contains("under-replicated").is_none(),
        "a replica that is being added is not missing"
    );
    window.get_by_label("Cancel the move of orders-0").click();
    window.run();
    window.get_by_label("Undo: Cancel move").click();
    window.run();
    window.key_press(Key::X);
    window.run();
    let cancel = Command::CancelMove {
        topic: "orders".into(),
        partition: FIRST,
    };
    assert_eq!(fixture.commands(), vec![cancel; 3]);
}

#[test]
fn a_move_that_ended_can_be_taken_back() {
    let fixture = four();
    let mut window = open_cluster(&fixture);
    window.state_mut().state_mut().select(orders_0());
    window.state_mut().state_mut().dialog = Some(Dialog::Reassign(
        "orders".into(),
        FIRST,
        [4, 2, 3].map(BrokerId).to_vec(),
    ));
    window.run();
    window.get_by_label("Move").click();
    window.run();
    let under_way = moving().latest();
    let mut ended = (*four().latest()).clone();
    let p = &mut Arc::make_mut(&mut ended.topics[0]).partitions[0];
    p.replicas[0].broker = BrokerId(4);
    p.isr[0] = BrokerId(4);
    p.leader = Some(BrokerId(4));
    for shown in [under_way, Arc::new(ended)] {
        fixture.edit(move |picture| picture.clone_from(&shown));
        window.step();
        window.step();
    }
    window
        .get_by_label("Undo: orders-0 is on brokers 4, 2 and 3 now")
        .click();
    window.run();
    assert_eq!(
        fixture.commands(),
        [move_replicas(&[4, 2, 3]), move_replicas(&[1, 2, 3])]
    );
}

#[test]
fn a_real_replica_moves_and_comes_back() {
    let mut stage = Stage::open(4);
    stage.send(Command::CreateTopic {
        name: TOPIC.into(),
        partitions: 1,
        replication_factor: 3,
        configs: Vec::new(),
    });
    stage.until("the topic", |picture| in_sync(picture) == 3);
    stage.send(Command::StartProducer(orders_gen()));
    stage.until("some records", |p| {
        partition(p).is_some_and(|p| p.high_watermark.0 > 10)
    });
    let held = |picture: &ClusterSnapshot| -> Vec<BrokerId> {
        let replicas = &partition(picture).unwrap().replicas;
        replicas.iter().map(|replica| replica.broker).collect()
    };
    let before = held(&stage.source.latest());
    let spare = (1..=4).map(BrokerId).find(|id| !before.contains(id));
    let (first, spare) = (before[0], spare.unwrap());
    stage.until_said(&format!("orders-0 on broker {first}: leader"));
    drop_on(
        &mut stage.window,
        &format!("orders-0 on broker {first}"),
        &format!("Broker {spare} in the cluster"),
    );
    stage.click("Move");
    let after = [&[spare], &before[1..]].concat();
    stage.until("the move", |p| held(p) == after && in_sync(p) == 3);
    stage.until_said(&format!("orders-0 on broker {spare}: leader"));
    let acked = stage.source.latest().producers[0].acked;
    stage.until("writes to the new leader", |p| p.producers[0].acked > acked);
    let now = klar::app::replicas::brokers(&after);
    stage.click(&format!("Undo: orders-0 is on {now} now"));
    stage.until("the way back", |p| held(p) == before && in_sync(p) == 3);
    assert_eq!(stage.source.latest().producers[0].failed, 0);
    stage.close();
}

#[test]
fn pictures_of_a_move() {
    pictures("move-preview", &four(), |window| {
        show(window);
        let state = window.state_mut().state_mut();
        state.select(orders_0());
        let then = [4, 2, 3].map(BrokerId).to_vec();
        state.dialog = Some(Dialog::Reassign("orders".into(), FIRST, then));
    });
    pictures("move-leader", &four(), |window| {
        show(window);
        let state = window.state_mut().state_mut();
        state.select(orders_0());
        state.dialog = Some(Dialog::MoveLeader("orders".into(), FIRST));
    });
    pictures("move-under-way", &moving(), |window| {
        show(window);
        window.state_mut().state_mut().select(orders_0());
    });
    for (name, onto) in [
        ("move-drag", "Broker 4 in the cluster"),
        ("move-drag-refused", "Broker 3 in the cluster"),
    ] {
        for dark in [true, false] {
            let mut window = open(&four(), SIZES[0], dark, |_| {});
            show(&mut window);
            drag(&mut window, "orders-0 on broker 2", onto);
            crate::rig::save(&mut window, name, dark, SIZES[0]);
        }
    }
}
