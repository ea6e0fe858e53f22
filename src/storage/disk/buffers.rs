//! Buffers that reads from files go through again and again.
//!
//! A fresh megabyte costs more in page faults than the read into it. A buffer comes back when the last
//! slice of its bytes is dropped, whichever thread drops it; a channel carries it, so nothing is locked.

use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

use bytes::Bytes;

/// Buffers kept for the next read.
const KEPT_BUFFERS: usize = 8;
/// Reads shorter than this many bytes are not worth a kept buffer, those longer are too much to keep.
const KEPT_BYTES: std::ops::RangeInclusive<usize> = 32 * 1024..=2 * 1024 * 1024;

/// Buffers for one disk.
#[derive(Debug)]
pub struct Buffers {
    give: SyncSender<Vec<u8>>,
    take: Receiver<Vec<u8>>,
}

/// A buffer that is on loan, or one that will not be kept.
#[derive(Debug)]
pub struct Buffer {
    bytes: Vec<u8>,
    /// Bytes of it that hold what was read.
    filled: usize,
    back: Option<SyncSender<Vec<u8>>>,
}

impl Default for Buffers {
    fn default() -> Buffers {
        let (give, take) = sync_channel(KEPT_BUFFERS);
        Buffers { give, take }
    }
}

impl Buffers {
    /// A buffer of at least `len` bytes, whose contents do not matter.
    pub fn take(&self, len: usize) -> Buffer {
        let kept = KEPT_BYTES.contains(&len);
        let mut bytes = match kept {
            true => self.take.try_recv().unwrap_or_default(),
            false => Vec::new(),
        };
        if bytes.len() < len {
            bytes = vec![0; len];
        }
        Buffer {
            bytes,
            filled: 0,
            back: kept.then(|| self.give.clone()),
        }
    }
}

impl Buffer {
    /// The whole buffer, to read into.
    pub fn room(&mut self) -> &mut [u8] {
        &mut self.bytes
    }

    /// Its first `filled` bytes, shared; the buffer goes back when nobody holds them any more.
    pub fn share(mut self, filled: usize) -> Bytes {
        self.filled = filled.min(self.bytes.len());
        Bytes::from_owner(self)
    }
}

impl AsRef<[u8]> for Buffer {
    fn as_ref(&self) -> &[u8] {
        &self.bytes[..self.filled]
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        if let Some(back) = &self.back {
            // Full, or the disk is gone: the buffer is freed.
            let _ = back.try_send(std::mem::take(&mut self.bytes));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_buffer_comes_back_only_when_its_last_slice_is_gone() {
        let buffers = Buffers::default();
        let mut first = buffers.take(64 * 1024);
        first.room()[..3].copy_from_slice(b"abc");
        let shared = first.share(3);
        let slice = shared.slice(1..);
        drop(shared);
        let mut second = buffers.take(64 * 1024);
        second.room()[..3].copy_from_slice(b"xyz");
        assert_eq!(&slice[..], b"bc", "still held, so not lent again");
        drop(slice);
        let third = buffers.take(40 * 1024);
        assert_eq!(&third.bytes[..3], b"abc", "lent again");
    }

    #[test]
    fn no_more_are_kept_than_allowed() {
        let buffers = Buffers::default();
        let many: Vec<_> = (0..3 * KEPT_BUFFERS)
            .map(|_| buffers.take(1 << 16))
            .collect();
        drop(many);
        assert_eq!(buffers.take.try_iter().count(), KEPT_BUFFERS);
        drop(buffers.take(1 << 24));
        drop(buffers.take(16));
        assert_eq!(buffers.take.try_iter().count(), 0);
    }
}
