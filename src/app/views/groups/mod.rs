//! Groups: the list of all consumer groups, and one group's page with who reads what, how far each reader is, and
//! when it rebalanced.
//!
//! Guarantees: what a frame costs depends on what is visible, not on how many groups or partitions there are.

use std::sync::Arc;

use egui::{Key, Ui};

use super::View;
use crate::app::actions::{Action, Keys};
use crate::app::consumers::stoppable;
use crate::app::format;
use crate::app::scene::Scene;
use crate::app::state::{Dialog, GroupTab, ViewKey};
use crate::inspect::{Command, GroupSnapshot};

mod assignment;
mod bands;
mod lag_chart;
mod list;
mod matrix;
mod offsets;
mod page;
mod rebalances;

/// The Groups view.
#[derive(Default)]
pub struct Groups {
    list: list::GroupList,
}

impl View for Groups {
    fn key(&self) -> ViewKey {
        ViewKey::Groups
    }

    fn name(&self) -> &'static str {
        "Groups"
    }

    fn live(&self, scene: &Scene<'_>) -> String {
        format::count(scene.picture.groups.len() as u64)
    }

    fn draw(&mut self, ui: &mut Ui, scene: &mut Scene<'_>) {
        let open = scene.state.open_group.clone();
        match open.and_then(|name| scene.picture.group(&name).cloned()) {
            Some(group) => page::draw(ui, scene, &group),
            None => {
                // A group deleted while its page was open leaves its place to the list.
                scene.state.open_group = None;
                self.list.draw(ui, scene);
            }
        }
    }

    fn actions(&self) -> &'static [Action] {
        ACTIONS
    }
}

const GROUP: &str = "Groups";

/// What the keyboard and the palette do here.
const ACTIONS: &[Action] = &[
    Action {
        name: "Next row",
        group: GROUP,
        keys: Some(Keys::plain(Key::ArrowDown)),
        can: shows_rows,
        run: |scene| scene.state.row_step = 1,
    },
    Action {
        name: "Previous row",
        group: GROUP,
        keys: Some(Keys::plain(Key::ArrowUp)),
        can: shows_rows,
        run: |scene| scene.state.row_step = -1,
    },
    Action {
        name: "Open the selected group",
        group: GROUP,
        keys: Some(Keys::plain(Key::Enter)),
        can: |scene| scene.state.open_group.is_none() && scene.state.selection.group().is_some(),
        run: |scene| {
            if let Some(group) = scene.state.selection.group().map(str::to_owned) {
                scene.state.open_group(&group);
            }
        },
    },
    Action {
        name: "Reset this group's offsets",
        group: GROUP,
        keys: Some(Keys::plain(Key::R)),
        can: can_change,
        run: |scene| {
            if let Some(group) = chosen(scene) {
                scene.state.open_reset(&group);
            }
        },
    },
    Action {
        name: "Add a member to this group",
        group: GROUP,
        keys: Some(Keys::shift(Key::C)),
        can: |scene| can_change(scene) && joinable(scene).is_some(),
        run: |scene| {
            if let Some(group) = joinable(scene) {
                scene.state.add_member(&group);
            }
        },
    },
    Action {
        name: "Stop klar's own members of this group",
        group: GROUP,
        keys: None,
        can: |scene| !own_members(scene).is_empty(),
        run: |scene| {
            for id in own_members(scene) {
                scene.send(Command::StopConsumer { id });
            }
        },
    },
    Action {
        name: "Delete this group",
        group: GROUP,
        keys: Some(Keys::shift(Key::Delete)),
        can: can_change,
        run: |scene| scene.state.dialog = chosen(scene).map(Dialog::DeleteGroup),
    },
    Action {
        name: "Delete this group's offset of the selected partition",
        group: GROUP,
        keys: None,
        can: |scene| can_change(scene) && offset(scene).is_some(),
        run: |scene| scene.state.dialog = offset(scene),
    },
    Action {
        name: "Assignment tab",
        group: GROUP,
        keys: None,
        can: shows_group,
        run: |scene| scene.state.group_tab = GroupTab::Assignment,
    },
    Action {
        name: "Offsets tab",
        group: GROUP,
        keys: None,
        can: shows_group,
        run: |scene| scene.state.group_tab = GroupTab::Offsets,
    },
    Action {
        name: "Rebalances tab",
        group: GROUP,
        keys: None,
        can: shows_group,
        run: |scene| scene.state.group_tab = GroupTab::Rebalances,
    },
];

/// Rows that the arrows walk through are in sight.
fn shows_rows(scene: &Scene<'_>) -> bool {
    let tab = scene.state.group_tab;
    scene.state.open_group.is_none() || tab != GroupTab::Rebalances
}

/// The group that is open or selected.
fn chosen(scene: &Scene<'_>) -> Option<String> {
    let state = &scene.state;
    let name = state.open_group.as_deref().or(state.selection.group())?;
    scene.picture.group(name).map(|group| group.group.clone())
}

/// Whether consumers can join a group: what else its members may coordinate is not for them.
fn can_join(group: &GroupSnapshot) -> bool {
    matches!(group.protocol_type.as_str(), "" | "consumer")
}

fn joinable(scene: &Scene<'_>) -> Option<Arc<GroupSnapshot>> {
    let group = scene.picture.group(&chosen(scene)?)?;
    can_join(group).then(|| Arc::clone(group))
}

/// klar's own consumers in the chosen group, by their ids.
fn own_members(scene: &Scene<'_>) -> Vec<u64> {
    let group = chosen(scene).unwrap_or_default();
    let own = stoppable(&group, scene.picture);
    own.into_iter().map(|one| one.id).collect()
}

fn can_change(scene: &Scene<'_>) -> bool {
    scene.abilities.change_topics && chosen(scene).is_some()
}

/// The dialog about what the open group committed for the selected partition.
fn offset(scene: &Scene<'_>) -> Option<Dialog> {
    let group = scene.picture.group(scene.state.open_group.as_deref()?)?;
    let (topic, index) = page::selected_offset(scene, group)?;
    Some(Dialog::DeleteOffset(group.group.clone(), topic, index))
}

fn shows_group(scene: &Scene<'_>) -> bool {
    scene.state.open_group.is_some()
}
