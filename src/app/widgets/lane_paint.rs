//! A lane [`Plan`] on the screen: all its rectangles as one `Mesh`, its few labels as text above.
//!
//! The one place where a lane's inks become colours of the theme. Decides nothing about what is shown.

use egui::{Color32, FontId, Mesh, Painter, Pos2, Rect, Shape, Vec2, pos2, vec2};

use super::lane::{Face, Form, HEAT_LEVELS, Ink, Metrics, Plan, Quad, Text};
use crate::app::replicas::ReplicaRole;
use crate::app::theme::{self, Theme};

/// Points between the strokes of a hatching, in line widths.
const HATCH_PITCH: f32 = 6.0;

/// The lanes' measures on a screen with `pixels_per_point`.
pub fn metrics(pixels_per_point: f32) -> Metrics {
    use theme::lane as l;
    Metrics {
        label_width: l::LABEL_WIDTH,
        axis_height: l::AXIS_HEIGHT,
        tick_apart: l::TICK_APART,
        end_margin: l::END_MARGIN,
        row_least: l::ROW_LEAST,
        row_most: l::ROW_MOST,
        cell: l::CELL,
        cell_most: l::CELL_MOST,
        cell_height: l::CELL_HEIGHT,
        cell_least: l::CELL_LEAST,
        cell_round: l::CELL_ROUND,
        cell_glyph: l::CELL_GLYPH,
        bracket: l::BRACKET,
        strip: l::STRIP,
        strip_pitch: l::STRIP_PITCH,
        text_height: l::TEXT_HEIGHT,
        mono_char: l::MONO_CHAR,
        bar_row: l::BAR_ROW,
        bar_height: l::BAR_HEIGHT,
        heat: l::HEAT,
        heat_most: l::HEAT_MOST,
        gap: theme::space::XS,
        line: theme::size::LINE,
        pixel: 1.0 / pixels_per_point.max(1.0),
    }
}

/// Paints the plan: one mesh, then the labels.
pub fn paint(painter: &Painter, plan: &Plan, metrics: &Metrics, theme: &Theme) {
    let below_axis = painter.with_clip_rect(
        painter
            .clip_rect()
            .intersect(Rect::everything_below(plan.lanes.top())),
    );
    below_axis.add(Shape::mesh(mesh(&plan.quads, metrics, theme)));
    for text in &plan.texts {
        let on_axis = text.at.y < plan.lanes.top() && text.face == Face::Mono;
        label(if on_axis { painter } else { &below_axis }, text, theme);
    }
}

fn label(painter: &Painter, text: &Text, theme: &Theme) {
    let (font, color) = face(text.face, theme);
    painter.text(text.at, text.align, &text.text, font, color);
}

fn face(face: Face, theme: &Theme) -> (FontId, Color32) {
    match face {
        Face::Name => (theme::heading(), theme.text),
        Face::Small => (theme::small(), theme.muted),
        Face::Mono => (theme::mono_small(), theme.muted),
        Face::Glyph => (theme::small_heading(), theme.on_leader),
        Face::Warning => (theme::small_heading(), theme.warning),
        Face::Trouble => (theme::small_heading(), theme.bad),
    }
}

/// All rectangles as one mesh.
pub fn mesh(quads: &[Quad], metrics: &Metrics, theme: &Theme) -> Mesh {
    let mut mesh = Mesh::default();
    mesh.reserve_triangles(quads.len() * 6);
    mesh.reserve_vertices(quads.len() * 12);
    for quad in quads {
        let color = ink(quad.ink, theme);
        match quad.form {
            Form::Filled => mesh.add_colored_rect(quad.rect, color),
            Form::Round => round(&mut mesh, quad.rect, color, metrics),
            Form::Outline => outline(&mut mesh, quad.rect, color, edge(quad.ink)),
            Form::Struck => {
                outline(&mut mesh, quad.rect, color, theme::size::LINE);
                strike(&mut mesh, quad.rect, color, theme::size::LINE);
            }
            Form::Hatched => hatch(&mut mesh, quad.rect, color, metrics),
            Form::Dashed => dashed(&mut mesh, quad.rect, color),
        }
    }
    mesh
}

/// A shape of the legend.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mark {
    Keys,
    Waiting,
    Watermark,
    Flag,
    Tombstone,
    Control,
    Band,
    Hatched,
    Replica(ReplicaRole),
}

/// Cells shown for "colour = key": hashes whose hues differ.
const MARK_KEYS: [u32; 3] = [5, 7, 4];

/// The room a legend's shape takes.
pub fn mark_size(mark: Mark) -> Vec2 {
    let cells = match mark {
        Mark::Keys => MARK_KEYS.len() as f32,
        Mark::Band | Mark::Hatched | Mark::Replica(_) => 2.0,
        _ => 1.0,
    };
    vec2(theme::lane::CELL * cells, theme::lane::MARK_HEIGHT)
}

/// A pole with its cloth.
fn flag(rect: Rect, metrics: &Metrics) -> Vec<Quad> {
    let pole = vec2(metrics.line * 2.0, rect.height());
    let cloth = vec2(rect.width(), rect.height() * 0.6);
    let part = |size: Vec2| Quad {
        rect: Rect::from_min_size(rect.min, size),
        ink: Ink::Flag { behind: true },
        form: Form::Filled,
    };
    vec![part(pole), part(cloth)]
}

/// Paints one shape of the legend.
pub fn mark(painter: &Painter, rect: Rect, mark: Mark, theme: &Theme) {
    let metrics = metrics(painter.ctx().pixels_per_point());
    let cell = |index: usize, ink: Ink, form: Form| {
        let left = rect.left() + theme::lane::CELL * index as f32;
        let cell = Rect::from_min_max(
            pos2(left, rect.top()),
            pos2(left + theme::lane::CELL - metrics.line, rect.bottom()),
        );
        Quad {
            rect: cell,
            ink,
            form,
        }
    };
    let key = |hash, committed| Ink::Key {
        hue: Some(hash),
        committed,
    };
    let quads = match mark {
        Mark::Keys => MARK_KEYS
            .iter()
            .enumerate()
            .map(|(index, hash)| cell(index, key(*hash, true), Form::Round))
            .collect(),
        Mark::Waiting => vec![cell(0, key(MARK_KEYS[0], false), Form::Round)],
        Mark::Tombstone => vec![cell(0, key(MARK_KEYS[0], true), Form::Struck)],
        Mark::Control => vec![cell(0, Ink::Control { committed: true }, Form::Round)],
        Mark::Watermark => {
            let middle = rect.center().x;
            let tick = Rect::from_x_y_ranges(
                middle - metrics.line..=middle + metrics.line,
                rect.y_range(),
            );
            vec![Quad {
                rect: tick,
                ink: Ink::Watermark,
                form: Form::Filled,
            }]
        }
        Mark::Flag => flag(rect, &metrics),
        Mark::Band => vec![Quad {
            rect: rect.shrink2(vec2(0.0, metrics.line)),
            ink: Ink::Band,
            form: Form::Filled,
        }],
        Mark::Replica(role) => {
            let height = theme::lane::STRIP.min(rect.height());
            let strip = Rect::from_center_size(rect.center(), vec2(rect.width(), height));
            vec![Quad {
                rect: strip,
                ink: Ink::Replica(role),
                form: Form::of_replica(role),
            }]
        }
        Mark::Hatched => vec![Quad {
            rect: rect.shrink2(vec2(0.0, metrics.line)),
            ink: Ink::Waiting,
            form: Form::Hatched,
        }],
    };
    painter.add(Shape::mesh(mesh(&quads, &metrics, theme)));
}

fn ink(ink: Ink, theme: &Theme) -> Color32 {
    match ink {
        Ink::Key { hue, committed } => committed_or_not(theme, theme.key(hue), committed),
        Ink::Control { committed } => committed_or_not(theme, theme.leader, committed),
        Ink::Band => theme.faint,
        Ink::Waiting => theme.muted,
        Ink::Grid => theme.hover,
        Ink::Bracket => theme.faint,
        Ink::Watermark => theme.watermark,
        Ink::Flag { behind: true } => theme.warning,
        Ink::Flag { behind: false } => theme.ok,
        Ink::Epoch => theme.muted,
        Ink::Selected => theme.accent,
        Ink::Cut => theme.offline,
        Ink::Replica(role) => role_color(role, theme),
        Ink::Chosen => theme.selected,
        Ink::Pointed => theme.text,
        Ink::Log { level, inside } => {
            let heat = theme.heat(f32::from(level) / f32::from(HEAT_LEVELS - 1));
            if inside { theme.within(heat) } else { heat }
        }
        Ink::Heat(0) => theme.card,
        Ink::Heat(level) => {
            let share = f32::from(level) / f32::from(HEAT_LEVELS - 1);
            theme.card.lerp_to_gamma(theme.accent, share)
        }
    }
}

/// What a replica is, as the colour of its shape.
pub fn role_color(role: ReplicaRole, theme: &Theme) -> Color32 {
    match role {
        ReplicaRole::Leader => theme.leader,
        ReplicaRole::InSync | ReplicaRole::Adding => theme.muted,
        ReplicaRole::OutOfSync | ReplicaRole::Unknown => theme.warning,
        ReplicaRole::Offline => theme.offline,
        ReplicaRole::Failed => theme.bad,
    }
}

fn committed_or_not(theme: &Theme, color: Color32, committed: bool) -> Color32 {
    if committed {
        color
    } else {
        theme.not_committed(color)
    }
}

fn edge(ink: Ink) -> f32 {
    match ink {
        Ink::Selected => theme::size::LINE_STRONG,
        _ => theme::size::LINE,
    }
}

/// A rectangle without its four corner pixels.
fn round(mesh: &mut Mesh, rect: Rect, color: Color32, metrics: &Metrics) {
    let pixel = metrics.pixel;
    if rect.width() < pixel * 4.0 {
        mesh.add_colored_rect(rect, color);
        return;
    }
    mesh.add_colored_rect(rect.shrink2(vec2(0.0, pixel)), color);
    for top in [rect.top(), rect.bottom() - pixel] {
        let row = Rect::from_min_max(
            pos2(rect.left() + pixel, top),
            pos2(rect.right() - pixel, top + pixel),
        );
        mesh.add_colored_rect(row, color);
    }
}

fn outline(mesh: &mut Mesh, rect: Rect, color: Color32, width: f32) {
    let inner = rect.shrink(width.min(rect.width() / 2.0));
    let sides = [
        Rect::from_min_max(rect.min, pos2(rect.max.x, inner.min.y)),
        Rect::from_min_max(pos2(rect.min.x, inner.max.y), rect.max),
        Rect::from_min_max(
            pos2(rect.min.x, inner.min.y),
            pos2(inner.min.x, inner.max.y),
        ),
        Rect::from_min_max(
            pos2(inner.max.x, inner.min.y),
            pos2(rect.max.x, inner.max.y),
        ),
    ];
    for side in sides {
        mesh.add_colored_rect(side, color);
    }
}

/// An outline of dashes.
fn dashed(mesh: &mut Mesh, rect: Rect, color: Color32) {
    let width = theme::size::LINE;
    // Small shapes have smaller dashes, or they would look like brackets.
    let dash = theme::lane::DASH.min(rect.width() / 5.0).max(width);
    let mut x = rect.left();
    while x < rect.right() {
        let end = (x + dash).min(rect.right());
        for top in [rect.top(), rect.bottom() - width] {
            let side = Rect::from_min_max(pos2(x, top), pos2(end, top + width));
            mesh.add_colored_rect(side, color);
        }
        x += dash * 2.0;
    }
    let upright = dash.min(rect.height() / 5.0).max(width);
    let mut y = rect.top();
    while y < rect.bottom() {
        let end = (y + upright).min(rect.bottom());
        for left in [rect.left(), rect.right() - width] {
            let side = Rect::from_x_y_ranges(left..=left + width, y..=end);
            mesh.add_colored_rect(side, color);
        }
        y += upright * 2.0;
    }
}

/// A stroke from the lower left to the upper right corner.
fn strike(mesh: &mut Mesh, rect: Rect, color: Color32, width: f32) {
    slanted(mesh, rect.left_bottom(), rect.right_top(), color, width);
}

/// Slanted strokes, cut at the rectangle's edges.
fn hatch(mesh: &mut Mesh, rect: Rect, color: Color32, metrics: &Metrics) {
    let (width, height) = (metrics.line, rect.height());
    let pitch = metrics.line * HATCH_PITCH;
    let mut x = rect.left() - (rect.left() + height).rem_euclid(pitch);
    while x < rect.right() + height {
        // The stroke runs from (x, bottom) to (x + height, top).
        let from = (rect.left() - x).max(0.0);
        let to = (rect.right() - x).min(height);
        if from < to {
            slanted(
                mesh,
                pos2(x + from, rect.bottom() - from),
                pos2(x + to, rect.bottom() - to),
                color,
                width,
            );
        }
        x += pitch;
    }
    outline(mesh, rect, color, width);
}

fn slanted(mesh: &mut Mesh, from: Pos2, to: Pos2, color: Color32, width: f32) {
    let side = (to - from).normalized().rot90() * (width / 2.0);
    let first = mesh.vertices.len() as u32;
    for corner in [from + side, from - side, to - side, to + side] {
        mesh.colored_vertex(corner, color);
    }
    mesh.add_triangle(first, first + 1, first + 2);
    mesh.add_triangle(first, first + 2, first + 3);
}
