//! The left navigation: the views with their live numbers, below them the topics.

use egui::{RichText, ScrollArea, Ui};

use crate::app::replicas::state_word;
use crate::app::scene::Scene;
use crate::app::state::{Selection, ViewKey};
use crate::app::theme::{self, Theme, size, space};
use crate::app::views::View;
use crate::app::{format, widgets};
use crate::inspect::BrokerState;

/// The brokers' part of what the views leave of the navigation, at most.
const BROKERS_SHARE: f32 = 0.6;

pub fn draw(ui: &mut Ui, views: &[Box<dyn View>], scene: &mut Scene<'_>) {
    ui.spacing_mut().item_spacing.y = 2.0;
    for view in views {
        let number = view.live(scene);
        let row = widgets::Row {
            name: view.name(),
            number: &number,
            selected: scene.state.view == view.key(),
            height: size::NAV_ROW,
            dimmed: false,
        };
        if widgets::row(ui, &row).clicked() {
            go_to(scene, view.key());
        }
    }
    if scene.picture.brokers.len() > 1 {
        section(ui, "BROKERS");
        // Many brokers leave the topics their part.
        let most = ui.available_height() * BROKERS_SHARE;
        ScrollArea::vertical()
            .id_salt("brokers")
            .auto_shrink([false, true])
            .max_height(most)
            .show(ui, |ui| brokers(ui, scene));
    }
    section(ui, "TOPICS");
    topics(ui, scene);
}

fn section(ui: &mut Ui, name: &str) {
    ui.add_space(space::M);
    ui.horizontal(|ui| {
        ui.add_space(10.0);
        ui.add(egui::Label::new(
            RichText::new(name)
                .font(theme::small_heading())
                .color(Theme::of(ui).muted),
        ));
    });
    ui.add_space(space::XS);
}

/// Every broker with what it is: its state if it does not run, else what it does for the cluster.
fn brokers(ui: &mut Ui, scene: &mut Scene<'_>) {
    let picture = scene.picture.clone();
    for broker in &picture.brokers {
        let runs = broker.state == BrokerState::Running;
        let fenced = broker.registration.is_some_and(|one| one.fenced);
        let word = match runs {
            false => state_word(&broker.state).to_owned(),
            true if picture.controller == Some(broker.id) => "controller".to_owned(),
            true if fenced => "fenced".to_owned(),
            true => format!(":{}", broker.port),
        };
        let name = format!("Broker {}", broker.id);
        let row = widgets::Row {
            name: &name,
            number: &word,
            selected: scene.state.selection == Selection::Broker(broker.id),
            height: size::NAV_TOPIC_ROW,
            dimmed: !runs,
        };
        let response = widgets::row(ui, &row);
        if response.clicked() {
            scene.state.select(Selection::Broker(broker.id));
        }
        // With one page open, the others are a click away.
        let is_page = scene.state.view == ViewKey::Cluster && scene.state.open_broker.is_some();
        if response.double_clicked() || (response.clicked() && is_page) {
            scene.state.open_broker(broker.id);
        }
    }
}

/// A click on a view's name shows it from its beginning.
fn go_to(scene: &mut Scene<'_>, key: ViewKey) {
    if key == ViewKey::Topics && scene.state.view == ViewKey::Topics {
        scene.state.open_topic = None;
    }
    if key == ViewKey::Groups && scene.state.view == ViewKey::Groups {
        scene.state.open_group = None;
    }
    if key == ViewKey::Cluster && scene.state.view == ViewKey::Cluster {
        scene.state.open_broker = None;
    }
    scene.state.go_to(key);
}

fn topics(ui: &mut Ui, scene: &mut Scene<'_>) {
    let picture = scene.picture;
    let internal = scene.state.remembered.internal_topics;
    let shown: Vec<_> = picture
        .topics
        .iter()
        .filter(|topic| internal || !topic.internal)
        .collect();
    if shown.is_empty() {
        ui.horizontal(|ui| {
            ui.add_space(10.0);
            widgets::small(ui, "none yet");
        });
        return;
    }
    ScrollArea::vertical()
        .auto_shrink([false, false])
        .show_rows(ui, size::NAV_TOPIC_ROW, shown.len(), |ui, rows| {
            for topic in &shown[rows] {
                let number = format::rate(scene.topic_rate(topic).0);
                let row = widgets::Row {
                    name: &topic.name,
                    number: &number,
                    selected: is_current(scene, &topic.name),
                    height: size::NAV_TOPIC_ROW,
                    dimmed: scene.is_deleting(&topic.name),
                };
                let response = widgets::row(ui, &row);
                if response.clicked() {
                    scene.state.open_topic(&topic.name);
                }
            }
        });
}

fn is_current(scene: &Scene<'_>, topic: &str) -> bool {
    match scene.state.view {
        ViewKey::Topics if scene.state.open_topic.is_some() => {
            scene.state.open_topic.as_deref() == Some(topic)
        }
        _ => {
            matches!(&scene.state.selection, selection if Selection::topic(selection) == Some(topic))
        }
    }
}
