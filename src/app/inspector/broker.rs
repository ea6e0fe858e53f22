//! A broker's facts and settings.

use egui::Ui;

use super::{gone, header, offers, what_just_happened};
use crate::app::replicas::{held_by, state_word};
use crate::app::scene::Scene;
use crate::app::theme::Theme;
use crate::app::{format, widgets};
use crate::ids::BrokerId;
use crate::inspect::failover::Failover;
use crate::inspect::{BrokerSnapshot, BrokerState, ClusterSnapshot, Durability};

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
        BrokerState::Crashed { message } => (format!("crashed: {message}"), theme.bad),
        state => {
            let color = match state {
                BrokerState::Running => theme.ok,
                BrokerState::Stopped => theme.muted,
                BrokerState::Killed => theme.bad,
                _ => theme.warning,
            };
            (state_word(state).to_owned(), color)
        }
    };
    widgets::facts(ui, |facts| {
        facts.coloured("State", &state, color);
        if picture.brokers.len() > 1 {
            in_cluster(facts, &picture, broker, theme);
        }
    });
    offers(ui, scene);
    let failover = Failover::of(&picture, id);
    what_just_happened(ui, scene, failover.as_ref(), |event| {
        let of_broker = event.kind.topic().is_none();
        let about = event.kind.subject().unwrap_or(event.broker) == id;
        (of_broker && about) || event.kind.moves().contains(&id)
    });
    process(ui, scene, broker);
    settings(ui, broker);
}

/// What it is by itself.
fn process(ui: &mut Ui, scene: &Scene<'_>, broker: &BrokerSnapshot) {
    let picture = scene.picture;
    widgets::divider(ui);
    widgets::heading(ui, "By itself");
    widgets::facts(ui, |facts| {
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
}

/// What the broker is to the others.
fn in_cluster(
    facts: &mut widgets::Facts<'_>,
    picture: &ClusterSnapshot,
    broker: &BrokerSnapshot,
    theme: &Theme,
) {
    match broker.registration {
        Some(one) if one.fenced => facts.coloured("To the others", "fenced", theme.warning),
        Some(one) if one.in_controlled_shutdown => {
            facts.coloured("To the others", "handing over", theme.warning);
        }
        Some(_) => facts.text("To the others", "in use"),
        None => facts.coloured("To the others", "not registered", theme.warning),
    }
    if let Some(one) = broker.registration {
        facts.mono("Broker epoch", &format::signed(one.epoch.0));
    }
    let (leads, holds) = held_by(picture, broker.id);
    facts.mono("Leads", &format!("{leads} of its {holds} partitions"));
    let Some(quorum) = &picture.quorum else {
        return;
    };
    let place = quorum.replicas.iter().find(|one| one.broker == broker.id);
    let role = match (place, quorum.leader == Some(broker.id)) {
        (_, true) => format!("controller, epoch {}", quorum.epoch),
        (Some(one), false) if one.voter => "voter".to_owned(),
        _ => "observer".to_owned(),
    };
    facts.text("In the quorum", &role);
    if let Some(lag) = place.and_then(|one| one.lag).filter(|lag| *lag > 0) {
        let lag = format!("{} behind", format::counted(lag, "record"));
        facts.mono("Metadata", &lag);
    }
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
