//! The Storage view: what each topic's logs take on disk, largest first, and each partition's segments.
//!
//! Only what the brokers report; nothing is read from the disk by the window.

use std::sync::Arc;

use egui::{Align2, CornerRadius, Rect, Role, Sense, Stroke, Ui, WidgetInfo, pos2, vec2};

use super::View;
use crate::app::scene::Scene;
use crate::app::state::{Selection, ViewKey};
use crate::app::theme::{self, Theme, radius, size, space};
use crate::app::{format, widgets};
use crate::inspect::{ClusterSnapshot, Durability, PartitionSnapshot, TopicSnapshot};

/// Columns right of the bar, points: size, records, segments.
const COLUMNS: [(&str, f32); 3] = [("size", 88.0), ("records", 108.0), ("segments", 76.0)];
/// Width of the name column, points.
const NAME: f32 = 220.0;

/// The Storage view's filter.
#[derive(Default)]
pub struct Storage {
    filter: String,
}

/// One partition's log.
struct Log<'a> {
    topic: &'a Arc<TopicSnapshot>,
    partition: &'a PartitionSnapshot,
}

impl Log<'_> {
    fn selection(&self) -> Selection {
        Selection::Partition(self.topic.name.clone(), self.partition.index)
    }

    fn is(&self, selection: &Selection) -> bool {
        selection.topic() == Some(&self.topic.name)
            && selection.partition() == Some(self.partition.index)
    }
}

impl View for Storage {
    fn key(&self) -> ViewKey {
        ViewKey::Storage
    }

    fn name(&self) -> &'static str {
        "Storage"
    }

    fn live(&self, scene: &Scene<'_>) -> String {
        format::bytes(total(scene.picture))
    }

    fn draw(&mut self, ui: &mut Ui, scene: &mut Scene<'_>) {
        ui.horizontal(|ui| {
            widgets::title(ui, "Storage");
            ui.add_space(space::S);
            let field = widgets::search_field(ui, &mut self.filter, "Filter by partition", 240.0);
            if std::mem::take(&mut scene.state.focus_filter) {
                field.request_focus();
            }
        });
        where_it_lies(ui, scene);
        ui.add_space(space::S);
        let picture = scene.picture.clone();
        let logs = self.logs(&picture);
        if logs.is_empty() {
            let sentence = if picture.topics.is_empty() {
                "No logs yet: a topic's partitions appear here with their sizes."
            } else {
                "No partition matches the filter."
            };
            widgets::empty(ui, sentence, None);
            return;
        }
        let largest = logs[0].partition.bytes.max(1);
        header(ui);
        let current = logs.iter().position(|log| log.is(&scene.state.selection));
        let keyed = widgets::rows(ui, "logs", logs.len(), size::ROW, current, |ui, index| {
            row(ui, scene, &logs[index], largest);
        });
        if let Some(log) = keyed.moved.map(|index| &logs[index]) {
            scene.state.select(log.selection());
        }
        if let (true, Some(index)) = (keyed.opened, current) {
            scene.state.open_topic(&logs[index].topic.name);
        }
    }
}

impl Storage {
    /// Partitions that match the filter, largest first.
    fn logs<'a>(&self, picture: &'a ClusterSnapshot) -> Vec<Log<'a>> {
        let wanted = self.filter.to_lowercase();
        let mut logs: Vec<Log<'a>> = picture
            .topics
            .iter()
            .flat_map(|topic| {
                topic
                    .partitions
                    .iter()
                    .map(move |partition| Log { topic, partition })
            })
            .filter(|log| {
                wanted.is_empty()
                    || format!("{}-{}", log.topic.name, log.partition.index)
                        .to_lowercase()
                        .contains(&wanted)
            })
            .collect();
        // Stable: equals stay in the order of names.
        logs.sort_by_key(|log| std::cmp::Reverse(log.partition.bytes));
        logs
    }
}

fn total(picture: &ClusterSnapshot) -> u64 {
    picture.brokers.iter().map(|broker| broker.log_bytes).sum()
}

fn where_it_lies(ui: &mut Ui, scene: &Scene<'_>) {
    let picture = scene.picture;
    let total = format::bytes(total(picture));
    let sentence = match (&picture.data_dir, picture.durability) {
        (None, _) | (_, Durability::Memory) => {
            format!("{total} in memory: nothing outlives the program.")
        }
        (Some(dir), Durability::Os) => {
            format!("{total} in {dir}, written before each ack and synced every second.")
        }
        (Some(dir), Durability::Batch) => {
            format!("{total} in {dir}, synced to the disk before each ack.")
        }
    };
    widgets::paragraph(ui, &sentence);
}

/// Where the columns of one row lie.
fn columns(rect: Rect) -> (Rect, [f32; 3]) {
    let mut right = rect.right() - space::S;
    let mut ends = [0.0; 3];
    for (end, (_, width)) in ends.iter_mut().zip(COLUMNS).rev() {
        *end = right;
        right -= width;
    }
    let bar = Rect::from_min_max(
        pos2(rect.left() + NAME, rect.top()),
        pos2(right - space::M, rect.bottom()),
    );
    (bar, ends)
}

fn header(ui: &mut Ui) {
    let theme = Theme::of(ui);
    let (rect, _) = ui.allocate_exact_size(vec2(ui.available_width(), size::ROW), Sense::hover());
    let (bar, ends) = columns(rect);
    let painter = ui.painter();
    let text = |at, align, text: &str| {
        painter.text(at, align, text, theme::small(), theme.muted);
    };
    let y = rect.center().y;
    text(
        pos2(rect.left() + space::S, y),
        Align2::LEFT_CENTER,
        "partition",
    );
    text(pos2(bar.left(), y), Align2::LEFT_CENTER, "segments by size");
    for (end, (name, _)) in ends.into_iter().zip(COLUMNS) {
        text(pos2(end, y), Align2::RIGHT_CENTER, name);
    }
    painter.hline(rect.x_range(), rect.bottom(), theme.hairline());
}

fn row(ui: &mut Ui, scene: &mut Scene<'_>, log: &Log<'_>, largest: u64) {
    let theme = Theme::of(ui);
    let name = format!("{}-{}", log.topic.name, log.partition.index);
    let selected = log.is(&scene.state.selection);
    let (rect, response) =
        ui.allocate_exact_size(vec2(ui.available_width(), size::ROW), Sense::click());
    let bytes = format::bytes(log.partition.bytes);
    response.widget_info(|| {
        WidgetInfo::selected(
            Role::ListBoxOption,
            true,
            selected,
            format!("{name}, {bytes}"),
        )
    });
    let ground = if selected {
        Some(theme.selected)
    } else {
        response.hovered().then_some(theme.hover)
    };
    if let Some(ground) = ground {
        let corner = CornerRadius::same(radius::CONTROL);
        ui.painter().rect_filled(rect, corner, ground);
    }
    widgets::focus_ring(ui, &response, rect);
    let (bar, ends) = columns(rect);
    let galley = widgets::elided(ui, &name, theme::body(), theme.text, NAME - space::L);
    let y = rect.center().y;
    let at = pos2(rect.left() + space::S, y - galley.size().y / 2.0);
    ui.painter().galley(at, galley, theme.text);
    segments(ui, theme, bar, log.partition, largest);
    let offsets = log.partition.log_end - log.partition.log_start;
    let values = [
        bytes,
        format::signed(offsets),
        format::count(log.partition.segments.len() as u64),
    ];
    for (end, value) in ends.into_iter().zip(values) {
        let at = pos2(end, y);
        let font = theme::mono();
        ui.painter()
            .text(at, Align2::RIGHT_CENTER, value, font, theme.text);
    }
    if response.clicked() {
        scene.state.select(log.selection());
    }
    if response.double_clicked() {
        scene.state.open_topic(&log.topic.name);
    }
}

/// The log as a bar of its segments, as long as its share of the largest log.
fn segments(ui: &Ui, theme: &Theme, bar: Rect, partition: &PartitionSnapshot, largest: u64) {
    let bar = bar.shrink2(vec2(0.0, 8.0));
    let scale = bar.width() / largest as f32;
    let mut x = bar.left();
    for segment in &partition.segments {
        let width = segment.bytes as f32 * scale;
        let cell = Rect::from_min_size(
            pos2(x, bar.top()),
            vec2((width - 1.0).max(0.5), bar.height()),
        );
        let corner = CornerRadius::same(2);
        if segment.active {
            let line = Stroke::new(size::LINE, theme.accent);
            let fill = theme.accent.gamma_multiply(0.35);
            ui.painter()
                .rect(cell, corner, fill, line, egui::StrokeKind::Inside);
        } else {
            ui.painter().rect_filled(cell, corner, theme.faint);
        }
        x += width;
    }
}
