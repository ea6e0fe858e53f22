//! Reads one frame, trusting nothing in it.
//!
//! Guarantees: no panic, no read past the end, and no more memory built than
//! `8 × frame + 64 KiB`: every array and every text is charged before it is allocated. Byte fields are
//! slices of the frame and cost nothing. Does not know any message.

use bytes::Bytes;

use super::{DecodeError, Item, RecordRanges};
use crate::ids::TopicId;

/// A frame being read, and how much may still be built from it.
#[derive(Debug, Clone)]
pub struct Reader {
    frame: Bytes,
    at: usize,
    /// Where reading ends: the frame's end, or that of the tagged field being read.
    end: usize,
    budget: usize,
    flexible: bool,
}

/// A section of tagged fields being read.
pub struct OpenTags {
    left: u32,
}

/// One tagged field being read.
pub struct OpenTag {
    pub number: u32,
    outer_end: usize,
}

impl Reader {
    /// How many bytes may be built for each byte of the frame.
    pub const BUDGET_PER_BYTE: usize = 8;
    /// How many bytes may be built on top of that, so that small frames are never refused.
    pub const BUDGET_BASE_BYTES: usize = 64 * 1024;
    /// How many tagged fields one struct may have.
    pub const MAX_TAGS: u32 = 64;

    /// Starts at the first byte of `frame`, which has no length prefix.
    pub fn new(frame: Bytes) -> Reader {
        Reader {
            at: 0,
            end: frame.len(),
            budget: frame.len() * Self::BUDGET_PER_BYTE + Self::BUDGET_BASE_BYTES,
            flexible: false,
            frame,
        }
    }

    /// Bytes not read yet.
    pub fn remaining(&self) -> usize {
        self.end - self.at
    }

    /// Where the next byte comes from, counted from the start of the frame.
    pub fn position(&self) -> usize {
        self.at
    }

    /// Checks the version and sets the format of lengths for what follows.
    pub fn begin(
        &mut self,
        version: i16,
        min: i16,
        max: i16,
        flexible_from: i16,
    ) -> Result<(), DecodeError> {
        if version < min || version > max {
            return Err(DecodeError::Version { version, min, max });
        }
        self.set_flexible(version >= flexible_from);
        Ok(())
    }

    /// Whether lengths are compact and structs end with tagged fields from here on.
    pub fn set_flexible(&mut self, flexible: bool) {
        self.flexible = flexible;
    }

    fn take(&mut self, count: usize) -> Result<&[u8], DecodeError> {
        let start = self.skip(count)?;
        Ok(&self.frame[start..start + count])
    }

    /// Moves on by `count` bytes; the position before.
    fn skip(&mut self, count: usize) -> Result<usize, DecodeError> {
        if count > self.remaining() {
            return Err(DecodeError::Short {
                at: self.end,
                wanted: count - self.remaining(),
            });
        }
        let start = self.at;
        self.at += count;
        Ok(start)
    }

    fn array_of<const N: usize>(&mut self) -> Result<[u8; N], DecodeError> {
        let mut out = [0; N];
        out.copy_from_slice(self.take(N)?);
        Ok(out)
    }

    /// Accounts for `bytes` about to be allocated.
    fn charge(&mut self, bytes: usize) -> Result<(), DecodeError> {
        self.budget = self
            .budget
            .checked_sub(bytes)
            .ok_or(DecodeError::OverBudget { at: self.at })?;
        Ok(())
    }

    pub fn bool(&mut self) -> Result<bool, DecodeError> {
        Ok(self.i8()? != 0)
    }

    pub fn i8(&mut self) -> Result<i8, DecodeError> {
        Ok(i8::from_be_bytes(self.array_of()?))
    }

    pub fn i16(&mut self) -> Result<i16, DecodeError> {
        Ok(i16::from_be_bytes(self.array_of()?))
    }

    pub fn u16(&mut self) -> Result<u16, DecodeError> {
        Ok(u16::from_be_bytes(self.array_of()?))
    }

    pub fn i32(&mut self) -> Result<i32, DecodeError> {
        Ok(i32::from_be_bytes(self.array_of()?))
    }

    pub fn i64(&mut self) -> Result<i64, DecodeError> {
        Ok(i64::from_be_bytes(self.array_of()?))
    }

    pub fn f64(&mut self) -> Result<f64, DecodeError> {
        Ok(f64::from_be_bytes(self.array_of()?))
    }

    pub fn uuid(&mut self) -> Result<TopicId, DecodeError> {
        Ok(TopicId(self.array_of()?))
    }

    /// An unsigned number in groups of seven bits, at most 32 of them.
    pub fn uvarint(&mut self) -> Result<u32, DecodeError> {
        let at = self.at;
        let mut value: u64 = 0;
        for shift in (0..35).step_by(7) {
            let byte = self.take(1)?[0];
            value |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return u32::try_from(value).map_err(|_| DecodeError::LongVarint { at });
            }
        }
        Err(DecodeError::LongVarint { at })
    }

    /// A length or count; `None` is null. `short` is the 16-bit kind texts have in old versions.
    pub(super) fn length(&mut self, short: bool) -> Result<Option<usize>, DecodeError> {
        let at = self.at;
        let length = if self.flexible {
            i64::from(self.uvarint()?) - 1
        } else if short {
            i64::from(self.i16()?)
        } else {
            i64::from(self.i32()?)
        };
        match usize::try_from(length) {
            Ok(length) => Ok(Some(length)),
            Err(_) if length == -1 => Ok(None),
            Err(_) => Err(DecodeError::BadLength { at, length }),
        }
    }

    fn not_null<T>(at: usize, value: Option<T>) -> Result<T, DecodeError> {
        value.ok_or(DecodeError::Null { at })
    }

    pub fn string(&mut self) -> Result<String, DecodeError> {
        let at = self.at;
        let text = self.nullable_string(true)?;
        Self::not_null(at, text)
    }

    /// A text that may be null if `allowed`.
    pub fn nullable_string(&mut self, allowed: bool) -> Result<Option<String>, DecodeError> {
        let at = self.at;
        let Some(length) = self.length(true)? else {
            return if allowed {
                Ok(None)
            } else {
                Err(DecodeError::Null { at })
            };
        };
        let start = self.skip(length)?;
        self.charge(length)?;
        match std::str::from_utf8(&self.frame[start..start + length]) {
            Ok(text) => Ok(Some(text.to_owned())),
            Err(_) => Err(DecodeError::NotText { at: start }),
        }
    }

    pub fn bytes(&mut self) -> Result<Bytes, DecodeError> {
        let at = self.at;
        let bytes = self.nullable_bytes(true)?;
        Self::not_null(at, bytes)
    }

    /// A slice of the frame, or null if `allowed`.
    pub fn nullable_bytes(&mut self, allowed: bool) -> Result<Option<Bytes>, DecodeError> {
        let at = self.at;
        let Some(length) = self.length(false)? else {
            return if allowed {
                Ok(None)
            } else {
                Err(DecodeError::Null { at })
            };
        };
        let start = self.skip(length)?;
        Ok(Some(self.frame.slice(start..start + length)))
    }

    pub fn ranges(&mut self) -> Result<RecordRanges, DecodeError> {
        Ok(self.bytes()?.into())
    }

    /// Records in one piece, or null if `allowed`.
    pub fn nullable_ranges(&mut self, allowed: bool) -> Result<Option<RecordRanges>, DecodeError> {
        let bytes = self.nullable_bytes(allowed)?;
        let Some(bytes) = bytes else { return Ok(None) };
        if !bytes.is_empty() {
            self.charge(size_of::<Bytes>())?;
        }
        Ok(Some(bytes.into()))
    }

    pub fn array<T: Item>(&mut self, version: i16) -> Result<Vec<T>, DecodeError> {
        let at = self.at;
        let array = self.nullable_array(version, true)?;
        Self::not_null(at, array)
    }

    /// An array that may be null if `allowed`.
    pub fn nullable_array<T: Item>(
        &mut self,
        version: i16,
        allowed: bool,
    ) -> Result<Option<Vec<T>>, DecodeError> {
        let at = self.at;
        let Some(count) = self.count(T::SMALLEST, size_of::<T>())? else {
            return if allowed {
                Ok(None)
            } else {
                Err(DecodeError::Null { at })
            };
        };
        let mut all = Vec::with_capacity(count);
        for _ in 0..count {
            all.push(T::decode(self, version)?);
        }
        Ok(Some(all))
    }

    /// A count that the remaining bytes can hold and the budget can pay for.
    fn count(&mut self, smallest: usize, size: usize) -> Result<Option<usize>, DecodeError> {
        let at = self.at;
        let Some(count) = self.length(false)? else {
            return Ok(None);
        };
        let remaining = self.remaining();
        if count > remaining / smallest {
            return Err(DecodeError::BadCount {
                at,
                count,
                remaining,
            });
        }
        self.charge(count * size)?;
        Ok(Some(count))
    }

    /// A struct behind a presence byte; without the byte in versions that do not allow null.
    pub fn nullable_item<T: Item>(
        &mut self,
        version: i16,
        allowed: bool,
    ) -> Result<Option<T>, DecodeError> {
        if allowed && self.i8()? < 0 {
            return Ok(None);
        }
        Ok(Some(T::decode(self, version)?))
    }

    /// Starts a section of tagged fields; an empty one in versions without.
    pub fn open_tags(&mut self) -> Result<OpenTags, DecodeError> {
        if !self.flexible {
            return Ok(OpenTags { left: 0 });
        }
        let at = self.at;
        let count = self.uvarint()?;
        if count > Self::MAX_TAGS {
            return Err(DecodeError::TooManyTags { at, count });
        }
        Ok(OpenTags { left: count })
    }

    /// The next tagged field; reading ends with it until `close_tag`.
    pub fn next_tag(&mut self, tags: &mut OpenTags) -> Result<Option<OpenTag>, DecodeError> {
        if tags.left == 0 {
            return Ok(None);
        }
        tags.left -= 1;
        let number = self.uvarint()?;
        let size = self.uvarint()? as usize;
        let start = self.skip(size)?;
        self.at = start;
        let outer_end = self.end;
        self.end = start + size;
        Ok(Some(OpenTag { number, outer_end }))
    }

    /// Passes over a tagged field nobody knows.
    pub fn skip_tag(&mut self, _: &OpenTag) {
        self.at = self.end;
    }

    /// Ends a tagged field, which must have been read to its last byte.
    pub fn close_tag(&mut self, tag: OpenTag) -> Result<(), DecodeError> {
        if self.at != self.end {
            return Err(DecodeError::TagLength { at: self.at });
        }
        self.end = tag.outer_end;
        Ok(())
    }

    /// Passes over a whole section of tagged fields, none of them known.
    pub fn skip_tags(&mut self) -> Result<(), DecodeError> {
        let mut tags = self.open_tags()?;
        while let Some(tag) = self.next_tag(&mut tags)? {
            self.skip_tag(&tag);
            self.close_tag(tag)?;
        }
        Ok(())
    }
}
