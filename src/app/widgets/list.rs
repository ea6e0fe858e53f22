//! Rows that can be selected: navigation, lists.

use egui::{
    CornerRadius, Key, Modifiers, Rect, Response, Role, ScrollArea, Sense, Ui, UiBuilder,
    WidgetInfo, pos2, vec2,
};

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

/// What the keyboard did to a list.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Keyed {
    /// The row that should be selected now.
    pub moved: Option<usize>,
    /// `Enter`: the current row should be opened.
    pub opened: bool,
}

/// Rows of one height, of which only the visible ones are drawn; `↑ ↓ Page Home End Enter` work while no
/// control has the keyboard. `draw` draws one row of `height` across the width.
pub fn rows(
    ui: &mut Ui,
    salt: &str,
    len: usize,
    height: f32,
    current: Option<usize>,
    mut draw: impl FnMut(&mut Ui, usize),
) -> Keyed {
    let keyed = list_keys(ui, len, current);
    ScrollArea::vertical()
        .id_salt(salt)
        .auto_shrink([false, false])
        .show_viewport(ui, |ui, viewport| {
            ui.spacing_mut().item_spacing.y = 0.0;
            ui.set_height(height * len as f32);
            let first = (viewport.min.y / height).floor().max(0.0) as usize;
            let last = ((viewport.max.y / height).ceil().max(0.0) as usize).min(len);
            let whole = ui.max_rect();
            let at = |index: usize| whole.top() + index as f32 * height;
            let shown = Rect::from_x_y_ranges(whole.x_range(), at(first)..=at(last.max(first)));
            ui.scope_builder(UiBuilder::new().max_rect(shown), |ui| {
                ui.skip_ahead_auto_ids(first);
                for index in first..last {
                    draw(ui, index);
                }
            });
            if let Some(index) = keyed.moved {
                let target = Rect::from_x_y_ranges(whole.x_range(), at(index)..=at(index + 1));
                ui.scroll_to_rect(target, None);
            }
        });
    keyed
}

/// Rows a page key moves by.
const PAGE: usize = 15;

fn list_keys(ui: &Ui, len: usize, current: Option<usize>) -> Keyed {
    let busy = ui
        .ctx()
        .memory(|memory| memory.focused().is_some() || memory.top_modal_layer().is_some());
    if busy || len == 0 || !ui.is_enabled() {
        return Keyed::default();
    }
    let last = len - 1;
    let step = |by: usize, down: bool| match current {
        None => 0,
        Some(at) if down => (at + by).min(last),
        Some(at) => at.saturating_sub(by).min(last),
    };
    let moves = [
        (Key::ArrowDown, step(1, true)),
        (Key::ArrowUp, step(1, false)),
        (Key::PageDown, step(PAGE, true)),
        (Key::PageUp, step(PAGE, false)),
        (Key::Home, 0),
        (Key::End, last),
    ];
    ui.input_mut(|input| Keyed {
        moved: moves
            .iter()
            .find(|(key, _)| input.consume_key(Modifiers::NONE, *key))
            .map(|(_, to)| *to),
        opened: current.is_some() && input.consume_key(Modifiers::NONE, Key::Enter),
    })
}
