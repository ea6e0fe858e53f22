//! Events into a file, on a thread of its own: the window never waits for a disk.

use std::fs::File;
use std::io::{self, BufWriter, Write as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};

use super::format;
use crate::inspect::{Event, EventForm, Failure};

/// Where events go, and how they are written there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    pub path: PathBuf,
    pub form: EventForm,
    /// Whoever chose the file knows that it is there.
    pub replace: bool,
}

/// How an export ended: what was written where, or why it was not.
pub type Ended = Result<String, Failure>;

/// An export under way.
pub struct Export {
    ended: Receiver<Ended>,
}

impl Export {
    /// Begins to write; `ctx` is drawn again when that has ended.
    pub fn begin(ctx: &egui::Context, target: Target, events: Vec<Arc<Event>>) -> Export {
        let (tell, ended) = channel();
        let (told, ctx) = (tell.clone(), ctx.clone());
        let path = target.path.clone();
        let write = move || conclude(&tell, &ctx, &target, &events);
        let thread = std::thread::Builder::new().name("export".to_owned());
        if let Err(error) = thread.spawn(write) {
            // The window may have gone meanwhile.
            let _ = told.send(Err(failure(&path, &error)));
        }
        Export { ended }
    }

    /// How it ended, once it has.
    pub fn ended(&self) -> Option<Ended> {
        self.ended.try_recv().ok()
    }
}

fn conclude(tell: &Sender<Ended>, ctx: &egui::Context, target: &Target, events: &[Arc<Event>]) {
    let shown = std::path::absolute(&target.path).unwrap_or_else(|_| target.path.clone());
    let ended = match write(target, events) {
        Ok(()) => {
            let events = format::counted(events.len() as u64, "event");
            Ok(format!("{events} written to {}.", shown.display()))
        }
        Err(error) => Err(failure(&shown, &error)),
    };
    // The window may have gone meanwhile.
    let _ = tell.send(ended);
    ctx.request_repaint();
}

fn write(target: &Target, events: &[Arc<Event>]) -> io::Result<()> {
    let mut options = File::options();
    options.write(true);
    match target.replace {
        true => options.create(true).truncate(true),
        false => options.create_new(true),
    };
    let mut file = BufWriter::new(options.open(&target.path)?);
    for event in events {
        writeln!(file, "{}", event.line(target.form))?;
    }
    file.flush()
}

fn failure(path: &Path, error: &io::Error) -> Failure {
    let what_to_do = match error.kind() {
        io::ErrorKind::AlreadyExists => "Choose another name.",
        io::ErrorKind::NotFound => "Choose a directory that is there.",
        _ => "Choose another place.",
    };
    Failure {
        name: "NOT_EXPORTED".into(),
        what: format!("{}: {error}", path.display()),
        what_to_do: what_to_do.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::{BrokerId, Time};
    use crate::inspect::EventKind;

    fn events() -> Vec<Arc<Event>> {
        let killed = |number| Event {
            number,
            time: Time::from_ms(1_709_210_096_789),
            broker: Some(BrokerId(2)),
            kind: EventKind::BrokerKilled {
                cause: "somebody asked for it".into(),
            },
        };
        (1..=2).map(|number| Arc::new(killed(number))).collect()
    }

    fn export(path: &Path, form: EventForm, replace: bool) -> Ended {
        let target = Target {
            path: path.to_owned(),
            form,
            replace,
        };
        let export = Export::begin(&egui::Context::default(), target, events());
        export.ended.recv().unwrap()
    }

    #[test]
    fn what_is_written_is_read_back() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("events.jsonl");
        let said = export(&path, EventForm::JsonLines, false).unwrap();
        assert_eq!(said, format!("2 events written to {}.", path.display()));
        let text = std::fs::read_to_string(&path).unwrap();
        let read: Vec<Event> = text
            .lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect();
        let written: Vec<Event> = events().iter().map(|event| Event::clone(event)).collect();
        assert_eq!(read, written);
    }

    #[test]
    fn a_file_that_is_there_is_replaced_only_if_it_was_chosen() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("notes.txt");
        std::fs::write(&path, "mine").unwrap();
        let failure = export(&path, EventForm::Text, false).unwrap_err();
        let path_and_cause = failure.sentence();
        assert!(path_and_cause.contains(&path.display().to_string()));
        assert!(path_and_cause.contains("exists"), "{path_and_cause}");
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "mine");
        export(&path, EventForm::Text, true).unwrap();
        assert!(std::fs::read_to_string(&path).unwrap().contains("Killed"));
    }
}
