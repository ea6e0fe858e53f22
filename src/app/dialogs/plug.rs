//! The dialog that asks before the plug is pulled, and says what an ack is worth then.

use egui::Ui;

use super::confirm;
use crate::app::scene::Scene;
use crate::app::widgets;
use crate::inspect::{Command, Durability};

pub fn draw(ui: &mut Ui, scene: &mut Scene<'_>) {
    widgets::title(ui, "Pull the plug");
    widgets::paragraph(
        ui,
        "Every broker ends at this moment, every file is cut to what was synced, and those that ran start again: \
         what a power loss does to machines that share one power strip.",
    );
    widgets::paragraph(ui, promise(scene.picture.durability));
    widgets::paragraph(
        ui,
        "What was lost is told, partition by partition. This cannot be undone.",
    );
    confirm(ui, scene, "Pull the plug", true, |scene| {
        scene.send_from_dialog(Command::PullPlug);
    });
}

/// What may be lost.
fn promise(durability: Durability) -> &'static str {
    match durability {
        Durability::Os => {
            "Durability is os: an ack waits until a record is written, not until it is on the disk. What was \
             acknowledged since the last sync, up to about a second, may be gone from every replica."
        }
        Durability::Batch => {
            "Durability is batch: an ack waits until a record is on the disk. Nothing that was acknowledged is lost."
        }
        Durability::Memory => {
            "Durability is memory: nothing is on a disk. Every topic and every record will be gone."
        }
    }
}
