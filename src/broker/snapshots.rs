//! Snapshots of the metadata: made here when enough was committed, fetched where the controller's log begins too late,
//! and taken over as a whole.
//!
//! A broker makes one of its own image, syncs it beside everything else, and only then lets the log in front of the
//! one before it go. One that is fetched is checked, written and synced before the log is emptied for it; a broker
//! that dies in between finishes that when it is opened (`metadata_snapshots`).

use std::path::PathBuf;

use bytes::BytesMut;

use super::controller::Consequences;
use super::effect::Effect;
use super::partition::METADATA_LOG;
use super::{Broker, STOPS_ITSELF, snapshot_file};
use crate::ids::{BrokerId, LeaderEpoch, Offset, Time};
use crate::inspect::{Durability, EventKind};
use crate::metadata::{BrokerSettings, Image, Resource};
use crate::quorum::{FollowerStep, SnapshotAsked, SnapshotId, SnapshotPiece, SnapshotTold};
use crate::wire::ErrorCode;
use crate::wire::messages::fetch_snapshot::FetchSnapshotResponse;

/// How much is committed, or how much time passes, between two snapshots.
#[derive(Debug, Clone, Copy)]
pub(super) struct Pace {
    pub bytes: u64,
    /// `None`: time makes none.
    interval_ms: Option<i64>,
}

impl Pace {
    pub fn new(settings: &BrokerSettings) -> Pace {
        let number = |name| settings.number(&Image::default(), name);
        let bytes = number("metadata.log.max.record.bytes.between.snapshots");
        let interval_ms = number("metadata.log.max.snapshot.interval.ms");
        Pace {
            bytes: u64::try_from(bytes).unwrap_or(u64::MAX),
            interval_ms: Some(interval_ms).filter(|ms| *ms > 0),
        }
    }
}

/// What has come of a snapshot.
#[derive(Debug)]
pub(super) struct Pieces {
    id: SnapshotId,
    bytes: BytesMut,
}

impl Broker {
    /// Makes a snapshot if it is time. Call at the end of every verb.
    pub(super) fn snapshot_if_due(&mut self, now: Time) {
        let snapshots = &self.metadata_log.snapshots;
        let much = snapshots.bytes_since >= self.snapshot_pace.bytes;
        let late = self.snapshot_due().is_some_and(|due| due <= now);
        if !(much || late || snapshots.spoiled) || snapshots.syncing.is_some() {
            return;
        }
        let end = match &self.member {
            // The image is not what the log says yet.
            Some(member) if member.snapshot.is_some() => return,
            Some(member) => member.applied,
            None => self.metadata_log.log().log_end(),
        };
        let epoch = self.metadata_log.epoch_in_front_of(end);
        if epoch != LeaderEpoch::NONE {
            self.make_snapshot(now, SnapshotId { end, epoch });
        }
    }

    /// When time makes the next snapshot, unless enough is committed before.
    pub(super) fn snapshot_due(&self) -> Option<Time> {
        let snapshots = &self.metadata_log.snapshots;
        let stale_since = snapshots
            .stale_since
            .filter(|_| snapshots.syncing.is_none())?;
        Some(stale_since.plus_ms(self.snapshot_pace.interval_ms?))
    }

    fn make_snapshot(&mut self, now: Time, id: SnapshotId) {
        self.metadata_log.snapshots.begin();
        let written = self
            .metadata_log
            .write_snapshot(&mut *self.disk, id, &self.image);
        match written {
            Ok((files, bytes)) => {
                let offset = id.end;
                self.note(EventKind::SnapshotWritten { offset, bytes });
                self.sync_snapshot(now, id, files);
            }
            Err(error) => self.give_snapshot_up(now, error.to_string()),
        }
    }

    /// What fails is tried again after as many bytes or as long again.
    fn give_snapshot_up(&mut self, now: Time, why: String) {
        self.metadata_log.snapshots.stale_since.get_or_insert(now);
        self.note_metadata_trouble(why);
    }

    pub(super) fn note_snapshot_damaged(&mut self, id: SnapshotId, cause: String) {
        let offset = id.end;
        self.note(EventKind::SnapshotDamaged { offset, cause });
    }

    fn sync_snapshot(&mut self, now: Time, id: SnapshotId, files: Vec<PathBuf>) {
        if self.config.durability == Durability::Memory {
            return self.keep_snapshot(now, id);
        }
        let token = self.flushes.next_token();
        self.metadata_log.snapshots.syncing = Some((token, id));
        self.effects.push(Effect::Flush { token, files });
    }

    /// A sync is over; it may have been a snapshot's.
    pub(super) fn on_snapshot_synced(
        &mut self,
        now: Time,
        token: u64,
        result: &Result<(), String>,
    ) {
        let syncing = &mut self.metadata_log.snapshots.syncing;
        let Some((_, id)) = syncing.take_if(|(of, _)| *of == token) else {
            return;
        };
        match result {
            Ok(()) => self.keep_snapshot(now, id),
            Err(cause) => {
                // What a failed sync left behind reads well until the cache forgets it.
                let removed = self.metadata_log.discard(&mut *self.disk, id);
                let stays = removed.err();
                let stays = stays.map_or(String::new(), |error| format!(", and it stays: {error}"));
                let name = snapshot_file::file_name(id);
                self.give_snapshot_up(now, format!("{name} could not be synced: {cause}{stays}"));
            }
        }
    }

    fn keep_snapshot(&mut self, now: Time, id: SnapshotId) {
        let kept = self.metadata_log.keep_snapshot(&mut *self.disk, now, id);
        if let Err(error) = kept {
            self.note_metadata_trouble(error.to_string());
        }
        self.take_log_notes(now, METADATA_LOG);
        if self.member.is_some() {
            self.on_metadata_log_changed(now);
        } else {
            self.note_dirty(now, METADATA_LOG);
        }
    }

    /// A piece of a snapshot for another broker. One that is damaged is not passed on: the next is made at once, and
    /// asked for.
    pub(super) fn snapshot_piece(
        &mut self,
        asked: &SnapshotAsked,
        most: usize,
    ) -> Result<SnapshotPiece, ErrorCode> {
        let log = &mut self.metadata_log;
        if asked.position == 0
            && log.has_snapshot(asked.id)
            && let Some(why) = log.damage(&mut *self.disk, asked.id)
        {
            log.snapshots.spoiled = true;
            self.note_snapshot_damaged(asked.id, why);
            return Err(ErrorCode::SnapshotNotFound);
        }
        log.read_piece(&mut *self.disk, asked, most)
    }

    /// The controller's answer to a FetchSnapshot.
    pub(super) fn take_snapshot_piece(
        &mut self,
        now: Time,
        from: BrokerId,
        response: &FetchSnapshotResponse,
    ) {
        let told = SnapshotTold::from_response(response);
        let step = self.with_quorum(now, |quorum, log| {
            quorum.on_snapshot_response(now, log, from, &told)
        });
        let Some(FollowerStep::Keep {
            id,
            position,
            whole,
        }) = step
        else {
            return;
        };
        let Some(member) = self.member.as_mut() else {
            return;
        };
        if position == 0 {
            let bytes = BytesMut::new();
            member.pieces = Some(Pieces { id, bytes });
        }
        let Some(pieces) = member.pieces.as_mut() else {
            return;
        };
        for piece in told.bytes.pieces() {
            pieces.bytes.extend_from_slice(piece);
        }
        if whole {
            self.restore(now, from);
            self.take_log_notes(now, METADATA_LOG);
            self.on_metadata_log_changed(now);
            self.apply_committed(now);
        }
    }

    /// Puts a snapshot that has come in the place of the log and of the image.
    fn restore(&mut self, now: Time, from: BrokerId) {
        let pieces = self.member.as_mut().and_then(|m| m.pieces.take());
        let Some(Pieces { id, bytes }) = pieces else {
            return;
        };
        let image = match snapshot_file::decode(id, &bytes) {
            Ok(image) => image,
            Err(error) => {
                let cause = format!("as broker {from} sent it, {error}");
                return self.note_snapshot_damaged(id, cause);
            }
        };
        let placed = self
            .metadata_log
            .put_in_place(&mut *self.disk, &mut self.dir, id, &bytes);
        if let Err(error) = placed {
            return self.note_metadata_trouble(error.to_string());
        }
        if let Err(error) = self.metadata_log.go_on_from(&mut *self.disk, id) {
            panic!("{STOPS_ITSELF}its metadata log could not be emptied for a snapshot: {error}");
        }
        self.note(EventKind::SnapshotFetched {
            offset: id.end,
            bytes: bytes.len() as u64,
            from,
        });
        if let Some(member) = self.member.as_mut() {
            member.applied = id.end;
            member.snapshot = None;
            member.polls_due = true;
        }
        self.take_image(now, image);
    }

    /// Applies the snapshot the log begins with, and everything committed behind it, as one step.
    pub(super) fn apply_snapshot(&mut self, now: Time, end: Offset) {
        let member = self.member.as_mut();
        let Some((id, mut image)) = member.and_then(|m| m.snapshot.take()) else {
            return;
        };
        let read = self
            .metadata_log
            .replay(&mut *self.disk, id.end, end, |_, record| {
                image.apply(record);
            });
        match read {
            Ok(bytes) => self.metadata_log.snapshots.note_applied(now, bytes),
            Err((offset, error)) => {
                panic!("{STOPS_ITSELF}committed metadata cannot be read at {offset}: {error}")
            }
        }
        if let Some(member) = self.member.as_mut() {
            member.applied = end;
        }
        self.take_image(now, image);
    }

    /// Makes this broker what another image says: as if everything that lies between had been applied at once.
    fn take_image(&mut self, now: Time, image: Image) {
        let before = std::mem::replace(&mut self.image, image);
        let mut todo = Consequences::default();
        let gone = |id| self.image.topic(id).is_none();
        for topic in before.topics_by_name().filter(|topic| gone(topic.id)) {
            // What another broker decided, that one told.
            todo.removed.push((topic.id, topic.name.clone(), None));
        }
        todo.topics = self.image.topics_by_name().map(|topic| topic.id).collect();
        for (topic, index, partition) in self.image.partitions() {
            let was = before.topic(topic.id);
            let was = was.and_then(|topic| topic.partition(index));
            if was != Some(partition) {
                todo.partitions.insert((topic.id, index.0));
            }
        }
        // That of a broker is of every topic, too.
        todo.settings = vec![Resource::Broker(None)];
        todo.brokers = true;
        self.carry_out(now, todo);
    }
}
