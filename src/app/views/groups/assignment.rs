//! The Assignment tab: who reads what, why some read nothing, and the lag over time.

use std::sync::Arc;

use egui::Ui;

use super::{lag_chart, matrix};
use crate::app::groups::{idle_sentence, member_names, partitions};
use crate::app::scene::Scene;
use crate::app::state::Selection;
use crate::app::theme::{group as measure, space};
use crate::app::views::topics::stepped;
use crate::app::widgets;
use crate::inspect::GroupSnapshot;

/// The most of the tab's height that members take.
const MEMBERS_SHARE: f32 = 0.62;
/// A heading, a legend and what is between them.
const AROUND_CHART: f32 = 64.0;

pub fn draw(ui: &mut Ui, scene: &mut Scene<'_>, group: &Arc<GroupSnapshot>) {
    let picture = Arc::clone(scene.picture);
    let shown = partitions(group, &picture);
    let names = member_names(group);
    let whole = ui.available_height();
    walk(scene, group);
    if group.members.is_empty() {
        let sentence = match shown.is_empty() {
            true => "Nobody is in this group, and it has committed nothing.",
            false => {
                "Nobody is in this group: its offsets stay, and who joins it next goes on from them."
            }
        };
        widgets::paragraph(ui, sentence);
        ui.add_space(space::XS);
    }
    if !shown.is_empty() || !group.members.is_empty() {
        matrix::draw(ui, scene, group, &shown, &names, whole * MEMBERS_SHARE);
    }
    if let Some(sentence) = idle_sentence(group, &picture, &names) {
        ui.add_space(space::S);
        widgets::paragraph(ui, &sentence);
    }
    let height = ui.available_height() - AROUND_CHART;
    if shown.is_empty() || height < measure::CHART_LEAST {
        return;
    }
    ui.add_space(space::S);
    lag_chart::draw(ui, scene, group, &shown, height);
}

/// The arrows walk through the members.
fn walk(scene: &mut Scene<'_>, group: &GroupSnapshot) {
    let step = std::mem::take(&mut scene.state.row_step);
    if step == 0 || group.members.is_empty() {
        return;
    }
    let selected = match &scene.state.selection {
        Selection::Member(_, id) => group.members.iter().position(|m| m.id == *id),
        _ => None,
    };
    let next = stepped(selected, step, group.members.len());
    let id = group.members[next].id.clone();
    let member = Selection::Member(group.group.clone(), id);
    scene.state.select(member);
}
