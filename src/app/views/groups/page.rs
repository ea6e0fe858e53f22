//! One group's page: its state and actions, and the tabs below.

use std::sync::Arc;

use egui::{Align, Layout, Ui};

use super::{assignment, offsets, rebalances};
use crate::app::groups::{facts, rebalance_delay};
use crate::app::scene::Scene;
use crate::app::state::{Dialog, GroupTab};
use crate::app::theme::{self, Theme, space};
use crate::app::widgets::{badge, button, danger_button, elided, primary_button, tabs};
use crate::ids::PartitionIndex;
use crate::inspect::{GroupSnapshot, GroupType};

/// Kafka's own delay of a group's first rebalance, milliseconds.
const KAFKA_DELAY_MS: &str = "3000";

/// Draws the page into the rest of the space.
pub fn draw(ui: &mut Ui, scene: &mut Scene<'_>, group: &Arc<GroupSnapshot>) {
    head(ui, scene, group);
    let told = scene.history.groups().rebalances(&group.group).count();
    let rebalances = match told {
        0 => "Rebalances".to_owned(),
        some => format!("Rebalances {some}"),
    };
    let all = [
        (GroupTab::Assignment, "Assignment".to_owned()),
        (GroupTab::Offsets, "Offsets".to_owned()),
        (GroupTab::Rebalances, rebalances),
    ];
    let line = ui.horizontal(|ui| {
        tabs(ui, &mut scene.state.group_tab, &all);
        // From the top, so that the badge keeps away from the line below.
        ui.with_layout(Layout::top_down(Align::Max), |ui| {
            delay_badge(ui, scene, group);
        });
    });
    let across = ui.max_rect().x_range();
    let bottom = line.response.rect.bottom();
    ui.painter().hline(across, bottom, Theme::of(ui).hairline());
    ui.add_space(space::XS);
    match scene.state.group_tab {
        GroupTab::Assignment => assignment::draw(ui, scene, group),
        GroupTab::Offsets => offsets::draw(ui, scene, group),
        GroupTab::Rebalances => rebalances::draw(ui, scene, group),
    }
}

fn head(ui: &mut Ui, scene: &mut Scene<'_>, group: &Arc<GroupSnapshot>) {
    ui.horizontal(|ui| {
        let theme = Theme::of(ui);
        let room = (ui.available_width() * 0.4).max(theme::size::COLUMN_LEAST);
        let name = elided(ui, &group.group, theme::title(), theme.text, room);
        let cut = name.elided;
        let response = ui.add(egui::Label::new(name));
        if cut {
            response.on_hover_text(&group.group);
        }
        ui.add_space(space::XS);
        ui.with_layout(Layout::right_to_left(Align::Center), |ui| {
            actions(ui, scene, group);
            ui.with_layout(Layout::left_to_right(Align::Center), |ui| {
                let ink = match group.orphaned {
                    true => theme.bad,
                    false => theme.muted,
                };
                let text = facts(group);
                let galley = elided(ui, &text, theme::body(), ink, ui.available_width());
                let cut = galley.elided;
                let response = ui.add(egui::Label::new(galley));
                if cut {
                    response.on_hover_text(text);
                }
            });
        });
    });
}

/// The page's buttons, from the right.
fn actions(ui: &mut Ui, scene: &mut Scene<'_>, group: &Arc<GroupSnapshot>) {
    if !scene.abilities.change_topics {
        return;
    }
    if primary_button(ui, "Reset offsets").clicked() {
        scene.state.open_reset(&group.group);
    }
    if super::can_join(group) && button(ui, "Add a member").clicked() {
        scene.state.add_member(group);
    }
    ui.menu_button("More", |ui| {
        if let Some((topic, index)) = selected_offset(scene, group)
            && danger_button(ui, &format!("Delete offset of {topic}-{index}")).clicked()
        {
            scene.state.dialog = Some(Dialog::DeleteOffset(group.group.clone(), topic, index));
            ui.close();
        }
        if danger_button(ui, "Delete group").clicked() {
            scene.state.dialog = Some(Dialog::DeleteGroup(group.group.clone()));
            ui.close();
        }
    });
}

/// The selected partition, if this group has committed something for it.
pub fn selected_offset(
    scene: &Scene<'_>,
    group: &GroupSnapshot,
) -> Option<(String, PartitionIndex)> {
    let selection = &scene.state.selection;
    let (topic, index) = (selection.topic()?, selection.partition()?);
    group.offset(topic, index)?;
    Some((topic.to_owned(), index))
}

/// Says where a first rebalance is quicker here than with Kafka's default.
fn delay_badge(ui: &mut Ui, scene: &Scene<'_>, group: &GroupSnapshot) {
    let delay = rebalance_delay(group, scene.picture);
    let Some(delay) = delay.filter(|delay| *delay != KAFKA_DELAY_MS) else {
        return;
    };
    if group.kind != GroupType::Classic {
        return;
    }
    ui.spacing_mut().interact_size.y = 0.0;
    let text = format!("rebalance delay {delay} ms, Kafka {KAFKA_DELAY_MS}");
    badge(ui, &text, Theme::of(ui).accent).on_hover_text(format!(
        "group.initial.rebalance.delay.ms is {delay}: the first member of an empty group gets its partitions after \
         {delay} ms. Kafka's default is {KAFKA_DELAY_MS}, so that members that start together share one rebalance."
    ));
}
