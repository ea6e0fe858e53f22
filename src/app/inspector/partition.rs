//! A partition's facts, as its leader reports them.

use egui::{Role, Ui, WidgetInfo};

use super::{gone, header, what_just_happened};
use crate::app::faults;
use crate::app::moves;
use crate::app::replicas::{ReplicaRole, behind, factor, is_thin, refusal};
use crate::app::scene::Scene;
use crate::app::state::Selection;
use crate::app::theme::Theme;
use crate::app::widgets::{Cell, Column};
use crate::app::{format, widgets};
use crate::ids::{BrokerId, Offset, PartitionIndex};
use crate::inspect::failover::Failover;
use crate::inspect::{EventKind, PartitionSnapshot, ReplicaSnapshot};

const COLUMNS: &[Column] = &[
    Column::fixed("broker", 36.0),
    Column::number("log end", 52.0),
    Column::number("behind", 44.0),
    Column::text("state"),
];

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
    let least = topic
        .iter()
        .flat_map(|topic| topic.configs.iter())
        .find(|config| config.name == "min.insync.replicas")
        .map(|config| config.value.as_str());
    facts(ui, partition, least);
    if let Some(refusal) = topic.as_ref().and_then(|topic| refusal(topic, partition)) {
        widgets::divider(ui);
        widgets::heading(ui, "Why writes are refused");
        widgets::paragraph(ui, &refusal);
    }
    let holders: Vec<BrokerId> = partition.replicas.iter().map(|r| r.broker).collect();
    let failover = Failover::of_partition(scene.picture, topic_name, index);
    what_just_happened(ui, scene, failover.as_ref(), |event| {
        let holds = |broker| holders.contains(&broker);
        event.kind.topic() == Some((topic_name, Some(index)))
            || (is_fate(&event.kind) && event.about().is_some_and(holds))
    });
    replicas(ui, scene, partition);
    epochs(ui, partition);
    log(ui, scene, partition);
}

/// What can be done to the partition.
pub fn actions(ui: &mut Ui, scene: &mut Scene<'_>, topic: &str, index: PartitionIndex) {
    let picture = scene.picture.clone();
    let Some((_, partition)) = moves::find(&picture, topic, index) else {
        return;
    };
    ui.horizontal_wrapped(|ui| {
        if scene.state.open_topic.as_deref() != Some(topic)
            && widgets::primary_button(ui, "Open log").clicked()
        {
            scene.state.open_topic(topic);
        }
        if !scene.abilities.break_things || picture.brokers.len() < 2 {
            return;
        }
        if partition.replicas.len() > 1 && widgets::button(ui, "Move leader").clicked() {
            moves::open_move_leader(scene);
        }
        if widgets::button(ui, "Reassign").clicked() {
            moves::open_reassign(scene);
        }
        if let Some(offer) = moves::cancel(topic, partition) {
            let button = widgets::button(ui, &offer.short);
            button.widget_info(|| WidgetInfo::labeled(Role::Button, true, &offer.name));
            if button.clicked() {
                faults::perform(scene, &offer);
            }
        }
    });
}

/// What becomes of a broker, and so of what it holds.
fn is_fate(kind: &EventKind) -> bool {
    use EventKind::*;
    matches!(
        kind,
        BrokerStarted { .. }
            | BrokerStopped { .. }
            | BrokerCrashed { .. }
            | BrokerKilled { .. }
            | BrokerPaused { .. }
            | BrokerResumed { .. }
            | BrokerFenced { .. }
            | BrokerUnfenced { .. }
            | LinkCut { .. }
            | LinkSlowed { .. }
            | LinkHealed { .. }
    )
}

fn facts(ui: &mut Ui, partition: &PartitionSnapshot, least: Option<&str>) {
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
        match is_thin(partition) {
            true => {
                let of = factor(partition);
                let in_sync = format!("{in_sync} · {} of {of}", partition.isr.len());
                facts.coloured("In-sync", &in_sync, theme.warning);
            }
            false => facts.mono("In-sync", &in_sync),
        }
        if replicas.len() > 1 {
            facts.mono("min.insync", least.unwrap_or("unknown"));
        }
        if !partition.elr.is_empty() {
            facts.mono("Eligible", &list(&partition.elr));
        }
        if moves::is_moving(partition) {
            facts.text("Moving", &moves::sentence(partition));
        }
        if partition.recovering {
            let words = "uncleanly: records may be lost";
            facts.coloured("Elected", words, theme.bad);
        }
        facts.mono("Log start", &format::signed(partition.log_start.0));
        facts.mono(
            "High watermark",
            &format::signed(partition.high_watermark.0),
        );
        facts.mono("Log end", &format::signed(partition.log_end.0));
        if let Some(trouble) = &partition.trouble {
            facts.coloured("Trouble", trouble, theme.bad);
        }
    });
}

/// What else is known of its log.
fn log(ui: &mut Ui, scene: &Scene<'_>, partition: &PartitionSnapshot) {
    widgets::divider(ui);
    widgets::heading(ui, "Its log");
    widgets::facts(ui, |facts| {
        facts.mono("Last stable", &format::signed(partition.last_stable.0));
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

/// Every replica: how far its log goes, how far that is behind, and what it is.
fn replicas(ui: &mut Ui, scene: &mut Scene<'_>, partition: &PartitionSnapshot) {
    if partition.replicas.len() < 2 {
        return;
    }
    widgets::divider(ui);
    widgets::heading(ui, "Replicas");
    let theme = Theme::of(ui);
    widgets::table_header(ui, COLUMNS);
    for replica in &partition.replicas {
        let role = ReplicaRole::of(partition, replica);
        let ink = match role {
            ReplicaRole::Leader | ReplicaRole::InSync => theme.ok,
            ReplicaRole::Adding => theme.muted,
            ReplicaRole::OutOfSync | ReplicaRole::Unknown => theme.warning,
            ReplicaRole::Offline | ReplicaRole::Failed => theme.bad,
        };
        let (broker, end) = (replica.broker.to_string(), known(replica.log_end));
        let behind = match (role, behind(partition, replica)) {
            (ReplicaRole::Leader, _) | (_, None) => "\u{2013}".to_owned(),
            (_, Some(ahead)) if ahead < 0 => format!("{} ahead", format::signed(-ahead)),
            (_, Some(behind)) => format::signed(behind),
        };
        let cells = [
            Cell::mono(broker),
            Cell::mono(end.as_str()),
            Cell::mono(behind.as_str()),
            Cell::text(role.word()).color(ink),
        ];
        let name = format!(
            "Broker {}, {}, log end {end}, behind {behind}",
            replica.broker,
            role.word()
        );
        if widgets::table_row(ui, COLUMNS, &cells, false, &name).clicked() {
            scene.state.select(Selection::Broker(replica.broker));
        }
    }
    for replica in &partition.replicas {
        if let Some(sentence) = sentence(partition, replica) {
            widgets::paragraph(ui, &sentence);
        }
    }
}

/// What is to be said of a replica beside its numbers.
fn sentence(partition: &PartitionSnapshot, replica: &ReplicaSnapshot) -> Option<String> {
    let broker = replica.broker;
    if replica.from_files {
        return Some(format!("Broker {broker}: read from its files."));
    }
    if ReplicaRole::of(partition, replica) == ReplicaRole::Offline {
        return Some(format!("Broker {broker}: as it told last."));
    }
    let leaves = match replica.leaves_isr_ms {
        Some(ms) => format!(", leaves the ISR in {}", format::duration_ms(ms)),
        None => String::new(),
    };
    match replica.caught_up_ms? {
        0 => None,
        ms => Some(format!(
            "Broker {broker}: had everything {} ago{leaves}.",
            format::duration_ms(ms)
        )),
    }
}

fn known(offset: Offset) -> String {
    match offset >= Offset::ZERO {
        true => format::signed(offset.0),
        false => "unknown".to_owned(),
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
