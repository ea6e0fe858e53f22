//! The five ways records are compressed: names, numbers, packing, and unpacking as a stream.
//!
//! Unpacking holds a decoder's window and nothing else; whoever reads decides when it is enough.

use std::fmt;
use std::io::{self, Read, Write};

use super::lz4_frame::Lz4FrameReader;
use super::snappy_stream::SnappyReader;

/// How the records of a batch are compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub enum Codec {
    #[default]
    None,
    Gzip,
    Snappy,
    Lz4,
    Zstd,
}

/// Largest window a zstd frame is given, as a power of two: 8 MiB, enough for levels up to 19.
const MAX_ZSTD_WINDOW_LOG: u32 = 23;

/// Bytes a frame that asks for a larger window may unpack to: it is unpacked in one piece, without a window …
const WINDOWLESS_BYTES: usize = 4 * 1024 * 1024;

/// … or this many times its packed size, if that is more.
const WINDOWLESS_EXPANSION: usize = 4;

/// Bytes per xerial snappy chunk this writer makes, as snappy-java does.
const SNAPPY_CHUNK_BYTES: usize = 32 * 1024;

impl Codec {
    /// Every codec, in the order of its number on the wire.
    pub const ALL: [Codec; 5] = [
        Codec::None,
        Codec::Gzip,
        Codec::Snappy,
        Codec::Lz4,
        Codec::Zstd,
    ];

    /// Kafka's name for it in `compression.type`.
    pub fn name(self) -> &'static str {
        ["none", "gzip", "snappy", "lz4", "zstd"][self as usize]
    }

    /// Reads Kafka's name.
    pub fn parse(name: &str) -> Option<Codec> {
        Codec::ALL.into_iter().find(|codec| codec.name() == name)
    }

    /// The number that batch attributes carry in their low three bits.
    pub fn bits(self) -> i16 {
        self as i16
    }

    pub(super) fn from_bits(bits: i16) -> Option<Codec> {
        Codec::ALL.get(usize::try_from(bits).ok()?).copied()
    }

    /// How many bytes `packed` can unpack to at most; `None` if it does not begin as this codec's output does.
    /// Looks at a few bytes and unpacks nothing.
    pub(super) fn most_unpacked(self, packed: &[u8]) -> Option<usize> {
        const GZIP_MAGIC: [u8; 3] = [0x1f, 0x8b, 8];
        let (begins, expansion) = match self {
            Codec::None => (true, 1),
            // Deflate spends two bits on 258 bytes.
            Codec::Gzip => (packed.starts_with(&GZIP_MAGIC), 1_032),
            Codec::Snappy if !packed.starts_with(&super::snappy_stream::XERIAL_MAGIC) => {
                // A raw block says first how long it is, and a byte of it stands for 22 at most.
                let declared = snap::raw::decompress_len(packed).ok()?;
                return (declared > 0).then(|| declared.min(packed.len().saturating_mul(22)));
            }
            Codec::Snappy => (true, 22),
            Codec::Lz4 => (packed.starts_with(&super::lz4_frame::MAGIC), 255),
            // A block of 4 bytes repeats one byte 128 KiB times.
            Codec::Zstd => (is_zstd(packed), 32 * 1024),
        };
        begins.then(|| packed.len().saturating_mul(expansion))
    }

    /// A reader of the unpacked bytes.
    pub(super) fn unpack<'a>(self, packed: &'a [u8]) -> io::Result<Box<dyn Read + 'a>> {
        Ok(match self {
            Codec::None => Box::new(packed),
            Codec::Gzip => Box::new(flate2::bufread::MultiGzDecoder::new(packed)),
            Codec::Snappy => Box::new(SnappyReader::new(packed)),
            Codec::Lz4 => Box::new(Lz4FrameReader::new(packed)?),
            Codec::Zstd if zstd_window_log(packed) > MAX_ZSTD_WINDOW_LOG => {
                let most = WINDOWLESS_BYTES.max(packed.len().saturating_mul(WINDOWLESS_EXPANSION));
                Box::new(io::Cursor::new(zstd::bulk::decompress(packed, most)?))
            }
            Codec::Zstd => {
                let mut decoder = zstd::stream::read::Decoder::with_buffer(packed)?;
                decoder.window_log_max(MAX_ZSTD_WINDOW_LOG)?;
                Box::new(decoder)
            }
        })
    }

    /// Packs `plain`, appending to `out`.
    pub(super) fn pack(self, plain: &[u8], out: &mut Vec<u8>) -> io::Result<()> {
        match self {
            Codec::None => out.extend_from_slice(plain),
            Codec::Gzip => {
                let mut encoder =
                    flate2::write::GzEncoder::new(&mut *out, flate2::Compression::default());
                encoder.write_all(plain)?;
                encoder.finish()?;
            }
            Codec::Snappy => pack_xerial_snappy(plain, out)?,
            Codec::Lz4 => {
                let frame = lz4_flex::frame::FrameInfo::new()
                    .block_size(lz4_flex::frame::BlockSize::Max64KB)
                    .block_mode(lz4_flex::frame::BlockMode::Independent);
                let mut encoder = lz4_flex::frame::FrameEncoder::with_frame_info(frame, &mut *out);
                encoder.write_all(plain)?;
                encoder.finish().map_err(io::Error::other)?;
            }
            Codec::Zstd => zstd::stream::copy_encode(plain, &mut *out, 0)?,
        }
        Ok(())
    }
}

/// Whether these bytes begin with a zstd frame or with one that decoders skip (RFC 8878, 3.1).
fn is_zstd(packed: &[u8]) -> bool {
    let Some(magic) = packed.first_chunk::<4>() else {
        return false;
    };
    matches!(
        u32::from_le_bytes(*magic),
        0xfd2f_b528 | 0x184d_2a50..=0x184d_2a5f
    )
}

/// The window the first zstd frame asks for, as a power of two; 0 if its content is smaller than one, or
/// if this is no such frame (RFC 8878, 3.1.1.1).
fn zstd_window_log(packed: &[u8]) -> u32 {
    const MAGIC: [u8; 4] = 0xfd2f_b528u32.to_le_bytes();
    const SINGLE_SEGMENT: u8 = 1 << 5;
    match packed.strip_prefix(&MAGIC) {
        Some([descriptor, window, ..]) if descriptor & SINGLE_SEGMENT == 0 => {
            10 + u32::from(window >> 3)
        }
        _ => 0,
    }
}

/// Writes the framing that the Java client reads and writes (raw snappy has none).
fn pack_xerial_snappy(plain: &[u8], out: &mut Vec<u8>) -> io::Result<()> {
    out.extend_from_slice(&super::snappy_stream::XERIAL_MAGIC);
    out.extend_from_slice(&1i32.to_be_bytes());
    out.extend_from_slice(&1i32.to_be_bytes());
    let mut encoder = snap::raw::Encoder::new();
    for chunk in plain.chunks(SNAPPY_CHUNK_BYTES) {
        let packed = encoder.compress_vec(chunk).map_err(io::Error::other)?;
        out.extend_from_slice(&(packed.len() as i32).to_be_bytes());
        out.extend_from_slice(&packed);
    }
    Ok(())
}

impl fmt::Display for Codec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
