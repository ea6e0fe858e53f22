//! Topic and placement commands, through klar's own admin client; and deletions that can still be taken back.
//!
//! Each command ends in exactly one outcome. An undoable deletion ends when it is scheduled; should the
//! deletion itself fail later, a second outcome with the same id says so.

use std::collections::BTreeMap;

use super::commands::Concluded;
use super::placing::{Next, Placing};
use crate::client::{Admin, AdminAnswer, AdminRequest, LinksConfig, OperationId};
use crate::ids::Time;
use crate::inspect::{Command, CommandId, Failure, UNDO_DELETE_MS};

/// The admin and what it was asked.
pub struct Topics {
    pub admin: Admin,
    asked: BTreeMap<OperationId, Asked>,
    deleting: BTreeMap<String, (Time, CommandId)>,
    /// The admin was given a request since it last acted.
    unsent: bool,
}

struct Asked {
    id: CommandId,
    /// What to say when it is done.
    sentence: String,
    /// A success was told when the deletion was scheduled.
    quiet: bool,
    /// The answer may lead to another request.
    placing: Option<Placing>,
}

impl Topics {
    pub fn new(links: LinksConfig) -> Topics {
        Topics {
            admin: Admin::new(links),
            asked: BTreeMap::new(),
            deleting: BTreeMap::new(),
            unsent: false,
        }
    }

    /// Starts a topic command; a conclusion that is known at once comes back.
    pub fn run(&mut self, now: Time, id: CommandId, command: Command) -> Option<Concluded> {
        match command {
            Command::DeleteTopic { name, now: false } => Some(self.schedule_delete(now, id, name)),
            Command::UndoDelete { name } => Some(self.undo_delete(id, &name)),
            other => {
                if let Some(placing) = Placing::of(&other) {
                    self.place(now, id, placing);
                    return None;
                }
                let (request, sentence) = request_of(other)?;
                if let AdminRequest::DeleteTopic { name } = &request {
                    self.deleting.remove(name);
                }
                self.ask(now, id, request, sentence, false);
                None
            }
        }
    }

    /// Deletes what has waited long enough; true when something was due.
    pub fn on_time(&mut self, now: Time) -> bool {
        let due: Vec<String> = self
            .deleting
            .iter()
            .filter(|(_, (at, _))| *at <= now)
            .map(|(name, _)| name.clone())
            .collect();
        for name in &due {
            self.delete_now(now, name);
        }
        !due.is_empty()
    }

    /// Deletes everything that waits, because the program ends.
    pub fn delete_all_now(&mut self, now: Time) {
        let names: Vec<String> = self.deleting.keys().cloned().collect();
        for name in names {
            self.delete_now(now, &name);
        }
    }

    /// True while an answer of the admin is expected.
    pub fn is_busy(&self) -> bool {
        !self.asked.is_empty()
    }

    pub fn next_due(&self) -> Option<Time> {
        self.deleting.values().map(|(at, _)| *at).min()
    }

    /// Topics that wait for their deletion, and when it comes.
    pub fn deleting(&self) -> Vec<(String, Time)> {
        self.deleting
            .iter()
            .map(|(name, (at, _))| (name.clone(), *at))
            .collect()
    }

    /// The next command that ended. Answers may have led to more requests: let the admin act again.
    pub fn poll_concluded(&mut self, now: Time) -> Option<Concluded> {
        loop {
            let (operation, answer) = self.admin.poll_answer()?;
            let Some(asked) = self.asked.remove(&operation) else {
                continue;
            };
            if let Some(placing) = asked.placing {
                match placing.next(answer) {
                    Next::Ask(next) => self.place(now, asked.id, next),
                    Next::Done(said) => return Some(Concluded::done(asked.id, said)),
                    Next::Failed(failure) => return Some(Concluded::failed(asked.id, failure)),
                }
                continue;
            }
            match answer {
                Ok(
                    AdminAnswer::Done
                    | AdminAnswer::LogStarts(_)
                    | AdminAnswer::Configs(_)
                    | AdminAnswer::Placed(_),
                ) => {
                    if !asked.quiet {
                        return Some(Concluded::done(asked.id, asked.sentence));
                    }
                }
                Err(error) => return Some(Concluded::failed(asked.id, error.to_failure())),
            }
        }
    }

    fn ask(
        &mut self,
        now: Time,
        id: CommandId,
        request: AdminRequest,
        sentence: String,
        quiet: bool,
    ) {
        let operation = self.admin.request(now, request);
        let asked = Asked {
            id,
            sentence,
            quiet,
            placing: None,
        };
        self.asked.insert(operation, asked);
    }

    fn place(&mut self, now: Time, id: CommandId, placing: Placing) {
        let operation = self.admin.request(now, placing.request());
        let asked = Asked {
            id,
            sentence: String::new(),
            quiet: false,
            placing: Some(placing),
        };
        self.asked.insert(operation, asked);
        self.unsent = true;
    }

    /// True once after an answer led to another request.
    pub fn take_unsent(&mut self) -> bool {
        std::mem::take(&mut self.unsent)
    }

    fn delete_now(&mut self, now: Time, name: &str) {
        if let Some((_, id)) = self.deleting.remove(name) {
            let request = AdminRequest::DeleteTopic {
                name: name.to_owned(),
            };
            self.ask(now, id, request, String::new(), true);
        }
    }

    fn schedule_delete(&mut self, now: Time, id: CommandId, name: String) -> Concluded {
        let due = (now.plus_ms(UNDO_DELETE_MS), id);
        let (at, _) = *self.deleting.entry(name.clone()).or_insert(due);
        let seconds = at.since_us(now).div_ceil(1_000_000);
        let sentence =
            format!("Topic {name} goes in {seconds} s; until then it can be taken back.");
        Concluded::done(id, sentence)
    }

    fn undo_delete(&mut self, id: CommandId, name: &str) -> Concluded {
        match self.deleting.remove(name) {
            Some(_) => Concluded::done(id, format!("Topic {name} stays.")),
            None => Concluded::failed(
                id,
                Failure {
                    name: "NOTHING_TO_UNDO".into(),
                    what: format!("no deletion of topic {name} waits"),
                    what_to_do: "If it is gone already, create it again; its records are lost."
                        .into(),
                },
            ),
        }
    }
}

/// The admin's request for a command, and the sentence that says it is done.
fn request_of(command: Command) -> Option<(AdminRequest, String)> {
    let asked = match command {
        Command::CreateTopic {
            name,
            partitions,
            replication_factor,
            configs,
        } => {
            let sentence = format!("Topic {name} is there, with {partitions} partitions.");
            let request = AdminRequest::CreateTopic {
                name,
                partitions,
                replication_factor,
                configs,
            };
            (request, sentence)
        }
        Command::DeleteTopic { name, .. } => {
            let sentence = format!("Topic {name} is deleted.");
            (AdminRequest::DeleteTopic { name }, sentence)
        }
        Command::EmptyTopic { name } => {
            let sentence = format!("Topic {name} is empty; its id and settings stay.");
            (AdminRequest::EmptyTopic { topic: name }, sentence)
        }
        Command::AddPartitions { name, total } => {
            let sentence = format!("Topic {name} has {total} partitions now.");
            (AdminRequest::AddPartitions { topic: name, total }, sentence)
        }
        Command::AlterTopic { name, configs } => {
            let sentence = format!("Topic {name} has its new settings.");
            let request = AdminRequest::AlterTopic {
                topic: name,
                configs,
            };
            (request, sentence)
        }
        _ => return None,
    };
    Some(asked)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn topics() -> Topics {
        Topics::new(LinksConfig::new("127.0.0.1", 9092, "test"))
    }

    fn delete(name: &str) -> Command {
        Command::DeleteTopic {
            name: name.into(),
            now: false,
        }
    }

    #[test]
    fn a_deletion_waits_and_can_be_taken_back() {
        let mut topics = topics();
        let scheduled = topics.run(Time(0), CommandId(1), delete("a")).unwrap();
        assert!(scheduled.result.is_ok());
        assert_eq!(topics.next_due(), Some(Time::from_ms(UNDO_DELETE_MS)));
        let undo = Command::UndoDelete { name: "a".into() };
        assert!(
            topics
                .run(Time(1), CommandId(2), undo.clone())
                .unwrap()
                .result
                .is_ok()
        );
        let again = topics.run(Time(2), CommandId(3), undo).unwrap();
        assert_eq!(again.result.unwrap_err().name, "NOTHING_TO_UNDO");
        assert!(!topics.on_time(Time::from_ms(UNDO_DELETE_MS)));
    }

    #[test]
    fn a_deletion_that_is_due_is_asked_for_once() {
        let mut topics = topics();
        topics.run(Time(0), CommandId(1), delete("a"));
        assert!(topics.on_time(Time::from_ms(UNDO_DELETE_MS)));
        assert!(topics.is_busy());
        assert!(!topics.on_time(Time::from_ms(UNDO_DELETE_MS)));
    }
}
