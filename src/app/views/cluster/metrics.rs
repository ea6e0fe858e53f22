//! The metrics that react as one strip above the picture: each with what it was and what it is. Where the picture needs
//! the room, one line of those that say something.

use egui::{Color32, Role, Sense, Ui, WidgetInfo, vec2};

use crate::app::metrics::{Metric, Metrics, Sign};
use crate::app::scene::Scene;
use crate::app::theme::{self, Theme, cluster as measure, space};
use crate::app::widgets;

pub fn draw(ui: &mut Ui, scene: &Scene<'_>) {
    if scene.picture.brokers.len() < 2 {
        return;
    }
    let metrics = Metrics::of(scene.picture, scene.history, scene.now);
    let theme = Theme::of(ui);
    let low = ui.available_height() < measure::METRICS_FROM;
    let shown = metrics.all.iter().filter(|metric| !low || says(metric));
    let shown: Vec<&Metric> = shown.collect();
    if shown.is_empty() {
        return;
    }
    ui.horizontal_wrapped(|ui| {
        ui.spacing_mut().item_spacing.x = space::L;
        ui.spacing_mut().interact_size.y = 0.0;
        for metric in shown {
            cell(ui, metric, ink(metric, theme), low)
                .on_hover_text(format!("{}, {}.", metric.about, metrics.since));
        }
        let room = ui.available_size_before_wrap().x;
        if room >= measure::NOTE {
            since(ui, &metrics.since, room);
        }
    });
}

/// It is not 0, or it was not.
fn says(metric: &Metric) -> bool {
    metric.now > 0 || metric.was.is_some_and(|was| was > 0)
}

/// What is well is quiet, and health has its colours.
fn ink(metric: &Metric, theme: &Theme) -> Color32 {
    match (metric.now, metric.sign) {
        _ if !says(metric) => theme.muted,
        (0, _) | (_, Sign::Neutral) => theme.text,
        (_, Sign::Warning) => theme.warning,
        (_, Sign::Bad) => theme.bad,
    }
}

/// A name above its value, or beside it in one line.
fn cell(ui: &mut Ui, metric: &Metric, ink: Color32, line: bool) -> egui::Response {
    let theme = Theme::of(ui);
    let value = metric.words();
    let painter = ui.painter();
    let name = painter.layout_no_wrap(metric.name.to_owned(), theme::small(), theme.muted);
    let number = painter.layout_no_wrap(value.clone(), theme::mono(), ink);
    let (a, b) = (name.size(), number.size());
    let (size, offset) = match line {
        true => (
            vec2(a.x + space::XS + b.x, a.y.max(b.y)),
            vec2(a.x + space::XS, 0.0),
        ),
        false => (vec2(a.x.max(b.x), a.y + b.y), vec2(0.0, a.y)),
    };
    let (rect, response) = ui.allocate_exact_size(size, Sense::hover());
    let said = format!("{} {value}", metric.name);
    response.widget_info(|| WidgetInfo::labeled(Role::Label, true, &said));
    ui.painter().galley(rect.min, name, theme.muted);
    ui.painter().galley(rect.min + offset, number, ink);
    response
}

/// What the first of two numbers is, at the right edge.
fn since(ui: &mut Ui, since: &str, room: f32) {
    let theme = Theme::of(ui);
    let right_to_left = egui::Layout::right_to_left(egui::Align::Center);
    ui.with_layout(right_to_left, |ui| {
        let ways = [format!("was → now, {since}"), "was → now".to_owned()];
        let galley = widgets::fitting(ui, &ways, theme::small(), theme.muted, room);
        let [text, _] = ways;
        ui.label(galley).on_hover_text(text);
    });
}
