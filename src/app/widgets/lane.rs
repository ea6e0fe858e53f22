//! What to draw for the log lanes of a topic, as plain data: one [`Plan`] per canvas.
//!
//! Decides the detail (cells, bars past [`CELL_ROWS`] rows, a heatmap past [`BAR_ROWS`]), lays out the rows
//! that are visible and nothing else, and answers what lies under a point. Draws only what the brokers
//! reported: offsets whose contents are not in the picture are shown as a plain band, not as cells.
//! Knows no colour (see `lane_paint`) and keeps nothing from frame to frame.

use egui::{Align2, Pos2, Rect, Vec2, pos2, vec2};

use super::lane_flags::Flag;
use super::lane_view::{Align, Bounds, Viewport, ticks};
use super::{lane_bars, lane_cells};
use crate::app::format::{counted, signed};
use crate::app::replicas::ReplicaRole;
use crate::ids::{Offset, PartitionIndex};
use crate::inspect::{LANE_CELLS, Lane, LaneFocus, PICTURE_CELLS, PartitionSnapshot};

/// Rows drawn as cells at most; more are drawn as bars.
pub const CELL_ROWS: usize = 12;
/// Rows drawn as bars at most; more are drawn as a heatmap.
pub const BAR_ROWS: usize = 200;
/// Levels of the heatmap, the first meaning nothing.
pub const HEAT_LEVELS: u8 = 10;
/// Offsets between the log ends of partitions that are still shown in one column of offsets.
const ENDS_APART: i64 = 80;
/// Requested ranges begin at multiples of this, so that small moves ask for nothing new.
const REQUEST_STEP: i64 = 64;

/// How much of each record a lane shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Detail {
    Cells,
    Bars,
    Heatmap,
}

/// The detail that `rows` partitions are drawn in.
pub fn detail(rows: usize) -> Detail {
    if rows <= CELL_ROWS {
        Detail::Cells
    } else if rows <= BAR_ROWS {
        Detail::Bars
    } else {
        Detail::Heatmap
    }
}

/// Sizes in points; the theme has the values.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Metrics {
    pub label_width: f32,
    pub axis_height: f32,
    pub tick_apart: f32,
    pub end_margin: f32,
    pub row_least: f32,
    pub row_most: f32,
    pub cell: f32,
    pub cell_most: f32,
    pub cell_height: f32,
    /// Cells narrower than this are drawn as a band.
    pub cell_least: f32,
    /// Cells at least this wide have a gap between them and round corners.
    pub cell_round: f32,
    /// Cells at least this wide carry glyphs and batch brackets.
    pub cell_glyph: f32,
    pub bracket: f32,
    /// Height of one replica's strip, and from one strip to the next.
    pub strip: f32,
    pub strip_pitch: f32,
    pub text_height: f32,
    /// Width of one character of a file name.
    pub mono_char: f32,
    pub bar_row: f32,
    pub bar_height: f32,
    /// Least and most side of a heatmap's square.
    pub heat: f32,
    pub heat_most: f32,
    pub gap: f32,
    /// A line's width.
    pub line: f32,
    /// Points one screen pixel takes: edges are put on pixels.
    pub pixel: f32,
}

/// One partition and what is known of its records.
#[derive(Debug, Clone, Copy)]
pub struct Row<'a> {
    pub partition: &'a PartitionSnapshot,
    pub lane: Option<&'a Lane>,
    /// What groups have committed, by offset.
    pub flags: &'a [Flag<'a>],
    /// 0 to 1: how much comes in compared with the busiest partition.
    pub heat: f32,
}

/// What a shape stands for; the painter knows the colour.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ink {
    Key {
        hue: Option<u32>,
        committed: bool,
    },
    Control {
        committed: bool,
    },
    Band,
    Waiting,
    Grid,
    Bracket,
    Watermark,
    /// A group's committed offset: behind the high watermark or not.
    Flag {
        behind: bool,
    },
    Epoch,
    Selected,
    Cut,
    /// A replica's strip, by what it is.
    Replica(ReplicaRole),
    Heat(u8),
    /// What a log takes on disk, of the most: a replica's tile, or what lies within its frame.
    Log {
        level: u8,
        inside: bool,
    },
    /// The ground of what is selected as a whole.
    Chosen,
    /// What the pointer is over.
    Pointed,
}

/// How a rectangle is drawn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    Filled,
    /// Filled, its four corner pixels left out.
    Round,
    Outline,
    /// An outline with a stroke through it: a tombstone.
    Struck,
    Hatched,
    Dashed,
}

impl Form {
    /// A replica's strip: what it is can be told without its colour.
    pub fn of_replica(role: ReplicaRole) -> Form {
        match role {
            ReplicaRole::Leader => Form::Round,
            ReplicaRole::InSync => Form::Outline,
            ReplicaRole::OutOfSync
            | ReplicaRole::Adding
            | ReplicaRole::Offline
            | ReplicaRole::Unknown => Form::Dashed,
            ReplicaRole::Failed => Form::Hatched,
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Quad {
    pub rect: Rect,
    pub ink: Ink,
    pub form: Form,
}

/// Which of the theme's texts a label is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Face {
    Name,
    Small,
    Mono,
    /// A letter on a cell.
    Glyph,
    Warning,
    Trouble,
}

#[derive(Debug, Clone, PartialEq)]
pub struct Text {
    pub at: Pos2,
    pub align: Align2,
    pub text: String,
    pub face: Face,
}

/// Everything one canvas draws, in order.
#[derive(Debug, Clone, PartialEq)]
pub struct Plan {
    pub quads: Vec<Quad>,
    pub texts: Vec<Text>,
    /// Where the records are: right of the labels, below the axis.
    pub lanes: Rect,
    rows: Vec<RowBox>,
    /// Height all rows take together, visible or not.
    pub content_height: f32,
    detail: Detail,
}

#[derive(Debug, Clone, Copy, PartialEq)]
struct RowBox {
    partition: PartitionIndex,
    anchor: i64,
    rect: Rect,
    segments_from: f32,
}

/// What lies under a point.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Hit {
    pub partition: PartitionIndex,
    /// The offset there; `None` over a label or in a heatmap.
    pub offset: Option<Offset>,
    /// True on the brackets of the segments.
    pub segment: bool,
}

/// One frame of one canvas.
#[derive(Debug, Clone, Copy)]
pub struct Canvas<'a> {
    pub rect: Rect,
    pub rows: &'a [Row<'a>],
    pub view: &'a Viewport,
    /// Points the rows are scrolled up by.
    pub scrolled: f32,
    pub selected: Option<(PartitionIndex, Offset)>,
    pub metrics: &'a Metrics,
}

/// Position that a row's offsets are counted from.
pub fn anchor(align: Align, partition: &PartitionSnapshot) -> i64 {
    match align {
        Align::Offsets => 0,
        Align::Ends => partition.log_end.0,
    }
}

/// What rows line up at unless the user chose: their ends, when their offsets lie so far apart that one
/// column of offsets would leave most of them out of sight.
pub fn natural_align(partitions: &[PartitionSnapshot]) -> Align {
    let ends = || partitions.iter().map(|p| p.log_end.0);
    let apart = match (ends().min(), ends().max()) {
        (Some(least), Some(most)) => most.saturating_sub(least),
        _ => 0,
    };
    if apart > ENDS_APART {
        Align::Ends
    } else {
        Align::Offsets
    }
}

/// How far a viewport over these partitions may go.
pub fn bounds<'a>(
    partitions: impl Iterator<Item = &'a PartitionSnapshot>,
    align: Align,
    canvas_width: f32,
    metrics: &Metrics,
) -> Bounds {
    let mut ends: Option<(i64, i64)> = None;
    for partition in partitions {
        let anchor = anchor(align, partition);
        let first = partition.log_start.0.saturating_sub(anchor);
        let end = partition.log_end.0.saturating_sub(anchor);
        let (low, high) = ends.unwrap_or((first, end));
        ends = Some((low.min(first), high.max(end)));
    }
    let (first, end) = ends.unwrap_or((0, 0));
    Bounds {
        first,
        end,
        width: (canvas_width - metrics.label_width).max(1.0),
        end_margin: metrics.end_margin,
        cell_max: metrics.cell_most,
    }
}

/// The records a viewport needs, with some more on both sides. While following, the range goes past the
/// end, so that what arrives next is in the next picture already. `None` when no record is drawn.
pub fn wanted<'a>(
    topic: &str,
    partitions: impl ExactSizeIterator<Item = &'a PartitionSnapshot>,
    view: &Viewport,
    width: f32,
    metrics: &Metrics,
) -> Option<LaneFocus> {
    let rows = partitions.len();
    if rows == 0 || detail(rows) != Detail::Cells || view.cell() < metrics.cell_least {
        return None;
    }
    let most = i64::from(LANE_CELLS.min(PICTURE_CELLS / rows as u32));
    let (first, end) = view.visible(width);
    let spare = (end - first) / 2;
    let ranges = partitions.filter_map(|partition| {
        let anchor = anchor(view.align, partition);
        let from = (first - spare).saturating_add(anchor);
        let from = (from.div_euclid(REQUEST_STEP) * REQUEST_STEP).max(partition.log_start.0);
        if from >= partition.log_end.0 && !view.follow {
            return None;
        }
        let seen = (end - first + 2 * spare + REQUEST_STEP).min(most);
        let count = if view.follow { most } else { seen };
        Some((partition.index, Offset(from), count as u32))
    });
    Some(LaneFocus {
        topic: topic.to_owned(),
        ranges: ranges.collect(),
    })
}

/// Lays out one canvas.
pub fn plan(canvas: &Canvas<'_>) -> Plan {
    let metrics = canvas.metrics;
    let lanes = Rect::from_min_max(
        canvas.rect.min + vec2(metrics.label_width, metrics.axis_height),
        canvas.rect.max,
    );
    let detail = detail(canvas.rows.len());
    let mut plan = Plan {
        quads: Vec::new(),
        texts: Vec::new(),
        lanes,
        rows: Vec::new(),
        content_height: 0.0,
        detail,
    };
    if detail == Detail::Heatmap {
        plan.lanes = canvas.rect;
        lane_bars::heatmap(&mut plan, canvas);
        plan.scroll_mark(canvas);
        return plan;
    }
    plan.axis(canvas);
    let height = row_height(canvas.rows.len(), lanes.height(), detail, metrics);
    plan.content_height = height * canvas.rows.len() as f32;
    for (index, row) in canvas.rows.iter().enumerate() {
        let top = lanes.top() + height * index as f32 - canvas.scrolled;
        if top + height < lanes.top() || top > lanes.bottom() {
            continue;
        }
        let rect = Rect::from_min_size(
            pos2(canvas.rect.left(), top),
            vec2(canvas.rect.width(), height),
        );
        let segments_from = match detail {
            Detail::Cells => lane_cells::row(&mut plan, canvas, row, rect),
            Detail::Bars | Detail::Heatmap => lane_bars::row(&mut plan, canvas, row, rect),
        };
        plan.add_row(row, canvas.view.align, rect, segments_from);
    }
    plan.scroll_mark(canvas);
    plan
}

/// Height of one row: as much as fits, between the least and the most.
fn row_height(rows: usize, room: f32, detail: Detail, metrics: &Metrics) -> f32 {
    match detail {
        Detail::Cells => (room / rows.max(1) as f32).clamp(metrics.row_least, metrics.row_most),
        Detail::Bars => (room / rows.max(1) as f32).clamp(metrics.bar_row, metrics.bar_row * 2.0),
        Detail::Heatmap => metrics.heat,
    }
}

impl Plan {
    fn axis(&mut self, canvas: &Canvas<'_>) {
        let metrics = canvas.metrics;
        for position in ticks(canvas.view, self.lanes.width(), metrics.tick_apart) {
            let half_cell = (canvas.view.cell() / 2.0).min(metrics.cell);
            let x = snap(
                self.lanes.left() + canvas.view.x_of(position) + half_cell,
                metrics,
            );
            if !self.lanes.x_range().contains(x) {
                continue;
            }
            let label = axis_label(canvas.view.align, position);
            let half_label = label.chars().count() as f32 * metrics.mono_char / 2.0;
            // A label cut at the edge could be misread: 98,4 is not 98,410.
            if x + half_label <= self.lanes.right() {
                let at = pos2(x, canvas.rect.top());
                self.text(at, Align2::CENTER_TOP, label, Face::Mono);
            }
            let line = Rect::from_min_max(
                pos2(x, self.lanes.top()),
                pos2(x + metrics.line, self.lanes.bottom()),
            );
            self.quad(line, Ink::Grid, Form::Filled);
        }
    }

    /// Marks at the right edge which of the rows are in sight, when not all are.
    fn scroll_mark(&mut self, canvas: &Canvas<'_>) {
        let (room, metrics) = (self.lanes.height(), canvas.metrics);
        if self.content_height <= room {
            return;
        }
        let share = room / self.content_height;
        let top = self.lanes.top() + canvas.scrolled * share;
        let right = self.lanes.right();
        let mark = Rect::from_min_max(
            pos2(right - metrics.gap, top),
            pos2(right, top + room * share),
        );
        self.quad(mark, Ink::Bracket, Form::Round);
    }

    pub(super) fn add_row(&mut self, row: &Row<'_>, align: Align, rect: Rect, segments_from: f32) {
        self.rows.push(RowBox {
            partition: row.partition.index,
            anchor: anchor(align, row.partition),
            rect,
            segments_from,
        });
    }

    pub(super) fn quad(&mut self, rect: Rect, ink: Ink, form: Form) {
        self.quads.push(Quad { rect, ink, form });
    }

    /// Adds a rectangle as far as it lies in the lanes.
    pub(super) fn in_lanes(&mut self, rect: Rect, ink: Ink, form: Form) {
        let seen = rect.intersect(Rect::from_x_y_ranges(self.lanes.x_range(), rect.y_range()));
        if seen.width() > 0.0 {
            self.quad(seen, ink, form);
        }
    }

    pub(super) fn text(&mut self, at: Pos2, align: Align2, text: String, face: Face) {
        self.texts.push(Text {
            at,
            align,
            text,
            face,
        });
    }

    /// What lies under `at`; `None` outside every row.
    pub fn hit(&self, view: &Viewport, at: Pos2) -> Option<Hit> {
        let row = self.rows.iter().find(|row| row.rect.contains(at))?;
        let over_records = self.detail != Detail::Heatmap && at.x >= self.lanes.left();
        Some(Hit {
            partition: row.partition,
            offset: over_records.then(|| {
                Offset(
                    view.at_x(at.x - self.lanes.left())
                        .saturating_add(row.anchor),
                )
            }),
            segment: over_records && at.y >= row.segments_from,
        })
    }
}

/// An axis label: an offset, or how far before the log end.
fn axis_label(align: Align, position: i64) -> String {
    match (align, position) {
        (Align::Ends, 0) => "end".to_owned(),
        _ => signed(position),
    }
}

/// A coordinate put on the pixel grid.
pub(super) fn snap(at: f32, metrics: &Metrics) -> f32 {
    (at / metrics.pixel).round() * metrics.pixel
}

/// The lanes as sentences, for whoever cannot see them.
pub fn describe(topic: &str, partitions: &[PartitionSnapshot]) -> String {
    use std::fmt::Write as _;
    let count = counted(partitions.len() as u64, "partition");
    let mut text = format!("Log lanes of {topic}, {count}.");
    for p in partitions.iter().take(CELL_ROWS) {
        let _ = write!(
            text,
            " Partition {}: offsets {} to {}, high watermark {}, {}.",
            p.index,
            signed(p.log_start.0),
            signed(p.log_end.0),
            signed(p.high_watermark.0),
            counted(p.segments.len() as u64, "segment")
        );
        describe_replicas(&mut text, p);
    }
    text
}

fn describe_replicas(text: &mut String, p: &PartitionSnapshot) {
    use std::fmt::Write as _;
    if p.replicas.len() < 2 {
        return;
    }
    let replicas = p.replicas.iter().map(|replica| {
        let role = ReplicaRole::of(p, replica).word();
        match replica.log_end >= Offset::ZERO {
            true => format!(
                "broker {} {role} to {}",
                replica.broker,
                signed(replica.log_end.0)
            ),
            false => format!("broker {} {role}", replica.broker),
        }
    });
    let replicas: Vec<String> = replicas.collect();
    let _ = write!(text, " Replicas: {}.", replicas.join(", "));
}

/// How a heatmap's squares are laid out.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct HeatGrid {
    columns: usize,
    pub side: f32,
    pitch: f32,
}

impl HeatGrid {
    /// Squares as large as `room` allows for `count` of them, between the least and the most.
    pub fn new(count: usize, room: Vec2, metrics: &Metrics) -> HeatGrid {
        let fitting = (room.x * room.y / count.max(1) as f32).sqrt().floor();
        let mut pitch = fitting.clamp(metrics.heat, metrics.heat_most) + metrics.gap;
        loop {
            let columns = ((room.x / pitch) as usize).max(1);
            let fits = count.div_ceil(columns) as f32 * pitch <= room.y;
            if fits || pitch <= metrics.heat + metrics.gap {
                return HeatGrid {
                    columns,
                    side: pitch - metrics.gap,
                    pitch,
                };
            }
            pitch -= 1.0;
        }
    }

    /// The height all squares take.
    pub fn height(&self, count: usize) -> f32 {
        count.div_ceil(self.columns) as f32 * self.pitch
    }

    /// A square's corner.
    pub fn at(&self, index: usize) -> Vec2 {
        vec2(
            (index % self.columns) as f32 * self.pitch,
            (index / self.columns) as f32 * self.pitch,
        )
    }
}

#[cfg(test)]
#[path = "lane_tests.rs"]
mod tests;
