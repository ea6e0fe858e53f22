//! The Storage view: how many bytes each partition's log takes on disk.

use egui::{Ui};

use crate::app::scene::Scene;
use crate::app::state::ViewKey;
use crate::app::views::View;
use crate::app::{format, widgets};

/// The Storage view.
#[derive(Default)]
pub struct Storage;

impl View for Storage {
    fn key(&self) -> ViewKey {
        ViewKey::Storage
    }

    fn name(&self) -> &'static str {
        "Storage"
    }

    fn live(&self, scene: &Scene<'_>) -> String {
        format::bytes(scene.picture.brokers.iter().map(|b| b.log_bytes).sum())
    }

    fn draw(&mut self, ui: &mut Ui, scene: &mut Scene<'_>) {
        widgets::title(ui, "Storage");
        let directory = scene.picture.data_dir.as_deref();
        widgets::muted(ui, directory.unwrap_or("Ephemeral: nothing outlives the program."));
    }
}
