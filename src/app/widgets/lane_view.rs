//! Which offsets of a log lane lie where: zoom, pan and following the end, as plain numbers.
//!
//! Positions are relative to a row's anchor (offset 0, or its log end), and the left edge is kept as a
//! whole offset plus a fraction, so offsets near 2^63 are as exact as small ones. Paints nothing.

use serde::{Deserialize, Serialize};

/// What a row's horizontal positions count from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub enum Align {
    /// Offset 0: the same offset of every partition stands in one column.
    #[default]
    Offsets,
    /// The log end: the newest records of every partition stand in one column.
    Ends,
}

/// How far a viewport may go, from the rows it shows.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Bounds {
    /// Smallest position of any row (a log start).
    pub first: i64,
    /// One past the largest position of any row (a log end).
    pub end: i64,
    /// Points from the left to the right edge of the lanes.
    pub width: f32,
    /// Points kept free right of the log end while following it.
    pub end_margin: f32,
    /// Widest a cell may become, in points.
    pub cell_max: f32,
}

/// The visible part of the lanes.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Viewport {
    left: i64,
    fraction: f64,
    cell: f64,
    pub follow: bool,
    pub align: Align,
}

impl Viewport {
    /// Follows the end with cells `cell` points wide.
    pub fn following(cell: f32) -> Viewport {
        Viewport {
            left: 0,
            fraction: 0.0,
            cell: f64::from(cell),
            follow: true,
            align: Align::Offsets,
        }
    }

    /// Points one offset takes.
    pub fn cell(&self) -> f32 {
        self.cell as f32
    }

    /// Points from the left edge to where `position` begins.
    pub fn x_of(&self, position: i64) -> f32 {
        ((position.saturating_sub(self.left) as f64 - self.fraction) * self.cell) as f32
    }

    /// The position under a point `x` right of the left edge.
    pub fn at_x(&self, x: f32) -> i64 {
        let steps = (self.fraction + f64::from(x) / self.cell).floor();
        self.left.saturating_add(steps as i64)
    }

    /// Positions at least partly visible in `width` points: first, and one past the last.
    pub fn visible(&self, width: f32) -> (i64, i64) {
        (self.left, self.at_x(width).saturating_add(1))
    }

    /// Moves the content by `dx` points (to the right when positive) and stops following.
    pub fn pan(&mut self, dx: f32) {
        self.follow = false;
        self.shift(-f64::from(dx) / self.cell);
    }

    /// Makes cells `factor` times as wide, keeping what is under `x` there.
    pub fn zoom(&mut self, factor: f32, x: f32, bounds: Bounds) {
        let under = self.fraction + f64::from(x) / self.cell;
        let widest = f64::from(bounds.cell_max);
        self.cell = (self.cell * f64::from(factor)).clamp(narrowest(bounds).min(widest), widest);
        self.fraction = 0.0;
        self.shift(under - f64::from(x) / self.cell);
    }

    /// Shows everything there is.
    pub fn fit(&mut self, bounds: Bounds) {
        let room = f64::from((bounds.width - bounds.end_margin).max(1.0));
        let span = bounds.end.saturating_sub(bounds.first).max(1) as f64;
        self.cell = (room / span).clamp(narrowest(bounds), f64::from(bounds.cell_max));
        self.left = bounds.first;
        self.fraction = 0.0;
    }

    /// Brings `position` to the middle and stops following.
    pub fn show(&mut self, position: i64, bounds: Bounds) {
        self.follow = false;
        self.left = position;
        self.fraction = 0.5;
        self.shift(-f64::from(bounds.width) / 2.0 / self.cell);
        self.settle(bounds);
    }

    /// Call once a frame: follows the end, or keeps some of the logs in sight.
    pub fn settle(&mut self, bounds: Bounds) {
        let in_sight = f64::from(bounds.width) / self.cell;
        if self.follow {
            let room = f64::from((bounds.width - bounds.end_margin).max(1.0)) / self.cell;
            self.left = bounds.end;
            self.fraction = 0.0;
            self.shift(-room);
            if self.left < bounds.first {
                self.left = bounds.first;
                self.fraction = 0.0;
            }
            return;
        }
        let lowest = bounds.first.saturating_sub((in_sight / 2.0) as i64);
        let highest = bounds.end.saturating_sub((in_sight / 8.0) as i64);
        if self.left < lowest || self.left > highest.max(lowest) {
            self.left = self.left.clamp(lowest, highest.max(lowest));
            self.fraction = 0.0;
        }
    }

    fn shift(&mut self, positions: f64) {
        let total = self.fraction + positions;
        let whole = total.floor();
        self.left = self.left.saturating_add(whole as i64);
        self.fraction = total - whole;
    }
}

/// The zoom at which everything fits in half the width.
fn narrowest(bounds: Bounds) -> f64 {
    let span = bounds.end.saturating_sub(bounds.first).max(1) as f64;
    (f64::from(bounds.width) / 2.0 / span).min(f64::from(bounds.cell_max))
}

/// Where an axis wants labels: round positions at least `apart` points from each other.
pub fn ticks(view: &Viewport, width: f32, apart: f32) -> Vec<i64> {
    let step = round_step((f64::from(apart) / view.cell).ceil().max(1.0));
    let (first, end) = view.visible(width);
    let mut at = first.div_euclid(step).saturating_mul(step);
    let mut ticks = Vec::new();
    while at < end {
        if at >= first {
            ticks.push(at);
        }
        match at.checked_add(step) {
            Some(next) => at = next,
            None => break,
        }
    }
    ticks
}

/// The smallest of 1, 2, 5, 10, 20, 50, … that is at least `least`.
fn round_step(least: f64) -> i64 {
    let mut decade: i64 = 1;
    loop {
        for factor in [1, 2, 5] {
            let step = decade.saturating_mul(factor);
            if step as f64 >= least || step == i64::MAX {
                return step;
            }
        }
        decade = decade.saturating_mul(10);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bounds(first: i64, end: i64) -> Bounds {
        Bounds {
            first,
            end,
            width: 900.0,
            end_margin: 100.0,
            cell_max: 40.0,
        }
    }

    #[test]
    fn following_puts_the_end_a_margin_from_the_right_edge() {
        for (first, end, end_x) in [
            (0, 1_000, 800.0),
            (0, 20, 200.0),
            (0, 0, 0.0),
            (990, 1_000, 100.0),
            (i64::MAX - 2_000, i64::MAX - 5, 800.0),
        ] {
            let mut view = Viewport::following(10.0);
            view.settle(bounds(first, end));
            assert!((view.x_of(end) - end_x).abs() < 0.01, "{first} {end}");
        }
    }

    #[test]
    fn positions_and_points_are_inverse() {
        let mut view = Viewport::following(10.0);
        view.settle(bounds(0, 5_000));
        view.pan(33.3);
        assert!(!view.follow);
        for position in [4_900, 4_950, 4_999] {
            assert_eq!(view.at_x(view.x_of(position) + 0.5), position);
        }
    }

    #[test]
    fn zooming_keeps_what_is_under_the_pointer() {
        for factor in [0.25, 0.9, 1.1, 3.0] {
            let mut view = Viewport::following(10.0);
            view.settle(bounds(0, 50_000));
            view.follow = false;
            let under = view.at_x(455.0);
            view.zoom(factor, 455.0, bounds(0, 50_000));
            assert_eq!(view.at_x(455.0), under, "{factor}");
        }
    }

    #[test]
    fn zoom_stops_when_all_fits_in_half_and_at_the_widest_cell() {
        let mut view = Viewport::following(10.0);
        view.zoom(0.000_001, 0.0, bounds(0, 900_000));
        assert!((view.cell() - 0.0005).abs() < 1e-6);
        view.zoom(1e9, 0.0, bounds(0, 900_000));
        assert_eq!(view.cell(), 40.0);
    }

    #[test]
    fn panning_never_loses_the_logs() {
        let mut view = Viewport::following(10.0);
        for dx in [1e9, -1e9, 1e9] {
            view.pan(dx);
            view.settle(bounds(100, 200));
            let (first, end) = view.visible(900.0);
            assert!(first < 200 && end > 100, "{first} {end}");
        }
    }

    #[test]
    fn fitting_shows_first_and_end() {
        let mut view = Viewport::following(10.0);
        view.fit(bounds(500, 1_000_500));
        assert_eq!(view.x_of(500), 0.0);
        assert!((view.x_of(1_000_500) - 800.0).abs() < 0.1);
    }

    #[test]
    fn showing_an_offset_centres_it() {
        let mut view = Viewport::following(10.0);
        view.show(500, bounds(0, 1_000));
        assert!((view.x_of(500) - 445.0).abs() < 0.1);
    }

    #[test]
    fn ticks_are_round_and_apart() {
        let mut view = Viewport::following(10.0);
        view.settle(bounds(0, 1_042));
        assert_eq!(ticks(&view, 900.0, 80.0)[..3], [970, 980, 990]);
        view.zoom(0.1, 0.0, bounds(0, 10_042));
        let wide = ticks(&view, 900.0, 80.0);
        assert!(wide.windows(2).all(|pair| pair[1] - pair[0] == 100));
        assert_eq!(round_step(0.3), 1);
        assert_eq!(round_step(3.0), 5);
        assert_eq!(round_step(51.0), 100);
    }
}
