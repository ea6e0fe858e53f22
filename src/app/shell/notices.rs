//! Notices in the lower right corner of the middle view, and an undo chip for each topic that is going
//! away. They cover neither the inspector's buttons nor those below the log lanes.

use egui::{Align2, Area, Button, CornerRadius, Frame, Id, Margin, Order, RichText, Ui, vec2};

use crate::app::scene::Scene;
use crate::app::theme::{self, Theme, radius, size, space};
use crate::app::{format, widgets};
use crate::inspect::Command;

/// Points a notice is wide where the middle view has room for it.
const WIDTH: f32 = 380.0;
/// The row of controls at the foot of a view.
const FOOTER: f32 = size::CONTROL + 2.0 * space::S;

/// Draws them above the timeline.
pub fn notices(ctx: &egui::Context, scene: &mut Scene<'_>) {
    let undo = scene.state.undo.is_some() || !scene.picture.deleting.is_empty();
    if scene.notices.shown().is_empty() && !undo {
        return;
    }
    let remembered = &scene.state.remembered;
    let below = if remembered.timeline_open {
        remembered.timeline_height
    } else {
        0.0
    };
    let right = if remembered.inspector_open {
        remembered.inspector_width
    } else {
        0.0
    };
    let middle = ctx.content_rect().width() - right - remembered.nav_width;
    let width = (middle - 2.0 * space::M).min(WIDTH);
    let corner = vec2(-right - space::M, -below - FOOTER - space::M);
    Area::new(Id::unique("notices"))
        .order(Order::Foreground)
        .anchor(Align2::RIGHT_BOTTOM, corner)
        .show(ctx, |ui| {
            ui.set_width(width);
            undo_chips(ui, scene, width);
            outcomes(ui, scene, width);
        });
}

fn frame(theme: &Theme, edge: egui::Color32) -> Frame {
    Frame::new()
        .fill(theme.card)
        .stroke(egui::Stroke::new(size::LINE, edge))
        .corner_radius(CornerRadius::same(radius::CARD))
        .inner_margin(Margin::symmetric(space::M as i8, space::S as i8))
}

fn undo_chips(ui: &mut Ui, scene: &mut Scene<'_>, width: f32) {
    let picture = scene.picture.clone();
    for (topic, goes) in &picture.deleting {
        let left = goes.since_us(scene.now) / 1_000;
        let text = format!("Topic {topic} goes in {}", format::duration_ms(left));
        let name = format!("Undo the deletion of {topic}");
        if undo_chip(ui, &text, &name, width) {
            let name = topic.clone();
            scene.send(Command::UndoDelete { name });
        }
    }
    if let Some(undo) = scene.state.undo.clone()
        && undo_chip(ui, &undo.what, &format!("Undo: {}", undo.what), width)
    {
        scene.state.undo = None;
        scene.send(undo.command);
    }
}

/// What was done, and a button that takes it back; true when that was clicked.
fn undo_chip(ui: &mut Ui, text: &str, name: &str, width: f32) -> bool {
    let theme = Theme::of(ui);
    let chip = frame(theme, theme.warning).show(ui, |ui| {
        ui.set_width(width - 2.0 * space::M);
        ui.horizontal(|ui| {
            let line = widgets::elided(ui, text, theme::body(), theme.text, width - 110.0);
            ui.label(line);
            let right_to_left = egui::Layout::right_to_left(egui::Align::Center);
            ui.with_layout(right_to_left, |ui| {
                let undo = widgets::primary_button(ui, "Undo");
                undo.widget_info(|| egui::WidgetInfo::labeled(egui::Role::Button, true, name));
                undo.clicked()
            })
            .inner
        })
        .inner
    });
    chip.inner
}

fn outcomes(ui: &mut Ui, scene: &mut Scene<'_>, width: f32) {
    let mut closed = None;
    for (index, notice) in scene.notices.shown().iter().enumerate() {
        let theme = Theme::of(ui);
        let edge = theme.severity(notice.severity);
        frame(theme, edge).show(ui, |ui| {
            ui.set_width(width - 2.0 * space::M);
            ui.spacing_mut().interact_size.y = 0.0;
            ui.horizontal_top(|ui| {
                ui.vertical(|ui| {
                    ui.set_width(width - 2.0 * space::M - 34.0);
                    ui.add(
                        egui::Label::new(
                            RichText::new(&notice.title)
                                .font(theme::heading())
                                .color(theme.text),
                        )
                        .wrap(),
                    );
                    if !notice.text.is_empty() {
                        widgets::paragraph(ui, &notice.text);
                    }
                });
                let close = ui.add(
                    Button::new(RichText::new("×").color(theme.muted))
                        .frame(false)
                        .min_size(vec2(20.0, 20.0)),
                );
                close.widget_info(|| {
                    egui::WidgetInfo::labeled(egui::Role::Button, true, "Close this notice")
                });
                if close.clicked() {
                    closed = Some(index);
                }
            });
        });
    }
    if let Some(index) = closed {
        scene.notices.close(index);
    }
}
