//! What a broker is: to the cluster, by itself, and the other brokers it has links to.

use egui::{Align, Layout as Place, RichText, Role, Ui, WidgetInfo, vec2};

use super::super::head;
use super::super::links::{Link, Look};
use crate::app::format;
use crate::app::inspector::broker::{in_cluster, state};
use crate::app::replicas::{state_since, state_word};
use crate::app::scene::Scene;
use crate::app::state::Selection;
use crate::app::theme::{Theme, size, space};
use crate::app::widgets;
use crate::inspect::BrokerSnapshot;

/// What the three columns have of the width.
const SHARES: [f32; 3] = [0.33, 0.37, 0.3];

pub fn draw(ui: &mut Ui, scene: &mut Scene<'_>, broker: &BrokerSnapshot) {
    let several = scene.picture.brokers.len() > 1;
    let room = ui.available_width() - 2.0 * space::L;
    ui.horizontal_top(|ui| {
        ui.spacing_mut().item_spacing.x = space::L;
        column(ui, room * SHARES[0], |ui| to_cluster(ui, scene, broker));
        column(ui, room * SHARES[1], |ui| by_itself(ui, scene, broker));
        if several {
            column(ui, room * SHARES[2], |ui| others(ui, scene, broker));
        }
    });
}

fn column(ui: &mut Ui, width: f32, content: impl FnOnce(&mut Ui)) {
    let down = Place::top_down(Align::Min);
    ui.allocate_ui_with_layout(vec2(width, 0.0), down, |ui| {
        ui.set_width(width);
        ui.spacing_mut().item_spacing.x = space::S;
        content(ui);
    });
}

/// Its state, since when, and its part in the cluster.
fn to_cluster(ui: &mut Ui, scene: &Scene<'_>, broker: &BrokerSnapshot) {
    let theme = Theme::of(ui);
    widgets::heading(ui, "In the cluster");
    widgets::facts(ui, |facts| {
        let (words, color) = state(&broker.state, theme);
        facts.coloured("State", words, color);
        if let Some(since) = state_since(scene.picture, broker) {
            facts.mono("Since", &format::short_moment(scene.now, since.as_ms()));
        }
        if scene.picture.brokers.len() > 1 {
            in_cluster(facts, scene.picture, broker, theme);
        }
    });
}

/// Where it listens and where its logs lie.
fn by_itself(ui: &mut Ui, scene: &mut Scene<'_>, broker: &BrokerSnapshot) {
    let address = format!("{}:{}", broker.host, broker.port);
    let mut copied = false;
    widgets::heading(ui, "By itself");
    widgets::facts(ui, |facts| {
        facts.custom("Listens on", |ui| copied = with_copy(ui, &address));
        let dir = scene.picture.log_dir(broker.id);
        match dir {
            Some(dir) => facts.path("Log directory", &dir),
            None => facts.text("Log directory", "none: ephemeral"),
        }
        facts.mono("Log size", &format::bytes(broker.log_bytes));
        facts.one_line("Last start", &broker.recovery);
    });
    if copied {
        scene.copy(address, "Address copied");
    }
}

/// An address with a way to copy it; true when that was taken.
fn with_copy(ui: &mut Ui, address: &str) -> bool {
    ui.spacing_mut().interact_size.y = 0.0;
    ui.spacing_mut().button_padding.y = 0.0;
    let line = ui.horizontal(|ui| {
        widgets::mono(ui, address);
        let copy = widgets::link(ui, "copy");
        copy.widget_info(|| WidgetInfo::labeled(Role::Button, true, "Copy its address"));
        copy.clicked()
    });
    line.inner
}

/// The other brokers, each with its state and what its link to this one lets through.
fn others(ui: &mut Ui, scene: &mut Scene<'_>, broker: &BrokerSnapshot) {
    let picture = scene.picture.clone();
    widgets::heading(ui, "Links to the others");
    let spacing = ui.spacing_mut();
    (spacing.item_spacing.y, spacing.button_padding.y) = (0.0, 0.0);
    spacing.interact_size.y = 0.0;
    let row = vec2(ui.available_width(), size::LINK_ROW);
    for other in picture.brokers.iter().filter(|other| other.id != broker.id) {
        let left_to_right = Place::left_to_right(Align::Center);
        ui.allocate_ui_with_layout(row, left_to_right, |ui| {
            head::mark(ui, other);
            let page = widgets::link(ui, &format!("Broker {}", other.id));
            if page.on_hover_text("Open its page").clicked() {
                scene.state.open_broker(other.id);
            }
            widgets::small(ui, state_word(&other.state));
            let link = Link::between(&picture, broker.id, other.id);
            ui.with_layout(Place::right_to_left(Align::Center), |ui| {
                link_button(ui, scene, &link);
            });
        });
    }
}

/// What a link lets through, in a word or two; a click selects it.
fn link_button(ui: &mut Ui, scene: &mut Scene<'_>, link: &Link) {
    let theme = Theme::of(ui);
    let (plain, color) = match link.look() {
        Look::Good => ("link good", theme.muted),
        Look::Down => ("down", theme.muted),
        Look::Slow => ("slow", theme.warning),
        Look::Cut => ("cut", theme.bad),
    };
    let words = link.label().unwrap_or_else(|| plain.to_owned());
    let words = RichText::new(words).color(color);
    let button = ui.add(egui::Button::new(words).frame(false));
    let name = link.sentence();
    button.widget_info(|| WidgetInfo::labeled(Role::Button, true, &name));
    if button.on_hover_text(name).clicked() {
        scene.state.select(Selection::Link(link.a, link.b));
    }
}
