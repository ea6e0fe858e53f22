//! Outcomes of commands as notices in the corner, and the undo chips of deletions.
//!
//! Every command sent through the scene ends in one notice. Successes go by themselves, failures stay
//! until closed.

use std::collections::BTreeSet;

use crate::ids::Time;
use crate::inspect::{ClusterSnapshot, CommandId, Failure, Severity};

/// Milliseconds a good notice stays.
const GOOD_STAYS_MS: i64 = 5_000;
/// Notices kept; older ones go first.
const NOTICES_KEPT: usize = 5;

/// One notice.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Notice {
    pub severity: Severity,
    /// One line: what happened, or the error's name with its code.
    pub title: String,
    /// What happened here and what to do; empty for a success.
    pub text: String,
    pub since: Time,
}

/// Notices on screen and commands whose outcome is awaited.
#[derive(Debug, Default)]
pub struct Notices {
    shown: Vec<Notice>,
    awaited: BTreeSet<CommandId>,
    queue_full: bool,
}

impl Notices {
    /// Shows this command's outcome once a picture has it.
    pub fn expect(&mut self, id: CommandId) {
        self.awaited.insert(id);
    }

    /// The source refused a command because its queue is full.
    pub fn queue_is_full(&mut self) {
        self.queue_full = true;
    }

    /// Shows a notice.
    pub fn show(&mut self, notice: Notice) {
        self.shown.push(notice);
        if self.shown.len() > NOTICES_KEPT {
            self.shown.remove(0);
        }
    }

    /// Shows a short confirmation, such as "Copied".
    pub fn confirm(&mut self, now: Time, title: impl Into<String>) {
        self.show(Notice {
            severity: Severity::Good,
            title: title.into(),
            text: String::new(),
            since: now,
        });
    }

    /// Shows a failure.
    pub fn fail(&mut self, now: Time, failure: &Failure) {
        self.show(Notice {
            severity: Severity::Bad,
            title: failure.name.clone(),
            text: format!("{} {}", failure.what, failure.what_to_do),
            since: now,
        });
    }

    /// Takes outcomes from the picture and drops notices whose time is over. Once a frame.
    pub fn see(&mut self, now: Time, picture: &ClusterSnapshot) {
        for outcome in &picture.outcomes {
            if !self.awaited.remove(&outcome.id) {
                continue;
            }
            match &outcome.result {
                Ok(done) => self.confirm(now, done.sentence.clone()),
                Err(failure) => self.fail(now, failure),
            }
        }
        if std::mem::take(&mut self.queue_full) {
            self.fail(
                now,
                &Failure {
                    name: "Busy".into(),
                    what: "Too many commands are waiting.".into(),
                    what_to_do: "Try again in a moment.".into(),
                },
            );
        }
        self.shown.retain(|notice| {
            notice.severity == Severity::Bad
                || now.since_us(notice.since) < GOOD_STAYS_MS as u64 * 1_000
        });
    }

    /// The notices on screen, oldest first.
    pub fn shown(&self) -> &[Notice] {
        &self.shown
    }

    /// Closes a notice.
    pub fn close(&mut self, index: usize) {
        if index < self.shown.len() {
            self.shown.remove(index);
        }
    }

    /// True while a notice will go by itself: the window must look again.
    pub fn is_waiting(&self) -> bool {
        self.shown
            .iter()
            .any(|notice| notice.severity != Severity::Bad)
    }
}
