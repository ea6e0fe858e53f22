//! The Topics view: the list of topics with their live rates, and one topic's page.

use egui::{ScrollArea, Ui};

use crate::app::actions::Action;
use crate::app::scene::Scene;
use crate::app::state::{Dialog, Selection, ViewKey};
use crate::app::theme::size;
use crate::app::views::View;
use crate::app::{format, widgets};

/// The list's filter.
#[derive(Default)]
pub struct Topics {
    filter: String,
}

impl View for Topics {
    fn key(&self) -> ViewKey {
        ViewKey::Topics
    }

    fn name(&self) -> &'static str {
        "Topics"
    }

    fn live(&self, scene: &Scene<'_>) -> String {
        let internal = scene.state.remembered.internal_topics;
        let shown = scene
            .picture
            .topics
            .iter()
            .filter(|topic| internal || !topic.internal);
        format::count(shown.count() as u64)
    }

    fn draw(&mut self, ui: &mut Ui, scene: &mut Scene<'_>) {
        if scene.picture.topics.is_empty() {
            let sentence = "No topics yet: one is made when a client writes.";
            if widgets::empty(ui, sentence, Some("Connect a client")) {
                scene.state.dialog = Some(Dialog::Connect);
            }
            return;
        }
        ui.horizontal(|ui| {
            widgets::title(ui, "Topics");
            let field = widgets::search_field(ui, &mut self.filter, "Filter by name", 280.0);
            if std::mem::take(&mut scene.state.focus_filter) {
                field.request_focus();
            }
        });
        let picture = scene.picture.clone();
        let wanted = self.filter.to_lowercase();
        let shown: Vec<_> = picture
            .topics
            .iter()
            .filter(|topic| topic.name.to_lowercase().contains(&wanted))
            .collect();
        ScrollArea::vertical()
            .auto_shrink([false, false])
            .show_rows(ui, size::ROW, shown.len(), |ui, rows| {
                for topic in &shown[rows] {
                    let number = format::rate(scene.topic_rate(topic).0);
                    let row = widgets::Row {
                        name: &topic.name,
                        number: &number,
                        selected: scene.state.selection == Selection::Topic(topic.name.clone()),
                        height: size::ROW,
                        dimmed: scene.is_deleting(&topic.name),
                    };
                    if widgets::row(ui, &row).clicked() {
                        scene.state.select(Selection::Topic(topic.name.clone()));
                    }
                }
            });
    }

    fn actions(&self) -> &'static [Action] {
        &[]
    }
}
