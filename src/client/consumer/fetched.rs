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

impl Fetched {
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
                if record.offset < self.from {
                    continue;
                }
                if control {
                    visited.control += 1;
                } else {
                    visited.records += 1;
                    visit(&record);
                }
            }
        }
        Ok(visited)
    }
}
