//! The Segments tab: each partition's files on disk, and one of them opened up: its batches, its
//! offset index and its time index.

use std::sync::Arc;

use egui::{Rect, Role, Sense, Ui, WidgetInfo, pos2, vec2};

use super::page::stepped;
use crate::app::format;
use crate::app::scene::Scene;
use crate::app::state::Selection;
use crate::app::theme::{self, Theme, size, space};
use crate::app::views::table::{self, Cells, Column};
use crate::app::widgets::{choices, empty, heading, muted, small};
use crate::ids::{Offset, PartitionIndex, Time};
use crate::inspect::{
    BatchDetail, PartitionSnapshot, SEGMENT_BATCHES, SegmentDetail, SegmentFocus, SegmentSnapshot,
    TopicSnapshot,
};

const SEGMENTS: [Column; 7] = [
    Column::words("file", 0.0),
    Column::numbers("p", 24.0),
    Column::numbers("offsets", 152.0),
    Column::numbers("size", 64.0),
    Column::numbers("index", 48.0),
    Column::numbers("time index", 64.0),
    Column::numbers("newest", 116.0),
];

const BATCHES: [Column; 8] = [
    Column::numbers("position", 76.0),
    Column::numbers("offsets", 132.0),
    Column::numbers("records", 52.0),
    Column::numbers("size", 64.0),
    Column::words("compression", 76.0),
    Column::numbers("epoch", 40.0),
    Column::words("producer", 0.0),
    Column::words("CRC-32C", 92.0),
];

const INDEX: [Column; 3] = [
    Column::numbers("entry", 64.0),
    Column::numbers("offset", 120.0),
    Column::numbers("position in file", 120.0),
];

const TIME_INDEX: [Column; 3] = [
    Column::numbers("entry", 64.0),
    Column::numbers("timestamp", 180.0),
    Column::numbers("offset", 120.0),
];

/// What of an opened segment is listed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum Part {
    #[default]
    Batches,
    Index,
    TimeIndex,
}

/// The tab's choices.
#[derive(Default)]
pub struct SegmentsTab {
    part: Part,
    /// First offset listed of the opened segment, when it was paged.
    from: Option<(PartitionIndex, Offset, Offset)>,
    /// The selection that was brought into sight last, among the files and among the batches.
    revealed: Option<Selection>,
    revealed_batch: Option<Selection>,
}

/// All segments of a topic, partition by partition.
fn all(topic: &TopicSnapshot) -> Vec<(&PartitionSnapshot, &SegmentSnapshot)> {
    topic
        .partitions
        .iter()
        .flat_map(|partition| partition.segments.iter().map(move |s| (partition, s)))
        .collect()
}

/// The opened segment: the selected one, that of the selected record, or a partition's newest.
fn opened(
    selection: &Selection,
    topic: &TopicSnapshot,
) -> Option<(PartitionIndex, SegmentSnapshot)> {
    let inside = selection.topic() == Some(&topic.name);
    let wanted = selection.partition().filter(|_| inside);
    let partition = match wanted {
        Some(index) => topic.partitions.iter().find(|p| p.index == index),
        None => topic.partitions.first(),
    }?;
    let segment = match selection {
        Selection::Segment(_, _, base) if inside => {
            partition.segments.iter().find(|s| s.base_offset == *base)
        }
        Selection::Record(_, _, offset) if inside => partition
            .segments
            .iter()
            .rfind(|s| s.base_offset <= *offset),
        _ => partition.segments.last(),
    };
    segment.map(|segment| (partition.index, segment.clone()))
}

impl SegmentsTab {
    /// Draws the tab into the rest of the space: the files above, the opened one below.
    pub fn draw(&mut self, ui: &mut Ui, scene: &mut Scene<'_>, topic: &Arc<TopicSnapshot>) {
        let segments = all(topic);
        if segments.is_empty() {
            empty(
                ui,
                "No segment files: this topic is not kept on disk.",
                None,
            );
            return;
        }
        let selected = opened(&scene.state.selection, topic);
        let reveal = self.revealed.as_ref() != Some(&scene.state.selection);
        self.revealed = Some(scene.state.selection.clone());
        let room = ui.available_height();
        let rows = segments.len() as f32 * size::ROW + size::HEADER + space::S;
        let height = rows.min(room * 0.42);
        summary(ui, topic, segments.len());
        ui.allocate_ui(vec2(ui.available_width(), height), |ui| {
            ui.set_min_height(height);
            files(ui, scene, topic, &segments, selected.as_ref(), reveal);
        });
        ui.add_space(space::S);
        if let Some((partition, segment)) = selected {
            self.open(ui, scene, topic, partition, &segment);
        }
    }

    fn open(
        &mut self,
        ui: &mut Ui,
        scene: &mut Scene<'_>,
        topic: &TopicSnapshot,
        partition: PartitionIndex,
        segment: &SegmentSnapshot,
    ) {
        let base_offset = segment.base_offset;
        let paged = self
            .from
            .filter(|(p, base, _)| (*p, *base) == (partition, base_offset));
        let from = paged.map_or(base_offset, |(_, _, from)| from);
        scene.focus.segment = Some(SegmentFocus {
            topic: topic.name.clone(),
            partition,
            base_offset,
            from,
        });
        let detail = scene.picture.segment.clone().filter(|detail| {
            detail.topic == topic.name
                && detail.partition == partition
                && detail.base_offset == base_offset
        });
        ui.horizontal(|ui| {
            heading(ui, &format!("{:020}", base_offset.0));
            let files = detail.as_ref().map(|detail| {
                let files = detail.files.iter();
                let parts: Vec<String> = files
                    .map(|(name, bytes)| {
                        let ending = name.rsplit('.').next().unwrap_or(name);
                        format!(".{ending} {}", format::bytes(*bytes))
                    })
                    .collect();
                parts.join(" · ")
            });
            muted(ui, files.as_deref().unwrap_or("reading …"));
        });
        let Some(detail) = detail else { return };
        self.part_choice(ui, &detail, segment, partition, from);
        match self.part {
            Part::Batches => {
                let reveal = self.revealed_batch.as_ref() != Some(&scene.state.selection);
                self.revealed_batch = Some(scene.state.selection.clone());
                batches(ui, scene, topic, &detail, reveal);
            }
            Part::Index => index(ui, &detail),
            Part::TimeIndex => time_index(ui, &detail),
        }
    }

    fn part_choice(
        &mut self,
        ui: &mut Ui,
        detail: &SegmentDetail,
        segment: &SegmentSnapshot,
        partition: PartitionIndex,
        from: Offset,
    ) {
        ui.horizontal(|ui| {
            let index = format!("Offset index {}", format::count(detail.index.len() as u64));
            let times = format!(
                "Time index {}",
                format::count(detail.time_index.len() as u64)
            );
            let all = [
                (Part::Batches, "Batches"),
                (Part::Index, index.as_str()),
                (Part::TimeIndex, times.as_str()),
            ];
            choices(ui, &mut self.part, &all);
            if self.part != Part::Batches {
                return;
            }
            if from > segment.base_offset
                && crate::app::widgets::button(ui, "From the start").clicked()
            {
                self.from = None;
            }
            if detail.more {
                let next = detail.batches.last().map(|batch| batch.last_offset + 1);
                let text = format!("Next {SEGMENT_BATCHES} batches");
                if let Some(next) = next
                    && crate::app::widgets::button(ui, &text).clicked()
                {
                    self.from = Some((partition, segment.base_offset, next));
                }
            }
        });
    }
}

fn summary(ui: &mut Ui, topic: &TopicSnapshot, segments: usize) {
    let bytes: u64 = topic.partitions.iter().map(|p| p.bytes).sum();
    let index: u64 = topic
        .partitions
        .iter()
        .flat_map(|p| &p.segments)
        .map(|s| s.index_bytes + s.time_index_bytes)
        .sum();
    small(
        ui,
        &format!(
            "{} in {} · {} of log · {} of indexes · the marked ones are appended to",
            format::counted(segments as u64, "segment"),
            format::counted(topic.partitions.len() as u64, "partition"),
            format::bytes(bytes),
            format::bytes(index),
        ),
    );
}

fn files(
    ui: &mut Ui,
    scene: &mut Scene<'_>,
    topic: &TopicSnapshot,
    segments: &[(&PartitionSnapshot, &SegmentSnapshot)],
    selected: Option<&(PartitionIndex, SegmentSnapshot)>,
    reveal: bool,
) {
    let mut at = selected.and_then(|(partition, segment)| {
        segments
            .iter()
            .position(|(p, s)| p.index == *partition && s.base_offset == segment.base_offset)
    });
    let step = std::mem::take(&mut scene.state.row_step);
    if step != 0 {
        at = Some(stepped(at, step, segments.len()));
    }
    table::header(ui, &SEGMENTS, None);
    let rows = table::Rows {
        columns: &SEGMENTS,
        count: segments.len(),
        selected: at,
        reveal: reveal || step != 0,
        pushed: 0,
    };
    let theme = Theme::of(ui);
    let clicked = table::rows(ui, ("segments", &topic.name), &rows, |index, cells| {
        let (partition, segment) = segments[index];
        file_row(partition, segment, scene.now, cells, theme);
    });
    let chosen = clicked.map(|(index, _)| index).or(at.filter(|_| step != 0));
    if let Some((partition, segment)) = chosen.and_then(|index| segments.get(index)) {
        let name = topic.name.clone();
        let segment = Selection::Segment(name, partition.index, segment.base_offset);
        scene.state.select(segment);
    }
}

fn file_row(
    partition: &PartitionSnapshot,
    segment: &SegmentSnapshot,
    now: Time,
    cells: &mut Cells<'_>,
    theme: &Theme,
) {
    let name = format!("{:020}.log", segment.base_offset.0);
    cells.marked(
        segment.active.then_some(theme.accent),
        &name,
        theme::mono(),
        theme.text,
    );
    cells.mono_muted(&partition.index.to_string());
    cells.mono(&range(segment.base_offset, segment.end_offset));
    cells.mono(&format::bytes(segment.bytes));
    cells.mono_muted(&format::count(u64::from(segment.index_entries)));
    cells.mono_muted(&format::count(u64::from(segment.time_index_entries)));
    cells.mono_muted(&format::short_moment(now, segment.max_timestamp_ms));
}

/// Offsets from the first to the last, or that there are none.
fn range(first: Offset, end: Offset) -> String {
    if end <= first {
        return "empty".to_owned();
    }
    format!(
        "{} – {}",
        format::signed(first.0),
        format::signed(end.0 - 1)
    )
}

fn batches(
    ui: &mut Ui,
    scene: &mut Scene<'_>,
    topic: &TopicSnapshot,
    detail: &SegmentDetail,
    reveal: bool,
) {
    if detail.batches.is_empty() {
        muted(ui, "No batches: the segment is empty.");
        return;
    }
    strip(ui, detail);
    table::header(ui, &BATCHES, None);
    let selected = match &scene.state.selection {
        Selection::Record(name, partition, offset)
            if *name == topic.name && *partition == detail.partition =>
        {
            detail
                .batches
                .iter()
                .position(|batch| (batch.base_offset..=batch.last_offset).contains(offset))
        }
        _ => None,
    };
    let rows = table::Rows {
        columns: &BATCHES,
        count: detail.batches.len(),
        selected,
        reveal,
        pushed: 0,
    };
    let theme = Theme::of(ui);
    let clicked = table::rows(ui, "batches", &rows, |index, cells| {
        batch_row(&detail.batches[index], cells, theme);
    });
    if let Some(batch) = clicked.and_then(|(index, _)| detail.batches.get(index)) {
        let name = topic.name.clone();
        scene
            .state
            .select(Selection::Record(name, detail.partition, batch.base_offset));
    }
}

fn batch_row(batch: &BatchDetail, cells: &mut Cells<'_>, theme: &Theme) {
    cells.mono_muted(&format::count(batch.position));
    cells.mono(&range(batch.base_offset, batch.last_offset + 1));
    cells.mono(&batch.records.to_string());
    cells.mono(&format::bytes(u64::from(batch.bytes)));
    cells.mono_muted(&batch.compression);
    cells.mono_muted(&batch.leader_epoch.to_string());
    cells.mono_muted(&producer(batch));
    let (crc, ink) = if batch.crc_ok {
        (format!("{:08x} ok", batch.crc), theme.ok)
    } else {
        (format!("{:08x} bad", batch.crc), theme.bad)
    };
    cells.text(&crc, theme::mono(), ink);
}

/// Who wrote a batch, if it says so.
fn producer(batch: &BatchDetail) -> String {
    let mut parts = Vec::new();
    if batch.producer_id.0 >= 0 {
        parts.push(format!(
            "id {}/{} · seq {}",
            batch.producer_id, batch.producer_epoch, batch.base_sequence
        ));
    } else {
        parts.push("not idempotent".to_owned());
    }
    if batch.transactional {
        parts.push("transactional".to_owned());
    }
    if batch.control {
        parts.push("control".to_owned());
    }
    parts.join(" · ")
}

/// The listed batches side by side, as wide as they are large: where in the file they lie.
fn strip(ui: &mut Ui, detail: &SegmentDetail) {
    let theme = Theme::of(ui);
    let (rect, response) = ui.allocate_exact_size(
        vec2(ui.available_width(), theme::lane::BAR_HEIGHT),
        Sense::hover(),
    );
    let start = detail.batches.first().map_or(0, |batch| batch.position);
    let end = detail
        .batches
        .last()
        .map_or(0, |batch| batch.position + u64::from(batch.bytes));
    let scale = rect.width() / (end - start).max(1) as f32;
    let mut mesh = egui::Mesh::default();
    let mut drawn_to = rect.left() - size::LINE;
    for batch in &detail.batches {
        let left = rect.left() + (batch.position - start) as f32 * scale;
        let right = left + batch.bytes as f32 * scale - size::LINE;
        // Batches narrower than a pixel share one.
        if right - drawn_to < size::LINE {
            continue;
        }
        let color = if batch.crc_ok { theme.faint } else { theme.bad };
        let cell = Rect::from_min_max(
            pos2(left.max(drawn_to + size::LINE), rect.top()),
            pos2(right.max(left + size::LINE), rect.bottom()),
        );
        mesh.add_colored_rect(cell, color);
        drawn_to = cell.right();
    }
    ui.painter().add(egui::Shape::mesh(mesh));
    let text = format!(
        "{} side by side, {} of the file",
        format::counted_as(detail.batches.len() as u64, "batch", "batches"),
        format::bytes(end - start)
    );
    response.widget_info(|| WidgetInfo::labeled(Role::Image, true, &text));
    response.on_hover_text(&text);
}

fn index(ui: &mut Ui, detail: &SegmentDetail) {
    if detail.index.is_empty() {
        muted(
            ui,
            "No entries: one is written every index.interval.bytes of log.",
        );
        return;
    }
    table::header(ui, &INDEX, None);
    let rows = list(&INDEX, detail.index.len());
    table::rows(ui, "offset index", &rows, |at, cells| {
        let (offset, position) = detail.index[at];
        cells.mono_muted(&format::count(at as u64));
        cells.mono(&format::signed(offset.0));
        cells.mono(&format::count(position));
    });
}

fn time_index(ui: &mut Ui, detail: &SegmentDetail) {
    if detail.time_index.is_empty() {
        muted(
            ui,
            "No entries: one is written every index.interval.bytes of log.",
        );
        return;
    }
    table::header(ui, &TIME_INDEX, None);
    let rows = list(&TIME_INDEX, detail.time_index.len());
    table::rows(ui, "time index", &rows, |at, cells| {
        let (timestamp, offset) = detail.time_index[at];
        cells.mono_muted(&format::count(at as u64));
        cells.mono(&format::date_time(timestamp));
        cells.mono(&format::signed(offset.0));
    });
}

fn list(columns: &[Column], count: usize) -> table::Rows<'_> {
    table::Rows {
        columns,
        count,
        selected: None,
        reveal: false,
        pushed: 0,
    }
}
