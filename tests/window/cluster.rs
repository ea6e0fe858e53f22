//! The cluster as one picture: cards, lanes, links, requests, and what is told of each in words.

use std::sync::Arc;

use egui_kittest::kittest::Queryable;
use klar::app::App;
use klar::app::state::{Dialog, Selection, ViewKey};
use klar::ids::{BrokerId, Offset, PartitionIndex, Time};
use klar::inspect::*;
use klar::source::Source as _;

use crate::fixture::{Fixture, NOW_MS, made};
use crate::rig::{SIZES, Window, open, pictures};
use crate::three_brokers::{self, DEAD};

pub fn show(window: &mut Window) {
    window.state_mut().state_mut().go_to(ViewKey::Cluster);
    for _ in 0..4 {
        window.step();
    }
}

/// A cluster of `brokers` on which every partition of these topics has `factor` replicas, all well.
pub fn healthy(topics: Vec<crate::fixture::Made>, brokers: i32, factor: i32) -> Fixture {
    let fixture = Fixture::new(topics);
    fixture.edit(move |picture| {
        let first = picture.brokers[0].clone();
        picture.brokers = (1..=brokers).map(|id| running(&first, id)).collect();
        picture.quorum = Some(three_brokers::quorum());
        picture.bootstrap = "127.0.0.1:9092,127.0.0.1:9093,127.0.0.1:9094".into();
        for topic in &mut picture.topics {
            let topic = Arc::make_mut(topic);
            topic.replication_factor = factor as i16;
            for p in &mut topic.partitions {
                place(p, brokers, factor);
            }
        }
        picture.in_flight = fetches(&picture.topics);
        connect(picture, brokers);
    });
    fixture
}

/// The clients are connected to the brokers they write to and read from; one of them waits for an answer.
fn connect(picture: &mut ClusterSnapshot, brokers: i32) {
    let shown = std::mem::take(&mut picture.connections);
    for connection in shown {
        for id in (1..=brokers).map(BrokerId) {
            let mut other = connection.clone();
            other.broker = id;
            if connection.client_id == "kcat" {
                other.last_api = "Fetch v11".into();
            }
            picture.connections.push(other);
        }
    }
    picture.in_flight.push(InFlight {
        from: Asker::Client(klar::ids::ConnectionId(2)),
        to: BrokerId(1),
        api: "Fetch v11".into(),
        since: Time::from_ms(NOW_MS - 90),
        waits_for: WaitsFor::Records,
        partitions: Vec::new(),
    });
}

fn running(first: &BrokerSnapshot, id: i32) -> BrokerSnapshot {
    let mut broker = three_brokers::broker(first, id);
    broker.state = BrokerState::Running;
    broker.registration = broker.registration.map(|one| RegistrationSnapshot {
        fenced: false,
        ..one
    });
    broker
}

/// Puts a partition's replicas on brokers in turn, all with everything.
fn place(p: &mut PartitionSnapshot, brokers: i32, factor: i32) {
    let on = |nth: i32| BrokerId(1 + (p.index.0 + nth) % brokers);
    let replicas: Vec<BrokerId> = (0..factor).map(on).collect();
    p.isr.clone_from(&replicas);
    p.leader = replicas.first().copied();
    let replica = |id: &BrokerId| ReplicaSnapshot {
        log_start: p.log_start,
        log_end: p.log_end,
        high_watermark: p.high_watermark,
        leader_epoch: p.leader_epoch,
        size: Some(LogSize::of(p)),
        in_sync: true,
        in_maximal_isr: true,
        caught_up_ms: (Some(*id) != p.leader).then_some(0),
        state: match Some(*id) == p.leader {
            true => ReplicaState::Leader,
            false => ReplicaState::Follower,
        },
        ..ReplicaSnapshot::unknown(*id)
    };
    p.replicas = replicas.iter().map(replica).collect();
}

/// Each follower's fetch waits at its leader, as in a cluster where nothing is written.
fn fetches(topics: &[Arc<TopicSnapshot>]) -> Vec<InFlight> {
    let mut pairs = std::collections::BTreeMap::new();
    for topic in topics {
        for p in &topic.partitions {
            let Some(leader) = p.leader else { continue };
            for replica in p.replicas.iter().filter(|r| r.broker != leader) {
                let about: &mut Vec<_> = pairs.entry((replica.broker, leader)).or_default();
                about.push((topic.name.clone(), p.index));
            }
        }
    }
    let fetch = |((from, to), mut about): ((BrokerId, BrokerId), Vec<_>)| {
        about.truncate(IN_FLIGHT_PARTITIONS);
        InFlight {
            from: Asker::Broker(from),
            to,
            api: "Fetch v18".into(),
            since: Time::from_ms(NOW_MS - 312),
            waits_for: WaitsFor::Records,
            partitions: about,
        }
    };
    pairs.into_iter().map(fetch).collect()
}

pub fn orders() -> Vec<crate::fixture::Made> {
    vec![
        made("orders", 3, 1_042, 50.0),
        made("payments", 1, 311, 12.0),
    ]
}

#[test]
fn the_window_opens_with_the_cluster() {
    let app = App::new(Box::new(Fixture::shop()), None);
    let mut app = app.with_still_clock();
    assert_eq!(app.state_mut().view, ViewKey::Cluster);
}

#[test]
fn a_healthy_cluster() {
    pictures("cluster", &healthy(orders(), 3, 3), |window| {
        show(window);
        window
            .state_mut()
            .state_mut()
            .select(Selection::Partition("orders".into(), PartitionIndex(1)));
    });
}

#[test]
fn a_killed_broker_a_laggard_and_faulty_links() {
    let fixture = three_brokers::shop();
    pictures("cluster-faults", &fixture, |window| {
        show(window);
        window
            .state_mut()
            .state_mut()
            .select(Selection::Broker(DEAD));
    });
}

/// What becomes of a partition whose replicas on these brokers are away.
fn without(p: &mut PartitionSnapshot, gone: &[BrokerId]) {
    p.isr.retain(|id| !gone.contains(id));
    p.leader = p.isr.first().copied();
    for replica in &mut p.replicas {
        replica.in_sync = p.isr.contains(&replica.broker);
        replica.state = match (replica.in_sync, replica.broker == BrokerId(4)) {
            (true, _) if p.leader == Some(replica.broker) => ReplicaState::Leader,
            // Fenced, yet it runs.
            (true, _) | (false, true) => ReplicaState::Follower,
            (false, false) => ReplicaState::Offline,
        };
        if !replica.in_sync {
            replica.log_end += -7;
            replica.from_files = replica.broker != BrokerId(4);
        }
    }
}

/// Six brokers, each in another state, and a link of each kind.
pub fn troubled() -> Fixture {
    let fixture = healthy(orders(), 6, 3);
    let base = fixture.latest();
    let fixture = Fixture::new(orders());
    fixture.edit(move |picture| {
        let lanes = std::mem::take(&mut picture.lanes);
        *picture = ClusterSnapshot {
            lanes,
            ..(*base).clone()
        };
        let states = [
            BrokerState::Running,
            BrokerState::Paused,
            BrokerState::Stopped,
            BrokerState::Running,
            BrokerState::Starting,
            BrokerState::Crashed {
                message: "index out of bounds: the len is 4 but the index is 4".into(),
            },
        ];
        for (broker, state) in picture.brokers.iter_mut().zip(states) {
            broker.state = state;
        }
        for id in [3, 4, 5, 6] {
            if let Some(one) = &mut picture.brokers[id - 1].registration {
                one.fenced = true;
            }
        }
        for topic in &mut picture.topics {
            for p in &mut Arc::make_mut(topic).partitions {
                without(p, &[BrokerId(3), BrokerId(4), BrokerId(5), BrokerId(6)]);
            }
        }
        let link = |from, to, cut, delay_ms| LinkSnapshot {
            from: BrokerId(from),
            to: BrokerId(to),
            cut,
            delay_ms,
        };
        picture.links = vec![
            link(1, 4, true, 0),
            link(4, 1, true, 0),
            link(1, 2, false, 200),
            link(2, 1, false, 200),
            link(4, 5, true, 0),
        ];
    });
    fixture
}

#[test]
fn six_brokers_in_every_state() {
    pictures("cluster-states", &troubled(), |window| {
        show(window);
        window
            .state_mut()
            .state_mut()
            .select(Selection::Link(BrokerId(1), BrokerId(4)));
    });
}

#[test]
fn every_state_and_link_is_said_in_words() {
    let mut window = open(&troubled(), SIZES[0], true, |_| {});
    show(&mut window);
    for said in [
        "Broker 1 in the cluster: running, controller, ",
        "Broker 2 in the cluster: paused, ",
        "Broker 3 in the cluster: stopped, ",
        "Broker 4 in the cluster: running, fenced, ",
        "Broker 6 in the cluster: crashed, ",
        "Link between broker 1 and broker 4: nothing arrives from 1 at 4, nothing arrives from 4 at 1",
        "Link between broker 4 and broker 5: nothing arrives from 4 at 5",
        "Link between broker 1 and broker 2: 200 ms longer from 1 to 2, 200 ms longer from 2 to 1",
        "Link between broker 2 and broker 3: broker 2 is paused",
    ] {
        window.get_by_label_contains(said);
    }
}

#[test]
fn a_narrow_card_says_its_brokers_state_in_whole_words() {
    let mut window = open(&troubled(), SIZES[1], true, |_| {});
    show(&mut window);
    for said in ["stopped", "starting · fenced", "crashed", "fenced"] {
        let labels = window.get_all_by_role_and_label(egui::accesskit::Role::Label, said);
        assert!(labels.count() > 0, "{said}");
    }
}

#[test]
fn ten_brokers_with_three_hundred_partitions() {
    let topics = vec![made("load", 300, 1_000_000, 50_000.0)];
    pictures("cluster-ten", &healthy(topics, 10, 3), show);
}

#[test]
fn bars_on_three_brokers() {
    let topics = vec![made("load", 36, 9_000, 5_000.0)];
    pictures("cluster-bars", &healthy(topics, 3, 3), show);
}

#[test]
fn one_broker_alone() {
    pictures("cluster-alone", &Fixture::shop(), show);
}

#[test]
fn a_cluster_without_topics() {
    pictures("cluster-empty", &healthy(Vec::new(), 3, 3), show);
}

#[test]
fn the_first_thing_to_do_is_offered_where_the_window_opens() {
    let mut window = open(&healthy(Vec::new(), 3, 3), SIZES[0], true, |_| {});
    show(&mut window);
    window.get_by_label("Create topic").click();
    window.run();
    let dialog = window.state_mut().state_mut().dialog.clone();
    assert_eq!(dialog, Some(Dialog::CreateTopic));
}

#[test]
fn lanes_say_what_their_shapes_show_and_a_click_selects() {
    let fixture = three_brokers::shop();
    let mut window = open(&fixture, SIZES[0], true, |_| {});
    show(&mut window);
    window.key_press(egui::Key::Slash);
    window.run();
    window.get_by_label("Filter by topic").type_text("orders");
    window.run();
    let picture = fixture.latest();
    let p = &picture.topics[3].partitions[1];
    let lane = format!(
        "orders-1 on broker 3: leader, log end {}, high watermark {}, leader epoch 5",
        klar::app::format::signed(p.log_end.0),
        klar::app::format::signed(p.high_watermark.0)
    );
    window.get_by_label(&lane);
    window.get_by_label_contains("orders-1 on broker 1: in-sync");
    window.get_by_label_contains("3 behind its leader, leaves the ISR in 6.1 s");
    window.get_by_label_contains("orders-1 on broker 2: offline");
    assert!(
        window
            .query_by_label_contains("payments-0 on broker")
            .is_none()
    );
    window.get_by_label(&lane).click();
    window.run();
    let selected = Selection::Partition("orders".into(), PartitionIndex(1));
    assert_eq!(window.state_mut().state_mut().selection, selected);
}

#[test]
fn requests_between_brokers_are_told_as_the_picture_has_them() {
    let fixture = healthy(orders(), 3, 3);
    let mut window = open(&fixture, SIZES[0], true, |_| {});
    show(&mut window);
    window.get_by_label_contains("Fetch v18 from broker 2 to broker 1, sent 312 ms ago, waits there for records, about orders-0");
    window
        .get_by_label_contains("Link between broker 1 and broker 2: as good as new")
        .click();
    window.run();
    let selected = window.state_mut().state_mut().selection.clone();
    assert_eq!(selected, Selection::Link(BrokerId(1), BrokerId(2)));
    window.get_by_label("Requests without an answer");
}

#[test]
fn clients_stand_beside_the_brokers_where_there_is_room() {
    let mut window = open(&healthy(orders(), 3, 3), SIZES[0], true, |_| {});
    show(&mut window);
    let said = "Client kcat, connected to brokers 1, 2 and 3, last Fetch v11 · librdkafka 2.0.2";
    window.get_by_label_contains(said).click();
    window.run();
    let selected = window.state_mut().state_mut().selection.clone();
    assert_eq!(
        selected,
        Selection::Connection(BrokerId(1), klar::ids::ConnectionId(2))
    );
    window.get_by_label_contains("Fetch v11 to broker 1, waits there for records");
    let mut window = open(&healthy(orders(), 3, 3), SIZES[1], true, |_| {});
    show(&mut window);
    assert!(
        window
            .query_by_label_contains("Client kcat, connected")
            .is_none()
    );
}

#[test]
fn pictures_are_asked_for_the_records_in_sight_of_every_topic() {
    let fixture = healthy(orders(), 3, 3);
    let mut window = open(&fixture, SIZES[0], true, |_| {});
    show(&mut window);
    let lanes = fixture.focus().lanes;
    let topics: Vec<&str> = lanes.iter().map(|one| one.topic.as_str()).collect();
    assert_eq!(topics, ["orders", "payments"]);
    let end = fixture.latest().topics[0].partitions[0].log_end;
    let (_, from, count) = lanes[0].ranges[0];
    assert!(from < end && from + i64::from(count) >= end && from > Offset(end.0 - 300));
}

#[test]
fn brokers_are_killed_and_brought_back_from_the_picture_by_key_and_from_the_palette() {
    let fixture = three_brokers::shop();
    let mut window = open(&fixture, SIZES[0], true, |_| {});
    show(&mut window);
    let broker = BrokerId(3);
    window.get_by_label("Kill broker 3").click();
    window.run();
    // From nothing to the first broker, and on to the third.
    for _ in 0..3 {
        window.key_press(egui::Key::ArrowDown);
        window.run();
    }
    for (modifiers, key) in [
        (egui::Modifiers::NONE, egui::Key::K),
        (egui::Modifiers::SHIFT, egui::Key::K),
        (egui::Modifiers::NONE, egui::Key::Z),
        (egui::Modifiers::NONE, egui::Key::R),
    ] {
        window.key_press_modifiers(modifiers, key);
        window.run();
    }
    palette(&mut window, "restart broker 2");
    // What is broken says so and has its way back, in every view.
    window.state_mut().state_mut().go_to(ViewKey::Storage);
    window.run();
    window.get_by_label("Undo: Restart").click();
    window.run();
    let dead = Command::RestartBroker { broker: DEAD };
    let expected = [
        Command::KillBroker { broker },
        Command::KillBroker { broker },
        Command::StopBroker { broker },
        Command::PauseBroker { broker },
        Command::RestartBroker { broker },
        dead.clone(),
        dead,
    ];
    assert_eq!(fixture.commands(), expected);
}

pub fn palette(window: &mut Window, typed: &str) {
    window.key_press_modifiers(egui::Modifiers::COMMAND, egui::Key::K);
    window.run();
    let field = window.get_by_label("Search topics, groups, brokers and actions");
    field.type_text(typed);
    window.run();
    window.key_press(egui::Key::Enter);
    window.run();
}

#[test]
fn links_are_cut_slowed_and_healed_and_a_broker_is_added() {
    let fixture = troubled();
    let mut window = open(&fixture, SIZES[0], true, |_| {});
    show(&mut window);
    let (a, b) = (BrokerId(1), BrokerId(3));
    window.state_mut().state_mut().select(Selection::Link(a, b));
    window.run();
    window.get_by_label("Cut 1→3 of link 1–3").click();
    window.run();
    window.key_press(egui::Key::X);
    window.run();
    window.get_by_label("Slow by 200 ms: link 1–3").click();
    window.run();
    window.get_by_label("Undo: Heal all links").click();
    window.run();
    // One of them alone: on the picture, by key, from the palette.
    window.get_by_label("Heal link 4–5").click();
    window.run();
    let slow = Selection::Link(BrokerId(1), BrokerId(2));
    window.state_mut().state_mut().select(slow);
    window.run();
    window.key_press(egui::Key::H);
    window.run();
    palette(&mut window, "heal link 1 4");
    palette(&mut window, "cut link 2 3");
    window.get_by_label("Add a broker").click();
    window.run();
    let cut = |from, to, both_ways| Command::CutLink {
        from,
        to,
        both_ways,
    };
    let heal = |a, b| Command::HealLink {
        a: BrokerId(a),
        b: BrokerId(b),
    };
    let expected = [
        cut(a, b, false),
        cut(a, b, true),
        Command::SlowLink {
            a,
            b,
            delay_ms: 200,
        },
        Command::HealLinks,
        heal(4, 5),
        heal(1, 2),
        heal(1, 4),
        cut(BrokerId(2), b, true),
        Command::AddBroker,
    ];
    assert_eq!(fixture.commands(), expected);
}

#[test]
fn the_plug_is_pulled_once_that_was_confirmed() {
    let fixture = three_brokers::shop();
    let mut window = open(&fixture, SIZES[0], true, |_| {});
    show(&mut window);
    window.get_by_label("Pull the plug").click();
    window.run();
    window.get_by_label_contains("an ack waits until a record is written");
    window.get_by_label("Cancel").click();
    window.run();
    assert_eq!(fixture.commands(), []);
    window.key_press_modifiers(egui::Modifiers::SHIFT, egui::Key::P);
    window.run();
    let buttons = window.get_all_by_role_and_label(egui::accesskit::Role::Button, "Pull the plug");
    buttons
        .last()
        .expect("the dialog's, above the view's")
        .click();
    window.run();
    assert_eq!(fixture.commands(), [Command::PullPlug]);
}

#[test]
fn another_leader_is_elected_among_those_in_sync() {
    let fixture = three_brokers::shop();
    let mut window = open(&fixture, SIZES[0], true, |_| {});
    show(&mut window);
    let partition = PartitionIndex(1);
    let selection = Selection::Partition("orders".into(), partition);
    window.state_mut().state_mut().select(selection);
    window.run();
    window.get_by_label("Move leader").click();
    window.run();
    let dead = "Elect broker 2 as leader of orders-1";
    assert!(window.query_by_label(dead).is_none(), "it does not run");
    window.get_by_label("broker 2 is killed");
    window
        .get_by_label("Elect broker 1 as leader of orders-1")
        .click();
    window.run();
    let expected = Command::ElectLeader {
        topic: "orders".into(),
        partition,
        broker: BrokerId(1),
        unclean: false,
    };
    assert_eq!(fixture.commands(), [expected]);
    window
        .get_by_label("Undo: orders-1: broker 1 instead of 3")
        .click();
    window.run();
    let back = Command::ElectLeader {
        topic: "orders".into(),
        partition,
        broker: BrokerId(3),
        unclean: false,
    };
    assert_eq!(fixture.commands().last(), Some(&back));
}

#[test]
fn a_failover_is_timed_on_the_page_and_in_the_inspector() {
    let mut window = open(&three_brokers::shop(), SIZES[0], true, |_| {});
    show(&mut window);
    window
        .get_by_label_contains("Broker 2 killed.\ndetected +2.0 ms: 2.0 ms later: controller 1")
        .click();
    window.run();
    let selected = window.state_mut().state_mut().selection.clone();
    assert_eq!(selected, Selection::Broker(DEAD));
    let fenced = "fenced +3,000 ms: 2,998 ms later, a third of broker.session.timeout.ms = 9000: ";
    let said = window.query_all_by_label_contains(fenced).count();
    assert_eq!(
        said, 2,
        "in the line above the picture and in the inspector"
    );
    let acked = "first produce acked +3,112 ms: 102 ms later, the client's retry.backoff.ms: \
                 broker 3 acknowledged a produce to orders-1.";
    window.get_by_label(acked).click();
    window.run();
    let selected = window.state_mut().state_mut().selection.clone();
    assert!(matches!(selected, Selection::Event(_)), "{selected:?}");
}

#[test]
fn metrics_say_what_they_were_before_the_last_fault() {
    let mut window = open(&three_brokers::shop(), SIZES[0], true, |_| {});
    show(&mut window);
    for said in [
        "Under-replicated 0 → 56",
        "Offline 0 → 4",
        "Fenced 0 → 1",
        "ISR shrinks 0 → 1",
        "ISR expands 0",
        "Elections 0 → 1 · 3,010 ms",
        "Failed produces 0",
    ] {
        window.get_by_label(said);
    }
    // Where there is little room those that say nothing give way.
    let mut window = open(&three_brokers::shop(), SIZES[1], true, |_| {});
    show(&mut window);
    window.get_by_label("Offline 0 → 4");
    assert!(window.query_by_label("ISR expands 0").is_none());
}

#[test]
fn what_just_happened_to_a_partition_begins_with_its_broker() {
    let mut window = open(&three_brokers::shop(), SIZES[0], true, |_| {});
    show(&mut window);
    let selection = Selection::Partition("orders".into(), PartitionIndex(1));
    window.state_mut().state_mut().select(selection);
    window.run();
    for said in [
        "Broker 3 leads orders-1 with epoch 5 after broker 2: no heartbeat came from broker 2",
        "Broker 2 is fenced, so it leads nothing and is in no ISR: no heartbeat came",
        "Killed, its connections reset and nothing flushed: somebody asked for it.",
    ] {
        window.get_by_label_contains(said);
    }
}
