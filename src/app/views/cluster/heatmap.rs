//! A card with more replicas than have room for bars: a tile each, by topic. Shape and colour are the replica's role;
//! of those that are well the brightness is what the log takes on disk, compared with the largest in sight.
//!
//! Disk, because it is what brokers run out of, and a replica is moved for it: which logs are large, and on which
//! broker they lie, is what one looks at thousands of partitions for. That a replica lags is its role.

use egui::{
    EventFilter, Key, Modifiers, Rect, Response, Role, Sense, Ui, Vec2, WidgetInfo, pos2, vec2,
};

use super::card::Card;
use super::layout::heatmap_body;
use super::rows::Row;
use super::tiles::{Grid, beside};
use crate::app::format;
use crate::app::replicas::ReplicaRole;
use crate::app::scene::Scene;
use crate::app::state::Selection;
use crate::app::theme::{self, Theme, cluster as measure, size};
use crate::app::widgets;
use crate::app::widgets::lane::{Form, HEAT_LEVELS, Ink, Quad};
use crate::ids::BrokerId;
use crate::inspect::{BrokerSnapshot, ClusterSnapshot};

/// Replicas that are not well which a card's text alternative names one by one.
const DESCRIBED: usize = 24;
/// Logs it names that are the largest of the broker.
const LARGEST: usize = 3;

/// What the log of a replica takes on disk, bytes.
pub fn log_bytes(row: &Row<'_>) -> u64 {
    // A leader's log is what is told of the partition.
    let told = row.replica.size.map(|size| size.bytes);
    told.unwrap_or(row.partition.bytes)
}

/// Replicas of each topic, in the order of the rows.
pub fn by_topic(rows: &[Row<'_>]) -> Vec<usize> {
    let topics = rows.chunk_by(|a, b| a.topic == b.topic);
    topics.map(<[Row<'_>]>::len).collect()
}

/// Whether the keyboard is on one of the heatmaps: arrows move from tile to tile.
pub fn has_keyboard(ctx: &egui::Context, picture: &ClusterSnapshot) -> bool {
    let focused = ctx.memory(egui::Memory::focused);
    let mut brokers = picture.brokers.iter();
    focused.is_some_and(|focused| brokers.any(|broker| id(broker.id) == focused))
}

fn id(broker: BrokerId) -> egui::Id {
    egui::Id::unique(("heatmap of broker", broker.0))
}

/// Draws the tiles of a card and takes clicks and keys on them.
pub fn draw(card: &Card<'_>, ui: &Ui, scene: &mut Scene<'_>, grid: &Grid) {
    let body = heatmap_body(card.rect);
    let topics = by_topic(card.rows);
    let tiles = grid.tiles(body, &topics);
    let response = ui.interact(body, id(card.broker.id), Sense::click_and_drag());
    response.widget_info(|| {
        WidgetInfo::labeled(
            Role::Image,
            true,
            describe(card.broker, card.rows, card.passed_ms),
        )
    });
    // A drag is known as one only once the pointer has left where it began.
    let began = ui.input(|input| input.pointer.press_origin());
    let pointer = began.or(response.hover_pos());
    let hit = pointer.and_then(|at| tiles.iter().position(|tile| tile.expand(0.5).contains(at)));
    names(card, ui, scene, grid, &topics);
    let mut quads = Vec::with_capacity(tiles.len() * 2);
    let mut marked = Vec::new();
    let selected = scene.state.selection.partition();
    for (row, tile) in card.rows.iter().zip(&tiles) {
        if scene.state.selection.topic() == Some(row.topic) {
            match selected {
                None => quads.push(quad(tile.expand(1.0), Ink::Chosen, Form::Filled)),
                Some(index) if index == row.partition.index => {
                    marked.push(quad(
                        tile.expand(size::LINE_STRONG),
                        Ink::Selected,
                        Form::Outline,
                    ));
                }
                Some(_) => {}
            }
        }
        let share = log_bytes(row) as f64 / card.largest.max(1) as f64;
        shape(&mut quads, shown_as(row), level(share), *tile);
    }
    if let Some(nth) = hit {
        marked.push(quad(
            tiles[nth].expand(size::LINE),
            Ink::Pointed,
            Form::Outline,
        ));
    }
    quads.append(&mut marked);
    card.paint(ui, &quads, 1.0);
    widgets::focus_ring(ui, &response, body.expand(size::LINE_STRONG));
    keys(card, ui, scene, &tiles, &response);
    if let Some(row) = hit.map(|nth| &card.rows[nth]) {
        card.chosen(scene, row, &response);
        let text = format!(
            "{}, {} on disk",
            row.sentence(card.passed_ms),
            format::bytes(log_bytes(row))
        );
        response.on_hover_text_at_pointer(text);
    }
}

/// The role a tile shows: who is away from a partition that nobody leads is what is wrong with it.
fn shown_as(row: &Row<'_>) -> (ReplicaRole, Ink) {
    let ink = match (row.role, row.partition.leader) {
        (ReplicaRole::Offline, None) => ReplicaRole::Failed,
        (role, _) => role,
    };
    (row.role, Ink::Replica(ink))
}

/// The names of the topics above their blocks, as far as they have room.
fn names(card: &Card<'_>, ui: &Ui, scene: &Scene<'_>, grid: &Grid, topics: &[usize]) {
    if grid.names() == 0.0 {
        return;
    }
    let theme = Theme::of(ui);
    let blocks = grid.blocks(heatmap_body(card.rect), topics);
    let named = card.rows.chunk_by(|a, b| a.topic == b.topic);
    for (block, rows) in blocks.iter().zip(named) {
        let topic = rows[0].topic;
        let chosen = scene.state.selection.topic() == Some(topic);
        let ink = if chosen { theme.text } else { theme.muted };
        if block.width() >= measure::TILE_NAME {
            let name = widgets::elided(ui, topic, theme::small(), ink, block.width());
            ui.painter().galley(block.min - vec2(0.0, 2.0), name, ink);
        }
    }
}

fn quad(rect: Rect, ink: Ink, form: Form) -> Quad {
    Quad { rect, ink, form }
}

/// The level of a share of the largest log: 0 only for an empty one.
fn level(share: f64) -> u8 {
    let top = HEAT_LEVELS - 1;
    ((share * f64::from(top)).ceil() as u8).min(top)
}

/// A replica as a tile: full where it leads, framed where it is in sync. What is not well has its health's colour, and
/// a part of a tile, each another. Tiles too small for a frame have a part, too.
pub fn shape(quads: &mut Vec<Quad>, (role, ink): (ReplicaRole, Ink), level: u8, tile: Rect) {
    let (half, side) = (tile.size() / 2.0, tile.width());
    let part = |corner: Vec2, size: Vec2| Rect::from_min_size(tile.min + corner, size);
    let lower = part(vec2(0.0, half.y), vec2(side, half.y));
    if side >= measure::TILE_MARKED && !matches!(role, ReplicaRole::Leader | ReplicaRole::InSync) {
        quads.push(quad(tile, ink, Form::of_replica(role)));
    }
    let log = |inside| Ink::Log { level, inside };
    match role {
        ReplicaRole::Leader => quads.push(quad(tile, log(false), Form::Filled)),
        ReplicaRole::InSync if side < measure::TILE_FRAMED => {
            quads.push(quad(lower, log(false), Form::Filled));
        }
        ReplicaRole::InSync => {
            quads.push(quad(tile, log(false), Form::Filled));
            quads.push(quad(tile.shrink(size::LINE), log(true), Form::Filled));
        }
        ReplicaRole::OutOfSync => {
            let left = part(Vec2::ZERO, vec2(half.x, side));
            quads.push(quad(left, ink, Form::Filled));
        }
        ReplicaRole::Adding => {
            let corner = part(vec2(0.0, half.y), half);
            quads.push(quad(corner, ink, Form::Filled));
        }
        ReplicaRole::Offline => {
            let dot = Rect::from_center_size(tile.center(), Vec2::splat((side / 3.0).max(1.0)));
            quads.push(quad(dot, ink, Form::Filled));
        }
        ReplicaRole::Unknown => {
            let upper = part(Vec2::ZERO, vec2(side, half.y));
            quads.push(quad(upper, ink, Form::Filled));
        }
        ReplicaRole::Failed if side < measure::TILE_MARKED => {
            quads.push(quad(tile, ink, Form::Struck));
        }
        ReplicaRole::Failed => {}
    }
}

/// Moves the selection from tile to tile, and opens its topic.
fn keys(card: &Card<'_>, ui: &Ui, scene: &mut Scene<'_>, tiles: &[Rect], response: &Response) {
    if !response.has_focus() {
        return;
    }
    let filter = EventFilter {
        horizontal_arrows: true,
        vertical_arrows: true,
        ..EventFilter::default()
    };
    ui.memory_mut(|memory| memory.set_focus_lock_filter(response.id, filter));
    let Selection::Partition(topic, index) = &scene.state.selection else {
        if let Some(first) = card.rows.first().filter(|_| pressed(ui).is_some()) {
            select(scene, first);
        }
        return;
    };
    let is = |row: &Row<'_>| row.topic == topic && row.partition.index == *index;
    let at = card.rows.iter().position(is);
    if let Some(direction) = pressed(ui) {
        let next = at.map_or(Some(0), |at| beside(tiles, at, direction));
        if let Some(row) = next.and_then(|next| card.rows.get(next)) {
            select(scene, row);
        }
    } else if ui.input_mut(|input| input.consume_key(Modifiers::NONE, Key::Enter)) {
        let topic = topic.clone();
        scene.state.open_topic(&topic);
    }
}

fn pressed(ui: &Ui) -> Option<Vec2> {
    let arrows = [
        (Key::ArrowLeft, vec2(-1.0, 0.0)),
        (Key::ArrowRight, vec2(1.0, 0.0)),
        (Key::ArrowUp, vec2(0.0, -1.0)),
        (Key::ArrowDown, vec2(0.0, 1.0)),
    ];
    let mut taken = arrows
        .into_iter()
        .filter(|(key, _)| ui.input_mut(|input| input.consume_key(Modifiers::NONE, *key)));
    taken.next().map(|(_, direction)| direction)
}

fn select(scene: &mut Scene<'_>, row: &Row<'_>) {
    let partition = Selection::Partition(row.topic.to_owned(), row.partition.index);
    scene.state.select(partition);
}

/// The heatmap in words: how many replicas of which role, the largest logs, and what is not well one by one.
fn describe(broker: &BrokerSnapshot, rows: &[Row<'_>], passed_ms: u64) -> String {
    let roles =
        ReplicaRole::ALL.map(|role| (role, rows.iter().filter(|row| row.role == role).count()));
    let roles: Vec<String> = roles
        .iter()
        .filter(|(_, number)| *number > 0)
        .map(|(role, number)| format!("{} {}", format::count(*number as u64), role.word()))
        .collect();
    let mut text = format!(
        "Heatmap of broker {}, {} of {}: {}.",
        broker.id,
        format::counted(rows.len() as u64, "replica"),
        format::counted(by_topic(rows).len() as u64, "topic"),
        roles.join(", ")
    );
    let mut largest: Vec<&Row<'_>> = rows.iter().filter(|row| log_bytes(row) > 0).collect();
    largest.sort_by_key(|row| std::cmp::Reverse(log_bytes(row)));
    let largest = largest.iter().take(LARGEST);
    let largest: Vec<String> = largest
        .map(|row| format!("{} {}", row.name(), format::bytes(log_bytes(row))))
        .collect();
    if !largest.is_empty() {
        text.push_str(&format!(" Largest on disk: {}.", largest.join(", ")));
    }
    let well = |row: &&Row<'_>| matches!(row.role, ReplicaRole::Leader | ReplicaRole::InSync);
    for row in rows.iter().filter(|row| !well(row)).take(DESCRIBED) {
        text.push_str(&format!(" {}.", row.sentence(passed_ms)));
    }
    text
}

/// The tiles of the legend: small ones are drawn as the small ones are.
pub fn mark(quads: &mut Vec<Quad>, role: ReplicaRole, grid: &Grid, rect: Rect) {
    let side = rect.height().min(rect.width());
    let tile = Rect::from_min_size(rect.min, Vec2::splat(side));
    if grid.pitch - 1.0 < measure::TILE_FRAMED && role == ReplicaRole::InSync {
        let log = Ink::Log {
            level: HEAT_LEVELS - 1,
            inside: false,
        };
        let lower = Rect::from_min_max(pos2(tile.left(), tile.center().y), tile.max);
        quads.push(quad(lower, log, Form::Filled));
        return;
    }
    shape(quads, (role, Ink::Replica(role)), HEAT_LEVELS - 1, tile);
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The rectangles of a role's tile as numbers, without their inks.
    fn forms(role: ReplicaRole, side: f32) -> Vec<(i32, i32, i32, i32, Form)> {
        let mut quads = Vec::new();
        let tile = Rect::from_min_size(pos2(0.0, 0.0), Vec2::splat(side));
        shape(&mut quads, (role, Ink::Replica(role)), 5, tile);
        let tenths = |x: f32| (x * 10.0) as i32;
        let whole = |q: &Quad| {
            let r = q.rect;
            (
                tenths(r.left()),
                tenths(r.top()),
                tenths(r.right()),
                tenths(r.bottom()),
                q.form,
            )
        };
        quads.iter().map(whole).collect()
    }

    #[test]
    fn no_two_roles_have_the_same_shape_at_any_size() {
        for side in [2.0, 3.0, 4.0, 7.0, 13.0, 25.0] {
            for (nth, role) in ReplicaRole::ALL.iter().enumerate() {
                assert!(!forms(*role, side).is_empty(), "{role:?} at {side}");
                for other in &ReplicaRole::ALL[nth + 1..] {
                    assert_ne!(
                        forms(*role, side),
                        forms(*other, side),
                        "{role:?}, {other:?} at {side}"
                    );
                }
            }
        }
    }

    #[test]
    fn only_an_empty_log_is_level_zero() {
        for (share, expected) in [(0.0, 0), (0.000_1, 1), (0.5, 5), (1.0, 9), (7.0, 9)] {
            assert_eq!(level(share), expected, "{share}");
        }
    }
}
