//! The Rebalances tab: who owned each partition when, as bands, and below every rebalance with its length and cause.

use std::sync::Arc;

use egui::Ui;

use super::bands;
use crate::app::format;
use crate::app::history::Rebalance;
use crate::app::scene::Scene;
use crate::app::theme::{self, Theme, space};
use crate::app::views::table::{self, Column};
use crate::app::widgets;
use crate::inspect::GroupSnapshot;

/// The most of the tab's height that bands take.
const BANDS_SHARE: f32 = 0.6;

static COLUMNS: [Column; 5] = [
    Column::words("began", 108.0),
    Column::numbers("took", 80.0),
    Column::numbers("generation", 72.0),
    Column::numbers("members", 64.0),
    Column::words("why", 0.0),
];

pub fn draw(ui: &mut Ui, scene: &mut Scene<'_>, group: &Arc<GroupSnapshot>) {
    let history = scene.history.groups();
    let all: Vec<&Rebalance> = history.rebalances(&group.group).collect();
    if all.is_empty() && history.owners(&group.group).next().is_none() {
        widgets::empty(
            ui,
            "No rebalance since the window opened, and none among the events.",
            None,
        );
        return;
    }
    let height = ui.available_height() * BANDS_SHARE;
    bands::draw(ui, scene, group, &all, height);
    ui.add_space(space::S);
    table::header(ui, &COLUMNS, None);
    let rows = table::Rows {
        columns: &COLUMNS,
        count: all.len(),
        selected: None,
        reveal: false,
        pushed: 0,
    };
    let theme = Theme::of(ui);
    table::rows(ui, ("rebalances", &group.group), &rows, |index, cells| {
        // The newest first.
        let one = all[all.len() - 1 - index];
        cells.mono(&format::short_moment(scene.now, one.began.as_ms()));
        match one.ended {
            Some(ended) => cells.mono(&format::milliseconds(ended.since_us(one.began))),
            None => cells.text("goes on", theme::body(), theme.warning),
        }
        cells.mono(&one.generation.to_string());
        cells.mono(&format::count(u64::from(one.members)));
        cells.text(&one.cause, theme::body(), theme.text);
    });
}
