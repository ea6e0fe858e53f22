//! Where the brokers' cards stand, and in which detail their replicas are drawn. Plain geometry, no egui calls.

use egui::{Rect, Vec2, pos2, vec2};

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
    /// A square each.
    Squares,
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
    /// The most detailed way in which `rows` replicas fit `body`.
    pub fn new(body: Vec2, rows: usize) -> Fit {
        let rows = rows.max(1);
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
        Fit::squares(body, rows)
    }

    fn squares(body: Vec2, rows: usize) -> Fit {
        let mut pitch = measure::SQUARE_MOST
            .min(body.y)
            .max(measure::SQUARE)
            .floor();
        loop {
            let columns = ((body.x / pitch) as usize).max(1);
            let room = columns * ((body.y / pitch) as usize).max(1);
            if room >= rows || pitch <= measure::SQUARE {
                return Fit {
                    detail: Detail::Squares,
                    columns,
                    pitch,
                    room: room.min(rows),
                };
            }
            pitch -= 1.0;
        }
    }

    /// Height that `rows` replicas take.
    pub fn height(&self, rows: usize) -> f32 {
        rows.min(self.room).div_ceil(self.columns) as f32 * self.pitch
    }

    /// Where the replica at this place stands in `body`. Lanes and bars go down the columns, so that partitions
    /// read from top to bottom; squares go along the rows.
    pub fn place(&self, body: Rect, rows: usize, nth: usize) -> Rect {
        let across = self.detail == Detail::Squares;
        let each = rows.div_ceil(self.columns).max(1);
        let (column, row) = match across {
            true => (nth % self.columns, nth / self.columns),
            false => (nth / each, nth % each),
        };
        let width = match across {
            true => self.pitch,
            false => body.width() / self.columns as f32,
        };
        let corner = body.min + vec2(width * column as f32, self.pitch * row as f32);
        let gap = if across { 1.0 } else { space::M };
        let last = column + 1 == self.columns;
        let gap = if last && !across { 0.0 } else { gap };
        Rect::from_min_size(
            corner,
            vec2(width - gap, self.pitch - f32::from(u8::from(across))),
        )
    }
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

    /// Lays out one card per entry of `rows`, its number of replicas.
    pub fn new(area: Rect, rows: &[usize]) -> Layout {
        let brokers = rows.len().max(1);
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
        let tallest = (area.height() - measure::GAP * (each - 1) as f32) / each as f32;
        let inner = card_body(Rect::from_min_size(area.min, vec2(width, tallest)));
        let fit = Fit::new(inner.size(), rows.iter().copied().max().unwrap_or(0));
        let most = fit
            .height(rows.iter().copied().max().unwrap_or(0))
            .max(measure::LANE);
        let height = (measure::HEAD + most + space::S).min(tallest).floor();
        // Room to spare goes between the cards, where it makes links easier to tell apart.
        let spare = (area.height() - height * each as f32) / each as f32;
        let gap = spare.clamp(measure::GAP, measure::GAP_MOST).floor();
        let cards = (0..rows.len()).map(|nth| {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cells_become_bars_and_bars_squares_as_partitions_grow() {
        let body = vec2(700.0, 160.0);
        for (rows, detail) in [
            (1, Detail::Cells),
            (9, Detail::Cells),
            (18, Detail::Cells),
            (19, Detail::Bars),
            (60, Detail::Bars),
            (61, Detail::Squares),
            (3_000, Detail::Squares),
        ] {
            let fit = Fit::new(body, rows);
            assert_eq!(fit.detail, detail, "{rows}");
            assert_eq!(fit.room, rows, "all {rows} are shown");
        }
        assert!(
            Fit::new(body, 90_000).room < 90_000,
            "it says so when some are not"
        );
    }

    #[test]
    fn no_two_things_overlap_for_1_to_10_brokers() {
        for (width, height) in [(756.0, 440.0), (916.0, 620.0), (540.0, 300.0)] {
            let area = Rect::from_min_size(pos2(200.0, 80.0), vec2(width, height));
            for brokers in 1..=10 {
                for rows in [0, 1, 9, 40, 900] {
                    check(area, &vec![rows; brokers]);
                }
            }
        }
    }

    fn check(area: Rect, rows: &[usize]) {
        let layout = Layout::new(area, rows);
        for (nth, card) in layout.cards.iter().enumerate() {
            assert!(area.expand(0.5).contains_rect(*card), "{rows:?}: {card:?}");
            assert!(!card.shrink(0.5).intersects(layout.gutter), "{rows:?}");
            for other in &layout.cards[nth + 1..] {
                assert!(!card.shrink(0.5).intersects(*other), "{rows:?}");
            }
            let body = card_body(*card);
            for place in 0..rows[nth].min(layout.fit.room) {
                let lane = layout.fit.place(body, rows[nth], place);
                assert!(
                    body.expand(1.0).contains_rect(lane),
                    "{rows:?} {place}: {lane:?} {body:?}"
                );
            }
        }
    }
}
