//! The connection doctor of the Clients view.

use std::sync::Arc;

use egui_kittest::kittest::Queryable as _;
use klar::app::state::{ClientsTab, ViewKey};
use klar::ids::*;
use klar::inspect::*;

use crate::fixture::{Fixture, NOW_MS};
use crate::rig::{SIZES, Window, open, pictures};

fn api(api: &'static str, version: i16, requests: u64) -> AskedApi {
    AskedApi {
        api: api.into(),
        version,
        requests,
        errors: 0,
        last_error: None,
    }
}

/// A connection to a broker that came so many seconds ago.
fn connection(id: u64, broker: i32, client: &str, ago_s: i64) -> ConnectionSnapshot {
    let since = Time::from_ms(NOW_MS - ago_s * 1_000);
    ConnectionSnapshot {
        id: ConnectionId(id),
        broker: BrokerId(broker),
        peer: format!("127.0.0.1:{}", 40_000 + id),
        client_id: client.into(),
        software: "apache-kafka-java 4.1.0".into(),
        since,
        requests: 2,
        errors: 0,
        last_api: "Metadata v12".into(),
        own: false,
        contact: Contact {
            dialed: format!("127.0.0.1:{}", 9091 + broker),
            asked: vec![api("ApiVersions", 4, 1), api("Metadata", 12, 1)],
            told: None,
            ended: None,
        },
    }
}

fn told(mut connection: ConnectionSnapshot) -> ConnectionSnapshot {
    let address = |n| (BrokerId(n), format!("127.0.0.1:{}", 9091 + n));
    connection.contact.told = Some(Arc::new(Told {
        at: connection.since.plus_ms(4),
        addresses: (1..=3).map(address).collect(),
    }));
    connection
}

fn ended(mut connection: ConnectionSnapshot, why: &str) -> ConnectionSnapshot {
    connection.contact.ended = Some(ConnectionEnd {
        at: connection.since.plus_ms(900),
        why: why.into(),
    });
    connection
}

/// A client in a container that never arrives, one that works with errors, one that speaks TLS.
fn clinic() -> Fixture {
    let fixture = Fixture::shop();
    fixture.edit(|picture| {
        let lost =
            (1..4).map(|id| ended(told(connection(id, 1, "billing", 40 - 9 * id as i64)), ""));
        let why = "it spoke TLS, this port speaks Kafka's protocol";
        let mut tls = ended(connection(9, 1, "", 31), why);
        (tls.requests, tls.software) = (0, String::new());
        tls.contact.asked.clear();
        picture.gone = lost.chain([tls]).collect();
        let first = told(connection(21, 1, "orders app", 200));
        let mut second = connection(22, 2, "orders app", 199);
        let mut produce = api("Produce", 11, 812);
        (produce.errors, produce.last_error) = (4, Some("NOT_ENOUGH_REPLICAS".into()));
        second.contact.asked.push(produce);
        let mut well = told(connection(31, 1, "kcat", 64));
        well.contact.asked.push(api("Fetch", 11, 420));
        picture.connections = vec![first, second, well];
    });
    fixture
}

fn show(window: &mut Window) {
    let state = window.state_mut().state_mut();
    state.go_to(ViewKey::Clients);
    state.clients_tab = ClientsTab::Doctor;
}

#[test]
fn the_doctor_in_every_theme_and_size() {
    pictures("clients-doctor", &clinic(), show);
}

#[test]
fn the_doctor_says_who_never_arrived_and_what_to_do() {
    let fixture = clinic();
    let mut window = open(&fixture, SIZES[0], true, |state| {
        state.go_to(ViewKey::Clients)
    });
    window.get_by_label("Connection doctor 2").click();
    window.run();
    window.get_by_label("second dial missing");
    assert_eq!(window.query_all_by_label("no second dial").count(), 3);
    window.get_by_label_contains("start klar with --listen");
    let field = window.get_by_label("Filter by client or group");
    field.focus();
    field.type_text("orders");
    window.run();
    assert!(window.query_by_label("second dial missing").is_none());
    window.get_by_label_contains("Produce 4 times, last NOT_ENOUGH_REPLICAS");
}
