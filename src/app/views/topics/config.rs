//! The Config tab: every setting in effect with its meaning, and a field to change it for this topic.

use std::sync::Arc;

use egui::{Key, ScrollArea, Ui, vec2};

use crate::app::scene::Scene;
use crate::app::theme::{self, Theme, size, space};
use crate::app::widgets::{
    button, divider, empty, link, mono, name_cell, primary_button, search_field, small, text_field,
};
use crate::inspect::{Command, ConfigValue, TopicSnapshot};

/// The filter and the setting being changed.
#[derive(Default)]
pub struct ConfigTab {
    filter: String,
    only_set: bool,
    edited: Option<(&'static str, String)>,
}

/// Settings whose name or meaning contains `filter`, those the topic sets first.
fn listed<'a>(configs: &'a [ConfigValue], filter: &str, only_set: bool) -> Vec<&'a ConfigValue> {
    let filter = filter.trim().to_lowercase();
    let mut listed: Vec<&ConfigValue> = configs
        .iter()
        .filter(|config| !only_set || config.set)
        .filter(|config| {
            config.name.contains(&filter) || config.doc.to_lowercase().contains(&filter)
        })
        .collect();
    listed.sort_by_key(|config| !config.set);
    listed
}

/// A value as people read it, when that differs from the number.
fn in_words(name: &str, value: &str) -> Option<String> {
    let number: u64 = value.parse().ok()?;
    if name.ends_with(".ms") && number >= 1_000 && number < i64::MAX as u64 {
        return Some(crate::app::format::duration_ms(number));
    }
    if name.ends_with(".bytes") && number >= 1_024 {
        return Some(crate::app::format::bytes(number));
    }
    None
}

impl ConfigTab {
    /// Draws the tab into the rest of the space.
    pub fn draw(&mut self, ui: &mut Ui, scene: &mut Scene<'_>, topic: &Arc<TopicSnapshot>) {
        ui.horizontal(|ui| {
            let field = search_field(ui, &mut self.filter, "Filter settings", size::FILTER);
            if std::mem::take(&mut scene.state.focus_filter) {
                field.request_focus();
            }
            ui.checkbox(&mut self.only_set, "only those set here");
        });
        ui.add_space(space::XS);
        let listed = listed(&topic.configs, &self.filter, self.only_set);
        if listed.is_empty() {
            let (sentence, way) = match self.filter.is_empty() {
                true => (
                    "This topic sets nothing: the broker's values are in effect.",
                    "Show all",
                ),
                false => (
                    "No setting's name or meaning contains this.",
                    "Clear filter",
                ),
            };
            if empty(ui, sentence, Some(way)) {
                self.filter.clear();
                self.only_set = false;
            }
            return;
        }
        ScrollArea::vertical()
            .auto_shrink([false, false])
            .show(ui, |ui| {
                ui.spacing_mut().item_spacing.y = space::XS;
                for config in listed {
                    self.row(ui, scene, topic, config);
                    divider(ui);
                }
            });
    }

    fn row(
        &mut self,
        ui: &mut Ui,
        scene: &mut Scene<'_>,
        topic: &TopicSnapshot,
        config: &ConfigValue,
    ) {
        ui.horizontal(|ui| {
            ui.set_min_height(size::CONTROL);
            let theme = Theme::of(ui);
            let ink = if config.set { theme.text } else { theme.muted };
            let cell = vec2(size::CONFIG_NAME, size::CONTROL);
            name_cell(ui, config.name, theme::mono(), ink, cell).on_hover_text(config.name);
            if self
                .edited
                .as_ref()
                .is_some_and(|(name, _)| *name == config.name)
            {
                self.edit(ui, scene, topic, config);
            } else {
                self.show(ui, scene, topic, config);
            }
        });
        small(ui, config.doc);
    }

    fn show(
        &mut self,
        ui: &mut Ui,
        scene: &mut Scene<'_>,
        topic: &TopicSnapshot,
        config: &ConfigValue,
    ) {
        mono(
            ui,
            if config.value.is_empty() {
                "–"
            } else {
                &config.value
            },
        );
        if let Some(words) = in_words(config.name, &config.value) {
            small(ui, &words);
        }
        small(
            ui,
            if config.set {
                "set here"
            } else {
                "broker's value"
            },
        );
        if !scene.abilities.change_topics {
            return;
        }
        let change = link(ui, "Change").on_hover_text(config.name);
        change.widget_info(|| named(&format!("Change {}", config.name)));
        if change.clicked() {
            self.edited = Some((config.name, config.value.clone()));
        }
        if config.set {
            let reset = link(ui, "Reset").on_hover_text("Back to the broker's value");
            reset.widget_info(|| named(&format!("Reset {}", config.name)));
            if reset.clicked() {
                alter(scene, topic, config.name, None);
            }
        }
    }

    fn edit(
        &mut self,
        ui: &mut Ui,
        scene: &mut Scene<'_>,
        topic: &TopicSnapshot,
        config: &ConfigValue,
    ) {
        let Some((_, value)) = &mut self.edited else {
            return;
        };
        let field = text_field(ui, value, config.name, size::FIELD_TIME);
        let enter = field.lost_focus() && ui.input(|input| input.key_pressed(Key::Enter));
        let escape = ui.input(|input| input.key_pressed(Key::Escape));
        if primary_button(ui, "Save").clicked() || enter {
            alter(scene, topic, config.name, Some(value.trim().to_owned()));
            self.edited = None;
        } else if button(ui, "Cancel").clicked() || escape {
            self.edited = None;
        }
    }
}

fn named(name: &str) -> egui::WidgetInfo {
    egui::WidgetInfo::labeled(egui::Role::Button, true, name)
}

fn alter(scene: &mut Scene<'_>, topic: &TopicSnapshot, name: &str, value: Option<String>) {
    scene.send(Command::AlterTopic {
        name: topic.name.clone(),
        configs: vec![(name.to_owned(), value)],
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(name: &'static str, doc: &'static str, set: bool) -> ConfigValue {
        ConfigValue {
            name,
            value: String::new(),
            set,
            doc,
        }
    }

    #[test]
    fn what_the_topic_sets_comes_first() {
        let all = [
            config("retention.ms", "How long records are kept.", false),
            config("segment.bytes", "Size at which a segment is rolled.", true),
        ];
        let names = |filter, only_set| -> Vec<&str> {
            let listed = listed(&all, filter, only_set);
            listed.iter().map(|config| config.name).collect()
        };
        assert_eq!(names("", false), ["segment.bytes", "retention.ms"]);
        assert_eq!(names("KEPT", false), ["retention.ms"]);
        assert_eq!(names("", true), ["segment.bytes"]);
    }

    #[test]
    fn times_and_sizes_are_also_said_in_words() {
        for (name, value, expected) in [
            ("retention.ms", "604800000", Some("7 d")),
            ("segment.bytes", "1073741824", Some("1.0 GiB")),
            ("retention.bytes", "-1", None),
            ("flush.ms", "9223372036854775807", None),
            ("min.insync.replicas", "20000", None),
        ] {
            assert_eq!(in_words(name, value).as_deref(), expected, "{name}");
        }
    }
}
