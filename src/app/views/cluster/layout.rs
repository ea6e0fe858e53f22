//! Where the brokers' cards stand, and in which detail their replicas are drawn. Plain geometry, no egui calls.

use egui::{Rect, Vec2, pos2, vec2};

use super::tiles::Grid;
use crate::app::theme::{cluster as measure, space};

/// Brokers that stand one below the other; more stand in two columns.
const STACKED: usize = 4;

/// How much of each replica a card shows: the most that fits on every card.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Detail {
    /// A lane of records each.
    Cells,
    /// A bar each, filled to the high watermark.
    Bars,
    /// A tile each.
    Heatmap(Grid),
}

/// How replicas are laid out inside every card.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Fit {
    pub detail: Detail,
    pub columns: usize,
    /// From one replica's top to the next one's.
    pub pitch: f32,
    /// Replicas a card shows.
    pub room: usize,
}

impl Fit {
    /// The most detailed way in which the replicas of every card fit `body`; `held` has each card's by topic.
    pub fn new(body: Vec2, held: &[Vec<usize>]) -> Fit {
        let rows = most(held).max(1);
        let lanes = [
            (Detail::Cells, measure::LANE_WIDTH, measure::LANE),
            (Detail::Bars, measure::BAR_WIDTH, measure::BAR),
        ];
        for (detail, width, height) in lanes {
            let most = ((body.x / width) as usize).max(1);
            for columns in 1..=most {
                let each = rows.div_ceil(columns);
                if each as f32 * height <= body.y {
                    let tallest = match detail {
                        Detail::Cells => measure::LANE_MOST,
                        _ => measure::LANE,
                    };
                    return Fit {
                        detail,
                        columns,
                        pitch: (body.y / each as f32).min(tallest).floor(),
                        room: rows,
                    };
                }
            }
        }
        Fit::heatmap(body, rows, held)
    }

    fn heatmap(body: Vec2, rows: usize, held: &[Vec<usize>]) -> Fit {
        let grid = Grid::new(body + vec2(0.0, 2.0 * space::XS), held);
        Fit {
            detail: Detail::Heatmap(grid),
            columns: 1,
            pitch: grid.pitch,
            room: grid.room(rows),
        }
    }

    /// Height that `rows` replicas take.
    pub fn height(&self, rows: usize) -> f32 {
        match self.detail {
            Detail::Heatmap(grid) => grid.height(),
            Detail::Cells | Detail::Bars => rows.div_ceil(self.columns) as f32 * self.pitch,
        }
    }

    /// Where the lane or bar of the replica at this place stands in `body`. They go down the columns, so that
    /// partitions read from top to bottom.
    pub fn place(&self, body: Rect, rows: usize, nth: usize) -> Rect {
        let each = rows.div_ceil(self.columns).max(1);
        let (column, row) = (nth / each, nth % each);
        let width = body.width() / self.columns as f32;
        let corner = body.min + vec2(width * column as f32, self.pitch * row as f32);
        let last = column + 1 == self.columns;
        let gap = if last { 0.0 } else { space::M };
        Rect::from_min_size(corner, vec2(width - gap, self.pitch))
    }
}

/// Replicas of the fullest card.
fn most(held: &[Vec<usize>]) -> usize {
    let cards = held.iter().map(|topics| topics.iter().sum());
    cards.max().unwrap_or(0)
}

/// The brokers' cards.
#[derive(Debug, Clone, PartialEq)]
pub struct Layout {
    pub cards: Vec<Rect>,
    pub fit: Fit,
    /// Where links run: right of one column of cards, between two.
    pub gutter: Rect,
    /// The cards stand in one column.
    pub stacked: bool,
}

impl Layout {
    /// Whether so many brokers stand in one column.
    pub fn stacks(brokers: usize) -> bool {
        brokers <= STACKED
    }

    /// Lays out one card per entry of `held`, its replicas by topic. Cards move together where some have no room.
    pub fn new(area: Rect, held: &[Vec<usize>]) -> Layout {
        let layout = Layout::apart(area, held, measure::GAP);
        match layout.fit.room < most(held) {
            true => Layout::apart(area, held, space::XS),
            false => layout,
        }
    }

    fn apart(area: Rect, held: &[Vec<usize>], least: f32) -> Layout {
        let brokers = held.len().max(1);
        let stacked = Layout::stacks(brokers);
        let each = if stacked {
            brokers
        } else {
            brokers.div_ceil(2)
        };
        let gutter = match brokers {
            1 => 0.0,
            _ if stacked => measure::GUTTER,
            _ => measure::GUTTER_WIDE,
        };
        let columns = if stacked { 1.0 } else { 2.0 };
        let width = ((area.width() - gutter) / columns).max(1.0);
        let tallest = (area.height() - least * (each - 1) as f32) / each as f32;
        let inner = card_body(Rect::from_min_size(area.min, vec2(width, tallest)));
        let fit = Fit::new(inner.size(), held);
        let most = fit.height(most(held)).max(measure::LANE);
        let foot = match fit.detail {
            Detail::Heatmap(_) => 0.0,
            Detail::Cells | Detail::Bars => space::S,
        };
        let height = (measure::HEAD + most + foot).min(tallest).floor();
        // Room to spare goes between the cards, where it makes links easier to tell apart.
        let spare = (area.height() - height * each as f32) / each as f32;
        let gap = spare.clamp(least, measure::GAP_MOST).floor();
        let cards = (0..held.len()).map(|nth| {
            let (column, row) = (nth / each, nth % each);
            let corner = vec2(
                (width + gutter) * column as f32,
                (height + gap) * row as f32,
            );
            Rect::from_min_size(area.min + corner, vec2(width, height))
        });
        let bottom = area.top() + (height + gap) * each as f32 - gap;
        Layout {
            cards: cards.collect(),
            fit,
            gutter: Rect::from_min_max(
                pos2(area.left() + width, area.top()),
                pos2(area.left() + width + gutter, bottom),
            ),
            stacked,
        }
    }
}

/// The part of a card below its head.
pub fn card_body(card: Rect) -> Rect {
    Rect::from_min_max(
        card.min + vec2(space::M, measure::HEAD),
        card.max - vec2(space::M, space::S),
    )
}

/// The same for tiles, which come nearer to the edges.
pub fn heatmap_body(card: Rect) -> Rect {
    card_body(card).expand2(vec2(0.0, space::XS))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cells_become_bars_and_bars_a_heatmap_as_partitions_grow() {
        let body = vec2(700.0, 160.0);
        for (rows, detail) in [
            (1, "cells"),
            (9, "cells"),
            (18, "cells"),
            (19, "bars"),
            (60, "bars"),
            (61, "heatmap"),
            (3_000, "heatmap"),
        ] {
            let fit = Fit::new(body, &[vec![rows]]);
            let is = match fit.detail {
                Detail::Cells => "cells",
                Detail::Bars => "bars",
                Detail::Heatmap(_) => "heatmap",
            };
            assert_eq!(is, detail, "{rows}");
            assert_eq!(fit.room, rows, "all {rows} are shown");
        }
        let fit = Fit::new(body, &[vec![90_000]]);
        assert!(fit.room < 90_000, "it says so when some are not");
    }

    #[test]
    fn no_two_things_overlap_for_1_to_10_brokers() {
        for (width, height) in [(756.0, 440.0), (916.0, 620.0), (540.0, 300.0)] {
            let area = Rect::from_min_size(pos2(200.0, 80.0), vec2(width, height));
            for brokers in 1..=10 {
                for rows in [0, 1, 9, 40, 900] {
                    check(area, &vec![vec![rows]; brokers]);
                }
            }
        }
    }

    #[test]
    fn three_thousand_partitions_on_ten_brokers_have_room_in_a_small_window() {
        let area = Rect::from_min_size(pos2(212.0, 190.0), vec2(756.0, 357.0));
        let layout = Layout::new(area, &vec![vec![270, 360, 90, 180]; 10]);
        assert_eq!(layout.fit.room, 900);
    }

    fn check(area: Rect, held: &[Vec<usize>]) {
        let layout = Layout::new(area, held);
        for (nth, card) in layout.cards.iter().enumerate() {
            assert!(area.expand(0.5).contains_rect(*card), "{held:?}: {card:?}");
            assert!(!card.shrink(0.5).intersects(layout.gutter), "{held:?}");
            for other in &layout.cards[nth + 1..] {
                assert!(!card.shrink(0.5).intersects(*other), "{held:?}");
            }
            let (body, rows) = (card_body(*card), held[nth][0]);
            let places: Vec<Rect> = match layout.fit.detail {
                Detail::Heatmap(grid) => grid.tiles(heatmap_body(*card), &held[nth]),
                _ => (0..rows)
                    .map(|place| layout.fit.place(body, rows, place))
                    .collect(),
            };
            for place in places {
                assert!(
                    heatmap_body(*card).expand(1.0).contains_rect(place),
                    "{held:?}: {place:?} {body:?}"
                );
            }
        }
    }
}
