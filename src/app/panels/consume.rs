//! The consume panel: members of a group or a reader of partitions, run by klar itself.

use egui::{
    Color32, ComboBox, DragValue, Frame, Label, Panel, Response, RichText, Role, ScrollArea, Ui,
    WidgetInfo, vec2,
};

use super::consume_form::{Commit, ConsumeForm, From, Kind, Page};
use super::consume_running;
use crate::app::scene::Scene;
use crate::app::sent::Sent;
use crate::app::theme::{self, Theme, size, space};
use crate::app::{format, inspector, widgets};
use crate::inspect::{AutoOffsetReset, CONSUMERS_RUNNING, ClassicAssignor, MAX_CONSUMER_RATE};

/// Width of the names before the fields, points.
const LABEL: f32 = 84.0;
/// Names that the lists beside the fields offer; others can be typed.
const NAMES_OFFERED: usize = 200;

/// Draws the panel in the inspector's place.
pub fn draw(ui: &mut Ui, scene: &mut Scene<'_>) {
    // Taken out while drawn, so that the rest of the scene stays at hand.
    let mut form = std::mem::take(&mut scene.state.consume);
    Panel::bottom("consume buttons")
        .frame(Frame::new())
        .show_separator_line(false)
        .show(ui, |ui| {
            widgets::divider(ui);
            buttons(ui, scene, &mut form);
            last_outcome(ui, scene);
        });
    head(ui, scene, &mut form);
    ScrollArea::vertical()
        .id_salt(("consume", form.page == Page::New))
        .auto_shrink([false, false])
        .show(ui, |ui| {
            let width = ui.available_width() - space::M;
            ui.set_width(width);
            let before = form.clone();
            match form.page {
                Page::New => contents(ui, scene, &mut form),
                Page::Running => consume_running::draw(ui, scene),
            }
            let ended = |sent: &Sent| !sent.is_waiting();
            // What is changed now has not been sent: the outcome is about something else.
            if form != before && scene.state.consume_sent.as_ref().is_some_and(ended) {
                scene.state.consume_sent = None;
            }
        });
    scene.state.consume = form;
}

fn head(ui: &mut Ui, scene: &Scene<'_>, form: &mut ConsumeForm) {
    inspector::header(ui, "Consume", "klar's own consumers");
    let alive = scene.picture.consumers.iter();
    let alive = alive.filter(|consumer| consumer.state.is_alive()).count();
    let running = format!("Running {}", format::count(alive as u64));
    let pages = [(Page::New, "New".to_owned()), (Page::Running, running)];
    widgets::tabs(ui, &mut form.page, &pages);
    ui.add_space(space::S);
}

fn contents(ui: &mut Ui, scene: &mut Scene<'_>, form: &mut ConsumeForm) {
    form.suggest(scene.picture);
    let kinds = [
        (Kind::Group, "In a group"),
        (Kind::Standalone, "Standalone"),
    ];
    widgets::choices(ui, &mut form.kind, &kinds);
    match form.kind {
        Kind::Group => {
            group(ui, scene, form);
            topics(ui, scene, form);
            widgets::divider(ui);
            row(ui, "Members", |ui| members(ui, form));
            row(ui, "Rate", |ui| rate(ui, form));
            row(ui, "Start", |ui| reset(ui, form));
            hint(ui, "Where the group has committed nothing.");
            commit(ui, form);
            poll(ui, form);
            protocol(ui, form);
            row(ui, "Static name", |ui| instance(ui, form));
        }
        Kind::Standalone => {
            topic(ui, scene, form);
            widgets::divider(ui);
            row(ui, "Partition", |ui| partition(ui, form));
            from(ui, form);
            row(ui, "Rate", |ui| rate(ui, form));
            hint(ui, "It is in no group, shares nothing and commits nothing.");
        }
    }
}

/// A name and what is chosen for it, on one line.
fn row(ui: &mut Ui, label: &str, value: impl FnOnce(&mut Ui)) {
    ui.horizontal(|ui| {
        let cell = vec2(LABEL, size::CONTROL);
        widgets::name_cell(ui, label, theme::body(), Theme::of(ui).muted, cell);
        value(ui);
    });
}

/// What a choice comes to, below it.
fn hint(ui: &mut Ui, text: &str) {
    widgets::small_wrapped(ui, text);
}

/// A text field, and a list of names beside it; the name that was chosen.
fn named_field(
    ui: &mut Ui,
    text: &mut String,
    label: &str,
    list: &str,
    names: Vec<String>,
) -> Option<String> {
    let mut chosen = None;
    ui.horizontal(|ui| {
        let width = ui.available_width() - 2.0 * size::CONTROL;
        widgets::text_field(ui, text, label, width);
        ComboBox::from_id_salt(list)
            .selected_text("")
            .width(size::CONTROL)
            .height(size::MENU)
            .show_ui(ui, |ui| {
                for name in names {
                    if ui.selectable_label(false, &name).clicked() {
                        chosen = Some(name);
                    }
                }
            })
            .response
            .widget_info(|| WidgetInfo::labeled(Role::ComboBox, true, list));
    });
    chosen
}

fn group(ui: &mut Ui, scene: &Scene<'_>, form: &mut ConsumeForm) {
    widgets::heading(ui, "Group");
    let groups = scene.picture.groups.iter().take(NAMES_OFFERED);
    let groups = groups.map(|group| group.group.clone()).collect();
    if let Some(name) = named_field(ui, &mut form.group, "Group id", "Choose a group", groups)
        && let Some(group) = scene.picture.group(&name)
    {
        form.join(group);
    }
    let known = scene.picture.group(form.group.trim());
    if let Some(group) = known {
        let members = group.members.len() as u64;
        let text = format!("It has {} now.", format::counted(members, "member"));
        widgets::small(ui, &text);
    }
}

fn topic_names(scene: &Scene<'_>) -> Vec<String> {
    let topics = scene.picture.topics.iter();
    let topics = topics.filter(|topic| !topic.internal).take(NAMES_OFFERED);
    topics.map(|topic| topic.name.clone()).collect()
}

fn topics(ui: &mut Ui, scene: &Scene<'_>, form: &mut ConsumeForm) {
    ui.horizontal(|ui| {
        widgets::heading(ui, if form.by_pattern { "Pattern" } else { "Topics" });
        ui.with_layout(egui::Layout::right_to_left(egui::Align::Center), |ui| {
            let (text, other) = match form.by_pattern {
                true => ("By name", false),
                false => ("By pattern", true),
            };
            if widgets::link(ui, text).clicked() {
                form.by_pattern = other;
            }
        });
    });
    if form.by_pattern {
        let width = ui.available_width();
        widgets::text_field(ui, &mut form.pattern, "Pattern of topic names", width)
            .on_hover_text("A regular expression that a topic's whole name matches");
        return;
    }
    let names = topic_names(scene);
    if let Some(name) = named_field(ui, &mut form.topics, "Topics", "Add a topic", names) {
        form.add_topic(&name);
    }
    let missing = form.topic_names().into_iter();
    let missing: Vec<String> = missing.filter(|name| scene.topic(name).is_none()).collect();
    if !missing.is_empty() {
        let text = format!("Not there yet: {}. Read once it is.", missing.join(", "));
        widgets::small_wrapped(ui, &text);
    }
}

fn topic(ui: &mut Ui, scene: &Scene<'_>, form: &mut ConsumeForm) {
    widgets::heading(ui, "Topic");
    let names = topic_names(scene);
    if let Some(name) = named_field(ui, &mut form.topic, "Topic", "Choose a topic", names) {
        form.topic = name;
    }
    if !form.topic.is_empty() && scene.topic(form.topic.trim()).is_none() {
        widgets::small(ui, "Not there yet: read once it is.");
    }
}

fn protocol(ui: &mut Ui, form: &mut ConsumeForm) {
    row(ui, "Protocol", |ui| {
        let all = [(false, "classic"), (true, "consumer (KIP-848)")];
        combo(ui, "Protocol", &mut form.modern, &all);
    });
    row(ui, "Assignor", |ui| match form.modern {
        true => {
            let all = [
                ("", "coordinator's choice"),
                ("uniform", "uniform"),
                ("range", "range"),
            ];
            combo(ui, "Remote assignor", &mut form.remote_assignor, &all);
        }
        false => {
            let all = ClassicAssignor::ALL.map(|one| (one, one.name()));
            combo(ui, "Assignor", &mut form.assignor, &all);
        }
    });
    if form.modern {
        hint(
            ui,
            "The coordinator decides who reads what, and how soon a crashed member is missed.",
        );
        return;
    }
    row(ui, "Session", |ui| {
        number(
            ui,
            &mut form.session_timeout,
            "Session timeout in milliseconds",
            "ms",
        )
        .on_hover_text("session.timeout.ms");
    });
    let text = "A crashed member is missed after this long: Kafka's 45,000 is long to watch.";
    hint(ui, text);
}

/// A list of choices on one line.
fn combo<T: PartialEq + Copy>(ui: &mut Ui, label: &str, current: &mut T, all: &[(T, &str)]) {
    let shown = all.iter().find(|(value, _)| value == current);
    ComboBox::from_id_salt(label)
        .selected_text(shown.map_or("", |(_, text)| text))
        .width(ui.available_width() - space::XS)
        .show_ui(ui, |ui| {
            for (value, text) in all {
                ui.selectable_value(current, *value, *text);
            }
        })
        .response
        .widget_info(|| WidgetInfo::labeled(Role::ComboBox, true, label));
}

/// A field for a number, and its unit.
fn number(ui: &mut Ui, text: &mut String, label: &str, unit: &str) -> Response {
    let width = size::COLUMN_LEAST - 2.0 * space::S;
    let field = widgets::text_field(ui, text, label, width);
    widgets::muted(ui, unit);
    field
}

fn reset(ui: &mut Ui, form: &mut ConsumeForm) {
    let all = [
        (AutoOffsetReset::Earliest, "earliest"),
        (AutoOffsetReset::Latest, "latest"),
    ];
    combo(
        ui,
        "Start where nothing is committed",
        &mut form.reset,
        &all,
    );
}

fn commit(ui: &mut Ui, form: &mut ConsumeForm) {
    let all = [
        (Commit::After, "after processing"),
        (Commit::Before, "before processing"),
        (Commit::Interval, "at an interval"),
        (Commit::Never, "never"),
    ];
    row(ui, "Commit", |ui| {
        combo(ui, "Commit", &mut form.commit, &all)
    });
    if form.commit == Commit::Interval {
        row(ui, "Every", |ui| {
            number(
                ui,
                &mut form.interval,
                "Commit interval in milliseconds",
                "ms",
            )
            .on_hover_text("auto.commit.interval.ms");
        });
    }
    hint(
        ui,
        match form.commit {
            Commit::After => "At least once: after a crash records come again.",
            Commit::Before => "At most once: a crash loses what was taken.",
            Commit::Interval => "At least once, as Kafka's auto commit.",
            Commit::Never => "After a crash or a rebalance it all comes again.",
        },
    );
}

fn poll(ui: &mut Ui, form: &mut ConsumeForm) {
    row(ui, "Poll", |ui| {
        number(ui, &mut form.max_poll, "Records of a poll", "records")
            .on_hover_text("max.poll.records");
    });
    hint(
        ui,
        "Committed together, and a rebalance waits for them. Kafka's default is 500.",
    );
}

fn rate(ui: &mut Ui, form: &mut ConsumeForm) {
    let speed = (form.rate * 0.02).max(0.1);
    ui.add(
        DragValue::new(&mut form.rate)
            .range(0.0..=MAX_CONSUMER_RATE)
            .speed(speed)
            .max_decimals(1),
    )
    .accessible_name("Records processed per second")
    .on_hover_text("0 is as fast as possible");
    let unit = match form.rate {
        0.0 => "no limit",
        _ => "records/s",
    };
    widgets::muted(ui, unit);
}

fn members(ui: &mut Ui, form: &mut ConsumeForm) {
    ui.add(DragValue::new(&mut form.members).range(1..=CONSUMERS_RUNNING as u32))
        .accessible_name("Members to start");
}

fn instance(ui: &mut Ui, form: &mut ConsumeForm) {
    let width = ui.available_width() - space::S;
    widgets::text_field(ui, &mut form.instance, "Static name", width).on_hover_text(
        "group.instance.id: comes back within the session timeout without a rebalance. Empty is a dynamic member.",
    );
}

fn partition(ui: &mut Ui, form: &mut ConsumeForm) {
    number(ui, &mut form.partition, "Partition number", "empty: all");
}

fn from(ui: &mut Ui, form: &mut ConsumeForm) {
    let all = [
        (From::Earliest, "earliest"),
        (From::Latest, "latest"),
        (From::Offset, "an offset"),
        (From::Time, "a time"),
    ];
    row(ui, "Start", |ui| combo(ui, "Start", &mut form.from, &all));
    let (label, name, text) = match form.from {
        From::Offset => ("Offset", "Start offset", &mut form.offset),
        From::Time => ("Time", "Start time", &mut form.time),
        From::Earliest | From::Latest => return,
    };
    row(ui, label, |ui| {
        let width = ui.available_width() - space::S;
        widgets::text_field(ui, text, name, width);
    });
}

fn buttons(ui: &mut Ui, scene: &mut Scene<'_>, form: &mut ConsumeForm) {
    let command = form.command(scene.now, scene.picture);
    if form.page == Page::New
        && let Err(refusal) = &command
    {
        let color: Color32 = Theme::of(ui).warning;
        ui.add(Label::new(RichText::new(refusal).color(color)).wrap());
    }
    ui.horizontal_wrapped(|ui| {
        if form.page == Page::New {
            let text = match (form.kind, form.members) {
                (Kind::Standalone, _) => "Start reading".to_owned(),
                (_, 1) => "Start a member".to_owned(),
                (_, several) => format!("Start {several} members"),
            };
            if widgets::primary_button_if(ui, command.is_ok(), &text).clicked()
                && let Ok(command) = command
            {
                scene.state.consume_sent = scene.send_quietly(command).map(Sent::new);
                match scene.state.consume_sent {
                    Some(_) => form.page = Page::Running,
                    None => scene.notices.queue_is_full(),
                }
            }
        }
        if widgets::button(ui, "Close").clicked() {
            scene.state.consuming = false;
        }
    });
}

/// How the newest start from here ended.
fn last_outcome(ui: &mut Ui, scene: &mut Scene<'_>) {
    let sent = scene.state.consume_sent.clone();
    match sent.map(|sent| sent.result) {
        None => {}
        Some(None) => _ = widgets::muted(ui, "Starting…"),
        // As long as it is true: one that was started may have ended.
        Some(Some(Ok(done))) => {
            let alive = |id: &u64| {
                let mut consumers = scene.picture.consumers.iter();
                consumers.any(|one| one.id == *id && one.state.is_alive())
            };
            if done.consumers.iter().all(alive) {
                widgets::paragraph(ui, &done.sentence);
            }
        }
        Some(Some(Err(failure))) => {
            let color = Theme::of(ui).bad;
            let name = RichText::new(&failure.name).font(theme::heading());
            ui.add(Label::new(name.color(color)).wrap());
            widgets::paragraph(ui, &failure.sentence());
        }
    }
}
