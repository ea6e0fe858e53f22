//! The snapshot file: an image as record batches, as Kafka keeps it (KIP-630).
//!
//! STORAGE.md shows the bytes. Each batch carries its own CRC-32C; that none is missing, twice or from another snapshot
//! is seen by offsets that follow each other from 0, the leader epoch, and the control records at both ends. A file
//! that is not whole is never believed in part.

use super::metadata_log::{MAX_DECISION_BYTES, MetadataLogError};
use crate::ids::{LeaderEpoch, Offset};
use crate::metadata::{Image, Record, RecordError};
use crate::quorum::SnapshotId;
use crate::storage::{metadata_snapshot_id, metadata_snapshot_name};
use crate::wire::messages::snapshot_footer_record::SnapshotFooterRecord;
use crate::wire::messages::snapshot_header_record::SnapshotHeaderRecord;
use crate::wire::records::{BatchBuilder, BatchError, BatchView, ControlType, batches};
use crate::wire::{DecodeError, Reader, Writer};

/// Bytes after which the records of a snapshot go on in another batch.
const BATCH_BYTES: usize = 1024 * 1024;
/// The version of header and footer.
const VERSION: i16 = 0;

/// Why a file is not the snapshot its name says.
#[derive(Debug, thiserror::Error)]
pub(super) enum SnapshotError {
    #[error(transparent)]
    Batch(#[from] BatchError),
    #[error(transparent)]
    Record(#[from] RecordError),
    #[error(transparent)]
    Decode(#[from] DecodeError),
    #[error("the batch at offset {0} does not match its checksum")]
    Checksum(Offset),
    #[error("a batch at offset {found} stands where {due} is due")]
    Order { found: Offset, due: Offset },
    #[error("a batch of leader epoch {found} in a snapshot of {0}", found = .1)]
    Epoch(LeaderEpoch, LeaderEpoch),
    #[error("version {0} is newer than {VERSION}")]
    Version(i16),
    #[error("it has no {0}")]
    Missing(&'static str),
    #[error("there is something behind its footer")]
    Trailing,
}

/// The file's name: `00000000000000000123-0000000004.checkpoint`.
pub(super) fn file_name(id: SnapshotId) -> String {
    metadata_snapshot_name(id.end, id.epoch)
}

/// The snapshot a file is named after.
pub(super) fn id_of(name: &str) -> Option<SnapshotId> {
    let (end, epoch) = metadata_snapshot_id(name)?;
    Some(SnapshotId { end, epoch })
}

/// The file's bytes. `written_ms` is the timestamp of the newest record it contains.
pub(super) fn encode(
    id: SnapshotId,
    image: &Image,
    written_ms: i64,
) -> Result<Vec<u8>, MetadataLogError> {
    let mut writer = SnapshotWriter {
        id,
        written_ms,
        next: 0,
        file: Vec::new(),
    };
    let mut header = Writer::new();
    SnapshotHeaderRecord {
        version: VERSION,
        last_contained_log_timestamp: written_ms,
    }
    .encode(&mut header, VERSION)?;
    writer.put_control(ControlType::SnapshotHeader, &header.finish_value())?;
    writer.put_records(image)?;
    let mut footer = Writer::new();
    SnapshotFooterRecord { version: VERSION }.encode(&mut footer, VERSION)?;
    writer.put_control(ControlType::SnapshotFooter, &footer.finish_value())?;
    Ok(writer.file)
}

struct SnapshotWriter {
    id: SnapshotId,
    written_ms: i64,
    /// Offset of the next record.
    next: i64,
    file: Vec<u8>,
}

impl SnapshotWriter {
    fn put_control(&mut self, kind: ControlType, value: &[u8]) -> Result<(), MetadataLogError> {
        let mut batch = BatchBuilder::new().control();
        batch.push(self.written_ms, Some(&kind.key()), Some(value), &[]);
        self.put(batch)
    }

    fn put_records(&mut self, image: &Image) -> Result<(), MetadataLogError> {
        let mut batch = BatchBuilder::new();
        for record in image.records() {
            batch.push(self.written_ms, None, Some(&record.encode()?), &[]);
            if batch.bytes() >= BATCH_BYTES {
                self.put(std::mem::take(&mut batch))?;
            }
        }
        match batch.record_count() {
            0 => Ok(()),
            _ => self.put(batch),
        }
    }

    fn put(&mut self, batch: BatchBuilder) -> Result<(), MetadataLogError> {
        let records = i64::from(batch.record_count());
        let batch = batch.base(Offset(self.next), self.id.epoch);
        self.file.extend_from_slice(&batch.build()?);
        self.next += records;
        Ok(())
    }
}

/// The image a file holds.
pub(super) fn decode(id: SnapshotId, file: &[u8]) -> Result<Image, SnapshotError> {
    let mut image = Image::default();
    walk(id, file, |batch| {
        let mut records = batch.records(MAX_DECISION_BYTES as usize)?;
        while let Some(record) = records.next_record()? {
            let value = record.value.ok_or(SnapshotError::Missing("value"))?;
            image.apply(&Record::decode(value)?);
        }
        Ok(())
    })?;
    Ok(image)
}

/// Whether a file is as it was written. What its records say is not looked at: checksums speak for them.
pub(super) fn verify(id: SnapshotId, file: &[u8]) -> Result<(), SnapshotError> {
    walk(id, file, |_| Ok(()))
}

/// Gives every batch of records of a whole file to `take`.
fn walk(
    id: SnapshotId,
    file: &[u8],
    mut take: impl FnMut(&BatchView<'_>) -> Result<(), SnapshotError>,
) -> Result<(), SnapshotError> {
    let mut due = Offset::ZERO;
    let mut batches = batches(file);
    let first = batches.next().ok_or(SnapshotError::Missing("header"))??;
    check(&first, id, &mut due)?;
    check_control(&first, ControlType::SnapshotHeader, "header")?;
    for batch in &mut batches {
        let batch = batch?;
        check(&batch, id, &mut due)?;
        if batch.header().is_control() {
            check_control(&batch, ControlType::SnapshotFooter, "footer")?;
            return match batches.next() {
                None => Ok(()),
                Some(_) => Err(SnapshotError::Trailing),
            };
        }
        take(&batch)?;
    }
    Err(SnapshotError::Missing("footer"))
}

/// Whether a batch is whole and the next of its snapshot.
fn check(batch: &BatchView<'_>, id: SnapshotId, due: &mut Offset) -> Result<(), SnapshotError> {
    let header = batch.header();
    if header.base_offset != *due {
        let (found, due) = (header.base_offset, *due);
        return Err(SnapshotError::Order { found, due });
    }
    if !batch.crc_ok() {
        return Err(SnapshotError::Checksum(*due));
    }
    if header.leader_epoch != id.epoch {
        return Err(SnapshotError::Epoch(id.epoch, header.leader_epoch));
    }
    *due = header.next_offset();
    Ok(())
}

fn check_control(
    batch: &BatchView<'_>,
    kind: ControlType,
    name: &'static str,
) -> Result<(), SnapshotError> {
    let mut records = batch.records(MAX_DECISION_BYTES as usize)?;
    let record = records.next_record()?;
    let key = kind.key();
    let record = record.filter(|record| record.key == Some(&key[..]));
    let value = record.and_then(|record| record.value);
    let value = value.ok_or(SnapshotError::Missing(name))?;
    let mut reader = Reader::new(bytes::Bytes::copy_from_slice(value));
    let version = match kind {
        ControlType::SnapshotHeader => SnapshotHeaderRecord::decode(&mut reader, VERSION)?.version,
        _ => SnapshotFooterRecord::decode(&mut reader, VERSION)?.version,
    };
    match version {
        VERSION => Ok(()),
        newer => Err(SnapshotError::Version(newer)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::{BrokerId, PartitionIndex, TopicId};
    use crate::metadata::PartitionImage;

    const ID: SnapshotId = SnapshotId {
        end: Offset(123),
        epoch: LeaderEpoch(4),
    };

    fn image(topics: u16) -> Image {
        let mut image = Image::default();
        for n in 0..topics {
            let mut id = [9; 16];
            id[..2].copy_from_slice(&n.to_be_bytes());
            let id = TopicId(id);
            let name = format!("topic-{n}");
            image.apply(&Record::Topic { name, id });
            for index in 0..8 {
                image.apply(&Record::Partition {
                    topic: id,
                    index: PartitionIndex(index),
                    partition: PartitionImage::new(vec![BrokerId(1)], vec![BrokerId(1)]),
                });
            }
        }
        image
    }

    #[test]
    fn a_snapshot_is_read_back_whatever_its_size() {
        for topics in [0, 1, 3_000] {
            let image = image(topics);
            let file = encode(ID, &image, 7).expect("it fits");
            assert_eq!(decode(ID, &file).expect("it is whole"), image);
            let parts = batches(&file).count();
            assert!(topics < 3_000 || parts > 3, "{parts} batches");
        }
    }

    #[test]
    fn every_cut_and_every_flipped_bit_is_noticed() {
        let file = encode(ID, &image(1), 7).expect("it fits");
        for len in 0..file.len() {
            assert!(decode(ID, &file[..len]).is_err(), "cut to {len}");
        }
        for bit in 0..file.len() * 8 {
            let mut flipped = file.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            assert!(decode(ID, &flipped).is_err(), "bit {bit}");
        }
        let twice = [&file[..], &file[..]].concat();
        assert!(decode(ID, &twice).is_err());
    }

    #[test]
    fn a_file_is_named_after_end_and_epoch() {
        let name = "00000000000000000123-0000000004.checkpoint";
        assert_eq!(file_name(ID), name);
        assert_eq!(id_of(name), Some(ID));
        for other in [
            "123-4.checkpoint",
            "leader-epoch-checkpoint",
            "00000000000000000123.snapshot",
            "00000000000000000123-0000000004.checkpoint.tmp",
            "-0000000000000000001-0000000004.checkpoint",
        ] {
            assert_eq!(id_of(other), None, "{other}");
        }
    }
}
