//! What lies under the pointer in the log lanes, in a few lines: a record, its batch, its segment; or the
//! partition where there is no record.

use egui::Ui;

use crate::app::format;
use crate::app::replicas::ReplicaRole;
use crate::app::widgets::lane::Hit;
use crate::app::widgets::{heading, small};
use crate::ids::Offset;
use crate::inspect::{CellKind, Lane, PartitionSnapshot, TopicSnapshot};

/// What lies under the pointer, in a few lines.
pub fn draw(
    ui: &mut Ui,
    topic: &TopicSnapshot,
    partition: &PartitionSnapshot,
    lane: Option<&Lane>,
    hit: Hit,
    record: Option<Offset>,
) {
    let Some(offset) = record else {
        heading(ui, &format!("{}-{}", topic.name, partition.index));
        small(
            ui,
            &format!(
                "offsets {} – {} · high watermark {} · {} in {}",
                format::signed(partition.log_start.0),
                format::signed(partition.log_end.0),
                format::signed(partition.high_watermark.0),
                format::bytes(partition.bytes),
                format::counted(partition.segments.len() as u64, "segment"),
            ),
        );
        if let Some(trouble) = &partition.trouble {
            small(ui, trouble);
        }
        replicas(ui, partition);
        return;
    };
    heading(
        ui,
        &format!(
            "{}-{} @ {}",
            topic.name,
            partition.index,
            format::signed(offset.0)
        ),
    );
    if let Some(sentence) = lane.and_then(|lane| cell_sentence(lane, offset)) {
        small(ui, &sentence);
    }
    if offset >= partition.high_watermark {
        small(ui, "not committed yet: above the high watermark");
    }
    let segment = partition
        .segments
        .iter()
        .rfind(|segment| segment.base_offset <= offset);
    if let Some(segment) = segment {
        let state = if segment.active { "active, " } else { "" };
        small(
            ui,
            &format!(
                "{:020}.log · {state}{}",
                segment.base_offset.0,
                format::bytes(segment.bytes)
            ),
        );
    }
    if hit.segment {
        return;
    }
    let batch = lane.and_then(|lane| {
        lane.batches
            .iter()
            .find(|(first, end)| (*first..*end).contains(&offset))
    });
    if let Some((first, end)) = batch {
        small(
            ui,
            &format!(
                "batch {} – {} ({})",
                format::signed(first.0),
                format::signed(end.0 - 1),
                format::counted((*end - *first).unsigned_abs(), "record")
            ),
        );
    }
}

fn replicas(ui: &mut Ui, partition: &PartitionSnapshot) {
    if partition.replicas.len() < 2 {
        return;
    }
    for replica in &partition.replicas {
        let role = ReplicaRole::of(partition, replica).word();
        let end = match replica.log_end >= Offset::ZERO {
            true => format!(" · log end {}", format::signed(replica.log_end.0)),
            false => String::new(),
        };
        small(ui, &format!("broker {} · {role}{end}", replica.broker));
    }
}

/// What one cell is, in words.
fn cell_sentence(lane: &Lane, offset: Offset) -> Option<String> {
    if offset < lane.from || offset >= lane.to {
        return None;
    }
    let Ok(index) = lane.cells.binary_search_by(|cell| cell.offset.cmp(&offset)) else {
        return Some("no record: this offset is a gap".to_owned());
    };
    let cell = &lane.cells[index];
    let kind = match cell.kind {
        CellKind::Record => "record",
        CellKind::Tombstone => "tombstone",
        CellKind::Commit => "commit marker",
        CellKind::Abort => "abort marker",
        CellKind::OtherControl => "control record",
    };
    let key = match cell.key_hash {
        Some(hash) => format!("key murmur2 {hash:08x}"),
        None => "no key".to_owned(),
    };
    Some(format!(
        "{kind} · {} · {key}",
        format::bytes(u64::from(cell.bytes))
    ))
}
