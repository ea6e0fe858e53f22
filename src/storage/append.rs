//! Appending: what a leader or follower does with a batch that arrived.
//!
//! A batch costs at most one copy in memory (none when its bytes are nobody else's) and one write call.
//! Either the whole batch is in the log afterwards or the log is as it was: a short write is rolled
//! back, and if even that fails, before the next append.

use bytes::{Bytes, BytesMut};

use super::config::TimestampType;
use super::disk::Disk;
use super::error::{AppendError, StorageError};
use super::log::{Log, Note};
use super::producers::Verdict;
use super::segment::Segment;
use super::sync::note_unsynced;
use crate::ids::{LeaderEpoch, Offset, Time};
use crate::plants::{Plant, planted};
use crate::wire::records::{BatchError, BatchHeader, batches, set_base, set_log_append_time};

/// Batches up to this size are copied so that they do not hold on to the frame they came in.
pub const COPIED_BYTES: usize = 8 * 1024;

/// What became of an appended batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Appended {
    pub base: Offset,
    pub last: Offset,
    /// The broker's stamp, if the topic uses LogAppendTime; −1 otherwise.
    pub log_append_time_ms: i64,
    /// The batch was appended before, at these offsets: nothing was written now.
    pub duplicate: bool,
}

impl Log {
    /// Appends one batch as the partition's leader: gives it offsets and the leader's epoch. The caller
    /// has validated its contents, and hands in bytes that keep little else alive: the tail may hold them and
    /// counts only what they are.
    pub fn append(
        &mut self,
        disk: &mut dyn Disk,
        now: Time,
        batch: Bytes,
        as_leader: LeaderEpoch,
    ) -> Result<Appended, AppendError> {
        let header = self.inspect(&batch)?;
        self.finish_cut(disk, now)?;
        if let Verdict::Duplicate(known) = self.producers.judge(&header)?
            && !planted(Plant::AcceptsDuplicates)
        {
            if known.last_offset >= self.sync.recovery_point {
                // Read back it would be there, but after a failed sync nothing says that it stays.
                self.check_writable()?;
            }
            return Ok(Appended {
                base: known.base_offset,
                last: known.last_offset,
                log_append_time_ms: self.stamp(known.max_timestamp_ms),
                duplicate: true,
            });
        }
        let base = self.log_end();
        let mut batch = writable(batch);
        set_base(&mut batch, base, as_leader);
        if self.config.timestamp_type == TimestampType::LogAppendTime {
            set_log_append_time(&mut batch, now.as_ms());
        }
        let header = BatchHeader::parse(&batch)?;
        let batch = batch.freeze();
        self.write_batch(disk, now, &header, &batch)?;
        let limit = self.config.tail_bytes;
        self.tail.push(base, batch, limit, self.followed);
        Ok(Appended {
            base,
            last: header.last_offset(),
            log_append_time_ms: self.stamp(header.max_timestamp_ms),
            duplicate: false,
        })
    }

    /// Appends batches that a leader gave offsets and epochs; they must continue this log.
    pub fn append_as_follower(
        &mut self,
        disk: &mut dyn Disk,
        now: Time,
        records: &Bytes,
    ) -> Result<Option<Appended>, AppendError> {
        let mut appended: Option<Appended> = None;
        self.finish_cut(disk, now)?;
        for batch in batches(records) {
            let batch = batch?;
            let header = *batch.header();
            check_counts(&header)?;
            if header.base_offset != self.log_end() {
                return Err(AppendError::NotNext {
                    expected: self.log_end(),
                    found: header.base_offset,
                });
            }
            self.write_batch(disk, now, &header, batch.bytes())?;
            self.hold_followed(header.base_offset, batch.bytes());
            let first = appended.map_or(header.base_offset, |earlier| earlier.base);
            appended = Some(Appended {
                base: first,
                last: header.last_offset(),
                log_append_time_ms: -1,
                duplicate: false,
            });
        }
        Ok(appended)
    }

    /// Keeps a follower's batch in memory if it is short, as a copy: many batches came in one answer. Nobody reads
    /// of a follower, but it may lead next.
    fn hold_followed(&mut self, base: Offset, batch: &[u8]) {
        match batch.len() <= COPIED_BYTES {
            true => {
                let limit = self.config.tail_bytes;
                let copy = Bytes::copy_from_slice(batch);
                self.tail.push(base, copy, limit, false);
            }
            false => self.tail.clear(),
        }
    }

    /// Has the newest batch stay in memory, however long it is, because followers are about to read it.
    pub fn set_followed(&mut self, followed: bool) {
        self.followed = followed;
        if !followed {
            self.tail.let_large_go();
        }
    }

    /// Every replica that counts has read up to here.
    pub fn on_replicated(&mut self, upto: Offset) {
        if upto >= self.log_end() {
            self.tail.let_large_go();
        }
    }

    fn stamp(&self, timestamp_ms: i64) -> i64 {
        match self.config.timestamp_type {
            TimestampType::LogAppendTime => timestamp_ms,
            TimestampType::CreateTime => -1,
        }
    }

    /// The header of exactly one batch of acceptable size.
    fn inspect(&self, batch: &[u8]) -> Result<BatchHeader, AppendError> {
        let header = BatchHeader::parse(batch)?;
        if header.total_bytes() != batch.len() {
            return Err(AppendError::Malformed(BatchError::Cut {
                have: batch.len(),
                need: header.total_bytes(),
            }));
        }
        check_counts(&header)?;
        let limit = self.config.max_message_bytes as usize;
        match batch.len() > limit {
            true => Err(AppendError::TooLarge {
                bytes: batch.len(),
                limit,
            }),
            false => Ok(header),
        }
    }

    /// Writes a batch whose header is final.
    fn write_batch(
        &mut self,
        disk: &mut dyn Disk,
        now: Time,
        header: &BatchHeader,
        batch: &[u8],
    ) -> Result<(), AppendError> {
        self.check_writable()?;
        self.attempt(disk, |log, disk| {
            log.roll_back_torn(disk)?;
            log.write_owner(disk)?;
            log.ready_active(disk)?;
            log.roll_if_due(disk, header, batch.len())?;
            let begins = log.epochs.assign(header.leader_epoch, header.base_offset);
            if begins || log.epochs_ahead {
                let written = log.write_epochs(disk);
                if written.is_err() {
                    log.epochs_ahead |= log.epochs.truncate(header.base_offset);
                }
                written?;
            }
            log.write_at_end(disk, batch)
        })?;
        let interval = self.config.index_interval_bytes;
        self.active_mut().appended(header, interval);
        self.producers.note(header, now);
        self.last_append = now;
        Ok(())
    }

    /// Runs a step that writes, and notes its outcome.
    pub(super) fn attempt<T>(
        &mut self,
        disk: &mut dyn Disk,
        step: impl FnOnce(&mut Log, &mut dyn Disk) -> Result<T, StorageError>,
    ) -> Result<T, StorageError> {
        let result = step(self, disk);
        self.note_outcome(&result);
        result
    }

    /// Notes when writing begins to fail and when it works again.
    pub(super) fn note_outcome<T>(&mut self, result: &Result<T, StorageError>) {
        let path = || self.dir.clone();
        match (result, &self.trouble) {
            (Err(error), None) => {
                let cause = error.to_string();
                self.notes.push(Note::WriteFailed {
                    path: path(),
                    cause: cause.clone(),
                });
                self.trouble = Some(cause);
            }
            (Ok(_), Some(_)) => {
                self.notes.push(Note::WriteHealed { path: path() });
                self.trouble = None;
            }
            _ => {}
        }
    }

    fn write_at_end(&mut self, disk: &mut dyn Disk, batch: &[u8]) -> Result<(), StorageError> {
        let active = self.active();
        let path = active.path(&self.dir);
        let position = active.facts.bytes;
        if position == 0 {
            // The file is made by its first write, and then its name needs a sync, too.
            self.sync.paths.insert(self.dir.clone());
        }
        let Err(source) = disk.write_at(&path, position, batch) else {
            return Ok(());
        };
        self.torn = true;
        // Rolled back here if the disk lets us, else before the next append.
        let _ = self.roll_back_torn(disk);
        Err(StorageError::io("write", &path)(source))
    }

    /// Removes what a failed write left behind the last batch.
    pub(super) fn roll_back_torn(&mut self, disk: &mut dyn Disk) -> Result<(), StorageError> {
        if !self.torn {
            return Ok(());
        }
        if planted(Plant::KeepsTornWrite) {
            self.torn = false;
            return Ok(());
        }
        let active = self.active();
        let path = active.path(&self.dir);
        match disk.truncate(&path, active.facts.bytes) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                return Err(StorageError::io("shorten", &path)(error));
            }
            _ => self.torn = false,
        }
        Ok(())
    }

    /// Brings the active segment's index into memory.
    fn ready_active(&mut self, disk: &mut dyn Disk) -> Result<(), StorageError> {
        let last = self.segments.len() - 1;
        self.with_segment(last, |segment, around| {
            segment.prepare_to_grow(disk, around)
        })
    }

    fn roll_if_due(
        &mut self,
        disk: &mut dyn Disk,
        header: &BatchHeader,
        bytes: usize,
    ) -> Result<(), StorageError> {
        match self.roll_cause(header, bytes) {
            Some(cause) => self.roll(disk, cause),
            None => Ok(()),
        }
    }

    /// Why a batch must begin a new segment, if it must.
    fn roll_cause(&self, header: &BatchHeader, bytes: usize) -> Option<String> {
        let active = self.active();
        let facts = &active.facts;
        if active.closed {
            return Some("the file ends in damage".to_owned());
        }
        if facts.bytes == 0 {
            return None;
        }
        let limit = u64::from(self.config.segment_bytes);
        if facts.bytes + bytes as u64 > limit {
            return Some(format!("segment.bytes = {limit} reached"));
        }
        let limit = u64::from(self.config.segment_index_bytes);
        if active.indexes_full(limit) {
            return Some(format!("segment.index.bytes = {limit} reached"));
        }
        if header.next_offset() - facts.base > i64::from(i32::MAX) {
            return Some("a segment cannot span more offsets".to_owned());
        }
        let span = header
            .max_timestamp_ms
            .saturating_sub(facts.first_timestamp_ms);
        let segment_ms = self.config.segment_ms;
        let spans = facts.first_timestamp_ms >= 0 && span > segment_ms;
        spans.then(|| format!("segment.ms = {segment_ms} reached"))
    }

    /// Seals the active segment and begins a new one at the log end.
    pub(super) fn roll(&mut self, disk: &mut dyn Disk, cause: String) -> Result<(), StorageError> {
        let base = self.log_end();
        self.ready_active(disk)?;
        let dir = self.dir.clone();
        self.write_producers(disk)?;
        self.active_mut().write_indexes(disk, &dir, true)?;
        let sealed = self.active().facts;
        if sealed.end > self.sync.recovery_point {
            note_unsynced(&mut self.sync.paths, &dir, sealed.base);
        }
        self.segments.push(Segment::new(base));
        self.notes.push(Note::Rolled { base, cause });
        self.drop_old_snapshots(disk);
        Ok(())
    }
}

fn check_counts(header: &BatchHeader) -> Result<(), AppendError> {
    let counted = header.last_offset_delta >= 0 && header.record_count > 0;
    let ordered = header.base_offset.0 >= 0 && header.next_offset() > header.base_offset;
    match counted && (ordered || header.base_offset.0 < 0) {
        true => Ok(()),
        false => Err(AppendError::Miscounted),
    }
}

/// Bytes that may be changed: the very ones if nobody else holds them, else a copy.
fn writable(batch: Bytes) -> BytesMut {
    if batch.len() <= COPIED_BYTES {
        return BytesMut::from(&batch[..]);
    }
    batch
        .try_into_mut()
        .unwrap_or_else(|shared| BytesMut::from(&shared[..]))
}
