//! One event of the timeline.

use egui::Ui;

use super::{gone, header};
use crate::app::scene::Scene;
use crate::app::shell::concerns;
use crate::app::theme::space;
use crate::app::{format, widgets};

pub fn draw(ui: &mut Ui, scene: &mut Scene<'_>, number: u64) {
    let found = scene
        .picture
        .events
        .binary_search_by_key(&number, |event| event.number)
        .ok();
    let Some(event) = found.map(|index| &scene.picture.events[index]) else {
        gone(
            ui,
            &format!("Event {number}"),
            "event",
            "This event is too old: it was forgotten.",
        );
        return;
    };
    header(ui, &format!("Event {}", format::count(number)), "event");
    widgets::facts(ui, |facts| {
        facts.mono("When", &format::moment(scene.now, event.time.as_ms()));
        facts.text("Told by", &event.reporter());
    });
    widgets::divider(ui);
    widgets::paragraph(ui, &event.kind.sentence());
    let about = concerns(scene.picture, event);
    let Some(place) = about.subject() else {
        return;
    };
    ui.add_space(space::S);
    if widgets::button(ui, &format!("Select {place}")).clicked() {
        scene.state.select(about);
    }
}
