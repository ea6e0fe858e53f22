//! The links between brokers on the screen, with the requests that wait on them.

use egui::{
    Align2, Color32, Pos2, Rect, Role, Sense, Shape, Stroke, StrokeKind, Ui, Vec2, WidgetInfo, vec2,
};

use super::layout::Layout;
use super::links::{Curve, Flow, Link, Look, flows};
use crate::app::faults;
use crate::app::flights::Flight;
use crate::app::format;
use crate::app::scene::Scene;
use crate::app::state::Selection;
use crate::app::theme::{self, Theme, cluster as measure, size, space};

/// From one request on a link to the next.
const APART: f32 = 0.055;
/// How near to the broker that has it a waiting request is drawn.
const ARRIVED: f32 = 0.92;

/// Draws every link and takes clicks on them.
pub fn draw(ui: &Ui, scene: &mut Scene<'_>, layout: &Layout) {
    let picture = scene.picture.clone();
    let place = |id| picture.brokers.iter().position(|broker| broker.id == id);
    let links = Link::all(&picture);
    let mut drawn: Vec<(Link, Curve)> = Vec::with_capacity(links.len());
    for link in links {
        if let (Some(i), Some(j)) = (place(link.a), place(link.b)) {
            let curve = Curve::new(layout, i, j);
            drawn.push((link, curve));
        }
    }
    // What is wrong lies above what is well.
    drawn.sort_by_key(|(link, _)| link.look() as u8);
    let gutter = ui.interact(layout.gutter, ui.scope_id().with("links"), Sense::click());
    let pointed = gutter.hover_pos().and_then(|at| nearest(&drawn, at));
    for (nth, (link, curve)) in drawn.iter().enumerate() {
        let chosen = scene.state.selection == Selection::Link(link.a, link.b);
        line(
            ui,
            link,
            curve,
            chosen || pointed == Some(nth),
            !layout.stacked,
        );
        let flows = flows(&picture, link.a, link.b, scene.now);
        requests(ui, link, curve, &flows);
        for one in scene.flights.flying() {
            let (asked, asker) = (one.wire.0, one.peer);
            if asker == Some(link.a) && asked == link.b || asker == Some(link.b) && asked == link.a
            {
                // What a follower fetches comes from the broker it asks.
                let from_a = (asker == Some(link.a)) != one.back;
                flight(ui, scene, curve, one, !from_a);
            }
        }
        answer(ui, scene, link, curve, &flows, chosen);
    }
    for (link, curve) in &drawn {
        if let Some(below) = label(ui, link, curve) {
            heal(ui, scene, link, below);
        }
    }
    if let Some((link, _)) = pointed.map(|nth| &drawn[nth]) {
        if gutter.clicked() {
            scene.state.select(Selection::Link(link.a, link.b));
        }
        ui.ctx().set_cursor_icon(egui::CursorIcon::PointingHand);
        let mut words = vec![link.sentence()];
        words.extend(
            flows(&picture, link.a, link.b, scene.now)
                .into_iter()
                .map(|flow| flow.words),
        );
        gutter.on_hover_text_at_pointer(words.join("\n"));
    }
}

fn nearest(drawn: &[(Link, Curve)], at: Pos2) -> Option<usize> {
    let distances = drawn
        .iter()
        .map(|(_, curve)| curve.distance(at))
        .enumerate();
    let near = distances.filter(|(_, distance)| *distance <= measure::REACH);
    near.min_by(|a, b| a.1.total_cmp(&b.1)).map(|(nth, _)| nth)
}

/// The keyboard's and the screen reader's way to a link: a place in its middle.
fn answer(
    ui: &Ui,
    scene: &mut Scene<'_>,
    link: &Link,
    curve: &Curve,
    flows: &[Flow],
    chosen: bool,
) {
    let middle = Rect::from_center_size(curve.at(0.5), Vec2::splat(space::M));
    let response = ui.interact(
        middle,
        ui.scope_id().with(("link", link.a.0, link.b.0)),
        Sense::click(),
    );
    response.widget_info(|| {
        let mut words = vec![link.sentence()];
        words.extend(flows.iter().map(|flow| flow.words.clone()));
        WidgetInfo::selected(Role::ListBoxOption, true, chosen, words.join(". "))
    });
    if response.clicked() {
        scene.state.select(Selection::Link(link.a, link.b));
    }
    crate::app::widgets::focus_ring(ui, &response, middle);
}

fn color(look: Look, theme: &Theme) -> Color32 {
    match look {
        Look::Good | Look::Down => theme.faint,
        Look::Slow => theme.warning,
        Look::Cut => theme.bad,
    }
}

/// Good is a line, slow two lines, cut dashes with a cross, and one whose broker is away dots.
pub fn line(ui: &Ui, link: &Link, curve: &Curve, strong: bool, many: bool) {
    let theme = Theme::of(ui);
    let look = link.look();
    let painter = ui.painter();
    // Between many brokers what is well steps back, so that what is not can be seen.
    let quiet = many && !strong && matches!(look, Look::Good | Look::Down);
    let color = if quiet {
        theme.line
    } else {
        color(look, theme)
    };
    if strong {
        let glow = Stroke::new(size::LINE_STRONG * 2.0, theme.selected);
        painter.add(Shape::line(curve.points.clone(), glow));
    }
    let stroke = Stroke::new(
        if strong {
            size::LINE_STRONG
        } else {
            size::LINE
        },
        color,
    );
    match look {
        Look::Good => {
            painter.add(Shape::line(curve.points.clone(), stroke));
        }
        Look::Down => painter.extend(Shape::dotted_line(&curve.points, color, 5.0, 0.8)),
        Look::Slow => {
            for side in [-1.5, 1.5] {
                let shifted = curve.points.iter().map(|point| *point + vec2(side, 0.0));
                painter.add(Shape::line(shifted.collect(), stroke));
            }
        }
        Look::Cut => {
            let stroke = Stroke::new(size::LINE_STRONG * 0.75, color);
            painter.extend(Shape::dashed_line(&curve.points, stroke, 5.0, 5.0));
            for share in crosses(link) {
                cross(ui, curve.at(share), color);
            }
        }
    }
}

/// Where nothing gets through: in front of each end that nothing reaches.
fn crosses(link: &Link) -> Vec<f32> {
    let ends = [(link.back.cut, 0.18), (link.there.cut, 0.82)];
    ends.iter()
        .filter(|(cut, _)| *cut)
        .map(|(_, share)| *share)
        .collect()
}

fn cross(ui: &Ui, at: Pos2, color: Color32) {
    let stroke = Stroke::new(size::LINE_STRONG, color);
    let arm = space::XS;
    for (x, y) in [(arm, arm), (arm, -arm)] {
        ui.painter()
            .line_segment([at - vec2(x, y), at + vec2(x, y)], stroke);
    }
}

/// What is wrong with a link; the place below that.
fn label(ui: &Ui, link: &Link, curve: &Curve) -> Option<Pos2> {
    let text = link.label()?;
    let theme = Theme::of(ui);
    let color = color(link.look(), theme);
    let galley = ui
        .painter()
        .layout_no_wrap(text, theme::small_heading(), color);
    let rect = Align2::CENTER_CENTER.anchor_size(curve.at(0.5), galley.size());
    ui.painter().rect_filled(
        rect.expand2(vec2(space::XS, 1.0)),
        f32::from(theme::radius::SMALL),
        theme.window,
    );
    ui.painter().galley(rect.min, galley, color);
    Some(rect.center_bottom())
}

/// The way back from what is wrong with a link.
fn heal(ui: &Ui, scene: &mut Scene<'_>, link: &Link, below: Pos2) {
    let offer = faults::heal_link(scene.picture, link.a, link.b);
    let Some(offer) = offer.filter(|_| scene.abilities.break_things) else {
        return;
    };
    let theme = Theme::of(ui);
    let painter = ui.painter();
    let text = offer.short.clone();
    let galley = painter.layout_no_wrap(text, theme::small(), theme.accent);
    let room = galley.size() + vec2(2.0 * space::S, space::XS);
    let rect = Align2::CENTER_TOP.anchor_size(below + vec2(0.0, space::XS), room);
    let id = ui.scope_id().with(("heal", link.a.0, link.b.0));
    let button = ui.interact(rect, id, Sense::click());
    button.widget_info(|| WidgetInfo::labeled(Role::Button, true, &offer.name));
    let ground = match button.hovered() {
        true => theme.hover,
        false => theme.card,
    };
    let round = f32::from(theme::radius::CONTROL);
    painter.rect(rect, round, ground, theme.hairline(), StrokeKind::Inside);
    painter.galley(rect.center() - galley.size() / 2.0, galley, theme.accent);
    crate::app::widgets::focus_ring(ui, &button, rect);
    if button.clicked() {
        faults::perform(scene, &offer);
    }
}

/// Each kind of request as an arrow that points where it goes: full while only its asker tells of it, hollow where
/// it arrived and waits.
fn requests(ui: &Ui, link: &Link, curve: &Curve, flows: &[Flow]) {
    let mut there = [0_usize; 2];
    for flow in flows {
        let back = flow.from != link.a;
        let nth = there[usize::from(back)] as f32;
        there[usize::from(back)] += 1;
        let share = match flow.arrived {
            true => ARRIVED - nth * APART,
            false => 0.6 - nth * APART,
        };
        let share = if back { 1.0 - share } else { share };
        request(ui, curve, share, back, flow.arrived);
    }
}

/// An arrow at a share of the way, pointing along the curve or `back`.
pub fn request(ui: &Ui, curve: &Curve, share: f32, back: bool, arrived: bool) {
    let along = curve.direction(share) * if back { -1.0 } else { 1.0 };
    let at = curve.at(share);
    let side = along.rot90() * (measure::REQUEST * 0.7);
    let tip = at + along * measure::REQUEST;
    let foot = at - along * (measure::REQUEST * 0.6);
    let corners = vec![tip, foot + side, foot - side];
    let (fill, stroke) = request_ink(arrived, Theme::of(ui));
    ui.painter()
        .add(Shape::convex_polygon(corners, fill, stroke));
}

/// Requests that happened: a dot on its way along the curve or `back`, with how many it stands for. Where motion is
/// to be reduced the whole wire lights up instead.
pub fn flight(ui: &Ui, scene: &Scene<'_>, curve: &Curve, flight: &Flight, back: bool) {
    let theme = Theme::of(ui);
    if scene.state.remembered.reduce_motion {
        let stroke = Stroke::new(size::LINE_STRONG, theme.accent);
        ui.painter().add(Shape::line(curve.points.clone(), stroke));
        return;
    }
    let share = flight.share(scene.wall);
    let at = curve.at(if back { 1.0 - share } else { share });
    ui.painter()
        .circle_filled(at, size::DOT * 0.75, theme.accent);
    if flight.count > 1 {
        let text = format!("×{}", format::count(flight.count));
        let beside = at + vec2(space::S, -space::S);
        ui.painter().text(
            beside,
            Align2::LEFT_CENTER,
            text,
            theme::mono_small(),
            theme.muted,
        );
    }
}

/// Fill and edge of a request: hollow where it arrived and waits.
pub fn request_ink(arrived: bool, theme: &Theme) -> (Color32, Stroke) {
    match arrived {
        true => (theme.window, Stroke::new(size::LINE, theme.muted)),
        false => (theme.text, Stroke::NONE),
    }
}
