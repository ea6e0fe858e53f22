//! The Timeline view: every event as a sentence, newest first, by kind, by what it is about, by a text in it. The text
//! form of the strip below.

use std::collections::BTreeMap;
use std::sync::Arc;

use egui::{Align, CornerRadius, Layout, Rect, Role, Sense, Ui, WidgetInfo, pos2, vec2};

use super::View;
use crate::app::actions::Action;
use crate::app::scene::Scene;
use crate::app::shell::concerns;
use crate::app::state::{Dialog, Selection, ViewKey};
use crate::app::theme::{self, Theme, radius, size, space};
use crate::app::{format, widgets};
use crate::ids::Time;
use crate::inspect::{ClusterSnapshot, Event, EventFilter, EventGroup, Severity};

mod filter;

/// Width of the moment of a row, points: with its date, and without while all are of today.
const MOMENT: [f32; 2] = [168.0, 92.0];
/// Width of who tells of it, where there are several, points.
const TELLER: f32 = 60.0;

/// The Timeline view.
#[derive(Default)]
pub struct Timeline {
    shown: Shown,
}

/// The events of one picture that a filter takes.
#[derive(Default)]
pub struct Shown {
    /// Number of the newest event, how many there were, and the filter.
    of: Option<(u64, usize, EventFilter)>,
    /// Newest first.
    events: Vec<Arc<Event>>,
    /// By group, without regard to which groups are chosen.
    counts: BTreeMap<EventGroup, u64>,
}

impl Shown {
    /// Filters again if there is news.
    fn see(&mut self, picture: &ClusterSnapshot, filter: &EventFilter) {
        let of = (picture.event_number, picture.events.len(), filter);
        if self.of.as_ref().map(|(n, len, filter)| (*n, *len, filter)) == Some(of) {
            return;
        }
        self.of = Some((of.0, of.1, filter.clone()));
        self.events.clear();
        self.counts.clear();
        for event in picture.events.iter().rev() {
            let group = event.kind.group();
            if !filter.takes_but_for_group(event) {
                continue;
            }
            *self.counts.entry(group).or_default() += 1;
            if filter.takes_group(group) {
                self.events.push(event.clone());
            }
        }
    }

    fn count(&self, group: EventGroup) -> u64 {
        self.counts.get(&group).copied().unwrap_or(0)
    }
}

impl View for Timeline {
    fn key(&self) -> ViewKey {
        ViewKey::Timeline
    }

    fn name(&self) -> &'static str {
        "Timeline"
    }

    fn live(&self, scene: &Scene<'_>) -> String {
        format::count(scene.picture.event_number)
    }

    fn draw(&mut self, ui: &mut Ui, scene: &mut Scene<'_>) {
        let picture = scene.picture.clone();
        self.shown.see(&picture, &scene.state.timeline);
        head(ui, scene, self.shown.events.len());
        ui.add_space(space::XS);
        filter::groups(ui, &mut scene.state.timeline, &self.shown);
        ui.add_space(space::S);
        if self.shown.events.is_empty() {
            nothing(ui, scene);
        } else {
            rows(ui, scene, &self.shown.events);
        }
    }

    fn actions(&self) -> &'static [Action] {
        filter::ACTIONS
    }
}

/// The title, what is looked for, and how much of all that is.
fn head(ui: &mut Ui, scene: &mut Scene<'_>, shown: usize) {
    ui.horizontal(|ui| {
        widgets::title(ui, "Timeline");
        ui.add_space(space::S);
        let text = &mut scene.state.timeline.text;
        let field = widgets::search_field(ui, text, "Filter events", 200.0);
        if std::mem::take(&mut scene.state.focus_filter) {
            field.request_focus();
        }
        filter::about(ui, scene);
        ui.with_layout(Layout::right_to_left(Align::Center), |ui| {
            let all = scene.picture.events.len();
            if all > 0 && widgets::button(ui, "Export…").clicked() {
                scene.state.dialog = Some(Dialog::ExportEvents);
            }
            let words = how_many(shown, scene.picture);
            let ink = Theme::of(ui).muted;
            let galley = widgets::elided(ui, &words, theme::small(), ink, ui.available_width());
            ui.add(egui::Label::new(galley)).on_hover_text(words);
        });
    });
}

/// `12 of 340 events`; older ones than pictures carry are gone.
fn how_many(shown: usize, picture: &ClusterSnapshot) -> String {
    let kept = picture.events.len();
    let mut words = format::counted(kept as u64, "event");
    if shown < kept {
        words = format!("{} of {words}", format::count(shown as u64));
    }
    if picture.event_number > kept as u64 {
        words.push_str(", the newest");
    }
    words
}

fn nothing(ui: &mut Ui, scene: &mut Scene<'_>) {
    if scene.picture.events.is_empty() {
        widgets::empty(ui, "Nothing has happened yet.", None);
    } else if widgets::empty(ui, "No event matches the filter.", Some("Show all events")) {
        scene.state.timeline = EventFilter::default();
    }
}

fn rows(ui: &mut Ui, scene: &mut Scene<'_>, shown: &[Arc<Event>]) {
    let current = match scene.state.selection {
        Selection::Event(number) => shown.iter().position(|event| event.number == number),
        _ => None,
    };
    let date = |time: Time| format::date(time.as_ms());
    let today = shown
        .last()
        .is_some_and(|oldest| date(oldest.time) == date(scene.now));
    let keyed = widgets::rows(
        ui,
        "events",
        shown.len(),
        size::ROW,
        current,
        |ui, index| row(ui, scene, &shown[index], current == Some(index), today),
    );
    if let Some(index) = keyed.moved {
        scene.state.select(Selection::Event(shown[index].number));
    }
    if let (true, Some(index)) = (keyed.opened, current) {
        scene.state.select(concerns(scene.picture, &shown[index]));
    }
}

/// One event as its row shows it.
struct Line {
    time: String,
    /// Width of the time, points.
    moment: f32,
    /// Who tells of it; `None` where there is only one broker.
    teller: Option<String>,
    sentence: String,
}

impl Line {
    fn new(scene: &Scene<'_>, event: &Event, today: bool) -> Line {
        let ms = event.time.as_ms();
        let (time, moment) = match today {
            true => (format::time_of_day(ms), MOMENT[1]),
            false => (format::date_time(ms), MOMENT[0]),
        };
        let several = scene.picture.brokers.len() > 1;
        Line {
            time,
            moment,
            teller: several.then(|| event.reporter()),
            sentence: event.kind.sentence(),
        }
    }

    fn name(&self) -> String {
        match &self.teller {
            Some(teller) => format!("{}, {teller}: {}", self.time, self.sentence),
            None => format!("{}: {}", self.time, self.sentence),
        }
    }

    /// Paints it; true when the sentence did not fit.
    fn paint(&self, ui: &Ui, rect: Rect, severity: Severity) -> bool {
        let theme = Theme::of(ui);
        let y = rect.center().y;
        let mut x = rect.left() + space::S;
        let text = |x: f32, text: &str, font, color, room: f32| {
            let galley = widgets::elided(ui, text, font, color, room);
            let cut = galley.elided;
            let at = pos2(x, y - galley.size().y / 2.0);
            ui.painter().galley(at, galley, color);
            cut
        };
        text(x, &self.time, theme::mono(), theme.muted, self.moment);
        x += self.moment + space::S;
        let dot = pos2(x + size::DOT, y);
        ui.painter()
            .circle_filled(dot, size::DOT, theme.severity(severity));
        x += 2.0 * size::DOT + space::S;
        if let Some(teller) = &self.teller {
            text(x, teller, theme::small(), theme.muted, TELLER);
            x += TELLER + space::S;
        }
        let room = rect.right() - space::S - x;
        text(x, &self.sentence, theme::body(), theme.text, room)
    }
}

fn row(ui: &mut Ui, scene: &mut Scene<'_>, event: &Event, selected: bool, today: bool) {
    let theme = Theme::of(ui);
    let (rect, response) =
        ui.allocate_exact_size(vec2(ui.available_width(), size::ROW), Sense::click());
    let line = Line::new(scene, event, today);
    response.widget_info(|| WidgetInfo::selected(Role::ListBoxOption, true, selected, line.name()));
    if selected || response.hovered() {
        let corner = CornerRadius::same(radius::CONTROL);
        let ground = if selected {
            theme.selected
        } else {
            theme.hover
        };
        ui.painter().rect_filled(rect, corner, ground);
    }
    widgets::focus_ring(ui, &response, rect);
    let cut = line.paint(ui, rect, event.kind.severity());
    if response.clicked() {
        scene.state.select(Selection::Event(event.number));
    }
    if response.double_clicked() {
        scene.state.select(concerns(scene.picture, event));
    }
    if cut {
        response.on_hover_text(line.sentence);
    }
}
