//! Thousands of partitions in the cluster's picture: a tile for each replica, what it says, and how it is reached.

use std::sync::Arc;

use egui::{Key, Rect};
use egui_kittest::kittest::Queryable;
use klar::app::state::{Selection, ViewKey};
use klar::ids::{BrokerId, PartitionIndex};
use klar::inspect::*;
use klar::source::Source as _;

use crate::cluster::{healthy, show};
use crate::fixture::{Fixture, made};
use crate::rig::{SIZES, Window, click_at, open, pictures};

const DEAD: BrokerId = BrokerId(4);
const BEHIND: BrokerId = BrokerId(7);

/// Ten brokers and 3,000 partitions with three replicas each. One broker is dead, and another is too slow for a tenth of
/// what it holds.
pub fn thousands() -> Fixture {
    let topics = [
        ("clicks", 900),
        ("events", 1_200),
        ("orders", 300),
        ("views", 600),
    ];
    uneven(&topics, 10, |topic| match topic {
        "events" => 6,
        "orders" => 1,
        _ => 3,
    })
}

/// Topics of so many partitions with logs of different size, a topic's times its `scale`.
fn uneven(topics: &[(&str, i32)], brokers: i32, scale: impl Fn(&str) -> u64) -> Fixture {
    let topics = topics.iter();
    let topics = topics.map(|(name, partitions)| made(name, *partitions, 200_000, 900.0));
    let mut picture = ClusterSnapshot::clone(&healthy(topics.collect(), brokers, 3).latest());
    for topic in &mut picture.topics {
        let topic = Arc::make_mut(topic);
        let scale = scale(&topic.name);
        for partition in &mut topic.partitions {
            differ(partition, scale);
        }
    }
    for broker in &mut picture.brokers {
        if broker.id == DEAD {
            broker.state = BrokerState::Killed;
        }
    }
    let fixture = Fixture::new(Vec::new());
    fixture.edit(move |now| {
        *now = ClusterSnapshot {
            time: now.time,
            ..picture.clone()
        };
    });
    fixture
}

/// Gives its replicas sizes that differ, and what is wrong with two of the brokers.
fn differ(p: &mut PartitionSnapshot, scale: u64) {
    let nth = u64::from(p.index.0.unsigned_abs());
    // A few hot partitions, many small ones.
    let bytes = scale * (40 + 1_000 / (1 + nth * 7_919 % 97)) * 1_000_000;
    p.bytes = bytes;
    let leader = p.leader;
    for replica in &mut p.replicas {
        replica.size = Some(LogSize { bytes, segments: 3 });
        if replica.broker == DEAD {
            replica.state = ReplicaState::Offline;
        } else if replica.broker == BEHIND && leader != Some(BEHIND) && nth / 10 % 10 == 0 {
            replica.log_end += -4_000;
        } else {
            continue;
        }
        replica.in_sync = false;
        replica.in_maximal_isr = false;
    }
    p.isr = p
        .replicas
        .iter()
        .filter(|r| r.in_sync)
        .map(|r| r.broker)
        .collect();
    if leader == Some(DEAD) {
        p.leader = p.isr.first().copied();
        for replica in &mut p.replicas {
            if Some(replica.broker) == p.leader {
                replica.state = ReplicaState::Leader;
            }
        }
    }
}

fn heatmap_of(window: &Window, broker: i32) -> Rect {
    let said = format!("Heatmap of broker {broker}, ");
    window.get_by_label_contains(&said).rect()
}

#[test]
fn ten_brokers_with_three_thousand_partitions() {
    pictures("cluster-heatmap", &thousands(), |window| {
        show(window);
        let selected = Selection::Partition("orders".into(), PartitionIndex(30));
        window.state_mut().state_mut().select(selected);
    });
}

#[test]
fn three_brokers_with_a_thousand_partitions() {
    let topics = [
        ("clicks", 60),
        ("events", 700),
        ("orders", 120),
        ("payments", 12),
        ("views", 108),
    ];
    let fixture = uneven(&topics, 3, |_| 3);
    pictures("cluster-heatmap-three", &fixture, |window| {
        show(window);
        window.hover_at(heatmap_of(window, 1).left_top() + egui::vec2(90.0, 45.0));
        for _ in 0..4 {
            window.step();
        }
    });
}

#[test]
fn a_heatmap_says_in_words_what_it_shows() {
    let mut window = open(&thousands(), SIZES[0], true, |_| {});
    show(&mut window);
    window.get_by_label_contains("Heatmap of broker 1, 900 replicas of 4 topics: 300 leader, 600 in-sync. Largest on disk: events-");
    window.get_by_label_contains("Heatmap of broker 4, 900 replicas of 4 topics: 900 offline.");
    let behind = "clicks-4 on broker 7: out of ISR, log end ";
    window.get_by_label_contains(behind);
}

#[test]
fn a_tile_is_selected_by_a_click_and_by_the_arrow_keys() {
    let mut window = open(&thousands(), SIZES[0], true, |_| {});
    show(&mut window);
    let heatmap = heatmap_of(&window, 1);
    click_at(&mut window, heatmap.left_top() + egui::vec2(2.0, 2.0));
    let selected = window.state_mut().state_mut().selection.clone();
    let first = Selection::Partition("clicks".into(), PartitionIndex(0));
    assert_eq!(selected, first, "the first tile");

    window
        .get_by_label_contains("Heatmap of broker 1, ")
        .focus();
    window.run();
    let mut seen = vec![first.clone()];
    for key in [
        Key::ArrowDown,
        Key::ArrowRight,
        Key::ArrowUp,
        Key::ArrowLeft,
    ] {
        window.key_press(key);
        window.run();
        seen.push(window.state_mut().state_mut().selection.clone());
    }
    assert_eq!(seen[4], first, "around and back: {seen:?}");
    seen.pop();
    seen.dedup();
    assert_eq!(seen.len(), 4, "{seen:?}");
    window.key_press(Key::Enter);
    window.run();
    let state = window.state_mut().state_mut();
    assert_eq!(
        (state.view, state.open_topic.as_deref()),
        (ViewKey::Topics, Some("clicks"))
    );
}

#[test]
fn the_filter_leaves_the_tiles_of_the_topics_that_match() {
    let mut window = open(&thousands(), SIZES[0], true, |_| {});
    show(&mut window);
    window.key_press(Key::Slash);
    window.run();
    window.get_by_label("Filter by topic").type_text("orders");
    window.run();
    window.get_by_label_contains("Heatmap of broker 1, 90 replicas of 1 topic: ");
}
