//! A partition's facts, as its leader reports them.

use egui::Ui;

use super::{gone, header, what_just_happened};
use crate::app::scene::Scene;
use crate::app::theme::Theme;
use crate::app::{format, widgets};
use crate::ids::{BrokerId, PartitionIndex};
use crate::inspect::PartitionSnapshot;

pub fn draw(ui: &mut Ui, scene: &mut Scene<'_>, topic_name: &str, index: PartitionIndex) {
    let name = format!("{topic_name}-{index}");
    let topic = scene.topic(topic_name);
    let found = topic
        .as_ref()
        .and_then(|topic| topic.partitions.iter().find(|p| p.index == index));
    let Some(partition) = found else {
        gone(ui, &name, "partition", "This partition no longer exists.");
        return;
    };
    header(ui, &name, "partition");
    facts(ui, scene, partition);
    epochs(ui, partition);
    what_just_happened(ui, scene, |event| {
        event.kind.topic() == Some((topic_name, Some(index)))
    });
}

fn facts(ui: &mut Ui, scene: &Scene<'_>, partition: &PartitionSnapshot) {
    let theme = Theme::of(ui);
    widgets::facts(ui, |facts| {
        match partition.leader {
            Some(leader) => facts.mono("Leader", &format!("Broker {leader}")),
            None => facts.coloured("Leader", "none", theme.bad),
        }
        facts.mono("Leader epoch", &partition.leader_epoch.to_string());
        let replicas: Vec<_> = partition.replicas.iter().map(|r| r.broker).collect();
        facts.mono("Replicas", &list(&replicas));
        let in_sync = list(&partition.isr);
        if partition.isr.len() < partition.replicas.len() {
            facts.coloured("In-sync", &in_sync, theme.warning);
        } else {
            facts.mono("In-sync", &in_sync);
        }
        facts.mono("Log start", &format::signed(partition.log_start.0));
        facts.mono(
            "High watermark",
            &format::signed(partition.high_watermark.0),
        );
        facts.mono("Last stable", &format::signed(partition.last_stable.0));
        facts.mono("Log end", &format::signed(partition.log_end.0));
        facts.mono("Size", &format::bytes(partition.bytes));
        facts.mono("Segments", &format::count(partition.segments.len() as u64));
        facts.mono(
            "Newest record",
            &format::moment(scene.now, partition.max_timestamp_ms),
        );
        facts.mono(
            "Idempotent by",
            &format::counted(u64::from(partition.producers), "producer"),
        );
        if let Some(trouble) = &partition.trouble {
            facts.coloured("Trouble", trouble, theme.bad);
        }
    });
}

fn list(brokers: &[BrokerId]) -> String {
    let names: Vec<String> = brokers.iter().map(BrokerId::to_string).collect();
    if names.is_empty() {
        "none".to_owned()
    } else {
        names.join(", ")
    }
}

fn epochs(ui: &mut Ui, partition: &PartitionSnapshot) {
    if partition.epochs.len() < 2 {
        return;
    }
    widgets::divider(ui);
    widgets::heading(ui, "Leader epochs");
    widgets::facts(ui, |facts| {
        for (epoch, offset) in partition.epochs.iter().rev() {
            let from = format!("from offset {}", format::signed(offset.0));
            facts.mono(&format!("Epoch {epoch}"), &from);
        }
    });
}
