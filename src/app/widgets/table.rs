//! Rows of cells under named columns, one line each, cut with an ellipsis.

use egui::{
    Align, Color32, CornerRadius, FontId, Rect, Response, Role, Sense, Ui, WidgetInfo, pos2, vec2,
};

use super::{elided, focus_ring};
use crate::app::theme::{self, Theme, radius, size, space};

/// One column of a table.
#[derive(Debug, Clone, Copy)]
pub struct Column {
    pub name: &'static str,
    /// Points; columns without a width share what is left.
    pub width: Option<f32>,
    /// `Align::Max` for numbers.
    pub align: Align,
}

impl Column {
    /// A column of text that takes its share of the width.
    pub const fn text(name: &'static str) -> Column {
        Column {
            name,
            width: None,
            align: Align::Min,
        }
    }

    /// A column of text of a fixed width.
    pub const fn fixed(name: &'static str, width: f32) -> Column {
        Column {
            name,
            width: Some(width),
            align: Align::Min,
        }
    }

    /// A column of numbers.
    pub const fn number(name: &'static str, width: f32) -> Column {
        Column {
            name,
            width: Some(width),
            align: Align::Max,
        }
    }
}

/// One cell: its text, font and colour.
pub struct Cell {
    text: String,
    font: FontId,
    color: Option<Color32>,
}

impl Cell {
    /// Words.
    pub fn text(text: impl Into<String>) -> Cell {
        Cell {
            text: text.into(),
            font: theme::body(),
            color: None,
        }
    }

    /// Numbers, offsets, ids, bytes.
    pub fn mono(text: impl Into<String>) -> Cell {
        Cell {
            text: text.into(),
            font: theme::mono(),
            color: None,
        }
    }

    /// The same in another colour.
    pub fn color(mut self, color: Color32) -> Cell {
        self.color = Some(color);
        self
    }
}

/// Space between columns, points.
const GAP: f32 = space::L;

/// Where each column lies in `rect`.
fn places(rect: Rect, columns: &[Column]) -> Vec<Rect> {
    let inner = rect.shrink2(vec2(space::S, 0.0));
    let fixed: f32 = columns.iter().filter_map(|column| column.width).sum();
    let gaps = GAP * (columns.len().saturating_sub(1)) as f32;
    let flexible = columns.iter().filter(|c| c.width.is_none()).count().max(1);
    let share = ((inner.width() - fixed - gaps) / flexible as f32).max(0.0);
    let mut x = inner.left();
    columns
        .iter()
        .map(|column| {
            let width = column.width.unwrap_or(share);
            let place = Rect::from_min_size(pos2(x, rect.top()), vec2(width, rect.height()));
            x += width + GAP;
            place
        })
        .collect()
}

fn put(ui: &Ui, place: Rect, align: Align, text: &str, font: FontId, color: Color32) -> bool {
    let galley = elided(ui, text, font, color, place.width());
    let cut = galley.elided;
    let x = match align {
        Align::Max => place.right() - galley.size().x,
        _ => place.left(),
    };
    let at = pos2(x, place.center().y - galley.size().y / 2.0);
    ui.painter().galley(at, galley, color);
    cut
}

/// The names of the columns with a line under them.
pub fn table_header(ui: &mut Ui, columns: &[Column]) {
    let theme = Theme::of(ui);
    let (rect, _) = ui.allocate_exact_size(vec2(ui.available_width(), size::ROW), Sense::hover());
    for (place, column) in places(rect, columns).into_iter().zip(columns) {
        let font = theme::small();
        put(ui, place, column.align, column.name, font, theme.muted);
    }
    ui.painter()
        .hline(rect.x_range(), rect.bottom(), theme.hairline());
}

/// One row; `name` is what it is called for those who cannot see it.
pub fn table_row(
    ui: &mut Ui,
    columns: &[Column],
    cells: &[Cell],
    selected: bool,
    name: &str,
) -> Response {
    let theme = Theme::of(ui);
    let (rect, response) =
        ui.allocate_exact_size(vec2(ui.available_width(), size::ROW), Sense::click());
    response.widget_info(|| WidgetInfo::selected(Role::ListBoxOption, true, selected, name));
    if !ui.is_rect_visible(rect) {
        return response;
    }
    if selected || response.hovered() {
        let ground = if selected {
            theme.selected
        } else {
            theme.hover
        };
        let corner = CornerRadius::same(radius::CONTROL);
        ui.painter().rect_filled(rect, corner, ground);
    }
    focus_ring(ui, &response, rect);
    let mut hidden = None;
    for ((place, column), cell) in places(rect, columns).into_iter().zip(columns).zip(cells) {
        let color = cell.color.unwrap_or(theme.text);
        let cut = put(
            ui,
            place,
            column.align,
            &cell.text,
            cell.font.clone(),
            color,
        );
        let under = response
            .hover_pos()
            .is_some_and(|pointer| place.contains(pointer));
        if cut && under {
            hidden = Some(cell.text.clone());
        }
    }
    match hidden {
        Some(whole) => response.on_hover_text(whole),
        None => response,
    }
}
