//! A broker's page: what it is to the others and by itself, and behind tabs the replicas it holds, its settings and
//! its connections. Of one that does not run what is left of it on disk, file by file.

use egui::{Align, Layout as Place, Ui};

use super::head;
use crate::app::actions::Action;
use crate::app::faults;
use crate::app::format;
use crate::app::replicas::is_up;
use crate::app::scene::Scene;
use crate::app::state::BrokerTab;
use crate::app::theme::{Theme, space};
use crate::app::views::clients;
use crate::app::widgets;
use crate::inspect::{BrokerSnapshot, BrokerState, ConnectionSnapshot};

mod facts;
mod files;
mod replicas;
mod settings;

/// What a broker's page keeps from frame to frame.
#[derive(Default)]
pub struct BrokerPage {
    filter: String,
}

impl BrokerPage {
    /// Draws the page of the open broker into the rest of the space.
    pub fn draw(&mut self, ui: &mut Ui, scene: &mut Scene<'_>, broker: &BrokerSnapshot) {
        if !is_up(&broker.state) {
            scene.focus.files = Some(broker.id);
        }
        page_head(ui, scene, broker);
        remains(ui, scene, broker);
        ui.add_space(space::S);
        facts::draw(ui, scene, broker);
        ui.add_space(space::S);
        self.tabs(ui, scene, broker);
        ui.add_space(space::XS);
        let wanted = self.filter.trim().to_lowercase();
        match scene.state.broker_tab {
            BrokerTab::Replicas => replicas::draw(ui, scene, broker, &wanted),
            BrokerTab::Settings => settings::draw(ui, broker, &wanted),
            BrokerTab::Connections => connections(ui, scene, broker, &wanted),
            BrokerTab::Files => files::draw(ui, scene, broker, &wanted),
        }
    }

    fn tabs(&mut self, ui: &mut Ui, scene: &mut Scene<'_>, broker: &BrokerSnapshot) {
        let (_, holds) = crate::app::replicas::held_by(scene.picture, broker.id);
        let name = |name: &str, number: usize| format!("{name} {}", format::count(number as u64));
        let connections = scene.picture.connections.iter();
        let connections = connections.filter(|c| c.broker == broker.id).count();
        let all = [
            (BrokerTab::Replicas, name("Replicas", holds)),
            (BrokerTab::Settings, name("Settings", broker.settings.len())),
            (BrokerTab::Connections, name("Connections", connections)),
            (BrokerTab::Files, files_tab(scene, broker)),
        ];
        ui.horizontal(|ui| {
            if widgets::tabs(ui, &mut scene.state.broker_tab, &all) {
                self.filter.clear();
            }
            let hint = match scene.state.broker_tab {
                BrokerTab::Replicas => "Filter by topic",
                BrokerTab::Settings => "Filter settings",
                BrokerTab::Connections => "Filter by client",
                BrokerTab::Files => "Filter files",
            };
            ui.with_layout(Place::right_to_left(Align::Center), |ui| {
                let field = widgets::search_field(ui, &mut self.filter, hint, 180.0);
                if std::mem::take(&mut scene.state.focus_filter) {
                    field.request_focus();
                }
            });
        });
    }
}

/// `Files 42` once they were read.
fn files_tab(scene: &Scene<'_>, broker: &BrokerSnapshot) -> String {
    let read = scene.picture.files.as_ref();
    match read.filter(|files| files.broker == broker.id && files.trouble.is_none()) {
        Some(files) => format!("Files {}", format::count(files.count())),
        None => "Files".to_owned(),
    }
}

/// The way back, its name and state, and the one thing most wanted of it.
fn page_head(ui: &mut Ui, scene: &mut Scene<'_>, broker: &BrokerSnapshot) {
    ui.horizontal(|ui| {
        let back = widgets::link(ui, "Cluster");
        if back.on_hover_text("Back to all brokers (Esc)").clicked() {
            scene.state.open_broker = None;
        }
        widgets::muted(ui, "/");
        head::mark(ui, broker);
        widgets::title(ui, &format!("Broker {}", broker.id));
        head::role(ui, scene, broker, true);
        head::state(ui, scene, broker, |ui, scene| {
            let offers = faults::on_broker(scene.picture, broker.id);
            let offer = offers.first().filter(|_| scene.abilities.break_things);
            let Some(offer) = offer else {
                return;
            };
            let button = match offer.breaks() {
                true => widgets::danger_button(ui, &offer.name),
                false => widgets::primary_button(ui, &offer.name),
            };
            if button.clicked() {
                faults::perform(scene, offer);
            }
        });
    });
}

/// What is left of a broker that does not run: its last word, and where what is shown comes from.
fn remains(ui: &mut Ui, scene: &Scene<'_>, broker: &BrokerSnapshot) {
    if let BrokerState::Crashed { message } = &broker.state {
        let theme = Theme::of(ui);
        ui.add_space(space::XS);
        widgets::card(ui, |ui| {
            ui.set_width(ui.available_width());
            widgets::small(ui, "Its last message");
            let text = egui::RichText::new(crate::inspect::one_line(message));
            let text = text.font(crate::app::theme::mono()).color(theme.bad);
            ui.add(egui::Label::new(text).wrap().selectable(true));
        });
    }
    if is_up(&broker.state) || matches!(broker.state, BrokerState::Starting | BrokerState::Paused) {
        return;
    }
    let partitions = scene
        .picture
        .topics
        .iter()
        .flat_map(|topic| &topic.partitions);
    let mut held = partitions.flat_map(|partition| &partition.replicas);
    let read = held.any(|replica| replica.broker == broker.id && replica.from_files);
    let words = match read {
        true => {
            "It does not run: its logs below are read from its files, all else is what it told last."
        }
        false => "It does not run: what is below is what it told last.",
    };
    widgets::small(ui, words);
}

fn connections(ui: &mut Ui, scene: &mut Scene<'_>, broker: &BrokerSnapshot, wanted: &str) {
    let picture = scene.picture.clone();
    let own = picture.connections.iter().filter(|c| c.broker == broker.id);
    let shown: Vec<&ConnectionSnapshot> = own.filter(|c| clients::matches(c, wanted)).collect();
    match shown.is_empty() {
        true if !wanted.is_empty() => {
            widgets::empty(ui, "No client matches the filter.", None);
        }
        true => {
            widgets::empty(ui, "Nobody is connected to this broker.", None);
        }
        false => clients::connections(ui, scene, &shown),
    }
}

/// An action that shows a tab.
macro_rules! tab {
    ($name:literal, $tab:expr) => {
        Action {
            name: $name,
            group: "Cluster",
            keys: None,
            can: |scene| scene.state.open_broker.is_some(),
            run: |scene| scene.state.broker_tab = $tab,
        }
    };
}

pub const TABS: [Action; 4] = [
    tab!("Replicas tab", BrokerTab::Replicas),
    tab!("Settings tab", BrokerTab::Settings),
    tab!("Connections tab", BrokerTab::Connections),
    tab!("Files tab", BrokerTab::Files),
];
