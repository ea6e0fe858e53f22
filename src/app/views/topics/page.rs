//! One topic's page: its facts and actions, and the tabs below.

use std::sync::Arc;

use egui::{Align, Layout, Ui};

use super::config::ConfigTab;
use super::log::LogTab;
use super::records::RecordsTab;
use super::segments::SegmentsTab;
use crate::app::format;
use crate::app::scene::Scene;
use crate::app::state::{Dialog, Selection, TopicTab};
use crate::app::theme::{self, Theme, space};
use crate::app::widgets::{button, danger_button, elided, muted, primary_button, tabs};
use crate::inspect::{Command, TopicSnapshot};

/// What each tab keeps from frame to frame.
#[derive(Default)]
pub struct TopicPage {
    shown: Option<String>,
    log: LogTab,
    records: RecordsTab,
    segments: SegmentsTab,
    config: ConfigTab,
}

impl TopicPage {
    /// Draws the page into the rest of the space.
    pub fn draw(&mut self, ui: &mut Ui, scene: &mut Scene<'_>, topic: &Arc<TopicSnapshot>) {
        if self.shown.as_deref() != Some(&topic.name) {
            self.close(scene);
            self.shown = Some(topic.name.clone());
        }
        head(ui, scene, topic);
        let mut choices = scene.state.choices(&topic.name);
        let all = [
            (TopicTab::Log, "Log".to_owned()),
            (TopicTab::Records, "Records".to_owned()),
            (TopicTab::Segments, "Segments".to_owned()),
            (TopicTab::Config, "Config".to_owned()),
        ];
        let line = ui
            .horizontal(|ui| {
                if tabs(ui, &mut choices.tab, &all) {
                    scene.state.set_choices(&topic.name, choices.clone());
                }
                if choices.tab == TopicTab::Log {
                    let hint = self.log.hint(topic);
                    ui.with_layout(Layout::right_to_left(Align::Center), |ui| {
                        let color = Theme::of(ui).muted;
                        let room = ui.available_width();
                        let galley = elided(ui, &hint, theme::small(), color, room);
                        ui.add(egui::Label::new(galley));
                    });
                }
            })
            .response
            .rect;
        let across = ui.max_rect().x_range();
        ui.painter()
            .hline(across, line.bottom(), Theme::of(ui).hairline());
        ui.add_space(space::XS);
        match choices.tab {
            TopicTab::Log => self.log.draw(ui, scene, topic),
            TopicTab::Records => self.records.draw(ui, scene, topic),
            TopicTab::Segments => self.segments.draw(ui, scene, topic),
            TopicTab::Config => self.config.draw(ui, scene, topic),
        }
        if choices.tab != TopicTab::Records {
            self.records.leave(scene);
        }
    }

    /// Ends the search while another view is shown.
    pub fn hidden(&mut self, scene: &mut Scene<'_>) {
        self.records.leave(scene);
    }

    /// Forgets the topic shown so far and ends its search.
    pub fn close(&mut self, scene: &mut Scene<'_>) {
        if self.shown.is_none() {
            return;
        }
        self.records.leave(scene);
        *self = TopicPage::default();
    }
}

/// Opens another tab of the open topic.
pub fn show_tab(scene: &mut Scene<'_>, tab: TopicTab) {
    if let Some(topic) = scene.state.open_topic.clone() {
        let mut choices = scene.state.choices(&topic);
        choices.tab = tab;
        scene.state.set_choices(&topic, choices);
    }
}

/// The row to select when the selection moves by `step` among `count` rows (at least one).
pub fn stepped(selected: Option<usize>, step: i32, count: usize) -> usize {
    let last = count.saturating_sub(1);
    match selected {
        None if step < 0 => last,
        None => 0,
        Some(at) => at.saturating_add_signed(step as isize).min(last),
    }
}

/// The facts beside the title.
fn facts(topic: &TopicSnapshot) -> String {
    let config = |name: &str| {
        topic
            .configs
            .iter()
            .find(|config| config.name == name)
            .map(|config| config.value.as_str())
    };
    let mut facts = vec![
        format::counted(topic.partitions.len() as u64, "partition"),
        format!("replication {}", topic.replication_factor),
    ];
    if topic.replication_factor > 1
        && let Some(least) = config("min.insync.replicas")
    {
        facts.push(format!("min.insync {least}"));
    }
    match config("retention.ms").and_then(|value| value.parse::<i64>().ok()) {
        Some(ms) if ms >= 0 => facts.push(format!(
            "retention {}",
            format::duration_ms(ms.unsigned_abs())
        )),
        Some(_) => facts.push("kept for ever".to_owned()),
        None => {}
    }
    if let Some(policy) = config("cleanup.policy") {
        facts.push(policy.to_owned());
    }
    facts.join(" · ")
}

fn head(ui: &mut Ui, scene: &mut Scene<'_>, topic: &TopicSnapshot) {
    ui.horizontal(|ui| {
        let color = Theme::of(ui).text;
        let name_room = (ui.available_width() * 0.45).max(theme::size::COLUMN_LEAST);
        let name = elided(ui, &topic.name, theme::title(), color, name_room);
        let cut = name.elided;
        let response = ui.add(egui::Label::new(name));
        if cut {
            response.on_hover_text(&topic.name);
        }
        ui.add_space(space::XS);
        ui.with_layout(Layout::right_to_left(Align::Center), |ui| {
            actions(ui, scene, topic);
            ui.with_layout(Layout::left_to_right(Align::Center), |ui| {
                let text = facts(topic);
                let muted_ink = Theme::of(ui).muted;
                let galley = elided(ui, &text, theme::body(), muted_ink, ui.available_width());
                ui.add(egui::Label::new(galley));
            });
        });
    });
    if scene.is_deleting(&topic.name) {
        ui.horizontal(|ui| {
            muted(ui, "This topic is being deleted.");
            if scene.abilities.undo_delete && button(ui, "Undo").clicked() {
                let name = topic.name.clone();
                scene.send(Command::UndoDelete { name });
            }
        });
    }
}

/// The page's buttons, from the right.
fn actions(ui: &mut Ui, scene: &mut Scene<'_>, topic: &TopicSnapshot) {
    if scene.abilities.produce && primary_button(ui, "Produce").clicked() {
        scene.state.produce_into(&topic.name);
    }
    if scene.abilities.produce && button(ui, "Consume").clicked() {
        scene.state.consume_from(&topic.name);
    }
    if !scene.abilities.change_topics {
        return;
    }
    if button(ui, "Add partitions").clicked() {
        scene.state.dialog = Some(Dialog::AddPartitions(topic.name.clone()));
    }
    if button(ui, "Settings").clicked() {
        scene.state.dialog = Some(Dialog::TopicSettings(topic.name.clone()));
    }
    ui.menu_button("More", |ui| {
        if button(ui, "Empty topic").clicked() {
            scene.state.dialog = Some(Dialog::EmptyTopic(topic.name.clone()));
            ui.close();
        }
        if danger_button(ui, "Delete topic").clicked() {
            scene.send(Command::DeleteTopic {
                name: topic.name.clone(),
                now: false,
            });
            scene.state.select(Selection::Nothing);
            scene.state.open_topic = None;
            ui.close();
        }
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_stay_within_the_rows() {
        for (selected, step, count, expected) in [
            (None, 1, 3, 0),
            (None, -1, 3, 2),
            (Some(1), 1, 3, 2),
            (Some(2), 1, 3, 2),
            (Some(0), -1, 3, 0),
            (Some(9), 1, 3, 2),
        ] {
            assert_eq!(stepped(selected, step, count), expected);
        }
    }
}
