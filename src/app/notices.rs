//! Outcomes of commands as notices in the corner, and the undo chips of deletions.
//!
//! Every command sent through the scene ends in one notice; so does the first failure of each of klar's
//! own producers and consumers. Successes go by themselves, failures stay until closed.

use std::collections::{BTreeMap, BTreeSet};

use crate::ids::Time;
use crate::inspect::{ClusterSnapshot, CommandId, ConsumerState, Failure, OUTCOMES_KEPT, Severity};

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
    /// Commands whose outcome is awaited, and what of it is said.
    awaited: BTreeMap<CommandId, Say>,
    /// Producers whose failure was said.
    failing: BTreeSet<u64>,
    /// Consumers whose failure was said.
    failed: BTreeSet<u64>,
    queue_full: bool,
}

/// Which outcomes of a command become a notice.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Say {
    Everything,
    /// A success shows by itself.
    Failures,
}

impl Notices {
    /// Shows this command's outcome once a picture has it.
    pub fn expect(&mut self, id: CommandId, say: Say) {
        self.awaited.insert(id, say);
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
            text: failure.sentence(),
            since: now,
        });
    }

    /// Takes outcomes from the picture and drops notices whose time is over. Once a frame.
    pub fn see(&mut self, now: Time, picture: &ClusterSnapshot) {
        for outcome in &picture.outcomes {
            let Some(say) = self.awaited.remove(&outcome.id) else {
                continue;
            };
            match &outcome.result {
                Ok(_) if say == Say::Failures => {}
                Ok(done) => self.confirm(now, done.sentence.clone()),
                Err(failure) => self.fail(now, failure),
            }
        }
        self.see_missed(now, picture);
        self.see_producers(now, picture);
        self.see_consumers(now, picture);
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

    /// A window that was not drawn for a while may find only outcomes newer than one it awaits.
    fn see_missed(&mut self, now: Time, picture: &ClusterSnapshot) {
        if picture.outcomes.len() < OUTCOMES_KEPT {
            return;
        }
        let Some(oldest) = picture.outcomes.iter().map(|outcome| outcome.id).min() else {
            return;
        };
        let before = self.awaited.len();
        self.awaited.retain(|id, _| *id >= oldest);
        if self.awaited.len() < before {
            self.show(Notice {
                severity: Severity::Warning,
                title: "An outcome was missed".into(),
                text: format!(
                    "More than {OUTCOMES_KEPT} commands ended at once. The timeline shows what happened."
                ),
                since: now,
            });
        }
    }

    /// Says once that a producer's records fail; nobody may be looking at it.
    fn see_producers(&mut self, now: Time, picture: &ClusterSnapshot) {
        for producer in &picture.producers {
            let (true, Some(error)) = (producer.failed > 0, &producer.last_error) else {
                continue;
            };
            if self.failing.insert(producer.id) {
                self.show(Notice {
                    severity: Severity::Bad,
                    title: format!("{}: {}", producer.plan.name, error.name),
                    text: error.sentence(),
                    since: now,
                });
            }
        }
        let there = |id: &u64| picture.producers.iter().any(|p| p.id == *id);
        self.failing.retain(there);
    }

    /// Says once that a consumer has ended by itself.
    fn see_consumers(&mut self, now: Time, picture: &ClusterSnapshot) {
        for consumer in &picture.consumers {
            let (ConsumerState::Failed, Some(error)) = (consumer.state, &consumer.last_error)
            else {
                continue;
            };
            if self.failed.insert(consumer.id) {
                self.show(Notice {
                    severity: Severity::Bad,
                    title: format!("Consumer {}: {}", consumer.id, error.name),
                    text: error.sentence(),
                    since: now,
                });
            }
        }
        let there = |id: &u64| picture.consumers.iter().any(|one| one.id == *id);
        self.failed.retain(there);
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
