//! The top bar: name, bootstrap string, health in words, search, theme.

use egui::{
    Align, Button, Color32, Frame, Layout, Margin, RichText, Role, Sense, Ui, WidgetInfo, vec2,
};

use super::pace;
use crate::app::actions::{GLOBAL, Keys};
use crate::app::replicas::{Ills, is_up, state_word};
use crate::app::scene::Scene;
use crate::app::state::{Dialog, ThemeChoice};
use crate::app::theme::{self, Theme, radius, size, space};
use crate::app::{format, widgets};
use crate::inspect::{BrokerState, ClusterSnapshot};

/// What the buttons at the right take, points.
const BUTTONS_ROOM: f32 = 330.0;
/// The least the health's words take, points.
const HEALTH_LEAST: f32 = 90.0;

pub fn draw(ui: &mut Ui, scene: &mut Scene<'_>) {
    ui.with_layout(Layout::left_to_right(Align::Center), |ui| {
        let theme = Theme::of(ui);
        ui.add(egui::Label::new(
            RichText::new("klar")
                .font(egui::FontId::new(
                    theme::font::TITLE - 3.0,
                    theme::semibold_family(),
                ))
                .color(theme.text),
        ));
        ui.add_space(space::XS);
        bootstrap(ui, scene);
        health_chip(ui, scene);
        if scene.picture.listens_beyond_loopback {
            beyond_chip(ui);
        }
        ui.with_layout(Layout::right_to_left(Align::Center), |ui| {
            theme_button(ui, scene);
            search_button(ui, scene);
            if widgets::button(ui, "Connect")
                .on_hover_text("Bootstrap string and snippets for client languages")
                .clicked()
            {
                scene.state.dialog = Some(Dialog::Connect);
            }
            let room = ui.available_width();
            pace::draw(ui, scene, room);
        });
    });
}

pub(super) fn chip<R>(ui: &mut Ui, content: impl FnOnce(&mut Ui) -> R) -> egui::InnerResponse<R> {
    let theme = Theme::of(ui);
    Frame::new()
        .fill(theme.card)
        .stroke(theme.hairline())
        .corner_radius(radius::CONTROL)
        .inner_margin(Margin::symmetric(space::S as i8, 0))
        .show(ui, |ui| {
            ui.set_height(size::CONTROL - 2.0);
            content(ui)
        })
}

/// Text that can be clicked, no taller than the text beside it.
fn text_button(ui: &mut Ui, text: &str) -> egui::Response {
    let theme = Theme::of(ui);
    let label = egui::Label::new(RichText::new(text).font(theme::body()).color(theme.accent));
    ui.add(label.sense(Sense::click()))
        .on_hover_cursor(egui::CursorIcon::PointingHand)
}

fn bootstrap(ui: &mut Ui, scene: &mut Scene<'_>) {
    chip(ui, |ui| {
        widgets::muted(ui, "Bootstrap");
        ui.add(
            egui::Label::new(
                RichText::new(format::bootstrap(&scene.picture.bootstrap))
                    .font(theme::mono())
                    .color(Theme::of(ui).text),
            )
            .selectable(true),
        )
        .on_hover_text(&scene.picture.bootstrap);
        let copy = text_button(ui, "copy").on_hover_text("Copy the bootstrap string (B)");
        copy.widget_info(|| WidgetInfo::labeled(Role::Button, true, "Copy the bootstrap string"));
        if copy.clicked() {
            let text = scene.picture.bootstrap.clone();
            scene.copy(text, "Bootstrap string copied");
        }
    });
}

/// A picture's health: its colour, a few words for the bar, and a sentence with the reasons.
pub fn health(picture: &ClusterSnapshot, theme: &Theme) -> (Color32, String, String) {
    let all = picture.brokers.len();
    let states = || picture.brokers.iter().map(|broker| &broker.state);
    let up = states().filter(|state| is_up(state)).count();
    let ills = Ills::of(picture.topics.iter().flat_map(|topic| &topic.partitions));
    let mut words = vec![match picture.brokers.first() {
        Some(broker) if all == 1 => match &broker.state {
            BrokerState::Running => "1 broker up".to_owned(),
            BrokerState::Starting => "1 broker starting".to_owned(),
            state => format!("1 broker, {}", state_word(state)),
        },
        _ => format!("{up} of {all} brokers"),
    }];
    if all > 1 {
        words.push(match picture.controller {
            Some(id) => format!("controller {id}"),
            None => "no controller".to_owned(),
        });
    }
    words.extend(ills.words());
    let starting = states().any(|state| *state == BrokerState::Starting);
    let color = if up == 0 && starting {
        theme.warning
    } else if up == 0 || ills.is_grave() {
        theme.bad
    } else if up < all || ills.thin > 0 || picture.controller.is_none() {
        theme.warning
    } else {
        theme.ok
    };
    (color, words.join(" · "), reasons(picture))
}

fn reasons(picture: &ClusterSnapshot) -> String {
    let mut lines = Vec::new();
    for broker in &picture.brokers {
        let state = match &broker.state {
            BrokerState::Running => format!(
                "running since {}",
                format::date_time(broker.started.as_ms())
            ),
            BrokerState::Crashed { message } => format!("crashed: {message}"),
            state => state_word(state).to_owned(),
        };
        lines.push(format!("Broker {}: {state}.", broker.id));
        if !broker.recovery.is_empty() {
            lines.push(broker.recovery.clone());
        }
    }
    let troubles = picture.topics.iter().flat_map(|topic| {
        topic.partitions.iter().filter_map(move |partition| {
            let trouble = partition.trouble.as_ref()?;
            Some(format!("{}-{}: {trouble}", topic.name, partition.index))
        })
    });
    lines.extend(troubles.take(10));
    lines.join("\n")
}

fn health_chip(ui: &mut Ui, scene: &mut Scene<'_>) {
    let (color, words, reasons) = health(scene.picture, Theme::of(ui));
    let room = ui.available_width() - BUTTONS_ROOM - pace::NARROW;
    let drawn = chip(ui, |ui| {
        let (rect, _) =
            ui.allocate_exact_size(vec2(2.0 * size::DOT, size::CONTROL - 2.0), Sense::hover());
        ui.painter().circle_filled(rect.center(), size::DOT, color);
        let text = Theme::of(ui).text;
        let line = widgets::elided(ui, &words, theme::body(), text, room.max(HEALTH_LEAST));
        ui.add(egui::Label::new(line));
    });
    let response = ui
        .interact(
            drawn.response.rect,
            ui.scope_id().with("health"),
            Sense::click(),
        )
        .on_hover_text(format!("{words}\n{reasons}"));
    response.widget_info(|| WidgetInfo::labeled(Role::Button, true, format!("Health: {words}")));
    // What is wrong is worth more than what is well.
    let brokers = &scene.picture.brokers;
    let down = brokers.iter().find(|broker| !is_up(&broker.state));
    if response.clicked()
        && let Some(broker) = down.or(brokers.first())
    {
        scene
            .state
            .select(crate::app::state::Selection::Broker(broker.id));
    }
}

/// Said in red, always in sight: nobody is asked for a password.
fn beyond_chip(ui: &mut Ui) {
    let color = Theme::of(ui).bad;
    chip(ui, |ui| {
        ui.label(RichText::new("Open to the network").color(color));
    })
    .response
    .on_hover_text(
        "klar listens beyond this machine and asks nobody for a password: whoever reaches the port \
         can read, write and delete.",
    );
}

fn search_button(ui: &mut Ui, scene: &mut Scene<'_>) {
    let theme = Theme::of(ui);
    let mac = ui.ctx().os().is_mac();
    let keys = GLOBAL
        .iter()
        .find(|action| action.name == "Search everything")
        .and_then(|action| action.keys)
        .map(|keys: Keys| keys.label(mac))
        .unwrap_or_default();
    let response = ui.add(
        Button::new(RichText::new("Search").color(theme.muted))
            .right_text(
                RichText::new(keys)
                    .font(theme::mono_small())
                    .color(theme.muted),
            )
            .min_size(vec2(132.0, size::CONTROL)),
    );
    response.widget_info(|| WidgetInfo::labeled(Role::Button, true, "Search"));
    if response.clicked() {
        scene.state.dialog = Some(Dialog::Palette);
    }
}

fn theme_button(ui: &mut Ui, scene: &mut Scene<'_>) {
    let (name, other) = if scene.dark {
        ("Dark", ThemeChoice::Light)
    } else {
        ("Light", ThemeChoice::Dark)
    };
    if widgets::button(ui, name)
        .on_hover_text("Switch between dark and light (T)")
        .clicked()
    {
        scene.state.remembered.theme = other;
    }
}
