//! Where the window's pictures come from.
//!
//! The window knows only [`Source`]: it reads the latest picture once a frame, says what it looks at,
//! and sends commands. A source never blocks its caller.

pub mod live;

use std::sync::Arc;

use crate::inspect::{ClusterSnapshot, Command, CommandId, Focus};

/// Something that can be watched and asked.
pub trait Source {
    /// The newest picture. Cheap: call it once a frame.
    fn latest(&self) -> Arc<ClusterSnapshot>;

    /// Says what pictures must contain from now on.
    fn set_focus(&self, focus: Focus);

    /// Queues a command; its outcome appears in a later picture. `None` when the queue is full.
    fn send(&self, command: Command) -> Option<CommandId>;

    /// What this source can do, so that one view serves several kinds.
    fn abilities(&self) -> Abilities;

    /// Calls `wake` (from any thread) whenever a newer picture is there; replaces an earlier one.
    fn on_news(&self, wake: Box<dyn Fn() + Send + Sync>);
}

/// What a source can do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Abilities {
    pub change_topics: bool,
    pub produce: bool,
    /// Deleting a topic can be undone for a while.
    pub undo_delete: bool,
    /// Brokers can be killed, paused and added, links cut, leaders elected.
    pub break_things: bool,
    /// Time can be slowed and stand still, and messages between brokers be let through one by one.
    pub turn_time: bool,
}

impl Abilities {
    /// What a cluster within this program can do: everything.
    pub const ALL: Abilities = Abilities {
        change_topics: true,
        produce: true,
        undo_delete: true,
        break_things: true,
        turn_time: true,
    };
}
