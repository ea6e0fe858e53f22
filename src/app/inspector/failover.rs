//! The failover stopwatch: when each step from a broker's end to the first acknowledged produce came, and which setting
//! decides how long it takes.

use egui::{CornerRadius, Role, Sense, Ui, WidgetInfo, pos2, vec2};

use crate::app::scene::Scene;
use crate::app::state::Selection;
use crate::app::theme::{self, Theme, radius, space};
use crate::app::{format, widgets};
use crate::inspect::failover::{Failover, FailoverStep, Stage};

/// A step that came sooner after another came with it, microseconds.
const AT_ONCE_US: u64 = 100;

/// Its steps, each with what happened. A click on one selects the event that tells of it.
pub fn draw(ui: &mut Ui, scene: &mut Scene<'_>, failover: &Failover) {
    let began = format::time_of_day(failover.began().as_ms());
    let (broker, word) = (failover.broker, failover.cause.word());
    let back = if failover.is_back { ", back since" } else { "" };
    widgets::small(ui, &format!("Broker {broker} {word} at {began}{back}"));
    ui.scope(|ui| {
        ui.spacing_mut().item_spacing.y = space::XS;
        for step in failover
            .steps
            .iter()
            .filter(|one| one.stage != Stage::Began)
        {
            row(ui, scene, step);
        }
    });
}

fn row(ui: &mut Ui, scene: &mut Scene<'_>, step: &FailoverStep) {
    let theme = Theme::of(ui);
    let width = ui.available_width();
    let after = after(step);
    let said = said(step);
    let ink = if step.time.is_some() {
        theme.text
    } else {
        theme.muted
    };
    let painter = ui.painter();
    let word = painter.layout_no_wrap(step.stage.word().to_owned(), theme::small_heading(), ink);
    let number = painter.layout_no_wrap(after.clone(), theme::mono_small(), ink);
    let what = painter.layout(said.clone(), theme::small(), theme.muted, width);
    let size = vec2(width, word.size().y + what.size().y);
    let (rect, response) = ui.allocate_exact_size(size, Sense::click());
    response.widget_info(|| {
        let name = format!("{} {after}: {said}", step.stage.word());
        WidgetInfo::labeled(Role::Button, step.event.is_some(), name)
    });
    if step.event.is_some() && (response.hovered() || response.has_focus()) {
        let around = rect.expand2(vec2(space::XS, 1.0));
        let corner = CornerRadius::same(radius::SMALL);
        ui.painter().rect_filled(around, corner, theme.hover);
    }
    let right = pos2(rect.right() - number.size().x, rect.top());
    let below = pos2(rect.left(), rect.top() + word.size().y);
    ui.painter().galley(rect.min, word, ink);
    ui.painter().galley(right, number, ink);
    ui.painter().galley(below, what, theme.muted);
    if let Some(event) = step.event.filter(|_| response.clicked()) {
        scene.state.select(Selection::Event(event));
    }
}

/// How long after the broker's end: `+240 ms`.
pub fn after(step: &FailoverStep) -> String {
    match step.since_began_us {
        Some(us) => format!("+{}", format::milliseconds(us)),
        None => "\u{2013}".to_owned(),
    }
}

/// What happened, how long after the step before, and what decides that.
pub fn said(step: &FailoverStep) -> String {
    let Some(us) = step.since_last_us else {
        return format!("{}.", step.what);
    };
    let governs = step.governs.as_ref().map(|by| format!(", {}", by.words()));
    let later = match us {
        0..AT_ONCE_US => "At once".to_owned(),
        us => format!("{} later", format::milliseconds(us)),
    };
    format!("{later}{}: {}.", governs.unwrap_or_default(), step.what)
}
