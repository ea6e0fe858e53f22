//! Members × partitions: a cell where a member owns a partition, with how far it is. Many partitions become bars.
//!
//! Names of members and partitions stay in sight while the rest scrolls. Only what is visible is drawn.

use std::ops::Range;

use egui::{
    Align2, Color32, CornerRadius, Rect, Role, ScrollArea, Sense, Stroke, StrokeKind, Ui, Vec2,
    WidgetInfo, pos2, vec2,
};

use crate::app::format;
use crate::app::groups::member_facts;
use crate::app::history::Trend;
use crate::app::scene::Scene;
use crate::app::state::Selection;
use crate::app::theme::{self, Theme, group as measure, radius, size, space};
use crate::app::widgets::{elided, focus_ring};
use crate::inspect::{GroupLag, GroupMember, GroupSnapshot};

/// Who owns a row: a member, or nobody.
const NOBODY: &str = "nobody";

/// Where everything lies, from the top left of the scrolled content.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Layout {
    bars: bool,
    member: f32,
    column: f32,
    gap: f32,
    row: f32,
    row_gap: f32,
    head: f32,
    columns: usize,
    rows: usize,
}

impl Layout {
    fn of(width: f32, columns: usize, rows: usize) -> Layout {
        let gap = measure::GAP;
        let count = columns.max(1) as f32;
        let rest = |member: f32| (width - member) / count - gap;
        let bars = columns > measure::CELLS_MOST;
        let member = match rest(measure::MEMBER) >= measure::CELL_LEAST {
            true if !bars => measure::MEMBER,
            _ => measure::MEMBER_LEAST,
        };
        match bars {
            false => Layout {
                bars,
                member,
                column: rest(member).clamp(measure::CELL_LEAST, measure::CELL),
                gap,
                row: measure::CELL_HEIGHT,
                row_gap: gap,
                head: measure::HEAD,
                columns,
                rows,
            },
            true => Layout {
                bars,
                member,
                column: ((width - member - gap) / count - 1.0)
                    .floor()
                    .clamp(measure::BAR_LEAST, measure::BAR_MOST),
                gap: 1.0,
                row: measure::BAR_HEIGHT,
                row_gap: space::XS,
                head: measure::BAR_HEAD,
                columns,
                rows,
            },
        }
    }

    /// What comes before the first column.
    fn left(&self) -> f32 {
        self.member + measure::GAP
    }

    fn size(&self) -> Vec2 {
        let columns = self.columns as f32 * (self.column + self.gap);
        let rows = self.rows as f32 * (self.row + self.row_gap);
        vec2(self.left() + columns, self.head + rows)
    }

    fn cell(&self, row: usize, column: usize) -> Rect {
        let x = self.left() + column as f32 * (self.column + self.gap);
        let y = self.head + row as f32 * (self.row + self.row_gap);
        Rect::from_min_size(pos2(x, y), vec2(self.column, self.row))
    }

    /// Columns and rows in sight.
    fn visible(&self, viewport: Rect) -> (Range<usize>, Range<usize>) {
        let range = |from: f32, to: f32, pitch: f32, count: usize| {
            let first = (from / pitch).floor().max(0.0) as usize;
            let end = (to / pitch).ceil().max(0.0) as usize;
            first.min(count)..end.min(count)
        };
        let (x, y) = (viewport.left(), viewport.top());
        let wide = viewport.width() - self.left();
        let high = viewport.height() - self.head;
        (
            range(x, x + wide, self.column + self.gap, self.columns),
            range(y, y + high, self.row + self.row_gap, self.rows),
        )
    }
}

/// What a matrix is drawn from.
struct Matrix<'a> {
    group: &'a GroupSnapshot,
    partitions: &'a [GroupLag<'a>],
    names: &'a [String],
    /// The row of each partition's owner.
    owners: Vec<usize>,
    /// The largest lag of a partition.
    most: i64,
    layout: Layout,
}

/// Draws the matrix no higher than `most` points.
pub fn draw(
    ui: &mut Ui,
    scene: &mut Scene<'_>,
    group: &GroupSnapshot,
    partitions: &[GroupLag<'_>],
    names: &[String],
    most: f32,
) {
    let nobody = group.members.len();
    let row_of = |lag: &GroupLag<'_>| {
        let owner = lag.owner?;
        let mut members = group.members.iter();
        members.position(|member| std::ptr::eq(member, owner))
    };
    let owners: Vec<usize> = partitions
        .iter()
        .map(|lag| row_of(lag).unwrap_or(nobody))
        .collect();
    let rows = nobody + usize::from(owners.contains(&nobody));
    let layout = Layout::of(ui.available_width(), partitions.len(), rows);
    let matrix = Matrix {
        group,
        partitions,
        names,
        owners,
        most: partitions
            .iter()
            .filter_map(GroupLag::lag)
            .max()
            .unwrap_or(0),
        layout,
    };
    ScrollArea::both()
        .id_salt(("assignment", &group.group))
        .max_height(most)
        .auto_shrink([false, true])
        .show_viewport(ui, |ui, viewport| matrix.draw(ui, scene, viewport));
}

impl Matrix<'_> {
    fn draw(&self, ui: &mut Ui, scene: &mut Scene<'_>, viewport: Rect) {
        let origin = ui.max_rect().min;
        ui.set_min_size(self.layout.size());
        let clip = ui.clip_rect();
        let shown = Rect::from_min_size(origin + viewport.min.to_vec2(), viewport.size());
        let shown = shown.intersect(clip);
        let (columns, rows) = self.layout.visible(viewport);
        let inner = Rect::from_min_max(
            shown.min + vec2(self.layout.left(), self.layout.head),
            shown.max,
        );
        ui.scope(|ui| {
            ui.set_clip_rect(inner);
            for row in rows.clone() {
                match self.layout.bars {
                    true => self.bars(ui, scene, origin, row, columns.clone()),
                    false => self.cells(ui, scene, origin, row, columns.clone()),
                }
            }
        });
        ui.scope(|ui| {
            let heads = Rect::from_min_max(pos2(inner.left(), shown.top()), shown.max);
            ui.set_clip_rect(heads);
            self.heads(ui, scene, origin, shown.top(), columns);
        });
        ui.scope(|ui| {
            let members = Rect::from_min_max(pos2(shown.left(), inner.top()), shown.max);
            ui.set_clip_rect(members);
            for row in rows {
                self.member(ui, scene, origin, shown.left(), row);
            }
        });
    }

    fn member_of(&self, row: usize) -> Option<&GroupMember> {
        self.group.members.get(row)
    }

    fn name_of(&self, row: usize) -> &str {
        self.names.get(row).map_or(NOBODY, String::as_str)
    }

    /// Names of the partitions, and what they hold.
    fn heads(
        &self,
        ui: &mut Ui,
        scene: &mut Scene<'_>,
        origin: egui::Pos2,
        top: f32,
        columns: Range<usize>,
    ) {
        let theme = Theme::of(ui);
        let mut before = "";
        for column in columns {
            let lag = &self.partitions[column];
            let cell = self.layout.cell(0, column).translate(origin.to_vec2());
            if self.layout.bars {
                if before != lag.topic {
                    before = lag.topic;
                    let at = pos2(cell.left(), top);
                    ui.painter()
                        .text(at, Align2::LEFT_TOP, before, theme::small(), theme.muted);
                }
                continue;
            }
            let name = format!("{}-{}", lag.topic, lag.partition);
            let end = format::signed(lag.end.0);
            let offsets = match lag.committed {
                Some(committed) => format!("{} / {end}", format::signed(committed.0)),
                None => format!("– / {end}"),
            };
            let rect = Rect::from_min_size(
                pos2(cell.left(), top),
                vec2(cell.width(), self.layout.head - space::XS),
            );
            let id = ui.scope_id().with(("head", column));
            let response = ui.interact(rect, id, Sense::click());
            response.widget_info(|| {
                let text = format!("{name}: committed {offsets}");
                WidgetInfo::labeled(Role::Button, true, text)
            });
            focus_ring(ui, &response, rect);
            let galley = elided(ui, &name, theme::heading(), theme.text, rect.width());
            let below = galley.size().y;
            ui.painter().galley(rect.min, galley, theme.text);
            let ink = theme.muted;
            let font = theme::mono_small;
            let mut galley = elided(ui, &offsets, font(), ink, rect.width());
            if galley.elided {
                let (committed, _) = offsets.split_once(' ').unwrap_or_default();
                galley = elided(ui, committed, font(), ink, rect.width());
            }
            ui.painter()
                .galley(rect.min + vec2(0.0, below + 2.0), galley, ink);
            if response.clicked() {
                let selection = Selection::Partition(lag.topic.to_owned(), lag.partition);
                scene.state.select(selection);
            }
        }
    }

    /// A member's card, or that of nobody.
    fn member(
        &self,
        ui: &mut Ui,
        scene: &mut Scene<'_>,
        origin: egui::Pos2,
        left: f32,
        row: usize,
    ) {
        let theme = Theme::of(ui);
        let y = self.layout.cell(row, 0).y_range();
        let rect = Rect::from_x_y_ranges(
            left..=left + self.layout.member,
            origin.y + y.min..=origin.y + y.max,
        );
        let member = self.member_of(row);
        let mine = (0..self.partitions.len()).filter(|column| self.owners[*column] == row);
        let mine: Vec<&GroupLag<'_>> = mine.map(|column| &self.partitions[column]).collect();
        let facts = match member {
            Some(member) => member_facts(scene.picture, self.group, member, mine.is_empty()),
            None => "these partitions have no owner".to_owned(),
        };
        let selection =
            member.map(|member| Selection::Member(self.group.group.clone(), member.id.clone()));
        let selected = selection.as_ref() == Some(&scene.state.selection);
        let id = ui
            .scope_id()
            .with(("member", member.map(|member| &member.id)));
        let response = ui.interact(rect, id, Sense::click());
        response.widget_info(|| {
            let text = format!("{}, {facts}: {}", self.name_of(row), reads(&mine));
            WidgetInfo::selected(Role::ListBoxOption, true, selected, text)
        });
        let stroke = match (member, selected || response.has_focus()) {
            (_, true) => Stroke::new(size::LINE, theme.accent),
            (None, _) => Stroke::new(size::LINE, theme.warning),
            _ => theme.hairline(),
        };
        let fill = match response.hovered() {
            true => theme.hover,
            false => theme.card,
        };
        let corner = CornerRadius::same(radius::CONTROL);
        let painter = ui.painter();
        painter.rect(rect, corner, fill, stroke, StrokeKind::Inside);
        let inner = rect.shrink2(vec2(space::M, 0.0));
        let ink = match member {
            Some(_) => theme.text,
            None => theme.warning,
        };
        let name = elided(ui, self.name_of(row), theme::heading(), ink, inner.width());
        let size = name.size();
        if self.layout.bars {
            let at = pos2(inner.left(), inner.center().y - size.y / 2.0);
            ui.painter().galley(at, name, ink);
            let lag: i64 = mine.iter().filter_map(|lag| lag.lag()).sum();
            let words = format!("{} · {}", mine.len(), format::signed(lag));
            let room = inner.width() - size.x - space::S;
            let galley = elided(ui, &words, theme::mono_small(), theme.muted, room);
            let at = pos2(
                inner.right() - galley.size().x,
                inner.center().y - galley.size().y / 2.0,
            );
            ui.painter().galley(at, galley, theme.muted);
        } else {
            let galley = elided(ui, &facts, theme::small(), theme.muted, inner.width());
            let high = size.y + 2.0 + galley.size().y;
            let top = inner.center().y - high / 2.0;
            ui.painter().galley(pos2(inner.left(), top), name, ink);
            let at = pos2(inner.left(), top + size.y + 2.0);
            ui.painter().galley(at, galley, theme.muted);
        }
        if let Some(selection) = selection.filter(|_| response.clicked()) {
            scene.state.select(selection);
        }
    }

    fn cells(
        &self,
        ui: &mut Ui,
        scene: &mut Scene<'_>,
        origin: egui::Pos2,
        row: usize,
        columns: Range<usize>,
    ) {
        for column in columns {
            let rect = self.layout.cell(row, column).translate(origin.to_vec2());
            match self.owners[column] == row {
                true => self.cell(ui, scene, rect, row, column),
                false => {
                    let theme = Theme::of(ui);
                    let stroke = Stroke::new(size::LINE, theme.hover);
                    let corner = CornerRadius::same(radius::CONTROL);
                    ui.painter()
                        .rect_stroke(rect, corner, stroke, StrokeKind::Inside);
                }
            }
        }
    }

    /// A partition with its lag, where its owner's row and its column meet.
    fn cell(&self, ui: &mut Ui, scene: &mut Scene<'_>, rect: Rect, row: usize, column: usize) {
        let theme = Theme::of(ui);
        let lag = &self.partitions[column];
        let selection = Selection::Partition(lag.topic.to_owned(), lag.partition);
        let selected = scene.state.selection == selection;
        let id = ui.scope_id().with(("cell", lag.topic, lag.partition.0));
        let response = ui.interact(rect, id, Sense::click());
        let history = scene.history.groups();
        let rate = history.rate(&self.group.group, lag.topic, lag.partition);
        let rate = rate.map(format::rate).unwrap_or_default();
        let says = self.says(lag, row, &rate);
        response.widget_info(|| WidgetInfo::selected(Role::ListBoxOption, true, selected, &says));
        let stroke = match selected || response.has_focus() {
            true => Stroke::new(size::LINE, theme.accent),
            false => Stroke::new(size::LINE, theme.faint),
        };
        let corner = CornerRadius::same(radius::CONTROL);
        let fill = theme.selected;
        let painter = ui.painter();
        painter.rect(rect, corner, fill, stroke, StrokeKind::Inside);
        let inner = rect.shrink2(vec2(space::M, space::S));
        let words = match lag.lag() {
            Some(lag) => format!("lag {}", format::signed(lag)),
            None => "no commit".to_owned(),
        };
        let left = elided(ui, &words, theme::body(), theme.text, inner.width());
        let room = inner.width() - left.size().x - space::XS;
        let right = elided(ui, &rate, theme::small(), theme.muted, room);
        let x = inner.right() - right.size().x;
        let painter = ui.painter();
        painter.galley(inner.min, left, theme.text);
        if !right.elided {
            painter.galley(pos2(x, inner.top() + 1.0), right, theme.muted);
        }
        let track = Rect::from_min_max(
            pos2(inner.left(), inner.bottom() - measure::METER),
            inner.right_bottom(),
        );
        let corner = CornerRadius::same(radius::SMALL);
        painter.rect_filled(track, corner, theme.window);
        let mut bar = track;
        bar.set_width(track.width() * self.share(lag));
        painter.rect_filled(bar, corner, self.ink(scene, theme, lag));
        if response.clicked() {
            scene.state.select(selection);
        }
        response.on_hover_text(says);
    }

    /// A row of bars, one a partition, as high as its lag.
    fn bars(
        &self,
        ui: &mut Ui,
        scene: &mut Scene<'_>,
        origin: egui::Pos2,
        row: usize,
        columns: Range<usize>,
    ) {
        let theme = Theme::of(ui);
        let first = self.layout.cell(row, columns.start);
        let last = self
            .layout
            .cell(row, columns.end.saturating_sub(1).max(columns.start));
        let whole = first.union(last).translate(origin.to_vec2());
        let id = ui.scope_id().with(("bars", row));
        let response = ui.interact(whole, id, Sense::click());
        let mut under = None;
        for column in columns {
            let rect = self.layout.cell(row, column).translate(origin.to_vec2());
            let foot = Rect::from_min_max(pos2(rect.left(), rect.bottom() - 2.0), rect.max);
            if self.owners[column] != row {
                ui.painter().rect_filled(foot, 0.0, theme.hover);
                continue;
            }
            let lag = &self.partitions[column];
            let ink = self.ink(scene, theme, lag);
            let high = ((rect.height() - 3.0) * self.share(lag)).max(2.0);
            let mut bar = rect;
            bar.set_top(rect.bottom() - high);
            ui.painter().rect_filled(bar, 0.0, ink);
            let pointer = response.hover_pos();
            if pointer.is_some_and(|at| rect.x_range().contains(at.x)) {
                under = Some(column);
            }
        }
        let name = self.name_of(row);
        response.widget_info(|| {
            let text = format!("Lag of the partitions of {name} as bars");
            WidgetInfo::labeled(Role::Image, true, text)
        });
        if let Some(column) = under {
            let lag = &self.partitions[column];
            if response.clicked() {
                let selection = Selection::Partition(lag.topic.to_owned(), lag.partition);
                scene.state.select(selection);
            }
            response.on_hover_text_at_pointer(self.says(lag, row, ""));
        }
    }

    /// A partition's lag as part of the largest one.
    fn share(&self, lag: &GroupLag<'_>) -> f32 {
        match (lag.lag(), self.most) {
            (Some(lag), most) if lag > 0 => (lag as f32 / most as f32).max(0.03),
            _ => 0.0,
        }
    }

    /// What nobody reads is bad, what falls behind a warning, and what keeps up is well.
    fn ink(&self, scene: &Scene<'_>, theme: &Theme, lag: &GroupLag<'_>) -> Color32 {
        let history = scene.history.groups();
        let trend = history.trend_of(&self.group.group, lag.topic, lag.partition);
        match trend {
            _ if lag.owner.is_none() => theme.bad,
            Some(Trend::Rising) => theme.warning,
            _ => theme.ok,
        }
    }

    fn says(&self, lag: &GroupLag<'_>, row: usize, rate: &str) -> String {
        let who = match self.member_of(row) {
            Some(_) => format!("read by {}", self.name_of(row)),
            None => "read by nobody".to_owned(),
        };
        let end = format::signed(lag.end.0);
        let how_far = match (lag.committed, lag.lag()) {
            (Some(committed), Some(lag)) => format!(
                "committed {} of {end}, lag {}",
                format::signed(committed.0),
                format::signed(lag)
            ),
            _ => format!("nothing committed, log end {end}"),
        };
        let name = format!("{}-{}", lag.topic, lag.partition);
        match rate {
            "" => format!("{name} {who}: {how_far}"),
            rate => format!("{name} {who}: {how_far}, {rate}"),
        }
    }
}

/// The partitions of a row as words: the most lagging ones where there are many.
fn reads(mine: &[&GroupLag<'_>]) -> String {
    const NAMED: usize = 8;
    let total: i64 = mine.iter().filter_map(|lag| lag.lag()).sum();
    let names: Vec<String> = mine
        .iter()
        .take(NAMED)
        .map(|lag| format!("{}-{}", lag.topic, lag.partition))
        .collect();
    match mine.len() {
        0 => "no partition".to_owned(),
        some if some <= NAMED => format!("{}, lag {}", names.join(", "), format::signed(total)),
        many => format!(
            "{} and {} more, lag {}",
            names.join(", "),
            many - NAMED,
            format::signed(total)
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn few_partitions_fit_more_scroll_many_are_bars() {
        let few = Layout::of(900.0, 3, 3);
        assert!(!few.bars && few.size().x <= 900.0);
        let more = Layout::of(900.0, 12, 3);
        assert!(!more.bars && more.size().x > 900.0 && more.column == measure::CELL_LEAST);
        let many = Layout::of(900.0, 100, 3);
        assert!(many.bars && many.size().x <= 900.0);
        assert!(Layout::of(900.0, 1_000, 3).size().x > 900.0);
    }

    #[test]
    fn only_what_is_in_sight_is_drawn() {
        let layout = Layout::of(900.0, 1_000, 100);
        let viewport = Rect::from_min_size(pos2(600.0, 300.0), vec2(900.0, 200.0));
        let (columns, rows) = layout.visible(viewport);
        assert_eq!(columns.start, 100);
        assert!(
            columns.len() < 140 && rows.len() < 10,
            "{columns:?} {rows:?}"
        );
    }
}
