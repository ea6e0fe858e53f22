//! Lag over time, a curve per partition, with the rebalances marked. Of many partitions those that lag most have their
//! own curve, the others one together.

use std::collections::BTreeMap;

use egui::{Color32, Frame, Rect, Role, Sense, Stroke, Ui, WidgetInfo, pos2, vec2};
use egui_plot::{AxisHints, Line, Plot, PlotPoint, PlotPoints, VLine};

use crate::app::format;
use crate::app::history::{GroupHistory, Rebalance};
use crate::app::scene::Scene;
use crate::app::theme::{self, Theme, size, space};
use crate::app::widgets;
use crate::ids::Time;
use crate::inspect::{GroupLag, GroupSnapshot};

/// Curves of their own, as many as there are hues.
const CURVES: usize = 8;
/// Marks that carry words: more would cover each other.
const MARKS_NAMED: usize = 6;
/// Room above the highest point, for the words at the marks.
const HEAD_ROOM: f64 = 1.25;

/// Share of the width at the left without a time.
const EDGE: f64 = 0.04;
/// Width of the numbers at the right, points.
const NUMBERS: f32 = 56.0;
/// Points between lines that are hardly seen, and between those that are seen well.
const GRID: (f32, f32) = (28.0, 160.0);

/// One curve.
struct Curve {
    name: String,
    color: Color32,
    /// Seconds before now, and offsets.
    points: Vec<[f64; 2]>,
}

/// Draws a heading, the chart `height` points high, and what its colours mean.
pub fn draw(
    ui: &mut Ui,
    scene: &Scene<'_>,
    group: &GroupSnapshot,
    partitions: &[GroupLag<'_>],
    height: f32,
) {
    let theme = Theme::of(ui);
    let (now, span) = (scene.now, f64::from(scene.state.remembered.timeline_span_s));
    let history = scene.history.groups();
    let curves = curves(history, theme, group, partitions, now, span);
    let marks: Vec<&Rebalance> = history
        .rebalances(&group.group)
        .filter(|one| seconds(now, one.began) >= -span)
        .collect();
    let most = curves.iter().flat_map(|curve| &curve.points);
    let most = most.map(|point| point[1]).fold(1.0, f64::max);
    widgets::heading(ui, "Lag");
    let drawn = Frame::new()
        .stroke(theme.hairline())
        .corner_radius(egui::CornerRadius::same(theme::radius::CONTROL))
        .show(ui, |ui| {
            let lines: Vec<(Vec<[f64; 2]>, &Curve)> =
                curves.iter().map(|one| (one.points.clone(), one)).collect();
            plot(ui, now, span, most, height, lines, &marks)
        });
    let says = describe(&curves, &marks);
    let response = ui.interact(
        drawn.response.rect,
        ui.scope_id().with("lag chart"),
        Sense::hover(),
    );
    response.widget_info(|| WidgetInfo::labeled(Role::Image, true, &says));
    name_marks(ui, &drawn.inner, theme, now, &marks, most * HEAD_ROOM);
    legend(ui, theme, &curves);
}

fn plot(
    ui: &mut Ui,
    now: Time,
    span: f64,
    most: f64,
    height: f32,
    lines: Vec<(Vec<[f64; 2]>, &Curve)>,
    marks: &[&Rebalance],
) -> egui_plot::PlotTransform {
    let theme = Theme::of(ui);
    let clock = move |x: f64| {
        let words = format::time_of_day(now.as_ms() + (x * 1_000.0) as i64);
        words.split('.').next().unwrap_or_default().to_owned()
    };
    let across = AxisHints::new_x()
        .formatter(move |mark, shown| match mark.value - shown.start() {
            // Half of a label at the very left would be cut off.
            near if near < span * EDGE => String::new(),
            _ => clock(mark.value),
        })
        .tick_label_font(theme::mono_small())
        .tick_label_color(theme.muted);
    let up = AxisHints::new_y()
        .formatter(|mark, _| match mark.value {
            value if value < 0.0 || value.fract() != 0.0 => String::new(),
            value => format::signed(value as i64),
        })
        .placement(egui_plot::HPlacement::Right)
        .min_thickness(NUMBERS)
        .tick_label_font(theme::mono_small())
        .tick_label_color(theme.muted);
    let shown = Plot::new("lag over time")
        .height(height)
        .show_background(false)
        .allow_zoom(false)
        .allow_drag(false)
        .allow_scroll(false)
        .allow_boxed_zoom(false)
        .allow_double_click_reset(false)
        .show_x(false)
        .show_y(false)
        .show_grid([false, true])
        .grid_color(theme.line)
        .grid_spacing(egui::Rangef::new(GRID.0, GRID.1))
        .set_margin_fraction(vec2(0.0, 0.0))
        .custom_x_axes(vec![across])
        .custom_y_axes(vec![up])
        .show(ui, |plot| {
            plot.set_plot_bounds_x(-span..=0.0);
            plot.set_plot_bounds_y(0.0..=most * HEAD_ROOM);
            for (points, curve) in lines {
                let line = Line::new(curve.name.clone(), PlotPoints::from(points));
                plot.line(line.stroke(Stroke::new(1.5, curve.color)));
            }
            for mark in marks {
                let x = seconds(now, mark.began);
                let style = egui_plot::LineStyle::dashed_dense();
                let line = VLine::new("rebalance", x).style(style);
                plot.vline(line.stroke(Stroke::new(size::LINE, theme.warning)));
            }
        });
    shown.transform
}

/// Seconds before now, below 0.
fn seconds(now: Time, then: Time) -> f64 {
    (then.0 - now.0) as f64 / 1e6
}

fn curves(
    history: &GroupHistory,
    theme: &Theme,
    group: &GroupSnapshot,
    partitions: &[GroupLag<'_>],
    now: Time,
    span: f64,
) -> Vec<Curve> {
    let mut ranked: Vec<&GroupLag<'_>> = partitions.iter().collect();
    if ranked.len() > CURVES {
        ranked.sort_by_key(|lag| std::cmp::Reverse(lag.lag().unwrap_or(-1)));
    }
    let own = match ranked.len() {
        few if few <= CURVES => few,
        _ => CURVES - 1,
    };
    let within = |x: f64| x >= -span;
    let mut curves = Vec::new();
    for (lag, color) in ranked.iter().take(own).zip(theme.keys) {
        let samples = history.samples(&group.group, lag.topic, lag.partition);
        let point =
            |sample: &crate::app::history::Sample| [seconds(now, sample.time), sample.lag as f64];
        curves.push(Curve {
            name: format!("{}-{}", lag.topic, lag.partition),
            color,
            points: samples.map(point).filter(|[x, _]| within(*x)).collect(),
        });
    }
    let rest = &ranked[own..];
    if !rest.is_empty() {
        curves.push(the_rest(history, theme, group, rest, now, within));
    }
    curves
}

/// The sum of the group's lag without the curves drawn, as far as all of it was seen at once.
fn the_rest(
    history: &GroupHistory,
    theme: &Theme,
    group: &GroupSnapshot,
    rest: &[&GroupLag<'_>],
    now: Time,
    within: impl Fn(f64) -> bool,
) -> Curve {
    let mut sums: BTreeMap<i64, i64> = BTreeMap::new();
    for lag in rest {
        for sample in history.samples(&group.group, lag.topic, lag.partition) {
            *sums.entry(sample.time.0).or_default() += sample.lag;
        }
    }
    let points = sums.into_iter();
    let points = points.map(|(time, lag)| [seconds(now, Time(time)), lag as f64]);
    Curve {
        name: format!("{} others together", format::count(rest.len() as u64)),
        color: theme.key_null,
        points: points.filter(|[x, _]| within(*x)).collect(),
    }
}

/// What each mark is: how long the rebalance took, and why it was.
fn name_marks(
    ui: &Ui,
    transform: &egui_plot::PlotTransform,
    theme: &Theme,
    now: Time,
    marks: &[&Rebalance],
    top: f64,
) {
    let frame = *transform.frame();
    let painter = ui.painter().with_clip_rect(frame);
    let newest = marks.iter().rev().take(MARKS_NAMED);
    let mut taken: Vec<Rect> = Vec::new();
    for mark in newest {
        let at = transform.position_from_point(&PlotPoint::new(seconds(now, mark.began), top));
        let galley = widgets::elided(ui, &words(mark), theme::small(), theme.warning, 220.0);
        let left = match at.x + galley.size().x + space::S < frame.right() {
            true => at.x + space::XS,
            false => at.x - galley.size().x - space::XS,
        };
        let mut rect = Rect::from_min_size(pos2(left, frame.top() + space::XS), galley.size());
        while taken.iter().any(|other| other.intersects(rect)) {
            rect = rect.translate(vec2(0.0, rect.height() + 1.0));
        }
        if rect.bottom() > frame.bottom() {
            continue;
        }
        taken.push(rect);
        painter.galley(rect.min, galley, theme.warning);
    }
}

/// `c2 left · 180 ms`.
pub fn words(mark: &Rebalance) -> String {
    let took = match mark.ended {
        Some(ended) => format::milliseconds(ended.since_us(mark.began)),
        None => "goes on".to_owned(),
    };
    match mark.cause.is_empty() {
        true => format!("rebalance · {took}"),
        false => format!("{} · {took}", mark.cause),
    }
}

fn legend(ui: &mut Ui, theme: &Theme, curves: &[Curve]) {
    ui.horizontal_wrapped(|ui| {
        ui.spacing_mut().item_spacing.x = space::S;
        ui.spacing_mut().interact_size.y = 0.0;
        for curve in curves {
            let (rect, _) = ui.allocate_exact_size(vec2(space::M, space::M), Sense::hover());
            let bar = Rect::from_center_size(rect.center(), vec2(space::M, 3.0));
            ui.painter().rect_filled(bar, 0.0, curve.color);
            let text = egui::RichText::new(&curve.name).font(theme::small());
            ui.label(text.color(theme.muted));
            ui.add_space(space::S);
        }
    });
}

/// The chart as words.
fn describe(curves: &[Curve], marks: &[&Rebalance]) -> String {
    let each = curves.iter().map(|curve| {
        let first = curve.points.first().map_or(0.0, |point| point[1]);
        let last = curve.points.last().map_or(0.0, |point| point[1]);
        let number = |lag: f64| format::signed(lag as i64);
        format!("{} from {} to {}", curve.name, number(first), number(last))
    });
    let each: Vec<String> = each.collect();
    let rebalances = match marks.len() {
        0 => "no rebalance".to_owned(),
        some => format::counted(some as u64, "rebalance"),
    };
    format!("Lag over time: {}; {rebalances}", each.join(", "))
}
