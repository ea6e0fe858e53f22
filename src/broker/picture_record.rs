//! The focused record, with its batch and where it lies in the file.

use std::sync::Arc;

use super::Broker;
use super::picture_lanes::kind;
use crate::ids::{Offset, PartitionIndex, Time, TopicId};
use crate::inspect::{BatchDetail, DETAIL_BYTES, RecordAnswer, RecordDetail, RecordFocus};
use crate::storage::{BatchPlace, Disk, Log};
use crate::wire::records::{BatchView, Record, partition_for_key};

/// Bytes a batch may expand to for one record in it …
const EXPANDED_BYTES: usize = 8 * 1024 * 1024;
/// … or this many times what it takes compressed, if that is more.
const EXPANSION: usize = 4;
/// Milliseconds between two looks at a record that could not be read.
const LOOK_AGAIN_MS: i64 = 500;
/// Headers shown of a record.
const HEADERS_SHOWN: usize = 1_000;

/// The record of the last picture.
#[derive(Debug, Default)]
pub(super) struct RecordCache {
    shown: Option<Looked>,
}

#[derive(Debug)]
struct Looked {
    focus: RecordFocus,
    topic: TopicId,
    log_start: Offset,
    log_end: Offset,
    /// When to look again although the log still starts where it did.
    again: Again,
    answer: Arc<RecordAnswer>,
}

/// How long an answer stays true while the log starts where it did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Again {
    /// What is in a batch does not change.
    Never,
    /// The log's end decided.
    WhenItGrew,
    /// The disk may be well again, but asking it is not free.
    At(Time),
}

impl Broker {
    pub(super) fn show_record(
        &mut self,
        now: Time,
        focus: Option<&RecordFocus>,
    ) -> Option<Arc<RecordAnswer>> {
        let Some(focus) = focus else {
            self.shown.record.shown = None;
            return None;
        };
        let image = self.image.topic_named(&focus.topic)?;
        let partitions = i32::try_from(image.partitions.len()).unwrap_or(i32::MAX);
        let id = image.id;
        let partition = self.topics.get_mut(&id)?.partition_mut(focus.partition.0)?;
        let log = partition.log.as_mut()?;
        let (log_start, log_end) = (log.log_start(), log.log_end());
        if let Some(shown) = &self.shown.record.shown
            && (&shown.focus, shown.topic, shown.log_start) == (focus, id, log_start)
            && match shown.again {
                Again::Never => true,
                Again::WhenItGrew => shown.log_end == log_end,
                Again::At(time) => now < time,
            }
        {
            return Some(Arc::clone(&shown.answer));
        }
        let (answer, again) = look(now, log, &mut *self.disk, focus, partitions);
        let answer = Arc::new(answer);
        self.shown.record.shown = Some(Looked {
            focus: focus.clone(),
            topic: id,
            log_start,
            log_end,
            again,
            answer: Arc::clone(&answer),
        });
        Some(answer)
    }
}

fn look(
    now: Time,
    log: &mut Log,
    disk: &mut dyn Disk,
    focus: &RecordFocus,
    partitions: i32,
) -> (RecordAnswer, Again) {
    let absent = |why: String| RecordAnswer::Absent {
        partition: focus.partition,
        offset: focus.offset,
        why,
    };
    let (start, end) = (log.log_start(), log.log_end());
    if focus.offset < start {
        let why = format!("The log starts at offset {start}: what was before is deleted.");
        return (absent(why), Again::Never);
    }
    if focus.offset >= end {
        let why = format!("The log ends at offset {end}: nothing has been written here yet.");
        return (absent(why), Again::WhenItGrew);
    }
    let later = Again::At(now.plus_ms(LOOK_AGAIN_MS));
    let place = match log.batch_at(disk, focus.offset) {
        Ok(Some(place)) => place,
        Ok(None) => return (absent("No batch holds this offset.".to_owned()), later),
        Err(error) => return (absent(format!("It cannot be read: {error}.")), later),
    };
    let Ok(batch) = BatchView::first(&place.bytes) else {
        return (absent("Its batch cannot be read.".to_owned()), later);
    };
    let answer = match find(&batch, focus, partitions) {
        Ok(Some(mut detail)) => {
            detail.batch = batch_detail(&batch, &place, detail.batch.uncompressed_bytes);
            RecordAnswer::Found(Box::new(detail))
        }
        Ok(None) => absent("The batch is there, but its record was compacted away.".to_owned()),
        Err(why) => absent(format!("Its batch does not unpack: {why}.")),
    };
    (answer, Again::Never)
}

fn find(
    batch: &BatchView<'_>,
    focus: &RecordFocus,
    partitions: i32,
) -> Result<Option<RecordDetail>, String> {
    let control = batch.header().is_control();
    let whole = batch.body().len();
    let limit = EXPANDED_BYTES.max(whole.saturating_mul(EXPANSION));
    let mut records = batch.records(limit).map_err(|e| e.to_string())?;
    let mut found = None;
    while let Some(record) = records.next_record().map_err(|e| e.to_string())? {
        if record.offset == focus.offset {
            found = Some(detail(&record, focus, control, partitions));
        }
    }
    let uncompressed = records.uncompressed_bytes(whole);
    Ok(found.map(|mut detail| {
        detail.batch.uncompressed_bytes = uncompressed;
        detail
    }))
}

fn detail(
    record: &Record<'_>,
    focus: &RecordFocus,
    control: bool,
    partitions: i32,
) -> RecordDetail {
    let cut = |part: &[u8]| part[..part.len().min(DETAIL_BYTES)].to_vec();
    let len = |part: Option<&[u8]>| part.map_or(0, |part| part.len() as u64);
    let headers = record.headers().take(HEADERS_SHOWN);
    RecordDetail {
        topic: focus.topic.clone(),
        partition: focus.partition,
        offset: record.offset,
        timestamp_ms: record.timestamp_ms,
        kind: kind(record, control),
        key: record.key.map(cut),
        key_len: len(record.key),
        value: record.value.map(cut),
        value_len: len(record.value),
        headers: headers
            .map(|(key, value)| (cut(key), value.map(cut)))
            .collect(),
        batch: empty_batch(),
        partition_by_key: by_key(record.key.filter(|_| !control), partitions),
    }
}

fn by_key(key: Option<&[u8]>, partitions: i32) -> Option<PartitionIndex> {
    key.map(|key| partition_for_key(key, partitions))
}

fn empty_batch() -> BatchDetail {
    BatchDetail {
        base_offset: Offset::NONE,
        last_offset: Offset::NONE,
        leader_epoch: crate::ids::LeaderEpoch::NONE,
        crc: 0,
        crc_ok: false,
        compression: String::new(),
        log_append_time: false,
        transactional: false,
        control: false,
        producer_id: crate::ids::ProducerId::NONE,
        producer_epoch: crate::ids::ProducerEpoch::NONE,
        base_sequence: -1,
        base_timestamp_ms: -1,
        max_timestamp_ms: -1,
        records: 0,
        bytes: 0,
        uncompressed_bytes: 0,
        segment: String::new(),
        position: 0,
    }
}

/// A batch's header and place as pictures show them.
pub(super) fn batch_detail(
    batch: &BatchView<'_>,
    place: &BatchPlace,
    uncompressed_bytes: u64,
) -> BatchDetail {
    let header = batch.header();
    BatchDetail {
        base_offset: header.base_offset,
        last_offset: header.last_offset(),
        leader_epoch: header.leader_epoch,
        crc: header.crc,
        crc_ok: place.crc_ok,
        compression: header
            .codec()
            .map_or_else(|e| e.to_string(), |codec| codec.to_string()),
        log_append_time: header.is_log_append_time(),
        transactional: header.is_transactional(),
        control: header.is_control(),
        producer_id: header.producer_id,
        producer_epoch: header.producer_epoch,
        base_sequence: header.base_sequence,
        base_timestamp_ms: header.base_timestamp_ms,
        max_timestamp_ms: header.max_timestamp_ms,
        records: header.record_count,
        bytes: u32::try_from(header.total_bytes()).unwrap_or(u32::MAX),
        uncompressed_bytes,
        segment: format!("{:020}.log", place.segment.0),
        position: place.position,
    }
}
