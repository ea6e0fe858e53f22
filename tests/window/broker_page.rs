//! A broker's page: what it is, what it holds, what it is set to, who is connected, and what is left of a dead one.

use egui::Key;
use egui_kittest::kittest::Queryable;
use klar::app::state::{BrokerTab, Selection, ViewKey};
use klar::ids::{BrokerId, Offset, PartitionIndex};
use klar::inspect::{BrokerFiles, Command, DirectoryFiles, FileKind, LeftFile};
use klar::source::Source as _;

use crate::cluster::{healthy, orders, palette, show, troubled};
use crate::fixture::Fixture;
use crate::numbers::Watched;
use crate::rig::{SIZES, Window, double_click, open, pictures};
use crate::three_brokers::{self, DEAD};

fn page(fixture: &Fixture, broker: BrokerId) -> Window {
    open(fixture, SIZES[0], true, |state| state.open_broker(broker))
}

fn open_page(window: &mut Window) -> Option<BrokerId> {
    window.state_mut().state_mut().open_broker
}

fn selected(window: &mut Window) -> Selection {
    window.state_mut().state_mut().selection.clone()
}

#[test]
fn a_controller_in_every_theme_and_size() {
    pictures("broker-page", &three_brokers::shop(), |window| {
        let state = window.state_mut().state_mut();
        state.open_broker(BrokerId(1));
        state.select(Selection::Partition("orders".into(), PartitionIndex(1)));
    });
}

#[test]
fn a_dead_broker_in_every_theme_and_size() {
    pictures("broker-page-dead", &three_brokers::shop(), |window| {
        window.state_mut().state_mut().open_broker(DEAD);
    });
}

#[test]
fn settings_in_every_theme_and_size() {
    pictures("broker-page-settings", &healthy(orders(), 3, 3), |window| {
        let state = window.state_mut().state_mut();
        state.open_broker(BrokerId(2));
        state.broker_tab = BrokerTab::Settings;
    });
}

#[test]
fn connections_of_a_broker_with_faulty_links_in_every_theme_and_size() {
    pictures("broker-page-connections", &troubled(), |window| {
        let state = window.state_mut().state_mut();
        state.open_broker(BrokerId(1));
        state.broker_tab = BrokerTab::Connections;
    });
}

#[test]
fn a_crash_in_every_theme_and_size() {
    pictures("broker-page-crashed", &troubled(), |window| {
        window.state_mut().state_mut().open_broker(BrokerId(6));
    });
}

#[test]
fn one_broker_alone_in_every_theme_and_size() {
    pictures("broker-page-alone", &Fixture::shop(), |window| {
        window.state_mut().state_mut().open_broker(BrokerId(1));
    });
}

#[test]
fn enter_opens_the_selected_broker_and_escape_goes_back_to_all() {
    let mut window = open(&healthy(orders(), 3, 3), SIZES[0], true, |_| {});
    show(&mut window);
    window.key_press(Key::Enter);
    window.run();
    assert_eq!(open_page(&mut window), None, "nothing is selected");
    window.key_press(Key::ArrowDown);
    window.run();
    window.key_press(Key::Enter);
    window.run();
    assert_eq!(open_page(&mut window), Some(BrokerId(1)));
    // The arrows now walk through what it holds.
    window.key_press(Key::ArrowDown);
    window.run();
    let first = Selection::Partition("orders".into(), PartitionIndex(0));
    assert_eq!(selected(&mut window), first);
    for _ in 0..2 {
        window.key_press(Key::Escape);
        window.run();
    }
    assert_eq!(open_page(&mut window), None);
    assert_eq!(selected(&mut window), Selection::Broker(BrokerId(1)));
    window.get_by_label_contains("Broker 3 in the cluster: running");
}

#[test]
fn a_page_is_opened_by_palette_inspector_and_double_click() {
    let mut window = open(&healthy(orders(), 3, 3), SIZES[0], true, |_| {});
    window.state_mut().state_mut().go_to(ViewKey::Storage);
    palette(&mut window, "open broker 2");
    assert_eq!(open_page(&mut window), Some(BrokerId(2)));
    window.key_press(Key::Escape);
    window.run();
    window.get_by_label("Open broker 2").click();
    window.run();
    assert_eq!(open_page(&mut window), Some(BrokerId(2)));
    window.get_by_label("Cluster").click();
    window.run();
    assert_eq!(open_page(&mut window), None);
    let head = window.get_by_label_contains("Broker 3 in the cluster");
    let at = head.rect().left_center() + egui::vec2(40.0, 0.0);
    double_click(&mut window, at);
    assert_eq!(open_page(&mut window), Some(BrokerId(3)));
}

#[test]
fn what_a_dead_broker_holds_is_read_from_its_files() {
    let fixture = three_brokers::shop();
    let window = page(&fixture, DEAD);
    let picture = fixture.latest();
    let p = &picture.topics[3].partitions[1];
    let replica = p.replicas.iter().find(|r| r.broker == DEAD).unwrap();
    let said = format!("orders-1 on broker 2: offline, log end {}", replica.log_end);
    window.get_by_label_contains(&said);
    window.get_by_label_contains("its logs below are read from its files");
    window.get_by_label("/home/ada/.local/share/klar/broker-2");
    assert!(window.query_all_by_label("Restart broker 2").count() > 0);
}

#[test]
fn a_crashed_broker_keeps_its_last_message() {
    let window = page(&troubled(), BrokerId(6));
    let message = "index out of bounds: the len is 4 but the index is 4";
    assert!(window.query_all_by_label(message).next().is_some());
}

#[test]
fn the_others_and_the_links_to_them_are_a_click_away() {
    let mut window = page(&troubled(), BrokerId(1));
    window.get_by_label("Link between broker 1 and broker 4: nothing arrives from 1 at 4, nothing arrives from 4 at 1").click();
    window.run();
    let link = Selection::Link(BrokerId(1), BrokerId(4));
    assert_eq!(selected(&mut window), link);
    assert_eq!(open_page(&mut window), Some(BrokerId(1)));
}

#[test]
fn settings_are_found_by_name_and_say_whether_they_were_set() {
    let mut window = page(&healthy(orders(), 3, 3), BrokerId(1));
    window.get_by_label("Settings 9").click();
    window.run();
    window.get_by_label("num.partitions: 3, set");
    window.key_press(Key::Slash);
    window.run();
    window.get_by_label("Filter settings").type_text("lag");
    window.run();
    window.get_by_label("replica.lag.time.max.ms: 10000, default");
    assert!(window.query_by_label("num.partitions: 3, set").is_none());
}

#[test]
fn connections_are_those_to_this_broker() {
    let fixture = healthy(orders(), 3, 3);
    let mut window = page(&fixture, BrokerId(2));
    window.get_by_label("Connections 2").click();
    window.run();
    window.get_by_label_contains("kcat from 127.0.0.1").click();
    window.run();
    let selected = selected(&mut window);
    assert!(
        matches!(selected, Selection::Connection(BrokerId(2), _)),
        "{selected:?}"
    );
}

/// A file of a dead broker; a segment has offsets.
fn left(name: &str, bytes: u64, offsets: Option<(i64, i64)>) -> LeftFile {
    LeftFile {
        name: name.into(),
        kind: FileKind::of(name),
        bytes,
        offsets: offsets.map(|(from, to)| (Offset(from), Some(Offset(to)))),
        trouble: None,
    }
}

fn directory(name: &str, files: Vec<LeftFile>) -> DirectoryFiles {
    DirectoryFiles {
        name: name.into(),
        bytes: files.iter().map(|file| file.bytes).sum(),
        files,
        left_out: 0,
        trouble: None,
    }
}

/// The shop with what its dead broker left on disk.
fn shop_with_files() -> Fixture {
    let files = std::sync::Arc::new(files());
    three_brokers::shop_and(move |picture| picture.files = Some(files.clone()))
}

/// Of some directories there are more files than are listed, of some not all can be read.
fn files() -> BrokerFiles {
    let log = |end: i64| {
        vec![
            left("00000000000000000000.index", 1_288, None),
            left("00000000000000000000.log", 1_043_000, Some((0, 6_144))),
            left("00000000000000000000.timeindex", 1_032, None),
            left("00000000000000006144.log", 402_113, Some((6_144, end))),
            left("00000000000000006144.snapshot", 52, None),
            left("leader-epoch-checkpoint", 36, None),
            left("partition.metadata", 40, None),
        ]
    };
    let mut hurt = log(8_211);
    hurt[3].offsets = Some((Offset(6_144), None));
    hurt[3].trouble = Some("00000000000000006144.log may not be read by klar's user.".into());
    let mut many = directory("page-views-0", log(9_001));
    many.left_out = 12;
    BrokerFiles {
        broker: DEAD,
        dir: "/home/ada/.local/share/klar/broker-2".into(),
        directories: vec![
            directory(
                "",
                vec![
                    left("recovery-point-offset-checkpoint", 412, None),
                    left("recovery-point-offset-checkpoint.tmp", 96, None),
                ],
            ),
            directory(
                "__cluster_metadata-0",
                vec![
                    left("00000000000000000000.log", 18_204, Some((0, 101))),
                    left("00000000000000000088-0000000007.checkpoint", 9_120, None),
                ],
            ),
            directory("orders-0", log(8_940)),
            directory("orders-1", hurt),
            many,
        ],
        left_out: 0,
        trouble: None,
    }
}

fn show_files(window: &mut Window) {
    let state = window.state_mut().state_mut();
    state.open_broker(DEAD);
    state.broker_tab = BrokerTab::Files;
    window.run();
}

#[test]
fn files_of_a_dead_broker_in_every_theme_and_size() {
    pictures("broker-page-files", &shop_with_files(), show_files);
}

/// The files of which the name or that of their directory has this in it.
fn filtered(text: &str) -> Window {
    let mut window = page(&shop_with_files(), DEAD);
    show_files(&mut window);
    let field = window.get_by_label("Filter files");
    field.focus();
    field.type_text(text);
    window.run();
    window
}

#[test]
fn every_file_of_a_dead_broker_is_told() {
    let mut window = page(&shop_with_files(), DEAD);
    show_files(&mut window);
    for said in [
        "beside the logs, 2 files, 508 B",
        "beside the logs/recovery-point-offset-checkpoint.tmp, unfinished, 96 B",
        "__cluster_metadata-0/00000000000000000088-0000000007.checkpoint, metadata snapshot, 8.9 KiB",
        "orders-0, 7 files, 1.4 MiB",
        "orders-0/00000000000000000000.log, segment, offsets 0 \u{2013} 6,143, 1019 KiB",
    ] {
        window.get_by_label(said);
    }
    window.get_by_label("orders-0, 7 files, 1.4 MiB").click();
    window.run();
    let orders = Selection::Partition("orders".into(), PartitionIndex(0));
    assert_eq!(selected(&mut window), orders);
    let mut window = filtered("ORDERS-1");
    window.get_by_label("orders-1/00000000000000006144.log may not be read by klar's user.");
    window = filtered("views");
    window.get_by_label("page-views-0: 12 more files are not listed");
    assert!(
        window
            .query_by_label("orders-0, 7 files, 1.4 MiB")
            .is_none()
    );
}

#[test]
fn where_there_is_nothing_to_list_a_sentence_says_why() {
    let fixture = three_brokers::shop_and(|picture| {
        picture.files = Some(std::sync::Arc::new(BrokerFiles {
            directories: Vec::new(),
            trouble: Some("/data/broker-2 is not there.".into()),
            ..files()
        }));
    });
    let mut window = page(&fixture, DEAD);
    show_files(&mut window);
    window.get_by_label("/data/broker-2 is not there.");
    let mut window = page(&three_brokers::shop(), DEAD);
    show_files(&mut window);
    window.get_by_label("Its files are being read …");
    window.state_mut().state_mut().open_broker(BrokerId(1));
    window.run();
    assert!(
        window
            .query_all_by_label_contains("It runs, so its files")
            .next()
            .is_some()
    );
}

#[test]
fn the_files_of_a_broker_come_with_its_end_and_go_with_its_start() {
    let dir = tempfile::tempdir().unwrap();
    let mut watched = Watched::open(dir.path());
    watched.run(crate::numbers::topic(crate::numbers::TOPIC, 3, 3));
    let broker = BrokerId(2);
    watched.run(Command::KillBroker { broker });
    let page = |watched: &mut Watched| {
        let state = watched.window.state_mut().state_mut();
        state.open_broker(broker);
        state.broker_tab = BrokerTab::Files;
    };
    page(&mut watched);
    watched.says("__cluster_metadata-0/00000000000000000000.log, segment, ");
    let shown = watched.source.latest().files.clone().unwrap();
    for directory in &shown.directories {
        for file in &directory.files {
            let path = dir
                .path()
                .join("broker-2")
                .join(&directory.name)
                .join(&file.name);
            assert_eq!(
                std::fs::metadata(&path).unwrap().len(),
                file.bytes,
                "{path:?}"
            );
        }
    }
    watched.run(Command::RestartBroker { broker });
    watched.says("It runs, so its files change");
    assert_eq!(watched.source.latest().files, None);
    watched.run(Command::KillBroker { broker });
    watched.says("__cluster_metadata-0/00000000000000000000.log, segment, ");
    watched.close();
}
