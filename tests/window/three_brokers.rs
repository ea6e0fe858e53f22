//! Three brokers in the window: one was killed, a follower lags; where each is said, and by what shape.

use std::sync::Arc;

use egui_kittest::kittest::Queryable;
use klar::app::state::{Dialog, Selection, TopicChoices, TopicTab, ViewKey};
use klar::ids::{BrokerEpoch, BrokerId, LeaderEpoch, Offset, PartitionIndex, Time};
use klar::inspect::*;
use klar::source::Source as _;

use crate::fixture::{Fixture, NOW_MS};
use crate::rig::{SIZES, Window, open, pictures};

pub const DEAD: BrokerId = BrokerId(2);

/// The shop on three brokers of which the second was killed a few seconds ago. `clicks` has one replica each.
pub fn shop() -> Fixture {
    shop_and(|_| {})
}

/// The same with something else changed.
pub fn shop_and(change: impl Fn(&mut ClusterSnapshot) + 'static) -> Fixture {
    let fixture = Fixture::shop();
    fixture.edit(move |picture| {
        picture.bootstrap = "127.0.0.1:9092,127.0.0.1:9093,127.0.0.1:9094".into();
        let first = picture.brokers[0].clone();
        picture.brokers = (1..=3).map(|id| broker(&first, id)).collect();
        for topic in &mut picture.topics {
            let topic = Arc::make_mut(topic);
            let factor = if topic.name == "clicks" { 1 } else { 3 };
            topic.replication_factor = factor;
            for config in std::sync::Arc::make_mut(&mut topic.configs) {
                if config.name == "min.insync.replicas" && factor == 3 {
                    config.value = "2".into();
                }
            }
            for partition in &mut topic.partitions {
                spread(partition, factor);
            }
            if topic.name == "orders" {
                lag(&mut topic.partitions[1]);
            }
            if topic.name == "payments" {
                leave(&mut topic.partitions[0]);
            }
        }
        picture.quorum = Some(quorum());
        happen(picture);
        change(picture);
    });
    fixture
}

pub fn broker(first: &BrokerSnapshot, id: i32) -> BrokerSnapshot {
    let dead = BrokerId(id) == DEAD;
    BrokerSnapshot {
        id: BrokerId(id),
        port: 9091 + u16::try_from(id).unwrap(),
        state: match dead {
            true => BrokerState::Killed,
            false => BrokerState::Running,
        },
        registration: Some(RegistrationSnapshot {
            broker: BrokerId(id),
            epoch: BrokerEpoch(11 + i64::from(id) * 2),
            fenced: dead,
            in_controlled_shutdown: false,
        }),
        settings: patient(first),
        ..first.clone()
    }
}

/// Puts a partition's replicas on brokers in turn; those of the dead one are what its files hold.
/// The settings of a broker with a longer session.
fn patient(first: &BrokerSnapshot) -> Vec<(String, String, bool)> {
    let mut settings = first.settings.clone();
    for (name, value, is_default) in &mut settings {
        if name == "broker.session.timeout.ms" {
            (*value, *is_default) = ("9000".into(), false);
        }
    }
    settings
}

pub fn spread(partition: &mut PartitionSnapshot, factor: i16) {
    let on = |nth: i32| BrokerId(1 + (partition.index.0 + nth) % 3);
    let replicas: Vec<BrokerId> = (0..i32::from(factor)).map(on).collect();
    let living = replicas.iter().copied().filter(|id| *id != DEAD);
    partition.isr = match factor {
        1 => replicas.clone(),
        _ => living.clone().collect(),
    };
    partition.leader = living.clone().next();
    if replicas[0] == DEAD && partition.leader.is_some() {
        partition.leader_epoch = LeaderEpoch(5);
    }
    let died_at = partition.log_end.0 * 95 / 100;
    partition.replicas = replicas
        .iter()
        .map(|id| ReplicaSnapshot {
            from_files: *id == DEAD,
            log_start: partition.log_start,
            log_end: match *id == DEAD {
                true => Offset(died_at),
                false => partition.log_end,
            },
            high_watermark: match *id == DEAD {
                true => Offset::NONE,
                false => partition.high_watermark,
            },
            leader_epoch: partition.leader_epoch,
            size: Some(LogSize::of(partition)),
            in_sync: partition.isr.contains(id),
            in_maximal_isr: *id != DEAD,
            caught_up_ms: (*id != DEAD && Some(*id) != partition.leader).then_some(0),
            state: match *id {
                DEAD => ReplicaState::Offline,
                id if Some(id) == partition.leader => ReplicaState::Leader,
                _ => ReplicaState::Follower,
            },
            ..ReplicaSnapshot::unknown(*id)
        })
        .collect();
}

/// A follower lacks the newest three records, so they are not committed.
fn lag(partition: &mut PartitionSnapshot) {
    let leader = partition.leader;
    let end = partition.log_end + -3;
    partition.high_watermark = end;
    for replica in &mut partition.replicas {
        replica.high_watermark = replica.high_watermark.min(end);
        if Some(replica.broker) != leader && replica.broker != DEAD {
            replica.log_end = end;
            replica.high_watermark = end;
            replica.caught_up_ms = Some(3_900);
            replica.leaves_isr_ms = Some(6_100);
        }
    }
}

/// A follower is so far behind that it is out of the ISR.
fn leave(partition: &mut PartitionSnapshot) {
    let leader = partition.leader.unwrap();
    partition.isr = vec![leader];
    for replica in &mut partition.replicas {
        replica.in_sync = replica.broker == leader;
        if replica.broker != leader && replica.broker != DEAD {
            replica.log_end += -30;
            replica.in_maximal_isr = false;
            replica.caught_up_ms = Some(31_000);
        }
    }
}

pub fn quorum() -> QuorumSnapshot {
    QuorumSnapshot {
        leader: Some(BrokerId(1)),
        epoch: LeaderEpoch(8),
        high_watermark: Offset(118),
        log_end: Offset(118),
        log_start: Offset(0),
        snapshot: None,
        replicas: (1..=3)
            .map(|id| QuorumReplica {
                broker: BrokerId(id),
                voter: true,
                log_end: Offset(if BrokerId(id) == DEAD { 101 } else { 118 }),
                lag: Some(if BrokerId(id) == DEAD { 17 } else { 0 }),
                fetched_ms: Some(120),
                caught_up_ms: Some(120),
            })
            .collect(),
    }
}

fn happen(picture: &mut ClusterSnapshot) {
    let silence = "no heartbeat came from broker 2 in time";
    let told = [
        (
            7_200,
            2,
            EventKind::BrokerKilled {
                cause: "somebody asked for it".into(),
            },
        ),
        (
            4_202,
            1,
            EventKind::BrokerUnheard {
                subject: DEAD,
                lost: Some(Time::from_ms(NOW_MS - 7_198)),
                waited_ms: 2_996,
                timeout_ms: 9_000,
            },
        ),
        (
            4_200,
            1,
            EventKind::BrokerFenced {
                subject: DEAD,
                cause: silence.into(),
            },
        ),
        (
            4_190,
            1,
            EventKind::LeaderElected {
                topic: "orders".into(),
                partition: PartitionIndex(1),
                from: Some(DEAD),
                to: Some(BrokerId(3)),
                epoch: LeaderEpoch(5),
                unclean: false,
                cause: silence.into(),
            },
        ),
        (
            4_180,
            3,
            EventKind::IsrChanged {
                topic: "orders".into(),
                partition: PartitionIndex(1),
                from: vec![BrokerId(1), DEAD, BrokerId(3)],
                to: vec![BrokerId(1), BrokerId(3)],
                cause: "broker 2 is fenced".into(),
            },
        ),
        (
            4_088,
            3,
            EventKind::FirstProduceAcked {
                topic: "orders".into(),
                partition: PartitionIndex(1),
                epoch: LeaderEpoch(5),
                after: Some(DEAD),
            },
        ),
    ];
    tell(picture, told);
}

/// Has brokers tell events so many milliseconds before now.
fn tell(picture: &mut ClusterSnapshot, told: impl IntoIterator<Item = (i64, i32, EventKind)>) {
    for (before_ms, by, kind) in told {
        picture.event_number += 1;
        picture.events.push(Arc::new(Event {
            number: picture.event_number,
            time: Time::from_ms(NOW_MS - before_ms),
            broker: Some(BrokerId(by)),
            kind,
        }));
    }
}

fn log_of(window: &mut Window, topic: &str, selected: Selection) {
    let state = window.state_mut().state_mut();
    state.open_topic(topic);
    let choices = TopicChoices {
        tab: TopicTab::Log,
        ..TopicChoices::default()
    };
    state.set_choices(topic, choices);
    state.select(selected);
    for _ in 0..4 {
        window.step();
    }
}

fn orders_1() -> Selection {
    Selection::Partition("orders".into(), PartitionIndex(1))
}

#[test]
fn topics_while_a_broker_is_dead() {
    pictures("cluster-topics", &shop(), |window| {
        window
            .state_mut()
            .state_mut()
            .select(Selection::Broker(DEAD));
    });
}

#[test]
fn log_lanes_with_replicas() {
    pictures("cluster-log", &shop(), |window| {
        log_of(window, "orders", orders_1());
    });
}

#[test]
fn log_lanes_of_a_follower_out_of_sync() {
    pictures("cluster-log-behind", &shop(), |window| {
        let selected = Selection::Partition("payments".into(), PartitionIndex(0));
        log_of(window, "payments", selected);
    });
}

#[test]
fn a_topic_for_three_brokers_is_created() {
    pictures("cluster-create-topic", &shop(), |window| {
        window.state_mut().state_mut().dialog = Some(Dialog::CreateTopic);
    });
}

#[test]
fn bars_and_a_heatmap_with_partitions_without_leader() {
    pictures("cluster-log-bars", &shop(), |window| {
        let state = window.state_mut().state_mut();
        state.remembered.internal_topics = true;
        log_of(window, "__consumer_offsets", Selection::Nothing);
    });
}

#[test]
fn the_timeline_names_failover() {
    pictures("cluster-timeline", &shop(), |window| {
        let state = window.state_mut().state_mut();
        state.go_to(ViewKey::Timeline);
        state.select(orders_1());
    });
}

#[test]
fn what_is_wrong_is_said_in_words() {
    let fixture = shop();
    let picture = fixture.latest();
    let mut window = open(&fixture, SIZES[0], true, |_| {});
    window.run();
    window.get_by_label(
        "Health: 2 of 3 brokers · controller 1 · 4 without leader · 56 under-replicated",
    );
    window.get_by_label("Broker 1, controller");
    window.get_by_label("Broker 3, :9094");
    window.get_by_label("Broker 2 killed");
    window.get_by_label("Broker 2, killed").click();
    window.run();
    let selected = window.state_mut().state_mut().selection.clone();
    assert_eq!(selected, Selection::Broker(DEAD));
    log_of(&mut window, "orders", orders_1());
    let end = picture.topics[3].partitions[1].log_end.0;
    let died_at = end * 95 / 100;
    for said in [
        format!("Broker 3, leader, log end {end}, behind –"),
        format!("Broker 1, in-sync, log end {}, behind 3", end - 3),
        format!(
            "Broker 2, offline, log end {died_at}, behind {}",
            end - died_at
        ),
    ] {
        window.get_by_label(&said);
    }
}

#[test]
fn a_topic_gets_as_many_replicas_as_asked_for() {
    let fixture = shop();
    let mut window = open(&fixture, SIZES[0], true, |state| {
        state.dialog = Some(Dialog::CreateTopic);
    });
    window.run();
    window.get_by_label("Topic name").type_text("shipments");
    window.run();
    // The primary button behind the dialog has the same name.
    let buttons: Vec<_> = window.get_all_by_label("Create topic").collect();
    buttons.last().unwrap().click();
    window.run();
    let created = fixture.commands().into_iter().find_map(|c| match c {
        Command::CreateTopic {
            replication_factor, ..
        } => Some(replication_factor),
        _ => None,
    });
    assert_eq!(created, Some(3));
}
