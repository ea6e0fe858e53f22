//! The Timeline view: every event as a sentence, newest first. The text form of the strip below.

use std::sync::Arc;

use egui::{CornerRadius, Role, Sense, Ui, WidgetInfo, pos2, vec2};

use super::View;
use crate::app::scene::Scene;
use crate::app::shell::concerns;
use crate::app::state::{Selection, ViewKey};
use crate::app::theme::{self, Theme, radius, size, space};
use crate::app::{format, widgets};
use crate::inspect::Event;

/// Where the sentence of a row begins, points from its left edge.
const SENTENCE: f32 = 190.0;

/// The Timeline view's filter.
#[derive(Default)]
pub struct Timeline {
    filter: String,
}

impl View for Timeline {
    fn key(&self) -> ViewKey {
        ViewKey::Timeline
    }

    fn name(&self) -> &'static str {
        "Timeline"
    }

    fn live(&self, scene: &Scene<'_>) -> String {
        format::count(scene.picture.event_number)
    }

    fn draw(&mut self, ui: &mut Ui, scene: &mut Scene<'_>) {
        ui.horizontal(|ui| {
            widgets::title(ui, "Timeline");
            ui.add_space(space::S);
            let field = widgets::search_field(ui, &mut self.filter, "Filter events", 240.0);
            if std::mem::take(&mut scene.state.focus_filter) {
                field.request_focus();
            }
        });
        ui.add_space(space::S);
        let picture = scene.picture.clone();
        let wanted = self.filter.to_lowercase();
        let shown: Vec<&Arc<Event>> = picture
            .events
            .iter()
            .rev()
            .filter(|event| {
                wanted.is_empty() || event.kind.sentence().to_lowercase().contains(&wanted)
            })
            .collect();
        if shown.is_empty() {
            let sentence = if picture.events.is_empty() {
                "Nothing has happened yet."
            } else {
                "No event matches the filter."
            };
            widgets::empty(ui, sentence, None);
            return;
        }
        let current = match scene.state.selection {
            Selection::Event(number) => shown.iter().position(|event| event.number == number),
            _ => None,
        };
        let keyed = widgets::rows(
            ui,
            "events",
            shown.len(),
            size::ROW,
            current,
            |ui, index| {
                row(ui, scene, shown[index], current == Some(index));
            },
        );
        if let Some(index) = keyed.moved {
            scene.state.select(Selection::Event(shown[index].number));
        }
        if let (true, Some(index)) = (keyed.opened, current) {
            scene.state.select(concerns(&picture, shown[index]));
        }
    }
}

fn row(ui: &mut Ui, scene: &mut Scene<'_>, event: &Event, selected: bool) {
    let theme = Theme::of(ui);
    let (rect, response) =
        ui.allocate_exact_size(vec2(ui.available_width(), size::ROW), Sense::click());
    let sentence = event.kind.sentence();
    let time = format::date_time(event.time.as_ms());
    response.widget_info(|| {
        WidgetInfo::selected(
            Role::ListBoxOption,
            true,
            selected,
            format!("{time}: {sentence}"),
        )
    });
    if selected || response.hovered() {
        let corner = CornerRadius::same(radius::CONTROL);
        let ground = if selected {
            theme.selected
        } else {
            theme.hover
        };
        ui.painter().rect_filled(rect, corner, ground);
    }
    widgets::focus_ring(ui, &response, rect);
    let y = rect.center().y;
    let text = |x: f32, galley: Arc<egui::Galley>, color| {
        let at = pos2(rect.left() + x, y - galley.size().y / 2.0);
        ui.painter().galley(at, galley, color);
    };
    let when = widgets::elided(ui, &time, theme::mono(), theme.muted, SENTENCE);
    text(space::S, when, theme.muted);
    let room = rect.width() - SENTENCE - 2.0 * space::L;
    let said = widgets::elided(ui, &sentence, theme::body(), theme.text, room);
    let cut = said.elided;
    text(SENTENCE + space::L, said, theme.text);
    let dot = pos2(rect.left() + SENTENCE + space::XS, y);
    let color = theme.severity(event.kind.severity());
    ui.painter().circle_filled(dot, size::DOT, color);
    if response.clicked() {
        scene.state.select(Selection::Event(event.number));
    }
    if response.double_clicked() {
        scene.state.select(concerns(scene.picture, event));
    }
    if cut {
        response.on_hover_text(sentence);
    }
}
