//! The head of a broker's card: what it is to the cluster, its state in words, and the one button.

use egui::{
    Align, CornerRadius, Layout as Place, Rect, Role, Sense, Stroke, StrokeKind, Ui, UiBuilder,
    WidgetInfo, vec2,
};

use super::card::Card;
use super::rows::Row;
use super::state_mark;
use crate::app::faults;
use crate::app::format;
use crate::app::replicas::{ReplicaRole, ended_at, is_up, state_word};
use crate::app::scene::Scene;
use crate::app::state::Selection;
use crate::app::theme::{self, Theme, cluster as measure, radius, size, space};
use crate::app::widgets;
use crate::ids::Time;
use crate::inspect::{BrokerSnapshot, BrokerState, ClusterSnapshot};

impl Card<'_> {
    /// Draws it and takes clicks on it.
    pub(super) fn head(&self, ui: &mut Ui, scene: &mut Scene<'_>) {
        let head = Rect::from_min_size(self.rect.min, vec2(self.rect.width(), measure::HEAD));
        let id = ui.scope_id().with(("broker", self.broker.id.0));
        let response = ui.interact(head, id, Sense::click());
        let words = describe(scene.picture, self.broker, self.rows, scene.now);
        let selected = scene.state.selection == Selection::Broker(self.broker.id);
        response.widget_info(|| WidgetInfo::selected(Role::ListBoxOption, true, selected, &words));
        if response.clicked() {
            scene.state.select(Selection::Broker(self.broker.id));
        }
        let entered = response.clicked() && selected && response.has_focus();
        if response.double_clicked() || entered {
            scene.state.open_broker(self.broker.id);
        }
        widgets::focus_ring(ui, &response, head.shrink(2.0));
        let inner = head.shrink2(vec2(space::M, 0.0));
        let left_to_right = Place::left_to_right(Align::Center);
        ui.scope_builder(
            UiBuilder::new().max_rect(inner).layout(left_to_right),
            |ui| {
                self.head_words(ui, scene);
            },
        );
    }

    fn head_words(&self, ui: &mut Ui, scene: &mut Scene<'_>) {
        let theme = Theme::of(ui);
        let broker = self.broker;
        mark(ui, broker);
        widgets::heading(ui, &format!("Broker {}", broker.id));
        let port = egui::RichText::new(format!(":{}", broker.port)).font(theme::mono_small());
        ui.add(egui::Label::new(port.color(theme.muted)));
        role(ui, scene, broker, self.rect.width() >= measure::NOTES_FROM);
        state(ui, scene, broker, |ui, scene| self.button(ui, scene));
    }

    /// The one thing most wanted of a broker: that it dies, or comes back.
    fn button(&self, ui: &mut Ui, scene: &mut Scene<'_>) {
        ui.spacing_mut().interact_size.y = measure::BUTTON[1];
        let offers = faults::on_broker(scene.picture, self.broker.id);
        let Some(offer) = offers.first().filter(|_| scene.abilities.break_things) else {
            return;
        };
        let button = ui.add(egui::Button::new(&offer.short).min_size(measure::BUTTON.into()));
        button.widget_info(|| WidgetInfo::labeled(Role::Button, true, &offer.name));
        if button.clicked() {
            faults::perform(scene, offer);
        }
    }
}

/// The sign of a broker's state.
pub(super) fn mark(ui: &mut Ui, broker: &BrokerSnapshot) {
    let fenced = broker.registration.is_some_and(|one| one.fenced);
    let (mark, _) = ui.allocate_exact_size(vec2(size::DOT * 2.5, size::DOT * 2.5), Sense::hover());
    state_mark::paint(ui.painter(), mark, &broker.state, fenced, Theme::of(ui));
}

/// What a broker is to the others, where it is more than they are.
pub(super) fn role(ui: &mut Ui, scene: &Scene<'_>, broker: &BrokerSnapshot, wide: bool) {
    if scene.picture.controller != Some(broker.id) {
        return;
    }
    let epoch = scene.picture.quorum.as_ref().map(|quorum| quorum.epoch);
    let long = epoch.map(|epoch| format!("Controller · epoch {epoch}"));
    let text = long.filter(|_| wide);
    badge(ui, &text.unwrap_or_else(|| "Controller".to_owned()));
}

/// What is wrong with a broker in the rest of the line, which ends with `button`.
pub(super) fn state(
    ui: &mut Ui,
    scene: &mut Scene<'_>,
    broker: &BrokerSnapshot,
    button: impl FnOnce(&mut Ui, &mut Scene<'_>),
) {
    let (ways, color) = state_words(scene, broker, Theme::of(ui));
    ui.with_layout(Place::right_to_left(Align::Center), |ui| {
        button(ui, scene);
        ui.with_layout(Place::left_to_right(Align::Center), |ui| {
            let room = ui.available_width() - space::S;
            let galley = widgets::fitting(ui, &ways, theme::small(), color, room);
            let [words, ..] = ways;
            ui.add(egui::Label::new(galley)).on_hover_text(words);
        });
    });
}

/// A role of the broker, in no colour: it is neither good nor bad.
fn badge(ui: &mut Ui, text: &str) {
    let theme = Theme::of(ui);
    let font = theme::small_heading();
    let galley = ui
        .painter()
        .layout_no_wrap(text.to_owned(), font, theme.text);
    let room = galley.size() + vec2(2.0 * space::S, space::XS);
    let (rect, _) = ui.allocate_exact_size(room, Sense::hover());
    let corner = CornerRadius::same(radius::CONTROL);
    let edge = Stroke::new(size::LINE, theme.muted);
    ui.painter()
        .rect(rect, corner, theme.selected, edge, StrokeKind::Inside);
    ui.painter()
        .galley(rect.center() - galley.size() / 2.0, galley, theme.text);
}

/// What a broker's head says beside its name, at length and shorter; nothing of one that runs and is used.
fn state_words(
    scene: &Scene<'_>,
    broker: &BrokerSnapshot,
    theme: &Theme,
) -> ([String; 3], egui::Color32) {
    let fenced = broker.registration.is_some_and(|one| one.fenced);
    let stopping = broker
        .registration
        .is_some_and(|one| one.in_controlled_shutdown);
    let (mut words, word) = match &broker.state {
        BrokerState::Running if fenced => (
            "fenced: it leads nothing and is in no ISR".to_owned(),
            "fenced",
        ),
        BrokerState::Running if stopping => (
            "hands its leaderships over".to_owned(),
            state_word(&BrokerState::Stopping),
        ),
        BrokerState::Running => return ([const { String::new() }; 3], theme.muted),
        BrokerState::Crashed { message } => {
            (format!("crashed: {message}"), state_word(&broker.state))
        }
        state => (state_word(state).to_owned(), state_word(state)),
    };
    let mut shorter = word.to_owned();
    if !is_up(&broker.state) {
        if let Some(time) = ended_at(scene.picture, broker.id) {
            words = format!("{words} {}", format::ago(scene.now, time));
        }
        if fenced {
            words.push_str(" · fenced");
            shorter.push_str(" · fenced");
        }
    }
    let color = match &broker.state {
        BrokerState::Killed | BrokerState::Crashed { .. } => theme.bad,
        BrokerState::Stopped => theme.muted,
        _ => theme.warning,
    };
    ([words, shorter, word.to_owned()], color)
}

/// A broker as a sentence.
fn describe(
    picture: &ClusterSnapshot,
    broker: &BrokerSnapshot,
    rows: &[Row<'_>],
    now: Time,
) -> String {
    let mut parts = vec![format!(
        "Broker {} in the cluster: {}",
        broker.id,
        state_word(&broker.state)
    )];
    if !is_up(&broker.state)
        && let Some(time) = ended_at(picture, broker.id)
    {
        parts.push(format::ago(now, time));
    }
    if broker.registration.is_some_and(|one| one.fenced) {
        parts.push("fenced".to_owned());
    }
    if picture.controller == Some(broker.id) {
        parts.push("controller".to_owned());
    }
    let leads = rows
        .iter()
        .filter(|row| row.role == ReplicaRole::Leader)
        .count();
    let replicas = format::counted(rows.len() as u64, "replica");
    parts.push(format!("leads {leads} of its {replicas}"));
    parts.join(", ")
}
