//! A broker's settings by Kafka's names: what holds, and whether somebody set it.

use egui::Ui;

use crate::app::theme::{Theme, size};
use crate::app::widgets::{self, Cell, Column};
use crate::inspect::BrokerSnapshot;

const COLUMNS: &[Column] = &[
    Column::text("setting"),
    Column::text("value"),
    Column::fixed("from", 64.0),
];

pub fn draw(ui: &mut Ui, broker: &BrokerSnapshot, wanted: &str) {
    let theme = Theme::of(ui);
    let settings = broker.settings.iter();
    let shown: Vec<_> = settings
        .filter(|(name, value, _)| name.contains(wanted) || value.to_lowercase().contains(wanted))
        .collect();
    if shown.is_empty() {
        let sentence = match broker.settings.is_empty() {
            true => "It has not told of its settings.",
            false => "No setting matches the filter.",
        };
        widgets::empty(ui, sentence, None);
        return;
    }
    widgets::table_header(ui, COLUMNS);
    let len = shown.len();
    widgets::rows(ui, "settings", len, size::ROW, None, |ui, index| {
        let (name, value, default) = shown[index];
        let (from, ink) = match default {
            true => ("default", theme.muted),
            false => ("set", theme.text),
        };
        let cells = [
            Cell::mono(name).color(ink),
            Cell::mono(value),
            Cell::text(from).color(ink),
        ];
        let said = format!("{name}: {value}, {from}");
        widgets::table_row(ui, COLUMNS, &cells, false, &said);
    });
}
