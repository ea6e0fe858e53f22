//! The Records tab: a search through a topic's records, newest first unless asked otherwise.
//!
//! The search itself runs at the source; this asks for it, shows how far it is, and lists what it found.
//! Choices are remembered per topic. Records shown whole are the inspector's business.

use std::sync::Arc;

use egui::{ComboBox, Ui};

use super::page::stepped;
use super::records_query::{progress, query};
use crate::app::format;
use crate::app::inspector::record_text::preview;
use crate::app::scene::Scene;
use crate::app::state::{BrowseStart, RecordsChoices, Selection};
use crate::app::theme::{self, Theme, size, space};
use crate::app::views::table::{self, Column};
use crate::app::widgets::{button, choices, empty, muted, paragraph, search_field, text_field};
use crate::ids::{Offset, PartitionIndex, Time};
use crate::inspect::{
    Browse, BrowseFrom, BrowseQuery, BrowseRow, BrowseState, Command, TopicSnapshot,
};

/// Microseconds the filter must rest before it is searched for.
const FILTER_REST_US: u64 = 300_000;
/// Characters of a key or value a row shows at most; the cell cuts it to what fits.
const CELL_CHARS: usize = 200;

/// Width of a time without and with its date.
const TIME_WIDTH: f32 = 92.0;
const DATE_TIME_WIDTH: f32 = 166.0;

const COLUMNS: [Column; 7] = [
    Column::words("time", DATE_TIME_WIDTH),
    Column::numbers("p", 28.0),
    Column::numbers("offset", 84.0),
    Column::words("key", 132.0),
    Column::words("value", 0.0),
    Column::numbers("headers", 52.0),
    Column::numbers("size", 64.0),
];

const STARTS: [(BrowseStart, &str); 5] = [
    (BrowseStart::Newest, "Newest"),
    (BrowseStart::Earliest, "Earliest"),
    (BrowseStart::Offset, "Offset"),
    (BrowseStart::Time, "Time"),
    (BrowseStart::LiveTail, "Live tail"),
];

/// What is typed and asked for.
#[derive(Default)]
pub struct RecordsTab {
    filter: String,
    /// When the filter last changed, until it has been asked for.
    typed: Option<Time>,
    asked: Option<BrowseQuery>,
    /// A picture had what is asked for: when none has it any more, something else took its place.
    seen: bool,
    /// First row of the last frame, to keep what is read in place when newer rows come in above.
    first: Option<(PartitionIndex, Offset)>,
    /// The selection that was brought into sight last.
    revealed: Selection,
}

impl RecordsTab {
    /// Draws the tab into the rest of the space.
    pub fn draw(&mut self, ui: &mut Ui, scene: &mut Scene<'_>, topic: &Arc<TopicSnapshot>) {
        let before = scene.state.choices(&topic.name);
        let mut chosen = before.clone();
        self.controls(ui, scene, topic, &mut chosen.records);
        if chosen != before {
            scene.state.set_choices(&topic.name, chosen.clone());
        }
        self.ask(ui, scene, topic, &chosen.records);
        let browse = scene
            .picture
            .browse
            .clone()
            .filter(|browse| Some(&browse.query) == self.asked.as_ref());
        self.seen |= browse.is_some();
        self.state_line(ui, scene, browse.as_deref());
        match browse {
            Some(browse) => self.results(ui, scene, topic, &browse),
            None if self.asked.is_some() && self.seen => self.replaced(ui),
            None if self.asked.is_some() => {
                muted(ui, "Searching …");
            }
            None => {}
        }
    }

    /// Another search or a stop, sent by `klar ctl`, ended this one.
    fn replaced(&mut self, ui: &mut Ui) {
        let sentence = "This search was ended from outside the window: klar runs one at a time.";
        if empty(ui, sentence, Some("Search again")) {
            self.asked = None;
            ui.request_repaint();
        }
    }

    /// Ends the search when another tab or view is shown.
    pub fn leave(&mut self, scene: &mut Scene<'_>) {
        if self.asked.take().is_some() {
            scene.send_quietly(Command::StopBrowse);
        }
    }

    fn controls(
        &mut self,
        ui: &mut Ui,
        scene: &mut Scene<'_>,
        topic: &TopicSnapshot,
        chosen: &mut RecordsChoices,
    ) {
        ui.horizontal(|ui| {
            choices(ui, &mut chosen.start, &STARTS);
            match chosen.start {
                BrowseStart::Offset => {
                    text_field(ui, &mut chosen.offset, "First offset", size::FIELD_NUMBER);
                }
                BrowseStart::Time => {
                    text_field(ui, &mut chosen.time, "Time", size::FIELD_TIME);
                }
                _ => {}
            }
            if topic.partitions.len() > 1 {
                partition_choice(ui, topic, chosen);
            }
        });
        ui.horizontal(|ui| {
            let width =
                (ui.available_width() - size::FILTER).clamp(size::COLUMN_LEAST, size::FILTER);
            let field = search_field(ui, &mut self.filter, "Filter records", width);
            if std::mem::take(&mut scene.state.focus_filter) {
                field.request_focus();
            }
            if field.changed() {
                self.typed = Some(scene.wall);
            }
            let enter = ui.input(|input| input.key_pressed(egui::Key::Enter));
            if field.lost_focus() && enter {
                self.typed = self.typed.map(|_| Time(i64::MIN));
            }
            muted(ui, "in");
            ui.checkbox(&mut chosen.in_key, "key");
            ui.checkbox(&mut chosen.in_value, "value");
            ui.checkbox(&mut chosen.in_headers, "headers");
        });
    }

    /// Sends the search when it differs from the one asked for, once typing rests.
    fn ask(
        &mut self,
        ui: &mut Ui,
        scene: &mut Scene<'_>,
        topic: &TopicSnapshot,
        chosen: &RecordsChoices,
    ) {
        if let Some(typed) = self.typed {
            let rested = scene.wall.since_us(typed);
            if rested < FILTER_REST_US {
                let rest = std::time::Duration::from_micros(FILTER_REST_US - rested);
                ui.ctx().request_repaint_after(rest);
                return;
            }
            self.typed = None;
        }
        // The moment only completes a time of day: rounded, so that midnight alone changes the query.
        match query(&topic.name, chosen, &self.filter, scene.now.as_ms()) {
            Ok(query) if self.asked.as_ref() != Some(&query) => {
                if scene.send_quietly(Command::Browse(query.clone())).is_some() {
                    self.asked = Some(query);
                    self.seen = false;
                    self.first = None;
                }
            }
            Ok(_) => {}
            Err(sentence) => {
                let color = Theme::of(ui).warning;
                ui.colored_label(color, sentence);
            }
        }
    }

    fn state_line(&mut self, ui: &mut Ui, scene: &mut Scene<'_>, browse: Option<&Browse>) {
        ui.horizontal(|ui| {
            ui.set_min_height(size::CONTROL);
            let Some(browse) = browse else { return };
            let tail = browse.query.from == BrowseFrom::LiveTail;
            let (text, command) = match (&browse.state, tail) {
                (BrowseState::Running, true) => ("Pause", Command::PauseBrowse),
                (BrowseState::Paused, true) => ("Resume", Command::BrowseMore),
                (BrowseState::Running, false) => ("Cancel", Command::PauseBrowse),
                (BrowseState::Paused | BrowseState::LimitReached, _) => {
                    ("Continue", Command::BrowseMore)
                }
                (BrowseState::Failed(_), _) => ("Try again", Command::Browse(browse.query.clone())),
                (BrowseState::Complete, _) => {
                    ("Search again", Command::Browse(browse.query.clone()))
                }
            };
            // Before the numbers: they grow, and would push it away from under the pointer.
            if button(ui, text).clicked() {
                scene.send_quietly(command);
            }
            ui.add_space(space::S);
            muted(ui, &progress(browse));
        });
    }

    fn results(
        &mut self,
        ui: &mut Ui,
        scene: &mut Scene<'_>,
        topic: &TopicSnapshot,
        browse: &Browse,
    ) {
        if let BrowseState::Failed(failure) = &browse.state {
            let color = Theme::of(ui).bad;
            ui.colored_label(color, &failure.name);
            paragraph(ui, &failure.sentence());
        }
        if browse.rows.is_empty() {
            self.nothing(ui, scene, topic, browse);
            return;
        }
        let id = |row: &BrowseRow| (row.partition, row.offset);
        let pushed = self
            .first
            .and_then(|first| browse.rows.iter().position(|row| id(row) == first))
            .unwrap_or(0);
        self.first = browse.rows.first().map(|row| id(row));
        let mut selected = match &scene.state.selection {
            Selection::Record(name, partition, offset) if *name == topic.name => browse
                .rows
                .iter()
                .position(|row| id(row) == (*partition, *offset)),
            _ => None,
        };
        let step = std::mem::take(&mut scene.state.row_step);
        if step != 0 {
            selected = Some(stepped(selected, step, browse.rows.len()));
        }
        // Dates only when some row is not of today.
        let mut columns = COLUMNS;
        let ends = [browse.rows.first(), browse.rows.last()];
        let of_today = |row: &&Arc<BrowseRow>| {
            format::date(row.timestamp_ms) == format::date(scene.now.as_ms())
        };
        let dated = !ends.iter().flatten().all(of_today);
        columns[0].width = if dated { DATE_TIME_WIDTH } else { TIME_WIDTH };
        table::header(ui, &columns, None);
        let reveal = self.revealed != scene.state.selection && selected.is_some();
        self.revealed = scene.state.selection.clone();
        let rows = table::Rows {
            columns: &columns,
            count: browse.rows.len(),
            selected,
            reveal: reveal || step != 0,
            pushed,
        };
        let theme = Theme::of(ui);
        let clicked = table::rows(ui, ("records", &topic.name), &rows, |index, cells| {
            row(&browse.rows[index], cells, theme, dated);
        });
        let chosen = clicked
            .map(|(index, _)| index)
            .or(selected.filter(|_| step != 0));
        if let Some(row) = chosen.and_then(|index| browse.rows.get(index)) {
            let record = Selection::Record(topic.name.clone(), row.partition, row.offset);
            scene.state.select(record);
        }
    }

    /// No rows: why, and what to do about it.
    fn nothing(
        &mut self,
        ui: &mut Ui,
        scene: &mut Scene<'_>,
        topic: &TopicSnapshot,
        browse: &Browse,
    ) {
        let filtered = !browse.query.filter.is_empty();
        match (&browse.state, filtered) {
            (BrowseState::Complete, true) => {
                let sentence = "No record contains this: every record was read.";
                if empty(ui, sentence, Some("Clear filter")) {
                    self.filter.clear();
                }
            }
            (BrowseState::Complete, false) => {
                let can = scene.abilities.produce.then_some("Produce a record");
                if empty(ui, "No records here.", can) {
                    scene.state.produce_into(&topic.name);
                }
            }
            (BrowseState::Running, _) if browse.query.from == BrowseFrom::LiveTail => {
                empty(
                    ui,
                    "Listening: records appear here as they are written.",
                    None,
                );
            }
            _ => {}
        }
    }
}

fn partition_choice(ui: &mut Ui, topic: &TopicSnapshot, chosen: &mut RecordsChoices) {
    let name = |partition: Option<i32>| match partition {
        None => "All partitions".to_owned(),
        Some(index) => format!("Partition {index}"),
    };
    let response = ComboBox::from_id_salt("partition")
        .selected_text(name(chosen.partition))
        .height(size::MENU)
        .show_ui(ui, |ui| {
            ui.selectable_value(&mut chosen.partition, None, name(None));
            for partition in &topic.partitions {
                let index = Some(partition.index.0);
                ui.selectable_value(&mut chosen.partition, index, name(index));
            }
        })
        .response;
    response
        .widget_info(|| egui::WidgetInfo::labeled(egui::Role::ComboBox, true, "Partition to read"));
}

fn row(row: &BrowseRow, cells: &mut table::Cells<'_>, theme: &Theme, dated: bool) {
    let time = match dated {
        true => format::date_time(row.timestamp_ms),
        false => format::time_of_day(row.timestamp_ms),
    };
    cells.mono_muted(&time);
    cells.mono_muted(&row.partition.to_string());
    cells.mono(&format::signed(row.offset.0));
    let color = theme.key(row.key_hash);
    match &row.key {
        Some(key) => cells.marked(
            Some(color),
            &preview(key, row.key_len, CELL_CHARS),
            theme::mono(),
            theme.text,
        ),
        None => cells.marked(Some(color), "null", theme::mono(), theme.muted),
    }
    match &row.value {
        Some(value) => cells.text(
            &preview(value, row.value_len, CELL_CHARS),
            theme::mono(),
            theme.text,
        ),
        None => cells.text("∅ tombstone", theme::mono(), theme.muted),
    }
    match row.headers {
        0 => cells.blank(),
        headers => cells.mono_muted(&headers.to_string()),
    }
    cells.mono_muted(&format::bytes(row.key_len + row.value_len));
}
