//! The dialogs that ask before a group, or what it committed for a partition, is deleted.

use egui::Ui;

use super::confirm;
use crate::app::groups::member_names;
use crate::app::scene::Scene;
use crate::app::{format, widgets};
use crate::ids::PartitionIndex;
use crate::inspect::Command;

/// Asks before a group is deleted with its offsets.
pub fn delete(ui: &mut Ui, scene: &mut Scene<'_>, name: &str) {
    let Some(group) = scene.picture.group(name).cloned() else {
        widgets::paragraph(ui, &format!("Group {name} is gone."));
        return;
    };
    widgets::title(ui, &format!("Delete group {name}"));
    let offsets = group.offsets.len() as u64;
    widgets::paragraph(
        ui,
        &format!(
            "Forgets {}. Who joins under this name later begins where auto.offset.reset says. This cannot be undone.",
            format::counted(offsets, "committed offset")
        ),
    );
    if !group.members.is_empty() {
        let names = member_names(&group).join(", ");
        widgets::paragraph(
            ui,
            &format!("It has members, so its coordinator will refuse. Stop them first: {names}."),
        );
    }
    confirm(ui, scene, "Delete group", true, |scene| {
        scene.send_from_dialog(Command::DeleteGroup {
            group: name.to_owned(),
        });
    });
}

/// Asks before what a group committed for one partition is forgotten.
pub fn delete_offset(
    ui: &mut Ui,
    scene: &mut Scene<'_>,
    name: &str,
    topic: &str,
    index: PartitionIndex,
) {
    let found = scene.picture.group(name);
    let committed = found.and_then(|group| group.offset(topic, index));
    let Some(committed) = committed.map(|offset| offset.committed) else {
        widgets::paragraph(ui, &format!("Group {name} has committed nothing there."));
        return;
    };
    widgets::title(ui, &format!("Delete the offset of {topic}-{index}"));
    widgets::paragraph(
        ui,
        &format!(
            "Group {name} forgets that it goes on from {}. Its next reader begins where auto.offset.reset says.",
            format::signed(committed.0)
        ),
    );
    confirm(ui, scene, "Delete offset", true, |scene| {
        scene.send_from_dialog(Command::DeleteOffsets {
            group: name.to_owned(),
            partitions: vec![(topic.to_owned(), index)],
        });
    });
}
