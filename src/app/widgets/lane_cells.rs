//! One partition as a row of cells, one record each, with its watermark, epochs, batches and segments.
//!
//! Guarantees: only what lies between the edges of the lanes is put in the plan. Draws a band instead of
//! cells where they would be narrower than the metrics allow, or where the picture holds no records.

use egui::{Align2, Rect, pos2};

use super::lane::{Canvas, Face, Form, Ink, Metrics, Plan, Row, anchor, snap};
use super::lane_flags::{self, Place};
use crate::app::format::signed;
use crate::app::replicas::{ReplicaRole, awaited, brokers, factor, is_thin};
use crate::inspect::{Cell, CellKind, Lane, PartitionSnapshot, SegmentSnapshot};

/// Segment brackets closer together than this many points are not drawn one by one.
const SEGMENT_LEAST: f32 = 3.0;

/// Where the parts of one row are, top to bottom.
#[derive(Debug, Clone, Copy)]
struct Parts {
    epochs: f32,
    cells: f32,
    cells_end: f32,
    batches: f32,
    /// Where the first replica's strip begins.
    strips: f32,
    segments: f32,
    strips_fit: bool,
    batches_fit: bool,
    names_fit: bool,
}

impl Parts {
    /// Replicas come before batches, batches before names, where there is not room for all.
    fn of(rect: Rect, replicas: usize, m: &Metrics) -> Parts {
        let strips = match replicas {
            0 | 1 => 0.0,
            many => m.strip_pitch * many as f32,
        };
        let least = m.text_height + m.cell_height + m.bracket + m.gap * 5.0;
        let strips_fit = strips > 0.0 && rect.height() >= least - m.text_height + strips;
        let strips = if strips_fit { strips } else { 0.0 };
        let batches_fit = rect.height() >= least + m.bracket + m.gap + strips;
        let names_fit = rect.height() >= least + m.text_height + m.bracket + m.gap + strips;
        let above = if names_fit { m.text_height } else { m.gap };
        let cells = snap(rect.top() + m.gap + above, m);
        let cells_end = cells + m.cell_height;
        let batches = cells_end + m.gap;
        let below = if batches_fit { m.bracket + m.gap } else { 0.0 };
        Parts {
            epochs: cells - m.gap / 2.0,
            cells,
            cells_end,
            batches,
            strips: batches + below,
            segments: batches + below + strips,
            strips_fit,
            batches_fit,
            names_fit,
        }
    }
}

/// One row being planned: maps offsets of its partition to points.
struct Span<'a> {
    canvas: &'a Canvas<'a>,
    anchor: i64,
    left: f32,
    first: i64,
    end: i64,
}

impl Span<'_> {
    /// Where an offset begins, on the pixel grid, not far outside the lanes.
    fn x(&self, offset: i64) -> f32 {
        let at = self
            .canvas
            .view
            .x_of(offset.clamp(self.first - 1, self.end + 1) - self.anchor);
        snap(self.left + at, self.canvas.metrics)
    }

    fn rect(&self, from: i64, to: i64, top: f32, bottom: f32) -> Rect {
        Rect::from_min_max(pos2(self.x(from), top), pos2(self.x(to), bottom))
    }
}

/// Plans one row and says where its segments begin.
pub fn row(plan: &mut Plan, canvas: &Canvas<'_>, row: &Row<'_>, rect: Rect) -> f32 {
    let anchor = anchor(canvas.view.align, row.partition);
    let (first, end) = canvas.view.visible(plan.lanes.width());
    let span = Span {
        canvas,
        anchor,
        left: plan.lanes.left(),
        first: first.saturating_add(anchor),
        end: end.saturating_add(anchor),
    };
    let parts = Parts::of(rect, row.partition.replicas.len(), canvas.metrics);
    labels(plan, canvas, row, rect, parts);
    records(plan, &span, row, parts);
    let place = Place {
        cells: parts.cells,
        cells_end: parts.cells_end,
        names: parts.names_fit,
        high_watermark: row.partition.high_watermark,
        m: canvas.metrics,
    };
    let taken = lane_flags::plan(plan, row.flags, &place, |offset| span.x(offset));
    epochs(plan, &span, row, parts, &taken);
    watermark(plan, &span, row, parts);
    if parts.strips_fit {
        strips(plan, &span, row, rect, parts);
    }
    segments(plan, &span, row, parts);
    selection(plan, &span, row, parts);
    out_of_sight(plan, &span, row, parts);
    parts.segments
}

fn labels(plan: &mut Plan, canvas: &Canvas<'_>, row: &Row<'_>, rect: Rect, parts: Parts) {
    let p = row.partition;
    let left = rect.left();
    let middle = (parts.cells + parts.cells_end) / 2.0;
    let m = canvas.metrics;
    plan.text(
        pos2(left, middle - m.text_height / 2.0),
        Align2::LEFT_CENTER,
        format!("P{}", p.index),
        Face::Name,
    );
    let leader = match p.leader {
        Some(broker) => format!("leader {broker}"),
        None => "no leader".to_owned(),
    };
    plan.text(
        pos2(left, middle + m.text_height / 2.0 + m.line),
        Align2::LEFT_CENTER,
        leader,
        if p.leader.is_some() {
            Face::Small
        } else {
            Face::Trouble
        },
    );
    // What is wrong stands beside the name: below it are the replicas.
    let wrong = match (&p.trouble, is_thin(p)) {
        (Some(_), _) => Some(("damaged".to_owned(), Face::Trouble)),
        (None, true) => {
            let in_sync = format!("ISR {}/{}", p.isr.len(), factor(p));
            Some((in_sync, Face::Warning))
        }
        (None, false) => None,
    };
    if let Some((text, face)) = wrong {
        let right = plan.lanes.left() - m.gap * 2.0;
        let at = pos2(right, middle - m.text_height / 2.0);
        plan.text(at, Align2::RIGHT_CENTER, text, face);
    }
}

/// Each replica as far as its log goes, in the order of the assignment.
fn strips(plan: &mut Plan, span: &Span<'_>, row: &Row<'_>, rect: Rect, parts: Parts) {
    let (p, m) = (row.partition, span.canvas.metrics);
    for (index, replica) in p.replicas.iter().enumerate() {
        let role = ReplicaRole::of(p, replica);
        let middle = parts.strips + m.strip_pitch * (index as f32 + 0.5);
        let top = snap(middle - m.strip / 2.0, m);
        plan.text(
            pos2(plan.lanes.left() - m.gap * 2.0, middle),
            Align2::RIGHT_CENTER,
            format!("broker {}", replica.broker),
            Face::Small,
        );
        let (start, end) = (replica.log_start.0, replica.log_end.0);
        let note = match role {
            ReplicaRole::Leader | ReplicaRole::InSync => None,
            _ if end < 0 => Some(format!("{}: it has not told of its log", role.word())),
            _ if replica.from_files => {
                Some(format!("{}, {} in its files", role.word(), signed(end)))
            }
            _ => Some(format!("{}, {}", role.word(), signed(end))),
        };
        let strip = span.rect(start.max(0), end.max(0), top, top + m.strip);
        if end > start {
            plan.in_lanes(strip, Ink::Replica(role), Form::of_replica(role));
        }
        let x = span.x(end.max(0)).max(plan.lanes.left()) + m.gap * 2.0;
        if let Some(note) = note.filter(|_| x < rect.right()) {
            plan.text(pos2(x, middle), Align2::LEFT_CENTER, note, Face::Small);
        }
    }
}

fn records(plan: &mut Plan, span: &Span<'_>, row: &Row<'_>, parts: Parts) {
    let p = row.partition;
    let m = span.canvas.metrics;
    let log = (p.log_start.0.max(span.first), p.log_end.0.min(span.end));
    if log.0 >= log.1 {
        return;
    }
    let cells_fit = span.canvas.view.cell() >= m.cell_least;
    let known = row.lane.filter(|_| cells_fit);
    let (from, to) = known.map_or((log.0, log.0), |lane| {
        (
            lane.from.0.clamp(log.0, log.1),
            lane.to.0.clamp(log.0, log.1),
        )
    });
    for (a, b) in [(log.0, from), (to, log.1)] {
        if a < b {
            band(plan, span, row, (a, b), parts);
        }
    }
    if let Some(lane) = known {
        cells(plan, span, row, lane, parts);
        if parts.batches_fit && span.canvas.view.cell() >= m.cell_glyph {
            for &(first, end) in &lane.batches {
                let end = end.min(p.log_end);
                if end.0 > span.first && first.0 < span.end {
                    bracket(plan, span, (first.0, end.0), parts.batches);
                }
            }
        }
    }
}

/// A stretch of log whose records are not shown one by one: full to the watermark, hatched beyond.
fn band(plan: &mut Plan, span: &Span<'_>, row: &Row<'_>, (from, to): (i64, i64), parts: Parts) {
    let hw = row.partition.high_watermark.0.clamp(from, to);
    let inset = span.canvas.metrics.gap;
    let (top, bottom) = (parts.cells + inset, parts.cells_end - inset);
    if from < hw {
        plan.in_lanes(span.rect(from, hw, top, bottom), Ink::Band, Form::Filled);
    }
    if hw < to {
        plan.in_lanes(span.rect(hw, to, top, bottom), Ink::Waiting, Form::Hatched);
    }
}

fn cells(plan: &mut Plan, span: &Span<'_>, row: &Row<'_>, lane: &Lane, parts: Parts) {
    let m = span.canvas.metrics;
    let width = span.canvas.view.cell();
    let round = width >= m.cell_round;
    let gap = if round { m.line } else { 0.0 };
    let start = lane
        .cells
        .partition_point(|cell| cell.offset.0 < span.first);
    for cell in &lane.cells[start..] {
        if cell.offset.0 >= span.end || cell.offset >= row.partition.log_end {
            break;
        }
        let committed = cell.offset < row.partition.high_watermark;
        let mut rect = span.rect(
            cell.offset.0,
            cell.offset.0 + 1,
            parts.cells,
            parts.cells_end,
        );
        rect.max.x -= gap;
        let form = cell_form(cell.kind, width, m);
        plan.in_lanes(rect, cell_ink(cell, committed), form);
        let in_sight = plan.lanes.x_range().contains(rect.center().x);
        if let Some(letter) = letter(cell.kind)
            && in_sight
            && width >= m.cell_glyph
        {
            let at = rect.center();
            plan.text(at, Align2::CENTER_CENTER, letter.into(), Face::Glyph);
        }
    }
}

/// The ink of a record's cell.
pub fn cell_ink(cell: &Cell, committed: bool) -> Ink {
    match cell.kind {
        CellKind::Record | CellKind::Tombstone => Ink::Key {
            hue: cell.key_hash,
            committed,
        },
        CellKind::Commit | CellKind::Abort | CellKind::OtherControl => Ink::Control { committed },
    }
}

/// The form of a record's cell of this width.
pub fn cell_form(kind: CellKind, width: f32, m: &Metrics) -> Form {
    match kind {
        CellKind::Tombstone if width >= m.cell_glyph => Form::Struck,
        CellKind::Tombstone => Form::Outline,
        _ if width >= m.cell_round => Form::Round,
        _ => Form::Filled,
    }
}

/// What is written on a control record.
fn letter(kind: CellKind) -> Option<&'static str> {
    match kind {
        CellKind::Record | CellKind::Tombstone => None,
        CellKind::Commit => Some("C"),
        CellKind::Abort => Some("A"),
        CellKind::OtherControl => Some("·"),
    }
}

/// A line under a range with both its ends turned up; ends outside the lanes are left open.
fn bracket(plan: &mut Plan, span: &Span<'_>, (from, to): (i64, i64), top: f32) {
    let m = span.canvas.metrics;
    let left = span.x(from);
    let right = span.x(to) - m.line * 2.0;
    if right - left < m.line {
        return;
    }
    let bottom = top + m.bracket;
    let line = Rect::from_min_max(pos2(left, bottom - m.line), pos2(right, bottom));
    plan.in_lanes(line, Ink::Bracket, Form::Filled);
    for (x, drawn) in [(left, from >= span.first), (right - m.line, to <= span.end)] {
        if drawn {
            let end = Rect::from_min_max(pos2(x, top), pos2(x + m.line, bottom - m.line));
            plan.in_lanes(end, Ink::Bracket, Form::Filled);
        }
    }
}

fn epochs(plan: &mut Plan, span: &Span<'_>, row: &Row<'_>, parts: Parts, taken: &[Rect]) {
    let m = span.canvas.metrics;
    for &(epoch, offset) in &row.partition.epochs {
        // An epoch that began with the log changed nothing that could be seen.
        let began_inside = offset > row.partition.log_start;
        if !began_inside || offset.0 < span.first || offset.0 >= span.end {
            continue;
        }
        let x = span.x(offset.0) - m.line;
        let edge = Rect::from_min_max(
            pos2(x, parts.cells - m.gap),
            pos2(x + m.line, parts.cells_end + m.gap),
        );
        plan.in_lanes(edge, Ink::Epoch, Form::Filled);
        // Who reads is worth more than when somebody began to lead.
        let is_free = || taken.iter().all(|flag| !flag.x_range().contains(x));
        if parts.names_fit && is_free() {
            plan.text(
                pos2(x, parts.epochs),
                Align2::LEFT_BOTTOM,
                format!("epoch {epoch}"),
                Face::Small,
            );
        }
    }
}

fn watermark(plan: &mut Plan, span: &Span<'_>, row: &Row<'_>, parts: Parts) {
    let p = row.partition;
    let m = span.canvas.metrics;
    let hw = p.high_watermark.0;
    if p.log_end.0 > 0 && hw >= span.first && hw <= span.end {
        let x = span.x(hw) - m.line;
        let tick = Rect::from_min_max(
            pos2(x, parts.cells - m.gap),
            pos2(x + m.line * 2.0, parts.cells_end + m.gap),
        );
        plan.in_lanes(tick, Ink::Watermark, Form::Filled);
    }
    let waiting = p.log_end - p.high_watermark;
    let x = span.x(p.log_end.0) + m.gap * 2.0;
    if waiting > 0 && p.log_end.0 <= span.end && plan.lanes.x_range().contains(x) {
        plan.text(
            pos2(x, (parts.cells + parts.cells_end) / 2.0),
            Align2::LEFT_CENTER,
            waiting_for(p, waiting),
            Face::Small,
        );
    }
}

/// What the records above the high watermark wait for.
fn waiting_for(p: &PartitionSnapshot, waiting: i64) -> String {
    match awaited(p) {
        ids if ids.is_empty() => format!("{} not committed yet", signed(waiting)),
        ids => format!("{} waiting for {}", signed(waiting), brokers(&ids)),
    }
}

fn segments(plan: &mut Plan, span: &Span<'_>, row: &Row<'_>, parts: Parts) {
    let all = &row.partition.segments;
    let start = all.partition_point(|segment| segment.end_offset.0 <= span.first);
    let mut drawn_to = f32::NEG_INFINITY;
    for segment in &all[start..] {
        if segment.base_offset.0 >= span.end {
            break;
        }
        let (from, to) = (segment.base_offset.0, segment.end_offset.0);
        let right = span.x(to);
        // Thousands of segments may share a pixel: one bracket stands for them.
        if right - drawn_to < SEGMENT_LEAST {
            continue;
        }
        drawn_to = right;
        bracket(plan, span, (from, to), parts.segments);
        if parts.names_fit {
            segment_name(plan, span, segment, parts);
        }
    }
}

/// The file's name under its bracket, shortened until it fits, or not at all.
fn segment_name(plan: &mut Plan, span: &Span<'_>, segment: &SegmentSnapshot, parts: Parts) {
    let m = span.canvas.metrics;
    let left = span.x(segment.base_offset.0).max(plan.lanes.left()) + m.gap;
    let right = if segment.active {
        plan.lanes.right()
    } else {
        span.x(segment.end_offset.0).min(plan.lanes.right())
    };
    let state = if segment.active { " active" } else { "" };
    let whole = format!("{:020}.log{state}", segment.base_offset.0);
    let short = format!("{}.log{state}", segment.base_offset.0);
    for name in [whole, short] {
        if left + name.len() as f32 * m.mono_char <= right {
            plan.text(
                pos2(left, parts.segments + m.bracket + m.line),
                Align2::LEFT_TOP,
                name,
                Face::Mono,
            );
            return;
        }
    }
}

fn selection(plan: &mut Plan, span: &Span<'_>, row: &Row<'_>, parts: Parts) {
    let m = span.canvas.metrics;
    let Some((partition, offset)) = span.canvas.selected else {
        return;
    };
    let p = row.partition;
    let in_log = (p.log_start..p.log_end).contains(&offset);
    let in_sight = offset.0 >= span.first && offset.0 < span.end;
    if partition != p.index || !in_log || !in_sight {
        return;
    }
    let mut ring = span.rect(offset.0, offset.0 + 1, parts.cells, parts.cells_end);
    ring.max.x = ring.max.x.max(ring.min.x + m.cell_least);
    plan.in_lanes(
        ring.expand2(egui::vec2(m.line, m.gap)),
        Ink::Selected,
        Form::Outline,
    );
}

/// Says where the log is when none of it is in sight.
fn out_of_sight(plan: &mut Plan, span: &Span<'_>, row: &Row<'_>, parts: Parts) {
    let p = row.partition;
    let middle = (parts.cells + parts.cells_end) / 2.0;
    let gap = span.canvas.metrics.gap;
    let (lanes, ended, begins) = (
        plan.lanes,
        p.log_end.0 <= span.first,
        p.log_start.0 >= span.end,
    );
    if p.log_start == p.log_end {
        let text = match p.log_end.0 {
            0 => "no records yet".to_owned(),
            end => format!("no records left below {}", signed(end)),
        };
        let at = pos2(lanes.left() + gap * 2.0, middle);
        plan.text(at, Align2::LEFT_CENTER, text, Face::Small);
    } else if ended {
        let at = pos2(lanes.left() + gap * 2.0, middle);
        let text = format!("← log ends at {}", signed(p.log_end.0));
        plan.text(at, Align2::LEFT_CENTER, text, Face::Small);
    } else if begins {
        let at = pos2(lanes.right() - gap * 2.0, middle);
        let text = format!("log starts at {} →", signed(p.log_start.0));
        plan.text(at, Align2::RIGHT_CENTER, text, Face::Small);
    }
}
