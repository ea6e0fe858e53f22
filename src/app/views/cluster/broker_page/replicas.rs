//! The replicas a broker holds, one row each, with what its own log has.

use egui::Ui;

use super::super::rows::{self, Row};
use crate::app::format;
use crate::app::replicas::ReplicaRole;
use crate::app::scene::Scene;
use crate::app::state::Selection;
use crate::app::theme::{Theme, size};
use crate::app::widgets::{self, Cell, Column};
use crate::ids::Offset;
use crate::inspect::{BrokerSnapshot, LogSize};

const COLUMNS: &[Column] = &[
    Column::text("partition"),
    Column::fixed("role", 68.0),
    Column::number("log start", 64.0),
    Column::number("log end", 72.0),
    Column::number("HW", 72.0),
    Column::number("size", 72.0),
    Column::number("segments", 56.0),
    Column::fixed("in sync", 48.0),
];

pub fn draw(ui: &mut Ui, scene: &mut Scene<'_>, broker: &BrokerSnapshot, wanted: &str) {
    let picture = scene.picture.clone();
    // All that it holds, what clients have nothing to do with last.
    let mut topics = picture.topics.clone();
    topics.sort_by_key(|topic| topic.internal);
    let held = rows::rows(&topics, wanted, true).remove(&broker.id);
    let Some(held) = held else {
        let sentence = match wanted.is_empty() {
            true => "It holds no replica.",
            false => "No topic of which it holds a replica matches the filter.",
        };
        widgets::empty(ui, sentence, None);
        return;
    };
    let is = |row: &Row<'_>| {
        let selection = &scene.state.selection;
        selection.topic() == Some(row.topic) && selection.partition() == Some(row.partition.index)
    };
    let current = held.iter().position(is);
    widgets::table_header(ui, COLUMNS);
    let keyed = widgets::rows(ui, "held", held.len(), size::ROW, current, |ui, index| {
        row(ui, scene, &held[index], current == Some(index));
    });
    if let Some(index) = keyed.moved {
        scene.state.select(selection(&held[index]));
    }
    if let (true, Some(index)) = (keyed.opened, current) {
        scene.state.open_topic(held[index].topic);
    }
}

fn selection(row: &Row<'_>) -> Selection {
    Selection::Partition(row.topic.to_owned(), row.partition.index)
}

fn row(ui: &mut Ui, scene: &mut Scene<'_>, row: &Row<'_>, selected: bool) {
    let theme = Theme::of(ui);
    let role = Cell::text(row.role.word());
    let role = match row.role {
        ReplicaRole::Leader | ReplicaRole::InSync => role,
        ReplicaRole::OutOfSync => role.color(theme.warning),
        ReplicaRole::Failed => role.color(theme.bad),
        ReplicaRole::Offline | ReplicaRole::Adding | ReplicaRole::Unknown => {
            role.color(theme.muted)
        }
    };
    let in_sync = match row.partition.isr.contains(&row.replica.broker) {
        true => Cell::text("yes"),
        false => Cell::text("no").color(theme.warning),
    };
    let size = size_of(row);
    let none = || "–".to_owned();
    let cells = [
        Cell::text(row.name()),
        role,
        Cell::mono(offset(row.log_start())),
        Cell::mono(offset(row.log_end())),
        Cell::mono(offset(row.high_watermark())),
        Cell::mono(size.map_or_else(none, |size| format::bytes(size.bytes))),
        Cell::mono(size.map_or_else(none, |size| format::count(u64::from(size.segments)))),
        in_sync,
    ];
    let response = widgets::table_row(ui, COLUMNS, &cells, selected, &row.sentence(0));
    if response.clicked() {
        scene.state.select(selection(row));
    }
    if response.double_clicked() {
        scene.state.open_topic(row.topic);
    }
}

/// An offset, as far as the broker told.
fn offset(offset: Offset) -> String {
    match offset >= Offset::ZERO {
        true => format::signed(offset.0),
        false => "–".to_owned(),
    }
}

/// What its log takes on disk; what a leader says of the partition is what it says of its own log.
fn size_of(row: &Row<'_>) -> Option<LogSize> {
    let leads = row.role == ReplicaRole::Leader;
    let partition = leads.then(|| LogSize::of(row.partition));
    row.replica.size.or(partition)
}
