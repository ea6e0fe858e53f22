//! The dialogs that move a partition: its replicas, with what is copied and what is put at risk, and its leader.

use egui::{Label, RichText, Role, Ui, WidgetInfo};

use super::{failure, is_waiting};
use crate::app::faults;
use crate::app::moves::{self, Preview, Progress};
use crate::app::replicas::ReplicaRole;
use crate::app::scene::Scene;
use crate::app::theme::{self, Theme, size, space};
use crate::app::{format, widgets};
use crate::ids::{BrokerId, PartitionIndex};
use crate::inspect::{BrokerSnapshot, ClusterSnapshot, PartitionSnapshot};

/// What is chosen in these dialogs.
#[derive(Default)]
pub struct MoveDialogs {
    /// Where the replicas shall be; `None` until something was changed.
    chosen: Option<Vec<BrokerId>>,
}

impl MoveDialogs {
    /// Something was chosen that closing the dialog would lose.
    pub fn holds_input(&self) -> bool {
        self.chosen.is_some()
    }

    /// Which brokers hold the partition, and what getting there takes.
    pub fn reassign(
        &mut self,
        ui: &mut Ui,
        scene: &mut Scene<'_>,
        (name, index): (&str, PartitionIndex),
        proposed: &[BrokerId],
    ) {
        let picture = scene.picture.clone();
        let Some((topic, partition)) = moves::find(&picture, name, index) else {
            return gone(ui, scene, name, index);
        };
        widgets::title(ui, &format!("Move the replicas of {name}-{index}"));
        if moves::is_moving(partition) {
            let under_way = moves::sentence(partition);
            let text = format!("A move is under way, {under_way}. This one would replace it.");
            widgets::paragraph(ui, &text);
        }
        let mut then = self.chosen.clone().unwrap_or_else(|| proposed.to_vec());
        ui.add_space(space::XS);
        for broker in &picture.brokers {
            if holder(ui, &picture, partition, broker, &mut then) {
                self.chosen = Some(then.clone());
            }
        }
        widgets::divider(ui);
        let preview = Preview::of(topic, partition, &then);
        lines(ui, &preview);
        failure(ui, scene);
        ui.add_space(space::S);
        let refusal = preview.refusal(&picture, partition);
        ui.horizontal(|ui| {
            let can = refusal.is_none() && !is_waiting(scene);
            if widgets::primary_button_if(ui, can, "Move").clicked() {
                moves::begin(scene, name, partition, &then);
            }
            if widgets::button(ui, "Cancel").clicked() {
                scene.state.dialog = None;
            }
            if let Some(why) = refusal {
                widgets::muted(ui, &why);
            }
        });
    }
}

/// One broker: whether it shall hold a replica, what it holds now, and whether it is preferred. True when changed.
fn holder(
    ui: &mut Ui,
    picture: &ClusterSnapshot,
    partition: &PartitionSnapshot,
    broker: &BrokerSnapshot,
    then: &mut Vec<BrokerId>,
) -> bool {
    let id = broker.id;
    let mut holds = then.contains(&id);
    let mut changed = false;
    let takes = moves::takes(picture, id);
    let has = partition.replicas.iter().any(|one| one.broker == id);
    ui.horizontal(|ui| {
        ui.set_min_height(size::ROW);
        let can = holds || has || takes.is_ok();
        let check = ui.add_enabled(can, egui::Checkbox::new(&mut holds, format!("Broker {id}")));
        check.widget_info(|| {
            let name = format!("Replica on broker {id}");
            WidgetInfo::selected(Role::CheckBox, can, holds, name)
        });
        if check.changed() {
            match holds {
                true => then.push(id),
                false => then.retain(|other| *other != id),
            }
            changed = true;
        }
        let words = match (has, takes) {
            (true, _) => held(partition, id),
            (false, Err(why)) => why,
            (false, Ok(())) => "no replica here".to_owned(),
        };
        widgets::muted(ui, &words);
        let right_to_left = egui::Layout::right_to_left(egui::Align::Center);
        ui.with_layout(right_to_left, |ui| {
            match then.iter().position(|one| *one == id) {
                Some(0) => {
                    widgets::small(ui, "preferred leader");
                }
                Some(place) => {
                    let prefer = widgets::link(ui, "prefer");
                    let name = format!("Make broker {id} the preferred leader");
                    prefer.widget_info(|| WidgetInfo::labeled(Role::Button, true, &name));
                    if prefer.clicked() {
                        then[..=place].rotate_right(1);
                        changed = true;
                    }
                }
                None => {}
            }
        });
    });
    changed
}

/// What a broker's replica is, and how far it goes.
fn held(partition: &PartitionSnapshot, id: BrokerId) -> String {
    let mut replicas = partition.replicas.iter();
    let Some(replica) = replicas.find(|one| one.broker == id) else {
        return String::new();
    };
    let role = ReplicaRole::of(partition, replica);
    match Progress::of(partition, id) {
        Some(progress) if !progress.in_sync => format!("{}, {}", role.word(), progress.words()),
        _ if replica.log_end.0 < 0 => role.word().to_owned(),
        _ => format!(
            "{}, log end {}",
            role.word(),
            format::signed(replica.log_end.0)
        ),
    }
}

fn lines(ui: &mut Ui, preview: &Preview) {
    let bad = Theme::of(ui).bad;
    widgets::facts(ui, |facts| {
        for line in preview.lines() {
            match line.bad {
                true => facts.coloured(line.label, &line.text, bad),
                false => facts.text(line.label, &line.text),
            }
        }
    });
}

/// Who may lead the partition instead, and why the others may not.
pub fn leader(ui: &mut Ui, scene: &mut Scene<'_>, name: &str, index: PartitionIndex) {
    let picture = scene.picture.clone();
    let Some((_, partition)) = moves::find(&picture, name, index) else {
        return gone(ui, scene, name, index);
    };
    widgets::title(ui, &format!("Move the leader of {name}-{index}"));
    let text = match partition.leader {
        Some(leader) => format!(
            "Broker {leader} leads with epoch {}. An in-sync follower takes over in a new leader epoch and becomes \
             the preferred leader. Nothing is copied, and nothing acknowledged with acks=all is lost.",
            partition.leader_epoch
        ),
        None => "Nobody leads it. A replica that is not in sync can, uncleanly: records that only others \
                 have are lost for good."
            .to_owned(),
    };
    widgets::paragraph(ui, &text);
    ui.add_space(space::XS);
    for replica in &partition.replicas {
        candidate(ui, scene, name, partition, replica.broker);
    }
    ui.add_space(space::S);
    if widgets::button(ui, "Cancel").clicked() {
        scene.state.dialog = None;
    }
}

fn candidate(
    ui: &mut Ui,
    scene: &mut Scene<'_>,
    topic: &str,
    partition: &PartitionSnapshot,
    id: BrokerId,
) {
    let may = faults::may_lead(scene.picture, partition, id);
    ui.horizontal(|ui| {
        ui.set_min_height(size::CONTROL);
        widgets::heading(ui, &format!("Broker {id}"));
        widgets::muted(ui, &held(partition, id));
        let right_to_left = egui::Layout::right_to_left(egui::Align::Center);
        ui.with_layout(right_to_left, |ui| {
            let unclean = match may {
                Ok(unclean) => unclean,
                Err(why) => {
                    if partition.leader != Some(id) {
                        widgets::small(ui, &why);
                    }
                    return;
                }
            };
            let offer = faults::elect(topic, partition.index, id, unclean);
            let button = match unclean {
                true => widgets::danger_button(ui, "Elect uncleanly"),
                false => widgets::button(ui, "Elect"),
            };
            button.widget_info(|| WidgetInfo::labeled(Role::Button, true, &offer.name));
            if button.clicked() {
                scene.state.dialog = None;
                faults::perform(scene, &offer);
            }
        });
    });
}

fn gone(ui: &mut Ui, scene: &mut Scene<'_>, topic: &str, index: PartitionIndex) {
    let text = format!("{topic}-{index} no longer exists.");
    let text = RichText::new(text).font(theme::body());
    ui.add(Label::new(text.color(Theme::of(ui).muted)));
    if widgets::button(ui, "Close").clicked() {
        scene.state.dialog = None;
    }
}
