//! A command whose outcome is shown where it was sent: in the produce panel or in a dialog.
//!
//! Pictures carry only the newest outcomes, so one that was seen is kept here. Plain values, no egui.

use crate::inspect::{ClusterSnapshot, CommandId, Done, Failure};

/// A command and, once a picture had it, how it ended.
#[derive(Debug, Clone, PartialEq)]
pub struct Sent {
    pub id: CommandId,
    /// `None` until it has ended.
    pub result: Option<Result<Done, Failure>>,
}

impl Sent {
    /// A command that was queued just now.
    pub fn new(id: CommandId) -> Sent {
        Sent { id, result: None }
    }

    /// Takes the outcome from the picture if it has it. Once a frame.
    pub fn see(&mut self, picture: &ClusterSnapshot) {
        if self.result.is_some() {
            return;
        }
        let outcome = picture
            .outcomes
            .iter()
            .rev()
            .find(|outcome| outcome.id == self.id);
        self.result = outcome.map(|outcome| outcome.result.clone());
    }

    /// True until the outcome was seen.
    pub fn is_waiting(&self) -> bool {
        self.result.is_none()
    }

    /// Why it failed, if it did.
    pub fn failure(&self) -> Option<&Failure> {
        self.result.as_ref()?.as_ref().err()
    }
}
