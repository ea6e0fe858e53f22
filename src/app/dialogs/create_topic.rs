//! The dialog that creates a topic.

use egui::{ComboBox, DragValue, Label, RichText, Ui};

use super::{MAX_PARTITIONS, failure, is_waiting};
use crate::app::scene::Scene;
use crate::app::theme::{self, Theme, size, space};
use crate::app::widgets;
use crate::inspect::Command;

/// What is typed.
pub struct CreateTopic {
    name: String,
    partitions: i32,
    /// `None` until chosen: as many as there are brokers, three at most.
    replication: Option<i16>,
    configs: Vec<(String, String)>,
    /// The name field takes the keyboard once.
    focus: bool,
}

impl Default for CreateTopic {
    fn default() -> Self {
        CreateTopic {
            name: String::new(),
            partitions: 3,
            replication: None,
            configs: Vec::new(),
            focus: true,
        }
    }
}

/// Replicas a new topic gets where there are brokers enough.
const REPLICATION: i16 = 3;

/// Brokers of the cluster, at least one.
fn broker_count(scene: &Scene<'_>) -> i16 {
    i16::try_from(scene.picture.brokers.len().max(1)).unwrap_or(i16::MAX)
}

/// What a replication factor means for who may be lost.
fn survives(replication: i16, brokers: i16) -> String {
    let of = format!("of {brokers} brokers");
    match replication {
        1 => format!("{of}: records live on one broker alone"),
        2 => format!("{of}: one may be lost"),
        more => format!("{of}: {} may be lost", more - 1),
    }
}

/// Configurations offered for a new topic, with a sensible first value. Any other can be set later.
pub const OFFERED: &[(&str, &str)] = &[
    ("retention.ms", "604800000"),
    ("retention.bytes", "-1"),
    ("segment.bytes", "1073741824"),
    ("segment.ms", "604800000"),
    ("max.message.bytes", "1048588"),
    ("message.timestamp.type", "CreateTime"),
    ("index.interval.bytes", "4096"),
    ("min.insync.replicas", "2"),
];

impl CreateTopic {
    /// The name field takes the keyboard. Call when the dialog opens.
    pub fn take_keyboard(&mut self) {
        self.focus = true;
    }

    /// Something was typed.
    pub fn holds_input(&self) -> bool {
        !self.name.is_empty() || !self.configs.is_empty()
    }

    /// The name of the topic that was created; the next one is typed from the beginning.
    pub fn take_created(&mut self) -> String {
        std::mem::take(self).name
    }

    pub fn draw(&mut self, ui: &mut Ui, scene: &mut Scene<'_>) {
        widgets::title(ui, "Create a topic");
        ui.add_space(space::XS);
        let mut enter = false;
        widgets::facts(ui, |facts| {
            facts.custom("Name", |ui| {
                let width = ui.available_width();
                let field = widgets::text_field(ui, &mut self.name, "Topic name", width);
                if std::mem::take(&mut self.focus) {
                    field.request_focus();
                }
                enter = field.lost_focus() && ui.input(|input| input.key_pressed(egui::Key::Enter));
            });
            facts.custom("Partitions", |ui| {
                ui.add(DragValue::new(&mut self.partitions).range(1..=MAX_PARTITIONS))
                    .accessible_name("Number of partitions");
            });
            let brokers = broker_count(scene);
            if brokers == 1 {
                facts.text("Replication", "1: this cluster has one broker");
                return;
            }
            let mut replication = self.replication(brokers);
            facts.custom("Replication", |ui| {
                ui.horizontal(|ui| {
                    let field = DragValue::new(&mut replication).range(1..=brokers);
                    if ui
                        .add(field)
                        .accessible_name("Replication factor")
                        .changed()
                    {
                        self.replication = Some(replication);
                    }
                    widgets::small(ui, &survives(replication, brokers));
                });
            });
        });
        self.draw_configs(ui);
        let refusal = self.refusal(scene);
        if let Some(text) = refusal.as_ref().filter(|_| !self.name.is_empty()) {
            let color = Theme::of(ui).warning;
            ui.add(Label::new(RichText::new(text).color(color)).wrap());
        }
        failure(ui, scene);
        ui.add_space(space::S);
        ui.horizontal(|ui| {
            let can = refusal.is_none() && !is_waiting(scene);
            let create = widgets::primary_button_if(ui, can, "Create topic").clicked();
            if can && (create || enter) {
                self.create(scene);
            }
            if widgets::button(ui, "Cancel").clicked() {
                scene.state.dialog = None;
            }
        });
    }

    fn draw_configs(&mut self, ui: &mut Ui) {
        let mut removed = None;
        for (index, (name, value)) in self.configs.iter_mut().enumerate() {
            ui.horizontal(|ui| {
                let cell = egui::vec2(size::CONFIG_NAME, size::CONTROL);
                widgets::name_cell(ui, name, theme::mono(), Theme::of(ui).text, cell);
                let width = ui.available_width() - size::CONTROL - space::S;
                widgets::text_field(ui, value, name, width);
                let remove = widgets::link(ui, "×");
                let text = format!("Do not set {name}");
                remove.widget_info(|| egui::WidgetInfo::labeled(egui::Role::Button, true, &text));
                if remove.clicked() {
                    removed = Some(index);
                }
            });
        }
        if let Some(index) = removed {
            self.configs.remove(index);
        }
        let free: Vec<_> = OFFERED
            .iter()
            .filter(|(name, _)| !self.configs.iter().any(|(set, _)| set == name))
            .collect();
        if free.is_empty() {
            return;
        }
        ComboBox::from_id_salt("add a setting")
            .selected_text("Add a setting")
            .show_ui(ui, |ui| {
                for (name, value) in free {
                    if ui.selectable_label(false, *name).clicked() {
                        self.configs.push(((*name).to_owned(), (*value).to_owned()));
                    }
                }
            })
            .response
            .widget_info(|| egui::WidgetInfo::labeled(egui::Role::ComboBox, true, "Add a setting"));
    }

    /// Replicas of each partition, of at most `brokers`.
    fn replication(&self, brokers: i16) -> i16 {
        self.replication.unwrap_or(REPLICATION).clamp(1, brokers)
    }

    /// Why the topic cannot be created as typed. The broker has the last word.
    fn refusal(&self, scene: &Scene<'_>) -> Option<String> {
        let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
        let name = self.name.as_str();
        if name.is_empty() {
            Some("A topic needs a name.".to_owned())
        } else if let Some(c) = name.chars().find(|c| !allowed(*c)) {
            Some(format!(
                "{c:?} cannot be in a topic's name: letters, digits, '.', '_' and '-' can."
            ))
        } else if name.len() > 249 || name == "." || name == ".." {
            Some("A topic's name has 1 to 249 characters and is not '.' or '..'.".to_owned())
        } else {
            scene
                .topic(name)
                .map(|_| format!("There is a topic {name} already."))
        }
    }

    fn create(&mut self, scene: &mut Scene<'_>) {
        let replication_factor = self.replication(broker_count(scene));
        scene.send_from_dialog(Command::CreateTopic {
            name: self.name.clone(),
            partitions: self.partitions,
            replication_factor,
            configs: self.configs.clone(),
        });
    }
}
