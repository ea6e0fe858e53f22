//! One replica as shapes: its badge, its records as cells or a bar. Plain data for `lane_paint`.
//!
//! Guarantees: role and commitment can be told without colour. A cell is drawn only for a record the replica
//! provably has; what it holds beyond that is a band.

use std::sync::Arc;

use egui::{Rect, pos2, vec2};

use super::rows::Row;
use crate::app::replicas::ReplicaRole;
use crate::app::theme::{cluster as measure, lane as lane_measure, size, space};
use crate::app::widgets::lane::{Form, Ink, Metrics, Quad};
use crate::app::widgets::lane_cells::{cell_form, cell_ink};
use crate::ids::Offset;
use crate::inspect::{GroupSnapshot, Lane, LaneFocus, PartitionSnapshot};

/// Groups whose flags are looked for.
const FLAGS: usize = 12;
/// The cloth of a flag.
const FLAG: egui::Vec2 = vec2(5.0, 3.0);
/// A gap takes at most this part of a lane: one third.
const GAP_SHARE: i64 = 3;
/// Offsets behind the furthest replica's end of which records are asked for.
const BEHIND: i64 = 1_024;
/// Requested ranges begin at multiples of this, so that a few new records ask for nothing new.
const REQUEST_STEP: i64 = 64;

/// The parts of one row that shows cells, left to right.
#[derive(Debug, Clone, Copy)]
pub struct Parts {
    pub badge: Rect,
    pub name: Rect,
    pub cells: Rect,
    /// Empty where the card is too narrow for notes.
    pub note: Rect,
    pub number: Rect,
}

impl Parts {
    pub fn of(row: Rect, notes: bool) -> Parts {
        let middle = row.center().y;
        let badge = vec2(measure::BADGE[0], measure::BADGE[1].min(row.height() - 2.0));
        let badge = Rect::from_center_size(pos2(row.left() + badge.x / 2.0, middle), badge);
        let badge = round(badge);
        let name_left = badge.right() + space::S;
        let number_left = row.right() - measure::NUMBER;
        let note_left = number_left - if notes { measure::NOTE } else { 0.0 };
        let cells_left = name_left + measure::NAME;
        let tall = (row.height() - space::XS)
            .min(lane_measure::CELL_HEIGHT - space::S)
            .floor();
        let top = (middle - tall / 2.0).round();
        // Whole cells only: the newest one ends at the right edge.
        let count = ((note_left - space::S - cells_left) / lane_measure::CELL)
            .floor()
            .max(0.0);
        let right = (note_left - space::S).round();
        let left = right - count * lane_measure::CELL;
        let across =
            |from: f32, to: f32| Rect::from_min_max(pos2(from, row.top()), pos2(to, row.bottom()));
        Parts {
            badge,
            name: across(name_left, cells_left - space::XS),
            cells: Rect::from_min_max(pos2(left, top), pos2(right, top + tall)),
            note: across(note_left.min(number_left), number_left),
            number: across(number_left, row.right()),
        }
    }

    /// Records that have room.
    pub fn count(&self) -> i64 {
        (self.cells.width() / lane_measure::CELL).round() as i64
    }
}

fn round(rect: Rect) -> Rect {
    Rect::from_min_max(rect.min.round(), rect.max.round())
}

/// The records the lanes of a topic need: the newest `count` of each replica and what comes next. Replicas far behind
/// the furthest are shown without contents.
pub fn wanted<'a>(
    topic: &str,
    partitions: impl Iterator<Item = (&'a PartitionSnapshot, i64)>,
    count: i64,
) -> LaneFocus {
    let ranges = partitions.map(|(p, furthest)| {
        let ends = p.replicas.iter().map(|replica| replica.log_end.0);
        let least = ends.filter(|end| *end >= furthest - BEHIND).min();
        let from = least.unwrap_or(furthest).min(furthest) - count;
        let from = from.div_euclid(REQUEST_STEP) * REQUEST_STEP;
        let from = from.max(p.log_start.0).max(0);
        let upto = furthest + REQUEST_STEP;
        (
            p.index,
            Offset(from),
            u32::try_from(upto - from).unwrap_or(0),
        )
    });
    LaneFocus {
        topic: topic.to_owned(),
        ranges: ranges.collect(),
    }
}

/// The shape of a replica's badge; its letter is written upon it.
pub fn badge(role: ReplicaRole, rect: Rect) -> Quad {
    Quad {
        rect,
        ink: Ink::Replica(role),
        form: Form::of_replica(role),
    }
}

/// What stands in a badge.
pub fn letter(role: ReplicaRole) -> &'static str {
    match role {
        ReplicaRole::Leader => "L",
        ReplicaRole::InSync | ReplicaRole::OutOfSync => "F",
        ReplicaRole::Adding => "+",
        ReplicaRole::Offline => "\u{2013}",
        ReplicaRole::Failed => "!",
        ReplicaRole::Unknown => "?",
    }
}

/// Where the offsets of one replica stand in its lane. The newest of any replica ends at the right edge; what a replica
/// lacks is a gap there, which takes at most a part of the lane: its own newest records stay in sight.
struct Span<'a> {
    parts: &'a Parts,
    first: i64,
    end: i64,
    /// Points of the gap.
    gap: f32,
}

impl<'a> Span<'a> {
    fn new(row: &Row<'_>, parts: &'a Parts) -> Span<'a> {
        let end = row.log_end().0.max(0);
        let gap = (row.furthest() - end).min(parts.count() / GAP_SHARE).max(0);
        let records = (parts.count() - gap).max(0);
        Span {
            parts,
            first: (end - records).max(row.replica.log_start.0).max(0),
            end,
            gap: gap as f32 * lane_measure::CELL,
        }
    }

    fn x(&self, offset: i64) -> f32 {
        let before_end = (self.end - offset.clamp(self.first, self.end)) as f32;
        self.parts.cells.right() - self.gap - before_end * lane_measure::CELL
    }

    fn rect(&self, from: i64, to: i64) -> Rect {
        let cells = self.parts.cells;
        Rect::from_min_max(
            pos2(self.x(from), cells.top()),
            pos2(self.x(to), cells.bottom()),
        )
    }
}

/// The newest records of one replica as far as they are known, and the gap to what others have.
pub fn cells(
    quads: &mut Vec<Quad>,
    row: &Row<'_>,
    lane: Option<&Lane>,
    parts: &Parts,
    metrics: &Metrics,
) {
    let span = Span::new(row, parts);
    let known = lane.map_or((span.first, span.first), |lane| {
        let upto = lane.to.0.min(row.shared_end()).min(span.end);
        let from = lane.from.0.clamp(span.first, upto.max(span.first));
        (from, upto.max(from))
    });
    for (from, to) in [(span.first, known.0), (known.1, span.end)] {
        if from < to {
            let rect = span.rect(from, to).shrink2(vec2(0.0, space::XS));
            quads.push(Quad {
                rect,
                ink: Ink::Band,
                form: Form::Filled,
            });
        }
    }
    let hw = row.high_watermark();
    let cells = lane.map_or(&[][..], |lane| &lane.cells);
    for cell in cells
        .iter()
        .filter(|cell| (known.0..known.1).contains(&cell.offset.0))
    {
        let mut rect = span.rect(cell.offset.0, cell.offset.0 + 1);
        rect.max.x -= size::LINE;
        let form = cell_form(cell.kind, lane_measure::CELL, metrics);
        quads.push(Quad {
            rect,
            ink: cell_ink(cell, cell.offset < hw),
            form,
        });
    }
    if span.gap > 0.0 && row.log_end() >= Offset::ZERO {
        let left = parts.cells.right() - span.gap;
        let gap = Rect::from_min_max(pos2(left, parts.cells.top()), parts.cells.max);
        let rect = gap.shrink2(vec2(size::LINE, space::XS));
        quads.push(Quad {
            rect,
            ink: Ink::Replica(row.role),
            form: Form::Dashed,
        });
    }
    watermark(quads, &span, hw.0);
}

/// Committed offsets among the cells of a leader: a pole each, with a small cloth above.
pub fn flags(quads: &mut Vec<Quad>, row: &Row<'_>, groups: &[Arc<GroupSnapshot>], parts: &Parts) {
    if row.role != ReplicaRole::Leader {
        return;
    }
    let span = Span::new(row, parts);
    let cells = parts.cells;
    let committed = groups.iter().take(FLAGS);
    let committed = committed.filter_map(|group| group.offset(row.topic, row.partition.index));
    for offset in committed.map(|offset| offset.committed) {
        if offset.0 < span.first || offset.0 > span.end {
            continue;
        }
        let x = span.x(offset.0);
        let ink = Ink::Flag {
            behind: offset < row.high_watermark(),
        };
        let top = cells.top() - FLAG.y;
        let pole = Rect::from_min_max(pos2(x, top), pos2(x + size::LINE, cells.bottom()));
        let cloth = Rect::from_min_size(pos2(x, top), FLAG);
        quads.extend([pole, cloth].map(|rect| Quad {
            rect,
            ink,
            form: Form::Filled,
        }));
    }
}

fn watermark(quads: &mut Vec<Quad>, span: &Span<'_>, hw: i64) {
    if hw <= 0 || hw < span.first {
        return;
    }
    let (middle, cells) = (span.x(hw), span.parts.cells);
    let tick = Rect::from_min_max(
        pos2(middle - size::LINE, cells.top() - 2.0),
        pos2(middle + size::LINE, cells.bottom() + 2.0),
    );
    quads.push(Quad {
        rect: tick,
        ink: Ink::Watermark,
        form: Form::Filled,
    });
}

/// A replica as its role and a bar: filled to its high watermark, hatched to its log end, of what any replica has.
pub fn bar(quads: &mut Vec<Quad>, row: &Row<'_>, mark: Rect, rect: Rect) {
    quads.push(badge(row.role, mark));
    let first = row.partition.log_start.0.max(0);
    let span = (row.furthest() - first).max(1) as f32;
    let x = |offset: i64| {
        let share = (offset - first).max(0) as f32 / span;
        (rect.left() + rect.width() * share.min(1.0)).round()
    };
    let (hw, end) = (row.high_watermark().0, row.log_end().0);
    let committed = hw.clamp(first, end.max(first));
    let stretch = |from: i64, to: i64| Rect::from_x_y_ranges(x(from)..=x(to), rect.y_range());
    if committed > first {
        quads.push(Quad {
            rect: stretch(first, committed),
            ink: Ink::Band,
            form: Form::Filled,
        });
    }
    if end > committed {
        quads.push(Quad {
            rect: stretch(committed, end),
            ink: Ink::Waiting,
            form: Form::Hatched,
        });
    }
    if row.furthest() > end && row.role != ReplicaRole::Leader {
        let rect = stretch(end.max(first), row.furthest());
        quads.push(Quad {
            rect,
            ink: Ink::Replica(row.role),
            form: Form::Dashed,
        });
    }
}
