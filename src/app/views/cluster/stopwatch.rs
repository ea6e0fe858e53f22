//! The newest failover as one line above the picture, while the broker is away and for a while after.

use egui::text::{LayoutJob, TextFormat, TextWrapping};
use egui::{Role, Sense, Ui, WidgetInfo, vec2};

use crate::app::inspector::failover::{after, said};
use crate::app::scene::Scene;
use crate::app::state::Selection;
use crate::app::theme::{self, Theme, lane};
use crate::app::widgets;
use crate::inspect::failover::{Failover, Stage};

/// Microseconds a failover stays in sight once it is over.
const STAYS_US: u64 = 60_000_000;

pub fn draw(ui: &mut Ui, scene: &mut Scene<'_>) {
    let Some(failover) = Failover::newest(scene.picture).filter(|one| in_sight(scene, one)) else {
        return;
    };
    let (rect, response) = ui.allocate_exact_size(
        vec2(ui.available_width(), lane::TEXT_HEIGHT),
        Sense::click(),
    );
    let words = words(&failover);
    response.widget_info(|| WidgetInfo::labeled(Role::Button, true, &words));
    widgets::focus_ring(ui, &response, rect);
    let galley = ui
        .painter()
        .layout_job(line(Theme::of(ui), &failover, rect.width()));
    let at = rect.left_center() - vec2(0.0, galley.size().y / 2.0);
    ui.painter().galley(at, galley, Theme::of(ui).text);
    if response.clicked() {
        scene.state.select(Selection::Broker(failover.broker));
    }
    response.on_hover_text_at_pointer(words);
}

fn in_sight(scene: &Scene<'_>, failover: &Failover) -> bool {
    let last = failover.steps.iter().filter_map(|step| step.time).max();
    let over = failover.is_back && last.is_none_or(|last| scene.now.since_us(last) > STAYS_US);
    !over
}

/// `Broker 2 killed → detected +1.0 ms → fenced +240 ms …`.
fn line(theme: &Theme, failover: &Failover, width: f32) -> LayoutJob {
    let mut job = LayoutJob::default();
    let mut put = |text: &str, font, ink| job.append(text, 0.0, TextFormat::simple(font, ink));
    let head = format!("Broker {} {}", failover.broker, failover.cause.word());
    put(&head, theme::small_heading(), theme.text);
    for step in failover
        .steps
        .iter()
        .filter(|one| one.stage != Stage::Began)
    {
        put("  →  ", theme::small(), theme.faint);
        put(step.stage.word(), theme::small(), theme.muted);
        put(" ", theme::small(), theme.muted);
        let ink = if step.time.is_some() {
            theme.text
        } else {
            theme.muted
        };
        put(&after(step), theme::mono_small(), ink);
    }
    job.wrap = TextWrapping::truncate_at_width(width);
    job
}

/// Every step as a sentence.
fn words(failover: &Failover) -> String {
    let head = format!("Broker {} {}.", failover.broker, failover.cause.word());
    let steps = failover
        .steps
        .iter()
        .filter(|one| one.stage != Stage::Began);
    let steps = steps.map(|step| format!("{} {}: {}", step.stage.word(), after(step), said(step)));
    std::iter::once(head)
        .chain(steps)
        .collect::<Vec<_>>()
        .join("\n")
}
