//! The list of topics: name, partitions, records, live rates, size, newest record; sorted and filtered.
//!
//! Rows are ordered anew when [`OrderedFor`] says so; the numbers in the visible rows are always the newest picture's.

use std::cmp::Ordering;
use std::sync::Arc;

use egui::Ui;

use crate::app::format;
use crate::app::history::find_topic;
use crate::app::replicas::{Ills, summary};
use crate::app::scene::Scene;
use crate::app::state::{Dialog, Selection};
use crate::app::theme::{self, Theme, space};
use crate::app::views::ordering::OrderedFor;
use crate::app::views::table::{self, Column};
use crate::app::widgets::{empty, muted, primary_button, search_field, title};
use crate::ids::TopicId;
use crate::inspect::TopicSnapshot;

/// The last only where there are several brokers.
static COLUMNS: [Column; 8] = [
    Column::words("topic", 0.0),
    Column::numbers("partitions", 60.0),
    Column::numbers("records", 88.0),
    Column::numbers("records in", 64.0),
    Column::numbers("bytes in", 76.0),
    Column::numbers("size", 64.0),
    Column::numbers("newest record", 96.0),
    Column::words("replicas", 124.0),
];

/// The columns worth showing.
fn columns(scene: &Scene<'_>) -> &'static [Column] {
    match scene.picture.brokers.len() > 1 {
        true => &COLUMNS,
        false => &COLUMNS[..COLUMNS.len() - 1],
    }
}

/// What the rows are sorted by: a column's number.
const BY_NAME: usize = 0;

/// The list and how it is sorted and filtered.
#[derive(Default)]
pub struct TopicList {
    filter: String,
    sort: usize,
    descending: bool,
    ordered: Vec<Row>,
    ordered_for: OrderedFor<Asked>,
}

/// One topic of the list: its place in the picture the list was made from, and its id, which tells whether it
/// is still there. A list of topics themselves would keep whole pictures alive.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Row {
    place: usize,
    id: TopicId,
}

impl Row {
    /// The topic in a picture that may be newer than the list; `None` if it was deleted since.
    fn of<'a>(&self, topics: &'a [Arc<TopicSnapshot>]) -> Option<&'a Arc<TopicSnapshot>> {
        let same = |topic: &&Arc<TopicSnapshot>| topic.id == self.id;
        topics
            .get(self.place)
            .filter(same)
            .or_else(|| topics.iter().find(same))
    }
}

/// What an ordering was made for.
#[derive(Clone, PartialEq)]
struct Asked {
    filter: String,
    sort: usize,
    descending: bool,
    internal: bool,
}

/// A topic's numbers over all its partitions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
struct Sums {
    records: u64,
    bytes: u64,
    newest_ms: i64,
}

fn sums(topic: &TopicSnapshot) -> Sums {
    let mut sums = Sums {
        newest_ms: -1,
        ..Sums::default()
    };
    for p in &topic.partitions {
        sums.records += u64::try_from(p.log_end - p.log_start).unwrap_or(0);
        sums.bytes += p.bytes;
        sums.newest_ms = sums.newest_ms.max(p.max_timestamp_ms);
    }
    sums
}

/// Topics whose names contain `filter`, any case, in the order they are in.
fn filtered(topics: &[Arc<TopicSnapshot>], filter: &str, internal: bool) -> Vec<Row> {
    let filter = filter.trim().to_lowercase();
    let wanted = |topic: &TopicSnapshot| {
        (internal || !topic.internal)
            && (filter.is_empty() || topic.name.to_lowercase().contains(&filter))
    };
    (0..)
        .zip(topics)
        .filter(|(_, topic)| wanted(topic))
        .map(|(place, topic)| Row {
            place,
            id: topic.id,
        })
        .collect()
}

/// Orders rows by a column of their topics. `rate` gives records and bytes a second.
fn order(
    rows: &mut [Row],
    topics: &[Arc<TopicSnapshot>],
    sort: usize,
    descending: bool,
    rate: impl Fn(&Arc<TopicSnapshot>) -> (f64, f64),
) {
    if sort != BY_NAME {
        rows.sort_by_cached_key(|row| {
            let topic = &topics[row.place];
            let key = match sort {
                1 => topic.partitions.len() as f64,
                2 => sums(topic).records as f64,
                3 => rate(topic).0,
                4 => rate(topic).1,
                5 => sums(topic).bytes as f64,
                6 => sums(topic).newest_ms as f64,
                _ => badness(topic),
            };
            Key(key)
        });
    }
    if descending {
        rows.reverse();
    }
}

/// How much is wrong with a topic's replicas: without a leader is worse than any number that is under-replicated.
fn badness(topic: &TopicSnapshot) -> f64 {
    let ills = Ills::of(topic.partitions.iter());
    ills.leaderless as f64 * 1e6 + ills.thin as f64
}

/// A number to sort by.
struct Key(f64);

impl PartialEq for Key {
    fn eq(&self, other: &Key) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Key {}

impl PartialOrd for Key {
    fn partial_cmp(&self, other: &Key) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Key {
    fn cmp(&self, other: &Key) -> Ordering {
        self.0.total_cmp(&other.0)
    }
}

impl TopicList {
    /// Draws the list into the rest of the space.
    pub fn draw(&mut self, ui: &mut Ui, scene: &mut Scene<'_>) {
        self.reorder(ui, scene);
        self.head(ui, scene);
        if scene.picture.topics.iter().all(|topic| topic.internal)
            && !scene.state.remembered.internal_topics
        {
            let can = scene.abilities.change_topics.then_some("Create topic");
            if empty(ui, "No topics yet: one is made when a client writes.", can) {
                scene.state.dialog = Some(Dialog::CreateTopic);
            }
            return;
        }
        let sorted = Some((self.sort, self.descending));
        if let Some(column) = table::header(ui, columns(scene), sorted) {
            // Names read best from A, numbers from the largest.
            self.descending = if self.sort == column {
                !self.descending
            } else {
                column != BY_NAME
            };
            self.sort = column;
        }
        if self.ordered.is_empty() {
            if empty(ui, "No topic's name contains this.", Some("Clear filter")) {
                self.filter.clear();
            }
            return;
        }
        self.rows(ui, scene);
    }

    fn head(&mut self, ui: &mut Ui, scene: &mut Scene<'_>) {
        ui.horizontal(|ui| {
            title(ui, "Topics");
            ui.add_space(space::S);
            let shown = self.ordered.len() as u64;
            let all = scene.picture.topics.len() as u64;
            let count = if shown == all {
                format::counted(all, "topic")
            } else {
                format!(
                    "{} of {}",
                    format::count(shown),
                    format::counted(all, "topic")
                )
            };
            muted(ui, &count);
            ui.with_layout(egui::Layout::right_to_left(egui::Align::Center), |ui| {
                if scene.abilities.change_topics && primary_button(ui, "Create topic").clicked() {
                    scene.state.dialog = Some(Dialog::CreateTopic);
                }
                let internal = &mut scene.state.remembered.internal_topics;
                ui.checkbox(internal, "Internal topics");
                let width = (ui.available_width() - space::L).clamp(0.0, theme::size::FILTER);
                let field = search_field(ui, &mut self.filter, "Filter topics", width);
                if std::mem::take(&mut scene.state.focus_filter) {
                    field.request_focus();
                }
            });
        });
        ui.add_space(space::S);
    }

    fn rows(&mut self, ui: &mut Ui, scene: &mut Scene<'_>) {
        let theme = Theme::of(ui);
        let mut selected = scene
            .state
            .selection
            .topic()
            .and_then(|name| find_topic(&scene.picture.topics, name))
            .and_then(|topic| self.ordered.iter().position(|row| row.id == topic.id));
        let step = std::mem::take(&mut scene.state.row_step);
        if step != 0 {
            let next = super::page::stepped(selected, step, self.ordered.len());
            selected = Some(next);
            if let Some(topic) = self.ordered[next].of(&scene.picture.topics) {
                scene.state.select(Selection::Topic(topic.name.clone()));
            }
        }
        let rows = table::Rows {
            columns: columns(scene),
            count: self.ordered.len(),
            selected,
            reveal: step != 0,
            pushed: 0,
        };
        let clicked = table::rows(ui, "topics", &rows, |index, cells| {
            let Some(topic) = self.ordered[index].of(&scene.picture.topics) else {
                cells.text("(deleted)", theme::body(), theme.muted);
                return;
            };
            let sums = sums(topic);
            let (records, bytes) = scene.topic_rate(topic);
            let deleting = scene.is_deleting(&topic.name);
            let ink = if deleting || topic.internal {
                theme.muted
            } else {
                theme.text
            };
            let name = if deleting {
                format!("{} (deleting)", topic.name)
            } else {
                topic.name.clone()
            };
            cells.text(&name, theme::body(), ink);
            cells.mono(&format::count(topic.partitions.len() as u64));
            cells.mono(&format::count(sums.records));
            number_or_nothing(cells, records > 0.0, &format::rate(records));
            number_or_nothing(cells, bytes > 0.0, &format::byte_rate(bytes));
            cells.mono(&format::bytes(sums.bytes));
            cells.mono_muted(&format::short_moment(scene.now, sums.newest_ms));
            if scene.picture.brokers.len() == 1 {
                return;
            }
            let (words, grave) = summary(topic);
            let ink = match grave {
                Some(true) => theme.bad,
                Some(false) => theme.warning,
                None => theme.muted,
            };
            cells.text(&words, theme::body(), ink);
        });
        if let Some((index, _)) = clicked
            && let Some(topic) = self.ordered[index].of(&scene.picture.topics)
        {
            scene.state.open_topic(&topic.name);
        }
    }

    fn reorder(&mut self, ui: &Ui, scene: &Scene<'_>) {
        let asked = Asked {
            filter: self.filter.clone(),
            sort: self.sort,
            descending: self.descending,
            internal: scene.state.remembered.internal_topics,
        };
        let dance = self.sort != BY_NAME;
        if !self.ordered_for.is_due(ui, scene, asked.clone(), dance) {
            return;
        }
        let topics = &scene.picture.topics;
        let mut rows = filtered(topics, &asked.filter, asked.internal);
        order(&mut rows, topics, asked.sort, asked.descending, |topic| {
            scene.topic_rate(topic)
        });
        self.ordered = rows;
    }
}

fn number_or_nothing(cells: &mut table::Cells<'_>, something: bool, text: &str) {
    if something {
        cells.mono(text);
    } else {
        cells.mono_muted(text);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    fn topic(name: &str) -> Arc<TopicSnapshot> {
        Arc::new(TopicSnapshot {
            name: name.into(),
            id: TopicId([name.as_bytes()[0]; 16]),
            internal: name.starts_with("__"),
            replication_factor: 1,
            configs: Default::default(),
            partitions: Vec::new(),
        })
    }

    fn names<'a>(rows: &[Row], topics: &'a [Arc<TopicSnapshot>]) -> Vec<&'a str> {
        let named = |row: &Row| row.of(topics).map(|topic| topic.name.as_str());
        rows.iter().filter_map(named).collect()
    }

    #[test]
    fn filters_any_case_and_hides_internal_topics() {
        let all = [topic("Orders"), topic("__state"), topic("payments")];
        for (filter, internal, expected) in [
            ("", false, vec!["Orders", "payments"]),
            ("", true, vec!["Orders", "__state", "payments"]),
            ("ORD ", false, vec!["Orders"]),
            ("state", false, vec![]),
        ] {
            let kept = filtered(&all, filter, internal);
            assert_eq!(names(&kept, &all), expected, "{filter}");
        }
    }

    #[test]
    fn sorts_by_any_column_and_keeps_names_in_order_among_equals() {
        let all = vec![topic("a"), topic("b"), topic("c")];
        let rate = |topic: &Arc<TopicSnapshot>| match topic.name.as_str() {
            "b" => (5.0, 1.0),
            _ => (0.0, 9.0),
        };
        for (sort, descending, expected) in [
            (BY_NAME, true, ["c", "b", "a"]),
            (3, false, ["a", "c", "b"]),
            (4, false, ["b", "a", "c"]),
        ] {
            let mut rows = filtered(&all, "", false);
            order(&mut rows, &all, sort, descending, rate);
            assert_eq!(names(&rows, &all), expected, "{sort}");
        }
    }

    #[test]
    fn a_row_finds_its_topic_in_a_later_picture() {
        let rows = filtered(&[topic("a"), topic("b"), topic("c")], "", false);
        let later = [topic("b"), topic("c")];
        assert_eq!(names(&rows, &later), ["b", "c"]);
    }
}
