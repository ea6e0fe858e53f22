//! Writes one frame as parts: small things into one buffer, records as they are.
//!
//! Guarantees: record bytes of [`Writer::SHARE_FROM_BYTES`] or more are never copied, and everything
//! else lives in one allocation whose slices the parts share. Does not know any message.

use bytes::Bytes;

use super::{EncodeError, Item, RecordRanges};
use crate::ids::TopicId;

/// Room for the length in front of a frame.
const PREFIX_BYTES: usize = 4;

/// A frame being written.
#[derive(Debug, Clone)]
pub struct Writer {
    /// Everything copied, starting with room for the length.
    copied: Vec<u8>,
    /// Bytes that are not copied, with the position in `copied` they stand at.
    shared: Vec<(usize, Bytes)>,
    shared_bytes: usize,
    flexible: bool,
    /// How many tagged fields are open; inside one everything is copied, because its size stands first.
    open: u32,
}

/// Where the number of tagged fields stands.
#[derive(Clone, Copy)]
pub struct TagCount(usize);

/// Where a tagged field's content starts.
#[must_use]
pub struct TagStart(usize);

impl Default for Writer {
    fn default() -> Writer {
        Writer::new()
    }
}

impl Writer {
    /// Byte fields from this size up become parts of their own; smaller ones are cheaper to copy.
    pub const SHARE_FROM_BYTES: usize = 512;

    pub fn new() -> Writer {
        Writer {
            copied: vec![0; PREFIX_BYTES],
            shared: Vec::new(),
            shared_bytes: 0,
            flexible: false,
            open: 0,
        }
    }

    /// Bytes written so far, without the length prefix.
    pub fn len(&self) -> usize {
        self.copied.len() - PREFIX_BYTES + self.shared_bytes
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The frame's parts in order, the 4-byte length in front of the first. Call it once the header and
    /// one message are written; the message's `encode` has checked that the length fits.
    pub fn finish_frame(mut self) -> Vec<Bytes> {
        let length = u32::try_from(self.len()).expect("encode refuses what exceeds a frame");
        self.copied[..PREFIX_BYTES].copy_from_slice(&length.to_be_bytes());
        self.parts(0)
    }

    /// What was written, without a length in front: for values inside records.
    pub fn finish_value(self) -> Bytes {
        let parts = self.parts(PREFIX_BYTES);
        RecordRanges::from(parts).joined()
    }

    fn parts(self, mut from: usize) -> Vec<Bytes> {
        let copied = Bytes::from(self.copied);
        let mut parts = Vec::with_capacity(2 * self.shared.len() + 1);
        for (at, bytes) in self.shared {
            if at > from {
                parts.push(copied.slice(from..at));
            }
            parts.push(bytes);
            from = at;
        }
        if copied.len() > from {
            parts.push(copied.slice(from..));
        }
        parts
    }

    /// Checks the version and sets the format of lengths for what follows.
    pub fn begin(
        &mut self,
        version: i16,
        min: i16,
        max: i16,
        flexible_from: i16,
    ) -> Result<(), EncodeError> {
        if version < min || version > max {
            return Err(EncodeError::Version { version, min, max });
        }
        self.set_flexible(version >= flexible_from);
        Ok(())
    }

    /// Whether lengths are compact and structs end with tagged fields from here on.
    pub fn set_flexible(&mut self, flexible: bool) {
        self.flexible = flexible;
    }

    /// Refuses a frame whose length does not fit its prefix.
    pub fn check_size(&self) -> Result<(), EncodeError> {
        let length = self.len();
        i32::try_from(length).map_err(|_| EncodeError::TooLong { length })?;
        Ok(())
    }

    pub fn bool(&mut self, value: bool) {
        self.copied.push(u8::from(value));
    }

    pub fn i8(&mut self, value: i8) {
        self.copied.extend_from_slice(&value.to_be_bytes());
    }

    pub fn i16(&mut self, value: i16) {
        self.copied.extend_from_slice(&value.to_be_bytes());
    }

    pub fn u16(&mut self, value: u16) {
        self.copied.extend_from_slice(&value.to_be_bytes());
    }

    pub fn i32(&mut self, value: i32) {
        self.copied.extend_from_slice(&value.to_be_bytes());
    }

    pub fn i64(&mut self, value: i64) {
        self.copied.extend_from_slice(&value.to_be_bytes());
    }

    pub fn f64(&mut self, value: f64) {
        self.copied.extend_from_slice(&value.to_be_bytes());
    }

    pub fn uuid(&mut self, value: TopicId) {
        self.copied.extend_from_slice(&value.0);
    }

    /// An unsigned number in groups of seven bits.
    pub fn uvarint(&mut self, value: u32) {
        let (bytes, count) = uvarint(value);
        self.copied.extend_from_slice(&bytes[..count]);
    }

    /// A length or count; `None` is null. `short` is the 16-bit kind texts have in old versions.
    fn length(&mut self, length: Option<usize>, short: bool) -> Result<(), EncodeError> {
        let too_long = EncodeError::TooLong {
            length: length.unwrap_or(0),
        };
        let number = length.map_or(Ok(-1), i32::try_from).map_err(|_| too_long)?;
        if self.flexible {
            self.uvarint(number.wrapping_add(1).cast_unsigned());
        } else if short {
            self.i16(i16::try_from(number).map_err(|_| too_long)?);
        } else {
            self.i32(number);
        }
        Ok(())
    }

    pub fn string(&mut self, text: &str) -> Result<(), EncodeError> {
        self.length(Some(text.len()), true)?;
        self.copied.extend_from_slice(text.as_bytes());
        Ok(())
    }

    /// A text that may be null if `allowed`.
    pub fn nullable_string(
        &mut self,
        text: Option<&str>,
        allowed: bool,
        field: &'static str,
    ) -> Result<(), EncodeError> {
        match text {
            Some(text) => self.string(text),
            None if allowed => self.length(None, true),
            None => Err(EncodeError::Null { field }),
        }
    }

    pub fn bytes(&mut self, bytes: &Bytes) -> Result<(), EncodeError> {
        self.length(Some(bytes.len()), false)?;
        self.piece(bytes);
        Ok(())
    }

    /// Bytes that may be null if `allowed`.
    pub fn nullable_bytes(
        &mut self,
        bytes: Option<&Bytes>,
        allowed: bool,
        field: &'static str,
    ) -> Result<(), EncodeError> {
        match bytes {
            Some(bytes) => self.bytes(bytes),
            None if allowed => self.length(None, false),
            None => Err(EncodeError::Null { field }),
        }
    }

    /// Bytes as they are, without a length.
    pub fn piece(&mut self, bytes: &Bytes) {
        if bytes.len() < Self::SHARE_FROM_BYTES || self.open > 0 {
            self.copied.extend_from_slice(bytes);
        } else {
            self.shared.push((self.copied.len(), bytes.clone()));
            self.shared_bytes += bytes.len();
        }
    }

    pub fn ranges(&mut self, ranges: &RecordRanges) -> Result<(), EncodeError> {
        self.length(Some(ranges.len()), false)?;
        for piece in ranges.pieces() {
            self.piece(piece);
        }
        Ok(())
    }

    /// Records that may be null if `allowed`.
    pub fn nullable_ranges(
        &mut self,
        ranges: Option<&RecordRanges>,
        allowed: bool,
        field: &'static str,
    ) -> Result<(), EncodeError> {
        match ranges {
            Some(ranges) => self.ranges(ranges),
            None if allowed => self.length(None, false),
            None => Err(EncodeError::Null { field }),
        }
    }

    pub fn array<T: Item>(&mut self, items: &[T], version: i16) -> Result<(), EncodeError> {
        self.length(Some(items.len()), false)?;
        for item in items {
            item.encode(self, version)?;
        }
        Ok(())
    }

    /// An array that may be null if `allowed`.
    pub fn nullable_array<T: Item>(
        &mut self,
        items: Option<&[T]>,
        version: i16,
        allowed: bool,
        field: &'static str,
    ) -> Result<(), EncodeError> {
        match items {
            Some(items) => self.array(items, version),
            None if allowed => self.length(None, false),
            None => Err(EncodeError::Null { field }),
        }
    }

    /// A struct behind a presence byte; without the byte in versions that do not allow null.
    pub fn nullable_item<T: Item>(
        &mut self,
        item: Option<&T>,
        version: i16,
        allowed: bool,
        field: &'static str,
    ) -> Result<(), EncodeError> {
        let Some(item) = item else {
            if !allowed {
                return Err(EncodeError::Null { field });
            }
            self.i8(-1);
            return Ok(());
        };
        if allowed {
            self.i8(1);
        }
        item.encode(self, version)
    }

    /// Starts a section of tagged fields; nothing in versions without.
    pub fn open_tags(&mut self) -> TagCount {
        let count = TagCount(self.copied.len());
        self.no_tags();
        count
    }

    /// A section of tagged fields with none in it; nothing in versions without.
    pub fn no_tags(&mut self) {
        if self.flexible {
            self.copied.push(0);
        }
    }

    /// Starts a tagged field of the section; numbers must rise within one. Definitions have far fewer
    /// than the 127 that fit the one byte kept for the count.
    pub fn begin_tag(&mut self, tags: TagCount, number: u32) -> TagStart {
        self.copied[tags.0] += 1;
        self.uvarint(number);
        self.open += 1;
        TagStart(self.copied.len())
    }

    /// Ends a tagged field by putting its size in front of it.
    pub fn end_tag(&mut self, tag: TagStart) {
        let size = self.copied.len() - tag.0;
        let size = u32::try_from(size).unwrap_or(u32::MAX);
        let (bytes, count) = uvarint(size);
        self.copied
            .splice(tag.0..tag.0, bytes[..count].iter().copied());
        self.open -= 1;
    }
}

fn uvarint(mut value: u32) -> ([u8; 5], usize) {
    let mut bytes = [0; 5];
    let mut count = 0;
    while value >= 0x80 {
        bytes[count] = (value & 0x7f) as u8 | 0x80;
        value >>= 7;
        count += 1;
    }
    bytes[count] = value as u8;
    (bytes, count + 1)
}
