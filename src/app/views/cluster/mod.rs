//! The cluster as one picture: its brokers, the replicas each holds, and the links between them.
//!
//! Guarantees: everything drawn is in the picture; what a frame costs depends on what fits the screen. Detail follows
//! room: lanes of records, then bars, then a heatmap, the same on every card.

use std::collections::BTreeMap;

use egui::{Align, Key, Layout as Place, Rect, Sense, Ui, UiBuilder};

use super::View;
use super::topics::stepped;
use crate::app::actions::{Action, Keys};
use crate::app::format;
use crate::app::replicas::ReplicaRole;
use crate::app::scene::Scene;
use crate::app::state::{Dialog, Selection, ViewKey};
use crate::app::theme::{size, space};
use crate::app::widgets::{self, lane_paint};
use crate::ids::BrokerId;
use crate::inspect::{BrokerSnapshot, Command};

mod broker_page;
mod card;
mod clients;
mod drag;
mod head;
pub mod heatmap;
pub mod lanes;
mod layout;
mod legend;
pub mod links;
mod metrics;
mod rows;
pub mod state_mark;
mod stopwatch;
mod tiles;
pub mod wires;

use card::Card;
use layout::{Detail, Layout};
use rows::Row;

const NO_TOPICS: &str = "No topics yet: one is made when a client writes.";
/// Height of the legend below the picture.
const LEGEND: f32 = size::CONTROL;

/// The Cluster view.
#[derive(Default)]
pub struct Cluster {
    filter: String,
    page: broker_page::BrokerPage,
}

impl View for Cluster {
    fn key(&self) -> ViewKey {
        ViewKey::Cluster
    }

    fn name(&self) -> &'static str {
        "Cluster"
    }

    fn live(&self, scene: &Scene<'_>) -> String {
        format::count(scene.picture.brokers.len() as u64)
    }

    fn draw(&mut self, ui: &mut Ui, scene: &mut Scene<'_>) {
        match open_broker(scene) {
            Some(broker) => self.page.draw(ui, scene, &broker),
            None => self.picture(ui, scene),
        }
    }

    fn actions(&self) -> &'static [Action] {
        ACTIONS
    }
}

/// The broker whose page is open, as long as it belongs to the cluster.
fn open_broker(scene: &mut Scene<'_>) -> Option<BrokerSnapshot> {
    let open = scene.state.open_broker?;
    let found = scene
        .picture
        .brokers
        .iter()
        .find(|broker| broker.id == open);
    if found.is_none() {
        scene.state.open_broker = None;
    }
    found.cloned()
}

impl Cluster {
    /// All brokers at once.
    fn picture(&mut self, ui: &mut Ui, scene: &mut Scene<'_>) {
        self.head(ui, scene);
        ui.scope(|ui| {
            ui.spacing_mut().item_spacing.y = space::XS;
            metrics::draw(ui, scene);
            stopwatch::draw(ui, scene);
        });
        ui.add_space(space::S);
        step(scene);
        let picture = scene.picture.clone();
        let filter = self.filter.trim().to_lowercase();
        let internal = scene.state.remembered.internal_topics;
        let rows = rows::rows(&picture.topics, &filter, internal);
        let area = ui.available_rect_before_wrap();
        let (area, foot) = area.split_top_bottom_at_y(area.bottom() - LEGEND);
        let (left, area) = area.split_left_right_at_x(area.left() + clients::room(&picture, area));
        let none = Vec::new();
        let of = |id: BrokerId| rows.get(&id).unwrap_or(&none);
        let held = picture.brokers.iter().map(|b| heatmap::by_topic(of(b.id)));
        let layout = Layout::new(area, &held.collect::<Vec<_>>());
        let logs = rows.values().flatten().map(heatmap::log_bytes);
        let largest = logs.max().unwrap_or(0);
        let metrics = lane_paint::metrics(ui.ctx().pixels_per_point());
        let passed_ms = scene.now.since_us(picture.time) / 1_000;
        wires::draw(ui, scene, &layout);
        if left.width() > 0.0 {
            clients::draw(ui, scene, left, &layout);
        }
        for (broker, rect) in picture.brokers.iter().zip(&layout.cards) {
            let card = Card {
                broker,
                rows: of(broker.id),
                rect: *rect,
                fit: &layout.fit,
                largest,
                metrics: &metrics,
                passed_ms,
            };
            card.draw(ui, scene);
        }
        drag::draw(ui, scene, &layout);
        look_at(scene, &rows, &layout);
        if rows.is_empty() {
            let below = area.with_min_y(layout.gutter.bottom());
            ui.scope_builder(UiBuilder::new().max_rect(below), |ui| {
                nothing_held(ui, scene)
            });
        }
        let several = picture.brokers.len() > 1;
        let mut shown = rows.values().flatten();
        let moving = shown.any(|row| row.role == ReplicaRole::Adding);
        let legend = legend::Legend {
            detail: layout.fit.detail,
            several,
            moving,
            largest,
            full: rows.values().any(|rows| rows.len() > layout.fit.room),
        };
        legend.draw(ui, foot);
        ui.allocate_rect(Rect::from_min_max(left.min, foot.max), Sense::hover());
    }
}

const ACTIONS: &[Action] = &[
    Action {
        name: "Open this broker",
        group: "Cluster",
        keys: Some(Keys::plain(Key::Enter)),
        can: |scene| {
            let selected = matches!(scene.state.selection, Selection::Broker(_));
            // What has the keyboard takes Enter itself, a Kill button above all.
            let free = scene.ctx.memory(|memory| memory.focused().is_none());
            shows_all(scene) && selected && free
        },
        run: |scene| {
            if let Selection::Broker(id) = scene.state.selection {
                scene.state.open_broker(id);
            }
        },
    },
    Action {
        name: "Next broker",
        group: "Cluster",
        keys: Some(Keys::plain(Key::ArrowDown)),
        can: steps_brokers,
        run: |scene| scene.state.row_step = 1,
    },
    Action {
        name: "Previous broker",
        group: "Cluster",
        keys: Some(Keys::plain(Key::ArrowUp)),
        can: steps_brokers,
        run: |scene| scene.state.row_step = -1,
    },
    broker_page::TABS[0],
    broker_page::TABS[1],
    broker_page::TABS[2],
    broker_page::TABS[3],
];

/// The picture of all brokers is in sight, and there are some.
fn shows_all(scene: &Scene<'_>) -> bool {
    scene.state.open_broker.is_none() && !scene.picture.brokers.is_empty()
}

/// The arrow keys go from broker to broker, unless they go from tile to tile.
fn steps_brokers(scene: &Scene<'_>) -> bool {
    shows_all(scene) && !heatmap::has_keyboard(scene.ctx, scene.picture)
}

/// Moves the selection through the brokers as the arrow keys asked.
fn step(scene: &mut Scene<'_>) {
    let by = std::mem::take(&mut scene.state.row_step);
    let brokers = &scene.picture.brokers;
    if by == 0 || brokers.is_empty() {
        return;
    }
    let selected = match scene.state.selection {
        Selection::Broker(id) => brokers.iter().position(|broker| broker.id == id),
        _ => None,
    };
    let next = stepped(selected, by, brokers.len());
    scene.state.select(Selection::Broker(brokers[next].id));
}

impl Cluster {
    fn head(&mut self, ui: &mut Ui, scene: &mut Scene<'_>) {
        ui.horizontal(|ui| {
            widgets::title(ui, "Cluster");
            ui.add_space(space::S);
            let field = widgets::search_field(ui, &mut self.filter, "Filter by topic", 200.0);
            if std::mem::take(&mut scene.state.focus_filter) {
                field.request_focus();
            }
            let picture = scene.picture.clone();
            let partitions: usize = picture.topics.iter().map(|t| t.partitions.len()).sum();
            let words = format!(
                "{} · {}",
                format::counted(picture.topics.len() as u64, "topic"),
                format::counted(partitions as u64, "partition")
            );
            ui.with_layout(Place::right_to_left(Align::Center), |ui| {
                if scene.abilities.break_things {
                    if widgets::button(ui, "Add a broker").clicked() {
                        scene.send(Command::AddBroker);
                    }
                    if widgets::button(ui, "Pull the plug").clicked() {
                        scene.state.dialog = Some(Dialog::PullPlug);
                    }
                }
                widgets::small(ui, &words);
            });
        });
    }
}

/// No broker holds anything to be shown.
fn nothing_held(ui: &mut Ui, scene: &mut Scene<'_>) {
    let (sentence, button) = match scene.picture.topics.is_empty() {
        true if scene.abilities.change_topics => (NO_TOPICS, Some("Create topic")),
        true => (NO_TOPICS, None),
        false => ("No topic to show matches the filter.", None),
    };
    if widgets::empty(ui, sentence, button) {
        scene.state.dialog = Some(Dialog::CreateTopic);
    }
}

/// Asks the next pictures for the records that are drawn.
fn look_at(scene: &mut Scene<'_>, rows: &BTreeMap<BrokerId, Vec<Row<'_>>>, layout: &Layout) {
    if layout.fit.detail != Detail::Cells {
        return;
    }
    let Some(card) = layout.cards.first() else {
        return;
    };
    let count = (card.width() / crate::app::theme::lane::CELL) as i64;
    let mut topics: BTreeMap<&str, BTreeMap<_, _>> = BTreeMap::new();
    for row in rows.values().flatten() {
        let partitions = topics.entry(row.topic).or_default();
        partitions
            .entry(row.partition.index)
            .or_insert((row.partition, row.furthest()));
    }
    let wanted = topics
        .into_iter()
        .map(|(topic, partitions)| lanes::wanted(topic, partitions.into_values(), count));
    scene.focus.lanes.extend(wanted);
}
