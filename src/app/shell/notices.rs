//! Notices in the lower right corner, and an undo chip for each topic that is going away.

use egui::{Align2, Area, Button, CornerRadius, Frame, Id, Margin, Order, RichText, Ui, vec2};

use crate::app::scene::Scene;
use crate::app::theme::{self, Theme, radius, size, space};
use crate::app::{format, widgets};
use crate::inspect::Command;

const WIDTH: f32 = 380.0;

/// Draws them above the timeline.
pub fn notices(ctx: &egui::Context, scene: &mut Scene<'_>) {
    if scene.notices.shown().is_empty() && scene.picture.deleting.is_empty() {
        return;
    }
    let remembered = &scene.state.remembered;
    let below = if remembered.timeline_open {
        remembered.timeline_height
    } else {
        0.0
    };
    Area::new(Id::unique("notices"))
        .order(Order::Foreground)
        .anchor(Align2::RIGHT_BOTTOM, vec2(-space::M, -below - space::M))
        .show(ctx, |ui| {
            ui.set_width(WIDTH);
            undo_chips(ui, scene);
            outcomes(ui, scene);
        });
}

fn frame(theme: &Theme, edge: egui::Color32) -> Frame {
    Frame::new()
        .fill(theme.card)
        .stroke(egui::Stroke::new(size::LINE, edge))
        .corner_radius(CornerRadius::same(radius::CARD))
        .inner_margin(Margin::symmetric(space::M as i8, space::S as i8))
}

fn undo_chips(ui: &mut Ui, scene: &mut Scene<'_>) {
    let picture = scene.picture.clone();
    for (topic, goes) in &picture.deleting {
        let theme = Theme::of(ui);
        frame(theme, theme.warning).show(ui, |ui| {
            ui.set_width(WIDTH - 2.0 * space::M);
            ui.horizontal(|ui| {
                let left = goes.since_us(scene.now) / 1_000;
                let width = WIDTH - 110.0;
                let text = format!("Topic {topic} goes in {}", format::duration_ms(left));
                let line = widgets::elided(ui, &text, theme::body(), theme.text, width);
                ui.label(line);
                ui.with_layout(egui::Layout::right_to_left(egui::Align::Center), |ui| {
                    let undo = widgets::primary_button(ui, "Undo");
                    if undo.clicked() {
                        scene.send(Command::UndoDelete {
                            name: topic.clone(),
                        });
                    }
                });
            });
        });
    }
}

fn outcomes(ui: &mut Ui, scene: &mut Scene<'_>) {
    let mut closed = None;
    for (index, notice) in scene.notices.shown().iter().enumerate() {
        let theme = Theme::of(ui);
        let edge = theme.severity(notice.severity);
        frame(theme, edge).show(ui, |ui| {
            ui.set_width(WIDTH - 2.0 * space::M);
            ui.spacing_mut().interact_size.y = 0.0;
            ui.horizontal_top(|ui| {
                ui.vertical(|ui| {
                    ui.set_width(WIDTH - 2.0 * space::M - 34.0);
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
