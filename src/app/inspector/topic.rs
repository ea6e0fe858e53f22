//! A topic's facts.

use egui::Ui;

use super::{gone, header, what_just_happened};
use crate::app::scene::Scene;
use crate::app::{format, widgets};

pub fn draw(ui: &mut Ui, scene: &mut Scene<'_>, name: &str) {
    let Some(topic) = scene.topic(name) else {
        gone(ui, name, "topic", "This topic was deleted.");
        return;
    };
    header(ui, name, "topic");
    let (records_per_s, bytes_per_s) = scene.topic_rate(&topic);
    let records: i64 = topic
        .partitions
        .iter()
        .map(|partition| partition.high_watermark - partition.log_start)
        .sum();
    let size: u64 = topic.partitions.iter().map(|p| p.bytes).sum();
    let segments: usize = topic.partitions.iter().map(|p| p.segments.len()).sum();
    widgets::facts(ui, |facts| {
        facts.mono("Partitions", &format::count(topic.partitions.len() as u64));
        facts.mono("Replication", &topic.replication_factor.to_string());
        facts.mono("Records", &format!("\u{2248} {}", format::signed(records)));
        facts.mono("Size", &format::bytes(size));
        facts.mono("Segments", &format::count(segments as u64));
        facts.mono(
            "Written",
            &format!(
                "{} · {}",
                format::rate(records_per_s),
                format::byte_rate(bytes_per_s)
            ),
        );
        facts.mono("Topic id", &topic.id.to_string());
        for config in topic.configs.iter().filter(|config| config.set) {
            facts.mono(config.name, &config.value);
        }
    });
    what_just_happened(ui, scene, None, |event| {
        event.kind.topic().is_some_and(|(about, _)| about == name)
    });
    if scene.state.open_topic.as_deref() != Some(name) {
        widgets::divider(ui);
        if widgets::primary_button(ui, "Open log").clicked() {
            scene.state.open_topic(name);
        }
    }
}
