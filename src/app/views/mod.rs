//! The views of the middle, all of one shape, and the one list that registers them.

use egui::Ui;

use super::actions::Action;
use super::scene::Scene;
use super::state::ViewKey;

pub mod clients;
pub mod cluster;
pub mod groups;
mod ordering;
pub mod storage;
pub mod table;
pub mod timeline;
pub mod topics;

/// One view: a row in the left navigation and what it draws in the middle.
pub trait View {
    /// Its place in the navigation.
    fn key(&self) -> ViewKey;

    /// Its name in the navigation.
    fn name(&self) -> &'static str;

    /// The live number beside the name; empty for none.
    fn live(&self, scene: &Scene<'_>) -> String;

    /// Draws the middle.
    fn draw(&mut self, ui: &mut Ui, scene: &mut Scene<'_>);

    /// Ends what runs only for eyes. Called in every frame that shows another view.
    fn hidden(&mut self, _scene: &mut Scene<'_>) {}

    /// Shortcuts and palette entries that exist while this view is shown.
    fn actions(&self) -> &'static [Action] {
        &[]
    }
}

/// Every view that exists, in the order of the navigation and of the keys `1` to `8`.
pub fn all() -> Vec<Box<dyn View>> {
    vec![
        Box::new(cluster::Cluster::default()),
        Box::new(topics::Topics::default()),
        Box::new(groups::Groups::default()),
        Box::new(clients::Clients::default()),
        Box::new(storage::Storage::default()),
        Box::new(timeline::Timeline::default()),
    ]
}
