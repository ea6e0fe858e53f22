//! The envelope of klar's own small files: magic, version, length, body, checksum.
//!
//! ```text
//!  0 magic      8 bytes, names the kind of file
//!  8 version    u32
//! 12 length     u32, bytes of the body
//! 16 body
//!  … checksum   u32, CRC-32 (IEEE) of everything before it
//! ```
//! Integers are big-endian. A version this program does not know is told apart from damage: such a file
//! is left alone, a damaged one is rebuilt.

use thiserror::Error;

/// Kinds of files in the envelope, by their first eight bytes.
pub const MAGIC_EPOCHS: &[u8; 8] = b"KLAREPOC";
pub const MAGIC_LOG_START: &[u8; 8] = b"KLARLOGS";
pub const MAGIC_OWNER: &[u8; 8] = b"KLARPART";
pub const MAGIC_PRODUCERS: &[u8; 8] = b"KLARPROD";
pub const MAGIC_RECOVERY_POINTS: &[u8; 8] = b"KLARRECO";
pub const MAGIC_CLEAN_STOP: &[u8; 8] = b"KLARSTOP";
pub const MAGIC_IDENTITY: &[u8; 8] = b"KLARMETA";
pub const MAGIC_ROSTER: &[u8; 8] = b"KLARROST";

/// The newest version of every file in the envelope.
pub const VERSION: u32 = 1;

const HEADER_BYTES: usize = 16;
const CHECKSUM_BYTES: usize = 4;

/// Why bytes are not the file they should be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum FormatError {
    #[error("format version {found} is newer than {VERSION}")]
    UnknownVersion { found: u32 },
    #[error("it has {have} bytes where {need} are needed")]
    Cut { have: usize, need: usize },
    #[error("it does not begin with {}", String::from_utf8_lossy(*.0))]
    Magic(&'static [u8; 8]),
    #[error("its checksum does not match")]
    Checksum,
    #[error("it holds an impossible value")]
    Value,
}

/// Puts a body into its envelope.
pub fn seal(magic: &[u8; 8], body: &[u8]) -> Vec<u8> {
    let mut file = Vec::with_capacity(HEADER_BYTES + body.len() + CHECKSUM_BYTES);
    file.extend_from_slice(magic);
    file.extend_from_slice(&VERSION.to_be_bytes());
    let length = u32::try_from(body.len()).expect("bodies are far below 4 GiB");
    file.extend_from_slice(&length.to_be_bytes());
    file.extend_from_slice(body);
    let checksum = crc32fast::hash(&file);
    file.extend_from_slice(&checksum.to_be_bytes());
    file
}

/// Takes a body out of its envelope.
pub fn open<'a>(magic: &'static [u8; 8], file: &'a [u8]) -> Result<&'a [u8], FormatError> {
    let mut fields = Fields::new(file);
    if fields.bytes(8).map_err(|_| FormatError::Magic(magic))? != magic {
        return Err(FormatError::Magic(magic));
    }
    let version = fields.u32()?;
    let body_bytes = fields.u32()? as usize;
    let whole = HEADER_BYTES + body_bytes + CHECKSUM_BYTES;
    let checked = crc_matches(file);
    if version != VERSION {
        // A flipped bit must not look like a newer program's file.
        return Err(match checked {
            true => FormatError::UnknownVersion { found: version },
            false => FormatError::Checksum,
        });
    }
    if file.len() != whole {
        return Err(FormatError::Cut {
            have: file.len(),
            need: whole,
        });
    }
    if !checked {
        return Err(FormatError::Checksum);
    }
    fields.bytes(body_bytes)
}

/// Whether the last four bytes are the checksum of those before.
pub fn crc_matches(file: &[u8]) -> bool {
    match file.split_last_chunk::<CHECKSUM_BYTES>() {
        Some((covered, checksum)) => crc32fast::hash(covered) == u32::from_be_bytes(*checksum),
        None => false,
    }
}

/// Reads big-endian fields one after another.
pub struct Fields<'a> {
    rest: &'a [u8],
}

impl<'a> Fields<'a> {
    pub fn new(bytes: &'a [u8]) -> Fields<'a> {
        Fields { rest: bytes }
    }

    pub fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    pub fn bytes(&mut self, len: usize) -> Result<&'a [u8], FormatError> {
        let (taken, rest) = self.rest.split_at_checked(len).ok_or(FormatError::Cut {
            have: self.rest.len(),
            need: len,
        })?;
        self.rest = rest;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], FormatError> {
        let bytes = self.bytes(N)?;
        Ok(bytes.try_into().expect("as long as asked for"))
    }

    pub fn u32(&mut self) -> Result<u32, FormatError> {
        self.array().map(u32::from_be_bytes)
    }

    pub fn i32(&mut self) -> Result<i32, FormatError> {
        self.array().map(i32::from_be_bytes)
    }

    pub fn i16(&mut self) -> Result<i16, FormatError> {
        self.array().map(i16::from_be_bytes)
    }

    pub fn i64(&mut self) -> Result<i64, FormatError> {
        self.array().map(i64::from_be_bytes)
    }

    pub fn u64(&mut self) -> Result<u64, FormatError> {
        self.array().map(u64::from_be_bytes)
    }

    /// A u32 length and so many bytes of UTF-8.
    pub fn text(&mut self) -> Result<&'a str, FormatError> {
        let len = self.u32()? as usize;
        std::str::from_utf8(self.bytes(len)?).map_err(|_| FormatError::Value)
    }
}

/// Writes what [`Fields::text`] reads.
pub fn put_text(out: &mut Vec<u8>, text: &str) {
    let len = u32::try_from(text.len()).expect("names are short");
    out.extend_from_slice(&len.to_be_bytes());
    out.extend_from_slice(text.as_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_cut_and_every_flipped_bit_is_noticed() {
        let file = seal(MAGIC_EPOCHS, b"some body");
        assert_eq!(open(MAGIC_EPOCHS, &file), Ok(&b"some body"[..]));
        for len in 0..file.len() {
            assert!(open(MAGIC_EPOCHS, &file[..len]).is_err(), "cut to {len}");
        }
        for bit in 0..file.len() * 8 {
            let mut flipped = file.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            let error = open(MAGIC_EPOCHS, &flipped).expect_err("flipped");
            assert!(
                !matches!(error, FormatError::UnknownVersion { .. }),
                "bit {bit}"
            );
        }
    }

    #[test]
    fn a_newer_version_is_told_apart_from_damage() {
        let mut file = seal(MAGIC_EPOCHS, b"from the future");
        file[8..12].copy_from_slice(&9u32.to_be_bytes());
        let end = file.len() - 4;
        let checksum = crc32fast::hash(&file[..end]);
        file[end..].copy_from_slice(&checksum.to_be_bytes());
        assert_eq!(
            open(MAGIC_EPOCHS, &file),
            Err(FormatError::UnknownVersion { found: 9 })
        );
    }
}
