//! Facts about one thing: a label on the left, a value on the right that wraps and can be selected.

use egui::{Color32, FontId, Label, Response, RichText, Ui, Vec2, pos2, vec2};

use crate::app::format;
use crate::app::theme::{self, Theme, size, space};

/// Rows of facts in one column pair.
pub struct Facts<'a> {
    ui: &'a mut Ui,
}

/// Draws rows of facts.
pub fn facts(ui: &mut Ui, rows: impl FnOnce(&mut Facts<'_>)) {
    ui.scope(|ui| {
        ui.spacing_mut().item_spacing.y = space::XS;
        rows(&mut Facts { ui });
    });
}

impl Facts<'_> {
    /// A value in numbers, offsets, ids or bytes.
    pub fn mono(&mut self, label: &str, value: &str) {
        let color = Theme::of(self.ui).text;
        self.row(label, value, theme::mono(), color);
    }

    /// A value in words.
    pub fn text(&mut self, label: &str, value: &str) {
        let color = Theme::of(self.ui).text;
        self.row(label, value, theme::body(), color);
    }

    /// A value in numbers whose colour means health.
    pub fn coloured(&mut self, label: &str, value: &str, color: Color32) {
        self.row(label, value, theme::mono(), color);
    }

    /// Words on one line, cut with an ellipsis where they do not fit.
    pub fn one_line(&mut self, label: &str, value: &str) {
        self.custom(label, |ui| cut_line(ui, value, value, theme::body()));
    }

    /// A path on one line, of which the end is worth most.
    pub fn path(&mut self, label: &str, value: &str) {
        self.custom(label, |ui| {
            let advance = theme::font::MONO * theme::font::MONO_ADVANCE;
            let chars = (ui.available_width() / advance) as usize;
            cut_line(ui, &format::path_end(value, chars), value, theme::mono());
        });
    }

    /// A value drawn by the caller.
    pub fn custom(&mut self, label: &str, value: impl FnOnce(&mut Ui)) {
        self.ui.horizontal_top(|ui| {
            label_cell(ui, label);
            ui.vertical(value);
        });
    }

    fn row(&mut self, label: &str, value: &str, font: FontId, color: Color32) {
        self.custom(label, |ui| {
            ui.add(
                Label::new(RichText::new(value).font(font).color(color))
                    .wrap()
                    .selectable(true),
            );
        });
    }
}

/// A line of `text`, whose whole is `value`.
fn cut_line(ui: &mut Ui, text: &str, value: &str, font: FontId) {
    let color = Theme::of(ui).text;
    let galley = super::elided(ui, text, font, color, ui.available_width());
    let cut = galley.elided || text != value;
    let shown = ui.add(Label::new(galley));
    shown.widget_info(|| egui::WidgetInfo::labeled(egui::Role::Label, true, value));
    if cut {
        shown.on_hover_text(value);
    }
}

fn label_cell(ui: &mut Ui, label: &str) {
    let theme = Theme::of(ui);
    let row = ui.fonts_mut(|fonts| fonts.row_height(&theme::body()));
    let cell = vec2(size::FACT_LABEL, row);
    name_cell(ui, label, theme::body(), theme.muted, cell);
}

/// A name of one line in a cell of fixed size, cut with an ellipsis where it does not fit.
pub fn name_cell(ui: &mut Ui, name: &str, font: FontId, ink: Color32, cell: Vec2) -> Response {
    let galley = super::elided(ui, name, font, ink, cell.x);
    let (rect, response) = ui.allocate_exact_size(cell, egui::Sense::hover());
    let at = pos2(rect.left(), rect.center().y - galley.size().y / 2.0);
    ui.painter().galley(at, galley, ink);
    response.widget_info(|| egui::WidgetInfo::labeled(egui::Role::Label, true, name));
    response
}
