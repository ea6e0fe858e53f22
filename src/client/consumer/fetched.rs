//! A piece of a partition's log as it was fetched: whole batches, still closed.

use bytes::Bytes;

use crate::ids::{Offset, PartitionIndex};
use crate::wire::records::{BatchError, Record, batches};

/// Batches of one partition. They may begin before the offset asked for.
#[derive(Debug, Clone, PartialEq)]
pub struct Fetched {
    pub topic: String,
    pub partition: PartitionIndex,
    /// The offset asked for.
    pub from: Offset,
    /// The offset to go on from.
    pub next: Offset,
    pub high_watermark: Offset,
    pub log_start: Offset,
    pub batches: Bytes,
}

/// What a visit saw.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Visited {
    pub records: u64,
    /// Records of control batches, which are not shown to the visitor.
    pub control: u64,
}

/// A batch whose records are counted may expand to this many bytes; of a larger one all records come at once.
const COUNTED_BYTES: usize = 64 * 1024 * 1024;

impl Fetched {
    /// Takes the first `most` records off, control records included: what is taken, and how many records that are
    /// at most. What remains is empty when `from` has reached `next`.
    pub(in crate::client) fn split_off_first(&mut self, most: usize) -> (Fetched, usize) {
        let (end, records) = self.end_of(most);
        let first = Fetched {
            next: end,
            ..self.clone()
        };
        self.from = end;
        (first, records)
    }

    /// The offset after the first `most` records, and how many there are up to it.
    fn end_of(&self, most: usize) -> (Offset, usize) {
        let span = usize::try_from(self.next - self.from).unwrap_or(0);
        if span <= most {
            return (self.next, span);
        }
        let (mut seen, mut end) = (0, None);
        let counted = self.visit_all(COUNTED_BYTES, |record, _| {
            if seen < most {
                end = Some(record.offset + 1);
            }
            seen += 1;
        });
        match (counted, end) {
            (Ok(()), Some(end)) if seen > most => (end, most),
            _ => (self.next, seen.min(most)),
        }
    }

    /// Shows each record from the offset asked for on to `visit`. Control records are only counted.
    /// A batch that expands to more than `limit` bytes is an error.
    ///
    /// # Errors
    /// Bytes that are no batches; the records before them have been visited.
    pub fn visit(
        &self,
        limit: usize,
        mut visit: impl FnMut(&Record<'_>),
    ) -> Result<Visited, BatchError> {
        let mut visited = Visited::default();
        self.visit_all(limit, |record, control| {
            if control {
                visited.control += 1;
            } else {
                visited.records += 1;
                visit(record);
            }
        })?;
        Ok(visited)
    }

    /// Shows each record and whether it is a control record.
    fn visit_all(
        &self,
        limit: usize,
        mut visit: impl FnMut(&Record<'_>, bool),
    ) -> Result<(), BatchError> {
        for batch in batches(&self.batches) {
            let batch = match batch {
                Ok(batch) => batch,
                // Brokers may cut the last batch at the size asked for.
                Err(BatchError::Cut { .. }) => break,
                Err(error) => return Err(error),
            };
            if batch.header().last_offset() < self.from {
                continue;
            }
            if !batch.crc_ok() {
                return Err(BatchError::Crc);
            }
            let control = batch.header().is_control();
            let mut records = batch.records(limit)?;
            while let Some(record) = records.next_record()? {
                if record.offset >= self.next {
                    return Ok(());
                }
                if record.offset >= self.from {
                    visit(&record, control);
                }
            }
        }
        Ok(())
    }
}
