//! The Clients view: every connection as its broker sees it, and klar's own producers.

use egui::Ui;

use super::View;
use crate::app::replicas::is_peer;
use crate::app::scene::Scene;
use crate::app::state::{Dialog, Selection, ViewKey};
use crate::app::theme::{Theme, size, space};
use crate::app::widgets::{self, Cell, Column};
use crate::app::{format, widgets::Keyed};
use crate::inspect::{ConnectionSnapshot, ProducerSnapshot};

const CONNECTIONS: &[Column] = &[
    Column::text("client id"),
    Column::text("software"),
    Column::fixed("from", 132.0),
    Column::text("last request"),
    Column::number("requests", 68.0),
    Column::number("errors", 44.0),
    Column::number("connected", 76.0),
];

const PRODUCERS: &[Column] = &[
    Column::text("producer of this window"),
    Column::text("topic"),
    Column::number("rate", 84.0),
    Column::number("sent", 96.0),
    Column::number("acked", 96.0),
    Column::number("failed", 72.0),
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
            let field = widgets::search_field(ui, &mut self.filter, "Filter by client", 240.0);
            if std::mem::take(&mut scene.state.focus_filter) {
                field.request_focus();
            }
        });
        ui.add_space(space::S);
        producers(ui, scene);
        let picture = scene.picture.clone();
        let wanted = self.filter.to_lowercase();
        let shown: Vec<&ConnectionSnapshot> = picture
            .connections
            .iter()
            .filter(|connection| !is_peer(&picture, connection))
            .filter(|connection| matches(connection, &wanted))
            .collect();
        if shown.is_empty() {
            nobody(ui, scene);
            return;
        }
        connections(ui, scene, &shown);
    }
}

/// Connections as rows, in the rest of the space.
pub fn connections(ui: &mut Ui, scene: &mut Scene<'_>, shown: &[&ConnectionSnapshot]) {
    scene.focus.counters = true;
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
        |ui, index| row(ui, scene, shown[index], current == Some(index)),
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
    } else if widgets::empty(ui, "Nobody is connected.", Some("Connect a client")) {
        scene.state.dialog = Some(Dialog::Connect);
    }
}

fn row(ui: &mut Ui, scene: &mut Scene<'_>, connection: &ConnectionSnapshot, selected: bool) {
    let theme = Theme::of(ui);
    let name = if connection.client_id.is_empty() {
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
    let cells = [
        name,
        software,
        Cell::mono(&connection.peer),
        Cell::text(&connection.last_api),
        Cell::mono(format::count(connection.requests)),
        if connection.errors > 0 {
            errors.color(theme.bad)
        } else {
            errors
        },
        Cell::text(since).color(theme.muted),
    ];
    let said = format!("{} from {}", connection.client_id, connection.peer);
    if widgets::table_row(ui, CONNECTIONS, &cells, selected, &said).clicked() {
        let selection = Selection::Connection(connection.broker, connection.id);
        scene.state.select(selection);
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
