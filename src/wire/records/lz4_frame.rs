//! Reads one LZ4 frame block by block.
//!
//! A block's memory is bounded by what its bytes can stand for, not by the block size the frame declares.
//! The frame's own xxHash checksums are not looked at: the batch's CRC-32C covers the same bytes.
//! Frames with a dictionary are refused, as Kafka has no way to name one.

use std::io::{self, Read};

/// What a frame begins with.
pub const MAGIC: [u8; 4] = 0x184D_2204u32.to_le_bytes();
/// A copy reaches back at most this many bytes, into earlier blocks when blocks are linked.
const WINDOW_BYTES: usize = 64 * 1024;
/// One byte of LZ4 stands for at most this many bytes.
const MAX_EXPANSION: usize = 255;
const STORED_BLOCK: u32 = 1 << 31;

/// Unpacks one frame; what follows it is ignored, as Kafka does.
pub struct Lz4FrameReader<'a> {
    packed: &'a [u8],
    linked: bool,
    block_checksums: bool,
    max_block_bytes: usize,
    block: Vec<u8>,
    given: usize,
    /// The last bytes of earlier blocks, kept only when blocks are linked.
    window: Vec<u8>,
    ended: bool,
}

impl<'a> Lz4FrameReader<'a> {
    /// Reads the frame's header.
    pub fn new(packed: &'a [u8]) -> io::Result<Lz4FrameReader<'a>> {
        let cut = || invalid("the LZ4 frame ends in its header");
        let rest = packed
            .strip_prefix(&MAGIC)
            .ok_or_else(|| invalid("not an LZ4 frame"))?;
        let [flags, block_size, ..] = *rest else {
            return Err(cut());
        };
        let has_dictionary = flags & 0x01 != 0;
        if flags >> 6 != 1 || has_dictionary {
            return Err(invalid(
                "an LZ4 frame of another version or with a dictionary",
            ));
        }
        let content_size_bytes = if flags & 0x08 != 0 { 8 } else { 0 };
        let header_checksum_bytes = 1;
        let blocks = rest
            .get(2 + content_size_bytes + header_checksum_bytes..)
            .ok_or_else(cut)?;
        let max_block_bytes = match (block_size >> 4) & 0x7 {
            size @ 4..=7 => 1 << (8 + 2 * size),
            _ => return Err(invalid("an LZ4 frame with an unknown block size")),
        };
        Ok(Lz4FrameReader {
            packed: blocks,
            linked: flags & 0x20 == 0,
            block_checksums: flags & 0x10 != 0,
            max_block_bytes,
            block: Vec::new(),
            given: 0,
            window: Vec::new(),
            ended: false,
        })
    }

    /// Unpacks the next block into `self.block`; false at the end of the frame.
    fn next_block(&mut self) -> io::Result<bool> {
        let Some((length, rest)) = self.packed.split_first_chunk::<4>() else {
            return Err(invalid("the LZ4 frame ends in a length"));
        };
        let length = u32::from_le_bytes(*length);
        if length == 0 {
            return Ok(false);
        }
        let bytes = (length & !STORED_BLOCK) as usize;
        if bytes > self.max_block_bytes {
            return Err(invalid("an LZ4 block is larger than its frame allows"));
        }
        let (block, rest) = rest
            .split_at_checked(bytes)
            .ok_or_else(|| invalid("the LZ4 frame ends in a block"))?;
        let checksum_bytes = if self.block_checksums { 4 } else { 0 };
        self.packed = rest
            .get(checksum_bytes..)
            .ok_or_else(|| invalid("the LZ4 frame ends in a checksum"))?;
        self.remember_window();
        if length & STORED_BLOCK != 0 {
            self.block.clear();
            self.block.extend_from_slice(block);
        } else {
            let most = self
                .max_block_bytes
                .min(bytes.saturating_mul(MAX_EXPANSION));
            self.block.resize(most, 0);
            let written =
                lz4_flex::block::decompress_into_with_dict(block, &mut self.block, &self.window)
                    .map_err(|_| invalid("an LZ4 block does not unpack"))?;
            self.block.truncate(written);
        }
        self.given = 0;
        Ok(true)
    }

    fn remember_window(&mut self) {
        if !self.linked {
            return;
        }
        let from = self.block.len().saturating_sub(WINDOW_BYTES);
        self.window.extend_from_slice(&self.block[from..]);
        let excess = self.window.len().saturating_sub(WINDOW_BYTES);
        self.window.drain(..excess);
    }
}

impl Read for Lz4FrameReader<'_> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        while self.given == self.block.len() && !self.ended {
            self.ended = !self.next_block()?;
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
