//! A table of uniform rows of which only the visible ones are drawn: ten rows cost as much as ten thousand.
//!
//! Rows are painted, not laid out; each is one control with the row's text as its accessible name. The
//! table keeps nothing but its scroll position; what is selected and how rows are sorted is the caller's.

use std::sync::Arc;

use egui::{
    Color32, CornerRadius, FontId, Galley, Id, Rect, Response, Role, ScrollArea, Sense, Stroke, Ui,
    WidgetInfo, pos2, vec2,
};

use crate::app::theme::{self, Theme, radius, size, space};
use crate::app::widgets::{elided, focus_ring};

/// One column.
#[derive(Debug, Clone, Copy)]
pub struct Column {
    pub name: &'static str,
    /// Points; 0 shares what the others leave over.
    pub width: f32,
    /// Numbers stand on the right.
    pub right: bool,
}

impl Column {
    /// A column of words.
    pub const fn words(name: &'static str, width: f32) -> Column {
        Column {
            name,
            width,
            right: false,
        }
    }

    /// A column of numbers.
    pub const fn numbers(name: &'static str, width: f32) -> Column {
        Column {
            name,
            width,
            right: true,
        }
    }
}

/// Left and right edges of each column in `width` points.
fn edges(columns: &[Column], width: f32) -> Vec<(f32, f32)> {
    let gaps = space::M * columns.len().saturating_sub(1) as f32;
    let fixed: f32 = columns.iter().map(|column| column.width).sum();
    let sharing = columns.iter().filter(|column| column.width == 0.0).count();
    let share = ((width - fixed - gaps) / sharing.max(1) as f32).max(size::COLUMN_LEAST);
    let mut left = 0.0;
    columns
        .iter()
        .map(|column| {
            let own = if column.width == 0.0 {
                share
            } else {
                column.width
            };
            let edge = (left, left + own);
            left += own + space::M;
            edge
        })
        .collect()
}

/// Draws the names of the columns. With `sorted` (column, descending), a click asks for another order.
pub fn header(ui: &mut Ui, columns: &[Column], sorted: Option<(usize, bool)>) -> Option<usize> {
    let theme = Theme::of(ui);
    let (rect, _) =
        ui.allocate_exact_size(vec2(ui.available_width(), size::HEADER), Sense::hover());
    let inner = rect.shrink2(vec2(space::S, 0.0));
    let mut asked = None;
    for (index, ((left, right), column)) in edges(columns, inner.width())
        .into_iter()
        .zip(columns)
        .enumerate()
    {
        let cell =
            Rect::from_x_y_ranges(inner.left() + left..=inner.left() + right, rect.y_range());
        let mut ink = theme.muted;
        let mut name = column.name.to_owned();
        if let Some((by, descending)) = sorted {
            let response = ui.interact(cell, ui.scope_id().with(("column", index)), Sense::click());
            let chosen = by == index;
            response.widget_info(|| {
                WidgetInfo::selected(
                    Role::ColumnHeader,
                    true,
                    chosen,
                    format!("Sort by {}", column.name),
                )
            });
            if chosen {
                name.push_str(if descending { " ↓" } else { " ↑" });
            }
            if chosen || response.hovered() {
                ink = theme.text;
            }
            focus_ring(ui, &response, cell);
            if response.clicked() {
                asked = Some(index);
            }
        }
        let galley = elided(ui, &name, theme::small(), ink, cell.width());
        put(ui, galley, cell, column.right, ink);
    }
    ui.painter()
        .hline(rect.x_range(), rect.bottom(), theme.hairline());
    // The rows begin right below the line.
    ui.add_space(-ui.spacing().item_spacing.y);
    asked
}

fn put(ui: &Ui, galley: Arc<Galley>, cell: Rect, right: bool, ink: Color32) {
    let x = if right {
        cell.right() - galley.size().x
    } else {
        cell.left()
    };
    let y = cell.center().y - galley.size().y / 2.0;
    ui.painter().galley(pos2(x, y), galley, ink);
}

/// One visible row while its cells are filled, left to right.
pub struct Cells<'a> {
    ui: &'a Ui,
    rect: Rect,
    columns: &'a [Column],
    edges: &'a [(f32, f32)],
    next: usize,
    name: String,
}

impl Cells<'_> {
    /// Text in the next cell.
    pub fn text(&mut self, text: &str, font: FontId, ink: Color32) {
        self.marked(None, text, font, ink);
    }

    /// A number, offset or time in the next cell.
    pub fn mono(&mut self, text: &str) {
        let ink = Theme::of(self.ui).text;
        self.text(text, theme::mono(), ink);
    }

    /// A number that steps back.
    pub fn mono_muted(&mut self, text: &str) {
        let ink = Theme::of(self.ui).muted;
        self.text(text, theme::mono(), ink);
    }

    /// Text after a small coloured mark: a record's key.
    pub fn marked(&mut self, mark: Option<Color32>, text: &str, font: FontId, ink: Color32) {
        let (Some(&(left, right)), Some(column)) =
            (self.edges.get(self.next), self.columns.get(self.next))
        else {
            return;
        };
        self.next += 1;
        if !text.is_empty() {
            if !self.name.is_empty() {
                self.name.push_str(", ");
            }
            self.name.push_str(text);
        }
        let mut cell = Rect::from_x_y_ranges(
            self.rect.left() + left..=self.rect.left() + right,
            self.rect.y_range(),
        );
        if let Some(color) = mark {
            let side = size::KEY_MARK;
            let square = Rect::from_center_size(
                pos2(cell.left() + side / 2.0, cell.center().y),
                vec2(side, side),
            );
            self.ui
                .painter()
                .rect_filled(square, CornerRadius::same(radius::SMALL), color);
            cell.min.x += side + space::S;
        }
        let galley = elided(self.ui, text, font, ink, cell.width());
        put(self.ui, galley, cell, column.right, ink);
    }

    /// A small curve of numbers from 0 to the largest in the next cell, called by `word`.
    pub fn curve(&mut self, numbers: &[f32], word: &str, ink: Color32) {
        let Some(&(left, right)) = self.edges.get(self.next) else {
            return;
        };
        self.next += 1;
        if !word.is_empty() {
            self.name.push_str(", ");
            self.name.push_str(word);
        }
        let whole = self.rect.shrink2(vec2(0.0, size::CURVE_MARGIN));
        let cell = Rect::from_x_y_ranges(
            self.rect.left() + left..=self.rect.left() + right,
            whole.y_range(),
        );
        let most = numbers.iter().copied().fold(1.0_f32, f32::max);
        let step = cell.width() / numbers.len().saturating_sub(1).max(1) as f32;
        let at = |(index, number): (usize, &f32)| {
            let x = cell.left() + step * index as f32;
            pos2(x, cell.bottom() - cell.height() * number / most)
        };
        let points = numbers.iter().enumerate().map(at).collect();
        let stroke = Stroke::new(size::LINE, ink);
        self.ui.painter().add(egui::Shape::line(points, stroke));
    }

    /// Leaves the next cell empty.
    pub fn blank(&mut self) {
        self.next += 1;
    }
}

/// What the caller says about the rows.
pub struct Rows<'a> {
    pub columns: &'a [Column],
    pub count: usize,
    /// Which row is selected, if it is among them.
    pub selected: Option<usize>,
    /// Bring the selected row into sight.
    pub reveal: bool,
    /// Rows that came in above the first since the last frame: what is read stays where it is.
    pub pushed: usize,
}

/// Draws the rows into the rest of the space; returns the clicked row and whether it was a double click.
pub fn rows(
    ui: &mut Ui,
    id: impl std::hash::Hash + std::fmt::Debug,
    rows: &Rows<'_>,
    mut cells: impl FnMut(usize, &mut Cells<'_>),
) -> Option<(usize, bool)> {
    let id = ui.scope_id().with(id);
    let mut area = ScrollArea::vertical()
        .id_salt(id)
        .auto_shrink([false, false]);
    if let Some(offset) = jump(ui, id, rows) {
        area = area.vertical_scroll_offset(offset);
    }
    let mut clicked = None;
    ui.scope(|ui| {
        ui.spacing_mut().item_spacing.y = 0.0;
        let output = area.show_rows(ui, size::ROW, rows.count, |ui, visible| {
            let width = ui.available_width();
            let edges = edges(rows.columns, width - space::S * 2.0);
            for index in visible {
                let (rect, response) =
                    ui.allocate_exact_size(vec2(width, size::ROW), Sense::click());
                let name = row(ui, rect, &response, rows, &edges, index, &mut cells);
                let selected = rows.selected == Some(index);
                response.widget_info(|| {
                    WidgetInfo::selected(Role::ListBoxOption, true, selected, &name)
                });
                if response.clicked() || response.double_clicked() {
                    clicked = Some((index, response.double_clicked()));
                }
            }
        });
        ui.data_mut(|kept| {
            kept.insert_temp(
                id,
                (output.state.clamped_offset().y, output.inner_rect.height()),
            );
        });
    });
    clicked
}

/// Where to scroll to, when the selected row must be seen or rows came in above.
fn jump(ui: &Ui, id: Id, rows: &Rows<'_>) -> Option<f32> {
    let Some((offset, height)) = ui.data(|kept| kept.get_temp::<(f32, f32)>(id)) else {
        // The first frame: the height is not known yet, so the row comes to the top but for one.
        let above = rows.selected.filter(|_| rows.reveal)?.saturating_sub(1);
        return Some(above as f32 * size::ROW);
    };
    if rows.reveal
        && let Some(selected) = rows.selected
    {
        let top = selected as f32 * size::ROW;
        if top < offset {
            return Some(top);
        }
        if top + size::ROW > offset + height {
            return Some(top + size::ROW - height);
        }
    }
    (rows.pushed > 0 && offset > 0.0).then_some(offset + rows.pushed as f32 * size::ROW)
}

fn row(
    ui: &Ui,
    rect: Rect,
    response: &Response,
    rows: &Rows<'_>,
    edges: &[(f32, f32)],
    index: usize,
    cells: &mut impl FnMut(usize, &mut Cells<'_>),
) -> String {
    let theme = Theme::of(ui);
    let ground = if rows.selected == Some(index) {
        Some(theme.selected)
    } else if response.hovered() {
        Some(theme.hover)
    } else {
        None
    };
    if let Some(color) = ground {
        ui.painter()
            .rect_filled(rect, CornerRadius::same(radius::SMALL), color);
    }
    ui.painter().hline(
        rect.x_range(),
        rect.bottom() - size::LINE / 2.0,
        Stroke::new(size::LINE, theme.hover),
    );
    focus_ring(ui, response, rect);
    let mut filling = Cells {
        ui,
        rect: rect.shrink2(vec2(space::S, 0.0)),
        columns: rows.columns,
        edges,
        next: 0,
        name: String::new(),
    };
    cells(index, &mut filling);
    filling.name
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_column_without_a_width_takes_what_is_left() {
        let columns = [
            Column::words("a", 0.0),
            Column::numbers("b", 100.0),
            Column::numbers("c", 60.0),
        ];
        let edges = edges(&columns, 500.0);
        assert_eq!(edges[0], (0.0, 316.0));
        assert_eq!(edges[2], (440.0, 500.0));
    }
}
