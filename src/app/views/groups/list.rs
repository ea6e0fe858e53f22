//! The list of consumer groups: what kind, in which state, who reads, how far behind, and where that goes.
//!
//! Rows are ordered anew when [`OrderedFor`] says so; the numbers in the visible rows are always the newest picture's.

use std::cmp::Reverse;
use std::sync::Arc;

use egui::Ui;

use crate::app::format;
use crate::app::groups::{kind_word, lag_total, state_words};
use crate::app::history::{Sample, Trend};
use crate::app::scene::Scene;
use crate::app::state::{Dialog, Selection};
use crate::app::theme::{self, Theme, space};
use crate::app::views::ordering::OrderedFor;
use crate::app::views::table::{self, Column};
use crate::app::views::topics::stepped;
use crate::app::widgets::{empty, muted, search_field, title};
use crate::inspect::GroupSnapshot;

/// Points of the small curve.
const CURVE_POINTS: usize = 48;

static COLUMNS: [Column; 8] = [
    Column::words("group", 0.0),
    Column::words("type", 56.0),
    Column::words("state", 116.0),
    Column::words("assignor", 116.0),
    Column::numbers("members", 54.0),
    Column::numbers("lag", 64.0),
    Column::words("lag over time", 76.0),
    Column::words("coordinator", 68.0),
];

/// Columns by their numbers.
const BY_NAME: usize = 0;
const BY_MEMBERS: usize = 4;
const BY_LAG: usize = 5;
const BY_TREND: usize = 6;

/// The list and how it is sorted and filtered.
#[derive(Default)]
pub struct GroupList {
    filter: String,
    sort: usize,
    descending: bool,
    /// Names, in order.
    ordered: Vec<String>,
    ordered_for: OrderedFor<Asked>,
}

/// What an ordering was made for.
#[derive(Clone, PartialEq)]
struct Asked {
    filter: String,
    sort: usize,
    descending: bool,
}

impl GroupList {
    /// Draws the list into the rest of the space.
    pub fn draw(&mut self, ui: &mut Ui, scene: &mut Scene<'_>) {
        self.reorder(ui, scene);
        self.head(ui, scene);
        if scene.picture.groups.is_empty() {
            let sentence =
                "No consumer groups yet: one is there once a client joins it or commits an offset.";
            if empty(ui, sentence, Some("Connect a client")) {
                scene.state.dialog = Some(Dialog::Connect);
            }
            return;
        }
        let sorted = Some((self.sort, self.descending));
        if let Some(column) = table::header(ui, &COLUMNS, sorted) {
            // Words read best from A, numbers from the largest.
            let number = (BY_MEMBERS..=BY_TREND).contains(&column);
            self.descending = match self.sort == column {
                true => !self.descending,
                false => number,
            };
            self.sort = column;
        }
        if self.ordered.is_empty() {
            if empty(ui, "No group matches the filter.", Some("Clear filter")) {
                self.filter.clear();
            }
            return;
        }
        self.rows(ui, scene);
    }

    fn head(&mut self, ui: &mut Ui, scene: &mut Scene<'_>) {
        ui.horizontal(|ui| {
            title(ui, "Groups");
            ui.add_space(space::S);
            let (shown, all) = (self.ordered.len(), scene.picture.groups.len());
            let all_words = format::counted(all as u64, "group");
            let count = match shown == all {
                true => all_words,
                false => format!("{} of {all_words}", format::count(shown as u64)),
            };
            muted(ui, &count);
            ui.with_layout(egui::Layout::right_to_left(egui::Align::Center), |ui| {
                let width = (ui.available_width() - space::L).clamp(0.0, theme::size::FILTER);
                let field = search_field(ui, &mut self.filter, "Filter groups", width);
                if std::mem::take(&mut scene.state.focus_filter) {
                    field.request_focus();
                }
            });
        });
        ui.add_space(space::S);
    }

    fn rows(&mut self, ui: &mut Ui, scene: &mut Scene<'_>) {
        let name = scene.state.selection.group();
        let place = |name: &str| self.ordered.iter().position(|row| row == name);
        let mut selected = name.and_then(place);
        let step = std::mem::take(&mut scene.state.row_step);
        if step != 0 {
            let next = stepped(selected, step, self.ordered.len());
            selected = Some(next);
            let group = Selection::Group(self.ordered[next].clone());
            scene.state.select(group);
        }
        let rows = table::Rows {
            columns: &COLUMNS,
            count: self.ordered.len(),
            selected,
            reveal: step != 0,
            pushed: 0,
        };
        let picture = Arc::clone(scene.picture);
        let theme = Theme::of(ui);
        let clicked = table::rows(ui, "groups", &rows, |index, cells| {
            let name = &self.ordered[index];
            match picture.group(name) {
                Some(group) => row(cells, scene, theme, group),
                None => cells.text("(deleted)", theme::body(), theme.muted),
            }
        });
        if let Some((index, _)) = clicked {
            scene.state.open_group(&self.ordered[index]);
        }
    }

    fn reorder(&mut self, ui: &Ui, scene: &Scene<'_>) {
        let asked = Asked {
            filter: self.filter.clone(),
            sort: self.sort,
            descending: self.descending,
        };
        let dance = self.sort != BY_NAME;
        if !self.ordered_for.is_due(ui, scene, asked.clone(), dance) {
            return;
        }
        let groups = &scene.picture.groups;
        let wanted = asked.filter.trim().to_lowercase();
        let mut kept: Vec<&GroupSnapshot> = groups.iter().map(AsRef::as_ref).collect();
        kept.retain(|group| matches(group, &wanted));
        order(&mut kept, scene, asked.sort);
        if asked.descending {
            kept.reverse();
        }
        self.ordered = kept.iter().map(|group| group.group.clone()).collect();
    }
}

/// Whether a group has this text, in lower case, in its name, its state or its members' client ids.
fn matches(group: &GroupSnapshot, wanted: &str) -> bool {
    let has = |text: &str| text.to_lowercase().contains(wanted);
    wanted.is_empty()
        || has(&group.group)
        || has(&state_words(&group.state))
        || group.members.iter().any(|member| has(&member.client_id))
}

fn order(groups: &mut [&GroupSnapshot], scene: &Scene<'_>, sort: usize) {
    let picture = scene.picture;
    match sort {
        1 => groups.sort_by_key(|group| kind_word(group.kind)),
        2 => groups.sort_by_key(|group| group.state.as_str()),
        3 => groups.sort_by_key(|group| group.assignor.as_str()),
        BY_MEMBERS => groups.sort_by_key(|group| group.members.len()),
        BY_LAG => groups.sort_by_cached_key(|group| lag_total(group, picture)),
        BY_TREND => groups.sort_by_cached_key(|group| {
            let trend = scene.history.groups().trend(&group.group);
            let rank = match trend {
                Some(Trend::Rising) => 2,
                Some(Trend::Falling) => 1,
                _ => 0,
            };
            (rank, lag_total(group, picture))
        }),
        7 => groups.sort_by_key(|group| Reverse(group.coordinator)),
        _ => {}
    }
}

fn row(cells: &mut table::Cells<'_>, scene: &Scene<'_>, theme: &Theme, group: &GroupSnapshot) {
    let history = scene.history.groups();
    cells.text(&group.group, theme::body(), theme.text);
    cells.text(kind_word(group.kind), theme::body(), theme.muted);
    let ink = match group.state.as_str() {
        _ if group.orphaned => theme.bad,
        "Stable" => theme.ok,
        "Empty" | "Dead" => theme.muted,
        _ => theme.warning,
    };
    let state = match group.orphaned {
        true => "no coordinator".to_owned(),
        false => state_words(&group.state),
    };
    cells.text(&state, theme::body(), ink);
    cells.text(&group.assignor, theme::body(), theme.muted);
    match group.members.len() {
        0 => cells.mono_muted("0"),
        some => cells.mono(&format::count(some as u64)),
    }
    let lag = lag_total(group, scene.picture);
    let trend = history.trend(&group.group);
    let ink = lag_ink(theme, lag, trend);
    cells.text(&format::signed(lag), theme::mono(), ink);
    let numbers = curve(history.totals(&group.group));
    cells.curve(&numbers, trend_word(trend), ink);
    let broker = format!("broker {}", group.coordinator);
    cells.text(&broker, theme::body(), theme.muted);
}

/// What grows is not well; what does not is.
pub fn lag_ink(theme: &Theme, lag: i64, trend: Option<Trend>) -> egui::Color32 {
    match (lag, trend) {
        (0, _) => theme.muted,
        (_, Some(Trend::Rising)) => theme.warning,
        (_, Some(Trend::Falling)) => theme.ok,
        _ => theme.text,
    }
}

pub fn trend_word(trend: Option<Trend>) -> &'static str {
    match trend {
        None => "",
        Some(Trend::Rising) => "rising",
        Some(Trend::Steady) => "steady",
        Some(Trend::Falling) => "falling",
    }
}

/// At most [`CURVE_POINTS`] of the newest lags, evenly apart.
fn curve<'a>(samples: impl DoubleEndedIterator<Item = &'a Sample>) -> Vec<f32> {
    let newest = samples.rev().step_by(2).take(CURVE_POINTS);
    let mut lags: Vec<f32> = newest.map(|sample| sample.lag as f32).collect();
    lags.reverse();
    lags
}
