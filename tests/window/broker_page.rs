//! A broker's page: what it is, what it holds, what it is set to, who is connected, and what is left of a dead one.

use egui::Key;
use egui_kittest::kittest::Queryable;
use klar::app::state::{BrokerTab, Selection, ViewKey};
use klar::ids::{BrokerId, PartitionIndex};
use klar::source::Source as _;

use crate::cluster::{healthy, orders, palette, show, troubled};
use crate::fixture::Fixture;
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
    window.get_by_label("Settings 8").click();
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
