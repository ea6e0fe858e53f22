//! Topics: the list of all, and one topic's page with its log lanes, records, segments and settings.
//!
//! Guarantees: what a frame costs depends on what is visible, not on how many topics or records there
//! are. Asks pictures only for the records that are drawn.

use egui::{Key, Ui};

pub use page::stepped;
pub use records_query::parse_time;

use super::View;
use crate::app::actions::{Action, Keys};
use crate::app::scene::Scene;
use crate::app::state::{LaneMove, TopicTab, ViewKey};

mod config;
mod list;
mod log;
mod log_tooltip;
mod page;
mod records;
mod records_query;
mod segments;

/// The Topics view.
#[derive(Default)]
pub struct Topics {
    list: list::TopicList,
    page: page::TopicPage,
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
            .filter(|topic| internal || !topic.internal)
            .count();
        crate::app::format::count(shown as u64)
    }

    fn draw(&mut self, ui: &mut Ui, scene: &mut Scene<'_>) {
        let open = scene.state.open_topic.clone();
        match open.as_deref().and_then(|name| scene.topic(name)) {
            Some(topic) => self.page.draw(ui, scene, &topic),
            None => {
                // A topic deleted while its page was open leaves its list entry's place.
                scene.state.open_topic = None;
                self.page.close(scene);
                self.list.draw(ui, scene);
            }
        }
    }

    fn hidden(&mut self, scene: &mut Scene<'_>) {
        self.page.hidden(scene);
    }

    fn actions(&self) -> &'static [Action] {
        ACTIONS
    }
}

const GROUP: &str = "Topics";

/// What the keyboard and the palette do here.
const ACTIONS: &[Action] = &[
    Action {
        name: "Follow the log end",
        group: GROUP,
        keys: Some(Keys::plain(Key::F)),
        can: shows_log,
        run: |scene| scene.state.lane_move = Some(LaneMove::Follow),
    },
    Action {
        name: "Show whole logs",
        group: GROUP,
        keys: Some(Keys::plain(Key::A)),
        can: shows_log,
        run: |scene| scene.state.lane_move = Some(LaneMove::Fit),
    },
    Action {
        name: "Zoom in",
        group: GROUP,
        keys: Some(Keys::plain(Key::Plus)),
        can: shows_log,
        run: |scene| scene.state.lane_move = Some(LaneMove::ZoomIn),
    },
    Action {
        name: "Zoom out",
        group: GROUP,
        keys: Some(Keys::plain(Key::Minus)),
        can: shows_log,
        run: |scene| scene.state.lane_move = Some(LaneMove::ZoomOut),
    },
    Action {
        name: "Earlier offsets",
        group: GROUP,
        keys: Some(Keys::plain(Key::ArrowLeft)),
        can: shows_log,
        run: |scene| scene.state.lane_move = Some(LaneMove::Earlier),
    },
    Action {
        name: "Later offsets",
        group: GROUP,
        keys: Some(Keys::plain(Key::ArrowRight)),
        can: shows_log,
        run: |scene| scene.state.lane_move = Some(LaneMove::Later),
    },
    Action {
        name: "Next row",
        group: GROUP,
        keys: Some(Keys::plain(Key::ArrowDown)),
        can: shows_rows,
        run: |scene| scene.state.row_step = 1,
    },
    Action {
        name: "Previous row",
        group: GROUP,
        keys: Some(Keys::plain(Key::ArrowUp)),
        can: shows_rows,
        run: |scene| scene.state.row_step = -1,
    },
    Action {
        name: "Open the selected topic",
        group: GROUP,
        keys: Some(Keys::plain(Key::Enter)),
        can: |scene| scene.state.open_topic.is_none() && scene.state.selection.topic().is_some(),
        run: |scene| {
            if let Some(topic) = scene.state.selection.topic().map(str::to_owned) {
                scene.state.open_topic(&topic);
            }
        },
    },
    Action {
        name: "Log tab",
        group: GROUP,
        keys: None,
        can: shows_topic,
        run: |scene| page::show_tab(scene, TopicTab::Log),
    },
    Action {
        name: "Records tab",
        group: GROUP,
        keys: None,
        can: shows_topic,
        run: |scene| page::show_tab(scene, TopicTab::Records),
    },
    Action {
        name: "Segments tab",
        group: GROUP,
        keys: None,
        can: shows_topic,
        run: |scene| page::show_tab(scene, TopicTab::Segments),
    },
    Action {
        name: "Config tab",
        group: GROUP,
        keys: None,
        can: shows_topic,
        run: |scene| page::show_tab(scene, TopicTab::Config),
    },
];

/// The list of topics, of records or of segments is in sight.
fn shows_rows(scene: &Scene<'_>) -> bool {
    matches!(
        scene.state.tab(),
        None | Some(TopicTab::Records | TopicTab::Segments)
    )
}

fn shows_topic(scene: &Scene<'_>) -> bool {
    scene.state.open_topic.is_some()
}

fn shows_log(scene: &Scene<'_>) -> bool {
    scene.state.tab() == Some(TopicTab::Log)
}
