//! A broker's facts and settings.

use egui::Ui;

use super::{gone, header, what_just_happened};
use crate::app::scene::Scene;
use crate::app::theme::Theme;
use crate::app::{format, widgets};
use crate::ids::BrokerId;
use crate::inspect::{BrokerSnapshot, BrokerState, Durability};

pub fn draw(ui: &mut Ui, scene: &mut Scene<'_>, id: BrokerId) {
    let name = format!("Broker {id}");
    let picture = scene.picture.clone();
    let Some(broker) = picture.brokers.iter().find(|broker| broker.id == id) else {
        gone(
            ui,
            &name,
            "broker",
            "This broker is no longer part of the cluster.",
        );
        return;
    };
    header(ui, &name, "broker");
    let theme = Theme::of(ui);
    let (state, color) = match &broker.state {
        BrokerState::Running => ("running".to_owned(), theme.ok),
        BrokerState::Starting => ("starting".to_owned(), theme.warning),
        BrokerState::Paused => ("paused".to_owned(), theme.warning),
        BrokerState::Stopped => ("stopped".to_owned(), theme.offline),
        BrokerState::Killed => ("killed".to_owned(), theme.bad),
        BrokerState::Crashed { message } => (format!("crashed: {message}"), theme.bad),
    };
    widgets::facts(ui, |facts| {
        facts.coloured("State", &state, color);
        facts.mono("Listens on", &format!("{}:{}", broker.host, broker.port));
        facts.mono(
            "Started",
            &format::moment(scene.now, broker.started.as_ms()),
        );
        facts.text("Last start", &broker.recovery);
        facts.mono("Connections", &format::count(u64::from(broker.connections)));
        facts.mono("Log size", &format::bytes(broker.log_bytes));
        facts.mono("Cluster id", &picture.cluster_id);
        facts.text(
            "Data directory",
            picture.data_dir.as_deref().unwrap_or("none: ephemeral"),
        );
        facts.text("An ack means", durability(picture.durability));
    });
    what_just_happened(ui, scene, |event| {
        event.broker == id && event.kind.topic().is_none()
    });
    settings(ui, broker);
}

fn durability(durability: Durability) -> &'static str {
    match durability {
        Durability::Os => "written to the operating system; synced on roll, stop and every second",
        Durability::Batch => "synced to the disk",
        Durability::Memory => "kept in memory only",
    }
}

fn settings(ui: &mut Ui, broker: &BrokerSnapshot) {
    let changed: Vec<_> = broker
        .settings
        .iter()
        .filter(|(_, _, default)| !default)
        .collect();
    widgets::divider(ui);
    widgets::heading(ui, "Settings that differ from Kafka's defaults");
    if changed.is_empty() {
        widgets::paragraph(ui, "None.");
    }
    for (key, value, _) in changed {
        widgets::small(ui, key);
        widgets::mono(ui, value);
    }
}
