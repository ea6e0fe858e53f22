//! Publishes pictures: only to someone who looks, only when something changed, never too often.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio::sync::watch;
use tokio::time::Instant;

use crate::inspect::ClusterSnapshot;
use crate::runtime::PICTURE_INTERVAL;

/// The publishing end of the window's pictures.
pub struct Show {
    shown: watch::Sender<Arc<ClusterSnapshot>>,
    /// Set by a reader, cleared by the next picture.
    looking: Arc<AtomicBool>,
    looked: bool,
    news: bool,
    newest: Option<Instant>,
    wake: Option<Box<dyn Fn() + Send + Sync>>,
}

impl Show {
    pub fn new(shown: watch::Sender<Arc<ClusterSnapshot>>, looking: Arc<AtomicBool>) -> Show {
        Show {
            shown,
            looking,
            looked: false,
            news: true,
            newest: None,
            wake: None,
        }
    }

    /// Somebody has read the newest picture.
    pub fn look(&mut self) {
        self.looked = true;
    }

    /// The next picture would differ.
    pub fn news(&mut self) {
        self.news = true;
    }

    pub fn on_news(&mut self, wake: Box<dyn Fn() + Send + Sync>) {
        self.wake = Some(wake);
    }

    /// When the next picture is due; `None` while nobody looks or nothing is new.
    pub fn due(&self) -> Option<Instant> {
        if !self.looked || !self.news {
            return None;
        }
        let earliest = self.newest.map(|newest| newest + PICTURE_INTERVAL);
        Some(earliest.unwrap_or_else(Instant::now))
    }

    /// Shows a picture and wakes the window.
    pub fn publish(&mut self, picture: Arc<ClusterSnapshot>) {
        self.shown.send_replace(picture);
        self.looked = false;
        self.news = false;
        self.newest = Some(Instant::now());
        self.looking.store(false, Ordering::Release);
        if let Some(wake) = &self.wake {
            wake();
        }
    }
}
