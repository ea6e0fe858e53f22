//! What the Timeline view can be narrowed to: kinds of events as chips, and one thing that they are about.

use std::collections::BTreeSet;

use egui::{ComboBox, Role, Ui, WidgetInfo};

use super::Shown;
use crate::app::actions::Action;
use crate::app::scene::Scene;
use crate::app::theme::{size, space};
use crate::app::{format, widgets};
use crate::inspect::{ClusterSnapshot, EventFilter, EventGroup, EventSubject};

/// Things events are about that are listed at most.
const SUBJECTS: usize = 200;

/// A chip for each group, with how many events it has.
pub fn groups(ui: &mut Ui, filter: &mut EventFilter, shown: &Shown) {
    ui.horizontal_wrapped(|ui| {
        ui.spacing_mut().item_spacing.x = space::XS;
        for group in EventGroup::ALL {
            let chosen = filter.groups.contains(&group);
            let count = shown.count(group);
            let chip = widgets::chip(ui, chosen, group.name(), &format::count(count));
            if chip.clicked() {
                turn(filter, group);
            }
        }
        if !filter.is_open() && widgets::link(ui, "show all").clicked() {
            *filter = EventFilter::default();
        }
    });
}

fn turn(filter: &mut EventFilter, group: EventGroup) {
    if !filter.groups.remove(&group) {
        filter.groups.insert(group);
    }
}

/// The choice of what events are about.
pub fn about(ui: &mut Ui, scene: &mut Scene<'_>) {
    let picture = scene.picture.clone();
    let chosen = &mut scene.state.timeline.about;
    let shown = match chosen {
        None => "About everything".to_owned(),
        Some(subject) => format!("About {subject}"),
    };
    let list = |ui: &mut Ui| {
        ui.selectable_value(chosen, None, "everything");
        let subjects = subjects(&picture);
        let more = subjects.len().saturating_sub(SUBJECTS);
        for subject in subjects.into_iter().take(SUBJECTS) {
            let name = subject.to_string();
            ui.selectable_value(chosen, Some(subject), name);
        }
        if more > 0 {
            let more = format::count(more as u64);
            widgets::small(ui, &format!("and {more} more: select one and press W"));
        }
    };
    let response = ComboBox::from_id_salt("about")
        .selected_text(&shown)
        .height(size::MENU)
        .show_ui(ui, list)
        .response;
    response.widget_info(|| WidgetInfo::labeled(Role::ComboBox, true, &shown));
}

/// The brokers, then every link, topic, partition and group that an event is about.
fn subjects(picture: &ClusterSnapshot) -> BTreeSet<EventSubject> {
    let brokers = picture.brokers.iter();
    let mut subjects: BTreeSet<EventSubject> = brokers
        .map(|broker| EventSubject::Broker(broker.id))
        .collect();
    for event in &picture.events {
        subjects.extend(EventSubject::link_of(event));
        let group = event.kind.of_group().map(str::to_owned);
        subjects.extend(group.map(EventSubject::Group));
        let Some((topic, partition)) = event.kind.topic() else {
            continue;
        };
        subjects.insert(EventSubject::Topic(topic.to_owned()));
        if let Some(index) = partition {
            subjects.insert(EventSubject::Partition(topic.to_owned(), index));
        }
    }
    subjects
}

/// An action that shows or hides a group.
macro_rules! group {
    ($name:literal, $group:expr) => {
        Action {
            name: $name,
            group: "Timeline",
            keys: None,
            can: |scene| !scene.picture.events.is_empty(),
            run: |scene| turn(&mut scene.state.timeline, $group),
        }
    };
}

/// What the palette does here.
pub const ACTIONS: &[Action] = &[
    group!("Events: choose topics", EventGroup::Topics),
    group!("Events: choose elections", EventGroup::Elections),
    group!("Events: choose in-sync sets", EventGroup::InSync),
    group!("Events: choose moves", EventGroup::Moves),
    group!("Events: choose brokers", EventGroup::Brokers),
    group!("Events: choose faults", EventGroup::Faults),
    group!("Events: choose logs", EventGroup::Logs),
    group!("Events: choose groups", EventGroup::Groups),
    group!("Events: choose clients", EventGroup::Clients),
    group!("Events: choose time", EventGroup::Time),
    Action {
        name: "Events: show all",
        group: "Timeline",
        keys: None,
        can: |scene| !scene.state.timeline.is_open(),
        run: |scene| scene.state.timeline = EventFilter::default(),
    },
];
