//! The focused record, with its batch and where it lies in the file.

use std::sync::Arc;

use super::Broker;
use super::picture_lanes::kind;
use crate::ids::{Offset, PartitionIndex};
use crate::inspect::{BatchDetail, DETAIL_BYTES, RecordAnswer, RecordDetail, RecordFocus};
use crate::storage::{BatchPlace, Disk, Log};
use crate::wire::records::{BatchView, Record, partition_for_key};

/// Bytes a batch may expand to for one record in it.
const EXPANDED_BYTES: usize = 256 * 1024 * 1024;
/// Headers shown of a record.
const HEADERS_SHOWN: usize = 1_000;

/// The record of the last picture.
#[derive(Debug, Default)]
pub(super) struct RecordCache {
    shown: Option<(RecordFocus, Offset, Offset, Arc<RecordAnswer>)>,
}

impl Broker {
    pub(super) fn show_record(&mut self, focus: Option<&RecordFocus>) -> Option<Arc<RecordAnswer>> {
        let Some(focus) = focus else {
            self.shown.record.shown = None;
            return None;
        };
        let image = self.image.topic_named(&focus.topic)?;
        let partitions = i32::try_from(image.partitions.len()).unwrap_or(i32::MAX);
        let topic = self.topics.get_mut(&image.id)?;
        let index = usize::try_from(focus.partition.0).ok()?;
        let log = topic.partitions.get_mut(index)?.log.as_mut()?;
        let (start, end) = (log.log_start(), log.log_end());
        if let Some((before, old_start, old_end, shown)) = &self.shown.record.shown
            && before == focus
            && *old_start == start
            && (*old_end == end || matches!(**shown, RecordAnswer::Found(_)))
        {
            return Some(Arc::clone(shown));
        }
        let answer = Arc::new(look(log, &mut *self.disk, focus, partitions));
        let shown = (focus.clone(), start, end, Arc::clone(&answer));
        self.shown.record.shown = Some(shown);
        Some(answer)
    }
}

fn look(log: &mut Log, disk: &mut dyn Disk, focus: &RecordFocus, partitions: i32) -> RecordAnswer {
    let absent = |why: String| RecordAnswer::Absent {
        partition: focus.partition,
        offset: focus.offset,
        why,
    };
    let (start, end) = (log.log_start(), log.log_end());
    if focus.offset < start {
        return absent(format!(
            "The log starts at offset {start}: what was before is deleted."
        ));
    }
    if focus.offset >= end {
        return absent(format!(
            "The log ends at offset {end}: nothing has been written here yet."
        ));
    }
    let place = match log.batch_at(disk, focus.offset) {
        Ok(Some(place)) => place,
        Ok(None) => return absent("No batch holds this offset.".to_owned()),
        Err(error) => return absent(format!("It cannot be read: {error}.")),
    };
    let Ok(batch) = BatchView::first(&place.bytes) else {
        return absent("Its batch cannot be read.".to_owned());
    };
    let found = find(&batch, focus, partitions);
    match found {
        Ok(Some(mut detail)) => {
            detail.batch = batch_detail(&batch, &place, detail.batch.uncompressed_bytes);
            RecordAnswer::Found(Box::new(detail))
        }
        Ok(None) => absent("The batch is there, but its record was compacted away.".to_owned()),
        Err(why) => absent(format!("Its batch does not unpack: {why}.")),
    }
}

fn find(
    batch: &BatchView<'_>,
    focus: &RecordFocus,
    partitions: i32,
) -> Result<Option<RecordDetail>, String> {
    let control = batch.header().is_control();
    let whole = batch.body().len();
    let mut records = batch.records(EXPANDED_BYTES).map_err(|e| e.to_string())?;
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
