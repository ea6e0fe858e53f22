//! The produce panel: one record or a stream of them, sent by klar's own producer.

use egui::{ComboBox, DragValue, Frame, Label, Panel, RichText, ScrollArea, Ui};

use super::produce_form::{
    COMPRESSIONS, Encoding, Field, HEADER_ROWS, HeaderRow, Mode, ProduceForm,
};
use super::templates::{PLACEHOLDERS, TEMPLATES};
use super::{produce_field, produce_sent};
use crate::app::scene::Scene;
use crate::app::sent::Sent;
use crate::app::theme::{self, Theme, size, space};
use crate::app::{format, inspector, widgets};
use crate::ids::PartitionIndex;
use crate::inspect::{Acks, MAX_PRODUCER_RATE, PartitionBy, TopicSnapshot};

/// Lines the value field shows before it scrolls.
const VALUE_LINES: usize = 7;

/// Draws the panel in the inspector's place.
pub fn draw(ui: &mut Ui, scene: &mut Scene<'_>) {
    // Taken out while drawn, so that the rest of the scene stays at hand.
    let mut form = std::mem::take(&mut scene.state.produce);
    // The buttons and what came of them stay in sight while the fields scroll.
    Panel::bottom("produce buttons")
        .frame(Frame::new())
        .show_separator_line(false)
        .show(ui, |ui| {
            widgets::divider(ui);
            produce_sent::draw(ui, scene, &mut form);
        });
    ScrollArea::vertical()
        .auto_shrink([false, false])
        .show(ui, |ui| {
            let width = ui.available_width() - space::M;
            ui.set_width(width);
            let before = form.clone();
            contents(ui, scene, &mut form);
            let ended = |sent: &Sent| !sent.is_waiting();
            // What is changed now has not been sent: the outcome is about something else.
            if form != before && scene.state.produce_sent.as_ref().is_some_and(ended) {
                scene.state.produce_sent = None;
            }
        });
    scene.state.produce = form;
}

fn contents(ui: &mut Ui, scene: &mut Scene<'_>, form: &mut ProduceForm) {
    inspector::header(ui, "Produce", "klar's own producer");
    topic_choice(ui, scene, form);
    widgets::choices(
        ui,
        &mut form.mode,
        &[(Mode::Once, "One record"), (Mode::AtRate, "At a rate")],
    );
    if form.mode == Mode::AtRate {
        templates(ui, form);
    }
    produce_field::draw(ui, "Key", &mut form.key, 1, "Null key");
    produce_field::draw(ui, "Value", &mut form.value, VALUE_LINES, "Tombstone");
    headers(ui, form);
    settings(ui, scene, form);
    match form.mode {
        Mode::Once => timestamp(ui, form),
        Mode::AtRate => pace(ui, form),
    }
    produce_sent::running(ui, scene);
}

fn topic_choice(ui: &mut Ui, scene: &Scene<'_>, form: &mut ProduceForm) {
    let names = || scene.picture.topics.iter().filter(|topic| !topic.internal);
    if form.topic.is_empty() {
        form.topic = names()
            .next()
            .map_or_else(String::new, |topic| topic.name.clone());
    }
    widgets::heading(ui, "Topic");
    ui.horizontal(|ui| {
        let width = ui.available_width() - 2.0 * size::CONTROL;
        widgets::text_field(ui, &mut form.topic, "Topic", width);
        ComboBox::from_id_salt("produce topic")
            .selected_text("")
            .width(size::CONTROL)
            .show_ui(ui, |ui| {
                for topic in names().take(TOPICS_OFFERED) {
                    ui.selectable_value(&mut form.topic, topic.name.clone(), &topic.name);
                }
            })
            .response
            .widget_info(|| {
                egui::WidgetInfo::labeled(egui::Role::ComboBox, true, "Choose a topic")
            });
    });
    if !form.topic.is_empty() && scene.topic(&form.topic).is_none() {
        widgets::small(ui, "No such topic yet: sending makes it.");
    }
}

/// Topics the list beside the topic field offers; others can be typed.
const TOPICS_OFFERED: usize = 200;

fn templates(ui: &mut Ui, form: &mut ProduceForm) {
    ui.horizontal_wrapped(|ui| {
        ui.spacing_mut().interact_size.y = 0.0;
        for template in TEMPLATES {
            let link = widgets::link(ui, template.name);
            if link.on_hover_text("Start from these records").clicked() {
                form.key = Field::typed(template.key);
                form.value = Field::typed(template.value);
            }
        }
    });
    let color = Theme::of(ui).muted;
    ui.add(
        Label::new(
            RichText::new(PLACEHOLDERS)
                .font(theme::small())
                .color(color),
        )
        .wrap(),
    );
}

fn headers(ui: &mut Ui, form: &mut ProduceForm) {
    ui.horizontal(|ui| {
        widgets::heading(ui, "Headers");
        if form.headers.len() < HEADER_ROWS && widgets::link(ui, "Add header").clicked() {
            form.headers.push(HeaderRow::default());
        }
    });
    let mut removed = None;
    for (index, row) in form.headers.iter_mut().enumerate() {
        ui.horizontal(|ui| {
            let width = (ui.available_width() - size::CONTROL - 2.0 * space::S) / 2.0;
            let name = format!("Header {} key", index + 1);
            widgets::text_field(ui, &mut row.key.text, &name, width);
            let name = format!("Header {} value", index + 1);
            match header_value_as_text(&row.value) {
                Some(text) => {
                    ui.add_sized(
                        egui::vec2(width, size::CONTROL),
                        Label::new(RichText::new(text).color(Theme::of(ui).muted)),
                    );
                }
                None => {
                    widgets::text_field(ui, &mut row.value.text, &name, width);
                }
            }
            let remove = ui
                .add(egui::Button::new(RichText::new("×").color(Theme::of(ui).muted)).frame(false));
            let label = format!("Remove header {}", index + 1);
            remove.widget_info(|| egui::WidgetInfo::labeled(egui::Role::Button, true, &label));
            if remove.clicked() {
                removed = Some(index);
            }
        });
    }
    if let Some(index) = removed {
        form.headers.remove(index);
    }
}

/// What stands in place of a header's value that cannot be typed.
fn header_value_as_text(value: &Field) -> Option<String> {
    match (value.encoding, value.held()) {
        (Encoding::Null, _) => Some("null".to_owned()),
        (_, Some(held)) => Some(format::bytes(held.len() as u64)),
        _ => None,
    }
}

fn settings(ui: &mut Ui, scene: &Scene<'_>, form: &mut ProduceForm) {
    widgets::divider(ui);
    widgets::facts(ui, |facts| {
        facts.custom("Partition", |ui| partition(ui, scene, form));
        facts.custom("Compression", |ui| {
            let current = form.settings.compression;
            let text = COMPRESSIONS
                .iter()
                .find(|(compression, _)| *compression == current)
                .map_or("", |(_, text)| text);
            ComboBox::from_id_salt("compression")
                .selected_text(text)
                .show_ui(ui, |ui| {
                    for (compression, text) in COMPRESSIONS {
                        ui.selectable_value(&mut form.settings.compression, *compression, *text);
                    }
                })
                .response
                .widget_info(|| {
                    egui::WidgetInfo::labeled(egui::Role::ComboBox, true, "Compression")
                });
        });
        facts.custom("Idempotent", |ui| {
            ui.checkbox(&mut form.settings.idempotence, "no doubles");
        });
        facts.custom("Acks", |ui| acks(ui, scene, form));
    });
}

fn acks(ui: &mut Ui, scene: &Scene<'_>, form: &mut ProduceForm) {
    let theme = Theme::of(ui);
    let mut acks = form.settings.acks;
    if form.settings.idempotence {
        acks = Acks::All;
        ui.label(RichText::new("all, as idempotence needs").color(theme.muted));
    } else {
        let all = [(Acks::None, "0"), (Acks::Leader, "1"), (Acks::All, "all")];
        widgets::choices(ui, &mut form.settings.acks, &all);
    }
    if let Some(topic) = scene
        .topic(&form.topic)
        .filter(|t| t.replication_factor > 1)
    {
        widgets::small_wrapped(ui, &what_acks_mean(acks, &topic));
    }
}

/// What an acknowledgement says about a topic with several replicas.
fn what_acks_mean(acks: Acks, topic: &TopicSnapshot) -> String {
    match acks {
        Acks::None => "Nobody says whether it was written.".to_owned(),
        Acks::Leader => "The leader has it; lost if that dies first.".to_owned(),
        Acks::All => {
            let least = topic.configs.iter();
            let least = least.clone().find(|c| c.name == "min.insync.replicas");
            let least = least.map_or("1", |config| config.value.as_str());
            format!("Every in-sync replica has it, {least} at least (min.insync.replicas).")
        }
    }
}

fn partition(ui: &mut Ui, scene: &Scene<'_>, form: &mut ProduceForm) {
    let mut automatic = form.settings.partition == PartitionBy::Automatic;
    if widgets::choices(ui, &mut automatic, &[(true, "auto"), (false, "fixed")]) {
        form.settings.partition = if automatic {
            PartitionBy::Automatic
        } else {
            PartitionBy::Fixed(PartitionIndex(form.fixed_partition))
        };
    }
    let count = scene
        .topic(&form.topic)
        .map_or(0, |topic| topic.partitions.len() as i32);
    if !automatic {
        let range = 0..=count.max(1) - 1;
        ui.add(DragValue::new(&mut form.fixed_partition).range(range))
            .accessible_name("Fixed partition");
        return;
    }
    widgets::small(ui, &where_it_goes(form, count));
}

/// Where the default partitioner puts what is typed, as far as that is known beforehand.
fn where_it_goes(form: &ProduceForm, partitions: i32) -> String {
    match form.key.encoding {
        Encoding::Null => "No key: spread over the partitions.".to_owned(),
        _ if form.mode == Mode::AtRate && form.key.text.contains('{') => {
            format!("murmur2(key) mod {partitions}, key by key")
        }
        _ if partitions == 0 => "murmur2(key) mod partitions".to_owned(),
        _ if form.key.held().is_some() => format!("murmur2(key) mod {partitions}"),
        _ => match form.key.bytes("Key") {
            Ok(Some(key)) => format!(
                "murmur2(key) mod {partitions} = {}",
                crate::ids::partition_for_key(&key, partitions)
            ),
            _ => String::new(),
        },
    }
}

fn timestamp(ui: &mut Ui, form: &mut ProduceForm) {
    widgets::facts(ui, |facts| {
        facts.custom("Timestamp, ms", |ui| {
            let width = ui.available_width();
            widgets::text_field(ui, &mut form.timestamp, "Timestamp in milliseconds", width)
                .on_hover_text("Milliseconds since 1970-01-01 UTC; empty is the moment of sending");
        });
    });
    if let Ok(ms) = form.timestamp.trim().parse::<i64>() {
        widgets::small(ui, &format!("{} UTC", format::date_time(ms)));
    }
}

fn pace(ui: &mut Ui, form: &mut ProduceForm) {
    widgets::facts(ui, |facts| {
        facts.custom("Rate", |ui| {
            ui.horizontal(|ui| {
                let speed = (form.rate * 0.02).max(0.1);
                ui.add(
                    DragValue::new(&mut form.rate)
                        .range(0.1..=MAX_PRODUCER_RATE)
                        .speed(speed)
                        .max_decimals(1),
                )
                .accessible_name("Records per second");
                widgets::muted(ui, "records/s");
            });
        });
        facts.custom("Stop after", |ui| {
            let width = ui.available_width();
            widgets::text_field(ui, &mut form.count, "Stop after so many records", width)
                .on_hover_text("A number of records; empty goes on until stopped");
        });
        facts.custom("Name", |ui| {
            let width = ui.available_width();
            widgets::text_field(ui, &mut form.name, "Name of the producer", width);
        });
    });
}
