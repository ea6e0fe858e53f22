//! The dialogs that change a topic: its settings, more partitions, and emptying it.

use std::collections::BTreeMap;

use egui::{DragValue, Label, RichText, ScrollArea, Ui};

use super::{MAX_PARTITIONS, confirm, failure, is_waiting};
use crate::app::scene::Scene;
use crate::app::theme::{self, Theme, size, space};
use crate::app::{format, widgets};
use crate::inspect::{Command, ConfigValue, TopicSnapshot};

/// What is typed in these dialogs.
#[derive(Default)]
pub struct TopicDialogs {
    /// New total of partitions; `None` until the dialog opens.
    total: Option<i32>,
    /// Settings that were changed: `None` goes back to the broker's value.
    changed: BTreeMap<&'static str, Option<String>>,
    filter: String,
}

impl TopicDialogs {
    /// A setting was changed.
    pub fn holds_input(&self) -> bool {
        !self.changed.is_empty()
    }

    pub fn add_partitions(&mut self, ui: &mut Ui, scene: &mut Scene<'_>, name: &str) {
        let Some(topic) = found(ui, scene, name) else {
            return;
        };
        let now = topic.partitions.len() as i32;
        let mut total = self.total.unwrap_or(now + 1);
        widgets::title(ui, &format!("Add partitions to {name}"));
        widgets::facts(ui, |facts| {
            facts.mono("Now", &now.to_string());
            facts.custom("Then", |ui| {
                ui.add(DragValue::new(&mut total).range(now + 1..=MAX_PARTITIONS.max(now + 1)))
                    .accessible_name("Partitions then");
            });
        });
        self.total = Some(total);
        widgets::paragraph(
            ui,
            &format!(
                "Keys move: murmur2(key) mod {now} and mod {total} differ for most keys, so records of one \
                 key will lie in two partitions and their order across them is lost. \
                 Partitions cannot be taken away again."
            ),
        );
        confirm(ui, scene, "Add partitions", false, |scene| {
            scene.send_from_dialog(Command::AddPartitions {
                name: name.to_owned(),
                total,
            });
        });
    }

    pub fn settings(&mut self, ui: &mut Ui, scene: &mut Scene<'_>, name: &str) {
        let Some(topic) = found(ui, scene, name) else {
            return;
        };
        widgets::title(ui, &format!("Settings of {name}"));
        let width = ui.available_width();
        widgets::search_field(ui, &mut self.filter, "Filter settings", width);
        // Of one height however few settings match: a dialog that shrinks puts a click beside itself.
        ScrollArea::vertical()
            .max_height(size::DIALOG_LIST)
            .auto_shrink([false, false])
            .show(ui, |ui| {
                let filter = self.filter.to_lowercase();
                for config in topic.configs.iter() {
                    if filter.is_empty() || config.name.contains(&filter) {
                        self.setting(ui, config);
                    }
                }
            });
        let changed = self.changes(&topic);
        let text = match changed.len() {
            0 => "Nothing changed".to_owned(),
            count => format!("Apply {}", format::counted(count as u64, "change")),
        };
        failure(ui, scene);
        ui.add_space(space::S);
        ui.horizontal(|ui| {
            let can = !changed.is_empty() && !is_waiting(scene);
            if widgets::primary_button_if(ui, can, &text).clicked() {
                scene.send_from_dialog(Command::AlterTopic {
                    name: name.to_owned(),
                    configs: changed,
                });
            }
            if widgets::button(ui, "Cancel").clicked() {
                scene.state.dialog = None;
            }
        });
    }

    fn setting(&mut self, ui: &mut Ui, config: &ConfigValue) {
        let theme = Theme::of(ui);
        ui.horizontal(|ui| {
            let edited = self.changed.get(config.name);
            let set = edited.map_or(config.set, Option::is_some);
            let ink = if set { theme.text } else { theme.muted };
            let cell = egui::vec2(size::CONFIG_NAME, size::CONTROL);
            widgets::name_cell(ui, config.name, theme::mono(), ink, cell).on_hover_text(config.doc);
            let mut value = match edited {
                Some(Some(value)) => value.clone(),
                Some(None) => String::new(),
                None => config.value.clone(),
            };
            let width = ui.available_width() - size::CONFIG_RESET;
            if widgets::text_field(ui, &mut value, config.name, width).changed() {
                self.changed.insert(config.name, Some(value));
            }
            if set {
                let reset = widgets::link(ui, "Broker's value");
                let text = format!("Use the broker's value of {}", config.name);
                reset.widget_info(|| egui::WidgetInfo::labeled(egui::Role::Button, true, &text));
                if reset.clicked() {
                    self.changed.insert(config.name, None);
                }
            } else {
                widgets::small(ui, "broker's value");
            }
        });
    }

    /// What was changed and differs from what is in force.
    fn changes(&self, topic: &TopicSnapshot) -> Vec<(String, Option<String>)> {
        topic
            .configs
            .iter()
            .filter_map(|config| {
                let new = self.changed.get(config.name)?;
                let same = match new {
                    Some(value) => *value == config.value,
                    None => !config.set,
                };
                (!same).then(|| (config.name.to_owned(), new.clone()))
            })
            .collect()
    }
}

/// Asks before every record of a topic is deleted: that cannot be undone.
pub fn empty(ui: &mut Ui, scene: &mut Scene<'_>, name: &str) {
    let Some(topic) = found(ui, scene, name) else {
        return;
    };
    let offsets: i64 = topic
        .partitions
        .iter()
        .map(|partition| partition.high_watermark - partition.log_start)
        .sum();
    widgets::title(ui, &format!("Empty {name}"));
    // No bytes are promised: a file is deleted once it holds nothing but deleted records.
    widgets::paragraph(
        ui,
        &format!(
            "Deletes every record below the high watermark: {}. The topic, its id, its settings and \
             its next offsets stay. This cannot be undone.",
            format::counted(offsets.unsigned_abs(), "offset"),
        ),
    );
    confirm(ui, scene, "Delete all records", true, |scene| {
        scene.send_from_dialog(Command::EmptyTopic {
            name: name.to_owned(),
        });
    });
}

fn found(ui: &mut Ui, scene: &mut Scene<'_>, name: &str) -> Option<std::sync::Arc<TopicSnapshot>> {
    let topic = scene.topic(name);
    if topic.is_none() {
        let theme = Theme::of(ui);
        let text = format!("Topic {name} was deleted.");
        ui.add(Label::new(RichText::new(text).color(theme.muted)));
        if widgets::button(ui, "Close").clicked() {
            scene.state.dialog = None;
        }
    }
    topic
}
