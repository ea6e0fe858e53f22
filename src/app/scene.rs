//! What a view is given to draw one frame: the picture, the shared state, and ways to ask for things.

use std::sync::Arc;

use super::flights::Flights;
use super::history::{History, Rates, find_topic};
use super::notices::{Notices, Say};
use super::sent::Sent;
use super::state::UiState;
use crate::ids::Time;
use crate::inspect::{ClusterSnapshot, Command, CommandId, ConsumerSnapshot, Focus, TopicSnapshot};
use crate::source::{Abilities, Source};

/// One frame's view of everything. Reading is free; commands and focus go through it.
pub struct Scene<'a> {
    pub picture: &'a Arc<ClusterSnapshot>,
    pub state: &'a mut UiState,
    pub history: &'a History,
    pub flights: &'a Flights,
    pub notices: &'a mut Notices,
    /// What the next pictures must contain: filled anew each frame by what is visible.
    pub focus: &'a mut Focus,
    /// The moment of this frame in the cluster's time.
    pub now: Time,
    /// The same for what the window itself shows for a while: slow motion does not stretch it.
    pub wall: Time,
    pub abilities: Abilities,
    /// The window is drawn in the dark theme.
    pub dark: bool,
    pub ctx: &'a egui::Context,
    pub source: &'a dyn Source,
}

impl Scene<'_> {
    /// Queues a command. Its outcome is shown as a notice; `None` (with a notice) when the queue is full.
    pub fn send(&mut self, command: Command) -> Option<CommandId> {
        // A deletion that can be undone says so by its undo chip.
        let say = match command {
            Command::DeleteTopic { now: false, .. } if self.abilities.undo_delete => Say::Failures,
            // A consumer's state says it.
            Command::PauseConsumer { .. }
            | Command::ResumeConsumer { .. }
            | Command::CrashConsumer { .. }
            | Command::StopConsumer { .. } => Say::Failures,
            // The line across the view says how time passes, the timeline what was let through.
            Command::SlowTime { .. }
            | Command::PauseTime
            | Command::ResumeTime
            | Command::Step
            | Command::FreezeReplication
            | Command::ThawReplication => Say::Failures,
            _ => Say::Everything,
        };
        let id = self.source.send(command);
        match id {
            Some(id) => self.notices.expect(id, say),
            None => self.notices.queue_is_full(),
        }
        id
    }

    /// Queues a command whose outcome the caller shows itself.
    pub fn send_quietly(&mut self, command: Command) -> Option<CommandId> {
        self.source.send(command)
    }

    /// Queues a command for the open dialog, which closes when it succeeds and shows why it did not.
    pub fn send_from_dialog(&mut self, command: Command) {
        self.state.dialog_sent = self.send_quietly(command).map(Sent::new);
        if self.state.dialog_sent.is_none() {
            self.notices.queue_is_full();
        }
    }

    /// Copies text and says so.
    pub fn copy(&mut self, text: String, confirmation: &str) {
        self.ctx.copy_text(text);
        self.notices.confirm(self.wall, confirmation);
    }

    /// A topic of the picture by its name.
    pub fn topic(&self, name: &str) -> Option<Arc<TopicSnapshot>> {
        find_topic(&self.picture.topics, name).cloned()
    }

    /// Records and bytes a second written to a topic.
    pub fn topic_rate(&self, topic: &Arc<TopicSnapshot>) -> (f64, f64) {
        self.history.topic_rate(self.wall, topic)
    }

    /// Records a second that one of klar's own consumers processes.
    pub fn consumer_rate(&self, consumer: &ConsumerSnapshot) -> f64 {
        self.history.consumer_rate(self.wall, consumer)
    }

    /// Rates of everything.
    pub fn rates(&self) -> Rates {
        self.history.rates(self.wall, self.picture)
    }

    /// True when a topic is waiting out its undo time.
    pub fn is_deleting(&self, topic: &str) -> bool {
        self.picture.deleting.iter().any(|(name, _)| name == topic)
    }
}
