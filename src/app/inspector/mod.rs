//! The right panel: whatever is selected, its facts, what just happened to it, and its actions.

pub mod broker;
mod connection;
mod consumer;
mod event;
pub mod failover;
mod group;
mod link;
mod partition;
mod producer;
mod record;
mod record_json;
pub mod record_text;
mod segment;
mod topic;

use egui::{Align, Layout, RichText, Role, ScrollArea, Ui, WidgetInfo};

use super::scene::Scene;
use super::state::Selection;
use super::theme::{self, Theme, space};
use super::{faults, format, widgets};
use crate::inspect::Event;
use crate::inspect::failover::Failover;

/// Events listed under "What just happened".
const EVENTS_LISTED: usize = 8;
/// Events of a kind that are told as one lie no further apart, microseconds.
const AT_ONCE_US: u64 = 1_000_000;

/// Draws the inspector of the selection.
pub fn draw(ui: &mut Ui, scene: &mut Scene<'_>) {
    match scene.state.selection.clone() {
        Selection::Record(name, index, offset) => {
            at_bottom(ui, |ui| record::actions(ui, scene, &name, index, offset));
        }
        Selection::Partition(name, index) => {
            at_bottom(ui, |ui| partition::actions(ui, scene, &name, index));
        }
        _ => {}
    }
    ScrollArea::vertical()
        .auto_shrink([false, false])
        .show(ui, |ui| {
            // Room for the floating scroll bar, so that it never covers a value.
            ui.set_max_width(ui.available_width() - space::S);
            match scene.state.selection.clone() {
                Selection::Nothing => nothing(ui, scene),
                Selection::Broker(id) => broker::draw(ui, scene, id),
                Selection::Link(a, b) => link::draw(ui, scene, a, b),
                Selection::Topic(name) => topic::draw(ui, scene, &name),
                Selection::Partition(name, index) => partition::draw(ui, scene, &name, index),
                Selection::Segment(name, index, base) => {
                    segment::draw(ui, scene, &name, index, base);
                }
                Selection::Record(name, index, offset) => {
                    record::draw(ui, scene, &name, index, offset);
                }
                Selection::Connection(broker, id) => connection::draw(ui, scene, broker, id),
                Selection::Producer(id) => producer::draw(ui, scene, id),
                Selection::Consumer(id) => consumer::draw(ui, scene, id),
                Selection::Event(number) => event::draw(ui, scene, number),
                Selection::Group(name) => group::draw(ui, scene, &name),
                Selection::Member(group, id) => group::member(ui, scene, &group, &id),
            }
        });
}

/// Buttons that stay in sight however much there is to read.
fn at_bottom(ui: &mut Ui, actions: impl FnOnce(&mut Ui)) {
    let margin = egui::Margin::symmetric(0, space::S as i8);
    egui::Panel::bottom("inspector actions")
        .show_separator_line(false)
        .frame(egui::Frame::new().inner_margin(margin))
        .show(ui, actions);
}

fn nothing(ui: &mut Ui, scene: &mut Scene<'_>) {
    header(ui, "Inspector", "");
    widgets::paragraph(
        ui,
        "Click a broker, a topic, a partition, a record or a tick of the timeline to see its facts here.",
    );
    what_just_happened(ui, scene, None, |_| true);
}

/// The selection's name on the left, its kind on the right.
pub fn header(ui: &mut Ui, name: &str, kind: &str) {
    ui.horizontal(|ui| {
        let theme = Theme::of(ui);
        let kind_width = kind.len() as f32 * 7.0;
        let room = ui.available_width() - kind_width - space::S;
        let galley = widgets::elided(ui, name, theme::heading(), theme.text, room);
        let label = ui.label(galley);
        label.on_hover_text(name);
        ui.with_layout(Layout::right_to_left(Align::Center), |ui| {
            ui.label(RichText::new(kind).color(theme.muted));
        });
    });
    ui.add_space(space::XS);
}

/// What can be broken or mended of the selection.
pub fn offers(ui: &mut Ui, scene: &mut Scene<'_>) {
    let offers = faults::on_selection(scene);
    if offers.is_empty() {
        return;
    }
    ui.add_space(space::S);
    ui.horizontal_wrapped(|ui| {
        for offer in offers {
            let button = match offer.breaks() {
                true => widgets::danger_button(ui, &offer.short),
                false => widgets::button(ui, &offer.short),
            };
            button.widget_info(|| WidgetInfo::labeled(Role::Button, true, &offer.name));
            if button.clicked() {
                faults::perform(scene, &offer);
            }
        }
    });
}

/// What is selected no longer exists.
pub fn gone(ui: &mut Ui, name: &str, kind: &str, sentence: &str) {
    header(ui, name, kind);
    widgets::paragraph(ui, sentence);
}

/// The newest events that concern the selection, newest first, each with its cause. Those of a kind that came at once
/// are one: a broker that dies takes many partitions along. How long a failure was felt comes first.
pub fn what_just_happened(
    ui: &mut Ui,
    scene: &mut Scene<'_>,
    failover: Option<&Failover>,
    concerns: impl Fn(&Event) -> bool,
) {
    let picture = scene.picture.clone();
    let concerning = picture.events.iter().rev();
    let told = together(
        concerning
            .filter(|event| concerns(event))
            .map(AsRef::as_ref),
    );
    if told.is_empty() && failover.is_none() {
        return;
    }
    widgets::divider(ui);
    widgets::heading(ui, "What just happened");
    if let Some(failover) = failover {
        failover::draw(ui, scene, failover);
        ui.add_space(space::S);
    }
    for (event, more) in told {
        ui.scope(|ui| {
            ui.spacing_mut().item_spacing.y = 0.0;
            widgets::small(
                ui,
                &format!(
                    "{} · {} · {}",
                    format::moment(scene.now, event.time.as_ms()),
                    format::ago(scene.now, event.time),
                    event.reporter()
                ),
            );
            let mut sentence = event.kind.sentence();
            if more > 0 {
                sentence.push_str(&format!(" And {} more like it.", format::count(more)));
            }
            widgets::paragraph(ui, &sentence);
        });
    }
}

/// The first [`EVENTS_LISTED`] of these events, newest first, with how many alike followed each at once.
fn together<'a>(events: impl Iterator<Item = &'a Event>) -> Vec<(&'a Event, u64)> {
    let mut told: Vec<(&Event, u64)> = Vec::new();
    for event in events {
        let alike = |(last, _): &&mut (&Event, u64)| {
            let same = std::mem::discriminant(&last.kind) == std::mem::discriminant(&event.kind);
            same && last.time.since_us(event.time) < AT_ONCE_US
        };
        let full = told.len() == EVENTS_LISTED;
        match told.last_mut().filter(alike) {
            Some((_, more)) => *more += 1,
            None if full => break,
            None => told.push((event, 0)),
        }
    }
    told
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::{BrokerId, LeaderEpoch, PartitionIndex, Time};
    use crate::inspect::EventKind;

    fn event(number: u64, ms: i64, kind: EventKind) -> Event {
        let time = Time::from_ms(ms);
        Event {
            number,
            time,
            broker: Some(BrokerId(1)),
            kind,
        }
    }

    fn elected(partition: i32) -> EventKind {
        EventKind::LeaderElected {
            topic: "orders".into(),
            partition: PartitionIndex(partition),
            from: Some(BrokerId(2)),
            to: Some(BrokerId(3)),
            epoch: LeaderEpoch(5),
            unclean: false,
            cause: "broker 2 is fenced".into(),
        }
    }

    #[test]
    fn what_came_at_once_is_told_as_one() {
        let killed = EventKind::BrokerKilled {
            cause: "somebody asked for it".into(),
        };
        let events = [
            event(5, 9_000, elected(0)),
            event(4, 4_020, elected(2)),
            event(3, 4_010, elected(1)),
            event(2, 4_000, elected(0)),
            event(1, 1_000, killed),
        ];
        let told = together(events.iter());
        let told: Vec<(u64, u64)> = told.iter().map(|(e, more)| (e.number, *more)).collect();
        assert_eq!(told, [(5, 0), (4, 2), (1, 0)]);
    }
}
