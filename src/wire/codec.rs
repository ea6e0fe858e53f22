//! What generated structs are made of: the trait each implements, the errors, records in pieces.
//!
//! [`Item`] is one thing that can stand in an array; whole messages have `decode` and `encode` of their
//! own, which check the version first. `Reader` and `Writer` hold everything the wire format is.

use bytes::Bytes;

use super::{Reader, Writer};
use crate::ids::TopicId;

/// Something that reads and writes itself in a given version: an array's element, a message's part.
pub trait Item: Sized {
    /// The fewest bytes one takes on the wire in any version; at least 1. A count that promises more
    /// elements than the remaining bytes could hold is refused by it.
    const SMALLEST: usize;

    /// Reads one. What the version lacks keeps its default.
    ///
    /// # Errors
    /// Any malformed byte, and any attempt to make this build more than the reader's budget.
    fn decode(reader: &mut Reader, version: i16) -> Result<Self, DecodeError>;

    /// Writes one.
    ///
    /// # Errors
    /// A value the version cannot carry and that may not be dropped, or one that is too long.
    fn encode(&self, writer: &mut Writer, version: i16) -> Result<(), EncodeError>;
}

/// Why bytes are not the message they should be. `at` counts bytes from the start of the frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    #[error("the frame ends at byte {at}, {wanted} more were expected")]
    Short { at: usize, wanted: usize },
    #[error("byte {at}: a length of {length}")]
    BadLength { at: usize, length: i64 },
    #[error("byte {at}: null where the protocol has no null")]
    Null { at: usize },
    #[error("byte {at}: the text is not UTF-8")]
    NotText { at: usize },
    #[error("byte {at}: a variable-length number does not fit 32 bits")]
    LongVarint { at: usize },
    #[error("byte {at}: {count} elements do not fit the {remaining} bytes that follow")]
    BadCount {
        at: usize,
        count: usize,
        remaining: usize,
    },
    #[error("byte {at}: the message would take more memory than its size warrants")]
    OverBudget { at: usize },
    #[error("byte {at}: {count} tagged fields, more than {most}", most = Reader::MAX_TAGS)]
    TooManyTags { at: usize, count: u32 },
    #[error("byte {at}: a tagged field is not as long as it says")]
    TagLength { at: usize },
    #[error("no API has the key {0}")]
    UnknownApi(i16),
    #[error("version {version} is outside {min} to {max}")]
    Version { version: i16, min: i16, max: i16 },
}

/// Why a message cannot be written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum EncodeError {
    #[error("{field} is set, but version {version} has no such field")]
    Absent { field: &'static str, version: i16 },
    #[error("{field} is null, but this version has no null for it")]
    Null { field: &'static str },
    #[error("a value of {length} bytes or elements does not fit its length field")]
    TooLong { length: usize },
    #[error("version {version} is outside {min} to {max}")]
    Version { version: i16, min: i16, max: i16 },
}

impl EncodeError {
    /// The error for a field that is set while the version lacks it.
    pub(super) fn absent(field: &'static str, version: i16) -> EncodeError {
        EncodeError::Absent { field, version }
    }
}

/// The records of one partition in a response: pieces in order, each left where it is (a batch in
/// memory, a stretch of a mapped segment) until the socket takes it. Equal when the bytes are, however
/// they are cut.
#[derive(Debug, Clone, Default)]
pub struct RecordRanges(Vec<Bytes>);

impl RecordRanges {
    /// Adds a piece at the end; an empty one changes nothing.
    pub fn push(&mut self, piece: Bytes) {
        if !piece.is_empty() {
            self.0.push(piece);
        }
    }

    /// The pieces, none of them empty.
    pub fn pieces(&self) -> &[Bytes] {
        &self.0
    }

    /// All bytes together.
    pub fn len(&self) -> usize {
        self.0.iter().map(Bytes::len).sum()
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// One piece: free if there is at most one, else a copy.
    pub fn joined(&self) -> Bytes {
        match self.0.as_slice() {
            [] => Bytes::new(),
            [only] => only.clone(),
            many => many.concat().into(),
        }
    }
}

impl From<Bytes> for RecordRanges {
    fn from(piece: Bytes) -> RecordRanges {
        let mut ranges = RecordRanges::default();
        ranges.push(piece);
        ranges
    }
}

impl From<Vec<Bytes>> for RecordRanges {
    fn from(mut pieces: Vec<Bytes>) -> RecordRanges {
        pieces.retain(|piece| !piece.is_empty());
        RecordRanges(pieces)
    }
}

impl PartialEq for RecordRanges {
    fn eq(&self, other: &RecordRanges) -> bool {
        self.0.iter().flatten().eq(other.0.iter().flatten())
    }
}

macro_rules! numbers {
    ($($type:ty, $method:ident, $size:literal;)*) => {$(
        impl Item for $type {
            const SMALLEST: usize = $size;
            fn decode(reader: &mut Reader, _: i16) -> Result<Self, DecodeError> {
                reader.$method()
            }
            fn encode(&self, writer: &mut Writer, _: i16) -> Result<(), EncodeError> {
                writer.$method(*self);
                Ok(())
            }
        }
    )*};
}
numbers! {
    i8, i8, 1;
    i16, i16, 2;
    i32, i32, 4;
    i64, i64, 8;
    TopicId, uuid, 16;
}

impl Item for String {
    const SMALLEST: usize = 1;
    fn decode(reader: &mut Reader, _: i16) -> Result<Self, DecodeError> {
        reader.string()
    }
    fn encode(&self, writer: &mut Writer, _: i16) -> Result<(), EncodeError> {
        writer.string(self)
    }
}

impl Item for Bytes {
    const SMALLEST: usize = 1;
    fn decode(reader: &mut Reader, _: i16) -> Result<Self, DecodeError> {
        reader.bytes()
    }
    fn encode(&self, writer: &mut Writer, _: i16) -> Result<(), EncodeError> {
        writer.bytes(self)
    }
}

/// Gives a generated root struct the `decode` and `encode` that check the version.
macro_rules! message {
    ($name:ident, key $key:literal, $min:literal, $max:literal, $flexible_from:literal) => {
        impl $name {
            /// Key of its API.
            pub const KEY: i16 = $key;
        }
        message!($name, $min, $max, $flexible_from);
    };
    ($name:ident, $min:literal, $max:literal, $flexible_from:literal) => {
        impl $name {
            /// The versions that can be read and written.
            pub const VERSIONS: std::ops::RangeInclusive<i16> = $min..=$max;

            /// Reads the message; what the version lacks keeps its default.
            ///
            /// # Errors
            /// An unknown version, malformed bytes, or more content than the reader's budget.
            pub fn decode(reader: &mut Reader, version: i16) -> Result<Self, DecodeError> {
                reader.begin(version, $min, $max, $flexible_from)?;
                Item::decode(reader, version)
            }

            /// Writes the message.
            ///
            /// # Errors
            /// An unknown version, a value the version cannot carry, or one that is too long.
            pub fn encode(&self, writer: &mut Writer, version: i16) -> Result<(), EncodeError> {
                writer.begin(version, $min, $max, $flexible_from)?;
                Item::encode(self, writer, version)?;
                writer.check_size()
            }
        }
    };
}
pub(super) use message;
