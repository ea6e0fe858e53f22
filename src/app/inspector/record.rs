//! A record: its key, value and headers, its batch and where it lies.

use egui::Ui;

use super::header;
use crate::app::scene::Scene;
use crate::app::{format, widgets};
use crate::ids::{Offset, PartitionIndex};
use crate::inspect::{RecordAnswer, RecordFocus};

pub fn draw(
    ui: &mut Ui,
    scene: &mut Scene<'_>,
    topic: &str,
    partition: PartitionIndex,
    offset: Offset,
) {
    scene.focus.record = Some(RecordFocus {
        topic: topic.to_owned(),
        partition,
        offset,
    });
    header(
        ui,
        &format!("{topic}-{partition} @ {}", format::signed(offset.0)),
        "record",
    );
    match scene.picture.record.as_deref() {
        Some(RecordAnswer::Absent { why, .. }) => {
            widgets::paragraph(ui, why);
        }
        Some(RecordAnswer::Found(record)) => {
            widgets::facts(ui, |facts| {
                facts.mono("Timestamp", &format::date_time(record.timestamp_ms));
            });
        }
        None => {}
    }
}
