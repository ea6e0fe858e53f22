//! Publishes pictures: only to someone who looks, only when something changed, never too often.
//!
//! What brokers ask each other all the time is no news: it is shown with the next news, and once more when that is
//! over, so that what stays in sight is how things came to rest.
//!
//! What is published was told after somebody looked, by every broker that was asked: one that had more to do is not
//! shown as it was before the others.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::Instant;

use crate::ids::BrokerId;
use crate::inspect::ClusterSnapshot;
use crate::runtime::PICTURE_INTERVAL;

/// How long a picture waits for brokers that do not answer; they are shown as they were.
const BROKERS_WAIT: Duration = Duration::from_millis(200);
/// From the newest picture to one that shows no news.
const REST: Duration = Duration::from_secs(1);
/// For so long brokers tell nothing in between what they ask each other, mostly: a moment in the middle of that
/// shows requests that are about to be answered.
const LULL: Duration = Duration::from_millis(66);

/// The publishing end of the window's pictures.
pub struct Show {
    shown: watch::Sender<Arc<ClusterSnapshot>>,
    /// Set by a reader, cleared by the next picture.
    looking: Arc<AtomicBool>,
    looked: bool,
    news: bool,
    /// When brokers told last of what is no news, after the newest picture.
    murmured: Option<Instant>,
    /// The newest picture showed news: one more follows when all is at rest.
    settles: bool,
    /// Counters of what is no news are watched.
    counts: bool,
    /// Brokers that were asked and have not answered yet.
    awaits: BTreeSet<BrokerId>,
    /// They are waited for until then.
    until: Option<Instant>,
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
            murmured: None,
            settles: false,
            counts: false,
            awaits: BTreeSet::new(),
            until: None,
            newest: None,
            wake: None,
        }
    }

    /// Somebody has read the newest picture, and these brokers are asked for the next.
    pub fn look(&mut self, asked: impl Iterator<Item = BrokerId>) {
        self.looked = true;
        self.awaits = asked.collect();
        self.until = Some(Instant::now() + BROKERS_WAIT);
    }

    /// A broker has told what there is, or will not any more.
    pub fn has_answered(&mut self, broker: BrokerId) {
        self.awaits.remove(&broker);
    }

    /// Whether somebody has read the newest picture, and so wants the next.
    pub fn is_looked_at(&self) -> bool {
        self.looked
    }

    /// The next picture would differ.
    pub fn news(&mut self) {
        self.news = true;
    }

    /// The next picture would differ in nothing but what brokers ask each other all the time.
    pub fn murmur(&mut self) {
        self.murmured = Some(Instant::now());
    }

    /// Whether counters of what is no news are watched from now on.
    pub fn count(&mut self, counts: bool) {
        self.counts = counts;
    }

    pub fn on_news(&mut self, wake: Box<dyn Fn() + Send + Sync>) {
        self.wake = Some(wake);
    }

    /// When the next picture is due; `None` while nobody looks or nothing is new.
    pub fn due(&self) -> Option<Instant> {
        if !self.looked {
            return None;
        }
        let rested = self.rested()?;
        let waited = self.until.filter(|_| !self.awaits.is_empty());
        Some(waited.map_or(rested, |waited| waited.max(rested)))
    }

    /// When what is to be shown may be; `None` while that is nothing.
    fn rested(&self) -> Option<Instant> {
        let Some(newest) = self.newest else {
            return Some(Instant::now());
        };
        if self.news {
            return Some(newest + PICTURE_INTERVAL);
        }
        let murmured = self.murmured?;
        match (self.counts, self.settles) {
            (true, _) => Some(newest + REST),
            (false, true) => {
                let lull = murmured + LULL;
                Some(lull.clamp(newest + REST, newest + 2 * REST))
            }
            (false, false) => None,
        }
    }

    /// Shows a picture and wakes the window.
    pub fn publish(&mut self, picture: Arc<ClusterSnapshot>) {
        self.shown.send_replace(picture);
        self.looked = false;
        self.settles = std::mem::take(&mut self.news);
        self.murmured = None;
        self.newest = Some(Instant::now());
        self.looking.store(false, Ordering::Release);
        if let Some(wake) = &self.wake {
            wake();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn show() -> Show {
        let (shown, _) = watch::channel(Arc::default());
        let mut show = Show::new(shown, Arc::default());
        show.publish(Arc::default());
        show.look(std::iter::empty());
        show
    }

    #[test]
    fn what_is_no_news_is_shown_once_when_news_are_over() {
        let mut show = show();
        assert_eq!(show.due(), None, "nothing came");
        show.murmur();
        let rest = show
            .due()
            .zip(show.newest)
            .map(|(due, newest)| due - newest);
        assert!(rest.is_some_and(|rest| (REST..=2 * REST).contains(&rest)));
        show.publish(Arc::default());
        show.look(std::iter::empty());
        show.murmur();
        assert_eq!(show.due(), None, "all is at rest");
        show.count(true);
        assert_eq!(show.due(), show.newest.map(|newest| newest + REST));
        show.news();
        assert_eq!(
            show.due(),
            show.newest.map(|newest| newest + PICTURE_INTERVAL)
        );
    }

    #[test]
    fn nothing_is_shown_to_nobody() {
        let mut show = show();
        show.publish(Arc::default());
        show.news();
        assert_eq!(show.due(), None);
    }

    /// Whether a picture is due now.
    fn is_due(show: &Show) -> bool {
        show.due().is_some_and(|due| due <= Instant::now())
    }

    #[test]
    fn a_picture_waits_for_every_broker_that_was_asked_but_not_for_ever() {
        let brokers = [1, 2].map(BrokerId);
        let (shown, _) = watch::channel(Arc::default());
        let mut show = Show::new(shown, Arc::default());
        assert_eq!(show.due(), None, "nobody looks");
        show.look(brokers.into_iter());
        assert!(!is_due(&show), "nobody has answered");
        show.has_answered(brokers[0]);
        assert!(!is_due(&show), "one has not");
        assert!(show.due() <= Some(Instant::now() + BROKERS_WAIT));
        show.has_answered(brokers[1]);
        assert!(is_due(&show));
        show.publish(Arc::default());
        assert_eq!(show.due(), None, "it was shown, and nobody looks again");
        show.news();
        show.look(brokers[..1].iter().copied());
        show.has_answered(brokers[0]);
        assert!(show.due() > Some(Instant::now()), "not so soon");
    }
}
