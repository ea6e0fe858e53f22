//! What is shown over the views: the palette, the shortcut sheet, the Connect card.

mod connect;
mod create_topic;
mod export_events;
mod group;
mod moves;
mod palette;
mod plug;
mod shortcuts;
mod topic;

use egui::{Context, CornerRadius, Frame, Id, Label, Margin, Modal, RichText, Ui};

use super::notices::Say;
use super::scene::Scene;
use super::sent::Sent;
use super::state::Dialog;
use super::theme::{self, Theme, radius, size, space};
use super::views::View;
use super::widgets;
use crate::inspect::Failure;

/// Partitions one topic can be given from the window.
const MAX_PARTITIONS: i32 = 10_000;

/// What the dialogs remember while they are open.
#[derive(Default)]
pub struct Dialogs {
    /// The dialog of the last frame.
    drawn: Option<Dialog>,
    palette: palette::Palette,
    create: create_topic::CreateTopic,
    topic: topic::TopicDialogs,
    moves: moves::MoveDialogs,
    export: export_events::ExportEvents,
}

impl Dialogs {
    /// Draws the open dialog, if any.
    pub fn draw(&mut self, ctx: &Context, views: &[Box<dyn View>], scene: &mut Scene<'_>) {
        self.conclude(scene);
        self.export.see(scene);
        if scene.state.dialog != self.drawn {
            self.drawn = scene.state.dialog.clone();
            self.begin(scene);
        }
        let Some(dialog) = scene.state.dialog.clone() else {
            return;
        };
        let width = match dialog {
            Dialog::Shortcuts | Dialog::Connect | Dialog::TopicSettings(_) => size::DIALOG_WIDE,
            _ => size::DIALOG,
        };
        let how = modal(ctx, scene.dark, &dialog, width, |ui| match &dialog {
            Dialog::Palette => self.palette.draw(ui, views, scene),
            Dialog::Shortcuts => shortcuts::draw(ui, views, scene),
            Dialog::Connect => connect::draw(ui, scene),
            Dialog::CreateTopic => self.create.draw(ui, scene),
            Dialog::AddPartitions(name) => self.topic.add_partitions(ui, scene, name),
            Dialog::EmptyTopic(name) => topic::empty(ui, scene, name),
            Dialog::TopicSettings(name) => self.topic.settings(ui, scene, name),
            Dialog::Reassign(name, index, then) => {
                self.moves.reassign(ui, scene, (name, *index), then);
            }
            Dialog::MoveLeader(name, index) => moves::leader(ui, scene, name, *index),
            Dialog::ExportEvents => self.export.draw(ui, scene),
            Dialog::PullPlug => plug::draw(ui, scene),
            Dialog::DeleteGroup(name) => group::delete(ui, scene, name),
            Dialog::DeleteOffset(name, topic, index) => {
                group::delete_offset(ui, scene, name, topic, *index);
            }
        });
        let closed = match how {
            Closing::Not => false,
            // A click that missed a button must not cost what was typed.
            Closing::Beside => !self.holds_input(&dialog),
            Closing::Escape => true,
        };
        // A dialog may have opened another one in place of itself.
        if closed && scene.state.dialog.as_ref() == Some(&dialog) {
            scene.state.dialog = None;
        }
    }

    /// Closes a dialog whose command succeeded, and says so.
    fn conclude(&mut self, scene: &mut Scene<'_>) {
        let sent = scene.state.dialog_sent.as_ref();
        let Some(Ok(done)) = sent.and_then(|sent| sent.result.clone()) else {
            return;
        };
        scene.notices.confirm(scene.wall, done.sentence);
        scene.state.dialog_sent = None;
        if self.drawn == Some(Dialog::CreateTopic) {
            scene.state.opening = Some(self.create.take_created());
        }
        scene.ctx.request_repaint();
        if scene.state.dialog == self.drawn {
            scene.state.dialog = None;
        }
    }

    /// Another dialog is open than before, or none: what is typed in the others is forgotten, but not
    /// the outcome of what they sent.
    fn begin(&mut self, scene: &mut Scene<'_>) {
        if let Some(sent) = scene.state.dialog_sent.take()
            && sent.is_waiting()
        {
            scene.notices.expect(sent.id, Say::Everything);
        }
        self.palette.reset();
        self.topic = topic::TopicDialogs::default();
        self.moves = moves::MoveDialogs::default();
        self.create.take_keyboard();
        if scene.state.dialog == Some(Dialog::ExportEvents) {
            self.export.begin(scene.now);
        }
    }

    /// Something was typed that closing the dialog would lose.
    fn holds_input(&self, dialog: &Dialog) -> bool {
        match dialog {
            Dialog::CreateTopic => self.create.holds_input(),
            Dialog::TopicSettings(_) => self.topic.holds_input(),
            Dialog::Reassign(..) => self.moves.holds_input(),
            _ => false,
        }
    }
}

/// The dialog's command is under way.
fn is_waiting(scene: &Scene<'_>) -> bool {
    scene
        .state
        .dialog_sent
        .as_ref()
        .is_some_and(Sent::is_waiting)
}

/// Why the dialog's command failed, if it did: above its buttons.
fn failure(ui: &mut Ui, scene: &Scene<'_>) {
    let sent = scene.state.dialog_sent.as_ref();
    if let Some(failure) = sent.and_then(Sent::failure) {
        show_failure(ui, failure);
    }
}

/// A failure's name, what happened and what to do.
fn show_failure(ui: &mut Ui, failure: &Failure) {
    ui.add_space(space::S);
    let name = RichText::new(&failure.name).font(theme::heading());
    ui.add(Label::new(name.color(Theme::of(ui).bad)).wrap());
    widgets::paragraph(ui, &failure.sentence());
}

/// What went wrong, and the buttons that run the dialog's command or close it.
fn confirm(
    ui: &mut Ui,
    scene: &mut Scene<'_>,
    text: &str,
    destroys: bool,
    run: impl FnOnce(&mut Scene<'_>),
) {
    failure(ui, scene);
    ui.add_space(space::S);
    ui.horizontal(|ui| {
        let can = !is_waiting(scene);
        let clicked = if destroys {
            widgets::danger_button(ui, text).clicked()
        } else {
            widgets::primary_button_if(ui, can, text).clicked()
        };
        if clicked && can {
            run(scene);
        }
        if widgets::button(ui, "Cancel").clicked() {
            scene.state.dialog = None;
        }
    });
}

/// Whether and how a dialog is being closed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Closing {
    Not,
    Escape,
    /// A click on the veil.
    Beside,
}

/// Draws a dialog over a veil.
fn modal(
    ctx: &Context,
    dark: bool,
    dialog: &Dialog,
    width: f32,
    content: impl FnOnce(&mut Ui),
) -> Closing {
    let theme = Theme::for_mode(dark);
    let frame = Frame::new()
        .fill(theme.panel)
        .stroke(theme.hairline())
        .corner_radius(CornerRadius::same(radius::CARD))
        .inner_margin(Margin::same(space::L as i8));
    let shown = Modal::new(Id::unique(("dialog", format!("{dialog:?}"))))
        .backdrop_color(theme.veil)
        .frame(frame)
        .show(ctx, |ui| {
            ui.set_width(width);
            content(ui);
        });
    match (shown.backdrop_response.clicked(), shown.should_close()) {
        (true, _) => Closing::Beside,
        (false, true) => Closing::Escape,
        (false, false) => Closing::Not,
    }
}
