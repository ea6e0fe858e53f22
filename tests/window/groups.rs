//! Consumer groups: the list, one group's page, and what it says of members, offsets and rebalances.

use std::sync::Arc;

use egui::Key;
use egui_kittest::kittest::{NodeT as _, Queryable};
use klar::app::panels::reset_form::How;
use klar::app::state::{GroupTab, Selection, ViewKey};
use klar::ids::*;
use klar::inspect::*;
use klar::source::Source as _;

use crate::cluster::palette;
use crate::fixture::{Fixture, NOW_MS, made};
use crate::rig::{SIZES, Window, open, pictures};

/// Milliseconds ago that c2 left the group, and came back.
const LEFT_MS: i64 = 126_000;
const BACK_MS: i64 = 84_000;

/// A member in few words: name, what it subscribes to, what it owns.
pub fn member(name: &str, topics: &[&str], assigned: &[(&str, &[i32])]) -> GroupMember {
    let owned = |(topic, partitions): &(&str, &[i32])| TopicPartitions {
        topic: (*topic).into(),
        partitions: partitions.iter().copied().map(PartitionIndex).collect(),
    };
    GroupMember {
        id: format!("{name}-5b0e8a3c-60f1-4f0e-9a53-{:012x}", name.len() * 7_919),
        instance: None,
        client_id: name.into(),
        host: "/127.0.0.1".into(),
        protocol: klar::inspect::GroupType::Classic,
        subscribed: topics.iter().map(|topic| (*topic).into()).collect(),
        assigned: assigned.iter().map(owned).collect(),
        session_timeout_ms: 45_000,
        rebalance_timeout_ms: 300_000,
        epoch: 4,
        reconciliation: None,
    }
}

pub fn group(name: &str, members: Vec<GroupMember>) -> GroupSnapshot {
    let state = match members.is_empty() {
        true => "Empty",
        false => "Stable",
    };
    GroupSnapshot {
        group: name.into(),
        kind: GroupType::Classic,
        coordinator: BrokerId(1),
        orphaned: false,
        offsets_partition: PartitionIndex(17),
        state: state.into(),
        since: Time::from_ms(NOW_MS - BACK_MS + 180),
        protocol_type: "consumer".into(),
        assignor: if members.is_empty() { "" } else { "range" }.into(),
        generation: 4,
        leader: members.first().map(|member| member.id.clone()),
        cause: String::new(),
        members,
        offsets: Vec::new(),
    }
}

/// Commits every partition of a topic, so far behind its end.
pub fn commit(
    picture: &ClusterSnapshot,
    group: &mut GroupSnapshot,
    topic: &str,
    behind: impl Fn(i32) -> i64,
) {
    let topic = picture.topics.iter().find(|t| t.name == topic).unwrap();
    for p in &topic.partitions {
        let end = p.high_watermark.0;
        group.offsets.push(GroupOffset {
            topic: topic.name.clone(),
            partition: p.index,
            committed: Offset((end - behind(p.index.0)).max(0)),
            leader_epoch: LeaderEpoch(4),
            metadata: String::new(),
            at: Time(picture.time.0 - 1_400_000),
        });
    }
}

/// Lag of a partition of orders: a wave, and a hill while c2 was away.
fn billing_lag(partition: i32, ms: i64) -> i64 {
    let s = ms as f64 / 1_000.0;
    let away = (s + LEFT_MS as f64 / 1_000.0).clamp(0.0, (LEFT_MS - BACK_MS) as f64 / 1_000.0);
    let since = (s + BACK_MS as f64 / 1_000.0).max(0.0);
    let hill = away * [4.4, 6.6, 2.8][partition as usize] * (-since / 31.0).exp();
    let wave = 8.0 * (s / 9.0 + f64::from(partition)).sin();
    (hill + wave + [28.0, 24.0, 12.0][partition as usize]) as i64
}

/// Groups as a shop has them at a moment.
fn shop_groups(picture: &mut ClusterSnapshot) {
    let ms = picture.time.as_ms() - NOW_MS;
    let orders = &["orders"];
    let away = (-LEFT_MS..-BACK_MS).contains(&ms);
    let mut c1 = member("c1", orders, &[("orders", &[0, 1])]);
    let mut members = Vec::new();
    if away {
        c1 = member("c1", orders, &[("orders", &[0, 1, 2])]);
    } else {
        members.push(member("c2", orders, &[("orders", &[2])]));
    }
    members.insert(0, c1);
    let mut c3 = member("python app", orders, &[]);
    c3.instance = Some("c3".into());
    members.push(c3);
    let mut billing = group("billing", members);
    billing.assignor = "cooperative-sticky".into();
    commit(picture, &mut billing, "orders", |p| billing_lag(p, ms));
    let mut audit = group(
        "audit",
        vec![member("a1", orders, &[("orders", &[0, 1, 2])])],
    );
    audit.offsets_partition = PartitionIndex(3);
    commit(picture, &mut audit, "orders", |_| 0);
    let mut reports = group("nightly-reports", Vec::new());
    commit(picture, &mut reports, "payments", |p| {
        120 + i64::from(p) * 40
    });
    picture.groups = [audit, billing, reports].map(Arc::new).into();
    let change = |ago: i64, from: &str, to: &str, generation, members, cause: &str| {
        let kind = EventKind::GroupChanged {
            group: "billing".into(),
            from: from.into(),
            to: to.into(),
            generation,
            members,
            cause: cause.into(),
        };
        (NOW_MS - ago, kind)
    };
    let changes = [
        change(LEFT_MS, "Stable", "PreparingRebalance", 2, 2, "c2 left"),
        change(
            LEFT_MS - 180,
            "CompletingRebalance",
            "Stable",
            3,
            2,
            "c2 left",
        ),
        change(BACK_MS, "Stable", "PreparingRebalance", 3, 3, "c2 joined"),
        change(
            BACK_MS - 92,
            "CompletingRebalance",
            "Stable",
            4,
            3,
            "c2 joined",
        ),
    ];
    for (ms, kind) in changes {
        if ms <= picture.time.as_ms() {
            picture.event_number += 1;
            picture.events.push(Arc::new(Event {
                number: picture.event_number,
                time: Time::from_ms(ms),
                broker: Some(BrokerId(1)),
                kind,
            }));
        }
    }
}

/// The shop with its groups.
pub fn shop() -> Fixture {
    let topics = vec![
        made("orders", 3, 41_042, 50.0),
        made("payments", 2, 9_311, 12.0),
        made("clicks", 12, 98_400, 0.0),
    ];
    Fixture::new(topics).with_groups(shop_groups)
}

/// So many groups, each reading a topic of so many partitions with so many members.
pub fn many(groups: i32, partitions: i32, members: i32) -> Fixture {
    let topics = vec![made("load", partitions, 2_000_000, 50_000.0)];
    Fixture::new(topics).with_groups(move |picture| {
        let made = |n: i32| {
            let one = |m: i32| {
                let mine: Vec<i32> = (0..partitions).filter(|p| p % members == m).collect();
                member(&format!("worker-{m}"), &["load"], &[("load", &mine)])
            };
            let mut made = group(&format!("group-{n:03}"), (0..members).map(one).collect());
            let behind = |p: i32| i64::from((p * 37 + n * 11) % 900);
            commit(picture, &mut made, "load", behind);
            Arc::new(made)
        };
        picture.groups = (0..groups).map(made).collect();
    })
}

fn show(window: &mut Window) {
    window.state_mut().state_mut().go_to(ViewKey::Groups);
    window.run();
}

fn page(fixture: &Fixture, tab: GroupTab) -> Window {
    open(fixture, SIZES[0], true, |state| {
        state.open_group("billing");
        state.group_tab = tab;
    })
}

fn selected(window: &mut Window) -> Selection {
    window.state_mut().state_mut().selection.clone()
}

#[test]
fn the_list_in_every_theme_and_size() {
    pictures("groups", &shop(), |window| {
        let state = window.state_mut().state_mut();
        state.go_to(ViewKey::Groups);
        state.select(Selection::Group("billing".into()));
    });
}

#[test]
fn an_assignment_in_every_theme_and_size() {
    pictures("group-assignment", &shop(), |window| {
        window.state_mut().state_mut().open_group("billing");
    });
}

#[test]
fn offsets_in_every_theme_and_size() {
    pictures("group-offsets", &shop(), |window| {
        let state = window.state_mut().state_mut();
        state.open_group("billing");
        state.group_tab = GroupTab::Offsets;
        state.select(Selection::Partition("orders".into(), PartitionIndex(1)));
    });
}

#[test]
fn rebalances_in_every_theme_and_size() {
    pictures("group-rebalances", &shop(), |window| {
        let state = window.state_mut().state_mut();
        state.open_group("billing");
        state.group_tab = GroupTab::Rebalances;
    });
}

#[test]
fn a_hundred_partitions_as_bars_in_every_theme_and_size() {
    pictures("group-bars", &many(3, 100, 8), |window| {
        window.state_mut().state_mut().open_group("group-001");
    });
}

#[test]
fn twelve_partitions_scroll_in_every_theme_and_size() {
    pictures("group-scrolls", &many(3, 12, 5), |window| {
        window.state_mut().state_mut().open_group("group-001");
    });
}

#[test]
fn no_groups_in_every_theme_and_size() {
    pictures("groups-empty", &Fixture::shop(), |window| {
        window.state_mut().state_mut().go_to(ViewKey::Groups);
    });
}

#[test]
fn the_list_says_the_lag_its_snapshot_has() {
    let fixture = shop();
    let mut window = open(&fixture, SIZES[0], true, |_| {});
    show(&mut window);
    let picture = fixture.latest();
    for group in &picture.groups {
        let lag: i64 = group.lags(&picture).iter().filter_map(|l| l.lag()).sum();
        let members = group.members.len();
        let name = format!("{}, classic", group.group);
        let row = window.get_by_label_contains(&name);
        let label = row.accesskit_node().label().unwrap();
        let said = format!(", {members}, {lag}");
        assert!(label.contains(&said), "{label} without {said}");
    }
    assert_eq!(window.query_all_by_label("Groups, 3").count(), 1);
}

#[test]
fn arrows_enter_and_escape_walk_through_groups() {
    let mut window = open(&shop(), SIZES[0], true, |_| {});
    show(&mut window);
    for _ in 0..2 {
        window.key_press(Key::ArrowDown);
        window.run();
    }
    assert_eq!(selected(&mut window), Selection::Group("billing".into()));
    window.key_press(Key::Enter);
    window.run();
    let state = window.state_mut().state_mut();
    assert_eq!(state.open_group.as_deref(), Some("billing"));
    window.key_press(Key::ArrowDown);
    window.run();
    assert!(matches!(selected(&mut window), Selection::Member(group, _) if group == "billing"));
    for _ in 0..2 {
        window.key_press(Key::Escape);
        window.run();
    }
    assert_eq!(window.state_mut().state_mut().open_group, None);
    assert_eq!(selected(&mut window), Selection::Group("billing".into()));
}

#[test]
fn the_palette_opens_a_group_and_a_click_on_the_name_shows_the_list() {
    let mut window = open(&shop(), SIZES[0], true, |_| {});
    palette(&mut window, "nightly");
    let state = window.state_mut().state_mut();
    assert_eq!(state.open_group.as_deref(), Some("nightly-reports"));
    window.get_by_label_contains("Nobody is in this group: its offsets stay");
    window.get_by_label("Groups, 3").click();
    window.run();
    assert_eq!(window.state_mut().state_mut().open_group, None);
}

#[test]
fn the_list_is_filtered_and_sorted() {
    let mut window = open(&shop(), SIZES[0], true, |_| {});
    show(&mut window);
    window.get_by_label("Sort by lag").click();
    window.run();
    let top = |window: &Window, name: &str| {
        let label = format!("{name}, classic");
        window.get_by_label_contains(&label).rect().top()
    };
    assert!(top(&window, "billing") < top(&window, "audit"));
    assert!(top(&window, "nightly-reports") < top(&window, "audit"));
    window.key_press(Key::Slash);
    window.run();
    let field = window.get_by_label("Filter groups");
    field.focus();
    field.type_text("python");
    window.run();
    window.get_by_label_contains("billing, classic");
    assert_eq!(
        window.query_all_by_label_contains("audit, classic").count(),
        0
    );
}

#[test]
fn cells_members_and_idle_members_are_told_to_those_who_cannot_see_them() {
    let fixture = shop();
    let mut window = page(&fixture, GroupTab::Assignment);
    let picture = fixture.latest();
    let billing = picture.group("billing").unwrap();
    for lag in billing.lags(&picture) {
        let owner = &lag.owner.unwrap().client_id;
        let said = format!("{}-{} read by {owner}: committed", lag.topic, lag.partition);
        let cell = window.get_by_label_contains(&said);
        let label = cell.accesskit_node().label().unwrap();
        let how_far = format!("lag {}", lag.lag().unwrap());
        assert!(label.contains(&how_far), "{label}");
    }
    window.get_by_label_contains("c3, idle · static · confluent");
    window.get_by_label_contains("c3 owns nothing: orders has 3 partitions, and a partition has");
    window.get_by_label_contains("Lag over time: orders-0 from");
    window.get_by_label_contains("2 rebalances");
    window.get_by_label_contains("rebalance delay 0 ms, Kafka 3000");
    window
        .get_by_label_contains("c1, 127.0.0.1: orders-0, orders-1")
        .click();
    window.run();
    window.get_by_label("45.0 s");
}

#[test]
fn partitions_nobody_owns_are_shown() {
    let fixture = Fixture::shop().with_groups(|picture| {
        let clicks = member("lonely", &["clicks"], &[("clicks", &[0, 1])]);
        let mut lost = group("lost", vec![clicks]);
        commit(picture, &mut lost, "clicks", |p| i64::from(p) * 10);
        picture.groups = vec![Arc::new(lost)];
    });
    let mut window = open(&fixture, SIZES[0], true, |state| state.open_group("lost"));
    window.run();
    window.get_by_label_contains("nobody, these partitions have no owner: clicks-2, clicks-3");
    window.get_by_label_contains("clicks-2 read by nobody: committed");
}

#[test]
fn bands_say_who_owned_a_partition_when() {
    let mut window = page(&shop(), GroupTab::Rebalances);
    window.run();
    let band = window.get_by_label_contains("orders-2: c2 since");
    let label = band.accesskit_node().label().unwrap();
    let left = klar::app::format::time_of_day(NOW_MS - LEFT_MS);
    let left = left.rsplit_once('.').unwrap().0.to_owned();
    assert!(label.contains(&format!("then c1 since {left}")), "{label}");
    assert!(label.matches("c2 since").count() == 2, "{label}");
    let row = window.get_by_label_contains("180");
    assert!(row.accesskit_node().label().unwrap().contains("c2 left"));
}

#[test]
fn flags_in_the_log_in_every_theme_and_size() {
    pictures("topic-log-flags", &shop(), |window| {
        window.state_mut().state_mut().open_topic("orders");
    });
}

#[test]
fn flags_are_told_to_those_who_cannot_see_them() {
    let fixture = shop();
    let window = open(&fixture, SIZES[0], true, |state| state.open_topic("orders"));
    let picture = fixture.latest();
    let committed = |group: &str| {
        let group = picture.group(group).unwrap();
        let offset = group.offset("orders", PartitionIndex(1)).unwrap();
        klar::app::format::signed(offset.committed.0)
    };
    let said = format!(
        "Partition 1: committed by billing {}, audit {}.",
        committed("billing"),
        committed("audit")
    );
    window.get_by_label_contains(&said);
}

#[test]
fn flags_on_the_cluster_in_every_theme_and_size() {
    pictures("cluster-flags", &shop(), |window| {
        window.state_mut().state_mut().go_to(ViewKey::Cluster);
    });
}

/// The shop whose billing group nobody is in.
fn stopped() -> Fixture {
    let topics = vec![
        made("orders", 3, 41_042, 50.0),
        made("payments", 2, 9_311, 12.0),
        made("clicks", 12, 98_400, 0.0),
    ];
    Fixture::new(topics).with_groups(|picture| {
        shop_groups(picture);
        let mut billing = (*picture.groups[1]).clone();
        billing.members.clear();
        billing.state = "Empty".into();
        picture.groups[1] = Arc::new(billing);
    })
}

#[test]
fn reset_of_a_group_with_members_in_every_theme_and_size() {
    pictures("group-reset-refused", &shop(), |window| {
        let state = window.state_mut().state_mut();
        state.open_group("billing");
        state.open_reset("billing");
    });
}

#[test]
fn reset_of_an_empty_group_in_every_theme_and_size() {
    pictures("group-reset", &stopped(), |window| {
        let state = window.state_mut().state_mut();
        state.open_group("billing");
        state.open_reset("billing");
        state.reset.how = How::Shift;
    });
}

#[test]
fn offsets_are_moved_only_where_nobody_reads() {
    let fixture = shop();
    let mut window = open(&fixture, SIZES[0], true, |state| {
        state.open_group("billing")
    });
    window.get_by_label("Reset offsets").click();
    window.run();
    window.get_by_label_contains("The group has 3 live members.");
    window.get_by_label_contains("stop c1, c2 and c3 first");
    window.get_by_label("Apply to 3 partitions").click();
    window.run();
    assert!(fixture.commands().is_empty());
}

#[test]
fn a_reset_is_seen_before_and_can_be_taken_back_after() {
    let fixture = stopped();
    let mut window = open(&fixture, SIZES[0], true, |state| {
        state.open_group("billing")
    });
    window.key_press(Key::R);
    window.run();
    let picture = fixture.latest();
    let billing = picture.group("billing").unwrap();
    let at = |index: i32| billing.offset("orders", PartitionIndex(index)).unwrap();
    let now = klar::app::format::signed(at(1).committed.0);
    let row = format!("orders-1: now {now}, becomes 128");
    window.get_by_label(&row);
    // The first partition stays where it is.
    let first = klar::app::format::signed(at(0).committed.0);
    window
        .get_by_label(&format!("orders-0: now {first}, becomes 128"))
        .click();
    window.run();
    window.get_by_label("Apply to 2 partitions").click();
    window.run();
    let moved = |index: i32, offset: Offset| ("orders".into(), PartitionIndex(index), offset);
    let commit = |offsets| Command::CommitOffsets {
        group: "billing".into(),
        offsets,
    };
    let applied = commit(vec![moved(1, Offset(128)), moved(2, Offset(128))]);
    assert_eq!(fixture.commands(), [applied]);
    fixture.edit(|picture| {
        picture.outcomes = vec![Outcome {
            id: CommandId(1),
            result: Ok(Done {
                sentence: "Group billing goes on from 2 offsets.".into(),
                ..Done::default()
            }),
        }];
    });
    window.run();
    window
        .get_by_label("Undo: Group billing goes on from 2 offsets.")
        .click();
    window.run();
    let before = commit(vec![moved(1, at(1).committed), moved(2, at(2).committed)]);
    assert_eq!(fixture.commands().last(), Some(&before));
}

#[test]
fn a_time_is_looked_up_before_anything_is_moved() {
    let fixture = stopped();
    let mut window = open(&fixture, SIZES[0], true, |state| {
        state.open_group("billing");
        state.open_reset("billing");
        state.reset.how = How::Time;
        state.reset.time = "22:15".into();
    });
    window.run();
    let all = (0..3).map(|p| ("orders".to_owned(), PartitionIndex(p)));
    let time_ms = NOW_MS - 125_413;
    let asked = Command::FindOffsets {
        time_ms,
        partitions: all.clone().collect(),
    };
    assert_eq!(fixture.commands(), [asked]);
    let offsets: Vec<_> = all.map(|(topic, p)| (topic, p, Offset(20_000))).collect();
    fixture.edit(move |picture| {
        let done = Done {
            offsets: offsets.clone(),
            ..Done::default()
        };
        picture.outcomes = vec![Outcome {
            id: CommandId(1),
            result: Ok(done),
        }];
    });
    window.run();
    window.run();
    assert_eq!(
        window.query_all_by_label_contains("becomes 20,000").count(),
        3
    );
    assert_eq!(fixture.commands().len(), 1, "asked once");
}

#[test]
fn deleting_a_group_asks_first() {
    let fixture = stopped();
    let mut window = open(&fixture, SIZES[0], true, |state| {
        state.open_group("billing")
    });
    palette(&mut window, "delete this group");
    window.get_by_label_contains("Forgets 3 committed offsets.");
    assert!(fixture.commands().is_empty());
    window.get_by_label("Delete group").click();
    window.run();
    let group = "billing".to_owned();
    assert_eq!(fixture.commands(), [Command::DeleteGroup { group }]);
}

#[test]
fn clients_with_their_groups_in_every_theme_and_size() {
    pictures("clients-groups", &shop(), |window| {
        window.state_mut().state_mut().go_to(ViewKey::Clients);
    });
}

#[test]
fn clients_are_found_by_their_group_and_nobody_is_told_where_to_connect() {
    let fixture = shop();
    let mut window = open(&fixture, SIZES[0], true, |state| {
        state.go_to(ViewKey::Clients)
    });
    window.get_by_label("python app from 127.0.0.1:51823, in billing");
    let field = window.get_by_label("Filter by client or group");
    field.focus();
    field.type_text("billing");
    window.run();
    window.get_by_label("python app from 127.0.0.1:51823, in billing");
    assert!(window.query_by_label("kcat from 127.0.0.1:51824").is_none());
    fixture.edit(|picture| picture.connections.clear());
    window.run();
    window.get_by_label("Nobody is connected: clients reach this cluster at 127.0.0.1:9092.");
}
