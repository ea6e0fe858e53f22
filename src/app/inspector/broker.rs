//! A broker's facts and settings.

use egui::{Color32, Role, Ui, WidgetInfo};

use super::{gone, header, offers, what_just_happened};
use crate::app::replicas::{held_by, state_word};
use crate::app::scene::Scene;
use crate::app::state::ViewKey;
use crate::app::theme::{Theme, space};
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
    let (state, color) = state(&broker.state, theme);
    widgets::facts(ui, |facts| {
        facts.coloured("State", state, color);
        if let BrokerState::Crashed { message } = &broker.state {
            facts.coloured("Last message", message, color);
        }
        if picture.brokers.len() > 1 {
            in_cluster(facts, &picture, broker, theme);
        }
    });
    let is_open = scene.state.view == ViewKey::Cluster && scene.state.open_broker == Some(id);
    if !is_open {
        ui.add_space(space::S);
        let open = widgets::primary_button(ui, "Open");
        open.widget_info(|| WidgetInfo::labeled(Role::Button, true, format!("Open broker {id}")));
        if open.clicked() {
            scene.state.open_broker(id);
        }
    }
    offers(ui, scene);
    let failover = Failover::of(&picture, id);
    what_just_happened(ui, scene, failover.as_ref(), |event| {
        let of_broker = event.kind.topic().is_none();
        (of_broker && event.about() == Some(id)) || event.kind.moves().contains(&id)
    });
    // Its page has all of that.
    if !is_open {
        process(ui, scene, broker);
        settings(ui, broker);
    }
}

/// A broker's state in a word, and how good that is.
pub fn state(state: &BrokerState, theme: &Theme) -> (&'static str, Color32) {
    let color = match state {
        BrokerState::Running => theme.ok,
        BrokerState::Stopped => theme.muted,
        BrokerState::Killed | BrokerState::Crashed { .. } => theme.bad,
        _ => theme.warning,
    };
    (state_word(state), color)
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
        let dir = picture.log_dir(broker.id);
        let dir = dir.unwrap_or_else(|| "none: ephemeral".to_owned());
        facts.text("Log directory", &dir);
        facts.text("An ack means", durability(picture.durability));
    });
}

/// What the broker is to the others.
pub fn in_cluster(
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
    facts.mono("Leads", &format!("{leads} of {holds}"));
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

pub fn durability(durability: Durability) -> &'static str {
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
