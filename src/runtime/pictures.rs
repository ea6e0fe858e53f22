//! When a broker's picture is built: somebody looks, something changed, the last one is old enough.
//!
//! Nothing is built for nobody: after each picture the reader must ask again, so a stalled window
//! costs the broker nothing.

use std::cell::{Cell, RefCell};

use tokio::sync::Notify;
use tokio::time::Instant;

use super::Report;
use super::driver::Driver;
use super::limits::PICTURE_INTERVAL;
use crate::inspect::Focus;

/// What is known about who looks and what they have seen.
#[derive(Default)]
pub struct Pictures {
    focus: RefCell<Focus>,
    wanted: Cell<bool>,
    /// The broker's change counter at the last picture; `None` makes the next one due at once.
    shown: Cell<Option<u64>>,
    changed: Cell<u64>,
    /// The next picture is to look at everything again.
    anew: Cell<bool>,
    due: Notify,
}

impl Pictures {
    /// Somebody looks again. With a focus, or when `fresh`, a picture is due even without a change. False when none is:
    /// the last one shows what there is.
    pub fn look(&self, focus: Option<Focus>, fresh: bool) -> bool {
        self.wanted.set(true);
        if let Some(focus) = focus {
            *self.focus.borrow_mut() = focus;
            self.shown.set(None);
        }
        if fresh {
            self.anew.set(true);
            self.shown.set(None);
        }
        self.ring_if_due();
        self.is_due()
    }

    /// What pictures contain.
    pub fn focus(&self) -> Focus {
        self.focus.borrow().clone()
    }

    /// The broker's change counter after a call.
    pub fn broker_changed(&self, changed: u64) {
        self.changed.set(changed);
        self.ring_if_due();
    }

    fn is_due(&self) -> bool {
        self.wanted.get() && self.shown.get() != Some(self.changed.get())
    }

    fn ring_if_due(&self) {
        if self.is_due() {
            self.due.notify_one();
        }
    }
}

/// Builds pictures when they are due; returns when the broker crashed.
pub async fn publish(driver: &Driver) {
    let pictures = &driver.pictures;
    let mut newest: Option<Instant> = None;
    loop {
        pictures.due.notified().await;
        if let Some(newest) = newest {
            tokio::time::sleep_until(newest + PICTURE_INTERVAL).await;
        }
        if !pictures.is_due() {
            continue;
        }
        newest = Some(Instant::now());
        let focus = pictures.focus();
        let anew = pictures.anew.take();
        let built = driver.drive(|broker, now| {
            if anew {
                broker.show_anew();
            }
            let picture = broker.picture(now, &focus);
            (picture, broker.changed())
        });
        let Ok((picture, changed)) = built else {
            return;
        };
        if driver.report(Report::Picture(Box::new(picture))) {
            pictures.wanted.set(false);
            pictures.shown.set(Some(changed));
        } else {
            pictures.due.notify_one();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_picture_is_due_only_for_a_reader_who_has_not_seen_it() {
        let pictures = Pictures::default();
        pictures.broker_changed(1);
        assert!(!pictures.is_due(), "nobody looks");
        assert!(pictures.look(None, false));
        assert!(pictures.is_due());
        pictures.shown.set(Some(1));
        assert!(!pictures.is_due(), "nothing new");
        assert!(!pictures.look(None, false), "nothing new to one who asks");
        assert!(pictures.look(None, true), "asked for a fresh one");
        pictures.shown.set(Some(1));
        assert!(
            pictures.look(Some(Focus::default()), false),
            "another focus"
        );
    }
}
