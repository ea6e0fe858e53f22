//! The Clients view: every connection as its broker sees it, and klar's own producers and consumers.

use std::collections::{BTreeMap, BTreeSet};

use egui::Ui;

use super::View;
use crate::app::consumers;
use crate::app::replicas::is_peer;
use crate::app::scene::Scene;
use crate::app::state::{ClientsTab, Dialog, Selection, ViewKey};
use crate::app::theme::{Theme, size, space};
use crate::app::widgets::{self, Cell, Column};
use crate::app::{format, widgets::Keyed};
use crate::inspect::{
    ClusterSnapshot, ConnectionSnapshot, ConsumerSnapshot, ConsumerState, ProducerSnapshot,
};

mod doctor;

const CONNECTIONS: &[Column] = &[
    Column::text("client id"),
    Column::text("software"),
    Column::fixed("broker", 52.0),
    Column::fixed("from", 118.0),
    Column::text("last request"),
    Column::number("requests", 56.0),
    Column::number("errors", 40.0),
    Column::text("groups"),
    Column::number("connected", 60.0),
];

const PRODUCERS: &[Column] = &[
    Column::text("producer of this window"),
    Column::text("topic"),
    Column::number("rate", 84.0),
    Column::number("sent", 96.0),
    Column::number("acked", 96.0),
    Column::number("failed", 72.0),
];

const CONSUMERS: &[Column] = &[
    Column::text("own consumer"),
    Column::text("reads"),
    Column::text("owns"),
    Column::number("rate", 84.0),
    Column::number("records", 96.0),
    Column::number("lag", 96.0),
];

/// The Clients view's filter.
#[derive(Default)]
pub struct Clients {
    filter: String,
}

impl View for Clients {
    fn key(&self) -> ViewKey {
        ViewKey::Clients
    }

    fn name(&self) -> &'static str {
        "Clients"
    }

    fn live(&self, scene: &Scene<'_>) -> String {
        let picture = scene.picture;
        let foreign = picture.connections.iter();
        let foreign = foreign.filter(|c| !c.own && !is_peer(picture, c));
        format::count(foreign.count() as u64)
    }

    fn draw(&mut self, ui: &mut Ui, scene: &mut Scene<'_>) {
        ui.horizontal(|ui| {
            widgets::title(ui, "Clients");
            ui.add_space(space::S);
            let field =
                widgets::search_field(ui, &mut self.filter, "Filter by client or group", 240.0);
            if std::mem::take(&mut scene.state.focus_filter) {
                field.request_focus();
            }
        });
        ui.add_space(space::XS);
        let wanted = self.filter.to_lowercase();
        tabs(ui, scene);
        ui.add_space(space::S);
        if scene.state.clients_tab == ClientsTab::Doctor {
            doctor::draw(ui, scene, wanted.trim());
            return;
        }
        producers(ui, scene);
        own_consumers(ui, scene);
        let picture = scene.picture.clone();
        let groups = groups_of(&picture);
        let in_group = |connection: &ConnectionSnapshot| {
            let names = groups.get(connection.client_id.as_str());
            names.is_some_and(|names| {
                names
                    .iter()
                    .any(|name| name.to_lowercase().contains(&wanted))
            })
        };
        let mut shown: Vec<&ConnectionSnapshot> = picture
            .connections
            .iter()
            .filter(|connection| !is_peer(&picture, connection))
            .filter(|connection| matches(connection, &wanted) || in_group(connection))
            .collect();
        // The connections of one client stand together.
        shown.sort_by_key(|connection| (&connection.client_id, connection.broker, connection.id));
        if shown.is_empty() {
            nobody(ui, scene);
            return;
        }
        connections(ui, scene, &shown);
    }
}

fn tabs(ui: &mut Ui, scene: &mut Scene<'_>) {
    let doctor = match doctor::troubled(scene) {
        0 => "Connection doctor".to_owned(),
        troubled => format!("Connection doctor {troubled}"),
    };
    let all = [
        (ClientsTab::Connections, "Connections".to_owned()),
        (ClientsTab::Doctor, doctor),
    ];
    widgets::tabs(ui, &mut scene.state.clients_tab, &all);
}

/// Connections as rows, in the rest of the space.
pub fn connections(ui: &mut Ui, scene: &mut Scene<'_>, shown: &[&ConnectionSnapshot]) {
    scene.focus.counters = true;
    let picture = scene.picture.clone();
    let groups = groups_of(&picture);
    widgets::table_header(ui, CONNECTIONS);
    let current = match scene.state.selection {
        Selection::Connection(broker, id) => {
            let is = |c: &&ConnectionSnapshot| (c.broker, c.id) == (broker, id);
            shown.iter().position(is)
        }
        _ => None,
    };
    let Keyed { moved, .. } = widgets::rows(
        ui,
        "connections",
        shown.len(),
        size::ROW,
        current,
        |ui, index| {
            let connection = shown[index];
            let before = index.checked_sub(1).map(|before| shown[before]);
            let again = before.is_some_and(|before| before.client_id == connection.client_id);
            let drawn = Drawn {
                connection,
                again,
                groups: groups.get(connection.client_id.as_str()),
                selected: current == Some(index),
            };
            row(ui, scene, &drawn);
        },
    );
    if let Some(index) = moved {
        let moved = shown[index];
        let selection = Selection::Connection(moved.broker, moved.id);
        scene.state.select(selection);
    }
}

/// Whether a connection has this text, in lower case, in what is known of it.
pub fn matches(connection: &ConnectionSnapshot, wanted: &str) -> bool {
    let texts = [
        &connection.client_id,
        &connection.software,
        &connection.peer,
        &connection.last_api,
    ];
    wanted.is_empty()
        || texts
            .iter()
            .any(|text| text.to_lowercase().contains(wanted))
}

fn nobody(ui: &mut Ui, scene: &mut Scene<'_>) {
    let picture = scene.picture;
    if !picture.connections.iter().all(|c| is_peer(picture, c)) {
        widgets::empty(ui, "No client matches the filter.", None);
        return;
    }
    nobody_came(ui, scene);
}

fn nobody_came(ui: &mut Ui, scene: &mut Scene<'_>) {
    let picture = scene.picture;
    let sentence = format!(
        "Nobody is connected: clients reach this cluster at {}.",
        format::bootstrap(&picture.bootstrap)
    );
    if widgets::empty(ui, &sentence, Some("Connect a client")) {
        scene.state.dialog = Some(Dialog::Connect);
    }
}

/// The groups whose members have a client id: a connection itself does not tell its groups.
fn groups_of(picture: &ClusterSnapshot) -> BTreeMap<&str, BTreeSet<&str>> {
    let mut groups: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for group in &picture.groups {
        for member in &group.members {
            let of_client = groups.entry(&member.client_id).or_default();
            of_client.insert(&group.group);
        }
    }
    groups
}

/// One row and what stands around it.
struct Drawn<'a> {
    connection: &'a ConnectionSnapshot,
    /// The row above is another connection of the same client.
    again: bool,
    groups: Option<&'a BTreeSet<&'a str>>,
    selected: bool,
}

fn row(ui: &mut Ui, scene: &mut Scene<'_>, drawn: &Drawn<'_>) {
    let theme = Theme::of(ui);
    let connection = drawn.connection;
    let name = if drawn.again {
        Cell::text(&connection.client_id).color(theme.muted)
    } else if connection.client_id.is_empty() {
        Cell::text("no client id").color(theme.muted)
    } else {
        Cell::text(&connection.client_id)
    };
    let software = if connection.own {
        Cell::text("this window").color(theme.muted)
    } else if is_peer(scene.picture, connection) {
        Cell::text("another broker").color(theme.muted)
    } else {
        Cell::text(&connection.software)
    };
    let errors = Cell::mono(format::count(connection.errors));
    let since = format::ago(scene.now, connection.since);
    let rate = scene.history.connection_rate(scene.wall, connection);
    let rate = rate.map_or("–".to_owned(), format::rate);
    let names = drawn.groups.into_iter().flatten().copied();
    let names: Vec<&str> = names.collect();
    let cells = [
        name,
        software,
        Cell::mono(listener(scene.picture, connection)),
        Cell::mono(&connection.peer),
        Cell::text(&connection.last_api),
        Cell::mono(rate),
        if connection.errors > 0 {
            errors.color(theme.bad)
        } else {
            errors
        },
        Cell::text(names.join(", ")),
        Cell::text(since).color(theme.muted),
    ];
    let mut said = format!("{} from {}", connection.client_id, connection.peer);
    if !names.is_empty() {
        said.push_str(&format!(", in {}", names.join(", ")));
    }
    if widgets::table_row(ui, CONNECTIONS, &cells, drawn.selected, &said).clicked() {
        let selection = Selection::Connection(connection.broker, connection.id);
        scene.state.select(selection);
    }
}

/// The broker and the port it listens on.
fn listener(picture: &ClusterSnapshot, connection: &ConnectionSnapshot) -> String {
    let mut brokers = picture.brokers.iter();
    let broker = brokers.find(|broker| broker.id == connection.broker);
    match broker {
        Some(broker) => format!("{} :{}", broker.id, broker.port),
        None => connection.broker.to_string(),
    }
}

fn producers(ui: &mut Ui, scene: &mut Scene<'_>) {
    let picture = scene.picture.clone();
    if picture.producers.is_empty() {
        return;
    }
    ui.scope(|ui| {
        ui.spacing_mut().item_spacing.y = 0.0;
        widgets::table_header(ui, PRODUCERS);
        for producer in &picture.producers {
            producer_row(ui, scene, producer);
        }
    });
    ui.add_space(space::L);
}

fn own_consumers(ui: &mut Ui, scene: &mut Scene<'_>) {
    let picture = scene.picture.clone();
    if picture.consumers.is_empty() {
        return;
    }
    ui.scope(|ui| {
        ui.spacing_mut().item_spacing.y = 0.0;
        widgets::table_header(ui, CONSUMERS);
        for consumer in &picture.consumers {
            consumer_row(ui, scene, consumer);
        }
    });
    ui.add_space(space::L);
}

fn consumer_row(ui: &mut Ui, scene: &mut Scene<'_>, consumer: &ConsumerSnapshot) {
    let selected = scene.state.selection == Selection::Consumer(consumer.id);
    let rate = match consumer.state {
        ConsumerState::Running => format::rate(scene.consumer_rate(consumer)),
        state => consumers::state_word(state).to_owned(),
    };
    let reads = match consumer.plan.group() {
        Some(group) => format!("{} in {group}", consumer.plan.subject()),
        None => consumer.plan.subject(),
    };
    let owns = match consumer.state.is_alive() {
        true => consumers::owns(consumer),
        false => String::new(),
    };
    let lag = consumers::lag(consumer, scene.picture).filter(|_| consumer.state.is_alive());
    let cells = [
        Cell::text(&consumer.client_id),
        Cell::text(&reads),
        Cell::text(&owns),
        Cell::mono(rate),
        Cell::mono(format::count(consumer.records)),
        Cell::mono(lag.map_or(String::new(), format::signed)),
    ];
    let said = format!("Consumer {}", consumer.id);
    if widgets::table_row(ui, CONSUMERS, &cells, selected, &said).clicked() {
        scene.state.select(Selection::Consumer(consumer.id));
    }
}

fn producer_row(ui: &mut Ui, scene: &mut Scene<'_>, producer: &ProducerSnapshot) {
    let theme = Theme::of(ui);
    let selected = scene.state.selection == Selection::Producer(producer.id);
    let rate = if producer.running {
        format::rate(producer.plan.rate)
    } else {
        "stopped".to_owned()
    };
    let failed = Cell::mono(format::count(producer.failed));
    let cells = [
        Cell::text(&producer.plan.name),
        Cell::text(&producer.plan.topic),
        Cell::mono(rate),
        Cell::mono(format::count(producer.sent)),
        Cell::mono(format::count(producer.acked)),
        if producer.failed > 0 {
            failed.color(theme.bad)
        } else {
            failed
        },
    ];
    let said = format!("Producer {}", producer.plan.name);
    if widgets::table_row(ui, PRODUCERS, &cells, selected, &said).clicked() {
        scene.state.select(Selection::Producer(producer.id));
    }
}
