//! The embedded cluster as a source of pictures.
//!
//! Guarantees that no call blocks: pictures are read from a watch, everything else goes through a
//! bounded queue. Reading a picture is what asks for the next one, so a window that does not look
//! costs the brokers nothing.

use std::sync::Arc;

use super::{Abilities, Source};
use crate::cluster::ClusterLink;
use crate::inspect::{ClusterSnapshot, Command, CommandId, Focus};

/// A window's view of the cluster in this process.
#[derive(Debug, Clone)]
pub struct LiveSource {
    link: ClusterLink,
}

impl LiveSource {
    pub fn new(link: ClusterLink) -> LiveSource {
        LiveSource { link }
    }
}

impl Source for LiveSource {
    fn latest(&self) -> Arc<ClusterSnapshot> {
        self.link.latest()
    }

    fn set_focus(&self, focus: Focus) {
        self.link.set_focus(focus);
    }

    fn send(&self, command: Command) -> Option<CommandId> {
        self.link.send(command)
    }

    fn abilities(&self) -> Abilities {
        Abilities::ALL
    }

    fn on_news(&self, wake: Box<dyn Fn() + Send + Sync>) {
        self.link.on_news(wake);
    }
}
