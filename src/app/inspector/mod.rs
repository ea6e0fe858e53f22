//! The right panel: whatever is selected, its facts, what just happened to it, and its actions.

mod broker;
mod connection;
mod event;
mod partition;
mod producer;
mod record;
mod record_json;
pub mod record_text;
mod segment;
mod topic;

use egui::{Align, Layout, RichText, ScrollArea, Ui};

use super::scene::Scene;
use super::state::Selection;
use super::theme::{self, Theme, space};
use super::{format, widgets};
use crate::inspect::Event;

/// Events listed under "What just happened".
const EVENTS_LISTED: usize = 5;

/// Draws the inspector of the selection.
pub fn draw(ui: &mut Ui, scene: &mut Scene<'_>) {
    if let Selection::Record(name, index, offset) = scene.state.selection.clone() {
        egui::Panel::bottom("record actions")
            .show_separator_line(false)
            .frame(egui::Frame::new().inner_margin(egui::Margin::symmetric(0, space::S as i8)))
            .show(ui, |ui| record::actions(ui, scene, &name, index, offset));
    }
    ScrollArea::vertical()
        .auto_shrink([false, false])
        .show(ui, |ui| {
            // Room for the floating scroll bar, so that it never covers a value.
            ui.set_max_width(ui.available_width() - space::S);
            match scene.state.selection.clone() {
                Selection::Nothing => nothing(ui),
                Selection::Broker(id) => broker::draw(ui, scene, id),
                Selection::Topic(name) => topic::draw(ui, scene, &name),
                Selection::Partition(name, index) => partition::draw(ui, scene, &name, index),
                Selection::Segment(name, index, base) => {
                    segment::draw(ui, scene, &name, index, base);
                }
                Selection::Record(name, index, offset) => {
                    record::draw(ui, scene, &name, index, offset);
                }
                Selection::Connection(broker, id) => connection::draw(ui, scene, broker, id),
                Selection::Producer(id) => producer::draw(ui, scene, id),
                Selection::Event(number) => event::draw(ui, scene, number),
            }
        });
}

fn nothing(ui: &mut Ui) {
    header(ui, "Inspector", "");
    widgets::paragraph(
        ui,
        "Click a topic, a partition, a record or a tick of the timeline to see its facts here.",
    );
}

/// The selection's name on the left, its kind on the right.
pub fn header(ui: &mut Ui, name: &str, kind: &str) {
    ui.horizontal(|ui| {
        let theme = Theme::of(ui);
        let kind_width = kind.len() as f32 * 7.0;
        let room = ui.available_width() - kind_width - space::S;
        let galley = widgets::elided(ui, name, theme::heading(), theme.text, room);
        let label = ui.label(galley);
        label.on_hover_text(name);
        ui.with_layout(Layout::right_to_left(Align::Center), |ui| {
            ui.label(RichText::new(kind).color(theme.muted));
        });
    });
    ui.add_space(space::XS);
}

/// What is selected no longer exists.
pub fn gone(ui: &mut Ui, name: &str, kind: &str, sentence: &str) {
    header(ui, name, kind);
    widgets::paragraph(ui, sentence);
}

/// The newest events that concern the selection, newest first.
pub fn what_just_happened(ui: &mut Ui, scene: &Scene<'_>, concerns: impl Fn(&Event) -> bool) {
    let newest: Vec<_> = scene
        .picture
        .events
        .iter()
        .rev()
        .filter(|event| concerns(event))
        .take(EVENTS_LISTED)
        .collect();
    if newest.is_empty() {
        return;
    }
    widgets::divider(ui);
    widgets::heading(ui, "What just happened");
    for event in newest {
        ui.scope(|ui| {
            ui.spacing_mut().item_spacing.y = 0.0;
            widgets::small(
                ui,
                &format!(
                    "{} · {}",
                    format::moment(scene.now, event.time.as_ms()),
                    format::ago(scene.now, event.time)
                ),
            );
            widgets::paragraph(ui, &event.kind.sentence());
        });
    }
}
