//! What is shown over the views: the palette, the shortcut sheet, the Connect card.

mod connect;
mod create_topic;
mod palette;
mod shortcuts;
mod topic;

use egui::{Context, CornerRadius, Frame, Id, Margin, Modal, Ui};

use super::scene::Scene;
use super::state::Dialog;
use super::theme::{Theme, radius, size, space};
use super::views::View;

/// What the dialogs remember while they are open.
#[derive(Default)]
pub struct Dialogs {
    palette: palette::Palette,
    create: create_topic::CreateTopic,
    topic: topic::TopicDialogs,
}

impl Dialogs {
    /// Draws the open dialog, if any.
    pub fn draw(&mut self, ctx: &Context, views: &[Box<dyn View>], scene: &mut Scene<'_>) {
        let Some(dialog) = scene.state.dialog.clone() else {
            self.palette.reset();
            self.topic.reset();
            return;
        };
        let width = match dialog {
            Dialog::Shortcuts | Dialog::Connect | Dialog::TopicSettings(_) => size::DIALOG_WIDE,
            _ => size::DIALOG,
        };
        let closed = modal(ctx, scene.dark, &dialog, width, |ui| match &dialog {
            Dialog::Palette => self.palette.draw(ui, views, scene),
            Dialog::Shortcuts => shortcuts::draw(ui, views, scene),
            Dialog::Connect => connect::draw(ui, scene),
            Dialog::CreateTopic => self.create.draw(ui, scene),
            Dialog::AddPartitions(name) => self.topic.add_partitions(ui, scene, name),
            Dialog::EmptyTopic(name) => topic::empty(ui, scene, name),
            Dialog::TopicSettings(name) => self.topic.settings(ui, scene, name),
        });
        // A dialog may have opened another one in place of itself.
        if closed && scene.state.dialog.as_ref() == Some(&dialog) {
            scene.state.dialog = None;
        }
    }
}

/// Draws a dialog over a veil; true when it was closed by `Esc` or a click beside it.
fn modal(
    ctx: &Context,
    dark: bool,
    dialog: &Dialog,
    width: f32,
    content: impl FnOnce(&mut Ui),
) -> bool {
    let theme = Theme::for_mode(dark);
    let frame = Frame::new()
        .fill(theme.panel)
        .stroke(theme.hairline())
        .corner_radius(CornerRadius::same(radius::CARD))
        .inner_margin(Margin::same(space::L as i8));
    Modal::new(Id::unique(("dialog", format!("{dialog:?}"))))
        .backdrop_color(theme.veil)
        .frame(frame)
        .show(ctx, |ui| {
            ui.set_width(width);
            content(ui);
        })
        .should_close()
}
