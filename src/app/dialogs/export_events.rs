//! The dialog that writes what the timeline shows to a file.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::task::Poll;

use egui::{Key, Ui};

use super::show_failure;
use crate::app::export::{Export, Target};
use crate::app::pick_file::PickFile;
use crate::app::scene::Scene;
use crate::app::state::Dialog;
use crate::app::theme::space;
use crate::app::{format, widgets};
use crate::ids::Time;
use crate::inspect::{Event, EventForm, Failure};

/// Points the button beside the path takes.
const CHOOSE: f32 = 96.0;

/// Where to, in which form, and what came of it.
#[derive(Default)]
pub struct ExportEvents {
    path: String,
    form: EventForm,
    /// The path that the desktop's dialog gave: a file that is there may be replaced.
    chosen: Option<String>,
    /// The desktop's dialog gave none.
    none_chosen: bool,
    picking: Option<PickFile>,
    export: Option<Export>,
    failed: Option<Failure>,
}

impl ExportEvents {
    /// Proposes a file. Call when the dialog opens.
    pub fn begin(&mut self, now: Time) {
        if self.export.is_none() {
            *self = ExportEvents {
                form: self.form,
                ..ExportEvents::default()
            };
            self.path = proposal(now, self.form).display().to_string();
        }
    }

    /// Takes what others were asked for. Once a frame, also while the dialog is closed.
    pub fn see(&mut self, scene: &mut Scene<'_>) {
        let answer = self.picking.as_mut().map(PickFile::answer);
        if let Some(Poll::Ready(path)) = answer {
            self.picking = None;
            self.none_chosen = path.is_none();
            if let Some(path) = path {
                self.path = path.display().to_string();
                self.chosen = Some(self.path.clone());
            }
        }
        let Some(ended) = self.export.as_ref().and_then(Export::ended) else {
            return;
        };
        self.export = None;
        let open = scene.state.dialog == Some(Dialog::ExportEvents);
        match ended {
            Ok(sentence) => {
                scene.notices.confirm(scene.wall, sentence);
                scene.state.dialog = scene.state.dialog.take().filter(|_| !open);
            }
            Err(failure) if open => self.failed = Some(failure),
            Err(failure) => scene.notices.fail(scene.wall, &failure),
        }
    }

    pub fn draw(&mut self, ui: &mut Ui, scene: &mut Scene<'_>) {
        let events = wanted(scene);
        widgets::title(ui, "Export events");
        widgets::paragraph(ui, &what(scene, events.len()));
        ui.add_space(space::XS);
        let mut enter = false;
        widgets::facts(ui, |facts| {
            facts.custom("As", |ui| self.forms(ui));
            facts.custom("To", |ui| enter = self.place(ui, scene));
        });
        if self.none_chosen {
            widgets::small(ui, "No file was chosen: the path above can be typed.");
        }
        if let Some(failure) = &self.failed {
            show_failure(ui, failure);
        }
        ui.add_space(space::S);
        ui.horizontal(|ui| {
            let can = self.export.is_none() && !events.is_empty() && !self.path.trim().is_empty();
            let clicked = widgets::primary_button_if(ui, can, "Export").clicked();
            if can && (clicked || enter) {
                self.export(scene, events);
            }
            if widgets::button(ui, "Cancel").clicked() {
                scene.state.dialog = None;
            }
        });
    }

    fn forms(&mut self, ui: &mut Ui) {
        let forms = [
            (EventForm::Text, "Text"),
            (EventForm::JsonLines, "JSON lines"),
        ];
        let before = self.form;
        if !widgets::choices(ui, &mut self.form, &forms) {
            return;
        }
        let path = Path::new(&self.path);
        if path
            .extension()
            .is_some_and(|end| end == before.extension())
        {
            let path = path.with_extension(self.form.extension());
            self.path = path.display().to_string();
        }
    }

    /// The path and the way to the desktop's dialog; true when `Enter` ended the typing.
    fn place(&mut self, ui: &mut Ui, scene: &Scene<'_>) -> bool {
        let mut enter = false;
        ui.horizontal(|ui| {
            let room = ui.available_width() - CHOOSE;
            let field = widgets::text_field(ui, &mut self.path, "File to write", room);
            if field.changed() {
                self.failed = None;
            }
            enter = field.lost_focus() && ui.input(|input| input.key_pressed(Key::Enter));
            let can = self.picking.is_none();
            if widgets::button_if(ui, can, "Choose…", "It is open already").clicked() {
                let proposal = from_home(&self.path);
                self.picking = Some(PickFile::open(scene.ctx, "Export events", &proposal));
                // Asked once, it opens; the answer wakes the window.
                scene.ctx.request_repaint();
            }
        });
        enter
    }

    fn export(&mut self, scene: &Scene<'_>, events: Vec<Arc<Event>>) {
        let target = Target {
            path: from_home(&self.path),
            form: self.form,
            replace: self.chosen.as_ref() == Some(&self.path),
        };
        self.failed = None;
        self.export = Some(Export::begin(scene.ctx, target, events));
    }
}

/// The events the timeline shows, oldest first.
fn wanted(scene: &Scene<'_>) -> Vec<Arc<Event>> {
    let events = scene.picture.events.iter();
    let filter = &scene.state.timeline;
    events
        .filter(|event| filter.takes(event))
        .cloned()
        .collect()
}

/// Which events are meant.
fn what(scene: &Scene<'_>, count: usize) -> String {
    let filter = &scene.state.timeline;
    let events = format::counted(count as u64, "event");
    if filter.is_open() {
        return format!("All there are: {events}, oldest first.");
    }
    let mut narrowed: Vec<String> = Vec::new();
    if !filter.groups.is_empty() {
        let groups = filter
            .groups
            .iter()
            .map(|group| group.name().to_lowercase());
        narrowed.push(groups.collect::<Vec<_>>().join(", "));
    }
    if let Some(subject) = &filter.about {
        narrowed.push(format!("about {subject}"));
    }
    if !filter.text.trim().is_empty() {
        narrowed.push(format!("with “{}”", filter.text.trim()));
    }
    let narrowed = narrowed.join("; ");
    format!("What the timeline shows: {events} ({narrowed}), oldest first.")
}

/// A file in the user's home whose name says when.
fn proposal(now: Time, form: EventForm) -> PathBuf {
    let moment: String = format::date_time(now.as_ms())
        .chars()
        .map(|c| if c == ' ' { '-' } else { c })
        .filter(|c| *c != ':')
        .collect();
    let seconds = moment.split('.').next().unwrap_or(&moment);
    let name = format!("klar-events-{seconds}.{}", form.extension());
    home().unwrap_or_default().join(name)
}

fn home() -> Option<PathBuf> {
    directories::BaseDirs::new().map(|dirs| dirs.home_dir().to_owned())
}

/// A path as typed: `~/` is the user's home, as in a shell.
fn from_home(typed: &str) -> PathBuf {
    let typed = typed.trim();
    let below_home = typed.strip_prefix("~/").zip(home());
    below_home.map_or_else(|| PathBuf::from(typed), |(rest, home)| home.join(rest))
}
