//! When the rows of a table are ordered anew: at once when somebody wishes for something else, and for a new picture
//! a few times a second at most where they are sorted by a number, so that they do not dance.

use std::sync::Arc;
use std::time::Duration;

use egui::Ui;

use crate::app::scene::Scene;
use crate::ids::Time;
use crate::inspect::ClusterSnapshot;

/// Microseconds between two orderings while pictures change.
const REORDER_EVERY_US: u64 = 500_000;

/// What rows were ordered for last: a wish (filter, column, direction), of which picture and when.
pub struct OrderedFor<W> {
    last: Option<(W, *const ClusterSnapshot, Time)>,
}

impl<W> Default for OrderedFor<W> {
    fn default() -> Self {
        OrderedFor { last: None }
    }
}

impl<W: PartialEq> OrderedFor<W> {
    /// Whether the rows are to be ordered now; from then on they count as ordered. Rows that dance wait for their
    /// turn, and have the window drawn again when it comes.
    pub fn is_due(&mut self, ui: &Ui, scene: &Scene<'_>, wish: W, dance: bool) -> bool {
        let picture = Arc::as_ptr(scene.picture);
        if let Some((wished, pictured, at)) = &self.last
            && *wished == wish
        {
            if *pictured == picture {
                return false;
            }
            let age = scene.now.since_us(*at);
            if dance && age < REORDER_EVERY_US {
                let rest = Duration::from_micros(REORDER_EVERY_US - age);
                ui.ctx().request_repaint_after(rest);
                return false;
            }
        }
        self.last = Some((wish, picture, scene.now));
        true
    }
}
