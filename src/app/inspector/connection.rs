//! A client connection as its broker sees it.

use egui::Ui;

use super::{gone, header};
use crate::app::scene::Scene;
use crate::app::{format, widgets};
use crate::ids::{BrokerId, ConnectionId};

pub fn draw(ui: &mut Ui, scene: &mut Scene<'_>, broker: BrokerId, id: ConnectionId) {
    let mut connections = scene.picture.connections.iter();
    let found = connections.find(|c| (c.broker, c.id) == (broker, id));
    let Some(connection) = found else {
        gone(
            ui,
            &format!("Connection {id}"),
            "client",
            "This client has disconnected.",
        );
        return;
    };
    let name = if connection.client_id.is_empty() {
        "no client id"
    } else {
        &connection.client_id
    };
    scene.focus.counters = true;
    header(ui, name, "client");
    widgets::facts(ui, |facts| {
        facts.mono("From", &connection.peer);
        facts.mono("Broker", &connection.broker.to_string());
        facts.text("Software", &connection.software);
        facts.mono(
            "Connected",
            &format::moment(scene.now, connection.since.as_ms()),
        );
        facts.mono("Requests", &format::count(connection.requests));
        facts.mono("Errors", &format::count(connection.errors));
        facts.text("Last request", &connection.last_api);
    });
}
