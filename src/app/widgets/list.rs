//! Rows that can be selected: navigation, lists.

use egui::{CornerRadius, Response, Role, Sense, Ui, WidgetInfo, pos2, vec2};

use super::elided;
use crate::app::theme::{self, Theme, radius, space};

/// One row with a name on the left and a live number on the right.
pub struct Row<'a> {
    pub name: &'a str,
    pub number: &'a str,
    pub selected: bool,
    pub height: f32,
    /// Drawn struck back: going away, or not there.
    pub dimmed: bool,
}

/// Draws a row across the available width; the response is the whole row.
pub fn row(ui: &mut Ui, row: &Row<'_>) -> Response {
    let theme = Theme::of(ui);
    let (rect, response) =
        ui.allocate_exact_size(vec2(ui.available_width(), row.height), Sense::click());
    let label = if row.number.is_empty() {
        row.name.to_owned()
    } else {
        format!("{}, {}", row.name, row.number)
    };
    let selected = row.selected;
    response.widget_info(|| WidgetInfo::selected(Role::ListBoxOption, true, selected, &label));
    if !ui.is_rect_visible(rect) {
        return response;
    }
    if row.selected {
        ui.painter()
            .rect_filled(rect, CornerRadius::same(radius::CONTROL), theme.selected);
    } else if response.hovered() {
        ui.painter()
            .rect_filled(rect, CornerRadius::same(radius::CONTROL), theme.hover);
    }
    focus_ring(ui, &response, rect);
    let inner = rect.shrink2(vec2(10.0, 0.0));
    let number =
        ui.painter()
            .layout_no_wrap(row.number.to_owned(), theme::mono_small(), theme.muted);
    let ink = if row.dimmed { theme.muted } else { theme.text };
    let room = inner.width() - number.size().x - space::S;
    let name = elided(ui, row.name, theme::body(), ink, room);
    let cut = name.elided;
    ui.painter().galley(
        pos2(inner.left(), inner.center().y - name.size().y / 2.0),
        name,
        ink,
    );
    ui.painter().galley(
        pos2(
            inner.right() - number.size().x,
            inner.center().y - number.size().y / 2.0,
        ),
        number,
        theme.muted,
    );
    if cut {
        response.on_hover_text(row.name)
    } else {
        response
    }
}

/// A ring around what has the keyboard.
pub fn focus_ring(ui: &Ui, response: &Response, rect: egui::Rect) {
    if response.has_focus() {
        ui.painter().rect_stroke(
            rect,
            CornerRadius::same(radius::CONTROL),
            egui::Stroke::new(theme::size::LINE, Theme::of(ui).accent),
            egui::StrokeKind::Inside,
        );
    }
}
