//! Who writes and reads: the clients left of the brokers, and a wire to each broker they are connected to.
//!
//! Shown where brokers stand in one column and the cards keep enough room; the Clients view has all of them always.

use std::collections::BTreeMap;

use egui::{
    CornerRadius, Pos2, Rect, Role, Sense, Shape, Stroke, StrokeKind, Ui, WidgetInfo, pos2, vec2,
};

use super::layout::Layout;
use super::links::{Curve, waits_for};
use super::wires::{flight, request};
use crate::app::format;
use crate::app::replicas::{brokers, is_peer};
use crate::app::scene::Scene;
use crate::app::state::Selection;
use crate::app::theme::{self, Theme, cluster as measure, radius, size, space};
use crate::app::widgets;
use crate::ids::BrokerId;
use crate::inspect::{Asker, ClusterSnapshot, ConnectionSnapshot, InFlight, WaitsFor};

/// One program, or one of klar's own panels, by all its connections.
struct Client<'a> {
    name: &'a str,
    software: &'a str,
    connections: Vec<&'a ConnectionSnapshot>,
}

/// The clients by name. Of klar's own panels only those that write: the others look on.
fn clients(picture: &ClusterSnapshot) -> Vec<Client<'_>> {
    let mut found: BTreeMap<(&str, &str), Vec<&ConnectionSnapshot>> = BTreeMap::new();
    for connection in &picture.connections {
        let looks_on = connection.own && !connection.last_api.starts_with("Produce");
        if !looks_on && !is_peer(picture, connection) {
            let key = (connection.client_id.as_str(), connection.software.as_str());
            found.entry(key).or_default().push(connection);
        }
    }
    let found = found.into_iter();
    let client = |((name, software), connections)| Client {
        name,
        software,
        connections,
    };
    found.map(client).collect()
}

/// The room clients take at the left of `area`; nothing where there is none to spare, or nobody.
pub fn room(picture: &ClusterSnapshot, area: Rect) -> f32 {
    let wide = area.width() >= measure::CLIENTS_FROM && Layout::stacks(picture.brokers.len());
    match wide && !clients(picture).is_empty() {
        true => measure::CLIENT[0] + measure::CLIENT_GUTTER,
        false => 0.0,
    }
}

/// Draws them into `area`, left of the cards of `layout`.
pub fn draw(ui: &Ui, scene: &mut Scene<'_>, area: Rect, layout: &Layout) {
    let picture = scene.picture.clone();
    let all = clients(&picture);
    let pitch = measure::CLIENT[1] + measure::GAP;
    let fitting = ((area.height() + measure::GAP) / pitch).floor().max(1.0) as usize;
    for (nth, client) in all.iter().take(fitting).enumerate() {
        let corner = area.min + vec2(0.0, pitch * nth as f32);
        let rect = Rect::from_min_size(corner, measure::CLIENT.into());
        for connection in &client.connections {
            let place = picture
                .brokers
                .iter()
                .position(|broker| broker.id == connection.broker);
            if let Some(card) = place.map(|place| layout.cards[place]) {
                wire(
                    ui,
                    scene,
                    connection,
                    rect,
                    entrance(card, nth, fitting.min(all.len())),
                );
            }
        }
        client.draw(ui, scene, rect);
    }
    if let Some(more) = all.len().checked_sub(fitting).filter(|more| *more > 0) {
        let text = format!("and {} more", format::count(more as u64));
        let at = pos2(area.left(), area.bottom());
        let muted = Theme::of(ui).muted;
        ui.painter()
            .text(at, egui::Align2::LEFT_BOTTOM, text, theme::small(), muted);
    }
}

/// Where the wire of the `nth` client of `all` meets a card.
fn entrance(card: Rect, nth: usize, all: usize) -> Pos2 {
    let share = (nth as f32 + 1.0) / (all as f32 + 1.0);
    pos2(card.left(), card.top() + card.height() * share)
}

/// A connection, and what its client waits for on it.
fn wire(ui: &Ui, scene: &Scene<'_>, connection: &ConnectionSnapshot, from: Rect, to: Pos2) {
    let start = pos2(from.right(), from.center().y);
    let half = vec2((to.x - start.x) * 0.5, 0.0);
    let curve = Curve::bent(start, start + half, to - half, to);
    let theme = Theme::of(ui);
    let stroke = Stroke::new(size::LINE, theme.faint);
    ui.painter().add(Shape::line(curve.points.clone(), stroke));
    let there = (connection.broker, connection.id);
    let flying = scene.flights.flying().iter().filter(|f| f.wire == there);
    for one in flying {
        flight(ui, scene, &curve, one, one.back);
    }
    for (nth, asked) in asked(scene.picture, connection).enumerate() {
        let arrived = asked.waits_for != WaitsFor::Answer;
        let share = if arrived { 0.85 } else { 0.5 } - nth as f32 * 0.12;
        request(ui, &curve, share.max(0.1), false, arrived);
    }
}

/// The requests of a connection that have no answer yet.
fn asked<'a>(
    picture: &'a ClusterSnapshot,
    connection: &'a ConnectionSnapshot,
) -> impl Iterator<Item = &'a InFlight> {
    let by = Asker::Client(connection.id);
    let all = picture.in_flight.iter();
    all.filter(move |asked| asked.from == by && asked.to == connection.broker)
}

impl Client<'_> {
    fn draw(&self, ui: &Ui, scene: &mut Scene<'_>, rect: Rect) {
        let Some(first) = self.connections.first() else {
            return;
        };
        let theme = Theme::of(ui);
        let selection = Selection::Connection(first.broker, first.id);
        let chosen = scene.state.selection == selection;
        let id = ui.scope_id().with(("client", self.name, self.software));
        let response = ui.interact(rect, id, Sense::click());
        let words = self.words(scene.picture);
        response.widget_info(|| WidgetInfo::selected(Role::ListBoxOption, true, chosen, &words));
        if response.clicked() {
            scene.state.select(selection);
        }
        let corner = CornerRadius::same(radius::CARD);
        let edge = Stroke::new(size::LINE, if chosen { theme.accent } else { theme.line });
        ui.painter()
            .rect(rect, corner, theme.card, edge, StrokeKind::Inside);
        widgets::focus_ring(ui, &response, rect);
        let width = rect.width() - 2.0 * space::M;
        let line = |at: f32, text: &str, font, ink| {
            let galley = widgets::elided(ui, text, font, ink, width);
            let top = pos2(
                rect.left() + space::M,
                rect.top() + at - galley.size().y / 2.0,
            );
            ui.painter().galley(top, galley, ink);
        };
        let third = rect.height() / 3.0;
        let name = if self.name.is_empty() {
            "no client id"
        } else {
            self.name
        };
        line(third, name, theme::heading(), theme.text);
        line(2.0 * third, &self.does(), theme::small(), theme.muted);
        response.on_hover_text_at_pointer(words);
    }

    /// What it asked last, by its busiest connection.
    fn does(&self) -> String {
        let busiest = self
            .connections
            .iter()
            .max_by_key(|connection| connection.requests);
        let last = busiest.map_or("", |connection| connection.last_api.as_str());
        match self.software.is_empty() {
            true => last.to_owned(),
            false => format!("{last} · {}", self.software),
        }
    }

    /// The client as a sentence.
    fn words(&self, picture: &ClusterSnapshot) -> String {
        let mut ids: Vec<BrokerId> = self.connections.iter().map(|c| c.broker).collect();
        ids.sort_unstable();
        ids.dedup();
        let requests: u64 = self.connections.iter().map(|c| c.requests).sum();
        let mut words = format!(
            "Client {}, connected to {}, last {}, {}",
            self.name,
            brokers(&ids),
            self.does(),
            format::counted(requests, "request")
        );
        for connection in &self.connections {
            for asked in asked(picture, connection) {
                let waits = waits_for(asked.waits_for);
                words.push_str(&format!(". {} to broker {}, {waits}", asked.api, asked.to));
            }
        }
        words
    }
}
