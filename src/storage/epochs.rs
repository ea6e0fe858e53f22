//! Which leader epoch began at which offset of a log.
//!
//! Equals what a scan of the batches would give (D5), and is kept in `leader-epoch-checkpoint` so that a
//! flipped leader epoch in a batch (its CRC does not cover it) is noticed.

use super::format::{self, Fields, FormatError};
use crate::ids::{LeaderEpoch, Offset};

/// Leader epochs and the offsets they began at, both growing.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Epochs {
    starts: Vec<(LeaderEpoch, Offset)>,
}

impl Epochs {
    /// Notes that a batch of `epoch` begins at `offset`; true if the epoch is new.
    pub fn assign(&mut self, epoch: LeaderEpoch, offset: Offset) -> bool {
        if epoch <= self.latest() {
            return false;
        }
        self.starts.push((epoch, offset));
        true
    }

    /// The newest epoch; [`LeaderEpoch::NONE`] without one.
    pub fn latest(&self) -> LeaderEpoch {
        self.starts.last().map_or(LeaderEpoch::NONE, |last| last.0)
    }

    /// The epoch of the record at `offset`.
    pub fn at(&self, offset: Offset) -> LeaderEpoch {
        let after = self.starts.partition_point(|(_, start)| *start <= offset);
        match after {
            0 => LeaderEpoch::NONE,
            after => self.starts[after - 1].0,
        }
    }

    /// Where `epoch` ended (KIP-101, KIP-279): the largest known epoch not after it, and the start of the
    /// next one or `log_end`. An epoch before all known ones ended where the first began; of one after
    /// the newest nothing is known.
    pub fn end_of(&self, epoch: LeaderEpoch, log_end: Offset) -> Option<(LeaderEpoch, Offset)> {
        let after = self.starts.partition_point(|(known, _)| *known <= epoch);
        let next = self.starts.get(after);
        if epoch > self.latest() {
            return None;
        }
        let found = after.checked_sub(1).map_or(epoch, |n| self.starts[n].0);
        Some((found, next.map_or(log_end, |(_, start)| *start)))
    }

    /// Forgets epochs that began at or after `end`; true if there were any.
    pub fn truncate(&mut self, end: Offset) -> bool {
        let before = self.starts.len();
        self.starts.retain(|(_, start)| *start < end);
        self.starts.len() < before
    }

    /// Forgets epochs that ended at or before `start`.
    pub fn advance(&mut self, start: Offset) {
        let after = self.starts.partition_point(|(_, from)| *from <= start);
        self.starts.drain(..after.saturating_sub(1));
    }

    /// Epochs and their first offsets, oldest first.
    pub fn starts(&self) -> &[(LeaderEpoch, Offset)] {
        &self.starts
    }

    pub(super) fn put(&self, out: &mut Vec<u8>) {
        let count = u32::try_from(self.starts.len()).expect("epochs are i32");
        out.extend_from_slice(&count.to_be_bytes());
        for (epoch, start) in &self.starts {
            out.extend_from_slice(&epoch.0.to_be_bytes());
            out.extend_from_slice(&start.0.to_be_bytes());
        }
    }

    pub(super) fn take(fields: &mut Fields<'_>) -> Result<Epochs, FormatError> {
        let mut epochs = Epochs::default();
        for _ in 0..fields.u32()? {
            let epoch = LeaderEpoch(fields.i32()?);
            let start = Offset(fields.i64()?);
            let grows = epochs.starts.last().is_none_or(|last| last.1 <= start);
            if !grows || !epochs.assign(epoch, start) {
                return Err(FormatError::Value);
            }
        }
        Ok(epochs)
    }

    /// The checkpoint file.
    pub(super) fn to_file(&self) -> Vec<u8> {
        let mut body = Vec::new();
        self.put(&mut body);
        format::seal(format::MAGIC_EPOCHS, &body)
    }

    /// Reads the checkpoint file.
    pub(super) fn from_file(file: &[u8]) -> Result<Epochs, FormatError> {
        let body = format::open(format::MAGIC_EPOCHS, file)?;
        Epochs::take(&mut Fields::new(body))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn epochs() -> Epochs {
        let mut epochs = Epochs::default();
        for (epoch, start) in [(0, 0), (2, 10), (2, 15), (5, 20)] {
            epochs.assign(LeaderEpoch(epoch), Offset(start));
        }
        epochs
    }

    #[test]
    fn an_epoch_ends_where_the_next_one_begins() {
        let end = |epoch| epochs().end_of(LeaderEpoch(epoch), Offset(30));
        assert_eq!(end(-1), Some((LeaderEpoch(-1), Offset(0))));
        assert_eq!(end(0), Some((LeaderEpoch(0), Offset(10))));
        assert_eq!(end(1), Some((LeaderEpoch(0), Offset(10))));
        assert_eq!(end(3), Some((LeaderEpoch(2), Offset(20))));
        assert_eq!(end(5), Some((LeaderEpoch(5), Offset(30))));
        assert_eq!(end(9), None);
        assert_eq!(epochs().at(Offset(19)), LeaderEpoch(2));
    }

    #[test]
    fn truncating_and_advancing_keep_the_epoch_in_between() {
        let mut cut = epochs();
        cut.truncate(Offset(20));
        cut.advance(Offset(12));
        assert_eq!(cut.starts(), [(LeaderEpoch(2), Offset(10))]);
        assert_eq!(Epochs::from_file(&cut.to_file()), Ok(cut));
    }
}
