//! Snappy as Kafka clients write it: raw (librdkafka, Go) or in xerial frames (Java), told apart by the first bytes.
//!
//! A frame is unpacked chunk by chunk. A chunk's declared size is believed only as far as snappy could
//! possibly have packed it. A raw block cannot be unpacked in parts, so one that expands wildly is refused.

use std::io::{self, Read};

/// What xerial framing begins with; two version numbers follow.
pub const XERIAL_MAGIC: [u8; 8] = [0x82, b'S', b'N', b'A', b'P', b'P', b'Y', 0];

/// Bytes of the magic and the two version numbers.
const XERIAL_HEADER_BYTES: usize = 16;

/// Most bytes one byte of snappy can stand for: a 3-byte copy makes 64.
const MAX_EXPANSION: usize = 22;

/// A block may expand by this factor beyond [`FREE_BLOCK_BYTES`].
const MAX_LARGE_BLOCK_EXPANSION: usize = 4;

/// Bytes a block may expand to whatever its size.
const FREE_BLOCK_BYTES: usize = 4 * 1024 * 1024;

/// Unpacks either form.
pub struct SnappyReader<'a> {
    packed: &'a [u8],
    framed: bool,
    block: Vec<u8>,
    given: usize,
}

impl<'a> SnappyReader<'a> {
    pub fn new(packed: &'a [u8]) -> SnappyReader<'a> {
        let framed =
            packed.len() >= XERIAL_HEADER_BYTES && packed[..XERIAL_MAGIC.len()] == XERIAL_MAGIC;
        SnappyReader {
            packed,
            framed,
            block: Vec::new(),
            given: 0,
        }
    }

    /// Cuts the next block off the input; `None` at its end.
    fn next_block(&mut self) -> io::Result<Option<&'a [u8]>> {
        if !self.framed {
            let all = std::mem::take(&mut self.packed);
            return Ok((!all.is_empty()).then_some(all));
        }
        // Frames may be concatenated: a header can stand where a chunk length would.
        while self.packed.starts_with(&XERIAL_MAGIC) {
            let Some(rest) = self.packed.get(XERIAL_HEADER_BYTES..) else {
                return Err(invalid("the snappy frame ends in its header"));
            };
            self.packed = rest;
        }
        if self.packed.is_empty() {
            return Ok(None);
        }
        let (length, rest) = self
            .packed
            .split_first_chunk::<4>()
            .ok_or_else(|| invalid("the snappy frame ends in a length"))?;
        let length = usize::try_from(i32::from_be_bytes(*length))
            .map_err(|_| invalid("a snappy chunk has a negative length"))?;
        let (block, rest) = rest
            .split_at_checked(length)
            .ok_or_else(|| invalid("the snappy frame ends in a chunk"))?;
        self.packed = rest;
        Ok(Some(block))
    }

    fn unpack(&mut self, block: &[u8]) -> io::Result<()> {
        let declared = snap::raw::decompress_len(block)?;
        let possible = block.len().saturating_mul(MAX_EXPANSION);
        let accepted = FREE_BLOCK_BYTES.max(block.len().saturating_mul(MAX_LARGE_BLOCK_EXPANSION));
        if declared > possible || declared > accepted {
            return Err(invalid("a snappy block declares too much"));
        }
        self.block.resize(declared, 0);
        let written = snap::raw::Decoder::new().decompress(block, &mut self.block)?;
        self.block.truncate(written);
        self.given = 0;
        Ok(())
    }
}

impl Read for SnappyReader<'_> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        while self.given == self.block.len() {
            match self.next_block()? {
                Some(block) => self.unpack(block)?,
                None => return Ok(0),
            }
        }
        let n = out.len().min(self.block.len() - self.given);
        out[..n].copy_from_slice(&self.block[self.given..self.given + n]);
        self.given += n;
        Ok(n)
    }
}

fn invalid(why: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, why)
}
