//! A line across the middle view while brokers do not run: which, since when, and what it means.

use egui::{CornerRadius, Frame, Label, Margin, RichText, Role, Stroke, Ui, WidgetInfo};

use crate::app::replicas::{self, Ills, is_up, state_word};
use crate::app::scene::Scene;
use crate::app::state::Selection;
use crate::app::theme::{self, Theme, radius, size, space};
use crate::app::{format, widgets};
use crate::inspect::{BrokerSnapshot, BrokerState, ClusterSnapshot, Event, EventKind};

pub fn draw(ui: &mut Ui, scene: &mut Scene<'_>) {
    let picture = scene.picture.clone();
    let down: Vec<&BrokerSnapshot> = picture
        .brokers
        .iter()
        .filter(|broker| !is_up(&broker.state) && broker.state != BrokerState::Starting)
        .collect();
    // One broker alone says it in the top bar.
    if down.is_empty() || picture.brokers.len() == 1 {
        return;
    }
    let ills = Ills::of(picture.topics.iter().flat_map(|topic| &topic.partitions));
    let theme = Theme::of(ui);
    let color = match ills.is_grave() {
        true => theme.bad,
        false => theme.warning,
    };
    let words = sentence(scene, &picture, &down, &ills);
    Frame::new()
        .fill(theme.card)
        .stroke(Stroke::new(size::LINE, color))
        .corner_radius(CornerRadius::same(radius::CONTROL))
        .inner_margin(Margin::symmetric(space::M as i8, space::XS as i8))
        .show(ui, |ui| {
            ui.set_width(ui.available_width());
            ui.horizontal(|ui| {
                let title = RichText::new(title(&down)).font(theme::heading());
                ui.add(Label::new(title.color(color)));
                let room = ui.available_width() - 60.0;
                let line = widgets::elided(ui, &words, theme::body(), theme.text, room);
                let cut = line.elided;
                let shown = ui.add(Label::new(line));
                shown.widget_info(|| WidgetInfo::labeled(Role::Label, true, &words));
                if cut {
                    shown.on_hover_text(&words);
                }
                ui.with_layout(egui::Layout::right_to_left(egui::Align::Center), |ui| {
                    let show = widgets::link(ui, "show");
                    let name = format!("Show broker {}", down[0].id);
                    show.widget_info(|| WidgetInfo::labeled(Role::Button, true, &name));
                    if show.clicked() {
                        scene.state.select(Selection::Broker(down[0].id));
                    }
                });
            });
        });
    ui.add_space(space::S);
}

/// `Broker 2 killed`, `Brokers 2 and 3 down`.
fn title(down: &[&BrokerSnapshot]) -> String {
    match down {
        [one] => format!("Broker {} {}", one.id, state_word(&one.state)),
        _ => {
            let ids: Vec<_> = down.iter().map(|broker| broker.id).collect();
            let names = replicas::brokers(&ids);
            format!("{} down", names.replacen('b', "B", 1))
        }
    }
}

fn sentence(
    scene: &Scene<'_>,
    picture: &ClusterSnapshot,
    down: &[&BrokerSnapshot],
    ills: &Ills,
) -> String {
    let mut parts = Vec::new();
    if let [one] = down {
        let since = picture.events.iter().rev().find(|event| ended(event, one));
        if let Some(event) = since {
            parts.push(format::ago(scene.now, event.time));
        }
        if let BrokerState::Crashed { message } = &one.state {
            parts.push(message.clone());
        }
        let read = picture.topics.iter().flat_map(|topic| &topic.partitions);
        let mut read = read.flat_map(|partition| &partition.replicas);
        match read.any(|replica| replica.broker == one.id && replica.from_files) {
            true => parts.push("its logs are read from its files".to_owned()),
            false => parts.push("its logs are as it told last".to_owned()),
        }
    }
    let words = ills.words();
    match words.is_empty() {
        true => parts.push("every partition has all its replicas in sync".to_owned()),
        false => parts.push(words.join(", ")),
    }
    parts.join(" · ")
}

/// The event that says why a broker does not run.
fn ended(event: &Event, broker: &BrokerSnapshot) -> bool {
    use EventKind::{BrokerCrashed, BrokerKilled, BrokerPaused, BrokerStopped};
    event.broker == broker.id
        && matches!(
            event.kind,
            BrokerCrashed { .. } | BrokerKilled { .. } | BrokerPaused { .. } | BrokerStopped { .. }
        )
}
