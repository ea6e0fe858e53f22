//! Records, read one after another from a batch's bytes.
//!
//! Compressed records pass through a buffer that holds one of them at a time, so a batch that expands to
//! gigabytes costs its reader a decoder's window and its largest record, and ends at the caller's limit.

use std::io::Read;

use super::varint::{MAX_VARLONG_BYTES, take_varint, take_varlong};
use super::{BatchError, BatchHeader, Codec};
use crate::ids::Offset;

/// Bytes taken from a decoder at a time.
const CHUNK_BYTES: usize = 16 * 1024;

/// A single compressed record may take this many bytes …
const RECORD_BYTES: u64 = 4 * 1024 * 1024;

/// … or this many times what the whole batch takes compressed, if that is more.
const RECORD_EXPANSION: u64 = 4;

/// The buffer of a large record grows by this factor as its bytes come, never on its word alone.
const BUFFER_GROWTH: usize = 4;

/// A record header's key and value. Keys repeat and need not be UTF-8.
pub type HeaderSlice<'a> = (&'a [u8], Option<&'a [u8]>);

/// One record, borrowed from the bytes it was read from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Record<'a> {
    pub offset: Offset,
    /// Milliseconds since the Unix epoch.
    pub timestamp_ms: i64,
    pub key: Option<&'a [u8]>,
    /// `None` is a tombstone.
    pub value: Option<&'a [u8]>,
    /// Bytes of the record in the batch, uncompressed, its length field included.
    pub bytes: usize,
    header_count: i32,
    headers: &'a [u8],
}

/// One record on its own.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct OwnedRecord {
    pub offset: Offset,
    pub timestamp_ms: i64,
    pub key: Option<Vec<u8>>,
    pub value: Option<Vec<u8>>,
    pub headers: Vec<(Vec<u8>, Option<Vec<u8>>)>,
}

/// What a control record says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum ControlType {
    Abort,
    Commit,
    LeaderChange,
    SnapshotHeader,
    SnapshotFooter,
    KRaftVersion,
    KRaftVoters,
    Unknown(i16),
}

impl ControlType {
    /// The number a control record's key carries.
    pub fn number(self) -> i16 {
        match self {
            ControlType::Abort => 0,
            ControlType::Commit => 1,
            ControlType::LeaderChange => 2,
            ControlType::SnapshotHeader => 3,
            ControlType::SnapshotFooter => 4,
            ControlType::KRaftVersion => 5,
            ControlType::KRaftVoters => 6,
            ControlType::Unknown(number) => number,
        }
    }

    fn from_number(number: i16) -> ControlType {
        [
            ControlType::Abort,
            ControlType::Commit,
            ControlType::LeaderChange,
            ControlType::SnapshotHeader,
            ControlType::SnapshotFooter,
            ControlType::KRaftVersion,
            ControlType::KRaftVoters,
        ]
        .into_iter()
        .find(|control| control.number() == number)
        .unwrap_or(ControlType::Unknown(number))
    }

    /// The key of a control record of this type: a version and the number.
    pub fn key(self) -> [u8; 4] {
        let [high, low] = self.number().to_be_bytes();
        [0, 0, high, low]
    }
}

impl<'a> Record<'a> {
    /// The headers in their order, duplicates included.
    pub fn headers(&self) -> RecordHeaders<'a> {
        RecordHeaders {
            left: self.header_count,
            bytes: self.headers,
        }
    }

    /// What the record says if its batch is a control batch. `None` when its key is not a control key.
    pub fn control_type(&self) -> Option<ControlType> {
        let [_, _, number @ ..] = *self.key?.first_chunk::<4>()?;
        Some(ControlType::from_number(i16::from_be_bytes(number)))
    }

    /// A copy that outlives the batch.
    pub fn to_owned(&self) -> OwnedRecord {
        OwnedRecord {
            offset: self.offset,
            timestamp_ms: self.timestamp_ms,
            key: self.key.map(<[u8]>::to_vec),
            value: self.value.map(<[u8]>::to_vec),
            headers: self
                .headers()
                .map(|(key, value)| (key.to_vec(), value.map(<[u8]>::to_vec)))
                .collect(),
        }
    }

    /// Reads a record's fields from `body`, which is all that its length field counts.
    fn parse(mut body: &'a [u8], bytes: usize, batch: &BatchHeader) -> Result<Self, BatchError> {
        let rest = &mut body;
        take_bytes(rest, 1)?;
        let timestamp_delta = take_varlong(rest)?;
        let offset_delta = take_varint(rest)?;
        let key = take_nullable(rest)?;
        let value = take_nullable(rest)?;
        let header_count = take_varint(rest)?;
        let headers = *rest;
        skip_headers(rest, header_count)?;
        if !rest.is_empty() {
            return Err(BatchError::RecordExcess);
        }
        let timestamp_ms = if batch.is_log_append_time() {
            batch.max_timestamp_ms
        } else {
            batch.base_timestamp_ms.wrapping_add(timestamp_delta)
        };
        Ok(Record {
            offset: Offset(batch.base_offset.0.wrapping_add(i64::from(offset_delta))),
            timestamp_ms,
            key,
            value,
            bytes,
            header_count,
            headers,
        })
    }
}

/// Walks over the headers, so that reading them later cannot fail.
fn skip_headers(rest: &mut &[u8], count: i32) -> Result<(), BatchError> {
    if count < 0 {
        return Err(BatchError::RecordLength);
    }
    for _ in 0..count {
        take_nullable(rest)?.ok_or(BatchError::RecordLength)?;
        take_nullable(rest)?;
    }
    Ok(())
}

fn take_bytes<'a>(rest: &mut &'a [u8], count: usize) -> Result<&'a [u8], BatchError> {
    let (taken, left) = rest.split_at_checked(count).ok_or(BatchError::RecordCut)?;
    *rest = left;
    Ok(taken)
}

fn take_nullable<'a>(rest: &mut &'a [u8]) -> Result<Option<&'a [u8]>, BatchError> {
    match take_varint(rest)? {
        -1 => Ok(None),
        length => {
            let length = usize::try_from(length).map_err(|_| BatchError::RecordLength)?;
            take_bytes(rest, length).map(Some)
        }
    }
}

/// Iterates over a record's headers.
#[derive(Debug, Clone)]
pub struct RecordHeaders<'a> {
    left: i32,
    bytes: &'a [u8],
}

impl<'a> Iterator for RecordHeaders<'a> {
    type Item = HeaderSlice<'a>;

    fn next(&mut self) -> Option<HeaderSlice<'a>> {
        if self.left <= 0 {
            return None;
        }
        self.left -= 1;
        // The record's parser walked over these bytes: neither can be missing.
        let key = take_nullable(&mut self.bytes).ok()??;
        let value = take_nullable(&mut self.bytes).ok()?;
        Some((key, value))
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        let left = usize::try_from(self.left).unwrap_or(0);
        (left, Some(left))
    }
}

impl ExactSizeIterator for RecordHeaders<'_> {}

/// Reads the records of one batch in order. Each borrows the reader until the next is asked for.
pub struct Records<'a> {
    batch: BatchHeader,
    /// Records not yet read; negative after the end.
    left: i32,
    source: Source<'a>,
}

enum Source<'a> {
    Plain(&'a [u8]),
    Packed(Unpacker<'a>),
}

impl<'a> Records<'a> {
    /// Instead of a count: there is nothing more to read.
    const ENDED: i32 = -1;

    pub(super) fn new(
        batch: BatchHeader,
        body: &'a [u8],
        limit: usize,
    ) -> Result<Records<'a>, BatchError> {
        let source = match batch.codec()? {
            Codec::None => Source::Plain(body),
            codec => Source::Packed(Unpacker::new(codec, body, limit as u64)?),
        };
        Ok(Records {
            batch,
            left: batch.record_count,
            source,
        })
    }

    /// The next record; `None` after the last one. After an error there is nothing more to read.
    pub fn next_record(&mut self) -> Result<Option<Record<'_>>, BatchError> {
        if self.left == 0 {
            self.left = Self::ENDED;
            if !self.source.is_empty()? {
                return Err(BatchError::BatchExcess);
            }
        }
        if self.left < 0 {
            return Ok(None);
        }
        self.left -= 1;
        let batch = &self.batch;
        let record = match &mut self.source {
            Source::Plain(rest) => take_record(rest, batch),
            Source::Packed(unpacker) => unpacker.next_record(batch),
        };
        if record.is_err() {
            self.left = Self::ENDED;
        }
        record.map(Some)
    }

    /// Bytes the records take uncompressed, as far as they were read.
    pub fn uncompressed_bytes(&self, whole_body: usize) -> u64 {
        match &self.source {
            Source::Plain(rest) => (whole_body - rest.len()) as u64,
            Source::Packed(unpacker) => unpacker.given,
        }
    }
}

impl Source<'_> {
    fn is_empty(&mut self) -> Result<bool, BatchError> {
        match self {
            Source::Plain(rest) => Ok(rest.is_empty()),
            Source::Packed(unpacker) => Ok(unpacker.fill(1)?.is_empty()),
        }
    }
}

fn take_record<'a>(rest: &mut &'a [u8], batch: &BatchHeader) -> Result<Record<'a>, BatchError> {
    let before = rest.len();
    let length = usize::try_from(take_varint(rest)?).map_err(|_| BatchError::RecordLength)?;
    let body = take_bytes(rest, length)?;
    Record::parse(body, before - rest.len(), batch)
}

/// A decoder and a buffer with the bytes that came out of it and were not given on yet.
struct Unpacker<'a> {
    codec: Codec,
    reader: Box<dyn Read + 'a>,
    buffer: Vec<u8>,
    /// Where in `buffer` the next record begins.
    start: usize,
    /// Bytes given on so far.
    given: u64,
    limit: u64,
    record_limit: u64,
    ended: bool,
}

impl<'a> Unpacker<'a> {
    fn new(codec: Codec, packed: &'a [u8], limit: u64) -> Result<Unpacker<'a>, BatchError> {
        let reader = codec
            .unpack(packed)
            .map_err(|_| BatchError::Unpack(codec))?;
        let record_limit = RECORD_BYTES.max((packed.len() as u64).saturating_mul(RECORD_EXPANSION));
        Ok(Unpacker {
            codec,
            reader,
            buffer: Vec::new(),
            start: 0,
            given: 0,
            limit,
            record_limit,
            ended: false,
        })
    }

    fn next_record(&mut self, batch: &BatchHeader) -> Result<Record<'_>, BatchError> {
        let mut head = self.fill(MAX_VARLONG_BYTES)?;
        let available = head.len();
        let length = take_varint(&mut head)?;
        let length_bytes = available - head.len();
        let length = usize::try_from(length).map_err(|_| BatchError::RecordLength)?;
        let total = length_bytes + length;
        if total as u64 > self.record_limit {
            return Err(BatchError::RecordTooLarge {
                bytes: total as u64,
                limit: self.record_limit,
            });
        }
        if self.fill(total)?.len() < total {
            return Err(BatchError::RecordCut);
        }
        let from = self.start;
        self.start += total;
        self.given += total as u64;
        Record::parse(
            &self.buffer[from + length_bytes..from + total],
            total,
            batch,
        )
    }

    /// Brings at least `wanted` bytes into the buffer unless the input ends before; returns what is there.
    fn fill(&mut self, wanted: usize) -> Result<&[u8], BatchError> {
        if self.buffer.len() - self.start < wanted && self.start > 0 {
            self.buffer.drain(..self.start);
            self.start = 0;
        }
        while self.buffer.len() - self.start < wanted && !self.ended {
            let kept = self.buffer.len();
            if self.buffer.capacity() < kept + CHUNK_BYTES {
                let enough = self.start + wanted + CHUNK_BYTES;
                let room = enough.min(kept * BUFFER_GROWTH).max(kept + CHUNK_BYTES);
                self.buffer.reserve_exact(room - kept);
            }
            self.buffer.resize(kept + CHUNK_BYTES, 0);
            let read = self.reader.read(&mut self.buffer[kept..]);
            let read = read.map_err(|_| BatchError::Unpack(self.codec));
            self.buffer.truncate(kept + *read.as_ref().unwrap_or(&0));
            self.ended = read? == 0;
            if self.given + (self.buffer.len() - self.start) as u64 > self.limit {
                return Err(BatchError::ExpandsTooMuch { limit: self.limit });
            }
        }
        Ok(&self.buffer[self.start..])
    }
}
