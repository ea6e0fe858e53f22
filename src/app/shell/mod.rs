//! The frame around the views: top bar, navigation, inspector, timeline, notices.

mod banner;
mod nav;
mod notices;
mod pace;
mod timeline;
mod topbar;

use egui::{CentralPanel, Frame, Margin, Panel, Ui};

use super::scene::Scene;
use super::theme::{Theme, size, space};
use super::views::View;
use super::{inspector, panels};

pub use notices::notices;
pub use timeline::concerns;

/// Draws the whole window but for dialogs and notices.
pub fn draw(ui: &mut Ui, views: &mut [Box<dyn View>], scene: &mut Scene<'_>) {
    let theme = Theme::of(ui);
    let panel = |x: f32, y: f32| {
        Frame::new()
            .fill(theme.panel)
            .inner_margin(Margin::symmetric(x as i8, y as i8))
    };
    Panel::top("top")
        .exact_size(size::TOP_BAR)
        .frame(panel(space::M, 0.0))
        .show(ui, |ui| topbar::draw(ui, scene));
    if scene.state.remembered.timeline_open {
        let drawn = Panel::bottom("timeline")
            .resizable(true)
            .default_size(scene.state.remembered.timeline_height)
            .size_range(size::TIMELINE_RANGE)
            .frame(panel(space::M, space::S))
            .show(ui, |ui| timeline::draw(ui, scene));
        scene.state.remembered.timeline_height = drawn.response.rect.height().round();
    }
    let drawn = Panel::left("nav")
        .default_size(scene.state.remembered.nav_width)
        .size_range(size::NAV_RANGE)
        .frame(panel(space::S, space::S))
        .show(ui, |ui| nav::draw(ui, views, scene));
    scene.state.remembered.nav_width = drawn.response.rect.width().round();
    if scene.state.remembered.inspector_open {
        let drawn = Panel::right("inspector")
            .default_size(scene.state.remembered.inspector_width)
            .size_range(size::INSPECTOR_RANGE)
            .frame(panel(space::L, space::M))
            .show(ui, |ui| {
                if scene.state.producing {
                    panels::produce::draw(ui, scene);
                } else if scene.state.consuming {
                    panels::consume::draw(ui, scene);
                } else if scene.state.resetting {
                    panels::reset::draw(ui, scene);
                } else {
                    inspector::draw(ui, scene);
                }
            });
        scene.state.remembered.inspector_width = drawn.response.rect.width().round();
    }
    let middle = Frame::new()
        .fill(theme.window)
        .inner_margin(Margin::symmetric(space::L as i8, space::M as i8));
    CentralPanel::no_frame().frame(middle).show(ui, |ui| {
        banner::draw(ui, scene);
        let shown = scene.state.view;
        for view in views {
            match view.key() == shown {
                true => view.draw(ui, scene),
                false => view.hidden(scene),
            }
        }
    });
    scene.state.forget_keys();
}
