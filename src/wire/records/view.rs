//! Batches one after another in a range of bytes: a Produce or Fetch body, or a piece of a segment.

use super::{BatchError, BatchHeader, Records};

/// One record batch where it lies.
#[derive(Debug, Clone, Copy)]
pub struct BatchView<'a> {
    header: BatchHeader,
    bytes: &'a [u8],
}

/// Iterates over the batches in `bytes`. A cut batch at the end is an error and the last item.
pub fn batches(bytes: &[u8]) -> Batches<'_> {
    Batches { rest: bytes }
}

/// Iterates over batches.
#[derive(Debug, Clone)]
pub struct Batches<'a> {
    rest: &'a [u8],
}

impl<'a> Batches<'a> {
    /// The bytes not yet given out: after an error, everything from the batch that caused it.
    pub fn rest(&self) -> &'a [u8] {
        self.rest
    }
}

impl<'a> Iterator for Batches<'a> {
    type Item = Result<BatchView<'a>, BatchError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.rest.is_empty() {
            return None;
        }
        let view = BatchView::first(self.rest);
        match &view {
            Ok(view) => self.rest = &self.rest[view.bytes.len()..],
            Err(_) => self.rest = &[],
        }
        Some(view)
    }
}

impl<'a> BatchView<'a> {
    /// The batch at the front of `bytes`.
    pub fn first(bytes: &'a [u8]) -> Result<BatchView<'a>, BatchError> {
        let header = BatchHeader::parse(bytes)?;
        let need = header.total_bytes();
        let batch = bytes.get(..need).ok_or(BatchError::Cut {
            have: bytes.len(),
            need,
        })?;
        Ok(BatchView {
            header,
            bytes: batch,
        })
    }

    pub fn header(&self) -> &BatchHeader {
        &self.header
    }

    /// The whole batch, header included.
    pub fn bytes(&self) -> &'a [u8] {
        self.bytes
    }

    /// The records as they lie: compressed if the header says so.
    pub fn body(&self) -> &'a [u8] {
        &self.bytes[BatchHeader::BYTES..]
    }

    /// Whether the bytes are the ones the CRC-32C was computed over.
    pub fn crc_ok(&self) -> bool {
        crc32c::crc32c(&self.bytes[BatchHeader::CRC_COVERS_FROM..]) == self.header.crc
    }

    /// A reader of the records that stops with an error once they expanded to more than `limit` bytes.
    /// Uncompressed records are not limited.
    pub fn records(&self, limit: usize) -> Result<Records<'a>, BatchError> {
        Records::new(self.header, self.body(), limit)
    }
}
