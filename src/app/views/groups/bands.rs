//! Who owned each partition when: a band per partition, from left to right as on the timeline, hatched where nobody
//! did. Marks where the group rebalanced. A band is as exact as the window looked: about a second.

use std::collections::{BTreeMap, VecDeque};

use egui::{
    Align2, Color32, CornerRadius, Painter, Rect, Role, ScrollArea, Sense, Shape, Stroke, Ui,
    WidgetInfo, pos2, vec2,
};

use crate::app::format;
use crate::app::groups::{id_end, member_names};
use crate::app::history::{Owned, Rebalance};
use crate::app::scene::Scene;
use crate::app::theme::{self, Theme, group as measure, radius, size, space};
use crate::app::widgets::{elided, small};
use crate::ids::{PartitionIndex, Time};
use crate::inspect::GroupSnapshot;

/// Width of the partitions' names, points.
const NAMES: f32 = 132.0;

/// The time that is shown, and where.
struct Axis {
    now: Time,
    span_us: i64,
    left: f32,
    width: f32,
}

impl Axis {
    fn x(&self, time: Time) -> f32 {
        let share = (time.0 - self.now.0 + self.span_us) as f32 / self.span_us as f32;
        self.left + self.width * share.clamp(0.0, 1.0)
    }

    fn begin(&self) -> Time {
        Time(self.now.0 - self.span_us)
    }
}

/// What members are called and drawn in; those that left, too.
struct Members {
    names: BTreeMap<String, String>,
    colors: BTreeMap<String, Color32>,
}

impl Members {
    fn of<'a>(
        group: &GroupSnapshot,
        theme: &Theme,
        owned: impl Iterator<Item = &'a Owned>,
    ) -> Members {
        let shown = member_names(group);
        let ids = group.members.iter().map(|member| member.id.clone());
        let mut names: BTreeMap<String, String> = ids.zip(shown).collect();
        for gone in owned.filter_map(|one| one.member.as_ref()) {
            if !names.contains_key(gone) {
                // A member id begins with the client id.
                let client = gone.get(..gone.len().saturating_sub(37)).unwrap_or("");
                let name = match client {
                    "" => format!("…{}", id_end(gone)),
                    client => client.to_owned(),
                };
                names.insert(gone.clone(), format!("{name} (left)"));
            }
        }
        let colors = names.keys().cloned().zip(theme.keys.into_iter().cycle());
        Members {
            colors: colors.collect(),
            names,
        }
    }

    fn name(&self, id: &str) -> &str {
        self.names.get(id).map_or("", String::as_str)
    }
}

/// Draws the bands, at most `height` points high.
pub fn draw(
    ui: &mut Ui,
    scene: &Scene<'_>,
    group: &GroupSnapshot,
    rebalances: &[&Rebalance],
    height: f32,
) {
    let theme = Theme::of(ui);
    let history = scene.history.groups();
    let bands: Vec<_> = history.owners(&group.group).collect();
    let owned = bands.iter().flat_map(|(.., owned)| owned.iter());
    let members = Members::of(group, theme, owned);
    let axis = Axis {
        now: scene.now,
        span_us: i64::from(scene.state.remembered.timeline_span_s) * 1_000_000,
        left: ui.max_rect().left() + NAMES,
        width: ui.available_width() - NAMES - space::S,
    };
    legend(ui, theme, &members);
    let high = measure::BAND_PITCH * bands.len() as f32;
    let top = ui.cursor().top();
    let height = height - measure::BAND_PITCH * 2.0;
    let drawn = ScrollArea::vertical()
        .id_salt(("bands", &group.group))
        .max_height(height)
        .auto_shrink([false, true])
        .show_viewport(ui, |ui, viewport| {
            ui.set_height(high);
            let pitch = measure::BAND_PITCH;
            let first = (viewport.top() / pitch).floor().max(0.0) as usize;
            let end = ((viewport.bottom() / pitch).ceil() as usize).min(bands.len());
            let y = ui.max_rect().top();
            for (index, band) in bands.iter().enumerate().take(end).skip(first) {
                let y = y + pitch * index as f32;
                row(ui, theme, &axis, &members, *band, y);
            }
        });
    let bottom = top + drawn.inner_rect.height().min(high);
    marks(ui, theme, &axis, rebalances, top, bottom);
    ticks(ui, theme, &axis);
}

/// A partition's name and its band.
fn row(
    ui: &mut Ui,
    theme: &Theme,
    axis: &Axis,
    members: &Members,
    (topic, partition, owned): (&str, PartitionIndex, &VecDeque<Owned>),
    y: f32,
) {
    let name = format!("{topic}-{partition}");
    let galley = elided(ui, &name, theme::body(), theme.text, NAMES - space::S);
    let at = pos2(axis.left - NAMES, y);
    ui.painter().galley(at, galley, theme.text);
    let whole = Rect::from_min_size(pos2(axis.left, y), vec2(axis.width, measure::BAND));
    let response = ui.interact(whole, ui.scope_id().with(("band", &name)), Sense::hover());
    let mut said = Vec::new();
    let mut under = None;
    for (index, one) in owned.iter().enumerate() {
        let until = owned.get(index + 1).map_or(axis.now, |next| next.since);
        if until < axis.begin() {
            continue;
        }
        let rect = Rect::from_x_y_ranges(axis.x(one.since)..=axis.x(until), whole.y_range());
        let words = band(ui, theme, members, one, rect);
        let since = format::time_of_day(one.since.as_ms());
        let words = format!("{words} since {since}");
        if response.hover_pos().is_some_and(|at| rect.contains(at)) {
            under = Some(format!("{name}: {words}"));
        }
        said.push(words);
    }
    response.widget_info(|| {
        let text = format!("{name}: {}", said.join(", then "));
        WidgetInfo::labeled(Role::Image, true, text)
    });
    if let Some(words) = under {
        response.on_hover_text_at_pointer(words);
    }
}

/// One owner's part of a band; who that was.
fn band(ui: &Ui, theme: &Theme, members: &Members, one: &Owned, rect: Rect) -> String {
    let painter = ui.painter();
    let corner = CornerRadius::same(radius::SMALL);
    let Some(id) = &one.member else {
        hatch(painter, rect, theme.bad);
        return "nobody".to_owned();
    };
    let color = members.colors.get(id).copied().unwrap_or(theme.key_null);
    painter.rect_filled(rect, corner, theme.within(color));
    let edge = Rect::from_min_max(rect.min, pos2(rect.left() + 3.0, rect.bottom()));
    painter.rect_filled(edge.intersect(rect), corner, color);
    let name = members.name(id);
    let room = rect.width() - space::S;
    if room > space::XL {
        let galley = elided(ui, name, theme::small(), theme.text, room);
        let at = pos2(
            rect.left() + space::S,
            rect.center().y - galley.size().y / 2.0,
        );
        painter.galley(at, galley, theme.text);
    }
    name.to_owned()
}

/// Nobody: an outline with strokes across.
fn hatch(painter: &Painter, rect: Rect, ink: Color32) {
    let stroke = Stroke::new(size::LINE, ink);
    let painter = painter.with_clip_rect(rect.intersect(painter.clip_rect()));
    let mut x = rect.left() - rect.height();
    while x < rect.right() {
        let from = pos2(x, rect.bottom());
        let to = pos2(x + rect.height(), rect.top());
        painter.add(Shape::line_segment([from, to], stroke));
        x += measure::HATCH;
    }
}

fn marks(ui: &Ui, theme: &Theme, axis: &Axis, rebalances: &[&Rebalance], top: f32, bottom: f32) {
    for one in rebalances.iter().filter(|one| one.began >= axis.begin()) {
        let x = axis.x(one.began);
        let stroke = Stroke::new(size::LINE, theme.warning);
        let line = [pos2(x, top), pos2(x, bottom)];
        let dashes = Shape::dashed_line(&line, stroke, 3.0, 3.0);
        ui.painter().extend(dashes);
    }
}

/// The time below the bands.
fn ticks(ui: &mut Ui, theme: &Theme, axis: &Axis) {
    const PARTS: i64 = 4;
    let (rect, _) = ui.allocate_exact_size(
        vec2(ui.available_width(), measure::BAND_PITCH),
        Sense::hover(),
    );
    for part in 0..=PARTS {
        let time = Time(axis.begin().0 + axis.span_us * part / PARTS);
        let words = format::time_of_day(time.as_ms());
        let words = words.split('.').next().unwrap_or_default();
        let align = match part {
            0 => Align2::LEFT_TOP,
            PARTS => Align2::RIGHT_TOP,
            _ => Align2::CENTER_TOP,
        };
        let at = pos2(axis.x(time), rect.top());
        let font = theme::mono_small();
        ui.painter().text(at, align, words, font, theme.muted);
    }
}

/// Who is drawn how.
fn legend(ui: &mut Ui, theme: &Theme, members: &Members) {
    const NAMED: usize = 10;
    ui.horizontal_wrapped(|ui| {
        ui.spacing_mut().item_spacing.x = space::XS;
        ui.spacing_mut().interact_size.y = 0.0;
        let mark = |ui: &mut Ui| {
            let (rect, _) = ui.allocate_exact_size(vec2(space::L, space::M), Sense::hover());
            rect
        };
        for (id, name) in members.names.iter().take(NAMED) {
            let rect = mark(ui);
            let color = members.colors.get(id).copied().unwrap_or(theme.key_null);
            let corner = CornerRadius::same(radius::SMALL);
            ui.painter().rect_filled(rect, corner, theme.within(color));
            let edge = Rect::from_min_max(rect.min, pos2(rect.left() + 3.0, rect.bottom()));
            ui.painter().rect_filled(edge, corner, color);
            small(ui, name);
            ui.add_space(space::S);
        }
        let rect = mark(ui);
        hatch(ui.painter(), rect, theme.bad);
        small(ui, "nobody");
        ui.add_space(space::S);
        let rect = mark(ui);
        let line = [rect.center_top(), rect.center_bottom()];
        let stroke = Stroke::new(size::LINE, theme.warning);
        ui.painter()
            .extend(Shape::dashed_line(&line, stroke, 3.0, 3.0));
        small(ui, "rebalance");
    });
    ui.add_space(space::XS);
}
