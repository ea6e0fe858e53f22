//! klar's own consumers as the consume panel lists them: how each stands, what it read last, and what can be done.

use egui::{Align, Layout, Role, Ui, WidgetInfo};

use crate::app::consumers::{acts, numbers, owns, perform, place, state_word};
use crate::app::scene::Scene;
use crate::app::state::Selection;
use crate::app::theme::{self, Theme, space};
use crate::app::{format, widgets};
use crate::inspect::{ConsumedRecord, ConsumerSnapshot, ConsumerState};

/// Records shown of each consumer.
const RECORDS: usize = 2;
/// Characters of a key and of a value.
const CHARS: usize = 40;

/// Draws all of them, those that run first.
pub fn draw(ui: &mut Ui, scene: &mut Scene<'_>) {
    let picture = scene.picture.clone();
    if picture.consumers.is_empty() {
        let sentence = "No consumer of klar's own runs: start one under New.";
        widgets::paragraph(ui, sentence);
        return;
    }
    let alive = picture.consumers.iter().filter(|one| one.state.is_alive());
    let ended = picture.consumers.iter().filter(|one| !one.state.is_alive());
    for consumer in alive.chain(ended.rev()) {
        widgets::card(ui, |ui| {
            ui.set_width(ui.available_width());
            ui.spacing_mut().item_spacing.y = space::XS / 2.0;
            // Lines of text as high as their text; buttons keep their own height.
            ui.spacing_mut().interact_size.y = 0.0;
            card(ui, scene, consumer);
        });
    }
}

fn card(ui: &mut Ui, scene: &mut Scene<'_>, consumer: &ConsumerSnapshot) {
    ui.horizontal(|ui| {
        if widgets::link(ui, &format!("Consumer {}", consumer.id)).clicked() {
            scene.state.select(Selection::Consumer(consumer.id));
        }
        ui.with_layout(Layout::right_to_left(Align::Center), |ui| {
            state_badge(ui, consumer.state);
        });
    });
    let lines = [
        place(scene, consumer),
        owns(consumer),
        numbers(scene, consumer),
    ];
    let width = ui.available_width();
    for (line, mono) in lines.into_iter().zip([false, false, true]) {
        let theme = Theme::of(ui);
        let (font, ink) = match mono {
            true => (theme::mono_small(), theme.text),
            false => (theme::small(), theme.muted),
        };
        let galley = widgets::elided(ui, &line, font, ink, width);
        let cut = galley.elided;
        let shown = ui.add(egui::Label::new(galley));
        shown.widget_info(|| WidgetInfo::labeled(Role::Label, true, &line));
        if cut {
            shown.on_hover_text(line);
        }
    }
    if consumer.state.is_alive() {
        let newest = &consumer.newest[..consumer.newest.len().min(RECORDS)];
        records(ui, newest);
    }
    if let Some(error) = &consumer.last_error {
        widgets::small_wrapped(ui, &format!("{}: {}", error.name, error.sentence()));
    }
    buttons(ui, scene, consumer);
}

/// How it stands, in a coloured word.
pub fn state_badge(ui: &mut Ui, state: ConsumerState) {
    let theme = Theme::of(ui);
    let color = match state {
        ConsumerState::Running => theme.ok,
        ConsumerState::Paused | ConsumerState::Stopping => theme.warning,
        ConsumerState::Crashed | ConsumerState::Failed => theme.bad,
        ConsumerState::Stopped => theme.muted,
    };
    widgets::badge(ui, state_word(state), color);
}

/// Records below each other, the newest first.
pub fn records(ui: &mut Ui, records: &[ConsumedRecord]) {
    ui.scope(|ui| {
        ui.spacing_mut().item_spacing.y = space::XS / 2.0;
        ui.spacing_mut().interact_size.y = 0.0;
        for record in records {
            record_line(ui, record);
        }
    });
}

/// One record: where it is, and the beginning of its key and value.
fn record_line(ui: &mut Ui, record: &ConsumedRecord) {
    let theme = Theme::of(ui);
    let text = |bytes: &Option<Vec<u8>>, none: &str| match bytes {
        Some(bytes) => format::text_or_hex(bytes, CHARS),
        None => none.to_owned(),
    };
    let line = format!(
        "{}-{} @ {} {} {}",
        record.topic,
        record.partition,
        format::signed(record.offset.0),
        text(&record.key, "–"),
        text(&record.value, "⌀")
    );
    ui.horizontal(|ui| {
        let side = theme::size::KEY_MARK;
        let high = ui.fonts_mut(|fonts| fonts.row_height(&theme::mono_small()));
        let (cell, _) = ui.allocate_exact_size(egui::vec2(side, high), egui::Sense::hover());
        let mark = egui::Rect::from_center_size(cell.center(), egui::Vec2::splat(side));
        ui.painter()
            .rect_filled(mark, theme::radius::SMALL, theme.key(record.key_hash));
        let room = ui.available_width();
        let galley = widgets::elided(ui, &line, theme::mono_small(), theme.text, room);
        let shown = ui.add(egui::Label::new(galley));
        shown.widget_info(|| WidgetInfo::labeled(Role::Label, true, &line));
        shown.on_hover_text(format!("{} UTC", format::date_time(record.timestamp_ms)));
    });
}

/// What can be done to it.
pub fn buttons(ui: &mut Ui, scene: &mut Scene<'_>, consumer: &ConsumerSnapshot) {
    ui.add_space(space::XS);
    ui.horizontal_wrapped(|ui| {
        ui.spacing_mut().item_spacing.x = space::XS;
        for act in acts(consumer.state) {
            let button = match act {
                crate::app::consumers::Act::Crash => widgets::danger_button(ui, act.word()),
                _ => widgets::button(ui, act.word()),
            };
            let name = format!("{} consumer {}", act.word(), consumer.id);
            button.widget_info(|| WidgetInfo::labeled(Role::Button, true, &name));
            if button.on_hover_text(act.why()).clicked() {
                perform(scene, consumer, *act);
            }
        }
    });
}
