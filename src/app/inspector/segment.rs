//! A segment of a partition's log: its files and what they hold.

use egui::Ui;

use super::{gone, header};
use crate::app::scene::Scene;
use crate::app::{format, widgets};
use crate::ids::{Offset, PartitionIndex};

pub fn draw(
    ui: &mut Ui,
    scene: &mut Scene<'_>,
    topic_name: &str,
    partition: PartitionIndex,
    base: Offset,
) {
    let name = format!("{:020}.log", base.0);
    let topic = scene.topic(topic_name);
    let found = topic
        .as_ref()
        .and_then(|topic| topic.partitions.iter().find(|p| p.index == partition))
        .and_then(|partition| partition.segments.iter().find(|s| s.base_offset == base));
    let Some(segment) = found else {
        gone(ui, &name, "segment", "This segment was deleted.");
        return;
    };
    header(ui, &name, "segment");
    widgets::facts(ui, |facts| {
        facts.mono("Partition", &format!("{topic_name}-{partition}"));
        facts.mono(
            "Offsets",
            &format!(
                "{} – {}",
                format::signed(segment.base_offset.0),
                format::signed(segment.end_offset.0 - 1)
            ),
        );
        facts.mono("Size", &format::bytes(segment.bytes));
        facts.text(
            "State",
            if segment.active {
                "active: appended to"
            } else {
                "sealed"
            },
        );
    });
}
