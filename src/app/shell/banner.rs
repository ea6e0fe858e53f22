//! Lines across the middle view for as long as something does not work: brokers that do not run, links that are cut or
//! slow. Each says what it means and has the way back as a button.

use egui::{Color32, CornerRadius, Frame, Label, Margin, RichText, Role, Stroke, Ui, WidgetInfo};

use crate::app::faults::{self, Offer, Verb};
use crate::app::moves;
use crate::app::replicas::{self, Ills, is_up, state_word};
use crate::app::scene::Scene;
use crate::app::state::Selection;
use crate::app::theme::{self, Theme, radius, size, space};
use crate::app::{format, pace, widgets};
use crate::inspect::{BrokerSnapshot, BrokerState, ClusterSnapshot, PartitionSnapshot};

/// Ways back that stand in one line; the cards have the others.
const WAYS_BACK: usize = 3;
/// Moves a line tells of.
const MOVES_TOLD: usize = 8;

pub fn draw(ui: &mut Ui, scene: &mut Scene<'_>) {
    time(ui, scene);
    // One broker alone says it in the top bar.
    if scene.picture.brokers.len() > 1 {
        brokers(ui, scene);
        links(ui, scene);
        moves_under_way(ui, scene);
    }
}

/// How time passes, when it does otherwise than outside.
fn time(ui: &mut Ui, scene: &mut Scene<'_>) {
    let Some((title, told)) = pace::words(scene.picture) else {
        return;
    };
    let ways = pace::ways_back(&scene.picture.pace).into_iter();
    let back: Vec<Offer> = ways
        .map(|(name, command)| Offer {
            verb: Verb::Time,
            short: name.to_owned(),
            name: name.to_owned(),
            command,
        })
        .collect();
    let color = Theme::of(ui).accent;
    line(ui, scene, color, &title, &told, &back, false);
    ui.add_space(space::S);
}

fn brokers(ui: &mut Ui, scene: &mut Scene<'_>) {
    let picture = scene.picture.clone();
    let down: Vec<&BrokerSnapshot> = picture
        .brokers
        .iter()
        .filter(|broker| !is_up(&broker.state) && broker.state != BrokerState::Starting)
        .collect();
    let Some(first) = down.first() else {
        return;
    };
    let ills = Ills::of(picture.topics.iter().flat_map(|topic| &topic.partitions));
    let theme = Theme::of(ui);
    let color = match ills.is_grave() {
        true => theme.bad,
        false => theme.warning,
    };
    let words = sentence(scene, &picture, &down, &ills);
    let mut back = faults::ways_back(&picture);
    if let [only] = &mut back[..] {
        // The line names the broker already.
        only.name.clone_from(&only.short);
    }
    let shown = line(
        ui,
        scene,
        color,
        &title(&down),
        std::slice::from_ref(&words),
        &back,
        true,
    );
    if shown {
        scene.state.select(Selection::Broker(first.id));
    }
    ui.add_space(space::S);
}

fn links(ui: &mut Ui, scene: &mut Scene<'_>) {
    let picture = scene.picture.clone();
    let faults = faults::faulty_links(&picture);
    let (Some(first), Some(link)) = (faults.first(), picture.links.first()) else {
        return;
    };
    let theme = Theme::of(ui);
    let color = match faults.iter().any(|fault| fault.grave) {
        true => theme.bad,
        false => theme.warning,
    };
    let title = match faults.len() {
        1 => first.what.replacen('l', "L", 1),
        several => format!("{several} links are not as new"),
    };
    let what: Vec<&str> = faults.iter().map(|fault| fault.what.as_str()).collect();
    let words = match faults.len() {
        1 => "until it is healed".to_owned(),
        _ => what.join(" · "),
    };
    let mut back = faults::on_cluster(&picture);
    back.retain(|offer| offer.verb == Verb::Heal);
    if line(
        ui,
        scene,
        color,
        &title,
        std::slice::from_ref(&words),
        &back,
        true,
    ) {
        let (a, b) = (link.from.min(link.to), link.from.max(link.to));
        scene.state.select(Selection::Link(a, b));
    }
    ui.add_space(space::S);
}

/// Replicas that are on their way: nothing is wrong with that, but it can be taken back.
fn moves_under_way(ui: &mut Ui, scene: &mut Scene<'_>) {
    let picture = scene.picture.clone();
    let topics = picture.topics.iter();
    let moving: Vec<(&str, &PartitionSnapshot)> = topics
        .flat_map(|topic| topic.partitions.iter().map(|p| (topic.name.as_str(), p)))
        .filter(|(_, partition)| moves::is_moving(partition))
        .collect();
    let Some((topic, partition)) = moving.first() else {
        return;
    };
    let title = match moving.len() {
        1 => format!("{topic}-{} moves", partition.index),
        several => format!("{several} partitions move"),
    };
    let cancels = moving.iter().take(WAYS_BACK);
    let mut back: Vec<Offer> = cancels.filter_map(|(t, p)| moves::cancel(t, p)).collect();
    let words = match &mut back[..] {
        [only] => {
            only.name.clone_from(&only.short);
            moves::sentence(partition)
        }
        _ => {
            let each = moving.iter().take(MOVES_TOLD);
            let each = each.map(|(t, p)| format!("{t}-{} {}", p.index, moves::sentence(p)));
            each.collect::<Vec<_>>().join(", ")
        }
    };
    let color = Theme::of(ui).accent;
    if line(
        ui,
        scene,
        color,
        &title,
        std::slice::from_ref(&words),
        &back,
        true,
    ) {
        let first = Selection::Partition((*topic).to_owned(), partition.index);
        scene.state.select(first);
    }
    ui.add_space(space::S);
}

/// One line, told at length and shorter, with its ways back; true when what it is about is to be shown, if there is
/// something to show.
fn line(
    ui: &mut Ui,
    scene: &mut Scene<'_>,
    color: Color32,
    title: &str,
    told: &[String],
    back: &[Offer],
    shows: bool,
) -> bool {
    let theme = Theme::of(ui);
    let back = if scene.abilities.break_things {
        back
    } else {
        &[]
    };
    let frame = Frame::new()
        .fill(theme.card)
        .stroke(Stroke::new(size::LINE, color))
        .corner_radius(CornerRadius::same(radius::CONTROL))
        .inner_margin(Margin::symmetric(space::M as i8, space::XS as i8));
    let buttons = |ui: &mut Ui| {
        let show = shows.then(|| widgets::link(ui, "show"));
        if let Some(show) = &show {
            let name = format!("Show {}", title.replacen('B', "b", 1));
            show.widget_info(|| WidgetInfo::labeled(Role::Button, true, &name));
        }
        for offer in back.iter().take(WAYS_BACK).rev() {
            let button = widgets::button(ui, &offer.name);
            let name = format!("Undo: {}", offer.name);
            button.widget_info(|| WidgetInfo::labeled(Role::Button, true, &name));
            if button.clicked() {
                faults::perform(scene, offer);
            }
        }
        let left_to_right = egui::Layout::left_to_right(egui::Align::Center);
        ui.with_layout(left_to_right, |ui| {
            let heading = RichText::new(title).font(theme::heading());
            ui.add(Label::new(heading.color(color)));
            let room = ui.available_width() - space::S;
            let line = widgets::fitting(ui, told, theme::body(), theme.text, room);
            let words = told.first().map_or("", String::as_str);
            let cut = line.elided || line.text() != words;
            let shown = ui.add(Label::new(line));
            shown.widget_info(|| WidgetInfo::labeled(Role::Label, true, words));
            if cut {
                shown.on_hover_text(words);
            }
        });
        show.is_some_and(|show| show.clicked())
    };
    let right_to_left = egui::Layout::right_to_left(egui::Align::Center);
    let drawn = frame.show(ui, |ui| {
        let room = egui::vec2(ui.available_width(), size::CONTROL);
        ui.allocate_ui_with_layout(room, right_to_left, buttons)
            .inner
    });
    drawn.inner
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
        if let Some(time) = replicas::ended_at(picture, one.id) {
            parts.push(format::ago(scene.now, time));
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
