//! Dragging a replica from one broker's card to another's: where it may go, what that would do, and why not.
//!
//! A leader dropped on a follower has that one lead; anything else dropped where no replica is opens the dialog that
//! says what is copied. Nothing moves before that is confirmed. The dialogs do the same without a pointer.

use std::sync::Arc;

use egui::{
    Color32, CornerRadius, CursorIcon, DragAndDrop, Pos2, Rect, Shape, Stroke, StrokeKind, Ui, vec2,
};

use super::layout::Layout;
use crate::app::faults;
use crate::app::moves::{self, Dropped, Preview};
use crate::app::notices::Notice;
use crate::app::scene::Scene;
use crate::app::state::Dialog;
use crate::app::theme::{self, Theme, radius, size, space};
use crate::ids::{BrokerId, PartitionIndex};
use crate::inspect::{ClusterSnapshot, Severity};

/// A replica that is being dragged.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Dragged {
    topic: String,
    partition: PartitionIndex,
    from: BrokerId,
}

impl Dragged {
    pub fn new(topic: &str, partition: PartitionIndex, from: BrokerId) -> Dragged {
        Dragged {
            topic: topic.to_owned(),
            partition,
            from,
        }
    }

    fn on(&self, picture: &ClusterSnapshot, to: BrokerId) -> Result<Dropped, String> {
        let place = (self.topic.as_str(), self.partition);
        moves::on_drop(picture, place, self.from, to)
    }

    /// What is dragged, in words.
    fn name(&self, picture: &ClusterSnapshot) -> String {
        let found = moves::find(picture, &self.topic, self.partition);
        let leads = found.is_some_and(|(_, p)| p.leader == Some(self.from));
        let what = if leads { "leader" } else { "replica" };
        format!(
            "{}-{}: the {what} on broker {}",
            self.topic, self.partition, self.from
        )
    }

    /// What dropping it would do, in words.
    fn words(&self, picture: &ClusterSnapshot, to: BrokerId, dropped: &Dropped) -> String {
        let then = match dropped {
            Dropped::Lead(_) => {
                return format!("Broker {to} leads from then on; nothing is copied");
            }
            Dropped::Move(then) => then,
        };
        match moves::find(picture, &self.topic, self.partition) {
            Some((topic, p)) => format!("Copies {}", Preview::of(topic, p, then).copied()),
            None => String::new(),
        }
    }
}

/// Draws where the dragged replica may go, if one is, and takes it when it is dropped.
pub fn draw(ui: &Ui, scene: &mut Scene<'_>, layout: &Layout) {
    let Some(dragged) = DragAndDrop::payload::<Dragged>(ui.ctx()) else {
        return;
    };
    let Some(pointer) = ui.ctx().pointer_interact_pos() else {
        return;
    };
    let picture = scene.picture.clone();
    let mut over = None;
    for (broker, card) in picture.brokers.iter().zip(&layout.cards) {
        if broker.id == dragged.from {
            continue;
        }
        let outcome = dragged.on(&picture, broker.id);
        let hovered = card.contains(pointer);
        mark(ui, *card, outcome.is_ok(), hovered);
        if hovered {
            over = Some((broker.id, outcome));
        }
    }
    ui.ctx().set_cursor_icon(match &over {
        Some((_, Err(_))) => CursorIcon::NotAllowed,
        _ => CursorIcon::Grabbing,
    });
    say(ui, &picture, &dragged, over.as_ref(), pointer);
    if ui.input(|input| input.pointer.any_released()) {
        DragAndDrop::clear_payload(ui.ctx());
        if let Some((_, outcome)) = over {
            drop(scene, &dragged, outcome);
        }
    }
}

/// What can take it has an edge, more so under the pointer; what cannot steps back.
fn mark(ui: &Ui, card: Rect, can: bool, hovered: bool) {
    let theme = Theme::of(ui);
    let corner = CornerRadius::same(radius::CARD);
    if !can {
        let veil = theme.window.gamma_multiply(0.5);
        ui.painter().rect_filled(card, corner, veil);
        return;
    }
    let width = if hovered {
        size::LINE_STRONG
    } else {
        size::LINE
    };
    let edge = Stroke::new(width, theme.accent);
    let fill = match hovered {
        true => theme.accent.gamma_multiply(0.08),
        false => Color32::TRANSPARENT,
    };
    ui.painter()
        .rect(card, corner, fill, edge, StrokeKind::Outside);
}

/// Two lines beside the pointer: what is dragged, and what dropping it here would do.
fn say(
    ui: &Ui,
    picture: &ClusterSnapshot,
    dragged: &Dragged,
    over: Option<&(BrokerId, Result<Dropped, String>)>,
    pointer: Pos2,
) {
    let theme = Theme::of(ui);
    let (words, ink) = match over {
        Some((to, Ok(dropped))) => (dragged.words(picture, *to, dropped), theme.text),
        Some((_, Err(why))) => (format!("Not here: {why}"), theme.warning),
        None => ("Drop it on another broker".to_owned(), theme.muted),
    };
    let lay = |text: String, font, ink| ui.painter().layout_no_wrap(text, font, ink);
    let name = lay(dragged.name(picture), theme::heading(), theme.text);
    let words = lay(words, theme::small(), ink);
    let inner = vec2(
        name.size().x.max(words.size().x),
        name.size().y + words.size().y,
    );
    let margin = vec2(space::S, space::XS);
    let room = ui.ctx().content_rect().shrink(space::S);
    let corner = pointer + vec2(space::M, space::M);
    let corner = corner.min(room.max - inner - margin * 2.0);
    let rect = Rect::from_min_size(corner, inner + margin * 2.0);
    let painter = ui.ctx().layer_painter(egui::LayerId::new(
        egui::Order::Tooltip,
        ui.scope_id().with("dragged"),
    ));
    painter.add(Shape::rect_filled(
        rect,
        CornerRadius::same(radius::CONTROL),
        theme.card,
    ));
    painter.rect_stroke(
        rect,
        CornerRadius::same(radius::CONTROL),
        theme.hairline(),
        StrokeKind::Inside,
    );
    let at = rect.min + margin;
    let below = at + vec2(0.0, name.size().y);
    painter.galley(at, Arc::clone(&name), theme.text);
    painter.galley(below, words, ink);
}

/// Does what the drop means; a move asks first.
fn drop(scene: &mut Scene<'_>, dragged: &Dragged, outcome: Result<Dropped, String>) {
    match outcome {
        Ok(Dropped::Lead(offer)) => faults::perform(scene, &offer),
        Ok(Dropped::Move(then)) => {
            let topic = dragged.topic.clone();
            scene.state.dialog = Some(Dialog::Reassign(topic, dragged.partition, then));
        }
        Err(why) => scene.notices.show(Notice {
            severity: Severity::Warning,
            title: format!("{} stays", dragged.name(scene.picture)),
            text: format!("It cannot be dropped there: {why}."),
            since: scene.wall,
        }),
    }
}
