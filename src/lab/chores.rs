//! The administrator of a run: makes, grows and deletes topics, moves partitions, has leaders elected.
//!
//! What the end of the run depends on (topics made, grown, deleted) is asked again until its outcome is known;
//! everything else may fail, as long as nothing breaks.

use std::collections::BTreeMap;

use super::clients::{Books, links_config};
use crate::client::{Admin, AdminRequest, CallError, OperationId};
use crate::ids::Time;
use crate::wire::ErrorCode;

/// Pause before something is asked again, milliseconds.
const ASK_AGAIN_MS: i64 = 100;

/// What is to be done about which topic of the schedule.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Chore {
    Make(u32),
    /// More partitions: so many in all.
    Grow(u32, i32),
    Delete(u32),
    /// Whatever comes of it is fine. The name counts what was done.
    Try(&'static str),
}

/// The administrator at work.
pub(super) struct Chores {
    admin: Admin,
    asked: BTreeMap<OperationId, (Chore, AdminRequest)>,
    again: Vec<(Time, Chore, AdminRequest)>,
    /// What was done, since the last look; never a [`Chore::Try`].
    pub done: Vec<Chore>,
    /// What could not be done and should have been.
    pub failed: Vec<String>,
}

/// What an answer says of a chore.
enum Verdict {
    Done,
    AskAgain,
    /// It will not be done, and need not be.
    Dropped,
    Failed(String),
}

impl Chores {
    pub fn new(brokers: u32) -> Chores {
        Chores {
            admin: Admin::new(links_config(brokers, "chores", 2_000)),
            asked: BTreeMap::new(),
            again: Vec::new(),
            done: Vec::new(),
            failed: Vec::new(),
        }
    }

    pub fn admin(&mut self) -> &mut Admin {
        &mut self.admin
    }

    /// Has something done.
    pub fn ask(&mut self, now: Time, chore: Chore, request: AdminRequest) {
        let id = self.admin.request(now, request.clone());
        self.asked.insert(id, (chore, request));
    }

    /// What is not done and must be.
    pub fn open(&self) -> Vec<Chore> {
        let asked = self.asked.values().map(|(chore, _)| *chore);
        let again = self.again.iter().map(|(_, chore, _)| *chore);
        let open = asked.chain(again);
        open.filter(|chore| !matches!(chore, Chore::Try(_)))
            .collect()
    }

    pub fn is_idle(&self) -> bool {
        self.open().is_empty()
    }

    /// When it asks something again.
    pub fn due(&self) -> Option<Time> {
        self.again.iter().map(|(at, ..)| *at).min()
    }

    pub fn work(&mut self, books: &mut Books<'_>) -> bool {
        let mut any = self.ask_again(books.now);
        while let Some((id, answer)) = self.admin.poll_answer() {
            any = true;
            let Some((chore, request)) = self.asked.remove(&id) else {
                continue;
            };
            match verdict(chore, &answer.map(|_| ())) {
                Verdict::Done => {
                    books.tally.count(chore.name());
                    if !matches!(chore, Chore::Try(_)) {
                        self.done.push(chore);
                    }
                }
                Verdict::AskAgain => {
                    let at = books.now.plus_ms(ASK_AGAIN_MS);
                    self.again.push((at, chore, request));
                }
                Verdict::Dropped => books.tally.count("chores failed"),
                Verdict::Failed(why) => self.failed.push(why),
            }
        }
        any
    }

    fn ask_again(&mut self, now: Time) -> bool {
        let (due, later) = std::mem::take(&mut self.again)
            .into_iter()
            .partition(|(at, ..)| *at <= now);
        self.again = later;
        let due: Vec<(Time, Chore, AdminRequest)> = due;
        for (_, chore, request) in &due {
            self.ask(now, *chore, request.clone());
        }
        !due.is_empty()
    }
}

impl Chore {
    /// Its name, as counted when it is done.
    fn name(self) -> &'static str {
        match self {
            Chore::Make(_) => "topics made",
            Chore::Grow(..) => "topics grown",
            Chore::Delete(_) => "topics deleted",
            Chore::Try(name) => name,
        }
    }
}

/// What the end of a request means for its chore.
fn verdict(chore: Chore, answer: &Result<(), CallError>) -> Verdict {
    let error = match answer {
        Ok(()) => return Verdict::Done,
        Err(CallError::Broker { code, .. }) => ErrorCode::from_code(*code),
        Err(_) => None,
    };
    match (chore, error) {
        (Chore::Try(_), _) => Verdict::Dropped,
        // Done by a request whose answer was lost.
        (Chore::Make(_), Some(ErrorCode::TopicAlreadyExists))
        | (Chore::Grow(..), Some(ErrorCode::InvalidPartitions))
        | (Chore::Delete(_), Some(ErrorCode::UnknownTopicOrPartition)) => Verdict::Done,
        // Deleted meanwhile.
        (Chore::Grow(..), Some(ErrorCode::UnknownTopicOrPartition)) => Verdict::Dropped,
        (_, None | Some(ErrorCode::UnknownServerError)) => Verdict::AskAgain,
        (_, Some(error)) if error.retriable() => Verdict::AskAgain,
        // Too few brokers are registered or up for it.
        (Chore::Make(_) | Chore::Grow(..), Some(ErrorCode::InvalidReplicationFactor)) => {
            Verdict::AskAgain
        }
        (_, Some(_)) => Verdict::Failed(format!("{chore:?}: {answer:?}")),
    }
}
