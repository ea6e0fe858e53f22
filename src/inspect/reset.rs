//! Where a group's offsets are moved to: worked out the same for the window and for `klar ctl groups reset`.

use std::collections::BTreeMap;

use crate::ids::{Offset, PartitionIndex};

/// A partition by its topic.
pub type Place = (String, PartitionIndex);

/// Where offsets are to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ResetTo {
    /// The log start.
    Earliest,
    /// The high watermark.
    Latest,
    /// The first record written at a moment or later, by partition as far as it was found.
    Time(BTreeMap<Place, Offset>),
    /// So many offsets on, or back.
    Shift(i64),
    Exact(Offset),
    /// Where another group is.
    As(BTreeMap<Place, Offset>),
}

/// One partition before and after.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ResetRow {
    pub topic: String,
    pub partition: PartitionIndex,
    pub log_start: Offset,
    /// The high watermark.
    pub end: Offset,
    pub now: Option<Offset>,
    /// `None` while that is not known, or where nothing is to be changed.
    pub becomes: Option<Offset>,
}

impl ResetRow {
    /// A partition whose offset stays as it is.
    pub fn new(place: Place, now: Option<Offset>, log_start: Offset, end: Offset) -> ResetRow {
        ResetRow {
            topic: place.0,
            partition: place.1,
            log_start,
            end,
            now,
            becomes: None,
        }
    }

    /// Moves it, never out of the log.
    pub fn to(mut self, to: &ResetTo) -> ResetRow {
        let place = (self.topic.clone(), self.partition);
        let wanted = match to {
            ResetTo::Earliest => Some(self.log_start),
            ResetTo::Latest => Some(self.end),
            ResetTo::Time(found) | ResetTo::As(found) => found.get(&place).copied(),
            ResetTo::Shift(by) => self.now.map(|now| Offset(now.0.saturating_add(*by))),
            ResetTo::Exact(offset) => Some(*offset),
        };
        self.becomes = wanted.map(|at| at.clamp(self.log_start, self.end.max(self.log_start)));
        self
    }

    /// Whether applying it changes anything.
    pub fn moves(&self) -> bool {
        self.becomes.is_some() && self.becomes != self.now
    }

    /// Offsets that will be read again, below 0, or skipped, above it. Without a commit before nobody knows.
    pub fn skipped(&self) -> Option<i64> {
        Some(self.becomes? - self.now?.max(self.log_start))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(now: Option<i64>) -> ResetRow {
        let place = ("orders".to_owned(), PartitionIndex(1));
        ResetRow::new(place, now.map(Offset), Offset(100), Offset(900))
    }

    #[test]
    fn offsets_stay_within_the_log() {
        let found = |offset| {
            let place = ("orders".to_owned(), PartitionIndex(1));
            BTreeMap::from([(place, Offset(offset))])
        };
        for (to, expected) in [
            (ResetTo::Earliest, Some(100)),
            (ResetTo::Latest, Some(900)),
            (ResetTo::Shift(-50), Some(450)),
            (ResetTo::Shift(-500), Some(100)),
            (ResetTo::Shift(i64::MAX), Some(900)),
            (ResetTo::Exact(Offset(7)), Some(100)),
            (ResetTo::Time(found(321)), Some(321)),
            (ResetTo::As(found(5_000)), Some(900)),
            (ResetTo::As(BTreeMap::new()), None),
        ] {
            let moved = row(Some(500)).to(&to);
            assert_eq!(moved.becomes, expected.map(Offset), "{to:?}");
        }
    }

    #[test]
    fn what_is_read_again_and_what_is_skipped_differ_by_sign() {
        assert_eq!(row(Some(500)).to(&ResetTo::Earliest).skipped(), Some(-400));
        assert_eq!(row(Some(500)).to(&ResetTo::Latest).skipped(), Some(400));
        // What was deleted meanwhile is not read again.
        assert_eq!(row(Some(20)).to(&ResetTo::Earliest).skipped(), Some(0));
        assert_eq!(row(None).to(&ResetTo::Latest).skipped(), None);
        assert!(!row(Some(500)).to(&ResetTo::Shift(0)).moves());
        assert!(row(None).to(&ResetTo::Latest).moves());
    }
}
