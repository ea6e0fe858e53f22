//! A record: its key, value and headers, its batch and where it lies, and what can be done with it.
//!
//! Long values are opened in parts; only the lines in sight are laid out.

use std::sync::Arc;

use egui::{CornerRadius, Frame, Id, Margin, RichText, ScrollArea, Ui};

use super::header;
use super::record_json::{json_sheet, looks_like_json};
use super::record_text::{
    PART_BYTES, Sheet, Tone, hex_bytes_a_row, hex_row, hex_rows, preview, text_sheet,
};
use crate::app::scene::Scene;
use crate::app::state::BodyForm;
use crate::app::theme::{self, Theme, radius, size, space};
use crate::app::{format, widgets};
use crate::ids::{Offset, PartitionIndex};
use crate::inspect::{CellKind, ProduceOne, RecordAnswer, RecordDetail, RecordFocus};

/// Characters of a key or header shown among the facts.
const FACT_CHARS: usize = 400;

/// Draws the record's facts; asks for it first.
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
    match answer(scene, topic, partition, offset) {
        Some(RecordAnswer::Absent { why, .. }) => {
            widgets::paragraph(ui, why);
        }
        Some(RecordAnswer::Found(record)) => {
            facts(ui, scene, record);
            body(ui, scene, record);
            widgets::divider(ui);
            batch(ui, scene, record);
        }
        None => {
            widgets::muted(ui, "Reading …");
        }
    }
}

/// The record's buttons, drawn at the foot of the inspector.
pub fn actions(
    ui: &mut Ui,
    scene: &mut Scene<'_>,
    topic: &str,
    partition: PartitionIndex,
    offset: Offset,
) {
    let picture = scene.picture.clone();
    let found = match picture.record.as_deref() {
        Some(RecordAnswer::Found(record))
            if record.topic == topic
                && (record.partition, record.offset) == (partition, offset) =>
        {
            Some(record)
        }
        _ => None,
    };
    ui.horizontal_wrapped(|ui| {
        if let Some(record) = found {
            let ordinary = matches!(record.kind, CellKind::Record | CellKind::Tombstone);
            if scene.abilities.produce && ordinary {
                // The picture brings only the beginning of a longer one.
                let whole = record.value.as_ref().map_or(0, Vec::len) as u64 == record.value_len
                    && record.key.as_ref().map_or(0, Vec::len) as u64 == record.key_len;
                let why_not = "Too long: only its beginning is at hand.";
                if widgets::button_if(ui, whole, "Produce again", why_not).clicked() {
                    scene.state.open_produce(again(record));
                }
            }
            copy_menu(ui, scene, record);
        }
        if scene.state.open_topic.as_deref() != Some(topic)
            && widgets::button(ui, "Open log").clicked()
        {
            scene.state.open_topic(topic);
        }
    });
}

fn answer<'a>(
    scene: &Scene<'a>,
    topic: &str,
    partition: PartitionIndex,
    offset: Offset,
) -> Option<&'a RecordAnswer> {
    let answer = scene.picture.record.as_deref()?;
    let about = match answer {
        RecordAnswer::Found(record) if record.topic != topic => return None,
        RecordAnswer::Found(record) => (record.partition, record.offset),
        RecordAnswer::Absent {
            partition, offset, ..
        } => (*partition, *offset),
    };
    (about == (partition, offset)).then_some(answer)
}

/// What the produce panel begins with: the same key, value and headers, the partition chosen anew.
fn again(record: &RecordDetail) -> ProduceOne {
    ProduceOne {
        topic: record.topic.clone(),
        key: record.key.clone(),
        value: record.value.clone(),
        headers: record.headers.clone(),
        ..ProduceOne::default()
    }
}

fn copy_menu(ui: &mut Ui, scene: &mut Scene<'_>, record: &RecordDetail) {
    ui.menu_button("Copy", |ui| {
        let text = |bytes: &Option<Vec<u8>>| {
            bytes
                .as_ref()
                .map(|bytes| String::from_utf8_lossy(bytes).into_owned())
        };
        let choices = [
            ("Value", text(&record.value)),
            ("Key", text(&record.key)),
            (
                "Position",
                Some(format!(
                    "{}-{}@{}",
                    record.topic, record.partition, record.offset
                )),
            ),
        ];
        for (name, text) in choices {
            let Some(text) = text else { continue };
            if widgets::button(ui, name).clicked() {
                scene.copy(text, &format!("{name} copied"));
                ui.close();
            }
        }
    });
}

fn facts(ui: &mut Ui, scene: &Scene<'_>, record: &RecordDetail) {
    let theme = Theme::of(ui);
    widgets::facts(ui, |facts| {
        match &record.key {
            Some(key) => facts.mono("Key", &preview(key, record.key_len, FACT_CHARS)),
            None => facts.coloured("Key", "null", theme.muted),
        }
        let kind = match record.batch.log_append_time {
            true => "Append time",
            false => "Create time",
        };
        facts.mono(kind, &format::time_of_day(record.timestamp_ms));
        if record.timestamp_ms >= 0 {
            let (ms, date) = (record.timestamp_ms, format::date(record.timestamp_ms));
            facts.mono("", &format!("{date} {}", format::zone_name(ms)));
        }
        match partition_by(record, partitions(scene, &record.topic)) {
            (text, true) => facts.custom("Partition by", |ui| {
                let small = RichText::new(&text).font(theme::small()).color(theme.text);
                ui.add(egui::Label::new(small).wrap().selectable(true));
            }),
            (text, false) => facts.coloured("Partition by", &text, theme.warning),
        }
        for (index, (name, value)) in record.headers.iter().enumerate() {
            let label = if index == 0 { "Headers" } else { "" };
            facts.mono(label, &header_text(name, value.as_deref()));
        }
        if record.headers.is_empty() {
            facts.coloured("Headers", "none", theme.muted);
        }
        facts.mono("Producer", &producer(record));
    });
    let what = match record.kind {
        CellKind::Record => None,
        CellKind::Tombstone => Some("∅ Tombstone: a null value deletes this key when compacted."),
        CellKind::Commit => Some("Commit marker: ends a transaction; no consumer receives it."),
        CellKind::Abort => Some("Abort marker: ends a transaction; no consumer receives it."),
        CellKind::OtherControl => Some("Control record: no consumer receives it."),
    };
    if let Some(what) = what {
        widgets::paragraph(ui, what);
    }
}

fn partitions(scene: &Scene<'_>, topic: &str) -> usize {
    scene.topic(topic).map_or(0, |topic| topic.partitions.len())
}

/// Where the key's hash puts the record, and whether it lies there (or nothing can be said).
fn partition_by(record: &RecordDetail, partitions: usize) -> (String, bool) {
    match record.partition_by_key {
        None => ("no key: the producer chose".to_owned(), true),
        Some(by_key) if by_key == record.partition => {
            (format!("murmur2(key) mod {partitions} = {by_key}"), true)
        }
        Some(by_key) => (
            format!(
                "murmur2(key) mod {partitions} = {by_key}, but it lies in {}: chosen by the \
                 producer, or partitions were added since",
                record.partition
            ),
            false,
        ),
    }
}

fn header_text(name: &[u8], value: Option<&[u8]>) -> String {
    let name = preview(name, name.len() as u64, FACT_CHARS);
    match value {
        Some(value) => format!("{name}={}", preview(value, value.len() as u64, FACT_CHARS)),
        None => format!("{name} (null)"),
    }
}

/// Producer id, epoch and this record's own sequence number.
fn producer(record: &RecordDetail) -> String {
    let batch = &record.batch;
    if batch.producer_id.0 < 0 {
        return "not idempotent".to_owned();
    }
    let within = record.offset - batch.base_offset;
    // Sequences wrap from 2^31 − 1 to 0.
    let sequence = (i64::from(batch.base_sequence) + within) & i64::from(i32::MAX);
    format!(
        "pid {} · epoch {} · seq {sequence}",
        batch.producer_id, batch.producer_epoch
    )
}

fn body(ui: &mut Ui, scene: &mut Scene<'_>, record: &RecordDetail) {
    ui.add_space(space::XS);
    let Some(value) = &record.value else {
        return;
    };
    let json = looks_like_json(value);
    let wanted = scene.state.remembered.body;
    let form = match wanted {
        BodyForm::Json if !json => BodyForm::Text,
        form => form,
    };
    let parts_id = Id::unique((
        "record parts",
        &record.topic,
        record.partition.0,
        record.offset.0,
    ));
    let parts: usize = ui.data(|kept| kept.get_temp(parts_id)).unwrap_or(1);
    let shown = &value[..value.len().min(parts * PART_BYTES)];
    let theme = Theme::of(ui);
    Frame::new()
        .fill(theme.window)
        .stroke(theme.hairline())
        .corner_radius(CornerRadius::same(radius::CARD))
        .inner_margin(Margin::symmetric(space::XS as i8, space::S as i8))
        .show(ui, |ui| {
            ui.set_width(ui.available_width());
            lines(ui, record, shown, form, record.value_len);
        });
    if (shown.len() as u64) < record.value_len {
        ui.horizontal_wrapped(|ui| {
            let size = format!(
                "{} of {} shown",
                format::bytes(shown.len() as u64),
                format::bytes(record.value_len)
            );
            widgets::small(ui, &size);
            if shown.len() < value.len() && widgets::button(ui, "Show more").clicked() {
                ui.data_mut(|kept| kept.insert_temp(parts_id, parts + 1));
            }
        });
    }
    let mut chosen = form;
    let mut all = vec![(BodyForm::Text, "Text"), (BodyForm::Hex, "Hex")];
    if json {
        all.insert(0, (BodyForm::Json, "JSON"));
    }
    if widgets::choices(ui, &mut chosen, &all) {
        scene.state.remembered.body = chosen;
    }
}

/// The value's lines, of which only those in sight are laid out.
fn lines(ui: &mut Ui, record: &RecordDetail, bytes: &[u8], form: BodyForm, whole: u64) {
    let row_height = theme::font::MONO + space::XS;
    let width = ui.available_width();
    let fitting = |font: f32| (width / (font * theme::font::MONO_ADVANCE)).floor() as usize;
    let columns = fitting(theme::font::MONO);
    let a_row = hex_bytes_a_row(fitting(theme::font::MONO_SMALL));
    let sheet = match form {
        BodyForm::Hex => None,
        form => Some(sheet(ui, record, bytes, form, columns, whole)),
    };
    let count = match &sheet {
        Some(sheet) => sheet.len(),
        None => hex_rows(bytes.len(), a_row),
    };
    let height = (count as f32 * row_height).clamp(row_height, size::BODY_MOST);
    ui.spacing_mut().item_spacing.y = 0.0;
    ScrollArea::vertical()
        .id_salt("record body")
        .max_height(height)
        .auto_shrink([false, true])
        .show_rows(ui, row_height, count, |ui, visible| {
            for index in visible {
                match &sheet {
                    Some(sheet) => text_line(ui, sheet, index, row_height),
                    None => hex_line(ui, bytes, index, a_row, row_height),
                }
            }
        });
}

/// The value cut into lines, kept until another record, form or width is shown.
fn sheet(
    ui: &Ui,
    record: &RecordDetail,
    bytes: &[u8],
    form: BodyForm,
    columns: usize,
    whole: u64,
) -> Arc<Sheet> {
    type Made = ((String, i32, i64, u32), BodyForm, usize, usize);
    let made: Made = (
        (
            record.topic.clone(),
            record.partition.0,
            record.offset.0,
            // A topic made anew has other bytes at the same offset.
            record.batch.crc,
        ),
        form,
        columns,
        bytes.len(),
    );
    let id = Id::unique("record sheet");
    let kept: Option<(Made, Arc<Sheet>)> = ui.data(|kept| kept.get_temp(id));
    if let Some((_, sheet)) = kept.filter(|(was, _)| *was == made) {
        return sheet;
    }
    let cut = (bytes.len() as u64) < whole;
    let sheet = match form {
        BodyForm::Json => json_sheet(bytes, columns, cut),
        BodyForm::Text | BodyForm::Hex => Ok(text_sheet(bytes, columns)),
    };
    let sheet = Arc::new(sheet.unwrap_or_else(|not_json| {
        let text = format!("{not_json}\n\n{}", String::from_utf8_lossy(bytes));
        text_sheet(text.as_bytes(), columns)
    }));
    ui.data_mut(|kept| kept.insert_temp(id, (made, sheet.clone())));
    sheet
}

fn text_line(ui: &mut Ui, sheet: &Sheet, index: usize, height: f32) {
    let theme = Theme::of(ui);
    let mut job = egui::text::LayoutJob::default();
    for (text, tone) in sheet.line(index) {
        let color = match tone {
            Tone::Plain => theme.text,
            Tone::Name => theme.accent,
            Tone::String => theme.ok,
            Tone::Number => theme.text,
            Tone::Word | Tone::Escape => theme.warning,
            Tone::Punctuation => theme.muted,
        };
        job.append(text, 0.0, egui::TextFormat::simple(theme::mono(), color));
    }
    job.wrap.max_width = f32::INFINITY;
    line(ui, job, height);
}

fn hex_line(ui: &mut Ui, bytes: &[u8], index: usize, a_row: usize, height: f32) {
    let theme = Theme::of(ui);
    let row = hex_row(bytes, index, a_row);
    let mut job = egui::text::LayoutJob::default();
    for (text, color) in [
        (row.position.as_str(), theme.muted),
        (" ", theme.muted),
        (row.digits.as_str(), theme.text),
        (" ", theme.muted),
        (row.text.as_str(), theme.accent),
    ] {
        let format = egui::TextFormat::simple(theme::mono_small(), color);
        job.append(text, 0.0, format);
    }
    line(ui, job, height);
}

fn line(ui: &mut Ui, job: egui::text::LayoutJob, height: f32) {
    ui.allocate_ui(egui::vec2(ui.available_width(), height), |ui| {
        ui.set_height(height);
        ui.add(egui::Label::new(job).selectable(true).extend());
    });
}

fn batch(ui: &mut Ui, scene: &Scene<'_>, record: &RecordDetail) {
    let theme = Theme::of(ui);
    let batch = &record.batch;
    widgets::heading(ui, "Its batch");
    widgets::facts(ui, |facts| {
        facts.mono(
            "Offsets",
            &format!(
                "{} – {}",
                format::signed(batch.base_offset.0),
                format::signed(batch.last_offset.0)
            ),
        );
        facts.mono("Records", &batch.records.to_string());
        facts.mono("Leader epoch", &batch.leader_epoch.to_string());
        match batch.crc_ok {
            true => facts.coloured("CRC-32C", &format!("{:08x} ok", batch.crc), theme.ok),
            false => facts.coloured(
                "CRC-32C",
                &format!("{:08x} does not match the bytes on disk", batch.crc),
                theme.bad,
            ),
        }
        facts.mono("Compression", &compression(record));
        facts.mono("Newest", &format::moment(scene.now, batch.max_timestamp_ms));
        if batch.transactional || batch.control {
            let kind = match (batch.transactional, batch.control) {
                (true, true) => "transactional, control",
                (true, false) => "transactional",
                _ => "control",
            };
            facts.text("Kind", kind);
        }
        facts.mono(
            "On disk at",
            &format!(
                "{} +{}",
                short_file(&batch.segment),
                format::count(batch.position)
            ),
        );
    });
}

/// Bytes of a batch's header, which is never compressed.
const BATCH_HEADER_BYTES: u32 = 61;

/// What compression does to the batch's records, its header left out on both sides.
fn compression(record: &RecordDetail) -> String {
    let batch = &record.batch;
    let stored = u64::from(batch.bytes.saturating_sub(BATCH_HEADER_BYTES));
    if batch.compression == "none" {
        return format!("none · {}", format::bytes(stored));
    }
    format!(
        "{} · {} → {}",
        batch.compression,
        format::bytes(batch.uncompressed_bytes),
        format::bytes(stored)
    )
}

/// A segment file's name without its leading zeros: `985.log`.
fn short_file(name: &str) -> String {
    let short = name.trim_start_matches('0');
    if short.starts_with('.') {
        return format!("0{short}");
    }
    short.to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::{LeaderEpoch, ProducerEpoch, ProducerId};
    use crate::inspect::BatchDetail;

    fn record() -> RecordDetail {
        RecordDetail {
            topic: "orders".into(),
            partition: PartitionIndex(1),
            offset: Offset(971),
            timestamp_ms: 0,
            kind: CellKind::Record,
            key: Some(b"bike-17".to_vec()),
            key_len: 7,
            value: None,
            value_len: 0,
            headers: Vec::new(),
            batch: BatchDetail {
                base_offset: Offset(968),
                last_offset: Offset(973),
                leader_epoch: LeaderEpoch(4),
                crc: 0x9c01_e7d2,
                crc_ok: true,
                compression: "lz4".into(),
                log_append_time: false,
                transactional: false,
                control: false,
                producer_id: ProducerId(4),
                producer_epoch: ProducerEpoch(0),
                base_sequence: 208,
                base_timestamp_ms: 0,
                max_timestamp_ms: 0,
                records: 6,
                bytes: 188,
                uncompressed_bytes: 412,
                segment: "00000000000000000985.log".into(),
                position: 0,
            },
            partition_by_key: Some(PartitionIndex(1)),
        }
    }

    #[test]
    fn a_records_sequence_counts_from_its_batchs_and_wraps() {
        let mut one = record();
        assert_eq!(producer(&one), "pid 4 · epoch 0 · seq 211");
        one.batch.base_sequence = i32::MAX;
        assert_eq!(producer(&one), "pid 4 · epoch 0 · seq 2");
        one.batch.producer_id = ProducerId::NONE;
        assert_eq!(producer(&one), "not idempotent");
    }

    #[test]
    fn compression_compares_records_with_records() {
        let mut one = record();
        assert_eq!(compression(&one), "lz4 · 412 B → 127 B");
        one.batch.compression = "none".into();
        assert_eq!(compression(&one), "none · 127 B");
    }

    #[test]
    fn a_record_that_lies_elsewhere_says_so() {
        let mut one = record();
        let (text, there) = partition_by(&one, 3);
        assert!(there && text == "murmur2(key) mod 3 = 1");
        one.partition_by_key = Some(PartitionIndex(2));
        let (text, there) = partition_by(&one, 3);
        assert!(!there && text.starts_with("murmur2(key) mod 3 = 2, but it lies in 1"));
        one.partition_by_key = None;
        assert!(partition_by(&one, 3).1);
    }

    #[test]
    fn headers_that_are_not_text_are_still_shown() {
        for (name, value, expected) in [
            (&b"trace"[..], Some(&b"9f2c"[..]), "trace=9f2c"),
            (b"trace", None, "trace (null)"),
            (b"\xff\x00", Some(b"\x01\xfe"), "0xff00=0x01fe"),
            (b"a\nb", Some(b""), "a\\nb="),
        ] {
            assert_eq!(header_text(name, value), expected);
        }
    }

    #[test]
    fn file_names_lose_their_zeros_but_not_all() {
        assert_eq!(short_file("00000000000000000985.log"), "985.log");
        assert_eq!(short_file("00000000000000000000.log"), "0.log");
    }
}
