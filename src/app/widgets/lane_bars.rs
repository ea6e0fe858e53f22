//! Many partitions: one bar each (filled to the high watermark, hatched to the log end), and past
//! `BAR_ROWS` one square each, brighter the more comes in. Shows no record contents.

use egui::{Align2, Rect, pos2};

use super::lane::{Canvas, Face, Form, HEAT_LEVELS, HeatGrid, Ink, Plan, Row, anchor, snap};
use crate::app::format::signed;
use crate::app::replicas::{ReplicaRole, factor, is_thin};

/// Plans one bar. Bars have no segment brackets, so it says they begin below the row.
pub fn row(plan: &mut Plan, canvas: &Canvas<'_>, row: &Row<'_>, rect: Rect) -> f32 {
    let (p, m) = (row.partition, canvas.metrics);
    let anchor = anchor(canvas.view.align, p);
    let (first, end) = canvas.view.visible(plan.lanes.width());
    let left = plan.lanes.left();
    let x = |offset: i64| {
        let at = (offset - anchor).clamp(first - 1, end + 1);
        snap(left + canvas.view.x_of(at), m)
    };
    let top = snap(rect.center().y - m.bar_height / 2.0, m);
    let stretch = |from: i64, to: i64| {
        Rect::from_min_max(pos2(x(from), top), pos2(x(to), top + m.bar_height))
    };
    plan.text(
        pos2(rect.left(), rect.center().y),
        Align2::LEFT_CENTER,
        format!("P{}", p.index),
        Face::Small,
    );
    let hw = p.high_watermark.0;
    plan.in_lanes(stretch(p.log_start.0, hw), Ink::Band, Form::Filled);
    plan.in_lanes(stretch(hw, p.log_end.0), Ink::Waiting, Form::Hatched);
    let tick = x(hw);
    if p.log_end.0 > 0 && plan.lanes.x_range().contains(tick) {
        let tick = Rect::from_min_max(
            pos2(tick - m.line, top - m.line),
            pos2(tick + m.line, top + m.bar_height + m.line),
        );
        plan.quad(tick, Ink::Watermark, Form::Filled);
    }
    for flag in row.flags {
        let at = x(flag.offset.0);
        if plan.lanes.x_range().contains(at) {
            let behind = flag.offset < p.high_watermark;
            let pole = Rect::from_min_max(
                pos2(at - m.line, top - m.line * 2.0),
                pos2(at + m.line, top + m.bar_height),
            );
            plan.quad(pole, Ink::Flag { behind }, Form::Filled);
        }
    }
    if let Some((_, offset)) = canvas.selected.filter(|(index, _)| *index == p.index) {
        let cell = stretch(offset.0, offset.0 + 1).expand2(egui::vec2(m.line, m.line));
        plan.in_lanes(cell, Ink::Selected, Form::Outline);
    }
    let numbers_at = x(p.log_end.0) + m.gap * 2.0;
    if plan.lanes.x_range().contains(numbers_at) {
        plan.text(
            pos2(numbers_at, rect.center().y),
            Align2::LEFT_CENTER,
            signed(p.log_end.0),
            Face::Mono,
        );
    }
    let wrong = match (p.leader, is_thin(p)) {
        (None, _) => Some(("no leader".to_owned(), Face::Trouble)),
        (Some(_), true) => {
            let in_sync = format!("ISR {}/{}", p.isr.len(), factor(p));
            Some((in_sync, Face::Warning))
        }
        (Some(_), false) => None,
    };
    if let Some((text, face)) = wrong {
        let at = pos2(plan.lanes.left() - m.gap * 2.0, rect.center().y);
        plan.text(at, Align2::RIGHT_CENTER, text, face);
    }
    rect.bottom()
}

/// Plans the squares that are in sight.
pub fn heatmap(plan: &mut Plan, canvas: &Canvas<'_>) {
    let m = canvas.metrics;
    let room = canvas.rect.size() - egui::vec2(m.gap * 2.0, 0.0);
    let grid = HeatGrid::new(canvas.rows.len(), room, m);
    plan.content_height = grid.height(canvas.rows.len());
    for (index, row) in canvas.rows.iter().enumerate() {
        let corner = canvas.rect.min + grid.at(index) - egui::vec2(0.0, canvas.scrolled);
        let square = Rect::from_min_size(corner, egui::Vec2::splat(grid.side));
        if !square.intersects(canvas.rect) {
            continue;
        }
        let ink = match row.partition.leader {
            Some(_) => Ink::Heat(level(row.heat)),
            None => Ink::Cut,
        };
        plan.quad(square, ink, Form::Round);
        if row.partition.leader.is_some() && is_thin(row.partition) {
            plan.quad(square, Ink::Replica(ReplicaRole::OutOfSync), Form::Dashed);
        }
        if canvas
            .selected
            .is_some_and(|(partition, _)| partition == row.partition.index)
        {
            plan.quad(square.expand(m.line), Ink::Selected, Form::Outline);
        }
        plan.add_row(row, canvas.view.align, square, square.bottom());
    }
}

/// The level of a share of the busiest partition: 0 only for nothing at all.
fn level(share: f32) -> u8 {
    if share <= 0.0 {
        return 0;
    }
    let top = HEAT_LEVELS - 1;
    ((share * f32::from(top)).ceil() as u8).clamp(1, top)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_nothing_is_level_zero() {
        for (share, expected) in [(0.0, 0), (0.000_1, 1), (0.5, 5), (1.0, 9), (7.0, 9)] {
            assert_eq!(level(share), expected, "{share}");
        }
    }
}
